package resolve

import (
	"context"
	"errors"
	"fmt"
	"os"
	"reflect"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/forge-build/forge/builder/debian"
	"github.com/forge-build/forge/builder/fetch"
	"github.com/forge-build/forge/recipes"
	"github.com/forge-build/forge/recipes/lock"
)

// Debian chooses the packages of an image from its suite, the suite's updates and security,
// and the recipe's archives. While the recipe says the same of its base, what is locked
// stays, and no server is asked. Else each locked version stays that still fits, even where
// the archive has replaced it, unless o upgrades it. before may be nil. An image on another
// base has no packages: the result is nil then. A wish that cannot be met is an *InputError.
func Debian(ctx context.Context, im *recipes.Image, before *lock.Image, o Options) (*lock.Debian, error) {
	if im.Debian == nil {
		return nil, nil
	}
	c, err := newChoice(im, before, o, time.Now())
	if err != nil {
		return nil, err
	}
	return c.run(ctx, before)
}

// run is the story of a choice: archives, closure, lock.
func (c *choice) run(ctx context.Context, before *lock.Image) (*lock.Debian, error) {
	if c.stays(before) {
		return c.locked, nil
	}
	for _, s := range c.sources {
		if err := c.read(ctx, s, c.places(s.name, s.suite, c.im)); err != nil {
			return nil, err
		}
	}
	selection, err := c.close(ctx)
	if err != nil {
		return nil, err
	}
	return c.result(selection), nil
}

// choice is one image's choice of packages on its way.
type choice struct {
	im      *recipes.Image // as it is looked up: with the snapshot that counts
	o       Options
	now     time.Time
	arch    string
	locked  *lock.Debian // nil: nothing is to be kept
	sources []source
	places  func(archive, suite string, im *recipes.Image) []string

	out      lock.Debian
	packages []debian.Package
	revived  map[string]bool // archives of packages that only the lock knows
}

func newChoice(im *recipes.Image, before *lock.Image, o Options, now time.Time) (*choice, error) {
	if o.Progress == nil {
		o.Progress = func(string) {}
	}
	for _, name := range im.Debian.Packages {
		if slices.Contains(im.Debian.Deny, name) {
			return nil, &InputError{fmt.Sprintf("package %q is both asked for and denied", name)}
		}
	}
	c := &choice{o: o, now: now, arch: strings.TrimPrefix(im.Platform, "linux/"), revived: map[string]bool{}, places: o.Fetch.Archives}
	c.out.Suite = im.Debian.Suite
	if before != nil && before.Debian != nil && before.Platform == im.Platform && before.Debian.Suite == im.Debian.Suite {
		c.locked = before.Debian
	}
	pinned, err := pinnedTime(im, o)
	if err != nil {
		return nil, err
	}
	at, base := *im, *im.Debian
	at.Debian = &base
	if !pinned.IsZero() {
		base.Snapshot = pinned.UTC().Format(time.RFC3339)
	}
	c.im = &at
	c.sources, err = sources(c.im, o, pinned)
	return c, err
}

// pinnedTime is the time of the recipe's snapshot or of --as-of, the earlier one.
func pinnedTime(im *recipes.Image, o Options) (time.Time, error) {
	pinned := o.AsOf
	if im.Debian.Snapshot != "" {
		t, err := time.Parse(time.RFC3339, im.Debian.Snapshot)
		if err != nil {
			return t, &InputError{fmt.Sprintf("snapshot %q is no RFC 3339 time", im.Debian.Snapshot)}
		}
		if pinned.IsZero() || t.Before(pinned) {
			pinned = t
		}
	}
	return pinned, nil
}

// stays says whether the lock holds all that the recipe asks for.
func (c *choice) stays(before *lock.Image) bool {
	if c.locked == nil || c.o.UpgradeAll || c.o.UpgradeBase || !sameBase(before.Inputs, c.im.Inputs()) {
		return false
	}
	for _, d := range c.locked.Packages {
		if c.o.upgrades(d.Name) {
			return false
		}
	}
	for _, s := range c.sources {
		known := false
		for _, a := range c.locked.Archives {
			known = known || a.Name == s.name && a.Suite == s.suite
			if date, err := time.Parse(time.RFC3339, a.Date); err != nil || !s.pinned.IsZero() && date.After(s.pinned) {
				return false
			}
		}
		if !known {
			return false
		}
	}
	return true
}

// sameBase says whether two recipes ask the same of their base.
func sameBase(a, b map[string]string) bool {
	for _, pair := range [][2]map[string]string{{a, b}, {b, a}} {
		for k, v := range pair[0] {
			if w, ok := pair[1][k]; strings.HasPrefix(k, "base.") && (!ok || v != w) {
				return false
			}
		}
	}
	return true
}

