package main

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"hash/crc32"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"cloud.google.com/go/kms/apiv1/kmspb"
	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azkeys"
	"github.com/go-jose/go-jose/v4"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/forge-build/forge/signing/signtest"
)

// keyService is what the key services of this file have in common: versions of one key, the
// newest last, and what is wrong with the service.
type keyService struct {
	mu       sync.Mutex
	versions []crypto.Signer
	denied   string        // the one call that nobody may make: "get" or "sign"
	silent   chan struct{} // if not nil, the service answers no more, and closes it when it is asked
	rotate   int           // after that many signatures there is a new version; 0: never
	signed   int
}

// newest is the newest version and its number, from 1 on.
func (k *keyService) newest() (crypto.Signer, int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.versions[len(k.versions)-1], len(k.versions)
}

// asked says whether a call is allowed. It does not come back while the service is silent.
func (k *keyService) asked(ctx context.Context, call string) bool {
	k.mu.Lock()
	silent, denied := k.silent, k.denied
	if silent != nil {
		select {
		case <-silent:
		default:
			close(silent)
		}
	}
	k.mu.Unlock()
	if silent != nil {
		<-ctx.Done()
	}
	return denied != call
}

// done counts a signature.
func (k *keyService) done() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.signed++; k.signed == k.rotate {
		k.versions = append(k.versions, newEC(elliptic.P256()))
	}
}

func newEC(c elliptic.Curve) *ecdsa.PrivateKey {
	key, err := ecdsa.GenerateKey(c, rand.Reader)
	if err != nil {
		panic(err)
	}
	return key
}

func newRSA(bits int) *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		panic(err)
	}
	return key
}

// publicPEM is a key's public half.
func publicPEM(key crypto.Signer) string {
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		panic(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
}

// google is Cloud KMS. It takes the tokens of one service account. Source: Cloud KMS' API
// reference, google.cloud.kms.v1; and its guide to data integrity.
type google struct {
	kmspb.UnimplementedKeyManagementServiceServer
	*keyService
	account   *rsa.PrivateKey
	algorithm kmspb.CryptoKeyVersion_CryptoKeyVersionAlgorithm
}

const googleKey = "projects/acme/locations/europe-west1/keyRings/release/cryptoKeys/images"

// newGoogle puts Cloud KMS into the internet, with credentials of an account that may use it.
func newGoogle(n *internet, k *keyService, algorithm kmspb.CryptoKeyVersion_CryptoKeyVersionAlgorithm) string {
	g := &google{keyService: k, account: newRSA(2048), algorithm: algorithm}
	server := grpc.NewServer(grpc.UnaryInterceptor(func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
		if !g.known(ctx) {
			return nil, status.Error(codes.Unauthenticated, "whoever this is, it is not the account")
		}
		return handle(ctx, req)
	}))
	kmspb.RegisterKeyManagementServiceServer(server, g)
	n.host("cloudkms.googleapis.com", server.ServeHTTP)
	der, err := x509.MarshalPKCS8PrivateKey(g.account)
	if err != nil {
		n.t.Fatal(err)
	}
	account, err := json.Marshal(map[string]string{"type": "service_account", "project_id": "acme", "private_key_id": "1", "client_id": "1", "client_email": "forge@acme.iam.gserviceaccount.com",
		"token_uri": "https://oauth2.googleapis.com/token", "private_key": string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))})
	if err != nil {
		n.t.Fatal(err)
	}
	n.write("account.json", string(account))
	n.set("GOOGLE_APPLICATION_CREDENTIALS="+n.path("account.json"), "SSL_CERT_FILE="+n.path("ca.pem"))
	return "gcpkms://" + googleKey
}

// known says whether a call bears a token that the account has signed itself.
func (g *google) known(ctx context.Context) bool {
	md, _ := metadata.FromIncomingContext(ctx)
	for _, v := range md.Get("authorization") {
		token, ok := strings.CutPrefix(v, "Bearer ")
		if !ok {
			continue
		}
		if jws, err := jose.ParseSigned(token, []jose.SignatureAlgorithm{jose.RS256}); err == nil {
			_, err = jws.Verify(&g.account.PublicKey)
			return err == nil
		}
	}
	return false
}

