package requirements

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

var clause = regexp.MustCompile(`^(~=|==|!=|<=|>=|<|>|===)\s*v?([0-9]+(?:\.[0-9]+)*)(\.\*)?(?:\.?(?:a|b|rc|dev|post)[0-9]*)*$`)

// Allows says whether a requires-python admits an interpreter, "3.13" or "3.13.5"; a version
// of two parts means its first patch, as it does for uv. Empty admits all. Source: PEP 440,
// "Version specifiers", of which interpreters need the release part alone.
func Allows(specifier, version string) (bool, error) {
	have, err := release(version)
	if err != nil {
		return false, err
	}
	for _, part := range strings.Split(specifier, ",") {
		part = strings.TrimSpace(part)
		if part == "" {
			continue
		}
		m := clause.FindStringSubmatch(part)
		if m == nil || len(part) > 100 {
			return false, fmt.Errorf("requires-python: %+q is no comparison with a version (>=3.11)", cut(part))
		}
		want, err := release(m[2])
		if err != nil {
			return false, err
		}
		if !holds(m[1], have, want, m[3] != "") {
			return false, nil
		}
	}
	return true, nil
}

func holds(op string, have, want []int, prefix bool) bool {
	c := compare(have, want)
	same := c == 0
	if prefix {
		same = compare(padded(have, len(want))[:len(want)], want) == 0
	}
	switch op {
	case "==", "===":
		return same
	case "!=":
		return !same
	case ">=":
		return c >= 0
	case "<=":
		return c <= 0
	case ">":
		return c > 0
	case "<":
		return c < 0
	}
	head := want[:max(1, len(want)-1)] // ~=3.11 is >=3.11, ==3.*
	return c >= 0 && compare(padded(have, len(head))[:len(head)], head) == 0
}

func release(v string) ([]int, error) {
	var out []int
	for _, part := range strings.Split(v, ".") {
		n, err := strconv.Atoi(part)
		if err != nil || n < 0 {
			return nil, fmt.Errorf("%+q is no version of Python", cut(v))
		}
		out = append(out, n)
	}
	return out, nil
}

func padded(v []int, n int) []int {
	out := append([]int(nil), v...)
	for len(out) < n {
		out = append(out, 0)
	}
	return out
}

func compare(a, b []int) int {
	n := max(len(a), len(b))
	a, b = padded(a, n), padded(b, n)
	for i := range a {
		if a[i] != b[i] {
			return a[i] - b[i]
		}
	}
	return 0
}
