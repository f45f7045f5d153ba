package report

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/forge-build/forge/recipes/finding"
)

// Changes is what differs between two images, the second as seen from the first.
type Changes struct {
	Layers   Shared         `json:"layers,omitzero"`
	New      []Package      `json:"new,omitempty"`     // packages that the first has not
	Gone     []Package      `json:"gone,omitempty"`    // packages that the second has not
	Changed  []Change       `json:"changed,omitempty"` // of packages that both have: versions
	Licences []Change       `json:"licences,omitempty"`
	Findings FindingChanges `json:"findings,omitzero"`
}

// Shared says which layers the second has from the first.
type Shared struct {
	Same  int   `json:"same"`  // layers
	Of    int   `json:"of"`    // layers of the second
	Bytes int64 `json:"bytes"` // compressed, that need not move
	New   int64 `json:"new"`   // compressed, that must
}

// Change is a value of a package that is another one now.
type Change struct {
	Kind    string `json:"kind"`
	Package string `json:"package"`
	Was     string `json:"was"`
	Is      string `json:"is"`
}

// FindingChanges are findings that differ. Two verdicts are compared only when both images
// were scanned; Compared says so.
type FindingChanges struct {
	Compared bool            `json:"compared"`
	New      []FindingChange `json:"new,omitempty"`
	Fixed    []FindingChange `json:"fixed,omitempty"`
	Worse    []FindingChange `json:"worse,omitempty"` // more severe than before, or no longer excused
	Better   []FindingChange `json:"better,omitempty"`
}

// FindingChange is a finding of one of the images, or of both.
type FindingChange struct {
	ID      string   `json:"id"`
	Package string   `json:"package,omitempty"`
	Version string   `json:"version,omitempty"`
	FixedIn []string `json:"fixedIn,omitempty"`
	Was     string   `json:"was,omitempty"` // its severity, then perhaps what excuses it
	Is      string   `json:"is,omitempty"`
}

// Compare says how the second image differs from the first.
func Compare(a, b *Report) Changes {
	c := Changes{Layers: SharedLayers(a.Layers, b.Layers), Findings: compareScans(a.Scan, b.Scan)}
	was, is := byName(a.Packages), byName(b.Packages)
	for _, k := range slices.SortedFunc(maps.Keys(is), named.compare) {
		old, now := was[k], is[k]
		if len(old) == 0 {
			c.New = append(c.New, now...)
			continue
		}
		if v, w := versions(old), versions(now); v != w {
			c.Changed = append(c.Changed, Change{k.kind, k.label(), v, w})
		}
		if v, w := licences(old), licences(now); v != w {
			c.Licences = append(c.Licences, Change{k.kind, k.label(), v, w})
		}
	}
	for _, k := range slices.SortedFunc(maps.Keys(was), named.compare) {
		if len(is[k]) == 0 {
			c.Gone = append(c.Gone, was[k]...)
		}
	}
	return c
}

// Lines says what differs, a line each: "~ package numpy: 2.3.4 → 2.3.5".
func (c Changes) Lines() []string {
	var out []string
	for _, x := range changeRows(c) {
		out = append(out, x.line())
	}
	if !c.Findings.Compared {
		out = append(out, "findings are not compared: one of the images was not scanned")
	}
	return out
}

// SharedLayers compares layers by the digest of their bytes.
func SharedLayers(a, b []Layer) Shared {
	s := Shared{Of: len(b)}
	have := map[string]bool{}
	for _, l := range a {
		have[l.Digest] = true
	}
	for _, l := range b {
		if have[l.Digest] {
			s.Same++
			s.Bytes += l.Size
		} else {
			s.New += l.Size
		}
	}
	return s
}

// named is what makes two packages the same one.
type named struct{ kind, environment, parent, name string }

func (n named) compare(m named) int {
	return cmp.Or(strings.Compare(n.kind, m.kind), strings.Compare(n.name, m.name), strings.Compare(n.environment, m.environment), strings.Compare(n.parent, m.parent))
}

