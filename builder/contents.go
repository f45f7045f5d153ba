package builder

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"

	"github.com/forge-build/forge/builder/layer"
)

// Contents is what a layer holds of which this store has no index: it was read once, from end
// to end, and its files lie on disk, in one file without a name.
type Contents struct {
	Entries []layer.Entry // with sums and facts about ELF files; without places in blobs
	at      []int64       // of each entry's content
	disk    *os.File
}

// Close lets go of the files.
func (c *Contents) Close() error { return c.disk.Close() }

// Open returns the content of the n-th entry, a regular file.
func (c *Contents) Open(n int) *io.SectionReader {
	return io.NewSectionReader(c.disk, c.at[n], c.Entries[n].Size)
}

// ReadContents reads a layer whose blob and tar must have these digests ("sha256:…"). dir
// holds the files while they are needed; "" is the system's folder.
func ReadContents(ctx context.Context, mediaType string, blob io.Reader, digest, diffID, dir string) (_ *Contents, err error) {
	codec, err := layer.CodecOf(mediaType)
	if err != nil {
		return nil, err
	}
	f, err := os.CreateTemp(dir, "forge-layer-*")
	if err != nil {
		return nil, fmt.Errorf("reading layer: %w", err)
	}
	c := &Contents{disk: f}
	defer func() {
		if err != nil {
			_ = f.Close() // the first error says more
		}
	}()
	if err := os.Remove(f.Name()); err != nil {
		return nil, fmt.Errorf("reading layer: %w", err)
	}
	sum := sha256.New()
	blob = io.TeeReader(blob, sum)
	found, _, err := layer.Survey(codec, blob, func(h layer.Header, content io.Reader) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		return c.add(h, content)
	})
	if err != nil {
		return nil, err
	}
	if _, err := io.Copy(io.Discard, blob); err != nil {
		return nil, fmt.Errorf("reading layer: %w", err)
	}
	if got := "sha256:" + hex.EncodeToString(sum.Sum(nil)); got != digest {
		return nil, fmt.Errorf("the layer's blob has digest %s, its manifest states %s", got, digest)
	}
	if found != diffID {
		return nil, fmt.Errorf("the layer is %s unpacked, its image's config states %s", found, diffID)
	}
	return c, nil
}

// add takes one entry.
func (c *Contents) add(h layer.Header, content io.Reader) error {
	e := layer.Entry{Path: h.Path, Type: h.Type, Mode: h.Mode, UID: h.UID, GID: h.GID, Size: h.Size, Link: h.Link}
	var end int64
	if n := len(c.at); n > 0 {
		end = c.at[n-1]
		if c.Entries[n-1].Type == layer.Regular {
			end += c.Entries[n-1].Size
		}
	}
	if h.Type == layer.Regular {
		sum := sha256.New()
		w := bufio.NewWriterSize(io.NewOffsetWriter(c.disk, end), 256<<10)
		if _, err := io.Copy(io.MultiWriter(w, sum), content); err != nil {
			return err
		}
		if err := w.Flush(); err != nil {
			return fmt.Errorf("keeping %+q: %w", h.Path, err)
		}
		e.SHA256 = hex.EncodeToString(sum.Sum(nil))
		var err error
		if e.ELF, err = layer.Look(io.NewSectionReader(c.disk, end, h.Size), h.Size); err != nil {
			return err
		}
	}
	c.Entries, c.at = append(c.Entries, e), append(c.at, end)
	return nil
}
