package fetch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/forge-build/forge/builder/store"
	"github.com/forge-build/forge/recipes/registry"
)

// Event is one step of one file's way here. Events of one Fetcher come one at a time.
type Event struct {
	Name  string // file name, or the address of a page
	Done  int64  // bytes that are here
	Total int64  // bytes in all, or -1
	State string // "held", "waiting", "fetching", "retrying", "done"
}

// Fetcher brings bytes from indexes, mirrors and archives into the store. Its methods may
// be called from several goroutines at once.
type Fetcher struct {
	// Offline makes every use of a socket an *OfflineError.
	Offline bool
	// AskDefaultIndex finds out which index uv uses by itself; the answer is kept in the
	// store. It may be nil.
	AskDefaultIndex func(context.Context) (string, error)

	st       *store.Store
	set      Settings
	progress func(Event)
	mu       sync.Mutex               // of progress, users, dead, partial and passes
	users    map[string]*url.Userinfo // by origin
	dead     map[string]bool          // origins that do not answer
	partial  map[string]bool          // origins that send parts of files, and those that do not
	passes   map[string]pass          // by origin and path of a repository

	once      sync.Once
	client    *http.Transport
	clientErr error

	// How long to wait; tests are in a hurry.
	stall   time.Duration // for a server's next bytes
	backoff time.Duration // before the first repetition; doubles
	tries   int
	now     func() time.Time
	dial    func(ctx context.Context, network, addr string) (net.Conn, error)
	proxy   func(*http.Request) (*url.URL, error)
}

// New makes a Fetcher. It opens nothing. progress may be nil.
func New(st *store.Store, set Settings, progress func(Event)) *Fetcher {
	d := &net.Dialer{Timeout: 30 * time.Second, KeepAlive: 30 * time.Second, Control: refuseLinkLocal}
	return &Fetcher{
		st: st, set: set, progress: progress, users: map[string]*url.Userinfo{}, dead: map[string]bool{}, partial: map[string]bool{},
		stall: 60 * time.Second, backoff: 500 * time.Millisecond, tries: 5,
		now: time.Now, dial: d.DialContext, proxy: http.ProxyFromEnvironment,
	}
}

func (f *Fetcher) event(e Event) {
	if f.progress == nil {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.progress(e)
}

// http is the one client: connections are kept and shared. TLS is always verified. It is a
// bare transport, which follows no redirect and repeats no address in its errors: send does
// both, and looks.
func (f *Fetcher) http() (*http.Transport, error) {
	f.once.Do(func() {
		t, err := registry.Transport(f.set.CAFile)
		if err != nil {
			f.clientErr = &SettingsError{f.set.CAFile, err.Error()}
			return
		}
		t.Proxy, t.DialContext = f.proxy, f.dial
		f.client = t
	})
	return f.client, f.clientErr
}

// login keeps a user name and password for one origin.
func (f *Fetcher) login(u *url.URL, user *url.Userinfo) {
	if user == nil {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.users[origin(u)] = user
}

// authorize adds the credentials that belong to the request's own host, and only over TLS
// or inside this machine.
func (f *Fetcher) authorize(r *http.Request) {
	if r.URL.Scheme != "https" && !loopback(r.URL) {
		return
	}
	f.mu.Lock()
	user := f.users[origin(r.URL)]
	header := f.passFor(r.URL)
	f.mu.Unlock()
	if header != "" {
		r.Header.Set("Authorization", header)
		return
	}
	if user != nil {
		password, _ := user.Password()
		r.SetBasicAuth(user.Username(), password)
		return
	}
	for _, m := range f.set.netrc {
		if m.host == r.URL.Hostname() && m.login+m.password != "" {
			r.SetBasicAuth(m.login, m.password)
			return
		}
	}
}

var errStall = fmt.Errorf("the server has stopped sending, or sends less than %d bytes in a minute", registry.Least)

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

// maxRedirects is how often an answer may lead elsewhere.
const maxRedirects = 5

// send asks once and follows redirects. from is the page that named u, or nil. The caller
// closes the answer.
func (f *Fetcher) send(ctx context.Context, u, from *url.URL, header http.Header, plain bool) (*answer, error) {
	if f.Offline {
		return nil, &OfflineError{Missing: []string{show(u)}}
	}
	client, err := f.http()
	if err != nil {
		return nil, err
	}
	w := registry.NewWatch(ctx, f.stall, errStall)
	give := func(err error) (*answer, error) {
		err = w.Reason(err)
		w.End()
		return nil, err
	}
	start := u
	for hop := 0; ; hop++ {
		if err := allowed(u, from, plain); err != nil {
			return give(err)
		}
		req, err := http.NewRequestWithContext(w.Context(), http.MethodGet, u.String(), nil)
		if err != nil {
			return give(fmt.Errorf("asking %s: %w", show(u), registry.WithoutAddress(err)))
		}
		req.URL.User = nil
		for k, v := range header {
			req.Header[k] = v
		}
		req.Header.Set("User-Agent", "forge")
		f.authorize(req)
		resp, err := client.RoundTrip(req)
		if err != nil {
			_, err = give(err)
			return nil, fmt.Errorf("asking %s: %w", show(u), err)
		}
		w.Answered()
		location := resp.Header.Get("Location")
		if !redirects(resp.StatusCode) || location == "" {
			return &answer{resp, u, w, w.Reader(resp.Body)}, nil
		}
		_ = resp.Body.Close() // nothing of it is used
		if hop == maxRedirects {
			return give(refuse("IDX-02", show(start), "", "more than %d redirects; the last leads to %s", maxRedirects, showText(location)))
		}
		next, err := u.Parse(location)
		if err != nil {
			return give(refuse("IDX-02", show(u), "", "redirects to something that is no address"))
		}
		from, u = u, next
	}
}

func redirects(code int) bool {
	switch code {
	case 301, 302, 303, 307, 308:
		return true
	}
	return false
}

// status is nil for a success, and an error that says what to make of all others.
func (a *answer) status() error {
	switch {
	case a.StatusCode == 200 || a.StatusCode == 206:
		return nil
	case a.StatusCode == 404 || a.StatusCode == 410:
		return &GoneError{Tried: []string{show(a.url)}}
	case a.StatusCode == 401 || a.StatusCode == 403:
		return &SettingsError{Reason: fmt.Sprintf("%s: the server answers %d; a user name and password for %s can be written into ~/.netrc", show(a.url), a.StatusCode, a.url.Hostname())}
	}
	wait, err := strconv.Atoi(a.Header.Get("Retry-After"))
	if err != nil || wait < 0 {
		wait = 0
	}
	return &statusError{show(a.url), a.StatusCode, min(wait, 60)}
}

// temporary says whether asking again may help.
func temporary(err error) bool {
	var st *statusError
	if errors.As(err, &st) {
		return st.code >= 500 || st.code == 429 || st.code == 408
	}
	var busy *registry.BusyError
	var ne net.Error
	return errors.As(err, &busy) || errors.Is(err, errStall) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) ||
		errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.EPIPE) ||
		errors.Is(err, net.ErrClosed) || (errors.As(err, &ne) && ne.Timeout()) || isHTTP2Reset(err)
}

