package debian

import (
	"fmt"
	"slices"
	"sort"
	"strings"
)

// Request says what a closure starts from.
type Request struct {
	Architecture string            // "amd64"
	Want         []string          // names
	Deny         []string          // names that are never taken
	Keep         map[string]string // name → version that is preferred while it fits
}

// Chosen is a package of a closure.
type Chosen struct {
	Package
	Requested  bool
	RequiredBy []string // names, sorted
	Choice     string   // what was chosen among: "mawk for awk (of gawk, mawk, original-awk)"
}

// Dropped is a dependency that only maintainer scripts need, and that was left out.
type Dropped struct {
	Package    string
	Dependency string // as it is written
	Reason     string
}

// Selection is a closure: sorted, and the same for the same indexes and request.
type Selection struct {
	Packages []Chosen
	Dropped  []Dropped
}

// UnmetError lists every dependency that cannot be met, and every conflict.
type UnmetError struct{ Problems []string }

func (e *UnmetError) Error() string {
	if len(e.Problems) == 1 {
		return e.Problems[0]
	}
	return fmt.Sprintf("%d packages cannot be had together:\n  %s", len(e.Problems), strings.Join(e.Problems, "\n  "))
}

// Closure chooses the wanted packages and all that they depend on, Pre-Depends included,
// Recommends never, from the packages of all archives: the version that is kept, else the
// highest; alternatives from left to right; of several providers of a virtual package the
// one with the highest priority, then by name. What only maintainer scripts need is dropped
// by the table in rules.go. The error is an *UnmetError, or an *Error for a field that
// cannot be parsed.
func Closure(all []Package, req Request) (*Selection, error) {
	bounds := map[string][]Relation{}
	for range 1000 { // each round adds a bound
		c := newChooser(all, req, bounds)
		err := c.run()
		if c.again {
			continue
		}
		if err != nil {
			return nil, err
		}
		return c.selection()
	}
	return nil, &UnmetError{[]string{"the packages' versions cannot be reconciled"}}
}

// chooser is one attempt.
type chooser struct {
	req       Request
	byName    map[string][]*Package // highest version first
	providers map[string][]provider
	denied    map[string]bool
	bounds    map[string][]Relation // what earlier attempts found out
	again     bool                  // a bound was added: start anew
	picked    map[string]*Chosen
	queue     []*Chosen
	dropped   map[Dropped]bool
	problems  []string
}

// provider is a package that stands in for another name.
type provider struct {
	pkg     *Package
	version string // empty: of no version
}

func newChooser(all []Package, req Request, bounds map[string][]Relation) *chooser {
	c := &chooser{req: req, byName: map[string][]*Package{}, providers: map[string][]provider{}, denied: map[string]bool{},
		bounds: bounds, picked: map[string]*Chosen{}, dropped: map[Dropped]bool{}}
	for _, n := range req.Deny {
		c.denied[n] = true
	}
	for i := range all {
		p := &all[i]
		if p.Architecture == req.Architecture || p.Architecture == "all" {
			c.byName[p.Name] = append(c.byName[p.Name], p)
		}
	}
	return c
}

func (c *chooser) run() error {
	for _, versions := range c.byName {
		sort.SliceStable(versions, func(i, j int) bool { return CompareVersions(versions[i].Version, versions[j].Version) > 0 })
	}
	for _, versions := range c.byName {
		for _, p := range versions {
			if err := c.provides(p); err != nil {
				return err
			}
		}
	}
	for _, list := range c.providers {
		sort.Slice(list, func(i, j int) bool { return c.before(list[i].pkg, list[j].pkg) })
	}
	want := slices.Clone(c.req.Want)
	sort.Strings(want)
	for _, name := range slices.Compact(want) {
		if !packageName(name) {
			c.problem("the recipe asks for %s, which is no package's name", q(name))
			continue
		}
		if p := c.satisfy([]Relation{{Name: name}}, nil); p != nil {
			p.Requested = true
		}
	}
	for len(c.queue) > 0 && !c.again {
		p := c.queue[0]
		c.queue = c.queue[1:]
		if err := c.depend(p); err != nil {
			return err
		}
	}
	if len(c.problems) == 0 && !c.again {
		if err := c.conflicts(); err != nil {
			return err
		}
	}
	if len(c.problems) > 0 {
		return &UnmetError{c.problems}
	}
	return nil
}

