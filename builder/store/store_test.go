package store

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func open(t *testing.T) *Store {
	t.Helper()
	s, err := Open(filepath.Join(t.TempDir(), "store"))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func put(t *testing.T, s *Store, content string) string {
	t.Helper()
	p, err := s.Create()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Write([]byte(content)); err != nil {
		t.Fatal(err)
	}
	sum, err := p.Commit("")
	if err != nil {
		t.Fatal(err)
	}
	return sum
}

func sumOf(b []byte) string {
	h := sha256.Sum256(b)
	return hex.EncodeToString(h[:])
}

func has(t *testing.T, s *Store, sum string) bool {
	t.Helper()
	_, ok, err := s.Stat(sum)
	if err != nil {
		t.Fatal(err)
	}
	return ok
}

// leftovers lists what lies in a subfolder of the store.
func leftovers(t *testing.T, s *Store, sub string) []string {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(s.Dir(), sub))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func clean(t *testing.T, s *Store) {
	t.Helper()
	for _, sub := range []string{"partial", "locks"} {
		if l := leftovers(t, s, sub); len(l) != 0 {
			t.Errorf("left in %s: %q", sub, l)
		}
	}
}

func TestBlobGoesInAndComesOut(t *testing.T) {
	s := open(t)
	sum := put(t, s, "hello")
	if want := sumOf([]byte("hello")); sum != want {
		t.Errorf("sum is %s, want %s", sum, want)
	}
	f, size, err := s.Open(sum)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	got := make([]byte, size)
	if _, err := f.ReadAt(got, 0); err != nil || string(got) != "hello" {
		t.Errorf("read %q, %v", got, err)
	}
	fi, err := f.Stat()
	if err != nil || fi.Mode() != 0o444 {
		t.Errorf("mode is %v, %v", fi.Mode(), err)
	}
	if _, _, err := s.Open(sumOf(nil)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("an absent blob gives %v", err)
	}
	if _, _, err := s.Stat("../../etc/passwd"); err == nil {
		t.Error("a path was taken for a sum")
	}
	clean(t, s)
}

func TestCommitRefusesOtherBytes(t *testing.T) {
	s := open(t)
	p, err := s.Create()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Write([]byte("evil")); err != nil {
		t.Fatal(err)
	}
	_, err = p.Commit(sumOf([]byte("good")))
	var m *MismatchError
	if !errors.As(err, &m) || m.Got != sumOf([]byte("evil")) {
		t.Errorf("Commit: %v", err)
	}
	if err := p.Abort(); err != nil {
		t.Errorf("Abort after Commit: %v", err)
	}
	if has(t, s, sumOf([]byte("good"))) || has(t, s, sumOf([]byte("evil"))) {
		t.Error("the bytes were kept")
	}
	clean(t, s)
}

func TestAbortLeavesNothing(t *testing.T) {
	s := open(t)
	p, err := s.Create()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Write([]byte("half")); err != nil {
		t.Fatal(err)
	}
	if err := p.Abort(); err != nil {
		t.Fatal(err)
	}
	clean(t, s)
}

func TestTamperedBlobIsDetected(t *testing.T) {
	// write changes a blob's bytes as somebody with the same uid would.
	write := func(t *testing.T, path, content string) {
		t.Helper()
		if err := os.Chmod(path, 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for name, tamper := range map[string]func(t *testing.T, path string){
		"same size, other time": func(t *testing.T, path string) { write(t, path, "jello") },
		"other size, same time": func(t *testing.T, path string) {
			fi, err := os.Stat(path)
			if err != nil {
				t.Fatal(err)
			}
			write(t, path, "hello!")
			if err := os.Chtimes(path, fi.ModTime(), fi.ModTime()); err != nil {
				t.Fatal(err)
			}
		},
		"another file with the same size and time": func(t *testing.T, path string) {
			fi, err := os.Stat(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path+"x", []byte("jello"), 0o444); err != nil {
				t.Fatal(err)
			}
			if err := os.Chtimes(path+"x", fi.ModTime(), fi.ModTime()); err != nil {
				t.Fatal(err)
			}
			if err := os.Rename(path+"x", path); err != nil {
				t.Fatal(err)
			}
		},
		"a link to the same bytes": func(t *testing.T, path string) {
			if err := os.Rename(path, path+"x"); err != nil {
				t.Fatal(err)
			}
			if err := os.Symlink(path+"x", path); err != nil {
				t.Fatal(err)
			}
		},
		"truncated": func(t *testing.T, path string) { write(t, path, "") },
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t)
			sum := put(t, s, "hello")
			tamper(t, s.Path(sum))
			if has(t, s, sum) {
				t.Fatal("the blob was believed")
			}
			if _, err := os.Lstat(s.Path(sum)); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("the blob is still there: %v", err)
			}
			if put(t, s, "hello"); !has(t, s, sum) {
				t.Error("the blob cannot come back")
			}
		})
	}
}

