package push

import (
	"encoding/base64"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"

	enter "github.com/forge-build/forge/recipes/registry"
)

// world is a registry that counts what it is asked.
type world struct {
	*httptest.Server
	mu       sync.Mutex
	requests []string // "PUT /v2/…"
	received int64    // bytes of bodies
	// before may answer a request itself.
	before func(rw http.ResponseWriter, r *http.Request) bool
}

func newWorld(t *testing.T, o ...registry.Option) *world {
	w := &world{}
	inner := registry.New(append(o, registry.Logger(log.New(io.Discard, "", 0)))...)
	w.Server = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w.mu.Lock()
		w.requests = append(w.requests, r.Method+" "+r.URL.Path)
		before := w.before
		w.mu.Unlock()
		r.Body = &counter{r.Body, w}
		if before == nil || !before(rw, r) {
			inner.ServeHTTP(rw, r)
		}
	}))
	t.Cleanup(w.Close)
	t.Setenv("DOCKER_CONFIG", t.TempDir())
	return w
}

type counter struct {
	io.ReadCloser
	w *world
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.ReadCloser.Read(p)
	c.w.mu.Lock()
	c.w.received += int64(n)
	c.w.mu.Unlock()
	return n, err
}

// count is how many requests begin so; the counters are set back.
func (w *world) count(prefix string) (n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, r := range w.requests {
		if strings.HasPrefix(r, prefix) {
			n++
		}
	}
	return n
}

func (w *world) reset() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.requests, w.received = nil, 0
}

func (w *world) repo(t *testing.T, path string) name.Repository {
	r, err := name.NewRepository(strings.TrimPrefix(w.URL, "http://") + "/" + path)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// client is in a hurry.
func client(t *testing.T) *Client {
	rt, err := enter.Transport("")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(rt.CloseIdleConnections)
	c := New(rt)
	c.Pause = 60 * time.Millisecond
	return c
}

// image writes a random image of some layers as a layout.
func image(t *testing.T, size int64, layers int64) (string, v1.Image) {
	im, err := random.Image(size, layers)
	if err == nil {
		im, err = mutate.ConfigFile(im, &v1.ConfigFile{OS: "linux", Architecture: "amd64", RootFS: must(im.ConfigFile()).RootFS})
	}
	if err != nil {
		t.Fatal(err)
	}
	return write(t, im), im
}

func write(t *testing.T, im v1.Image) string {
	dir := t.TempDir()
	p, err := layout.Write(dir, empty.Index)
	if err == nil {
		err = p.AppendImage(im)
	}
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// index writes an index of two random images as a layout.
func index(t *testing.T) string {
	dir := t.TempDir()
	var adds []mutate.IndexAddendum
	for _, arch := range []string{"amd64", "arm64"} {
		im, err := random.Image(1000, 2)
		if err == nil {
			im, err = mutate.ConfigFile(im, &v1.ConfigFile{OS: "linux", Architecture: arch, RootFS: must(im.ConfigFile()).RootFS})
		}
		if err != nil {
			t.Fatal(err)
		}
		adds = append(adds, mutate.IndexAddendum{Add: im, Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: arch}}})
	}
	p, err := layout.Write(dir, empty.Index)
	if err == nil {
		err = p.AppendIndex(mutate.AppendManifests(empty.Index, adds...))
	}
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

func open(t *testing.T, dir string) (*Layout, v1.Descriptor) {
	l, err := OpenLayout(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	d, err := l.Image()
	if err != nil {
		t.Fatal(err)
	}
	return l, d
}

// damage changes a byte of a blob without changing its size.
func damage(t *testing.T, dir string, h v1.Hash) {
	path := filepath.Join(dir, "blobs", "sha256", h.Hex)
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	raw[len(raw)-1] ^= 1
	if err := os.WriteFile(path, raw, 0o644); err != nil {
		t.Fatal(err)
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(fmt.Sprint("test set-up: ", err))
	}
	return v
}

// login makes Docker's configuration hold a password for a host.
func login(t *testing.T, host string) {
	dir := t.TempDir()
	t.Setenv("DOCKER_CONFIG", dir)
	auth := base64.StdEncoding.EncodeToString([]byte("alice:opensesame"))
	if err := os.WriteFile(filepath.Join(dir, "config.json"), []byte(`{"auths":{"`+host+`":{"auth":"`+auth+`"}}}`), 0o600); err != nil {
		t.Fatal(err)
	}
}
