package judge

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/forge-build/forge/recipes/finding"
	"github.com/forge-build/forge/signing/strictjson"
)

// search is what is judged of a scan, whoever made it.
type search struct {
	finished time.Time
	built    time.Time // of the database
	database string    // what names it
	findings []hit
	from     *Statement // nil: made now
}

// hit is one finding.
type hit struct {
	id        string
	aliases   []string
	pkg       string // the package that it is in
	purl      string // of the package; empty: it is not stated
	severity  finding.Severity
	exploited bool
	none      bool // the scanner itself says that it is none
	waived    bool
	until     string // the waiver's last day; empty: it has none
}

// excused says whether the publisher's word takes the finding out of the count.
func (h *hit) excused(now time.Time) bool {
	return h.waived && (h.until == "" || !(finding.Waiver{Until: h.until}).Expired(now))
}

// cleared says whether VEX says that there is nothing to do. Of statements that contradict one
// another the more careful one counts.
func (j *judgement) cleared(h *hit) bool {
	f := finding.Finding{Kind: finding.Vulnerability, ID: h.id, Aliases: h.aliases, PURL: h.purl}
	clear := false
	for _, s := range j.VEX {
		if s.Covers(&f) {
			if clear = s.Clears(); !clear {
				return false
			}
		}
	}
	return clear
}

func (j *judgement) scan() {
	want := j.Rule.Scan
	if j.Rescan != nil {
		j.row(Check{ID: "scan", Status: Skipped, Why: "the signed scan: the image was searched anew, from its SBOM"}, nil)
		j.rescan()
		return
	}
	statements := j.of(want.SignedBy, TypeVulns, TypeVulnsCosign)
	if len(statements) == 0 {
		j.missing("scan", want.SignedBy, TypeVulns, TypeVulnsCosign)
		return
	}
	var newest *search
	for _, s := range statements {
		found, err := readScan(s)
		switch {
		case err != nil:
			j.failed("scan", s, "a scan as its type says", "%v", err)
			return
		case found.finished.After(j.Now.Add(skew)), !s.Time.IsZero() && found.finished.After(s.Time.Add(skew)):
			j.failed("scan", s, "a scan made before it was signed, and before now", "one of %s", found.finished.UTC().Format(time.RFC3339))
			return
		case newest == nil || found.finished.After(newest.finished):
			newest = found
		}
	}
	if age := j.Now.Sub(newest.finished); want.MaxAge > 0 && age > want.MaxAge {
		j.failed("scan", newest.from, "a scan of the last "+days(want.MaxAge), "one made %s (%s)", ago(j.Now, newest.finished), newest.finished.UTC().Format(time.RFC3339))
		return
	}
	j.done("scan", newest.from, "made %s", ago(j.Now, newest.finished))
	j.found(newest)
}

// found judges the database and the findings of the scan that counts.
func (j *judgement) found(s *search) {
	want := j.Rule.Scan
	switch {
	case s.database == "":
		j.failed("database", s.from, "a database with its version or digest", "none is named")
	case s.built.After(s.finished.Add(skew)):
		j.failed("database", s.from, "a database older than the scan", "one of %s", s.built.UTC().Format(time.RFC3339))
	case want.DatabaseMaxAge > 0 && s.finished.Sub(s.built) > want.DatabaseMaxAge:
		j.failed("database", s.from, "a database at most "+days(want.DatabaseMaxAge)+" old when the scan was made", "one of %s", s.built.UTC().Format(time.RFC3339))
	default:
		j.done("database", s.from, "%s of %s", strictjson.Clip(s.database), s.built.UTC().Format(time.DateOnly))
	}
	j.findings(s)
}

