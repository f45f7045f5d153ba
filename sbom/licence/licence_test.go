package licence

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestWordsWithOneMeaning(t *testing.T) {
	for words, want := range map[string]string{
		"MIT": "MIT", "mit": "MIT", "The MIT License": "MIT", "MIT License (MIT)": "MIT", "Expat": "MIT",
		"Apache 2.0": "Apache-2.0", "Apache License, Version 2.0": "Apache-2.0", "apache software license 2.0": "Apache-2.0", "Apache-2": "Apache-2.0", "Apache License v2.0": "Apache-2.0",
		"BSD 3-Clause": "BSD-3-Clause", "3-Clause BSD License": "BSD-3-Clause", "New BSD": "BSD-3-Clause", "BSD-2-clause": "BSD-2-Clause",
		"Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0", "GPLv3+": "GPL-3.0-or-later", "GPL-2.0": "GPL-2.0-only", "GPL-2.0+": "GPL-2.0-or-later", "GPL-2.0-or-later+": "GPL-2.0-or-later", "Apache-2.0+": "Apache-2.0+",
		"GNU Lesser General Public License v3 or later (LGPLv3+)": "LGPL-3.0-or-later", "MPL-1.1+": "MPL-1.1+",
		"Apache 2.0 or MIT": "Apache-2.0 OR MIT", "mit and (apache-2.0 or bsd-3-clause)": "MIT AND (Apache-2.0 OR BSD-3-Clause)",
		"Apache-2.0 WITH LLVM-exception": "Apache-2.0 WITH LLVM-exception", "ISC License (ISCL)": "ISC", "Zero-Clause BSD (0BSD)": "0BSD",
	} {
		got, ok := Words(words)
		if !ok || got.Expression != want || len(got.Refs) > 0 {
			t.Errorf("%q is %+v %v, should be %s", words, got, ok, want)
		}
	}
}

func TestWordsWithSeveralMeaningsAreNotGuessed(t *testing.T) {
	for _, words := range []string{"BSD", "BSD License", "Apache", "Apache Software License", "GPL", "GNU General Public License v3 (GPLv3)", "LGPL", "Artistic", "PSF", "Python Software Foundation License",
		"Public Domain", "Other/Proprietary License", "MIT/Apache-2.0", "MIT, see LICENSE", "MIT or", "or", "", "UNKNOWN", "MIT Apache-2.0", "DocumentRef-x:LicenseRef-y", "GPL-3.0 with",
		"NVIDIA Proprietary Software", strings.Repeat("(", 100) + "MIT" + strings.Repeat(")", 100)} {
		if got, ok := Words(words); ok {
			t.Errorf("%.50q is taken as %s", words, got.Expression)
		}
	}
}

