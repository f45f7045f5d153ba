package convert

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing"

	"github.com/forge-build/forge/builder/layer"
	"github.com/forge-build/forge/recipes/lock"
)

// makeDeb returns a package without scripts. Names of folders end with a slash; a name with
// an arrow is a symbolic link.
func makeDeb(t testing.TB, name, version string, files ...file) []byte {
	t.Helper()
	control := fmt.Sprintf("Package: %s\nVersion: %s\nArchitecture: amd64\nMaintainer: Nobody <nobody@example.org>\nDescription: a test\n", name, version)
	var deb bytes.Buffer
	deb.WriteString("!<arch>\n")
	arMember(&deb, "debian-binary", []byte("2.0\n"))
	arMember(&deb, "control.tar.gz", tarball(t, []file{{name: "./"}, {name: "./control", content: control}}))
	arMember(&deb, "data.tar.gz", tarball(t, files))
	return deb.Bytes()
}

func arMember(deb *bytes.Buffer, name string, data []byte) {
	fmt.Fprintf(deb, "%-16s%-12d%-6d%-6d%-8s%-10d`\n", name, 0, 0, 0, "100644", len(data))
	deb.Write(data)
	if len(data)%2 == 1 {
		deb.WriteByte('\n')
	}
}

func tarball(t testing.TB, files []file) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	w := tar.NewWriter(z)
	for _, f := range files {
		h := &tar.Header{Name: f.name, Mode: 0o644, Size: int64(len(f.content)), Typeflag: tar.TypeReg, Uname: "root", Gname: "root", Format: tar.FormatGNU}
		if f.exec {
			h.Mode = 0o755
		}
		if from, to, ok := strings.Cut(f.name, " -> "); ok {
			h.Name, h.Linkname, h.Typeflag, h.Mode = from, to, tar.TypeSymlink, 0o777
		}
		if strings.HasSuffix(f.name, "/") {
			h.Typeflag, h.Mode = tar.TypeDir, 0o755
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(f.content)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// addDeb puts a package into the store and the lock.
func (b *bench) addDeb(name, version string, files ...file) {
	b.t.Helper()
	data := makeDeb(b.t, name, version, files...)
	p, err := b.st.Create()
	if err != nil {
		b.t.Fatal(err)
	}
	if _, err := p.Write(data); err != nil {
		b.t.Fatal(err)
	}
	sum, err := p.Commit("")
	if err != nil {
		b.t.Fatal(err)
	}
	if b.li.Debian == nil {
		b.li.Debian = &lock.Debian{Suite: "trixie"}
	}
	b.li.Debian.Packages = append(b.li.Debian.Packages, lock.Deb{Name: name, Version: version, Architecture: "amd64", Archive: "debian",
		Path: "pool/main/" + name + "/" + name + "_" + version + "_amd64.deb", Size: int64(len(data)), SHA256: sum})
}

func demoDebs(b *bench) {
	b.addDeb("base-files", "13", file{name: "./"}, file{name: "./usr/"}, file{name: "./usr/lib/"}, file{name: "./usr/lib/os-release", content: "ID=debian\n"})
	b.addDeb("zeta", "1", file{name: "./"}, file{name: "./usr/"}, file{name: "./usr/bin/"}, file{name: "./usr/bin/zeta", content: "zeta", exec: true}, file{name: "./usr/bin/z -> zeta"})
	b.addDeb("alpha", "1", file{name: "./"}, file{name: "./usr/"}, file{name: "./usr/lib/"}, file{name: "./usr/lib/alpha.so", content: "alpha"})
}

func TestPackages(t *testing.T) {
	var digests []string
	for range 2 {
		b := newBench(t)
		demoDebs(b)
		layers := Group(b.li)
		made := b.must(layers)[0]
		_, entries := b.unpack(made.Layer, layer.Gzip)
		if e := entries["usr/bin/zeta"]; e.content != "zeta" || e.mode != 0o755 {
			t.Errorf("%+v", e)
		}
		if e := entries["usr/bin/z"]; e.kind != tar.TypeSymlink {
			t.Errorf("%+v", e)
		}
		if entries["usr/lib/alpha.so"].content != "alpha" || entries["bin"].kind != tar.TypeSymlink {
			t.Errorf("%v", entries)
		}
		if made.Layer.Name != "os" || made.Layer.Members[0] != b.li.Debian.Packages[2].SHA256 {
			t.Errorf("%+v", made.Layer)
		}
		if !b.must(layers)[0].Reused {
			t.Error("made again")
		}
		digests = append(digests, made.Layer.DiffID)
	}
	if digests[0] != digests[1] {
		t.Error(digests)
	}
}

func TestPackagesThatAreOther(t *testing.T) {
	b := newBench(t)
	demoDebs(b)
	j, err := (&maker{im: b.im, li: b.li, o: b.o}).job(Group(b.li)[0])
	if err != nil {
		t.Fatal(err)
	}
	m := &maker{im: b.im, li: b.li, o: b.o}
	if _, err := m.packages(context.Background(), j); err != nil {
		t.Fatal(err)
	}
	j.parts[0].deb.Size++
	if _, err := m.packages(context.Background(), j); err == nil || !strings.Contains(err.Error(), "the lock states") {
		t.Error(err)
	}
	j.parts[0].deb.Size--
	changeBlob(t, b.st.Path(j.parts[0].sum()))
	if _, err := m.packages(context.Background(), j); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), j.parts[0].name()) {
		t.Errorf("changed bytes: %v", err)
	}
	if len(b.partials()) != 0 {
		t.Error(b.partials())
	}
	for what, change := range map[string]func(d *lock.Deb){
		"name":         func(d *lock.Deb) { d.Name = "beta" },
		"version":      func(d *lock.Deb) { d.Version = "2" },
		"architecture": func(d *lock.Deb) { d.Architecture = "arm64" },
	} {
		b := newBench(t)
		demoDebs(b)
		change(&b.li.Debian.Packages[2])
		t.Log(what, b.fails(Group(b.li), "the lock states"))
	}
	b = newBench(t)
	demoDebs(b)
	b.must(Group(b.li))
	b.li.Debian.Packages[0].Size++ // while the layer is held
	b.fails(Group(b.li), "for the same sha256")
	b = newBench(t)
	b.addDeb("alpha", "1", file{name: "./usr/x", content: "a"})
	b.addDeb("beta", "1", file{name: "./usr/x", content: "b"})
	b.fails(Group(b.li), "usr/x")
}
