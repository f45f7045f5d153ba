package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/forge-build/forge/recipes"
	"github.com/forge-build/forge/recipes/lock"
	"github.com/forge-build/forge/signing"
	"github.com/forge-build/forge/signing/evidence"
	"github.com/forge-build/forge/signing/statement"
)

// signature is what a publisher may have signed about a base: it, or how it was made.
var signature = []string{statement.TypeSignature, statement.TypeProvenance}

// verifyBase looks whether whom the recipe names has signed the image that lies below another,
// and says what came of it; nil if none lies there. What is named and not there is not verified.
func verifyBase(ctx context.Context, t *terminal, dir string, im *recipes.Image, li *lock.Image) (*statement.Below, error) {
	if im.Base == nil {
		return nil, nil
	}
	place, _, _ := strings.Cut(im.Base.From, "@")
	below := &statement.Below{Name: place, Digest: im.Base.Digest(), Manifest: li.Base.Manifest}
	if im.Base.SignedBy == nil {
		below.Why = "the recipe names nobody who must have signed it"
		return below, nil
	}
	policy, err := basePolicy(dir, im.Base.SignedBy)
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithTimeout(ctx, 2*time.Minute)
	defer stop()
	src, of, done, err := baseSource(ctx, dir, im.Base)
	if err != nil {
		return nil, fmt.Errorf("asking about the base %s: %w", im.Base.From, err)
	}
	defer done()
	var first error
	for _, digest := range []string{below.Digest, below.Manifest} { // its index, or the image for the platform
		h, err := v1.NewHash(digest)
		if err != nil {
			return nil, err
		}
		v, err := signing.Verify(ctx, src, signing.Image{Repository: of, Digest: h}, policy)
		var not *signing.NotVerifiedError
		switch {
		case err == nil:
			all := v.Statements()
			s := all[slices.IndexFunc(all, func(s signing.Statement) bool { return slices.Contains(signature, s.Type) })] // one is there
			below.Verified, below.Type, below.Repository = digest, s.Type, s.Name
			below.Identity, below.Issuer, below.Key = s.Signer.Identity, s.Signer.Issuer, s.Signer.Key
			t.say("%s: the base %s is signed by %s", im.Name, im.Base.From, s.Signer)
			return below, nil
		case !errors.As(err, &not):
			return nil, fmt.Errorf("asking about the base %s: %w", im.Base.From, err)
		case first == nil:
			first = err
		}
	}
	return nil, fmt.Errorf("the base of image %q: %w", im.Name, t.unverified(first))
}

// basePolicy is whom a recipe names for its base. The base is pinned by its digest, so nobody can
// pass another image for it: a signature counts that names no repository, as cosign's newer do.
func basePolicy(dir string, by *recipes.BaseSigner) (signing.Policy, error) {
	p := signing.Policy{Index: signing.IndexOnly, UnnamedUnsafe: true, Statements: []signing.Requirement{{Types: signature}}}
	if by.Repository != "" {
		p.Repositories = []string{by.Repository}
	}
	in := func(path string) string { return filepath.Join(dir, filepath.FromSlash(path)) }
	var err error
	if by.Key != "" {
		k, err := signing.LoadKey(in(by.Key))
		p.Keys = []signing.Key{k}
		return p, err
	}
	p.Identities = []signing.Identity{{Name: by.Identity, Issuer: by.Issuer}}
	root := in(by.TrustRoot)
	if by.TrustRoot == "" {
		if root, err = keptRoot(); err != nil {
			return p, err
		}
		if _, err := os.Lstat(root); err != nil {
			return p, hinted{usageError{errors.New("who signed the base can only be judged with a trust root, and none is kept")}, "forge trust init keeps one; trust_root in signed_by names another"}
		}
	}
	p.Root, err = signing.LoadRoot(root)
	return p, err
}

// baseSource is where a base lies, and the repository that what is said of it must name.
func baseSource(ctx context.Context, dir string, b *recipes.BaseImage) (src evidence.Source, repository string, done func(), err error) {
	if layout, ok := b.Layout(); ok {
		l, err := evidence.OpenLayout(filepath.Join(dir, filepath.FromSlash(layout)))
		if err != nil {
			return nil, "", nil, err
		}
		return l, "", func() { _ = l.Close() }, nil // it was only read
	}
	ref, err := name.NewDigest(b.From)
	if err != nil {
		return nil, "", nil, err
	}
	rt, err := transportOf()
	if err != nil {
		return nil, "", nil, err
	}
	r, err := evidence.OpenRegistry(ctx, rt, ref.Context())
	return r, ref.Context().Name(), rt.CloseIdleConnections, err
}
