package login

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/forge-build/forge/recipes/registry"
)

// client is the name by which Sigstore's issuers know programs like this; a token is for it.
// Source: Fulcio, docs/oidc.md.
const client = "sigstore"

// Options say where to sign in and how to speak with the person who does.
type Options struct {
	Issuer string // address of an OpenID issuer
	// Say shows the person what to do.
	Say func(format string, args ...any)
	// Open opens an address in the person's browser. It may be nil: the address is shown anyway.
	Open func(address string) error
	// Wait is how long the person may take. Zero: five minutes.
	Wait time.Duration
}

// Error is a sign-in that gave no token. It holds nothing secret.
type Error struct{ Issuer, Reason string }

func (e *Error) Error() string { return fmt.Sprintf("signing in at %s: %s", e.Issuer, e.Reason) }

// session is one attempt to sign in.
type session struct {
	Options
	provider *oidc.Provider
	config   oauth2.Config
}

// begin asks the issuer where its pages are. The context that it gives ends with the attempt.
func begin(ctx context.Context, o Options) (context.Context, context.CancelFunc, *session, error) {
	if o.Wait == 0 {
		o.Wait = 5 * time.Minute
	}
	s := &session{Options: o}
	if err := s.address("the issuer", o.Issuer); err != nil {
		return nil, nil, nil, err
	}
	ctx, stop := context.WithTimeoutCause(ctx, o.Wait, s.failed("nobody has signed in within %s", o.Wait))
	bounded := &transport{ctx, &http.Transport{Proxy: http.ProxyFromEnvironment, TLSHandshakeTimeout: 30 * time.Second, ResponseHeaderTimeout: 30 * time.Second, DisableKeepAlives: true}}
	ctx = oidc.ClientContext(ctx, &http.Client{Transport: bounded, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }})
	var err error
	if s.provider, err = oidc.NewProvider(ctx, o.Issuer); err != nil {
		err = s.reason(ctx, "asking for its configuration", err)
		stop()
		return nil, nil, nil, err
	}
	s.config = oauth2.Config{ClientID: client, Endpoint: s.provider.Endpoint(), Scopes: []string{oidc.ScopeOpenID, "email"}}
	s.config.Endpoint.AuthStyle = oauth2.AuthStyleInParams // a public client has no secret to put into a header
	if err := s.address("its token endpoint", s.config.Endpoint.TokenURL); err != nil {
		stop()
		return nil, nil, nil, err
	}
	return ctx, stop, s, nil
}

func (s *session) failed(format string, args ...any) *Error {
	return &Error{shown(s.Issuer), fmt.Sprintf(format, args...)}
}

// address judges an address that a password or code will be sent to.
func (s *session) address(what, raw string) error {
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" || u.User != nil || u.Fragment != "" || u.Scheme != "https" && (u.Scheme != "http" || !registry.Loopback(u.Hostname())) {
		return s.failed("%s has no https address (http only on this machine itself): %s", what, shown(raw))
	}
	return nil
}

// shown is an address or another text of a stranger: ASCII, cut, without user name and query.
func shown(raw string) string {
	if u, err := url.Parse(raw); err == nil && u.Host != "" {
		raw = (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String()
	}
	return fmt.Sprintf("%+q", raw[:min(len(raw), 200)])
}

// reason says what went wrong, without bodies and addresses of requests, which may hold codes.
func (s *session) reason(ctx context.Context, doing string, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	var refused *oauth2.RetrieveError
	if errors.As(err, &refused) {
		return s.refusal(doing, refused)
	}
	err = registry.WithoutAddress(err)
	var ne net.Error
	var oe *net.OpError
	if errors.As(err, &ne) || errors.As(err, &oe) {
		return s.failed("%s: %v", doing, err)
	}
	return s.failed("%s: %s", doing, shown(err.Error()))
}

func (s *session) refusal(doing string, e *oauth2.RetrieveError) error {
	switch e.ErrorCode {
	case "access_denied":
		return s.failed("consent was refused")
	case "expired_token":
		return s.failed("the code was not used in time")
	case "":
		code := 0
		if e.Response != nil {
			code = e.Response.StatusCode
		}
		return s.failed("%s: it answers %d", doing, code)
	}
	return s.failed("%s: it answers %s (%s)", doing, shown(e.ErrorCode), shown(e.ErrorDescription))
}

// identity takes the identity token out of an answer, once the issuer's key and the claims of it
// have been judged. nonce is that of the request, or empty.
func (s *session) identity(ctx context.Context, t *oauth2.Token, nonce string) (string, error) {
	raw, _ := t.Extra("id_token").(string)
	if raw == "" {
		return "", s.failed("it gave no identity token")
	}
	id, err := s.provider.Verifier(&oidc.Config{ClientID: client}).Verify(ctx, raw)
	if err != nil {
		if cause := context.Cause(ctx); cause != nil {
			return "", cause
		}
		return "", s.failed("the identity token that it gave does not hold: its signature, issuer, time, or whom it is for")
	}
	if id.Nonce != nonce {
		return "", s.failed("the identity token that it gave is for another request")
	}
	return raw, nil
}

// random is what nobody guesses.
func random() string { return rand.Text() + rand.Text() }

// code is the form of what a person types in. RFC 8628, 6.1.
var code = regexp.MustCompile(`^[A-Za-z0-9-]{4,40}$`)

// transport bounds what an issuer sends, and ends with the attempt where a library's requests do not.
type transport struct {
	ctx  context.Context //nolint:containedctx // of one attempt, as the transport is
	next *http.Transport
}

func (t *transport) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Context().Done() == nil {
		r = r.WithContext(t.ctx)
	}
	resp, err := t.next.RoundTrip(r)
	if err == nil {
		resp.Body = struct {
			io.Reader
			io.Closer
		}{io.LimitReader(resp.Body, 1<<20), resp.Body}
	}
	return resp, err
}
