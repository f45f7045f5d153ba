package convert

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"

	"github.com/forge-build/forge/builder/layer"
	"github.com/forge-build/forge/builder/wheel"
	"github.com/forge-build/forge/recipes"
	"github.com/forge-build/forge/recipes/lock"
)

var update = flag.Bool("update", false, "rewrite golden files")

// entry is one tar entry as an independent reader sees it.
type entry struct {
	mode    int64
	kind    byte
	content string
}

// unpack reads a layer of the store in one codec with the standard library.
func (b *bench) unpack(l lock.Layer, codec layer.Codec) (names []string, entries map[string]entry) {
	b.t.Helper()
	blob := l.Blobs[string(codec)]
	f, size, err := b.st.Open(hexOf(blob.Digest))
	if err != nil {
		b.t.Fatal(err)
	}
	defer f.Close()
	if size != blob.Size {
		b.t.Fatalf("%s has %d bytes, the layer says %d", codec, size, blob.Size)
	}
	var r io.Reader
	if codec == layer.Gzip {
		r, err = gzip.NewReader(f)
	} else {
		r, err = zstd.NewReader(f)
	}
	if err != nil {
		b.t.Fatal(err)
	}
	h := sha256.New()
	data := readAll(b.t, io.TeeReader(r, h))
	if diffID := "sha256:" + hex.EncodeToString(h.Sum(nil)); diffID != l.DiffID || int64(len(data)) != l.Unpacked {
		b.t.Fatalf("%s holds %s, %d bytes; the layer says %s, %d", codec, diffID, len(data), l.DiffID, l.Unpacked)
	}
	entries = map[string]entry{}
	tr := tar.NewReader(bytes.NewReader(data))
	for {
		th, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return names, entries
		}
		if err != nil {
			b.t.Fatal(err)
		}
		if th.Uid != 0 || th.Gid != 0 || th.ModTime.Unix() != layer.Epoch {
			b.t.Errorf("%s: owner %d:%d, time %v", th.Name, th.Uid, th.Gid, th.ModTime)
		}
		names = append(names, th.Name)
		entries[strings.TrimSuffix(th.Name, "/")] = entry{th.Mode, th.Typeflag, string(readAll(b.t, tr))}
	}
}

func demo() []file {
	return []file{
		{name: "demo/__init__.py", content: "print('demo')\n"},
		{name: "demo/tool", content: "\x7fnot really ELF", exec: true},
		{name: "demo/stored.txt", content: "stored", stored: true},
		{name: "demo/empty", content: "", stored: true},
		{name: "demo-1.0.data/scripts/run", content: "#!python\nprint('run')\n"},
		{name: "demo-1.0.data/scripts/sh", content: "#!/bin/sh\n"},
		{name: "demo-1.0.data/data/share/man/man1/demo.1", content: "man"},
		{name: "demo-1.0.data/data/etc/jupyter/demo.json", content: "{}"},
		{name: "demo-1.0.data/headers/demo.h", content: "#define DEMO\n"},
		{name: "demo-1.0.data/platlib/demo_native.so", content: "so", exec: true},
		{name: "demo-1.0.dist-info/entry_points.txt", content: "[console_scripts]\ndemo = demo.cli:App.run\n[gui_scripts]\ndemo-gui = demo:gui\n"},
		{name: "demo-1.0.dist-info/INSTALLER", content: "evil\n"},
		{name: "demo-1.0.dist-info/direct_url.json", content: "{}"},
	}
}

// The tree of an environment, read back by the standard library.
func TestLayout(t *testing.T) {
	b := newBench(t)
	b.add("demo", "1.0", demo()...).Requested = true
	made := b.must(b.together())[0]
	names, entries := b.unpack(made.Layer, layer.Gzip)
	var out strings.Builder
	for _, n := range names {
		e := entries[strings.TrimSuffix(n, "/")]
		fmt.Fprintf(&out, "%c %04o %s", e.kind, e.mode, n)
		if e.kind == tar.TypeReg && !strings.HasSuffix(n, "RECORD") {
			fmt.Fprintf(&out, " %q", e.content)
		}
		out.WriteString("\n")
	}
	golden(t, "testdata/layout.txt", out.String())
	namesZ, entriesZ := b.unpack(made.Layer, layer.Zstd)
	if diff := cmp.Diff(names, namesZ) + cmp.Diff(entries, entriesZ, cmp.AllowUnexported(entry{})); diff != "" {
		t.Errorf("the codecs hold different files:\n%s", diff)
	}
	checkInstalled(t, entries, "opt/venv/lib/python3.13/site-packages", "demo-1.0.dist-info")
	ids := []string{}
	for _, f := range made.Findings {
		ids = append(ids, f.ID+" "+f.Path)
	}
	if diff := cmp.Diff([]string{"WHL-04 demo-1.0.data/scripts/sh"}, ids); diff != "" {
		t.Error(diff)
	}
}

