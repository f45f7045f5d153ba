package main

import (
	"bytes"
	"debug/elf"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// sources is what forge-init is made of, besides the Go tree.
var sources = []string{"go.mod", "go.sum", "cmd/forge-init", "builder/start", "recipes/cuda"}

func TestTheBytesFollowFromTheSource(t *testing.T) {
	var first []byte
	for _, place := range []struct {
		name string
		env  []string
	}{
		{"a", []string{"GOFLAGS=", "TZ=UTC", "GOMAXPROCS=1"}},
		{"another folder/with a longer name", []string{"GOFLAGS=-mod=readonly", "TZ=Asia/Tokyo", "USER=someone", "HOSTNAME=elsewhere"}},
	} {
		dir := filepath.Join(t.TempDir(), place.name)
		for _, s := range sources {
			copySource(t, filepath.Join("../..", s), filepath.Join(dir, s))
		}
		b := buildIn(t, dir, place.env)
		if first == nil {
			first = b
		}
		if !bytes.Equal(b, first) {
			t.Errorf("%s: %d bytes that differ from the first %d", place.name, len(b), len(first))
		}
		for _, leak := range []string{dir, "elsewhere", "main.root="} {
			if bytes.Contains(b, []byte(leak)) {
				t.Errorf("%q is in the binary", leak)
			}
		}
	}
	if len(first) > 4<<20 {
		t.Errorf("%d bytes: more than 4 MiB", len(first))
	}
	f, err := elf.NewFile(bytes.NewReader(first))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP || p.Type == elf.PT_DYNAMIC {
			t.Errorf("not static: %s", p.Type)
		}
	}
}

func buildIn(t *testing.T, dir string, env []string) []byte {
	t.Helper()
	out := filepath.Join(t.TempDir(), "init")
	cmd := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w -buildid=", "-o", out, "./cmd/forge-init")
	cmd.Dir = dir
	cmd.Env = append(append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off"), env...)
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("building: %v\n%s", err, text)
	}
	b, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func copySource(t *testing.T, from, to string) {
	t.Helper()
	info, err := os.Stat(from)
	if err != nil {
		t.Fatal(err)
	}
	if info.IsDir() {
		entries, err := os.ReadDir(from)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			if !strings.HasSuffix(e.Name(), "_test.go") && e.Name() != "testdata" {
				copySource(t, filepath.Join(from, e.Name()), filepath.Join(to, e.Name()))
			}
		}
		return
	}
	b, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	write(t, to, string(b), 0o644)
}

func TestOnlyTheStandardLibraryIsUsed(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", "-f", "{{if not .Standard}}{{.ImportPath}}{{end}}", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"github.com/forge-build/forge/recipes/cuda", "github.com/forge-build/forge/builder/start", "github.com/forge-build/forge/cmd/forge-init"}
	if got := strings.Fields(string(out)); strings.Join(got, " ") != strings.Join(want, " ") {
		t.Errorf("packages %q, want %q", got, want)
	}
	heavy, err := exec.Command("go", "list", "-deps", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"net", "net/http", "os/exec", "crypto/tls", "plugin"} {
		if strings.Contains("\n"+string(heavy), "\n"+name+"\n") {
			t.Errorf("imports %s", name)
		}
	}
}
