package debian

import (
	"bytes"
	"fmt"
	"io"
	"path"
	"slices"
	"sort"
	"strings"
)

// Removed is a file of a package that is not in the file system.
type Removed struct {
	Path  string
	Size  int64
	Rule  string // "man", "doc", "locale", …
	Owner string // "deb:libc6"
}

// An Unpacker turns packages into the entries of one layer, in an order that depends on
// nothing but the packages and their order: the links of the merged /usr, then package by
// package, folders before what lies in them, then what maintainer scripts would have made.
// It holds the paths in memory and materialises nothing on the host.
type Unpacker struct {
	arch    string
	emit    func(Entry, io.Reader) error
	nodes   map[string]*node
	done    map[string]bool // packages
	removed []Removed
	notes   []string

	certs        map[string][]byte // path → PEM
	copies       map[string][]byte // path → content, to be written again elsewhere
	configs      map[string][]byte // the loader's
	alternatives []alternative
	links        map[string]string // of rules: path → target
	wanted       map[string]string // of rules: path → the path it is a copy of
	libraries    map[string]elf    // path → facts
}

// node is what the model knows of a path.
type node struct {
	typ   byte
	mode  int64
	link  string
	owner string
}

// merged are the folders that the merged /usr makes links of.
var merged = []string{"bin", "lib", "lib32", "lib64", "libo32", "libx32", "sbin"}

// triplets are Debian's names of architectures in library folders.
var triplets = map[string]string{"amd64": "x86_64-linux-gnu", "arm64": "aarch64-linux-gnu"}

// NewUnpacker returns an Unpacker for an architecture, "amd64" or "arm64". emit gets each
// entry once, parents first; content is nil unless the entry is a file, and must be read
// to its end before emit returns.
func NewUnpacker(arch string, emit func(Entry, io.Reader) error) (*Unpacker, error) {
	if triplets[arch] == "" {
		return nil, fmt.Errorf("unpacking for %q: forge knows amd64 and arm64", arch)
	}
	u := &Unpacker{arch: arch, emit: emit, nodes: map[string]*node{}, done: map[string]bool{}, certs: map[string][]byte{},
		copies: map[string][]byte{}, configs: map[string][]byte{}, links: map[string]string{}, wanted: map[string]string{}, libraries: map[string]elf{}}
	first := []string{"bin", "lib", "sbin"}
	if arch == "amd64" {
		first = []string{"bin", "lib", "lib64", "sbin"} // the loader's fixed place
	}
	for _, dir := range first {
		if err := u.merge(dir); err != nil {
			return nil, err
		}
	}
	return u, nil
}

// merge makes /dir a link to /usr/dir.
func (u *Unpacker) merge(dir string) error {
	if u.nodes[dir] != nil {
		return nil
	}
	if err := u.write(Entry{Path: "usr/" + dir, Type: TypeDir, Mode: 0o755, Owner: "forge"}, nil); err != nil {
		return err
	}
	return u.write(Entry{Path: dir, Type: TypeSymlink, Mode: 0o777, Link: "usr/" + dir, Owner: "forge"}, nil)
}

// write emits an entry after its parents, and notes it in the model.
func (u *Unpacker) write(e Entry, r io.Reader) error {
	if dir := parent(e.Path); dir != "" && u.nodes[dir] == nil {
		if err := u.write(Entry{Path: dir, Type: TypeDir, Mode: 0o755, Owner: e.Owner}, nil); err != nil {
			return err
		}
	}
	u.nodes[e.Path] = &node{e.Type, e.Mode, e.Link, e.Owner}
	return u.emit(e, r)
}

// file emits a file that forge writes.
func (u *Unpacker) file(p string, content []byte, owner string) error {
	if n := u.nodes[p]; n != nil {
		return refuse("TAR-05", owner, p, -1, "path %s, which forge writes, is in %s", q(p), n.owner)
	}
	if dir, n := u.under(p); n != nil {
		return refuse("TAR-02", owner, p, -1, "path %s, which forge writes, lies below %s of %s, which is no folder", q(p), q(dir), n.owner)
	}
	return u.write(Entry{Path: p, Type: TypeFile, Mode: 0o644, Size: int64(len(content)), Owner: owner}, bytes.NewReader(content))
}

// symlink emits a link unless something is at its path.
func (u *Unpacker) symlink(p, target, owner string) error {
	if _, n := u.under(p); n != nil || u.nodes[p] != nil {
		return nil
	}
	return u.write(Entry{Path: p, Type: TypeSymlink, Mode: 0o777, Link: target, Owner: owner}, nil)
}

