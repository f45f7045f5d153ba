package layer

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"path"
	"strconv"
	"strings"
)

// What a layer that is read may be.
const (
	maxUnpacked = 64 << 30
	maxPAX      = 1 << 20 // bytes of one entry's PAX records
	maxTail     = 1 << 20 // zeros after the end mark
	maxTime     = 253402300799
)

// Read reads a layer and calls fn for each entry, in order, with its content; an error of fn
// ends it. It accepts ustar, PAX and GNU long names, and refuses with an *Error what two
// readers could understand differently or what an image has no use for: see TAR-01 to TAR-05
// and CMP-01. Content that fn does not read is read and checked all the same. Only when Read
// returns nil was the whole layer sound.
//
// A name ".wh.x" is given as a Whiteout of x, ".wh..wh..opq" as Opaque. Folders that are
// there twice with the same mode and owner are given once; any other repetition is refused.
// The root folder is given as ".". Devices, FIFOs and sparse files are refused.
func Read(codec Codec, r io.Reader, fn func(Header, io.Reader) error) error {
	_, _, err := Measure(codec, r, fn)
	return err
}

// Measure is Read that also says what the layer's tar is: its diffID, "sha256:…" of all its
// bytes, and how many there are.
func Measure(codec Codec, r io.Reader, fn func(Header, io.Reader) error) (diffID string, unpacked int64, err error) {
	return measure(codec, r, false, fn)
}

// Survey is Measure for an image that is looked at and never used: devices and FIFOs, which
// have no content, are left out instead of refused. It works on up to three cores; r is used
// by no one after it has returned.
func Survey(codec Codec, r io.Reader, fn func(Header, io.Reader) error) (diffID string, unpacked int64, err error) {
	return measure(codec, r, true, fn)
}

func measure(codec Codec, r io.Reader, survey bool, fn func(Header, io.Reader) error) (diffID string, unpacked int64, err error) {
	src := newSourceReader(r)
	first := make([]byte, SniffSize)
	n, err := io.ReadFull(src, first)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return "", 0, fmt.Errorf("reading layer: %w", err)
	}
	src.unread(int64(n))
	if n == 0 {
		return "", 0, refuse("OCI-06", "", 0, "layer is empty")
	}
	got, err := Sniff(first[:n])
	if err != nil {
		return "", 0, err
	}
	if got != codec {
		return "", 0, refuse("OCI-06", "", 0, "layer should be %s, and is %s", q(string(codec)), got)
	}
	var in io.Reader = src
	switch codec {
	case Gzip:
		in = newMembers(src)
	case Zstd:
		if in, err = newZstdReader(src); err != nil {
			return "", 0, err
		}
	}
	h := sha256.New()
	t := &tarReader{seen: map[string]kind{}, devices: survey}
	if survey {
		a := newAhead(in, h)
		defer a.close()
		t.in = a
	} else {
		t.in = io.TeeReader(in, h)
	}
	for {
		more, err := t.next(fn)
		if err != nil {
			return "", 0, t.explain(err)
		}
		if !more {
			return "sha256:" + hex.EncodeToString(h.Sum(nil)), t.off, nil
		}
	}
}

// tarReader reads a tar in blocks of 512 bytes.
type tarReader struct {
	in      io.Reader
	off     int64
	block   [block]byte
	seen    map[string]kind
	count   int
	pending overrides
	devices bool  // they are left out, not refused
	failed  error // of in
	user    error // of fn
	scrap   []byte
}

// overrides are what entries of types x, L and K say about the next one.
type overrides struct {
	pax  map[string]string // nil: none
	name *string           // GNU
	link *string           // GNU
}

func (o overrides) any() bool { return o.pax != nil || o.name != nil || o.link != nil }

// explain gives errors of decompressors a rule.
func (t *tarReader) explain(err error) error {
	var own *Error
	if errors.As(err, &own) || t.failed == nil || (t.user != nil && errors.Is(err, t.user)) {
		return err
	}
	return refuse("CMP-01", "", t.off, "reading layer after %d bytes of tar: %v", t.off, err)
}

