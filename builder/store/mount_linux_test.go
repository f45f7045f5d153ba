package store

import "syscall"

func mountTmpfs(dir, options string) error {
	return syscall.Mount("forge-test", dir, "tmpfs", 0, options)
}
