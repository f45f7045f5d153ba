package signtest

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"io"
	mathrand "math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/sigstore/rekor-tiles/v2/pkg/note"
	"github.com/sigstore/sigstore-go/pkg/root"
)

// Sigstore is a private Sigstore on loopback: Fulcio, Rekor v2 and the time-stamp authority
// are the real programs; the issuer of tokens and the certificate log are small servers,
// whose answers Fulcio and the verifier check.
type Sigstore struct {
	Email, Workflow          string // issuers: of e-mail addresses, of a forge's workflows
	Fulcio, Rekor, Timestamp string // addresses
	RekorV1                  string // a log of the first version, which is not the real program
	Root                     string // file of the trust root
	People                          // who sign in at the issuer of e-mail addresses

	issuer *ecdsa.PrivateKey
	parts  map[string]*exec.Cmd
	dir    string
}

// Parts are the programs of a Sigstore, for Stop.
const (
	Fulcio    = "fulcio"
	Rekor     = "rekor"
	Timestamp = "timestamp"
)

// Options change a Sigstore.
type Options struct {
	NoCertificateLog bool   // certificates without SCT
	ForgedSCT        bool   // the certificate log signs with another key than its own
	Fulcio           string // address instead of an own certificate authority: somebody in between
}

// Tool is a program that `make stack` has built: fulcio, posix, timestamp, cosign.
// Without it the test is skipped, or fails where FORGE_TEST_ALL is set.
func Tool(t testing.TB, name string) string {
	t.Helper()
	dir := os.Getenv("FORGE_STACK")
	if dir == "" {
		dir = filepath.Join(top(t), ".cache", "stack")
	}
	path := filepath.Join(dir, name)
	if _, err := os.Stat(path); err != nil {
		if os.Getenv("FORGE_TEST_ALL") != "" {
			t.Fatalf("%s is missing; make stack builds it", path)
		}
		t.Skipf("%s is missing; make stack builds it", path)
	}
	return path
}

// top is the folder of forge's go.mod: a test runs in its package's folder.
func top(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for dir != filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		dir = filepath.Dir(dir)
	}
	t.Fatal("there is no go.mod above the test's folder")
	return ""
}

// Start starts a Sigstore until the test ends.
func Start(t testing.TB, o Options) *Sigstore {
	t.Helper()
	fulcio, posix, tsa := Tool(t, "fulcio"), Tool(t, "posix"), Tool(t, "timestamp")
	s := &Sigstore{parts: map[string]*exec.Cmd{}, dir: t.TempDir(), issuer: ecKey(t)}
	s.openID(t)
	logKey := ecKey(t)
	ctlog := ""
	if !o.NoCertificateLog {
		signer := logKey
		if o.ForgedSCT {
			signer = ecKey(t)
		}
		ctlog = certificateLog(t, signer, logKey.Public())
	}
	config, _ := json.Marshal(map[string]any{"OIDCIssuers": map[string]any{
		s.Email:    map[string]string{"IssuerURL": s.Email, "ClientID": "sigstore", "Type": "email"},
		s.Workflow: map[string]string{"IssuerURL": s.Workflow, "ClientID": "sigstore", "Type": "github-workflow"},
	}})
	write(t, filepath.Join(s.dir, "fulcio.json"), config)
	rekorKey := ecKey(t)
	der, err := x509.MarshalPKCS8PrivateKey(rekorKey)
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(s.dir, "rekor.pem"), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))

	p := Ports(t, 7)
	s.Fulcio, s.Timestamp, s.Rekor = at(p[0]), at(p[3])+"/api/v1/timestamp", at(p[4])
	s.run(t, Fulcio, fulcio, "serve", "--ca=ephemeralca", "--config-path="+filepath.Join(s.dir, "fulcio.json"), "--ct-log-url="+ctlog,
		"--host=127.0.0.1", "--port="+p[0], "--grpc-host=127.0.0.1", "--grpc-port="+p[1], "--metrics-port="+p[2],
		"--legacy-unix-domain-socket="+filepath.Join(s.dir, "f.sock"))
	s.run(t, Timestamp, tsa, "--port="+p[3])
	s.run(t, Rekor, posix, "serve", "--http-address=127.0.0.1", "--http-port="+p[4], "--grpc-address=127.0.0.1", "--grpc-port="+p[5],
		"--http-metrics-port="+p[6], "--hostname=rekor.local", "--storage-dir="+filepath.Join(s.dir, "rekor"),
		"--signer-filepath="+filepath.Join(s.dir, "rekor.pem"), "--checkpoint-interval=1s", "--batch-max-age=100ms")
	oldKey := ecKey(t)
	s.RekorV1 = oldLog(t, oldKey)
	wait(t, s.Rekor+"/healthz")
	wait(t, s.Fulcio+"/healthz")
	s.trustRoot(t, certificates(t, wait(t, s.Fulcio+"/api/v1/rootCert")), certificates(t, wait(t, s.Timestamp+"/certchain")), logKey.Public(), rekorKey.Public(), oldKey.Public())
	return s
}

