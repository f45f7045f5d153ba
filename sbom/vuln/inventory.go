package vuln

import (
	"slices"
	"strings"

	"github.com/anchore/grype/grype/distro"
	"github.com/anchore/grype/grype/pkg"

	"github.com/forge-build/forge/sbom"
)

// Of are the packages of an inventory.
func Of(inv *sbom.Inventory) (*Packages, error) {
	s, err := inv.SBOM()
	if err != nil {
		return nil, err
	}
	d := distro.FromRelease(s.Artifacts.LinuxDistribution, nil)
	list := pkg.FromCollection(s.Artifacts.Packages, s.Relationships, pkg.SynthesisConfig{})
	for _, p := range list {
		if p.Distro == nil {
			p.Distro = d
		}
		if !fits(p) {
			p.Distro = nil // blind says that nothing can be looked up for it
		}
	}
	list = slices.DeleteFunc(list, covered)
	return &Packages{list: pkg.FromPtrs(list), context: pkg.Context{Source: &s.Source, Distro: d, DistroDetectionFailed: d == nil && s.Artifacts.LinuxDistribution != nil}}, nil
}

// fits tells whether a package can be of the distribution that os-release names. Debian's packages
// under ID=alpine would be looked up among Alpine's, where nothing is ever found (SBM-01).
func fits(p *pkg.Package) bool {
	if p.Distro == nil || p.Type != "deb" {
		return true
	}
	family := append([]string{p.Distro.ID()}, p.Distro.IDLike...)
	return slices.ContainsFunc(family, func(id string) bool { return id == "debian" || id == "ubuntu" })
}

// covered tells whether a package is part of one of Debian's, whose data says more: the
// interpreter that a cataloger found in python3.13's binary. It is Grype's own rule, which it
// keeps to itself (grype/pkg, removePackagesByOverlap).
func covered(p *pkg.Package) bool {
	return slices.ContainsFunc(p.RelatedPackages["ownership-by-file-overlap"], func(owner *pkg.Package) bool {
		near := strings.HasPrefix(owner.Version, p.Version) || strings.HasPrefix(p.Version, owner.Version)
		if !near || owner.Distro == nil || !slices.Contains(distributed, string(owner.Type)) {
			return false
		}
		complete := slices.Contains([]string{"debian", "ubuntu"}, owner.Distro.ID()) // they list what they do not fix, too
		return !slices.Contains(distributed, string(p.Type)) && (complete || p.Type == "binary")
	})
}
