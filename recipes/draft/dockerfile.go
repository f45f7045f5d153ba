package draft

import (
	"encoding/json"
	"regexp"
	"strings"
)

var cudaTag = regexp.MustCompile(`(?:^|/)(?:nvidia/cuda:([0-9]+\.[0-9]+)|pytorch/pytorch:([0-9.]+)-cuda([0-9]+\.[0-9]+))`)

// AddDockerfile reads a Dockerfile of the usual kind: FROM nvidia/cuda or
// pytorch/pytorch, apt-get install, pip install, COPY, ENV, WORKDIR, EXPOSE, CMD
// and ENTRYPOINT. files gives the text of requirement files that it names (by
// path relative to the Dockerfile) and may return false. Only the last stage
// counts; what it copies from other stages is noted.
func (d *Draft) AddDockerfile(text string, files func(name string) (string, bool)) {
	for _, in := range instructions(text) {
		word, rest, _ := strings.Cut(in, " ")
		rest = strings.TrimSpace(rest)
		switch strings.ToUpper(word) {
		case "FROM":
			d.from(rest)
		case "RUN":
			d.run(rest, files)
		case "ENV":
			d.env(rest)
		case "WORKDIR":
			d.Workdir = rest
		case "EXPOSE":
			for _, p := range strings.Fields(rest) {
				d.Ports = append(d.Ports, strings.TrimSuffix(p, "/tcp"))
			}
		case "CMD":
			d.Command = d.argv(rest)
		case "ENTRYPOINT":
			d.Entrypoint = d.argv(rest)
		case "COPY", "ADD":
			d.copy(rest)
		case "USER", "ARG", "SHELL", "LABEL", "MAINTAINER", "STOPSIGNAL", "HEALTHCHECK", "VOLUME", "ONBUILD":
			if w := strings.ToUpper(word); w != "USER" && w != "SHELL" && w != "MAINTAINER" {
				d.note("not carried over: %s", in)
			}
		default:
			d.note("not understood: %s", in)
		}
	}
}

// instructions joins continued lines and drops comments.
func instructions(text string) []string {
	var out []string
	var current strings.Builder
	for _, line := range strings.Split(strings.ReplaceAll(text, "\r\n", "\n"), "\n") {
		trimmed := strings.TrimSpace(line)
		if strings.HasPrefix(trimmed, "#") || (trimmed == "" && current.Len() == 0) {
			continue
		}
		more := strings.HasSuffix(trimmed, "\\")
		current.WriteString(strings.TrimSuffix(trimmed, "\\") + " ")
		if !more {
			out = append(out, strings.TrimSpace(current.String()))
			current.Reset()
		}
	}
	if s := strings.TrimSpace(current.String()); s != "" {
		out = append(out, s)
	}
	return out
}

func (d *Draft) from(image string) {
	*d = Draft{Name: d.Name, Notes: d.Notes, GPUs: d.GPUs} // an earlier stage is not part of the image
	m := cudaTag.FindStringSubmatch(image)
	switch {
	case m == nil:
		d.note("the base is Debian trixie instead of %s", image)
	case m[1] != "":
		d.WantsTorch, d.CUDA = true, m[1]
		d.note("CUDA comes from the wheels; the base %s is not needed", image)
	default:
		d.WantsTorch, d.Torch, d.CUDA = true, m[2], m[3]
		d.note("CUDA and torch come from the wheels; the base %s is not needed", image)
	}
}

func (d *Draft) run(script string, files func(string) (string, bool)) {
	for _, command := range regexp.MustCompile(`&&|;|\|\|`).Split(script, -1) {
		words := strings.Fields(command)
		for len(words) > 0 && (strings.HasPrefix(words[0], "--mount") || strings.Contains(words[0], "=") || words[0] == "sudo") {
			words = words[1:]
		}
		switch {
		case len(words) == 0:
		case pipInstall(words) > 0:
			d.pip(words[pipInstall(words):], files)
		case (words[0] == "apt-get" || words[0] == "apt") && contains(words, "install"):
			d.apt(words[1:])
		case words[0] == "apt-get" || words[0] == "apt" || words[0] == "rm" || words[0] == "mkdir" || words[0] == "cd":
		default:
			d.note("a command that forge does not run: %s", strings.Join(words, " "))
		}
	}
}

// pipInstall returns where the arguments of a pip install begin, or 0.
func pipInstall(words []string) int {
	for i := 0; i+1 < len(words); i++ {
		if (strings.HasPrefix(words[i], "pip") || words[i] == "pip") && words[i+1] == "install" {
			return i + 2
		}
	}
	return 0
}

