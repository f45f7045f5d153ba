package base

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/forge-build/forge/builder/layer"
)

// toc is the table of contents of an eStargz layer. A snapshotter that loads a layer lazily
// shows what the table says and never reads the tar, which is the truth everywhere else. So
// both must say the same of every file and every byte (OCI-06).
// Source: github.com/containerd/stargz-snapshotter, docs/estargz.md and estargz/types.go.
type toc struct {
	files map[string]*tocFile
}

// tocFile is a file of the table, and the pieces that its content is loaded in.
type tocFile struct {
	tocEntry
	chunks []tocEntry
	seen   bool
}

type tocEntry struct {
	Name        string            `json:"name"`
	Type        string            `json:"type"`
	Size        int64             `json:"size"`
	Link        string            `json:"linkName"`
	Mode        int64             `json:"mode"`
	UID         int               `json:"uid"`
	GID         int               `json:"gid"`
	Xattrs      map[string][]byte `json:"xattrs"`
	Digest      string            `json:"digest"`
	ChunkOffset int64             `json:"chunkOffset"`
	ChunkSize   int64             `json:"chunkSize"`
	ChunkDigest string            `json:"chunkDigest"`
}

var tocShape = shape{"version": nil, "entries": {"name": nil, "type": nil, "size": nil, "linkName": nil, "mode": nil, "uid": nil, "gid": nil, "xattrs": nil,
	"digest": nil, "chunkOffset": nil, "chunkSize": nil, "chunkDigest": nil, "offset": nil, "innerOffset": nil}}

const (
	tocName = "stargz.index.json"
	maxTOC  = 64 << 20
)

// tocAt finds the footer by which a snapshotter finds the table: an empty gzip member whose
// header says where it begins. The older form has no subfield around that.
func tocAt(f io.ReaderAt, size int64) (offset int64, ok bool) {
	for _, form := range []struct {
		length int64
		before string
	}{{51, "SG\x16\x00"}, {47, ""}} {
		b := make([]byte, form.length)
		if size < form.length {
			continue
		}
		if _, err := f.ReadAt(b, size-form.length); err != nil {
			continue
		}
		extra, marked := strings.CutPrefix(string(b[12:]), form.before)
		if !marked || string(b[:2]) != "\x1f\x8b" || !strings.HasPrefix(extra[16:], "STARGZ") {
			continue
		}
		offset, err := strconv.ParseInt(extra[:16], 16, 64)
		if err != nil || offset < 0 || offset > size {
			offset = size // where no table can be
		}
		return offset, true
	}
	return 0, false
}

// table compares a layer's table of contents, if it has one, with its tar, which was found sound.
func (r *reader) table(ctx context.Context, f *os.File, d descriptor) error {
	c, err := r.contents(f, d)
	if c == nil || err != nil {
		return err
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return err
	}
	err = layer.Read(layer.Gzip, f, func(h layer.Header, content io.Reader) error {
		return errors.Join(ctx.Err(), c.compare(h, content))
	})
	if err == nil {
		err = c.rest()
	}
	if err == nil || ctx.Err() != nil {
		return err
	}
	return r.refuse("OCI-06", d.Digest, "%v", err)
}

// contents reads a layer's table; nil when it has none.
func (r *reader) contents(f io.ReaderAt, d descriptor) (*toc, error) {
	offset, ok := tocAt(f, d.Size)
	if !ok {
		return nil, nil
	}
	bad := func(err error) (*toc, error) {
		return nil, r.refuse("OCI-06", d.Digest, "its table of contents cannot be read: %v", err)
	}
	z, err := gzip.NewReader(io.NewSectionReader(f, offset, d.Size-offset))
	if err != nil {
		return bad(err)
	}
	z.Multistream(false)
	t := tar.NewReader(z)
	h, err := t.Next()
	if err != nil {
		return bad(err)
	}
	raw, err := io.ReadAll(io.LimitReader(t, maxTOC+1))
	if err == nil && (h.Name != tocName || len(raw) > maxTOC) {
		err = fmt.Errorf("%+q of %d bytes", cut(h.Name), h.Size)
	}
	if err != nil {
		return bad(err)
	}
	var doc struct {
		Entries []tocEntry `json:"entries"`
	}
	if err := r.strict(raw, d.Digest, &doc, tocShape); err != nil {
		return bad(err)
	}
	c := &toc{files: map[string]*tocFile{}}
	var last *tocFile // what a piece belongs to, whatever its own name
	for _, e := range doc.Entries {
		name := strings.TrimPrefix(path.Clean("/"+e.Name), "/")
		switch {
		case e.Type == "chunk" && last != nil && last.Type == "reg":
			last.chunks = append(last.chunks, e)
		case e.Type == "chunk" || c.files[name] != nil:
			return bad(fmt.Errorf("%+q is there twice, or in pieces of nothing", cut(name)))
		default:
			last = &tocFile{tocEntry: e, chunks: []tocEntry{e}}
			c.files[name] = last
		}
	}
	return c, nil
}

