package recipes

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/forge-build/forge/recipes/trust"
)

func loadTrust(t *testing.T, path string) *trust.Policy {
	t.Helper()
	p, err := LoadTrust(path)
	if err != nil {
		var b bytes.Buffer
		var d *Diagnostics
		if errors.As(err, &d) {
			_ = d.Text(&b, 100, false)
		}
		t.Fatalf("%s: %v\n%s", path, err, b.String())
	}
	return p
}

func TestTheCompletePolicyMeansWhatItSays(t *testing.T) {
	p := loadTrust(t, "testdata/trust/valid/complete.hcl")
	day := func(s string) time.Time {
		v, err := time.Parse(time.RFC3339, s)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	file := func(name string) *trust.File {
		b, err := os.ReadFile("testdata/trust/valid/" + name)
		if err != nil {
			t.Fatal(err)
		}
		return &trust.File{Path: name, Bytes: b}
	}
	const workflow = "https://github.com/acme/ml/.github/workflows/image.yml@refs/heads/main"
	const issuer = "https://token.actions.githubusercontent.com"
	digest := "sha256:00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
	want := &trust.Policy{
		Path: p.Path, SHA256: p.SHA256, Root: file("root.json"),
		Signers: []trust.Signer{
			{Name: "image workflow", Identity: trust.Match{Text: workflow}, Issuer: issuer, Certificate: map[string]string{"build_trigger": "push", "runner_environment": "github-hosted"}},
			{Name: "release workflow", Identity: trust.Match{Text: `https://github\.com/acme/[a-z-]+/\.github/workflows/release\.yml@refs/tags/v[0-9.]+`, Pattern: true}, Issuer: issuer},
			{Name: "release key 2026", Key: file("keys/release-2026.pub"), Until: day("2027-01-31T23:59:59Z")},
			{Name: "release key 2027", Key: file("keys/release-2027.pub"), From: day("2026-12-01T00:00:00Z")},
			{Name: "nightly scan", Identity: trust.Match{Text: "https://github.com/acme/ml/.github/workflows/scan.yml@refs/heads/main"}, Issuer: issuer},
			{Name: "security", Key: file("keys/security.pub")},
		},
		Denied: &trust.DenyList{File: *file("deny.hcl"), Bundle: *file("deny.hcl.sigstore.json"), SignedBy: []string{"security"},
			List: trust.Denied{Issued: day("2026-11-20T00:00:00Z"), Until: day("2026-12-20T23:59:59Z"), Entries: []trust.Denial{
				{Image: digest, Reason: "it held the staging database's password"},
				{Key: "sha256:ffeeddccbbaa99887766554433221100ffeeddccbbaa99887766554433221100", Reason: "stolen with a laptop", Since: day("2026-10-01T00:00:00Z")},
				{Identity: trust.Match{Text: "https://github.com/acme/old/.*", Pattern: true}, Reason: "the repository was taken over"},
			}}},
		Rules: []trust.Rule{
			{Name: "production", Repositories: []trust.Scope{"registry.acme.example/ml/*"}, Mirrors: []trust.Mirror{{At: "mirror.acme.example/ml/*", Of: "registry.acme.example/ml/*"}},
				SignedBy: []string{"image workflow", "release workflow"}, Signatures: 2, Level: trust.LevelIndex, MaxAge: 90 * 24 * time.Hour, Since: day("2026-06-01T00:00:00Z"),
				Minimum: map[string]string{"torch": "2.9.1"}, Driver: "535.104.05", Bases: []string{"debian trixie", "registry.acme.example/base/*"},
				SBOM: &trust.SBOM{SignedBy: []string{"image workflow", "release workflow"}, Formats: []string{"spdx"}},
				Provenance: &trust.Provenance{SignedBy: []string{"image workflow", "release workflow"},
					Builders: []trust.Match{{Text: workflow}, {Text: `https://github\.com/acme/[a-z]+/\.github/workflows/release\.yml@.*`, Pattern: true}},
					Recipes:  []string{"sha256:595b145280cf69818e0ecc108d5fd878509cb0b3ce9e6eb28e56b9c6ee645082"}, Locks: []string{digest}},
				Scan: &trust.Scan{SignedBy: []string{"nightly scan"}, MaxAge: 7 * 24 * time.Hour, DatabaseMaxAge: 48 * time.Hour, Limit: "high", AtMost: map[string]int{"medium": 10},
					Waivers: true, Rescan: true},
				VEX:   []string{"security"},
				Tests: &trust.Tests{SignedBy: []string{"image workflow", "release workflow"}}},
			{Name: "experiments", Repositories: []trust.Scope{"registry.acme.example/ml/scratch/*"}, SignedBy: []string{"release key 2026", "release key 2027"}, Signatures: 1, Level: trust.LevelPlatform},
		},
	}
	if d := cmp.Diff(want, p); d != "" {
		t.Error(d)
	}
}

// Each mistake stands on its own line, as in recipes.
func TestEveryMistakeInAPolicyIsReportedAtItsLine(t *testing.T) {
	paths, err := filepath.Glob("testdata/trust/error/*.hcl")
	if err != nil || len(paths) < 5 {
		t.Fatalf("%d fixtures (%v)", len(paths), err)
	}
	for _, path := range paths {
		src, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if filepath.Base(path) == "deny.hcl" { // named by deny-list.hcl
			continue
		}
		var want, got []string
		for i, line := range strings.Split(string(src), "\n") {
			for _, m := range strings.Split(line, "# ERROR: ")[1:] {
				want = append(want, fmt.Sprintf("%d: %s", i+1, strings.TrimSpace(m)))
			}
		}
		_, err = LoadTrust(path)
		var d *Diagnostics
		if !errors.As(err, &d) {
			t.Errorf("%s: %v", path, err)
			continue
		}
		for _, x := range d.JSON() {
			got = append(got, fmt.Sprintf("%d: %s", x.Line, x.Summary))
			if x.Detail == "" {
				t.Errorf("%s:%d: %s says nothing of what would be right", path, x.Line, x.Summary)
			}
		}
		sort.Strings(want)
		sort.Strings(got)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", path, diff)
		}
	}
}

