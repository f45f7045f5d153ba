package builder

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/forge-build/forge/builder/store"
)

func TestWhatTheDaemonKeepsIsCountedAndRemoved(t *testing.T) {
	s, err := store.Open(filepath.Join(t.TempDir(), "store"))
	if err != nil {
		t.Fatal(err)
	}
	if c, err := ReadDaemonCache(s); err != nil || c.Bytes != 0 {
		t.Errorf("nothing is there: %+v %v", c, err)
	}
	root := filepath.Join(s.Dir(), "buildkit")
	big := strings.Repeat("x", 1<<20)
	write(t, filepath.Join(root, "buildkitd.log"), "started\n", 0o600)
	write(t, filepath.Join(root, "runc-overlayfs", "snapshots", "1", "fs", "a"), big, 0o600)
	if err := os.Link(filepath.Join(root, "runc-overlayfs", "snapshots", "1", "fs", "a"), filepath.Join(root, "runc-overlayfs", "snapshots", "b")); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(root, "runc-overlayfs", "content", "blobs", "sha256", "of-the-store"), big, 0o600)
	if err := os.Link(filepath.Join(root, "runc-overlayfs", "content", "blobs", "sha256", "of-the-store"), filepath.Join(s.Dir(), "of-the-store")); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(root, "runc-overlayfs", "content", "blobs", "sha256", "pruned-from-the-store"), big, 0o600)
	c, err := ReadDaemonCache(s)
	if err != nil || c.Bytes < 2<<20 || c.Bytes > 2<<20+200<<10 {
		t.Errorf("%+v %v", c, err)
	}
	atWork := false
	remove := func(age time.Duration, dry bool) int64 {
		n, busy, err := RemoveDaemonCache(context.Background(), s, age, dry)
		if err != nil || busy != (atWork && age == 0) {
			t.Error(busy, err)
		}
		return n
	}
	unlock, err := s.Lock(context.Background(), "buildkitd")
	if err != nil {
		t.Fatal(err)
	}
	atWork = true
	if remove(time.Hour, false) != 0 || remove(0, false) != 0 {
		t.Error("what was used lately, or is in use, is removed")
	}
	unlock()
	atWork = false
	if remove(0, true) != c.Bytes {
		t.Error("a dry run says something else")
	}
	if _, err := os.Stat(root); err != nil {
		t.Errorf("a dry run removes: %v", err)
	}
	if remove(0, false) != c.Bytes {
		t.Error("not all is removed")
	}
	if _, err := os.Stat(root); err == nil {
		t.Error("it is still there")
	}
}
