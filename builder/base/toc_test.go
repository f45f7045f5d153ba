package base

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/containerd/stargz-snapshotter/estargz"

	"github.com/forge-build/forge/builder/layer"
)

// lazy makes an eStargz layer with containerd's own library, and changes its table of
// contents, which lies in the layer's tar too.
func lazy(t testing.TB, files []file, change func(*estargz.JTOC)) []byte {
	t.Helper()
	plain := tarOf(files)
	b, err := estargz.Build(io.NewSectionReader(bytes.NewReader(plain), 0, int64(len(plain))), estargz.WithChunkSize(1000))
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	blob, err := io.ReadAll(b)
	if err != nil {
		t.Fatal(err)
	}
	if change == nil {
		return blob
	}
	at, ok := tocAt(bytes.NewReader(blob), int64(len(blob)))
	if !ok {
		t.Fatal("the library's footer is not found")
	}
	z, err := gzip.NewReader(bytes.NewReader(blob[at:]))
	if err != nil {
		t.Fatal(err)
	}
	in := tar.NewReader(z)
	var table estargz.JTOC
	if _, err = in.Next(); err == nil {
		err = json.NewDecoder(in).Decode(&table)
	}
	if err != nil {
		t.Fatal(err)
	}
	change(&table)
	raw, err := json.Marshal(table)
	if err != nil {
		t.Fatal(err)
	}
	return append(bytes.Clone(blob[:at]), append(zip(tarOf([]file{{name: tocName, content: string(raw)}})), blob[len(blob)-51:]...)...)
}

func inflated(t testing.TB, blob []byte) []byte {
	t.Helper()
	z, err := gzip.NewReader(bytes.NewReader(blob))
	if err != nil {
		t.Fatal(err)
	}
	plain, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return plain
}

// OCI-06: the tar is the truth, and a table of contents that says otherwise is refused.
func TestATableOfContentsMustBeTheTars(t *testing.T) {
	files := append(system(), file{name: "srv/large", content: strings.Repeat("0123456789abcdef", 200)}, file{name: "srv/.wh.gone"}, file{name: "opt/.wh..wh..opq"}, file{name: "srv/empty"})
	entry := func(name string, change func(*estargz.TOCEntry)) func(*estargz.JTOC) {
		return func(j *estargz.JTOC) {
			for _, e := range j.Entries {
				if e.Name == name {
					change(e)
					return
				}
			}
			t.Errorf("the table has no %s", name)
		}
	}
	other := "sha256:" + strings.Repeat("0", 64)
	for _, row := range []struct {
		name   string
		change func(*estargz.JTOC)
		want   string // empty: it is taken

		elsewhere bool // the footer leads into a file's content
	}{
		{name: "the library's own"},
		{name: "written again", change: func(*estargz.JTOC) {}},
		{name: "one file more", want: `lists "etc/evil"`, change: func(j *estargz.JTOC) {
			j.Entries = append(j.Entries, &estargz.TOCEntry{Name: "etc/evil", Type: "reg"})
		}},
		{name: "one file less", want: `the tar holds "srv/empty"`, change: func(j *estargz.JTOC) {
			for i, e := range j.Entries {
				if e.Name == "srv/empty" {
					j.Entries = append(j.Entries[:i], j.Entries[i+1:]...)
					return
				}
			}
		}},
		{name: "a whiteout less", want: `the tar holds "srv/.wh.gone"`, change: entry("srv/.wh.gone", func(e *estargz.TOCEntry) { e.Name = "srv/.wh.other" })},
		{name: "one file twice", want: "is there twice", change: func(j *estargz.JTOC) { j.Entries = append(j.Entries, j.Entries[len(j.Entries)-1]) }},
		{name: "another type", want: `the type of "srv/empty"`, change: entry("srv/empty", func(e *estargz.TOCEntry) { e.Type = "dir" })},
		{name: "another target", want: `the target of "usr/local/bin/python3"`, change: entry("usr/local/bin/python3", func(e *estargz.TOCEntry) { e.LinkName = "/tmp/x" })},
		{name: "setuid", want: `the mode of "srv/empty"`, change: entry("srv/empty", func(e *estargz.TOCEntry) { e.Mode |= 0o4000 })},
		{name: "another owner", want: `the owner of "srv/empty"`, change: entry("srv/empty", func(e *estargz.TOCEntry) { e.UID = 1 })},
		{name: "another size", want: `the size of "srv/empty"`, change: entry("srv/empty", func(e *estargz.TOCEntry) { e.Size = 1 })},
		{name: "a capability", want: "extended attributes", change: entry("srv/empty", func(e *estargz.TOCEntry) { e.Xattrs = map[string][]byte{"security.capability": {1}} })},
		{name: "another content", want: `"etc/passwd": 32 bytes at 0 are`, change: entry("etc/passwd", func(e *estargz.TOCEntry) { e.Digest, e.ChunkDigest = other, other })},
		{name: "another digest of the whole", want: `"etc/passwd": it is sha256:`, change: entry("etc/passwd", func(e *estargz.TOCEntry) { e.Digest = other })},
		{name: "another piece", want: `"srv/large": 1000 bytes at 0 are`, change: entry("srv/large", func(e *estargz.TOCEntry) { e.ChunkDigest = other })},
		{name: "another last piece", want: `"srv/large": 200 bytes at 3000 are`, change: func(j *estargz.JTOC) {
			for _, e := range j.Entries {
				if e.Type == "chunk" && e.ChunkOffset == 3000 {
					e.ChunkDigest = other
				}
			}
		}},
		{name: "a hole between pieces", want: "due is one at 1000", change: func(j *estargz.JTOC) {
			for i, e := range j.Entries {
				if e.Type == "chunk" && e.ChunkOffset == 1000 {
					j.Entries = append(j.Entries[:i], j.Entries[i+1:]...)
					return
				}
			}
		}},
		{name: "no digest at all", want: `and "" in its table`, change: entry("etc/passwd", func(e *estargz.TOCEntry) { e.Digest, e.ChunkDigest = "", "" })},
		{name: "a piece of nothing", want: "in pieces of nothing", change: func(j *estargz.JTOC) {
			j.Entries = append([]*estargz.TOCEntry{{Name: "x", Type: "chunk"}}, j.Entries...)
		}},
		{name: "a footer that leads elsewhere", want: "cannot be read", elsewhere: true},
	} {
		t.Run(row.name, func(t *testing.T) {
			w := newWorld(t)
			blob := lazy(t, files, row.change)
			if row.elsewhere {
				i := len(blob) - 51 + 16
				blob = append(append(bytes.Clone(blob[:i]), fmt.Sprintf("%016x", len(blob)/2)...), blob[i+16:]...)
			}
			_, err := w.read(w.recipe(w.image(made{layers: [][]file{nil}, plain: inflated(t, blob), blob: func([]byte) []byte { return blob }})))
			if row.want == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), "OCI-06") || !strings.Contains(err.Error(), row.want) {
				t.Errorf("%v, want OCI-06 with %s", err, row.want)
			}
		})
	}
}

