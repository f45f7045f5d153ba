package debian

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"sort"
	"strings"
)

type Unpacker struct {
	emit  func(Entry, io.Reader) error
	seen  map[string]string
	certs map[string][]byte
	arch  string
	sums  map[string][32]byte
}

var merged = []string{"bin", "sbin", "lib", "lib64"}

func NewUnpacker(arch string, emit func(Entry, io.Reader) error) (*Unpacker, error) {
	u := &Unpacker{emit: emit, seen: map[string]string{}, certs: map[string][]byte{}, arch: arch}
	for _, d := range merged {
		if arch == "arm64" && d == "lib64" {
			continue
		}
		if err := emit(Entry{Path: d, Link: "usr/" + d, Type: tar.TypeSymlink, Mode: 0o777, Owner: "forge"}, nil); err != nil {
			return nil, err
		}
		u.seen[d] = "forge"
	}
	for _, d := range []string{"usr/bin", "usr/sbin", "usr/lib", "usr/lib64"} {
		u.seen[d] = "dir"
		if err := emit(Entry{Path: d, Type: tar.TypeDir, Mode: 0o755}, nil); err != nil {
			return nil, err
		}
	}
	return u, nil
}

func real(p string) string {
	for _, d := range merged {
		if p == d || strings.HasPrefix(p, d+"/") {
			return "usr/" + p
		}
	}
	return p
}

func dropped(p string) bool {
	if strings.HasPrefix(p, "usr/share/doc/") {
		return !strings.HasSuffix(p, "/copyright") && strings.Count(p, "/") >= 4 || strings.Count(p, "/") == 4
	}
	for _, x := range []string{"usr/share/man/", "usr/share/info/", "usr/share/lintian/", "usr/share/bug/", "usr/share/locale/", "usr/share/doc-base/"} {
		if strings.HasPrefix(p, x) {
			return true
		}
	}
	return false
}

func (u *Unpacker) Add(d *Deb) error {
	name := d.Control["Package"]
	err := d.Walk(func(e Entry, r io.Reader) error {
		for _, m := range merged {
			if e.Path == m {
				return nil // the usr-merge link or folder itself
			}
		}
		e.Path = real(e.Path)
		e.Owner = "deb:" + name
		switch e.Type {
		case tar.TypeDir:
			if strings.HasPrefix(e.Path, "usr/share/man") || strings.HasPrefix(e.Path, "usr/share/locale") || strings.HasPrefix(e.Path, "usr/share/lintian") || strings.HasPrefix(e.Path, "usr/share/doc/") {
				return nil
			}
			if u.seen[e.Path] != "" {
				return nil
			}
			u.seen[e.Path] = "dir"
			if e.Mode&0o777 != 0o755 || e.Mode > 0o777 {
				return u.emit(e, nil)
			}
			return u.emit(e, nil)
		case tar.TypeReg, tar.TypeSymlink, tar.TypeLink:
		default:
			return fmt.Errorf("%s: TAR-04: %q has type %c", d.Name, e.Path, e.Type)
		}
		if strings.HasPrefix(e.Path, "usr/share/doc/") && !strings.HasSuffix(e.Path, "/copyright") {
			return nil
		}
		if !strings.HasPrefix(e.Path, "usr/share/doc/") && dropped(e.Path) {
			return nil
		}
		if by, ok := u.seen[e.Path]; ok {
			return fmt.Errorf("%s: %q is in %s already", d.Name, e.Path, by)
		}
		u.seen[e.Path] = name
		if e.Type == tar.TypeLink {
			e.Link = real(strings.Trim(strings.TrimPrefix(e.Link, "./"), "/"))
		}
		if strings.HasPrefix(e.Path, "usr/share/ca-certificates/") && strings.HasSuffix(e.Path, ".crt") {
			b, err := io.ReadAll(io.LimitReader(r, 1<<20))
			if err != nil {
				return err
			}
			u.certs[e.Path] = b
			r = bytes.NewReader(b)
		}
		if e.Type != tar.TypeReg {
			e.Size = 0
		}
		return u.emit(e, r)
	})
	if err != nil {
		return err
	}
	for suffix, b := range map[string][]byte{"": d.Raw} {
		if err := u.file("var/lib/dpkg/status.d/"+name+suffix, b, 0o644); err != nil {
			return err
		}
	}
	if d.MD5Sums != nil {
		return u.file("var/lib/dpkg/status.d/"+name+".md5sums", d.MD5Sums, 0o644)
	}
	return nil
}

func (u *Unpacker) file(p string, b []byte, mode int64) error {
	return u.emit(Entry{Path: p, Type: tar.TypeReg, Mode: mode, Size: int64(len(b)), Owner: "forge"}, bytes.NewReader(b))
}

func (u *Unpacker) Finish() error {
	var names []string
	for n := range u.certs {
		names = append(names, n)
	}
	sort.Strings(names)
	var bundle []byte
	for _, n := range names {
		bundle = append(bundle, u.certs[n]...)
		if !bytes.HasSuffix(bundle, []byte("\n")) {
			bundle = append(bundle, '\n')
		}
	}
	_ = sha256.Size
	if len(bundle) > 0 {
		return u.file("etc/ssl/certs/ca-certificates.crt", bundle, 0o644)
	}
	return nil
}

// Accounts returns passwd, group and shadow.
func Accounts(user string, uid int, groups []string) (passwd, group, shadow []byte, err error) {
	ids := map[string]int{"root": 0, "daemon": 1, "tty": 5, "disk": 6, "audio": 29, "video": 44, "render": 104, "users": 100, "nogroup": 65534}
	pw := fmt.Sprintf("root:x:0:0:root:/root:/usr/sbin/nologin\n%s:x:%d:%d::/cache/home:/usr/sbin/nologin\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n", user, uid, uid)
	sh := fmt.Sprintf("root:*:::::::\n%s:*:::::::\nnobody:*:::::::\n", user)
	in := map[string]bool{}
	for _, g := range groups {
		if _, ok := ids[g]; !ok {
			return nil, nil, nil, fmt.Errorf("group %q is unknown", g)
		}
		in[g] = true
	}
	var names []string
	for n := range ids {
		names = append(names, n)
	}
	sort.Slice(names, func(i, j int) bool { return ids[names[i]] < ids[names[j]] })
	var g strings.Builder
	for _, n := range names {
		m := ""
		if in[n] {
			m = user
		}
		fmt.Fprintf(&g, "%s:x:%d:%s\n", n, ids[n], m)
	}
	fmt.Fprintf(&g, "%s:x:%d:\n", user, uid)
	return []byte(pw), []byte(g.String()), []byte(sh), nil
}
