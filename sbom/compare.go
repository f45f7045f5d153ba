package sbom

import (
	"fmt"
	"path"
	"strings"

	"github.com/anchore/syft/syft/pkg"

	"github.com/forge-build/forge/sbom/requirement"
)

// Difference is something that is in one inventory and not in the other.
type Difference struct {
	Package string `json:"package,omitempty"` // "python torch 2.9.1"
	Path    string `json:"path,omitempty"`
	Layer   string `json:"layer,omitempty"` // diffID
	Reason  string `json:"reason"`
}

func (d Difference) String() string {
	s := d.Reason
	if d.Path != "" {
		s = fmt.Sprintf("%+q of layer %s: %s", cut(d.Path), d.Layer, s)
	}
	if d.Package != "" {
		s = plain(cut(d.Package)) + ": " + s
	}
	return s
}

// DifferenceError says that what was planned and what was found are not the same.
type DifferenceError struct {
	Image       string
	Differences []Difference
}

func (e *DifferenceError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "image %q: what was planned and what is in it are not the same", e.Image)
	for i, d := range e.Differences {
		if i == 10 {
			fmt.Fprintf(&b, "\n  and %d more", len(e.Differences)-i)
			break
		}
		b.WriteString("\n  " + d.String())
	}
	return b.String()
}

// maxDifferences bounds a comparison's result: the first ones say what is wrong.
const maxDifferences = 10_000

// comparison compares a plan with what was found in the image that was made from it.
type comparison struct {
	t    *tree
	inv  *Inventory
	plan *Plan
	out  []Difference
}

// compare lists the differences. The plan's side of a file is its owner in the layer's index,
// which the pass that made the layer wrote; the other side is what RECORD and Debian's lists
// say. What the recipe copies or a run leaves is the recipe's to explain, and what a base
// image holds is the base's.
func compare(t *tree, inv *Inventory, plan *Plan) []Difference {
	c := &comparison{t: t, inv: inv, plan: plan}
	found := map[*Planned]string{}
	for i, p := range inv.bom.Artifacts.Packages.Sorted() {
		if a := plan.planned(string(p.Type), p.Name, siteOf(p)); a != nil {
			found[a] = p.Version
			if !sameVersion(a.Version, p.Version) {
				c.add(Difference{Package: a.Type + " " + a.Name + " " + p.Version, Reason: fmt.Sprintf("version %s is locked", a.Version)})
			}
			continue
		}
		c.explain(inv.Packages[i], p)
	}
	for i := range plan.Packages {
		if a := &plan.Packages[i]; found[a] == "" {
			c.add(Difference{Package: a.Type + " " + a.Name + " " + a.Version, Reason: "it is locked, and nothing in the image says that it is there"})
		}
	}
	for _, p := range t.paths {
		c.file(p)
	}
	return c.out
}

func (c *comparison) add(d Difference) {
	if len(c.out) < maxDifferences {
		c.out = append(c.out, d)
	}
}

// explain judges a package that nobody planned.
func (c *comparison) explain(x Package, p pkg.Package) {
	if x.BundledIn != "" || p.Type != pkg.PythonPkg && p.Type != pkg.DebPkg {
		return // its files are judged each
	}
	for _, l := range x.Locations {
		n := c.t.nodes[l.Path]
		if n == nil || n.file == nil {
			continue
		}
		switch c.plan.Layers[c.t.im.Layers[n.layer].DiffID] {
		case "base", "copy", "run":
			return
		}
	}
	d := Difference{Package: x.Type + " " + x.Name + " " + x.Version, Reason: "it is in the image, and the lock does not have it"}
	if len(x.Locations) > 0 {
		d.Path, d.Layer = x.Locations[0].Path, x.Locations[0].Layer
	}
	c.add(d)
}

// file judges one path.
func (c *comparison) file(p string) {
	n := c.t.nodes[p]
	if n.file == nil || n.file.Kind == Dir {
		return
	}
	layer := c.t.im.Layers[n.layer].DiffID
	kind := c.plan.Layers[layer]
	if kind == "base" {
		return
	}
	owner := n.file.Owner
	switch name, deb := strings.CutPrefix(owner, "deb:"); {
	case owner == "forge", owner == "recipe" && (kind == "copy" || kind == "run"):
		return
	case owner == "":
		c.add(Difference{Path: p, Layer: layer, Reason: "no package owns it, and the recipe does not explain it"})
	case deb:
		if c.plan.planned("deb", name, "") == nil {
			c.add(Difference{Path: p, Layer: layer, Reason: fmt.Sprintf("it belongs to package %+q, which is not locked", cut(name))})
		}
	case !c.locked(strings.TrimPrefix(owner, "wheel:")):
		c.add(Difference{Path: p, Layer: layer, Reason: fmt.Sprintf("it belongs to %+q, which is not locked", cut(owner))})
	case kind != "bytecode" && path.Ext(p) != ".pyc" && !n.link() && !c.owned(p):
		c.add(Difference{Path: p, Layer: layer, Reason: fmt.Sprintf("it came with %+q, whose RECORD does not have it", cut(owner))})
	}
}

// locked says whether a wheel of that name is.
func (c *comparison) locked(name string) bool {
	for i := range c.plan.Packages {
		if a := &c.plan.Packages[i]; a.Type == "python" && a.Name == requirement.Normal(name) {
			return true
		}
	}
	return false
}

func (c *comparison) owned(p string) bool {
	for _, x := range c.inv.owners[p] {
		if x.Type == pkg.PythonPkg {
			return true
		}
	}
	return false
}

// sameVersion compares as PEP 440 does, as far as one version is spelled in two ways.
func sameVersion(a, b string) bool {
	form := strings.NewReplacer("-", ".", "_", ".")
	a, b = form.Replace(strings.ToLower(a)), form.Replace(strings.ToLower(b))
	if a == b {
		return true
	}
	digits := func(s string) bool { return strings.Trim(s, "0123456789.") == "" }
	same, ok := requirement.Compare(a, "==", b)
	return ok && same && digits(a) && digits(b)
}
