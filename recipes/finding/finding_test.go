package finding

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var noon = time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)

func torch(severity Severity, fixed ...string) Finding {
	return Finding{Kind: Vulnerability, ID: "GHSA-53q9-r3pm-6pq6", Aliases: []string{"CVE-2025-32434"}, Severity: severity, Package: "torch",
		Version: "2.5.1+cu124", Type: "python", PURL: "pkg:pypi/torch@2.5.1%2Bcu124", FixedIn: fixed}
}

func waiver(change func(*Waiver)) Waiver {
	w := Waiver{ID: "CVE-2025-32434", Package: "torch", Reason: "weights_only is never used", Owner: "ml-platform", Until: "2026-11-25"}
	if change != nil {
		change(&w)
	}
	return w
}

// A52, A53, A54: what excuses a finding, and what does not.
func TestAVerdictFollowsFromLimitsWaiversAndStatements(t *testing.T) {
	tests := map[string]struct {
		c      Case
		failed bool
		why    string // of the first finding
		reason string // a part of the reasons
	}{
		"critical fails by default":                {Case{Findings: []Finding{torch(Critical, "2.6.0")}}, true, "", "1 finding of severity high or worse"},
		"as bad as the limit fails":                {Case{Findings: []Finding{torch(Medium)}, Limits: Limits{FailOn: Medium}}, true, "", "medium or worse"},
		"below the limit passes":                   {Case{Findings: []Finding{torch(Medium)}}, false, "below high", ""},
		"never lets critical pass":                 {Case{Findings: []Finding{torch(Critical)}, Limits: Limits{FailOn: Never}}, false, "below never", ""},
		"unknown counts as high":                   {Case{Findings: []Finding{torch(Unknown)}}, true, "an unknown severity counts as high", "1 finding"},
		"unknown counts as what is said":           {Case{Findings: []Finding{torch(Unknown)}, Limits: Limits{Unknown: Low}}, false, "below high", ""},
		"without a fix it fails":                   {Case{Findings: []Finding{torch(High)}}, true, "", "1 finding"},
		"without a fix it passes if asked":         {Case{Findings: []Finding{torch(High)}, Limits: Limits{OnlyFixed: true}}, false, "no fix exists", ""},
		"with a fix it fails under only-fixed":     {Case{Findings: []Finding{torch(High, "2.6.0")}, Limits: Limits{OnlyFixed: true}}, true, "", "1 finding"},
		"known exploited fails without a fix":      {Case{Findings: []Finding{exploited()}, Limits: Limits{OnlyFixed: true}}, true, "no fix exists, but it is known to be exploited", "1 finding"},
		"a waiver by alias covers on its last day": {Case{Findings: []Finding{torch(Critical)}, Waivers: []Waiver{waiver(nil)}}, false, "waived until 2026-11-25", ""},
		"a waiver's id has no case":                {Case{Findings: []Finding{torch(Critical)}, Waivers: []Waiver{waiver(func(w *Waiver) { w.ID = "cve-2025-32434" })}}, false, "waived until 2026-11-25", ""},
		"a waiver for another package covers nothing": {Case{Findings: []Finding{torch(Critical)}, Waivers: []Waiver{waiver(func(w *Waiver) { w.Package = "torchvision" })}},
			true, "", "1 finding"},
		"a waiver without a package covers no vulnerability": {Case{Findings: []Finding{torch(Critical)}, Waivers: []Waiver{waiver(func(w *Waiver) { w.Package = "" })}},
			true, "", "1 finding"},
		"an expired waiver fails and covers nothing": {Case{Findings: []Finding{torch(Critical)}, Waivers: []Waiver{waiver(func(w *Waiver) { w.Until = "2026-11-24" })}},
			true, "its waiver ended 2026-11-24", "the waiver of CVE-2025-32434 torch ended 2026-11-24; ml-platform answers for it"},
		"an expired waiver fails without its finding": {Case{Waivers: []Waiver{waiver(func(w *Waiver) { w.Until = "2026-11-24" })}}, true, "", "ended 2026-11-24"},
		"an unused waiver is no reason to fail":       {Case{Waivers: []Waiver{waiver(nil)}}, false, "", ""},
		"of two waivers the one that holds counts": {Case{Findings: []Finding{torch(Critical)}, Waivers: []Waiver{waiver(nil), waiver(func(w *Waiver) { w.Until = "2027-01-31" })}},
			false, "waived until 2026-11-25", ""},
		"what cannot be judged fails":           {Case{Unjudged: []Unjudged{{Why: "the image does not say which distribution it is", Fails: true}}}, true, "", "which distribution"},
		"never lets what cannot be judged pass": {Case{Limits: Limits{FailOn: Never}, Unjudged: []Unjudged{{Why: "the image does not say which distribution it is", Fails: true}}}, false, "", ""},
		"what is only worth a line does not":    {Case{Unjudged: []Unjudged{{Package: "x", Why: "its version cannot be compared"}}}, false, "", ""},
		"not_affected clears": {Case{Findings: []Finding{torch(Critical)}, Statements: []Statement{{ID: "CVE-2025-32434", Product: "pkg:pypi/Torch", Status: "not_affected",
			Justification: "vulnerable_code_not_in_execute_path"}}}, false, "VEX: not_affected vulnerable_code_not_in_execute_path", ""},
		"affected does not clear": {Case{Findings: []Finding{torch(Critical)}, Statements: []Statement{{ID: "CVE-2025-32434", Product: "pkg:pypi/torch", Status: "affected"}}}, true, "", "1 finding"},
		"a contradiction does not clear": {Case{Findings: []Finding{torch(Critical)}, Statements: []Statement{
			{ID: "CVE-2025-32434", Product: "pkg:pypi/torch", Status: "affected"}, {ID: "CVE-2025-32434", Product: "pkg:pypi/torch", Status: "not_affected"}}}, true, "", "1 finding"},
		"a contradiction in the other order does not clear either": {Case{Findings: []Finding{torch(Critical)}, Statements: []Statement{
			{ID: "CVE-2025-32434", Product: "pkg:pypi/torch", Status: "not_affected"}, {ID: "CVE-2025-32434", Product: "pkg:pypi/torch", Status: "affected"}}}, true, "", "1 finding"},
		"what the scanner itself leaves out passes": {Case{Findings: []Finding{suppressed()}}, false, "Grype: known to be wrong", ""},
		"a statement for another version does not clear": {Case{Findings: []Finding{torch(Critical)}, Statements: []Statement{{ID: "CVE-2025-32434", Product: "pkg:pypi/torch@2.5.0", Status: "not_affected"}}},
			true, "", "1 finding"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			test.c.Now = noon
			v := Judge(test.c)
			if v.Failed != test.failed {
				t.Errorf("failed is %v, reasons %q", v.Failed, v.Reasons)
			}
			if len(v.Findings) > 0 && (v.Findings[0].Why != test.why || v.Findings[0].Fails && !v.Failed) {
				t.Errorf("why is %q, want %q", v.Findings[0].Why, test.why)
			}
			if reasons := strings.Join(v.Reasons, "\n"); test.reason == "" && reasons != "" || !strings.Contains(reasons, test.reason) {
				t.Errorf("reasons are %q, want %q", reasons, test.reason)
			}
		})
	}
}

