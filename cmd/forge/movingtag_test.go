package main

import (
	"bytes"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/forge-build/forge/signing/signtest"
)

// OCI-07: a registry that says something else each time, by method, by what is accepted, or by
// who asks. What is pulled is what was verified, or nothing.
func TestARegistryThatSaysSomethingElseEachTime(t *testing.T) {
	t.Setenv("DOCKER_CONFIG", t.TempDir())
	var mu sync.Mutex
	var answer func(w http.ResponseWriter, r *http.Request) bool // true: it has answered
	h := signtest.Handler(signtest.Conforming)
	host := signtest.Serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		done := answer != nil && answer(w, r)
		mu.Unlock()
		if !done {
			h.ServeHTTP(w, r)
		}
	}))
	repo := signtest.Repository(t, host, "team/train")
	image, public := signedImage(t, repo)
	evil := signtest.Push(t, repo, "2", signtest.Image(t))
	got, err := remote.Get(evil)
	if err != nil {
		t.Fatal(err)
	}
	good, err := remote.Get(image)
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := v1.ParseManifest(bytes.NewReader(good.Manifest))
	if err != nil {
		t.Fatal(err)
	}
	layer := manifest.Layers[0].Digest.String()
	instead := func(w http.ResponseWriter) bool { // the evil manifest, as if it were the good one
		w.Header().Set("Content-Type", string(types.OCIManifestSchema1))
		w.Header().Set("Docker-Content-Digest", image.DigestStr())
		_, _ = w.Write(got.Manifest)
		return true
	}
	atTag := func(r *http.Request) bool { return strings.HasSuffix(r.URL.Path, "/manifests/1") }
	atDigest := func(r *http.Request) bool { return strings.HasSuffix(r.URL.Path, "/manifests/"+image.DigestStr()) }
	seen := map[string]bool{}
	again := func(key string) bool { old := seen[key]; seen[key] = true; return old }
	for name, row := range map[string]struct {
		answer func(w http.ResponseWriter, r *http.Request) bool
		code   int
	}{
		"the tag, from the second time on": {func(w http.ResponseWriter, r *http.Request) bool { return atTag(r) && again("") && instead(w) }, 0},
		"the tag, to HEAD": {func(w http.ResponseWriter, r *http.Request) bool {
			return atTag(r) && r.Method == http.MethodHead && instead(w)
		}, 0},
		"the tag, to who takes no index": {func(w http.ResponseWriter, r *http.Request) bool {
			return atTag(r) && !strings.Contains(r.Header.Get("Accept"), string(types.OCIImageIndex)) && instead(w)
		}, 0},
		"the digest, always":                  {func(w http.ResponseWriter, r *http.Request) bool { return atDigest(r) && instead(w) }, 1},
		"the digest, from the second time on": {func(w http.ResponseWriter, r *http.Request) bool { return atDigest(r) && again("") && instead(w) }, 1},
		"the digest, to who takes something else than before": {func(w http.ResponseWriter, r *http.Request) bool {
			key := r.Header.Get("Accept") + r.Header.Get("User-Agent")
			old := again(key)
			return atDigest(r) && !old && len(seen) > 1 && instead(w)
		}, -1},
		"a layer": {func(w http.ResponseWriter, r *http.Request) bool {
			if r.Method != http.MethodGet || !strings.Contains(r.URL.Path, "/blobs/") || !strings.HasSuffix(r.URL.Path, layer) {
				return false
			}
			_, _ = w.Write([]byte("something else"))
			return true
		}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			mu.Lock()
			answer, seen = row.answer, map[string]bool{}
			mu.Unlock()
			dir := filepath.Join(t.TempDir(), "pulled")
			out, errs, code := forgeRun(t, "pull", "--key", public, "--to", "oci:"+dir, repo.Name()+":1")
			if row.code >= 0 && code != row.code || code > 1 || (code == 0) != (out == image.String()+"\n") || code != 0 && out != "" {
				t.Fatalf("exit %d, %q: %s", code, out, errs)
			}
			index, err := os.ReadFile(filepath.Join(dir, "index.json"))
			if code == 0 && (err != nil || !strings.Contains(string(index), image.DigestStr())) || strings.Contains(string(index), evil.DigestStr()) {
				t.Errorf("exit %d, the layout holds %s", code, index)
			}
			if _, err := os.Stat(filepath.Join(dir, "blobs", "sha256", strings.TrimPrefix(evil.DigestStr(), "sha256:"))); err == nil {
				t.Error("the other image is in the layout")
			}
		})
	}
}
