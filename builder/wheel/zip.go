package wheel

import (
	"bufio"
	"encoding/binary"
	"errors"
	"io"
	"unicode/utf8"
)

// Signatures and sizes of APPNOTE.TXT 6.3.10, section 4.3.
const (
	sigLocal      = 0x04034b50
	sigDescriptor = 0x08074b50
	sigCentral    = 0x02014b50
	sigEnd64      = 0x06064b50
	sigLocator    = 0x07064b50
	sigEnd        = 0x06054b50

	lenLocal   = 30
	lenCentral = 46
	lenEnd64   = 56
	lenLocator = 20
	lenEnd     = 22

	full16 = 0xFFFF
	full32 = 0xFFFFFFFF
)

// Flags that change nothing about how bytes are read: deflate's level hints (1, 2),
// a data descriptor (3), UTF-8 names (11).
const (
	flagDescriptor = 1 << 3
	flagUTF8       = 1 << 11
	flagsKnown     = 1<<1 | 1<<2 | flagDescriptor | flagUTF8
)

// Stored and Deflated are the two compression methods of a wheel's entries.
const (
	Stored   uint16 = 0
	Deflated uint16 = 8
)

// entry is one record of the central directory, later confirmed by its local header.
type entry struct {
	name         string
	dir          bool
	exec         bool
	flags        uint16
	method       uint16
	time, date   uint16
	crc          uint32
	csize, usize int64
	offset       int64 // of the local header
	data         int64 // of the content
}

// directory is what the end records say about the central directory.
type directory struct {
	count        uint64
	size, offset int64
	end          int64 // where the directory must end: start of the first end record
}

// readZip reads the structure twice and returns the entries in the order of the archive.
func readZip(r io.ReaderAt, size int64, lim Limits) ([]entry, error) {
	d, err := findDirectory(r, size, lim)
	if err != nil {
		return nil, err
	}
	entries, err := readDirectory(r, d, lim)
	if err != nil {
		return nil, err
	}
	if err := checkTotals(entries, size, lim); err != nil {
		return nil, err
	}
	if err := walk(r, d, entries); err != nil {
		return nil, err
	}
	return entries, nil
}

// findDirectory reads the end records and judges what they say against the limits.
func findDirectory(r io.ReaderAt, size int64, lim Limits) (directory, error) {
	if size > lim.Size {
		return directory{}, refuse("ZIP-07", "", -1, "%d bytes are more than the limit of %d", size, lim.Size)
	}
	d, err := readEnd(r, size)
	switch {
	case err != nil:
		return d, err
	case d.count == 0:
		return d, refuse("ZIP-04", "", size-lenEnd, "the archive has no entries")
	case d.count > uint64(lim.Entries):
		return d, refuse("ZIP-07", "", size-lenEnd, "%d entries are more than the limit of %d", d.count, lim.Entries)
	}
	return d, nil
}

// readEnd finds the end records, which are the file's last bytes or the file is refused.
func readEnd(r io.ReaderAt, size int64) (directory, error) {
	var d directory
	if size < lenEnd {
		return d, refuse("ZIP-10", "", -1, "%d bytes are too few for a ZIP archive", size)
	}
	buf := make([]byte, lenEnd)
	if err := readAt(r, buf, size-lenEnd); err != nil {
		return d, err
	}
	if u32(buf) != sigEnd {
		return d, noEnd(r, size)
	}
	if n := u16(buf[20:]); n != 0 {
		return d, refuse("ZIP-04", "", size-lenEnd, "the end record announces a comment of %d bytes, the file ends after it", n)
	}
	if u16(buf[4:]) != 0 && u16(buf[4:]) != full16 || u16(buf[6:]) != 0 && u16(buf[6:]) != full16 {
		return d, refuse("ZIP-04", "", size-lenEnd, "the archive is spread over several disks")
	}
	here, total := u16(buf[8:]), u16(buf[10:])
	if here != total {
		return d, refuse("ZIP-04", "", size-lenEnd, "the end record counts %d entries on this disk and %d in all", here, total)
	}
	d = directory{count: uint64(total), size: int64(u32(buf[12:])), offset: int64(u32(buf[16:])), end: size - lenEnd}
	saturated := total == full16 || d.size == full32 || d.offset == full32 || u16(buf[4:]) == full16 || u16(buf[6:]) == full16
	d, err := readEnd64(r, size, d, saturated)
	if err != nil {
		return d, err
	}
	if d.size < 0 || d.offset < 0 || d.offset > d.end || d.size != d.end-d.offset {
		return d, refuse("ZIP-04", "", size-lenEnd, "the directory is said to lie at %d with %d bytes, but must end at %d", d.offset, d.size, d.end)
	}
	return d, nil
}

