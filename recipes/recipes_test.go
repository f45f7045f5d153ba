package recipes

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/forge-build/forge/recipes/finding"
	"github.com/forge-build/forge/recipes/requirements"
)

func fixtures(t *testing.T, kind string) []string {
	t.Helper()
	found, err := filepath.Glob("testdata/" + kind + "/*.hcl")
	if err != nil || len(found) == 0 {
		t.Fatalf("no fixture in testdata/%s (%v)", kind, err)
	}
	return found
}

func TestValidRecipesLoadAndAreFormatted(t *testing.T) {
	for _, path := range append(fixtures(t, "valid"), "../examples/pytorch-cuda/recipe.hcl", "../examples/pytorch-latest/recipe.hcl", "../examples/cpu-inference/recipe.hcl") {
		if _, err := Load(path, Options{}); err != nil {
			var b bytes.Buffer
			var d *Diagnostics
			if errors.As(err, &d) {
				_ = d.Text(&b, 100, false)
			}
			t.Errorf("%s: %v\n%s", path, err, b.String())
		}
		src, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		once, err := Format(path, src)
		if err != nil {
			t.Fatal(err)
		}
		if again, err := Format(path, once); err != nil || !bytes.Equal(once, again) {
			t.Errorf("%s: formatting twice differs (%v)", path, err)
		}
	}
}

func TestTheCompleteRecipeMeansWhatItSays(t *testing.T) {
	f, err := Load("testdata/valid/complete.hcl", Options{Env: func(n string) (string, bool) { return "r.example/t", n == "FORGE_VAR_registry" }})
	if err != nil {
		t.Fatal(err)
	}
	pandas := RequirementsFile{Path: "requirements.txt", SHA256: "39cc3be92c79ea593de8b278ebcc5a8e08a59200dfda10e44fb25bcf3a32e7d5",
		Set: &requirements.Set{Lines: []string{"pandas>=2"}, Hashes: map[string][]string{}, Elsewhere: map[string]string{}}}
	want := &Image{
		Name: "train", Repository: "r.example/t/train", Tags: []string{"2.9.1-cu128"}, Platform: "linux/amd64",
		PyTorch: &PyTorch{Version: "2.9.1", CUDA: "12.8", GPUs: []string{"8.0", "9.0"}, Driver: "525.60.13"},
		Python: Python{Version: "3.13", Requirements: []string{"numpy>=2", "pandas"}, Files: []RequirementsFile{pandas}, Bytecode: true,
			Indexes: []Index{{Name: "internal", URL: "https://pypi.acme.example/simple", Packages: []string{"acme-*"}}},
			Wheels: []LocalWheel{{Source: "dist/acme_kernels-1.0-cp313-cp313-linux_x86_64.whl", SHA256: "6d4bdeb3a3ee3568250a257d4010dd90017c21f2362e96588b11c2c1a23db688"},
				{Source: "https://files.acme.example/acme_data-2.0-py3-none-any.whl", SHA256: "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"}},
			Accepts: []Accept{{File: "somefile-1.0-py3-none-any.whl", SHA256: "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08", Reason: "the mirror's page is older than the file"}}},
		Debian: &Debian{Suite: "trixie", Packages: []string{"libgomp1"}, Deny: []string{"perl-base"}, Snapshot: "2026-11-01T00:00:00Z",
			Archives: []Archive{{Name: "acme", URL: "https://deb.acme.example", Key: "acme.gpg", Suite: "trixie", Components: []string{"main"}}}},
		Environments: []Environment{{Name: "analysis", Requirements: []string{"polars"}, Files: []RequirementsFile{pandas}}},
		User:         User{Name: "ml", UID: 1001, Groups: []string{"render", "video"}}, Workdir: "/app",
		Entrypoint: []string{"python", "train.py"}, Command: []string{}, Env: map[string]string{"OMP_NUM_THREADS": "8"},
		Labels: map[string]string{"team": "ml-platform"}, Ports: []int{8080}, Writable: []string{"/cache"},
		Start: Start{NoGPU: "cpu", NoDriver: "stop", OldDriver: "warn", NoCode: "stop", Root: "stop"},
		Slim:  Slim{Drop: []string{"cudnn-precompiled-engines", "headers", "static-libraries", "tests"}, Keep: []string{"nvidia/cuda_runtime/include/**"}, Codec: "gzip"},
		Runs: []Run{{Name: "compile tokenizer", Command: []string{"python", "-m", "acme.tokenizer"}, Output: []string{"/app/tokenizer"},
			Env: map[string]string{"TOKENIZERS_PARALLELISM": "false"}}},
		Tests: []Test{{Name: "imports", Command: []string{"python", "-c", "import torch"}}},
		Sign:  &Sign{Identity: "https://github.com/acme/ml/.github/workflows/image.yml@refs/heads/main", Issuer: "https://token.actions.githubusercontent.com"},
		Vulnerabilities: &Vulnerabilities{Limits: finding.Limits{FailOn: finding.High, Unknown: finding.High}, MaxDBAge: 120 * time.Hour,
			VEX: []string{"vex/torch.openvex.json"}, VEXAuthors: []string{"Acme Product Security"},
			Waivers: []finding.Waiver{{ID: "CVE-2025-32434", Package: "torch", Reason: "models are loaded from safetensors only", Owner: "ml-platform",
				Until: "2027-01-31", Place: "complete.hcl:102"}}},
	}
	if d := cmp.Diff(want, f.Images[0]); d != "" {
		t.Error(d)
	}
	if got := f.Images[1].Python.Requirements; cmp.Diff([]string{"onnxruntime>=1"}, got) != "" {
		t.Error(got)
	}
}

