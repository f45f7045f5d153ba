package layer

import (
	"archive/tar"
	"bytes"
	"compress/flate"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"
	"time"
)

// append1 writes one file into a new layer of both codecs, and returns the error.
func append1(size int64, crc uint32, r io.Reader) error {
	w, err := NewWriter(map[Codec]io.Writer{Gzip: io.Discard, Zstd: io.Discard})
	if err != nil {
		return err
	}
	err = w.Append(Header{Path: "torch/lib/libx.so", Type: Regular, Mode: 0o644, Size: size}, r, crc, nil)
	if _, e := w.Close(); (e == nil) != (err == nil) {
		return fmt.Errorf("after %v, Close said %v", err, e)
	}
	return err
}

func TestAppendRefuses(t *testing.T) {
	for _, n := range []int{0, 1, 100, 70_000, parallel + 1} {
		p := noise(n, 9)
		raw := deflated(t, p)
		crc := crc32.ChecksumIEEE(p)
		rows := []struct {
			id, name string
			size     int64
			crc      uint32
			raw      []byte
		}{
			{"accepted", "as it is", int64(n), crc, raw},
			{"ZIP-00", "size one more", int64(n) + 1, crc, raw},
			{"ZIP-00", "size one less", int64(n) - 1, crc, raw},
			{"ZIP-09", "another CRC", int64(n), crc ^ 1, raw},
			{"CMP-01", "a byte after the stream", int64(n), crc, append(bytes.Clone(raw), 0)},
			{"CMP-01", "another stream after it", int64(n), crc, append(bytes.Clone(raw), raw...)},
			{"CMP-01", "cut off", int64(n), crc, raw[:len(raw)-1]},
			{"CMP-01", "empty", int64(n), crc, nil},
			{"CMP-01", "block type 3", int64(n), crc, []byte{7}},
		}
		for _, row := range rows {
			if row.size < 0 {
				continue
			}
			for _, step := range []int{1 << 20, 7} {
				err := append1(row.size, row.crc, few{bytes.NewReader(row.raw), step})
				if idOf(err) != row.id {
					t.Errorf("%d bytes, %s: %v", n, row.name, err)
				}
				var mis *MismatchError
				if row.id != "accepted" && (!errors.As(err, &mis) || mis.Entry != "torch/lib/libx.so") {
					t.Errorf("%d bytes, %s: %#v does not name the file", n, row.name, err)
				}
			}
		}
	}
}

