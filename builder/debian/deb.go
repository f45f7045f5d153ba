package debian

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"sort"
	"strings"
)

// Limits of a package.
const (
	maxDeb     = 16 << 30
	maxControl = 16 << 20
	maxData    = 16 << 30
)

// Entry is a file of a package, or of the file system that an Unpacker makes.
type Entry struct {
	Path  string // no slash at either end
	Link  string // what a symbolic link says; the path that a hard link shares
	Type  byte   // TypeFile, TypeDir, TypeSymlink or TypeHardlink
	Mode  int64  // permission bits and set-id bits, at most 07777
	Size  int64  // bytes of content; 0 unless a file
	Owner string // from an Unpacker: "deb:libc6", "forge"

	foreign bool // owned by someone else than root, in the package
}

// Script is a maintainer script. It is never run.
type Script struct {
	Name   string // "postinst"
	SHA256 string
	Text   []byte
}

// Deb is an opened package.
type Deb struct {
	Package           // from its control file; Path, Size and SHA256 are empty
	File     string   // as the user knows it
	Control  []byte   // the control file as it is
	MD5Sums  []byte   // nil: none
	Triggers []byte   // nil: none
	Scripts  []Script // sorted by name
	Extra    []string // other files of control.tar, sorted

	data member
}

// controlFiles are the files that may be in control.tar, by size. Source: deb-control(5),
// deb-triggers(5), deb-shlibs(5), deb-symbols(5), debconf-devel(7).
var controlFiles = map[string]int64{
	"control": 1 << 20, "md5sums": 16 << 20, "conffiles": 1 << 20, "triggers": 1 << 20,
	"preinst": 1 << 20, "postinst": 1 << 20, "prerm": 1 << 20, "postrm": 1 << 20, "config": 1 << 20,
	"templates": 16 << 20, "shlibs": 1 << 20, "symbols": 16 << 20,
}

// OpenDeb reads a package's structure and its control.tar. r must stay open as long as the
// Deb is used. name is what errors, of type *Error where the package is to blame, call it.
func OpenDeb(r io.ReaderAt, size int64, name string) (*Deb, error) {
	if size > maxDeb {
		return nil, refuse("DEB-01", name, "", -1, "%d bytes, the limit is %d", size, int64(maxDeb))
	}
	all, err := members(r, size, name)
	if err != nil {
		return nil, err
	}
	d := &Deb{File: name, data: all[2]}
	in, err := stream(all[1].body, ending(all[1].name))
	if err != nil {
		return nil, refuse("CMP-01", name, all[1].name, all[1].off, "%s: %v", all[1].name, err)
	}
	files := map[string][]byte{}
	err = newTarReader(in, name+"!"+all[1].name, maxControl).each(func(e Entry, r io.Reader) error {
		limit, known := controlFiles[e.Path]
		if e.Type != TypeFile || !known {
			return refuse("DEB-02", name, e.Path, -1, "%s holds %s of type %+q", all[1].name, q(e.Path), e.Type)
		}
		if e.Size > limit {
			return refuse("DEB-02", name, e.Path, -1, "%s has %d bytes, the limit is %d", e.Path, e.Size, limit)
		}
		var b bytes.Buffer
		if _, err := io.Copy(&b, r); err != nil {
			return err
		}
		files[e.Path] = b.Bytes()
		return nil
	})
	if err != nil {
		return nil, err
	}
	return d, d.read(files)
}

// read takes control.tar's files.
func (d *Deb) read(files map[string][]byte) error {
	control, ok := files["control"]
	if !ok {
		return refuse("DEB-02", d.File, "control", -1, "control.tar has no control file")
	}
	s := newStanzas(bytes.NewReader(control), d.File+"!control")
	fields, err := s.next()
	if errors.Is(err, io.EOF) {
		return refuse("DEB-02", d.File, "control", -1, "the control file is empty")
	}
	if err != nil {
		return err
	}
	if d.Package, err = s.parsePackage(fields, map[string]string{}); err != nil {
		return err
	}
	if _, err := s.next(); !errors.Is(err, io.EOF) {
		return refuse("DEB-02", d.File, "control", -1, "the control file has a second paragraph")
	}
	d.Control, d.MD5Sums, d.Triggers = control, files["md5sums"], files["triggers"]
	for name, text := range files {
		switch name {
		case "preinst", "postinst", "prerm", "postrm", "config":
			sum := sha256.Sum256(text)
			d.Scripts = append(d.Scripts, Script{name, hex.EncodeToString(sum[:]), text})
		case "control", "md5sums", "triggers":
		default:
			d.Extra = append(d.Extra, name)
		}
	}
	sort.Slice(d.Scripts, func(i, j int) bool { return d.Scripts[i].Name < d.Scripts[j].Name })
	sort.Strings(d.Extra)
	return nil
}

// script is the text of a maintainer script, or nil.
func (d *Deb) script(name string) []byte {
	for _, s := range d.Scripts {
		if s.Name == name {
			return s.Text
		}
	}
	return nil
}

// Walk reads data.tar from its beginning to its last byte and calls fn for each entry in
// the package's own order. Paths are clean and unique; modes are the package's; a hard
// link's target came before it. fn may leave content unread.
func (d *Deb) Walk(fn func(Entry, io.Reader) error) error {
	in, err := stream(d.data.body, ending(d.data.name))
	if err != nil {
		return refuse("CMP-01", d.File, d.data.name, d.data.off, "%s: %v", d.data.name, err)
	}
	return newTarReader(in, d.File, maxData).each(fn)
}

// id is how errors and records name the package.
func (d *Deb) id() string { return strings.Join([]string{d.Name, d.Version}, " ") }
