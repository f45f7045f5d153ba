package signing

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"

	"github.com/secure-systems-lab/go-securesystemslib/encrypted"
	protocommon "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	"github.com/sigstore/sigstore-go/pkg/sign"
	"github.com/sigstore/sigstore/pkg/signature"
	"github.com/sigstore/sigstore/pkg/signature/options"
)

// KeyError is a private key that cannot be used. It never holds any of the key's bytes.
type KeyError struct{ Key, Reason string }

func (e *KeyError) Error() string { return fmt.Sprintf("key %q: %s", e.Key, e.Reason) }

// openKey opens a private key. A log wants Ed25519 to sign a hash.
func openKey(ctx context.Context, ref string, passphrase func() ([]byte, error), logged bool) (sign.Keypair, Key, error) {
	if scheme, _, ok := strings.Cut(ref, "://"); ok {
		if err := errors.Join(allowScheme(scheme), believesNobody()); err != nil {
			return nil, Key{}, &KeyError{ref, err.Error()}
		}
		sv, err := openService(ctx, ref)
		if err != nil {
			return nil, Key{}, fmt.Errorf("opening key %q: %w", ref, err)
		}
		pair, key, err := newKeypair(ctx, ref, sv, logged)
		if err != nil {
			return nil, key, err
		}
		if _, ok := pair.GetPublicKey().(*rsa.PublicKey); ok && scheme == "azurekms" {
			return nil, key, &KeyError{ref, "it is an RSA key, whose signatures Sigstore's client for this service writes as if they were ECDSA's; an EC key (P-256, P-384, P-521) can sign"}
		}
		return pair, key, tried(ctx, ref, pair)
	}
	raw, err := readPrivate(ref)
	if err != nil {
		return nil, Key{}, err
	}
	private, err := parsePrivate(ref, raw, passphrase)
	if err != nil {
		return nil, Key{}, err
	}
	var opts []signature.LoadOption
	if _, ok := private.(ed25519.PrivateKey); ok && logged {
		opts = append(opts, options.WithED25519ph())
	}
	sv, err := signature.LoadDefaultSignerVerifier(private, opts...)
	if err != nil {
		return nil, Key{}, &KeyError{ref, "its kind cannot sign"}
	}
	return newKeypair(ctx, ref, sv, logged)
}

// believesNobody refuses a switch of the services' libraries: TLS is always verified.
func believesNobody() error {
	for _, name := range []string{"AWS_TLS_INSECURE_SKIP_VERIFY", "VAULT_SKIP_VERIFY"} {
		if v := os.Getenv(name); v != "" {
			if off, err := strconv.ParseBool(v); err != nil || off {
				return fmt.Errorf("the variable %s would let anybody answer for the service; unset it, and name its certificate authority instead (AWS_CA_BUNDLE, VAULT_CACERT)", name)
			}
		}
	}
	return nil
}

// tried looks whether what a service signs with a key is what everybody verifies with it. Which
// algorithm an RSA key signs with is the service's choice.
func tried(ctx context.Context, ref string, pair sign.Keypair) error {
	text := []byte("forge tries whether it can sign with this key")
	sig, _, err := pair.SignData(ctx, text)
	if err != nil {
		return fmt.Errorf("trying the key %q: %w", ref, err)
	}
	k := pair.(*keypair)
	var opts []signature.LoadOption
	if _, ok := k.public.(ed25519.PublicKey); ok && k.details.GetHashType() != crypto.Hash(0) {
		opts = append(opts, options.WithED25519ph())
	}
	v, err := signature.LoadDefaultVerifier(k.public, opts...)
	if err == nil {
		err = v.VerifySignature(bytes.NewReader(sig), bytes.NewReader(text))
	}
	if err != nil {
		return &KeyError{ref, "the service signs with it in a way that nobody verifies: ECDSA, Ed25519, or RSA by PKCS #1 v1.5, with the hash that belongs to the key's size"}
	}
	return nil
}

// readPrivate reads a private key's file, which nobody else may read. signing A40.
func readPrivate(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &KeyError{path, "there is no such file"}
	}
	if err != nil {
		return nil, fmt.Errorf("reading key %q: %w", path, err)
	}
	if !info.Mode().IsRegular() {
		return nil, &KeyError{path, "it is not a regular file"}
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return nil, &KeyError{path, fmt.Sprintf("others may read or write it (mode %04o); chmod 600 makes it private", mode)}
	}
	raw, err := readFile(path, maxKey)
	if err != nil {
		return nil, fmt.Errorf("reading key %q: %w", path, err)
	}
	return raw, nil
}

