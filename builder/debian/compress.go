package debian

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"
)

// maxWindow bounds a decompressor's memory: what xz -9 asks for.
const maxWindow = 64 << 20

// readError gives context to an error of the disk.
func readError(file string, err error) error {
	return fmt.Errorf("reading package %q: %w", file, err)
}

// stream opens a compressed member by the ending of its name. Exactly one stream must fill
// it to its last byte. CMP-01.
func stream(body *io.SectionReader, ext string) (io.Reader, error) {
	body = io.NewSectionReader(body, 0, body.Size())
	var head [1024]byte
	n, err := body.ReadAt(head[:], 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	switch ext {
	case "":
		return body, nil
	case ".gz":
		return gunzip(body, head[:n])
	case ".xz":
		return unxz(body, head[:n])
	case ".zst":
		return unzstd(body)
	case ".bz2", ".lzma", ".7z", ".rar", ".lz", ".lz4":
		return nil, fmt.Errorf("compression %s is not supported", ext)
	}
	return nil, fmt.Errorf("compression %s is unknown", q(ext))
}

// whole withholds io.EOF until after has agreed.
type whole struct {
	r     io.Reader
	after func() error
	err   error
}

func (w *whole) Read(p []byte) (int, error) {
	if w.err != nil {
		return 0, w.err
	}
	n, err := w.r.Read(p)
	if errors.Is(err, io.EOF) {
		if bad := w.after(); bad != nil {
			err = bad
		}
	}
	if err != nil {
		w.err = err
	}
	return n, err
}

// gunzip reads one gzip member. Source: RFC 1952.
func gunzip(body *io.SectionReader, head []byte) (io.Reader, error) {
	const name = 1 << 3
	if len(head) < 18 || head[0] != 0x1f || head[1] != 0x8b || head[2] != 8 {
		return nil, errors.New("is not gzip")
	}
	if head[3]&^name != 0 {
		return nil, fmt.Errorf("gzip flags %#x", head[3])
	}
	if head[3]&name != 0 {
		text, _, ok := bytes.Cut(head[10:], []byte{0})
		if !ok || bytes.ContainsAny(text, "/\\") {
			return nil, fmt.Errorf("gzip file name %s", q(string(text)))
		}
	}
	in := bufio.NewReaderSize(body, 64<<10)
	z, err := gzip.NewReader(in)
	if err != nil {
		return nil, err
	}
	z.Multistream(false)
	return &whole{r: z, after: func() error {
		if _, err := in.ReadByte(); !errors.Is(err, io.EOF) {
			return errors.New("bytes after the gzip stream")
		}
		return nil
	}}, nil
}

// unxz reads one xz stream. The decoder makes its dictionary as large as each block's
// header asks for, so the headers are looked at first: of the first block directly, and
// of any other as the stream reaches it. Source: the .xz file format, 1.2.0, 3.1.
func unxz(body *io.SectionReader, head []byte) (io.Reader, error) {
	if err := checkXZ(head); err != nil {
		return nil, err
	}
	if err := checkXZBlocks(body); err != nil {
		return nil, err
	}
	return xz.ReaderConfig{DictCap: 1 << 16, SingleStream: true}.NewReader(bufio.NewReaderSize(body, 64<<10))
}

func checkXZ(head []byte) error {
	if len(head) < 24 || !bytes.HasPrefix(head, []byte("\xfd7zXZ\x00")) {
		return errors.New("is not xz")
	}
	if check := head[7] & 0x0f; check == 0 {
		return errors.New("xz without a check")
	}
	return nil
}

// checkXZBlocks walks from the footer over the index to each block's header.
func checkXZBlocks(body *io.SectionReader) error {
	size := body.Size()
	foot := make([]byte, 12)
	if size < 32 || size%4 != 0 {
		return errors.New("xz stream is cut off")
	}
	if _, err := body.ReadAt(foot, size-12); err != nil {
		return err
	}
	if string(foot[10:]) != "YZ" {
		return errors.New("xz stream has no footer at its end")
	}
	n := (int64(binary.LittleEndian.Uint32(foot[4:8])) + 1) * 4
	const maxIndex = 1 << 20
	if n > size-24 || n > maxIndex {
		return fmt.Errorf("xz index of %d bytes", n)
	}
	index := make([]byte, n) // at most maxIndex
	if _, err := body.ReadAt(index, size-12-n); err != nil {
		return err
	}
	blocks, err := xzIndex(index)
	if err != nil {
		return err
	}
	off := int64(12)
	for _, unpadded := range blocks {
		if unpadded <= 0 || unpadded > size-off {
			return errors.New("xz index is wrong")
		}
		if err := checkXZBlock(body, off); err != nil {
			return err
		}
		off += (unpadded + 3) &^ 3
	}
	if off != size-12-n {
		return fmt.Errorf("xz index states %d bytes of blocks, there are %d: more than one stream?", off-12, size-24-n)
	}
	return nil
}

// xzIndex returns the unpadded sizes of the blocks.
func xzIndex(b []byte) ([]int64, error) {
	bad := errors.New("xz index is wrong")
	if len(b) < 8 || b[0] != 0 {
		return nil, bad
	}
	b = b[1 : len(b)-4]
	next := func() (int64, bool) {
		v, n := binary.Uvarint(b)
		if n <= 0 || v > 1<<62 {
			return 0, false
		}
		b = b[n:]
		return int64(v), true
	}
	count, ok := next()
	if !ok || count > int64(len(b)) {
		return nil, bad
	}
	var sizes []int64
	for range count {
		unpadded, ok1 := next()
		_, ok2 := next()
		if !ok1 || !ok2 {
			return nil, bad
		}
		sizes = append(sizes, unpadded)
	}
	return sizes, nil
}

// checkXZBlock judges a block's filters: one LZMA2 with a dictionary of a bearable size.
func checkXZBlock(body *io.SectionReader, off int64) error {
	var b [64]byte
	n, err := body.ReadAt(b[:], off)
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	p := b[:n]
	if len(p) < 8 || p[0] == 0 {
		return errors.New("xz block has no header")
	}
	flags := p[1]
	if flags&0x3f != 0 {
		return errors.New("xz filters other than LZMA2 are not supported")
	}
	p = p[2:]
	for range int(flags>>6&1) + int(flags>>7) {
		_, n := binary.Uvarint(p)
		if n <= 0 {
			return errors.New("xz block header is wrong")
		}
		p = p[n:]
	}
	if len(p) < 3 || p[0] != 0x21 || p[1] != 1 {
		return errors.New("xz filters other than LZMA2 are not supported")
	}
	if p[2] > 40 {
		return errors.New("xz dictionary size is wrong")
	}
	dict := int64(1) << 32
	if p[2] < 40 {
		dict = int64(2|p[2]&1) << (p[2]/2 + 11)
	}
	if dict > maxWindow {
		return fmt.Errorf("xz dictionary of %d bytes, the limit is %d", dict, maxWindow)
	}
	return nil
}

// unzstd reads one zstd frame. The decoder reads frames one after another and skips
// skippable ones, so the frame's end is found first, block by block. Source: RFC 8878, 3.1.
func unzstd(body *io.SectionReader) (io.Reader, error) {
	if err := checkZstd(body); err != nil {
		return nil, err
	}
	z, err := zstd.NewReader(bufio.NewReaderSize(body, 64<<10), zstd.WithDecoderConcurrency(1),
		zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxWindow))
	if err != nil {
		return nil, err
	}
	return z, nil // with one goroutine there is nothing to close
}

