package base

import (
	"context"
	"fmt"
	"path"
	"sort"
	"strings"

	"github.com/forge-build/forge/builder/fetch"
	"github.com/forge-build/forge/builder/layer"
	"github.com/forge-build/forge/builder/store"
	"github.com/forge-build/forge/recipes"
	"github.com/forge-build/forge/recipes/lock"
)

// MaxLayers is how many layers an image may have in all. Source: overlay mounts of Docker and
// containers/storage stop between 125 and 128.
const MaxLayers = 125

// own is how many of them forge keeps for a base's image at least: the start program,
// settings, and a few for wheels and files.
const own = 25

// Options says what reading a base may use.
type Options struct {
	Store    *store.Store
	Fetch    *fetch.Fetcher
	Dir      string       // the recipe's folder, for layouts
	Progress func(string) // may be nil
}

// Image is a base that was read, all of it.
type Image struct {
	Lock   lock.Base
	Python lock.Python
	tree   *tree
}

// Error is a base that breaks a rule; nothing of it is used.
type Error struct {
	ID     string // "OCI-02"
	Path   string // the reference
	Entry  string // the digest or file concerned, or empty
	Reason string
}

func (e *Error) Error() string { return e.Path + ": " + e.ID + ": " + e.Reason }

// UnfitError is a sound base that cannot carry this image, with the fact that says so.
type UnfitError struct {
	From   string
	Reason string
}

func (e *UnfitError) Error() string { return fmt.Sprintf("base %q: %s", e.From, e.Reason) }

// Read reads the base of an image.
func Read(ctx context.Context, im *recipes.Image, o Options) (*Image, error) {
	r := &reader{im: im, from: im.Base.From, o: o}
	if o.Progress == nil {
		r.o.Progress = func(string) {}
	}
	b := &Image{Lock: lock.Base{Reference: r.from}}
	m, err := r.manifest(ctx, &b.Lock)
	if err != nil {
		return nil, err
	}
	c, err := r.config(ctx, m, &b.Lock)
	if err != nil {
		return nil, err
	}
	if b.tree, err = r.layers(ctx, m, c, &b.Lock); err != nil {
		return nil, err
	}
	env, err := r.variables(c, &b.Lock)
	if err != nil {
		return nil, err
	}
	if err := r.ownPaths(b.tree); err != nil {
		return nil, err
	}
	if b.Python, err = r.interpreter(b.tree, env["PATH"]); err != nil {
		return nil, err
	}
	if err := r.libraries(b.tree, &b.Lock); err != nil {
		return nil, err
	}
	b.Lock.CUDA = b.CUDA().Version
	return b, nil
}

// reader is one base on its way.
type reader struct {
	im   *recipes.Image
	from string
	o    Options
}

func (r *reader) refuse(id, entry, format string, args ...any) error {
	return &Error{ID: id, Path: r.from, Entry: entry, Reason: fmt.Sprintf(format, args...)}
}

func (r *reader) unfit(format string, args ...any) error {
	return &UnfitError{From: r.from, Reason: fmt.Sprintf(format, args...)}
}

// layers brings each layer into the store, checks it and merges what they hold.
func (r *reader) layers(ctx context.Context, m *manifest, c *config, l *lock.Base) (*tree, error) {
	t := newTree(r.from)
	for i, d := range m.Layers {
		codec, err := layer.CodecOf(d.MediaType)
		if err != nil {
			return nil, fmt.Errorf("base %q, layer %d: %w", r.from, i+1, err)
		}
		r.o.Progress(fmt.Sprintf("reading layer %d of %d of the base", i+1, len(m.Layers)))
		if _, err := r.o.Fetch.Blob(ctx, r.im.Base, r.o.Dir, d.Digest, d.Size); err != nil {
			return nil, err
		}
		rec, err := r.check(ctx, d, codec)
		if err != nil {
			return nil, fmt.Errorf("base %q, layer %d: %w", r.from, i+1, err)
		}
		if rec.DiffID != c.RootFS.DiffIDs[i] {
			return nil, r.refuse("OCI-05", d.Digest, "layer %d is %s unpacked, its config says %+q", i+1, rec.DiffID, cut(c.RootFS.DiffIDs[i]))
		}
		if err := t.apply(i, rec); err != nil {
			return nil, err
		}
		l.Layers = append(l.Layers, lock.Layer{Kind: "base", Name: fmt.Sprintf("base %d", i+1), DiffID: rec.DiffID, Unpacked: rec.Unpacked,
			MediaType: d.MediaType, Blobs: map[string]lock.Blob{string(codec): {Digest: d.Digest, Size: d.Size}}})
	}
	return t, nil
}

// variables says which of the base's are kept: all but those that decide what programs load,
// those that forge sets from facts, and secrets.
func (r *reader) variables(c *config, l *lock.Base) (map[string]string, error) {
	env := map[string]string{}
	for _, e := range c.Config.Env {
		name, value, ok := strings.Cut(e, "=")
		_, twice := env[name]
		if !ok || name == "" || twice || len(e) > 64<<10 || strings.ContainsAny(e, "\x00\n\r") {
			return nil, r.refuse("OCI-05", "", "variable %+q of its config is malformed, too large or there twice", cut(e))
		}
		env[name] = value
	}
	if len(env) > 512 {
		return nil, r.refuse("OCI-05", "", "its config has %d variables, the limit is 512", len(env))
	}
	for name, value := range env {
		if name != "PATH" && (recipes.Withheld(name) || recipes.Secret(name, value)) {
			l.Removed = append(l.Removed, name)
			continue
		}
		l.Env = append(l.Env, name+"="+value)
	}
	sort.Strings(l.Env)
	sort.Strings(l.Removed)
	return env, nil
}

// Found is a file, link or folder of a base.
type Found struct {
	Type  layer.Type
	Mode  int64
	Size  int64  // bytes of a file
	Link  string // of a symbolic link
	Layer string // the layer's name in the lock
}

// Find looks for a path, absolute or not; nil when the base does not have it.
func (b *Image) Find(p string) *Found {
	p = strings.Trim(path.Clean(p), "/")
	e := b.tree.nodes[p]
	if e == nil {
		return nil
	}
	return &Found{Type: e.Type, Mode: e.Mode, Size: e.Size, Link: e.Link, Layer: b.Lock.Layers[b.tree.layer[p]].Name}
}

// kept are the places that forge writes, which a base must leave free.
var kept = []string{"opt/venv", "opt/envs", "usr/lib/forge"}

func (r *reader) ownPaths(t *tree) error {
	for _, p := range kept {
		if t.nodes[p] != nil {
			return r.unfit("it has something at /%s, which is forge's own place; was it made by forge? Take its base instead", p)
		}
	}
	return t.free(append([]string{"etc/passwd", "etc/group", "etc/shadow", "tmp/x"}, kept...))
}

// Free says whether files may be put at paths, absolute ones: the folders above are folders
// in the base or not there. Behind a symbolic link runtimes would disagree about the place.
func (b *Image) Free(paths []string) error {
	var list []string
	for _, p := range paths {
		list = append(list, strings.Trim(path.Clean(p), "/"))
	}
	return b.tree.free(list)
}

func cut(s string) string {
	if len(s) > 120 {
		return s[:120] + "…"
	}
	return s
}
