package recipes

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"sort"
	"strings"
	"syscall"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"
	"github.com/zclconf/go-cty/cty/function/stdlib"
)

// Options says what the variables of a recipe are. Env looks for FORGE_VAR_<name>; it may
// be nil.
type Options struct {
	Vars map[string]string
	Env  func(string) (string, bool)
}

// maxValue bounds what one function may return, in bytes; maxFile a file that file() reads.
const (
	maxValue = 1 << 20
	maxFile  = 1 << 20
	maxSteps = 10_000
)

// evaluator gives the values of var.* and local.*, and the functions. steps and bytes are
// one budget for the whole recipe.
type evaluator struct {
	dir   string
	ctx   *hcl.EvalContext
	steps int
	bytes int
}

func newEvaluator(dir string) *evaluator {
	e := &evaluator{dir: dir}
	e.ctx = &hcl.EvalContext{Variables: map[string]cty.Value{"var": cty.EmptyObjectVal, "local": cty.EmptyObjectVal}, Functions: map[string]function.Function{}}
	for name, f := range map[string]function.Function{
		"format": stdlib.FormatFunc, "join": stdlib.JoinFunc, "concat": stdlib.ConcatFunc, "merge": stdlib.MergeFunc, "lookup": stdlib.LookupFunc,
		"upper": stdlib.UpperFunc, "lower": stdlib.LowerFunc, "trimspace": stdlib.TrimSpaceFunc, "replace": stdlib.ReplaceFunc, "split": stdlib.SplitFunc,
		"jsonencode": stdlib.JSONEncodeFunc,
	} {
		e.ctx.Functions[name] = e.budgeted(name, f)
	}
	e.ctx.Functions["file"] = e.budgeted("file", function.New(&function.Spec{
		Params: []function.Parameter{{Name: "path", Type: cty.String}},
		Type:   function.StaticReturnType(cty.String),
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			b, err := readBelow(e.dir, args[0].AsString(), maxFile)
			return cty.StringVal(string(b)), err
		},
	}))
	return e
}

// budgeted counts a function's calls and the bytes that go in and out.
func (e *evaluator) budgeted(name string, f function.Function) function.Function {
	return function.New(&function.Spec{
		Params: f.Params(), VarParam: f.VarParam(),
		Type: f.ReturnTypeForValues,
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			e.steps++
			if e.steps > maxSteps {
				return cty.NilVal, fmt.Errorf("HCL-03: evaluation exceeded %d steps", maxSteps)
			}
			if name == "format" {
				if err := plainFormat(args); err != nil {
					return cty.NilVal, err
				}
			}
			grow := 1
			for _, a := range args {
				n := weight(a)
				e.bytes += n
				if name == "replace" || name == "join" {
					grow *= max(1, n)
				}
			}
			if e.bytes > 16*maxValue || grow > 64*maxValue {
				return cty.NilVal, fmt.Errorf("HCL-03: evaluation exceeded its budget of %d bytes", 16*maxValue)
			}
			v, err := f.Call(args)
			if err == nil && weight(v) > maxValue {
				return cty.NilVal, fmt.Errorf("HCL-03: %s returns more than %d bytes", name, maxValue)
			}
			return v, err
		},
	})
}

// plainFormat refuses widths and precisions of more than three digits.
func plainFormat(args []cty.Value) error {
	if len(args) == 0 || args[0].IsNull() || !args[0].IsKnown() {
		return nil
	}
	digits := 0
	for _, r := range args[0].AsString() {
		if r >= '0' && r <= '9' {
			if digits++; digits > 3 {
				return errors.New("HCL-02: a width or precision has at most three digits")
			}
			continue
		}
		if r == '*' {
			return errors.New("HCL-02: a width is written as a number")
		}
		digits = 0
	}
	return nil
}

// weight is about how many bytes a value holds.
func weight(v cty.Value) int {
	if v == cty.NilVal || !v.IsKnown() || v.IsNull() {
		return 1
	}
	if v.Type() == cty.String {
		return len(v.AsString())
	}
	if !v.CanIterateElements() {
		return 8
	}
	n := 0
	for it := v.ElementIterator(); it.Next() && n <= maxValue; {
		k, x := it.Element()
		n += 8 + weight(k) + weight(x)
	}
	return n
}

// readBelow reads a regular file below dir: no links out of it, no devices, no pipes.
func readBelow(dir, name string, limit int64) ([]byte, error) {
	if name == "" || path.IsAbs(name) || strings.ContainsRune(name, 0) {
		return nil, fmt.Errorf("HCL-04: %+q is not a path below the recipe's folder", cut(name))
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	f, err := root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		var pe *os.PathError
		if errors.As(err, &pe) {
			err = pe.Err
		}
		return nil, fmt.Errorf("HCL-04: reading %+q: %w", cut(name), err)
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil, fmt.Errorf("HCL-04: %+q is not a regular file", cut(name))
	}
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(b)) > limit {
		err = fmt.Errorf("HCL-04: %+q has more than %d bytes", cut(name), limit)
	}
	return b, err
}

func cut(s string) string { return s[:min(len(s), 120)] }

