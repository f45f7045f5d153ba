package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/forge-build/forge/builder"
	"github.com/forge-build/forge/builder/layer"
	"github.com/forge-build/forge/builder/store"
	"github.com/forge-build/forge/recipes"
	"github.com/forge-build/forge/sbom"
)

// imageView is an image whose layers can be read, until it is closed.
type imageView struct {
	sbom.Image
	closers []io.Closer
}

// Close lets go of the layers.
func (v *imageView) Close() {
	for _, c := range v.closers {
		if c != nil { // its layer was read
			_ = c.Close() // only read
		}
	}
}

// list lists what is in the image; plan is what its maker meant, or nil.
func (v *imageView) list(ctx context.Context, s *store.Store, plan *sbom.Plan) (*sbom.Inventory, error) {
	return sbom.Catalog(ctx, &v.Image, sbom.Options{Tool: sbom.Tool{Name: "forge", Version: version}, Plan: plan, Facts: s})
}

// viewLayout views the image of a layout. A layer that this store has made is read through
// its index, from the store's own bytes; any other is read once from end to end. Only with sums
// has each file of such a layer its own.
func viewLayout(ctx context.Context, s *store.Store, dir, called string, sums bool) (_ *imageView, err error) {
	l, err := builder.ReadLayout(dir)
	if err != nil {
		return nil, err
	}
	dir, _, _ = strings.Cut(strings.TrimPrefix(dir, "oci:"), "@")
	v := newView(l)
	v.Name = cmp.Or(l.Config.Config.Labels["org.opencontainers.image.title"], called, filepath.Base(dir))
	defer func() {
		if err != nil {
			v.Close()
		}
	}()
	n := len(l.Manifest.Layers)
	v.Layers, v.closers = make([]sbom.Layer, n), make([]io.Closer, n)
	err = inOrder(ctx, n, min(runtime.GOMAXPROCS(0), layersAtOnce), func(ctx context.Context, i int) error {
		d := l.Manifest.Layers[i]
		x := &v.Layers[i]
		*x = sbom.Layer{Digest: d.Digest.String(), DiffID: l.Config.RootFS.DiffIDs[i].String(), MediaType: string(d.MediaType), Size: d.Size}
		var err error
		if v.closers[i], err = fill(ctx, s, x, sums, func() (*os.File, error) { return builder.OpenBlob(dir, d.Digest) }); err != nil {
			return fmt.Errorf("reading layer %d of image %q: %w", i+1, dir, err)
		}
		return nil
	})
	return v, err
}

// layersAtOnce bounds how many layers are read at a time: a hostile one takes 80 MB.
const layersAtOnce = 4

// inOrder does something for each of n things, the first of them first and some at a time. Its
// error is that of the first of them that has one, whichever came first: what lies above one
// that failed is ended.
func inOrder(ctx context.Context, n, most int, do func(context.Context, int) error) error {
	var (
		mu     sync.Mutex
		wait   sync.WaitGroup
		next   int
		failed = n // none from here on is begun
		first  error
		stops  = make([]context.CancelFunc, n)
	)
	begin := func() (context.Context, int, bool) {
		mu.Lock()
		defer mu.Unlock()
		if next >= failed || ctx.Err() != nil {
			return nil, 0, false
		}
		var one context.Context
		one, stops[next] = context.WithCancel(ctx)
		next++
		return one, next - 1, true
	}
	end := func(i int, err error) {
		mu.Lock()
		defer mu.Unlock()
		stops[i]()
		if err == nil || i > failed {
			return
		}
		failed, first = i, err
		for _, stop := range stops[i:next] {
			stop()
		}
	}
	for range min(n, most) {
		wait.Go(func() {
			for {
				one, i, ok := begin()
				if !ok {
					return
				}
				end(i, do(one, i))
			}
		})
	}
	wait.Wait()
	return cmp.Or(ctx.Err(), first)
}

func newView(l *builder.Layout) *imageView {
	c := l.Config
	return &imageView{Image: sbom.Image{Digest: l.Digest, MediaType: string(l.Manifest.MediaType), Manifest: l.RawManifest, Config: l.RawConfig,
		Created: c.Created.Time, OS: c.OS, Arch: c.Architecture, Variant: c.Variant, Labels: c.Config.Labels}}
}

// inventory lists what is in a built image, compares it with its plan, and writes the list
// next to the image in some formats; a difference is an *sbom.DifferenceError.
func (w *workshop) inventory(ctx context.Context, plan *builder.Plan, r *builder.Result, at siblings, formats []sbom.Format) (*sbom.Inventory, error) {
	if err := at.removeLists(); err != nil { // of another image, if this fails
		return nil, err
	}
	l, err := builder.ReadLayout(r.Dir)
	if err != nil {
		return nil, err
	}
	expected := planOf(plan, l.Config.RootFS.DiffIDs)
	key, err := inventoryKey(r, expected)
	if err != nil {
		return nil, err
	}
	if inv, docs := keptInventory(w.store, key); inv != nil {
		return inv, docs.save(at, formats)
	}
	v, err := viewLayout(ctx, w.store, r.Dir, "", true) // all formats are kept
	if err != nil {
		return nil, err
	}
	defer v.Close()
	inv, err := v.list(ctx, w.store, expected)
	if err != nil {
		return nil, err
	}
	if len(inv.Differences) > 0 {
		return nil, &sbom.DifferenceError{Image: plan.Image.Name, Differences: inv.Differences}
	}
	docs, err := keepInventory(w.store, key, inv)
	if err != nil {
		return nil, err
	}
	return inv, docs.save(at, formats)
}

