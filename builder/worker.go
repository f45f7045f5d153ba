package builder

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/containerd/log"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/moby/buildkit/client"
	"github.com/moby/buildkit/client/llb"
	"github.com/moby/buildkit/util/progress/progressui"
	"golang.org/x/sync/errgroup"
)

// worker is a BuildKit daemon that executes steps: the embedded one, or one that runs
// elsewhere.
type worker struct {
	client  *client.Client
	name    string          // for messages: "embedded", or its address
	content string          // folder of its blobs, into which forge's are linked; empty: they stream
	ended   <-chan struct{} // closed when the embedded daemon's process has ended; nil for others
	end     func() error    // how it has ended; nil for others
	last    func() string   // what the daemon said last; nil for others
	close   func()
}

// worker returns the daemon that executes a plan's steps. It is started or connected to on
// the first call, stays until the build ends, and release lets go of it.
func (b *Builder) worker(ctx context.Context, p *Plan) (*worker, error) {
	return b.workerFor(ctx, p.Image.Platform, b.words(p))
}

// workerFor is worker for steps of a platform ("linux/amd64"); words are the parts of the
// recipe that need it, for messages.
func (b *Builder) workerFor(ctx context.Context, platform string, words []string) (*worker, error) {
	if b.open != nil {
		return b.open, nil
	}
	if err := log.SetLevel("error"); err != nil { // the library warns of file systems without fs-verity
		return nil, fmt.Errorf("internal error: %w", err)
	}
	address, err := b.choose(ctx, platform, words)
	if err != nil {
		return nil, err
	}
	if address == "embedded" {
		b.open, err = b.embedded(ctx)
	} else {
		b.open, err = connect(ctx, address, platform)
	}
	return b.open, err
}

// release lets go of the daemon: the embedded one ends, its cache stays.
func (b *Builder) release() {
	if b.open != nil {
		b.open.close()
		b.open = nil
	}
}

// embedded starts the private daemon.
func (b *Builder) embedded(ctx context.Context) (*worker, error) {
	d, err := embedded(ctx, b.Store)
	if err != nil {
		return nil, err
	}
	return &worker{client: d.client, name: "embedded", content: d.content(), ended: d.ended, end: d.end, last: d.lastLines, close: d.Close}, nil
}

// lend links blobs of forge's store into the embedded daemon's own, so that nothing is
// copied: containerd's store finds a digest present and asks for no bytes. To other daemons
// blobs stream on demand, from the store that a solve is given as OCIStores.
func (b *Builder) lend(w *worker, layers []v1.Descriptor) error {
	if w.content == "" {
		return nil
	}
	if err := os.MkdirAll(w.content, 0o700); err != nil {
		return fmt.Errorf("lending layers to buildkitd: %w", err)
	}
	for _, l := range layers {
		to := filepath.Join(w.content, l.Digest.Hex)
		if info, err := os.Stat(to); err == nil && info.Size() == l.Size {
			continue
		}
		if err := b.Store.Link(l.Digest.Hex, to); err != nil {
			return err
		}
	}
	return nil
}

// silence is how long a daemon may say nothing while nothing runs. A step that runs may take
// as long as it likes.
var silence = 2 * time.Minute

// StepError is a step that BuildKit could not do, or that ended with an error.
type StepError struct {
	Output string // its last lines
	Err    error
}

func (e *StepError) Error() string {
	if e.Output == "" {
		return e.Err.Error()
	}
	return e.Err.Error() + "\n" + e.Output
}

func (e *StepError) Unwrap() error { return e.Err }

// BuilderGoneError is a daemon that died, or stopped to answer, while it worked.
type BuilderGoneError struct {
	Name string // "embedded", or its address
	Last string // what it said last, where that is known
	Err  error
}

func (e *BuilderGoneError) Error() string {
	s := fmt.Sprintf("builder %s went away in mid-solve: %v", e.Name, e.Err)
	if e.Last != "" {
		s += "; the last lines of its log:\n" + e.Last
	}
	return s
}

