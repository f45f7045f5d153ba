package vex

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/forge-build/forge/recipes/finding"
)

var subject = Subject{Repository: "ghcr.io/acme/train", Digest: "sha256:" + strings.Repeat("ab", 32), Index: "sha256:" + strings.Repeat("ef", 32)}

// statement is a statement of a VEX document.
type statement map[string]any

func notAffected(product any) statement {
	return statement{"vulnerability": map[string]any{"name": "CVE-2025-32434"}, "products": []any{product}, "status": "not_affected", "justification": "vulnerable_code_not_in_execute_path"}
}

// read reads one document by itself.
func read(raw []byte, authors []string, s Subject) ([]finding.Statement, error) {
	d := Documents{Subject: s, Authors: authors}
	err := d.Add(raw, "x.json", "")
	return d.Statements(), err
}

func id(purl string) map[string]any { return map[string]any{"@id": purl} }

func document(change func(map[string]any), ss ...statement) []byte {
	doc := map[string]any{"@context": "https://openvex.dev/ns/v0.2.0", "@id": "https://acme.example/vex/1", "author": "Acme Product Security",
		"timestamp": "2026-01-01T00:00:00Z", "version": 1, "statements": ss}
	if change != nil {
		change(doc)
	}
	raw, err := json.Marshal(doc)
	if err != nil {
		panic(err)
	}
	return raw
}

// A52: a statement about another image or product excuses nothing here.
func TestAStatementIsAboutWhatItNames(t *testing.T) {
	base := finding.Statement{ID: "CVE-2025-32434", Status: "not_affected", Justification: "vulnerable_code_not_in_execute_path", Author: "Acme Product Security", Document: "x.json"}
	with := func(change func(*finding.Statement)) finding.Statement { s := base; change(&s); return s }
	product := func(p string) finding.Statement { return with(func(s *finding.Statement) { s.Product = p }) }
	inside := func(purl string) map[string]any {
		return map[string]any{"@id": purl, "subcomponents": []any{id("pkg:pypi/torch@2.5.1")}}
	}
	later := statement{"vulnerability": map[string]any{"name": "CVE-2025-32434"}, "products": []any{id("pkg:pypi/torch")}, "status": "affected", "action_statement": "update", "timestamp": "2026-02-01T00:00:00Z"}
	rows := map[string]struct {
		raw  []byte
		want []finding.Statement
	}{
		"a package":                         {document(nil, notAffected(id("pkg:pypi/torch@2.5.1"))), []finding.Statement{product("pkg:pypi/torch@2.5.1")}},
		"a package by its identifier":       {document(nil, notAffected(map[string]any{"identifiers": map[string]any{"purl": "pkg:pypi/torch"}})), []finding.Statement{product("pkg:pypi/torch")}},
		"a part of this image":              {document(nil, notAffected(inside("pkg:oci/train@sha256%3A"+strings.Repeat("ab", 32)))), []finding.Statement{product("pkg:pypi/torch@2.5.1")}},
		"a part of this repository":         {document(nil, notAffected(inside("pkg:oci/train?repository_url=ghcr.io/acme/train"))), []finding.Statement{product("pkg:pypi/torch@2.5.1")}},
		"a part of the index that lists it": {document(nil, notAffected(inside("pkg:oci/train@sha256%3A"+strings.Repeat("ef", 32)))), []finding.Statement{product("pkg:pypi/torch@2.5.1")}},
		"a part of another image, and a package": {document(nil, notAffected(inside("pkg:oci/train@sha256%3A"+strings.Repeat("cd", 32))), notAffected(id("pkg:pypi/torch"))),
			[]finding.Statement{product("pkg:oci/train@sha256%3A" + strings.Repeat("cd", 32)), product("pkg:pypi/torch")}},
		"a part of another repository, and of this": {document(nil, notAffected(inside("pkg:oci/train?repository_url=evil.example/acme/train")), notAffected(inside("pkg:oci/train?repository_url=ghcr.io/acme/train"))),
			[]finding.Statement{product("pkg:oci/train?repository_url=evil.example/acme/train"), product("pkg:pypi/torch@2.5.1")}},
		"a part of an image of no place, and a package": {document(nil, notAffected(inside("pkg:oci/train")), notAffected(id("pkg:pypi/torch"))),
			[]finding.Statement{product("pkg:oci/train"), product("pkg:pypi/torch")}},
		"aliases": {document(nil, statement{"vulnerability": map[string]any{"name": "GHSA-53q9-r3pm-6pq6", "aliases": []string{"CVE-2025-32434"}}, "products": []any{id("pkg:pypi/torch")}, "status": "fixed"}),
			[]finding.Statement{{ID: "GHSA-53q9-r3pm-6pq6", Aliases: []string{"CVE-2025-32434"}, Product: "pkg:pypi/torch", Status: "fixed", Author: base.Author, Document: base.Document}}},
		"the latest counts": {document(nil, later, notAffected(id("pkg:pypi/torch"))), []finding.Statement{{ID: "CVE-2025-32434", Product: "pkg:pypi/torch", Status: "affected", Author: base.Author, Document: base.Document}}},
		"prose for a reason": {document(nil, statement{"vulnerability": map[string]any{"name": "CVE-2025-32434"}, "products": []any{id("pkg:pypi/torch")}, "status": "not_affected", "impact_statement": "nothing is unpickled"}),
			[]finding.Statement{with(func(s *finding.Statement) {
				s.Product, s.Justification, s.Impact = "pkg:pypi/torch", "", "nothing is unpickled"
			})}},
	}
	for name, row := range rows {
		t.Run(name, func(t *testing.T) {
			got, err := read(row.raw, nil, subject)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(row.want, got); d != "" {
				t.Error(d)
			}
		})
	}
}

