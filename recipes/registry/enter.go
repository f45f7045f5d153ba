package registry

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"golang.org/x/net/publicsuffix"
)

// Pass is what lets forge into a repository.
type Pass struct {
	Scheme string    // "https", or "http" inside this machine
	Header string    // of Authorization; empty: nothing is needed
	Until  time.Time // when it is to be renewed
}

// DeniedError says that a registry does not let forge in, or that it asks for credentials in
// a way in which it must not have them.
type DeniedError struct {
	Reason string // what is wrong; no secret, input quoted
}

func (e *DeniedError) Error() string { return e.Reason }

// Enter gets a pass for a repository of a registry; actions are "pull" and "push", further
// are repositories of the same registry that are to be read too. With loopback a registry on
// this machine may speak http.
func Enter(ctx context.Context, t http.RoundTripper, repo name.Repository, actions string, further []name.Repository, loopback bool) (Pass, error) {
	p := Pass{Scheme: "https", Until: time.Now().Add(time.Hour)}
	if loopback && Loopback((&url.URL{Host: repo.RegistryStr()}).Hostname()) {
		plain, err := speaksPlain(ctx, t, repo.RegistryStr())
		if err != nil {
			return Pass{}, fmt.Errorf("asking %s: %w", repo.RegistryStr(), bare(err))
		}
		if plain {
			p.Scheme = "http"
		}
	}
	g := guard{t, repo.RegistryStr(), p.Scheme}
	auth, err := authn.Resolve(ctx, authn.DefaultKeychain, repo)
	if err != nil {
		return Pass{}, &DeniedError{fmt.Sprintf("reading Docker's credentials for %s: %v", repo.RegistryStr(), err)}
	}
	ch, err := transport.Ping(ctx, repo.Registry, g)
	if err != nil {
		return Pass{}, fmt.Errorf("asking %s: %w", repo.RegistryStr(), bare(err))
	}
	switch strings.ToLower(ch.Scheme) {
	case "":
		return p, nil
	case "bearer":
		scopes := []string{repo.Scope(actions)}
		for _, f := range further {
			scopes = append(scopes, f.Scope(transport.PullScope))
		}
		return bearer(ctx, p, g, repo, auth, scopes, ch)
	case "basic":
		return basic(ctx, p, repo, auth)
	}
	return Pass{}, &DeniedError{fmt.Sprintf("%s wants to be entered by %s, which forge does not know", repo.RegistryStr(), quoted(ch.Scheme))}
}

func bearer(ctx context.Context, p Pass, g guard, repo name.Repository, auth authn.Authenticator, scopes []string, ch *transport.Challenge) (Pass, error) {
	tok, err := transport.Exchange(ctx, repo.Registry, auth, g, scopes, ch)
	if err != nil {
		err = bare(err)
		var busy *BusyError
		if errors.As(err, &busy) {
			return Pass{}, fmt.Errorf("getting a token for %s: %w", repo.Name(), err)
		}
		return Pass{}, &DeniedError{fmt.Sprintf("getting a token for %s: %v", repo.Name(), err)}
	}
	p.Header = "Bearer " + tok.Token
	// At least a minute is promised; most is used.
	p.Until = time.Now().Add(time.Duration(max(tok.ExpiresIn, 60)) * time.Second * 3 / 4)
	return p, nil
}

func basic(ctx context.Context, p Pass, repo name.Repository, auth authn.Authenticator) (Pass, error) {
	c, err := authn.Authorization(ctx, auth)
	if err != nil {
		return Pass{}, &DeniedError{fmt.Sprintf("reading Docker's credentials for %s: %v", repo.RegistryStr(), err)}
	}
	if c.Username != "" {
		r := http.Request{Header: http.Header{}}
		r.SetBasicAuth(c.Username, c.Password)
		p.Header = r.Header.Get("Authorization")
	}
	return p, nil
}

