package wheel

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"testing"
)

func replaceRow(old, new string) func(string) string {
	return func(rows string) string {
		if !strings.Contains(rows, old) {
			panic("no " + old)
		}
		return strings.Replace(rows, old, new, 1)
	}
}

func TestRecord(t *testing.T) {
	const name = "demo/__init__.py"
	good := row(name, "print('demo')\n")
	other := row(name, "other content")
	tests := []struct {
		what, id string
		p        parts
	}{
		{"as it should be", "", parts{}},
		{"lines end with CR LF", "", parts{rows: func(r string) string { return strings.ReplaceAll(r, "\n", "\r\n") }}},
		{"no final line feed", "", parts{rows: func(r string) string { return strings.TrimSuffix(r, "\n") }}},
		{"a quoted path", "", parts{files: []text{{"a,b.py", "x"}}, rows: func(r string) string { return strings.Replace(r, "a,b.py", `"a,b.py"`, 1) }}},
		{"absent", "WHL-01", parts{noRecord: true}},
		{"empty", "WHL-01", parts{record: new(string)}},
		{"as many rows as files, one of them twice", "WHL-01", parts{rows: func(r string) string { return strings.Replace(r, good, strings.SplitAfter(r, "\n")[1], 1) }}},
		{"row without file", "WHL-01", parts{rows: replaceRow(good, good+row("demo/x.py", "x"))}},
		{"file without row", "WHL-01", parts{rows: replaceRow(good, "")}},
		{"wrong sha256", "WHL-01", parts{rows: replaceRow(good[:strings.LastIndex(good, ",")], other[:strings.LastIndex(other, ",")])}},
		{"md5", "WHL-01", parts{rows: replaceRow(good, name+",md5=1B2M2Y8AsgTpgAmY7PhCfg,14\n")}},
		{"sha1", "WHL-01", parts{rows: replaceRow(good, name+",sha1=2jmj7l5rSw0yVb_vlWAYkK_YBwk,14\n")}},
		{"no hash", "WHL-01", parts{rows: replaceRow(good, name+",,14\n")}},
		{"no size", "WHL-01", parts{rows: replaceRow(",14\n", ",\n")}},
		{"neither", "WHL-01", parts{rows: replaceRow(good, name+",,\n")}},
		{"wrong size", "WHL-01", parts{rows: replaceRow(",14\n", ",15\n")}},
		{"signed size", "WHL-01", parts{rows: replaceRow(",14\n", ",+14\n")}},
		{"size with a leading zero", "WHL-01", parts{rows: replaceRow(",14\n", ",014\n")}},
		{"huge size", "WHL-01", parts{rows: replaceRow(",14\n", ",99999999999999999999\n")}},
		{"row twice", "WHL-01", parts{rows: replaceRow(good, good+good)}},
		{"own row twice", "WHL-01", parts{rows: replaceRow(good, "demo-1.0.dist-info/RECORD,,\n")}},
		{"own row twice, by another name", "WHL-01", parts{rows: replaceRow(good, "demo/RECORD,,\n")}},
		{"no own row", "WHL-01", parts{rows: replaceRow("demo-1.0.dist-info/RECORD,,\n", "")}},
		{"own row of another folder", "WHL-01", parts{rows: replaceRow("demo-1.0.dist-info/RECORD,,\n", "other-1.0.dist-info/RECORD,,\n")}},
		{"backslashes", "WHL-01", parts{rows: replaceRow(name, `demo\__init__.py`)}},
		{"absolute path", "WHL-01", parts{rows: replaceRow(name, "/etc/passwd")}},
		{"path that leaves", "WHL-01", parts{rows: replaceRow(name, "../x")}},
		{"quoted line feed", "WHL-01", parts{rows: replaceRow(name, "\"demo/\n__init__.py\"")}},
		{"byte order mark", "WHL-01", parts{rows: func(r string) string { return "\ufeff" + r }}},
		{"own row with a hash", "WHL-01", parts{rows: replaceRow("RECORD,,\n", "RECORD,sha256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU,0\n")}},
		{"four fields", "WHL-01", parts{rows: replaceRow(",14\n", ",14,\n")}},
		{"an empty row", "WHL-01", parts{rows: func(r string) string { return r + "\n" }}},
		{"text after a quote", "WHL-01", parts{rows: replaceRow(name, `"`+name+`"x`)}},
		{"quote in the middle", "WHL-01", parts{rows: replaceRow(name, `demo"/__init__.py`)}},
		{"padded hash", "WHL-01", parts{rows: replaceRow(",14\n", "=,14\n")}},
		{"standard base64", "WHL-01", parts{files: []text{{"demo.py", "5"}}, rows: func(r string) string {
			f := strings.Replace(r, "-", "+", 1)
			return strings.Replace(strings.Replace(f, "_", "/", 1), "demo+1.0", "demo-1.0", 1)
		}}},
		{"hash of wrong length", "WHL-01", parts{rows: replaceRow(",14\n", "AAAA,14\n")}},
		{"many rows for files that are not there", "WHL-01", parts{rows: func(r string) string { return r + strings.Repeat("x,,\n", 5000) }}},
		{"rows that expand without end", "WHL-01", parts{rows: func(r string) string { return r + strings.Repeat("\n", 1<<20) }}},
		{"a row for RECORD.jws", "WHL-01", parts{files: []text{{"demo-1.0.dist-info/RECORD.jws", "x"}}}},
		{"a row for RECORD.p7s", "WHL-01", parts{files: []text{{"demo-1.0.dist-info/RECORD.p7s", "x"}}}},
	}
	said := sentences{}
	defer said.golden(t, "testdata/record.txt")
	for _, tt := range tests {
		t.Run(tt.what, func(t *testing.T) {
			w, err := tt.p.open()
			if err == nil {
				err = readAll(w)
			}
			said.note(tt.what, err)
			wantID(t, err, tt.id)
		})
	}
}

