package vuln

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"time"

	v6 "github.com/anchore/grype/grype/db/v6"
	"github.com/anchore/grype/grype/db/v6/distribution"
)

// Bounds of what a server may send.
const (
	maxLatest  = 1 << 20 // bytes of latest.json
	maxArchive = 4 << 30 // bytes of an archive
	silence    = time.Minute
	// checkEvery is how often a server is asked for a newer database.
	checkEvery = 2 * time.Hour
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
	where := latest.Redacted()
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
		var f *file
		if known && ctx.Err() == nil {
			f, _ = s.held(have.Archive, where)
		}
		if f != nil {
			return f, nil
		}
		return nil, err
	}
	if !known || doc.Built.After(have.Built) || have.Archive != doc.Checksum[len("sha256:"):] && !doc.Built.Before(have.Built) {
		have = current{Built: doc.Built.Time, Archive: doc.Checksum[len("sha256:"):]}
	}
	f, err := s.held(have.Archive, where)
	if err != nil {
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
	where := u.Redacted()
	body, err := s.get(ctx, u, maxLatest)
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
	where := u.Redacted()
	body, err := s.get(ctx, &u, maxArchive)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	if err := os.MkdirAll(s.Cache, 0o700); err != nil {
		return nil, fmt.Errorf("making the cache of vulnerability databases: %w", err)
	}
	tmp, err := os.CreateTemp(s.Cache, "download-")
	if err != nil {
		return nil, fmt.Errorf("making the cache of vulnerability databases: %w", err)
	}
	defer func() { _, _ = tmp.Close(), os.Remove(tmp.Name()) }()
	h := sha256.New()
	if _, err := io.Copy(io.MultiWriter(tmp, h), s.watched("vulnerability database", body, body.total)); err != nil {
		return nil, refuse(Unreachable, where, "%w", err)
	}
	sum := hex.EncodeToString(h.Sum(nil))
	if "sha256:"+sum != doc.Checksum {
		return nil, refuse(Damaged, where, "its sha256 is %s, and %s states %s", sum, distribution.LatestFileName, doc.Checksum)
	}
	return s.unpacked(ctx, tmp.Name(), sum, where, "server")
}

// response is a body that ends with an error when it is too large or falls silent.
type response struct {
	io.ReadCloser
	total  int64
	left   int64
	cancel context.CancelFunc
	timer  *time.Timer
}

func (r *response) Read(p []byte) (int, error) {
	n, err := r.ReadCloser.Read(p)
	r.timer.Reset(silence)
	if r.left -= int64(n); r.left < 0 {
		return 0, errors.New("it is larger than it may be")
	}
	return n, err
}

func (r *response) Close() error {
	r.timer.Stop()
	r.cancel()
	return r.ReadCloser.Close()
}

func (s *Source) get(ctx context.Context, u *url.URL, most int64) (*response, error) {
	client, err := s.client()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	timer := time.AfterFunc(silence, cancel)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		cancel()
		return nil, refuse(Refused, u.Redacted(), "it is no address")
	}
	resp, err := client.Do(req)
	if err != nil {
		cancel()
		var redirected *DatabaseError
		if errors.As(err, &redirected) {
			return nil, redirected
		}
		return nil, refuse(Unreachable, u.Redacted(), "%w", err)
	}
	r := &response{ReadCloser: resp.Body, total: resp.ContentLength, left: most, cancel: cancel, timer: timer}
	switch {
	case resp.StatusCode != http.StatusOK:
		_ = r.Close() // nothing of it is used
		return nil, refuse(Unreachable, u.Redacted(), "the server answers %s", resp.Status)
	case resp.ContentLength > most:
		_ = r.Close() // nothing of it is used
		return nil, refuse(Refused, u.Redacted(), "it has %d bytes; at most %d are taken", resp.ContentLength, most)
	}
	return r, nil
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
			return refuse(Refused, req.URL.Redacted(), "a redirect leads away from https")
		case len(via) > 5:
			return errors.New("more than five redirects")
		}
		return nil
	}}, nil
}

// watched tells the progress of what is read.
func (s *Source) watched(what string, r io.Reader, total int64) io.Reader {
	if s.Progress == nil {
		return r
	}
	return &watcher{r: r, tell: func(done int64) { s.Progress(what, done, total) }}
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
