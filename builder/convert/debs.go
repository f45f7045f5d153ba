package convert

import (
	"archive/tar"
	"context"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/forge-build/forge/builder/debian"
	"github.com/forge-build/forge/builder/layer"
)

func (m *maker) packages(ctx context.Context, j *job) (*Made, error) {
	made := &Made{Layer: j.layer}
	out, err := m.create()
	if err != nil {
		return nil, err
	}
	defer out.abort()
	u, err := debian.NewUnpacker(strings.TrimPrefix(m.li.Platform, "linux/"), func(e debian.Entry, r io.Reader) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		h := layer.Header{Path: e.Path, Mode: e.Mode, Size: e.Size, Link: e.Link, Owner: e.Owner}
		switch e.Type {
		case tar.TypeDir:
			h.Type = layer.Dir
		case tar.TypeSymlink:
			h.Type, h.Mode = layer.Symlink, 0o777
		case tar.TypeLink:
			h.Type = layer.Hardlink
		default:
			h.Type = layer.Regular
			return out.w.Add(h, r, nil)
		}
		return out.w.Add(h, nil, nil)
	})
	if err != nil {
		return nil, err
	}
	for _, p := range j.parts {
		f, err := os.Open(p.path)
		if err != nil {
			return nil, err
		}
		d, err := debian.OpenDeb(f, p.deb.Size, p.deb.Name)
		if err == nil {
			err = u.Add(d)
		}
		f.Close()
		if err != nil {
			return nil, fmt.Errorf("package %q: %w", p.deb.Name, err)
		}
	}
	if err := u.Finish(); err != nil {
		return nil, err
	}
	if err := hashMembers(ctx, j); err != nil {
		return nil, err
	}
	ix, err := out.close(made)
	if err != nil {
		return nil, err
	}
	return made, out.commit(made, ix)
}
