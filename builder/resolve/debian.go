package resolve

import (
	"bytes"
	"context"
	_ "embed"
	"fmt"
	"strings"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/clearsign"
	"github.com/ulikunitz/xz"

	"github.com/forge-build/forge/builder/debian"
	"github.com/forge-build/forge/recipes"
	"github.com/forge-build/forge/recipes/lock"
)

//go:embed debian-archive-keyring.gpg
var keyring []byte

// Debian chooses the packages of an image. While the recipe says the same of its base, what
// is locked stays, and nothing is asked of any server.
func Debian(ctx context.Context, im *recipes.Image, before *lock.Image, o Options) (*lock.Debian, error) {
	if before != nil && before.Debian != nil && before.Platform == im.Platform && !o.UpgradeAll && !o.UpgradeBase && len(o.Upgrade) == 0 && sameBase(before.Inputs, im.Inputs()) {
		return before.Debian, nil
	}
	keys, err := openpgp.ReadKeyRing(bytes.NewReader(keyring))
	if err != nil {
		return nil, err
	}
	arch := strings.TrimPrefix(im.Platform, "linux/")
	out := &lock.Debian{Suite: im.Debian.Suite}
	var pkgs []debian.Package
	for _, a := range [][2]string{{"debian", im.Debian.Suite}, {"debian", im.Debian.Suite + "-updates"}, {"debian-security", im.Debian.Suite + "-security"}} {
		la, ps, err := suite(ctx, im, o, keys, a[0], a[1], arch)
		if err != nil {
			return nil, err
		}
		out.Archives = append(out.Archives, la)
		pkgs = append(pkgs, ps...)
	}
	want := append([]string{"python3.13", "libpython3.13-stdlib", "libc6", "libstdc++6", "libgcc-s1", "zlib1g", "ca-certificates", "base-files"}, im.Debian.Packages...)
	got, err := debian.Closure(pkgs, want, append(im.Debian.Deny, "openssl", "mawk", "gawk", "awk", "base-passwd"), arch)
	if err != nil {
		return nil, err
	}
	for _, c := range got {
		out.Packages = append(out.Packages, lock.Deb{Name: c.Name, Version: c.Version, Architecture: c.Arch, Archive: c.Archive, Path: c.Filename, Size: c.Size, SHA256: c.SHA256, Requested: c.Requested, RequiredBy: c.RequiredBy})
	}
	return out, nil
}

// sameBase says whether two recipes ask the same of their base.
func sameBase(a, b map[string]string) bool {
	for _, pair := range [][2]map[string]string{{a, b}, {b, a}} {
		for k, v := range pair[0] {
			if strings.HasPrefix(k, "base.") && pair[1][k] != v {
				return false
			}
		}
	}
	return true
}

// suite reads one suite of an archive: InRelease, whose signature must be one of keys', and
// the Packages file that it names.
func suite(ctx context.Context, im *recipes.Image, o Options, keys openpgp.EntityList, archive, name, arch string) (lock.Archive, []debian.Package, error) {
	la := lock.Archive{Name: archive, Suite: name, Packages: map[string]string{}}
	var in []byte
	var base string
	var err error
	for _, base = range o.Fetch.Archives(archive, name, im) {
		if in, err = o.Fetch.Get(ctx, base+"/dists/"+name+"/InRelease", 4<<20); err == nil {
			break
		}
	}
	if err != nil {
		return la, nil, err
	}
	block, rest := clearsign.Decode(in)
	if block == nil || len(bytes.TrimSpace(rest)) > 0 {
		return la, nil, fmt.Errorf("%s: not a clear-signed file", name)
	}
	if _, err := openpgp.CheckDetachedSignature(keys, bytes.NewReader(block.Bytes), block.ArmoredSignature.Body, nil); err != nil {
		return la, nil, fmt.Errorf("%s: %w", name, err)
	}
	rel, err := debian.ParsePackages(bytes.NewReader(block.Plaintext))
	if err != nil {
		return la, nil, err
	}
	date, err := time.Parse(time.RFC1123, rel[0].Fields["Date"])
	if err != nil {
		return la, nil, err
	}
	la.Date, la.InRelease = date.UTC().Format(time.RFC3339), sum(in)
	want := "main/binary-" + arch + "/Packages.xz"
	for _, l := range strings.Split(rel[0].Fields["SHA256"], "\n") {
		f := strings.Fields(l)
		if len(f) != 3 || f[2] != want {
			continue
		}
		b, err := o.Fetch.Get(ctx, base+"/dists/"+name+"/main/binary-"+arch+"/by-hash/SHA256/"+f[0], 64<<20)
		if err != nil {
			return la, nil, err
		}
		if sum(b) != f[0] {
			return la, nil, fmt.Errorf("%s: Packages.xz has another hash", name)
		}
		la.Packages["main"] = f[0]
		x, err := xz.NewReader(bytes.NewReader(b))
		if err != nil {
			return la, nil, err
		}
		ps, err := debian.ParsePackages(x)
		for i := range ps {
			ps[i].Archive = archive
		}
		return la, ps, err
	}
	return la, nil, fmt.Errorf("%s has no %s", name, want)
}
