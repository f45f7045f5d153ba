package judge

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/forge-build/forge/recipes/finding"
	"github.com/forge-build/forge/recipes/lock"
	"github.com/forge-build/forge/recipes/trust"
	"github.com/forge-build/forge/signing/statement"
)

const (
	hexA   = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
	hexB   = "ffeeddccbbaa99887766554433221100ffeeddccbbaa99887766554433221100"
	digest = "sha256:" + hexA
)

var now = time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)

// ago is a time before now, as JSON writes it.
func before(d time.Duration) string { return now.Add(-d).Format(time.RFC3339) }

const day = 24 * time.Hour

func said(kind, predicate string) Statement {
	return Statement{Type: kind, Document: text(predicate), Signers: []string{"ci"}, Time: now.Add(-time.Hour)}
}

func text(s string) func() []byte { return func() []byte { return []byte(s) } }

// rows are the table in short: "failed findings".
func rows(checks []Check) []string {
	var out []string
	for _, c := range checks {
		out = append(out, string(c.Status)+" "+c.ID)
	}
	return out
}

func failure(checks []Check) string {
	for _, c := range checks {
		if c.Status == Failed {
			return c.ID + ": expected " + c.Expected + ", found " + c.Found
		}
	}
	return ""
}

// expect compares the first failure; "" wants none.
func expect(t *testing.T, c Case, want string) {
	t.Helper()
	c.Digest, c.Now = digest, now
	if len(c.Rule.SignedBy) == 0 { // the test is about another statement
		rule := *c.Rule
		rule.SignedBy = []string{"ci"}
		c.Rule = &rule
		c.Statements = append(slices.Clone(c.Statements), said(TypeSignature, "{}"))
	}
	checks := Judge(c)
	if got := failure(checks); want == "" && got != "" || !strings.Contains(got, want) {
		t.Errorf("got %q, want %q in\n%+v", got, want, checks)
	}
	if (want != "") != Fails(checks) {
		t.Errorf("Fails is %v", Fails(checks))
	}
	for _, row := range checks {
		switch {
		case row.Status == Failed && (row.Expected == "" || row.Found == ""), row.Status == Skipped && row.Why == "", row.Status == Done && row.Found == "":
			t.Errorf("a row says too little: %+v", row)
		}
	}
}

const spdx = `{"spdxVersion":"SPDX-2.3","SPDXID":"SPDXRef-DOCUMENT","packages":[
 {"name":"train","SPDXID":"SPDXRef-image","versionInfo":"sha256:%s","checksums":[{"algorithm":"SHA256","checksumValue":"%s"}]},
 {"name":"torch","SPDXID":"SPDXRef-torch","externalRefs":[{"referenceCategory":"PACKAGE-MANAGER","referenceType":"purl","referenceLocator":"pkg:pypi/torch@2.9.1%%2Bcu128"}]}],
 "relationships":[{"spdxElementId":"SPDXRef-DOCUMENT","relationshipType":"DESCRIBES","relatedSpdxElement":"SPDXRef-image"}]}`

const cyclone = `{"bomFormat":"CycloneDX","specVersion":"1.6","metadata":{"component":{"type":"container","name":"train","version":"sha256:%s"}},
 "components":[{"type":"library","name":"torch","purl":"pkg:pypi/torch@2.9.1%%2Bcu128"}]}`

