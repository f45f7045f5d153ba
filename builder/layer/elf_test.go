package layer

import (
	"bytes"
	"debug/buildinfo"
	"debug/elf"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// factsOf feeds a file to a looker in pieces of n bytes.
func factsOf(t testing.TB, l *looker, r io.ReadSeeker, size int64, n int) *ELF {
	t.Helper()
	l.reset(size)
	buf := make([]byte, n)
	var at int64
	for {
		m, err := r.Read(buf)
		l.write(buf[:m])
		at += int64(m)
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if at != size {
		t.Fatalf("read %d bytes of %d", at, size)
	}
	e, err := l.facts(func(n int64, out sink) (bool, error) {
		if _, err := r.Seek(0, io.SeekStart); err != nil {
			return false, err
		}
		_, err := io.CopyBuffer(writerOf(out), struct{ io.Reader }{io.LimitReader(r, n)}, buf)
		return true, err
	})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// expected reads the same facts with the standard library.
func expected(t testing.TB, r io.ReaderAt) *ELF {
	t.Helper()
	f, err := elf.NewFile(r)
	if err != nil {
		return nil
	}
	e := &ELF{Class: 32, BigEndian: f.ByteOrder == binary.BigEndian, Kind: int(f.Type), Machine: int(f.Machine)}
	if f.Class == elf.ELFCLASS64 {
		e.Class = 64
	}
	seen := map[string]bool{}
	for i, s := range f.Sections {
		if i > 0 && !seen[s.Name] {
			seen[s.Name] = true
			e.Sections = append(e.Sections, s.Name)
		}
	}
	e.ExecStack = e.Kind == 2 || e.Kind == 3
	for _, p := range f.Progs {
		switch p.Type {
		case elf.PT_GNU_STACK:
			e.ExecStack = p.Flags&elf.PF_X != 0
		case elf.PT_INTERP:
			b, _ := io.ReadAll(p.Open())
			e.Interp = strings.TrimRight(string(b), "\x00")
		}
	}
	dyn := func(tag elf.DynTag) []string { s, _ := f.DynString(tag); return s }
	e.Needed = dyn(elf.DT_NEEDED)
	if len(e.Needed) == 0 {
		e.Needed = nil
	}
	for _, s := range dyn(elf.DT_SONAME) {
		e.Soname = s
	}
	for _, s := range dyn(elf.DT_RPATH) {
		e.RPath = strings.Split(s, ":")
	}
	for _, s := range dyn(elf.DT_RUNPATH) {
		e.RunPath = strings.Split(s, ":")
	}
	if v, _ := f.DynValue(elf.DT_TEXTREL); len(v) > 0 {
		e.TextRel = true
	}
	if v, _ := f.DynValue(elf.DT_FLAGS); len(v) > 0 && v[0]&4 != 0 {
		e.TextRel = true
	}
	if needs, err := f.DynamicVersionNeeds(); err == nil {
		for _, n := range needs {
			for _, d := range n.Needs {
				e.GLIBC = higher(e.GLIBC, "GLIBC_", d.Dep)
				if n.Name == "libstdc++.so.6" {
					e.GLIBCXX = higher(e.GLIBCXX, "GLIBCXX_", d.Dep)
				}
			}
		}
	}
	if s := f.Section(".note.gnu.build-id"); s != nil && s.Type != elf.SHT_NOBITS {
		if b, err := s.Data(); err == nil && len(b) > 16 {
			e.BuildID = hex.EncodeToString(b[16:])
		}
	}
	if bi, err := buildinfo.Read(r); err == nil {
		e.Go, e.GoModules = bi.GoVersion, bi.String()
	}
	return e
}

// libraries lists ELF files of this machine, at most n.
func libraries(t testing.TB, n int, dirs ...string) []string {
	var out []string
	for _, dir := range dirs {
		_ = filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() || len(out) >= n {
				return nil //nolint:nilerr // what cannot be read is not part of the test
			}
			fi, err := d.Info()
			if err != nil || fi.Size() < 64 || fi.Size() > 200<<20 {
				return nil //nolint:nilerr // as above
			}
			f, err := os.Open(p)
			if err != nil {
				return nil //nolint:nilerr // as above
			}
			defer f.Close()
			var magic [4]byte
			if _, err := io.ReadFull(f, magic[:]); err == nil && magic == elfMagic {
				out = append(out, p)
			}
			return nil
		})
	}
	return out
}

func TestELFFactsAreThoseOfTheStandardLibrary(t *testing.T) {
	limit := 400
	if testing.Short() {
		limit = 60
	}
	files := libraries(t, limit, "/usr/lib", "/usr/bin", "/usr/sbin", "/usr/local")
	if exe, err := os.Executable(); err == nil {
		files = append(files, libraries(t, 1, exe)...)
	}
	if len(files) == 0 {
		t.Skip("no ELF files on this machine")
	}
	var l, small looker
	small.front, small.back = 4096, 512
	again := 0
	for _, name := range files {
		f, err := os.Open(name)
		if err != nil {
			continue
		}
		fi, err := f.Stat()
		if err != nil {
			t.Fatal(err)
		}
		want := expected(t, f)
		if want == nil {
			f.Close()
			continue
		}
		got := factsOf(t, &l, f, fi.Size(), 100_000)
		if _, err := f.Seek(0, io.SeekStart); err != nil {
			t.Fatal(err)
		}
		twice := factsOf(t, &small, f, fi.Size(), 3000)
		f.Close()
		if len(small.held) > 2 {
			again++
		}
		if !reflect.DeepEqual(got, twice) {
			t.Errorf("%s: facts depend on what is kept:\n%+v\n%+v", name, got, twice)
		}
		got.Notes, got.Rust = nil, ""
		got.GoModules, want.GoModules = firstLines(got.GoModules), firstLines(want.GoModules)
		if got.BuildID != "" && want.BuildID == "" {
			want.BuildID = got.BuildID // in another section
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %s", name, difference(got, want))
		}
	}
	t.Logf("%d files, %d of them with parts asked for", len(files), again)
}

// difference shows the first field that differs, from where it does.
func difference(got, want *ELF) string {
	a, b := reflect.ValueOf(*got), reflect.ValueOf(*want)
	for i := range a.NumField() {
		x, y := fmt.Sprint(a.Field(i)), fmt.Sprint(b.Field(i))
		if x == y && reflect.DeepEqual(a.Field(i).Interface(), b.Field(i).Interface()) {
			continue
		}
		n := 0
		for n < len(x) && n < len(y) && x[n] == y[n] {
			n++
		}
		n = max(0, n-40)
		return fmt.Sprintf("%s: got %.200q, want %.200q", a.Type().Field(i).Name, x[n:], y[n:])
	}
	return "nil and empty"
}

// firstLines is build information without the line that only String adds.
func firstLines(s string) string {
	var out []string
	for _, line := range strings.Split(s, "\n") {
		if line != "" && !strings.HasPrefix(line, "go\t") {
			out = append(out, strings.TrimRight(line, "\t"))
		}
	}
	return strings.Join(out, "\n")
}

func TestELFFactsAreThoseOfReadelf(t *testing.T) {
	if _, err := exec.LookPath("readelf"); err != nil {
		t.Skip("readelf is not installed")
	}
	line := regexp.MustCompile(`\((NEEDED|SONAME|RPATH|RUNPATH)\)[^\[]*\[(.*)\]`)
	id := regexp.MustCompile(`Build ID: ([0-9a-f]+)`)
	var l looker
	for _, name := range libraries(t, 25, "/usr/lib") {
		out, err := exec.Command("readelf", "-W", "-d", "-n", name).Output()
		if err != nil {
			continue
		}
		want := &ELF{}
		for _, m := range line.FindAllStringSubmatch(string(out), -1) {
			switch m[1] {
			case "NEEDED":
				want.Needed = append(want.Needed, m[2])
			case "SONAME":
				want.Soname = m[2]
			case "RPATH":
				want.RPath = strings.Split(m[2], ":")
			case "RUNPATH":
				want.RunPath = strings.Split(m[2], ":")
			}
		}
		if m := id.FindStringSubmatch(string(out)); m != nil {
			want.BuildID = m[1]
		}
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		got := factsOf(t, &l, bytes.NewReader(b), int64(len(b)), 1<<20)
		got = &ELF{Needed: got.Needed, Soname: got.Soname, RPath: got.RPath, RunPath: got.RunPath, BuildID: got.BuildID}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s:\n got %+v\nwant %+v", name, got, want)
		}
	}
}

