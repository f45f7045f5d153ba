package sbom

import (
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// forged is an image as forge makes one, and its plan.
func forged(app files) (*Image, *Plan) {
	im := imageOf(debian(), join(wheel("torch", "2.9.1", "Requires-Dist: jinja2"), wheel("jinja2", "3.1.6")), app)
	for i, l := range im.Layers {
		for n := range l.Files {
			f := &im.Layers[i].Files[n]
			switch {
			case i == 0 && f.Path == "lib":
				f.Owner = "forge"
			case i == 0:
				f.Owner = "deb:libc6"
			case i == 1 && strings.Contains(f.Path, "jinja2"):
				f.Owner = "wheel:jinja2"
			case i == 1:
				f.Owner = "wheel:torch"
			default:
				f.Owner = "recipe"
			}
		}
	}
	return im, &Plan{
		Layers: map[string]string{im.Layers[0].DiffID: "debian", im.Layers[1].DiffID: "wheels", im.Layers[2].DiffID: "copy"},
		Packages: []Planned{
			{Type: "deb", Name: "libc6", Version: "2.41-12", File: "libc6_2.41-12_amd64.deb", SHA256: sum("libc6")},
			{Type: "python", Name: "torch", Version: "2.9.1", Root: "/opt/venv", File: "torch-2.9.1-cp313-cp313-linux_x86_64.whl", SHA256: sum("torch"), Repository: "https://download.pytorch.org/whl/cu128"},
			{Type: "python", Name: "jinja2", Version: "3.1.6", Root: "/opt/venv", SHA256: sum("jinja2")},
		},
	}
}

func compared(t *testing.T, im *Image, plan *Plan) *Inventory {
	t.Helper()
	inv, err := Catalog(t.Context(), im, Options{Tool: Tool{"forge", "test"}, Temp: t.TempDir(), Plan: plan})
	if err != nil {
		t.Fatal(err)
	}
	return inv
}

func TestAnImageThatIsItsPlan(t *testing.T) {
	// What the recipe copies may hold packages of its own.
	im, plan := forged(join(files{"app/main.py": "print()"}, wheelAt("app/vendor/", "helper", "1")))
	inv := compared(t, im, plan)
	if len(inv.Differences) > 0 {
		t.Error(inv.Differences)
	}
	for _, p := range inv.Packages {
		want := []string{"sha256:" + sum(p.Name)}
		if p.Name == "helper" {
			want = nil
		}
		if d := cmp.Diff(want, p.Hashes); d != "" {
			t.Errorf("%s: %s", p.Name, d)
		}
		if p.Name == "torch" && p.PURL != "pkg:pypi/torch@2.9.1?checksum=sha256%3A"+sum("torch")+"&file_name=torch-2.9.1-cp313-cp313-linux_x86_64.whl&repository_url=https%3A%2F%2Fdownload.pytorch.org%2Fwhl%2Fcu128" {
			t.Errorf("purl %s", p.PURL)
		}
	}
}

// A48, A56: whatever lock and image do not say alike is named, and fails the build.
func TestWhatNobodyExplainsIsADifference(t *testing.T) {
	add := func(im *Image, i int, owner string, l files) {
		more := layerOf(i, l)
		old, n := im.Layers[i], len(im.Layers[i].Files)
		for _, f := range more.Files {
			f.Owner = owner
			im.Layers[i].Files = append(im.Layers[i].Files, f)
		}
		im.Layers[i].Open = func(x int) (io.Reader, error) {
			if x < n {
				return old.Open(x)
			}
			return more.Open(x - n)
		}
	}
	for what, x := range map[string]struct {
		tamper func(im *Image, p *Plan)
		want   string
	}{
		"a file that nobody owns":          {func(im *Image, _ *Plan) { add(im, 1, "", files{"usr/bin/x": "x"}) }, "/usr/bin/x"},
		"a file that RECORD does not have": {func(im *Image, _ *Plan) { add(im, 1, "wheel:torch", files{site + "torch/evil.py": "x"}) }, "whose RECORD does not have it"},
		"a file of a wheel not locked":     {func(im *Image, _ *Plan) { add(im, 1, "wheel:evil", files{site + "evil.py": "x"}) }, "not locked"},
		"a file of a package not locked":   {func(im *Image, _ *Plan) { add(im, 0, "deb:evil", files{"usr/bin/evil": "x"}) }, "not locked"},
		"a distribution not locked":        {func(im *Image, _ *Plan) { add(im, 1, "wheel:torch", wheel("evil", "1")) }, "python evil 1"},
		"a package not locked": {func(im *Image, _ *Plan) {
			add(im, 0, "deb:libc6", files{"var/lib/dpkg/status.d/evil": "Package: evil\nStatus: install ok installed\nVersion: 1\nArchitecture: amd64\n"})
		}, "deb evil 1"},
		"a locked wheel that is not there": {func(_ *Image, p *Plan) {
			p.Packages = append(p.Packages, Planned{Type: "python", Name: "gone", Version: "1", Root: "/opt/venv"})
		}, "python gone 1"},
		"a locked package that is not there": {func(_ *Image, p *Plan) {
			p.Packages = append(p.Packages, Planned{Type: "deb", Name: "gone", Version: "1"})
		}, "deb gone 1"},
		"another version of a wheel":   {func(_ *Image, p *Plan) { p.Packages[1].Version = "2.9.0" }, "version 2.9.0 is locked"},
		"another version of a package": {func(_ *Image, p *Plan) { p.Packages[0].Version = "2.41-13" }, "version 2.41-13 is locked"},
		"a wheel locked for elsewhere": {func(_ *Image, p *Plan) { p.Packages[1].Root = "/opt/envs/other" }, "python torch 2.9.1"},
	} {
		t.Run(what, func(t *testing.T) {
			im, plan := forged(files{"app/main.py": ""})
			x.tamper(im, plan)
			inv := compared(t, im, plan)
			text := (&DifferenceError{"x", inv.Differences}).Error()
			if len(inv.Differences) == 0 || !strings.Contains(text, x.want) {
				t.Errorf("%s\nshould have %q", text, x.want)
			}
		})
	}
}
