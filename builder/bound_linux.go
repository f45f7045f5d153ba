package builder

import (
	"os/exec"
	"runtime"
	"syscall"
)

// startBound starts a child that gets SIGTERM when forge dies, however it dies. The kernel
// ties that to the thread that starts the child, which therefore stays with the caller's
// goroutine until it ends.
func startBound(cmd *exec.Cmd) error {
	runtime.LockOSThread()
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM, Setpgid: true}
	return cmd.Start()
}
