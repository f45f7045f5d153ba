package lock

import (
	"fmt"
	"path"
	"regexp"
	"strings"
	"time"
)

var (
	hexSum    = regexp.MustCompile(`^[0-9a-f]{64}$`)
	digest    = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)
	plainName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._+~-]*$`)
)

// check refuses what no forge writes: sums that are none, sizes below zero,
// names that could leave a folder, layers whose members are not locked.
func (l *Lock) check() error {
	for name, im := range l.Images {
		if im == nil {
			return fmt.Errorf("image %+q is null", clip(name))
		}
		if err := im.check(); err != nil {
			return fmt.Errorf("image %+q: %w", clip(name), err)
		}
	}
	return nil
}

func (im *Image) check() error {
	if t, err := time.Parse(time.RFC3339, im.Created); err != nil || !strings.HasSuffix(im.Created, "Z") || t.Year() < 1970 {
		return fmt.Errorf("created %+q is no RFC 3339 time in UTC, from 1970 on", clip(im.Created))
	}
	if im.Platform != "linux/amd64" && im.Platform != "linux/arm64" {
		return fmt.Errorf("platform %+q is neither linux/amd64 nor linux/arm64", clip(im.Platform))
	}
	if !hexSum.MatchString(im.Init.SHA256) || im.Init.Size < 0 {
		return fmt.Errorf("init: %+q of %d bytes is no sha256 and size", clip(im.Init.SHA256), im.Init.Size)
	}
	if (im.Debian == nil) == (im.Base == nil) {
		return fmt.Errorf("it needs exactly one of debian and base")
	}
	members := map[string]bool{}
	for _, w := range im.Wheels {
		if err := w.check(); err != nil {
			return fmt.Errorf("wheel %+q: %w", clip(w.Name), err)
		}
		members[w.SHA256] = true
	}
	if im.Debian != nil {
		for _, d := range im.Debian.Packages {
			if err := d.check(); err != nil {
				return fmt.Errorf("package %+q: %w", clip(d.Name), err)
			}
			members[d.SHA256] = true
		}
	}
	if im.Base != nil {
		if err := im.Base.check(); err != nil {
			return fmt.Errorf("base: %w", err)
		}
	}
	names := map[string]bool{}
	for _, layer := range im.Layers {
		if names[layer.Name] {
			return fmt.Errorf("layer %+q stands twice", clip(layer.Name))
		}
		names[layer.Name] = true
		if err := layer.check(members); err != nil {
			return fmt.Errorf("layer %+q: %w", clip(layer.Name), err)
		}
	}
	return nil
}

func (w Wheel) check() error {
	switch {
	case !plainName.MatchString(w.Name), !plainName.MatchString(w.File):
		return fmt.Errorf("name %+q or file %+q is not a plain name", clip(w.Name), clip(w.File))
	case w.Index != "" && !plainName.MatchString(w.Index):
		return fmt.Errorf("index %+q is not a plain name", clip(w.Index))
	case w.Environment != "" && !plainName.MatchString(w.Environment):
		return fmt.Errorf("environment %+q is not a plain name", clip(w.Environment))
	case w.Path != "" && !local(w.Path):
		return fmt.Errorf("path %+q leaves the recipe's folder", clip(w.Path))
	}
	return artifact(w.SHA256, w.Size)
}

func (d Deb) check() error {
	switch {
	case !plainName.MatchString(d.Name), !plainName.MatchString(d.Archive):
		return fmt.Errorf("name %+q or archive %+q is not a plain name", clip(d.Name), clip(d.Archive))
	case !local(d.Path):
		return fmt.Errorf("path %+q leaves the archive", clip(d.Path))
	}
	return artifact(d.SHA256, d.Size)
}

func (b *Base) check() error {
	if !digest.MatchString(b.Manifest) || !digest.MatchString(b.Config) || (b.Index != "" && !digest.MatchString(b.Index)) {
		return fmt.Errorf("manifest, config or index is no sha256 digest")
	}
	for i, layer := range b.Layers {
		if err := layer.check(nil); err != nil {
			return fmt.Errorf("layer %d: %w", i, err)
		}
		if len(layer.Blobs) != 1 {
			return fmt.Errorf("layer %d: it has %d blobs, one is due", i, len(layer.Blobs))
		}
	}
	return nil
}

func (l Layer) check(members map[string]bool) error {
	for _, m := range l.Members {
		if !members[m] {
			return fmt.Errorf("its member %+q is not locked", clip(m))
		}
	}
	if !digest.MatchString(l.DiffID) || l.Unpacked < 0 {
		return fmt.Errorf("diffID %+q of %d bytes is no digest and size", clip(l.DiffID), l.Unpacked)
	}
	if len(l.Blobs) == 0 {
		return fmt.Errorf("it has no blob")
	}
	for codec, b := range l.Blobs {
		if !digest.MatchString(b.Digest) || b.Size < 0 {
			return fmt.Errorf("%s blob %+q of %d bytes is no digest and size", clip(codec), clip(b.Digest), b.Size)
		}
	}
	return nil
}

func artifact(sum string, size int64) error {
	if !hexSum.MatchString(sum) || size < 0 {
		return fmt.Errorf("%+q of %d bytes is no sha256 and size", clip(sum), size)
	}
	return nil
}

// local says whether p is a clean relative slash path that stays below its root.
func local(p string) bool {
	return p != "" && p == path.Clean(p) && !path.IsAbs(p) && p != ".." && !strings.HasPrefix(p, "../") && !strings.ContainsAny(p, "\\\x00")
}
