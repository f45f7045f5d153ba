package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v3"

	"github.com/forge-build/forge/recipes"
	"github.com/forge-build/forge/sbom/vuln/testdata/advisories"
	"github.com/forge-build/forge/signing/statement"
)

const pipelines = "../../examples/pipelines"

// pipeline reads a pipeline and checks it against its service's schema.
func pipeline(t *testing.T, file, schema string) map[string]any {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(pipelines, file))
	if err != nil {
		t.Fatal(err)
	}
	var doc map[string]any
	if err := yaml.Unmarshal(raw, &doc); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	text, err := os.ReadFile("testdata/pipelines/" + schema + ".schema.json")
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("schema.json", parsed); err != nil {
		t.Fatal(err)
	}
	raw, err = json.Marshal(doc)
	if err != nil {
		t.Fatal(err)
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	compiled := c.MustCompile("schema.json")
	if err := compiled.Validate(value); err != nil {
		t.Errorf("%s: %v", file, err)
	}
	value.(map[string]any)["stages"], value.(map[string]any)["jobs"] = 1, 1
	if compiled.Validate(value) == nil {
		t.Errorf("%s: its schema takes anything", file)
	}
	return doc
}

func TestPipelinesAreWhatTheirServicesRead(t *testing.T) {
	gh := pipeline(t, "github-actions.yml", "github-workflow")
	var scripts []string
	for _, step := range gh["jobs"].(map[string]any)["image"].(map[string]any)["steps"].([]any) {
		if run, ok := step.(map[string]any)["run"].(string); ok {
			scripts = append(scripts, run)
		}
	}
	gl := pipeline(t, "gitlab-ci.yml", "gitlab-ci")
	for _, job := range []string{".forge", "build", "publish"} {
		for _, key := range []string{"before_script", "script"} {
			lines, _ := gl[job].(map[string]any)[key].([]any)
			var script []string
			for _, l := range lines {
				script = append(script, l.(string))
			}
			scripts = append(scripts, strings.Join(script, "\n"))
		}
	}
	if len(scripts) < 8 {
		t.Fatalf("only %d scripts were found", len(scripts))
	}
	for _, s := range scripts {
		cmd := exec.Command("bash", "-n")
		cmd.Stdin = strings.NewReader(s)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%v %s in\n%s", err, out, s)
		}
	}
}

func TestTheExamplesPolicyIsATrustPolicy(t *testing.T) {
	if _, err := recipes.LoadTrust(filepath.Join(pipelines, "trust.hcl")); err != nil {
		t.Error(err)
	}
}

// The nightly script is run as it is, on a real registry, with the real command.
func TestRescanJudgesAListAndLooksItUp(t *testing.T) {
	w := newWorld(t)
	ci := w.key("ci")
	w.key("other")
	records, err := advisories.All()
	if err != nil {
		t.Fatal(err)
	}
	db, bin := t.TempDir(), t.TempDir()
	self, err := os.Executable()
	if err := errors.Join(err, advisories.Build(records, db, time.Now().Add(-time.Hour).UTC()), os.Symlink(self, filepath.Join(bin, "forge"))); err != nil {
		t.Fatal(err)
	}
	signed := func(path, version string) string {
		image := w.push(path, "1")
		for _, s := range allOf(t, image, time.Hour) {
			if s.Type == statement.TypeSPDX {
				s = statement.CycloneDX([]byte(`{"bomFormat":"CycloneDX","specVersion":"1.6","version":1,"components":[{"type":"operating-system","name":"debian","version":"13"},{"type":"library","name":"torch","version":"` + version + `","purl":"pkg:pypi/torch@` + version + `"}]}`))
			}
			w.sign(ci, image, s)
		}
		return image.String()
	}
	good, bad, bare := signed("ml/good", "2.99.0"), signed("ml/bad", "2.5.1"), w.push("ml/bare", "1").String()
	policy := w.policy("p", instead(`"2.9"`, `"2.0"`))
	for name, row := range map[string]struct {
		images []string
		code   int
		part   string
	}{
		"all good":   {[]string{good}, 0, ""},
		"one found":  {[]string{good, bad}, 3, "rescan: " + bad + ": exit code 3"},
		"unverified": {[]string{good, bare, bad}, 4, bare},
		"not there":  {[]string{w.host + "/ml/absent:1"}, 1, "absent"},
		"no image":   {nil, 2, "names no image"},
	} {
		t.Run(name, func(t *testing.T) {
			out := t.TempDir()
			cmd := exec.Command("sh", filepath.Join(pipelines, "rescan.sh"), policy, w.write("list.txt", "# images\n"+strings.Join(row.images, "\n")+"\n"), out)
			cmd.Env = append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"), "FORGE_VULNERABILITY_DB="+db, "FORGE_CACHE="+t.TempDir())
			text, err := cmd.CombinedOutput()
			code := 0
			var exit *exec.ExitError
			if errors.As(err, &exit) {
				code = exit.ExitCode()
			} else if err != nil {
				t.Fatal(err)
			}
			if code != row.code || !strings.Contains(string(text), row.part) {
				t.Errorf("exit %d, want %d with %q:\n%s", code, row.code, row.part, text)
			}
			verdicts, err := filepath.Glob(out + "/*.scan.json")
			if want := len(slices.DeleteFunc(slices.Clone(row.images), func(s string) bool { return s != good && s != bad })); err != nil || len(verdicts) != want {
				t.Errorf("%d verdicts, want %d (%v)", len(verdicts), want, err)
			}
		})
	}
}

