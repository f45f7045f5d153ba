package sbom

import (
	"crypto/sha1" //nolint:gosec // SPDX 2.3 wants one of each file, 8.4
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"slices"
	"strings"
)

// loose lists the regular files that no package owns, and counts all.
func (inv *Inventory) loose(t *tree) error {
	evidence := map[string]bool{}
	for p := range inv.bom.Artifacts.Packages.Enumerate() {
		for _, l := range p.Locations.ToUnorderedSlice() {
			evidence[l.RealPath] = true
		}
	}
	owned := func(p string) bool { return len(inv.owners[p]) > 0 || evidence[p] }
	unowned := 0
	for _, p := range t.paths {
		if t.nodes[p].regular() {
			inv.Files++
			if !owned(p) {
				unowned++
			}
		}
	}
	if unowned > 0 {
		inv.Unowned = make([]Unowned, 0, unowned)
	}
	for _, p := range t.paths {
		n := t.nodes[p]
		if !n.regular() || owned(p) {
			continue
		}
		one, err := t.sums(p, n)
		if err != nil {
			return err
		}
		inv.Unowned = append(inv.Unowned, Unowned{Path: plain(p), Layer: t.im.Layers[n.layer].DiffID, Size: n.from.Size, SHA256: n.from.SHA256,
			ELF: n.from.ELF != nil, Archive: isArchive(p), raw: p, sha1: one})
	}
	return nil
}

// sums returns the SHA-1 of the regular file at p, and finds its SHA-256 if nobody has.
func (t *tree) sums(p string, n *node) (one [sha1.Size]byte, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("listing the image: reading %+q of layer %s: %w", cut(p), t.im.Layers[n.layer].DiffID, err)
		}
	}()
	in, err := t.im.Layers[n.layer].Open(n.n)
	if err != nil {
		return one, err
	}
	h, sum := sha1.New(), sha256.New() //nolint:gosec // as above
	var all io.Writer = h
	if n.from.SHA256 == "" {
		all = io.MultiWriter(h, sum)
	}
	got, err := io.Copy(all, io.LimitReader(in, n.from.Size+1))
	if err == nil && got != n.from.Size {
		err = fmt.Errorf("%d bytes, %d are due", got, n.from.Size)
	}
	if err == nil && n.from.SHA256 == "" {
		n.from.SHA256 = hex.EncodeToString(sum.Sum(nil))
	}
	return [sha1.Size]byte(h.Sum(nil)), err
}

// archives are suffixes of files that hold others, into which no cataloger looks.
var archives = []string{".zip", ".whl", ".egg", ".tar", ".tar.gz", ".tgz", ".tar.xz", ".txz", ".tar.bz2", ".tbz2", ".tar.zst", ".7z", ".rar", ".deb", ".rpm", ".conda", ".pex", ".pyz", ".squashfs", ".iso", ".cpio"}

func isArchive(p string) bool { return endsIn(p, archives) }

// endsIn says whether a path has one of some suffixes, in whatever case.
func endsIn(p string, suffixes []string) bool {
	p = strings.ToLower(p)
	return slices.ContainsFunc(suffixes, func(s string) bool { return strings.HasSuffix(p, s) })
}