// checkInstalled compares RECORD with the files, both ways.
func checkInstalled(t *testing.T, entries map[string]entry, site, info string) {
	t.Helper()
	rows, err := wheel.ParseRecord([]byte(strings.ReplaceAll(entries[site+"/"+info+"/RECORD"].content, "../../../", "UP/")))
	if err != nil {
		t.Fatal(err)
	}
	listed := map[string]bool{}
	for _, r := range rows {
		p := filepath.ToSlash(filepath.Join(site, strings.Replace(r.Path, "UP/", "../../../", 1)))
		e, ok := entries[p]
		if !ok {
			t.Errorf("RECORD lists %s, which is not there", r.Path)
		}
		sum := sha256.Sum256([]byte(e.content))
		if r.Size >= 0 && (r.Size != int64(len(e.content)) || r.Hash != wheel.RecordHash(sum[:])) {
			t.Errorf("RECORD is wrong about %s", r.Path)
		}
		listed[p] = true
	}
	for p, e := range entries {
		if e.kind == tar.TypeReg && !listed[p] {
			t.Errorf("%s is in no RECORD", p)
		}
	}
}

func TestEnvironment(t *testing.T) {
	b := newBench(t)
	w := b.add("demo", "1.0", file{name: "demo-1.0.data/scripts/run", content: "#!pythonw\n"}, file{name: "demo-1.0.dist-info/entry_points.txt", content: "[console_scripts]\nx=a:b\n"})
	w.Environment = "analysis"
	made := b.must(Group(b.li))[0]
	if made.Layer.Name != "analysis: small-"+bucketOf("demo") || made.Layer.Environment != "analysis" {
		t.Errorf("%+v", made.Layer)
	}
	_, entries := b.unpack(made.Layer, layer.Gzip)
	for _, p := range []string{"run", "x"} {
		if e := entries["opt/envs/analysis/bin/"+p]; !strings.HasPrefix(e.content, "#!/opt/envs/analysis/bin/python\n") || e.mode != 0o755 {
			t.Errorf("%+v", e)
		}
	}
}

// One wheel in two environments is two members: only one of them was asked for.
func TestOneWheelInTwoEnvironments(t *testing.T) {
	b := newBench(t)
	w := *b.add("demo", "1.0", demo()...)
	w.Requested = true
	other := w
	other.Environment, other.Requested = "analysis", false
	for _, order := range [][]lock.Wheel{{w, other}, {other, w}} {
		b.li.Wheels = order
		for _, made := range b.must(Group(b.li)) {
			site := "opt/venv/lib/python3.13/site-packages/"
			if made.Layer.Environment != "" {
				site = "opt/envs/analysis/lib/python3.13/site-packages/"
			}
			_, entries := b.unpack(made.Layer, layer.Gzip)
			_, wheel := entries[site+"demo-1.0.dist-info/RECORD"]
			if _, asked := entries[site+"demo-1.0.dist-info/REQUESTED"]; !wheel || asked != (made.Layer.Environment == "") {
				t.Errorf("environment %q: installed %v, requested %v", made.Layer.Environment, wheel, asked)
			}
		}
	}
}

func bucketOf(name string) string {
	sum := sha256.Sum256([]byte(name))
	return fmt.Sprint(sum[0] % buckets)
}

// The same members give the same bytes, whatever the store, the order or the number of jobs.
func TestDeterministic(t *testing.T) {
	var digests []string
	for i := range 3 {
		b := newBench(t)
		b.o.Jobs = i + 1
		if i == 2 {
			b.add("other", "2.0", file{name: "other.py", content: "x"})
		}
		b.add("demo", "1.0", demo()...)
		if i < 2 {
			b.add("other", "2.0", file{name: "other.py", content: "x"})
		}
		l := Group(b.li)
		made := b.must(l)
		digests = append(digests, fmt.Sprint(made[0].Layer.Blobs, made[0].Layer.DiffID, made[0].Index))
	}
	if digests[0] != digests[1] || digests[0] != digests[2] {
		t.Error(digests)
	}
}

