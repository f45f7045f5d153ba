package store

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// Partial is a download that survives its process: what has arrived is there the next
// time. It is hashed on the way in; what was there already is hashed when it is opened.
type Partial struct {
	s    *Store
	f    *os.File
	h    hash.Hash
	size int64
	need int64 // announced size, or 0
	done bool
}

// Partial opens the unfinished download of key, 64 hex digits: the blob's sha256 or, while
// that is not known, any other. The caller holds it alone until Close or Commit; to others
// the error is ErrBusy.
func (s *Store) Partial(key string) (*Partial, error) {
	if !valid(key) {
		return nil, fmt.Errorf("resuming %q: not a lower-case sha256", cut(key))
	}
	f, err := tryFlock(filepath.Join(s.dir, "partial", key+".part"), unix.LOCK_EX)
	if err != nil {
		return nil, fmt.Errorf("resuming %q: %w", key, explain(s, err, 1))
	}
	p := &Partial{s: s, f: f, h: sha256.New()}
	if fi, err := f.Stat(); err != nil || !fi.Mode().IsRegular() {
		f.Close()
		return nil, errors.Join(fmt.Errorf("resuming %q: not a regular file", key), err)
	}
	if p.size, err = io.Copy(p.h, f); err != nil {
		f.Close()
		return nil, fmt.Errorf("resuming %q: %w", key, err)
	}
	return p, nil
}

// Size is the number of bytes that have arrived.
func (p *Partial) Size() int64 { return p.size }

// Sum is the sha256 of the bytes that have arrived.
func (p *Partial) Sum() string { return hex.EncodeToString(p.h.Sum(nil)) }

// Expect announces how many bytes there will be in all. A disk without room for the rest
// is a *FullError, and what had arrived is removed.
func (p *Partial) Expect(size int64) error {
	p.need = size
	if err := p.s.room(size - p.size); err != nil {
		return errors.Join(err, p.Discard())
	}
	return nil
}

// Write adds bytes at the end. When the disk is full everything that had arrived is removed.
func (p *Partial) Write(b []byte) (int, error) {
	if p.done {
		return 0, os.ErrClosed
	}
	n, err := p.f.Write(b)
	p.h.Write(b[:n])
	p.size += int64(n)
	if err != nil {
		err = explain(p.s, err, max(p.need-p.size, int64(len(b)-n)))
		return n, errors.Join(fmt.Errorf("writing to store: %w", err), p.Discard())
	}
	return n, nil
}

// Validator is what SetValidator kept with these bytes, or empty.
func (p *Partial) Validator() string {
	b, err := os.ReadFile(p.validatorPath())
	if err != nil || len(b) > 1024 {
		return ""
	}
	return string(b)
}

// SetValidator keeps the server's word for this version of the file (an ETag), to be
// asked for when the download is resumed.
func (p *Partial) SetValidator(v string) error {
	if v == "" || len(v) > 1024 {
		return p.removeValidator()
	}
	return p.s.replace(p.validatorPath(), []byte(v), false)
}

func (p *Partial) validatorPath() string { return p.f.Name() + ".validator" }

func (p *Partial) removeValidator() error {
	if err := os.Remove(p.validatorPath()); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// Restart forgets what has arrived.
func (p *Partial) Restart() error {
	if err := p.f.Truncate(0); err != nil {
		return fmt.Errorf("restarting a download: %w", err)
	}
	if _, err := p.f.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("restarting a download: %w", err)
	}
	p.h.Reset()
	p.size = 0
	return p.removeValidator()
}

// Commit makes the bytes a blob. want is its sha256, or empty when any will do; size is
// its length, or -1. If either differs the bytes are thrown away and the error is a
// *MismatchError.
func (p *Partial) Commit(want string, size int64) (sum string, err error) {
	if p.done {
		return "", os.ErrClosed
	}
	sum = p.Sum()
	if (want != "" && want != sum) || (size >= 0 && size != p.size) {
		err := &MismatchError{Want: want, Got: sum, WantSize: size, GotSize: p.size}
		return "", errors.Join(err, p.Discard())
	}
	if err := p.s.adopt(p.f, sum); err != nil {
		return "", errors.Join(err, p.Close())
	}
	return sum, p.Discard()
}

// Close lets go and keeps what has arrived. After Commit or Discard it does nothing.
func (p *Partial) Close() error {
	if p.done {
		return nil
	}
	p.done = true
	if p.size == 0 { // an empty file is no progress, and its word says nothing
		_ = os.Remove(p.f.Name())
		_ = p.removeValidator()
	}
	return p.f.Close()
}

// Discard removes what has arrived and lets go.
func (p *Partial) Discard() error {
	if p.done {
		return nil
	}
	p.done = true
	err := p.removeValidator()
	// After an adoption the name may lead to nothing, which is right.
	if sameFile(p.f, p.f.Name()) {
		if rm := os.Remove(p.f.Name()); rm != nil && !errors.Is(rm, syscall.ENOENT) {
			err = errors.Join(err, rm)
		}
	}
	return errors.Join(err, p.f.Close())
}