// tinyELF is a 64-bit little-endian shared object made from a byte table: an ELF header, a
// PT_LOAD of everything, a PT_DYNAMIC with the given entries, and a string table.
func tinyELF(tags [][2]uint64, text string) []byte {
	le := binary.LittleEndian
	phs, dyn := uint64(64), uint64(64+2*56)
	str := dyn + uint64(len(tags)+1)*16
	size := str + uint64(len(text))
	b := make([]byte, size)
	copy(b, "\x7fELF\x02\x01\x01")
	le.PutUint16(b[16:], 3)
	le.PutUint16(b[18:], 62)
	le.PutUint64(b[32:], phs)
	le.PutUint16(b[54:], 56)
	le.PutUint16(b[56:], 2)
	ph := func(i int, typ uint32, off, n uint64) {
		p := b[phs+uint64(i)*56:]
		le.PutUint32(p, typ)
		le.PutUint64(p[8:], off)
		le.PutUint64(p[16:], off)
		le.PutUint64(p[32:], n)
	}
	ph(0, 1, 0, size)
	ph(1, 2, dyn, str-dyn)
	for i, tag := range append(slices.Clone(tags), [2]uint64{}) {
		v := tag[1]
		if tag[0] == 5 {
			v = str
		}
		le.PutUint64(b[dyn+uint64(i)*16:], tag[0])
		le.PutUint64(b[dyn+uint64(i)*16+8:], v)
	}
	copy(b[str:], text)
	return b
}

