package sbom

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"runtime/debug"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// bomb is an image with one file of size bytes, all of them x's and line feeds.
func bomb(p string, size int64) *Image {
	im := imageOf(debian(), files{p: ""})
	im.Layers[1].Files[0].Size, im.Layers[1].Files[0].Looked = size, true
	im.Layers[1].Open = func(int) (io.Reader, error) { return io.LimitReader(endless{}, size), nil }
	return im
}

type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = "xxxxxxxxxxxxxxxxxxxxxxxxxxxxx,\n"[i%31]
	}
	return len(p), nil
}

// directory is entries of a ZIP's central directory, 46 bytes each.
type directory struct{}

func (directory) Read(p []byte) (int, error) {
	n := len(p) / 46 * 46
	for i := range n {
		p[i] = 0
	}
	for i := 0; i < n; i += 46 {
		copy(p[i:], "PK\x01\x02")
	}
	return n, nil
}

// jar is a Java archive of so many entries, of which one is stored and has size bytes.
func jar(entries int, size int64) string {
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for i := range entries - 2 {
		_, _ = z.CreateRaw(&zip.FileHeader{Name: fmt.Sprintf("a/%d.class", i)}) // a buffer takes all
	}
	w, _ := z.CreateHeader(&zip.FileHeader{Name: "data", Method: zip.Store})
	_, _ = io.Copy(w, io.LimitReader(endless{}, size))
	w, _ = z.Create("META-INF/MANIFEST.MF")
	_, _ = io.WriteString(w, "Manifest-Version: 1.0\nImplementation-Title: ray-dist\nImplementation-Version: 2.60.0\n")
	_ = z.Close()
	return b.String()
}

// Ray's wheel has a Java archive of 35 MB, more than of any text is read.
func TestALargeJarIsListed(t *testing.T) {
	inv := listed(t, debian(), files{"opt/ray/jars/ray_dist.jar": jar(100, maxText+1<<20)})
	if d := cmp.Diff([]string{"deb libc6 2.41-12", "java-archive ray_dist 2.60.0"}, names(inv)); d != "" {
		t.Error(d)
	}
}

// Entries are counted wherever an archive's bytes are cut.
func TestEntriesOfAnArchiveAreCounted(t *testing.T) {
	text := strings.Repeat("PK\x01\x02 PK\x01PK\x01\x02", 5)
	for _, each := range []int{1, 2, 3, 4, 5, 7, 100} {
		m := &members{in: strings.NewReader(text)}
		b := make([]byte, each)
		for {
			if _, err := m.Read(b); err != nil {
				break
			}
		}
		if m.count != 10 {
			t.Errorf("in pieces of %d: %d, not 10", each, m.count)
		}
	}
}

