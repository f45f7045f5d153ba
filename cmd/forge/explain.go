package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/forge-build/forge/builder"
	"github.com/forge-build/forge/builder/convert"
	"github.com/forge-build/forge/recipes"
	"github.com/forge-build/forge/recipes/lock"
	"github.com/forge-build/forge/recipes/requirements"
)

func newExplain(t *terminal) *cobra.Command {
	var o selection
	c := &cobra.Command{
		Use:   "explain RECIPE NAME",
		Short: "Explain why a wheel, package, layer, file or minimum driver is in the image",
		Long: `Explain reads the lock and says of a wheel, a Debian package, a layer, or of
"driver" and "cuda", why it is there, who asked for it, and how big it is.

An absolute path is a file or folder of the image, and may be one that slim left out;
the name of a rule of slim says what it leaves out. For both, this machine must have
made the image's layers.`,
		Example: `  forge explain recipe.hcl nvidia-cublas-cu12
  forge explain recipe.hcl driver
  forge explain recipe.hcl /opt/venv/lib/python3.13/site-packages/torch/lib/libtorch_cpu.so
  forge explain recipe.hcl static-libraries`,
		Args: exactly("RECIPE", "NAME"),
		RunE: func(c *cobra.Command, args []string) error { return runExplain(c.Context(), t, o, args[0], args[1]) },
	}
	o.flags(c)
	return c
}

// reason is the answer for one thing of one image.
type reason struct {
	Image   string      `json:"image"`
	What    string      `json:"what"`
	Facts   [][2]string `json:"facts"`
	Because []string    `json:"because,omitempty"` // chains from a request of the recipe down to it
}

func runExplain(ctx context.Context, t *terminal, o selection, path, name string) error {
	l, err := readLock(path, o)
	if err != nil {
		return err
	}
	var reasons []reason
	names := slimRules()
	inside := strings.HasPrefix(name, "/") || slices.Contains(names, name)
	for _, image := range imageNames(l) {
		if o.image != "" && image != o.image {
			continue
		}
		li := l.Images[image]
		found := explain(li, name)
		if inside {
			if found, err = explainInside(ctx, t, o.vars, path, name, image, li); err != nil {
				return err
			}
		}
		if len(found) == 0 && !inside {
			found = explainMade(o.vars, path, name, image, li)
		}
		for _, r := range found {
			r.Image = image
			reasons = append(reasons, r)
		}
		names = append(names, knownNames(li)...)
	}
	if len(reasons) == 0 && strings.HasPrefix(name, "/") {
		return usageError{fmt.Errorf("no locked layer of %s holds %q, and slim has not left it out", path, name)}
	}
	if len(reasons) == 0 {
		return usageError{fmt.Errorf("nothing in the lock of %s is called %q%s", path, name, nearest(name, names))}
	}
	if t.json {
		return t.document(reasons)
	}
	for _, r := range reasons {
		t.result("%s (image %s)", r.What, r.Image)
		for _, f := range r.Facts {
			t.result("  %-12s %s", f[0], f[1])
		}
		for _, b := range r.Because {
			t.result("  because      %s", b)
		}
	}
	return nil
}

// explainMade explains a layer that a build makes and no lock has, by its name in the plan.
func explainMade(vars []string, path, name, image string, li *lock.Image) []reason {
	if strings.HasSuffix(path, ".json") {
		return nil
	}
	file, err := loadRecipe(path, vars)
	if err != nil {
		return nil // what does not fit has no plan; the lock has been asked
	}
	images, err := chosen(file, image)
	if err != nil {
		return nil
	}
	p, err := builder.New(images[0], li)
	if err != nil {
		return nil
	}
	why := map[string]string{"init": "forge → starts every container, and checks driver and GPU", "settings": "forge → accounts, writable places, virtual environments, what the image knows of itself",
		"copy": "recipe → " + name, "run": "recipe → " + name}
	for _, l := range p.Layers {
		if l.Lock == nil && l.Name == name {
			return []reason{{What: "layer " + name, Facts: [][2]string{{"kind", l.Kind}, {"size", "known once it was built"}}, Because: []string{why[l.Kind]}}}
		}
	}
	return nil
}

// explainInside explains a path of an image, or a rule of slim. What the lock does not say
// is in the layers that this machine has made.
func explainInside(ctx context.Context, t *terminal, vars []string, path, name, image string, li *lock.Image) ([]reason, error) {
	if strings.HasSuffix(path, ".json") {
		return nil, usageError{fmt.Errorf("explaining %q: the recipe is needed, a lock does not say what slim does", name)}
	}
	s := selection{vars, image}
	file, images, err := s.load(path)
	if err != nil {
		return nil, err
	}
	if _, err := fitting(s, &lock.Lock{Images: map[string]*lock.Image{image: li}}, file, images[0]); err != nil {
		return nil, err
	}
	w, err := newWorkshop(t, file, true)
	if err != nil {
		return nil, err
	}
	c, err := knownContents(w.store, file.Dir, images[0], li)
	if err != nil {
		return nil, err
	}
	var r *reason
	if strings.HasPrefix(name, "/") {
		r, err = c.explainFile(ctx, w, name)
	} else {
		r = c.explainRule(name)
	}
	if err != nil {
		return nil, err
	}
	if r == nil && !c.all {
		return nil, unmadeError{fmt.Errorf("explaining %q: this machine has not made all layers of image %q", name, image)}
	}
	if r == nil {
		return nil, nil
	}
	return []reason{*r}, nil
}

