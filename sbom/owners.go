package sbom

import (
	"path"
	"strings"

	"github.com/anchore/syft/syft/artifact"
	"github.com/anchore/syft/syft/file"
	"github.com/anchore/syft/syft/pkg"
	syftsbom "github.com/anchore/syft/syft/sbom"
)

// ownPython adds which files a Python distribution owns: Syft reads RECORD and does not look
// for its paths, which are relative to the folder above dist-info.
func ownPython(t *tree, s *syftsbom.SBOM) {
	for p := range s.Artifacts.Packages.Enumerate(pkg.PythonPkg) {
		m, ok := p.Metadata.(pkg.PythonPackage)
		if !ok {
			continue
		}
		dir := siteOf(p)
		if dir == "" {
			continue
		}
		seen := map[string]bool{}
		var from artifact.Identifiable = p // once for all its files
		for _, f := range m.Files {
			n := t.nodes[path.Clean("/"+pathFrom(dir, f.Path))]
			if n == nil || n.dir() || seen[n.path] {
				continue
			}
			seen[n.path] = true
			s.Relationships = append(s.Relationships, artifact.Relationship{From: from, Type: artifact.ContainsRelationship,
				To: file.NewCoordinates(n.path, t.im.Layers[n.layer].DiffID)})
		}
	}
}

// siteOf is the folder in which a Python distribution lies.
func siteOf(p pkg.Package) string {
	for _, l := range p.Locations.ToSlice() {
		if dir, name := path.Split(l.RealPath); name == "METADATA" || name == "PKG-INFO" || strings.HasSuffix(dir, ".dist-info/") {
			return path.Dir(path.Clean(dir))
		} else if strings.HasSuffix(l.RealPath, ".egg-info") {
			return path.Clean(dir)
		}
	}
	return ""
}

// pathFrom joins RECORD's path with the folder that it is relative to. Source: PEP 376.
func pathFrom(dir, p string) string {
	if path.IsAbs(p) {
		return p
	}
	return path.Join(dir, p)
}
