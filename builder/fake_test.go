package builder

import (
	"bytes"
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	control "github.com/moby/buildkit/api/services/control"
	types "github.com/moby/buildkit/api/types"
	gateway "github.com/moby/buildkit/frontend/gateway/pb"
	"github.com/moby/buildkit/solver/pb"
	"github.com/moby/buildkit/util/apicaps"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/forge-build/forge/recipes"
)

// fake speaks BuildKit's protocol and does not keep to it (BK-02). The zero value answers as
// a fitting daemon that claims every success at once.
type fake struct {
	control.UnimplementedControlServer

	version string
	workers []*types.WorkerRecord
	lacks   apicaps.CapID
	solve   func(ctx context.Context, r *control.SolveRequest) (*control.SolveResponse, error)
	status  func(s control.Control_StatusServer) error
	mute    atomic.Bool // it does not answer any more
}

func (f *fake) Info(context.Context, *control.InfoRequest) (*control.InfoResponse, error) {
	return &control.InfoResponse{BuildkitVersion: &types.BuildkitVersion{Version: f.version}}, nil
}

func (f *fake) ListWorkers(ctx context.Context, _ *control.ListWorkersRequest) (*control.ListWorkersResponse, error) {
	if f.mute.Load() {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return &control.ListWorkersResponse{Record: f.workers}, nil
}

// bridge is the part of a fake that tells its abilities.
type bridge struct {
	gateway.UnimplementedLLBBridgeServer
	lacks apicaps.CapID
}

func (f *bridge) Ping(context.Context, *gateway.PingRequest) (*gateway.PongResponse, error) {
	out := &gateway.PongResponse{FrontendAPICaps: gateway.Caps.All()}
	for _, c := range pb.Caps.All() {
		if c.ID != string(f.lacks) {
			out.LLBCaps = append(out.LLBCaps, c)
		}
	}
	return out, nil
}

func (f *bridge) Return(context.Context, *gateway.ReturnRequest) (*gateway.ReturnResponse, error) {
	return &gateway.ReturnResponse{}, nil
}

func (f *fake) Session(s control.Control_SessionServer) error {
	// The daemon is the HTTP/2 client of a session; without its preface and settings BuildKit's
	// client waits five seconds at the end. RFC 9113, 3.4.
	if err := s.Send(&control.BytesMessage{Data: []byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00")}); err != nil {
		return err
	}
	for { // nothing is asked of the client
		if _, err := s.Recv(); err != nil {
			return nil
		}
	}
}

func (f *fake) Solve(ctx context.Context, r *control.SolveRequest) (*control.SolveResponse, error) {
	if r.Definition == nil || len(r.Definition.Def) == 0 || f.solve == nil { // the question for its abilities
		return &control.SolveResponse{}, nil
	}
	return f.solve(ctx, r)
}

func (f *fake) Status(_ *control.StatusRequest, s control.Control_StatusServer) error {
	if f.status == nil {
		return nil
	}
	return f.status(s)
}

// serve starts a fake and returns its address.
func (f *fake) serve(t *testing.T) string {
	t.Helper()
	return f.serveAt(t, socket(t))
}

func (f *fake) serveAt(t *testing.T, path string) string {
	t.Helper()
	if f.version == "" {
		f.version = "v0.33.1"
	}
	if f.workers == nil {
		f.workers = []*types.WorkerRecord{{ID: "w", Platforms: []*pb.Platform{{OS: "linux", Architecture: "amd64"}, {OS: "linux", Architecture: "arm64"}}}}
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	s := grpc.NewServer()
	control.RegisterControlServer(s, f)
	gateway.RegisterLLBBridgeServer(s, &bridge{lacks: f.lacks})
	go func() { _ = s.Serve(l) }() // it ends with Stop
	t.Cleanup(s.Stop)
	return "unix://" + path
}

// testedBy builds an image with a test at a fake, within half a minute.
func testedBy(t *testing.T, f *fake) (said string, err error) {
	t.Helper()
	b, im, li := scratch(t)
	b.NoTest, b.Mode = false, f.serve(t)
	b.Messages = new(bytes.Buffer)
	im.Tests = []recipes.Test{{Name: "a", Command: []string{"true"}}}
	p, err := New(im, li)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	_, err = b.Build(ctx, p)
	if ctx.Err() != nil {
		t.Errorf("forge waits for a daemon that does not keep to its protocol: %v", err)
	}
	return b.Messages.(*bytes.Buffer).String(), err
}

// The fake itself is one that forge would take; else the tests below show nothing.
func TestAFakeDaemonIsTaken(t *testing.T) {
	if _, err := testedBy(t, &fake{}); err != nil {
		t.Fatal(err)
	}
}

func TestADaemonThatLacksAnAbilityIsRefused(t *testing.T) {
	for _, c := range needed {
		_, err := testedBy(t, &fake{lacks: c})
		var unfit *UnfitError
		if !errors.As(err, &unfit) || !strings.Contains(err.Error(), "it lacks "+string(c)) {
			t.Errorf("%s: %v", c, err)
		}
	}
	var unfit *UnfitError
	if _, err := testedBy(t, &fake{version: "v0.12.0"}); !errors.As(err, &unfit) {
		t.Errorf("an old one: %v", err)
	}
	if _, err := testedBy(t, &fake{workers: []*types.WorkerRecord{{ID: "w", Platforms: []*pb.Platform{{OS: "plan9", Architecture: "mips"}}}}}); !errors.As(err, &unfit) {
		t.Errorf("one for another system: %v", err)
	}
}

// An ordinary user's auto takes the first daemon that fits, in a known order, and says of the
// others why they do not.
func TestAutoTakesTheFirstDaemonThatFits(t *testing.T) {
	runtimeDir := filepath.Dir(socket(t))
	if err := os.Mkdir(filepath.Join(runtimeDir, "buildkit"), 0o700); err != nil {
		t.Fatal(err)
	}
	bin := t.TempDir() // docker is played by a program that lists one builder and enters none
	write(t, filepath.Join(bin, "docker"), "#!/bin/sh\n[ \"$1\" = ps ] && echo buildx_buildkit_b0 && exit\necho no such container >&2\nexit 1\n", 0o755)
	t.Setenv("PATH", bin)
	t.Setenv("XDG_RUNTIME_DIR", runtimeDir)
	t.Setenv(tlsFolder, "")
	t.Setenv("BUILDKIT_HOST", "tcp://build.example:1234")
	_, err := found(t.Context(), "linux/amd64", []string{`test "a"`})
	var none *NoBuilderError
	if !errors.As(err, &none) {
		t.Fatal(err)
	}
	for _, want := range []string{`test "a" must be executed`, "tcp://build.example:1234 (", "without TLS", "docker-container://buildx_buildkit_b0 ("} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("no %q in: %v", want, err)
		}
	}
	own := (&fake{}).serveAt(t, filepath.Join(runtimeDir, "buildkit", "buildkitd.sock"))
	for _, row := range []struct {
		host, want string
	}{
		{"", own},
		{"tcp://build.example:1234", own},
		{(&fake{version: "v0.12.0"}).serve(t), own},
		{(&fake{workers: []*types.WorkerRecord{{ID: "w", Platforms: []*pb.Platform{{OS: "linux", Architecture: "arm64"}}}}}).serve(t), own},
		{(&fake{lacks: needed[0]}).serve(t), own},
	} {
		t.Setenv("BUILDKIT_HOST", row.host)
		if got, err := found(t.Context(), "linux/amd64", nil); got != row.want {
			t.Errorf("BUILDKIT_HOST=%q: %q, want %q: %v", row.host, got, row.want, err)
		}
	}
	first := (&fake{}).serve(t)
	t.Setenv("BUILDKIT_HOST", first)
	if got, err := found(t.Context(), "linux/amd64", nil); got != first {
		t.Errorf("%q, want %q: %v", got, first, err)
	}
}

// BK-02: a daemon that sends garbage, lies or falls silent ends the build with an error.
func TestADaemonThatLies(t *testing.T) {
	old := silence
	silence = 2 * time.Second
	defer func() { silence = old }()
	hang := func(ctx context.Context, _ *control.SolveRequest) (*control.SolveResponse, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	quiet := func(s control.Control_StatusServer) error { <-s.Context().Done(); return nil }
	now := timestamppb.Now()
	send := func(list ...*control.StatusResponse) func(control.Control_StatusServer) error {
		return func(s control.Control_StatusServer) error {
			for _, r := range list {
				if err := s.Send(r); err != nil {
					return err
				}
			}
			return nil
		}
	}
	for name, row := range map[string]struct {
		f    *fake
		want string // in the error
	}{
		"never answers": {&fake{solve: hang, status: quiet}, "no answer for 2s"},
		"dies in silence": {func() *fake {
			f := &fake{status: quiet}
			f.solve = func(ctx context.Context, _ *control.SolveRequest) (*control.SolveResponse, error) {
				f.mute.Store(true)
				<-ctx.Done()
				return nil, ctx.Err()
			}
			return f
		}(), "went away in mid-solve"},
		"a failure with escapes": {&fake{solve: func(context.Context, *control.SolveRequest) (*control.SolveResponse, error) {
			return nil, status.Error(codes.Unknown, "boom \x1b[2J\x1b]0;title\x07")
		}}, "boom"},
		"an error without words": {&fake{solve: func(context.Context, *control.SolveRequest) (*control.SolveResponse, error) {
			return nil, status.Error(codes.Code(99), "")
		}}, ""},
	} {
		said, err := testedBy(t, row.f)
		if err == nil || !strings.Contains(err.Error(), row.want) || errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", name, err)
		}
		if strings.ContainsAny(said, "\x1b\x07") {
			t.Errorf("%s: escapes of the daemon's reach the terminal: %q", name, said)
		}
	}
	// Garbage in the progress is shown or not; it neither fails a build nor stops forge.
	long := strings.Repeat("x", 1<<20)
	for name, progress := range map[string]func(control.Control_StatusServer) error{
		"no digests":     send(&control.StatusResponse{Vertexes: []*control.Vertex{{}}, Statuses: []*control.VertexStatus{{}}, Logs: []*control.VertexLog{{}}, Warnings: []*control.VertexWarning{{}}}),
		"bad digests":    send(&control.StatusResponse{Vertexes: []*control.Vertex{{Digest: "nonsense", Name: "\x1b[2J", Inputs: []string{"x", ""}}}}),
		"unknown vertex": send(&control.StatusResponse{Logs: []*control.VertexLog{{Vertex: "sha256:" + strings.Repeat("0", 64), Msg: []byte("\x1b]0;title\x07"), Timestamp: now}}}),
		"ends before it began": send(&control.StatusResponse{Vertexes: []*control.Vertex{{Digest: "sha256:" + strings.Repeat("0", 64), Name: "a", Completed: now}}},
			&control.StatusResponse{Vertexes: []*control.Vertex{{Digest: "sha256:" + strings.Repeat("0", 64), Name: "b", Started: now}}}),
		"one long line": send(&control.StatusResponse{Logs: []*control.VertexLog{{Vertex: "sha256:" + strings.Repeat("0", 64), Msg: []byte(long), Timestamp: now}}}),
		"loops": send(&control.StatusResponse{Vertexes: []*control.Vertex{
			{Digest: "sha256:" + strings.Repeat("1", 64), Name: "a", Inputs: []string{"sha256:" + strings.Repeat("2", 64)}, Started: now},
			{Digest: "sha256:" + strings.Repeat("2", 64), Name: "b", Inputs: []string{"sha256:" + strings.Repeat("1", 64)}, Started: now}}}),
	} {
		said, err := testedBy(t, &fake{status: progress})
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if strings.ContainsAny(said, "\x1b\x07") {
			t.Errorf("%s: escapes of the daemon's reach the terminal: %q", name, said)
		}
	}
}

// A daemon that claims to have run a command, and sends nothing, or other files than asked for.
func TestADaemonThatRunsNothing(t *testing.T) {
	b, im, li := scratch(t)
	b.Mode = (&fake{}).serve(t)
	im.Runs = []recipes.Run{{Name: "train", Command: []string{"true"}, Output: []string{"/opt/data"}}}
	p, err := New(im, li)
	if err != nil {
		t.Fatal(err)
	}
	var run *RunError
	if _, err := b.Build(context.Background(), p); !errors.As(err, &run) || !strings.Contains(err.Error(), "is empty") {
		t.Errorf("%v", err)
	}
}
