package vuln

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/anchore/grype/grype/vulnerability"
	"github.com/google/go-cmp/cmp"

	"github.com/forge-build/forge/recipes/finding"
	"github.com/forge-build/forge/sbom/vuln/testdata/advisories"
)

// built is when the test database was built.
var built = time.Date(2026, 1, 15, 12, 0, 0, 0, time.UTC)

// plain is the test database as it is, built once.
var plain string

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	var err error
	if plain, err = os.MkdirTemp("", "vuln-"); err == nil {
		defer os.RemoveAll(plain)
		err = build(plain, nil)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

func build(dir string, change func(*advisories.Records)) error {
	r, err := advisories.All()
	if err != nil {
		return err
	}
	if change != nil {
		change(r)
	}
	return advisories.Build(r, dir, built)
}

// database is a folder with the test database, or with another one.
func database(t *testing.T, change func(*advisories.Records)) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "db")
	err := os.CopyFS(dir, os.DirFS(plain))
	if change != nil {
		err = build(dir, change)
	}
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

func source(t *testing.T, from string) Source {
	t.Helper()
	return Source{From: from, Cache: t.TempDir(), Now: built.Add(24 * time.Hour)}
}

func open(t *testing.T, s Source) *Database {
	t.Helper()
	db, err := Open(context.Background(), s)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

// component is a package of an SBOM.
type component struct {
	Type    string `json:"type"`
	Name    string `json:"name"`
	Version string `json:"version,omitempty"`
	PURL    string `json:"purl,omitempty"`
	CPE     string `json:"cpe,omitempty"`
}

func python(name, version string) component {
	return component{"library", name, version, "pkg:pypi/" + strings.ToLower(name) + "@" + strings.ReplaceAll(version, "+", "%2B"), ""}
}

func deb(name, version, release, source string) component {
	purl := fmt.Sprintf("pkg:deb/debian/%s@%s?arch=amd64", name, version)
	if release != "" {
		purl += "&distro=debian-" + release
	}
	return component{"library", name, version, purl + "&upstream=" + source, ""}
}

func system(version string) component {
	return component{Type: "operating-system", Name: "debian", Version: version}
}

// cyclonedx is an SBOM of these components.
func cyclonedx(t *testing.T, cs ...component) *Packages {
	t.Helper()
	raw, err := json.Marshal(map[string]any{"bomFormat": "CycloneDX", "specVersion": "1.6", "version": 1, "components": cs})
	if err != nil {
		t.Fatal(err)
	}
	p, err := Read(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func scan(t *testing.T, db *Database, cs ...component) *Result {
	t.Helper()
	r, err := db.Scan(context.Background(), cyclonedx(t, cs...))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// ids are what was found, without what Grype itself leaves out.
func ids(r *Result) []string {
	out := []string{}
	for _, f := range r.Findings {
		if f.Suppressed == "" {
			out = append(out, f.ID)
		}
	}
	slices.Sort(out)
	return out
}

// A48: versions are compared as their kind of package compares them.
func TestVulnerableVersionsAreFoundAndFixedOnesAreNot(t *testing.T) {
	db := open(t, source(t, database(t, nil)))
	rows := map[string]struct {
		packages []component
		want     []string
	}{
		"torch with a local version":          {[]component{python("torch", "2.5.1+cu124")}, []string{"GHSA-53q9-r3pm-6pq6", "GHSA-63cw-57p8-fm3p", "GHSA-887c-mr87-cxwp"}},
		"torch, a nightly of the fix":         {[]component{python("torch", "2.6.0.dev20250101")}, []string{"GHSA-53q9-r3pm-6pq6", "GHSA-63cw-57p8-fm3p", "GHSA-887c-mr87-cxwp"}},
		"torch, built from source":            {[]component{python("torch", "2.6.0a0+gitabcdef0")}, []string{"GHSA-53q9-r3pm-6pq6", "GHSA-63cw-57p8-fm3p", "GHSA-887c-mr87-cxwp"}},
		"torch in another case":               {[]component{python("Torch", "2.5.0")}, []string{"GHSA-53q9-r3pm-6pq6", "GHSA-63cw-57p8-fm3p", "GHSA-887c-mr87-cxwp"}},
		"torch 2.6.0":                         {[]component{python("torch", "2.6.0+cu124")}, []string{"GHSA-63cw-57p8-fm3p", "GHSA-887c-mr87-cxwp"}},
		"torch 2.9.1":                         {[]component{python("torch", "2.9.1+cu128")}, []string{"GHSA-63cw-57p8-fm3p"}},
		"torch 2.10.0, a candidate":           {[]component{python("torch", "2.10.0rc1")}, []string{"GHSA-63cw-57p8-fm3p"}},
		"torch 2.10.0":                        {[]component{python("torch", "2.10.0+cu128")}, []string{}},
		"torch 2.15.0":                        {[]component{python("torch", "2.15.0")}, []string{}},
		"another package called nearly so":    {[]component{python("torchvision", "0.20.1")}, []string{}},
		"a name with other separators":        {[]component{python("Acme.Kernels", "1.0")}, []string{"GHSA-2222-9999-qqqq", "GHSA-4444-9999-qqqq"}},
		"libssl3 through its source":          {[]component{system("12"), deb("libssl3", "3.0.15-1~deb12u1", "12", "openssl")}, []string{"CVE-2025-9230"}},
		"libssl3, fixed":                      {[]component{system("12"), deb("libssl3", "3.0.17-1~deb12u3", "12", "openssl")}, []string{}},
		"libssl3 of another release":          {[]component{system("13"), deb("libssl3t64", "3.5.1-1", "13", "openssl")}, []string{"CVE-2025-9230"}},
		"libssl3 of another release, fixed":   {[]component{system("13"), deb("libssl3t64", "3.5.1-1+deb13u1", "13", "openssl")}, []string{}},
		"an unfixed one":                      {[]component{system("13"), deb("libexpat1", "2.7.1-2", "13", "expat")}, []string{"CVE-2099-1001"}},
		"one that will not be fixed":          {[]component{system("12"), deb("libexpat1", "2.5.0-1", "12", "expat")}, []string{"CVE-2099-1002"}},
		"the same of a release without it":    {[]component{system("13"), deb("zlib1g", "1:1.3.dfsg+really1.3.1-1+b1", "13", "zlib")}, []string{}},
		"the CUDA toolkit by NVD":             {[]component{python("nvidia-cuda-runtime-cu12", "12.8.90")}, []string{"CVE-2099-2001"}},
		"the CUDA toolkit of a later number":  {[]component{python("nvidia-cuda-runtime-cu12", "12.9.79")}, []string{}},
		"the CUDA toolkit, CUDA 13":           {[]component{python("nvidia-cuda-runtime", "13.2.86")}, []string{}},
		"the CUDA toolkit in NVD's own shape": {[]component{python("nvidia-cuda-runtime-cu12", "12.1.105")}, []string{"CVE-2024-0072", "CVE-2099-2001"}},
		"cuDNN by NVD":                        {[]component{python("nvidia-cudnn-cu12", "9.1.0.70")}, []string{"CVE-2099-2002"}},
		"NVIDIA's packages for Debian":        {[]component{system("12"), deb("cuda-cudart-12-4", "12.4.127-1", "12", "cuda"), deb("libcudnn9-cuda-12", "9.1.0.70-1", "12", "cudnn")}, []string{"CVE-2099-2001", "CVE-2099-2002"}},
		"cuDNN, fixed":                        {[]component{python("nvidia-cudnn-cu12", "9.10.2.21")}, []string{}},
	}
	for name, row := range rows {
		t.Run(name, func(t *testing.T) {
			if d := cmp.Diff(row.want, ids(scan(t, db, row.packages...))); d != "" {
				t.Error(d)
			}
		})
	}
}

// A library and the wheel that brings it are one thing: one finding, one waiver.
func TestALibraryInsideAWheelIsFoundOnce(t *testing.T) {
	db := open(t, source(t, database(t, nil)))
	library := func(version string) component {
		return component{"library", "libcudnn", version, "pkg:generic/libcudnn@" + version, "cpe:2.3:a:nvidia:cudnn:" + version + ":*:*:*:*:*:*:*"}
	}
	for name, row := range map[string]struct {
		packages []component
		want     []string
	}{
		"with its wheel":     {[]component{python("nvidia-cudnn-cu12", "9.1.0.70"), library("9.1.0.70")}, []string{"nvidia-cudnn-cu12"}},
		"of another version": {[]component{python("nvidia-cudnn-cu12", "9.1.0.70"), library("9.0.0.1")}, []string{"libcudnn", "nvidia-cudnn-cu12"}},
		"by itself":          {[]component{library("9.1.0.70")}, []string{"libcudnn"}},
	} {
		r := scan(t, db, row.packages...)
		var got []string
		for _, f := range r.Findings {
			got = append(got, f.Package)
		}
		slices.Sort(got)
		if d := cmp.Diff(row.want, got); d != "" || r.Packages != len(row.packages) {
			t.Errorf("%s: %d packages, %s", name, r.Packages, d)
		}
	}
}

func TestAFindingSaysWhatTheDatabaseKnows(t *testing.T) {
	db := open(t, source(t, database(t, nil)))
	r := scan(t, db, system("12"), python("torch", "2.5.1+cu124"), python("acme-kernels", "1.0"), python("acme-data", "1.0"), python("nvidia-cuda-runtime-cu12", "12.8.90"),
		deb("libssl3", "3.0.15-1~deb12u1", "12", "openssl"), deb("libexpat1", "2.5.0-1", "12", "expat"), deb("zlib1g", "1:1.2.13.dfsg-1", "12", "zlib"))
	if r.Distro != "debian:12" || r.Packages != 7 {
		t.Errorf("distro %q, %d packages", r.Distro, r.Packages)
	}
	by := map[string]finding.Finding{}
	for _, f := range r.Findings {
		by[f.ID] = f
	}
	want := map[string]finding.Finding{
		"GHSA-53q9-r3pm-6pq6": {Kind: finding.Vulnerability, ID: "GHSA-53q9-r3pm-6pq6", Aliases: []string{"CVE-2025-32434"}, Severity: finding.Critical,
			Title:  "PyTorch: `torch.load` with `weights_only=True` leads to remote code execution",
			Source: "github:language:python", Package: "torch", Version: "2.5.1+cu124", Type: "python", PURL: "pkg:pypi/torch@2.5.1%2Bcu124",
			FixedIn: []string{"2.6.0"}, EPSS: 0.42, URLs: []string{"https://github.com/advisories/GHSA-53q9-r3pm-6pq6"}, Match: "exact"},
		"CVE-2025-9230": {Kind: finding.Vulnerability, ID: "CVE-2025-9230", Severity: finding.High, Source: "debian:distro:debian:12", Package: "libssl3", SourcePackage: "openssl",
			Version: "3.0.15-1~deb12u1", Type: "deb", PURL: "pkg:deb/debian/libssl3@3.0.15-1~deb12u1?arch=amd64&distro=debian-12&upstream=openssl",
			FixedIn: []string{"3.0.17-1~deb12u3"}, URLs: []string{"https://security-tracker.debian.org/tracker/CVE-2025-9230"}, Match: "source package"},
		"CVE-2099-2001": {Kind: finding.Vulnerability, ID: "CVE-2099-2001", Severity: finding.High, Title: "An invented flaw of the CUDA toolkit", Source: "nvd:cpe",
			Package: "nvidia-cuda-runtime-cu12", Version: "12.8.90", Type: "python", PURL: "pkg:pypi/nvidia-cuda-runtime-cu12@12.8.90",
			FixedIn: []string{"12.8.1"}, CVSS: 7.8, URLs: []string{"https://nvd.nist.gov/vuln/detail/CVE-2099-2001"}, Match: "cpe"},
	}
	for id, w := range want {
		w.Description = w.Title
		if d := cmp.Diff(w, by[id]); d != "" {
			t.Errorf("%s: %s", id, d)
		}
	}
	if f := by["GHSA-2222-9999-qqqq"]; !f.Exploited || f.Fixed() {
		t.Errorf("known to be exploited, without a fix: %+v", f)
	}
	if f := by["GHSA-3333-9999-qqqq"]; f.Severity != finding.Unknown {
		t.Errorf("of no severity: %+v", f)
	}
	if f := by["CVE-2099-1002"]; !f.WontFix || f.Fixed() {
		t.Errorf("not to be fixed: %+v", f)
	}
	if f := by["CVE-2023-45853"]; f.Suppressed == "" {
		t.Errorf("what Grype leaves out is not listed: %+v", f)
	}
}

// A54: what has no fix, what is of unknown severity, and what is known to be exploited.
func TestLimitsDecideOverWhatWasFound(t *testing.T) {
	db := open(t, source(t, database(t, nil)))
	r := scan(t, db, system("12"), python("acme-kernels", "1.0"), deb("libexpat1", "2.5.0-1", "12", "expat"), deb("zlib1g", "1:1.2.13.dfsg-1", "12", "zlib"))
	failing := func(l finding.Limits) []string {
		var out []string
		for _, j := range finding.Judge(finding.Case{Findings: r.Findings, Limits: l, Now: built}).Findings {
			if j.Fails {
				out = append(out, j.ID)
			}
		}
		slices.Sort(out)
		return out
	}
	for name, row := range map[string]struct {
		limits finding.Limits
		want   []string
	}{
		"the default":         {finding.Limits{}, []string{"CVE-2099-1002", "GHSA-2222-9999-qqqq"}},
		"what has a fix":      {finding.Limits{OnlyFixed: true}, []string{"GHSA-2222-9999-qqqq"}}, // known to be exploited
		"low and worse":       {finding.Limits{FailOn: finding.Low}, []string{"CVE-2099-1002", "GHSA-2222-9999-qqqq", "GHSA-4444-9999-qqqq"}},
		"critical and worse":  {finding.Limits{FailOn: finding.Critical}, []string{"GHSA-2222-9999-qqqq"}},
		"nothing ever":        {finding.Limits{FailOn: finding.Never}, nil},
		"what has a fix, low": {finding.Limits{FailOn: finding.Low, OnlyFixed: true}, []string{"GHSA-2222-9999-qqqq", "GHSA-4444-9999-qqqq"}},
	} {
		if d := cmp.Diff(row.want, failing(row.limits)); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
}

// A47: packages of a distribution that nobody names are not clean.
func TestWhatCannotBeLookedUpIsSaid(t *testing.T) {
	db := open(t, source(t, database(t, nil)))
	r := scan(t, db, deb("libssl3", "3.0.15-1", "", "openssl"), python("torch", "not a version"), python("numpy", "unknown"))
	var why []string
	for _, u := range r.Unjudged {
		why = append(why, fmt.Sprintf("%s: %s (%v)", u.Package, u.Why, u.Fails))
	}
	slices.Sort(why)
	want := []string{
		": packages of a distribution (1) cannot be looked up: /etc/os-release does not say which it is, or names one that is not theirs (true)",
		"numpy: it has no version (false)",
		`torch: its version "not a version" cannot be compared (false)`,
	}
	if d := cmp.Diff(want, why); d != "" {
		t.Error(d)
	}
	if v := finding.Judge(finding.Case{Findings: r.Findings, Unjudged: r.Unjudged, Now: built}); !v.Failed {
		t.Error("a package without its distribution passes")
	}
}

// A47: a release that gets no more mends is a finding.
func TestADistributionThatIsOverIsAFinding(t *testing.T) {
	s := source(t, database(t, nil))
	s.MaxAge = 10 * 365 * 24 * time.Hour
	s.Now = time.Date(2026, 6, 11, 0, 0, 0, 0, time.UTC)
	r := scan(t, open(t, s), system("12"), deb("libssl3", "3.0.17-1~deb12u3", "12", "openssl"))
	if d := cmp.Diff([]string{"EOL-debian-12"}, ids(r)); d != "" {
		t.Fatal(d)
	}
	w := finding.Waiver{ID: "EOL-debian-12", Package: "debian", Reason: "the long-term team still records them", Owner: "ml-platform", Until: "2026-12-31"}
	if p := w.Check(true); p != nil {
		t.Error(p)
	}
	if v := finding.Judge(finding.Case{Findings: r.Findings, Waivers: []finding.Waiver{w}, Now: s.Now}); v.Failed {
		t.Error(v.Reasons)
	}
}

// A51: no data is no clean result.
func TestADatabaseWithoutWhatTheImageNeedsIsAnError(t *testing.T) { // VDB-01
	rows := map[string]struct {
		change   func(*advisories.Records)
		packages []component
	}{
		"no data of this release": {nil, []component{system("11"), deb("libssl1.1", "1.1.1w-0", "11", "openssl")}},
		"a release of the future": {nil, []component{system("99"), deb("libssl9", "9", "99", "openssl")}},
		"no data of Debian":       {func(r *advisories.Records) { r.Debian = nil }, []component{system("12"), deb("libssl3", "3.0.15-1", "12", "openssl")}},
		"no data of Python":       {func(r *advisories.Records) { r.Python = nil }, []component{python("torch", "2.5.1")}},
	}
	for name, row := range rows {
		t.Run(name, func(t *testing.T) {
			db := open(t, source(t, database(t, row.change)))
			_, err := db.Scan(context.Background(), cyclonedx(t, row.packages...))
			var e *DatabaseError
			if !errors.As(err, &e) || e.ID != NoData {
				t.Errorf("%v", err)
			}
		})
	}
	db := open(t, source(t, database(t, func(r *advisories.Records) { r.NVD = nil })))
	if r := scan(t, db, python("nvidia-cudnn-cu12", "9.1.0.70")); len(r.Unjudged) != 1 || !strings.Contains(r.Unjudged[0].Why, "NVD") {
		t.Errorf("without NVD: %+v", r.Unjudged)
	}
}

func TestTwoScansSayTheSame(t *testing.T) {
	dir := database(t, nil)
	all := []component{system("12"), python("torch", "2.5.1"), python("acme-kernels", "1.0"), deb("libssl3", "3.0.15-1", "12", "openssl"), deb("zlib1g", "1:1.2.13.dfsg-1", "12", "zlib")}
	var first *Result
	for range 5 {
		r := scan(t, open(t, source(t, dir)), all...)
		if first == nil {
			first = r
		}
		if d := cmp.Diff(first, r); d != "" {
			t.Fatal(d)
		}
	}
}

func TestNumbersThatAreNoneAreLeftOut(t *testing.T) { // VDB-02
	cvss := func(score float64) vulnerability.Cvss {
		return vulnerability.Cvss{Metrics: vulnerability.CvssMetrics{BaseScore: score}}
	}
	var f finding.Finding
	describe(&f, &vulnerability.Metadata{Severity: "cRiTiCaL", DataSource: "javascript:alert(1)", URLs: []string{"https://a.example", "https://a.example", "ftp://b.example"},
		EPSS: []vulnerability.EPSS{{EPSS: math.NaN()}, {EPSS: math.Inf(1)}, {EPSS: 2}, {EPSS: 0.5}, {EPSS: -1}},
		Cvss: []vulnerability.Cvss{cvss(math.NaN()), cvss(math.Inf(1)), cvss(11), cvss(7.5), cvss(-1)}})
	want := finding.Finding{Severity: finding.Critical, EPSS: 0.5, CVSS: 7.5, URLs: []string{"https://a.example"}}
	if d := cmp.Diff(want, f); d != "" {
		t.Error(d)
	}
	f = finding.Finding{}
	describe(&f, &vulnerability.Metadata{Severity: "hihg", Description: strings.Repeat("ä", 5000)})
	if f.Severity != finding.Unknown || len(f.Description) > maxText+4 || !utf8.ValidString(f.Description) || !utf8.ValidString(f.Title) {
		t.Errorf("%v, %d bytes of description", f.Severity, len(f.Description))
	}
}
