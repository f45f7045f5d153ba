package main

import (
	"os/signal"
	"syscall"
	"unsafe"
)

// subreaper makes orphans of our children ours (prctl(2), PR_SET_CHILD_SUBREAPER).
func subreaper() error {
	const setChildSubreaper = 36
	if _, _, e := syscall.RawSyscall(syscall.SYS_PRCTL, setChildSubreaper, 1, 0); e != 0 {
		return e
	}
	return nil
}

// terminal returns the descriptor of our controlling terminal if we are in its
// foreground, or -1.
func terminal() int {
	for fd := range 3 {
		if group, err := getForeground(fd); err == nil && group == syscall.Getpgrp() {
			return fd
		}
	}
	return -1
}

// getForeground is tcgetpgrp(3): an error unless fd is the controlling terminal.
func getForeground(fd int) (int, error) {
	var group int32
	if _, _, e := syscall.Syscall(syscall.SYS_IOCTL, uintptr(fd), syscall.TIOCGPGRP, uintptr(unsafe.Pointer(&group))); e != 0 {
		return 0, e
	}
	return int(group), nil
}

// setForeground is tcsetpgrp(3). From the background it would stop us, by SIGTTOU.
func setForeground(fd, group int) error {
	signal.Ignore(syscall.SIGTTOU)
	g := int32(group)
	if _, _, e := syscall.Syscall(syscall.SYS_IOCTL, uintptr(fd), syscall.TIOCSPGRP, uintptr(unsafe.Pointer(&g))); e != 0 {
		return e
	}
	return nil
}
