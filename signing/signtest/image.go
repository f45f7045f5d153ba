package signtest

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// bundleType is the media type of Sigstore's bundle.
const bundleType = "application/vnd.dev.sigstore.bundle.v0.3+json"

// Image makes a small image of random bytes in the OCI form.
func Image(t testing.TB) v1.Image {
	t.Helper()
	img, err := random.Image(256, 2)
	if err != nil {
		t.Fatal(err)
	}
	return mutate.MediaType(mutate.ConfigMediaType(img, types.OCIConfigJSON), types.OCIManifestSchema1)
}

// Index makes an index of n images.
func Index(t testing.TB, n int) v1.ImageIndex {
	t.Helper()
	index := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	for i := range n {
		index = mutate.AppendManifests(index, mutate.IndexAddendum{Add: Image(t), Descriptor: v1.Descriptor{
			Platform: &v1.Platform{OS: "linux", Architecture: []string{"amd64", "arm64", "riscv64"}[i%3]},
		}})
	}
	return index
}

// Push pushes an image or an index under a tag and returns it by digest.
func Push(t testing.TB, repo name.Repository, tag string, what remote.Taggable) name.Digest {
	t.Helper()
	if err := remote.Push(repo.Tag(tag), what); err != nil {
		t.Fatal(err)
	}
	d, ok := what.(interface{ Digest() (v1.Hash, error) })
	if !ok {
		t.Fatalf("%T has no digest", what)
	}
	h, err := d.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return repo.Digest(h.String())
}

// Statement makes an in-toto v1 statement about an image.
func Statement(t testing.TB, image name.Digest, predicateType string, predicate any) []byte {
	t.Helper()
	if predicate == nil {
		predicate = map[string]any{}
	}
	raw, err := json.Marshal(map[string]any{
		"_type":         "https://in-toto.io/Statement/v1",
		"subject":       []any{map[string]any{"name": image.Context().Name(), "digest": map[string]string{"sha256": strings.TrimPrefix(image.DigestStr(), "sha256:")}}},
		"predicateType": predicateType,
		"predicate":     predicate,
	})
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// Attach lays a bundle beside an image, as a referrer; the fallback tag is written where the
// registry has no referrers API.
func Attach(t testing.TB, image name.Digest, bundle []byte) name.Digest {
	t.Helper()
	return AttachLayer(t, image, Layer{Type: bundleType, Raw: bundle})
}

// Layer is a layer of a manifest that lies beside an image.
type Layer struct {
	Type        types.MediaType
	Raw         []byte
	Annotations map[string]string
}

// Referrer makes a manifest with a subject.
func Referrer(t testing.TB, subject v1.Descriptor, artifactType string, layers ...Layer) v1.Image {
	t.Helper()
	img := Manifest(t, layers...)
	if artifactType != "" {
		img = mutate.ConfigMediaType(img, types.MediaType(artifactType))
	}
	img, ok := mutate.Subject(img, subject).(v1.Image)
	if !ok {
		t.Fatal("no image")
	}
	return img
}

// Manifest makes a manifest of layers that are no file systems.
func Manifest(t testing.TB, layers ...Layer) v1.Image {
	t.Helper()
	img := mutate.MediaType(empty.Image, types.OCIManifestSchema1)
	for _, l := range layers {
		var err error
		if img, err = mutate.Append(img, mutate.Addendum{Layer: static.NewLayer(l.Raw, l.Type), MediaType: l.Type, Annotations: l.Annotations}); err != nil {
			t.Fatal(err)
		}
	}
	return mutate.ConfigMediaType(img, "application/vnd.oci.empty.v1+json")
}

// AttachLayer lays layers beside an image, as one referrer.
func AttachLayer(t testing.TB, image name.Digest, layers ...Layer) name.Digest {
	t.Helper()
	img := Referrer(t, Descriptor(t, image), bundleType, layers...)
	h, err := img.Digest()
	if err != nil {
		t.Fatal(err)
	}
	ref := image.Context().Digest(h.String())
	if err := remote.Write(ref, img); err != nil {
		t.Fatal(err)
	}
	return ref
}

// AttachTag lays layers beside an image under one of cosign's tags: ".sig" or ".att".
func AttachTag(t testing.TB, image name.Digest, suffix string, layers ...Layer) {
	t.Helper()
	tag := image.Context().Tag(strings.Replace(image.DigestStr(), ":", "-", 1) + suffix)
	if err := remote.Write(tag, Manifest(t, layers...)); err != nil {
		t.Fatal(err)
	}
}

// Descriptor is what a registry says about a digest.
func Descriptor(t testing.TB, image name.Digest) v1.Descriptor {
	t.Helper()
	d, err := remote.Head(image)
	if err != nil {
		t.Fatal(err)
	}
	return *d
}
