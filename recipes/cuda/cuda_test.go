package cuda

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestDriversOfACUDARelease(t *testing.T) {
	for _, row := range []struct{ cuda, minimum, recommended string }{
		{"12.8", "525.60.13", "570.124.06"},
		{"12.8.1", "525.60.13", "570.124.06"},
		{"12.8.0", "525.60.13", "570.26"},
		{"12.8.2", "525.60.13", "unknown"}, // on PyPI, not in NVIDIA's table
		{"12.7", "525.60.13", "unknown"},   // never existed: by the major version
		{"12.99", "525.60.13", "unknown"},
		{"13.0", "580.65.06", "580.95.05"},
		{"13.0.3.0", "580.65.06", "unknown"},
		{"13.0.2.0", "580.65.06", "580.95.05"},
		{"13.5", "580.65.06", "unknown"},
		{"13.2", "580.65.06", "595.71.05"},
		{"11.8", "450.80.02", "520.61.05"},
		{"11.0", "450.36.06", "450.51.06"},
		{"11.9", "450.80.02", "unknown"},
		{"14.0", "unknown", "unknown"},
		{"10.2", "unknown", "unknown"},
		{"twelve", "unknown", "unknown"},
		{"", "unknown", "unknown"},
	} {
		minimum, ok := MinimumDriver(row.cuda)
		if minimum.String() != row.minimum || ok != (row.minimum != "unknown") {
			t.Errorf("minimum driver of CUDA %s = %s, %v, want %s", row.cuda, minimum, ok, row.minimum)
		}
		recommended, ok := Recommended(row.cuda)
		if recommended.String() != row.recommended || ok != (row.recommended != "unknown") {
			t.Errorf("recommended driver of CUDA %s = %s, %v, want %s", row.cuda, recommended, ok, row.recommended)
		}
	}
}

func TestHighestCUDA(t *testing.T) {
	for _, row := range []struct {
		versions []string
		want     string
	}{
		{[]string{"12.8.90", "12.8.93"}, "12.8"},
		{[]string{"12.9.86", "12.10.1", "12.8.90"}, "12.10"},
		{[]string{"13.0.3.0", "13.5.37"}, "13.5"},
		{[]string{"12.8"}, "12.8"},
		{nil, ""},
		{[]string{"12.8.90", "nightly"}, ""},
	} {
		got, err := Highest(row.versions...)
		if got != row.want || (err == nil) != (row.want != "") {
			t.Errorf("highest of %q = %q, %v, want %q", row.versions, got, err, row.want)
		}
	}
}

func TestCapabilities(t *testing.T) {
	for _, text := range []string{"8.0", "9.0a", "10.0f", "12.1", "3.5"} {
		if c, err := ParseCapability(text); err != nil || c.String() != text {
			t.Errorf("%q became %q, %v", text, c, err)
		}
	}
	for _, text := range []string{"", "8", "80", "8.", ".0", "08.0", "8.00", "8.0b", "8.0aa", "+8.0", "8.-1", "100.0", "0.5", "sm_80", "8.0 "} {
		if c, err := ParseCapability(text); err == nil {
			t.Errorf("%q became %s", text, c)
		}
	}
}