// zeroRun is DEFLATE of n MiB of zeros that does not end: the same flushed block again and
// again, each of which reaches back only into zeros.
func zeroRun(t testing.TB, n int) []byte {
	var b bytes.Buffer
	w, err := flate.NewWriter(&b, 9)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(make([]byte, 1<<20)); err != nil {
		t.Fatal(err)
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	return bytes.Repeat(b.Bytes(), n)
}

// A member that is declared as S bytes and inflates to S + 2³²: CRC and ISIZE fit, and the
// excess holds the header of a file that no index shows. ZIP-00.
func TestHiddenTar(t *testing.T) {
	const declared = 512
	content := bytes.Repeat([]byte("x"), declared)
	hidden := new(raw).entry('0', "hidden.txt", "hidden").b
	fill := 1<<32 - len(hidden)
	run := fill >> 20 // MiB
	var deflate []byte
	put := func(p []byte, final bool) {
		b := stored(p)
		if !final {
			b[0] = 0
		}
		deflate = append(deflate, b...)
	}
	put(append(bytes.Clone(content), hidden...), false)
	deflate = append(deflate, zeroRun(t, run)...)
	left := make([]byte, fill-run<<20)
	for len(left) > 60_000 {
		put(left[:60_000], false)
		left = left[60_000:]
	}
	put(left, true)

	crc := crc32.NewIEEE()
	_, _ = crc.Write(content)
	_, _ = crc.Write(hidden)
	mib := make([]byte, 1<<20)
	for n := fill; n > 0; n -= min(n, len(mib)) {
		_, _ = crc.Write(mib[:min(n, len(mib))])
	}
	t.Logf("%d bytes of DEFLATE", len(deflate))
	for _, r := range []io.Reader{bytes.NewReader(deflate), struct{ io.Reader }{bytes.NewReader(deflate)}} {
		start := time.Now()
		err := append1(declared, crc.Sum32(), r)
		if idOf(err) != "ZIP-00" {
			t.Errorf("got %v", err)
		}
		if d := time.Since(start); d > 2*time.Second {
			t.Errorf("refused only after %v", d)
		}
	}

	// An index that says 512 bytes must not be believed either.
	b := appendTrailer(append([]byte(gzipHeader), deflate...), crc.Sum32(), declared)
	sum := sha256.Sum256(content)
	ix := &Index{Blobs: map[Codec]Blob{Gzip: {}}, Entries: []Entry{{Path: "f", Type: Regular, Size: declared,
		SHA256: hex.EncodeToString(sum[:]), Blobs: map[Codec]Place{Gzip: {Length: int64(len(b))}}}}}
	r, err := ix.Open(Gzip, bytes.NewReader(b), "f")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, r); idOf(err) != "LAY-02" {
		t.Errorf("Open: got %v", err)
	}

	if testing.Short() {
		t.Log("not shown, because of -short: that other readers take the member for sound and list hidden.txt")
		return
	}
	header := appendMember(nil, appendTar(nil, Header{Path: "f", Type: Regular, Size: declared}))
	z, err := gzip.NewReader(io.MultiReader(bytes.NewReader(header), bytes.NewReader(b)))
	if err != nil {
		t.Fatal(err)
	}
	tr := tar.NewReader(z)
	for _, want := range []string{"f", "hidden.txt"} {
		if h, err := tr.Next(); err != nil || h.Name != want {
			t.Fatalf("the attack is none: %v, %v", h, err)
		}
	}
	if n, err := io.Copy(io.Discard, z); err != nil { // to its CRC and ISIZE
		t.Errorf("the attack is none: %v after %d bytes", err, n)
	}
}

func TestAddRefusesOtherLengths(t *testing.T) {
	for _, n := range []int{0, 1, 63, 64, 1000, parallel + 5} {
		for _, d := range []int{-1, 0, 1, 100_000} {
			if n+d < 0 {
				continue
			}
			w, err := NewWriter(map[Codec]io.Writer{Gzip: io.Discard, Zstd: io.Discard})
			if err != nil {
				t.Fatal(err)
			}
			err = w.Add(Header{Path: "p", Type: Regular, Size: int64(n)}, bytes.NewReader(make([]byte, n+d)), nil)
			if want := map[bool]string{true: "accepted", false: "ZIP-00"}[d == 0]; idOf(err) != want {
				t.Errorf("%d bytes for %d: %v", n+d, n, err)
			}
		}
	}
}

