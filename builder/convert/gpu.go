package convert

import (
	"cmp"
	"regexp"
	"slices"
	"strings"

	"github.com/forge-build/forge/builder/layer"
	"github.com/forge-build/forge/builder/wheel"
	"github.com/forge-build/forge/recipes/cuda"
)

// GPU is what a wheel says of the CUDA that it is made for. A wheel has one when its files hold
// code for GPUs or are linked with CUDA, or when its name or version states a release of it.
type GPU struct {
	Wheel   string   `json:"wheel"`             // "cupy-cuda12x 14.2.0"
	Linked  []string `json:"linked,omitempty"`  // CUDA releases whose libraries its files are linked with, by major version: "11", "12"
	Release string   `json:"release,omitempty"` // that its name or version states: "12" or "12.8"
}

var (
	// Libraries whose soname has the major version of CUDA, "libcudart.so.12" or "libcudart.so.11.0"; those
	// that auditwheel has put into a wheel have a sum in their names. cuFFT, cuRAND, cuSOLVER, cuSPARSE and
	// cuDNN count by themselves.
	counted = regexp.MustCompile(`^lib(?:cudart|nvrtc|cublas|cublasLt|nvJitLink)(?:-[0-9a-f]{8})?\.so\.([0-9]+)(?:\.[0-9]+)*$`)
	// The driver's library, which no wheel brings, and CUDA's whose sonames have another version.
	linked = regexp.MustCompile(`^lib(?:cuda|cudart|cufft|curand|cusolver|cusolverMg|cusparse|cudnn[a-z_0-9]*)(?:-[0-9a-f]{8})?\.so\.[0-9.]+$`)

	// Names and versions that state a release: cupy-cuda12x, nvidia-nccl-cu13, nvidia-dali-cuda120,
	// 2.9.1+cu128, 2.1.2+pt29cu128. A name's third figure is not taken: wheels for "cuda120" are made for 12.x.
	namedFor   = regexp.MustCompile(`(?:^|-)cu(?:da)?(1[0-9])[0-9]?x?(?:-|$)`)
	labelledBy = regexp.MustCompile(`\+(?:.*[^a-z])?cu(1[0-9])([0-9])?(?:[^0-9]|$)`)
)

// gpus notes for each wheel of a layer what it says of CUDA.
func (made *Made) gpus(ix *layer.Index, platform string, members []*member) {
	code, native, links := map[string]bool{}, map[string]bool{}, map[string][]string{} // by owner
	for _, e := range ix.Entries {
		if !runs(e.ELF) || e.ELF.Machine != machines[platform] {
			continue
		}
		owner := strings.TrimPrefix(e.Owner, "wheel:")
		native[owner] = true
		code[owner] = code[owner] || slices.Contains(e.ELF.Sections, ".nv_fatbin")
		for _, lib := range e.ELF.Needed {
			if m := counted.FindStringSubmatch(lib); m != nil {
				links[owner] = append(links[owner], m[1])
			} else if linked.MatchString(lib) {
				code[owner] = true
			}
		}
	}
	for _, mb := range members {
		owner := mb.wheel.Name
		g := GPU{Wheel: owner + " " + mb.wheel.Version, Linked: links[owner]}
		slices.SortFunc(g.Linked, func(a, b string) int { return cmp.Or(cmp.Compare(len(a), len(b)), cmp.Compare(a, b)) })
		g.Linked = slices.Compact(g.Linked)
		if native[owner] {
			g.Release = released(mb.wheel)
		}
		if code[owner] || len(g.Linked) > 0 || g.Release != "" {
			made.GPUs = append(made.GPUs, g)
		}
	}
}

// released is the CUDA release that a wheel's name or version states, or nothing.
func released(w *wheel.Wheel) string {
	if m := labelledBy.FindStringSubmatch(w.Version); m != nil && m[2] != "" {
		return m[1] + "." + m[2]
	} else if m != nil {
		return m[1]
	}
	if m := namedFor.FindStringSubmatch(w.Name); m != nil {
		return m[1]
	}
	return ""
}

// beyond is the highest CUDA release that wheels are made for, beyond what is stated, and which
// wheels those are. A major version alone is its first release, and not exact. A wheel that is
// linked with several releases, as bitsandbytes is, takes the one that is there and needs none.
// Without any release the wheels are those that have to do with GPUs all the same.
func beyond(made []Made, stated string) (release string, exact bool, wheels []string) {
	var unstated []string
	release = stated
	for _, m := range made {
		for _, g := range m.GPUs {
			is := g.Release
			if is == "" && len(g.Linked) == 1 {
				is = g.Linked[0]
			}
			if is == "" {
				unstated = append(unstated, g.Wheel)
				continue
			}
			full := is
			if !strings.Contains(is, ".") {
				full = cuda.First(is)
			}
			switch {
			case full == stated || full != release && highest(full, release) != full:
				continue
			case full != release:
				release, exact, wheels = full, false, nil
			}
			exact = exact || full == is
			wheels = append(wheels, g.Wheel)
		}
	}
	if release == "" {
		wheels = unstated
	}
	slices.Sort(wheels)
	return release, exact, slices.Compact(wheels)
}
