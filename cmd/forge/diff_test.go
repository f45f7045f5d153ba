package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/forge-build/forge/signing/signtest"
)

// An image in a registry is looked up, and compared with a layout and an SBOM, like any other.
func TestAnImageInARegistryIsScannedAndCompared(t *testing.T) {
	w := newWorld(t)
	t.Setenv("FORGE_CACHE", t.TempDir())
	db := vulnerabilityDB(t)
	repo := signtest.Repository(t, w.host, "ml/train")
	signtest.Push(t, repo, "old", withTorch(t, "2.5.1"))
	signtest.Push(t, repo, "new", withTorch(t, "2.10.0"))
	old, now := w.host+"/ml/train:old", w.host+"/ml/train:new"
	if s := runs(t, "scan", "--db", db, old); s.code != 3 || !strings.Contains(s.out, "CVE-2025-32434") {
		t.Errorf("exit %d: %s%s", s.code, s.out, s.err)
	}
	t.Setenv("GITHUB_STEP_SUMMARY", "")
	t.Chdir(t.TempDir())
	expects(t, 0, "nothing found in 1 packages", "scan", "--db", db, "--summary", "github", now)
	if text, err := os.ReadFile("train.summary.md"); err != nil || !strings.Contains(string(text), ":white_check_mark: none found") {
		t.Errorf("%v: %s", err, text)
	}
	layout, sbom := filepath.Join(t.TempDir(), "new"), filepath.Join(t.TempDir(), "bom.json")
	expects(t, 0, "", "copy", now, "oci:"+layout)
	expects(t, 0, "", "sbom", "--format", "cyclonedx-json", "--output", sbom, old)
	for name, args := range map[string][]string{"two of a registry": {old, now}, "a registry's and a layout": {old, layout}, "an SBOM and a layout": {sbom, layout}, "an SBOM and a registry's": {sbom, now}} {
		t.Run(name, func(t *testing.T) {
			s := expects(t, 0, "~ package torch: 2.5.1 → 2.10.0\n", append([]string{"diff"}, args...)...)
			if !strings.Contains(s.out, "findings are not compared") {
				t.Errorf("nobody says that nobody looked: %s", s.out)
			}
			s = expects(t, 0, "- finding GHSA-53q9-r3pm-6pq6 in torch: critical (fixed)\n", append([]string{"diff", "--scan", "--db", db}, args...)...)
			if strings.Contains(s.out, "not compared") {
				t.Error(s.out)
			}
		})
	}
	s := expects(t, 0, `"fixed": [`, "diff", "--json", "--scan", "--db", db, sbom, layout)
	if strings.Contains(s.out, `"shared"`) {
		t.Errorf("an SBOM has no layers: %s", s.out)
	}
	expects(t, 0, "0 of 1 layers are shared", "diff", old, layout)
	expects(t, 2, "both must be locks", "diff", "recipe.hcl", layout)
	expects(t, 1, "404", "scan", "--db", db, w.host+"/ml/none:1")
	expects(t, 2, "a tag or a digest is missing", "scan", "--db", db, w.host+"/ml/train")
	if s := runs(t, "scan", "--db", db, "./none.json"); s.code != 2 || !strings.Contains(s.err, "no such file") {
		t.Errorf("exit %d: %s", s.code, s.err)
	}
}