// Each mistake stands on its own line. After STACK the detail is compared instead.
func TestEveryMistakeIsReportedAtItsLine(t *testing.T) {
	for _, path := range fixtures(t, "error") {
		src, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var want, got []string
		for i, line := range strings.Split(string(src), "\n") {
			if _, said, ok := strings.Cut(line, "# ERROR: "); ok {
				for _, m := range strings.Split(said, " # ERROR: ") {
					want = append(want, fmt.Sprintf("%d: %s", i+1, m))
				}
			}
		}
		_, err = Load(path, Options{})
		var d *Diagnostics
		if !errors.As(err, &d) {
			t.Errorf("%s: %v", path, err)
			continue
		}
		for _, x := range d.JSON() {
			said := x.Summary
			for _, w := range want {
				if part, ok := strings.CutPrefix(w, fmt.Sprintf("%d: STACK ", x.Line)); ok && strings.Contains(x.Detail, part) {
					said = "STACK " + part
				}
			}
			got = append(got, fmt.Sprintf("%d: %s", x.Line, said))
			if x.Detail == "" {
				t.Errorf("%s:%d: %s says nothing of what would be right", path, x.Line, x.Summary)
			}
		}
		sort.Strings(want)
		sort.Strings(got)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", path, diff)
		}
	}
}