func TestWriterRefuses(t *testing.T) {
	file := func(p string) Header { return Header{Path: p, Type: Regular, Mode: 0o644} }
	link := func(p, to string) Header { return Header{Path: p, Type: Symlink, Mode: 0o777, Link: to} }
	hard := func(p, to string) Header { return Header{Path: p, Type: Hardlink, Mode: 0o644, Link: to} }
	dir := func(p string) Header { return Header{Path: p, Type: Dir, Mode: 0o755} }
	rows := []struct {
		id, name string
		h        []Header
	}{
		{"accepted", "a file", []Header{file("a/b")}},
		{"accepted", "a folder that was implied", []Header{file("a/b"), dir("a")}},
		{"accepted", "a backslash, as systemd has", []Header{file(`a/dev-disk-by\x2dlabel`)}},
		{"ZIP-01", "empty", []Header{file("")}},
		{"ZIP-01", "absolute", []Header{file("/a")}},
		{"ZIP-01", "..", []Header{file("a/../b")}},
		{"ZIP-01", "slash at the end", []Header{dir("a/")}},
		{"ZIP-01", "NUL", []Header{file("a\x00b")}},
		{"ZIP-01", "escape", []Header{file("\x1b[2J")}},
		{"ZIP-01", "not UTF-8", []Header{file("\xff")}},
		{"ZIP-01", "1025 bytes", []Header{file(strings.Repeat("a", 1025))}},
		{"ZIP-01", "65 levels", []Header{file(strings.Repeat("a/", 64) + "b")}},
		{"OCI-04", "a whiteout", []Header{file("a/.wh.b")}},
		{"OCI-04", "an opaque marker", []Header{file("a/.wh..wh..opq")}},
		{"OCI-04", "below a whiteout", []Header{file(".wh.a/b")}},
		{"TAR-05", "twice", []Header{file("a"), file("a")}},
		{"TAR-05", "a file for a folder", []Header{file("a/b"), file("a")}},
		{"TAR-05", "a folder with another mode", []Header{file("a/b"), {Path: "a", Type: Dir, Mode: 0o700}}},
		{"TAR-02", "below a file", []Header{file("a"), file("a/b")}},
		{"TAR-02", "below a symbolic link", []Header{link("a", "b"), file("a/b")}},
		{"TAR-02", "hard link to nothing", []Header{hard("a", "b")}},
		{"TAR-02", "hard link to itself", []Header{hard("a", "a")}},
		{"TAR-02", "hard link to a folder", []Header{dir("b"), hard("a", "b")}},
		{"TAR-02", "hard link to a symbolic link", []Header{link("b", "c"), hard("a", "b")}},
		{"TAR-02", "hard link that leaves", []Header{hard("a", "../b")}},
		{"TAR-02", "symbolic link without target", []Header{link("a", "")}},
		{"TAR-02", "symbolic link with a NUL", []Header{link("a", "b\x00c")}},
		{"TAR-02", "file with a target", []Header{{Path: "a", Type: Regular, Link: "b"}}},
		{"TAR-03", "folder with a size", []Header{{Path: "a", Type: Dir, Size: 1}}},
		{"TAR-04", "no type", []Header{{Path: "a"}}},
		{"TAR-04", "a whiteout's type", []Header{{Path: "a", Type: Whiteout}}},
		{"TAR-05", "mode", []Header{{Path: "a", Type: Regular, Mode: 0o100644}}},
		{"TAR-05", "negative owner", []Header{{Path: "a", Type: Regular, UID: -1}}},
		{"TAR-05", "owner 2³¹", []Header{{Path: "a", Type: Regular, GID: 1 << 31}}},
		{"TAR-05", "negative size", []Header{{Path: "a", Type: Regular, Size: -1}}},
		{"TAR-05", "extended attributes", []Header{{Path: "a", Type: Regular, Xattrs: map[string]string{"a": "b"}}}},
	}
	for _, row := range rows {
		w, err := NewWriter(map[Codec]io.Writer{Gzip: io.Discard})
		if err != nil {
			t.Fatal(err)
		}
		for i, h := range row.h {
			err = w.Add(h, strings.NewReader(""), nil)
			if err != nil && i+1 < len(row.h) {
				t.Errorf("%s: %v", row.name, err)
			}
		}
		if idOf(err) != row.id {
			t.Errorf("%s: %s is %v", row.id, row.name, err)
		}
		if _, again := w.Close(); err != nil && !errors.Is(again, err) {
			t.Errorf("%s: Close said %v", row.name, again)
		}
	}
	if _, err := NewWriter(nil); err == nil {
		t.Error("a layer without a codec")
	}
	if _, err := NewWriter(map[Codec]io.Writer{Tar: io.Discard}); err == nil {
		t.Error("a layer in codec tar")
	}
	w, err := NewWriter(map[Codec]io.Writer{Gzip: io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := add(w, "a", nil); err == nil {
		t.Error("a file after Close")
	}
}

type brokenWriter struct{ left int }

func (b *brokenWriter) Write(p []byte) (int, error) {
	if b.left -= len(p); b.left < 0 {
		return 0, errBroken
	}
	return len(p), nil
}

var errBroken = errors.New("disk is full")

func TestErrorsOfOthersAreReturned(t *testing.T) {
	p := noise(3<<20, 6)
	raw := deflated(t, p)
	h := Header{Path: "p", Type: Regular, Size: int64(len(p))}
	for _, limit := range []int{0, 70_000, 1 << 20} {
		for _, c := range []Codec{Gzip, Zstd} {
			w, err := NewWriter(map[Codec]io.Writer{c: &brokenWriter{limit}})
			if err != nil {
				t.Fatal(err)
			}
			err = w.Append(h, bytes.NewReader(raw), crc32.ChecksumIEEE(p), nil)
			if err == nil {
				_, err = w.Close()
			}
			if !errors.Is(err, errBroken) {
				t.Errorf("%s, output fails after %d: %v", c, limit, err)
			}
		}
		w, err := NewWriter(map[Codec]io.Writer{Gzip: io.Discard})
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Append(h, bytes.NewReader(raw), crc32.ChecksumIEEE(p), &brokenWriter{limit}); !errors.Is(err, errBroken) {
			t.Errorf("tee fails after %d: %v", limit, err)
		}
		w, err = NewWriter(map[Codec]io.Writer{Gzip: io.Discard})
		if err != nil {
			t.Fatal(err)
		}
		r := io.MultiReader(bytes.NewReader(raw[:limit]), errReader{})
		if err := w.Append(h, r, crc32.ChecksumIEEE(p), nil); !errors.Is(err, errBroken) {
			t.Errorf("source fails after %d: %v", limit, err)
		}
	}
}

type errReader struct{}

func (errReader) Read([]byte) (int, error) { return 0, errBroken }

func TestTeeGetsTheContent(t *testing.T) {
	for _, n := range []int{0, 10, 3 << 20} {
		p := noise(n, 11)
		var a, b bytes.Buffer
		w, err := NewWriter(map[Codec]io.Writer{Gzip: io.Discard})
		if err != nil {
			t.Fatal(err)
		}
		h := Header{Path: "a", Type: Regular, Size: int64(n)}
		if err := w.Append(h, bytes.NewReader(deflated(t, p)), crc32.ChecksumIEEE(p), &a); err != nil {
			t.Fatal(err)
		}
		h.Path = "b"
		if err := w.Add(h, bytes.NewReader(p), &b); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(a.Bytes(), p) || !bytes.Equal(b.Bytes(), p) {
			t.Errorf("%d bytes differ", n)
		}
	}
}

// memoryTee looks at the live heap now and then.
type memoryTee struct {
	n, next int
	most    uint64
}

func (m *memoryTee) Write(p []byte) (int, error) {
	if m.n += len(p); m.n >= m.next {
		m.next = m.n + 32<<20
		runtime.GC()
		var s runtime.MemStats
		runtime.ReadMemStats(&s)
		m.most = max(m.most, s.HeapAlloc)
	}
	return len(p), nil
}

// repeated yields a stored DEFLATE stream of n times 60000 bytes, an ELF file at first sight.
func repeated(n int) (io.Reader, uint32, int64) {
	p := noise(60_000, 12)
	b := stored(p)
	b[0] = 0
	crc := crc32.NewIEEE()
	var rs []io.Reader
	head := append(elfMagic[:], p[4:]...)
	first := stored(head)
	first[0] = 0
	rs = append(rs, bytes.NewReader(first))
	_, _ = crc.Write(head)
	for range n - 1 {
		_, _ = crc.Write(p)
		rs = append(rs, bytes.NewReader(b))
	}
	rs = append(rs, bytes.NewReader(stored(nil)))
	return io.MultiReader(rs...), crc.Sum32(), int64(n) * 60_000
}

func TestMemoryIsBounded(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(50))
	r, crc, size := repeated(3000)
	runtime.GC()
	var s runtime.MemStats
	runtime.ReadMemStats(&s)
	w, err := NewWriter(map[Codec]io.Writer{Gzip: io.Discard, Zstd: io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	tee := &memoryTee{}
	if err := w.Append(Header{Path: "big.so", Type: Regular, Size: size}, r, crc, tee); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Close(); err != nil {
		t.Fatal(err)
	}
	used := tee.most - s.HeapAlloc
	t.Logf("%d MB of content with %d MB of memory", size/1e6, used>>20)
	if used > 40<<20 {
		t.Errorf("%d bytes of memory", used)
	}
}

func TestDeflateOfHeaders(t *testing.T) {
	inflateAll := func(b []byte) []byte {
		p, err := io.ReadAll(flate.NewReader(bytes.NewReader(b)))
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	for n := range 1200 {
		p := append(append([]byte("a"), make([]byte, n)...), 200, 0, 0)
		if got := inflateAll(deflate(nil, p)); !bytes.Equal(got, p) {
			t.Fatalf("%d zeros come back as %d bytes", n, len(got))
		}
	}
	for i := range 200 {
		p := noise(i*13, uint64(i))
		if got := inflateAll(deflate(nil, p)); !bytes.Equal(got, p) {
			t.Fatalf("%d bytes differ", len(p))
		}
	}
	h := appendTar(nil, Header{Path: "opt/venv/lib/python3.13/site-packages/torch/__init__.py", Type: Regular, Mode: 0o644, Size: 12345})
	b := appendMember(nil, h)
	if len(b) > 190 {
		t.Errorf("a header takes %d bytes", len(b))
	}
	sum := sha256.Sum256(b)
	if got := hex.EncodeToString(sum[:]); got != goldenHeader {
		t.Errorf("a header's member is %s, was %s: raise Format if this is meant", got, goldenHeader)
	}
}

const goldenHeader = "338f22c44616ed39b8ab407ef9d4fcc8c02891f4fbdb7e3eb70ef5d1df3a7aec"

func TestLargeNumbersInHeaders(t *testing.T) {
	h := Header{Path: "big", Type: Regular, Mode: 0o644, UID: 1 << 30, GID: 1<<21 - 1, Size: 20 << 30}
	b := appendTar(nil, h)
	got, err := tar.NewReader(bytes.NewReader(b)).Next()
	if err != nil {
		t.Fatal(err)
	}
	if got.Size != h.Size || got.Uid != h.UID || got.Gid != h.GID {
		t.Errorf("the standard library reads %+v", got)
	}
	tr := &tarReader{in: bytes.NewReader(b), seen: map[string]kind{}}
	stop := errors.New("header is read")
	for {
		more, err := tr.next(func(mine Header, _ io.Reader) error {
			if mine.Size != h.Size || mine.UID != h.UID || mine.GID != h.GID {
				t.Errorf("Read has %+v", mine)
			}
			return stop
		})
		if errors.Is(err, stop) {
			break
		}
		if err != nil || !more {
			t.Fatal(err)
		}
	}
	h.Size = 8<<30 - 1
	if b := appendTar(nil, Header{Path: "b", Type: Regular, Size: h.Size}); len(b) != block {
		t.Errorf("8 GiB - 1 takes %d bytes of header", len(b))
	}
}

// Every length of name, and slashes everywhere.
func TestNames(t *testing.T) {
	for n := 1; n <= 300; n++ {
		for _, p := range []string{strings.Repeat("n", n), strings.Repeat("n", n/2) + "/" + strings.Repeat("m", n-n/2), "a/" + strings.Repeat("n", n)} {
			for _, typ := range []Type{Regular, Dir} {
				b := appendTar(nil, Header{Path: p, Type: typ, Mode: 0o755})
				got, err := tar.NewReader(bytes.NewReader(b)).Next()
				if err != nil || strings.TrimSuffix(got.Name, "/") != strings.TrimSuffix(p, "/") {
					t.Fatalf("%q is read as %v, %v", p, got, err)
				}
				if fits := len(p) <= 99 && p[len(p)-1] != '/'; fits && len(b) != block {
					t.Errorf("%q takes %d bytes", p, len(b))
				}
			}
		}
	}
}
