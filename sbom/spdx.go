package sbom

import (
	"encoding/json"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"

	"github.com/anchore/syft/syft/format/common/spdxhelpers"
	"github.com/spdx/tools-golang/spdx"
)

// writeSPDX writes SPDX 2.3. Packages come first, in the inventory's order.
//
// It lists no files: SPDX 2.3 wants a SHA-1 of each (8.4), which nothing of an image or its
// layers holds, and forge does not read gigabytes again for it. Syft writes zeros. Files with
// their SHA-256 are in CycloneDX and in Syft's own form.
func (inv *Inventory) writeSPDX(w io.Writer) error {
	d := spdxhelpers.ToFormatModel(*inv.bom)
	if d == nil || len(d.Packages) < len(inv.Packages) {
		return fmt.Errorf("internal error: no document, or one without packages")
	}
	d.DocumentName = plain(inv.Subject.Name)
	d.DocumentNamespace = "https://forge.dev/spdx/" + hexOf(inv.Subject.Digest)
	d.CreationInfo.Created = inv.made()
	d.CreationInfo.Creators = []spdx.Creator{
		{CreatorType: "Tool", Creator: plain(inv.bom.Descriptor.Name + "-" + inv.bom.Descriptor.Version)},
		{CreatorType: "Tool", Creator: "syft"},
	}
	files := map[spdx.ElementID]bool{}
	for _, f := range d.Files {
		files[f.FileSPDXIdentifier] = true
	}
	d.Files = nil
	d.Relationships = slices.DeleteFunc(d.Relationships, func(r *spdx.Relationship) bool {
		return files[r.RefA.ElementRefID] || files[r.RefB.ElementRefID]
	})
	ids := map[string]spdx.ElementID{}
	for i := range inv.Packages {
		ids[inv.Packages[i].ID] = d.Packages[i].PackageSPDXIdentifier
	}
	for i, x := range inv.Packages {
		p := d.Packages[i]
		p.FilesAnalyzed, p.PackageVerificationCode = false, nil
		p.PackageName, p.PackageVersion = x.Name, x.Version
		for _, h := range x.Hashes {
			p.PackageChecksums = append(p.PackageChecksums, spdx.Checksum{Algorithm: "SHA256", Value: hexOf(h)})
		}
		if by := ids[x.BundledIn]; by != "" {
			d.Relationships = append(d.Relationships, &spdx.Relationship{RefA: spdx.DocElementID{ElementRefID: by}, Relationship: "CONTAINS",
				RefB: spdx.DocElementID{ElementRefID: p.PackageSPDXIdentifier}, RelationshipComment: "a copy in its files"})
		}
	}
	d.DocumentComment = inv.comment()
	extractLicences(d)
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	return enc.Encode(d)
}

var licenceRef = regexp.MustCompile(`LicenseRef-[A-Za-z0-9.-]+`)

// extractLicences declares the references in expressions that packages' authors wrote: Syft
// declares only its own. Source: SPDX 2.3, 10.1.
func extractLicences(d *spdx.Document) {
	known := map[string]bool{}
	for _, l := range d.OtherLicenses {
		known[l.LicenseIdentifier] = true
	}
	for _, p := range d.Packages {
		for _, ref := range licenceRef.FindAllString(p.PackageLicenseDeclared+" "+p.PackageLicenseConcluded, -1) {
			if !known[ref] {
				known[ref] = true
				d.OtherLicenses = append(d.OtherLicenses, &spdx.OtherLicense{LicenseIdentifier: ref, LicenseName: ref,
					ExtractedText: "The package's author names this licence; its text is with the package."})
			}
		}
	}
	slices.SortFunc(d.OtherLicenses, func(a, b *spdx.OtherLicense) int { return strings.Compare(a.LicenseIdentifier, b.LicenseIdentifier) })
}

// comment says in words what has no field.
func (inv *Inventory) comment() string {
	var b strings.Builder
	for _, r := range inv.Removed {
		fmt.Fprintf(&b, "removed by slim: %s of %s, %d files, %d bytes\n", r.Rule, r.Owner, r.Files, r.Bytes)
	}
	return strings.TrimSuffix(b.String(), "\n")
}
