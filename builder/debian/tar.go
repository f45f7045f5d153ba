package debian

import (
	"bytes"
	"errors"
	"io"
	"strconv"
	"strings"
)

const block = 512

var zeros [block]byte

// Types of entries, as in the type flag of a tar header.
const (
	TypeFile     = '0'
	TypeHardlink = '1'
	TypeSymlink  = '2'
	TypeDir      = '5'
)

const (
	maxPAX     = 64 << 10
	maxTail    = 1 << 20
	maxEntries = 1_000_000
	maxID      = 1<<32 - 2
	maxTime    = 253402300799 // the last second of the year 9999
)

// tarReader reads a tar in blocks of 512 bytes. It refuses what two readers could take for
// two different archives: TAR-01 to TAR-05.
type tarReader struct {
	in      io.Reader
	file    string // for errors
	off     int64
	limit   int64 // bytes of tar
	block   [block]byte
	seen    map[string]byte // path → type
	pending overrides
	user    error // of the caller's function
}

// overrides are what entries of types x, L and K say about the next one.
type overrides struct {
	pax        map[string]string // nil: none
	name, link *string           // GNU
}

func (o overrides) any() bool { return o.pax != nil || o.name != nil || o.link != nil }

func newTarReader(in io.Reader, file string, limit int64) *tarReader {
	return &tarReader{in: in, file: file, limit: limit, seen: map[string]byte{}}
}

func (t *tarReader) refuse(id, entry, format string, args ...any) error {
	return refuse(id, t.file, entry, t.off, format, args...)
}

// Read reads from the stream, bounded, and gives its errors a rule.
func (t *tarReader) Read(p []byte) (int, error) {
	n, err := t.in.Read(p)
	t.off += int64(n)
	if t.off > t.limit {
		return 0, t.refuse("CMP-01", "", "is larger than %d bytes when unpacked", t.limit)
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return n, t.refuse("CMP-01", "", "unpacking, after %d bytes of tar: %v", t.off, err)
	}
	return n, err
}

// full reads len(p) bytes.
func (t *tarReader) full(p []byte) error {
	_, err := io.ReadFull(t, p)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return t.refuse("TAR-05", "", "tar is cut off after %d bytes", t.off)
	}
	return err
}

// each reads all entries, to the last byte of the stream. fn may leave content unread.
func (t *tarReader) each(fn func(Entry, io.Reader) error) error {
	for {
		if err := t.full(t.block[:]); err != nil {
			return err
		}
		if t.block == zeros {
			return t.end()
		}
		raw, err := t.header()
		if err != nil {
			return err
		}
		if raw.flag == 'x' || raw.flag == 'L' || raw.flag == 'K' {
			if err := t.override(raw); err != nil {
				return err
			}
			continue
		}
		e, err := t.resolve(raw)
		if err != nil {
			return err
		}
		if e.Path == "" { // the root itself
			continue
		}
		if err := t.admit(e); err != nil {
			return err
		}
		if err := t.content(e, fn); err != nil {
			return err
		}
	}
}

// content passes a file's content to fn, and reads what fn leaves.
func (t *tarReader) content(e Entry, fn func(Entry, io.Reader) error) error {
	body := &bodyReader{LimitedReader: io.LimitedReader{R: t, N: e.Size}, t: t}
	if err := fn(e, body); err != nil {
		t.user = err
		return err
	}
	if body.N > 0 {
		if _, err := io.Copy(struct{ io.Writer }{io.Discard}, body); err != nil {
			return err
		}
	}
	return t.pad(e.Size)
}

// bodyReader is content that must not end early.
type bodyReader struct {
	io.LimitedReader
	t *tarReader
}

func (b *bodyReader) Read(p []byte) (int, error) {
	n, err := b.LimitedReader.Read(p)
	if errors.Is(err, io.EOF) && b.N > 0 {
		return n, b.t.refuse("TAR-05", "", "tar is cut off after %d bytes", b.t.off)
	}
	return n, err
}

// end checks that only zeros follow.
func (t *tarReader) end() error {
	if t.pending.any() {
		return t.refuse("TAR-01", "", "tar ends after the records of an entry that is missing")
	}
	if err := t.full(t.block[:]); err != nil {
		return err
	}
	if t.block != zeros {
		return t.refuse("TAR-05", "", "a single block of zeros in the middle of the tar")
	}
	start := t.off
	for {
		n, err := io.ReadFull(t, t.block[:])
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
			return err
		}
		if n < block || t.block != zeros {
			return t.refuse("TAR-05", "", "data after the end of the tar, at offset %d", t.off)
		}
		if t.off-start > maxTail {
			return t.refuse("TAR-05", "", "more than %d zeros after the end of the tar", maxTail)
		}
	}
}

