package debian

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
)

var (
	okControl = gz(tarball(control("aa", "1.0", "amd64")))
	okData    = xzed(tarball(dir("./"), dir("./usr/"), file("./usr/x", "hello")))
	version   = arMember("debian-binary", []byte("2.0\n"))
	controlM  = arMember("control.tar.gz", okControl)
	dataM     = arMember("data.tar.xz", okData)
)

func TestAPackageIsRead(t *testing.T) {
	for name, data := range map[string][]byte{"data.tar.xz": okData, "data.tar.gz": gz(tarball(file("./usr/x", "hello"))), "data.tar.zst": zst(tarball(file("./usr/x", "hello"))), "data.tar": tarball(file("./usr/x", "hello"))} {
		d := open(t, join([]byte(arMagic), version, controlM, arMember(name, data)))
		if d.Name != "aa" || d.Version != "1.0" || d.Architecture != "amd64" || !strings.HasPrefix(string(d.Control), "Package: aa\n") {
			t.Errorf("%s: %+v", name, d.Package)
		}
		got := ""
		if err := d.Walk(func(e Entry, r io.Reader) error {
			if e.Type == TypeFile {
				b, err := io.ReadAll(r)
				got += fmt.Sprintf("%s %o %s", e.Path, e.Mode, b)
				return err
			}
			return nil
		}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if got != "usr/x 644 hello" {
			t.Errorf("%s: %q", name, got)
		}
	}
}

// patched is a package whose bytes from the first member's header on are changed.
func patched(at int, s string) []byte {
	b := bytes.Clone(join([]byte(arMagic), version, controlM, dataM))
	copy(b[at:], s)
	return b
}

func TestDEB01(t *testing.T) {
	whole := join([]byte(arMagic), version, controlM, dataM)
	odd := arMember("data.tar", append(tarball(file("./x", "")), 0))
	for _, row := range []struct {
		name  string
		deb   []byte
		words string
	}{
		{"an empty file", nil, "0 bytes"},
		{"another magic", append([]byte("!<thin>\n"), whole[8:]...), "not with an ar archive's"},
		{"a cut header", whole[:30], "cut off"},
		{"a cut member", whole[:len(whole)-100], "only"},
		{"a size in words", patched(8+48, "four      "), "states the size"},
		{"a negative size", patched(8+48, "-4        "), "states the size"},
		{"a blank size", patched(8+48, "          "), "states the size"},
		{"a size beyond numbers", patched(8+48, "9999999999"), "has 9999999999 bytes"},
		{"a size with a zero in front", patched(8+48, "04        "), "states the size"},
		{"another end of a header", patched(8+58, "``"), "ends with"},
		{"a padding that is none", bytes.Replace(join([]byte(arMagic), version, controlM, odd), odd, append(odd[:len(odd)-1:len(odd)-1], 'x'), 1), "padding"},
		{"a missing padding", join([]byte(arMagic), version, controlM, odd[:len(odd)-1]), "is missing"},
		{"a long name", join([]byte(arMagic), version, arMember("#1/14", okControl), dataM), "not control.tar"},
		{"a table of long names", join([]byte(arMagic), arMember("//", []byte("x\n")), version, controlM, dataM), "after the third member"},
		{"a name with a slash", join([]byte(arMagic), arMember("debian-binary/", []byte("2.0\n")), controlM, dataM), "not debian-binary"},
		{"no data", join([]byte(arMagic), version, controlM), "2 members"},
		{"no control", join([]byte(arMagic), version, dataM), "2 members"},
		{"a member twice", join([]byte(arMagic), version, controlM, controlM), "not data.tar"},
		{"another order", join([]byte(arMagic), version, dataM, controlM), "not control.tar"},
		{"something before debian-binary", join([]byte(arMagic), controlM, version, dataM), "not debian-binary"},
		{"an extra member", join([]byte(arMagic), version, controlM, dataM, arMember("_gpgorigin", []byte("xx"))), "after the third member"},
		{"another version", join([]byte(arMagic), arMember("debian-binary", []byte("2.1\n")), controlM, dataM), "debian-binary is"},
		{"a long version", join([]byte(arMagic), arMember("debian-binary", bytes.Repeat([]byte("2.0\n"), 20)), controlM, dataM), "80 bytes"},
		{"bytes at the end", append(bytes.Clone(whole), "\n\n"...), "after the third member"},
		{"a name that begins well", join([]byte(arMagic), version, arMember("control.tarx", okControl), dataM), "not control.tar"},
	} {
		t.Run(row.name, func(t *testing.T) { refused(t, read(row.deb), "DEB-01", row.words) })
	}
	_, err := OpenDeb(bytes.NewReader(nil), maxDeb+1, "x.deb")
	refused(t, err, "DEB-01", "the limit is")
}

func TestDEB02(t *testing.T) {
	ok := control("aa", "1.0", "amd64")
	for _, row := range []struct {
		name    string
		control []part
		id      string
		words   string
	}{
		{"a link", []part{ok, symlink("./postinst", "/bin/sh")}, "DEB-02", `"postinst" of type`},
		{"an unknown file", []part{ok, file("./preload.so", "x")}, "DEB-02", `holds "preload.so"`},
		{"a folder", []part{ok, dir("./sub/")}, "DEB-02", `holds "sub"`},
		{"a folder that nobody may enter", []part{ok, {name: "./sub/", flag: TypeDir, patch: mode0}}, "DEB-02", `holds "sub"`},
		{"a device", []part{ok, {name: "./control2", flag: '3'}}, "TAR-04", "has type"},
		{"no control file", []part{file("./md5sums", "")}, "DEB-02", "no control file"},
		{"an empty control file", []part{file("./control", "")}, "DEB-02", "empty"},
		{"two paragraphs", []part{file("./control", ok.body+"\n"+ok.body)}, "DEB-02", "second paragraph"},
		{"a name that is a path", []part{control("../a", "1.0", "amd64")}, "DEB-04", "name that is not allowed"},
		{"a field twice", []part{control("aa", "1.0", "amd64", "Package: b\n")}, "DEB-04", "twice"},
		{"a large control file", []part{control("aa", "1.0", "amd64", strings.Repeat("X-A: b\n", 200_000))}, "DEB-02", "the limit is"},
		{"a large control.tar", []part{ok, file("./md5sums", strings.Repeat("x", 16<<20))}, "CMP-01", "larger than 16777216"},
	} {
		t.Run(row.name, func(t *testing.T) {
			refused(t, read(debOf(tarball(row.control...), tarball(file("./x", "")))), row.id, row.words)
		})
	}
}

func TestDEB03(t *testing.T) {
	data := zst(tarball(file("./x", strings.Repeat("hello", 1000))))
	for n := range len(data) {
		if err := read(join([]byte(arMagic), version, controlM, arMember("data.tar.zst", data[:n]))); err == nil {
			t.Fatalf("zstd cut to %d of %d bytes is read", n, len(data))
		}
	}
	whole := xzed(tarball(file("./x", strings.Repeat("hello", 1000))))
	for n := range len(whole) {
		if err := read(join([]byte(arMagic), version, controlM, arMember("data.tar.xz", whole[:n]))); err == nil {
			t.Fatalf("xz cut to %d of %d bytes is read", n, len(whole))
		}
	}
	refused(t, read(debOf(tarball(control("aa", "1", "amd64"), file("./../etc/passwd", "x")), tarball())), "TAR-01", "has the part ..")
	x, err := unpack(t, pkg("aa", part{name: "./opt/", flag: TypeDir, mode: 0o10000}, part{name: "./opt/d/", flag: TypeDir, mode: 0}))
	if err == nil {
		t.Errorf("%+v", x.entries["opt"])
	}
}

// mode0 is what dpkg's CVE-2025-6297 could not remove again.
func mode0(h []byte) { copy(h[100:108], "0000000\x00") }

// A folder without any permission is only a number in a layer.
func TestDEB03ModesStayInTheLayer(t *testing.T) {
	x := mustUnpack(t, pkg("aa", part{name: "./opt/d/", flag: TypeDir, patch: mode0}, file("./opt/d/x", "1")))
	if e := x.entries["opt/d"]; e.Type != TypeDir || e.Mode != 0 || x.content["opt/d/x"] != "1" {
		t.Errorf("%+v", e)
	}
}

// pax is an entry of records, for the next one.
func pax(flag byte, records ...string) part {
	body := ""
	for _, r := range records {
		n := len(r) + 3
		for n != len(fmt.Sprint(n))+1+len(r)+1 {
			n = len(fmt.Sprint(n)) + 1 + len(r) + 1
		}
		body += fmt.Sprintf("%d %s\n", n, r)
	}
	return part{name: "PaxHeaders/x", flag: flag, body: body}
}

func long(flag byte, name string) part {
	return part{name: "././@LongLink", flag: flag, body: name + "\x00", magic: "ustar  \x00"}
}

func TestTAR(t *testing.T) {
	deep := strings.Repeat("d/", 64) + "x"
	for _, row := range []struct {
		name  string
		parts []part
		id    string
		words string
	}{
		{"a path that leaves", []part{file("./../x", "")}, "TAR-01", "has the part .."},
		{"a path that leaves in the middle", []part{file("./a/../../x", "")}, "TAR-01", "has the part .."},
		{"an absolute path", []part{file("/etc/passwd", "")}, "TAR-01", "is absolute"},
		{"an empty part", []part{file("./a//b", "")}, "TAR-01", "empty part"},
		{"a second dot", []part{file("././a", "")}, "TAR-01", "has the part ."},
		{"a terminal escape", []part{file("./\x1b[2J", "")}, "TAR-01", "control character"},
		{"a bidi override", []part{file("./a\u202eb", "")}, "TAR-01", "control character"},
		{"bytes that are no UTF-8", []part{file("./\xff", "")}, "TAR-01", "UTF-8"},
		{"a long path", []part{pax('x', "path=./"+strings.Repeat("x", 1025)), file("./x", "")}, "TAR-01", "longer than 1024"},
		{"a deep path", []part{pax('x', "path=./"+deep), file("./x", "")}, "TAR-01", "deeper than 64"},
		{"a removal", []part{file("./usr/.wh.x", "")}, "TAR-01", "remove files of other layers"},
		{"a prefix that joins to a way out", []part{{name: "x", prefix: ".."}}, "TAR-01", "has the part .."},
		{"bytes after the name's end", []part{{name: "a\x00b"}}, "TAR-01", "after the end of a name"},
		{"a PAX path that leaves", []part{pax('x', "path=../x"), file("./x", "")}, "TAR-01", "has the part .."},
		{"two PAX paths", []part{pax('x', "path=a", "path=b"), file("./x", "")}, "TAR-01", "twice"},
		{"PAX records twice", []part{pax('x', "path=a"), pax('x', "path=b"), file("./x", "")}, "TAR-01", "more than one name"},
		{"a NUL in a PAX path", []part{pax('x', "path=a\x00b"), file("./x", "")}, "TAR-01", "value"},
		{"another PAX size", []part{pax('x', "size=3"), file("./x", "hello")}, "TAR-01", "PAX size 3, header size 5"},
		{"a broken PAX length", []part{{name: "p", flag: 'x', body: "99 path=a\n"}, file("./x", "")}, "TAR-01", "malformed"},
		{"global PAX records", []part{pax('g', "path=a"), file("./x", "")}, "TAR-01", "global"},
		{"a PAX record after a GNU name", []part{long('L', "./x"), pax('x', "path=a"), file("./x", "")}, "TAR-01", "more than one name"},
		{"global PAX sizes", []part{pax('g', "size=3"), file("./x", "")}, "TAR-01", "global"},
		{"a NUL in another PAX value", []part{pax('x', "linkpath=a\x00b"), symlink("./x", "y")}, "TAR-01", "value"},
		{"a GNU name after PAX", []part{pax('x', "path=a"), long('L', "./x"), file("./x", "")}, "TAR-01", "more than one name"},
		{"two GNU names", []part{long('L', "./x"), long('L', "./x"), file("./x", "")}, "TAR-01", "more than one name"},
		{"a GNU name that begins otherwise", []part{long('L', "./etc/passwd"), file("./x", "")}, "TAR-01", "does not begin with"},
		{"another PAX owner", []part{pax('x', "uid=5"), {name: "./x", patch: func(h []byte) { copy(h[108:116], "0000001\x00") }}}, "TAR-05", "PAX uid 5, header 1"},
		{"a GNU link that begins otherwise", []part{long('K', "/etc/passwd"), symlink("./x", "y")}, "TAR-01", "long link"},
		{"a GNU name of a gigabyte", []part{{name: "././@LongLink", flag: 'L', patch: func(h []byte) { copy(h[124:136], "10000000000\x00") }}}, "TAR-01", "the limit is"},
		{"a GNU name of no bytes", []part{{name: "././@LongLink", flag: 'L'}, file("./x", "")}, "TAR-01", "the limit is"},
		{"PAX records of a gigabyte", []part{{name: "p", flag: 'x', patch: func(h []byte) { copy(h[124:136], "10000000000\x00") }}}, "TAR-01", "the limit is"},
		{"a PAX record without a value", []part{{name: "p", flag: 'x', body: "7 path\n"}, file("./x", "")}, "TAR-01", "malformed"},
		{"a PAX record without a key", []part{{name: "p", flag: 'x', body: "5 =x\n"}, file("./x", "")}, "TAR-01", "malformed"},
		{"a terminal escape in a PAX key", []part{pax('x', "\x1b[2J=x"), file("./x", "")}, "TAR-01", "is malformed"},
		{"a name without its entry", []part{long('L', "./x")}, "TAR-01", "entry that is missing"},

		{"a file below a link", []part{symlink("./a", "/etc"), file("./a/b", "")}, "TAR-02", "no folder"},
		{"a file below a chain of links", []part{symlink("./a", "b"), symlink("./b", "/etc"), file("./a/c", "")}, "TAR-02", "no folder"},
		{"a file below a link to the root", []part{symlink("./a", "/"), file("./a/etc/passwd", "")}, "TAR-02", "no folder"},
		{"a link whose name ends with a slash", []part{symlink("./a/", "b")}, "TAR-01", "empty part"},
		{"a file whose name ends with a slash", []part{file("./a/", "x")}, "TAR-01", "empty part"},
		{"a file below a file", []part{file("./a", ""), file("./a/b", "")}, "TAR-02", "no folder"},
		{"a hard link that leaves", []part{hardlink("./a", "../../etc/passwd")}, "TAR-02", "has the part .."},
		{"a hard link to an absolute path", []part{hardlink("./a", "/etc/passwd")}, "TAR-02", "is absolute"},
		{"a hard link to a link", []part{symlink("./l", "x"), hardlink("./a", "./l")}, "TAR-02", "no file before it"},
		{"a hard link to itself", []part{hardlink("./a", "./a")}, "TAR-02", "no file before it"},
		{"a hard link to what comes later", []part{hardlink("./a", "./b"), file("./b", "")}, "TAR-02", "no file before it"},
		{"a symbolic link to nothing", []part{{name: "./a", flag: TypeSymlink}}, "TAR-02", "target"},
		{"a file with a target", []part{{name: "./a", link: "b"}}, "TAR-02", "has a target"},

		{"a folder with content", []part{{name: "./d/", flag: TypeDir, body: strings.Repeat("x", 512)}}, "TAR-03", "has size 512"},
		{"a symbolic link with content", []part{{name: "./a", flag: TypeSymlink, link: "b", body: "x"}}, "TAR-03", "has size 1"},
		{"a hard link with content", []part{file("./b", ""), {name: "./a", flag: TypeHardlink, link: "./b", body: "x"}}, "TAR-03", "has size 1"},
		{"a hidden entry in a folder", []part{{name: "./d/", flag: TypeDir, body: string(file("./hidden.txt", "").bytes())}}, "TAR-03", "has size 512"},
		{"a hidden entry in a link", []part{{name: "./l", flag: TypeSymlink, link: "x", body: string(file("./hidden.txt", "").bytes())}}, "TAR-03", "has size 512"},
		{"padding that is content", []part{{name: "./a", body: "x" + strings.Repeat("\x00", 510) + "y", size: 1, bare: true}}, "TAR-03", "padding"},

		{"a character device", []part{{name: "./a", flag: '3'}}, "TAR-04", "type"},
		{"a block device", []part{{name: "./a", flag: '4'}}, "TAR-04", "type"},
		{"a FIFO", []part{{name: "./a", flag: '6'}}, "TAR-04", "type"},
		{"a contiguous file", []part{{name: "./a", flag: '7'}}, "TAR-04", "type"},
		{"a GNU volume", []part{{name: "./a", flag: 'V'}}, "TAR-04", "type"},
		{"a GNU multi-volume file", []part{{name: "./a", flag: 'M'}}, "TAR-04", "type"},
		{"a GNU folder", []part{{name: "./a", flag: 'D'}}, "TAR-04", "type"},
		{"an unknown type", []part{{name: "./a", flag: 'Z'}}, "TAR-04", "type"},
		{"the old type", []part{{name: "./a", patch: func(h []byte) { h[156] = 0 }}}, "TAR-04", "type"},
		{"an old sparse file", []part{{name: "./a", flag: 'S', magic: "ustar  \x00"}}, "TAR-04", "type"},
		{"a sparse file's extension", []part{{name: "./a", magic: "ustar  \x00", patch: func(h []byte) { h[386] = '1' }}}, "TAR-04", "sparse"},
		{"a PAX sparse file", []part{pax('x', "GNU.sparse.major=1"), file("./a", "")}, "TAR-04", "sparse"},
		{"a PAX sparse file of 0.0", []part{pax('x', "GNU.sparse.size=1073741824", "GNU.sparse.numblocks=1"), file("./a", "")}, "TAR-04", "sparse"},
		{"a PAX sparse file by its real size", []part{pax('x', "SCHILY.realsize=9"), file("./a", "")}, "TAR-04", "sparse"},
		{"a PAX sparse file of 0.1", []part{pax('x', "GNU.sparse.map=0,1"), file("./a", "")}, "TAR-04", "sparse"},

		{"a path twice", []part{file("./a", "1"), file("./a", "2")}, "TAR-05", "twice"},
		{"a wrong checksum", []part{{name: "./a", spoil: func(h []byte) { h[0] = 'x' }}}, "TAR-05", "checksum"},
		{"a negative size", []part{{name: "./a", patch: func(h []byte) { copy(h[124:136], "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff") }}}, "TAR-05", "size is no number"},
		{"a size with a letter", []part{{name: "./a", patch: func(h []byte) { copy(h[124:136], "0000000000z\x00") }}}, "TAR-05", "size is no number"},
		{"a huge size", []part{{name: "./a", patch: func(h []byte) { copy(h[124:136], "\x80\x00\x00\x00\x7f\xff\xff\xff\xff\xff\xff\xff") }}}, "TAR-05", "size is no number"},
		{"an owner beyond 32 bits", []part{{name: "./a", patch: func(h []byte) { copy(h[108:116], "\x80\x00\x00\x01\x00\x00\x00\x00") }}}, "TAR-05", "owner"},
		{"a negative time", []part{{name: "./a", patch: func(h []byte) { copy(h[136:148], "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff") }}}, "TAR-05", "time is no number"},
		{"a time after the year 9999", []part{{name: "./a", patch: func(h []byte) { copy(h[136:148], "\x80\x00\x00\x00\x00\x00\x00\xff\x00\x00\x00\x00") }}}, "TAR-05", "time"},
		{"a capability", []part{pax('x', "SCHILY.xattr.security.capability=x"), file("./a", "")}, "TAR-05", "extended attribute"},
		{"a user's extended attribute", []part{pax('x', "SCHILY.xattr.user.x=y"), file("./a", "")}, "TAR-05", "extended attribute"},
		{"another tool's extended attribute", []part{pax('x', "LIBARCHIVE.xattr.user.x=eQ"), file("./a", "")}, "TAR-05", "extended attribute"},
		{"a PAX owner beyond 32 bits", []part{pax('x', "uid=4294967296"), file("./a", "")}, "TAR-05", "owner"},
		{"a negative PAX time", []part{pax('x', "mtime=-1"), file("./a", "")}, "TAR-05", "value"},
		{"an ACL", []part{pax('x', "SCHILY.acl.access=x"), file("./a", "")}, "TAR-05", "extended attribute"},
		{"an unknown record", []part{pax('x', "FOO.bar=x"), file("./a", "")}, "TAR-05", "not known"},
		{"an unknown format", []part{{name: "./a", magic: "ustar\x0099"}}, "TAR-05", "format"},
		{"bytes after the prefix", []part{{name: "./a", patch: func(h []byte) { h[505] = 'x' }}}, "TAR-05", "after the prefix"},
	} {
		t.Run(row.id+" "+row.name, func(t *testing.T) {
			refused(t, read(pkg("aa", row.parts...)), row.id, row.words)
		})
	}
}

// Every letter that could be a type and is none that forge takes.
func TestTAR04Types(t *testing.T) {
	for flag := byte('A'); flag <= 'Z'; flag++ {
		if flag != 'K' && flag != 'L' {
			refused(t, read(pkg("aa", part{name: "./a", flag: flag})), "TAR-04", "type")
		}
	}
}

func TestTAREnds(t *testing.T) {
	body := file("./a", "hello").bytes()
	end := make([]byte, 1024)
	for _, row := range []struct {
		name string
		tar  []byte
		want string
	}{
		{"no end mark", body, "cut off"},
		{"half an end mark", join(body, end[:512]), "cut off"},
		{"one block of zeros in the middle", join(body, end[:512], file("./b", "x").bytes(), end), "single block of zeros"},
		{"data after the end mark", join(body, end, file("./b", "x").bytes(), end), "after the end"},
		{"half a block after the end mark", join(body, end, end[:100]), "after the end"},
		{"too much padding", join(body, end, make([]byte, maxTail+1024)), "more than"},
		{"cut content", body[:515], "cut off"},
	} {
		t.Run(row.name, func(t *testing.T) {
			refused(t, read(debOf(tarball(control("aa", "1", "amd64")), row.tar)), "TAR-05", row.want)
		})
	}
	if err := read(debOf(tarball(control("aa", "1", "amd64")), join(body, end, make([]byte, 10240)))); err != nil {
		t.Error(err)
	}
	// Who reads content that is cut off must not take it for whole.
	err := open(t, debOf(tarball(control("aa", "1", "amd64")), body[:515])).Walk(func(_ Entry, r io.Reader) error {
		got, err := io.ReadAll(r)
		refused(t, err, "TAR-05", "cut off")
		if string(got) != "hel" {
			t.Errorf("got %q", got)
		}
		return err
	})
	refused(t, err, "TAR-05", "cut off")
}

func TestGNUAndPAXNamesAreTaken(t *testing.T) {
	name := "./usr/" + strings.Repeat("n", 150)
	for i, parts := range [][]part{
		{long('L', name), {name: name[:100], magic: "ustar  \x00", body: "x"}},
		{pax('x', "path="+name, "mtime=1.5"), file("./usr/n", "x")},
		{{name: name[6:][:100], prefix: "usr", body: "x"}},
	} {
		var got []string
		d := open(t, pkg("aa", parts...))
		if err := d.Walk(func(e Entry, _ io.Reader) error { got = append(got, e.Path); return nil }); err != nil {
			t.Error(err)
		}
		if len(got) != 1 || !strings.HasPrefix(got[0], "usr/nnn") {
			t.Errorf("%d: %v", i, got)
		}
	}
}

func TestCMP01(t *testing.T) {
	data := tarball(control("aa", "1", "amd64"))
	g, x, z := gz(data), xzed(data), zst(data)
	change := func(b []byte, at int, v byte) []byte {
		b = bytes.Clone(b)
		if at < 0 {
			at += len(b)
		}
		b[at] ^= v
		return b
	}
	named := bytes.Clone(g)
	named[3] = 8
	named = join(named[:10], []byte("../x\x00"), named[10:])
	// Where the index of x and the filter of its only block are.
	index := len(x) - 12 - 4*(int(binary.LittleEndian.Uint32(x[len(x)-8:]))+1)
	filter := 12 + bytes.Index(x[12:], []byte{0x21, 1})
	for _, row := range []struct {
		name, words, ending string
		data                []byte
	}{
		{"gzip of two members", "bytes after the gzip stream", ".gz", join(g, g)},
		{"gzip with something after it", "bytes after the gzip stream", ".gz", append(bytes.Clone(g), 0)},
		{"gzip with a wrong length", "invalid checksum", ".gz", change(g, -1, 1)},
		{"gzip with a wrong CRC", "invalid checksum", ".gz", change(g, -5, 1)},
		{"gzip with a path as name", "gzip file name", ".gz", named},
		{"gzip with a header's CRC", "gzip flags 0x2", ".gz", change(g, 3, 2)},
		{"gzip with reserved flags", "gzip flags 0x80", ".gz", change(g, 3, 0x80)},
		{"gzip with block type 3", "corrupt", ".gz", change(g, 10, 6)},
		{"gzip with a stored block whose lengths disagree", "corrupt", ".gz", deflating(0x01, 5, 0, 0, 0, 'h', 'e', 'l', 'l', 'o')},
		{"gzip with an incomplete code", "corrupt", ".gz", deflating(0x05, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00)},
		{"gzip with a distance before the start", "corrupt", ".gz", deflating(0x4b, 0x04, 0x12, 0x00)},
		{"xz of two streams", "more than one stream?", ".xz", join(x, x)},
		{"xz with padding", "no footer at its end", ".xz", join(x, make([]byte, 4))},
		{"xz with something after it", "no footer at its end", ".xz", append(bytes.Clone(x), 1, 2, 3, 4)},
		{"xz with a dictionary of 4 GiB", "xz dictionary of 4294967296 bytes", ".xz", dictionary(x)},
		{"xz without a check", "without a check", ".xz", change(x, 7, 4)},
		{"xz with a changed byte", "out of range", ".xz", change(x, 40, 1)},
		{"xz with two filters", "other than LZMA2", ".xz", change(x, 13, 1)},
		{"xz with another filter", "other than LZMA2", ".xz", change(x, filter, 0x21^4)},
		{"xz with a dictionary beyond any", "dictionary size is wrong", ".xz", change(x, filter+2, x[filter+2]^41)},
		{"xz without a block's header", "no header", ".xz", change(x, 12, x[12])},
		{"xz cut by two bytes", "cut off", ".xz", x[:len(x)-2]},
		{"xz with an index of a gigabyte", "xz index of", ".xz", change(x, -5, 0x10)},
		{"xz without an index", "xz index is wrong", ".xz", change(x, index, 1)},
		{"xz with an index of no blocks", "more than one stream?", ".xz", change(x, index+1, 1)},
		{"xz with an index of many blocks", "xz index is wrong", ".xz", change(x, index+1, 0x7e)},
		{"zstd of two frames", "zstd frame ends at", ".zst", join(z, z)},
		{"zstd with something after it", "zstd frame ends at", ".zst", append(bytes.Clone(z), 0)},
		{"zstd after a skippable frame", "skippable", ".zst", join([]byte{0x50, 0x2a, 0x4d, 0x18, 1, 0, 0, 0, 0}, z)},
		{"zstd before a skippable frame", "zstd frame ends at", ".zst", join(z, []byte{0x50, 0x2a, 0x4d, 0x18, 1, 0, 0, 0, 0})},
		{"zstd with a window of 1 GiB", "zstd window of 1073741824 bytes", ".zst", []byte{0x28, 0xb5, 0x2f, 0xfd, 0x00, 20 << 3, 1, 0, 0}},
		{"zstd with a dictionary", "needs a dictionary", ".zst", []byte{0x28, 0xb5, 0x2f, 0xfd, 0x21, 7, 0, 1, 0, 0}},
		{"zstd with a wrong content size", "frame size", ".zst", wrongSize(data)},
		{"zstd with a wrong checksum", "CRC", ".zst", change(z, -1, 1)},
		{"bzip2", ".bz2 is not supported", ".bz2", []byte("BZh91AY&SY")},
		{"lzma", ".lzma is not supported", ".lzma", []byte("]\x00\x00\x80\x00")},
		{"7z", ".7z is not supported", ".7z", []byte("7z\xbc\xaf\x27\x1c")},
		{"rar", ".rar is not supported", ".rar", []byte("Rar!")},
		{"an unknown ending", "is unknown", ".q", []byte("x")},
		{"gzip called xz", "is not xz", ".xz", g},
		{"xz called gzip", "is not gzip", ".gz", x},
	} {
		t.Run(row.name, func(t *testing.T) {
			refused(t, read(join([]byte(arMagic), version, controlM, arMember("data.tar"+row.ending, row.data))), "CMP-01", row.words)
			refused(t, read(join([]byte(arMagic), version, arMember("control.tar"+row.ending, row.data), dataM)), "CMP-01", row.words)
		})
	}
}

// deflating is a gzip member around raw deflate bytes.
func deflating(deflate ...byte) []byte {
	return join([]byte("\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"), deflate, make([]byte, 8))
}

// dictionary makes the first block of an xz stream ask for a dictionary of 4 GiB.
func dictionary(x []byte) []byte {
	x = bytes.Clone(x)
	size := (int(x[12]) + 1) * 4
	i := bytes.Index(x[12:12+size], []byte{0x21, 1})
	x[12+i+2] = 40
	crc := crc32.ChecksumIEEE(x[12 : 12+size-4])
	for j := range 4 {
		x[12+size-4+j] = byte(crc >> (8 * j))
	}
	return x
}

// wrongSize is a zstd frame that states one byte more than it holds.
func wrongSize(data []byte) []byte {
	w, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderCRC(false))
	if err != nil {
		panic(err)
	}
	b := w.EncodeAll(data, nil)
	var h zstd.Header
	if err := h.Decode(b); err != nil || !h.HasFCS {
		panic("no content size")
	}
	for i := 5; i < h.HeaderSize; i++ {
		if b[i] != 0 {
			b[i]++
			break
		}
	}
	return b
}

func TestABombIsBounded(t *testing.T) {
	zeros := make([]byte, 1<<20)
	var big bytes.Buffer
	w, err := zstd.NewWriter(&big, zstd.WithEncoderConcurrency(1))
	if err != nil {
		t.Fatal(err)
	}
	_, _ = w.Write(control("aa", "1", "amd64").bytes())
	_, _ = w.Write(part{name: "./md5sums", size: 1 << 30}.bytes())
	for range 64 {
		_, _ = w.Write(zeros)
	}
	_ = w.Close()
	err = read(join([]byte(arMagic), version, arMember("control.tar.zst", big.Bytes()), dataM))
	refused(t, err, "DEB-02", "the limit is")
}

func TestAnErrorNamesFileRuleAndText(t *testing.T) {
	err := read(pkg("aa", file("./"+strings.Repeat("x", 95)+"\x1b", "")))
	want := `x.deb: TAR-01: path "./` + strings.Repeat("x", 95) + `\x1b" has a control character`
	if err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}
