package push

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// Source is where an image comes from: a layout, or a repository.
type Source interface {
	// Document brings a manifest or index, judged; promised is what its index says it is,
	// or empty.
	Document(ctx context.Context, digest v1.Hash, promised types.MediaType) (*Document, error)
	// Blob opens a blob. Its bytes are not judged yet.
	Blob(ctx context.Context, d v1.Descriptor) (io.ReadCloser, error)
}

// Layout is an OCI layout on disk. Nothing of it is reached through a link (OCI-08).
type Layout struct {
	dir  string
	root *os.Root
}

// OpenLayout opens a folder that holds an OCI layout.
func OpenLayout(dir string) (*Layout, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("reading layout: %w", err)
	}
	return &Layout{dir, root}, nil
}

// Close ends the use of the folder.
func (l *Layout) Close() error { return l.root.Close() }

// open opens a regular file of the layout.
func (l *Layout) open(name string) (*os.File, int64, error) {
	info, err := l.root.Lstat(name)
	if err != nil {
		return nil, 0, fmt.Errorf("reading layout %q: %w", l.dir, err)
	}
	if !info.Mode().IsRegular() {
		return nil, 0, refuse("OCI-08", "layout %q: %s is not a regular file", l.dir, name)
	}
	f, err := l.root.Open(name)
	if err != nil {
		return nil, 0, fmt.Errorf("reading layout %q: %w", l.dir, err)
	}
	return f, info.Size(), nil
}

func (l *Layout) read(name string) ([]byte, error) {
	f, size, err := l.open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if size > maxManifest {
		return nil, refuse("OCI-02", "layout %q: %s is larger than %d bytes", l.dir, name, maxManifest)
	}
	raw, err := io.ReadAll(io.LimitReader(f, maxManifest+1))
	if err != nil {
		return nil, fmt.Errorf("reading layout %q: %w", l.dir, err)
	}
	return raw, nil
}

// Index is the layout's list of what it holds.
func (l *Layout) Index() (*Document, error) {
	raw, err := l.read("index.json")
	if err != nil {
		return nil, err
	}
	return ReadDocument(raw, types.OCIImageIndex)
}

// Image is the one image or index that the layout holds, artifacts that refer to it aside.
func (l *Layout) Image() (v1.Descriptor, error) { return l.Named("") }

// Named is the one image or index of a name; without a name the only one that is there.
func (l *Layout) Named(tag string) (v1.Descriptor, error) {
	index, err := l.Index()
	if err != nil {
		return v1.Descriptor{}, err
	}
	var found []v1.Descriptor
	var names []string
	seen := map[v1.Hash]bool{}
	for _, d := range index.Manifests {
		if said(d) || seen[d.Digest] || tag != "" && d.Annotations[refName] != tag {
			continue
		}
		seen[d.Digest] = true
		doc, err := l.Document(context.Background(), d.Digest, d.MediaType)
		if err != nil {
			return v1.Descriptor{}, err
		}
		if doc.Subject == nil {
			found = append(found, d)
			names = append(names, strings.TrimSpace(d.Digest.String()+" "+d.Annotations[refName]))
		}
	}
	what := "images"
	if tag != "" {
		what = fmt.Sprintf("images with the name %q", tag)
	}
	switch len(found) {
	case 0:
		return v1.Descriptor{}, refuse("OCI-08", "layout %q holds no %s", l.dir, what)
	case 1:
		return found[0], nil
	}
	return v1.Descriptor{}, refuse("OCI-08", "layout %q holds %d %s, one is due; name it by its digest, DIR@sha256:…: %s", l.dir, len(found), what, strings.Join(names, ", "))
}

// refName is the annotation that names an entry of a layout. Source: image specification,
// "Pre-Defined Annotation Keys".
const refName = "org.opencontainers.image.ref.name"

// said says whether an entry of a layout is an older tag about another (sha256-….sig).
func said(d v1.Descriptor) bool {
	_, _, ok := olderName(d.Annotations[refName])
	return ok
}

// Document is Source's.
func (l *Layout) Document(_ context.Context, digest v1.Hash, promised types.MediaType) (*Document, error) {
	raw, err := l.read(blobName(digest))
	if err != nil {
		return nil, err
	}
	return judged(raw, digest, promised)
}

// judged is ReadDocument for bytes that must have a digest.
func judged(raw []byte, digest v1.Hash, promised types.MediaType) (*Document, error) {
	if got := sum(raw); got != digest {
		return nil, &MismatchError{Want: digest, Got: got}
	}
	return ReadDocument(raw, promised)
}

// Blob is Source's.
func (l *Layout) Blob(_ context.Context, d v1.Descriptor) (io.ReadCloser, error) {
	f, size, err := l.open(blobName(d.Digest))
	if err != nil {
		return nil, err
	}
	if size != d.Size {
		return nil, errors.Join(refuse("OCI-01", "layout %q: blob %s has %d bytes, its manifest says %d", l.dir, d.Digest, size, d.Size), f.Close())
	}
	return f, nil
}

// Has says whether the layout holds a blob of that size.
func (l *Layout) Has(d v1.Descriptor) bool {
	info, err := l.root.Lstat(blobName(d.Digest))
	return err == nil && info.Mode().IsRegular() && info.Size() == d.Size
}

func blobName(h v1.Hash) string { return filepath.Join("blobs", "sha256", h.Hex) }

// IsMissing says whether err is about something that is not there.
func IsMissing(err error) bool { return errors.Is(err, fs.ErrNotExist) }

// MismatchError says that bytes are not those of their digest.
type MismatchError struct{ Want, Got v1.Hash }

func (e *MismatchError) Error() string {
	return fmt.Sprintf("OCI-01: the bytes of %s have the digest %s", e.Want, e.Got)
}