// rawHeader is what one block says.
type rawHeader struct {
	flag           byte
	name, link     string // prefix included
	mode, uid, gid int64
	size, time     int64
}

func (t *tarReader) header() (rawHeader, error) {
	b := &t.block
	at := t.off - block
	var sum int64
	for i, c := range b {
		if i >= 148 && i < 156 {
			c = ' '
		}
		sum += int64(c)
	}
	var raw rawHeader
	if got, ok := octal(b[148:156]); !ok || got != sum {
		return raw, t.refuse("TAR-05", "", "header at offset %d has a wrong checksum", at)
	}
	raw.flag = b[156]
	switch raw.flag {
	case TypeFile, TypeHardlink, TypeSymlink, TypeDir, 'x', 'L', 'K':
	case 'g':
		return raw, t.refuse("TAR-01", "", "global PAX records at offset %d", at)
	default:
		return raw, t.refuse("TAR-04", "", "entry at offset %d has type %+q", at, raw.flag)
	}
	for _, f := range []struct {
		name      string
		to        *int64
		from, to2 int
	}{{"mode", &raw.mode, 100, 108}, {"uid", &raw.uid, 108, 116}, {"gid", &raw.gid, 116, 124}, {"size", &raw.size, 124, 136}, {"time", &raw.time, 136, 148}} {
		v, ok := octal(b[f.from:f.to2])
		if !ok {
			return raw, t.refuse("TAR-05", "", "header at offset %d: %s is no number", at, f.name)
		}
		*f.to = v
	}
	name, ok1 := text(b[0:100])
	link, ok2 := text(b[157:257])
	raw.name, raw.link = name, link
	switch string(b[257:265]) {
	case "ustar\x0000":
		prefix, ok := text(b[345:500])
		ok2 = ok2 && ok
		if prefix != "" {
			raw.name = prefix + "/" + name
		}
		if !bytes.Equal(b[500:], zeros[:12]) {
			return raw, t.refuse("TAR-05", "", "header at offset %d: bytes after the prefix", at)
		}
	case "ustar  \x00", "\x00\x00\x00\x00\x00\x00\x00\x00":
		if !bytes.Equal(b[345:], zeros[:block-345]) {
			return raw, t.refuse("TAR-04", "", "header at offset %d: extensions for sparse or incremental archives", at)
		}
	default:
		return raw, t.refuse("TAR-05", "", "header at offset %d: format %+q", at, b[257:265])
	}
	if !ok1 || !ok2 {
		return raw, t.refuse("TAR-01", "", "header at offset %d: bytes after the end of a name", at)
	}
	return raw, nil
}

// octal parses a number: octal digits between blanks and NULs, or base 256.
func octal(b []byte) (int64, bool) {
	var v int64
	if b[0]&0x80 != 0 {
		for i, c := range b {
			if i == 0 {
				c &= 0x7f
			}
			if v >= 1<<54 {
				return 0, false
			}
			v = v<<8 | int64(c)
		}
		return v, b[0] == 0x80 // no negative or huge number
	}
	digits := bytes.TrimRight(bytes.TrimLeft(b, " "), " \x00")
	for _, c := range digits {
		if c < '0' || c > '7' {
			return 0, false
		}
		v = v<<3 | int64(c-'0')
	}
	return v, true
}

// text returns a field up to the first NUL, after which only NULs may follow.
func text(b []byte) (string, bool) {
	name, rest, _ := bytes.Cut(b, []byte{0})
	return string(name), bytes.Equal(rest, zeros[:len(rest)])
}

