package wheel

import (
	"regexp"
	"strconv"
	"strings"
)

// FileName is what a wheel's file name says (PEP 427).
type FileName struct {
	Name    string // as written
	Version string // as written, "_" for "-"
	Build   string // "1", "2_local", or empty
	Tags    []Tag  // expanded, in the order of the name
}

// Tag is one combination that a wheel is made for (PEP 425).
type Tag struct{ Python, ABI, Platform string }

// String returns "cp313-cp313-manylinux_2_28_x86_64".
func (t Tag) String() string { return t.Python + "-" + t.ABI + "-" + t.Platform }

var (
	distName = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$`)
	buildTag = regexp.MustCompile(`^[0-9][A-Za-z0-9_.]*$`)
	tagPart  = regexp.MustCompile(`^[A-Za-z0-9_]+(\.[A-Za-z0-9_]+)*$`)
	runs     = regexp.MustCompile(`[-_.]+`)
)

// ParseFileName reads "name-version(-build)?-python-abi-platform.whl".
func ParseFileName(file string) (FileName, error) {
	var f FileName
	stem, ok := strings.CutSuffix(file, ".whl")
	parts := strings.Split(stem, "-")
	if !ok || len(file) > 255 || len(parts) != 5 && len(parts) != 6 {
		return f, refuse("WHL-08", "", -1, "file name %s is not name-version-python-abi-platform.whl", q(file))
	}
	f.Name, f.Version = parts[0], parts[1]
	if !distName.MatchString(f.Name) {
		return f, refuse("WHL-08", "", -1, "file name %s has no valid distribution name", q(file))
	}
	if _, err := NormalizeVersion(strings.ReplaceAll(f.Version, "_", "-")); err != nil {
		return f, refuse("WHL-08", "", -1, "file name %s has no valid version", q(file))
	}
	if len(parts) == 6 {
		f.Build = parts[2]
		if !buildTag.MatchString(f.Build) {
			return f, refuse("WHL-08", "", -1, "file name %s has build tag %s, which must start with a digit", q(file), q(f.Build))
		}
	}
	tags, ok := expandTags(parts[len(parts)-3:])
	if !ok {
		return f, refuse("WHL-08", "", -1, "file name %s has malformed tags", q(file))
	}
	f.Tags = tags
	return f, nil
}

// expandTags turns "py2.py3", "none", "any" into two tags.
func expandTags(parts []string) ([]Tag, bool) {
	for _, p := range parts {
		if len(p) > 200 || !tagPart.MatchString(p) {
			return nil, false
		}
	}
	var tags []Tag
	for _, py := range strings.Split(parts[0], ".") {
		for _, abi := range strings.Split(parts[1], ".") {
			for _, plat := range strings.Split(parts[2], ".") {
				if len(tags) == 1000 {
					return nil, false
				}
				tags = append(tags, Tag{py, abi, plat})
			}
		}
	}
	return tags, true
}

// NormalizeName returns the one spelling of a distribution's name (PEP 503).
func NormalizeName(name string) string {
	return strings.ToLower(runs.ReplaceAllString(name, "-"))
}

// Supported says whether a wheel with these tags runs on CPython python ("3.13") for
// platform ("linux/amd64") with this glibc ("2.41"; empty: not asked).
func Supported(tags []Tag, python, platform, glibc string) bool {
	for _, t := range tags {
		if pythonFits(t, python) && platformFits(t.Platform, platform, glibc) {
			return true
		}
	}
	return false
}

func pythonFits(t Tag, python string) bool {
	major, minor, ok := pair(python)
	if !ok || len(t.Python) < 3 {
		return false
	}
	impl, digits := t.Python[:2], t.Python[2:]
	if _, err := strconv.Atoi(digits); err != nil || impl != "cp" && impl != "py" {
		return false
	}
	tagMajor, _ := strconv.Atoi(digits[:1])
	tagMinor, hasMinor := 0, len(digits) > 1
	if hasMinor {
		tagMinor, _ = strconv.Atoi(digits[1:])
	}
	if tagMajor != major || tagMinor > minor {
		return false
	}
	switch {
	case t.ABI == "none":
		return impl == "py" || !hasMinor || tagMinor == minor
	case t.ABI == "abi3":
		return impl == "cp" && hasMinor && tagMinor >= 2
	}
	return impl == "cp" && hasMinor && tagMinor == minor && t.ABI == t.Python
}

// Old manylinux names and the glibc they stand for (PEP 513, 571, 599).
var manylinux = map[string]string{"manylinux1": "2.5", "manylinux2010": "2.12", "manylinux2014": "2.17"}

func platformFits(tag, platform, glibc string) bool {
	if tag == "any" {
		return true
	}
	arch := map[string]string{"linux/amd64": "x86_64", "linux/arm64": "aarch64"}[platform]
	rest, ok := strings.CutSuffix(tag, "_"+arch)
	if !ok || arch == "" {
		return false
	}
	if rest == "linux" {
		return true
	}
	need, ok := manylinux[rest]
	if !ok {
		v, ok := strings.CutPrefix(rest, "manylinux_")
		if !ok {
			return false
		}
		need = strings.Replace(v, "_", ".", 1)
	}
	a, b, ok := pair(need)
	if !ok {
		return false
	}
	c, d, ok := pair(glibc)
	return glibc == "" || ok && (a < c || a == c && b <= d)
}

// pair reads "2.41".
func pair(s string) (a, b int, ok bool) {
	x, y, ok := strings.Cut(s, ".")
	if !ok {
		return 0, 0, false
	}
	a, err := strconv.Atoi(x)
	if err != nil {
		return 0, 0, false
	}
	b, err = strconv.Atoi(y)
	return a, b, err == nil
}
