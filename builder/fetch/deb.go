package fetch

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"path"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/forge-build/forge/recipes"
	"github.com/forge-build/forge/recipes/lock"
)

// snapshots serve Debian's archives as they were at any time. The second is a cache of the
// first, which is often slow.
var snapshots = []string{"https://snapshot.debian.org/archive/", "https://snapshot-cloudflare.debian.org/archive/"}

// Archives names the places where an archive's suite can be had, best first: "debian",
// "debian-security", or an archive that the recipe declares. The recipe's mirror comes
// first, then forge's settings, then apt's; last, snapshot.debian.org as it is now. A recipe
// that names a snapshot gets that one and nothing newer. im may be nil. Addresses hold no
// userinfo and do not end in a slash.
func (f *Fetcher) Archives(name, suite string, im *recipes.Image) []string {
	if im != nil && im.Debian != nil && im.Debian.Snapshot != "" {
		if t, err := time.Parse(time.RFC3339, im.Debian.Snapshot); err == nil && (name == "debian" || name == "debian-security") {
			return atTime(nil, name, t)
		}
	}
	all := f.mirrors(name, suite, im)
	if name == "debian" || name == "debian-security" {
		all = atTime(all, name, f.now())
	}
	return all
}

// mirrors is Archives without the public default.
func (f *Fetcher) mirrors(name, suite string, im *recipes.Image) []string {
	var sources []source
	if im != nil && im.Debian != nil {
		for _, a := range im.Debian.Archives {
			if a.Name == name {
				sources = append(sources, source{url: a.URL})
			}
		}
		if m := strings.TrimRight(im.Debian.Mirror, "/"); m != "" && name == "debian" {
			sources = append(sources, source{url: m})
		} else if strings.HasSuffix(m, "/debian") && name == "debian-security" {
			sources = append(sources, source{url: m + "-security"}) // where mirrors usually have it
		}
	}
	sources = append(sources, f.set.archiveSources(name, suite)...)
	var all []string
	for _, src := range sources {
		u, user, err := parseSource(src, true)
		if err != nil {
			continue // allowed would refuse it again; the others may do
		}
		f.login(u, user)
		if !slices.Contains(all, u.String()) {
			all = append(all, u.String())
		}
	}
	return all
}

// atTime adds the snapshots of an archive at a time. They answer for any time with the
// newest state that is not newer.
func atTime(all []string, name string, t time.Time) []string {
	for _, s := range snapshots {
		all = append(all, s+name+"/"+t.UTC().Format("20060102T150405Z"))
	}
	return all
}

// Deb brings a locked package into the store and says where it is. When the store has it no
// request is made. Otherwise each place that may serve it is tried: the recipe's, forge's
// settings, apt's, and snapshot.debian.org at the times that the lock was made as of and when
// its archives were published. When none has it the error is a *GoneError. im and li may be nil.
func (f *Fetcher) Deb(ctx context.Context, d lock.Deb, im *recipes.Image, li *lock.Image) (place string, err error) {
	if !fs.ValidPath(d.Path) || strings.ContainsAny(d.Path, "\\?#%") {
		return "", refuse("IDX-02", d.Name, "", "path %s in the lock is not allowed", q(d.Path))
	}
	sources := f.mirrors(d.Archive, "", im)
	if d.Archive == "debian" || d.Archive == "debian-security" {
		for _, t := range published(d.Archive, im, li) {
			sources = atTime(sources, d.Archive, t)
		}
	}
	var urls []string
	for _, s := range sources {
		urls = append(urls, s+"/"+(&url.URL{Path: d.Path}).EscapedPath())
	}
	place, err = f.File(ctx, urls, path.Base(d.Path), d.SHA256, d.Size)
	return place, gone(err, d.Name, d.Version, path.Base(d.Path))
}

// published is when the archive looked as the lock saw it. A snapshot is taken some hours
// after the date in its Release file, so a day later is asked first.
func published(archive string, im *recipes.Image, li *lock.Image) []time.Time {
	var dates []time.Time
	add := func(text string) {
		if t, err := time.Parse(time.RFC3339, text); err == nil {
			dates = append(dates, t)
		}
	}
	if im != nil && im.Debian != nil {
		add(im.Debian.Snapshot)
	}
	if li == nil || li.Debian == nil {
		return dates
	}
	add(li.AsOf)
	var released []time.Time
	for _, a := range li.Debian.Archives {
		if t, err := time.Parse(time.RFC3339, a.Date); err == nil && a.Name == archive {
			released = append(released, t)
		}
	}
	sort.Slice(released, func(i, j int) bool { return released[i].After(released[j]) })
	for i, t := range released {
		if i == 0 || !t.Equal(released[i-1]) {
			dates = append(dates, t.Add(24*time.Hour), t)
		}
	}
	return dates
}

// File brings a file of known sha256 and size into the store, from the first of the
// addresses that serves it, and says where it is. http will do: the hash decides. Sources
// that do not answer are asked last from then on. When all say that they have no such file
// the error is a *GoneError.
func (f *Fetcher) File(ctx context.Context, urls []string, name, sum string, size int64) (path string, err error) {
	held, ok, err := f.st.Stat(sum)
	if err != nil {
		return "", err
	}
	if ok && held != size {
		return "", &HashError{File: name, By: "lock", GotSize: held, WantSize: size, Held: true}
	}
	if ok {
		f.event(Event{Name: name, Done: held, Total: held, State: "held"})
		return f.st.Path(sum), nil
	}
	if f.Offline {
		return "", &OfflineError{Missing: []string{missing(name, size)}}
	}
	none := &GoneError{File: name, Package: name}
	var others []error
	for _, u := range f.livingFirst(urls) {
		_, _, err := f.blob(ctx, u, nil, want{name: name, sum: sum, size: size, by: "lock", plain: true})
		var g *GoneError
		switch {
		case err == nil:
			return f.st.Path(sum), nil
		case ctx.Err() != nil:
			return "", err
		case errors.As(err, &g):
			none.Tried = append(none.Tried, show(u))
		default:
			if temporary(err) {
				f.mourn(u)
			}
			others = append(others, err)
		}
	}
	if len(others) == 0 {
		return "", none
	}
	if len(none.Tried) > 0 {
		others = append(others, none)
	}
	return "", fmt.Errorf("fetching %s: %w", name, errors.Join(others...))
}

// livingFirst parses addresses and puts those whose host has not answered last.
func (f *Fetcher) livingFirst(urls []string) []*url.URL {
	var living, dead []*url.URL
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, s := range urls {
		u, err := url.Parse(s)
		switch {
		case err != nil:
		case f.dead[origin(u)]:
			dead = append(dead, u)
		default:
			living = append(living, u)
		}
	}
	return append(living, dead...)
}

// mourn remembers that a host does not answer.
func (f *Fetcher) mourn(u *url.URL) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.dead[origin(u)] = true
}

// Get reads a small file of a Debian archive, such as InRelease: at most limit bytes, from
// one address, which may be http because the file is signed or its hash known. A file that
// is not there is a *GoneError.
func (f *Fetcher) Get(ctx context.Context, address string, limit int64) ([]byte, error) {
	u, err := url.Parse(address)
	if err != nil {
		return nil, refuse("IDX-02", q(address), "", "cannot be parsed as an address")
	}
	body, _, err := f.read(ctx, u, nil, limit, "", true)
	return body, gone(err, path.Base(u.Path), "", "")
}

func sumOf(b []byte) string {
	h := sha256.Sum256(b)
	return hex.EncodeToString(h[:])
}
