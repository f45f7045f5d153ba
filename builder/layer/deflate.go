package layer

import (
	"encoding/binary"
	"hash/crc32"
)

// gzipHeader begins each member: no time, no name, unknown system. RFC 1952, 2.3.
const gzipHeader = "\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"

const gzipTrailer = 8

// appendTrailer appends what ends a member of n bytes.
func appendTrailer(b []byte, crc uint32, n int64) []byte {
	b = binary.LittleEndian.AppendUint32(b, crc)
	return binary.LittleEndian.AppendUint32(b, uint32(n))
}

// appendMember appends a gzip member of p, encoded by deflate.
func appendMember(b, p []byte) []byte {
	b = append(b, gzipHeader...)
	b = deflate(b, p)
	return appendTrailer(b, crc32.ChecksumIEEE(p), int64(len(p)))
}

// deflate appends p as one block with fixed codes, in which only runs of zeros are matches:
// a tar header becomes about 150 bytes. Its output never changes. RFC 1951, 3.2.6.
func deflate(b, p []byte) []byte {
	w := bitWriter{b: b}
	w.put(0b011, 3) // final, fixed codes
	for i := 0; i < len(p); {
		w.literal(p[i])
		if p[i] != 0 {
			i++
			continue
		}
		i++
		for i < len(p) {
			n := 0
			for n < 258 && i+n < len(p) && p[i+n] == 0 {
				n++
			}
			if n < 3 {
				break
			}
			w.length(n)
			w.code(0, 5) // distance 1
			i += n
		}
	}
	w.code(0, 7) // end of block
	return w.end()
}

type bitWriter struct {
	b    []byte
	bits uint32
	n    uint
}

// put writes the low n bits of v, the lowest first.
func (w *bitWriter) put(v uint32, n uint) {
	w.bits |= v << w.n
	for w.n += n; w.n >= 8; w.n -= 8 {
		w.b = append(w.b, byte(w.bits))
		w.bits >>= 8
	}
}

// code writes a Huffman code, whose highest bit comes first.
func (w *bitWriter) code(v uint32, n uint) {
	for i := n; i > 0; i-- {
		w.put(v>>(i-1)&1, 1)
	}
}

func (w *bitWriter) literal(c byte) {
	if c < 144 {
		w.code(0x30+uint32(c), 8)
	} else {
		w.code(0x190+uint32(c)-144, 9)
	}
}

// length writes the code and extra bits of a match's length, 3 to 258.
func (w *bitWriter) length(n int) {
	sym, extra, base := 285, uint(0), 258
	if n < 258 {
		sym, base = 256+n-2, n
		for group := 0; n-3 >= 8<<group; group++ {
			extra = uint(group) + 1
		}
		if extra > 0 {
			step := (n - 3) >> extra // 4 to 7
			sym = 257 + 4*int(extra) + step
			base = step<<extra + 3
		}
	}
	if sym < 280 {
		w.code(uint32(sym-256), 7)
	} else {
		w.code(0xC0+uint32(sym-280), 8)
	}
	w.put(uint32(n-base), extra)
}

func (w *bitWriter) end() []byte {
	if w.n > 0 {
		w.b = append(w.b, byte(w.bits))
	}
	return w.b
}
