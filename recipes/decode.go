package recipes

import (
	"math/big"
	"sort"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
)

// decoder reads one image block. It collects every mistake and goes on.
type decoder struct {
	eval   *evaluator
	dir    string
	diags  hcl.Diagnostics
	places map[string]hcl.Range
	read   int64 // bytes of files that were read: one budget for the whole image
	hashed int64 // bytes of wheels that were hashed
}

func (d *decoder) mistake(at hcl.Range, summary, format string, args ...any) {
	d.diags = append(d.diags, mistake(at, summary, format, args...))
}

// words reads a block: the attributes and blocks it may have, by name. What it does not
// know is a mistake that names the nearest word.
type words struct {
	d      *decoder
	block  *hclsyntax.Block
	prefix string // "pytorch."
	known  []string
	used   map[string]bool
}

func (d *decoder) words(b *hclsyntax.Block, prefix string) *words {
	d.places[trimDot(prefix)] = b.DefRange()
	return &words{d: d, block: b, prefix: prefix, used: map[string]bool{}}
}

func trimDot(s string) string {
	if s == "" {
		return s
	}
	return s[:len(s)-1]
}

// later are words of later versions: they are an error until they mean something.
var later = map[string]bool{"service": true, "model": true, "policy": true}

// done reports every word that nobody asked for.
func (w *words) done() {
	sort.Strings(w.known)
	report := func(name string, at hcl.Range) {
		switch {
		case w.used[name]:
		case later[name]:
			w.d.mistake(at, "Not supported yet", "This version of forge does not know what %q means; it will not ignore it.", name)
		default:
			w.d.mistake(at, "Unknown word", "%q is no word of %s. %s", cut(name), w.block.Type, nearest(name, w.known))
		}
	}
	for _, a := range sortedAttributes(w.block.Body) {
		report(a.Name, a.NameRange)
	}
	for _, b := range w.block.Body.Blocks {
		report(b.Type, b.TypeRange)
	}
}

// attribute evaluates an attribute as type t; ok is false when it is not there or wrong.
func (w *words) attribute(name string, t cty.Type) (v cty.Value, at hcl.Range, ok bool) {
	w.known, w.used[name] = append(w.known, name), true
	a := w.block.Body.Attributes[name]
	if a == nil {
		for _, b := range w.block.Body.Blocks {
			if b.Type == name {
				w.d.mistake(b.TypeRange, "Block where a value is due", "Write %s = ….", name)
			}
		}
		return cty.NilVal, w.block.DefRange(), false
	}
	at = a.Expr.Range()
	w.d.places[w.prefix+name] = at
	v, diags := w.d.eval.value(a.Expr)
	w.d.diags = append(w.d.diags, diags...)
	if diags.HasErrors() || !v.IsWhollyKnown() {
		return cty.NilVal, at, false
	}
	if err := numbersIn(v, t); err != nil {
		w.d.mistake(at, "Number out of range", "%s: %v.", name, err)
		return cty.NilVal, at, false
	}
	v, err := convert.Convert(v, t)
	if err != nil || v.IsNull() {
		what := "it is null"
		if err != nil {
			what = err.Error()
		}
		w.d.mistake(at, "Wrong kind of value", "%s: %s.", name, what)
		return cty.NilVal, at, false
	}
	return v, at, true
}

// numbersIn judges a value, or the values of a list, before they are made numbers.
func numbersIn(v cty.Value, t cty.Type) error {
	switch {
	case t == cty.Number:
		return boundedNumber(v)
	case t.IsListType() && t.ElementType() == cty.Number && v.IsKnown() && !v.IsNull() && v.CanIterateElements():
		for it := v.ElementIterator(); it.Next(); {
			if _, x := it.Element(); boundedNumber(x) != nil {
				return boundedNumber(x)
			}
		}
	}
	return nil
}