// under finds a path's nearest known parent, if that is no folder.
func (u *Unpacker) under(p string) (string, *node) {
	for dir := parent(p); dir != ""; dir = parent(dir) {
		if n := u.nodes[dir]; n != nil {
			if n.typ == TypeDir {
				return "", nil
			}
			return dir, n
		}
	}
	return "", nil
}

// real rewrites a path of a package to the merged /usr.
func (u *Unpacker) real(p string) (string, error) {
	top, rest, deeper := strings.Cut(p, "/")
	if !slices.Contains(merged, top) {
		return p, nil
	}
	if !deeper {
		return "usr/" + top, nil
	}
	return "usr/" + top + "/" + rest, u.merge(top)
}

// resolve follows links inside the model. It returns "" where they lead nowhere.
func (u *Unpacker) resolve(p string) string {
	for range 40 {
		done := ""
		rest := strings.Trim(path.Clean("/"+p), "/")
		again := false
		for rest != "" {
			part, after, _ := strings.Cut(rest, "/")
			at := path.Join(done, part)
			n := u.nodes[at]
			if n == nil {
				return ""
			}
			if n.typ == TypeSymlink {
				target := n.link
				if !strings.HasPrefix(target, "/") {
					target = path.Join("/", done, target)
				}
				p, again = path.Join(target, after), true
				break
			}
			done, rest = at, after
		}
		if !again {
			return done
		}
	}
	return ""
}

// Add unpacks a package. Packages are added in the order of their names, each once. An
// *Error with the id DEB-02 says that a maintainer script does what no rule covers.
func (u *Unpacker) Add(d *Deb) error {
	if u.done[d.Name] {
		return refuse("DEB-02", d.File, "", -1, "package %s is there twice", q(d.Name))
	}
	if d.Architecture != u.arch && d.Architecture != "all" {
		return refuse("DEB-02", d.File, "", -1, "package is for %s, the image for %s", q(d.Architecture), q(u.arch))
	}
	u.done[d.Name] = true
	v, err := judge(d)
	if err != nil {
		return err
	}
	if v.note != "" {
		u.notes = append(u.notes, d.Name+": "+v.note)
	}
	u.alternatives = append(u.alternatives, v.alternatives...)
	for p, target := range v.links {
		u.links[p] = target
	}
	for p, from := range v.copies {
		u.wanted[p] = from
	}
	a := &adding{Unpacker: u, deb: d, owner: "deb:" + d.Name, dropped: map[string]bool{}, late: map[string][]string{}}
	if err := d.Walk(a.entry); err != nil {
		return err
	}
	if err := a.lateLinks(); err != nil {
		return err
	}
	status := append(bytes.TrimRight(d.Control, "\n"), '\n')
	if err := u.file("var/lib/dpkg/status.d/"+d.Name, status, a.owner); err != nil {
		return err
	}
	if d.MD5Sums == nil {
		return nil
	}
	return u.file("var/lib/dpkg/status.d/"+d.Name+".md5sums", d.MD5Sums, a.owner)
}

// adding is one package on its way.
type adding struct {
	*Unpacker
	deb     *Deb
	owner   string
	dropped map[string]bool     // files of this package that are left out
	late    map[string][]string // left out, but a hard link to it is kept
}

func (a *adding) refuse(id, entry, format string, args ...any) error {
	return refuse(id, a.deb.File, entry, -1, format, args...)
}

// entry takes one entry of the package.
func (a *adding) entry(e Entry, r io.Reader) error {
	if slices.Contains(merged, e.Path) {
		return a.mergedEntry(e)
	}
	packaged := e.Path
	var err error
	if e.Path, err = a.real(e.Path); err != nil {
		return err
	}
	e.Owner = a.owner
	if rule := dropRule(e); rule != "" {
		if e.Type != TypeDir {
			a.dropped[e.Path] = true
			a.removed = append(a.removed, Removed{e.Path, e.Size, rule, a.owner})
		}
		return nil
	}
	if dir, n := a.under(e.Path); n != nil {
		return a.refuse("TAR-02", packaged, "path %s lies below %s of %s, which is no folder", q(packaged), q(dir), n.owner)
	}
	old := a.nodes[e.Path]
	if e.Type == TypeDir {
		return a.dir(e, old)
	}
	if old != nil {
		return a.refuse("TAR-05", packaged, "path %s is in %s too", q(packaged), old.owner)
	}
	switch e.Type {
	case TypeHardlink:
		return a.hardlink(e)
	case TypeSymlink:
		e.Mode = 0o777
		return a.write(e, nil)
	}
	if e.Mode, err = a.fileMode(e); err != nil {
		return err
	}
	return a.content(e, r)
}

