package admission

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"

	"github.com/forge-build/forge/recipes"
	"github.com/forge-build/forge/recipes/trust"
	"github.com/forge-build/forge/signing/statement"
)

var update = flag.Bool("update", false, "write the golden files and the schemas anew")

// schemas are the controllers' own, taken from their modules by -update: of each the file in
// its module, the version, and the copy here.
var schemas = []struct{ kind, module, file, version string }{
	{"ClusterImagePolicy", "policy-controller", "github.com/sigstore/policy-controller/config/300-clusterimagepolicy.yaml", "v1beta1"},
	{"TrustRoot", "policy-controller", "github.com/sigstore/policy-controller/config/300-trustroot.yaml", "v1alpha1"},
	{"ImageValidatingPolicy", "kyverno", "github.com/kyverno/kyverno/config/crds/policies.kyverno.io/policies.kyverno.io_imagevalidatingpolicies.yaml", "v1beta1"},
}

// schemaOf is a kind's schema, in which a word that the controller does not know is an error.
func schemaOf(t *testing.T, kind string) *jsonschema.Schema {
	t.Helper()
	raw, err := os.ReadFile("testdata/schemas/" + kind + ".json")
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("schema.json", doc); err != nil {
		t.Fatal(err)
	}
	return c.MustCompile("schema.json")
}

// tightened drops the descriptions and refuses unknown properties, as an API server prunes
// them.
func tightened(v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := map[string]any{}
		for k, x := range v {
			if _, text := x.(string); k == "description" && text || strings.HasPrefix(k, "x-kubernetes-") || k == "default" || k == "format" {
				continue
			}
			out[k] = tightened(x)
		}
		if _, ok := out["properties"].(map[string]any); ok && out["additionalProperties"] == nil && v["x-kubernetes-preserve-unknown-fields"] == nil {
			out["additionalProperties"] = false
		}
		return out
	case []any:
		for i := range v {
			v[i] = tightened(v[i])
		}
	}
	return v
}

