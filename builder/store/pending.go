package store

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// MismatchError says that bytes are not the ones that were asked for.
type MismatchError struct {
	Want, Got         string // sha256, hex
	WantSize, GotSize int64  // WantSize is -1 when any size would do
}

func (e *MismatchError) Error() string {
	if e.Want == e.Got || e.Want == "" {
		return fmt.Sprintf("size is %d bytes, expected %d", e.GotSize, e.WantSize)
	}
	return fmt.Sprintf("sha256 is %s, expected %s", e.Got, e.Want)
}

// Pending is a blob that is being written. It is hashed on the way in.
type Pending struct {
	s    *Store
	f    *os.File
	h    hash.Hash
	size int64
	need int64 // announced size, or 0
	err  error
	done bool
}

// Create begins a blob whose sha256 need not be known yet.
func (s *Store) Create() (*Pending, error) {
	f, err := s.temp()
	if err != nil {
		return nil, err
	}
	return &Pending{s: s, f: f, h: sha256.New()}, nil
}

// temp makes a new file below partial/ and locks it, so that sweep leaves it alone.
func (s *Store) temp() (*os.File, error) {
	for {
		f, err := os.CreateTemp(filepath.Join(s.dir, "partial"), "tmp-")
		if err != nil {
			return nil, fmt.Errorf("writing to store: %w", explain(s, err, 1))
		}
		if err := flockNow(f, unix.LOCK_EX); err == nil && sameFile(f, f.Name()) {
			return f, nil
		}
		f.Close() // a sweep was faster
	}
}

// sweep removes files that dead processes left half written.
func (s *Store) sweep() {
	dir := filepath.Join(s.dir, "partial")
	entries, err := os.ReadDir(dir)
	if err != nil {
		return
	}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), "tmp-") {
			continue
		}
		path := filepath.Join(dir, e.Name())
		f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW, 0)
		if err != nil {
			continue
		}
		// A file that was committed meanwhile has another name now.
		if flockNow(f, unix.LOCK_EX) == nil && sameFile(f, path) {
			_ = os.Remove(path) // the next sweep tries again
		}
		f.Close()
	}
}

// Expect announces how many bytes the blob will have in all. A disk without room for them
// is a *FullError now, not at the end.
func (p *Pending) Expect(size int64) error {
	p.need = size
	return p.s.room(size - p.size)
}

// Write adds bytes. After an error the blob is gone and can only be aborted.
func (p *Pending) Write(b []byte) (int, error) {
	if p.err != nil {
		return 0, p.err
	}
	if p.done {
		return 0, os.ErrClosed
	}
	n, err := p.f.Write(b)
	p.h.Write(b[:n])
	p.size += int64(n)
	if err != nil {
		p.err = fmt.Errorf("writing to store: %w", explain(p.s, err, max(p.need-p.size, int64(len(b)-n))))
		p.discard()
		return n, p.err
	}
	return n, nil
}

// Sum is the sha256 of the bytes written so far.
func (p *Pending) Sum() string { return hex.EncodeToString(p.h.Sum(nil)) }

// Size is the number of bytes written so far.
func (p *Pending) Size() int64 { return p.size }

// Commit makes the blob part of the store. want is its sha256, or empty when any will do;
// if it differs the bytes are thrown away and the error is a *MismatchError.
func (p *Pending) Commit(want string) (sum string, err error) {
	if p.err != nil {
		return "", p.err
	}
	if p.done {
		return "", os.ErrClosed
	}
	defer p.discard()
	sum = p.Sum()
	if want != "" && want != sum {
		return "", &MismatchError{Want: want, Got: sum, WantSize: -1, GotSize: p.size}
	}
	return sum, p.s.adopt(p.f, sum)
}

// Abort throws the bytes away. After Commit it does nothing.
func (p *Pending) Abort() error {
	if p.done {
		return nil
	}
	return p.discard()
}

// discard closes the file and removes its temporary name, if it still has one.
func (p *Pending) discard() error {
	p.done = true
	err := os.Remove(p.f.Name())
	if errors.Is(err, os.ErrNotExist) {
		err = nil // adopted
	}
	return errors.Join(err, p.f.Close())
}

// adopt syncs a temporary file whose bytes have this sum, and renames it into its place.
func (s *Store) adopt(f *os.File, sum string) error {
	if err := f.Sync(); err != nil {
		return fmt.Errorf("writing blob %q: %w", sum, explain(s, err, 1))
	}
	if err := f.Chmod(0o444); err != nil {
		return fmt.Errorf("protecting blob %q: %w", sum, err)
	}
	unlock, err := s.lock(context.Background(), "blob "+sum)
	if err != nil {
		return err
	}
	defer unlock()
	// The one that is there may be linked elsewhere: keep its inode if it is good.
	if old, err := os.Lstat(s.Path(sum)); err == nil && s.recorded(sum, old) {
		s.touch(sum)
		return nil
	}
	fi, err := f.Stat()
	if err != nil {
		return fmt.Errorf("writing blob %q: %w", sum, err)
	}
	if err := os.Rename(f.Name(), s.Path(sum)); err != nil {
		return fmt.Errorf("writing blob %q: %w", sum, explain(s, err, 1))
	}
	return s.record(sum, fi)
}

// replace writes a small file so that readers see the old content or the new, whole.
func (s *Store) replace(path string, content []byte, sync bool) error {
	f, err := s.temp()
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = f.Write(content)
	if err == nil && sync {
		err = f.Sync()
	}
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		_ = os.Remove(f.Name()) // the first error is the one to tell
		return explain(s, err, int64(len(content)))
	}
	return nil
}
