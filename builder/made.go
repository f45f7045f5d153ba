package builder

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"sort"
	"strings"
	"syscall"

	"github.com/moby/patternmatcher"
	"github.com/moby/patternmatcher/ignorefile"

	"github.com/forge-build/forge/builder/base"
	"github.com/forge-build/forge/builder/convert"
	"github.com/forge-build/forge/builder/debian"
	"github.com/forge-build/forge/builder/layer"
	"github.com/forge-build/forge/builder/start"
	"github.com/forge-build/forge/builder/store"
	"github.com/forge-build/forge/recipes/lock"
)

// indexed is own; the store keeps the layer's index, too.
func indexed(s *store.Store, codec layer.Codec, write func(w *layer.Writer) error) (lock.Layer, *layer.Index, error) {
	l, ix, err := own(s, codec, write)
	if err != nil {
		return l, nil, err
	}
	sum, err := putIndex(s, ix)
	if err != nil {
		return l, nil, err
	}
	return l, ix, noteIndex(s, l, sum)
}

// own writes one of forge's own layers into the store: entries sorted by path.
func own(s *store.Store, codec layer.Codec, write func(w *layer.Writer) error) (lock.Layer, *layer.Index, error) {
	var l lock.Layer
	p, err := s.Create()
	if err != nil {
		return l, nil, err
	}
	defer p.Abort()
	w, err := layer.NewWriter(map[layer.Codec]io.Writer{codec: p})
	if err != nil {
		return l, nil, err
	}
	if err := write(w); err != nil {
		return l, nil, err
	}
	res, err := w.Close()
	if err != nil {
		return l, nil, err
	}
	b := res.Blobs[codec]
	if _, err := p.Commit(strings.TrimPrefix(b.Digest, "sha256:")); err != nil {
		return l, nil, err
	}
	l = lock.Layer{DiffID: res.DiffID, Unpacked: res.Unpacked, Blobs: map[string]lock.Blob{string(codec): {Digest: b.Digest, Size: b.Size}}}
	return l, res.Index, nil
}

// initLayer holds forge-init, whose sha256 must be the locked one.
func (b *Builder) initLayer(p *Plan) (lock.Layer, error) {
	file, err := FindInit(p.Image.Platform)
	if err != nil {
		return lock.Layer{}, err
	}
	raw, err := os.ReadFile(file)
	if err != nil {
		return lock.Layer{}, fmt.Errorf("reading forge-init: %w", err)
	}
	if sum := sumOf(raw); sum != p.Lock.Init.SHA256 {
		return lock.Layer{}, &InitError{File: file, Found: sum, Locked: p.Lock.Init.SHA256}
	}
	l, _, err := indexed(b.Store, b.codec(p), func(w *layer.Writer) error {
		return w.Add(layer.Header{Path: start.InitPath[1:], Type: layer.Regular, Mode: 0o755, Size: int64(len(raw)), Owner: "forge"}, bytes.NewReader(raw), nil)
	})
	return l, err
}

// InitError is a forge-init that is not the locked one.
type InitError struct{ File, Found, Locked string }

func (e *InitError) Error() string {
	return fmt.Sprintf("forge-init %q has sha256 %s, the lock states %s", e.File, e.Found, e.Locked)
}

// Hint says what to do.
func (e *InitError) Hint() string {
	return "make build with the pinned toolchain makes the locked one; forge lock takes this one"
}

// entry is an entry of a layer that forge makes. The content of a regular file is content, or
// lies in the file that open opens: one of the recipe's folder may be larger than memory.
type entry struct {
	layer.Header
	content []byte
	open    func() (*os.File, error)
}

