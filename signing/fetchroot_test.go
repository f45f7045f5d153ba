package signing

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/forge-build/forge/signing/signtest"
)

func fetch(t *testing.T, r *signtest.TUF, anchor []byte, cache string) ([]byte, error) {
	return FetchRoot(t.Context(), RootSource{Mirror: r.URL, Anchor: anchor, Cache: cache})
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
	r, cache := signtest.NewTUF(t), t.TempDir()
	anchor := r.Put(rootTarget, trusted(t, "first"))
	raw, err := fetch(t, r, anchor, cache)
	if err != nil || !strings.Contains(string(raw), "first.acme") {
		t.Fatalf("%v %.80s", err, raw)
	}
	before := map[string][]byte{}
	for k, v := range r.Files {
		before[k] = v
	}
	r.Put(rootTarget, trusted(t, "second"))
	if raw, err = fetch(t, r, anchor, cache); err != nil || !strings.Contains(string(raw), "second.acme") {
		t.Fatalf("%v %.80s", err, raw)
	}
	// A38: what was seen once is not replaced by something older.
	r.Mu.Lock()
	r.Files = before
	r.Mu.Unlock()
	if raw, err = fetch(t, r, anchor, cache); err == nil {
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
	for name, change := range map[string]func(*signtest.TUF) (anchor []byte){
		"another key": func(r *signtest.TUF) []byte {
			other := signtest.NewTUF(t).Put(rootTarget, good)
			r.Put(rootTarget, good)
			return other
		},
		"an anchor that is junk": func(r *signtest.TUF) []byte { r.Put(rootTarget, good); return []byte("{}") },
		"expired": func(r *signtest.TUF) []byte {
			r.Expires = time.Now().Add(-time.Hour)
			return r.Put(rootTarget, good)
		},
		"changed bytes": func(r *signtest.TUF) []byte {
			a := r.Put(rootTarget, good)
			r.Files[fmt.Sprintf("targets/%x.%s", sha256.Sum256(good), rootTarget)] = trusted(t, "evil")
			return a
		},
		"no such target":          func(r *signtest.TUF) []byte { return r.Put("other.json", good) },
		"SIG-04 a target outside": func(r *signtest.TUF) []byte { return r.Put("../"+rootTarget, good) },
		"a root that is none":     func(r *signtest.TUF) []byte { return r.Put(rootTarget, []byte("{}")) },
		"an endless body (GHSA)": func(r *signtest.TUF) []byte {
			a := r.Put(rootTarget, good)
			r.Files["timestamp.json"] = make([]byte, 64<<20)
			return a
		},
		"a huge target": func(r *signtest.TUF) []byte {
			return r.Put(rootTarget, append(make([]byte, 0, maxRoot+2), strings.Repeat(" ", maxRoot+1)...))
		},
		"metadata that is no JSON": func(r *signtest.TUF) []byte {
			a := r.Put(rootTarget, good)
			r.Files["timestamp.json"] = []byte("<html>")
			return a
		},
		"a deep document as trusted one": func(r *signtest.TUF) []byte { return r.Put(rootTarget, []byte(strings.Repeat(`{"a":`, 100_000))) },
	} {
		t.Run(name, func(t *testing.T) {
			r, cache := signtest.NewTUF(t), t.TempDir()
			if raw, err := fetch(t, r, change(r), cache); err == nil {
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
