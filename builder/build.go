package builder

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/forge-build/forge/builder/base"
	"github.com/forge-build/forge/builder/convert"
	"github.com/forge-build/forge/builder/fetch"
	"github.com/forge-build/forge/builder/layer"
	"github.com/forge-build/forge/builder/store"
	"github.com/forge-build/forge/recipes/lock"
)

// Builder makes images out of plans.
type Builder struct {
	Store    *store.Store
	Fetch    *fetch.Fetcher
	Dir      string // the recipe's folder
	Output   string // folder for the layouts, one below it for each image
	Mode     string // who executes the recipe's steps: "auto", "embedded", "none" or an address
	NoTest   bool   // the recipe's tests are not run
	NoExec   bool   // a recipe that needs something executed is refused
	Progress func(convert.Event)
	Messages io.Writer // what a step prints

	open *worker // the daemon, while a build needs it
}

// Result is an image on disk.
type Result struct {
	Dir    string          `json:"dir"`
	Digest string          `json:"digest"` // "sha256:…" of the manifest
	Layers []v1.Descriptor `json:"layers"`
	// Removed says what slim left out, rule by rule; the image lists each file in
	// /usr/lib/forge/removed.json.
	Removed []RemovedByRule `json:"removed"`
	Runs    []string        `json:"runs,omitempty"` // steps of the recipe whose output is in the image
	Tests   []TestResult    `json:"tests,omitempty"`
	Copied  []Copied        `json:"-"` // files of the recipe's folder, in the order of the recipe
}

// Copied is a file of the recipe's folder that is in an image.
type Copied struct {
	File   string // slash path relative to the recipe
	To     string // absolute path in the image
	SHA256 string // lower-case hex
}

// RemovedByRule is what one rule of slim left out: files, and their bytes unpacked.
type RemovedByRule struct {
	Rule  string `json:"rule"`
	Files int    `json:"files"`
	Bytes int64  `json:"bytes"`
}

// RemovedBy sums up what the layers' passes left out, sorted by rule.
func RemovedBy(made []convert.Made) []RemovedByRule {
	sums := map[string]RemovedByRule{}
	for _, m := range made {
		for _, r := range m.Removed {
			sums[r.Rule] = RemovedByRule{r.Rule, sums[r.Rule].Files + 1, sums[r.Rule].Bytes + r.Size}
		}
	}
	out := make([]RemovedByRule, 0, len(sums))
	for _, rule := range slices.Sorted(maps.Keys(sums)) {
		out = append(out, sums[rule])
	}
	return out
}

func (b *Builder) codec(p *Plan) layer.Codec { return layer.Codec(p.Image.Slim.Codec) }

// FindInit finds forge-init for a platform: in FORGE_INIT_DIR, else next to forge.
func FindInit(platform string) (string, error) {
	dir := os.Getenv("FORGE_INIT_DIR")
	if dir == "" {
		self, err := os.Executable()
		if err != nil {
			return "", fmt.Errorf("finding forge-init: %w", err)
		}
		dir = filepath.Dir(self)
	}
	file := filepath.Join(dir, "forge-init-"+strings.ReplaceAll(platform, "/", "-"))
	if _, err := os.Stat(file); err != nil {
		return "", fmt.Errorf("finding forge-init: %w (make build puts it next to forge; FORGE_INIT_DIR names another folder)", err)
	}
	return file, nil
}

// LockInit reads forge-init for a lock.
func LockInit(platform string) (lock.Init, error) {
	file, err := FindInit(platform)
	if err != nil {
		return lock.Init{}, err
	}
	raw, err := os.ReadFile(file)
	if err != nil {
		return lock.Init{}, fmt.Errorf("reading forge-init: %w", err)
	}
	return lock.Init{SHA256: sumOf(raw), Size: int64(len(raw))}, nil
}

func sumOf(b []byte) string {
	s := sha256.Sum256(b)
	return hex.EncodeToString(s[:])
}

