package recipes

import (
	"strings"
	"unicode"

	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// tests reads the test blocks: commands that must succeed in the finished image.
func (d *decoder) tests(w *words, im *Image) {
	names := map[string]bool{}
	for _, b := range w.blocks("test", 1) {
		p := d.words(b, "test.")
		t := Test{Name: d.stepName(b, names)}
		t.Command, t.Env = d.step(b, p, `["python", "-c", "import torch"]`)
		p.done()
		im.Tests = append(im.Tests, t)
	}
}

// runs reads the run blocks: commands whose output becomes a layer.
func (d *decoder) runs(w *words, im *Image) {
	names := map[string]bool{}
	for _, b := range w.blocks("run", 1) {
		p := d.words(b, "run.")
		r := Run{Name: d.stepName(b, names)}
		r.Command, r.Env = d.step(b, p, `["python", "-m", "compile_tokenizer"]`)
		d.output(b, p, &r)
		p.done()
		im.Runs = append(im.Runs, r)
	}
}

// stepName is the label of a step; names holds those of its kind.
func (d *decoder) stepName(b *hclsyntax.Block, names map[string]bool) string {
	name := b.Labels[0]
	if name == "" || names[name] || strings.ContainsFunc(name, unicode.IsControl) || len(name) > 120 {
		d.mistake(b.LabelRanges[0], "Invalid "+b.Type+" name", "%+q: every %s has a name of its own, one line.", cut(name), b.Type)
	}
	names[name] = true
	return name
}

// step reads what every step has: its command, and variables on top of the image's.
func (d *decoder) step(b *hclsyntax.Block, p *words, example string) (command []string, env map[string]string) {
	command, _ = d.argv(p, "command")
	if len(command) == 0 {
		d.mistake(b.DefRange(), strings.ToUpper(b.Type[:1])+b.Type[1:]+" without a command", "Write command = %s.", example)
	}
	return command, d.variables(p)
}

// output reads the folders that a run fills.
func (d *decoder) output(b *hclsyntax.Block, p *words, r *Run) {
	paths, at := p.list("output")
	if len(paths) == 0 {
		d.mistake(b.DefRange(), "Run without an output", `Only the folders that output names become a layer; write output = ["/app/tokenizer"].`)
	}
	for i, o := range paths {
		d.absolute(at[i], "output", o)
		for _, other := range paths[:i] {
			if o == other || strings.HasPrefix(o, other+"/") || strings.HasPrefix(other, o+"/") {
				d.mistake(at[i], "Output twice", "%+q and %+q are or hold the same folder.", cut(other), cut(o))
			}
		}
	}
	r.Output = paths
}
