package sbom

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/anchore/syft/syft/pkg"

	"github.com/forge-build/forge/sbom/licence"
)

// document is what SPDX and CycloneDX say that Syft's decoders leave out: which package brings
// another one, and licences as they are written (of an expression that begins with a reference
// they cut off that it is one, and of CycloneDX they take no evidence).
type document struct {
	// SPDX
	Packages []struct {
		ID        string `json:"SPDXID"`
		Declared  string `json:"licenseDeclared"`
		Concluded string `json:"licenseConcluded"`
	} `json:"packages"`
	Relationships []struct {
		From string `json:"spdxElementId"`
		Type string `json:"relationshipType"`
		To   string `json:"relatedSpdxElement"`
	} `json:"relationships"`
	References []struct {
		ID   string `json:"licenseId"`
		Name string `json:"name"`
	} `json:"hasExtractedLicensingInfos"`
	// CycloneDX
	Components []struct {
		Ref        string          `json:"bom-ref"`
		Licences   []licenceChoice `json:"licenses"`
		Evidence   struct{ Licenses []licenceChoice }
		Properties []struct{ Name, Value string }
	} `json:"components"`
}

// licenceChoice is one of three. Source: CycloneDX 1.6, licenseChoice.
type licenceChoice struct {
	License    struct{ ID, Name string }
	Expression string
}

// readBack adds to the packages that Syft has decoded what else the document says.
func (inv *Inventory) readBack(r io.Reader) error {
	var d document
	if err := json.NewDecoder(r).Decode(&d); err != nil {
		return fmt.Errorf("reading the inventory: %w", err)
	}
	at := map[string]*Package{}
	for i := range inv.Packages {
		at[inv.Packages[i].ID] = &inv.Packages[i]
	}
	words := map[string]string{}
	for p := range inv.bom.Artifacts.Packages.Enumerate() { // Syft's own form says it there
		for _, l := range p.Licenses.ToSlice() {
			if strings.HasPrefix(l.SPDXExpression, "LicenseRef-") && l.Value != "" && l.Value != l.SPDXExpression {
				words[l.SPDXExpression] = plain(l.Value)
			}
		}
	}
	for _, x := range d.References {
		if x.Name != x.ID {
			words[x.ID] = plain(x.Name)
		}
	}
	for _, x := range d.Packages {
		id := strings.TrimPrefix(x.ID, "SPDXRef-")
		if p := at[id]; p != nil {
			p.state(asserted(x.Declared), asserted(x.Concluded))
			if p.Type == "" || p.Type == string(pkg.UnknownPkg) {
				p.Type = typeIn(id, p.Type)
			}
		}
	}
	for _, x := range d.Relationships {
		from, to := at[strings.TrimPrefix(x.From, "SPDXRef-")], at[strings.TrimPrefix(x.To, "SPDXRef-")]
		if x.Type == "CONTAINS" && from != nil && to != nil {
			to.BundledIn = from.ID
		}
	}
	for _, x := range d.Components {
		p := at[x.Ref]
		if p == nil {
			continue
		}
		for _, y := range x.Properties {
			if id, ok := strings.CutPrefix(y.Name, "forge:licence:"); ok {
				words[id] = plain(y.Value)
			} else if y.Name == "forge:bundledIn" && at[y.Value] != nil {
				p.BundledIn = y.Value
			}
		}
		p.state(chosen(x.Licences, words), chosen(x.Evidence.Licenses, words))
	}
	for _, p := range inv.Packages {
		for _, l := range p.Licenses { // one that Syft's form has within an expression only
			if w := licence.Called(l); w != "" && words[l] == "" {
				words[l] = w
			}
		}
	}
	if len(words) > 0 {
		inv.Licences = words
	}
	return nil
}

// typeIn is the type that Syft writes into SPDX's identifier of a package, "Package-binary-…":
// where the purl says only "generic", nothing else of SPDX tells.
func typeIn(id, otherwise string) string {
	for _, t := range pkg.AllPkgs {
		if strings.HasPrefix(id, "Package-"+string(t)+"-") {
			return string(t)
		}
	}
	return otherwise
}

// state replaces a package's licences, unless nothing is stated.
func (p *Package) state(declared, concluded []licence.Licence) {
	if list := preferred(declared, concluded); len(list) > 0 {
		p.Licenses = list
	}
}

// asserted is what SPDX says of a licence. Source: SPDX 2.3, 7.13 and 7.15.
func asserted(expression string) []licence.Licence {
	if expression == "NOASSERTION" || expression == "NONE" {
		return nil
	}
	e, ok := licence.Expression(expression)
	if !ok {
		e = licence.Unknown(plain(expression), "")
	}
	return licence.Parts(e.Expression)
}

// chosen is what CycloneDX says; what is only a name becomes a reference with words.
func chosen(list []licenceChoice, words map[string]string) []licence.Licence {
	var out []licence.Licence
	for _, c := range list {
		said := c.License.ID + c.Expression
		e, ok := licence.Expression(said)
		if !ok {
			e = licence.Unknown(plain(said+c.License.Name), "")
		}
		if strings.HasPrefix(c.License.Name, "LicenseRef-") { // it has no words
			e = licence.Licence{Expression: plain(c.License.Name)}
		}
		for _, r := range e.Refs {
			words[r.ID] = r.Words
		}
		out = append(out, licence.Parts(e.Expression)...)
	}
	return out
}
