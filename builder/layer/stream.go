package layer

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"strings"

	"github.com/forge-build/forge/builder/inflate"
)

// sourceReader reads compressed bytes, of which the last can be given back.
type sourceReader struct {
	r    io.Reader
	buf  []byte
	pos  int
	base int64 // offset of buf[0]
	step int   // how much a Read returns at most: little at first, so that little is given back
	err  error
}

const (
	stepFirst = 512
	stepMost  = 64 << 10
	keepBack  = stepMost + 64
)

func newSourceReader(r io.Reader) *sourceReader { return newShortReader(r, 4*stepMost) }

// newShortReader is newSourceReader for what has at most n bytes. One byte more has room, for
// the read that finds the end.
func newShortReader(r io.Reader, n int64) *sourceReader {
	return &sourceReader{r: r, buf: make([]byte, 0, min(n+1, 4*stepMost)), step: stepMost}
}

func (s *sourceReader) offset() int64 { return s.base + int64(s.pos) }

// fill makes sure that a byte is there.
func (s *sourceReader) fill() error {
	for empty := 0; s.pos == len(s.buf); {
		if s.err != nil {
			return s.err
		}
		if drop := len(s.buf) - keepBack; drop > 0 {
			s.buf = s.buf[:copy(s.buf, s.buf[drop:])]
			s.pos -= drop
			s.base += int64(drop)
		}
		n, err := s.r.Read(s.buf[len(s.buf):cap(s.buf)])
		s.buf = s.buf[:len(s.buf)+n]
		s.err = err
		if empty++; n == 0 && err == nil && empty > 100 {
			return io.ErrNoProgress
		}
	}
	return nil
}

func (s *sourceReader) Read(p []byte) (int, error) {
	if err := s.fill(); err != nil {
		return 0, err
	}
	n := copy(p[:min(len(p), s.step)], s.buf[s.pos:])
	s.pos += n
	s.step = min(2*s.step, stepMost)
	return n, nil
}

// ReadByte implements io.ByteReader.
func (s *sourceReader) ReadByte() (byte, error) {
	if err := s.fill(); err != nil {
		return 0, err
	}
	s.pos++
	return s.buf[s.pos-1], nil
}

// unread gives back the last n bytes.
func (s *sourceReader) unread(n int64) { s.pos -= int(n) }

// members reads the members of a gzip stream. RFC 1952.
type members struct {
	src   *sourceReader
	z     *inflate.Reader
	open  bool
	start int64 // of the member's DEFLATE stream
	crc   uint32
	n     int64
	out   []byte
	count int
	err   error
}

func newMembers(s *sourceReader) *members { return &members{src: s} }

func (m *members) Read(p []byte) (int, error) {
	for len(m.out) == 0 {
		if m.err == nil {
			m.err = m.next()
		}
		if m.err != nil {
			return 0, m.err
		}
	}
	n := copy(p, m.out)
	m.out = m.out[n:]
	return n, nil
}

// next inflates some more.
func (m *members) next() error {
	if !m.open {
		if err := m.header(); err != nil {
			return err
		}
		m.src.step = stepFirst
		m.open, m.start, m.crc, m.n = true, m.src.offset(), 0, 0
		if m.z == nil {
			m.z = inflate.New(m.src)
		} else {
			m.z.Reset(m.src)
		}
	}
	p, err := m.z.Next()
	m.crc = crc32.Update(m.crc, crc32.IEEETable, p)
	m.n += int64(len(p))
	m.out = p
	if err == nil {
		return nil
	}
	if errors.Is(err, io.EOF) && len(p) == 0 {
		return m.trailer()
	}
	if errors.Is(err, inflate.ErrCorrupt) || errors.Is(err, io.ErrUnexpectedEOF) {
		return m.refuse("gzip member %d: %v", m.count, err)
	}
	return err
}

func (m *members) refuse(format string, args ...any) error {
	return refuse("CMP-01", "", m.src.offset(), format, args...)
}

func (m *members) byte() (byte, error) {
	b, err := m.src.ReadByte()
	if errors.Is(err, io.EOF) {
		return 0, m.refuse("gzip member %d is cut off", m.count)
	}
	return b, err
}

