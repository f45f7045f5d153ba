package debian

import (
	"bytes"
	"io"
	"strconv"
	"strings"
)

const (
	arMagic  = "!<arch>\n"
	arHeader = 60
)

// member is one file of an ar archive.
type member struct {
	name string
	off  int64 // of its content
	body *io.SectionReader
}

// members reads the table of a .deb: three members and not a byte more. DEB-01.
// Source: deb(5).
func members(r io.ReaderAt, size int64, file string) ([]member, error) {
	bad := func(off int64, format string, args ...any) ([]member, error) {
		return nil, refuse("DEB-01", file, "", off, format, args...)
	}
	if size < int64(len(arMagic)) {
		return bad(0, "%d bytes are no Debian package", size)
	}
	head := make([]byte, arHeader)
	if _, err := r.ReadAt(head[:len(arMagic)], 0); err != nil {
		return nil, readError(file, err)
	}
	if string(head[:len(arMagic)]) != arMagic {
		return bad(0, "begins with %s, not with an ar archive's %s", q(string(head[:len(arMagic)])), q(arMagic))
	}
	var all []member
	off := int64(len(arMagic))
	for off < size {
		if len(all) == 3 {
			return bad(off, "%d bytes after the third member", size-off)
		}
		if size-off < arHeader {
			return bad(off, "header at offset %d is cut off", off)
		}
		if _, err := r.ReadAt(head, off); err != nil {
			return nil, readError(file, err)
		}
		if string(head[58:60]) != "`\n" {
			return bad(off, "header at offset %d ends with %s", off, q(string(head[58:60])))
		}
		n, ok := arSize(head[48:58])
		if !ok {
			return bad(off, "header at offset %d states the size %s", off, q(string(head[48:58])))
		}
		off += arHeader
		if n > size-off {
			return bad(off, "member at offset %d has %d bytes, the file only %d more", off, n, size-off)
		}
		name := strings.TrimRight(string(head[:16]), " ")
		all = append(all, member{name, off, io.NewSectionReader(r, off, n)})
		off += n
		if n%2 == 1 && off < size {
			if _, err := r.ReadAt(head[:1], off); err != nil {
				return nil, readError(file, err)
			}
			if head[0] != '\n' {
				return bad(off, "padding at offset %d is %s", off, q(string(head[:1])))
			}
			off++
		} else if n%2 == 1 {
			return bad(off, "padding at offset %d is missing", off)
		}
	}
	return all, checkMembers(all, file)
}

// checkMembers demands debian-binary, control.tar and data.tar in this order.
func checkMembers(all []member, file string) error {
	if len(all) != 3 {
		return refuse("DEB-01", file, "", -1, "%d members, not debian-binary, control.tar and data.tar", len(all))
	}
	for i, want := range []string{"debian-binary", "control.tar", "data.tar"} {
		m := all[i]
		ok := m.name == want
		if i > 0 {
			ext, found := strings.CutPrefix(m.name, want)
			ok = found && (ext == "" || ext[0] == '.')
		}
		if !ok {
			return refuse("DEB-01", file, m.name, m.off, "member %d at offset %d is %s, not %s", i+1, m.off-arHeader, q(m.name), want)
		}
	}
	const version = "2.0\n"
	if n := all[0].body.Size(); n != int64(len(version)) {
		return refuse("DEB-01", file, all[0].name, all[0].off, "debian-binary has %d bytes, not %d", n, len(version))
	}
	got := make([]byte, len(version))
	if _, err := all[0].body.ReadAt(got, 0); err != nil {
		return readError(file, err)
	}
	if string(got) != version {
		return refuse("DEB-01", file, all[0].name, all[0].off, "debian-binary is %s, not %s", q(string(got)), q(version))
	}
	return nil
}

// arSize parses a decimal number, padded with blanks.
func arSize(b []byte) (int64, bool) {
	digits := bytes.TrimRight(b, " ")
	if len(digits) == 0 || (len(digits) > 1 && digits[0] == '0') {
		return 0, false
	}
	for _, c := range digits {
		if c < '0' || c > '9' {
			return 0, false
		}
	}
	n, err := strconv.ParseInt(string(digits), 10, 64)
	return n, err == nil
}
