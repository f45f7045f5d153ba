package vuln

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	v6 "github.com/anchore/grype/grype/db/v6"
	"github.com/anchore/grype/grype/distro"
	"github.com/anchore/grype/grype/pkg"
	"github.com/anchore/grype/grype/version"
	"github.com/anchore/grype/grype/vulnerability"

	"github.com/forge-build/forge/recipes/finding"
)

// distribution's package types, as Syft names them.
var distributed = []string{"deb", "rpm", "apk", "alpm", "portage"}

// blind lists what a search would say nothing about, and refuses a database that would say
// nothing about all of it. Grype finds nothing there and reports no error
// (github.com/anchore/grype issues 383, 684, 918, 1446).
func (db *Database) blind(list []pkg.Package, cpes bool) (out []finding.Unjudged, old []finding.Finding, err error) {
	distros := map[string]*distro.Distro{}
	without, python := 0, false
	for _, p := range list {
		python = python || p.Type == "python"
		if slices.Contains(distributed, string(p.Type)) {
			if p.Distro == nil {
				without++
			} else {
				distros[p.Distro.String()] = p.Distro
			}
		}
		if why := incomparable(p); why != "" {
			out = append(out, finding.Unjudged{Package: p.Name, Version: p.Version, Type: string(p.Type), Why: why})
		}
	}
	if without > 0 {
		out = append(out, finding.Unjudged{Fails: true, Why: fmt.Sprintf("packages of a distribution (%d) cannot be looked up: /etc/os-release does not say which it is, or names one that is not theirs", without)})
	}
	for _, key := range sortedKeys(distros) {
		found, err := db.unmaintained(distros[key])
		if err != nil {
			return nil, nil, err
		}
		old = append(old, found...)
	}
	if python {
		some, err := db.has(&v6.PackageSpecifier{Ecosystem: "python"}, nil)
		if err != nil {
			return nil, nil, err
		}
		if !some {
			return nil, nil, refuse(NoData, db.where, "it has no data about Python, and the image has Python packages")
		}
	}
	if cpes {
		u, err := db.withoutNVD()
		if err != nil {
			return nil, nil, err
		}
		out = append(out, u...)
	}
	return out, old, nil
}

func sortedKeys(m map[string]*distro.Distro) []string {
	var out []string
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

// unmaintained judges a distribution: no data about it is an error, and one whose time is over
// is a finding, since nobody records new vulnerabilities of its packages for sure.
func (db *Database) unmaintained(d *distro.Distro) ([]finding.Finding, error) {
	known, err := db.knows(d)
	if err != nil {
		return nil, err
	}
	if !known {
		return nil, refuse(NoData, db.where, "it has no data about %s, and the image has its packages", strings.TrimSpace(d.String()))
	}
	end := d.SupportEnd
	if checker, ok := db.provider.(vulnerability.EOLChecker); ok {
		eol, _, err := checker.GetOperatingSystemEOL(d)
		if err != nil {
			return nil, refuse(Damaged, db.where, "reading how long %s is maintained: %w", d, err)
		}
		if eol != nil {
			end = eol
		}
	}
	if end == nil || db.now.Before(*end) {
		return nil, nil
	}
	version := cmp.Or(d.MajorVersion(), d.Version, d.Codename)
	return []finding.Finding{{Kind: finding.Distribution, ID: "EOL-" + d.ID() + "-" + version, Severity: finding.High, Package: d.ID(), Version: version,
		Title: fmt.Sprintf("%s is not maintained by its distribution since %s", strings.TrimSpace(d.String()), end.Format(time.DateOnly))}}, nil
}

// incomparable says why no version range can hold a package; "" if one can.
func incomparable(p pkg.Package) string {
	if strings.TrimSpace(p.Version) == "" || strings.EqualFold(p.Version, "unknown") {
		return "it has no version"
	}
	format := pkg.VersionFormat(p)
	if format == version.UnknownFormat {
		return "" // compared piece by piece, whatever it is
	}
	if err := version.New(p.Version, format).Validate(); err != nil {
		return fmt.Sprintf("its version %q cannot be compared", p.Version)
	}
	return ""
}

// withoutNVD says that libraries are looked up in vain in a database without NVD's records.
func (db *Database) withoutNVD() ([]finding.Unjudged, error) {
	providers, err := db.reader.AllProviders()
	if err != nil {
		return nil, refuse(Damaged, db.where, "reading its providers: %w", err)
	}
	for _, p := range providers {
		if p.ID == "nvd" {
			return nil, nil
		}
	}
	return []finding.Unjudged{{Why: "the database has no data of NVD: NVIDIA's libraries were not looked up"}}, nil
}
