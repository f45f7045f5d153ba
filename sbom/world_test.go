package sbom

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"sort"
	"strings"
	"testing"
	"time"
)

// files are the contents of a layer, by path; "a -> b" is a link, a name that ends with "/"
// a folder, ".wh.x" a whiteout and ".wh..wh..opq" an opaque one.
type files map[string]string

// imageOf makes an image of layers, the lowest first.
func imageOf(layers ...files) *Image {
	im := &Image{Name: "test", Digest: "sha256:" + sum("image"), MediaType: "application/vnd.oci.image.manifest.v1+json", OS: "linux", Arch: "amd64",
		Created: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Config: []byte("{}"), Manifest: []byte("{}")}
	for i, l := range layers {
		im.Layers = append(im.Layers, layerOf(i, l))
	}
	return im
}

func sum(s string) string {
	h := sha256.Sum256([]byte(s))
	return hex.EncodeToString(h[:])
}

func layerOf(i int, l files) Layer {
	var names []string
	for name := range l {
		names = append(names, name)
	}
	sort.Strings(names)
	x := Layer{Digest: "sha256:" + sum(fmt.Sprint("blob", i)), DiffID: "sha256:" + sum(fmt.Sprint("layer", i)), MediaType: "application/vnd.oci.image.layer.v1.tar+zstd", Size: 1000}
	var contents []string
	for _, name := range names {
		f := File{Path: name, Kind: Regular, Mode: 0o644, Size: int64(len(l[name])), SHA256: sum(l[name]), Looked: !strings.HasPrefix(l[name], "\x7fELF")}
		content := l[name]
		dir, base := "", name
		if at := strings.LastIndexByte(name, '/'); at >= 0 {
			dir, base = name[:at], name[at+1:]
		}
		switch from, to, link := strings.Cut(name, " -> "); {
		case link:
			f = File{Path: from, Kind: Symlink, Mode: 0o777, Link: to}
		case base == "":
			f = File{Path: dir, Kind: Dir, Mode: 0o755}
		case base == ".wh..wh..opq":
			f = File{Path: dir, Kind: Opaque}
		case strings.HasPrefix(base, ".wh."):
			f = File{Path: strings.TrimPrefix(dir+"/"+base[4:], "/"), Kind: Whiteout}
		}
		x.Files, contents = append(x.Files, f), append(contents, content)
	}
	x.Open = func(n int) (io.Reader, error) { return strings.NewReader(contents[n]), nil }
	return x
}

// listed lists an image, and the test fails if that fails.
func listed(t *testing.T, layers ...files) *Inventory {
	t.Helper()
	inv, err := Catalog(t.Context(), imageOf(layers...), Options{Tool: Tool{"forge", "test"}, Temp: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	return inv
}

// names are "type name version" of an inventory's packages.
func names(inv *Inventory) []string {
	var out []string
	for _, p := range inv.Packages {
		out = append(out, p.Type+" "+p.Name+" "+p.Version)
	}
	return out
}

const site = "opt/venv/lib/python3.13/site-packages/"

// debian is a layer as forge makes one of packages: no status, but status.d.
func debian() files {
	return files{
		"etc/os-release":              "PRETTY_NAME=\"Debian GNU/Linux 13 (trixie)\"\nID=debian\nVERSION_ID=\"13\"\n",
		"var/lib/dpkg/status.d/libc6": "Package: libc6\nStatus: install ok installed\nSource: glibc\nVersion: 2.41-12\nArchitecture: amd64\nMaintainer: GNU Libc Maintainers <debian-glibc@lists.debian.org>\nDescription: GNU C Library\n",
		"usr/lib/libc.so.6":           "text",
		"lib -> usr/lib":              "",
	}
}

// wheel is what an installed wheel leaves.
func wheel(name, version string, more ...string) files { return wheelAt(site, name, version, more...) }

func wheelAt(site, name, version string, more ...string) files {
	dir := site + strings.ReplaceAll(name, "-", "_") + "-" + version + ".dist-info/"
	meta := "Metadata-Version: 2.4\nName: " + name + "\nVersion: " + version + "\n" + strings.Join(more, "\n") + "\n"
	module := site + strings.ReplaceAll(name, "-", "_") + "/__init__.py"
	return files{
		dir + "METADATA": meta,
		dir + "RECORD": strings.TrimPrefix(module, site) + ",sha256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU,0\n" +
			strings.TrimPrefix(dir, site) + "METADATA,,\n" + strings.TrimPrefix(dir, site) + "RECORD,,\n",
		module: "",
	}
}

func join(layers ...files) files {
	out := files{}
	for _, l := range layers {
		for name, content := range l {
			out[name] = content
		}
	}
	return out
}

// each calls f for every string of a JSON value.
func each(v any, f func(string)) {
	switch x := v.(type) {
	case string:
		f(x)
	case []any:
		for _, e := range x {
			each(e, f)
		}
	case map[string]any:
		for _, e := range x {
			each(e, f)
		}
	}
}

// decoded reads base64.
func decoded(s string) ([]byte, bool) {
	raw, err := base64.StdEncoding.DecodeString(s)
	return raw, err == nil && len(raw) > 0
}
