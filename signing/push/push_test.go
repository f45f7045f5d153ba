package push

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/validate"
)

var background = context.Background()

// What arrives is read back by another client.
func TestPushBringsAnImageByDigestAndNoTag(t *testing.T) {
	w := newWorld(t)
	dir, im := image(t, 100_000, 3)
	src, d := open(t, dir)
	repo := w.repo(t, "team/image")
	sent, err := client(t).Push(background, src, d, repo, nil)
	if err != nil {
		t.Fatal(err)
	}
	back, err := remote.Image(repo.Digest(d.Digest.String()))
	if err == nil {
		err = validate.Image(back)
	}
	if err != nil {
		t.Fatal(err)
	}
	if must(im.Digest()) != must(back.Digest()) || sent.Blobs != 4 {
		t.Errorf("sent %+v, came back as %s", sent, must(back.Digest()))
	}
	if tags, err := remote.List(repo); err != nil || len(tags) != 0 {
		t.Errorf("tags %v, %v", tags, err)
	}
	if err := client(t).Tag(background, repo.Digest(d.Digest.String()), "1.0"); err != nil {
		t.Fatal(err)
	}
	got, err := client(t).Resolve(background, repo.Tag("1.0"))
	if err != nil || got.Descriptor.Digest != d.Digest {
		t.Errorf("the tag names %v, %v", got, err)
	}
}

func TestPushBringsAnIndexAndItsChildren(t *testing.T) {
	w := newWorld(t)
	src, d := open(t, index(t))
	repo := w.repo(t, "team/image")
	if _, err := client(t).Push(background, src, d, repo, nil); err != nil {
		t.Fatal(err)
	}
	back, err := remote.Index(repo.Digest(d.Digest.String()))
	if err == nil {
		err = validate.Index(back)
	}
	if err != nil {
		t.Error(err)
	}
}

func TestPushSendsOnlyWhatIsMissing(t *testing.T) {
	w := newWorld(t)
	dir, im := image(t, 200_000, 3)
	src, d := open(t, dir)
	repo := w.repo(t, "team/image")
	c := client(t)
	if _, err := c.Push(background, src, d, repo, nil); err != nil {
		t.Fatal(err)
	}
	w.reset()
	sent, err := c.Push(background, src, d, repo, nil)
	if err != nil || sent.Bytes != 0 || w.count("PATCH") != 0 || w.count("POST") != 0 {
		t.Errorf("an unchanged image: %+v, %v, %v", sent, err, w.requests)
	}
	layer := must(random.Layer(5_000, "application/vnd.oci.image.layer.v1.tar+gzip"))
	changed := must(mutate.AppendLayers(im, layer))
	src, d = open(t, write(t, changed))
	sent, err = c.Push(background, src, d, repo, nil)
	size := must(layer.Size()) + int64(len(must(changed.RawConfigFile())))
	if err != nil || sent.Bytes != size || sent.Blobs != 2 || sent.Held != 3 {
		t.Errorf("one layer more: %+v, %v; %d bytes are due", sent, err, size)
	}
}

func TestPushMountsFromAnotherRepository(t *testing.T) {
	w := newWorld(t)
	dir, _ := image(t, 200_000, 3)
	src, d := open(t, dir)
	c := client(t)
	first, second := w.repo(t, "team/first"), w.repo(t, "team/second")
	if _, err := c.Push(background, src, d, first, nil); err != nil {
		t.Fatal(err)
	}
	// This registry keeps the blobs of all repositories together: a HEAD would find them.
	w.before = func(rw http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodHead && strings.Contains(r.URL.Path, "/team/second/blobs/") {
			rw.WriteHeader(404)
			return true
		}
		if q := r.URL.Query(); r.Method == http.MethodPost && q.Get("from") == "team/first" && q.Get("mount") != "" {
			rw.WriteHeader(201)
			return true
		}
		return false
	}
	w.reset()
	sent, err := c.Push(background, src, d, second, []name.Repository{first, w.repo(t, "team/second")})
	if err != nil || sent.Bytes != 0 || w.count("PATCH") != 0 || w.count("POST") != 4 {
		t.Errorf("%+v, %v, %v", sent, err, w.requests)
	}
}

