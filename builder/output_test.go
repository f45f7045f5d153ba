package builder

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// CLI-02: what is in the image's place stays unless it is an image or nothing.
func TestOnlyAnImageIsReplaced(t *testing.T) {
	for _, row := range []struct {
		name string
		make func(dir string) error
		ok   bool
	}{
		{"nothing", func(string) error { return nil }, true},
		{"an empty folder", func(dir string) error { return os.Mkdir(dir, 0o755) }, true},
		{"a file", func(dir string) error { return os.WriteFile(dir, []byte("x"), 0o644) }, false},
		{"a device behind a link", func(dir string) error { return os.Symlink("/dev/null", dir) }, false},
		{"a link to a folder", func(dir string) error { return os.Symlink(t.TempDir(), dir) }, false},
		{"somebody's folder", func(dir string) error { return os.MkdirAll(filepath.Join(dir, "thesis"), 0o755) }, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			b, im, li := scratch(t)
			dir := filepath.Join(b.Output, im.Name)
			if err := row.make(dir); err != nil {
				t.Fatal(err)
			}
			before, _ := os.Lstat(dir)
			p, err := New(im, li)
			if err != nil {
				t.Fatal(err)
			}
			if _, err = b.Build(context.Background(), p); (err == nil) != row.ok {
				t.Fatalf("error is %v", err)
			}
			if row.ok {
				build(t, b, im, li) // an image of before is replaced
				return
			}
			if after, err := os.Lstat(dir); err != nil || !os.SameFile(before, after) {
				t.Errorf("what was there is gone (%v)", err)
			}
			if entries, err := os.ReadDir(b.Output); err != nil || len(entries) != 1 {
				t.Errorf("left beside it: %v %v", entries, err)
			}
		})
	}
}

// What killed forges have left beside images goes with the next build, and nothing else does.
func TestLeftoversOfKilledForgesAreRemoved(t *testing.T) {
	b, im, li := scratch(t)
	want := build(t, b, im, li)
	for _, name := range []string{".scratch.123/blobs/sha256/x", ".scratch.123/index.json", ".other.7.old/oci-layout", ".scratch.9/thesis.txt", ".git/blobs/x", "mine/blobs/x"} {
		write(t, filepath.Join(b.Output, name), "x", 0o600)
	}
	if got := build(t, b, im, li); got.Digest != want.Digest {
		t.Errorf("%s, then %s", want.Digest, got.Digest)
	}
	var left []string
	entries, err := os.ReadDir(b.Output)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		left = append(left, e.Name())
	}
	if got := strings.Join(left, " "); got != ".git .scratch.9 mine scratch" {
		t.Errorf("left is %s", got)
	}
}

// Several forges that write one image at once all succeed.
func TestManyWriteOneImage(t *testing.T) {
	b, im, li := scratch(t)
	want := build(t, b, im, li)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			other := &Builder{Store: b.Store, Dir: b.Dir, Output: b.Output, NoTest: true, Messages: new(bytes.Buffer)}
			for range 5 {
				p, err := New(im, li)
				if err != nil {
					t.Error(err)
					return
				}
				if r, err := other.Build(context.Background(), p); err != nil || r.Digest != want.Digest {
					t.Error(r, err)
				}
			}
		})
	}
	wg.Wait()
}