// noEnd says why the last 22 bytes are no end record.
func noEnd(r io.ReaderAt, size int64) error {
	n := min(size, 1<<16+lenEnd)
	tail := make([]byte, n)
	if err := readAt(r, tail, size-n); err != nil {
		return err
	}
	for i := len(tail) - lenEnd - 1; i >= 0; i-- {
		if u32(tail[i:]) != sigEnd {
			continue
		}
		after := len(tail) - i - lenEnd
		if int(u16(tail[i+20:])) == after {
			return refuse("ZIP-04", "", size-n+int64(i), "the archive has a comment of %d bytes", after)
		}
		return refuse("ZIP-10", "", size-n+int64(i), "%d bytes follow the end record", after)
	}
	return refuse("ZIP-10", "", -1, "not a ZIP archive: it does not end with an end record")
}

// readEnd64 reads the ZIP64 records before the end record, if there are any. A field of
// the end record is either all ones or equal to its ZIP64 field.
func readEnd64(r io.ReaderAt, size int64, d directory, saturated bool) (directory, error) {
	at := size - lenEnd - lenLocator
	var loc [lenLocator]byte
	if at >= 0 {
		if err := readAt(r, loc[:], at); err != nil {
			return d, err
		}
	}
	if at < 0 || u32(loc[:]) != sigLocator {
		if saturated {
			return d, refuse("ZIP-04", "", size-lenEnd, "the end record refers to ZIP64 records that are not there")
		}
		return d, nil
	}
	at64 := at - lenEnd64
	if at64 < 0 || u32(loc[4:]) != 0 || u32(loc[16:]) != 1 || u64(loc[8:]) != uint64(at64) {
		return d, refuse("ZIP-04", "", at, "the ZIP64 locator points to %d, the record must be at %d", u64(loc[8:]), at64)
	}
	var rec [lenEnd64]byte
	if err := readAt(r, rec[:], at64); err != nil {
		return d, err
	}
	if u32(rec[:]) != sigEnd64 {
		return d, refuse("ZIP-04", "", at64, "no ZIP64 end record where the locator points")
	}
	if n := u64(rec[4:]); n != lenEnd64-12 {
		return d, refuse("ZIP-04", "", at64, "the ZIP64 end record is %d bytes long, expected %d", n, lenEnd64-12)
	}
	if u32(rec[16:]) != 0 || u32(rec[20:]) != 0 || u64(rec[24:]) != u64(rec[32:]) {
		return d, refuse("ZIP-04", "", at64, "the archive is spread over several disks")
	}
	count, n, off := u64(rec[32:]), u64(rec[40:]), u64(rec[48:])
	if d.count != full16 && d.count != count || d.size != full32 && uint64(d.size) != n || d.offset != full32 && uint64(d.offset) != off {
		return d, refuse("ZIP-04", "", at64, "the ZIP64 end record and the end record disagree")
	}
	if n > uint64(size) || off > uint64(size) {
		return d, refuse("ZIP-04", "", at64, "the directory is said to lie at %d with %d bytes, past the end", off, n)
	}
	return directory{count: count, size: int64(n), offset: int64(off), end: at64}, nil
}

// readDirectory reads the central directory.
func readDirectory(r io.ReaderAt, d directory, lim Limits) ([]entry, error) {
	entries := make([]entry, 0, d.count)
	err := scanDirectory(r, d, lim, func(head, rest []byte, at int64) error {
		e, err := parseCentral(head, rest, at, lim)
		entries = append(entries, e)
		return err
	})
	if err != nil {
		return nil, err
	}
	return entries, nil
}

// scanDirectory hands on the records of the central directory: exactly count of them in
// exactly size bytes. rest is name and extra fields.
func scanDirectory(r io.ReaderAt, d directory, lim Limits, each func(head, rest []byte, at int64) error) error {
	if d.size/lenCentral < int64(d.count) {
		return refuse("ZIP-04", "", d.offset, "%d entries do not fit into a directory of %d bytes", d.count, d.size)
	}
	br := bufio.NewReaderSize(io.NewSectionReader(r, d.offset, d.size), 64<<10)
	at := d.offset
	head := make([]byte, lenCentral)
	for i := uint64(0); i < d.count; i++ {
		if _, err := io.ReadFull(br, head); err != nil {
			return short(err, at, "the directory ends after %d of %d entries", i, d.count)
		}
		if u32(head) != sigCentral {
			return refuse("ZIP-04", "", at, "directory entry %d has no signature", i+1)
		}
		if n := int(u16(head[28:])); n > lim.PathBytes {
			return refuse("ZIP-01", "", at, "a name of %d bytes is longer than the limit of %d", n, lim.PathBytes)
		}
		rest := make([]byte, int(u16(head[28:]))+int(u16(head[30:])))
		if _, err := io.ReadFull(br, rest); err != nil {
			return short(err, at, "the directory ends inside entry %d", i+1)
		}
		if err := each(head, rest, at); err != nil {
			return err
		}
		at += int64(lenCentral + len(rest))
	}
	if at != d.end {
		return refuse("ZIP-04", "", at, "%d bytes lie between the directory and the end record", d.end-at)
	}
	return nil
}

