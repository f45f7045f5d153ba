package builder

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"

	"github.com/forge-build/forge/builder/layer"
)

// Contents is what a layer holds of which this store has no index: it was read once, from end
// to end, and its files lie on disk, in one file without a name.
type Contents struct {
	Entries []layer.Entry // with facts about ELF files; without places in blobs
	at      []int64       // of each entry's content
	disk    *os.File
}

// Close lets go of the files.
func (c *Contents) Close() error { return c.disk.Close() }

// Section returns the content of the n-th entry, a regular file of a size in bytes.
func (c *Contents) Section(n int, size int64) *io.SectionReader {
	return io.NewSectionReader(c.disk, c.at[n], size)
}

// ReadContents reads a layer whose blob and tar must have these digests ("sha256:…"). Each
// file's own sum is found on request alone: it would be a fifth of the work. dir holds the
// files while they are needed; "" is the system's folder.
func ReadContents(ctx context.Context, mediaType string, blob io.Reader, digest, diffID string, sums bool, dir string) (_ *Contents, err error) {
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
	blob = io.TeeReader(until{ctx, blob}, sum)
	k := &keeper{Contents: c, buf: make([]byte, 256<<10)}
	if sums {
		k.sum = sha256.New()
	}
	found, _, err := layer.Survey(codec, blob, k.add)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
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

// until reads until a context ends.
type until struct {
	ctx context.Context
	r   io.Reader
}

func (u until) Read(p []byte) (int, error) {
	if err := u.ctx.Err(); err != nil {
		return 0, err
	}
	return u.r.Read(p)
}

// keeper writes files to disk, one behind the other.
type keeper struct {
	*Contents
	end int64     // of what was written
	sum hash.Hash // nil: nobody asks
	buf []byte
}

// add takes one entry.
func (k *keeper) add(h layer.Header, content io.Reader) error {
	e := layer.Entry{Path: h.Path, Type: h.Type, Mode: h.Mode, UID: h.UID, GID: h.GID, Size: h.Size, Link: h.Link}
	at := k.end
	if h.Type == layer.Regular {
		if err := k.keep(h.Path, content); err != nil {
			return err
		}
		if k.sum != nil {
			e.SHA256 = hex.EncodeToString(k.sum.Sum(nil))
			k.sum.Reset()
		}
		var err error
		if e.ELF, err = layer.Look(io.NewSectionReader(k.disk, at, h.Size), h.Size); err != nil {
			return err
		}
	}
	k.Entries, k.at = append(k.Entries, e), append(k.at, at)
	return nil
}

// keep writes and hashes one file.
func (k *keeper) keep(path string, content io.Reader) error {
	for {
		n, err := content.Read(k.buf)
		if k.sum != nil {
			_, _ = k.sum.Write(k.buf[:n]) // a hash never fails
		}
		if _, err := k.disk.WriteAt(k.buf[:n], k.end); err != nil {
			return fmt.Errorf("keeping %+q: %w", path, err)
		}
		k.end += int64(n)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}
