package convert

import (
	"path"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/forge-build/forge/builder/wheel"
)

// maxNamespace is the size up to which an __init__.py is read for what it says: a licence and
// a line.
const maxNamespace = 8 << 10

// What an __init__.py says that only declares a folder as shared by several distributions.
// Source: the packaging guide, "Packaging namespace packages", its two legacy ways.
var declarations = map[string]bool{
	"": true,
	"__path__ = __import__('pkgutil').extend_path(__path__, __name__)":            true,
	"from pkgutil import extend_path\n__path__ = extend_path(__path__, __name__)": true,
	"import pkgutil\n__path__ = pkgutil.extend_path(__path__, __name__)":          true,
	"__import__('pkg_resources').declare_namespace(__name__)":                     true,
	"import pkg_resources\npkg_resources.declare_namespace(__name__)":             true,
	"try:\n__import__('pkg_resources').declare_namespace(__name__)\nexcept ImportError:\n" +
		"__path__ = __import__('pkgutil').extend_path(__path__, __name__)": true,
}

// A comment of this form says in which encoding the file is, and so what is a comment
// (PEP 263).
var otherEncoding = regexp.MustCompile(`coding[:=][ \t]*([-\w.]+)`)

// declares says whether an __init__.py has nothing but comments and a declaration. In one
// site-packages all that have are equal: whichever stays, importing it does the same. nvidia's
// wheels have it empty, nvimgcodec's (below DALI) with extend_path.
func declares(content []byte) bool {
	if !utf8.Valid(content) {
		return false
	}
	var code []string
	for _, line := range strings.FieldsFunc(string(content), func(r rune) bool { return r == '\n' || r == '\r' || r == '\f' }) {
		line = strings.TrimSpace(line)
		if m := otherEncoding.FindStringSubmatch(line); m != nil && !strings.EqualFold(m[1], "utf-8") {
			return false
		}
		if line != "" && line[0] != '#' {
			code = append(code, strings.ReplaceAll(line, `"`, `'`))
		}
	}
	return declarations[strings.Join(code, "\n")]
}

// declaring says whether a file of a wheel is such an __init__.py, at most two folders below
// site-packages.
func declaring(it item) (bool, error) {
	f := it.file
	if it.content != nil || f.Target != wheel.PureLib && f.Target != wheel.PlatLib || path.Base(f.Path) != "__init__.py" ||
		strings.Count(f.Path, "/") > 2 || f.Size > maxNamespace {
		return false, nil
	}
	content, err := it.from.wheel.ReadFile(f.Name, maxNamespace)
	return err == nil && declares(content), err
}
