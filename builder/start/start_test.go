package start

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// tree is a container's files: path → text. A path that ends in "/" is a folder.
type tree map[string]string

// with returns a copy with further files; "-" takes one away.
func (t tree) with(more tree) tree {
	out := tree{}
	for _, m := range []tree{t, more} {
		for k, v := range m {
			out[k] = v
			if v == "-" {
				delete(out, k)
			}
		}
	}
	return out
}

func (t tree) write(tb testing.TB) string {
	tb.Helper()
	root := tb.TempDir()
	for name, text := range t {
		path := filepath.Join(root, name)
		dir := filepath.Dir(path)
		if strings.HasSuffix(name, "/") {
			dir = path
		}
		if err := os.MkdirAll(dir, 0o755); err != nil {
			tb.Fatal(err)
		}
		if dir == path {
			continue
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			tb.Fatal(err)
		}
	}
	return root
}

func nvrm(version string) string {
	return "NVRM version: NVIDIA UNIX x86_64 Kernel Module  " + version + "  Wed Oct 25 02:27:01 UTC 2023\nGCC version:  gcc version 12.2.0 (GCC)\n"
}

func gpuText(model string, minor int) string {
	return fmt.Sprintf("Model: \t\t %s\nIRQ:   \t\t 10\nGPU UUID: \t GPU-9221d5d1-b60b-a624-bf14-0a1819cfda3b\nVideo BIOS: \t 96.00.99.00.01\nBus Type: \t PCIe\nBus Location: \t 0000:62:00.0\nDevice Minor: \t %d\n", model, minor)
}

const (
	version = "proc/driver/nvidia/version"
	module  = "sys/module/nvidia/version"
	gpu0    = "proc/driver/nvidia/gpus/0000:62:00.0/information"
	gpu1    = "proc/driver/nvidia/gpus/0000:63:00.0/information"
	lib     = "usr/lib/x86_64-linux-gnu/"
)

// whole is a container with everything right: an H100 and driver 570.124.06.
var whole = tree{
	"dev/nvidia0": "", "dev/nvidiactl": "", "dev/nvidia-uvm": "", "dev/nvidia-caps/nvidia-cap1": "",
	version: nvrm("570.124.06"), module: "570.124.06\n", gpu0: gpuText("NVIDIA H100 80GB HBM3", 0),
	lib + "libcuda.so.1": "", lib + "libcuda.so.570.124.06": "", lib + "libnvidia-ml.so.570.124.06": "",
}

