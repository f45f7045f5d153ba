package builder

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/moby/buildkit/client"
	"github.com/moby/buildkit/client/llb"
	"github.com/moby/buildkit/solver/pb"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/forge-build/forge/recipes"
	"github.com/forge-build/forge/recipes/lock"
)

func TestAddressesAreJudged(t *testing.T) {
	t.Setenv(tlsFolder, "")
	for _, row := range []struct{ address, want string }{
		{"auto", ""}, {"embedded", ""}, {"none", ""},
		{"unix:///run/buildkit/buildkitd.sock", ""},
		{"unix://relative.sock", "must be absolute"},
		{"tcp://127.0.0.1:1234", ""}, {"tcp://[::1]:1234", ""}, {"tcp://localhost:1234", ""},
		{"tcp://build.example:1234", "without TLS"},
		{"tcp://127.0.0.1", "tcp://HOST:PORT"},
		{"tcp://me@127.0.0.1:1234", "neither a user"},
		{"docker-container://builder0", ""}, {"docker-container://", "container name"}, {"docker-container://-v", "docker-container://NAME"},
		{"podman-container://builder0", ""},
		{"kube-pod://builder-0?namespace=ci&context=prod", ""},
		{"kube-pod://builder-0?namespace=$(id)", "namespace"},
		{"ssh://host", "it must be auto"}, {"http://host", "it must be auto"}, {"", "it must be auto"}, {"%zz", "it must be auto"},
	} {
		err := CheckAddress(row.address)
		if (row.want == "") != (err == nil) || (err != nil && !strings.Contains(err.Error(), row.want)) {
			t.Errorf("%q: %v, want %q", row.address, err, row.want)
		}
	}
	dir := t.TempDir()
	t.Setenv(tlsFolder, dir)
	if err := CheckAddress("tcp://build.example:1234"); err == nil || !strings.Contains(err.Error(), "ca.pem") {
		t.Errorf("without keys: %v", err)
	}
	for _, name := range []string{"ca.pem", "cert.pem", "key.pem"} {
		write(t, filepath.Join(dir, name), "x", 0o644)
	}
	if err := CheckAddress("tcp://build.example:1234"); err == nil || !strings.Contains(err.Error(), "others can read") {
		t.Errorf("with a readable key: %v", err)
	}
}

func TestUnfitDaemonsAreRefused(t *testing.T) {
	for _, row := range []struct {
		version string
		ours    bool
		want    string
	}{
		{"v0.33.1", false, ""}, {"0.28.1", false, ""}, {"v0.29.0+unknown", false, ""},
		{"v0.28.0", false, "v0.28.1 or newer"}, {"v0.9.3", false, "CVE-2026-33747"}, {"v0.12.5", true, "v0.28.1 or newer"},
		{"v0.0.0+unknown", false, "where its version is due"}, {"", false, "where its version is due"}, {"9e14164a1099", false, "where its version is due"},
		{"v0.0.0+unknown", true, ""},
	} {
		err := fitVersion(row.version, row.ours)
		var unfit *UnfitError
		if (row.want == "") != (err == nil) || (err != nil && (!errors.As(err, &unfit) || !strings.Contains(err.Error(), row.want))) {
			t.Errorf("%q: %v, want %q", row.version, err, row.want)
		}
	}
	workers := []*client.WorkerInfo{{Platforms: []ocispecs.Platform{{OS: "linux", Architecture: "amd64"}}}}
	if err := fitPlatform(workers, "linux/amd64"); err != nil {
		t.Error(err)
	}
	if err := fitPlatform(workers, "linux/arm64"); err == nil || !strings.Contains(err.Error(), `no worker for linux/arm64, only for ["linux/amd64"]`) {
		t.Error(err)
	}
}

