package signtest

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
)

// People are those who sign in at an issuer: who they are, and what they do.
type People struct {
	mu      sync.Mutex
	Who     string               // e-mail address of who signs in; empty: consent is refused
	Twist   func(map[string]any) // changes the claims of a token; may be nil
	Expires int                  // seconds that a device's code holds; zero: 60
	codes   map[string]*grant    // by code of a browser or a device
}

// grant is what a code stands for.
type grant struct {
	challenge, nonce, redirect string
	user                       string // code that somebody types in
	done, refused              bool
}

// Issuer starts an OpenID issuer alone.
func Issuer(t testing.TB) *Sigstore {
	t.Helper()
	s := &Sigstore{issuer: ecKey(t)}
	s.openID(t)
	return s
}

// TypeIn is what somebody does who types a code in, and consents or not.
func (s *Sigstore) TypeIn(user string, consents bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, g := range s.codes {
		if g.user != "" && g.user == user {
			g.done, g.refused = true, !consents
			return true
		}
	}
	return false
}

// signIn serves what a person and a program need to sign in: authorization code with PKCE
// (RFC 6749, 7636) and the device flow (RFC 8628).
func (s *Sigstore) signIn(t testing.TB, mux *http.ServeMux, issuer, path string) {
	s.codes = map[string]*grant{}
	mux.HandleFunc("GET "+path+"/auth", func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		q := r.URL.Query()
		back, err := url.Parse(q.Get("redirect_uri"))
		if err != nil || back.Hostname() != "localhost" || q.Get("client_id") != "sigstore" || q.Get("response_type") != "code" || q.Get("code_challenge_method") != "S256" || !strings.Contains(q.Get("scope"), "openid") {
			http.Error(w, "a request that the protocol does not know", http.StatusBadRequest)
			return
		}
		answer := url.Values{"state": {q.Get("state")}, "iss": {issuer}}
		if s.Who == "" {
			answer.Set("error", "access_denied")
		} else {
			code := rand.Text()
			s.codes[code] = &grant{challenge: q.Get("code_challenge"), nonce: q.Get("nonce"), redirect: q.Get("redirect_uri"), done: true}
			answer.Set("code", code)
		}
		back.RawQuery = answer.Encode()
		http.Redirect(w, r, back.String(), http.StatusSeeOther)
	})
	mux.HandleFunc("POST "+path+"/device/code", func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		code, user := rand.Text(), rand.Text()[:4]+"-"+rand.Text()[:4]
		s.codes[code] = &grant{challenge: r.PostFormValue("code_challenge"), user: user}
		expires := s.Expires
		if expires == 0 {
			expires = 60
		}
		answer(w, 200, map[string]any{"device_code": code, "user_code": user, "verification_uri": issuer + "/device", "interval": 1, "expires_in": expires})
	})
	mux.HandleFunc("POST "+path+"/token", func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		code := r.PostFormValue("code") + r.PostFormValue("device_code")
		g := s.codes[code]
		challenge := sha256.Sum256([]byte(r.PostFormValue("code_verifier")))
		switch {
		case g == nil, r.PostFormValue("client_id") != "sigstore", g.redirect != r.PostFormValue("redirect_uri"), base64.RawURLEncoding.EncodeToString(challenge[:]) != g.challenge,
			(r.PostFormValue("grant_type") == "authorization_code") != (g.user == ""):
			answer(w, 400, map[string]any{"error": "invalid_grant"})
			return
		case !g.done:
			answer(w, 400, map[string]any{"error": "authorization_pending"})
			return
		case g.refused:
			answer(w, 400, map[string]any{"error": "access_denied"})
			return
		}
		delete(s.codes, code) // a code is good once
		claims := map[string]any{"iss": issuer, "sub": s.Who, "email": s.Who, "email_verified": true}
		if g.nonce != "" {
			claims["nonce"] = g.nonce
		}
		if s.Twist != nil {
			s.Twist(claims)
		}
		answer(w, 200, map[string]any{"access_token": "access-" + rand.Text(), "token_type": "Bearer", "expires_in": 60, "id_token": s.token(t, claims)})
	})
}

func answer(w http.ResponseWriter, code int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(v)
}
