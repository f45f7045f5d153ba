package signing

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sigstore/sigstore/pkg/signature"
	"github.com/theupdateframework/go-tuf/v2/metadata"
)

// tufRepository is a TUF repository that holds a trusted root.
type tufRepository struct {
	t       *testing.T
	key     ed25519.PrivateKey
	version int64
	expires time.Time
	mu      sync.Mutex
	files   map[string][]byte
	server  *httptest.Server
}

func newRepository(t *testing.T) *tufRepository {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	r := &tufRepository{t: t, key: key, expires: time.Now().Add(24 * time.Hour), files: map[string][]byte{}}
	r.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		r.mu.Lock()
		defer r.mu.Unlock()
		if data, ok := r.files[strings.TrimPrefix(q.URL.Path, "/")]; ok {
			_, _ = w.Write(data)
			return
		}
		http.NotFound(w, q)
	}))
	t.Cleanup(r.server.Close)
	return r
}

func bytesOf[T metadata.Roles](r *tufRepository, m *metadata.Metadata[T]) []byte {
	r.t.Helper()
	s, err := signature.LoadSigner(r.key, crypto.Hash(0))
	if err != nil {
		r.t.Fatal(err)
	}
	if _, err := m.Sign(s); err != nil {
		r.t.Fatal(err)
	}
	raw, err := m.ToBytes(false)
	if err != nil {
		r.t.Fatal(err)
	}
	return raw
}

// put writes the repository anew, with a target, and returns its root.json.
func (r *tufRepository) put(name string, target []byte) []byte {
	r.t.Helper()
	r.version++
	key, err := metadata.KeyFromPublicKey(r.key.Public())
	if err != nil {
		r.t.Fatal(err)
	}
	root, targets, snapshot, timestamp := metadata.Root(r.expires), metadata.Targets(r.expires), metadata.Snapshot(r.expires), metadata.Timestamp(r.expires)
	for _, role := range []string{"root", "targets", "snapshot", "timestamp"} {
		if err := root.Signed.AddKey(key, role); err != nil {
			r.t.Fatal(err)
		}
	}
	file, err := metadata.TargetFile().FromBytes(name, target, "sha256")
	if err != nil {
		r.t.Fatal(err)
	}
	targets.Signed.Targets[name] = file
	targets.Signed.Version, snapshot.Signed.Version, timestamp.Signed.Version = r.version, r.version, r.version
	snapshot.Signed.Meta["targets.json"] = metadata.MetaFile(r.version)
	timestamp.Signed.Meta["snapshot.json"] = metadata.MetaFile(r.version)
	anchor := bytesOf(r, root)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.files["1.root.json"] = anchor
	r.files[fmt.Sprintf("%d.targets.json", r.version)] = bytesOf(r, targets)
	r.files[fmt.Sprintf("%d.snapshot.json", r.version)] = bytesOf(r, snapshot)
	r.files["timestamp.json"] = bytesOf(r, timestamp)
	r.files[fmt.Sprintf("targets/%x.%s", sha256.Sum256(target), name)] = target
	return anchor
}

func (r *tufRepository) fetch(anchor []byte, cache string) ([]byte, error) {
	return FetchRoot(r.t.Context(), RootSource{Mirror: r.server.URL, Anchor: anchor, Cache: cache})
}

// trusted is a trusted root's file.
func trusted(t *testing.T, mark string) []byte {
	t.Helper()
	raw, err := os.ReadFile("admission/testdata/root.json")
	if err != nil {
		t.Fatal(err)
	}
	return []byte(strings.Replace(string(raw), "https://rekor.acme.example", "https://"+mark+".acme.example", 1))
}