// attacks are SBM-01: images that want memory, time, or a list that is silently shorter.
// error "" means that the image is listed all the same.
var attacks = map[string]struct {
	image func() *Image
	error string
}{
	"METADATA of 10 GB": {func() *Image { return bomb(site+"x-1.dist-info/METADATA", 10<<30) }, "x-1.dist-info/METADATA"},
	"RECORD of 1 GB": {func() *Image {
		im := bomb(site+"x-1.dist-info/RECORD", 1<<30)
		more := layerOf(2, wheel("x", "1"))
		more.Files = more.Files[:1] // METADATA
		im.Layers = append(im.Layers, more)
		return im
	}, "x-1.dist-info/RECORD"},
	"many large RECORDs": {func() *Image {
		all := files{}
		record := strings.Repeat("x/"+strings.Repeat("y", 50)+".py,sha256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU,0\n", 30_000)
		for i := range 40 {
			for name, content := range wheel(fmt.Sprint("x", i), "1") {
				if strings.HasSuffix(name, "RECORD") {
					content = record
				}
				all[name] = content
			}
		}
		return imageOf(all)
	}, "lists of packages' files"},
	"status of 1 GB":          {func() *Image { return bomb("var/lib/dpkg/status", 1<<30) }, "var/lib/dpkg/status"},
	"os-release of 1 GB":      {func() *Image { return bomb("etc/os-release", 1<<30) }, ""},
	"a size that is not true": {func() *Image { im := imageOf(wheel("x", "1")); im.Layers[0].Files[0].Size++; return im }, "are due"},
	"status files in a circle": {func() *Image {
		return imageOf(files{"var/lib/dpkg/status.d/a -> b": "", "var/lib/dpkg/status.d/b -> a": "", "var/lib/dpkg/status -> status": ""})
	}, ""},
	"packages that need another": {func() *Image { return imageOf(loop()) }, ""},
	"a METADATA that is a link out": {func() *Image {
		return imageOf(files{site + "x-1.dist-info/METADATA -> ../../../../../../../../../etc/shadow": "", "etc/shadow": "root:*:1::::::\n"})
	}, ""},
	"a licence of 900,000 parentheses": {func() *Image {
		return imageOf(files{site + "x-1.dist-info/METADATA": "Metadata-Version: 2.4\nName: x\nVersion: 1\nLicense-Expression: " + strings.Repeat("(", 900_000) + "MIT\n"})
	}, "parentheses"},
	"a licence of a million words": {func() *Image {
		return imageOf(files{site + "x-1.dist-info/METADATA": "Metadata-Version: 2.4\nName: x\nVersion: 1\nLicense: " + strings.Repeat("a ", 1<<20) + "\n"})
	}, ""},
	"a dist-info that lies about its files": {func() *Image {
		w := wheel("x", "1")
		for name := range w {
			if strings.HasSuffix(name, "RECORD") {
				w[name] = "../../../../../../../../../../../../etc/passwd,,\n/etc/shadow,,\nx/../../../../y,,\n\x00,,\n" + w[name]
			}
		}
		return imageOf(debian(), w)
	}, ""},
	"100,000 distributions": {func() *Image {
		all := files{}
		for i := range 100_000 {
			all[fmt.Sprintf("%sp%d-1.dist-info/METADATA", site, i)] = fmt.Sprintf("Metadata-Version: 2.1\nName: p%d\nVersion: 1\n", i)
		}
		return imageOf(all)
	}, "100000 descriptions of packages"},
	"100,000 packages in one status file": {func() *Image {
		var b strings.Builder
		for i := range 100_000 {
			fmt.Fprintf(&b, "Package: p%d\nStatus: install ok installed\nVersion: 1\nArchitecture: all\n\n", i)
		}
		return imageOf(files{"var/lib/dpkg/status": b.String()})
	}, "describes more than 10000 packages"},
	"100,000 folders without METADATA": {func() *Image {
		all := files{}
		for i := range 100_000 {
			all[fmt.Sprintf("%sp%d-1.dist-info/INSTALLER", site, i)] = "x"
		}
		return imageOf(all)
	}, "100000 descriptions of packages"},
	"100,000 models": {func() *Image {
		all := files{}
		for i := range 100_000 {
			all[fmt.Sprintf("app/%d.pt", i)] = "x"
		}
		return imageOf(all)
	}, "100000 descriptions of packages"},
	"100,000 libraries": {func() *Image {
		all, w := files{}, wheel("x", "1")
		var record strings.Builder
		for i := range 100_000 {
			all[fmt.Sprintf("%sx.libs/lib%d.so.1", site, i)] = "x"
			fmt.Fprintf(&record, "x.libs/lib%d.so.1,,\n", i)
		}
		for name := range w {
			if all[name] = w[name]; strings.HasSuffix(name, "RECORD") {
				all[name] = record.String()
			}
		}
		return imageOf(all)
	}, "100001 descriptions of packages"},
	"a jar of 10 GB":     {func() *Image { return bomb("opt/a.jar", 10<<30) }, "/opt/a.jar"},
	"a jar that is none": {func() *Image { return bomb("opt/a.jar", 40<<20) }, ""},
	"a manifest of 40 MB in a jar": {func() *Image {
		var b bytes.Buffer
		z := zip.NewWriter(&b)
		w, _ := z.Create("META-INF/MANIFEST.MF") // a buffer takes all
		_, _ = io.Copy(w, io.LimitReader(endless{}, 40<<20))
		_ = z.Close()
		return imageOf(debian(), files{"opt/a.jar": b.String()})
	}, "texts in it have more than"},
	"jars in one another": {func() *Image {
		inner := jar(3, 0)
		for range maxInside + 1 {
			var b bytes.Buffer
			z := zip.NewWriter(&b)
			w, _ := z.Create("inner.jar")
			_, _ = io.WriteString(w, inner)
			_ = z.Close()
			inner = b.String()
		}
		return imageOf(debian(), files{"opt/a.jar": inner})
	}, "archives are in one another"},
	"a jar of a million entries": {func() *Image {
		im := bomb("opt/a.jar", 46*1_000_000)
		im.Layers[1].Open = func(int) (io.Reader, error) { return io.LimitReader(directory{}, 46*1_000_000), nil }
		return im
	}, "it has more than 200000 entries"},
	"a jar of as many entries as are taken": {func() *Image { return imageOf(debian(), files{"opt/a.jar": jar(maxMembers, 0)}) }, ""},
	"a jar in a jar": {func() *Image {
		var b bytes.Buffer
		z := zip.NewWriter(&b)
		w, _ := z.Create("inner.jar")
		n := int64(1_000_000)
		_, _ = io.Copy(w, io.LimitReader(directory{}, 46*n))
		end := make([]byte, 56+20+22)
		copy(end, "PK\x06\x06")
		le := binary.LittleEndian
		le.PutUint64(end[4:], 44)
		le.PutUint64(end[24:], uint64(n))
		le.PutUint64(end[32:], uint64(n))
		le.PutUint64(end[40:], uint64(46*n))
		le.PutUint64(end[48:], 0)
		copy(end[56:], "PK\x06\x07")
		le.PutUint64(end[64:], uint64(46*n))
		le.PutUint32(end[72:], 1)
		copy(end[76:], "PK\x05\x06")
		for _, at := range []int{84, 86} {
			le.PutUint16(end[at:], 0xffff)
		}
		le.PutUint32(end[88:], 0xffffffff)
		le.PutUint32(end[92:], 0xffffffff)
		_, _ = w.Write(end)
		w, _ = z.Create("META-INF/MANIFEST.MF")
		_, _ = io.WriteString(w, "Manifest-Version: 1.0\n")
		_ = z.Close()
		return imageOf(debian(), files{"opt/a.jar": b.String()})
	}, "it has more than 200000 entries"},
	"a copyright file of 1 GB": {func() *Image {
		im := bomb("usr/share/doc/libc6/copyright", 1<<30)
		return im
	}, "usr/share/doc/libc6/copyright"},
}

