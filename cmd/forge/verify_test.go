package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"

	"github.com/forge-build/forge/signing"
	"github.com/forge-build/forge/signing/signtest"
	"github.com/forge-build/forge/signing/statement"
)

// forgeRun runs forge as a user does and returns stdout, stderr and the exit code.
func forgeRun(t *testing.T, args ...string) (string, string, int) {
	t.Helper()
	return runCommand(t, "forge", args...)
}

func runCommand(t *testing.T, program string, args ...string) (string, string, int) {
	t.Helper()
	var out, errs bytes.Buffer
	c := exec.CommandContext(t.Context(), program, args...)
	c.Stdout, c.Stderr = &out, &errs
	err := c.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("%s: %v", program, err)
	}
	return out.String(), errs.String(), c.ProcessState.ExitCode()
}

// signedImage pushes an image with a signature by a new key and an SBOM statement.
func signedImage(t *testing.T, repo name.Repository) (image name.Digest, public string) {
	t.Helper()
	private, public := signtest.Key(t)
	s, err := signing.NewSigner(t.Context(), signing.SignWith{Key: private})
	if err != nil {
		t.Fatal(err)
	}
	image = signtest.Push(t, repo, "1", signtest.Image(t))
	for _, kind := range []string{statement.TypeSignature, statement.TypeSPDX} {
		out, err := s.Sign(t.Context(), signtest.Statement(t, image, kind, nil))
		if err != nil {
			t.Fatal(err)
		}
		signtest.Attach(t, image, out.Bundle)
	}
	return image, public
}

func TestVerifyPrintsWhatItVerifiedOrExits(t *testing.T) {
	for _, dir := range []string{"HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME", "FORGE_CACHE"} {
		t.Setenv(dir, t.TempDir()) // no trust root is kept there
	}
	repo := signtest.Repository(t, signtest.Registry(t, signtest.Conforming), "team/train")
	image, public := signedImage(t, repo)
	_, other := signtest.Key(t)
	tag := repo.Name() + ":1"
	for _, c := range []struct {
		name string
		args []string
		code int
		text string // in stderr
	}{
		{"a tag", []string{"--key", public, tag}, 0, ""},
		{"a digest", []string{"--key", public, image.String()}, 0, ""},
		{"with an SBOM", []string{"--key", public, "--require", "sbom", tag}, 0, ""},
		{"without provenance", []string{"--key", public, "--require", "provenance", tag}, 4, "expected https://slsa.dev/provenance/v1, found https://sigstore.dev/cosign/sign/v1, https://spdx.dev/Document"},
		{"another key", []string{"--key", other, tag}, 4, "signature: expected a signature by key"},
		{"another digest", []string{"--key", public, repo.Name() + "@sha256:" + strings.Repeat("a", 64)}, 1, "404"},
		{"another tag", []string{"--key", public, repo.Name() + ":2"}, 1, "404"},
		{"no registry", []string{"--key", public, "127.0.0.1:1/x/y:1"}, 1, "refused"},
		{"nobody", []string{tag}, 2, "nobody is named"},
		{"no key file", []string{"--key", "none.pub", tag}, 2, "none.pub"},
		{"an identity without an issuer", []string{"--identity", "a@example.org", tag}, 2, "trust root"},
		{"an identity without a root", []string{"--identity", "a@example.org", "--issuer", "https://x.example", tag}, 2, "trust root"},
		{"a pattern for everybody", []string{"--identity-regexp", ".*", "--issuer", "https://x.example", tag}, 2, "trust root"},
		{"an unknown kind", []string{"--key", public, "--require", "sbomm", tag}, 2, "no kind of statement"},
		{"nothing wanted", []string{"--key", public, "--attestations-only", tag}, 2, "nothing would be expected"},
		{"a short name", []string{"--key", public, "train"}, 2, "it needs a registry"},
		{"offline from a registry", []string{"--key", public, "--offline", tag}, 2, "opens no connection"},
	} {
		t.Run(c.name, func(t *testing.T) {
			out, errs, code := forgeRun(t, append([]string{"verify"}, c.args...)...)
			want := ""
			if c.code == 0 {
				want = image.String() + "\n"
			}
			if code != c.code || out != want || !strings.Contains(errs, c.text) {
				t.Errorf("exit %d, want %d\nstdout: %q\nstderr: %s", code, c.code, out, errs)
			}
		})
	}
	t.Run("as JSON", func(t *testing.T) {
		out, _, code := forgeRun(t, "verify", "--json", "--key", public, tag)
		var good struct {
			Image  string
			Checks []signing.Check
		}
		if err := json.Unmarshal([]byte(out), &good); err != nil || code != 0 || good.Image != image.String() || len(good.Checks) < 10 {
			t.Errorf("exit %d, %v: %s", code, err, out)
		}
		out, errs, code := forgeRun(t, "verify", "--json", "--key", other, tag)
		lines := strings.Split(strings.TrimSpace(errs), "\n")
		var bad struct {
			ID           string
			ExitCode     int
			Verification signing.NotVerifiedError
		}
		if err := json.Unmarshal([]byte(lines[len(lines)-1]), &bad); err != nil || code != 4 || out != "" || bad.ID != "signature" || bad.ExitCode != 4 || len(bad.Verification.Rejected) != 2 {
			t.Errorf("exit %d, %v: %+v", code, err, bad)
		}
	})
}

