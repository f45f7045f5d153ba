package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A build that ends before it can say what is in its image leaves nothing beside it that was
// said of the image before.
func TestNothingIsSaidOfAnotherImage(t *testing.T) {
	n := newInternet(t)
	n.recipe("")
	n.must("lock", "-q", "recipe.hcl")
	n.must("build", "-q", "--builder", "none", "recipe.hcl")
	before := n.said()
	if len(before) < 4 {
		t.Fatalf("beside the image lie only %q", before)
	}
	n.recipe(`  labels = { "org.example" = "another" }`)
	n.must("lock", "-q", "recipe.hcl")
	n.set("TMPDIR=" + n.path("missing"))
	n.refused(n.run("build", "-q", "--builder", "none", "recipe.hcl"), exitFailure, "missing")
	if left := n.said(); len(left) > 0 {
		t.Errorf("beside the new image lie %q, which are about the one before", left)
	}
}

// said are the files that lie beside the layouts.
func (n *internet) said() (list []string) {
	n.t.Helper()
	entries, err := os.ReadDir(n.path("dist"))
	if err != nil {
		n.t.Fatal(err)
	}
	for _, e := range entries {
		if name := filepath.Base(e.Name()); !e.IsDir() && !strings.HasPrefix(name, ".") {
			list = append(list, name)
		}
	}
	return list
}