func TestHostileELF(t *testing.T) { // WHL-07
	le := binary.LittleEndian
	base := func() []byte {
		return tinyELF([][2]uint64{{1, 1}, {29, 8}, {5, 0}, {10, 40}}, "\x00libc.6\x00$ORIGIN/../../../../x::\x00\xff\xfe\x00rest of the table")
	}
	rows := []struct {
		name   string
		change func(b []byte) []byte
		broken string
	}{
		{"as it should be", func(b []byte) []byte { return b }, ""},
		{"only a magic number", func(b []byte) []byte { return b[:4] }, "ELF header lies outside the file"},
		{"cut off in the header", func(b []byte) []byte { return b[:40] }, "ELF header lies outside the file"},
		{"cut off in the program headers", func(b []byte) []byte { return b[:100] }, "program header table lies outside the file"},
		{"class 3", func(b []byte) []byte { b[4] = 3; return b }, "class 3"},
		{"byte order 9", func(b []byte) []byte { b[5] = 9; return b }, "byte order 9"},
		{"2³² sections", func(b []byte) []byte {
			le.PutUint64(b[40:], 64)
			le.PutUint16(b[58:], 64)
			le.PutUint64(b[64+32:], 1<<32) // size of the first section, where the program headers are
			return b
		}, "4294967296 sections"},
		{"section table outside", func(b []byte) []byte {
			le.PutUint64(b[40:], 1<<63)
			le.PutUint16(b[58:], 64)
			le.PutUint16(b[60:], 3)
			return b
		}, "section header table lies outside the file"},
		{"section headers of 65 bytes", func(b []byte) []byte { le.PutUint64(b[40:], 64); le.PutUint16(b[58:], 65); return b }, "section headers of 65 bytes"},
		{"65535 program headers", func(b []byte) []byte { le.PutUint16(b[56:], 65535); return b }, "65535 program headers of 56 bytes"},
		{"dynamic section of 2⁶⁰ bytes", func(b []byte) []byte { le.PutUint64(b[64+56+32:], 1<<60); return b }, "dynamic section of 1152921504606846976 bytes"},
		{"dynamic section outside", func(b []byte) []byte { le.PutUint64(b[64+56+8:], 1<<63); return b }, "dynamic section lies outside the file"},
		{"string table at no address", func(b []byte) []byte { le.PutUint64(b[64+16:], 1<<40); return b }, "dynamic string table is at no loaded address"},
		{"addresses that overflow", func(b []byte) []byte {
			le.PutUint64(b[64+8:], 1<<64-8)
			return b
		}, "dynamic string table is at no loaded address"},
		{"needed outside the table", func(b []byte) []byte { le.PutUint64(b[64+112+8:], 1000); return b }, "a dynamic string lies outside its table"},
		{"string table without an end", func(b []byte) []byte {
			le.PutUint64(b[64+112+3*16+8:], 1<<62)
			le.PutUint64(b[64+112+8:], 46)
			return b
		}, "a dynamic string does not end"},
	}
	for _, row := range rows {
		b := row.change(base())
		var l looker
		got := factsOf(t, &l, bytes.NewReader(b), int64(len(b)), 7)
		if got == nil {
			t.Fatalf("%s: no facts", row.name)
		}
		if got.Broken != row.broken {
			t.Errorf("%s: broken is %q, should be %q", row.name, got.Broken, row.broken)
		}
		if row.broken == "" {
			want := &ELF{Class: 64, Kind: 3, Machine: 62, Needed: []string{"libc.6"}, RunPath: []string{"$ORIGIN/../../../../x", "", ""}, ExecStack: true}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("got %+v", got)
			}
		}
	}
}

