package base

import (
	"encoding/binary"
	"fmt"
	"path"
	"regexp"
	"strconv"
	"strings"

	"github.com/forge-build/forge/builder/layer"
	"github.com/forge-build/forge/recipes/lock"
)

var cpython = regexp.MustCompile(`^python(3\.[0-9]+)$`)

// interpreter finds the Python that the wheels are chosen for: the recipe's, else the first
// python3 on the base's PATH. Its version is what the files say; nothing is run.
func (r *reader) interpreter(t *tree, search string) (lock.Python, error) {
	var p lock.Python
	at := r.im.Base.Interpreter
	if at == "" {
		if search == "" {
			search = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
		}
		for _, dir := range strings.Split(search, ":") {
			if _, e := t.resolve(path.Join(dir, "python3")); path.IsAbs(dir) && e != nil && e.Type == layer.Regular && e.Mode&0o111 != 0 {
				at = path.Join(dir, "python3")
				break
			}
		}
		if at == "" {
			return p, r.unfit("it has no python3 on its PATH (%s); write interpreter = \"/…/bin/python3\" if it is elsewhere", cut(search))
		}
	}
	real, e := t.resolve(at)
	if e == nil || e.Type != layer.Regular || e.Mode&0o111 == 0 {
		return p, r.unfit("its interpreter %s is no program that is there", at)
	}
	p.Interpreter = "/" + real
	if strings.Contains(e.Facts["interp"], "ld-musl") {
		return p, r.unfit("%s is made for musl (%s), and the wheels that forge chooses are for glibc; take a base with glibc", at, e.Facts["interp"])
	}
	home := parent(real)
	m := cpython.FindStringSubmatch(path.Base(real))
	if m == nil {
		if m = r.fromLibrary(t, home); m == nil {
			return p, r.unfit("%s is %s, which is not called python3.N: its version cannot be told without running it; write interpreter = \"/…/bin/python3.N\"", at, p.Interpreter)
		}
	}
	p.Version = m[1]
	if !t.hasStdlib(home, p.Version) {
		return p, r.unfit("%s says that it is Python %s, and there is no lib/python%s/os.py beside it", p.Interpreter, p.Version, p.Version)
	}
	p.Full = t.fullVersion(e, home, p.Version)
	if p.Full == "" {
		return p, r.unfit("neither %s nor its libpython holds a version of Python %s: it is no CPython that forge knows", p.Interpreter, p.Version)
	}
	if want := r.im.Python.Version; want != "" && want != p.Version {
		return p, r.unfit("it has Python %s (%s), the recipe says %s; write version = %q or leave it out", p.Full, p.Interpreter, want, p.Version)
	}
	return p, nil
}

// fromLibrary tells the version of a file called python3 by the one standard library beside it.
func (r *reader) fromLibrary(t *tree, home string) []string {
	var found []string
	for minor := 6; minor < 40; minor++ {
		if v := fmt.Sprintf("3.%d", minor); t.hasStdlib(home, v) {
			found = append(found, v)
		}
	}
	if len(found) != 1 {
		return nil
	}
	return []string{"", found[0]}
}

func (t *tree) hasStdlib(home, version string) bool {
	for _, lib := range []string{"lib", "lib64"} {
		if _, e := t.resolve(path.Join(parent(home), lib, "python"+version, "os.py")); e != nil && e.Type == layer.Regular {
			return true
		}
	}
	return false
}

// fullVersion is what the interpreter or its library holds: "3.13.5".
func (t *tree) fullVersion(e *entry, home, version string) string {
	if v := e.Facts["python"]; strings.HasPrefix(v, version+".") {
		return v
	}
	for _, dir := range append([]string{path.Join(parent(home), "lib"), path.Join(parent(home), "lib64")}, libraryDirs...) {
		if _, lib := t.resolve(path.Join(dir, "libpython"+version+".so.1.0")); lib != nil && strings.HasPrefix(lib.Facts["python"], version+".") {
			return lib.Facts["python"]
		}
	}
	return ""
}

// libraryDirs are where the loader looks. Source: ld.so(8), Debian's multiarch folders.
var libraryDirs = []string{"lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu", "lib/aarch64-linux-gnu", "usr/lib/aarch64-linux-gnu",
	"lib64", "usr/lib64", "lib", "usr/lib", "usr/local/lib"}

func (t *tree) library(name string) (string, *entry) {
	for _, dir := range libraryDirs {
		if p, e := t.resolve(path.Join(dir, name)); e != nil && e.Type == layer.Regular {
			return p, e
		}
	}
	return "", nil
}