func TestARootIsFetchedThroughTUF(t *testing.T) {
	r, cache := newRepository(t), t.TempDir()
	anchor := r.put(rootTarget, trusted(t, "first"))
	raw, err := r.fetch(anchor, cache)
	if err != nil || !strings.Contains(string(raw), "first.acme") {
		t.Fatalf("%v %.80s", err, raw)
	}
	before := map[string][]byte{}
	for k, v := range r.files {
		before[k] = v
	}
	r.put(rootTarget, trusted(t, "second"))
	if raw, err = r.fetch(anchor, cache); err != nil || !strings.Contains(string(raw), "second.acme") {
		t.Fatalf("%v %.80s", err, raw)
	}
	// A38: what was seen once is not replaced by something older.
	r.mu.Lock()
	r.files = before
	r.mu.Unlock()
	if raw, err = r.fetch(anchor, cache); err == nil {
		t.Errorf("an older root was taken: %.80s", raw)
	}
	// Everything lies below the folder, under plain names.
	err = filepath.WalkDir(cache, func(path string, d os.DirEntry, err error) error {
		if rel, _ := filepath.Rel(cache, path); strings.Contains(rel, "..") {
			t.Errorf("%s", path)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

func TestAHostileRepositoryIsRefused(t *testing.T) {
	good := trusted(t, "good")
	for name, change := range map[string]func(*tufRepository) (anchor []byte){
		"another key": func(r *tufRepository) []byte {
			other := newRepository(t).put(rootTarget, good)
			r.put(rootTarget, good)
			return other
		},
		"an anchor that is junk": func(r *tufRepository) []byte { r.put(rootTarget, good); return []byte("{}") },
		"expired": func(r *tufRepository) []byte {
			r.expires = time.Now().Add(-time.Hour)
			return r.put(rootTarget, good)
		},
		"changed bytes": func(r *tufRepository) []byte {
			a := r.put(rootTarget, good)
			r.files[fmt.Sprintf("targets/%x.%s", sha256.Sum256(good), rootTarget)] = trusted(t, "evil")
			return a
		},
		"no such target":          func(r *tufRepository) []byte { return r.put("other.json", good) },
		"SIG-04 a target outside": func(r *tufRepository) []byte { return r.put("../"+rootTarget, good) },
		"a root that is none":     func(r *tufRepository) []byte { return r.put(rootTarget, []byte("{}")) },
		"an endless body (GHSA)": func(r *tufRepository) []byte {
			a := r.put(rootTarget, good)
			r.files["timestamp.json"] = make([]byte, 64<<20)
			return a
		},
		"a huge target": func(r *tufRepository) []byte {
			return r.put(rootTarget, append(make([]byte, 0, maxRoot+2), strings.Repeat(" ", maxRoot+1)...))
		},
		"metadata that is no JSON": func(r *tufRepository) []byte {
			a := r.put(rootTarget, good)
			r.files["timestamp.json"] = []byte("<html>")
			return a
		},
		"a deep document as trusted one": func(r *tufRepository) []byte { return r.put(rootTarget, []byte(strings.Repeat(`{"a":`, 100_000))) },
	} {
		t.Run(name, func(t *testing.T) {
			r, cache := newRepository(t), t.TempDir()
			if raw, err := r.fetch(change(r), cache); err == nil {
				t.Errorf("it was taken: %.80s", raw)
			}
			if _, err := os.Stat(filepath.Join(filepath.Dir(cache), rootTarget)); err == nil {
				t.Error("something was written outside the folder")
			}
		})
	}
	if _, err := FetchRoot(t.Context(), RootSource{Mirror: "http://tuf.example", Anchor: []byte("{}"), Cache: t.TempDir()}); err == nil {
		t.Error("a repository over plain http was asked")
	}
	if _, err := FetchRoot(t.Context(), RootSource{Mirror: "https://tuf.example", Cache: t.TempDir()}); err == nil {
		t.Error("a repository without an anchor was asked")
	}
}

func TestARootSaysWhomItNames(t *testing.T) {
	r, err := ParseRoot(trusted(t, "log"))
	if err != nil {
		t.Fatal(err)
	}
	parties := r.Parties(time.Date(2026, 11, 25, 0, 0, 0, 0, time.UTC))
	var kinds []string
	for _, p := range parties {
		kinds = append(kinds, p.Kind)
		if p.Closed || p.From.Year() != 2026 {
			t.Errorf("%+v", p)
		}
	}
	if got := strings.Join(kinds, ", "); got != "certificate authority, certificate log, time-stamp authority, transparency log" {
		t.Error(got)
	}
	for _, p := range r.Parties(time.Date(2099, 1, 1, 0, 0, 0, 0, time.UTC)) {
		if strings.Contains(p.Kind, "authority") && !p.Closed {
			t.Errorf("its certificate has ended: %+v", p)
		}
	}
}