func (d *Draft) pip(args []string, files func(string) (string, bool)) {
	for i := 0; i < len(args); i++ {
		a := unquote(args[i])
		switch {
		case a == "-r" || a == "--requirement":
			i++
			if i < len(args) {
				if text, ok := files(unquote(args[i])); ok {
					d.AddRequirements(text)
				} else {
					d.note("requirements file not found: %s", args[i])
				}
			}
		case a == "--index-url" || a == "--extra-index-url" || a == "-i" || a == "-f" || a == "--find-links":
			i++
			if i < len(args) {
				d.option(a + " " + unquote(args[i]))
			}
		case strings.HasPrefix(a, "--index-url=") || strings.HasPrefix(a, "--extra-index-url="):
			d.option(a)
		case strings.HasPrefix(a, "-"), a == "pip", a == "setuptools", a == "wheel":
		case a == "." || strings.HasPrefix(a, "./") || strings.HasPrefix(a, "/"):
			d.note("a project's own folder is not built; make a wheel of it and name it in a wheel block: %s", a)
		default:
			d.AddRequirement(a)
		}
	}
}

// bases are packages that Debian's images need for building, or that the base
// has anyway.
var bases = map[string]bool{"python3": true, "python3-pip": true, "python3-dev": true, "python3-venv": true, "build-essential": true,
	"gcc": true, "g++": true, "make": true, "cmake": true, "ca-certificates": true, "wget": true, "gnupg": true, "software-properties-common": true}

func (d *Draft) apt(words []string) {
	for _, w := range words {
		switch {
		case strings.HasPrefix(w, "-"), w == "install":
		case bases[w], strings.HasPrefix(w, "cuda-"), strings.HasPrefix(w, "libcudnn"), strings.HasPrefix(w, "libnccl"):
			d.note("left out, not needed to run: apt package %s", w)
		default:
			name, _, _ := strings.Cut(w, "=")
			d.Packages = append(d.Packages, name)
		}
	}
}

func (d *Draft) env(rest string) {
	pairs := regexp.MustCompile(`([A-Za-z_][A-Za-z0-9_]*)=("(?:[^"\\]|\\.)*"|'[^']*'|\S+)`).FindAllStringSubmatch(rest, -1)
	if pairs == nil {
		if k, v, ok := strings.Cut(rest, " "); ok {
			pairs = [][]string{{"", k, v}}
		}
	}
	for _, p := range pairs {
		name, value := p[1], unquote(p[2])
		switch {
		case name == "PATH", name == "LD_LIBRARY_PATH", name == "LD_PRELOAD", name == "PYTHONPATH", name == "CUDA_VERSION", name == "CUDA_HOME",
			name == "DEBIAN_FRONTEND", strings.HasPrefix(name, "NVIDIA_"), strings.HasPrefix(name, "PIP_"), strings.HasPrefix(name, "PYTHON"), strings.Contains(value, "$"):
			d.note("not carried over: ENV %s=%s", name, value)
		default:
			if d.Env == nil {
				d.Env = map[string]string{}
			}
			d.Env[name] = value
		}
	}
}

func (d *Draft) copy(rest string) {
	words := strings.Fields(rest)
	for len(words) > 0 && strings.HasPrefix(words[0], "--") {
		if strings.HasPrefix(words[0], "--from") {
			d.note("copied from another stage, not carried over: %s", rest)
			return
		}
		words = words[1:]
	}
	if len(words) < 2 || strings.HasPrefix(words[0], "[") {
		d.note("not carried over: COPY %s", rest)
		return
	}
	to := strings.TrimSuffix(words[len(words)-1], "/")
	if !strings.HasPrefix(to, "/") {
		to = strings.TrimSuffix(d.Workdir+"/"+strings.TrimPrefix(strings.TrimPrefix(to, "."), "/"), "/")
	}
	if to == "" || to[0] != '/' {
		to = "/app"
	}
	for _, from := range words[:len(words)-1] {
		if strings.HasSuffix(from, "requirements.txt") {
			continue // its lines are requirements already
		}
		if strings.Contains(from, "://") {
			d.note("not carried over: ADD %s", rest)
			continue
		}
		d.Copies = append(d.Copies, [2]string{strings.TrimSuffix(from, "/"), to})
	}
}

// argv reads the JSON form, and splits the shell form at blanks.
func (d *Draft) argv(rest string) []string {
	var out []string
	if json.Unmarshal([]byte(rest), &out) == nil {
		return out
	}
	if strings.ContainsAny(rest, "$&|;<>\"'") {
		d.note("there is no shell: check this command: %s", rest)
	}
	return strings.Fields(rest)
}

func contains(words []string, w string) bool {
	for _, x := range words {
		if x == w {
			return true
		}
	}
	return false
}