// close chooses the packages. Locked versions that the archives have no more are taken from
// the store, or from where they can still be had, as they turn out to be needed.
func (c *choice) close(ctx context.Context) (*debian.Selection, error) {
	want, err := debian.PythonPackages(c.im.Debian.Suite)
	if err != nil {
		return nil, &InputError{err.Error()}
	}
	req := debian.Request{Architecture: c.arch, Want: append(want, c.im.Debian.Packages...), Deny: c.im.Debian.Deny, Keep: map[string]string{}}
	asked := map[string]bool{}
	for _, d := range c.kept() {
		req.Keep[d.Name] = d.Version
	}
	for {
		selection, err := debian.Closure(c.packages, req)
		var unmet *debian.UnmetError
		if errors.As(err, &unmet) {
			return nil, &InputError{"Debian " + c.im.Debian.Suite + ": " + err.Error()}
		}
		if err != nil {
			return nil, fmt.Errorf("choosing Debian packages: %w", err)
		}
		more := false
		for _, d := range c.kept() {
			i := slices.IndexFunc(selection.Packages, func(p debian.Chosen) bool { return p.Name == d.Name })
			if i < 0 || selection.Packages[i].Version == d.Version || asked[d.Name] || c.has(d) {
				continue
			}
			asked[d.Name] = true
			revived, err := c.revive(ctx, d)
			if err != nil {
				return nil, err
			}
			more = more || revived
		}
		if !more {
			return selection, nil
		}
	}
}

// kept are the locked packages whose versions are preferred.
func (c *choice) kept() (list []lock.Deb) {
	if c.locked == nil || c.o.UpgradeAll || c.o.UpgradeBase {
		return nil
	}
	for _, d := range c.locked.Packages {
		if !c.o.upgrades(d.Name) {
			list = append(list, d)
		}
	}
	return list
}

// has says whether the archives have a locked package.
func (c *choice) has(d lock.Deb) bool {
	return slices.ContainsFunc(c.packages, func(p debian.Package) bool { return p.Name == d.Name && p.Version == d.Version })
}

// revive adds a locked package that the archives have replaced, as its own control file
// describes it. One that cannot be had gives way to what the archives have. A snapshot
// says all: nothing is added to it.
func (c *choice) revive(ctx context.Context, d lock.Deb) (bool, error) {
	if c.im.Debian.Snapshot != "" {
		return false, nil
	}
	path, err := c.o.Fetch.Deb(ctx, d, c.im, &lock.Image{Debian: c.locked})
	var gone *fetch.GoneError
	var offline *fetch.OfflineError
	if errors.As(err, &gone) || errors.As(err, &offline) {
		c.o.Progress(fmt.Sprintf("%s %s is in no archive any more: another version is taken", d.Name, d.Version))
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("looking at the locked %s %s: %w", d.Name, d.Version, err)
	}
	f, err := os.Open(path)
	if err != nil {
		return false, fmt.Errorf("looking at the locked %s %s: %w", d.Name, d.Version, err)
	}
	defer f.Close()
	deb, err := debian.OpenDeb(f, d.Size, d.Name)
	if err != nil {
		return false, err
	}
	p := deb.Package
	if p.Name != d.Name || p.Version != d.Version {
		return false, fmt.Errorf("the lock's %s %s is %s %s inside", d.Name, d.Version, p.Name, p.Version)
	}
	p.Archive, p.Path, p.Size, p.SHA256 = d.Archive, d.Path, d.Size, d.SHA256
	c.packages = append(c.packages, p)
	c.revived[d.Archive] = true
	return true, nil
}

// result writes the selection down. If it is what was locked, so are the archives.
func (c *choice) result(selection *debian.Selection) *lock.Debian {
	dropped := map[string][]string{}
	for _, d := range selection.Dropped {
		dropped[d.Package] = append(dropped[d.Package], d.Dependency+": "+d.Reason)
	}
	for _, p := range selection.Packages {
		c.out.Packages = append(c.out.Packages, lock.Deb{Name: p.Name, Version: p.Version, Architecture: p.Architecture, Source: p.Source, Archive: p.Archive,
			Path: p.Path, Size: p.Size, SHA256: p.SHA256, Requested: p.Requested, RequiredBy: p.RequiredBy, Choice: p.Choice, Dropped: dropped[p.Name]})
	}
	if c.locked == nil {
		return &c.out
	}
	if reflect.DeepEqual(c.out.Packages, c.locked.Packages) && len(c.revived) == 0 && c.sameArchives() {
		return c.locked
	}
	// Snapshots are looked up by these dates: what has been replaced is found at its own.
	for _, a := range c.locked.Archives {
		if c.revived[a.Name] && !slices.ContainsFunc(c.out.Archives, func(b lock.Archive) bool { return reflect.DeepEqual(a, b) }) {
			c.out.Archives = append(c.out.Archives, a)
		}
	}
	return &c.out
}

// sameArchives says whether the lock is made from the same suites.
func (c *choice) sameArchives() bool {
	suites := func(list []lock.Archive) (out []string) {
		for _, a := range list {
			out = append(out, a.Name+" "+a.Suite)
		}
		sort.Strings(out)
		return slices.Compact(out)
	}
	return slices.Equal(suites(c.out.Archives), suites(c.locked.Archives))
}
