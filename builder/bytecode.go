package builder

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path"
	"sort"
	"strings"

	"github.com/moby/buildkit/client/llb"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/forge-build/forge/builder/convert"
	"github.com/forge-build/forge/builder/layer"
	"github.com/forge-build/forge/recipes"
	"github.com/forge-build/forge/recipes/lock"
)

// compiler is the helper that an image's own interpreter runs.
//
//go:embed compile.py
var compiler string

// bytecodeVersion changes whenever the same layers would give other byte-code.
const bytecodeVersion = 1

// Bounds of what the interpreter may hand back, in bytes.
const (
	maxModule   = 64 << 20
	maxBytecode = 4 << 30
)

// Bytecode makes a layer of compiled Python for each environment of an image, out of its
// checked layers; the first holds the base's own modules too. The modules are compiled by
// the image's interpreter in BuildKit's sandbox: no network, the sources as data, nothing of
// them on sys.path (a wheel's .pth must not run). Each .pyc is an unchecked hash-based one
// (PEP 552), so that its bytes depend on the source, its path and the interpreter alone.
// A module that is none for this Python is left out, as pip does.
//
// What this store has made it remembers, unless again is set.
func (b *Builder) Bytecode(ctx context.Context, im *recipes.Image, li *lock.Image, made []convert.Made, again bool) ([]convert.Made, error) {
	defer b.release()
	return b.bytecode(ctx, im, li, made, again)
}

func (b *Builder) bytecode(ctx context.Context, im *recipes.Image, li *lock.Image, made []convert.Made, again bool) ([]convert.Made, error) {
	var out []convert.Made
	for _, c := range compilations(im, li, made) {
		x, err := b.compile(ctx, c, again)
		if err != nil {
			return nil, fmt.Errorf("making layer %q: %w", c.layer.Name, err)
		}
		out = append(out, *x)
	}
	return out, nil
}

// compilation is one layer of byte-code to make.
type compilation struct {
	im    *recipes.Image
	li    *lock.Image
	layer lock.Layer     // Kind, Name, Environment and Members
	root  []lock.Layer   // the interpreter's
	from  []convert.Made // whose modules are compiled
	under []string       // folders of modules
}

// compilations says what is to be compiled; it looks at names alone.
func compilations(im *recipes.Image, li *lock.Image, made []convert.Made) []compilation {
	var root []lock.Layer
	var base []convert.Made
	if li.Base != nil {
		root = append(root, li.Base.Layers...)
	}
	for _, m := range made {
		if m.Layer.Kind == "debian" {
			root, base = append(root, m.Layer), append(base, m)
		}
	}
	names := []string{""}
	for _, e := range im.Environments {
		names = append(names, e.Name)
	}
	var out []compilation
	for _, env := range names {
		c := compilation{im: im, li: li, root: root, layer: lock.Layer{Kind: "bytecode", Name: "bytecode", Environment: env}}
		if env == "" {
			c.from, c.under = append(c.from, base...), append(c.under, "usr/lib/python3/", "usr/lib/python"+li.Python.Version+"/", "opt/venv/lib/")
		} else {
			c.layer.Name, c.under = env+": bytecode", append(c.under, "opt/envs/"+env+"/lib/")
		}
		for _, m := range made {
			if m.Layer.Kind == "wheels" && m.Layer.Environment == env {
				c.from = append(c.from, m)
			}
		}
		for _, m := range c.from {
			c.layer.Members = append(c.layer.Members, m.Layer.Members...)
		}
		if len(c.from) > 0 {
			out = append(out, c)
		}
	}
	return out
}

// lockedCompilations are the compilations of an image by what its lock claims of its layers.
func lockedCompilations(im *recipes.Image, li *lock.Image) []compilation {
	var made []convert.Made
	for _, l := range li.Layers {
		made = append(made, convert.Made{Layer: l})
	}
	return compilations(im, li, made)
}

// key names everything that decides the layer's bytes, except the codec.
func (c *compilation) key() string {
	h := []string{fmt.Sprint(bytecodeVersion, layer.Format), sumOf([]byte(compiler)), c.li.Platform, c.li.Python.Interpreter, strings.Join(c.under, " ")}
	for _, l := range c.root {
		h = append(h, "root "+l.DiffID)
	}
	for _, m := range c.from {
		h = append(h, "from "+m.Layer.DiffID)
	}
	return sumOf([]byte(strings.Join(h, "\n")))
}

