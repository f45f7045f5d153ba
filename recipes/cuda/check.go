package cuda

import (
	"fmt"
	"slices"
	"strings"
)

// Stack is what a recipe asks for. Every field but Arch may be empty: not said.
type Stack struct {
	Torch  string   // "2.9.1" or "2.9"; empty: the newest of the table
	CUDA   string   // "12.8" or "cpu"; empty: what PyPI serves
	Arch   string   // "x86_64", "aarch64", "linux/amd64", …
	Python string   // "3.13"
	GPUs   []string // names or capabilities
	Driver string   // oldest driver of the fleet
}

// Report is Check's verdict on a stack. Nothing in Problems does not mean that all is
// known: Unknown says what is not.
type Report struct {
	Problems []Problem
	Warnings []string // whole sentences
	Unknown  []string // whole sentences
}

// Problem is one thing that makes a stack impossible.
type Problem struct {
	Field   string       // "version", "cuda", "gpus", "driver" or "python"
	Summary string       // a title
	Detail  string       // full sentences: the fact, then the nearest stack that is possible
	Nearest *Combination // nil: none in the table
}

// Combination is a torch version for a CUDA version.
type Combination struct {
	Torch, CUDA string
}

// String returns "torch 2.10.0 with CUDA 12.8 (cu128)".
func (c Combination) String() string {
	return fmt.Sprintf("torch %s with CUDA %s (cu%s)", c.Torch, c.CUDA, strings.ReplaceAll(c.CUDA, ".", ""))
}

// Check finds what is impossible in a stack, by the tables alone. It reports every
// problem, each with the nearest stack of the table that has none.
func Check(s Stack) Report {
	var r Report
	s.Arch = tableArch(s.Arch)
	gpus := r.readGPUs(s.GPUs)
	driver, driverKnown := r.readDriver(s.Driver)
	r.checkBranch(gpus, driver)
	if s.Torch == "" {
		s.Torch = Releases()[0]
	}
	search := search{stack: s, gpus: gpus, driver: driver}
	rows := Variants(s.Torch, s.Arch)
	if len(rows) == 0 {
		r.unknown("torch %s for %s is not in forge's table, which was last checked on %s. It may be newer; its CUDA versions, GPUs and Pythons are not known.", s.Torch, s.Arch, Checked)
		if s.CUDA != "" && s.CUDA != "cpu" {
			r.checkDriver(s.CUDA, driver, search)
		}
		return r
	}
	search.stack.Torch = rows[0].Torch
	r.checkPython(rows, search)
	if s.CUDA == "cpu" {
		return r
	}
	row, ok := Torch(rows[0].Torch, s.CUDA, s.Arch)
	if !ok {
		r.missingVariant(rows, s, search)
		if s.CUDA != "" && driverKnown {
			r.checkDriver(s.CUDA, driver, search)
		}
		return r
	}
	search.stack.CUDA = row.CUDA
	r.checkDriver(row.CUDA, driver, search)
	r.checkCode(row, rows, search)
	return r
}

// namedGPU is a GPU as the recipe calls it.
type namedGPU struct {
	name       string
	capability Capability
}

func (g namedGPU) String() string {
	if g.name == g.capability.String() {
		return g.name
	}
	return g.name + " (" + g.capability.String() + ")"
}

func (r *Report) unknown(format string, a ...any) {
	r.Unknown = append(r.Unknown, fmt.Sprintf(format, a...))
}

func (r *Report) readGPUs(names []string) []namedGPU {
	var out []namedGPU
	for _, name := range names {
		c, err := ParseGPU(name)
		if err != nil {
			r.unknown("The GPU %+.60q is not in forge's list, which was last checked on %s: whether there is code for it is not known.", name, Checked)
			continue
		}
		if name == c.String() { // say what a bare number is, by its best known product
			for _, gpu := range GPUs() {
				if gpu.Capability == c {
					name = gpu.Name
					break
				}
			}
		}
		out = append(out, namedGPU{name, c})
	}
	return out
}

func (r *Report) readDriver(text string) (Version, bool) {
	if text == "" {
		return Version{}, false
	}
	v, err := ParseVersion(text)
	if err != nil {
		r.Problems = append(r.Problems, Problem{Field: "driver", Summary: "Invalid driver version",
			Detail: fmt.Sprintf("%+.60q is not a driver version: two to four numbers with dots between, such as 525.60.13.", text)})
	}
	return v, err == nil
}