func TestRecordRowsAreCounted(t *testing.T) {
	_, err := ParseRecord([]byte(row("a", "a") + row("b", "b") + "c,md5=x,1\n"))
	if err == nil || !strings.Contains(err.Error(), "row 3") {
		t.Fatal(err)
	}
}

// RECORD.jws was written by wheel until 2020: it has no row and is not installed.
func TestSignatureIsLeftOut(t *testing.T) {
	p := parts{files: []text{{"demo.py", "x"}, {"demo-1.0.dist-info/RECORD.jws", "{}"}},
		rows: replaceRow(row("demo-1.0.dist-info/RECORD.jws", "{}"), "")}
	w, err := p.open()
	wantID(t, err, "")
	if len(w.Files) != 4 || len(w.Findings) != 1 {
		t.Fatalf("%+v %+v", w.Files, w.Findings)
	}
	got, err := w.ReadFile("demo-1.0.dist-info/RECORD", 1000)
	wantID(t, err, "")
	if !strings.Contains(string(got), "demo.py") {
		t.Fatalf("%q", got)
	}
}

func TestNewRecord(t *testing.T) {
	rows, err := ParseRecord(NewRecord([]RecordRow{{"x-1.dist-info/RECORD", "", -1}, {`a,"b.py`, RecordHash(make([]byte, 32)), 7}}))
	if err != nil || len(rows) != 2 || rows[0].Path != `a,"b.py` || rows[0].Size != 7 {
		t.Fatalf("%v %v", rows, err)
	}
}

func TestIdentity(t *testing.T) {
	meta := func(old, new string) parts { return parts{metadata: strings.Replace(demoMetadata, old, new, 1)} }
	wheel := func(old, new string) parts { return parts{wheel: strings.Replace(demoWheel, old, new, 1)} }
	tests := []struct {
		what, id string
		p        parts
	}{
		{"other spelling of the name", "", parts{file: "De.Mo_x-1.0-py3-none-any.whl", info: "de_mo_x-1.0.0.dist-info", metadata: strings.Replace(demoMetadata, "demo", "de-mo-X", 1)}},
		{"other spelling of the version", "", meta("1.0", "v1.0.0")},
		{"two tags", "", parts{file: "demo-1.0-py2.py3-none-any.whl", wheel: demoWheel[:len(demoWheel)-1] + "Tag: py2-none-any\n"}},
		{"two tags on one line", "", parts{file: "demo-1.0-py2.py3-none-any.whl", wheel: strings.Replace(demoWheel, "py3", "py2.py3", 1)}},
		{"build tag", "", parts{file: "demo-1.0-1000abc-py3-none-any.whl", wheel: demoWheel[:len(demoWheel)-1] + "Build: 1000abc\n"}},
		{"wheel version 1.9", "", wheel("Wheel-Version: 1.0", "Wheel-Version: 1.9")},
		{"both roots, as auditwheel leaves them", "", wheel("Root-Is-Purelib: true", "Root-Is-Purelib: true\nRoot-Is-Purelib: False")},
		{"local version", "", parts{file: "demo-1.0+cu128-py3-none-any.whl", info: "demo-1.0+cu128.dist-info", metadata: strings.Replace(demoMetadata, "1.0", "1.0+cu128", 1)}},

		{"name of METADATA", "WHL-02", meta("Name: demo", "Name: other")},
		{"version of METADATA", "WHL-02", meta("Version: 1.0", "Version: 1.1")},
		{"version of the file name", "WHL-02", parts{file: "demo-1.1-py3-none-any.whl"}},
		{"dist-info of another project", "WHL-02", parts{info: "other-1.0.dist-info"}},
		{"dist-info of another version", "WHL-02", parts{info: "demo-1.1.dist-info"}},
		{"dist-info without version", "WHL-02", parts{info: "demo.dist-info"}},
		{"dist-info in upper case", "WHL-02", parts{info: "demo-1.0.DIST-INFO"}},
		{"no dist-info", "WHL-02", parts{info: "demo-1.0.info"}},
		{"two dist-info folders", "WHL-02", parts{files: []text{{"other-1.0.dist-info/METADATA", "x"}}}},
		{"two dist-info folders by normalisation", "WHL-02", parts{files: []text{{"demo-1.0.0.dist-info/METADATA", "x"}}}},
		{"two dist-info folders by case", "ZIP-03", parts{files: []text{{"Demo-1.0.dist-info/METADATA", "x"}}}},
		{"tag of WHEEL", "WHL-02", wheel("py3-none-any", "py2-none-any")},
		{"renamed for another interpreter", "WHL-02", parts{file: "demo-1.0-py2-none-manylinux_2_28_x86_64.whl", wheel: strings.Replace(demoWheel, "py3-none-any", "py3-none-linux_x86_64", 1)}},
		{"renamed for another machine", "WHL-02", parts{file: "demo-1.0-py3-none-manylinux_2_28_x86_64.whl", wheel: strings.Replace(demoWheel, "py3-none-any", "py3-none-linux_aarch64", 1)}},
		{"renamed for half a machine", "WHL-02", parts{file: "demo-1.0-py3-none-manylinux_2_28_x86_64.whl", wheel: strings.Replace(demoWheel, "py3-none-any", "py3-none-linux_64", 1)}},
		{"renamed for another system", "WHL-02", parts{file: "demo-1.0-py3-none-macosx_11_0_x86_64.whl", wheel: strings.Replace(demoWheel, "py3-none-any", "py3-none-linux_x86_64", 1)}},
		{"renamed from all machines", "WHL-02", parts{file: "demo-1.0-py3-none-manylinux_2_28_x86_64.whl"}},
		{"one tag more in WHEEL", "WHL-02", parts{wheel: demoWheel[:len(demoWheel)-1] + "Tag: py2-none-any\n"}},
		{"one tag more in the file name", "WHL-02", parts{file: "demo-1.0-py2.py3-none-any.whl"}},
		{"build tag in the file name only", "WHL-02", parts{file: "demo-1.0-1-py3-none-any.whl"}},
		{"build tag in WHEEL only", "WHL-02", parts{wheel: demoWheel[:len(demoWheel)-1] + "Build: 1\n"}},
		{"Wheel-Version 2.0", "WHL-02", wheel("1.0", "2.0")},
		{"Wheel-Version 10.0", "WHL-02", wheel("1.0", "10.0")},
		{"Root-Is-Purelib maybe", "WHL-02", wheel("true", "maybe")},
		{"Wheel-Version twice", "WHL-02", wheel("Wheel-Version: 1.0", "Wheel-Version: 1.0\nwheel-version: 1.0")},
		{"Build twice", "WHL-02", parts{file: "demo-1.0-1-py3-none-any.whl", wheel: demoWheel[:len(demoWheel)-1] + "Build: 1\nBuild: 1\n"}},
		{"Root-Is-Purelib true and maybe", "WHL-02", wheel("Root-Is-Purelib: true", "Root-Is-Purelib: true\nroot-is-purelib: maybe")},
		{"no Root-Is-Purelib", "WHL-02", wheel("Root-Is-Purelib: true\n", "")},
		{"no tag", "WHL-02", wheel("Tag: py3-none-any\n", "")},
		{"malformed tag", "WHL-02", wheel("py3-none-any", "py3-none")},
		{"tag with a letter that none has", "WHL-02", wheel("Tag: py3-none-any", "Tag: py3-none-any\nTag: py3-n/ne-any")},
		{"WHEEL not UTF-8", "WHL-02", wheel("test", "\xff")},
	}
	for _, tt := range tests {
		t.Run(tt.what, func(t *testing.T) {
			_, err := tt.p.open()
			wantID(t, err, tt.id)
		})
	}
	a := parts{}.archive()
	i := a.index("demo-1.0.dist-info/WHEEL")
	a.local = append(a.local[:i], a.local[i+1:]...)
	a.central = append(a.central[:i], a.central[i+1:]...)
	_, err := openBytes(a.bytes(), demoFile)
	wantID(t, err, "WHL-02")
}

