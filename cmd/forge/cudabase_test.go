package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/forge-build/forge/builder"
)

// onCUDA is a machine whose recipe stands on a base that is laid out as NVIDIA's are, with
// 2 MB where those have gigabytes; and an index that states the metadata of its wheels.
func onCUDA(t *testing.T, requirement string) *internet {
	t.Helper()
	n := newInternet(t)
	torch := []string{"nvidia-cublas-cu12", "nvidia-cuda-runtime-cu12"}
	ds := []dist{distOf("torch", "2.6.0", torch...), distOf("nvidia_cublas_cu12", "12.4.5.8"), distOf("nvidia_cuda_runtime_cu12", "12.4.127"), distOf("nvidia_ml_py", "13.0"),
		distOfFiles("large", "1.0", [][2]string{{"large/lib/libcublas-0123abcd.so.11", strings.Repeat("x", 2<<20)}})}
	pages := map[string]string{}
	for _, d := range ds {
		name := strings.ReplaceAll(d.name, "_", "-")
		pages[name] = page(name, strings.Replace(d.row(), "{", `{"core-metadata": true, `, 1))
	}
	n.host("pypi.test", shelf(pages))
	n.host("files.test", func(w http.ResponseWriter, r *http.Request) {
		for _, d := range ds {
			if r.URL.Path != "/"+d.file()+".metadata" {
				continue
			}
			text := fmt.Sprintf("Metadata-Version: 2.1\nName: %s\nVersion: %s\n", d.name, d.version)
			for _, x := range torch {
				if d.name == "torch" {
					text += "Requires-Dist: " + x + "\n"
				}
			}
			_, _ = io.WriteString(w, text) // the client may have had enough
			return
		}
		files(ds...)(w, r)
	})
	const lib = "usr/local/cuda-12.8/targets/x86_64-linux/lib/"
	n.recipeOn(append(python(), baseFile{name: "usr/local/cuda", link: "/usr/local/cuda-12.8"},
		baseFile{name: lib + "libcudart.so.12.8.90", content: strings.Repeat("r", 5<<20)}, baseFile{name: lib + "libcublas.so.12.8.4.1", content: strings.Repeat("b", 5<<20)}),
		fmt.Sprintf("  python { requirements = [%q] }", requirement))
	return n
}

func TestTwoCUDAUserSpacesEndALock(t *testing.T) {
	const base = "it has the user space of CUDA 12.8, 0.01 GB in /usr/local/cuda-12.8, and the wheels bring that of "
	n := onCUDA(t, "torch")
	n.refused(n.run("lock", "-q", "recipe.hcl"), exitRecipe, base+"CUDA 12.4 to /opt/venv, 0.00 GB compressed, nvidia-cuda-runtime-cu12 12.4.127, nvidia-cublas-cu12 12.4.5.8: CUDA would be in the image twice")
	n.nothingKept()
	for _, l := range n.asked("files.test") {
		if !strings.HasSuffix(l, ".metadata") {
			t.Errorf("gigabytes would have been downloaded first: %s", l)
		}
	}
	n = onCUDA(t, "large")
	n.refused(n.run("lock", "-q", "recipe.hcl"), exitRecipe, base+"CUDA (version not stated) to /opt/venv, 0.00 GB of libraries, large 1.0: ")
}

// What the recipe runs on a base with CUDA may use it: the driver is the base's affair then.
func TestTheDriverFloorOfACUDABase(t *testing.T) {
	n := onCUDA(t, "nvidia-ml-py")
	s := n.must("lock", "recipe.hcl")
	if want := "the base has CUDA 12.8, 10.5 MB in /usr/local/cuda-12.8: the image needs a driver for it"; !strings.Contains(s.err, want) {
		t.Errorf("no %q in:\n%s", want, s.err)
	}
	n.must("build", "-q", "--builder", "none", "recipe.hcl")
	l, err := builder.ReadLayout(n.path("dist/a"))
	if err != nil {
		t.Fatal(err)
	}
	c := l.Config.Config
	if c.Labels["dev.forge.cuda"] != "12.8" || c.Labels["dev.forge.driver.minimum"] != "525.60.13" || !slices.Contains(c.Env, "NVIDIA_REQUIRE_DRIVER=driver>=525.60.13") {
		t.Errorf("%v %v", c.Labels, c.Env)
	}
	for cmd, want := range map[string]string{"explain recipe.hcl driver": "the base image, which has 12.8", "explain recipe.hcl base": "CUDA         12.8", "plan recipe.hcl": "SM unknown",
		"explain recipe.hcl /usr/local/cuda-12.8/targets/x86_64-linux/lib/libcudart.so.12.8.90": "layer        base 1", "explain recipe.hcl /usr/local/cuda": "points to    /usr/local/cuda-12.8",
		"explain recipe.hcl /usr/lib/forge/init": "starts every container", "explain recipe.hcl /etc/passwd": "user forge, 1001", "explain recipe.hcl /cache/home": "writable"} {
		if s := n.must(strings.Fields(cmd)...); !strings.Contains(s.out, want) {
			t.Errorf("%s: no %q in:\n%s", cmd, want, s.out)
		}
	}
	// The lock's word on the base's CUDA is a claim.
	if err := os.WriteFile(n.path("recipe.lock.json"), []byte(strings.ReplaceAll(n.lock(), `"cuda": "12.8"`, `"cuda": "11.8"`)), 0o600); err != nil {
		t.Fatal(err)
	}
	n.refused(n.run("build", "-q", "--builder", "none", "recipe.hcl"), exitRecipe, "what the lock says of the base")
}
