package builder

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/forge-build/forge/builder/fetch"
	"github.com/forge-build/forge/builder/layer"
	"github.com/forge-build/forge/builder/store"
)

// Check makes an image that was built twice more from nothing, each time in a store that
// holds only the locked files, and compares all three. It returns what differs first, in
// words, or nothing. fetcher makes a fetcher for a store. Tests are not run.
func (b *Builder) Check(ctx context.Context, p *Plan, built *Result, fetcher func(*store.Store) *fetch.Fetcher) (string, error) {
	tmp, err := os.MkdirTemp(filepath.Dir(b.Store.Dir()), ".forge-check-*")
	if err != nil {
		return "", fmt.Errorf("checking: %w", err)
	}
	defer removeAll(tmp)
	before := built.Dir
	for _, name := range []string{"first", "second"} {
		s, err := store.Open(filepath.Join(tmp, name))
		if err != nil {
			return "", err
		}
		if err := b.share(p, s); err != nil {
			return "", err
		}
		c := &Builder{Store: s, Fetch: fetcher(s), Dir: b.Dir, Output: filepath.Join(tmp, name+"-image"), Mode: b.Mode, NoTest: true, NoExec: b.NoExec,
			Progress: b.Progress, Messages: b.Messages}
		r, err := c.Build(ctx, p)
		if err != nil {
			return "", fmt.Errorf("building from nothing: %w", err)
		}
		difference, err := Compare(before, r.Dir)
		if difference != "" || err != nil {
			return difference, err
		}
		before = r.Dir
	}
	return "", nil
}

// removeAll removes a folder in which stores have made folders that cannot be written.
func removeAll(dir string) {
	_ = filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			_ = os.Chmod(path, 0o700)
		}
		return nil
	})
	_ = os.RemoveAll(dir) // what is left is in the cache folder
}

// share links the locked files that this store holds into another, which hashes them again.
func (b *Builder) share(p *Plan, s *store.Store) error {
	var sums []string
	for _, w := range p.Lock.Wheels {
		sums = append(sums, w.SHA256)
	}
	if p.Lock.Debian != nil {
		for _, d := range p.Lock.Debian.Packages {
			sums = append(sums, d.SHA256)
		}
	}
	if p.Lock.Base != nil {
		for _, l := range p.Lock.Base.Layers {
			for _, blob := range l.Blobs {
				sums = append(sums, strings.TrimPrefix(blob.Digest, "sha256:"))
			}
		}
	}
	for _, sum := range sums {
		if _, ok, err := b.Store.Stat(sum); err != nil || !ok {
			if err != nil {
				return err
			}
			continue // it is fetched
		}
		if err := b.Store.Link(sum, s.Path(sum)); err != nil {
			return err
		}
	}
	return nil
}

// Compare says how two images on disk differ, in words: the first layer, in it the first
// file, and of that the first field. It is empty when they are the same image.
func Compare(a, b string) (string, error) {
	x, err := ReadLayout(a)
	if err != nil {
		return "", err
	}
	y, err := ReadLayout(b)
	if err != nil {
		return "", err
	}
	if x.Digest == y.Digest {
		return "", nil
	}
	for i := range min(len(x.Manifest.Layers), len(y.Manifest.Layers)) {
		l, m := x.Manifest.Layers[i], y.Manifest.Layers[i]
		if l.Digest == m.Digest && l.MediaType == m.MediaType {
			continue
		}
		name := fmt.Sprintf("layer %d (%s)", i+1, x.layerName(i))
		if x.Config.RootFS.DiffIDs[i] == y.Config.RootFS.DiffIDs[i] {
			return fmt.Sprintf("%s holds the same files in other bytes: %s %s, then %s %s", name, l.MediaType, l.Digest, m.MediaType, m.Digest), nil
		}
		what, err := compareLayers(filepath.Join(a, "blobs", "sha256", l.Digest.Hex), l, filepath.Join(b, "blobs", "sha256", m.Digest.Hex), m)
		return name + ": " + what, err
	}
	if n, m := len(x.Manifest.Layers), len(y.Manifest.Layers); n != m {
		return fmt.Sprintf("%d layers, then %d", n, m), nil
	}
	f, g := x.Facts(), y.Facts()
	for _, k := range slices.Sorted(maps.Keys(f)) {
		if k != "digest" && f[k] != g[k] {
			return fmt.Sprintf("config: %s is %q, then %q", k, f[k], g[k]), nil
		}
	}
	for _, k := range slices.Sorted(maps.Keys(g)) {
		if _, ok := f[k]; !ok {
			return fmt.Sprintf("config: %s is not there, then %q", k, g[k]), nil
		}
	}
	return fmt.Sprintf("the layers are the same; manifests %s and %s or their configs differ", x.Digest, y.Digest), nil
}

// layerName is what the history calls a layer.
func (l *Layout) layerName(n int) string {
	for _, h := range l.Config.History {
		if h.EmptyLayer {
			continue
		}
		if n == 0 {
			return strings.TrimPrefix(h.CreatedBy, "forge: ")
		}
		n--
	}
	return "without a name"
}

// listed is an entry of a layer in words, field by field.
type listed struct {
	path   string
	fields [][2]string
}

func compareLayers(a string, l v1.Descriptor, b string, m v1.Descriptor) (string, error) {
	x, err := entriesOf(a, l)
	if err != nil {
		return "", err
	}
	y, err := entriesOf(b, m)
	if err != nil {
		return "", err
	}
	for i := range min(len(x), len(y)) {
		if x[i].path != y[i].path {
			return fmt.Sprintf("entry %d is %q, then %q", i+1, x[i].path, y[i].path), nil
		}
		for j, f := range x[i].fields {
			if g := y[i].fields[j]; f != g {
				return fmt.Sprintf("%q: its %s is %s, then %s", x[i].path, f[0], f[1], g[1]), nil
			}
		}
	}
	switch {
	case len(x) > len(y):
		return fmt.Sprintf("%q is there, then not", x[len(y)].path), nil
	case len(x) < len(y):
		return fmt.Sprintf("%q is not there, then it is", y[len(x)].path), nil
	}
	return "the same files, laid out differently in the tar", nil
}

// entriesOf reads the entries of one layer.
func entriesOf(path string, d v1.Descriptor) ([]listed, error) {
	codec, err := layer.CodecOf(string(d.MediaType))
	if err != nil {
		return nil, err
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("comparing layers: %w", err)
	}
	defer f.Close()
	var all []listed
	err = layer.Read(codec, f, func(h layer.Header, r io.Reader) error {
		sum := sha256.New()
		if r != nil {
			if _, err := io.Copy(sum, r); err != nil {
				return err
			}
		}
		all = append(all, listed{h.Path, [][2]string{{"kind", string(h.Type)}, {"mode", fmt.Sprintf("%04o", h.Mode)}, {"owner", fmt.Sprintf("%d:%d", h.UID, h.GID)},
			{"link", h.Link}, {"time", fmt.Sprint(h.Time)}, {"size", fmt.Sprint(h.Size)}, {"sha256", fmt.Sprintf("%x", sum.Sum(nil))}}})
		return nil
	})
	return all, err
}
