package base

import (
	"encoding/json"
	"fmt"
	"path"
	"slices"
	"sort"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/forge-build/forge/builder/layer"
	"github.com/forge-build/forge/recipes"
)

// exact reads a manifest as a reader does that knows keys by their exact spelling.
func exact(raw []byte) (out []string) {
	var doc map[string]any
	if json.Unmarshal(raw, &doc) != nil {
		return nil
	}
	list := func(v any) []any {
		if one, ok := v.(map[string]any); ok {
			return []any{one}
		}
		many, _ := v.([]any)
		return many
	}
	for _, key := range []string{"config", "layers", "manifests"} {
		for _, d := range list(doc[key]) {
			m, _ := d.(map[string]any)
			digest, _ := m["digest"].(string)
			out = append(out, key+" "+digest)
		}
	}
	return out
}

// FuzzManifest: what is accepted means the same to a reader that tells case apart.
func FuzzManifest(f *testing.F) {
	digest := "sha256:" + strings.Repeat("a", 64)
	good := fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"config":{"mediaType":%q,"digest":%q,"size":2},"layers":[{"mediaType":%q,"digest":%q,"size":9,"annotations":{"Digest":"x"}}]}`,
		manifestTypes[0], configTypes[0], digest, gz, digest)
	f.Add([]byte(good))
	f.Add([]byte(fmt.Sprintf(`{"schemaVersion":2,"manifests":[{"mediaType":%q,"digest":%q,"size":9,"platform":{"os":"linux","architecture":"amd64"}}]}`, manifestTypes[0], digest)))
	f.Add([]byte(strings.Replace(good, `"size":9`, `"size":9,"Digest":"sha256:b"`, 1)))
	f.Add([]byte(strings.Replace(good, `"config":`, `"Config":{},"config":`, 1)))
	f.Add([]byte(`{"schemaVersion":1,"fsLayers":[]}`))
	r := &reader{im: &recipes.Image{Platform: "linux/amd64"}, from: "test"}
	f.Fuzz(func(t *testing.T, raw []byte) {
		m, err := r.parse(raw, digest, "")
		if err != nil {
			return
		}
		var got []string
		if m.Config != nil {
			got = append(got, "config "+m.Config.Digest)
		}
		for _, d := range m.Layers {
			got = append(got, "layers "+d.Digest)
		}
		for _, d := range m.Manifests {
			got = append(got, "manifests "+d.Digest)
		}
		if d := cmp.Diff(exact(raw), got); d != "" {
			t.Errorf("two readers see different images in %q:\n%s", raw, d)
		}
		for _, d := range m.Layers {
			if r.descriptor(d) == nil && (len(d.Digest) != 71 || d.Size < 0) {
				t.Errorf("accepted: %+v", d)
			}
		}
		_, _ = r.choose(m) // it must not panic
	})
}

func TestKeysInAnotherCaseAreRefused(t *testing.T) {
	digest := "sha256:" + strings.Repeat("a", 64)
	r := &reader{im: &recipes.Image{Platform: "linux/amd64"}, from: "test"}
	for doc, ok := range map[string]bool{
		`{"schemaVersion":2,"config":{"digest":"x"},"layers":[{"digest":"y","annotations":{"Digest":"z"}}],"annotations":{"Layers":""}}`: true,
		`{"schemaVersion":2,"config":{"digest":"x"},"layers":[{"digest":"y","Digest":"z"}]}`:                                             false,
		`{"schemaVersion":2,"config":{"Digest":"x"},"layers":[{"digest":"y"}]}`:                                                          false,
		`{"schemaVersion":2,"manifests":[{"digest":"y","platform":{"os":"linux","OS":"plan9"}}]}`:                                        false,
		`{"schemaVersion":2,"Layers":[],"layers":[{"digest":"y"}]}`:                                                                      false,
	} {
		if _, err := r.parse([]byte(doc), digest, ""); (err == nil) != ok {
			t.Errorf("%s: %v", doc, err)
		}
	}
	c := new(config)
	if err := r.strict([]byte(`{"os":"linux","rootfs":{"type":"layers","diff_ids":["a"],"Diff_IDs":["b"]}}`), digest, c, configShape); err == nil {
		t.Error("a config with two lists of diffIDs is accepted")
	}
	if err := r.strict([]byte(`{"os":"linux","config":{"Env":[],"Labels":{"OS":"x","env":"y"}}}`), digest, c, configShape); err != nil {
		t.Errorf("labels are anybody's: %v", err)
	}
}

// node is a file of the model, which applies layers as a person would with mkdir and rm.
type node struct {
	typ   layer.Type
	link  string
	files map[string]*node // of a folder
}

func folder() *node { return &node{typ: layer.Dir, files: map[string]*node{}} }

// find walks to the folder of a path; make adds what is not there.
func (n *node) find(p string, make bool) (*node, string) {
	dir, name := path.Split(p)
	for _, part := range strings.Split(strings.Trim(dir, "/"), "/") {
		if part == "" {
			continue
		}
		next := n.files[part]
		if (next == nil || next.typ != layer.Dir) && !make {
			return nil, name
		}
		if next == nil || next.typ != layer.Dir {
			next = folder()
			n.files[part] = next
		}
		n = next
	}
	return n, name
}

func (n *node) apply(entries []entry) {
	for _, e := range entries {
		if e.Type == layer.Opaque && e.Path == "." {
			n.files = map[string]*node{}
		} else if dir, name := n.find(e.Path, false); dir != nil && e.Type == layer.Whiteout {
			delete(dir.files, name)
		} else if dir != nil && e.Type == layer.Opaque && dir.files[name] != nil && dir.files[name].typ == layer.Dir {
			dir.files[name].files = map[string]*node{}
		}
	}
	for _, e := range entries {
		if e.Type == layer.Whiteout || e.Type == layer.Opaque {
			continue
		}
		dir, name := n.find(e.Path, true)
		old := dir.files[name]
		switch {
		case e.Type == layer.Dir && old != nil && old.typ == layer.Dir:
		case e.Type == layer.Dir:
			dir.files[name] = folder()
		case e.Type == layer.Hardlink:
			of, at := n.find(e.Link, false)
			dir.files[name] = of.files[at]
		default:
			dir.files[name] = &node{typ: e.Type, link: e.Link}
		}
	}
}

func (n *node) list(at string, out *[]string) {
	for name, f := range n.files {
		p := path.Join(at, name)
		*out = append(*out, fmt.Sprintf("%s %s %s", p, f.typ, f.link))
		if f.typ == layer.Dir {
			f.list(p, out)
		}
	}
}

// layersOf makes layers from bytes, such as layer.Read lets pass: a path once, nothing below
// a file of the same layer, hard links to files before them.
func layersOf(raw []byte) (out [][]entry) {
	types := []layer.Type{layer.Regular, layer.Dir, layer.Symlink, layer.Hardlink, layer.Whiteout, layer.Opaque, layer.Regular, layer.Dir}
	names := []string{"a", "b", "c", "dd"}
	var now []entry
	kinds := map[string]layer.Type{}
	for ; len(raw) >= 2; raw = raw[2:] {
		if raw[0]&0xf0 == 0xf0 {
			out, now, kinds = append(out, now), nil, map[string]layer.Type{}
			continue
		}
		typ := types[raw[0]&7]
		parts := []string{names[raw[1]&3], names[raw[1]>>2&3], names[raw[1]>>4&3]}[:1+int(raw[0]>>4)%3]
		e := entry{Path: strings.Join(parts, "/"), Type: typ}
		ok := kinds[e.Path] == ""
		for dir := path.Dir(e.Path); dir != "."; dir = path.Dir(dir) {
			ok = ok && (kinds[dir] == "" || kinds[dir] == layer.Dir || kinds[dir] == layer.Opaque)
		}
		for p := range kinds {
			ok = ok && (!strings.HasPrefix(p, e.Path+"/") || typ == layer.Dir || typ == layer.Opaque)
		}
		switch typ {
		case layer.Symlink:
			e.Link = names[raw[0]>>3&1]
		case layer.Hardlink:
			i := slices.IndexFunc(now, func(o entry) bool { return o.Type == layer.Regular })
			if ok = ok && i >= 0; ok {
				e.Link = now[i].Path
			}
		}
		if ok {
			kinds[e.Path] = typ
			now = append(now, e)
		}
	}
	return append(out, now)
}

// FuzzTree compares the merged tree with the model (OCI-04).
func FuzzTree(f *testing.F) {
	f.Add([]byte{0x10, 0x04, 0x02, 0x01, 0xf0, 0, 0x04, 0, 0x20, 0x1b, 0x03, 0x02})
	f.Add([]byte{0x21, 0x1b, 0x00, 0x01, 0xf0, 0, 0x15, 0x04, 0x20, 0x1b, 0xf0, 0, 0x00, 0x00})
	f.Add([]byte{0x02, 0x00, 0xf0, 0, 0x10, 0x04})
	f.Fuzz(func(t *testing.T, raw []byte) {
		if len(raw) > 200 {
			return
		}
		merged, model := newTree("test"), folder()
		for n, entries := range layersOf(raw) {
			if err := merged.apply(n, &record{Entries: entries}); err != nil {
				if !through(model, entries) {
					t.Errorf("refused, and no path of %v lies below a file: %v", entries, err)
				}
				return
			}
			model.apply(entries)
		}
		var want, got []string
		model.list("", &want)
		for _, p := range merged.paths() {
			e := merged.nodes[p]
			got = append(got, fmt.Sprintf("%s %s %s", p, e.Type, e.Link))
			_, _ = merged.resolve(p) // it must end
		}
		sort.Strings(want)
		sort.Strings(got)
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%v:\n%s", layersOf(raw), d)
		}
	})
}

// through says whether a path of a layer lies below something that is no folder in the layers
// below it, whether the layer removes it or not.
func through(model *node, entries []entry) bool {
	for _, e := range entries {
		n := model
		for _, part := range strings.Split(path.Dir(e.Path), "/") {
			if n = n.files[part]; n == nil {
				break
			}
			if n.typ != layer.Dir {
				return true
			}
		}
	}
	return false
}
