package layer

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strconv"

	"github.com/forge-build/forge/builder/inflate"
)

// A source is content on its way into a layer.
type source interface {
	// prepare is called before the first byte; it returns one more sink of the content,
	// or nil.
	prepare(w *Writer, h Header) (sink, error)
	// pump writes the content, at most one byte more than h.Size, to out.
	pump(w *Writer, h Header, out io.Writer) error
	// check is called after the last byte.
	check(w *Writer, h Header) error
	// again inflates the first n bytes once more, to out; false if it cannot.
	again(w *Writer, n int64, out sink) (bool, error)
}

// file writes a header and content.
func (w *Writer) file(h Header, src source, tee io.Writer) error {
	if err := w.header(h); err != nil {
		return err
	}
	e := newEntry(h)
	body := h.Size > 0
	if body {
		if err := w.begin(h); err != nil {
			return err
		}
	}
	w.sums.reset()
	w.look.reset(h.Size)
	if err := w.content(h, src, tee); err != nil {
		return err
	}
	if err := src.check(w, h); err != nil {
		return err
	}
	e.SHA256 = hex.EncodeToString(w.sums.sha.Sum(nil))
	if body {
		if err := w.finish(h, &e); err != nil {
			return err
		}
	}
	elf, err := w.look.facts(func(n int64, out sink) (bool, error) { return src.again(w, n, out) })
	if err != nil {
		return err
	}
	e.ELF = elf
	w.index.Entries = append(w.index.Entries, e)
	return nil
}

// begin starts the content in each codec.
func (w *Writer) begin(h Header) error {
	if w.gz != nil {
		if err := w.gz.begin(); err != nil {
			return err
		}
	}
	if w.zs != nil {
		return w.zs.begin(h.Size + padding(h.Size))
	}
	return nil
}

// content passes the content through everything that wants it.
func (w *Writer) content(h Header, src source, tee io.Writer) error {
	left := h.Size
	guard := func(p []byte) []byte { // one byte too many ends the layer, but not a codec
		p = p[:min(int64(len(p)), left)]
		left -= int64(len(p))
		return p
	}
	f := &fan{sinks: []sink{
		func(p []byte) error {
			_, _ = w.diff.Write(p) // a hash never fails
			return nil
		},
		func(p []byte) error {
			w.sums.write(p)
			w.look.write(p)
			if tee == nil {
				return nil
			}
			if _, err := tee.Write(p); err != nil {
				return fmt.Errorf("file %s: %w", q(h.Path), err)
			}
			return nil
		},
	}}
	if w.zs != nil && h.Size > 0 {
		f.sinks = append(f.sinks, func(p []byte) error { return w.zs.write(guard(p)) })
	}
	extra, err := src.prepare(w, h)
	if err != nil {
		return err
	}
	if extra != nil {
		f.sinks = append(f.sinks, extra)
	}
	if h.Size >= parallel {
		f.start(&w.up)
	}
	err = src.pump(w, h, f)
	if e := f.close(); e != nil && err == nil {
		err = e
	}
	if err != nil {
		return err
	}
	if w.sums.n != h.Size {
		return lengthError(h, w.sums.n)
	}
	return nil
}

func lengthError(h Header, got int64) error {
	n := strconv.FormatInt(got, 10)
	if got > h.Size {
		n = "more"
	}
	return &MismatchError{ID: "ZIP-00", Entry: h.Path, What: "length", Want: strconv.FormatInt(h.Size, 10) + " bytes", Got: n}
}

// finish ends the content in each codec.
func (w *Writer) finish(h Header, e *Entry) error {
	pad := zeros[:padding(h.Size)]
	_, _ = w.diff.Write(pad) // a hash never fails
	w.size += h.Size + int64(len(pad))
	e.Blobs = map[Codec]Place{}
	if w.gz != nil {
		p, err := w.gz.finish(w.sums.crc, h.Size)
		if err != nil {
			return err
		}
		e.Blobs[Gzip] = p
		if err := w.gz.wait(pad); err != nil {
			return err
		}
	}
	if w.zs != nil {
		p, err := w.zs.finish(h.Size)
		if err != nil {
			return err
		}
		e.Blobs[Zstd] = p
	}
	return nil
}

// plainSource is content as it is.
type plainSource struct {
	r     io.Reader
	seek  io.Seeker
	start int64
	end   int64
}

func (s *plainSource) prepare(w *Writer, h Header) (sink, error) {
	if s.r == nil {
		return nil, fmt.Errorf("file %s: no content", q(h.Path))
	}
	s.seek, s.start = position(s.r)
	s.end = s.start + h.Size
	if w.gz == nil || h.Size == 0 {
		return nil, nil
	}
	return w.gz.encoder(h.Size)
}

