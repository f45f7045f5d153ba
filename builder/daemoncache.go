package builder

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/forge-build/forge/builder/store"
)

// DaemonCache is what the embedded daemon keeps between builds, beside the store's blobs: the
// unpacked roots of steps.
type DaemonCache struct {
	Dir   string    `json:"dir"`
	Bytes int64     `json:"bytes"` // on the disk; what it shares with the store is not counted
	Used  time.Time `json:"used"`  // when a daemon last started there
}

// ReadDaemonCache looks at the daemon's folder below a store. Bytes is 0 when there is none.
func ReadDaemonCache(s *store.Store) (DaemonCache, error) {
	c := DaemonCache{Dir: filepath.Join(s.Dir(), "buildkit")}
	info, err := os.Stat(filepath.Join(c.Dir, "buildkitd.log"))
	if err == nil {
		c.Used = info.ModTime()
	}
	type inode struct{ dev, ino uint64 }
	seen := map[inode]bool{}
	var disk uint64
	err = filepath.WalkDir(c.Dir, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // a daemon at work
		}
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return nil // gone meanwhile
		}
		st, ok := info.Sys().(*syscall.Stat_t)
		if !ok {
			return nil
		}
		at := inode{uint64(st.Dev), st.Ino}
		if path == c.Dir {
			disk = at.dev
		}
		if at.dev != disk { // the root of a step at work: what it shows was counted where it lies
			if d.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		lent := d.Type().IsRegular() && st.Nlink > 1 && strings.Contains(path, "/content/blobs/") // the store has it, too
		if !lent && !seen[at] {
			seen[at] = true
			c.Bytes += st.Blocks * 512
		}
		return nil
	})
	if err != nil {
		return c, fmt.Errorf("looking at the builder's folder: %w", err)
	}
	return c, nil
}

// RemoveDaemonCache removes the daemon's folder, unless a daemon works there or it was used
// within age. It returns how many bytes that freed, or would, and whether one works there.
func RemoveDaemonCache(ctx context.Context, s *store.Store, age time.Duration, dry bool) (freed int64, busy bool, err error) {
	c, err := ReadDaemonCache(s)
	if since := time.Since(c.Used); err != nil || c.Bytes == 0 || since >= 0 && since < age {
		return 0, false, err
	}
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	unlock, err := s.Lock(ctx, "buildkitd")
	if errors.Is(err, context.DeadlineExceeded) {
		return 0, true, nil
	}
	if err != nil {
		return 0, false, err
	}
	defer unlock()
	if dry {
		return c.Bytes, false, nil
	}
	// What a killed daemon left mounted is not to be emptied through its mounts.
	if err := endLeftovers(c.Dir); err != nil {
		return 0, false, fmt.Errorf("removing the builder's folder: %w", err)
	}
	if err := os.RemoveAll(c.Dir); err != nil {
		return 0, false, fmt.Errorf("removing the builder's folder: %w", err)
	}
	return c.Bytes, false, nil
}
