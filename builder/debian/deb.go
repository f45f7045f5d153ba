package debian

import (
	"archive/tar"
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"path"
	"sort"
	"strconv"
	"strings"

	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"
)

type Entry struct {
	Path, Link string
	Type       byte
	Mode       int64
	Size       int64
	Owner      string
}

type Deb struct {
	Name    string
	Control map[string]string
	Raw     []byte
	MD5Sums []byte
	Scripts map[string][]byte
	data    *io.SectionReader
	ext     string
}

func OpenDeb(r io.ReaderAt, size int64, name string) (*Deb, error) {
	head := make([]byte, 8)
	if _, err := r.ReadAt(head, 0); err != nil || string(head) != "!<arch>\n" {
		return nil, fmt.Errorf("%s: DEB-01: not an ar archive", name)
	}
	off := int64(8)
	d := &Deb{Name: name, Scripts: map[string][]byte{}}
	for i := 0; i < 3; i++ {
		h := make([]byte, 60)
		if _, err := r.ReadAt(h, off); err != nil {
			return nil, fmt.Errorf("%s: DEB-01: truncated at %d", name, off)
		}
		n := strings.TrimRight(string(h[:16]), " ")
		sz, err := strconv.ParseInt(strings.TrimRight(string(h[48:58]), " "), 10, 64)
		if err != nil || sz < 0 || off+60+sz > size {
			return nil, fmt.Errorf("%s: DEB-01: bad size", name)
		}
		body := io.NewSectionReader(r, off+60, sz)
		switch {
		case i == 0 && n == "debian-binary":
		case i == 1 && strings.HasPrefix(n, "control.tar"):
			if err := d.control(body, strings.TrimPrefix(n, "control.tar")); err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
		case i == 2 && strings.HasPrefix(n, "data.tar"):
			d.data, d.ext = body, strings.TrimPrefix(n, "data.tar")
		default:
			return nil, fmt.Errorf("%s: DEB-01: member %q", name, n)
		}
		off += 60 + sz + sz&1
	}
	return d, nil
}

func unpack(r io.Reader, ext string) (io.Reader, error) {
	switch ext {
	case ".gz":
		return gzip.NewReader(r)
	case ".xz":
		return xz.NewReader(bufio.NewReaderSize(r, 1<<20))
	case ".zst":
		z, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1))
		return z, err
	case "":
		return r, nil
	}
	return nil, fmt.Errorf("CMP-01: compression %q", ext)
}

func (d *Deb) control(r io.Reader, ext string) error {
	u, err := unpack(r, ext)
	if err != nil {
		return err
	}
	tr := tar.NewReader(u)
	for {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		if h.Typeflag != tar.TypeReg {
			continue
		}
		b, err := io.ReadAll(io.LimitReader(tr, 16<<20))
		if err != nil {
			return err
		}
		switch n := path.Base(h.Name); n {
		case "control":
			d.Raw = b
			ps, err := ParsePackages(bytes.NewReader(b))
			if err != nil || len(ps) != 1 {
				return fmt.Errorf("bad control: %v", err)
			}
			d.Control = ps[0].Fields
		case "md5sums":
			d.MD5Sums = b
		case "preinst", "postinst", "prerm", "postrm", "config":
			d.Scripts[n] = b
		}
	}
	return nil
}

func (d *Deb) Walk(fn func(Entry, io.Reader) error) error {
	u, err := unpack(io.NewSectionReader(d.data, 0, d.data.Size()), d.ext)
	if err != nil {
		return err
	}
	tr := tar.NewReader(u)
	for {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("%s: %w", d.Name, err)
		}
		p := strings.Trim(path.Clean("/"+h.Name), "/")
		if p == "" {
			continue
		}
		if err := fn(Entry{Path: p, Link: h.Linkname, Type: h.Typeflag, Mode: h.Mode & 0o7777, Size: h.Size}, tr); err != nil {
			return err
		}
	}
}

type Package struct {
	Name, Version, Arch, Source, Filename, SHA256 string
	Size                                          int64
	Fields                                        map[string]string
	Archive                                       string
}

func ParsePackages(r io.Reader) ([]Package, error) {
	var out []Package
	sc := bufio.NewScanner(r)
	sc.Buffer(make([]byte, 1<<20), 16<<20)
	cur := map[string]string{}
	last := ""
	flush := func() {
		if len(cur) == 0 {
			return
		}
		p := Package{Name: cur["Package"], Version: cur["Version"], Arch: cur["Architecture"], Source: cur["Source"], Filename: cur["Filename"], SHA256: cur["SHA256"], Fields: cur}
		p.Size, _ = strconv.ParseInt(cur["Size"], 10, 64)
		out = append(out, p)
		cur = map[string]string{}
	}
	for sc.Scan() {
		l := sc.Text()
		if l == "" {
			flush()
			continue
		}
		if l[0] == ' ' || l[0] == '\t' {
			cur[last] += "\n" + l
			continue
		}
		k, v, ok := strings.Cut(l, ":")
		if !ok {
			return nil, fmt.Errorf("bad line %q", l)
		}
		last = k
		cur[k] = strings.TrimSpace(v)
	}
	flush()
	return out, sc.Err()
}

