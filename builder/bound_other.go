//go:build !linux

package builder

import "os/exec"

// startBound is never reached: the embedded builder needs Linux.
func startBound(cmd *exec.Cmd) error { return cmd.Start() }
