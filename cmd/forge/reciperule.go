package main

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/forge-build/forge/recipes"
	"github.com/forge-build/forge/recipes/lock"
	"github.com/forge-build/forge/recipes/trust"
)

// recipeOptions name the recipe by which an image is judged.
type recipeOptions struct {
	recipe string
	selection
}

// policyOf is what a recipe says of its own image, as a trust policy: signed by whom its sign
// block names, built from this very recipe and its lock, with an SBOM, its tests passed, and
// searched for vulnerabilities where it has limits.
func (o recipeOptions) policyOf() (*trust.Policy, error) {
	file, images, err := o.load(o.recipe)
	if err != nil {
		return nil, err
	}
	im := images[0]
	if together := file.Together(im); len(images) > len(together) {
		return nil, usageError{fmt.Errorf("%q has %d images; choose one with --image", o.recipe, len(images))}
	}
	switch {
	case im.Sign == nil:
		return nil, usageError{fmt.Errorf("image %q has no sign block, so nobody is named who must have signed", im.Name)}
	case im.Repository == "":
		return nil, usageError{fmt.Errorf("image %q has no repository", im.Name)}
	}
	scope, err := trust.ParseScope(im.Repository)
	if err != nil {
		return nil, usageError{fmt.Errorf("the repository of image %q: %w", im.Name, err)}
	}
	signer, root, err := signerOf(file, im)
	if err != nil {
		return nil, err
	}
	raw, err := os.ReadFile(lock.PathOf(file.Path))
	if err != nil {
		return nil, staleError{fmt.Errorf("reading lock: %w", err), o.relock(o.recipe) + " writes it; verify compares its digest with the one that was built from"}
	}
	by := []string{signer.Name}
	r := trust.Rule{Name: im.Name, Repositories: []trust.Scope{scope}, SignedBy: by, Signatures: 1, Level: trust.LevelEach, SBOM: &trust.SBOM{SignedBy: by},
		Provenance: &trust.Provenance{SignedBy: by, Recipes: []string{"sha256:" + file.SHA256}, Locks: []string{fmt.Sprintf("sha256:%x", sha256.Sum256(raw))}}}
	tested, limited := true, true // each image for one of several platforms
	for _, one := range file.Together(im) {
		tested, limited = tested && len(one.Tests) > 0, limited && one.Vulnerabilities != nil
	}
	if tested {
		r.Tests = &trust.Tests{SignedBy: by}
	}
	if limited { // the build's gate has applied its limits; the scan must be there
		r.Scan = &trust.Scan{SignedBy: by, Exploited: true, Waivers: true}
	}
	return &trust.Policy{Path: file.Path, SHA256: file.SHA256, Root: root, Signers: []trust.Signer{*signer}, Rules: []trust.Rule{r}}, nil
}

// signerOf is whom a recipe's sign block names, and the root that judges an identity.
func signerOf(file *recipes.File, im *recipes.Image) (*trust.Signer, *trust.File, error) {
	read := func(what, path string) (*trust.File, error) {
		raw, err := readSmall(filepath.Join(file.Dir, filepath.FromSlash(path)))
		if err != nil {
			return nil, usageError{fmt.Errorf("reading the %s of image %q: %w", what, im.Name, err)}
		}
		return &trust.File{Path: path, Bytes: raw}, nil
	}
	s := &trust.Signer{Name: "the recipe's signer"}
	if im.Sign.Key != "" {
		if im.Sign.PublicKey == "" {
			return nil, nil, usageError{errors.New("the sign block has a key and no public_key, by which others can verify; name its file")}
		}
		var err error
		s.Key, err = read("public key", im.Sign.PublicKey)
		return s, nil, err
	}
	s.Identity, s.Issuer = trust.Match{Text: im.Sign.Identity}, im.Sign.Issuer
	if im.Sign.TrustRoot == "" {
		return s, nil, nil
	}
	root, err := read("trust root", im.Sign.TrustRoot)
	return s, root, err
}
