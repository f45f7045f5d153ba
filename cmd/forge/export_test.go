package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/forge-build/forge/recipes"
	"github.com/forge-build/forge/recipes/lock"
	"github.com/forge-build/forge/recipes/requirements"
)

// Each environment has a file of its own, and a team's own wheel is found from where that lies.
func TestEnvironmentsAreExportedBesideEachOther(t *testing.T) {
	dir := t.TempDir()
	sums := []string{strings.Repeat("a", 64), strings.Repeat("b", 64), strings.Repeat("c", 64)}
	li := &lock.Image{Platform: "linux/arm64", Python: lock.Python{Version: "3.13"}, Wheels: []lock.Wheel{
		{Name: "alpha", Version: "1.0", File: "alpha-1.0-py3-none-any.whl", Path: "dist/alpha-1.0-py3-none-any.whl", SHA256: sums[0], Size: 1},
		{Name: "beta", Version: "2.0", File: "beta-2.0-py3-none-any.whl", Index: "default", SHA256: sums[1], Size: 1},
		{Environment: "analysis", Name: "beta", Version: "3.0", File: "beta-3.0-py3-none-any.whl", Index: "default", SHA256: sums[2], Size: 1},
	}}
	im := &recipes.Image{Name: "train", Environments: []recipes.Environment{{Name: "analysis"}, {Name: "empty"}}}
	served := map[string]string{sums[1]: "https://x.test/beta-2.0-py3-none-any.whl", sums[2]: "https://x.test/beta-3.0-py3-none-any.whl"}
	if err := os.Mkdir(filepath.Join(dir, "out"), 0o755); err != nil {
		t.Fatal(err)
	}
	var said bytes.Buffer
	if err := export(&terminal{out: &said, err: &said}, filepath.Join(dir, "out", "pylock.toml"), dir, im, li, served); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]map[string]string{
		"pylock.toml":          {"alpha": sums[0], "beta": sums[1]},
		"pylock.analysis.toml": {"beta": sums[2]},
		"pylock.empty.toml":    {},
	} {
		text, err := os.ReadFile(filepath.Join(dir, "out", name))
		if err != nil {
			t.Error(err)
			continue
		}
		set, err := requirements.Read("pylock.toml", text)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		for n, sum := range want {
			if h := set.Hashes[n]; len(h) != 1 || h[0] != sum {
				t.Errorf("%s: %s has %v", name, n, h)
			}
		}
		if len(set.Hashes) != len(want) || !strings.Contains(string(text), "platform_machine == 'aarch64'") {
			t.Errorf("%s:\n%s", name, text)
		}
		if strings.Contains(string(text), "alpha") && !strings.Contains(string(text), `path = "../dist/alpha-1.0-py3-none-any.whl"`) {
			t.Errorf("%s:\n%s", name, text)
		}
	}
	delete(served, sums[1])
	if err := export(&terminal{out: &said, err: &said}, filepath.Join(dir, "pylock.toml"), dir, im, li, served); err == nil || !strings.Contains(err.Error(), "beta-2.0") {
		t.Errorf("a wheel that nobody serves: %v", err)
	}
}
