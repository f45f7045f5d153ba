package admission

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/forge-build/forge/recipes/trust"
)

// What podman, skopeo and CRI-O read: golden files, and an older podman's strict reader takes none
// but the words that it knows (.ci/publish asks the real ones).
func TestWhatPodmanReads(t *testing.T) {
	for file, write := range map[string]func(*trust.Policy, Options) (*Document, error){".policy.json": ContainersPolicy, ".registries.yaml": ContainersRegistries} {
		for _, name := range []string{"complete", "smallest"} {
			d, err := write(load(t, "testdata/"+name+".hcl"), Options{})
			if err != nil {
				t.Fatal(err)
			}
			isGolden(t, "testdata/"+name+file, d.YAML)
		}
	}
}

// A rule that policy.json cannot say is refused there, never weakened.
func TestWhatPolicyJSONCannotSayIsRefused(t *testing.T) {
	key := &trust.File{Bytes: []byte("K")}
	signers := []trust.Signer{{Name: "a", Key: key}, {Name: "b", Key: key}, {Name: "id", Identity: trust.Match{Text: "x@y.example"}, Issuer: "https://i.example"}}
	const refused = `[{"type":"reject"}]`
	same := `"signedIdentity":{"type":"matchRepository"}}`
	one := `{"type":"sigstoreSigned","keyData":"Sw==",` + same
	for name, row := range map[string]struct {
		rule   trust.Rule
		at     string
		want   string
		unsaid string
	}{
		"one key":                   {trust.Rule{SignedBy: []string{"a"}}, "r.example/ml", "[" + one + "]", ""},
		"any of two":                {trust.Rule{SignedBy: []string{"a", "b"}}, "r.example/ml", `[{"type":"sigstoreSigned","keyDatas":["Sw==","Sw=="],` + same + "]", "before podman 5"},
		"each of two":               {trust.Rule{SignedBy: []string{"a", "b"}, Signatures: 2}, "r.example/ml", "[" + one + "," + one + "]", ""},
		"an identity":               {trust.Rule{SignedBy: []string{"id"}}, "r.example/ml", refused, "an identity"},
		"a key or an identity":      {trust.Rule{SignedBy: []string{"a", "id"}}, "r.example/ml", "[" + one + "]", "what it alone has signed is refused"},
		"a key and an identity":     {trust.Rule{SignedBy: []string{"a", "id"}, Signatures: 2}, "r.example/ml", refused, ""},
		"two of three":              {trust.Rule{SignedBy: []string{"a", "b", "id"}, Signatures: 2}, "r.example/ml", refused, "2 of 3 signers"},
		"a mirror of one":           {trust.Rule{SignedBy: []string{"a"}, Mirrors: []trust.Mirror{{At: "m.example/x", Of: "r.example/ml/x"}}}, "m.example/x", `[{"type":"sigstoreSigned","keyData":"Sw==","signedIdentity":{"type":"exactRepository","dockerRepository":"r.example/ml/x"}}]`, ""},
		"a mirror of many":          {trust.Rule{SignedBy: []string{"a"}, Mirrors: []trust.Mirror{{At: "m.example/*", Of: "r.example/ml/*"}}}, "m.example", refused, "mirrors of more than one"},
		"statements":                {trust.Rule{SignedBy: []string{"a"}, Tests: &trust.Tests{SignedBy: []string{"a"}}}, "r.example/ml", "[" + one + "]", "the statement tests"},
		"Docker Hub, by its name":   {trust.Rule{SignedBy: []string{"a"}, Repositories: []trust.Scope{"index.docker.io/acme/*"}}, "docker.io/acme", "[" + one + "]", ""},
		"everything that is listed": {trust.Rule{SignedBy: []string{"a"}, Repositories: []trust.Scope{"*"}}, "", "[" + one + "]", ""},
	} {
		t.Run(name, func(t *testing.T) {
			if row.rule.Repositories == nil {
				row.rule.Repositories = []trust.Scope{"r.example/ml/*"}
			}
			d, err := ContainersPolicy(&trust.Policy{Signers: signers, Rules: []trust.Rule{row.rule}}, Options{})
			if err != nil {
				t.Fatal(err)
			}
			var got struct {
				Default    json.RawMessage
				Transports struct{ Docker map[string]json.RawMessage }
			}
			if err := json.Unmarshal(d.YAML, &got); err != nil {
				t.Fatal(err)
			}
			if s := strings.Join(strings.Fields(string(got.Transports.Docker[row.at])), ""); s != row.want || strings.Join(strings.Fields(string(got.Default)), "") != refused {
				t.Errorf("got %s, want %s", s, row.want)
			}
			if !strings.Contains(strings.Join(d.Unsaid, "\n"), row.unsaid) {
				t.Errorf("%q is not said: %q", row.unsaid, d.Unsaid)
			}
		})
	}
}
