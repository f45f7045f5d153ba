package base

import (
	"fmt"
	"path"
	"sort"
	"strings"

	"github.com/forge-build/forge/builder/layer"
)

// tree is the merged view of layers, as a runtime makes it.
type tree struct {
	from  string
	nodes map[string]*entry   // by path without slashes at the ends; folders without an entry too
	below map[string][]string // folder → paths in it, of which some may be gone
	layer map[string]int      // path → number of the layer that has it, from 0
}

func newTree(from string) *tree {
	return &tree{from: from, nodes: map[string]*entry{}, below: map[string][]string{}, layer: map[string]int{}}
}

func (t *tree) refuse(e entry, format string, args ...any) error {
	return &Error{ID: "OCI-04", Path: t.from, Entry: e.Path, Reason: fmt.Sprintf(format, args...)}
}

// apply puts a layer on top. What it removes is what lower layers have; its own files stay.
// Source: OCI image layer specification, "Whiteouts" and "Opaque Whiteout".
func (t *tree) apply(n int, rec *record) error {
	dirs := map[string]bool{}
	for _, e := range rec.Entries {
		if e.Type == layer.Dir {
			dirs[e.Path] = true
		}
	}
	for _, e := range rec.Entries {
		if e.Type != layer.Whiteout && e.Type != layer.Opaque {
			continue
		}
		if err := t.direct(e, n, dirs); err != nil {
			return err
		}
		t.removeBelow(e.Path)
		if e.Type == layer.Whiteout {
			delete(t.nodes, e.Path)
		}
	}
	for i := range rec.Entries {
		e := &rec.Entries[i]
		if e.Type == layer.Whiteout || e.Type == layer.Opaque || e.Path == "." {
			continue
		}
		if err := t.direct(*e, n, dirs); err != nil {
			return err
		}
		t.put(e)
		t.layer[e.Path] = n
	}
	return nil
}

// direct refuses a path below something that is no folder in the layers below: one runtime
// writes through a symbolic link, another hides it.
func (t *tree) direct(e entry, n int, dirs map[string]bool) error {
	for dir := parent(e.Path); dir != ""; dir = parent(dir) {
		if dirs[dir] {
			return nil // this layer says that it is a folder
		}
		if old := t.nodes[dir]; old != nil && old.Type != layer.Dir {
			return t.refuse(e, "layer %d has %+q below %+q, which is a %s in a layer below", n+1, cut(e.Path), cut(dir), old.Type)
		}
	}
	return nil
}

func (t *tree) put(e *entry) {
	old := t.nodes[e.Path]
	if old != nil && (old.Type == layer.Dir) != (e.Type == layer.Dir) {
		t.removeBelow(e.Path)
	}
	for dir := parent(e.Path); dir != "" && (t.nodes[dir] == nil || t.nodes[dir].Type != layer.Dir); dir = parent(dir) {
		t.set(&entry{Path: dir, Type: layer.Dir, Mode: 0o755})
	}
	if e.Type == layer.Hardlink { // its file is in the same layer, before it
		if of := t.nodes[e.Link]; of != nil {
			c := *of
			c.Path = e.Path
			e = &c
		}
	}
	t.set(e)
}

func (t *tree) set(e *entry) {
	if t.nodes[e.Path] == nil {
		dir := parent(e.Path)
		t.below[dir] = append(t.below[dir], e.Path)
	}
	t.nodes[e.Path] = e
}

// removeBelow empties a folder. It looks at what lies there and at nothing else: a layer may
// remove many.
func (t *tree) removeBelow(dir string) {
	if dir == "." {
		t.nodes, t.below = map[string]*entry{}, map[string][]string{}
		return
	}
	for _, p := range t.below[dir] {
		if t.nodes[p] != nil {
			delete(t.nodes, p)
			t.removeBelow(p)
		}
	}
	delete(t.below, dir)
}

// resolve follows symbolic links, in the middle of the path too, and returns the real path
// and what is there; nil when nothing is.
func (t *tree) resolve(p string) (string, *entry) {
	todo := strings.Split(strings.Trim(path.Clean("/"+p), "/"), "/")
	at := ""
	for links := 0; len(todo) > 0; {
		part := todo[0]
		todo = todo[1:]
		switch part {
		case "", ".":
			continue
		case "..":
			at = parent(at)
			continue
		}
		next := strings.TrimPrefix(at+"/"+part, "/")
		e := t.nodes[next]
		if e == nil {
			return next, nil
		}
		if e.Type != layer.Symlink {
			at = next
			continue
		}
		if links++; links > 40 {
			return next, nil
		}
		if path.IsAbs(e.Link) {
			at = ""
		}
		todo = append(strings.Split(e.Link, "/"), todo...)
	}
	return at, t.nodes[at]
}

// free says whether the folders above paths are folders, or not there.
func (t *tree) free(paths []string) error {
	for _, p := range paths {
		for dir := parent(p); dir != ""; dir = parent(dir) {
			if e := t.nodes[dir]; e != nil && e.Type != layer.Dir {
				where := ""
				if e.Type == layer.Symlink {
					where = fmt.Sprintf(" to %+q", cut(e.Link))
				}
				return &UnfitError{t.from, fmt.Sprintf("/%s is to be written, and /%s is a %s%s there; write the real path", p, dir, e.Type, where)}
			}
		}
		if e := t.nodes[p]; e != nil && e.Type == layer.Symlink && strings.HasPrefix(p, "etc/") {
			return &UnfitError{t.from, fmt.Sprintf("/%s is a symbolic link there; a file is due", p)}
		}
	}
	return nil
}

// paths are all paths, sorted.
func (t *tree) paths() []string {
	list := make([]string, 0, len(t.nodes))
	for p := range t.nodes {
		list = append(list, p)
	}
	sort.Strings(list)
	return list
}

func parent(p string) string {
	i := strings.LastIndexByte(p, '/')
	if i < 0 {
		return ""
	}
	return p[:i]
}
