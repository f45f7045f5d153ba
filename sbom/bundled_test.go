package sbom

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestStems(t *testing.T) {
	for base, want := range map[string]string{
		"libz-a147dcb0.so.1.2.11":                "libz",
		"libz.cac6d5fc.so.1":                     "libz",
		"libgomp-24e2ab19.so.1.0.0":              "libgomp",
		"libgfortran-040039e1-0352e75f.so.5.0.0": "libgfortran",
		"libscipy_openblas64_-8fb3d286.so":       "libscipy_openblas64_",
		"libcublas.so.12":                        "libcublas",
		"libstdc++-6bb9a0f2.so.6":                "libstdc++",
		"libnvrtc-builtins.so.12.8":              "libnvrtc-builtins",
		"_rust.abi3.so":                          "_rust.abi3",
		"libxcb-b8a56d01.so.1.1.0":               "libxcb",
	} {
		if got := stemOf(base); got != want {
			t.Errorf("%s has stem %q, should be %q", base, got, want)
		}
	}
}

// A55: libraries in wheels are listed, without a version where nothing says which release they are.
func TestBundledLibrariesSayWhatTheyAre(t *testing.T) {
	pad := strings.Repeat("\x00", 3<<20) // the release lies behind what is read at once
	carry := func(name, version string, libs files) files {
		w := wheel(name, version)
		for p, content := range libs {
			w[site+p] = content
			for r := range w {
				if strings.HasSuffix(r, "RECORD") {
					w[r] += p + ",,\n"
				}
			}
		}
		return w
	}
	inv := listed(t, join(
		carry("pillow", "13.0.0", files{
			"pillow.libs/libz-a147dcb0.so.1":             "\x7fELF" + pad + " deflate 1.3.1 Copyright 1995-2024",
			"pillow.libs/libcrypto-0123abcd.so.3":        "\x7fELF" + pad + "OpenSSL 3.0.13 30 Jan 2024\x00",
			"pillow.libs/libgomp-24e2ab19.so.1":          "\x7fELFGCC: (GNU) 14.2.1 20250110",
			"pillow.libs/libxcb-b8a56d01.so.1":           "\x7fELF",
			"pillow.libs/libXau-154567c4.so.6.0.0":       "\x7fELF\x00libXau.so.6.0.0-1.0.9-3.el8.x86_64.debug\x00",
			"pillow.libs/libbrotlidec-7e5462ba.so.1.2.0": "\x7fELF",
			"pillow.libs/libzstd-40ad5e7e.so.1":          "\x7fELF\x001.5.7\x00",
			"pillow.libs/libwebp-51b0b3f7.so.7.2.0":      "\x7fELF",
		}),
		carry("nvidia-cublas-cu12", "12.8.4.1", files{"nvidia/cublas/lib/libcublas.so.12": "\x7fELF"}),
		carry("nvidia-cuda-cupti", "13.0.85", files{"nvidia/cu13/lib/libcupti.so.13": "\x7fELF", "nvidia/cu13/lib/libnvperf_host.so": "\x7fELF"}),
		carry("nvidia-nccl-cu12", "2.27.5", files{"nvidia/nccl/lib/libnccl.so.2": "\x7fELF" + pad + "NCCL version 2.26.2+cuda12.2"}),
		carry("torch", "2.9.1", files{"torch/lib/libgomp.so.1": "\x7fELF\x00libgomp.so.1.0.0-8.5.0-28.el8_10.alma.1.x86_64.debug\x00", "torch/lib/libc10.so": "\x7fELF", "torch/lib/libcudart-0123abcd.so.12": "\x7fELF"}),
		files{site + "loose.libs/libz-a147dcb0.so.1": "\x7fELF deflate 1.2.11 Copyright"},
	))
	id := map[string]string{}
	for _, p := range inv.Packages {
		id[p.ID] = p.Name
	}
	var got []string
	for _, p := range inv.Packages {
		if p.Type == "binary" {
			got = append(got, strings.TrimSpace(p.Name+" "+p.Version)+" in "+id[p.BundledIn])
		}
	}
	want := []string{"brotli 1.2.0 in pillow", "libXau 1.0.9 in pillow", "libcublas 12.8.4.1 in nvidia-cublas-cu12", "libcudart in torch", "libcupti 13.0.85 in nvidia-cuda-cupti",
		"libgomp 14.2.1 in pillow", "libgomp 8.5.0 in torch", "libnccl 2.26.2 in nvidia-nccl-cu12", "libnvperf_host in nvidia-cuda-cupti", "libwebp in pillow", "libxcb in pillow",
		"openssl 3.0.13 in pillow", "zlib 1.3.1 in pillow", "zstd 1.5.7 in pillow"}
	slices.Sort(got)
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}
