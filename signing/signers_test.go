package signing_test

import (
	"strings"
	"testing"

	"github.com/forge-build/forge/signing"
	"github.com/forge-build/forge/signing/signtest"
	"github.com/forge-build/forge/signing/statement"
)

// Thresholds: a pattern is one signer whoever fits it, and a name that two patterns fit is one.
func TestAPatternIsOneSigner(t *testing.T) {
	s := signtest.Start(t, signtest.Options{})
	image := signtest.Push(t, signtest.Repository(t, signtest.Registry(t, signtest.Conforming), "team/train"), "1", signtest.Image(t))
	for _, who := range []string{"a@example.org", "b@example.org"} {
		signtest.Attach(t, image, sign(t, identitySigner(t, s, s.Token(t, who)), image, statement.TypeSignature, nil))
	}
	pattern := func(p string) signing.Identity { return signing.Identity{Pattern: p, Issuer: s.Email} }
	exact := func(n string) signing.Identity { return signing.Identity{Name: n, Issuer: s.Email} }
	for name, row := range map[string]struct {
		ids   []signing.Identity
		found string // empty: it holds
	}{
		"two names":                     {[]signing.Identity{exact("a@example.org"), exact("b@example.org")}, ""},
		"two who fit one pattern":       {[]signing.Identity{pattern(`[a-z]@example\.org`), exact("c@example.org")}, "found 1"},
		"one whom a name and a pattern": {[]signing.Identity{pattern(`a@.*\.org`), exact("a@example.org")}, "found 1"},
		"a pattern and a name":          {[]signing.Identity{pattern(`[a-z]@example\.org`), exact("a@example.org")}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			p := signing.Policy{Root: loadRoot(t, s.Root), Identities: row.ids, Statements: []signing.Requirement{{Types: signing.Types("signature"), Signers: 2}}}
			if row.found != "" {
				refused(t, image, p, signing.CheckPresent, row.found)
				return
			}
			if _, err := check(t, image, p); err != nil {
				t.Error(err)
			}
		})
	}
}

// A21: who wants a proof of inclusion wants an entry.
func TestAProofIsWantedOfAKeyToo(t *testing.T) {
	a := newAttacker(t)
	image := newImage(t, signtest.Conforming)
	signtest.Attach(t, image, a.statement(statementFor(image)))
	p := a.policy
	var err error
	if p.Root, err = signing.LoadRoot("admission/testdata/root.json"); err != nil {
		t.Fatal(err)
	}
	if _, err := check(t, image, p); err != nil {
		t.Fatal(err)
	}
	p.Proof = true
	refused(t, image, p, signing.CheckLog, "1 trusted log")
}

// A40: an address may hold a password, which is in no message.
func TestAPasswordInAnAddressIsNotRepeated(t *testing.T) {
	private, _ := signtest.Key(t)
	for _, address := range []string{"https://forge:hunter2@log.example", "http://forge:hunter2@log.example/x?hunter2", "https://log.example:hunter2/", "https://forge:hunter2@%zz"} {
		_, err := signing.NewSigner(t.Context(), signing.SignWith{Key: private, Root: &signing.Root{}, Services: signing.Services{Rekor: address}})
		if err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%v", err)
		}
		_, err = signing.FetchRoot(t.Context(), signing.RootSource{Mirror: address, Anchor: []byte("{}"), Cache: t.TempDir()})
		if err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%v", err)
		}
	}
}