func TestAnSBOMIsOneAndAboutThisDigest(t *testing.T) {
	good, other := fmt.Sprintf(spdx, hexA, hexA), fmt.Sprintf(spdx, hexB, hexB)
	for name, row := range map[string]struct {
		statements []Statement
		want       string
	}{
		"SPDX":                        {[]Statement{said(TypeSPDX, good)}, ""},
		"CycloneDX":                   {[]Statement{said(TypeCycloneDX, fmt.Sprintf(cyclone, hexA))}, ""},
		"both":                        {[]Statement{said(TypeSPDX, good), said(TypeCycloneDX, fmt.Sprintf(cyclone, hexA))}, ""},
		"none":                        {nil, "sbom: expected a statement https://spdx.dev/Document or https://cyclonedx.org/bom by ci, found nothing"},
		"by somebody else":            {[]Statement{{Type: TypeSPDX, Document: text(good), Signers: []string{"stranger"}}}, "found nothing"},
		"a signature":                 {[]Statement{said(TypeSignature, `{}`)}, "found nothing"},
		"ATT-01 SPDX as CycloneDX":    {[]Statement{said(TypeCycloneDX, good)}, "bomFormat is \"\""},
		"ATT-01 CycloneDX as SPDX":    {[]Statement{said(TypeSPDX, fmt.Sprintf(cyclone, hexA))}, "spdxVersion is \"\""},
		"ATT-01 scan as SBOM":         {[]Statement{said(TypeSPDX, vulns(0, "[]"))}, "spdxVersion is \"\""},
		"ATT-01 type with a query":    {[]Statement{said(TypeSPDX+"?x", good)}, "found nothing"},
		"ATT-01 type in another case": {[]Statement{said(strings.ToUpper(TypeSPDX), good)}, "found nothing"},
		"ATT-01 type with a blank":    {[]Statement{said(TypeSPDX+" ", good)}, "found nothing"},
		"A10 another digest":          {[]Statement{said(TypeSPDX, other)}, "found one of sha256:ffee"},
		"one of two lies":             {[]Statement{said(TypeSPDX, good), said(TypeCycloneDX, fmt.Sprintf(cyclone, hexB))}, "found one of sha256:ffee"},
		"0 packages":                  {[]Statement{said(TypeSPDX, `{"spdxVersion":"SPDX-2.3","packages":[]}`)}, "0 packages"},
		"ATT-02 duplicate keys":       {[]Statement{said(TypeSPDX, `{"spdxVersion":"SPDX-2.3","packages":[],"packages":[{}]}`)}, "stands twice"},
		"another case of a key":       {[]Statement{said(TypeSPDX, `{"SPDXVERSION":"SPDX-2.3","Packages":[{}]}`)}, "spdxVersion is"},
		"trailing data":               {[]Statement{said(TypeSPDX, good+"{}")}, "after the document's end"},
		"deep":                        {[]Statement{said(TypeSPDX, strings.Repeat(`{"a":`, 5000))}, "nested deeper"},
		"no object":                   {[]Statement{said(TypeSPDX, `[]`)}, "it is no object"},
		"packages is no list":         {[]Statement{said(TypeSPDX, `{"spdxVersion":"SPDX-2.3","packages":{}}`)}, "packages is no list"},
	} {
		t.Run(name, func(t *testing.T) {
			expect(t, Case{Rule: &trust.Rule{SBOM: &trust.SBOM{SignedBy: []string{"ci"}}}, Statements: row.statements}, row.want)
		})
	}
	rule := &trust.Rule{SBOM: &trust.SBOM{SignedBy: []string{"ci"}, Formats: []string{"cyclonedx"}}}
	expect(t, Case{Rule: rule, Statements: []Statement{said(TypeSPDX, good)}}, "a statement https://cyclonedx.org/bom by ci")
}

func TestVersionsAreNotOlderThanTheRuleSays(t *testing.T) {
	rule := func(v string) *trust.Rule {
		return &trust.Rule{SBOM: &trust.SBOM{SignedBy: []string{"ci"}}, Minimum: map[string]string{"Torch": v}}
	}
	for _, body := range []Statement{said(TypeSPDX, fmt.Sprintf(spdx, hexA, hexA)), said(TypeCycloneDX, fmt.Sprintf(cyclone, hexA))} {
		expect(t, Case{Rule: rule("2.9.1"), Statements: []Statement{body}}, "")
		expect(t, Case{Rule: rule("2.10"), Statements: []Statement{body}}, "version: expected Torch 2.10 or newer, found Torch 2.9.1+cu128")
	}
	absent := rule("1.0")
	absent.Minimum = map[string]string{"jax": "1.0"}
	expect(t, Case{Rule: absent, Statements: []Statement{said(TypeSPDX, fmt.Sprintf(spdx, hexA, hexA))}}, "")
	for _, row := range []struct {
		version, least string
		older          bool
	}{
		{"2.9.1+cu128", "2.9.1", false}, {"2.9.1", "2.9.2", true}, {"2.10.0", "2.9.1", false}, {"2.9", "2.9.0", false}, {"2.9.0", "2.9", false},
		{"2.9.1rc1", "2.9.1", true}, {"2.9.2.dev1", "2.9.1", false}, {"2.9.1.dev1", "2.9.1", true}, {"2.9.1.post1", "2.9.1", false}, {"2.9.1-post1", "2.9.1", false},
		{"1!0.1", "2.9", false}, {"0!2.9", "2.9", false}, {"", "0", true}, {"garbage", "1", true}, {"99999999999999999999", "1", true}, {"v2.9", "2.9", false}, {"2..9", "1", true},
	} {
		if got := older(row.version, row.least); got != row.older {
			t.Errorf("older(%q, %q) is %v", row.version, row.least, got)
		}
	}
}

func vulns(age time.Duration, result string) string {
	return fmt.Sprintf(`{"scanner":{"uri":"pkg:golang/github.com/anchore/grype","version":"0.121.0","db":{"uri":"sha256:%s","version":"v6.1.9","lastUpdate":%q},"result":%s},
 "metadata":{"scanStartedOn":%q,"scanFinishedOn":%q}}`, hexB, before(age+day), result, before(age), before(age))
}

func scanned(age time.Duration, result string) Statement {
	s := said(TypeVulns, vulns(age, result))
	s.Time = now.Add(-age + time.Minute)
	return s
}

