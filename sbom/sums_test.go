package sbom

import (
	"bytes"
	"testing"
)

// A format that does not state each file's sum is the same where nobody has hashed the files.
func TestSumsThatNobodyAskedForAreFoundWhereTheyAreStated(t *testing.T) {
	image := func(sums bool) *Image {
		im := imageOf(debian(), wheel("x", "1"), files{"app/model.safetensors": "weights", "app/loose.bin": "nobody's"})
		for i := range im.Layers {
			for j := range im.Layers[i].Files {
				if f := &im.Layers[i].Files[j]; !sums {
					f.SHA256 = ""
				}
			}
		}
		return im
	}
	list := func(sums bool) (*Inventory, map[Format][]byte) {
		inv, err := Catalog(t.Context(), image(sums), Options{Tool: Tool{"forge", "test"}, Temp: t.TempDir()})
		if err != nil {
			t.Fatal(err)
		}
		docs := map[Format][]byte{}
		for _, f := range Formats {
			var b bytes.Buffer
			if err := inv.Write(&b, f); err != nil {
				t.Fatal(err)
			}
			docs[f] = b.Bytes()
		}
		return inv, docs
	}
	whole, with := list(true)
	bare, without := list(false)
	for i, u := range whole.Unowned {
		if u.SHA256 == "" || u.SHA256 != bare.Unowned[i].SHA256 {
			t.Errorf("%s has the sum %q, and %q where nobody had hashed it", u.Path, u.SHA256, bare.Unowned[i].SHA256)
		}
	}
	models := 0
	for i, p := range whole.Packages {
		if p.FoundBy == "forge-models" {
			models++
			if len(p.Hashes) != 1 || len(bare.Packages[i].Hashes) != 1 || p.Hashes[0] != bare.Packages[i].Hashes[0] {
				t.Errorf("the model has %q and %q", p.Hashes, bare.Packages[i].Hashes)
			}
		}
	}
	if len(whole.Unowned) == 0 || models != 1 {
		t.Fatalf("%d files, %d models", len(whole.Unowned), models)
	}
	for _, f := range Formats {
		if same := bytes.Equal(with[f], without[f]); same == f.FileSums() {
			t.Errorf("%s: the same is %v", f, same)
		}
	}
}
