package vuln

import (
	"context"
	"errors"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	v6 "github.com/anchore/grype/grype/db/v6"
	"github.com/anchore/grype/grype/db/v6/distribution"
)

// DefaultMaxAge is how old a database may be, which is Grype's own default.
const DefaultMaxAge = 5 * 24 * time.Hour

// Source says where a database comes from.
type Source struct {
	From     string        // empty: Grype's own address. Or an https address, an archive, or a folder
	Cache    string        // folder for what is fetched, unpacked and remembered
	CAFile   string        // certificate authorities besides the system's
	Offline  bool          // open no socket
	MaxAge   time.Duration // zero: DefaultMaxAge
	Now      time.Time
	Progress func(what string, done, total int64) // may be nil

	silence time.Duration // how long a server may say nothing; zero: a minute
}

// file is a database on disk, before anybody has opened it.
type file struct {
	path   string // of vulnerability.db
	where  string // what messages call it
	from   string // what a verdict calls it
	xxh64  string // expected, as import.json has it; empty: sha256 is known
	sha256 string // expected, lower-case hex
	digest string // of the archive it came in, "sha256:…"; empty: that of the file
}

// remote tells whether the source is an address.
func (s *Source) remote() bool { return s.From == "" || strings.Contains(s.From, "://") }

// locate brings the database to disk, if it is not there.
func (s *Source) locate(ctx context.Context) (*file, error) {
	if s.remote() {
		return s.fetched(ctx)
	}
	info, err := os.Stat(s.From)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, refuse(Missing, s.From, "there is no such file or folder")
	case err != nil:
		return nil, refuse(Missing, s.From, "%w", err)
	case info.IsDir():
		return s.folder()
	case !info.Mode().IsRegular():
		return nil, refuse(Refused, s.From, "it is neither a regular file nor a folder")
	case strings.HasSuffix(s.From, ".db"):
		e := refuse(Refused, s.From, "a bare database has no checksum with it")
		e.hint = "name the folder in which it lies together with import.json, or the archive it came in"
		return nil, e
	}
	sum, err := s.sha256Of(ctx, s.From)
	if err != nil {
		return nil, refuse(Damaged, s.From, "%w", err)
	}
	return s.unpacked(ctx, s.From, sum, s.From, filepath.Base(s.From))
}

// folder is a database that lies as Grype keeps it: vulnerability.db with import.json.
func (s *Source) folder() (*file, error) {
	for _, dir := range []string{filepath.Join(s.From, "6"), s.From} {
		path := filepath.Join(dir, v6.VulnerabilityDBFileName)
		if info, err := os.Lstat(path); err != nil || !info.Mode().IsRegular() {
			continue
		}
		sum, err := importDigest(dir)
		if err != nil {
			return nil, refuse(Damaged, s.From, "its checksum cannot be read: %w", err)
		}
		return &file{path: path, where: s.From, from: filepath.Base(s.From), xxh64: sum}, nil
	}
	return nil, refuse(Missing, s.From, "it holds neither vulnerability.db nor 6/vulnerability.db")
}

// address is where latest.json of the source lies.
func (s *Source) address() (*url.URL, error) {
	text := s.From
	if text == "" {
		text = distribution.DefaultConfig().LatestURL
	}
	u, err := url.Parse(text)
	if err != nil || u.Host == "" {
		return nil, refuse(Refused, text[strings.LastIndexByte(text, '@')+1:], "it is no address")
	}
	if !strings.HasSuffix(u.Path, ".json") {
		u = u.JoinPath("v6", distribution.LatestFileName)
	}
	if !safe(u) {
		return nil, refuse(Refused, shown(u), "databases come over https (http only from this machine itself): nobody signs them")
	}
	return u, nil
}

// safe tells whether nobody between can change what is read from there. Plain http is taken
// from the loopback interface alone.
func safe(u *url.URL) bool {
	return u.Scheme == "https" || u.Scheme == "http" && slices.Contains([]string{"localhost", "127.0.0.1", "::1"}, u.Hostname())
}
