package builder

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// maxDocument bounds a manifest or config that is read.
const maxDocument = 8 << 20

// Layout is an image that lies on disk as an OCI layout.
type Layout struct {
	Digest   string
	Manifest v1.Manifest
	Config   v1.ConfigFile

	RawManifest, RawConfig []byte
}

// ReadLayout reads the one image of an OCI layout; dir may begin with "oci:" and end with
// "@sha256:…", which names one of several. Documents are believed only when their digest is the stated one.
func ReadLayout(dir string) (*Layout, error) {
	dir, digest, _ := strings.Cut(strings.TrimPrefix(dir, "oci:"), "@")
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("reading image: %w", err)
	}
	defer root.Close()
	image, err := imageIn(root, digest)
	if err != nil {
		return nil, fmt.Errorf("reading image %q: %w", dir, err)
	}
	l := &Layout{Digest: image.Digest.String()}
	if l.RawManifest, err = readBlob(root, image, &l.Manifest); err != nil {
		return nil, fmt.Errorf("reading image %q: %w", dir, err)
	}
	if l.RawConfig, err = readBlob(root, l.Manifest.Config, &l.Config); err != nil {
		return nil, fmt.Errorf("reading image %q: %w", dir, err)
	}
	if len(l.Config.RootFS.DiffIDs) != len(l.Manifest.Layers) {
		return nil, fmt.Errorf("reading image %q: %d layers and %d diffIDs", dir, len(l.Manifest.Layers), len(l.Config.RootFS.DiffIDs))
	}
	return l, nil
}

// OpenBlob opens a blob of a layout, which must be a regular file there (OCI-08). Nothing is
// known of its bytes yet.
func OpenBlob(dir string, digest v1.Hash) (*os.File, error) {
	dir, _, _ = strings.Cut(strings.TrimPrefix(dir, "oci:"), "@")
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("reading image: %w", err)
	}
	defer root.Close()
	if digest.Algorithm != "sha256" || len(digest.Hex) != 64 {
		return nil, fmt.Errorf("digest %+q is no sha256", digest.String())
	}
	name := filepath.Join("blobs", "sha256", digest.Hex)
	info, err := root.Lstat(name)
	if err != nil {
		return nil, fmt.Errorf("reading image %q: %w", dir, err)
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("reading image %q: blob %s is not a regular file", dir, digest.Hex)
	}
	return root.Open(name)
}

// older is the name of a signature or attestation in cosign's older form.
var older = regexp.MustCompile(`^sha256-[0-9a-f]{64}\.(sig|att|sbom)$`)

// imageIn is the image of a layout with a digest, else its only one; what is said about an
// image lies there beside it, and is none.
func imageIn(root *os.Root, digest string) (v1.Descriptor, error) {
	if digest != "" {
		h, err := v1.NewHash(digest)
		return v1.Descriptor{Digest: h}, err
	}
	var index v1.IndexManifest
	raw, err := readDocument(root, "index.json")
	if errors.Is(err, fs.ErrNotExist) {
		return v1.Descriptor{}, errors.New("it is no OCI layout: it has no index.json")
	}
	if err == nil {
		err = json.Unmarshal(raw, &index)
	}
	if err != nil {
		return v1.Descriptor{}, err
	}
	var found []v1.Descriptor
	for _, d := range index.Manifests {
		if older.MatchString(d.Annotations["org.opencontainers.image.ref.name"]) {
			continue
		}
		var m struct {
			Subject *v1.Descriptor `json:"subject"`
		}
		if _, err := readBlob(root, d, &m); err != nil {
			return v1.Descriptor{}, err
		}
		if m.Subject == nil {
			found = append(found, d)
		}
	}
	if len(found) != 1 {
		return v1.Descriptor{}, fmt.Errorf("it holds %d images, one is due; name it as DIR@sha256:…", len(found))
	}
	return found[0], nil
}

func readDocument(root *os.Root, name string) ([]byte, error) {
	info, err := root.Lstat(name)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file", name)
	}
	f, err := root.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	raw, err := io.ReadAll(io.LimitReader(f, maxDocument+1))
	if err == nil && len(raw) > maxDocument {
		err = fmt.Errorf("%s is larger than %d bytes", name, maxDocument)
	}
	return raw, err
}

func readBlob(root *os.Root, d v1.Descriptor, v any) ([]byte, error) {
	if d.Digest.Algorithm != "sha256" || len(d.Digest.Hex) != 64 {
		return nil, fmt.Errorf("digest %+q is no sha256", d.Digest.String())
	}
	raw, err := readDocument(root, filepath.Join("blobs", "sha256", d.Digest.Hex))
	if err != nil {
		return nil, err
	}
	if got := sumOf(raw); got != d.Digest.Hex {
		return nil, fmt.Errorf("blob %s has sha256 %s", d.Digest.Hex, got)
	}
	return raw, json.Unmarshal(raw, v)
}

// Facts are an image's values by name, to compare it with another.
func (l *Layout) Facts() map[string]string {
	m := map[string]string{"digest": l.Digest, "platform": l.Config.OS + "/" + l.Config.Architecture, "user": l.Config.Config.User,
		"entrypoint": strings.Join(l.Config.Config.Entrypoint, " "), "command": strings.Join(l.Config.Config.Cmd, " ")}
	for k, v := range l.Config.Config.Labels {
		m["label "+k] = v
	}
	for _, e := range l.Config.Config.Env {
		name, value, _ := strings.Cut(e, "=")
		m["env "+name] = value
	}
	layer := 0
	for _, h := range l.Config.History {
		if h.EmptyLayer || layer >= len(l.Manifest.Layers) {
			continue
		}
		m["layer "+strings.TrimPrefix(h.CreatedBy, "forge: ")] = fmt.Sprintf("%s %d bytes", l.Config.RootFS.DiffIDs[layer].Hex[:12], l.Manifest.Layers[layer].Size)
		for _, w := range strings.Split(h.Comment, ", ") {
			if name, version, ok := strings.Cut(w, " "); ok {
				m["wheel "+name] = version
			}
		}
		layer++
	}
	return m
}
