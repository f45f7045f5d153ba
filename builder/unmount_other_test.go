//go:build !linux

package builder

// unmount has nothing to do where no daemon runs.
func unmount(string) {}