// override reads what an entry of type x, L or K says about the next.
func (t *tarReader) override(raw rawHeader) error {
	limit := int64(maxPath + 4)
	switch raw.flag {
	case 'x':
		limit = maxPAX
	case 'K':
		limit = maxLink + 1
	}
	if raw.size > limit || raw.size <= 0 {
		return t.refuse("TAR-01", raw.name, "records of type %+q have %d bytes, the limit is %d", raw.flag, raw.size, limit)
	}
	p := &t.pending
	if p.pax != nil || (raw.flag == 'x' && p.any()) || (raw.flag == 'L' && p.name != nil) || (raw.flag == 'K' && p.link != nil) {
		return t.refuse("TAR-01", raw.name, "more than one name for the entry at offset %d", t.off)
	}
	b := make([]byte, raw.size) // at most maxPAX
	if err := t.full(b); err != nil {
		return err
	}
	if err := t.pad(raw.size); err != nil {
		return err
	}
	if raw.flag == 'x' {
		records, err := t.records(b)
		p.pax = records
		return err
	}
	b, _ = bytes.CutSuffix(b, []byte{0})
	if bytes.IndexByte(b, 0) >= 0 || len(b) == 0 {
		return t.refuse("TAR-01", raw.name, "long name %s", q(string(b)))
	}
	s := string(b)
	if raw.flag == 'L' {
		p.name = &s
	} else {
		p.link = &s
	}
	return nil
}

// pad reads the zeros that follow n bytes.
func (t *tarReader) pad(n int64) error {
	var p [block]byte
	m := -n & (block - 1)
	if err := t.full(p[:m]); err != nil {
		return err
	}
	if !bytes.Equal(p[:m], zeros[:m]) {
		return t.refuse("TAR-03", "", "padding before offset %d is not zero", t.off)
	}
	return nil
}

// records parses PAX records: "length key=value\n".
func (t *tarReader) records(p []byte) (map[string]string, error) {
	out := map[string]string{}
	for len(p) > 0 {
		digits, _, ok := bytes.Cut(p[:min(len(p), 10)], []byte{' '})
		n, err := strconv.ParseUint(string(digits), 10, 32)
		if !ok || err != nil || digits[0] == '0' || n > uint64(len(p)) || int(n) < len(digits)+4 || p[n-1] != '\n' {
			return nil, t.refuse("TAR-01", "", "PAX record before offset %d is malformed", t.off)
		}
		key, value, ok := strings.Cut(string(p[len(digits)+1:n-1]), "=")
		if !ok || key == "" || checkText(key) != "" {
			return nil, t.refuse("TAR-01", "", "PAX record %s is malformed", q(key))
		}
		if _, twice := out[key]; twice {
			return nil, t.refuse("TAR-01", "", "PAX record %s is there twice", q(key))
		}
		switch {
		case strings.HasPrefix(key, "GNU.sparse") || key == "SCHILY.realsize":
			return nil, t.refuse("TAR-04", "", "PAX record %s of a sparse file", q(key))
		case strings.HasPrefix(key, "SCHILY.xattr.") || strings.HasPrefix(key, "SCHILY.acl.") || strings.HasPrefix(key, "LIBARCHIVE.xattr."):
			return nil, t.refuse("TAR-05", "", "extended attribute %s", q(key))
		}
		switch key {
		case "path", "linkpath", "size", "uid", "gid", "mtime":
			if value == "" || strings.Contains(value, "\x00") {
				return nil, t.refuse("TAR-01", "", "PAX record %s has the value %s", q(key), q(value))
			}
		case "atime", "ctime", "uname", "gname", "comment", "SCHILY.dev", "SCHILY.ino", "SCHILY.nlink", "LIBARCHIVE.creationtime":
		default:
			return nil, t.refuse("TAR-05", "", "PAX record %s is not known", q(key))
		}
		out[key] = value
		p = p[n:]
	}
	return out, nil
}

// resolve joins a header with what was said about it before.
func (t *tarReader) resolve(raw rawHeader) (Entry, error) {
	o := t.pending
	t.pending = overrides{}
	name, link := raw.name, raw.link
	if o.name != nil {
		if !strings.HasPrefix(*o.name, name) {
			return Entry{}, t.refuse("TAR-01", name, "long name %s does not begin with the header's %s", q(*o.name), q(name))
		}
		name = *o.name
	}
	if o.link != nil {
		if !strings.HasPrefix(*o.link, link) {
			return Entry{}, t.refuse("TAR-01", name, "long link %s does not begin with the header's %s", q(*o.link), q(link))
		}
		link = *o.link
	}
	for _, key := range []string{"mtime", "size", "uid", "gid"} {
		if err := t.number(&raw, key, o.pax); err != nil {
			return Entry{}, err
		}
	}
	if v, ok := o.pax["path"]; ok {
		name = v
	}
	if v, ok := o.pax["linkpath"]; ok {
		link = v
	}
	return t.finish(raw, name, link)
}

