package sbom

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"
	"sync"
	"time"

	stereoscope "github.com/anchore/stereoscope/pkg/file"
	"github.com/anchore/syft/syft/file"
)

// resolver answers a cataloger's questions out of a tree. It is safe for use by several
// catalogers at a time.
type resolver struct {
	t    *tree
	disk spool
	time time.Time
	mime map[string][]string // paths by MIME type, only of programs
	kind map[string]bool     // paths of mime

	mu     sync.Mutex
	failed error // the first thing that could not be read
	lists  int64 // bytes of lists of files that were asked for
}

var _ file.Resolver = (*resolver)(nil)

// Bounds of what catalogers may read, in bytes. Whoever reads a list keeps all of it.
const (
	inMemory  = 4 << 20
	maxText   = 32 << 20 // of a file that is no program, as far as it is read
	maxHeader = 64 << 20 // of a model in GGUF, whose cataloger copies the first 50 MB to disk
	maxLists  = 96 << 20 // of all lists of files together: RECORD, *.list, *.md5sums
)

func (r *resolver) location(n *node, access string) file.Location {
	return file.NewVirtualLocationFromCoordinates(file.NewCoordinates(n.path, r.t.im.Layers[n.layer].DiffID), access)
}

// HasPath implements file.Resolver.
func (r *resolver) HasPath(p string) bool { return r.t.resolve(p) != nil }

// FilesByPath implements file.Resolver.
func (r *resolver) FilesByPath(paths ...string) ([]file.Location, error) {
	var out []file.Location
	seen := map[string]bool{}
	for _, p := range paths {
		n := r.t.resolve(p)
		if n == nil || n.dir() || seen[n.path] {
			continue
		}
		seen[n.path] = true
		out = append(out, r.location(n, p))
	}
	return out, nil
}

// FilesByGlob implements file.Resolver. A path that is a file itself comes before a link to
// it, so that a file found twice is listed by its own name.
func (r *resolver) FilesByGlob(patterns ...string) ([]file.Location, error) {
	var direct, linked []string
	for _, pattern := range patterns {
		paths, err := r.t.glob(pattern)
		if err != nil {
			return nil, fmt.Errorf("matching %+q: %w", cut(pattern), err)
		}
		for _, p := range paths {
			if n := r.t.nodes[p]; n == nil || n.link() {
				linked = append(linked, p)
			} else {
				direct = append(direct, p)
			}
		}
	}
	return r.FilesByPath(append(direct, linked...)...)
}

// FilesByMIMEType implements file.Resolver. Only programs have a type here: no cataloger
// asks for others by it. See programs for those that are withheld.
func (r *resolver) FilesByMIMEType(types ...string) ([]file.Location, error) {
	var paths []string
	for _, t := range types {
		paths = append(paths, r.mime[t]...)
	}
	return r.FilesByPath(paths...)
}

// RelativeFileByPath implements file.Resolver.
func (r *resolver) RelativeFileByPath(_ file.Location, p string) *file.Location {
	found, err := r.FilesByPath(p)
	if err != nil || len(found) == 0 {
		return nil
	}
	return &found[0]
}

// AllLocations implements file.Resolver.
func (r *resolver) AllLocations(ctx context.Context) <-chan file.Location {
	out := make(chan file.Location)
	go func() {
		defer close(out)
		for _, p := range r.t.paths {
			n := r.t.nodes[p]
			if n.file == nil {
				continue
			}
			select {
			case <-ctx.Done():
				return
			case out <- r.location(n, p):
			}
		}
	}()
	return out
}

// FileMetadataByLocation implements file.Resolver.
func (r *resolver) FileMetadataByLocation(l file.Location) (file.Metadata, error) {
	n := r.t.nodes[l.RealPath]
	if n == nil {
		return file.Metadata{}, &fs.PathError{Op: "stat", Path: l.RealPath, Err: fs.ErrNotExist}
	}
	return r.metadata(n), nil
}

func (r *resolver) metadata(n *node) file.Metadata {
	m := file.Metadata{Path: n.path, Type: stereoscope.TypeDirectory}
	info := stereoscope.ManualInfo{NameValue: path.Base(n.path), ModTimeValue: r.time, ModeValue: fs.ModeDir | 0o755}
	if n.file != nil {
		m.UserID, m.GroupID = n.file.UID, n.file.GID
		info.ModeValue = fs.FileMode(n.file.Mode & 0o777)
		switch n.file.Kind {
		case Symlink:
			m.Type, m.LinkDestination = stereoscope.TypeSymLink, n.file.Link
			info.ModeValue |= fs.ModeSymlink
		case Dir:
			info.ModeValue |= fs.ModeDir
		default:
			m.Type, info.SizeValue = stereoscope.TypeRegular, n.from.Size
			m.MIMEType = mimeOf(n.from.ELF)
		}
	}
	m.FileInfo = info
	return m
}

// FileContentsByLocation implements file.Resolver. Catalogers swallow most errors; the first
// is kept, and ends the listing.
func (r *resolver) FileContentsByLocation(l file.Location) (io.ReadCloser, error) {
	n := r.t.resolve(l.RealPath)
	if n == nil || n.dir() {
		return nil, &fs.PathError{Op: "open", Path: l.RealPath, Err: fs.ErrNotExist}
	}
	c, err := r.open(n)
	if err != nil {
		return nil, r.fail(err)
	}
	return c, nil
}