// Projects rename what a build backend calls linux_x86_64, which no index takes.
func TestWheelsThatWereRenamedForAnIndex(t *testing.T) {
	for _, platform := range []string{"manylinux_2_28_x86_64", "manylinux1_x86_64", "manylinux2014_x86_64", "manylinux_2_17_x86_64.manylinux2014_x86_64", "musllinux_1_2_x86_64", "linux_x86_64"} {
		p := parts{file: "demo-1.0-py3-none-" + platform + ".whl", wheel: strings.Replace(demoWheel, "py3-none-any", "py3-none-linux_x86_64", 1)}
		if _, err := p.open(); err != nil {
			t.Errorf("%s: %v", platform, err)
		}
	}
}

func TestSchemes(t *testing.T) {
	tests := []struct {
		path, id string
	}{
		{"demo-1.0.data/purelib/x.py", ""},
		{"demo-1.0.data/platlib/x.so", ""},
		{"demo-1.0.data/headers/x.h", ""},
		{"demo-1.0.data/scripts/x", ""},
		{"demo-1.0.data/data/share/x", ""},
		{"demo-1.0.data/data/etc/jupyter/x.json", ""},
		{"demo-1.0.data/data/include/x.h", ""},
		{"demo-1.0.data/data/lib/libx.so", ""},
		{"demo-1.0.data/data/lib64/libx.so", ""},
		{"demo-1.0.data/data/pkgconfig/x.pc", ""},
		{"demo-1.0.data/data/bin/z3", ""},
		{"demo-1.0.0.data/purelib/x.py", ""},
		{"demo-1.0.data/evil/x", "WHL-03"},
		{"demo-1.0.data/x", "WHL-03"},
		{"demo-1.0.data/data/../../x", "ZIP-01"},
		{"demo-1.0.data/data/etc/ld.so.preload", "WHL-03"},
		{"demo-1.0.data/data/etc/jupyter2/x", "WHL-03"},
		{"demo-1.0.data/data/lib/python3.12/site-packages/x.pth", "WHL-03"},
		{"demo-1.0.data/data/lib/Python3/x", "WHL-03"},
		{"demo-1.0.data/data/lib64/python3.13/site-packages/x.pth", "WHL-03"},
		{"demo-1.0.data/data/etc/x", "WHL-03"},
		{"demo-1.0.data/data/ETC/jupyter/x", "WHL-03"},
		{"demo-1.0.data/data/etc/JUPYTER/x", "WHL-03"},
		{"demo-1.0.data/data/bin/sh", "WHL-03"},
		{"demo-1.0.data/data/bin/BASH", "WHL-03"},
		{"demo-1.0.data/data/bin/python3", "WHL-03"},
		{"demo-1.0.data/data/bin/sub/x", "WHL-03"},
		{"demo-1.0.data/data/bin/a b", "WHL-03"},
		{"demo-1.0.data/data/x", "WHL-03"},
		{"demo-1.0.data/data/pyvenv.cfg", "WHL-03"},
		{"demo-1.0.data/scripts/python", "WHL-04"},
		{"demo-1.0.data/scripts/python3.13", "WHL-04"},
		{"demo-1.0.data/scripts/sub/x", "WHL-04"},
		{"demo-1.0.data/scripts/a b", "WHL-04"},
		{"demo-1.0.data/headers/Python.h", "WHL-03"},
		{"demo-1.0.data/purelib/demo/__init__.py", "WHL-03"},
		{"demo-1.0.data/platlib/demo/__INIT__.py", "WHL-03"},
		{"demo-1.0.DATA/purelib/x.py", "WHL-03"},
		{"other-1.0.data/purelib/x.py", "WHL-03"},
		{"demo-2.0.data/purelib/x.py", "WHL-03"},
	}
	said := sentences{}
	defer said.golden(t, "testdata/schemes.txt")
	for _, tt := range tests {
		t.Run(tt.path, func(t *testing.T) {
			_, err := parts{files: []text{{"demo/__init__.py", ""}, {tt.path, ""}}}.open()
			said.note(tt.path, err)
			wantID(t, err, tt.id)
		})
	}
	_, err := parts{files: []text{{"demo-1.0.data/scripts/run", ""}, {"demo-1.0.data/data/bin/Run", ""}}}.open()
	wantID(t, err, "WHL-03")
	w, err := parts{files: []text{{"demo-1.0.data/platlib/a.so", ""}, {"demo-1.0.data/data/share/man/x.1", ""}}}.open()
	wantID(t, err, "")
	if w.Files[0].Target != PlatLib || w.Files[0].Path != "a.so" || w.Files[1].Target != Data || w.Files[1].Path != "share/man/x.1" {
		t.Fatalf("%+v", w.Files)
	}
}

