package convert

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/forge-build/forge/builder/layer"
	"github.com/forge-build/forge/builder/wheel"
	"github.com/forge-build/forge/recipes/lock"
)

func names(layers []lock.Layer) []string {
	var out []string
	for _, l := range layers {
		out = append(out, fmt.Sprintf("%s: %s %v", l.Kind, l.Name, l.Members))
	}
	return out
}

func TestGroup(t *testing.T) {
	li := &lock.Image{
		Debian: &lock.Debian{Packages: []lock.Deb{{Name: "zlib1g", SHA256: "z"}, {Name: "libc6", SHA256: "c"}}},
		Wheels: []lock.Wheel{
			{Name: "torch", Version: "2.9.1", Size: 900_000_000, SHA256: "t"},
			{Name: "numpy", Version: "2", Size: alone, SHA256: "n"},
			{Name: "jinja2", Version: "3", Size: alone - 1, SHA256: "j"},
			{Name: "pandas", Version: "2", Environment: "analysis", Size: alone, SHA256: "p"},
			{Name: "jinja2", Version: "3", Environment: "analysis", Size: 5, SHA256: "j"},
		},
	}
	want := []string{
		"debian: os [c z]", "wheels: numpy 2 [n]", "wheels: torch 2.9.1 [t]", "wheels: small-" + bucketOf("jinja2") + " [j]",
		"wheels: analysis: pandas 2 [p]", "wheels: analysis: small-" + bucketOf("jinja2") + " [j]",
	}
	if diff := cmp.Diff(want, names(Group(li))); diff != "" {
		t.Error(diff)
	}
	if got := Group(&lock.Image{}); len(got) != 0 {
		t.Error(got)
	}
}

// Another small wheel changes the layer of its bucket alone.
func TestGroupIsStable(t *testing.T) {
	li := &lock.Image{}
	for i := range 50 {
		n := fmt.Sprintf("pkg%02d", i)
		li.Wheels = append(li.Wheels, lock.Wheel{Name: n, SHA256: n, Size: 10})
	}
	before := names(Group(li))
	li.Wheels = append(li.Wheels, lock.Wheel{Name: "another", SHA256: "another", Size: 10})
	after := names(Group(li))
	changed := 0
	for i := range before {
		if before[i] != after[i] {
			changed++
		}
	}
	if len(before) != buckets || len(after) != buckets || changed != 1 {
		t.Errorf("%d layers changed: %v %v", changed, before, after)
	}
}

func TestGroupStaysInTheBudget(t *testing.T) {
	for _, tt := range []struct{ environments, large, small int }{{1, 200, 100}, {15, 3, 20}, {40, 1, 10}, {1, 72, 100}} {
		li := &lock.Image{}
		members := 0
		for e := range tt.environments {
			for i := range tt.large {
				li.Wheels = append(li.Wheels, lock.Wheel{Environment: fmt.Sprintf("e%02d", e), Name: fmt.Sprintf("large%d", i), SHA256: fmt.Sprint(e, "l", i), Size: alone + int64(i)*1e6})
			}
			for i := range tt.small {
				li.Wheels = append(li.Wheels, lock.Wheel{Environment: fmt.Sprintf("e%02d", e), Name: fmt.Sprintf("small%d", i), SHA256: fmt.Sprint(e, "s", i), Size: 10})
			}
		}
		layers := Group(li)
		unique := map[string]bool{}
		for _, l := range layers {
			members += len(l.Members)
			unique[l.Name] = true
		}
		if len(layers) > budget || members != len(li.Wheels) || len(unique) != len(layers) {
			t.Errorf("%+v: %d layers, %d names, %d of %d members", tt, len(layers), len(unique), members, len(li.Wheels))
		}
	}
}