// Forge sends steps, and nothing that a daemon would have to fetch or trust: tests, runs and
// the compilation of byte-code (BK-01).
func TestDefinitionsAskForNothingDangerous(t *testing.T) {
	_, im, li := scratch(t)
	im.Runs = []recipes.Run{{Name: "train", Command: []string{"true"}, Output: []string{"/opt/a", "/opt/b"}, Env: map[string]string{"A": "1"}}}
	p, err := New(im, li)
	if err != nil {
		t.Fatal(err)
	}
	digest := "sha256:" + strings.Repeat("a", 64)
	root := slices.Repeat([]string{digest}, len(p.Layers))
	for name, state := range map[string]llb.State{
		"test":     testLLB(p, root, recipes.Test{Name: "a", Command: []string{"true"}, Env: map[string]string{"B": "2"}}),
		"run":      runLLB(p, root[:1], &im.Runs[0]),
		"bytecode": compileLLB(compilation{im: im, li: li}, digest, digest),
	} {
		def, err := state.Marshal(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		execs := 0
		for _, raw := range def.Def {
			var op pb.Op
			if err := op.UnmarshalVT(raw); err != nil {
				t.Fatal(err)
			}
			if op.GetExec() != nil {
				execs++
			}
			for _, what := range dangers(&op) {
				t.Errorf("%s: %s", name, what)
			}
		}
		if execs != 1 {
			t.Errorf("%s: %d commands, want 1", name, execs)
		}
	}
	// The test below the test: each of these is seen.
	for _, op := range []*pb.Op{
		{Op: &pb.Op_Source{Source: &pb.SourceOp{Identifier: "docker-image://docker.io/library/alpine"}}},
		{Op: &pb.Op_Source{Source: &pb.SourceOp{Identifier: "oci-layout://forge/layer:latest"}}},
		{Op: &pb.Op_Build{Build: &pb.BuildOp{}}},
		{Op: &pb.Op_Exec{Exec: &pb.ExecOp{Network: pb.NetMode_HOST, Meta: &pb.Meta{User: "1001"}}}},
		{Op: &pb.Op_Exec{Exec: &pb.ExecOp{Network: pb.NetMode_NONE, Security: pb.SecurityMode_INSECURE, Meta: &pb.Meta{User: "1001"}}}},
		{Op: &pb.Op_Exec{Exec: &pb.ExecOp{Network: pb.NetMode_NONE, Meta: &pb.Meta{User: "0"}}}},
		{Op: &pb.Op_Exec{Exec: &pb.ExecOp{Network: pb.NetMode_NONE, Meta: &pb.Meta{User: "1001"}, Mounts: []*pb.Mount{{MountType: pb.MountType_SSH}}}}},
		{Op: &pb.Op_Exec{Exec: &pb.ExecOp{Network: pb.NetMode_NONE, Meta: &pb.Meta{User: "1001", ProxyEnv: &pb.ProxyEnv{}}}}},
		{Op: &pb.Op_Exec{Exec: &pb.ExecOp{Network: pb.NetMode_NONE, Meta: &pb.Meta{User: "1001"}, Secretenv: []*pb.SecretEnv{{ID: "x"}}}}},
		{Op: &pb.Op_Exec{Exec: &pb.ExecOp{Network: pb.NetMode_NONE, Meta: &pb.Meta{User: "1001"}, CdiDevices: []*pb.CDIDevice{{Name: "gpu"}}}}},
	} {
		if len(dangers(op)) != 1 {
			t.Errorf("%v: %v", op, dangers(op))
		}
	}
}

// dangers says what of an operation reaches beyond forge's own layers and the sandbox.
func dangers(op *pb.Op) (out []string) {
	bad := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	if s := op.GetSource(); s != nil && (!strings.HasPrefix(s.Identifier, "oci-layout://forge/") || !strings.Contains(s.Identifier, "@sha256:")) {
		bad("source %q", s.Identifier)
	}
	if op.GetBuild() != nil {
		bad("a frontend is called")
	}
	e := op.GetExec()
	if e == nil {
		return out
	}
	if e.Network != pb.NetMode_NONE || e.Security != pb.SecurityMode_SANDBOX {
		bad("network %v, security %v", e.Network, e.Security)
	}
	if user, _, _ := strings.Cut(e.Meta.User, ":"); user == "" || user == "0" || user == "root" {
		bad("user %q", e.Meta.User)
	}
	if e.Meta.ProxyEnv != nil || len(e.Meta.ExtraHosts) > 0 {
		bad("proxy %v, hosts %v", e.Meta.ProxyEnv, e.Meta.ExtraHosts)
	}
	if len(e.Secretenv) > 0 || len(e.CdiDevices) > 0 {
		bad("secrets %v, devices %v", e.Secretenv, e.CdiDevices)
	}
	for _, m := range e.Mounts {
		if m.MountType != pb.MountType_BIND {
			bad("a mount of type %v at %q", m.MountType, m.Dest)
		}
	}
	return out
}

// remote starts a real buildkitd that is not forge's own, and returns its process.
func remote(t *testing.T, args ...string) *os.Process {
	t.Helper()
	needDaemon(t)
	binary, runc, err := programs()
	if err != nil {
		t.Fatal(err)
	}
	log := new(bytes.Buffer)
	root := t.TempDir()
	t.Cleanup(func() { unmount(root) })
	cmd := exec.Command(binary, append([]string{"--root", root, "--oci-worker-binary", runc, "--oci-worker-net", "host", "--containerd-worker=false"}, args...)...)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { _ = cmd.Wait(); close(ended) }()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-ended:
		case <-time.After(20 * time.Second):
			_ = cmd.Process.Kill()
			<-ended
		}
		if t.Failed() {
			t.Log(log.String())
		}
	})
	return cmd.Process
}

