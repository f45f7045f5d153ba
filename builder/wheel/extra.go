package wheel

// Extra fields that say nothing about names, sizes or content: times (Info-ZIP 0x5455,
// 0x5855, NTFS 0x000a), owners (0x7855, 0x7875), alignment (Android 0xd935), Java's mark.
var harmlessExtra = map[uint16]bool{0x5455: true, 0x5855: true, 0x000a: true, 0x7855: true, 0x7875: true, 0xd935: true, 0xcafe: true}

// extra is the ZIP64 part of an entry's extra fields.
type extra struct {
	zip64 []byte
	has   bool
}

// parseExtra reads a list of (id, length, data). APPNOTE 4.5.
func parseExtra(b []byte, name string, at int64) (extra, error) {
	var x extra
	seen := map[uint16]bool{}
	for len(b) > 0 {
		if len(b) < 4 || int(u16(b[2:])) > len(b)-4 {
			return x, refuse("ZIP-04", name, at, "the extra fields of %s are cut off", q(name))
		}
		id, n := u16(b), int(u16(b[2:]))
		if seen[id] {
			return x, refuse("ZIP-04", name, at, "entry %s has extra field %#04x twice", q(name), id)
		}
		seen[id] = true
		switch {
		case id == 1:
			x.zip64, x.has = b[4:4+n], true
		case id == 0x7075:
			return x, refuse("ZIP-04", name, at, "entry %s has a second name (extra field 0x7075)", q(name))
		case !harmlessExtra[id]:
			return x, refuse("ZIP-04", name, at, "entry %s has extra field %#04x, whose meaning is unknown", q(name), id)
		}
		b = b[4+n:]
	}
	return x, nil
}

// central returns a directory record's sizes, offset and disk. The ZIP64 field holds
// exactly those that are all ones, in this order. APPNOTE 4.5.3.
func (x extra) central(usize, csize, offset uint32, disk uint16, name string, at int64) (u, c, o uint64, dk uint32, err error) {
	rest := x.zip64
	bad := false
	take := func(v uint32) uint64 {
		if v != full32 {
			return uint64(v)
		}
		if len(rest) < 8 {
			bad = true
			return 0
		}
		w := u64(rest)
		rest = rest[8:]
		return w
	}
	u, c, o = take(usize), take(csize), take(offset)
	dk = uint32(disk)
	if disk == full16 {
		if len(rest) >= 4 {
			dk, rest = u32(rest), rest[4:]
		} else {
			bad = true
		}
	}
	if bad || len(rest) != 0 || x.has && len(x.zip64) == 0 {
		return 0, 0, 0, 0, refuse("ZIP-04", name, at, "the ZIP64 field of %s has %d bytes, which do not fit its sizes", q(name), len(x.zip64))
	}
	return u, c, o, dk, nil
}

// local returns a local header's sizes. Its ZIP64 field, if there is one, holds both; the
// header's own fields are all ones or, as Bazel writes them, the same again.
func (x extra) local(usize, csize uint32, name string, at int64) (u, c uint64, err error) {
	if !x.has {
		if usize == full32 || csize == full32 {
			return 0, 0, refuse("ZIP-04", name, at, "the local header of %s refers to a ZIP64 field that is not there", q(name))
		}
		return uint64(usize), uint64(csize), nil
	}
	if len(x.zip64) != 16 || usize != full32 && uint64(usize) != u64(x.zip64) || csize != full32 && uint64(csize) != u64(x.zip64[8:]) {
		return 0, 0, refuse("ZIP-04", name, at, "the ZIP64 field of %s has %d bytes, which do not fit its sizes", q(name), len(x.zip64))
	}
	return u64(x.zip64), u64(x.zip64[8:]), nil
}