func TestAScanIsFreshAndFoundLittle(t *testing.T) {
	high := `[{"id":"CVE-1","severity":[{"method":"debian","score":"High"}]}]`
	medium := `[{"id":"CVE-1","severity":[{"method":"nvd","score":"medium"}]},{"id":"CVE-2","severity":[{"method":"cvss_score","score":"5.2"}]}]`
	want := trust.Scan{SignedBy: []string{"ci"}, MaxAge: 7 * day, Limit: "high"}
	with := func(change func(*trust.Scan)) trust.Scan {
		w := want
		change(&w)
		return w
	}
	future := said(TypeVulns, vulns(-time.Hour, `[]`))
	before := scanned(day, `[]`)
	before.Time = now.Add(-3 * day)
	for name, row := range map[string]struct {
		want       trust.Scan
		statements []Statement
		failure    string
	}{
		"clean":                          {want, []Statement{scanned(day, `[]`)}, ""},
		"below the limit":                {want, []Statement{scanned(day, medium)}, ""},
		"none":                           {want, nil, "found nothing"},
		"high":                           {want, []Statement{scanned(day, high)}, "nothing of severity high or above"},
		"too old":                        {want, []Statement{scanned(8*day, `[]`)}, "found one made 8 days ago"},
		"A10 of the future":              {want, []Statement{future}, "found one of 2026-11-25T13:00:00Z"},
		"A10 made after it was signed":   {want, []Statement{before}, "a scan made before it was signed"},
		"ATT-04 an old clean one":        {want, []Statement{scanned(2*day, `[]`), scanned(day, high)}, "CVE-1"},
		"ATT-04 listed first":            {want, []Statement{scanned(day, high), scanned(2*day, `[]`)}, "CVE-1"},
		"one by a stranger":              {want, []Statement{{Type: TypeVulns, Document: text(vulns(0, `[]`)), Signers: []string{"x"}}, scanned(day, high)}, "CVE-1"},
		"at most 2 medium":               {with(func(w *trust.Scan) { w.AtMost = map[string]int{"medium": 2} }), []Statement{scanned(day, medium)}, ""},
		"at most 1 medium":               {with(func(w *trust.Scan) { w.AtMost = map[string]int{"medium": 1} }), []Statement{scanned(day, medium)}, "at most 1 medium"},
		"unknown counts as high":         {want, []Statement{scanned(day, `[{"id":"CVE-1"}]`)}, "1 high; CVE-1"},
		"a word that is no severity":     {want, []Statement{scanned(day, `[{"id":"CVE-1","severity":[{"method":"x","score":"hihg"}]}]`)}, "hihg"},
		"a score that is none":           {want, []Statement{scanned(day, `[{"id":"CVE-1","severity":[{"method":"x","score":"NaN"}]}]`)}, "a score of"},
		"of two ratings the worst":       {want, []Statement{scanned(day, `[{"id":"CVE-1","severity":[{"method":"a","score":"low"},{"method":"b","score":"9.8"}]}]`)}, "1 critical"},
		"waived, not accepted":           {want, []Statement{scanned(day, `[{"id":"CVE-1","severity":[{"method":"a","score":"high"}],"annotations":[{"waived":true}]}]`)}, "CVE-1"},
		"waived, accepted":               {with(func(w *trust.Scan) { w.Waivers = true }), []Statement{scanned(day, `[{"id":"CVE-1","severity":[{"method":"a","score":"high"}],"annotations":[{"waived":true}]}]`)}, ""},
		"waived until yesterday":         {with(func(w *trust.Scan) { w.Waivers = true }), []Statement{scanned(day, `[{"id":"CVE-1","severity":[{"method":"a","score":"high"}],"annotations":[{"waived":true,"waiver":{"until":"2026-11-24"}}]}]`)}, "CVE-1"},
		"waived until today":             {with(func(w *trust.Scan) { w.Waivers = true }), []Statement{scanned(day, `[{"id":"CVE-1","severity":[{"method":"a","score":"high"}],"annotations":[{"waived":true,"waiver":{"until":"2026-11-25"}}]}]`)}, ""},
		"cleared by VEX":                 {with(func(w *trust.Scan) { w.Waivers = true }), []Statement{scanned(day, `[{"id":"CVE-1","severity":[{"method":"a","score":"high"}],"annotations":[{"vex":{"status":"not_affected"}}]}]`)}, ""},
		"the scanner says it is none":    {want, []Statement{scanned(day, `[{"id":"CVE-1","severity":[{"method":"a","score":"high"}],"annotations":[{"suppressed":"a kernel header"}]}]`)}, ""},
		"VEX says affected":              {with(func(w *trust.Scan) { w.Waivers = true }), []Statement{scanned(day, `[{"id":"CVE-1","severity":[{"method":"a","score":"high"}],"annotations":[{"vex":{"status":"affected"}}]}]`)}, "CVE-1"},
		"known to be exploited":          {want, []Statement{scanned(day, `[{"id":"CVE-1","severity":[{"method":"a","score":"low"}],"annotations":[{"exploited":true}]}]`)}, "nothing known to be exploited"},
		"the database was old":           {with(func(w *trust.Scan) { w.DatabaseMaxAge = time.Hour }), []Statement{scanned(day, `[]`)}, "database: expected a database at most 1 hour old"},
		"A10 no database":                {want, []Statement{said(TypeVulns, strings.Replace(vulns(day, `[]`), `"db"`, `"dx"`, 1))}, "db is missing"},
		"A10 a database without a name":  {want, []Statement{said(TypeVulns, strings.NewReplacer(`"uri":"sha256:`+hexB+`","version":"v6.1.9",`, ``).Replace(vulns(day, `[]`)))}, "none is named"},
		"no result":                      {want, []Statement{said(TypeVulns, strings.Replace(vulns(day, `[]`), `"result"`, `"results"`, 1))}, "scanner.result is missing"},
		"a result of null":               {want, []Statement{scanned(day, `null`)}, "scanner.result is missing"},
		"matches of null":                {want, []Statement{said(TypeVulnsCosign, vulns(day, `{"matches":null}`))}, "matches is missing"},
		"exploited, but not in a word":   {want, []Statement{scanned(day, `[{"id":"CVE-1","severity":[{"method":"a","score":"low"}],"annotations":[{"exploited":"true"}]}]`)}, "exploited is neither true nor false"},
		"a result without an id":         {want, []Statement{scanned(day, `[{}]`)}, "id is missing"},
		"null":                           {want, []Statement{scanned(day, `[null]`)}, "is null"},
		"an SBOM offered as a scan":      {want, []Statement{said(TypeVulns, fmt.Sprintf(spdx, hexA, hexA))}, "scanner is missing"},
		"Grype below cosign's type":      {want, []Statement{said(TypeVulnsCosign, vulns(day, `{"matches":[{"vulnerability":{"id":"CVE-1","severity":"Critical"}}]}`))}, "1 critical"},
		"Grype's package is no text":     {want, []Statement{said(TypeVulnsCosign, vulns(day, `{"matches":[{"vulnerability":{"id":"CVE-1","severity":"Low"},"artifact":{"purl":1}}]}`))}, "artifact.purl is no text"},
		"Trivy below cosign's type":      {want, []Statement{said(TypeVulnsCosign, vulns(day, `{"Results":[{"Vulnerabilities":[{"VulnerabilityID":"CVE-1","Severity":"HIGH"}]}]}`))}, "1 high"},
		"no scanner below cosign's type": {want, []Statement{said(TypeVulnsCosign, vulns(day, `{}`))}, "of no scanner that is known"},
	} {
		t.Run(name, func(t *testing.T) {
			expect(t, Case{Rule: &trust.Rule{Scan: &row.want}, Statements: row.statements}, row.failure)
		})
	}
}

