package saved

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"slices"
	"strings"
)

// Bounds of an archive.
const (
	maxEntries  = 100_000
	maxManifest = 4 << 20 // bytes
	maxConfig   = 8 << 20 // bytes
	maxLayers   = 512
	maxName     = 1024
)

// Error is an archive that cannot be taken.
type Error struct {
	ID     string // the rule, "OCI-08"
	Entry  string // the name concerned, or empty
	Reason string
}

func (e *Error) Error() string {
	if e.Entry == "" {
		return e.ID + ": " + e.Reason
	}
	return fmt.Sprintf("%s: entry %s: %s", e.ID, quote(e.Entry), e.Reason)
}

func quote(s string) string {
	if len(s) > 120 {
		s = s[:120] + "…"
	}
	return fmt.Sprintf("%+q", s)
}

func refuse(entry, format string, args ...any) error {
	return &Error{"OCI-08", entry, fmt.Sprintf(format, args...)}
}

// image is an entry of manifest.json. Source: Docker image specification v1.2, "Combined Image
// JSON + Filesystem Changeset Format".
type image struct {
	Config   string
	RepoTags []string
	Layers   []string
}

// descriptor is one of OCI's.
type descriptor struct {
	MediaType string `json:"mediaType"`
	Digest    string `json:"digest"`
	Size      int64  `json:"size"`
}

// Image is what Unpack has made a layout of.
type Image struct {
	Digest string // "sha256:…" of the manifest
	Name   string // the first of its names, with the tag; may be empty
}

// Unpack makes an OCI layout of an image of an archive, in an empty folder. name chooses among
// several by one of their names with the tag; it may be empty if there is one image.
func Unpack(archive io.ReadSeeker, name, dir string) (*Image, error) {
	a, err := open(archive)
	if err != nil {
		return nil, err
	}
	im, err := a.choose(name)
	if err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	if err := root.MkdirAll("blobs/sha256", 0o755); err != nil {
		return nil, err
	}
	config, err := a.config(im)
	if err != nil {
		return nil, err
	}
	m := struct {
		SchemaVersion int          `json:"schemaVersion"`
		MediaType     string       `json:"mediaType"`
		Config        descriptor   `json:"config"`
		Layers        []descriptor `json:"layers"`
	}{SchemaVersion: 2, MediaType: "application/vnd.oci.image.manifest.v1+json", Layers: []descriptor{}}
	if m.Config, err = put(root, "application/vnd.oci.image.config.v1+json", config); err != nil {
		return nil, err
	}
	for _, l := range im.Layers {
		d, err := a.layer(root, l)
		if err != nil {
			return nil, err
		}
		m.Layers = append(m.Layers, d)
	}
	raw, err := json.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("internal error: %w", err)
	}
	d, err := put(root, m.MediaType, raw)
	if err != nil {
		return nil, err
	}
	index, err := json.Marshal(map[string]any{"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": []descriptor{d}})
	if err != nil {
		return nil, fmt.Errorf("internal error: %w", err)
	}
	err = errors.Join(root.WriteFile("index.json", index, 0o644), root.WriteFile("oci-layout", []byte(`{"imageLayoutVersion":"1.0.0"}`), 0o644))
	out := &Image{Digest: d.Digest}
	if len(im.RepoTags) > 0 {
		out.Name = im.RepoTags[0]
	}
	return out, err
}

// choose finds an image by name.
func (a *archive) choose(name string) (*image, error) {
	raw, err := a.document("manifest.json", maxManifest)
	if err != nil {
		return nil, err
	}
	var all []image
	if err := json.Unmarshal(raw, &all); err != nil {
		return nil, refuse("manifest.json", "it lists no images: %v", err)
	}
	var names []string
	for i := range all {
		if slices.Contains(all[i].RepoTags, name) {
			return &all[i], nil
		}
		names = append(names, strings.Join(all[i].RepoTags, " or "))
	}
	switch {
	case len(all) == 0:
		return nil, refuse("manifest.json", "it lists no image")
	case name != "":
		return nil, refuse("", "no image is named %s; there are %s", quote(name), quote(strings.Join(names, ", ")))
	case len(all) > 1:
		return nil, refuse("", "there are %d images, and one must be named: %s", len(all), quote(strings.Join(names, ", ")))
	}
	return &all[0], nil
}

// config reads an image's config and compares the number of layers.
func (a *archive) config(im *image) ([]byte, error) {
	raw, err := a.document(im.Config, maxConfig)
	if err != nil {
		return nil, err
	}
	var c struct {
		RootFS struct {
			DiffIDs []string `json:"diff_ids"`
		} `json:"rootfs"`
	}
	if err := json.Unmarshal(raw, &c); err != nil {
		return nil, refuse(im.Config, "it is no config: %v", err)
	}
	if n := len(c.RootFS.DiffIDs); n != len(im.Layers) || n > maxLayers {
		return nil, refuse(im.Config, "it has %d layers and manifest.json %d; both must have the same number, %d at most", n, len(im.Layers), maxLayers)
	}
	return raw, nil
}

// layer copies one into the layout, as it is.
func (a *archive) layer(root *os.Root, name string) (descriptor, error) {
	e, err := a.find(name)
	if err != nil {
		return descriptor{}, err
	}
	in := a.read(e)
	head := make([]byte, 4)
	n, err := io.ReadFull(in, head)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && err != io.EOF {
		return descriptor{}, fmt.Errorf("reading %s: %w", quote(name), err)
	}
	d := descriptor{MediaType: "application/vnd.oci.image.layer.v1.tar", Size: e.size}
	switch {
	case strings.HasPrefix(string(head[:n]), "\x1f\x8b"):
		d.MediaType += "+gzip"
	case string(head[:n]) == "\x28\xb5\x2f\xfd":
		d.MediaType += "+zstd"
	}
	const part = "blobs/sha256/part"
	out, err := root.OpenFile(part, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o644)
	if err != nil {
		return descriptor{}, err
	}
	sum := sha256.New()
	got, err := io.Copy(io.MultiWriter(out, sum), a.read(e))
	if err = errors.Join(err, out.Close()); err == nil && got != e.size {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return descriptor{}, fmt.Errorf("reading %s: %w", quote(name), err)
	}
	hash := hex.EncodeToString(sum.Sum(nil))
	d.Digest = "sha256:" + hash
	return d, root.Rename(part, path.Join("blobs/sha256", hash))
}

// put writes a document into the layout.
func put(root *os.Root, mediaType string, raw []byte) (descriptor, error) {
	sum := sha256.Sum256(raw)
	hash := hex.EncodeToString(sum[:])
	return descriptor{mediaType, "sha256:" + hash, int64(len(raw))}, root.WriteFile(path.Join("blobs/sha256", hash), raw, 0o644)
}
