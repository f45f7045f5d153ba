package convert

import (
	"archive/zip"
	"bytes"
	"compress/flate"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/forge-build/forge/builder/fetch"
	"github.com/forge-build/forge/builder/layer"
	"github.com/forge-build/forge/builder/store"
	"github.com/forge-build/forge/builder/wheel"
	"github.com/forge-build/forge/recipes"
	"github.com/forge-build/forge/recipes/lock"
)

// file is one file of a wheel that a test makes.
type file struct {
	name, content string
	exec, stored  bool
	raw           []byte // the compressed bytes, when they shall be something else
	size          uint64 // stated, with raw
	crc           uint32 // stated, with raw
	hash          string // RECORD's, when it shall be something else
	rowSize       string
}

// makeWheel returns the file name and the bytes of a wheel.
func makeWheel(t testing.TB, name, version string, files ...file) (string, []byte) {
	t.Helper()
	info := strings.ReplaceAll(name, "-", "_") + "-" + version + ".dist-info"
	files = append(append([]file(nil), files...),
		file{name: info + "/METADATA", content: "Metadata-Version: 2.1\nName: " + name + "\nVersion: " + version + "\n"},
		file{name: info + "/WHEEL", content: "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"})
	var rows strings.Builder
	for _, f := range files {
		sum := sha256.Sum256([]byte(f.content))
		hash, size := wheel.RecordHash(sum[:]), strconv.Itoa(len(f.content))
		if f.hash != "" {
			hash = f.hash
		}
		if f.rowSize != "" {
			size = f.rowSize
		}
		fmt.Fprintf(&rows, "%s,%s,%s\n", f.name, hash, size)
	}
	files = append(files, file{name: info + "/RECORD", content: rows.String() + info + "/RECORD,,\n"})
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for _, f := range files {
		h := &zip.FileHeader{Name: f.name, Method: zip.Deflate, CRC32: crc32.ChecksumIEEE([]byte(f.content)), UncompressedSize64: uint64(len(f.content))}
		h.SetMode(0o644)
		if f.exec {
			h.SetMode(0o755)
		}
		data := squeeze(t, []byte(f.content))
		if f.stored {
			data, h.Method = []byte(f.content), zip.Store
		}
		if f.raw != nil {
			data, h.UncompressedSize64, h.CRC32 = f.raw, f.size, f.crc
		}
		h.CompressedSize64 = uint64(len(data))
		w, err := z.CreateRaw(h)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(data); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(name, "-", "_") + "-" + version + "-py3-none-any.whl", b.Bytes()
}

func squeeze(t testing.TB, content []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := flate.NewWriter(&b, 6)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(content); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// bench is a store, a lock, and options to make its layers with.
type bench struct {
	t  testing.TB
	st *store.Store
	li *lock.Image
	im *recipes.Image
	o  Options
}

func newBench(t testing.TB) *bench {
	t.Helper()
	return benchIn(t, filepath.Join(t.TempDir(), "store"))
}

func benchIn(t testing.TB, dir string) *bench {
	t.Helper()
	st, err := store.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	f := fetch.New(st, fetch.Settings{}, nil)
	f.Offline = true
	im := &recipes.Image{Name: "test", Platform: "linux/amd64"}
	li := &lock.Image{Platform: "linux/amd64", Python: lock.Python{Version: "3.13"}}
	return &bench{t, st, li, im, Options{Store: st, Fetch: f, Codecs: []layer.Codec{layer.Gzip, layer.Zstd}}}
}

// add makes a wheel, puts it into the store and the lock, and returns its entry.
func (b *bench) add(name, version string, files ...file) *lock.Wheel {
	b.t.Helper()
	fileName, data := makeWheel(b.t, name, version, files...)
	return b.addBytes(name, version, fileName, data)
}

func (b *bench) addBytes(name, version, fileName string, data []byte) *lock.Wheel {
	b.t.Helper()
	p, err := b.st.Create()
	if err != nil {
		b.t.Fatal(err)
	}
	if _, err := p.Write(data); err != nil {
		b.t.Fatal(err)
	}
	sum, err := p.Commit("")
	if err != nil {
		b.t.Fatal(err)
	}
	b.li.Wheels = append(b.li.Wheels, lock.Wheel{Name: name, Version: version, File: fileName, Index: "default", Size: int64(len(data)), SHA256: sum})
	return &b.li.Wheels[len(b.li.Wheels)-1]
}

// together groups all wheels of the lock into one layer.
func (b *bench) together() []lock.Layer {
	l := lock.Layer{Kind: "wheels", Name: "all"}
	for _, w := range b.li.Wheels {
		l.Members = append(l.Members, w.SHA256)
	}
	return []lock.Layer{l}
}

// apart gives each wheel a layer.
func (b *bench) apart() []lock.Layer {
	var ls []lock.Layer
	for _, w := range b.li.Wheels {
		ls = append(ls, lock.Layer{Kind: "wheels", Name: w.Name, Environment: w.Environment, Members: []string{w.SHA256}})
	}
	return ls
}

func (b *bench) make(layers []lock.Layer) ([]Made, error) {
	return Make(context.Background(), b.im, b.li, layers, b.o)
}

func (b *bench) must(layers []lock.Layer) []Made {
	b.t.Helper()
	made, err := b.make(layers)
	if err != nil {
		b.t.Fatal(err)
	}
	return made
}

// fails makes the layers and wants an error that contains text.
func (b *bench) fails(layers []lock.Layer, text string) error {
	b.t.Helper()
	_, err := b.make(layers)
	if err == nil || !strings.Contains(err.Error(), text) {
		b.t.Fatalf("got %v, want an error with %q", err, text)
	}
	return err
}

// blobs lists the sums in the store.
func (b *bench) blobs() map[string]bool {
	b.t.Helper()
	entries, err := os.ReadDir(filepath.Join(b.st.Dir(), "blobs", "sha256"))
	if err != nil {
		b.t.Fatal(err)
	}
	sums := map[string]bool{}
	for _, e := range entries {
		sums[e.Name()] = true
	}
	return sums
}

// partials lists what is half written.
func (b *bench) partials() []string {
	b.t.Helper()
	entries, err := os.ReadDir(filepath.Join(b.st.Dir(), "partial"))
	if err != nil {
		b.t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func hexSum(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

func readAll(t testing.TB, r io.Reader) []byte {
	t.Helper()
	data, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// newFlusher compresses into blocks after which a stream can go on.
func newFlusher(t testing.TB, out io.Writer) func([]byte) {
	t.Helper()
	return func(content []byte) {
		w, err := flate.NewWriter(out, 6)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(content); err != nil {
			t.Fatal(err)
		}
		if err := w.Flush(); err != nil {
			t.Fatal(err)
		}
	}
}
