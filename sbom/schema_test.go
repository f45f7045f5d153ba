package sbom

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/CycloneDX/cyclonedx-go"
	"github.com/github/go-spdx/v2/spdxexp/spdxlicenses"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

// schema compiles one of the official schemas, without a network.
func schema(t *testing.T, name string) *jsonschema.Schema {
	t.Helper()
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	for _, file := range []string{"spdx-schema-2.3.json", "bom-1.6.schema.json", "spdx.schema.json", "jsf-0.82.schema.json"} {
		raw, err := os.ReadFile(filepath.Join("testdata", "schema", file))
		if err != nil {
			t.Fatal(err)
		}
		doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
		if err != nil {
			t.Fatal(err)
		}
		for _, url := range []string{"file:///" + file, "http://cyclonedx.org/schema/" + file} {
			if err := c.AddResource(url, doc); err != nil {
				t.Fatal(err)
			}
		}
	}
	s, err := c.Compile("file:///" + name)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func check(s *jsonschema.Schema, raw []byte) error {
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
	if err != nil {
		return err
	}
	return errors.Join(s.Validate(doc), refers(raw))
}

// refers says whether everything that a document refers to stands in it, of which schemas say nothing.
func refers(raw []byte) error {
	var d struct {
		Metadata      struct{ Component cyclonedx.Component }
		Components    []cyclonedx.Component
		Dependencies  []cyclonedx.Dependency
		Packages      []struct{ SPDXID string }
		Files         []struct{ SPDXID string }
		Relationships []struct{ SpdxElementID, RelatedSpdxElement string }
	}
	if err := json.Unmarshal(raw, &d); err != nil {
		return err
	}
	known := map[string]bool{"SPDXRef-DOCUMENT": true, "NOASSERTION": true, "NONE": true}
	var add func([]cyclonedx.Component)
	add = func(list []cyclonedx.Component) {
		for _, c := range list {
			known[c.BOMRef] = true
			if c.Components != nil {
				add(*c.Components)
			}
		}
	}
	add(append(d.Components, d.Metadata.Component))
	for _, p := range append(d.Packages, d.Files...) {
		known[p.SPDXID] = true
	}
	var lost []error
	need := func(refs ...string) {
		for _, r := range refs {
			if !known[r] && len(lost) < 5 {
				lost = append(lost, fmt.Errorf("%q is referred to, and is not there", r))
			}
		}
	}
	for _, x := range d.Dependencies {
		need(x.Ref)
		if x.Dependencies != nil {
			need(*x.Dependencies...)
		}
	}
	for _, r := range d.Relationships {
		need(r.SpdxElementID, r.RelatedSpdxElement)
	}
	return errors.Join(lost...)
}

func TestDocumentsFitTheOfficialSchemas(t *testing.T) {
	spdx, cdx := schema(t, "spdx-schema-2.3.json"), schema(t, "bom-1.6.schema.json")
	im, plan := forged(join(files{"app/main.py": "print()", "app/model.safetensors": "w", "usr/lib/forge/removed.json": `[{"path":"a","rule":"tests","owner":"torch","size":3}]`}, wheelAt("app/vendor/", "helper", "1")))
	images := map[string]*Inventory{
		"a forge image": compared(t, im, plan),
		"nothing":       listed(t, files{"a": "b"}),
		"hostile names": listed(t, hostileNames()),
		"licences":      listed(t, licensed()...),
		"models":        listed(t, debian(), modelFiles()),
	}
	for name, inv := range images {
		for f, s := range map[Format]*jsonschema.Schema{SPDX: spdx, CycloneDX: cdx} {
			var b bytes.Buffer
			if err := inv.Write(&b, f); err != nil {
				t.Fatal(err)
			}
			if err := check(s, b.Bytes()); err != nil {
				t.Errorf("%s as %s: %v", name, f, err)
			}
			if bytes.ContainsAny(b.Bytes(), "\x00\x1b\x07\u202e") || bytes.Contains(b.Bytes(), []byte(`\u001b`)) || bytes.Contains(b.Bytes(), []byte(`\u0007`)) {
				t.Errorf("%s as %s has control characters", name, f)
			}
			// The schemas must be ones that can say no.
			if check(s, bytes.Replace(b.Bytes(), []byte(`"name":`), []byte(`"nmae":`), 1)) == nil {
				t.Errorf("%s as %s: a misspelt field is taken", name, f)
			}
		}
	}
}

// documents is a glob of finished documents, which a build has written.
var documents = flag.String("documents", "", "glob that finds SBOMs to check as well: NAME.spdx.json and NAME.cdx.json")

func TestFinishedDocumentsFitTheOfficialSchemas(t *testing.T) {
	if *documents == "" {
		t.Skip("no -documents were named; .ci/sbom names the examples'")
	}
	names, err := filepath.Glob(*documents)
	if err != nil {
		t.Fatal(err)
	}
	schemas := map[string]*jsonschema.Schema{".spdx.json": schema(t, "spdx-schema-2.3.json"), ".cdx.json": schema(t, "bom-1.6.schema.json")}
	seen := map[string]int{}
	for _, name := range names {
		for end, s := range schemas {
			if !strings.HasSuffix(name, end) {
				continue
			}
			seen[end]++
			raw, err := os.ReadFile(name)
			if err == nil {
				err = check(s, raw)
			}
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	if len(seen) != len(schemas) {
		t.Errorf("%q names too little: %v", *documents, seen)
	}
}

// hostileNames are distributions whose text is not what it seems.
func hostileNames() files {
	evil := "Evil\x1b[31m\u202e<script>alert(1)</script>"
	return join(debian(),
		wheel("evil-"+"x", "1\x07", "Summary: "+evil, "License: "+evil, "Author: "+evil, "Home-page: javascript:alert(1)\x00"),
		files{site + "odd-1.dist-info/METADATA": "Metadata-Version: 2.1\nName: " + evil + "\nVersion: ?x#y@z/../" + evil + "\n",
			site + "none-1.dist-info/METADATA": "Metadata-Version: 2.1\n\n",
			site + "two-1.dist-info/METADATA":  "Metadata-Version: 2.1\nName: one\nName: two\nVersion: 1\nVersion: 2\n",
			"var/lib/dpkg/status.d/evil":       "Package: " + evil + "\nStatus: install ok installed\nVersion: 1:2~" + evil + "\nArchitecture: all\nMaintainer: " + evil + "\n",
			"app/\x1b[2J":                      "x",
		})
}

func TestIdentifiersOfLicencesAreThoseOfTheSchema(t *testing.T) {
	spdx := schema(t, "spdx.schema.json")
	all := append(spdxlicenses.GetLicenses(), spdxlicenses.GetDeprecated()...)
	for _, id := range all {
		err := spdx.Validate(id)
		if new := slices.Contains(newer, id); (err != nil) != new {
			t.Errorf("%s: newer than CycloneDX 1.6 is %v, and the schema says %v", id, new, err)
		}
	}
	if len(all) < 600 {
		t.Errorf("%d licences: the test tests nothing", len(all))
	}
}
