package resolve

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/clearsign"
	"github.com/ulikunitz/xz"

	"github.com/forge-build/forge/builder/debian"
	"github.com/forge-build/forge/recipes"
	"github.com/forge-build/forge/recipes/lock"
)

// keyring holds the keys of Debian's archive, from the package debian-archive-keyring.
//
//go:embed debian-archive-keyring.gpg
var keyring []byte

// maxInRelease and maxPackages bound what is read of an archive, in bytes.
const (
	maxInRelease = 4 << 20
	maxPackages  = 512 << 20
)

// Debian chooses the packages of an image from suite, updates and security. While the recipe
// says the same of its base, what is locked stays, and no server is asked; a changed recipe
// keeps the versions that still fit.
func Debian(ctx context.Context, im *recipes.Image, before *lock.Image, o Options) (*lock.Debian, error) {
	var locked *lock.Debian
	if before != nil && before.Platform == im.Platform && before.Debian != nil && before.Debian.Suite == im.Debian.Suite {
		locked = before.Debian
	}
	if locked != nil && !o.UpgradeAll && !o.UpgradeBase && !o.upgradesAny(locked) && sameBase(before.Inputs, im.Inputs()) {
		return locked, nil
	}
	keys, err := openpgp.ReadKeyRing(bytes.NewReader(keyring))
	if err != nil {
		return nil, fmt.Errorf("internal error: reading the archive's keys: %w", err)
	}
	arch := strings.TrimPrefix(im.Platform, "linux/")
	out := &lock.Debian{Suite: im.Debian.Suite}
	var all []debian.Package
	for _, s := range []archive{{"debian", out.Suite}, {"debian", out.Suite + "-updates"}, {"debian-security", out.Suite + "-security"}} {
		a, packages, err := s.read(ctx, im, keys, arch, o)
		if err != nil {
			return nil, err
		}
		if err := notOlder(a, locked); err != nil {
			return nil, err
		}
		out.Archives = append(out.Archives, a)
		all = append(all, packages...)
	}
	want, err := debian.PythonPackages(out.Suite)
	if err != nil {
		return nil, &InputError{err.Error()}
	}
	chosen, err := debian.Closure(all, debian.Request{Architecture: arch, Want: append(want, im.Debian.Packages...), Deny: im.Debian.Deny, Keep: keep(locked, o)})
	var unmet *debian.UnmetError
	if errors.As(err, &unmet) {
		return nil, &InputError{err.Error()}
	}
	if err != nil {
		return nil, err
	}
	for _, c := range chosen.Packages {
		out.Packages = append(out.Packages, lock.Deb{Name: c.Name, Version: c.Version, Architecture: c.Architecture, Source: c.Source, Archive: c.Archive,
			Path: c.Path, Size: c.Size, SHA256: c.SHA256, Requested: c.Requested, RequiredBy: c.RequiredBy, Choice: c.Choice})
	}
	return out, nil
}

func (o Options) upgradesAny(d *lock.Debian) bool {
	for _, p := range d.Packages {
		if o.upgrades(p.Name) {
			return true
		}
	}
	return false
}

