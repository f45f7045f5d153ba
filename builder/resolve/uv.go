package resolve

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"time"

	"github.com/forge-build/forge/builder/store"
)

// uvVersion is the one uv that forge runs: its choices are part of what a lock means.
const uvVersion = "0.13.9"

// uvWheels are the sha256 of uv's wheels, by operating system and architecture.
var uvWheels = map[string]string{"linux/amd64": "d7f459fe4fd247d830351c75686d3996ace3c6f3f728eb0e85a30b7ada0cef19"}

// maxUV bounds the program that is unpacked.
const maxUV = 256 << 20

// UVError says that uv cannot be had.
type UVError struct{ Reason string }

func (e *UVError) Error() string { return "finding uv " + uvVersion + ": " + e.Reason }

// Hint names the ways.
func (e *UVError) Hint() string {
	return "put uv " + uvVersion + " on PATH, or let python3 -m pip reach an index that has it (PIP_INDEX_URL, pip.conf)"
}

// InterpreterError says that this host has no Python, of which uv wants one before it chooses
// for another.
type InterpreterError struct{ Reason string }

func (e *InterpreterError) Error() string { return "running uv: " + e.Reason }

// Hint says what to do.
func (e *InterpreterError) Hint() string {
	return "install any Python 3 on this host (apt-get install python3); nothing of the image is run in it"
}

// uv is a uv program that is ready to be run.
type uv struct{ path string }

// findUV takes uv from PATH when it is the pinned version, else from the store, else asks
// pip for uv's wheel, whose sha256 is known, and unpacks the program.
func findUV(ctx context.Context, o Options) (*uv, error) {
	if p, err := exec.LookPath("uv"); err == nil {
		out, err := exec.CommandContext(ctx, p, "--version").Output()
		if err == nil && strings.HasPrefix(string(out), "uv "+uvVersion) {
			return &uv{p}, nil
		}
	}
	unlock, err := o.Store.Lock(ctx, "uv")
	if err != nil {
		return nil, err
	}
	defer unlock()
	if sum, ok, err := o.Store.Fact("tool", "uv-"+uvVersion); err != nil {
		return nil, err
	} else if ok {
		if p, err := program(o.Store, string(sum)); err == nil {
			return &uv{p}, nil
		}
	}
	sum, err := downloadUV(ctx, o.Store)
	if err != nil {
		return nil, err
	}
	if err := o.Store.PutFact("tool", "uv-"+uvVersion, []byte(sum)); err != nil {
		return nil, err
	}
	p, err := program(o.Store, sum)
	return &uv{p}, err
}

// program is an executable copy of a blob of the store, checked against it each time.
func program(s *store.Store, digest string) (string, error) {
	if _, ok, err := s.Stat(digest); err != nil || !ok {
		return "", errors.Join(err, errors.New("not in the store"))
	}
	dir := filepath.Join(s.Dir(), "tools")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	p := filepath.Join(dir, "uv-"+digest[:16])
	if b, err := os.ReadFile(p); err == nil && sum(b) == digest {
		return p, nil
	}
	b, err := os.ReadFile(s.Path(digest))
	if err != nil {
		return "", err
	}
	tmp, err := os.CreateTemp(dir, ".uv")
	if err != nil {
		return "", err
	}
	defer os.Remove(tmp.Name()) // gone after the rename
	_, err = tmp.Write(b)
	if err := errors.Join(err, tmp.Chmod(0o700), tmp.Close()); err != nil {
		return "", err
	}
	return p, os.Rename(tmp.Name(), p)
}

