package finding

import (
	"cmp"
	"slices"
	"strings"
)

// Kind is what a finding is about.
type Kind string

// The kinds. Only vulnerabilities have packages, fixes and VEX.
const (
	Vulnerability Kind = "vulnerability"
	Hardening     Kind = "hardening"
	Model         Kind = "model"
	Distribution  Kind = "distribution" // one that is not maintained any more
)

// Finding is one thing that is wrong with an image. Its text may come from strangers (package
// names, advisories): it is data, and whoever shows it escapes it.
type Finding struct {
	Kind        Kind     `json:"kind"`
	ID          string   `json:"id"`                // CVE-2025-32434, GHSA-…, or a rule's id
	Aliases     []string `json:"aliases,omitempty"` // other ids of the same thing, sorted
	Severity    Severity `json:"severity"`
	Title       string   `json:"title,omitempty"`
	Description string   `json:"description,omitempty"`
	Source      string   `json:"source,omitempty"` // who says so: "debian:13", "github:python", "nvd:cpe"

	Package       string     `json:"package,omitempty"`
	Version       string     `json:"version,omitempty"`
	Type          string     `json:"type,omitempty"`          // "deb", "python", …
	SourcePackage string     `json:"sourcePackage,omitempty"` // Debian's: openssl for libssl3
	PURL          string     `json:"purl,omitempty"`
	Locations     []Location `json:"locations,omitempty"`

	FixedIn    []string `json:"fixedIn,omitempty"`   // versions that do not have it; empty: no fix exists
	WontFix    bool     `json:"wontFix,omitempty"`   // the source says that there will be none
	Exploited  bool     `json:"exploited,omitempty"` // known to be exploited (CISA's catalogue)
	EPSS       float64  `json:"epss,omitempty"`      // probability of exploitation within 30 days, 0 to 1
	CVSS       float64  `json:"cvss,omitempty"`      // highest base score, 0 to 10
	URLs       []string `json:"urls,omitempty"`
	Match      string   `json:"match,omitempty"`      // how it was matched: "exact", "source package", "cpe"
	Suppressed string   `json:"suppressed,omitempty"` // why the scanner itself says that it is none; then it does not fail
}

// Location is where in the image a finding lies.
type Location struct {
	Path  string `json:"path"`
	Layer string `json:"layer,omitempty"` // the layer's digest or diffID
}

// Fixed tells whether there is something to update to.
func (f *Finding) Fixed() bool { return len(f.FixedIn) > 0 }

// Named tells whether id is the finding's id or an alias of it; case does not count.
func (f *Finding) Named(id string) bool {
	return strings.EqualFold(f.ID, id) || slices.ContainsFunc(f.Aliases, func(a string) bool { return strings.EqualFold(a, id) })
}

// About tells whether the finding is about a package: by its own name, or its source package's.
func (f *Finding) About(pkg string) bool {
	return plain(f.Package) == plain(pkg) || f.SourcePackage != "" && plain(f.SourcePackage) == plain(pkg)
}

// plain is a name as PEP 503 compares it. Debian's names need no other rule: they are lower
// case and no two differ only in these characters' kind.
func plain(name string) string {
	parts := strings.FieldsFunc(strings.ToLower(name), func(r rune) bool { return r == '-' || r == '_' || r == '.' })
	return strings.Join(parts, "-")
}

// sorted orders findings for people: worst first, then by package, version and id.
func sorted(fs []Judged) {
	slices.SortFunc(fs, func(a, b Judged) int {
		return cmp.Or(
			-cmp.Compare(a.Severity, b.Severity), strings.Compare(a.Package, b.Package), strings.Compare(a.Version, b.Version),
			strings.Compare(a.ID, b.ID), strings.Compare(a.PURL, b.PURL), strings.Compare(a.Source, b.Source), strings.Compare(place(a), place(b)))
	})
}

func place(j Judged) string {
	if len(j.Locations) == 0 {
		return ""
	}
	return j.Locations[0].Path
}