func TestAScanMadeNowCountsAlone(t *testing.T) {
	rule := &trust.Rule{Scan: &trust.Scan{SignedBy: []string{"ci"}, MaxAge: 7 * day, Limit: "high", Rescan: true}}
	document := func(change func(*finding.Document)) *finding.Document {
		d := &finding.Document{Version: finding.Format, Digest: digest, Packages: 3, Judged: now, Database: &finding.Database{Built: now.Add(-day), Schema: "v6", Digest: hexB}}
		change(d)
		return d
	}
	found := finding.Judged{Finding: finding.Finding{ID: "CVE-9", Severity: finding.Critical}}
	for name, row := range map[string]struct {
		change func(*finding.Document)
		want   string
	}{
		"clean":         {func(*finding.Document) {}, ""},
		"found":         {func(d *finding.Document) { d.Findings = []finding.Judged{found} }, "1 critical; CVE-9"},
		"not scanned":   {func(d *finding.Document) { d.Database, d.NotScanned = nil, "no database" }, "none: no database"},
		"another image": {func(d *finding.Document) { d.Digest = "sha256:" + hexB }, "a scan of " + digest},
		"0 packages":    {func(d *finding.Document) { d.Packages = 0 }, "0 packages"},
		"not all judged": {func(d *finding.Document) {
			d.Unjudged = []finding.Unjudged{{Package: "x", Why: "no distribution", Fails: true}}
		}, "no distribution"},
	} {
		t.Run(name, func(t *testing.T) {
			expect(t, Case{Rule: rule, Statements: []Statement{scanned(30*day, `[]`)}, Rescan: document(row.change)}, row.want)
		})
	}
}

// What a publisher excused is not forgotten by a scan that is made anew, unless it has ended.
func TestAScanMadeNowKnowsWhatWasExcused(t *testing.T) {
	now := &finding.Document{Version: finding.Format, Digest: digest, Packages: 1, Judged: now, Database: &finding.Database{Built: now, Digest: hexB},
		Verdict: finding.Verdict{Findings: []finding.Judged{{Finding: finding.Finding{ID: "CVE-1", Package: "torch", Severity: finding.High}}}}}
	excused := func(pkg, until string) Statement {
		return scanned(30*day, fmt.Sprintf(`[{"id":"CVE-1","severity":[{"method":"a","score":"high"}],"annotations":[{"package":%q,"waived":true,"waiver":{"until":%q}}]}]`, pkg, until))
	}
	rule := &trust.Rule{Scan: &trust.Scan{SignedBy: []string{"ci"}, MaxAge: 7 * day, Limit: "high", Rescan: true, Waivers: true}}
	expect(t, Case{Rule: rule, Rescan: now, Statements: []Statement{excused("torch", "2026-11-25")}}, "")
	expect(t, Case{Rule: rule, Rescan: now, Statements: []Statement{excused("torch", "2026-11-24")}}, "CVE-1")
	expect(t, Case{Rule: rule, Rescan: now, Statements: []Statement{excused("numpy", "2026-11-25")}}, "CVE-1")
	expect(t, Case{Rule: rule, Rescan: now}, "CVE-1")
	strict := *rule.Scan
	strict.Waivers = false
	expect(t, Case{Rule: &trust.Rule{Scan: &strict}, Rescan: now, Statements: []Statement{excused("torch", "2026-11-25")}}, "CVE-1")
}

