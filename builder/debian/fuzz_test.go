package debian

import (
	"bytes"
	"fmt"
	"io"
	"testing"
)

func FuzzDeb(f *testing.F) {
	f.Add(pkg("aa", dir("./usr/"), file("./usr/x", "hello"), symlink("./usr/l", "x"), hardlink("./usr/h", "./usr/x")))
	f.Add(join([]byte(arMagic), version, controlM, arMember("data.tar.zst", zst(tarball(file("./x", "y"))))))
	f.Add(join([]byte(arMagic), version, arMember("control.tar", tarball(control("aa", "1", "amd64"), part{name: "./postinst", body: "#!/bin/sh\nldconfig\n"})), arMember("data.tar", tarball(long('L', "./x"), file("./x", "y"), pax('x', "path=z"), file("./z", "")))))
	f.Fuzz(func(t *testing.T, b []byte) {
		d, err := OpenDeb(bytes.NewReader(b), int64(len(b)), "x.deb")
		if err != nil {
			return
		}
		u, err := NewUnpacker("amd64", func(e Entry, r io.Reader) error {
			if why := checkPath(e.Path); why != "" {
				t.Fatalf("path %q %s", e.Path, why)
			}
			if e.Mode&^0o1777 != 0 || e.Type == TypeFile && e.Mode&0o22 != 0 {
				t.Fatalf("mode %o of %q", e.Mode, e.Path)
			}
			if r == nil {
				return nil
			}
			n, err := io.Copy(io.Discard, io.LimitReader(r, 64<<20))
			if err == nil && n != e.Size && n < 64<<20 {
				t.Fatalf("%q has %d bytes, states %d", e.Path, n, e.Size)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := u.Add(d); err == nil {
			_ = u.Finish() // there is no base-files
		}
	})
}

func FuzzPackages(f *testing.F) {
	f.Add([]byte(stanza("aa", "Depends: bb | cc (>= 1:2~3)\nProvides: dd (= 1)\n") + "\n" + stanza("bb", "Conflicts: ee\n")))
	f.Fuzz(func(t *testing.T, b []byte) {
		all, err := ParsePackages(bytes.NewReader(b))
		if err != nil {
			return
		}
		var want []string
		for _, p := range all {
			if why := p.check() + p.checkFile(); why != "" {
				t.Fatalf("%+v %s", p, why)
			}
			want = append(want, p.Name)
		}
		_, _ = Closure(all, Request{Architecture: "amd64", Want: want}) // must end
	})
}

func FuzzRelease(f *testing.F) {
	f.Add([]byte(releaseText))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := ParseRelease(b)
		if err != nil {
			return
		}
		for name, file := range r.Files {
			if checkPath(name) != "" || !isSHA256(file.SHA256) || file.Size < 0 {
				t.Fatalf("%q %+v", name, file)
			}
		}
	})
}

// FuzzTar changes headers, whose checksums are made right again.
func FuzzTar(f *testing.F) {
	f.Add(tarball(dir("./usr/"), file("./usr/x", "hello"), symlink("./usr/l", "x"), hardlink("./usr/h", "./usr/x"), pax('x', "path=usr/z"), file("./z", ""), long('K', "target"), symlink("./usr/k", "target")))
	f.Fuzz(func(t *testing.T, b []byte) {
		b = bytes.Clone(b)
		for i := 0; i+block <= len(b); i += block {
			if h := b[i : i+block]; string(h[257:262]) == "ustar" {
				copy(h[148:156], "        ")
				sum := 0
				for _, c := range h {
					sum += int(c)
				}
				copy(h[148:156], fmt.Sprintf("%06o\x00 ", sum))
			}
		}
		paths := map[string]bool{}
		_ = newTarReader(bytes.NewReader(b), "x", 64<<20).each(func(e Entry, _ io.Reader) error {
			if why := checkPath(e.Path); why != "" || paths[e.Path] || e.Size < 0 {
				t.Fatalf("%+v %s", e, why)
			}
			paths[e.Path] = true
			return nil
		})
	})
}