// settingsLayer holds what depends on the recipe: environments' skeletons, accounts,
// writable folders, and what the image knows of itself.
func (b *Builder) settingsLayer(p *Plan, made []convert.Made, below *base.Image) (lock.Layer, error) {
	var es []entry
	file := func(name string, mode int64, content []byte) {
		es = append(es, entry{Header: layer.Header{Path: name, Type: layer.Regular, Mode: mode, Size: int64(len(content)), Owner: "forge"}, content: content})
	}
	link := func(name, to string) {
		es = append(es, entry{Header: layer.Header{Path: name, Type: layer.Symlink, Mode: 0o777, Link: to, Owner: "forge"}})
	}
	dir := func(name string, mode int64, uid int) {
		es = append(es, entry{Header: layer.Header{Path: strings.Trim(name, "/"), Type: layer.Dir, Mode: mode, UID: uid, Owner: "forge"}})
	}
	envs := []string{"opt/venv"}
	for _, e := range p.Image.Environments {
		envs = append(envs, "opt/envs/"+e.Name)
	}
	py := p.Lock.Python
	for _, v := range envs {
		file(v+"/pyvenv.cfg", 0o644, []byte(fmt.Sprintf("home = %s\ninclude-system-site-packages = false\nversion = %s\n", path.Dir(py.Interpreter), cmp.Or(py.Full, py.Version))))
		link(v+"/bin/python", py.Interpreter)
		link(v+"/bin/python3", "python")
		link(v+"/bin/python"+py.Version, "python")
	}
	config, err := p.Start.Encode()
	if err != nil {
		return lock.Layer{}, err
	}
	file(start.ConfigPath[1:], 0o644, config)
	removed := []convert.Removed{}
	for _, m := range made {
		removed = append(removed, m.Removed...)
	}
	raw, err := json.MarshalIndent(removed, "", " ")
	if err != nil {
		return lock.Layer{}, err
	}
	file("usr/lib/forge/removed.json", 0o644, append(raw, '\n'))
	if p.Lock.Debian != nil {
		passwd, group, shadow, err := debian.Accounts(p.Image.User.Name, p.Image.User.UID, p.Image.User.Groups)
		if err != nil {
			return lock.Layer{}, err
		}
		file("etc/passwd", 0o644, passwd)
		file("etc/group", 0o644, group)
		file("etc/shadow", 0o640, shadow)
		file("etc/nsswitch.conf", 0o644, []byte("passwd: files\ngroup: files\nshadow: files\nhosts: files dns\n"))
	}
	if below != nil {
		accounts, err := below.Accounts(p.Image.User.Name, p.Image.User.UID, p.Image.User.Groups, path.Join(p.Image.Writable[0], "home"))
		if err != nil {
			return lock.Layer{}, err
		}
		for _, a := range accounts {
			es = append(es, entry{Header: layer.Header{Path: a.Path, Type: layer.Regular, Mode: a.Mode, GID: a.GID, Size: int64(len(a.Content)), Owner: "forge"}, content: a.Content})
		}
	}
	dir("tmp", 0o1777, 0)
	for _, w := range p.Image.Writable {
		dir(w, 0o775, p.Image.User.UID)
		if w == p.Image.Writable[0] {
			for _, c := range caches {
				dir(path.Join(w, c), 0o775, p.Image.User.UID)
			}
		}
	}
	if w := p.Image.Workdir; w != "" && w != "/" {
		dir(w, 0o755, 0)
	}
	sort.SliceStable(es, func(i, j int) bool { return es[i].Path < es[j].Path })
	l, _, err := indexed(b.Store, b.codec(p), func(w *layer.Writer) error { return addAll(w, es) })
	return l, err
}

func addAll(w *layer.Writer, es []entry) error {
	for i, e := range es {
		if i > 0 && es[i-1].Path == e.Path && e.Type == layer.Dir {
			continue
		}
		if err := e.add(w); err != nil {
			return err
		}
	}
	return nil
}

func (e *entry) add(w *layer.Writer) error {
	switch {
	case e.Type != layer.Regular:
		return w.Add(e.Header, nil, nil)
	case e.open == nil:
		return w.Add(e.Header, bytes.NewReader(e.content), nil)
	}
	f, err := e.open()
	if err != nil {
		return err
	}
	defer f.Close() // only read
	return w.Add(e.Header, f, nil)
}

