package lock

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const (
	sumA = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	sumB = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
)

func sample() *Lock {
	return &Lock{Format: Format, Layers: 1, Images: map[string]*Image{"train": {
		Inputs:   map[string]string{"pytorch.version": "2.9.1", "base.suite": "trixie"},
		Platform: "linux/amd64",
		Created:  "2026-11-22T00:00:00Z",
		Init:     Init{sumA, 3},
		Python:   Python{"3.13", "/usr/bin/python3.13", "3.13.5"},
		Debian:   &Debian{Suite: "trixie", Packages: []Deb{{Name: "libc6", Version: "2.41-1", Architecture: "amd64", Archive: "debian", Path: "pool/main/g/glibc/libc6.deb", Size: 1, SHA256: sumB}}},
		Wheels:   []Wheel{{Name: "numpy", Version: "2.0", File: "numpy-2.0-cp313.whl", Index: "default", Size: 9, SHA256: sumA, Requested: true}},
		Layers:   []Layer{{Kind: "wheels", Name: "small-1", Members: []string{sumA}, DiffID: "sha256:" + sumA, Unpacked: 5, Blobs: map[string]Blob{"zstd": {"sha256:" + sumB, 4}}}},
	}}}
}

func TestWhatIsWrittenIsReadBackAndWritingAgainChangesNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "recipe.lock.json")
	if err := Write(path, sample()); err != nil {
		t.Fatal(err)
	}
	got, err := Read(path, 1)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(sample(), got); d != "" {
		t.Fatal(d)
	}
	before, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := Write(path, got); err != nil {
		t.Fatal(err)
	}
	if after, err := os.Stat(path); err != nil || !os.SameFile(before, after) {
		t.Fatalf("the second writing replaced the file (%v)", err)
	}
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(path), ".*")); len(left) != 0 {
		t.Fatalf("left behind: %v", left)
	}
}

func TestEachDamageIsRefusedWithItsReason(t *testing.T) {
	good, err := Encode(sample())
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct{ name, old, new, want string }{
		{"a merge conflict", `    "train": {`, "<<<<<<< HEAD\n    \"train\": {", "line 5: a merge conflict stands in it"},
		{"a time before all computers", `"created": "2026`, `"created": "0000`, "from 1970 on"},
		{"a duplicate key", `"platform":`, `"created": "2026-11-22T00:00:00Z", "platform":`, `key "created" stands twice`},
		{"a key in another case", `"platform":`, `"Platform":`, `\"Platform\"`},
		{"an unknown key", `"platform":`, `"plattform":`, `unknown field "plattform"`},
		{"an edited sum", sumA, sumA[:63], "is no sha256 and size"},
		{"an upper-case sum", `"sha256": "` + sumB, `"sha256": "` + strings.ToUpper(sumB), "is no sha256 and size"},
		{"a negative size", `"size": 9`, `"size": -9`, "is no sha256 and size"},
		{"a number that is none", `"size": 9`, `"size": 1e999`, "cannot unmarshal"},
		{"a path out of the archive", "pool/main/g", "../../pool", "leaves the archive"},
		{"a file name with a folder", "numpy-2.0-cp313.whl", "../numpy.whl", "is not a plain name"},
		{"a member that is not locked", `"members": [` + "\n            \"" + sumA, `"members": [` + "\n            \"" + sumA[:63] + "c", "is not locked"},
		{"a second document", "\n}\n", "\n}\n{}", "after the document's end"},
		{"a cut file", "\n}\n", "\n", "it ends too early"},
		{"another platform", "linux/amd64", "plan9/mips", "neither linux/amd64"},
		{"terminal escapes in a name", `"name": "numpy"`, `"name": "\u001b[2Jnumpy"`, `\x1b[2Jnumpy`},
		{"terminal escapes in a version", `"version": "2.0"`, `"version": "2.0\u001b]0;x\u0007"`, "control character U+001B"},
		{"text that is turned around", `"version": "2.0"`, `"version": "2.0\u202e"`, "control character U+202E"},
		{"terminal escapes in a key", `"pytorch.version"`, `"pytorch.version\u009b2J"`, "control character U+009B"},
		{"a line feed in a name of an image", `"train": {`, `"train\nx": {`, "control character U+000A"},
		{"a null image", `"images": {`, `"images": {"x": null,`, "is null"},
	} {
		t.Run(row.name, func(t *testing.T) {
			bad := strings.Replace(string(good), row.old, row.new, 1)
			if bad == string(good) {
				t.Fatalf("the row changes nothing: %q is not in the lock", row.old)
			}
			_, err := Decode("x.lock.json", []byte(bad), 1)
			var invalid *InvalidError
			if !errors.As(err, &invalid) || !strings.Contains(err.Error(), row.want) {
				t.Fatalf("got %v, want an InvalidError with %q", err, row.want)
			}
			if strings.ContainsAny(err.Error(), "\x1b\x00") {
				t.Fatalf("raw control characters in %q", err)
			}
		})
	}
}

