package store

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// ErrBusy says that another process or goroutine holds what was asked for.
var ErrBusy = errors.New("in use by another forge")

// Lock waits until this caller alone holds key, between goroutines and between processes.
// unlock may be called more than once. A process that dies lets go of its locks.
func (s *Store) Lock(ctx context.Context, key string) (unlock func(), err error) {
	return s.lock(ctx, "user "+key)
}

// Hold keeps Prune from removing these blobs until release is called or the process ends.
// It says nothing about whether they are there, and any number of callers may hold one.
func (s *Store) Hold(sums ...string) (release func(), err error) {
	var held []func()
	release = func() {
		for _, r := range held {
			r()
		}
	}
	for _, sum := range sums {
		if !valid(sum) {
			release()
			return nil, fmt.Errorf("holding blob %q: not a lower-case sha256", cut(sum))
		}
		r, err := s.flock(context.Background(), "hold "+sum, unix.LOCK_SH)
		if err != nil {
			release()
			return nil, err
		}
		held = append(held, r)
	}
	return release, nil
}

func (s *Store) lock(ctx context.Context, key string) (func(), error) {
	return s.flock(ctx, key, unix.LOCK_EX)
}

// flock takes a lock of the given kind, asking again until ctx ends: a blocking call could
// not be interrupted. With LOCK_NB it asks once and answers ErrBusy.
func (s *Store) flock(ctx context.Context, key string, how int) (func(), error) {
	h := sha256.Sum256([]byte(key))
	path := filepath.Join(s.dir, "locks", hex.EncodeToString(h[:16]))
	for wait := time.Millisecond; ; wait = min(2*wait, 50*time.Millisecond) {
		f, err := tryFlock(path, how)
		if err == nil {
			var once sync.Once
			return func() { once.Do(func() { dropFlock(f, path) }) }, nil
		}
		if !errors.Is(err, ErrBusy) {
			return nil, fmt.Errorf("locking %q: %w", cut(key), explain(s, err, 1))
		}
		if how&unix.LOCK_NB != 0 {
			return nil, fmt.Errorf("locking %q: %w", cut(key), err)
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("waiting for %q: %w", cut(key), ctx.Err())
		case <-time.After(wait):
		}
	}
}

// tryFlock opens and locks path once. Its holder removes the file when it is done, so a
// lock counts only while the name still leads to the locked file.
func tryFlock(path string, how int) (*os.File, error) {
	for {
		f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW, 0o600)
		if err != nil {
			return nil, err
		}
		if err := flockNow(f, how); err != nil {
			f.Close()
			return nil, err
		}
		if sameFile(f, path) {
			return f, nil
		}
		f.Close()
	}
}

// flockNow asks for a lock without waiting.
func flockNow(f *os.File, how int) error {
	for {
		err := unix.Flock(int(f.Fd()), how|unix.LOCK_NB) //nolint:gosec // a descriptor fits
		switch {
		case err == nil:
			return nil
		case errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.EWOULDBLOCK):
			return ErrBusy
		default:
			return err
		}
	}
}

// dropFlock removes the lock's file, if nobody shares it, and lets go.
func dropFlock(f *os.File, path string) {
	if flockNow(f, unix.LOCK_EX) == nil && sameFile(f, path) {
		_ = os.Remove(path) // a file left over is only an empty file
	}
	f.Close()
}

func sameFile(f *os.File, path string) bool {
	a, err := f.Stat()
	if err != nil {
		return false
	}
	b, err := os.Lstat(path)
	return err == nil && os.SameFile(a, b)
}
