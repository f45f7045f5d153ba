package layer

import (
	"path"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Format is raised when the bytes of the same files change.
const Format = 1

// Epoch is the modification time of everything that forge writes: 1980-01-01T00:00:00Z,
// the first that ZIP archives know.
const Epoch = 315532800

// Type is the kind of an entry.
type Type string

// The kinds of entries. The last two are only read: what a layer removes from those below.
const (
	Regular  Type = "file"
	Dir      Type = "dir"
	Symlink  Type = "symlink"
	Hardlink Type = "hardlink"
	Whiteout Type = "whiteout" // Path is removed
	Opaque   Type = "opaque"   // everything that lower layers have in Path is removed
)

// Header says what an entry is.
type Header struct {
	Path  string // "opt/venv/bin/python", no slash at either end
	Type  Type
	Mode  int64 // permission bits and set-id bits, at most 07777
	UID   int
	GID   int
	Size  int64  // bytes of content; 0 unless Regular
	Link  string // what a Symlink says; the path that a Hardlink shares
	Owner string // for the index: "wheel:torch"

	Time   int64             // only from Read: modification time, seconds; Writer always writes Epoch
	Xattrs map[string]string // only from Read: extended attributes; Writer refuses them
}

// Limits of names, as for wheels.
const (
	maxPath  = 1024
	maxDepth = 64
	maxLink  = 4095
)

// checkPath says what is wrong with a path inside a layer.
func checkPath(p string) string {
	switch {
	case p == "":
		return "is empty"
	case len(p) > maxPath:
		return "is longer than 1024 bytes"
	case p[0] == '/':
		return "is absolute"
	case strings.Count(p, "/") >= maxDepth:
		return "is deeper than 64"
	}
	if why := checkText(p); why != "" {
		return why
	}
	for part := range strings.SplitSeq(p, "/") {
		switch part {
		case "":
			return "has an empty part"
		case ".", "..":
			return "has the part " + part
		}
	}
	return ""
}

// checkText says what is wrong with text that will be in an index and on a screen.
func checkText(s string) string {
	if !utf8.ValidString(s) {
		return "is not UTF-8"
	}
	for _, r := range s {
		if unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) {
			return "has a control character"
		}
	}
	return ""
}

// whiteout is what names of removals begin with. Source: OCI image layer specification, "Whiteouts".
const whiteout = ".wh."

// checkHeader says whether Writer can write h.
func checkHeader(h Header) error {
	bad := func(id, format string, args ...any) error { return refuse(id, h.Path, -1, format, args...) }
	if why := checkPath(h.Path); why != "" {
		return bad("ZIP-01", "path %s %s", q(h.Path), why)
	}
	for part := range strings.SplitSeq(h.Path, "/") {
		if strings.HasPrefix(part, whiteout) {
			return bad("OCI-04", "path %s would remove files of other layers", q(h.Path))
		}
	}
	if h.Mode < 0 || h.Mode > 0o7777 {
		return bad("TAR-05", "mode %#o of %s", h.Mode, q(h.Path))
	}
	if h.UID < 0 || h.GID < 0 || int64(h.UID) > maxID || int64(h.GID) > maxID {
		return bad("TAR-05", "owner %d:%d of %s", h.UID, h.GID, q(h.Path))
	}
	if len(h.Xattrs) > 0 {
		return bad("TAR-05", "extended attributes of %s", q(h.Path))
	}
	if why := checkText(h.Owner); why != "" {
		return bad("LAY-01", "owner %s %s", q(h.Owner), why)
	}
	switch h.Type {
	case Regular:
		if h.Size < 0 || h.Size > maxSize {
			return bad("TAR-05", "size %d of %s", h.Size, q(h.Path))
		}
	case Dir, Symlink, Hardlink:
		if h.Size != 0 {
			return bad("TAR-03", "%s %s has size %d", h.Type, q(h.Path), h.Size)
		}
	default:
		return bad("TAR-04", "type %s of %s", q(string(h.Type)), q(h.Path))
	}
	switch h.Type {
	case Symlink:
		if h.Link == "" || len(h.Link) > maxLink {
			return bad("TAR-02", "symbolic link %s has a target of %d bytes", q(h.Path), len(h.Link))
		}
		if why := checkText(h.Link); why != "" {
			return bad("TAR-02", "target %s of symbolic link %s %s", q(h.Link), q(h.Path), why)
		}
	case Hardlink:
		if why := checkPath(h.Link); why != "" {
			return bad("TAR-02", "target %s of hard link %s %s", q(h.Link), q(h.Path), why)
		}
	default:
		if h.Link != "" {
			return bad("TAR-02", "%s %s has a target", h.Type, q(h.Path))
		}
	}
	return nil
}

const (
	maxID   = 1<<31 - 1
	maxSize = 1 << 40
)

// parent returns the folder of p, or "" at the top.
func parent(p string) string {
	if d := path.Dir(p); d != "." {
		return d
	}
	return ""
}
