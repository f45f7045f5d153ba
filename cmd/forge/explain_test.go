package main

import (
	"strings"
	"testing"
)

// A file that several wheels bring with the same bytes is explained by all of them, whether
// they share a layer or not; one with other bytes ends the lock.
func TestAFileOfSeveralWheelsIsExplainedByAll(t *testing.T) {
	n := newInternet(t)
	var wheels []dist
	pages := map[string]string{}
	names := []string{"alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "iota"} // more than there are layers of small wheels
	for _, name := range append(names, "omega") {
		module := "a = 1\n"
		if name == "omega" {
			module = "a = 2\n"
		}
		d := distOfFiles(name, "1.0", [][2]string{{"shared/x.py", module}})
		wheels, pages[name] = append(wheels, d), page(name, d.row())
	}
	n.host("pypi.test", shelf(pages))
	n.host("files.test", files(wheels...))
	n.recipe(`  python { requirements = ["` + strings.Join(names, `", "`) + `"] }`)
	n.must("lock", "-q", "recipe.hcl")
	n.must("build", "-q", "--builder", "none", "recipe.hcl")
	said := n.must("explain", "recipe.hcl", "/opt/venv/lib/python3.13/site-packages/shared/x.py").out
	for _, name := range names {
		if !strings.Contains(said, "wheel "+name+" 1.0") {
			t.Errorf("%s is not named:\n%s", name, said)
		}
	}
	n.recipe(`  python { requirements = ["alpha", "omega"] }`)
	n.refused(n.run("lock", "-q", "recipe.hcl"), exitFailure, `"shared/x.py" differs between omega and alpha`)
}
