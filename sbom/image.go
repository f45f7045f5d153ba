package sbom

import (
	"fmt"
	"io"
	"time"
)

// Image is a view of an image: its documents, and its layers, the lowest first.
type Image struct {
	Reference string // how the user named it; may be empty
	Name      string // repository or image name, without tag and digest
	Digest    string // "sha256:…" of the manifest
	MediaType string // of the manifest
	Manifest  []byte
	Config    []byte
	Created   time.Time
	OS, Arch  string
	Variant   string
	Labels    map[string]string
	Layers    []Layer
}

// Layer is a view of a layer. Whoever makes it has checked that its files are those of its
// digest; the view itself may still lie about anything that a tar can say.
type Layer struct {
	Digest    string // of the blob
	DiffID    string // of the tar
	MediaType string
	Size      int64  // of the blob, in bytes
	Files     []File // in the order of the tar
	// Open returns the content of the n-th file, a regular one. What is read may be used
	// only after io.EOF.
	Open func(n int) (io.Reader, error)
}

// Kind is what a file is.
type Kind string

// The kinds of files. A whiteout removes what lies at its path in the layers below, an
// opaque one what lies below its path.
const (
	Regular  Kind = "file"
	Dir      Kind = "dir"
	Symlink  Kind = "symlink"
	Hardlink Kind = "hardlink"
	Whiteout Kind = "whiteout"
	Opaque   Kind = "opaque"
)

// File is one entry of a layer.
type File struct {
	Path   string // relative, without "./"
	Kind   Kind
	Mode   int64
	UID    int
	GID    int
	Size   int64
	Link   string
	SHA256 string // of a regular file's content; empty: nobody has hashed it, which is done where a list states it
	Owner  string // whose it is, where the layer's maker knew: "wheel:torch", "deb:libc6", "forge", "recipe"
	ELF    *ELF   // nil: not ELF, or nobody looked
	Looked bool   // somebody looked: ELF is nil only if the file is none
}

// ELF is what an ELF file says about itself. Source: builder/layer, whose type has the same
// fields.
type ELF struct {
	Class     int
	BigEndian bool
	Kind      int
	Machine   int
	Interp    string
	Soname    string
	Needed    []string
	RPath     []string
	RunPath   []string
	GLIBC     string
	GLIBCXX   string
	ExecStack bool
	TextRel   bool
	BuildID   string
	Notes     []string
	Sections  []string
	Go        string
	GoModules string
	Rust      string
	Broken    string
}

// Error is an image that cannot be listed: it breaks a bound, or its layers lie.
type Error struct {
	ID     string // the rule, "SBM-01"
	Layer  string // diffID, or empty
	Path   string // the file concerned, or empty
	Reason string
}

func (e *Error) Error() string {
	s := "listing the image: " + e.ID + ": "
	if e.Path != "" {
		s += fmt.Sprintf("%+q", cut(e.Path))
		if e.Layer != "" {
			s += " of layer " + cut(e.Layer)
		}
		s += ": "
	}
	return s + e.Reason
}

// cut bounds text of the image in a message.
func cut(s string) string {
	if len(s) > 200 {
		return s[:200] + "…"
	}
	return s
}
