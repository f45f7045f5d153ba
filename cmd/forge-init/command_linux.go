package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
)

// What shells answer, and people expect.
const (
	cannotRun = 126
	notFound  = 127
)

// command runs argv as a child until it ends, and returns the exit code.
func command(argv, env []string, stderr io.Writer) int {
	path, code := find(argv[0], os.Getenv("PATH"))
	switch code {
	case notFound:
		fmt.Fprintf(stderr, "forge-init: command %+.120q: not found\n", argv[0])
		return code
	case cannotRun:
		fmt.Fprintf(stderr, "forge-init: command %+.120q: not executable\n", argv[0])
		return code
	}
	signals := catch() // before the child is there: nothing that comes meanwhile is lost
	if os.Getpid() != 1 {
		// An error leaves orphans to the next reaper, which is no worse than without us.
		_ = subreaper()
	}
	tty := terminal()
	pid, err := syscall.ForkExec(path, argv, &syscall.ProcAttr{Env: env, Files: []uintptr{0, 1, 2}, Sys: &syscall.SysProcAttr{Setpgid: true}})
	if err != nil {
		hint := ""
		if errors.Is(err, syscall.ENOENT) {
			hint = " (the file is there: its interpreter is not)"
		}
		fmt.Fprintf(stderr, "forge-init: running %+.120q: %v%s\n", path, err, hint)
		return cannotRun
	}
	c := child{pid: pid, tty: tty}
	c.foreground()
	code = c.wait(signals)
	c.background()
	return code
}

// find looks a command up as execvp does, in the folders of PATH from the first
// to the last; relative folders are left out.
func find(name, path string) (string, int) {
	if strings.Contains(name, "/") {
		return name, runnable(name)
	}
	if name == "" {
		return "", notFound
	}
	if path == "" {
		path = "/usr/local/bin:/usr/bin:/bin"
	}
	code := notFound
	for _, dir := range filepath.SplitList(path) {
		if !filepath.IsAbs(dir) {
			continue
		}
		file := filepath.Join(dir, name)
		if _, err := os.Stat(file); err != nil {
			continue // also a folder that we may not look into
		}
		switch runnable(file) {
		case 0:
			return file, 0
		case cannotRun:
			code = cannotRun
		}
	}
	return "", code
}

// runnable returns 0, cannotRun or notFound.
func runnable(file string) int {
	info, err := os.Stat(file)
	if errors.Is(err, syscall.EACCES) {
		return cannotRun
	}
	if err != nil {
		return notFound
	}
	const executable = 1 // X_OK
	if !info.Mode().IsRegular() || syscall.Access(file, executable) != nil {
		return cannotRun
	}
	return 0
}

// child is the command while it runs.
type child struct {
	pid int
	tty int // file descriptor of the terminal whose foreground we were; -1: none
}

// wait passes signals on and reaps until the child has ended. One loop does both, so
// no signal can reach a process that got the child's number after it.
func (c child) wait(signals <-chan os.Signal) int {
	for {
		if code, done := c.reap(); done {
			return code
		}
		s := (<-signals).(syscall.Signal)
		switch s {
		case syscall.SIGCHLD, syscall.SIGPIPE:
			continue // SIGPIPE is about our own stderr
		case syscall.SIGCONT:
			c.foreground() // a shell has put us there again
		}
		// The child is not reaped, so the number is its own; if it has ended, this does nothing.
		_ = syscall.Kill(c.pid, s)
	}
}

// reap takes every process that has ended, the child's orphans among them.
func (c child) reap() (code int, done bool) {
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, syscall.WNOHANG|syscall.WUNTRACED, nil)
		switch {
		case err == syscall.EINTR:
			continue
		case err != nil || pid == 0:
			return code, done
		case pid != c.pid:
			continue
		case status.Stopped():
			c.stopped(status.StopSignal())
		case status.Signaled():
			code, done = 128+int(status.Signal()), true
		case status.Exited():
			code, done = status.ExitStatus(), true
		}
	}
}

// stopped answers Ctrl-Z. As PID 1, or below another init, there is no shell that could
// resume the child, so it goes on at once; else we stop too, and are resumed by SIGCONT.
func (c child) stopped(s syscall.Signal) {
	if c.tty < 0 || s != syscall.SIGTSTP {
		return
	}
	if os.Getpid() == 1 || os.Getppid() == 1 {
		_ = syscall.Kill(-c.pid, syscall.SIGCONT) // it has ended if this fails
		return
	}
	c.background()
	_ = syscall.Kill(os.Getpid(), syscall.SIGSTOP) // to oneself: always allowed
}

// foreground gives the child the terminal, if it is ours to give. A child that was
// faster, and was stopped for using it, goes on.
func (c child) foreground() {
	if c.tty < 0 {
		return
	}
	if group, err := getForeground(c.tty); err != nil || group != syscall.Getpgrp() {
		return
	}
	if setForeground(c.tty, c.pid) == nil {
		_ = syscall.Kill(-c.pid, syscall.SIGCONT) // it has ended if this fails
	}
}

// background takes the terminal back.
func (c child) background() {
	if c.tty < 0 {
		return
	}
	if group, err := getForeground(c.tty); err == nil && group == c.pid {
		_ = setForeground(c.tty, syscall.Getpgrp()) // the terminal is gone if this fails
	}
}

// catch catches what is passed on. What is ignored already, as nohup does with SIGHUP,
// stays ignored, also for the child.
func catch() <-chan os.Signal {
	signals := make(chan os.Signal, 256)
	for n := syscall.Signal(1); n <= 64; n++ {
		switch n {
		case syscall.SIGKILL, syscall.SIGSTOP, syscall.SIGURG, syscall.SIGPROF, syscall.SIGTTIN, syscall.SIGTTOU, 32, 33, 34:
			continue
		}
		if !signal.Ignored(n) {
			signal.Notify(signals, n)
		}
	}
	return signals
}
