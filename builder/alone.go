package builder

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"time"

	"golang.org/x/sys/unix"
)

// alone keeps other forges from writing images into a folder until done is called, or this
// process ends. Where the file system has no such locks, locked is false.
func alone(ctx context.Context, dir string) (done func(), locked bool, err error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, false, err
	}
	for {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) //nolint:gosec // a descriptor fits
		switch {
		case err == nil:
			return func() { _ = f.Close() }, true, nil
		case errors.Is(err, unix.EINTR):
		case !errors.Is(err, unix.EWOULDBLOCK):
			return func() { _ = f.Close() }, false, nil
		default:
			select {
			case <-ctx.Done():
				_ = f.Close() // only locked
				return nil, false, fmt.Errorf("waiting for another forge that writes into %q: %w", dir, ctx.Err())
			case <-time.After(20 * time.Millisecond):
			}
		}
	}
}

// unfinished is the name of a folder that layout makes beside an image's place.
var unfinished = regexp.MustCompile(`^\.[a-z0-9._-]+\.[0-9]+(\.old)?$`)

// sweep removes what forges that were killed have left in a folder of images. The caller
// holds it alone.
func sweep(dir string) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return // whoever writes there next says so
	}
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		if e.IsDir() && unfinished.MatchString(e.Name()) && onlyLayout(path) {
			_ = os.RemoveAll(path) // the next sweep tries again
		}
	}
}

// onlyLayout says whether a folder holds parts of an OCI layout and nothing else.
func onlyLayout(dir string) bool {
	entries, err := os.ReadDir(dir)
	for _, e := range entries {
		if n := e.Name(); n != "blobs" && n != "index.json" && n != "oci-layout" {
			return false
		}
	}
	return err == nil
}
