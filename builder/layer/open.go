package layer

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"io"
	"io/fs"
	"strconv"

	"github.com/forge-build/forge/builder/inflate"
	"github.com/klauspost/compress/zstd"
)

// Entry returns the entry at a path.
func (ix *Index) Entry(path string) (*Entry, bool) {
	for i := range ix.Entries {
		if ix.Entries[i].Path == path {
			return &ix.Entries[i], true
		}
	}
	return nil, false
}

// Open returns the content of one file, read from the layer's blob in a codec. A hard link
// is its file; other kinds have no content. The reader returns io.EOF only after the length
// and the sha256 were those that the index states, else a *MismatchError: what was read
// before that must not be used.
func (ix *Index) Open(codec Codec, r io.ReaderAt, path string) (io.Reader, error) {
	e, ok := ix.Entry(path)
	if ok && e.Type == Hardlink {
		e, ok = ix.Entry(e.Link)
	}
	if !ok {
		return nil, &fs.PathError{Op: "open", Path: path, Err: fs.ErrNotExist}
	}
	return ix.OpenEntry(codec, r, e)
}

// OpenEntry is Open of a regular file's entry, which need not be looked for.
func (ix *Index) OpenEntry(codec Codec, r io.ReaderAt, e *Entry) (io.Reader, error) {
	path := e.Path
	if e.Type != Regular {
		return nil, refuse("LAY-02", path, -1, "%s is a %s", q(path), e.Type)
	}
	if _, ok := ix.Blobs[codec]; !ok {
		return nil, refuse("LAY-02", path, -1, "layer has no codec %s", q(string(codec)))
	}
	c := &checked{entry: e, left: e.Size, sum: sha256.New()}
	if e.Size == 0 {
		c.r, c.end = bytes.NewReader(nil), func() error { return nil }
		return c, nil
	}
	p, ok := e.Blobs[codec]
	if !ok {
		return nil, refuse("LAY-02", path, -1, "index has no place of %s in codec %s", q(path), q(string(codec)))
	}
	if codec == Gzip {
		return c, c.member(r, p)
	}
	return c, c.frame(r, p)
}

// checked passes a file's content on and judges it at the end.
type checked struct {
	entry *Entry
	r     io.Reader
	left  int64
	sum   hash.Hash
	end   func() error // checks that nothing else follows
	err   error
}

func (c *checked) Read(p []byte) (int, error) {
	if c.err != nil {
		return 0, c.err
	}
	if len(p) == 0 {
		return 0, nil
	}
	if c.left == 0 {
		c.err = c.finish()
		return 0, c.err
	}
	n, err := c.r.Read(p[:min(int64(len(p)), c.left)])
	_, _ = c.sum.Write(p[:n]) // a hash never fails
	c.left -= int64(n)
	if err != nil && (c.left > 0 || !errors.Is(err, io.EOF)) {
		c.err = c.wrong("content", "whole", err.Error())
		return n, c.err
	}
	return n, nil
}

func (c *checked) wrong(what, want, got string) error {
	return &MismatchError{ID: "LAY-02", Entry: c.entry.Path, What: what, Want: want, Got: got}
}

func (c *checked) finish() error {
	if err := c.end(); err != nil {
		return err
	}
	if got := hex.EncodeToString(c.sum.Sum(nil)); got != c.entry.SHA256 {
		return c.wrong("sha256", c.entry.SHA256, got)
	}
	return io.EOF
}

// member reads content from a gzip member.
func (c *checked) member(r io.ReaderAt, p Place) error {
	n := p.Length - int64(len(gzipHeader)) - gzipTrailer
	if n < 2 {
		return c.wrong("gzip member", "longer", strconv.FormatInt(p.Length, 10)+" bytes")
	}
	head := make([]byte, len(gzipHeader))
	if _, err := r.ReadAt(head, p.Offset); err != nil {
		return fmt.Errorf("reading layer: %w", err)
	}
	if string(head) != gzipHeader {
		return c.wrong("gzip header", hex.EncodeToString([]byte(gzipHeader)), hex.EncodeToString(head))
	}
	z := inflate.New(io.NewSectionReader(r, p.Offset+int64(len(head)), n))
	crc := crc32.NewIEEE()
	c.r = io.TeeReader(z, crc)
	c.end = func() error {
		if _, err := z.Next(); !errors.Is(err, io.EOF) || z.Used() != n {
			return c.wrong("gzip member", "of one file", "longer or shorter")
		}
		var t [gzipTrailer]byte
		if n, err := r.ReadAt(t[:], p.Offset+p.Length-gzipTrailer); n < len(t) {
			return fmt.Errorf("reading layer: %w", err) // io.EOF comes with the layer's last bytes too
		}
		if binary.LittleEndian.Uint32(t[:]) != crc.Sum32() || binary.LittleEndian.Uint32(t[4:]) != uint32(c.entry.Size) {
			return c.wrong("gzip trailer", hex.EncodeToString(appendTrailer(nil, crc.Sum32(), c.entry.Size)), hex.EncodeToString(t[:]))
		}
		return nil
	}
	return nil
}

// frame reads content from a zstd frame.
func (c *checked) frame(r io.ReaderAt, p Place) error {
	z, err := newZstdReader(newShortReader(io.NewSectionReader(r, p.Offset, p.Length), p.Length))
	if err != nil {
		return err
	}
	if _, err := io.CopyN(io.Discard, z, p.Skip); err != nil {
		return c.wrong("zstd frame", "with its header", err.Error())
	}
	c.r = z
	c.end = func() error {
		rest, err := io.ReadAll(io.LimitReader(z, block))
		if err != nil || !bytes.Equal(rest, zeros[:padding(c.entry.Size)]) {
			return c.wrong("zstd frame", "of one file", "longer, shorter or not padded")
		}
		return nil
	}
	return nil
}

// A decoder's window may be as large as those of zstd's levels up to 20.
const maxWindow = 32 << 20

func newZstdReader(s *sourceReader) (io.Reader, error) {
	z, err := zstd.NewReader(&frames{src: s, want: 4}, zstd.WithDecoderConcurrency(1),
		zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxWindow))
	if err != nil {
		return nil, fmt.Errorf("internal error: %w", err)
	}
	return z, nil // with one goroutine there is nothing to close
}
