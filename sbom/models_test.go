package sbom

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"io"
	"path"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// gguf is a model's file with a name and nothing else.
func gguf(name string) string {
	var b bytes.Buffer
	text := func(s string) {
		_ = binary.Write(&b, binary.LittleEndian, uint64(len(s)))
		b.WriteString(s)
	}
	b.WriteString("GGUF")
	_ = binary.Write(&b, binary.LittleEndian, uint32(3))
	_ = binary.Write(&b, binary.LittleEndian, uint64(0))
	_ = binary.Write(&b, binary.LittleEndian, uint64(2))
	for _, kv := range [][2]string{{"general.architecture", "llama"}, {"general.name", name}} {
		text(kv[0])
		_ = binary.Write(&b, binary.LittleEndian, uint32(8))
		text(kv[1])
	}
	return b.String()
}

// safetensors is a file of one tensor.
func safetensors() string {
	head := `{"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}`
	return string(binary.LittleEndian.AppendUint64(nil, uint64(len(head)))) + head + "\x00\x00\x00\x00"
}

func modelFiles() files {
	return files{"app/main.py": "print()", "app/bert/model.safetensors": safetensors(), "app/llm.gguf": gguf("Tiny Llama"), "app/a.onnx": "onnx", "app/b.pt": "PK", "app/broken.gguf": "no",
		"app/shards/model-1.safetensors": safetensors(), "app/shards/model-2.safetensors": safetensors()}
}

func TestModelsAreListed(t *testing.T) {
	im, plan := forged(modelFiles())
	im.Layers[1] = layerOf(1, join(wheel("torch", "2.9.1"), wheel("jinja2", "3.1.6"), files{site + "torch/__init__.py": ""}))
	inv := compared(t, im, plan)
	got := map[string]string{}
	for _, p := range inv.Packages {
		if p.Type == "model" {
			got[p.Name] = strings.Join(p.Hashes, " ")
		}
	}
	want := map[string]string{"bert": "sha256:" + sum(safetensors()), "Tiny Llama": "sha256:" + sum(gguf("Tiny Llama")), "a.onnx": "sha256:" + sum("onnx"), "b.pt": "sha256:" + sum("PK"),
		"broken.gguf": "sha256:" + sum("no"), "shards": ""}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	for _, u := range inv.Unowned {
		if isModel(u.Path) {
			t.Errorf("%s is nobody's", u.Path)
		}
	}
}

func TestModelsAndFilesInTheDocuments(t *testing.T) {
	im, plan := forged(modelFiles())
	inv := compared(t, im, plan)
	type component struct {
		Type, Name string
		Hashes     []struct{ Alg, Content string }
		Components []component
	}
	var cdx struct{ Components []component }
	var spdx struct {
		Packages []struct {
			Name, VersionInfo string
			Checksums         []struct{ Algorithm, ChecksumValue string }
		}
		Files []struct {
			FileName  string
			Checksums []struct{ Algorithm, ChecksumValue string }
		}
	}
	for f, into := range map[Format]any{CycloneDX: &cdx, SPDX: &spdx} {
		var b bytes.Buffer
		if err := inv.Write(&b, f); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(b.Bytes(), into); err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(b.Bytes(), []byte("UNKNOWN")) {
			t.Errorf("%s has a version UNKNOWN", f)
		}
	}
	got := map[string]string{}
	var walk func(list []component, in string)
	walk = func(list []component, in string) {
		for _, c := range list {
			for _, h := range c.Hashes {
				got[in+c.Type+" "+c.Name] = h.Content
			}
			walk(c.Components, c.Name+" > ")
		}
	}
	walk(cdx.Components, "")
	for name, content := range map[string]string{"machine-learning-model a.onnx": "onnx", "a.onnx > file /app/a.onnx": "onnx", "file /app/main.py": "print()", "machine-learning-model Tiny Llama": gguf("Tiny Llama"),
		"shards > file /app/shards/model-2.safetensors": safetensors()} {
		if got[name] != sum(content) {
			t.Errorf("CycloneDX: %s has sum %q", name, got[name])
		}
	}
	for _, p := range spdx.Packages {
		if p.Name == "Tiny Llama" && (len(p.Checksums) != 1 || p.Checksums[0].ChecksumValue != sum(gguf("Tiny Llama"))) {
			t.Errorf("SPDX: %+v", p)
		}
	}
	sums := map[string]string{}
	for _, f := range spdx.Files {
		for _, c := range f.Checksums {
			sums[f.FileName] += c.Algorithm + " " + c.ChecksumValue + " "
		}
	}
	// printf 'print()' | sha1sum
	if want := "SHA1 19c8a5cdef0f37df1bfbc1c66d27412754169588 SHA256 " + sum("print()") + " "; sums["./app/main.py"] != want {
		t.Errorf("SPDX: main.py has %q, should have %q", sums["./app/main.py"], want)
	}
}

// Syft copies the first 50 MB of a GGUF file, more than of any other text.
func TestALargeGGUFIsListed(t *testing.T) {
	head, size := gguf("Large"), int64(80<<20)
	im := bomb("app/large.gguf", size)
	im.Layers[1].Open = func(int) (io.Reader, error) {
		return io.MultiReader(strings.NewReader(head), io.LimitReader(endless{}, size-int64(len(head)))), nil
	}
	inv, err := Catalog(t.Context(), im, Options{Tool: Tool{"forge", "test"}, Temp: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string{"model Large ", "deb libc6 2.41-12"}, names(inv)); d != "" {
		t.Error(d)
	}
}

// A60: weights that no package owns are models in the CycloneDX document, each with the hash of
// its bytes; other bytes are another hash, and none is left out.
func TestModelsAreListedWithTheirHashes(t *testing.T) {
	models := files{"models/a.safetensors": "one", "models/b.GGUF": "two", "opt/c.pt": "three", "srv/notes.txt": "no model"}
	for _, change := range []string{"", "another"} {
		l := join(models)
		l["models/a.safetensors"] += change
		var b bytes.Buffer
		if err := listed(t, debian(), l).Write(&b, CycloneDX); err != nil {
			t.Fatal(err)
		}
		var doc struct {
			Components []struct {
				Type, Name string
				Hashes     []struct{ Alg, Content string }
			}
		}
		if err := json.Unmarshal(b.Bytes(), &doc); err != nil {
			t.Fatal(err)
		}
		found := map[string]string{}
		for _, c := range doc.Components {
			if c.Type == "machine-learning-model" && len(c.Hashes) == 1 && c.Hashes[0].Alg == "SHA-256" {
				found[c.Name] = c.Hashes[0].Content
			}
		}
		for name, content := range l {
			want := sum(content)
			if name == "srv/notes.txt" {
				want = ""
			}
			if found[path.Base(name)] != want {
				t.Errorf("%s has hash %q, want %q", name, found[path.Base(name)], want)
			}
		}
	}
}
