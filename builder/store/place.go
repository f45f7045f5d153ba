package store

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

// Place puts a blob at dst, replacing what is there: a copy that shares the disk's blocks
// (a reflink) where the file system can, else a hard link, else a copy, hashed on the way.
// The file is read-only. When the store does not have the blob the error is an *AbsentError.
func (s *Store) Place(sum, dst string) error { return s.place(sum, dst, clone, os.Link, s.copyTo) }

// Link puts a blob at dst like Place, but prefers the hard link: no other way makes a file
// that BuildKit's content store and this one can share.
func (s *Store) Link(sum, dst string) error { return s.place(sum, dst, os.Link, s.copyTo) }

// place tries each way to make a file beside dst, and renames the first that works.
func (s *Store) place(sum, dst string, ways ...func(from, to string) error) error {
	size, ok, err := s.Stat(sum)
	if err == nil && !ok {
		err = &AbsentError{sum}
	}
	if err != nil {
		return fmt.Errorf("placing blob %q: %w", sum, err)
	}
	tmp := filepath.Join(filepath.Dir(dst), "."+filepath.Base(dst)+"."+strconv.FormatInt(time.Now().UnixNano(), 36)+strconv.Itoa(os.Getpid()))
	// Renaming one hard link over another of the same file does nothing at all.
	defer os.Remove(tmp)
	for _, way := range ways {
		if err = way(s.Path(sum), tmp); err != nil {
			_ = os.Remove(tmp) // the next way starts from nothing
			continue
		}
		if err := os.Rename(tmp, dst); err != nil {
			return fmt.Errorf("placing blob %q: %w", sum, err)
		}
		return nil
	}
	if _, gone := os.Lstat(s.Path(sum)); errors.Is(gone, os.ErrNotExist) {
		err = &AbsentError{sum} // pruned between
	}
	// The last way is the copy, which works on every file system: its error is the reason.
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return fmt.Errorf("placing blob %q: the disk under %q is full, and cannot share the blob's %s with the store, which lies on another: %w", sum, filepath.Dir(dst), bytesText(size), err)
	}
	return fmt.Errorf("placing blob %q at %q: %w", sum, dst, err)
}

// copyTo copies a blob, and trusts the bytes that it read, not the record.
func (s *Store) copyTo(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	h := sha256.New()
	n, err := io.Copy(io.MultiWriter(out, h), in)
	if got := hex.EncodeToString(h.Sum(nil)); err == nil && got != filepath.Base(from) {
		err = &MismatchError{Want: filepath.Base(from), Got: got, WantSize: -1, GotSize: n}
	}
	if err == nil {
		err = out.Chmod(0o444)
	}
	return errors.Join(err, out.Close())
}
