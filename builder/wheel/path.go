package wheel

import (
	"sort"
	"strings"
	"unicode"
	"unicode/utf8"
)

// checkPath refuses an entry's name unless it stays inside every folder it could be
// unpacked into, on every system, and prints as what it is.
func checkPath(e entry, at int64, lim Limits) error {
	reason := unsafePath(strings.TrimSuffix(e.name, "/"), lim)
	if reason == "" && !utf8Name(e) {
		reason = "not marked as UTF-8, or not UTF-8"
	}
	if reason != "" {
		return refuse("ZIP-01", e.name, at, "unsafe path %s: %s", q(e.name), reason)
	}
	return nil
}

// unsafePath says what is wrong with a slash-separated relative path, or "".
func unsafePath(p string, lim Limits) string {
	switch {
	case p == "":
		return "empty"
	case len(p) > lim.PathBytes:
		return "longer than the limit"
	case !utf8.ValidString(p):
		return "not UTF-8"
	case p[0] == '/':
		return "absolute"
	case strings.Count(p, "/") >= lim.PathDepth:
		return "deeper than the limit"
	}
	for _, r := range p {
		switch {
		case r == '\\':
			return "contains a backslash"
		case unicode.Is(unicode.Cc, r), unicode.Is(unicode.Cf, r), unicode.Is(unicode.Zl, r), unicode.Is(unicode.Zp, r):
			return "contains a control character"
		}
	}
	for _, c := range strings.Split(p, "/") {
		switch {
		case c == "":
			return "empty component"
		case c == "." || c == "..":
			return "component " + c
		case len(c) >= 2 && c[1] == ':' && (c[0]|0x20 >= 'a' && c[0]|0x20 <= 'z'):
			return "drive letter"
		}
	}
	return ""
}

// Fold maps a path to a key that is equal for any two paths that some file system takes
// for one: case is folded and characters are decomposed (Unicode NFD, in which the order
// of combining marks is disregarded, so that a few more paths are equal than must be).
func Fold(p string) string {
	ascii := true
	for i := 0; i < len(p); i++ {
		if p[i] >= utf8.RuneSelf {
			ascii = false
			break
		}
	}
	if ascii {
		return strings.ToLower(p)
	}
	var out []rune
	for _, r := range p {
		out = decompose(out, r)
	}
	for i := 0; i < len(out); {
		j := i
		for j < len(out) && unicode.Is(unicode.M, out[j]) {
			j++
		}
		sort.Slice(out[i:j], func(a, b int) bool { return out[i+a] < out[i+b] })
		i = j + 1
	}
	return string(out)
}

// decompose appends r's folded canonical decomposition.
func decompose(out []rune, r rune) []rune {
	const base, count, vowels, tails = 0xAC00, 11172, 21, 28 // Hangul, Unicode 3.12
	if r >= base && r < base+count {
		s := r - base
		out = append(out, 0x1100+s/(vowels*tails), 0x1161+s%(vowels*tails)/tails)
		if t := s % tails; t != 0 {
			out = append(out, 0x11A7+t)
		}
		return out
	}
	if d, ok := decompositions()[r]; ok {
		for _, c := range d {
			out = decompose(out, c)
		}
		return out
	}
	if r == 'ß' || r == 'ẞ' {
		return append(out, 's', 's')
	}
	low := r
	for f := unicode.SimpleFold(r); f != r; f = unicode.SimpleFold(f) {
		low = min(low, f)
	}
	if low >= 'A' && low <= 'Z' {
		low += 'a' - 'A'
	}
	if low != r {
		if d, ok := decompositions()[low]; ok {
			for _, c := range d {
				out = decompose(out, c)
			}
			return out
		}
	}
	return append(out, low)
}

// collisions finds two entries that a file system could take for one, and files that are
// also folders.
func collisions(entries []entry) error {
	type owner struct {
		name        string
		dir, listed bool
	}
	seen := make(map[string]owner, len(entries))
	for _, e := range entries {
		name := strings.TrimSuffix(e.name, "/")
		for i := strings.IndexByte(name, '/'); i >= 0; {
			key := Fold(name[:i])
			if o, ok := seen[key]; !ok {
				seen[key] = owner{name: name[:i], dir: true}
			} else if !o.dir {
				return refuse("ZIP-03", e.name, e.offset, "%s is a file, and a folder in %s", q(o.name), q(e.name))
			} else if o.name != name[:i] {
				return refuse("ZIP-03", e.name, e.offset, "folders %s and %s differ only in case or normalisation", q(o.name), q(name[:i]))
			}
			j := strings.IndexByte(name[i+1:], '/')
			if j < 0 {
				break
			}
			i += 1 + j
		}
		key := Fold(name)
		o, ok := seen[key]
		switch {
		case !ok:
			seen[key] = owner{name, e.dir, true}
		case o.name != name:
			return refuse("ZIP-03", e.name, e.offset, "%s and %s differ only in case or normalisation", q(o.name), q(name))
		case o.dir != e.dir:
			return refuse("ZIP-03", e.name, e.offset, "%s is a file and a folder", q(name))
		case o.listed:
			return refuse("ZIP-03", e.name, e.offset, "%s is there twice", q(e.name))
		default: // a folder that a file above has implied
			seen[key] = owner{name, true, true}
		}
	}
	return nil
}
