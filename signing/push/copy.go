package push

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// Collection is an image, or an index with its images, and all that is said about them.
type Collection struct {
	Image v1.Descriptor
	Docs  []*Document // children before their index
	Said  []Said
	Junk  []Junk // what is listed and is not said about it
}

// Bare is an image, or an index with its images, without what is said about it.
func (c *Client) Bare(ctx context.Context, from Place, image v1.Descriptor) (*Collection, error) {
	docs, err := c.tree(ctx, from, image)
	if err != nil {
		return nil, err
	}
	return &Collection{Image: docs[len(docs)-1].Descriptor, Docs: docs}, nil
}

// maxSaid bounds what is said about what is said.
const maxSaid = 3

// Collect finds an image and everything that is said about it, and about that.
func (c *Client) Collect(ctx context.Context, from Place, image v1.Descriptor) (*Collection, error) {
	out, err := c.Bare(ctx, from, image)
	if err != nil {
		return nil, err
	}
	docs := out.Docs
	seen := map[v1.Hash]bool{}
	todo := docs
	for depth := 0; len(todo) > 0 && depth < maxSaid; depth++ {
		var next []*Document
		for _, d := range todo {
			said, junk, err := from.Said(ctx, d.Descriptor.Digest)
			if err != nil {
				return nil, err
			}
			for _, j := range junk {
				if errors.Is(j.Err, errMore) {
					return nil, refuse("OCI-03", "%s: %s; a copy would lose the others", j.What, j.Why)
				}
				if j.Err != nil && !IsMissing(j.Err) && temporary(j.Err) {
					return nil, fmt.Errorf("reading %s: %w", j.What, j.Err)
				}
			}
			out.Junk = append(out.Junk, junk...)
			for _, s := range said {
				if out.Said = append(out.Said, s); !seen[s.Doc.Descriptor.Digest] {
					seen[s.Doc.Descriptor.Digest] = true
					next = append(next, s.Doc)
				}
			}
			if len(out.Said) > maxEntries {
				return nil, refuse("OCI-03", "more than %d things are said about %s", maxEntries, image.Digest)
			}
		}
		todo = next
	}
	return out, nil
}

// LostError says what of an image did not arrive.
type LostError struct{ Lost []string }

func (e *LostError) Error() string {
	return fmt.Sprintf("%d things did not arrive: %s", len(e.Lost), strings.Join(e.Lost, ", "))
}

// complete says what of a collection a place lacks.
func (c *Client) complete(ctx context.Context, all *Collection, at Place) error {
	there, err := c.Collect(ctx, at, all.Image)
	if err != nil {
		return fmt.Errorf("looking whether all has arrived: %w", err)
	}
	var lost []string
	for _, s := range all.Said {
		if !slices.ContainsFunc(there.Said, func(x Said) bool { return x.covers(s) }) {
			what := s.Doc.Type()
			if s.Suffix != "" {
				what = "." + s.Suffix
			}
			lost = append(lost, fmt.Sprintf("%s %s about %s", what, s.Doc.Descriptor.Digest, s.About))
		}
	}
	if len(lost) > 0 {
		return &LostError{lost}
	}
	return nil
}

// covers says whether all that s says is said by x: it is the same, or an older tag with more.
func (x Said) covers(s Said) bool {
	if x.About != s.About || x.Suffix != s.Suffix {
		return false
	}
	if x.Doc.Descriptor.Digest == s.Doc.Descriptor.Digest {
		return true
	}
	if s.Suffix == "" {
		return false
	}
	for _, l := range s.Doc.Layers {
		if !slices.ContainsFunc(x.Doc.Layers, func(y v1.Descriptor) bool { return same(y, l) }) {
			return false
		}
	}
	return true
}

func same(a, b v1.Descriptor) bool {
	return a.Digest == b.Digest && a.MediaType == b.MediaType && maps.Equal(a.Annotations, b.Annotations)
}