// socket is a short path for one.
func socket(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "forge-t-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return filepath.Join(dir, "s")
}

// answering waits for the daemon at an address.
func answering(t *testing.T, address string) {
	t.Helper()
	var err error
	for range 200 {
		if err = answers(context.Background(), address, "linux/"+runtime.GOARCH); err == nil {
			return
		}
		var unfit *UnfitError
		if errors.As(err, &unfit) {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	t.Fatalf("%s: %v", address, err)
}

// tested builds an image with a test on a builder and returns the digest.
func tested(t *testing.T, mode string) string {
	t.Helper()
	b, im, li := scratch(t)
	b.NoTest, b.Mode = false, mode
	im.Tests = []recipes.Test{{Name: "checks", Command: []string{"/usr/lib/forge/init", "check"}}}
	r := build(t, b, im, li)
	if len(r.Tests) != 1 || r.Tests[0].Kept {
		t.Errorf("%s: tests %+v", mode, r.Tests)
	}
	return r.Digest
}

func TestEachBuilderGivesTheSameImage(t *testing.T) {
	path := socket(t)
	remote(t, "--addr", "unix://"+path)
	answering(t, "unix://"+path)
	b, im, li := scratch(t)
	b.Mode = "none"
	im.Tests = []recipes.Test{{Name: "checks", Command: []string{"/usr/lib/forge/init", "check"}}}
	want := build(t, b, im, li).Digest
	// docker and kubectl are played by programs that bring the connection to the same daemon.
	ctl := find("buildctl")
	if ctl == "" {
		dir := t.TempDir()
		ctl = filepath.Join(dir, "buildctl")
		cmd := exec.Command("go", "build", "-o", ctl, "github.com/moby/buildkit/cmd/buildctl")
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	bin := t.TempDir()
	for _, name := range []string{"docker", "podman", "kubectl"} {
		write(t, filepath.Join(bin, name), fmt.Sprintf("#!/bin/sh\necho \"%s $*\" >>%s/calls\nexec %s --addr unix://%s dial-stdio\n", name, bin, ctl, path), 0o755)
	}
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	for _, mode := range []string{"embedded", "unix://" + path, "docker-container://builder0", "podman-container://builder0", "kube-pod://builder-0?namespace=ci&context=prod"} {
		if got := tested(t, mode); got != want {
			t.Errorf("%s: %s, want %s", mode, got, want)
		}
	}
	calls, err := os.ReadFile(filepath.Join(bin, "calls"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"docker exec -i builder0 buildctl dial-stdio", "podman exec -i builder0 buildctl dial-stdio",
		"kubectl --context=prod --namespace=ci exec --container= -i builder-0 -- buildctl dial-stdio"} {
		if !strings.Contains(string(calls), want) {
			t.Errorf("no call %q in:\n%s", want, calls)
		}
	}
}

// keys writes a CA and, signed by it, keys for a loopback server and a client.
func keys(t *testing.T) (server, user string) {
	t.Helper()
	ca, caKey := certify(t, nil, nil, nil)
	server, user = t.TempDir(), t.TempDir()
	for _, dir := range []string{server, user} {
		cert, key := certify(t, ca, caKey, []net.IP{net.IPv4(127, 0, 0, 1)})
		der, err := x509.MarshalECPrivateKey(key)
		if err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(dir, "ca.pem"), pemOf("CERTIFICATE", ca.Raw), 0o644)
		write(t, filepath.Join(dir, "cert.pem"), pemOf("CERTIFICATE", cert.Raw), 0o644)
		write(t, filepath.Join(dir, "key.pem"), pemOf("EC PRIVATE KEY", der), 0o600)
	}
	return server, user
}

func pemOf(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

func certify(t *testing.T, parent *x509.Certificate, signer *ecdsa.PrivateKey, ips []net.IP) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "test"}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(time.Hour), IPAddresses: ips, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth}}
	if parent == nil {
		parent, signer, c.IsCA, c.BasicConstraintsValid, c.KeyUsage = c, key, true, true, x509.KeyUsageCertSign
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert, key
}

func TestTCPWithKeysOfBothSides(t *testing.T) {
	needDaemon(t)
	server, user := keys(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := "tcp://" + l.Addr().String()
	l.Close()
	remote(t, "--addr", address, "--tlscacert", filepath.Join(server, "ca.pem"), "--tlscert", filepath.Join(server, "cert.pem"), "--tlskey", filepath.Join(server, "key.pem"))
	t.Setenv(tlsFolder, user)
	answering(t, address)
	tested(t, address)
	old := answerTime
	answerTime = 2 * time.Second
	defer func() { answerTime = old }()
	_, stranger := keys(t)
	t.Setenv(tlsFolder, stranger)
	if _, err := connect(context.Background(), address, "linux/"+runtime.GOARCH); err == nil {
		t.Error("keys of another CA were accepted")
	}
	t.Setenv(tlsFolder, "")
	if _, err := connect(context.Background(), address, "linux/"+runtime.GOARCH); err == nil {
		t.Error("a connection without TLS was accepted")
	}
}

// A daemon that never answers, and one that talks another protocol, end with an error soon.
func TestDaemonsThatAreNone(t *testing.T) {
	old := answerTime
	answerTime = time.Second
	defer func() { answerTime = old }()
	for name, reply := range map[string]string{"silence": "", "garbage": "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"} {
		path := socket(t)
		l, err := net.Listen("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				_, _ = c.Write([]byte(reply))
			}
		}()
		b, im, li := scratch(t)
		b.NoTest, b.Mode = false, "unix://"+path
		im.Tests = []recipes.Test{{Name: "a", Command: []string{"true"}}}
		p, err := New(im, li)
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		if _, err := b.Build(context.Background(), p); err == nil || !strings.Contains(err.Error(), "connecting to builder") || errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", name, err)
		}
		if d := time.Since(began); d > 10*time.Second {
			t.Errorf("%s: it took %s", name, d)
		}
	}
}

