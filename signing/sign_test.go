package signing_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/forge-build/forge/signing"
	"github.com/forge-build/forge/signing/signtest"
	"github.com/forge-build/forge/signing/statement"
)

func TestEveryKindOfKeySignsAndIsVerified(t *testing.T) {
	p256, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	p384, _ := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	_, ed, _ := ed25519.GenerateKey(rand.Reader)
	r, _ := rsa.GenerateKey(rand.Reader, 2048)
	image := newImage(t, signtest.Conforming)
	for _, c := range []struct {
		name string
		key  crypto.Signer
		pass string
	}{{"ECDSA P-256", p256, ""}, {"ECDSA P-384", p384, ""}, {"Ed25519", ed, ""}, {"RSA", r, ""}, {"encrypted", p256, "opensesame"}} {
		t.Run(c.name, func(t *testing.T) {
			private, public := signtest.WriteKey(t, c.key, c.pass)
			s, err := signing.NewSigner(t.Context(), signing.SignWith{Key: private, Passphrase: func() ([]byte, error) { return []byte(c.pass), nil }})
			if err != nil {
				t.Fatal(err)
			}
			signtest.Attach(t, image, sign(t, s, image, statement.TypeSignature, nil))
			k, err := signing.LoadKey(public)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := check(t, image, signing.Policy{Keys: []signing.Key{k}}); err != nil {
				t.Error(err)
			}
			older, err := s.SignOlder(t.Context(), image)
			if err != nil {
				t.Fatal(err)
			}
			attachOlder(t, image, older)
			if _, err := check(t, image, signing.Policy{Keys: []signing.Key{k}, Formats: signing.LegacyOnly}); err != nil {
				t.Error("older format:", err)
			}
		})
	}
}

// A40, A17: a key that cannot be used is refused, and nothing of it is shown.
func TestKeysThatAreRefused(t *testing.T) {
	p224, _ := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	weak, _ := rsa.GenerateKey(rand.Reader, 1024)
	good, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	file := func(key crypto.Signer, pass string) string {
		private, _ := signtest.WriteKey(t, key, pass)
		return private
	}
	open := file(good, "")
	if err := os.Chmod(open, 0o640); err != nil {
		t.Fatal(err)
	}
	garbage := filepath.Join(t.TempDir(), "k")
	if err := os.WriteFile(garbage, []byte("-----BEGIN PRIVATE KEY-----\nc2VjcmV0c2VjcmV0\n-----END PRIVATE KEY-----\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	// A program of that name would be run by the library.
	bin := t.TempDir()
	ran := filepath.Join(bin, "ran")
	if err := os.WriteFile(filepath.Join(bin, "sigstore-kms-evil"), []byte("#!/bin/sh\ntouch "+ran+"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	asked := 0
	web := signtest.Serve(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked++ }))
	for _, c := range []struct{ name, key, pass, want string }{
		{"others may read it", open, "", "mode 0640"},
		{"a wrong passphrase", file(good, "opensesame"), "wrongsecret", "the passphrase does not open it"},
		{"curve P-224", file(p224, ""), "", "P-224 is too weak"},
		{"a short RSA key", file(weak, ""), "", "1024 bits is too weak"},
		{"bytes that are no key", garbage, "", "cannot be parsed"},
		{"a program", "evil://key", "", `scheme "evil"`},
		{"a web address", "http://" + web + "/key", "", `scheme "http"`},
		{"a misspelt scheme", "awskm://alias/x", "", `scheme "awskm"`},
		{"a cluster's secret", "k8s://ns/key", "", `scheme "k8s"`},
		{"no file", filepath.Join(bin, "none"), "", "no such file"},
		{"a folder", bin, "", "not a regular file"},
		{"a device", "/dev/zero", "", "not a regular file"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, err := signing.NewSigner(t.Context(), signing.SignWith{Key: c.key, Passphrase: func() ([]byte, error) { return []byte(c.pass), nil }})
			if err == nil || s != nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("%v, want %q", err, c.want)
			}
			if c.pass != "" && strings.Contains(err.Error(), c.pass) || strings.Contains(err.Error(), "c2VjcmV0") {
				t.Errorf("the error tells a secret: %v", err)
			}
		})
	}
	if _, err := os.Stat(ran); err == nil || asked > 0 {
		t.Errorf("a program ran or an address was asked (%d)", asked)
	}
}