// before orders providers: as Debian would install them, then by name, then the newest.
func (c *chooser) before(a, b *Package) bool {
	if x, y := priority(a.Priority), priority(b.Priority); x != y {
		return x < y
	}
	if a.Name != b.Name {
		return a.Name < b.Name
	}
	return CompareVersions(a.Version, b.Version) > 0
}

// priority ranks Debian's priorities. Source: Debian policy 2.5.
func priority(s string) int {
	if i := slices.Index([]string{"required", "important", "standard", "optional"}, s); i >= 0 {
		return i
	}
	return 4
}

// provides notes what a package stands in for.
func (c *chooser) provides(p *Package) error {
	if p.Provides == "" {
		return nil
	}
	list, err := relations(p, "Provides", p.Provides)
	if err != nil {
		return err
	}
	for _, alternatives := range list {
		r := alternatives[0]
		if len(alternatives) > 1 || (r.Operator != "" && r.Operator != "=") {
			return refuse("DEB-05", p.Name, "", -1, "field Provides has %s", q(r.String()))
		}
		c.providers[r.Name] = append(c.providers[r.Name], provider{p, r.Version})
	}
	return nil
}

// relations parses a field of a package.
func relations(p *Package, field, text string) ([][]Relation, error) {
	list, err := ParseRelations(text)
	if err != nil {
		var own *Error
		if e, ok := err.(*Error); ok {
			own = e
			own.Path, own.Reason = p.Name+" "+p.Version, "field "+field+": "+own.Reason
		}
		return nil, err
	}
	return list, nil
}

// depend meets the dependencies of a package.
func (c *chooser) depend(p *Chosen) error {
	for _, f := range []struct{ name, text string }{{"Pre-Depends", p.PreDepends}, {"Depends", p.Depends}} {
		list, err := relations(&p.Package, f.name, f.text)
		if err != nil {
			return err
		}
		for _, alternatives := range list {
			c.satisfy(alternatives, p)
			if c.again {
				return nil
			}
		}
	}
	for _, name := range alsoNeeded[p.Name] {
		if len(c.byName[name]) > 0 && !c.denied[name] {
			c.satisfy([]Relation{{Name: name}}, p)
		}
	}
	return nil
}

// satisfy meets one dependency of by, which is nil for the recipe's own wish, and returns
// what meets it.
func (c *chooser) satisfy(alternatives []Relation, by *Chosen) *Chosen {
	for _, r := range alternatives {
		if p := c.met(r); p != nil {
			p.requiredBy(by)
			return p
		}
	}
	if by != nil {
		if why := scriptOnly(by.Name, alternatives); why != "" {
			c.dropped[Dropped{by.Name, write(alternatives), why}] = true
			return nil
		}
	}
	for _, r := range alternatives {
		p, among := c.candidate(r)
		if c.again {
			return nil
		}
		if p == nil {
			continue
		}
		choice := ""
		if len(among) > 1 || len(alternatives) > 1 {
			choice = p.Name + " for " + write(alternatives)
			if len(among) > 1 {
				choice += " (of " + strings.Join(among, ", ") + ")"
			}
		}
		return c.pick(p, choice, by)
	}
	c.unmet(alternatives, by)
	return nil
}

// met returns the picked package that meets a relation.
func (c *chooser) met(r Relation) *Chosen {
	if !c.fits(r) {
		return nil
	}
	if p := c.picked[r.Name]; p != nil && r.accepts(p.Version) {
		return p
	}
	for _, v := range c.providers[r.Name] {
		if p := c.picked[v.pkg.Name]; p != nil && p.Version == v.pkg.Version && v.meets(r) {
			return p
		}
	}
	return nil
}

