package start

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// image is what an image with torch 2.9.1 for CUDA 12.8 needs.
func image() Config {
	return Config{CUDA: "12.8", Driver: "525.60.13", Recommended: "570.124.06", SM: []string{"7.5", "8.0", "8.6", "9.0"}, PTX: []string{"9.0"},
		Outcomes: map[Outcome]Action{NoGPU: Stop, NoDriver: Stop, OldDriver: Stop, NoCode: Stop, Root: Stop}}
}

const imageJSON = `{"cuda":"12.8","driver":"525.60.13","recommended":"570.124.06","sm":["7.5","8.0","8.6","9.0"],"ptx":["9.0"],` +
	`"outcomes":{"no-code":"stop","no-driver":"stop","no-gpu":"stop","old-driver":"stop","root":"stop"}}` + "\n"

func TestSettingsHaveOneForm(t *testing.T) {
	got, err := image().Encode()
	if err != nil || string(got) != imageJSON {
		t.Fatalf("%s, %v, want %s", got, err, imageJSON)
	}
	back, err := Decode(got)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(image(), back); diff != "" {
		t.Error(diff)
	}
	cpu := Config{Outcomes: image().Outcomes}
	if got, err := cpu.Encode(); err != nil || strings.Contains(string(got), "cuda") {
		t.Errorf("an image without CUDA: %s, %v", got, err)
	}
}

func TestSettingsAreReadStrictly(t *testing.T) {
	for _, row := range []struct{ name, old, new string }{
		{"unknown key", `"cuda"`, `"cudas"`},
		{"key in capitals", `"cuda"`, `"CUDA"`},
		{"key twice", `"driver":"525.60.13"`, `"driver":"1.1","driver":"525.60.13"`},
		{"outcome twice", `"root":"stop"`, `"root":"warn","root":"stop"`},
		{"outcome missing", `,"root":"stop"`, ``},
		{"outcome unknown", `"root":"stop"`, `"root":"stop","no-disk":"stop"`},
		{"action unknown", `"root":"stop"`, `"root":"ignore"`},
		{"cpu elsewhere", `"old-driver":"stop"`, `"old-driver":"cpu"`},
		{"driver no version", `525.60.13`, `525`},
		{"capability no capability", `"7.5"`, `"sm_75"`},
		{"no CUDA but a driver", `"cuda":"12.8",`, ``},
		{"other spacing", `{"cuda"`, `{ "cuda"`},
		{"no newline", "\n", ""},
		{"two objects", "\n", "\n{}"},
		{"not an object", imageJSON, "[]\n"},
		{"nothing", imageJSON, ""},
		{"too long", imageJSON, strings.Repeat(" ", maxConfig+1)},
	} {
		text := strings.Replace(imageJSON, row.old, row.new, 1)
		if text == imageJSON {
			t.Fatalf("%s: nothing was replaced", row.name)
		}
		if c, err := Decode([]byte(text)); err == nil {
			t.Errorf("%s: read as %+v", row.name, c)
		}
	}
}

func TestAccept(t *testing.T) {
	for text, want := range map[string][]Outcome{"": nil, " ": nil, "no-gpu": {NoGPU}, "no-gpu, old-driver": {NoGPU, OldDriver}} {
		got, err := ParseAccept(text)
		if err != nil || !cmp.Equal(got, want) {
			t.Errorf("%q = %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"no-gpus", "no-gpu,", "all", "NO-GPU", "no-gpu old-driver", "1", "no-gpu,\x1b[2J"} {
		_, err := ParseAccept(text)
		if err == nil || !strings.Contains(err.Error(), "root, no-gpu, no-driver, old-driver, no-code") || strings.Contains(err.Error(), "\x1b") {
			t.Errorf("%q: %v", text, err)
		}
	}
}