func parseCentral(head, rest []byte, at int64, lim Limits) (entry, error) {
	nameLen := int(u16(head[28:]))
	e := entry{
		name:   string(rest[:nameLen]),
		flags:  u16(head[8:]),
		method: u16(head[10:]),
		time:   u16(head[12:]),
		date:   u16(head[14:]),
		crc:    u32(head[16:]),
	}
	if u16(head[32:]) != 0 {
		return e, refuse("ZIP-04", e.name, at, "entry %s has a comment", q(e.name))
	}
	x, err := parseExtra(rest[nameLen:], e.name, at)
	if err != nil {
		return e, err
	}
	usize, csize, offset, disk, err := x.central(u32(head[24:]), u32(head[20:]), u32(head[42:]), u16(head[34:]), e.name, at)
	if err != nil {
		return e, err
	}
	if disk != 0 {
		return e, refuse("ZIP-04", e.name, at, "entry %s is on disk %d", q(e.name), disk)
	}
	if usize > 1<<62 || csize > 1<<62 || offset > 1<<62 {
		return e, refuse("ZIP-04", e.name, at, "entry %s has an impossible size or offset", q(e.name))
	}
	e.usize, e.csize, e.offset = int64(usize), int64(csize), int64(offset)
	if err := checkMethod(e, at); err != nil {
		return e, err
	}
	if err := checkPath(e, at, lim); err != nil {
		return e, err
	}
	return e, checkMode(&e, u32(head[38:]), at)
}

// checkMethod refuses what would be read differently by another reader, or not at all.
func checkMethod(e entry, at int64) error {
	switch {
	case e.flags&1 != 0 || e.flags&0x40 != 0:
		return refuse("ZIP-06", e.name, at, "entry %s is encrypted (flags %#x)", q(e.name), e.flags)
	case e.flags&0x20 != 0:
		return refuse("ZIP-06", e.name, at, "entry %s is patch data (flags %#x)", q(e.name), e.flags)
	case e.flags&^flagsKnown != 0:
		return refuse("ZIP-06", e.name, at, "entry %s has unknown flags %#x", q(e.name), e.flags)
	case e.method != Stored && e.method != Deflated:
		return refuse("ZIP-08", e.name, at, "compression method %d (%s) not supported", e.method, methodName(e.method))
	case e.method == Stored && e.flags&flagDescriptor != 0:
		return refuse("ZIP-05", e.name, at, "stored entry %s has a data descriptor", q(e.name))
	case e.method == Stored && e.csize != e.usize:
		return refuse("ZIP-07", e.name, at, "stored entry %s has %d bytes and is said to expand to %d", q(e.name), e.csize, e.usize)
	case e.method == Deflated && e.csize < 2:
		return refuse("ZIP-07", e.name, at, "deflated entry %s has %d compressed bytes", q(e.name), e.csize)
	case e.crc == 0 && e.usize > 0:
		// One content in four thousand million has this sum; readers that take 0 for
		// "no checksum" are more common.
		return refuse("ZIP-09", e.name, at, "entry %s has %d bytes and no checksum", q(e.name), e.usize)
	}
	return nil
}

func methodName(m uint16) string {
	names := map[uint16]string{1: "shrink", 6: "implode", 9: "deflate64", 12: "bzip2", 14: "lzma", 93: "zstd", 95: "xz", 98: "ppmd", 99: "aes"}
	if n := names[m]; n != "" {
		return n
	}
	return "unknown"
}