func suppressed() Finding {
	f := torch(Critical)
	f.Suppressed = "Grype: known to be wrong"
	return f
}

func exploited() Finding {
	f := torch(High)
	f.Exploited = true
	return f
}

// A52, A53: an excuse that excuses nothing is named.
func TestUnusedWaiversAndStatementsAreNamed(t *testing.T) {
	v := Judge(Case{Now: noon, Findings: []Finding{torch(Low)}, Waivers: []Waiver{waiver(nil), waiver(func(w *Waiver) { w.ID = "CVE-2025-99999" })},
		Statements: []Statement{{ID: "CVE-2025-32434", Product: "pkg:pypi/numpy", Status: "fixed"}}})
	if len(v.UnusedWaivers) != 1 || v.UnusedWaivers[0].ID != "CVE-2025-99999" || len(v.UnusedStatements) != 1 {
		t.Errorf("unused: %+v, %+v", v.UnusedWaivers, v.UnusedStatements)
	}
}

func TestWorstComesFirstWhateverTheOrder(t *testing.T) {
	a, b, c := torch(Low), torch(Critical), torch(Critical)
	c.Package = "numpy"
	one, two := Judge(Case{Now: noon, Findings: []Finding{a, b, c}}), Judge(Case{Now: noon, Findings: []Finding{c, a, b}})
	if one.Findings[0].Package != "numpy" || one.Findings[2].Severity != Low {
		t.Errorf("order: %+v", one.Findings)
	}
	if d := cmp.Diff(one, two); d != "" {
		t.Error(d)
	}
}