func (g *google) may(ctx context.Context, call string) error {
	if g.asked(ctx, call) {
		return nil
	}
	return status.Error(codes.PermissionDenied, "Permission 'cloudkms."+call+"' denied on resource '"+googleKey+"' (or it may not exist).")
}

func (g *google) GetCryptoKey(ctx context.Context, r *kmspb.GetCryptoKeyRequest) (*kmspb.CryptoKey, error) {
	if r.Name != googleKey {
		return nil, status.Error(codes.NotFound, "CryptoKey "+r.Name+" not found.")
	}
	return &kmspb.CryptoKey{Name: r.Name, Purpose: kmspb.CryptoKey_ASYMMETRIC_SIGN}, g.may(ctx, "get")
}

func (g *google) ListCryptoKeyVersions(ctx context.Context, _ *kmspb.ListCryptoKeyVersionsRequest) (*kmspb.ListCryptoKeyVersionsResponse, error) {
	_, n := g.newest()
	return &kmspb.ListCryptoKeyVersionsResponse{CryptoKeyVersions: []*kmspb.CryptoKeyVersion{g.version(n)}}, g.may(ctx, "get")
}

func (g *google) GetCryptoKeyVersion(ctx context.Context, r *kmspb.GetCryptoKeyVersionRequest) (*kmspb.CryptoKeyVersion, error) {
	_, n, err := g.named(r.Name)
	if err != nil {
		return nil, err
	}
	return g.version(n), g.may(ctx, "get")
}

func (g *google) version(n int) *kmspb.CryptoKeyVersion {
	return &kmspb.CryptoKeyVersion{Name: fmt.Sprintf("%s/cryptoKeyVersions/%d", googleKey, n), Algorithm: g.algorithm, State: kmspb.CryptoKeyVersion_ENABLED}
}

// named is the version that a name says.
func (g *google) named(name string) (crypto.Signer, int, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for i, key := range g.versions {
		if name == g.version(i+1).Name {
			return key, i + 1, nil
		}
	}
	return nil, 0, status.Error(codes.NotFound, "CryptoKeyVersion "+name+" not found.")
}

func (g *google) GetPublicKey(ctx context.Context, r *kmspb.GetPublicKeyRequest) (*kmspb.PublicKey, error) {
	key, _, err := g.named(r.Name)
	if err != nil {
		return nil, err
	}
	return &kmspb.PublicKey{Pem: publicPEM(key), Algorithm: g.algorithm, Name: r.Name}, g.may(ctx, "viewPublicKey")
}

func (g *google) AsymmetricSign(ctx context.Context, r *kmspb.AsymmetricSignRequest) (*kmspb.AsymmetricSignResponse, error) {
	if err := g.may(ctx, "sign"); err != nil {
		return nil, err
	}
	key, _, err := g.named(r.Name)
	if err != nil {
		return nil, err
	}
	castagnoli := crc32.MakeTable(crc32.Castagnoli)
	digest, opts := r.Digest.GetSha256(), crypto.SignerOpts(crypto.SHA256)
	switch g.algorithm {
	case kmspb.CryptoKeyVersion_EC_SIGN_P384_SHA384:
		digest, opts = r.Digest.GetSha384(), crypto.SHA384
	case kmspb.CryptoKeyVersion_RSA_SIGN_PSS_2048_SHA256:
		opts = &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: crypto.SHA256}
	}
	if len(digest) != opts.HashFunc().Size() || r.DigestCrc32C.GetValue() != int64(crc32.Checksum(digest, castagnoli)) {
		return nil, status.Error(codes.InvalidArgument, "The digest is not what the algorithm signs, or was corrupted.")
	}
	sig, err := key.Sign(rand.Reader, digest, opts)
	if err != nil {
		return nil, err
	}
	g.done()
	return &kmspb.AsymmetricSignResponse{Signature: sig, SignatureCrc32C: wrapperspb.Int64(int64(crc32.Checksum(sig, castagnoli))), VerifiedDigestCrc32C: true, Name: r.Name}, nil
}

// azure is Key Vault, with the part of Entra ID that gives an application its token. Source: Key
// Vault's REST API 7.6, "Get Key", "Sign", and "Authentication, requests and responses"; OAuth 2.0
// client credentials of the Microsoft identity platform.
type azure struct{ *keyService }

