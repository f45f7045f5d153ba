package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// child_ is what forge-init runs in the tests that need a child of their own.
func child_(mode string) {
	switch mode {
	case "signals": // says which signals come; ends with code 7 at SIGUSR2
		c := make(chan os.Signal, 100)
		for n := syscall.Signal(1); n <= 64; n++ {
			if n != syscall.SIGURG && n != syscall.SIGCHLD && n != syscall.SIGPIPE {
				signal.Notify(c, n)
			}
		}
		fmt.Println("ready", os.Getpid(), syscall.Getpgrp())
		for s := range c {
			fmt.Println(int(s.(syscall.Signal)))
			if s == syscall.SIGUSR2 {
				os.Exit(7)
			}
		}
	case "ignored": // says whether SIGHUP is ignored
		fmt.Println(signal.Ignored(syscall.SIGHUP))
	}
	os.Exit(0)
}

// running is the binary while it runs.
type running struct {
	*exec.Cmd
	t     *testing.T
	pipe  io.Closer
	lines *bufio.Reader
}

// lacking skips a test for which this host has not what it needs, or fails it when all must run.
func lacking(t *testing.T, format string, args ...any) {
	t.Helper()
	if os.Getenv("FORGE_TEST_ALL") != "" {
		t.Fatalf(format, args...)
	}
	t.Skipf(format, args...)
}

func launch(t *testing.T, attr *syscall.SysProcAttr, env []string, args ...string) running {
	t.Helper()
	cmd := exec.Command(binary, append([]string{"--"}, args...)...)
	cmd.Env, cmd.SysProcAttr = append(clean(), env...), attr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		if attr != nil && (errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.EINVAL) || errors.Is(err, syscall.ENOSPC)) {
			lacking(t, "no PID namespace here: %v", err)
		}
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() }) // it has ended if this fails
	return running{cmd, t, out, bufio.NewReader(out)}
}

func (r running) line() string {
	r.t.Helper()
	timer := time.AfterFunc(10*time.Second, func() { _, _ = r.Process.Kill(), r.pipe.Close() })
	defer timer.Stop()
	s, err := r.lines.ReadString('\n')
	if err != nil {
		r.t.Fatalf("reading the child's output: %v", err)
	}
	return strings.TrimSpace(s)
}

func (r running) code() int {
	timer := time.AfterFunc(10*time.Second, func() { _, _ = r.Process.Kill(), r.pipe.Close() })
	defer timer.Stop()
	_, _ = io.Copy(io.Discard, r.lines) // to the end; Wait says what went wrong
	_ = r.Wait()                        // the code is looked at
	return r.ProcessState.ExitCode()
}

// pid1 runs the binary as PID 1 of a namespace of its own.
func pid1() *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID}
	if uid := os.Getuid(); uid != 0 {
		attr.Cloneflags |= syscall.CLONE_NEWUSER
		attr.UidMappings = []syscall.SysProcIDMap{{ContainerID: uid, HostID: uid, Size: 1}}
		attr.GidMappings = []syscall.SysProcIDMap{{ContainerID: os.Getgid(), HostID: os.Getgid(), Size: 1}}
	}
	return attr
}

// each runs a test as PID 1 and as another process.
func each(t *testing.T, fn func(t *testing.T, attr *syscall.SysProcAttr)) {
	container(t, settings(noCUDA), nil)
	t.Run("as PID 1", func(t *testing.T) { fn(t, pid1()) })
	t.Run("not as PID 1", func(t *testing.T) { fn(t, nil) })
}

func TestSignalsArePassedOn(t *testing.T) {
	each(t, func(t *testing.T, attr *syscall.SysProcAttr) {
		r := launch(t, attr, []string{"FORGE_INIT_TEST_CHILD=signals"}, os.Args[0])
		ready := strings.Fields(r.line())
		if ready[0] != "ready" || ready[1] != ready[2] {
			t.Fatalf("the child is not in a process group of its own: %q", ready)
		}
		if attr != nil && len(ready[1]) > 2 {
			t.Fatalf("child %s: not in a PID namespace", ready[1])
		}
		count := 0
		for n := syscall.Signal(1); n <= 64; n++ {
			switch n {
			case syscall.SIGKILL, syscall.SIGSTOP, syscall.SIGCHLD, syscall.SIGURG, syscall.SIGPROF, syscall.SIGPIPE, syscall.SIGTTIN, syscall.SIGTTOU, 32, 33, 34, syscall.SIGUSR2:
				continue
			}
			if err := r.Process.Signal(n); err != nil {
				t.Fatalf("signal %d: %v", n, err)
			}
			if got := r.line(); got != strconv.Itoa(int(n)) {
				t.Fatalf("sent %d, the child got %s", n, got)
			}
			count++
		}
		if count < 50 {
			t.Errorf("only %d signals", count)
		}
		for _, quiet := range []syscall.Signal{syscall.SIGPIPE, syscall.SIGTTIN, syscall.SIGTTOU} { // not for the child, and they do no harm
			if attr == nil && quiet != syscall.SIGPIPE {
				continue // a process that is not PID 1 stops, as any does
			}
			if err := r.Process.Signal(quiet); err != nil {
				t.Fatal(err)
			}
		}
		if err := r.Process.Signal(syscall.SIGUSR2); err != nil {
			t.Fatal(err)
		}
		if got := r.line(); got != strconv.Itoa(int(syscall.SIGUSR2)) {
			t.Errorf("the child got %s", got)
		}
		if code := r.code(); code != 7 {
			t.Errorf("code %d", code)
		}
	})
}

