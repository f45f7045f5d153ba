package login

import (
	"context"
	"crypto/subtle"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
)

// callback is where the issuer sends a browser back to. Source: Sigstore's issuers know it.
const callback = "/auth/callback"

// Browser lets somebody sign in on a page of the issuer, which then leads the browser back to a
// port of this machine.
func Browser(ctx context.Context, o Options) (string, error) {
	ctx, stop, s, err := begin(ctx, o)
	if err != nil {
		return "", err
	}
	defer stop()
	if err := s.address("its sign-in page", s.config.Endpoint.AuthURL); err != nil {
		return "", err
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", s.failed("waiting for the browser: %v", err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	s.config.RedirectURL = "http://localhost:" + port + callback
	state, nonce, secret := random(), random(), oauth2.GenerateVerifier()
	answers := make(chan url.Values, 1)
	server := &http.Server{Handler: s.page(state, answers), ReadTimeout: 10 * time.Second, WriteTimeout: 10 * time.Second, MaxHeaderBytes: 64 << 10}
	go func() { _ = server.Serve(l) }() // it ends with an error, always
	defer finish(server)

	address := s.config.AuthCodeURL(state, oidc.Nonce(nonce), oauth2.S256ChallengeOption(secret))
	s.Say("to sign in, open this address in a browser of this machine: %s", address)
	if s.Open != nil {
		if err := s.Open(address); err != nil {
			s.Say("no browser could be opened (%v)", err)
		}
	}
	select {
	case <-ctx.Done():
		return "", context.Cause(ctx)
	case answer := <-answers:
		if e := answer.Get("error"); e != "" {
			return "", s.refusal("signing in", &oauth2.RetrieveError{ErrorCode: e, ErrorDescription: answer.Get("error_description")})
		}
		t, err := s.config.Exchange(ctx, answer.Get("code"), oauth2.VerifierOption(secret))
		if err != nil {
			return "", s.reason(ctx, "asking for the token", err)
		}
		return s.identity(ctx, t, nonce)
	}
}

// page answers the browser. A request without the state is somebody else's, and changes nothing;
// of those with it the first counts.
func (s *session) page(state string, answers chan<- url.Values) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		say := func(code int, text string) {
			w.Header().Set("Content-Type", "text/plain; charset=utf-8")
			w.Header().Set("Content-Length", strconv.Itoa(len(text)))
			w.Header().Set("Referrer-Policy", "no-referrer") // the address holds the code
			w.WriteHeader(code)
			_, _ = fmt.Fprint(w, text) // perhaps it has gone
		}
		q := r.URL.Query()
		switch {
		case r.URL.Path != callback || r.Method != http.MethodGet:
			say(http.StatusNotFound, "There is nothing here.\n")
			return
		case subtle.ConstantTimeCompare([]byte(q.Get("state")), []byte(state)) != 1, q.Has("iss") && q.Get("iss") != s.Issuer: // RFC 9207
			say(http.StatusBadRequest, "This is no answer to what forge asked.\n")
			return
		case q.Get("code") == "" && q.Get("error") == "":
			say(http.StatusBadRequest, "The answer holds neither a code nor an error.\n")
			return
		}
		text := "Signed in. forge goes on; this window can be closed.\n"
		if q.Has("error") {
			text = "Not signed in. forge says more; this window can be closed.\n"
		}
		select {
		case answers <- q:
			say(http.StatusOK, text)
		default:
			say(http.StatusConflict, "This was answered before.\n")
		}
	})
}

// finish lets the browser have its answer, and ends the server.
func finish(server *http.Server) {
	ctx, stop := context.WithTimeout(context.Background(), time.Second)
	defer stop()
	if server.Shutdown(ctx) != nil {
		_ = server.Close() // it is given up
	}
}
