package sbom

import (
	"cmp"
	"path"
	"slices"
	"sort"
	"strings"

	"github.com/bmatcuk/doublestar/v4"
)

// basenames finds paths by the last element of a pattern, so that a pattern is compared with
// few of an image's paths. Catalogers have some three hundred.
type basenames struct {
	paths []string // by last element
	ends  []string // distinct last elements, sorted as if each were read backwards
}

func newBasenames(paths []string) basenames {
	b := basenames{paths: slices.Clone(paths)}
	slices.SortStableFunc(b.paths, func(p, q string) int { return strings.Compare(path.Base(p), path.Base(q)) })
	for i, p := range b.paths {
		if i == 0 || path.Base(p) != path.Base(b.paths[i-1]) {
			b.ends = append(b.ends, path.Base(p))
		}
	}
	slices.SortFunc(b.ends, compareEnds)
	return b
}

// compareEnds compares as if both were read backwards.
func compareEnds(a, b string) int {
	for i := 1; i <= len(a) && i <= len(b); i++ {
		if c := cmp.Compare(a[len(a)-i], b[len(b)-i]); c != 0 {
			return c
		}
	}
	return cmp.Compare(len(a), len(b))
}

const meta = `*?[{\`

// like calls f for the paths whose last elements a pattern's last element matches, as far as
// its begin or its end says: more than it matches, never fewer.
func (b basenames) like(last string, f func(name string, paths []string)) {
	each := func(name string) {
		if paths := b.called(name); len(paths) > 0 {
			f(name, paths)
		}
	}
	at := strings.IndexAny(last, meta)
	if at < 0 {
		each(last)
		return
	}
	prefix, suffix := last[:at], last[strings.LastIndexAny(last, "*?]}")+1:]
	if prefix == "" && suffix != "" && !strings.Contains(last, `\`) {
		from, _ := slices.BinarySearchFunc(b.ends, suffix, compareEnds)
		for _, name := range b.ends[from:] {
			if !strings.HasSuffix(name, suffix) {
				break
			}
			each(name)
		}
		return
	}
	from, _ := slices.BinarySearchFunc(b.paths, prefix, func(p, prefix string) int { return strings.Compare(path.Base(p), prefix) })
	for rest := b.paths[from:]; len(rest) > 0; {
		name := path.Base(rest[0])
		if !strings.HasPrefix(name, prefix) {
			return
		}
		n := sort.Search(len(rest), func(i int) bool { return path.Base(rest[i]) != name })
		f(name, rest[:n])
		rest = rest[n:]
	}
}

// called are the paths with a last element.
func (b basenames) called(name string) []string {
	from, _ := slices.BinarySearchFunc(b.paths, name, func(p, name string) int { return strings.Compare(path.Base(p), name) })
	n := sort.Search(len(b.paths)-from, func(i int) bool { return path.Base(b.paths[from+i]) != name })
	return b.paths[from : from+n]
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
	t.names.like(last, func(name string, paths []string) {
		if ok, err := doublestar.Match(last, name); err != nil || !ok {
			return
		}
		for _, p := range paths {
			if dir == "/**/" {
				out = append(out, p)
			} else if ok, err := doublestar.Match(pattern, p); err == nil && ok {
				out = append(out, p)
			}
		}
	})
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
