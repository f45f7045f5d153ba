package base

import (
	"context"
	"encoding/json"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/forge-build/forge/recipes/lock"
)

// What documents may be. Source: OCI image specification; Docker image manifest version 2, schema 2.
var (
	indexTypes    = []string{"application/vnd.oci.image.index.v1+json", "application/vnd.docker.distribution.manifest.list.v2+json"}
	manifestTypes = []string{"application/vnd.oci.image.manifest.v1+json", "application/vnd.docker.distribution.manifest.v2+json"}
	configTypes   = []string{"application/vnd.oci.image.config.v1+json", "application/vnd.docker.container.image.v1+json"}
	sha           = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)
)

const (
	maxConfig    = 8 << 20
	maxManifests = 1000
	maxBlob      = 64 << 30
)

type descriptor struct {
	MediaType string          `json:"mediaType"`
	Digest    string          `json:"digest"`
	Size      int64           `json:"size"`
	URLs      []string        `json:"urls"`
	Data      json.RawMessage `json:"data"`
	Platform  *struct {
		OS           string `json:"os"`
		Architecture string `json:"architecture"`
		Variant      string `json:"variant"`
	} `json:"platform"`
}

type manifest struct {
	SchemaVersion int          `json:"schemaVersion"`
	MediaType     string       `json:"mediaType"`
	Config        *descriptor  `json:"config"`
	Layers        []descriptor `json:"layers"`
	Manifests     []descriptor `json:"manifests"`
}

type config struct {
	OS           string `json:"os"`
	Architecture string `json:"architecture"`
	Config       struct {
		Env []string `json:"Env"`
	} `json:"config"`
	RootFS struct {
		Type    string   `json:"type"`
		DiffIDs []string `json:"diff_ids"`
	} `json:"rootfs"`
}

// manifest resolves the recipe's digest to the platform's manifest, through one index at most.
func (r *reader) manifest(ctx context.Context, l *lock.Base) (*manifest, error) {
	digest := r.im.Base.Digest()
	m, err := r.document(ctx, digest, "")
	if err != nil {
		return nil, err
	}
	if m.Manifests != nil {
		l.Index = digest
		d, err := r.choose(m)
		if err != nil {
			return nil, err
		}
		digest = d.Digest
		if m, err = r.document(ctx, digest, d.MediaType); err != nil {
			return nil, err
		}
		if m.Manifests != nil {
			return nil, r.refuse("OCI-03", digest, "an index inside an index")
		}
	}
	l.Manifest = digest
	if m.Config == nil || len(m.Layers) == 0 {
		return nil, r.refuse("OCI-02", digest, "manifest %s has no config or no layers", digest)
	}
	for i, d := range append([]descriptor{*m.Config}, m.Layers...) {
		if err := r.descriptor(d); err != nil {
			return nil, err
		}
		if i == 0 && !slices.Contains(configTypes, d.MediaType) {
			return nil, r.unfit("its config has the media type %+q: it is an artifact, no image", cut(d.MediaType))
		}
	}
	if n := len(m.Layers); n > MaxLayers-own {
		return nil, r.unfit("it has %d layers; an image has %d at most, and %d are needed on top", n, MaxLayers, own)
	}
	return m, nil
}

// document reads an index or a manifest, strictly.
func (r *reader) document(ctx context.Context, digest, promised string) (*manifest, error) {
	raw, err := r.o.Fetch.Manifest(ctx, r.im.Base, r.o.Dir, digest)
	if err != nil {
		return nil, err
	}
	return r.parse(raw, digest, promised)
}

// parse judges and decodes an index or a manifest.
func (r *reader) parse(raw []byte, digest, promised string) (*manifest, error) {
	m := new(manifest)
	if err := r.strict(raw, digest, m, manifestShape); err != nil {
		return nil, err
	}
	switch {
	case m.SchemaVersion != 2:
		return nil, r.refuse("OCI-02", digest, "schemaVersion is %d, 2 is due", m.SchemaVersion)
	case m.Manifests != nil && (m.Layers != nil || m.Config != nil):
		return nil, r.refuse("OCI-02", digest, "%s is both an index and a manifest", digest)
	case promised != "" && m.MediaType != "" && m.MediaType != promised:
		return nil, r.refuse("OCI-02", digest, "%s says that it is %+q, its index says %+q", digest, cut(m.MediaType), cut(promised))
	case m.MediaType != "" && m.Manifests != nil && !slices.Contains(indexTypes, m.MediaType),
		m.MediaType != "" && m.Manifests == nil && !slices.Contains(manifestTypes, m.MediaType):
		return nil, r.refuse("OCI-02", digest, "%s has the media type %+q, which its content is not", digest, cut(m.MediaType))
	case len(m.Manifests) > maxManifests:
		return nil, r.refuse("OCI-03", digest, "index of %d manifests, the limit is %d", len(m.Manifests), maxManifests)
	}
	return m, nil
}

