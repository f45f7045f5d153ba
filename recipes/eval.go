package recipes

import (
	"errors"
	"fmt"
	"io"
	"math/big"
	"os"
	"path"
	"sort"
	"strings"
	"syscall"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
	"github.com/zclconf/go-cty/cty/function"
	"github.com/zclconf/go-cty/cty/function/stdlib"
	ctyjson "github.com/zclconf/go-cty/cty/json"
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
	maxSpent = 16 * maxValue
)

// evaluator gives the values of var.* and local.*, and the functions. steps and bytes are
// one budget for the whole recipe: what is read, called and made is charged to it, and when
// it is spent nothing is evaluated any more.
type evaluator struct {
	dir   string
	ctx   *hcl.EvalContext
	steps int
	bytes int
	spent bool
}

// charge takes n bytes from the budget.
func (e *evaluator) charge(n int) error {
	if e.bytes += n; e.spent || e.bytes > maxSpent {
		e.spent = true
		return fmt.Errorf("HCL-03: evaluation exceeded its budget of %d bytes", maxSpent)
	}
	return nil
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
				e.spent = true
				return cty.NilVal, fmt.Errorf("HCL-03: evaluation exceeded %d steps", maxSteps)
			}
			if name == "format" {
				if err := plainFormat(args); err != nil {
					return cty.NilVal, err
				}
			}
			in := 0
			for _, a := range args {
				in += weight(a)
			}
			if err := e.charge(in + grows(name, args)); err != nil {
				return cty.NilVal, err
			}
			v, err := f.Call(args)
			if err != nil {
				return v, err
			}
			out := weight(v)
			if out > maxValue {
				e.spent = true
				return cty.NilVal, fmt.Errorf("HCL-03: %s returns more than %d bytes", name, maxValue)
			}
			return v, e.charge(out)
		},
	})
}

// grows bounds the bytes that a function makes beyond those it is given.
func grows(name string, args []cty.Value) int {
	known := len(args) > 0
	for _, a := range args {
		known = known && a.IsKnown() && !a.IsNull()
	}
	if !known {
		return 0
	}
	text := func(i int) string {
		if i < len(args) && args[i].Type() == cty.String {
			return args[i].AsString()
		}
		return ""
	}
	switch name {
	case "replace":
		return strings.Count(text(0), text(1)) * len(text(2))
	case "split": // a value of a list takes more than its letters
		return 64 * (strings.Count(text(1), text(0)) + 1)
	case "join":
		n := 0
		for _, a := range args[1:] {
			n += a.LengthInt()
		}
		return n * len(text(0))
	case "format": // each verb may show the largest argument, at most 999 wide
		most := 1000
		for _, a := range args[1:] {
			most = max(most, 6*weight(a))
		}
		return strings.Count(text(0), "%") * most
	}
	return 0
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
			diags = append(diags, mistake(hcl.Range{}, "Unknown variable", "--var %s: the recipe declares no such variable. %s", name, declared(name, sortedKeys(values))))
		}
	}
	e.ctx.Variables["var"] = cty.ObjectVal(values)
	return diags
}

// declared ends a sentence about a variable that a recipe does not have.
func declared(name string, all []string) string {
	if len(all) == 0 {
		return "It declares none."
	}
	return nearest(name, all)
}

// Hidden stands for a value that is not repeated.
const Hidden = "(hidden)"

// values are the variables as text.
func (e *evaluator) values() map[string]string {
	out := map[string]string{}
	for name, v := range e.ctx.Variables["var"].AsValueMap() {
		text := ""
		switch {
		case !v.IsWhollyKnown():
			continue // a mistake, which is reported
		case !v.IsNull() && v.Type() == cty.String:
			text = v.AsString()
		default:
			raw, err := ctyjson.Marshal(v, v.Type())
			if err != nil {
				continue // what has no text is no value of a variable
			}
			text = string(raw)
		}
		if secret.MatchString(text) || secretName.MatchString(name) {
			text = Hidden
		}
		out[name] = text
	}
	return out
}

func lookup(env func(string) (string, bool), name string) (string, bool) {
	if env == nil {
		return "", false
	}
	return env(name)
}

