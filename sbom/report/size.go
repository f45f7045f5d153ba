package report

import (
	"cmp"
	"fmt"
	"strings"
)

// sizes is the section of sizes.
type sizes struct {
	Sentence     string
	Wide, Narrow *drawing
	Legend       []legend
	Layers       []part
}

type drawing struct {
	W, H   int
	Narrow bool
	Label  string
	Tiles  []tile
}

type legend struct{ Group, Title, Size string }

// groups are the colours of the treemap, in the order of the legend.
var groups = []struct{ group, title string }{
	{"gpu", "NVIDIA libraries"}, {"torch", "PyTorch"}, {"python", "other Python packages"}, {"os", "operating system"},
	{"base", "other files of layers"}, {"app", "application"}, {"forge", "forge and settings"},
}

// group decides a tile's colour.
func group(l Layer, kind, name string) string {
	if l.Kind == "other" { // the package decides
		l.Kind = map[string]string{"python": "wheels", "deb": "debian", "apk": "debian", "rpm": "debian"}[kind]
		if l.Kind == "" {
			l.Kind = "base"
		}
	}
	switch l.Kind {
	case "debian":
		return "os"
	case "base":
		return "base"
	case "copy", "run":
		return "app"
	case "wheels", "bytecode":
		switch {
		case strings.HasPrefix(name, "nvidia-"), strings.HasPrefix(name, "cuda-"):
			return "gpu"
		case name == "torch", name == "triton", strings.HasPrefix(name, "torch"), strings.HasPrefix(name, "pytorch-"):
			return "torch"
		}
		return "python"
	}
	return "forge"
}

func (r *Report) sizes() sizes {
	s := sizes{Layers: r.layerTable()}
	in := map[string][]Package{}
	for _, p := range r.Packages {
		if p.Parent == "" && p.Size > 0 {
			in[p.Layer] = append(in[p.Layer], p)
		}
	}
	var blocks []block
	sums := map[string]int64{}
	for _, l := range r.Layers {
		b := block{label: show(l.Name), bytes: cmp.Or(l.Unpacked, l.Size), group: group(l, "", strings.SplitN(l.Name, " ", 2)[0])}
		b.detail = fmt.Sprintf("layer %s: %s on disk, %s to download", b.label, size(b.bytes), size(l.Size))
		rest := b.bytes
		for _, p := range in[l.Name] {
			if p.Size > rest {
				continue // what a package claims is never more than its layer holds
			}
			rest -= p.Size
			part := block{label: show(p.Name), bytes: p.Size, group: group(l, p.Kind, p.Name)}
			part.detail = fmt.Sprintf("%s %s: %s on disk, in layer %s", part.label, show(p.Version), size(p.Size), b.label)
			b.parts = append(b.parts, part)
			sums[part.group] += p.Size
		}
		sums[b.group] += rest
		switch {
		case len(b.parts) == 1:
			b.label, b.group, b.parts = b.parts[0].label, b.parts[0].group, nil
		case len(b.parts) > 1 && rest > 0:
			b.parts = append(b.parts, block{label: "other files", detail: "files of layer " + b.label + " that belong to no package: " + size(rest), bytes: rest, group: b.group})
		}
		blocks = append(blocks, b)
	}
	for _, g := range groups {
		if n := sums[g.group]; n > 0 {
			s.Legend = append(s.Legend, legend{g.group, g.title, size(n)})
		}
	}
	s.Sentence = fmt.Sprintf("Moving the image to a new machine takes %s; unpacked it takes %s. In the picture areas are bytes on disk: each box is a layer or a package, boxes within an outline share a layer.", size(r.Image.Compressed), size(r.Image.Unpacked))
	if len(s.Legend) == 0 {
		return s
	}
	label := "Treemap of layers and packages by size on disk; the table below has the numbers"
	s.Wide = &drawing{1040, 460, false, label, treemap(blocks, 1040, 460)}
	s.Narrow = &drawing{400, 560, true, label, treemap(blocks, 400, 560)}
	return s
}

// layerTable is folded where it is long: the picture tells the most of it.
func (r *Report) layerTable() []part {
	t := &table{Caption: "The layers, the lowest first", Head: []column{{"Layer", ""}, {"Holds", ""}, {"To download", "num"}, {"Share", "bars"}, {"On disk", "num"}, {"Digest", ""}}}
	var most int64
	for _, l := range r.Layers {
		most = max(most, l.Size)
	}
	holds := map[string][]string{}
	for _, p := range r.Packages {
		if p.Parent == "" {
			holds[p.Layer] = append(holds[p.Layer], p.Name)
		}
	}
	for i, l := range r.Layers {
		if i == mostLayers {
			t.Caption += "; " + thousands(int64(len(r.Layers)-mostLayers)) + " more stand in the JSON document"
			break
		}
		unpacked := "not known"
		if l.Unpacked > 0 {
			unpacked = size(l.Unpacked)
		}
		what := several(holds[l.Name], 4)
		if names := holds[l.Name]; len(names) == 0 || len(names) == 1 && strings.HasPrefix(l.Name, names[0]) {
			what = kinds[l.Kind]
		}
		t.Rows = append(t.Rows, []cell{{Text: show(l.Name)}, {Text: what}, {Text: size(l.Size), Class: "num"}, bar(l.Size, most), {Text: unpacked, Class: "num"}, {Text: short(l.Digest), Class: "mono"}})
	}
	if len(t.Rows) > 10 {
		return []part{{Folded: "Show the " + thousands(int64(len(r.Layers))) + " layers", Table: t}}
	}
	return []part{{Table: t}}
}

// kinds says what a layer of each kind is.
var kinds = map[string]string{
	"debian": "Debian packages", "base": "the base image's", "wheels": "Python package", "bytecode": "compiled Python modules, for faster starts",
	"init": "forge-init, which checks GPU and driver at the start", "settings": "users, folders and settings", "copy": "files of the application", "run": "what a step of the recipe made",
}

func bar(part, all int64) cell {
	c := cell{Bar: part > 0, Class: "bars"}
	if all > 0 {
		c.Share = float64(1000*part/all) / 10
	}
	return c
}
