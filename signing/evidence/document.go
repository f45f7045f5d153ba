package evidence

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/forge-build/forge/signing/strictjson"
)

// sum is the digest of bytes.
func sum(raw []byte) v1.Hash {
	s := sha256.Sum256(raw)
	return v1.Hash{Algorithm: "sha256", Hex: hex.EncodeToString(s[:])}
}

// right says whether a digest is a lower-case sha256. hostile-input OCI-01.
func right(h v1.Hash) error {
	raw, err := hex.DecodeString(h.Hex)
	if h.Algorithm != "sha256" || err != nil || len(raw) != sha256.Size || hex.EncodeToString(raw) != h.Hex {
		return junk("OCI-01: %s is no sha256 digest", strictjson.Quote(h.Algorithm+":"+h.Hex))
	}
	return nil
}

// ParseDocument judges the bytes of an index or manifest: strict JSON, schemaVersion 2, one
// media type that its body, the registry and its shape agree on, digests and sizes that can
// be. served is the type that came with it; empty if none did. hostile-input OCI-02.
func ParseDocument(raw []byte, served string) (*Document, error) {
	if err := strictjson.Check(raw); err != nil {
		return nil, junk("OCI-02: %v", err)
	}
	var keys map[string]json.RawMessage
	if err := json.Unmarshal(raw, &keys); err != nil {
		return nil, junk("OCI-02: it is no JSON object")
	}
	if err := spelt(raw); err != nil {
		return nil, err
	}
	var head struct {
		SchemaVersion int             `json:"schemaVersion"`
		MediaType     types.MediaType `json:"mediaType"`
	}
	if err := json.Unmarshal(raw, &head); err != nil {
		return nil, junk("OCI-02: %s", strictjson.Clip(err.Error()))
	}
	mt, err := documentType(head.MediaType, served, keys)
	if err != nil {
		return nil, err
	}
	if head.SchemaVersion != 2 {
		return nil, junk("OCI-02: schemaVersion is %d, not 2", head.SchemaVersion)
	}
	d := &Document{Digest: sum(raw), MediaType: mt, Raw: raw}
	var descs []v1.Descriptor
	if mt.IsIndex() {
		d.Index, err = v1.ParseIndexManifest(bytes.NewReader(raw))
		if err == nil {
			descs = d.Index.Manifests
		}
	} else {
		d.Image, err = v1.ParseManifest(bytes.NewReader(raw))
		if err == nil {
			descs = append([]v1.Descriptor{d.Image.Config}, d.Image.Layers...)
		}
	}
	if err != nil {
		return nil, junk("OCI-02: %s", strictjson.Clip(err.Error()))
	}
	for _, desc := range descs {
		if err := right(desc.Digest); err != nil {
			return nil, err
		}
		if desc.Size < 0 {
			return nil, junk("OCI-02: %s has size %d", desc.Digest, desc.Size)
		}
	}
	return d, nil
}

// documentType is the one media type that all signs agree on. signing A8.
func documentType(body types.MediaType, served string, keys map[string]json.RawMessage) (types.MediaType, error) {
	_, manifests := keys["manifests"]
	_, layers := keys["layers"]
	_, config := keys["config"]
	if manifests && (layers || config) {
		return "", junk("OCI-02: it is an index and an image at once")
	}
	mt := body
	if mt == "" { // OCI allows a document without; then what it was served as
		mt = types.MediaType(served)
	}
	if mt == "" && manifests {
		mt = types.OCIImageIndex
	} else if mt == "" {
		mt = types.OCIManifestSchema1
	}
	switch {
	case !mt.IsIndex() && !mt.IsImage():
		return "", junk("OCI-02: media type %s is no index and no image", strictjson.Quote(string(mt)))
	case served != "" && served != string(mt):
		return "", junk("OCI-02: it was served as %s and says of itself that it is %s", strictjson.Quote(served), strictjson.Quote(string(mt)))
	case mt.IsIndex() != manifests, mt.IsImage() != (layers || config):
		return "", junk("OCI-02: its media type is %s, which does not fit what is in it", strictjson.Quote(string(mt)))
	}
	return mt, nil
}

// words are the keys of indexes, manifests, descriptors and platforms. Source: OCI image
// specification.
var words = []string{
	"schemaVersion", "mediaType", "manifests", "layers", "config", "subject", "artifactType", "annotations",
	"digest", "size", "urls", "data", "platform", "os", "architecture", "variant", "os.version", "os.features", "features",
}

// spelt wants each key in its exact spelling, however deep: Go takes "Digest" for "digest", other
// readers do not, so that a document could name one image to each.
func spelt(raw []byte) error {
	var v any
	if err := json.Unmarshal(raw, &v); err != nil {
		return junk("OCI-02: %s", strictjson.Clip(err.Error()))
	}
	return speltBelow(v)
}

func speltBelow(v any) error {
	switch v := v.(type) {
	case []any:
		for _, x := range v {
			if err := speltBelow(x); err != nil {
				return err
			}
		}
	case map[string]any:
		for k, x := range v {
			if i := slices.IndexFunc(words, func(w string) bool { return strings.EqualFold(k, w) }); i >= 0 && words[i] != k {
				return junk("OCI-02: key %s is not spelt %q", strictjson.Quote(k), words[i])
			}
			if k == "annotations" {
				continue // free text
			}
			if err := speltBelow(x); err != nil {
				return err
			}
		}
	}
	return nil
}

// verifyBytes compares what was read with the descriptor that named it.
func verifyBytes(raw []byte, want v1.Hash, size int64) error {
	if size >= 0 && int64(len(raw)) != size {
		return junk("OCI-01: it has %d bytes, its descriptor says %d", len(raw), size)
	}
	if got := sum(raw); got != want {
		return junk("OCI-01: its digest is %s, not %s", got, want)
	}
	return nil
}

// compressed says whether bytes begin as gzip or zstd does.
func compressed(raw []byte) bool {
	return bytes.HasPrefix(raw, []byte{0x1f, 0x8b}) || bytes.HasPrefix(raw, []byte{0x28, 0xb5, 0x2f, 0xfd})
}

func tagged(h v1.Hash, suffix string) string {
	return fmt.Sprintf("%s-%s%s", h.Algorithm, h.Hex, suffix)
}
