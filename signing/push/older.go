package push

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// Layer is one entry under an older tag.
type Layer struct {
	MediaType   string
	Content     []byte
	Annotations map[string]string
}

// AddOlder adds entries to the manifest under the tag sha256-HEX.SUFFIX, where cosign once kept
// signatures ("sig") and attestations ("att"). What is there stays; as with a fallback tag
// nothing of two writers is lost. Source: cosign, specs/SIGNATURE_SPEC.md.
func (c *Client) AddOlder(ctx context.Context, image name.Digest, suffix string, layers ...Layer) error {
	tag := fallbackTag(image) + "." + suffix
	e := entry{image.Context(), "push,pull", nil}
	m := memory{}
	var due []v1.Descriptor
	for _, l := range layers {
		m[sum(l.Content)] = l.Content
		due = append(due, v1.Descriptor{MediaType: types.MediaType(l.MediaType), Size: int64(len(l.Content)), Digest: sum(l.Content), Annotations: l.Annotations})
	}
	c.attach.Lock()
	defer c.attach.Unlock()
	for range 12 {
		doc, err := c.Older(ctx, image, suffix)
		if err != nil {
			return err
		}
		var now []v1.Descriptor
		if doc != nil {
			now = doc.Layers
		}
		all := slices.Clone(now)
		for _, d := range due {
			if !slices.ContainsFunc(all, func(x v1.Descriptor) bool { return x.Digest == d.Digest && maps.Equal(x.Annotations, d.Annotations) }) {
				all = append(all, d)
			}
		}
		if len(all) == len(now) {
			return nil
		}
		due = all
		next, config, err := olderManifest(all)
		if err != nil {
			return err
		}
		m[sum(config)] = config
		if _, err := c.blobs(ctx, e, m, []*Document{next}); err != nil {
			return fmt.Errorf("writing %s: %w", tag, err)
		}
		if err := c.put(ctx, e, next, tag); err != nil {
			return err
		}
		if err := c.rest(ctx); err != nil {
			return err
		}
	}
	return errors.New("others change the older signatures faster than forge can write them; try again")
}

// olderManifest is an image whose layers are no file systems, as cosign writes it.
func olderManifest(layers []v1.Descriptor) (*Document, []byte, error) {
	config := v1.ConfigFile{RootFS: v1.RootFS{Type: "layers"}}
	for _, l := range layers {
		config.RootFS.DiffIDs = append(config.RootFS.DiffIDs, l.Digest)
		config.History = append(config.History, v1.History{})
	}
	raw, err := json.Marshal(config)
	if err != nil {
		return nil, nil, fmt.Errorf("internal error: %w", err)
	}
	manifest, err := json.Marshal(v1.Manifest{SchemaVersion: 2, MediaType: types.OCIManifestSchema1,
		Config: v1.Descriptor{MediaType: types.OCIConfigJSON, Size: int64(len(raw)), Digest: sum(raw)}, Layers: layers})
	if err != nil {
		return nil, nil, fmt.Errorf("internal error: %w", err)
	}
	doc, err := ReadDocument(manifest, types.OCIManifestSchema1)
	return doc, raw, err
}
