package main

import (
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

// A lock that somebody edited is refused although all that it names is in the store, and no
// image is written. What can be had of it again is: forge lock mends it.
func TestALockThatWasEdited(t *testing.T) {
	n := newInternet(t)
	runtime, alpha := distOf("nvidia_cuda_runtime_cu12", "12.8.90"), distOf("alpha", "1.0")
	n.recipe(`  python { requirements = ["alpha", "nvidia-cuda-runtime-cu12"] }`)
	n.host("pypi.test", shelf(map[string]string{"alpha": page("alpha", alpha.row()), "nvidia-cuda-runtime-cu12": page("nvidia-cuda-runtime-cu12", runtime.row())}))
	n.host("files.test", files(runtime, alpha))
	n.must("lock", "-q", "recipe.hcl")
	n.must("build", "-q", "--builder", "none", "recipe.hcl")
	good := n.lock()
	size := len(alpha.content)
	for _, row := range []struct {
		old, new string
		code     int
		words    string
	}{
		{fmt.Sprintf(`"size": %d`, size), fmt.Sprintf(`"size": %d`, size+1), exitRecipe, fmt.Sprintf("alpha-1.0-py3-none-any.whl: IDX-01: size is %d bytes, lock says %d for the same sha256\nhint: forge lock writes it anew\n", size, size+1)},
		{`"driver": "525.60.13"`, `"driver": "1.0"`, exitRecipe, `the lock states driver "1.0", and what it locks makes it "525.60.13"`},
		{`"cuda": "12.8"`, `"cuda": "12.6"`, exitRecipe, `the lock states CUDA "12.6", and what it locks makes it "12.8"`},
		{`"name": "alpha"`, `"name": "alhpa"`, exitRecipe, ""},
		{`"version": "1.0"`, `"version": "1.1"`, exitFailure, "alpha 1.0, the lock states alpha 1.1"},
		{`"diffID": "sha256:`, `"diffID": "sha256:0000`, exitRecipe, "is no digest and size"},
		{`"format": 1`, `"format": 99`, exitRecipe, "this forge writes 1\nhint: the forge that wrote it reads it; without it (rm recipe.lock.json) forge lock chooses everything anew\n"},
		{`"layers": 1,`, `"layers": 99,`, exitRecipe, "hint: forge lock recipe.hcl keeps every choice and makes only the layers anew\n"},
		{`"unpacked": `, `"unpacked": 1`, exitRecipe, ""},
	} {
		edited := strings.Replace(good, row.old, row.new, 1)
		n.write("recipe.lock.json", edited)
		if err := os.RemoveAll(n.path("dist")); err != nil {
			t.Fatal(err)
		}
		if edited == good {
			t.Fatalf("the lock has no %s:\n%s", row.old, good)
		}
		n.refused(n.run("build", "-q", "--builder", "none", "recipe.hcl"), row.code, row.words)
		if _, err := os.Stat(n.path("dist/a")); err == nil {
			t.Errorf("%s: an image is there", row.new)
		}
	}
	n.write("recipe.lock.json", strings.Replace(good, `"format": 1`, `"format": 99`, 1))
	n.refused(n.run("lock", "-q", "recipe.hcl"), exitRecipe, "(rm recipe.lock.json)")
	n.write("recipe.lock.json", strings.Replace(good, `"layers": 1,`, `"layers": 99,`, 1))
	n.must("lock", "-q", "recipe.hcl")
	n.write("recipe.lock.json", strings.Replace(good, fmt.Sprintf(`"size": %d`, size), fmt.Sprintf(`"size": %d`, size+1), 1))
	n.refused(n.run("fetch", "-q", "recipe.hcl"), exitRecipe, "for the same sha256")
	n.refused(n.run("lock", "-q", "--check", "recipe.hcl"), exitRecipe, fmt.Sprintf(": %d → %d", size+1, size))
	n.must("lock", "-q", "recipe.hcl")
	if !strings.Contains(n.lock(), fmt.Sprintf(`"size": %d`, size)) {
		t.Errorf("forge lock has not mended the lock:\n%s", n.lock())
	}
	n.must("build", "-q", "--builder", "none", "recipe.hcl")
}

// The command that a hint shows for a lock that is missing or does not fit works as it is typed:
// it has the variables and the image, and repeats no secret.
func TestTheHintOfAStaleLockWorksAsItIsTyped(t *testing.T) {
	n := newInternet(t)
	alpha := distOf("alpha", "1.0")
	n.host("pypi.test", shelf(map[string]string{"alpha": page("alpha", alpha.row())}))
	n.host("files.test", files(alpha))
	n.write("my recipe.hcl", `variable "need" {}
variable "note" { default = "" }
variable "token" { default = "" }
image "a" {
  python { requirements = [var.need] }
  base "image" { from = "BASE" }
}
image "b" {
  python { requirements = ["nowhere"] }
  base "image" { from = "BASE" }
}
`)
	plain := tarOf(python())
	raw, err := os.ReadFile(n.path("my recipe.hcl"))
	if err != nil {
		t.Fatal(err)
	}
	n.write("my recipe.hcl", strings.ReplaceAll(string(raw), "BASE", n.layout(baseWith(plain, gzipOf(plain, nil)))))
	hint := func(s said) string {
		t.Helper()
		n.refused(s, exitRecipe, "hint: ")
		m := regexp.MustCompile(`(?m)^hint: forge (lock .*?)( writes it.*)?$`).FindStringSubmatch(s.err)
		if m == nil {
			t.Fatalf("no command in the hint:\n%s", s.err)
		}
		return m[1]
	}
	typed := func(command string) {
		t.Helper()
		c := exec.CommandContext(t.Context(), "sh", "-c", "exec \"$FORGE\" -q "+command)
		c.Dir, c.Env = n.dir, append(n.env, "FORGE="+forge(t))
		if out, err := c.CombinedOutput(); err != nil {
			t.Fatalf("forge %s: %v\n%s", command, err, out)
		}
	}
	args := []string{"-q", "--builder", "none", "--var", "need=alpha>=0.5", "--var", "note=it's", "--image", "a", "my recipe.hcl"}
	first := hint(n.run(append([]string{"build"}, args...)...))
	if want := `lock --var 'need=alpha>=0.5' --var 'note=it'\''s' --image a 'my recipe.hcl'`; first != want {
		t.Errorf("%s, want %s", first, want)
	}
	typed(first)
	n.must(append([]string{"build"}, args...)...)
	// Another value: the lock does not fit, and each command says so in the same way.
	args[4] = "need=alpha>=0.7"
	for _, command := range [][]string{append([]string{"build"}, args...), {"fetch", "--var", "need=alpha>=0.7", "--image", "a", "my recipe.hcl"}, {"plan", "--var=need=alpha>=0.7", "--image=a", "my recipe.hcl"}} {
		if got := hint(n.run(command...)); !strings.HasPrefix(got, "lock --var 'need=alpha>=0.7' ") || !strings.HasSuffix(got, " --image a 'my recipe.hcl'") {
			t.Errorf("forge %s: %s", strings.Join(command, " "), got)
		}
	}
	typed(hint(n.run(append([]string{"build"}, args...)...)))
	n.must(append([]string{"build"}, args...)...)
	if got := hint(n.run("plan", "--var", "need=alpha", "--var", "token=opensesame", "--image", "a", "my recipe.hcl")); !strings.Contains(got, "'token=(hidden)'") {
		t.Errorf("the hint is %s", got)
	}
}