func (b *Builder) compile(ctx context.Context, c compilation, again bool) (*convert.Made, error) {
	unlock, err := b.Store.Lock(ctx, "layer "+c.key())
	if err != nil {
		return nil, err
	}
	defer unlock()
	if !again {
		if made, err := b.compiled(c); made != nil || err != nil {
			return made, err
		}
	}
	modules, sources, err := b.sources(c)
	if err != nil {
		return nil, err
	}
	root, err := b.assemble(v1.ConfigFile{OS: "linux", Architecture: strings.TrimPrefix(c.im.Platform, "linux/")}, c.root, layer.Codec(c.im.Slim.Codec))
	if err != nil {
		return nil, err
	}
	def := compileLLB(c, root.manifest.Digest.String(), sources.manifest.Digest.String())
	h, err := b.harvest(ctx, step{name: "bytecode", platform: c.im.Platform, words: []string{"bytecode"}, images: []*image{root, sources}, result: def, limit: maxBytecode})
	if err != nil {
		return nil, err
	}
	defer h.Close()
	made := &convert.Made{Layer: c.layer}
	if err := b.keep(made, []layer.Codec{layer.Gzip, layer.Zstd}, func(w *layer.Writer) error { return writeBytecode(w, h, modules) }); err != nil {
		return nil, err
	}
	text, err := json.Marshal(made)
	if err != nil {
		return nil, fmt.Errorf("internal error: %w", err)
	}
	return made, b.Store.PutFact("bytecode", c.key(), text)
}

// compiles says, by what the lock claims, whether byte-code of a plan must be made here.
func (b *Builder) compiles(p *Plan) bool {
	if !p.Image.Python.Bytecode {
		return false
	}
	for _, c := range lockedCompilations(p.Image, p.Lock) {
		if made, err := b.compiled(c); made == nil || err != nil {
			return true
		}
	}
	return false
}

// compiled returns the layer that this store has made before; nil when there is none.
func (b *Builder) compiled(c compilation) (*convert.Made, error) {
	text, ok, err := b.Store.Fact("bytecode", c.key())
	if err != nil || !ok {
		return nil, err
	}
	made := &convert.Made{}
	if json.Unmarshal(text, made) != nil {
		return nil, nil // not written by this version: the layer is made again
	}
	if ok, err := b.held(made); !ok || err != nil {
		return nil, err
	}
	made.Layer.Name, made.Layer.Members, made.Reused = c.layer.Name, c.layer.Members, true
	return made, nil
}

