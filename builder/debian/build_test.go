package debian

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"sort"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"
)

// part is a tar entry under a test's full control.
type part struct {
	name, prefix, link, body string
	flag                     byte
	mode, uid, gid           int64
	size                     int64 // 0: of body
	magic                    string
	patch                    func(header []byte) // before the checksum
	spoil                    func(header []byte) // after it
	bare                     bool                // no padding after the body
}

// bytes is the entry: header, content, padding.
func (p part) bytes() []byte {
	h := make([]byte, 512)
	octal := func(at, n int, v int64) { copy(h[at:], fmt.Sprintf("%0*o\x00", n-1, v)) }
	copy(h, p.name)
	mode := p.mode
	if mode == 0 {
		mode = 0o644
	}
	size := p.size
	if size == 0 {
		size = int64(len(p.body))
	}
	octal(100, 8, mode)
	octal(108, 8, p.uid)
	octal(116, 8, p.gid)
	octal(124, 12, size)
	octal(136, 12, 1e9)
	if h[156] = p.flag; p.flag == 0 {
		h[156] = TypeFile
	}
	copy(h[157:257], p.link)
	if copy(h[257:], "ustar\x0000"); p.magic != "" {
		copy(h[257:265], p.magic)
	}
	copy(h[345:], p.prefix)
	if p.patch != nil {
		p.patch(h)
	}
	copy(h[148:156], "        ")
	sum := 0
	for _, c := range h {
		sum += int(c)
	}
	copy(h[148:156], fmt.Sprintf("%06o\x00 ", sum))
	if p.spoil != nil {
		p.spoil(h)
	}
	out := append(h, p.body...)
	if !p.bare {
		out = append(out, make([]byte, -len(p.body)&511)...)
	}
	return out
}

func file(name, body string) part { return part{name: name, body: body} }
func dir(name string) part        { return part{name: name, flag: TypeDir, mode: 0o755} }
func symlink(name, target string) part {
	return part{name: name, flag: TypeSymlink, link: target, mode: 0o777}
}
func hardlink(name, target string) part { return part{name: name, flag: TypeHardlink, link: target} }

// tarball joins entries and ends them.
func tarball(parts ...part) []byte {
	var out []byte
	for _, p := range parts {
		out = append(out, p.bytes()...)
	}
	return append(out, make([]byte, 1024)...)
}

func gz(b []byte) []byte {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	_, _ = w.Write(b)
	_ = w.Close()
	return out.Bytes()
}

func xzed(b []byte) []byte {
	var out bytes.Buffer
	w, err := xz.NewWriter(&out)
	if err != nil {
		panic(err)
	}
	_, _ = w.Write(b)
	_ = w.Close()
	return out.Bytes()
}

func zst(b []byte) []byte {
	w, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1))
	if err != nil {
		panic(err)
	}
	return w.EncodeAll(b, nil)
}

// arMember is one member with its header and padding.
func arMember(name string, body []byte) []byte {
	out := []byte(fmt.Sprintf("%-16s%-12d%-6d%-6d%-8s%-10d`\n", name, 0, 0, 0, "100644", len(body)))
	out = append(out, body...)
	if len(body)%2 == 1 {
		out = append(out, '\n')
	}
	return out
}

func join(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

// control is a control file.
func control(name, version, arch string, more ...string) part {
	return file("./control", fmt.Sprintf("Package: %s\nVersion: %s\nArchitecture: %s\nMaintainer: A <a@b.example>\n%sDescription: test\n", name, version, arch, strings.Join(more, "")))
}

// debOf is a package of two tars.
func debOf(controlTar, dataTar []byte) []byte {
	return join([]byte(arMagic), arMember("debian-binary", []byte("2.0\n")), arMember("control.tar.gz", gz(controlTar)), arMember("data.tar.xz", xzed(dataTar)))
}

// pkg is a package for amd64 with these entries.
func pkg(name string, parts ...part) []byte {
	return debOf(tarball(dir("./"), control(name, "1.0", "amd64")), tarball(append([]part{dir("./")}, parts...)...))
}

// scripted is a package with a maintainer script.
func scripted(name, script, text string, parts ...part) []byte {
	return debOf(tarball(control(name, "1.0", "amd64"), part{name: "./" + script, body: text, mode: 0o755}), tarball(parts...))
}

// open opens a package that must be right.
func open(t *testing.T, deb []byte) *Deb {
	t.Helper()
	d, err := OpenDeb(bytes.NewReader(deb), int64(len(deb)), "x.deb")
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// read opens a package and reads it to its end.
func read(deb []byte) error {
	d, err := OpenDeb(bytes.NewReader(deb), int64(len(deb)), "x.deb")
	if err != nil {
		return err
	}
	return d.Walk(func(_ Entry, r io.Reader) error {
		_, err := io.Copy(io.Discard, r)
		return err
	})
}

// refused checks that an error is of a rule and says what it should.
func refused(t *testing.T, err error, id, words string) {
	t.Helper()
	var own *Error
	if !errors.As(err, &own) {
		t.Fatalf("error %v, want an *Error with %s", err, id)
	}
	if own.ID != id || !strings.Contains(err.Error(), words) {
		t.Fatalf("error %q, want %s and %q", err, id, words)
	}
	for _, c := range err.Error() {
		if c < ' ' || c > '~' && c != '…' {
			t.Fatalf("error %q has the character %q", err, c)
		}
	}
}

// tree is what an Unpacker emitted, by path.
type tree struct {
	order   []string
	entries map[string]Entry
	content map[string]string
	u       *Unpacker
}

// unpack unpacks packages for amd64, and demands that parents come first.
func unpack(t *testing.T, debs ...[]byte) (*tree, error) {
	t.Helper()
	x := &tree{entries: map[string]Entry{}, content: map[string]string{}}
	u, err := NewUnpacker("amd64", func(e Entry, r io.Reader) error {
		if dir := parent(e.Path); dir != "" && x.entries[dir].Type != TypeDir {
			t.Errorf("%s came before its folder", e.Path)
		}
		if _, twice := x.entries[e.Path]; twice {
			t.Errorf("%s came twice", e.Path)
		}
		if e.Type == TypeHardlink && x.entries[e.Link].Type != TypeFile {
			t.Errorf("%s came before its file %s", e.Path, e.Link)
		}
		x.order = append(x.order, e.Path)
		x.entries[e.Path] = e
		if e.Type != TypeFile {
			return nil
		}
		b, err := io.ReadAll(r)
		if int64(len(b)) != e.Size && err == nil {
			t.Errorf("%s has %d bytes, states %d", e.Path, len(b), e.Size)
		}
		x.content[e.Path] = string(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	x.u = u
	var opened []*Deb
	for _, b := range append(debs, pkg("base-files", dir("./usr/lib/"), file("./usr/lib/os-release", "ID=debian\n"))) {
		d, err := OpenDeb(bytes.NewReader(b), int64(len(b)), "x.deb")
		if err != nil {
			return x, err
		}
		opened = append(opened, d)
	}
	sort.SliceStable(opened, func(i, j int) bool { return opened[i].Name < opened[j].Name })
	for _, d := range opened {
		if err := u.Add(d); err != nil {
			return x, err
		}
	}
	return x, u.Finish()
}