func TestDoesCodeRun(t *testing.T) {
	for _, row := range []struct {
		name, sm, ptx, gpu string
		want               Code
	}{
		{"same", "8.0", "", "8.0", Native},
		{"higher minor", "8.6", "", "8.9", Native},
		{"lower minor", "8.6", "", "8.0", None},
		{"Hopper code on Hopper", "9.0", "", "9.0", Native},
		{"Blackwell does not fall back to Hopper", "9.0", "", "12.0", None},
		{"consumer Blackwell is not data-centre Blackwell", "10.0", "", "12.0", None},
		{"B300 runs B200 code", "10.0", "", "10.3", Native},
		{"GB10 runs RTX 50 code", "12.0", "", "12.1", Native},
		{"Turing runs Volta code", "7.0", "", "7.5", Native},
		{"Volta does not run Turing code", "7.5", "", "7.0", None},
		{"9.0a on its chip", "9.0a", "", "9.0", Native},
		{"10.0a not on 10.3", "10.0a", "", "10.3", None},
		{"10.0f in its family", "10.0f", "", "10.3", Native},
		{"10.0f not in another", "10.0f", "", "12.0", None},
		{"PTX on a later major version", "8.0", "9.0", "12.0", PTX},
		{"PTX not on an earlier one", "7.5", "12.0", "7.0", None},
		{"PTX on a later minor version", "", "8.0", "8.6", PTX},
		{"native before PTX", "12.0", "12.0", "12.0", Native},
		{"9.0a PTX only on its chip", "", "9.0a", "10.0", None},
		{"9.0a PTX on its chip", "", "9.0a", "9.0", PTX},
		{"10.0f PTX in its family", "", "10.0f", "10.3", PTX},
		{"10.0f PTX not in another", "", "10.0f", "12.0", None},
		{"desktop code is not promised on Orin", "8.0 8.6", "", "8.7", None},
		{"Orin's own code", "8.7", "", "8.7", Native},
		{"Orin's code not on Ada", "8.7", "", "8.9", None},
		{"Xavier's code not on Turing", "7.2", "", "7.5", None},
		{"PTX on Orin", "8.0", "8.0", "8.7", PTX},
		{"Thor's own code", "11.0", "", "11.0", Native},
		{"nothing", "", "", "8.0", None},
	} {
		t.Run(row.name, func(t *testing.T) {
			gpu, err := ParseCapability(row.gpu)
			if err != nil {
				t.Fatal(err)
			}
			if got := Runs(caps(t, row.sm), caps(t, row.ptx), gpu); got != row.want {
				t.Errorf("code %q, PTX %q on %s: %s, want %s", row.sm, row.ptx, row.gpu, got, row.want)
			}
		})
	}
}

