package push

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/forge-build/forge/recipes/registry"
)

// What is bounded before it is parsed.
const (
	maxManifest  = 4 << 20 // distribution specification, "Pushing manifests"
	maxReferrers = registry.MaxReferrers
	maxEntries   = maxReferrers // of an index, which a fallback tag may be, and layers of a manifest
	maxDepth     = 32           // of JSON
	maxPages     = registry.MaxPages
)

// Document is a manifest or an index that has been judged.
type Document struct {
	Descriptor v1.Descriptor // of these very bytes
	Raw        []byte

	Config       *v1.Descriptor    // of a manifest
	Layers       []v1.Descriptor   // of a manifest
	Manifests    []v1.Descriptor   // of an index
	Subject      *v1.Descriptor    // what it refers to, or nil
	ArtifactType string            // as the document says it itself, or empty
	Annotations  map[string]string // or nil
}

// IsIndex says whether it lists manifests.
func (d *Document) IsIndex() bool { return d.Descriptor.MediaType.IsIndex() }

// Type is what kind of thing a referrer is. Source: image specification, "Guidelines for
// artifact usage".
func (d *Document) Type() string {
	if d.ArtifactType == "" && d.Config != nil {
		return string(d.Config.MediaType)
	}
	return d.ArtifactType
}

var (
	indexTypes    = []types.MediaType{types.OCIImageIndex, types.DockerManifestList}
	manifestTypes = []types.MediaType{types.OCIManifestSchema1, types.DockerManifestSchema2}
)

// ReadDocument judges the bytes of a manifest or index strictly (OCI-01, -02, -03). promised is
// the media type that a descriptor or an answer's header states, or empty.
func ReadDocument(raw []byte, promised types.MediaType) (*Document, error) {
	if len(raw) > maxManifest {
		return nil, refuse("OCI-02", "a manifest of more than %d bytes", maxManifest)
	}
	if err := strict(raw); err != nil {
		return nil, refuse("OCI-02", "a manifest that is ambiguous: %v", err)
	}
	var m struct {
		SchemaVersion int64             `json:"schemaVersion"`
		MediaType     types.MediaType   `json:"mediaType"`
		ArtifactType  string            `json:"artifactType"`
		Config        *v1.Descriptor    `json:"config"`
		Layers        []v1.Descriptor   `json:"layers"`
		Manifests     []v1.Descriptor   `json:"manifests"`
		Subject       *v1.Descriptor    `json:"subject"`
		Annotations   map[string]string `json:"annotations"`
	}
	if err := json.Unmarshal(raw, &m); err != nil {
		return nil, refuse("OCI-02", "a manifest that cannot be read: %v", err)
	}
	digest, _, _ := v1.SHA256(bytes.NewReader(raw)) // memory can be read
	kind := m.MediaType
	if kind == "" {
		kind = promised
	}
	if kind == "" { // podman and skopeo write none into manifests, and a digest alone promises none
		if kind = types.OCIManifestSchema1; m.Manifests != nil {
			kind = types.OCIImageIndex
		}
	}
	d := &Document{Descriptor: v1.Descriptor{MediaType: kind, Digest: digest, Size: int64(len(raw)), ArtifactType: m.ArtifactType}, Raw: raw,
		Config: m.Config, Layers: m.Layers, Manifests: m.Manifests, Subject: m.Subject, ArtifactType: m.ArtifactType, Annotations: m.Annotations}
	switch {
	case m.SchemaVersion != 2:
		return nil, refuse("OCI-02", "%s has the schemaVersion %d, 2 is due", digest, m.SchemaVersion)
	case m.MediaType != "" && promised != "" && m.MediaType != promised:
		return nil, refuse("OCI-02", "%s says that it is %s, and is announced as %s", digest, quoted(string(m.MediaType)), quoted(string(promised)))
	case m.Manifests != nil && (m.Layers != nil || m.Config != nil):
		return nil, refuse("OCI-02", "%s is both an index and a manifest", digest)
	case slices.Contains(indexTypes, kind) && m.Layers == nil && m.Config == nil:
	case slices.Contains(manifestTypes, kind) && m.Manifests == nil && m.Config != nil:
	default:
		return nil, refuse("OCI-02", "%s has the media type %s, which its content is not", digest, quoted(string(kind)))
	}
	return d, d.entries()
}

func (d *Document) entries() error {
	all := slices.Concat(d.Layers, d.Manifests)
	if len(all) > maxEntries {
		return refuse("OCI-03", "%s lists %d entries, the limit is %d", d.Descriptor.Digest, len(all), maxEntries)
	}
	for _, x := range []*v1.Descriptor{d.Config, d.Subject} {
		if x != nil {
			all = append(all, *x)
		}
	}
	for _, x := range all {
		switch {
		case x.Digest.Algorithm != "sha256" || len(x.Digest.Hex) != 64 || strings.ToLower(x.Digest.Hex) != x.Digest.Hex:
			return refuse("OCI-01", "%s names %s, which is no sha256", d.Descriptor.Digest, quoted(x.Digest.String()))
		case x.Size < 0:
			return refuse("OCI-02", "%s names a blob of %d bytes", d.Descriptor.Digest, x.Size)
		case len(x.URLs) > 0:
			return refuse("OCI-03", "%s has a layer that lies elsewhere (urls)", d.Descriptor.Digest)
		}
	}
	return nil
}

// strict refuses JSON in which a key stands twice, also in another case, that is nested
// deeply, or that is followed by more.
func strict(raw []byte) error {
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	if err := value(dec, 0, false); err != nil {
		return err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return errors.New("more follows the document")
	}
	return nil
}

// folded is a key as encoding/json compares it: the long s is an s too.
func folded(key string) string { return strings.ReplaceAll(strings.ToLower(key), "\u017f", "s") }

// value reads one value; of annotations the keys are told apart by case.
func value(dec *json.Decoder, depth int, exact bool) error {
	t, err := dec.Token()
	if err != nil {
		return err
	}
	delim, ok := t.(json.Delim)
	if !ok {
		return nil
	}
	if depth == maxDepth {
		return fmt.Errorf("nested deeper than %d", maxDepth)
	}
	seen := map[string]bool{}
	for dec.More() {
		below := exact
		if delim == '{' {
			t, err := dec.Token()
			if err != nil {
				return err
			}
			key := t.(string) // the decoder gives nothing else here
			below = exact || key == "annotations"
			if !exact {
				key = folded(key)
			}
			if seen[key] {
				return fmt.Errorf("key %s stands twice", quoted(key))
			}
			seen[key] = true
		}
		if err := value(dec, depth+1, below); err != nil {
			return err
		}
	}
	_, err = dec.Token()
	return err
}
