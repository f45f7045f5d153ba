package main

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/forge-build/forge/builder"
	"github.com/forge-build/forge/builder/base"
	"github.com/forge-build/forge/builder/convert"
	"github.com/forge-build/forge/builder/layer"
	"github.com/forge-build/forge/builder/start"
	"github.com/forge-build/forge/builder/store"
	"github.com/forge-build/forge/recipes"
	"github.com/forge-build/forge/recipes/lock"
)

// unmadeError is a question that only layers answer which this machine has not made.
type unmadeError struct{ error }

func (unmadeError) Hint() string { return "forge build makes them, forge fetch the files for it" }

// contents are the layers of an image that this machine's store has made.
type contents struct {
	im   *recipes.Image
	li   *lock.Image
	made []convert.Made
	all  bool   // every locked layer is among them
	dir  string // the recipe's folder
}

// knownContents finds what the store knows of an image, without making anything.
func knownContents(s *store.Store, dir string, im *recipes.Image, li *lock.Image) (*contents, error) {
	made, err := convert.Known(li, li.Layers, convert.Options{Store: s, Codecs: []layer.Codec{layer.Codec(im.Slim.Codec)}, Slim: im.Slim})
	if err != nil {
		return nil, err
	}
	due := 0
	for _, l := range li.Layers {
		if l.Kind != "bytecode" {
			due++
		}
	}
	return &contents{im, li, made, len(made) == due, dir}, nil
}

// explainFile says where a path of the image comes from, or which rule left it out.
func (c *contents) explainFile(ctx context.Context, w *workshop, name string) (*reason, error) {
	s := w.store
	p := strings.TrimPrefix(path.Clean(name), "/")
	if r := c.ofRecipe(p); r != nil {
		return r, nil
	}
	var below folder
	var found *reason
	for _, m := range c.made {
		for _, x := range m.Removed {
			if x.Path == p {
				return c.removed(x), nil
			}
			if strings.HasPrefix(x.Path, p+"/") {
				below.leftOut(x)
			}
		}
		ix, err := m.LoadIndex(s)
		if err != nil {
			return nil, err
		}
		for i := range ix.Entries {
			e := &ix.Entries[i]
			if e.Path == p && e.Type != layer.Dir {
				if found == nil {
					found = c.entry(e, m)
				} else {
					c.owned(found, ownersOf(e, m)) // the same bytes, in another layer
				}
			}
			if (p == "" || strings.HasPrefix(e.Path, p+"/")) && e.Type == layer.Regular {
				below.add(e, m.Layer.Name)
			}
		}
	}
	if found != nil {
		return found, nil
	}
	for _, l := range c.li.Layers {
		if l.Kind != "bytecode" {
			continue
		}
		for _, blob := range l.Blobs {
			ix, err := builder.LayerIndex(s, blob.Digest)
			if err != nil {
				return nil, err
			}
			if r := c.compiled(ix, l, p); r != nil {
				return r, nil
			}
		}
	}
	if below.files > 0 || len(below.removed) > 0 {
		return below.reason(p), nil
	}
	return c.ofBase(ctx, w, p)
}

// ofRecipe explains what the recipe's own words and forge itself put into the image.
func (c *contents) ofRecipe(p string) *reason {
	within := func(folder string) bool {
		folder = strings.Trim(folder, "/")
		return p == folder || strings.HasPrefix(p, folder+"/")
	}
	for i := len(c.im.Runs) - 1; i >= 0; i-- {
		for _, o := range c.im.Runs[i].Output {
			if within(o) {
				return &reason{What: "path /" + p, Facts: [][2]string{{"layer", "run " + c.im.Runs[i].Name}, {"note", "what a run makes is known once it was built"}}, Because: []string{"recipe → run " + c.im.Runs[i].Name + " → output " + o}}
			}
		}
	}
	for i := len(c.im.Copies) - 1; i >= 0; i-- {
		x := c.im.Copies[i]
		from := filepath.Join(c.dir, filepath.FromSlash(x.From), strings.TrimPrefix(p, strings.Trim(x.To, "/")))
		if _, err := os.Lstat(from); within(x.To) && err == nil {
			return &reason{What: "file /" + p, Facts: [][2]string{{"layer", "copy " + x.From + " to " + x.To}}, Because: []string{"recipe → copy " + x.From}}
		}
	}
	forge := func(layer, why string) *reason {
		return &reason{What: "path /" + p, Facts: [][2]string{{"layer", layer}}, Because: []string{"forge → " + why}}
	}
	switch {
	case "/"+p == start.InitPath:
		return forge("forge-init", "starts every container, and checks driver and GPU")
	case within("usr/lib/forge"):
		return forge("settings", "what the image knows of itself: what it needs, what slim left out")
	case p == "etc/passwd" || p == "etc/group" || p == "etc/shadow" || p == "etc/nsswitch.conf" && c.li.Base == nil:
		return forge("settings", "accounts: the image runs as user "+c.im.User.Name+", "+strconv.Itoa(c.im.User.UID))
	case p == "tmp":
		return forge("settings", "every image has it, writable for all")
	}
	for _, at := range c.im.Writable {
		if within(at) {
			return forge("settings", "the image's user may write there: writable = "+fmt.Sprintf("%q", c.im.Writable))
		}
	}
	envs := []string{"opt/venv"}
	for _, e := range c.im.Environments {
		envs = append(envs, "opt/envs/"+e.Name)
	}
	for _, env := range envs {
		if slices.Contains([]string{"pyvenv.cfg", "bin/python", "bin/python3", "bin/python" + c.li.Python.Version}, strings.TrimPrefix(p, env+"/")) {
			return forge("settings", "makes /"+env+" a virtual environment of "+c.li.Python.Interpreter)
		}
	}
	return nil
}