func caps(t *testing.T, text string) []Capability {
	t.Helper()
	c, err := Capabilities(strings.Fields(text))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestLastDriver(t *testing.T) {
	for _, row := range []struct {
		gpu  string
		want int
	}{{"3.5", 470}, {"3.7", 470}, {"5.2", 580}, {"6.1", 580}, {"7.0", 580}, {"7.2", 580}, {"7.5", 0}, {"8.0", 0}, {"9.0", 0}, {"12.0", 0}} {
		gpu, _ := ParseCapability(row.gpu)
		if got, ended := LastDriver(gpu); got != row.want || ended != (row.want != 0) {
			t.Errorf("last driver of %s = %d, %v, want %d", row.gpu, got, ended, row.want)
		}
	}
}

func TestGPUNames(t *testing.T) {
	for _, row := range []struct{ name, want string }{
		// as drivers print them in /proc/driver/nvidia/gpus/*/information
		{"NVIDIA H100 80GB HBM3", "9.0"},
		{"NVIDIA H100 PCIe", "9.0"},
		{"NVIDIA H200 NVL", "9.0"},
		{"NVIDIA GH200 480GB", "9.0"},
		{"NVIDIA GB200", "10.0"},
		{"NVIDIA B300 SXM6 AC", ""}, // AC is no known qualifier
		{"NVIDIA A100-SXM4-40GB", "8.0"},
		{"NVIDIA A100 80GB PCIe", "8.0"},
		{"NVIDIA A100-SXM4-40GB MIG 1g.5gb", "8.0"},
		{"NVIDIA H100 80GB HBM3 MIG 1c.3g.40gb", ""},
		{"GRID A100D-40C", ""},
		{"NVIDIA A100-40C", "8.0"},
		{"GRID V100-8Q", "7.0"},
		{"Tesla V100-SXM2-16GB", "7.0"},
		{"Tesla V100S-PCIE-32GB", "7.0"},
		{"Tesla V100-DGXS-32GB", "7.0"},
		{"Tesla T4", "7.5"},
		{"NVIDIA L40S", "8.9"},
		{"NVIDIA A10G", "8.6"},
		{"Tesla P100-PCIE-16GB", "6.0"},
		{"Quadro RTX 6000", "7.5"},
		{"NVIDIA RTX 6000 Ada Generation", "8.9"},
		{"NVIDIA RTX 4000 SFF Ada Generation", "8.9"},
		{"NVIDIA RTX A6000", "8.6"},
		{"NVIDIA RTX PRO 6000 Blackwell Max-Q Workstation Edition", "12.0"},
		{"NVIDIA RTX PRO 6000 Blackwell Server Edition", "12.0"},
		{"NVIDIA GeForce RTX 2070 Super with Max-Q Design", "7.5"},
		{"NVIDIA GeForce RTX 3080 Ti Laptop GPU", "8.6"},
		{"NVIDIA GeForce RTX 4060 Ti", "8.9"},
		{"NVIDIA GeForce RTX 5090 D v2", "12.0"},
		{"GeForce GTX 1080 Ti", "6.1"},
		{"GeForce GTX TITAN X", "5.2"},
		{"NVIDIA TITAN X (Pascal)", ""},
		{"NVIDIA TITAN Xp", "6.1"},
		{"NVIDIA TITAN RTX", "7.5"},
		{"NVIDIA Jetson AGX Orin Developer Kit", "8.7"},
		{"NVIDIA GB10", "12.1"},
		// as people write them
		{"h100", "9.0"},
		{"V100", "7.0"},
		{"RTX4090", "8.9"},
		{"rtx-5090", "12.0"},
		{"RTX 3090Ti", "8.6"},
		{"GTX1080TI", "6.1"},
		{"4090", "8.9"},
		{"1080 Ti", "6.1"},
		{"4070super", "8.9"},
		{"A6000", "8.6"},
		{"Quadro RTX A6000", "8.6"},
		{"RTX 6000 Ada", "8.9"},
		{"RTX PRO 6000", "12.0"},
		{"DGX Spark", "12.1"},
		{"DGX H100", "9.0"},
		{"a100-80gb", "8.0"},
		{"A30", "8.0"}, {"A40", "8.6"}, {"A10", "8.6"}, {"L4", "8.9"}, {"L40", "8.9"}, {"B100", "10.0"}, {"B200", "10.0"}, {"B300", "10.3"}, {"K80", "3.7"}, {"RTX 2080", "7.5"},
		// unknown is said, never guessed
		{"RTX 6000", ""},
		{"GTX 960M", ""}, // Maxwell 5.0, where GTX 960 is 5.2
		{"NVIDIA Graphics Device", ""},
		{"H1000", ""},
		{"NVIDIA R100", ""},
		{"Radeon RX 7900", ""},
		{"NVIDIA", ""},
		{"6000", ""},
		{"8.0", ""},
		{"", ""},
		{"H100\x1b[31m", ""},
		{strings.Repeat("NVIDIA ", 100), ""},
	} {
		gpu, ok := FindGPU(row.name)
		got := ""
		if ok {
			got = gpu.Capability.String()
		}
		if got != row.want {
			t.Errorf("%q is found as %s %q, want %q", row.name, gpu.Name, got, row.want)
		}
	}
}

func TestParseGPU(t *testing.T) {
	for text, want := range map[string]string{"8.0": "8.0", "h100": "9.0", "12.1": "12.1"} {
		if c, err := ParseGPU(text); err != nil || c.String() != want {
			t.Errorf("%q = %s, %v, want %s", text, c, err, want)
		}
	}
	for text, near := range map[string]string{
		"RTX 6000":          "RTX PRO 6000, RTX 6000 ADA, QUADRO RTX 6000",
		"H1O0":              "H100",
		"9.0a":              "",
		"Gaudi accelerator": "",
	} {
		_, err := ParseGPU(text)
		var unknown *UnknownGPUError
		if !errors.As(err, &unknown) {
			t.Errorf("%q: %v", text, err)
			continue
		}
		if near != "" && strings.Join(unknown.Nearest, ", ") != near {
			t.Errorf("%q: near names %q, want %q", text, unknown.Nearest, near)
		}
	}
}

func TestTorchVariants(t *testing.T) {
	row, ok := Torch("2.9.1", "", "linux/amd64")
	if !ok || row.CUDA != "12.8" || row.Index != "cu128" || !row.Default || row.Channel != Stable || len(row.PTX) != 0 || !row.Known() {
		t.Errorf("torch 2.9.1 on PyPI: %+v, %v", row, ok)
	}
	if diff := cmp.Diff([]string{"7.0", "7.5", "8.0", "8.6", "9.0", "10.0", "12.0"}, texts(row.SM)); diff != "" {
		t.Error(diff)
	}
	if row, _ := Torch("2.9", "13.0", "x86_64"); row.Torch != "2.9.1" || row.Channel != Experimental || texts(row.PTX)[0] != "12.0" {
		t.Errorf("torch 2.9 for CUDA 13.0: %+v", row)
	}
	if row, ok := Torch("2.13.0", "", "arm64"); !ok || row.CUDA != "13.0" {
		t.Errorf("torch 2.13.0 for aarch64: %+v, %v", row, ok)
	}
	for _, missing := range [][3]string{{"2.9.1", "12.4", "amd64"}, {"2.99.0", "", "amd64"}, {"2.9.1", "", "arm64"}, {"2", "", "amd64"}, {"2.1", "12.8", "amd64"}, {"2.9.1", "12.8", "riscv64"}} {
		if row, ok := Torch(missing[0], missing[1], missing[2]); ok {
			t.Errorf("%q was found: %+v", missing, row)
		}
	}
	if r := Releases(); r[0] != "2.15.0" || r[len(r)-1] != "2.0.0" {
		t.Errorf("releases %q", r)
	}
	for version, want := range map[string]bool{"2.9.1": true, "2.14.0": true, "2.14.1": false, "2.15.0": false, "9.9.9": false} {
		if Complete(version, "amd64") != want {
			t.Errorf("complete %s is %v", version, !want)
		}
	}
	if Complete("2.14.0", "arm64") {
		t.Error("a missing aarch64 row means not recorded")
	}
}

func texts(cs []Capability) []string {
	var out []string
	for _, c := range cs {
		out = append(out, c.String())
	}
	return out
}

func TestPythonsOfAVariant(t *testing.T) {
	for _, row := range []struct {
		torch, cuda, python string
		ok, experimental    bool
	}{
		{"2.9.1", "12.8", "3.10", true, false},
		{"2.9.1", "12.8", "3.14", true, false},
		{"2.9.1", "12.8", "3.13.5", true, false},
		{"2.9.1", "12.8", "3.9", false, false},
		{"2.9.1", "12.8", "3.15", false, false},
		{"2.9.1", "12.8", "3.1", false, false}, // not 3.10
		{"2.5.1", "12.4", "3.13", true, true},
		{"2.14.0", "13.2", "3.15", true, false},
		{"2.14.0", "13.2", "3.15t", true, true},
		{"2.14.0", "13.2", "3.14t", false, false},
		{"2.9.1", "12.8", "three", false, false},
	} {
		r, ok := Torch(row.torch, row.cuda, "x86_64")
		if !ok {
			t.Fatalf("no row for torch %s", row.torch)
		}
		if ok, exp := r.Supports(row.python); ok != row.ok || exp != row.experimental {
			t.Errorf("torch %s on Python %s: %v, %v", row.torch, row.python, ok, exp)
		}
	}
}
