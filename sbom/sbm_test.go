package sbom

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/anchore/packageurl-go"
	"github.com/google/go-cmp/cmp"
)

// SBM-01: whatever hides a package from who reads descriptions. What an image without a plan
// should be listed with; nothing may be silently missing.
func TestSBM01HiddenPackages(t *testing.T) {
	stanza := func(name, version string) string {
		return "Package: " + name + "\nStatus: install ok installed\nVersion: " + version + "\nArchitecture: all\n"
	}
	without := func(f files, end string) files {
		for name := range f {
			if strings.HasSuffix(name, end) {
				delete(f, name)
			}
		}
		return f
	}
	deb := "deb libc6 2.41-12"
	for what, x := range map[string]struct {
		layers []files
		want   []string
	}{
		"a dist-info without METADATA":        {[]files{debian(), without(wheel("torch", "2.5"), "METADATA")}, []string{deb, "python torch 2.5"}},
		"a dist-info with nothing but a file": {[]files{debian(), {site + "torch-2.5.dist-info/INSTALLER": "pip"}}, []string{deb, "python torch 2.5"}},
		"a METADATA without a name":           {[]files{debian(), {site + "torch-2.5.dist-info/METADATA": "Metadata-Version: 2.1\n\nName: x\n"}}, []string{deb, "python torch 2.5"}},
		"an empty METADATA":                   {[]files{debian(), {site + "torch-2.5.dist-info/METADATA": ""}}, []string{deb, "python torch 2.5"}},
		"two names":                           {[]files{debian(), {site + "torch-2.5.dist-info/METADATA": "Metadata-Version: 2.1\nName: torch\nName: harmless\nVersion: 2.5\n"}}, []string{"python harmless 2.5", deb, "python torch 2.5"}},
		"two versions":                        {[]files{debian(), {site + "torch-2.5.dist-info/METADATA": "Metadata-Version: 2.1\nName: torch\nVersion: 2.5\nVersion: 9\n"}}, []string{deb, "python torch 2.5", "python torch 9"}},
		"another name than the folder's":      {[]files{debian(), {site + "torch-2.5.dist-info/METADATA": "Metadata-Version: 2.1\nName: six\nVersion: 1\n"}}, []string{deb, "python six 1", "python torch 2.5"}},
		"the interpreter's name":              {[]files{debian(), {site + "torch-2.5.dist-info/METADATA": "Metadata-Version: 2.1\nName: Python\nVersion: 2.5\n"}}, []string{deb, "python torch 2.5"}},
		"a METADATA that leads nowhere":       {[]files{debian(), {site + "torch-2.5.dist-info/METADATA -> /gone": "", site + "torch-2.5.dist-info/RECORD": ""}}, []string{deb, "python torch 2.5"}},
		"the same name, spelled otherwise":    {[]files{debian(), {site + "Ruamel_Yaml-0.18.dist-info/METADATA": "Metadata-Version: 2.1\nName: ruamel.yaml\nVersion: 0.18\n"}}, []string{deb, "python ruamel-yaml 0.18"}},
		"an egg-info elsewhere, by a link":    {[]files{debian(), {site + "dev.egg-link": "/src\n", "src/dev.egg-info/PKG-INFO": "Metadata-Version: 2.1\nName: dev\nVersion: 3\n"}}, []string{"python dev 3", deb}},
		"a package twice in status.d":         {[]files{debian(), {"var/lib/dpkg/status.d/other": stanza("libc6", "2.41-12") + "\n", "var/lib/dpkg/status.d/third": stanza("libc6", "2.31-1")}}, []string{"deb libc6 2.31-1", deb, deb}},
		"a conda-meta that lies":              {[]files{debian(), wheel("torch", "2.5"), {"opt/conda/conda-meta/torch-9.json": `{"name":"torch","version":"9","build":"0","build_number":0,"channel":"x","subdir":"linux-64","files":["` + site + `torch-2.5.dist-info/METADATA"]}`}}, []string{deb, "python torch 2.5", "conda torch 9"}},
	} {
		inv := listed(t, x.layers...)
		got := names(inv)
		slices.Sort(got)
		slices.Sort(x.want)
		if d := cmp.Diff(x.want, got); d != "" {
			t.Errorf("%s: %s", what, d)
		}
	}
}