func slimRules() []string {
	var names []string
	for _, r := range convert.Rules() {
		names = append(names, r.Name)
	}
	return names
}

func explain(li *lock.Image, name string) []reason {
	var out []reason
	switch strings.ToLower(name) {
	case "driver", "cuda":
		out = append(out, explainDriver(li))
	case "python":
		out = append(out, reason{What: "Python " + li.Python.Version, Facts: [][2]string{{"interpreter", li.Python.Interpreter}, {"version", li.Python.Full}}})
	}
	for _, w := range li.Wheels {
		if w.Name == requirements.Normalize(name) || w.File == name || strings.HasPrefix(w.SHA256, name) && len(name) >= 12 {
			out = append(out, explainWheel(li, w))
		}
	}
	if li.Debian != nil {
		for _, d := range li.Debian.Packages {
			if d.Name == name {
				out = append(out, explainDeb(li, d))
			}
		}
	}
	all := li.Layers
	if b := li.Base; b != nil {
		all = append(append([]lock.Layer{}, b.Layers...), all...)
		if name == "base" || name == b.Reference {
			out = append(out, explainBase(li))
		}
	}
	for _, layer := range all {
		if layer.Name == name || layer.DiffID == name || strings.TrimPrefix(layer.DiffID, "sha256:") == name {
			out = append(out, explainLayer(li, layer))
		}
	}
	return out
}

func explainWheel(li *lock.Image, w lock.Wheel) reason {
	r := reason{What: "wheel " + w.Name + " " + w.Version, Facts: [][2]string{
		{"file", w.File}, {"sha256", w.SHA256}, {"size", megabytes(w.Size)}, {"from", cmp.Or(w.Index, cmp.Or(w.Path, "the recipe's wheel block"))}, {"layer", layerOf(li, w.SHA256, w.Environment)},
	}}
	if w.Environment != "" {
		r.Facts = append(r.Facts, [2]string{"environment", w.Environment})
	}
	for _, n := range w.Notes {
		r.Facts = append(r.Facts, [2]string{"note", n})
	}
	asked := map[string][]string{}
	top := map[string]bool{}
	for _, x := range li.Wheels {
		if x.Environment == w.Environment {
			asked[x.Name], top[x.Name] = x.RequiredBy, x.Requested
		}
	}
	r.Because = chains(w.Name, asked, top, func(string) string { return "recipe" })
	return r
}

func explainDeb(li *lock.Image, d lock.Deb) reason {
	r := reason{What: "package " + d.Name + " " + d.Version, Facts: [][2]string{
		{"file", d.Path}, {"sha256", d.SHA256}, {"size", megabytes(d.Size)}, {"archive", d.Archive}, {"layer", layerOf(li, d.SHA256, "")},
	}}
	if d.Choice != "" {
		r.Facts = append(r.Facts, [2]string{"choice", d.Choice})
	}
	asked := map[string][]string{}
	top := map[string]bool{}
	for _, x := range li.Debian.Packages {
		asked[x.Name], top[x.Name] = x.RequiredBy, x.Requested
	}
	r.Because = chains(d.Name, asked, top, func(head string) string {
		if asksFor(li, head) {
			return "recipe"
		}
		return `base "debian"` // what every image on it has
	})
	return r
}

// asksFor says whether the recipe itself names a Debian package.
func asksFor(li *lock.Image, deb string) bool { return li.Inputs["base.packages: "+deb] != "" }

func explainLayer(li *lock.Image, l lock.Layer) reason {
	r := reason{What: "layer " + l.Name, Facts: [][2]string{{"kind", l.Kind}, {"diffID", l.DiffID}, {"unpacked", megabytes(l.Unpacked)}}}
	for _, codec := range []string{"zstd", "gzip", "tar"} {
		if b, ok := l.Blobs[codec]; ok {
			r.Facts = append(r.Facts, [2]string{codec, megabytes(b.Size) + " " + b.Digest})
		}
	}
	for _, w := range li.Wheels {
		if slices.Contains(l.Members, w.SHA256) && w.Environment == l.Environment {
			r.Facts = append(r.Facts, [2]string{"holds", w.Name + " " + w.Version})
		}
	}
	if li.Debian != nil && l.Kind == "debian" {
		for _, d := range li.Debian.Packages {
			r.Facts = append(r.Facts, [2]string{"holds", d.Name + " " + d.Version})
		}
	}
	return r
}