func TestTheTextShowsTheLineAndHidesControlCharacters(t *testing.T) {
	path := filepath.Join(t.TempDir(), "r.hcl")
	if err := os.WriteFile(path, []byte("image \"a\" {\n  platform = \"\\u001b[2J\"\n}\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	_, err := Load(path, Options{})
	var d *Diagnostics
	if !errors.As(err, &d) {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := d.Text(&b, 80, false); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(b.String(), `platform = "\u001b[2J"`) || strings.ContainsRune(b.String(), 0x1b) {
		t.Errorf("%q", b.String())
	}
}

// The inputs are made here; each must end with an error within two seconds and a quarter GB.
func TestHostileRecipesEndWithAnError(t *testing.T) {
	dir := t.TempDir()
	if err := os.Symlink("/etc/passwd", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	deep := func(open, shut string, n int) string {
		return "image \"a\" {\n workdir = " + strings.Repeat(open, n) + "\"x\"" + strings.Repeat(shut, n) + "\n}\n"
	}
	locals := func(lines ...string) string {
		return "locals {\n" + strings.Join(lines, "\n") + "\n}\nimage \"a\" { workdir = local.z }\n"
	}
	double := []string{`a0 = ["x", "x"]`}
	for i := range 40 {
		double = append(double, fmt.Sprintf("a%d = concat(local.a%d, local.a%d)", i+1, i, i))
	}
	many := strings.Builder{}
	for i := range 40_000 {
		fmt.Fprintf(&many, "a%d = 1\n", i)
	}
	for _, row := range []struct{ name, src, want string }{
		{"HCL-01 brackets", deep("[", "]", 100_000), "HCL-01"},
		{"HCL-01 parentheses", deep("(", ")", 100_000), "HCL-01"},
		{"HCL-01 not", deep("!", "", 100_000), "HCL-01"},
		{"HCL-01 minus", deep("-", "", 100_000), "HCL-01"},
		{"HCL-01 templates", deep("\"${", "}\"", 50_000), "HCL-01"},
		{"HCL-01 conditions", "image \"a\" { workdir = " + strings.Repeat("true ? \"x\" : ", 50_000) + "\"x\" }", "HCL-01"},
		{"HCL-01 blocks", strings.Repeat("a {\n", 100_000), "HCL-01"},
		{"HCL-02 exponent", locals(`z = "${1e1000000}"`), "HCL-02"},
		{"HCL-02 large exponent", locals(`z = 1e100000000`), "HCL-02"},
		{"HCL-02 digits", locals("z = " + strings.Repeat("9", 100_000)), "HCL-02"},
		{"HCL-02 division", locals(`z = 1/0`), "Division by zero"},
		{"HCL-02 width", locals(`z = format("%999999999d", 1)`), "HCL-02"},
		{"HCL-02 a width from elsewhere", locals(`z = format("%*d", 999999999, 1)`), "HCL-02"},
		{"HCL-03 loops", locals(`z = [for a in split("", "aaaa") : [for b in split("", "aaaa") : a]]`), "HCL-03"},
		{"HCL-03 template loop", locals(`z = "%{ for a in split("", "aaaa") }${a}%{ endfor }"`), "HCL-03"},
		{"HCL-03 doubling", locals(append(double, "z = join(\"\", local.a40)")...), "HCL-03"},
		{"HCL-03 replace tower", locals(`a = replace(file("x.txt"), "a", file("x.txt"))`, `z = replace(local.a, "a", local.a)`), "HCL-03"},
		{"HCL-04 parent", locals(`z = file("../../etc/passwd")`), "HCL-04"},
		{"HCL-04 absolute", locals(`z = file("/etc/passwd")`), "HCL-04"},
		{"HCL-04 link", locals(`z = file("link")`), "HCL-04"},
		{"HCL-04 folder", locals(`z = file(".")`), "HCL-04"},
		{"HCL-04 clock", locals(`z = timestamp()`), "unknown function"},
		{"HCL-05 BOM", "\xef\xbb\xbfimage \"a\" {}", "HCL-05"},
		{"HCL-05 NUL", "image \"a\x00\" {}", "HCL-05"},
		{"HCL-05 UTF-8", "image \"a\xff\" {}", "HCL-05"},
		{"HCL-05 bidi", "image \"a\u202e\" {}", "HCL-05"},
		{"HCL-05 JSON", `{"image": {"a": {}}}`, "HCL-05"},
		{"HCL-05 giant", strings.Repeat("# x\n", 300_000), "HCL-05"},
		{"HCL-05 attributes", "locals {\n" + many.String() + many.String() + "}\n", ""},
		{"HCL-05 a comment without an end", "image \"a\" {} /* x", "newline"},
		{"HCL-05 an attribute twice", "image \"a\" {\n workdir = \"/a\"\n workdir = \"/b\"\n}\n", "only once"},
		{"HCL-05 an attribute that is a block", "image \"a\" {\n user = \"ml\"\n user {}\n}\n", "Value where a block is due"},
		{"HCL-05 a label twice", "image \"a\" \"a\" {}", "Image without a name"},
		{"HCL-05 a local that needs itself", locals(`z = local.z`), "refers to itself"},
		{"HCL-05 an isolated carriage return", "image \"a\" {}\r# x", ""},
		{"HCL-05 heredoc", "image \"a\" { workdir = <<E\n", ""},
		{"HCL-05 dynamic", "image \"a\" {\n dynamic \"copy\" {}\n}\n", "Unknown word"},
		{"HCL-06 NUL in argv", "image \"a\" { command = [\"a\\u0000b\"] }", "NUL"},
	} {
		t.Run(row.name, func(t *testing.T) {
			path := filepath.Join(dir, "r.hcl")
			if err := errors.Join(os.WriteFile(path, []byte(row.src), 0o644), os.WriteFile(filepath.Join(dir, "x.txt"), bytes.Repeat([]byte("a"), 10_000), 0o644)); err != nil {
				t.Fatal(err)
			}
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			start := time.Now()
			_, err := Load(path, Options{})
			took := time.Since(start)
			runtime.ReadMemStats(&after)
			var d *Diagnostics
			if !errors.As(err, &d) {
				t.Fatalf("it was accepted, or ended otherwise: %v", err)
			}
			text := fmt.Sprintf("%+v", d.JSON())
			if !strings.Contains(strings.ToLower(text), strings.ToLower(row.want)) {
				t.Errorf("no %q in %.300s", row.want, text)
			}
			if took > 10*time.Second {
				t.Errorf("it took %v", took) // two seconds on a machine that does nothing else
			}
			if grown := after.TotalAlloc - before.TotalAlloc; grown > 256<<20 {
				t.Errorf("it allocated %d MB", grown>>20)
			}
		})
	}
}

// HCL-05: each character that turns text around, and none that only looks unusual.
func TestCharactersThatTurnTextAround(t *testing.T) {
	load := func(r rune) error {
		_, err := parse("r.hcl", []byte("# "+string(r)+"\r\nimage \"a\" {}\r\n"), Options{})
		return err
	}
	for _, r := range []rune{0x061c, 0x200e, 0x200f, 0x202a, 0x202b, 0x202c, 0x202d, 0x202e, 0x2066, 0x2067, 0x2068, 0x2069} {
		var d *Diagnostics
		if err := load(r); !errors.As(err, &d) || d.JSON()[0].Line != 1 || !strings.Contains(d.JSON()[0].Detail, fmt.Sprintf("HCL-05: %U", r)) {
			t.Errorf("%U: %v", r, err)
		}
		var b bytes.Buffer
		if d != nil && (d.Text(&b, 80, false) != nil || strings.ContainsRune(b.String(), r)) {
			t.Errorf("%U is shown: %q", r, b.String())
		}
	}
	for _, r := range "éא中🙂" {
		if err := load(r); err != nil {
			t.Errorf("%c: %v", r, err)
		}
	}
}

// Each limit of a recipe: what is at it is taken, what is one past it is refused with the limit.
func TestTheLimitsOfARecipe(t *testing.T) {
	dir := t.TempDir()
	rep := strings.Repeat
	for name, n := range map[string]int{"full": maxFile, "over": maxFile + 1} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(rep("a", n)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	locals := func(line string) string { return "locals {\n" + line + "\n}\nimage \"a\" {}\n" }
	calls := func(n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, "a%d = upper(\"\")\n", i)
		}
		return locals(b.String())
	}
	for _, row := range []struct{ name, at, past, want string }{
		{"HCL-01 brackets", "locals { a = " + rep("[", 199) + rep("]", 199) + "}\nimage \"a\" {}\n", rep("(", 201), "r.hcl:1:201: HCL-01: nested deeper than 200."},
		{"HCL-01 objects", "locals { a = " + rep("{a=", 198) + "{}" + rep("}", 198) + "}\nimage \"a\" {}\n", "locals { a = " + rep("{a=", 200) + "1" + rep("}", 200) + "}\n", "r.hcl:1:611: HCL-01: nested deeper than 200."},
		{"HCL-01 conditions", locals("a = " + rep("true ? 1 : ", 200) + "1"), locals("a = " + rep("true ? 1 : ", 201) + "1"), "HCL-01: nested deeper than 200."},
		{"HCL-02 digits", locals("a = " + rep("9", 30)), locals("a = " + rep("9", 31)), "r.hcl:2:5: HCL-02: a number has at most 30 digits and an exponent of at most 30."},
		{"HCL-02 exponent", locals("a = [1e30, 1e-30, 1e+0030]"), locals("a = 1e31"), "r.hcl:2:5: HCL-02: a number has at most 30 digits and an exponent of at most 30."},
		{"HCL-02 a negative exponent", locals("a = 1e-30"), locals("a = 1e-31"), "HCL-02: a number has at most 30 digits and an exponent of at most 30."},
		{"HCL-02 width", locals(`a = format("%999d", 1)`), locals(`a = format("%1000d", 1)`), "HCL-02: a width or precision has at most three digits"},
		{"HCL-03 steps", calls(10_000), calls(10_001), "HCL-03: evaluation exceeded 10000 steps"},
		{"HCL-04 a file", locals(`a = file("full")`), locals(`a = file("over")`), `HCL-04: "over" has more than 1048576 bytes`},
		{"HCL-05 bytes", locals("#" + rep("x", MaxBytes-len(locals("#")))), locals("#" + rep("x", MaxBytes+1-len(locals("#")))), "HCL-05: the file has more than 1048576 bytes."},
	} {
		t.Run(row.name, func(t *testing.T) {
			load := func(src string) error {
				path := filepath.Join(dir, "r.hcl")
				if err := os.WriteFile(path, []byte(src), 0o600); err != nil {
					t.Fatal(err)
				}
				_, err := Load(path, Options{})
				return err
			}
			if err := load(row.at); err != nil {
				t.Errorf("at the limit: %.300v", err)
			}
			err := load(row.past)
			var d *Diagnostics
			if !errors.As(err, &d) {
				t.Fatalf("past the limit: %v", err)
			}
			said := fmt.Sprintf("r.hcl:%d:%d: %s", d.JSON()[0].Line, d.JSON()[0].Column, d.JSON()[0].Detail)
			if !strings.Contains(said, row.want) {
				t.Errorf("%.300s, want %s", said, row.want)
			}
		})
	}
}

// HCL-04: a recipe says the same on each machine and at each time, and reads its own folder only.
func TestFunctionsThatARecipeDoesNotHave(t *testing.T) {
	for _, call := range []string{`env("HOME")`, `getenv("HOME")`, `timestamp()`, `timeadd("", "1h")`, `uuid()`, `bcrypt("x")`, `rsadecrypt("", "")`, `yamldecode("a: 1")`, `jsondecode("{}")`, `csvdecode("")`,
		`regex("(a+)+b", "a")`, `regexall("a", "a")`, `try(1)`, `can(1)`, `templatefile("x", {})`, `fileexists("x")`, `fileset(".", "*")`, `filebase64("x")`, `filesha256("x")`, `abspath(".")`, `pathexpand("~")`,
		`parseint("9", 10)`, `range(200)`, `setproduct(["a"], ["b"])`, `pow(10, 100)`, `formatdate("", "")`, `http("x")`, `exec("x")`, `sensitive("x")`} {
		_, err := parse(filepath.Join(t.TempDir(), "r.hcl"), []byte("locals {\n z = "+call+"\n}\nimage \"a\" {}\n"), Options{})
		var d *Diagnostics
		if !errors.As(err, &d) || d.JSON()[0].Summary != "Call to unknown function" || d.JSON()[0].Line != 2 {
			t.Errorf("%s: %v", call, err)
		}
	}
}

// HCL-05: a word, a block and a variable that do not exist are said with the nearest that does.
func TestTheNearestWordIsNamed(t *testing.T) {
	for src, want := range map[string]string{
		"image \"a\" {\n wrkdir = \"/a\"\n}\n":                     `did you mean "workdir"?`,
		"image \"a\" {\n pytroch {}\n}\n":                          `did you mean "pytorch"?`,
		"imgae \"a\" {}\n":                                         `did you mean "image"?`,
		"image \"a\" {\n slim { drop = [\"header\"] }\n}\n":        `did you mean "headers"?`,
		"image \"a\" {\n python { requirments = [\"x\"] }\n}\n":    `did you mean "requirements"?`,
		"image \"a\" {\n pytorch { gpus = [\"H10\"] }\n}\n":        `near names: H100`,
		"image \"a\" {\n base \"debain\" {}\n}\n":                  `did you mean "debian"?`,
		"variable \"where\" { default = \"x\" }\nimage \"a\" {}\n": `did you mean "where"?`,
	} {
		_, err := parse("r.hcl", []byte(src), Options{Vars: map[string]string{"wher": ""}})
		var d *Diagnostics
		if !errors.As(err, &d) || !strings.Contains(strings.ToLower(fmt.Sprintf("%+v", d.JSON())), strings.ToLower(want)) {
			t.Errorf("%s: no %s in %+v", src, want, d.JSON())
		}
	}
}

func TestEveryBlockOfTheReferenceLoads(t *testing.T) {
	for _, page := range []string{"../docs/recipe-language.md", "../docs/vulnerabilities.md", "../docs/publish.md", "../README.md"} {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		blocks := regexp.MustCompile("(?s)```hcl\\n(.*?)```").FindAllSubmatch(text, -1)
		if len(blocks) == 0 {
			t.Fatalf("%s has no block of HCL", page)
		}
		dir := t.TempDir()
		if err := os.CopyFS(dir, os.DirFS("testdata/valid")); err != nil { // the files that the page's recipes name
			t.Fatal(err)
		}
		if err := os.Mkdir(filepath.Join(dir, "src"), 0o755); err != nil {
			t.Fatal(err)
		}
		for i, b := range blocks {
			path := filepath.Join(dir, fmt.Sprintf("%d.hcl", i))
			if err := os.WriteFile(path, b[1], 0o644); err != nil {
				t.Fatal(err)
			}
			if _, err := Load(path, Options{}); err != nil {
				t.Errorf("%s, block %d: %v", page, i+1, err)
			}
		}
	}
}

func TestVariablesComeFromFlagsThenEnvironment(t *testing.T) {
	path := filepath.Join(t.TempDir(), "r.hcl")
	if err := os.WriteFile(path, []byte("variable \"w\" { default = \"/a\" }\nimage \"a\" { workdir = var.w }\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	env := func(n string) (string, bool) { return "/env", n == "FORGE_VAR_w" }
	for _, row := range []struct {
		o    Options
		want string
	}{{Options{}, "/a"}, {Options{Env: env}, "/env"}, {Options{Env: env, Vars: map[string]string{"w": "/flag"}}, "/flag"}} {
		f, err := Load(path, row.o)
		if err != nil || f.Images[0].Workdir != row.want {
			t.Errorf("got %v, want %s", err, row.want)
		}
	}
	if _, err := Load(path, Options{Vars: map[string]string{"v": "x"}}); err == nil {
		t.Error("an unknown variable was taken")
	}
}

// What an image was made with can be told to others; a secret cannot.
func TestVariablesAreToldWithoutSecrets(t *testing.T) {
	path := filepath.Join(t.TempDir(), "r.hcl")
	src := []byte(`variable "version" { default = "2.9.1" }
variable "ports" { default = [1, 2] }
variable "token" { default = "" }
variable "other" {}
image "a" {}
`)
	if err := os.WriteFile(path, src, 0o644); err != nil {
		t.Fatal(err)
	}
	f, err := Load(path, Options{Vars: map[string]string{"token": "s3cret", "other": "ghp_" + strings.Repeat("a", 36)}})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"version": "2.9.1", "ports": "[1,2]", "token": Hidden, "other": Hidden}
	if d := cmp.Diff(want, f.Variables); d != "" || f.SHA256 != fmt.Sprintf("%x", sha256.Sum256(src)) {
		t.Error(f.SHA256, d)
	}
}

func TestProblemPointsAtTheValue(t *testing.T) {
	f, err := Load("testdata/valid/complete.hcl", Options{})
	if err != nil {
		t.Fatal(err)
	}
	var d *Diagnostics
	if err := f.Problem(f.Images[0], "pytorch.driver", "Driver too old", "It is."); !errors.As(err, &d) || d.JSON()[0].Line != 17 {
		t.Errorf("%v", d.JSON())
	}
}

func FuzzLoad(f *testing.F) {
	for _, kind := range []string{"valid", "error"} {
		paths, _ := filepath.Glob("testdata/" + kind + "/*.hcl")
		for _, p := range paths {
			src, err := os.ReadFile(p)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(src)
		}
	}
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, src []byte) {
		file, err := parse(filepath.Join(dir, "r.hcl"), src, Options{})
		if err == nil && len(file.Images) == 0 {
			t.Fatal("a recipe without an image was accepted")
		}
	})
}

func TestABaseImageIsPartOfWhatIsLocked(t *testing.T) {
	f, err := Load("testdata/valid/base-image.hcl", Options{})
	if err != nil {
		t.Fatal(err)
	}
	digest := "sha256:00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
	im := f.Images[0]
	if d := cmp.Diff(&BaseImage{From: "registry.example/library/python@" + digest, Interpreter: "/usr/local/bin/python3"}, im.Base); d != "" || im.Debian != nil {
		t.Errorf("%s %+v", d, im.Debian)
	}
	in := im.Inputs()
	if in["base.from"] != im.Base.From || in["base.interpreter"] != "/usr/local/bin/python3" || in["base.suite"] != "" {
		t.Error(in)
	}
	if dir, ok := f.Images[1].Base.Layout(); dir != "bases/bookworm" || !ok || f.Images[1].Base.Digest() != digest {
		t.Errorf("%q %v %q", dir, ok, f.Images[1].Base.Digest())
	}
	if _, ok := im.Base.Layout(); ok {
		t.Error("a repository is no layout")
	}
}

func TestWhatIsToleratedIsNoPartOfTheLock(t *testing.T) {
	with, err := Load("testdata/valid/complete.hcl", Options{})
	if err != nil {
		t.Fatal(err)
	}
	im := with.Images[0]
	before := im.Inputs()
	im.Vulnerabilities = nil
	if d := cmp.Diff(before, im.Inputs()); d != "" {
		t.Error(d)
	}
}

// HCL-07: a file that is replaced while it is read is one of the two, and its hash is that one's.
func TestWhatIsHashedIsWhatWasParsed(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "recipe.hcl")
	recipe := func(name string) string {
		return "image \"" + name + "\" {\n  python { files = [\"requirements.txt\"] }\n}\n"
	}
	replace := func(name string) error {
		var all error
		for file, content := range map[string]string{"requirements.txt": name + "\n", "recipe.hcl": recipe(name)} {
			all = errors.Join(all, os.WriteFile(filepath.Join(dir, ".new"), []byte(content), 0o600), os.Rename(filepath.Join(dir, ".new"), filepath.Join(dir, file)))
		}
		return all
	}
	if err := replace("aaa"); err != nil {
		t.Fatal(err)
	}
	stop, stopped := make(chan bool), make(chan error)
	go func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				stopped <- nil
				return
			default:
			}
			if err := replace([]string{"aaa", "bbb"}[i%2]); err != nil {
				stopped <- err
				return
			}
		}
	}()
	seen := map[string]int{}
	for range 500 {
		f, err := Load(path, Options{})
		if err != nil {
			t.Fatal(err)
		}
		name := f.Images[0].Name
		seen[name]++
		if want := fmt.Sprintf("%x", sha256.Sum256([]byte(recipe(name)))); f.SHA256 != want {
			t.Fatalf("parsed was %q, hashed something else", name)
		}
		r := f.Images[0].Python.Files[0]
		if want := fmt.Sprintf("%x", sha256.Sum256([]byte(r.Set.Lines[0]+"\n"))); r.SHA256 != want {
			t.Fatalf("of requirements.txt %q was parsed, hashed something else", r.Set.Lines)
		}
	}
	close(stop)
	if err := <-stopped; err != nil {
		t.Fatal(err)
	}
	if len(seen) != 2 {
		t.Errorf("the file was never replaced meanwhile: %v", seen)
	}
}
