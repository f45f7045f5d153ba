package ambient

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const token = "aaa.bbb.ccc"

func host(vars map[string]string, root string) Host {
	return Host{Getenv: func(n string) string { return vars[n] }, Root: root}
}

func TestFindKnowsThePipelines(t *testing.T) {
	asked := http.Header{}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = r.Header
		if r.URL.Query().Get("audience") != "sigstore" {
			w.WriteHeader(400)
			return
		}
		if r.Header.Get("Metadata-Flavor") == "Google" {
			_, _ = w.Write([]byte(token))
			return
		}
		_, _ = w.Write([]byte(`{"value":"` + token + `"}`))
	}))
	defer s.Close()
	bin := t.TempDir()
	if err := os.WriteFile(filepath.Join(bin, "buildkite-agent"), []byte("#!/bin/sh\n[ \"$*\" = 'oidc request-token --audience sigstore' ] && echo "+token+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", bin+":/bin:/usr/bin")
	root := t.TempDir()
	if err := os.MkdirAll(root+"/var/run/sigstore/cosign", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(root+"/var/run/sigstore/cosign/oidc-token", []byte(token+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, h := range map[string]Host{
		"SIGSTORE_ID_TOKEN": host(map[string]string{"SIGSTORE_ID_TOKEN": token}, ""),
		"GitHub Actions":    host(map[string]string{"ACTIONS_ID_TOKEN_REQUEST_URL": s.URL + "/t?x=1", "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "secret"}, ""),
		"Buildkite":         host(map[string]string{"BUILDKITE_AGENT_ACCESS_TOKEN": "x"}, ""),
		"Google Cloud":      host(map[string]string{"GCE_METADATA_HOST": strings.TrimPrefix(s.URL, "http://")}, ""),
		"file " + root + "/var/run/sigstore/cosign/oidc-token": host(nil, root),
	} {
		src, err := Find(h)
		if err != nil || src.Name != name {
			t.Errorf("%s: found %q, %v", name, src.Name, err)
			continue
		}
		if got, err := src.Token(context.Background()); got != token || err != nil {
			t.Errorf("%s: %q, %v", name, got, err)
		}
		if name == "GitHub Actions" && asked.Get("Authorization") != "Bearer secret" {
			t.Errorf("asked with %v", asked)
		}
	}
}

func TestFindSaysThatThereIsNone(t *testing.T) {
	if src, err := Find(host(nil, t.TempDir())); !errors.Is(err, ErrNone) {
		t.Errorf("%v, %v", src, err)
	}
}

// A40: what is wrong with a token is said without it.
func TestErrorsHoldNoToken(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(403) }))
	defer s.Close()
	path := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(path, []byte("hunter2 is no token"), 0o600); err != nil {
		t.Fatal(err)
	}
	github := func(u string) Host {
		return host(map[string]string{"ACTIONS_ID_TOKEN_REQUEST_URL": u, "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "hunter2"}, "")
	}
	sources := []Source{FromFile(path)}
	for _, h := range []Host{host(map[string]string{"SIGSTORE_ID_TOKEN": "hunter2"}, ""), github(s.URL + "/?t=hunter2"), github("http://evil.example/hunter2"), github("https://127.0.0.1:1/hunter2")} {
		src, err := Find(h)
		if err != nil {
			t.Fatal(err)
		}
		sources = append(sources, src)
	}
	for _, src := range sources {
		if got, err := src.Token(context.Background()); err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %q, %v", src.Name, got, err)
		}
	}
}
