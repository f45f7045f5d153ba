package layer

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/klauspost/compress/zstd"
)

// Index says where each file of a layer lies.
type Index struct {
	DiffID   string         // "sha256:…" of the tar
	Unpacked int64          // bytes of the tar
	Blobs    map[Codec]Blob // the codecs that were written
	Entries  []Entry        // in the order of the tar
}

// Entry is one entry of a layer.
type Entry struct {
	Path   string          `json:"path"`
	Type   Type            `json:"type"`
	Mode   int64           `json:"mode"`
	UID    int             `json:"uid"`
	GID    int             `json:"gid"`
	Size   int64           `json:"size"`
	Link   string          `json:"link,omitempty"`
	SHA256 string          `json:"sha256,omitempty"` // of the content; only of regular files
	Owner  string          `json:"owner,omitempty"`
	Blobs  map[Codec]Place `json:"blobs,omitempty"` // only of files that are not empty
	ELF    *ELF            `json:"elf,omitempty"`
}

// Place is where a file's content lies in a blob: a gzip member that holds nothing else, or
// a zstd frame in which Skip bytes precede it and padding to 512 bytes follows.
type Place struct {
	Offset int64 `json:"offset"`
	Length int64 `json:"length"` // in bytes of the blob
	Skip   int64 `json:"skip,omitempty"`
}

func newEntry(h Header) Entry {
	return Entry{Path: h.Path, Type: h.Type, Mode: h.Mode, UID: h.UID, GID: h.GID, Size: h.Size, Link: h.Link, Owner: h.Owner}
}

// indexFormat is raised when the form of an encoded index changes.
const indexFormat = 1

// head is the first line of an encoded index. Each further line is an Entry.
type head struct {
	Format   int            `json:"format"`
	DiffID   string         `json:"diffID"`
	Unpacked int64          `json:"unpacked"`
	Blobs    map[Codec]Blob `json:"blobs"`
	Entries  int            `json:"entries"`
}

// Encode writes the index: lines of JSON in one fixed form, compressed with zstd. The same
// index is always the same bytes.
func (ix *Index) Encode(w io.Writer) error {
	z, err := zstd.NewWriter(w, zstdOptions...)
	if err != nil {
		return fmt.Errorf("encoding index: %w", err)
	}
	line := func(v any) error {
		b, err := json.Marshal(v)
		if err == nil {
			_, err = z.Write(append(b, '\n'))
		}
		return err
	}
	err = line(head{indexFormat, ix.DiffID, ix.Unpacked, ix.Blobs, len(ix.Entries)})
	for i := range ix.Entries {
		if err == nil {
			err = line(&ix.Entries[i])
		}
	}
	if e := z.Close(); err == nil {
		err = e
	}
	if err != nil {
		return fmt.Errorf("encoding index: %w", err)
	}
	return nil
}

// What an index may be. Real ones have 300 bytes an entry and shrink to a fourth.
const (
	maxEntries   = 500_000
	maxLine      = 4 << 20
	indexFree    = 16 << 20 // bytes that may always be decoded
	indexRatio   = 40       // and then so many for each byte read
	indexDecoder = 16 << 20 // a decoder's window
)

// DecodeIndex reads what Encode wrote, and nothing else: a value in another spelling, an
// unknown field, a path that is there twice, a place outside its blob is an *Error.
func DecodeIndex(r io.Reader) (*Index, error) {
	in := &counter{r: r}
	z, err := zstd.NewReader(in, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(indexDecoder))
	if err != nil {
		return nil, fmt.Errorf("decoding index: %w", err)
	}
	defer z.Close()
	lines := bufio.NewReaderSize(&meter{r: z, in: in}, 64<<10)
	var h head
	if err := readLine(lines, &h); err != nil {
		return nil, atLine(err, 1)
	}
	if h.Format != indexFormat {
		return nil, refuse("LAY-01", "", -1, "index has format %d, this forge reads %d", h.Format, indexFormat)
	}
	ix := &Index{DiffID: h.DiffID, Unpacked: h.Unpacked, Blobs: h.Blobs}
	if why := ix.checkHead(h.Entries); why != "" {
		return nil, refuse("LAY-01", "", -1, "index: %s", why)
	}
	c := indexCheck{ix: ix, seen: map[string]Type{}, end: map[Codec]int64{}}
	for n := range h.Entries {
		var e Entry
		if err := readLine(lines, &e); err != nil {
			return nil, atLine(err, n+2)
		}
		if why := c.entry(e); why != "" {
			return nil, refuse("LAY-01", e.Path, -1, "index: line %d: %s", n+2, why)
		}
		ix.Entries = append(ix.Entries, e)
	}
	if _, err := lines.ReadByte(); !errors.Is(err, io.EOF) {
		return nil, refuse("LAY-01", "", -1, "index goes on after %d entries", h.Entries)
	}
	return ix, nil
}

func atLine(err error, n int) error {
	var own *Error
	if errors.As(err, &own) {
		return err
	}
	return refuse("LAY-01", "", -1, "index: line %d: %s", n, q(err.Error()))
}