func (t *tarReader) Read(p []byte) (int, error) {
	n, err := t.in.Read(p)
	t.off += int64(n)
	if t.off > maxUnpacked {
		return 0, t.refuse("CMP-01", "", "layer is larger than %d bytes", int64(maxUnpacked))
	}
	if err != nil && !errors.Is(err, io.EOF) {
		t.failed = err
	}
	return n, err
}

func (t *tarReader) refuse(id, entry, format string, args ...any) error {
	return refuse(id, entry, t.off, format, args...)
}

// full reads len(p) bytes.
func (t *tarReader) full(p []byte) error {
	_, err := io.ReadFull(t, p)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return t.refuse("TAR-05", "", "tar is cut off after %d bytes", t.off)
	}
	return err
}

// next reads one header with its content. It returns false after the end mark.
func (t *tarReader) next(fn func(Header, io.Reader) error) (bool, error) {
	if err := t.full(t.block[:]); err != nil {
		return false, err
	}
	if t.block == [block]byte(zeros[:block]) {
		return false, t.end()
	}
	raw, err := t.header()
	if err != nil {
		return false, err
	}
	switch raw.flag {
	case 'x', 'L', 'K':
		return true, t.override(raw)
	}
	if strings.IndexByte("346", raw.flag) >= 0 {
		if raw.size != 0 {
			return false, t.refuse("TAR-04", raw.name, "device of %d bytes", raw.size)
		}
		t.pending = overrides{} // its own
		return true, nil
	}
	h, err := t.resolve(raw)
	if err != nil {
		return false, err
	}
	again, err := t.admit(h)
	if err != nil || again {
		return true, err
	}
	return true, t.content(h, fn)
}

