package inflate

import (
	"encoding/binary"
	"errors"
	"io"
)

// ErrCorrupt says that the input is not a DEFLATE stream.
var ErrCorrupt = errors.New("corrupt deflate stream")

const (
	history = 32 << 10  // how far back a match can reach
	piece   = 192 << 10 // output between two slides of the window
	slack   = 320       // the longest match, and what its copy may write past its end
	window  = history + piece + slack

	inputSize = 64 << 10
	inputPad  = 16 // zeros after the end of the input, so that eight bytes can be loaded
)

// Reader inflates one stream. It may be used again after Reset.
type Reader struct {
	src  io.Reader
	in   [inputSize + inputPad]byte
	pos  int   // next byte of in to load
	end  int   // bytes in in
	read int64 // bytes taken from src
	eof  bool  // src has ended

	bits uint64
	n    uint // bits in bits

	out  [window]byte
	w    int // bytes in out
	r    int // bytes of out that were handed on
	made int64

	stored int  // bytes left in a stored block
	state  byte // what comes next
	final  bool
	err    error

	lit  [1<<litBits + 288*16]uint32
	dist [1<<distBits + 32*128]uint32
	lens [288 + 32]uint8
}

const (
	header byte = iota
	inStored
	inCodes
	done
)

// New returns a Reader of the stream that src starts with. It may take more bytes from src
// than the stream has.
func New(src io.Reader) *Reader {
	z := &Reader{}
	z.Reset(src)
	return z
}

// Reset starts another stream.
func (z *Reader) Reset(src io.Reader) {
	z.src, z.pos, z.end, z.read, z.eof = src, 0, 0, 0, false
	z.bits, z.n = 0, 0
	z.w, z.r, z.made = 0, 0, 0
	z.stored, z.state, z.final, z.err = 0, header, false, nil
}

// Used is the number of bytes of input that the stream took, once io.EOF was returned. No
// whole byte is at hand then: what was loaded too much has been given back.
func (z *Reader) Used() int64 { return z.read - int64(z.end-z.pos) }

// Read returns inflated bytes; io.EOF after the final block, io.ErrUnexpectedEOF when the
// input ends before it, ErrCorrupt when it is not DEFLATE.
func (z *Reader) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	b, err := z.Next()
	n := copy(p, b)
	z.r -= len(b) - n // the rest is returned by the next call
	if n > 0 {
		return n, nil
	}
	return 0, err
}

// WriteTo writes the whole stream to w.
func (z *Reader) WriteTo(w io.Writer) (int64, error) {
	var n int64
	for {
		b, err := z.Next()
		if len(b) > 0 {
			m, err := w.Write(b)
			n += int64(m)
			if err != nil {
				return n, err
			}
			if m < len(b) {
				return n, io.ErrShortWrite
			}
		}
		if errors.Is(err, io.EOF) {
			return n, nil
		}
		if err != nil {
			return n, err
		}
	}
}

// Next returns the next inflated bytes, which are valid until the next call. At the end it
// returns none and io.EOF, or what Read would.
func (z *Reader) Next() ([]byte, error) {
	for z.r == z.w {
		if z.err != nil {
			return nil, z.err
		}
		if z.w >= history+piece {
			copy(z.out[:history], z.out[z.w-history:z.w])
			z.w, z.r = history, history
		}
		z.step()
	}
	b := z.out[z.r:z.w]
	z.r = z.w
	return b, nil
}

// step decodes until the window is full, the block ends, or an error.
func (z *Reader) step() {
	switch z.state {
	case header:
		z.header()
	case inStored:
		z.copyStored()
	case inCodes:
		z.codes()
	case done:
		z.err = io.EOF
	}
}

func (z *Reader) fail(err error) {
	if z.err == nil {
		z.err = err
	}
}

// fill takes more input when fewer than 2·inputPad bytes are left. At the end of the
// input zeros follow it.
func (z *Reader) fill() {
	if z.end-z.pos >= 2*inputPad || z.eof {
		return
	}
	if z.pos > z.end { // only after the end of the input
		return
	}
	z.end = copy(z.in[:], z.in[z.pos:z.end])
	z.pos = 0
	for z.end < 2*inputPad {
		n, err := z.src.Read(z.in[z.end:inputSize])
		z.end += n
		z.read += int64(n)
		if err != nil {
			if !errors.Is(err, io.EOF) {
				z.fail(err)
			}
			z.eof = true
			clear(z.in[z.end : z.end+inputPad])
			return
		}
		if n == 0 {
			z.fail(io.ErrNoProgress)
			z.eof = true
			clear(z.in[z.end : z.end+inputPad])
			return
		}
	}
}

// need makes sure that n ≤ 32 bits are at hand.
func (z *Reader) need(n uint) bool {
	for z.n < n {
		z.fill()
		if z.pos >= z.end {
			z.fail(io.ErrUnexpectedEOF)
			return false
		}
		z.bits |= uint64(z.in[z.pos]) << z.n
		z.pos++
		z.n += 8
	}
	return true
}

func (z *Reader) take(n uint) uint {
	v := uint(z.bits & (1<<n - 1))
	z.bits >>= n
	z.n -= n
	return v
}

