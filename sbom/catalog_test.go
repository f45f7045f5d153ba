package sbom

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestListsWhatIsThere(t *testing.T) {
	inv := listed(t, debian(), join(wheel("torch", "2.9.1", "Requires-Dist: jinja2"), wheel("jinja2", "3.1.6", "License-Expression: BSD-3-Clause")))
	want := []string{"python jinja2 3.1.6", "deb libc6 2.41-12", "python torch 2.9.1"}
	if d := cmp.Diff(want, names(inv)); d != "" {
		t.Error(d)
	}
	if inv.Subject.Distribution != "debian" || inv.Subject.Release != "13" {
		t.Errorf("distribution %q %q", inv.Subject.Distribution, inv.Subject.Release)
	}
	jinja, torch := inv.Packages[0], inv.Packages[2]
	if d := cmp.Diff([]string{jinja.ID}, torch.DependsOn); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]string{"BSD-3-Clause"}, jinja.Licenses); d != "" {
		t.Error(d)
	}
	if torch.Files != 3 || torch.Size == 0 {
		t.Errorf("torch owns %d files of %d bytes", torch.Files, torch.Size)
	}
}

// A50: what is listed is what a container sees.
func TestWhatAWhiteoutHidesIsNotThere(t *testing.T) {
	inv := listed(t, join(wheel("old", "1"), wheel("gone", "1"), files{"data/a.txt": "a"}),
		files{site + ".wh.gone-1.dist-info": "", site + ".wh.gone": "", "data/.wh..wh..opq": ""})
	if d := cmp.Diff([]string{"python old 1"}, names(inv)); d != "" {
		t.Error(d)
	}
	if inv.Files != 3 {
		t.Errorf("%d files, 3 are due", inv.Files)
	}
}

func TestAPlantedBillOfMaterialsAddsNothing(t *testing.T) { // A49
	planted := `{"bomFormat":"CycloneDX","specVersion":"1.6","components":[{"type":"library","name":"evil","version":"1","purl":"pkg:pypi/evil@1"}]}`
	spdx := `{"spdxVersion":"SPDX-2.3","SPDXID":"SPDXRef-DOCUMENT","name":"x","packages":[{"name":"evil","SPDXID":"SPDXRef-a","versionInfo":"1","downloadLocation":"NONE"}]}`
	inv := listed(t, join(wheel("good", "1"), files{"bom.cdx.json": planted, "opt/bitnami/evil/.spdx-evil.spdx": spdx, "a.spdx.json": spdx, "x.syft.json": "{}"}))
	if d := cmp.Diff([]string{"python good 1"}, names(inv)); d != "" {
		t.Error(d)
	}
}

func TestSameImageSameBytes(t *testing.T) { // A57
	layers := []files{debian(), join(wheel("torch", "2.9.1", "Requires-Dist: jinja2", "Requires-Dist: sympy"), wheel("jinja2", "3.1.6"), wheel("sympy", "1.14"))}
	for _, f := range Formats {
		var first []byte
		for range 4 {
			var b bytes.Buffer
			if err := listed(t, layers...).Write(&b, f); err != nil {
				t.Fatal(err)
			}
			if first == nil {
				first = b.Bytes()
			}
			if !bytes.Equal(first, b.Bytes()) {
				t.Fatalf("%s: not the same twice:\n%s", f, cmp.Diff(string(first), b.String()))
			}
		}
		again, err := Load(bytes.NewReader(first))
		if err != nil {
			t.Fatalf("%s: %v", f, err)
		}
		if d := cmp.Diff(names(listed(t, layers...)), names(again)); d != "" {
			t.Errorf("%s: read back: %s", f, d)
		}
	}
}

func TestLicencesThatAuthorsNameAreDeclared(t *testing.T) {
	var b bytes.Buffer
	if err := listed(t, wheel("cudnn", "9", "License-Expression: LicenseRef-NVIDIA-Proprietary AND MIT")).Write(&b, SPDX); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(b.String(), `"licenseId":"LicenseRef-NVIDIA-Proprietary"`) {
		t.Errorf("the reference is used and not declared: %s", b.String())
	}
}

func TestWhatCannotBeReadEndsTheListing(t *testing.T) {
	im := imageOf(debian(), wheel("torch", "2.9.1"))
	open := im.Layers[1].Open
	broken := errors.New("the content has another sha256")
	im.Layers[1].Open = func(n int) (io.Reader, error) {
		if strings.HasSuffix(im.Layers[1].Files[n].Path, "METADATA") {
			return io.MultiReader(strings.NewReader("Name: x"), failing{broken}), nil
		}
		return open(n)
	}
	_, err := Catalog(t.Context(), im, Options{Tool: Tool{"forge", "test"}, Temp: t.TempDir()})
	if !errors.Is(err, broken) || !strings.Contains(err.Error(), "torch-2.9.1.dist-info/METADATA") || !strings.Contains(err.Error(), im.Layers[1].DiffID) {
		t.Errorf("error %v; it should name file and layer", err)
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }
