package layer

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"hash/crc32"
	"io"

	"github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/zstd"
)

// waiting is how many bytes of headers may wait for the content that follows them.
const waiting = 64 << 10

// Summed is an output that hashes what it takes, as a store does. A Writer then need not.
type Summed interface {
	io.Writer
	Sum() string // sha256 of all bytes written so far, lower-case hex
}

// blob counts what is written to an output, and knows its sum.
type blob struct {
	out *bufio.Writer
	sum func() string
	n   int64
}

func newBlob(w io.Writer) *blob {
	s, ok := w.(Summed)
	if !ok {
		s = hashed{w, sha256.New()}
	}
	return &blob{out: bufio.NewWriterSize(s, 64<<10), sum: s.Sum}
}

func (b *blob) Write(p []byte) (int, error) {
	n, err := b.out.Write(p)
	b.n += int64(n)
	if err != nil {
		return n, fmt.Errorf("writing layer: %w", err)
	}
	return n, nil
}

func (b *blob) close() (Blob, error) {
	if err := b.out.Flush(); err != nil {
		return Blob{}, fmt.Errorf("writing layer: %w", err)
	}
	return Blob{Digest: "sha256:" + b.sum(), Size: b.n}, nil
}

type hashed struct {
	w io.Writer
	h hash.Hash
}

func (h hashed) Write(p []byte) (int, error) {
	_, _ = h.h.Write(p) // a hash never fails
	return h.w.Write(p)
}

func (h hashed) Sum() string { return hex.EncodeToString(h.h.Sum(nil)) }

// gzipOut writes the members of a gzip layer: headers and padding that waited, content,
// and so on.
type gzipOut struct {
	*blob
	held  []byte
	scrap []byte
	flate *flate.Writer // for content that is not deflated, made when needed
	tiny  []byte        // content that will be stored
	limit int64         // its size
	start int64         // of the member being written
}

func newGzipOut(w io.Writer) *gzipOut { return &gzipOut{blob: newBlob(w)} }

// wait keeps p for the next member.
func (g *gzipOut) wait(p []byte) error {
	g.held = append(g.held, p...)
	if len(g.held) < waiting {
		return nil
	}
	return g.flush()
}

func (g *gzipOut) flush() error {
	if len(g.held) == 0 {
		return nil
	}
	g.scrap = appendMember(g.scrap[:0], g.held)
	g.held = g.held[:0]
	_, err := g.blob.Write(g.scrap)
	return err
}

// begin starts the member of a file's content.
func (g *gzipOut) begin() error {
	if err := g.flush(); err != nil {
		return err
	}
	g.start = g.n
	_, err := io.WriteString(g.blob, gzipHeader)
	return err
}

// finish ends it and says where it is.
func (g *gzipOut) finish(crc uint32, size int64) (Place, error) {
	_, err := g.blob.Write(appendTrailer(g.scrap[:0], crc, size))
	return Place{Offset: g.start, Length: g.n - g.start}, err
}

// Content that is not deflated yet is compressed at this level by klauspost/compress, or
// stored when shorter than tiny. Golden tests pin both.
const (
	flateLevel = 6
	tiny       = 64
)

// encoder returns where to write content of size bytes that is not deflated yet.
func (g *gzipOut) encoder(size int64) (sink, error) {
	if g.limit = size; size < tiny {
		g.tiny = g.tiny[:0]
		return func(p []byte) error {
			if len(g.tiny)+len(p) > tiny { // more than promised: the caller will find out
				return nil
			}
			g.tiny = append(g.tiny, p...)
			return nil
		}, nil
	}
	if g.flate == nil {
		var err error
		if g.flate, err = flate.NewWriter(g.blob, flateLevel); err != nil {
			return nil, fmt.Errorf("internal error: %w", err)
		}
	}
	g.flate.Reset(g.blob)
	return func(p []byte) error {
		_, err := g.flate.Write(p)
		return err
	}, nil
}

// encoded ends the DEFLATE stream of encoder's content.
func (g *gzipOut) encoded() error {
	if g.limit >= tiny {
		return g.flate.Close()
	}
	n := byte(len(g.tiny))
	// One final stored block: LEN, its complement, the bytes. RFC 1951, 3.2.4.
	g.scrap = append(g.scrap[:0], 1, n, 0, ^n, 0xff)
	_, err := g.blob.Write(append(g.scrap, g.tiny...))
	return err
}

func (g *gzipOut) close() (Blob, error) {
	if err := g.flush(); err != nil {
		return Blob{}, err
	}
	return g.blob.close()
}

// zstdOut writes the frames of a zstd layer: what waited, content and its padding in one.
type zstdOut struct {
	*blob
	held  []byte
	enc   *zstd.Encoder
	start int64
	skip  int64
}

// The form in which zstd is written: one goroutine, the default level, a window that each
// decoder must support (RFC 8878, 3.1.1.1.2), the content's size in the frame, a checksum.
var zstdOptions = []zstd.EOption{
	zstd.WithEncoderConcurrency(1),
	zstd.WithEncoderLevel(zstd.SpeedDefault),
	zstd.WithWindowSize(8 << 20),
	zstd.WithEncoderCRC(true),
	zstd.WithLowerEncoderMem(false),
	zstd.WithZeroFrames(true),
}

func newZstdOut(w io.Writer) *zstdOut { return &zstdOut{blob: newBlob(w)} }

func (z *zstdOut) wait(p []byte) error {
	z.held = append(z.held, p...)
	if len(z.held) < waiting {
		return nil
	}
	return z.flush()
}

// flush writes what waits as a frame of its own.
func (z *zstdOut) flush() error {
	if len(z.held) == 0 {
		return nil
	}
	if err := z.begin(0); err != nil {
		return err
	}
	return z.enc.Close()
}

// begin starts a frame with what waits. n more bytes will follow.
func (z *zstdOut) begin(n int64) error {
	if z.enc == nil {
		var err error
		if z.enc, err = zstd.NewWriter(nil, zstdOptions...); err != nil {
			return fmt.Errorf("internal error: %w", err)
		}
	}
	z.start, z.skip = z.n, int64(len(z.held))
	z.enc.ResetContentSize(z.blob, z.skip+n)
	_, err := z.enc.Write(z.held)
	z.held = z.held[:0]
	return err
}

func (z *zstdOut) write(p []byte) error {
	_, err := z.enc.Write(p)
	return err
}

func (z *zstdOut) finish(size int64) (Place, error) {
	if err := z.write(zeros[:padding(size)]); err != nil {
		return Place{}, err
	}
	if err := z.enc.Close(); err != nil {
		return Place{}, fmt.Errorf("encoding layer: %w", err)
	}
	return Place{Offset: z.start, Length: z.n - z.start, Skip: z.skip}, nil
}

func (z *zstdOut) close() (Blob, error) {
	if err := z.flush(); err != nil {
		return Blob{}, err
	}
	return z.blob.close()
}

// sums are the sums of one content.
type sums struct {
	sha hash.Hash
	crc uint32
	n   int64
}

func (s *sums) reset() {
	if s.sha == nil {
		s.sha = sha256.New()
	}
	s.sha.Reset()
	s.crc, s.n = 0, 0
}

func (s *sums) write(p []byte) {
	_, _ = s.sha.Write(p) // a hash never fails
	s.crc = crc32.Update(s.crc, crc32.IEEETable, p)
	s.n += int64(len(p))
}
