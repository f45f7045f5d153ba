package advisories

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/cespare/xxhash/v2"

	"github.com/anchore/grype/grype/db/provider"
)

type object = map[string]any

// source is what one of Grype's providers hands over.
type source struct {
	name, schema string
	version      int
	records      map[string]object // file name → item
}

// providers gives the records the shapes in which Grype's providers write them.
// Source: github.com/anchore/vunnel, schema/.
func (r *Records) providers(built time.Time) []source {
	day := built.Format(time.DateOnly)
	github := source{"github", "github-security-advisory/schema-1.0.1.json", 2, map[string]object{}}
	for _, p := range r.Python {
		github.records[p.ID] = object{"Vulnerability": object{}, "Advisory": object{
			"Classification": "GENERAL", "Severity": p.Severity, "Summary": p.Summary, "ghsaId": p.ID, "namespace": "github:python",
			"url": "https://github.com/advisories/" + p.ID, "published": "2026-01-01T00:00:00Z", "updated": "2026-01-01T00:00:00Z",
			"CVE": []string{p.CVE}, "Metadata": object{"CVE": []string{p.CVE}},
			"FixedIn": []object{{"name": p.Package, "identifier": p.Fixed, "ecosystem": "python", "namespace": "github:python", "range": p.Range}},
		}}
	}
	debian := source{"debian", "os/schema-1.0.0.json", 1, map[string]object{}}
	for _, d := range r.Debian {
		ns := "debian:" + d.Release
		version := d.Fixed
		if version == "" {
			version = "None"
		}
		debian.records[ns+" "+d.ID] = object{"Vulnerability": object{
			"Name": d.ID, "NamespaceName": ns, "Severity": d.Severity, "Link": "https://security-tracker.debian.org/tracker/" + d.ID, "CVSS": []object{},
			"FixedIn": []object{{"Name": d.Package, "NamespaceName": ns, "Version": version, "VersionFormat": "dpkg",
				"VendorAdvisory": object{"NoAdvisory": d.WontFix, "AdvisorySummary": []object{}}}},
		}}
	}
	nvd := source{"nvd", "nvd/schema-1.0.0.json", 2, map[string]object{}}
	for _, n := range r.NVD {
		nodes := []object{anyOf(object{"vulnerable": true, "criteria": cpe("a", n.Product, "*"), "versionEndExcluding": n.Before})}
		var on []object
		for _, system := range n.Running {
			on = append(on, object{"vulnerable": false, "criteria": cpe("o", system, "-")})
		}
		if len(on) > 0 {
			nodes = append(nodes, anyOf(on...))
		}
		nvd.records[n.ID] = object{"cve": object{
			"id": n.ID, "published": "2026-01-01T00:00:00.000", "lastModified": "2026-01-01T00:00:00.000", "vulnStatus": "Analyzed",
			"descriptions": []object{{"lang": "en", "value": n.Summary}}, "references": []object{},
			"metrics": object{"cvssMetricV31": []object{{"source": "nvd@nist.gov", "type": "Primary", "cvssData": object{
				"version": "3.1", "vectorString": "CVSS:3.1/AV:L/AC:L/PR:N/UI:R/S:U/C:H/I:H/A:H", "baseScore": n.Score, "baseSeverity": rating(n.Score)}}}},
			"configurations": []object{{"operator": "AND", "nodes": nodes}},
		}}
	}
	kev := source{"kev", "known-exploited/schema-1.0.0.json", 1, map[string]object{}}
	for _, id := range r.Exploited {
		kev.records[id] = object{"cveID": id, "vendorProject": "acme", "product": "kernels", "vulnerabilityName": "invented", "dateAdded": day,
			"requiredAction": "none", "dueDate": day, "knownRansomwareCampaignUse": "Unknown"}
	}
	epss := source{"epss", "epss/schema-1.0.0.json", 1, map[string]object{}}
	for id, p := range r.EPSS {
		epss.records[id] = object{"cve": id, "epss": p, "percentile": p, "date": day}
	}
	eol := source{"eol", "eol/schema-1.0.0.json", 1, map[string]object{}}
	for release, end := range r.EndOfLife {
		eol.records["debian "+release] = object{"product": "debian", "name": release, "label": release, "eolFrom": end, "isEol": end < day}
	}
	return []source{debian, github, nvd, kev, epss, eol}
}

func cpe(part, product, version string) string {
	return "cpe:2.3:" + part + ":" + product + ":" + version + ":*:*:*:*:*:*:*"
}

func anyOf(matches ...object) object {
	for i, m := range matches {
		m["matchCriteriaId"] = fmt.Sprintf("00000000-0000-0000-0000-%012d", i)
	}
	return object{"operator": "OR", "negate": false, "cpeMatch": matches}
}

// rating is CVSS 3.1's word for a base score. Source: its specification, table 14.
func rating(score float64) string {
	switch {
	case score >= 9:
		return "CRITICAL"
	case score >= 7:
		return "HIGH"
	case score >= 4:
		return "MEDIUM"
	}
	return "LOW"
}

const schemas = "https://raw.githubusercontent.com/anchore/vunnel/main/schema/"

// write lays the records out as a provider's workspace; nil when there are none.
func (s source) write(dir string, built time.Time) (*provider.State, error) {
	if len(s.records) == 0 {
		return nil, nil
	}
	if err := os.MkdirAll(filepath.Join(dir, "results"), 0o755); err != nil {
		return nil, err
	}
	var listing bytes.Buffer
	for i, key := range slices.Sorted(maps.Keys(s.records)) {
		raw, err := json.Marshal(object{"schema": schemas + "vulnerability/" + s.schema, "identifier": key, "item": s.records[key]})
		if err != nil {
			return nil, err
		}
		name := fmt.Sprintf("results/%04d.json", i)
		if err := os.WriteFile(filepath.Join(dir, name), raw, 0o644); err != nil {
			return nil, err
		}
		fmt.Fprintf(&listing, "%x  %s\n", xxhash.Sum64(raw), name)
	}
	if err := os.WriteFile(filepath.Join(dir, "checksums"), listing.Bytes(), 0o644); err != nil {
		return nil, err
	}
	meta, err := json.Marshal(object{
		"provider": s.name, "urls": []string{}, "store": "flat-file", "timestamp": built.Format(time.RFC3339), "version": s.version, "distribution_version": 1,
		"processor": "records.json", "listing": object{"digest": fmt.Sprintf("%x", xxhash.Sum64(listing.Bytes())), "path": "checksums", "algorithm": "xxh64"},
		"schema": object{"version": "1.0.3", "url": schemas + "provider-workspace-state/schema-1.0.3.json"}, "stale": false,
	})
	if err != nil {
		return nil, err
	}
	path := filepath.Join(dir, "metadata.json")
	if err := os.WriteFile(path, meta, 0o644); err != nil {
		return nil, err
	}
	return provider.ReadState(path)
}
