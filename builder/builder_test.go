package builder

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/validate"

	"github.com/forge-build/forge/builder/layer"
	"github.com/forge-build/forge/builder/store"
	"github.com/forge-build/forge/recipes"
	"github.com/forge-build/forge/recipes/lock"
)

// initDir holds a forge-init that was built once for all tests.
var initDir string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "forge-builder-test-")
	if err != nil {
		panic(err)
	}
	cmd := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w -buildid=", "-o", filepath.Join(dir, "forge-init-linux-"+runtime.GOARCH), "../cmd/forge-init")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=", "GOOS=linux")
	if out, err := cmd.CombinedOutput(); err != nil {
		panic(string(out))
	}
	initDir = dir
	os.Setenv("FORGE_INIT_DIR", dir)
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

// scratch is an image without an operating system: forge-init, the settings, and an
// application folder. Nothing of it comes from a network.
func scratch(t *testing.T) (*Builder, *recipes.Image, *lock.Image) {
	t.Helper()
	s, err := store.Open(filepath.Join(t.TempDir(), "store"))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	write(t, filepath.Join(dir, "app", "run.sh"), "#!/bin/sh\n", 0o700)
	write(t, filepath.Join(dir, "app", "data.txt"), "data\n", 0o600)
	im := &recipes.Image{
		Name: "scratch", Platform: "linux/" + runtime.GOARCH, Writable: []string{"/cache"}, Workdir: "/app",
		User: recipes.User{Name: "forge", UID: 1001}, Copies: []recipes.Copy{{From: "app", To: "/app"}}, Slim: recipes.Slim{Codec: "zstd"},
		Start: recipes.Start{NoGPU: "stop", NoDriver: "stop", OldDriver: "stop", NoCode: "stop", Root: "stop"},
	}
	init, err := LockInit(im.Platform)
	if err != nil {
		t.Fatal(err)
	}
	li := &lock.Image{Platform: im.Platform, Created: "2026-11-22T00:00:00Z", Init: init, Python: lock.Python{Version: "3.13", Interpreter: "/usr/bin/python3.13"}, Base: &lock.Base{}}
	return &Builder{Store: s, Dir: dir, Output: t.TempDir(), NoTest: true, Messages: new(bytes.Buffer)}, im, li
}

// write makes a file of this mode, whatever the umask.
func write(t *testing.T, path, content string, mode os.FileMode) {
	t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(content), mode), os.Chmod(path, mode)); err != nil {
		t.Fatal(err)
	}
}

