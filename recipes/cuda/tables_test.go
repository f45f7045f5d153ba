package cuda

import (
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

func TestEmbeddedTablesAreWhole(t *testing.T) {
	toolkits, err := readToolkits(driverCSV)
	if err != nil {
		t.Fatal(err)
	}
	rows, err := readTorch(torchCSV, toolkits)
	if err != nil {
		t.Fatal(err)
	}
	readme, err := os.ReadFile("data/README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"**Last check: " + Checked + ".**", strconv.Itoa(len(toolkits)) + " CUDA toolkits", strconv.Itoa(len(rows)) + " rows"} {
		if !strings.Contains(string(readme), want) {
			t.Errorf("data/README.md does not say %q", want)
		}
	}
	for _, row := range rows {
		if row.CUDNN == "" && row.Known() && row.Torch != "2.6.0" {
			t.Errorf("torch %s for CUDA %s: cuDNN is empty", row.Torch, row.CUDA)
		}
		if row.Default && (row.CUDNN == "" || row.NCCL == "") {
			t.Errorf("torch %s for CUDA %s: pins of the pypi-default row are empty", row.Torch, row.CUDA)
		}
	}
}

func TestTablesAreReadStrictly(t *testing.T) {
	const head = "cuda,toolkit_driver,minor_compat_min_driver,source\n"
	const good = "12.8.1,570.124.06,525.60.13,x\n"
	if _, err := readToolkits([]byte(head + good)); err != nil {
		t.Fatal(err)
	}
	for name, table := range map[string]string{
		"other header":                    "cuda,driver,min,source\n" + good,
		"no rows":                         head,
		"a column too many":               head + "12.8.1,570.124.06,525.60.13,x,y\n",
		"a bare quote":                    head + "12.8.1,570.124.06,525.60.13,x\"y\n",
		"blanks around a cell":            head + "12.8.1, 570.124.06,525.60.13,x\n",
		"two-part toolkit":                head + "12.8,570.124.06,525.60.13,x\n",
		"driver is no version":            head + "12.8.1,R570,525.60.13,x\n",
		"no minimum":                      head + "12.8.1,570.124.06,,x\n",
		"recommended below minimum":       head + "12.8.1,470.82.01,525.60.13,x\n",
		"no source":                       head + "12.8.1,570.124.06,525.60.13,\n",
		"the same toolkit twice":          head + good + good,
		"oldest first":                    head + "12.8.0,570.26,525.60.13,x\n" + good,
		"ascending as text, not numbers ": head + "12.9.1,575.57.08,525.60.13,x\n12.10.0,,525.60.13,x\n",
	} {
		if _, err := readToolkits([]byte(table)); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestTorchTableIsReadStrictly(t *testing.T) {
	toolkits, err := readToolkits(driverCSV)
	if err != nil {
		t.Fatal(err)
	}
	head := strings.Join(torchColumns, ",") + "\n"
	const good = "2.9.1,12.8,cu128,stable;pypi-default,3.10-3.14;3.15t experimental,x86_64,7.0 8.0,no,9.1,2.2,525.60.13,s,v\n"
	if _, err := readTorch([]byte(head+good), toolkits); err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct{ name, old, new string }{
		{"torch of two parts", "2.9.1", "2.9"},
		{"cuda of three parts", "12.8,", "12.8.1,"},
		{"index of another version", "cu128", "cu126"},
		{"channel unknown", "stable;", "nightly;"},
		{"no pypi-default", "stable;pypi-default", "stable"},
		{"python range backwards", "3.10-3.14", "3.14-3.10"},
		{"python not a version", "3.10-3.14", "3.10-x"},
		{"python with one end free-threaded", "3.10-3.14", "3.10t-3.14"},
		{"python experimental first", "3.10-3.14;", "3.10 experimental;"},
		{"architecture", "x86_64", "riscv64"},
		{"SM out of order", "7.0 8.0", "8.0 7.0"},
		{"SM twice", "7.0 8.0", "8.0 8.0"},
		{"SM no capability", "7.0 8.0", "70"},
		{"SM empty but PTX known", "7.0 8.0", ""},
		{"PTX empty but SM known", ",no,", ",,"},
		{"PTX no capability", ",no,", ",yes,"},
		{"floor of another CUDA", "525.60.13", "580.65.06"},
		{"CUDA without toolkit", "12.8,cu128", "12.7,cu127"},
		{"no source", ",s,v", ",,v"},
		{"not verified", ",s,v", ",s,"},
	} {
		table := strings.Replace(good, row.old, row.new, 1)
		if table == good {
			t.Fatalf("%s: nothing was replaced", row.name)
		}
		if _, err := readTorch([]byte(head+table), toolkits); err == nil {
			t.Errorf("%s: accepted", row.name)
		}
	}
	for name, table := range map[string]string{
		"the same row twice":    good + good,
		"two pypi-default rows": strings.Replace(good, "12.8,cu128", "12.6,cu126", 1) + good,
		"older torch first":     strings.ReplaceAll(good, "2.9.1", "2.8.0") + good,
	} {
		if _, err := readTorch([]byte(head+table), toolkits); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestEveryGPUCitesItsSource(t *testing.T) {
	url := regexp.MustCompile(`^https://[a-z.]+/\S+$`)
	seen := map[string]bool{}
	for _, gpu := range GPUs() {
		if !url.MatchString(gpu.Source) {
			t.Errorf("%s cites %q", gpu.Name, gpu.Source)
		}
		if seen[gpu.Name] {
			t.Errorf("%s is listed twice", gpu.Name)
		}
		seen[gpu.Name] = true
		if gpu.Capability.Jetson() != (gpu.Family == Jetson) {
			t.Errorf("%s: capability %s and family %q disagree about Jetson", gpu.Name, gpu.Capability, gpu.Family)
		}
		if gpu.Capability.Generation() == "" {
			t.Errorf("%s: capability %s has no generation", gpu.Name, gpu.Capability)
		}
		if got, ok := FindGPU(gpu.Name); !ok || got != gpu {
			t.Errorf("%s is found as %+v", gpu.Name, got)
		}
	}
}
