package builder

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"
)

// endTime is how long processes that were killed may take until they are gone.
const endTime = 10 * time.Second

// endLeftovers ends what a daemon that was killed left at work below dir, its folder: steps
// whose containers outlive it, and mounts. Whoever calls it holds the daemon's lock.
func endLeftovers(dir string) error {
	dir, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return fmt.Errorf("looking for what a killed builder left: %w", err)
	}
	var own unix.Stat_t
	if err := unix.Stat(dir, &own); err != nil {
		return fmt.Errorf("looking for what a killed builder left: %q: %w", dir, err)
	}
	mounts, err := mountinfo.GetMounts(mountinfo.PrefixFilter(dir))
	if err != nil {
		return fmt.Errorf("looking for what a killed builder left: %w", err)
	}
	roots := map[uint64]bool{} // file systems that are nowhere else: the overlays of steps
	for _, m := range mounts {
		if dev := unix.Mkdev(uint32(m.Major), uint32(m.Minor)); dev != own.Dev && m.FSType == "overlay" {
			roots[dev] = true
		}
	}
	for deadline := time.Now().Add(endTime); len(roots) > 0 && killWithin(roots) > 0; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			return fmt.Errorf("a step that a killed builder left below %q does not end", dir)
		}
	}
	for i := len(mounts) - 1; i >= 0; i-- { // what lies above another was mounted later
		if at := mounts[i].Mountpoint; at != dir {
			if err := unix.Unmount(at, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW); err != nil {
				return fmt.Errorf("unmounting %q, which a killed builder left: %w", at, err)
			}
		}
	}
	return nil
}

// killWithin kills every process whose root is one of these file systems and returns how many
// there were.
func killWithin(roots map[uint64]bool) int {
	all, err := os.ReadDir("/proc")
	if err != nil {
		return 0
	}
	n := 0
	for _, entry := range all {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		p, err := os.FindProcess(pid) // held, so that its number is nobody else's below
		if err != nil {
			continue
		}
		var root unix.Stat_t
		if unix.Stat(filepath.Join("/proc", entry.Name(), "root"), &root) == nil && roots[root.Dev] {
			_ = p.Kill() // it is looked for again
			n++
		}
		_ = p.Release() // nothing was waited for
	}
	return n
}
