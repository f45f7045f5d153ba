package debian

import (
	"strconv"
	"strings"
)

// CompareVersions orders two versions: negative, zero or positive. What is no version at
// all is compared as text, so that the order is total. Source: Debian policy 5.6.12.
func CompareVersions(a, b string) int {
	e1, u1, r1 := splitVersion(a)
	e2, u2, r2 := splitVersion(b)
	if c := comparePart(e1, e2); c != 0 {
		return c
	}
	if c := comparePart(u1, u2); c != 0 {
		return c
	}
	return comparePart(r1, r2)
}

// splitVersion cuts a version into epoch, upstream version and revision.
func splitVersion(v string) (epoch, upstream, revision string) {
	epoch = "0"
	if e, rest, ok := strings.Cut(v, ":"); ok {
		epoch, v = e, rest
	}
	if i := strings.LastIndexByte(v, '-'); i >= 0 {
		return epoch, v[:i], v[i+1:]
	}
	return epoch, v, ""
}

// comparePart compares runs of other characters and runs of digits in turn.
func comparePart(a, b string) int {
	for a != "" || b != "" {
		for (a != "" && !digit(a[0])) || (b != "" && !digit(b[0])) {
			x, y := weight(a), weight(b)
			if x != y {
				return x - y
			}
			a, b = a[1:], b[1:]
		}
		var x, y string
		x, a = number(a)
		y, b = number(b)
		if len(x) != len(y) {
			return len(x) - len(y)
		}
		if c := strings.Compare(x, y); c != 0 {
			return c
		}
	}
	return 0
}

func digit(c byte) bool { return c >= '0' && c <= '9' }

// weight orders the first character of a run: ~ before the end, the end and digits before
// letters, letters before all else.
func weight(s string) int {
	switch {
	case s == "" || digit(s[0]):
		return 0
	case s[0] == '~':
		return -1
	case s[0] >= 'A' && s[0] <= 'Z' || s[0] >= 'a' && s[0] <= 'z':
		return int(s[0])
	}
	return int(s[0]) + 256
}

// number cuts the leading digits off, without zeros in front.
func number(s string) (digits, rest string) {
	i := 0
	for i < len(s) && digit(s[i]) {
		i++
	}
	return strings.TrimLeft(s[:i], "0"), s[i:]
}

// checkVersion says what is wrong with a version. Source: Debian policy 5.6.12.
func checkVersion(v string) string {
	epoch, upstream, revision := splitVersion(v)
	if _, err := strconv.ParseUint(epoch, 10, 31); err != nil {
		return "has an epoch that is no number"
	}
	if upstream == "" || !digit(upstream[0]) && !letter(upstream[0]) {
		return "does not begin with a digit"
	}
	if strings.HasSuffix(v, "-") || len(v) > 256 {
		return "is no version"
	}
	for _, c := range []byte(upstream + revision) {
		if !digit(c) && !letter(c) && !strings.ContainsRune(".+-~:", rune(c)) {
			return "has the character " + q(string(rune(c)))
		}
	}
	return ""
}

func letter(c byte) bool { return c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' }