func TestDifferenceIsHashedOnce(t *testing.T) {
	s := open(t)
	sum := put(t, s, "hello")
	other := time.Now().Add(-time.Hour)
	if err := os.Chtimes(s.Path(sum), other, other); err != nil {
		t.Fatal(err)
	}
	fi, err := os.Lstat(s.Path(sum))
	if err != nil {
		t.Fatal(err)
	}
	if s.recorded(sum, fi) {
		t.Fatal("the other time was not noticed")
	}
	if !has(t, s, sum) {
		t.Fatal("right bytes were refused")
	}
	if !s.recorded(sum, fi) {
		t.Error("it would be hashed again")
	}
	if err := os.Remove(s.recordPath(sum)); err != nil {
		t.Fatal(err)
	}
	if !has(t, s, sum) || !s.recorded(sum, fi) {
		t.Error("a lost record did not come back")
	}
}

func TestHardLinksElsewhereAreNoDifference(t *testing.T) {
	s := open(t)
	sum := put(t, s, "hello")
	if err := os.Link(s.Path(sum), filepath.Join(t.TempDir(), "elsewhere")); err != nil {
		lacking(t, "no hard links here: %v", err)
	}
	fi, err := os.Lstat(s.Path(sum))
	if err != nil {
		t.Fatal(err)
	}
	if !s.recorded(sum, fi) {
		t.Error("a hard link counts as a difference")
	}
	// The same bytes again must not replace the inode that is shared.
	put(t, s, "hello")
	again, err := os.Lstat(s.Path(sum))
	if err != nil || !os.SameFile(fi, again) {
		t.Errorf("the blob was replaced by its like (%v)", err)
	}
}

func TestOpenRefusesFoldersOfOthers(t *testing.T) { // CLI-02
	for name, c := range map[string]struct {
		make func(t *testing.T, dir string)
		want string
	}{
		"a symbolic link": {func(t *testing.T, dir string) {
			if err := os.Symlink(t.TempDir(), dir); err != nil {
				t.Fatal(err)
			}
		}, "is a symbolic link"},
		"a file": {func(t *testing.T, dir string) {
			if err := os.WriteFile(dir, nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}, "is not a folder"},
		"writable by the group": {func(t *testing.T, dir string) { mkdir(t, dir, 0o770) }, "can be written by others"},
		"writable by the world": {func(t *testing.T, dir string) { mkdir(t, dir, 0o707) }, "can be written by others"},
		"a linked folder inside": {func(t *testing.T, dir string) {
			mkdir(t, dir, 0o700)
			if err := os.Symlink(t.TempDir(), filepath.Join(dir, "blobs")); err != nil {
				t.Fatal(err)
			}
		}, "is a symbolic link"},
		"another user's": {func(t *testing.T, dir string) {
			if os.Geteuid() != 0 {
				t.Skip("SKIPPED: only root can give a folder away")
			}
			mkdir(t, dir, 0o700)
			if err := os.Chown(dir, 12345, 12345); err != nil {
				lacking(t, "giving a folder away: %v", err)
			}
		}, "belongs to user 12345"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "store")
			c.make(t, dir)
			if _, err := Open(dir); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("Open: %v, want …%s…", err, c.want)
			}
		})
	}
}

func mkdir(t *testing.T, dir string, mode fs.FileMode) {
	t.Helper()
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, mode); err != nil {
		t.Fatal(err)
	}
}

