package convert

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"path"
	"slices"
	"sort"
	"strings"

	"github.com/forge-build/forge/builder/wheel"
	"github.com/forge-build/forge/recipes/lock"
)

// Removed is a file that slim left out.
type Removed struct {
	Path  string `json:"path"` // in the image, without leading slash
	Size  int64  `json:"size"`
	Rule  string `json:"rule"`
	Owner string `json:"owner"` // name of the distribution
}

// Shared is a file that several wheels have, with the same bytes.
type Shared struct {
	Path   string   `json:"path"`
	Owners []string `json:"owners"` // names of distributions, sorted
}

// venv is one environment in the image.
type venv struct {
	prefix string // "opt/venv"
	python string // "3.13"
}

func newVenv(environment, python string) venv {
	if environment == "" {
		return venv{"opt/venv", python}
	}
	return venv{"opt/envs/" + environment, python}
}

func (v venv) site() string    { return v.prefix + "/lib/python" + v.python + "/site-packages" }
func (v venv) python3() string { return "/" + v.prefix + "/bin/python" }

// place returns where a file of distribution name goes.
func (v venv) place(f wheel.File, name string) string {
	switch f.Target {
	case wheel.Scripts:
		return v.prefix + "/bin/" + f.Path
	case wheel.Data:
		return v.prefix + "/" + f.Path
	case wheel.Headers:
		return v.prefix + "/include/site/python" + v.python + "/" + name + "/" + f.Path
	}
	return v.site() + "/" + f.Path
}

// recordPath returns p relative to site-packages, as RECORD has it.
func (v venv) recordPath(p string) string {
	if rest, ok := strings.CutPrefix(p, v.site()+"/"); ok {
		return rest
	}
	return "../../../" + strings.TrimPrefix(p, v.prefix+"/")
}

// member is one open wheel of a layer, with the lock's words about it.
type member struct {
	lock  lock.Wheel
	wheel *wheel.Wheel
}

// item is one file of a layer: a wheel's, or content that forge writes.
type item struct {
	path    string
	exec    bool
	from    *member
	file    wheel.File
	content []byte // when not nil, in place of file
	hash    string // RECORD's form; of the content as installed
}

func (it item) size() int64 {
	if it.content != nil {
		return int64(len(it.content))
	}
	return it.file.Size
}

// maxScript is the size up to which a script is read into memory for its first line.
const maxScript = 16 << 20

// install says what a wheel becomes in v: its files, what an installer writes beside them
// (launchers, INSTALLER, REQUESTED, the RECORD of it all), and what slim leaves out.
func install(m *member, v venv, slim slimmer) ([]item, []Removed, error) {
	var items []item
	var removed []Removed
	w := m.wheel
	record := w.DistInfo + "/RECORD"
	own := map[string]bool{record: true, w.DistInfo + "/INSTALLER": true, w.DistInfo + "/REQUESTED": true, w.DistInfo + "/direct_url.json": true}
	for _, f := range w.Files {
		if own[f.Name] {
			continue // what an installer says, a wheel cannot
		}
		p := v.place(f, w.Name)
		if rule := slim.removes(f); rule != "" {
			removed = append(removed, Removed{p, f.Size, rule, w.Name})
			continue
		}
		it := item{path: p, exec: f.Executable || f.Target == wheel.Scripts, from: m, file: f, hash: f.Hash}
		if f.Shebang != "" {
			content, err := rewrite(w, f, v)
			if err != nil {
				return nil, nil, err
			}
			it = written(m, p, content, true)
		}
		items = append(items, it)
	}
	for _, ep := range append(append([]wheel.EntryPoint(nil), w.EntryPoints.Console...), w.EntryPoints.GUI...) {
		items = append(items, written(m, v.prefix+"/bin/"+ep.Name, wheel.Launcher(v.python3(), ep.Module, ep.Attr), true))
	}
	info := v.site() + "/" + w.DistInfo
	items = append(items, written(m, info+"/INSTALLER", []byte("forge\n"), false))
	if m.lock.Requested {
		items = append(items, written(m, info+"/REQUESTED", []byte{}, false))
	}
	rows := []wheel.RecordRow{{Path: record, Size: -1}}
	for _, it := range items {
		rows = append(rows, wheel.RecordRow{Path: v.recordPath(it.path), Hash: it.hash, Size: it.size()})
	}
	items = append(items, written(m, info+"/RECORD", wheel.NewRecord(rows), false))
	sort.Slice(removed, func(i, j int) bool { return removed[i].Path < removed[j].Path })
	return items, removed, nil
}

// rewrite returns a script with the environment's interpreter in its first line.
func rewrite(w *wheel.Wheel, f wheel.File, v venv) ([]byte, error) {
	old, err := w.ReadFile(f.Name, maxScript)
	if err != nil {
		return nil, err
	}
	rest, ok := bytes.CutPrefix(old, []byte(f.Shebang))
	if !ok {
		return nil, fmt.Errorf("internal error: script %q does not start with %q", f.Name, f.Shebang)
	}
	return append([]byte("#!"+v.python3()), rest...), nil
}

func written(m *member, p string, content []byte, exec bool) item {
	sum := sha256.Sum256(content)
	return item{path: p, exec: exec, from: m, content: content, hash: wheel.RecordHash(sum[:])}
}

