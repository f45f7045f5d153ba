package push

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// Artifact is one file that is to refer to an image.
type Artifact struct {
	Type        string // artifactType of the manifest, and media type of the file
	Content     []byte
	Annotations map[string]string
}

// emptyConfig is the config of an artifact. Source: image specification, "Guidance for an Empty
// Descriptor".
var emptyConfig = []byte("{}")

const emptyType = "application/vnd.oci.empty.v1+json"

// Document is the manifest of an artifact that refers to an image. It depends on nothing but
// its arguments.
func (a Artifact) Document(subject v1.Descriptor) (*Document, error) {
	raw, err := json.Marshal(struct {
		SchemaVersion int               `json:"schemaVersion"`
		MediaType     types.MediaType   `json:"mediaType"`
		ArtifactType  string            `json:"artifactType"`
		Config        v1.Descriptor     `json:"config"`
		Layers        []v1.Descriptor   `json:"layers"`
		Subject       v1.Descriptor     `json:"subject"`
		Annotations   map[string]string `json:"annotations,omitempty"`
	}{2, types.OCIManifestSchema1, a.Type,
		v1.Descriptor{MediaType: emptyType, Digest: sum(emptyConfig), Size: int64(len(emptyConfig))},
		[]v1.Descriptor{{MediaType: types.MediaType(a.Type), Digest: sum(a.Content), Size: int64(len(a.Content))}},
		v1.Descriptor{MediaType: subject.MediaType, Digest: subject.Digest, Size: subject.Size}, a.Annotations})
	if err != nil {
		return nil, fmt.Errorf("internal error: %w", err)
	}
	return ReadDocument(raw, types.OCIManifestSchema1)
}

// memory is a Source of a few small blobs.
type memory map[v1.Hash][]byte

func (m memory) Document(_ context.Context, h v1.Hash, promised types.MediaType) (*Document, error) {
	return judged(m[h], h, promised)
}

func (m memory) Blob(_ context.Context, d v1.Descriptor) (io.ReadCloser, error) {
	return io.NopCloser(bytes.NewReader(m[d.Digest])), nil
}

// Attach writes artifacts that refer to an image of the same repository, and sees to it that
// they can be found. It returns their descriptors. Doing it again changes nothing.
func (c *Client) Attach(ctx context.Context, image name.Digest, subject v1.Descriptor, all ...Artifact) ([]v1.Descriptor, error) {
	m := memory{sum(emptyConfig): emptyConfig}
	var docs []*Document
	var out []v1.Descriptor
	for _, a := range all {
		doc, err := a.Document(subject)
		if err != nil {
			return nil, err
		}
		m[sum(a.Content)], m[doc.Descriptor.Digest] = a.Content, doc.Raw
		docs, out = append(docs, doc), append(out, doc.Descriptor)
	}
	if err := c.attached(ctx, m, image, docs); err != nil {
		return nil, fmt.Errorf("attaching to %s: %w", image, err)
	}
	return out, nil
}

// attached brings referrers with their blobs into the image's repository, and lists them.
func (c *Client) attached(ctx context.Context, src Source, image name.Digest, docs []*Document) error {
	e := entry{image.Context(), "push,pull", nil}
	if _, err := c.blobs(ctx, e, src, docs); err != nil {
		return err
	}
	var unlisted []*Document
	for _, doc := range docs {
		header, err := c.putAnswer(ctx, e, doc, doc.Descriptor.Digest.String())
		if err != nil {
			return err
		}
		if header.Get("OCI-Subject") != image.DigestStr() { // else the registry lists it: distribution specification
			unlisted = append(unlisted, doc)
		}
	}
	if len(unlisted) == 0 {
		return nil
	}
	index, _, err := c.listPage(ctx, e, "/v2/"+e.repo.RepositoryStr()+"/referrers/"+image.DigestStr())
	if err == nil && index != nil {
		unlisted = slices.DeleteFunc(unlisted, func(d *Document) bool { return lists(index.Manifests, d.Descriptor.Digest) })
	}
	if len(unlisted) == 0 {
		return nil
	}
	return c.fallback(ctx, e, image, unlisted)
}

func lists(all []v1.Descriptor, h v1.Hash) bool {
	for _, d := range all {
		if d.Digest == h {
			return true
		}
	}
	return false
}

// fallback lists referrers under the fallback tag. A registry changes a tag without looking
// at what it was, so forge reads, merges, writes, and looks again once other writers that had
// read before are through (A42).
func (c *Client) fallback(ctx context.Context, e entry, image name.Digest, docs []*Document) error {
	c.attach.Lock()
	defer c.attach.Unlock()
	var due []v1.Descriptor // ours, and all that was ever seen there: what another writer lost is put back
	gone := map[v1.Hash]bool{}
	for _, doc := range docs {
		own := doc.Descriptor
		own.ArtifactType, own.Annotations = doc.Type(), doc.Annotations
		due = append(due, own)
	}
	for range 12 {
		now, err := c.fallbackList(ctx, e, image)
		if err != nil {
			return err
		}
		now = slices.DeleteFunc(now, func(d v1.Descriptor) bool { return gone[d.Digest] })
		due = union(now, due)
		if len(due) == len(now) {
			return nil
		}
		index, err := indexOf(due)
		if err != nil {
			return err
		}
		err = c.put(ctx, e, index, fallbackTag(image))
		var st *StatusError
		if errors.As(err, &st) && (st.Code == 400 || st.Code == 404) {
			before := len(due) // a registry takes no list of what is gone
			due = slices.DeleteFunc(due, func(d v1.Descriptor) bool {
				_, _, err := c.manifest(ctx, e, d.Digest.String())
				gone[d.Digest] = IsMissing(err)
				return gone[d.Digest]
			})
			if len(due) < before {
				continue
			}
		}
		if err != nil {
			return err
		}
		if err := c.rest(ctx); err != nil {
			return err
		}
	}
	return errors.New("others change the list of referrers faster than forge can write it; try again")
}

// rest lets others finish what they write: between half of c.Pause and all of it.
func (c *Client) rest(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(c.Pause/2 + rand.N(c.Pause/2+1)):
		return nil
	}
}

// fallbackList is what the fallback tag lists; an absent one lists nothing.
func (c *Client) fallbackList(ctx context.Context, e entry, image name.Digest) ([]v1.Descriptor, error) {
	raw, kind, err := c.manifest(ctx, e, fallbackTag(image))
	if IsMissing(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	index, err := ReadDocument(raw, kind)
	if err != nil {
		return nil, err
	}
	if !index.IsIndex() {
		return nil, refuse("OCI-02", "the tag %s is no index of referrers; it is not overwritten", fallbackTag(image))
	}
	return index.Manifests, nil
}

func union(a, b []v1.Descriptor) []v1.Descriptor {
	out := append([]v1.Descriptor(nil), a...)
	for _, d := range b {
		if !lists(out, d.Digest) {
			out = append(out, d)
		}
	}
	return out
}

func indexOf(all []v1.Descriptor) (*Document, error) {
	raw, err := json.Marshal(v1.IndexManifest{SchemaVersion: 2, MediaType: types.OCIImageIndex, Manifests: all})
	if err != nil {
		return nil, fmt.Errorf("internal error: %w", err)
	}
	return ReadDocument(raw, types.OCIImageIndex)
}
