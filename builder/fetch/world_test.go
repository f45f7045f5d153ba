package fetch

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/forge-build/forge/builder/store"
	"github.com/forge-build/forge/recipes"
	"github.com/forge-build/forge/recipes/lock"
)

// world is an internet of a test's own: hosts with names and certificates, an empty store,
// and a Fetcher that reaches nothing else.
type world struct {
	*testing.T
	f     *Fetcher
	st    *store.Store
	key   *ecdsa.PrivateKey
	ca    *x509.Certificate
	mu    sync.Mutex
	hosts map[string]string // "a.test:443" → where it really listens
	log   []string          // "a.test GET /path"
	env   map[string]string
	seen  []Event
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{T: t, hosts: map[string]string{}, env: map[string]string{}}
	var err error
	if w.st, err = store.Open(filepath.Join(t.TempDir(), "store")); err != nil {
		t.Fatal(err)
	}
	w.key = newKey(t)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test CA"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	w.ca = sign(t, template, template, &w.key.PublicKey, w.key)
	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, pemOf(w.ca.Raw), 0o600); err != nil {
		t.Fatal(err)
	}
	w.f = w.fetcher(Settings{CAFile: file, env: func(k string) string { return w.env[k] }})
	return w
}

// fetcher is another one on the same store and internet, in a hurry.
func (w *world) fetcher(set Settings) *Fetcher {
	f := New(w.st, set, func(e Event) { w.seen = append(w.seen, e) })
	f.backoff, f.stall, f.proxy = time.Millisecond, 5*time.Second, nil
	f.dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
		w.mu.Lock()
		real, ok := w.hosts[addr]
		w.mu.Unlock()
		if !ok {
			return nil, errors.New("no such host in this test: " + addr)
		}
		return (&net.Dialer{}).DialContext(ctx, network, real)
	}
	return f
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func sign(t *testing.T, template, parent *x509.Certificate, pub any, key any) *x509.Certificate {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, template, parent, pub, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

// leaf is a certificate template for a host.
func leaf(name string) *x509.Certificate {
	return &x509.Certificate{
		SerialNumber: big.NewInt(2), DNSNames: []string{name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
}

// host starts https://name.
func (w *world) host(name string, h http.HandlerFunc) string {
	w.Helper()
	key := newKey(w.T)
	cert := sign(w.T, leaf(name), w.ca, &key.PublicKey, w.key)
	return w.serve(name, h, &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{cert.Raw}, PrivateKey: key}}})
}

// plain starts http://name.
func (w *world) plain(name string, h http.HandlerFunc) string { return w.serve(name, h, nil) }

func (w *world) serve(name string, h http.HandlerFunc, conf *tls.Config) string {
	w.Helper()
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w.mu.Lock()
		w.log = append(w.log, name+" "+r.Method+" "+r.URL.RequestURI())
		w.mu.Unlock()
		h(rw, r)
	}))
	srv.Config.ErrorLog = log.New(io.Discard, "", 0)
	w.Cleanup(srv.Close)
	scheme, port := "http", ":80"
	if conf != nil {
		scheme, port = "https", ":443"
		srv.TLS = conf
		srv.StartTLS()
	} else {
		srv.Start()
	}
	w.hosts[name+port] = srv.Listener.Addr().String()
	return scheme + "://" + name
}

// requests is what the servers were asked, oldest first.
func (w *world) requests() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]string(nil), w.log...)
}

func (w *world) wantRequests(want ...string) {
	w.Helper()
	if got := w.requests(); strings.Join(got, "\n") != strings.Join(want, "\n") {
		w.Errorf("requests:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// nothingKept fails when the store holds a blob, an unfinished file or a lock.
func (w *world) nothingKept() {
	w.Helper()
	for _, dir := range []string{"blobs/sha256", "partial", "locks", "records"} {
		entries, err := os.ReadDir(filepath.Join(w.st.Dir(), dir))
		if err != nil {
			w.Fatal(err)
		}
		for _, e := range entries {
			w.Errorf("left in the store: %s/%s", dir, e.Name())
		}
	}
}

// file is a wheel of these tests: its content does not matter.
type file struct {
	name, content string
}

var torch = file{"torch-2.9.1-py3-none-any.whl", strings.Repeat("torch 2.9.1 ", 300_000)}

func (f file) sum() string { return sumOf([]byte(f.content)) }

func (f file) locked() lock.Wheel {
	return lock.Wheel{Name: "torch", Version: "2.9.1", File: f.name, Index: "internal", Size: int64(len(f.content)), SHA256: f.sum()}
}

// row is the file on a JSON page.
func (f file) row() string {
	return fmt.Sprintf(`{"filename": %q, "url": "/files/%s", "hashes": {"sha256": %q}, "size": %d}`, f.name, f.name, f.sum(), len(f.content))
}

func jsonPage(rows ...string) string {
	return `{"meta": {"api-version": "1.1"}, "name": "torch", "files": [` + strings.Join(rows, ",") + `]}`
}

// index answers with a page of torch, and with h everything else.
func index(page string, h http.HandlerFunc) http.HandlerFunc {
	return func(rw http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/simple/torch/" {
			rw.Header().Set("Content-Type", "application/vnd.pypi.simple.v1+json")
			_, _ = io.WriteString(rw, page) // the client may have had enough
			return
		}
		h(rw, r)
	}
}

func serve(content string) http.HandlerFunc {
	return func(rw http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(rw, content) // the client may have had enough
	}
}

// recipe binds torch to the host's index.
func recipe(root string) *recipes.Image {
	return &recipes.Image{Python: recipes.Python{Indexes: []recipes.Index{{Name: "internal", URL: root + "/simple"}}}}
}

func (w *world) wheel(f file, im *recipes.Image) error {
	w.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second) // a hang is a failure
	defer cancel()
	path, err := w.f.Wheel(ctx, f.locked(), im, w.TempDir())
	if err != nil {
		return err
	}
	if b, err := os.ReadFile(path); err != nil || string(b) != f.content {
		w.Errorf("%s holds other bytes (%v)", path, err)
	}
	return nil
}

// wantID fails unless err is an *Error with this id and its text holds all of texts.
func wantID(t *testing.T, err error, id string, texts ...string) {
	t.Helper()
	var e *Error
	if !errors.As(err, &e) || e.ID != id {
		t.Errorf("error is %v, want %s", err, id)
		return
	}
	for _, text := range texts {
		if !strings.Contains(err.Error(), text) {
			t.Errorf("error %q lacks %q", err, text)
		}
	}
}

func mustParse(t *testing.T, s string) *url.URL {
	t.Helper()
	u, err := url.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func pemOf(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}