// compare compares an entry of the tar with the table, reading its content.
func (c *toc) compare(h layer.Header, content io.Reader) error {
	name, kind := h.Path, map[layer.Type]string{layer.Regular: "reg", layer.Dir: "dir", layer.Symlink: "symlink", layer.Hardlink: "hardlink"}[h.Type]
	switch {
	case h.Type == layer.Whiteout:
		name, kind = path.Join(path.Dir(name), ".wh."+path.Base(name)), "reg"
	case h.Type == layer.Opaque:
		name, kind = path.Join(name, ".wh..wh..opq"), "reg"
	case name == "." || name == tocName:
		return nil
	}
	f := c.files[name]
	if f == nil {
		return fmt.Errorf("the tar holds %+q, which its table of contents does not list", cut(name))
	}
	f.seen = true
	for _, row := range []struct {
		what     string
		tar, toc any
	}{
		{"type", kind, f.Type}, {"size", h.Size, f.Size}, {"target", strings.TrimPrefix(h.Link, "./"), strings.TrimPrefix(f.Link, "./")},
		{"mode", h.Mode, f.Mode & 0o7777}, {"owner", h.UID, f.UID}, {"group", h.GID, f.GID},
	} {
		if row.tar != row.toc {
			return fmt.Errorf("the %s of %+q is %+q in the tar and %+q in its table of contents", row.what, cut(name), fmt.Sprint(row.tar), cut(fmt.Sprint(row.toc)))
		}
	}
	for k, v := range f.Xattrs {
		if own, ok := h.Xattrs[k]; !ok || own != string(v) || len(f.Xattrs) != len(h.Xattrs) {
			return fmt.Errorf("%+q has other extended attributes in the tar than in its table of contents", cut(name))
		}
	}
	if kind != "reg" || h.Size == 0 {
		return nil
	}
	if err := f.content(content, h.Size); err != nil {
		return fmt.Errorf("%+q: %w", cut(name), err)
	}
	return nil
}

// content compares bytes with the digests of the whole and of each piece.
func (f *tocFile) content(content io.Reader, size int64) error {
	all := sha256.New()
	var at int64
	for i, c := range f.chunks {
		n := c.ChunkSize
		if i == len(f.chunks)-1 {
			n = size - at
		}
		if c.ChunkOffset != at || n <= 0 || n > size-at || c.ChunkSize > n {
			return fmt.Errorf("its table of contents has a piece of %d bytes at %d, due is one at %d", c.ChunkSize, c.ChunkOffset, at)
		}
		piece := sha256.New()
		if _, err := io.CopyN(io.MultiWriter(all, piece), content, n); err != nil {
			return err
		}
		digest := c.ChunkDigest
		if digest == "" && len(f.chunks) == 1 {
			digest = c.Digest
		}
		if got := digestOfHash(piece); digest != got {
			return fmt.Errorf("%d bytes at %d are %s in the tar and %+q in its table of contents", n, at, got, cut(digest))
		}
		at += n
	}
	if got := digestOfHash(all); f.Digest != "" && f.Digest != got {
		return fmt.Errorf("it is %s in the tar and %+q in its table of contents", got, cut(f.Digest))
	}
	return nil
}

func digestOfHash(h hash.Hash) string { return "sha256:" + hex.EncodeToString(h.Sum(nil)) }

// rest is what the table lists and the tar does not hold.
func (c *toc) rest() error {
	var extra []string
	for name, f := range c.files {
		if !f.seen && name != "" {
			extra = append(extra, name)
		}
	}
	if len(extra) == 0 {
		return nil
	}
	return fmt.Errorf("its table of contents lists %+q, which the tar does not hold", cut(slices.Min(extra)))
}
