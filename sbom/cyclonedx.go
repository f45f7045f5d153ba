package sbom

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/CycloneDX/cyclonedx-go"
	"github.com/anchore/syft/syft/format/common/cyclonedxhelpers"
	"github.com/anchore/syft/syft/license"
	"github.com/anchore/syft/syft/pkg"
	syftsbom "github.com/anchore/syft/syft/sbom"

	"github.com/forge-build/forge/sbom/licence"
)

// writeCycloneDX writes CycloneDX 1.6. Packages come first, in the inventory's order, then
// the system, then files; a file that a package owns lies within it.
func (inv *Inventory) writeCycloneDX(w io.Writer) error {
	b := cyclonedxhelpers.ToFormatModel(inv.betweenPackages())
	if b.Components == nil || len(*b.Components) < len(inv.Packages) {
		return fmt.Errorf("internal error: no document, or one without packages")
	}
	b.SerialNumber = "urn:uuid:" + uuidOf(inv.Subject.Digest)
	b.Metadata.Timestamp = inv.made()
	if tools := b.Metadata.Tools; tools != nil && tools.Components != nil {
		*tools.Components = []cyclonedx.Component{
			{Type: cyclonedx.ComponentTypeApplication, Name: plain(inv.bom.Descriptor.Name), Version: plain(inv.bom.Descriptor.Version)},
			{Type: cyclonedx.ComponentTypeLibrary, Publisher: "Anchore, Inc.", Name: "syft"},
		}
	}
	all := *b.Components
	refs, at := map[string]string{}, map[string]int{}
	for i, x := range inv.Packages {
		refs[x.ID], at[x.ID] = all[i].BOMRef, i
	}
	packages := inv.bom.Artifacts.Packages.Sorted()
	for i, x := range inv.Packages {
		c := &all[i]
		for _, h := range x.Hashes {
			c.Hashes = withHash(c.Hashes, hexOf(h))
		}
		if by := refs[x.BundledIn]; by != "" {
			c.Properties = withProperty(c.Properties, "forge:bundledIn", by)
		}
		c.Name, c.Version = x.Name, x.Version
		inv.licenceOf(c, packages[i])
	}
	for _, r := range inv.Removed {
		b.Metadata.Properties = withProperty(b.Metadata.Properties, "forge:removed:"+r.Rule+":"+r.Owner, strconv.Itoa(r.Files)+" files, "+strconv.FormatInt(r.Bytes, 10)+" bytes")
	}
	within, top := make([][]listedFile, len(inv.Packages)), []listedFile(nil)
	for _, f := range inv.listedFiles() {
		switch owners := inv.owners[f.at.RealPath]; {
		case f.node == nil: // Syft lists no such thing here
		case len(owners) > 0:
			n := at[string(owners[0].ID())]
			within[n] = append(within[n], f)
		default:
			top = append(top, f)
		}
	}
	unknown := map[string]string{}
	for _, u := range inv.Unowned {
		if what := u.Unknown(); what != "" {
			unknown[u.raw] = what
		}
	}
	var holes []hole
	place := func(list *[]cyclonedx.Component, files []listedFile) *[]cyclonedx.Component {
		if len(files) == 0 {
			return list
		}
		mark := cyclonedx.Component{Type: cyclonedx.ComponentTypeFile, Name: newMark()}
		holes = append(holes, hole{mark, func(e *elements) error { return inv.addComponents(e, files, unknown) }})
		if list == nil {
			list = &[]cyclonedx.Component{}
		}
		*list = append(*list, mark)
		return list
	}
	for i, files := range within {
		all[i].Components = place(all[i].Components, files)
	}
	b.Components = place(&all, top)
	document, err := inSchema(b)
	if err != nil {
		return err
	}
	return splice(w, document, holes...)
}

// inSchema is a document as CycloneDX 1.6 has it.
func inSchema(b *cyclonedx.BOM) (json.RawMessage, error) {
	var out bytes.Buffer
	enc := cyclonedx.NewBOMEncoder(&out, cyclonedx.BOMFileFormatJSON)
	enc.SetEscapeHTML(false)
	err := enc.EncodeVersion(b, cyclonedx.SpecVersion1_6)
	return bytes.TrimSuffix(out.Bytes(), []byte("\n")), err
}

// addComponents writes files as Syft makes components of them.
func (inv *Inventory) addComponents(e *elements, files []listedFile, unknown map[string]string) error {
	return inv.inBatches(files, func(s syftsbom.SBOM) error {
		for _, c := range *cyclonedxhelpers.ToFormatModel(s).Components {
			if what := unknown[c.Name]; what != "" {
				c.Properties = withProperty(c.Properties, "forge:unknown", what)
			}
			if err := e.add(c); err != nil {
				return err
			}
		}
		return nil
	})
}

// licenceOf states a component's licences: one identifier as such, more as one expression.
// What the texts are found to be is evidence beside what the words declare.
func (inv *Inventory) licenceOf(c *cyclonedx.Component, p pkg.Package) {
	c.Licenses = nil
	declared := inv.licenceChoice(c, expressions(p, license.Declared), cyclonedx.LicenseAcknowledgementDeclared)
	concluded := inv.licenceChoice(c, expressions(p, license.Concluded), cyclonedx.LicenseAcknowledgementConcluded)
	if declared == nil {
		c.Licenses = concluded
		return
	}
	if c.Licenses = declared; concluded != nil {
		if c.Evidence == nil {
			c.Evidence = &cyclonedx.Evidence{}
		}
		c.Evidence.Licenses = concluded
	}
}

// newer are licences of SPDX's list that CycloneDX 1.6 does not enumerate; they are expressions.
var newer = []string{"MVT-1.1", "Brian-Gladman-3-Clause-no-conversion"}

func (inv *Inventory) licenceChoice(c *cyclonedx.Component, list []licence.Licence, how cyclonedx.LicenseAcknowledgement) *cyclonedx.Licenses {
	e := licence.All(list).Expression
	switch {
	case e == "":
		return nil
	case strings.HasPrefix(e, "LicenseRef-") && !strings.Contains(e, " "):
		return &cyclonedx.Licenses{{License: &cyclonedx.License{Name: plain(cmp.Or(inv.refs[e].Words, e)), Acknowledgement: how}}}
	case !strings.ContainsAny(e, " +") && !slices.Contains(newer, e):
		return &cyclonedx.Licenses{{License: &cyclonedx.License{ID: e, Acknowledgement: how}}}
	}
	for _, id := range licenceRef.FindAllString(e, -1) {
		if words := inv.refs[id].Words; words != "" {
			c.Properties = withProperty(c.Properties, "forge:licence:"+id, words)
		}
	}
	return &cyclonedx.Licenses{{Expression: e, Acknowledgement: &how}}
}

func withHash(list *[]cyclonedx.Hash, sum string) *[]cyclonedx.Hash {
	if list == nil {
		list = &[]cyclonedx.Hash{}
	}
	out := append(*list, cyclonedx.Hash{Algorithm: cyclonedx.HashAlgoSHA256, Value: sum})
	return &out
}

func withProperty(list *[]cyclonedx.Property, name, value string) *[]cyclonedx.Property {
	if list == nil {
		list = &[]cyclonedx.Property{}
	}
	out := append(*list, cyclonedx.Property{Name: plain(name), Value: plain(value)})
	return &out
}
