package debian

import (
	"encoding/binary"
	"path"
	"sort"
	"strings"
)

// The loader's cache. Source: glibc 2.41, elf/ldconfig.c, elf/cache.c, sysdeps/generic/dl-cache.h.
const (
	cacheMagic     = "glibc-ld.so.cache1.1"
	cacheHeader    = 48
	cacheEntry     = 24
	cacheExtension = 0xeaa42174
	cacheGenerator = "forge"
	littleEndian   = 2
	elfLibc6       = 3
	flagX86        = 0x0300
	flagARM64      = 0x0a00
)

// library is one line of the cache.
type library struct {
	soname, path string
	flags        uint32
}

// writeLoader writes the loader's configuration where no package brings it, links by which
// libraries are found, and /etc/ld.so.cache.
func (u *Unpacker) writeLoader() error {
	if len(u.libraries) == 0 {
		return nil
	}
	for p, text := range map[string]string{"etc/ld.so.conf": "include /etc/ld.so.conf.d/*.conf\n"} {
		if u.nodes[p] == nil {
			u.configs[p] = []byte(text)
			if err := u.file(p, u.configs[p], "forge"); err != nil {
				return err
			}
		}
	}
	if u.nodes["etc/ld.so.conf.d"] == nil { // NVIDIA's hook writes there
		if err := u.write(Entry{Path: "etc/ld.so.conf.d", Type: TypeDir, Mode: 0o755, Owner: "forge"}, nil); err != nil {
			return err
		}
	}
	var all []library
	seen := map[string]bool{}
	for _, dir := range u.loaderDirs() {
		where := u.resolve(dir)
		if where == "" || seen[where] {
			continue
		}
		seen[where] = true
		found, err := u.librariesIn(dir, where)
		if err != nil {
			return err
		}
		all = append(all, found...)
	}
	sort.SliceStable(all, func(i, j int) bool {
		if c := compareLibraries(all[i].soname, all[j].soname); c != 0 {
			return c > 0
		}
		return all[i].flags > all[j].flags
	})
	return u.file("etc/ld.so.cache", encodeCache(all), "forge")
}

// loaderDirs are the folders in which libraries are looked for, in order.
func (u *Unpacker) loaderDirs() []string {
	dirs := u.readConfig("etc/ld.so.conf", 0)
	// The folders that Debian's glibc is built with; libc6 configures the first two too.
	triplet := triplets[u.arch]
	return append(dirs, "/lib/"+triplet, "/usr/lib/"+triplet, "/lib", "/usr/lib")
}

// readConfig reads a file of ld.so.conf's form.
func (u *Unpacker) readConfig(p string, depth int) (dirs []string) {
	if depth > 4 {
		return nil
	}
	for line := range strings.SplitSeq(string(u.configs[p]), "\n") {
		line, _, _ = strings.Cut(line, "#")
		line = strings.TrimSpace(line)
		pattern, ok := strings.CutPrefix(line, "include ")
		if !ok {
			if line, _, _ = strings.Cut(line, "="); strings.HasPrefix(line, "/") {
				dirs = append(dirs, strings.TrimRight(strings.TrimSpace(line), "/"))
			}
			continue
		}
		pattern = strings.TrimPrefix(strings.TrimSpace(pattern), "/")
		for _, name := range sortedKeys(u.configs) {
			if match, err := path.Match(pattern, name); err == nil && match && name != p {
				dirs = append(dirs, u.readConfig(name, depth+1)...)
			}
		}
	}
	return dirs
}

