package draft

import (
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"sort"
	"strconv"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
	"github.com/moby/buildkit/frontend/dockerfile/shell"
)

// maxDockerfile is far more than any real file has.
const maxDockerfile = 1 << 20

// Dockerfile reads a Dockerfile of files, which is also its build context: what COPY and
// pip install -r name is looked up there. Only the last stage counts, with the stages
// that it starts from; what it copies out of others is noted. A syntax error is an error.
func (d *Draft) Dockerfile(files fs.FS, name string) error {
	raw, err := fs.ReadFile(files, name)
	if err == nil && len(raw) > maxDockerfile {
		err = fmt.Errorf("it is larger than %d bytes", maxDockerfile)
	}
	if err != nil {
		return fmt.Errorf("reading a Dockerfile: %w", err)
	}
	ast, err := parser.Parse(strings.NewReader(string(raw)))
	if err != nil {
		return fmt.Errorf("reading a Dockerfile: %w", err)
	}
	stages, args, err := instructions.Parse(ast.AST, nil)
	if err != nil {
		return fmt.Errorf("reading a Dockerfile: %w", err)
	}
	f := &dockerfile{Draft: d, files: files, lex: shell.NewLex(ast.EscapeToken), args: map[string]string{}, workdir: "/"}
	f.lex.SkipUnsetEnv = true
	for _, a := range args {
		f.arg(a.Args, nil)
	}
	f.from(stages)
	f.finish()
	return nil
}

// dockerfile is one Dockerfile while it is read.
type dockerfile struct {
	*Draft
	files   fs.FS
	lex     *shell.Lex
	args    map[string]string // ARG and ENV
	workdir string
	copied  []Copy          // every COPY, to find what pip install -r names
	read    map[string]bool // requirement files
	uids    map[string]int  // of useradd
}

func (f *dockerfile) arg(args []instructions.KeyValuePairOptional, global map[string]string) {
	for _, a := range args {
		switch {
		case a.Value != nil:
			f.args[a.Key] = f.expand(*a.Value)
		case global[a.Key] != "":
			f.args[a.Key] = global[a.Key]
		}
	}
}

// expand puts values in the place of variables; unknown ones stay as they are written.
func (f *dockerfile) expand(word string) string {
	out, _, err := f.lex.ProcessWord(word, f.environ())
	if err != nil {
		return word
	}
	return out
}

func (f *dockerfile) environ() shell.EnvGetter {
	var env []string
	for k, v := range f.args {
		env = append(env, k+"="+v)
	}
	sort.Strings(env)
	return shell.EnvsFromSlice(env)
}

// from reads the last stage, after those that it starts from.
func (f *dockerfile) from(stages []instructions.Stage) {
	global := f.args
	chain := []int{len(stages) - 1}
	for {
		base := f.expand(stages[chain[0]].BaseName)
		i, ok := instructions.HasStage(stages[:chain[0]], strings.ToLower(base))
		if !ok {
			f.base(base)
			break
		}
		chain = append([]int{i}, chain...)
	}
	for _, i := range chain {
		f.args = map[string]string{}
		for k, v := range f.Env {
			f.args[k] = v
		}
		for _, c := range stages[i].Commands {
			f.command(c, global)
		}
	}
}

var (
	cudaBase    = regexp.MustCompile(`(?:^|/)nvidia/cuda:([0-9]+\.[0-9]+)`)
	pytorchBase = regexp.MustCompile(`(?:^|/)pytorch/pytorch:([0-9]+\.[0-9]+(?:\.[0-9]+)?)(?:-cuda([0-9]+\.[0-9]+))?`)
	pythonBase  = regexp.MustCompile(`(?:^|/)python:([0-9]+\.[0-9]+)`)
)

// base understands the base images of the field.
func (f *dockerfile) base(image string) {
	switch cuda, torch, python := cudaBase.FindStringSubmatch(image), pytorchBase.FindStringSubmatch(image), pythonBase.FindStringSubmatch(image); {
	case cuda != nil:
		f.baseCUDA = cuda[1]
		f.note("the base %s is not needed: CUDA comes from the wheels", image)
	case torch != nil:
		f.WantsTorch, f.Torch, f.baseCUDA = true, torch[1], torch[2]
		f.note("the base %s is not needed: torch and CUDA come from the wheels", image)
	case strings.Contains(image, "nvidia/pytorch:"):
		f.WantsTorch = true
		f.note("the base %s holds NVIDIA's own build of torch; the wheels of the PyTorch project are taken: choose their version", image)
	case python != nil:
		f.python(python[1])
	case image != "scratch" && !strings.HasPrefix(path.Base(image), "debian:trixie"):
		f.note("the base is Debian trixie instead of %s", image)
	}
}

