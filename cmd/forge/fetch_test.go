package main

import (
	"net/http"
	"os"
	"sync"
	"testing"
	"time"
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

// Files come some at a time: the first waits here until the second is asked for.
func TestFilesAreFetchedSomeAtATime(t *testing.T) {
	n := newInternet(t)
	alpha, beta := distOf("alpha", "1.0"), distOf("beta", "1.0")
	n.recipe(`  python { requirements = ["alpha", "beta"] }`)
	n.host("pypi.test", shelf(map[string]string{"alpha": page("alpha", alpha.row()), "beta": page("beta", beta.row())}))
	n.host("files.test", files(alpha, beta))
	n.must("lock", "-q", "recipe.hcl")
	var once sync.Once
	other := make(chan struct{})
	n.host("files.test", func(w http.ResponseWriter, r *http.Request) {
		first := false
		once.Do(func() { first = true })
		if !first {
			close(other)
		} else {
			select {
			case <-other:
			case <-time.After(10 * time.Second):
				t.Error("the second file was not asked for while the first was on its way")
			}
		}
		files(alpha, beta)(w, r)
	})
	n.set("FORGE_CACHE=" + n.path("another"))
	n.must("fetch", "-q", "recipe.hcl")
}