func (e *BuilderGoneError) Unwrap() error { return e.Err }

// Hint says what to do.
func (e *BuilderGoneError) Hint() string {
	return "run forge build again when the builder is well (memory and disk are the usual causes); what was made before is kept"
}

// solve executes a definition, shows its progress in Messages, and returns a *StepError
// with the last lines of its output, a *BuilderGoneError, or ctx's error.
func (b *Builder) solve(ctx context.Context, w *worker, def *llb.Definition, opt client.SolveOpt) error {
	tail := &lastLog{}
	status := make(chan *client.SolveStatus)
	shown := make(chan *client.SolveStatus)
	heard := make(chan bool)
	solving, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	g, gctx := errgroup.WithContext(solving)
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		w.watch(gctx, heard, cancel)
	}()
	g.Go(func() error {
		_, err := w.client.Solve(gctx, def, opt, status)
		return err
	})
	g.Go(func() error {
		defer close(shown)
		defer close(heard)
		for s := range status {
			heard <- tail.add(s)
			shown <- s
		}
		return nil
	})
	g.Go(func() error {
		display, err := progressui.NewDisplay(b.Messages, progressui.PlainMode)
		if err == nil {
			_, err = display.UpdateFrom(context.WithoutCancel(gctx), shown)
		}
		for range shown { // somebody must take them
		}
		return err
	})
	err := g.Wait()
	<-watched
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	var gone *BuilderGoneError
	if errors.As(context.Cause(solving), &gone) {
		return gone
	}
	if !w.answers(ctx) {
		return w.gone(err)
	}
	return &StepError{Output: tail.String(), Err: err}
}

// watch ends a solve whose daemon has died, or says nothing while nothing runs. heard brings
// after each message whether something runs; it is closed when the solve is over.
func (w *worker) watch(ctx context.Context, heard <-chan bool, cancel context.CancelCauseFunc) {
	running := false
	timer := time.NewTimer(silence)
	defer timer.Stop()
	for {
		select {
		case r, more := <-heard:
			if !more {
				return
			}
			running = r
			timer.Reset(silence)
		case <-w.ended:
			cancel(w.gone(nil))
			drain(heard)
			return
		case <-timer.C:
			if !running {
				cancel(w.gone(fmt.Errorf("no answer for %s", silence)))
				drain(heard)
				return
			}
			if !w.answers(ctx) {
				cancel(w.gone(errors.New("it does not answer any more")))
				drain(heard)
				return
			}
			timer.Reset(silence)
		}
	}
}

func drain(heard <-chan bool) {
	for range heard { // the sender must not wait
	}
}

// answers asks the daemon for a sign of life.
func (w *worker) answers(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	_, err := w.client.ListWorkers(ctx)
	return err == nil
}

// gone is what became of a daemon; err is how that was noticed.
func (w *worker) gone(err error) error {
	e := &BuilderGoneError{Name: w.name, Err: err}
	if w.end != nil {
		if end := w.end(); end != nil {
			e.Err = end
		}
		e.Last = w.last()
	}
	return e
}

// lastLog keeps the last lines that steps printed, and which of them run.
type lastLog struct {
	lines   []string
	running map[string]bool
}

// add takes a message and says whether a step runs after it.
func (l *lastLog) add(s *client.SolveStatus) bool {
	if l.running == nil {
		l.running = map[string]bool{}
	}
	for _, v := range s.Vertexes {
		l.running[v.Digest.String()] = v.Started != nil && v.Completed == nil
	}
	for _, log := range s.Logs {
		l.lines = append(l.lines, strings.Split(strings.TrimRight(string(log.Data), "\n"), "\n")...)
	}
	l.lines = l.lines[max(0, len(l.lines)-20):]
	for _, r := range l.running {
		if r {
			return true
		}
	}
	return false
}

func (l *lastLog) String() string { return strings.Join(l.lines, "\n") }