func (f *dockerfile) command(c instructions.Command, global map[string]string) {
	switch c := c.(type) {
	case *instructions.ArgCommand:
		f.arg(c.Args, global)
	case *instructions.EnvCommand:
		for _, kv := range c.Env {
			f.args[kv.Key] = f.expand(kv.Value)
			f.setEnv(kv.Key, f.args[kv.Key])
		}
	case *instructions.LabelCommand:
		for _, kv := range c.Labels {
			if f.Labels == nil {
				f.Labels = map[string]string{}
			}
			f.Labels[f.expand(kv.Key)] = f.expand(kv.Value)
		}
	case *instructions.RunCommand:
		f.run(c.ShellDependantCmdLine)
	case *instructions.CopyCommand:
		if c.From != "" {
			f.note("copied from another stage or image, not carried over: COPY --from=%s %s %s", c.From, strings.Join(c.SourcePaths, " "), c.DestPath)
			return
		}
		f.copy(c.SourcesAndDest)
	case *instructions.AddCommand:
		f.copy(c.SourcesAndDest)
	case *instructions.WorkdirCommand:
		f.workdir = join(f.workdir, f.expand(c.Path))
		f.Workdir = f.workdir
	case *instructions.UserCommand:
		f.user(f.expand(c.User))
	case *instructions.ExposeCommand:
		f.expose(c.Ports)
	case *instructions.VolumeCommand:
		for _, v := range c.Volumes {
			f.Writable = append(f.Writable, join(f.workdir, f.expand(v)))
		}
	case *instructions.CmdCommand:
		f.Command = f.argv(c.ShellDependantCmdLine)
	case *instructions.EntrypointCommand:
		f.Entrypoint, f.Command = f.argv(c.ShellDependantCmdLine), nil // as a new ENTRYPOINT does
	case *instructions.ShellCommand, *instructions.MaintainerCommand, *instructions.StopSignalCommand:
	default:
		f.note("not carried over: %s", c)
	}
}

// join is a path in the image as WORKDIR and COPY take it.
func join(workdir, p string) string {
	if path.IsAbs(p) {
		return path.Clean(p)
	}
	return path.Join(workdir, p)
}

var (
	refusedEnv = regexp.MustCompile(`^(LD_.*|PYTHON.*|CUDA_VERSION|CUDA_HOME|NVIDIA_.*|FORGE_.*|BASH_ENV|ENV|PATH|VIRTUAL_ENV|DEBIAN_FRONTEND|PIP_.*|UV_.*)$`)
	secretEnv  = regexp.MustCompile(`(?i)(^|_)(password|passwd|secret|token|api_?key|private_?key|credentials?)$`)
)

func (d *Draft) setEnv(name, value string) {
	switch {
	case secretEnv.MatchString(name):
		d.note("a secret is not carried over: ENV %s (give it when the container starts)", name)
	case name == "DEBIAN_FRONTEND", name == "PYTHONUNBUFFERED", name == "PYTHONDONTWRITEBYTECODE", name == "LANG", strings.HasPrefix(name, "PIP_"):
		// only for the build, or what forge's images have anyway
	case refusedEnv.MatchString(name), strings.ContainsAny(value, "$\n"):
		d.note("not carried over: ENV %s=%s", name, value)
	default:
		if d.Env == nil {
			d.Env = map[string]string{}
		}
		d.Env[name] = value
	}
}

// maxPorts are as many of one range as a recipe can show to somebody who reads it.
const maxPorts = 100

// portRange reads 8000, 8000/tcp or 8000-8002. Source: Docker's reference of EXPOSE.
func portRange(word string) (first, last int, ok bool) {
	from, to, several := strings.Cut(strings.TrimSuffix(strings.ToLower(word), "/tcp"), "-")
	if !several {
		to = from
	}
	first, err1 := strconv.Atoi(from)
	last, err2 := strconv.Atoi(to)
	return first, last, err1 == nil && err2 == nil && 1 <= first && first <= last && last <= 65535
}