const (
	azureVault  = "acme.vault.azure.net"
	azureTenant = "11111111-2222-3333-4444-555555555555"
	azureSecret = "hunter2-hunter2"
	azureToken  = "t0ken-of-the-vault"
)

// newAzure puts a vault into the internet, with credentials of an application that may use it.
func newAzure(n *internet, k *keyService) string {
	a := &azure{k}
	n.host(azureVault, a.vault)
	n.host("login.microsoftonline.com", a.login)
	n.set("AZURE_TENANT_ID="+azureTenant, "AZURE_CLIENT_ID=forge", "AZURE_CLIENT_SECRET="+azureSecret, "SSL_CERT_FILE="+n.path("ca.pem"))
	return "azurekms://" + azureVault + "/images"
}

func answerJSON(w http.ResponseWriter, code int, v any) {
	raw, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(code)
	_, _ = w.Write(raw) // whoever asked may have gone
}

func (a *azure) login(w http.ResponseWriter, r *http.Request) {
	tenant := "https://login.microsoftonline.com/" + azureTenant
	switch {
	case strings.HasSuffix(r.URL.Path, "/discovery/instance"):
		answerJSON(w, 200, map[string]any{"tenant_discovery_endpoint": tenant + "/v2.0/.well-known/openid-configuration", "api-version": "1.1",
			"metadata": []any{map[string]any{"preferred_network": "login.microsoftonline.com", "preferred_cache": "login.windows.net", "aliases": []string{"login.microsoftonline.com"}}}})
	case strings.HasSuffix(r.URL.Path, "/.well-known/openid-configuration"):
		answerJSON(w, 200, map[string]any{"issuer": tenant + "/v2.0", "authorization_endpoint": tenant + "/oauth2/v2.0/authorize", "token_endpoint": tenant + "/oauth2/v2.0/token"})
	case r.FormValue("client_id") != "forge" || r.FormValue("client_secret") != azureSecret || r.FormValue("scope") == "":
		answerJSON(w, 401, map[string]any{"error": "invalid_client", "error_description": "AADSTS7000215: Invalid client secret provided."})
	default:
		answerJSON(w, 200, map[string]any{"token_type": "Bearer", "expires_in": 3600, "ext_expires_in": 3600, "access_token": azureToken})
	}
}

func (a *azure) vault(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Authorization") != "Bearer "+azureToken {
		w.Header().Set("WWW-Authenticate", `Bearer authorization="https://login.microsoftonline.com/`+azureTenant+`", resource="https://vault.azure.net"`)
		answerJSON(w, 401, map[string]any{"error": map[string]string{"code": "Unauthorized", "message": "AKV10000: Request is missing a Bearer or PoP token."}})
		return
	}
	call, path := "get", strings.Trim(r.URL.Path, "/")
	if p, ok := strings.CutSuffix(path, "/sign"); ok {
		call, path = "sign", p
	}
	if name, _, _ := strings.Cut(strings.TrimPrefix(path, "keys/"), "/"); name != "images" {
		answerJSON(w, 404, map[string]any{"error": map[string]string{"code": "KeyNotFound", "message": "A key with (name/id) " + name + " was not found in this key vault."}})
		return
	}
	if !a.asked(r.Context(), call) {
		answerJSON(w, 403, map[string]any{"error": map[string]string{"code": "Forbidden", "message": "The user does not have keys " + call + " permission on key vault 'acme'."}})
		return
	}
	key, n := a.newest()
	id := azkeys.ID(fmt.Sprintf("https://%s/keys/images/%032d", azureVault, n))
	if call == "get" {
		answerJSON(w, 200, azkeys.KeyBundle{Key: webKey(key, id)})
		return
	}
	var q azkeys.SignParameters
	if err := json.NewDecoder(r.Body).Decode(&q); err != nil || q.Algorithm == nil {
		answerJSON(w, 400, map[string]any{"error": map[string]string{"code": "BadParameter", "message": "no parameters"}})
		return
	}
	sig, err := rawSignature(key, string(*q.Algorithm), q.Value)
	if err != nil {
		answerJSON(w, 400, map[string]any{"error": map[string]string{"code": "BadParameter", "message": err.Error()}})
		return
	}
	a.done()
	answerJSON(w, 200, azkeys.KeyOperationResult{KID: &id, Result: sig})
}