func (w *words) text(name, def string) (string, hcl.Range) {
	v, at, ok := w.attribute(name, cty.String)
	if !ok {
		return def, at
	}
	return v.AsString(), at
}

func (w *words) list(name string) ([]string, []hcl.Range) {
	v, at, ok := w.attribute(name, cty.List(cty.String))
	if !ok {
		return nil, nil
	}
	out := []string{}
	var places []hcl.Range
	a := w.block.Body.Attributes[name]
	tuple, _ := a.Expr.(*hclsyntax.TupleConsExpr)
	i := -1
	for it := v.ElementIterator(); it.Next(); {
		_, x := it.Element()
		place := at
		if i++; tuple != nil && i < len(tuple.Exprs) {
			place = tuple.Exprs[i].Range()
		}
		if x.IsNull() {
			w.d.mistake(place, "Wrong kind of value", "%s: a value is null.", name)
			continue
		}
		places = append(places, place)
		out = append(out, x.AsString())
	}
	return out, places
}

func (w *words) texts(name string) (map[string]string, hcl.Range) {
	v, at, ok := w.attribute(name, cty.Map(cty.String))
	if !ok {
		return nil, at
	}
	out := map[string]string{}
	for it := v.ElementIterator(); it.Next(); {
		k, x := it.Element()
		if x.IsNull() {
			w.d.mistake(at, "Wrong kind of value", "%s: the value of %q is null.", name, k.AsString())
			continue
		}
		out[k.AsString()] = x.AsString()
	}
	return out, at
}

func (w *words) number(name string, def int) (int, hcl.Range) {
	v, at, ok := w.attribute(name, cty.Number)
	if !ok {
		return def, at
	}
	n, acc := v.AsBigFloat().Int64()
	if acc != big.Exact || n < -1<<31 || n > 1<<31 {
		w.d.mistake(at, "Wrong kind of value", "%s: a whole number is due.", name)
		return def, at
	}
	return int(n), at
}

func (w *words) flag(name string) (bool, hcl.Range) {
	v, at, ok := w.attribute(name, cty.Bool)
	return ok && v.True(), at
}

func (w *words) numbers(name string) ([]int, hcl.Range) {
	v, at, ok := w.attribute(name, cty.List(cty.Number))
	if !ok {
		return nil, at
	}
	var out []int
	for it := v.ElementIterator(); it.Next(); {
		_, x := it.Element()
		if x.IsNull() || !x.AsBigFloat().IsInt() || x.AsBigFloat().Cmp(big.NewFloat(65535)) > 0 || x.AsBigFloat().Sign() <= 0 {
			w.d.mistake(at, "Wrong kind of value", "%s: a port is a whole number from 1 to 65535.", name)
			continue
		}
		n, _ := x.AsBigFloat().Int64()
		out = append(out, int(n))
	}
	return out, at
}

// blocks are the blocks of one name.
func (w *words) blocks(name string, labels int) []*hclsyntax.Block {
	w.known, w.used[name] = append(w.known, name), true
	var out []*hclsyntax.Block
	if a := w.block.Body.Attributes[name]; a != nil {
		w.d.mistake(a.NameRange, "Value where a block is due", "Write %s { … }.", name)
	}
	for _, b := range w.block.Body.Blocks {
		if b.Type != name {
			continue
		}
		if len(b.Labels) != labels {
			w.d.mistake(b.DefRange(), "Wrong number of labels", "%s has %d, %d are due.", name, len(b.Labels), labels)
			continue
		}
		out = append(out, b)
	}
	return out
}

// block is the one block of a name, or nil.
func (w *words) one(name string, labels int) *hclsyntax.Block {
	bs := w.blocks(name, labels)
	if len(bs) == 0 {
		return nil
	}
	for _, b := range bs[1:] {
		w.d.mistake(b.DefRange(), "Duplicate block", "%s stands at %s already.", name, place(&bs[0].TypeRange))
	}
	return bs[0]
}