// A policy is bounded as a recipe is, before HCL's parser sees it.
func TestHostilePoliciesEndWithAnError(t *testing.T) {
	dir := t.TempDir()
	if err := errors.Join(os.Symlink("/etc/passwd", filepath.Join(dir, "link")), os.Mkdir(filepath.Join(dir, "folder"), 0o755),
		os.WriteFile(filepath.Join(dir, "huge"), bytes.Repeat([]byte("x"), maxKey+1), 0o644)); err != nil {
		t.Fatal(err)
	}
	key := func(value string) string { return fmt.Sprintf("signer \"a\" { key = %q }\n", value) }
	for name, row := range map[string][2]string{
		"HCL-01":         {"signer \"a\" { key = " + strings.Repeat("[", 100_000) + "}", "HCL-01"},
		"HCL-02":         {"images \"a\" { signatures = 1e100000 }", "HCL-02"},
		"HCL-03":         {`locals { z = [for a in split("", "aaaa") : a] }`, "HCL-03"},
		"HCL-04 parent":  {key("../../etc/passwd"), "HCL-04"},
		"HCL-04 link":    {key("link"), "HCL-04"},
		"HCL-04 folder":  {key("folder"), "HCL-04"},
		"HCL-04 size":    {key("huge"), "HCL-04"},
		"HCL-05 bidi":    {"signer \"a\u202e\" {}", "HCL-05"},
		"HCL-05 JSON":    {`{"signer": {"a": {}}}`, "HCL-05"},
		"HCL-05 giant":   {strings.Repeat("# x\n", 300_000), "HCL-05"},
		"no environment": {"variable \"a\" {}", "Unknown word"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(dir, "p.hcl")
			if err := os.WriteFile(path, []byte(row[0]), 0o644); err != nil {
				t.Fatal(err)
			}
			_, err := LoadTrust(path)
			var d *Diagnostics
			if !errors.As(err, &d) || !strings.Contains(fmt.Sprintf("%+v", d.JSON()), row[1]) {
				t.Errorf("no %q: %v", row[1], err)
			}
		})
	}
}