// webKey is a public key as the vault shows it.
func webKey(key crypto.Signer, id azkeys.ID) *azkeys.JSONWebKey {
	out := &azkeys.JSONWebKey{KID: &id}
	kind := azkeys.KeyTypeEC
	switch k := key.(type) {
	case *ecdsa.PrivateKey:
		curve := azkeys.CurveName(k.Curve.Params().Name)
		raw, err := k.PublicKey.Bytes() // 4 ‖ x ‖ y
		if err != nil {
			panic(err)
		}
		half := len(raw) / 2
		out.Crv, out.X, out.Y = &curve, raw[1:1+half], raw[1+half:]
		kind = azkeys.KeyTypeECHSM
	case *rsa.PrivateKey:
		kind, out.N, out.E = azkeys.KeyTypeRSA, k.N.Bytes(), []byte{1, 0, 1}
	}
	out.Kty = &kind
	return out
}

// rawSignature signs as the vault does: RFC 7518, section 3.
func rawSignature(key crypto.Signer, algorithm string, digest []byte) ([]byte, error) {
	switch k := key.(type) {
	case *ecdsa.PrivateKey:
		size := (k.Params().BitSize + 7) / 8
		if want := map[string]string{"ES256": "P-256", "ES384": "P-384", "ES512": "P-521"}[algorithm]; want != k.Params().Name {
			return nil, fmt.Errorf("%s is not for this key", algorithm)
		}
		r, s, err := ecdsa.Sign(rand.Reader, k, digest)
		if err != nil {
			return nil, err
		}
		return append(r.FillBytes(make([]byte, size)), s.FillBytes(make([]byte, size))...), nil
	case *rsa.PrivateKey:
		if algorithm != "RS256" {
			return nil, fmt.Errorf("%s is not for this key", algorithm)
		}
		return rsa.SignPKCS1v15(rand.Reader, k, crypto.SHA256, digest)
	}
	return nil, fmt.Errorf("no key")
}

// amazon is AWS KMS, which speaks JSON. Source: AWS KMS' API reference, DescribeKey, GetPublicKey, Sign;
// Signature Version 4.
type amazon struct {
	*keyService
	spec       string
	algorithms []string // the first one is what clients choose
}

const (
	amazonID     = "AKIAIOSFODNN7EXAMPLE"
	amazonSecret = "wJalrXUtnFEMI-K7MDENG-bPxRfiCYEXAMPLEKEY"
)

// newAmazon puts KMS into the internet, with credentials of somebody who may use it.
func newAmazon(spec string, algorithms ...string) func(*internet, *keyService) string {
	return func(n *internet, k *keyService) string {
		a := &amazon{k, spec, algorithms}
		n.host("kms.eu-west-1.amazonaws.com", a.ServeHTTP)
		n.set("AWS_ACCESS_KEY_ID="+amazonID, "AWS_SECRET_ACCESS_KEY="+amazonSecret, "AWS_REGION=eu-west-1", "AWS_EC2_METADATA_DISABLED=true", "AWS_MAX_ATTEMPTS=1", "AWS_CA_BUNDLE=",
			"AWS_CONFIG_FILE="+os.DevNull, "AWS_SHARED_CREDENTIALS_FILE="+os.DevNull, "SSL_CERT_FILE="+n.path("ca.pem"))
		return "awskms:///alias/images"
	}
}

