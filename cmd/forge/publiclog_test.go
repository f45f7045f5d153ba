package main

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/forge-build/forge/signing/signtest"
)

// A46: nothing about an image leaves for a public service unless somebody asks for an identity
// without naming services of his own; and then it is said first.
func TestNothingIsToldToPublicServicesUnasked(t *testing.T) {
	host, _ := hosts(t, signtest.Conforming)
	for _, dir := range []string{"HOME", "XDG_CONFIG_HOME"} {
		t.Setenv(dir, t.TempDir())
	}
	dir, digest := randomLayout(t)
	private, public := signtest.Key(t)
	var mu sync.Mutex
	var told []string
	proxy := "http://" + signtest.Serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { // whatever is not this machine goes by it
		mu.Lock()
		told = append(told, r.Method+" "+r.Host)
		mu.Unlock()
		w.WriteHeader(http.StatusForbidden)
	}))
	for _, name := range []string{"HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"} {
		t.Setenv(name, proxy)
	}
	t.Setenv("NO_PROXY", "")
	repo := host + "/team/image"
	if out, errs, code := forgeRun(t, "publish", "--no-scan", "--to", repo, "--tag", "1.0", "--key", private, "--legacy-signature", "oci:"+dir); code != 0 || out != repo+"@"+digest+"\n" {
		t.Fatalf("publish: exit %d, %q: %s", code, out, errs)
	}
	for _, args := range [][]string{{"verify", "--key", public, "--require", "spdx", repo + ":1.0"}, {"copy", repo + ":1.0", host + "/mirror/image:1.0"},
		{"pull", "--key", public, "--to", "oci:" + filepath.Join(t.TempDir(), "x"), repo + ":1.0"}, {"attestation", "--key", public, "--type", "spdx", repo + ":1.0"}} {
		if out, errs, code := forgeRun(t, args...); code != 0 {
			t.Errorf("%v: exit %d, %q: %s", args, code, out, errs)
		}
	}
	if len(told) > 0 {
		t.Errorf("somebody else was told something: %v", told)
	}
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte(unsignedToken("https://i.example", "a@example.org")), 0o600); err != nil {
		t.Fatal(err)
	}
	root, err := filepath.Abs("../../signing/admission/testdata/root.json")
	if err != nil {
		t.Fatal(err)
	}
	out, errs, code := forgeRun(t, "publish", "--no-scan", "--to", repo, "--tag", "2.0", "--identity", "a@example.org", "--issuer", "https://i.example",
		"--identity-token", token, "--trusted-root", root, "oci:"+dir)
	if code == 0 || out != "" || !strings.Contains(errs, "its log shows this identity and the digests of what it signs to everybody") {
		t.Errorf("with an identity: exit %d, %q: %s", code, out, errs)
	}
	for _, to := range told {
		if to != "CONNECT fulcio.sigstore.dev:443" {
			t.Errorf("with an identity: %s", to)
		}
	}
	if len(told) == 0 {
		t.Errorf("the proxy sees nothing: nothing was tested: %s", errs)
	}
}

// unsignedToken is an identity token that says who somebody is, and that no issuer has signed.
func unsignedToken(issuer, email string) string {
	part := base64.RawURLEncoding.EncodeToString
	return part([]byte(`{"alg":"ES256","typ":"JWT"}`)) + "." + part(fmt.Appendf(nil, `{"iss":%q,"aud":"sigstore","sub":"x","email":%q,"email_verified":true,"exp":%d}`, issuer, email, time.Now().Add(time.Hour).Unix())) + "." + part([]byte("x"))
}
