package main

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"github.com/forge-build/forge/recipes/finding"
)

// verdict prints a verdict as a table, worst first, with what the gate makes of it.
func (t *terminal) verdict(d *finding.Document) {
	rows := [][]string{{"SEVERITY", "ID", "PACKAGE", "VERSION", "FIXED IN", "GATE"}}
	for _, j := range d.Findings {
		rows = append(rows, []string{j.Severity.String(), nameOf(j), j.Package, j.Version, fixOf(j), fateOf(j)})
	}
	if len(rows) > 1 {
		for _, line := range columns(rows) {
			t.result("%s", line)
		}
		t.result("")
	}
	for _, line := range unjudged(d.Unjudged) {
		t.result("not judged: %s", line)
	}
	for _, w := range d.ExpiredWaivers {
		t.result("ended: the waiver of %s in %s at %s, on %s; %s answers for it", w.ID, w.Package, cmp.Or(w.Place, "the recipe"), w.Until, w.Owner)
	}
	for _, w := range d.UnusedWaivers {
		t.result("unused: the waiver of %s in %s at %s", w.ID, w.Package, cmp.Or(w.Place, "the recipe"))
	}
	for _, s := range d.UnusedStatements {
		t.result("unused: what %s says of %s in %s", cmp.Or(s.Document, s.Author), s.ID, s.Product)
	}
	for _, r := range d.Reasons {
		t.result("fails: %s", r)
	}
	t.result("%s", summaryOf(d))
}

// unjudged says what could not be looked up, a line for each reason.
func unjudged(list []finding.Unjudged) []string {
	const most = 6
	var why []string
	names := map[string][]string{}
	for _, u := range list {
		if names[u.Why] == nil {
			why = append(why, u.Why)
		}
		names[u.Why] = append(names[u.Why], u.Package)
	}
	var out []string
	for _, w := range why {
		who := names[w]
		switch {
		case who[0] == "":
			out = append(out, w)
		case len(who) > most:
			out = append(out, fmt.Sprintf("%s and %d more: %s", strings.Join(who[:most], ", "), len(who)-most, w))
		default:
			out = append(out, strings.Join(who, ", ")+": "+w)
		}
	}
	return out
}

// nameOf is a finding's id, with the CVE where the id is another's.
func nameOf(j finding.Judged) string {
	for _, a := range j.Aliases {
		if strings.HasPrefix(a, "CVE-") && !strings.HasPrefix(j.ID, "CVE-") {
			return j.ID + " " + a
		}
	}
	return j.ID
}

func fixOf(j finding.Judged) string {
	switch {
	case j.Fixed():
		return strings.Join(j.FixedIn, ", ")
	case j.WontFix:
		return "(will not be fixed)"
	}
	return ""
}

func fateOf(j finding.Judged) string {
	word := "passes"
	if j.Fails {
		word = "FAILS"
	}
	switch {
	case j.Why != "":
		word += ": " + j.Why
	case j.Kind != finding.Vulnerability:
		word += ": " + j.Title
	}
	if j.Exploited {
		word += " (known to be exploited)"
	}
	return word
}

// summaryOf says in a line what was looked up, where, and what came of it.
func summaryOf(d *finding.Document) string {
	if d.Database == nil {
		return "not scanned: " + d.NotScanned
	}
	n := map[finding.Severity]int{}
	for _, j := range d.Findings {
		n[j.Severity]++
	}
	var parts []string
	for s := finding.Critical; s >= finding.Unknown; s-- {
		if n[s] > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n[s], s))
		}
	}
	if len(parts) == 0 {
		parts = []string{"nothing found"}
	}
	gate := "passed"
	if d.Failed {
		gate = "FAILED"
	}
	return fmt.Sprintf("%s: %s in %d packages%s; database of %s, %s…; gate %s", d.Image, strings.Join(parts, ", "), d.Packages, of(d.Distro),
		d.Database.Built.Format(time.DateOnly), cutAt(d.Database.Digest, 19), gate)
}

func of(distro string) string {
	if distro == "" {
		return ""
	}
	return " of " + distro
}

func cutAt(s string, n int) string { return s[:min(n, len(s))] }

// columns lays rows out as a table. Text of strangers is cut, so that a row stays one.
func columns(rows [][]string) []string {
	const widest = 60
	width := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			row[i] = cutRunes(strings.Map(func(r rune) rune {
				if r == '\n' || r == '\t' {
					return ' '
				}
				return r
			}, cell), widest)
			width[i] = max(width[i], len([]rune(row[i])))
		}
	}
	var out []string
	for _, row := range rows {
		var b strings.Builder
		for i, cell := range row {
			b.WriteString(cell)
			if i < len(row)-1 {
				b.WriteString(strings.Repeat(" ", width[i]-len([]rune(cell))+2))
			}
		}
		out = append(out, strings.TrimRight(b.String(), " "))
	}
	return out
}

func cutRunes(s string, n int) string {
	if r := []rune(s); len(r) > n {
		return string(r[:n-1]) + "…"
	}
	return s
}
