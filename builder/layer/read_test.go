package layer

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
)

// raw is a tar made block by block.
type raw struct{ b []byte }

// field writes into the last header.
type field struct {
	at   int
	text string
}

// entry adds a header in ustar format with these fields, a right checksum, and content.
func (r *raw) entry(flag byte, name string, content string, fields ...field) *raw {
	h := appendBlock(nil, Header{Mode: 0o644, Size: int64(len(content))}, flag, "", name, "")
	for _, f := range fields {
		copy(h[f.at:], f.text)
	}
	fix(h)
	r.b = append(append(r.b, h...), content...)
	r.b = append(r.b, zeros[:padding(int64(len(content)))]...)
	return r
}

func fix(h []byte) {
	copy(h[148:156], "        ")
	var sum int64
	for _, c := range h[:block] {
		sum += int64(c)
	}
	number(h[148:155], sum)
}

func (r *raw) pax(pairs ...string) *raw {
	var p []byte
	for i := 0; i < len(pairs); i += 2 {
		p = appendRecord(p, pairs[i], pairs[i+1])
	}
	return r.entry('x', "PaxHeaders/x", string(p))
}

func (r *raw) add(p string) *raw { r.b = append(r.b, p...); return r }

func (r *raw) end() []byte { return append(r.b, zeros[:2*block]...) }

// names reads a tar and lists what it gives.
func names(codec Codec, b []byte) ([]string, error) {
	var out []string
	err := Read(codec, bytes.NewReader(b), func(h Header, r io.Reader) error {
		p, err := io.ReadAll(r)
		out = append(out, fmt.Sprintf("%s %s %o %d:%d %q %q", h.Type, h.Path, h.Mode, h.UID, h.GID, h.Link, p))
		return err
	})
	return out, err
}

// idOf is the rule that an error names.
func idOf(err error) string {
	var own *Error
	var mis *MismatchError
	switch {
	case err == nil:
		return "accepted"
	case errors.As(err, &own):
		return own.ID
	case errors.As(err, &mis):
		return mis.ID
	}
	return "no rule: " + err.Error()
}