// keep are the locked versions that are preferred.
func keep(locked *lock.Debian, o Options) map[string]string {
	m := map[string]string{}
	if locked == nil || o.UpgradeAll || o.UpgradeBase {
		return m
	}
	for _, p := range locked.Packages {
		if !o.upgrades(p.Name) {
			m[p.Name] = p.Version
		}
	}
	return m
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

// notOlder refuses an archive that is older than the locked one: Debian's stable InRelease
// has no Valid-Until, so that this is what shows a frozen mirror.
func notOlder(a lock.Archive, locked *lock.Debian) error {
	if locked == nil {
		return nil
	}
	for _, old := range locked.Archives {
		if old.Name == a.Name && old.Suite == a.Suite && old.Date > a.Date { // RFC 3339 in UTC sorts as text
			return fmt.Errorf("the archive's %s is of %s, the lock was made with %s: its mirror is stale or frozen", a.Suite, a.Date, old.Date)
		}
	}
	return nil
}

// archive is one suite of an archive.
type archive struct{ name, suite string }

// read verifies a suite's InRelease and reads the Packages file that it names.
func (s archive) read(ctx context.Context, im *recipes.Image, keys openpgp.EntityList, arch string, o Options) (lock.Archive, []debian.Package, error) {
	a := lock.Archive{Name: s.name, Suite: s.suite, Packages: map[string]string{}}
	base, raw, err := s.inRelease(ctx, im, o)
	if err != nil {
		return a, nil, err
	}
	release, err := verify(raw, keys, time.Now())
	if err != nil {
		return a, nil, fmt.Errorf("%s/dists/%s/InRelease: %w", base, s.suite, err)
	}
	if release.Codename != s.suite && release.Suite != s.suite && release.Codename != im.Debian.Suite {
		return a, nil, fmt.Errorf("%s/dists/%s/InRelease: it is of suite %+q, codename %+q", base, s.suite, release.Suite, release.Codename)
	}
	a.Date, a.InRelease = release.Date.UTC().Format(time.RFC3339), sum(raw)
	name := "main/binary-" + arch + "/Packages.xz"
	f, ok := release.Files[name]
	if !ok || f.Size > maxPackages {
		return a, nil, fmt.Errorf("%s/dists/%s/InRelease: it vouches for no %s", base, s.suite, name)
	}
	a.Packages["main"] = f.SHA256
	dir := base + "/dists/" + s.suite + "/main/binary-" + arch + "/"
	urls := []string{dir + "Packages.xz"}
	if release.ByHash {
		urls = append([]string{dir + "by-hash/SHA256/" + f.SHA256}, urls...)
	}
	path, err := o.Fetch.File(ctx, urls, s.suite+" Packages.xz", f.SHA256, f.Size)
	if err != nil {
		return a, nil, err
	}
	packages, err := readPackages(path, s.name)
	return a, packages, err
}

// inRelease takes the first answer of the places that may have the suite.
func (s archive) inRelease(ctx context.Context, im *recipes.Image, o Options) (base string, raw []byte, err error) {
	var errs []error
	for _, base := range o.Fetch.Archives(s.name, s.suite, im) {
		raw, err := o.Fetch.Get(ctx, base+"/dists/"+s.suite+"/InRelease", maxInRelease)
		if err == nil {
			return base, raw, nil
		}
		if ctx.Err() != nil {
			return "", nil, err
		}
		errs = append(errs, err)
	}
	return "", nil, fmt.Errorf("reading Debian's %s: %w", s.suite, errors.Join(errs...))
}

// verify checks the signature of an InRelease file and parses the signed text alone.
func verify(raw []byte, keys openpgp.EntityList, now time.Time) (debian.Release, error) {
	block, rest := clearsign.Decode(raw)
	if block == nil || len(bytes.TrimSpace(rest)) > 0 || !bytes.HasPrefix(raw, []byte("-----BEGIN PGP SIGNED MESSAGE-----")) {
		return debian.Release{}, errors.New("it is not one clear-signed text and nothing else")
	}
	if _, err := openpgp.CheckDetachedSignature(keys, bytes.NewReader(block.Bytes), block.ArmoredSignature.Body, nil); err != nil {
		return debian.Release{}, fmt.Errorf("its signature is by none of the archive's keys: %w", err)
	}
	release, err := debian.ParseRelease(block.Plaintext)
	if err != nil {
		return release, err
	}
	if !release.ValidUntil.IsZero() && now.After(release.ValidUntil) {
		return release, fmt.Errorf("it was valid until %s", release.ValidUntil.UTC().Format(time.RFC3339))
	}
	return release, nil
}

func readPackages(path, archive string) ([]debian.Package, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("reading Packages: %w", err)
	}
	defer f.Close()
	x, err := xz.NewReader(f)
	if err != nil {
		return nil, fmt.Errorf("reading Packages: %w", err)
	}
	packages, err := debian.ParsePackages(x)
	for i := range packages {
		packages[i].Archive = archive
	}
	return packages, err
}
