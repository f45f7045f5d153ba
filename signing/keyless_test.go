package signing_test

import (
	"context"
	"testing"

	"github.com/forge-build/forge/signing"
	"github.com/forge-build/forge/signing/signtest"
)

// token hands out one token.
func token(s string) func(context.Context) (string, error) {
	return func(context.Context) (string, error) { return s, nil }
}

func loadRoot(t testing.TB, path string) *signing.Root {
	t.Helper()
	r, err := signing.LoadRoot(path)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// identitySigner makes a signer with an identity token.
func identitySigner(t testing.TB, s *signtest.Sigstore, tok string) *signing.Signer {
	t.Helper()
	signer, err := signing.NewSigner(t.Context(), signing.SignWith{
		Token: token(tok), Root: loadRoot(t, s.Root),
		Services: signing.Services{Fulcio: s.Fulcio, Rekor: s.Rekor, Timestamp: s.Timestamp},
	})
	if err != nil {
		t.Fatal(err)
	}
	return signer
}

func TestAnIdentitySignsWithAPrivateSigstore(t *testing.T) {
	s := signtest.Start(t, signtest.Options{})
	repo := signtest.Repository(t, signtest.Registry(t, signtest.Conforming), "team/train")
	image := signtest.Push(t, repo, "1", signtest.Image(t))
	signer := identitySigner(t, s, s.Token(t, "release@example.org"))
	signtest.Attach(t, image, sign(t, signer, image, signing.TypeSignature, nil))
	p := signing.Policy{Root: loadRoot(t, s.Root), Identities: []signing.Identity{{Name: "release@example.org", Issuer: s.Email}}}
	v, err := check(t, image, p)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range v.Checks() {
		t.Log(c)
	}
}