// What is written down can be typed: every command and flag in the pages, pipelines and
// scripts exists.
func TestEveryCommandThatIsWrittenDownExists(t *testing.T) {
	seen := map[string]int{}
	check := func(file string, words []string, line string) {
		root := newRoot(newTerminal(os.Stdout, os.Stderr))
		c, _, err := root.Find(words)
		if err != nil || c == root {
			if len(words) > 0 && regexp.MustCompile(`^[a-z][a-z-]*$`).MatchString(words[0]) && words[0] != "completion" && words[0] != "help" {
				t.Errorf("%s: no command %q in: %s", file, words[0], line)
			}
			return
		}
		seen[c.CommandPath()]++
		for _, w := range words {
			if name, ok := strings.CutPrefix(w, "--"); ok && name != "" {
				name, _, _ = strings.Cut(name, "=")
				if flagOf(c, func(f *pflag.Flag) bool { return f.Name == name }) == nil && name != "help" {
					t.Errorf("%s: %s has no flag --%s: %s", file, c.CommandPath(), name, line)
				}
			} else if short, ok := strings.CutPrefix(w, "-"); ok && short != "" {
				if flagOf(c, func(f *pflag.Flag) bool { return f.Shorthand == short[:1] }) == nil {
					t.Errorf("%s: %s has no flag -%s: %s", file, c.CommandPath(), short, line)
				}
			}
		}
	}
	err := filepath.WalkDir("../..", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (strings.HasPrefix(d.Name(), ".") && d.Name() != ".." && d.Name() != "." || d.Name() == "testdata" || d.Name() == "dist") {
			return fs.SkipDir
		}
		ext := filepath.Ext(path)
		if ext != ".md" && !(strings.Contains(path, "examples") && (ext == ".yml" || ext == ".sh" || d.Name() == "build")) {
			return nil
		}
		raw, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, line := range code(string(raw), ext == ".md") {
			for _, words := range commands(line) {
				check(path, words, line)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(seen) < 15 || seen["forge verify"] < 5 {
		t.Errorf("few commands were found: %v", seen)
	}
}

func flagOf(c *cobra.Command, is func(*pflag.Flag) bool) (found *pflag.Flag) {
	for _, set := range []*pflag.FlagSet{c.Flags(), c.InheritedFlags()} {
		set.VisitAll(func(f *pflag.Flag) {
			if is(f) {
				found = f
			}
		})
	}
	return found
}

// code are the lines of a page that are commands: fenced, indented, or between backticks.
func code(text string, page bool) []string {
	if !page {
		return strings.Split(text, "\n")
	}
	var out []string
	fenced := false
	for _, line := range strings.Split(text, "\n") {
		switch {
		case strings.HasPrefix(strings.TrimSpace(line), "```"):
			fenced = !fenced
		case fenced, strings.HasPrefix(line, "    "):
			out = append(out, line)
		default:
			for _, m := range regexp.MustCompile("`(forge [^`]+)`").FindAllStringSubmatch(line, -1) {
				out = append(out, m[1])
			}
		}
	}
	return out
}

// commands are the calls of forge in a line, as words.
func commands(line string) [][]string {
	if i := strings.Index(line, " #"); i >= 0 {
		line = line[:i]
	}
	var out [][]string
	for _, m := range regexp.MustCompile(`(?:^|[|;&(]\s*|\$\(|"\$|- |\s{2,}|: )(?:\S*/)?forge ((?:[a-z]|--?[a-z])[^|;&()>]*)`).FindAllStringSubmatch(strings.TrimSpace(line), -1) {
		words := strings.Fields(strings.Trim(m[1], "`\"'.,"))
		if len(words) > 0 {
			out = append(out, words)
		}
	}
	return out
}

func TestCommandsAreFoundInLines(t *testing.T) {
	for line, want := range map[string]string{
		`podman pull "$(forge verify --policy trust.hcl IMAGE)"`: "[[verify --policy trust.hcl IMAGE]]",
		`kubectl get pods -o yaml | forge verify --all -`:        "[[verify --all -]]",
		`    - forge doctor`:                  "[[doctor]]",
		`bin/forge build a.hcl && forge plan`: "[[build a.hcl] [plan]]",
		`forge lock recipe.hcl   # the lock`:  "[[lock recipe.hcl]]",
		`what forge does is said`:             "[]",
		`forge publish r.hcl >out.txt`:        "[[publish r.hcl]]",
	} {
		if got := fmt.Sprint(commands(line)); got != want {
			t.Errorf("%q: %s, want %s", line, got, want)
		}
	}
}