func (a *amazon) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	refuse := func(code int, kind, text string) {
		answerJSON(w, code, map[string]string{"__type": kind, "message": text})
	}
	if !strings.HasPrefix(r.Header.Get("Authorization"), "AWS4-HMAC-SHA256 Credential="+amazonID+"/"+time.Now().UTC().Format("20060102")+"/eu-west-1/kms/aws4_request,") {
		refuse(400, "UnrecognizedClientException", "The security token included in the request is invalid.")
		return
	}
	var q struct {
		KeyID                         string `json:"KeyId"`
		Message                       []byte
		MessageType, SigningAlgorithm string
	}
	if err := json.NewDecoder(r.Body).Decode(&q); err != nil {
		refuse(400, "SerializationException", "no JSON")
		return
	}
	action := strings.TrimPrefix(r.Header.Get("X-Amz-Target"), "TrentService.")
	call := map[string]string{"Sign": "sign"}[action]
	if call == "" {
		call = "get"
	}
	switch {
	case q.KeyID != "alias/images":
		refuse(400, "NotFoundException", "Alias arn:aws:kms:eu-west-1:111122223333:"+q.KeyID+" is not found.")
		return
	case !a.asked(r.Context(), call):
		refuse(400, "AccessDeniedException", "User: arn:aws:iam::111122223333:user/forge is not authorized to perform: kms:"+action+" on the key images, because no policy allows it: denied")
		return
	}
	key, n := a.newest() // an alias leads to another key after it was rotated
	arn := fmt.Sprintf("arn:aws:kms:eu-west-1:111122223333:key/00000000-0000-0000-0000-%012d", n)
	about := map[string]any{"KeyId": arn, "Arn": arn, "Enabled": true, "KeySpec": a.spec, "CustomerMasterKeySpec": a.spec, "KeyUsage": "SIGN_VERIFY", "SigningAlgorithms": a.algorithms}
	switch action {
	case "DescribeKey":
		answerJSON(w, 200, map[string]any{"KeyMetadata": about})
	case "GetPublicKey":
		about["PublicKey"], _ = x509.MarshalPKIXPublicKey(key.Public())
		answerJSON(w, 200, about)
	case "Sign":
		sig, err := signedAs(key, q.SigningAlgorithm, q.Message)
		if err == nil && q.MessageType != "DIGEST" {
			err = fmt.Errorf("the message is no digest")
		}
		if err != nil || !slices.Contains(a.algorithms, q.SigningAlgorithm) {
			refuse(400, "ValidationException", fmt.Sprintf("%s: %v", q.SigningAlgorithm, err))
			return
		}
		a.done()
		answerJSON(w, 200, map[string]any{"KeyId": arn, "Signature": sig, "SigningAlgorithm": q.SigningAlgorithm})
	default:
		refuse(400, "UnknownOperationException", action)
	}
}

// signedAs signs a digest as AWS names the ways to do so.
func signedAs(key crypto.Signer, algorithm string, digest []byte) ([]byte, error) {
	hash := map[string]crypto.Hash{"256": crypto.SHA256, "384": crypto.SHA384, "512": crypto.SHA512}[algorithm[max(0, len(algorithm)-3):]]
	if hash == 0 || len(digest) != hash.Size() {
		return nil, fmt.Errorf("a digest of %d bytes", len(digest))
	}
	opts := crypto.SignerOpts(hash)
	if strings.Contains(algorithm, "_PSS_") {
		opts = &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: hash}
	}
	return key.Sign(rand.Reader, digest, opts)
}

// cloud is a key service in an internet with a registry, and an image to publish.
type cloud struct {
	*internet
	*keyService
	ref, registry, layout string
	requests              func() int64
}

// places are the services, by their schemes.
var places = map[string]func(*internet, *keyService) string{
	"awskms":   newAmazon("ECC_NIST_P256", "ECDSA_SHA_256"),
	"azurekms": newAzure,
	"gcpkms": func(n *internet, k *keyService) string {
		return newGoogle(n, k, kmspb.CryptoKeyVersion_EC_SIGN_P256_SHA256)
	},
}

func newCloud(t *testing.T, place func(*internet, *keyService) string, key crypto.Signer) *cloud {
	t.Helper()
	n, k := newNetwork(t), &keyService{versions: []crypto.Signer{key}}
	host, asked := hosts(t, signtest.Conforming)
	dir, _ := randomLayout(t)
	return &cloud{n, k, place(n, k), host, dir, asked.Load}
}

func (c *cloud) publish(tag, key string) said {
	return c.run("publish", "--no-scan", "--to", c.registry+"/team/image", "--tag", tag, "--key", key, "oci:"+c.layout)
}

