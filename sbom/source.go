package sbom

import (
	"github.com/anchore/syft/syft/artifact"
	"github.com/anchore/syft/syft/file"
	"github.com/anchore/syft/syft/source"
)

// imageSource is an image as Syft wants one.
type imageSource struct {
	im *Image
	r  *resolver
}

var _ source.Source = imageSource{}

// ID implements artifact.Identifiable.
func (s imageSource) ID() artifact.ID { return artifact.ID(hexOf(s.im.Digest)) }

// FileResolver implements source.Source. Every scope is the merged tree: what a whiteout
// hides is in no container.
func (s imageSource) FileResolver(source.Scope) (file.Resolver, error) { return s.r, nil }

// Close implements source.Source.
func (s imageSource) Close() error { return nil }

// Describe implements source.Source. The image's config is not passed on: it has the
// environment, in which people keep passwords, and nothing that a list needs.
func (s imageSource) Describe() source.Description {
	im := s.im
	m := source.ImageMetadata{
		UserInput: im.Name, ID: im.Digest, ManifestDigest: im.Digest, MediaType: im.MediaType, RawManifest: im.Manifest,
		Architecture: im.Arch, Variant: im.Variant, OS: im.OS, Labels: im.Labels,
		Tags: []string{}, RepoDigests: []string{},
	}
	for _, l := range im.Layers {
		m.Size += l.Size
		m.Layers = append(m.Layers, source.LayerMetadata{MediaType: l.MediaType, Digest: l.DiffID, Size: l.Size})
	}
	return source.Description{ID: string(s.ID()), Name: im.Name, Version: im.Digest, Metadata: m}
}
