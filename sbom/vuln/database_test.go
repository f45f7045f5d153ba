package vuln

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/forge-build/forge/sbom/vuln/testdata/advisories"
)

// refused opens a database that must not open, and returns why it does not.
func refused(t *testing.T, s Source) *DatabaseError {
	t.Helper()
	db, err := Open(context.Background(), s)
	if err == nil {
		_ = db.Close()
		t.Fatal("it opens")
	}
	var e *DatabaseError
	if !errors.As(err, &e) {
		t.Fatalf("not a DatabaseError: %v", err)
	}
	return e
}

func vulnerabilities(dir string) string { return filepath.Join(dir, "6", "vulnerability.db") }

// edit changes a file, and its time with it.
func edit(t *testing.T, path string, change func([]byte) []byte) {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, change(raw), 0o644); err != nil {
		t.Fatal(err)
	}
}

// A51: a database that is missing, changed, of another schema, empty, or of another time.
func TestADatabaseThatCannotBeTrustedIsNotOpened(t *testing.T) { // VDB-01
	good := database(t, nil)
	rows := map[string]struct {
		change func(t *testing.T, dir string)
		source func(*Source)
		id     string
		says   string
	}{
		"cut off": {func(t *testing.T, dir string) {
			edit(t, vulnerabilities(dir), func(b []byte) []byte { return b[:len(b)/2] })
		}, nil, Damaged, "checksum"},
		"cut off, sealed again": {func(t *testing.T, dir string) {
			edit(t, vulnerabilities(dir), func(b []byte) []byte { return b[:100] })
			seal(t, dir)
		}, nil, Damaged, "SQLite"},
		"no byte": {func(t *testing.T, dir string) { edit(t, vulnerabilities(dir), func([]byte) []byte { return nil }) }, nil, Damaged, "checksum"},
		"no byte, sealed again": {func(t *testing.T, dir string) {
			edit(t, vulnerabilities(dir), func([]byte) []byte { return nil })
			seal(t, dir)
		}, nil, Damaged, "no database of Grype's"},
		"another file": {func(t *testing.T, dir string) {
			edit(t, vulnerabilities(dir), func([]byte) []byte { return []byte("hello") })
			seal(t, dir)
		}, nil, Damaged, ""},
		"a byte changed": {func(t *testing.T, dir string) {
			edit(t, vulnerabilities(dir), func(b []byte) []byte { b[len(b)-1] ^= 1; return b })
		}, nil, Damaged, "checksum"},
		"swapped for another": {func(t *testing.T, dir string) {
			other := database(t, func(r *advisories.Records) { r.Python = r.Python[:1] })
			raw, err := os.ReadFile(vulnerabilities(other))
			if err != nil {
				t.Fatal(err)
			}
			edit(t, vulnerabilities(dir), func([]byte) []byte { return raw })
		}, nil, Damaged, "checksum"},
		"no checksum": {func(t *testing.T, dir string) { remove(t, filepath.Join(dir, "6", "import.json")) }, nil, Damaged, "checksum cannot be read"},
		"a checksum of nought": {func(t *testing.T, dir string) {
			edit(t, filepath.Join(dir, "6", "import.json"), func([]byte) []byte { return []byte(`{"digest":"xxh64:"}`) })
		}, nil, Damaged, "checksum"},
		"a checksum of another kind": {func(t *testing.T, dir string) {
			edit(t, filepath.Join(dir, "6", "import.json"), func([]byte) []byte { return []byte(`{"digest":"md5:00"}`) })
		}, nil, Damaged, "xxh64 is due"},
		"a schema of the future": {func(t *testing.T, dir string) { change(t, dir, "UPDATE db_metadata SET model = 7") }, nil, Schema, "it has schema 7."},
		"a schema of the past":   {func(t *testing.T, dir string) { change(t, dir, "UPDATE db_metadata SET model = 5") }, nil, Schema, "it has schema 5."},
		"no schema":              {func(t *testing.T, dir string) { change(t, dir, "DELETE FROM db_metadata") }, nil, Empty, "schema"},
		"no vulnerability": {func(t *testing.T, dir string) {
			change(t, dir, "PRAGMA foreign_keys = OFF; DELETE FROM vulnerability_handles")
		}, nil, Empty, "no vulnerability"},
		"too old":              {nil, func(s *Source) { s.Now = built.Add(DefaultMaxAge + time.Hour) }, Stale, "it was built 2026-01-15, 120h ago; the limit is 120h"},
		"older than was asked": {nil, func(s *Source) { s.MaxAge = time.Hour }, Stale, "the limit is 1h0m0s"},
		"from the future":      {nil, func(s *Source) { s.Now = built.Add(-48 * time.Hour) }, Early, "a clock is wrong"},
		"not there":            {func(t *testing.T, dir string) { remove(t, filepath.Join(dir, "6")) }, nil, Missing, "neither vulnerability.db nor"},
		"a link": {func(t *testing.T, dir string) {
			remove(t, vulnerabilities(dir))
			link(t, "/dev/zero", vulnerabilities(dir))
		}, nil, Missing, "neither"},
		"a bare file":    {nil, func(s *Source) { s.From = vulnerabilities(s.From) }, Refused, "no checksum"},
		"a device":       {nil, func(s *Source) { s.From = "/dev/null" }, Refused, "regular file"},
		"nothing at all": {nil, func(s *Source) { s.From += "/none.tar.zst" }, Missing, "no such file"},
	}
	for name, row := range rows {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "db")
			if err := os.CopyFS(dir, os.DirFS(good)); err != nil {
				t.Fatal(err)
			}
			if row.change != nil {
				row.change(t, dir)
			}
			s := source(t, dir)
			if row.source != nil {
				row.source(&s)
			}
			if e := refused(t, s); e.ID != row.id || !strings.Contains(e.Error(), row.says) {
				t.Errorf("%s: %v", e.ID, e)
			}
		})
	}
}