func explainBase(li *lock.Image) reason {
	b := li.Base
	r := reason{What: "base " + b.Reference, Facts: [][2]string{{"manifest", b.Manifest}, {"system", b.System}, {"python", li.Python.Full + " " + li.Python.Interpreter},
		{"libraries", fmt.Sprintf("%s, GLIBCXX %s, %s", b.Libc, cmp.Or(b.Libstdcxx, "none"), cmp.Or(b.Libz, "no libz"))}}}
	if b.Index != "" {
		r.Facts = append(r.Facts, [2]string{"index", b.Index})
	}
	if b.CUDA != "" {
		r.Facts = append(r.Facts, [2]string{"CUDA", b.CUDA})
	}
	for _, name := range b.Removed {
		r.Facts = append(r.Facts, [2]string{"removed", "variable " + name + ": it decides what programs load, is set from facts, or looks like a secret"})
	}
	for _, l := range b.Layers {
		r.Facts = append(r.Facts, [2]string{"layer", l.Name + ", " + megabytes(l.Unpacked) + " unpacked"})
	}
	r.Because = []string{"recipe → base \"image\""}
	return r
}

func explainDriver(li *lock.Image) reason {
	d := li.Derived
	if d.CUDA == "" && len(d.GPUWheels) > 0 {
		return reason{What: "no CUDA release is stated, so no driver is asked for", Facts: [][2]string{{"for GPUs", strings.Join(d.GPUWheels, ", ") + ": taken to run without one"}}}
	}
	if d.CUDA == "" {
		return reason{What: "no CUDA, so no driver is needed"}
	}
	carriers := "all wheels that carry CUDA or are made for it"
	if b := li.Base; b != nil && b.CUDA != "" {
		carriers = "the base image, which has " + b.CUDA + ", and " + carriers
	}
	r := reason{What: "driver " + d.Driver + " or newer", Facts: [][2]string{
		{"CUDA", d.CUDA + ", the highest over " + carriers},
		{"minimum", d.Driver + ", from which CUDA " + strings.SplitN(d.CUDA, ".", 2)[0] + ".x code for a GPU's own architecture runs"},
		{"recommended", cmp.Or(d.Recommended, "unknown") + ", which compiles its PTX too"},
		{"SM", cmp.Or(strings.Join(d.SM, " "), "unknown: forge's table tells it of torch alone")},
	}}
	r.Because = slices.Clone(d.GPUWheels)
	if b := li.Base; b != nil && b.CUDA != "" {
		r.Because = append(r.Because, "base "+b.Reference)
	}
	if len(d.PTX) > 0 {
		r.Facts = append(r.Facts, [2]string{"PTX", strings.Join(d.PTX, " ")})
	}
	for _, w := range li.Wheels {
		if strings.HasPrefix(w.Name, "nvidia-cuda-runtime") || w.Name == "cuda-toolkit" || w.Name == "torch" {
			r.Because = append(r.Because, w.Name+" "+w.Version)
		}
	}
	return r
}

// chains lists how the recipe leads to name, shortest first, at most five. asker is who wants
// what stands at the head of a chain.
func chains(name string, asked map[string][]string, top map[string]bool, asker func(head string) string) []string {
	var out []string
	queue := [][]string{{name}}
	for len(queue) > 0 && len(out) < 5 {
		path := queue[0]
		queue = queue[1:]
		head := path[0]
		if top[head] {
			out = append(out, asker(head)+" → "+strings.Join(path, " → "))
			continue
		}
		for _, by := range asked[head] {
			if !slices.Contains(path, by) && len(queue) < 10000 {
				queue = append(queue, append([]string{by}, path...))
			}
		}
	}
	if len(out) == 0 {
		out = append(out, "the base itself needs it")
	}
	return out
}

func layerOf(li *lock.Image, sum, environment string) string {
	for _, l := range li.Layers {
		if l.Environment == environment && slices.Contains(l.Members, sum) {
			return l.Name
		}
	}
	return ""
}

func knownNames(li *lock.Image) []string {
	names := []string{"driver", "cuda", "python"}
	for _, w := range li.Wheels {
		names = append(names, w.Name)
	}
	if li.Debian != nil {
		for _, d := range li.Debian.Packages {
			names = append(names, d.Name)
		}
	}
	for _, l := range li.Layers {
		names = append(names, l.Name)
	}
	if li.Base != nil {
		names = append(names, "base")
	}
	return names
}

// nearest is the end of a message that names what may have been meant.
func nearest(name string, names []string) string {
	meant := recipes.Nearest(name, names)
	if i := slices.IndexFunc(names, func(n string) bool { return strings.Contains(n, name) }); i >= 0 {
		meant = names[i]
	}
	if meant == "" {
		return ""
	}
	return fmt.Sprintf("; did you mean %q?", meant)
}