func (n named) label() string {
	s := n.name
	if n.parent != "" {
		s += " in " + n.parent
	}
	if n.environment != "" {
		s += " (" + n.environment + ")"
	}
	return s
}

func byName(packages []Package) map[named][]Package {
	m := map[named][]Package{}
	for _, p := range packages {
		k := named{p.Kind, p.Environment, p.Parent, p.Name}
		m[k] = append(m[k], p)
	}
	return m
}

func versions(packages []Package) string {
	var vs []string
	for _, p := range packages {
		vs = append(vs, p.Version)
	}
	return joined(vs)
}

func licences(packages []Package) string {
	var ls []string
	for _, p := range packages {
		ls = append(ls, p.Licences...)
	}
	return joined(ls)
}

func joined(s []string) string {
	slices.Sort(s)
	return strings.Join(slices.Compact(s), ", ")
}

func compareScans(a, b *finding.Document) FindingChanges {
	var c FindingChanges
	if !scanned(a) || !scanned(b) {
		return c
	}
	c.Compared = true
	was, is := byID(a.Findings), byID(b.Findings)
	for _, k := range slices.SortedFunc(maps.Keys(is), key.compare) {
		f := is[k]
		x := FindingChange{ID: f.ID, Package: f.Package, Version: f.Version, FixedIn: f.FixedIn, Is: standing(f)}
		old, ok := was[k]
		if !ok {
			c.New = append(c.New, x)
			continue
		}
		x.Was = standing(old)
		switch n := cmp.Compare(weight(f), weight(old)); {
		case n > 0:
			c.Worse = append(c.Worse, x)
		case n < 0:
			c.Better = append(c.Better, x)
		}
	}
	for _, k := range slices.SortedFunc(maps.Keys(was), key.compare) {
		if _, ok := is[k]; !ok {
			f := was[k]
			c.Fixed = append(c.Fixed, FindingChange{ID: f.ID, Package: f.Package, Version: f.Version, Was: standing(f)})
		}
	}
	return c
}

func scanned(d *finding.Document) bool { return d != nil && d.NotScanned == "" && d.Database != nil }

// key is what makes two findings the same one: a version that changes leaves it so, and so
// does a database that lists the same flaw by another of its names.
type key struct{ id, pkg string }

func keyOf(f finding.Judged) key {
	for _, id := range append([]string{f.ID}, f.Aliases...) {
		if id = strings.ToUpper(id); strings.HasPrefix(id, "CVE-") {
			return key{id, f.Package}
		}
	}
	return key{f.ID, f.Package}
}

func (k key) compare(l key) int {
	return cmp.Or(strings.Compare(k.pkg, l.pkg), strings.Compare(k.id, l.id))
}

// byID keeps the heaviest of several findings with one key.
func byID(findings []finding.Judged) map[key]finding.Judged {
	m := map[key]finding.Judged{}
	for _, f := range findings {
		k := keyOf(f)
		if old, ok := m[k]; !ok || weight(f) > weight(old) {
			m[k] = f
		}
	}
	return m
}

// weight orders findings: an excused one is less than any that is not, and one that is known
// to be exploited is more than others of its severity. An unknown severity counts as high:
// nobody has said that it is less.
func weight(f finding.Judged) int {
	severity := f.Severity
	if severity == finding.Unknown {
		severity = finding.High
	}
	n := 2 * int(severity)
	if f.Exploited {
		n++
	}
	if excuse(f) != "" {
		return n
	}
	return 2*int(finding.Never) + n
}

// excuse says why a finding is tolerated by somebody's word, if it is.
func excuse(f finding.Judged) string {
	switch {
	case f.Fails:
		return ""
	case f.VEX != nil && f.VEX.Clears():
		return "VEX"
	case f.Waiver != nil && strings.HasPrefix(f.Why, "waived"):
		return "waived"
	}
	return ""
}

func standing(f finding.Judged) string {
	text := f.Severity.String()
	if f.Exploited {
		text += ", exploited"
	}
	if e := excuse(f); e != "" {
		text += ", " + e
	}
	return text
}