// librariesIn lists a folder's libraries as ldconfig would, and makes the links from a
// soname to its file that are missing.
func (u *Unpacker) librariesIn(dir, where string) ([]library, error) {
	type candidate struct {
		name string
		link bool
	}
	machine, flags := uint16(emX86), uint32(elfLibc6|flagX86)
	if u.arch == "arm64" {
		machine, flags = emARM64, elfLibc6|flagARM64
	}
	best := map[string]candidate{}
	for _, name := range u.names(where) {
		n := u.nodes[where+"/"+name]
		file := where + "/" + name
		if n.typ == TypeSymlink {
			file = u.resolve(file)
		}
		f, ok := u.libraries[file]
		if !ok || f.machine != machine {
			continue
		}
		soname := f.soname
		if soname == "" {
			soname = name
		}
		c := candidate{name, n.typ == TypeSymlink}
		if c.link && name != soname && !(strings.HasSuffix(name, ".so") && strings.HasPrefix(soname, name)) {
			c.link = false // neither the loader's link nor the linker's
		}
		if c.link {
			soname = name
		}
		old, ok := best[soname]
		if !ok || !c.link && old.link || c.link == old.link && compareLibraries(old.name, name) < 0 {
			best[soname] = c
		}
	}
	var all []library
	for _, soname := range sortedKeys(best) {
		if err := u.symlink(where+"/"+soname, best[soname].name, "forge"); err != nil {
			return nil, err
		}
		all = append(all, library{soname, dir + "/" + soname, flags})
	}
	return all, nil
}

// names lists what looks like a library in a folder, sorted.
func (u *Unpacker) names(dir string) (names []string) {
	for p, n := range u.nodes {
		if n.typ != TypeDir && parent(p) == dir && isLibrary(path.Base(p)) {
			names = append(names, path.Base(p))
		}
	}
	sort.Strings(names)
	return names
}

// compareLibraries compares names, runs of digits as numbers. Source: glibc,
// elf/dl-cache.c, _dl_cache_libcmp.
func compareLibraries(a, b string) int {
	for a != "" {
		switch {
		case digit(a[0]) && b != "" && digit(b[0]):
			var x, y string
			x, a = number(a)
			y, b = number(b)
			if len(x) != len(y) {
				return len(x) - len(y)
			}
			if c := strings.Compare(x, y); c != 0 {
				return c
			}
		case digit(a[0]):
			return 1
		case b == "":
			return int(a[0])
		case digit(b[0]):
			return -1
		case a[0] != b[0]:
			return int(a[0]) - int(b[0])
		default:
			a, b = a[1:], b[1:]
		}
	}
	if b == "" {
		return 0
	}
	return -int(b[0])
}

// encodeCache writes the cache in glibc's new format.
func encodeCache(all []library) []byte {
	le := binary.LittleEndian
	base := uint32(cacheHeader + cacheEntry*len(all))
	var text []byte
	var entries []byte
	add := func(s string) uint32 {
		at := base + uint32(len(text))
		text = append(append(text, s...), 0)
		return at
	}
	for _, l := range all {
		entries = le.AppendUint32(entries, l.flags)
		at := add(l.path)
		// The soname is the end of the path, and shares its bytes.
		entries = le.AppendUint32(entries, at+uint32(len(l.path)-len(l.soname)))
		entries = le.AppendUint32(entries, at)
		entries = le.AppendUint32(entries, 0) // once the version of the kernel
		entries = le.AppendUint64(entries, 0) // no hardware capability
	}
	out := append([]byte(nil), cacheMagic...)
	out = le.AppendUint32(out, uint32(len(all)))
	out = le.AppendUint32(out, uint32(len(text)))
	out = append(out, littleEndian, 0, 0, 0)
	extension := (base + uint32(len(text)) + 3) &^ 3
	out = le.AppendUint32(out, extension)
	out = append(out, make([]byte, 12)...)
	out = append(append(out, entries...), text...)
	for uint32(len(out)) < extension {
		out = append(out, 0)
	}
	// One section: which program wrote the cache.
	out = le.AppendUint32(out, cacheExtension)
	out = le.AppendUint32(out, 1)
	out = le.AppendUint32(out, 0) // tag: generator
	out = le.AppendUint32(out, 0) // flags
	out = le.AppendUint32(out, extension+24)
	out = le.AppendUint32(out, uint32(len(cacheGenerator)))
	return append(out, cacheGenerator...)
}
