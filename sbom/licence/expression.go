package licence

import (
	"slices"
	"strings"

	"github.com/github/go-spdx/v2/spdxexp"
)

// Licence is what words about a licence mean.
type Licence struct {
	Expression string // a valid expression of SPDX; empty: nothing is said
	Refs       []Ref  // what forge's own references in it stand for
}

// Bounds of an expression.
const (
	maxWords = 16 << 10 // in bytes
	maxDepth = 32       // of parentheses
)

// node is a part of an expression: a name, or parts that one operator joins.
type node struct {
	name  string // as it is written, of a leaf
	id    string // what it means; empty: not known
	join  string // "AND" or "OR"
	parts []*node
}

// known says whether every name is.
func (n *node) known() bool {
	if n.join == "" {
		return n.id != ""
	}
	return !slices.ContainsFunc(n.parts, func(p *node) bool { return !p.known() })
}

// each calls f for every name.
func (n *node) each(f func(leaf *node)) {
	if n.join == "" {
		f(n)
	}
	for _, p := range n.parts {
		p.each(f)
	}
}

// String writes an expression, with the parentheses that it needs and no other.
func (n *node) String() string {
	if n.join == "" {
		return n.id
	}
	var out []string
	for _, p := range n.parts {
		s := p.String()
		if p.join != "" && p.join != n.join && len(n.parts) > 1 {
			s = "(" + s + ")"
		}
		if !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	if len(out) == 1 && len(n.parts) > 1 {
		return out[0]
	}
	return strings.Join(out, " "+n.join+" ")
}

// parser reads "A and (B or C with exception)", operators in any case. A comma before an
// operator lets it bind less than those without one. Source: SPDX 2.3, annex D; DEP-5, "Short
// license names" and "License syntax".
type parser struct {
	words []string
	depth int
	id    func(name string) string
	bad   bool
}

// parse reads an expression; nil is what is none.
func parse(s string, id func(name string) string) *node {
	if len(s) > maxWords {
		return nil
	}
	p := &parser{words: strings.Fields(strings.NewReplacer("(", " ( ", ")", " ) ", ",", " , ").Replace(s)), depth: maxDepth, id: id}
	n := p.list()
	if p.bad || len(p.words) > 0 {
		return nil
	}
	return n
}

func (p *parser) peek() string {
	if len(p.words) == 0 {
		return ""
	}
	return p.words[0]
}

// operator takes an operator, if it is next.
func (p *parser) operator(op string) bool {
	if !strings.EqualFold(p.peek(), op) {
		return false
	}
	p.words = p.words[1:]
	return true
}

// list reads what commas separate.
func (p *parser) list() *node {
	n := p.joined("OR", p.all)
	for !p.bad && p.operator(",") {
		op := ""
		if p.operator("AND") {
			op = "AND"
		} else if p.operator("OR") {
			op = "OR"
		} else {
			p.bad = true
			return nil
		}
		n = &node{join: op, parts: []*node{n, p.joined("OR", p.all)}}
	}
	return n
}

func (p *parser) all() *node { return p.joined("AND", p.one) }

func (p *parser) joined(op string, part func() *node) *node {
	n := part()
	if !p.operator(op) {
		return n
	}
	all := &node{join: op, parts: []*node{n}}
	for {
		all.parts = append(all.parts, part())
		if p.bad || !p.operator(op) {
			return all
		}
	}
}

// one reads a name, or an expression in parentheses.
func (p *parser) one() *node {
	if p.operator("(") {
		if p.depth--; p.depth < 0 {
			p.bad = true
			return nil
		}
		n := p.list()
		p.depth++
		if !p.operator(")") {
			p.bad = true
		}
		return n
	}
	var name []string
	for len(p.words) > 0 && !slices.ContainsFunc([]string{"AND", "OR", "(", ")", ","}, func(op string) bool { return strings.EqualFold(p.peek(), op) }) {
		name, p.words = append(name, p.words[0]), p.words[1:]
	}
	if len(name) == 0 {
		p.bad = true
		return nil
	}
	n := &node{name: strings.Join(name, " ")}
	n.id = p.id(n.name)
	return n
}

// Valid says whether go-spdx takes an expression, and gives its usual spelling. It may panic on
// some and descends without a bound, so that only what is small and flat is handed to it.
func Valid(expression string) (spelled string, ok bool) {
	if expression == "" || len(expression) > maxWords || strings.Count(expression, "(") > 512 {
		return "", false
	}
	defer func() {
		if recover() != nil {
			spelled, ok = "", false
		}
	}()
	good, bad := spdxexp.ValidateAndNormalizeLicensesWithOptions([]string{expression}, spdxexp.ValidateLicensesOptions{FailAllDocumentRefs: true})
	if len(bad) > 0 || len(good) != 1 || strings.Contains(good[0], "DocumentRef-") {
		return "", false
	}
	return good[0], true
}

// Expression reads an expression of SPDX, as PEP 639 asks for one. Its names must be SPDX's or
// references.
func Expression(s string) (Licence, bool) {
	n := parse(s, spdxID)
	if n == nil || !n.known() {
		return Licence{}, false
	}
	e, ok := Valid(n.String())
	return Licence{Expression: e}, ok
}

// conjuncts are the parts of an expression that all hold; without one there are none.
func conjuncts(expression string) []*node {
	n := parse(expression, func(name string) string { return name })
	switch {
	case n == nil:
		return nil
	case n.join == "AND":
		return n.parts
	}
	return []*node{n}
}

// Parts are the licences of an expression that all hold: of "MIT AND (A OR B)" they are two.
func Parts(expression string) []Licence {
	var out []Licence
	for _, p := range conjuncts(expression) {
		out = append(out, Licence{Expression: p.String()})
	}
	return out
}

// All joins licences that all hold; what is said twice is there once.
func All(list []Licence) Licence {
	var out Licence
	all := &node{join: "AND"}
	for _, l := range list {
		for _, p := range conjuncts(l.Expression) {
			if !slices.ContainsFunc(all.parts, func(o *node) bool { return o.String() == p.String() }) {
				all.parts = append(all.parts, p)
			}
		}
		out.Refs = append(out.Refs, l.Refs...)
	}
	out.Expression = all.String()
	return out
}