// trustRoot writes the trust root's file.
func (s *Sigstore) trustRoot(t testing.TB, ca, tsa []*x509.Certificate, ctlog, rekor, old crypto.PublicKey) {
	t.Helper()
	start := time.Now().Add(-time.Hour)
	ctDER, err := x509.MarshalPKIXPublicKey(ctlog)
	if err != nil {
		t.Fatal(err)
	}
	ctID := sha256.Sum256(ctDER)
	_, rekorID, err := note.KeyHash("rekor.local", rekor)
	if err != nil {
		t.Fatal(err)
	}
	oldDER, err := x509.MarshalPKIXPublicKey(old)
	if err != nil {
		t.Fatal(err)
	}
	oldID := sha256.Sum256(oldDER)
	tr, err := root.NewTrustedRoot(root.TrustedRootMediaType01,
		[]root.CertificateAuthority{&root.FulcioCertificateAuthority{Root: ca[len(ca)-1], Intermediates: ca[:len(ca)-1], ValidityPeriodStart: start, URI: s.Fulcio}},
		map[string]*root.TransparencyLog{hex.EncodeToString(ctID[:]): {BaseURL: "https://ctlog.local", ID: ctID[:], ValidityPeriodStart: start, HashFunc: crypto.SHA256, PublicKey: ctlog, SignatureHashFunc: crypto.SHA256}},
		[]root.TimestampingAuthority{&root.SigstoreTimestampingAuthority{Leaf: tsa[0], Intermediates: tsa[1 : len(tsa)-1], Root: tsa[len(tsa)-1], ValidityPeriodStart: start, URI: s.Timestamp}},
		map[string]*root.TransparencyLog{
			hex.EncodeToString(rekorID):  {BaseURL: "https://rekor.local", ID: rekorID, ValidityPeriodStart: start, HashFunc: crypto.SHA256, PublicKey: rekor, SignatureHashFunc: crypto.SHA256},
			hex.EncodeToString(oldID[:]): {BaseURL: "https://old.local", ID: oldID[:], ValidityPeriodStart: start, HashFunc: crypto.SHA256, PublicKey: old, SignatureHashFunc: crypto.SHA256},
		})
	if err != nil {
		t.Fatal(err)
	}
	raw, err := tr.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	s.Root = filepath.Join(s.dir, "trusted_root.json")
	write(t, s.Root, raw)
}

// Stop ends a part: its address then refuses connections.
func (s *Sigstore) Stop(t testing.TB, part string) {
	t.Helper()
	c := s.parts[part]
	if err := c.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = c.Wait() // it was killed, and says so
}

func (s *Sigstore) run(t testing.TB, part, program string, args ...string) {
	t.Helper()
	c := exec.Command(program, args...)
	c.Dir = s.dir
	logs, err := os.Create(filepath.Join(s.dir, part+".log"))
	if err != nil {
		t.Fatal(err)
	}
	c.Stdout, c.Stderr = logs, logs
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	s.parts[part] = c
	t.Cleanup(func() {
		_ = c.Process.Kill() // perhaps the test has
		_ = c.Wait()
		logs.Close()
		if t.Failed() {
			raw, _ := os.ReadFile(logs.Name())
			t.Logf("%s: %s", part, raw[max(0, len(raw)-2000):])
		}
	})
}

func ecKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func write(t testing.TB, path string, raw []byte) {
	t.Helper()
	if err := os.WriteFile(path, raw, 0o600); err != nil {
		t.Fatal(err)
	}
}

func at(port string) string { return "http://127.0.0.1:" + port }

// Ports are n free TCP ports of 127.0.0.1, in decimal: each was open a moment ago. They are below
// those that a system gives away by itself: another test's server or connection, which asks for
// any, takes none of them meanwhile.
func Ports(t testing.TB, n int) []string {
	t.Helper()
	var all []string
	for tries := 0; len(all) < n; tries++ {
		port := strconv.Itoa(10_000 + mathrand.IntN(20_000))
		l, err := net.Listen("tcp", "127.0.0.1:"+port)
		if err != nil && tries > 100 {
			t.Fatal(err)
		}
		if err != nil {
			continue // somebody has it
		}
		defer l.Close()
		all = append(all, port)
	}
	return all
}

// wait asks an address until it answers 200, for at most 30 seconds.
func wait(t testing.TB, url string) []byte {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), 30*time.Second)
	defer stop()
	for ctx.Err() == nil {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			t.Fatal(err)
		}
		if resp, err := http.DefaultClient.Do(req); err == nil {
			raw, err := io.ReadAll(resp.Body)
			resp.Body.Close()
			if err == nil && resp.StatusCode == http.StatusOK {
				return raw
			}
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatalf("%s does not answer", url)
	return nil
}

func certificates(t testing.TB, raw []byte) []*x509.Certificate {
	t.Helper()
	var all []*x509.Certificate
	for block, rest := pem.Decode(raw); block != nil; block, rest = pem.Decode(rest) {
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, c)
	}
	if len(all) == 0 {
		t.Fatal("no certificate came")
	}
	return all
}

// openID starts the issuer of identity tokens.
func (s *Sigstore) openID(t testing.TB) {
	t.Helper()
	mux := http.NewServeMux()
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	s.Email, s.Workflow = server.URL+"/email", server.URL+"/workflow"
	s.signIn(t, mux, s.Email, "/email")
	for _, issuer := range []string{s.Email, s.Workflow} {
		path := issuer[len(server.URL):]
		mux.HandleFunc(path+"/.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
			_ = json.NewEncoder(w).Encode(map[string]any{
				"issuer": issuer, "jwks_uri": issuer + "/keys", "authorization_endpoint": issuer + "/auth", "token_endpoint": issuer + "/token", "device_authorization_endpoint": issuer + "/device/code",
				"response_types_supported": []string{"code"}, "subject_types_supported": []string{"public"}, "id_token_signing_alg_values_supported": []string{"ES256"},
			})
		})
		mux.HandleFunc(path+"/keys", func(w http.ResponseWriter, _ *http.Request) {
			x, y := coordinates(s.issuer)
			_ = json.NewEncoder(w).Encode(map[string]any{"keys": []any{map[string]string{
				"kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": "1", "x": x, "y": y,
			}}})
		})
	}
}
