package builder

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/forge-build/forge/builder/store"
)

// A builder that was killed leaves its step: a process in an overlay below the builder's folder.
func TestWhatAKilledBuilderLeftIsEnded(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED: a root for a step can only be mounted by root")
	}
	s, err := store.Open(filepath.Join(t.TempDir(), "a store"))
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(s.Dir(), "buildkit")
	at, lower, empty := filepath.Join(dir, "runc-overlayfs", "executor", "s1", "rootfs"), t.TempDir(), t.TempDir()
	source := filepath.Join(t.TempDir(), "main.go")
	write(t, source, "package main\n\nimport \"time\"\n\nfunc main() { time.Sleep(time.Hour) }\n", 0o600)
	cmd := exec.Command("go", "build", "-o", filepath.Join(lower, "step"), source)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	write(t, filepath.Join(dir, "buildkitd.log"), "started\n", 0o600)
	if err := errors.Join(os.MkdirAll(at, 0o700), syscall.Mount("overlay", at, "overlay", syscall.MS_RDONLY, "lowerdir="+lower+":"+empty)); err != nil {
		t.Fatalf("mounting a step's root: %v", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(at, syscall.MNT_DETACH) }) // it should be gone
	start := func(program, root string) *exec.Cmd {
		t.Helper()
		cmd := exec.Command(program)
		cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: root}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = cmd.Process.Kill() }) // it may have ended
		return cmd
	}
	step, other := start("/step", at), start(filepath.Join(lower, "step"), "")
	ended := make(chan error, 1)
	go func() { ended <- step.Wait() }()

	if _, busy, err := RemoveDaemonCache(context.Background(), s, 0, false); err != nil || busy {
		t.Error(busy, err)
	}
	select {
	case err := <-ended:
		if err == nil || !strings.Contains(err.Error(), "killed") {
			t.Errorf("the step ended with %v", err)
		}
	case <-time.After(5 * time.Second):
		t.Error("the step goes on")
	}
	if _, err := os.Stat(dir); err == nil {
		t.Error("the builder's folder is still there")
	}
	if raw, err := os.ReadFile("/proc/self/mountinfo"); err != nil || strings.Contains(string(raw), "executor/s1") {
		t.Errorf("it is still mounted: %v", err)
	}
	if err := other.Process.Signal(syscall.Signal(0)); err != nil {
		t.Errorf("a process that has nothing to do with it: %v", err)
	}
	_ = other.Process.Kill()
	_ = other.Wait()
}
