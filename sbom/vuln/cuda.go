package vuln

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/anchore/grype/grype/pkg"
)

// libraries are NVIDIA's wheels and the product under which NVD lists what is in them. Only
// there are vulnerabilities of CUDA's user space recorded: PyPI's advisories know nothing of
// the wheels. The toolkit has one product for all its libraries; the runtime's wheel, which
// every CUDA stack has, stands for it.
// Source: NVD's product dictionary, vendor nvidia.
var libraries = []struct {
	wheel   *regexp.Regexp
	product string
	short   bool // the product's version is the first two numbers of the wheel's
}{
	{regexp.MustCompile(`^nvidia-cuda-runtime(-cu[0-9]+)?$`), "cuda_toolkit", true},
	{regexp.MustCompile(`^nvidia-cudnn(-cu[0-9]+)?$`), "cudnn", false},
	{regexp.MustCompile(`^nvidia-nccl(-cu[0-9]+)?$`), "nccl", false},
	{regexp.MustCompile(`^tensorrt(-cu[0-9]+)?(-libs)?$`), "tensorrt", false},
}

var numbers = regexp.MustCompile(`^[0-9]+(\.[0-9]+)*`)

// withCUDA adds to the packages what their NVIDIA wheels are to NVD. added says for each whose
// it is. A wheel of cuda-runtime 12.8.90 may be of the toolkit 12.8.0 or of an update of it;
// the lowest is taken, so that nothing is missed.
func withCUDA(list []pkg.Package) (all []pkg.Package, added map[pkg.ID]pkg.Package, err error) {
	all, added = list[:len(list):len(list)], map[pkg.ID]pkg.Package{}
	for i, p := range list {
		if p.Type != "python" {
			continue
		}
		name := strings.ToLower(strings.NewReplacer("_", "-", ".", "-").Replace(p.Name))
		for _, l := range libraries {
			v := numbers.FindString(p.Version)
			if v == "" || !l.wheel.MatchString(name) {
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
	return all, added, nil
}