// A52: what nobody vouches for, or does not say why, excuses nothing.
func TestAVEXDocumentThatCannotBeReliedOnIsAnError(t *testing.T) { // VDB-02
	set := func(key string, v any) func(map[string]any) { return func(d map[string]any) { d[key] = v } }
	good := notAffected(id("pkg:pypi/torch"))
	but := func(key string, v any) statement {
		s := notAffected(id("pkg:pypi/torch"))
		s[key] = v
		if v == nil {
			delete(s, key)
		}
		return s
	}
	many := make([]statement, maxStatements+1)
	for i := range many {
		many[i] = notAffected(id("pkg:pypi/p" + strings.Repeat("x", i%100) + string(rune('a'+i/100%26)) + string(rune('a'+i/2600))))
	}
	rows := map[string]struct {
		raw     []byte
		authors []string
		says    string
	}{
		"nothing":                       {nil, nil, "no OpenVEX document"},
		"a list":                        {[]byte("[]"), nil, "no OpenVEX document"},
		"cut off":                       {document(nil, good)[:80], nil, "no OpenVEX document"},
		"not a number":                  {[]byte(strings.Replace(string(document(nil, good)), `"version":1`, `"version":NaN`, 1)), nil, "no OpenVEX document"},
		"a deep one":                    {[]byte(`{"@context":` + strings.Repeat("[", 1<<20) + strings.Repeat("]", 1<<20) + `}`), nil, "no OpenVEX document"},
		"a large one":                   {append(document(nil, good), bytes.Repeat([]byte(" "), MaxBytes)...), nil, "more than 16777216 bytes"},
		"of another kind":               {document(set("@context", "https://cyclonedx.org/schema"), good), nil, "@context"},
		"of a kind to come":             {document(set("@context", "https://openvex.dev/ns/v1.0.0"), good), nil, "@context"},
		"of nobody":                     {document(set("author", " "), good), nil, "who its author is"},
		"of an unknown author":          {document(set("author", "Unknown Author"), good), nil, "who its author is"},
		"of somebody else":              {document(set("author", "Mallory"), good), []string{"Acme Product Security"}, `its author is "Mallory"`},
		"of no time":                    {document(set("timestamp", nil), good), nil, "timestamp"},
		"without a statement":           {document(nil), nil, "no statement"},
		"with too many":                 {document(nil, many...), nil, "more than 10000 statements"},
		"without a vulnerability":       {document(nil, but("vulnerability", map[string]any{})), nil, "names no vulnerability"},
		"without a product":             {document(nil, but("products", []any{})), nil, "names no product"},
		"with a product without a purl": {document(nil, notAffected(id("torch"))), nil, "has no purl"},
		"with a part without a purl":    {document(nil, notAffected(map[string]any{"@id": "pkg:oci/train?repository_url=ghcr.io/acme/train", "subcomponents": []any{id("torch")}})), nil, "subcomponent has no purl"},
		"not affected, without why":     {document(nil, but("justification", nil)), nil, "needs a justification"},
		"not affected, by a word":       {document(nil, but("justification", "trust_me")), nil, "trust_me"},
		"about another image":           {document(nil, notAffected(id("pkg:oci/train@sha256%3A"+strings.Repeat("cd", 32)))), nil, `statement 1: it is about another image, "pkg:oci/train@sha256%3Acdcd`},
		"about an image elsewhere":      {document(nil, notAffected(id("pkg:oci/train?repository_url=evil.example/acme/train"))), nil, "this image is sha256:abab"},
		"about an image of no place":    {document(nil, notAffected(id("pkg:oci/train"))), nil, "about another image"},
		"about an image of docker's":    {document(nil, notAffected(id("pkg:docker/acme/train@1"))), nil, "about another image"},
		"about two other images":        {document(nil, notAffected(id("pkg:oci/a")), notAffected(id("pkg:oci/b"))), nil, "about another image"},
		"of no status":                  {document(nil, but("status", "")), nil, `status is ""`},
		"of an unknown status":          {document(nil, but("status", "wont_fix")), nil, `status is "wont_fix"`},
		"of a status in capitals":       {document(nil, but("status", "NOT_AFFECTED")), nil, "status is"},
		"of a status that is a list":    {document(nil, but("status", []string{"fixed"})), nil, "no OpenVEX document"},
	}
	for name, row := range rows {
		t.Run(name, func(t *testing.T) {
			got, err := read(row.raw, row.authors, subject)
			var e *Error
			if !errors.As(err, &e) || !strings.Contains(e.Error(), row.says) || len(got) > 0 {
				t.Errorf("%v, %v", got, err)
			}
		})
	}
}