// SBM-01: what no description speaks of is listed as unknown, each with its sum.
func TestSBM01UnknownProgramsAndArchives(t *testing.T) {
	im := imageOf(debian(), files{"usr/local/bin/tool": "\x7fELF static", "opt/pack.zip": "PK wheel", "opt/x.whl": "PK", "opt/a.txt": "text"})
	for i := range im.Layers[1].Files {
		if f := &im.Layers[1].Files[i]; f.Path == "usr/local/bin/tool" {
			f.ELF, f.Looked = &ELF{Kind: 2}, true
		}
	}
	inv := compared(t, im, nil)
	got := map[string]string{}
	for _, u := range inv.Unowned {
		got[u.Path] = u.Unknown() + " " + u.SHA256
	}
	for p, want := range map[string]string{"/usr/local/bin/tool": "program " + sum("\x7fELF static"), "/opt/pack.zip": "archive " + sum("PK wheel"), "/opt/x.whl": "archive " + sum("PK"), "/opt/a.txt": " " + sum("text")} {
		if got[p] != want {
			t.Errorf("%s is %q, should be %q", p, got[p], want)
		}
	}
	var b bytes.Buffer
	if err := inv.Write(&b, CycloneDX); err != nil {
		t.Fatal(err)
	}
	if n := bytes.Count(b.Bytes(), []byte(`"forge:unknown"`)); n != 3 {
		t.Errorf("%d components are marked as unknown, 3 are due", n)
	}
}

// SBM-01: without its status files Debian's packages cannot be named. Of an image that forge has
// built this is a difference; of another one all their files are nobody's.
func TestSBM01StatusRemoved(t *testing.T) {
	im, plan := forged(files{"app/main.py": ""})
	im.Layers[2] = layerOf(2, files{"var/lib/dpkg/.wh.status.d": ""})
	inv := compared(t, im, plan)
	if text := (&DifferenceError{"x", inv.Differences}).Error(); !strings.Contains(text, "deb libc6 2.41-12: it is locked, and nothing in the image says that it is there") {
		t.Error(text)
	}
	inv = compared(t, im, nil)
	if !slices.ContainsFunc(inv.Unowned, func(u Unowned) bool { return u.Path == "/usr/lib/libc.so.6" }) {
		t.Errorf("the library is owned by somebody: %+v", inv.Unowned)
	}
}

// SBM-01: in an image that was planned, whatever lies about itself is a difference.
func TestSBM01LiesAboutALockedWheel(t *testing.T) {
	for what, metadata := range map[string]string{
		"another name":    "Name: harmless\nVersion: 2.9.1\n",
		"another version": "Name: torch\nVersion: 2.6.0\n",
		"two names":       "Name: torch\nName: harmless\nVersion: 2.9.1\n",
		"Python":          "Name: Python\nVersion: 2.9.1\n",
	} {
		im, plan := forged(files{"app/main.py": ""})
		w := wheel("torch", "2.9.1")
		w[site+"torch-2.9.1.dist-info/METADATA"] = "Metadata-Version: 2.1\n" + metadata
		im.Layers[1] = layerOf(1, join(w, wheel("jinja2", "3.1.6")))
		for i := range im.Layers[1].Files {
			im.Layers[1].Files[i].Owner = "wheel:torch"
		}
		inv := compared(t, im, plan)
		if len(inv.Differences) == 0 && what != "Python" {
			t.Errorf("%s: nothing differs", what)
		}
	}
}

