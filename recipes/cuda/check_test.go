package cuda

import (
	"strings"
	"testing"
)

func TestImpossibleStacksNameTheNearestPossibleOne(t *testing.T) {
	for _, row := range []struct {
		name    string
		stack   Stack
		field   string
		nearest string
		words   []string
	}{
		{"V100 and RTX 5090 with torch 2.11",
			Stack{Torch: "2.11.0", CUDA: "12.8", Arch: "amd64", GPUs: []string{"V100", "RTX 5090"}}, "gpus", "torch 2.10.0 with CUDA 12.8 (cu128)",
			[]string{"torch 2.11.0 with CUDA 12.8 has code for 7.5 8.0 8.6 9.0 10.0 12.0 and nothing for V100 (7.0).",
				"No variant of torch 2.11.0 covers V100 (7.0) and RTX 5090 (12.0) together: 12.6 lacks RTX 5090 (12.0); 12.8 lacks V100 (7.0); 12.9 is not known; 13.0 lacks V100 (7.0).",
				"The nearest that does: torch 2.10.0 with CUDA 12.8 (cu128)."}},
		{"the same, written as capabilities, CUDA left out",
			Stack{Torch: "2.11", Arch: "x86_64", GPUs: []string{"7.0", "12.0"}}, "gpus", "torch 2.10.0 with CUDA 12.8 (cu128)",
			[]string{"V100 (7.0) and RTX 5090 (12.0)"}},
		{"V100 alone with the newest torch that has one",
			Stack{Torch: "2.14.0", Arch: "amd64", GPUs: []string{"V100"}}, "gpus", "torch 2.14.0 with CUDA 12.6 (cu126)",
			[]string{"torch 2.14.0 with CUDA 13.0 has code for 7.5", "The nearest that does: torch 2.14.0 with CUDA 12.6 (cu126)."}},
		{"K80 and H200 with CUDA 12.8",
			Stack{Torch: "2.9.1", CUDA: "12.8", Arch: "amd64", GPUs: []string{"K80", "H200"}}, "gpus", "torch 2.7.1 with CUDA 11.8 (cu118)", nil},
		{"K80 and RTX 5090: nothing has both",
			Stack{Torch: "2.9.1", CUDA: "12.8", Arch: "amd64", GPUs: []string{"K80", "RTX 5090"}}, "gpus", "",
			[]string{"Nothing in the table does: make one image for each generation of GPU."}},
		{"torch 2.9 with CUDA 12.4",
			Stack{Torch: "2.9", CUDA: "12.4", Arch: "amd64"}, "cuda", "torch 2.9.1 with CUDA 12.8 (cu128)",
			[]string{"torch 2.9.1 comes for CUDA 12.6, 12.8, 13.0, not for 12.4.", "The nearest for CUDA 12.4: torch 2.6.0."}},
		{"a driver floor below what CUDA needs",
			Stack{Torch: "2.9.1", CUDA: "12.8", Arch: "amd64", Driver: "470.82"}, "driver", "torch 2.7.1 with CUDA 11.8 (cu118)",
			[]string{"CUDA 12.8 needs driver 525.60.13 or newer on Linux; this fleet floor is 470.82.", "Raise the floor, or take the nearest that runs from 470.82 on: ", "torch 2.7.1 with CUDA 11.8 (cu118)"}},
		{"a fleet on R535 with CUDA 13",
			Stack{Torch: "2.13.0", Arch: "amd64", Driver: "535.104.05"}, "driver", "torch 2.13.0 with CUDA 12.6 (cu126)",
			[]string{"CUDA 13.0 needs driver 580.65.06 or newer on Linux; this fleet floor is 535.104.05."}},
		{"a floor below CUDA's, of a torch that is not in the table",
			Stack{Torch: "3.0.0", CUDA: "13.1", Arch: "amd64", Driver: "525.60.13"}, "driver", "torch 2.14.0 with CUDA 12.6 (cu126)",
			[]string{"CUDA 13.1 needs driver 580.65.06"}},
		{"a Python that this torch is not built for",
			Stack{Torch: "2.9.1", Arch: "amd64", Python: "3.9"}, "python", "torch 2.8.0 with CUDA 12.8 (cu128)",
			[]string{"torch 2.9.1 is built for Python 3.10 to 3.14, not for 3.9.", "The nearest that is: torch 2.8.0 with CUDA 12.8 (cu128)."}},
		{"a release that supports it only experimentally is not near",
			Stack{Torch: "2.4.1", Arch: "amd64", Python: "3.13"}, "python", "torch 2.6.0 with CUDA 12.4 (cu124)", nil},
		{"the same on the CPU",
			Stack{Torch: "2.5.1", CUDA: "cpu", Arch: "amd64", Python: "3.14"}, "python", "torch 2.9.0 with CUDA 12.8 (cu128)", []string{"The nearest that is: torch 2.9.0."}},
		{"a fleet floor that no V100 can have",
			Stack{Torch: "2.9.1", Arch: "amd64", GPUs: []string{"V100"}, Driver: "590.48.01"}, "driver", "",
			[]string{"V100 (7.0) is a Volta GPU, whose last driver branch is R580; this fleet floor is 590.48.01."}},
		{"a driver that is no version",
			Stack{Torch: "2.9.1", Arch: "amd64", Driver: "new"}, "driver", "", []string{`"new" is not a driver version`}},
	} {
		t.Run(row.name, func(t *testing.T) {
			report := Check(row.stack)
			if len(report.Problems) != 1 {
				t.Fatalf("%d problems: %+v", len(report.Problems), report)
			}
			p := report.Problems[0]
			got := ""
			if p.Nearest != nil {
				got = p.Nearest.String()
			}
			if p.Field != row.field || got != row.nearest {
				t.Errorf("field %q, nearest %q, want %q, %q", p.Field, got, row.field, row.nearest)
			}
			for _, want := range row.words {
				if !strings.Contains(p.Detail, want) {
					t.Errorf("%q is not in: %s", want, p.Detail)
				}
			}
			if p.Summary == "" || strings.HasSuffix(p.Summary, ".") || !strings.HasSuffix(p.Detail, ".") {
				t.Errorf("summary %q, detail %q", p.Summary, p.Detail)
			}
			if p.Nearest == nil {
				return
			}
			again := row.stack // what is called possible must be
			again.Torch = p.Nearest.Torch
			if again.CUDA != "cpu" {
				again.CUDA = p.Nearest.CUDA
			}
			if r := Check(again); len(r.Problems) > 0 {
				t.Errorf("the nearest stack has problems: %+v", r.Problems)
			}
		})
	}
}