// A45: what a log of the first version is sent whole must be smaller than what a bundle may hold.
func TestHowLargeAStatementMayBe(t *testing.T) {
	private, _ := signtest.Key(t)
	for what, row := range map[string]struct {
		services signing.Services
		most     int
	}{
		"no log":                      {signing.Services{}, 12_386_304},
		"a log of the second version": {signing.Services{Rekor: "https://r.example"}, 12_386_304},
		"a log of the first version":  {signing.Services{Rekor: "https://r.example", RekorV1: true}, 2 << 20},
	} {
		with := signing.SignWith{Key: private, Services: row.services}
		if row.services.Rekor != "" {
			with.Root = &signing.Root{}
		}
		s, err := signing.NewSigner(t.Context(), with)
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		if got := s.MaxStatement(); got != row.most {
			t.Errorf("%s: %d bytes, want %d", what, got, row.most)
		}
	}
}

func TestContradictionsBetweenKeyAndServices(t *testing.T) {
	private, _ := signtest.Key(t)
	tok := token("x.y.z")
	for _, c := range []struct {
		name string
		with signing.SignWith
		want string
	}{
		{"nothing", signing.SignWith{}, "neither a key nor an identity token"},
		{"both", signing.SignWith{Key: private, Token: tok}, "both a key and an identity token"},
		{"services without a root", signing.SignWith{Key: private, Services: signing.Services{Rekor: "https://r.example"}}, "trust root"},
		{"an identity without a log", signing.SignWith{Token: tok, Root: &signing.Root{}, Services: signing.Services{Fulcio: "https://f.example"}}, "needs a certificate authority and a transparency log"},
		{"an identity without a time", signing.SignWith{Token: tok, Root: &signing.Root{}, Services: signing.Services{Fulcio: "https://f.example", Rekor: "https://r.example"}}, "time-stamp authority"},
		{"http", signing.SignWith{Key: private, Root: &signing.Root{}, Services: signing.Services{Rekor: "http://r.example"}}, "https"},
		{"a password in an address", signing.SignWith{Key: private, Root: &signing.Root{}, Services: signing.Services{Rekor: "https://u:p@r.example"}}, "without a password"},
	} {
		if _, err := signing.NewSigner(t.Context(), c.with); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
}

func TestStatementsThatForgeDoesNotSign(t *testing.T) {
	s, _ := keySigner(t)
	image := newImage(t, signtest.Conforming)
	good := string(signtest.Statement(t, image, statement.TypeSPDX, sbom))
	for name, bad := range map[string]string{
		"version 0.1":     strings.Replace(good, "/v1\"", "/v0.1\"", 1),
		"no predicate":    strings.Replace(good, `"predicate":`, `"predicat":`, 1),
		"no name":         strings.Replace(good, `"name":"`+image.Context().Name()+`"`, `"name":""`, 1),
		"upper-case hex":  strings.Replace(good, image.DigestStr()[7:], strings.ToUpper(image.DigestStr()[7:]), 1),
		"a key twice":     strings.Replace(good, `{"_type"`, `{"predicateType":"x","_type"`, 1),
		"something after": good + "{}",
	} {
		if bad == good {
			t.Fatalf("%s: the fixture changes nothing", name)
		}
		if out, err := s.Sign(t.Context(), []byte(bad)); err == nil {
			t.Errorf("%s was signed: %s", name, out.Bundle)
		}
	}
}

// vault is the part of Vault's transit engine that signs, with a real key.
func vault(t testing.TB, key *ecdsa.PrivateKey) string {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("/v1/transit/keys/forge", func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Vault-Token") != "t0ken" {
			http.Error(w, `{"errors":["permission denied"]}`, http.StatusForbidden)
			return
		}
		der, _ := x509.MarshalPKIXPublicKey(key.Public())
		_ = json.NewEncoder(w).Encode(map[string]any{"data": map[string]any{"latest_version": 1, "type": "ecdsa-p256", "keys": map[string]any{
			"1": map[string]any{"public_key": string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))},
		}}})
	})
	mux.HandleFunc("/v1/transit/sign/forge/sha2-256", func(w http.ResponseWriter, r *http.Request) {
		var req struct {
			Input     []byte `json:"input"`
			Prehashed bool   `json:"prehashed"`
		}
		if err := json.NewDecoder(r.Body).Decode(&req); err != nil || !req.Prehashed {
			http.Error(w, `{"errors":["bad request"]}`, http.StatusBadRequest)
			return
		}
		sig, _ := ecdsa.SignASN1(rand.Reader, key, req.Input)
		_ = json.NewEncoder(w).Encode(map[string]any{"data": map[string]any{"signature": "vault:v1:" + base64.StdEncoding.EncodeToString(sig)}})
	})
	return "http://" + signtest.Serve(t, mux)
}