// built is when the verdicts of these tests were given.
var built = time.Date(2026, 1, 15, 12, 0, 0, 0, time.UTC)

func TestOfOneAuthorsStatementsTheLatestCounts(t *testing.T) {
	about := func(status, made, author string) []byte {
		st := statement{"vulnerability": map[string]any{"name": "CVE-2025-32434"}, "products": []any{id("pkg:pypi/torch")}, "status": status, "timestamp": made}
		switch status {
		case "not_affected":
			st["justification"] = "component_not_present"
		case "affected":
			st["action_statement"] = "update"
		}
		return document(func(d map[string]any) { d["author"] = author }, st)
	}
	early, late := "2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z"
	type said struct {
		raw          []byte
		name, signer string
	}
	f := finding.Finding{Kind: finding.Vulnerability, ID: "CVE-2025-32434", Severity: finding.Critical, Package: "torch", PURL: "pkg:pypi/torch@2.5.1"}
	for name, row := range map[string]struct {
		said   []said
		passes bool
	}{
		"looked into, then not affected":               {[]said{{about("under_investigation", early, "Acme"), "1", "key"}, {about("not_affected", late, "Acme"), "2", "key"}}, true},
		"in whichever order they are read":             {[]said{{about("not_affected", late, "Acme"), "2", "key"}, {about("under_investigation", early, "Acme"), "1", "key"}}, true},
		"not affected, and then it is":                 {[]said{{about("affected", late, "Acme"), "2", "key"}, {about("not_affected", early, "Acme"), "1", "key"}}, false},
		"another author contradicts":                   {[]said{{about("affected", early, "Acme"), "1", "key"}, {about("not_affected", late, "Mallory"), "2", "key"}}, false},
		"another signer in the author's name":          {[]said{{about("affected", early, "Acme"), "1", "key"}, {about("not_affected", late, "Acme"), "2", "other"}}, false},
		"an unsigned file in the author's name":        {[]said{{about("affected", early, "Acme"), "1", "key"}, {about("not_affected", late, "Acme"), "2", ""}}, false},
		"two documents of one moment":                  {[]said{{about("affected", early, "Acme"), "1", "key"}, {about("not_affected", early, "Acme"), "2", "key"}}, false},
		"two documents of one moment, the other first": {[]said{{about("not_affected", early, "Acme"), "2", "key"}, {about("affected", early, "Acme"), "1", "key"}}, false},
	} {
		t.Run(name, func(t *testing.T) {
			var d Documents
			for _, x := range row.said {
				if err := d.Add(x.raw, x.name, x.signer); err != nil {
					t.Fatal(err)
				}
			}
			if v := finding.Judge(finding.Case{Findings: []finding.Finding{f}, Statements: d.Statements(), Now: built}); v.Failed == row.passes {
				t.Errorf("failed is %v; %+v", v.Failed, d.Statements())
			}
		})
	}
}

