package store

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestMain lets the tests run their own binary as another forge.
func TestMain(m *testing.M) {
	if dir := os.Getenv("FORGE_STORE_CHILD"); dir != "" {
		child(dir, os.Getenv("FORGE_STORE_DO"))
		return
	}
	os.Exit(m.Run())
}

// content is the n-th blob of a fixed row: every child makes the same ones.
func content(n uint64) []byte {
	r := rand.New(rand.NewPCG(n, n))
	b := make([]byte, 1000+r.IntN(300_000))
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

func check(err error) {
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}

// child is another process at work in the same store, until it is killed.
func child(dir, do string) {
	s, err := Open(dir)
	check(err)
	fmt.Println("ready")
	for n := uint64(0); do == "forever" || n < 20; n++ {
		b := content(n % 40)
		unlock, err := s.Lock(context.Background(), "work")
		check(err)
		p, err := s.Create()
		check(err)
		for i := 0; i < len(b); i += 10_000 {
			_, err := p.Write(b[i:min(i+10_000, len(b))])
			check(err)
		}
		_, err = p.Commit(sumOf(b))
		check(err)
		part, err := s.Partial(sumOf([]byte(fmt.Sprint("part", n%40))))
		check(err)
		_, err = part.Write(b[:1000])
		check(err)
		check(part.Close())
		check(s.PutFact("crash", fmt.Sprint(n%40), b[:1000]))
		unlock()
		if do == "forever" && n%7 == 0 {
			check(os.RemoveAll(s.Path(sumOf(b)))) // so that there is something to write again
		}
	}
}

func start(t *testing.T, dir, do string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "FORGE_STORE_CHILD="+dir, "FORGE_STORE_DO="+do)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := out.Read(make([]byte, 5)); err != nil {
		t.Fatal(err)
	}
	return cmd
}

// examine hashes everything with its own eyes.
func examine(t *testing.T, s *Store) (blobs int) {
	t.Helper()
	for _, sum := range leftovers(t, s, "blobs/sha256") {
		b, err := os.ReadFile(s.Path(sum))
		if err != nil {
			t.Fatal(err)
		}
		if sumOf(b) != sum {
			t.Errorf("blob %s has the sum %s", sum, sumOf(b))
		}
		if !has(t, s, sum) {
			t.Errorf("a right blob was refused: %s", sum)
		}
		blobs++
	}
	return blobs
}

func TestKilledAtAnyMoment(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "store")
	rounds := 40
	if testing.Short() {
		rounds = 8
	}
	most := 0
	for round := range rounds {
		cmd := start(t, dir, "forever")
		time.Sleep(time.Duration(rand.IntN(30_000)) * time.Microsecond)
		if err := cmd.Process.Signal(syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		if err := cmd.Wait(); err == nil || !strings.Contains(err.Error(), "killed") {
			t.Fatalf("round %d: the child ended by itself: %v", round, err)
		}
		s, err := Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		most = max(most, examine(t, s))
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		unlock, err := s.Lock(ctx, "work")
		cancel()
		if err != nil {
			t.Fatalf("round %d: a lock outlived its process: %v", round, err)
		}
		unlock()
		for _, name := range leftovers(t, s, "partial") {
			if strings.HasPrefix(name, "tmp-") {
				t.Errorf("round %d: left: %s", round, name)
			}
		}
		for _, key := range leftovers(t, s, "facts") {
			if key != "crash" {
				t.Errorf("round %d: odd fact %q", round, key)
			}
		}
		for n := range uint64(40) {
			if v, ok, err := s.Fact("crash", fmt.Sprint(n)); err != nil || (ok && string(v) != string(content(n)[:1000])) {
				t.Errorf("round %d: fact %d is torn (%d bytes, %v)", round, n, len(v), err)
			}
		}
	}
	if most == 0 {
		t.Error("no child ever wrote a blob: nothing was tested")
	}
}

func TestTwoProcessesWriteTheSame(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "store")
	a, b := start(t, dir, "twenty"), start(t, dir, "twenty")
	for _, cmd := range []*exec.Cmd{a, b} {
		if err := cmd.Wait(); err != nil {
			t.Errorf("a child failed: %v", err)
		}
	}
	s, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	if n := examine(t, s); n != 20 {
		t.Errorf("%d blobs, want 20", n)
	}
	for _, name := range leftovers(t, s, "partial") {
		if !strings.HasSuffix(name, ".part") {
			t.Errorf("left: %s", name)
		}
	}
}

func TestSweepLeavesTheLivingAlone(t *testing.T) {
	s := open(t)
	p, err := s.Create()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Write([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(s.Dir()); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Commit(""); err != nil {
		t.Errorf("the file was swept away: %v", err)
	}
}

// lacking skips a test for which this host has not what it needs, or fails it when all must run.
func lacking(t *testing.T, format string, args ...any) {
	t.Helper()
	if os.Getenv("FORGE_TEST_ALL") != "" {
		t.Fatalf(format, args...)
	}
	t.Skipf("SKIPPED: "+format, args...)
}

func TestFullDisk(t *testing.T) { // CLI-01
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED: a small disk can only be mounted by root")
	}
	mount := t.TempDir()
	if err := mountTmpfs(mount, "size=512k"); err != nil {
		lacking(t, "mounting a small disk: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(mount, 0); err != nil {
			t.Error(err)
		}
	})
	s, err := Open(filepath.Join(mount, "store"))
	if err != nil {
		t.Fatal(err)
	}
	full := func(t *testing.T, err error, need int64) {
		t.Helper()
		var f *FullError
		if !errors.As(err, &f) {
			t.Fatalf("error is %v", err)
		}
		if f.Dir != s.Dir() || f.Need < need || f.Free > 512<<10 {
			t.Errorf("error is %+v, want at least %d needed", f, need)
		}
		for _, want := range []string{fmt.Sprintf("%q", s.Dir()), "more needed", "free; make room"} {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("error %q lacks %q", err, want)
			}
		}
		clean(t, s)
		if free := s.free(); free < 400<<10 {
			t.Errorf("only %d bytes are free afterwards", free)
		}
	}
	block := make([]byte, 100_000)
	t.Run("a blob of unknown size", func(t *testing.T) {
		p, err := s.Create()
		if err != nil {
			t.Fatal(err)
		}
		for err == nil {
			_, err = p.Write(block)
		}
		full(t, err, 1)
		if _, err := p.Commit(""); err == nil {
			t.Error("Commit works all the same")
		}
		if err := p.Abort(); err != nil {
			t.Errorf("Abort: %v", err)
		}
	})
	t.Run("a blob that is announced", func(t *testing.T) {
		p, err := s.Create()
		if err != nil {
			t.Fatal(err)
		}
		err = p.Expect(10 << 20)
		if err := p.Abort(); err != nil {
			t.Fatal(err)
		}
		full(t, err, 10<<20)
	})
	t.Run("a download", func(t *testing.T) {
		p, err := s.Partial(sumOf(nil))
		if err != nil {
			t.Fatal(err)
		}
		for err == nil {
			_, err = p.Write(block)
		}
		full(t, err, 1)
	})
	t.Run("a download that is announced", func(t *testing.T) {
		p, err := s.Partial(sumOf(nil))
		if err != nil {
			t.Fatal(err)
		}
		full(t, p.Expect(10<<20), 10<<20)
	})
	t.Run("a fact", func(t *testing.T) {
		full(t, s.PutFact("big", "k", make([]byte, 1<<20)), 1<<20)
	})
	if put(t, s, "hello"); !has(t, s, sumOf([]byte("hello"))) {
		t.Error("the store does not work any more")
	}
}