func TestScripts(t *testing.T) {
	tests := []struct {
		content, id, shebang string
		findings             int
	}{
		{"#!python\nprint()\n", "", "#!python", 0},
		{"#!pythonw\nprint()\n", "", "#!pythonw", 0},
		{"#!python", "", "#!python", 0},
		{"#!/bin/sh\n", "", "", 1},
		{"#!/usr/bin/env python\n", "", "", 1},
		{"\x7fELF", "", "", 0},
		{"", "", "", 0},
		{"#!python -c x\n", "WHL-04", "", 0},
		{"#!python\r\nprint()\r\n", "WHL-04", "", 0},
		{"#!pythonx\n", "WHL-04", "", 0},
		{"#!/" + strings.Repeat("x", 252) + "\n", "", "", 1},
		{"#!/" + strings.Repeat("x", 253) + "\n", "WHL-04", "", 0},
		{"#!/" + strings.Repeat("x", 4096) + "\n", "WHL-04", "", 0},
		{"#!/" + strings.Repeat("x", 4096), "WHL-04", "", 0},
	}
	for _, tt := range tests {
		t.Run(fmt.Sprintf("%.40q %d", tt.content, len(tt.content)), func(t *testing.T) {
			w, err := parts{files: []text{{"demo-1.0.data/scripts/run", tt.content}}}.open()
			wantID(t, err, tt.id)
			if err == nil && (w.Files[0].Shebang != tt.shebang || len(w.Findings) != tt.findings) {
				t.Errorf("%q %+v", w.Files[0].Shebang, w.Findings)
			}
		})
	}
}

func TestEntryPoints(t *testing.T) {
	tests := []struct {
		line, id string
		want     EntryPoint
	}{
		{"demo = demo.cli:main", "", EntryPoint{"demo", "demo.cli", "main"}},
		{"demo-2.x=demo:App.run", "", EntryPoint{"demo-2.x", "demo", "App.run"}},
		{"  demo = demo : main [extra, b]", "", EntryPoint{"demo", "demo", "main"}},
		{"x = os:system", "", EntryPoint{"x", "os", "system"}},
		{"../../bin/sh = a:b", "WHL-04", EntryPoint{}},
		{"a/b = a:b", "WHL-04", EntryPoint{}},
		{`C:\foo = a:b`, "WHL-04", EntryPoint{}},
		{"foo bar = a:b", "WHL-04", EntryPoint{}},
		{" = a:b", "WHL-04", EntryPoint{}},
		{". = a:b", "WHL-04", EntryPoint{}},
		{".. = a:b", "WHL-04", EntryPoint{}},
		{"-x = a:b", "WHL-04", EntryPoint{}},
		{"python3 = a:b", "WHL-04", EntryPoint{}},
		{"Python = a:b", "WHL-04", EntryPoint{}},
		{"python3.13 = a:b", "WHL-04", EntryPoint{}},
		{"d\u00e9mo = a:b", "WHL-04", EntryPoint{}},
		{"demo", "WHL-04", EntryPoint{}},
		{"demo = ", "WHL-04", EntryPoint{}},
		{"demo = a", "WHL-04", EntryPoint{}},
		{"demo = a:b:c", "WHL-04", EntryPoint{}},
		{"demo = a-b:c", "WHL-04", EntryPoint{}},
		{"demo = a:b()", "WHL-04", EntryPoint{}},
		{"demo = a:b; import os", "WHL-04", EntryPoint{}},
		{"demo = a:b\rimport os", "WHL-04", EntryPoint{}},
		{"demo = a..b:c", "WHL-04", EntryPoint{}},
		{"demo = .a:c", "WHL-04", EntryPoint{}},
		{"demo = 1a:c", "WHL-04", EntryPoint{}},
		{"demo = \u0430:c", "WHL-04", EntryPoint{}},
		{"demo = a:b\n import os", "WHL-04", EntryPoint{}},
		{"demo = a:b\ndemo = a:c", "WHL-04", EntryPoint{}},
		{"demo = a:b\nDEMO = a:c", "WHL-04", EntryPoint{}},
		{strings.Repeat("x", 256) + " = a:b", "WHL-04", EntryPoint{}},
	}
	said := sentences{}
	defer said.golden(t, "testdata/entrypoints.txt")
	for _, tt := range tests {
		t.Run(fmt.Sprintf("%.40q", tt.line), func(t *testing.T) {
			w, err := parts{files: []text{{"demo-1.0.dist-info/entry_points.txt", "# comment\n[other]\nfree = text with spaces\n\n[console_scripts]\n" + tt.line + "\n"}}}.open()
			said.note(fmt.Sprintf("%.40q", tt.line), err)
			wantID(t, err, tt.id)
			if err == nil && (len(w.EntryPoints.Console) != 1 || w.EntryPoints.Console[0] != tt.want) {
				t.Errorf("%+v", w.EntryPoints)
			}
		})
	}
	eps, err := ParseEntryPoints([]byte("[gui_scripts]\nwin = a:b\n"))
	if err != nil || len(eps.GUI) != 1 || len(eps.Console) != 0 {
		t.Fatal(eps, err)
	}
	_, err = ParseEntryPoints([]byte("x = a:b\n"))
	wantID(t, err, "WHL-04")
	_, err = ParseEntryPoints([]byte("[console_scripts]\nx = a:\xff\n"))
	wantID(t, err, "WHL-04")
	_, err = parts{files: []text{{"demo-1.0.dist-info/entry_points.txt", strings.Repeat("# x\n", 16<<10+1)}}}.open()
	wantID(t, err, "WHL-04")
}