func build(t *testing.T, b *Builder, im *recipes.Image, li *lock.Image) *Result {
	t.Helper()
	p, err := New(im, li)
	if err != nil {
		t.Fatal(err)
	}
	r, err := b.Build(context.Background(), p)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestTheLayoutIsAValidImage(t *testing.T) {
	b, im, li := scratch(t)
	im.Slim.Codec = "gzip" // what the validator reads
	im.Ports, im.Labels, im.Env = []int{8080}, map[string]string{"team": "ml"}, map[string]string{"OMP_NUM_THREADS": "8"}
	r := build(t, b, im, li)
	index, err := layout.ImageIndexFromPath(r.Dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := validate.Index(index); err != nil {
		t.Error(err)
	}
	l, err := ReadLayout("oci:" + r.Dir + "@" + r.Digest)
	if err != nil || l.Digest != r.Digest {
		t.Fatalf("%v: read back %v, built %v", err, l, r.Digest)
	}
	c := l.Config.Config
	if got := strings.Join(c.Entrypoint, " "); got != "/usr/lib/forge/init --" || c.User != "1001" || c.WorkingDir != "/app" || strings.Join(c.Cmd, " ") != "python" {
		t.Errorf("config is %+v", c)
	}
	env := strings.Join(c.Env, "\n")
	for _, name := range []string{"CUDA_VERSION=", "LD_LIBRARY_PATH=", "NVIDIA_"} {
		if strings.Contains(env, name) {
			t.Errorf("%s is set in an image without CUDA", name)
		}
	}
	if !strings.Contains(env, "OMP_NUM_THREADS=8") || !strings.Contains(env, "HF_HOME=/cache/huggingface") {
		t.Errorf("env is %s", env)
	}
	if len(l.Config.History) != len(l.Manifest.Layers) || l.Config.History[2].CreatedBy != "forge: copy app to /app" {
		t.Errorf("history is %+v", l.Config.History)
	}
	if want := []Copied{{"app/data.txt", "/app/data.txt", sumOf([]byte("data\n"))}, {"app/run.sh", "/app/run.sh", sumOf([]byte("#!/bin/sh\n"))}}; !slices.Equal(r.Copied, want) {
		t.Errorf("copied were %+v", r.Copied)
	}
}

func TestACopyOfTheWholeFolderLeavesTheOutputOut(t *testing.T) {
	b, im, li := scratch(t)
	b.Output = filepath.Join(b.Dir, "dist")
	im.Copies = []recipes.Copy{{From: ".", To: "/app"}}
	first := build(t, b, im, li)
	if second := build(t, b, im, li); second.Digest != first.Digest {
		t.Errorf("a second build gives %s, the first gave %s: the image holds its own output", second.Digest, first.Digest)
	}
}

// A pod's command takes the place of ENTRYPOINT and empties CMD, its args take the place of
// CMD alone. Source: Kubernetes, "Define a Command and Arguments for a Container".
func TestAPodsArgsKeepTheCheckAndItsCommandSkipsIt(t *testing.T) {
	_, im, li := scratch(t)
	im.Entrypoint, im.Command = []string{"python", "serve.py"}, []string{"--port", "8080"}
	p, err := New(im, li)
	if err != nil {
		t.Fatal(err)
	}
	c := p.Config.Config
	pod := func(command, args []string) string {
		switch {
		case command != nil:
			return strings.Join(append(append([]string{}, command...), args...), " ")
		case args != nil:
			return strings.Join(append(append([]string{}, c.Entrypoint...), args...), " ")
		}
		return strings.Join(append(append([]string{}, c.Entrypoint...), c.Cmd...), " ")
	}
	for _, row := range []struct {
		name          string
		command, args []string
		want          string
	}{
		{"neither", nil, nil, "/usr/lib/forge/init -- python serve.py --port 8080"},
		{"args", nil, []string{"bash"}, "/usr/lib/forge/init -- bash"},
		{"command", []string{"bash"}, nil, "bash"},
	} {
		if got := pod(row.command, row.args); got != row.want {
			t.Errorf("%s: the pod runs %q, want %q", row.name, got, row.want)
		}
	}
}

func TestTheDigestDependsOnNothingButTheInputs(t *testing.T) {
	b, im, li := scratch(t)
	want := build(t, b, im, li).Digest
	// another store, folder, umask, time zone, number of CPUs, modes of the files, times
	old := syscall.Umask(0o077)
	defer syscall.Umask(old)
	t.Setenv("TZ", "Asia/Kathmandu")
	t.Setenv("SOURCE_DATE_EPOCH", "1")
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	c, _, _ := scratch(t)
	if err := errors.Join(os.Chmod(filepath.Join(c.Dir, "app", "data.txt"), 0o664), os.Chmod(filepath.Join(c.Dir, "app", "run.sh"), 0o755),
		os.Chtimes(filepath.Join(c.Dir, "app", "data.txt"), time.Unix(1, 0), time.Unix(1, 0))); err != nil {
		t.Fatal(err)
	}
	if got := build(t, c, im, li).Digest; got != want {
		t.Errorf("digest is %s, was %s", got, want)
	}
	if err := os.Chmod(filepath.Join(c.Dir, "app", "data.txt"), 0o755); err != nil {
		t.Fatal(err)
	}
	if got := build(t, c, im, li).Digest; got == want {
		t.Error("an execute bit changes nothing")
	}
}

func TestAPlanIsTheSameEachTime(t *testing.T) {
	_, im, li := scratch(t)
	li.Derived = lock.Derived{CUDA: "12.8", Driver: "525.60.13", Recommended: "570.124.06", SM: []string{"8.0"}}
	im.Tests = []recipes.Test{{Name: "a", Command: []string{"true"}, Env: map[string]string{"B": "1", "A": "2"}}}
	var first, definition []byte
	for i := range 25 {
		p, err := New(im, li)
		if err != nil {
			t.Fatal(err)
		}
		raw, err := json.Marshal(p.Document())
		if err != nil {
			t.Fatal(err)
		}
		def, err := testLLB(p, slices.Repeat([]string{"sha256:" + strings.Repeat("a", 64)}, len(p.Layers)), im.Tests[0]).Marshal(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		llb := bytes.Join(def.Def, nil)
		if i == 0 {
			first, definition = raw, llb
			continue
		}
		if !bytes.Equal(raw, first) || !bytes.Equal(llb, definition) {
			t.Fatal("the plan or its LLB differs from the first")
		}
	}
	if !bytes.Contains(first, []byte("NVIDIA_REQUIRE_DRIVER=driver\\u003e=525.60.13")) || bytes.Contains(first, []byte("CUDA_VERSION")) {
		t.Errorf("plan of a CUDA image: %s", first)
	}
}

func TestCopiesStayInTheRecipesFolder(t *testing.T) {
	for _, row := range []struct{ name, link, want string }{
		{"an absolute link", "/etc/passwd", "leaves the recipe's folder"},
		{"a link out", "../../etc/passwd", "leaves the recipe's folder"},
	} {
		b, im, li := scratch(t)
		if err := os.Symlink(row.link, filepath.Join(b.Dir, "app", "link")); err != nil {
			t.Fatal(err)
		}
		p, err := New(im, li)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := b.Build(context.Background(), p); err == nil || !strings.Contains(err.Error(), row.want) {
			t.Errorf("%s: %v", row.name, err)
		}
		if left, _ := filepath.Glob(filepath.Join(b.Output, "*")); len(left) != 0 {
			t.Errorf("%s: left behind: %v", row.name, left)
		}
	}
	b, im, li := scratch(t)
	write(t, filepath.Join(b.Dir, ".dockerignore"), "**/*.txt\n", 0o644)
	with := build(t, b, im, li)
	names := entries(t, b, with, 2)
	if strings.Join(names, " ") != "app app/run.sh" {
		t.Errorf("with .dockerignore the layer holds %v", names)
	}
	if err := syscall.Mkfifo(filepath.Join(b.Dir, "app", "pipe"), 0o644); err != nil {
		t.Fatal(err)
	}
	p, _ := New(im, li)
	if _, err := b.Build(context.Background(), p); err == nil {
		t.Error("a pipe was copied")
	}
	if _, err := os.Stat(filepath.Join(with.Dir, "index.json")); err != nil {
		t.Errorf("the image that was there is lost: %v", err)
	}
}

// A team's weights may be larger than memory.
func TestALargeFileIsCopiedWithoutBeingHeld(t *testing.T) {
	const size = 128 << 20
	b, im, li := scratch(t)
	file := filepath.Join(b.Dir, "app", "weights.bin")
	write(t, file, "", 0o644)
	if err := os.Truncate(file, size); err != nil {
		t.Fatal(err)
	}
	p, err := New(im, li)
	if err != nil {
		t.Fatal(err)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	r, err := b.Build(t.Context(), p)
	runtime.ReadMemStats(&after)
	if err != nil {
		t.Fatal(err)
	}
	if n := after.TotalAlloc - before.TotalAlloc; n > size/2 {
		t.Errorf("%d bytes were allocated for a file of %d", n, size)
	}
	sum := sha256.New()
	if _, err := io.CopyN(sum, zeros{}, size); err != nil {
		t.Fatal(err)
	}
	if want := (Copied{"app/weights.bin", "/app/weights.bin", hex.EncodeToString(sum.Sum(nil))}); !slices.Contains(r.Copied, want) {
		t.Errorf("copied were %+v", r.Copied)
	}
}

// zeros reads as zeros.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// entries reads the paths of a layer back.
func entries(t *testing.T, b *Builder, r *Result, n int) []string {
	t.Helper()
	f, _, err := b.Store.Open(r.Layers[n].Digest.Hex)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var names []string
	if err := layer.Read(layer.Zstd, f, func(e layer.Header, _ io.Reader) error {
		names = append(names, e.Path)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return names
}

func TestAnotherInitIsRefused(t *testing.T) {
	b, im, li := scratch(t)
	li.Init.SHA256 = strings.Repeat("0", 64)
	p, err := New(im, li)
	if err != nil {
		t.Fatal(err)
	}
	var wrong *InitError
	if _, err := b.Build(context.Background(), p); !errors.As(err, &wrong) || wrong.Hint() == "" {
		t.Errorf("%v", err)
	}
}

func TestLayersThatTheMembersDoNotMakeAreRefused(t *testing.T) {
	_, im, li := scratch(t)
	li.Layers = []lock.Layer{{Kind: "wheels", Name: "evil", DiffID: "sha256:" + strings.Repeat("1", 64)}}
	if _, err := New(im, li); err == nil || !strings.Contains(err.Error(), "forge lock") {
		t.Error(err)
	}
}

func TestNobodyExecutesWithNone(t *testing.T) {
	b, im, li := scratch(t)
	b.NoTest, b.Mode = false, "none"
	im.Tests = []recipes.Test{{Name: "imports", Command: []string{"true"}}}
	p, err := New(im, li)
	if err != nil {
		t.Fatal(err)
	}
	for _, noExec := range []bool{false, true} {
		if b.NoExec = noExec; noExec {
			b.Mode = "auto"
		}
		var none *NoBuilderError
		if _, err := b.Build(context.Background(), p); !errors.As(err, &none) || !strings.Contains(err.Error(), `test "imports" must be executed`) {
			t.Errorf("%v", err)
			continue
		}
		if h := none.Hint(); strings.Contains(h, "root") || strings.Contains(h, "--no-exec") != noExec || !strings.Contains(h, "--no-test") {
			t.Errorf("the hint is %q", h)
		}
	}
	for _, row := range []struct {
		words []string
		want  string
	}{
		{nil, "run as root with buildkitd (make build) and runc installed, start a rootless buildkitd, name a builder with --builder, or leave tests out with --no-test"},
		{[]string{`run "x"`}, "run as root with buildkitd (make build) and runc installed, start a rootless buildkitd, name a builder with --builder"},
		{[]string{`run "x"`, `test "y"`}, "run as root with buildkitd (make build) and runc installed, start a rootless buildkitd, name a builder with --builder; --no-test leaves out the tests alone"},
	} {
		if h := (&NoBuilderError{Words: row.words}).Hint(); h != row.want {
			t.Errorf("%q: %q", row.words, h)
		}
	}
	other := map[string]string{"amd64": "linux/arm64", "arm64": "linux/amd64"}[runtime.GOARCH]
	var none *NoBuilderError
	if err := new(Builder).embeddable(other, []string{"bytecode"}); os.Geteuid() == 0 && (!errors.As(err, &none) || none.Hint() != "name a builder that executes "+other+" with --builder") {
		t.Errorf("%v", err)
	}
}

// needDaemon says why a test cannot run, or fails when all must.
func needDaemon(t *testing.T) {
	t.Helper()
	reason := ""
	if runtime.GOOS != "linux" || os.Geteuid() != 0 {
		reason = "buildkitd needs Linux and root"
	} else if bin, err := filepath.Abs("../bin"); err != nil {
		t.Fatal(err)
	} else {
		t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
		if _, _, err := programs(); err != nil {
			reason = err.Error()
		}
	}
	if reason == "" {
		return
	}
	if os.Getenv("FORGE_TEST_ALL") != "" && os.Geteuid() == 0 {
		t.Fatal(reason)
	}
	t.Skip(reason)
}

func TestATestRunsInBuildKitOnce(t *testing.T) {
	needDaemon(t)
	b, im, li := scratch(t)
	b.NoTest = false
	im.Tests = []recipes.Test{{Name: "checks", Command: []string{"/usr/lib/forge/init", "check"}}}
	first := build(t, b, im, li)
	if len(first.Tests) != 1 || first.Tests[0].Kept {
		t.Errorf("first: %+v", first.Tests)
	}
	if second := build(t, b, im, li); len(second.Tests) != 1 || !second.Tests[0].Kept {
		t.Errorf("second: %+v", second.Tests)
	}
	im.Tests = []recipes.Test{{Name: "fails", Command: []string{"/usr/lib/forge/init", "no-such-word"}}}
	p, err := New(im, li)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(first.Dir); err != nil {
		t.Fatal(err)
	}
	var failed *TestError
	if _, err := b.Build(context.Background(), p); !errors.As(err, &failed) || failed.Name != "fails" {
		t.Errorf("%v", err)
	}
	if _, err := os.Lstat(first.Dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("an image whose test has failed is there: %v", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	im.Tests = []recipes.Test{{Name: "hangs", Command: []string{"/usr/lib/forge/init", "--", "/usr/lib/forge/init", "--", "/proc/self/exe"}}}
	if p, err = New(im, li); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Build(ctx, p); err == nil {
		t.Error("a cancelled test passed")
	}
	if out, _ := exec.Command("pgrep", "-f", "--", "--root "+filepath.Join(b.Store.Dir(), "buildkit")).Output(); len(out) > 0 {
		t.Errorf("buildkitd is left behind: %s", out)
	}
}
