package push

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"slices"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// Joined are images of several layouts as one Source, with an index that lists them.
type Joined struct {
	Index   *Document
	layouts []*Layout
}

// Join lists the one image of each layout in an index, in their order. Each is for a platform of
// its own, as its layout says. The index is a function of the images alone.
func Join(layouts ...*Layout) (*Joined, error) {
	var all []v1.Descriptor
	for _, l := range layouts {
		d, err := l.Image()
		if err != nil {
			return nil, err
		}
		doc, err := l.Document(context.Background(), d.Digest, d.MediaType)
		if err != nil {
			return nil, err
		}
		switch {
		case doc.IsIndex():
			return nil, refuse("OCI-03", "layout %q holds an index, which no index lists", l.dir)
		case d.Platform == nil || d.Platform.OS == "" || d.Platform.Architecture == "":
			return nil, refuse("OCI-03", "layout %q does not say for which platform its image is", l.dir)
		}
		own := doc.Descriptor
		own.Platform = d.Platform
		if slices.ContainsFunc(all, func(o v1.Descriptor) bool { return o.Platform.Equals(*own.Platform) }) {
			return nil, refuse("OCI-03", "layout %q holds another image for %s", l.dir, own.Platform)
		}
		all = append(all, own)
	}
	index, err := indexOf(all)
	if err != nil {
		return nil, err
	}
	return &Joined{index, layouts}, nil
}

// holder is the layout that holds a blob.
func (j *Joined) holder(h v1.Hash) (*Layout, error) {
	for _, l := range j.layouts {
		if info, err := l.root.Lstat(blobName(h)); err == nil && info.Mode().IsRegular() {
			return l, nil
		}
	}
	return nil, fmt.Errorf("reading %s: no layout holds it: %w", h, fs.ErrNotExist)
}

// Document is Source's.
func (j *Joined) Document(ctx context.Context, digest v1.Hash, promised types.MediaType) (*Document, error) {
	if digest == j.Index.Descriptor.Digest {
		return j.Index, nil
	}
	l, err := j.holder(digest)
	if err != nil {
		return nil, err
	}
	return l.Document(ctx, digest, promised)
}

// Blob is Source's.
func (j *Joined) Blob(ctx context.Context, d v1.Descriptor) (io.ReadCloser, error) {
	l, err := j.holder(d.Digest)
	if err != nil {
		return nil, err
	}
	return l.Blob(ctx, d)
}