// copyLayer holds a file or folder of the recipe's folder: root-owned, 0644 or 0755. It says
// which files these are.
func (b *Builder) copyLayer(p *Plan, from, to string) (lock.Layer, []Copied, error) {
	root, err := os.OpenRoot(b.Dir)
	if err != nil {
		return lock.Layer{}, nil, fmt.Errorf("copying: %w", err)
	}
	defer root.Close()
	ignore, err := ignored(root)
	if err != nil {
		return lock.Layer{}, nil, err
	}
	var es []entry
	var copied []Copied
	to = strings.Trim(to, "/")
	from = path.Clean(from)
	err = fs.WalkDir(root.FS(), from, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		skip, err := ignore.MatchesOrParentMatches(filepath.FromSlash(name))
		if err != nil || (skip && !d.IsDir()) {
			return err
		}
		if d.IsDir() && b.isOutput(root, name) {
			return fs.SkipDir // else a second build would hold the first
		}
		target := to
		if name != from {
			target = path.Join(to, strings.TrimPrefix(name, from+"/"))
		}
		switch {
		case d.IsDir():
			es = append(es, entry{Header: layer.Header{Path: target, Type: layer.Dir, Mode: 0o755, Owner: "recipe"}})
		case d.Type()&fs.ModeSymlink != 0:
			link, err := root.Readlink(name)
			if err != nil {
				return err
			}
			if path.IsAbs(link) || strings.HasPrefix(path.Join(path.Dir(name), link), "..") {
				return fmt.Errorf("%q is a link that leaves the recipe's folder", name)
			}
			es = append(es, entry{Header: layer.Header{Path: target, Type: layer.Symlink, Mode: 0o777, Link: link, Owner: "recipe"}})
		case d.Type().IsRegular():
			info, err := d.Info()
			if err != nil {
				return err
			}
			mode := int64(0o644)
			if info.Mode()&0o111 != 0 {
				mode = 0o755
			}
			open := func() (*os.File, error) { return root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0) } // nor wait if it has become a pipe
			es = append(es, entry{Header: layer.Header{Path: target, Type: layer.Regular, Mode: mode, Size: info.Size(), Owner: "recipe"}, open: open})
			copied = append(copied, Copied{File: name, To: "/" + target})
		default:
			return fmt.Errorf("%q is neither file, folder nor link", name)
		}
		return nil
	})
	if err != nil {
		return lock.Layer{}, nil, fmt.Errorf("copying %q: %w", from, err)
	}
	sort.SliceStable(es, func(i, j int) bool { return es[i].Path < es[j].Path })
	l, ix, err := indexed(b.Store, b.codec(p), func(w *layer.Writer) error { return addAll(w, es) })
	if err != nil {
		return lock.Layer{}, nil, fmt.Errorf("copying %q: %w", from, err)
	}
	sums := map[string]string{}
	for i := range ix.Entries {
		sums["/"+ix.Entries[i].Path] = ix.Entries[i].SHA256
	}
	for i := range copied {
		copied[i].SHA256 = sums[copied[i].To]
	}
	return l, copied, nil
}

// isOutput says whether a folder of the recipe's is where this build writes images to.
func (b *Builder) isOutput(root *os.Root, name string) bool {
	here, err := root.Stat(name)
	if err != nil || b.Output == "" {
		return false
	}
	out, err := os.Stat(b.Output)
	return err == nil && os.SameFile(here, out)
}

func ignored(root *os.Root) (*patternmatcher.PatternMatcher, error) {
	f, err := root.Open(".dockerignore")
	if errors.Is(err, fs.ErrNotExist) {
		return patternmatcher.New(nil)
	}
	if err != nil {
		return nil, fmt.Errorf("reading .dockerignore: %w", err)
	}
	defer f.Close()
	lines, err := ignorefile.ReadAll(io.LimitReader(f, 1<<20))
	if err != nil {
		return nil, fmt.Errorf("reading .dockerignore: %w", err)
	}
	m, err := patternmatcher.New(lines)
	if err != nil {
		return nil, fmt.Errorf("reading .dockerignore: %w", err)
	}
	return m, nil
}
