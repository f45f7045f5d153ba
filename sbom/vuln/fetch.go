package vuln

import (
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/http"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	v6 "github.com/anchore/grype/grype/db/v6"
	"github.com/anchore/grype/grype/db/v6/distribution"

	"github.com/forge-build/forge/recipes/registry"
)

// Bounds of what a server may send.
const (
	maxLatest  = 1 << 20 // bytes of latest.json
	maxArchive = 4 << 30 // bytes of an archive
	maxTries   = 5       // of a download that is cut off again and again
	silence    = time.Minute
	// checkEvery is how often a server is asked for a newer database.
	checkEvery = 2 * time.Hour
)

var (
	errSilent   = errors.New("the server says nothing any more, or next to nothing")
	errTooLarge = errors.New("it is larger than it may be")
)

var sha256Sum = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)

// current is what a server served when it was asked last.
type current struct {
	Checked time.Time `json:"checked"`
	Built   time.Time `json:"built"`
	Archive string    `json:"archive"` // lower-case hex of its sha256
}

// fetched is the newest database of a server. One that was fetched before serves while the
// server cannot be asked; its age is judged in any case.
func (s *Source) fetched(ctx context.Context) (*file, error) {
	latest, err := s.address()
	if err != nil {
		return nil, err
	}
	where := shown(latest)
	record := filepath.Join(s.Cache, "servers", name(latest.String())+".json")
	var have current
	known := readJSON(record, &have) == nil && sha256Sum.MatchString("sha256:"+have.Archive)
	if known && (s.Offline || s.Now.Sub(have.Checked).Abs() < checkEvery) {
		if f, err := s.held(have.Archive, where); err == nil {
			return f, nil
		}
		known = false
	}
	if s.Offline {
		return nil, refuse(Missing, where, "it is not in the cache, and nothing is fetched offline")
	}
	doc, err := s.latest(ctx, latest)
	if err != nil {
		if known && ctx.Err() == nil {
			if f, held := s.held(have.Archive, where); held == nil {
				return f, nil
			}
		}
		return nil, err
	}
	served := current{Built: doc.Built.Time, Archive: doc.Checksum[len("sha256:"):]}
	if !known || !served.Built.Before(have.Built) { // else it serves an older one than before
		have = served
	}
	f, err := s.held(have.Archive, where)
	if err != nil {
		have = served
		f, err = s.download(ctx, latest, doc)
	}
	if err != nil {
		return nil, err
	}
	have.Checked = s.Now
	return f, writeJSON(record, have)
}

// latest asks what the newest database is.
func (s *Source) latest(ctx context.Context, u *url.URL) (*distribution.LatestDocument, error) {
	where := shown(u)
	body, err := s.get(ctx, u, 0, maxLatest)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	raw, err := io.ReadAll(body)
	if err != nil {
		return nil, refuse(Unreachable, where, "%w", err)
	}
	var doc distribution.LatestDocument
	if err := json.Unmarshal(raw, &doc); err != nil {
		return nil, refuse(Damaged, where, "%w", err)
	}
	switch {
	case doc.SchemaVersion.Model != v6.ModelVersion:
		return nil, refuse(Schema, where, "it has schema %s, this forge reads schema %d", doc.SchemaVersion, v6.ModelVersion)
	case !sha256Sum.MatchString(doc.Checksum):
		return nil, refuse(Damaged, where, "the archive's checksum is %q, and a sha256 is due", doc.Checksum)
	case !filepath.IsLocal(doc.Path):
		return nil, refuse(Refused, where, "the archive's path is %q, which leads elsewhere", doc.Path)
	}
	return &doc, nil
}

// download fetches an archive, compares it with its checksum, and unpacks it.
func (s *Source) download(ctx context.Context, latest *url.URL, doc *distribution.LatestDocument) (*file, error) {
	u := *latest
	u.Path, u.RawPath = path.Join(path.Dir(u.Path), doc.Path), ""
	where := shown(&u)
	if err := os.MkdirAll(s.Cache, 0o700); err != nil {
		return nil, fmt.Errorf("making the cache of vulnerability databases: %w", err)
	}
	s.sweep()
	tmp, err := os.CreateTemp(s.Cache, "download-")
	if err != nil {
		return nil, fmt.Errorf("making the cache of vulnerability databases: %w", err)
	}
	defer func() { _, _ = tmp.Close(), os.Remove(tmp.Name()) }()
	h := sha256.New()
	if err := s.receive(ctx, &u, tmp, h); err != nil {
		return nil, err
	}
	sum := hex.EncodeToString(h.Sum(nil))
	if "sha256:"+sum != doc.Checksum {
		return nil, refuse(Damaged, where, "its sha256 is %s, and %s states %s", sum, distribution.LatestFileName, doc.Checksum)
	}
	return s.unpacked(ctx, tmp.Name(), sum, where, "server")
}