func TestADepthBombIsRefused(t *testing.T) {
	_, err := Decode("x", []byte(strings.Repeat("[", 1<<20)), 1)
	if err == nil || !strings.Contains(err.Error(), "nested deeper than 100") {
		t.Fatal(err)
	}
}

func TestAnotherFormatIsSaidAsSuch(t *testing.T) {
	l := sample()
	l.Layers = 7
	raw, err := Encode(l)
	if err != nil {
		t.Fatal(err)
	}
	var format *FormatError
	if got, err := Decode("x", raw, 1); !errors.As(err, &format) || format.What != "layers" || got == nil {
		t.Fatalf("got %v, %v; a lock of other layers keeps its choices", got, err)
	}
	if _, err := Decode("x", bytes.Replace(raw, []byte(`"format": 1`), []byte(`"format": 2`), 1), 7); !errors.As(err, &format) || format.What != "format" {
		t.Fatal(err)
	}
}

func TestWhatCannotBeRead(t *testing.T) {
	dir := t.TempDir()
	if _, err := Read(filepath.Join(dir, "none"), 1); !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	if _, err := Read(dir, 1); err == nil {
		t.Fatal("a folder was read as a lock")
	}
	link := filepath.Join(dir, "link")
	if err := os.Symlink("/dev/null", link); err != nil {
		t.Fatal(err)
	}
	if err := Write(link, sample()); err == nil {
		t.Fatal("a lock was written over a symbolic link")
	}
}

func TestStaleNamesTheValueThatChanged(t *testing.T) {
	got := sample().Images["train"].Stale(map[string]string{"pytorch.version": "2.10.0", "python.version": "3.13"})
	want := []Change{{"base.suite", "trixie", ""}, {"python.version", "", "3.13"}, {"pytorch.version", "2.9.1", "2.10.0"}}
	if d := cmp.Diff(want, got); d != "" {
		t.Fatal(d)
	}
}

// Whatever differs has a place, also what no line of Diff shows.
func TestRestNamesEveryPlace(t *testing.T) {
	for place, change := range map[string]func(im *Image){
		"wheels[0].size": func(im *Image) { im.Wheels[0].Size = 1 << 40 }, "wheels[0].requested": func(im *Image) { im.Wheels[0].Requested = false },
		"layers[0].blobs.zstd.size": func(im *Image) { im.Layers[0].Blobs["zstd"] = Blob{"sha256:" + sumB, 5} }, "debian.packages[0].path": func(im *Image) { im.Debian.Packages[0].Path = "x" },
		"init.size": func(im *Image) { im.Init.Size = 4 }, "inputs.base.suite": func(im *Image) { im.Inputs["base.suite"] = "sid" },
	} {
		a, b := sample().Images["train"], sample().Images["train"]
		if same, err := Rest(a, b); err != nil || len(same) > 0 {
			t.Fatalf("%v, %v", same, err)
		}
		change(b)
		if c, err := Rest(a, b); err != nil || len(c) != 1 || c[0].What != place {
			t.Errorf("%s: %v, %v", place, c, err)
		}
	}
	a, b := sample().Images["train"], sample().Images["train"]
	b.Wheels[0].Size = 1 << 40
	if c, err := Rest(a, b); err != nil || len(c) != 1 || c[0].String() != "~ wheels[0].size: 9 → 1099511627776" {
		t.Errorf("%v, %v", c, err)
	}
}

func TestDiffOfOneWheel(t *testing.T) {
	a, b := sample().Images["train"], sample().Images["train"]
	b.Wheels[0].Version, b.Wheels[0].SHA256 = "2.1", sumB
	var got []string
	for _, c := range Diff(a, b) {
		got = append(got, c.String())
	}
	if d := cmp.Diff([]string{"~ wheel numpy: 2.0 aaaaaaaaaaaa → 2.1 bbbbbbbbbbbb"}, got); d != "" {
		t.Fatal(d)
	}
}

func FuzzDecode(f *testing.F) {
	good, err := Encode(sample())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add([]byte(`{"format":1,"layers":1,"images":{"a":{}}}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		l, err := Decode("x", raw, 1)
		if err != nil {
			return
		}
		again, err := Encode(l)
		if err != nil {
			t.Fatalf("a lock that was read cannot be written: %v", err)
		}
		if _, err := Decode("x", again, 1); err != nil {
			t.Fatalf("what was written cannot be read: %v", err)
		}
	})
}
