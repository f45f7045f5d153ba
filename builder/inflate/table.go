package inflate

import "math/bits"

const (
	litBits  = 11
	distBits = 8
	maxBits  = 15
)

// An entry of a table says what the next bits mean. Bits 0–5: bits to drop, a length's or
// distance's extra bits included. A literal is in
// bits 16–23. Of a length or distance bits 8–11 are the code's own bits, and the base is
// from bit 16 on. A table's entry: bits 0–3 its width, 8–23 its place.
const (
	isLiteral   uint32 = 1 << 31
	isSpecial   uint32 = 1 << 30 // a table, the end, or no code at all
	isTable     uint32 = 1 << 29
	isEnd       uint32 = 1 << 28
	distSpecial uint32 = 1 << 31
)

// Bases and extra bits of lengths (codes 257–285) and distances. RFC 1951, 3.2.5.
var (
	lengthBase  = [29]uint32{3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 227, 258}
	lengthExtra = [29]uint32{0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0}
	distBase    = [30]uint32{1, 2, 3, 4, 5, 7, 9, 13, 17, 25, 33, 49, 65, 97, 129, 193, 257, 385, 513, 769, 1025, 1537, 2049, 3073, 4097, 6145, 8193, 12289, 16385, 24577}
	distExtra   = [30]uint32{0, 0, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8, 9, 9, 10, 10, 11, 11, 12, 12, 13, 13}
	codeOrder   = [19]uint8{16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15}
)

func litEntry(sym int, n uint32) uint32 {
	switch {
	case sym < 256:
		return isLiteral | uint32(sym)<<16 | n
	case sym == 256:
		return isSpecial | isEnd | n<<8 | n
	case sym < 286:
		return lengthBase[sym-257]<<16 | n<<8 | (n + lengthExtra[sym-257])
	}
	return isSpecial
}

func distEntry(sym int, n uint32) uint32 {
	if sym < 30 {
		return distBase[sym]<<16 | n<<8 | (n + distExtra[sym])
	}
	return distSpecial
}

// build fills a table for the codes with these lengths. It reports whether they are a
// complete prefix code, or the one incomplete code that encoders write: a single symbol
// of one bit. RFC 1951, 3.2.2 and 3.2.7.
func build(table []uint32, width uint32, lens []uint8, entry func(sym int, n uint32) uint32, table2, none uint32) bool {
	var count [maxBits + 1]int
	longest := uint32(0)
	for _, n := range lens {
		count[n]++
		longest = max(longest, uint32(n))
	}
	var next [maxBits + 2]uint32
	code, used := uint32(0), 0
	for n := 1; n <= maxBits; n++ {
		next[n] = code
		code += uint32(count[n])
		used += count[n] << (maxBits - n)
		if code > 1<<n {
			return false
		}
		code <<= 1
	}
	switch {
	case longest == 0: // no codes: any use is an error
	case used == 1<<maxBits:
	case longest == 1 && count[1] == 1:
	default:
		return false
	}
	// Symbols in the order of their codes.
	var at [maxBits + 2]int
	for n := 1; n <= maxBits; n++ {
		at[n+1] = at[n] + count[n]
	}
	var order [288]uint16
	for sym, n := range lens {
		if n > 0 {
			order[at[n]] = uint16(sym)
			at[n]++
		}
	}
	// The table for n bits is the one for n-1 bits twice, and the codes of n bits.
	table[0] = none
	i := 0
	for n := uint32(1); n <= width; n++ {
		copy(table[1<<(n-1):1<<n], table[:1<<(n-1)])
		for c := next[n]; i < at[n]; i, c = i+1, c+1 {
			table[bits.Reverse16(uint16(c))>>(16-n)] = entry(int(order[i]), n)
		}
	}
	if longest <= width {
		return true
	}
	free, sub := uint32(1)<<width, longest-width
	for n := width + 1; n <= longest; n++ {
		for c := next[n]; i < at[n]; i, c = i+1, c+1 {
			c := uint32(bits.Reverse16(uint16(c)) >> (16 - n))
			root := &table[c&(1<<width-1)]
			if *root == none {
				*root = table2 | free<<8 | sub
				free += 1 << sub
			}
			base, e := *root>>8&0xFFFF, entry(int(order[i]), n-width)
			for k := c >> width; k < 1<<sub; k += 1 << (n - width) {
				table[base+k] = e
			}
		}
	}
	return true
}

// fixed sets the tables of a block with fixed codes. RFC 1951, 3.2.6.
func (z *Reader) fixed() {
	lens := z.lens[:]
	for i := range 288 {
		switch {
		case i < 144:
			lens[i] = 8
		case i < 256:
			lens[i] = 9
		case i < 280:
			lens[i] = 7
		default:
			lens[i] = 8
		}
	}
	for i := range 32 {
		lens[288+i] = 5
	}
	build(z.lit[:], litBits, lens[:288], litEntry, isSpecial|isTable, isSpecial)
	build(z.dist[:], distBits, lens[288:], distEntry, distSpecial, distSpecial)
	z.state = inCodes
}

// dynamic reads the codes of a block. RFC 1951, 3.2.7.
func (z *Reader) dynamic() {
	if !z.need(14) {
		return
	}
	nlit, ndist, nlen := int(z.take(5))+257, int(z.take(5))+1, int(z.take(4))+4
	if nlit > 286 || ndist > 30 {
		z.fail(ErrCorrupt)
		return
	}
	var lens [19]uint8
	for i := range nlen {
		if !z.need(3) {
			return
		}
		lens[codeOrder[i]] = uint8(z.take(3))
	}
	var table [1 << 7]uint32
	plain := func(sym int, n uint32) uint32 { return isLiteral | uint32(sym)<<16 | n }
	if !build(table[:], 7, lens[:], plain, isSpecial, isSpecial) {
		z.fail(ErrCorrupt)
		return
	}
	all := z.lens[:nlit+ndist]
	for i := 0; i < len(all); {
		e, ok := z.lookup(&table)
		if !ok {
			return
		}
		if e < 16 {
			all[i] = uint8(e)
			i++
			continue
		}
		var value uint8
		var times int
		switch e {
		case 16:
			if i == 0 || !z.need(2) {
				z.fail(ErrCorrupt)
				return
			}
			value, times = all[i-1], 3+int(z.take(2))
		case 17:
			if !z.need(3) {
				return
			}
			times = 3 + int(z.take(3))
		default:
			if !z.need(7) {
				return
			}
			times = 11 + int(z.take(7))
		}
		if times > len(all)-i {
			z.fail(ErrCorrupt)
			return
		}
		for ; times > 0; times-- {
			all[i] = value
			i++
		}
	}
	if all[256] == 0 ||
		!build(z.lit[:], litBits, all[:nlit], litEntry, isSpecial|isTable, isSpecial) ||
		!build(z.dist[:], distBits, all[nlit:], distEntry, distSpecial, distSpecial) {
		z.fail(ErrCorrupt)
		return
	}
	z.state = inCodes
}

// lookup decodes one code of at most 7 bits, near the end of the input too.
func (z *Reader) lookup(table *[1 << 7]uint32) (uint32, bool) {
	for {
		e := table[z.bits&(1<<7-1)]
		n := uint(e & 63)
		if e&isLiteral != 0 && n <= z.n {
			z.take(n)
			return e >> 16 & 0xFF, true
		}
		if z.n >= 7 {
			z.fail(ErrCorrupt)
			return 0, false
		}
		if !z.need(z.n + 1) {
			return 0, false
		}
	}
}
