package finding

import (
	"fmt"
	"strings"
	"time"
)

// Limits is what a gate tolerates. The zero value is the default and the strictest sensible:
// high and worse fails, with or without a fix, and an unknown severity counts as high.
type Limits struct {
	FailOn    Severity `json:"failOn"`    // findings as bad as this or worse fail; zero means High
	OnlyFixed bool     `json:"onlyFixed"` // findings without a fix do not fail, unless they are known to be exploited
	Unknown   Severity `json:"unknown"`   // what an unknown severity counts as; zero means High
}

// WithDefaults fills in what a zero value means.
func (l Limits) WithDefaults() Limits {
	if l.FailOn == Unknown {
		l.FailOn = High
	}
	if l.Unknown == Unknown {
		l.Unknown = High
	}
	return l
}

// Case is all that a verdict depends on.
type Case struct {
	Findings   []Finding
	Limits     Limits
	Waivers    []Waiver
	Statements []Statement
	Unjudged   []Unjudged
	Now        time.Time // waivers end by it
}

// Unjudged is a part of the image of which a gate cannot say anything.
type Unjudged struct {
	Package string `json:"package,omitempty"`
	Version string `json:"version,omitempty"`
	Type    string `json:"type,omitempty"`
	Why     string `json:"why"`
	Fails   bool   `json:"fails"` // the gate cannot be passed with it
}

// Judged is a finding with what becomes of it.
type Judged struct {
	Finding
	Fails  bool       `json:"fails"`            // it is one of the reasons that the gate fails
	Why    string     `json:"why,omitempty"`    // why it does not fail, or what made it fail beyond its severity
	Waiver *Waiver    `json:"waiver,omitempty"` // the waiver that covers it, expired or not
	VEX    *Statement `json:"vex,omitempty"`    // the statement about it
}

// Verdict says whether the gate is passed, and of each finding, waiver and statement why.
type Verdict struct {
	Failed           bool        `json:"failed"`
	Reasons          []string    `json:"reasons"` // why it failed, one line each; empty when passed
	Limits           Limits      `json:"limits"`
	Findings         []Judged    `json:"findings"` // worst first
	Unjudged         []Unjudged  `json:"unjudged"`
	ExpiredWaivers   []Waiver    `json:"expiredWaivers"`
	UnusedWaivers    []Waiver    `json:"unusedWaivers"` // a warning
	UnusedStatements []Statement `json:"unusedStatements"`
}

// Judge gives the verdict.
func Judge(c Case) Verdict {
	v := Verdict{Limits: c.Limits.WithDefaults(), Reasons: []string{}, Findings: []Judged{}, Unjudged: append([]Unjudged{}, c.Unjudged...),
		ExpiredWaivers: []Waiver{}, UnusedWaivers: []Waiver{}, UnusedStatements: []Statement{}}
	usedWaivers, usedStatements := make([]bool, len(c.Waivers)), make([]bool, len(c.Statements))
	for _, f := range c.Findings {
		j := Judged{Finding: f}
		for i := range c.Waivers {
			if c.Waivers[i].Covers(&f) {
				usedWaivers[i] = true
				if j.Waiver == nil || j.Waiver.Expired(c.Now) {
					j.Waiver = &c.Waivers[i]
				}
			}
		}
		for i := range c.Statements {
			if c.Statements[i].Covers(&f) {
				usedStatements[i] = true
				if j.VEX == nil || strict(c.Statements[i]) > strict(*j.VEX) {
					j.VEX = &c.Statements[i]
				}
			}
		}
		j.Fails, j.Why = v.Limits.fails(j, c.Now)
		v.Findings = append(v.Findings, j)
	}
	sorted(v.Findings)
	for i, w := range c.Waivers {
		switch {
		case w.Expired(c.Now):
			v.ExpiredWaivers = append(v.ExpiredWaivers, w)
		case !usedWaivers[i]:
			v.UnusedWaivers = append(v.UnusedWaivers, w)
		}
	}
	for i, s := range c.Statements {
		if !usedStatements[i] {
			v.UnusedStatements = append(v.UnusedStatements, s)
		}
	}
	v.reasons()
	return v
}

// strict orders statements that contradict one another: the more careful one counts.
func strict(s Statement) int {
	switch s.Status {
	case "affected":
		return 3
	case "under_investigation":
		return 2
	case "fixed":
		return 1
	}
	return 0
}

// fails tells whether a finding is a reason to fail, and why not.
func (l Limits) fails(j Judged, now time.Time) (bool, string) {
	counted := j.Severity
	if counted == Unknown {
		counted = l.Unknown
	}
	switch {
	case j.Suppressed != "":
		return false, j.Suppressed
	case j.VEX != nil && j.VEX.Clears():
		return false, "VEX: " + strings.TrimSpace(j.VEX.Status+" "+j.VEX.Justification)
	case j.Waiver != nil && !j.Waiver.Expired(now):
		return false, "waived until " + j.Waiver.Until
	case counted < l.FailOn || l.FailOn == Never:
		return false, "below " + l.FailOn.String()
	case l.OnlyFixed && !j.Fixed() && j.Kind == Vulnerability && !j.Exploited:
		return false, "no fix exists"
	case j.Waiver != nil:
		return true, "its waiver ended " + j.Waiver.Until
	case j.Severity == Unknown:
		return true, "an unknown severity counts as " + l.Unknown.String()
	case l.OnlyFixed && !j.Fixed() && j.Exploited:
		return true, "no fix exists, but it is known to be exploited"
	}
	return true, ""
}

// reasons writes down why the verdict is what it is.
func (v *Verdict) reasons() {
	n := 0
	for _, j := range v.Findings {
		if j.Fails {
			n++
		}
	}
	if n > 0 {
		v.Reasons = append(v.Reasons, fmt.Sprintf("%s of severity %s or worse", count(n, "finding"), v.Limits.FailOn))
	}
	for _, w := range v.ExpiredWaivers {
		v.Reasons = append(v.Reasons, fmt.Sprintf("the waiver of %s ended %s; %s answers for it", strings.TrimSpace(w.ID+" "+w.Package), w.Until, w.Owner))
	}
	for _, u := range v.Unjudged {
		if u.Fails {
			v.Reasons = append(v.Reasons, u.Why)
		}
	}
	if v.Failed = len(v.Reasons) > 0; v.Limits.FailOn == Never {
		v.Failed, v.Reasons = false, []string{}
	}
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