// findings counts what was found against the limits.
func (j *judgement) findings(s *search) {
	want := j.Rule.Scan
	limit := finding.Never
	if want.Limit != "" {
		limit, _ = finding.ParseLimit(want.Limit) // a policy with another word does not load
	}
	counts, waived, cleared, none := map[finding.Severity]int{}, 0, 0, 0
	var worst []string
	for _, h := range s.findings {
		if h.none {
			none++
			continue
		}
		if j.cleared(&h) {
			cleared++
			continue
		}
		if want.Waivers && h.excused(j.Now) {
			waived++
			continue
		}
		severity := h.severity
		if severity == finding.Unknown {
			severity = finding.High // as forge's own gate has it
		}
		counts[severity]++
		most, limited := want.AtMost[severity.String()]
		if severity >= limit || limited && counts[severity] > most || h.exploited && !want.Exploited {
			worst = append(worst, h.id)
		}
	}
	said := tally(counts)
	if waived > 0 {
		said += fmt.Sprintf(", %d waived", waived)
	}
	if cleared > 0 {
		said += fmt.Sprintf(", %d cleared by VEX", cleared)
	}
	if none > 0 {
		said += fmt.Sprintf(", %d that the scanner itself sets aside", none)
	}
	if len(worst) > 0 {
		j.failed("findings", s.from, j.limits(), "%s; %s", said, some(worst))
		return
	}
	j.done("findings", s.from, "%s", said)
}

// limits writes what a rule tolerates.
func (j *judgement) limits() string {
	want := j.Rule.Scan
	var parts []string
	if want.Limit != "" {
		parts = append(parts, "nothing of severity "+want.Limit+" or above")
	}
	for _, k := range sortedKeys(want.AtMost) {
		parts = append(parts, fmt.Sprintf("at most %d %s", want.AtMost[k], k))
	}
	if !want.Exploited {
		parts = append(parts, "nothing known to be exploited")
	}
	return strings.Join(parts, ", ")
}

func tally(counts map[finding.Severity]int) string {
	var parts []string
	for s := finding.Critical; s > finding.Unknown; s-- {
		if counts[s] > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", counts[s], s))
		}
	}
	if len(parts) == 0 {
		return "no finding"
	}
	return strings.Join(parts, ", ")
}

// some are a few of many names, each once.
func some(names []string) string {
	slices.Sort(names)
	names = slices.Compact(names)
	for i := range names {
		names[i] = strictjson.Clip(names[i])
	}
	if len(names) > 5 {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:5], ", "), len(names)-5)
	}
	return strings.Join(names, ", ")
}

// rescan judges the scan that was made now.
func (j *judgement) rescan() {
	d := j.Rescan
	switch {
	case d.NotScanned != "" || d.Database == nil:
		j.failed("scan", nil, "a scan made now", "none: %s", cmp.Or(d.NotScanned, "no database is named"))
		return
	case d.Digest != "" && d.Digest != j.Digest:
		j.failed("scan", nil, "a scan of "+j.Digest, "one of %s", d.Digest)
		return
	case d.Packages == 0:
		j.failed("scan", nil, "packages to search for", "0 packages")
		return
	}
	excused := j.excusedBefore()
	s := &search{finished: d.Judged, built: d.Database.Built, database: cmp.Or(d.Database.Digest, d.Database.Schema)}
	for _, f := range d.Findings {
		h := hit{id: f.ID, aliases: f.Aliases, pkg: f.Package, purl: f.PURL, severity: f.Severity, exploited: f.Exploited, none: f.Suppressed != ""}
		h.waived = slices.ContainsFunc(excused, func(e hit) bool { return e.id == h.id && e.pkg == h.pkg && e.pkg != "" })
		s.findings = append(s.findings, h)
	}
	for _, u := range d.Unjudged {
		if u.Fails {
			j.failed("scan", nil, "every package judged", "%s: %s", strictjson.Clip(u.Package), strictjson.Clip(u.Why))
			return
		}
	}
	j.done("scan", nil, "made now, %d packages", d.Packages)
	j.found(s)
}

// excusedBefore are the findings of the newest signed scan, however old, that its publisher
// excused and that are excused still: a scan made anew does not know them.
func (j *judgement) excusedBefore() []hit {
	var newest *search
	for _, s := range j.of(j.Rule.Scan.SignedBy, TypeVulns) {
		if found, err := readScan(s); err == nil && (newest == nil || found.finished.After(newest.finished)) {
			newest = found
		}
	}
	if newest == nil {
		return nil
	}
	return slices.DeleteFunc(newest.findings, func(h hit) bool { return !h.excused(j.Now) })
}