// speaksPlain says whether what listens there speaks http. Any other failure of https is no
// reason to do without it.
func speaksPlain(ctx context.Context, t http.RoundTripper, host string) (bool, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+host+"/v2/", nil)
	if err != nil {
		return false, err
	}
	resp, err := t.RoundTrip(req)
	if err == nil {
		return false, resp.Body.Close()
	}
	var record tls.RecordHeaderError
	if errors.Is(err, http.ErrSchemeMismatch) || (errors.As(err, &record) && string(record.RecordHeader[:]) == "HTTP/") {
		return true, nil
	}
	return false, err
}

// guard lets a sign-in lead to the scheme that was found, and to hosts of the registry's own
// domain, only (OCI-03): a realm elsewhere would be given the password.
type guard struct {
	http.RoundTripper
	registry string
	scheme   string
}

func (g guard) RoundTrip(r *http.Request) (*http.Response, error) {
	reg := (&url.URL{Host: g.registry}).Hostname()
	host := r.URL.Hostname()
	switch {
	case r.URL.Scheme == "http" && g.scheme == "https" && r.URL.Host == g.registry:
		return nil, errors.New("http is not used") // the library asks; what https said stands beside it
	case r.URL.Scheme != g.scheme && r.URL.Scheme != "https":
		return nil, &DeniedError{fmt.Sprintf("%s: OCI-03: only %s is used", Show(r.URL), g.scheme)}
	case g.scheme == "http" && r.URL.Host == g.registry && r.URL.Scheme == "https":
		// The library tries https first; the port has said that it speaks none.
		r = r.Clone(r.Context())
		r.URL.Scheme = "http"
	case LinkLocal(host):
		return nil, &DeniedError{fmt.Sprintf("%s: OCI-03: a link-local address is never asked: cloud machines keep credentials there", Show(r.URL))}
	case r.URL.User != nil:
		return nil, &DeniedError{fmt.Sprintf("%s: OCI-03: the address holds a user name or password", Show(r.URL))}
	case host != reg && (site(host) != site(reg) || Loopback(host)):
		return nil, &DeniedError{fmt.Sprintf("%s: OCI-03: leads to %s to sign in, which is another domain", g.registry, Show(r.URL))}
	}
	return g.RoundTripper.RoundTrip(r)
}

// site is the part of a host name that one owner has.
func site(host string) string {
	s, err := publicsuffix.EffectiveTLDPlusOne(strings.ToLower(host))
	if err != nil {
		return host // an address, or a name of one part
	}
	return s
}

// Loopback says whether a host, without its port, is this machine.
func Loopback(host string) bool {
	host = strings.TrimSuffix(strings.ToLower(host), ".")
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && (ip.Unmap().IsLoopback() || ip.Unmap().IsUnspecified())
}

// LinkLocal says whether a host is an address that only this network segment knows, such as a
// cloud's metadata service.
func LinkLocal(host string) bool {
	ip, err := netip.ParseAddr(host)
	return err == nil && (ip.Unmap().IsLinkLocalUnicast() || ip.Unmap().IsMulticast())
}

// Show prints an address without what is secret in it: userinfo, query, fragment.
func Show(u *url.URL) string {
	s := (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path, RawPath: u.RawPath}).String()
	q := fmt.Sprintf("%+q", s[:min(len(s), 300)])
	return q[1 : len(q)-1]
}

// BusyError is an answer of a registry or its sign-in that may be another one later.
type BusyError struct {
	Code int
	err  error
}

func (e *BusyError) Error() string { return e.err.Error() }

func quoted(s string) string { return fmt.Sprintf("%+q", s[:min(len(s), 120)]) }

// WithoutAddress takes the address out of an error of the HTTP client: it may hold secrets.
func WithoutAddress(err error) error {
	var ue *url.Error
	for errors.As(err, &ue) {
		err = ue.Err
	}
	return err
}

// bare is such an error as this package's callers tell it apart.
func bare(err error) error {
	var denied *DeniedError
	if errors.As(err, &denied) {
		return denied
	}
	err = WithoutAddress(err)
	var answer *transport.Error
	if errors.As(err, &answer) && (answer.StatusCode >= 500 || answer.StatusCode == 429) {
		return &BusyError{answer.StatusCode, fmt.Errorf("it answers %d", answer.StatusCode)}
	}
	return err
}
