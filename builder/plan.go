package builder

import (
	"fmt"
	"path"
	"sort"
	"strconv"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/forge-build/forge/builder/base"
	"github.com/forge-build/forge/builder/convert"
	"github.com/forge-build/forge/builder/start"
	"github.com/forge-build/forge/recipes"
	"github.com/forge-build/forge/recipes/lock"
)

// Plan says what an image will be. It is a pure function of recipe and lock: no clock,
// network or disk.
type Plan struct {
	Image  *recipes.Image
	Lock   *lock.Image
	Layers []PlannedLayer // in the order of the image, the lowest first
	Config v1.ConfigFile  // without RootFS and with one History entry for each layer
	Start  start.Config
	Steps  string // "sha256:…" of the LLB of its runs and tests; empty without any
}

// PlannedLayer is one layer of a plan.
type PlannedLayer struct {
	Kind string      // "debian", "base", "wheels", "bytecode", "init", "settings", "copy", "run"
	Name string      // unique in the image
	Lock *lock.Layer // of a locked layer
	Copy *recipes.Copy
	Run  *recipes.Run
}

// converts are the layers that are made of locked wheels and packages.
func (p *Plan) converts() []lock.Layer {
	var locked []lock.Layer
	for _, l := range p.Layers {
		if l.Kind == "wheels" || l.Kind == "debian" {
			locked = append(locked, *l.Lock)
		}
	}
	return locked
}

// LockError is a lock that contradicts itself or its recipe: somebody edited it.
type LockError struct{ Reason string }

func (e *LockError) Error() string { return e.Reason }

// Hint says what to do.
func (e *LockError) Hint() string { return "forge lock writes it anew" }

// New plans an image.
func New(im *recipes.Image, li *lock.Image) (*Plan, error) {
	created, err := time.Parse(time.RFC3339, li.Created)
	if err != nil {
		return nil, fmt.Errorf("planning image %q: %w", im.Name, err)
	}
	if li.Platform != im.Platform {
		return nil, &LockError{fmt.Sprintf("image %q is locked for %s, the recipe says %s", im.Name, li.Platform, im.Platform)}
	}
	if im.Base != nil && (li.Base == nil || li.Base.Reference != im.Base.From) {
		return nil, &LockError{fmt.Sprintf("image %q: the lock names another base than the recipe", im.Name)}
	}
	if err := sameGroups(im, li); err != nil {
		return nil, &LockError{fmt.Sprintf("image %q: %v", im.Name, err)}
	}
	p := &Plan{Image: im, Lock: li, Start: startConfig(im, li)}
	if li.Base != nil {
		for i := range li.Base.Layers {
			p.add(PlannedLayer{Kind: "base", Name: fmt.Sprintf("base %d", i+1), Lock: &li.Base.Layers[i]})
		}
	}
	for i := range li.Layers {
		p.add(PlannedLayer{Kind: li.Layers[i].Kind, Name: li.Layers[i].Name, Lock: &li.Layers[i]})
	}
	p.add(PlannedLayer{Kind: "init", Name: "forge-init"})
	p.add(PlannedLayer{Kind: "settings", Name: "settings"})
	for i := range im.Copies {
		p.add(PlannedLayer{Kind: "copy", Name: "copy " + im.Copies[i].From + " to " + im.Copies[i].To, Copy: &im.Copies[i]})
	}
	for i := range im.Runs {
		p.add(PlannedLayer{Kind: "run", Name: "run " + im.Runs[i].Name, Run: &im.Runs[i]})
	}
	if n := len(p.Layers); n > base.MaxLayers {
		below := 0
		if li.Base != nil {
			below = len(li.Base.Layers)
		}
		return nil, &LockError{fmt.Sprintf("image %q would have %d layers, %d of them its base's; runtimes stop at %d", im.Name, n, below, base.MaxLayers)}
	}
	p.Config = configFile(im, li, created)
	for _, l := range p.Layers {
		p.Config.History = append(p.Config.History, v1.History{Created: v1.Time{Time: created}, CreatedBy: "forge: " + l.Name, Comment: p.comment(l)})
	}
	p.Steps, err = p.steps()
	return p, err
}

func (p *Plan) add(l PlannedLayer) { p.Layers = append(p.Layers, l) }

// sameGroups refuses a lock whose layers are not the ones that its members give.
func sameGroups(im *recipes.Image, li *lock.Image) error {
	var locked []lock.Layer
	compiled := map[string]bool{}
	for _, l := range li.Layers {
		if l.Kind == "bytecode" {
			compiled[l.Name+" "+strings.Join(l.Members, " ")] = true
			continue
		}
		locked = append(locked, l)
	}
	groups := convert.Group(li)
	if len(groups) != len(locked) {
		return fmt.Errorf("the lock has %d layers, its members make %d; forge lock writes it anew", len(locked), len(groups))
	}
	for i, g := range groups {
		if g.Name != locked[i].Name || strings.Join(g.Members, " ") != strings.Join(locked[i].Members, " ") {
			return fmt.Errorf("layer %q of the lock is not what its members make (%q); forge lock writes it anew", locked[i].Name, g.Name)
		}
	}
	return sameBytecode(im, li, compiled)
}