// What those whom the rule names say of a finding counts in whatever scan it stands, and about
// no other package.
func TestVEXClearsWhatItIsAbout(t *testing.T) {
	made := &finding.Document{Version: finding.Format, Digest: digest, Packages: 1, Judged: now, Database: &finding.Database{Built: now, Digest: hexB},
		Verdict: finding.Verdict{Findings: []finding.Judged{{Finding: finding.Finding{ID: "GHSA-1", Aliases: []string{"CVE-1"}, Package: "torch", PURL: "pkg:pypi/torch@2.9.1", Severity: finding.High, Exploited: true}}}}}
	scans := map[string]Case{
		"made now": {Rescan: made},
		"forge's":  {Statements: []Statement{scanned(day, `[{"id":"GHSA-1","severity":[{"method":"a","score":"high"}],"annotations":[{"package":"torch","purl":"pkg:pypi/torch@2.9.1","aliases":["CVE-1"]}]}]`)}},
		"Grype's":  {Statements: []Statement{said(TypeVulnsCosign, vulns(day, `{"matches":[{"vulnerability":{"id":"GHSA-1","severity":"High"},"relatedVulnerabilities":[{"id":"CVE-1"}],"artifact":{"purl":"pkg:pypi/torch@2.9.1"}}]}`))}},
		"Trivy's":  {Statements: []Statement{said(TypeVulnsCosign, vulns(day, `{"Results":[{"Vulnerabilities":[{"VulnerabilityID":"CVE-1","Severity":"HIGH","PkgIdentifier":{"PURL":"pkg:pypi/torch@2.9.1"}}]}]}`))}},
	}
	not := func(product string) finding.Statement {
		return finding.Statement{ID: "CVE-1", Product: product, Status: "not_affected", Justification: "component_not_present"}
	}
	affected, whole := not("pkg:pypi/torch"), not("pkg:oci/train")
	affected.Status, whole.Image = "affected", true
	rule := &trust.Rule{Scan: &trust.Scan{SignedBy: []string{"ci"}, MaxAge: 7 * day, Limit: "high", Rescan: true}, VEX: []string{"security"}}
	for kind, c := range scans {
		for name, row := range map[string]struct {
			vex     []finding.Statement
			cleared bool
		}{
			"nothing":               {nil, false},
			"the package":           {[]finding.Statement{not("pkg:pypi/torch")}, true},
			"this version":          {[]finding.Statement{not("pkg:pypi/torch@2.9.1")}, true},
			"another version":       {[]finding.Statement{not("pkg:pypi/torch@2.9.0")}, false},
			"another package":       {[]finding.Statement{not("pkg:pypi/numpy")}, false},
			"the whole image":       {[]finding.Statement{whole}, true},
			"another vulnerability": {[]finding.Statement{{ID: "CVE-2", Product: "pkg:pypi/torch", Status: "fixed"}}, false},
			"affected":              {[]finding.Statement{affected}, false},
			"both, affected last":   {[]finding.Statement{not("pkg:pypi/torch"), affected}, false},
			"both, affected first":  {[]finding.Statement{affected, not("pkg:pypi/torch")}, false},
		} {
			t.Run(kind+" "+name, func(t *testing.T) {
				c := c
				want := "GHSA-1"
				if kind == "Trivy's" {
					want = "CVE-1"
				}
				if row.cleared {
					want = ""
				}
				c.Rule, c.VEX = rule, row.vex
				expect(t, c, want)
			})
		}
	}
}

func slsa(change func(string) string) Statement {
	return said(TypeProvenance, change(fmt.Sprintf(`{"buildDefinition":{"buildType":"https://forge.example/build/v1","externalParameters":{},
 "internalParameters":{"builder":"embedded","facts":{"minimumDriver":"525.60.13","cuda":"12.8"}},
 "resolvedDependencies":[{"name":"base","digest":{"sha256":"00"},"annotations":{"base":"debian trixie"}},{"name":"recipe","digest":{"sha256":"%s"}},{"name":"lock","digest":{"sha256":"%s"}},{"uri":"pkg:pypi/torch@2.9.1"}]},
 "runDetails":{"builder":{"id":"https://ci.example/w.yml@main"}}}`, hexA, hexB)))
}

func same(s string) string { return s }

func replaced(old, by string) func(string) string {
	return func(s string) string { return strings.Replace(s, old, by, 1) }
}