func TestWhatPythonPackagesSay(t *testing.T) {
	for name, x := range map[string]struct{ metadata, want, words string }{
		"an expression":           {"License-Expression: mit AND bsd-3-clause\nLicense: Apache-2.0\n", "MIT AND BSD-3-Clause", ""},
		"one of the author's own": {"License-Expression: LicenseRef-Acme OR MIT\n", "LicenseRef-Acme OR MIT", ""},
		"one that is none":        {"License-Expression: MIT BSD\nLicense: MIT\n", "LicenseRef-MIT-BSD-f1fe562e", "MIT BSD"},
		"a line":                  {"License: Apache 2.0\nClassifier: License :: Other/Proprietary License\n", "Apache-2.0", ""},
		"a classifier":            {"Classifier: Programming Language :: Python\nClassifier: License :: OSI Approved :: MIT License\n", "MIT", ""},
		"a better classifier":     {"License: see file\nClassifier: License :: OSI Approved\nClassifier: License :: OSI Approved :: Mozilla Public License 2.0 (MPL 2.0)\n", "MPL-2.0", ""},
		"the same, twice":         {"Classifier: License :: OSI Approved :: MIT License\nClassifier: License :: OSI Approved :: MIT License\n", "MIT", ""},
		"two classifiers":         {"Classifier: License :: OSI Approved :: MIT License\nClassifier: License :: OSI Approved :: BSD License\n", "LicenseRef-BSD-License-MIT-License-37e1afd9", "BSD License, MIT License"},
		"an ambiguous word":       {"License: BSD\n", "LicenseRef-BSD", "BSD"},
		"nothing":                 {"Name: x\n\nLicense: MIT\n", "", ""},
		"UNKNOWN":                 {"License: UNKNOWN\n", "", ""},
		"a whole text":            {"License: Do what you want.\n        But not that.\n", "LicenseRef-0657cc1c", ""},
		"the first of two":        {"License: MIT\nLicense: GPL-3.0-or-later\n", "MIT", ""},
		"a name that is cut":      {"License: " + strings.Repeat("Long ", 30) + "\n", "LicenseRef-Long-Long-Long-Long-Long-Long-Long-Long-7698a99a", strings.TrimSpace(strings.Repeat("Long ", 30))},
		"no ASCII letter":         {"License: 许可\n", "LicenseRef-b27b487d", "许可"},
	} {
		got := ReadMetadata([]byte("Metadata-Version: 2.4\n" + x.metadata)).Declared("")
		words := ""
		if len(got.Refs) > 0 {
			words = got.Refs[0].Words
		}
		if got.Expression != x.want || words != x.words {
			t.Errorf("%s: %s, words %q; should be %s, %q", name, got.Expression, words, x.want, x.words)
		}
		if got.Expression != "" {
			if _, ok := Valid(got.Expression); !ok {
				t.Errorf("%s: %q is not valid", name, got.Expression)
			}
		}
	}
}

func TestReferencesKeepTheText(t *testing.T) {
	m := ReadMetadata([]byte("License: NVIDIA Proprietary Software\nLicense-File: License.txt\n"))
	one, same, other := m.Declared("You may."), m.Declared("You may.\n"), m.Declared("You may not.")
	if one.Expression != same.Expression || one.Expression == other.Expression || one.Refs[0].Text != "You may." || !strings.HasPrefix(one.Expression, "LicenseRef-NVIDIA-Proprietary-Software-") {
		t.Errorf("%+v %+v %+v", one, same, other)
	}
	if long := m.Declared(strings.Repeat("é", maxText)); len(long.Refs[0].Text) > maxText+10 {
		t.Errorf("a text of %d bytes is kept", len(long.Refs[0].Text))
	}
	if d := cmp.Diff([]string{"License.txt"}, m.Files); d != "" {
		t.Error(d)
	}
}

const copyright = `Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: x

Files: *
Copyright: 2020 A
License: GPL-2+ and (Expat or BSD-3-clause)

Files: a/*
License: GPL-3+ with GCC exception
 Text of it.

Files: b
License: public-domain

Files: c
License: GPL-2+ or Artistic, and LGPL-2.1

Files: d
License: Perl

License: public-domain
 This is in the public
 .
 domain.
`

