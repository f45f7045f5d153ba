package main

import (
	"errors"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/forge-build/forge/signing/signtest"
)

// nobodysHome is where no settings are: no file of forge's, and no login.
func nobodysHome(t *testing.T) {
	for _, dir := range []string{"HOME", "XDG_CONFIG_HOME", "DOCKER_CONFIG"} {
		t.Setenv(dir, t.TempDir())
	}
}

// SIG-03: nothing but a proof that somebody got ends with 0.
func TestOnlyAProofEndsWithNought(t *testing.T) {
	nobodysHome(t)
	asked := make(chan struct{}, 100)
	h := signtest.Handler(signtest.Conforming)
	host := signtest.Serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.HasSuffix(r.URL.Path, "/manifests/broken"):
			w.WriteHeader(http.StatusBadGateway)
		case strings.HasSuffix(r.URL.Path, "/manifests/silent"):
			asked <- struct{}{}
			<-r.Context().Done()
		default:
			h.ServeHTTP(w, r)
		}
	}))
	repo := signtest.Repository(t, host, "team/train")
	_, public := signedImage(t, repo)
	_, other := signtest.Key(t)
	unsigned := signtest.Push(t, repo, "unsigned", signtest.Image(t))
	good := repo.Name() + ":1"
	empty := filepath.Join(t.TempDir(), "empty.hcl")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, shell string // what the shell does with forge's arguments
		args        []string
		code        int
	}{
		{"as it must be", `exec "$@"`, []string{"forge", "verify", "--key", public, good}, 0},
		{"standard output is closed", `exec "$@" >&-`, []string{"forge", "verify", "--key", other, good}, 4}, // to a Go program it is /dev/null
		{"standard output is full", `exec "$@" >/dev/full`, []string{"forge", "verify", "--key", public, good}, 1},
		{"standard output is full, as JSON", `exec "$@" >/dev/full`, []string{"forge", "verify", "--json", "--key", public, good}, 1},
		{"both outputs are closed", `exec "$@" >&- 2>&-`, []string{"forge", "verify", "--key", other, good}, 4},
		{"no signature", `exec "$@"`, []string{"forge", "verify", "--key", public, unsigned.String()}, 4},
		{"no signature, messages are not heard", `exec "$@" 2>/dev/full`, []string{"forge", "verify", "--key", public, unsigned.String()}, 4},
		{"nobody named", `exec "$@"`, []string{"forge", "verify", good}, 2},
		{"an empty name", `exec "$@"`, []string{"forge", "verify", "--identity", "", "--issuer", "https://i.example", good}, 2},
		{"an empty policy", `exec "$@"`, []string{"forge", "verify", "--policy", empty, good}, 2},
		{"an empty list", `exec "$@" </dev/null`, []string{"forge", "verify", "--key", public, "--all", "-"}, 2},
		{"5xx", `exec "$@"`, []string{"forge", "verify", "--key", public, repo.Name() + ":broken"}, 1},
		{"no answer in time", `exec "$@"`, []string{"forge", "verify", "--timeout", "300ms", "--key", public, repo.Name() + ":silent"}, 1},
		{"a panic", `exec "$@"`, []string{"panicking-forge", "panic"}, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			out, errs, code := runCommand(t, "sh", append([]string{"-c", c.shell, "sh"}, c.args...)...)
			if code != c.code || (code == 0) != (out != "") {
				t.Errorf("exit %d, want %d; %q\n%s", code, c.code, out, errs)
			}
		})
	}
	t.Run("interrupted", func(t *testing.T) {
		for len(asked) > 0 {
			<-asked
		}
		cmd := exec.CommandContext(t.Context(), "forge", "verify", "--key", public, repo.Name()+":silent")
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		select {
		case <-asked:
		case <-time.After(30 * time.Second):
			t.Error("it asks nothing")
		}
		if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Process.Signal(syscall.SIGINT) // a parent may send it, too; forge may be gone by now
		var exit *exec.ExitError
		if err := cmd.Wait(); !errors.As(err, &exit) || exit.ExitCode() != exitInterrupted {
			t.Errorf("%v", err)
		}
	})
}
