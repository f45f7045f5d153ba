package wheel

import (
	"bytes"
	"errors"
	"strings"
	"testing"
)

// A fuzzed input is refused with an *Error or read, and what is read keeps the promises.
func isRefusal(t *testing.T, err error) bool {
	var e *Error
	if err != nil && (!errors.As(err, &e) || e.ID == "" || e.ID == "WHL-00" || len(e.Error()) > 2000) {
		t.Fatalf("not a refusal: %v", err)
	}
	return err != nil
}

func FuzzOpen(f *testing.F) {
	seeds := []func(a *archive){
		func(*archive) {},
		func(a *archive) { a.zip64 = true },
		func(a *archive) { a.zip64, a.end.saturate = true, true },
		func(a *archive) { a.central[0].extra, a.central[0].offset = zip64Field(0), full32 },
		describe(true, false, nil),
		describe(false, true, nil),
		func(a *archive) { a.add("demo/\u00e9", nil) },
		func(a *archive) { a.end.comment = "x" },
	}
	for _, s := range seeds {
		a := parts{files: []text{{"demo.pth", "import x"}, {"demo-1.0.data/scripts/x", "#!python\n"}, {"demo-1.0.dist-info/entry_points.txt", "[console_scripts]\na=b:c\n"}}}.archive()
		s(a)
		f.Add(a.bytes())
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		told, bad := ReadMetadata(bytes.NewReader(b), int64(len(b)), demoFile)
		isRefusal(t, bad)
		w, err := openBytes(b, demoFile)
		if isRefusal(t, err) {
			return
		}
		// Whoever chose by METADATA alone has seen the same.
		if own, err := w.ReadFile(w.DistInfo+"/METADATA", 1<<20); err != nil || bad != nil || !bytes.Equal(told, own) {
			t.Fatalf("%v %v: %q and %q", bad, err, told, own)
		}
		seen := map[string]bool{}
		for _, x := range w.Files {
			if reason := unsafePath(x.Path, Default); reason != "" {
				t.Fatalf("%q: %s", x.Path, reason)
			}
			if x.DataOffset < 0 || x.CompressedSize < 0 || x.DataOffset+x.CompressedSize > int64(len(b)) {
				t.Fatalf("%+v lies outside", x)
			}
			if key := place(x); seen[key] {
				t.Fatalf("%q twice", key)
			} else {
				seen[key] = true
			}
			if _, err := w.ReadFile(x.Name, 1<<20); err != nil {
				var e *Error
				if !errors.As(err, &e) {
					t.Fatal(err)
				}
			}
		}
	})
}

func FuzzRecord(f *testing.F) {
	f.Add([]byte(row("a", "a") + "demo-1.0.dist-info/RECORD,,\n"))
	f.Add([]byte("\"a,\"\"b\",sha512=" + strings.Repeat("A", 86) + ",0\r\nx.dist-info/RECORD,,"))
	f.Add([]byte("a,sha384=" + strings.Repeat("A", 64) + ",1\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		rows, err := ParseRecord(b)
		if isRefusal(t, err) {
			return
		}
		again, err := ParseRecord(NewRecord(rows))
		if err != nil || len(again) != len(rows) {
			t.Fatalf("%v: %q", err, NewRecord(rows))
		}
	})
}

func FuzzMetadata(f *testing.F) {
	f.Add([]byte(demoMetadata))
	f.Add([]byte(demoWheel))
	f.Add([]byte("Metadata-Version: 2.1\nName: a\nVersion: 1\nLicense: x\n  y\nRequires-Dist: b[c] (>=1); python_version<'3'\nDynamic: license\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := ParseMetadata(b)
		if !isRefusal(t, err) {
			if !distName.MatchString(m.Name) || strings.ContainsAny(m.Name+m.Version, "\n\x00") {
				t.Fatalf("%+v", m)
			}
		}
		_, err = parseWheelFile(b)
		isRefusal(t, err)
		if fn, err := ParseFileName(string(b)); !isRefusal(t, err) {
			if strings.ContainsAny(fn.Name, "/\\") || len(fn.Tags) == 0 {
				t.Fatalf("%+v", fn)
			}
		}
	})
}

func FuzzEntryPoints(f *testing.F) {
	f.Add([]byte("[console_scripts]\na = b.c:d.e [x]\n# x\n[gui_scripts]\nf=g:h\n[other]\nx\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		eps, err := ParseEntryPoints(b)
		if isRefusal(t, err) {
			return
		}
		for _, ep := range append(eps.Console, eps.GUI...) {
			text := Launcher("/opt/venv/bin/python", ep.Module, ep.Attr)
			if bytes.Count(text, []byte("\n")) != 6 || strings.ContainsAny(ep.Name, "/\\ \n") {
				t.Fatalf("%q %s", ep.Name, text)
			}
		}
	})
}
