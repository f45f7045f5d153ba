package requirement

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestMarkers(t *testing.T) {
	env := EnvironmentOf("amd64", "3.13.5")
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
		got, err := env.Holds(marker, []string{"opt_einsum"})
		if err != nil || got != want {
			t.Errorf("%s: %v, %v; should be %v", marker, got, err, want)
		}
	}
	for _, bad := range []string{"python_version", "python_version >=", "x == '1'", "'a' == 'b", "(os_name == 'nt'", "os_name == 'nt' os_name == 'nt'", "extra > 'a'", strings.Repeat("(", 100) + "os_name == 'a'", "not os_name", "os_name not 'a'", "'a' ~= 'b'"} {
		if v, err := env.Holds(bad, nil); err == nil {
			t.Errorf("%s is taken, and %v", bad, v)
		}
	}
}

func TestRequirements(t *testing.T) {
	for s, want := range map[string]Requirement{
		"Jinja2":         {Name: "jinja2"},
		"jaraco.text>=3": {Name: "jaraco-text"},
		"requests [security,tests] >= 2.8.1, == 2.8.* ; python_version < \"2.7\"": {Name: "requests", Extras: []string{"security", "tests"}, Marker: ` python_version < "2.7"`},
		"pip @ https://x.test/pip-1;2.zip ; os_name == 'nt'":                      {Name: "pip", Marker: ` os_name == 'nt'`},
		"A_b (>=1)": {Name: "a-b"},
	} {
		got, err := Parse(s)
		if err != nil {
			t.Fatalf("%s: %v", s, err)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s: %s", s, d)
		}
	}
	for _, bad := range []string{"", ">=1", "a[b", strings.Repeat("a", Max+1)} {
		if r, err := Parse(bad); err == nil {
			t.Errorf("%.20q is taken: %+v", bad, r)
		}
	}
}

func FuzzRequirement(f *testing.F) {
	for _, s := range []string{"requests [security,tests] >= 2.8.1 ; python_version < \"2.7\" and (extra == 'x' or os_name not in 'nt')", "a @ https://x/;y ; 'a' ~= 'b'", "A._-b; python_full_version == '3.13.*'"} {
		f.Add(s)
	}
	env := EnvironmentOf("arm64", "3.12.1")
	f.Fuzz(func(t *testing.T, s string) {
		r, err := Parse(s)
		if err != nil {
			return
		}
		if r.Name == "" || r.Name != Normal(r.Name) || strings.ContainsAny(r.Name, "_./\x00 ") {
			t.Fatalf("%q has name %q", s, r.Name)
		}
		v, err := env.Holds(r.Marker, r.Extras)
		if err != nil && v {
			t.Fatalf("%q holds, and is none: %v", r.Marker, err)
		}
	})
}
