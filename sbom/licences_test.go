package sbom

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/anchore/syft/syft/license"
	"github.com/anchore/syft/syft/pkg"
	"github.com/google/go-cmp/cmp"

	"github.com/forge-build/forge/sbom/licence"
)

// mit is enough of the licence for its text to be recognised.
const mit = `Permission is hereby granted, free of charge, to any person obtaining a copy of this software and associated documentation files (the "Software"), to deal in the Software without restriction, including without limitation the rights to use, copy, modify, merge, publish, distribute, sublicense, and/or sell copies of the Software, and to permit persons to whom the Software is furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all copies or substantial portions of the Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM, OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.
`

// licensed is an image whose packages word their licences in several ways.
func licensed() []files {
	return []files{
		join(debian(), files{
			"usr/share/doc/libc6/copyright": "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n\nFiles: *\nLicense: LGPL-2.1+ or Expat\n\nFiles: x\nLicense: public-domain\n Free.\n",
		}),
		join(
			wheel("expression", "1", "License-Expression: apache-2.0 OR bsd-2-clause"),
			wheel("classifier", "1", "Classifier: License :: OSI Approved :: MIT License"),
			wheel("words", "1", "License: BSD", "License-File: LICENSE"), files{site + "words-1.dist-info/licenses/LICENSE": mit},
			wheel("older", "1", "License: See file", "License-File: LICENSE"), files{site + "older-1.dist-info/LICENSE": mit},
			wheel("own", "1", "License: NVIDIA Proprietary Software", "License-File: L"), files{site + "own-1.dist-info/L": "You may not."},
			wheel("silent", "1"),
		),
	}
}

func TestLicencesAreExpressions(t *testing.T) {
	inv := listed(t, licensed()...)
	got := map[string]string{}
	for _, p := range inv.Packages {
		got[p.Name] = strings.Join(p.Licenses, " & ")
	}
	want := map[string]string{"libc6": "LGPL-2.1-or-later OR MIT & LicenseRef-public-domain-4101f3ea", "expression": "Apache-2.0 OR BSD-2-Clause", "classifier": "MIT", "words": "MIT", "older": "MIT",
		"own": "LicenseRef-NVIDIA-Proprietary-Software-85bfb187", "silent": ""}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if inv.Licences[got["own"]] != "NVIDIA Proprietary Software" {
		t.Errorf("words %v", inv.Licences)
	}
}

