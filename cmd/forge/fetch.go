package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"github.com/forge-build/forge/builder/fetch"
	"github.com/forge-build/forge/recipes"
	"github.com/forge-build/forge/recipes/lock"
)

type fetchOptions struct {
	selection
	to, from string
}

func newFetch(t *terminal) *cobra.Command {
	var o fetchOptions
	c := &cobra.Command{
		Use:   "fetch RECIPE",
		Short: "Download every locked file into the store or a folder",
		Long: `Fetch downloads each wheel and package that the lock names and checks its sha256.
With --to the files are also put into a folder; with --from they are taken from
one, and nothing is downloaded. forge build --offline then opens no socket.`,
		Example: `  forge fetch recipe.hcl
  forge fetch --to bundle recipe.hcl           # on a host with a network
  forge fetch --from bundle recipe.hcl         # on one without`,
		Args: exactly("RECIPE"),
		RunE: func(c *cobra.Command, args []string) error { return runFetch(c.Context(), t, o, args[0]) },
	}
	f := c.Flags()
	o.selection.flags(c)
	f.StringVar(&o.to, "to", "", "put the files into the folder `DIR` too")
	f.StringVar(&o.from, "from", "", "take the files from the folder `DIR`, and download nothing")
	return c
}

func runFetch(ctx context.Context, t *terminal, o fetchOptions, recipe string) error {
	if o.from != "" {
		if err := there(o.from); err != nil {
			return err
		}
	}
	if o.to != "" && o.from != "" {
		return usageError{errors.New("--to and --from exclude one another")}
	}
	file, images, err := o.load(recipe)
	if err != nil {
		return err
	}
	l, err := readLock(recipe, o.selection)
	if err != nil {
		return err
	}
	w, err := newWorkshop(t, file, o.from != "")
	if err != nil {
		return err
	}
	var all []func(context.Context) error
	var bytes int64
	for _, im := range images {
		li, err := fitting(o.selection, l, file, im)
		if err != nil {
			return err
		}
		for _, a := range artifacts(li) {
			all = append(all, func(ctx context.Context) error {
				return w.bring(o, a, func() error { return w.download(ctx, im, li, a) })
			})
			bytes += max(a.size, 0)
		}
	}
	lacking, err := together(ctx, all)
	if err != nil {
		return err
	}
	if lacking != nil {
		return fmt.Errorf("taking the locked files from %q: %w", o.from, &fetch.OfflineError{Missing: lacking})
	}
	if t.json {
		return t.document(struct {
			Files int   `json:"files"`
			Bytes int64 `json:"bytes"`
		}{len(all), bytes})
	}
	t.result("%s, %s, each with its locked sha256", count(len(all), "file"), megabytes(bytes))
	return nil
}

// downloads is how many files are fetched at a time, as a build does.
const downloads = 4

// together brings files, some at a time, and says in their order what is missing offline. Any
// other error ends it.
func together(ctx context.Context, all []func(context.Context) error) (lacking []string, err error) {
	missing := make([][]string, len(all))
	err = inOrder(ctx, len(all), downloads, func(ctx context.Context, i int) error {
		err := all[i](ctx)
		var offline *fetch.OfflineError
		if errors.As(err, &offline) {
			missing[i] = offline.Missing // the others are looked for, too
			return nil
		}
		return err
	})
	for _, names := range missing {
		for _, name := range names {
			if !slices.Contains(lacking, name) {
				lacking = append(lacking, name)
			}
		}
	}
	return lacking, err
}

// artifact is one locked wheel or package.
type artifact struct {
	wheel *lock.Wheel
	deb   *lock.Deb
	base  string // digest of a base's document or layer
	name  string // of its file
	sum   string
	size  int64
}

func artifacts(li *lock.Image) []artifact {
	var out []artifact
	if b := li.Base; b != nil {
		for _, digest := range []string{b.Index, b.Manifest, b.Config} {
			if digest != "" {
				out = append(out, artifact{base: digest, name: "base-" + digest[7:] + ".json", sum: digest[7:], size: -1})
			}
		}
		for _, l := range b.Layers {
			for _, blob := range l.Blobs {
				out = append(out, artifact{base: blob.Digest, name: "base-" + blob.Digest[7:], sum: blob.Digest[7:], size: blob.Size})
			}
		}
	}
	for i := range li.Wheels {
		w := &li.Wheels[i]
		out = append(out, artifact{wheel: w, name: w.File, sum: w.SHA256, size: w.Size})
	}
	if li.Debian != nil {
		for i := range li.Debian.Packages {
			d := &li.Debian.Packages[i]
			out = append(out, artifact{deb: d, name: path.Base(d.Path), sum: d.SHA256, size: d.Size})
		}
	}
	return out
}

// bring gets one artifact into the store and, with --to, into the folder.
func (w *workshop) bring(o fetchOptions, a artifact, download func() error) error {
	if o.from != "" {
		if err := w.take(filepath.Join(o.from, a.name), a); err != nil {
			return err
		}
	}
	if err := download(); err != nil {
		return err
	}
	if o.to == "" {
		return nil
	}
	if err := os.MkdirAll(o.to, 0o755); err != nil {
		return fmt.Errorf("making the folder: %w", err)
	}
	to := filepath.Join(o.to, a.name)
	if sum, err := fileSum(to); err == nil && sum == a.sum {
		return nil
	}
	return w.store.Place(a.sum, to)
}

// take copies a file of the folder into the store, if its bytes are the locked ones.
func (w *workshop) take(from string, a artifact) error {
	if _, ok, err := w.store.Stat(a.sum); ok || err != nil {
		return err
	}
	f, err := os.Open(from)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // the download says offline what is missing
	}
	if err != nil {
		return fmt.Errorf("taking a file: %w", err)
	}
	defer f.Close()
	p, err := w.store.Create()
	if err != nil {
		return err
	}
	defer p.Abort() // nothing after Commit
	if _, err := io.Copy(p, io.LimitReader(f, limit(a)+1)); err != nil {
		return fmt.Errorf("taking %q: %w", from, err)
	}
	if _, err := p.Commit(a.sum); err != nil {
		return fmt.Errorf("taking %q: %w", from, err)
	}
	return nil
}

// limit bounds a file of a folder; the lock does not say how large a base's documents are.
func limit(a artifact) int64 {
	if a.size < 0 {
		return 8 << 20
	}
	return a.size
}

// download gets an artifact into the store; nothing is asked when it is there.
func (w *workshop) download(ctx context.Context, im *recipes.Image, li *lock.Image, a artifact) error {
	var err error
	switch {
	case a.base != "" && a.size < 0:
		_, err = w.fetcher.Manifest(ctx, im.Base, w.file.Dir, a.base)
	case a.base != "":
		_, err = w.fetcher.Blob(ctx, im.Base, w.file.Dir, a.base, a.size)
	case a.wheel != nil:
		_, err = w.fetcher.Wheel(ctx, *a.wheel, im, w.file.Dir)
	default:
		_, err = w.fetcher.Deb(ctx, *a.deb, im, li)
	}
	return err
}
