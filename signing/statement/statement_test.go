package statement

import (
	"bytes"
	"net/url"
	"strings"
	"testing"
	"time"

	slsa "github.com/in-toto/attestation/go/predicates/provenance/v1"
	tests "github.com/in-toto/attestation/go/predicates/test_result/v0"
	vulns "github.com/in-toto/attestation/go/predicates/vulns/v02"
	intoto "github.com/in-toto/attestation/go/v1"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/forge-build/forge/builder/layer"
	"github.com/forge-build/forge/recipes/finding"
	"github.com/forge-build/forge/recipes/lock"
)

var about = Image{"registry.acme.example/ml/train", "sha256:" + strings.Repeat("ab", 32)}

// example is the lock of a real example.
func example(t *testing.T) Build {
	l, err := lock.Read("../../examples/pytorch-cuda/recipe.lock.json", layer.Format)
	if err != nil {
		t.Fatal(err)
	}
	for name, im := range l.Images {
		return Build{Image: name, Recipe: File{"recipe.hcl", strings.Repeat("11", 32)}, Lock: File{"recipe.lock.json", strings.Repeat("22", 32)},
			Locked: im, Base: "debian trixie", Copied: []Copied{{File{"app/train.py", strings.Repeat("33", 32)}, "/app/train.py"}}, Version: "v1.2.3", Commit: "0123abc", Mode: "embedded"}
	}
	t.Fatal("no image")
	return Build{}
}

