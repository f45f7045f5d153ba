package layer

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"

	"github.com/forge-build/forge/builder/inflate"
)

// Result is what a finished layer is.
type Result struct {
	DiffID   string         // "sha256:…" of the tar
	Unpacked int64          // bytes of the tar
	Blobs    map[Codec]Blob // each codec that was asked for
	Index    *Index
}

// Blob is a layer in one codec.
type Blob struct {
	Digest string `json:"digest"` // "sha256:…"
	Size   int64  `json:"size"`
}

// Writer writes one layer in one or more codecs. It is not safe for concurrent use; inside,
// it spreads the work on large files over a few goroutines, none of which outlives a call.
// Its memory is bounded: about 4 MB, and 20 MB more for zstd.
type Writer struct {
	diff   hash.Hash
	size   int64 // of the tar
	gz     *gzipOut
	zs     *zstdOut
	index  *Index
	kinds  map[string]kind
	inf    *inflate.Reader
	look   looker
	sums   sums
	scrap  []byte
	up     ring // inflated chunks
	down   ring // compressed chunks
	err    error
	closed bool
}

// kind is what was written at a path.
type kind struct {
	typ      Type
	mode     int64
	uid, gid int
	implied  bool // a folder that a path below it asked for
}

var errClosed = errors.New("layer is closed")

// NewWriter returns a Writer of a layer in each codec of outs, [Gzip] or [Zstd]. An output
// that is [Summed] is asked for the blob's digest; else the Writer computes it.
func NewWriter(outs map[Codec]io.Writer) (*Writer, error) {
	w := &Writer{diff: sha256.New(), kinds: map[string]kind{}, index: &Index{}}
	for c, out := range outs {
		switch c {
		case Gzip:
			w.gz = newGzipOut(out)
		case Zstd:
			w.zs = newZstdOut(out)
		default:
			return nil, fmt.Errorf("writing layer: unknown codec %q", string(c))
		}
	}
	if w.gz == nil && w.zs == nil {
		return nil, errors.New("writing layer: no codec")
	}
	return w, nil
}

// Add adds an entry. If it is Regular, content must yield exactly h.Size bytes, which tee,
// unless it is nil, gets too; else content is not read and may be nil. Parents of the path
// are added first where needed (mode 0755, owner 0:0). A path that is there already is an
// error; only a folder may be stated again, if nothing about it differs. After an error,
// the layer must be thrown away.
func (w *Writer) Add(h Header, content io.Reader, tee io.Writer) error {
	return w.entry(h, func() error {
		if h.Type != Regular {
			return w.plain(h)
		}
		return w.file(h, &plainSource{r: content}, tee)
	})
}

// Append adds a regular file. It copies deflated, the raw DEFLATE stream of a ZIP entry, as
// it is into gzip, and encodes what it inflates to for zstd; content, unless it is nil, gets
// those bytes. h.Size is the inflated length in bytes, crc the IEEE CRC-32 of those bytes. If
// either differs, or the stream does not end exactly where deflated ends, Append returns a
// *MismatchError naming the file, and the layer must be thrown away.
//
// Facts about an ELF file may lie where its bytes have already passed. If deflated is an
// io.Seeker, as an *io.SectionReader is, that part is inflated again; else such facts are
// missing, and [ELF.Broken] says so.
//
// Source: RFC 1952, 2.2; APPNOTE 4.4.7.
func (w *Writer) Append(h Header, deflated io.Reader, crc uint32, content io.Writer) error {
	return w.entry(h, func() error {
		if h.Type != Regular {
			return refuse("TAR-04", h.Path, -1, "%s %s cannot have content", h.Type, q(h.Path))
		}
		return w.file(h, &deflatedSource{r: deflated, crc: crc}, content)
	})
}

// entry checks h, writes its parents, and does write.
func (w *Writer) entry(h Header, write func() error) error {
	if w.err == nil && w.closed {
		w.err = errClosed
	}
	if w.err != nil {
		return w.err
	}
	again, err := w.admit(h)
	if err == nil && !again {
		err = write()
	}
	if err != nil {
		w.err = err
	}
	return err
}

// admit checks that h may follow what was written, and writes its parents.
func (w *Writer) admit(h Header) (again bool, err error) {
	if err := checkHeader(h); err != nil {
		return false, err
	}
	k := kind{typ: h.Type, mode: h.Mode, uid: h.UID, gid: h.GID}
	if old, ok := w.kinds[h.Path]; ok {
		old.implied = false
		if h.Type == Dir && old == k {
			return true, nil
		}
		return false, refuse("TAR-05", h.Path, -1, "path %s is there twice", q(h.Path))
	}
	if h.Type == Hardlink && w.kinds[h.Link].typ != Regular {
		return false, refuse("TAR-02", h.Path, -1, "hard link %s points to %s, which is no file written before it", q(h.Path), q(h.Link))
	}
	if err := w.parents(h.Path); err != nil {
		return false, err
	}
	w.kinds[h.Path] = k
	return false, nil
}

func (w *Writer) parents(p string) error {
	dir := parent(p)
	if dir == "" {
		return nil
	}
	switch w.kinds[dir].typ {
	case Dir:
		return nil
	case "":
	default:
		return refuse("TAR-02", p, -1, "path %s lies below %s, which is a %s", q(p), q(dir), w.kinds[dir].typ)
	}
	if err := w.parents(dir); err != nil {
		return err
	}
	w.kinds[dir] = kind{typ: Dir, mode: 0o755, implied: true}
	return w.plain(Header{Path: dir, Type: Dir, Mode: 0o755})
}

// plain writes an entry without content.
func (w *Writer) plain(h Header) error {
	if err := w.header(h); err != nil {
		return err
	}
	w.index.Entries = append(w.index.Entries, newEntry(h))
	return nil
}

// header writes a tar header. The codecs keep it for what comes next.
func (w *Writer) header(h Header) error {
	w.scrap = appendTar(w.scrap[:0], h)
	return w.raw(w.scrap)
}

// raw writes bytes of the tar that belong to no content.
func (w *Writer) raw(p []byte) error {
	_, _ = w.diff.Write(p) // a hash never fails
	w.size += int64(len(p))
	if w.gz != nil {
		if err := w.gz.wait(p); err != nil {
			return err
		}
	}
	if w.zs != nil {
		return w.zs.wait(p)
	}
	return nil
}

// Close ends the layer. Without it the blobs are not whole.
func (w *Writer) Close() (*Result, error) {
	if w.err == nil && w.closed {
		w.err = errClosed
	}
	if w.err != nil {
		return nil, w.err
	}
	w.closed = true
	if err := w.raw(zeros[:2*block]); err != nil {
		return nil, err
	}
	res := &Result{DiffID: digest(w.diff), Unpacked: w.size, Blobs: map[Codec]Blob{}, Index: w.index}
	if w.gz != nil {
		b, err := w.gz.close()
		if err != nil {
			return nil, err
		}
		res.Blobs[Gzip] = b
	}
	if w.zs != nil {
		b, err := w.zs.close()
		if err != nil {
			return nil, err
		}
		res.Blobs[Zstd] = b
	}
	w.index.DiffID, w.index.Unpacked, w.index.Blobs = res.DiffID, res.Unpacked, res.Blobs
	return res, nil
}

func digest(h hash.Hash) string { return "sha256:" + hex.EncodeToString(h.Sum(nil)) }