// SBM-01: names that would be more than a name in a purl, an id or a terminal.
func TestSBM01NamesInPurlsAndIDs(t *testing.T) {
	long := strings.Repeat("x", 5000)
	inv := listed(t, debian(), join(
		files{
			site + "a-1.dist-info/METADATA": "Metadata-Version: 2.1\nName: torch@2.9?x#y/../z\nVersion: 1@evil?a=b#c\n",
			site + "b-1.dist-info/METADATA": "Metadata-Version: 2.1\nName: " + long + "\nVersion: 1\n",
			site + "c-1.dist-info/METADATA": "Metadata-Version: 2.1\nName: a b\nVersion: 1\n",
			site + "d-1.dist-info/METADATA": "Metadata-Version: 2.1\nName: a&b\nVersion: 1\n",
			site + "e-1.dist-info/METADATA": "Metadata-Version: 2.1\nName: a\x1b[31mb\u202e\nVersion: 1\n",
			site + "f-1.dist-info/METADATA": "Metadata-Version: 2.1\nName: licensed\nVersion: 1\nLicense: " + strings.Repeat("words ", 200_000) + "\n",
		}))
	for _, p := range inv.Packages {
		if strings.HasPrefix(p.Name, "torch@") {
			u, err := packageurl.FromString(p.PURL)
			if err != nil || u.Name != p.Name || u.Version != p.Version || len(u.Qualifiers) > 0 || u.Subpath != "" {
				t.Errorf("%q %q has purl %q, which reads as %+v (%v)", p.Name, p.Version, p.PURL, u, err)
			}
		}
		if strings.ContainsAny(p.Name+p.Version, "\x1b\u202e") || len(p.Name) > 4096 {
			t.Errorf("name %.100q", p.Name)
		}
		for _, l := range p.Licenses {
			if len(l) > 100 {
				t.Errorf("a licence of %d bytes", len(l))
			}
		}
	}
	for f, key := range map[Format]string{SPDX: `"SPDXID":`, CycloneDX: `"bom-ref":`} {
		var b bytes.Buffer
		if err := inv.Write(&b, f); err != nil {
			t.Fatal(err)
		}
		seen := map[string]bool{}
		for _, part := range strings.Split(b.String(), key)[1:] {
			var id string
			if err := json.NewDecoder(strings.NewReader(part)).Decode(&id); err != nil {
				t.Fatal(err)
			}
			if seen[id] {
				t.Errorf("%s: id %.100q is there twice", f, id)
			}
			seen[id] = true
		}
		if len(seen) < len(inv.Packages) {
			t.Errorf("%s has %d ids for %d packages", f, len(seen), len(inv.Packages))
		}
		if b.Len() > 2<<20 {
			t.Errorf("%s has %d bytes", f, b.Len())
		}
	}
}

// SBM-02: passwords of who lists, and those in an image's own environment, are in no document.
func TestSBM02SecretsAreInNoDocument(t *testing.T) {
	const secret = "opensesame-5d1f"
	for _, name := range []string{"SYFT_REGISTRY_AUTH_PASSWORD", "SYFT_REGISTRY_AUTH_TOKEN", "DOCKER_PASSWORD", "FORGE_TEST_PASSWORD"} {
		t.Setenv(name, secret)
	}
	im := imageOf(debian(), wheel("torch", "2.9.1"))
	im.Config = fmt.Appendf(nil, `{"config":{"Env":["PASSWORD=%s"]},"history":[{"created_by":"curl https://u:%s@x"}]}`, secret, secret)
	inv := compared(t, im, nil)
	check := func(what string, b []byte) {
		if bytes.Contains(b, []byte(secret)) {
			t.Errorf("%s has the password", what)
		}
		var all any
		if err := json.Unmarshal(b, &all); err != nil {
			t.Fatal(err)
		}
		each(all, func(s string) {
			if raw, ok := decoded(s); ok && bytes.Contains(raw, []byte(secret)) {
				t.Errorf("%s has the password, encoded", what)
			}
		})
	}
	for _, f := range Formats {
		var b bytes.Buffer
		if err := inv.Write(&b, f); err != nil {
			t.Fatal(err)
		}
		check(string(f), b.Bytes())
	}
	var list bytes.Buffer
	if err := inv.Keep(&list); err != nil {
		t.Fatal(err)
	}
	check("the list", list.Bytes())
}