func readScan(s *Statement) (*search, error) {
	o, err := open(s.Document())
	if err != nil {
		return nil, err
	}
	scanner, err := o.at("scanner")
	if err != nil {
		return nil, err
	}
	metadata, err := o.at("metadata")
	if err != nil {
		return nil, err
	}
	out := &search{from: s}
	if _, err := scanner.text("uri"); err != nil {
		return nil, fmt.Errorf("scanner.%w", err)
	}
	if out.finished, err = metadata.moment("scanFinishedOn"); err != nil {
		return nil, fmt.Errorf("metadata.%w", err)
	}
	if err := out.readDatabase(scanner); err != nil {
		return nil, err
	}
	if s.Type == TypeVulns {
		out.findings, err = readVulns(scanner)
	} else {
		out.findings, err = readScanner(scanner)
	}
	return out, err
}

func (s *search) readDatabase(scanner object) error {
	db, err := scanner.at("db")
	if err != nil {
		return fmt.Errorf("scanner.%w", err)
	}
	uri, err := db.optional("uri")
	if err != nil {
		return fmt.Errorf("scanner.db.%w", err)
	}
	version, err := db.optional("version")
	if err != nil {
		return fmt.Errorf("scanner.db.%w", err)
	}
	s.database = cmp.Or(version, uri)
	if s.built, err = db.moment("lastUpdate"); err != nil {
		return fmt.Errorf("scanner.db.%w", err)
	}
	return nil
}

// readVulns reads the results of in-toto's vulns/v0.2.
func readVulns(scanner object) ([]hit, error) {
	list, err := scanner.must("result")
	if err != nil {
		return nil, fmt.Errorf("scanner.%w", err)
	}
	var out []hit
	for i, r := range list {
		h := hit{}
		if h.id, err = r.text("id"); err != nil {
			return nil, fmt.Errorf("scanner.result[%d].%w", i, err)
		}
		ratings, err := r.list("severity")
		if err != nil {
			return nil, fmt.Errorf("scanner.result[%d].%w", i, err)
		}
		for _, rating := range ratings {
			score, err := rating.text("score")
			if err != nil {
				return nil, fmt.Errorf("scanner.result[%d].severity: %w", i, err)
			}
			if v, err := severity(score); err != nil {
				return nil, fmt.Errorf("scanner.result[%d].severity: %w", i, err)
			} else if v > h.severity {
				h.severity = v // of several the worst
			}
		}
		notes, err := r.list("annotations")
		if err != nil {
			return nil, fmt.Errorf("scanner.result[%d].%w", i, err)
		}
		for _, n := range notes {
			if err := h.note(n); err != nil {
				return nil, fmt.Errorf("scanner.result[%d].annotations: %w", i, err)
			}
		}
		out = append(out, h)
	}
	return out, nil
}

// note reads what forge notes of a finding: that it is exploited, that a waiver covers it, or
// that a VEX statement clears it.
func (h *hit) note(n object) error {
	exploited, err := n.flag("exploited")
	if err != nil {
		return err
	}
	h.exploited = h.exploited || exploited
	name, err := n.optional("package")
	if err != nil {
		return err
	}
	h.pkg = cmp.Or(h.pkg, name)
	purl, err := n.optional("purl")
	if err != nil {
		return err
	}
	h.purl = cmp.Or(h.purl, purl)
	aliases, err := n.texts("aliases")
	if err != nil {
		return err
	}
	h.aliases = append(h.aliases, aliases...)
	none, err := n.optional("suppressed")
	if err != nil {
		return err
	}
	h.none = h.none || none != ""
	if n["vex"] != nil {
		v, err := n.at("vex")
		if err != nil {
			return err
		}
		status, err := v.text("status")
		if err != nil {
			return err
		}
		h.waived = h.waived || finding.Statement{Status: status}.Clears()
	}
	if waived, err := n.flag("waived"); err != nil || !waived {
		return err
	}
	h.waived = true
	if n["waiver"] == nil {
		return nil
	}
	w, err := n.at("waiver")
	if err != nil {
		return err
	}
	h.until, err = w.text("until")
	return err
}

