package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/forge-build/forge/recipes"
	"github.com/forge-build/forge/recipes/lock"
	"github.com/forge-build/forge/signing"
	"github.com/forge-build/forge/signing/signtest"
	"github.com/forge-build/forge/signing/statement"
)

// A base that somebody must have signed is verified, and what came of it is stated.
func TestTheBasesVerdictIsStated(t *testing.T) {
	t.Setenv("DOCKER_CONFIG", t.TempDir())
	t.Setenv("XDG_CONFIG_HOME", t.TempDir())
	dir := t.TempDir()
	keys := map[string]*signing.Signer{}
	for _, who := range []string{"base", "other"} {
		private, public := signtest.Key(t)
		raw, err := os.ReadFile(public)
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, who+".pub"), raw, 0o600)
		}
		if err == nil {
			keys[who], err = signing.NewSigner(t.Context(), signing.SignWith{Key: private})
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	host := signtest.Registry(t, signtest.NoReferrers)
	signed := func(image name.Digest, who, kind string) name.Digest {
		s, err := keys[who].Sign(t.Context(), signtest.Statement(t, image, kind, nil))
		if err != nil {
			t.Fatal(err)
		}
		signtest.Attach(t, image, s.Bundle)
		return image
	}
	push := func(path string) name.Digest {
		return signtest.Push(t, signtest.Repository(t, host, path), "1", signtest.Image(t))
	}
	index := signtest.Index(t, 2)
	whole := signtest.Push(t, signtest.Repository(t, host, "base/index"), "1", index)
	m, err := index.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	child := whole.Context().Digest(m.Manifests[0].Digest.String())
	signed(child, "base", statement.TypeSignature)
	plain := signed(push("base/plain"), "base", statement.TypeSignature)
	copied := copyOf(t, plain, signtest.Repository(t, host, "mirror/plain"))
	built := signed(push("base/built"), "base", statement.TypeProvenance)
	listed := signed(push("base/listed"), "base", statement.TypeSPDX)
	by := &recipes.BaseSigner{Key: "base.pub"}
	for what, row := range map[string]struct {
		base     name.Digest
		manifest name.Digest
		by       *recipes.BaseSigner
		want     string // of the statement, or of the error
		exit     int
	}{
		"nobody is named":            {push("base/bare"), name.Digest{}, nil, `"verified":false,"why":"the recipe names nobody who must have signed it"}`, 0},
		"signed":                     {plain, name.Digest{}, by, `"verified":true,"signature":{"digest":{"sha256":"` + plain.DigestStr()[7:] + `"},"predicateType":"https://sigstore.dev/cosign/sign/v1","repository":"` + plain.Context().Name() + `","signer":{"key":"sha256:`, 0},
		"a provenance is enough":     {built, name.Digest{}, by, `"predicateType":"https://slsa.dev/provenance/v1"`, 0},
		"the platform's image":       {whole, child, by, `"signature":{"digest":{"sha256":"` + child.DigestStr()[7:], 0},
		"an SBOM is no signature":    {listed, name.Digest{}, by, "not verified", exitUnverified},
		"unsigned":                   {push("base/unsigned"), name.Digest{}, by, "not verified", exitUnverified},
		"signed by somebody else":    {plain, name.Digest{}, &recipes.BaseSigner{Key: "other.pub"}, "not verified", exitUnverified},
		"a copy":                     {copied, name.Digest{}, by, "not verified: repository", exitUnverified},
		"a copy, as the recipe says": {copied, name.Digest{}, &recipes.BaseSigner{Key: "base.pub", Repository: plain.Context().Name()}, `"repository":"` + plain.Context().Name(), 0},
		"no root for an identity":    {plain, name.Digest{}, &recipes.BaseSigner{Identity: "a@b.example", Issuer: "https://i.example"}, "trust root", exitRecipe},
		"no such base":               {plain.Context().Digest("sha256:" + strings.Repeat("0", 64)), name.Digest{}, by, "asking about the base", exitFailure},
	} {
		if row.manifest == (name.Digest{}) {
			row.manifest = row.base
		}
		im := &recipes.Image{Name: "train", Base: &recipes.BaseImage{From: row.base.String(), SignedBy: row.by}}
		li := &lock.Image{Platform: "linux/amd64", Base: &lock.Base{Reference: row.base.String(), Manifest: row.manifest.DigestStr()}}
		below, err := verifyBase(t.Context(), newTerminal(os.Stdout, os.Stderr), dir, im, li)
		if err != nil {
			if row.exit == 0 || exitCode(err) != row.exit || !strings.Contains(err.Error(), row.want) {
				t.Errorf("%s: %v", what, err)
			}
			continue
		}
		about := statement.Image{Repository: "r.example/team/train", Digest: "sha256:" + strings.Repeat("ab", 32)}
		raw, err := statement.Base(*below).Write(about)
		if err != nil || row.exit != 0 || !strings.Contains(string(raw), row.want) || !strings.Contains(string(raw), row.base.DigestStr()[7:]) {
			t.Errorf("%s: %v in %s", what, err, raw)
		}
		raw, err = statement.Provenance(statement.Build{Locked: li, Base: row.base.String(), Below: below}).Write(about)
		note := map[bool]string{true: `"verified":"no: the recipe names nobody`, false: `"verified":"signed by key sha256:`}[row.by == nil]
		if err != nil || !strings.Contains(string(raw), note) {
			t.Errorf("%s: %v in %s", what, err, raw)
		}
	}
	if below, err := verifyBase(t.Context(), newTerminal(os.Stdout, os.Stderr), dir, &recipes.Image{}, nil); below != nil || err != nil {
		t.Errorf("no base: %v, %v", below, err)
	}
}

