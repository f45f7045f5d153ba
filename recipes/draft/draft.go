// Package draft writes a first recipe from what a team already has: a
// requirements.txt, the pip part of an environment.yml, or a Dockerfile that
// starts from nvidia/cuda and runs pip install.
//
// What cannot be carried over is never dropped in silence: it becomes a Note,
// which the recipe holds as a comment. The result is text; it is not evaluated
// here, and forge lock judges it like any other recipe.
package draft

import (
	"bufio"
	"fmt"
	"regexp"
	"slices"
	"sort"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Draft is what was understood.
type Draft struct {
	Name         string
	Torch        string // version, "" when torch is not asked for or not pinned
	WantsTorch   bool
	CUDA         string // "12.8", "cpu" or ""
	GPUs         []string
	Python       string // "3.13"
	Requirements []string
	Packages     []string // Debian
	Env          map[string]string
	Workdir      string
	Entrypoint   []string
	Command      []string
	Ports        []string
	Copies       [][2]string
	Notes        []string
}

// requirement takes a PEP 508 line apart: name, extras, the rest.
var requirement = regexp.MustCompile(`^([A-Za-z0-9][A-Za-z0-9._-]*)\s*(\[[^\]]*\])?\s*(.*)$`)

// AddRequirements reads the lines of a requirements.txt: options and lines that are no
// PEP 508 requirement become notes.
func (d *Draft) AddRequirements(text string) {
	sc := bufio.NewScanner(strings.NewReader(strings.ReplaceAll(text, "\\\n", " ")))
	for sc.Scan() {
		line := sc.Text()
		if i := strings.Index(line, " #"); i >= 0 {
			line = line[:i]
		}
		if i := strings.Index(line, " --hash"); i >= 0 {
			line = line[:i]
		}
		line = strings.TrimSpace(line)
		if line != "" && !strings.HasPrefix(line, "#") {
			d.AddRequirement(line)
		}
	}
}

// AddRequirement adds one requirement; torch becomes the pytorch block.
func (d *Draft) AddRequirement(line string) {
	m := requirement.FindStringSubmatch(line)
	switch {
	case strings.HasPrefix(line, "-"):
		d.option(line)
		return
	case m == nil, strings.Contains(line, "://"), strings.HasPrefix(m[3], "@"), strings.ContainsAny(m[1], "/"):
		d.note("not carried over, forge takes wheels only: %s", line)
		return
	}
	if strings.EqualFold(m[1], "torch") && m[2] == "" {
		d.WantsTorch = true
		spec, label, _ := strings.Cut(strings.TrimSpace(strings.TrimPrefix(m[3], "==")), "+")
		if strings.HasPrefix(m[3], "==") {
			d.Torch = spec
			d.label(label)
		} else if m[3] != "" {
			d.note("torch%s: write the version you want into the pytorch block", m[3])
		}
		return
	}
	if name, local, ok := strings.Cut(line, "+"); ok && strings.Contains(name, "==") {
		d.label(local)
		line = name
	}
	if !slices.Contains(d.Requirements, line) {
		d.Requirements = append(d.Requirements, line)
	}
}

// label reads the local version that PyTorch's index gives its wheels.
func (d *Draft) label(l string) {
	switch {
	case l == "cpu":
		d.CUDA = "cpu"
	case strings.HasPrefix(l, "cu") && len(l) >= 4:
		if _, err := strconv.Atoi(l[2:]); err == nil {
			d.CUDA = l[2:len(l)-1] + "." + l[len(l)-1:]
		}
	}
}

var torchIndex = regexp.MustCompile(`/whl/(?:nightly/)?(cpu|cu[0-9]{3})\b`)

func (d *Draft) option(line string) {
	if m := torchIndex.FindStringSubmatch(line); m != nil {
		d.label(m[1])
		return // the pytorch block says the same
	}
	d.note("not carried over: %s (a private index is an index block of python, with the names that come from it)", line)
}

// AddEnvironment reads a conda environment.yml: its pip part, its Python, and a
// note for each conda package.
func (d *Draft) AddEnvironment(text string) error {
	var env struct {
		Name         string `yaml:"name"`
		Dependencies []any  `yaml:"dependencies"`
	}
	if err := yaml.Unmarshal([]byte(text), &env); err != nil {
		return fmt.Errorf("reading the environment: %w", err)
	}
	d.Name = imageName(env.Name)
	for _, dep := range env.Dependencies {
		switch dep := dep.(type) {
		case string:
			d.conda(dep)
		case map[string]any:
			lines, _ := dep["pip"].([]any)
			for _, line := range lines {
				d.AddRequirements(fmt.Sprint(line))
			}
		}
	}
	return nil
}

func (d *Draft) conda(item string) {
	name, version, _ := strings.Cut(strings.ReplaceAll(item, "==", "="), "=")
	switch name {
	case "pip", "setuptools", "wheel":
	case "python":
		d.python(version)
	default:
		d.note("a conda package; ask for its wheel under requirements: %s", item)
	}
}

func (d *Draft) python(version string) {
	parts := strings.SplitN(strings.Trim(version, "=<>~* "), ".", 3)
	if len(parts) >= 2 {
		d.Python = parts[0] + "." + parts[1]
	}
}

func unquote(s string) string { return strings.Trim(strings.TrimSpace(s), `"'`) }

func (d *Draft) note(format string, args ...any) {
	d.Notes = append(d.Notes, strings.Map(func(r rune) rune {
		if r < 0x20 || r == 0x7f {
			return ' '
		}
		return r
	}, fmt.Sprintf(format, args...)))
}

// imageName makes s fit for an image's label.
func imageName(s string) string {
	s = strings.Trim(regexp.MustCompile(`[^a-z0-9._-]+`).ReplaceAllString(strings.ToLower(strings.TrimSpace(s)), "-"), "-._")
	if s == "" {
		return "app"
	}
	return s
}

// HCL writes the recipe. The caller formats it.
func (d *Draft) HCL() string {
	var b strings.Builder
	for _, n := range d.Notes {
		fmt.Fprintf(&b, "# %s\n", n)
	}
	fmt.Fprintf(&b, "image %s {\n", quote(imageName(d.Name)))
	if d.WantsTorch {
		b.WriteString("  pytorch {\n")
		attr(&b, "version", d.Torch)
		attr(&b, "cuda", d.CUDA)
		list(&b, "gpus", d.GPUs)
		b.WriteString("  }\n\n")
	}
	if d.Python != "" || len(d.Requirements) > 0 {
		b.WriteString("  python {\n")
		attr(&b, "version", d.Python)
		list(&b, "requirements", d.Requirements)
		b.WriteString("  }\n\n")
	}
	if len(d.Packages) > 0 {
		b.WriteString("  base \"debian\" {\n")
		list(&b, "packages", d.Packages)
		b.WriteString("  }\n\n")
	}
	for _, c := range d.Copies {
		fmt.Fprintf(&b, "  copy %s { to = %s }\n", quote(c[0]), quote(c[1]))
	}
	attr(&b, "workdir", d.Workdir)
	list(&b, "entrypoint", d.Entrypoint)
	list(&b, "command", d.Command)
	if len(d.Env) > 0 {
		b.WriteString("  env = {\n")
		names := make([]string, 0, len(d.Env))
		for k := range d.Env {
			names = append(names, k)
		}
		sort.Strings(names)
		for _, k := range names {
			fmt.Fprintf(&b, "    %s = %s\n", quote(k), quote(d.Env[k]))
		}
		b.WriteString("  }\n")
	}
	if len(d.Ports) > 0 {
		fmt.Fprintf(&b, "  ports = [%s]\n", strings.Join(d.Ports, ", "))
	}
	b.WriteString("}\n")
	return b.String()
}

func attr(b *strings.Builder, name, value string) {
	if value != "" {
		fmt.Fprintf(b, "    %s = %s\n", name, quote(value))
	}
}

func list(b *strings.Builder, name string, values []string) {
	if len(values) == 0 {
		return
	}
	quoted := make([]string, len(values))
	for i, v := range values {
		quoted[i] = quote(v)
	}
	if len(quoted) > 3 {
		fmt.Fprintf(b, "    %s = [\n%s,\n]\n", name, strings.Join(quoted, ",\n"))
		return
	}
	fmt.Fprintf(b, "    %s = [%s]\n", name, strings.Join(quoted, ", "))
}

// quote writes an HCL string: a literal, never a template.
func quote(s string) string {
	q := strconv.Quote(s)
	q = strings.ReplaceAll(q, "${", "$${")
	return strings.ReplaceAll(q, "%{", "%%{")
}