// Build makes the image: it converts what is locked, compiles, makes the layers that are the
// recipe's own, runs the recipe's tests in them, and writes the layout. Where a test fails, an
// image of before stays.
func (b *Builder) Build(ctx context.Context, p *Plan) (*Result, error) {
	if err := b.able(ctx, p); err != nil {
		return nil, err
	}
	defer b.release()
	below, err := b.base(ctx, p)
	if err != nil {
		return nil, err
	}
	made, err := convert.Make(ctx, p.Image, p.Lock, p.converts(), convert.Options{Store: b.Store, Fetch: b.Fetch, Codecs: []layer.Codec{b.codec(p)},
		Slim: p.Image.Slim, Progress: b.Progress, Dir: b.Dir})
	if err != nil {
		return nil, err
	}
	var compiled []convert.Made
	if p.Image.Python.Bytecode {
		if compiled, err = b.bytecode(ctx, p.Image, p.Lock, made, false); err != nil {
			return nil, err
		}
	}
	if err := confirm(p, slices.Concat(made, compiled)); err != nil {
		return nil, err
	}
	if err := b.noteIndexes(slices.Concat(made, compiled)); err != nil {
		return nil, err
	}
	layers, copied, err := b.layers(ctx, p, made, compiled, below)
	if err != nil {
		return nil, err
	}
	im, err := b.assemble(p.Config, layers, b.codec(p))
	if err != nil {
		return nil, err
	}
	r := &Result{Dir: filepath.Join(b.Output, p.Image.Name), Digest: im.manifest.Digest.String(), Layers: im.layers, Removed: RemovedBy(made), Copied: copied}
	for _, x := range p.Image.Runs {
		r.Runs = append(r.Runs, x.Name)
	}
	if !b.NoTest {
		if err := b.test(ctx, p, r, layers); err != nil {
			return nil, err
		}
	}
	return r, b.layout(ctx, p, im)
}

// layers are all layers of an image, in its order: the made and compiled ones, those of the
// base, and those that are made here.
func (b *Builder) layers(ctx context.Context, p *Plan, made, compiled []convert.Made, below *base.Image) (layers []lock.Layer, copied []Copied, err error) {
	next := 0
	for _, l := range p.Layers {
		var x lock.Layer
		switch l.Kind {
		case "wheels", "debian":
			x = made[next].Layer
			next++
		case "bytecode":
			x, err = claimed(*l.Lock, compiled)
		case "run":
			x, err = b.run(ctx, p, l.Run, layers)
		case "base":
			x = *l.Lock
		case "init":
			x, err = b.initLayer(p)
		case "settings":
			x, err = b.settingsLayer(p, made, below)
		case "copy":
			var files []Copied
			x, files, err = b.copyLayer(p, l.Copy.From, l.Copy.To)
			copied = append(copied, files...)
		default:
			err = fmt.Errorf("layer %q: kind %q cannot be made", l.Name, l.Kind)
		}
		if err != nil {
			return nil, nil, err
		}
		layers = append(layers, x)
	}
	return layers, copied, nil
}

// claimed is the made layer that a lock claims.
func claimed(claim lock.Layer, made []convert.Made) (lock.Layer, error) {
	for _, m := range made {
		if m.Layer.Name == claim.Name {
			return m.Layer, convert.CheckClaims(claim, m.Layer)
		}
	}
	return claim, &LockError{fmt.Sprintf("layer %q of the lock is not what its members make", claim.Name)}
}

// image is a config and a manifest, and the layers that they name, all of them in the store.
type image struct {
	manifest v1.Descriptor // of the manifest itself
	config   v1.Descriptor
	layers   []v1.Descriptor
}

// assemble writes config and manifest of an image over layers into the store.
func (b *Builder) assemble(config v1.ConfigFile, layers []lock.Layer, codec layer.Codec) (*image, error) {
	m := v1.Manifest{SchemaVersion: 2, MediaType: types.OCIManifestSchema1, Annotations: map[string]string{}}
	for k, v := range config.Config.Labels {
		m.Annotations[k] = v
	}
	config.RootFS = v1.RootFS{Type: "layers"}
	for _, l := range layers {
		id, err := v1.NewHash(l.DiffID)
		if err != nil {
			return nil, err
		}
		codec := codecOf(l, codec)
		blob := l.Blobs[string(codec)]
		digest, err := v1.NewHash(blob.Digest)
		if err != nil {
			return nil, err
		}
		config.RootFS.DiffIDs = append(config.RootFS.DiffIDs, id)
		m.Layers = append(m.Layers, v1.Descriptor{MediaType: types.MediaType(layer.MediaType(codec)), Size: blob.Size, Digest: digest})
	}
	var err error
	if m.Config, err = b.put(config, types.OCIConfigJSON); err != nil {
		return nil, err
	}
	d, err := b.put(m, types.OCIManifestSchema1)
	if err != nil {
		return nil, err
	}
	d.Platform = &v1.Platform{OS: "linux", Architecture: config.Architecture}
	return &image{manifest: d, config: m.Config, layers: m.Layers}, nil
}