func TestAProvenanceIsOfThisRecipeAndBuilder(t *testing.T) {
	rule := &trust.Rule{Driver: "535.104.05", Bases: []string{"debian trixie"}, Provenance: &trust.Provenance{SignedBy: []string{"ci"},
		Builders: []trust.Match{{Text: "https://ci.example/w.yml@main"}}, Recipes: []string{"sha256:" + hexA}, Locks: []string{"sha256:" + hexB}}}
	for name, row := range map[string]struct {
		statements []Statement
		want       string
	}{
		"as it should be":     {[]Statement{slsa(same)}, ""},
		"none":                {nil, "found nothing"},
		"by somebody else":    {[]Statement{{Type: TypeProvenance, Document: slsa(same).Document, Signers: []string{"x"}}}, "found nothing"},
		"another builder":     {[]Statement{slsa(replaced("ci.example/w", "ci.example.evil/w"))}, "builder: expected https://ci.example/w.yml@main, found https://ci.example.evil/w.yml@main"},
		"another recipe":      {[]Statement{slsa(replaced(hexA, strings.Repeat("1", 64)))}, "recipe: expected"},
		"another lock":        {[]Statement{slsa(replaced(hexB, strings.Repeat("1", 64)))}, "lock: expected"},
		"two recipes":         {[]Statement{slsa(replaced(`{"uri":"pkg`, `{"name":"recipe","digest":{"sha256":"`+strings.Repeat("1", 64)+`"}},{"uri":"pkg`))}, "found 2 of them"},
		"no recipe":           {[]Statement{slsa(replaced(`"name":"recipe"`, `"name":"recipes"`))}, "found 0 of them"},
		"recipe by sha512":    {[]Statement{slsa(replaced(`"name":"recipe","digest":{"sha256"`, `"name":"recipe","digest":{"sha512"`))}, "sha256 is missing"},
		"another base":        {[]Statement{slsa(replaced("debian trixie", "debian bookworm"))}, "base: expected debian trixie, found debian bookworm"},
		"no base":             {[]Statement{slsa(replaced(`"name":"base"`, `"name":"bass"`))}, "none is named"},
		"a newer driver":      {[]Statement{slsa(replaced("525.60.13", "570.26"))}, "driver: expected an image that runs with driver 535.104.05, found one that needs driver 570.26 or newer"},
		"no driver, yet CUDA": {[]Statement{slsa(replaced(`"minimumDriver":"525.60.13",`, ``))}, "does not say which driver"},
		"no driver and no CUDA": {[]Statement{slsa(func(s string) string {
			return replaced(`,"cuda":"12.8"`, ``)(replaced(`"minimumDriver":"525.60.13"`, `"platform":"linux/amd64"`)(s))
		})}, ""},
		"no facts at all":       {[]Statement{slsa(replaced(`"facts"`, `"fax"`))}, "does not say which driver"},
		"a driver that is none": {[]Statement{slsa(replaced("525.60.13", "latest"))}, `"latest"`},
		"no builder":            {[]Statement{slsa(replaced(`"id"`, `"ID"`))}, "id is missing"},
		"no build type":         {[]Statement{slsa(replaced(`"buildType":"https://forge.example/build/v1",`, ``))}, "buildType is missing"},
		"duplicate keys":        {[]Statement{slsa(replaced(`"runDetails"`, `"runDetails":{},"runDetails"`))}, "stands twice"},
		"a good one beside":     {[]Statement{slsa(replaced("ci.example/w", "ci.example.evil/w")), slsa(same)}, ""},
	} {
		t.Run(name, func(t *testing.T) { expect(t, Case{Rule: rule, Statements: row.statements}, row.want) })
	}
	bare := &trust.Rule{SignedBy: []string{"ci"}, Provenance: &trust.Provenance{SignedBy: []string{"ci"}}}
	if d := cmp.Diff([]string{"failed signature", "done provenance", "skipped builder", "skipped recipe", "skipped lock"}, rows(Judge(Case{Rule: bare, Digest: digest, Now: now, Statements: []Statement{slsa(same)}}))); d != "" {
		t.Error(d)
	}
}

// forge's builders name its version and who signed, which must be true.
func TestTheBuilderIsTheOneThatSigned(t *testing.T) {
	const workflow = "https://ci.example/w.yml@main"
	by := func(id, identity string) Statement {
		s := slsa(replaced(workflow, id))
		s.Identity = identity
		return s
	}
	rule := func(text string, pattern bool) *trust.Rule {
		return &trust.Rule{Provenance: &trust.Provenance{SignedBy: []string{"ci"}, Builders: []trust.Match{{Text: text, Pattern: pattern}}}}
	}
	whole, local := statement.BuilderID("v1.2.3", workflow), statement.BuilderID("v1.2.3", "")
	for name, row := range map[string]struct {
		rule *trust.Rule
		by   Statement
		want string
	}{
		"the identity":                   {rule(workflow, false), by(whole, workflow), ""},
		"the whole":                      {rule(whole, false), by(whole, workflow), ""},
		"a pattern of the whole":         {rule(`https://github\.com/forge-build/forge@v1\.[0-9.]+#https://ci\.example/w\.yml@main`, true), by(whole, workflow), ""},
		"as it was written before":       {rule(workflow, false), by(workflow, workflow), ""},
		"an e-mail address":              {rule("ml@acme.example", false), by(statement.BuilderID("v1.2.3", "ml@acme.example"), "ml@acme.example"), ""},
		"another version":                {rule(whole, false), by(statement.BuilderID("v1.2.4", workflow), workflow), "builder: expected"},
		"another identity":               {rule(workflow, false), by(statement.BuilderID("v1.2.3", workflow+"2"), workflow+"2"), "builder: expected"},
		"an identity that is not signer": {rule(workflow, false), by(whole, "https://ci.example/w.yml@fork"), `signed by the identity that it names as builder: https://ci.example/w.yml@main, found "https://ci.example/w.yml@fork"`},
		"an identity, signed by a key":   {rule(workflow, false), by(whole, ""), "found a key"},
		"nobody asks, and it lies":       {&trust.Rule{Provenance: &trust.Provenance{SignedBy: []string{"ci"}}}, by(whole, "x@acme.example"), "builder: expected signed by"},
		"local":                          {rule(local, false), by(local, ""), ""},
		"local, of any version":          {rule(statement.Home+"/local", false), by(local, ""), ""},
		"local is no identity":           {rule(workflow, false), by(local, workflow), "builder: expected"},
	} {
		t.Run(name, func(t *testing.T) { expect(t, Case{Rule: row.rule, Statements: []Statement{row.by}}, row.want) })
	}
}

