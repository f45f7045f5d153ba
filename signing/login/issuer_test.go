package login

import (
	"bytes"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/forge-build/forge/signing/signtest"
)

// issuer starts an OpenID issuer as others run it, and says its address.
func issuer(t *testing.T) string {
	t.Helper()
	program, err := filepath.Abs("../../bin/tools/issuer")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(program); err != nil {
		if os.Getenv("FORGE_TEST_ALL") != "" {
			t.Fatal(err)
		}
		t.Skip("no bin/tools/issuer: .ci/tools signing/login/testdata/issuer bin/tools builds it")
	}
	at := "localhost:" + signtest.Ports(t, 1)[0]
	var said bytes.Buffer
	c := exec.Command(program, at)
	c.Stdout, c.Stderr = &said, &said
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = c.Process.Kill()
		_ = c.Wait() // it was killed
		if t.Failed() {
			t.Log(said.String())
		}
	})
	for range 100 {
		if resp, err := http.Get("http://" + at + "/.well-known/openid-configuration"); err == nil {
			_ = resp.Body.Close()
			return "http://" + at + "/"
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatal("the issuer does not answer")
	return ""
}

// person is somebody with a browser and a password.
func person(t *testing.T) *http.Client {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &http.Client{Jar: jar, Timeout: 10 * time.Second}
}

// hidden is a field of a page's form.
var hidden = regexp.MustCompile(`type="hidden" name="([a-z_]+)" value="([^"]+)"`)

// fill sends a page's form, with more words, and gives the page that follows.
func fill(t *testing.T, who *http.Client, page, to string, more url.Values) string {
	t.Helper()
	for _, m := range hidden.FindAllStringSubmatch(page, -1) {
		more.Set(m[1], m[2])
	}
	resp, err := who.PostForm(to, more)
	return body(t, resp, err)
}

func body(t *testing.T, resp *http.Response, err error) string {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var b bytes.Buffer
	if _, err := b.ReadFrom(resp.Body); err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%d, %v: %s", resp.StatusCode, err, b.String())
	}
	return b.String()
}

func secret() url.Values {
	return url.Values{"username": {"test-user@localhost"}, "password": {"verysecure"}}
}

// Both ways work with an issuer that is nobody's stand-in, its pages and forms included.
func TestARealIssuerGivesTokens(t *testing.T) {
	t.Run("browser", func(t *testing.T) {
		at := issuer(t)
		who := person(t)
		token, err := Browser(t.Context(), Options{Issuer: at, Say: t.Logf, Open: func(address string) error {
			resp, err := who.Get(address)
			last := fill(t, who, body(t, resp, err), at+"login/username", secret())
			if !strings.Contains(last, "Signed in") {
				t.Errorf("the last page says %q", last)
			}
			return nil
		}})
		if err != nil {
			t.Fatal(err)
		}
		if c := claims(t, token); c["iss"] != at || c["sub"] != "id1" {
			t.Errorf("%v", c)
		}
	})
	for answer, want := range map[string]string{"allowed": "", "denied": "consent was refused"} {
		t.Run("device, "+answer, func(t *testing.T) {
			at := issuer(t)
			m := listen()
			go func() {
				said := <-m.once
				who := person(t)
				resp, err := who.PostForm(at+"device", url.Values{"user_code": {said[strings.LastIndex(said, " ")+1:]}})
				fill(t, who, body(t, resp, err), at+"device/login", secret())
				resp, err = who.Get(at + "device/confirm?action=" + answer)
				body(t, resp, err)
			}()
			token, err := Device(t.Context(), Options{Issuer: at, Say: m.say})
			if want != "" {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("%v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if c := claims(t, token); c["iss"] != at || c["sub"] != "id1" {
				t.Errorf("%v", c)
			}
		})
	}
}
