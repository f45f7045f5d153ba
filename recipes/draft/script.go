package draft

import (
	"path"
	"regexp"
	"strconv"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
)

// run looks for what a RUN installs; every other command becomes a note.
func (f *dockerfile) run(c instructions.ShellDependantCmdLine) {
	if !c.PrependShell {
		f.simple(c.CmdLine, strings.Join(c.CmdLine, " "))
		return
	}
	scripts := []string{strings.Join(c.CmdLine, " ")}
	for _, file := range c.Files {
		if strings.Contains(scripts[0], "<<") && !strings.ContainsAny(strings.TrimSpace(scripts[0]), " ") {
			scripts = append(scripts, file.Data)
		} else {
			f.note("a here-document is not carried over: %s", scripts[0])
			return
		}
	}
	if len(scripts) > 1 {
		scripts = scripts[1:]
	}
	for _, script := range scripts {
		for _, words := range f.commands(script) {
			f.simple(words, strings.Join(words, " "))
		}
	}
}

// commands cuts a script into simple commands, each a list of words with variables
// expanded. It knows quotes, comments, lists and pipelines, and nothing else of a shell.
func (f *dockerfile) commands(script string) [][]string {
	var out [][]string
	for _, text := range lists(script) {
		words, err := f.lex.ProcessWords(text, f.environ())
		if err != nil {
			words = strings.Fields(text)
		}
		if len(words) > 0 {
			out = append(out, words)
		}
	}
	return out
}

// lists splits at the operators that stand outside of quotes: && || ; | & and line feeds.
func lists(script string) []string {
	var out []string
	var part strings.Builder
	var quote rune
	flush := func() {
		if s := strings.TrimSpace(part.String()); s != "" {
			out = append(out, s)
		}
		part.Reset()
	}
	text := []rune(continued(script))
	for i := 0; i < len(text); i++ {
		r := text[i]
		switch {
		case r == '\\' && quote != '\'' && i+1 < len(text):
			part.WriteRune(r)
			i++
			part.WriteRune(text[i])
		case quote != 0:
			if r == quote {
				quote = 0
			}
			part.WriteRune(r)
		case r == '\'' || r == '"':
			quote = r
			part.WriteRune(r)
		case r == '#' && (i == 0 || strings.ContainsRune(" \t\n;&|", text[i-1])):
			for i+1 < len(text) && text[i+1] != '\n' {
				i++
			}
		case r == '&' && i > 0 && text[i-1] == '>':
			part.WriteRune(r) // 2>&1
		case strings.ContainsRune("&|;\n", r):
			flush()
		default:
			part.WriteRune(r)
		}
	}
	flush()
	return out
}

// quiet are commands of a build that an image of forge has no use for.
var quiet = map[string]bool{"rm": true, "cd": true, "set": true, "true": true, ":": true, "echo": true, "export": true, "ldconfig": true, "mkdir": true, "rmdir": true}

// simple looks at one simple command.
func (f *dockerfile) simple(words []string, text string) {
	for len(words) > 0 && (words[0] == "sudo" || words[0] == "env" || words[0] == "exec" || assignment.MatchString(words[0])) {
		words = words[1:]
	}
	if len(words) == 0 {
		return
	}
	if args, ok := pipInstall(words); ok {
		f.pip(args)
		return
	}
	switch name := path.Base(words[0]); {
	case name == "apt-get" || name == "apt" || name == "aptitude":
		f.apt(words[1:])
	case name == "useradd" || name == "adduser":
		f.useradd(words[1:])
	case quiet[name], name == "groupadd", name == "addgroup":
	case name == "pip" || name == "pip3":
		// pip cache purge, pip check and the like
	default:
		f.note("a command that forge does not run: %s", text)
	}
}

