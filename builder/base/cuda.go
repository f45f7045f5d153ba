package base

import (
	"cmp"
	"fmt"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/forge-build/forge/builder/layer"
	"github.com/forge-build/forge/recipes/lock"
)

// A library of CUDA by its file's name, in the toolkit's, cuDNN's, NCCL's and Debian's
// packages, in the nvidia wheels, and with the sum that auditwheel puts into names. libcuda
// is the driver's, which a base has for forward compatibility alone.
var cudaLibrary = regexp.MustCompile(`^lib(cublas|cublasLt|cuda|cudart|cudnn[a-z_0-9]*|cufft|cufftw|cufile|cupti|cuinj64|curand|cusolver|cusolverMg|cusparse|cusparseLt|nccl|npp[a-z]+|nvblas|nvfatbin|nvJitLink|nvjpeg|nvrtc|nvrtc-builtins)(_static|\.alt|-[0-9a-f]{8})?\.(so[0-9.]*|a)$`)

// What states CUDA's version: folders and packages of the toolkit, the runtime's file name,
// and the metadata of the runtime's wheel. Versions of other libraries are their own, and
// that of the compatibility package is one which the driver is made to run.
var (
	cudaFolder  = regexp.MustCompile(`^usr/local/cuda-([0-9]+\.[0-9]+)/`)
	cudaRuntime = regexp.MustCompile(`^libcudart\.so\.([0-9]+\.[0-9]+)\.[0-9]+$`)
	cudaPackage = regexp.MustCompile(`^var/lib/dpkg/(?:info|status\.d)/cuda-(?:cudart|libraries|toolkit)(?:-[a-z]+)*-([0-9]+)-([0-9]+)(?:\.list|\.md5sums)?$`)
	cudaInfo    = regexp.MustCompile(`/nvidia_cuda_runtime(?:_cu[0-9]+)?-([0-9]+\.[0-9]+)\.[0-9.]+\.dist-info/METADATA$`)
)

// Wheels that bring libraries of CUDA's toolkit. With NCCL and the like alone, as xgboost has
// it, no user space is there twice.
var (
	cudaWheel    = regexp.MustCompile(`^nvidia-(cublas|cuda-cupti|cuda-nvrtc|cuda-runtime|cudnn|cufft|curand|cusolver|cusparse|npp|nvjitlink|nvjpeg)(-cu[0-9]+)?$`)
	besidesWheel = regexp.MustCompile(`^nvidia-(cufile|cusparselt|nccl|nvshmem|nvtx)(-cu[0-9]+)?$`)
)

// bundled is a library of which a copy inside another wheel makes a second user space.
var bundled = regexp.MustCompile(`^lib(cublas|cublasLt|cudnn[a-z_0-9]*|cufft|curand|cusolver|cusparse|npp[a-z]+|nvrtc)(\.alt|-[0-9a-f]{8})?\.so[0-9.]*$`)

// OfCUDA says of a wheel's file whether it is one of CUDA's large libraries.
func OfCUDA(file string) bool { return bundled.MatchString(path.Base(file)) }

// few is what does not count as a user space: a runtime library alone, 0.7 MB in Debian.
const few = 1 << 20

// UserSpace is what a base has of CUDA.
type UserSpace struct {
	Version string // "12.8", the highest that its files state; empty: none, or not stated
	Bytes   int64  // of its files, unpacked; 0: it has none
	Places  []string
}

// CUDA looks for CUDA's libraries, wherever they lie.
func (b *Image) CUDA() UserSpace { return b.tree.cuda() }

// Holds says whether the base has a file of that name, wherever it lies.
func (b *Image) Holds(name string) bool {
	return slices.ContainsFunc(b.tree.paths(), func(p string) bool { return path.Base(p) == name })
}

