package builder

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/forge-build/forge/builder/fetch"
	"github.com/forge-build/forge/builder/store"
	"github.com/forge-build/forge/recipes"
)

func TestCheckBuildsFromNothingAndExplains(t *testing.T) {
	for _, row := range []struct {
		name   string
		change func(dir string) error // before the second build from nothing
		want   string
	}{
		{"nothing", func(string) error { return nil }, ""},
		{"content", func(dir string) error {
			return os.WriteFile(filepath.Join(dir, "app", "data.txt"), []byte("atad\n"), 0o600)
		},
			`layer 3 (copy app to /app): "app/data.txt": its sha256 is `},
		{"mode", func(dir string) error { return os.Chmod(filepath.Join(dir, "app", "data.txt"), 0o700) }, `"app/data.txt": its mode is 0644, then 0755`},
		{"a file more", func(dir string) error { return os.WriteFile(filepath.Join(dir, "app", "z"), nil, 0o600) }, `"app/z" is not there, then it is`},
		{"a file less", func(dir string) error { return os.Remove(filepath.Join(dir, "app", "run.sh")) }, `"app/run.sh" is there, then not`},
	} {
		b, im, li := scratch(t)
		p, err := New(im, li)
		if err != nil {
			t.Fatal(err)
		}
		r, err := b.Build(context.Background(), p)
		if err != nil {
			t.Fatal(err)
		}
		calls := 0
		got, err := b.Check(context.Background(), p, r, func(*store.Store) *fetch.Fetcher {
			if calls++; calls == 2 {
				if err := row.change(b.Dir); err != nil {
					t.Fatal(err)
				}
			}
			return nil
		})
		if err != nil || calls != 2 || (row.want == "") != (got == "") || !strings.Contains(got, row.want) {
			t.Errorf("%s: %q %v after %d builds, want %q", row.name, got, err, calls, row.want)
		}
		if left, _ := filepath.Glob(filepath.Join(filepath.Dir(b.Store.Dir()), ".forge-check-*")); len(left) != 0 {
			t.Errorf("%s: left behind: %v", row.name, left)
		}
	}
	b, im, li := scratch(t)
	one := build(t, b, im, li)
	im.Labels = map[string]string{"team": "ml"}
	b.Output = t.TempDir()
	two := build(t, b, im, li)
	if got, err := Compare(one.Dir, two.Dir); err != nil || got != `config: label team is not there, then "ml"` {
		t.Errorf("%q %v", got, err)
	}
}

func TestThePlanNamesItsSteps(t *testing.T) {
	_, im, li := scratch(t)
	digest := func() string {
		t.Helper()
		p, err := New(im, li)
		if err != nil {
			t.Fatal(err)
		}
		if p.Steps != "" && !strings.Contains(p.Text(), p.Steps) {
			t.Errorf("the text does not name %s:\n%s", p.Steps, p.Text())
		}
		return p.Steps
	}
	if got := digest(); got != "" {
		t.Errorf("without steps: %q", got)
	}
	im.Tests = []recipes.Test{{Name: "a", Command: []string{"true"}, Env: map[string]string{"B": "1", "A": "2"}}}
	first := digest()
	for range 25 {
		if got := digest(); got != first || got == "" {
			t.Fatalf("%s, then %s", first, got)
		}
	}
	im.Tests[0].Command = []string{"false"}
	if digest() == first {
		t.Error("another command has the same digest")
	}
}
