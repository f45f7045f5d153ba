package fetch

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/tls"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestRedirects(t *testing.T) { // IDX-02
	to := func(address string) http.HandlerFunc {
		return func(rw http.ResponseWriter, r *http.Request) {
			rw.Header().Set("Location", address)
			rw.WriteHeader(http.StatusFound)
		}
	}
	hops := func(n int) http.HandlerFunc {
		return func(rw http.ResponseWriter, r *http.Request) {
			left := n
			_, _ = fmt.Sscanf(r.URL.Query().Get("left"), "%d", &left) // the first request has none
			if left == 0 {
				serve(torch.content)(rw, r)
				return
			}
			to(fmt.Sprintf("/files/x?left=%d", left-1))(rw, r)
		}
	}
	for name, c := range map[string]struct {
		serve http.HandlerFunc
		want  string // in the error's text; empty: success
	}{
		"another host":        {to("https://b.test/x?X-Signature=secret"), ""},
		"five times":          {hops(5), ""},
		"six times":           {hops(6), "more than 5 redirects"},
		"in a loop":           {to("/files/" + torch.name), "more than 5 redirects"},
		"to http":             {to("http://c.test/x"), "leads to http://c.test/x: from https to http"},
		"to http, same host":  {to("http://a.test/x"), "from https to http"},
		"to a file":           {to("file:///etc/passwd"), `scheme "file"`},
		"to ftp":              {to("ftp://a.test/x"), `scheme "ftp"`},
		"to javascript":       {to("javascript:alert(1)"), `scheme "javascript"`},
		"to the cloud":        {to("http://169.254.169.254/latest/meta-data/"), "from https to http"},
		"to the cloud by TLS": {to("https://169.254.169.254/latest/meta-data/"), "link-local"},
		"to IPv6 link-local":  {to("https://[fe80::1]/"), "link-local"},
		"into this machine":   {to("https://localhost/x"), "into this machine"},
		"to 0.0.0.0":          {to("https://0.0.0.0/x"), "into this machine"},
		"with a password":     {to("https://me:secret@b.test/x"), "user name or password"},
		"to nowhere":          {to("https:///x"), "no host"},
		"to no address":       {to("https://me:secret@%zz/"), "something that is no address"},
		"with an escape":      {to("https://b.test/\x1b[2J"), "malformed MIME header"},
		"without a location":  {func(rw http.ResponseWriter, r *http.Request) { rw.WriteHeader(302) }, "the server answers 302"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			root := w.host("a.test", index(jsonPage(torch.row()), c.serve))
			w.host("b.test", serve(torch.content))
			w.plain("c.test", serve(torch.content))
			w.plain("a.test", serve(torch.content))
			err := w.wheel(torch, recipe(root))
			if c.want == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error is %v, want …%s…", err, c.want)
			}
			if strings.Contains(fmt.Sprint(err), "secret") || strings.Contains(fmt.Sprint(err), "\x1b") {
				t.Errorf("error %q says too much", err)
			}
			for _, r := range w.requests() {
				if strings.HasPrefix(r, "c.test") {
					t.Errorf("asked: %s", r)
				}
			}
			w.nothingKept()
		})
	}
}

func TestNamesThatLeadToTheCloud(t *testing.T) { // IDX-02, by DNS
	for address, ok := range map[string]bool{"169.254.169.254:80": false, "[fe80::1%eth0]:443": false, "[::ffff:169.254.169.254]:443": false, "192.0.2.1:443": true, "127.0.0.1:443": true} {
		if err := refuseLinkLocal("tcp", address, nil); (err == nil) != ok {
			t.Errorf("%s: %v", address, err)
		}
	}
}

