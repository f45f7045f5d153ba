package requirement

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Environment are the values of markers' variables.
type Environment map[string]string

// EnvironmentOf is that of an image's interpreter. Source: PEP 508, "Environment Markers".
func EnvironmentOf(arch, version string) Environment {
	machine := map[string]string{"amd64": "x86_64", "arm64": "aarch64"}[arch]
	if machine == "" {
		machine = arch
	}
	parts := strings.SplitN(version, ".", 3)
	short := version
	if len(parts) >= 2 {
		short = parts[0] + "." + parts[1]
	}
	return Environment{"python_version": short, "python_full_version": version, "os_name": "posix", "sys_platform": "linux", "platform_system": "Linux",
		"platform_machine": machine, "platform_python_implementation": "CPython", "implementation_name": "cpython", "implementation_version": version,
		"platform_release": "", "platform_version": "", "extra": ""}
}

// Holds says whether a marker holds; an empty one does. extras are those that are asked for.
func (e Environment) Holds(marker string, extras []string) (bool, error) {
	if strings.TrimSpace(marker) == "" {
		return true, nil
	}
	p := &markerParser{env: e, extras: extras, rest: marker, depth: 64}
	v, err := p.or()
	if err == nil && strings.TrimSpace(p.rest) != "" {
		err = fmt.Errorf("%q follows", cut(p.rest))
	}
	if err != nil {
		return false, fmt.Errorf("marker %q: %w", cut(marker), err)
	}
	return v, nil
}

// markerParser reads a marker by recursive descent.
type markerParser struct {
	env    Environment
	extras []string
	rest   string
	depth  int
}

func (p *markerParser) or() (bool, error) {
	v, err := p.and()
	for err == nil && p.word("or") {
		var w bool
		w, err = p.and()
		v = v || w
	}
	return v, err
}

func (p *markerParser) and() (bool, error) {
	v, err := p.atom()
	for err == nil && p.word("and") {
		var w bool
		w, err = p.atom()
		v = v && w
	}
	return v, err
}

func (p *markerParser) space() { p.rest = strings.TrimLeft(p.rest, " \t\r\n") }

// word takes a keyword, if it is next.
func (p *markerParser) word(w string) bool {
	p.space()
	rest, ok := strings.CutPrefix(p.rest, w)
	if !ok || rest != "" && isWord(rest[0]) {
		return false
	}
	p.rest = rest
	return true
}

