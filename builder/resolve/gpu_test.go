package resolve

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"fmt"
	"hash/crc32"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/forge-build/forge/builder/convert"
	"github.com/forge-build/forge/builder/layer"
	"github.com/forge-build/forge/builder/store"
	"github.com/forge-build/forge/builder/wheel"
	"github.com/forge-build/forge/recipes"
	"github.com/forge-build/forge/recipes/lock"
)

// gpuWorld is a store with wheels and layers that a test made.
type gpuWorld struct {
	t    *testing.T
	st   *store.Store
	li   *lock.Image
	made []convert.Made
}

func (w *gpuWorld) keep(data []byte) string {
	w.t.Helper()
	p, err := w.st.Create()
	if err != nil {
		w.t.Fatal(err)
	}
	if _, err := p.Write(data); err != nil {
		w.t.Fatal(err)
	}
	sum, err := p.Commit("")
	if err != nil {
		w.t.Fatal(err)
	}
	return sum
}

// wheel adds a wheel of that environment, whose METADATA has these requirements.
func (w *gpuWorld) wheel(env, name, version string, requires ...string) {
	w.t.Helper()
	stem := strings.ReplaceAll(name, "-", "_") + "-" + version
	files := [][2]string{{stem + ".dist-info/METADATA", "Metadata-Version: 2.1\nName: " + name + "\nVersion: " + version + "\n"}, {stem + ".dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"}}
	for _, r := range requires {
		files[0][1] += "Requires-Dist: " + r + "\n"
	}
	record := stem + ".dist-info/RECORD,,\n"
	for _, f := range files {
		sum := sha256.Sum256([]byte(f[1]))
		record += fmt.Sprintf("%s,%s,%d\n", f[0], wheel.RecordHash(sum[:]), len(f[1]))
	}
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for _, f := range append(files, [2]string{stem + ".dist-info/RECORD", record}) {
		out, err := z.CreateRaw(&zip.FileHeader{Name: f[0], Method: zip.Store, CRC32: crc32.ChecksumIEEE([]byte(f[1])), CompressedSize64: uint64(len(f[1])), UncompressedSize64: uint64(len(f[1]))})
		if err == nil {
			_, err = out.Write([]byte(f[1]))
		}
		if err != nil {
			w.t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		w.t.Fatal(err)
	}
	w.li.Wheels = append(w.li.Wheels, lock.Wheel{Environment: env, Name: name, Version: version, File: stem + "-py3-none-any.whl", Size: int64(b.Len()), SHA256: w.keep(b.Bytes())})
}

// layer adds a layer that holds libraries: owner, file and what it is linked with.
func (w *gpuWorld) layer(kind, env string, gpus []convert.GPU, libraries ...[]string) {
	w.t.Helper()
	zero := "sha256:" + strings.Repeat("0", 64)
	ix := layer.Index{DiffID: zero, Unpacked: 1 << 20, Blobs: map[layer.Codec]layer.Blob{layer.Gzip: {Digest: zero, Size: 1}}}
	for _, l := range libraries {
		ix.Entries = append(ix.Entries, layer.Entry{Path: l[1], Type: layer.Regular, SHA256: strings.Repeat("0", 64), Owner: l[0], ELF: &layer.ELF{Kind: 3, Machine: 62, Needed: l[2:]}})
	}
	var b bytes.Buffer
	if err := ix.Encode(&b); err != nil {
		w.t.Fatal(err)
	}
	w.made = append(w.made, convert.Made{Layer: lock.Layer{Kind: kind, Environment: env}, Index: w.keep(b.Bytes()), GPUs: gpus})
}

func TestWhatWheelsForGPUsMissIsSaid(t *testing.T) {
	const ctk = `cuda-toolkit[cublas,cudart,cufft,curand,cusolver,cusparse,nvrtc]==12.*; extra == "ctk"`
	cupy := convert.GPU{Wheel: "cupy-cuda12x 14.2.0", Linked: []string{"12"}, Release: "12"}
	ort := convert.GPU{Wheel: "onnxruntime-gpu 1.31.1", Linked: []string{"13"}}
	bits := convert.GPU{Wheel: "bitsandbytes 0.50.2", Linked: []string{"11", "12", "13"}}
	cupyLayer := func(w *gpuWorld, env string) {
		w.wheel(env, "cupy-cuda12x", "14.2.0", ctk, "numpy")
		w.layer("wheels", env, []convert.GPU{cupy}, []string{"wheel:cupy-cuda12x", "a.so", "libcublas.so.12", "libnccl.so.2", "libc.so.6"}, []string{"wheel:cupy-cuda12x", "b.so", "libcufft.so.11"})
	}
	const asks = `cupy-cuda12x 14.2.0: made for CUDA 12.0, so the image asks for driver 525.60.13 or newer; without a GPU it does not start, unless the recipe says start { no_gpu = "warn" }`
	const misses = "cupy-cuda12x 14.2.0 is linked with libcublas.so.12, libcufft.so.11, which nothing in the image brings: require cupy-cuda12x[ctk], or take a base image that has them"
	for _, tt := range []struct {
		name  string
		noGPU string
		fill  func(w *gpuWorld)
		want  []string
	}{
		{"no wheel for GPUs: no index is read", "stop", func(w *gpuWorld) { w.made = []convert.Made{{Layer: lock.Layer{Kind: "wheels"}, Index: "gone"}} }, nil},
		{"cupy alone", "stop", func(w *gpuWorld) { cupyLayer(w, "") }, []string{asks, misses}},
		{"the recipe lets it start", "warn", func(w *gpuWorld) { cupyLayer(w, "") }, []string{strings.Split(asks, ";")[0], misses}},
		{"its libraries are in another layer", "stop", func(w *gpuWorld) {
			cupyLayer(w, "")
			w.layer("wheels", "", nil, []string{"wheel:nvidia-cublas-cu12", "libcublas.so.12"}, []string{"wheel:nvidia-cufft-cu12", "libcufft.so.11"})
		}, []string{asks}},
		{"one is a package's, one is missing", "stop", func(w *gpuWorld) {
			cupyLayer(w, "")
			w.layer("debian", "", nil, []string{"deb:libcublas12", "libcublas.so.12"})
		}, []string{asks, strings.Replace(misses, "libcublas.so.12, ", "", 1)}},
		{"they are in another environment", "stop", func(w *gpuWorld) {
			cupyLayer(w, "")
			w.layer("wheels", "serve", nil, []string{"wheel:nvidia-cublas-cu12", "libcublas.so.12"}, []string{"wheel:nvidia-cufft-cu12", "libcufft.so.11"})
		}, []string{asks, misses}},
		{"they are in the image's own environment, and the wheel in another", "stop", func(w *gpuWorld) {
			cupyLayer(w, "serve")
			w.layer("wheels", "", nil, []string{"wheel:nvidia-cublas-cu12", "libcublas.so.12"}, []string{"wheel:nvidia-cufft-cu12", "libcufft.so.11"})
		}, []string{asks, misses}},
		{"a wheel that another asks for", "warn", func(w *gpuWorld) {
			w.wheel("", "nvidia-nccl-cu13", "2.32.3")
			w.li.Wheels[0].RequiredBy = []string{"xgboost"}
			w.layer("wheels", "", []convert.GPU{{Wheel: "nvidia-nccl-cu13 2.32.3", Release: "13"}}, []string{"wheel:nvidia-nccl-cu13", "a.so"})
		}, []string{"nvidia-nccl-cu13 2.32.3 (for xgboost): made for CUDA 13.0, so the image asks for driver 580.65.06 or newer"}},
		{"extras of the wheel and more", "warn", func(w *gpuWorld) {
			w.wheel("", "onnxruntime-gpu", "1.31.1", `nvidia-cuda-runtime~=13.0; extra == "cuda"`, `nvidia-cudnn-cu13~=9.0; extra == 'cudnn'`, `sympy; extra == "symbolic"`)
			w.layer("wheels", "", []convert.GPU{ort}, []string{"wheel:onnxruntime-gpu", "a.so", "libcudart.so.13", "libcublas.so.13", "libcudnn.so.9"})
		}, []string{"onnxruntime-gpu 1.31.1: made for CUDA 13.0, so the image asks for driver 580.65.06 or newer",
			"onnxruntime-gpu 1.31.1 is linked with libcublas.so.13, libcudart.so.13, libcudnn.so.9, which nothing in the image brings: require onnxruntime-gpu[cuda,cudnn] and nvidia-cublas, or take a base image that has them"}},
		{"no extras", "warn", func(w *gpuWorld) {
			w.wheel("", "x-cu12", "1")
			w.layer("wheels", "", []convert.GPU{{Wheel: "x-cu12 1", Linked: []string{"12"}, Release: "12"}}, []string{"wheel:x-cu12", "a.so", "libcudart.so.12", "libnvJitLink.so.12", "libcudnn.so.9", "libcublasLt.so.12"})
		}, []string{"x-cu12 1: made for CUDA 12.0, so the image asks for driver 525.60.13 or newer",
			"x-cu12 1 is linked with libcublasLt.so.12, libcudart.so.12, libcudnn.so.9, libnvJitLink.so.12, which nothing in the image brings: require nvidia-cublas-cu12 and nvidia-cuda-runtime-cu12 and nvidia-cudnn-cu12 and nvidia-nvjitlink-cu12, or take a base image that has them"}},
		{"one of several", "stop", func(w *gpuWorld) {
			w.wheel("", "bitsandbytes", "0.50.2")
			w.layer("wheels", "", []convert.GPU{bits}, []string{"wheel:bitsandbytes", "a.so", "libcudart.so.13"})
			w.made[0].CUDA = "12.8"
		}, nil},
		{"several, and none is there", "stop", func(w *gpuWorld) {
			w.wheel("", "bitsandbytes", "0.50.2")
			w.layer("wheels", "", []convert.GPU{bits}, []string{"wheel:bitsandbytes", "a.so", "libcudart.so.13"})
		}, []string{"bitsandbytes 0.50.2 has code for CUDA 11, 12, 13, and none of them is in the image: it is taken to run without a GPU, and no driver is checked at a start"}},
		{"code alone", "stop", func(w *gpuWorld) {
			w.wheel("", "tensorflow", "2.21.0", `nvidia-cublas-cu12<13.0,>=12.5; extra == "and-cuda"`)
			w.layer("wheels", "", []convert.GPU{{Wheel: "tensorflow 2.21.0"}}, []string{"wheel:tensorflow", "a.so"})
		}, []string{"tensorflow 2.21.0 has code for GPUs, and nothing in the image states a CUDA release: it is taken to run without a GPU, and no driver is checked at a start; tensorflow[and-cuda] brings CUDA's libraries"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			st, err := store.Open(t.TempDir() + "/store")
			if err != nil {
				t.Fatal(err)
			}
			w := &gpuWorld{t: t, st: st, li: &lock.Image{}}
			tt.fill(w)
			im := &recipes.Image{Platform: "linux/amd64", Start: recipes.Start{NoGPU: tt.noGPU}}
			if w.li.Derived, err = Derive(im, w.li, w.made); err != nil {
				t.Fatal(err)
			}
			got, err := GPUNotes(im, nil, w.li, w.made, st)
			if d := cmp.Diff(tt.want, got); err != nil || d != "" {
				t.Errorf("%v %s", err, d)
			}
		})
	}
}

// torch for CUDA 12 and xgboost for CUDA 13 bring one file each.
func TestAConflictSaysForWhomTheWheelsAreThere(t *testing.T) {
	li := &lock.Image{Wheels: []lock.Wheel{{Name: "nvidia-nccl-cu12", RequiredBy: []string{"torch"}}, {Name: "nvidia-nccl-cu13", RequiredBy: []string{"xgboost"}, Requested: true},
		{Environment: "b", Name: "nvidia-nccl-cu12", RequiredBy: []string{"cupy", "torch"}}}}
	err := Refused(fmt.Errorf("making: %w", &convert.ConflictError{A: "nvidia-nccl-cu12", B: "nvidia-nccl-cu13", Reason: `"nccl.h" differs`}), li, nil)
	if want := `making: "nccl.h" differs (nvidia-nccl-cu12 for cupy and torch, nvidia-nccl-cu13 for the recipe and xgboost)`; err.Error() != want {
		t.Errorf("%v\nwant %s", err, want)
	}
}
