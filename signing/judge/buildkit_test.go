package judge

import (
	"encoding/json"
	"testing"

	"github.com/in-toto/in-toto-golang/in_toto/slsa_provenance/common"
	slsa1 "github.com/in-toto/in-toto-golang/in_toto/slsa_provenance/v1"
	"github.com/moby/buildkit/solver/llbsolver/provenance/types"

	"github.com/forge-build/forge/recipes/trust"
)

// What BuildKit writes of a build, once somebody has signed it: in its own types, with a name
// for the builder or without one.
func TestAProvenanceOfBuildKitIsRead(t *testing.T) {
	of := func(builder string) Statement {
		p := types.ProvenancePredicateSLSA1{}
		p.BuildDefinition.BuildType = types.BuildKitBuildType1
		p.BuildDefinition.ExternalParameters.Request = types.Parameters{Frontend: "dockerfile.v0", Args: map[string]string{"build-arg:X": "1"}}
		p.BuildDefinition.InternalParameters.BuilderPlatform = "linux/amd64"
		p.BuildDefinition.ResolvedDependencies = []slsa1.ResourceDescriptor{{URI: "pkg:docker/debian@trixie?platform=linux%2Famd64", Digest: common.DigestSet{"sha256": hexA}}}
		p.RunDetails.Builder.ID = builder
		p.RunDetails.Metadata = &types.ProvenanceMetadataSLSA1{Hermetic: true}
		raw, err := json.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		return Statement{Type: TypeProvenance, Document: text(string(raw)), Signers: []string{"ci"}}
	}
	any := &trust.Rule{Provenance: &trust.Provenance{SignedBy: []string{"ci"}}}
	named := &trust.Rule{Provenance: &trust.Provenance{SignedBy: []string{"ci"}, Builders: []trust.Match{{Text: "https://ci.example/run/1"}, {Pattern: true, Text: "x?"}}}}
	for name, row := range map[string]struct {
		rule *trust.Rule
		s    Statement
		want string
	}{
		"any builder":                      {any, of(""), ""},
		"any builder, named":               {any, of("https://ci.example/run/1"), ""},
		"a builder":                        {named, of("https://ci.example/run/1"), ""},
		"another builder":                  {named, of("https://ci.example/run/2"), "builder: expected https://ci.example/run/1"},
		"a builder, where none is named":   {named, of(""), "found one without a name"},
		"a base, of which it says nothing": {&trust.Rule{Bases: []string{"debian trixie"}, Provenance: any.Provenance}, of(""), "none is named"},
	} {
		t.Run(name, func(t *testing.T) { expect(t, Case{Rule: row.rule, Statements: []Statement{row.s}}, row.want) })
	}
}