func TestFilesOfSeveralWheels(t *testing.T) {
	const shared = "nvidia/__init__.py"
	tests := []struct {
		what       string
		a, b       file
		err        string
		whenShared bool
	}{
		{"the same", file{name: shared, content: "x"}, file{name: shared, content: "x"}, "", true},
		{"the same, stored in one", file{name: shared, content: "x"}, file{name: shared, content: "x", stored: true}, "", true},
		{"other bytes", file{name: shared, content: "x"}, file{name: shared, content: "y"}, `"nvidia/__init__.py" differs between alpha and beta`, false},
		{"one namespace", file{name: shared, content: ""}, file{name: shared, content: "# Copyright\n__path__ = __import__('pkgutil').extend_path(__path__, __name__)\n"}, "", true},
		{"namespace and code", file{name: shared, content: ""}, file{name: shared, content: "# Copyright\nimport os\n"}, `"nvidia/__init__.py" differs between alpha and beta`, false},
		{"a namespace three folders down", file{name: "a/b/c/__init__.py", content: ""}, file{name: "a/b/c/__init__.py", content: "# Copyright\n"}, `"a/b/c/__init__.py" differs between alpha and beta`, false},
		{"a namespace too large to be read", file{name: shared, content: ""}, file{name: shared, content: strings.Repeat("#\n", maxNamespace/2+1)}, `"nvidia/__init__.py" differs between alpha and beta`, false},
		{"an empty module", file{name: "nvidia/version.py", content: ""}, file{name: "nvidia/version.py", content: "# 1"}, `"nvidia/version.py" differs between alpha and beta`, false},
		{"other execute bit", file{name: shared, content: "x"}, file{name: shared, content: "x", exec: true}, `"nvidia/__init__.py" is executable in one of alpha and beta only`, false},
		{"other case", file{name: "pkg/A.py", content: "x"}, file{name: "pkg/a.py", content: "x"}, "differ only in case", false},
		{"folder in other case", file{name: "Pkg/a.py", content: "x"}, file{name: "pkg/b.py", content: "x"}, "differ only in case", false},
		{"file and folder", file{name: "pkg", content: "x"}, file{name: "pkg/b.py", content: "x"}, "is a file in alpha and a folder in beta", false},
		{"folder and file", file{name: "pkg/b.py", content: "x"}, file{name: "pkg", content: "x"}, "is a f", false},
		{"one script", file{name: "alpha-1.data/scripts/run", content: "#!python\n"}, file{name: "beta-1.data/scripts/run", content: "#!python\n#\n"}, `"opt/venv/bin/run" differs between alpha and beta`, false},
		{"nothing", file{name: "a.py", content: "x"}, file{name: "b.py", content: "x"}, "", false},
	}
	for _, tt := range tests {
		for _, how := range []string{"in one layer", "in two layers"} {
			t.Run(tt.what+" "+how, func(t *testing.T) {
				b := newBench(t)
				b.add("beta", "1", tt.b)
				b.add("alpha", "1", tt.a)
				layers := b.together()
				if how == "in two layers" {
					layers = b.apart()
				}
				if tt.err != "" {
					b.fails(layers, tt.err)
					return
				}
				for range 2 { // made, then reused
					made := b.must(layers)
					for _, x := range made {
						want := []Shared(nil)
						if tt.whenShared {
							want = []Shared{{"opt/venv/lib/python3.13/site-packages/" + shared, []string{"alpha", "beta"}}}
						}
						if diff := cmp.Diff(want, x.Shared); diff != "" {
							t.Error(diff)
						}
					}
				}
			})
		}
	}
}

// The second copy of a shared file is in no layer, and is read all the same.
func TestSharedFileIsRead(t *testing.T) {
	b := newBench(t)
	b.add("alpha", "1", file{name: "nvidia/__init__.py", content: "x"})
	evil := squeeze(t, []byte("y"))
	b.add("beta", "1", file{name: "nvidia/__init__.py", content: "x", raw: evil, size: 1, crc: crc32.ChecksumIEEE([]byte("y"))})
	b.fails(b.together(), "WHL-01")
}

