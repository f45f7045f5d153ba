package convert

import (
	"fmt"
	"path"
	"strings"

	"github.com/forge-build/forge/builder/wheel"
)

// Rule names files that an image can do without.
type Rule struct {
	Name string
	What string // the files
	Why  string // why they are not needed, and what is lost

	matches func(f wheel.File) bool
}

// Rules are the rules that `slim { drop = […] }` knows, sorted by name. None of them
// removes package metadata (*.dist-info) or a licence.
func Rules() []Rule {
	return []Rule{
		{"build-files", "build_backend.py, setup.py, conftest.py and other parts of a source tree, and folders tests, docs, examples and benchmarks, directly in site-packages",
			"what a project has packed by mistake, which nothing imports; two such files of one name keep distributions apart, as FlashInfer and torch-c-dlpack-ext, which vLLM needs both", buildFiles},
		{"cudnn-adv", "nvidia/cudnn/lib/libcudnn_adv.so*",
			"cuDNN's recurrent networks and attention of its own, 285 MB; torch falls back or fails when a model asks for them", library("libcudnn_adv.so")},
		{"cudnn-precompiled-engines", "nvidia/cudnn/lib/libcudnn_engines_precompiled.so*",
			"cuDNN's precompiled kernels, 547 MB; the runtime-compiled ones remain, slower at their first use, and some convolutions have none", library("libcudnn_engines_precompiled.so")},
		{"cusolver-mg", "nvidia/…/lib/libcusolverMg.so*",
			"cuSOLVER over several GPUs, 161 MB; torch does not link it", library("libcusolverMg.so")},
		{"docs", "share/man, share/doc, share/info of an environment; docs folders of nvidia and torch",
			"manuals that nobody reads inside a container", docs},
		{"headers", "include folders below nvidia, torch and numpy, and installed headers",
			"56 MB that only compilers read; torch.compile for the CPU and C++ extensions need torch/include", headers},
		{"nvrtc-alt", "nvidia/…/lib/libnvrtc*.alt.so*",
			"second builds of the run-time compiler, 110 MB, used only when a program asks for them by name", nvrtcAlt},
		{"static-libraries", "*.a",
			"84 MB that only linkers read", func(f wheel.File) bool { return strings.HasSuffix(f.Path, ".a") }},
		{"tests", "tests folders of large packages (numpy, scipy, pandas, sympy and others; never torch.testing or numpy.testing)",
			"13 MB in the torch stack; no program imports them", tests},
		{"triton-amd", "triton/backends/amd",
			"the compiler's part for AMD GPUs; triton lists its backends at start and does without", func(f wheel.File) bool { return site(f) && under(f.Path, "triton/backends/amd") }},
	}
}

func site(f wheel.File) bool { return f.Target == wheel.PureLib || f.Target == wheel.PlatLib }

// Parts of a source tree that have no business in site-packages.
var strays = map[string]bool{"build_backend.py": true, "conftest.py": true, "hatch_build.py": true, "noxfile.py": true, "setup.py": true, "versioneer.py": true,
	"benchmarks/": true, "docs/": true, "examples/": true, "tests/": true}

func buildFiles(f wheel.File) bool {
	top, _, deep := strings.Cut(f.Path, "/")
	if deep {
		top += "/"
	}
	return site(f) && strays[top]
}

// under says whether p lies below dir.
func under(p, dir string) bool { return strings.HasPrefix(p, dir+"/") }

// library matches a shared library in a lib folder of nvidia, with any suffix to its soname.
func library(name string) func(wheel.File) bool {
	return func(f wheel.File) bool {
		dir, base := path.Split(f.Path)
		return site(f) && under(f.Path, "nvidia") && strings.HasSuffix(dir, "/lib/") && strings.HasPrefix(base, name)
	}
}

func nvrtcAlt(f wheel.File) bool {
	dir, base := path.Split(f.Path)
	return site(f) && under(f.Path, "nvidia") && strings.HasSuffix(dir, "/lib/") && strings.HasPrefix(base, "libnvrtc") && strings.Contains(base, ".alt.so")
}

func headers(f wheel.File) bool {
	if f.Target == wheel.Headers || f.Target == wheel.Data && under(f.Path, "include") {
		return true
	}
	if !site(f) {
		return false
	}
	if under(f.Path, "torch/include") || under(f.Path, "numpy/_core/include") || under(f.Path, "numpy/core/include") {
		return true
	}
	return under(f.Path, "nvidia") && strings.Contains(f.Path, "/include/")
}

// Packages whose tests folders are only tests.
var tested = map[string]bool{
	"fsspec": true, "h5py": true, "jinja2": true, "llvmlite": true, "matplotlib": true, "mpl_toolkits": true, "mpmath": true, "networkx": true,
	"numba": true, "numpy": true, "pandas": true, "pyarrow": true, "scipy": true, "skimage": true, "sklearn": true, "statsmodels": true, "sympy": true,
}

func tests(f wheel.File) bool {
	top, rest, _ := strings.Cut(f.Path, "/")
	return site(f) && tested[top] && strings.Contains("/"+rest, "/tests/")
}

func docs(f wheel.File) bool {
	if f.Target == wheel.Data {
		return under(f.Path, "share/man") || under(f.Path, "share/doc") || under(f.Path, "share/info")
	}
	top, rest, _ := strings.Cut(f.Path, "/")
	return site(f) && (top == "nvidia" || top == "torch") && strings.Contains("/"+rest, "/docs/")
}

// slimmer applies the rules of one recipe.
type slimmer struct {
	rules []Rule
	keep  []string
}

func newSlimmer(drop, keep []string) (slimmer, error) {
	s := slimmer{keep: keep}
	for _, name := range drop {
		found := false
		for _, r := range Rules() {
			if r.Name == name {
				s.rules = append(s.rules, r)
				found = true
			}
		}
		if !found {
			return s, fmt.Errorf("slimming: no rule %q", name)
		}
	}
	for _, k := range keep {
		if !validGlob(k) {
			return s, fmt.Errorf("slimming: %q is not a glob", k)
		}
	}
	return s, nil
}

// removes returns the name of the rule that removes a file, or "".
func (s slimmer) removes(f wheel.File) string {
	if top, _, _ := strings.Cut(f.Path, "/"); site(f) && strings.HasSuffix(top, ".dist-info") {
		return ""
	}
	for _, r := range s.rules {
		if !r.matches(f) {
			continue
		}
		for _, k := range s.keep {
			if matchGlob(k, f.Path) {
				return ""
			}
		}
		return r.Name
	}
	return ""
}

func validGlob(g string) bool {
	for _, part := range strings.Split(g, "/") {
		if _, err := path.Match(part, "x"); err != nil {
			return false
		}
	}
	return g != ""
}

// matchGlob matches a slash path; "**" stands for any number of components.
func matchGlob(glob, p string) bool {
	parts := strings.Split(p, "/")
	// reach[i]: what was read of the glob matches the first i components.
	reach := make([]bool, len(parts)+1)
	reach[0] = true
	for _, g := range strings.Split(glob, "/") {
		next := make([]bool, len(parts)+1)
		for i := range reach {
			switch {
			case g == "**":
				next[i] = reach[i] || i > 0 && next[i-1]
			case i > 0 && reach[i-1]:
				ok, err := path.Match(g, parts[i-1])
				next[i] = err == nil && ok
			}
		}
		reach = next
	}
	return reach[len(parts)]
}