// read parses a statement with in-toto's own types, strictly, and its predicate into m.
func read(t *testing.T, raw []byte, m proto.Message) *intoto.Statement {
	s := &intoto.Statement{}
	if err := protojson.Unmarshal(raw, s); err != nil {
		t.Fatal(err)
	}
	if err := s.Validate(); err != nil {
		t.Fatal(err)
	}
	if len(s.Subject) != 1 || s.Subject[0].Name != about.Repository || s.Subject[0].Digest["sha256"] != strings.Repeat("ab", 32) || len(s.Subject[0].Digest) != 1 {
		t.Fatalf("subject %v", s.Subject)
	}
	if m == nil {
		return s
	}
	predicate, err := protojson.Marshal(s.Predicate)
	if err == nil {
		err = protojson.Unmarshal(predicate, m)
	}
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func write(t *testing.T, s Statement) []byte {
	raw, err := s.Write(about)
	if err != nil {
		t.Fatal(err)
	}
	again, err := s.Write(about)
	if err != nil || !bytes.Equal(raw, again) {
		t.Fatal("the second time it has other bytes")
	}
	return raw
}

func TestProvenanceNamesEverythingThatWentIn(t *testing.T) {
	b := example(t)
	p := &slsa.Provenance{}
	s := read(t, write(t, Provenance(b)), p)
	if err := p.Validate(); err != nil {
		t.Fatal(err)
	}
	if s.PredicateType != TypeProvenance || p.RunDetails.Builder.Id != "https://github.com/forge-build/forge@v1.2.3/local" {
		t.Errorf("%s by %s", s.PredicateType, p.RunDetails.Builder.Id)
	}
	found := map[string]bool{}
	for _, d := range p.BuildDefinition.ResolvedDependencies {
		if err := d.Validate(); err != nil || len(d.Digest["sha256"]) != 64 {
			t.Errorf("%v: %v", d, err)
		}
		found[d.Digest["sha256"]] = true
	}
	want := []string{b.Recipe.SHA256, b.Lock.SHA256, b.Locked.Init.SHA256, b.Copied[0].SHA256}
	for _, w := range b.Locked.Wheels {
		want = append(want, w.SHA256)
	}
	for _, d := range b.Locked.Debian.Packages {
		want = append(want, d.SHA256)
	}
	for _, a := range b.Locked.Debian.Archives {
		want = append(want, strings.TrimPrefix(a.InRelease, "sha256:"))
	}
	for _, w := range want {
		if !found[w] {
			t.Errorf("%s is missing", w)
		}
	}
	if len(want) < 50 {
		t.Errorf("only %d materials to compare", len(want))
	}
	if strings.Contains(strings.ToLower(string(write(t, Provenance(b)))), "slsa_level") {
		t.Error("a level is claimed")
	}
}

func TestTheBuilderIsForgeAndWhoSigned(t *testing.T) {
	const at = "https://github.com/forge-build/forge@v1.2.3"
	for identity, want := range map[string]string{
		"": at + "/local",
		"https://github.com/acme/ml/.github/workflows/image.yml@refs/heads/main": at + "#https://github.com/acme/ml/.github/workflows/image.yml@refs/heads/main",
		"ml@acme.example":         at + "#mailto:ml@acme.example",
		"spiffe://acme.example/a": at + "#spiffe://acme.example/a",
		"/local":                  at + "#/local",
		"a#/local b":              at + "#a%23/local%20b",
	} {
		got := BuilderID("v1.2.3", identity)
		if got != want {
			t.Errorf("%q: %s", identity, got)
		}
		if _, err := url.Parse(got); err != nil {
			t.Errorf("%q: %v", identity, err)
		}
		version, of, ok := Builder(got)
		if want := IdentityURI(identity); version != "v1.2.3" || of != want || !ok {
			t.Errorf("%s is %q by %q, %v", got, version, of, ok)
		}
	}
	for _, id := range []string{"", "https://github.com/acme/ml/.github/workflows/image.yml@refs/heads/main", "https://github.com/forge-build/forge", at, at + "#",
		at + "/local/more", "https://github.com/forge-build/forgery@v1/local", "https://github.com/forge-build/forge@v1/x#y"} {
		if version, of, ok := Builder(id); ok {
			t.Errorf("%s is %q by %q", id, version, of)
		}
	}
}

func TestVulnsTellsAllFindingsAndWhatIsWaived(t *testing.T) {
	at := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	d := &finding.Document{Version: finding.Format, Digest: about.Digest, Judged: at, Database: &finding.Database{Built: at, Schema: "v6.1.9", Digest: strings.Repeat("cd", 32)}}
	d.Findings = []finding.Judged{
		{Finding: finding.Finding{ID: "CVE-2099-1", Severity: finding.High, Package: "torch", Version: "2.5.0", FixedIn: []string{"2.6.0"}, Exploited: true}, Fails: true},
		{Finding: finding.Finding{ID: "CVE-2099-2", Severity: finding.Low}, Waiver: &finding.Waiver{ID: "CVE-2099-2", Reason: "not reachable", Owner: "ml", Until: "2027-01-31"}},
	}
	s, err := Vulns(Scanner{"pkg:golang/github.com/anchore/grype@v0.121.0", "v0.121.0"}, d)
	if err != nil {
		t.Fatal(err)
	}
	v := &vulns.Vulns{}
	read(t, write(t, s), v)
	r := v.Scanner.Result
	if len(r) != 2 || r[0].Id != "CVE-2099-1" || r[0].Severity[0].Score != "high" || v.Metadata.ScanFinishedOn.AsTime() != at || v.Scanner.Db.LastUpdate.AsTime() != at {
		t.Errorf("%v", v)
	}
	if !strings.Contains(string(write(t, s)), `"waived":true`) || strings.Count(string(write(t, s)), `"waived"`) != 1 {
		t.Errorf("%s", write(t, s))
	}
	if _, err := Vulns(Scanner{}, &finding.Document{NotScanned: "no database"}); err == nil {
		t.Error("what was not looked up was stated as a result")
	}
}

func TestTestsTellsWhatPassed(t *testing.T) {
	r := &tests.TestResult{}
	read(t, write(t, Tests(File{"recipe.hcl", strings.Repeat("11", 32)}, []string{"imports"}, nil)), r)
	if r.Result != "PASSED" || len(r.PassedTests) != 1 || len(r.Configuration) != 1 {
		t.Errorf("%v", r)
	}
	read(t, write(t, Tests(File{"recipe.hcl", strings.Repeat("11", 32)}, []string{"a"}, []string{"b"})), r)
	if r.Result != "FAILED" {
		t.Errorf("%v", r)
	}
}

func TestFactsTellWhatAHostMustHave(t *testing.T) {
	b := example(t)
	s := read(t, write(t, Facts(b.Locked)), nil)
	f := s.Predicate.AsMap()
	if s.PredicateType != TypeFacts || f["minimumDriver"] != b.Locked.Derived.Driver || f["cuda"] != b.Locked.Derived.CUDA || len(f["computeCapabilities"].([]any)) != len(b.Locked.Derived.SM) {
		t.Errorf("%v", f)
	}
}

func TestASignatureHasAPredicate(t *testing.T) {
	s := read(t, write(t, Signature()), nil)
	if s.PredicateType != TypeSignature || s.Predicate == nil {
		t.Error(s)
	}
}

// A statement about no image, or with no object, is a bug and not a document.
func TestWhatIsNoStatementIsNotWritten(t *testing.T) {
	for _, im := range []Image{{"", about.Digest}, {"r.example/a@sha256:0", about.Digest}, {"r.example/a", "sha256:AB"}, {"r.example/a", "sha512:" + strings.Repeat("ab", 64)}} {
		if _, err := Signature().Write(im); err == nil {
			t.Errorf("%v was written", im)
		}
	}
	for _, raw := range []string{"", "null", "[]", `"x"`, "{"} {
		if _, err := SPDX([]byte(raw)).Write(about); err == nil {
			t.Errorf("%q was written", raw)
		}
	}
}

func TestASearchIsStatedAgainWhenItSaysSomethingElse(t *testing.T) {
	noon := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	search := func(change func(*finding.Document)) []byte {
		d := &finding.Document{Version: finding.Format, Judged: noon, Database: &finding.Database{Built: noon, Schema: "v6", Digest: "sha256:" + strings.Repeat("cd", 32)}}
		change(d)
		s, err := Vulns(Scanner{"pkg:golang/x@v1", "v1"}, d)
		if err != nil {
			t.Fatal(err)
		}
		raw, err := s.Write(about)
		if err != nil {
			t.Fatal(err)
		}
		return raw
	}
	first := search(func(*finding.Document) {})
	for name, row := range map[string]struct {
		change func(*finding.Document)
		same   bool
	}{
		"the very same":         {func(*finding.Document) {}, true},
		"an hour later":         {func(d *finding.Document) { d.Judged = noon.Add(time.Hour) }, true},
		"a day later":           {func(d *finding.Document) { d.Judged = noon.Add(24 * time.Hour) }, false},
		"before":                {func(d *finding.Document) { d.Judged = noon.Add(-time.Hour) }, false},
		"with a newer database": {func(d *finding.Document) { d.Judged, d.Database.Built = noon.Add(time.Hour), noon.Add(time.Hour) }, false},
		"with a new finding": {func(d *finding.Document) {
			d.Judged = noon.Add(time.Hour)
			d.Verdict = finding.Judge(finding.Case{Now: noon, Findings: []finding.Finding{{Kind: finding.Vulnerability, ID: "CVE-2099-1", Package: "a", Version: "1"}}})
		}, false},
	} {
		if got := Same(first, search(row.change)); got != row.same {
			t.Errorf("%s: %v", name, got)
		}
	}
	if Same([]byte("{}"), []byte("[]")) || Same([]byte("{}"), first) {
		t.Error("what is no search is taken for one")
	}
}