func isWord(c byte) bool {
	return c == '_' || c == '.' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

func (p *markerParser) atom() (bool, error) {
	p.space()
	if strings.HasPrefix(p.rest, "(") {
		if p.depth--; p.depth < 0 {
			return false, errors.New("it is nested too deep")
		}
		p.rest = p.rest[1:]
		v, err := p.or()
		if err != nil {
			return false, err
		}
		if p.space(); !strings.HasPrefix(p.rest, ")") {
			return false, errors.New("a parenthesis is missing")
		}
		p.rest = p.rest[1:]
		return v, nil
	}
	left, leftVar, err := p.value()
	if err != nil {
		return false, err
	}
	op, err := p.operator()
	if err != nil {
		return false, err
	}
	right, rightVar, err := p.value()
	if err != nil {
		return false, err
	}
	if leftVar == "extra" {
		return p.extra(op, right)
	}
	if rightVar == "extra" {
		return p.extra(op, left)
	}
	return compareMarker(left, op, right, leftVar+rightVar)
}

// extra compares with each extra that is asked for, and with none.
func (p *markerParser) extra(op, value string) (bool, error) {
	has := false
	for _, e := range p.extras {
		has = has || Normal(e) == Normal(value)
	}
	switch op {
	case "==", "===":
		return has, nil
	case "!=":
		return !has, nil
	}
	return false, fmt.Errorf("extra %s", op)
}

// value takes a string or a variable.
func (p *markerParser) value() (value, variable string, err error) {
	p.space()
	if p.rest == "" {
		return "", "", errors.New("it is cut off")
	}
	if q := p.rest[0]; q == '\'' || q == '"' {
		s, rest, ok := strings.Cut(p.rest[1:], string(q))
		if !ok {
			return "", "", errors.New("a string does not end")
		}
		p.rest = rest
		return s, "", nil
	}
	n := 0
	for n < len(p.rest) && isWord(p.rest[n]) {
		n++
	}
	name := p.rest[:n]
	p.rest = p.rest[n:]
	name = strings.ReplaceAll(name, ".", "_") // "os.name" of PEP 345
	if name == "python_implementation" {
		name = "platform_python_implementation"
	}
	v, ok := p.env[name]
	if !ok {
		return "", "", fmt.Errorf("variable %q is not known", cut(name))
	}
	return v, name, nil
}

func (p *markerParser) operator() (string, error) {
	p.space()
	for _, op := range []string{"===", "==", "!=", "<=", ">=", "~=", "<", ">"} {
		if rest, ok := strings.CutPrefix(p.rest, op); ok {
			p.rest = rest
			return op, nil
		}
	}
	if p.word("not") {
		if p.word("in") {
			return "not in", nil
		}
		return "", errors.New("\"not\" without \"in\"")
	}
	if p.word("in") {
		return "in", nil
	}
	return "", errors.New("an operator is missing")
}

func compareMarker(left, op, right, variable string) (bool, error) {
	switch op {
	case "in":
		return strings.Contains(right, left), nil
	case "not in":
		return !strings.Contains(right, left), nil
	case "===":
		return left == right, nil
	}
	if strings.HasSuffix(variable, "version") && variable != "platform_version" {
		if v, ok := Compare(left, op, right); ok {
			return v, nil
		}
	}
	switch op {
	case "==":
		return left == right, nil
	case "!=":
		return left != right, nil
	case "<":
		return left < right, nil
	case "<=":
		return left <= right, nil
	case ">":
		return left > right, nil
	case ">=":
		return left >= right, nil
	}
	return false, fmt.Errorf("%q %s %q cannot be compared", cut(left), op, cut(right))
}

// Compare compares release numbers; ok is false when one is something else.
func Compare(left, op, right string) (result, ok bool) {
	right, star := strings.CutSuffix(right, ".*")
	a, okA := release(left)
	b, okB := release(right)
	if !okA || !okB {
		return false, false
	}
	same := func(n int) bool {
		for i := range n {
			if at(a, i) != at(b, i) {
				return false
			}
		}
		return true
	}
	c := 0
	for i := range max(len(a), len(b)) {
		if c = at(a, i) - at(b, i); c != 0 {
			break
		}
	}
	switch op {
	case "==":
		return star && same(len(b)) || c == 0, true
	case "!=":
		return !(star && same(len(b))) && c != 0, true
	case "<":
		return c < 0, true
	case "<=":
		return c <= 0, true
	case ">":
		return c > 0, true
	case ">=":
		return c >= 0, true
	case "~=":
		return len(b) > 1 && c >= 0 && same(len(b)-1), true
	}
	return false, false
}

func at(v []int, i int) int {
	if i < len(v) {
		return v[i]
	}
	return 0
}

// release reads numbers between dots; what follows them, as in 3.14.0rc1, is left out.
func release(s string) ([]int, bool) {
	var out []int
	for part := range strings.SplitSeq(strings.TrimSpace(s), ".") {
		digits := part
		if i := strings.IndexFunc(part, func(r rune) bool { return r < '0' || r > '9' }); i >= 0 {
			digits = part[:i]
		}
		n, err := strconv.Atoi(digits)
		if err != nil || n > 1<<30 {
			return out, len(out) > 0 && digits == ""
		}
		if out = append(out, n); digits != part {
			break
		}
	}
	return out, len(out) > 0
}