// choose finds the one manifest of the image's platform.
func (r *reader) choose(m *manifest) (descriptor, error) {
	var found []descriptor
	var has []string
	for _, d := range m.Manifests {
		if d.Platform == nil {
			continue
		}
		p := d.Platform.OS + "/" + d.Platform.Architecture
		if v := d.Platform.Variant; p == r.im.Platform && (v == "" || v == "v8" || v == "v1") {
			found = append(found, d)
		}
		has = append(has, cut(p))
	}
	switch {
	case len(found) == 0:
		return descriptor{}, r.unfit("its index has no image for %s, only for %s", r.im.Platform, strings.Join(has[:min(len(has), 12)], ", "))
	case len(found) > 1:
		return descriptor{}, r.unfit("its index has %d images for %s; write the digest of the one that is meant: %s or %s", len(found), r.im.Platform, cut(found[0].Digest), cut(found[1].Digest))
	case !slices.Contains(manifestTypes, found[0].MediaType):
		return descriptor{}, r.refuse("OCI-03", found[0].Digest, "its index names a %+q for %s", cut(found[0].MediaType), r.im.Platform)
	}
	return found[0], r.descriptor(found[0])
}

func (r *reader) descriptor(d descriptor) error {
	switch {
	case !sha.MatchString(d.Digest):
		return r.refuse("OCI-01", "", "digest %+q is no sha256 in small letters", cut(d.Digest))
	case d.Size < 0 || d.Size > maxBlob:
		return r.refuse("OCI-02", d.Digest, "%s has the size %d", d.Digest, d.Size)
	case len(d.URLs) > 0:
		return r.refuse("OCI-03", d.Digest, "%s lies elsewhere, at %+q", d.Digest, cut(d.URLs[0]))
	}
	return nil
}

// config reads the config, and compares it with manifest and platform.
func (r *reader) config(ctx context.Context, m *manifest, l *lock.Base) (*config, error) {
	l.Config = m.Config.Digest
	if m.Config.Size > maxConfig {
		return nil, r.refuse("OCI-02", m.Config.Digest, "config of %d bytes, the limit is %d", m.Config.Size, maxConfig)
	}
	file, err := r.o.Fetch.Blob(ctx, r.im.Base, r.o.Dir, m.Config.Digest, m.Config.Size)
	if err != nil {
		return nil, err
	}
	raw, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	c := new(config)
	if err := r.strict(raw, m.Config.Digest, c, configShape); err != nil {
		return nil, err
	}
	if got := c.OS + "/" + c.Architecture; got != r.im.Platform {
		return nil, r.unfit("it is for %s, the image is for %s", cut(got), r.im.Platform)
	}
	if c.RootFS.Type != "layers" || len(c.RootFS.DiffIDs) != len(m.Layers) {
		return nil, r.refuse("OCI-05", l.Config, "config has %d diffIDs for %d layers", len(c.RootFS.DiffIDs), len(m.Layers))
	}
	return c, nil
}

// shape is what is read of an object, or of each object of a list: its keys, and what they
// hold. Other keys may stand beside them.
type shape map[string]shape

var (
	descriptorShape = shape{"mediaType": nil, "digest": nil, "size": nil, "urls": nil, "data": nil, "platform": {"os": nil, "architecture": nil, "variant": nil}}
	manifestShape   = shape{"schemaVersion": nil, "mediaType": nil, "config": descriptorShape, "layers": descriptorShape, "manifests": descriptorShape, "fsLayers": nil}
	configShape     = shape{"os": nil, "architecture": nil, "config": {"Env": nil}, "rootfs": {"type": nil, "diff_ids": nil}}
)

// folded returns a key that differs in case alone from one that is read, and that one:
// encoding/json takes both, and other readers one of them.
func (s shape) folded(raw []byte) (key, want string) {
	var list []json.RawMessage
	if json.Unmarshal(raw, &list) == nil {
		for _, one := range list {
			if key, want = s.folded(one); key != "" {
				return key, want
			}
		}
		return "", ""
	}
	var keys map[string]json.RawMessage
	if json.Unmarshal(raw, &keys) != nil {
		return "", ""
	}
	for k, v := range keys {
		for known, below := range s {
			if k != known && strings.EqualFold(k, known) {
				return k, known
			}
			if k == known && below != nil {
				if key, want = below.folded(v); key != "" {
					return key, want
				}
			}
		}
	}
	return "", ""
}

// strict decodes a document of which two readers cannot understand different things.
func (r *reader) strict(raw []byte, digest string, v any, s shape) error {
	if err := lock.StrictJSON(raw); err != nil {
		return r.refuse("OCI-02", digest, "%s: %v", digest, err)
	}
	var keys map[string]json.RawMessage
	if err := json.Unmarshal(raw, &keys); err != nil {
		return r.refuse("OCI-02", digest, "%s is no JSON object", digest)
	}
	if key, want := s.folded(raw); key != "" {
		return r.refuse("OCI-02", digest, "%s has the key %+q beside what is called %q", digest, cut(key), want)
	}
	if _, old := keys["fsLayers"]; old {
		return r.refuse("OCI-02", digest, "%s is a manifest of schema 1", digest)
	}
	if err := json.Unmarshal(raw, v); err != nil {
		return r.refuse("OCI-02", digest, "%s: %v", digest, err)
	}
	return nil
}
