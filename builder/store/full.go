package store

import (
	"errors"
	"fmt"
	"syscall"

	"golang.org/x/sys/unix"
)

// FullError says that the disk under the store has no room. Nothing of what was being
// written is left.
type FullError struct {
	Dir  string // the store's folder
	Need int64  // bytes that are still to be written, as far as known; at least this many
	Free int64  // bytes that this user may still write there
}

func (e *FullError) Error() string {
	return fmt.Sprintf("the disk under %q is full: %s more needed, %s free; make room there, or set FORGE_CACHE to a folder on a larger disk",
		e.Dir, bytesText(e.Need), bytesText(e.Free))
}

// explain turns "no space left" into a FullError, and passes on all others.
func explain(s *Store, err error, need int64) error {
	if !errors.Is(err, syscall.ENOSPC) && !errors.Is(err, syscall.EDQUOT) {
		return err
	}
	return &FullError{Dir: s.dir, Need: need, Free: s.free()}
}

// room is a FullError when less than need bytes are free.
func (s *Store) room(need int64) error {
	if free := s.free(); free < need {
		return &FullError{Dir: s.dir, Need: need, Free: free}
	}
	return nil
}

// free is how many bytes this user may write; a disk that does not say counts as endless.
func (s *Store) free() int64 {
	var st unix.Statfs_t
	if err := unix.Statfs(s.dir, &st); err != nil || st.Blocks == 0 {
		return 1<<63 - 1
	}
	return int64(st.Bavail) * int64(st.Bsize) //nolint:gosec // the kernel's own numbers; 8 EiB is enough
}

func bytesText(n int64) string {
	switch {
	case n >= 1e9:
		return fmt.Sprintf("%.1f GB", float64(n)/1e9)
	case n >= 1e6:
		return fmt.Sprintf("%.1f MB", float64(n)/1e6)
	}
	return fmt.Sprintf("%d bytes", n)
}