// A layout whose bytes do not match never ends as an image, whatever the registry looks at.
func TestPushOfChangedBytesEndsBeforeTheManifest(t *testing.T) {
	for _, what := range []string{"layer", "config", "manifest", "child", "short layer"} {
		t.Run(what, func(t *testing.T) {
			w := newWorld(t)
			w.before = func(rw http.ResponseWriter, r *http.Request) bool {
				// A registry that checks nothing.
				if r.Method == http.MethodPut && strings.Contains(r.URL.Path, "/blobs/uploads/") {
					rw.WriteHeader(201)
					return true
				}
				return false
			}
			dir, im := image(t, 50_000, 2)
			h := must(must(im.Layers())[1].Digest())
			switch what {
			case "config":
				h = must(im.ConfigName())
			case "manifest":
				h = must(im.Digest())
			case "child":
				dir = index(t)
				l, d := open(t, dir)
				h = must(l.Document(background, d.Digest, "")).Manifests[1].Digest
			}
			src, d := open(t, dir)
			damage(t, dir, h)
			if what == "short layer" {
				if err := os.Truncate(filepath.Join(dir, "blobs", "sha256", h.Hex), 10); err != nil {
					t.Fatal(err)
				}
			}
			_, err := client(t).Push(background, src, d, w.repo(t, "team/image"), nil)
			var mismatch *MismatchError
			var refused *Error
			if !errors.As(err, &mismatch) && !errors.As(err, &refused) {
				t.Errorf("error %v", err)
			}
			if n := w.count("PUT /v2/team/image/manifests/"); n != 0 {
				t.Errorf("%d manifests were written", n)
			}
		})
	}
}

func TestPushGoesOnWhereAnUploadBroke(t *testing.T) {
	w := newWorld(t)
	dir, im := image(t, 3<<20, 1)
	src, d := open(t, dir)
	var mu sync.Mutex
	sessions := map[string][]byte{} // kept by the registry: it takes half of the first attempt
	broken := 0
	w.before = func(rw http.ResponseWriter, r *http.Request) bool {
		mu.Lock()
		defer mu.Unlock()
		if !strings.Contains(r.URL.Path, "/blobs/uploads/") || r.Method == http.MethodPost {
			return false
		}
		switch r.Method {
		case http.MethodPatch:
			if r.ContentLength < 1<<20 && broken == 0 {
				return false // the config
			}
			buf := make([]byte, 64<<10)
			for {
				n, err := r.Body.Read(buf)
				sessions[r.URL.Path] = append(sessions[r.URL.Path], buf[:n]...)
				if broken == 0 && len(sessions[r.URL.Path]) > 1<<20 {
					broken++
					conn, _, err := http.NewResponseController(rw).Hijack()
					if err == nil {
						_ = conn.Close()
					}
					return true
				}
				if err != nil {
					break
				}
			}
			rw.Header().Set("Location", r.URL.Path)
			rw.WriteHeader(202)
			return true
		case http.MethodGet:
			rw.Header().Set("Range", "0-"+strconv.Itoa(len(sessions[r.URL.Path])-1))
			rw.Header().Set("Location", r.URL.Path)
			rw.WriteHeader(204)
			return true
		case http.MethodPut:
			raw, ok := sessions[r.URL.Path]
			if !ok {
				return false
			}
			if got := sum(raw); got.String() != r.URL.Query().Get("digest") {
				t.Errorf("the pieces have the digest %s", got)
			}
			rw.WriteHeader(201)
			return true
		}
		return false
	}
	size := must(must(im.Layers())[0].Size())
	sent, err := client(t).Push(background, src, d, w.repo(t, "team/image"), nil)
	if err != nil {
		t.Fatal(err)
	}
	if broken != 1 || sent.Bytes > size+size/2+(1<<20) {
		t.Errorf("broken %d times, sent %d bytes of %d", broken, sent.Bytes, size)
	}
	if n := w.count("POST"); n != 2 {
		t.Errorf("%d sessions for two blobs", n)
	}
}