// end checks that only zeros follow.
func (t *tarReader) end() error {
	if t.pending.any() {
		return t.refuse("TAR-01", "", "tar ends after the records of an entry that is missing")
	}
	if err := t.full(t.block[:]); err != nil {
		return err
	}
	if t.block != [block]byte(zeros[:block]) {
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
		if n < block || t.block != [block]byte(zeros[:block]) {
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
	name           string // prefix included
	link           string
	mode, uid, gid int64
	size, time     int64
}

func (t *tarReader) header() (rawHeader, error) {
	b := &t.block
	var sum int64
	for i, c := range b {
		if i >= 148 && i < 156 {
			c = ' '
		}
		sum += int64(c)
	}
	var raw rawHeader
	bad := func(format string, args ...any) (rawHeader, error) {
		return raw, t.refuse("TAR-05", raw.name, "header at offset %d: "+format, append([]any{t.off - block}, args...)...)
	}
	if got, ok := octal(b[148:156]); !ok || got != sum {
		return bad("wrong checksum")
	}
	raw.flag = b[156]
	switch raw.flag {
	case '0', '1', '2', '5', 'x', 'L', 'K':
	case '3', '4', '6':
		if !t.devices {
			name, _ := text(b[:100])
			what := map[byte]string{'3': "a character device", '4': "a block device", '6': "a named pipe"}[raw.flag]
			return raw, t.refuse("TAR-04", "", "entry at offset %d, %s, is %s: the runtime makes those, and a layer has none (docker and tar --exclude leave /dev out)", t.off-block, q(name), what)
		}
	case 'g':
		return raw, t.refuse("TAR-01", "", "global PAX records at offset %d", t.off-block)
	default:
		return raw, t.refuse("TAR-04", "", "entry at offset %d has type %+q", t.off-block, raw.flag)
	}
	var ok [5]bool
	raw.mode, ok[0] = octal(b[100:108])
	raw.uid, ok[1] = octal(b[108:116])
	raw.gid, ok[2] = octal(b[116:124])
	raw.size, ok[3] = octal(b[124:136])
	raw.time, ok[4] = octal(b[136:148])
	for i, name := range []string{"mode", "uid", "gid", "size", "time"} {
		if !ok[i] {
			return bad("%s is no number", name)
		}
	}
	name, ok1 := text(b[0:100])
	link, ok2 := text(b[157:257])
	if !ok1 || !ok2 {
		return raw, t.refuse("TAR-01", "", "header at offset %d: bytes after the end of a name", t.off-block)
	}
	raw.name, raw.link = name, link
	switch string(b[257:265]) {
	case "ustar\x0000":
		prefix, ok := text(b[345:500])
		if !ok {
			return raw, t.refuse("TAR-01", "", "header at offset %d: bytes after the end of a name", t.off-block)
		}
		if prefix != "" {
			raw.name = prefix + "/" + name
		}
		if !bytes.Equal(b[500:], zeros[:12]) {
			return bad("bytes after the prefix")
		}
	case "ustar  \x00", "\x00\x00\x00\x00\x00\x00\x00\x00":
		if !bytes.Equal(b[345:], zeros[:block-345]) {
			return raw, t.refuse("TAR-04", raw.name, "header at offset %d: extensions for sparse or incremental archives", t.off-block)
		}
	default:
		return bad("format %+q", b[257:265])
	}
	return raw, nil
}

// octal parses a number: octal digits between blanks and NULs, or base 256.
func octal(b []byte) (int64, bool) {
	if b[0]&0x80 != 0 {
		var v int64
		for i, c := range b {
			if i == 0 {
				c &= 0x7f
			}
			if v >= 1<<55 {
				return 0, false
			}
			v = v<<8 | int64(c)
		}
		return v, b[0] == 0x80 // no negative or huge number
	}
	b = bytes.TrimLeft(b, " ")
	digits := bytes.TrimRight(b, " \x00")
	if len(digits) == 0 {
		return 0, true
	}
	var v int64
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
	return string(name), bytes.Equal(rest, make([]byte, len(rest)))
}

// override reads what an entry of type x, L or K says about the next.
func (t *tarReader) override(raw rawHeader) error {
	limit := int64(maxPath + 2)
	switch raw.flag {
	case 'x':
		limit = maxPAX
	case 'K':
		limit = maxLink + 1
	}
	if raw.size > limit || raw.size <= 0 {
		return t.refuse("TAR-01", raw.name, "records of type %+q have %d bytes, the limit is %d", raw.flag, raw.size, limit)
	}
	if t.pending.pax != nil || (raw.flag == 'x' && t.pending.any()) || (raw.flag == 'L' && t.pending.name != nil) ||
		(raw.flag == 'K' && t.pending.link != nil) {
		return t.refuse("TAR-01", raw.name, "more than one name for the entry at offset %d", t.off)
	}
	p := make([]byte, raw.size) // at most maxPAX
	if err := t.full(p); err != nil {
		return err
	}
	if err := t.pad(raw.size); err != nil {
		return err
	}
	if raw.flag == 'x' {
		records, err := t.records(p)
		t.pending.pax = records
		return err
	}
	p, _ = bytes.CutSuffix(p, []byte{0})
	if bytes.IndexByte(p, 0) >= 0 || len(p) == 0 {
		return t.refuse("TAR-01", raw.name, "long name %s", q(string(p)))
	}
	s := string(p)
	if raw.flag == 'L' {
		t.pending.name = &s
	} else {
		t.pending.link = &s
	}
	return nil
}

// pad reads the zeros that follow n bytes.
func (t *tarReader) pad(n int64) error {
	var p [block]byte
	m := padding(n)
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
		if err := t.known(key, value); err != nil {
			return nil, err
		}
		out[key] = value
		p = p[n:]
	}
	return out, nil
}

const xattr = "SCHILY.xattr."

// known refuses records whose meaning could be missed.
func (t *tarReader) known(key, value string) error {
	if strings.HasPrefix(key, "GNU.sparse") || key == "SCHILY.realsize" {
		return t.refuse("TAR-04", "", "PAX record %s of a sparse file", q(key))
	}
	if name, ok := strings.CutPrefix(key, xattr); ok {
		if name == "" {
			return t.refuse("TAR-05", "", "extended attribute without a name")
		}
		return nil
	}
	switch key {
	case "path", "linkpath", "size", "uid", "gid", "mtime":
		if value == "" || strings.Contains(value, "\x00") {
			return t.refuse("TAR-01", "", "PAX record %s has the value %s", q(key), q(value))
		}
	case "atime", "ctime", "uname", "gname", "comment", "SCHILY.dev", "SCHILY.ino", "SCHILY.nlink", "LIBARCHIVE.creationtime":
	default:
		return t.refuse("TAR-05", "", "PAX record %s is not known", q(key))
	}
	return nil
}

// resolve joins a header with what was said about it before.
func (t *tarReader) resolve(raw rawHeader) (Header, error) {
	o := t.pending
	t.pending = overrides{}
	name, link := raw.name, raw.link
	if o.name != nil {
		if !strings.HasPrefix(*o.name, name) {
			return Header{}, t.refuse("TAR-01", name, "long name %s does not begin with the header's %s", q(*o.name), q(name))
		}
		name = *o.name
	}
	if o.link != nil {
		if !strings.HasPrefix(*o.link, link) {
			return Header{}, t.refuse("TAR-01", name, "long link %s does not begin with the header's %s", q(*o.link), q(link))
		}
		link = *o.link
	}
	h := Header{Mode: raw.mode, Size: raw.size, Time: raw.time, Link: link}
	uid, gid := raw.uid, raw.gid
	if err := t.applyPAX(o.pax, &h, &name, &uid, &gid); err != nil {
		return Header{}, err
	}
	h.Type = map[byte]Type{'0': Regular, '1': Hardlink, '2': Symlink, '5': Dir}[raw.flag]
	return t.finish(h, name, uid, gid)
}

func (t *tarReader) applyPAX(pax map[string]string, h *Header, name *string, uid, gid *int64) error {
	for key, value := range pax {
		if attr, ok := strings.CutPrefix(key, xattr); ok {
			if h.Xattrs == nil {
				h.Xattrs = map[string]string{}
			}
			h.Xattrs[attr] = value
			continue
		}
		var n int64
		switch key {
		case "path":
			*name = value
			continue
		case "linkpath":
			h.Link = value
			continue
		case "mtime":
			value, _, _ = strings.Cut(value, ".")
		case "size", "uid", "gid":
		default:
			continue
		}
		n, err := strconv.ParseInt(value, 10, 64)
		if err != nil || n < 0 || (len(value) > 1 && value[0] == '0') || value[0] == '+' {
			return t.refuse("TAR-05", *name, "PAX record %s has the value %s", q(key), q(value))
		}
		switch key {
		case "mtime":
			h.Time = n
		case "size":
			if n != h.Size {
				return t.refuse("TAR-01", *name, "PAX size %d, header size %d", n, h.Size)
			}
		case "uid", "gid":
			id := uid
			if key == "gid" {
				id = gid
			}
			if *id != n && (*id != 0 || n <= octal7) { // too large for the header
				return t.refuse("TAR-05", *name, "PAX %s %d, header %d", key, n, *id)
			}
			*id = n
		}
	}
	return nil
}

// modeType is the type that some tools write into the mode.
var modeType = map[Type]int64{Regular: 0o100000, Hardlink: 0o100000, Symlink: 0o120000, Dir: 0o040000}

// finish judges a header as a whole.
func (t *tarReader) finish(h Header, name string, uid, gid int64) (Header, error) {
	h.Path = name
	bad := func(id, format string, args ...any) (Header, error) { return h, t.refuse(id, name, format, args...) }
	if h.Type != Regular && h.Size != 0 {
		return bad("TAR-03", "%s %s has size %d", h.Type, q(name), h.Size)
	}
	if h.Mode&^0o7777 == modeType[h.Type] {
		h.Mode &= 0o7777
	}
	if h.Mode > 0o7777 || uid > maxID || gid > maxID || h.Time > maxTime || h.Size > maxSize {
		return bad("TAR-05", "mode %#o, owner %d:%d, size %d, time %d of %s", h.Mode, uid, gid, h.Size, h.Time, q(name))
	}
	h.UID, h.GID = int(uid), int(gid)
	if h.Type == Dir && (name == "." || name == "./") {
		h.Path = "."
		return h, nil
	}
	h.Path = strings.TrimPrefix(h.Path, "./")
	if h.Type == Dir {
		h.Path = strings.TrimSuffix(h.Path, "/")
	}
	if why := checkPath(h.Path); why != "" {
		return bad("TAR-01", "path %s %s", q(name), why)
	}
	if err := t.target(&h); err != nil {
		return h, err
	}
	return t.removal(h)
}

// target judges where a link points.
func (t *tarReader) target(h *Header) error {
	switch h.Type {
	case Symlink:
		if why := checkText(h.Link); why != "" || h.Link == "" || len(h.Link) > maxLink {
			return t.refuse("TAR-02", h.Path, "target %s of symbolic link %s", q(h.Link), q(h.Path))
		}
	case Hardlink:
		h.Link = strings.TrimPrefix(h.Link, "./")
		if why := checkPath(h.Link); why != "" {
			return t.refuse("TAR-02", h.Path, "target %s of hard link %s %s", q(h.Link), q(h.Path), why)
		}
		if t.seen[h.Link].typ != Regular {
			return t.refuse("TAR-02", h.Path, "hard link %s points to %s, which is no file before it", q(h.Path), q(h.Link))
		}
	default:
		if h.Link != "" {
			return t.refuse("TAR-02", h.Path, "%s %s has a target", h.Type, q(h.Path))
		}
	}
	return nil
}

// removal recognises whiteouts. OCI-04.
func (t *tarReader) removal(h Header) (Header, error) {
	dir, base := path.Split(h.Path)
	bad := func() (Header, error) {
		return h, t.refuse("OCI-04", h.Path, "malformed whiteout %s", q(h.Path))
	}
	for part := range strings.SplitSeq(strings.TrimSuffix(dir, "/"), "/") {
		if strings.HasPrefix(part, whiteout) {
			return bad()
		}
	}
	name, ok := strings.CutPrefix(base, whiteout)
	if !ok {
		return h, nil
	}
	if h.Type != Regular || h.Size != 0 || len(h.Xattrs) > 0 {
		return bad()
	}
	if name == whiteout+".opq" {
		h.Type, h.Path = Opaque, strings.TrimSuffix(dir, "/")
		if dir == "" {
			h.Path = "."
		}
		return h, nil
	}
	if name == "" || name == "." || name == ".." || strings.HasPrefix(name, whiteout) {
		return bad()
	}
	h.Type, h.Path = Whiteout, dir+name
	return h, nil
}

// admit checks that h may follow what was read.
func (t *tarReader) admit(h Header) (again bool, err error) {
	if t.count++; t.count > maxEntries {
		return false, t.refuse("TAR-05", h.Path, "more than %d entries", maxEntries)
	}
	key := h.Path
	if h.Type == Opaque {
		key += "/" + whiteout + whiteout + ".opq"
	}
	k := kind{typ: h.Type, mode: h.Mode, uid: h.UID, gid: h.GID}
	if old, ok := t.seen[key]; ok && !(old.implied && h.Type == Dir) {
		if h.Type == Dir && old == k && len(h.Xattrs) == 0 {
			return true, nil
		}
		return false, t.refuse("TAR-05", h.Path, "path %s is there twice", q(h.Path))
	}
	// The folders above may have no entry, but they cannot be something else.
	for dir := parent(key); dir != ""; dir = parent(dir) {
		old, ok := t.seen[dir]
		if ok && old.typ != Dir {
			return false, t.refuse("TAR-02", h.Path, "path %s lies below %s, which is a %s", q(h.Path), q(dir), old.typ)
		}
		if ok {
			break
		}
		t.count++
		t.seen[dir] = kind{typ: Dir, implied: true}
	}
	t.seen[key] = k
	return false, nil
}

// content passes a file's content to fn, and reads what fn leaves.
func (t *tarReader) content(h Header, fn func(Header, io.Reader) error) error {
	body := &io.LimitedReader{R: t, N: h.Size}
	if err := fn(h, whole{body, t}); err != nil {
		t.user = err
		return err
	}
	if cap(t.scrap) == 0 {
		t.scrap = make([]byte, 64<<10)
	}
	if _, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, whole{body, t}, t.scrap); err != nil {
		return err
	}
	return t.pad(h.Size)
}

// whole is content that must not end early.
type whole struct {
	*io.LimitedReader
	t *tarReader
}

func (w whole) Read(p []byte) (int, error) {
	n, err := w.LimitedReader.Read(p)
	if errors.Is(err, io.EOF) && w.N > 0 {
		return n, w.t.refuse("TAR-05", "", "tar is cut off after %d bytes", w.t.off)
	}
	return n, err
}
