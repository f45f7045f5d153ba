package convert

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/forge-build/forge/builder/layer"
	"github.com/forge-build/forge/builder/wheel"
	"github.com/forge-build/forge/recipes/lock"
)

// TestRealStack converts the wheels in FORGE_TEST_STACK and reports time, CPU and memory.
// FORGE_TEST_STORE keeps the store between runs (and with it the wheels); its facts are
// removed first, so that every run does the work. FORGE_TEST_CODECS is "gzip", "zstd" or both.
func TestRealStack(t *testing.T) {
	dir := os.Getenv("FORGE_TEST_STACK")
	if dir == "" {
		t.Skip("FORGE_TEST_STACK is not set: no real wheels to convert")
	}
	store := os.Getenv("FORGE_TEST_STORE")
	if store == "" {
		store = filepath.Join(t.TempDir(), "store")
	}
	if err := os.RemoveAll(filepath.Join(store, "facts", "checked")); err != nil {
		t.Fatal(err)
	}
	b := benchIn(t, store)
	if v := os.Getenv("FORGE_TEST_PYTHON"); v != "" {
		b.li.Python.Version = v
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.whl"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no wheels: %v", err)
	}
	for _, file := range files {
		b.ingest(file)
	}
	b.o.Codecs = nil
	for _, c := range strings.Fields(os.Getenv("FORGE_TEST_CODECS")) {
		b.o.Codecs = append(b.o.Codecs, layer.Codec(c))
	}
	if len(b.o.Codecs) == 0 {
		b.o.Codecs = []layer.Codec{layer.Zstd}
	}
	start, cpu := time.Now(), cpuTime()
	made := b.must(Group(b.li))
	t.Logf("%v: %.1f s, %.1f s of CPU, peak %d MB", b.o.Codecs, time.Since(start).Seconds(), (cpuTime() - cpu).Seconds(), peak()/1e6)
	total := map[string]int64{}
	for _, m := range made {
		for c, blob := range m.Layer.Blobs {
			total[c] += blob.Size
		}
		t.Logf("%-32s %11d  glibc %-5s torch %s cuda %s, %d findings", m.Layer.Name, m.Layer.Unpacked, m.GLIBC, m.Torch, m.CUDA, len(m.Findings))
		for _, f := range m.Findings[:min(6, len(m.Findings))] {
			t.Logf("    %s %s %s: %s", f.ID, f.Owner, f.Path, f.Reason)
		}
		for _, s := range m.Shared {
			t.Logf("    %s of %v", s.Path, s.Owners)
		}
	}
	t.Log(total)
	start = time.Now()
	for _, m := range b.must(Group(b.li)) {
		if !m.Reused {
			t.Errorf("%s was made again", m.Layer.Name)
		}
	}
	t.Logf("nothing to do: %.2f s", time.Since(start).Seconds())
}

// ingest puts a wheel file into the store and the lock.
func (b *bench) ingest(file string) {
	b.t.Helper()
	fn, err := wheel.ParseFileName(filepath.Base(file))
	if err != nil {
		b.t.Fatal(err)
	}
	sumFile := filepath.Join(b.st.Dir(), filepath.Base(file)+".sum")
	sum := ""
	if text, err := os.ReadFile(sumFile); err == nil {
		sum = string(text)
	}
	fi, err := os.Stat(file)
	if err != nil {
		b.t.Fatal(err)
	}
	if _, ok, _ := b.st.Stat(sum); !ok {
		f, err := os.Open(file)
		if err != nil {
			b.t.Fatal(err)
		}
		defer f.Close()
		p, err := b.st.Create()
		if err != nil {
			b.t.Fatal(err)
		}
		if _, err := io.Copy(p, f); err != nil {
			b.t.Fatal(err)
		}
		if sum, err = p.Commit(""); err != nil {
			b.t.Fatal(err)
		}
		if err := os.WriteFile(sumFile, []byte(sum), 0o600); err != nil {
			b.t.Fatal(err)
		}
	}
	b.li.Wheels = append(b.li.Wheels, lock.Wheel{Name: wheel.NormalizeName(fn.Name), Version: fn.Version, File: filepath.Base(file), Index: "default", Size: fi.Size(), SHA256: sum})
}

func cpuTime() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// peak is the largest resident size of this process, in bytes.
func peak() int64 {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return u.Maxrss * 1024
}
