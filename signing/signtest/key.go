package signtest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"testing"

	"github.com/secure-systems-lab/go-securesystemslib/encrypted"
)

// Key makes an ECDSA key pair and returns the two files.
func Key(t testing.TB) (private, public string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return WriteKey(t, key, "")
}

// WriteKey writes a key pair, encrypted as cosign does if there is a passphrase.
func WriteKey(t testing.TB, key crypto.Signer, passphrase string) (private, public string) {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	kind := "PRIVATE KEY"
	if passphrase != "" {
		kind = "ENCRYPTED SIGSTORE PRIVATE KEY"
		if der, err = encrypted.Encrypt(der, []byte(passphrase)); err != nil {
			t.Fatal(err)
		}
	}
	pub, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	private, public = filepath.Join(dir, "forge.key"), filepath.Join(dir, "forge.pub")
	for path, block := range map[string]*pem.Block{private: {Type: kind, Bytes: der}, public: {Type: "PUBLIC KEY", Bytes: pub}} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return private, public
}
