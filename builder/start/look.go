package start

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/forge-build/forge/recipes/cuda"
)

// Platform says which road leads to the GPU.
type Platform string

// The platforms. On Jetson the driver's version is that of the board's software and
// cannot be compared; on WSL2 it is the Windows host's and cannot be read.
const (
	Linux    Platform = "linux"
	WSL2     Platform = "wsl2"
	JetsonOS Platform = "jetson"
)

// Driver is a version of the driver and where it was read.
type Driver struct {
	Version cuda.Version // zero: not known
	Source  string       // path; empty: nothing was there to read
	Text    string       // what was read where it is no version
}

// GPU is one that the container was given.
type GPU struct {
	Model      string // as the driver says it; empty: not known
	Capability cuda.Capability
	Known      bool // whether Capability is
}

// Facts is what a container has.
type Facts struct {
	UID       int
	Platform  Platform
	Nodes     []string // device nodes that stand for a GPU
	GPUs      []GPU    // one for each GPU of Nodes, as far as they are told apart
	Kernel    Driver   // the kernel's part of the driver: it decides
	Libraries []string // files of libcuda
	User      Driver   // the user-space part, by the libraries' names
	Slow      bool     // something did not answer in time: what is missing is not known
}

const (
	limit    = 5 * time.Second // for everything
	oneRead  = time.Second     // for one file or folder
	maxRead  = 4 << 10
	maxNames = 256 // GPUs, conf files and folders that are looked at
)

// Look reads the facts below root, which is "/" but in tests. libraryPath is the
// loader's LD_LIBRARY_PATH. It takes at most five seconds.
func Look(root string, uid int, libraryPath string) Facts {
	return look(&eyes{root: root, one: oneRead, read: readSmall, list: listNames}, uid, libraryPath, limit)
}

func look(e *eyes, uid int, libraryPath string, limit time.Duration) Facts {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	e.ctx = ctx
	f := Facts{UID: uid, Platform: Linux}
	minors := f.nodes(e)
	f.libraries(e, libraryPath) // before the driver is asked, which may not answer
	f.Kernel = kernelDriver(e)
	f.gpus(e, minors)
	f.Slow = e.slow
	return f
}

// eyes reads below root. A driver in trouble can block a reader for ever: each read
// has its limit, and the thread of one that does not end is left behind.
type eyes struct {
	ctx  context.Context
	root string
	one  time.Duration
	slow bool
	read func(name string) ([]byte, error)
	list func(name string) ([]string, error)
}

func (e *eyes) file(name string) (string, error) {
	b, err := within(e, e.read, filepath.Join(e.root, name))
	return string(b), err
}

func (e *eyes) names(dir string) []string {
	names, err := within(e, e.list, filepath.Join(e.root, dir))
	if err != nil {
		return nil // absent, or not for us: then there is nothing to be seen
	}
	return names
}

func within[T any](e *eyes, fn func(string) (T, error), name string) (T, error) {
	type result struct {
		value T
		err   error
	}
	var none T
	ctx, cancel := context.WithTimeout(e.ctx, e.one)
	defer cancel()
	done := make(chan result, 1)
	if ctx.Err() == nil {
		go func() {
			v, err := fn(name)
			done <- result{v, err}
		}()
	}
	select {
	case r := <-done:
		return r.value, r.err
	case <-ctx.Done():
		e.slow = true
		return none, ctx.Err()
	}
}

var errLong = errors.New("longer than 4 KiB")

// readSmall reads a regular file of less than 4 KiB, and never more of any file.
func readSmall(name string) ([]byte, error) {
	f, err := os.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close() // only read
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("reading %q: not a regular file", name)
	}
	buf := make([]byte, maxRead)
	n, err := io.ReadFull(f, buf)
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return buf[:n], nil
	case err != nil:
		return nil, err
	}
	return nil, errLong
}

// listNames returns the names in a folder, sorted.
func listNames(name string) ([]string, error) {
	entries, err := os.ReadDir(name)
	var out []string
	for _, e := range entries {
		out = append(out, e.Name())
	}
	return out, err
}

// nodes finds the device nodes and returns the minor numbers of /dev/nvidia<N>.
func (f *Facts) nodes(e *eyes) []int {
	var minors []int
	for _, name := range e.names("dev") {
		number, ok := strings.CutPrefix(name, "nvidia")
		minor, err := strconv.Atoi(number)
		switch {
		case ok && err == nil && minor >= 0 && number == strconv.Itoa(minor):
			minors = append(minors, minor)
		case name == "dxg":
			f.Platform = WSL2
		case name == "nvgpu" || name == "nvhost-gpu":
			f.Platform = JetsonOS
		default:
			continue
		}
		f.Nodes = append(f.Nodes, "/dev/"+name)
	}
	return minors
}

