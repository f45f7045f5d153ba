package sbom

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/anchore/syft/syft/artifact"
	"github.com/anchore/syft/syft/file"
	"github.com/anchore/syft/syft/pkg"
	syftsbom "github.com/anchore/syft/syft/sbom"

	"github.com/forge-build/forge/sbom/licence"
)

// Inventory is what is in an image.
type Inventory struct {
	Subject  Subject   `json:"subject"`
	Packages []Package `json:"packages"`          // sorted by name, version and place
	Files    int       `json:"files"`             // regular files of the merged image
	Unowned  []Unowned `json:"unowned,omitempty"` // regular files that no package owns
	Removed  []Removed `json:"removed,omitempty"`
	// Licences are the words for which forge's own references in packages' licences stand.
	Licences map[string]string `json:"licences,omitempty"` // "LicenseRef-BSD": "BSD"
	// Differences are what a plan and the image do not have in common; without a plan none.
	Differences []Difference `json:"differences,omitempty"`

	bom    *syftsbom.SBOM
	tree   *tree                     // of the image; nil: the inventory was read
	owners map[string][]*pkg.Package // by path
	kept   func(Format) ([]byte, error)
	refs   map[string]licence.Ref // of licences
}

// Subject is the image that an inventory is about.
type Subject struct {
	Name     string    `json:"name"`
	Digest   string    `json:"digest"`   // "sha256:…" of the manifest
	Platform string    `json:"platform"` // "linux/amd64"
	Created  time.Time `json:"created"`
	// Distribution and Release are what os-release says: "debian" and "12"; empty without one.
	Distribution string  `json:"distribution,omitempty"`
	Release      string  `json:"release,omitempty"`
	System       string  `json:"system,omitempty"` // "Debian GNU/Linux 12 (bookworm)"
	Layers       []Place `json:"layers"`
}

// Place is a layer of the subject.
type Place struct {
	DiffID string `json:"diffID"`
	Digest string `json:"digest,omitempty"`
	Size   int64  `json:"size"` // compressed, in bytes
}

// Package is something with a name and a version. Names, versions and licences are what the
// image says: text of a stranger, without control characters.
type Package struct {
	ID        string     `json:"id"` // in this inventory, and of the same package in SPDX and CycloneDX
	Name      string     `json:"name"`
	Version   string     `json:"version"`
	Type      string     `json:"type"` // "deb", "python", "go-module", "binary", …
	PURL      string     `json:"purl,omitempty"`
	CPEs      []string   `json:"cpes,omitempty"`
	Licenses  []string   `json:"licenses,omitempty"` // SPDX expressions, which all hold
	Locations []Location `json:"locations"`          // where it was found
	Hashes    []string   `json:"hashes,omitempty"`   // "sha256:…" of the artifact, as locked
	Supplier  string     `json:"supplier,omitempty"`
	Source    string     `json:"source,omitempty"` // of a Debian package: the source package
	DependsOn []string   `json:"dependsOn,omitempty"`
	BundledIn string     `json:"bundledIn,omitempty"` // id of the package whose files hold it
	Files     int        `json:"files"`               // that it owns
	Size      int64      `json:"size"`                // of these, in bytes
	FoundBy   string     `json:"foundBy,omitempty"`
}

// Location is a file of the image.
type Location struct {
	Path  string `json:"path"`
	Layer string `json:"layer,omitempty"` // diffID
}

// Unowned is a file that no package owns.
type Unowned struct {
	Path   string `json:"path"`
	Layer  string `json:"layer"`
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256,omitempty"`
	ELF    bool   `json:"elf,omitempty"`
	// Archive: by its name it holds other files, and nobody has looked into it.
	Archive bool `json:"archive,omitempty"`

	raw  string // the path as it is
	sha1 [20]byte
}

// Unknown says of a file that nobody owns whether it may be a package, of which nothing is known:
// "program", "archive", or "" for other files.
func (u Unowned) Unknown() string {
	switch {
	case u.ELF:
		return "program"
	case u.Archive:
		return "archive"
	}
	return ""
}

// Removed is what forge's slim rules have left out, by package and rule.
type Removed struct {
	Rule  string `json:"rule"`
	Owner string `json:"owner"`
	Files int    `json:"files"`
	Bytes int64  `json:"bytes"`
}