func TestPartialGoesOn(t *testing.T) {
	s := open(t)
	sum := sumOf([]byte("hello world"))
	p, err := s.Partial(sum)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Partial(sum); !errors.Is(err, ErrBusy) {
		t.Errorf("a second one: %v", err)
	}
	if _, err := p.Write([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	if err := p.SetValidator(`"v1"`); err != nil {
		t.Fatal(err)
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	if s, err = Open(s.Dir()); err != nil { // a sweep must leave it alone
		t.Fatal(err)
	}
	if p, err = s.Partial(sum); err != nil {
		t.Fatal(err)
	}
	if p.Size() != 5 || p.Validator() != `"v1"` {
		t.Errorf("size is %d, validator %q", p.Size(), p.Validator())
	}
	if _, err := p.Write([]byte(" world")); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Commit(sum, 11); err != nil {
		t.Fatal(err)
	}
	if !has(t, s, sum) {
		t.Error("it is not there")
	}
	clean(t, s)
}

func TestNothingIsLeftOfADownloadThatBroughtNothing(t *testing.T) {
	s := open(t)
	p, err := s.Partial(strings.Repeat("0", 64))
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(p.SetValidator(`"tag"`), p.Close()); err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(filepath.Join(s.Dir(), "partial")); err != nil || len(left) > 0 {
		t.Error(left, err)
	}
}

// What another process has pruned meanwhile is not there any more, and the error says so.
func TestABlobThatIsGoneIsAbsent(t *testing.T) {
	s := open(t)
	var absent *AbsentError
	_, _, err := s.Open(strings.Repeat("0", 64))
	if !errors.As(err, &absent) || !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	if err := s.Place(strings.Repeat("0", 64), filepath.Join(t.TempDir(), "x")); !errors.As(err, &absent) {
		t.Error(err)
	}
}

func TestPartialOfOtherBytesIsThrownAway(t *testing.T) {
	for name, size := range map[string]int64{"sum": -1, "size": 4} {
		t.Run(name, func(t *testing.T) {
			s := open(t)
			sum := sumOf([]byte("hello"))
			p, err := s.Partial(sum)
			if err != nil {
				t.Fatal(err)
			}
			content := "jello"
			if size >= 0 {
				content = "hello"
			}
			if _, err := p.Write([]byte(content)); err != nil {
				t.Fatal(err)
			}
			var m *MismatchError
			if _, err := p.Commit(sum, size); !errors.As(err, &m) {
				t.Errorf("Commit: %v", err)
			}
			if has(t, s, sum) {
				t.Error("it was kept")
			}
			clean(t, s)
		})
	}
}

func TestPartialRestart(t *testing.T) {
	s := open(t)
	p, err := s.Partial(sumOf(nil))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Write([]byte("wrong")); err != nil {
		t.Fatal(err)
	}
	if err := p.Restart(); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Write([]byte("right")); err != nil {
		t.Fatal(err)
	}
	if sum, err := p.Commit("", 5); err != nil || sum != sumOf([]byte("right")) {
		t.Errorf("Commit: %s, %v", sum, err)
	}
	clean(t, s)
}

func TestLockIsHeldByOne(t *testing.T) {
	s := open(t)
	var wg sync.WaitGroup
	var inside, total atomic.Int32
	for range 8 {
		wg.Go(func() {
			for range 60 {
				unlock, err := s.Lock(context.Background(), "work")
				if err != nil {
					t.Error(err)
					return
				}
				if n := inside.Add(1); n != 1 {
					t.Errorf("%d inside", n)
				}
				time.Sleep(100 * time.Microsecond)
				total.Add(1)
				inside.Add(-1)
				unlock()
				unlock()
			}
		})
	}
	wg.Wait()
	if n := total.Load(); n != 480 {
		t.Errorf("%d times, want 480", n)
	}
	unlock, err := s.Lock(context.Background(), "work")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	if _, err := s.Lock(ctx, "work"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("waiting: %v", err)
	}
	unlock()
	clean(t, s)
}

func TestFactsAreWhole(t *testing.T) {
	s := open(t)
	if _, ok, err := s.Fact("checked", "a"); ok || err != nil {
		t.Errorf("a fact out of nothing: %v, %v", ok, err)
	}
	a, b := bytes.Repeat([]byte("a"), 1<<16), bytes.Repeat([]byte("b"), 1<<15)
	if err := s.PutFact("checked", "k", a); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := range 50 {
			v := a
			if i%2 == 0 {
				v = b
			}
			if err := s.PutFact("checked", "k", v); err != nil {
				t.Error(err)
			}
		}
	})
	wg.Go(func() {
		for range 500 {
			v, ok, err := s.Fact("checked", "k")
			if err != nil || !ok || (!bytes.Equal(v, a) && !bytes.Equal(v, b)) {
				t.Errorf("read %d bytes, %v, %v", len(v), ok, err)
			}
		}
	})
	wg.Wait()
	for _, key := range []string{"../../x", "a/b", "", ".", "..", strings.Repeat("k", 5000), "https://x.example/?q", "~x"} {
		if err := s.PutFact("odd", key, []byte(key)); err != nil {
			t.Errorf("%q: %v", key, err)
		}
		if v, ok, err := s.Fact("odd", key); err != nil || !ok || string(v) != key {
			t.Errorf("%q: %q, %v, %v", key, v, ok, err)
		}
	}
	if n := len(leftovers(t, s, "facts/odd")); n != 8 {
		t.Errorf("%d facts, want 8", n)
	}
	if err := s.PutFact("../x", "k", nil); err == nil {
		t.Error("a kind that is a path was taken")
	}
	clean(t, s)
}

func TestPlaceAndLink(t *testing.T) {
	s := open(t)
	sum := put(t, s, "hello")
	dir := t.TempDir()
	dst := filepath.Join(dir, "blob")
	for name, put := range map[string]func(string, string) error{
		"Place": s.Place, "Link": s.Link,
		"copy": func(sum, dst string) error { return s.place(sum, dst, s.copyTo) },
	} {
		for _, round := range []string{"new", "again"} {
			t.Run(name+" "+round, func(t *testing.T) {
				if err := put(sum, dst); err != nil {
					t.Fatal(err)
				}
				if b, err := os.ReadFile(dst); err != nil || string(b) != "hello" {
					t.Errorf("read %q, %v", b, err)
				}
				if l, err := os.ReadDir(dir); err != nil || len(l) != 1 {
					t.Errorf("the folder holds %v, %v", l, err)
				}
			})
		}
	}
	if err := s.Place(sumOf(nil), dst); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("an absent blob: %v", err)
	}
	if !has(t, s, sum) {
		t.Error("placing changed the blob")
	}
}