// What a policy names may stand in it: one file is enough for a host without a network.
func TestAPolicyMayHoldItsFiles(t *testing.T) {
	pub, err := os.ReadFile("testdata/trust/valid/keys/release-2026.pub")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "p.hcl")
	src := "trusted_root = <<E\n{\"mediaType\": \"x\"}\nE\nsigner \"a\" {\n  key = <<E\n" + string(pub) + "E\n}\nimages \"a\" {\n  repositories = [\"docker.io/library/python\"]\n  signed_by = [\"a\"]\n}\n"
	if err := os.WriteFile(path, []byte(src), 0o644); err != nil {
		t.Fatal(err)
	}
	p := loadTrust(t, path)
	if !bytes.Equal(p.Signers[0].Key.Bytes, pub) || p.Signers[0].Key.Path != "" || string(p.Root.Bytes) != "{\"mediaType\": \"x\"}\n" {
		t.Errorf("%+v", p)
	}
	if p.Rules[0].Repositories[0] != "index.docker.io/library/python" {
		t.Error(p.Rules[0].Repositories)
	}
}

func TestEveryBlockOfTheTrustPolicyPageLoads(t *testing.T) {
	text, err := os.ReadFile("../docs/trust-policy.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?s)```hcl\\n(.*?)```").FindAllSubmatch(text, -1)
	if len(blocks) < 3 {
		t.Fatalf("the page has %d blocks of HCL", len(blocks))
	}
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS("testdata/trust/valid")); err != nil { // the files that the page's policies name
		t.Fatal(err)
	}
	for i, b := range blocks {
		path := filepath.Join(dir, fmt.Sprintf("%d.hcl", i))
		if err := os.WriteFile(path, b[1], 0o644); err != nil {
			t.Fatal(err)
		}
		_, err := LoadTrust(path)
		if bytes.HasPrefix(b[1], []byte("issued")) {
			_, err = ParseDenied(path, b[1])
		}
		if err != nil {
			t.Errorf("block %d: %v\n%s", i+1, err, b[1])
		}
	}
}

func FuzzTrustPolicy(f *testing.F) {
	for _, kind := range []string{"valid", "error"} {
		paths, _ := filepath.Glob("testdata/trust/" + kind + "/*.hcl")
		for _, p := range paths {
			src, err := os.ReadFile(p)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(src)
		}
	}
	dir := f.TempDir()
	if err := os.CopyFS(dir, os.DirFS("testdata/trust/valid")); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		path := filepath.Join(dir, "fuzzed.hcl")
		if d, err := ParseDenied(path, src); err == nil && (d.Issued.IsZero() || d.Until.IsZero()) {
			t.Fatal("a deny list without a date was accepted")
		}
		p, err := parseTrust(path, src)
		if err != nil {
			return
		}
		for _, r := range p.Rules {
			if len(r.SignedBy) == 0 || len(r.Repositories) == 0 || r.Signatures < 1 {
				t.Fatalf("a rule that asks for nobody was accepted: %+v", r)
			}
		}
		for _, s := range p.Signers {
			if s.Key == nil && (s.Identity.Text == "" || s.Issuer == "") {
				t.Fatalf("a signer that is nobody was accepted: %+v", s)
			}
			if s.Identity.Fits("stranger@forge-canary.example") && !strings.Contains(s.Identity.Text, "forge-canary") {
				t.Fatalf("an identity that fits anybody was accepted: %+v", s)
			}
		}
	})
}
