package convert

import (
	"debug/elf"
	"encoding/binary"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/forge-build/forge/builder/layer"
	"github.com/forge-build/forge/builder/wheel"
	"github.com/forge-build/forge/recipes"
	"github.com/forge-build/forge/recipes/lock"
)

// sharedLibrary is an ELF file of a wheel: what it is linked with, and whether it holds code for GPUs.
func sharedLibrary(owner string, code bool, needed ...string) layer.Entry {
	e := layer.Entry{Path: "opt/venv/lib/" + owner + ".so", Type: layer.Regular, Owner: "wheel:" + owner, ELF: &layer.ELF{Kind: 3, Machine: 62, Needed: append(needed, "libc.so.6")}}
	if code {
		e.ELF.Sections = []string{".text", ".nv_fatbin", ".nvFatBinSegment"}
	}
	return e
}

// What real wheels have, read with readelf: cupy-cuda12x 14.2.0, faiss-gpu-cu12 1.14.1, onnxruntime-gpu
// 1.31.1, bitsandbytes 0.50.2, jax-cuda12-plugin 0.12.0.1, xgboost 3.4.1, tensorflow 2.21.0, numba 0.68.1.
func TestWhatWheelsSayOfCUDA(t *testing.T) {
	other := sharedLibrary("stub", true, "libcudart.so.12")
	other.ELF.Machine = 183
	object := sharedLibrary("object", true, "libcudart.so.12")
	object.ELF.Kind = 1
	for _, tt := range []struct {
		name, version string
		files         []layer.Entry
		want          *GPU
	}{
		{"cupy-cuda12x", "14.2.0", []layer.Entry{sharedLibrary("cupy-cuda12x", true), sharedLibrary("cupy-cuda12x", false, "libcufft.so.11"), sharedLibrary("cupy-cuda12x", false, "libnvrtc.so.12")}, &GPU{Linked: []string{"12"}, Release: "12"}},
		{"faiss-gpu-cu12", "1.14.1", []layer.Entry{sharedLibrary("faiss-gpu-cu12", true, "libcudart.so.12", "libcublas.so.12")}, &GPU{Linked: []string{"12"}, Release: "12"}},
		{"onnxruntime-gpu", "1.31.1", []layer.Entry{sharedLibrary("onnxruntime-gpu", false), sharedLibrary("onnxruntime-gpu", true, "libcublasLt.so.13", "libcurand.so.10", "libcuda.so.1")}, &GPU{Linked: []string{"13"}}},
		{"bitsandbytes", "0.50.2", []layer.Entry{sharedLibrary("bitsandbytes", true, "libcudart.so.13"), sharedLibrary("bitsandbytes", true, "libcudart.so.11.0", "libcublas.so.11"), sharedLibrary("bitsandbytes", true, "libcudart.so.12")}, &GPU{Linked: []string{"11", "12", "13"}}},
		{"jax-cuda12-plugin", "0.12.0.1", []layer.Entry{sharedLibrary("jax-cuda12-plugin", true)}, &GPU{Release: "12"}},
		{"nvidia-nccl-cu13", "2.30.1", []layer.Entry{sharedLibrary("nvidia-nccl-cu13", true)}, &GPU{Release: "13"}},
		{"nvidia-dali-cuda120", "1.50.0", []layer.Entry{sharedLibrary("nvidia-dali-cuda120", false)}, &GPU{Release: "12"}},
		{"torchvision", "0.24.1+cu128", []layer.Entry{sharedLibrary("torchvision", true, "libcudart.so.12")}, &GPU{Linked: []string{"12"}, Release: "12.8"}},
		{"torch-scatter", "2.1.2+pt29cu130", []layer.Entry{sharedLibrary("torch-scatter", true)}, &GPU{Release: "13.0"}},
		{"flash-attn", "2.8.3+cu12torch2.9", []layer.Entry{sharedLibrary("flash-attn", true)}, &GPU{Release: "12"}},
		{"torch", "2.0.1", []layer.Entry{sharedLibrary("torch", true, "libcudart-d0da41ae.so.11.0")}, &GPU{Linked: []string{"11"}}},
		{"xgboost", "3.4.1", []layer.Entry{sharedLibrary("xgboost", true)}, &GPU{}},
		{"driver-only", "1.0", []layer.Entry{sharedLibrary("driver-only", false, "libcuda.so.1")}, &GPU{}},
		{"fft", "1.0", []layer.Entry{sharedLibrary("fft", false, "libcufft.so.11")}, &GPU{}},
		{"numba", "0.68.1", []layer.Entry{sharedLibrary("numba", false)}, nil},
		{"torch", "2.9.1+cpu", []layer.Entry{sharedLibrary("torch", false)}, nil},
		{"icu12", "1.0", []layer.Entry{sharedLibrary("icu12", false)}, nil},
		{"focus", "1.0+focus12", []layer.Entry{sharedLibrary("focus", false)}, nil},
		{"names-cu12", "1.0", nil, nil}, // Python alone
		{"stub", "1.0", []layer.Entry{other}, nil},
		{"object", "1.0", []layer.Entry{object}, nil},
	} {
		var made Made
		made.gpus(&layer.Index{Entries: append(tt.files, sharedLibrary("another", true, "libcudart.so.99"))}, "linux/amd64", []*member{{wheel: &wheel.Wheel{Name: tt.name, Version: tt.version}}})
		var want []GPU
		if tt.want != nil {
			tt.want.Wheel = tt.name + " " + tt.version
			want = []GPU{*tt.want}
		}
		if d := cmp.Diff(want, made.GPUs); d != "" {
			t.Errorf("%s %s: %s", tt.name, tt.version, d)
		}
	}
}

