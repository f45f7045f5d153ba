package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
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