func seal(t *testing.T, dir string) {
	t.Helper()
	if err := advisories.Seal(dir); err != nil {
		t.Fatal(err)
	}
}

func change(t *testing.T, dir, statement string) {
	t.Helper()
	if err := advisories.Change(dir, statement); err != nil {
		t.Fatal(err)
	}
}

func remove(t *testing.T, path string) {
	t.Helper()
	if err := os.RemoveAll(path); err != nil {
		t.Fatal(err)
	}
}

func link(t *testing.T, to, path string) {
	t.Helper()
	if err := os.Symlink(to, path); err != nil {
		t.Fatal(err)
	}
}

func TestAFileIsHashedOnceAndAgainWhenItChanges(t *testing.T) {
	dir := database(t, nil)
	s := source(t, dir)
	var hashed int
	s.Progress = func(what string, _, _ int64) {
		if what == "checking the vulnerability database" {
			hashed++
		}
	}
	first := open(t, s).Facts()
	if hashed == 0 {
		t.Fatal("it is opened without being hashed")
	}
	hashed = 0
	if again := open(t, s).Facts(); hashed > 0 || again != first {
		t.Errorf("hashed %d times more; %+v", hashed, again)
	}
	edit(t, vulnerabilities(dir), func(b []byte) []byte { b[len(b)-1] ^= 1; return b })
	if e := refused(t, s); e.ID != Damaged {
		t.Error(e)
	}
	edit(t, vulnerabilities(dir), func(b []byte) []byte { b[len(b)-1] ^= 1; return b })
	open(t, s)
}

