package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"log"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/random"

	"github.com/forge-build/forge/builder"
	"github.com/forge-build/forge/recipes/finding"
	"github.com/forge-build/forge/recipes/lock"
	"github.com/forge-build/forge/sbom"
	"github.com/forge-build/forge/sbom/report"
)

// reported writes an image with a report beside it, and returns its folder and the report.
func reported(t *testing.T, dir, name string, packages ...report.Package) (string, *report.Report) {
	t.Helper()
	im, err := random.Image(100, 2)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, name)
	l, err := layout.Write(path, empty.Index)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.AppendImage(im); err != nil {
		t.Fatal(err)
	}
	digest, err := im.Digest()
	if err != nil {
		t.Fatal(err)
	}
	r := &report.Report{Format: report.Format, Image: report.Image{Name: name, Digest: digest.String()}, Packages: packages, Inventory: report.Inventory{Source: "image"}}
	if err := saveReport(r, besideLayout(path)); err != nil {
		t.Fatal(err)
	}
	return path, r
}

func writeScan(t *testing.T, dir, digest string, fs ...finding.Judged) {
	t.Helper()
	d := finding.Document{Version: finding.Format, Digest: digest, Packages: 1, Database: &finding.Database{}, Verdict: finding.Verdict{Findings: fs}}
	if err := builder.WriteFile(besideLayout(dir).scan(), d.Write); err != nil {
		t.Fatal(err)
	}
}

