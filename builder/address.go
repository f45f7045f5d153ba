package builder

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/moby/buildkit/client"
	"github.com/moby/buildkit/client/connhelper"
	_ "github.com/moby/buildkit/client/connhelper/dockercontainer" // docker-container://
	_ "github.com/moby/buildkit/client/connhelper/kubepod"         // kube-pod://
	_ "github.com/moby/buildkit/client/connhelper/podmancontainer" // podman-container://
)

// schemes are the addresses of daemons that run elsewhere.
var schemes = []string{"unix", "tcp", "docker-container", "podman-container", "kube-pod"}

// AddressError is a value of --builder that means nothing, or that would be unsafe.
type AddressError struct{ Address, Reason string }

func (e *AddressError) Error() string { return fmt.Sprintf("builder %q: %s", e.Address, e.Reason) }

// CheckAddress judges a value of --builder without asking anybody.
func CheckAddress(address string) error {
	if address == "auto" || address == "embedded" || address == "none" {
		return nil
	}
	wrong := func(format string, args ...any) error {
		return &AddressError{Address: address, Reason: fmt.Sprintf(format, args...)}
	}
	u, err := url.Parse(address)
	if err != nil || !slices.Contains(schemes, u.Scheme) {
		return wrong("it must be auto, embedded, none, unix:///PATH, tcp://HOST:PORT, docker-container://NAME, podman-container://NAME or kube-pod://NAME?namespace=…")
	}
	if u.User != nil || u.Fragment != "" {
		return wrong("an address has neither a user nor a fragment")
	}
	switch u.Scheme {
	case "unix":
		if u.Host != "" || !filepath.IsAbs(u.Path) || u.RawQuery != "" {
			return wrong("a socket's path must be absolute: unix:///run/buildkit/buildkitd.sock")
		}
	case "tcp":
		if u.Hostname() == "" || u.Port() == "" || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" {
			return wrong("it must be tcp://HOST:PORT")
		}
		files, err := tlsFiles()
		if err != nil {
			return wrong("%v", err)
		}
		if files == nil && !loopback(u.Hostname()) {
			return wrong("without TLS anybody on the way could execute as this builder; set %s to a folder with ca.pem, cert.pem and key.pem", tlsFolder)
		}
	default:
		if strings.HasPrefix(u.Hostname(), "-") || strings.Trim(u.Path, "/") != "" {
			return wrong("it must be %s://NAME", u.Scheme)
		}
		if _, err := connhelper.GetConnectionHelper(address); err != nil {
			return wrong("%v", err)
		}
	}
	return nil
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || (ip != nil && ip.IsLoopback())
}

// tlsFolder names the folder of the keys for tcp://, in the names that BuildKit's and
// Docker's clients use.
const tlsFolder = "FORGE_BUILDER_TLS"

// tlsFiles are ca.pem, cert.pem and key.pem of FORGE_BUILDER_TLS; nil when it is not set.
func tlsFiles() ([]string, error) {
	dir := os.Getenv(tlsFolder)
	if dir == "" {
		return nil, nil
	}
	var files []string
	for _, name := range []string{"ca.pem", "cert.pem", "key.pem"} {
		file := filepath.Join(dir, name)
		info, err := os.Stat(file)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", tlsFolder, err)
		}
		if name == "key.pem" && info.Mode().Perm()&0o077 != 0 {
			return nil, fmt.Errorf("%s: others can read %q (mode %04o): chmod 600", tlsFolder, file, info.Mode().Perm())
		}
		files = append(files, file)
	}
	return files, nil
}

// choose says which daemon executes: "embedded" or an address. Nothing is started.
func (b *Builder) choose(ctx context.Context, platform string, words []string) (string, error) {
	if b.NoExec {
		return "", &NoBuilderError{words, "--no-exec executes nothing", "leave out --no-exec, if you trust the recipe"}
	}
	switch b.Mode {
	case "none":
		return "", &NoBuilderError{words, "--builder none executes nothing", "choose another --builder (auto finds one)"}
	case "", "auto":
		if runtime.GOOS == "linux" && os.Geteuid() == 0 {
			return "embedded", b.embeddable(platform, words)
		}
		return found(ctx, platform, words)
	case "embedded":
		return "embedded", b.embeddable(platform, words)
	}
	return b.Mode, CheckAddress(b.Mode)
}

// Sandbox is the daemon that --builder auto takes here for this host's own platform,
// "embedded" or an address, or a *NoBuilderError with what was tried. It starts nothing.
func Sandbox(ctx context.Context) (string, error) {
	return new(Builder).choose(ctx, "linux/"+runtime.GOARCH, nil)
}

// embeddable says why the embedded daemon cannot execute here.
func (b *Builder) embeddable(platform string, words []string) error {
	reason, way := "", ""
	switch {
	case runtime.GOOS != "linux":
		reason = "the embedded builder needs Linux"
	case os.Geteuid() != 0:
		reason = "the embedded builder needs root"
	case "linux/"+runtime.GOARCH != platform:
		reason = fmt.Sprintf("this host is linux/%s, the image is for %s", runtime.GOARCH, platform)
		way = "name a builder that executes " + platform + " with --builder"
	default:
		_, _, err := programs()
		if err == nil {
			return nil
		}
		reason = err.Error()
	}
	return &NoBuilderError{words, reason, way}
}