func TestBadContent(t *testing.T) {
	zeros := make([]byte, 1<<16)
	tests := []struct {
		what, err string
		f         file
	}{
		{"another content with its own CRC", "WHL-01", file{content: "x", raw: squeeze(t, []byte("y")), size: 1, crc: crc32.ChecksumIEEE([]byte("y"))}},
		{"another content, stored", "WHL-01", file{content: "x", stored: true, raw: []byte("y"), size: 1, crc: crc32.ChecksumIEEE([]byte("y"))}},
		{"wrong CRC", "CRC", file{content: "x", raw: squeeze(t, []byte("x")), size: 1, crc: 7}},
		{"wrong CRC, stored", "ZIP-09", file{content: "x", stored: true, raw: []byte("x"), size: 1, crc: 7}},
		{"longer than it says", "ZIP-0", file{content: "x", raw: squeeze(t, []byte("xx")), size: 1, crc: crc32.ChecksumIEEE([]byte("x"))}},
		{"shorter than it says", "ZIP-0", file{content: "xx", raw: squeeze(t, []byte("x")), size: 2, crc: crc32.ChecksumIEEE([]byte("x"))}},
		{"bytes after the stream", "CMP-01", file{content: "x", raw: append(squeeze(t, []byte("x")), "tail"...), size: 1, crc: crc32.ChecksumIEEE([]byte("x"))}},
		{"stream cut off", "CMP-01", file{content: string(zeros), raw: squeeze(t, zeros)[:20], size: uint64(len(zeros)), crc: crc32.ChecksumIEEE(zeros)}},
		{"no deflate stream", "CMP-01", file{content: "xyz", raw: []byte{7, 7, 7}, size: 3, crc: crc32.ChecksumIEEE([]byte("xyz"))}},
		{"wrong sha512", "WHL-01", file{content: "x", hash: "sha512=" + strings.Repeat("A", 86)}},
	}
	for _, tt := range tests {
		t.Run(tt.what, func(t *testing.T) {
			b := newBench(t)
			tt.f.name = "demo/x"
			b.add("demo", "1.0", tt.f)
			before := len(b.blobs())
			err := b.fails(b.together(), tt.err)
			t.Log(err)
			if len(b.blobs()) != before || len(b.partials()) != 0 {
				t.Errorf("left behind: %v %v", b.blobs(), b.partials())
			}
			if !strings.Contains(err.Error(), "demo-1.0-py3-none-any.whl") {
				t.Error("the wheel is not named")
			}
		})
	}
	sum := sha512.Sum512([]byte("x"))
	b := newBench(t)
	b.add("demo", "1.0", file{name: "x", content: "x", hash: "sha512=" + base64.RawURLEncoding.EncodeToString(sum[:])},
		file{name: "y", content: "x", stored: true, hash: "sha512=" + base64.RawURLEncoding.EncodeToString(sum[:])})
	b.must(b.together())
}

// ZIP-00: a member that inflates to its size + 2^32 has the CRC-32 and the ISIZE of what
// it claims, and a tar reader would find what lies behind.
func TestSizeModulo(t *testing.T) {
	const size = 1 << 20
	b := newBench(t)
	content := make([]byte, size)
	b.add("demo", "1.0", file{name: "demo/zero", content: string(content), raw: zeros(t, size+1<<32), size: size, crc: zerosCRC(size + 1<<32)})
	b.fails(b.together(), "ZIP-00")
}

func zeros(t *testing.T, n int64) []byte {
	const unit = 1 << 24
	closed := squeeze(t, make([]byte, unit))
	var open bytes.Buffer
	// The same blocks, not the last ones: a stored block of no bytes ends each.
	w := newFlusher(t, &open)
	w(make([]byte, unit))
	var b bytes.Buffer
	for ; n > unit; n -= unit {
		b.Write(open.Bytes())
	}
	if n == unit {
		b.Write(closed)
	} else {
		b.Write(squeeze(t, make([]byte, n)))
	}
	return b.Bytes()
}

func zerosCRC(n int64) uint32 {
	buf := make([]byte, 1<<20)
	crc := uint32(0)
	for ; n > 0; n -= int64(len(buf)) {
		crc = crc32.Update(crc, crc32.IEEETable, buf[:min(n, int64(len(buf)))])
	}
	return crc
}

func TestLockAndWheelDisagree(t *testing.T) {
	tests := []struct {
		what, err string
		change    func(b *bench, w *lock.Wheel)
	}{
		{"size", "bytes", func(b *bench, w *lock.Wheel) { w.Size++ }},
		{"name", "demo 1.0, the lock states other 1.0", func(b *bench, w *lock.Wheel) { w.Name = "other" }},
		{"version", "the lock states demo 2", func(b *bench, w *lock.Wheel) { w.Version = "2" }},
		{"file name", "WHL-02", func(b *bench, w *lock.Wheel) { w.File = "other-1.0-py3-none-any.whl" }},
		{"Python", "does not run on Python 2.7 for linux/amd64", func(b *bench, w *lock.Wheel) { b.li.Python.Version = "2.7" }},
		{"a member that is not in the lock", "is not in the lock", func(b *bench, w *lock.Wheel) { w.SHA256 = strings.Repeat("0", 64) }},
	}
	for _, tt := range tests {
		t.Run(tt.what, func(t *testing.T) {
			b := newBench(t)
			b.add("demo", "1.0")
			layers := b.together()
			tt.change(b, &b.li.Wheels[0])
			b.fails(layers, tt.err)
		})
	}
}