// A daemon that the user names is asked before anything is fetched or made; where the layers are
// there and the tests' results are kept, nobody needs it.
func TestANamedDaemonIsAskedFirst(t *testing.T) {
	b, im, li := scratch(t)
	b.NoTest, b.Mode = false, (&fake{}).serve(t)
	im.Tests = []recipes.Test{{Name: "a", Command: []string{"true"}}}
	build(t, b, im, li)
	b.Mode = "unix://" + socket(t)
	if r := build(t, b, im, li); len(r.Tests) != 1 || !r.Tests[0].Kept {
		t.Errorf("without the daemon: %+v", r.Tests)
	}
	p, err := New(im, li)
	if err != nil {
		t.Fatal(err)
	}
	li.Wheels = []lock.Wheel{{Name: "unknown", Version: "1", File: "unknown-1-py3-none-any.whl", SHA256: sumOf(nil)}}
	p.Layers = append(p.Layers, PlannedLayer{Name: "unknown", Kind: "wheels", Lock: &lock.Layer{Name: "unknown", Kind: "wheels", Members: []string{sumOf(nil)},
		Blobs: map[string]lock.Blob{"zstd": {Digest: "sha256:" + sumOf(nil)}}}})
	_, err = b.Build(context.Background(), p) // to make this layer would end with another error
	var c *ConnectError
	if !errors.As(err, &c) || c.Address != b.Mode {
		t.Errorf("got %v", err)
	}
}

// hang is a test of the recipe that does not end by itself: forge-init waits for a child
// that waits for its input.
func hang(t *testing.T, b *Builder, im *recipes.Image) {
	t.Helper()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "main.go"), "package main\n\nimport \"time\"\n\nfunc main() { println(\"hanging\"); time.Sleep(20 * time.Second) }\n", 0o644)
	cmd := exec.Command("go", "build", "-o", filepath.Join(b.Dir, "app", "hang"), filepath.Join(dir, "main.go"))
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	im.Tests = []recipes.Test{{Name: "hangs", Command: []string{"/app/hang"}}}
}

