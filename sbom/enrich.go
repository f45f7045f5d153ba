package sbom

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"sort"
	"strings"

	"github.com/anchore/packageurl-go"
	"github.com/anchore/syft/syft/artifact"
	"github.com/anchore/syft/syft/file"
	"github.com/anchore/syft/syft/pkg"
	syftsbom "github.com/anchore/syft/syft/sbom"
)

// enrich adds to Syft's findings what its catalogers cannot know.
func enrich(im *Image, t *tree, s *syftsbom.SBOM, plan *Plan) error {
	t.hidden(s)
	ownPython(t, s)
	needPython(im, s, plan)
	owners := ownersOf(s)
	libs, err := t.bundled(func(p string) (pkg.Package, bool) {
		for _, x := range owners[p] {
			if x.Type == pkg.PythonPkg {
				return *x, true
			}
		}
		return pkg.Package{}, false
	})
	if err != nil {
		return fmt.Errorf("listing the image: looking into bundled libraries: %w", err)
	}
	s.Artifacts.Packages.Add(libs...)
	t.models(s, owners)
	requalify(s, plan)
	sortRelationships(s)
	return nil
}

// ownersOf lists who owns each path. A package is there once, however many files it owns.
func ownersOf(s *syftsbom.SBOM) map[string][]*pkg.Package {
	out := map[string][]*pkg.Package{}
	known := map[artifact.ID]*pkg.Package{}
	for _, r := range s.Relationships {
		c, isFile := r.To.(file.Coordinates)
		if !isFile || r.Type != artifact.ContainsRelationship {
			continue
		}
		p := known[r.From.ID()]
		if p == nil {
			x, ok := r.From.(pkg.Package)
			if !ok {
				continue
			}
			p = &x
			known[x.ID()] = p
		}
		out[c.RealPath] = append(out[c.RealPath], p)
	}
	return out
}

// requalify adds to purls what the plan knows: the index, the file and its sum. Relationships
// hold copies of packages, by whose purl CycloneDX refers to them: these follow.
func requalify(s *syftsbom.SBOM, plan *Plan) {
	if plan == nil {
		return
	}
	all := s.Artifacts.Packages.Sorted()
	for i := range all {
		x := &all[i]
		a := plan.planned(string(x.Type), x.Name, siteOf(*x))
		if a == nil || a.Version != x.Version && x.Type == pkg.DebPkg {
			continue
		}
		purl, err := packageurl.FromString(x.PURL)
		if err != nil {
			continue // Syft's own has no such fault; one of an image's own words has no qualifiers
		}
		q := purl.Qualifiers.Map()
		if a.SHA256 != "" {
			q["checksum"] = "sha256:" + a.SHA256
		}
		if a.File != "" {
			q["file_name"] = a.File
		}
		if a.Repository != "" {
			q["repository_url"] = a.Repository
		}
		purl.Qualifiers = packageurl.QualifiersFromMap(q)
		x.PURL = purl.ToString()
	}
	s.Artifacts.Packages = pkg.NewCollection(all...)
	now := map[artifact.ID]artifact.Identifiable{}
	for _, p := range all {
		now[p.ID()] = p
	}
	for i, r := range s.Relationships {
		s.Relationships[i].From, s.Relationships[i].To = cmp.Or(now[r.From.ID()], r.From), cmp.Or(now[r.To.ID()], r.To)
	}
}

// sortRelationships gives them one order.
func sortRelationships(s *syftsbom.SBOM) {
	key := func(r artifact.Relationship) string {
		return string(r.From.ID()) + " " + string(r.Type) + " " + string(r.To.ID())
	}
	keys := make(map[int]string, len(s.Relationships))
	order := make([]int, len(s.Relationships))
	for i, r := range s.Relationships {
		order[i], keys[i] = i, key(r)
	}
	sort.SliceStable(order, func(a, b int) bool { return keys[order[a]] < keys[order[b]] })
	out := make([]artifact.Relationship, 0, len(order))
	for i, n := range order {
		if i == 0 || keys[n] != keys[order[i-1]] {
			out = append(out, s.Relationships[n])
		}
	}
	s.Relationships = out
}

// removedList is where a forge image lists what its slim rules have left out.
const removedList = "/usr/lib/forge/removed.json"

// removed sums up what the image says was left out.
func (t *tree) removed() ([]Removed, error) {
	n := t.nodes[removedList]
	if !n.regular() || n.from.Size > maxText {
		return nil, nil
	}
	in, err := t.im.Layers[n.layer].Open(n.n)
	if err != nil {
		return nil, err
	}
	raw, err := io.ReadAll(io.LimitReader(in, maxText))
	if err != nil {
		return nil, err
	}
	var list []struct {
		Rule  string `json:"rule"`
		Owner string `json:"owner"`
		Size  int64  `json:"size"`
	}
	if json.Unmarshal(raw, &list) != nil {
		return nil, nil // of another program
	}
	var out []Removed
	at := map[[2]string]int{}
	for _, x := range list {
		k := [2]string{plain(x.Rule), plain(x.Owner)}
		i, ok := at[k]
		if !ok {
			i = len(out)
			at[k], out = i, append(out, Removed{Rule: k[0], Owner: k[1]})
		}
		out[i].Files++
		out[i].Bytes += max(x.Size, 0)
	}
	slices.SortFunc(out, func(a, b Removed) int {
		return strings.Compare(a.Rule+" "+a.Owner, b.Rule+" "+b.Owner)
	})
	return out, nil
}