// variables reads variable blocks: --var, then FORGE_VAR_name, then the default.
func (e *evaluator) variables(blocks []*hclsyntax.Block, o Options) hcl.Diagnostics {
	var diags hcl.Diagnostics
	values := map[string]cty.Value{}
	for _, b := range blocks {
		if len(b.Labels) != 1 {
			diags = append(diags, mistake(b.DefRange(), "Variable without a name", `Write variable "name" { default = "…" }.`))
			continue
		}
		name := b.Labels[0]
		if _, ok := values[name]; ok {
			diags = append(diags, mistake(b.DefRange(), "Duplicate variable", "Variable %q is declared twice.", name))
			continue
		}
		values[name] = cty.DynamicVal
		for _, attr := range sortedAttributes(b.Body) {
			if attr.Name != "default" && attr.Name != "description" {
				diags = append(diags, mistake(attr.NameRange, "Unknown word", "A variable has default and description."))
			}
		}
		if v, ok := o.Vars[name]; ok {
			values[name] = cty.StringVal(v)
		} else if v, ok := lookup(o.Env, "FORGE_VAR_"+name); ok {
			values[name] = cty.StringVal(v)
		} else if attr, ok := b.Body.Attributes["default"]; ok {
			v, d := e.value(attr.Expr)
			diags = append(diags, d...)
			values[name] = v
		} else {
			diags = append(diags, mistake(b.DefRange(), "Variable without a value", "Give --var %s=…, set FORGE_VAR_%s, or write a default.", name, name))
		}
	}
	for _, name := range sortedKeys(o.Vars) {
		if _, ok := values[name]; !ok {
			diags = append(diags, mistake(hcl.Range{}, "Unknown variable", "--var %s: the recipe declares no such variable. %s", name, nearest(name, sortedKeys(values))))
		}
	}
	e.ctx.Variables["var"] = cty.ObjectVal(values)
	return diags
}

func lookup(env func(string) (string, bool), name string) (string, bool) {
	if env == nil {
		return "", false
	}
	return env(name)
}

// locals evaluates locals blocks in the order of their references.
func (e *evaluator) locals(blocks []*hclsyntax.Block) hcl.Diagnostics {
	var diags hcl.Diagnostics
	todo := map[string]*hclsyntax.Attribute{}
	for _, b := range blocks {
		for _, attr := range sortedAttributes(b.Body) {
			if old, ok := todo[attr.Name]; ok {
				diags = append(diags, mistake(attr.NameRange, "Duplicate local", "%q is set at %s already.", attr.Name, place(&old.NameRange)))
				continue
			}
			todo[attr.Name] = attr
		}
	}
	values := map[string]cty.Value{}
	e.ctx.Variables["local"] = cty.ObjectVal(values)
	for len(todo) > 0 {
		before := len(todo)
		for _, name := range sortedKeys(todo) {
			if waits(todo[name].Expr, todo) {
				continue
			}
			v, d := e.value(todo[name].Expr)
			diags = append(diags, d...)
			values[name] = v
			delete(todo, name)
			e.ctx.Variables["local"] = cty.ObjectVal(values)
		}
		if len(todo) == before {
			for _, name := range sortedKeys(todo) {
				diags = append(diags, mistake(todo[name].NameRange, "Local refers to itself", "local.%s needs its own value, directly or through others.", name))
				values[name] = cty.DynamicVal
			}
			break
		}
	}
	e.ctx.Variables["local"] = cty.ObjectVal(values)
	return diags
}

// waits says whether an expression needs a local that has no value yet.
func waits(x hcl.Expression, todo map[string]*hclsyntax.Attribute) bool {
	for _, t := range x.Variables() {
		if t.RootName() != "local" || len(t) < 2 {
			continue
		}
		if a, ok := t[1].(hcl.TraverseAttr); ok && todo[a.Name] != nil {
			return true
		}
	}
	return false
}

// value evaluates an expression.
func (e *evaluator) value(x hclsyntax.Expression) (cty.Value, hcl.Diagnostics) {
	if d := checkLoops(x); d.HasErrors() {
		return cty.DynamicVal, d
	}
	v, diags := x.Value(e.ctx)
	if !diags.HasErrors() && weight(v) > maxValue {
		diags = append(diags, mistake(x.Range(), "Value too large", "HCL-03: the value has more than %d bytes.", maxValue))
	}
	if !diags.HasErrors() && v.Type() == cty.Number && v.IsKnown() && !v.IsNull() && v.AsBigFloat().IsInf() {
		diags = append(diags, mistake(x.Range(), "Division by zero", "HCL-02: the value is no number."))
	}
	return v, diags
}

// checkLoops refuses for expressions and template loops: the language has none, so that a
// value is never larger than the text that makes it, times what the functions' budget allows.
func checkLoops(x hclsyntax.Expression) hcl.Diagnostics {
	return hclsyntax.VisitAll(x, func(n hclsyntax.Node) hcl.Diagnostics {
		if _, ok := n.(*hclsyntax.ForExpr); ok {
			return hcl.Diagnostics{mistake(n.Range(), "Loop in a recipe", "HCL-03: the language has no for; write the values out, or make them with concat, merge or split.")}
		}
		return nil
	})
}

func sortedAttributes(b *hclsyntax.Body) []*hclsyntax.Attribute {
	var out []*hclsyntax.Attribute
	for _, a := range b.Attributes {
		out = append(out, a)
	}
	sort.Slice(out, func(i, j int) bool { return out[i].NameRange.Start.Byte < out[j].NameRange.Start.Byte })
	return out
}

func sortedKeys[V any](m map[string]V) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	sort.Strings(out)
	return out
}