func TestLauncher(t *testing.T) {
	const want = "#!/opt/venv/bin/python\n# -*- coding: utf-8 -*-\nimport sys\nfrom demo.cli import App\nif __name__ == \"__main__\":\n    sys.exit(App.run())\n"
	if got := string(Launcher("/opt/venv/bin/python", "demo.cli", "App.run")); got != want {
		t.Errorf("%s", got)
	}
}

func TestMetadata(t *testing.T) {
	tests := []struct {
		what, id, text string
	}{
		{"plain", "", demoMetadata},
		{"CR LF", "", strings.ReplaceAll(demoMetadata, "\n", "\r\n")},
		{"no body", "", "Metadata-Version: 2.4\nName: demo\nVersion: 1.0"},
		{"folded licence", "", "Metadata-Version: 2.1\nName: demo\nVersion: 1.0\nLicense: a\n        b\n\n"},
		{"body with header-like lines", "", demoMetadata + "Name: evil\nRequires-Dist: evil @ https://evil.example/x.whl\n"},
		{"unknown field", "", "X-Demo: 1\n" + demoMetadata},
		{"dependencies", "", "Requires-Dist: a>=1; python_version < '3'\nRequires-Dist: b[x,y] (>=2)\n" + demoMetadata},
		{"1 MiB", "", pad(demoMetadata, 1<<20)},
		{"1 MiB and a byte", "WHL-05", pad(demoMetadata, 1<<20+1)},
		{"a body of 1 GiB is not read", "WHL-05", pad(demoMetadata, 8<<20)},
		{"10^6 dependencies", "WHL-05", strings.Repeat("Requires-Dist: a\n", 1_000_000) + demoMetadata},
		{"folded name", "WHL-05", "Metadata-Version: 2.1\nName: demo\n -evil\nVersion: 1.0\n"},
		{"folded dependency", "WHL-05", "Requires-Dist: a\n @ https://x\n" + demoMetadata},
		{"starts folded", "WHL-05", " x\n" + demoMetadata},
		{"Name twice", "WHL-05", "Name: demo\n" + demoMetadata},
		{"Name twice, other case", "WHL-05", "NAME: evil\n" + demoMetadata},
		{"Version twice", "WHL-05", "Version: 1.0\n" + demoMetadata},
		{"Summary twice", "WHL-05", "Summary: a\nSummary: b\n" + demoMetadata},
		{"NUL", "WHL-05", "Summary: a\x00b\n" + demoMetadata},
		{"CR in a line", "WHL-05", "Summary: a\rName: evil\n" + demoMetadata},
		{"not UTF-8", "WHL-05", "Summary: \xff\n" + demoMetadata},
		{"Metadata-Version 99", "WHL-05", strings.Replace(demoMetadata, "2.1", "99", 1)},
		{"Metadata-Version 99.0", "WHL-05", strings.Replace(demoMetadata, "2.1", "99.0", 1)},
		{"no Metadata-Version", "WHL-05", "Name: demo\nVersion: 1.0\n"},
		{"no Name", "WHL-05", "Metadata-Version: 2.1\nVersion: 1.0\n"},
		{"no Version", "WHL-05", "Metadata-Version: 2.1\nName: demo\n"},
		{"empty line first", "WHL-05", "\n" + demoMetadata},
		{"a direct reference", "WHL-05", "Requires-Dist: evil @ https://evil.example/x.whl\n" + demoMetadata},
		{"a direct reference with extras", "WHL-05", "Requires-Dist: evil[a,b]@https://evil.example/x.whl\n" + demoMetadata},
		{"a direct reference to a file", "WHL-05", "Requires-Dist: evil @ file:///etc/passwd\n" + demoMetadata},
		{"a nameless dependency", "WHL-05", "Requires-Dist: https://evil.example/x.whl\n" + strings.Replace(demoMetadata, "x", "x", 1)},
		{"a dependency without a name", "WHL-05", "Requires-Dist: >=1\n" + demoMetadata},
		{"Dynamic: Version", "WHL-05", "Dynamic: Version\n" + demoMetadata},
		{"Dynamic: name", "WHL-05", "Dynamic: name\n" + demoMetadata},
		{"no field", "WHL-05", "hello\n" + demoMetadata},
		{"blank in a field's name", "WHL-05", "Na me: x\n" + demoMetadata},
		{"a name that is a path", "WHL-05", strings.Replace(demoMetadata, "demo", "../demo", 1)},
		{"a version that is none", "WHL-05", strings.Replace(demoMetadata, "1.0", "1.0 or so", 1)},
	}
	said := sentences{}
	defer said.golden(t, "testdata/metadata.txt")
	for _, tt := range tests {
		t.Run(tt.what, func(t *testing.T) {
			_, err := parts{metadata: tt.text}.open()
			said.note(tt.what, err)
			if strings.HasPrefix(tt.what, "a nameless") {
				// A URL starts with a name, "https"; what follows is no version.
				wantID(t, err, "")
				return
			}
			wantID(t, err, tt.id)
		})
	}
	folded, err := ParseMetadata([]byte("License: a\n        b\n\t\n  c\nSummary: s\n" + demoMetadata))
	if err != nil || folded.License != "a\nb\n\nc" || folded.Summary != "s" {
		t.Fatalf("%+v %v", folded, err)
	}
	m, err := ParseMetadata([]byte("Requires-Dist: a\nProvides-Extra: x\n" + demoMetadata + "Requires-Dist: b\n"))
	if err != nil || len(m.RequiresDist) != 1 || len(m.Extras) != 1 {
		t.Fatal(m, err)
	}
}