// A layer that removes all that another has is read in the time that its size asks for.
func TestManyRemovalsAreReadInTime(t *testing.T) {
	const n = 60_000
	first, second := &record{}, &record{}
	for i := range n {
		first.Entries = append(first.Entries, entry{Path: fmt.Sprintf("d%d/f", i), Type: layer.Regular})
		second.Entries = append(second.Entries, entry{Path: fmt.Sprintf("d%d", i), Type: layer.Whiteout})
	}
	tree, began := newTree("test"), time.Now()
	if err := errors.Join(tree.apply(0, first), tree.apply(1, second)); err != nil || len(tree.nodes) > 0 {
		t.Errorf("%d paths are left, %v", len(tree.nodes), err)
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("it took %v", took)
	}
}

// FuzzTOC: a table that comes from anywhere is refused or taken, in time and without panic.
func FuzzTOC(f *testing.F) {
	for _, content := range []string{`{"version":1,"entries":[{"name":"a","type":"reg","size":3,"digest":"sha256:00"},{"type":"chunk","chunkOffset":1}]}`, `{"entries":[{"name":"../a","type":"dir"}]}`, `{}`} {
		f.Add([]byte(content), int64(0))
	}
	r := &reader{from: "test"}
	f.Fuzz(func(t *testing.T, content []byte, shift int64) {
		blob := zip(tarOf([]file{{name: tocName, content: string(content)}}))
		var footer bytes.Buffer
		z := gzip.NewWriter(&footer)
		z.Extra = []byte("SG\x16\x00" + fmt.Sprintf("%016x", uint64(shift)) + "STARGZ")
		if err := z.Close(); err != nil {
			t.Fatal(err)
		}
		blob = append(blob, footer.Bytes()...)
		c, err := r.contents(bytes.NewReader(blob), descriptor{Size: int64(len(blob))})
		if err != nil || c == nil {
			return
		}
		for name, e := range c.files {
			if name != strings.Trim(name, "/") || strings.Contains("/"+name+"/", "/../") {
				t.Errorf("path %q", name)
			}
			if size := e.Size; size >= 0 && size < 1000 {
				_ = c.compare(layer.Header{Path: name, Type: layer.Regular, Size: size}, strings.NewReader(strings.Repeat("x", int(size))))
			}
		}
		_ = c.rest()
	})
}