// Copy brings a collection into a repository, sees to it that all of it has arrived, and then
// moves the tag, if there is one.
func (c *Client) Copy(ctx context.Context, from Place, all *Collection, to name.Repository, tag string, further []name.Repository) (Sent, error) {
	sent, err := c.Push(ctx, from, all.Image, to, further)
	if err != nil {
		return sent, err
	}
	referrers := map[v1.Hash][]*Document{}
	for _, s := range all.Said {
		if s.Suffix == "" {
			referrers[s.About] = append(referrers[s.About], s.Doc)
			continue
		}
		if err := c.copyOlder(ctx, from, s, to.Digest(s.About.String())); err != nil {
			return sent, err
		}
	}
	for about, docs := range referrers {
		if err := c.attached(ctx, from, to.Digest(about.String()), docs); err != nil {
			return sent, err
		}
	}
	if err := c.complete(ctx, all, c.At(to)); err != nil {
		return sent, err
	}
	if tag == "" {
		return sent, nil
	}
	return sent, c.Tag(ctx, to.Digest(all.Image.Digest.String()), tag)
}

// copyOlder writes an older tag as it is, or adds to the one that is there.
func (c *Client) copyOlder(ctx context.Context, from Place, s Said, image name.Digest) error {
	there, err := c.Older(ctx, image, s.Suffix)
	if err != nil {
		return err
	}
	if there != nil {
		if (Said{s.About, s.Suffix, there}).covers(s) {
			return nil
		}
		var layers []Layer
		for _, l := range s.Doc.Layers {
			raw, err := readSmall(ctx, from, l)
			if err != nil {
				return err
			}
			layers = append(layers, Layer{string(l.MediaType), raw, l.Annotations})
		}
		return c.AddOlder(ctx, image, s.Suffix, layers...)
	}
	e := entry{image.Context(), "push,pull", nil}
	if _, err := c.blobs(ctx, e, from, []*Document{s.Doc}); err != nil {
		return err
	}
	return c.put(ctx, e, s.Doc, fallbackTag(image)+"."+s.Suffix)
}

// maxAttestation bounds an older attestation that is merged in memory.
const maxAttestation = 64 << 20

func readSmall(ctx context.Context, from Source, d v1.Descriptor) ([]byte, error) {
	if d.Size > maxAttestation {
		return nil, refuse("OCI-02", "%s has %d bytes, the limit is %d", d.Digest, d.Size, maxAttestation)
	}
	r, err := from.Blob(ctx, d)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	raw := make([]byte, d.Size)
	if _, err := io.ReadFull(r, raw); err != nil {
		return nil, err
	}
	if got := sum(raw); got != d.Digest {
		return nil, &MismatchError{Want: d.Digest, Got: got}
	}
	return raw, nil
}

// Save brings a collection into a layout, and sees to it that all of it has arrived. tag names
// the image there, if it is not empty.
func (c *Client) Save(ctx context.Context, from Place, all *Collection, to *Writer, tag string) error {
	docs := slices.Clone(all.Docs)
	for _, s := range all.Said {
		docs = append(docs, s.Doc)
	}
	for _, doc := range docs {
		blobs := slices.Clone(doc.Layers)
		if doc.Config != nil {
			blobs = append(blobs, *doc.Config)
		}
		for _, d := range blobs {
			if err := to.blob(ctx, c, from, d); err != nil {
				return err
			}
		}
		if err := to.document(doc); err != nil {
			return err
		}
	}
	image := all.Docs[len(all.Docs)-1].Descriptor
	image.ArtifactType = ""
	if tag != "" {
		image.Annotations = map[string]string{refName: tag}
	}
	entries := []v1.Descriptor{image}
	for _, s := range all.Said {
		d := s.Doc.Descriptor
		d.ArtifactType = s.Doc.Type()
		if s.Suffix != "" {
			d.ArtifactType, d.Annotations = "", map[string]string{refName: strings.Replace(s.About.String(), ":", "-", 1) + "." + s.Suffix}
		}
		entries = append(entries, d)
	}
	if err := to.index(entries); err != nil {
		return err
	}
	l, err := OpenLayout(to.dir)
	if err != nil {
		return err
	}
	return errors.Join(c.complete(ctx, all, l), l.Close())
}
