package saved

import (
	"archive/tar"
	"fmt"
	"io"
	"path"
	"strings"
)

// entry is a file of the archive, or a link to one.
type entry struct {
	at, size int64
	link     string // where it leads, as a name of the archive; empty: it is a file
}

// archive finds the entries of a tar by their names.
type archive struct {
	in      io.ReadSeeker
	entries map[string]entry
	twice   map[string]bool
}

// open reads the names.
func open(in io.ReadSeeker) (*archive, error) {
	if _, err := in.Seek(0, io.SeekStart); err != nil {
		return nil, fmt.Errorf("reading the archive: %w", err)
	}
	a := &archive{in: in, entries: map[string]entry{}, twice: map[string]bool{}}
	t := tar.NewReader(in)
	for {
		h, err := t.Next()
		if err == io.EOF {
			return a, nil
		}
		if err != nil {
			return nil, fmt.Errorf("reading the archive: %w; a tar is due, as docker save writes it, and not compressed", err)
		}
		if len(a.entries) >= maxEntries || len(h.Name) > maxName {
			return nil, refuse(h.Name, "more than %d entries, or a name of more than %d bytes", maxEntries, maxName)
		}
		name := path.Clean(h.Name)
		e := entry{size: h.Size}
		switch h.Typeflag {
		case tar.TypeReg:
			for k := range h.PAXRecords {
				if strings.HasPrefix(k, "GNU.sparse.") { // it would take more room than the archive has
					return nil, refuse(name, "it is a file with holes")
				}
			}
			// archive/tar reads whole blocks and no more: the content is next.
			if e.at, err = in.Seek(0, io.SeekCurrent); err != nil {
				return nil, fmt.Errorf("reading the archive: %w", err)
			}
		case tar.TypeSymlink:
			e.link = path.Join(path.Dir(name), h.Linkname)
		case tar.TypeLink:
			e.link = path.Clean(h.Linkname)
		default:
			continue // folders
		}
		if _, known := a.entries[name]; known {
			a.twice[name] = true
		}
		a.entries[name] = e
	}
}

// find is the file of a name; one link is followed, as both programs write for layers that are
// the same.
func (a *archive) find(name string) (entry, error) {
	clean := path.Clean(name)
	if name == "" || len(name) > maxName || path.IsAbs(clean) || clean == ".." || strings.HasPrefix(clean, "../") {
		return entry{}, refuse(name, "it leaves the archive")
	}
	e, ok := a.entries[clean]
	if ok && e.link != "" && !a.twice[clean] {
		clean = e.link
		e, ok = a.entries[clean]
		if ok && e.link != "" {
			return entry{}, refuse(name, "it is a link to a link")
		}
	}
	switch {
	case !ok:
		return entry{}, refuse(name, "it is not in the archive")
	case a.twice[clean]:
		return entry{}, refuse(clean, "it is in the archive twice")
	}
	return e, nil
}

// read reads a file from its begin.
func (a *archive) read(e entry) io.Reader {
	if _, err := a.in.Seek(e.at, io.SeekStart); err != nil {
		return failed{err}
	}
	return io.LimitReader(a.in, e.size)
}

type failed struct{ err error }

func (f failed) Read([]byte) (int, error) { return 0, f.err }

// document reads a small file whole.
func (a *archive) document(name string, limit int64) ([]byte, error) {
	e, err := a.find(name)
	if err != nil {
		return nil, err
	}
	if e.size > limit {
		return nil, refuse(name, "it has %d bytes; %d are taken", e.size, limit)
	}
	raw, err := io.ReadAll(a.read(e))
	if err == nil && int64(len(raw)) != e.size {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", quote(name), err)
	}
	return raw, nil
}
