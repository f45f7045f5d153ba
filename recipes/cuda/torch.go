package cuda

import (
	"slices"
	"strings"
)

// Torch returns the variant of a torch version for a CUDA version and
// architecture ("x86_64", "aarch64", or Go's and OCI's "amd64", "linux/arm64").
// An empty CUDA means what PyPI serves. A version of two parts means its newest
// patch. False means not in the table, which is not to say that it does not exist.
func Torch(version, cuda, arch string) (Row, bool) {
	rows := Variants(version, arch)
	i := slices.IndexFunc(rows, func(r Row) bool { return r.CUDA == cuda || cuda == "" && r.Default })
	if i < 0 {
		return Row{}, false
	}
	return rows[i], true
}

// Variants returns the rows of one torch version on one architecture, by CUDA
// version. A version of two parts means its newest patch.
func Variants(version, arch string) []Row {
	arch = tableArch(arch)
	var out []Row
	for _, r := range loadTorch() {
		if r.Arch != arch || !matchesTorch(r.Torch, version) {
			continue
		}
		if len(out) > 0 && out[0].Torch != r.Torch {
			break // rows are newest first: 2.9.1 was taken for "2.9"
		}
		out = append(out, r)
	}
	return out
}

// Releases returns every torch version of the table, newest first.
func Releases() []string {
	var out []string
	for _, r := range loadTorch() {
		if len(out) == 0 || out[len(out)-1] != r.Torch {
			out = append(out, r.Torch)
		}
	}
	return out
}

// Complete says whether all variants of a release are recorded, so that one that is
// missing can be called missing. A release of which only PyPI's variant is recorded
// is not; neither is any release on aarch64 (data/README.md).
func Complete(version, arch string) bool {
	return tableArch(arch) == "x86_64" && len(Variants(version, arch)) > 1
}

// Supports says whether the variant is built for a CPython release, "3.13" or
// "3.14t", and whether only experimentally.
func (r Row) Supports(python string) (ok, experimental bool) {
	text, free := strings.CutSuffix(python, "t")
	v, err := ParseVersion(text)
	if err != nil {
		return false, false
	}
	v = mustVersion(v.minor())
	for _, p := range r.Python {
		if p.FreeThreaded != free || v.Less(mustVersion(p.From)) || mustVersion(p.To).Less(v) {
			continue
		}
		return true, p.Experimental
	}
	return false, false
}

// Known says whether it is known for which GPUs the variant has code.
func (r Row) Known() bool { return len(r.SM) > 0 }

func matchesTorch(row, asked string) bool {
	return row == asked || strings.Count(asked, ".") == 1 && strings.HasPrefix(row, asked+".")
}

func tableArch(arch string) string {
	switch strings.TrimPrefix(arch, "linux/") {
	case "amd64", "x86_64":
		return "x86_64"
	case "arm64", "aarch64":
		return "aarch64"
	}
	return arch
}