// merge sorts the items of a layer's wheels by path. A file that several wheels have is
// kept once, if it is the same file, or both only declare a namespace; the paths of such are
// returned.
func merge(items []item, v venv) (kept []item, shared []Shared, namespaces []string, err error) {
	sort.SliceStable(items, func(i, j int) bool {
		if items[i].path != items[j].path {
			return items[i].path < items[j].path
		}
		return items[i].from.wheel.Name < items[j].from.wheel.Name
	})
	tree := newTree(v)
	kept = items[:0]
	for _, it := range items {
		sum, err := contentSum(it)
		if err != nil {
			return nil, nil, nil, err
		}
		only, err := declaring(it)
		if err != nil {
			return nil, nil, nil, err
		}
		if only {
			namespaces = append(namespaces, it.path)
		}
		again, err := tree.add(it.path, owned{owners: []string{it.from.wheel.Name}, sum: sum, exec: it.exec, declares: only})
		if err != nil {
			return nil, nil, nil, err
		}
		if !again {
			kept = append(kept, it)
			continue
		}
		// Its bytes are in no layer, so the pass does not meet them: compare them here.
		if it.content == nil {
			if err := it.from.wheel.Copy(discard{}, it.file); err != nil {
				return nil, nil, nil, err
			}
		}
		shared = append(shared, Shared{it.path, tree.files[it.path].owners})
	}
	return kept, last(shared), slices.Compact(namespaces), nil
}

// contentSum returns a sum by which content is compared: RECORD's, when it is a sha256.
func contentSum(it item) (string, error) {
	if it.content != nil || strings.HasPrefix(it.hash, "sha256=") {
		return it.hash, nil
	}
	h := sha256.New()
	if err := it.from.wheel.Copy(h, it.file); err != nil {
		return "", err
	}
	return wheel.RecordHash(h.Sum(nil)), nil
}

// last keeps the last, longest list of owners of each path.
func last(shared []Shared) []Shared {
	var out []Shared
	for i, s := range shared {
		if i+1 == len(shared) || shared[i+1].Path != s.Path {
			out = append(out, s)
		}
	}
	return out
}

type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }

// owned is a file in a tree, with what decides whether another is the same.
type owned struct {
	owners []string
	sum    string
	exec   bool
	dir    bool

	declares bool // and does nothing else
}

// ConflictError says that two distributions cannot be in one environment.
type ConflictError struct {
	A, B   string // names of distributions
	Path   string // below site-packages, or in the image
	Reason string
}

func (e *ConflictError) Error() string { return e.Reason }

// Hint names the ways out.
func (e *ConflictError) Hint() string {
	if buildFiles(wheel.File{Target: wheel.PureLib, Path: e.Path}) {
		return "the file is packed by mistake and nothing imports it: slim { drop = [\"build-files\"] } leaves such out"
	}
	return fmt.Sprintf("an installer would let one overwrite the other: leave %s or %s out, or give one an environment of its own: environment \"…\" { requirements = […] }", e.A, e.B)
}

// tree finds paths that two wheels want for different things, on any file system.
type tree struct {
	v     venv
	files map[string]*owned
	folds map[string]string // folded path -> path
}

func newTree(v venv) *tree {
	return &tree{v: v, files: map[string]*owned{}, folds: map[string]string{}}
}

// add notes a file. It says whether the same file was there before.
func (t *tree) add(p string, o owned) (bool, error) {
	owner := o.owners[0]
	for dir := path.Dir(p); dir != "." && dir != t.v.prefix; dir = path.Dir(dir) {
		was, ok := t.files[dir]
		if ok && !was.dir {
			return false, t.conflict(dir, was.owners[0], owner, "is a file in %s and a folder in %s")
		}
		if ok {
			break // and so are its parents
		}
		if err := t.fold(dir, owner); err != nil {
			return false, err
		}
		t.files[dir] = &owned{owners: []string{owner}, dir: true}
	}
	was, ok := t.files[p]
	if !ok {
		if err := t.fold(p, owner); err != nil {
			return false, err
		}
		t.files[p] = &o
		return false, nil
	}
	switch {
	case was.dir:
		return false, t.conflict(p, was.owners[0], owner, "is a folder in %s and a file in %s")
	case was.sum != o.sum && !(was.declares && o.declares):
		return false, t.conflict(p, was.owners[0], owner, "differs between %s and %s")
	case was.exec != o.exec:
		return false, t.conflict(p, was.owners[0], owner, "is executable in one of %s and %s only")
	}
	was.owners = addOwner(was.owners, owner)
	return true, nil
}

func addOwner(owners []string, owner string) []string {
	out := append([]string(nil), owners...)
	i := sort.SearchStrings(out, owner)
	if i < len(out) && out[i] == owner {
		return out
	}
	out = append(out, "")
	copy(out[i+1:], out[i:])
	out[i] = owner
	return out
}

func (t *tree) conflict(p, a, b, format string) error {
	return &ConflictError{a, b, t.short(p), fmt.Sprintf("%q "+format, t.short(p), a, b)}
}

func (t *tree) fold(p, owner string) error {
	key := wheel.Fold(p)
	if other, ok := t.folds[key]; ok && other != p {
		first := t.files[other].owners[0]
		return &ConflictError{first, owner, t.short(p), fmt.Sprintf("%q of %s and %q of %s differ only in case or normalisation", t.short(other), first, t.short(p), owner)}
	}
	t.folds[key] = p
	return nil
}

// short returns a path as the wheel has it, where it is below site-packages.
func (t *tree) short(p string) string {
	if rest, ok := strings.CutPrefix(p, t.v.site()+"/"); ok {
		return rest
	}
	return p
}