func TestReadRefuses(t *testing.T) {
	size := field{124, "00000001000\x00"}
	link := func(s string) field { return field{157, s} }
	gnu := field{257, "ustar  \x00"}
	data := strings.Repeat("x", 512)
	rows := []struct {
		id, name string
		tar      []byte
	}{
		{"accepted", "a file", new(raw).entry('0', "a", "x").end()},
		{"accepted", "a leading ./", new(raw).entry('0', "./a", "x").end()},
		{"accepted", "the root", new(raw).entry('5', "./", "").end()},
		{"accepted", "a PAX name", new(raw).pax("path", "b").entry('0', "a", "x").end()},
		{"accepted", "a GNU name", new(raw).entry('L', "././@LongLink", long+"\x00").entry('0', long[:100], "x", gnu).end()},
		{"accepted", "zeros up to the record size", append(new(raw).entry('0', "a", "x").end(), make([]byte, 8192)...)},
		{"accepted", "a folder twice", new(raw).entry('5', "a/", "").entry('5', "a/", "").end()},
		{"accepted", "an extended attribute", new(raw).pax("SCHILY.xattr.user.x", "y").entry('0', "a", "x").end()},
		{"accepted", "a hard link", new(raw).entry('0', "a", "x").entry('1', "b", "", link("a")).end()},

		{"TAR-01", "..", new(raw).entry('0', "../a", "x").end()},
		{"TAR-01", ".. inside", new(raw).entry('0', "a/../../b", "x").end()},
		{"TAR-01", "absolute", new(raw).entry('0', "/a", "x").end()},
		{"TAR-01", "empty name", new(raw).entry('0', "", "x").end()},
		{"TAR-01", "two slashes", new(raw).entry('0', "a//b", "x").end()},
		{"TAR-01", "./ twice", new(raw).entry('0', "././a", "x").end()},
		{"TAR-01", "a file with a slash at its end", new(raw).entry('0', "a/", "x").end()},
		{"TAR-01", "control character", new(raw).entry('0', "a\x1b[2J", "x").end()},
		{"TAR-01", "bidi", new(raw).entry('0', "a\u202egpj", "x").end()},
		{"TAR-01", "not UTF-8", new(raw).entry('0', "a\xff", "x").end()},
		{"TAR-01", "1025 bytes", new(raw).pax("path", strings.Repeat("n", 1025)).entry('0', "a", "x").end()},
		{"TAR-01", "65 levels", new(raw).pax("path", strings.Repeat("n/", 64)+"n").entry('0', "a", "x").end()},
		{"TAR-01", "PAX path that leaves", new(raw).pax("path", "../a").entry('0', "a", "x").end()},
		{"TAR-01", "two PAX paths", new(raw).pax("path", "b", "path", "c").entry('0', "a", "x").end()},
		{"TAR-01", "two PAX headers", new(raw).pax("path", "b").pax("path", "c").entry('0', "a", "x").end()},
		{"TAR-01", "global PAX header", new(raw).entry('g', "g", "11 path=foo\n").entry('0', "a", "x").end()},
		{"TAR-01", "NUL in a PAX value", new(raw).pax("path", "b\x00c").entry('0', "a", "x").end()},
		{"TAR-01", "empty PAX value", new(raw).pax("path", "").entry('0', "a", "x").end()},
		{"TAR-01", "PAX size is not the header's", new(raw).pax("size", "2").entry('0', "a", "x").end()},
		{"TAR-01", "PAX record too long", new(raw).entry('x', "x", "99 path=foo\n").entry('0', "a", "x").end()},
		{"TAR-01", "PAX record length 0", new(raw).entry('x', "x", "0 path=foo\n").entry('0', "a", "x").end()},
		{"TAR-01", "PAX record of length 3", new(raw).entry('x', "x", "3 \n12 path=foo\n").entry('0', "a", "x").end()},
		{"TAR-01", "PAX record with a leading zero", new(raw).entry('x', "x", "013 path=foo\n").entry('0', "a", "x").end()},
		{"TAR-01", "GNU name after PAX", new(raw).pax("path", "b").entry('L', "l", "b\x00").entry('0', "a", "x").end()},
		{"TAR-01", "PAX after GNU name", new(raw).entry('L', "l", "a\x00").pax("path", "b").entry('0', "a", "x").end()},
		{"TAR-01", "two GNU names", new(raw).entry('L', "l", "a\x00").entry('L', "l", "ab\x00").entry('0', "a", "x").end()},
		{"TAR-01", "GNU name of another file", new(raw).entry('L', "l", "b\x00").entry('0', "a", "x", gnu).end()},
		{"TAR-01", "GNU name with a NUL inside", new(raw).entry('L', "l", "a\x00b\x00").entry('0', "a", "x", gnu).end()},
		{"TAR-01", "GNU link of another target", new(raw).entry('K', "l", "b\x00").entry('2', "a", "", gnu, link("c")).end()},
		{"TAR-01", "prefix that joins to ..", new(raw).entry('0', "x", "x", field{345, "a/.."}).end()},
		{"TAR-01", "bytes after a name's NUL", new(raw).entry('0', "a\x00b", "x").end()},
		{"TAR-01", "records and no entry", new(raw).pax("path", "b").end()},
		{"TAR-01", "records of no bytes", new(raw).entry('x', "x", "").entry('0', "a", "x").end()},
		{"TAR-01", "records of 2 MiB", new(raw).entry('x', "x", strings.Repeat("x", 2<<20)).end()},

		{"TAR-02", "a file through a symbolic link", new(raw).entry('2', "a", "", link("b")).entry('0', "a/c", "x").end()},
		{"TAR-02", "deep below a symbolic link", new(raw).entry('2', "a", "", link("/")).entry('0', "a/c/d", "x").end()},
		{"TAR-02", "a file below a file", new(raw).entry('0', "a", "x").entry('0', "a/c", "x").end()},
		{"TAR-02", "symbolic link without target", new(raw).entry('2', "a", "").end()},
		{"TAR-02", "hard link that leaves", new(raw).entry('1', "a", "", link("../../etc/passwd")).end()},
		{"TAR-02", "hard link to a symbolic link", new(raw).entry('2', "a", "", link("b")).entry('1', "c", "", link("a")).end()},
		{"TAR-02", "hard link to itself", new(raw).entry('1', "a", "", link("a")).end()},
		{"TAR-02", "hard link to a later file", new(raw).entry('1', "a", "", link("b")).entry('0', "b", "x").end()},
		{"TAR-02", "file with a link target", new(raw).entry('0', "a", "x", link("b")).end()},
		{"TAR-03", "hard link with data", new(raw).entry('0', "a", "x").entry('1', "b", data, link("a")).end()},
		{"TAR-03", "symbolic link with data", new(raw).entry('2', "b", data, link("a")).end()},
		{"TAR-03", "folder whose data is a header", new(raw).entry('5', "d/", "", size).entry('0', "hidden.txt", "").end()},
		{"TAR-03", "padding with data", func() []byte { b := new(raw).entry('0', "a", "x").end(); b[block+5] = 1; return b }()},

		{"TAR-04", "character device", new(raw).entry('3', "a", "").end()},
		{"TAR-04", "block device", new(raw).entry('4', "a", "").end()},
		{"TAR-04", "FIFO", new(raw).entry('6', "a", "").end()},
		{"TAR-04", "type 7", new(raw).entry('7', "a", "x").end()},
		{"TAR-04", "volume label", new(raw).entry('V', "a", "").end()},
		{"TAR-04", "GNU dump directory", new(raw).entry('D', "a", "").end()},
		{"TAR-04", "multi-volume", new(raw).entry('M', "a", "").end()},
		{"TAR-04", "GNU sparse", new(raw).entry('S', "a", "").end()},
		{"TAR-04", "NUL type", new(raw).entry(0, "a", "x").end()},
		{"TAR-04", "unknown type", new(raw).entry('Z', "a", "x").end()},
		{"TAR-04", "PAX sparse 0.1", new(raw).pax("GNU.sparse.map", "0,1").entry('0', "a", "x").end()},
		{"TAR-04", "PAX sparse 1.0", new(raw).pax("GNU.sparse.major", "1").entry('0', "a", "x").end()},
		{"TAR-04", "GNU header with sparse fields", new(raw).entry('0', "a", "x", gnu, field{386, "00000000001\x00"}).end()},

		{"TAR-05", "twice", new(raw).entry('0', "a", "x").entry('0', "a", "y").end()},
		{"TAR-05", "twice, once with ./", new(raw).entry('0', "a", "x").entry('0', "./a", "y").end()},
		{"TAR-05", "a folder twice, other mode", new(raw).entry('5', "a/", "").entry('5', "a/", "", field{100, "0000777\x00"}).end()},
		{"TAR-05", "a file where a folder must be", new(raw).entry('0', "a/b", "x").entry('0', "a", "x").end()},
		{"TAR-05", "one block of zeros in the middle", new(raw).entry('0', "a", "x").add(string(zeros[:block])).entry('0', "b", "x").end()},
		{"TAR-05", "data after the end", append(new(raw).entry('0', "a", "x").end(), new(raw).entry('0', "b", "x").end()...)},
		{"TAR-05", "a byte after the end", append(new(raw).entry('0', "a", "x").end(), 0)},
		{"TAR-05", "no end", new(raw).entry('0', "a", "x").b},
		{"TAR-05", "cut off in content", new(raw).entry('0', "a", data).b[:700]},
		{"TAR-05", "cut off in a header", new(raw).entry('0', "a", data).entry('0', "b", data).b[:1200]},
		{"TAR-05", "2 MiB of zeros after the end", append(new(raw).entry('0', "a", "x").end(), make([]byte, 2<<20)...)},
		{"TAR-05", "wrong checksum", func() []byte { b := new(raw).entry('0', "a", "x").end(); b[0] = 'b'; return b }()},
		{"TAR-05", "negative size", new(raw).entry('0', "a", "", field{124, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"}).end()},
		{"TAR-05", "size of 2⁶⁰", new(raw).entry('0', "a", "", field{124, "\x80\x00\x00\x00\x10\x00\x00\x00\x00\x00\x00\x00"}).end()},
		{"TAR-05", "size is text", new(raw).entry('0', "a", "", field{124, "0000000x000\x00"}).end()},
		{"TAR-05", "size with a NUL inside", new(raw).entry('0', "a", "", field{124, "000\x000000001\x00"}).end()},
		{"TAR-05", "negative time", new(raw).entry('0', "a", "", field{136, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"}).end()},
		{"TAR-05", "time in year 10000", new(raw).pax("mtime", "253402300800").entry('0', "a", "x").end()},
		{"TAR-05", "negative PAX time", new(raw).pax("mtime", "-1").entry('0', "a", "x").end()},
		{"TAR-05", "uid 2³²", new(raw).pax("uid", "4294967296").entry('0', "a", "x", field{108, "0000000\x00"}).end()},
		{"TAR-05", "two owners", new(raw).pax("uid", "5").entry('0', "a", "x").end()},
		{"TAR-05", "mode of another type", new(raw).entry('0', "a", "x", field{100, "0120777"}).end()},
		{"TAR-05", "ACL record", new(raw).pax("SCHILY.acl.access", "user::rwx").entry('0', "a", "x").end()},
		{"TAR-05", "unknown record", new(raw).pax("FORGE.x", "y").entry('0', "a", "x").end()},
		{"TAR-05", "other format", new(raw).entry('0', "a", "x", field{257, "ustar\x0001"}).end()},
		{"TAR-05", "star's trailer", new(raw).entry('0', "a", "x", field{508, "tar\x00"}).end()},

		{"OCI-04", ".wh. alone", new(raw).entry('0', ".wh.", "").end()},
		{"OCI-04", ".wh.. is the folder", new(raw).entry('0', "a/.wh..", "").end()},
		{"OCI-04", ".wh... is the parent", new(raw).entry('0', "a/.wh...", "").end()},
		{"OCI-04", "below a whiteout", new(raw).entry('0', ".wh.../x", "").end()},
		{"OCI-04", "aufs's own", new(raw).entry('5', ".wh..wh.plnk", "").end()},
		{"OCI-04", "aufs's other", new(raw).entry('0', ".wh..wh.aufs", "").end()},
		{"OCI-04", "with content", new(raw).entry('0', ".wh.a", "x").end()},
		{"OCI-04", "that is a link", new(raw).entry('2', ".wh.a", "", link("b")).end()},
		{"TAR-05", "whiteout and the same path", new(raw).entry('0', ".wh.a", "").entry('0', "a", "x").end()},
		{"TAR-05", "whiteout of a folder that has files", new(raw).entry('0', "a/b", "x").entry('0', ".wh.a", "").end()},
		{"TAR-05", "opaque twice", new(raw).entry('0', "a/.wh..wh..opq", "").entry('0', "a/.wh..wh..opq", "").end()},
		{"TAR-02", "opaque marker below a link", new(raw).entry('2', "a", "", link("b")).entry('0', "a/.wh..wh..opq", "").end()},
	}
	seen := map[string]bool{}
	for _, row := range rows {
		if seen[row.name] {
			t.Errorf("two rows are named %q", row.name)
		}
		seen[row.name] = true
		got, err := names(Tar, row.tar)
		if idOf(err) != row.id {
			t.Errorf("%s: %s is %s (%v), read %q", row.id, row.name, idOf(err), err, got)
		}
	}
}

func TestReadGivesWhiteouts(t *testing.T) {
	b := new(raw).entry('0', "a/.wh.b", "").entry('0', "c/.wh..wh..opq", "").entry('0', ".wh..wh..opq", "").entry('0', "c/d", "x").end()
	got, err := names(Tar, b)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{`whiteout a/b 644 0:0 "" ""`, `opaque c 644 0:0 "" ""`, `opaque . 644 0:0 "" ""`, `file c/d 644 0:0 "" "x"`}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got %q", got)
	}
}

func TestReadReadsWhatWriterWrites(t *testing.T) {
	m := write(t, sample)
	m.blob[Tar] = unpack(t, Gzip, m.blob[Gzip])
	for c, b := range m.blob {
		got := map[string]string{}
		i := 0
		err := Read(c, bytes.NewReader(b), func(h Header, r io.Reader) error {
			e := m.res.Index.Entries[i]
			i++
			s := sha256.New()
			n, err := io.Copy(s, r)
			if err != nil {
				return err
			}
			what := h.Link
			if h.Type == Regular {
				what = hex.EncodeToString(s.Sum(nil)[:8])
				if hex.EncodeToString(s.Sum(nil)) != e.SHA256 {
					t.Errorf("%s: %s: index has another sha256", c, h.Path)
				}
			}
			if h.Path != e.Path || h.Type != e.Type || n != e.Size || h.Time != Epoch {
				t.Errorf("%s: %v at %d, index has %v", c, h, h.Time, e)
			}
			name := h.Path
			if h.Type == Dir {
				name += "/"
			}
			flag := flags[h.Type]
			got[name] = fmt.Sprintf("%c %o %d:%d %s", flag, h.Mode, h.UID, h.GID, what)
			return nil
		})
		if err != nil {
			t.Errorf("%s: %v", c, err)
		}
		for k, v := range want() {
			if got[k] != v {
				t.Errorf("%s: %q is %q, should be %q", c, k, got[k], v)
			}
		}
	}
}

// What fn leaves is read and checked all the same, and its error is returned as it is.
func TestReadChecksWhatIsNotRead(t *testing.T) {
	m := write(t, sample)
	for c, b := range m.blob {
		if err := Read(c, bytes.NewReader(b), func(Header, io.Reader) error { return nil }); err != nil {
			t.Errorf("%s: %v", c, err)
		}
		broken := bytes.Clone(b)
		e, _ := m.res.Index.Entry("opt/venv/lib/big.so")
		broken[e.Blobs[c].Offset+e.Blobs[c].Length/2] ^= 0x10
		if err := Read(c, bytes.NewReader(broken), func(Header, io.Reader) error { return nil }); idOf(err) != "CMP-01" {
			t.Errorf("%s: one bit changed: %v", c, err)
		}
		own := errors.New("enough")
		if err := Read(c, bytes.NewReader(b), func(Header, io.Reader) error { return own }); !errors.Is(err, own) {
			t.Errorf("%s: %v", c, err)
		}
	}
}

func TestReadRefusesStreams(t *testing.T) { // CMP-01, OCI-06
	plain := new(raw).entry('0', "a", "hello").end()
	zip := func(p []byte, change func(*gzip.Writer)) []byte {
		var b bytes.Buffer
		w := gzip.NewWriter(&b)
		if change != nil {
			change(w)
		}
		if _, err := w.Write(p); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		return b.Bytes()
	}
	zst := func(p []byte, o ...zstd.EOption) []byte {
		w, err := zstd.NewWriter(nil, o...)
		if err != nil {
			t.Fatal(err)
		}
		return w.EncodeAll(p, nil)
	}
	patch := func(b []byte, at int, p ...byte) []byte {
		b = bytes.Clone(b)
		if at < 0 {
			at += len(b)
		}
		copy(b[at:], p)
		return b
	}
	member := func(raw []byte) []byte {
		b := append([]byte(gzipHeader), raw...)
		return appendTrailer(b, crc32.ChecksumIEEE(plain), int64(len(plain)))
	}
	g, z := zip(plain, nil), zst(plain)
	withCRC := append([]byte("\x1f\x8b\x08\x02\x00\x00\x00\x00\x00\xff"), 0, 0)
	binary.LittleEndian.PutUint16(withCRC[10:], uint16(crc32.ChecksumIEEE(withCRC[:10])))
	withCRC = append(withCRC, g[10:]...)
	rows := []struct {
		id, name string
		codec    Codec
		b        []byte
	}{
		{"accepted", "plain", Tar, plain},
		{"accepted", "gzip", Gzip, g},
		{"accepted", "zstd", Zstd, z},
		{"accepted", "two members", Gzip, append(zip(plain[:100], nil), zip(plain[100:], nil)...)},
		{"accepted", "a member for each byte", Gzip, func() (b []byte) {
			for _, c := range plain {
				b = appendMember(b, []byte{c})
			}
			return b
		}()},
		{"accepted", "two frames", Zstd, append(zst(plain[:100]), zst(plain[100:])...)},
		{"accepted", "with an extra field", Gzip, zip(plain, func(w *gzip.Writer) { w.Extra = []byte("SG\x02\x00ab") })},
		{"accepted", "with a name", Gzip, zip(plain, func(w *gzip.Writer) { w.Name = "layer.tar" })},
		{"accepted", "with a header CRC", Gzip, withCRC},
		{"CMP-01", "with a wrong header CRC", Gzip, patch(withCRC, 10, 1)},
		{"CMP-01", "with a path as name", Gzip, zip(plain, func(w *gzip.Writer) { w.Name = "../layer.tar" })},
		{"CMP-01", "with an endless name", Gzip, zip(plain, func(w *gzip.Writer) { w.Name = strings.Repeat("n", 5000) })},
		{"CMP-01", "reserved flags", Gzip, patch(g, 3, 0x20)},
		{"CMP-01", "method 7", Gzip, patch(g, 2, 7)},
		{"CMP-01", "wrong CRC", Gzip, patch(g, -8, g[len(g)-8]^1)},
		{"CMP-01", "wrong length", Gzip, patch(g, -4, g[len(g)-4]^1)},
		{"CMP-01", "garbage after", Gzip, append(bytes.Clone(g), "garbage"...)},
		{"CMP-01", "zeros after", Gzip, append(bytes.Clone(g), 0, 0)},
		{"CMP-01", "one byte after", Gzip, append(bytes.Clone(g), 0x1f)},
		{"CMP-01", "cut off in the trailer", Gzip, g[:len(g)-1]},
		{"CMP-01", "cut off in the stream", Gzip, g[:len(g)/2]},
		{"CMP-01", "LEN is not ¬NLEN", Gzip, member(patch(stored(plain), 3, 0))},
		{"CMP-01", "block of type 3", Gzip, member([]byte{7})},
		{"CMP-01", "distance before the start", Gzip, member([]byte{0x03, 0x02})},
		{"CMP-01", "bytes after the final block", Gzip, member(append(stored(plain), 0))},
		{"CMP-01", "zstd: skippable frame", Zstd, append(bytes.Clone(z), 0x50, 0x2a, 0x4d, 0x18, 1, 0, 0, 0, 'x')},
		{"CMP-01", "zstd: skippable frame first", Zstd, append([]byte{0x5f, 0x2a, 0x4d, 0x18, 1, 0, 0, 0, 'x'}, z...)},
		{"CMP-01", "zstd: garbage after", Zstd, append(bytes.Clone(z), "garbage"...)},
		{"CMP-01", "zstd: one byte after", Zstd, append(bytes.Clone(z), 0)},
		{"CMP-01", "zstd: cut off", Zstd, z[:len(z)-1]},
		{"CMP-01", "zstd: cut off in a block", Zstd, z[:len(z)/2]},
		{"CMP-01", "zstd: wrong checksum", Zstd, patch(z, -1, z[len(z)-1]^1)},
		{"CMP-01", "zstd: dictionary", Zstd, []byte("\x28\xb5\x2f\xfd\x21\x07\x01\x01\x00\x00")},
		{"CMP-01", "zstd: reserved flag", Zstd, patch(z, 4, z[4]|8)},
		{"CMP-01", "zstd: window of 64 MiB", Zstd, []byte("\x28\xb5\x2f\xfd\x00\x80\x01\x00\x00")},
		{"CMP-01", "zstd: one segment of 4 GiB", Zstd, []byte("\x28\xb5\x2f\xfd\xa0\xff\xff\xff\xff\x01\x00\x00")},
		{"CMP-01", "zstd: block of type 3", Zstd, []byte("\x28\xb5\x2f\xfd\x00\x00\x07\x00\x00")},
		{"CMP-01", "zstd: wrong content size", Zstd, func() []byte { b := bytes.Clone(zst(bytes.Repeat(plain, 3))); b[5]++; return b }()},
		{"OCI-06", "empty", Gzip, nil},
		{"OCI-06", "zstd for gzip", Gzip, z},
		{"OCI-06", "gzip for zstd", Zstd, g},
		{"OCI-06", "plain for gzip", Gzip, plain},
		{"OCI-06", "gzip for plain", Tar, g},
		{"OCI-06", "text", Tar, bytes.Repeat([]byte("text"), 200)},
		{"CMP-01", "bzip2", Gzip, []byte("BZh91AY&SY")},
		{"CMP-01", "xz", Gzip, []byte("\xfd7zXZ\x00\x00")},
	}
	for _, row := range rows {
		if _, err := names(row.codec, row.b); idOf(err) != row.id {
			t.Errorf("%s: %s is %s (%v)", row.id, row.name, idOf(err), err)
		}
	}
}

// A layer inside a layer's stream: the inner gzip is content, and not inflated.
func TestSentences(t *testing.T) {
	for _, row := range []struct{ got, want string }{
		{sentence(Read(Tar, bytes.NewReader(new(raw).entry('0', "../\x1b", "x").end()), nothing)),
			`TAR-01: path "../\x1b" has a control character`},
		{sentence(Read(Tar, bytes.NewReader(new(raw).entry('3', "dev", "").end()), nothing)),
			`TAR-04: entry at offset 0, "dev", is a character device: the runtime makes those, and a layer has none (docker and tar --exclude leave /dev out)`},
		{sentence(&Error{ID: "TAR-05", Path: "layer 2", Reason: "x"}), `layer 2: TAR-05: x`},
		{sentence(&MismatchError{ID: "ZIP-00", Entry: "a", What: "length", Want: "5 bytes", Got: "more"}),
			`ZIP-00: file "a": length is more, should be 5 bytes`},
	} {
		if row.got != row.want {
			t.Errorf("got  %s\nwant %s", row.got, row.want)
		}
	}
}

func sentence(err error) string { return err.Error() }

func nothing(Header, io.Reader) error { return nil }

func TestMediaTypes(t *testing.T) { // OCI-06
	gz, zs := []byte("\x1f\x8b\x08"), []byte("\x28\xb5\x2f\xfd")
	rows := []struct {
		media string
		start []byte
		id    string
	}{
		{MediaType(Gzip), gz, "accepted"},
		{MediaType(Zstd), zs, "accepted"},
		{MediaType(Tar), new(raw).entry('0', "a", "").b, "accepted"},
		{"application/vnd.docker.image.rootfs.diff.tar.gzip", gz, "accepted"},
		{MediaType(Gzip), zs, "OCI-06"},
		{MediaType(Tar), gz, "OCI-06"},
		{MediaType(Gzip) + "+encrypted", gz, "OCI-06"},
		{"application/vnd.oci.image.layer.nondistributable.v1.tar+gzip", gz, "OCI-03"},
		{"application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", gz, "OCI-03"},
		{"text/plain", gz, "OCI-06"},
		{"", gz, "OCI-06"},
		{MediaType("x"), gz, "OCI-06"},
	}
	for _, row := range rows {
		if _, err := CheckMediaType(row.media, row.start); idOf(err) != row.id {
			t.Errorf("%s: %q with % x is %s (%v)", row.id, row.media, row.start[:2], idOf(err), err)
		}
	}
}

// FuzzRead compares with archive/tar: what Read accepts, the standard library must read in
// the same way.
func FuzzRead(f *testing.F) {
	var gz, zs bytes.Buffer
	w, err := NewWriter(map[Codec]io.Writer{Gzip: &gz, Zstd: &zs})
	if err != nil {
		f.Fatal(err)
	}
	if err := errors.Join(add(w, "a/b", []byte("x")), add(w, long, []byte("y")),
		w.Add(Header{Path: "l", Type: Symlink, Link: "a"}, nil, nil)); err != nil {
		f.Fatal(err)
	}
	if _, err := w.Close(); err != nil {
		f.Fatal(err)
	}
	f.Add(0, gz.Bytes())
	f.Add(1, zs.Bytes())
	f.Add(2, unpack(f, Gzip, gz.Bytes()))
	f.Add(2, new(raw).pax("path", "b", "mtime", "5.5").entry('0', "a", "x").entry('L', "l", long+"\x00").entry('0', long[:100], "x").end())
	f.Fuzz(func(t *testing.T, n int, b []byte) {
		if n < 0 || n > 3 {
			return
		}
		codec := []Codec{Gzip, Zstd, Tar, Tar}[n]
		if n == 3 { // right checksums, so that more is reached
			b = bytes.Clone(b)
			for i := 0; i+block <= len(b); i += block {
				if !bytes.Equal(b[i:i+block], zeros[:block]) {
					fix(b[i:])
				}
			}
		}
		type item struct {
			h Header
			p string
		}
		var got []item
		total := 0
		err := Read(codec, bytes.NewReader(b), func(h Header, r io.Reader) error {
			p, err := io.ReadAll(io.LimitReader(r, 1<<20))
			if total += len(p); total > 32<<20 {
				return errors.New("enough")
			}
			got = append(got, item{h, string(p)})
			return err
		})
		if err != nil {
			return
		}
		var r io.Reader = bytes.NewReader(b)
		switch codec {
		case Gzip:
			if r, err = gzip.NewReader(r); err != nil {
				t.Fatal(err)
			}
		case Zstd:
			if r, err = zstd.NewReader(r); err != nil {
				t.Fatal(err)
			}
		}
		other := tar.NewReader(r)
		dirs := map[string]bool{}
		for {
			h, err := other.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatalf("the standard library: %v", err)
			}
			name := strings.TrimPrefix(h.Name, "./")
			if h.Typeflag == tar.TypeDir {
				if name = strings.TrimSuffix(name, "/"); name == "" {
					name = "."
				}
				if dirs[name] {
					continue // given once
				}
				dirs[name] = true
			}
			if len(got) == 0 {
				t.Fatalf("the standard library has %q too", h.Name)
			}
			mine := got[0]
			got = got[1:]
			switch mine.h.Type {
			case Whiteout, Opaque:
				continue
			case Regular:
				p, err := io.ReadAll(io.LimitReader(other, 1<<20))
				if err != nil || string(p) != mine.p {
					t.Fatalf("%q: content differs (%v)", h.Name, err)
				}
			}
			if name != mine.h.Path || int(flags[mine.h.Type]) != int(h.Typeflag) || h.Size != mine.h.Size ||
				h.Uid != mine.h.UID || h.Gid != mine.h.GID || h.ModTime.Unix() != mine.h.Time || h.Mode&0o7777 != mine.h.Mode ||
				strings.TrimPrefix(h.Linkname, "./") != strings.TrimPrefix(mine.h.Link, "./") {
				t.Fatalf("the standard library has %+v, Read has %+v", h, mine.h)
			}
		}
		if len(got) > 0 {
			t.Fatalf("the standard library does not have %+v", got[0])
		}
	})
}

func TestSurveyLeavesDevicesOut(t *testing.T) {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, h := range []*tar.Header{{Name: "dev/", Typeflag: tar.TypeDir, Mode: 0o755}, {Name: "dev/null", Typeflag: tar.TypeChar, Mode: 0o666, Devmajor: 1, Devminor: 3},
		{Name: "dev/fifo", Typeflag: tar.TypeFifo, Mode: 0o666}, {Name: "a", Typeflag: tar.TypeReg, Mode: 0o644}} {
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	var got []string
	_, _, err := Survey(Tar, bytes.NewReader(b.Bytes()), func(h Header, _ io.Reader) error { got = append(got, h.Path); return nil })
	if err != nil || strings.Join(got, " ") != "dev a" {
		t.Errorf("%v, %v; should be dev and a", got, err)
	}
	if err := Read(Tar, bytes.NewReader(b.Bytes()), func(Header, io.Reader) error { return nil }); err == nil {
		t.Error("Read takes devices")
	}
}
