package signing

import (
	"maps"
	"slices"
)

// Predicate types. Sources: cosign's bundle signatures; slsa.dev/provenance; spdx.dev;
// cyclonedx.org; github.com/in-toto/attestation/spec/predicates; openvex.dev.
const (
	TypeSignature    = "https://sigstore.dev/cosign/sign/v1"
	TypeProvenance   = "https://slsa.dev/provenance/v1"
	TypeSPDX         = "https://spdx.dev/Document"
	TypeCycloneDX    = "https://cyclonedx.org/bom"
	TypeVulns        = "https://in-toto.io/attestation/vulns/v0.2"
	TypeVulnsCosign  = "https://cosign.sigstore.dev/attestation/vuln/v1"
	TypeOpenVEX      = "https://openvex.dev/ns/v0.2.0"
	TypeOpenVEXPlain = "https://openvex.dev/ns"
	TypeTests        = "https://in-toto.io/attestation/test-result/v0.1"
	TypeFacts        = "https://github.com/forge-build/forge/facts/v1" // forge's own: driver, GPUs
	TypeBase         = "https://github.com/forge-build/forge/base/v1"  // forge's own: who signed the image below
	TypeReference    = "https://in-toto.io/attestation/reference/v0.1" // a document that lies elsewhere
)

// kinds are the short names of statements that people use.
var kinds = map[string][]string{
	"signature":  {TypeSignature},
	"sbom":       {TypeSPDX, TypeCycloneDX},
	"spdx":       {TypeSPDX},
	"cyclonedx":  {TypeCycloneDX},
	"provenance": {TypeProvenance},
	"scan":       {TypeVulns, TypeVulnsCosign},
	"vex":        {TypeOpenVEX, TypeOpenVEXPlain},
	"tests":      {TypeTests},
	"facts":      {TypeFacts},
	"base":       {TypeBase},
}

// Kinds are the short names that Types knows, sorted.
func Kinds() []string { return slices.Sorted(maps.Keys(kinds)) }

// Types are the predicate types that a short name or a full type stands for; nil if it is
// neither. A full type has a scheme.
func Types(kind string) []string {
	if t, ok := kinds[kind]; ok {
		return slices.Clone(t)
	}
	if isURI(kind) {
		return []string{kind}
	}
	return nil
}
