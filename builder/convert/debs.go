package convert

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/forge-build/forge/builder/debian"
	"github.com/forge-build/forge/builder/layer"
)

// packages makes the layer of Debian packages: what they hold, and what their maintainer
// scripts would have made, which debian.Unpacker knows. No script is run.
func (m *maker) packages(ctx context.Context, j *job) (*Made, error) {
	made := &Made{Layer: j.layer}
	out, err := m.create()
	if err != nil {
		return nil, err
	}
	defer out.abort()
	if err := m.unpack(ctx, j, out.w, made); err != nil {
		return nil, err
	}
	index, err := out.close(made)
	if err != nil {
		return nil, err
	}
	for _, e := range index.Entries {
		if e.ELF != nil {
			made.GLIBC = highest(made.GLIBC, e.ELF.GLIBC)
		}
	}
	return made, out.commit(made, index)
}

// unpack writes the packages in the order of the layer's members.
func (m *maker) unpack(ctx context.Context, j *job, w *layer.Writer, made *Made) error {
	u, err := debian.NewUnpacker(strings.TrimPrefix(m.li.Platform, "linux/"), func(e debian.Entry, content io.Reader) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		return addEntry(w, e, content)
	})
	if err != nil {
		return err
	}
	told := &progress{m: m, layer: j.layer.Name, total: j.size}
	for _, p := range j.parts {
		if err := m.unpackOne(u, p); err != nil {
			return err
		}
		told.add(p.deb.Size)
	}
	if err := u.Finish(); err != nil {
		return err
	}
	for _, r := range u.Removed() {
		made.Omitted = append(made.Omitted, Removed{Path: r.Path, Size: r.Size, Rule: r.Rule, Owner: strings.TrimPrefix(r.Owner, "deb:")})
	}
	made.Notes = u.Notes()
	return nil
}

func (m *maker) unpackOne(u *debian.Unpacker, p part) error {
	f, size, err := m.o.Store.Open(p.sum())
	if err != nil {
		return fmt.Errorf("opening package %q: %w", p.name(), err)
	}
	defer f.Close()
	if size != p.deb.Size {
		return fmt.Errorf("package %q has %d bytes, the lock states %d", p.name(), size, p.deb.Size)
	}
	d, err := debian.OpenDeb(f, size, p.name())
	if err != nil {
		return err
	}
	if d.Name != p.deb.Name || d.Version != p.deb.Version || d.Architecture != p.deb.Architecture {
		return fmt.Errorf("package %q is %s %s for %s, the lock states %s %s for %s", p.name(), d.Name, d.Version, d.Architecture, p.deb.Name, p.deb.Version, p.deb.Architecture)
	}
	return u.Add(d)
}

// addEntry adds what an Unpacker emits to a layer.
func addEntry(w *layer.Writer, e debian.Entry, content io.Reader) error {
	h := layer.Header{Path: e.Path, Mode: e.Mode, Size: e.Size, Link: e.Link, Owner: e.Owner}
	switch e.Type {
	case debian.TypeFile:
		h.Type = layer.Regular
		return w.Add(h, content, nil)
	case debian.TypeDir:
		h.Type = layer.Dir
	case debian.TypeSymlink:
		h.Type, h.Mode = layer.Symlink, 0o777
	case debian.TypeHardlink:
		h.Type = layer.Hardlink
	default:
		return fmt.Errorf("internal error: %q of %q has type %q", e.Path, e.Owner, e.Type)
	}
	return w.Add(h, nil, nil)
}
