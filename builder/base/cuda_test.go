package base

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/forge-build/forge/builder/layer"
	"github.com/forge-build/forge/recipes/lock"
)

func has(sizes map[string]int64) *Image {
	t := newTree("registry.test/x")
	for p, size := range sizes {
		t.put(&entry{Path: p, Type: layer.Regular, Size: size})
	}
	return &Image{Lock: lock.Base{Reference: "registry.test/x"}, tree: t}
}

func TestCUDAIsFoundWhereverItLies(t *testing.T) {
	for _, row := range []struct {
		name  string
		files map[string]int64
		want  UserSpace
	}{
		{"as NVIDIA's images have it", map[string]int64{
			"usr/local/cuda-12.8/targets/x86_64-linux/lib/libcudart.so.12.8.90": 1, "usr/local/cuda-12.8/targets/x86_64-linux/lib/libcublas.so.12.8.4.1": 100, "usr/local/cuda-12.8/EULA.txt": 2,
			"usr/local/cuda-12.8/compat/libcuda.so.570.124.06": 50, "usr/lib/x86_64-linux-gnu/libcudnn.so.9.7.1": 10, "usr/lib/x86_64-linux-gnu/libcudnn_ops.so.9.7.1": 20,
			"var/lib/dpkg/info/cuda-compat-12-9.list": 5, "var/lib/dpkg/info/cuda-libraries-12-8.list": 5, "usr/lib/x86_64-linux-gnu/libc.so.6": 1000,
		}, UserSpace{"12.8", 183, []string{"/usr/local/cuda-12.8", "/usr/lib/x86_64-linux-gnu (libcudnn.so.9.7.1, libcudnn_ops.so.9.7.1)"}}},
		{"as Debian has it", map[string]int64{
			"usr/lib/x86_64-linux-gnu/libcudart.so.11.8.89": 1, "usr/lib/x86_64-linux-gnu/libcublas.so.11.11.3.6": 2, "usr/lib/x86_64-linux-gnu/libcublasLt.so.11.11.3.6": 3,
			"usr/lib/x86_64-linux-gnu/libcufft.so.10.9.0.58": 4, "usr/lib/x86_64-linux-gnu/libnvrtc-builtins.so.11.8.89": 5,
		}, UserSpace{"11.8", 15, []string{"/usr/lib/x86_64-linux-gnu (libcublas.so.11.11.3.6, libcublasLt.so.11.11.3.6 and 3 more)"}}},
		{"wheels of the base's own Python", map[string]int64{
			"opt/conda/lib/python3.11/site-packages/nvidia/cublas/lib/libcublas.so.12": 7, "opt/conda/lib/python3.11/site-packages/nvidia_cuda_runtime_cu12-12.4.127.dist-info/METADATA": 1,
		}, UserSpace{"12.4", 7, []string{"/opt/conda/lib/python3.11/site-packages/nvidia/cublas/lib (libcublas.so.12)"}}},
		{"of the toolkit's packages the newest", map[string]int64{
			"usr/local/cuda-12.2/lib/libcudart.so.12.2.53": 1, "var/lib/dpkg/status.d/cuda-cudart-12-10": 1,
		}, UserSpace{"12.10", 1, []string{"/usr/local/cuda-12.2"}}},
		{"copied libraries state no version", map[string]int64{"opt/lib/libcudart-d0da41ae.so.11.0": 1, "opt/lib/libcublas.so.11": 1},
			UserSpace{"", 2, []string{"/opt/lib (libcublas.so.11, libcudart-d0da41ae.so.11.0)"}}},
		{"what only sounds like it", map[string]int64{"usr/lib/libcudarray.so.1": 1, "usr/share/doc/libcublas.so.txt": 1, "usr/lib/libncclient.so": 1, "usr/bin/nvcc": 1}, UserSpace{}},
		{"the stubs that a container runtime leaves", map[string]int64{"usr/lib/x86_64-linux-gnu/libcuda.so.1": 0}, UserSpace{}},
	} {
		if d := cmp.Diff(row.want, has(row.files).CUDA()); d != "" {
			t.Errorf("%s: %s", row.name, d)
		}
	}
}