func TestPushTriesAgainWhatMayBeTemporary(t *testing.T) {
	w := newWorld(t)
	var mu sync.Mutex
	seen := map[string]int{}
	w.before = func(rw http.ResponseWriter, r *http.Request) bool {
		mu.Lock()
		defer mu.Unlock()
		key := r.Method + r.URL.Path
		if before, _, ok := strings.Cut(key, "/uploads/"); ok {
			key = before // a new session is not a new failure
		}
		if seen[key]++; seen[key] == 1 {
			rw.WriteHeader(503)
			return true
		}
		return false
	}
	dir, _ := image(t, 10_000, 3)
	src, d := open(t, dir)
	if _, err := client(t).Push(background, src, d, w.repo(t, "team/image"), nil); err != nil {
		t.Error(err)
	}
}

// A28: a registry that sends a byte now and then would hold a pull for years.
func TestATricklingBlobEnds(t *testing.T) {
	w := newWorld(t)
	dir, im := image(t, 200_000, 1)
	src, d := open(t, dir)
	repo := w.repo(t, "team/image")
	if _, err := client(t).Push(background, src, d, repo, nil); err != nil {
		t.Fatal(err)
	}
	size := must(must(im.Layers())[0].Size())
	w.before = func(rw http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodGet || !strings.Contains(r.URL.Path, "/blobs/") {
			return false
		}
		rw.Header().Set("Content-Length", strconv.FormatInt(size, 10))
		for r.Context().Err() == nil {
			if _, err := rw.Write([]byte{0}); err != nil {
				break
			}
			_ = http.NewResponseController(rw).Flush()
			time.Sleep(2 * time.Millisecond)
		}
		return true
	}
	c := client(t)
	c.stall, c.tries = time.Second, 1
	r, err := c.At(repo).Blob(background, v1.Descriptor{Digest: must(must(im.Layers())[0].Digest()), Size: size})
	if err == nil {
		_, err = io.Copy(io.Discard, r)
		_ = r.Close()
	}
	if !errors.Is(err, errStall) {
		t.Errorf("%v", err)
	}
}

// A registry that is busy says for how long.
func TestPushWaitsAsLongAsItIsAsked(t *testing.T) {
	w := newWorld(t)
	busy := 0
	w.before = func(rw http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodPost || busy > 0 {
			return false
		}
		busy++
		rw.Header().Set("Retry-After", "1")
		rw.WriteHeader(429)
		return true
	}
	dir, _ := image(t, 1000, 1)
	src, d := open(t, dir)
	c, start := client(t), time.Now()
	c.jobs = 1
	if _, err := c.Push(background, src, d, w.repo(t, "team/image"), nil); err != nil || time.Since(start) < time.Second {
		t.Errorf("%v after %s", err, time.Since(start))
	}
	now := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	for header, want := range map[string]time.Duration{"": 0, "7": 7 * time.Second, "-7": 0, "99999999999": time.Hour, "99999999999999999999": 0, "soon": 0,
		"Wed, 25 Nov 2026 12:00:09 GMT": 9 * time.Second, "Wed, 25 Nov 2026 11:00:00 GMT": 0} {
		if got := later(header, now); got != want {
			t.Errorf("%q: %s", header, got)
		}
	}
}

func TestPushStopsAtWhatIsNotTemporary(t *testing.T) {
	for code, want := range map[int]string{401: "docker login", 403: "docker login", 500: "answers 500", 404: "answers 404"} {
		w := newWorld(t)
		w.before = func(rw http.ResponseWriter, r *http.Request) bool {
			if r.Method != http.MethodPost {
				return false
			}
			rw.WriteHeader(code)
			_, _ = rw.Write([]byte("{\"errors\":[{\"code\":\"X\",\"message\":\"evil\x1b[2J\"}]}"))
			return true
		}
		dir, _ := image(t, 1000, 1)
		src, d := open(t, dir)
		_, err := client(t).Push(background, src, d, w.repo(t, "team/image"), nil)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\x1b") {
			t.Errorf("%d: %v", code, err)
		}
	}
}

