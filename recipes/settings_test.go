package recipes

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestSettingsSayWhereBytesComeFrom(t *testing.T) {
	dir := t.TempDir()
	none, err := LoadSettings(filepath.Join(dir, "none.hcl"))
	if err != nil || len(none.Indexes)+len(none.Archives) > 0 {
		t.Errorf("no file: %v %v", none, err)
	}
	path := filepath.Join(dir, "forge.hcl")
	text := `index "default" { url = "https://pypi.acme.example/simple" }
index "pytorch" { url = "https://torch.acme.example/whl" }
archive "debian" { urls = ["https://a.example/debian", "http://b.example/debian"] }
ca_file = "/etc/ssl/acme.pem"
vulnerability_database = "https://mirror.acme.example/grype"
`
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := LoadSettings(path)
	if err != nil {
		t.Fatal(err)
	}
	want := &Settings{Indexes: map[string]string{"default": "https://pypi.acme.example/simple", "pytorch": "https://torch.acme.example/whl"},
		Archives: map[string][]string{"debian": {"https://a.example/debian", "http://b.example/debian"}}, CAFile: "/etc/ssl/acme.pem",
		VulnerabilityDB: "https://mirror.acme.example/grype"}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestMistakesInSettingsHaveTheirPlaces(t *testing.T) {
	path := filepath.Join(t.TempDir(), "forge.hcl")
	text := `indx "default" {}
index "a" { url = "https://me:geheim@a.example" }
index "a" { url = "https://a.example" }
archive "debian" {}
vulnerability_database = "http://mirror.acme.example/grype"
ca_file = 1e31
`
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	var d *Diagnostics
	if _, err := LoadSettings(path); !errors.As(err, &d) || d.JSON()[0].Summary != "Number out of range" {
		t.Fatalf("not bounded as a recipe: %v", err)
	}
	if err := os.WriteFile(path, []byte(text[:len(text)-len("ca_file = 1e31\n")]), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadSettings(path); !errors.As(err, &d) {
		t.Fatal(err)
	}
	got := map[int]string{}
	for _, m := range d.JSON() {
		got[m.Line] = m.Summary
	}
	if diff := cmp.Diff(map[int]string{1: "Unknown word", 2: "Invalid address", 3: "Duplicate index", 4: "Archive without addresses", 5: "Invalid address"}, got); diff != "" {
		t.Error(diff)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadSettings(path); !errors.As(err, &d) || d.JSON()[0].Summary != "Settings cannot be read" {
		t.Errorf("a folder: %v", err)
	}
}