func pad(s string, n int) string { return s + strings.Repeat("x", n-len(s)) }

func TestHooks(t *testing.T) {
	tests := []struct {
		path, content string
		findings      int
	}{
		{"demo.pth", "import os; os.system('x')\n", 1},
		{"demo.pth", "import\tos\n", 1},
		{"demo.pth", "demo/sub\n# import x\n", 0},
		{"demo.pth", "/etc\n", 1},
		{"demo.pth", "../../x\n", 1},
		{"demo.pth", "a/../../x\rimport b", 2},
		{"demo.pth", "\xff\n", 1},
		{"demo.pth", strings.Repeat("#\n", 1025), 1},
		{"litellm_init.pth", "import base64; exec(base64.b64decode('" + strings.Repeat("QQ==", 8500) + "'))", 2},
		{"sub/demo.pth", "import os\n", 0},
		{"demo-1.0.data/purelib/demo.pth", "import os\n", 1},
		{"sitecustomize.py", "", 1},
		{"usercustomize.so", "", 1},
		{"SiteCustomize/__init__.py", "", 1},
		{"demo-1.0.data/platlib/sitecustomize.py", "", 1},
		{"__editable___demo_finder.py", "", 1},
	}
	for _, tt := range tests {
		t.Run(fmt.Sprintf("%s %.20q", tt.path, tt.content), func(t *testing.T) {
			w, err := parts{files: []text{{tt.path, tt.content}}}.open()
			wantID(t, err, "")
			if len(w.Findings) != tt.findings {
				t.Fatalf("%+v", w.Findings)
			}
			for _, f := range w.Findings {
				if f.ID != "WHL-06" || f.Entry != tt.path || f.Hash != w.Files[0].Hash {
					t.Errorf("%+v", f)
				}
			}
		})
	}
	_, err := parts{files: []text{{"demo-1.0.data/data/lib/python3.13/site-packages/x.pth", ""}}}.open()
	wantID(t, err, "WHL-03")
}

func TestFileNames(t *testing.T) {
	good := map[string]int{
		"torch-2.9.1-cp313-cp313-manylinux_2_28_x86_64.whl":          1,
		"torch-2.9.1+cu128-cp313-cp313-manylinux_2_28_x86_64.whl":    1,
		"six-1.10.0-py2.py3-none-any.whl":                            2,
		"x-1!2.0.post1.dev3-1000abc-py3-none-any.whl":                1,
		"t0rch-1-py3-none-any.whl":                                   1,
		"Torch_Vision-1.0_1-py3-none-any.whl":                        1,
		"zope.interface-7-cp312-cp312-manylinux_2_5_x86_64.any.whl":  2,
		"a-1-py2.py3-none.abi3-manylinux1_x86_64.linux_x86_64.whl":   8,
		"nvidia_nccl_cu12-2.27.5-py3-none-manylinux2014_x86_64.whl":  1,
		"wheel_with_underscore_version-1.0_rc1-py3-none-any.whl":     1,
		"pip-1.5.6-py2.py3-none-any.whl":                             2,
		"cuda_bindings-13.5.0-cp311-cp311-manylinux_2_24_x86_64.whl": 1,
	}
	for name, tags := range good {
		f, err := ParseFileName(name)
		wantID(t, err, "")
		if len(f.Tags) != tags {
			t.Errorf("%s: %v", name, f.Tags)
		}
	}
	for _, name := range []string{
		"", ".whl", "x.whl", "x-1-py3-none-any", "x-1-py3-none-any.zip", "x-1-py3-none-any.WHL", "x-1-py3-none.whl", "x-1-a-b-py3-none-any.whl",
		"x-1-abc-py3-none-any.whl", "x-1--py3-none-any.whl", "x--py3-none-any.whl", "-1-py3-none-any.whl", "_x-1-py3-none-any.whl",
		"x-one-py3-none-any.whl", "x-1-py3..py2-none-any.whl", "x-1-.py3-none-any.whl", "x-1-py 3-none-any.whl", "t\u043erch-1-py3-none-any.whl",
		"../x-1-py3-none-any.whl", "x/y-1-py3-none-any.whl", "x-1\u0661-py3-none-any.whl", "x-1-py3-none-any\n.whl", strings.Repeat("x", 300) + "-1-py3-none-any.whl",
		"x-1-" + strings.Repeat("a.", 40) + "a-" + strings.Repeat("b.", 40) + "b-any.whl",
	} {
		_, err := ParseFileName(name)
		wantID(t, err, "WHL-08")
	}
}

