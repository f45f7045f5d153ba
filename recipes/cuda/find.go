package cuda

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// UnknownGPUError is a GPU name that is not in the list. The GPU may exist: its
// compute capability can be written instead.
type UnknownGPUError struct {
	Name    string
	Nearest []string // up to three names of the list
}

func (e *UnknownGPUError) Error() string {
	s := fmt.Sprintf("finding GPU %+.60q: not in the list of %s; write its compute capability instead (\"8.0\")", e.Name, Checked)
	if len(e.Nearest) > 0 {
		s += "; near names: " + strings.Join(e.Nearest, ", ")
	}
	return s
}

// ParseGPU reads what a recipe says of a GPU: a name that FindGPU knows, or a
// compute capability without a variant. A name that is not known is an *UnknownGPUError.
func ParseGPU(text string) (Capability, error) {
	if c, err := ParseCapability(text); err == nil && c.Variant == 0 {
		return c, nil
	}
	if gpu, ok := FindGPU(text); ok {
		return gpu.Capability, nil
	}
	return Capability{}, &UnknownGPUError{Name: text, Nearest: near(text)}
}

// FindGPU finds a GPU by a name as people or drivers write it: "h100",
// "RTX4090", "NVIDIA H100 80GB HBM3", "Tesla V100-SXM2-16GB", "NVIDIA RTX 6000
// Ada Generation". What follows the name must be a known qualifier (memory, form
// factor, Ti, Super, MIG or vGPU profile, …): any other word makes the name unknown,
// since "RTX 6000" alone may be of three generations.
func FindGPU(text string) (GPU, bool) {
	if len(text) > 200 {
		return GPU{}, false
	}
	words := splitName(text)
	for len(words) > 0 {
		if gpu, ok := match(words); ok {
			return gpu, true
		}
		if !slices.Contains(vendors, words[0]) {
			break
		}
		words = words[1:]
	}
	// "4090" and "1080 Ti" are what people call them.
	if len(words) > 0 && len(words[0]) == 4 && strings.Trim(words[0], "0123456789") == "" {
		for _, series := range []string{"RTX", "GTX"} {
			if gpu, ok := match(append([]string{series}, words...)); ok && gpu.Family == GeForce {
				return gpu, true
			}
		}
	}
	return GPU{}, false
}

// GPUs returns the whole list, newest first.
func GPUs() []GPU {
	var out []GPU
	for _, p := range products {
		for _, name := range p.names {
			out = append(out, GPU{name, p.capability, p.family, p.source})
		}
	}
	return out
}

// vendors may stand before a name. A name of the list that begins with one of them,
// as "QUADRO RTX 6000" does, is tried first.
var vendors = []string{"NVIDIA", "TESLA", "GEFORCE", "GRID", "DGX", "HGX", "QUADRO"}

// qualifiers may follow a name without changing the capability.
var qualifiers = []string{
	"PCIE", "SXM", "SXM2", "SXM3", "SXM4", "SXM5", "SXM6", "DGXS", "LS", "FHHL", "NVL", "NVL2", "NVL4", "NVL8", "NVL16", "NVL32", "NVL72", "SFF", "HBM2", "HBM2E", "HBM3", "HBM3E",
	"TI", "SUPER", "D", "V2", "LAPTOP", "MOBILE", "NOTEBOOK", "MAX", "Q", "MAXQ", "WITH", "DESIGN", "GPU", "MIG", "OEM",
	"GENERATION", "BLACKWELL", "SERVER", "WORKSTATION", "EDITION", "TENSOR", "CORE", "GRACE", "HOPPER", "SUPERCHIP", "DEVELOPER", "KIT", "SERIES",
}

// match finds the longest name of the list that the words begin with, if only
// qualifiers follow.
func match(words []string) (GPU, bool) {
	var best GPU
	var length int
	for _, p := range products {
		for _, name := range p.names {
			n := strings.Count(name, " ") + 1
			if n <= length || n > len(words) || strings.Join(words[:n], " ") != name {
				continue
			}
			best, length = GPU{name, p.capability, p.family, p.source}, n
		}
	}
	if length == 0 {
		return GPU{}, false
	}
	for _, w := range words[length:] {
		if !slices.Contains(qualifiers, w) && !isSize(w) {
			return GPU{}, false
		}
	}
	return best, true
}

// isSize says whether a word is a memory size or a MIG or vGPU profile: "80GB", "1G.10GB", "40C".
func isSize(w string) bool {
	rest := strings.TrimLeft(w, "0123456789.")
	if rest == w {
		return false
	}
	switch rest {
	case "GB", "GIB", "G", "C", "Q", "A", "B":
		return true
	}
	// A MIG profile has two numbers: what is left after the first is "G.10GB".
	head, tail, ok := strings.Cut(rest, ".")
	return ok && (head == "G" || head == "C") && strings.TrimLeft(tail, "0123456789") == "GB"
}

// splitName returns the words of a name in upper case, "RTX4090TI" as three of them.
func splitName(text string) []string {
	text = strings.NewReplacer("(R)", " ", "(TM)", " ", "®", " ", "™", " ").Replace(text)
	fields := strings.FieldsFunc(strings.ToUpper(text), func(r rune) bool {
		return strings.ContainsRune(" \t-_/(),", r)
	})
	var out []string
	for _, w := range fields {
		if len(w) > 3 && (strings.HasPrefix(w, "RTX") || strings.HasPrefix(w, "GTX")) {
			out = append(out, w[:3])
			w = w[3:]
		}
		for _, suffix := range []string{"TI", "SUPER"} {
			head, ok := strings.CutSuffix(w, suffix)
			if ok && len(head) == 4 && strings.Trim(head, "0123456789") == "" {
				out = append(out, head)
				w = suffix
			}
		}
		out = append(out, w)
	}
	return out
}

// near returns up to three names that look like text.
func near(text string) []string {
	words := splitName(text)
	for len(words) > 1 && slices.Contains(vendors, words[0]) {
		words = words[1:]
	}
	asked := strings.Join(words, " ")
	if len(asked) > 60 {
		return nil
	}
	type guess struct {
		name     string
		distance int
	}
	var all []guess
	for _, gpu := range GPUs() {
		d := distance(asked, gpu.Name)
		if hasWords(gpu.Name, words) {
			d = 0 // "RTX 6000" of three generations
		}
		if d <= 1+len(asked)/5 {
			all = append(all, guess{gpu.Name, d})
		}
	}
	slices.SortStableFunc(all, func(a, b guess) int { return cmp.Compare(a.distance, b.distance) })
	var out []string
	for _, g := range all[:min(3, len(all))] {
		out = append(out, g.name)
	}
	return out
}

func hasWords(name string, words []string) bool {
	have := strings.Fields(name)
	for _, w := range words {
		if !slices.Contains(have, w) {
			return false
		}
	}
	return len(words) > 0
}

// distance is Levenshtein's.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		diagonal := row[0]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			diagonal, row[j] = row[j], min(row[j]+1, row[j-1]+1, diagonal+cost)
		}
	}
	return row[len(b)]
}
