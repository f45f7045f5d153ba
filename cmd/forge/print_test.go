package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"unicode/utf8"

	"github.com/forge-build/forge/builder"
)

func TestProgressIsABarOnATerminalAndALineElsewhere(t *testing.T) {
	for _, row := range []struct {
		tty  bool
		want string
	}{
		{true, "[#####---------------] 25.0 MB of 100.0 MB, layer os"},
		{false, "forge: layer os: 25.0 MB of 100.0 MB\n"},
	} {
		var err bytes.Buffer
		term := &terminal{err: &err, tty: row.tty, width: 80}
		term.amount("layer os", 25e6, 100e6)
		if err.String() != row.want {
			t.Errorf("terminal %v: got %q, want %q", row.tty, err.String(), row.want)
		}
	}
	for _, g := range []string{gauge(-1, 0), gauge(0, 10)} {
		if strings.Contains(g, "#") || len(g) != 22 {
			t.Errorf("nothing done is %q", g)
		}
	}
	if g := gauge(11, 10); strings.Contains(g, "-") || len(g) != 22 {
		t.Errorf("more than all is %q", g)
	}
}

func TestAResultTakesThePlaceOfWhatWasDrawnOver(t *testing.T) {
	var screen bytes.Buffer // one for both, as on a terminal
	term := &terminal{out: &screen, err: &screen, tty: true, width: 30}
	term.progress("reading größe/größe/größe/größe.whl")
	if got := screen.String(); !utf8.ValidString(got) || utf8.RuneCountInString(got) != 29 {
		t.Errorf("a narrow terminal shows %q", got)
	}
	term.result("done")
	if got := screen.String(); !strings.HasSuffix(got, "\r\x1b[Kdone\n") {
		t.Errorf("the result stands behind what was drawn over: %q", got)
	}
}

func TestAnInterruptionSaysWhatWasInterrupted(t *testing.T) {
	for _, row := range []struct {
		err  error
		want string
	}{
		{context.Canceled, "interrupted"},
		{fmt.Errorf("building image %q: fetching x.whl: %w", "train", context.Canceled), `interrupted: building image "train": fetching x.whl`},
		{errors.New("podman load: signal: killed"), "interrupted: podman load: signal: killed"},
		{hinted{errors.New("pip: signal: interrupt"), "install pip"}, "interrupted: pip: signal: interrupt"},
	} {
		err := interruptedError{row.err}
		if err.Error() != row.want || exitCode(err) != exitInterrupted || hint(err) != "" {
			t.Errorf("%q, exit code %d, hint %q; want %q", err, exitCode(err), hint(err), row.want)
		}
	}
}

// Whoever met the full disk: forge itself, a program that it ran, or BuildKit.
func TestAFullDiskHasAHint(t *testing.T) {
	for _, err := range []error{
		fmt.Errorf("writing lock: %w", &os.PathError{Op: "write", Path: "x", Err: syscall.ENOSPC}),
		errors.New("running uv: failed to write to file `x`: No space left on device (os error 28)"),
		&builder.TestError{Image: "train", Name: "imports", Err: errors.New("failed to solve: ResourceExhausted: write /tmp/x: no space left on device")},
	} {
		if h := hint(err); !strings.Contains(h, "FORGE_CACHE") || exitCode(err) != exitFailure {
			t.Errorf("%v: exit %d, hint %q", err, exitCode(err), h)
		}
	}
	if h := hint(errors.New("something else")); h != "" {
		t.Error(h)
	}
}

func TestAWordThatIsNoKindOfOutputIsNoFolder(t *testing.T) {
	t.Chdir(t.TempDir())
	var usage usageError
	for _, value := range []string{"oci-archive:x.tar", "docker:x", "oci:", "docker-archive:"} {
		if d, err := readOutput(value, 1); !errors.As(err, &usage) {
			t.Errorf("%s: %+v, %v", value, d, err)
		}
	}
	for value, dir := range map[string]string{"./a:b": "./a:b", "oci:a:b": "a:b", "/x:y": "/x:y", "dist": "dist"} {
		if d, err := readOutput(value, 1); err != nil || d.dir != dir {
			t.Errorf("%s: %+v, %v", value, d, err)
		}
	}
}

func TestAnEngineThatIsNotHereIsSaidBeforeAnythingIsMade(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	var usage usageError
	for value, want := range map[string]string{"podman": "podman is not on PATH", "docker": "docker is not on PATH", "containerd:k8s.io": "ctr is not on PATH"} {
		if err := checkLoad(value); err == nil || !strings.Contains(err.Error(), want) || exitCode(err) != exitFailure {
			t.Errorf("%s: %v", value, err)
		}
	}
	for _, value := range []string{"kvm", "podman:x", "docker:", "containerd:"} {
		if err := checkLoad(value); !errors.As(err, &usage) {
			t.Errorf("%s: %v", value, err)
		}
	}
	if err := checkLoad(""); err != nil {
		t.Error(err)
	}
}
