package login

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/forge-build/forge/signing/signtest"
)

// messages keeps what a person is told.
type messages struct {
	mu   sync.Mutex
	all  []string
	once chan string
}

func listen() *messages { return &messages{once: make(chan string, 10)} }

func (m *messages) say(format string, args ...any) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.all = append(m.all, fmt.Sprintf(format, args...))
	m.once <- m.all[len(m.all)-1]
}

// claims are those of a token.
func claims(t *testing.T, token string) map[string]any {
	t.Helper()
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		t.Fatalf("no token: %d parts", len(parts))
	}
	raw, err := base64.RawURLEncoding.DecodeString(parts[1])
	var m map[string]any
	if err == nil {
		err = json.Unmarshal(raw, &m)
	}
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// visit is a browser: it follows the issuer's redirect to this machine's port.
func visit(address string) error {
	resp, err := http.Get(address) //nolint:gosec // of the test's own issuer
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("the page answers %d", resp.StatusCode)
	}
	return nil
}

func TestSomebodySignsInWithABrowser(t *testing.T) {
	s := signtest.Issuer(t)
	s.Who = "ml@acme.example"
	m := listen()
	token, err := Browser(t.Context(), Options{Issuer: s.Email, Say: m.say, Open: visit})
	if err != nil {
		t.Fatal(err)
	}
	if c := claims(t, token); c["email"] != "ml@acme.example" || c["aud"] != "sigstore" || c["nonce"] == "" {
		t.Errorf("%v", c)
	}
	if len(m.all) != 1 || strings.Contains(strings.Join(m.all, ""), token) {
		t.Errorf("said %q", m.all)
	}
	// Without a browser that can be opened the address is shown, and does the same.
	m = listen()
	got := make(chan error, 1)
	go func() {
		_, err := Browser(t.Context(), Options{Issuer: s.Email, Say: m.say, Open: func(string) error { return errors.New("no display") }})
		got <- err
	}()
	said := <-m.once
	if err := errors.Join(visit(said[strings.Index(said, "http"):]), <-got); err != nil {
		t.Errorf("%q: %v", said, err)
	}
}

func TestSomebodySignsInWithACode(t *testing.T) {
	s := signtest.Issuer(t)
	s.Who = "ml@acme.example"
	m := listen()
	go func() {
		said := <-m.once
		time.Sleep(1500 * time.Millisecond) // it is asked once before
		if !s.TypeIn(said[strings.LastIndex(said, " ")+1:], true) {
			t.Errorf("no such code: %q", said)
		}
	}()
	token, err := Device(t.Context(), Options{Issuer: s.Email, Say: m.say})
	if err != nil {
		t.Fatal(err)
	}
	if c := claims(t, token); c["email"] != "ml@acme.example" {
		t.Errorf("%v", c)
	}
	if said := strings.Join(m.all, "\n"); !strings.Contains(said, s.Email+"/device") || strings.Contains(said, token) {
		t.Errorf("said %q", said)
	}
}

// What ends a sign-in without a token. No error holds a token or a code.
func TestNobodySignsIn(t *testing.T) {
	forged := func(change func(map[string]any)) func(*signtest.Sigstore) {
		return func(s *signtest.Sigstore) { s.Twist = change }
	}
	for name, row := range map[string]struct {
		change func(*signtest.Sigstore)
		want   string
	}{
		"consent is refused":       {func(s *signtest.Sigstore) { s.Who = "" }, "consent was refused"},
		"another request's token":  {forged(func(m map[string]any) { m["nonce"] = "another" }), "for another request"},
		"a token for another":      {forged(func(m map[string]any) { m["aud"] = "another" }), "does not hold"},
		"a token that has expired": {forged(func(m map[string]any) { m["exp"] = time.Now().Add(-time.Hour).Unix() }), "does not hold"},
		"another issuer's token":   {forged(func(m map[string]any) { m["iss"] = "https://evil.example" }), "does not hold"},
	} {
		s := signtest.Issuer(t)
		s.Who = "ml@acme.example"
		row.change(s)
		m := listen()
		token, err := Browser(t.Context(), Options{Issuer: s.Email, Say: m.say, Open: visit})
		var e *Error
		if token != "" || !errors.As(err, &e) || !strings.Contains(err.Error(), row.want) {
			t.Errorf("%s in a browser: %q, %v", name, token, err)
		}
		if strings.HasPrefix(name, "another request") {
			continue // the device flow knows no nonce, and refuses a token with one
		}
		m = listen()
		go func() {
			said := <-m.once
			s.TypeIn(said[strings.LastIndex(said, " ")+1:], s.Who != "")
		}()
		if token, err = Device(t.Context(), Options{Issuer: s.Email, Say: m.say}); token != "" || !errors.As(err, &e) || !strings.Contains(err.Error(), row.want) {
			t.Errorf("%s with a code: %q, %v", name, token, err)
		}
	}
}