// sources makes an image that holds nothing but the modules to compile, and says by path
// who owns each. One that comes with byte-code of its own is left alone.
func (b *Builder) sources(c compilation) (map[string]string, *image, error) {
	modules := map[string]string{}
	var files []source
	for _, m := range c.from {
		found, err := b.modules(c, m)
		if err != nil {
			return nil, nil, err
		}
		files = append(files, found...)
	}
	sort.Slice(files, func(i, j int) bool { return files[i].entry.Path < files[j].entry.Path })
	blobs := map[string]*os.File{}
	defer func() {
		for _, f := range blobs {
			_ = f.Close() // only read
		}
	}()
	l, _, err := own(b.Store, layer.Zstd, func(w *layer.Writer) error {
		for _, s := range files {
			if _, ok := modules[s.entry.Path]; ok {
				continue // of two wheels, and the same
			}
			modules[s.entry.Path] = s.entry.Owner
			if err := b.copyEntry(w, s, layer.Codec(c.im.Slim.Codec), blobs); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, nil, err
	}
	im, err := b.assemble(v1.ConfigFile{OS: "linux", Architecture: strings.TrimPrefix(c.im.Platform, "linux/")}, []lock.Layer{l}, layer.Zstd)
	return modules, im, err
}

// source is a module in a layer.
type source struct {
	index *layer.Index
	entry layer.Entry
}

// modules lists the modules of a layer.
func (b *Builder) modules(c compilation, m convert.Made) ([]source, error) {
	index, err := m.LoadIndex(b.Store)
	if err != nil {
		return nil, err
	}
	compiled := map[string]bool{}
	for _, e := range index.Entries {
		if dir, name := path.Split(e.Path); strings.HasSuffix(dir, "/__pycache__/") {
			stem, _, _ := strings.Cut(name, ".")
			compiled[strings.TrimSuffix(dir, "__pycache__/")+stem+".py"] = true
		}
	}
	var out []source
	for _, e := range index.Entries {
		if e.Type == layer.Regular && strings.HasSuffix(e.Path, ".py") && c.compiles(e.Path) && !compiled[e.Path] {
			out = append(out, source{index, e})
		}
	}
	return out, nil
}

func (c *compilation) compiles(p string) bool {
	for _, dir := range c.under {
		if strings.HasPrefix(p, dir) {
			return true
		}
	}
	return false
}

// copyEntry copies a module from its layer.
func (b *Builder) copyEntry(w *layer.Writer, s source, codec layer.Codec, blobs map[string]*os.File) error {
	sum := strings.TrimPrefix(s.index.Blobs[codec].Digest, "sha256:")
	if blobs[sum] == nil {
		f, _, err := b.Store.Open(sum)
		if err != nil {
			return err
		}
		blobs[sum] = f
	}
	r, err := s.index.Open(codec, blobs[sum], s.entry.Path)
	if err != nil {
		return err
	}
	return w.Add(layer.Header{Path: s.entry.Path, Type: layer.Regular, Mode: 0o644, Size: s.entry.Size, Owner: s.entry.Owner}, r, nil)
}

// compileLLB is the whole step.
func compileLLB(c compilation, root, sources string) llb.State {
	user := c.im.User.UID
	out := llb.Scratch().File(llb.Mkdir("/out", 0o755, llb.WithUIDGID(user, user)))
	run := llb.OCILayout("forge/interpreter@"+root, llb.OCIStore("", "forge"), llb.WithCustomName("the interpreter's root")).Run(
		llb.Args([]string{c.li.Python.Interpreter, "-s", "-S", "-B", "-W", "ignore", "-c", compiler}), llb.Dir("/"), llb.User(fmt.Sprint(user)),
		llb.Network(llb.NetModeNone), llb.IgnoreCache, llb.AddEnv("PYTHONHASHSEED", "0"), llb.AddEnv("LANG", "C.UTF-8"),
		llb.WithCustomName("compile Python "+c.li.Python.Version))
	run.AddMount("/forge/src", llb.OCILayout("forge/sources@"+sources, llb.OCIStore("", "forge"), llb.WithCustomName("the modules")), llb.Readonly)
	return results(run.AddMount("/forge/out", out, llb.SourcePath("/out")))
}

// writeBytecode writes what the interpreter made: __pycache__/*.pyc of known modules, and
// nothing else.
func writeBytecode(w *layer.Writer, h *harvest, modules map[string]string) error {
	var magic []byte
	for _, e := range h.entries {
		_, p, _ := strings.Cut(e.path, "/")
		if e.typ == layer.Dir {
			continue // forge's own parents have one mode
		}
		dir, name := path.Split(p)
		stem, tag, _ := strings.Cut(strings.TrimSuffix(name, ".pyc"), ".")
		owner, known := modules[strings.TrimSuffix(dir, "__pycache__/")+stem+".py"]
		if e.typ != layer.Regular || !known || !strings.HasSuffix(dir, "/__pycache__/") || !strings.HasSuffix(name, ".pyc") || tag == "" || strings.Contains(tag, "opt-") {
			return fmt.Errorf("the interpreter made %s %+q, which is no byte-code of a locked module", e.typ, p)
		}
		if e.size < 17 || e.size > maxModule {
			return fmt.Errorf("the interpreter made %+q of %d bytes", p, e.size)
		}
		// PEP 552: magic number, flags (bit 0: by hash; bit 1: checked), hash of the source.
		head := make([]byte, 16)
		if _, err := h.file.ReadAt(head, e.offset); err != nil {
			return fmt.Errorf("reading byte-code: %w", err)
		}
		if magic == nil {
			magic = bytes.Clone(head[:4])
		}
		if !bytes.Equal(head[:4], magic) || binary.LittleEndian.Uint32(head[4:8]) != 1 {
			return fmt.Errorf("the interpreter made %+q, which is no unchecked byte-code of one Python", p)
		}
		header := layer.Header{Path: p, Type: layer.Regular, Mode: 0o644, Size: e.size, Owner: owner}
		if err := w.Add(header, io.NewSectionReader(h.file, e.offset, e.size), nil); err != nil {
			return err
		}
	}
	if magic == nil {
		return fmt.Errorf("the interpreter compiled none of %d modules", len(modules))
	}
	return nil
}