func (r *resolver) fail(err error) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.failed == nil {
		r.failed = err
	}
	return err
}

func (r *resolver) wrong(n *node, format string, args ...any) error {
	return &Error{ID: "SBM-01", Layer: r.t.im.Layers[n.layer].DiffID, Path: n.path, Reason: fmt.Sprintf(format, args...)}
}

// isList says whether a file lists the files of a package.
func isList(p string) bool {
	return path.Base(p) == "RECORD" || strings.HasSuffix(p, ".list") || strings.HasSuffix(p, ".md5sums") || strings.HasSuffix(p, "/installed-files.txt")
}

func (r *resolver) open(n *node) (io.ReadCloser, error) {
	size := n.from.Size
	if isList(n.path) {
		r.mu.Lock()
		r.lists += size
		total := r.lists
		r.mu.Unlock()
		if total > maxLists {
			return nil, r.wrong(n, "lists of packages' files have more than %d bytes", maxLists)
		}
	}
	where := func(err error) error {
		return fmt.Errorf("reading %+q of layer %s: %w", cut(n.path), r.t.im.Layers[n.layer].DiffID, err)
	}
	from := func() (io.Reader, error) { return r.t.im.Layers[n.layer].Open(n.n) }
	if n.from.ELF != nil {
		c, err := r.disk.open(n.from, from)
		if err != nil {
			return nil, where(err)
		}
		return c, nil
	}
	if isJar(n.path) {
		return r.openJar(n, from)
	}
	in, err := from()
	if err != nil {
		return nil, where(err)
	}
	if at, ok := in.(seekable); ok && r.kind[n.path] { // a program in a layer that lies on disk
		return union{at}, nil
	}
	if size > inMemory && r.kind[n.path] {
		c, err := r.disk.open(n.from, from)
		if err != nil {
			return nil, where(err)
		}
		return c, nil
	}
	if isDatabase(n.path) {
		in = &paragraphs{r: r, n: n, in: in}
	}
	if !isList(n.path) {
		in = &nesting{r: r, n: n, in: in}
	}
	if size > inMemory {
		left := int64(maxText)
		if strings.HasSuffix(n.path, ".gguf") {
			left = maxHeader
		}
		return &streamed{r: r, n: n, in: in, most: left, left: left}, nil
	}
	b := bytes.NewBuffer(make([]byte, 0, size+bytes.MinRead))
	if _, err := b.ReadFrom(io.LimitReader(in, inMemory+1)); err != nil {
		var own *Error
		if errors.As(err, &own) {
			return nil, err
		}
		return nil, where(err)
	}
	if int64(b.Len()) != size {
		return nil, where(fmt.Errorf("%d bytes, %d are due", b.Len(), size))
	}
	return union{bytes.NewReader(b.Bytes())}, nil
}

// isDatabase says whether a file describes many packages, a paragraph each: dpkg's or apk's.
func isDatabase(p string) bool {
	return strings.HasSuffix(p, "/dpkg/status") || strings.HasSuffix(p, "/opkg/status") || strings.HasSuffix(p, "/apk/db/installed")
}

// paragraphs refuses a database of too many packages.
type paragraphs struct {
	r     *resolver
	n     *node
	in    io.Reader
	last  byte
	count int
}

func (p *paragraphs) Read(b []byte) (int, error) {
	n, err := p.in.Read(b)
	for _, c := range b[:n] {
		if c == '\n' && p.last == '\n' {
			p.count++
		}
		p.last = c
	}
	if p.count > maxPackages {
		return 0, p.r.fail(p.r.wrong(p.n, "it describes more than %d packages", maxPackages))
	}
	return n, err
}

// maxNesting is how many parentheses of a line may be open. Catalogers hand licences to a parser
// that descends into each, without a bound.
const maxNesting = 500

// nesting refuses a text that is nested deeper.
type nesting struct {
	r     *resolver
	n     *node
	in    io.Reader
	depth int
}

func (x *nesting) Read(b []byte) (int, error) {
	n, err := x.in.Read(b)
	for _, c := range b[:n] {
		switch c {
		case '(':
			if x.depth++; x.depth > maxNesting {
				return 0, x.r.fail(x.r.wrong(x.n, "more than %d parentheses of a line are open", maxNesting))
			}
		case ')':
			x.depth = max(x.depth-1, 0)
		case '\n':
			x.depth = 0
		}
	}
	return n, err
}

// seekable is what catalogers of programs want, lest they read all of it into memory.
type seekable interface {
	io.Reader
	io.ReaderAt
	io.Seeker
}

type union struct{ seekable }

func (union) Close() error { return nil }

// streamed is a large file that is no program. A cataloger may look at its head.
type streamed struct {
	r    *resolver
	n    *node
	in   io.Reader
	most int64
	left int64
}

func (s *streamed) Read(p []byte) (int, error) {
	if s.left <= 0 {
		return 0, s.r.fail(s.r.wrong(s.n, "more than %d bytes of it are needed", s.most))
	}
	n, err := s.in.Read(p[:min(int64(len(p)), s.left)])
	s.left -= int64(n)
	if err != nil && !errors.Is(err, io.EOF) {
		_ = s.r.fail(fmt.Errorf("reading %+q of layer %s: %w", cut(s.n.path), s.r.t.im.Layers[s.n.layer].DiffID, err))
	}
	return n, err
}

func (s *streamed) Close() error { return nil }
