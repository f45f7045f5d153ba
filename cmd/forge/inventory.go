package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/forge-build/forge/builder"
	"github.com/forge-build/forge/builder/layer"
	"github.com/forge-build/forge/builder/store"
	"github.com/forge-build/forge/sbom"
)

// imageView is an image whose layers can be read, until it is closed.
type imageView struct {
	sbom.Image
	closers []io.Closer
}

// Close lets go of the layers.
func (v *imageView) Close() {
	for _, c := range v.closers {
		_ = c.Close() // only read
	}
}

// viewLayout views the image of a layout. A layer that this store has made is read through
// its index, from the store's own bytes; any other is read once from end to end.
func viewLayout(ctx context.Context, s *store.Store, dir string) (_ *imageView, err error) {
	l, err := builder.ReadLayout(dir)
	if err != nil {
		return nil, err
	}
	dir, _, _ = strings.Cut(strings.TrimPrefix(dir, "oci:"), "@")
	v := newView(l)
	v.Name = filepath.Base(dir)
	if title := l.Config.Config.Labels["org.opencontainers.image.title"]; title != "" {
		v.Name = title
	}
	defer func() {
		if err != nil {
			v.Close()
		}
	}()
	for i, d := range l.Manifest.Layers {
		x := sbom.Layer{Digest: d.Digest.String(), DiffID: l.Config.RootFS.DiffIDs[i].String(), MediaType: string(d.MediaType), Size: d.Size}
		if err := v.fill(ctx, s, &x, filepath.Join(dir, "blobs", "sha256", d.Digest.Hex)); err != nil {
			return nil, fmt.Errorf("reading layer %d of image %q: %w", i+1, dir, err)
		}
		v.Layers = append(v.Layers, x)
	}
	return v, nil
}

func newView(l *builder.Layout) *imageView {
	c := l.Config
	return &imageView{Image: sbom.Image{Digest: l.Digest, MediaType: string(l.Manifest.MediaType), Manifest: l.RawManifest, Config: l.RawConfig,
		Created: c.Created.Time, OS: c.OS, Arch: c.Architecture, Variant: c.Variant, Labels: c.Config.Labels}}
}

// fill finds what a layer holds.
func (v *imageView) fill(_ context.Context, s *store.Store, x *sbom.Layer, blob string) error {
	codec, err := layer.CodecOf(x.MediaType)
	if err != nil {
		return err
	}
	ix, err := builder.LayerIndex(s, x.Digest)
	if err != nil {
		return err
	}
	if ix == nil || ix.DiffID != x.DiffID {
		return errors.New("it has no index in this store")
	}
	f, _, err := s.Open(strings.TrimPrefix(x.Digest, "sha256:"))
	if errors.Is(err, fs.ErrNotExist) {
		f, err = os.Open(blob)
	}
	if err != nil {
		return err
	}
	v.closers = append(v.closers, f)
	x.Files = filesOf(ix)
	x.Open = func(n int) (io.Reader, error) { return ix.OpenEntry(codec, f, &ix.Entries[n]) }
	return nil
}

// filesOf views an index's entries.
func filesOf(ix *layer.Index) []sbom.File {
	files := make([]sbom.File, len(ix.Entries))
	for i := range ix.Entries {
		e := &ix.Entries[i]
		files[i] = sbom.File{Path: e.Path, Kind: sbom.Kind(e.Type), Mode: e.Mode, UID: e.UID, GID: e.GID, Size: e.Size, Link: e.Link,
			SHA256: e.SHA256, Owner: e.Owner, ELF: (*sbom.ELF)(e.ELF), Looked: true}
	}
	return files
}
