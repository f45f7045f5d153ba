package sbom

import (
	"bytes"
	"fmt"
	"io"
	"path"
	"slices"
	"sort"
	"strings"

	"github.com/anchore/syft/syft/file"
)

// What an image may be.
const (
	maxFiles  = 400_000  // entries of all layers: each takes about a kilobyte of memory
	maxNames  = 40 << 20 // of their paths and links, in bytes
	maxLinks  = 40       // symbolic links on the way to a file, as Linux follows
	maxPath   = 4096
	maxLayers = 1024
)

// node is a path of the merged tree.
type node struct {
	path   string // absolute, "/" is the root
	layer  int    // of the entry; a folder without an entry has that of its first file
	n      int    // number of the content's entry in that layer
	file   *File  // nil: a folder without an entry
	from   *File  // the regular file: file itself, or what a hard link names
	opened bool   // a cataloger has asked for it
}

func (n *node) dir() bool  { return n.file == nil || n.file.Kind == Dir }
func (n *node) link() bool { return n.file != nil && n.file.Kind == Symlink }

// regular says whether there is a file with content, its own or what a hard link names.
func (n *node) regular() bool { return n != nil && !n.dir() && !n.link() }

// tree is the merged view of layers, as a runtime makes it.
type tree struct {
	im    *Image
	nodes map[string]*node
	kids  map[string]map[string]struct{} // names in a folder
	paths []string                       // sorted
	names basenames
}

func newTree(im *Image) (*tree, error) {
	total, names := 0, 0
	for _, l := range im.Layers {
		total += len(l.Files)
		for i := range l.Files {
			if names += len(l.Files[i].Path) + len(l.Files[i].Link); names > maxNames {
				return nil, &Error{ID: "SBM-01", Layer: l.DiffID, Path: l.Files[i].Path, Reason: fmt.Sprintf("the image's paths and links have more than %d bytes together", maxNames)}
			}
		}
	}
	if total > maxFiles || len(im.Layers) > maxLayers {
		return nil, &Error{ID: "SBM-01", Reason: fmt.Sprintf("%d layers with %d entries; at most %d with %d are taken", len(im.Layers), total, maxLayers, maxFiles)}
	}
	t := &tree{im: im, nodes: make(map[string]*node, total+1), kids: map[string]map[string]struct{}{}}
	t.nodes["/"] = &node{path: "/"}
	for i := range im.Layers {
		if err := t.apply(i); err != nil {
			return nil, err
		}
	}
	t.paths = make([]string, 0, len(t.nodes))
	for p := range t.nodes {
		t.paths = append(t.paths, p)
	}
	sort.Strings(t.paths)
	t.names = newBasenames(t.paths)
	return t, t.crowded()
}

// maxPackages is how many descriptions of packages an image may have: what Syft keeps of
// each, and documents of it, take some 35 KB of memory. A large image has a thousand.
const maxPackages = 10_000

// crowded refuses an image with more, and names the first that is too many.
func (t *tree) crowded() error {
	count, first := 0, ""
	folders := map[string]bool{}
	for _, p := range t.paths {
		if !t.describes(p, folders) {
			continue
		}
		if count++; count == maxPackages+1 {
			first = p
		}
	}
	if first == "" {
		return nil
	}
	return &Error{ID: "SBM-01", Layer: t.im.Layers[t.nodes[first].layer].DiffID, Path: first,
		Reason: fmt.Sprintf("%d descriptions of packages, models and libraries; at most %d are listed", count, maxPackages)}
}

// describes says whether a file makes a package of the list; folders are the dist-info ones without
// METADATA that were seen.
func (t *tree) describes(p string, folders map[string]bool) bool {
	dir, base := path.Split(p)
	switch base {
	case "METADATA", "PKG-INFO", "package.json", "MANIFEST.MF", "DESCRIPTION":
		return true
	}
	if dir == "/var/lib/dpkg/status.d/" {
		return !strings.HasSuffix(base, ".md5sums")
	}
	n := t.nodes[p]
	if !n.regular() {
		return false
	}
	if isModel(p) || isBundled(p) {
		return true
	}
	if strings.HasSuffix(dir, ".dist-info/") && !folders[dir] && t.nodes[dir+"METADATA"] == nil && distInfo.MatchString(p) {
		folders[dir] = true
		return true
	}
	return false
}

