package report

import (
	"time"

	"github.com/forge-build/forge/recipes/finding"
)

const digestA, digestB, digestC = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
	"sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb", "sha256:cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc"

// sample is a report that has something in each of its fields.
func sample() *Report {
	waiver := finding.Waiver{ID: "CVE-2026-1111", Package: "jinja2", Reason: "templates come from our own repository", Owner: "ml-platform", Until: "2027-01-31"}
	return &Report{
		Format: Format, Forge: "v0.1.0",
		Image: Image{Name: "train", Digest: digestA, Platform: "linux/amd64", Created: "2026-11-24T13:29:08Z", Base: "Debian trixie", Python: "3.13.5",
			User: "1001 (forge)", Workdir: "/app", Command: []string{"python", "train.py"}, Ports: []int{8080}, Writable: []string{"/cache"}, Environments: []string{"eval"},
			Compressed: 846_000_000, Unpacked: 1_960_000_000},
		Layers: []Layer{
			{Name: "os", Kind: "debian", Digest: digestB, DiffID: digestC, MediaType: "application/vnd.oci.image.layer.v1.tar+zstd", Size: 21_000_000, Unpacked: 55_000_000},
			{Name: "nvidia-cublas-cu12 12.8.4.1", Kind: "wheels", Digest: digestC, DiffID: digestA, MediaType: "application/vnd.oci.image.layer.v1.tar+zstd", Size: 520_000_000, Unpacked: 860_000_000},
			{Name: "torch 2.9.1", Kind: "wheels", Digest: digestA, DiffID: digestB, MediaType: "application/vnd.oci.image.layer.v1.tar+zstd", Size: 300_000_000, Unpacked: 1_000_000_000},
			{Name: "small-3", Kind: "wheels", Digest: digestB, DiffID: digestA, MediaType: "application/vnd.oci.image.layer.v1.tar+zstd", Size: 5_000_000, Unpacked: 45_000_000},
		},
		Packages: []Package{
			{Name: "libc6", Version: "2.41-12", Kind: "deb", PURL: "pkg:deb/debian/libc6@2.41-12", Licences: []string{"LGPL-2.1-or-later", "GPL-2.0-only"}, Layer: "os", Size: 13_000_000, Files: 290, SHA256: digestA[7:], Requested: true},
			{Name: "nvidia-cublas-cu12", Version: "12.8.4.1", Kind: "python", Licences: []string{"LicenseRef-NVIDIA-Proprietary"}, Layer: "nvidia-cublas-cu12 12.8.4.1", Size: 860_000_000, RequiredBy: []string{"torch"}},
			{Name: "jinja2", Version: "3.1.6", Kind: "python", Licences: []string{"BSD-3-Clause"}, Layer: "small-3", Size: 500_000, RequiredBy: []string{"torch"}},
			{Name: "numpy", Version: "2.3.5", Kind: "python", Environment: "eval", Licences: []string{"BSD-3-Clause"}, Layer: "small-3", Size: 44_000_000, Requested: true, RequiredBy: []string{"torch"}},
			{Name: "torch", Version: "2.9.1", Kind: "python", Licences: []string{"BSD-3-Clause"}, Layer: "torch 2.9.1", Size: 1_000_000_000, Requested: true},
			{Name: "libopenblas", Version: "0.3.30", Kind: "binary", Parent: "numpy", Layer: "small-3"},
		},
		Inventory: Inventory{Source: "image", Files: []string{"train.spdx.json", "train.cdx.json"}},
		GPU: &GPU{CUDA: "12.8", Torch: "2.9.1+cu128", Driver: "525.60.13", Recommended: "570.124.06", SM: []string{"8.0", "9.0"}, PTX: []string{"9.0"}, Families: []Family{
			{Name: "Blackwell", Capability: "10.0", Products: []string{"B200"}, Code: "ptx"},
			{Name: "Hopper", Capability: "9.0", Products: []string{"H100", "H200"}, Code: "native", Wanted: true},
			{Name: "Volta", Capability: "7.0", Products: []string{"V100"}, Code: "none", LastDriver: 580}}},
		Scan: &finding.Document{Version: finding.Format, Image: "train", Digest: digestA, Distro: "debian:13", Packages: 5,
			Database: &finding.Database{Built: time.Date(2026, 11, 24, 6, 0, 0, 0, time.UTC), Schema: "v6.1.9", Digest: digestC}, Judged: time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC),
			Verdict: finding.Verdict{Failed: true, Reasons: []string{"1 finding of severity high or worse"}, Limits: finding.Limits{FailOn: finding.High, Unknown: finding.High},
				Findings: []finding.Judged{
					{Finding: finding.Finding{Kind: finding.Vulnerability, ID: "CVE-2026-9999", Severity: finding.Critical, Title: "Loading a file with weights_only runs code", Package: "torch", Version: "2.9.1",
						FixedIn: []string{"2.10.0"}, URLs: []string{"https://example.org/CVE-2026-9999"}, Exploited: true}, Fails: true},
					{Finding: finding.Finding{Kind: finding.Vulnerability, ID: "CVE-2026-1111", Severity: finding.High, Title: "Sandbox escape", Package: "jinja2", Version: "3.1.6", URLs: []string{"javascript:alert(1)"}},
						Why: "waived until 2027-01-31", Waiver: &waiver},
					{Finding: finding.Finding{Kind: finding.Vulnerability, ID: "CVE-2010-4756", Severity: finding.Negligible, Title: "glob takes long", Package: "libc6", Version: "2.41-12", WontFix: true}, Why: "below high"}},
				Unjudged:       []finding.Unjudged{{Package: "odd", Version: "one", Why: "its version cannot be compared"}},
				ExpiredWaivers: []finding.Waiver{}, UnusedStatements: []finding.Statement{},
				UnusedWaivers: []finding.Waiver{{ID: "CVE-2020-1", Package: "gone", Reason: "r", Owner: "o", Until: "2027-01-01"}}}},
		Tests: Tests{State: Passed, Results: []Test{{Name: "imports"}}},
		Slim:  []Removed{{Rule: "headers", What: "include folders", Why: "only compilers read them", Files: 9613, Bytes: 46_000_000}},
		Runs:  []string{"warm-up"},
		Origin: Origin{Recipe: "recipe.hcl", RecipeSHA256: digestA[7:], Lock: "recipe.lock.json", LockSHA256: digestB[7:], Init: digestC[7:], LayerFormat: 3, AsOf: "2026-11-20T23:59:59Z",
			Variables: []string{"token"}, Copies: []string{"app"}},
		Signature: Signature{State: NotSigned, Facts: []Fact{{"Registry", "not published"}}},
		Previous: &Previous{Digest: digestC, Created: "2026-11-01T00:00:00Z", Changes: Changes{Layers: Shared{Same: 3, Of: 4, Bytes: 841_000_000, New: 5_000_000},
			New: []Package{{Name: "jinja2", Version: "3.1.6", Kind: "python"}}, Gone: []Package{{Name: "six", Version: "1.17.0", Kind: "python"}},
			Changed:  []Change{{"python", "numpy (eval)", "2.3.4", "2.3.5"}},
			Licences: []Change{{"python", "numpy (eval)", "BSD-3-Clause", "BSD-3-Clause, MIT"}},
			Findings: FindingChanges{Compared: true, New: []FindingChange{{ID: "CVE-2026-9999", Package: "torch", Is: "critical"}}, Fixed: []FindingChange{{ID: "CVE-2025-1", Package: "numpy", Was: "high"}},
				Worse: []FindingChange{{ID: "CVE-2026-1111", Package: "jinja2", Was: "medium", Is: "high, waived"}}, Better: []FindingChange{{ID: "CVE-2010-4756", Package: "libc6", Was: "low", Is: "negligible"}}}}},
	}
}
