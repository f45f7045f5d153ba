package recipes

import (
	"os"
	"path"
	"regexp"
	"slices"
	"sort"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/forge-build/forge/recipes/cuda"
)

var (
	imageName   = regexp.MustCompile(`^[a-z0-9]([a-z0-9._-]{0,126}[a-z0-9])?$`)
	userName    = regexp.MustCompile(`^[a-z_][a-z0-9_-]{0,31}$`)
	packageName = regexp.MustCompile(`^[a-z0-9][a-z0-9+.-]+$`)
	variable    = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
	tag         = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$`)
	repository  = regexp.MustCompile(`^[A-Za-z0-9]+([.-][A-Za-z0-9]+|--+[A-Za-z0-9]+)*(:[0-9]{1,5})?(/[a-z0-9]+([._-]+[a-z0-9]+)*)+$`)
	secret      = regexp.MustCompile(`-----BEGIN [A-Z ]*PRIVATE KEY-----|\bgh[pousr]_[A-Za-z0-9]{30,}|\bglpat-[A-Za-z0-9_-]{20,}|\bhf_[A-Za-z0-9]{30,}|\bAKIA[0-9A-Z]{16}\b|\bsk-[A-Za-z0-9]{32,}|\bxox[abp]-[A-Za-z0-9-]{10,}`)
	secretName  = regexp.MustCompile(`(?i)(^|_)(password|passwd|secret|token|api_?key|private_?key|credentials?)$`)
)

// Suites are the Debian releases that forge knows, with the Python that each has.
// Source: packages python3 of each suite.
var Suites = map[string]string{"trixie": "3.13"}

// SlimRules are the names of the rules by which slim leaves files out; builder/convert says
// what each means.
var SlimRules = []string{"build-files", "cudnn-adv", "cudnn-precompiled-engines", "cusolver-mg", "docs", "headers", "nvrtc-alt", "static-libraries", "tests", "triton-amd"}

// Groups are the supplementary groups that an image's user may have.
var Groups = []string{"audio", "render", "users", "video"}

// image reads one image block.
func (d *decoder) image(b *hclsyntax.Block) *Image {
	w := d.words(b, "")
	im := &Image{}
	if len(b.Labels) != 1 {
		d.mistake(b.DefRange(), "Image without a name", `Write image "name" { … }.`)
		return im
	}
	im.Name = b.Labels[0]
	if !imageName.MatchString(im.Name) {
		d.mistake(b.LabelRanges[0], "Invalid image name", "%q: small letters, digits, and . _ - inside.", cut(im.Name))
	}
	var at hcl.Range
	if im.Repository, at = w.text("repository", ""); im.Repository != "" && !repository.MatchString(im.Repository) {
		d.mistake(at, "Invalid repository", "%+q: host/name is due, without tag or digest.", cut(im.Repository))
	}
	d.tags(w, im)
	im.Platform, at = w.text("platform", "linux/amd64")
	if im.Platform != "linux/amd64" && im.Platform != "linux/arm64" {
		d.mistake(at, "Unknown platform", "%+q: %s", cut(im.Platform), nearest(im.Platform, []string{"linux/amd64", "linux/arm64"}))
	}
	d.pytorch(w, im)
	d.python(w, im)
	d.base(w, im)
	d.user(w, im)
	d.copies(w, im)
	if im.Workdir, at = w.text("workdir", ""); im.Workdir != "" {
		d.absolute(at, "workdir", im.Workdir)
	}
	im.Entrypoint, _ = d.argv(w, "entrypoint")
	im.Command, _ = d.argv(w, "command")
	im.Env = d.variables(w)
	if im.Labels, at = w.texts("labels"); im.Labels != nil {
		for _, k := range sortedKeys(im.Labels) {
			d.plain(at, "label "+k, k)
			d.plain(at, "label "+k, im.Labels[k])
		}
	}
	im.Ports, _ = w.numbers("ports")
	d.writable(w, im)
	d.start(w, im)
	d.slim(w, im)
	d.environments(w, im)
	d.runs(w, im)
	d.tests(w, im)
	d.sign(w, im)
	d.vulnerabilities(w, im)
	w.done()
	d.sources(im)
	d.stack(im)
	return im
}

func (d *decoder) tags(w *words, im *Image) {
	tags, at := w.list("tags")
	for i, t := range tags {
		if !tag.MatchString(t) {
			d.mistake(at[i], "Invalid tag", "%+q: letters, digits, and . _ - after the first; at most 128.", cut(t))
		}
	}
	im.Tags = tags
}

func (d *decoder) pytorch(w *words, im *Image) {
	b := w.one("pytorch", 0)
	if b == nil {
		return
	}
	p := d.words(b, "pytorch.")
	t := &PyTorch{}
	var at hcl.Range
	if t.Version, at = p.text("version", ""); t.Version != "" && !regexp.MustCompile(`^[0-9]+\.[0-9]+(\.[0-9]+)?$`).MatchString(t.Version) {
		d.mistake(at, "Invalid torch version", "%+q: write it as 2.9.1; the CUDA variant goes into cuda.", cut(t.Version))
	}
	if t.CUDA, at = p.text("cuda", ""); t.CUDA != "" && t.CUDA != "cpu" && !regexp.MustCompile(`^[0-9]{2}\.[0-9]+$`).MatchString(t.CUDA) {
		d.mistake(at, "Invalid CUDA version", "%+q: write it as 12.8, or cpu.", cut(t.CUDA))
	}
	gpus, places := p.list("gpus")
	for i, g := range gpus {
		c, err := cuda.ParseGPU(g)
		if err != nil {
			d.mistake(places[i], "Unknown GPU", "%s.", err)
			continue
		}
		t.GPUs = append(t.GPUs, c.String())
	}
	sort.Strings(t.GPUs)
	t.GPUs = slices.Compact(t.GPUs)
	driver, at := p.text("driver", "")
	if driver != "" {
		v, ok := strings.CutPrefix(strings.TrimSpace(driver), ">=")
		if _, err := cuda.ParseVersion(strings.TrimSpace(v)); err != nil || !ok {
			d.mistake(at, "Invalid driver version", `%+q: write the oldest driver of the fleet as ">= 525.60.13".`, cut(driver))
		} else {
			t.Driver = strings.TrimSpace(v)
		}
	}
	p.done()
	im.PyTorch = t
}

func (d *decoder) python(w *words, im *Image) {
	b := w.one("python", 0)
	if b == nil {
		return
	}
	p := d.words(b, "python.")
	im.Python.Version, _ = p.text("version", "")
	im.Python.Requirements = d.requirements(p)
	im.Python.Files = d.files(p)
	d.indexes(p, im)
	d.wheels(p, im)
	d.accepts(p, im)
	im.Python.Bytecode, _ = p.flag("bytecode")
	p.done()
}

func (d *decoder) user(w *words, im *Image) {
	im.User = User{Name: "forge", UID: 1001, Groups: []string{"render", "video"}}
	b := w.one("user", 0)
	if b == nil {
		return
	}
	p := d.words(b, "user.")
	var at hcl.Range
	if im.User.Name, at = p.text("name", im.User.Name); !userName.MatchString(im.User.Name) || im.User.Name == "root" || im.User.Name == "nobody" {
		d.mistake(at, "Invalid user name", "%+q: small letters, digits, _ and -, and not root or nobody.", cut(im.User.Name))
	}
	if im.User.UID, at = p.number("uid", im.User.UID); im.User.UID < 1000 || im.User.UID >= 65534 {
		d.mistake(at, "Invalid uid", "%d: from 1000 to 65533; an image never runs as root.", im.User.UID)
	}
	if groups, places := p.list("groups"); groups != nil {
		for i, g := range groups {
			if !slices.Contains(Groups, g) {
				d.mistake(places[i], "Unknown group", "%+q: %s", cut(g), nearest(g, Groups))
			}
		}
		sort.Strings(groups)
		im.User.Groups = slices.Compact(groups)
	}
	p.done()
}

func (d *decoder) copies(w *words, im *Image) {
	for _, b := range w.blocks("copy", 1) {
		p := d.words(b, "copy.")
		c := Copy{From: path.Clean(b.Labels[0])}
		if b.Labels[0] == "" || path.IsAbs(c.From) || c.From == ".." || strings.HasPrefix(c.From, "../") || strings.ContainsAny(c.From, "\\\x00") {
			d.mistake(b.LabelRanges[0], "Copy from outside", "%+q: a path below the recipe's folder is due.", cut(b.Labels[0]))
		} else if root, err := os.OpenRoot(d.dir); err == nil {
			if _, err := root.Stat(c.From); err != nil {
				d.mistake(b.LabelRanges[0], "Copy of nothing", "%+q is not in the recipe's folder, or is a link out of it.", cut(c.From))
			}
			_ = root.Close() // only looked
		}
		var at hcl.Range
		c.To, at = p.text("to", "")
		d.absolute(at, "to", c.To)
		p.done()
		im.Copies = append(im.Copies, c)
	}
}

// own are the places that forge keeps for itself.
var own = []string{"/usr/lib/forge", "/opt/venv", "/opt/envs", "/proc", "/sys", "/dev"}

// absolute judges a path in the image.
func (d *decoder) absolute(at hcl.Range, what, p string) {
	if !path.IsAbs(p) || path.Clean(p) != p || p == "/" || strings.ContainsAny(p, "\x00\n\\") || len(p) > 1024 {
		d.mistake(at, "Invalid path", "%s %+q: a clean absolute path in the image is due, as /app.", what, cut(p))
		return
	}
	for _, o := range own {
		if p == o || strings.HasPrefix(p, o+"/") {
			d.mistake(at, "Path is taken", "%s %+q: %s is not the recipe's.", what, cut(p), o)
		}
	}
}

// argv reads a command line: no shell sees it, so that every word is taken as it is.
func (d *decoder) argv(w *words, name string) ([]string, hcl.Range) {
	args, at := w.list(name)
	for i, a := range args {
		d.plain(at[i], name, a)
	}
	if len(args) > 0 && args[0] == "" {
		d.mistake(at[0], "Empty command", "%s: its first word is the program.", name)
	}
	return args, w.block.DefRange()
}

// plain refuses what a value of a config cannot hold, and what looks like a secret.
func (d *decoder) plain(at hcl.Range, what, v string) {
	switch {
	case strings.ContainsRune(v, 0):
		d.mistake(at, "NUL in a value", "%s holds a NUL byte.", cut(what))
	case len(v) > 64<<10:
		d.mistake(at, "Value too large", "%s has more than 64 KiB.", cut(what))
	case secret.MatchString(v):
		d.mistake(at, "Secret in the recipe", "%s looks like a token or a private key. Images and locks are no place for secrets: mount them when the container starts.", cut(what))
	}
}

// refused are variables that change what a program loads, or that forge sets from facts.
var refused = regexp.MustCompile(`^(LD_.*|PYTHONPATH|PYTHONHOME|PYTHONSTARTUP|CUDA_VERSION|NVIDIA_.*|FORGE_.*|BASH_ENV|ENV|PATH|VIRTUAL_ENV)$`)

// variables reads env.
func (d *decoder) variables(w *words) map[string]string {
	env, at := w.texts("env")
	for _, k := range sortedKeys(env) {
		switch v := env[k]; {
		case !variable.MatchString(k):
			d.mistake(at, "Invalid variable name", "%+q: letters, digits and _ are due.", cut(k))
		case refused.MatchString(k):
			d.mistake(at, "Variable is not the recipe's", "%s decides what programs load, or is set by forge from facts.", k)
		case strings.ContainsAny(v, "\n\r"):
			d.mistake(at, "Line feed in a value", "env %s holds a line feed.", k)
		case secretName.MatchString(k) && v != "":
			d.mistake(at, "Secret in the recipe", "env %s has a secret's name. Give it when the container starts.", k)
		default:
			d.plain(at, "env "+k, v)
		}
	}
	return env
}

func (d *decoder) writable(w *words, im *Image) {
	paths, at := w.list("writable")
	for i, p := range paths {
		d.absolute(at[i], "writable", p)
	}
	im.Writable = paths
	if len(paths) == 0 {
		im.Writable = []string{"/cache"}
	}
}

func (d *decoder) start(w *words, im *Image) {
	im.Start = Start{NoGPU: "stop", NoDriver: "stop", OldDriver: "stop", NoCode: "stop", Root: "stop"}
	b := w.one("start", 0)
	if b == nil {
		return
	}
	p := d.words(b, "start.")
	for _, o := range []struct {
		name string
		to   *string
		may  []string
	}{
		{"no_gpu", &im.Start.NoGPU, []string{"stop", "warn", "cpu"}}, {"no_driver", &im.Start.NoDriver, []string{"stop", "warn"}},
		{"old_driver", &im.Start.OldDriver, []string{"stop", "warn"}}, {"no_code", &im.Start.NoCode, []string{"stop", "warn"}}, {"root", &im.Start.Root, []string{"stop", "warn"}},
	} {
		v, at := p.text(o.name, "stop")
		if !slices.Contains(o.may, v) {
			d.mistake(at, "Unknown outcome", "%s = %+q: %s", o.name, cut(v), nearest(v, o.may))
		}
		*o.to = v
	}
	p.done()
}

func (d *decoder) slim(w *words, im *Image) {
	im.Slim.Codec = "zstd"
	b := w.one("slim", 0)
	if b == nil {
		return
	}
	p := d.words(b, "slim.")
	drop, places := p.list("drop")
	for i, r := range drop {
		if !slices.Contains(SlimRules, r) {
			d.mistake(places[i], "Unknown rule", "%+q: %s", cut(r), nearest(r, SlimRules))
		}
	}
	sort.Strings(drop)
	im.Slim.Drop = slices.Compact(drop)
	im.Slim.Keep, places = p.list("keep")
	for i, k := range im.Slim.Keep {
		if _, err := path.Match(strings.ReplaceAll(k, "**", "*"), ""); err != nil || path.IsAbs(k) || strings.Contains(k, "..") {
			d.mistake(places[i], "Invalid pattern", "%+q: a glob below site-packages is due, as nvidia/*/include/**.", cut(k))
		}
	}
	var at hcl.Range
	if im.Slim.Codec, at = p.text("codec", "zstd"); im.Slim.Codec != "zstd" && im.Slim.Codec != "gzip" {
		d.mistake(at, "Unknown codec", "%+q: %s", cut(im.Slim.Codec), nearest(im.Slim.Codec, []string{"zstd", "gzip"}))
	}
	p.done()
}

// stack asks the tables whether what the recipe wants can exist.
func (d *decoder) stack(im *Image) {
	p := im.PyTorch
	if p == nil || d.diags.HasErrors() {
		return
	}
	python := im.Python.Version
	if python == "" && im.Debian != nil {
		python = Suites[im.Debian.Suite]
	}
	r := cuda.Check(cuda.Stack{Torch: p.Version, CUDA: p.CUDA, Arch: im.Platform, Python: python, GPUs: p.GPUs, Driver: p.Driver})
	im.Notes = append(r.Warnings, r.Unknown...)
	for _, problem := range r.Problems {
		at, ok := d.places["pytorch."+problem.Field]
		if problem.Field == "python" {
			at, ok = d.places["python.version"]
		}
		if !ok {
			at = d.places["pytorch"]
		}
		d.mistake(at, problem.Summary, "%s", problem.Detail)
	}
}