// readLine decodes a line, and encodes it again: if the two differ, a key was there twice,
// unknown, spelled otherwise, or something followed the value.
func readLine(r *bufio.Reader, v any) error {
	var line []byte
	for {
		part, err := r.ReadSlice('\n')
		line = append(line, part...)
		if len(line) > maxLine {
			return fmt.Errorf("longer than %d bytes", maxLine)
		}
		if err == nil {
			break
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return err
		}
	}
	line = line[:len(line)-1]
	d := json.NewDecoder(bytes.NewReader(line))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return err
	}
	again, err := json.Marshal(v)
	if err != nil {
		return err
	}
	if !bytes.Equal(again, line) {
		return errors.New("not in its normal form")
	}
	return nil
}

func (ix *Index) checkHead(entries int) string {
	if !isDigest(ix.DiffID) {
		return "diffID " + q(ix.DiffID)
	}
	if entries < 0 || entries > maxEntries {
		return fmt.Sprintf("%d entries", entries)
	}
	if ix.Unpacked < 0 || ix.Unpacked > maxSize {
		return fmt.Sprintf("%d bytes unpacked", ix.Unpacked)
	}
	if len(ix.Blobs) == 0 {
		return "no blobs"
	}
	for c, b := range ix.Blobs {
		if c != Gzip && c != Zstd {
			return "codec " + q(string(c))
		}
		if !isDigest(b.Digest) || b.Size < 0 || b.Size > maxSize {
			return fmt.Sprintf("blob %s of %d bytes", q(b.Digest), b.Size)
		}
	}
	return ""
}

func isDigest(s string) bool {
	s, ok := strings.CutPrefix(s, "sha256:")
	return ok && isHex(s)
}

func isHex(s string) bool {
	if len(s) != 64 {
		return false
	}
	for _, c := range []byte(s) {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

// indexCheck checks entries in order.
type indexCheck struct {
	ix    *Index
	seen  map[string]Type
	end   map[Codec]int64 // where the last place of each codec ended
	total int64
}

// entry says what is wrong with e.
func (c *indexCheck) entry(e Entry) string {
	h := Header{Path: e.Path, Type: e.Type, Mode: e.Mode, UID: e.UID, GID: e.GID, Size: e.Size, Link: e.Link, Owner: e.Owner}
	if err := checkHeader(h); err != nil {
		return err.Error()
	}
	if _, ok := c.seen[e.Path]; ok {
		return fmt.Sprintf("path %s is there twice", q(e.Path))
	}
	if dir := parent(e.Path); dir != "" && c.seen[dir] != Dir {
		return fmt.Sprintf("folder of path %s is not there before it", q(e.Path))
	}
	if e.Type == Hardlink && c.seen[e.Link] != Regular {
		return fmt.Sprintf("hard link %s to %s, which is no file before it", q(e.Path), q(e.Link))
	}
	c.seen[e.Path] = e.Type
	c.total += block + e.Size + padding(e.Size)
	if c.total > c.ix.Unpacked {
		return fmt.Sprintf("files are larger than the layer's %d bytes", c.ix.Unpacked)
	}
	if (e.Type == Regular) != isHex(e.SHA256) || (e.Type != Regular && e.SHA256 != "") {
		return fmt.Sprintf("sha256 %s of a %s", q(e.SHA256), e.Type)
	}
	if e.ELF != nil && e.Type != Regular {
		return fmt.Sprintf("ELF facts of a %s", e.Type)
	}
	if e.Size == 0 {
		if len(e.Blobs) != 0 {
			return "a place of no content"
		}
		return ""
	}
	if len(e.Blobs) != len(c.ix.Blobs) {
		return fmt.Sprintf("%d places, the layer has %d blobs", len(e.Blobs), len(c.ix.Blobs))
	}
	for codec, p := range e.Blobs {
		b, ok := c.ix.Blobs[codec]
		if !ok {
			return fmt.Sprintf("a place in codec %s, which the layer does not have", q(string(codec)))
		}
		if p.Offset < c.end[codec] || p.Length <= 0 || p.Offset > b.Size || p.Length > b.Size-p.Offset {
			return fmt.Sprintf("place %d+%d of %s content is not between %d and %d", p.Offset, p.Length, codec, c.end[codec], b.Size)
		}
		if p.Skip < 0 || p.Skip > maxSkip || (codec == Gzip && p.Skip != 0) {
			return fmt.Sprintf("%d bytes before the content", p.Skip)
		}
		c.end[codec] = p.Offset + p.Length
	}
	return ""
}

// maxSkip bounds what precedes a file's content in its frame: headers that waited, and one
// more with its PAX records.
const maxSkip = waiting + 16<<10

// counter counts what is read.
type counter struct {
	r io.Reader
	n int64
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

// meter refuses to decode much from little.
type meter struct {
	r  io.Reader
	in *counter
	n  int64
}

func (m *meter) Read(p []byte) (int, error) {
	n, err := m.r.Read(p)
	if m.n += int64(n); m.n > indexFree+indexRatio*m.in.n {
		return 0, refuse("LAY-01", "", -1, "index inflates to more than %d bytes", indexFree+indexRatio*m.in.n)
	}
	return n, err
}
