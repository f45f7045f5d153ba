package builder

import (
	"fmt"
	"strings"

	"github.com/forge-build/forge/builder/convert"
	"github.com/forge-build/forge/builder/layer"
	"github.com/forge-build/forge/builder/store"
	"github.com/forge-build/forge/recipes/lock"
)

// putIndex keeps a layer's index and returns its sha256.
func putIndex(s *store.Store, ix *layer.Index) (string, error) {
	p, err := s.Create()
	if err != nil {
		return "", err
	}
	defer p.Abort() // nothing after Commit
	if err := ix.Encode(p); err != nil {
		return "", err
	}
	return p.Commit("")
}

// noteIndex remembers which index is that of a layer's blobs. Only a pass of this store over
// the layer gives such an index: one that came with an image is believed by nobody (OCI-06).
func noteIndex(s *store.Store, l lock.Layer, index string) error {
	for _, blob := range l.Blobs {
		key := strings.TrimPrefix(blob.Digest, "sha256:")
		if old, ok, err := s.Fact("index", key); err != nil || ok && string(old) == index {
			if err != nil {
				return err
			}
			continue
		}
		if err := s.PutFact("index", key, []byte(index)); err != nil {
			return err
		}
	}
	return nil
}

// noteIndexes remembers the indexes of layers that were made.
func (b *Builder) noteIndexes(made []convert.Made) error {
	for _, m := range made {
		if err := noteIndex(b.Store, m.Layer, m.Index); err != nil {
			return err
		}
	}
	return nil
}

// LayerIndex returns the index of a layer, by the digest of its blob, if this store has made
// one; nil otherwise.
func LayerIndex(s *store.Store, digest string) (*layer.Index, error) {
	sum, ok, err := s.Fact("index", strings.TrimPrefix(digest, "sha256:"))
	if err != nil || !ok {
		return nil, err
	}
	if _, ok, err := s.Stat(string(sum)); err != nil || !ok {
		return nil, err
	}
	f, _, err := s.Open(string(sum))
	if err != nil {
		return nil, err
	}
	defer f.Close() // only read
	ix, err := layer.DecodeIndex(f)
	if err != nil {
		return nil, fmt.Errorf("reading the index of layer %s: %w", digest, err)
	}
	for _, b := range ix.Blobs {
		if b.Digest == digest {
			return ix, nil
		}
	}
	return nil, nil // of the same layer in another codec only
}
