package report

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/forge-build/forge/recipes/cuda"
)

func (r *Report) gpuParts() []part {
	g := r.GPU
	if g == nil && r.finished() {
		return []part{{Text: "Not known: the image does not state which driver it needs, and nobody has looked into its libraries."}}
	}
	if g == nil {
		return []part{{Text: "The image needs no GPU and no NVIDIA driver: nothing in it states a CUDA release."}}
	}
	out := []part{{Text: fmt.Sprintf("The image brings its own CUDA %s; the machine brings the NVIDIA driver. The driver must be %s or newer, and know the GPU. With %s or newer everything in the image runs, also code that the driver translates for newer GPUs.",
		show(g.CUDA), show(g.Driver), orWord(g.Recommended))}}
	t := &table{Caption: "Does this image run on a GPU of that generation?", Head: []column{{"Generation", ""}, {"Runs?", ""}, {"GPUs", ""}, {"Compute capability", ""}, {"Driver", ""}}}
	for i, row := range generations(g.Families) {
		if i == fewRows {
			break
		}
		name := cell{Text: cmp.Or(show(row.Name), "unknown")}
		if row.Wanted {
			name.Then = []string{"asked for by the recipe"}
		}
		verdict, driver := runs(row, g)
		t.Rows = append(t.Rows, []cell{name, verdict, {Text: several(row.Products, 8), Class: "prose"}, {Text: show(row.Capability)}, {Text: driver, Class: "prose"}})
	}
	if len(t.Rows) == 0 {
		return append(out, part{Tone: "info", Text: "For which generations of GPUs its code is made is not known to this forge; the recipe's tests on such a GPU would tell."})
	}
	out = append(out, part{Table: t})
	facts := []fact{{"Code for GPUs (SM)", shown(strings.Join(g.SM, ", "), 2*maxText), false}}
	if len(g.PTX) > 0 {
		facts = append(facts, fact{"Code to be translated (PTX)", shown(strings.Join(g.PTX, ", "), 2*maxText), false})
	}
	return append(out, part{Facts: facts})
}

func orWord(driver string) string {
	if driver == "" || driver == "unknown" {
		return "the driver that was published with this CUDA"
	}
	return show(driver)
}

// generations joins neighbours of one generation on which the code runs in the same way.
func generations(families []Family) []Family {
	var out []Family
	for _, f := range families {
		if n := len(out); n > 0 && out[n-1].Name == f.Name && out[n-1].Code == f.Code && out[n-1].LastDriver == f.LastDriver && n < mostRows {
			last := &out[n-1]
			last.Capability += ", " + f.Capability
			last.Products = slices.Concat(last.Products, f.Products)
			last.Wanted = last.Wanted || f.Wanted
			continue
		}
		out = append(out, f)
	}
	return out
}

// runs says whether the image runs on GPUs of a family, and with which driver.
func runs(f Family, g *GPU) (cell, string) {
	last := ""
	if f.LastDriver > 0 {
		last = fmt.Sprintf("; the last one for these GPUs is of branch %d", f.LastDriver)
	}
	switch cuda.Code(f.Code) {
	case cuda.Native:
		return cell{Tag: "good", Text: "yes"}, show(g.Driver) + " or newer" + last
	case cuda.PTX:
		return cell{Tag: "warn", Text: "translated"}, orWord(g.Recommended) + " or newer, which translates the code at the first start; that takes a while" + last
	}
	return cell{Tag: "bad", Text: "no"}, "the image holds no code for these GPUs"
}
