package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Blob is one row of List.
type Blob struct {
	Sum  string    `json:"sum"`
	Size int64     `json:"size"`
	Used time.Time `json:"used"` // when it was last asked for, to the minute
}

// List names all blobs, sorted by sum. It does not hash them.
func (s *Store) List() ([]Blob, error) {
	entries, err := os.ReadDir(filepath.Join(s.dir, "blobs", "sha256"))
	if err != nil {
		return nil, fmt.Errorf("listing store: %w", err)
	}
	all := []Blob{}
	for _, e := range entries {
		fi, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) || !valid(e.Name()) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("listing store: %w", err)
		}
		used := fi.ModTime()
		if r, err := os.Lstat(s.recordPath(e.Name())); err == nil && r.ModTime().After(used) {
			used = r.ModTime()
		}
		all = append(all, Blob{Sum: e.Name(), Size: fi.Size(), Used: used})
	}
	return all, nil
}

// Report is what Verify found.
type Report struct {
	Blobs int      `json:"blobs"` // right ones
	Bytes int64    `json:"bytes"` // of the right ones
	Wrong []string `json:"wrong"` // sums whose bytes were wrong; they are removed
}

// Verify hashes every blob and removes the wrong ones. progress, which may be nil, is
// called after each with the bytes done and the bytes in all.
func (s *Store) Verify(ctx context.Context, progress func(done, total int64)) (Report, error) {
	rep := Report{Wrong: []string{}}
	blobs, err := s.List()
	if err != nil {
		return rep, err
	}
	var done, total int64
	for _, b := range blobs {
		total += b.Size
	}
	for _, b := range blobs {
		if err := ctx.Err(); err != nil {
			return rep, fmt.Errorf("verifying store: %w", err)
		}
		size, ok, err := s.verify(ctx, b.Sum)
		switch {
		case errors.Is(err, fs.ErrNotExist): // pruned meanwhile
		case err != nil:
			return rep, err
		case ok:
			rep.Blobs++
			rep.Bytes += size
		default:
			rep.Wrong = append(rep.Wrong, b.Sum)
		}
		done += b.Size
		if progress != nil {
			progress(done, total)
		}
	}
	return rep, nil
}

func (s *Store) verify(ctx context.Context, sum string) (int64, bool, error) {
	unlock, err := s.lock(ctx, "blob "+sum)
	if err != nil {
		return 0, false, err
	}
	defer unlock()
	if _, err := os.Lstat(s.Path(sum)); err != nil {
		return 0, false, err
	}
	return s.judge(sum, true)
}

// Limits says what Prune leaves.
type Limits struct {
	MinAge   time.Duration         // nothing used more recently than this is ever removed
	MaxBytes int64                 // the least recently used go until no more than this is left; 0: no bytes need stay
	Keep     func(sum string) bool // these are never removed; may be nil
	DryRun   bool                  // only say what would go
}

// young says whether something was used too recently to be removed. A time that has not come
// yet was written by a clock that was wrong, and says nothing.
func (l Limits) young(used time.Time) bool {
	age := time.Since(used)
	return age >= 0 && age < l.MinAge
}

// Pruned is what Prune removed, or would have.
type Pruned struct {
	Blobs []Blob `json:"blobs"`
	Freed int64  `json:"freed"` // bytes, of unfinished downloads too; blobs that are linked elsewhere free nothing yet
	Left  int64  `json:"left"`  // bytes of blobs that stay
}

// Prune removes the least recently used blobs, and unfinished downloads that nobody has
// touched. It leaves what Hold, Lock or an unfinished Partial holds, what Keep names, and
// what is younger than MinAge.
func (s *Store) Prune(ctx context.Context, l Limits) (Pruned, error) {
	done := Pruned{Blobs: []Blob{}}
	s.sweep()
	blobs, err := s.List()
	if err != nil {
		return done, err
	}
	sort.SliceStable(blobs, func(i, j int) bool { return blobs[i].Used.Before(blobs[j].Used) })
	for _, b := range blobs {
		done.Left += b.Size
	}
	for _, b := range blobs {
		if err := ctx.Err(); err != nil {
			return done, fmt.Errorf("pruning store: %w", err)
		}
		if done.Left <= l.MaxBytes {
			break
		}
		if (l.Keep != nil && l.Keep(b.Sum)) || l.young(b.Used) {
			continue
		}
		gone, err := s.remove(b, l)
		if err != nil {
			return done, err
		}
		if gone {
			done.Blobs = append(done.Blobs, b)
			done.Freed += b.Size
			done.Left -= b.Size
		}
	}
	freed, err := s.pruneRest(l)
	done.Freed += freed
	return done, err
}

// remove removes one blob unless somebody holds it.
func (s *Store) remove(b Blob, l Limits) (bool, error) {
	for _, key := range []string{"hold ", "user ", "blob "} {
		unlock, err := s.flock(context.Background(), key+b.Sum, unix.LOCK_EX|unix.LOCK_NB)
		if errors.Is(err, ErrBusy) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		defer unlock()
	}
	// It may have been asked for since it was listed.
	if r, err := os.Lstat(s.recordPath(b.Sum)); err == nil && r.ModTime().After(b.Used) && l.young(r.ModTime()) {
		return false, nil
	}
	if l.DryRun {
		return true, nil
	}
	if err := os.RemoveAll(s.Path(b.Sum)); err != nil {
		return false, fmt.Errorf("pruning blob %q: %w", b.Sum, err)
	}
	_ = os.Remove(s.recordPath(b.Sum)) // pruneRest finds one that stays
	return true, nil
}

// pruneRest removes records without a blob, and downloads that nobody goes on with.
func (s *Store) pruneRest(l Limits) (freed int64, err error) {
	if l.DryRun {
		return 0, nil
	}
	records, err := os.ReadDir(filepath.Join(s.dir, "records"))
	if err != nil {
		return 0, fmt.Errorf("pruning store: %w", err)
	}
	for _, r := range records {
		unlock, err := s.flock(context.Background(), "blob "+r.Name(), unix.LOCK_EX|unix.LOCK_NB)
		if err != nil {
			continue // being written
		}
		if _, err := os.Lstat(s.Path(r.Name())); errors.Is(err, fs.ErrNotExist) {
			_ = os.Remove(s.recordPath(r.Name())) // a record without a blob does no harm
		}
		unlock()
	}
	parts, err := filepath.Glob(filepath.Join(s.dir, "partial", "*.part"))
	if err != nil {
		return 0, fmt.Errorf("pruning store: %w", err)
	}
	for _, path := range parts {
		fi, err := os.Lstat(path)
		if err != nil || l.young(fi.ModTime()) {
			continue
		}
		p, err := s.Partial(strings.TrimSuffix(filepath.Base(path), ".part"))
		if err != nil {
			continue // somebody is at it
		}
		freed += fi.Size()
		if err := p.Discard(); err != nil {
			return freed, fmt.Errorf("pruning store: %w", err)
		}
	}
	return freed, nil
}
