package sbom

import (
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/anchore/packageurl-go"
	"github.com/anchore/syft/syft/artifact"
	"github.com/anchore/syft/syft/cataloging"
	"github.com/anchore/syft/syft/pkg"
	syftsbom "github.com/anchore/syft/syft/sbom"

	"github.com/forge-build/forge/sbom/requirement"
)

// distInfo is the folder of an installed distribution. Source: "Recording installed projects".
var distInfo = regexp.MustCompile(`^(.+)/([^/]+?)-([^/-]+)\.dist-info/[^/]+$`)

// hidden adds Python distributions that are there by their folder's name, which importlib
// goes by, and that METADATA does not state: there is none, it has no name, it says another, or
// "Python", which Syft takes for the interpreter. Packages that Syft could name by nothing get
// their folder's name, too.
func (t *tree) hidden(s *syftsbom.SBOM) {
	type folder struct{ name, version, file string }
	folders := map[string]folder{}
	for _, p := range t.paths {
		n := t.nodes[p]
		m := distInfo.FindStringSubmatch(p)
		if m == nil || n.dir() {
			continue
		}
		dir := path.Dir(p)
		if f, known := folders[dir]; !known || path.Base(p) == "METADATA" || path.Base(p) == "RECORD" && path.Base(f.file) != "METADATA" {
			folders[dir] = folder{m[2], m[3], p}
		}
	}
	said := map[string][]pkg.Package{}
	var drop []artifact.ID
	for p := range s.Artifacts.Packages.Enumerate(pkg.PythonPkg) {
		for _, l := range p.Locations.ToSlice() {
			if dir := path.Dir(l.RealPath); strings.HasSuffix(dir, ".dist-info") {
				if strings.EqualFold(p.Name, cataloging.UnknownStubValue) || p.Name == "" {
					drop = append(drop, p.ID())
				} else {
					said[dir] = append(said[dir], p)
				}
				break
			}
		}
	}
	s.Artifacts.Packages.Delete(drop...)
	s.Relationships = slices.DeleteFunc(s.Relationships, func(r artifact.Relationship) bool {
		return slices.Contains(drop, r.From.ID()) || slices.Contains(drop, r.To.ID())
	})
	for dir, f := range folders {
		name := requirement.Normal(f.name)
		if name == "" || sayIt(said[dir], name, f.version) {
			continue
		}
		x := pkg.Package{Name: name, Version: f.version, Type: pkg.PythonPkg, Language: pkg.Python, FoundBy: "forge-dist-info",
			PURL: packageurl.NewPackageURL(packageurl.TypePyPi, "", plain(name), plain(f.version), nil, "").ToString()}
		at := t.locate(f.file)
		if at.RealPath == "" { // a link that leads nowhere
			at = t.locate(dir)
		}
		x.Locations.Add(at.WithAnnotation(pkg.EvidenceAnnotationKey, pkg.PrimaryEvidenceAnnotation))
		x.SetID()
		s.Artifacts.Packages.Add(x)
	}
}

func sayIt(list []pkg.Package, name, version string) bool {
	for _, p := range list {
		if requirement.Normal(p.Name) == name && sameVersion(p.Version, version) {
			return true
		}
	}
	return false
}