// writeSchemas takes the schemas from the modules that testdata/consumers pins.
func writeSchemas(t *testing.T) {
	for _, s := range schemas {
		cut := strings.Split(s.file, "/")
		module := strings.Join(cut[:3], "/")
		cmd := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", module)
		cmd.Dir = "testdata/consumers/" + s.module
		dir, err := cmd.Output()
		if err != nil {
			t.Fatal(err)
		}
		raw, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(dir)), strings.Join(cut[3:], "/")))
		if err != nil {
			t.Fatal(err)
		}
		var crd struct {
			Spec struct {
				Versions []struct {
					Name   string
					Schema struct {
						OpenAPI any `yaml:"openAPIV3Schema"`
					}
				}
			}
		}
		if err := yaml.Unmarshal(raw, &crd); err != nil {
			t.Fatal(err)
		}
		for _, v := range crd.Spec.Versions {
			if v.Name != s.version {
				continue
			}
			schema := tightened(v.Schema.OpenAPI).(map[string]any)
			top, ok := schema["properties"].(map[string]any)
			if !ok || top["spec"] == nil {
				t.Fatalf("%s has no spec", s.kind)
			}
			for _, k := range []string{"apiVersion", "kind"} { // the API server adds them to a schema without
				top[k] = map[string]any{"type": "string"}
			}
			top["metadata"] = map[string]any{"type": "object"}
			text, err := json.MarshalIndent(schema, "", " ")
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile("testdata/schemas/"+s.kind+".json", append(text, '\n'), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// documents are the resources of a file.
func documents(t *testing.T, raw []byte) []map[string]any {
	t.Helper()
	var out []map[string]any
	dec := yaml.NewDecoder(bytes.NewReader(raw))
	for {
		var v map[string]any
		err := dec.Decode(&v)
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			t.Fatalf("%v in\n%s", err, raw)
		}
		if v != nil {
			out = append(out, v)
		}
	}
}

// valid checks each resource against its controller's schema.
func valid(t *testing.T, raw []byte) []map[string]any {
	t.Helper()
	docs := documents(t, raw)
	if len(docs) == 0 {
		t.Fatalf("no resource in\n%s", raw)
	}
	for _, d := range docs {
		kind := fmt.Sprint(d["kind"])
		if err := schemaOf(t, kind).Validate(plain(t, d)); err != nil {
			t.Errorf("%s: %v", kind, err)
		}
	}
	return docs
}

// plain is a value as JSON has it.
func plain(t *testing.T, v any) any {
	t.Helper()
	raw, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	out, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func load(t *testing.T, path string) *trust.Policy {
	t.Helper()
	p, err := recipes.LoadTrust(path)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

var writers = map[string]func(*trust.Policy, Options) (*Document, error){"policy-controller": ClusterImagePolicies, "kyverno": ImageValidatingPolicies}

// isGolden compares a document with the file that -update writes.
func isGolden(t *testing.T, golden string, got []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(golden, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s: %s", golden, diff)
	}
}

func TestExportsAreWhatTheControllersRead(t *testing.T) {
	if *update {
		writeSchemas(t)
	}
	for controller, write := range writers {
		for _, name := range []string{"complete", "smallest"} {
			p := load(t, "testdata/"+name+".hcl")
			d, err := write(p, Options{})
			if err != nil {
				t.Fatal(err)
			}
			valid(t, d.YAML)
			golden := "testdata/" + name + "." + controller + ".yaml"
			isGolden(t, golden, d.YAML)
			for _, u := range d.Unsaid {
				if !strings.Contains(string(d.YAML), "# - "+ascii(u)) {
					t.Errorf("%s: %q is not said in the document", golden, u)
				}
			}
			legacy, err := write(p, Options{Legacy: true})
			if err != nil {
				t.Fatal(err)
			}
			valid(t, legacy.YAML)
		}
	}
}

// The schemas can fail: a misspelt word, a wrong kind of value.
func TestTheSchemasRefuseWhatTheControllersDoNotKnow(t *testing.T) {
	for kind, spec := range map[string]map[string]any{
		"ClusterImagePolicy":    {"images": []any{map[string]any{"globb": "**"}}},
		"TrustRoot":             {"sigstoreKey": map[string]any{}},
		"ImageValidatingPolicy": {"attestors": "x"},
	} {
		d := map[string]any{"apiVersion": "x", "kind": kind, "metadata": map[string]any{"name": "x"}, "spec": spec}
		if err := schemaOf(t, kind).Validate(plain(t, d)); err == nil {
			t.Errorf("%s: %v is taken", kind, spec)
		}
	}
}

// A builder that a rule names is found in forge's own ids too, and in nothing that looks like one.
func TestABuilderIsFoundInForgesIDs(t *testing.T) {
	const workflow = "https://ci.example/w.yml@main"
	for id, want := range map[string]bool{
		workflow:                                    true,
		statement.BuilderID("v1.2.3", workflow):     true,
		statement.BuilderID("v9", workflow):         true,
		statement.BuilderID("v1", workflow+"2"):     false,
		statement.BuilderID("v1", ""):               false,
		"https://evil.example/forge@v1#" + workflow: false,
		statement.Home + "@v1/x#" + workflow:        false,
		statement.Home + "@v1#x#" + workflow:        false,
		"x" + workflow:                              false,
		workflow + "\n":                             false,
	} {
		for _, m := range []trust.Match{{Text: workflow}, {Text: `https://ci\.example/[a-z]+\.yml@main`, Pattern: true}} {
			if got := regexp.MustCompile(builtBy(m)).MatchString(id); got != want {
				t.Errorf("%s for %v: %v", id, m, got)
			}
		}
	}
	for text, id := range map[string]string{"ml@acme.example": statement.BuilderID("v1", "ml@acme.example"), statement.Home + "/local": statement.BuilderID("v1", ""),
		statement.BuilderID("v1", ""): statement.BuilderID("v1", "")} {
		if !regexp.MustCompile(builtBy(trust.Match{Text: text})).MatchString(id) {
			t.Errorf("%s is not found in %s", text, id)
		}
	}
}

// What a policy says cannot leave the place in the document that it is written to.
func TestTextsStayTexts(t *testing.T) {
	evil := "x\"\nspec: {mode: warn}\n# \u2028'}]\\ ${{ }} --- \u202e"
	p := load(t, "testdata/complete.hcl")
	for i := range p.Rules {
		p.Rules[i].Name = evil + fmt.Sprint(i)
		if v := p.Rules[i].Provenance; v != nil {
			v.Builders = []trust.Match{{Text: evil}}
		}
	}
	for i := range p.Signers {
		s := &p.Signers[i]
		for _, r := range p.Rules {
			rename(r.SignedBy, s.Name, evil+s.Name)
			for _, w := range wanted(&r) {
				rename(w.signers, s.Name, evil+s.Name)
			}
		}
		s.Name = evil + s.Name
		if s.Key == nil {
			s.Identity, s.Issuer = trust.Match{Text: evil}, evil
		}
	}
	want := load(t, "testdata/complete.hcl")
	for controller, write := range writers {
		d, err := write(p, Options{})
		if err != nil {
			t.Fatal(err)
		}
		clean, err := write(want, Options{})
		if err != nil {
			t.Fatal(err)
		}
		got, expected := valid(t, d.YAML), documents(t, clean.YAML)
		if len(got) != len(expected) {
			t.Errorf("%s: %d resources, %d are due", controller, len(got), len(expected))
		}
		for i, r := range got {
			spec := r["spec"].(map[string]any)
			if mode := spec["mode"]; mode != nil && mode != "enforce" {
				t.Errorf("%s: resource %d has mode %v", controller, i, mode)
			}
		}
		if !strings.Contains(fmt.Sprintf("%q", got), fmt.Sprintf("%q", evil)[1:20]) {
			t.Errorf("%s: the text is lost", controller)
		}
		for _, c := range string(d.YAML) {
			if c > 0x7e || c < ' ' && c != '\n' {
				t.Fatalf("%s: %U in the document", controller, c)
			}
		}
	}
}

func rename(names []string, old, new string) {
	for i := range names {
		if names[i] == old {
			names[i] = new
		}
	}
}

// Exactly one rule applies to an image in Kyverno, as in forge.
func TestMoreSpecificRulesAreTakenOut(t *testing.T) {
	p := &trust.Policy{Rules: []trust.Rule{{Name: "all", Repositories: []trust.Scope{"*"}}, {Name: "team", Repositories: []trust.Scope{"r.example/ml/*"}}, {Name: "one", Repositories: []trust.Scope{"r.example/ml/a"}}}}
	w := &writer{policy: p}
	team, one := `(image(ref).registry() == "r.example" && image(ref).repository().startsWith("ml/"))`, `(image(ref).registry() == "r.example" && image(ref).repository() == "ml/a")`
	for i, want := range []string{"(true && !" + one + " && !" + team + ")", "(" + team + " && !" + one + ")", "(" + one + ")"} {
		if got := w.selects(&p.Rules[i]); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
	c := &writer{policy: p}
	c.overlaps(&p.Rules[1])
	if len(c.unsaid) != 1 || !strings.Contains(c.unsaid[0], `must fulfil images "team" too`) {
		t.Error(c.unsaid)
	}
}