// verify judges the tag by the public half of one version.
func (c *cloud) verify(tag string, version int) said {
	c.write("key.pub", publicPEM(c.versions[version-1]))
	return c.run("verify", "--key", c.path("key.pub"), "--require", "sbom", c.registry+"/team/image:"+tag)
}

// silentAbout wants a message that names the key and tells no secret.
func (c *cloud) silentAbout(s said, what string) {
	c.t.Helper()
	account, _ := os.ReadFile(c.path("account.json")) // of the one service alone
	for _, secret := range []string{azureSecret, azureToken, amazonSecret, "Bearer ey", "BEGIN PRIVATE", string(account[len(account)/2 : len(account)*3/4])} {
		if secret != "" && strings.Contains(s.out+s.err, secret) {
			c.t.Errorf("%s: it tells %q: %s", what, secret, s.err)
		}
	}
	if s.out != "" || !strings.Contains(s.err, "images") {
		c.t.Errorf("%s: %q, %s", what, s.out, s.err)
	}
}

// The key services of Amazon, Google and Microsoft sign: forge's own libraries speak their protocols with
// servers that hold real keys, under the services' names.
func TestKeyServicesSignWhatIsPublished(t *testing.T) {
	for name, row := range map[string]struct {
		place func(*internet, *keyService) string
		key   crypto.Signer
		exit  int
		text  string
	}{
		"Amazon, P-256": {places["awskms"], newEC(elliptic.P256()), 0, ""},
		"Amazon, P-384": {newAmazon("ECC_NIST_P384", "ECDSA_SHA_384"), newEC(elliptic.P384()), 0, ""},
		"Amazon, P-521": {newAmazon("ECC_NIST_P521", "ECDSA_SHA_512"), newEC(elliptic.P521()), 0, ""},
		"Amazon, RSA": {newAmazon("RSA_2048", "RSASSA_PKCS1_V1_5_SHA_256", "RSASSA_PKCS1_V1_5_SHA_384", "RSASSA_PKCS1_V1_5_SHA_512",
			"RSASSA_PSS_SHA_256", "RSASSA_PSS_SHA_384", "RSASSA_PSS_SHA_512"), newRSA(2048), 0, ""}, // in AWS' order
		"Amazon, RSA of 4096 bits":      {newAmazon("RSA_4096", "RSASSA_PKCS1_V1_5_SHA_256", "RSASSA_PSS_SHA_256"), newRSA(4096), 0, ""},
		"Amazon, RSA as nobody expects": {newAmazon("RSA_2048", "RSASSA_PSS_SHA_256"), newRSA(2048), 2, "in a way that nobody verifies"},
		"Google, P-256":                 {places["gcpkms"], newEC(elliptic.P256()), 0, ""},
		"Microsoft, P-256":              {places["azurekms"], newEC(elliptic.P256()), 0, ""},
		"Microsoft, P-384":              {places["azurekms"], newEC(elliptic.P384()), 0, ""},
		"Microsoft, P-521":              {places["azurekms"], newEC(elliptic.P521()), 0, ""},
		"Microsoft, RSA":                {places["azurekms"], newRSA(2048), 2, "an EC key (P-256, P-384, P-521) can sign"},
		"Google, P-384": {func(n *internet, k *keyService) string {
			return newGoogle(n, k, kmspb.CryptoKeyVersion_EC_SIGN_P384_SHA384)
		}, newEC(elliptic.P384()), 0, ""},
		"Google, RSA": {func(n *internet, k *keyService) string {
			return newGoogle(n, k, kmspb.CryptoKeyVersion_RSA_SIGN_PKCS1_2048_SHA256)
		}, newRSA(2048), 0, ""},
		"Google, RSA as nobody expects": {func(n *internet, k *keyService) string {
			return newGoogle(n, k, kmspb.CryptoKeyVersion_RSA_SIGN_PSS_2048_SHA256)
		}, newRSA(2048), 2, "in a way that nobody verifies"},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCloud(t, row.place, row.key)
			s := c.publish("1.0", c.ref)
			if row.exit != 0 {
				if s.code != row.exit || !strings.Contains(s.err, row.text) || c.requests() != 0 {
					t.Errorf("exit %d, %d requests: %s", s.code, c.requests(), s.err)
				}
				return
			}
			if s.code != 0 {
				t.Fatalf("publish: exit %d: %s", s.code, s.err)
			}
			if v := c.verify("1.0", 1); v.code != 0 || v.out != s.out {
				t.Errorf("verify: exit %d, %q, published %q: %s", v.code, v.out, s.out, v.err)
			}
			if v := c.run("verify", "--key", c.ref, c.registry+"/team/image:1.0"); v.code != 0 || v.out != s.out {
				t.Errorf("verify with the service's key: exit %d, %q: %s", v.code, v.out, v.err)
			}
			if again := c.publish("1.0", c.ref); again.code != 0 || !strings.Contains(again.err, "every statement about it was signed before") {
				t.Errorf("again: exit %d: %s", again.code, again.err)
			}
		})
	}
}