// mergedEntry takes /bin and the like, as link or as folder.
func (a *adding) mergedEntry(e Entry) error {
	if e.Type == TypeDir || e.Type == TypeSymlink && (e.Link == "usr/"+e.Path || e.Link == "/usr/"+e.Path) {
		return a.merge(e.Path)
	}
	return a.refuse("TAR-02", e.Path, "path %s is the merged /usr's, and no link to it", q(e.Path))
}

// dir takes a folder. The first package that brings it decides its mode, as with dpkg.
func (a *adding) dir(e Entry, old *node) error {
	if old == nil {
		e.Mode = dirMode(e.Mode)
		return a.write(e, nil)
	}
	if old.typ == TypeDir {
		return nil
	}
	if to := a.resolve(e.Path); old.typ == TypeSymlink && to != "" && a.nodes[to].typ == TypeDir {
		return nil
	}
	return a.refuse("TAR-05", e.Path, "folder %s is something else in %s", q(e.Path), old.owner)
}

// dirMode is what a folder gets: all belong to root, so what its group or others may write
// is taken away, unless the folder is sticky as /tmp is.
func dirMode(mode int64) int64 {
	if mode&0o1000 != 0 {
		return mode & 0o1777
	}
	return mode & 0o755
}

// fileMode is what a file gets. Set-id bits are taken off where a rule says so.
func (a *adding) fileMode(e Entry) (int64, error) {
	if e.Mode&0o6000 != 0 {
		why, ok := setID[a.deb.Name]
		if !ok {
			return 0, a.refuse("TAR-05", e.Path, "file %s has mode %#o, and no rule says what of %s may have set-id bits", q(e.Path), e.Mode, a.deb.Name)
		}
		a.notes = append(a.notes, fmt.Sprintf("%s: /%s has no set-id bit: %s", a.deb.Name, e.Path, why))
	}
	return e.Mode & 0o755, nil
}

// hardlink takes a hard link, whose target came before it in this package.
func (a *adding) hardlink(e Entry) error {
	target, err := a.real(e.Link)
	if err != nil {
		return err
	}
	if a.dropped[target] {
		a.late[target] = append(a.late[target], e.Path)
		return nil
	}
	n := a.nodes[target]
	if n == nil || n.owner != a.owner || n.typ != TypeFile && n.typ != TypeHardlink {
		return a.refuse("TAR-02", e.Path, "hard link %s points to %s, which is no file of the package", q(e.Path), q(e.Link))
	}
	if n.typ == TypeHardlink {
		target = n.link
	}
	e.Link, e.Mode = target, a.nodes[target].mode
	if f, ok := a.libraries[target]; ok {
		a.libraries[e.Path] = f
	}
	return a.write(e, nil)
}

// lateLinks reads the package once more for files that were left out while a hard link to
// them is kept: the first link becomes the file.
func (a *adding) lateLinks() error {
	if len(a.late) == 0 {
		return nil
	}
	return a.deb.Walk(func(e Entry, r io.Reader) error {
		p, err := a.real(e.Path)
		links := a.late[p]
		if err != nil || len(links) == 0 || e.Type != TypeFile {
			return err
		}
		e.Path, e.Owner = links[0], a.owner
		if e.Mode, err = a.fileMode(e); err != nil {
			return err
		}
		if err := a.content(e, r); err != nil {
			return err
		}
		for _, l := range links[1:] {
			if err := a.write(Entry{Path: l, Type: TypeHardlink, Mode: e.Mode, Link: e.Path, Owner: a.owner}, nil); err != nil {
				return err
			}
		}
		return nil
	})
}

// maxKept bounds a file that is held in memory.
const maxKept = 4 << 20

