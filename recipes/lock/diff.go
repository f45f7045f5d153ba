package lock

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"sort"
	"strings"
)

// Change is one value that differs: empty Was means it is new, empty Is that it
// is gone.
type Change struct {
	What string `json:"what"` // "pytorch.version", "wheel numpy", "layer os"
	Was  string `json:"was,omitempty"`
	Is   string `json:"is,omitempty"`
}

func (c Change) String() string {
	switch {
	case c.Was == "":
		return fmt.Sprintf("+ %s: %s", c.What, c.Is)
	case c.Is == "":
		return fmt.Sprintf("- %s: %s", c.What, c.Was)
	}
	return fmt.Sprintf("~ %s: %s → %s", c.What, c.Was, c.Is)
}

// Stale compares what the recipe says now with what it said when the image was
// locked. Nothing means that the lock fits.
func (im *Image) Stale(inputs map[string]string) []Change { return Compare(im.Inputs, inputs) }

// Diff lists what differs between two locked images, in a fixed order: inputs,
// interpreter, what was derived, packages, wheels, layers.
func Diff(a, b *Image) []Change {
	out := Compare(prefixed("recipe ", a.Inputs), prefixed("recipe ", b.Inputs))
	out = append(out, Compare(a.facts(), b.facts())...)
	out = append(out, Compare(a.debs(), b.debs())...)
	out = append(out, Compare(a.wheels(), b.wheels())...)
	return append(out, Compare(a.layers(), b.layers())...)
}

// Rest lists every value that differs between two locked images by its place in the document,
// "wheels[3].size", those that Diff passes over among them.
func Rest(a, b *Image) ([]Change, error) {
	was, is := map[string]string{}, map[string]string{}
	for im, values := range map[*Image]map[string]string{a: was, b: is} {
		raw, err := json.Marshal(im)
		if err != nil {
			return nil, err
		}
		var v any
		if err := json.Unmarshal(raw, &v); err != nil {
			return nil, err
		}
		leaves("", v, values)
	}
	return Compare(was, is), nil
}

// leaves adds the values of a document by their places.
func leaves(place string, v any, values map[string]string) {
	switch v := v.(type) {
	case map[string]any:
		for k, x := range v {
			leaves(strings.TrimPrefix(place+"."+k, "."), x, values)
		}
	case []any:
		for i, x := range v {
			leaves(fmt.Sprintf("%s[%d]", place, i), x, values)
		}
	case float64: // a size, exact up to 2⁵³
		values[place] = fmt.Sprintf("%.0f", v)
	default:
		values[place] = fmt.Sprint(v)
	}
}

func (im *Image) facts() map[string]string {
	m := map[string]string{
		"platform": im.Platform, "created": im.Created, "as of": im.AsOf, "forge-init": im.Init.SHA256,
		"python": im.Python.Version + " " + im.Python.Full + " " + im.Python.Interpreter,
		"CUDA":   im.Derived.CUDA, "minimum driver": im.Derived.Driver, "recommended driver": im.Derived.Recommended,
		"torch": im.Derived.Torch, "GLIBC": im.Derived.GLIBC,
		"SM":         im.code(),
		"PTX":        strings.Join(im.Derived.PTX, " "),
		"GPU wheels": strings.Join(im.Derived.GPUWheels, ", "),
		"compressed": fmt.Sprint(im.Derived.Compressed), "unpacked": fmt.Sprint(im.Derived.Unpacked), "removed": fmt.Sprint(im.Derived.Removed),
	}
	if im.Base != nil {
		m["base"], m["base CUDA"] = im.Base.Manifest, im.Base.CUDA
		m["base libraries"] = fmt.Sprintf("%s, libstdc++ %s, libz %s", im.Base.Libc, im.Base.Libstdcxx, im.Base.Libz)
		m["base variables"] = fmt.Sprint(im.Base.Env)
	}
	return m
}

// code names the GPUs that the image has code for: unknown, when it has CUDA and no table
// tells.
func (im *Image) code() string {
	if im.Derived.CUDA != "" && len(im.Derived.SM) == 0 {
		return "unknown"
	}
	return strings.Join(im.Derived.SM, " ")
}

func (im *Image) debs() map[string]string {
	m := map[string]string{}
	if im.Debian == nil {
		return m
	}
	for _, a := range im.Debian.Archives {
		m["archive "+a.Name+" "+a.Suite] = a.InRelease[:min(len(a.InRelease), 12)] + " of " + a.Date
	}
	for _, d := range im.Debian.Packages {
		m["package "+d.Name] = d.Version + " " + d.SHA256[:12]
	}
	return m
}

func (im *Image) wheels() map[string]string {
	m := map[string]string{}
	for _, w := range im.Wheels {
		key := "wheel " + w.Name
		if w.Environment != "" {
			key += " (" + w.Environment + ")"
		}
		m[key] = w.Version + " " + w.SHA256[:12]
	}
	return m
}

func (im *Image) layers() map[string]string {
	m := map[string]string{}
	if im.Base != nil {
		for _, l := range im.Base.Layers {
			m["layer "+l.Name] = l.DiffID
		}
	}
	for _, l := range im.Layers {
		m["layer "+l.Name] = l.DiffID
		for _, codec := range slices.Sorted(maps.Keys(l.Blobs)) {
			m["layer "+l.Name+" "+codec] = l.Blobs[codec].Digest
		}
	}
	return m
}

func prefixed(p string, m map[string]string) map[string]string {
	out := make(map[string]string, len(m))
	for k, v := range m {
		out[p+k] = v
	}
	return out
}

// Compare lists what differs between two sets of named values, sorted by name.
func Compare(was, is map[string]string) []Change {
	var out []Change
	for k, v := range was {
		if w, ok := is[k]; !ok || w != v {
			out = append(out, Change{k, v, w})
		}
	}
	for k, v := range is {
		if _, ok := was[k]; !ok {
			out = append(out, Change{k, "", v})
		}
	}
	sort.Slice(out, func(i, j int) bool { return out[i].What < out[j].What })
	return out
}