func TestPossibleAndUnknownStacks(t *testing.T) {
	for _, row := range []struct {
		name     string
		stack    Stack
		unknown  []string
		warnings []string
	}{
		{"the example", Stack{Torch: "2.9.1", CUDA: "12.8", Arch: "linux/amd64", Python: "3.13", GPUs: []string{"A100", "H100", "V100", "RTX 5090"}, Driver: "525.60.13"}, nil, nil},
		{"a CPU image", Stack{Torch: "2.9.1", CUDA: "cpu", Arch: "amd64", Python: "3.13"}, nil, nil},
		{"V100 up to R580", Stack{Torch: "2.9.1", Arch: "amd64", GPUs: []string{"V100"}, Driver: "580.95.05"}, nil, nil},
		{"a torch newer than the table", Stack{Torch: "2.16.0", CUDA: "13.4", Arch: "amd64", GPUs: []string{"V100"}, Driver: "580.65.06"},
			[]string{"torch 2.16.0 for x86_64 is not in forge's table, which was last checked on " + Checked}, nil},
		{"a major version newer than the table", Stack{Torch: "3.0.0", CUDA: "14.0", Arch: "amd64", Driver: "580.65.06"},
			[]string{"torch 3.0.0", "CUDA 14.0 is not in forge's table"}, nil},
		{"another variant of a release of which only PyPI's is recorded", Stack{Torch: "2.15.0", CUDA: "13.0", Arch: "amd64"},
			[]string{"whether it exists is not known"}, nil},
		{"SM list not known", Stack{Torch: "2.15.0", Arch: "amd64", GPUs: []string{"V100"}}, []string{"For which GPUs torch 2.15.0 with CUDA 13.2 has code"}, nil},
		{"aarch64 row not recorded", Stack{Torch: "2.9.1", CUDA: "12.8", Arch: "arm64"}, []string{"torch 2.9.1 for aarch64"}, nil},
		{"aarch64 variant not recorded", Stack{Torch: "2.14.0", CUDA: "12.9", Arch: "arm64"}, []string{"whether it exists is not known"}, nil},
		{"a GPU that is not in the list", Stack{Torch: "2.9.1", Arch: "amd64", GPUs: []string{"R100"}}, []string{`The GPU "R100" is not in forge's list`}, nil},
		{"experimental Python", Stack{Torch: "2.5.1", CUDA: "12.1", Arch: "amd64", Python: "3.13"}, nil, []string{"only experimentally"}},
		{"PTX on a later GPU below the recommended driver", Stack{Torch: "2.13.0", CUDA: "13.0", Arch: "arm64", GPUs: []string{"13.0"}, Driver: "580.65.06"}, nil, []string{"needs driver 580.95.05 or newer"}},
		{"PTX with the recommended driver", Stack{Torch: "2.13.0", CUDA: "13.0", Arch: "arm64", GPUs: []string{"13.0"}, Driver: "580.95.05"}, nil, nil},
		{"nothing said but the architecture", Stack{Arch: "amd64"}, nil, nil},
	} {
		t.Run(row.name, func(t *testing.T) {
			report := Check(row.stack)
			for _, p := range report.Problems {
				t.Errorf("problem: %+v", p)
			}
			contain(t, "unknown", report.Unknown, row.unknown)
			contain(t, "warning", report.Warnings, row.warnings)
		})
	}
}

func contain(t *testing.T, what string, got, want []string) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d × %s: %q, want %q", len(got), what, got, want)
	}
	for i := range want {
		if !strings.Contains(got[i], want[i]) {
			t.Errorf("%s %q does not say %q", what, got[i], want[i])
		}
	}
}

func TestSeveralProblemsAtOnce(t *testing.T) {
	r := Check(Stack{Torch: "2.11.0", CUDA: "12.8", Arch: "amd64", Python: "3.9", GPUs: []string{"V100", "RTX 5090"}, Driver: "470.82"})
	var fields []string
	for _, p := range r.Problems {
		fields = append(fields, p.Field)
	}
	if got := strings.Join(fields, " "); got != "python driver gpus" {
		t.Errorf("problems with %q", got)
	}
}
