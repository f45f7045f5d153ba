package report

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/forge-build/forge/recipes/finding"
)

// tally counts findings by severity, the worst first.
func tally(findings []finding.Judged) string {
	n := map[finding.Severity]int{}
	for _, f := range findings {
		n[f.Severity]++
	}
	var out []string
	for _, s := range []finding.Severity{finding.Critical, finding.High, finding.Unknown, finding.Medium, finding.Low, finding.Negligible} {
		if n[s] > 0 {
			out = append(out, thousands(int64(n[s]))+" "+s.String())
		}
	}
	return strings.Join(out, ", ")
}

// urgent puts what fails first, and else keeps the order: worst first.
func urgent(findings []finding.Judged) []finding.Judged {
	out := slices.Clone(findings)
	slices.SortStableFunc(out, func(a, b finding.Judged) int {
		switch {
		case a.Fails && !b.Fails:
			return -1
		case b.Fails && !a.Fails:
			return 1
		}
		return 0
	})
	return out
}

func (r *Report) findingParts() []part {
	d := r.Scan
	if !scanned(d) {
		reason := "no vulnerability database was at hand"
		if d != nil && d.NotScanned != "" {
			reason = sentence(d.NotScanned)
		}
		return []part{{Tone: "warn", Text: "Not scanned: nobody has compared the packages with known vulnerabilities. That says nothing about whether there are any. The reason: " + strings.TrimSuffix(reason, ".") + "."}}
	}
	var out []part
	limit := "finding of severity " + d.Limits.FailOn.String() + " or worse"
	if d.Limits.OnlyFixed {
		limit += " for which a fix exists"
	}
	switch {
	case d.Failed:
		out = append(out, part{Tone: "bad", Text: "The image does not pass the limits that it was checked with: " + several(d.Reasons, 5) + "."})
	case len(d.Findings) == 0:
		out = append(out, part{Tone: "good", Text: fmt.Sprintf("None of the %s that were looked up has a vulnerability known to the database.", count(d.Packages, "package", "packages"))})
	case d.Limits.FailOn == finding.Never:
		out = append(out, part{Tone: "info", Text: "What was found is only listed: it was checked without a limit."})
	default:
		out = append(out, part{Tone: "good", Text: "The image passes the limits that it was checked with: it has no " + limit + " that nobody has answered for."})
	}
	out = append(out, part{Text: fmt.Sprintf("%s were looked up. The data was made on %s (sha256 %s); what became known later is not in it.",
		count(d.Packages, "package", "packages"), d.Database.Built.UTC().Format("2006-01-02 15:04 UTC"), short(cmp.Or("sha256:"+strings.TrimPrefix(d.Database.Digest, "sha256:"), "")))})
	head := []column{{"Finding", ""}, {"Severity", ""}, {"Package", ""}, {"Update to", ""}, {"What it is, and what becomes of it", ""}}
	findings, order := urgent(d.Findings), "worst first"
	if len(findings) > 0 && findings[0].Fails {
		order = "first why the image does not pass, then worst first"
	}
	out = append(out, folded(len(findings), openRows, mostRows, "finding", "findings", order, head, func(i int) []cell { return findingRow(findings[i], d.Judged) })...)
	return append(out, remarks(d)...)
}

func findingRow(f finding.Judged, judged time.Time) []cell {
	fix := "no fix yet"
	if f.WontFix {
		fix = "will not be fixed"
	}
	if f.Fixed() {
		fix = several(f.FixedIn, 3)
	}
	tone := map[finding.Severity]string{finding.Critical: "bad", finding.High: "bad", finding.Medium: "warn", finding.Unknown: "warn"}[f.Severity]
	id := cell{Text: show(f.ID), Class: keep(f.ID)}
	if len(f.Aliases) > 0 {
		id.Then = []string{several(f.Aliases, 3)}
	}
	for _, u := range f.URLs {
		if id.Link = link(u); id.Link != "" {
			break
		}
	}
	return []cell{id, {Tag: cmp.Or(tone, "info"), Text: f.Severity.String()}, {Text: show(f.Package), More: show(f.Version)}, {Text: fix},
		{Text: sentence(cmp.Or(f.Title, f.Description)), Then: fate(f, judged), Class: "prose"}}
}

// fate says what becomes of a finding, and why.
func fate(f finding.Judged, judged time.Time) []string {
	var out []string
	if f.Exploited {
		out = append(out, "Known to be exploited.")
	}
	if w := f.Waiver; w != nil && w.Expired(judged) {
		out = append(out, fmt.Sprintf("Accepted by %s until %s, which is over: %s", show(w.Owner), show(w.Until), sentence(w.Reason)))
	} else if w != nil {
		out = append(out, fmt.Sprintf("Accepted by %s until %s: %s", show(w.Owner), show(w.Until), sentence(w.Reason)))
	}
	if f.VEX != nil {
		out = append(out, vexSays(*f.VEX))
	}
	switch {
	case f.Fails:
		out = append(out, strings.TrimSuffix("This is why the image does not pass: "+show(f.Why), ": "))
	case f.Waiver == nil && f.VEX == nil && f.Why != "":
		out = append(out, "Passes: "+show(f.Why))
	}
	return out
}

// vexSays is what somebody states about a finding, in words, and who.
func vexSays(s finding.Statement) string {
	text := map[string]string{"not_affected": "not affected", "affected": "affected", "fixed": "fixed here", "under_investigation": "still being looked into"}[s.Status]
	said := cmp.Or(show(s.Author), "somebody") + " states (VEX): " + cmp.Or(text, show(s.Status))
	if why := strings.ReplaceAll(s.Justification, "_", " "); why != "" {
		said += ", " + show(why)
	}
	if s.Impact != "" {
		said += ". " + sentence(s.Impact)
	}
	return said
}

// remarks are what the verdict says beside its findings.
func remarks(d *finding.Document) []part {
	var items []string
	add := func(s string) {
		if len(items) < fewRows {
			items = append(items, s)
		}
	}
	for _, w := range d.ExpiredWaivers {
		add(fmt.Sprintf("The exception for %s in %s ended on %s; %s answers for it.", show(w.ID), show(w.Package), show(w.Until), show(w.Owner)))
	}
	for _, w := range d.UnusedWaivers {
		add(fmt.Sprintf("The exception for %s in %s fits no finding; it can go.", show(w.ID), show(w.Package)))
	}
	silent := map[string][]string{}
	for _, u := range d.Unjudged {
		silent[u.Why] = append(silent[u.Why], strings.TrimSpace(u.Package+" "+u.Version))
	}
	for _, reason := range slices.Sorted(maps.Keys(silent)) {
		add(fmt.Sprintf("Nothing can be said about %s: %s.", several(silent[reason], 8), sentence(reason)))
	}
	if n := len(d.UnusedStatements); n > 0 {
		add(count(n, "VEX statement fits", "VEX statements fit") + " no finding.")
	}
	if len(items) == 0 {
		return nil
	}
	return []part{{Heading: "Also", Items: items}}
}