// locals evaluates locals blocks in the order of their references: a local is ready when
// all that it needs have values.
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
	values, needs := map[string]cty.Value{}, map[string]map[string]bool{}
	waiting, users := map[string]int{}, map[string][]string{}
	var ready []string
	for _, name := range sortedKeys(todo) {
		needs[name] = localsOf(todo[name].Expr, todo)
		for other := range needs[name] {
			if todo[other] != nil {
				waiting[name]++
				users[other] = append(users[other], name)
			}
		}
		if waiting[name] == 0 {
			ready = append(ready, name)
		}
	}
	for len(ready) > 0 {
		name := ready[0]
		ready = ready[1:]
		seen := map[string]cty.Value{}
		for other := range needs[name] {
			if v, ok := values[other]; ok {
				seen[other] = v
			}
		}
		ctx := e.ctx.NewChild()
		ctx.Variables = map[string]cty.Value{"local": cty.ObjectVal(seen)}
		v, d := e.valueIn(ctx, todo[name].Expr)
		diags = append(diags, d...)
		values[name] = v
		for _, user := range users[name] {
			if waiting[user]--; waiting[user] == 0 {
				ready = append(ready, user)
			}
		}
	}
	for _, name := range sortedKeys(todo) {
		if waiting[name] > 0 {
			diags = append(diags, mistake(todo[name].NameRange, "Local refers to itself", "local.%s needs its own value, directly or through others.", name))
			values[name] = cty.DynamicVal
		}
	}
	e.ctx.Variables["local"] = cty.ObjectVal(values)
	return diags
}

// localsOf names the locals that an expression needs. One that takes local as a whole needs
// all of them, itself included.
func localsOf(x hcl.Expression, all map[string]*hclsyntax.Attribute) map[string]bool {
	out := map[string]bool{}
	for _, t := range x.Variables() {
		if t.RootName() != "local" {
			continue
		}
		if len(t) > 1 {
			switch s := t[1].(type) {
			case hcl.TraverseAttr:
				out[s.Name] = true
				continue
			case hcl.TraverseIndex:
				if s.Key.Type() == cty.String {
					out[s.Key.AsString()] = true
					continue
				}
			}
		}
		for name := range all {
			out[name] = true
		}
		break
	}
	return out
}

// value evaluates an expression of an image or a variable.
func (e *evaluator) value(x hclsyntax.Expression) (cty.Value, hcl.Diagnostics) {
	return e.valueIn(e.ctx, x)
}

// valueIn evaluates an expression. What breaks a limit has no value, so that nothing is
// made of it.
func (e *evaluator) valueIn(ctx *hcl.EvalContext, x hclsyntax.Expression) (cty.Value, hcl.Diagnostics) {
	if e.spent {
		return cty.DynamicVal, nil // it was said where the budget ended
	}
	if d := e.prepare(ctx, x); d.HasErrors() {
		return cty.DynamicVal, d
	}
	v, diags := x.Value(ctx)
	for _, d := range diags { // their values may be large, and the text says what is wrong
		d.Expression, d.EvalContext = nil, nil
	}
	if diags.HasErrors() {
		return cty.DynamicVal, diags
	}
	switch n := weight(v); {
	case n > maxValue:
		e.spent = true
		return cty.DynamicVal, hcl.Diagnostics{mistake(x.Range(), "Value too large", "HCL-03: the value has more than %d bytes.", maxValue)}
	case v.Type() == cty.Number && v.IsKnown() && !v.IsNull() && v.AsBigFloat().IsInf():
		return cty.DynamicVal, hcl.Diagnostics{mistake(x.Range(), "Division by zero", "HCL-02: the value is no number.")}
	default:
		if err := e.charge(n); err != nil {
			return cty.DynamicVal, hcl.Diagnostics{mistake(x.Range(), "Recipe takes too long", "%v.", err)}
		}
	}
	return v, diags
}