func TestTestsHavePassed(t *testing.T) {
	rule := &trust.Rule{Tests: &trust.Tests{SignedBy: []string{"ci"}}}
	older := said(TypeTests, `{"result":"FAILED","failedTests":["imports"]}`)
	older.Time = now.Add(-day)
	timeless := func(predicate string) Statement {
		s := said(TypeTests, predicate)
		s.Time = time.Time{}
		return s
	}
	for name, row := range map[string]struct {
		statements []Statement
		want       string
	}{
		"passed":                              {[]Statement{said(TypeTests, `{"result":"PASSED","configuration":[],"passedTests":["imports"]}`)}, ""},
		"failed once, then not":               {[]Statement{older, said(TypeTests, `{"result":"PASSED","passedTests":["imports"]}`)}, ""},
		"failed at a time that nobody proves": {[]Statement{timeless(`{"result":"PASSED","passedTests":["imports"]}`), timeless(`{"result":"FAILED","failedTests":["imports"]}`)}, "1 failed: imports"},
		"none":                                {nil, "found nothing"},
		"failed":                              {[]Statement{said(TypeTests, `{"result":"FAILED","failedTests":["imports"]}`)}, "1 failed: imports"},
		"passed and failed":                   {[]Statement{said(TypeTests, `{"result":"PASSED","passedTests":["a"],"failedTests":["b"]}`)}, "1 failed: b"},
		"warned":                              {[]Statement{said(TypeTests, `{"result":"WARNED","passedTests":["a"]}`)}, `the result "WARNED"`},
		"no test at all":                      {[]Statement{said(TypeTests, `{"result":"PASSED"}`)}, "no test"},
		"lists of something":                  {[]Statement{said(TypeTests, `{"result":"PASSED","passedTests":[1]}`)}, "no list of texts"},
	} {
		t.Run(name, func(t *testing.T) { expect(t, Case{Rule: rule, Statements: row.statements}, row.want) })
	}
}

func TestASignatureHasAnAge(t *testing.T) {
	signed := func(age time.Duration, who ...string) Statement {
		s := Statement{Type: TypeSignature, Signers: who, By: strings.Join(who, "+"), Time: now.Add(-age)}
		if age == 0 {
			s.Time = time.Time{}
		}
		return s
	}
	rule := &trust.Rule{SignedBy: []string{"a", "b"}, Signatures: 1, MaxAge: 90 * day, Since: now.Add(-30 * day)}
	two := *rule
	two.Signatures = 2
	for name, row := range map[string]struct {
		rule       *trust.Rule
		statements []Statement
		want       string
	}{
		"fresh":                       {rule, []Statement{signed(day, "a")}, ""},
		"A27 too old":                 {rule, []Statement{signed(91*day, "a")}, "age: expected signed within 90 days, signed since 2026-10-26, found signed"},
		"A27 before the day":          {rule, []Statement{signed(31*day, "a")}, "signed since"},
		"nobody proves when":          {rule, []Statement{signed(0, "a")}, "whose time nobody proves"},
		"of the future":               {rule, []Statement{signed(-time.Hour, "a")}, "of the future"},
		"an old one beside a new one": {rule, []Statement{signed(91*day, "a"), signed(day, "b")}, ""},
		"two of two":                  {&two, []Statement{signed(day, "a"), signed(2*day, "b")}, ""},
		"one of two is old":           {&two, []Statement{signed(day, "a"), signed(91*day, "b")}, "1 of 2 signers"},
		"two names of one credential": {&two, []Statement{signed(day, "a", "b")}, "signature: expected signatures by 2 of a, b, found 1 signer(s), who may be a, b"},
		"and another credential":      {&two, []Statement{signed(day, "a", "b"), signed(2*day, "a")}, ""},
		"two credentials of one name": {&two, []Statement{signed(day, "a"), {Type: TypeSignature, Signers: []string{"a"}, By: "a's other", Time: now}}, "signature: expected signatures by 2 of a, b, found a"},
		"one counted twice":           {&two, []Statement{signed(day, "a"), signed(2*day, "a")}, "signature: expected signatures by 2 of a, b, found a"},
		"an SBOM is no signature":     {rule, []Statement{{Type: TypeSPDX, Signers: []string{"a"}, Time: now}}, "signature: expected a signature by a or b, found none that counts"},
		"nothing":                     {rule, nil, "found none that counts"},
	} {
		t.Run(name, func(t *testing.T) { expect(t, Case{Rule: row.rule, Statements: row.statements}, row.want) })
	}
}

