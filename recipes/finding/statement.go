package finding

import (
	"net/url"
	"slices"
	"strings"
)

// Statement is what a VEX document says of one vulnerability in one product. Only a status
// that its author has justified takes a finding out of the count.
type Statement struct {
	ID            string   `json:"id"`
	Aliases       []string `json:"aliases,omitempty"`
	Product       string   `json:"product"` // a purl: a package's, or the image's
	Status        string   `json:"status"`  // not_affected, affected, fixed, under_investigation
	Justification string   `json:"justification,omitempty"`
	Impact        string   `json:"impact,omitempty"`
	Author        string   `json:"author,omitempty"`
	Document      string   `json:"document,omitempty"` // the document's file, or what it was signed in
	Image         bool     `json:"-"`                  // the product is the image itself: each of its packages
}

// Clears tells whether the statement says that there is nothing to do.
func (s Statement) Clears() bool { return s.Status == "not_affected" || s.Status == "fixed" }

// Covers tells whether the statement is about this vulnerability, under whichever of its
// names, in exactly this package, or in the image as a whole. A product without a version
// means each version.
func (s Statement) Covers(f *Finding) bool {
	if f.Kind != Vulnerability || !s.Image && (f.PURL == "" || !samePackage(s.Product, f.PURL)) {
		return false
	}
	return f.Named(s.ID) || slices.ContainsFunc(s.Aliases, f.Named)
}

// samePackage compares a product's purl with a package's. The type, namespace, name and, where
// the product has one, the version are equal; each qualifier of the product is one of the package's.
func samePackage(product, pkg string) bool {
	pn, pv, pq := splitPURL(product)
	n, v, q := splitPURL(pkg)
	if pn == "" || pn != n || pv != "" && pv != v {
		return false
	}
	for _, want := range pq {
		if !slices.Contains(q, want) {
			return false
		}
	}
	return true
}

// splitPURL cuts a purl into type/namespace/name, version and qualifiers, each decoded. The
// name of a Python package is compared as PEP 503 says. What is no purl has no name.
// Source: github.com/package-url/purl-spec, "How to parse a purl string".
func splitPURL(s string) (name, version string, qualifiers []string) {
	rest, ok := strings.CutPrefix(s, "pkg:")
	if !ok {
		return "", "", nil
	}
	rest, _, _ = strings.Cut(rest, "#")
	rest, query, _ := strings.Cut(rest, "?")
	for _, q := range strings.Split(query, "&") {
		if q != "" {
			qualifiers = append(qualifiers, decoded(q))
		}
	}
	if i := strings.LastIndexByte(rest, '@'); i > strings.LastIndexByte(rest, '/') {
		rest, version = rest[:i], decoded(rest[i+1:])
	}
	kind, tail, _ := strings.Cut(strings.Trim(rest, "/"), "/")
	tail = decoded(tail)
	if tail == "" {
		return "", "", nil
	}
	if kind == "pypi" {
		tail = plain(tail)
	}
	return kind + "/" + tail, version, qualifiers
}

// decoded undoes percent-encoding; what is not encoded well stays as it is.
func decoded(s string) string {
	if out, err := url.PathUnescape(s); err == nil {
		return out
	}
	return s
}