func TestSPDXSaysWhatIsDeclaredAndWhatIsConcluded(t *testing.T) {
	var b bytes.Buffer
	if err := listed(t, licensed()...).Write(&b, SPDX); err != nil {
		t.Fatal(err)
	}
	var d struct {
		Packages []struct {
			Name, LicenseDeclared, LicenseConcluded string
		}
		HasExtractedLicensingInfos []struct{ LicenseID, Name, ExtractedText string }
	}
	if err := json.Unmarshal(b.Bytes(), &d); err != nil {
		t.Fatal(err)
	}
	got := map[string][2]string{}
	for _, p := range d.Packages {
		got[p.Name] = [2]string{p.LicenseDeclared, p.LicenseConcluded}
	}
	delete(got, "test") // the image
	want := map[string][2]string{
		"libc6":      {"(LGPL-2.1-or-later OR MIT) AND LicenseRef-public-domain-4101f3ea", "NOASSERTION"},
		"expression": {"Apache-2.0 OR BSD-2-Clause", "NOASSERTION"},
		"classifier": {"MIT", "NOASSERTION"},
		"words":      {got["words"][0], "MIT"},
		"older":      {got["older"][0], "MIT"},
		"own":        {"LicenseRef-NVIDIA-Proprietary-Software-85bfb187", "NOASSERTION"},
		"silent":     {"NOASSERTION", "NOASSERTION"},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	texts := map[string]string{}
	for _, x := range d.HasExtractedLicensingInfos {
		texts[x.Name] = x.ExtractedText
	}
	if texts["NVIDIA Proprietary Software"] != "You may not." || texts["public-domain"] != "Free." || strings.TrimSpace(texts["BSD"]) != strings.TrimSpace(mit) {
		t.Errorf("texts %q", texts)
	}
}

func TestCycloneDXStatesLicencesOnce(t *testing.T) {
	var b bytes.Buffer
	if err := listed(t, licensed()...).Write(&b, CycloneDX); err != nil {
		t.Fatal(err)
	}
	var d struct {
		Components []struct {
			Name     string
			Licenses json.RawMessage
			Evidence struct{ Licenses json.RawMessage }
		}
	}
	if err := json.Unmarshal(b.Bytes(), &d); err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, c := range d.Components {
		if c.Licenses != nil {
			got[c.Name] = strings.Join(strings.Fields(string(c.Licenses)), "") + strings.Join(strings.Fields(string(c.Evidence.Licenses)), "")
		}
	}
	want := map[string]string{
		"libc6":      `[{"expression":"(LGPL-2.1-or-laterORMIT)ANDLicenseRef-public-domain-4101f3ea","acknowledgement":"declared"}]`,
		"expression": `[{"expression":"Apache-2.0ORBSD-2-Clause","acknowledgement":"declared"}]`,
		"classifier": `[{"license":{"id":"MIT","acknowledgement":"declared"}}]`,
		"words":      `[{"license":{"name":"BSD","acknowledgement":"declared"}}][{"license":{"id":"MIT","acknowledgement":"concluded"}}]`,
		"older":      `[{"license":{"name":"Seefile","acknowledgement":"declared"}}][{"license":{"id":"MIT","acknowledgement":"concluded"}}]`,
		"own":        `[{"license":{"name":"NVIDIAProprietarySoftware","acknowledgement":"declared"}}]`,
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

// A package that shares another's folder of documentation is not that one's.
func TestWhatSharesACopyrightFileIsNotBundled(t *testing.T) {
	stanza := func(name string) string {
		return "Package: " + name + "\nStatus: install ok installed\nVersion: 14.2.0-19\nArchitecture: amd64\nSource: gcc-14\n"
	}
	inv := listed(t, join(debian(), files{
		"var/lib/dpkg/status.d/libgcc-s1":           stanza("libgcc-s1"),
		"var/lib/dpkg/status.d/gcc-14-base":         stanza("gcc-14-base"),
		"var/lib/dpkg/status.d/gcc-14-base.md5sums": "d41d8cd98f00b204e9800998ecf8427e  usr/share/doc/gcc-14-base/copyright\n",
		"usr/share/doc/gcc-14-base/copyright":       "GCC is free.\n",
		"usr/share/doc/libgcc-s1 -> gcc-14-base":    "",
	}))
	if text := inv.refs[inv.Packages[0].Licenses[0]].Text; text != "GCC is free." {
		t.Errorf("the licence of %s has the text %q", inv.Packages[0].Name, text)
	}
	seen := 0
	for _, p := range inv.Packages {
		for _, l := range p.Locations {
			if p.Name == "libgcc-s1" && l.Path == "/usr/share/doc/gcc-14-base/copyright" {
				seen++
			}
		}
		if p.BundledIn != "" {
			t.Errorf("%s is bundled in %s", p.Name, p.BundledIn)
		}
	}
	if seen != 1 {
		t.Error("the copyright file is not found through the link: the test tests nothing")
	}
}

// The text of a GNU licence is the same whether or not a later version may be chosen.
func TestGNULicencesAreNotConcludedFromTheirText(t *testing.T) {
	for id, want := range map[string]bool{"GPL-2.0-only": true, "LGPL-3.0-only": true, "AGPL-3.0-or-later": true, "GFDL-1.3-only": true, "MIT": false, "GPL-3.0-only WITH GCC-exception-3.1": false} {
		if gnu.MatchString(id) != want {
			t.Errorf("%s: %v", id, !want)
		}
	}
	l := &licensing{t: &tree{im: &Image{}, nodes: map[string]*node{}}, refs: map[string]licence.Ref{}}
	got, err := l.others([]pkg.License{{Value: "GPL-2.0-only", SPDXExpression: "GPL-2.0-only", Type: license.Concluded, Contents: "GNU GENERAL PUBLIC LICENSE"}, {Value: "MIT", SPDXExpression: "MIT", Type: license.Concluded},
		{Value: "GPL-2.0-only", SPDXExpression: "GPL-2.0-only", Type: license.Declared}})
	if err != nil || len(got) != 3 || !strings.HasPrefix(got[0].SPDXExpression, "LicenseRef-") || l.refs[got[0].SPDXExpression].Text != "GNU GENERAL PUBLIC LICENSE" || got[1].SPDXExpression != "MIT" || got[2].SPDXExpression != "GPL-2.0-only" {
		t.Errorf("%+v %v", got, err)
	}
}