// severity reads a word, or a CVSS base score (its ranges are those of the specification).
func severity(score string) (finding.Severity, error) {
	n, err := strconv.ParseFloat(score, 64)
	switch {
	case err != nil:
		return finding.ParseSeverity(score)
	case n >= 9 && n <= 10:
		return finding.Critical, nil
	case n >= 7 && n < 9:
		return finding.High, nil
	case n >= 4 && n < 7:
		return finding.Medium, nil
	case n > 0 && n < 4:
		return finding.Low, nil
	case n == 0:
		return finding.Negligible, nil
	}
	return finding.Unknown, fmt.Errorf("a score of %s", strictjson.Quote(score))
}

// readScanner reads what scanners write below cosign's vuln/v1: Grype's matches, or Trivy's
// results.
func readScanner(scanner object) ([]hit, error) {
	result, err := scanner.at("result")
	if err != nil {
		return nil, fmt.Errorf("scanner.%w", err)
	}
	var out []hit
	add := func(o object, id, rating, purl string, aliases ...string) error {
		name, err := o.text(id)
		if err != nil {
			return err
		}
		text, err := o.optional(rating)
		if err != nil {
			return err
		}
		v, err := finding.ParseSeverity(text)
		out = append(out, hit{id: name, aliases: aliases, purl: purl, severity: v})
		return err
	}
	switch {
	case result["matches"] != nil:
		matches, err := result.must("matches")
		if err != nil {
			return nil, err
		}
		for i, m := range matches {
			v, err := m.at("vulnerability")
			var purl string
			var aliases []string
			if err == nil {
				purl, aliases, err = matched(m)
			}
			if err == nil {
				err = add(v, "id", "severity", purl, aliases...)
			}
			if err != nil {
				return nil, fmt.Errorf("matches[%d]: %w", i, err)
			}
		}
	case result["Results"] != nil && !isNull(result["Results"]):
		results, err := result.list("Results")
		if err != nil {
			return nil, err
		}
		for i, r := range results {
			list, err := r.list("Vulnerabilities")
			if err != nil {
				return nil, err
			}
			for _, v := range list {
				purl, err := below(v, "PkgIdentifier", "PURL")
				if err == nil {
					err = add(v, "VulnerabilityID", "Severity", purl)
				}
				if err != nil {
					return nil, fmt.Errorf("Results[%d]: %w", i, err)
				}
			}
		}
	default:
		return nil, errors.New("scanner.result is of no scanner that is known (Grype's matches, Trivy's Results)")
	}
	return out, nil
}

// matched reads in which package a match of Grype's is, and under which other names it is known.
func matched(m object) (purl string, aliases []string, err error) {
	if purl, err = below(m, "artifact", "purl"); err != nil {
		return "", nil, err
	}
	related, err := m.list("relatedVulnerabilities")
	for _, r := range related {
		id, err := r.text("id")
		if err != nil {
			return "", nil, fmt.Errorf("relatedVulnerabilities: %w", err)
		}
		aliases = append(aliases, id)
	}
	return purl, aliases, err
}

// below is a text of an object within another, both of which may be absent.
func below(o object, name, key string) (string, error) {
	if o[name] == nil || isNull(o[name]) {
		return "", nil
	}
	inner, err := o.at(name)
	if err != nil {
		return "", err
	}
	text, err := inner.optional(key)
	if err != nil {
		return "", fmt.Errorf("%s.%w", name, err)
	}
	return text, nil
}

func isNull(raw json.RawMessage) bool { return string(raw) == "null" }

// ScanIsFresh says whether a signed scan does as to its age and form, so that none need be
// made anew.
func ScanIsFresh(c Case) bool {
	j := &judgement{Case: c}
	j.Rescan = nil
	j.scan()
	return len(j.checks) > 0 && j.checks[0].ID == "scan" && j.checks[0].Status == Done
}

// SBOMOf is the SBOM in which to search anew, and how many packages it lists: the newest that the
// rule's signers made and that can be read.
func SBOMOf(c Case) (*Statement, int) {
	if c.Rule.SBOM == nil {
		return nil, 0
	}
	j := &judgement{Case: c}
	for _, s := range j.of(c.Rule.SBOM.SignedBy, TypeSPDX, TypeCycloneDX) {
		if b, err := readBill(s); err == nil && b.packages > 0 {
			return s, b.packages
		}
	}
	return nil, 0
}
