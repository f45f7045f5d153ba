package push

import (
	"errors"
	"io"
	"io/fs"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"

	"github.com/forge-build/forge/signing/signtest"
)

// forPlatform is a layout of one image; without an architecture it says no platform.
func forPlatform(t *testing.T, arch string) *Layout {
	t.Helper()
	dir := t.TempDir()
	l, err := layout.Write(dir, empty.Index)
	if err == nil && arch != "" {
		err = l.AppendImage(signtest.Image(t), layout.WithPlatform(v1.Platform{OS: "linux", Architecture: arch}))
	} else if err == nil {
		err = l.AppendImage(signtest.Image(t))
	}
	if err != nil {
		t.Fatal(err)
	}
	open, err := OpenLayout(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = open.Close() })
	return open
}

func TestJoinedImagesAreOneIndex(t *testing.T) {
	amd, arm := forPlatform(t, "amd64"), forPlatform(t, "arm64")
	j, err := Join(amd, arm)
	if err != nil {
		t.Fatal(err)
	}
	again, err := Join(amd, arm)
	if err != nil || again.Index.Descriptor.Digest != j.Index.Descriptor.Digest {
		t.Errorf("another time it is another index: %v", err)
	}
	if len(j.Index.Manifests) != 2 || j.Index.Manifests[1].Platform.Architecture != "arm64" {
		t.Errorf("%+v", j.Index.Manifests)
	}
	for _, d := range j.Index.Manifests {
		doc, err := j.Document(t.Context(), d.Digest, d.MediaType)
		if err != nil || doc.Descriptor.Size != d.Size {
			t.Fatal(err)
		}
		for _, l := range doc.Layers {
			r, err := j.Blob(t.Context(), l)
			if err != nil {
				t.Fatal(err)
			}
			raw, err := io.ReadAll(r)
			if err != nil || sum(raw) != l.Digest {
				t.Errorf("layer %s: %v", l.Digest, err)
			}
			_ = r.Close() // only read
		}
	}
	if _, err := j.Document(t.Context(), sum([]byte("nothing")), ""); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("what no layout holds: %v", err)
	}
}

func TestWhatIsNoPlatformOfAnIndexIsNotJoined(t *testing.T) {
	dir := t.TempDir()
	if _, err := layout.Write(dir, empty.Index); err != nil {
		t.Fatal(err)
	}
	bare, err := OpenLayout(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer bare.Close()
	for name, row := range map[string][]*Layout{
		"two for one platform": {forPlatform(t, "amd64"), forPlatform(t, "amd64")},
		"no platform":          {forPlatform(t, "amd64"), forPlatform(t, "")},
		"no image":             {forPlatform(t, "amd64"), bare},
	} {
		if j, err := Join(row...); err == nil {
			t.Errorf("%s: %+v", name, j.Index.Manifests)
		}
	}
}
