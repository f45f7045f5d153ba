package store

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// Store is a folder of blobs. Its methods may be called from several goroutines and
// processes at once.
type Store struct {
	dir string
}

// Open opens the store in dir and creates it when it is not there. It refuses a folder
// that is a symbolic link, belongs to another user, or can be written by others.
// Files that dead processes left half written are removed.
func Open(dir string) (*Store, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("opening store %q: %w", dir, err)
	}
	s := &Store{dir: abs}
	if err := os.MkdirAll(filepath.Dir(abs), 0o700); err != nil {
		return nil, fmt.Errorf("opening store %q: %w", dir, explain(s, err, 0))
	}
	for _, sub := range []string{"", "blobs", "blobs/sha256", "records", "partial", "facts", "locks"} {
		if err := own(filepath.Join(abs, sub)); err != nil {
			return nil, fmt.Errorf("opening store %q: %w", dir, explain(s, err, 0))
		}
	}
	s.sweep()
	return s, nil
}

// own makes sure that dir is a folder which only this user can change.
func own(dir string) error {
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	fi, err := os.Lstat(dir)
	switch {
	case err != nil:
		return err
	case fi.Mode()&fs.ModeSymlink != 0:
		return fmt.Errorf("%q is a symbolic link; name the folder itself", dir)
	case !fi.IsDir():
		return fmt.Errorf("%q is not a folder", dir)
	case fi.Mode().Perm()&0o022 != 0:
		return fmt.Errorf("%q can be written by others (mode %04o); a store is for one user: chmod go-w, or name another folder", dir, fi.Mode().Perm())
	}
	if st, ok := fi.Sys().(*syscall.Stat_t); ok && int(st.Uid) != os.Geteuid() {
		return fmt.Errorf("%q belongs to user %d, not to you (%d); a store is for one user: name another folder", dir, st.Uid, os.Geteuid())
	}
	return nil
}

// Dir is the store's folder, absolute.
func (s *Store) Dir() string { return s.dir }

// Path is where the blob is, or would be. It says nothing about whether it is there.
func (s *Store) Path(sum string) string {
	return filepath.Join(s.dir, "blobs", "sha256", filepath.Base(sum))
}

// Stat says whether the store has a blob, and its size in bytes. When size, time or inode
// differ from what was recorded the blob is hashed again; if it is wrong it is removed,
// and ok is false. Being asked for counts as being used.
func (s *Store) Stat(sum string) (size int64, ok bool, err error) {
	if !valid(sum) {
		return 0, false, fmt.Errorf("looking for blob %q: not a lower-case sha256", cut(sum))
	}
	fi, err := os.Lstat(s.Path(sum))
	if errors.Is(err, fs.ErrNotExist) {
		return 0, false, nil
	}
	if err != nil {
		return 0, false, fmt.Errorf("looking for blob %q: %w", sum, err)
	}
	if s.recorded(sum, fi) {
		s.touch(sum)
		return fi.Size(), true, nil
	}
	unlock, err := s.lock(context.Background(), "blob "+sum)
	if err != nil {
		return 0, false, err
	}
	defer unlock()
	return s.judge(sum, false)
}