func TestOutcomes(t *testing.T) {
	for _, row := range []struct {
		name   string
		tree   tree
		uid    int
		change func(*Config)
		accept []Outcome
		start  bool
		lines  []string // each line begins or goes on like this, in order
	}{
		{name: "all is well", tree: whole, start: true},
		{name: "no GPU", tree: tree{},
			lines: []string{"no-gpu: no GPU found, this image needs an NVIDIA GPU for CUDA 12.8; start the container with --gpus all (docker), --device nvidia.com/gpu=all (podman) or a limit of nvidia.com/gpu (Kubernetes); or set FORGE_INIT_ACCEPT=no-gpu to start anyway"}},
		{name: "no GPU, but the host has a driver", tree: whole.with(tree{"dev/nvidia0": "-"}),
			lines: []string{"no-gpu: no GPU in the container (the host has driver 570.124.06) found"}},
		{name: "the control node is no GPU", tree: tree{"dev/nvidiactl": "", "dev/nvidia-modeset": "", "dev/nvidia00": "", "dev/nvidia-1": ""}, lines: []string{"no-gpu: "}},
		{name: "no GPU, recipe says warn", tree: tree{}, change: set(NoGPU, Warn), start: true, lines: []string{"warning: no-gpu: no GPU found"}},
		{name: "no GPU, recipe says cpu", tree: tree{}, change: set(NoGPU, CPU), start: true,
			lines: []string{"warning: no-gpu: no GPU found, this image needs an NVIDIA GPU for CUDA 12.8; starting without one, with CUDA_VISIBLE_DEVICES set to nothing"}},
		{name: "no GPU, waived", tree: tree{}, accept: []Outcome{NoGPU}, start: true, lines: []string{"accepted by FORGE_INIT_ACCEPT: no-gpu: no GPU found"}},
		{name: "no GPU, another outcome waived", tree: tree{}, accept: []Outcome{OldDriver, NoDriver}, lines: []string{"no-gpu: "}},
		{name: "driver files missing", tree: tree{"dev/nvidia0": "", "dev/nvidia1": "", version: nvrm("570.124.06"), gpu0: gpuText("NVIDIA A100-SXM4-40GB", 0), gpu1: gpuText("NVIDIA A100-SXM4-40GB", 1)},
			lines: []string{"no-driver: no libcuda.so.1 for /dev/nvidia0 /dev/nvidia1 found, this image needs the driver's libraries beside the device; let the NVIDIA Container Toolkit"}},
		{name: "only NVML is no libcuda", tree: whole.with(tree{lib + "libcuda.so.1": "-", lib + "libcuda.so.570.124.06": "-", lib + "libcudart.so.12": ""}), lines: []string{"no-driver: "}},
		{name: "driver too old", tree: whole.with(tree{version: nvrm("520.61"), module: "520.61\n", lib + "libcuda.so.570.124.06": "-", lib + "libnvidia-ml.so.570.124.06": "-"}),
			lines: []string{"old-driver: driver 520.61 found, this image needs ≥ 525.60.13 for CUDA 12.8; update the NVIDIA driver of the host; or set FORGE_INIT_ACCEPT=old-driver to start anyway"}},
		{name: "driver too old, waived", tree: whole.with(tree{version: nvrm("470.82.01"), lib + "libcuda.so.570.124.06": "-"}), accept: []Outcome{OldDriver}, start: true,
			lines: []string{"accepted by FORGE_INIT_ACCEPT: old-driver: driver 470.82.01 found", "warning: driver-differs: the kernel has driver 470.82.01 (/proc/driver/nvidia/version), the libraries are of 570.124.06 (/usr/lib/x86_64-linux-gnu/libnvidia-ml.so.570.124.06)"}},
		{name: "525.105 is newer than 525.60", tree: driver("525.105.17"), start: true},
		{name: "GPU without code", tree: whole.with(tree{gpu0: gpuText("Tesla V100-SXM2-16GB", 0)}),
			lines: []string{`no-code: "Tesla V100-SXM2-16GB" (7.0) found, this image needs a GPU that it has code for (7.5 8.0 8.6 9.0, PTX 9.0); take an image built for this GPU`}},
		{name: "one of two GPUs without code", tree: whole.with(tree{"dev/nvidia1": "", gpu1: gpuText("Tesla V100-SXM2-16GB", 1)}), lines: []string{"no-code: "}},
		{name: "a host's GPU that the container was not given", tree: whole.with(tree{gpu1: gpuText("Tesla V100-SXM2-16GB", 1)}), start: true},
		{name: "root", tree: whole, uid: -1, lines: []string{"root: user 0 (root) found, this image needs an ordinary user"}},
		{name: "root, recipe says warn", tree: whole, uid: -1, change: set(Root, Warn), start: true, lines: []string{"warning: root: "}},
		{name: "root and no GPU: both at once", tree: tree{}, uid: -1, lines: []string{"root: ", "no-gpu: "}},
		{name: "no CUDA: nothing is checked", tree: tree{}, change: noCUDA, start: true},
		{name: "no CUDA: but root is", tree: tree{}, uid: -1, change: noCUDA, lines: []string{"root: "}},
		{name: "PTX with an old driver", tree: driver("550.54.15").with(tree{gpu0: gpuText("NVIDIA GeForce RTX 5090", 0)}), start: true,
			lines: []string{`warning: ptx-driver: this image has only PTX for "NVIDIA GeForce RTX 5090" (12.0), which needs driver ≥ 570.124.06 (recommended for CUDA 12.8); driver 550.54.15 may refuse it`}},
		{name: "PTX with the recommended driver", tree: whole.with(tree{gpu0: gpuText("NVIDIA GeForce RTX 5090", 0)}), start: true},
		{name: "PTX, recommended driver unknown", tree: whole.with(tree{gpu0: gpuText("NVIDIA GeForce RTX 5090", 0)}), change: func(c *Config) { c.Recommended = "unknown" }, start: true,
			lines: []string{`warning: ptx-driver: this image has only PTX for "NVIDIA GeForce RTX 5090" (12.0); whether driver 570.124.06 can compile it is unknown`}},
		{name: "unknown GPU", tree: whole.with(tree{gpu0: gpuText("NVIDIA R100\x1b[2J", 0)}), start: true, lines: []string{`warning: gpu-unknown: the compute capability of "NVIDIA R100\x1b[2J" is unknown`}},
		{name: "GPU without information", tree: whole.with(tree{gpu0: "-"}), start: true, lines: []string{"warning: gpu-unknown: the compute capability of a GPU whose name is not told is unknown"}},
		{name: "eight equal GPUs are named once", tree: eight(), lines: []string{`no-code: "Tesla P100-PCIE-16GB" (6.0) found, this image`}},
		{name: "image whose code is unknown", tree: whole, change: func(c *Config) { c.SM, c.PTX = nil, nil }, start: true, lines: []string{"warning: code-unknown: "}},
		{name: "image whose minimum is unknown", tree: whole, change: func(c *Config) { c.Driver = "" }, start: true, lines: []string{"warning: driver-unknown: which driver CUDA 12.8 needs is unknown"}},
		{name: "MIG UUIDs", tree: whole.with(tree{gpu0: "Model: NVIDIA A100-SXM4-40GB MIG 1g.5gb\nGPU UUID: MIG-GPU-9221d5d1-b60b-a624-bf14-0a1819cfda3b/7/0\nGPU UUID: MIG-9221d5d1-b60b-a624-bf14-0a1819cfda3b\n"}), start: true},
		{name: "WSL2", tree: tree{"dev/dxg": "", "usr/lib/wsl/lib/libcuda.so.1": "", "usr/lib/wsl/lib/libcuda.so.1.1": ""}, start: true,
			lines: []string{"warning: driver-unknown: the driver's version is unknown (WSL2 does not tell it)", "warning: gpu-unknown: "}},
		{name: "Jetson", tree: tree{"dev/nvgpu/igpu0/": "", version: nvrm("35.3.1"), "proc/device-tree/model": "NVIDIA Jetson AGX Orin Developer Kit\x00", "usr/lib/aarch64-linux-gnu/tegra/libcuda.so.1.1": ""}, start: true,
			change: func(c *Config) { c.SM = []string{"8.7"} }, lines: []string{"warning: driver-unknown: on Jetson"}},
		{name: "desktop code on Jetson", tree: tree{"dev/nvhost-gpu": "", "proc/device-tree/model": "NVIDIA Jetson AGX Orin Developer Kit\x00", "usr/lib/aarch64-linux-gnu/tegra/libcuda.so.1.1": ""},
			change: func(c *Config) { c.PTX = nil }, lines: []string{`no-code: "NVIDIA Jetson AGX Orin Developer Kit" (8.7)`, "warning: driver-unknown: on Jetson"}},

		// DRV-01: what the driver says of itself may be anything
		{name: "DRV-01 open kernel module", tree: whole.with(tree{version: "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  570.124.06  Release Build  (dvs-builder@U16)\n"}), start: true},
		{name: "DRV-01 garbage", tree: whole.with(tree{version: "\x00\xff\x1b[31mgarbage 1.2.3", module: "-", lib + "libcuda.so.570.124.06": "-", lib + "libnvidia-ml.so.570.124.06": "-"}), start: true,
			lines: []string{`warning: driver-unknown: the driver's version is unknown (/proc/driver/nvidia/version says "\x00\xff\x1b[31mgarbage 1.2.3"): whether it is ≥ 525.60.13 for CUDA 12.8 was not checked`}},
		{name: "DRV-01 garbage, but sys is there", tree: whole.with(tree{version: "garbage"}), start: true},
		{name: "DRV-01 1 MiB of garbage", tree: whole.with(tree{version: strings.Repeat("570.1 ", 1<<20/6), module: "-", lib + "libcuda.so.570.124.06": "-", lib + "libnvidia-ml.so.570.124.06": "-"}), start: true,
			lines: []string{`warning: driver-unknown: the driver's version is unknown (/proc/driver/nvidia/version says "longer than 4 KiB")`}},
		{name: "DRV-01 a version, then 1 MiB", tree: driver("470.82.01").with(tree{version: nvrm("570.124.06") + strings.Repeat("x", 1<<20), module: "470.82.01"}), lines: []string{"old-driver: driver 470.82.01 found"}},
		{name: "DRV-01 575.57.08-open", tree: driver("575.57.08-open"), start: true},
		{name: "DRV-01 515.57.08-open is too old", tree: driver("515.57.08-open"), lines: []string{"old-driver: driver 515.57.08 found"}},
		{name: "DRV-01 newlines after it", tree: driver("570.124.06\n\n"), start: true},
		{name: "DRV-01 9999999999.1", tree: driver("9999999999.1"), start: true},
		{name: "DRV-01 525.60.13.1", tree: driver("525.60.13.1"), start: true},
		{name: "DRV-01 525.60.12.9", tree: driver("525.60.12.9"), lines: []string{"old-driver: driver 525.60.12.9 found"}},
		{name: "DRV-01 two parts", tree: driver("525.61"), start: true},
		{name: "DRV-01 one part is no version", tree: driver("570"), start: true, lines: []string{"warning: driver-unknown: "}},
		{name: "DRV-01 a folder where the file was", tree: driver("-").with(tree{version: "-", version + "/": "", module: "-"}), start: true, lines: []string{"warning: driver-unknown: "}},
		{name: "DRV-01 only sys", tree: driver("-").with(tree{version: "-", module: "470.82.01\n"}), lines: []string{"old-driver: driver 470.82.01 found"}},
		{name: "DRV-01 only a library's name", tree: driver("-").with(tree{version: "-", module: "-", lib + "libcuda.so.470.82.01": ""}), lines: []string{"old-driver: driver 470.82.01 found"}},
		{name: "DRV-01 only NVML's name", tree: driver("-").with(tree{version: "-", module: "-", lib + "libnvidia-ml.so.470.82.01": ""}), lines: []string{"old-driver: driver 470.82.01 found"}},
		{name: "DRV-01 nothing tells it", tree: driver("-").with(tree{version: "-", module: "-"}), start: true, lines: []string{"warning: driver-unknown: the driver's version is unknown (nothing in the container tells it)"}},
		{name: "DRV-01 libraries newer than the kernel", tree: whole.with(tree{lib + "libcuda.so.580.65.06": ""}), start: true,
			lines: []string{"warning: driver-differs: the kernel has driver 570.124.06 (/proc/driver/nvidia/version), the libraries are of 580.65.06 (/usr/lib/x86_64-linux-gnu/libcuda.so.580.65.06)"}},
		{name: "DRV-01 the kernel decides", tree: whole.with(tree{version: nvrm("470.82.01"), lib + "libcuda.so.580.65.06": ""}), lines: []string{"old-driver: driver 470.82.01 found", "warning: driver-differs"}},
		{name: "libraries in a folder of ld.so.conf.d", tree: driver("570.124.06").with(tree{lib + "libcuda.so.1": "-", "etc/ld.so.conf.d/00-nvcr.conf": "# comment\n/opt/driver\n", "opt/driver/libcuda.so.1": ""}), start: true},
		{name: "libraries in no folder that is looked at", tree: driver("570.124.06").with(tree{lib + "libcuda.so.1": "-", "opt/driver/libcuda.so.1": ""}), lines: []string{"no-driver: "}},
	} {
		t.Run(row.name, func(t *testing.T) {
			c := image()
			if row.change != nil {
				row.change(&c)
			}
			if _, err := c.Encode(); err != nil {
				t.Fatal(err)
			}
			v := Judge(c, Look(row.tree.write(t), row.uid+1, ""), row.accept)
			if row.uid == 0 && v.Host.UID != 1 {
				t.Fatal("wrong user")
			}
			if v.Start != row.start {
				t.Errorf("start = %v, want %v", v.Start, row.start)
			}
			lines := v.Lines()
			if len(lines) != len(row.lines) {
				t.Fatalf("%d lines:\n%s", len(lines), strings.Join(lines, "\n"))
			}
			for i, want := range row.lines {
				line, stopped := strings.CutPrefix(lines[i], "stopped: ")
				if !strings.HasPrefix(line, want) {
					t.Errorf("line %d: %s\nwant    %s", i+1, lines[i], want)
				}
				if says := strings.HasPrefix(line, "warning: ") || strings.HasPrefix(line, "accepted by "); stopped == says || stopped && v.Start {
					t.Errorf("stopped is wrong in line %d: %s", i+1, lines[i])
				}
			}
			if v.CPU != (c.Outcomes[NoGPU] == CPU && c.CUDA != "" && len(v.Host.Nodes) == 0) {
				t.Errorf("cpu = %v", v.CPU)
			}
			if _, err := json.Marshal(v); err != nil {
				t.Error(err)
			}
		})
	}
}