// What a store has checked is what the lock stated then. A lock that states something else of
// the same bytes is judged anew: with the wheel at hand, and without it by who serves it.
func TestALockEditedWhileItsLayersAreHeld(t *testing.T) {
	for what, row := range map[string]struct {
		change func(w *lock.Wheel)
		want   string
	}{
		"size":    {func(w *lock.Wheel) { w.Size++ }, "for the same sha256"},
		"name":    {func(w *lock.Wheel) { w.Name = "other" }, "demo 1.0, the lock states other 1.0"},
		"version": {func(w *lock.Wheel) { w.Version = "2" }, "the lock states demo 2"},
	} {
		b := newBench(t)
		w := b.add("demo", "1.0", demo()...)
		layers := b.together()
		b.must(layers)
		if made := b.must(layers); !made[0].Reused {
			t.Fatalf("%s: the layer is made again", what)
		}
		row.change(w)
		b.fails(layers, row.want)
		if err := os.Remove(b.st.Path(w.SHA256)); err != nil {
			t.Fatal(err)
		}
		b.o.Fetch.Offline = true
		b.fails(layers, "offline, and missing: demo-1.0-py3-none-any.whl")
	}
}

func golden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-update rewrites it):\n%s", file, diff)
	}
}

// Members are opened through the store, which sees bytes that changed after they came.
func TestWheelChangedInTheStore(t *testing.T) {
	b := newBench(t)
	w := b.add("demo", "1.0", demo()...)
	m := &maker{im: b.im, li: b.li, o: b.o}
	j := &job{layer: b.together()[0], parts: []part{{wheel: w}}}
	if _, err := m.wheels(context.Background(), j); err != nil {
		t.Fatal(err)
	}
	changeBlob(t, b.st.Path(w.SHA256))
	if _, err := m.wheels(context.Background(), j); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), w.File) {
		t.Errorf("changed bytes: %v", err)
	}
	if _, err := os.Lstat(b.st.Path(w.SHA256)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the changed blob is still there: %v", err)
	}
	if len(b.partials()) != 0 {
		t.Error(b.partials())
	}
}

