package vuln

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/anchore/grype/grype/pkg"
)

// libraries are NVIDIA's wheels, and its packages for distributions, with the product under
// which NVD lists what is in them. Only there are vulnerabilities of CUDA's user space
// recorded: PyPI's advisories and the distributions know nothing of them. The toolkit has one
// product for all its libraries; the runtime, which every CUDA stack has, stands for it.
// Source: NVD's records, vendor nvidia (CVE-2024-0072 for their shape); the package lists of
// developer.download.nvidia.com/compute/cuda/repos.
var libraries = []struct {
	wheel, system *regexp.Regexp
	product       string
	short         bool // the product's version is the first two numbers of the package's
}{
	{regexp.MustCompile(`^nvidia-cuda-runtime(-cu[0-9]+)?$`), regexp.MustCompile(`^cuda-cudart-[0-9]+-[0-9]+$`), "cuda_toolkit", true},
	{regexp.MustCompile(`^nvidia-cudnn(-cu[0-9]+)?$`), regexp.MustCompile(`^libcudnn[0-9]+(-cuda-[0-9]+)?$`), "cudnn", false},
	{regexp.MustCompile(`^nvidia-nccl(-cu[0-9]+)?$`), regexp.MustCompile(`^libnccl2?$`), "nccl", false},
	{regexp.MustCompile(`^tensorrt(-cu[0-9]+)?(-libs)?$`), regexp.MustCompile(`^libnvinfer[0-9]*$`), "tensorrt", false},
}

var numbers = regexp.MustCompile(`^[0-9]+(\.[0-9]+)*`)

// withCUDA adds to the packages what NVIDIA's among them are to NVD. added says for each whose
// it is. A wheel of cuda-runtime 12.8.90 may be of the toolkit 12.8.0 or of an update of it;
// the lowest is taken, so that nothing is missed.
func withCUDA(list []pkg.Package) (all []pkg.Package, added map[pkg.ID]pkg.Package, err error) {
	all, added = list[:len(list):len(list)], map[pkg.ID]pkg.Package{}
	for i, p := range list {
		system := slices.Contains(distributed, string(p.Type))
		if p.Type != "python" && !system {
			continue
		}
		name := strings.ToLower(strings.NewReplacer("_", "-", ".", "-").Replace(p.Name))
		for _, l := range libraries {
			is := l.wheel
			if system {
				is = l.system
			}
			v := numbers.FindString(p.Version)
			if v == "" || !is.MatchString(name) {
				continue
			}
			if parts := strings.Split(v, "."); l.short && len(parts) > 2 {
				v = strings.Join(parts[:2], ".") + ".0"
			}
			c, _, _, err := pkg.Provide(fmt.Sprintf("cpe:2.3:a:nvidia:%s:%s:*:*:*:*:*:*:*", l.product, v), pkg.ProviderConfig{})
			if err != nil || len(c) != 1 {
				return nil, nil, fmt.Errorf("naming %s %s as NVD does: %d names, %w", p.Name, p.Version, len(c), err)
			}
			c[0].ID = pkg.ID(fmt.Sprintf("forge-cuda-%d", i))
			added[c[0].ID] = p
			all = append(all, c[0])
		}
	}
	var once []pkg.Package
	for _, p := range all {
		if !repeats(p, all, added) {
			once = append(once, p)
		}
	}
	return once, added, nil
}

// repeats tells whether a package is a library inside a wheel that stands in the list by the
// same name of NVD's and in the same version: what is found in it is found once.
func repeats(p pkg.Package, all []pkg.Package, added map[pkg.ID]pkg.Package) bool {
	if _, ok := added[p.ID]; ok || len(p.CPEs) != 1 || p.CPEs[0].Attributes.Vendor != "nvidia" {
		return false
	}
	return slices.ContainsFunc(all, func(o pkg.Package) bool {
		_, ok := added[o.ID]
		return ok && o.CPEs[0].Attributes.Product == p.CPEs[0].Attributes.Product && o.Version == p.Version
	})
}
