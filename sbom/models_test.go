package sbom

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
)

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
				found[strings.TrimPrefix(c.Name, "/")] = c.Hashes[0].Content
			}
		}
		for name, content := range l {
			want := sum(content)
			if name == "srv/notes.txt" {
				want = ""
			}
			if found[name] != want {
				t.Errorf("%s has hash %q, want %q", name, found[name], want)
			}
		}
	}
}