// tagThatMoves is a repository whose tag 1 names a signed image the first time that it is asked
// for, and another one from then on; asked counts.
func tagThatMoves(t *testing.T) (repo name.Repository, image name.Digest, public string, asked *atomic.Int64) {
	asked = new(atomic.Int64)
	var moved atomic.Value
	h := signtest.Handler(signtest.Conforming)
	host := signtest.Serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if d, ok := moved.Load().(string); ok && strings.HasSuffix(r.URL.Path, "/manifests/1") && asked.Add(1) > 1 {
			r.URL.Path = strings.TrimSuffix(r.URL.Path, "1") + d
		}
		h.ServeHTTP(w, r)
	}))
	repo = signtest.Repository(t, host, "team/train")
	image, public = signedImage(t, repo)
	moved.Store(signtest.Push(t, repo, "2", signtest.Image(t)).DigestStr())
	return repo, image, public, asked
}

// A25: the tag is asked for once, and what is printed is what was verified.
func TestATagThatMoves(t *testing.T) {
	repo, image, public, asked := tagThatMoves(t)
	out, errs, code := forgeRun(t, "verify", "--key", public, repo.Name()+":1")
	if code != 0 || out != image.String()+"\n" || asked.Load() != 1 {
		t.Errorf("exit %d, %q, asked %d times: %s", code, out, asked.Load(), errs)
	}
}

