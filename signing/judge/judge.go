package judge

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/forge-build/forge/recipes/finding"
	"github.com/forge-build/forge/recipes/trust"
	"github.com/forge-build/forge/signing/statement"
)

// The predicate types that are judged.
const (
	TypeSignature   = statement.TypeSignature
	TypeProvenance  = statement.TypeProvenance
	TypeSPDX        = statement.TypeSPDX
	TypeCycloneDX   = statement.TypeCycloneDX
	TypeVulns       = statement.TypeVulns
	TypeVulnsCosign = statement.TypeVulnsCosign
	TypeTests       = statement.TypeTests
)

// Statement is a statement whose signature was verified.
type Statement struct {
	Type     string
	Document func() []byte    // the verified bytes; they are not kept
	Large    func() io.Reader // of a document that lies beside its statement, and whose bytes are known to be strict: reads it in pieces; nil: Document is small
	Signers  []string         // names of the policy's signers that made it, or may have
	By       string           // the credential that signed it: what makes two signers different
	Identity string           // the name in the certificate that signed it; empty: a key did
	Time     time.Time        // when it was signed, as others prove; zero: nobody does
	Evidence string           // digest of the bundle or signature, for messages
}

// Case is all that a judgement depends on.
type Case struct {
	Rule       *trust.Rule
	Digest     string // of the image or index that the statements are about
	Statements []Statement
	Rescan     *finding.Document   // a scan made now from the SBOM; nil: none was made
	VEX        []finding.Statement // what those whom the rule's VEX names say of findings in this image
	Now        time.Time
}

// SignatureOnly is the rule's part that an index must fulfil whose images fulfil the rest.
func SignatureOnly(r *trust.Rule) *trust.Rule {
	return &trust.Rule{Name: r.Name, SignedBy: r.SignedBy, Signatures: r.Signatures, MaxAge: r.MaxAge, Since: r.Since}
}

// Status says what became of a check.
type Status string

// A check that nobody asked for is not in the table; one that could not be made failed.
const (
	Done    Status = "done"
	Failed  Status = "failed"
	Skipped Status = "skipped"
)

// Check is one row of the table.
type Check struct {
	ID       string
	Type     string // predicate type of the statement that it is about
	Status   Status
	Expected string
	Found    string
	Why      string // of a skipped one
	Evidence string
}

// skew is how far clocks may differ.
const skew = 5 * time.Minute

// judgement collects the table.
type judgement struct {
	Case
	checks []Check
}

// Judge gives the table. The image is taken when no row of it failed.
func Judge(c Case) []Check {
	j := &judgement{Case: c}
	j.signers()
	if c.Rule.SBOM != nil {
		j.sbom()
	}
	if c.Rule.Provenance != nil {
		j.provenance()
	}
	if c.Rule.Scan != nil {
		j.scan()
	}
	if c.Rule.Tests != nil {
		j.tests()
	}
	return j.checks
}

// Fails says whether a row failed.
func Fails(checks []Check) bool {
	return slices.ContainsFunc(checks, func(c Check) bool { return c.Status == Failed })
}

func (j *judgement) done(id string, s *Statement, format string, args ...any) {
	j.row(Check{ID: id, Status: Done, Found: fmt.Sprintf(format, args...)}, s)
}

func (j *judgement) failed(id string, s *Statement, expected, format string, args ...any) {
	j.row(Check{ID: id, Status: Failed, Expected: expected, Found: fmt.Sprintf(format, args...)}, s)
}

func (j *judgement) row(c Check, s *Statement) {
	if s != nil {
		c.Type, c.Evidence = s.Type, s.Evidence
	}
	j.checks = append(j.checks, c)
}

// of are the statements of some types by some signers, newest first.
func (j *judgement) of(signers []string, types ...string) []*Statement {
	var out []*Statement
	for i := range j.Statements {
		s := &j.Statements[i]
		if slices.Contains(types, s.Type) && slices.ContainsFunc(s.Signers, func(n string) bool { return slices.Contains(signers, n) }) {
			out = append(out, s)
		}
	}
	slices.SortStableFunc(out, func(a, b *Statement) int { return b.Time.Compare(a.Time) })
	return out
}