func TestADaemonThatIsKilledOrStopsInMidSolve(t *testing.T) {
	needDaemon(t)
	old := silence
	silence = 3 * time.Second
	defer func() { silence = old }()
	temporary, err := os.MkdirTemp("", "forge-t-") // short, for sockets
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(temporary) })
	t.Setenv("TMPDIR", temporary)
	for _, mode := range []string{"embedded", "remote", "stopped"} {
		b, im, li := scratch(t)
		hang(t, b, im)
		t.Cleanup(func() { unmount(b.Store.Dir()) })
		b.NoTest, b.Mode = false, mode
		seen := &waiter{text: "hanging", found: make(chan struct{})}
		b.Messages = seen
		var p *os.Process
		if mode != "embedded" {
			path := socket(t)
			p = remote(t, "--addr", "unix://"+path)
			b.Mode = "unix://" + path
			answering(t, b.Mode)
		}
		plan, err := New(im, li)
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan error, 1)
		go func() {
			_, err := b.Build(context.Background(), plan)
			done <- err
		}()
		select {
		case <-seen.found:
		case err := <-done:
			t.Fatalf("%s: it ended before the daemon was killed: %v\n%s", mode, err, seen.String())
		case <-time.After(time.Minute):
			t.Fatalf("%s: the step has not started:\n%s", mode, seen.String())
		}
		if p == nil {
			out, err := exec.Command("pgrep", "-f", "--", "--root "+filepath.Join(b.Store.Dir(), "buildkit")).Output()
			var pid int
			if _, e := fmt.Sscan(string(out), &pid); err != nil || e != nil {
				t.Fatalf("%v %v: %q", err, e, out)
			}
			if p, err = os.FindProcess(pid); err != nil {
				t.Fatal(err)
			}
		}
		end := syscall.SIGKILL
		if mode == "stopped" {
			end = syscall.SIGSTOP
			defer func() { _ = p.Signal(syscall.SIGCONT) }() // so that it can be ended
		}
		if err := p.Signal(end); err != nil {
			t.Fatal(err)
		}
		select {
		case err := <-done:
			var gone *BuilderGoneError
			if !errors.As(err, &gone) {
				t.Errorf("%s: %v", mode, err)
			}
			if mode != "embedded" {
				break
			}
			if text := err.Error(); !strings.Contains(text, "its process has ended: signal: killed") || strings.Contains(text, "level=info") {
				t.Errorf("it does not say how the daemon ended, or what it said at its start: %v", err)
			}
			if raw, err := os.ReadFile("/proc/self/mountinfo"); err != nil || strings.Contains(string(raw), b.Store.Dir()) {
				t.Errorf("the step's root is still mounted: %v", err)
			}
		case <-time.After(40 * time.Second):
			t.Fatalf("%s: forge still waits for a daemon that is dead", mode)
		}
		if left, err := filepath.Glob(filepath.Join(temporary, "forge-[0-9]*")); err != nil || len(left) > 0 {
			t.Errorf("%s: left in the temporary folder: %v %v", mode, left, err)
		}
		if left, err := filepath.Glob(filepath.Join(b.Store.Dir(), "partial", "*")); err != nil || len(left) > 0 {
			t.Errorf("%s: left in the store: %v %v", mode, left, err)
		}
	}
}

// waiter tells when a text was written.
type waiter struct {
	bytes.Buffer
	text  string
	found chan struct{}
	done  bool
}

func (w *waiter) Write(p []byte) (int, error) {
	n, err := w.Buffer.Write(p)
	if !w.done && strings.Contains(w.Buffer.String(), w.text) {
		w.done = true
		close(w.found)
	}
	return n, err
}

// Of a program that was to reach a builder, and cannot, the last line says why.
func TestAProgramThatReachesNoBuilderIsQuoted(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "docker"), "#!/bin/sh\nsleep 1 # what it is told fits into the pipe until then\necho 'I1130 noise' >&2\necho 'Error: No such container: \"nope\"' >&2\nexit 1\n", 0o700)
	t.Setenv("PATH", dir+":/usr/bin:/bin")
	_, err := connect(t.Context(), "docker-container://nope", "linux/amd64")
	want := `connecting to builder "docker-container://nope": docker exec -i nope buildctl dial-stdio: exit status 1: Error: No such container: "nope"`
	var e *ConnectError
	if !errors.As(err, &e) || err.Error() != want || e.Hint() == "" {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}
