package layer

import (
	"encoding/binary"
	"strconv"
	"strings"
)

const block = 512

var zeros [2 * block]byte

// padding is how many zeros follow n bytes of content.
func padding(n int64) int64 { return -n & (block - 1) }

// appendTar appends the header of an entry in ustar format, preceded by a PAX header where
// ustar cannot hold a value. Source: POSIX.1-2017, pax, "ustar Interchange Format".
func appendTar(b []byte, h Header) []byte {
	name := h.Path
	if h.Type == Dir {
		name += "/"
	}
	prefix, base, ok := splitName(name)
	var pax []byte
	if !ok {
		pax = appendRecord(pax, "path", name)
		prefix, base = "", shortName(name)
	}
	link := h.Link
	if len(link) > 100 || !ascii(link) {
		pax = appendRecord(pax, "linkpath", link)
		link = shortName(link)
	}
	if h.Size > octal11 {
		pax = appendRecord(pax, "size", strconv.FormatInt(h.Size, 10))
	}
	if h.UID > octal7 {
		pax = appendRecord(pax, "uid", strconv.Itoa(h.UID))
	}
	if h.GID > octal7 {
		pax = appendRecord(pax, "gid", strconv.Itoa(h.GID))
	}
	if pax != nil {
		x := Header{Mode: 0o644, Size: int64(len(pax))}
		b = appendBlock(b, x, 'x', "", shortName("PaxHeaders/"+h.Path), "")
		b = append(b, pax...)
		b = append(b, zeros[:padding(int64(len(pax)))]...)
	}
	return appendBlock(b, h, flags[h.Type], prefix, base, link)
}

var flags = map[Type]byte{Regular: '0', Hardlink: '1', Symlink: '2', Dir: '5'}

const (
	octal7  = 1<<21 - 1
	octal11 = 1<<33 - 1
)

func appendBlock(b []byte, h Header, flag byte, prefix, name, link string) []byte {
	var x [block]byte
	copy(x[0:100], name)
	number(x[100:108], h.Mode)
	number(x[108:116], int64(h.UID))
	number(x[116:124], int64(h.GID))
	number(x[124:136], h.Size)
	number(x[136:148], Epoch)
	x[156] = flag
	copy(x[157:257], link)
	copy(x[257:265], "ustar\x0000")
	copy(x[345:500], prefix)
	copy(x[148:156], "        ")
	var sum int64
	for _, c := range x {
		sum += int64(c)
	}
	number(x[148:155], sum)
	return append(b, x[:]...)
}

// number writes v as octal digits and a NUL. What does not fit is written in base 256, as
// GNU tar does, beside the PAX record, so that readers which know only one of them agree.
func number(field []byte, v int64) {
	if v>>(3*(len(field)-1)) != 0 {
		var be [8]byte
		binary.BigEndian.PutUint64(be[:], uint64(v))
		if n := len(field) - 8; n > 0 {
			copy(field[n:], be[:])
		} else {
			copy(field, be[8-len(field):])
		}
		field[0] |= 0x80
		return
	}
	for i := len(field) - 2; i >= 0; i-- {
		field[i] = '0' + byte(v&7)
		v >>= 3
	}
}

// splitName splits a name into ustar's prefix and name.
func splitName(p string) (prefix, name string, ok bool) {
	if !ascii(p) {
		return "", "", false
	}
	if len(p) <= 100 {
		return "", p, true
	}
	if len(p) > 256 {
		return "", "", false
	}
	end := min(len(p)-1, 156) // a slash at the end belongs to the name
	i := strings.LastIndexByte(p[:end], '/')
	if i <= 0 || len(p)-i-1 > 100 {
		return "", "", false
	}
	return p[:i], p[i+1:], true
}

// shortName is what a reader without PAX sees.
func shortName(s string) string {
	b := make([]byte, 0, 100)
	for i := 0; i < len(s) && len(b) < 100; i++ {
		if s[i] < 0x80 {
			b = append(b, s[i])
		}
	}
	for len(b) > 0 && b[len(b)-1] == '/' {
		b = b[:len(b)-1]
	}
	return string(b)
}

func ascii(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}

// appendRecord appends "length key=value\n", where length counts itself.
func appendRecord(b []byte, key, value string) []byte {
	rest := len(key) + len(value) + 3
	n := rest + 1
	for rest+len(strconv.Itoa(n)) != n {
		n = rest + len(strconv.Itoa(n))
	}
	b = strconv.AppendInt(b, int64(n), 10)
	b = append(b, ' ')
	b = append(b, key...)
	b = append(b, '=')
	b = append(b, value...)
	return append(b, '\n')
}