// libraries notes glibc, libstdc++, libz and the bundle of certificate authorities.
func (r *reader) libraries(t *tree, l *lock.Base) error {
	_, libc := t.library("libc.so.6")
	switch {
	case libc == nil:
		return r.unfit("it has no libc.so.6: the wheels that forge chooses need glibc")
	case libc.Facts["glibc"] == "":
		return r.unfit("its libc.so.6 does not say which glibc it is")
	}
	l.Libc = "glibc " + libc.Facts["glibc"]
	if less(libc.Facts["glibc"], "2.17") {
		return r.unfit("it has %s; wheels need 2.17 or newer", l.Libc)
	}
	if _, e := t.library("libstdc++.so.6"); e != nil {
		l.Libstdcxx = e.Facts["glibcxx"]
	}
	if p, _ := t.library("libz.so.1"); p != "" {
		l.Libz = path.Base(p)
	}
	for _, ca := range []string{"etc/ssl/certs/ca-certificates.crt", "etc/pki/tls/certs/ca-bundle.crt", "etc/ssl/cert.pem"} {
		if _, e := t.resolve(ca); e != nil && e.Type == layer.Regular {
			l.CA = "/" + ca
			break
		}
	}
	for _, file := range []string{"etc/os-release", "usr/lib/os-release"} {
		if _, e := t.resolve(file); e != nil {
			for _, line := range strings.Split(string(e.Text), "\n") {
				if v, ok := strings.CutPrefix(line, "PRETTY_NAME="); ok && l.System == "" {
					l.System = strings.Trim(cut(v), `"'`)
				}
			}
		}
	}
	return nil
}

// GLIBC is the base's, "2.41".
func (b *Image) GLIBC() string { return strings.TrimPrefix(b.Lock.Libc, "glibc ") }

// Needs says what files of the wheels need of the system, of ELF files that are in an index.
type Needs struct {
	GLIBC     string   // highest, "2.28"
	GLIBCXX   string   // highest of libstdc++.so.6, "3.4.30"; empty: none
	Libraries []string // sonames, of libstdc++.so.6 and libz.so.1

	CUDA    []lock.Wheel // those that hold CUDA's libraries, whatever they are called; Size is that of the libraries
	Version string       // of that CUDA; empty: not known
}

// Fits compares what the wheels need with what the base has.
func (b *Image) Fits(n Needs) error {
	if n.GLIBC != "" && less(b.GLIBC(), n.GLIBC) {
		return &UnfitError{b.Lock.Reference, fmt.Sprintf("the wheels need glibc %s, it has %s", n.GLIBC, b.GLIBC())}
	}
	for _, lib := range n.Libraries {
		if _, e := b.tree.library(lib); e == nil {
			return &UnfitError{b.Lock.Reference, fmt.Sprintf("the wheels need %s, which it does not have; take a base with it", lib)}
		}
	}
	if n.GLIBCXX != "" && less(b.Lock.Libstdcxx, n.GLIBCXX) {
		return &UnfitError{b.Lock.Reference, fmt.Sprintf("the wheels need GLIBCXX_%s of libstdc++.so.6, its highest is %s; take a newer base", n.GLIBCXX, b.highest())}
	}
	if len(n.CUDA) > 0 {
		return b.twice(n.CUDA, n.Version, "of libraries")
	}
	return nil
}

func (b *Image) highest() string {
	if b.Lock.Libstdcxx == "" {
		return "unknown"
	}
	return "GLIBCXX_" + b.Lock.Libstdcxx
}

// interp is the loader that an ELF file asks for, of its first bytes. Source: gABI, PT_INTERP.
func interp(b []byte) string {
	if b[4] != 2 || b[5] != 1 {
		return ""
	}
	le := binary.LittleEndian
	off, n := le.Uint64(b[32:]), int(le.Uint16(b[56:]))
	for i := range min(n, 64) {
		if off > uint64(len(b)) || uint64(len(b))-off < uint64(i+1)*56 {
			return ""
		}
		p := b[off+uint64(i)*56:]
		at, size := le.Uint64(p[8:]), le.Uint64(p[32:])
		if le.Uint32(p) == 3 && size > 1 && size < 256 && at < uint64(len(b)) && size <= uint64(len(b))-at {
			return strings.TrimRight(cut(string(b[at:at+size])), "\x00")
		}
	}
	return ""
}

// less compares dotted numbers; empty is lowest.
func less(a, b string) bool {
	x, y := strings.Split(a, "."), strings.Split(b, ".")
	for i := 0; i < len(x) && i < len(y); i++ {
		m, _ := strconv.Atoi(x[i]) // empty or not a number: 0
		n, _ := strconv.Atoi(y[i])
		if m != n {
			return m < n
		}
	}
	return len(x) < len(y)
}