// loop are two distributions, and two packages, that need one another.
func loop() files {
	return join(wheel("a", "1", "Requires-Dist: b[x]"), wheel("b", "1", "Requires-Dist: a; extra == 'x'"), files{
		"var/lib/dpkg/status.d/a": "Package: deb-a\nStatus: install ok installed\nVersion: 1\nArchitecture: all\nDepends: deb-b\nProvides: v\n",
		"var/lib/dpkg/status.d/b": "Package: deb-b\nStatus: install ok installed\nVersion: 1\nArchitecture: all\nDepends: deb-a, v\n",
	})
}

// maxMemory is what no image may exceed, in KiB.
const maxMemory = 512 << 10

func TestHostileImages(t *testing.T) {
	if name := os.Getenv("FORGE_TEST_ATTACK"); name != "" {
		debug.SetMemoryLimit(152 << 20) // as forge does
		_, err := Catalog(t.Context(), attacks[name].image(), Options{Tool: Tool{"forge", "test"}, Temp: t.TempDir()})
		fmt.Printf("LISTED %v\n", err)
		return
	}
	for name, x := range attacks {
		t.Run(name, func(t *testing.T) {
			cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestHostileImages$")
			cmd.Env = append(os.Environ(), "FORGE_TEST_ATTACK="+name)
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			_, verdict, ok := strings.Cut(string(out), "LISTED ")
			verdict, _, _ = strings.Cut(verdict, "\nPASS")
			switch {
			case !ok:
				t.Fatalf("no verdict: %s", out)
			case x.error == "" && verdict != "<nil>":
				t.Errorf("it is refused: %s", verdict)
			case x.error != "" && !strings.Contains(verdict, x.error):
				t.Errorf("verdict %q should have %q", verdict, x.error)
			}
			if kib := cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss; kib > maxMemory {
				t.Errorf("it took %d MiB", kib>>10)
			}
		})
	}
}