func order(c byte) int {
	switch {
	case c == '~':
		return -1
	case c >= '0' && c <= '9', c == 0:
		return 0
	case c >= 'A' && c <= 'Z', c >= 'a' && c <= 'z':
		return int(c)
	}
	return int(c) + 256
}

func verrev(a, b string) int {
	i, j := 0, 0
	at := func(s string, i int) byte {
		if i < len(s) {
			return s[i]
		}
		return 0
	}
	digit := func(c byte) bool { return c >= '0' && c <= '9' }
	for i < len(a) || j < len(b) {
		for (i < len(a) && !digit(a[i])) || (j < len(b) && !digit(b[j])) {
			x, y := order(at(a, i)), order(at(b, j))
			if x != y {
				return x - y
			}
			i++
			j++
		}
		for at(a, i) == '0' {
			i++
		}
		for at(b, j) == '0' {
			j++
		}
		first := 0
		for digit(at(a, i)) && digit(at(b, j)) {
			if first == 0 {
				first = int(a[i]) - int(b[j])
			}
			i++
			j++
		}
		if digit(at(a, i)) {
			return 1
		}
		if digit(at(b, j)) {
			return -1
		}
		if first != 0 {
			return first
		}
	}
	return 0
}

func CompareVersions(a, b string) int {
	split := func(v string) (int, string, string) {
		e := 0
		if x, y, ok := strings.Cut(v, ":"); ok {
			e, _ = strconv.Atoi(x)
			v = y
		}
		rev := ""
		if i := strings.LastIndexByte(v, '-'); i >= 0 {
			v, rev = v[:i], v[i+1:]
		}
		return e, v, rev
	}
	e1, v1, r1 := split(a)
	e2, v2, r2 := split(b)
	if e1 != e2 {
		return e1 - e2
	}
	if c := verrev(v1, v2); c != 0 {
		return c
	}
	return verrev(r1, r2)
}

type Chosen struct {
	Package
	RequiredBy []string
	Requested  bool
	Choice     string
}

var scriptOnly = map[string]bool{"dpkg": true, "perl-base": true, "debconf": true, "debconf-2.0": true, "cdebconf": true, "openssl-provider-legacy": true}

func Closure(pkgs []Package, want, deny []string, arch string) ([]Chosen, error) {
	best := map[string]Package{}
	prov := map[string][]string{}
	for _, p := range pkgs {
		if p.Arch != arch && p.Arch != "all" {
			continue
		}
		if o, ok := best[p.Name]; !ok || CompareVersions(p.Version, o.Version) > 0 {
			best[p.Name] = p
		}
	}
	for n, p := range best {
		for _, x := range strings.Split(p.Fields["Provides"], ",") {
			x = strings.TrimSpace(x)
			if i := strings.IndexAny(x, " ("); i >= 0 {
				x = x[:i]
			}
			if x != "" {
				prov[x] = append(prov[x], n)
			}
		}
	}
	denied := map[string]bool{}
	for _, d := range deny {
		denied[d] = true
	}
	got := map[string]*Chosen{}
	var add func(name, by string) error
	add = func(name, by string) error {
		if c, ok := got[name]; ok {
			if by != "" {
				c.RequiredBy = append(c.RequiredBy, by)
			}
			return nil
		}
		p, ok := best[name]
		if !ok {
			return fmt.Errorf("package %q, which %s asks for, is not in the archive", name, by)
		}
		c := &Chosen{Package: p, Requested: by == ""}
		if by != "" {
			c.RequiredBy = []string{by}
		}
		got[name] = c
		for _, f := range []string{"Pre-Depends", "Depends"} {
		deps:
			for _, d := range strings.Split(p.Fields[f], ",") {
				if strings.TrimSpace(d) == "" {
					continue
				}
				var alts []string
				for _, a := range strings.Split(d, "|") {
					a = strings.TrimSpace(a)
					if i := strings.IndexAny(a, " (:["); i >= 0 {
						a = a[:i]
					}
					alts = append(alts, a)
				}
				for _, a := range alts {
					if scriptOnly[a] || denied[a] {
						continue deps
					}
				}
				for _, a := range alts {
					if _, ok := best[a]; ok {
						if err := add(a, name); err != nil {
							return err
						}
						continue deps
					}
					ps := prov[a]
					sort.Strings(ps)
					for _, x := range ps {
						if !denied[x] {
							if err := add(x, name); err != nil {
								return err
							}
							continue deps
						}
					}
				}
				return fmt.Errorf("%s needs %q, which nothing provides", name, d)
			}
		}
		return nil
	}
	for _, w := range want {
		if err := add(w, ""); err != nil {
			return nil, err
		}
	}
	var out []Chosen
	for _, c := range got {
		sort.Strings(c.RequiredBy)
		out = append(out, *c)
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Name < out[j].Name })
	return out, nil
}