func TestRules(t *testing.T) {
	tests := []struct{ rule, removed, kept string }{
		{"static-libraries", "nvidia/nvshmem/lib/libnvshmem_device.a triton/backends/nvidia/lib/cupti/libcupti_static.a", "x.so x.ab"},
		{"headers", "nvidia/cublas/include/cublas.h nvidia/cu13/include/a/b.h torch/include/ATen/ATen.h numpy/_core/include/numpy/arrayobject.h headers:x.h data:include/x.h",
			"triton/backends/nvidia/include/cuda.h mypkg/include/x.h torch/includes/x.h data:lib/include/x.h"},
		{"tests", "numpy/lib/tests/test_io.py sympy/tests/x.py scipy/linalg/tests/data/x.npz", "numpy/testing/_private/utils.py torch/testing/_internal/common.py mypkg/tests/x.py pytest/tests.py numpy/tests.py"},
		{"cudnn-precompiled-engines", "nvidia/cudnn/lib/libcudnn_engines_precompiled.so.9", "nvidia/cudnn/lib/libcudnn_engines_runtime_compiled.so.9 libcudnn_engines_precompiled.so.9"},
		{"cudnn-adv", "nvidia/cudnn/lib/libcudnn_adv.so.9", "nvidia/cudnn/lib/libcudnn_ops.so.9"},
		{"cusolver-mg", "nvidia/cusolver/lib/libcusolverMg.so.11 nvidia/cu13/lib/libcusolverMg.so.12", "nvidia/cusolver/lib/libcusolver.so.11"},
		{"build-files", "build_backend.py setup.py tests/__init__.py docs/x/y.md", "build_backend/x.py flashinfer/build_backend.py tests.py testing/x.py torch/tests/x.py"},
		{"nvrtc-alt", "nvidia/cuda_nvrtc/lib/libnvrtc.alt.so.12 nvidia/cuda_nvrtc/lib/libnvrtc-builtins.alt.so.12.8", "nvidia/cuda_nvrtc/lib/libnvrtc.so.12 nvidia/cuda_nvrtc/lib/libnvrtc-builtins.so.12.8"},
		{"triton-amd", "triton/backends/amd/compiler.py triton/backends/amd/lib/ockl.bc", "triton/backends/nvidia/compiler.py triton/backends/amd.py"},
		{"docs", "data:share/man/man1/isympy.1 data:share/doc/x nvidia/x/docs/a.md", "data:share/jupyter/x mypkg/docs/x torch/docs.py"},
	}
	if len(tests) != len(Rules()) {
		t.Errorf("%d of %d rules are tested", len(tests), len(Rules()))
	}
	for _, tt := range tests {
		s, err := newSlimmer([]string{tt.rule}, nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, list := range []struct{ paths, want string }{{tt.removed, tt.rule}, {tt.kept + " x-1.dist-info/include/tests/x.a", ""}} {
			for _, p := range strings.Fields(list.paths) {
				f := wheel.File{Target: wheel.PureLib, Path: p}
				if target, rest, ok := strings.Cut(p, ":"); ok {
					f = wheel.File{Target: wheel.Target(target), Path: rest}
				}
				if got := s.removes(f); got != list.want {
					t.Errorf("%s: %s: %q", tt.rule, p, got)
				}
			}
		}
	}
	for i, r := range Rules() {
		if r.What == "" || r.Why == "" || i > 0 && Rules()[i-1].Name >= r.Name {
			t.Errorf("%+v", r)
		}
	}
}

func TestGlobs(t *testing.T) {
	for _, tt := range []struct {
		glob, path string
		want       bool
	}{
		{"nvidia/cuda_runtime/include/**", "nvidia/cuda_runtime/include/cuda.h", true},
		{"nvidia/cuda_runtime/include/**", "nvidia/cuda_runtime/include/a/b/c.h", true},
		{"nvidia/cuda_runtime/include/**", "nvidia/cuda_runtime/lib/x", false},
		{"**/include/*.h", "a/b/include/x.h", true},
		{"**/include/*.h", "include/x.h", true},
		{"**/include/*.h", "include/a/x.h", false},
		{"*.a", "x.a", true},
		{"*.a", "a/x.a", false},
		{"**", "a/b/c", true},
		{"a/**/b/**/c", "a/b/c", true},
		{"a/**/b/**/c", "a/x/y/b/z/c", true},
		{"a/**/b/**/c", "a/x/c", false},
		{"a", "a/b", false},
		{"a/b", "a", false},
		{strings.Repeat("**/a/", 30) + "b", strings.Repeat("a/", 60) + "c", false},
	} {
		if got := matchGlob(tt.glob, tt.path); got != tt.want {
			t.Errorf("%q and %q: %v", tt.glob, tt.path, got)
		}
	}
}

// RECORD stays exact when files are left out, and what was left out is told.
func TestSlim(t *testing.T) {
	b := newBench(t)
	files := append(demo(), file{name: "nvidia/x/include/a.h", content: "aaa"}, file{name: "nvidia/x/include/b.h", content: "bb"}, file{name: "lib.a", content: "a"})
	b.add("demo", "1.0", files...)
	b.o.Slim.Drop = []string{"docs", "headers", "static-libraries"}
	b.o.Slim.Keep = []string{"nvidia/*/include/b.h"}
	made := b.must(b.together())[0]
	const site = "opt/venv/lib/python3.13/site-packages"
	want := []Removed{
		{"opt/venv/include/site/python3.13/demo/demo.h", 13, "headers", "demo"},
		{site + "/lib.a", 1, "static-libraries", "demo"},
		{site + "/nvidia/x/include/a.h", 3, "headers", "demo"},
		{"opt/venv/share/man/man1/demo.1", 3, "docs", "demo"},
	}
	if diff := cmp.Diff(want, made.Removed); diff != "" {
		t.Error(diff)
	}
	_, entries := b.unpack(made.Layer, layer.Zstd)
	checkInstalled(t, entries, site, "demo-1.0.dist-info")
	for _, r := range want {
		if _, ok := entries[r.Path]; ok {
			t.Errorf("%s is still there", r.Path)
		}
	}
	if _, ok := entries[site+"/nvidia/x/include/b.h"]; !ok {
		t.Error("what is kept is gone")
	}
	b.o.Slim.Drop, b.o.Slim.Keep = nil, nil
	if all := b.must(b.together())[0]; all.Layer.DiffID == made.Layer.DiffID || len(all.Removed) != 0 {
		t.Errorf("%+v", all.Removed)
	}
}

func TestELF(t *testing.T) {
	v := newVenv("", "3.13")
	const lib = "opt/venv/lib/python3.13/site-packages/torch/lib/libtorch.so"
	member := func(platform string) []*member {
		return []*member{{wheel: &wheel.Wheel{Name: "torch", File: "torch.whl", Tags: []wheel.Tag{{Python: "cp313", ABI: "cp313", Platform: platform}}}}}
	}
	tests := []struct {
		what string
		elf  layer.ELF
		want []string
		err  bool
		any  bool
	}{
		{what: "ordinary", elf: layer.ELF{Kind: 3, Machine: 62, GLIBC: "2.28", RPath: []string{"$ORIGIN", "$ORIGIN/../../nvidia/cublas/lib", "${ORIGIN}/x"}, Needed: []string{"libc.so.6"}}},
		{what: "leaves", elf: layer.ELF{Kind: 3, Machine: 62, RunPath: []string{"$ORIGIN/../../../../../../../x"}}, want: []string{"medium"}},
		{what: "lands beside", elf: layer.ELF{Kind: 3, Machine: 62, RunPath: []string{"$ORIGIN/../../../../../../venv-evil"}}, want: []string{"medium"}},
		{what: "empty element", elf: layer.ELF{Kind: 3, Machine: 62, RunPath: []string{"$ORIGIN", ""}}, want: []string{"high"}},
		{what: "relative", elf: layer.ELF{Kind: 3, Machine: 62, RPath: []string{"lib"}}, want: []string{"high"}},
		{what: "like the origin", elf: layer.ELF{Kind: 3, Machine: 62, RPath: []string{"$ORIGINAL/x"}}, want: []string{"high"}},
		{what: "writable", elf: layer.ELF{Kind: 3, Machine: 62, RPath: []string{"/tmp/../tmp/x"}}, want: []string{"high"}},
		{what: "absolute", elf: layer.ELF{Kind: 3, Machine: 62, RPath: []string{"/usr/local/cuda/lib64"}}, want: []string{"medium"}},
		{what: "needed by path", elf: layer.ELF{Kind: 3, Machine: 62, Needed: []string{"/lib/x.so"}}, want: []string{"medium"}},
		{what: "text relocations", elf: layer.ELF{Kind: 3, Machine: 62, TextRel: true}, want: []string{"medium"}},
		{what: "executable stack", elf: layer.ELF{Kind: 3, Machine: 62, ExecStack: true}, want: []string{"medium"}},
		{what: "object file", elf: layer.ELF{Kind: 1, Machine: 62, ExecStack: true}},
		{what: "broken", elf: layer.ELF{Broken: "section table cut off"}, want: []string{"low"}},
		{what: "GPU code", elf: layer.ELF{Kind: 2, Machine: 190}},
		{what: "other CPU", elf: layer.ELF{Kind: 3, Machine: 183}, err: true},
		{what: "other CPU in a pure wheel", elf: layer.ELF{Kind: 3, Machine: 183}, any: true, want: []string{"low"}},
		{what: "object file of another CPU", elf: layer.ELF{Kind: 1, Machine: 183}},
	}
	for _, tt := range tests {
		t.Run(tt.what, func(t *testing.T) {
			var made Made
			ix := &layer.Index{Entries: []layer.Entry{{Path: lib, Owner: "wheel:torch", ELF: &tt.elf}, {Path: "opt", Type: layer.Dir}}}
			platform := "manylinux_2_28_x86_64"
			if tt.any {
				platform = "any"
			}
			err := made.readIndex(ix, v, "linux/amd64", member(platform))
			var bad *wheel.Error
			if tt.err != errors.As(err, &bad) || bad != nil && bad.ID != "WHL-07" {
				t.Fatal(err)
			}
			var got []string
			for _, f := range made.Findings {
				if f.ID != "WHL-07" || f.Owner != "torch" || f.Path != lib || f.Reason == "" {
					t.Errorf("%+v", f)
				}
				got = append(got, f.Severity)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" || made.GLIBC != tt.elf.GLIBC {
				t.Errorf("%s %+v", diff, made)
			}
		})
	}
}

// CUTLASS brings stubs for cross-compiling. Whose libraries they are decides, not whose layer.
func TestLibrariesForTwoCPUs(t *testing.T) {
	v := newVenv("", "3.13")
	tags := []wheel.Tag{{Python: "cp313", ABI: "cp313", Platform: "manylinux_2_28_x86_64"}}
	members := []*member{{wheel: &wheel.Wheel{Name: "a", File: "a.whl", Tags: tags}}, {wheel: &wheel.Wheel{Name: "b", File: "b.whl", Tags: tags}}}
	stub := layer.Entry{Path: "opt/a/stubs/lib.so", Owner: "wheel:a", ELF: &layer.ELF{Kind: 3, Machine: 183, GLIBC: "2.99"}}
	for owner, refused := range map[string]bool{"a": false, "b": true} {
		own := layer.Entry{Path: "opt/x/lib.so", Owner: "wheel:" + owner, ELF: &layer.ELF{Kind: 3, Machine: 62, GLIBC: "2.28"}}
		var made Made
		err := made.readIndex(&layer.Index{Entries: []layer.Entry{stub, own}}, v, "linux/amd64", members)
		var bad *wheel.Error
		if errors.As(err, &bad) != refused || refused && (bad.ID != "WHL-07" || bad.Path != "a.whl") {
			t.Errorf("this CPU's library in %s: %v", owner, err)
		}
		if !refused && (made.GLIBC != "2.28" || len(made.Findings) != 1 || made.Findings[0].Path != stub.Path || made.Findings[0].Severity != "low") {
			t.Errorf("%+v", made)
		}
	}
}
