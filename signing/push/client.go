package push

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/google/go-containerregistry/pkg/name"

	"github.com/forge-build/forge/recipes/registry"
)

// Event is one step of one blob's way. Events of one Client come one at a time.
type Event struct {
	Digest string
	Done   int64  // bytes that are there
	Total  int64  // bytes in all
	State  string // "held", "mounted", "sending", "sent", "retrying"
}

// Client speaks with registries. Its methods may be called from several goroutines at once.
type Client struct {
	// Progress may be nil.
	Progress func(Event)
	// Pause is how long the Client waits before it asks again; it doubles. Default: half a
	// second. After half of it a fallback tag is looked at again.
	Pause time.Duration

	t        http.RoundTripper
	mu       sync.Mutex // of progress and passes
	passes   map[string]registry.Pass
	attach   sync.Mutex    // one writer of fallback tags at a time
	jobs     int           // blobs at a time
	deadline time.Duration // of a document, however slowly it comes

	// How long to wait; tests are in a hurry.
	stall time.Duration // without a byte
	tries int
}

// New makes a Client over a transport of registry.Transport. It opens nothing.
func New(t http.RoundTripper) *Client {
	return &Client{t: t, Pause: 500 * time.Millisecond, passes: map[string]registry.Pass{}, jobs: 4, deadline: 2 * time.Minute, stall: 60 * time.Second, tries: 5}
}

func (c *Client) event(e Event) {
	if c.Progress == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.Progress(e)
}

// entry is a repository in the way somebody enters it.
type entry struct {
	repo    name.Repository
	actions string            // "pull", or "push,pull"
	further []name.Repository // of the same registry, to read
}

func (e entry) key() string { return fmt.Sprint(e.repo.Name(), e.actions, e.further) }

func (c *Client) enter(ctx context.Context, e entry) (registry.Pass, error) {
	c.mu.Lock()
	p, ok := c.passes[e.key()]
	c.mu.Unlock()
	if ok && time.Now().Before(p.Until) {
		return p, nil
	}
	ctx, cancel := context.WithTimeout(ctx, 2*c.stall)
	defer cancel()
	p, err := registry.Enter(ctx, c.t, e.repo, e.actions, e.further, true)
	if err != nil {
		return p, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.passes[e.key()] = p
	return p, nil
}

func (c *Client) leave(e entry) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.passes, e.key())
}

// body is what a request sends.
type body struct {
	r      io.Reader
	length int64
}

// maxRedirects is how often an answer may lead elsewhere.
const maxRedirects = 5

// do asks once. where is a path of the registry, or an address that the registry gave. The
// caller closes the answer.
func (c *Client) do(ctx context.Context, e entry, method, where string, header http.Header, b *body) (*answer, error) {
	p, err := c.enter(ctx, e)
	if err != nil {
		return nil, err
	}
	home := &url.URL{Scheme: p.Scheme, Host: e.repo.RegistryStr(), Path: "/"}
	u, err := home.Parse(where)
	if err != nil {
		return nil, refuse("OCI-03", "%s leads to something that is no address", e.repo.RegistryStr())
	}
	w := registry.NewWatch(ctx, c.stall, errStall)
	give := func(err error) (*answer, error) {
		w.End()
		return nil, err
	}
	for hop := 0; ; hop++ {
		if err := allowed(home, u); err != nil {
			return give(err)
		}
		req, err := http.NewRequestWithContext(w.Context(), method, u.String(), nil)
		if err != nil {
			return give(fmt.Errorf("asking %s: no address", registry.Show(u)))
		}
		if b != nil {
			req.Body, req.ContentLength = io.NopCloser(w.Reader(b.r)), b.length
			if b.length == 0 {
				req.Body = http.NoBody
			}
		}
		for k, v := range header {
			req.Header[k] = v
		}
		req.Header.Set("User-Agent", "forge")
		if p.Header != "" && u.Host == home.Host && u.Scheme == home.Scheme {
			req.Header.Set("Authorization", p.Header)
		}
		resp, err := c.t.RoundTrip(req)
		if err != nil {
			return give(&lostError{registry.Show(u), w.Reason(err)})
		}
		w.Answered()
		location := resp.Header.Get("Location")
		if !redirects(resp.StatusCode) || location == "" || (method != http.MethodGet && method != http.MethodHead) {
			return &answer{resp, u, w, w.Reader(resp.Body)}, nil
		}
		_ = resp.Body.Close() // nothing of it is used
		if hop == maxRedirects {
			return give(refuse("OCI-03", "%s: more than %d redirects", e.repo.RegistryStr(), maxRedirects))
		}
		if u, err = u.Parse(location); err != nil {
			return give(refuse("OCI-03", "%s redirects to something that is no address", e.repo.RegistryStr()))
		}
	}
}

func redirects(code int) bool {
	switch code {
	case 301, 302, 303, 307, 308:
		return true
	}
	return false
}

// allowed says whether a registry may lead to an address (OCI-03).
func allowed(home, u *url.URL) error {
	inside := registry.Loopback(home.Hostname())
	switch {
	case u.Host == home.Host && u.Scheme == home.Scheme && u.User == nil:
		return nil
	case u.User != nil:
		return refuse("OCI-03", "%s leads to an address with a user name or password", home.Host)
	case u.Scheme != "https" && !(u.Scheme == "http" && inside && registry.Loopback(u.Hostname())):
		return refuse("OCI-03", "%s leads to %s: only https is used (http only on this machine itself)", home.Host, registry.Show(u))
	case registry.Loopback(u.Hostname()) && !inside:
		return refuse("OCI-03", "%s leads to %s, from outside into this machine itself", home.Host, registry.Show(u))
	}
	return nil
}

