package builder

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/moby/buildkit/client"

	"github.com/forge-build/forge/builder/store"
)

// daemon is a private buildkitd: a child with a root and a socket of its own. Its cache
// stays when it is stopped.
type daemon struct {
	client *client.Client
	root   string // its state; on the file system of forge's store
	socket string // folder of its socket
	stop   context.CancelFunc
	ended  chan struct{} // closed when its process has ended, and exit is known
	exit   error
	unlock func()
}

// startTime is how long a daemon may take until it answers.
const startTime = 60 * time.Second

// embedded starts the buildkitd that make build puts next to forge. Only one forge uses the
// root at a time; others wait.
func embedded(ctx context.Context, s *store.Store) (_ *daemon, err error) {
	binary, runc, err := programs()
	if err != nil {
		return nil, err
	}
	unlock, err := s.Lock(ctx, "buildkitd")
	if err != nil {
		return nil, err
	}
	d := &daemon{root: filepath.Join(s.Dir(), "buildkit"), ended: make(chan struct{}), unlock: unlock}
	defer func() {
		if err != nil {
			d.Close()
		}
	}()
	if err := os.MkdirAll(d.root, 0o700); err != nil {
		return nil, fmt.Errorf("starting buildkitd: %w", err)
	}
	if err := endLeftovers(d.root); err != nil {
		return nil, fmt.Errorf("starting buildkitd: %w", err)
	}
	if d.socket, err = os.MkdirTemp("", "forge-"); err != nil { // short: a socket's path has at most 107 bytes
		return nil, fmt.Errorf("starting buildkitd: %w", err)
	}
	config := filepath.Join(d.socket, "buildkitd.toml")
	if err := os.WriteFile(config, []byte("insecure-entitlements = []\n[worker.containerd]\nenabled = false\n"), 0o600); err != nil {
		return nil, fmt.Errorf("starting buildkitd: %w", err)
	}
	address := "unix://" + filepath.Join(d.socket, "buildkitd.sock")
	if err := d.run(binary, "--config", config, "--root", d.root, "--addr", address, "--oci-worker-binary", runc, "--oci-worker-net", "host"); err != nil {
		return nil, err
	}
	if d.client, err = client.New(ctx, address); err != nil {
		return nil, fmt.Errorf("starting buildkitd: %w", err)
	}
	return d, d.ready(ctx)
}

// programs finds buildkitd and runc: next to forge, else on PATH.
func programs() (buildkitd, runc string, err error) {
	var missing []string
	if buildkitd = find("buildkitd"); buildkitd == "" {
		missing = append(missing, "buildkitd is neither next to forge nor on PATH (make build)")
	}
	if runc = find("buildkit-runc"); runc == "" {
		runc = find("runc")
	}
	if runc == "" {
		missing = append(missing, "runc is not on PATH (apt-get install runc)")
	}
	if missing != nil {
		return "", "", &NoBuilderError{Reason: strings.Join(missing, "; ")}
	}
	return buildkitd, runc, nil
}

func find(name string) string {
	if self, err := os.Executable(); err == nil {
		p := filepath.Join(filepath.Dir(self), name)
		if info, err := os.Stat(p); err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
			return p
		}
	}
	p, err := exec.LookPath(name)
	if err != nil {
		return ""
	}
	return p
}

// run starts the child; it ends with stop, or with forge itself.
func (d *daemon) run(binary string, args ...string) error {
	log, err := os.Create(d.log())
	if err != nil {
		return fmt.Errorf("starting buildkitd: %w", err)
	}
	ctx, stop := context.WithCancel(context.Background())
	d.stop = stop
	cmd := exec.CommandContext(ctx, binary, args...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 10 * time.Second // then it is killed
	started := make(chan error)
	go func() {
		defer close(d.ended)
		defer log.Close()
		started <- startBound(cmd)
		d.exit = cmd.Wait()
	}()
	if err := <-started; err != nil {
		return fmt.Errorf("starting buildkitd: %w", err)
	}
	return nil
}

func (d *daemon) log() string { return filepath.Join(d.root, "buildkitd.log") }

// ready waits until the daemon answers.
func (d *daemon) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	for {
		ask, done := context.WithTimeout(ctx, time.Second)
		_, err := d.client.ListWorkers(ask)
		done()
		if err == nil {
			return fits(ctx, d.client, "linux/"+runtime.GOARCH, true)
		}
		select {
		case <-d.ended:
			return fmt.Errorf("buildkitd ended at its start; the last lines of its log (%s):\n%s", d.log(), d.lastLines())
		case <-ctx.Done():
			return fmt.Errorf("waiting for buildkitd: %w", errors.Join(ctx.Err(), err))
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// lastLines is what a dead daemon said last. What it says of a start that succeeded explains nothing.
func (d *daemon) lastLines() string {
	raw, err := os.ReadFile(d.log())
	if err != nil {
		return err.Error()
	}
	if i := bytes.LastIndex(raw, []byte("running server on ")); i >= 0 {
		_, raw, _ = bytes.Cut(raw[i:], []byte{'\n'})
	}
	lines := bytes.Split(bytes.TrimSpace(raw), []byte{'\n'})
	return string(bytes.Join(lines[max(0, len(lines)-8):], []byte{'\n'}))
}

// end is how its process has ended; nil while it lives. A connection breaks before it is known.
func (d *daemon) end() error {
	select {
	case <-d.ended:
	case <-time.After(time.Second):
		return nil
	}
	if d.exit == nil {
		return errors.New("its process has ended by itself")
	}
	return fmt.Errorf("its process has ended: %w", d.exit)
}

// content is where the daemon keeps blobs, when it uses overlayfs.
func (d *daemon) content() string {
	return filepath.Join(d.root, "runc-overlayfs", "content", "blobs", "sha256")
}

// Close stops the daemon and waits for its end. Where it was killed, its steps are ended here.
func (d *daemon) Close() {
	if d.client != nil {
		_ = d.client.Close() // the daemon is going away
	}
	if d.stop != nil {
		d.stop()
		<-d.ended
		_ = endLeftovers(d.root) // the next start says what cannot be ended
	}
	if d.socket != "" {
		_ = os.RemoveAll(d.socket) // a folder in the temporary folder
	}
	d.unlock()
}

// NoBuilderError says that something must be executed and nothing here can do it.
type NoBuilderError struct {
	Words  []string // of the recipe that need a builder: `test "imports"`; none: any would do
	Reason string
	Way    string // to a builder; empty: what this host lacks
}

func (e *NoBuilderError) Error() string {
	s := e.Reason
	if len(e.Words) > 0 {
		s = strings.Join(e.Words, ", ") + " must be executed: " + s
	}
	return s
}

// Hint says what to do.
func (e *NoBuilderError) Hint() string {
	way := cmp.Or(e.Way, "run as root with buildkitd (make build) and runc installed, start a rootless buildkitd, name a builder with --builder")
	tests := 0
	for _, w := range e.Words {
		if strings.HasPrefix(w, "test ") {
			tests++
		}
	}
	switch {
	case tests == len(e.Words):
		return way + ", or leave tests out with --no-test"
	case tests > 0:
		return way + "; --no-test leaves out the tests alone"
	}
	return way
}