// receive writes what an address serves to a file and a hash. A download that is cut off goes
// on where it ended, or begins again where the server cannot do that.
func (s *Source) receive(ctx context.Context, u *url.URL, to *os.File, h hash.Hash) error {
	var done int64
	for try := 1; ; try++ {
		body, err := s.get(ctx, u, done, maxArchive)
		if err != nil {
			return err
		}
		if body.from != done {
			if _, err := to.Seek(0, io.SeekStart); err != nil {
				return fmt.Errorf("keeping a vulnerability database: %w", err)
			}
			if err := to.Truncate(0); err != nil {
				return fmt.Errorf("keeping a vulnerability database: %w", err)
			}
			h.Reset()
			done = 0
		}
		keep := &keeper{w: io.MultiWriter(to, h)}
		n, err := io.Copy(keep, s.watched("vulnerability database", done, body, body.total))
		done += n
		_ = body.Close() // all that was wanted of it is known
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case keep.err != nil:
			return fmt.Errorf("keeping a vulnerability database: %w", keep.err)
		case errors.Is(err, errTooLarge):
			return refuse(Refused, shown(u), "%w", err)
		case try == maxTries:
			return refuse(Unreachable, shown(u), "after %d bytes: %w", done, err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Duration(try) * 200 * time.Millisecond):
		}
	}
}

// keeper remembers whether it was the disk that failed, and not the network.
type keeper struct {
	w   io.Writer
	err error
}

func (k *keeper) Write(p []byte) (int, error) {
	n, err := k.w.Write(p)
	k.err = err
	return n, err
}

// response is a body that ends with an error when it is too large, or the server stops.
type response struct {
	io.Reader
	body  io.Closer
	watch *registry.Watch
	from  int64 // the first byte's place in the file
	total int64 // bytes of the file; -1: not said
	left  int64
}

func (r *response) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	if r.left -= int64(n); r.left < 0 {
		return 0, errTooLarge
	}
	return n, err
}

func (r *response) Close() error {
	r.watch.End()
	return r.body.Close()
}

// get asks for a file of at most so many bytes, from one of its bytes on.
func (s *Source) get(ctx context.Context, u *url.URL, from, most int64) (*response, error) {
	client, err := s.client()
	if err != nil {
		return nil, err
	}
	watch := registry.NewWatch(ctx, cmp.Or(s.silence, silence), errSilent)
	req, err := http.NewRequestWithContext(watch.Context(), http.MethodGet, u.String(), nil)
	if err != nil {
		watch.End()
		return nil, refuse(Refused, shown(u), "it is no address")
	}
	if from > 0 {
		req.Header.Set("Range", fmt.Sprintf("bytes=%d-", from))
	}
	resp, err := client.Do(req)
	if err != nil {
		defer watch.End()
		var redirected *DatabaseError
		if errors.As(err, &redirected) {
			return nil, redirected
		}
		return nil, refuse(Unreachable, shown(u), "%w", watch.Reason(err))
	}
	watch.Answered()
	r := &response{Reader: watch.Reader(resp.Body), body: resp.Body, watch: watch, total: resp.ContentLength, left: most}
	switch {
	case resp.StatusCode == http.StatusPartialContent && from > 0 && strings.HasPrefix(resp.Header.Get("Content-Range"), fmt.Sprintf("bytes %d-", from)):
		r.from, r.left = from, most-from
		if r.total >= 0 {
			r.total += from
		}
	case resp.StatusCode != http.StatusOK:
		_ = r.Close() // nothing of it is used
		return nil, refuse(Unreachable, shown(u), "the server answers %s", resp.Status)
	}
	if r.total > most {
		_ = r.Close() // nothing of it is used
		return nil, refuse(Refused, shown(u), "it has %d bytes; at most %d are taken", r.total, most)
	}
	return r, nil
}

// shown is an address without what may be a secret in it: name, password and query.
func shown(u *url.URL) string {
	return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String()
}

func (s *Source) client() (*http.Client, error) {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.DisableKeepAlives = true
	t.DisableCompression = true // an archive is compressed, and a bound counts what is sent
	if s.CAFile != "" {
		pool, err := x509.SystemCertPool()
		if err != nil {
			pool = x509.NewCertPool()
		}
		pem, err := os.ReadFile(s.CAFile)
		if err != nil {
			return nil, fmt.Errorf("reading certificate authorities: %w", err)
		}
		if !pool.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("reading certificate authorities %q: it holds no certificate", s.CAFile)
		}
		t.TLSClientConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	}
	return &http.Client{Transport: t, CheckRedirect: func(req *http.Request, via []*http.Request) error {
		switch {
		case !safe(req.URL):
			return refuse(Refused, shown(req.URL), "a redirect leads away from https")
		case len(via) > 5:
			return errors.New("more than five redirects")
		}
		return nil
	}}, nil
}

// watched tells the progress of what is read, of which some is there already.
func (s *Source) watched(what string, done int64, r io.Reader, total int64) io.Reader {
	if s.Progress == nil {
		return r
	}
	return &watcher{r: r, done: done, tell: func(done int64) { s.Progress(what, done, total) }}
}

type watcher struct {
	r    io.Reader
	done int64
	tell func(int64)
}

func (w *watcher) Read(p []byte) (int, error) {
	n, err := w.r.Read(p)
	w.done += int64(n)
	w.tell(w.done)
	return n, err
}