// header reads the head of a member; io.EOF after the last.
func (m *members) header() error {
	if err := m.src.fill(); err != nil {
		if errors.Is(err, io.EOF) && m.count == 0 {
			return m.refuse("gzip stream is empty")
		}
		return err
	}
	m.count++
	crc := uint32(0)
	var err error
	get := func() byte {
		var b byte
		if err == nil {
			b, err = m.byte()
			crc = crc32.Update(crc, crc32.IEEETable, []byte{b})
		}
		return b
	}
	var h [10]byte
	for i := range h {
		h[i] = get()
		if i == 1 && err == nil && (h[0] != 0x1f || h[1] != 0x8b) {
			return m.refuse("no gzip member after %d bytes", m.src.offset()-2)
		}
	}
	if err != nil {
		return err
	}
	if h[2] != 8 || h[3]&0xe0 != 0 {
		return m.refuse("gzip member %d has method %d, flags %#x", m.count, h[2], h[3])
	}
	if h[3]&4 != 0 { // FEXTRA
		for n := int(get()) | int(get())<<8; n > 0 && err == nil; n-- {
			get()
		}
	}
	text := func() string {
		var s []byte
		for b := get(); b != 0 && err == nil; b = get() {
			if s = append(s, b); len(s) > maxPath {
				err = m.refuse("gzip member %d has a name or comment of more than %d bytes", m.count, maxPath)
			}
		}
		return string(s)
	}
	if h[3]&8 != 0 { // FNAME
		if name := text(); err == nil && strings.ContainsAny(name, `/\`) {
			return m.refuse("gzip member %d has the name %s", m.count, q(name))
		}
	}
	if h[3]&16 != 0 { // FCOMMENT
		text()
	}
	if h[3]&2 != 0 { // FHCRC
		want := uint16(crc)
		if got := uint16(get()) | uint16(get())<<8; err == nil && got != want {
			return m.refuse("gzip member %d has a header with another CRC-16", m.count)
		}
	}
	return err
}

// trailer checks what ends a member.
func (m *members) trailer() error {
	m.src.unread(m.src.offset() - m.start - m.z.Used())
	var t [gzipTrailer]byte
	for i := range t {
		b, err := m.byte()
		if err != nil {
			return err
		}
		t[i] = b
	}
	if got := binary.LittleEndian.Uint32(t[:]); got != m.crc {
		return m.refuse("gzip member %d has CRC-32 %08x, its content has %08x", m.count, got, m.crc)
	}
	if got := binary.LittleEndian.Uint32(t[4:]); got != uint32(m.n) {
		return m.refuse("gzip member %d has length %d, its content has %d", m.count, got, m.n)
	}
	m.open = false
	return nil
}

// frames looks at a zstd stream on its way to the decoder, and lets only plain frames
// through. RFC 8878, 3.1.
type frames struct {
	src   *sourceReader
	head  []byte
	want  int // bytes of head that the next step needs
	skip  int // bytes of a block
	step  frameStep
	sum   bool // a checksum ends the frame
	flags byte
	count int
	off   int64
}

type frameStep int

const (
	frameMagic frameStep = iota
	frameFlags
	frameHead
	frameBlock
	frameSum
)

func (f *frames) Read(p []byte) (int, error) {
	n, err := f.src.Read(p)
	for b := p[:n]; len(b) > 0; {
		if f.skip > 0 {
			m := min(f.skip, len(b))
			f.skip -= m
			f.off += int64(m)
			b = b[m:]
			continue
		}
		m := min(f.want-len(f.head), len(b))
		f.head = append(f.head, b[:m]...)
		f.off += int64(m)
		b = b[m:]
		if len(f.head) == f.want {
			if err := f.next(); err != nil {
				return 0, err
			}
			f.head = f.head[:0]
		}
	}
	if errors.Is(err, io.EOF) {
		switch {
		case f.count == 0:
			return n, f.refuse("zstd stream is empty")
		case f.step != frameMagic || len(f.head) > 0 || f.skip > 0:
			return n, f.refuse("zstd frame %d is cut off", f.count)
		}
	}
	return n, err
}

func (f *frames) refuse(format string, args ...any) error {
	return refuse("CMP-01", "", f.off, format, args...)
}

// next understands a part of a frame's structure.
func (f *frames) next() error {
	switch f.step {
	case frameMagic:
		return f.magic(binary.LittleEndian.Uint32(f.head))
	case frameFlags:
		f.flags = f.head[0]
		if f.flags&8 != 0 {
			return f.refuse("zstd frame %d has reserved flags", f.count)
		}
		f.sum = f.flags&4 != 0
		f.step, f.want = frameHead, f.windowSize()+f.dictSize()+f.contentSize()
	case frameHead:
		return f.limits()
	case frameBlock:
		return f.block(uint32(f.head[0]) | uint32(f.head[1])<<8 | uint32(f.head[2])<<16)
	case frameSum:
		f.step, f.want = frameMagic, 4
	}
	return nil
}

func (f *frames) magic(m uint32) error {
	switch {
	case m == 0xFD2FB528:
		f.count++
		f.step, f.want = frameFlags, 1
		return nil
	case m&^0xf == 0x184D2A50:
		return f.refuse("zstd stream has a skippable frame, which can hide data (zstd:chunked is not supported)")
	}
	return f.refuse("no zstd frame after %d bytes", f.off-4)
}

func (f *frames) single() bool  { return f.flags&0x20 != 0 }
func (f *frames) dictSize() int { return [4]int{0, 1, 2, 4}[f.flags&3] }
func (f *frames) windowSize() int {
	if f.single() {
		return 0
	}
	return 1
}

func (f *frames) contentSize() int {
	if n := [4]int{0, 2, 4, 8}[f.flags>>6]; n > 0 || !f.single() {
		return n
	}
	return 1
}

func (f *frames) limits() error {
	dict := f.head[f.windowSize() : f.windowSize()+f.dictSize()]
	for _, b := range dict {
		if b != 0 {
			return f.refuse("zstd frame %d needs a dictionary", f.count)
		}
	}
	var window uint64
	if f.single() {
		for i, b := range f.head[len(f.head)-f.contentSize():] {
			window |= uint64(b) << (8 * i)
		}
	} else {
		base := uint64(1) << (10 + f.head[0]>>3)
		window = base + base/8*uint64(f.head[0]&7)
	}
	if window > maxWindow {
		return f.refuse("zstd frame %d needs a window of %d bytes, the limit is %d", f.count, window, maxWindow)
	}
	f.step, f.want = frameBlock, 3
	return nil
}

func (f *frames) block(h uint32) error {
	size := int(h >> 3)
	switch h >> 1 & 3 {
	case 1: // one byte, repeated
		size = 1
	case 3:
		return f.refuse("zstd frame %d has a block of the reserved type", f.count)
	}
	if size > 128<<10 {
		return f.refuse("zstd frame %d has a block of %d bytes", f.count, size)
	}
	f.skip = size
	if h&1 == 0 {
		return nil
	}
	f.step, f.want = frameMagic, 4
	if f.sum {
		f.step = frameSum
	}
	return nil
}
