package signing_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"

	"github.com/forge-build/forge/recipes/registry"
	"github.com/forge-build/forge/signing"
	"github.com/forge-build/forge/signing/evidence"
	"github.com/forge-build/forge/signing/signtest"
	"github.com/forge-build/forge/signing/statement"
)

// keySigner makes a signer with a new key and the policy that a consumer has for it.
func keySigner(t testing.TB) (*signing.Signer, signing.Policy) {
	t.Helper()
	private, public := signtest.Key(t)
	s, err := signing.NewSigner(t.Context(), signing.SignWith{Key: private})
	if err != nil {
		t.Fatal(err)
	}
	k, err := signing.LoadKey(public)
	if err != nil {
		t.Fatal(err)
	}
	return s, signing.Policy{Keys: []signing.Key{k}}
}

func sign(t testing.TB, s *signing.Signer, image name.Digest, kind string, predicate any) []byte {
	t.Helper()
	out, err := s.Sign(t.Context(), signtest.Statement(t, image, kind, predicate))
	if err != nil {
		t.Fatal(err)
	}
	return out.Bundle
}

func check(t testing.TB, image name.Digest, p signing.Policy) (*signing.Verified, error) {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	return verifyIn(ctx, t, image, p)
}

func verifyIn(ctx context.Context, t testing.TB, image name.Digest, p signing.Policy) (*signing.Verified, error) {
	t.Helper()
	c, err := registry.Transport("")
	if err != nil {
		t.Fatal(err)
	}
	defer c.CloseIdleConnections()
	src, err := evidence.OpenRegistry(ctx, c, image.Context())
	if err != nil {
		return nil, err
	}
	img, err := signing.ImageOf(image)
	if err != nil {
		t.Fatal(err)
	}
	return signing.Verify(ctx, src, img, p)
}

// refused checks that an image is not verified, and by which check it fails.
func refused(t testing.TB, image name.Digest, p signing.Policy, check_, text string) {
	t.Helper()
	v, err := check(t, image, p)
	var not *signing.NotVerifiedError
	if v != nil || !errors.As(err, &not) {
		t.Fatalf("verified: %v, %v; want it not verified", v != nil, err)
	}
	for _, c := range not.Checks {
		if c.Status == signing.Failed {
			if c.ID != check_ || !strings.Contains(c.String(), text) {
				t.Fatalf("it fails with %q; want %s with %q", c, check_, text)
			}
			if strings.Contains(c.String(), "%!") {
				t.Errorf("a verb of a format is left over: %s", c)
			}
			return
		}
	}
	t.Fatalf("no check failed: %v", not.Checks)
}

func TestAnImageSignedWithAKeyIsVerifiedInEveryRegistry(t *testing.T) {
	for _, k := range signtest.Kinds() {
		t.Run(k.String(), func(t *testing.T) {
			s, p := keySigner(t)
			image := signtest.Push(t, signtest.Repository(t, signtest.Registry(t, k), "team/train"), "1", signtest.Image(t))
			refused(t, image, p, signing.CheckPresent, "found nothing")
			signtest.Attach(t, image, sign(t, s, image, statement.TypeSPDX, map[string]any{"spdxVersion": "SPDX-2.3"}))
			refused(t, image, p, signing.CheckPresent, statement.TypeSPDX) // A3
			signtest.Attach(t, image, sign(t, s, image, statement.TypeSignature, nil))
			v, err := check(t, image, p)
			if err != nil {
				t.Fatal(err)
			}
			if v.Image().String() != image.String() || len(v.Statements()) != 2 || len(v.Rejected()) != 0 {
				t.Errorf("verified: %v with %d statements, rejected %v", v.Image(), len(v.Statements()), v.Rejected())
			}
			p.Statements = []signing.Requirement{{Types: signing.Types("sbom")}, {Types: signing.Types("signature")}}
			if v, err = check(t, image, p); err != nil {
				t.Fatal(err)
			}
			for _, c := range v.Checks() {
				t.Log(c)
			}
			_, other := keySigner(t)
			refused(t, image, other, signing.CheckSignature, "one that does not hold")
		})
	}
}