// A service that cannot sign is noticed before anything is sent, and says nothing that is secret.
func TestAKeyServiceThatCannotSign(t *testing.T) {
	for scheme, place := range places {
		t.Run(scheme, func(t *testing.T) {
			c := newCloud(t, place, newEC(elliptic.P256()))
			for what, row := range map[string]struct {
				denied, ref string
				env         []string
				text        string
			}{
				"nobody may see the key":  {"get", c.ref, nil, "enied"},
				"nobody may sign with it": {"sign", c.ref, nil, "trying the key"},
				"no such key":             {"", strings.Replace(c.ref, "images", "images-of-nobody", 1), nil, "not found"},
				// Azure's library would ask this machine's metadata service, and where one answers, for minutes.
				"no credentials":                 {"", c.ref, []string{"AZURE_CLIENT_SECRET=", "AZURE_TOKEN_CREDENTIALS=EnvironmentCredential", "AWS_SECRET_ACCESS_KEY=", "GOOGLE_APPLICATION_CREDENTIALS=" + c.path("none.json")}, ""},
				"an authority that nobody knows": {"", c.ref, []string{"SSL_CERT_FILE=" + os.DevNull, "SSL_CERT_DIR=" + t.TempDir()}, "certificate"},
			} {
				if row.denied == "get" && scheme == "azurekms" {
					row.text = "does not have keys get permission"
				}
				c.keyService.mu.Lock()
				c.keyService.denied = row.denied
				c.keyService.mu.Unlock()
				before := c.env
				c.set(row.env...)
				s := c.publish("1.0", row.ref)
				asks := row.denied == "get" || row.ref != c.ref // the others are the same way, and slow
				var v said
				if asks {
					v = c.run("verify", "--key", row.ref, c.registry+"/team/image:1.0")
				}
				c.env = before
				if s.code != 1 || !strings.Contains(s.err, row.text) {
					t.Errorf("%s: exit %d: %s", what, s.code, s.err)
				}
				c.silentAbout(s, what)
				if asks {
					if v.code != 1 || !strings.Contains(v.err, row.text) {
						t.Errorf("%s, verify: exit %d: %s", what, v.code, v.err)
					}
					c.silentAbout(v, what)
				}
				if lines := strings.Count(strings.TrimSpace(s.err), "\n"); lines > 3 {
					t.Errorf("%s: %d lines: %s", what, lines+1, s.err)
				}
			}
			for ref, text := range map[string]string{"evil://x": "known are awskms", "https://evil.example/key.pub": "known are awskms", c.ref: "--offline"} {
				args := []string{"verify", "--key", ref, c.registry + "/team/image:1.0"}
				if ref == c.ref {
					args = []string{"verify", "--offline", "--key", ref, "oci:" + c.layout}
				}
				if s := c.run(args...); s.code != 2 || !strings.Contains(s.err, text) {
					t.Errorf("verify with %s: exit %d: %s", ref, s.code, s.err)
				}
			}
			if n := c.requests(); n != 0 {
				t.Errorf("the registry was asked %d times", n)
			}
		})
	}
}