// archive packs files as Grype's servers do.
func archive(t *testing.T, compress func(io.Writer) io.WriteCloser, headers ...tar.Header) []byte {
	t.Helper()
	var b bytes.Buffer
	z := compress(&b)
	w := tar.NewWriter(z)
	for _, h := range headers {
		body := io.Reader(io.LimitReader(zeros{}, h.Size))
		if h.Uname != "" { // the file's content
			body, h.Uname = strings.NewReader(h.Uname), ""
		}
		h.Mode = 0o644
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(w, body); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(w.Close(), z.Close()); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func zst(w io.Writer) io.WriteCloser {
	z, err := zstd.NewWriter(w)
	if err != nil {
		panic(err)
	}
	return z
}

func gz(w io.Writer) io.WriteCloser { return gzip.NewWriter(w) }

func TestAnArchiveIsUnpackedOnceAndForGood(t *testing.T) {
	dir := database(t, nil)
	path := filepath.Join(t.TempDir(), "vulnerability-db.tar.zst")
	if err := advisories.Pack(dir, path); err != nil {
		t.Fatal(err)
	}
	s := source(t, path)
	facts := open(t, s).Facts()
	if facts.From != "vulnerability-db.tar.zst" || !strings.HasPrefix(facts.Digest, "sha256:") || !facts.Built.Equal(built) {
		t.Errorf("%+v", facts)
	}
	if r := scan(t, open(t, s), python("torch", "2.5.1")); len(r.Findings) != 3 {
		t.Errorf("%+v", r.Findings)
	}
	sets, err := filepath.Glob(filepath.Join(s.Cache, "sets", "*"))
	if err != nil || len(sets) != 1 {
		t.Fatalf("%q, %v", sets, err)
	}
	edit(t, filepath.Join(sets[0], "vulnerability.db"), func(b []byte) []byte { b[len(b)-1] ^= 1; return b })
	if e := refused(t, s); e.ID != Damaged || !strings.Contains(e.Error(), "written down when it was unpacked") {
		t.Error(e)
	}
}

func TestAHostileArchiveLeavesNothing(t *testing.T) { // VDB-01
	db := tar.Header{Name: "vulnerability.db", Size: 5, Uname: "hello"}
	rows := map[string]struct {
		raw  func(t *testing.T) []byte
		id   string
		says string
	}{
		"a bomb, zstd": {func(t *testing.T) []byte {
			return archive(t, zst, tar.Header{Name: "vulnerability.db", Size: 200 << 20})
		}, Refused, "inflates to more than"},
		"a bomb, gzip": {func(t *testing.T) []byte {
			return archive(t, gz, tar.Header{Name: "vulnerability.db", Size: 200 << 20})
		}, Refused, "inflates to more than"},
		"a bomb beside it": {func(t *testing.T) []byte { return archive(t, zst, tar.Header{Name: "readme", Size: 200 << 20}, db) }, Refused, "inflates to more than"},
		"a path outside": {func(t *testing.T) []byte {
			return archive(t, zst, tar.Header{Name: "../vulnerability.db", Size: 5, Uname: "hello"})
		}, Refused, "leads outside"},
		"an absolute path": {func(t *testing.T) []byte {
			return archive(t, zst, tar.Header{Name: "/etc/passwd", Size: 5, Uname: "hello"})
		}, Refused, "leads outside"},
		"a link": {func(t *testing.T) []byte {
			return archive(t, zst, tar.Header{Name: "vulnerability.db", Typeflag: tar.TypeSymlink, Linkname: "/etc/passwd"})
		}, Refused, "no regular file"},
		"a hard link": {func(t *testing.T) []byte {
			return archive(t, zst, db, tar.Header{Name: "x", Typeflag: tar.TypeLink, Linkname: "vulnerability.db"})
		}, Refused, "no regular file"},
		"it twice":          {func(t *testing.T) []byte { return archive(t, zst, db, db) }, Refused, "twice"},
		"many files":        {func(t *testing.T) []byte { return archive(t, zst, many(40)...) }, Refused, "more than 32 entries"},
		"it is not in it":   {func(t *testing.T) []byte { return archive(t, zst, tar.Header{Name: "readme", Size: 5, Uname: "hello"}) }, Missing, "holds no vulnerability.db"},
		"it is no database": {func(t *testing.T) []byte { return archive(t, zst, db) }, Damaged, ""},
		"cut off": {func(t *testing.T) []byte {
			b := archive(t, zst, tar.Header{Name: "vulnerability.db", Size: 1 << 20})
			return b[:len(b)/2]
		}, Damaged, "unpacking it"},
		"no compression": {func(t *testing.T) []byte { return []byte("vulnerability.db") }, Damaged, "no tar archive"},
		"nothing":        {func(t *testing.T) []byte { return nil }, Damaged, "no tar archive"},
		"a length that is no more": {func(t *testing.T) []byte {
			return archive(t, gz, tar.Header{Name: "vulnerability.db", Size: 5, Uname: "hello"})[:30]
		}, Damaged, "unpacking it"},
	}
	for name, row := range rows {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "db.tar.zst")
			if err := os.WriteFile(path, row.raw(t), 0o644); err != nil {
				t.Fatal(err)
			}
			s := source(t, path)
			if e := refused(t, s); e.ID != row.id || !strings.Contains(e.Error(), row.says) {
				t.Errorf("%s: %v", e.ID, e)
			}
			if left, err := filepath.Glob(filepath.Join(s.Cache, "sets", "*")); err != nil || len(left) > 0 {
				t.Errorf("left behind: %q, %v", left, err)
			}
		})
	}
}