func set(o Outcome, a Action) func(*Config) { return func(c *Config) { c.Outcomes[o] = a } }

func noCUDA(c *Config) { *c = Config{Outcomes: c.Outcomes} }

// driver is whole with another kernel driver and libraries that do not tell theirs.
func driver(text string) tree {
	return whole.with(tree{version: nvrm(text), module: text, lib + "libcuda.so.570.124.06": "-", lib + "libnvidia-ml.so.570.124.06": "-"})
}

func eight() tree {
	out := whole.with(tree{gpu0: "-"})
	for i := range 8 {
		out[fmt.Sprintf("dev/nvidia%d", i)] = ""
		out[fmt.Sprintf("proc/driver/nvidia/gpus/0000:%02d:00.0/information", i)] = gpuText("Tesla P100-PCIE-16GB", i)
	}
	return out
}

func TestLibraryPathIsWhereTheLoaderLooksToo(t *testing.T) {
	root := driver("570.124.06").with(tree{lib + "libcuda.so.1": "-", "opt/nvidia/libcuda.so.1": ""}).write(t)
	if v := Judge(image(), Look(root, 1, "relative::/opt/nvidia"), nil); !v.Start {
		t.Errorf("not found in LD_LIBRARY_PATH: %q", v.Lines())
	}
}