// enough is how much progress makes up for an interruption.
const enough = 1 << 20

// retry calls try until it succeeds, fails for good, or has failed f.tries times without
// progress. try says how many bytes it brought.
func (f *Fetcher) retry(ctx context.Context, name string, try func() (int64, error)) error {
	for failed := 0; ; {
		n, err := try()
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return fmt.Errorf("fetching %s: %w", name, ctx.Err()) // the cause may be about another file
		}
		if failed++; n >= enough {
			failed = 1
		}
		if !temporary(err) || failed >= f.tries {
			return err
		}
		wait := f.backoff << (failed - 1)
		wait += rand.N(wait/4 + 1)
		var st *statusError
		if errors.As(err, &st) && st.wait > 0 {
			wait = max(wait, min(time.Duration(st.wait)*time.Second, 120*f.backoff))
		}
		f.event(Event{Name: name, Total: -1, State: "retrying"})
		select {
		case <-ctx.Done():
			return fmt.Errorf("fetching %s: %w", name, ctx.Err()) // the cause may be about another file
		case <-time.After(wait):
		}
	}
}

// read fetches a small file whole. An answer of more than limit bytes is refused.
func (f *Fetcher) read(ctx context.Context, u, from *url.URL, limit int64, accept string, plain bool) (body []byte, a *answer, err error) {
	header := http.Header{"Accept-Encoding": {"identity"}}
	if accept != "" {
		header.Set("Accept", accept)
	}
	err = f.retry(ctx, show(u), func() (int64, error) {
		if a, err = f.send(ctx, u, from, header, plain); err != nil {
			return 0, err
		}
		defer a.Close()
		if err := a.status(); err != nil {
			return 0, err
		}
		if a.StatusCode != 200 {
			return 0, refuse("IDX-01", show(a.url), "", "the server sends a part that nobody asked for")
		}
		if enc := a.Header.Get("Content-Encoding"); enc != "" && enc != "identity" {
			return 0, refuse("IDX-01", show(a.url), "", "the server sends the bytes in the encoding %s although asked not to", q(enc))
		}
		body, err = io.ReadAll(io.LimitReader(a, limit+1))
		if err != nil {
			return 0, fmt.Errorf("reading %s: %w", show(a.url), err)
		}
		if int64(len(body)) > limit {
			return 0, refuse("IDX-03", show(a.url), "", "is larger than %d bytes", limit)
		}
		return 0, nil
	})
	return body, a, err
}

var http2Reset = regexp.MustCompile(`stream error: stream ID \d+; |server sent GOAWAY|http2: .*(connection lost|timeout)`)

// isHTTP2Reset recognises what Go's HTTP/2 does not export as a type.
func isHTTP2Reset(err error) bool {
	return err != nil && http2Reset.MatchString(err.Error())
}
