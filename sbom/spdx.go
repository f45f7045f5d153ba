package sbom

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
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
	d := spdxhelpers.ToFormatModel(inv.betweenPackages())
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
	d.Files = nil
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
	inv.writeLicences(d)
	return inv.spliceFiles(w, d)
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

// spliceFiles writes the document with the files that no package owns, which it describes
// beside the image: a package whose files were not analysed holds none. Source: SPDX 2.3, 7.8
// and 8.
func (inv *Inventory) spliceFiles(w io.Writer, d *spdx.Document) error {
	var holes []hole
	if len(inv.Unowned) > 0 {
		mark := newMark()
		f := &spdx.File{FileName: mark, FileSPDXIdentifier: spdx.ElementID(mark)}
		d.Files, d.Relationships = []*spdx.File{f}, append(d.Relationships, described(f))
		holes = []hole{
			{f, func(e *elements) error { return inv.eachFile(func(f *spdx.File) error { return e.add(f) }) }},
			{described(f), func(e *elements) error { return inv.eachFile(func(f *spdx.File) error { return e.add(described(f)) }) }},
		}
	}
	return splice(w, d, holes...)
}

// eachFile calls f for each file that no package owns.
func (inv *Inventory) eachFile(f func(*spdx.File) error) error {
	for _, u := range inv.Unowned {
		sum := sha256.Sum256([]byte(u.raw))
		x := &spdx.File{FileName: "." + u.Path, FileSPDXIdentifier: spdx.ElementID("File-" + hex.EncodeToString(sum[:16])),
			Checksums:        []spdx.Checksum{{Algorithm: "SHA1", Value: hex.EncodeToString(u.sha1[:])}},
			LicenseConcluded: "NOASSERTION", LicenseInfoInFiles: []string{"NOASSERTION"}, FileCopyrightText: "NOASSERTION"}
		if u.SHA256 != "" {
			x.Checksums = append(x.Checksums, spdx.Checksum{Algorithm: "SHA256", Value: u.SHA256})
		}
		if err := f(x); err != nil {
			return err
		}
	}
	return nil
}

func described(f *spdx.File) *spdx.Relationship {
	return &spdx.Relationship{RefA: spdx.DocElementID{ElementRefID: "DOCUMENT"}, Relationship: "DESCRIBES", RefB: spdx.DocElementID{ElementRefID: f.FileSPDXIdentifier}}
}

// comment says in words what has no field.
func (inv *Inventory) comment() string {
	var b strings.Builder
	for _, r := range inv.Removed {
		fmt.Fprintf(&b, "removed by slim: %s of %s, %d files, %d bytes\n", r.Rule, r.Owner, r.Files, r.Bytes)
	}
	return strings.TrimSuffix(b.String(), "\n")
}