// parsePrivate reads a key in PEM form: PKCS #8, the older forms of each kind, or cosign's
// encrypted form.
func parsePrivate(path string, raw []byte, passphrase func() ([]byte, error)) (crypto.Signer, error) {
	block, rest := pem.Decode(raw)
	if block == nil {
		return nil, &KeyError{path, "it holds no key in PEM form"}
	}
	if len(bytes.TrimSpace(rest)) > 0 {
		return nil, &KeyError{path, "something stands after the key"}
	}
	var key any
	var err error
	switch block.Type {
	case "ENCRYPTED SIGSTORE PRIVATE KEY", "ENCRYPTED COSIGN PRIVATE KEY":
		var der []byte
		if der, err = decrypt(path, block.Bytes, passphrase); err != nil {
			return nil, err
		}
		key, err = x509.ParsePKCS8PrivateKey(der)
	case "PRIVATE KEY":
		key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
	case "EC PRIVATE KEY":
		key, err = x509.ParseECPrivateKey(block.Bytes)
	case "RSA PRIVATE KEY":
		key, err = x509.ParsePKCS1PrivateKey(block.Bytes)
	default:
		return nil, &KeyError{path, fmt.Sprintf("it is a %q, no private key that forge knows", block.Type)}
	}
	if err != nil {
		return nil, &KeyError{path, "it cannot be parsed"} // the cause may quote bytes of it
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, &KeyError{path, "its kind cannot sign"}
	}
	if err := strong(signer.Public()); err != nil {
		return nil, &KeyError{path, err.Error()}
	}
	return signer, nil
}

// decrypt opens cosign's encrypted form: NaCl secretbox under a scrypt key.
func decrypt(path string, sealed []byte, passphrase func() ([]byte, error)) ([]byte, error) {
	if passphrase == nil {
		return nil, &KeyError{path, "it is encrypted, and there is no passphrase"}
	}
	pass, err := passphrase()
	if err != nil {
		return nil, fmt.Errorf("asking for the passphrase of key %q: %w", path, err)
	}
	der, err := encrypted.Decrypt(sealed, pass)
	clear(pass)
	if err != nil {
		return nil, &KeyError{path, "the passphrase does not open it"}
	}
	return der, nil
}

// keypair is a sign.Keypair over sigstore's signers, which key services are.
type keypair struct {
	sv      signature.SignerVerifier
	public  crypto.PublicKey
	pem     string
	hint    string
	details signature.AlgorithmDetails
}

func newKeypair(ctx context.Context, ref string, sv signature.SignerVerifier, logged bool) (sign.Keypair, Key, error) {
	pub, key, err := publicOf(ctx, ref, sv)
	if err != nil {
		return nil, Key{}, err
	}
	var opts []signature.LoadOption
	if _, ok := pub.(ed25519.PublicKey); ok && logged {
		opts = append(opts, options.WithED25519ph())
	}
	details, err := signature.GetDefaultAlgorithmDetails(pub, opts...)
	if err != nil {
		return nil, Key{}, &KeyError{ref, "its kind cannot sign"}
	}
	der, err := x509.MarshalPKIXPublicKey(pub)
	if err != nil {
		return nil, Key{}, &KeyError{ref, "its kind cannot sign"}
	}
	sum := sha256.Sum256(der)
	return &keypair{sv, pub, string(key.PEM), base64.StdEncoding.EncodeToString(sum[:]), details}, key, nil
}

func (k *keypair) GetHashAlgorithm() protocommon.HashAlgorithm {
	return k.details.GetProtoHashType()
}

func (k *keypair) GetSigningAlgorithm() protocommon.PublicKeyDetails {
	return k.details.GetSignatureAlgorithm()
}

func (k *keypair) GetHint() []byte                { return []byte(k.hint) }
func (k *keypair) GetPublicKey() crypto.PublicKey { return k.public }
func (k *keypair) GetPublicKeyPem() (string, error) {
	return k.pem, nil
}

// GetKeyAlgorithm is for certificate requests, which keys that stay do not make.
func (k *keypair) GetKeyAlgorithm() string {
	switch k.public.(type) {
	case *ecdsa.PublicKey:
		return "ECDSA"
	case *rsa.PublicKey:
		return "RSA"
	}
	return "ED25519"
}

// SignData returns the signature and what was signed: a digest, but for plain Ed25519.
func (k *keypair) SignData(ctx context.Context, data []byte) ([]byte, []byte, error) {
	sig, err := k.sv.SignMessage(bytes.NewReader(data), options.WithContext(ctx))
	if err != nil {
		return nil, nil, fmt.Errorf("signing with the key: %w", err)
	}
	if hf := k.details.GetHashType(); hf != crypto.Hash(0) {
		h := hf.New()
		h.Write(data)
		data = h.Sum(nil)
	}
	return sig, data, nil
}

// Schemes are the key management services that can be named, as SCHEME://….
func Schemes() []string { return []string{"awskms", "azurekms", "gcpkms", "hashivault"} }

// allowScheme lets known services through. The library would run a program
// sigstore-kms-SCHEME for every other one, and a key would be fetched over the network for
// an http address. signing A17.
func allowScheme(scheme string) error {
	for _, s := range Schemes() {
		if scheme == s {
			return nil
		}
	}
	return errors.New("scheme " + fmt.Sprintf("%q", scheme) + " is no key management service that forge asks; known are " + strings.Join(Schemes(), ", "))
}
