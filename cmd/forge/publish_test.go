package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/forge-build/forge/builder"
	"github.com/forge-build/forge/recipes/finding"
	"github.com/forge-build/forge/sbom"
	"github.com/forge-build/forge/signing"
	"github.com/forge-build/forge/signing/signtest"
	"github.com/forge-build/forge/signing/statement"
)

// randomLayout writes an image as a layout, and says its digest.
func randomLayout(t *testing.T) (dir, digest string) {
	t.Helper()
	im, err := random.Image(1000, 2)
	if err != nil {
		t.Fatal(err)
	}
	return writeLayout(t, im)
}

// writeLayout writes an image as a layout.
func writeLayout(t *testing.T, im v1.Image) (dir, digest string) {
	t.Helper()
	dir = t.TempDir()
	p, err := layout.Write(dir, empty.Index)
	if err == nil {
		err = p.AppendImage(im)
	}
	if err != nil {
		t.Fatal(err)
	}
	h, err := im.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return dir, h.String()
}

// hosts counts what a registry is asked.
func hosts(t *testing.T, k signtest.Kind) (string, *atomic.Int64) {
	t.Helper()
	t.Setenv("DOCKER_CONFIG", t.TempDir())
	t.Setenv("FORGE_CACHE", t.TempDir())
	n, inner := new(atomic.Int64), signtest.Handler(k)
	return signtest.Serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n.Add(1)
		inner.ServeHTTP(w, r)
	})), n
}

func TestPublishCopyAndPullAsAUserRunsThem(t *testing.T) {
	host, _ := hosts(t, signtest.NoReferrers)
	dir, digest := randomLayout(t)
	private, public := signtest.Key(t)
	_, other := signtest.Key(t)
	repo := host + "/team/image"
	want := repo + "@" + digest + "\n"
	for range 2 {
		out, errs, code := forgeRun(t, "publish", "--no-scan", "--to", repo, "--tag", "1.0", "--key", private, "oci:"+dir)
		if code != 0 || out != want {
			t.Fatalf("exit %d, %q: %s", code, out, errs)
		}
	}
	if out, errs, code := forgeRun(t, "verify", "--key", public, "--require", "spdx,cyclonedx", repo+":1.0"); code != 0 || out != want {
		t.Errorf("verify: exit %d, %q: %s", code, out, errs)
	}
	mirror := host + "/mirror/image"
	if out, errs, code := forgeRun(t, "copy", repo+":1.0", mirror+":1.0"); code != 0 || out != mirror+"@"+digest+"\n" {
		t.Errorf("copy: exit %d, %q: %s", code, out, errs)
	}
	if out, errs, code := forgeRun(t, "verify", "--key", public, "--repository", repo, mirror+":1.0"); code != 0 {
		t.Errorf("verify the mirror: exit %d, %q: %s", code, out, errs)
	}
	file := filepath.Join(t.TempDir(), "a.tar")
	if out, errs, code := forgeRun(t, "copy", repo+":1.0", "oci-archive:"+file); code != 0 {
		t.Errorf("copy: exit %d, %q: %s", code, out, errs)
	}
	if out, errs, code := forgeRun(t, "copy", "oci-archive:"+file, host+"/back/image:1.0"); code != 0 {
		t.Errorf("copy: exit %d, %q: %s", code, out, errs)
	}
	into := filepath.Join(t.TempDir(), "pulled")
	if out, errs, code := forgeRun(t, "pull", "--key", public, "--to", "oci:"+into, repo+":1.0"); code != 0 || out != want {
		t.Errorf("pull: exit %d, %q: %s", code, out, errs)
	}
	if out, errs, code := forgeRun(t, "verify", "--offline", "--key", public, "--repository", repo, "oci:"+into); code != 0 {
		t.Errorf("verify what was pulled: exit %d, %q: %s", code, out, errs)
	}
	named := "oci:" + into + "@" + digest // as forge prints it
	if out, errs, code := forgeRun(t, "verify", "--offline", "--key", public, "--repository", repo, named); code != 0 || out != named+"\n" {
		t.Errorf("verify by digest: exit %d, %q: %s", code, out, errs)
	}
	if out, errs, code := forgeRun(t, "verify", "--offline", "--key", public, "oci:"+into+"@sha256:"+strings.Repeat("0", 64)); code == 0 || out != "" {
		t.Errorf("verify by a digest that is not there: exit %d, %q: %s", code, out, errs)
	}
	into = filepath.Join(t.TempDir(), "refused")
	if out, errs, code := forgeRun(t, "pull", "--key", other, "--to", "oci:"+into, repo+":1.0"); code != 4 || out != "" {
		t.Errorf("pull with another key: exit %d, %q: %s", code, out, errs)
	}
	if _, err := os.Stat(into); !errors.Is(err, os.ErrNotExist) {
		t.Error("what is not verified was fetched")
	}
}

