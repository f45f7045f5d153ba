package report

import (
	"fmt"
	"maps"
	"slices"
	"strings"

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
	limit := "findings of severity " + d.Limits.FailOn.String() + " or worse"
	if d.Limits.FailOn == finding.Never {
		limit = "no finding"
	}
	if d.Limits.OnlyFixed {
		limit += " for which a fix exists"
	}
	switch {
	case d.Failed:
		out = append(out, part{Tone: "bad", Text: "The image does not pass its gate. " + several(d.Reasons, 5) + "."})
	case len(d.Findings) == 0:
		out = append(out, part{Tone: "good", Text: fmt.Sprintf("None of the %s that were looked up has a vulnerability known to the database.", count(d.Packages, "package", "packages"))})
	default:
		out = append(out, part{Tone: "good", Text: "The image passes its gate, which stops " + limit + "."})
	}
	out = append(out, part{Text: fmt.Sprintf("%s were looked up. The data was made on %s (sha256 %s); what became known later is not in it.",
		count(d.Packages, "package", "packages"), d.Database.Built.UTC().Format("2006-01-02 15:04 UTC"), short(or("sha256:"+strings.TrimPrefix(d.Database.Digest, "sha256:"), "")))})
	head := []column{{"Finding", ""}, {"Severity", ""}, {"Package", ""}, {"Update to", ""}, {"What it is, and what becomes of it", ""}}
	out = append(out, folded(len(d.Findings), openRows, mostRows, "finding", "findings", "worst first", head, func(i int) []cell { return findingRow(d.Findings[i]) })...)
	return append(out, remarks(d)...)
}

func findingRow(f finding.Judged) []cell {
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
	return []cell{id, {Tag: or(tone, "info"), Text: f.Severity.String()}, {Text: show(f.Package), More: show(f.Version)}, {Text: fix},
		{Text: sentence(or(f.Title, f.Description)), Then: fate(f), Class: "prose"}}
}

// fate says what becomes of a finding, and why.
func fate(f finding.Judged) []string {
	var out []string
	if f.Exploited {
		out = append(out, "Known to be exploited.")
	}
	if w := f.Waiver; w != nil {
		out = append(out, fmt.Sprintf("Waived until %s by %s: %s", show(w.Until), show(w.Owner), sentence(w.Reason)))
	}
	if f.VEX != nil {
		out = append(out, "VEX says: "+show(strings.TrimSpace(f.VEX.Status+" "+f.VEX.Justification)))
	}
	switch {
	case f.Fails:
		out = append(out, strings.TrimSuffix("This stops the image: "+show(f.Why), ": "))
	case f.Waiver == nil && f.VEX == nil && f.Why != "":
		out = append(out, "It does not stop the image: "+show(f.Why))
	}
	return out
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
		add(fmt.Sprintf("The waiver of %s in %s ended on %s; %s answers for it.", show(w.ID), show(w.Package), show(w.Until), show(w.Owner)))
	}
	for _, w := range d.UnusedWaivers {
		add(fmt.Sprintf("The waiver of %s in %s fits no finding; it can go.", show(w.ID), show(w.Package)))
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