func TestFoundPackagesKeepWhatTheLockKnows(t *testing.T) {
	const site = "/opt/venv/lib/python3.13/site-packages/"
	at := func(path string) []sbom.Location { return []sbom.Location{{Path: path, Layer: "sha256:1"}} }
	inv := &sbom.Inventory{Packages: []sbom.Package{
		{ID: "1", Name: "Typing_Extensions", Version: "4.16.0", Type: "python", Licenses: []string{"PSF-2.0"}, Size: 7, Locations: at(site + "typing_extensions-4.16.0.dist-info/METADATA")},
		{ID: "2", Name: "setuptools", Version: "80", Type: "python", Locations: at(site + "setuptools-80.dist-info/METADATA")},
		{ID: "3", Name: "wheel", Version: "0.46.3", Type: "python", BundledIn: "2", Locations: at(site + "setuptools/_vendor/wheel-0.46.3.dist-info/METADATA")},
		{ID: "4", Name: "wheel", Version: "0.45.0", Type: "python", Locations: at("/opt/envs/eval/lib/python3.13/site-packages/wheel-0.45.0.dist-info/METADATA")},
		{ID: "5", Name: "libc6", Version: "2.41", Type: "deb", Locations: at("/var/lib/dpkg/status.d/libc6")},
	}}
	locked := []report.Package{{Kind: "deb", Name: "libc6", Version: "2.41", SHA256: "c"}, {Kind: "deb", Name: "netbase", Version: "6", SHA256: "n"},
		{Kind: "python", Name: "typing-extensions", Version: "4.16.0", SHA256: "t", RequiredBy: []string{"torch"}, Layer: "small-1"},
		{Kind: "python", Name: "wheel", Version: "0.46.3", SHA256: "w"}, {Kind: "python", Name: "wheel", Version: "0.45.0", Environment: "eval", SHA256: "e"}}
	want := map[string]string{"Typing_Extensions 4.16.0": "t", "setuptools 80": "", "wheel 0.46.3 in setuptools": "", "wheel 0.45.0 of eval": "e", "libc6 2.41": "c", "netbase 6": "n", "wheel 0.46.3": "w"}
	got := map[string]string{}
	for _, p := range foundPackages(inv, []report.Layer{{Name: "os", DiffID: "sha256:1"}}, locked) {
		name := p.Name + " " + p.Version
		if p.Parent != "" {
			name += " in " + p.Parent
		}
		if p.Environment != "" {
			name += " of " + p.Environment
		}
		got[name] = p.SHA256
		if p.Name == "Typing_Extensions" && (p.Size != 7 || p.Layer != "small-1" || len(p.RequiredBy) != 1 || len(p.Licences) != 1) {
			t.Errorf("%+v", p)
		}
		if p.Name == "setuptools" && p.Layer != "os" {
			t.Errorf("%+v", p)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("sha256 by package (-want +got):\n%s", diff)
	}
}

func TestTheRecipeAsksForWhatItNamesOnly(t *testing.T) {
	li := &lock.Image{Inputs: map[string]string{"base.packages: ffmpeg": "ffmpeg"}, Debian: &lock.Debian{Packages: []lock.Deb{
		{Name: "ffmpeg", Requested: true}, {Name: "libc6", Requested: true}, {Name: "libgcc-s1"}}}} // every image on Debian has libc6
	var asked []string
	for _, p := range lockedPackages(li) {
		if p.Requested {
			asked = append(asked, p.Name)
		}
	}
	if diff := cmp.Diff([]string{"ffmpeg"}, asked); diff != "" {
		t.Error(diff)
	}
	inv := &sbom.Inventory{Licences: map[string]string{"LicenseRef-BSD": "BSD"}}
	if diff := cmp.Diff([]string{"MIT", "BSD", "its own text", "(BSD OR MIT) AND BSD"}, licenceWords(inv, sbom.Package{Licenses: []string{"MIT", "LicenseRef-BSD", "LicenseRef-95a937d0", "(LicenseRef-BSD OR MIT) AND LicenseRef-BSD"}})); diff != "" {
		t.Error(diff)
	}
}

func TestDiffComparesWhatReportsSay(t *testing.T) {
	dir := t.TempDir()
	a, ra := reported(t, dir, "a", report.Package{Kind: "python", Name: "numpy", Version: "1", Licences: []string{"MIT"}}, report.Package{Kind: "python", Name: "six", Version: "1"})
	b, rb := reported(t, dir, "b", report.Package{Kind: "python", Name: "numpy", Version: "2", Licences: []string{"BSD-3-Clause"}})
	bad := finding.Judged{Finding: finding.Finding{ID: "CVE-2026-1", Package: "numpy", Severity: finding.Medium}}
	writeScan(t, a, ra.Image.Digest, bad)
	bad.Severity = finding.Critical
	writeScan(t, b, rb.Image.Digest, bad)
	for name, args := range map[string][2]string{"layouts": {a, "oci:" + b}, "reports": {besideLayout(a).json(), besideLayout(b).json()}} {
		var out, messages bytes.Buffer
		if err := runDiff(t.Context(), &terminal{out: &out, err: &messages}, diffOptions{}, args[0], args[1]); err != nil {
			t.Fatal(err)
		}
		due := []string{"~ package numpy: 1 → 2", "- package six: 1", "~ licence of numpy: MIT → BSD-3-Clause"}
		if name == "layouts" {
			due = append(due, "~ finding CVE-2026-1 in numpy: medium → critical (worse)")
		}
		for _, line := range due {
			if !strings.Contains(out.String(), line+"\n") {
				t.Errorf("%s: no %q in\n%s%s", name, line, out.String(), messages.String())
			}
		}
	}
	var out bytes.Buffer
	if err := runDiff(t.Context(), &terminal{out: &out, err: io.Discard, json: true}, diffOptions{}, a, b); err != nil {
		t.Fatal(err)
	}
	var d difference
	if err := json.Unmarshal(out.Bytes(), &d); err != nil || d.Contents == nil || len(d.Contents.Findings.Worse) != 1 {
		t.Errorf("%v: %s", err, out.String())
	}
}

func TestDiffBelievesNoReportOfAnotherImage(t *testing.T) {
	dir := t.TempDir()
	a, _ := reported(t, dir, "a")
	b, rb := reported(t, dir, "b", report.Package{Kind: "python", Name: "planted", Version: "1"})
	if err := builder.WriteFile(besideLayout(a).json(), rb.Write); err != nil {
		t.Fatal(err)
	}
	diff := func() (string, string) {
		t.Helper()
		var out, messages bytes.Buffer
		if err := runDiff(t.Context(), &terminal{out: &out, err: &messages}, diffOptions{}, b, a); err != nil {
			t.Fatal(err)
		}
		return out.String(), messages.String()
	}
	t.Setenv("FORGE_CACHE", filepath.Join(dir, "cache"))
	if out, messages := diff(); !strings.Contains(out, "- package planted: 1\n") {
		t.Errorf("image a holds no package, whatever the report beside it says: %s%s", out, messages)
	}
	blobs, err := filepath.Glob(filepath.Join(a, "blobs", "sha256", "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range blobs {
		if raw, err := os.ReadFile(f); err == nil && !json.Valid(raw) {
			if err := os.Remove(f); err != nil {
				t.Fatal(err)
			}
		}
	}
	if out, messages := diff(); strings.Contains(out, "planted") || !strings.Contains(messages, "findings are not compared") {
		t.Errorf("nobody says that an image without its layers was not compared: %s%s", out, messages)
	}
	var usage usageError
	if err := runDiff(t.Context(), &terminal{out: io.Discard, err: io.Discard}, diffOptions{}, a, "recipe.lock.json"); !errors.As(err, &usage) {
		t.Errorf("a folder and a lock: %v", err)
	}
	if err := runDiff(t.Context(), &terminal{out: io.Discard, err: io.Discard}, diffOptions{scan: true}, "recipe.hcl", "recipe.lock.json"); !errors.As(err, &usage) {
		t.Errorf("findings of locks: %v", err)
	}
}

func TestReportTakesUpTheVerdictOfItsImageOnly(t *testing.T) {
	dir := t.TempDir()
	a, r := reported(t, dir, "a")
	page := func() string {
		t.Helper()
		if err := runReport(t.Context(), &terminal{out: io.Discard, err: io.Discard}, reportOptions{}, a); err != nil {
			t.Fatal(err)
		}
		raw, err := os.ReadFile(besideLayout(a).html())
		if err != nil {
			t.Fatal(err)
		}
		return string(raw)
	}
	bad := finding.Judged{Finding: finding.Finding{ID: "CVE-2026-1", Package: "numpy", Severity: finding.Medium}}
	writeScan(t, a, "sha256:"+strings.Repeat("0", 64), bad)
	if p := page(); strings.Contains(p, "CVE-2026-1") || !strings.Contains(p, "not scanned") {
		t.Error("a verdict about another image is in the report")
	}
	writeScan(t, a, r.Image.Digest, bad)
	if p := page(); !strings.Contains(p, "CVE-2026-1") || strings.Contains(p, "not scanned") {
		t.Error("the verdict is not in the report")
	}
	if err := os.WriteFile(besideLayout(a).scan(), []byte("{"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := runReport(t.Context(), &terminal{out: io.Discard, err: io.Discard}, reportOptions{}, a); err == nil {
		t.Error("half a verdict is no error")
	}
}

func TestSummaryGoesWhereGitHubShowsIt(t *testing.T) {
	dir := t.TempDir()
	a, _ := reported(t, dir, "a")
	file := filepath.Join(dir, "summary")
	if err := os.WriteFile(file, []byte("before\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	run := func(kind string) (string, error) {
		var messages bytes.Buffer
		err := runReport(t.Context(), &terminal{out: io.Discard, err: &messages}, reportOptions{summary: kind}, a)
		return messages.String(), err
	}
	t.Setenv("GITHUB_STEP_SUMMARY", file)
	if _, err := run("github"); err != nil {
		t.Fatal(err)
	}
	if raw, err := os.ReadFile(file); err != nil || !strings.HasPrefix(string(raw), "before\n### Image `a`") {
		t.Errorf("%v: %q", err, raw)
	}
	t.Setenv("GITHUB_STEP_SUMMARY", "")
	if said, err := run("github"); err != nil || !strings.Contains(said, "a.summary.md") {
		t.Errorf("%v: %q", err, said)
	}
	if raw, err := os.ReadFile(besideLayout(a).summary()); err != nil || !strings.HasPrefix(string(raw), "### Image") {
		t.Errorf("%v: %q", err, raw)
	}
	var usage usageError
	if _, err := run("gitlab"); !errors.As(err, &usage) {
		t.Errorf("another system: %v", err)
	}
}

func TestAPublishedImageSaysSoInItsReport(t *testing.T) {
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	defer server.Close()
	to := strings.TrimPrefix(server.URL, "http://") + "/team/a"
	dir := t.TempDir()
	t.Setenv("DOCKER_CONFIG", dir)
	a, _ := reported(t, dir, "a")
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	key := filepath.Join(dir, "key.pem")
	if err := os.WriteFile(key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	publish := func(o publishOptions) report.Signature {
		t.Helper()
		var messages bytes.Buffer
		if err := publishLayout(t.Context(), &terminal{out: io.Discard, err: &messages}, buildOptions{publish: &o, noScan: true}, a); err != nil {
			t.Fatalf("%v\n%s", err, messages.String())
		}
		r, err := report.ReadFile(besideLayout(a).json())
		if err != nil {
			t.Fatal(err)
		}
		return r.Signature
	}
	if s := publish(publishOptions{to: to, signOptions: signOptions{noSign: true}}); s.State != report.Unsigned {
		t.Errorf("published without a signature, the report says %+v", s)
	}
	s := publish(publishOptions{to: to, tags: []string{"1.0"}, signOptions: signOptions{key: key}})
	if s.State != report.Signed || len(s.Facts) < 4 || !strings.HasPrefix(s.Facts[0].Value, to+"@sha256:") {
		t.Errorf("signed and published, the report says %+v", s)
	}
	page, err := os.ReadFile(besideLayout(a).html())
	if err != nil || !strings.Contains(string(page), "The image is signed.") {
		t.Errorf("the page does not say it: %v", err)
	}
}

func TestDiffComparesSBOMs(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("FORGE_CACHE", filepath.Join(dir, "cache"))
	write := func(name, version string) string {
		path := filepath.Join(dir, name)
		text := `{"bomFormat":"CycloneDX","specVersion":"1.6","version":1,"components":[{"type":"library","bom-ref":"x","name":"numpy","version":"` + version + `","purl":"pkg:pypi/numpy@` + version + `"}]}`
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	var out bytes.Buffer
	if err := runDiff(t.Context(), &terminal{out: &out, err: io.Discard}, diffOptions{}, write("a.cdx.json", "1.0"), write("b.cdx.json", "2.0")); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(out.String(), "~ package numpy: 1.0 → 2.0\n") || strings.Contains(out.String(), "shared") {
		t.Errorf("%s", out.String())
	}
	var usage usageError
	if err := runDiff(t.Context(), &terminal{out: io.Discard, err: io.Discard}, diffOptions{}, filepath.Join(dir, "a.cdx.json"), dir); !errors.As(err, &usage) {
		t.Errorf("an SBOM and a folder: %v", err)
	}
}

func TestAFinishedImageIsReportedOnWithoutItsBuild(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("FORGE_CACHE", filepath.Join(dir, "cache"))
	a, _ := reported(t, dir, "a")
	for _, f := range []string{besideLayout(a).json(), besideLayout(a).html()} {
		if err := os.Remove(f); err != nil {
			t.Fatal(err)
		}
	}
	var out bytes.Buffer
	if err := runReport(t.Context(), &terminal{out: &out, err: io.Discard}, reportOptions{}, a); err != nil {
		t.Fatal(err)
	}
	if want := besideLayout(a).html() + "\n"; out.String() != want {
		t.Errorf("%q, want %q", out.String(), want)
	}
	page, err := os.ReadFile(besideLayout(a).html())
	if err != nil {
		t.Fatal(err)
	}
	for _, due := range []string{"It runs as root.", "not scanned", "the image does not state which driver it needs", "Nobody has looked for a signature", "2 layers"} {
		if !strings.Contains(string(page), due) {
			t.Errorf("the page does not say %q", due)
		}
	}
	for _, guess := range []string{"needs no GPU", "never as root", "The recipe has no tests", "passed", "same digest"} {
		if strings.Contains(string(page), guess) {
			t.Errorf("the page says %q, which nobody knows", guess)
		}
	}
	if _, err := report.ReadFile(besideLayout(a).json()); err != nil {
		t.Error(err)
	}
}

func TestForgesLabelsSayWhichGPUsAnImageIsFor(t *testing.T) {
	d := labelled(map[string]string{"dev.forge.cuda": "12.8", "dev.forge.driver.minimum": "525.60.13", "dev.forge.driver.recommended": "570.124.06", "dev.forge.sm": "8.0 9.0"})
	g := gpuFacts(d, []string{"9.0"})
	if g == nil || g.Driver != "525.60.13" {
		t.Fatalf("%+v", g)
	}
	code := map[string]string{}
	for _, f := range g.Families {
		code[f.Capability] = f.Code
		if f.Wanted != (f.Capability == "9.0") {
			t.Errorf("%+v", f)
		}
	}
	if code["8.6"] != "native" || code["9.0"] != "native" || code["7.0"] != "none" || code["10.0"] != "none" {
		t.Errorf("%v", code)
	}
	if gpuFacts(labelled(nil), nil) != nil {
		t.Error("an image without labels has a driver")
	}
}
