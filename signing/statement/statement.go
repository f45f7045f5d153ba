package statement

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
)

// Predicate types. Sources: slsa.dev/spec/v1.0/provenance; github.com/in-toto/attestation,
// spec/predicates; github.com/sigstore/cosign, pkg/types; openvex.dev/docs.
const (
	TypeSignature  = "https://sigstore.dev/cosign/sign/v1"
	TypeProvenance = "https://slsa.dev/provenance/v1"
	TypeSPDX       = "https://spdx.dev/Document"
	TypeCycloneDX  = "https://cyclonedx.org/bom"
	TypeVulns      = "https://in-toto.io/attestation/vulns/v0.2"
	TypeOpenVEX    = "https://openvex.dev/ns/v0.2.0"
	TypeTests      = "https://in-toto.io/attestation/test-result/v0.1"
	TypeFacts      = "https://github.com/forge-build/forge/facts/v1"
	TypeBase       = "https://github.com/forge-build/forge/base/v1"
)

// Image is what a statement is about.
type Image struct {
	Repository string // registry and path, without tag or digest
	Digest     string // "sha256:…" of the manifest or index
}

// Statement is one thing that is said of an image.
type Statement struct {
	Type      string
	Predicate any // what encoding/json makes an object of; json.RawMessage is taken as it is
}

type subject struct {
	Name   string            `json:"name"`
	Digest map[string]string `json:"digest"`
}

var sha256Form = regexp.MustCompile(`^sha256:([0-9a-f]{64})$`)

// Write gives the statement's bytes.
func (s Statement) Write(about Image) ([]byte, error) {
	m := sha256Form.FindStringSubmatch(about.Digest)
	if m == nil || about.Repository == "" || strings.ContainsAny(about.Repository, "@ \n") {
		return nil, fmt.Errorf("internal error: a statement about %q@%q", about.Repository, about.Digest)
	}
	predicate, err := json.Marshal(s.Predicate)
	if err != nil {
		return nil, fmt.Errorf("writing statement %s: %w", s.Type, err)
	}
	if !bytes.HasPrefix(predicate, []byte("{")) {
		return nil, fmt.Errorf("writing statement %s: its predicate is no object", s.Type)
	}
	return json.Marshal(struct {
		Type          string          `json:"_type"`
		Subject       []subject       `json:"subject"`
		PredicateType string          `json:"predicateType"`
		Predicate     json.RawMessage `json:"predicate"`
	}{"https://in-toto.io/Statement/v1", []subject{{about.Repository, map[string]string{"sha256": m[1]}}}, s.Type, predicate})
}

// Signature is the statement of a plain signature.
func Signature() Statement { return Statement{TypeSignature, struct{}{}} }

// SPDX wraps an SPDX document.
func SPDX(document []byte) Statement { return Statement{TypeSPDX, json.RawMessage(document)} }

// CycloneDX wraps a CycloneDX document.
func CycloneDX(document []byte) Statement { return Statement{TypeCycloneDX, json.RawMessage(document)} }

// OpenVEX wraps an OpenVEX document.
func OpenVEX(document []byte) Statement { return Statement{TypeOpenVEX, json.RawMessage(document)} }
