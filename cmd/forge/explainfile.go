package main

import (
	"cmp"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/forge-build/forge/builder"
	"github.com/forge-build/forge/builder/convert"
	"github.com/forge-build/forge/builder/layer"
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
	all  bool // every locked layer is among them
}

// knownContents finds what the store knows of an image, without making anything.
func knownContents(s *store.Store, im *recipes.Image, li *lock.Image) (*contents, error) {
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
	return &contents{im, li, made, len(made) == due}, nil
}

// explainFile says where a path of the image comes from, or which rule left it out.
func (c *contents) explainFile(s *store.Store, name string) (*reason, error) {
	p := strings.TrimPrefix(path.Clean(name), "/")
	for _, x := range c.im.Copies {
		if to := strings.Trim(x.To, "/"); p == to || strings.HasPrefix(p, to+"/") {
			return &reason{What: "file /" + p, Facts: [][2]string{{"layer", "copy " + x.From + " to " + x.To}}, Because: []string{"recipe → copy " + x.From}}, nil
		}
	}
	var below folder
	for _, m := range c.made {
		for _, x := range m.Removed {
			if x.Path == p {
				return c.removed(x), nil
			}
			if strings.HasPrefix(x.Path, p+"/") {
				below.leftOut(x)
			}
		}
		ix, err := readIndex(s, m.Index)
		if err != nil {
			return nil, err
		}
		for i := range ix.Entries {
			e := &ix.Entries[i]
			if e.Path == p && e.Type != layer.Dir {
				return c.entry(e, m), nil
			}
			if strings.HasPrefix(e.Path, p+"/") && e.Type == layer.Regular {
				below.add(e, m.Layer.Name)
			}
		}
	}
	if below.files > 0 || len(below.removed) > 0 {
		return below.reason(p), nil
	}
	return nil, nil
}

func readIndex(s *store.Store, sum string) (*layer.Index, error) {
	f, _, err := s.Open(sum)
	if err != nil {
		return nil, err
	}
	defer f.Close() // only read
	return layer.DecodeIndex(f)
}

// entry explains a file that is in the image.
func (c *contents) entry(e *layer.Entry, m convert.Made) *reason {
	r := &reason{What: fmt.Sprintf("file /%s", e.Path), Facts: [][2]string{{"kind", fmt.Sprintf("%s, mode %04o", e.Type, e.Mode)}, {"size", fmt.Sprintf("%s (%d bytes)", megabytes(e.Size), e.Size)}}}
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
	owners := []string{e.Owner}
	for _, x := range m.Shared {
		if x.Path == e.Path {
			owners = x.Owners
		}
	}
	c.owned(r, owners)
	return r
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
		r.Facts = append(r.Facts, [2]string{"size", fmt.Sprintf("%s in %d files", megabytes(f.bytes), f.files)})
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
		r.Facts = append(r.Facts, [2]string{"left out", fmt.Sprintf("%s in %d files by slim's rule %q", megabytes(x.Bytes), x.Files, rule)})
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
		r.Facts = append(r.Facts, [2]string{"left out", fmt.Sprintf("%s in %d files", megabytes(sum.Bytes), sum.Files)})
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