// checkMode reads the Unix mode in the external attributes. Whatever system an entry says
// it was made on, some installer takes these bits for a mode, so all are looked at.
func checkMode(e *entry, ext uint32, at int64) error {
	mode := ext >> 16
	kind := mode & 0o170000
	slash := e.name[len(e.name)-1] == '/'
	switch kind {
	case 0, 0o100000, 0o040000:
	case 0o120000:
		return refuse("ZIP-02", e.name, at, "entry %s is a symbolic link", q(e.name))
	default:
		return refuse("ZIP-02", e.name, at, "entry %s is a special file (mode %#o)", q(e.name), mode)
	}
	if mode&0o7000 != 0 {
		return refuse("ZIP-02", e.name, at, "entry %s has mode %#o: setuid, setgid and sticky are refused", q(e.name), mode&0o7777)
	}
	if kind == 0o040000 != slash && kind != 0 || slash != (ext&0x10 != 0) && ext&0x10 != 0 {
		return refuse("ZIP-02", e.name, at, "entry %s is a folder by its name or by its mode (%#o), not by both", q(e.name), mode)
	}
	if slash && (e.usize != 0 || e.crc != 0) {
		return refuse("ZIP-01", e.name, at, "unsafe path %s: a folder with %d bytes of data", q(e.name), e.usize)
	}
	e.dir = slash
	e.exec = !slash && mode&0o111 != 0
	return nil
}

func checkTotals(entries []entry, size int64, lim Limits) error {
	var total int64
	for _, e := range entries {
		if e.csize > size {
			return refuse("ZIP-07", e.name, -1, "entry %s is said to have %d compressed bytes in a file of %d", q(e.name), e.csize, size)
		}
		if e.usize > lim.Expanded-total {
			return refuse("ZIP-07", e.name, -1, "the files expand to more than the limit of %d bytes", lim.Expanded)
		}
		total += e.usize
	}
	if total > lim.RatioFrom && total/lim.Ratio >= size && total > size*lim.Ratio {
		return refuse("ZIP-07", "", -1, "%d bytes expand to %d, more than the limit of %d to 1", size, total, lim.Ratio)
	}
	return nil
}

// walk reads the archive from byte 0 and compares every local header with the directory.
func walk(r io.ReaderAt, d directory, entries []entry) error {
	var at int64
	buf := make([]byte, lenLocal+1024)
	for i := range entries {
		e := &entries[i]
		if e.offset != at {
			if i == 0 && lowest(entries) > 0 {
				return refuse("ZIP-10", e.name, 0, "%d bytes precede the first entry %s", lowest(entries), q(e.name))
			}
			return refuse("ZIP-04", e.name, at, "the directory places %s at offset %d, the archive has it at %d", q(e.name), e.offset, at)
		}
		if n := lenLocal + len(e.name); n > len(buf) {
			buf = make([]byte, n)
		}
		if err := readLocal(r, d, e, buf); err != nil {
			return err
		}
		at = e.data + e.csize
		if e.flags&flagDescriptor != 0 {
			m, err := readDescriptor(r, *e, at, d.offset)
			if err != nil {
				return err
			}
			at += m
		}
	}
	if at != d.offset {
		return refuse("ZIP-04", "", at, "%d bytes lie between the last entry and the directory", d.offset-at)
	}
	return nil
}

// readLocal compares an entry's local header with the directory and notes where its content
// is. buf has room for the header and the name.
func readLocal(r io.ReaderAt, d directory, e *entry, buf []byte) error {
	at, n := e.offset, lenLocal+len(e.name)
	if at > d.offset-int64(n) {
		return refuse("ZIP-04", e.name, at, "entry %s runs into the directory", q(e.name))
	}
	if err := readAt(r, buf[:n], at); err != nil {
		return err
	}
	if u32(buf) != sigLocal {
		return refuse("ZIP-04", e.name, at, "no local header for %s at offset %d", q(e.name), at)
	}
	extraLen := int64(u16(buf[28:]))
	e.data = at + lenLocal + int64(u16(buf[26:])) + extraLen
	if int(u16(buf[26:])) != len(e.name) || string(buf[lenLocal:n]) != e.name {
		return otherName(r, e, at, int(u16(buf[26:])))
	}
	if e.data > d.offset || e.csize > d.offset-e.data {
		return refuse("ZIP-04", e.name, at, "entry %s runs into the directory", q(e.name))
	}
	extra := make([]byte, extraLen)
	if err := readAt(r, extra, at+int64(n)); err != nil {
		return err
	}
	return compareLocal(buf, extra, e, at)
}

func lowest(entries []entry) int64 {
	low := entries[0].offset
	for _, e := range entries {
		low = min(low, e.offset)
	}
	return low
}

func otherName(r io.ReaderAt, e *entry, at int64, n int) error {
	name := make([]byte, min(n, 200))
	if err := readAt(r, name, at+lenLocal); err != nil {
		return err
	}
	return refuse("ZIP-04", e.name, at, "local header at offset %d names %s, central directory names %s", at, q(string(name)), q(e.name))
}

