package builder

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/forge-build/forge/builder/convert"
	"github.com/forge-build/forge/builder/layer"
	"github.com/forge-build/forge/recipes"
	"github.com/forge-build/forge/recipes/lock"
)

// results of a step, as a daemon sends them: a tar.
func harvestOf(t *testing.T, heads ...tar.Header) (*harvest, error) {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "results"))
	if err != nil {
		t.Fatal(err)
	}
	w := tar.NewWriter(f)
	for _, h := range heads {
		content := h.PAXRecords["content"]
		h.PAXRecords, h.Size = nil, int64(len(content))
		if h.Typeflag == 0 {
			h.Typeflag = tar.TypeReg
		}
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, content); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	h := &harvest{file: f}
	t.Cleanup(h.Close)
	return h, h.read()
}

func file(name, content string, mode int64) tar.Header {
	return tar.Header{Name: name, Mode: mode, PAXRecords: map[string]string{"content": content}}
}

// contents reads a layer back: path, mode and link or content of each entry.
func contents(t *testing.T, b *Builder, l lock.Layer, codec layer.Codec) map[string]string {
	t.Helper()
	f, _, err := b.Store.Open(strings.TrimPrefix(l.Blobs[string(codec)].Digest, "sha256:"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	got := map[string]string{}
	if err := layer.Read(codec, f, func(h layer.Header, r io.Reader) error {
		text := h.Link
		if h.Type == layer.Regular {
			raw, err := io.ReadAll(r)
			if err != nil {
				return err
			}
			text = string(raw)
		}
		if h.UID != 0 || h.GID != 0 || h.Time != layer.Epoch {
			t.Errorf("%s belongs to %d:%d and is of %d", h.Path, h.UID, h.GID, h.Time)
		}
		got[h.Path] = strings.TrimSpace(string(h.Type) + " " + map[int64]string{0o755: "x", 0o644: "-", 0o777: "l"}[h.Mode] + " " + text)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return got
}

func TestOutputBecomesALayer(t *testing.T) {
	b, _, _ := scratch(t)
	r := &recipes.Run{Name: "r", Output: []string{"/app/out", "/data"}}
	h, err := harvestOf(t, tar.Header{Name: "0/", Typeflag: tar.TypeDir, Mode: 0o700, Uid: 1001}, file("0/run", "#!", 0o4710), file("0/sub/a", "text", 0o600),
		tar.Header{Name: "0/sub/link", Typeflag: tar.TypeSymlink, Linkname: "a"}, tar.Header{Name: "0/again", Typeflag: tar.TypeLink, Linkname: "0/sub/a"}, file("1/b", "", 0o644))
	if err != nil {
		t.Fatal(err)
	}
	made := &convert.Made{}
	if err := b.keep(made, []layer.Codec{layer.Gzip, layer.Zstd}, func(w *layer.Writer) error { return writeOutput(w, h, r) }); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"app": "dir x", "app/out": "dir x", "app/out/run": "file x #!", "app/out/sub": "dir x", "app/out/sub/a": "file - text",
		"app/out/sub/link": "symlink l a", "app/out/again": "file - text", "data": "dir x", "data/b": "file -"}
	for _, codec := range []layer.Codec{layer.Gzip, layer.Zstd} {
		if d := cmp.Diff(want, contents(t, b, made.Layer, codec)); d != "" {
			t.Errorf("%s: %s", codec, d)
		}
	}
}

func TestHostileResultsAreRefused(t *testing.T) {
	b, _, _ := scratch(t)
	r := &recipes.Run{Name: "r", Output: []string{"/app/out"}}
	for _, row := range []struct {
		name string
		head []tar.Header
		want string
	}{
		{"a device", []tar.Header{{Name: "0/x", Typeflag: tar.TypeChar}}, "neither file, folder nor link"},
		{"a pipe", []tar.Header{{Name: "0/x", Typeflag: tar.TypeFifo}}, "neither file, folder nor link"},
		{"a hard link to nothing", []tar.Header{{Name: "0/x", Typeflag: tar.TypeLink, Linkname: "etc/passwd"}}, "no file of its"},
		{"a whiteout", []tar.Header{file("0/.wh.x", "", 0o644)}, "OCI-04"},
		{"an escape in a name", []tar.Header{file("0/\x1b[2Jx", "", 0o644)}, "control character"},
		{"one name twice", []tar.Header{file("0/x", "a", 0o644), file("0/x", "b", 0o644)}, "TAR-05"},
		{"a file that is a folder", []tar.Header{file("0/x", "a", 0o644), file("0/x/y", "b", 0o644)}, "TAR-02"},
		{"nothing", []tar.Header{{Name: "0/", Typeflag: tar.TypeDir, Mode: 0o755}}, "is empty"},
		{"only what nobody asked for", []tar.Header{file("1/x", "a", 0o644), file("etc/passwd", "", 0o644)}, "is empty"},
		{"a way out", []tar.Header{file("0/../../etc/passwd", "a", 0o644)}, "is empty"},
	} {
		h, err := harvestOf(t, row.head...)
		if err == nil {
			err = b.keep(&convert.Made{}, []layer.Codec{layer.Zstd}, func(w *layer.Writer) error { return writeOutput(w, h, r) })
		}
		if err == nil || !strings.Contains(err.Error(), row.want) {
			t.Errorf("%s: %v", row.name, err)
		}
	}
}

func TestOnlyByteCodeOfLockedModulesIsTaken(t *testing.T) {
	b, _, _ := scratch(t)
	head := func(flags string) string {
		return "\xf3\x0d\x0d\x0a" + flags + "\x00\x00\x00" + "12345678" + "\xe3rest"
	}
	good := head("\x01")
	modules := map[string]string{"opt/venv/lib/a.py": "wheel:a", "opt/venv/lib/b.c.py": "wheel:a"}
	for _, row := range []struct {
		name string
		head []tar.Header
		want string // of the error; empty: taken
	}{
		{"byte-code of a module", []tar.Header{file("0/opt/venv/lib/__pycache__/a.cpython-313.pyc", good, 0o600)}, ""},
		{"of a module that is none", []tar.Header{file("0/opt/venv/lib/__pycache__/z.cpython-313.pyc", good, 0o644)}, "no byte-code of a locked module"},
		{"beside __pycache__", []tar.Header{file("0/opt/venv/lib/a.cpython-313.pyc", good, 0o644)}, "no byte-code"},
		{"a source", []tar.Header{file("0/opt/venv/lib/a.py", good, 0o644)}, "no byte-code"},
		{"optimized", []tar.Header{file("0/opt/venv/lib/__pycache__/a.cpython-313.opt-1.pyc", good, 0o644)}, "no byte-code"},
		{"a .pth", []tar.Header{file("0/opt/venv/lib/evil.pth", "import os", 0o644)}, "no byte-code"},
		{"a link", []tar.Header{{Name: "0/opt/venv/lib/__pycache__/a.cpython-313.pyc", Typeflag: tar.TypeSymlink, Linkname: "/x"}}, "no byte-code"},
		{"checked by time", []tar.Header{file("0/opt/venv/lib/__pycache__/a.cpython-313.pyc", head("\x00"), 0o644)}, "no unchecked byte-code"},
		{"checked by hash", []tar.Header{file("0/opt/venv/lib/__pycache__/a.cpython-313.pyc", head("\x03"), 0o644)}, "no unchecked byte-code"},
		{"too short", []tar.Header{file("0/opt/venv/lib/__pycache__/a.cpython-313.pyc", good[:16], 0o644)}, "of 16 bytes"},
		{"nothing", []tar.Header{{Name: "0/", Typeflag: tar.TypeDir, Mode: 0o755}}, "none of 2 modules"},
	} {
		h, err := harvestOf(t, row.head...)
		if err != nil {
			t.Fatal(err)
		}
		made := &convert.Made{}
		err = b.keep(made, []layer.Codec{layer.Zstd}, func(w *layer.Writer) error { return writeBytecode(w, h, modules) })
		switch {
		case row.want != "" && (err == nil || !strings.Contains(err.Error(), row.want)):
			t.Errorf("%s: %v", row.name, err)
		case row.want == "" && err != nil:
			t.Errorf("%s: %v", row.name, err)
		case row.want == "" && contents(t, b, made.Layer, layer.Zstd)["opt/venv/lib/__pycache__/a.cpython-313.pyc"] != "file - "+good:
			t.Errorf("%s: the layer holds %q", row.name, contents(t, b, made.Layer, layer.Zstd))
		}
	}
}

func TestResultsAreBounded(t *testing.T) {
	f, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	w := &bounded{f, 10}
	if _, err := w.Write(make([]byte, 10)); err != nil {
		t.Error(err)
	}
	if _, err := w.Write([]byte{0}); err == nil {
		t.Error("an eleventh byte was taken")
	}
}

// maker is a program for an image without an operating system.
const maker = `package main

import (
	"fmt"
	"net"
	"os"
)

func main() {
	if _, err := net.Dial("tcp", "192.0.2.1:80"); err == nil || os.Getuid() != 1001 || os.Getenv("WHO") != "recipe" {
		panic(fmt.Sprint("network, root or no variable: ", err, os.Getuid(), os.Getenv("WHO")))
	}
	if err := os.WriteFile("/app/beside", nil, 0o644); err == nil {
		panic("the image's own folder can be written")
	}
	must(os.WriteFile("/out/by", []byte(fmt.Sprint(os.Args[1:])), 0o700))
	must(os.WriteFile("/tmp/elsewhere", nil, 0o644))
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}
`

func TestARunMakesALayerAndIsKept(t *testing.T) {
	needDaemon(t)
	b, im, li := scratch(t)
	src := t.TempDir()
	write(t, filepath.Join(src, "main.go"), maker, 0o644)
	cmd := exec.Command("go", "build", "-o", filepath.Join(b.Dir, "app", "maker"), filepath.Join(src, "main.go"))
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	im.Runs = []recipes.Run{{Name: "make", Command: []string{"/app/maker", "a", "b c"}, Output: []string{"/out"}, Env: map[string]string{"WHO": "recipe"}}}
	first := build(t, b, im, li)
	last := first.Layers[len(first.Layers)-1]
	got := contents(t, b, lock.Layer{Blobs: map[string]lock.Blob{"zstd": {Digest: last.Digest.String()}}}, layer.Zstd)
	if d := cmp.Diff(map[string]string{"out": "dir x", "out/by": "file x [a b c]"}, got); d != "" {
		t.Error(d)
	}
	// With the result in the store nothing needs to be executed.
	none := &Builder{Store: b.Store, Dir: b.Dir, Output: t.TempDir(), NoTest: true, Mode: "none", Messages: new(bytes.Buffer)}
	if p, err := New(im, li); err != nil {
		t.Fatal(err)
	} else if second, err := none.Build(context.Background(), p); err != nil || second.Digest != first.Digest {
		t.Errorf("again: %v %v", second, err)
	}
	im.Runs[0].Env = nil
	p, err := New(im, li)
	if err != nil {
		t.Fatal(err)
	}
	var failed *RunError
	if _, err := b.Build(context.Background(), p); !errors.As(err, &failed) || !strings.Contains(err.Error(), "no variable") {
		t.Errorf("a run that fails: %v", err)
	}
	var nobody *NoBuilderError
	if _, err := none.Build(context.Background(), p); !errors.As(err, &nobody) || !strings.Contains(err.Error(), `run "make" must be executed`) {
		t.Errorf("a run that nobody executes: %v", err)
	}
}