// number applies a PAX record that holds a number.
func (t *tarReader) number(raw *rawHeader, key string, pax map[string]string) error {
	value, ok := pax[key]
	if !ok {
		return nil
	}
	if key == "mtime" {
		value, _, _ = strings.Cut(value, ".")
	}
	n, err := strconv.ParseInt(value, 10, 64)
	if err != nil || n < 0 || (len(value) > 1 && value[0] == '0') || value[0] == '+' {
		return t.refuse("TAR-05", raw.name, "PAX record %s has the value %s", key, q(value))
	}
	const octal7 = 1<<21 - 1
	have := map[string]*int64{"mtime": &raw.time, "size": &raw.size, "uid": &raw.uid, "gid": &raw.gid}[key]
	if key == "size" && n != *have {
		return t.refuse("TAR-01", raw.name, "PAX size %d, header size %d", n, *have)
	}
	if (key == "uid" || key == "gid") && *have != n && (*have != 0 || n <= octal7) {
		return t.refuse("TAR-05", raw.name, "PAX %s %d, header %d", key, n, *have)
	}
	*have = n
	return nil
}

// modeType is the type that some tools write into the mode.
var modeType = map[byte]int64{TypeFile: 0o100000, TypeHardlink: 0o100000, TypeSymlink: 0o120000, TypeDir: 0o040000}

// finish judges a header as a whole.
func (t *tarReader) finish(raw rawHeader, name, link string) (Entry, error) {
	e := Entry{Path: name, Link: link, Type: raw.flag, Mode: raw.mode, Size: raw.size, foreign: raw.uid != 0 || raw.gid != 0}
	bad := func(id, format string, args ...any) (Entry, error) { return e, t.refuse(id, name, format, args...) }
	if e.Type != TypeFile && e.Size != 0 {
		return bad("TAR-03", "entry %s of type %+q has size %d", q(name), e.Type, e.Size)
	}
	if e.Mode&^0o7777 == modeType[e.Type] {
		e.Mode &= 0o7777
	}
	if e.Mode > 0o7777 || raw.uid > maxID || raw.gid > maxID || raw.time > maxTime {
		return bad("TAR-05", "mode %#o, owner %d:%d, time %d of %s", e.Mode, raw.uid, raw.gid, raw.time, q(name))
	}
	if e.Type == TypeDir && (name == "." || name == "./") {
		e.Path = ""
		return e, nil
	}
	e.Path = strings.TrimPrefix(e.Path, "./")
	if e.Type == TypeDir {
		e.Path = strings.TrimSuffix(e.Path, "/")
	}
	if why := checkPath(e.Path); why != "" {
		return bad("TAR-01", "path %s %s", q(name), why)
	}
	switch e.Type {
	case TypeSymlink:
		if why := checkText(e.Link); why != "" || e.Link == "" || len(e.Link) > maxLink {
			return bad("TAR-02", "target %s of symbolic link %s", q(e.Link), q(e.Path))
		}
	case TypeHardlink:
		e.Link = strings.TrimPrefix(e.Link, "./")
		if why := checkPath(e.Link); why != "" {
			return bad("TAR-02", "target %s of hard link %s %s", q(e.Link), q(e.Path), why)
		}
		if typ := t.seen[e.Link]; typ != TypeFile && typ != TypeHardlink {
			return bad("TAR-02", "hard link %s points to %s, which is no file before it", q(e.Path), q(e.Link))
		}
	default:
		if e.Link != "" {
			return bad("TAR-02", "entry %s of type %+q has a target", q(e.Path), e.Type)
		}
	}
	return e, nil
}

// admit checks that an entry may follow what was read.
func (t *tarReader) admit(e Entry) error {
	if len(t.seen) >= maxEntries {
		return t.refuse("TAR-05", e.Path, "more than %d entries", maxEntries)
	}
	if _, twice := t.seen[e.Path]; twice {
		return t.refuse("TAR-05", e.Path, "path %s is there twice", q(e.Path))
	}
	for dir := parent(e.Path); dir != ""; dir = parent(dir) {
		typ, ok := t.seen[dir]
		if ok && typ != TypeDir {
			return t.refuse("TAR-02", e.Path, "path %s lies below %s, which is no folder", q(e.Path), q(dir))
		}
		if ok {
			break
		}
	}
	t.seen[e.Path] = e.Type
	return nil
}
