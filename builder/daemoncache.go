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
	seen := map[uint64]bool{}
	err = filepath.WalkDir(c.Dir, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // a daemon at work
		}
		if err != nil {
			return err
		}
		if d.IsDir() && d.Name() == "content" && filepath.Dir(filepath.Dir(path)) == c.Dir {
			return fs.SkipDir // blobs of the store, by hard links
		}
		info, err := d.Info()
		if err != nil {
			return nil // gone meanwhile
		}
		if st, ok := info.Sys().(*syscall.Stat_t); ok && !seen[st.Ino] {
			seen[st.Ino] = true
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
// within age. It returns how many bytes that freed, or would.
func RemoveDaemonCache(ctx context.Context, s *store.Store, age time.Duration, dry bool) (int64, error) {
	c, err := ReadDaemonCache(s)
	if since := time.Since(c.Used); err != nil || c.Bytes == 0 || since >= 0 && since < age {
		return 0, err
	}
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	unlock, err := s.Lock(ctx, "buildkitd")
	if errors.Is(err, context.DeadlineExceeded) {
		return 0, nil // it is at work
	}
	if err != nil {
		return 0, err
	}
	defer unlock()
	if dry {
		return c.Bytes, nil
	}
	// What a killed daemon left mounted is not to be emptied through its mounts.
	if mounts, err := os.ReadFile("/proc/self/mountinfo"); err == nil && strings.Contains(string(mounts), " "+c.Dir+"/") {
		return 0, fmt.Errorf("removing the builder's folder: something is still mounted below %q; umount it", c.Dir)
	}
	if err := os.RemoveAll(c.Dir); err != nil {
		return 0, fmt.Errorf("removing the builder's folder: %w", err)
	}
	return c.Bytes, nil
}