func TestAKeyServiceSigns(t *testing.T) {
	key, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	t.Setenv("VAULT_ADDR", vault(t, key))
	t.Setenv("VAULT_TOKEN", "t0ken")
	s, err := signing.NewSigner(t.Context(), signing.SignWith{Key: "hashivault://forge"})
	if err != nil {
		t.Fatal(err)
	}
	image := newImage(t, signtest.Conforming)
	signtest.Attach(t, image, sign(t, s, image, statement.TypeSignature, nil))
	if _, err := check(t, image, signing.Policy{Keys: []signing.Key{{PEM: s.PublicKey()}}}); err != nil {
		t.Error(err)
	}
	var bad *signing.KeyError
	t.Setenv("VAULT_SKIP_VERIFY", "true")
	if _, err := signing.NewSigner(t.Context(), signing.SignWith{Key: "hashivault://forge"}); !errors.As(err, &bad) || !strings.Contains(err.Error(), "VAULT_SKIP_VERIFY") {
		t.Errorf("TLS is not to be verified: %v", err)
	}
	t.Setenv("VAULT_SKIP_VERIFY", "false")
	t.Setenv("VAULT_TOKEN", "other")
	if _, err := signing.NewSigner(t.Context(), signing.SignWith{Key: "hashivault://forge"}); err == nil || strings.Contains(err.Error(), "other") {
		t.Errorf("a service that denies: %v", err)
	}
}

// awsKMS is the part of AWS's key service that signs, behind TLS. Source: AWS KMS API reference,
// DescribeKey, GetPublicKey, Sign.
func awsKMS(t *testing.T, key crypto.Signer, spec, algorithm string, opts crypto.SignerOpts) string {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var q struct {
			Message                       []byte
			MessageType, SigningAlgorithm string
		}
		if err := json.NewDecoder(r.Body).Decode(&q); err != nil || !strings.Contains(r.Header.Get("Authorization"), "Credential=id/") {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		w.Header().Set("Content-Type", "application/x-amz-json-1.1")
		answer := map[string]any{"KeyId": "forge", "KeySpec": spec, "CustomerMasterKeySpec": spec, "KeyUsage": "SIGN_VERIFY", "SigningAlgorithms": []string{algorithm}, "PublicKey": der}
		switch _, action, _ := strings.Cut(r.Header.Get("X-Amz-Target"), "."); action {
		case "DescribeKey":
			answer = map[string]any{"KeyMetadata": answer}
		case "Sign":
			if q.MessageType != "DIGEST" || q.SigningAlgorithm != algorithm {
				w.WriteHeader(http.StatusBadRequest)
				return
			}
			sig, err := key.Sign(rand.Reader, q.Message, opts)
			if err != nil {
				w.WriteHeader(http.StatusBadRequest)
				return
			}
			answer = map[string]any{"KeyId": "forge", "Signature": sig, "SigningAlgorithm": algorithm}
		}
		_ = json.NewEncoder(w).Encode(answer)
	}))
	t.Cleanup(s.Close)
	ca := filepath.Join(t.TempDir(), "ca.crt")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	for k, v := range map[string]string{"AWS_CA_BUNDLE": ca, "AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "hunter2", "AWS_REGION": "eu-west-1",
		"AWS_EC2_METADATA_DISABLED": "true", "AWS_CONFIG_FILE": os.DevNull, "AWS_SHARED_CREDENTIALS_FILE": os.DevNull, "AWS_MAX_ATTEMPTS": "1"} {
		t.Setenv(k, v)
	}
	return "awskms://" + strings.TrimPrefix(s.URL, "https://") + "/alias/forge"
}

