package debian

import (
	"strings"
)

// Relation is one alternative of a dependency: a name, perhaps an architecture and a bound
// on the version. Source: Debian policy 7.1.
type Relation struct {
	Name     string
	Arch     string // "any", "native", an architecture; or empty
	Operator string // "<<", "<=", "=", ">=", ">>"; or empty
	Version  string
}

// String is the relation as it is written.
func (r Relation) String() string {
	s := r.Name
	if r.Arch != "" {
		s += ":" + r.Arch
	}
	if r.Operator != "" {
		s += " (" + r.Operator + " " + r.Version + ")"
	}
	return s
}

// accepts says whether a version is within the bound.
func (r Relation) accepts(version string) bool {
	if r.Operator == "" {
		return true
	}
	c := CompareVersions(version, r.Version)
	switch r.Operator {
	case "<<":
		return c < 0
	case "<=":
		return c <= 0
	case "=":
		return c == 0
	case ">=":
		return c >= 0
	}
	return c > 0
}

const maxRelations = 20_000

// ParseRelations reads a field such as Depends: alternatives, joined by "|", of
// dependencies, joined by ",". Errors are of type *Error with the id DEB-05.
func ParseRelations(field string) ([][]Relation, error) {
	var all [][]Relation
	n := 0
	for group := range strings.SplitSeq(field, ",") {
		if strings.TrimSpace(group) == "" {
			continue // a comma at the end is allowed
		}
		var alternatives []Relation
		for one := range strings.SplitSeq(group, "|") {
			r, why := parseRelation(strings.TrimSpace(one))
			if why != "" {
				return nil, refuse("DEB-05", "", "", -1, "relation %s %s", q(strings.TrimSpace(one)), why)
			}
			if n++; n > maxRelations {
				return nil, refuse("DEB-05", "", "", -1, "more than %d relations", maxRelations)
			}
			alternatives = append(alternatives, r)
		}
		all = append(all, alternatives)
	}
	return all, nil
}

func parseRelation(s string) (r Relation, why string) {
	name := s
	if i := strings.IndexAny(s, " (\t\n"); i >= 0 {
		name = s[:i]
	}
	rest := strings.TrimSpace(s[len(name):])
	r.Name, r.Arch, _ = strings.Cut(name, ":")
	if !packageName(r.Name) {
		return r, "has no package's name"
	}
	if strings.Contains(name, ":") && !packageName(r.Arch) {
		return r, "has a wrong architecture"
	}
	if rest == "" {
		return r, ""
	}
	if rest[0] != '(' || rest[len(rest)-1] != ')' {
		return r, "ends with " + q(rest)
	}
	rest = strings.TrimSpace(rest[1 : len(rest)-1])
	for _, op := range []string{"<<", "<=", ">=", ">>", "=", "<", ">"} {
		if v, ok := strings.CutPrefix(rest, op); ok {
			r.Operator, r.Version = op, strings.TrimSpace(v)
			break
		}
	}
	switch r.Operator { // the old spellings mean "or equal"
	case "":
		return r, "has no operator"
	case "<", ">":
		r.Operator += "="
	}
	if bad := checkVersion(r.Version); bad != "" {
		return r, "has a version that " + bad
	}
	return r, ""
}
