package wheel

import (
	"fmt"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A MiB of input is judged within a second of the processor's time and 64 MiB, whatever it says. (All
// that is allocated is counted, not what is held, and slow machines get two seconds.)
func TestBounded(t *testing.T) {
	const mib = 1 << 20
	inputs := map[string]func() []byte{
		"many entries": func() []byte {
			a := &archive{}
			r := deflated("", nil)
			for i := range 9000 {
				r.name = fmt.Sprintf("d/%05d", i)
				a.local = append(a.local, r)
				a.central = append(a.central, r)
			}
			return a.bytes()
		},
		"deep names": func() []byte {
			p := parts{}
			for i := range 420 {
				p.files = append(p.files, text{fmt.Sprint(i, "/", strings.Repeat("abcdefghijklmno/", 62), "x"), ""})
			}
			return p.archive().bytes()
		},
		"a large RECORD": func() []byte {
			big := strings.Repeat("x,,\n", 16<<20)
			return parts{record: &big}.archive().bytes()
		},
		"a METADATA of one field": func() []byte { return parts{metadata: "A:" + strings.Repeat("\n x", 300_000)}.archive().bytes() },
		"names that decompose": func() []byte {
			p := parts{}
			for i := range 900 {
				p.files = append(p.files, text{fmt.Sprint(i, strings.Repeat("\u1fa7", 330)), ""})
			}
			a := p.archive()
			for i := range a.local {
				a.both(i, func(r *record) { r.flags = flagUTF8 })
			}
			return a.bytes()
		},
		"many entry points": func() []byte {
			return parts{files: []text{{"demo-1.0.dist-info/entry_points.txt", "[console_scripts]\n" + strings.Repeat("a", 60_000)}}}.archive().bytes()
		},
	}
	for what, build := range inputs {
		t.Run(what, func(t *testing.T) {
			b := build()
			if len(b) > 2*mib {
				t.Fatalf("%d bytes are too many for this test", len(b))
			}
			var before, after runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&before)
			start := processor(t)
			_, err := openBytes(b, demoFile)
			took := processor(t) - start
			runtime.ReadMemStats(&after)
			used := after.TotalAlloc - before.TotalAlloc
			t.Logf("%d bytes: %v, %d MiB allocated in all, %v", len(b), took, used/mib, err)
			if took > 2*time.Second || used > 64*mib*max(1, uint64(len(b))/mib+1) {
				t.Errorf("too much")
			}
		})
	}
}

// processor is the processor's time that this process has used: a clock on the wall would measure
// what else runs on this host.
func processor(t *testing.T) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