// newInventory reads Syft's findings together with the tree they were made from.
func newInventory(ctx context.Context, im *Image, t *tree, s *syftsbom.SBOM, plan *Plan) (*Inventory, error) {
	if err := enrich(im, t, s, plan); err != nil {
		return nil, err
	}
	refs, err := t.licences(ctx, s)
	if err != nil {
		return nil, fmt.Errorf("listing the image: reading licences: %w", err)
	}
	inv := &Inventory{bom: s, tree: t, owners: ownersOf(s), refs: refs}
	for id, r := range refs {
		if r.Words != "" {
			if inv.Licences == nil {
				inv.Licences = map[string]string{}
			}
			inv.Licences[id] = r.Words
		}
	}
	inv.Subject = Subject{Name: im.Name, Digest: im.Digest, Platform: im.OS + "/" + im.Arch, Created: im.Created}
	for _, l := range im.Layers {
		inv.Subject.Layers = append(inv.Subject.Layers, Place{l.DiffID, l.Digest, l.Size})
	}
	if inv.Removed, err = t.removed(); err != nil {
		return nil, err
	}
	if err := inv.loose(t); err != nil {
		return nil, err
	}
	inv.fill(func(p string) int64 {
		if n := t.nodes[p]; n.regular() {
			return n.from.Size
		}
		return 0
	})
	inv.bundle()
	if err := inv.modelSums(t); err != nil {
		return nil, err
	}
	if plan != nil {
		inv.lockedAs(plan)
		inv.Differences = compare(t, inv, plan)
	}
	return inv, nil
}

// bundle says of a package which other one brings it: the owner of the file by which it was
// found, if that is not itself. What only supports the finding does not count: libgcc-s1's
// copyright file is gcc-14-base's, in a folder that both share.
func (inv *Inventory) bundle() {
	for i, p := range inv.bom.Artifacts.Packages.Sorted() {
		x := &inv.Packages[i]
		for _, l := range p.Locations.ToSlice() {
			if l.Annotations[pkg.EvidenceAnnotationKey] == pkg.SupportingEvidenceAnnotation {
				continue
			}
			for _, by := range inv.owners[l.RealPath] {
				if id := string(by.ID()); id != x.ID && x.BundledIn == "" && (by.Type != pkg.PythonPkg || by.Name != x.Name) {
					x.BundledIn = id
				}
			}
		}
	}
}

// lockedAs adds the sums of locked artifacts.
func (inv *Inventory) lockedAs(plan *Plan) {
	for i, p := range inv.bom.Artifacts.Packages.Sorted() {
		if a := plan.planned(string(p.Type), p.Name, siteOf(p)); a != nil && a.SHA256 != "" {
			inv.Packages[i].Hashes = []string{"sha256:" + a.SHA256}
		}
	}
}

// fill makes the plain lists from Syft's form.
func (inv *Inventory) fill(size func(path string) int64) {
	s := inv.bom
	if d := s.Artifacts.LinuxDistribution; d != nil {
		inv.Subject.Distribution, inv.Subject.Release, inv.Subject.System = plain(d.ID), plain(d.VersionID), plain(d.PrettyName)
	}
	needs := map[artifact.ID][]string{}
	owned := map[artifact.ID]map[string]bool{}
	for _, r := range s.Relationships {
		from, ok := r.From.(pkg.Package)
		if !ok {
			continue
		}
		switch to := r.To.(type) {
		case pkg.Package:
			if r.Type == artifact.DependencyOfRelationship {
				needs[to.ID()] = append(needs[to.ID()], string(from.ID()))
			}
		case file.Location:
			own(owned, from.ID(), to.RealPath, r.Type)
		case file.Coordinates:
			own(owned, from.ID(), to.RealPath, r.Type)
		}
	}
	inv.Packages = nil
	for _, p := range s.Artifacts.Packages.Sorted() {
		x := newPackage(p)
		x.DependsOn = needs[p.ID()]
		slices.Sort(x.DependsOn)
		x.DependsOn = slices.Compact(x.DependsOn)
		for path := range owned[p.ID()] {
			x.Files++
			x.Size += size(path)
		}
		inv.Packages = append(inv.Packages, x)
	}
}

func own(owned map[artifact.ID]map[string]bool, id artifact.ID, path string, how artifact.RelationshipType) {
	if how != artifact.ContainsRelationship {
		return
	}
	if owned[id] == nil {
		owned[id] = map[string]bool{}
	}
	owned[id][path] = true
}

func newPackage(p pkg.Package) Package {
	x := Package{ID: string(p.ID()), Name: plain(p.Name), Version: plain(p.Version), Type: string(p.Type), PURL: p.PURL, FoundBy: p.FoundBy}
	for _, c := range p.CPEs {
		x.CPEs = append(x.CPEs, c.Attributes.BindToFmtString())
	}
	slices.Sort(x.CPEs)
	x.Licenses = stated(p)
	for _, l := range p.Locations.ToSlice() {
		x.Locations = append(x.Locations, Location{plain(l.RealPath), l.FileSystemID})
	}
	switch m := p.Metadata.(type) {
	case pkg.DpkgDBEntry:
		x.Source, x.Supplier = plain(m.Source), plain(m.Maintainer)
	case pkg.PythonPackage:
		x.Supplier = plain(m.Author)
		if x.Supplier == "" {
			x.Supplier = plain(m.AuthorEmail)
		}
	}
	return x
}
