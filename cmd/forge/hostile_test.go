//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// chain writes n locals, each made of the one before.
func chain(first string, n int, next string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "locals {\n a0 = %s\n", first)
	for i := range n {
		fmt.Fprintf(&b, " a%d = %s\n", i+1, strings.ReplaceAll(next, "PREV", fmt.Sprintf("local.a%d", i)))
	}
	fmt.Fprintf(&b, "}\nimage \"a\" { workdir = \"${local.a%d}\" }\n", n)
	return b.String()
}

// lines writes n lines, %d being the number of each.
func lines(before, line string, n int, after string) string {
	var b strings.Builder
	b.WriteString(before)
	for i := range n {
		fmt.Fprintf(&b, line, i)
	}
	return b.String() + after
}

// Every recipe here ends the real program with exit code 2 within two seconds and 256 MB.
func TestHostileRecipesEndTheProgramInTime(t *testing.T) {
	t.Setenv("FORGE_CACHE", filepath.Join(t.TempDir(), "cache"))
	dir := t.TempDir()
	for name, n := range map[string]int{"big.txt": 1 << 20, "some.txt": 8000} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(strings.Repeat("a", n)), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o600), os.Symlink("/dev/zero", filepath.Join(dir, "zero"))); err != nil {
		t.Fatal(err)
	}
	sparse, err := os.Create(filepath.Join(dir, "sparse"))
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(sparse.Truncate(10<<30), sparse.Close()); err != nil {
		t.Fatal(err)
	}
	rep := strings.Repeat
	image := func(value string) string { return "image \"a\" {\n  workdir = " + value + "\n}\n" }
	locals := func(s ...string) string {
		return "locals {\n" + strings.Join(s, "\n") + "\n}\nimage \"a\" { workdir = \"${local.z}\" }\n"
	}
	for _, row := range []struct{ name, src, want string }{
		{"HCL-01 brackets whose ends stand in comments", image(rep("[/*]*/", 60_000)), "HCL-01"},
		{"HCL-01 brackets whose ends stand in strings", image(rep("[\"]\",", 60_000)), "HCL-01"},
		{"HCL-01 conditions on lines of their own", image("(" + rep("true ?\n\"x\" :\n", 16_000) + "\"x\")"), "HCL-01"},
		{"HCL-01 negations on lines of their own", image("(" + rep("!\n!/**/", 30_000) + "true)"), "HCL-01"},
		{"HCL-01 comparisons in a row", image(rep("1==", 60_000) + "1"), "HCL-01"},
		{"HCL-01 index after index", "locals { a = [0] }\n" + image("local.a"+rep("[local.a[0]]", 16_000)), "HCL-01"},
		{"HCL-01 template conditions", image(`"` + rep("%{ if true }", 20_000) + `"`), "HCL-01"},
		{"HCL-01 heredocs", image(lines("", "<<E%d\n${", 20_000, "")), "HCL-01"},
		{"HCL-01 blocks", rep("a {\n", 100_000), "HCL-01"},
		{"HCL-02 a number in a text", locals(`z = "1e100000000" + 1`), "HCL-02"},
		{"HCL-02 a million digits in a text", locals(`z = "` + rep("9", 900_000) + `" * 1`), "HCL-02"},
		{"HCL-02 a number in a text where a number is due", "image \"a\" { ports = [\"1e100000000\"] }", "HCL-02"},
		{"HCL-02 a number in a text as a key", locals(`a = ["x"]`, `z = local.a["1e100000000"]`), "HCL-02"},
		{"HCL-02 a computed number in a text as a key", locals(`a = ["x"]`, `z = local.a[join("", ["1e", "100000000"])]`), "HCL-02"},
		{"HCL-02 squares", chain("1e30", 30, "PREV * PREV"), "HCL-02"},
		{"HCL-02 widths", locals(`z = format("` + rep("%999s", 3000) + `")`), ""},
		{"HCL-03 a text doubled without a function", chain(`"xxxxxxxx"`, 40, `"${PREV}${PREV}"`), "HCL-03"},
		{"HCL-03 a list doubled without a function", chain(`["x"]`, 400, `[PREV, PREV]`), "HCL-03"},
		{"HCL-03 a large text named ten thousand times", locals(`a = file("big.txt")`, `z = "`+rep("${local.a}", 10_000)+`"`), "HCL-03"},
		{"HCL-03 one argument shown ten thousand times", locals(`a = file("big.txt")`, `z = format("`+rep("%[1]s", 1_900)+`", local.a)`), "HCL-03"},
		{"HCL-03 a large text kept ten thousand times", lines("locals {\n a = file(\"big.txt\")\n", " b%d = \"${local.a}x\"\n", 10_000, "}\nimage \"a\" {}\n"), "HCL-03"},
		{"HCL-03 replaced nine thousand times", lines("locals {\n a = file(\"some.txt\")\n", " b%d = replace(local.a, \"a\", local.a)\n", 9_000, "}\nimage \"a\" {}\n"), "HCL-03"},
		{"HCL-03 encoded nine thousand times", lines("locals {\n a = file(\"some.txt\")\n", " b%d = jsonencode([local.a])\n", 9_000, "}\nimage \"a\" {}\n"), "HCL-03"},
		{"HCL-03 split into letters", locals(`a = file("big.txt")`, `z = join("", split("", local.a))`), "HCL-03"},
		{"HCL-03 splats of splats", locals("a = ["+rep("1,", 30_000)+"]", "z = local.a"+rep("[*]", 400)), "HCL-03"},
		{"HCL-03 large lists compared", strings.Replace(chain(`["x"]`, 14, `[PREV, PREV]`), "workdir = \"${local.a14}\"", "workdir = "+rep("local.a14 == ", 150)+"1", 1), "HCL-03"},
		{"HCL-04 a pipe", locals(`z = file("pipe")`), "HCL-04"},
		{"HCL-04 an endless device", locals(`z = file("zero")`), "HCL-04"},
		{"HCL-04 ten gigabytes of nothing", locals(`z = file("sparse")`), "HCL-04"},
		{"HCL-04 a NUL in a name", locals(`z = file("a\u0000b")`), "HCL-04"},
		{"HCL-05 forty thousand locals", lines("locals {\n", "a%d = 1\n", 40_000, "}\nimage \"a\" { nonsense = 1 }\n"), "Unknown word"},
		{"HCL-05 twenty thousand locals, the last first", "locals {\n a20000 = 1\n" + backwards(20_000) + "}\nimage \"a\" { nonsense = 1 }\n", "Unknown word"},
		{"HCL-05 forty thousand unknown words", lines("image \"a\" {\n", "w%d = 1\n", 40_000, "}\n"), "more mistakes are not shown"},
		{"HCL-05 forty thousand unknown blocks", lines("", "w%d {}\n", 40_000, ""), "more mistakes are not shown"},
		{"HCL-05 a million signs", rep(",", 1_000_000), "HCL-05"},
		{"HCL-05 a million lines", rep("\n", 1_000_000), "HCL-05"},
		{"HCL-05 half a million words", rep("a ", 500_000), "HCL-05"},
		{"HCL-05 a text of ninety thousand pieces", image(`"` + rep("%x", 90_000) + `"`), "HCL-05"},
		{"HCL-05 a word of a megabyte", "image \"a\" { " + rep("x", 1_000_000) + " = 1 }\n", "Unknown word"},
		{"CLI-04 a terminal escape", "image \"a\" { workdir = \"\x1b[2J\" }\n", "HCL-05"},
		{"CLI-04 a terminal escape in C1", "image \"a\" { workdir = \"\u009b2J\" }\n", "HCL-05"},
	} {
		t.Run(row.name, func(t *testing.T) {
			path := filepath.Join(dir, "recipe.hcl")
			if err := os.WriteFile(path, []byte(row.src), 0o644); err != nil {
				t.Fatal(err)
			}
			end(t, row.want, "plan", path)
		})
	}
	t.Run("HCL-04 the recipe is a pipe", func(t *testing.T) { end(t, "Recipe cannot be read", "plan", filepath.Join(dir, "pipe")) })
	t.Run("HCL-04 the recipe is endless", func(t *testing.T) { end(t, "Recipe cannot be read", "plan", filepath.Join(dir, "zero")) })
	t.Run("HCL-05 one line of a hundred megabytes", func(t *testing.T) {
		path := filepath.Join(dir, "line.hcl")
		f, err := os.Create(path)
		if err != nil {
			t.Fatal(err)
		}
		for range 100 { // what this process holds would count as the child's
			_, err = f.WriteString(rep("a", 1<<20))
			if err != nil {
				t.Fatal(err)
			}
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		end(t, "HCL-05: the file has more than 1048576 bytes", "plan", path)
	})
	t.Run("CLI-02 the lock is a pipe", func(t *testing.T) {
		path := filepath.Join(dir, "piped.hcl")
		if err := errors.Join(os.WriteFile(path, []byte("image \"a\" {}\n"), 0o644), syscall.Mkfifo(filepath.Join(dir, "piped.lock.json"), 0o600)); err != nil {
			t.Fatal(err)
		}
		end(t, "not a regular file", "plan", path)
	})
}

// backwards writes n locals, each made of the one after it.
func backwards(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "a%d = local.a%d\n", i, i+1)
	}
	return b.String()
}

// end runs forge and demands exit code 2, the words, two seconds of its own time, 256 MB, and
// no raw control character.
func end(t *testing.T, words string, args ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, forge(t), args...)
	cmd.WaitDelay = time.Second
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != exitRecipe {
		t.Fatalf("%v, want exit code 2: %.300s", err, out)
	}
	usage := exit.SysUsage().(*syscall.Rusage)
	if took := exit.UserTime() + exit.SystemTime(); took > 2*time.Second {
		t.Errorf("it took %v", took)
	}
	if usage.Maxrss > 256<<10 {
		t.Errorf("it took %d MB", usage.Maxrss>>10)
	}
	if !strings.Contains(string(out), words) {
		t.Errorf("no %q in %.300q", words, out)
	}
	if len(out) > 1<<20 {
		t.Errorf("it printed %d bytes", len(out))
	}
	for _, r := range string(out) {
		if r < ' ' && r != '\n' && r != '\t' || r >= 0x7f && r < 0xa0 {
			t.Fatalf("raw %q in the output", r)
		}
	}
}