// A predicate of any form ends with a verdict: no panic, and never a good one for nothing.
func FuzzPredicates(f *testing.F) {
	for _, s := range []string{fmt.Sprintf(spdx, hexA, hexA), fmt.Sprintf(cyclone, hexA), vulns(day, `[{"id":"CVE-1","severity":[{"method":"a","score":"low"}]}]`),
		vulns(day, `{"matches":[{"vulnerability":{"id":"CVE-1","severity":"Low"}}]}`), string(slsa(same).Document()), `{"result":"PASSED","passedTests":["a"]}`, `{}`, `[]`, `null`} {
		f.Add([]byte(s))
	}
	rule := &trust.Rule{SignedBy: []string{"ci"}, SBOM: &trust.SBOM{SignedBy: []string{"ci"}}, Scan: &trust.Scan{SignedBy: []string{"ci"}, MaxAge: 7 * day, Limit: "high"},
		Provenance: &trust.Provenance{SignedBy: []string{"ci"}}, Tests: &trust.Tests{SignedBy: []string{"ci"}}}
	f.Fuzz(func(t *testing.T, raw []byte) {
		var statements []Statement
		for _, kind := range []string{TypeSPDX, TypeCycloneDX, TypeVulns, TypeVulnsCosign, TypeProvenance, TypeTests} {
			statements = append(statements, said(kind, string(raw)))
		}
		if checks := Judge(Case{Rule: rule, Digest: digest, Statements: statements, Now: now}); !Fails(checks) {
			t.Fatalf("one document is an SBOM, a scan, a provenance and tests: %q\n%+v", raw, checks)
		}
	})
}

// What forge itself states is what it reads.
func TestForgesOwnStatementsAreRead(t *testing.T) {
	l := &lock.Image{Platform: "linux/amd64", Derived: lock.Derived{CUDA: "12.8", Driver: "525.60.13"}, Base: &lock.Base{Reference: "r.example/base@sha256:" + hexA, Manifest: "sha256:" + hexA}}
	document := &finding.Document{Version: finding.Format, Judged: now.Add(-day), Packages: 3, Database: &finding.Database{Built: now.Add(-2 * day), Schema: "v6", Digest: hexB}}
	document.Findings = []finding.Judged{{Finding: finding.Finding{ID: "CVE-1", Severity: finding.High}, Waiver: &finding.Waiver{ID: "CVE-1", Until: "2026-11-30"}}}
	vulns, err := statement.Vulns(statement.Scanner{URI: "pkg:x/y", Version: "1"}, document)
	if err != nil {
		t.Fatal(err)
	}
	var statements []Statement
	for _, s := range []statement.Statement{vulns, statement.Tests(statement.File{Name: "recipe.hcl", SHA256: hexA}, []string{"imports"}, nil),
		statement.Provenance(statement.Build{Recipe: statement.File{SHA256: hexA}, Lock: statement.File{SHA256: hexB}, Locked: l, Base: "r.example/base@sha256:" + hexA, Version: "v1.2.3"})} {
		raw, err := s.Write(statement.Image{Repository: "r.example/a", Digest: digest})
		if err != nil {
			t.Fatal(err)
		}
		var whole struct{ Predicate json.RawMessage }
		if err := json.Unmarshal(raw, &whole); err != nil {
			t.Fatal(err)
		}
		statements = append(statements, said(s.Type, string(whole.Predicate)))
	}
	rule := func() *trust.Rule {
		return &trust.Rule{Driver: "535.1", Bases: []string{"r.example/base"}, Tests: &trust.Tests{SignedBy: []string{"ci"}},
			Scan:       &trust.Scan{SignedBy: []string{"ci"}, MaxAge: 7 * day, Limit: "high", Waivers: true},
			Provenance: &trust.Provenance{SignedBy: []string{"ci"}, Builders: []trust.Match{{Text: "https://github.com/forge-build/forge@v1.2.3/local"}}, Recipes: []string{"sha256:" + hexA}, Locks: []string{"sha256:" + hexB}}}
	}
	expect(t, Case{Rule: rule(), Statements: statements}, "")
	for name, row := range map[string]struct {
		change func(*trust.Rule)
		want   string
	}{
		"driver": {func(r *trust.Rule) { r.Driver = "470.1" }, "needs driver 525.60.13"}, "base": {func(r *trust.Rule) { r.Bases = []string{"debian trixie"} }, "found r.example/base@"},
		"recipe": {func(r *trust.Rule) { r.Provenance.Recipes = []string{"sha256:" + hexB} }, "recipe: expected"}, "waivers": {func(r *trust.Rule) { r.Scan.Waivers = false }, "CVE-1"},
	} {
		r := rule()
		row.change(r)
		t.Run(name, func(t *testing.T) { expect(t, Case{Rule: r, Statements: statements}, row.want) })
	}
}
