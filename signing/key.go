package signing

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore/pkg/cryptoutils"
	"github.com/sigstore/sigstore/pkg/signature"
	"github.com/sigstore/sigstore/pkg/signature/options"
)

// maxKey bounds a key file.
const maxKey = 64 << 10

// LoadKey reads a public key in PEM form.
func LoadKey(path string) (Key, error) {
	raw, err := readNamed("key", path, maxKey)
	if err != nil {
		return Key{}, err
	}
	k := Key{PEM: raw}
	if _, err := k.public(); err != nil {
		return Key{}, &PolicyError{fmt.Sprintf("key %q: %v", path, err)}
	}
	return k, nil
}

// FindKey reads a public key from a file in PEM form, or asks a key management service for it, where
// ref is SCHEME://….
func FindKey(ctx context.Context, ref string) (Key, error) {
	scheme, _, ok := strings.Cut(ref, "://")
	if !ok {
		return LoadKey(ref)
	}
	if err := errors.Join(allowScheme(scheme), believesNobody()); err != nil {
		return Key{}, &KeyError{ref, err.Error()}
	}
	sv, err := openService(ctx, ref)
	if err != nil {
		return Key{}, fmt.Errorf("opening key %q: %w", ref, err)
	}
	_, k, err := publicOf(ctx, ref, sv)
	return k, err
}

// publicOf is the public half of what signs; ref names it in messages.
func publicOf(ctx context.Context, ref string, sv signature.SignerVerifier) (crypto.PublicKey, Key, error) {
	pub, err := sv.PublicKey(options.WithContext(ctx))
	if err != nil {
		return nil, Key{}, fmt.Errorf("asking for the public key of %q: %w", ref, err)
	}
	text, err := cryptoutils.MarshalPublicKeyToPEM(pub)
	if err != nil {
		return nil, Key{}, &KeyError{ref, "its kind cannot sign"}
	}
	k := Key{PEM: text}
	if _, err := k.public(); err != nil {
		return nil, Key{}, &KeyError{ref, err.Error()}
	}
	return pub, k, nil
}

// public is the key itself: one PEM block, ECDSA on a NIST curve, Ed25519, or RSA of at
// least 2048 bits.
func (k Key) public() (crypto.PublicKey, error) {
	block, rest := pem.Decode(k.PEM)
	switch {
	case block == nil:
		return nil, errors.New("it holds no key in PEM form")
	case block.Type != "PUBLIC KEY":
		return nil, fmt.Errorf("it is a %q, not a \"PUBLIC KEY\"", block.Type)
	}
	if again, _ := pem.Decode(rest); again != nil {
		return nil, errors.New("it holds several keys; name each by itself")
	}
	pub, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("parsing the key: %w", err)
	}
	return pub, strong(pub)
}

// strong says why a key is not taken; nil if it is.
func strong(pub crypto.PublicKey) error {
	switch p := pub.(type) {
	case *ecdsa.PublicKey:
		if p.Curve == elliptic.P224() {
			return errors.New("curve P-224 is too weak")
		}
		return nil
	case ed25519.PublicKey:
		return nil
	case *rsa.PublicKey:
		if p.N.BitLen() < 2048 {
			return fmt.Errorf("an RSA key of %d bits is too weak; at least 2048", p.N.BitLen())
		}
		return nil
	}
	return fmt.Errorf("keys of type %T are not known", pub)
}

// fingerprint is the sha256 of the key's DER form, as Sigstore names keys.
func (k Key) fingerprint() string {
	pub, err := k.public()
	if err != nil {
		return "?"
	}
	der, err := x509.MarshalPKIXPublicKey(pub)
	if err != nil {
		return "?"
	}
	return fmt.Sprintf("sha256:%x", sha256.Sum256(der))
}

// window says why a key does not hold at a time; "" if it does.
func (k Key) window(t time.Time) string {
	switch {
	case !k.From.IsZero() && t.Before(k.From):
		return fmt.Sprintf("it holds only from %s", k.From.UTC().Format(time.RFC3339))
	case !k.Until.IsZero() && t.After(k.Until):
		return fmt.Sprintf("it ended at %s", k.Until.UTC().Format(time.RFC3339))
	}
	return ""
}

// verifiers are the ways in which signers use a key: the default of its type, and where
// clients differ the others. Older ones hash with SHA-256 whatever the curve; Ed25519 is
// used as it is or with the hash that logs need.
func (k Key) verifiers() ([]root.TimeConstrainedVerifier, error) {
	pub, err := k.public()
	if err != nil {
		return nil, err
	}
	var all []signature.Verifier
	add := func(v signature.Verifier, e error) { all, err = append(all, v), errors.Join(err, e) }
	add(signature.LoadDefaultVerifier(pub))
	switch p := pub.(type) {
	case ed25519.PublicKey:
		add(signature.LoadDefaultVerifier(pub, options.WithED25519ph()))
	case *ecdsa.PublicKey:
		if p.Curve != elliptic.P256() {
			add(signature.LoadVerifier(pub, crypto.SHA256))
		}
	}
	if err != nil {
		return nil, err
	}
	windowed := make([]root.TimeConstrainedVerifier, len(all))
	for i, v := range all {
		windowed[i] = root.NewExpiringKey(v, k.From, k.Until)
	}
	return windowed, nil
}
