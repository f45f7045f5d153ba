package sbom

import (
	"path"
	"slices"
	"sort"
	"strings"

	"github.com/bmatcuk/doublestar/v4"
)

// basenames finds paths by the last element of a pattern, so that a pattern is compared with
// few of an image's paths. Catalogers have some three hundred.
type basenames struct {
	sorted   []string            // distinct last elements
	reversed []string            // the same, each read backwards, sorted
	paths    map[string][]string // by last element
}

func newBasenames(paths []string) basenames {
	b := basenames{paths: map[string][]string{}}
	for _, p := range paths {
		name := path.Base(p)
		b.paths[name] = append(b.paths[name], p)
	}
	for name := range b.paths {
		b.sorted = append(b.sorted, name)
		b.reversed = append(b.reversed, reverse(name))
	}
	sort.Strings(b.sorted)
	sort.Strings(b.reversed)
	return b
}

func reverse(s string) string {
	b := []byte(s)
	slices.Reverse(b)
	return string(b)
}

const meta = `*?[{\`

// like lists distinct last elements that a pattern's last element may match: more than do,
// never fewer.
func (b basenames) like(last string) []string {
	if !strings.ContainsAny(last, meta) {
		return []string{last}
	}
	if prefix := last[:strings.IndexAny(last, meta)]; prefix != "" {
		return between(b.sorted, prefix)
	}
	if suffix := last[strings.LastIndexAny(last, "*?]}")+1:]; suffix != "" && !strings.Contains(last, `\`) {
		var out []string
		for _, r := range between(b.reversed, reverse(suffix)) {
			out = append(out, reverse(r))
		}
		return out
	}
	return b.sorted
}

// between are the elements of a sorted list that begin with prefix.
func between(sorted []string, prefix string) []string {
	from := sort.SearchStrings(sorted, prefix)
	to := from
	for to < len(sorted) && strings.HasPrefix(sorted[to], prefix) {
		to++
	}
	return sorted[from:to]
}

// glob lists the paths that match a pattern, sorted. In a pattern that begins with a folder's
// name links in that name are followed.
func (t *tree) glob(pattern string) ([]string, error) {
	pattern = strings.TrimPrefix(pattern, "./")
	if !strings.HasPrefix(pattern, "/") {
		pattern = "/" + pattern
	}
	if !doublestar.ValidatePattern(pattern) {
		return nil, doublestar.ErrBadPattern
	}
	if !strings.ContainsAny(pattern, meta) {
		return []string{pattern}, nil
	}
	pattern = t.direct(pattern)
	dir, last := path.Split(pattern)
	if last == "**" || strings.ContainsAny(dir, "{") || strings.Contains(last, "/") {
		return t.scan(pattern)
	}
	var out []string
	for _, name := range t.names.like(last) {
		if ok, err := doublestar.Match(last, name); err != nil || !ok {
			continue
		}
		for _, p := range t.names.paths[name] {
			if dir == "/**/" {
				out = append(out, p)
			} else if ok, err := doublestar.Match(pattern, p); err == nil && ok {
				out = append(out, p)
			}
		}
	}
	sort.Strings(out)
	return out, nil
}

// scan compares a pattern with all paths below its literal folder.
func (t *tree) scan(pattern string) ([]string, error) {
	base, _ := doublestar.SplitPattern(pattern)
	paths := t.paths
	if base != "/" {
		paths = between(t.paths, base)
	}
	var out []string
	for _, p := range paths {
		if ok, err := doublestar.Match(pattern, p); err == nil && ok {
			out = append(out, p)
		}
	}
	return out, nil
}

// direct replaces the literal folder of a pattern by where its links lead.
func (t *tree) direct(pattern string) string {
	base, rest := doublestar.SplitPattern(pattern)
	if base == "/" || t.nodes[base] != nil && !t.nodes[base].link() {
		return pattern
	}
	if n := t.resolve(base); n != nil && n.dir() {
		return path.Join(n.path, rest)
	}
	return pattern
}