// compareLocal compares the fields of a local header with the directory's.
func compareLocal(head, extra []byte, e *entry, at int64) error {
	x, err := parseExtra(extra, e.name, at)
	if err != nil {
		return err
	}
	usize, csize, err := x.local(u32(head[22:]), u32(head[18:]), e.name, at)
	if err != nil {
		return err
	}
	crc := u32(head[14:])
	wantU, wantC, wantCRC := uint64(e.usize), uint64(e.csize), e.crc
	if e.flags&flagDescriptor != 0 {
		if crc != 0 || csize != 0 || usize != 0 {
			return refuse("ZIP-05", e.name, at, "entry %s has a data descriptor and sizes in its local header", q(e.name))
		}
		wantU, wantC, wantCRC = 0, 0, 0
	}
	for _, f := range []struct {
		what          string
		local, expect uint64
	}{
		{"flags", uint64(u16(head[6:])), uint64(e.flags)},
		{"method", uint64(u16(head[8:])), uint64(e.method)},
		{"time", uint64(u16(head[10:])), uint64(e.time)},
		{"date", uint64(u16(head[12:])), uint64(e.date)},
		{"CRC", uint64(crc), uint64(wantCRC)},
		{"compressed size", csize, wantC},
		{"size", usize, wantU},
	} {
		if f.local != f.expect {
			return refuse("ZIP-06", e.name, at, "%s of %s is %d in the local header, %d in the directory", f.what, q(e.name), f.local, f.expect)
		}
	}
	return nil
}

// readDescriptor returns the length of the data descriptor at offset at. It is 12 or 20
// bytes, with or without a signature (APPNOTE 4.3.9); exactly one form must fit.
func readDescriptor(r io.ReaderAt, e entry, at, end int64) (int64, error) {
	var buf [28]byte
	n := min(int64(len(buf)), end-at)
	// What follows must be the next local header or the directory, whose signature
	// may lie past the part that is read here.
	if err := readAt(r, buf[:n], at); err != nil {
		return 0, err
	}
	var found int64
	for _, form := range []struct {
		sig, wide bool
		size      int64
	}{{true, false, 16}, {true, true, 24}, {false, false, 12}, {false, true, 20}} {
		if form.size > n || !fitsDescriptor(buf[:form.size], e, form.sig, form.wide) {
			continue
		}
		if next := buf[form.size:n]; at+form.size != end && (len(next) < 4 || u32(next) != sigLocal) {
			continue
		}
		if found != 0 {
			return 0, refuse("ZIP-05", e.name, at, "the data descriptor of %s can be read in two ways", q(e.name))
		}
		found = form.size
	}
	if found == 0 {
		return 0, refuse("ZIP-05", e.name, at, "the data descriptor of %s does not agree with the directory", q(e.name))
	}
	return found, nil
}

func fitsDescriptor(b []byte, e entry, sig, wide bool) bool {
	if sig {
		if u32(b) != sigDescriptor {
			return false
		}
		b = b[4:]
	}
	if u32(b) != e.crc {
		return false
	}
	if wide {
		return u64(b[4:]) == uint64(e.csize) && u64(b[12:]) == uint64(e.usize)
	}
	return uint64(u32(b[4:])) == uint64(e.csize) && uint64(u32(b[8:])) == uint64(e.usize)
}

func readAt(r io.ReaderAt, p []byte, off int64) error {
	n, err := r.ReadAt(p, off)
	if n == len(p) {
		return nil
	}
	if err == nil || errors.Is(err, io.EOF) {
		return refuse("ZIP-04", "", off, "the file ends at offset %d, inside a record", off+int64(n))
	}
	return err
}

// short turns an early end into a refusal and leaves other errors as they are.
func short(err error, at int64, format string, args ...any) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return refuse("ZIP-04", "", at, format, args...)
	}
	return err
}

func u16(b []byte) uint16 { return binary.LittleEndian.Uint16(b) }
func u32(b []byte) uint32 { return binary.LittleEndian.Uint32(b) }
func u64(b []byte) uint64 { return binary.LittleEndian.Uint64(b) }

// utf8Name says whether the name is ASCII, or UTF-8 and marked as such.
func utf8Name(e entry) bool {
	for i := 0; i < len(e.name); i++ {
		if e.name[i] >= utf8.RuneSelf {
			return e.flags&flagUTF8 != 0 && utf8.ValidString(e.name)
		}
	}
	return true
}
