package licence

import (
	"strings"
	"testing"
)

// whole says that what was made of words is valid, bounded, and declares all that it refers to.
func whole(t *testing.T, l Licence) {
	t.Helper()
	if l.Expression == "" {
		return
	}
	if again, ok := Valid(l.Expression); !ok || again != l.Expression {
		t.Fatalf("%q is not valid, or not in its usual form (%q)", l.Expression, again)
	}
	for _, r := range l.Refs {
		if !refForm.MatchString(r.ID) || len(r.ID) > 80 || len(r.Text) > maxText+10 || len(r.Words) > 1100 || !strings.Contains(l.Expression, r.ID) {
			t.Fatalf("reference %+v of %q", r, l.Expression)
		}
	}
}

func FuzzMetadata(f *testing.F) {
	f.Add("License: BSD\nLicense-Expression: MIT OR (Apache-2.0 AND LicenseRef-x)\nClassifier: License :: OSI Approved :: MIT License\n", "text")
	f.Add("License: GPL-2.0-or-laterX+\n more\nLicense-File: ../../x\n", "")
	f.Add("License: GPL-2.0-or-later+", "")
	f.Add("License-Expression: GPL-2.0+ WITH Classpath-exception-2.0 or-later\n", "")
	f.Fuzz(func(t *testing.T, metadata, text string) {
		m := ReadMetadata([]byte(metadata))
		whole(t, m.Declared(text))
		if l, ok := Words(m.Licence); ok {
			whole(t, l)
		}
		if l, ok := Expression(m.Licence); ok {
			whole(t, l)
		}
	})
}

func FuzzDebian(f *testing.F) {
	f.Add(copyright)
	f.Add("Format: copyright-format\n\nFiles: *\nLicense: a or (b and c, or d) with e\n\nLicense: b\n .\n")
	f.Fuzz(func(t *testing.T, file string) {
		list, ok := Debian([]byte(file))
		if ok != (len(list) > 0) {
			t.Fatalf("taken %v, and %d licences", ok, len(list))
		}
		for _, l := range list {
			whole(t, l)
		}
		if all := All(list).Expression; len(all) < maxWords && strings.Count(all, "(") < 512 {
			if _, valid := Valid(all); all != "" && !valid {
				t.Fatalf("together %q", all)
			}
		}
	})
}