// prepare judges an expression before it is evaluated: it has no loops, what it reads is
// charged, once for each time and for each splat, and its operators are bounded.
func (e *evaluator) prepare(ctx *hcl.EvalContext, x hclsyntax.Expression) hcl.Diagnostics {
	splats := 0
	diags := hclsyntax.VisitAll(x, func(n hclsyntax.Node) hcl.Diagnostics {
		switch n := n.(type) {
		case *hclsyntax.ForExpr:
			return hcl.Diagnostics{mistake(n.Range(), "Loop in a recipe", "HCL-03: the language has no for; write the values out, or make them with concat, merge or split.")}
		case *hclsyntax.SplatExpr:
			splats++
		case *hclsyntax.BinaryOpExpr:
			n.Op = bounded(n.Op)
		case *hclsyntax.UnaryOpExpr:
			n.Op = bounded(n.Op)
		case *hclsyntax.IndexExpr:
			n.Key = boundedKey{n.Key}
		case *hclsyntax.ScopeTraversalExpr:
			return checkKeys(n.Traversal, n.Range())
		case *hclsyntax.RelativeTraversalExpr:
			return checkKeys(n.Traversal, n.Range())
		}
		return nil
	})
	if diags.HasErrors() {
		return diags
	}
	r := x.Range()
	cost := r.End.Byte - r.Start.Byte
	for _, t := range x.Variables() {
		if v, d := t.TraverseAbs(ctx); !d.HasErrors() {
			cost += weight(v)
		}
		if cost > maxSpent {
			break
		}
	}
	if err := e.charge(cost * (1 + splats)); err != nil {
		return hcl.Diagnostics{mistake(r, "Recipe takes too long", "%v.", err)}
	}
	return nil
}

// numberText is the longest text that is taken for a number.
const numberText = 40

// boundedNumber refuses a number, or a text that would be made one, whose digits take long
// to compute: a few letters can stand for gigabytes of them.
func boundedNumber(v cty.Value) error {
	bad := errors.New("HCL-02: a number is out of range")
	switch {
	case !v.IsKnown() || v.IsNull():
		return nil
	case v.Type() == cty.String:
		s := v.AsString()
		if len(s) > numberText {
			return bad
		}
		if _, exponent, ok := strings.Cut(strings.ToLower(s), "e"); ok && len(strings.TrimLeft(exponent, "+-0")) > 2 {
			return bad
		}
	case v.Type() == cty.Number:
		f := v.AsBigFloat()
		if exponent := f.MantExp(new(big.Float)); !f.IsInf() && (exponent > 1024 || exponent < -1024) {
			return bad
		}
	}
	return nil
}

// bounded is an operation on numbers whose operands and result are bounded; all others are
// as they were.
func bounded(op *hclsyntax.Operation) *hclsyntax.Operation {
	params := op.Impl.Params()
	if len(params) == 0 || params[0].Type != cty.Number {
		return op
	}
	loose := make([]function.Parameter, len(params))
	for i, p := range params {
		loose[i] = p
		loose[i].Type = cty.DynamicPseudoType
	}
	impl := function.New(&function.Spec{
		Params: loose, Type: function.StaticReturnType(op.Type),
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			numbers := make([]cty.Value, len(args))
			for i, a := range args {
				if err := boundedNumber(a); err != nil {
					return cty.NilVal, err
				}
				v, err := convert.Convert(a, cty.Number)
				if err != nil {
					return cty.NilVal, err
				}
				numbers[i] = v
			}
			v, err := op.Impl.Call(numbers)
			if err == nil {
				err = boundedNumber(v)
			}
			return v, err
		},
	})
	return &hclsyntax.Operation{Impl: impl, Type: op.Type, ShortCircuit: op.ShortCircuit}
}

// boundedKey is the key of an index.
type boundedKey struct{ hclsyntax.Expression }

func (k boundedKey) Value(ctx *hcl.EvalContext) (cty.Value, hcl.Diagnostics) {
	v, diags := k.Expression.Value(ctx)
	if diags.HasErrors() || v.Type() != cty.String || boundedNumber(v) == nil {
		return v, diags
	}
	if strings.Trim(v.AsString(), "+-.eE0123456789") != "" {
		return v, diags // the name of an attribute
	}
	return cty.DynamicVal, hcl.Diagnostics{mistake(k.Range(), "Number out of range", "%v.", boundedNumber(v))}
}

// checkKeys judges the keys that stand in a reference: local.a["1e9"].
func checkKeys(t hcl.Traversal, at hcl.Range) hcl.Diagnostics {
	for _, step := range t {
		if i, ok := step.(hcl.TraverseIndex); ok && i.Key.Type() == cty.String && strings.Trim(i.Key.AsString(), "+-.eE0123456789") == "" {
			if err := boundedNumber(i.Key); err != nil {
				return hcl.Diagnostics{mistake(at, "Number out of range", "%v.", err)}
			}
		}
	}
	return nil
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
