package builder

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/plugins/content/local"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/moby/buildkit/client"
	"github.com/moby/buildkit/client/llb"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/forge-build/forge/builder/convert"
	"github.com/forge-build/forge/builder/layer"
	"github.com/forge-build/forge/recipes"
	"github.com/forge-build/forge/recipes/lock"
)

// TestResult is a recipe's test that has passed.
type TestResult struct {
	Name    string  `json:"name"`
	Kept    bool    `json:"kept"`    // passed before, with this very image
	Seconds float64 `json:"seconds"` // of the step
}

// TestError is a recipe's test that has failed.
type TestError struct {
	Image, Name string
	Output      string // its last lines
	Err         error
}

func (e *TestError) Error() string {
	s := fmt.Sprintf("test %q of image %q: %v", e.Name, e.Image, e.Err)
	if e.Output != "" {
		s += "\n" + e.Output
	}
	return s
}

func (e *TestError) Unwrap() error { return e.Err }

// test runs the tests of an image that have not passed with this digest before. layers are
// the finished image's.
func (b *Builder) test(ctx context.Context, p *Plan, r *Result, layers []lock.Layer) error {
	var due []recipes.Test
	for _, t := range p.Image.Tests {
		if _, ok, err := b.Store.Fact("test", testKey(r, t)); err != nil {
			return err
		} else if ok {
			r.Tests = append(r.Tests, TestResult{Name: t.Name, Kept: true})
			continue
		}
		due = append(due, t)
	}
	if len(due) == 0 {
		return nil
	}
	w, err := b.worker(ctx, p)
	if err != nil {
		return err
	}
	root, err := b.root(p, layers)
	if err != nil {
		return err
	}
	if err := b.lend(w, r.Layers); err != nil {
		return err
	}
	images, err := b.images()
	if err != nil {
		return err
	}
	for _, t := range due {
		began := time.Now()
		if err := b.runTest(ctx, w, images, p, root, t); err != nil {
			return err
		}
		if err := b.Store.PutFact("test", testKey(r, t), []byte("passed")); err != nil {
			return err
		}
		r.Tests = append(r.Tests, TestResult{Name: t.Name, Seconds: time.Since(began).Seconds()})
	}
	return nil
}

// testKey names a test of an image: its digest, and what the test says.
func testKey(r *Result, t recipes.Test) string {
	return sumOf([]byte(fmt.Sprintf("%s %q %q %q", r.Digest, t.Name, t.Command, list(t.Env))))
}

// able says before any work whether the plan's steps can be executed here. A daemon that the
// user names is asked, too, where layers have to be made first; else the step that needs it will
// soon notice, or nothing is left to execute.
func (b *Builder) able(ctx context.Context, p *Plan) error {
	words := b.words(p)
	if len(words) == 0 {
		return nil
	}
	address, err := b.choose(ctx, p.Image.Platform, words)
	if err != nil || address != b.Mode || address == "embedded" {
		return err
	}
	if there, err := b.converted(p); there || err != nil {
		return err
	}
	return answers(ctx, address, p.Image.Platform)
}

// converted says whether the store has every layer that the lock states: those of members as a pass
// of this store has made them, and those of a base.
func (b *Builder) converted(p *Plan) (bool, error) {
	locked := p.converts()
	known, err := convert.Known(p.Lock, locked, convert.Options{Store: b.Store, Codecs: []layer.Codec{b.codec(p)}, Slim: p.Image.Slim})
	if err != nil || len(known) < len(locked) {
		return false, err
	}
	for _, l := range p.Layers {
		if l.Kind != "base" {
			continue
		}
		for _, blob := range l.Lock.Blobs { // one
			if _, ok, err := b.Store.Stat(strings.TrimPrefix(blob.Digest, "sha256:")); !ok || err != nil {
				return false, err
			}
		}
	}
	return true, nil
}

// words are the parts of the recipe that need something executed in this build.
func (b *Builder) words(p *Plan) []string {
	var words []string
	if b.compiles(p) {
		words = append(words, "bytecode")
	}
	for _, r := range p.Image.Runs {
		if _, ok, err := b.Store.Fact("run-once", runKey(&r)); !ok || err != nil { // its result may be in the store
			words = append(words, fmt.Sprintf("run %q", r.Name))
		}
	}
	if b.NoTest {
		return words
	}
	for _, t := range p.Image.Tests {
		words = append(words, fmt.Sprintf("test %q", t.Name))
	}
	return words
}