func TestTwoUserSpacesAreRefusedWithPlacesVersionsAndSizes(t *testing.T) {
	nvidia := map[string]int64{"usr/local/cuda-12.4/lib/libcudart.so.12.4.127": 1e6, "usr/local/cuda-12.4/lib/libcublas.so.12.4.5.8": 2_130e6}
	wheels := func(list ...string) (out []lock.Wheel) {
		for _, w := range list {
			n := strings.Fields(w)
			out = append(out, lock.Wheel{Name: n[0], Version: n[1], Size: 500e6})
		}
		return out
	}
	few := wheels("torch 2.9.1", "nvidia-cuda-runtime-cu12 12.8.90", "nvidia-cublas-cu12 12.8.4.1")
	unknown := wheels("nvidia-cublas 13.1.0.3")
	unknown[0].Size, unknown[0].Environment = -1, "b"
	for _, row := range []struct {
		name   string
		base   map[string]int64
		wheels []lock.Wheel
		want   string // empty: it fits
	}{
		{"NVIDIA's base under torch", nvidia, few,
			"it has the user space of CUDA 12.4, 2.13 GB in /usr/local/cuda-12.4, and the wheels bring that of CUDA 12.8 to /opt/venv, 1.00 GB compressed, nvidia-cuda-runtime-cu12 12.8.90, nvidia-cublas-cu12 12.8.4.1: CUDA would be in the image twice"},
		{"sizes and versions that nobody states", map[string]int64{"opt/lib/libcublas.so.11": 2e9}, unknown,
			"it has the user space of CUDA (version not stated), 2.00 GB in /opt/lib (libcublas.so.11), and the wheels bring that of CUDA (version not stated) to /opt/envs/b, of a size that the index does not state, nvidia-cublas 13.1.0.3: "},
		{"no CUDA below", map[string]int64{"usr/lib/libc.so.6": 2e9}, few, ""},
		{"a runtime library alone", map[string]int64{"usr/lib/libcudart.so.12.4.127": 700e3}, few, ""},
		{"no CUDA above", nvidia, wheels("torch 2.9.1+cpu", "numpy 2.0", "cupy-cuda12x 13.0"), ""},
		{"NVIDIA's Python without CUDA", nvidia, wheels("nvidia-ml-py 13.580.65", "nvidia-modelopt 0.40.0", "nvidia-dali-cuda120 1.50.0"), ""},
		{"NCCL alone, as xgboost asks for it", nvidia, wheels("xgboost 3.0", "nvidia-nccl-cu12 2.27.3"), ""},
		{"CUDA 13's names", nvidia, wheels("nvidia-cuda-runtime 13.0.88"), "that of CUDA 13.0 to /opt/venv"},
	} {
		err := has(row.base).Twice(row.wheels)
		var unfit *UnfitError
		if row.want == "" && err != nil || row.want != "" && (!errors.As(err, &unfit) || !strings.Contains(err.Error(), row.want)) {
			t.Errorf("%s: %v\nwant %q", row.name, err, row.want)
		}
	}
	// Wheels that carry CUDA under another name are known by what they hold.
	err := has(nvidia).Fits(Needs{CUDA: wheels("torch 2.0.1+cu118"), Version: "11.8"})
	if want := "bring that of CUDA 11.8 to /opt/venv, 0.50 GB of libraries, torch 2.0.1+cu118"; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("%v\nwant %q", err, want)
	}
	for file, want := range map[string]bool{"torch/lib/libcublas.so.11": true, "torch/lib/libnvrtc-672ee683.so.11.2": true, "torch/lib/libtorch_cuda.so": false, "a/libcudart.so.12": false, "a/libcupti.so.12": false} {
		if OfCUDA(file) != want {
			t.Errorf("%s: %v", file, !want)
		}
	}
}
