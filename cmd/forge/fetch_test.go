package main

import (
	"os"
	"testing"
)

// A folder that lacks files is completed once: all of them are named, and what it has is taken.
func TestAFolderThatLacksFilesIsToldOfAll(t *testing.T) {
	n := newInternet(t)
	alpha, beta, gamma := distOf("alpha", "1.0"), distOf("beta", "1.0"), distOf("gamma", "1.0")
	n.recipe(`  python { requirements = ["alpha", "beta", "gamma"] }`)
	n.host("pypi.test", shelf(map[string]string{"alpha": page("alpha", alpha.row()), "beta": page("beta", beta.row()), "gamma": page("gamma", gamma.row())}))
	n.host("files.test", files(alpha, beta, gamma))
	n.must("lock", "-q", "recipe.hcl")
	n.must("fetch", "-q", "--to", "bundle", "recipe.hcl")
	for _, name := range []string{"alpha", "gamma"} {
		if err := os.Remove(n.path("bundle/" + name + "-1.0-py3-none-any.whl")); err != nil {
			t.Fatal(err)
		}
	}
	n.set("FORGE_CACHE=" + n.path("another"))
	before := len(n.asked(""))
	s := n.run("fetch", "-q", "--from", "bundle", "recipe.hcl")
	n.refused(s, exitFailure, `taking the locked files from "bundle": offline, and missing 2 files: alpha-1.0-py3-none-any.whl (`)
	n.refused(s, exitFailure, "gamma-1.0-py3-none-any.whl (")
	if now := n.asked(""); len(now) != before {
		t.Errorf("it asked %v", now[before:])
	}
}