// copyOf puts an image with what refers to it under another name.
func copyOf(t *testing.T, image name.Digest, to name.Repository) name.Digest {
	t.Helper()
	im, err := remote.Image(image)
	if err != nil {
		t.Fatal(err)
	}
	out := signtest.Push(t, to, "1", im)
	tag := strings.Replace(image.DigestStr(), ":", "-", 1)
	list, err := remote.Index(image.Context().Tag(tag))
	if err != nil {
		t.Fatal(err)
	}
	m, err := list.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range m.Manifests {
		one, err := list.Image(d.Digest)
		if err == nil {
			err = remote.Write(to.Digest(d.Digest.String()), one)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := remote.WriteIndex(to.Tag(tag), list); err != nil {
		t.Fatal(err)
	}
	return out
}

// The same with an identity, as a user runs it: lock and publish verify the base in its registry by
// the trust root that the recipe names, and who signed it is stated.
func TestABaseSignedByAnIdentity(t *testing.T) {
	s := signtest.Start(t, signtest.Options{})
	n := newInternet(t)
	registry := signtest.Handler(signtest.Conforming)
	n.host("registry.test", registry.ServeHTTP)
	behind := signtest.Repository(t, signtest.Serve(t, registry), "base/python")
	plain := tarOf(python())
	_, hex, _ := strings.Cut(n.layout(baseWith(plain, gzipOf(plain, nil))), "@sha256:")
	folder, err := layout.ImageIndexFromPath(n.path("bases"))
	if err != nil {
		t.Fatal(err)
	}
	im, err := folder.Image(v1.Hash{Algorithm: "sha256", Hex: hex})
	if err != nil {
		t.Fatal(err)
	}
	pushed := signtest.Push(t, behind, "1", im)
	base := signtest.Repository(t, "registry.test", "base/python").Digest(pushed.DigestStr())
	raw, err := os.ReadFile(s.Root)
	if err != nil {
		t.Fatal(err)
	}
	n.write("root.json", string(raw))
	if raw, err = os.ReadFile("../../signing/admission/testdata/root.json"); err != nil {
		t.Fatal(err)
	}
	n.write("other.json", string(raw))
	root, err := signing.LoadRoot(s.Root)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := signing.NewSigner(t.Context(), signing.SignWith{Root: root, Services: signing.Services{Fulcio: s.Fulcio, Rekor: s.Rekor, Timestamp: s.Timestamp},
		Token: func(context.Context) (string, error) { return s.Token(t, "base@example.org"), nil }})
	if err != nil {
		t.Fatal(err)
	}
	host := signtest.Registry(t, signtest.NoReferrers)
	private, public := signtest.Key(t)
	recipe := func(identity, issuer, root string) {
		n.write("recipe.hcl", fmt.Sprintf("image \"a\" {\n  base \"image\" {\n    from = %q\n    signed_by {\n      identity = %q\n      issuer = %q\n      trust_root = %q\n    }\n  }\n}\n", base, identity, issuer, root))
	}
	recipe("base@example.org", s.Email, "root.json")
	if r := n.run("lock", "-q", "recipe.hcl"); r.code != exitUnverified || !strings.Contains(r.err, "the base of image \"a\"") {
		t.Errorf("unsigned: exit %d: %s", r.code, r.err)
	}
	signed, err := signer.Sign(t.Context(), signtest.Statement(t, base, statement.TypeSignature, nil))
	if err != nil {
		t.Fatal(err)
	}
	signtest.Attach(t, pushed, signed.Bundle)
	for what, row := range map[string][3]string{
		"another identity": {"other@example.org", s.Email, "root.json"},
		"another issuer":   {"base@example.org", s.Workflow, "root.json"},
		"another root":     {"base@example.org", s.Email, "other.json"},
	} {
		recipe(row[0], row[1], row[2])
		if r := n.run("lock", "-q", "recipe.hcl"); r.code != exitUnverified || r.out != "" {
			t.Errorf("%s: exit %d: %s", what, r.code, r.err)
		}
	}
	recipe("base@example.org", s.Email, "root.json")
	n.must("lock", "-q", "recipe.hcl")
	publish := []string{"publish", "--no-scan", "--builder", "none", "--to", host + "/team/a", "--tag", "1.0", "--key", private, "recipe.hcl"}
	if r := n.must(publish...); !strings.Contains(r.err, "is signed by base@example.org by "+s.Email) {
		t.Errorf("publish: %s", r.err)
	}
	if r := n.must("attestation", "--key", public, "--type", "base", host+"/team/a:1.0"); !strings.Contains(r.out, `"verified":true`) || !strings.Contains(r.out, `"identity":"base@example.org"`) || !strings.Contains(r.out, s.Email) {
		t.Errorf("base: %s", r.out)
	}
	if r := n.must("attestation", "--key", public, "--type", "provenance", host+"/team/a:1.0"); !strings.Contains(r.out, `"verified":"signed by base@example.org`) {
		t.Errorf("provenance: %s", r.out)
	}
	recipe("other@example.org", s.Email, "root.json") // the lock is the same; the recipe is not
	if r := n.run(publish...); r.code == 0 || r.out != "" {
		t.Errorf("publish, another identity: exit %d: %s", r.code, r.err)
	}
}