// downloadUV has pip download uv's wheel; pip knows its own index.
func downloadUV(ctx context.Context, s *store.Store) (string, error) {
	host := runtime.GOOS + "/" + runtime.GOARCH
	want := uvWheels[host]
	dir, err := os.MkdirTemp("", "forge-uv-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(dir)
	line := "uv==" + uvVersion
	args := []string{"-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps", "--only-binary", ":all:", "--dest", dir}
	if want != "" {
		line += " --hash=sha256:" + want
		args = append(args, "--require-hashes")
	}
	req := filepath.Join(dir, "requirements.txt")
	if err := os.WriteFile(req, []byte(line+"\n"), 0o600); err != nil {
		return "", err
	}
	out, err := exec.CommandContext(ctx, "python3", append(args, "-r", req)...).CombinedOutput()
	if err != nil && noRoom.Match(out) {
		return "", fmt.Errorf("finding uv %s: pip: %s", uvVersion, lastLine(out))
	}
	if err != nil {
		return "", &UVError{fmt.Sprintf("pip: %v: %s", err, lastLine(out))}
	}
	wheels, err := filepath.Glob(filepath.Join(dir, "*.whl"))
	if err != nil || len(wheels) != 1 {
		return "", &UVError{"pip downloaded no wheel"}
	}
	return unpackUV(s, wheels[0])
}

func lastLine(b []byte) string {
	lines := strings.Split(strings.TrimSpace(string(b)), "\n")
	return lines[len(lines)-1]
}

func unpackUV(s *store.Store, wheel string) (string, error) {
	z, err := zip.OpenReader(wheel)
	if err != nil {
		return "", &UVError{err.Error()}
	}
	defer z.Close()
	for _, f := range z.File {
		if !strings.HasSuffix(f.Name, ".data/scripts/uv") {
			continue
		}
		r, err := f.Open()
		if err != nil {
			return "", &UVError{err.Error()}
		}
		defer r.Close()
		p, err := s.Create()
		if err != nil {
			return "", err
		}
		defer p.Abort() // nothing after Commit
		if _, err := io.Copy(p, io.LimitReader(r, maxUV)); err != nil {
			return "", fmt.Errorf("unpacking uv %s: %w", uvVersion, err)
		}
		return p.Commit("")
	}
	return "", &UVError{"its wheel holds no program"}
}

// run runs uv without any configuration of the host and returns its standard output.
func (u *uv) run(ctx context.Context, stdin string, args ...string) (string, error) {
	dir, err := os.MkdirTemp("", "forge-uv-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(dir)
	cmd := exec.CommandContext(ctx, u.path, append([]string{"--no-config", "--no-cache", "--color", "never"}, args...)...)
	cmd.Dir = dir
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "TMPDIR=" + dir, "UV_PYTHON_DOWNLOADS=never", "LANG=C.UTF-8"}
	cmd.Stdin = strings.NewReader(stdin)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		var exit *exec.ExitError
		if answered := errors.As(err, &exit) && exit.Exited() && exit.ExitCode() < 128; !answered {
			select { // a terminal's Ctrl-C reaches uv, too, and may reach it first
			case <-ctx.Done():
			case <-time.After(time.Second):
				return "", fmt.Errorf("running uv: %w: %s", err, tidy(errs.String()))
			}
		}
		if ctx.Err() != nil {
			return "", ctx.Err()
		}
		text := tidy(errs.String())
		if hostError.MatchString(text) {
			return "", fmt.Errorf("running uv: %s", text)
		}
		if strings.HasPrefix(text, "No interpreter found") {
			return "", &InterpreterError{text}
		}
		return "", &InputError{"uv finds no versions that fit together: " + text}
	}
	return out.String(), nil
}

// hostError is how uv repeats the operating system's words, which are about this host and say
// nothing of versions; noRoom are those of a full disk.
var (
	hostError = regexp.MustCompile(`\(os error [0-9]+\)`)
	noRoom    = regexp.MustCompile(`(?i)no space left on device|disk quota exceeded`)
)

var (
	loopback = regexp.MustCompile(`http://127\.0\.0\.1:[0-9]+/\S*`)
	spaces   = regexp.MustCompile(`\s+`)
)

// tidy makes one line of uv's explanation, without its warnings, which are about files and
// interpreters of forge's own, and without the address of forge's own index.
func tidy(s string) string {
	if i := strings.Index(s, "error: "); i >= 0 {
		s = s[i+len("error: "):]
	}
	s = spaces.ReplaceAllString(loopback.ReplaceAllString(s, "the index"), " ")
	return strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(s), "× No solution found when resolving dependencies:"))
}

// defaultIndex asks uv which index it uses by itself.
func (u *uv) defaultIndex(ctx context.Context) (string, error) {
	out, err := u.run(ctx, "", "pip", "compile", "--no-header", "--emit-index-url", "-")
	if err != nil {
		return "", err
	}
	for _, line := range strings.Split(out, "\n") {
		if url, ok := strings.CutPrefix(line, "--index-url "); ok {
			return strings.TrimSpace(url), nil
		}
	}
	return "", &UVError{fmt.Sprintf("it names no default index: %+q", out[:min(len(out), 120)])}
}

// DefaultIndex returns a function that asks uv which index it uses by itself, for
// fetch.Fetcher.AskDefaultIndex.
func DefaultIndex(s *store.Store) func(context.Context) (string, error) {
	return func(ctx context.Context) (string, error) {
		tool, err := findUV(ctx, Options{Store: s})
		if err != nil {
			return "", err
		}
		return tool.defaultIndex(ctx)
	}
}