// compiled explains a compiled module.
func (c *contents) compiled(ix *layer.Index, l lock.Layer, p string) *reason {
	if ix == nil {
		return nil
	}
	for i := range ix.Entries {
		if e := &ix.Entries[i]; e.Path == p && e.Type == layer.Regular {
			return &reason{What: "file /" + p, Facts: [][2]string{{"size", megabytes(e.Size)}, {"sha256", e.SHA256}, {"layer", l.Name}}, Because: []string{"recipe → python → bytecode: the image's interpreter has compiled it"}}
		}
	}
	return nil
}

// ofBase explains what lies in the base image, as far as this machine has it.
func (c *contents) ofBase(ctx context.Context, w *workshop, p string) (*reason, error) {
	if c.im.Base == nil {
		return nil, nil
	}
	b, err := base.Read(ctx, c.im, base.Options{Store: w.store, Fetch: w.fetcher, Dir: c.dir})
	if err != nil {
		return nil, err
	}
	found := b.Find(p)
	if found == nil {
		return nil, nil
	}
	r := &reason{What: fmt.Sprintf("%s /%s", map[bool]string{true: "folder", false: "file"}[found.Type == layer.Dir], p),
		Facts: [][2]string{{"kind", fmt.Sprintf("%s, mode %04o", found.Type, found.Mode)}}, Because: []string{"recipe → base " + c.li.Base.Reference}}
	if found.Type == layer.Regular {
		r.Facts = append(r.Facts, [2]string{"size", fmt.Sprintf("%s (%d bytes)", megabytes(found.Size), found.Size)})
	}
	if found.Link != "" {
		r.Facts = append(r.Facts, [2]string{"points to", found.Link})
	}
	r.Facts = append(r.Facts, [2]string{"layer", found.Layer})
	return r, nil
}

// entry explains a file that is in the image.
func (c *contents) entry(e *layer.Entry, m convert.Made) *reason {
	r := &reason{What: fmt.Sprintf("file /%s", e.Path), Facts: [][2]string{{"kind", fmt.Sprintf("%s, mode %04o", e.Type, e.Mode)}}}
	if e.Type == layer.Regular {
		r.Facts = append(r.Facts, [2]string{"size", fmt.Sprintf("%s (%d bytes)", megabytes(e.Size), e.Size)})
	}
	if e.SHA256 != "" {
		r.Facts = append(r.Facts, [2]string{"sha256", e.SHA256})
	}
	if e.Link != "" {
		r.Facts = append(r.Facts, [2]string{"points to", e.Link})
	}
	r.Facts = append(r.Facts, [2]string{"layer", m.Layer.Name})
	if elf := e.ELF; elf != nil && len(elf.Needed) > 0 {
		r.Facts = append(r.Facts, [2]string{"needs", strings.Join(elf.Needed, " ")})
	}
	c.owned(r, ownersOf(e, m))
	return r
}

// ownersOf are the wheels or packages of a layer that bring a file.
func ownersOf(e *layer.Entry, m convert.Made) []string {
	for _, x := range m.Shared {
		if x.Path == e.Path {
			return x.Owners
		}
	}
	return []string{e.Owner}
}

// bare is an owner's name, without the word that says what it is: "wheel:torch".
func bare(owner string) string {
	_, name, found := strings.Cut(owner, ":")
	if !found {
		return owner
	}
	return name
}