// A53: a waiver is of one finding in one package, with reason, owner and end.
func TestAWaiverIsNarrow(t *testing.T) { // VDB-02
	if p := waiver(nil).Check(true); p != nil {
		t.Errorf("a good waiver is refused: %v", p)
	}
	rows := map[string]struct {
		change func(*Waiver)
		part   string
	}{
		"star":                {func(w *Waiver) { w.ID = "*" }, "id"},
		"star within":         {func(w *Waiver) { w.ID = "CVE-2025-*" }, "id"},
		"empty":               {func(w *Waiver) { w.ID = "" }, "id"},
		"misspelt":            {func(w *Waiver) { w.ID = "CVE2025-32434" }, "id"},
		"short CVE":           {func(w *Waiver) { w.ID = "CVE-2025-1" }, "id"},
		"short GHSA":          {func(w *Waiver) { w.ID = "GHSA-53q9-r3pm" }, "id"},
		"no package":          {func(w *Waiver) { w.Package = " " }, "package"},
		"every package":       {func(w *Waiver) { w.Package = "*" }, "package"},
		"no reason":           {func(w *Waiver) { w.Reason = "" }, "reason"},
		"a reason of dots":    {func(w *Waiver) { w.Reason = "…" }, "reason"},
		"no owner":            {func(w *Waiver) { w.Owner = "" }, "owner"},
		"no end":              {func(w *Waiver) { w.Until = "" }, "until"},
		"a day that is not":   {func(w *Waiver) { w.Until = "2026-02-30" }, "until"},
		"a day in other form": {func(w *Waiver) { w.Until = "31.01.2027" }, "until"},
	}
	for name, row := range rows {
		w := waiver(row.change)
		if p := w.Check(true); len(p) != 1 || p[0].Part != row.part {
			t.Errorf("%s: %+v", name, p)
		}
	}
	rule := waiver(func(w *Waiver) { w.ID, w.Package = "FRG-USER-01", "" })
	if p := rule.Check(false); p != nil {
		t.Errorf("a rule's waiver needs no package: %v", p)
	}
}

func TestPackagesAreTheSameByWhatTheirPURLMeans(t *testing.T) {
	for _, row := range []struct {
		product, pkg string
		want         bool
	}{
		{"pkg:pypi/torch", "pkg:pypi/torch@2.5.1%2Bcu124", true},
		{"pkg:pypi/torch@2.5.1+cu124", "pkg:pypi/torch@2.5.1%2Bcu124", true},
		{"pkg:pypi/torch@2.5.1", "pkg:pypi/torch@2.5.1%2Bcu124", false},
		{"pkg:pypi/Jupyter_Server", "pkg:pypi/jupyter-server@1", true},
		{"pkg:deb/debian/libstdc++6", "pkg:deb/debian/libstdc%2B%2B6@14?arch=amd64&distro=debian-13", true},
		{"pkg:deb/debian/zlib1g?distro=debian-13", "pkg:deb/debian/zlib1g@1?arch=amd64&distro=debian-13", true},
		{"pkg:deb/debian/zlib1g?distro=debian-12", "pkg:deb/debian/zlib1g@1?arch=amd64&distro=debian-13", false},
		{"pkg:deb/ubuntu/zlib1g", "pkg:deb/debian/zlib1g@1", false},
		{"pkg:pypi", "pkg:pypi/torch@1", false},
		{"pkg:", "pkg:", false},
		{"", "", false},
		{"torch", "torch", false},
		{"pkg:pypi/%zz", "pkg:pypi/%zz@1", true},
	} {
		if got := samePackage(row.product, row.pkg); got != row.want {
			t.Errorf("%q, %q: %v", row.product, row.pkg, got)
		}
	}
}

func TestSeveritiesAreReadInEachCase(t *testing.T) { // VDB-02
	for text, want := range map[string]Severity{"HIGH": High, "cRiTiCaL": Critical, " medium ": Medium, "": Unknown, "Unknown": Unknown, "moderate": Medium, "important": High, "Unimportant": Negligible} {
		if got, err := ParseSeverity(text); err != nil || got != want {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"hihg", "9.8", "never", "высокий"} {
		if got, err := ParseSeverity(text); err == nil {
			t.Errorf("%q is taken as %v", text, got)
		}
	}
	for _, text := range []string{"High", "unknown", "", "all"} {
		if got, err := ParseLimit(text); err == nil {
			t.Errorf("limit %q is taken as %v", text, got)
		}
	}
}

func TestADocumentComesBackAsItWas(t *testing.T) {
	d := Document{Version: Format, Image: "train", Digest: "sha256:00", Distro: "debian:13", Packages: 3, Judged: noon,
		Database: &Database{Built: noon, Schema: "v6.1.9", Digest: "sha256:11", From: "cache"},
		Verdict:  Judge(Case{Now: noon, Findings: []Finding{torch(Critical, "2.6.0")}, Waivers: []Waiver{waiver(nil)}})}
	var b bytes.Buffer
	if err := d.Write(&b); err != nil {
		t.Fatal(err)
	}
	again, err := Read(bytes.NewReader(b.Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(&d, again); diff != "" {
		t.Error(diff)
	}
	var plain map[string]any
	if err := json.Unmarshal(b.Bytes(), &plain); err != nil {
		t.Fatal(err)
	}
	first := plain["findings"].([]any)[0].(map[string]any)
	if plain["failed"] != false || first["severity"] != "critical" || first["waiver"].(map[string]any)["owner"] != "ml-platform" {
		t.Errorf("form: %s", b.String())
	}
	for _, text := range []string{"", "{", "{}", `{"version":2}`, `{"version":1,"limits":{"failOn":"High"}}`, `{"version":1}`, `{"version":1,"database":null}`} {
		if _, err := Read(strings.NewReader(text)); err == nil {
			t.Errorf("%q is read", text)
		}
	}
}