// apply puts a layer on top. What it removes is what lower layers have; its own files stay.
// Source: OCI image layer specification, "Whiteouts" and "Opaque Whiteout".
func (t *tree) apply(i int) error {
	l := &t.im.Layers[i]
	at := map[string]int{} // regular files of this layer, for hard links
	for n := range l.Files {
		f := &l.Files[n]
		if why := wrongFile(f); why != "" {
			return &Error{ID: "SBM-01", Layer: l.DiffID, Path: f.Path, Reason: why}
		}
		switch f.Kind {
		case Whiteout:
			t.remove(abs(f.Path))
		case Opaque:
			t.removeBelow(abs(f.Path))
		case Regular:
			at[f.Path] = n
		}
	}
	for n := range l.Files {
		f := &l.Files[n]
		if f.Kind == Whiteout || f.Kind == Opaque || abs(f.Path) == "/" {
			continue
		}
		x := &node{path: abs(f.Path), layer: i, n: n, file: f, from: f}
		f.Path = x.path[1:] // the same bytes once
		if f.Kind == Hardlink {
			to, ok := at[f.Link]
			if !ok {
				return &Error{ID: "SBM-01", Layer: l.DiffID, Path: f.Path, Reason: fmt.Sprintf("hard link to %+q, which is no file of this layer", cut(f.Link))}
			}
			x.n, x.from = to, &l.Files[to]
		}
		t.put(x)
	}
	return nil
}

// wrongFile says what makes an entry one that no layer has.
func wrongFile(f *File) string {
	switch {
	case len(f.Path) > maxPath:
		return fmt.Sprintf("the path has %d bytes", len(f.Path))
	case f.Path == "", path.IsAbs(f.Path), path.Clean(f.Path) != f.Path, f.Path == "..", strings.HasPrefix(f.Path, "../"), strings.Contains(f.Path, "\x00"):
		return "the path leaves the image"
	case f.Size < 0:
		return fmt.Sprintf("its size is %d", f.Size)
	}
	switch f.Kind {
	case Regular, Dir, Symlink, Hardlink, Whiteout, Opaque:
		return ""
	}
	return fmt.Sprintf("its kind is %+q", cut(string(f.Kind)))
}

func abs(p string) string {
	if p == "." {
		return "/"
	}
	return "/" + p
}

func (t *tree) put(x *node) {
	if old := t.nodes[x.path]; old != nil && old.dir() && !x.dir() {
		t.removeBelow(x.path)
	}
	t.nodes[x.path] = x
	for p := x.path; p != "/"; {
		dir, name := path.Split(p)
		dir = path.Clean(dir)
		if t.kids[dir] == nil {
			t.kids[dir] = map[string]struct{}{}
		}
		_, known := t.kids[dir][name]
		t.kids[dir][name] = struct{}{}
		if old := t.nodes[dir]; old == nil || !old.dir() {
			// A folder takes the place of what is in a layer below. Runtimes differ when
			// that is a link; the content is listed where this layer puts it.
			t.nodes[dir] = &node{path: dir, layer: x.layer}
		} else if known {
			return
		}
		p = dir
	}
}

func (t *tree) remove(p string) {
	if p == "/" {
		t.removeBelow(p)
		return
	}
	t.removeBelow(p)
	delete(t.nodes, p)
	dir, name := path.Split(p)
	delete(t.kids[path.Clean(dir)], name)
}

func (t *tree) removeBelow(p string) {
	for name := range t.kids[p] {
		below := path.Join(p, name)
		t.removeBelow(below)
		delete(t.nodes, below)
	}
	delete(t.kids, p)
}

// resolve follows symbolic links, in the middle of the path too, and returns what is there;
// nil when nothing is, or links lead in circles.
func (t *tree) resolve(p string) *node {
	if len(p) > maxPath {
		return nil
	}
	todo := strings.Split(p, "/")
	slices.Reverse(todo)
	at := "/"
	for links := 0; len(todo) > 0; {
		part := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		switch part {
		case "", ".":
			continue
		case "..":
			at = path.Dir(at)
			continue
		}
		next := path.Join(at, part)
		n := t.nodes[next]
		if n == nil {
			return nil
		}
		if !n.link() {
			at = next
			continue
		}
		if links++; links > maxLinks || len(n.file.Link) > maxPath {
			return nil
		}
		if path.IsAbs(n.file.Link) {
			at = "/"
		}
		parts := strings.Split(n.file.Link, "/")
		slices.Reverse(parts)
		todo = append(todo, parts...)
	}
	return t.nodes[at]
}

// locate is the place of a path, as Syft says it.
func (t *tree) locate(p string) file.Location {
	n := t.resolve(p)
	if n == nil {
		return file.Location{}
	}
	return file.NewLocationFromCoordinates(file.NewCoordinates(n.path, t.im.Layers[n.layer].DiffID))
}

// read returns what a regular file holds; nil if there is none, or a larger one.
func (t *tree) read(p string, limit int64) ([]byte, error) {
	n := t.resolve(p)
	if n == nil || n.dir() || n.from.Size > limit {
		return nil, nil
	}
	in, err := t.im.Layers[n.layer].Open(n.n)
	if err == nil {
		b := bytes.NewBuffer(make([]byte, 0, n.from.Size+bytes.MinRead))
		if _, err = b.ReadFrom(io.LimitReader(in, limit+1)); err == nil && int64(b.Len()) == n.from.Size {
			return b.Bytes(), nil
		} else if err == nil {
			err = fmt.Errorf("%d bytes, %d are due", b.Len(), n.from.Size)
		}
	}
	return nil, fmt.Errorf("reading %+q of layer %s: %w", cut(n.path), t.im.Layers[n.layer].DiffID, err)
}