func TestVersions(t *testing.T) {
	for in, want := range map[string]string{
		"1": "1", "1.0.0": "1", "v1.2": "1.2", "01.02": "1.2", "1!2.0": "1!2", "0!1": "1", "0": "0", "1.0a1": "1a1", "1.0-ALPHA.1": "1a1", "1.0c": "1rc0",
		"1.0.preview2": "1rc2", "1.0-1": "1.post1", "1.0.rev3": "1.post3", "1.0.dev": "1.dev0", "1.0+Ubuntu-1_02": "1+ubuntu.1.2",
		"2.9.1+cu128": "2.9.1+cu128", "1.0b2.post3.dev4+x": "1b2.post3.dev4+x", " 1.0 ": "1", "99999999999999999999.1": "99999999999999999999.1",
	} {
		got, err := NormalizeVersion(in)
		if err != nil || got != want {
			t.Errorf("%q: %q %v, want %q", in, got, err, want)
		}
	}
	for _, in := range []string{"", "x", "1.", ".1", "1..2", "1.0+", "1.0+a+b", "1.0-", "1.0 1", "1!", "1.0.a.b", "1.0-1-2", "\u0661", strings.Repeat("1", 300)} {
		if got, err := NormalizeVersion(in); err == nil {
			t.Errorf("%q: %q", in, got)
		}
	}
}

func TestSupported(t *testing.T) {
	tests := []struct {
		tags, python, platform, glibc string
		want                          bool
	}{
		{"py3-none-any", "3.13", "linux/amd64", "2.41", true},
		{"py2-none-any", "3.13", "linux/amd64", "2.41", false},
		{"py2.py3-none-any", "3.13", "linux/amd64", "2.41", true},
		{"py313-none-any", "3.13", "linux/amd64", "2.41", true},
		{"py312-none-any", "3.13", "linux/amd64", "2.41", true},
		{"py314-none-any", "3.13", "linux/amd64", "2.41", false},
		{"cp313-cp313-manylinux_2_28_x86_64", "3.13", "linux/amd64", "2.41", true},
		{"cp313-cp313-manylinux_2_28_x86_64", "3.13", "linux/amd64", "2.28", true},
		{"cp313-cp313-manylinux_2_28_x86_64", "3.13", "linux/amd64", "2.27", false},
		{"cp313-cp313-manylinux_2_28_x86_64", "3.13", "linux/amd64", "", true},
		{"cp313-cp313-manylinux_2_28_aarch64", "3.13", "linux/amd64", "2.41", false},
		{"cp313-cp313-manylinux_2_28_aarch64", "3.13", "linux/arm64", "2.41", true},
		{"cp313-cp313t-manylinux_2_28_x86_64", "3.13", "linux/amd64", "2.41", false},
		{"cp312-cp312-manylinux_2_28_x86_64", "3.13", "linux/amd64", "2.41", false},
		{"cp39-abi3-manylinux2014_x86_64", "3.13", "linux/amd64", "2.41", true},
		{"cp314-abi3-manylinux2014_x86_64", "3.13", "linux/amd64", "2.41", false},
		{"cp27-abi3-manylinux2014_x86_64", "3.13", "linux/amd64", "2.41", false},
		{"cp313-none-manylinux1_x86_64", "3.13", "linux/amd64", "2.41", true},
		{"cp312-none-manylinux1_x86_64", "3.13", "linux/amd64", "2.41", false},
		{"cp3-none-any", "3.13", "linux/amd64", "2.41", true},
		{"pp310-pypy310_pp73-manylinux2014_x86_64", "3.10", "linux/amd64", "2.41", false},
		{"cp313-cp313-musllinux_1_2_x86_64", "3.13", "linux/amd64", "2.41", false},
		{"cp313-cp313-win_amd64", "3.13", "linux/amd64", "2.41", false},
		{"cp313-cp313-macosx_11_0_arm64", "3.13", "linux/arm64", "2.41", false},
		{"py3-none-linux_x86_64", "3.13", "linux/amd64", "2.41", true},
		{"py3-none-manylinux2014_x86_64.manylinux_2_17_x86_64", "3.13", "linux/amd64", "2.12", false},
	}
	for _, tt := range tests {
		f, err := ParseFileName("x-1-" + tt.tags + ".whl")
		wantID(t, err, "")
		if got := Supported(f.Tags, tt.python, tt.platform, tt.glibc); got != tt.want {
			t.Errorf("%s on %s %s glibc %q: %v", tt.tags, tt.python, tt.platform, tt.glibc, got)
		}
	}
}

// Text of the input never reaches a screen raw.
func TestErrorsAreQuoted(t *testing.T) {
	a := parts{}.archive()
	a.add("\x1b[2J\u202e"+strings.Repeat("x", 500), []byte("x"))
	_, err := openBytes(a.bytes(), demoFile)
	var e *Error
	if !errors.As(err, &e) || e.Path != demoFile || e.Entry == "" || e.Offset < 0 {
		t.Fatalf("%+v", e)
	}
	if s := err.Error(); strings.ContainsAny(s, "\x1b\u202e") || len(s) > 300 {
		t.Fatalf("%q", s)
	}
}