// runTest runs one test in the image's root, as its user, without network; what it writes is
// thrown away.
func (b *Builder) runTest(ctx context.Context, w *worker, images content.Store, p *Plan, root []*image, t recipes.Test) error {
	def, err := testLLB(p, digests(root), t).Marshal(ctx, llb.Platform(ocispecs.Platform{OS: "linux", Architecture: p.Config.Architecture}))
	if err != nil {
		return fmt.Errorf("planning test %q: %w", t.Name, err)
	}
	err = b.solve(ctx, w, def, client.SolveOpt{OCIStores: map[string]content.Store{"forge": images}})
	var step *StepError
	if errors.As(err, &step) {
		return &TestError{Image: p.Image.Name, Name: t.Name, Output: step.Output, Err: step.Err}
	}
	return err
}

// testLLB is the whole step: the image's layers by digest, and one command in them.
func testLLB(p *Plan, root []string, t recipes.Test) llb.State {
	opts := append(inImage(p, t.Env), llb.Args(t.Command), llb.WithCustomName("test "+t.Name), llb.AddEnv("FORGE_TEST", t.Name))
	return p.merged(root).Run(opts...).Root()
}

// root makes an image of each layer, in the store: the first layers of a plan.
func (b *Builder) root(p *Plan, layers []lock.Layer) ([]*image, error) {
	var out []*image
	for _, l := range layers {
		im, err := b.assemble(v1.ConfigFile{OS: "linux", Architecture: p.Config.Architecture}, []lock.Layer{l}, b.codec(p))
		if err != nil {
			return nil, err
		}
		out = append(out, im)
	}
	return out, nil
}

// digests are those of images' manifests.
func digests(images []*image) []string {
	var out []string
	for _, im := range images {
		out = append(out, im.manifest.Digest.String())
	}
	return out
}

// images is forge's store as a daemon reads it.
func (b *Builder) images() (content.Store, error) {
	s, err := local.NewStore(b.Store.Dir())
	if err != nil {
		return nil, fmt.Errorf("opening the store for buildkitd: %w", err)
	}
	return s, nil
}

// merged is a root file system of a plan's first layers, each of them an image by digest. A
// daemon unpacks each layer once, whatever lies below it.
func (p *Plan) merged(root []string) llb.State {
	var states []llb.State
	for i, digest := range root {
		states = append(states, llb.OCILayout("forge/layer@"+digest, llb.OCIStore("", "forge"), llb.WithCustomName("layer "+p.Layers[i].Name)))
	}
	return llb.Merge(states, llb.WithCustomName("image "+p.Image.Name))
}

// steps is the digest of the LLB of a plan's runs and tests. Zeros stand for the digests of
// the layers that they run in, some of which a plan cannot know.
func (p *Plan) steps() (string, error) {
	zeros := slices.Repeat([]string{"sha256:" + strings.Repeat("0", 64)}, len(p.Layers))
	var states []llb.State
	for i, l := range p.Layers {
		if l.Kind == "run" {
			states = append(states, runLLB(p, zeros[:i], l.Run))
		}
	}
	for _, t := range p.Image.Tests {
		states = append(states, testLLB(p, zeros, t))
	}
	if len(states) == 0 {
		return "", nil
	}
	var all []byte
	for _, s := range states {
		def, err := s.Marshal(context.Background(), llb.Platform(ocispecs.Platform{OS: "linux", Architecture: p.Config.Architecture}))
		if err != nil {
			return "", fmt.Errorf("planning image %q: %w", p.Image.Name, err)
		}
		all = append(all, bytes.Join(def.Def, nil)...)
	}
	return "sha256:" + sumOf(all), nil
}

// inImage are the options of a step in an image's root: its user and variables, no network.
func inImage(p *Plan, env map[string]string) []llb.RunOption {
	opts := []llb.RunOption{llb.User(p.Config.Config.User), llb.Dir(p.Config.Config.WorkingDir), llb.Network(llb.NetModeNone), llb.IgnoreCache}
	for _, e := range append(append([]string{}, p.Config.Config.Env...), list(env)...) {
		name, value, _ := strings.Cut(e, "=")
		opts = append(opts, llb.AddEnv(name, value))
	}
	return opts
}