func (f *dockerfile) expose(ports []string) {
	for _, p := range ports {
		for _, word := range strings.Fields(f.expand(p)) {
			first, last, ok := portRange(word)
			switch {
			case !ok:
				f.note("not carried over: EXPOSE %s (a port is TCP's, 1 to 65535)", word)
			case last-first >= maxPorts:
				f.note("not carried over: EXPOSE %s (more than %d ports)", word, maxPorts)
			default:
				for n := first; n <= last; n++ {
					f.Ports = append(f.Ports, n)
				}
			}
		}
	}
}

// user takes a name or number for the image's user; root becomes forge's own.
func (f *dockerfile) user(spec string) {
	name, _, _ := strings.Cut(spec, ":")
	uid, err := strconv.Atoi(name)
	if err == nil {
		name = ""
	} else {
		uid = f.uids[name]
	}
	f.User, f.UID = "", 0
	switch {
	case name == "root" || err == nil && uid == 0:
		f.note("USER %s: the image runs as an ordinary user all the same", spec)
	case name == "" && (uid < 1000 || uid >= 65534), name != "" && !regexp.MustCompile(`^[a-z_][a-z0-9_-]{0,31}$`).MatchString(name), name == "nobody":
		f.note("not carried over: USER %s (the image's user is forge, 1001)", spec)
	default:
		f.User = name
		if uid >= 1000 && uid < 65534 {
			f.UID = uid
		}
	}
}

// copy notes where the files go; a single file gets its place with its name.
func (f *dockerfile) copy(c instructions.SourcesAndDest) {
	for _, s := range c.SourceContents {
		f.note("a file that stands in the Dockerfile is not carried over: %s (make it a file, and copy it)", s.Path)
	}
	dest := f.expand(c.DestPath)
	to := join(f.workdir, dest)
	for _, s := range c.SourcePaths {
		s = f.expand(s)
		if strings.Contains(s, "://") || strings.HasPrefix(s, "git@") {
			f.note("nothing is downloaded by a build: %s (bring it into the recipe's folder, and copy it)", withoutPassword(s))
			continue
		}
		from := strings.TrimPrefix(path.Clean("/"+s), "/")
		if from == "" {
			from = "."
		}
		found, err := fs.Glob(f.files, from)
		if err != nil || len(found) == 0 {
			f.note("not carried over, since it is not there: COPY %s", s)
			continue
		}
		for _, name := range found {
			f.copyOne(name, to, strings.HasSuffix(dest, "/") || strings.HasSuffix(dest, ".") || len(c.SourcePaths)+len(c.SourceContents) > 1 || len(found) > 1 || to == f.workdir)
		}
	}
}

// copyOne copies a folder's contents to a place, or a file to it or below it.
func (f *dockerfile) copyOne(from, to string, below bool) {
	info, err := fs.Stat(f.files, from)
	if err != nil {
		f.note("not carried over: COPY %s", from)
		return
	}
	if !info.IsDir() && below {
		to = path.Join(to, path.Base(from))
	}
	f.copied = append(f.copied, Copy{from, to})
}

// source finds the file of the build context that lies at a place of the image.
func (f *dockerfile) source(name string) string {
	at := join(f.workdir, name)
	for i := len(f.copied) - 1; i >= 0; i-- {
		c := f.copied[i]
		candidate := c.From
		if at != c.To {
			rest, ok := strings.CutPrefix(at, strings.TrimSuffix(c.To, "/")+"/")
			if !ok {
				continue
			}
			candidate = path.Join(c.From, rest)
		}
		if info, err := fs.Stat(f.files, candidate); err == nil && !info.IsDir() {
			return candidate
		}
	}
	return strings.TrimPrefix(path.Clean("/"+name), "/")
}

// argv reads a command line: the JSON form as it is, the shell form when no shell is needed.
func (f *dockerfile) argv(c instructions.ShellDependantCmdLine) []string {
	if !c.PrependShell {
		return c.CmdLine
	}
	line := strings.Join(c.CmdLine, " ")
	if commands := f.commands(line); len(commands) == 1 && !strings.ContainsAny(line, "$`<>*?|&;()~") && !strings.Contains(commands[0][0], "=") {
		return commands[0]
	}
	f.note("a shell is needed for this command, and the image has none: %s", line)
	return nil
}

// finish drops the copies that only pip install needed, and what forge has no place for.
func (f *dockerfile) finish() {
	for _, c := range f.copied {
		switch {
		case f.read[c.From]:
		case c.To == "/":
			f.note("not carried over: COPY %s to / (name a folder)", c.From)
		default:
			f.Copies = append(f.Copies, c)
		}
	}
	if f.Workdir == "/" {
		f.Workdir = ""
	}
}