func TestDebianCopyrightFiles(t *testing.T) {
	list, ok := Debian([]byte(copyright))
	if !ok {
		t.Fatal("it is not taken")
	}
	var got []string
	refs := map[string]string{}
	for _, l := range list {
		got = append(got, l.Expression)
		for _, r := range l.Refs {
			refs[r.Words] = r.Text
		}
	}
	want := []string{
		"(GPL-2.0-or-later OR LicenseRef-Artistic) AND LGPL-2.1-only",
		"GPL-1.0-or-later OR Artistic-1.0-Perl",
		"GPL-2.0-or-later AND (MIT OR BSD-3-Clause)",
		"GPL-3.0-or-later WITH GCC-exception-3.1",
		"LicenseRef-public-domain-c6a53671",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff(map[string]string{"Artistic": "", "public-domain": "This is in the public\n\ndomain."}, refs); d != "" {
		t.Error(d)
	}
	all := All(list)
	if _, ok := Valid(all.Expression); !ok {
		t.Errorf("together they are %q, which is not valid", all.Expression)
	}
	for _, bad := range []string{"", "This package was debianized by\n\nLicense: MIT\n", "Format: x\n\nFiles: *\nLicense: MIT\n", "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n\nFiles: *\n"} {
		if list, ok := Debian([]byte(bad)); ok {
			t.Errorf("%q is taken: %v", bad, list)
		}
	}
}

func TestDebianShortNames(t *testing.T) {
	for name, want := range map[string]string{
		"GPL-2": "GPL-2.0-only", "GPL-2.0+": "GPL-2.0-or-later", "LGPL-2.1+": "LGPL-2.1-or-later", "GPLv3": "GPL-3.0-only", "AGPL-3+": "AGPL-3.0-or-later", "GFDL-1.3": "GFDL-1.3-only", "GPL": "", "BSD": "",
		"GPL-2+ with Autoconf exception": "GPL-2.0-or-later WITH Autoconf-exception-2.0", "GPL-3+ with autoconf-exception": "GPL-3.0-or-later WITH Autoconf-exception-3.0",
		"GPL-2+ with OpenSSL exception": "", "zlib": "Zlib", "ISC": "ISC", "Apache-2.0 with LLVM exception": "Apache-2.0 WITH LLVM-exception", "BSD-4-clause-UC": "BSD-4-Clause-UC", "CC0": "CC0-1.0",
		"GPL-3.0-or-later WITH GCC-exception-3.1": "GPL-3.0-or-later WITH GCC-exception-3.1", "GPL-9+": "",
	} {
		if got := debianID(name); got != want {
			t.Errorf("%s is %q, should be %q", name, got, want)
		}
	}
}

// The tables must name what SPDX has.
func TestTablesNameLicencesOfSPDX(t *testing.T) {
	for _, table := range []map[string]string{names, debian} {
		for name, id := range table {
			if _, ok := Valid(id); !ok {
				t.Errorf("%q leads to %q, which SPDX does not have", name, id)
			}
		}
	}
	for name := range names {
		if plainly(name) != name {
			t.Errorf("%q is never looked up: it becomes %q", name, plainly(name))
		}
	}
	for name, list := range exceptions {
		for _, e := range list {
			if _, ok := Valid("GPL-3.0-or-later WITH " + e); !ok {
				t.Errorf("%q leads to %q, which SPDX does not have", name, e)
			}
		}
	}
}

func TestWhatIsSaidTwiceIsThereOnce(t *testing.T) {
	all := All([]Licence{{Expression: "ISC AND MIT"}, {Expression: "MIT"}, {}, {Expression: "(MIT AND Zlib) OR ISC"}, {Expression: "ISC AND MIT AND (Zlib OR ISC)"}})
	if want := "ISC AND MIT AND ((MIT AND Zlib) OR ISC) AND (Zlib OR ISC)"; all.Expression != want {
		t.Errorf("%s, should be %s", all.Expression, want)
	}
	if one := All([]Licence{{Expression: "MIT OR ISC"}, {Expression: "MIT OR ISC"}}); one.Expression != "MIT OR ISC" {
		t.Error(one.Expression)
	}
	if none := All([]Licence{{}, {}}); none.Expression != "" {
		t.Error(none.Expression)
	}
}

// What reference makes of a text without words is what Nameless knows.
func TestAReferenceWithoutWordsIsNameless(t *testing.T) {
	for _, row := range []struct {
		words, text string
		want        bool
	}{{"", "All rights reserved.", true}, {"?!", "text", true}, {"BSD", "text", false}, {"BSD", "", false}, {"Acme License", "", false}} {
		if id := reference(row.words, row.text).ID; Nameless(id) != row.want {
			t.Errorf("%q %q is %s, nameless: %v", row.words, row.text, id, !row.want)
		}
	}
}