// fits says whether a relation speaks of the architecture at hand.
func (c *chooser) fits(r Relation) bool {
	return r.Arch == "" || r.Arch == "any" || r.Arch == "native" || r.Arch == c.req.Architecture
}

func (v provider) meets(r Relation) bool {
	return r.Operator == "" || (v.version != "" && r.accepts(v.version))
}

// candidate finds a package for a relation, and names those it was chosen among.
func (c *chooser) candidate(r Relation) (p *Package, among []string) {
	if !c.fits(r) {
		return nil, nil
	}
	if p := c.version(r.Name, r); p != nil {
		if c.picked[r.Name] == nil {
			return p, nil
		}
		// Another version was picked before this relation was known.
		c.bounds[r.Name] = append(c.bounds[r.Name], r)
		c.again = true
		return nil, nil
	}
	for _, v := range c.providers[r.Name] {
		if !v.meets(r) || c.denied[v.pkg.Name] || slices.Contains(among, v.pkg.Name) || c.version(v.pkg.Name, Relation{Name: v.pkg.Name}) != v.pkg {
			continue
		}
		if p == nil {
			p = v.pkg
		}
		among = append(among, v.pkg.Name)
	}
	sort.Strings(among)
	return p, among
}

// version chooses a package's version: the kept one, else the highest, within all bounds.
func (c *chooser) version(name string, r Relation) *Package {
	if c.denied[name] {
		return nil
	}
	var best *Package
	for _, p := range c.byName[name] {
		ok := r.accepts(p.Version)
		for _, b := range c.bounds[name] {
			ok = ok && b.accepts(p.Version)
		}
		if !ok {
			continue
		}
		if p.Version == c.req.Keep[name] {
			return p
		}
		if best == nil {
			best = p
		}
	}
	return best
}

func (c *chooser) pick(p *Package, choice string, by *Chosen) *Chosen {
	n := &Chosen{Package: *p, Choice: choice}
	n.requiredBy(by)
	c.picked[p.Name] = n
	c.queue = append(c.queue, n)
	return n
}

func (n *Chosen) requiredBy(by *Chosen) {
	if by != nil && by.Name != n.Name && !slices.Contains(n.RequiredBy, by.Name) {
		n.RequiredBy = append(n.RequiredBy, by.Name)
	}
}

func (c *chooser) problem(format string, args ...any) {
	c.problems = append(c.problems, fmt.Sprintf(format, args...))
}

// unmet says who asked for what, and what there is.
func (c *chooser) unmet(alternatives []Relation, by *Chosen) {
	who := "the recipe asks for "
	if by != nil {
		who = fmt.Sprintf("%s %s depends on ", by.Name, by.Version)
		if len(by.RequiredBy) > 0 {
			who = fmt.Sprintf("%s %s, which %s asks for, depends on ", by.Name, by.Version, by.RequiredBy[0])
		}
	}
	var found []string
	for _, r := range alternatives {
		found = append(found, c.existing(r)...)
	}
	c.problem("%s%s: %s", who, write(alternatives), strings.Join(found, "; "))
}

// existing says what the archives have instead of what is wanted.
func (c *chooser) existing(r Relation) (found []string) {
	if c.denied[r.Name] {
		return []string{r.Name + " is denied"}
	}
	if p := c.picked[r.Name]; p != nil {
		return []string{fmt.Sprintf("%s %s was chosen", p.Name, p.Version)}
	}
	for _, p := range c.byName[r.Name] {
		found = append(found, fmt.Sprintf("the archives have %s %s", p.Name, p.Version))
	}
	for _, v := range c.providers[r.Name] {
		switch {
		case c.denied[v.pkg.Name]:
			found = append(found, fmt.Sprintf("%s provides it and is denied", v.pkg.Name))
		case !v.meets(r):
			found = append(found, fmt.Sprintf("%s %s provides %s", v.pkg.Name, v.pkg.Version, strings.TrimSpace(r.Name+" "+v.version)))
		}
	}
	if len(found) == 0 {
		found = append(found, "no archive has "+r.Name+" for "+c.req.Architecture)
		if near := c.near(r.Name); near != "" {
			found[0] += ", the nearest name is " + near
		}
	}
	return slices.Compact(found)
}

