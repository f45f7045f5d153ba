package main

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// kill starts forge, waits until it is where it shall die, and kills it. It says whether forge
// was there in time.
func (n *internet) kill(there func() bool, args ...string) bool {
	n.t.Helper()
	c := exec.CommandContext(n.t.Context(), forge(n.t), args...)
	var out bytes.Buffer
	c.Dir, c.Env, c.Stdout, c.Stderr = n.dir, n.env, &out, &out
	if err := c.Start(); err != nil {
		n.t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- c.Wait() }()
	for deadline := time.Now().Add(60 * time.Second); ; time.Sleep(200 * time.Microsecond) {
		select {
		case <-ended:
			return false
		default:
		}
		if there() {
			_ = c.Process.Kill() // it may have ended by itself
			err := <-ended
			return err != nil && strings.Contains(err.Error(), "killed")
		}
		if time.Now().After(deadline) {
			n.t.Fatalf("it never came there:\n%s", out.String())
		}
	}
}

// whole says that the store holds nothing but right blobs.
func (n *internet) whole() {
	n.t.Helper()
	if s := n.run("cache", "verify", "-q"); s.code != exitOK {
		n.t.Errorf("the store is not whole: %s%s", s.out, s.err)
	}
}

func exists(pattern string) bool {
	found, _ := filepath.Glob(pattern)
	return len(found) > 0
}

// noise is content that no codec makes smaller, the same each time.
func noise(size int) string {
	var b strings.Builder
	for i := 0; b.Len() < size; i++ {
		s := sha256.Sum256([]byte(fmt.Sprint(i)))
		b.Write(s[:])
	}
	return b.String()
}

// kill -9 while a download is half there: no lock is left, and the next forge goes on where
// the dead one was.
func TestKilledInTheMiddleOfADownload(t *testing.T) {
	n, _ := lockable(t)
	big := distWith("alpha", "1.0", noise(3<<20))
	n.host("pypi.test", shelf(map[string]string{"alpha": page("alpha", big.row())}))
	var ranges []string
	n.host("files.test", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", `"one"`)
		if strings.HasPrefix(r.Header.Get("Range"), "bytes=-") { // a look at its METADATA
			http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(big.content))
			return
		}
		n.mu.Lock()
		ranges = append(ranges, r.Header.Get("Range"))
		first := len(ranges) == 1
		n.mu.Unlock()
		if first {
			w.Header().Set("Content-Length", fmt.Sprint(len(big.content)))
			_, _ = w.Write(big.content[:2<<20])
			w.(http.Flusher).Flush()
			<-r.Context().Done()
			return
		}
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(big.content))
	})
	if !n.kill(func() bool {
		part, _ := filepath.Glob(n.path("cache/partial/*.part"))
		if len(part) != 1 {
			return false
		}
		info, err := os.Stat(part[0])
		return err == nil && info.Size() >= 2<<20
	}, "lock", "-q", "recipe.hcl") {
		t.Fatal("it ended by itself")
	}
	n.nothingKept(big)
	n.whole()
	n.must("lock", "-q", "recipe.hcl")
	if len(ranges) != 2 || ranges[1] != fmt.Sprintf("bytes=%d-", 2<<20) {
		t.Errorf("asked for the ranges %q", ranges)
	}
	if !strings.Contains(n.lock(), big.sum()) {
		t.Error("the lock has another wheel")
	}
	n.whole()
}

// kill -9 while a layer is being made, and while the image is being written: the next build
// gives the image of an undisturbed one, and what the dead one left goes.
func TestKilledInTheMiddleOfABuild(t *testing.T) {
	n := newInternet(t)
	n.write("app/data.bin", noise(24<<20))
	n.recipe("  copy \"app\" { to = \"/app\" }")
	n.must("lock", "-q", "recipe.hcl")
	want := n.must("build", "-q", "--builder", "none", "--output", "undisturbed", "recipe.hcl")
	_, digest, _ := strings.Cut(strings.TrimSpace(want.out), "@")
	for _, moment := range []struct {
		name  string
		there func() bool
	}{
		{"making a layer", func() bool {
			parts, _ := filepath.Glob(n.path("fresh/partial/tmp-*"))
			for _, p := range parts {
				if info, err := os.Stat(p); err == nil && info.Size() > 1<<20 {
					return true
				}
			}
			return false
		}},
		{"writing the image", func() bool { return exists(n.path("dist/.a.*/blobs")) }},
	} {
		t.Run(moment.name, func(t *testing.T) {
			n.set("FORGE_CACHE=" + n.path("fresh"))
			hit := false
			for range 20 {
				if err := os.RemoveAll(n.path("fresh")); err != nil {
					t.Fatal(err)
				}
				if hit = n.kill(moment.there, "build", "-q", "--builder", "none", "recipe.hcl"); hit {
					break
				}
			}
			if !hit {
				t.Fatal("forge was never killed at this moment")
			}
			n.whole()
			again := n.must("build", "-q", "--builder", "none", "recipe.hcl")
			if !strings.HasSuffix(strings.TrimSpace(again.out), "@"+digest) {
				t.Errorf("after the kill it is %s, want %s", again.out, digest)
			}
			if exists(n.path("dist/.*")) || exists(n.path("fresh/partial/tmp-*")) {
				left, _ := filepath.Glob(n.path("dist/.*"))
				t.Errorf("left: %v", left)
			}
			n.whole()
		})
	}
}