// A new version of the key: what is signed from then on is for the new one alone; and when it comes
// while statements are being signed, no tag names an image whose statements have two signers.
func TestAKeyThatIsRotated(t *testing.T) {
	for scheme, place := range places {
		t.Run(scheme, func(t *testing.T) {
			c := newCloud(t, place, newEC(elliptic.P256()))
			if s := c.publish("1.0", c.ref); s.code != 0 {
				t.Fatalf("exit %d: %s", s.code, s.err)
			}
			c.versions = append(c.versions, newEC(elliptic.P256()))
			if s := c.publish("2.0", c.ref); s.code != 0 || strings.Contains(s.err, "was signed before") {
				t.Errorf("with a new version: exit %d: %s", s.code, s.err)
			}
			for version := range 2 { // the older signature is still there, and still holds
				if s := c.verify("2.0", version+1); s.code != 0 {
					t.Errorf("version %d: exit %d: %s", version+1, s.code, s.err)
				}
			}
			c.layout, _ = randomLayout(t)
			c.rotate = c.signed + 2 // the first is the trial, the second a statement
			s := c.publish("3.0", c.ref)
			v := c.verify("3.0", 2)
			if scheme == "gcpkms" { // a signature names its version
				if s.code != 0 || v.code != 0 {
					t.Errorf("meanwhile: exit %d, %d: %s%s", s.code, v.code, s.err, v.err)
				}
				return
			}
			if s.code != 4 || s.out != "" || v.code != 1 || !strings.Contains(v.err, "404") {
				t.Errorf("meanwhile: exit %d, %d: %s%s", s.code, v.code, s.err, v.err)
			}
			if s := c.publish("3.0", c.ref); s.code != 0 {
				t.Errorf("again: exit %d: %s", s.code, s.err)
			}
			if v := c.verify("3.0", 3); v.code != 0 {
				t.Errorf("again: exit %d: %s", v.code, v.err)
			}
		})
	}
}

// Ctrl-C ends forge while a service is silent.
func TestAKeyServiceThatIsSilent(t *testing.T) {
	for scheme, place := range places {
		t.Run(scheme, func(t *testing.T) {
			c := newCloud(t, place, newEC(elliptic.P256()))
			c.silent = make(chan struct{})
			var out, errs bytes.Buffer
			cmd := exec.CommandContext(t.Context(), forge(t), "publish", "--no-scan", "--to", c.registry+"/team/image", "--tag", "1.0", "--key", c.ref, "oci:"+c.layout)
			cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = c.dir, c.env, &out, &errs
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			select {
			case <-c.silent:
			case <-time.After(time.Minute):
				t.Fatal("the service was never asked")
			}
			asked := time.Now()
			if err := cmd.Process.Signal(os.Interrupt); err != nil {
				t.Fatal(err)
			}
			_ = cmd.Wait() // the exit code is looked at
			if code, took := cmd.ProcessState.ExitCode(), time.Since(asked); code != exitInterrupted || took > 5*time.Second || out.Len() > 0 {
				t.Errorf("exit %d after %s: %s", code, took, errs.String())
			}
		})
	}
}

// The key that a recipe names is tried before its image is built.
func TestAKeyServiceIsTriedBeforeAnythingIsBuilt(t *testing.T) {
	for scheme, place := range places {
		t.Run(scheme, func(t *testing.T) {
			n, k := newInternet(t), &keyService{versions: []crypto.Signer{newEC(elliptic.P256())}}
			ref := place(n, k)
			host, asked := hosts(t, signtest.Conforming)
			n.recipe(fmt.Sprintf("  repository = %q\n  tags = [\"1.0\"]\n  sign { key = %q }", host+"/team/a", ref))
			n.must("lock", "-q", "recipe.hcl")
			args := []string{"publish", "--no-scan", "--builder", "none", "recipe.hcl"}
			k.denied = "sign"
			if s := n.run(args...); s.code != 1 || !strings.Contains(s.err, "trying the key") || asked.Load() != 0 {
				t.Errorf("exit %d, %d requests: %s", s.code, asked.Load(), s.err)
			}
			if _, err := os.Stat(n.path("dist")); err == nil {
				t.Error("something was built")
			}
			k.denied = ""
			s := n.must(args...)
			n.write("key.pub", publicPEM(k.versions[0]))
			if v := n.must("verify", "--key", "key.pub", "--require", "provenance,sbom", host+"/team/a:1.0"); v.out != s.out {
				t.Errorf("verified %q, published %q", v.out, s.out)
			}
		})
	}
}