// sameBytecode refuses a lock without the byte-code that the recipe wants, or with other.
func sameBytecode(im *recipes.Image, li *lock.Image, locked map[string]bool) error {
	var due []compilation
	if im.Python.Bytecode {
		due = lockedCompilations(im, li)
	}
	for _, c := range due {
		if !locked[c.layer.Name+" "+strings.Join(c.layer.Members, " ")] {
			return fmt.Errorf("layer %q is not locked as its members make it; forge lock writes it anew", c.layer.Name)
		}
	}
	if len(due) != len(locked) {
		return fmt.Errorf("the lock has %d layers of byte-code, the recipe makes %d; forge lock writes it anew", len(locked), len(due))
	}
	return nil
}

// comment names what is in a layer, for its history.
func (p *Plan) comment(l PlannedLayer) string {
	if l.Lock == nil || l.Kind != "wheels" {
		return ""
	}
	var names []string
	for _, sum := range l.Lock.Members {
		for _, w := range p.Lock.Wheels {
			if w.SHA256 == sum && w.Environment == l.Lock.Environment {
				names = append(names, w.Name+" "+w.Version)
			}
		}
	}
	return strings.Join(names, ", ")
}

func startConfig(im *recipes.Image, li *lock.Image) start.Config {
	d := li.Derived
	c := start.Config{CUDA: d.CUDA, Driver: d.Driver, Recommended: d.Recommended, SM: d.SM, PTX: d.PTX, Outcomes: map[start.Outcome]start.Action{
		start.Root: start.Action(im.Start.Root), start.NoGPU: start.Action(im.Start.NoGPU), start.NoDriver: start.Action(im.Start.NoDriver),
		start.OldDriver: start.Action(im.Start.OldDriver), start.NoCode: start.Action(im.Start.NoCode),
	}}
	return c
}

// caches are the variables that name a folder which a program fills.
var caches = map[string]string{
	"TRITON_CACHE_DIR": "triton", "TORCHINDUCTOR_CACHE_DIR": "inductor", "TORCH_HOME": "torch", "MPLCONFIGDIR": "matplotlib",
	"HF_HOME": "huggingface", "XDG_CACHE_HOME": "xdg", "NUMBA_CACHE_DIR": "numba", "CUDA_CACHE_PATH": "cuda", "HOME": "home",
}

func configFile(im *recipes.Image, li *lock.Image, created time.Time) v1.ConfigFile {
	env := map[string]string{
		"PATH": "/opt/venv/bin:/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8", "VIRTUAL_ENV": "/opt/venv",
		"SSL_CERT_FILE": "/etc/ssl/certs/ca-certificates.crt", "PYTHONDONTWRITEBYTECODE": "1", "PYTHONUNBUFFERED": "1",
	}
	if b := li.Base; b != nil && im.Base != nil {
		delete(env, "SSL_CERT_FILE")
		if b.CA != "" {
			env["SSL_CERT_FILE"] = b.CA
		}
		for _, e := range b.Env {
			name, value, _ := strings.Cut(e, "=")
			switch _, ours := env[name]; {
			case name == "PATH":
				env["PATH"] = "/opt/venv/bin:" + value
			case !ours || name == "LANG" || name == "SSL_CERT_FILE":
				env[name] = value
			}
		}
	}
	for name, dir := range caches {
		env[name] = path.Join(im.Writable[0], dir)
	}
	labels := map[string]string{"org.opencontainers.image.title": im.Name, "org.opencontainers.image.created": li.Created}
	if b := li.Base; b != nil && im.Base != nil {
		labels["org.opencontainers.image.base.digest"] = b.Manifest
		if _, layout := im.Base.Layout(); !layout {
			place, _, _ := strings.Cut(b.Reference, "@")
			labels["org.opencontainers.image.base.name"] = place
		}
	}
	d := li.Derived
	if d.CUDA != "" {
		env["NVIDIA_VISIBLE_DEVICES"], env["NVIDIA_DRIVER_CAPABILITIES"] = "all", "compute,utility"
		env["NVIDIA_REQUIRE_DRIVER"] = "driver>=" + d.Driver
		for name, v := range map[string]string{"cuda": d.CUDA, "driver.minimum": d.Driver, "driver.recommended": d.Recommended,
			"sm": strings.Join(d.SM, " "), "ptx": strings.Join(d.PTX, " "), "torch": d.Torch} {
			if v != "" {
				labels["dev.forge."+name] = v
			}
		}
	}
	for k, v := range im.Env {
		env[k] = v
	}
	for k, v := range im.Labels {
		labels[k] = v
	}
	c := v1.ConfigFile{
		Architecture: strings.TrimPrefix(im.Platform, "linux/"), OS: "linux", Created: v1.Time{Time: created},
		Config: v1.Config{
			User: strconv.Itoa(im.User.UID), Env: list(env), Labels: labels, WorkingDir: im.Workdir,
			Entrypoint: []string{start.InitPath, "--"}, Cmd: append(append([]string{}, im.Entrypoint...), im.Command...),
		},
	}
	if len(c.Config.Cmd) == 0 {
		c.Config.Cmd = []string{"python"}
	}
	if c.Config.WorkingDir == "" {
		c.Config.WorkingDir = "/"
	}
	for _, port := range im.Ports {
		if c.Config.ExposedPorts == nil {
			c.Config.ExposedPorts = map[string]struct{}{}
		}
		c.Config.ExposedPorts[fmt.Sprintf("%d/tcp", port)] = struct{}{}
	}
	return c
}

func list(env map[string]string) []string {
	var out []string
	for k, v := range env {
		out = append(out, k+"="+v)
	}
	sort.Strings(out)
	return out
}