var (
	assignment = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*=`)
	pipName    = regexp.MustCompile(`^pip[0-9.]*$`)
)

// pipInstall returns the arguments of a pip install: also python -m pip, uv pip, and pip
// below conda run.
func pipInstall(words []string) ([]string, bool) {
	for i := 0; i < len(words) && i < 8; i++ {
		if !pipName.MatchString(path.Base(words[i])) {
			continue
		}
		j := i + 1
		for j < len(words) && strings.HasPrefix(words[j], "-") {
			j++
		}
		if j < len(words) && words[j] == "install" {
			return words[j+1:], true
		}
	}
	return nil, false
}

// valued are pip's options with a value that does not concern an image.
var valued = map[string]bool{"-t": true, "--target": true, "--prefix": true, "--root": true, "--platform": true, "--python-version": true, "--implementation": true, "--abi": true,
	"--trusted-host": true, "--timeout": true, "--retries": true, "--cache-dir": true, "--only-binary": true, "--progress-bar": true, "--upgrade-strategy": true,
	"-C": true, "--config-settings": true, "--config-setting": true, "--global-option": true, "--src": true, "--proxy": true, "--cert": true, "--client-cert": true, "--log": true,
	"--python": true, "-p": true, "--index-strategy": true, "--torch-backend": true, "--link-mode": true}

// said are pip's options with a value that option understands.
var said = map[string]bool{"-i": true, "--index-url": true, "--extra-index-url": true, "-f": true, "--find-links": true, "--pypi-url": true, "-c": true, "--constraint": true,
	"-e": true, "--editable": true, "--no-binary": true}

// pip takes the arguments of a pip install.
func (f *dockerfile) pip(args []string) {
	for i := 0; i < len(args); i++ {
		name, value := args[i], ""
		equals := strings.HasPrefix(name, "--") && strings.Contains(name, "=")
		if equals {
			name, value, _ = strings.Cut(name, "=")
		}
		requirements := name == "-r" || name == "--requirement"
		if !equals && (valued[name] || said[name] || requirements) && i+1 < len(args) {
			i++
			value = args[i]
		}
		switch {
		case requirements:
			f.requirements(value)
		case name == "--torch-backend":
			f.label(value)
		case said[name] || name == "--pre":
			f.option(name, value)
		case strings.HasPrefix(name, "-"), name == "pip", name == "setuptools", name == "wheel", name == "uv":
		case strings.HasPrefix(name, "."), strings.HasPrefix(name, "/"):
			f.note("a project's own folder or file is not installed: %s (copy its files, or name its wheel)", name)
		default:
			f.AddRequirement(args[i])
		}
	}
}

func (f *dockerfile) requirements(name string) {
	from := f.source(name)
	if err := f.RequirementsFile(f.files, from); err != nil {
		f.note("not carried over: requirements file %s, which is not there", name)
		return
	}
	if f.read == nil {
		f.read = map[string]bool{}
	}
	f.read[from] = true
}

// needless matches packages that only builds need, that the base has anyway, or whose
// place the wheels take.
var needless = regexp.MustCompile(`^(python-is-python3|python3(\.[0-9]+)?(-(pip|dev|venv|distutils|setuptools|wheel|full|minimal))?|build-essential|pkg-config|gcc.*|g\+\+.*|make|cmake|ninja-build|` +
	`ca-certificates|wget|curl|gnupg2?|software-properties-common|apt-transport-https|apt-utils|cuda-.*|libcudnn.*|libnccl.*|libcublas.*|libcusparse.*|git)$`)

// renamed are names of Ubuntu or of older Debian releases, and those of trixie.
// Source: packages.debian.org, transitional packages and Provides of trixie.
var renamed = map[string]string{"libgl1-mesa-glx": "libgl1", "libglib2.0-0": "libglib2.0-0t64", "libasound2": "libasound2t64", "libssl3": "libssl3t64", "libcurl4": "libcurl4t64"}

// apt takes the arguments of an apt-get.
func (f *dockerfile) apt(words []string) {
	install := false
	var left []string
	for i := 0; i < len(words); i++ {
		w := words[i]
		switch {
		case w == "-t" || w == "-o" || w == "--target-release" || w == "-c":
			i++
		case strings.HasPrefix(w, "-"):
		case !install:
			if w != "install" {
				return // update, clean, upgrade and the like
			}
			install = true
		case needless.MatchString(w):
			left = append(left, w)
		default:
			name, _, _ := strings.Cut(w, "=")
			name, _, _ = strings.Cut(name, "/")
			if to := renamed[name]; to != "" {
				name = to
			}
			if !regexp.MustCompile(`^[a-z0-9][a-z0-9+.-]+$`).MatchString(name) {
				f.note("not carried over: apt package %s", w)
				continue
			}
			f.addPackage(name)
		}
	}
	if len(left) > 0 {
		f.note("apt packages left out, since wheels or the base take their place or only builds need them: %s", strings.Join(left, " "))
	}
}

func (f *dockerfile) addPackage(name string) {
	for _, p := range f.Packages {
		if p == name {
			return
		}
	}
	f.Packages = append(f.Packages, name)
}

// useradd remembers which number a name has, for USER.
func (f *dockerfile) useradd(words []string) {
	uid := 0
	for i, w := range words {
		if (w == "-u" || w == "--uid") && i+1 < len(words) {
			uid, _ = strconv.Atoi(words[i+1]) // not a number: not known
		} else if v, ok := strings.CutPrefix(w, "--uid="); ok {
			uid, _ = strconv.Atoi(v)
		}
	}
	if f.uids == nil {
		f.uids = map[string]int{}
	}
	if len(words) > 0 {
		f.uids[words[len(words)-1]] = uid
	}
}
