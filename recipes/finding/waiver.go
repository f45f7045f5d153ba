package finding

import (
	"fmt"
	"regexp"
	"strings"
	"time"
	"unicode"
)

// Waiver is an exception that a person answers for: this finding, in this package, is
// accepted for this reason until the end of this day.
type Waiver struct {
	ID      string `json:"id"`
	Package string `json:"package,omitempty"`
	Reason  string `json:"reason"`
	Owner   string `json:"owner"`
	Until   string `json:"until"`           // the last day on which it holds, 2027-01-31, in UTC
	Place   string `json:"place,omitempty"` // where it is written, recipe.hcl:12
}

// Problem is what is wrong with one part of a waiver.
type Problem struct {
	Part string // "id", "package", "reason", "owner", "until"
	Text string // what is wrong and what would be right: a sentence
}

var (
	idShape  = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9]*(-[A-Za-z0-9][A-Za-z0-9:._]*)+$`)
	cveShape = regexp.MustCompile(`(?i)^CVE-[0-9]{4}-[0-9]{4,}$`)
	ghShape  = regexp.MustCompile(`(?i)^GHSA(-[23456789cfghjmpqrvwx]{4}){3}$`)
)

// Check lists what is wrong with a waiver. One that would cover more than one finding in one
// package is wrong: packages says whether the findings of this gate are about packages.
func (w Waiver) Check(packages bool) []Problem {
	var out []Problem
	add := func(part, format string, args ...any) { out = append(out, Problem{part, fmt.Sprintf(format, args...)}) }
	switch id := strings.ToUpper(w.ID); {
	case strings.ContainsAny(w.ID, "*?[]"):
		add("id", "%q would cover more than one finding; a waiver names one.", w.ID)
	case !idShape.MatchString(w.ID):
		add("id", "%q is no id of a finding: CVE-2025-32434, GHSA-53q9-r3pm-6pq6.", w.ID)
	case strings.HasPrefix(id, "CVE") && !cveShape.MatchString(w.ID):
		add("id", "%q is no CVE id: CVE-, the year, and at least four digits.", w.ID)
	case strings.HasPrefix(id, "GHSA") && !ghShape.MatchString(w.ID):
		add("id", "%q is no id of GitHub's advisories: GHSA- and three groups of four characters.", w.ID)
	}
	switch {
	case packages && strings.TrimSpace(w.Package) == "":
		add("package", "A waiver names the package: %s in another one is another risk.", w.ID)
	case strings.ContainsAny(w.Package, "*?[] \t\n"):
		add("package", "%q is no name of one package.", w.Package)
	}
	if !worded(w.Reason) {
		add("reason", "A waiver says why the finding is accepted.")
	}
	if !worded(w.Owner) {
		add("owner", "A waiver names who answers for it.")
	}
	if _, err := w.end(); err != nil {
		add("until", "%q is no date: write the last day on which the waiver holds, 2027-01-31.", w.Until)
	}
	return out
}

// worded tells whether a text says anything.
func worded(s string) bool { return strings.ContainsFunc(s, unicode.IsLetter) }

// end is the moment from which the waiver no longer holds.
func (w Waiver) end() (time.Time, error) {
	day, err := time.Parse(time.DateOnly, w.Until)
	return day.AddDate(0, 0, 1), err
}

// Expired tells whether the waiver's last day is over. One without a readable day is expired.
func (w Waiver) Expired(now time.Time) bool {
	end, err := w.end()
	return err != nil || !now.Before(end)
}

// Covers tells whether the waiver is for this finding: by its id or an alias, and its package.
func (w Waiver) Covers(f *Finding) bool {
	return f.Named(w.ID) && (w.Package == "" && f.Kind != Vulnerability || w.Package != "" && f.About(w.Package))
}

// Same tells whether two waivers are for the same finding in the same package.
func (w Waiver) Same(o Waiver) bool {
	return strings.EqualFold(w.ID, o.ID) && plain(w.Package) == plain(o.Package)
}