func TestAWSSigns(t *testing.T) {
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	pair, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	for name, row := range map[string]struct {
		key             crypto.Signer
		spec, algorithm string
		opts            crypto.SignerOpts
		want            string
	}{
		"ECDSA":                  {ec, "ECC_NIST_P256", "ECDSA_SHA_256", crypto.SHA256, ""},
		"RSA":                    {pair, "RSA_2048", "RSASSA_PKCS1_V1_5_SHA_256", crypto.SHA256, ""},
		"RSA, as nobody expects": {pair, "RSA_2048", "RSASSA_PSS_SHA_256", &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: crypto.SHA256}, "in a way that nobody verifies"},
	} {
		t.Run(name, func(t *testing.T) {
			ref := awsKMS(t, row.key, row.spec, row.algorithm, row.opts)
			s, err := signing.NewSigner(t.Context(), signing.SignWith{Key: ref})
			var bad *signing.KeyError
			if row.want != "" {
				if !errors.As(err, &bad) || !strings.Contains(err.Error(), row.want) {
					t.Errorf("%v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			image := newImage(t, signtest.Conforming)
			signtest.Attach(t, image, sign(t, s, image, statement.TypeSignature, nil))
			if _, err := check(t, image, signing.Policy{Keys: []signing.Key{{PEM: s.PublicKey()}}}); err != nil {
				t.Error(err)
			}
			t.Setenv("AWS_CA_BUNDLE", "")
			if _, err := signing.NewSigner(t.Context(), signing.SignWith{Key: ref}); err == nil || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("an authority that nobody knows: %v", err)
			}
			t.Setenv("AWS_TLS_INSECURE_SKIP_VERIFY", "1")
			if _, err := signing.NewSigner(t.Context(), signing.SignWith{Key: ref}); !errors.As(err, &bad) {
				t.Errorf("TLS is not to be verified: %v", err)
			}
		})
	}
}

// A11: an expectation that is empty or contradicts itself is an error before any connection.
func TestExpectationsThatAreRefused(t *testing.T) {
	_, good := keySigner(t)
	key := good.Keys[0]
	id := signing.Identity{Name: "a@example.org", Issuer: "https://accounts.example"}
	root := &signing.Root{}
	with := func(change func(*signing.Policy)) signing.Policy {
		p := signing.Policy{Identities: []signing.Identity{id}, Root: root}
		change(&p)
		return p
	}
	backwards := key
	backwards.From, backwards.Until = now.Add(1), now
	for _, c := range []struct {
		name string
		p    signing.Policy
		want string
	}{
		{"nobody", signing.Policy{}, "nobody is named"},
		{"an empty identity", with(func(p *signing.Policy) { p.Identities[0] = signing.Identity{Issuer: "x"} }), "neither a name nor a pattern"},
		{"no issuer", with(func(p *signing.Policy) { p.Identities[0].Issuer = "" }), "has no issuer"},
		{"name and pattern", with(func(p *signing.Policy) { p.Identities[0].Pattern = "x" }), "give one of both"},
		{"a pattern for all", with(func(p *signing.Policy) { p.Identities[0] = signing.Identity{Pattern: ".*", Issuer: "x"} }), "fits everybody"},
		{"a pattern for nearly all", with(func(p *signing.Policy) { p.Identities[0] = signing.Identity{Pattern: ".+", Issuer: "x"} }), "fits everybody"},
		{"a broken pattern", with(func(p *signing.Policy) { p.Identities[0] = signing.Identity{Pattern: "a)|(b", Issuer: "x"} }), "pattern"},
		{"an unknown claim", with(func(p *signing.Policy) { p.Identities[0].Claims = map[string]string{"sourceRepo": "x"} }), "do not have"},
		{"an empty claim", with(func(p *signing.Policy) { p.Identities[0].Claims = map[string]string{"sourceRepositoryRef": ""} }), "is empty"},
		{"an identity without a root", with(func(p *signing.Policy) { p.Root = nil }), "trust root"},
		{"a log without a root", signing.Policy{Keys: []signing.Key{key}, Log: 1}, "trust root"},
		{"a negative number", with(func(p *signing.Policy) { p.Times = -1 }), "negative"},
		{"a key that is none", signing.Policy{Keys: []signing.Key{{PEM: []byte("x")}}}, "no key in PEM form"},
		{"a window that ends before it begins", signing.Policy{Keys: []signing.Key{backwards}}, "before it begins"},
		{"more signers than are named", signing.Policy{Keys: []signing.Key{key}, Statements: []signing.Requirement{{Types: []string{statement.TypeSPDX}, Signers: 2}}}, "2 signers are demanded of 1"},
		{"nothing that must be there", signing.Policy{Keys: []signing.Key{key}, Statements: []signing.Requirement{{Types: []string{statement.TypeSPDX}, Optional: true}}}, "no statement is demanded"},
		{"a statement without a type", signing.Policy{Keys: []signing.Key{key}, Statements: []signing.Requirement{{}}}, "no type"},
		{"a mirror without a registry", signing.Policy{Keys: []signing.Key{key}, Repositories: []string{"x"}}, "no repository name"},
	} {
		_, err := signing.Verify(context.Background(), nil, signing.Image{}, c.p) // a nil source: nothing may be asked
		var policy *signing.PolicyError
		if !errors.As(err, &policy) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
}

var now = time.Now()