// missing is the row of a statement that is not there.
func (j *judgement) missing(id string, signers []string, types ...string) {
	j.failed(id, nil, fmt.Sprintf("a statement %s by %s", strings.Join(types, " or "), strings.Join(signers, " or ")), "nothing")
}

// signers judges by whom the image was signed, and when: by as many as the rule asks for. One
// credential is one signer, however many names fit it.
func (j *judgement) signers() {
	r := j.Rule
	n := max(1, r.Signatures)
	signed, fresh := map[string][]string{}, map[string][]string{}
	names := map[string]bool{}
	found := "no signature"
	var last *Statement
	for _, s := range j.of(r.SignedBy, TypeSignature) {
		var of []string
		for _, name := range s.Signers {
			if slices.Contains(r.SignedBy, name) {
				of, names[name] = append(of, name), true
			}
		}
		signed[s.By] = append(signed[s.By], of...)
		if old := j.old(s); old != "" {
			found = old
			continue
		}
		fresh[s.By] = append(fresh[s.By], of...)
		if last == nil {
			last = s
		}
	}
	who := fmt.Sprintf("a signature by %s", strings.Join(r.SignedBy, " or "))
	if n > 1 {
		who = fmt.Sprintf("signatures by %d of %s", n, strings.Join(r.SignedBy, ", "))
	}
	by := strings.Join(sortedKeys(names), ", ")
	if k := trust.Distinct(signed); k < n {
		if k < len(names) {
			by = fmt.Sprintf("%d signer(s), who may be %s", k, by)
		}
		j.failed("signature", nil, who, "%s", cmp.Or(by, "none that counts"))
		return
	}
	j.done("signature", last, "by %s", by)
	if r.MaxAge == 0 && r.Since.IsZero() {
		return
	}
	if k := trust.Distinct(fresh); k < n {
		if k > 0 {
			found = fmt.Sprintf("%d of %d signers: %s", k, n, found)
		}
		j.failed("age", nil, j.young(), "%s", found)
		return
	}
	j.done("age", last, "signed %s", last.Time.UTC().Format(time.RFC3339))
}

// old says why a signature is too old for the rule, or has no age; "": it is not.
func (j *judgement) old(s *Statement) string {
	r := j.Rule
	switch {
	case r.MaxAge == 0 && r.Since.IsZero():
		return ""
	case s.Time.IsZero():
		return "a signature whose time nobody proves"
	case s.Time.After(j.Now.Add(skew)):
		return "a signature of the future: " + s.Time.UTC().Format(time.RFC3339)
	case r.MaxAge > 0 && j.Now.Sub(s.Time) > r.MaxAge, s.Time.Before(r.Since):
		return "signed " + s.Time.UTC().Format(time.RFC3339)
	}
	return ""
}

// young writes how old a signature may be.
func (j *judgement) young() string {
	var parts []string
	if j.Rule.MaxAge > 0 {
		parts = append(parts, "signed within "+days(j.Rule.MaxAge))
	}
	if !j.Rule.Since.IsZero() {
		parts = append(parts, "signed since "+j.Rule.Since.Format(time.DateOnly))
	}
	return strings.Join(parts, ", ")
}

// days writes a length of time as a policy does.
func days(d time.Duration) string {
	for _, u := range []struct {
		name string
		of   time.Duration
	}{{"day", 24 * time.Hour}, {"hour", time.Hour}, {"minute", time.Minute}} {
		if d >= u.of && d%u.of == 0 {
			if d == u.of {
				return "1 " + u.name
			}
			return fmt.Sprintf("%d %ss", d/u.of, u.name)
		}
	}
	return d.String()
}

// ago writes an age for people.
func ago(now, t time.Time) string {
	d := now.Sub(t)
	switch {
	case d < 0:
		return "in the future"
	case d < 2*time.Hour:
		return fmt.Sprintf("%d minutes ago", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d hours ago", int(d.Hours()))
	}
	return fmt.Sprintf("%d days ago", int(d.Hours()/24))
}