// A document about the image itself, without naming a package, is about each package in it.
func TestAStatementAboutTheImageIsAboutEachOfItsPackages(t *testing.T) {
	f := finding.Finding{Kind: finding.Vulnerability, ID: "CVE-2025-32434", Severity: finding.Critical, Package: "torch", PURL: "pkg:pypi/torch@2.5.1"}
	for product, passes := range map[string]bool{
		"pkg:oci/train@sha256%3A" + strings.Repeat("ab", 32):   true,
		"pkg:oci/train?repository_url=ghcr.io/acme/train":      true,
		"pkg:oci/train@sha256%3A" + strings.Repeat("cd", 32):   false,
		"pkg:oci/train?repository_url=evil.example/acme/train": false,
		"pkg:oci/train": false,
		"pkg:oci/train@sha256%3A" + strings.Repeat("ef", 32): true, // the index that lists it
		"pkg:oci/train@": false,
	} {
		said, err := read(document(nil, notAffected(id(product)), notAffected(id("pkg:pypi/numpy"))), nil, subject)
		if err != nil {
			t.Fatal(err)
		}
		if v := finding.Judge(finding.Case{Findings: []finding.Finding{f}, Statements: said, Now: built}); v.Failed == passes {
			t.Errorf("%s: failed is %v", product, v.Failed)
		}
	}
}

func TestManyDocumentsTogetherAreBounded(t *testing.T) {
	var d Documents
	for i := range 3 {
		var ss []statement
		for j := range maxStatements / 2 {
			ss = append(ss, notAffected(id(fmt.Sprintf("pkg:pypi/p%d-%d", i, j))))
		}
		if err := d.Add(document(nil, ss...), "x.json", ""); (err != nil) != (i == 2) {
			t.Errorf("document %d: %v", i+1, err)
		}
	}
	if n := len(d.Statements()); n != maxStatements {
		t.Errorf("%d statements count", n)
	}
}

// waived is a verdict with an accepted finding.
func waived() *finding.Verdict {
	w := finding.Waiver{ID: "CVE-2025-32434", Package: "torch", Reason: "safetensors only", Owner: "ml-platform", Until: "2026-06-30"}
	v := finding.Judge(finding.Case{Now: built, Waivers: []finding.Waiver{w}, Findings: []finding.Finding{
		{Kind: finding.Vulnerability, ID: "CVE-2026-0001", Severity: finding.Low, Package: "numpy", PURL: "pkg:pypi/numpy@2"},
		{Kind: finding.Vulnerability, ID: "GHSA-53q9-r3pm-6pq6", Aliases: []string{"CVE-2025-32434"}, Severity: finding.Critical, Package: "torch", PURL: "pkg:pypi/torch@2.5.1"}}})
	return &v
}

