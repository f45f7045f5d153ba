package statement

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
)

// Predicate types. Sources: slsa.dev/spec/v1.0/provenance; github.com/in-toto/attestation,
// spec/predicates; github.com/sigstore/cosign, pkg/types; openvex.dev/docs.
const (
	TypeSignature    = "https://sigstore.dev/cosign/sign/v1"
	TypeProvenance   = "https://slsa.dev/provenance/v1"
	TypeSPDX         = "https://spdx.dev/Document"
	TypeCycloneDX    = "https://cyclonedx.org/bom"
	TypeVulns        = "https://in-toto.io/attestation/vulns/v0.2"
	TypeVulnsCosign  = "https://cosign.sigstore.dev/attestation/vuln/v1" // github.com/sigstore/cosign/specs; read alone
	TypeOpenVEX      = "https://openvex.dev/ns/v0.2.0"
	TypeOpenVEXPlain = "https://openvex.dev/ns" // read alone
	TypeTests        = "https://in-toto.io/attestation/test-result/v0.1"
	TypeFacts        = "https://github.com/forge-build/forge/facts/v1" // forge's own: driver, GPUs
	TypeBase         = "https://github.com/forge-build/forge/base/v1"  // forge's own: who signed the image below
	TypeReference    = "https://in-toto.io/attestation/reference/v0.1" // a document that lies elsewhere
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
	predicate, err := s.Document()
	if err != nil {
		return nil, err
	}
	return json.Marshal(struct {
		Type          string          `json:"_type"`
		Subject       []subject       `json:"subject"`
		PredicateType string          `json:"predicateType"`
		Predicate     json.RawMessage `json:"predicate"`
	}{"https://in-toto.io/Statement/v1", []subject{{about.Repository, map[string]string{"sha256": m[1]}}}, s.Type, predicate})
}

// Document is what the statement says, as JSON.
func (s Statement) Document() ([]byte, error) {
	raw, err := json.Marshal(s.Predicate)
	if err != nil {
		return nil, fmt.Errorf("writing statement %s: %w", s.Type, err)
	}
	if !bytes.HasPrefix(raw, []byte("{")) {
		return nil, fmt.Errorf("writing statement %s: its predicate is no object", s.Type)
	}
	return raw, nil
}

// descriptor names a document. Source: in-toto attestation framework, ResourceDescriptor.
type descriptor struct {
	Digest      map[string]string `json:"digest"`
	MediaType   string            `json:"mediaType"`
	Location    string            `json:"downloadLocation"`
	Annotations map[string]any    `json:"annotations"`
}

// Elsewhere is a statement that names a document by its digest, instead of holding it. The document
// lies in the image's repository as a blob; which predicate type it would have is an annotation.
// Source: in-toto attestation framework, predicates, Reference v0.1.
func Elsewhere(kind string, document []byte, about Image) Statement {
	hex := fmt.Sprintf("%x", sha256.Sum256(document))
	registry, path, _ := strings.Cut(about.Repository, "/")
	return Statement{TypeReference, map[string]any{
		"attester": map[string]string{"id": Home},
		"references": []descriptor{{map[string]string{"sha256": hex}, MediaType(kind), "https://" + registry + "/v2/" + path + "/blobs/sha256:" + hex,
			map[string]any{"predicateType": kind, "size": len(document)}}},
	}}
}

// MediaType is that of a document of a predicate type, in a file of its own.
func MediaType(kind string) string {
	switch kind {
	case TypeSPDX:
		return "application/spdx+json"
	case TypeCycloneDX:
		return "application/vnd.cyclonedx+json"
	}
	return "application/json"
}

// Signature is the statement of a plain signature.
func Signature() Statement { return Statement{TypeSignature, struct{}{}} }

// SPDX wraps an SPDX document.
func SPDX(document []byte) Statement { return Statement{TypeSPDX, json.RawMessage(document)} }

// CycloneDX wraps a CycloneDX document.
func CycloneDX(document []byte) Statement { return Statement{TypeCycloneDX, json.RawMessage(document)} }

// OpenVEX wraps an OpenVEX document.
func OpenVEX(document []byte) Statement { return Statement{TypeOpenVEX, json.RawMessage(document)} }
