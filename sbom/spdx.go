package sbom

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"

	"github.com/anchore/syft/syft/format/common/spdxhelpers"
	"github.com/anchore/syft/syft/license"
	"github.com/spdx/tools-golang/spdx"

	"github.com/forge-build/forge/sbom/licence"
)

// writeSPDX writes SPDX 2.3. Packages come first, in the inventory's order.
//
// Of files it lists those that no package owns. SPDX 2.3 wants a SHA-1 of each (8.4), which no
// layer holds, and forge does not read gigabytes of packages again for it; Syft writes zeros.
// All files with their SHA-256 are in CycloneDX and in Syft's own form.
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
	inv.writeFiles(d)
	d.DocumentComment = inv.comment()
	inv.writeLicences(d)
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	return enc.Encode(d)
}

var licenceRef = regexp.MustCompile(`LicenseRef-[A-Za-z0-9.-]+`)

// writeLicences states each package's licences and declares the references in them. Source:
// SPDX 2.3, 7.13, 7.15 and 10.1.
func (inv *Inventory) writeLicences(d *spdx.Document) {
	d.OtherLicenses = nil
	declared := map[string]bool{}
	for i, p := range inv.bom.Artifacts.Packages.Sorted() {
		x := d.Packages[i]
		x.PackageLicenseDeclared = cmp.Or(licence.All(expressions(p, license.Declared)).Expression, "NOASSERTION")
		x.PackageLicenseConcluded = cmp.Or(licence.All(expressions(p, license.Concluded)).Expression, "NOASSERTION")
		for _, id := range licenceRef.FindAllString(x.PackageLicenseDeclared+" "+x.PackageLicenseConcluded, -1) {
			if declared[id] {
				continue
			}
			declared[id] = true
			r := inv.refs[id]
			text := cmp.Or(r.Text, r.Words, "The package's author names this licence; its text is with the package.")
			d.OtherLicenses = append(d.OtherLicenses, &spdx.OtherLicense{LicenseIdentifier: id, LicenseName: cmp.Or(r.Words, id), ExtractedText: text})
		}
	}
	slices.SortFunc(d.OtherLicenses, func(a, b *spdx.OtherLicense) int { return strings.Compare(a.LicenseIdentifier, b.LicenseIdentifier) })
}

// writeFiles lists the files that no package owns, which the document describes beside the
// image: a package whose files were not analysed holds none. Source: SPDX 2.3, 7.8 and 8.
func (inv *Inventory) writeFiles(d *spdx.Document) {
	for _, u := range inv.Unowned {
		sum := sha256.Sum256([]byte(u.raw))
		f := &spdx.File{FileName: "." + u.Path, FileSPDXIdentifier: spdx.ElementID("File-" + hex.EncodeToString(sum[:16])),
			Checksums:        []spdx.Checksum{{Algorithm: "SHA1", Value: u.sha1}},
			LicenseConcluded: "NOASSERTION", LicenseInfoInFiles: []string{"NOASSERTION"}, FileCopyrightText: "NOASSERTION"}
		if u.SHA256 != "" {
			f.Checksums = append(f.Checksums, spdx.Checksum{Algorithm: "SHA256", Value: u.SHA256})
		}
		d.Files = append(d.Files, f)
		d.Relationships = append(d.Relationships, &spdx.Relationship{RefA: spdx.DocElementID{ElementRefID: "DOCUMENT"}, Relationship: "DESCRIBES",
			RefB: spdx.DocElementID{ElementRefID: f.FileSPDXIdentifier}})
	}
}

// comment says in words what has no field.
func (inv *Inventory) comment() string {
	var b strings.Builder
	for _, r := range inv.Removed {
		fmt.Fprintf(&b, "removed by slim: %s of %s, %d files, %d bytes\n", r.Rule, r.Owner, r.Files, r.Bytes)
	}
	return strings.TrimSuffix(b.String(), "\n")
}
