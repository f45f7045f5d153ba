package signing_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/forge-build/forge/signing"
	"github.com/forge-build/forge/signing/signtest"
	"github.com/forge-build/forge/signing/statement"
)

// cosign is the real command, built from its module: a judge that knows nothing of forge.
type cosign struct {
	t    testing.TB
	path string
	home string
}

// in is the command in a subtest.
func (c *cosign) in(t testing.TB) *cosign { return &cosign{t, c.path, c.home} }

func newCosign(t testing.TB) *cosign { return &cosign{t, signtest.Tool(t, "cosign"), t.TempDir()} }

func (c *cosign) try(args ...string) (string, error) {
	cmd := exec.CommandContext(c.t.Context(), c.path, args...)
	cmd.Env = append(os.Environ(), "HOME="+c.home, "COSIGN_PASSWORD=opensesame", "COSIGN_YES=true", "TUF_ROOT="+c.home, "SIGSTORE_ID_TOKEN=")
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func (c *cosign) run(args ...string) string {
	c.t.Helper()
	out, err := c.try(args...)
	if err != nil {
		c.t.Fatalf("cosign %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

// refuses checks that cosign does not verify, so that its consent means something.
func (c *cosign) refuses(args ...string) {
	c.t.Helper()
	if out, err := c.try(args...); err == nil {
		c.t.Fatalf("cosign %s: it verifies\n%s", strings.Join(args, " "), out)
	}
}

func predicateFile(t testing.TB, v any) string {
	t.Helper()
	raw, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "predicate.json")
	if err := os.WriteFile(path, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func tokenFile(t testing.TB, token string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(path, []byte(token), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func attachOlder(t testing.TB, image name.Digest, o *signing.Older) {
	t.Helper()
	signtest.AttachTag(t, image, o.Suffix, signtest.Layer{Type: types.MediaType(o.MediaType), Raw: o.Raw, Annotations: o.Annotations})
}

func newImage(t testing.TB, k signtest.Kind) name.Digest {
	t.Helper()
	return signtest.Push(t, signtest.Repository(t, signtest.Registry(t, k), "team/train"), "1", signtest.Image(t))
}

var sbom = map[string]any{"spdxVersion": "SPDX-2.3", "SPDXID": "SPDXRef-DOCUMENT", "name": "x"}

func TestCosignVerifiesWhatForgeSignedWithAKey(t *testing.T) {
	c := newCosign(t)
	root := filepath.Join(t.TempDir(), "root.json")
	c.run("trusted-root", "create", "--out", root)
	private, public := signtest.Key(t)
	_, other := signtest.Key(t)
	s, err := signing.NewSigner(t.Context(), signing.SignWith{Key: private})
	if err != nil {
		t.Fatal(err)
	}
	t.Run("bundle", func(t *testing.T) {
		c := c.in(t)
		image := newImage(t, signtest.Conforming)
		signtest.Attach(t, image, sign(t, s, image, statement.TypeSignature, nil))
		verify := []string{"verify", "--new-bundle-format", "--trusted-root", root, "--insecure-ignore-tlog", "--key"}
		c.run(append(verify, public, image.String())...)
		c.refuses(append(verify, other, image.String())...)
		attest := newImage(t, signtest.NoReferrers)
		signtest.Attach(t, attest, sign(t, s, attest, statement.TypeSPDX, sbom))
		verify = []string{"verify-attestation", "--new-bundle-format", "--trusted-root", root, "--insecure-ignore-tlog", "--type", "spdxjson", "--key"}
		c.run(append(verify, public, attest.String())...)
		c.refuses(append(verify, other, attest.String())...)
		// A document that lies beside its statement: what is signed is an in-toto reference.
		large := newImage(t, signtest.Conforming)
		signtest.Attach(t, large, sign(t, s, large, statement.TypeReference, map[string]any{"attester": map[string]any{"id": "https://forge.example"}, "references": []any{map[string]any{
			"digest": map[string]any{"sha256": strings.Repeat("ab", 32)}, "mediaType": "application/spdx+json", "downloadLocation": "https://forge.example/x", "annotations": map[string]any{"predicateType": statement.TypeSPDX, "size": 50_000_000}}}}))
		verify = []string{"verify-attestation", "--new-bundle-format", "--trusted-root", root, "--insecure-ignore-tlog", "--type", statement.TypeReference, "--key"}
		c.run(append(verify, public, large.String())...)
		c.refuses(append(verify, other, large.String())...)
	})
	t.Run("older format", func(t *testing.T) {
		c := c.in(t)
		image := newImage(t, signtest.Conforming)
		older, err := s.SignOlder(t.Context(), image)
		if err != nil {
			t.Fatal(err)
		}
		attachOlder(t, image, older)
		verify := []string{"verify", "--private-infrastructure", "--key"}
		c.run(append(verify, public, image.String())...)
		c.refuses(append(verify, other, image.String())...)
		att, err := s.AttestOlder(t.Context(), signtest.Statement(t, image, statement.TypeSPDX, sbom))
		if err != nil {
			t.Fatal(err)
		}
		attachOlder(t, image, att)
		verify = []string{"verify-attestation", "--private-infrastructure", "--type", "spdxjson", "--key"}
		c.run(append(verify, public, image.String())...)
		c.refuses(append(verify, other, image.String())...)
	})
}

func TestForgeVerifiesWhatCosignSignedWithAKey(t *testing.T) {
	c := newCosign(t)
	dir := t.TempDir()
	c.run("generate-key-pair", "--output-key-prefix", filepath.Join(dir, "cosign"))
	private, public := filepath.Join(dir, "cosign.key"), filepath.Join(dir, "cosign.pub")
	k, err := signing.LoadKey(public)
	if err != nil {
		t.Fatal(err)
	}
	_, other := keySigner(t)
	both := func(p signing.Policy) signing.Policy {
		p.Statements = []signing.Requirement{{Types: signing.Types("signature")}, {Types: signing.Types("spdx")}}
		return p
	}
	for _, kind := range signtest.Kinds() {
		for _, format := range []string{"older format", "bundle"} {
			t.Run(kind.String()+", "+format, func(t *testing.T) {
				c := c.in(t)
				image := newImage(t, kind)
				p := both(signing.Policy{Keys: []signing.Key{k}})
				bundled := []string{"--new-bundle-format=" + map[bool]string{true: "true", false: "false"}[format == "bundle"], "--tlog-upload=false", "--use-signing-config=false", "--key", private}
				c.run(append(append([]string{"sign"}, bundled...), image.String())...)
				c.run(append(append([]string{"attest", "--type", "spdxjson", "--predicate", predicateFile(t, sbom)}, bundled...), image.String())...)
				if format == "bundle" { // its signatures name no repository
					refused(t, image, p, signing.CheckRepository, "none named")
					p.UnnamedUnsafe = true
				}
				v, err := check(t, image, p)
				if err != nil {
					t.Fatal(err)
				}
				if len(v.Statements()) != 2 {
					t.Errorf("%d statements", len(v.Statements()))
				}
				wrong := both(other)
				wrong.UnnamedUnsafe = true
				refused(t, image, wrong, signing.CheckSignature, "does not hold")
			})
		}
	}
	t.Run("forge signs with cosign's key", func(t *testing.T) {
		s, err := signing.NewSigner(t.Context(), signing.SignWith{Key: private, Passphrase: func() ([]byte, error) { return []byte("opensesame"), nil }})
		if err != nil {
			t.Fatal(err)
		}
		image := newImage(t, signtest.Conforming)
		signtest.Attach(t, image, sign(t, s, image, statement.TypeSignature, nil))
		if _, err := check(t, image, signing.Policy{Keys: []signing.Key{k}}); err != nil {
			t.Error(err)
		}
	})
}

func TestCosignAndForgeVerifyEachOthersIdentities(t *testing.T) {
	c, s := newCosign(t), signtest.Start(t, signtest.Options{})
	id := signing.Identity{Name: "release@example.org", Issuer: s.Email}
	p := signing.Policy{Root: loadRoot(t, s.Root), Identities: []signing.Identity{id}}
	verify := func(what string, image name.Digest, more ...string) []string {
		args := []string{what, "--new-bundle-format", "--trusted-root", s.Root, "--use-signed-timestamps", "--certificate-oidc-issuer", s.Email}
		return append(append(args, more...), image.String())
	}
	t.Run("cosign verifies what forge signed", func(t *testing.T) {
		c := c.in(t)
		image := newImage(t, signtest.Conforming)
		signer := identitySigner(t, s, s.Token(t, id.Name))
		signtest.Attach(t, image, sign(t, signer, image, statement.TypeSignature, nil))
		c.run(verify("verify", image, "--certificate-identity", id.Name)...)
		c.refuses(verify("verify", image, "--certificate-identity", "other@example.org")...)
		attest := newImage(t, signtest.NoReferrers)
		signtest.Attach(t, attest, sign(t, signer, attest, statement.TypeSPDX, sbom))
		c.run(verify("verify-attestation", attest, "--type", "spdxjson", "--certificate-identity", id.Name)...)
		c.refuses(verify("verify-attestation", attest, "--type", "spdxjson", "--certificate-identity", "other@example.org")...)
	})
	t.Run("the older format, with a log of the first version", func(t *testing.T) {
		c := c.in(t)
		signer, err := signing.NewSigner(t.Context(), signing.SignWith{Token: token(s.Token(t, id.Name)), Root: loadRoot(t, s.Root),
			Services: signing.Services{Fulcio: s.Fulcio, Rekor: s.RekorV1, RekorV1: true}})
		if err != nil {
			t.Fatal(err)
		}
		image := newImage(t, signtest.Conforming)
		older, err := signer.SignOlder(t.Context(), image)
		if err != nil {
			t.Fatal(err)
		}
		attachOlder(t, image, older)
		att, err := signer.AttestOlder(t.Context(), signtest.Statement(t, image, statement.TypeSPDX, sbom))
		if err != nil {
			t.Fatal(err)
		}
		attachOlder(t, image, att)
		p := p
		p.Statements = []signing.Requirement{{Types: signing.Types("signature")}, {Types: signing.Types("spdx")}}
		if _, err := check(t, image, p); err != nil {
			t.Fatal(err)
		}
		proved := p
		proved.Proof = true
		refused(t, image, proved, signing.CheckLog, "not with a proof") // A21
		wrong := p
		wrong.Identities = []signing.Identity{{Name: "other@example.org", Issuer: s.Email}}
		refused(t, image, wrong, signing.CheckSigner, "other@example.org")
		verify := []string{"verify", "--trusted-root", s.Root, "--certificate-oidc-issuer", s.Email, image.String(), "--certificate-identity"}
		c.run(append(verify, id.Name)...)
		c.refuses(append(verify, "other@example.org")...)
		// cosign's verify-attestation takes no file of a trust root for this format.
	})
	t.Run("forge verifies what cosign signed", func(t *testing.T) {
		c := c.in(t)
		config := filepath.Join(t.TempDir(), "signing.json")
		c.run("signing-config", "create", "--out", config,
			"--fulcio", "url="+s.Fulcio+",api-version=1,start-time=2024-01-01T00:00:00Z,operator=test",
			"--rekor", "url="+s.Rekor+",api-version=2,start-time=2024-01-01T00:00:00Z,operator=test", "--rekor-config=ANY",
			"--tsa", "url="+s.Timestamp+",api-version=1,start-time=2024-01-01T00:00:00Z,operator=test", "--tsa-config=EXACT:1",
			"--oidc-provider", "url="+s.Email+",api-version=1,start-time=2024-01-01T00:00:00Z,operator=test")
		image := newImage(t, signtest.Conforming)
		args := []string{"--new-bundle-format", "--signing-config", config, "--trusted-root", s.Root, "--identity-token", tokenFile(t, s.Token(t, id.Name))}
		c.run(append(append([]string{"sign"}, args...), image.String())...)
		c.run(append(append([]string{"attest", "--type", "spdxjson", "--predicate", predicateFile(t, sbom)}, args...), image.String())...)
		p := p
		p.UnnamedUnsafe = true
		p.Statements = []signing.Requirement{{Types: signing.Types("signature")}, {Types: signing.Types("spdx")}}
		if _, err := check(t, image, p); err != nil {
			t.Fatal(err)
		}
		p.Identities = []signing.Identity{{Name: "other@example.org", Issuer: s.Email}}
		refused(t, image, p, signing.CheckSigner, "other@example.org")
	})
}