func TestCopyTrustsWhatItReads(t *testing.T) {
	s := open(t)
	sum := put(t, s, "hello")
	wrong := filepath.Join(t.TempDir(), sum)
	if err := os.WriteFile(wrong, []byte("jello"), 0o600); err != nil {
		t.Fatal(err)
	}
	var m *MismatchError
	if err := s.copyTo(wrong, filepath.Join(t.TempDir(), "x")); !errors.As(err, &m) {
		t.Errorf("copyTo: %v", err)
	}
}

func TestVerifyFindsWhatStatBelieves(t *testing.T) {
	s := open(t)
	good, bad := put(t, s, "good"), put(t, s, "hello")
	fi, err := os.Stat(s.Path(bad))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(s.Path(bad), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(s.Path(bad), []byte("jello"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(s.Path(bad), fi.ModTime(), fi.ModTime()); err != nil {
		t.Fatal(err)
	}
	if !has(t, s, bad) {
		t.Fatal("the test does not show what it wants: Stat noticed")
	}
	var last string
	rep, err := s.Verify(context.Background(), func(done, total int64) { last = fmt.Sprint(done, "/", total) })
	if err != nil {
		t.Fatal(err)
	}
	if rep.Blobs != 1 || rep.Bytes != 4 || len(rep.Wrong) != 1 || rep.Wrong[0] != bad || last != "9/9" {
		t.Errorf("Verify: %+v, progress %s", rep, last)
	}
	if has(t, s, bad) || !has(t, s, good) {
		t.Error("the wrong one was kept, or the right one was not")
	}
	clean(t, s)
}

// age makes a blob look last used some hours ago.
func age(t *testing.T, s *Store, sum string, hours int) {
	t.Helper()
	when := time.Now().Add(-time.Duration(hours) * time.Hour)
	if err := os.Chtimes(s.Path(sum), when, when); err != nil {
		t.Fatal(err)
	}
	fi, err := os.Lstat(s.Path(sum))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.record(sum, fi); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(s.recordPath(sum), when, when); err != nil {
		t.Fatal(err)
	}
}

// A clock that stood in 2099 for a while does not keep a blob forever, nor one of 1970.
func TestTimesOfAWrongClock(t *testing.T) {
	for _, year := range []int{1970, 2099} {
		s := open(t)
		sum := put(t, s, "content")
		when := time.Date(year, 1, 2, 0, 0, 0, 0, time.UTC)
		age(t, s, sum, int(time.Since(when).Hours()))
		if err := os.Chtimes(s.recordPath(sum), when, when); err != nil {
			t.Fatal(err)
		}
		p, err := s.Prune(context.Background(), Limits{MinAge: time.Hour, DryRun: true})
		if err != nil || len(p.Blobs) != 1 {
			t.Errorf("%d: %+v %v", year, p, err)
		}
		// Once it is used, the time is right again and holds.
		if _, ok, err := s.Stat(sum); !ok || err != nil {
			t.Fatal(ok, err)
		}
		fi, err := os.Lstat(s.recordPath(sum))
		if err != nil || time.Since(fi.ModTime()).Abs() > time.Minute {
			t.Errorf("%d: used, and its time is %v (%v)", year, fi.ModTime(), err)
		}
		if err := os.Chtimes(s.Path(sum), time.Unix(1, 0), time.Unix(1, 0)); err != nil {
			t.Fatal(err)
		}
		if p, err := s.Prune(context.Background(), Limits{MinAge: time.Hour, DryRun: true}); err != nil || len(p.Blobs) != 0 {
			t.Errorf("%d: a blob that was just used is removed: %+v %v", year, p, err)
		}
	}
}

func TestPrune(t *testing.T) {
	s := open(t)
	sums := map[string]string{}
	for i, name := range []string{"held", "locked", "kept", "older", "old", "young"} {
		sums[name] = put(t, s, name)
		if name != "young" {
			age(t, s, sums[name], 100-10*i)
		}
	}
	release, err := s.Hold(sums["held"])
	if err != nil {
		t.Fatal(err)
	}
	unlock, err := s.Lock(context.Background(), sums["locked"])
	if err != nil {
		t.Fatal(err)
	}
	mine, err := s.Partial(sumOf([]byte("mine")))
	if err != nil {
		t.Fatal(err)
	}
	for _, content := range []string{"mine", "stale"} {
		p := mine
		if content == "stale" {
			if p, err = s.Partial(sumOf([]byte("stale"))); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := p.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(p.f.Name(), time.Unix(0, 0), time.Unix(0, 0)); err != nil {
			t.Fatal(err)
		}
		if content == "stale" {
			if err := p.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
	limits := Limits{MinAge: time.Hour, MaxBytes: 4 + 6 + 4 + 5 + 3, Keep: func(sum string) bool { return sum == sums["kept"] }}
	names := func(p Pruned) string {
		var all []string
		for _, b := range p.Blobs {
			for n, sum := range sums {
				if sum == b.Sum {
					all = append(all, n)
				}
			}
		}
		return strings.Join(all, " ")
	}
	prune := func(want string) {
		t.Helper()
		p, err := s.Prune(context.Background(), limits)
		if err != nil || names(p) != want {
			t.Errorf("removed %q, want %q (%v)", names(p), want, err)
		}
	}
	limits.DryRun = true
	prune("older")
	limits.DryRun = false
	prune("older") // enough for MaxBytes
	limits.MaxBytes = 0
	prune("old")
	release()
	unlock()
	prune("held locked")
	if err := mine.Close(); err != nil {
		t.Fatal(err)
	}
	var left []string
	blobs, err := s.List()
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range blobs {
		left = append(left, b.Sum)
	}
	if len(left) != 2 || !has(t, s, sums["kept"]) || !has(t, s, sums["young"]) {
		t.Errorf("left: %q", left)
	}
	if l := leftovers(t, s, "partial"); len(l) != 1 {
		t.Errorf("unfinished downloads: %q, want only the one that was open", l)
	}
	if l := leftovers(t, s, "records"); len(l) != 2 {
		t.Errorf("%d records, want 2", len(l))
	}
}
