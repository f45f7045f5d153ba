package sbom

import (
	"testing"

	"github.com/bmatcuk/doublestar/v4"
	"github.com/google/go-cmp/cmp"
)

func TestGlobFindsWhatDoublestarFinds(t *testing.T) {
	tr, err := newTree(imageOf(files{
		"a/b/METADATA": "", "a/x.dist-info/METADATA": "", "a/x.dist-info/RECORD": "", "usr/bin/python3.13": "", "usr/lib/libpython3.13.so.1.0": "",
		"var/lib/dpkg/status": "", "var/lib/dpkg/status.d/libc6": "", "lib/a.jar": "", "opt/go": "", "opt/go.exe": "", "x/ibm/java/release": "",
		"php7/ext/a.so": "", "libstd-0123456789abcdef.so": "", "c{d": "", "e*f": "",
	}))
	if err != nil {
		t.Fatal(err)
	}
	for _, pattern := range []string{"**/METADATA", "**/*dist-info/METADATA", "**/python*", "**/libpython*.so*", "**/var/lib/dpkg/{status,status.d/*}", "**/*.jar",
		"**/{go,go.exe}", "**/ibm/**", "**/php*/**/*.so", "**/libstd-????????????????.so", "**", "/**", "**/*", "/usr/bin/*", "**/{java,jvm}/*", "**/c\\{d", "**/[ab]/**", "**/*.{jar,exe}"} {
		got, err := tr.glob(pattern)
		if err != nil {
			t.Fatalf("%s: %v", pattern, err)
		}
		full := pattern
		if full[0] != '/' {
			full = "/" + full
		}
		var want []string
		for _, p := range tr.paths {
			if ok, err := doublestar.Match(full, p); ok && err == nil {
				want = append(want, p)
			}
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s: %s", pattern, d)
		}
		if len(want) == 0 {
			t.Errorf("%s matches nothing: the test tests nothing", pattern)
		}
	}
}

func TestLinksAreFollowed(t *testing.T) {
	tr, err := newTree(imageOf(files{"usr/lib/a/f": "x", "lib -> usr/lib": "", "l1 -> /l2": "", "l2 -> l1": "", "up -> ../../../etc": "", "etc/passwd": "", "deep -> lib/a/f": "", "dangling -> nowhere": ""}))
	if err != nil {
		t.Fatal(err)
	}
	for p, want := range map[string]string{"/lib/a/f": "/usr/lib/a/f", "/deep": "/usr/lib/a/f", "/up/passwd": "/etc/passwd", "/l1": "", "/dangling": "", "lib/../lib/a": "/usr/lib/a", "/": "/"} {
		got := ""
		if n := tr.resolve(p); n != nil {
			got = n.path
		}
		if got != want {
			t.Errorf("%s leads to %q, should be %q", p, got, want)
		}
	}
}

func TestLyingLayersAreRefused(t *testing.T) { // SBM-01
	for why, f := range map[string]File{
		"absolute":     {Path: "/etc/passwd", Kind: Regular},
		"outside":      {Path: "../etc/passwd", Kind: Regular},
		"outside late": {Path: "a/../../b", Kind: Regular},
		"no path":      {Kind: Regular},
		"NUL":          {Path: "a\x00b", Kind: Regular},
		"negative":     {Path: "a", Kind: Regular, Size: -1},
		"unknown kind": {Path: "a", Kind: "device"},
		"hard link":    {Path: "a", Kind: Hardlink, Link: "../b"},
	} {
		im := imageOf(files{"x": ""})
		im.Layers[0].Files = append(im.Layers[0].Files, f)
		if _, err := newTree(im); err == nil {
			t.Errorf("%s: %+v is taken", why, f)
		}
	}
}