func TestVersionNeedsThatLoop(t *testing.T) {
	text := make([]byte, 64)
	b := tinyELF([][2]uint64{{1, 60}, {5, 0}, {10, 64}, {0x6ffffffe, 0}, {0x6fffffff, 1 << 40}}, string(text))
	str := len(b) - 64
	le := binary.LittleEndian
	le.PutUint64(b[64+112+3*16+8:], uint64(str))
	le.PutUint16(b[str+2:], 65535)
	le.PutUint32(b[str+8:], 16)
	le.PutUint32(b[str+12:], 1) // the next need is one byte further, and so on
	le.PutUint32(b[str+16+12:], 0xffffffff)
	var l looker
	if e := factsOf(t, &l, bytes.NewReader(b), int64(len(b)), 1000); e == nil || e.Broken == "" {
		t.Errorf("got %+v", e)
	}
}

// A pipe cannot be read again: what was not kept is said to be missing.
func TestFactsThatWereNotKept(t *testing.T) {
	b := tinyELF([][2]uint64{{1, 9000}, {5, 0}, {10, 20000}}, strings.Repeat("\x00", 9000)+"libc.6\x00"+strings.Repeat("x", 20000))
	l := looker{front: 64 + 200, back: 100}
	l.reset(int64(len(b)))
	for i := range b {
		l.write(b[i : i+1])
	}
	e, err := l.facts(func(int64, sink) (bool, error) { return false, nil })
	if err != nil || e.Broken != "" || !slices.Equal(e.Needed, []string{"libc.6"}) { // known in time
		t.Errorf("got %+v, %v", e, err)
	}
	l = looker{front: 9900, back: 100}
	l.reset(int64(len(b)))
	l.write(b)
	e, err = l.facts(func(int64, sink) (bool, error) { return false, nil })
	if err != nil || e.Broken != "some facts lie in parts that were not kept" {
		t.Errorf("got %+v, %v", e, err)
	}
}

func FuzzELF(f *testing.F) {
	f.Add(tinyELF([][2]uint64{{1, 1}, {29, 8}, {5, 0}, {10, 40}}, "\x00libc.6\x00$ORIGIN/../../../../x::\x00\xff\xfe\x00rest of the table"))
	f.Add(tinyELF([][2]uint64{{1, 60}, {5, 0}, {10, 64}, {0x6ffffffe, 64}, {0x6fffffff, 1 << 40}}, strings.Repeat("\x00", 64)))
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) < 4 {
			return
		}
		copy(b, elfMagic[:])
		var l looker
		small := looker{front: 64, back: 8}
		a := factsOf(t, &l, bytes.NewReader(b), int64(len(b)), 100)
		c := factsOf(t, &small, bytes.NewReader(b), int64(len(b)), 10)
		if c.Broken == "refers on and on" || c.Broken == "what it refers to is spread too widely" {
			return
		}
		if !reflect.DeepEqual(a, c) {
			t.Errorf("%+v\n%+v", a, c)
		}
	})
}
