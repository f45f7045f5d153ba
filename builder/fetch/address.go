package fetch

import (
	"net"
	"net/url"
	"strings"
	"syscall"

	"github.com/forge-build/forge/recipes/registry"
)

// allowed says whether an address may be asked (IDX-02). from is the page or redirect that
// named it, or nil when settings, recipe or lock did. plain allows http to any host: for
// archives whose files are signed or hashed.
func allowed(u, from *url.URL, plain bool) error {
	bad := func(format string, args ...any) error {
		if from != nil {
			return refuse("IDX-02", show(from), "", "leads to %s: "+format, append([]any{show(u)}, args...)...)
		}
		return refuse("IDX-02", show(u), "", format, args...)
	}
	switch {
	case u.Scheme != "https" && u.Scheme != "http":
		return bad("scheme %s is not used; only https is", q(u.Scheme))
	case u.Hostname() == "":
		return bad("the address has no host")
	case from != nil && u.User != nil:
		return bad("the address holds a user name or password")
	case from != nil && from.Scheme == "https" && u.Scheme == "http":
		return bad("from https to http")
	case u.Scheme == "http" && !plain && !loopback(u):
		return bad("only https is used (http only on this machine itself)")
	case registry.LinkLocal(u.Hostname()):
		return bad("a link-local address is never asked: cloud machines keep credentials there")
	case from != nil && loopback(u) && !loopback(from):
		return bad("from outside into this machine itself")
	}
	return nil
}

// loopback says whether an address leads into this machine.
func loopback(u *url.URL) bool { return registry.Loopback(u.Hostname()) }

// refuseLinkLocal is the dialer's last look, at the address that a name has led to.
func refuseLinkLocal(_, address string, _ syscall.RawConn) error {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return err
	}
	if registry.LinkLocal(host) {
		return refuse("IDX-02", address, "", "a link-local address is never asked: cloud machines keep credentials there")
	}
	return nil
}

// origin is what credentials are bound to.
func origin(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"https": "443", "http": "80"}[u.Scheme]
	}
	return u.Scheme + "://" + strings.ToLower(u.Hostname()) + ":" + port
}
