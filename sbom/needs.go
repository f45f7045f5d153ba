package sbom

import (
	"path"
	"regexp"
	"slices"
	"sort"
	"strings"

	"github.com/anchore/syft/syft/artifact"
	"github.com/anchore/syft/syft/pkg"
	syftsbom "github.com/anchore/syft/syft/sbom"

	"github.com/forge-build/forge/sbom/requirement"
)

var pythonFolder = regexp.MustCompile(`/(?:lib|lib64)/(?:python|pypy)(\d+\.\d+)t?/`)

// python is one Python distribution of an image.
type python struct {
	pkg   pkg.Package
	meta  pkg.PythonPackage
	site  string
	needs []requirement.Requirement
	wants map[string]bool // extras that somebody asks for
}

// pythons lists the distributions, sorted by place and name.
func pythons(s *syftsbom.SBOM) []*python {
	var out []*python
	for _, p := range s.Artifacts.Packages.Sorted(pkg.PythonPkg) {
		m, ok := p.Metadata.(pkg.PythonPackage)
		site := siteOf(p)
		if !ok || site == "" {
			continue
		}
		x := &python{pkg: p, meta: m, site: site, wants: map[string]bool{}}
		for _, need := range m.RequiresDist {
			// What is not to be understood pip would refuse too; no edge leads from it.
			if r, err := requirement.Parse(need); err == nil {
				x.needs = append(x.needs, r)
			}
		}
		out = append(out, x)
	}
	return out
}

// needPython replaces Syft's edges between Python distributions, which know no markers: one
// needs another only if the requirement's marker holds for the image's Python and machine,
// and an extra only if somebody asks for it.
func needPython(im *Image, s *syftsbom.SBOM, plan *Plan) {
	s.Relationships = slices.DeleteFunc(s.Relationships, func(r artifact.Relationship) bool {
		from, a := r.From.(pkg.Package)
		to, b := r.To.(pkg.Package)
		return r.Type == artifact.DependencyOfRelationship && a && b && from.Type == pkg.PythonPkg && to.Type == pkg.PythonPkg
	})
	sites := map[string]map[string]*python{}
	all := pythons(s)
	for _, x := range all {
		if sites[x.site] == nil {
			sites[x.site] = map[string]*python{}
		}
		sites[x.site][requirement.Normal(x.pkg.Name)] = x
	}
	askedFor(im, s, plan, sites)
	type edge struct{ from, to *python }
	seen := map[edge]bool{}
	for again := true; again; { // until no extra is new: each is asked for once
		again = false
		for _, x := range all {
			env := requirement.EnvironmentOf(im.Arch, versionFor(s, x.site))
			for _, need := range x.needs {
				to := sites[x.site][need.Name]
				if to == nil || to == x {
					continue
				}
				if ok, err := env.Holds(need.Marker, keys(x.wants)); err != nil || !ok {
					continue
				}
				for _, e := range need.Extras {
					if !to.wants[e] && len(to.wants) < 1000 {
						to.wants[e], again = true, true
					}
				}
				if !seen[edge{x, to}] {
					seen[edge{x, to}] = true
					s.Relationships = append(s.Relationships, artifact.Relationship{From: to.pkg, To: x.pkg, Type: artifact.DependencyOfRelationship})
				}
			}
		}
	}
}

// askedFor notes the extras that the plan's own lines ask for, where their markers hold.
func askedFor(im *Image, s *syftsbom.SBOM, plan *Plan, sites map[string]map[string]*python) {
	if plan == nil {
		return
	}
	for site, in := range sites {
		for root, lines := range plan.Requirements {
			if !isSite(site, root) {
				continue
			}
			env := requirement.EnvironmentOf(im.Arch, versionFor(s, site))
			for _, line := range lines {
				r, err := requirement.Parse(line)
				if err != nil || in[r.Name] == nil {
					continue // the lock would not be there with such a line; what is not there needs nothing
				}
				if ok, err := env.Holds(r.Marker, nil); err != nil || !ok {
					continue
				}
				for _, e := range r.Extras {
					in[r.Name].wants[e] = true
				}
			}
		}
	}
}

func keys(m map[string]bool) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	sort.Strings(out)
	return out
}

// versionFor is the version of the interpreter that uses a folder: the longest that a
// package of its release states.
func versionFor(s *syftsbom.SBOM, site string) string {
	m := pythonFolder.FindStringSubmatch(site + "/")
	if m == nil {
		return "3"
	}
	best := m[1]
	for _, name := range []string{"python", "python" + m[1], "python" + m[1] + "-minimal"} {
		for _, p := range s.Artifacts.Packages.PackagesByName(name) {
			v, _, _ := strings.Cut(path.Base(p.Version), "-")
			if strings.HasPrefix(v, m[1]+".") && len(v) > len(best) {
				best = v
			}
		}
	}
	return best
}