func TestAnErrorNamesFileAndLayer(t *testing.T) {
	im := bomb(site+"x-1.dist-info/METADATA", 10<<30)
	_, err := Catalog(t.Context(), im, Options{Tool: Tool{"forge", "test"}, Temp: t.TempDir()})
	var own *Error
	if !errors.As(err, &own) || own.Path != "/"+site+"x-1.dist-info/METADATA" || own.Layer != im.Layers[1].DiffID || own.ID != "SBM-01" {
		t.Errorf("error %v", err)
	}
}

// What turns text around, as Unicode lists it, and what has no width.
func TestOddCharactersAreNotShown(t *testing.T) {
	for _, r := range "\x00\x1f\x7f\u0080\u009f\u061c\u200b\u200c\u200d\u200e\u200f\u2028\u2029\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufeff" {
		if got := plain("a" + string(r) + "b"); got != "a\ufffdb" {
			t.Errorf("%U is shown: %q", r, got)
		}
	}
	for _, text := range []string{" ~", "\u00a0é", "\u0619\u061b\u061d", "\u2010\u202f\u2065\u206a", "漢😀"} {
		if got := plain(text); got != text {
			t.Errorf("%q became %q", text, got)
		}
	}
}

func TestTextOfAnyFormIsPlain(t *testing.T) {
	runes := []rune("a\"\\\x00\x07\x1b\x7f\u0085\u061c\u200b\u202e\u2066\ufeff\n\t\réü漢😀u001b<")
	r := rand.New(rand.NewPCG(1, 2))
	for range 20_000 {
		var s strings.Builder
		for range r.IntN(12) {
			s.WriteRune(runes[r.IntN(len(runes))])
		}
		var doc, out bytes.Buffer
		enc := json.NewEncoder(&doc)
		enc.SetEscapeHTML(false)
		if err := enc.Encode([]string{s.String()}); err != nil {
			t.Fatal(err)
		}
		p, n := &plainJSON{w: &out}, r.IntN(doc.Len()+1)
		for _, part := range [][]byte{doc.Bytes()[:n], doc.Bytes()[n:]} {
			if _, err := p.Write(part); err != nil {
				t.Fatal(err)
			}
		}
		var got []string
		if err := json.Unmarshal(out.Bytes(), &got); err != nil {
			t.Fatalf("%q is no JSON: %v", out.String(), err)
		}
		want := strings.Map(func(c rune) rune {
			if odd(c) && c != '\n' && c != '\t' {
				return '\ufffd'
			}
			return c
		}, s.String())
		if got[0] != want {
			t.Fatalf("%q became %q, should be %q", s.String(), got[0], want)
		}
	}
}

// SBM-01: the message names a file and its layer.
func TestACrowdIsNamed(t *testing.T) {
	all := files{}
	for i := range maxPackages + 1 {
		all[fmt.Sprintf("app/%06d.pt", i)] = ""
	}
	im := imageOf(debian(), all)
	_, err := newTree(im)
	var own *Error
	if !errors.As(err, &own) || own.ID != "SBM-01" || own.Layer != im.Layers[1].DiffID || !strings.Contains(own.Error(), own.Path) || own.Path == "" {
		t.Errorf("error %v", err)
	}
	delete(all, "app/000000.pt")
	delete(all, "app/000001.pt") // the package of debian() is one
	if _, err := newTree(imageOf(debian(), all)); err != nil {
		t.Errorf("%d are too many: %v", maxPackages, err)
	}
}
