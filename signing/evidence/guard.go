package evidence

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/forge-build/forge/recipes/registry"
)

// guard judges each request on its way out, redirects included: https only, or http inside
// this machine; no link-local address, where cloud machines keep credentials; nothing from
// outside into this machine. The registry's pass goes to its own origin and to nobody else.
// hostile-input OCI-03, signing A31.
type guard struct {
	next http.RoundTripper
	own  *url.URL      // the registry's scheme and host
	pass registry.Pass // what lets forge in
}

func (g guard) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := g.judge(r.URL); err != nil {
		return nil, err
	}
	r = r.Clone(r.Context())
	r.Header.Del("Authorization")
	if g.pass.Header != "" && r.URL.Scheme == g.own.Scheme && host(r.URL) == host(g.own) {
		r.Header.Set("Authorization", g.pass.Header)
	}
	return g.next.RoundTrip(r)
}

func (g guard) judge(u *url.URL) error {
	why := ""
	switch here := registry.Loopback(u.Hostname()); {
	case u.Scheme != "https" && (u.Scheme != "http" || !here):
		why = "only https is used (http only on this machine itself)"
	case u.User != nil:
		why = "the address holds a user name or password"
	case registry.LinkLocal(u.Hostname()):
		why = "a link-local address is never asked"
	case here && !registry.Loopback(g.own.Hostname()):
		why = "from outside into this machine itself"
	default:
		return nil
	}
	return refuse(g.own.Host, "OCI-03: it leads to %s: %s", registry.Show(u), why)
}

func host(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"https": "443", "http": "80"}[u.Scheme]
	}
	return strings.ToLower(u.Hostname()) + ":" + port
}
