package base

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/forge-build/forge/builder/layer"
	"github.com/forge-build/forge/recipes/lock"
)

var (
	cudaLibrary = regexp.MustCompile(`^lib(cublas|cublasLt|cudnn[a-z_0-9]*|nccl|cusparse|cusolver|cufft|curand|nvrtc|cudart|npp[a-z]*)(_static)?\.(so[0-9.]*|a)$`)
	cudaPackage = regexp.MustCompile(`^(cuda-|libcudnn|libnccl|libcublas)`)
)

// Twice refuses a base that brings a CUDA user space under wheels that bring another. With nil
// wheels it is known that there will be some, not yet how large they are.
func (b *Image) Twice(wheels []lock.Wheel) error {
	var nvidia int64
	for _, w := range wheels {
		if strings.HasPrefix(w.Name, "nvidia-") {
			nvidia += w.Size
		}
	}
	if wheels != nil && nvidia == 0 {
		return nil
	}
	var size int64
	var where []string
	note := func(s string) {
		if !slices.Contains(where, s) && len(where) < 6 {
			where = append(where, s)
		}
	}
	for _, p := range b.tree.paths() {
		e := b.tree.nodes[p]
		top, _, _ := strings.Cut(strings.TrimPrefix(p, "usr/local/"), "/")
		dir, name := path.Dir(p), path.Base(p)
		switch {
		case strings.Contains(p, "site-packages/") || strings.Contains(p, "dist-packages/"):
		case strings.HasPrefix(p, "usr/local/cuda") && e.Type == layer.Regular:
			size += e.Size
			note("/usr/local/" + top)
		case cudaLibrary.MatchString(name) && e.Type == layer.Regular:
			size += e.Size
			note("/" + p)
		case dir == "var/lib/dpkg/info" && strings.HasSuffix(name, ".list") && cudaPackage.MatchString(name):
			pkg, _, _ := strings.Cut(strings.TrimSuffix(name, ".list"), ":")
			note("package " + pkg)
		case dir == "var/lib/dpkg/status.d" && cudaPackage.MatchString(name):
			note("package " + name)
		}
	}
	if len(where) == 0 || size < 1<<20 {
		return nil
	}
	more := "the nvidia wheels bring the same again"
	if nvidia > 0 {
		more = fmt.Sprintf("the nvidia wheels bring the same again, %.2f GB compressed", float64(nvidia)/1e9)
	}
	return &UnfitError{b.Lock.Reference, fmt.Sprintf("it holds a CUDA user space of %.2f GB (%s), and %s: CUDA would be in the image twice; take a base without CUDA", float64(size)/1e9, strings.Join(where, ", "), more)}
}
