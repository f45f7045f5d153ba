package judge

import (
	"maps"
	"slices"
	"strconv"
	"strings"
)

// distribution is a Python distribution's name as PEP 503 compares it.
func distribution(name string) string {
	parts := strings.FieldsFunc(strings.ToLower(name), func(r rune) bool { return r == '-' || r == '_' || r == '.' })
	return strings.Join(parts, "-")
}

// older says whether a version (PEP 440) is older than a release such as 2.9.1. What cannot
// be read is older than anything; a pre-release is older than its release; the local part
// (+cu128) does not count, and neither does what follows a release that is newer anyway.
func older(version, least string) bool {
	v := strings.TrimPrefix(strings.ToLower(strings.TrimSpace(version)), "v")
	v, _, _ = strings.Cut(v, "+")
	if epoch, rest, ok := strings.Cut(v, "!"); ok {
		if n, err := strconv.Atoi(epoch); err != nil || n < 0 {
			return true
		} else if n > 0 {
			return false
		}
		v = rest
	}
	end := strings.IndexFunc(v, func(r rune) bool { return r != '.' && (r < '0' || r > '9') })
	suffix := ""
	if end >= 0 {
		v, suffix = strings.TrimRight(v[:end], ".-_"), v[end:]
	}
	got, want := numbers(v), numbers(least)
	if got == nil || want == nil {
		return true
	}
	if c := slices.Compare(got, want); c != 0 {
		return c < 0
	}
	return suffix != "" && !strings.HasPrefix(strings.TrimLeft(suffix, ".-_"), "post")
}

// numbers are the parts of a release, without zeros at its end; nil: it is none.
func numbers(s string) []int {
	out := []int{}
	for _, p := range strings.Split(s, ".") {
		n, err := strconv.Atoi(p)
		if err != nil || n < 0 {
			return nil
		}
		out = append(out, n)
	}
	for len(out) > 0 && out[len(out)-1] == 0 {
		out = out[:len(out)-1]
	}
	return out
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