func whlSentences() string {
	var out strings.Builder
	for _, p := range []parts{
		{rows: replaceRow(",14\n", ",15\n")},
		{info: "other-1.0.dist-info"},
		{files: []text{{"demo-1.0.data/data/etc/ld.so.preload", ""}}},
		{files: []text{{"demo-1.0.data/scripts/run", "#!python -c x\n"}}},
		{metadata: "Requires-Dist: evil @ https://evil.example/x.whl\n" + demoMetadata},
		{file: "demo-1.0-x-py3-none-any.whl"},
	} {
		_, err := p.open()
		fmt.Fprintln(&out, err)
	}
	w, err := parts{files: []text{{"demo.pth", "import os\n"}}}.open()
	fmt.Fprintln(&out, err, w.Findings[0].ID, w.Findings[0].Reason)
	return out.String()
}

// What a person has accepted is taken although it contradicts itself, and nothing else is.
func TestAccepted(t *testing.T) {
	good := row("demo/__init__.py", "print('demo')\n")
	other := row("demo/__init__.py", "other content")
	wrong := replaceRow(good[:strings.LastIndex(good, ",")], other[:strings.LastIndex(other, ",")])
	empty := ""
	for _, tt := range []struct {
		what, id string
		p        parts
		findings int
	}{
		{"a wheel that is right", "", parts{}, 0},
		{"tags of another interpreter", "", parts{wheel: strings.Replace(demoWheel, "py3-none-any", "cp36-cp36m-manylinux2010_x86_64", 1)}, 1},
		{"a build of its own", "", parts{wheel: demoWheel[:len(demoWheel)-1] + "Build: 1\n"}, 1},
		{"a wrong hash", "", parts{rows: wrong}, 1},
		{"a wrong size", "", parts{rows: replaceRow(",14\n", ",15\n")}, 1},
		{"no row", "", parts{rows: replaceRow(good, "")}, 1},
		{"a row without file", "", parts{rows: replaceRow(good, good+row("demo/x.py", "x"))}, 1},
		{"md5", "", parts{rows: replaceRow(good, "demo/__init__.py,md5=1B2M2Y8AsgTpgAmY7PhCfg,14\n")}, 1},
		{"an empty RECORD", "", parts{record: &empty}, 1},
		{"no RECORD", "", parts{noRecord: true}, 1},

		{"another name", "WHL-02", parts{metadata: strings.Replace(demoMetadata, "demo", "other", 1)}, 0},
		{"another version", "WHL-02", parts{metadata: strings.Replace(demoMetadata, "1.0", "1.1", 1)}, 0},
		{"two dist-info folders", "WHL-02", parts{files: []text{{"other-1.0.dist-info/METADATA", "x"}}}, 0},
		{"Wheel-Version 2.0", "WHL-02", parts{wheel: strings.Replace(demoWheel, "1.0", "2.0", 1)}, 0},
		{"a path that leaves", "ZIP-01", parts{files: []text{{"../x", "x"}}, rows: wrongly}, 0},
		{"a file in etc", "WHL-03", parts{files: []text{{"demo-1.0.data/data/etc/ld.so.preload", "x"}}, rows: wrongly}, 0},
		{"an interpreter", "WHL-04", parts{files: []text{{"demo-1.0.data/scripts/python3", "x"}}, rows: wrongly}, 0},
	} {
		t.Run(tt.what, func(t *testing.T) {
			file := demoFile
			if tt.p.file != "" {
				file = tt.p.file
			}
			b := tt.p.archive().bytes()
			w, err := OpenUnsafe(bytes.NewReader(b), int64(len(b)), file)
			wantID(t, err, tt.id)
			if err != nil {
				return
			}
			if len(w.Findings) != tt.findings {
				t.Errorf("%+v", w.Findings)
			}
			for _, f := range w.Findings {
				if !strings.HasPrefix(f.Reason, "accepted: ") {
					t.Errorf("%+v", f)
				}
			}
			for _, f := range w.Files {
				data, err := w.ReadFile(f.Name, 1000)
				wantID(t, err, "")
				sum := sha256.Sum256(data)
				if want := RecordHash(sum[:]); f.Hash != want && !strings.HasSuffix(f.Name, "/RECORD") {
					t.Errorf("%s has %s, want %s", f.Name, f.Hash, want)
				}
			}
			strict, err := openBytes(b, file)
			if err == nil {
				err = readAll(strict)
			}
			if tt.findings > 0 {
				wantID(t, err, w.Findings[0].ID)
			} else {
				wantID(t, err, "")
			}
		})
	}
	a := parts{}.archive()
	a.central[0].crc, a.local[0].crc = 1, 1
	b := a.bytes()
	_, err := OpenUnsafe(bytes.NewReader(b), int64(len(b)), demoFile)
	wantID(t, err, "ZIP-09")
	a = parts{}.archive()
	last := len(a.central) - 1 // RECORD itself: it may say what is wrong, and not be broken
	a.central[last].crc, a.local[last].crc = 1, 1
	b = a.bytes()
	_, err = OpenUnsafe(bytes.NewReader(b), int64(len(b)), demoFile)
	wantID(t, err, "ZIP-09")
}

// wrongly makes a RECORD wrong, whatever it holds.
func wrongly(rows string) string { return strings.Replace(rows, "sha256=", "sha256=A", 1) }