var errStall = fmt.Errorf("the registry has stopped answering, or moves less than %d bytes in a minute", registry.Least)

// answer is a response whose body cannot stall for ever.
type answer struct {
	*http.Response
	url   *url.URL // after redirects
	watch *registry.Watch
	body  io.Reader
}

func (a *answer) Read(b []byte) (int, error) { return a.body.Read(b) }

func (a *answer) Close() error {
	err := a.Body.Close()
	a.watch.End()
	return err
}

// Error is a refusal of what a registry or a layout says (hostile-input, OCI).
type Error struct {
	ID     string // "OCI-02"
	Reason string
}

func (e *Error) Error() string { return e.ID + ": " + e.Reason }

func refuse(id, format string, args ...any) *Error { return &Error{id, fmt.Sprintf(format, args...)} }

// StatusError is an answer of a registry that is no success. A 404 is fs.ErrNotExist.
type StatusError struct {
	Address string
	Code    int
	Detail  string // what the registry says about it, quoted; or empty
	wait    time.Duration
}

func (e *StatusError) Error() string {
	s := fmt.Sprintf("%s: the registry answers %d", e.Address, e.Code)
	if e.Detail != "" {
		s += " (" + e.Detail + ")"
	}
	if e.Code == 401 || e.Code == 403 {
		s += "; docker login or podman login, or a credential helper, lets forge in (DOCKER_CONFIG)"
	}
	return s
}

// Is makes a 404 a case of fs.ErrNotExist.
func (e *StatusError) Is(target error) bool { return target == fs.ErrNotExist && e.Code == 404 }

// want is nil when the answer has one of the codes, else what to make of it.
func (a *answer) want(codes ...int) error {
	for _, code := range codes {
		if a.StatusCode == code {
			return nil
		}
	}
	e := &StatusError{Address: registry.Show(a.url), Code: a.StatusCode}
	raw, _ := io.ReadAll(io.LimitReader(a, 8<<10)) // only for the message
	var said struct {
		Errors []struct{ Code, Message string }
	}
	if json.Unmarshal(raw, &said) == nil && len(said.Errors) > 0 {
		e.Detail = quoted(strings.TrimSpace(said.Errors[0].Code + " " + said.Errors[0].Message))
	}
	e.wait = min(later(a.Header.Get("Retry-After"), time.Now()), time.Minute)
	return e
}

// later is how long a Retry-After header asks for: seconds, or a date (RFC 9110, 10.2.3).
func later(header string, now time.Time) time.Duration {
	if n, err := strconv.Atoi(header); err == nil {
		return time.Duration(min(max(n, 0), 3600)) * time.Second
	}
	if at, err := http.ParseTime(header); err == nil {
		return max(at.Sub(now), 0)
	}
	return 0
}

// temporary says whether asking again may help.
func temporary(err error) bool {
	var st *StatusError
	if errors.As(err, &st) {
		return st.Code >= 500 && st.Code != 501 || st.Code == 429 || st.Code == 408
	}
	var busy *registry.BusyError
	var ne net.Error
	var lost *lostError
	return errors.As(err, &busy) || errors.As(err, &lost) && lost.temporary() || errors.Is(err, errStall) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) ||
		errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.EPIPE) ||
		errors.Is(err, net.ErrClosed) || (errors.As(err, &ne) && ne.Timeout())
}

// lostError is a request without an answer.
type lostError struct {
	where string
	err   error
}

func (e *lostError) Error() string { return "asking " + e.where + ": " + e.err.Error() }
func (e *lostError) Unwrap() error { return e.err }

// temporary is so for most that can happen to a connection; not for what was refused.
func (e *lostError) temporary() bool {
	var (
		cert    *tls.CertificateVerificationError
		alert   tls.AlertError
		record  tls.RecordHeaderError
		unknown *net.DNSError
		denied  *registry.DeniedError
		bad     *Error
	)
	return !errors.As(e.err, &cert) && !errors.As(e.err, &alert) && !errors.As(e.err, &record) && !errors.As(e.err, &denied) && !errors.As(e.err, &bad) &&
		!(errors.As(e.err, &unknown) && unknown.IsNotFound) && !errors.Is(e.err, context.Canceled)
}

// enough is how much progress makes up for an interruption.
const enough = 1 << 20

// retry calls try until it succeeds, fails for good, or has failed often without progress.
// try says how many bytes it moved. A pass that is refused is renewed once.
func (c *Client) retry(ctx context.Context, e entry, what string, try func() (int64, error)) error {
	renewed := false
	for failed := 0; ; {
		n, err := try()
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return fmt.Errorf("%s: %w", what, context.Cause(ctx))
		}
		var st *StatusError
		if errors.As(err, &st) && st.Code == 401 && !renewed {
			renewed = true
			c.leave(e)
			continue
		}
		if failed++; n >= enough {
			failed = 1
		}
		if !temporary(err) || failed >= c.tries {
			return err
		}
		wait := c.Pause << (failed - 1)
		wait += rand.N(wait/4 + 1)
		if st != nil && st.wait > 0 {
			wait = max(wait, min(st.wait, 120*c.Pause))
		}
		c.event(Event{Digest: what, Total: -1, State: "retrying"})
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s: %w", what, context.Cause(ctx))
		case <-time.After(wait):
		}
	}
}

// quoted shows text of a stranger: ASCII, cut at 200 bytes.
func quoted(s string) string { return fmt.Sprintf("%+q", s[:min(len(s), 200)]) }