func (s *plainSource) pump(w *Writer, h Header, out io.Writer) error {
	if cap(w.scrap) < 64<<10 {
		w.scrap = make([]byte, 64<<10)
	}
	_, err := io.CopyBuffer(struct{ io.Writer }{out}, struct{ io.Reader }{io.LimitReader(s.r, h.Size+1)}, w.scrap[:cap(w.scrap)])
	if err != nil {
		return fmt.Errorf("file %s: %w", q(h.Path), err)
	}
	return nil
}

func (s *plainSource) check(w *Writer, h Header) error {
	if w.gz == nil || h.Size == 0 {
		return nil
	}
	return w.gz.encoded()
}

func (s *plainSource) again(_ *Writer, n int64, out sink) (bool, error) {
	if s.seek == nil {
		return false, nil
	}
	if _, err := s.seek.Seek(s.start, io.SeekStart); err != nil {
		return false, nil //nolint:nilerr // a pipe that says it is a seeker; the facts stay incomplete
	}
	if _, err := io.Copy(writerOf(out), io.LimitReader(s.r, n)); err != nil {
		return true, err
	}
	_, err := s.seek.Seek(s.end, io.SeekStart)
	return true, err
}

type writerOf sink

func (w writerOf) Write(p []byte) (int, error) { return len(p), w(p) }

// position says where r stands, if it can seek.
func position(r io.Reader) (io.Seeker, int64) {
	s, ok := r.(io.Seeker)
	if !ok {
		return nil, 0
	}
	at, err := s.Seek(0, io.SeekCurrent)
	if err != nil {
		return nil, 0
	}
	return s, at
}

// deflatedSource is content as a DEFLATE stream.
type deflatedSource struct {
	r     io.Reader
	crc   uint32
	start int64
	seek  io.Seeker
}

func (s *deflatedSource) prepare(*Writer, Header) (sink, error) {
	s.seek, s.start = position(s.r)
	return nil, nil
}

func (s *deflatedSource) pump(w *Writer, h Header, out io.Writer) error {
	raw := &fan{}
	if w.gz != nil && h.Size > 0 {
		raw.sinks = []sink{func(p []byte) error {
			_, err := w.gz.Write(p)
			return err
		}}
		if h.Size >= parallel {
			raw.start(&w.down)
		}
	}
	err := s.inflate(w, h, &spliced{r: s.r, to: raw}, out)
	if e := raw.close(); e != nil && err == nil {
		err = e
	}
	return err
}

// spliced copies what is read.
type spliced struct {
	r   io.Reader
	to  *fan
	n   int64
	err error // of to
}

func (s *spliced) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	s.n += int64(n)
	if n > 0 {
		if _, s.err = s.to.Write(p[:n]); s.err != nil {
			return n, s.err
		}
	}
	return n, err
}

func (s *deflatedSource) inflate(w *Writer, h Header, in *spliced, out io.Writer) error {
	if w.inf == nil {
		w.inf = inflate.New(in)
	} else {
		w.inf.Reset(in)
	}
	var n int64
	for {
		p, err := w.inf.Next()
		n += int64(len(p))
		if n > h.Size {
			return lengthError(h, n)
		}
		if len(p) > 0 {
			if _, err := out.Write(p); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if errors.Is(err, inflate.ErrCorrupt) || errors.Is(err, io.ErrUnexpectedEOF) {
			return &MismatchError{ID: "CMP-01", Entry: h.Path, What: "stream", Want: "DEFLATE", Got: err.Error()}
		}
		if err != nil {
			return fmt.Errorf("file %s: %w", q(h.Path), err)
		}
	}
	used := w.inf.Used()
	var one [1]byte
	for in.n == used {
		n, err := in.Read(one[:])
		if n > 0 {
			break
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("file %s: %w", q(h.Path), err)
		}
	}
	return &MismatchError{ID: "CMP-01", Entry: h.Path, What: "stream",
		Want: fmt.Sprintf("%d bytes long", used), Got: "followed by more bytes"}
}

func (s *deflatedSource) check(w *Writer, h Header) error {
	if w.sums.crc != s.crc {
		return &MismatchError{ID: "ZIP-09", Entry: h.Path, What: "CRC-32",
			Want: fmt.Sprintf("%08x", s.crc), Got: fmt.Sprintf("%08x", w.sums.crc)}
	}
	return nil
}

func (s *deflatedSource) again(w *Writer, n int64, out sink) (bool, error) {
	if s.seek == nil {
		return false, nil
	}
	if _, err := s.seek.Seek(s.start, io.SeekStart); err != nil {
		return false, nil //nolint:nilerr // a pipe that says it is a seeker; the facts stay incomplete
	}
	w.inf.Reset(s.r)
	for n > 0 {
		p, err := w.inf.Next()
		p = p[:min(int64(len(p)), n)]
		n -= int64(len(p))
		if e := out(p); e != nil {
			return true, e
		}
		if errors.Is(err, io.EOF) {
			return true, nil
		}
		if err != nil {
			return true, err
		}
	}
	return true, nil
}
