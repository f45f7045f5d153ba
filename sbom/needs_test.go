package sbom

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestOnlyWhatMarkersAskForIsNeeded(t *testing.T) {
	layers := []files{debian(), join(
		wheel("torch", "2.9.1", "Requires-Dist: jinja2", "Requires-Dist: pywin32; sys_platform == 'win32'", "Requires-Dist: old; python_version < '3.9'",
			"Requires-Dist: numpy; extra == 'opt'", "Requires-Dist: fsspec[http]", "Requires-Dist: missing", "Provides-Extra: opt"),
		wheel("jinja2", "3"), wheel("pywin32", "1"), wheel("old", "1"), wheel("numpy", "2"), wheel("fsspec", "1", "Requires-Dist: aiohttp; extra == 'http'", "Requires-Dist: s3; extra == 's3'"),
		wheel("aiohttp", "1"), wheel("s3", "1"))}
	inv := listed(t, layers...)
	id := map[string]string{}
	for _, p := range inv.Packages {
		id[p.ID] = p.Name
	}
	got := map[string][]string{}
	for _, p := range inv.Packages {
		for _, d := range p.DependsOn {
			got[p.Name] = append(got[p.Name], id[d])
		}
	}
	if len(got["torch"]) != 2 || len(got) != 2 || cmp.Diff(got["fsspec"], []string{"aiohttp"}) != "" {
		t.Errorf("edges %v; torch needs jinja2 and fsspec, fsspec needs aiohttp", got)
	}
}

// edges are who needs whom, by name.
func edges(inv *Inventory) map[string][]string {
	id := map[string]string{}
	for _, p := range inv.Packages {
		id[p.ID] = p.Name
	}
	out := map[string][]string{}
	for _, p := range inv.Packages {
		for _, d := range p.DependsOn {
			out[p.Name] = append(out[p.Name], id[d])
		}
	}
	return out
}

func TestExtrasThatTheRecipeAsksForAreNeeded(t *testing.T) {
	im, plan := forged(files{"app/main.py": ""})
	more := join(
		wheel("torch", "2.9.1", "Requires-Dist: jinja2", "Requires-Dist: opt-einsum; extra == 'opt-einsum'", "Requires-Dist: optree; extra == 'optree'", "Provides-Extra: opt-einsum"),
		wheel("jinja2", "3.1.6", "Requires-Dist: babel; extra == 'i18n'"), wheel("opt-einsum", "3"), wheel("optree", "1"), wheel("babel", "2"))
	im.Layers[1] = layerOf(1, more)
	for _, x := range []struct {
		root  string
		lines []string
		want  map[string][]string
	}{
		{"/opt/venv", nil, map[string][]string{"torch": {"jinja2"}}},
		{"/opt/venv", []string{"torch[opt_einsum]>=2"}, map[string][]string{"torch": {"jinja2", "opt-einsum"}}},
		{"/opt/venv", []string{"torch", "Jinja2[i18n]; python_version >= '3.9'", "torch[optree]; sys_platform == 'win32'"}, map[string][]string{"torch": {"jinja2"}, "jinja2": {"babel"}}},
		{"/opt/envs/other", []string{"torch[opt-einsum]"}, map[string][]string{"torch": {"jinja2"}}},
	} {
		plan.Requirements = map[string][]string{x.root: x.lines}
		got := edges(compared(t, im, plan))
		for _, list := range got {
			slices.Sort(list)
		}
		if d := cmp.Diff(x.want, got); d != "" {
			t.Errorf("%s %q: %s", x.root, x.lines, d)
		}
	}
}