func TestVerdictAsJSON(t *testing.T) {
	root := whole.with(tree{version: nvrm("520.61.05"), gpu0: gpuText("Tesla V100-SXM2-16GB", 0)}).write(t)
	b, err := json.Marshal(Judge(image(), Look(root, 1001, ""), []Outcome{NoCode}))
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"start":false,"findings":[` +
		`{"id":"old-driver","action":"stop","found":"driver 520.61.05","needed":"≥ 525.60.13 for CUDA 12.8","fix":"update the NVIDIA driver of the host"},` +
		`{"id":"no-code","action":"accepted","found":"\"Tesla V100-SXM2-16GB\" (7.0)","needed":"a GPU that it has code for (7.5 8.0 8.6 9.0, PTX 9.0)","fix":"take an image built for this GPU, or give the container another one"}],` +
		`"warnings":[{"id":"driver-differs","text":"the kernel has driver 520.61.05 (/proc/driver/nvidia/version), the libraries are of 570.124.06 (/usr/lib/x86_64-linux-gnu/libcuda.so.570.124.06)"}],` +
		`"image":{"cuda":"12.8","driver":"525.60.13","recommended":"570.124.06","sm":["7.5","8.0","8.6","9.0"],"ptx":["9.0"],"outcomes":{"no-code":"stop","no-driver":"stop","no-gpu":"stop","old-driver":"stop","root":"stop"}},` +
		`"host":{"uid":1001,"platform":"linux","kernelDriver":"520.61.05","kernelDriverSource":"/proc/driver/nvidia/version","userDriver":"570.124.06","userDriverSource":"/usr/lib/x86_64-linux-gnu/libcuda.so.570.124.06",` +
		`"nodes":["/dev/nvidia0"],"gpus":[{"model":"Tesla V100-SXM2-16GB","capability":"7.0","code":"none"}],"libraries":["/usr/lib/x86_64-linux-gnu/libcuda.so.1","/usr/lib/x86_64-linux-gnu/libcuda.so.570.124.06"]}}`
	if string(b) != want {
		t.Errorf("got  %s\nwant %s", b, want)
	}
}

func TestReadsAreSmallAndOfRegularFilesOnly(t *testing.T) {
	dir := t.TempDir()
	for size, ok := range map[int]bool{0: true, maxRead - 1: true, maxRead: false, 1 << 20: false} {
		name := filepath.Join(dir, fmt.Sprint(size))
		if err := os.WriteFile(name, make([]byte, size), 0o644); err != nil {
			t.Fatal(err)
		}
		b, err := readSmall(name)
		if (err == nil) != ok || len(b) >= maxRead || ok && len(b) != size {
			t.Errorf("%d bytes: %d read, %v", size, len(b), err)
		}
	}
	fifo := filepath.Join(dir, "fifo")
	if err := syscall.Mkfifo(fifo, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := readSmall(fifo); err == nil {
		t.Error("a FIFO was read")
	}
}

func TestADriverThatDoesNotAnswerIsUnknownInTime(t *testing.T) {
	root := whole.with(tree{lib + "libcuda.so.570.124.06": "-", lib + "libnvidia-ml.so.570.124.06": "-"}).write(t)
	hang := make(chan bool)
	defer close(hang)
	e := &eyes{root: root, one: 20 * time.Millisecond, list: listNames, read: func(name string) ([]byte, error) {
		if strings.Contains(name, "proc/driver") || strings.Contains(name, "sys/module") {
			<-hang
			return nil, errors.New("late")
		}
		return readSmall(name)
	}}
	begin := time.Now()
	v := Judge(image(), look(e, 1, "", 100*time.Millisecond), nil)
	if d := time.Since(begin); d > 3*time.Second {
		t.Errorf("took %s", d)
	}
	lines := strings.Join(v.Lines(), "\n")
	if !v.Start || !strings.Contains(lines, "warning: slow: ") || !strings.Contains(lines, "driver-unknown") || !strings.Contains(lines, "gpu-unknown") {
		t.Errorf("start = %v:\n%s", v.Start, lines)
	}
	if limit > 5*time.Second || oneRead > limit {
		t.Error("more than five seconds")
	}
}

func TestWhenNothingAnswersNothingIsMissing(t *testing.T) {
	e := &eyes{root: "/", one: time.Millisecond, list: func(string) ([]string, error) { select {} }, read: func(string) ([]byte, error) { select {} }}
	f := look(e, 1, "", 10*time.Millisecond)
	if !f.Slow {
		t.Error("not slow")
	}
	if v := Judge(image(), f, nil); !v.Start {
		t.Errorf("stops: %q", v.Lines())
	}
	f.Nodes = []string{"/dev/nvidia0"} // seen, but then nothing more
	if v := Judge(image(), f, nil); !v.Start {
		t.Errorf("stops: %q", v.Lines())
	}
}