// near finds the nearest name: the same letters with another version in them ("libopenmpi3"
// for "libopenmpi40", "libglib2.0-0t64" for "libglib2.0-0"), or one letter apart.
func (c *chooser) near(name string) string {
	strip := func(s string) string {
		s, _ = strings.CutSuffix(s, "t64")
		return strings.TrimRight(s, "0123456789.-")
	}
	var best string
	for n := range c.byName {
		close := strip(n) == strip(name) || oneApart(n, name)
		if close && (best == "" || len(n) < len(best) || len(n) == len(best) && n < best) {
			best = n
		}
	}
	return best
}

// oneApart says whether a letter was added, left out, changed or swapped with its neighbour.
func oneApart(a, b string) bool {
	i := 0
	for i < len(a) && i < len(b) && a[i] == b[i] {
		i++
	}
	x, y := a[i:], b[i:]
	switch {
	case len(x) == len(y) && len(x) > 0:
		return x[1:] == y[1:] || len(x) > 1 && x[0] == y[1] && x[1] == y[0] && x[2:] == y[2:]
	case len(x) == len(y)+1:
		return x[1:] == y
	case len(y) == len(x)+1:
		return y[1:] == x
	}
	return false
}

// write is a dependency as it is written.
func write(alternatives []Relation) string {
	var parts []string
	for _, r := range alternatives {
		parts = append(parts, r.String())
	}
	return strings.Join(parts, " | ")
}

// conflicts checks that the picked packages bear each other.
func (c *chooser) conflicts() error {
	var names []string
	for n := range c.picked {
		names = append(names, n)
	}
	sort.Strings(names)
	for _, n := range names {
		p := c.picked[n]
		for _, f := range []struct{ name, verb, text string }{{"Conflicts", "conflicts with", p.Conflicts}, {"Breaks", "breaks", p.Breaks}} {
			list, err := relations(&p.Package, f.name, f.text)
			if err != nil {
				return err
			}
			for _, alternatives := range list {
				for _, r := range alternatives {
					if other := c.other(r, n); other != nil {
						c.problem("%s %s %s %s, and %s %s was chosen", n, p.Version, f.verb, r, other.Name, other.Version)
					}
				}
			}
		}
	}
	return nil
}

// other returns the picked package, not called name, that a relation speaks of.
func (c *chooser) other(r Relation, name string) *Chosen {
	if p := c.picked[r.Name]; p != nil && r.Name != name && r.accepts(p.Version) {
		return p
	}
	for _, v := range c.providers[r.Name] {
		if p := c.picked[v.pkg.Name]; p != nil && p.Name != name && p.Version == v.pkg.Version && v.meets(r) {
			return p
		}
	}
	return nil
}

// selection is the result, sorted.
func (c *chooser) selection() (*Selection, error) {
	s := &Selection{}
	for _, p := range c.picked {
		for _, o := range c.byName[p.Name] {
			if o.Version == p.Version && o.SHA256 != p.SHA256 {
				return nil, &UnmetError{[]string{fmt.Sprintf("%s %s is in the archives twice, with the sha256 %s and %s", p.Name, p.Version, p.SHA256, o.SHA256)}}
			}
		}
		sort.Strings(p.RequiredBy)
		s.Packages = append(s.Packages, *p)
	}
	sort.Slice(s.Packages, func(i, j int) bool { return s.Packages[i].Name < s.Packages[j].Name })
	for d := range c.dropped {
		if c.picked[strings.Fields(d.Dependency)[0]] == nil { // it may have been chosen for another
			s.Dropped = append(s.Dropped, d)
		}
	}
	sort.Slice(s.Dropped, func(i, j int) bool {
		a, b := s.Dropped[i], s.Dropped[j]
		return a.Package < b.Package || a.Package == b.Package && a.Dependency < b.Dependency
	})
	return s, nil
}