func TestASignInEnds(t *testing.T) {
	s := signtest.Issuer(t)
	m := listen()
	if _, err := Browser(t.Context(), Options{Issuer: s.Email, Say: m.say, Wait: 50 * time.Millisecond}); err == nil || !strings.Contains(err.Error(), "nobody has signed in within") {
		t.Errorf("browser: %v", err)
	}
	if _, err := Device(t.Context(), Options{Issuer: s.Email, Say: m.say, Wait: 50 * time.Millisecond}); err == nil || !strings.Contains(err.Error(), "nobody has signed in within") {
		t.Errorf("device: %v", err)
	}
	s.Expires = 1
	if _, err := Device(t.Context(), Options{Issuer: s.Email, Say: m.say}); err == nil || !strings.Contains(err.Error(), "not used in time") {
		t.Errorf("device: %v", err)
	}
	for name, flow := range map[string]func(context.Context, Options) (string, error){"browser": Browser, "device": Device} {
		ctx, stop := context.WithCancel(t.Context())
		time.AfterFunc(50*time.Millisecond, stop)
		if _, err := flow(ctx, Options{Issuer: s.Email, Say: func(string, ...any) {}}); !errors.Is(err, context.Canceled) {
			t.Errorf("%s, interrupted: %v", name, err)
		}
	}
}

// Somebody else who finds the port can neither answer nor end the sign-in.
func TestAForgedAnswerChangesNothing(t *testing.T) {
	s := signtest.Issuer(t)
	s.Who = "ml@acme.example"
	m := listen()
	token, err := Browser(t.Context(), Options{Issuer: s.Email, Say: m.say, Open: func(address string) error {
		u, err := url.Parse(address)
		if err != nil {
			return err
		}
		back := u.Query().Get("redirect_uri")
		state := u.Query().Get("state")
		for what, want := range map[string]int{
			back + "?code=stolen":                            400,
			back + "?code=stolen&state=":                     400,
			back + "?code=stolen&state=" + state[1:]:         400,
			back + "?error=access_denied&state=x":            400,
			back + "?state=" + state:                         400,
			back + "?code=x&iss=https://evil&state=" + state: 400,
			strings.TrimSuffix(back, "callback"):             404,
		} {
			resp, err := http.Get(what) //nolint:gosec // of this test
			if err != nil {
				return err
			}
			if resp.StatusCode != want {
				t.Errorf("%s: %d", what, resp.StatusCode)
			}
			_ = resp.Body.Close()
		}
		return visit(address)
	}})
	if err != nil || claims(t, token)["email"] != "ml@acme.example" {
		t.Errorf("%v", err)
	}
}

// An issuer that lies about its pages, or sends what it must not.
func TestAnIssuerIsNotBelieved(t *testing.T) {
	for name, row := range map[string]struct {
		issuer func(base string) string
		config map[string]any
		device string
		want   string
	}{
		"http elsewhere":        {func(string) string { return "http://issuer.example" }, nil, "", "no https address"},
		"no address":            {func(string) string { return "issuer" }, nil, "", "no https address"},
		"a password in it":      {func(string) string { return "https://u:hunter2@issuer.example" }, nil, "", "no https address"},
		"another issuer":        {nil, map[string]any{"issuer": "https://evil.example"}, "", "issuer"},
		"a token page in clear": {nil, map[string]any{"token_endpoint": "http://evil.example/token"}, "", "token endpoint"},
		"a file as a page":      {nil, map[string]any{"device_authorization_endpoint": "file:///etc/passwd"}, "", "device endpoint"},
		"no device flow":        {nil, map[string]any{"device_authorization_endpoint": ""}, "", "no sign-in by a code"},
		"a page that is a file": {nil, nil, `{"device_code":"d","user_code":"ABCD-EFGH","verification_uri":"file:///x"}`, "page where the code"},
		"a code that is none":   {nil, nil, `{"device_code":"d","user_code":"\u001b[2Jhunter2 run rm","verification_uri":"https://issuer.example/device"}`, "is none"},
		"junk":                  {nil, nil, `{"device_code":`, "asking for a code"},
		"endless":               {nil, nil, `{"x":"` + strings.Repeat("x", 2<<20), "asking for a code"},
	} {
		mux := http.NewServeMux()
		server := httptest.NewServer(mux)
		t.Cleanup(server.Close)
		config := map[string]any{"issuer": server.URL, "jwks_uri": server.URL + "/keys", "authorization_endpoint": server.URL + "/auth", "token_endpoint": server.URL + "/token",
			"device_authorization_endpoint": server.URL + "/device"}
		for k, v := range row.config {
			config[k] = v
		}
		mux.HandleFunc("/.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) { _ = json.NewEncoder(w).Encode(config) })
		mux.HandleFunc("/device", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(row.device)) })
		issuer := server.URL
		if row.issuer != nil {
			issuer = row.issuer(server.URL)
		}
		_, err := Device(t.Context(), Options{Issuer: issuer, Say: func(string, ...any) {}, Wait: 5 * time.Second})
		var e *Error
		if !errors.As(err, &e) || !strings.Contains(err.Error(), row.want) || strings.Contains(err.Error(), "\x1b") || strings.Contains(err.Error(), "u:hunter2") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