func TestWaiversBecomeOneDocument(t *testing.T) {
	first, err := Write(waived(), "train", subject, built)
	if err != nil {
		t.Fatal(err)
	}
	again, err := Write(waived(), "train", subject, built)
	if err != nil || !bytes.Equal(first, again) {
		t.Errorf("not the same bytes: %v", err)
	}
	said, err := read(first, nil, subject)
	if err != nil {
		t.Fatal(err)
	}
	want := []finding.Statement{{ID: "GHSA-53q9-r3pm-6pq6", Aliases: []string{"CVE-2025-32434"}, Product: "pkg:pypi/torch@2.5.1", Status: "affected", Author: "ml-platform", Document: "x.json"}}
	if d := cmp.Diff(want, said); d != "" {
		t.Error(d)
	}
	if !strings.Contains(string(first), "Accepted until 2026-06-30 by ml-platform: safetensors only") {
		t.Errorf("%s", first)
	}
	other, err := read(first, nil, Subject{Repository: "ghcr.io/acme/other", Digest: subject.Digest})
	if err == nil || !strings.Contains(err.Error(), "about another image") {
		t.Errorf("taken for another image: %v, %v", other, err)
	}
	late := waived()
	for i := range late.Findings {
		late.Findings[i].Fails = true // its waiver has ended
	}
	if none, err := Write(late, "train", subject, built); none != nil || err != nil {
		t.Errorf("with a waiver that has ended: %s, %v", none, err)
	}
	over := waived()
	over.ExpiredWaivers = []finding.Waiver{*over.Findings[0].Waiver} // and its finding is below the limit
	if none, err := Write(over, "train", subject, built); none != nil || err != nil {
		t.Errorf("with a waiver that has ended, of a harmless finding: %s, %v", none, err)
	}
	if none, err := Write(&finding.Verdict{}, "train", subject, built); none != nil || err != nil {
		t.Errorf("without a waiver: %s, %v", none, err)
	}
}

// What forge accepts must not clear a finding where somebody reads the document back.
func TestAnAcceptedRiskIsNotSaidToBeNone(t *testing.T) {
	raw, err := Write(waived(), "train", subject, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	said, err := read(raw, nil, subject)
	if err != nil {
		t.Fatal(err)
	}
	f := finding.Finding{Kind: finding.Vulnerability, ID: "CVE-2025-32434", Severity: finding.Critical, Package: "torch", PURL: "pkg:pypi/torch@2.5.1"}
	if v := finding.Judge(finding.Case{Findings: []finding.Finding{f}, Statements: said, Now: built}); !v.Failed {
		t.Error("it passes")
	}
}

func FuzzRead(f *testing.F) {
	f.Add(document(nil, notAffected(id("pkg:pypi/torch@2.5.1"))))
	f.Add(document(nil, notAffected(map[string]any{"@id": "pkg:oci/x@sha256%3Aab?repository_url=r", "subcomponents": []any{id("pkg:pypi/torch")}})))
	f.Add([]byte(`{"@context":"https://openvex.dev/ns","statements":[{"vulnerability":"CVE-1","products":["x"],"status":"fixed"}]}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		out, err := read(raw, nil, subject)
		if err != nil && out != nil {
			t.Error("a result with an error")
		}
		for _, s := range out {
			if s.Clears() && s.Status == "not_affected" && s.Justification == "" && strings.TrimSpace(s.Impact) == "" {
				t.Errorf("it clears without a reason: %+v", s)
			}
			if !strings.HasPrefix(s.Product, "pkg:") || s.ID == "" {
				t.Errorf("it names nothing: %+v", s)
			}
		}
	})
}