func many(n int) (out []tar.Header) {
	for i := range n {
		out = append(out, tar.Header{Name: fmt.Sprintf("file%d", i), Size: 1, Uname: "x"})
	}
	return out
}

// mirror serves a database as Grype's servers do; change may lie.
type mirror struct {
	*httptest.Server
	latest   map[string]any
	archive  []byte
	requests []string
	redirect string
	down     bool
	cuts     int  // how many answers with the archive end in the middle
	whole    bool // it serves no part of a file
	silent   bool
	drips    bool // it sends a byte now and then
}

// archived serves the archive, perhaps cut off.
func (m *mirror) archived(w http.ResponseWriter, r *http.Request) {
	if m.whole {
		r.Header.Del("Range")
	}
	if m.cuts > 0 {
		m.cuts--
		w = &cutting{w, len(m.archive) / 4}
	}
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(m.archive))
}

// cutting ends the connection after so many bytes.
type cutting struct {
	http.ResponseWriter
	left int
}

func (c *cutting) Write(p []byte) (int, error) {
	if len(p) < c.left {
		c.left -= len(p)
		return c.ResponseWriter.Write(p)
	}
	_, _ = c.ResponseWriter.Write(p[:c.left])
	_ = http.NewResponseController(c.ResponseWriter).Flush()
	panic(http.ErrAbortHandler)
}

func newMirror(t *testing.T, tls bool) *mirror {
	t.Helper()
	dir := database(t, nil)
	path := filepath.Join(t.TempDir(), "db.tar.zst")
	if err := advisories.Pack(dir, path); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	sum, err := (&Source{Cache: t.TempDir()}).sha256Of(context.Background(), path)
	if err != nil {
		t.Fatal(err)
	}
	m := &mirror{archive: raw, latest: map[string]any{"status": "active", "schemaVersion": "v6.1.10", "built": built.Format(time.RFC3339),
		"path": "vulnerability-db_v6.1.10.tar.zst", "checksum": "sha256:" + sum}}
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		m.requests = append(m.requests, strings.TrimSpace(r.URL.Path+" "+r.Header.Get("Range")))
		switch {
		case m.silent:
			<-r.Context().Done()
		case m.drips:
			for r.Context().Err() == nil {
				_, _ = w.Write([]byte(" "))
				_ = http.NewResponseController(w).Flush()
				time.Sleep(20 * time.Millisecond)
			}
		case m.down:
			http.Error(w, "down", http.StatusServiceUnavailable)
		case m.redirect != "":
			http.Redirect(w, r, m.redirect, http.StatusFound)
		case strings.HasSuffix(r.URL.Path, "/v6/latest.json"):
			_ = json.NewEncoder(w).Encode(m.latest)
		case strings.HasSuffix(r.URL.Path, ".tar.zst"):
			m.archived(w, r)
		default:
			http.NotFound(w, r)
		}
	})
	if tls {
		m.Server = httptest.NewTLSServer(h)
	} else {
		m.Server = httptest.NewServer(h)
	}
	t.Cleanup(m.Close)
	return m
}

