package signing

import (
	"maps"
	"slices"

	"github.com/forge-build/forge/signing/statement"
)

// kinds are the short names of statements that people use.
var kinds = map[string][]string{
	"signature":  {statement.TypeSignature},
	"sbom":       {statement.TypeSPDX, statement.TypeCycloneDX},
	"spdx":       {statement.TypeSPDX},
	"cyclonedx":  {statement.TypeCycloneDX},
	"provenance": {statement.TypeProvenance},
	"scan":       {statement.TypeVulns, statement.TypeVulnsCosign},
	"vex":        {statement.TypeOpenVEX, statement.TypeOpenVEXPlain},
	"tests":      {statement.TypeTests},
	"facts":      {statement.TypeFacts},
	"base":       {statement.TypeBase},
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