// gpus names the GPUs whose device node the container has. A host's /proc shows
// all of them.
func (f *Facts) gpus(e *eyes, minors []int) {
	const dir = "proc/driver/nvidia/gpus"
	seen := 0
	for i, name := range e.names(dir) {
		if i == maxNames || len(minors) == 0 {
			break
		}
		text, err := e.file(filepath.Join(dir, name, "information"))
		if err != nil {
			continue
		}
		minor, err := strconv.Atoi(field(text, "Device Minor:"))
		if err == nil && !slices.Contains(minors, minor) {
			continue
		}
		f.add(field(text, "Model:"))
		seen++
	}
	if f.Platform == JetsonOS && len(minors) == 0 {
		model, err := e.file("proc/device-tree/model")
		if err != nil {
			model = ""
		}
		f.add(strings.TrimRight(model, "\x00\n"))
		return
	}
	for range max(len(minors)-seen, flag(f.Platform == WSL2)) {
		f.add("")
	}
}

func (f *Facts) add(model string) {
	gpu := GPU{Model: model}
	if p, ok := cuda.FindGPU(model); ok {
		gpu.Capability, gpu.Known = p.Capability, true
	}
	f.GPUs = append(f.GPUs, gpu)
}

// field returns the rest of the line that begins with key.
func field(text, key string) string {
	for line := range strings.Lines(text) {
		if rest, ok := strings.CutPrefix(line, key); ok {
			return strings.TrimSpace(rest)
		}
	}
	return ""
}

func kernelDriver(e *eyes) Driver {
	var first Driver
	for _, name := range []string{"proc/driver/nvidia/version", "sys/module/nvidia/version"} {
		text, err := e.file(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		d := Driver{Source: "/" + name, Text: text}
		if err != nil {
			d.Text = err.Error()
		}
		if v, ok := driverVersion(text); ok {
			d.Version, d.Text = v, ""
			return d
		}
		if first.Source == "" {
			first = d
		}
	}
	return first
}

// driverVersion finds the version in the text of one of the two files: in the line
//
//	NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  565.57.01  Release Build …
//
// the first word that is one, or else the whole text if it is one word. A suffix,
// "575.57.08-open", is left out.
func driverVersion(text string) (cuda.Version, bool) {
	words := strings.Fields(text)
	if line := field(text, "NVRM version:"); line != "" {
		words = strings.Fields(line)
	} else if len(words) != 1 {
		return cuda.Version{}, false
	}
	for _, w := range words {
		if i := strings.IndexAny(w, "-+~"); i > 0 {
			w = w[:i]
		}
		if v, err := cuda.ParseVersion(w); err == nil {
			return v, true
		}
	}
	return cuda.Version{}, false
}

// libraryDirs is where container runtimes put the driver's libraries.
var libraryDirs = []string{
	"usr/lib/x86_64-linux-gnu", "usr/lib/aarch64-linux-gnu", "usr/lib64", "usr/lib", "lib/x86_64-linux-gnu", "lib/aarch64-linux-gnu", "lib64", "lib",
	"usr/lib/x86_64-linux-gnu/nvidia/current", "usr/lib/aarch64-linux-gnu/nvidia", "usr/lib/aarch64-linux-gnu/tegra",
	"usr/local/nvidia/lib64", "usr/local/nvidia/lib", "usr/lib/wsl/lib", "run/opengl-driver/lib",
}

// libraries looks for libcuda.so.* and libnvidia-ml.so.* where the loader would.
func (f *Facts) libraries(e *eyes, libraryPath string) {
	dirs := slices.Clone(libraryDirs)
	for _, name := range e.names("etc/ld.so.conf.d") {
		if !strings.HasSuffix(name, ".conf") || len(dirs) >= maxNames {
			continue
		}
		text, err := e.file("etc/ld.so.conf.d/" + name)
		if err != nil {
			continue // not for us: the loader's cache was made without us too
		}
		for line := range strings.Lines(text) {
			dirs = append(dirs, strings.TrimSpace(line))
		}
	}
	dirs = append(dirs, strings.Split(libraryPath, ":")...)
	seen := map[string]bool{}
	for i, dir := range dirs {
		if i >= len(libraryDirs) && !strings.HasPrefix(dir, "/") {
			continue // comments and relative folders
		}
		dir = strings.Trim(dir, "/")
		if seen[dir] || len(seen) >= maxNames {
			continue
		}
		seen[dir] = true
		for _, name := range e.names(dir) {
			f.library("/"+dir+"/"+name, name)
		}
	}
}

// library takes the version from a library's name. libcuda decides before NVML, and a
// number below 100 is no driver's: WSL2 and Jetson have libcuda.so.1.1.
func (f *Facts) library(path, name string) {
	suffix, isCUDA := strings.CutPrefix(name, "libcuda.so")
	if isCUDA && (suffix == "" || suffix[0] == '.') {
		f.Libraries = append(f.Libraries, path)
	} else if suffix, isCUDA = strings.CutPrefix(name, "libnvidia-ml.so"); !isCUDA {
		return
	}
	v, err := cuda.ParseVersion(strings.TrimPrefix(suffix, "."))
	if err != nil || v.Major() < 100 {
		return
	}
	ours, theirs := strings.Contains(name, "libcuda"), strings.Contains(f.User.Source, "libcuda")
	if f.User.Source == "" || ours && !theirs || ours == theirs && f.User.Version.Less(v) {
		f.User = Driver{Version: v, Source: path}
	}
}

func flag(b bool) int {
	if b {
		return 1
	}
	return 0
}