func (m *mirror) source(t *testing.T) Source {
	t.Helper()
	s := source(t, m.URL+"/databases")
	if c := m.Certificate(); c != nil {
		s.CAFile = filepath.Join(t.TempDir(), "ca.pem")
		if err := os.WriteFile(s.CAFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

func TestADatabaseIsFetchedOnceAndAskedForNowAndThen(t *testing.T) {
	m := newMirror(t, true)
	s := m.source(t)
	facts := open(t, s).Facts()
	if facts.Digest != m.latest["checksum"] || len(m.requests) != 2 {
		t.Errorf("%+v after %q", facts, m.requests)
	}
	m.requests = nil
	open(t, s)
	if len(m.requests) > 0 {
		t.Errorf("asked again at once: %q", m.requests)
	}
	s.Now = s.Now.Add(3 * time.Hour)
	open(t, s)
	if len(m.requests) != 1 {
		t.Errorf("after three hours: %q", m.requests)
	}
	m.down, s.Now = true, s.Now.Add(3*time.Hour)
	open(t, s) // what is there serves
	s.Offline, m.requests = true, nil
	open(t, s)
	if len(m.requests) > 0 {
		t.Errorf("offline, and asked: %q", m.requests)
	}
	s.Now = built.Add(DefaultMaxAge + time.Hour)
	if e := refused(t, s); e.ID != Stale {
		t.Error(e)
	}
	s.Cache = t.TempDir()
	if e := refused(t, s); e.ID != Missing {
		t.Error(e)
	}
}

func TestALyingMirrorIsRefused(t *testing.T) { // VDB-01
	rows := map[string]struct {
		change func(m *mirror, s *Source)
		id     string
		says   string
	}{
		"another archive":        {func(m *mirror, _ *Source) { m.archive = append(m.archive, 0) }, Damaged, "states sha256:"},
		"an archive cut off":     {func(m *mirror, _ *Source) { m.archive = m.archive[:len(m.archive)-1] }, Damaged, "states sha256:"},
		"no checksum":            {func(m *mirror, _ *Source) { delete(m.latest, "checksum") }, Damaged, "a sha256 is due"},
		"a weak checksum":        {func(m *mirror, _ *Source) { m.latest["checksum"] = "md5:d41d8cd98f00b204e9800998ecf8427e" }, Damaged, "a sha256 is due"},
		"a path outside":         {func(m *mirror, _ *Source) { m.latest["path"] = "../../x.tar.zst" }, Refused, "leads elsewhere"},
		"an absolute path":       {func(m *mirror, _ *Source) { m.latest["path"] = "/x.tar.zst" }, Refused, "leads elsewhere"},
		"a schema of the future": {func(m *mirror, _ *Source) { m.latest["schemaVersion"] = "v7.0.0" }, Schema, "schema v7.0.0"},
		"an old database as new": {func(m *mirror, s *Source) {
			m.latest["built"] = "2030-01-01T00:00:00Z"
			s.Now = built.Add(DefaultMaxAge * 2)
		}, Stale, "built 2026-01-15"},
		"a redirect to plain":     {func(m *mirror, _ *Source) { m.redirect = "http://mirror.example/latest.json" }, Refused, "away from https"},
		"a redirect in a circle":  {func(m *mirror, _ *Source) { m.redirect = "/" }, Unreachable, "redirects"},
		"an error":                {func(m *mirror, _ *Source) { m.down = true }, Unreachable, "503"},
		"an unknown certificate":  {func(_ *mirror, s *Source) { s.CAFile = "" }, Unreachable, "certificate"},
		"plain http":              {func(_ *mirror, s *Source) { s.From = "http://mirror.example/databases" }, Refused, "https"},
		"a file as an address":    {func(_ *mirror, s *Source) { s.From = "file:///etc/passwd" }, Refused, ""},
		"git as an address":       {func(_ *mirror, s *Source) { s.From = "git::https://mirror.example/x" }, Refused, ""},
		"S3 as an address":        {func(_ *mirror, s *Source) { s.From = "s3://bucket/x" }, Refused, "https"},
		"an address in the clear": {func(_ *mirror, s *Source) { s.From = "http://me:secret@mirror.example" }, Refused, "https"},
	}
	for name, row := range rows {
		t.Run(name, func(t *testing.T) {
			m := newMirror(t, true)
			s := m.source(t)
			row.change(m, &s)
			e := refused(t, s)
			if e.ID != row.id || !strings.Contains(e.Error(), row.says) {
				t.Errorf("%s: %v", e.ID, e)
			}
			if strings.Contains(e.Error(), "secret") {
				t.Errorf("a password is told: %v", e)
			}
			nothingLeft(t, s)
		})
	}
}

func TestADownloadThatIsCutOffGoesOn(t *testing.T) { // VDB-01
	for name, row := range map[string]struct {
		cuts  int
		whole bool
		asked int // requests for the archive
	}{
		"once":                                {1, false, 2},
		"again and again":                     {3, false, 4},
		"by a server that serves files whole": {1, true, 2},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMirror(t, true)
			m.cuts, m.whole = row.cuts, row.whole
			s := m.source(t)
			if facts := open(t, s).Facts(); facts.Digest != m.latest["checksum"] {
				t.Errorf("%+v", facts)
			}
			quarter := len(m.archive) / 4
			if len(m.requests) != 1+row.asked || !strings.HasSuffix(m.requests[2], fmt.Sprintf(" bytes=%d-", quarter)) {
				t.Errorf("asked for %q", m.requests)
			}
			nothingLeft(t, s)
		})
	}
	t.Run("for good", func(t *testing.T) {
		m := newMirror(t, true)
		m.cuts, m.whole = 100, true
		s := m.source(t)
		if e := refused(t, s); e.ID != Unreachable || len(m.requests) != 1+maxTries {
			t.Errorf("%v, after %q", e, m.requests)
		}
		nothingLeft(t, s)
	})
}

// nothingLeft fails for a part of a download.
func nothingLeft(t *testing.T, s Source) {
	t.Helper()
	for _, pattern := range []string{"download-*", "sets/unpacking-*"} {
		if left, err := filepath.Glob(filepath.Join(s.Cache, pattern)); err != nil || len(left) > 0 {
			t.Errorf("left behind: %q, %v", left, err)
		}
	}
}

// A server that says nothing is unreachable; nobody has interrupted anything.
func TestASilentServerIsUnreachable(t *testing.T) { // VDB-01
	for _, drips := range []bool{false, true} {
		m := newMirror(t, true)
		m.silent, m.drips = !drips, drips
		s := m.source(t)
		s.silence = 100 * time.Millisecond
		if e := refused(t, s); e.ID != Unreachable || !strings.Contains(e.Error(), "says nothing") || errors.Is(e, context.Canceled) {
			t.Errorf("%s: %v", e.ID, e)
		}
	}
}

func TestAnAddressTellsNoSecret(t *testing.T) { // SBM-02
	m := newMirror(t, true)
	m.Close()
	for _, from := range []string{strings.Replace(m.URL, "://", "://me:secret@", 1) + "/db?sig=secret", "http://mirror.example/db?sig=secret", "https://me:secret@[::1", "ftp://me:secret@mirror.example"} {
		s := source(t, from)
		if e := refused(t, s); strings.Contains(e.Error()+e.Hint(), "secret") {
			t.Errorf("%v", e)
		}
	}
}

func TestAMirrorThatFallsBackIsNotFollowed(t *testing.T) {
	m := newMirror(t, true)
	s := m.source(t)
	first := open(t, s).Facts()
	older := database(t, func(r *advisories.Records) { r.Python = r.Python[:1] })
	path := filepath.Join(t.TempDir(), "db.tar.zst")
	if err := errors.Join(advisories.Change(older, "UPDATE db_metadata SET build_timestamp = ?", built.Add(-time.Hour)), advisories.Pack(older, path)); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	m.archive, m.latest["built"], m.latest["checksum"] = raw, built.Add(-time.Hour).Format(time.RFC3339), fmt.Sprintf("sha256:%x", sha256.Sum256(raw))
	s.Now = s.Now.Add(3 * time.Hour)
	if again := open(t, s).Facts(); again != first {
		t.Errorf("%+v, after %+v", again, first)
	}
	remove(t, filepath.Join(s.Cache, "sets")) // then what the mirror has is all there is
	if facts := open(t, s).Facts(); facts.Digest != m.latest["checksum"] {
		t.Errorf("%+v", facts)
	}
	m.requests = nil
	open(t, s)
	if len(m.requests) > 0 {
		t.Errorf("fetched once more: %q", m.requests)
	}
}

func TestPlainHTTPIsTakenFromThisMachineAlone(t *testing.T) {
	open(t, newMirror(t, false).source(t)) // a tunnel or a proxy that listens on loopback
}

func TestASlowServerCanBeInterrupted(t *testing.T) {
	gone := make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusOK)
		w.(http.Flusher).Flush()
		<-r.Context().Done()
		close(gone)
	}))
	defer srv.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	if _, err := Open(ctx, source(t, srv.URL)); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}
	<-gone
}
