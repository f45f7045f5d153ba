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
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"
)

// deflated compresses p as a ZIP writer would.
func deflated(t testing.TB, p []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := flate.NewWriter(&b, 6)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(p); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// stored is p as DEFLATE that no library decides about.
func stored(p []byte) []byte {
	var b []byte
	for {
		n := min(len(p), 65535)
		final := byte(0)
		if n == len(p) {
			final = 1
		}
		b = append(b, final, byte(n), byte(n>>8), ^byte(n), ^byte(n>>8))
		b = append(b, p[:n]...)
		if p = p[n:]; final == 1 {
			return b
		}
	}
}

// noise is n bytes that compress about two to one, the same on every machine.
func noise(n int, seed uint64) []byte {
	r := rand.New(rand.NewPCG(seed, 1))
	b := make([]byte, 0, n+64)
	for len(b) < n {
		if len(b) > 100 && r.IntN(3) > 0 {
			at := r.IntN(len(b) - 64)
			b = append(b, b[at:at+8+r.IntN(40)]...)
			continue
		}
		for range 12 {
			b = append(b, byte(r.Uint32()))
		}
	}
	return b[:n]
}

type made struct {
	res  *Result
	blob map[Codec][]byte
}

// write makes a layer in both codecs.
func write(t testing.TB, fill func(*Writer) error) made {
	t.Helper()
	var gz, zs bytes.Buffer
	w, err := NewWriter(map[Codec]io.Writer{Gzip: &gz, Zstd: &zs})
	if err != nil {
		t.Fatal(err)
	}
	if err := fill(w); err != nil {
		t.Fatal(err)
	}
	res, err := w.Close()
	if err != nil {
		t.Fatal(err)
	}
	return made{res, map[Codec][]byte{Gzip: gz.Bytes(), Zstd: zs.Bytes()}}
}

func add(w *Writer, p string, content []byte) error {
	return w.Add(Header{Path: p, Type: Regular, Mode: 0o644, Size: int64(len(content)), Owner: "test:add"}, bytes.NewReader(content), nil)
}

func appendTo(w *Writer, p string, raw, content []byte) error {
	return w.Append(Header{Path: p, Type: Regular, Mode: 0o755, Size: int64(len(content)), Owner: "test:append"},
		bytes.NewReader(raw), crc32.ChecksumIEEE(content), nil)
}

var long = strings.Repeat("directory/", 12) + strings.Repeat("f", 90)

// sample writes a bit of everything.
func sample(w *Writer) error {
	big := noise(3<<20, 1)
	steps := []error{
		appendTo(w, "opt/venv/lib/a.py", stored([]byte("print(1)\n")), []byte("print(1)\n")),
		appendTo(w, "opt/venv/lib/empty", stored(nil), nil),
		appendTo(w, "opt/venv/lib/big.so", stored(big), big),
		add(w, "opt/venv/lib/added", noise(100_000, 2)),
		add(w, "opt/venv/lib/tiny", []byte("tiny")),
		add(w, "opt/venv/lib/none", []byte{}),
		add(w, "opt/venv/lib/big2", noise(2<<20, 3)),
		w.Add(Header{Path: "opt/own", Type: Dir, Mode: 0o700, UID: 1001, GID: 1002, Owner: "x"}, nil, nil),
		w.Add(Header{Path: "opt/link", Type: Symlink, Mode: 0o777, Link: "/usr/bin/python3"}, nil, nil),
		w.Add(Header{Path: "opt/hard", Type: Hardlink, Mode: 0o755, Link: "opt/venv/lib/a.py"}, nil, nil),
		w.Add(Header{Path: "opt/venv", Type: Dir, Mode: 0o755}, nil, nil),
		add(w, "opt/Főtanúsítvány.crt", []byte("ü")),
		add(w, "opt/"+long, []byte("long name")),
		w.Add(Header{Path: "opt/longlink", Type: Symlink, Mode: 0o777, Link: long}, nil, nil),
		w.Add(Header{Path: "opt/ids", Type: Regular, Mode: 0o4755, UID: 2147483647, GID: 2097152, Size: 1}, strings.NewReader("x"), nil),
	}
	return errors.Join(steps...)
}

// want is what sample's layer holds.
func want() map[string]string {
	sum := func(p []byte) string { s := sha256.Sum256(p); return hex.EncodeToString(s[:8]) }
	return map[string]string{
		"opt/":                       "5 755 0:0 ",
		"opt/venv/":                  "5 755 0:0 ",
		"opt/venv/lib/":              "5 755 0:0 ",
		"opt/venv/lib/a.py":          "0 755 0:0 " + sum([]byte("print(1)\n")),
		"opt/venv/lib/empty":         "0 755 0:0 " + sum(nil),
		"opt/venv/lib/big.so":        "0 755 0:0 " + sum(noise(3<<20, 1)),
		"opt/venv/lib/added":         "0 644 0:0 " + sum(noise(100_000, 2)),
		"opt/venv/lib/tiny":          "0 644 0:0 " + sum([]byte("tiny")),
		"opt/venv/lib/none":          "0 644 0:0 " + sum(nil),
		"opt/venv/lib/big2":          "0 644 0:0 " + sum(noise(2<<20, 3)),
		"opt/own/":                   "5 700 1001:1002 ",
		"opt/link":                   "2 777 0:0 /usr/bin/python3",
		"opt/hard":                   "1 755 0:0 opt/venv/lib/a.py",
		"opt/Főtanúsítvány.crt":      "0 644 0:0 " + sum([]byte("ü")),
		"opt/" + long:                "0 644 0:0 " + sum([]byte("long name")),
		"opt/longlink":               "2 777 0:0 " + long,
		"opt/ids":                    "0 4755 2147483647:2097152 " + sum([]byte("x")),
		"opt/" + parentsOf(long)[0]:  "5 755 0:0 ",
		"opt/" + parentsOf(long)[1]:  "5 755 0:0 ",
		"opt/" + parentsOf(long)[2]:  "5 755 0:0 ",
		"opt/" + parentsOf(long)[3]:  "5 755 0:0 ",
		"opt/" + parentsOf(long)[4]:  "5 755 0:0 ",
		"opt/" + parentsOf(long)[5]:  "5 755 0:0 ",
		"opt/" + parentsOf(long)[6]:  "5 755 0:0 ",
		"opt/" + parentsOf(long)[7]:  "5 755 0:0 ",
		"opt/" + parentsOf(long)[8]:  "5 755 0:0 ",
		"opt/" + parentsOf(long)[9]:  "5 755 0:0 ",
		"opt/" + parentsOf(long)[10]: "5 755 0:0 ",
		"opt/" + parentsOf(long)[11]: "5 755 0:0 ",
	}
}

func parentsOf(p string) []string {
	var out []string
	for i := range p {
		if p[i] == '/' {
			out = append(out, p[:i+1])
		}
	}
	return out
}

// unpack decompresses with other code than this package's.
func unpack(t testing.TB, c Codec, b []byte) []byte {
	t.Helper()
	var r io.Reader
	var err error
	switch c {
	case Gzip:
		r, err = gzip.NewReader(bytes.NewReader(b))
	case Zstd:
		r, err = zstd.NewReader(bytes.NewReader(b))
	}
	if err != nil {
		t.Fatal(err)
	}
	p, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// list reads a tar with the standard library.
func list(t testing.TB, p []byte) map[string]string {
	t.Helper()
	got := map[string]string{}
	r := tar.NewReader(bytes.NewReader(p))
	for {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return got
		}
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := got[h.Name]; ok {
			t.Errorf("%q is there twice", h.Name)
		}
		if h.ModTime.Unix() != Epoch || h.Uname != "" || h.Gname != "" {
			t.Errorf("%q: time %v, owner %q:%q", h.Name, h.ModTime, h.Uname, h.Gname)
		}
		if h.Typeflag == tar.TypeReg && len(h.Name) < 100 && h.Uid < octal7 && h.PAXRecords != nil && h.Name[4] != 'F' {
			t.Errorf("%q has PAX records %v", h.Name, h.PAXRecords)
		}
		s := sha256.New()
		n, err := io.Copy(s, r)
		if err != nil {
			t.Fatal(err)
		}
		what := h.Linkname
		if h.Typeflag == tar.TypeReg {
			what = hex.EncodeToString(s.Sum(nil)[:8])
			if n != h.Size {
				t.Errorf("%q: %d bytes, header says %d", h.Name, n, h.Size)
			}
		}
		got[h.Name] = fmt.Sprintf("%c %o %d:%d %s", h.Typeflag, h.Mode, h.Uid, h.Gid, what)
	}
}

func TestOtherReadersReadTheLayer(t *testing.T) {
	m := write(t, sample)
	for c, b := range m.blob {
		p := unpack(t, c, b)
		got, want := list(t, p), want()
		for k, v := range want {
			if got[k] != v {
				t.Errorf("%s: %q is %q, should be %q", c, k, got[k], v)
			}
		}
		for k := range got {
			if _, ok := want[k]; !ok {
				t.Errorf("%s: unexpected %q", c, k)
			}
		}
		if d := sha256.Sum256(p); m.res.DiffID != "sha256:"+hex.EncodeToString(d[:]) || m.res.Unpacked != int64(len(p)) {
			t.Errorf("%s: diffID %s of %d bytes, is %x of %d", c, m.res.DiffID, m.res.Unpacked, d, len(p))
		}
		if d := sha256.Sum256(b); m.res.Blobs[c] != (Blob{"sha256:" + hex.EncodeToString(d[:]), int64(len(b))}) {
			t.Errorf("%s: blob %v, is %x of %d", c, m.res.Blobs[c], d, len(b))
		}
	}
}

func TestToolsReadTheLayer(t *testing.T) {
	m := write(t, sample)
	dir := t.TempDir()
	file := map[Codec]string{Gzip: filepath.Join(dir, "l.tar.gz"), Zstd: filepath.Join(dir, "l.tar.zst")}
	for c, name := range file {
		if err := os.WriteFile(name, m.blob[c], 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, args := range [][]string{
		{"gzip", "-t", file[Gzip]}, {"zstd", "-q", "-t", file[Zstd]}, {"tar", "tzvf", file[Gzip]}, {"tar", "--zstd", "-tvf", file[Zstd]},
	} {
		if _, err := exec.LookPath(args[0]); err != nil {
			t.Logf("not tried, not installed: %v", args)
			continue
		}
		out, err := exec.Command(args[0], args[1:]...).CombinedOutput()
		if err != nil {
			t.Errorf("%v: %v\n%s", args, err, out)
		}
		if args[0] == "tar" && strings.Count(string(out), "\n") != len(want()) {
			t.Errorf("%v lists\n%s", args, out)
		}
	}
}

func TestBytesDoNotDependOnTheMachine(t *testing.T) {
	first := write(t, sample)
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	for _, n := range []int{1, 8} {
		runtime.GOMAXPROCS(n)
		m := write(t, sample)
		for c := range m.blob {
			if !bytes.Equal(m.blob[c], first.blob[c]) {
				t.Errorf("%s with GOMAXPROCS=%d differs", c, n)
			}
		}
	}
}

// oneByte hands out few bytes at a time.
type few struct {
	r io.Reader
	n int
}

func (f few) Read(p []byte) (int, error) { return f.r.Read(p[:min(len(p), f.n)]) }

func TestBytesDoNotDependOnTheSizesOfReads(t *testing.T) {
	big := noise(1<<21, 7)
	small := noise(5000, 8)
	fill := func(n int) func(*Writer) error {
		return func(w *Writer) error {
			h := Header{Type: Regular, Mode: 0o644}
			for i, p := range [][]byte{big, small} {
				h.Size = int64(len(p))
				h.Path = fmt.Sprintf("a%d", i)
				if err := w.Add(h, few{bytes.NewReader(p), n}, nil); err != nil {
					return err
				}
				h.Path = fmt.Sprintf("b%d", i)
				if err := w.Append(h, few{bytes.NewReader(deflated(t, p)), n}, crc32.ChecksumIEEE(p), nil); err != nil {
					return err
				}
			}
			return nil
		}
	}
	first := write(t, fill(1<<20))
	for _, n := range []int{1, 100, 4097, 70000} {
		m := write(t, fill(n))
		for c := range m.blob {
			if !bytes.Equal(m.blob[c], first.blob[c]) {
				t.Errorf("%s differs when %d bytes are read at a time", c, n)
			}
		}
	}
}

// A frame or a member must not depend on what the encoder has seen before.
func TestContentBytesDoNotDependOnWhatPrecedes(t *testing.T) {
	p := noise(1<<20+5, 4)
	alone := write(t, func(w *Writer) error { return add(w, "p", p) })
	after := write(t, func(w *Writer) error {
		return errors.Join(add(w, "o", p), add(w, "n", noise(9<<20, 5)), add(w, "m", p[:300]), add(w, "p", p))
	})
	for c := range alone.blob {
		cut := func(m made) []byte {
			for _, e := range m.res.Index.Entries {
				if e.Path == "p" {
					at := e.Blobs[c]
					return m.blob[c][at.Offset : at.Offset+at.Length]
				}
			}
			t.Fatal("no entry")
			return nil
		}
		a, b := cut(alone), cut(after)
		if !bytes.Equal(a, b) {
			t.Errorf("%s: %d and %d bytes differ", c, len(a), len(b))
		}
	}
}

func TestOneCodecHasTheBytesOfBoth(t *testing.T) {
	both := write(t, sample)
	for _, c := range []Codec{Gzip, Zstd} {
		var b bytes.Buffer
		w, err := NewWriter(map[Codec]io.Writer{c: &b})
		if err != nil {
			t.Fatal(err)
		}
		if err := sample(w); err != nil {
			t.Fatal(err)
		}
		res, err := w.Close()
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(b.Bytes(), both.blob[c]) || res.DiffID != both.res.DiffID {
			t.Errorf("%s alone differs", c)
		}
	}
}

// summed hashes what it takes.
type summed struct {
	bytes.Buffer
	asked int
}

func (s *summed) Sum() string {
	s.asked++
	sum := sha256.Sum256(s.Bytes())
	return hex.EncodeToString(sum[:])
}

func TestAnOutputThatHashesIsAsked(t *testing.T) {
	plain := write(t, sample)
	gz, zs := &summed{}, &summed{}
	w, err := NewWriter(map[Codec]io.Writer{Gzip: gz, Zstd: zs})
	if err != nil {
		t.Fatal(err)
	}
	if err := sample(w); err != nil {
		t.Fatal(err)
	}
	res, err := w.Close()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(plain.res.Blobs, res.Blobs); diff != "" {
		t.Error(diff)
	}
	if gz.asked != 1 || zs.asked != 1 {
		t.Errorf("asked %d and %d times", gz.asked, zs.asked)
	}
}

func TestGolden(t *testing.T) {
	m := write(t, sample)
	for name, w := range map[string][2]string{
		"diffID": {m.res.DiffID, goldenDiff}, "gzip": {m.res.Blobs[Gzip].Digest, goldenGzip}, "zstd": {m.res.Blobs[Zstd].Digest, goldenZstd},
	} {
		if w[0] != w[1] {
			t.Errorf("%s is %s, was %s: raise Format if this is meant", name, w[0], w[1])
		}
	}
}

const (
	goldenDiff = "sha256:017172521736983dab202ee11ae06513070dc7ba46006680c0cd39d7a996ca42"
	goldenGzip = "sha256:d2384b1204443eda6828e27ea8864bda610d1a13370e9fe71c92dc9d5645be6e"
	goldenZstd = "sha256:61e102114ee374816d581e222d74dd8f596da2b573c9e330fd9913dced3e8b61"
)
