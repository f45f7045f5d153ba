package manifests

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// The bounds of a list.
const (
	MaxBytes  = 16 << 20
	MaxImages = 100_000
	maxDepth  = 100
)

// Image is an image that a list names.
type Image struct {
	Name  string
	Place string // line 12, or "Deployment train, line 30"
}

// Read finds the images of a list.
func Read(raw []byte) ([]Image, error) {
	if len(raw) > MaxBytes {
		return nil, fmt.Errorf("the list is larger than %d bytes", MaxBytes)
	}
	if !utf8.Valid(raw) {
		return nil, errors.New("the list is not valid UTF-8")
	}
	f := &found{seen: map[string]bool{}}
	var err error
	if plain(raw) {
		err = f.lines(raw)
	} else {
		err = f.documents(raw)
	}
	if err == nil && len(f.images) == 0 {
		err = errors.New("the list names no image")
	}
	if err != nil {
		return nil, err
	}
	return f.images, nil
}

// plain says whether the text is one reference a line: none of its lines has what every
// manifest has.
func plain(raw []byte) bool {
	for l := range bytes.Lines(raw) {
		l = bytes.TrimSpace(l)
		if bytes.HasPrefix(l, []byte("#")) {
			continue
		}
		if bytes.HasPrefix(l, []byte("{")) || bytes.HasPrefix(l, []byte("[")) || bytes.HasPrefix(l, []byte("---")) || bytes.Contains(l, []byte(": ")) || bytes.HasSuffix(l, []byte(":")) {
			return false
		}
	}
	return true
}

type found struct {
	images []Image
	seen   map[string]bool
}

func (f *found) add(name, place string) error {
	if name == "" || strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r == 0x7f }) {
		return fmt.Errorf("%s: %+q is no image", place, name[:min(len(name), 120)])
	}
	if f.seen[name] {
		return nil
	}
	if len(f.images) == MaxImages {
		return fmt.Errorf("%s: more than %d images", place, MaxImages)
	}
	f.seen[name] = true
	f.images = append(f.images, Image{name, place})
	return nil
}

// lines reads one reference a line; # begins a comment.
func (f *found) lines(raw []byte) error {
	n := 0
	for l := range strings.Lines(string(raw)) {
		n++
		if i := strings.IndexByte(l, '#'); i >= 0 {
			l = l[:i]
		}
		if l = strings.TrimSpace(l); l == "" {
			continue
		}
		if err := f.add(l, fmt.Sprintf("line %d", n)); err != nil {
			return err
		}
	}
	return nil
}

// documents reads YAML, of which JSON is a part.
func (f *found) documents(raw []byte) error {
	dec := yaml.NewDecoder(bytes.NewReader(raw))
	for n := 1; ; n++ {
		var doc yaml.Node
		err := dec.Decode(&doc)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("document %d: %w", n, err)
		}
		if len(doc.Content) == 0 {
			continue
		}
		top := doc.Content[0]
		if top.Kind == yaml.ScalarNode && top.Tag == "!!null" {
			continue
		}
		if top.Kind != yaml.MappingNode && top.Kind != yaml.SequenceNode {
			return fmt.Errorf("document %d, line %d: neither a manifest nor a list of images", n, top.Line)
		}
		if err := f.walk(top, "", 0); err != nil {
			return err
		}
	}
}

// walk looks for images. of names the resource they are in.
func (f *found) walk(node *yaml.Node, of string, depth int) error {
	if depth > maxDepth {
		return fmt.Errorf("line %d: nested deeper than %d", node.Line, maxDepth)
	}
	switch node.Kind {
	case yaml.AliasNode:
		return fmt.Errorf("line %d: an alias; write the manifest out", node.Line)
	case yaml.SequenceNode:
		for _, item := range node.Content {
			if err := f.walk(item, of, depth+1); err != nil {
				return err
			}
		}
	case yaml.MappingNode:
		if name := named(node); name != "" {
			of = name
		}
		for i := 0; i+1 < len(node.Content); i += 2 {
			key, v := node.Content[i], node.Content[i+1]
			if err := f.key(key.Value, v, of, depth); err != nil {
				return err
			}
		}
	}
	return nil
}

// key looks at one key of a mapping.
func (f *found) key(key string, v *yaml.Node, of string, depth int) error {
	if key == "image" && v.Kind == yaml.ScalarNode && v.Tag != "!!null" {
		return f.add(v.Value, where(of, v.Line))
	}
	if key == "image" && v.Kind == yaml.MappingNode { // an image volume's
		for i := 0; i+1 < len(v.Content); i += 2 {
			if r := v.Content[i+1]; v.Content[i].Value == "reference" && r.Kind == yaml.ScalarNode {
				return f.add(r.Value, where(of, r.Line))
			}
		}
	}
	return f.walk(v, of, depth+1)
}

func where(of string, line int) string {
	if of == "" {
		return fmt.Sprintf("line %d", line)
	}
	return fmt.Sprintf("%s, line %d", of, line)
}

// named is the kind and name of a resource, or "".
func named(node *yaml.Node) string {
	kind, name := "", ""
	for i := 0; i+1 < len(node.Content); i += 2 {
		key, v := node.Content[i].Value, node.Content[i+1]
		switch {
		case key == "kind" && v.Kind == yaml.ScalarNode:
			kind = v.Value
		case key == "metadata" && v.Kind == yaml.MappingNode:
			for k := 0; k+1 < len(v.Content); k += 2 {
				if v.Content[k].Value == "name" {
					name = v.Content[k+1].Value
				}
			}
		}
	}
	if kind == "" {
		return ""
	}
	return strings.TrimSpace(kind + " " + name)
}