func TestHTTPOnlyInsideThisMachine(t *testing.T) { // IDX-02
	w := newWorld(t)
	root := w.plain("a.test", index(jsonPage(torch.row()), serve(torch.content)))
	if err := w.wheel(torch, recipe(root)); err == nil || !strings.Contains(err.Error(), "only https is used") {
		t.Errorf("http to another machine: %v", err)
	}
	w.wantRequests()
	for _, name := range []string{"localhost", "127.0.0.1"} {
		w := newWorld(t)
		if err := w.wheel(torch, recipe(w.plain(name, index(jsonPage(torch.row()), serve(torch.content))))); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestPasswordsStayAtHome: credentials go to their own scheme, host and port only, and no
// error or event holds them.
func TestPasswordsStayAtHome(t *testing.T) { // IDX-02
	netrc := filepath.Join(t.TempDir(), "netrc")
	if err := os.WriteFile(netrc, []byte("machine a.test login me password geheim\ndefault login me password geheim\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, indexURL := range map[string]string{
		"of a setting": "https://me:geheim@a.test/simple",
		"of netrc":     "https://a.test/simple",
	} {
		for _, file := range []string{"/files/x", "https://b.test/files/x", "/redirect"} {
			t.Run(name+", "+file, func(t *testing.T) {
				w := newWorld(t)
				auth := map[string]string{}
				note := func(h http.HandlerFunc) http.HandlerFunc {
					return func(rw http.ResponseWriter, r *http.Request) {
						user, password, _ := r.BasicAuth()
						w.mu.Lock()
						auth[r.Host+r.URL.Path] = user + ":" + password
						w.mu.Unlock()
						h(rw, r)
					}
				}
				row := strings.Replace(torch.row(), "/files/"+torch.name, file, 1)
				w.host("a.test", note(index(jsonPage(row), func(rw http.ResponseWriter, r *http.Request) {
					if r.URL.Path == "/redirect" {
						http.Redirect(rw, r, "https://b.test/files/x", http.StatusFound)
						return
					}
					serve(torch.content)(rw, r)
				})))
				w.host("b.test", note(serve(torch.content)))
				w.env["FORGE_INDEX_INTERNAL_URL"] = indexURL
				if name == "of netrc" {
					w.f.set.readNetrc(netrc)
				}
				if err := w.wheel(torch, nil); err != nil {
					t.Fatal(err)
				}
				for path, got := range auth {
					want := "me:geheim"
					if strings.HasPrefix(path, "b.test") {
						want = ":"
					}
					if got != want {
						t.Errorf("%s was asked with %q, want %q", path, got, want)
					}
				}
			})
		}
	}
	t.Run("never in clear", func(t *testing.T) {
		w := newWorld(t)
		w.f.set.readNetrc(netrc)
		root := w.plain("a.test", func(rw http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Authorization") != "" {
				t.Error("a password went over http")
			}
		})
		if _, err := w.f.Get(context.Background(), root+"/InRelease", 10); err != nil {
			t.Error(err)
		}
	})
	t.Run("never in an error", func(t *testing.T) {
		for _, h := range []http.HandlerFunc{
			func(rw http.ResponseWriter, r *http.Request) { rw.WriteHeader(401) },
			func(rw http.ResponseWriter, r *http.Request) { rw.WriteHeader(500) },
			func(rw http.ResponseWriter, r *http.Request) { panic(http.ErrAbortHandler) },
			http.NotFound,
			func(rw http.ResponseWriter, r *http.Request) {
				http.Redirect(rw, r, "https://me:geheim@a.test/?geheim", 302)
			},
			func(rw http.ResponseWriter, r *http.Request) {
				http.Redirect(rw, r, "https://c.test/?geheim#geheim", 302)
			},
			index(jsonPage(strings.Replace(torch.row(), "/files/"+torch.name, "https://c.test/x?token=geheim", 1)), nil),
			nil,
		} {
			w := newWorld(t)
			if h != nil {
				w.host("a.test", h)
			}
			w.env["FORGE_INDEX_INTERNAL_URL"] = "https://me:geheim@a.test/simple?geheim"
			err := w.wheel(torch, nil)
			if err == nil || strings.Contains(err.Error(), "geheim") || strings.Contains(err.Error(), "me:") {
				t.Errorf("error is %v", err)
			}
			for _, e := range w.seen {
				if strings.Contains(e.Name, "geheim") {
					t.Errorf("event %+v", e)
				}
			}
		}
	})
	t.Run("never from a recipe", func(t *testing.T) {
		w := newWorld(t)
		_, err := w.f.IndexURL(context.Background(), "internal", recipe("https://me:geheim@a.test"))
		if err == nil || strings.Contains(err.Error(), "geheim") || !strings.Contains(err.Error(), "~/.netrc") {
			t.Errorf("error is %v", err)
		}
	})
}

func TestTLSIsVerified(t *testing.T) { // IDX-07
	one := func(cert *x509.Certificate, key any) *tls.Config {
		return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{cert.Raw}, PrivateKey: key}}}
	}
	for name, c := range map[string]struct {
		conf func(w *world) *tls.Config
		want string
	}{
		"expired": {func(w *world) *tls.Config {
			key, l := newKey(t), leaf("a.test")
			l.NotAfter = time.Now().Add(-time.Minute)
			return one(sign(t, l, w.ca, &key.PublicKey, w.key), key)
		}, "expired"},
		"not yet": {func(w *world) *tls.Config {
			key, l := newKey(t), leaf("a.test")
			l.NotBefore = time.Now().Add(30 * time.Minute)
			return one(sign(t, l, w.ca, &key.PublicKey, w.key), key)
		}, "not yet valid"},
		"self-signed": {func(*world) *tls.Config {
			key, l := newKey(t), leaf("a.test")
			return one(sign(t, l, l, &key.PublicKey, key), key)
		}, "unknown authority"},
		"another host's": {func(w *world) *tls.Config {
			key := newKey(t)
			return one(sign(t, leaf("b.test"), w.ca, &key.PublicKey, w.key), key)
		}, "not a.test"},
		"TLS 1.0": {func(w *world) *tls.Config {
			key := newKey(t)
			conf := one(sign(t, leaf("a.test"), w.ca, &key.PublicKey, w.key), key)
			conf.MinVersion, conf.MaxVersion = tls.VersionTLS10, tls.VersionTLS10
			return conf
		}, "protocol version"},
		"TLS 1.1": {func(w *world) *tls.Config {
			key := newKey(t)
			conf := one(sign(t, leaf("a.test"), w.ca, &key.PublicKey, w.key), key)
			conf.MinVersion, conf.MaxVersion = tls.VersionTLS10, tls.VersionTLS11
			return conf
		}, "protocol version"},
		"signed with SHA-1": {func(w *world) *tls.Config {
			caKey, err := rsa.GenerateKey(rand.Reader, 2048)
			if err != nil {
				t.Fatal(err)
			}
			template := *w.ca
			template.PublicKey, template.PublicKeyAlgorithm, template.SignatureAlgorithm = nil, 0, 0
			ca := sign(t, &template, &template, &caKey.PublicKey, caKey)
			pool, err := os.OpenFile(w.f.set.CAFile, os.O_WRONLY|os.O_TRUNC, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer pool.Close()
			if _, err := pool.Write(pemOf(ca.Raw)); err != nil {
				t.Fatal(err)
			}
			key := newKey(t)
			good := sign(t, leaf("a.test"), ca, &key.PublicKey, caKey)
			roots := x509.NewCertPool()
			roots.AddCert(ca)
			if _, err := good.Verify(x509.VerifyOptions{Roots: roots, DNSName: "a.test"}); err != nil {
				t.Fatalf("something else is wrong with the certificate: %v", err)
			}
			return one(&x509.Certificate{Raw: withSHA1(t, good, caKey)}, key)
		}, "SHA1"},
		"a weak curve": {func(w *world) *tls.Config {
			key, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
			if err != nil {
				t.Fatal(err)
			}
			return one(sign(t, leaf("a.test"), w.ca, &key.PublicKey, w.key), key)
		}, "tls: "},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			root := w.serve("a.test", index(jsonPage(torch.row()), serve(torch.content)), c.conf(w))
			err := w.wheel(torch, recipe(root))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error is %v, want …%s…", err, c.want)
			}
			w.wantRequests()
		})
	}
	t.Run("without the private CA", func(t *testing.T) {
		w := newWorld(t)
		root := w.host("a.test", index(jsonPage(torch.row()), serve(torch.content)))
		w.f = w.fetcher(Settings{})
		if err := w.wheel(torch, recipe(root)); err == nil || !strings.Contains(err.Error(), "unknown authority") {
			t.Errorf("error is %v", err)
		}
	})
	t.Run("a CA file that is none", func(t *testing.T) {
		w := newWorld(t)
		file := filepath.Join(t.TempDir(), "ca.pem")
		if err := os.WriteFile(file, []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
		w.f = w.fetcher(Settings{CAFile: file})
		var s *SettingsError
		if err := w.wheel(torch, recipe("https://a.test")); !errors.As(err, &s) || s.Where != file {
			t.Errorf("error is %v", err)
		}
	})
}

// withSHA1 signs a certificate again the old way, which Go's own library refuses to do: the
// names of sha256WithRSA and sha1WithRSA differ in their last byte.
func withSHA1(t *testing.T, cert *x509.Certificate, key *rsa.PrivateKey) []byte {
	t.Helper()
	type algorithm struct {
		Algorithm  asn1.ObjectIdentifier
		Parameters asn1.RawValue `asn1:"optional"`
	}
	var parts struct {
		TBS       asn1.RawValue
		Algorithm algorithm
		Signature asn1.BitString
	}
	if _, err := asn1.Unmarshal(cert.Raw, &parts); err != nil {
		t.Fatal(err)
	}
	old, now := "\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0b", "\x2a\x86\x48\x86\xf7\x0d\x01\x01\x05"
	if strings.Count(string(parts.TBS.FullBytes), old) != 1 {
		t.Fatal("the certificate is not of the expected form")
	}
	tbs := []byte(strings.Replace(string(parts.TBS.FullBytes), old, now, 1))
	sum := sha1.Sum(tbs)
	signature, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA1, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	parts.TBS = asn1.RawValue{FullBytes: tbs}
	parts.Algorithm.Algorithm = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 5}
	parts.Signature = asn1.BitString{Bytes: signature, BitLength: 8 * len(signature)}
	der, err := asn1.Marshal(parts)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func TestNoSwitchTurnsVerificationOff(t *testing.T) { // IDX-07
	files, err := filepath.Glob("*.go")
	if err != nil || len(files) < 10 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(b), "Insecure"+"SkipVerify") || strings.Contains(string(b), "Verify"+"PeerCertificate") {
			t.Errorf("%s weakens TLS", f)
		}
	}
}
