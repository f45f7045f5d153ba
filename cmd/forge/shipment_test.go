package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/forge-build/forge/recipes"
	"github.com/forge-build/forge/signing/signtest"
)

// What goes out as one: images of one repository and the same tags, each for a platform of its own.
func TestImagesForSeveralPlatformsGoOutAsOne(t *testing.T) {
	t.Setenv("DOCKER_CONFIG", t.TempDir())
	dir := t.TempDir()
	private, _ := signtest.Key(t)
	raw, err := os.ReadFile(private)
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "team.key"), raw, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	block := func(name, platform, more string) string {
		return fmt.Sprintf("image %q {\n  platform = %q\n  %s\n}\n", name, platform, strings.ReplaceAll(more, "; ", "\n  "))
	}
	const amd, arm = "linux/amd64", "linux/arm64"
	const there, signed = `repository = "r.example/team/a"; tags = ["1"]`, `; sign { key = "team.key" }`
	for name, row := range map[string]struct {
		recipe string
		only   string
		change func(*publishOptions)
		want   string // names of what goes out as one, or a part of the error
	}{
		"two platforms":       {block("x", arm, there+signed) + block("y", amd, there+signed), "", nil, "y+x"},
		"and another image":   {block("x", arm, there+signed) + block("y", amd, there+signed) + block("z", amd, `repository = "r.example/team/b"; tags = ["1"]`+signed), "", nil, "y+x z"},
		"tags of their own":   {block("x", arm, there+signed) + block("y", amd, `repository = "r.example/team/a"; tags = ["2"]`+signed), "", nil, "x y"},
		"one of them":         {block("x", arm, there+signed) + block("y", amd, there+signed), "x", nil, `it is one image with "y", which is for linux/amd64`},
		"one, with a tag":     {block("x", arm, there+signed) + block("y", amd, there+signed), "x", func(o *publishOptions) { o.tags = []string{"x"} }, "x"},
		"one, elsewhere":      {block("x", arm, there+signed) + block("y", amd, there+signed), "x", func(o *publishOptions) { o.to = "r.example/team/c" }, "x"},
		"by digest":           {block("x", arm, there) + block("y", amd, there), "", func(o *publishOptions) { o.noSign = true }, "y+x"},
		"to one place":        {block("x", arm, "") + block("y", amd, ""), "", func(o *publishOptions) { o.to, o.tags, o.key = "r.example/team/c", []string{"1"}, private }, "y+x"},
		"to one place, twice": {block("x", arm, "") + block("y", arm, ""), "", func(o *publishOptions) { o.to, o.key = "r.example/team/c", private }, "both are for linux/arm64"},
		"a tag for all":       {block("x", arm, there+signed) + block("z", arm, `repository = "r.example/team/b"`+signed), "", func(o *publishOptions) { o.tags = []string{"9"} }, "x z"},
		"two signers":         {block("x", arm, `sign { key = "team.key" }`) + block("y", amd, `sign {; key = "team.key"; legacy_signature = true; }`), "", func(o *publishOptions) { o.to = "r.example/team/c" }, "another signer"},
	} {
		path := filepath.Join(dir, "recipe.hcl")
		if err := os.WriteFile(path, []byte(row.recipe), 0o600); err != nil {
			t.Fatal(err)
		}
		file, err := recipes.Load(path, recipes.Options{})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		images, err := chosen(file, row.only)
		if err != nil {
			t.Fatal(err)
		}
		o := &publishOptions{}
		if row.change != nil {
			row.change(o)
		}
		ships, err := shipments(t.Context(), newTerminal(os.Stdout, os.Stderr), o, file, images)
		if err != nil {
			if !strings.Contains(err.Error(), row.want) || exitCode(err) != exitRecipe {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		var got []string
		for _, s := range ships {
			var names []string
			for _, im := range s.images {
				names = append(names, im.Name)
			}
			got = append(got, strings.Join(names, "+"))
		}
		if d := cmp.Diff(row.want, strings.Join(got, " ")); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
}