// removed explains a file that slim left out.
func (c *contents) removed(x convert.Removed) *reason {
	r := &reason{What: "file /" + x.Path, Facts: [][2]string{{"left out", fmt.Sprintf("by slim's rule %q, %s", x.Rule, megabytes(x.Size))}}}
	for _, rule := range convert.Rules() {
		if rule.Name == x.Rule {
			r.Facts = append(r.Facts, [2]string{"why", rule.Why})
		}
	}
	c.owned(r, []string{x.Owner})
	return r
}

// owned adds who brings a file, and who asked for them.
func (c *contents) owned(r *reason, owners []string) {
	for _, o := range owners {
		if o == "" {
			continue
		}
		for _, why := range explain(c.li, bare(o)) {
			if strings.HasPrefix(why.What, "wheel ") || strings.HasPrefix(why.What, "package ") {
				r.Facts = append(r.Facts, [2]string{"from", why.What})
				r.Because = append(r.Because, why.Because...)
			}
		}
	}
}

// folder sums up what lies below a path.
type folder struct {
	files  int
	bytes  int64
	owners map[string]int64
	layers []string

	removed map[string]builder.RemovedByRule
}

func (f *folder) leftOut(x convert.Removed) {
	if f.removed == nil {
		f.removed = map[string]builder.RemovedByRule{}
	}
	f.removed[x.Rule] = builder.RemovedByRule{Rule: x.Rule, Files: f.removed[x.Rule].Files + 1, Bytes: f.removed[x.Rule].Bytes + x.Size}
}

func (f *folder) add(e *layer.Entry, name string) {
	if f.owners == nil {
		f.owners = map[string]int64{}
	}
	f.files++
	f.bytes += e.Size
	f.owners[bare(e.Owner)] += e.Size
	if !slices.Contains(f.layers, name) {
		f.layers = append(f.layers, name)
	}
}

func (f *folder) reason(p string) *reason {
	r := &reason{What: "folder /" + p}
	if f.files > 0 {
		r.Facts = append(r.Facts, [2]string{"size", fmt.Sprintf("%s in %s", megabytes(f.bytes), count(f.files, "file"))})
	}
	names := slices.SortedFunc(maps.Keys(f.owners), func(a, b string) int {
		return cmp.Or(cmp.Compare(f.owners[b], f.owners[a]), strings.Compare(a, b))
	})
	for i, n := range names {
		if i == 10 {
			r.Facts = append(r.Facts, [2]string{"from", fmt.Sprintf("%d more", len(names)-i)})
			break
		}
		r.Facts = append(r.Facts, [2]string{"from", cmp.Or(n, "forge") + " " + megabytes(f.owners[n])})
	}
	if len(f.layers) > 10 {
		f.layers = append(f.layers[:10], "…")
	}
	if len(f.layers) > 0 {
		r.Facts = append(r.Facts, [2]string{"layers", strings.Join(f.layers, ", ")})
	}
	for _, rule := range slices.Sorted(maps.Keys(f.removed)) {
		x := f.removed[rule]
		r.Facts = append(r.Facts, [2]string{"left out", fmt.Sprintf("%s in %s by slim's rule %q", megabytes(x.Bytes), count(x.Files, "file"), rule)})
	}
	return r
}

// explainRule says what a rule of slim leaves out, and of this image if it is known.
func (c *contents) explainRule(name string) *reason {
	for _, rule := range convert.Rules() {
		if rule.Name != name {
			continue
		}
		r := &reason{What: "slim rule " + name, Facts: [][2]string{{"files", rule.What}, {"why", rule.Why}}}
		if !slices.Contains(c.im.Slim.Drop, name) {
			r.Facts = append(r.Facts, [2]string{"state", "the recipe does not name it: slim { drop = [\"" + name + "\"] }"})
			return r
		}
		r.Because = []string{"recipe → slim → " + name}
		if !c.all {
			r.Facts = append(r.Facts, [2]string{"size", "not known before this machine has made the layers"})
			return r
		}
		owners := map[string]int64{}
		var sum builder.RemovedByRule
		for _, m := range c.made {
			for _, x := range m.Removed {
				if x.Rule == name {
					owners[x.Owner] += x.Size
					sum.Files++
					sum.Bytes += x.Size
				}
			}
		}
		r.Facts = append(r.Facts, [2]string{"left out", fmt.Sprintf("%s in %s", megabytes(sum.Bytes), count(sum.Files, "file"))})
		for _, o := range slices.SortedFunc(maps.Keys(owners), func(a, b string) int { return cmp.Compare(owners[b], owners[a]) }) {
			r.Facts = append(r.Facts, [2]string{"of", o + " " + megabytes(owners[o])})
		}
		return r
	}
	return nil
}

// slim is what the recipe's rules leave out, if the store knows it of every layer.
func (c *contents) slim() []builder.RemovedByRule {
	if !c.all {
		return nil
	}
	return builder.RemovedBy(c.made)
}