// A registry that goes silent in the middle is given up.
func TestPushDoesNotWaitForEver(t *testing.T) {
	w := newWorld(t)
	release := make(chan struct{})
	w.before = func(rw http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodPatch {
			return false
		}
		<-release
		return true
	}
	t.Cleanup(func() { close(release) })
	dir, _ := image(t, 1000, 1)
	src, d := open(t, dir)
	c := client(t)
	c.stall, c.tries = 50*time.Millisecond, 2
	if _, err := c.Push(background, src, d, w.repo(t, "team/image"), nil); !errors.Is(err, errStall) {
		t.Error(err)
	}
}

// A31, OCI-03: an upload's location or a redirect on another host gets no credentials.
func TestPushGivesAnotherHostNoCredentials(t *testing.T) {
	w := newWorld(t)
	var elsewhere []http.Header
	var mu sync.Mutex
	other := newWorld(t)
	other.before = func(rw http.ResponseWriter, r *http.Request) bool {
		mu.Lock()
		defer mu.Unlock()
		elsewhere = append(elsewhere, r.Header)
		rw.WriteHeader(500)
		return true
	}
	repo := w.repo(t, "team/image")
	login(t, repo.RegistryStr())
	w.before = func(rw http.ResponseWriter, r *http.Request) bool {
		user, _, _ := r.BasicAuth()
		switch {
		case user != "alice":
			rw.Header().Set("WWW-Authenticate", `Basic realm="x"`)
			rw.WriteHeader(401)
			return true
		case r.Method == http.MethodPost:
			rw.Header().Set("Location", other.URL+"/v2/upload")
			rw.WriteHeader(202)
			return true
		case r.Method == http.MethodGet && strings.Contains(r.URL.Path, "manifests"):
			rw.Header().Set("Location", other.URL+r.URL.Path)
			rw.WriteHeader(307)
			return true
		}
		return false
	}
	dir, _ := image(t, 1000, 1)
	src, d := open(t, dir)
	if _, err := client(t).Push(background, src, d, repo, nil); err == nil {
		t.Error("pushed")
	}
	if _, err := client(t).Manifest(background, repo.Digest(d.Digest.String())); err == nil {
		t.Error("read")
	}
	if len(elsewhere) == 0 {
		t.Fatal("the other host was not asked")
	}
	for _, h := range elsewhere {
		if h.Get("Authorization") != "" {
			t.Errorf("the other host got %q", h.Get("Authorization"))
		}
	}
}

// OCI-01, A26: bytes decide, not what the registry says of them.
func TestAManifestWithOtherBytesIsRefused(t *testing.T) {
	w := newWorld(t)
	dir, _ := image(t, 1000, 1)
	src, d := open(t, dir)
	repo := w.repo(t, "team/image")
	if _, err := client(t).Push(background, src, d, repo, nil); err != nil {
		t.Fatal(err)
	}
	second, _ := image(t, 1000, 1)
	_, other := open(t, second)
	w.before = func(rw http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodGet || !strings.Contains(r.URL.Path, "/manifests/") {
			return false
		}
		rw.Header().Set("Docker-Content-Digest", other.Digest.String())
		return false
	}
	if _, err := client(t).Manifest(background, repo.Digest(other.Digest.String())); err == nil {
		t.Error("an absent manifest was read")
	}
	w.before = func(rw http.ResponseWriter, r *http.Request) bool {
		if strings.Contains(r.URL.Path, "/manifests/") {
			rw.Header().Set("Docker-Content-Digest", d.Digest.String())
			_, _ = rw.Write([]byte(`{"schemaVersion":2}`))
			return true
		}
		return false
	}
	var mismatch *MismatchError
	if _, err := client(t).Manifest(background, repo.Digest(d.Digest.String())); !errors.As(err, &mismatch) {
		t.Error(err)
	}
}