// changeBlob changes one bit in the middle of a blob, whose size stays.
func changeBlob(t *testing.T, path string) {
	t.Helper()
	bytes, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	bytes[len(bytes)/2] ^= 1
	if err := os.Chmod(path, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, bytes, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestClaims(t *testing.T) {
	b := newBench(t)
	b.add("demo", "1.0", demo()...)
	made := b.must(b.together())
	good := made[0].Layer
	b.must([]lock.Layer{good})
	tests := []struct {
		what   string
		change func(l *lock.Layer)
	}{
		{"diffID", func(l *lock.Layer) { l.DiffID = "sha256:" + strings.Repeat("0", 64) }},
		{"unpacked size", func(l *lock.Layer) { l.Unpacked++ }},
		{"gzip digest", func(l *lock.Layer) {
			l.Blobs["gzip"] = lock.Blob{Digest: "sha256:" + strings.Repeat("0", 64), Size: l.Blobs["gzip"].Size}
		}},
		{"zstd digest", func(l *lock.Layer) { l.Blobs["zstd"] = l.Blobs["gzip"] }},
		{"zstd size", func(l *lock.Layer) { l.Blobs["zstd"] = lock.Blob{Digest: l.Blobs["zstd"].Digest, Size: 1} }},
	}
	for _, fresh := range []bool{false, true} {
		for _, tt := range tests {
			t.Run(fmt.Sprintf("%s, fresh %v", tt.what, fresh), func(t *testing.T) {
				c := b
				if fresh {
					c = newBench(t)
					c.add("demo", "1.0", demo()...)
				}
				l := good
				l.Blobs = map[string]lock.Blob{"gzip": good.Blobs["gzip"], "zstd": good.Blobs["zstd"]}
				tt.change(&l)
				_, err := c.make([]lock.Layer{l})
				var claim *ClaimError
				if !errors.As(err, &claim) || claim.What != tt.what || claim.Layer != "all" || claim.Expected == claim.Found {
					t.Fatalf("%v", err)
				}
			})
		}
	}
	// A claim about a codec that nobody asked for says nothing.
	c := newBench(t)
	c.o.Codecs = []layer.Codec{layer.Gzip}
	c.add("demo", "1.0", demo()...)
	l := good
	l.Blobs = map[string]lock.Blob{"gzip": good.Blobs["gzip"], "zstd": {Digest: "sha256:x"}}
	c.must([]lock.Layer{l})
}

func TestReuse(t *testing.T) {
	b := newBench(t)
	b.add("demo", "1.0", demo()...)
	b.o.Codecs = []layer.Codec{layer.Gzip}
	first := b.must(b.together())[0]
	if first.Reused || first.Layer.Blobs["zstd"].Digest != "" {
		t.Fatalf("%+v", first)
	}
	again := b.must(b.together())[0]
	if !again.Reused {
		t.Error("made twice")
	}
	again.Reused = false
	if diff := cmp.Diff(first, again); diff != "" {
		t.Error(diff)
	}
	b.o.AlsoDigest = true
	both := b.must(b.together())[0]
	if both.Reused || both.Layer.Blobs["zstd"].Digest == "" || b.blobs()[hexOf(both.Layer.Blobs["zstd"].Digest)] {
		t.Errorf("%+v", both)
	}
	if !b.must(b.together())[0].Reused {
		t.Error("the other digest is not remembered")
	}
	b.o.AlsoDigest, b.o.Codecs = false, []layer.Codec{layer.Zstd}
	kept := b.must(b.together())[0]
	if kept.Reused || kept.Layer.Blobs["zstd"] != both.Layer.Blobs["zstd"] || !b.blobs()[hexOf(both.Layer.Blobs["zstd"].Digest)] {
		t.Errorf("%+v", kept)
	}
	for what, change := range map[string]func(){
		"another rule":       func() { b.o.Slim.Drop = []string{"docs"} },
		"requested":          func() { b.li.Wheels[0].Requested = true },
		"another Python":     func() { b.li.Python.Version = "3.12" },
		"another platform":   func() { b.li.Platform = "linux/arm64" },
		"a vanished blob":    func() { remove(t, b.st.Path(hexOf(kept.Layer.Blobs["zstd"].Digest))) },
		"a vanished index":   func() { remove(t, b.st.Path(kept.Index)) },
		"a changed blob":     func() { overwrite(t, b.st.Path(hexOf(kept.Layer.Blobs["zstd"].Digest))) },
		"a fact of nonsense": func() { nonsense(t, filepath.Join(b.st.Dir(), "facts", "checked")) },
	} {
		saved, wheels, slim := *b.li, append([]lock.Wheel(nil), b.li.Wheels...), b.o.Slim
		if known, err := Known(b.li, b.together(), b.o); err != nil || len(known) != 1 || known[0].Layer.DiffID != kept.Layer.DiffID {
			t.Fatalf("before %s the store knows %+v, %v", what, known, err)
		}
		change()
		if known, err := Known(b.li, b.together(), b.o); err != nil || len(known) != 0 {
			t.Errorf("%s: the store claims to know %+v, %v", what, known, err)
		}
		if b.must(b.together())[0].Reused {
			t.Errorf("%s: not made again", what)
		}
		*b.li, b.li.Wheels, b.o.Slim = saved, wheels, slim
		if got := b.must(b.together())[0]; got.Layer.DiffID != kept.Layer.DiffID {
			t.Errorf("%s: %+v", what, got)
		}
	}
}

// An earlier lock may state the digest of the codec that this store has not made; only one
// that is right about all the rest is heard, and nothing of it is remembered.
func TestAnEarlierLockStatesTheOtherCodec(t *testing.T) {
	b := newBench(t)
	b.add("demo", "1.0", demo()...)
	b.o.Codecs, b.o.AlsoDigest = []layer.Codec{layer.Zstd}, true
	both := b.must(b.together())[0].Layer
	if err := os.RemoveAll(filepath.Join(b.st.Dir(), "facts", "checked")); err != nil {
		t.Fatal(err)
	}
	b.o.AlsoDigest = false
	b.must(b.together())
	b.o.AlsoDigest = true
	other := "sha256:" + strings.Repeat("0", 64)
	for what, change := range map[string]func(l *lock.Layer){
		"another diffID":      func(l *lock.Layer) { l.DiffID = other },
		"another zstd":        func(l *lock.Layer) { l.Blobs["zstd"] = lock.Blob{Digest: other, Size: 1} },
		"another member":      func(l *lock.Layer) { l.Members = []string{other} },
		"another environment": func(l *lock.Layer) { l.Environment = "x" },
		"no gzip":             func(l *lock.Layer) { delete(l.Blobs, "gzip") },
	} {
		l := both
		l.Blobs = maps.Clone(both.Blobs)
		change(&l)
		m := &maker{im: b.im, li: b.li, o: b.o}
		m.o.Before = []lock.Layer{l}
		j, err := m.job(both)
		if err != nil {
			t.Fatal(err)
		}
		if made, err := m.checked(j); made != nil || err != nil {
			t.Errorf("%s: believed: %+v %v", what, made, err)
		}
	}
	b.o.Before = []lock.Layer{both}
	if got := b.must(b.together())[0]; !got.Reused || got.Layer.Blobs["gzip"] != both.Blobs["gzip"] {
		t.Errorf("made again: %+v", got)
	}
	b.o.Before = nil
	if got := b.must(b.together())[0]; got.Reused {
		t.Error("what a lock states was remembered as made")
	}
}

func remove(t *testing.T, path string) {
	t.Helper()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
}

func overwrite(t *testing.T, path string) {
	t.Helper()
	remove(t, path)
	if err := os.WriteFile(path, []byte("evil"), 0o600); err != nil {
		t.Fatal(err)
	}
}

func nonsense(t *testing.T, dir string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) == 0 {
		t.Fatal(err)
	}
	for _, e := range entries {
		if err := os.WriteFile(filepath.Join(dir, e.Name()), []byte("{"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// Two processes on one store make each layer once.
func TestTwoProcesses(t *testing.T) {
	if dir := os.Getenv("FORGE_TEST_CHILD"); dir != "" {
		b := benchIn(t, dir)
		for i := range 6 {
			b.add(fmt.Sprint("demo", i), "1.0", file{name: fmt.Sprintf("demo%d/x", i), content: strings.Repeat("x", 1<<20)})
		}
		for _, m := range b.must(b.apart()) {
			fmt.Println("layer", m.Layer.Name, m.Reused, m.Layer.DiffID)
		}
		return
	}
	dir := filepath.Join(t.TempDir(), "store")
	var wg sync.WaitGroup
	outs := make([]string, 3)
	for i := range outs {
		wg.Go(func() {
			cmd := exec.Command(os.Args[0], "-test.run", "^TestTwoProcesses$")
			cmd.Env = append(os.Environ(), "FORGE_TEST_CHILD="+dir)
			out, err := cmd.CombinedOutput()
			outs[i] = string(out)
			if err != nil {
				t.Errorf("%v: %s", err, out)
			}
		})
	}
	wg.Wait()
	if made := strings.Count(strings.Join(outs, ""), " false sha256:"); made != 6 {
		t.Errorf("six layers were made %d times: %s", made, outs)
	}
}

func TestCancel(t *testing.T) {
	b := newBench(t)
	for i := range 4 {
		b.add(fmt.Sprint("demo", i), "1.0", file{name: fmt.Sprintf("demo%d/x", i), content: strings.Repeat("forge", 1<<20)})
	}
	before := b.blobs()
	ctx, cancel := context.WithCancel(context.Background())
	b.o.Jobs = 2
	b.o.Progress = func(e Event) {
		if e.Step == Converting {
			cancel()
		}
	}
	_, err := Make(ctx, b.im, b.li, b.apart(), b.o)
	if !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	if len(b.partials()) != 0 {
		t.Error(b.partials())
	}
	b.o.Progress = nil
	for sum := range b.blobs() {
		if before[sum] {
			continue
		}
		if _, ok, err := b.st.Stat(sum); !ok || err != nil {
			t.Errorf("a wrong blob %s", sum)
		}
	}
	b.must(b.apart())
}

// What is missing offline is named, and nothing is made of the rest.
func TestOffline(t *testing.T) {
	b := newBench(t)
	b.add("demo", "1.0")
	remove(t, b.st.Path(b.li.Wheels[0].SHA256))
	b.fails(b.together(), "demo-1.0-py3-none-any.whl")
}

func TestOptions(t *testing.T) {
	b := newBench(t)
	b.add("demo", "1.0")
	b.o.Slim.Drop = []string{"everything"}
	b.fails(b.together(), `no rule "everything"`)
	b.o.Slim.Drop = nil
	b.o.Slim.Keep = []string{"["}
	b.fails(b.together(), "is not a glob")
	b.o.Slim.Keep = nil
	b.fails([]lock.Layer{{Kind: "init", Name: "x"}}, "no members")
	b.fails([]lock.Layer{{Kind: "init", Name: "x", Members: []string{"x"}}}, "is not made of members")
	b.o.Codecs = nil
	b.fails(b.together(), "no codec")
}

func TestFacts(t *testing.T) {
	b := newBench(t)
	b.add("torch", "2.9.1", file{name: "torch/version.py", content: "from typing import Optional\n__all__ = ['__version__']\n__version__ = '2.9.1+cu128'\ndebug = False\n"})
	b.add("nvidia-cuda-runtime-cu12", "12.9.79")
	b.add("nvidia-cublas-cu12", "13.4.1.3")
	made := b.must(b.together())[0]
	if made.Torch != "2.9.1+cu128" || made.CUDA != "12.9" {
		t.Errorf("%q %q", made.Torch, made.CUDA)
	}
	for _, tt := range [][3]string{{"", "", ""}, {"12.8", "", "12.8"}, {"", "12.8", "12.8"}, {"12.10", "12.9", "12.10"}, {"2.9", "2.28", "2.28"}, {"2.3", "2.3.4", "2.3.4"}} {
		if got := highest(tt[0], tt[1]); got != tt[2] {
			t.Errorf("highest of %q and %q: %q", tt[0], tt[1], got)
		}
	}
}

// A wheel whose RECORD is wrong is taken when the recipe accepts exactly it, installed with a
// RECORD that is right, and refused again without that word, also where the layer was made.
func TestAcceptedWheel(t *testing.T) {
	b := newBench(t)
	wrong := sha256.Sum256([]byte("before it was stripped"))
	w := b.add("demo", "1.0", file{name: "demo/lib.so", content: "stripped", hash: wheel.RecordHash(wrong[:])})
	b.fails(b.together(), "WHL-01")
	b.im.Python.Accepts = []recipes.Accept{{File: w.File, SHA256: hexSum([]byte("another file")), Reason: "x"}}
	b.fails(b.together(), "WHL-01")
	b.im.Python.Accepts[0].SHA256 = w.SHA256
	made := b.must(b.together())
	if len(made[0].Findings) != 1 || made[0].Findings[0].ID != "WHL-01" || made[0].Findings[0].Path != "demo/lib.so" {
		t.Errorf("%+v", made[0].Findings)
	}
	_, entries := b.unpack(made[0].Layer, layer.Gzip)
	right := sha256.Sum256([]byte("stripped"))
	const site = "opt/venv/lib/python3.13/site-packages/"
	if record := entries[site+"demo-1.0.dist-info/RECORD"].content; !strings.Contains(record, "demo/lib.so,"+wheel.RecordHash(right[:])+",8\n") {
		t.Errorf("%s", record)
	}
	if again := b.must(b.together()); !again[0].Reused {
		t.Error("made again")
	}
	b.im.Python.Accepts = nil
	b.fails(b.together(), "WHL-01")
}

func TestDeclares(t *testing.T) {
	for content, want := range map[string]bool{
		"":                          true,
		"\n \n# Copyright\r\n#\n":   true,
		"# -*- coding: UTF-8 -*-\n": true,
		"__path__ = __import__(\"pkgutil\").extend_path(__path__, __name__)\n":                                                                                           true,
		"try:\n    __import__('pkg_resources').declare_namespace(__name__)\nexcept ImportError:\n    __path__ = __import__('pkgutil').extend_path(__path__, __name__)\n": true,
		"from pkgutil import extend_path\n\n__path__ = extend_path(__path__, __name__)\n":                                                                                true,

		"x = 1\n":                  false,
		"# Copyright\rimport os\n": false, // Python's lines end with a carriage return, too
		"#\fimport os\n":           false,
		"# -*- coding: utf-7 -*-\n# +AAo-import os\n":                        false, // whose comment is none
		"# vim: set fileencoding=raw_unicode_escape :\n# \\u000aimport os\n": false,
		"# \xff\n": false,
		"__path__ = __import__('pkgutil').extend_path(__path__, __name__); import os\n": false,
		"__path__ = __import__('pkgutil').extend_path(__path__, 'os')\n":                false,
		"\"\"\"A docstring.\"\"\"\n": false,
	} {
		if got := declares([]byte(content)); got != want {
			t.Errorf("%q: %v", content, got)
		}
	}
}

// FlashInfer and torch-c-dlpack-ext have each packed its build_backend.py.
func TestBuildFilesOfTwoWheels(t *testing.T) {
	b := newBench(t)
	b.add("alpha", "1", file{name: "build_backend.py", content: "x"}, file{name: "tests/__init__.py", content: "x = 1"}, file{name: "alpha/setup.py", content: "x"})
	b.add("beta", "1", file{name: "build_backend.py", content: "y"}, file{name: "tests/__init__.py", content: "x = 2"})
	for _, layers := range [][]lock.Layer{b.together(), b.apart()} {
		b.o.Slim = recipes.Slim{}
		var conflict *ConflictError
		if err := b.fails(layers, `"build_backend.py" differs between alpha and beta`); !errors.As(err, &conflict) || !strings.Contains(conflict.Hint(), `slim { drop = ["build-files"] }`) {
			t.Errorf("%v", err)
		}
		b.o.Slim = recipes.Slim{Drop: []string{"build-files"}}
		removed := 0
		for _, m := range b.must(layers) {
			removed += len(m.Removed)
		}
		if removed != 4 {
			t.Errorf("%d files are left out", removed)
		}
	}
	b.o.Slim = recipes.Slim{}
	b.li.Wheels = nil
	b.add("alpha", "1", file{name: "alpha/a.py", content: "x"})
	b.add("beta", "1", file{name: "alpha/a.py", content: "y"})
	var conflict *ConflictError
	if err := b.fails(b.together(), "differs between"); !errors.As(err, &conflict) || !strings.Contains(conflict.Hint(), "leave alpha or beta out") {
		t.Errorf("%v", err)
	}
}
