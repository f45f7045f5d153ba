package statement

import (
	"bytes"
	"encoding/json"
	"errors"
	"reflect"
	"time"

	"github.com/forge-build/forge/recipes/finding"
)

// Scanner is the program that looked vulnerabilities up.
type Scanner struct {
	URI     string // "pkg:golang/github.com/anchore/grype@v0.121.0"
	Version string
}

// Vulns tells what a search for vulnerabilities found: all findings, also the waived, which are
// marked. A document that says it looked nothing up is an error. Source: in-toto/attestation,
// spec/predicates/vulns_02.md.
func Vulns(s Scanner, d *finding.Document) (Statement, error) {
	if d.Database == nil || d.NotScanned != "" {
		return Statement{}, errors.New("nothing was looked up, so there is no result to publish")
	}
	type severity struct {
		Method string `json:"method"`
		Score  string `json:"score"`
	}
	type result struct {
		ID          string           `json:"id"`
		Severity    []severity       `json:"severity"`
		Annotations []map[string]any `json:"annotations,omitempty"`
	}
	results := []result{}
	for _, f := range d.Findings {
		notes := map[string]any{"package": f.Package, "version": f.Version, "purl": f.PURL, "fails": f.Fails}
		for k, v := range map[string][]string{"aliases": f.Aliases, "fixedIn": f.FixedIn} {
			if len(v) > 0 {
				notes[k] = v
			}
		}
		if f.Exploited {
			notes["exploited"] = true
		}
		if f.Suppressed != "" { // the scanner itself says that it is none
			notes["suppressed"] = f.Suppressed
		}
		if f.Waiver != nil && !f.Waiver.Expired(d.Judged) {
			notes["waived"], notes["waiver"] = true, f.Waiver
		}
		if f.VEX != nil {
			notes["vex"] = f.VEX
		}
		results = append(results, result{f.ID, []severity{{"forge", f.Severity.String()}}, []map[string]any{notes}})
	}
	type db struct {
		URI        string `json:"uri"`
		Version    string `json:"version"`
		LastUpdate string `json:"lastUpdate"`
	}
	type scanner struct {
		URI     string   `json:"uri"`
		Version string   `json:"version"`
		DB      db       `json:"db"`
		Result  []result `json:"result"`
	}
	at := d.Judged.UTC().Format(time.RFC3339)
	return Statement{TypeVulns, struct {
		Scanner  scanner           `json:"scanner"`
		Metadata map[string]string `json:"metadata"`
	}{scanner{s.URI, s.Version, db{"sha256:" + trimSHA(d.Database.Digest), d.Database.Schema, d.Database.Built.UTC().Format(time.RFC3339)}, results},
		map[string]string{"scanStartedOn": at, "scanFinishedOn": at}}}, nil
}

func trimSHA(s string) string {
	if len(s) > 7 && s[:7] == "sha256:" {
		return s[7:]
	}
	return s
}

// Recent is how old a search may be that is stated again only when something in it changed.
const Recent = 24 * time.Hour

// Same tells whether an earlier statement makes a new one needless: it is the very same, or a
// search for vulnerabilities with the same database and result that is not a day older.
func Same(earlier, now []byte) bool {
	if bytes.Equal(earlier, now) {
		return true
	}
	a, at, ok := searched(earlier)
	b, then, also := searched(now)
	age := then.Sub(at)
	return ok && also && reflect.DeepEqual(a, b) && age >= 0 && age < Recent
}

// searched takes the times out of a statement of Vulns.
func searched(raw []byte) (map[string]any, time.Time, bool) {
	if !bytes.Contains(raw, []byte(TypeVulns)) { // a list of packages may have megabytes
		return nil, time.Time{}, false
	}
	var s map[string]any
	if json.Unmarshal(raw, &s) != nil || s["predicateType"] != TypeVulns {
		return nil, time.Time{}, false
	}
	p, _ := s["predicate"].(map[string]any)
	times, _ := p["metadata"].(map[string]any)
	finished, _ := times["scanFinishedOn"].(string)
	at, err := time.Parse(time.RFC3339, finished)
	delete(times, "scanStartedOn")
	delete(times, "scanFinishedOn")
	return s, at, err == nil
}