// An index: it is signed, and each of its images has what is asked for.
func TestAnIndexIsVerifiedWithItsImages(t *testing.T) {
	host, _ := hosts(t, signtest.NoReferrers)
	private, public := signtest.Key(t)
	dir := t.TempDir()
	var children []string
	index := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	for _, arch := range []string{"amd64", "arm64"} {
		im, err := random.Image(1000, 2)
		if err != nil {
			t.Fatal(err)
		}
		h, err := im.Digest()
		if err != nil {
			t.Fatal(err)
		}
		children = append(children, h.String())
		index = mutate.AppendManifests(index, mutate.IndexAddendum{Add: im, Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: arch}}})
	}
	p, err := layout.Write(dir, empty.Index)
	if err == nil {
		err = p.AppendIndex(index)
	}
	if err != nil {
		t.Fatal(err)
	}
	repo := host + "/team/image"
	out, errs, code := forgeRun(t, "publish", "--no-scan", "--to", repo, "--tag", "1.0", "--key", private, "oci:"+dir)
	if code != 0 {
		t.Fatalf("exit %d: %s", code, errs)
	}
	archive, back := filepath.Join(t.TempDir(), "a.tar"), filepath.Join(t.TempDir(), "back")
	if _, errs, code := forgeRun(t, "copy", repo+":1.0", "oci-archive:"+archive); code != 0 {
		t.Fatalf("exit %d: %s", code, errs)
	}
	if _, errs, code := forgeRun(t, "copy", "oci-archive:"+archive, "oci:"+back); code != 0 {
		t.Fatalf("exit %d: %s", code, errs)
	}
	whole, arm := out, repo+"@"+children[1]+"\n"
	for name, row := range map[string]struct {
		args []string
		code int
		out  string
		errs string
	}{
		"the index":             {[]string{"verify", repo + ":1.0"}, 0, whole, ""},
		"with an SBOM of each":  {[]string{"verify", "--require", "spdx", repo + ":1.0"}, 0, whole, ""},
		"which it has not":      {[]string{"verify", "--require", "provenance", repo + ":1.0"}, 4, "", "provenance"},
		"of the index itself":   {[]string{"verify", "--index-only", "--require", "spdx", repo + ":1.0"}, 4, "", "spdx"},
		"without its signature": {[]string{"verify", "--attestations-only", "--require", "spdx", repo + ":1.0"}, 0, whole, ""},
		"one image":             {[]string{"verify", "--require", "spdx", strings.TrimSpace(arm)}, 0, arm, ""},
		"for a platform":        {[]string{"verify", "--platform", "linux/arm64", repo + ":1.0"}, 0, arm, ""},
		"for none of them":      {[]string{"verify", "--platform", "linux/riscv64", repo + ":1.0"}, 2, "", "it has linux/amd64, linux/arm64"},
		"one is none of many":   {[]string{"verify", "--platform", "linux/arm64", strings.TrimSpace(arm)}, 2, "", "no index"},
		"whose SBOM":            {[]string{"attestation", "--type", "spdx", repo + ":1.0"}, 2, "", "--platform"},
		"a copy":                {[]string{"verify", "--offline", "--repository", repo, "--platform", "linux/arm64", "--require", "spdx", "oci:" + back}, 0, "oci:" + back + "@" + children[1] + "\n", ""},
	} {
		out, errs, code := forgeRun(t, append([]string{row.args[0], "--key", public}, row.args[1:]...)...)
		if code != row.code || out != row.out || !strings.Contains(errs, row.errs) {
			t.Errorf("%s: exit %d, %q: %s", name, code, out, errs)
		}
	}
	sbom, errs, code := forgeRun(t, "attestation", "--key", public, "--type", "spdx", "--platform", "linux/arm64", repo+":1.0")
	if code != 0 || !strings.Contains(sbom, strings.TrimPrefix(children[1], "sha256:")) || strings.Contains(sbom, strings.TrimPrefix(children[0], "sha256:")) {
		t.Errorf("attestation: exit %d: %s", code, errs)
	}
	if _, errs, code := forgeRun(t, "attestation", "--key", public, "--type", "provenance", "--platform", "linux/arm64", repo+":1.0"); code != 4 {
		t.Errorf("no such statement: exit %d: %s", code, errs)
	}
}