// header reads the head of a block. RFC 1951, 3.2.3.
func (z *Reader) header() {
	if z.final {
		// Whole bytes that were taken and not used are given back by Used.
		z.state = done
		return
	}
	if !z.need(3) {
		return
	}
	z.final = z.take(1) == 1
	switch z.take(2) {
	case 0:
		z.take(z.n % 8)
		if !z.need(32) {
			return
		}
		n, inverse := z.take(16), z.take(16)
		if n != ^inverse&0xFFFF {
			z.fail(ErrCorrupt)
			return
		}
		z.stored, z.state = int(n), inStored
	case 1:
		z.fixed()
	case 2:
		z.dynamic()
	default:
		z.fail(ErrCorrupt)
	}
}

func (z *Reader) copyStored() {
	for z.stored > 0 && z.w < history+piece {
		if z.n > 0 { // whole bytes that were loaded as bits
			z.out[z.w] = byte(z.take(8))
			z.w++
			z.stored--
			continue
		}
		z.fill()
		if z.pos >= z.end {
			z.fail(io.ErrUnexpectedEOF)
			return
		}
		n := min(z.stored, z.end-z.pos, history+piece-z.w)
		copy(z.out[z.w:z.w+n], z.in[z.pos:z.pos+n])
		z.w += n
		z.pos += n
		z.stored -= n
	}
	if z.stored == 0 {
		z.state = header
	}
}

// codes decodes literals and matches. RFC 1951, 3.2.5.
func (z *Reader) codes() {
	in, out, lit, dist := &z.in, &z.out, &z.lit, &z.dist
	bits, n, w := z.bits, z.n, z.w
	for w < history+piece {
		if z.end-z.pos < inputPad {
			z.fill()
			if z.err != nil {
				break
			}
		}
		// Eight bytes can be loaded up to here: pos ≤ stop.
		pos, stop := z.pos, z.end-inputPad
		if z.eof {
			stop = z.end
		}
		var e uint32
		ended := false
		for pos <= stop && w < history+piece {
			bits |= binary.LittleEndian.Uint64(in[pos:pos+8]) << (n & 63)
			pos += int((63 - n) >> 3)
			n |= 56
			e = lit[bits&(1<<litBits-1)]
			if e&isLiteral != 0 {
				out[w] = byte(e >> 16)
				bits >>= e & 63
				n -= uint(e & 63)
				w++
				e = lit[bits&(1<<litBits-1)]
				// Of the 56 bits at hand four literals of at most eleven leave twelve, enough to
				// look the next entry up.
				for more := 3; e&isLiteral != 0 && more > 0; more-- {
					out[w] = byte(e >> 16)
					bits >>= e & 63
					n -= uint(e & 63)
					w++
					e = lit[bits&(1<<litBits-1)]
				}
				if e&isLiteral != 0 {
					continue
				}
				if pos > stop {
					continue // loaded as input allows; nothing of e was used
				}
				bits |= binary.LittleEndian.Uint64(in[pos:pos+8]) << (n & 63)
				pos += int((63 - n) >> 3)
				n |= 56
			}
			if e&isSpecial != 0 {
				if e&isTable != 0 {
					bits >>= litBits
					n -= litBits
					e = lit[uint64(e>>8&0xFFFF)+bits&(1<<(e&15)-1)]
					if e&isLiteral != 0 {
						out[w] = byte(e >> 16)
						w++
						bits >>= e & 63
						n -= uint(e & 63)
						continue
					}
				}
				if e&isEnd != 0 {
					bits >>= e & 63
					n -= uint(e & 63)
					ended = true
					break
				}
				if e&isSpecial != 0 {
					z.fail(ErrCorrupt)
					break
				}
			}
			length := int(e>>16&0x1FF) + int(bits>>(e>>8&15)&(1<<(e&63-e>>8&15)-1))
			bits >>= e & 63
			n -= uint(e & 63)

			d := dist[bits&(1<<distBits-1)]
			if d&distSpecial != 0 {
				if d == distSpecial {
					z.fail(ErrCorrupt)
					break
				}
				bits >>= distBits
				n -= distBits
				d = dist[uint64(d>>8&0xFFFF)+bits&(1<<(d&15)-1)]
				if d&distSpecial != 0 {
					z.fail(ErrCorrupt)
					break
				}
			}
			distance := int(d>>16) + int(bits>>(d>>8&15)&(1<<(d&63-d>>8&15)-1))
			bits >>= d & 63
			n -= uint(d & 63)
			if distance > w {
				z.fail(ErrCorrupt)
				break
			}
			copyMatch(out, w, distance, length)
			w += length
		}
		// Whole bytes are given back: other blocks, and the next round, load them again.
		z.pos = pos - int(n/8)
		n &= 7
		bits &= 1<<n - 1
		if z.eof && z.pos*8-int(n) > z.end*8 {
			z.fail(io.ErrUnexpectedEOF) // zeros past the end of the input are not input
		}
		if z.err != nil {
			break
		}
		if ended {
			z.state = header
			break
		}
	}
	z.bits, z.n, z.w = bits, n, w
}

// copyMatch writes length bytes that lie distance back. It may write up to 7 bytes more.
func copyMatch(out *[window]byte, w, distance, length int) {
	from := w - distance
	if distance >= length && length > 16 {
		copy(out[w:w+length], out[from:from+length])
		return
	}
	if distance >= 8 {
		for end := w + length; w < end; w, from = w+8, from+8 {
			binary.LittleEndian.PutUint64(out[w:w+8], binary.LittleEndian.Uint64(out[from:from+8]))
		}
		return
	}
	if distance == 1 {
		v := uint64(out[from]) * 0x0101010101010101
		for end := w + length; w < end; w += 8 {
			binary.LittleEndian.PutUint64(out[w:w+8], v)
		}
		return
	}
	for i := range length {
		out[w+i] = out[from+i]
	}
}