// put writes a document into the store.
func (b *Builder) put(v any, mediaType types.MediaType) (v1.Descriptor, error) {
	raw, err := json.Marshal(v)
	if err != nil {
		return v1.Descriptor{}, fmt.Errorf("internal error: %w", err)
	}
	d := v1.Descriptor{MediaType: mediaType, Size: int64(len(raw)), Digest: v1.Hash{Algorithm: "sha256", Hex: sumOf(raw)}}
	if _, ok, err := b.Store.Stat(d.Digest.Hex); ok || err != nil {
		return d, err
	}
	p, err := b.Store.Create()
	if err != nil {
		return d, err
	}
	defer p.Abort() // nothing after Commit
	if _, err := p.Write(raw); err != nil {
		return d, err
	}
	_, err = p.Commit(d.Digest.Hex)
	return d, err
}

// layout writes the OCI layout beside its place and renames it.
func (b *Builder) layout(ctx context.Context, p *Plan, im *image) error {
	dir := filepath.Join(b.Output, p.Image.Name)
	if err := os.MkdirAll(b.Output, 0o755); err != nil {
		return fmt.Errorf("writing the image: %w", err)
	}
	done, locked, err := alone(ctx, b.Output)
	if err != nil {
		return fmt.Errorf("writing the image: %w", err)
	}
	defer done()
	if locked {
		sweep(b.Output)
	}
	tmp, err := os.MkdirTemp(b.Output, "."+p.Image.Name+".*")
	if err != nil {
		return fmt.Errorf("writing the image: %w", err)
	}
	defer os.RemoveAll(tmp)
	blobs := filepath.Join(tmp, "blobs", "sha256")
	if err := errors.Join(os.Chmod(tmp, 0o755), os.MkdirAll(blobs, 0o755)); err != nil {
		return fmt.Errorf("writing the image: %w", err)
	}
	for _, d := range append([]v1.Descriptor{im.manifest, im.config}, im.layers...) {
		if _, err := os.Lstat(filepath.Join(blobs, d.Digest.Hex)); err == nil {
			continue // two layers with the same bytes
		}
		if err := b.Store.Place(d.Digest.Hex, filepath.Join(blobs, d.Digest.Hex)); err != nil {
			return err
		}
	}
	index, err := json.Marshal(v1.IndexManifest{SchemaVersion: 2, MediaType: types.OCIImageIndex, Manifests: []v1.Descriptor{im.manifest}})
	if err != nil {
		return fmt.Errorf("internal error: %w", err)
	}
	if err := errors.Join(os.WriteFile(filepath.Join(tmp, "index.json"), index, 0o644),
		os.WriteFile(filepath.Join(tmp, "oci-layout"), []byte(`{"imageLayoutVersion":"1.0.0"}`), 0o644)); err != nil {
		return fmt.Errorf("writing the image: %w", err)
	}
	if err := replaceable(dir); err != nil {
		return fmt.Errorf("writing the image: %w", err)
	}
	old := tmp + ".old"
	if err := os.Rename(dir, old); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("writing the image: %w", err)
	}
	defer os.RemoveAll(old)
	if err := os.Rename(tmp, dir); err != nil {
		return fmt.Errorf("writing the image: %w", err)
	}
	return nil
}

// replaceable refuses a place that holds something else than an image of before, which
// would be gone.
func replaceable(dir string) error {
	info, err := os.Lstat(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return fmt.Errorf("%q is there and is no folder", dir)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.Name() == "oci-layout" {
			return nil
		}
	}
	if len(entries) > 0 {
		return fmt.Errorf("folder %q is there and holds no image; forge would replace it whole: name another with --output", dir)
	}
	return nil
}