// checkBranch compares the fleet's oldest driver with the last that old GPUs have.
func (r *Report) checkBranch(gpus []namedGPU, driver Version) {
	for _, gpu := range gpus {
		last, ended := LastDriver(gpu.capability)
		if !ended || driver.IsZero() || driver.Major() <= last {
			continue
		}
		r.Problems = append(r.Problems, Problem{Field: "driver", Summary: "Driver too new for a GPU",
			Detail: fmt.Sprintf("%s is a %s GPU, whose last driver branch is R%d; this fleet floor is %s. No host can have both: lower the floor to a driver of branch R%d or older, or leave the GPU out.",
				gpu, gpu.capability.Generation(), last, driver, last)})
	}
}

func (r *Report) checkDriver(cuda string, driver Version, s search) {
	if driver.IsZero() {
		return
	}
	need, ok := MinimumDriver(cuda)
	if !ok {
		r.unknown("CUDA %s is not in forge's table, which was last checked on %s: the driver that it needs is not known.", cuda, Checked)
		return
	}
	if !driver.Less(need) {
		return
	}
	detail := fmt.Sprintf("CUDA %s needs driver %s or newer on Linux; this fleet floor is %s.", cuda, need, driver)
	nearest := s.nearest()
	if nearest != nil {
		detail += fmt.Sprintf(" Raise the floor, or take the nearest that runs from %s on: %s.", driver, nearest)
	} else {
		detail += " Raise the floor: no torch in the table runs on an older driver with these GPUs and this Python."
	}
	r.Problems = append(r.Problems, Problem{Field: "driver", Summary: "Driver floor below what CUDA needs", Detail: detail, Nearest: nearest})
}

func (r *Report) checkPython(rows []Row, s search) {
	python := s.stack.Python
	if python == "" {
		return
	}
	var supported, experimental bool
	var said []string
	for _, row := range rows {
		if s.stack.CUDA != "" && s.stack.CUDA != "cpu" && row.CUDA != s.stack.CUDA || s.stack.CUDA == "" && !row.Default {
			continue
		}
		ok, exp := row.Supports(python)
		supported = supported || ok
		experimental = experimental || exp
		said = append(said, pythonText(row.Python))
	}
	if len(said) == 0 { // the variant itself is not known; that is said elsewhere
		return
	}
	if supported {
		if experimental {
			r.Warnings = append(r.Warnings, fmt.Sprintf("torch %s supports Python %s only experimentally.", s.stack.Torch, python))
		}
		return
	}
	slices.Sort(said)
	detail := fmt.Sprintf("torch %s is built for Python %s, not for %s.", s.stack.Torch, strings.Join(slices.Compact(said), " or "), python)
	nearest := s.nearest()
	if nearest != nil && s.stack.CUDA != "cpu" {
		detail += fmt.Sprintf(" The nearest that is: %s.", nearest)
	} else if nearest != nil {
		detail += fmt.Sprintf(" The nearest that is: torch %s.", nearest.Torch)
	}
	r.Problems = append(r.Problems, Problem{Field: "python", Summary: "Python not supported by this torch", Detail: detail, Nearest: nearest})
}

func pythonText(ranges []Pythons) string {
	var out []string
	for _, p := range ranges {
		t := p.From + " to " + p.To
		if p.From == p.To {
			t = p.From
		}
		if p.FreeThreaded {
			t += "t"
		}
		if p.Experimental {
			t += " (experimental)"
		}
		out = append(out, t)
	}
	return strings.Join(out, ", ")
}

