package sbom

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// What a document says of packages, licences and copies is what was listed, in every form.
func TestADocumentReadAgainSaysTheSame(t *testing.T) {
	inv := listed(t, debian(), join(
		wheel("torch", "2.9.1", "License-Expression: BSD-3-Clause AND (MIT OR Apache-2.0)"),
		wheel("odd", "1", "License: verbatim words", "License-File: LICENSE"),
		wheel("both", "1", "License: GPL AND MIT"),
		wheel("setuptools", "80.9.0", "License-Expression: MIT"),
		files{
			site + "odd-1.dist-info/licenses/LICENSE": "Do what you want, but tell nobody.",
			site + "setuptools-80.9.0.dist-info/RECORD": "setuptools/_vendor/wheel-0.45.1.dist-info/METADATA,,\nsetuptools/__init__.py,,\n" +
				"setuptools-80.9.0.dist-info/METADATA,,\nsetuptools-80.9.0.dist-info/RECORD,,\n",
			site + "pillow.libs/libfreetype-57f805ba.so.6.20.6": "\x7fELF",
			site + "pillow.libs/libbrotlidec-7e5462ba.so.1.2.0": "\x7fELF",
		}, wheelAt(site+"setuptools/_vendor/", "wheel", "0.45.1", "Classifier: License :: OSI Approved :: MIT License"),
	))
	type said struct{ Type, Name, Version, In, Licences string }
	say := func(inv *Inventory) []said {
		byID := map[string]string{}
		for _, p := range inv.Packages {
			byID[p.ID] = p.Name
		}
		var out []said
		for _, p := range inv.Packages {
			words := ""
			for _, l := range p.Licenses {
				if w := inv.Licences[l]; w != "" {
					l = w
				}
				words += l + "; "
			}
			out = append(out, said{p.Type, p.Name, p.Version, byID[p.BundledIn], words})
		}
		return out
	}
	want := say(inv)
	if in := want[len(want)-1]; in.Name != "wheel" || in.In != "setuptools" {
		t.Fatalf("the copy in setuptools is listed as %v", in)
	}
	for _, f := range Formats {
		var b bytes.Buffer
		if err := inv.Write(&b, f); err != nil {
			t.Fatal(err)
		}
		again, err := Load(&b)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want, say(again)); d != "" {
			t.Errorf("%s: %s", f, d)
		}
	}
}
