package registry

import (
	"context"
	"encoding/base64"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
)

// login makes Docker's configuration hold a password for a host.
func login(t *testing.T, host string) {
	dir := t.TempDir()
	t.Setenv("DOCKER_CONFIG", dir)
	auth := base64.StdEncoding.EncodeToString([]byte("alice:opensesame"))
	if err := os.WriteFile(filepath.Join(dir, "config.json"), []byte(`{"auths":{"`+host+`":{"auth":"`+auth+`"}}}`), 0o600); err != nil {
		t.Fatal(err)
	}
}

func repository(t *testing.T, server *httptest.Server) name.Repository {
	u, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	r, err := name.NewRepository(u.Host + "/team/image")
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func enter(t *testing.T, repo name.Repository, loopback bool) (Pass, error) {
	rt, err := Transport("")
	if err != nil {
		t.Fatal(err)
	}
	return Enter(context.Background(), rt, repo, "pull", nil, loopback)
}

func TestEnterAnswersWithDockersCredentials(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		rw.Header().Set("WWW-Authenticate", `Basic realm="x"`)
		rw.WriteHeader(401)
	}))
	defer s.Close()
	repo := repository(t, s)
	login(t, repo.RegistryStr())
	p, err := enter(t, repo, true)
	want := "Basic " + base64.StdEncoding.EncodeToString([]byte("alice:opensesame"))
	if err != nil || p.Header != want || p.Scheme != "http" {
		t.Errorf("%+v, %v", p, err)
	}
}

// Docker's credential helpers are asked, and what they say when they fail is no password.
func TestEnterAsksACredentialHelper(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		rw.Header().Set("WWW-Authenticate", `Basic realm="x"`)
		rw.WriteHeader(401)
	}))
	defer s.Close()
	repo := repository(t, s)
	want := "Basic " + base64.StdEncoding.EncodeToString([]byte("alice:opensesame"))
	for name, row := range map[string]struct{ config, helper, want, err string }{
		"for this host":   {`{"credHelpers":{"HOST":"team"}}`, `read host; [ "$1 $host" = "get HOST" ] && echo '{"Username":"alice","Secret":"opensesame"}'`, want, ""},
		"for all":         {`{"credsStore":"team"}`, `echo '{"Username":"alice","Secret":"opensesame"}'`, want, ""},
		"knows none":      {`{"credsStore":"team"}`, `echo 'credentials not found in native keychain'; exit 1`, "", ""},
		"fails":           {`{"credHelpers":{"HOST":"team"}}`, `echo hunter2 >&2; exit 1`, "", "credentials"},
		"answers rubbish": {`{"credHelpers":{"HOST":"team"}}`, `echo hunter2`, "", "credentials"},
		"is not there":    {`{"credHelpers":{"HOST":"nobody"}}`, ``, "", "docker-credential-nobody"},
	} {
		dir, bin := t.TempDir(), t.TempDir()
		fill := func(s string) string { return strings.ReplaceAll(s, "HOST", repo.RegistryStr()) }
		if err := errors.Join(os.WriteFile(filepath.Join(dir, "config.json"), []byte(fill(row.config)), 0o600),
			os.WriteFile(filepath.Join(bin, "docker-credential-team"), []byte("#!/bin/sh\n"+fill(row.helper)+"\n"), 0o755)); err != nil {
			t.Fatal(err)
		}
		t.Setenv("DOCKER_CONFIG", dir)
		t.Setenv("PATH", bin+":/bin:/usr/bin")
		p, err := enter(t, repo, true)
		if row.err == "" && (err != nil || p.Header != row.want) || row.err != "" && (err == nil || !strings.Contains(err.Error(), row.err) || strings.Contains(err.Error(), "hunter2")) {
			t.Errorf("%s: %+v, %v", name, p, err)
		}
	}
}

// A certificate that nobody vouches for is no reason to speak in clear, not even to this machine.
func TestABadCertificateIsNoReasonForHTTP(t *testing.T) {
	var asked atomic.Int64
	s := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked.Add(1) }))
	defer s.Close()
	repo := repository(t, s)
	login(t, repo.RegistryStr())
	p, err := enter(t, repo, true)
	if err == nil || !strings.Contains(err.Error(), "certificate") || asked.Load() != 0 {
		t.Errorf("%+v, %v, asked %d times", p, err, asked.Load())
	}
}

// Names and private addresses that the library would ask over http.
func TestOnlyThisMachineMaySpeakHTTP(t *testing.T) {
	var asked atomic.Int64
	plain := func(r *http.Request) (*http.Response, error) {
		if r.URL.Scheme == "http" {
			asked.Add(1)
		}
		return nil, http.ErrSchemeMismatch
	}
	for _, host := range []string{"10.1.2.3:5000", "192.168.0.9", "registry.local", "registry.example:5000"} {
		repo, err := name.NewRepository(host + "/team/image")
		if err != nil {
			t.Fatal(err)
		}
		if p, err := Enter(context.Background(), roundTrip(plain), repo, "pull", nil, true); err == nil || asked.Load() != 0 {
			t.Errorf("%s: %+v, %v, asked over http %d times", host, p, err, asked.Load())
		}
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// A31: a sign-in on another host is asked nothing.
func TestASignInElsewhereGetsNoPassword(t *testing.T) {
	var seen atomic.Int64
	other := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { seen.Add(1) }))
	defer other.Close()
	for _, realm := range []string{
		strings.Replace(other.URL, "127.0.0.1", "localhost", 1) + "/token",
		"https://evil.example/token",
		"https://registry.example.evil.example/token",
		"https://user:pass@registry.example/token",
		"http://registry.example/token",
		"https://169.254.169.254/token",
	} {
		rt := func(r *http.Request) (*http.Response, error) {
			if r.URL.Host != "registry.example" {
				return http.DefaultTransport.RoundTrip(r)
			}
			if r.URL.Path != "/v2/" || r.URL.Scheme != "https" {
				seen.Add(1)
			}
			w := httptest.NewRecorder()
			w.Header().Set("WWW-Authenticate", `Bearer realm="`+realm+`",service="x"`)
			w.WriteHeader(401)
			resp := w.Result()
			resp.Request = r
			return resp, nil
		}
		login(t, "registry.example")
		repo, err := name.NewRepository("registry.example/team/image")
		if err != nil {
			t.Fatal(err)
		}
		p, err := Enter(context.Background(), roundTrip(rt), repo, "pull", nil, true)
		var denied *DeniedError
		if !errors.As(err, &denied) || seen.Load() != 0 {
			t.Errorf("realm %s: %+v, %v, asked %d times", realm, p, err, seen.Load())
		}
		if err != nil && (strings.Contains(err.Error(), "opensesame") || strings.Contains(err.Error(), "user:pass")) {
			t.Errorf("realm %s: the error tells a password: %v", realm, err)
		}
	}
}
