package signing

import (
	"encoding/json"
	"fmt"
	"regexp"

	"github.com/forge-build/forge/signing/statement"
	"github.com/forge-build/forge/signing/strictjson"
)

// Media and statement types. Sources: in-toto attestation framework, v1 and v0.1.
const (
	payloadType = "application/vnd.in-toto+json"
	statementV1 = "https://in-toto.io/Statement/v1"
	statementV0 = "https://in-toto.io/Statement/v0.1" // what cosign's attest writes
)

// head is what a statement says about itself.
type head struct {
	Statement, Type string
	Name, Digest    string // of its one subject; Digest is sha256:hex
	Predicate       json.RawMessage
	Elsewhere       *elsewhere // of a reference to one document
}

// kind is the predicate type of what is stated, wherever it lies.
func (h *head) kind() string {
	if h.Elsewhere != nil {
		return h.Elsewhere.Type
	}
	return h.Type
}

var hex256 = regexp.MustCompile(`^[0-9a-f]{64}$`)

// readStatement takes a payload apart: strict JSON, the four known keys in their exact
// spelling, exactly one subject with a lower-case sha256. signing A5, A9.
func readStatement(payload []byte) (*head, error) {
	if err := strictjson.Check(payload); err != nil {
		return nil, err
	}
	m, err := strictjson.Object(payload, "_type", "subject", "predicateType", "predicate")
	if err != nil {
		return nil, err
	}
	h := &head{Predicate: m["predicate"]}
	if err := text(m, "_type", &h.Statement); err != nil {
		return nil, err
	}
	if err := text(m, "predicateType", &h.Type); err != nil {
		return nil, err
	}
	if h.Statement != statementV1 && h.Statement != statementV0 {
		return nil, fmt.Errorf("_type is %s, not %q", strictjson.Quote(h.Statement), statementV1)
	}
	if len(h.Predicate) == 0 && h.Type != statement.TypeSignature { // cosign's signatures have none
		return nil, fmt.Errorf("it has no predicate")
	}
	var subjects []json.RawMessage
	if err := json.Unmarshal(m["subject"], &subjects); err != nil || len(subjects) != 1 {
		return nil, fmt.Errorf("it has %d subjects, not exactly one", len(subjects))
	}
	if h.Type == statement.TypeReference {
		h.Elsewhere = readReference(h.Predicate)
	}
	return h, h.subject(subjects[0])
}

func (h *head) subject(raw json.RawMessage) error {
	s, err := strictjson.Object(raw, "name", "digest", "uri", "content", "downloadLocation", "mediaType", "annotations")
	if err != nil {
		return fmt.Errorf("its subject: %w", err)
	}
	if _, ok := s["name"]; ok {
		if err := text(s, "name", &h.Name); err != nil {
			return fmt.Errorf("its subject: %w", err)
		}
	}
	var digests map[string]string
	if err := json.Unmarshal(s["digest"], &digests); err != nil {
		return fmt.Errorf("its subject has no digest")
	}
	hex, ok := digests["sha256"]
	if !ok || !hex256.MatchString(hex) {
		return fmt.Errorf("its subject has no sha256 in lower-case hex, but %s", strictjson.Quote(fmt.Sprint(digests)))
	}
	h.Digest = "sha256:" + hex
	return nil
}

func text(m map[string]json.RawMessage, key string, to *string) error {
	raw, ok := m[key]
	if !ok {
		return fmt.Errorf("%s is missing", key)
	}
	if len(raw) == 0 || raw[0] != '"' || json.Unmarshal(raw, to) != nil {
		return fmt.Errorf("%s is no text", key)
	}
	return nil
}