// A37: a layout is verified in a network namespace where no connection can be opened.
func TestALayoutIsVerifiedWithoutANetwork(t *testing.T) {
	inside := []string{"-rn"}
	if os.Geteuid() == 0 {
		inside = []string{"-n"}
	}
	if out, err := exec.CommandContext(t.Context(), "unshare", append(inside, "true")...).CombinedOutput(); err != nil {
		if os.Getenv("FORGE_TEST_ALL") != "" {
			t.Fatalf("unshare: %v: %s", err, out)
		}
		t.Skipf("no network namespace can be made here: unshare: %v: %s", err, out)
	}
	program, err := exec.LookPath("forge")
	if err != nil {
		t.Fatal(err)
	}
	alone := func(args ...string) (string, string, int) {
		return runCommand(t, "unshare", append(append(inside, program), args...)...)
	}
	offline := func(args ...string) (string, string, int) {
		return alone(append([]string{"verify", "--offline"}, args...)...)
	}
	repo := signtest.Repository(t, signtest.Registry(t, signtest.Conforming), "team/train")
	image, public := signedImage(t, repo)
	dir := filepath.Join(t.TempDir(), "layout")
	if out, errs, code := forgeRun(t, "copy", image.String(), "oci:"+dir); code != 0 {
		t.Fatalf("copying: %s%s", out, errs)
	}
	want := "oci:" + dir + "@" + image.DigestStr() + "\n"
	for _, args := range [][]string{{"--key", public, "oci:" + dir}, {"--key", public, "--repository", repo.Name(), "--require", "sbom", "oci:" + dir}} {
		if out, errs, code := offline(args...); code != 0 || out != want {
			t.Errorf("exit %d, %q, want %q: %s", code, out, want, errs)
		}
	}
	if _, errs, code := offline("--key", public, "--repository", "registry.example/other", "oci:"+dir); code != 4 || !strings.Contains(errs, "repository: expected registry.example/other") {
		t.Errorf("another repository: exit %d: %s", code, errs)
	}
	t.Run("with an identity and a pinned trust root", func(t *testing.T) {
		s := signtest.Start(t, signtest.Options{})
		root, err := signing.LoadRoot(s.Root)
		if err != nil {
			t.Fatal(err)
		}
		signer, err := signing.NewSigner(t.Context(), signing.SignWith{Root: root, Services: signing.Services{Fulcio: s.Fulcio, Rekor: s.Rekor, Timestamp: s.Timestamp},
			Token: staticToken(s.Token(t, "a@example.org"))})
		if err != nil {
			t.Fatal(err)
		}
		image := signtest.Push(t, repo, "2", signtest.Image(t))
		out, err := signer.Sign(t.Context(), signtest.Statement(t, image, statement.TypeSignature, nil))
		if err != nil {
			t.Fatal(err)
		}
		signtest.Attach(t, image, out.Bundle)
		dir := filepath.Join(t.TempDir(), "layout")
		if out, errs, code := forgeRun(t, "copy", image.String(), "oci:"+dir); code != 0 {
			t.Fatalf("copying: %s%s", out, errs)
		}
		who := []string{"--trusted-root", s.Root, "--issuer", s.Email, "--identity"}
		if out, errs, code := offline(append(who, "a@example.org", "oci:"+dir)...); code != 0 || out != "oci:"+dir+"@"+image.DigestStr()+"\n" {
			t.Errorf("exit %d, %q: %s", code, out, errs)
		}
		if _, errs, code := offline(append(who, "b@example.org", "oci:"+dir)...); code != 4 || !strings.Contains(errs, "signer: expected b@example.org") {
			t.Errorf("somebody else: exit %d: %s", code, errs)
		}
		// Root, identity and rule in one file.
		raw, err := os.ReadFile(s.Root)
		if err != nil {
			t.Fatal(err)
		}
		one := filepath.Join(t.TempDir(), "one.hcl")
		for name, code := range map[string]int{"a@example.org": 0, "b@example.org": 4} {
			text := fmt.Sprintf("trusted_root = <<-ROOT\n%s\nROOT\nsigner \"me\" {\n identity = %q\n issuer = %q\n}\nimages \"all\" {\n repositories = [\"*\"]\n signed_by = [\"me\"]\n}\n", raw, name, s.Email)
			if err := os.WriteFile(one, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			if out, errs, got := offline("--policy", one, "--repository", repo.Name(), "oci:"+dir); got != code || (got == 0) != (out != "") {
				t.Errorf("one file: exit %d, want %d, %q: %s", got, code, out, errs)
			}
		}
		bundle := filepath.Join(t.TempDir(), "b.json")
		if err := os.WriteFile(bundle, out.Bundle, 0o600); err != nil {
			t.Fatal(err)
		}
		judged := []string{"verify-bundle", "--bundle", bundle, "--trusted-root", s.Root, "--issuer", s.Email, "--identity"}
		if out, errs, code := alone(append(judged, "a@example.org", image.DigestStr())...); code != 0 || out != image.DigestStr()+"\n" {
			t.Errorf("a bundle: exit %d, %q: %s", code, out, errs)
		}
		if _, errs, code := alone(append(judged, "a@example.org", "sha256:"+strings.Repeat("a", 64))...); code != 4 {
			t.Errorf("a bundle about something else: exit %d: %s", code, errs)
		}
	})
	t.Run("a changed layer", func(t *testing.T) {
		blobs, err := filepath.Glob(filepath.Join(dir, "blobs", "sha256", "*"))
		if err != nil || len(blobs) < 5 {
			t.Fatal(blobs, err)
		}
		for _, path := range blobs {
			raw, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if bytes.HasPrefix(raw, []byte("{")) { // no layer
				continue
			}
			if err := os.Chmod(path, 0o600); err != nil {
				t.Fatal(err)
			}
			raw[len(raw)/2] ^= 1
			if err := os.WriteFile(path, raw, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		out, errs, code := offline("--key", public, "oci:"+dir)
		if code != 1 || out != "" || !strings.Contains(errs, "OCI-01") {
			t.Errorf("exit %d, %q: %s", code, out, errs)
		}
	})
}

func staticToken(s string) func(context.Context) (string, error) {
	return func(context.Context) (string, error) { return s, nil }
}
