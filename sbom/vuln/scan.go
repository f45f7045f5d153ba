package vuln

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/anchore/grype/grype"
	"github.com/anchore/grype/grype/match"
	"github.com/anchore/grype/grype/matcher"
	"github.com/anchore/grype/grype/matcher/golang"
	"github.com/anchore/grype/grype/matcher/stock"
	"github.com/anchore/grype/grype/pkg"
	"github.com/anchore/grype/grype/vulnerability"

	"github.com/forge-build/forge/recipes/finding"
)

// Result is what a search found, before anybody judges it.
type Result struct {
	Distro   string // "debian:13"; empty: the image has none
	Packages int    // how many were looked up
	Findings []finding.Finding
	Unjudged []finding.Unjudged
}

// Scan looks the packages up.
func (db *Database) Scan(ctx context.Context, p *Packages) (*Result, error) {
	list, added, err := withCUDA(p.list)
	if err != nil {
		return nil, err
	}
	r := &Result{Packages: len(p.list)}
	if r.Unjudged, r.Findings, err = db.blind(list, len(added) > 0); err != nil {
		return nil, err
	}
	if d := p.context.Distro; d != nil {
		r.Distro = strings.TrimSuffix(d.ID()+":"+cmp.Or(d.Version, d.Codename), ":")
	}
	// Matching by CPE is what Grype's own command does: for what no ecosystem's data covers.
	m := grype.VulnerabilityMatcher{
		VulnerabilityProvider: db.provider,
		Matchers: matcher.NewDefaultMatchers(matcher.Config{
			Stock:  stock.MatcherConfig{UseCPEs: true},
			Golang: golang.MatcherConfig{AlwaysUseCPEForStdlib: true},
		}),
		IncludeMatcherSuppressions: true,
	}
	found, left, err := m.FindMatchesContext(ctx, list, p.context)
	if err != nil {
		return nil, interrupted(ctx, fmt.Errorf("matching packages with vulnerabilities: %w", err))
	}
	for _, x := range found.Sorted() {
		f, err := db.finding(x, added)
		if err != nil {
			return nil, err
		}
		r.Findings = append(r.Findings, f)
	}
	for _, x := range left {
		f, err := db.finding(x.Match, added)
		if err != nil {
			return nil, err
		}
		f.Suppressed = suppressed(x)
		if !slices.ContainsFunc(r.Findings, func(o finding.Finding) bool {
			return o.ID == f.ID && o.PURL == f.PURL && slices.Equal(o.Locations, f.Locations)
		}) {
			r.Findings = append(r.Findings, f)
		}
	}
	return r, nil
}

// suppressed says by which of its own rules Grype leaves a match out.
func suppressed(x match.IgnoredMatch) string {
	for _, rule := range x.AppliedIgnoreRules {
		if rule.Reason != "" {
			return "Grype: " + rule.Reason
		}
	}
	return "Grype: a match that is known to be wrong"
}

// finding says in forge's words what matched.
func (db *Database) finding(x match.Match, added map[pkg.ID]pkg.Package) (finding.Finding, error) {
	p := x.Package
	if whose, ok := added[p.ID]; ok {
		p = whose
	}
	f := finding.Finding{Kind: finding.Vulnerability, ID: x.Vulnerability.ID, Source: x.Vulnerability.Namespace, Package: p.Name, Version: p.Version,
		Type: string(p.Type), PURL: p.PURL, WontFix: x.Vulnerability.Fix.State == vulnerability.FixStateWontFix}
	if x.Vulnerability.Fix.State == vulnerability.FixStateFixed {
		f.FixedIn = slices.Compact(slices.Sorted(slices.Values(x.Vulnerability.Fix.Versions)))
	}
	for _, r := range x.Vulnerability.RelatedVulnerabilities {
		if !strings.EqualFold(r.ID, f.ID) {
			f.Aliases = append(f.Aliases, r.ID)
		}
	}
	slices.Sort(f.Aliases)
	f.Aliases = slices.Compact(f.Aliases)
	if len(p.Upstreams) > 0 && p.Upstreams[0].Name != p.Name {
		f.SourcePackage = p.Upstreams[0].Name
	}
	for _, l := range p.Locations.ToSlice() {
		f.Locations = append(f.Locations, finding.Location{Path: l.RealPath, Layer: l.FileSystemID})
	}
	if types := x.Details.Types(); len(types) > 0 {
		f.Match = how(types[0])
	}
	meta := x.Vulnerability.Metadata
	if meta == nil {
		var err error
		if meta, err = db.provider.VulnerabilityMetadata(x.Vulnerability.Reference); err != nil { //nolint:staticcheck // the only way to a reference's metadata
			return f, refuse(Damaged, db.where, "reading %s: %w", f.ID, err)
		}
	}
	describe(&f, meta)
	return f, nil
}

// how names a match in words.
func how(t match.Type) string {
	switch t {
	case match.ExactDirectMatch:
		return "exact"
	case match.ExactIndirectMatch:
		return "source package"
	case match.CPEMatch:
		return "cpe"
	}
	return string(t)
}

const (
	maxURLs = 20
	maxText = 4096
)

// describe adds what the database says of a vulnerability. Numbers that are none are left out.
func describe(f *finding.Finding, meta *vulnerability.Metadata) {
	if meta == nil {
		return
	}
	if s, err := finding.ParseSeverity(meta.Severity); err == nil { // a word that is none is unknown, which counts as high
		f.Severity = s
	}
	f.Description = bounded(strings.TrimSpace(meta.Description), maxText)
	f.Title, _, _ = strings.Cut(f.Description, "\n")
	f.Title = bounded(f.Title, 160)
	f.Exploited = len(meta.KnownExploited) > 0
	for _, e := range meta.EPSS {
		if e.EPSS > f.EPSS && e.EPSS <= 1 { // false for NaN
			f.EPSS = e.EPSS
		}
	}
	for _, c := range meta.Cvss {
		if b := c.Metrics.BaseScore; b > f.CVSS && b <= 10 && !math.IsNaN(b) {
			f.CVSS = b
		}
	}
	for _, u := range append([]string{meta.DataSource}, meta.URLs...) {
		if (strings.HasPrefix(u, "https://") || strings.HasPrefix(u, "http://")) && len(u) < 1024 && len(f.URLs) < maxURLs && !slices.Contains(f.URLs, u) {
			f.URLs = append(f.URLs, u)
		}
	}
}

// bounded cuts a text after at most n bytes, between characters.
func bounded(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "") + "…"
}
