package fetch

import (
	"context"
	"errors"
	"io/fs"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/forge-build/forge/recipes"
	"github.com/forge-build/forge/recipes/lock"
)

const debContent = "!<arch>\nnot really"

var libc = lock.Deb{
	Name: "libc6", Version: "2.41-12", Architecture: "amd64", Archive: "debian", Path: "pool/main/g/glibc/libc6_2.41-12+b~1_amd64.deb",
	Size: int64(len(debContent)), SHA256: sumOf([]byte(debContent)),
}

// locked is a lock's Debian part: three suites, two of them published at one time.
var locked = &lock.Image{AsOf: "2025-09-08T23:59:59Z", Debian: &lock.Debian{Suite: "trixie", Archives: []lock.Archive{
	{Name: "debian", Suite: "trixie", Date: "2025-09-06T08:50:00Z"},
	{Name: "debian", Suite: "trixie-updates", Date: "2025-09-08T14:20:00Z"},
	{Name: "debian", Suite: "trixie-backports", Date: "2025-09-08T14:20:00Z"},
	{Name: "debian-security", Suite: "trixie-security", Date: "2025-09-07T00:00:00Z"},
}}}

func (w *world) deb(im *recipes.Image) error {
	w.Helper()
	path, err := w.f.Deb(context.Background(), libc, im, locked)
	if err != nil {
		return err
	}
	if b, err := os.ReadFile(path); err != nil || string(b) != debContent {
		w.Errorf("%s holds other bytes (%v)", path, err)
	}
	return nil
}

func TestDebComesFromTheFirstThatHasIt(t *testing.T) {
	w := newWorld(t)
	im := &recipes.Image{Debian: &recipes.Debian{Mirror: "http://recipe.test/debian/"}}
	w.env["FORGE_DEBIAN_MIRROR"] = "http://forge.test/debian"
	w.f.set.addArchive("http://apt.test/debian", []string{"trixie"}, "x:1")
	w.plain("recipe.test", http.NotFound)
	w.plain("forge.test", func(rw http.ResponseWriter, r *http.Request) { rw.WriteHeader(503) })
	w.plain("apt.test", serve(strings.ToUpper(debContent)))
	w.host("snapshot.debian.org", func(rw http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/archive/debian/20250908T142000Z/") {
			serve(debContent)(rw, r)
			return
		}
		http.NotFound(rw, r)
	})
	w.host("snapshot-cloudflare.debian.org", http.NotFound)
	if err := w.deb(im); err != nil {
		t.Fatal(err)
	}
	pool := "/pool/main/g/glibc/libc6_2.41-12+b~1_amd64.deb"
	forge := "forge.test GET /debian" + pool
	w.wantRequests("recipe.test GET /debian"+pool, forge, forge, forge, forge, forge, "apt.test GET /debian"+pool,
		"snapshot.debian.org GET /archive/debian/20250908T235959Z"+pool, "snapshot-cloudflare.debian.org GET /archive/debian/20250908T235959Z"+pool,
		"snapshot.debian.org GET /archive/debian/20250909T142000Z"+pool, "snapshot-cloudflare.debian.org GET /archive/debian/20250909T142000Z"+pool,
		"snapshot.debian.org GET /archive/debian/20250908T142000Z"+pool)
	if err := w.deb(im); err != nil || len(w.requests()) != 12 {
		t.Errorf("the second time: %d requests, %v", len(w.requests()), err)
	}
	// The next file: the host that did not answer is asked last.
	w.log = nil
	if _, err := w.f.File(context.Background(), []string{"http://forge.test/x", "https://snapshot.debian.org/archive/debian/20250908T142000Z/x"}, "x", sumOf(nil), 0); err == nil {
		t.Error("other bytes were taken")
	}
	if r := w.requests(); !strings.HasPrefix(r[0], "snapshot.debian.org ") {
		t.Errorf("asked first: %s", r[0])
	}
}

func TestDebIsGone(t *testing.T) {
	w := newWorld(t)
	w.env["FORGE_DEBIAN_MIRROR"] = "https://me:geheim@forge.test/debian"
	w.host("forge.test", http.NotFound)
	w.host("snapshot.debian.org", http.NotFound)
	w.host("snapshot-cloudflare.debian.org", http.NotFound)
	err := w.deb(nil)
	var g *GoneError
	if !errors.As(err, &g) || !errors.Is(err, fs.ErrNotExist) || g.Package != "libc6" || g.Version != "2.41-12" || len(g.Tried) != 11 {
		t.Fatalf("error is %v", err)
	}
	if text := err.Error(); !strings.HasPrefix(text, "libc6 2.41-12 (libc6_2.41-12+b~1_amd64.deb): no source serves it: tried https://forge.test/debian/pool/") || strings.Contains(text, "geheim") {
		t.Errorf("error is %q", text)
	}
	w.nothingKept()
}

// Downloads run beside each other, and the first that fails ends the others: what it found out
// about its file is not said of theirs.
func TestAnEndedDownloadSaysNothingOfAnotherFile(t *testing.T) {
	w := newWorld(t)
	other := &GoneError{Package: "other", Version: "1", File: "other_1_amd64.deb", Tried: []string{"https://x.test/other"}}
	ctx, cancel := context.WithCancelCause(context.Background())
	w.env["FORGE_DEBIAN_MIRROR"] = "https://forge.test/debian"
	w.host("forge.test", func(rw http.ResponseWriter, r *http.Request) {
		cancel(other)
		<-r.Context().Done()
	})
	_, err := w.f.Deb(ctx, libc, nil, locked)
	var g *GoneError
	if !errors.Is(err, context.Canceled) || errors.As(err, &g) || other.Package != "other" {
		t.Errorf("%v; %v", err, other)
	}
}