// missingVariant reports a CUDA version that the torch release has no row for.
func (r *Report) missingVariant(rows []Row, s Stack, search search) {
	torch := rows[0].Torch
	have := make([]string, 0, len(rows))
	for _, row := range rows {
		have = append(have, row.CUDA)
	}
	if s.CUDA == "" {
		r.unknown("Which CUDA version PyPI serves for torch %s on %s is not in forge's table, which was last checked on %s.", torch, s.Arch, Checked)
		return
	}
	if !Complete(torch, s.Arch) {
		r.unknown("torch %s with CUDA %s on %s is not in forge's table, which was last checked on %s and does not hold every variant of this release (it has %s): whether it exists is not known.",
			torch, s.CUDA, s.Arch, Checked, strings.Join(have, ", "))
		return
	}
	detail := fmt.Sprintf("torch %s comes for CUDA %s, not for %s.", torch, strings.Join(have, ", "), s.CUDA)
	nearest := search.nearest()
	if nearest != nil {
		detail += fmt.Sprintf(" The nearest: %s.", nearest)
	}
	if other := search.sameCUDA(); other != nil && (nearest == nil || *other != *nearest) {
		detail += fmt.Sprintf(" The nearest for CUDA %s: torch %s.", other.CUDA, other.Torch)
	}
	r.Problems = append(r.Problems, Problem{Field: "cuda", Summary: "No such torch for this CUDA version", Detail: detail, Nearest: nearest})
}

// checkCode compares the GPUs with what the variant has code for.
func (r *Report) checkCode(row Row, rows []Row, s search) {
	if len(s.gpus) == 0 {
		return
	}
	if !row.Known() {
		r.unknown("For which GPUs torch %s with CUDA %s has code is not in forge's table, which was last checked on %s.", row.Torch, row.CUDA, Checked)
		return
	}
	missing := without(row, s.gpus)
	if len(missing) == 0 {
		r.checkPTX(row, s)
		return
	}
	have := make([]string, 0, len(row.SM))
	for _, c := range row.SM {
		have = append(have, c.String())
	}
	detail := fmt.Sprintf("torch %s with CUDA %s has code for %s and nothing for %s.", row.Torch, row.CUDA, strings.Join(have, " "), gpuText(missing))
	nearest := s.nearest()
	if nearest == nil || nearest.Torch != row.Torch {
		detail += fmt.Sprintf(" No variant of torch %s covers %s%s: %s.", row.Torch, gpuText(s.gpus), together(s.gpus), lacks(rows, s.gpus))
	}
	if nearest != nil {
		detail += fmt.Sprintf(" The nearest that does: %s.", nearest)
	} else {
		detail += " Nothing in the table does: make one image for each generation of GPU."
	}
	r.Problems = append(r.Problems, Problem{Field: "gpus", Summary: "No code for a GPU of the fleet", Detail: detail, Nearest: nearest})
}

// checkPTX warns where a GPU depends on the driver's compiler, which needs the recommended driver.
func (r *Report) checkPTX(row Row, s search) {
	for _, gpu := range s.gpus {
		if Runs(row.SM, row.PTX, gpu.capability) != PTX {
			continue
		}
		recommended, ok := Recommended(row.CUDA)
		switch {
		case !ok:
			r.unknown("torch %s with CUDA %s runs on %s only by PTX, which needs the driver that ships with CUDA %s; that driver is not in forge's table.", row.Torch, row.CUDA, gpu, row.CUDA)
		case s.driver.IsZero() || s.driver.Less(recommended):
			r.Warnings = append(r.Warnings, fmt.Sprintf("torch %s with CUDA %s runs on %s only by PTX, which the driver compiles at the first start; that needs driver %s or newer.", row.Torch, row.CUDA, gpu, recommended))
		}
	}
}

func without(row Row, gpus []namedGPU) []namedGPU {
	var out []namedGPU
	for _, gpu := range gpus {
		if Runs(row.SM, row.PTX, gpu.capability) == None {
			out = append(out, gpu)
		}
	}
	return out
}

func lacks(rows []Row, gpus []namedGPU) string {
	var out []string
	for _, row := range rows {
		if !row.Known() {
			out = append(out, row.CUDA+" is not known")
			continue
		}
		if missing := without(row, gpus); len(missing) > 0 {
			out = append(out, row.CUDA+" lacks "+gpuText(missing))
		}
	}
	return strings.Join(out, "; ")
}

func gpuText(gpus []namedGPU) string {
	var out []string
	for _, g := range gpus {
		if t := g.String(); !slices.Contains(out, t) {
			out = append(out, t)
		}
	}
	if n := len(out); n > 1 {
		return strings.Join(out[:n-1], ", ") + " and " + out[n-1]
	}
	return strings.Join(out, "")
}

func together(gpus []namedGPU) string {
	if len(gpus) > 1 {
		return " together"
	}
	return ""
}