// save writes documents next to the image.
func (d documents) save(at siblings, formats []sbom.Format) error {
	for _, f := range formats {
		if err := builder.WriteFile(at.sbom(f), func(w io.Writer) error {
			_, err := w.Write(d[f])
			return err
		}); err != nil {
			return err
		}
	}
	return nil
}

// planOf says of a plan what an inventory is compared with.
func planOf(p *builder.Plan, diffIDs []v1.Hash) *sbom.Plan {
	out := &sbom.Plan{Layers: map[string]string{}, Requirements: map[string][]string{}}
	asks := func(root string, lines []string, files []recipes.RequirementsFile) {
		all := slices.Clone(lines)
		for _, f := range files {
			all = append(all, f.Set.Lines...)
		}
		out.Requirements[root] = all
	}
	asks(environmentRoot(""), p.Image.Python.Requirements, p.Image.Python.Files)
	for _, e := range p.Image.Environments {
		asks(environmentRoot(e.Name), e.Requirements, e.Files)
	}
	for i, l := range p.Layers {
		out.Layers[diffIDs[i].String()] = l.Kind
	}
	for _, x := range p.Lock.Wheels {
		out.Packages = append(out.Packages, sbom.Planned{Type: "python", Name: x.Name, Version: x.Version, Root: environmentRoot(x.Environment), File: x.File, SHA256: x.SHA256,
			Repository: publicIndex(p.Image, x.Index)})
	}
	if p.Lock.Debian != nil {
		for _, x := range p.Lock.Debian.Packages {
			out.Packages = append(out.Packages, sbom.Planned{Type: "deb", Name: x.Name, Version: x.Version, File: path.Base(x.Path), SHA256: x.SHA256})
		}
	}
	return out
}

// environmentRoot is the folder of a recipe's environment; "" is the image's own.
func environmentRoot(name string) string {
	if name == "" {
		return "/opt/venv"
	}
	return "/opt/envs/" + name
}

// publicIndex is the address of an index as the recipe or PyTorch's project publishes it:
// never that of a mirror, nor one with a name in it, which is a secret of who builds.
func publicIndex(im *recipes.Image, index string) string {
	for _, ix := range im.Python.Indexes {
		if u, err := url.Parse(ix.URL); ix.Name == index && ix.URL != "" && err == nil && u.User == nil {
			u.RawQuery, u.Fragment = "", ""
			return u.String()
		}
	}
	if variant, ok := strings.CutPrefix(index, "pytorch-"); ok {
		return "https://download.pytorch.org/whl/" + variant
	}
	return ""
}

// fill finds what a layer holds, which can be read until what it returns is closed. open
// returns its blob, for a layer that must be read.
func fill(ctx context.Context, s *store.Store, x *sbom.Layer, sums bool, open func() (*os.File, error)) (io.Closer, error) {
	ix, err := builder.LayerIndex(s, x.Digest)
	if err != nil {
		return nil, err
	}
	f, _, err := s.Open(strings.TrimPrefix(x.Digest, "sha256:"))
	if errors.Is(err, fs.ErrNotExist) {
		f, err = open()
	}
	if err != nil {
		return nil, err
	}
	if ix == nil || ix.DiffID != x.DiffID {
		defer f.Close() // only read
		c, err := builder.ReadContents(ctx, x.MediaType, f, x.Digest, x.DiffID, sums, "")
		if err != nil {
			return nil, err
		}
		x.Files = filesOf(c.Entries)
		c.Entries = nil // of large images they are as much again
		x.Open = func(n int) (io.Reader, error) { return c.Section(n, x.Files[n].Size), nil }
		return c, nil
	}
	codec, err := layer.CodecOf(x.MediaType)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	x.Files = filesOf(ix.Entries)
	x.Open = func(n int) (io.Reader, error) { return ix.OpenEntry(codec, f, &ix.Entries[n]) }
	return f, nil
}

// filesOf views a layer's entries.
func filesOf(entries []layer.Entry) []sbom.File {
	files := make([]sbom.File, len(entries))
	for i := range entries {
		e := &entries[i]
		files[i] = sbom.File{Path: e.Path, Kind: sbom.Kind(e.Type), Mode: e.Mode, UID: e.UID, GID: e.GID, Size: e.Size, Link: e.Link,
			SHA256: e.SHA256, Owner: e.Owner, ELF: (*sbom.ELF)(e.ELF), Looked: true}
	}
	return files
}
