package requirements

import (
	"fmt"
	"path"
	"regexp"
	"sort"
	"strings"
	"unicode/utf8"
)

// MaxBytes bounds a file.
const MaxBytes = 8 << 20

// Set is what a file asks for.
type Set struct {
	Lines       []string            // PEP 508 requirements, in the file's order
	Constraints []string            // "name==version ; marker": versions of whatever the lines lead to
	Hashes      map[string][]string // normalised name → the sha256 that are allowed, lower-case hex, sorted
	Python      string              // requires-python, or empty
	Elsewhere   map[string]string   // normalised name → how the file says that it comes from another place than the index: "index", "git", …
	Indexes     []Index             // that the file binds names to, sorted by name
}

// Index is a further index, and the normalised names that a file takes from it.
type Index struct {
	Name, URL string
	Packages  []string // sorted
}

// Error is a file that cannot be taken, with its place.
type Error struct {
	File   string
	Line   int // 0: the whole file
	Reason string
}

func (e *Error) Error() string {
	if e.Line == 0 {
		return fmt.Sprintf("%s: %s", e.File, e.Reason)
	}
	return fmt.Sprintf("%s:%d: %s", e.File, e.Line, e.Reason)
}

// file is a file that is being read.
type file struct {
	name string
	text string
	set  *Set
}

// bad makes an error about the line that holds needle; an empty needle means the whole file.
func (f *file) bad(needle, format string, args ...any) error {
	line := 0
	if at := strings.Index(f.text, needle); needle != "" && at >= 0 {
		line = 1 + strings.Count(f.text[:at], "\n")
	}
	return &Error{f.name, line, fmt.Sprintf(format, args...)}
}

// Read reads a file by its name: "requirements.txt" (any *.txt or *.in), "pylock.toml" or
// "pylock.NAME.toml", "uv.lock", "pyproject.toml". Its errors are *Error.
func Read(name string, content []byte) (*Set, error) {
	f := &file{name: name, text: string(content), set: &Set{Hashes: map[string][]string{}, Elsewhere: map[string]string{}}}
	switch {
	case len(content) > MaxBytes:
		return nil, f.bad("", "has more than %d MiB", MaxBytes>>20)
	case !utf8.Valid(content):
		return nil, f.bad("", "is not UTF-8")
	case strings.ContainsRune(f.text, 0):
		return nil, f.bad("\x00", "holds a NUL byte")
	}
	var err error
	switch base := path.Base(name); {
	case strings.HasSuffix(base, ".txt") || strings.HasSuffix(base, ".in"):
		err = f.requirementsText()
	case base == "uv.lock":
		err = f.uvLock()
	case base == "pyproject.toml":
		err = f.pyproject()
	case pylockName.MatchString(base):
		err = f.pylock()
	default:
		return nil, f.bad("", "forge reads requirements.txt, pylock.toml, uv.lock and pyproject.toml")
	}
	if err != nil {
		return nil, err
	}
	for n, list := range f.set.Hashes {
		f.set.Hashes[n] = unique(list)
	}
	if _, err := Allows(f.set.Python, "3.0"); err != nil {
		return nil, f.bad("requires-python", "%v", err)
	}
	return f.set, nil
}

// pylockName is the form of a lock file's name. Source: PEP 751, "File Name".
var pylockName = regexp.MustCompile(`^pylock(\.[^.]+)?\.toml$`)

// form is a requirement that names a distribution and no place: what PEP 508 allows without
// "@". Its first group is the name.
var form = regexp.MustCompile(`^([A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)\s*(\[[A-Za-z0-9._,\s-]*\])?\s*(\(?[<>=!~][A-Za-z0-9<>=!~.*+,_\s-]*\)?)?\s*(;[^$\\#@\x00\r\n]*)?$`)

// Name returns the normalised name of a requirement, and false for what is none: an option,
// an address, a path, or anything that a resolver could read as one.
func Name(line string) (string, bool) {
	m := form.FindStringSubmatch(line)
	if m == nil || strings.Contains(strings.ReplaceAll(line, "\t", " "), " -") || strings.ContainsAny(line, "\n\r\v\f") {
		return "", false
	}
	return Normalize(m[1]), true
}

var separators = regexp.MustCompile(`[-_.]+`)

// Normalize returns a distribution's name as indexes spell it. Source: PEP 503.
func Normalize(name string) string {
	return strings.ToLower(separators.ReplaceAllString(name, "-"))
}

func unique(list []string) []string {
	sort.Strings(list)
	out := list[:0]
	for i, v := range list {
		if i == 0 || v != list[i-1] {
			out = append(out, v)
		}
	}
	return out
}

var sha256Hex = regexp.MustCompile(`^[0-9a-f]{64}$`)

// cut shortens text of the file.
func cut(s string) string {
	if len(s) > 80 {
		return s[:80] + "…"
	}
	return s
}

// Names says whether one of the lines is about a normalised name.
func (s *Set) Names(name string) bool {
	for _, l := range s.Lines {
		if n, ok := Name(l); ok && n == name {
			return true
		}
	}
	return false
}
