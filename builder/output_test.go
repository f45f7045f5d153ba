package builder

import (
	"context"
	"os"
	"path/filepath"
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