// content emits a file, and keeps what the end will need of it.
func (a *adding) content(e Entry, r io.Reader) error {
	keep := func(to map[string][]byte) error {
		if e.Size > maxKept {
			return a.refuse("DEB-02", e.Path, "file %s has %d bytes, the limit is %d", q(e.Path), e.Size, maxKept)
		}
		b, err := io.ReadAll(r)
		to[e.Path] = b
		r = bytes.NewReader(b)
		return err
	}
	var err error
	switch {
	case strings.HasPrefix(e.Path, "usr/share/ca-certificates/") && strings.HasSuffix(e.Path, ".crt"):
		err = keep(a.certs)
	case e.Path == "etc/ld.so.conf" || strings.HasPrefix(e.Path, "etc/ld.so.conf.d/"):
		err = keep(a.configs)
	case isCopied(e.Path):
		err = keep(a.copies)
	case isLibrary(path.Base(e.Path)):
		s := &elfSniffer{r: r, size: e.Size}
		if err := a.write(e, s); err != nil {
			return err
		}
		if f, ok := s.facts(); ok {
			a.libraries[e.Path] = f
		}
		return nil
	}
	if err != nil {
		return err
	}
	return a.write(e, r)
}

// Finish writes what maintainer scripts would have made, and must be called once, last.
func (u *Unpacker) Finish() error {
	for _, step := range []func() error{u.writeAlternatives, u.writeLinks, u.writeCopies, u.writePython, u.writeCertificates, u.writeRelease, u.writeLoader} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// writeLinks writes the rules' links, where they lead somewhere.
func (u *Unpacker) writeLinks() error {
	for _, p := range sortedKeys(u.links) {
		target := u.links[p]
		full := target
		if !strings.HasPrefix(full, "/") {
			full = path.Join(parent(p), full)
		}
		if u.resolve(full) == "" {
			continue
		}
		if err := u.symlink(p, target, "forge"); err != nil {
			return err
		}
	}
	return nil
}

// writeCopies writes files that scripts copy from a package's templates.
func (u *Unpacker) writeCopies() error {
	for _, p := range sortedKeys(u.wanted) {
		b, ok := u.copies[u.wanted[p]]
		if !ok || u.nodes[p] != nil {
			continue
		}
		if err := u.file(p, b, "forge"); err != nil {
			return err
		}
	}
	return nil
}

// writePython makes /usr/bin/python3 where only the versioned interpreter was chosen, and
// the empty file that its sitecustomize.py is a link to.
func (u *Unpacker) writePython() error {
	for _, s := range suites {
		if u.nodes["usr/bin/python"+s.python] == nil {
			continue
		}
		site := "etc/python" + s.python + "/sitecustomize.py"
		if u.nodes["usr/lib/python"+s.python+"/sitecustomize.py"] != nil && u.nodes[site] == nil {
			if err := u.file(site, []byte("# Empty: the interpreter finds what the image has without it.\n"), "forge"); err != nil {
				return err
			}
		}
		return u.symlink("usr/bin/python3", "python"+s.python, "forge")
	}
	return nil
}

// Bundle is where the certificate authorities are.
const Bundle = "etc/ssl/certs/ca-certificates.crt"

// writeCertificates joins the authorities in the order of their paths, as
// update-ca-certificates does, and makes the bundle OpenSSL's default.
func (u *Unpacker) writeCertificates() error {
	if len(u.certs) == 0 {
		return nil
	}
	var bundle []byte
	for _, p := range sortedKeys(u.certs) {
		bundle = append(bundle, u.certs[p]...)
		if !bytes.HasSuffix(bundle, []byte("\n")) {
			bundle = append(bundle, '\n')
		}
	}
	if err := u.file(Bundle, bundle, "forge"); err != nil {
		return err
	}
	if err := u.symlink("usr/lib/ssl/cert.pem", "/"+Bundle, "forge"); err != nil {
		return err
	}
	return u.symlink("usr/lib/ssl/certs", "/etc/ssl/certs", "forge")
}

// writeRelease demands the file by which scanners know the release.
func (u *Unpacker) writeRelease() error {
	if u.resolve("etc/os-release") != "" {
		return nil
	}
	if u.resolve("usr/lib/os-release") == "" {
		return refuse("DEB-02", "", "etc/os-release", -1, "no package has os-release, by which scanners know the release: base-files is missing")
	}
	return u.symlink("etc/os-release", "../usr/lib/os-release", "forge")
}

// Removed lists the files that were left out, sorted by package and path.
func (u *Unpacker) Removed() []Removed {
	out := slices.Clone(u.removed)
	sort.SliceStable(out, func(i, j int) bool {
		return out[i].Owner < out[j].Owner || out[i].Owner == out[j].Owner && out[i].Path < out[j].Path
	})
	return out
}

// Notes says what forge did instead of maintainer scripts, package by package.
func (u *Unpacker) Notes() []string { return slices.Clone(u.notes) }

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys
}