// found is the first daemon that answers and fits: BUILDKIT_HOST, a rootless daemon's usual
// sockets, a system's that this user may use, and a running builder of docker buildx.
func found(ctx context.Context, platform string, words []string) (string, error) {
	var all []string
	for _, address := range candidates(ctx) {
		err := CheckAddress(address)
		if err == nil {
			err = answers(ctx, address, platform)
		}
		if err == nil {
			return address, nil
		}
		if ctx.Err() != nil {
			return "", ctx.Err()
		}
		all = append(all, fmt.Sprintf("%s (%v)", address, err))
	}
	reason := "no builder is found"
	if len(all) > 0 {
		reason += "; tried " + strings.Join(all, ", ")
	}
	return "", &NoBuilderError{Words: words, Reason: reason}
}

// candidates are the addresses where a daemon may be for an ordinary user.
func candidates(ctx context.Context) []string {
	var all []string
	if host := os.Getenv("BUILDKIT_HOST"); host != "" {
		all = append(all, host)
	}
	for _, dir := range []string{os.Getenv("XDG_RUNTIME_DIR"), fmt.Sprintf("/run/user/%d", os.Getuid()), "/run"} {
		socket := filepath.Join(dir, "buildkit", "buildkitd.sock")
		if info, err := os.Stat(socket); dir != "" && err == nil && info.Mode()&os.ModeSocket != 0 && !slices.Contains(all, "unix://"+socket) {
			all = append(all, "unix://"+socket)
		}
	}
	return append(all, containers(ctx)...)
}

// containers are the running builders of docker buildx's container driver.
func containers(ctx context.Context) []string {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, "docker", "ps", "--filter", "name=^buildx_buildkit_", "--format", "{{.Names}}").Output()
	if err != nil {
		return nil // no docker here, or no engine answers
	}
	var all []string
	for _, name := range strings.Fields(string(out)) {
		all = append(all, "docker-container://"+name)
	}
	return all
}

// answerTime is how long a daemon may take to say who it is.
var answerTime = 10 * time.Second

// connect opens a daemon that runs elsewhere, and refuses one that does not fit.
func connect(ctx context.Context, address, platform string) (_ *worker, err error) {
	var opts []client.ClientOpt
	if u, err := url.Parse(address); err == nil && u.Scheme == "tcp" {
		files, err := tlsFiles()
		if err != nil {
			return nil, err
		}
		if files != nil {
			opts = append(opts, client.WithServerConfig(u.Hostname(), files[0]), client.WithCredentials(files[1], files[2]))
		}
	}
	c, err := client.New(ctx, address, opts...)
	if err != nil {
		return nil, &ConnectError{address, err}
	}
	w := &worker{client: c, name: address, close: func() { _ = c.Close() }} // nothing is pending then
	ctx, cancel := context.WithTimeoutCause(ctx, answerTime, fmt.Errorf("no answer within %s", answerTime))
	defer cancel()
	if err := fits(ctx, c, platform, false); err != nil {
		w.close()
		if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, context.Canceled) {
			err = errors.Join(cause, err)
		}
		return nil, &ConnectError{address, err}
	}
	return w, nil
}

// answers says why a daemon that runs elsewhere does not answer, or does not fit; nil if it does.
func answers(ctx context.Context, address, platform string) error {
	w, err := connect(ctx, address, platform)
	if err == nil {
		w.close()
	}
	return err
}

// ConnectError is a daemon elsewhere that does not answer, or does not fit.
type ConnectError struct {
	Address string
	Err     error
}

// program is how the library writes that docker, podman or kubectl has failed.
var program = regexp.MustCompile(`"[^"]*command \[([^\]]*)\] has exited with (.*?), .*stderr=(.*)"$`)

func (e *ConnectError) Error() string {
	text := e.Err.Error()
	if m := program.FindStringSubmatch(text); m != nil {
		said := strings.Split(strings.Trim(m[3], `\n`), `\n`) // quoted by gRPC
		text = fmt.Sprintf("%s: %s: %s", m[1], m[2], strings.ReplaceAll(said[len(said)-1], `\"`, `"`))
	}
	return fmt.Sprintf("connecting to builder %q: %s", e.Address, text)
}

func (e *ConnectError) Unwrap() error { return e.Err }

// Hint says what to do.
func (e *ConnectError) Hint() string {
	hint := "a buildkitd of " + oldest + " or newer must run there; without --builder forge looks for one itself, and forge doctor says which"
	if strings.HasPrefix(e.Address, "tcp:") && os.Getenv(tlsFolder) == "" {
		hint += "; one that wants keys finds them in the folder " + tlsFolder
	}
	return hint
}
