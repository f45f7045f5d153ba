package sbom

import (
	"regexp"
	"strings"

	"github.com/forge-build/forge/sbom/requirement"
)

// components are NVIDIA's wheels, without "-cu12" and its like, and the libraries in them that
// have the wheel's number: the wheel's own headers say the same (CUBLAS_VER_…, CUDNN_MAJOR,
// NCCL_VERSION_CODE, CUFFT_VER_…, CURAND_VER_…, CUSOLVER_VER_…, CUSPARSE_VER_…, CUSPARSELT_VER_…,
// NVSHMEM_VENDOR_…), and for nvrtc, nvJitLink and cuFile the libraries' text; all were compared
// for the wheels of torch 2.9.1 with CUDA 12.8. What else lies in these wheels has a number of
// its own (libnvperf, libcheckpoint), which nothing states.
var components = map[string][]string{
	"nvidia-cublas":       {"libcublas", "libcublasLt", "libnvblas"},
	"nvidia-cuda-cupti":   {"libcupti"},
	"nvidia-cuda-nvrtc":   {"libnvrtc", "libnvrtc.alt", "libnvrtc-builtins", "libnvrtc-builtins.alt"},
	"nvidia-cuda-runtime": {"libcudart"},
	"nvidia-cudnn": {"libcudnn", "libcudnn_adv", "libcudnn_cnn", "libcudnn_engines_precompiled", "libcudnn_engines_runtime_compiled", "libcudnn_graph", "libcudnn_heuristic", "libcudnn_ops",
		"libcudnn_adv_infer", "libcudnn_adv_train", "libcudnn_cnn_infer", "libcudnn_cnn_train", "libcudnn_ops_infer", "libcudnn_ops_train", "libcudnn_ext", "libcudnn_engines_tensor_ir"},
	"nvidia-cufft":      {"libcufft", "libcufftw"},
	"nvidia-cufile":     {"libcufile", "libcufile_rdma"},
	"nvidia-curand":     {"libcurand"},
	"nvidia-cusolver":   {"libcusolver", "libcusolverMg"},
	"nvidia-cusparse":   {"libcusparse"},
	"nvidia-cusparselt": {"libcusparseLt"},
	"nvidia-nccl":       {"libnccl"},
	"nvidia-npp":        {"libnppc", "libnppial", "libnppicc", "libnppidei", "libnppif", "libnppig", "libnppim", "libnppist", "libnppisu", "libnppitc", "libnpps"},
	"nvidia-nvjitlink":  {"libnvJitLink"},
	"nvidia-nvjpeg":     {"libnvjpeg"},
	"nvidia-nvshmem":    {"libnvshmem_host"},
	"nvidia-nvtx":       {"libnvToolsExt"},
}

// statesNVIDIA are what libraries say of their release near their begin.
var statesNVIDIA = map[string]*regexp.Regexp{
	"libnccl":         regexp.MustCompile(`NCCL version (\d+\.\d+\.\d+)`),
	"libnvshmem_host": regexp.MustCompile(`NVSHMEM v(\d+\.\d+\.\d+)`),
}

var ofCUDA = regexp.MustCompile(`-cu\d+$`)

// isOf says whether a library has the number of the wheel that brings it.
func isOf(stem, wheel string) bool {
	for _, s := range components[ofCUDA.ReplaceAllString(requirement.Normal(wheel), "")] {
		if strings.EqualFold(s, stem) {
			return true
		}
	}
	return false
}