// What is wrong with the command line, the key or the token ends it before anything is asked.
func TestPublishRefusesBeforeItAsks(t *testing.T) {
	host, asked := hosts(t, signtest.Conforming)
	dir, _ := randomLayout(t)
	private, _ := signtest.Key(t)
	sealed := filepath.Join(t.TempDir(), "sealed.key")
	if err := os.WriteFile(sealed, []byte("-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED SIGSTORE PRIVATE KEY-----\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("COSIGN_PASSWORD", "hunter2")
	t.Setenv("SIGSTORE_ID_TOKEN", "")
	to := []string{"--no-scan", "--to", host + "/team/image"}
	for what, args := range map[string][]string{
		"--no-sign and a tag":             append(to, "--no-sign", "--tag", "1.0"),
		"--no-sign and a key":             append(to, "--no-sign", "--key", private),
		"nobody signs":                    append(to, "--tag", "1.0"),
		"two signers":                     append(to, "--key", private, "--identity", "a@b.example", "--issuer", "https://i.example"),
		"no issuer":                       append(to, "--identity", "a@b.example"),
		"no token":                        append(to, "--identity", "a@b.example", "--issuer", "https://i.example"),
		"no repository":                   {"--no-scan", "--key", private},
		"a tag in the repository":         {"--no-scan", "--key", private, "--to", host + "/team/image:1.0"},
		"a tag that is for signatures":    append(to, "--key", private, "--tag", "sha256-"+strings.Repeat("a", 64)),
		"a key service that is a program": append(to, "--key", "evil://x"),
		"a key from the network":          append(to, "--key", "https://evil.example/key"),
		"a key that cannot be decrypted":  append(to, "--key", sealed),
		"a mount that is no repository":   append(to, "--key", private, "--mount", "UPPER case"),
		"a variable of a layout":          append(to, "--key", private, "--var", "a=b"),
	} {
		out, errs, code := forgeRun(t, append(append([]string{"publish"}, args...), "oci:"+dir)...)
		if code != 2 || out != "" || strings.Contains(errs, "hunter2") {
			t.Errorf("%s: exit %d, %q: %s", what, code, out, errs)
		}
	}
	if n := asked.Load(); n != 0 {
		t.Errorf("the registry was asked %d times", n)
	}
	if out, errs, code := forgeRun(t, append(append([]string{"publish"}, to...), "--no-sign", "oci:"+dir)...); code != 0 || !strings.Contains(out, "@sha256:") {
		t.Errorf("by digest: exit %d, %q: %s", code, out, errs)
	}
}

// A layout without a database to judge it by is not published, nor is one that is damaged.
func TestPublishOfAStrangersLayoutIsJudgedHere(t *testing.T) {
	host, asked := hosts(t, signtest.Conforming)
	dir, digest := randomLayout(t)
	private, _ := signtest.Key(t)
	passed := finding.Document{Version: finding.Format, Digest: digest, Database: &finding.Database{}}
	if err := builder.WriteFile(dir+".scan.json", passed.Write); err != nil { // an enclosed verdict, which nobody believes
		t.Fatal(err)
	}
	args := []string{"publish", "--db", filepath.Join(dir, "nowhere"), "--to", host + "/team/image", "--tag", "1.0", "--key", private, "oci:" + dir}
	if out, errs, code := forgeRun(t, args...); code == 0 || out != "" {
		t.Errorf("exit %d, %q: %s", code, out, errs)
	}
	if n := asked.Load(); n != 0 {
		t.Errorf("the registry was asked %d times", n)
	}
}

// A58: every verdict and statement names the digest that is published, and a gate that fails lets
// nothing out (exit 3).
func TestWhatLiesBesideAnImageMustBeAboutIt(t *testing.T) {
	digest, other := "sha256:"+strings.Repeat("ab", 32), "sha256:"+strings.Repeat("cd", 32)
	text := func(d string) []byte { return fmt.Appendf(nil, `{"spdxVersion":"SPDX-2.3","comment":"%s"}`, d) }
	now := time.Date(2026, 11, 25, 0, 0, 0, 0, time.UTC)
	for _, row := range []struct {
		name            string
		spdx, scan, vex string
		failed          bool
		want            string
		exit            int
	}{
		{"all is well", digest, digest, digest, false, "", 0},
		{"an SBOM of another image", other, digest, digest, false, "is not about sha256:abab", 1},
		{"a verdict of another image", digest, other, digest, false, "is about sha256:cdcd", 1},
		{"VEX of another image", digest, digest, other, false, "is not about sha256:abab", 1},
		{"a gate that fails", digest, digest, digest, true, "CVE-2099-1", 3},
	} {
		at := siblings(filepath.Join(t.TempDir(), "image"))
		d := finding.Document{Version: finding.Format, Image: "image", Digest: row.scan, Judged: now, Database: &finding.Database{Built: now, Schema: "v6", Digest: strings.Repeat("ef", 32)}}
		if d.Failed = row.failed; row.failed {
			d.Reasons = []string{"CVE-2099-1 in torch"}
		}
		var scan bytes.Buffer
		if err := d.Write(&scan); err != nil {
			t.Fatal(err)
		}
		for path, raw := range map[string][]byte{at.sbom(sbom.SPDX): text(row.spdx), at.sbom(sbom.CycloneDX): text(digest), at.vex(): text(row.vex), at.scan(): scan.Bytes()} {
			if err := os.WriteFile(path, raw, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		c, err := readBeside(at, digest)
		if row.want == "" {
			if err != nil {
				t.Errorf("%s: %v", row.name, err)
				continue
			}
			if all, err := c.statements(); err != nil || len(all) != 4 {
				t.Errorf("%s: %d statements, %v", row.name, len(all), err)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), row.want) || exitCode(err) != row.exit {
			t.Errorf("%s: %v", row.name, err)
		}
	}
}

// Keyless, with a private Sigstore: Fulcio, a log and a time-stamp authority.
func TestPublishWithAnIdentity(t *testing.T) {
	s := signtest.Start(t, signtest.Options{})
	host, asked := hosts(t, signtest.Conforming)
	dir, digest := randomLayout(t)
	repo := host + "/team/image"
	publish := func(identity string, more ...string) (string, string, int) {
		return forgeRun(t, append(append([]string{"publish", "--no-scan", "--to", repo, "--tag", "1.0", "--identity", identity, "--issuer", s.Email,
			"--identity-token", tokenFile(t, s.Token(t, "a@example.org")), "--services", servicesOf(t, s), "--trusted-root", s.Root}, more...), "oci:"+dir)...)
	}
	// What the older format cannot carry is said before anything is sent.
	if out, errs, code := publish("a@example.org", "--legacy-signature"); code != 2 || out != "" || !strings.Contains(errs, "a log of the second version") || asked.Load() != 0 {
		t.Errorf("the older format: exit %d, %q, the registry was asked %d times: %s", code, out, asked.Load(), errs)
	}
	// The certificate is for somebody else than the recipe says: nothing of it is tagged.
	if out, errs, code := publish("b@example.org"); code == 0 || out != "" {
		t.Errorf("somebody else: exit %d, %q: %s", code, out, errs)
	}
	if out, errs, code := forgeRun(t, "verify", "--trusted-root", s.Root, "--issuer", s.Email, "--identity", "a@example.org", repo+":1.0"); code != 1 {
		t.Errorf("a tag was written: exit %d, %q: %s", code, out, errs)
	}
	out, errs, code := publish("a@example.org")
	if code != 0 || out != repo+"@"+digest+"\n" || asked.Load() == 0 {
		t.Fatalf("exit %d, %q: %s", code, out, errs)
	}
	if out, errs, code := forgeRun(t, "verify", "--trusted-root", s.Root, "--issuer", s.Email, "--identity", "a@example.org", "--require", "spdx", repo+":1.0"); code != 0 {
		t.Errorf("verify: exit %d, %q: %s", code, out, errs)
	}
}

// A provenance's builder names who signed, and a trust policy takes nobody else for it.
func TestTheBuilderIsWhoseCertificateSigned(t *testing.T) {
	s := signtest.Start(t, signtest.Options{})
	host, _ := hosts(t, signtest.Conforming)
	root, err := signing.LoadRoot(s.Root)
	if err != nil {
		t.Fatal(err)
	}
	const who = "a@example.org"
	signer, err := signing.NewSigner(t.Context(), signing.SignWith{Root: root, Services: signing.Services{Fulcio: s.Fulcio, Rekor: s.Rekor, Timestamp: s.Timestamp},
		Token: func(context.Context) (string, error) { return s.Token(t, who), nil }, Expect: signing.Identity{Name: who, Issuer: s.Email}})
	if err != nil {
		t.Fatal(err)
	}
	policy := filepath.Join(filepath.Dir(s.Root), "trust.hcl")
	text := fmt.Sprintf("trusted_root = \"trusted_root.json\"\nsigner \"me\" {\n  identity = %q\n  issuer = %q\n}\nimages \"all\" {\n  repositories = [\"*\"]\n  signed_by = [\"me\"]\n  provenance { builders = [%q] }\n}\n", who, s.Email, who)
	if err := os.WriteFile(policy, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for builder, want := range map[string]struct {
		code int
		text string
	}{
		statement.BuilderID("v1.2.3", who): {0, "@sha256:"},
		"mailto:" + who:                    {0, "@sha256:"}, // as earlier versions wrote it
		who:                                {0, "@sha256:"},
		statement.BuilderID("v1.2.3", "b@example.org"): {4, "signed by the identity that it names as builder"},
		statement.BuilderID("v1.2.3", ""):              {4, "builder"},
	} {
		image := signtest.Push(t, signtest.Repository(t, host, fmt.Sprintf("team/i%d", len(builder))), "1", signtest.Image(t))
		provenance := map[string]any{"buildDefinition": map[string]any{"buildType": statement.BuildType, "externalParameters": map[string]any{}, "resolvedDependencies": []any{}},
			"runDetails": map[string]any{"builder": map[string]any{"id": builder}}}
		for kind, predicate := range map[string]any{statement.TypeSignature: nil, statement.TypeProvenance: provenance} {
			signed, err := signer.Sign(t.Context(), signtest.Statement(t, image, kind, predicate))
			if err != nil {
				t.Fatal(err)
			}
			signtest.Attach(t, image, signed.Bundle)
		}
		if out, errs, code := forgeRun(t, "verify", "--policy", policy, image.String()); code != want.code || !strings.Contains(out+errs, want.text) {
			t.Errorf("%s: exit %d, %q: %s", builder, code, out, errs)
		}
	}
}

// servicesOf is a signing config of a private Sigstore.
func servicesOf(t *testing.T, s *signtest.Sigstore) string {
	t.Helper()
	service := func(url string, version int) []map[string]any {
		return []map[string]any{{"url": url, "majorApiVersion": version, "validFor": map[string]string{"start": "2020-01-01T00:00:00Z"}, "operator": "test"}}
	}
	config, err := json.Marshal(map[string]any{"mediaType": "application/vnd.dev.sigstore.signingconfig.v0.2+json",
		"caUrls": service(s.Fulcio, 1), "oidcUrls": service(s.Email, 1), "rekorTlogUrls": service(s.Rekor, 2), "tsaUrls": service(s.Timestamp, 1),
		"rekorTlogConfig": map[string]any{"selector": "ANY"}, "tsaConfig": map[string]any{"selector": "ANY"}})
	path := filepath.Join(t.TempDir(), "services.json")
	if err == nil {
		err = os.WriteFile(path, config, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func tokenFile(t *testing.T, token string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(path, []byte(token), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// Somebody at a laptop signs in once for all that is signed; no token is in what forge says.
func TestPublishSignsIn(t *testing.T) {
	s := signtest.Start(t, signtest.Options{})
	s.Who = "a@example.org"
	host, _ := hosts(t, signtest.Conforming)
	dir, digest := randomLayout(t)
	repo := host + "/team/image"
	services := servicesOf(t, s)
	bin := t.TempDir() // a desktop whose browser does not come up
	if err := os.WriteFile(filepath.Join(bin, "xdg-open"), []byte("#!/bin/sh\nexit 0\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	code := regexp.MustCompile(`type in ([A-Z0-9-]+)`)
	address := regexp.MustCompile(`of this machine: (http\S+)`)
	// publish runs forge and does what it asks for, as a person.
	publish := func(how string, act func(said string) bool) (string, string, int) {
		c := exec.CommandContext(t.Context(), "forge", "publish", "--no-scan", "--to", repo, "--tag", how, "--identity", "a@example.org", "--issuer", s.Email,
			"--login", how, "--services", services, "--trusted-root", s.Root, "oci:"+dir)
		var out bytes.Buffer
		var said strings.Builder
		c.Stdout = &out
		errs, err := c.StderrPipe()
		if err == nil {
			err = c.Start()
		}
		if err != nil {
			t.Fatal(err)
		}
		times := 0
		for lines := bufio.NewScanner(errs); lines.Scan(); {
			said.WriteString(lines.Text() + "\n")
			if act(lines.Text()) {
				times++
			}
		}
		var exit *exec.ExitError
		if err := c.Wait(); err != nil && !errors.As(err, &exit) {
			t.Fatal(err)
		}
		if times != 1 {
			t.Errorf("%s: somebody had to sign in %d times", how, times)
		}
		if strings.Contains(said.String(), "eyJ") { // how each token begins
			t.Errorf("%s: a token was said: %s", how, said.String())
		}
		return out.String(), said.String(), c.ProcessState.ExitCode()
	}
	typeIn := func(consents bool) func(string) bool {
		return func(said string) bool {
			m := code.FindStringSubmatch(said)
			return m != nil && s.TypeIn(m[1], consents)
		}
	}
	if out, errs, code := publish("device", typeIn(true)); code != 0 || out != repo+"@"+digest+"\n" {
		t.Errorf("device: exit %d, %q: %s", code, out, errs)
	}
	dir, digest = randomLayout(t)
	if out, errs, code := publish("browser", func(said string) bool {
		m := address.FindStringSubmatch(said)
		if m == nil {
			return false
		}
		resp, err := http.Get(m[1])
		if err != nil || resp.StatusCode != 200 {
			t.Errorf("%v, %v", resp, err)
			return false
		}
		return resp.Body.Close() == nil
	}); code != 0 || out != repo+"@"+digest+"\n" {
		t.Errorf("browser: exit %d, %q: %s", code, out, errs)
	}
	if out, errs, code := forgeRun(t, "verify", "--trusted-root", s.Root, "--issuer", s.Email, "--identity", "a@example.org", "--require", "spdx", repo+":browser"); code != 0 {
		t.Errorf("verify: exit %d, %q: %s", code, out, errs)
	}
	dir, _ = randomLayout(t)
	if out, errs, code := publish("device", typeIn(false)); code != 1 || out != "" || !strings.Contains(errs, "consent was refused") {
		t.Errorf("refused: exit %d, %q: %s", code, out, errs)
	}
}