// The CUDA of an image is that which is carried, unless a wheel is made for a newer one.
func TestTheDriverIsThatOfWhatWheelsAreMadeFor(t *testing.T) {
	cupy, ort := GPU{"cupy-cuda12x 14.2.0", []string{"12"}, "12"}, GPU{"onnxruntime-gpu 1.31.1", []string{"13"}, ""}
	bits, xgb, nccl := GPU{"bitsandbytes 0.50.2", []string{"11", "12", "13"}, ""}, GPU{"xgboost 3.4.1", nil, ""}, GPU{"nvidia-nccl-cu13 2.30", nil, "13"}
	old, label := GPU{"old 1", []string{"11"}, ""}, GPU{"a 1+cu129", nil, "12.9"}
	for _, tt := range []struct {
		name    string
		carried string
		gpus    []GPU
		want    lock.Derived
	}{
		{"nothing", "", nil, lock.Derived{}},
		{"cupy alone", "", []GPU{cupy}, lock.Derived{CUDA: "12.0", Driver: "525.60.13", Recommended: "unknown", GPUWheels: []string{"cupy-cuda12x 14.2.0"}}},
		{"cupy with its libraries", "12.9", []GPU{cupy}, lock.Derived{CUDA: "12.9", Driver: "525.60.13", Recommended: "575.57.08"}},
		{"cupy for CUDA 12 beside CUDA 13", "13.0", []GPU{cupy}, lock.Derived{CUDA: "13.0", Driver: "580.65.06", Recommended: "580.95.05"}},
		{"CUDA 11's first release asks for less than the others", "", []GPU{old}, lock.Derived{CUDA: "11.1", Driver: "450.80.02", Recommended: "unknown", GPUWheels: []string{"old 1"}}},
		{"two, and the newer decides", "", []GPU{cupy, ort, nccl}, lock.Derived{CUDA: "13.0", Driver: "580.65.06", Recommended: "unknown", GPUWheels: []string{"nvidia-nccl-cu13 2.30", "onnxruntime-gpu 1.31.1"}}},
		{"onnxruntime for CUDA 13 beside torch for 12.8", "12.8", []GPU{ort}, lock.Derived{CUDA: "13.0", Driver: "580.65.06", Recommended: "unknown", GPUWheels: []string{"onnxruntime-gpu 1.31.1"}}},
		{"bitsandbytes takes what is there", "12.8", []GPU{bits}, lock.Derived{CUDA: "12.8", Driver: "525.60.13", Recommended: "570.124.06"}},
		{"bitsandbytes without CUDA", "", []GPU{bits}, lock.Derived{GPUWheels: []string{"bitsandbytes 0.50.2"}}},
		{"code of which nothing states a release", "", []GPU{xgb, xgb}, lock.Derived{GPUWheels: []string{"xgboost 3.4.1"}}},
		{"code of which another wheel states it", "", []GPU{xgb, nccl}, lock.Derived{CUDA: "13.0", Driver: "580.65.06", Recommended: "unknown", GPUWheels: []string{"nvidia-nccl-cu13 2.30"}}},
		{"a label is exact", "", []GPU{label, cupy}, lock.Derived{CUDA: "12.9", Driver: "525.60.13", Recommended: "575.57.08", GPUWheels: []string{"a 1+cu129"}}},
		{"a release that no table has", "", []GPU{{"new 1", []string{"19"}, ""}}, lock.Derived{CUDA: "19.0", Recommended: "unknown", GPUWheels: []string{"new 1"}}},
	} {
		made := []Made{{Layer: lock.Layer{Kind: "wheels"}, GPUs: tt.gpus}, {Layer: lock.Layer{Kind: "wheels"}, CUDA: tt.carried}}
		got, err := Derive(&recipes.Image{Platform: "linux/amd64"}, &lock.Image{}, made)
		if d := cmp.Diff(tt.want, got); err != nil || d != "" {
			t.Errorf("%s: %v %s", tt.name, err, d)
		}
	}
}

