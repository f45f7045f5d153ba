package report

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/forge-build/forge/recipes/finding"
)

func found(id, pkg string, s finding.Severity) finding.Judged {
	return finding.Judged{Finding: finding.Finding{ID: id, Package: pkg, Severity: s}}
}

func waived(j finding.Judged) finding.Judged {
	j.Waiver, j.Why = &finding.Waiver{ID: j.ID, Until: "2027-01-01"}, "waived until 2027-01-01"
	return j
}

func scan(fs ...finding.Judged) *finding.Document {
	return &finding.Document{Database: &finding.Database{}, Verdict: finding.Verdict{Findings: fs}}
}

func TestCompareFindings(t *testing.T) {
	for name, test := range map[string]struct {
		was, is *finding.Document
		want    FindingChanges
	}{
		"the same":           {scan(found("A", "x", finding.High)), scan(found("A", "x", finding.High)), FindingChanges{Compared: true}},
		"the same, new data": {scan(), scan(), FindingChanges{Compared: true}},
		"new":                {scan(), scan(found("A", "x", finding.Low)), FindingChanges{Compared: true, New: []FindingChange{{ID: "A", Package: "x", Is: "low"}}}},
		"fixed":              {scan(found("A", "x", finding.High)), scan(), FindingChanges{Compared: true, Fixed: []FindingChange{{ID: "A", Package: "x", Was: "high"}}}},
		"the same id in another package": {scan(found("A", "x", finding.High)), scan(found("A", "y", finding.High)),
			FindingChanges{Compared: true, New: []FindingChange{{ID: "A", Package: "y", Is: "high"}}, Fixed: []FindingChange{{ID: "A", Package: "x", Was: "high"}}}},
		"worse":  {scan(found("A", "x", finding.Medium)), scan(found("A", "x", finding.High)), FindingChanges{Compared: true, Worse: []FindingChange{{ID: "A", Package: "x", Was: "medium", Is: "high"}}}},
		"better": {scan(found("A", "x", finding.Medium)), scan(found("A", "x", finding.Low)), FindingChanges{Compared: true, Better: []FindingChange{{ID: "A", Package: "x", Was: "medium", Is: "low"}}}},
		"unknown counts as high": {scan(found("A", "x", finding.Medium)), scan(found("A", "x", finding.Unknown)),
			FindingChanges{Compared: true, Worse: []FindingChange{{ID: "A", Package: "x", Was: "medium", Is: "unknown"}}}},
		"waived is better": {scan(found("A", "x", finding.Critical)), scan(waived(found("A", "x", finding.Critical))),
			FindingChanges{Compared: true, Better: []FindingChange{{ID: "A", Package: "x", Was: "critical", Is: "critical, waived"}}}},
		"no longer waived is worse": {scan(waived(found("A", "x", finding.Critical))), scan(found("A", "x", finding.Low)),
			FindingChanges{Compared: true, Worse: []FindingChange{{ID: "A", Package: "x", Was: "critical, waived", Is: "low"}}}},
		"by another of its names": {scan(found("CVE-2026-1", "x", finding.High)), scan(func() finding.Judged {
			f := found("GHSA-1", "x", finding.High)
			f.Aliases = []string{"cve-2026-1"}
			return f
		}()), FindingChanges{Compared: true}},
		"exploited now": {scan(found("A", "x", finding.High)), scan(func() finding.Judged {
			f := found("A", "x", finding.High)
			f.Exploited = true
			return f
		}()), FindingChanges{Compared: true, Worse: []FindingChange{{ID: "A", Package: "x", Was: "high", Is: "high, exploited"}}}},
		"nobody looked before": {&finding.Document{NotScanned: "no database"}, scan(found("A", "x", finding.High)), FindingChanges{}},
		"nobody looks now":     {scan(found("A", "x", finding.High)), nil, FindingChanges{}},
	} {
		if diff := cmp.Diff(test.want, compareScans(test.was, test.is)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestLinesOfFindings(t *testing.T) {
	c := Changes{Findings: sample().Previous.Findings}
	want := []string{"~ finding CVE-2026-1111 in jinja2: medium → high, waived (worse)", "+ finding CVE-2026-9999 in torch: critical", "- finding CVE-2025-1 in numpy: high (fixed)",
		"~ finding CVE-2010-4756 in libc6: low → negligible (better)"}
	if diff := cmp.Diff(want, c.Lines()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestComparePackagesAndLayers(t *testing.T) {
	p := func(name, version string, licences ...string) Package {
		return Package{Name: name, Version: version, Kind: "python", Licences: licences}
	}
	in := func(p Package, env, parent string) Package { p.Environment, p.Parent = env, parent; return p }
	a := &Report{Layers: []Layer{{Digest: digestA, Size: 7}, {Digest: digestB, Size: 5}},
		Packages: []Package{p("gone", "1"), p("same", "1", "MIT"), p("up", "1"), in(p("up", "1"), "eval", ""), p("relicensed", "1", "MIT"), in(p("same", "1"), "", "other"), p("twice", "1"), p("twice", "2")}}
	b := &Report{Layers: []Layer{{Digest: digestB, Size: 5}, {Digest: digestC, Size: 3}},
		Packages: []Package{p("same", "1", "MIT"), p("up", "2"), in(p("up", "1"), "eval", ""), p("relicensed", "1", "SSPL-1.0"), p("new", "1"), p("twice", "2"), p("twice", "3")}}
	want := Changes{Layers: Shared{Same: 1, Of: 2, Bytes: 5, New: 3},
		New: []Package{p("new", "1")}, Gone: []Package{p("gone", "1"), in(p("same", "1"), "", "other")},
		Changed:  []Change{{"python", "twice", "1, 2", "2, 3"}, {"python", "up", "1", "2"}},
		Licences: []Change{{"python", "relicensed", "MIT", "SSPL-1.0"}}}
	if diff := cmp.Diff(want, Compare(a, b)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	lines := []string{"~ package twice: 1, 2 → 2, 3", "~ package up: 1 → 2", "+ package new: 1", "- package gone: 1", "- package same in other: 1",
		"~ licence of relicensed: MIT → SSPL-1.0", "findings are not compared: one of the images was not scanned"}
	if diff := cmp.Diff(lines, Compare(a, b).Lines()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if c := Compare(a, a); len(changeRows(c)) != 0 || c.Layers.New != 0 {
		t.Errorf("an image differs from itself: %+v", c)
	}
}

func TestARebuildOfTheSameImageKeepsWhatChangedBefore(t *testing.T) {
	first, second, again := sample(), sample(), sample()
	first.Image.Digest, first.Previous, second.Previous, again.Previous = digestB, nil, nil, nil
	second.Succeed(first)
	if second.Previous == nil || second.Previous.Digest != digestB {
		t.Fatalf("previous is %+v", second.Previous)
	}
	second.Signature = Signature{State: Signed, Facts: []Fact{{"Published as", "registry.example/train"}}}
	again.Succeed(second)
	if diff := cmp.Diff(second.Signature, again.Signature); diff != "" {
		t.Errorf("the same image, made again, is no longer signed:\n%s", diff)
	}
	other := sample()
	other.Image.Digest = digestC
	if other.Succeed(second); other.Signature.State != NotSigned {
		t.Errorf("another image is %s", other.Signature.State)
	}
	if diff := cmp.Diff(second.Previous, again.Previous); diff != "" {
		t.Errorf("-first +again:\n%s", diff)
	}
}

func TestWhatNobodyHasScannedIsNeverCalledClean(t *testing.T) {
	for name, d := range map[string]*finding.Document{"no verdict": nil, "no database": {}, "a reason": {Database: &finding.Database{}, NotScanned: "the database is from 2019"}} {
		r := sample()
		r.Scan = d
		page := string(render(t, r))
		var md bytes.Buffer
		if err := r.WriteMarkdown(&md); err != nil {
			t.Fatal(err)
		}
		for _, text := range []string{page, md.String()} {
			if !strings.Contains(text, "not scanned") || strings.Contains(text, "none found") || strings.Contains(text, "passes the limits") || strings.Contains(text, ":white_check_mark: passes") || strings.Contains(text, "0 found") {
				t.Errorf("%s: the reader is not told that nobody looked", name)
			}
		}
		if d != nil && d.NotScanned != "" && !strings.Contains(page, d.NotScanned) {
			t.Errorf("%s: the page does not say why", name)
		}
	}
	r := sample()
	r.Scan = scan()
	r.Scan.Packages, r.Scan.Database.Built = 5, time.Date(2026, 11, 24, 0, 0, 0, 0, time.UTC)
	if page := string(render(t, r)); !strings.Contains(page, "None of the 5 packages") || !strings.Contains(page, "2026-11-24") {
		t.Error("a clean scan does not say what was looked up, and in which data")
	}
}

// An exception that is over is not shown as one that holds, even where its finding is harmless.
func TestAnExceptionThatIsOverIsSaidToBe(t *testing.T) {
	r := sample()
	w := *r.Scan.Findings[1].Waiver
	w.Until = "2026-11-24"
	f := found("CVE-2026-1111", "jinja2", finding.Negligible)
	f.Waiver, f.Why = &w, "below high"
	r.Scan.Findings = []finding.Judged{f}
	if page := string(render(t, r)); !strings.Contains(page, "until 2026-11-24, which is over") {
		t.Error("the page does not say it")
	}
}

func TestWhatFailsComesFirst(t *testing.T) {
	r := sample()
	r.Scan.Findings = nil
	for i := range 40 {
		r.Scan.Findings = append(r.Scan.Findings, waived(found(fmt.Sprintf("CVE-2026-%04d", i), "x", finding.Critical)))
	}
	bad := found("CVE-2026-9999", "y", finding.Medium)
	bad.Fails = true
	r.Scan.Findings = append(r.Scan.Findings, bad)
	var md bytes.Buffer
	if err := r.WriteMarkdown(&md); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"page": string(render(t, r)), "summary": md.String()} {
		if i, j := strings.Index(text, "CVE-2026-9999"), strings.Index(text, "CVE-2026-0000"); i < 0 || j < 0 || i > j {
			t.Errorf("%s: what fails stands at %d, an accepted finding at %d", name, i, j)
		}
	}
	if !strings.Contains(md.String(), "- `1 finding of severity high or worse`") {
		t.Error("the summary does not say why the image does not pass")
	}
}

func TestTreemapCoversItsPlaceInProportion(t *testing.T) {
	blocks := []block{{label: "a", bytes: 600}, {label: "b", bytes: 300}, {label: "c", bytes: 100}, {label: "empty"}}
	area, total := map[string]float64{}, 0.0
	place(blocks, rectangle{0, 0, 100, 50}, func(b block, r rectangle) {
		area[b.label] += r.w * r.h
		total += r.w * r.h
		if r.x < 0 || r.y < 0 || r.x+r.w > 100.001 || r.y+r.h > 50.001 {
			t.Errorf("%s lies at %+v", b.label, r)
		}
	})
	for label, want := range map[string]float64{"a": 3000, "b": 1500, "c": 500} {
		if d := area[label] - want; d > 1 || d < -1 {
			t.Errorf("area of %s is %.1f, want %.1f", label, area[label], want)
		}
	}
	var many []block
	for range 100_000 {
		many = append(many, block{label: "x", bytes: 1})
	}
	tiles := treemap(append(many, block{label: "big", bytes: 1_000_000}), 1040, 460)
	if len(tiles) > mostTiles+2 {
		t.Errorf("%d tiles", len(tiles))
	}
	if len(treemap(nil, 10, 10)) != 0 || len(treemap([]block{{bytes: 0}}, 10, 10)) != 0 {
		t.Error("nothing has tiles")
	}
}
