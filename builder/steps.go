package builder

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/plugins/content/local"
	"github.com/containerd/log"
	"github.com/moby/buildkit/client"
	"github.com/moby/buildkit/client/llb"
	"github.com/moby/buildkit/util/progress/progressui"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"

	"github.com/forge-build/forge/recipes"
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

// test runs the tests of an image that have not passed with this digest before. The image in
// r.Dir is the finished one.
func (b *Builder) test(ctx context.Context, p *Plan, r *Result) error {
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
	d, err := embedded(ctx, b.Store)
	if err != nil {
		return err
	}
	defer d.Close()
	if err := b.lend(d, r); err != nil {
		return err
	}
	if err := log.SetLevel("error"); err != nil { // the library warns of file systems without fs-verity
		return fmt.Errorf("internal error: %w", err)
	}
	images, err := local.NewStore(r.Dir)
	if err != nil {
		return fmt.Errorf("opening %q: %w", r.Dir, err)
	}
	for _, t := range due {
		began := time.Now()
		if err := b.step(ctx, d.client, images, p, r, t); err != nil {
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

// able says before any work whether the tests can be executed here.
func (b *Builder) able(p *Plan) error {
	reason := ""
	switch {
	case b.Mode == "none":
		reason = "--builder none executes nothing"
	case runtime.GOOS != "linux":
		reason = "the embedded builder needs Linux"
	case os.Geteuid() != 0:
		reason = "the embedded builder needs root"
	case runtime.GOARCH != p.Config.Architecture:
		reason = fmt.Sprintf("this host is %s, the image is for %s", runtime.GOARCH, p.Config.Architecture)
	}
	if reason == "" {
		_, _, err := programs()
		if err == nil {
			return nil
		}
		reason = err.Error()
	}
	return &NoBuilderError{p.words(), reason}
}

// words are the parts of the recipe that need something executed.
func (p *Plan) words() []string {
	var words []string
	for _, t := range p.Image.Tests {
		words = append(words, fmt.Sprintf("test %q", t.Name))
	}
	return words
}

// lend links the image's blobs into the daemon's own content store, so that nothing is
// copied: containerd's store finds a digest present and asks for no bytes.
func (b *Builder) lend(d *daemon, r *Result) error {
	if err := os.MkdirAll(d.content(), 0o700); err != nil {
		return fmt.Errorf("lending layers to buildkitd: %w", err)
	}
	for _, l := range r.Layers {
		to := filepath.Join(d.content(), l.Digest.Hex)
		if info, err := os.Stat(to); err == nil && info.Size() == l.Size {
			continue
		}
		if err := b.Store.Link(l.Digest.Hex, to); err != nil {
			return err
		}
	}
	return nil
}

// step runs one test in the image's root, as its user, without network; what it writes is
// thrown away.
func (b *Builder) step(ctx context.Context, c *client.Client, images content.Store, p *Plan, r *Result, t recipes.Test) error {
	def, err := testLLB(p, r.Digest, t).Marshal(ctx, llb.Platform(ocispecs.Platform{OS: "linux", Architecture: p.Config.Architecture}))
	if err != nil {
		return fmt.Errorf("planning test %q: %w", t.Name, err)
	}
	tail := &lastLog{}
	status := make(chan *client.SolveStatus)
	shown := make(chan *client.SolveStatus)
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		_, err := c.Solve(ctx, def, client.SolveOpt{OCIStores: map[string]content.Store{"forge": images}}, status)
		return err
	})
	g.Go(func() error {
		defer close(shown)
		for s := range status {
			tail.add(s)
			shown <- s
		}
		return nil
	})
	g.Go(func() error {
		display, err := progressui.NewDisplay(b.Messages, progressui.PlainMode)
		if err == nil {
			_, err = display.UpdateFrom(context.WithoutCancel(ctx), shown)
		}
		for range shown { // somebody must take them
		}
		return err
	})
	if err := g.Wait(); err != nil {
		if ctx.Err() != nil && errors.Is(err, context.Canceled) {
			return err
		}
		return &TestError{Image: p.Image.Name, Name: t.Name, Output: tail.String(), Err: err}
	}
	return nil
}

// testLLB is the whole step: the image by digest, and one command in it.
func testLLB(p *Plan, digest string, t recipes.Test) llb.State {
	root := llb.OCILayout("forge/"+p.Image.Name+"@"+digest, llb.OCIStore("", "forge"), llb.WithCustomName("image "+p.Image.Name))
	opts := []llb.RunOption{llb.Args(t.Command), llb.User(p.Config.Config.User), llb.Dir(p.Config.Config.WorkingDir), llb.Network(llb.NetModeNone),
		llb.IgnoreCache, llb.WithCustomName("test " + t.Name), llb.AddEnv("FORGE_TEST", t.Name)}
	for _, e := range p.Config.Config.Env {
		name, value, _ := strings.Cut(e, "=")
		opts = append(opts, llb.AddEnv(name, value))
	}
	for _, e := range list(t.Env) {
		name, value, _ := strings.Cut(e, "=")
		opts = append(opts, llb.AddEnv(name, value))
	}
	return root.Run(opts...).Root()
}

// lastLog keeps the last lines that a step printed.
type lastLog struct{ lines []string }

func (l *lastLog) add(s *client.SolveStatus) {
	for _, log := range s.Logs {
		l.lines = append(l.lines, strings.Split(strings.TrimRight(string(log.Data), "\n"), "\n")...)
	}
	l.lines = l.lines[max(0, len(l.lines)-20):]
}

func (l *lastLog) String() string { return strings.Join(l.lines, "\n") }
