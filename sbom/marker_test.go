package sbom

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestMarkers(t *testing.T) {
	env := environmentOf("amd64", "3.13.5")
	for marker, want := range map[string]bool{
		"":                                true,
		"python_version >= '3.9'":         true,
		"python_version < \"3.10\"":       false,
		"'3.9' <= python_version":         true,
		"python_full_version == '3.13.*'": true,
		"python_version ~= '3.12'":        true,
		"python_version ~= '3.12.1'":      false,
		"sys_platform == 'win32' or platform_machine == 'x86_64'":                           true,
		"sys_platform == 'linux' and (os_name == 'nt' or implementation_name == 'cpython')": true,
		"platform_system == 'Linux' and platform_machine not in 'aarch64 arm64'":            true,
		"extra == 'opt-einsum'":                      true,
		"extra == 'tests' and python_version > '3'":  false,
		"os.name=='posix'":                           true,
		"platform_python_implementation != \"PyPy\"": true,
		"implementation_version >= '3.13.0rc1'":      true,
	} {
		got, err := env.holds(marker, []string{"opt_einsum"})
		if err != nil || got != want {
			t.Errorf("%s: %v, %v; should be %v", marker, got, err, want)
		}
	}
	for _, bad := range []string{"python_version", "python_version >=", "x == '1'", "'a' == 'b", "(os_name == 'nt'", "os_name == 'nt' os_name == 'nt'", "extra > 'a'", strings.Repeat("(", 100) + "os_name == 'a'", "not os_name", "os_name not 'a'", "'a' ~= 'b'"} {
		if v, err := env.holds(bad, nil); err == nil {
			t.Errorf("%s is taken, and %v", bad, v)
		}
	}
}

func TestRequirements(t *testing.T) {
	for s, want := range map[string]requirement{
		"Jinja2":         {name: "jinja2"},
		"jaraco.text>=3": {name: "jaraco-text"},
		"requests [security,tests] >= 2.8.1, == 2.8.* ; python_version < \"2.7\"": {name: "requests", extras: []string{"security", "tests"}, marker: ` python_version < "2.7"`},
		"pip @ https://x.test/pip-1;2.zip ; os_name == 'nt'":                      {name: "pip", marker: ` os_name == 'nt'`},
		"A_b (>=1)": {name: "a-b"},
	} {
		got, err := parseRequirement(s)
		if err != nil {
			t.Fatalf("%s: %v", s, err)
		}
		if d := cmp.Diff(want, got, cmp.AllowUnexported(requirement{})); d != "" {
			t.Errorf("%s: %s", s, d)
		}
	}
	for _, bad := range []string{"", ">=1", "a[b", strings.Repeat("a", maxRequirement+1)} {
		if r, err := parseRequirement(bad); err == nil {
			t.Errorf("%.20q is taken: %+v", bad, r)
		}
	}
}

// No fuzz target: instrumenting this package means all of Syft, which takes minutes to compile.
func TestMarkersOfAnyForm(t *testing.T) {
	words := []string{"a", "Z-._", "[", "]", ",", "b", ";", " ;", "@", "python_version", "extra", "os_name", "'3'", "\"x\"", "'", "==", ">=", "~=", "<", "in", "not", "and", "or", "(", ")", " ", "\x00", "é", ".*", "3.12"}
	env, r := environmentOf("arm64", "3.12.1"), rand.New(rand.NewPCG(1, 2))
	taken := 0
	for range 50_000 {
		var b strings.Builder
		for range r.IntN(14) {
			b.WriteString(words[r.IntN(len(words))])
		}
		req, err := parseRequirement(b.String())
		if err != nil {
			continue
		}
		if req.name == "" || strings.ContainsAny(req.name, "_./\x00 ") {
			t.Fatalf("%q has name %q", b.String(), req.name)
		}
		if _, err := env.holds(req.marker, req.extras); err == nil && req.marker != "" {
			taken++
		}
	}
	if taken == 0 {
		t.Error("no marker is sound: the test tests nothing")
	}
}

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