func TestSIGTERMEndsAndGivesItsCode(t *testing.T) {
	each(t, func(t *testing.T, attr *syscall.SysProcAttr) {
		r := launch(t, attr, nil, "sh", "-c", "echo ready; exec sleep 100")
		r.line()
		if err := r.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		if code := r.code(); code != 143 {
			t.Errorf("code %d", code)
		}
	})
}

func TestOrphansAreReaped(t *testing.T) {
	each(t, func(t *testing.T, attr *syscall.SysProcAttr) {
		// Each subshell ends at once: its sleep is an orphan.
		r := launch(t, attr, nil, "sh", "-c", "for i in 1 2 3 4 5 6 7 8 9; do (sleep 0.$i &) ; done; (sleep 50 &) ; echo made; exec sleep 60")
		r.line()
		alive, _ := children(t, r.Process.Pid)
		if alive < 2 {
			t.Errorf("%d children: the orphans were not adopted", alive)
		}
		var zombies int
		for range 60 {
			time.Sleep(50 * time.Millisecond)
			if alive, zombies = children(t, r.Process.Pid); alive == 2 && zombies == 0 {
				break // the command and the long sleep
			}
		}
		if alive != 2 || zombies != 0 {
			t.Errorf("%d children, %d zombies", alive, zombies)
		}
		for _, pid := range childPids(t, r.Process.Pid) {
			_ = syscall.Kill(pid, syscall.SIGKILL) // both were started by this test
		}
		if code := r.code(); code != 137 {
			t.Errorf("code %d", code)
		}
	})
}

// children counts the living and the dead children of a process.
func children(t *testing.T, pid int) (alive, zombies int) {
	t.Helper()
	for _, p := range childPids(t, pid) {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p))
		if err != nil {
			continue // ended meanwhile
		}
		_, rest, _ := strings.Cut(string(b), ") ")
		if strings.HasPrefix(rest, "Z") {
			zombies++
		} else {
			alive++
		}
	}
	return alive, zombies
}

func childPids(t *testing.T, pid int) []int {
	t.Helper()
	all, err := os.ReadDir("/proc")
	if err != nil {
		t.Fatal(err)
	}
	var out []int
	for _, e := range all {
		p, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		b, err := os.ReadFile("/proc/" + e.Name() + "/stat")
		if err != nil {
			continue // ended meanwhile
		}
		_, rest, _ := strings.Cut(string(b), ") ")
		if f := strings.Fields(rest); len(f) > 1 && f[1] == strconv.Itoa(pid) {
			out = append(out, p)
		}
	}
	return out
}

func TestTheChildEndsTheContainerNotItsOrphans(t *testing.T) {
	each(t, func(t *testing.T, attr *syscall.SysProcAttr) {
		begin := time.Now()
		r := launch(t, attr, nil, "sh", "-c", "sleep 3 </dev/null >/dev/null 2>&1 & exit 4")
		if code := r.code(); code != 4 {
			t.Errorf("code %d", code)
		}
		if d := time.Since(begin); d > 2500*time.Millisecond {
			t.Errorf("took %s", d)
		}
	})
}

func TestWhatIsIgnoredStaysIgnored(t *testing.T) {
	container(t, settings(noCUDA), nil)
	for _, row := range []struct{ trap, want string }{{"trap '' HUP; ", "true"}, {"", "false"}} {
		cmd := exec.Command("sh", "-c", row.trap+`exec "$0" -- "$1"`, binary, os.Args[0])
		cmd.Env = append(clean(), "FORGE_INIT_TEST_CHILD=ignored")
		out, err := cmd.Output()
		if err != nil || strings.TrimSpace(string(out)) != row.want {
			t.Errorf("%q: ignored is %q, %v", row.trap, out, err)
		}
	}
}
