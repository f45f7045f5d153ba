package sbom

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/CycloneDX/cyclonedx-go"
	"github.com/anchore/syft/syft/format/common/cyclonedxhelpers"
	"github.com/anchore/syft/syft/license"
	"github.com/anchore/syft/syft/pkg"

	"github.com/forge-build/forge/sbom/licence"
)

// writeCycloneDX writes CycloneDX 1.6. Packages come first, in the inventory's order, then
// the system, then files; a file that a package owns lies within it.
func (inv *Inventory) writeCycloneDX(w io.Writer) error {
	b := cyclonedxhelpers.ToFormatModel(*inv.bom)
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
	unknown := map[string]string{}
	for _, u := range inv.Unowned {
		unknown[u.raw] = u.Unknown()
	}
	top := all[:0:0]
	var within = make([][]cyclonedx.Component, len(inv.Packages))
	for i, c := range all {
		if i < len(inv.Packages) || c.Type != cyclonedx.ComponentTypeFile {
			top = append(top, c)
			continue
		}
		if owners := inv.owners[c.Name]; len(owners) > 0 {
			n := at[string(owners[0].ID())]
			within[n] = append(within[n], c)
			continue
		}
		if what := unknown[c.Name]; what != "" {
			c.Properties = withProperty(c.Properties, "forge:unknown", what)
		}
		top = append(top, c)
	}
	for i, list := range within {
		if len(list) > 0 {
			top[i].Components = &list
		}
	}
	b.Components = &top
	for _, r := range inv.Removed {
		b.Metadata.Properties = withProperty(b.Metadata.Properties, "forge:removed:"+r.Rule+":"+r.Owner, strconv.Itoa(r.Files)+" files, "+strconv.FormatInt(r.Bytes, 10)+" bytes")
	}
	enc := cyclonedx.NewBOMEncoder(w, cyclonedx.BOMFileFormatJSON)
	enc.SetEscapeHTML(false)
	return enc.EncodeVersion(b, cyclonedx.SpecVersion1_6)
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