func TestDebThatNobodyCanSend(t *testing.T) {
	w := newWorld(t)
	w.env["FORGE_DEBIAN_MIRROR"] = "http://forge.test/debian"
	w.plain("forge.test", serve(strings.ToUpper(debContent)))
	w.host("snapshot.debian.org", http.NotFound)
	err := w.deb(nil) // and the second snapshot host does not exist
	var h *HashError
	var g *GoneError
	if !errors.As(err, &h) || h.Want != libc.SHA256 || !errors.As(err, &g) || len(g.Tried) != 5 || !strings.Contains(err.Error(), "no such host in this test") {
		t.Errorf("error is %v", err)
	}
	w.nothingKept()
}

// A lock that states another size for the bytes that are held contradicts itself: nobody is asked.
func TestDebOfAnotherSize(t *testing.T) {
	w := newWorld(t)
	w.env["FORGE_DEBIAN_MIRROR"] = "http://forge.test/debian"
	w.plain("forge.test", serve(debContent))
	if err := w.deb(nil); err != nil {
		t.Fatal(err)
	}
	asked := len(w.requests())
	other := libc
	other.Size++
	_, err := w.f.Deb(context.Background(), other, nil, nil)
	var h *HashError
	if !errors.As(err, &h) || !h.Held || h.GotSize != libc.Size || h.WantSize != other.Size || h.Hint() != "forge lock --upgrade-base chooses the Debian packages anew" || len(w.requests()) != asked {
		t.Errorf("error is %v after %d requests", err, len(w.requests())-asked)
	}
}

func TestDebPathStaysInTheArchive(t *testing.T) {
	w := newWorld(t)
	for _, p := range []string{"../x.deb", "/x.deb", "pool/../../x.deb", "pool//x.deb", "", "pool/x.deb?y", "pool/%2e%2e/x", `pool\x`} {
		d := libc
		d.Path = p
		_, err := w.f.Deb(context.Background(), d, nil, locked)
		wantID(t, err, "IDX-02", "libc6: ")
	}
}

func TestArchives(t *testing.T) {
	w := newWorld(t)
	w.f.now = func() time.Time { return time.Date(2026, 1, 2, 3, 4, 5, 0, time.FixedZone("", 3600)) }
	w.f.set.addArchive("http://apt.test/debian", []string{"trixie"}, "x:1")
	w.f.set.Configure(Config{Archives: map[string][]string{"debian": {"https://me:geheim@file.test/debian/"}, "debian-security": {"ftp://bad.test/debian-security"}}})
	im := &recipes.Image{Debian: &recipes.Debian{Mirror: "https://recipe.test/debian", Archives: []recipes.Archive{{Name: "acme", URL: "https://acme.test/deb/"}}}}
	pinned := &recipes.Image{Debian: &recipes.Debian{Mirror: "https://recipe.test/debian", Snapshot: "2025-09-01T00:00:00Z"}}
	at := func(name, when string) []string {
		return []string{"https://snapshot.debian.org/archive/" + name + "/" + when, "https://snapshot-cloudflare.debian.org/archive/" + name + "/" + when}
	}
	for _, c := range []struct {
		name string
		im   *recipes.Image
		want []string
	}{
		{"debian", nil, append([]string{"https://file.test/debian", "http://apt.test/debian"}, at("debian", "20260102T020405Z")...)},
		{"debian", im, append([]string{"https://recipe.test/debian", "https://file.test/debian", "http://apt.test/debian"}, at("debian", "20260102T020405Z")...)},
		{"debian-security", im, append([]string{"https://recipe.test/debian-security"}, at("debian-security", "20260102T020405Z")...)},
		{"acme", im, []string{"https://acme.test/deb"}},
		{"acme", nil, nil},
		{"debian", pinned, at("debian", "20250901T000000Z")},
		{"debian-security", pinned, at("debian-security", "20250901T000000Z")},
	} {
		if diff := cmp.Diff(c.want, w.f.Archives(c.name, "trixie", c.im)); diff != "" {
			t.Errorf("%s: %s", c.name, diff)
		}
	}
}

func TestGet(t *testing.T) {
	w := newWorld(t)
	root := w.plain("a.test", func(rw http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/InRelease" {
			http.NotFound(rw, r)
			return
		}
		serve("0123456789")(rw, r)
	})
	if b, err := w.f.Get(context.Background(), root+"/InRelease", 10); err != nil || string(b) != "0123456789" {
		t.Errorf("at the limit: %q, %v", b, err)
	}
	_, err := w.f.Get(context.Background(), root+"/InRelease", 9)
	wantID(t, err, "IDX-03", "http://a.test/InRelease", "larger than 9 bytes")
	if _, err := w.f.Get(context.Background(), root+"/x", 10); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("an absent file: %v", err)
	}
	_, err = w.f.Get(context.Background(), "gopher://a.test/x", 10)
	wantID(t, err, "IDX-02")
}