// judge hashes a blob, unless its record agrees and always is false, and removes it when
// it is wrong. The caller holds the blob's lock.
func (s *Store) judge(sum string, always bool) (int64, bool, error) {
	path := s.Path(sum)
	fi, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, false, nil
	}
	if err != nil {
		return 0, false, fmt.Errorf("looking for blob %q: %w", sum, err)
	}
	if !always && s.recorded(sum, fi) {
		return fi.Size(), true, nil
	}
	if fi.Mode().IsRegular() {
		f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW, 0)
		if err != nil {
			return 0, false, fmt.Errorf("hashing blob %q: %w", sum, err)
		}
		defer f.Close()
		h := sha256.New()
		if _, err := io.Copy(h, f); err != nil {
			return 0, false, fmt.Errorf("hashing blob %q: %w", sum, err)
		}
		after, err := f.Stat()
		if err != nil {
			return 0, false, fmt.Errorf("hashing blob %q: %w", sum, err)
		}
		quiet := after.Size() == fi.Size() && after.ModTime().Equal(fi.ModTime()) && inode(after) == inode(fi)
		if quiet && hex.EncodeToString(h.Sum(nil)) == sum {
			if fi.Mode().Perm() != 0o444 {
				if err := f.Chmod(0o444); err != nil {
					return 0, false, fmt.Errorf("protecting blob %q: %w", sum, err)
				}
			}
			return fi.Size(), true, s.record(sum, after)
		}
	}
	if err := os.RemoveAll(path); err != nil {
		return 0, false, fmt.Errorf("removing wrong blob %q: %w", sum, err)
	}
	_ = os.Remove(s.recordPath(sum)) // without a blob it says nothing
	return 0, false, nil
}

// AbsentError says that the store does not have a blob, or no longer has it.
// errors.Is(err, fs.ErrNotExist) holds.
type AbsentError struct{ Sum string }

func (e *AbsentError) Error() string { return fmt.Sprintf("blob %q is not in the store", e.Sum) }

// Unwrap makes an AbsentError a case of fs.ErrNotExist.
func (e *AbsentError) Unwrap() error { return fs.ErrNotExist }

// Hint says what to do where the blob had been there a moment before.
func (e *AbsentError) Hint() string {
	return "somebody has removed it meanwhile, as forge cache prune does; run the command again"
}

// Open opens a blob for reading, after the same check as Stat. When the store does not have
// it the error is an *AbsentError.
func (s *Store) Open(sum string) (*os.File, int64, error) {
	size, ok, err := s.Stat(sum)
	if err != nil {
		return nil, 0, err
	}
	if !ok {
		return nil, 0, &AbsentError{sum}
	}
	f, err := os.OpenFile(s.Path(sum), os.O_RDONLY|syscall.O_NOFOLLOW, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, 0, &AbsentError{sum}
	}
	if err != nil {
		return nil, 0, fmt.Errorf("opening blob %q: %w", sum, err)
	}
	return f, size, nil
}

// recordPath is where size, time and inode of a blob are written down.
func (s *Store) recordPath(sum string) string { return filepath.Join(s.dir, "records", sum) }

// recordOf is the text of a blob's record.
func recordOf(fi fs.FileInfo) string {
	return fmt.Sprintf("%d %d %d\n", fi.Size(), fi.ModTime().UnixNano(), inode(fi))
}

// recorded says whether a blob is a regular file that nobody but forge has changed.
func (s *Store) recorded(sum string, fi fs.FileInfo) bool {
	if !fi.Mode().IsRegular() {
		return false
	}
	b, err := os.ReadFile(s.recordPath(sum))
	return err == nil && string(b) == recordOf(fi)
}

// record writes a blob's record.
func (s *Store) record(sum string, fi fs.FileInfo) error {
	if err := s.replace(s.recordPath(sum), []byte(recordOf(fi)), false); err != nil {
		return fmt.Errorf("recording blob %q: %w", sum, err)
	}
	return nil
}

// touch notes that a blob was used. Prune and List read it; it is no harm when it fails.
func (s *Store) touch(sum string) {
	now := time.Now()
	if fi, err := os.Lstat(s.recordPath(sum)); err == nil && now.Sub(fi.ModTime()).Abs() > time.Minute { // a clock may have been wrong
		_ = os.Chtimes(s.recordPath(sum), now, now) // see above
	}
}

func inode(fi fs.FileInfo) uint64 {
	if st, ok := fi.Sys().(*syscall.Stat_t); ok {
		return st.Ino
	}
	return 0
}

// valid says whether sum is the lower-case hex form of a sha256.
func valid(sum string) bool {
	return len(sum) == 64 && strings.Trim(sum, "0123456789abcdef") == ""
}

func cut(s string) string {
	if len(s) > 120 {
		return s[:120] + "…"
	}
	return s
}