func (t *tree) cuda() UserSpace {
	var u UserSpace
	bytes := map[string]int64{}
	names := map[string][]string{}
	for _, p := range t.paths() {
		e := t.nodes[p]
		if e.Type != layer.Regular || e.Size == 0 { // empty ones are what a container runtime mounts over
			continue
		}
		u.Version = highest(u.Version, stated(p))
		dir, name := path.Dir(p), path.Base(p)
		switch isLibrary := cudaLibrary.MatchString(name); {
		case strings.HasPrefix(p, "usr/local/cuda"):
			top, _, _ := strings.Cut(strings.TrimPrefix(p, "usr/local/"), "/")
			dir = "usr/local/" + top
		case !isLibrary:
			continue
		default:
			names[dir] = append(names[dir], name)
		}
		bytes[dir] += e.Size
		u.Bytes += e.Size
	}
	dirs := slices.SortedFunc(maps.Keys(bytes), func(a, b string) int { return cmp.Or(cmp.Compare(bytes[b], bytes[a]), cmp.Compare(a, b)) })
	for _, dir := range dirs {
		place := "/" + dir
		if files := names[dir]; len(files) > 0 && !strings.HasPrefix(dir, "usr/local/cuda") {
			place += " (" + someOf(files, 2) + ")"
		}
		u.Places = append(u.Places, place)
	}
	return u
}

// stated is the CUDA version that a path states, or nothing.
func stated(p string) string {
	for _, re := range []*regexp.Regexp{cudaFolder, cudaInfo} {
		if m := re.FindStringSubmatch(p); m != nil {
			return m[1]
		}
	}
	if m := cudaRuntime.FindStringSubmatch(path.Base(p)); m != nil {
		return m[1]
	}
	if m := cudaPackage.FindStringSubmatch(p); m != nil {
		return m[1] + "." + m[2]
	}
	return ""
}

func highest(a, b string) string {
	if less(a, b) {
		return b
	}
	return a
}

// Twice refuses a base that has CUDA's user space under wheels that bring another. Sizes of
// wheels are those of their files; 0 or less is not known.
func (b *Image) Twice(wheels []lock.Wheel) error {
	var brought []lock.Wheel
	due, version := false, ""
	for _, w := range wheels {
		if cudaWheel.MatchString(w.Name) || besidesWheel.MatchString(w.Name) {
			brought = append(brought, w)
			due = due || cudaWheel.MatchString(w.Name)
		}
		if n := strings.SplitN(w.Version, ".", 3); len(n) >= 2 && (w.Name == "cuda-toolkit" || strings.HasPrefix(w.Name, "nvidia-cuda-runtime")) {
			version = highest(version, n[0]+"."+n[1])
		}
	}
	if !due {
		return nil
	}
	return b.twice(brought, version, "compressed")
}

// twice is the refusal, if the base has a user space. measure says what the wheels' sizes are.
func (b *Image) twice(wheels []lock.Wheel, version, measure string) error {
	has := b.CUDA()
	if has.Bytes < few {
		return nil
	}
	var size int64
	var names, places []string
	slices.SortStableFunc(wheels, func(x, y lock.Wheel) int { return cmp.Compare(y.Size, x.Size) })
	for _, w := range wheels {
		size += max(0, w.Size)
		if name := w.Name + " " + w.Version; !slices.Contains(names, name) {
			names = append(names, name)
		}
		place := "/opt/venv"
		if w.Environment != "" {
			place = "/opt/envs/" + w.Environment
		}
		if !slices.Contains(places, place) {
			places = append(places, place)
		}
	}
	slices.Sort(places)
	again := fmt.Sprintf("%.2f GB %s, ", float64(size)/1e9, measure)
	if size == 0 {
		again = "of a size that the index does not state, "
	}
	return &UnfitError{b.Lock.Reference, fmt.Sprintf("it has the user space of %s, %.2f GB in %s, and the wheels bring that of %s to %s, %s%s: CUDA would be in the image twice; take a base without CUDA, or leave out the wheels that need another",
		named(has.Version), float64(has.Bytes)/1e9, someOf(has.Places, 4), named(version), strings.Join(places, " and "), again, someOf(names, 4))}
}

func named(version string) string {
	return strings.TrimSpace("CUDA " + cmp.Or(version, "(version not stated)"))
}

// someOf lists the first of a list, and says how many more there are.
func someOf(list []string, n int) string {
	if len(list) <= n+1 {
		return strings.Join(list, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(list[:n], ", "), len(list)-n)
}