// The facts come with a layer, out of real ELF bytes.
func TestALayerKnowsItsWheelsForGPUs(t *testing.T) {
	b := newBench(t)
	b.add("plain", "1.0", file{name: "plain.so", content: elfFile(nil, "libc.so.6")})
	b.add("cupy-cuda12x", "14.2.0", file{name: "cupy/a.so", content: elfFile([]string{".nv_fatbin"}, "libcublas.so.12")})
	made := b.must(b.together())[0]
	want := []GPU{{"cupy-cuda12x 14.2.0", []string{"12"}, "12"}}
	if d := cmp.Diff(want, made.GPUs); d != "" {
		t.Error(d)
	}
	if again := b.must(b.together())[0]; !again.Reused || cmp.Diff(want, again.GPUs) != "" {
		t.Errorf("recalled: %v %v", again.Reused, again.GPUs)
	}
	if !strings.HasPrefix(made.Layer.DiffID, "sha256:") {
		t.Error(made.Layer)
	}
}

// elfFile is a shared library for x86-64 with sections of those names and linked with libraries, as
// small as the gABI allows.
func elfFile(sections []string, needed ...string) string {
	le := binary.LittleEndian
	const base, programs = 64, 2 * 56
	strtab, dynamic := "\x00", []byte{}
	for _, lib := range needed {
		dynamic = le.AppendUint64(le.AppendUint64(dynamic, uint64(elf.DT_NEEDED)), uint64(len(strtab)))
		strtab += lib + "\x00"
	}
	text := uint64(base + programs)
	at := text + uint64(len(strtab)) // of the dynamic section
	for _, entry := range [][2]uint64{{uint64(elf.DT_STRTAB), text}, {uint64(elf.DT_STRSZ), uint64(len(strtab))}, {uint64(elf.DT_NULL), 0}} {
		dynamic = le.AppendUint64(le.AppendUint64(dynamic, entry[0]), entry[1])
	}
	names, headers := "\x00", make([]byte, 64)
	for _, name := range append(sections, ".shstrtab") {
		h := make([]byte, 64)
		le.PutUint32(h, uint32(len(names)))
		le.PutUint32(h[4:], uint32(elf.SHT_PROGBITS))
		names += name + "\x00"
		headers = append(headers, h...)
	}
	last := headers[len(headers)-64:]
	le.PutUint32(last[4:], uint32(elf.SHT_STRTAB))
	le.PutUint64(last[24:], at+uint64(len(dynamic)))
	le.PutUint64(last[32:], uint64(len(names)))
	end := at + uint64(len(dynamic)+len(names))

	head := append([]byte("\x7fELF\x02\x01\x01"), make([]byte, 57)...)
	le.PutUint16(head[16:], uint16(elf.ET_DYN))
	le.PutUint16(head[18:], uint16(elf.EM_X86_64))
	le.PutUint32(head[20:], 1)
	le.PutUint64(head[32:], base)
	le.PutUint64(head[40:], end)
	for i, v := range []uint16{64, 56, 2, 64, uint16(len(headers) / 64), uint16(len(headers)/64 - 1)} {
		le.PutUint16(head[52+2*i:], v)
	}
	program := func(kind elf.ProgType, off, size uint64) []byte {
		p := make([]byte, 56)
		le.PutUint32(p, uint32(kind))
		for i, v := range []uint64{off, off, off, size, size, 8} {
			le.PutUint64(p[8+8*i:], v)
		}
		return p
	}
	return string(slices.Concat(head, program(elf.PT_LOAD, 0, end), program(elf.PT_DYNAMIC, at, uint64(len(dynamic))), []byte(strtab), dynamic, []byte(names), headers))
}