func checkZstd(body *io.SectionReader) error {
	in := bufio.NewReaderSize(io.NewSectionReader(body, 0, body.Size()), 256<<10)
	head, err := in.Peek(zstd.HeaderMaxSize)
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	var h zstd.Header
	if err := h.Decode(head); err != nil {
		return fmt.Errorf("zstd header: %w", err)
	}
	switch {
	case h.Skippable:
		return errors.New("skippable zstd frame")
	case h.DictionaryID != 0:
		return errors.New("zstd frame needs a dictionary")
	case h.WindowSize > maxWindow:
		return fmt.Errorf("zstd window of %d bytes, the limit is %d", h.WindowSize, maxWindow)
	}
	off := int64(h.HeaderSize)
	if _, err := in.Discard(h.HeaderSize); err != nil {
		return errors.New("zstd frame is cut off")
	}
	for last := false; !last; {
		var b [3]byte
		if _, err := io.ReadFull(in, b[:]); err != nil {
			return errors.New("zstd frame is cut off")
		}
		v := int(b[0]) | int(b[1])<<8 | int(b[2])<<16
		last = v&1 == 1
		n := v >> 3
		switch v >> 1 & 3 {
		case 1:
			n = 1 // one byte, repeated
		case 3:
			return errors.New("zstd block of a reserved type")
		}
		if _, err := in.Discard(n); err != nil {
			return errors.New("zstd frame is cut off")
		}
		off += 3 + int64(n)
	}
	if h.HasCheckSum {
		off += 4
	}
	if off != body.Size() {
		return fmt.Errorf("zstd frame ends at %d of %d bytes", off, body.Size())
	}
	return nil
}

// ending is the compression in a member's name: "data.tar.xz" has ".xz".
func ending(name string) string {
	_, ext, _ := strings.Cut(name, ".tar")
	return ext
}
