package resolve

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/forge-build/forge/builder/wheel"
)

var (
	// A version of PEP 440, normalised, that is a release: no development or pre-release.
	released = regexp.MustCompile(`^(?:[0-9]+!)?([0-9]+(?:\.[0-9]+)*)(?:\.post[0-9]+)?(?:\+.*)?$`)
	// What follows a name in a requirement that asks for a pre-release by its number.
	asksForPre = regexp.MustCompile(`(?i)[0-9][._-]?(?:a|b|c|rc|dev|alpha|beta|pre)`)
)

// passedOver judges a chosen version by the releases that have no wheel here, which uv does not
// see or skips. It would take a pre-release of years ago, if no release has one: an *InputError.
// That the newest release is source alone, of a name that the recipe asks for in any version, is a note.
func (x *index) passedOver(g group, v version, python, glibc string) (note string, err error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	p := x.pages[v.name]
	if p.own != nil {
		return "", nil
	}
	var source, built string // the newest release that is source alone, and that has a wheel for anybody
	for number, yanked := range p.source {
		if r := releaseOf(number); !yanked && newer(r, source) {
			source = r
		}
	}
	fits, others := map[string]bool{}, map[string]bool{}
	for name, file := range p.files {
		f, err := wheel.ParseFileName(name)
		switch {
		case err != nil:
			continue
		case wheel.Supported(f.Tags, python, x.im.Platform, glibc):
			fits[f.Version] = true
		default:
			others[f.Tags[0].String()] = true
		}
		if r := releaseOf(strings.ReplaceAll(f.Version, "_", "-")); !file.Yanked && newer(r, built) {
			built = r
		}
	}
	chosen := releaseOf(v.version)
	before := chosen == "" && source+built != ""
	behind := chosen != "" && v.requested && newer(source, built) && newer(source, chosen)
	if !before && !behind {
		return "", nil
	}
	lines := x.linesFor(g, v.name)
	const remedy = "build one and name it in the recipe: wheel %q {}"
	file := "dist/" + strings.ReplaceAll(v.name, "-", "_") + "-….whl"
	switch {
	case before && !slices.ContainsFunc(lines, asksForPre.MatchString):
		what, have := "only source distributions of its releases, up to "+source, "versions with a wheel: "+strings.Join(newest(fits), ", ")
		if len(others) > 0 {
			what = "no wheel of a release for Python " + python + " on " + x.im.Platform
			have += "; wheels for others: " + strings.Join(newest(others), ", ")
		}
		return "", &InputError{fmt.Sprintf("%s has %s, and forge runs no setup code%s; %s. Ask for one of these versions by its number, or "+remedy, v.name, what, x.askers(v.name), have, file)}
	case behind && !slices.ContainsFunc(lines, func(l string) bool { return strings.ContainsAny(l, "=<~") }):
		return fmt.Sprintf("%s %s is the newest version with a wheel; %s comes as source alone, and forge runs no setup code: "+remedy, v.name, v.version, source, file), nil
	}
	return "", nil
}

// releaseOf is the numbers of a version that is a release, "1.2.3"; else nothing.
func releaseOf(version string) string {
	n, err := wheel.NormalizeVersion(version)
	if err != nil {
		return ""
	}
	if m := released.FindStringSubmatch(n); m != nil {
		return m[1]
	}
	return ""
}

// linesFor are the requirements of a name, of the group and of what uv has looked at, without the
// name and conditions.
func (x *index) linesFor(g group, name string) (lines []string) {
	all := slices.Clone(g.lines)
	for _, f := range g.files {
		all = slices.Concat(all, f.Set.Lines, f.Set.Constraints)
	}
	for _, told := range x.told {
		if m, err := wheel.ParseMetadata(told); err == nil {
			all = append(all, m.RequiresDist...)
		}
	}
	for _, line := range all {
		is := leading.FindString(line)
		if wheel.NormalizeName(is) == name {
			rest, _, _ := strings.Cut(strings.TrimPrefix(line, is), ";")
			lines = append(lines, rest)
		}
	}
	return lines
}
