package push

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// Writer writes an OCI layout. What is there already stays.
type Writer struct {
	dir  string
	root *os.Root
}

// NewWriter makes a layout in a folder, which is made if it is not there. A folder that holds
// something else is an error.
func NewWriter(dir string) (*Writer, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("writing layout: %w", err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("writing layout: %w", err)
	}
	w := &Writer{dir, root}
	list, err := fs.ReadDir(root.FS(), ".")
	if err == nil && len(list) > 0 {
		if _, err = root.Lstat("oci-layout"); err != nil {
			err = errors.New("the folder is not empty, and no OCI layout")
		}
	}
	if err == nil {
		err = errors.Join(root.MkdirAll("blobs/sha256", 0o755), w.file("oci-layout", []byte(`{"imageLayoutVersion":"1.0.0"}`)))
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("writing layout %q: %w", dir, err), root.Close())
	}
	return w, nil
}

// Close ends the use of the folder.
func (w *Writer) Close() error { return w.root.Close() }

// file writes a whole file under a temporary name and moves it to its place.
func (w *Writer) file(name string, raw []byte) error {
	part := name + ".part"
	f, err := w.root.OpenFile(part, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(raw)
	if err = errors.Join(err, f.Close()); err == nil {
		err = w.root.Rename(part, name)
	}
	return err
}

func (w *Writer) document(d *Document) error {
	if err := w.file(blobName(d.Descriptor.Digest), d.Raw); err != nil {
		return fmt.Errorf("writing layout %q: %w", w.dir, err)
	}
	return nil
}

// has says whether a blob is there; its bytes are hashed, since nobody else vouches for them.
func (w *Writer) has(d v1.Descriptor) bool {
	info, err := w.root.Lstat(blobName(d.Digest))
	if err != nil || !info.Mode().IsRegular() || info.Size() != d.Size {
		return false
	}
	f, err := w.root.Open(blobName(d.Digest))
	if err != nil {
		return false
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return false
	}
	return hex.EncodeToString(h.Sum(nil)) == d.Digest.Hex
}

// blob brings a blob into the layout, hashed on the way: other bytes never get its name.
func (w *Writer) blob(ctx context.Context, c *Client, from Source, d v1.Descriptor) error {
	if w.has(d) {
		c.event(Event{d.Digest.String(), d.Size, d.Size, "held"})
		return nil
	}
	part := blobName(d.Digest) + ".part"
	err := c.retry(ctx, entry{}, d.Digest.String(), func() (int64, error) { return w.receive(ctx, c, from, d, part) })
	if err != nil {
		return errors.Join(fmt.Errorf("bringing %s: %w", d.Digest, err), removed(w.root, part))
	}
	c.event(Event{d.Digest.String(), d.Size, d.Size, "sent"})
	return w.root.Rename(part, blobName(d.Digest))
}

func removed(root *os.Root, name string) error {
	if err := root.Remove(name); err != nil && !IsMissing(err) {
		return err
	}
	return nil
}

func (w *Writer) receive(ctx context.Context, c *Client, from Source, d v1.Descriptor, part string) (int64, error) {
	r, err := from.Blob(ctx, d)
	if err != nil {
		return 0, err
	}
	defer r.Close()
	f, err := w.root.OpenFile(part, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o644)
	if err != nil {
		return 0, err
	}
	h := sha256.New()
	n, err := io.Copy(io.MultiWriter(f, h, &reporter{c: c, d: d}), io.LimitReader(r, d.Size+1))
	if err = errors.Join(err, f.Close()); err != nil {
		return n, err
	}
	got := v1.Hash{Algorithm: "sha256", Hex: hex.EncodeToString(h.Sum(nil))}
	switch {
	case n < d.Size:
		return 0, fmt.Errorf("%w: %d of %d bytes have come", io.ErrUnexpectedEOF, n, d.Size)
	case n > d.Size || got != d.Digest:
		return 0, &MismatchError{Want: d.Digest, Got: got}
	}
	return n, nil
}

// reporter counts what arrives.
type reporter struct {
	c    *Client
	d    v1.Descriptor
	done int64
}

func (r *reporter) Write(p []byte) (int, error) {
	r.done += int64(len(p))
	r.c.event(Event{r.d.Digest.String(), r.done, r.d.Size, "receiving"})
	return len(p), nil
}

// index lists entries in index.json, beside those that are there. An entry under a name takes
// it from another.
func (w *Writer) index(entries []v1.Descriptor) error {
	l := &Layout{w.dir, w.root}
	all := entries
	doc, err := l.Index()
	if err != nil && !IsMissing(err) {
		return err
	}
	if err == nil {
		old := slices.DeleteFunc(doc.Manifests, func(d v1.Descriptor) bool {
			return slices.ContainsFunc(entries, func(e v1.Descriptor) bool {
				return e.Digest == d.Digest || e.Annotations[refName] != "" && e.Annotations[refName] == d.Annotations[refName]
			})
		})
		all = append(old, entries...)
	}
	raw, err := json.MarshalIndent(v1.IndexManifest{SchemaVersion: 2, MediaType: types.OCIImageIndex, Manifests: all}, "", "  ")
	if err != nil {
		return fmt.Errorf("internal error: %w", err)
	}
	if err := w.file("index.json", raw); err != nil {
		return fmt.Errorf("writing layout %q: %w", w.dir, err)
	}
	return nil
}
