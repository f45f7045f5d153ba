package fetch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/forge-build/forge/recipes"
	"github.com/forge-build/forge/recipes/lock"
)

// maxWheel is the largest wheel whose size nobody has promised.
const maxWheel = 8 << 30

// Wheel brings a locked wheel into the store and says where it is. When the store has it
// no request is made. Otherwise the page of the locked name on the locked index is asked
// for the file's address and for nothing else; size and sha256 are the lock's. A local
// wheel is read from recipeDir. im may be nil when the recipe declares no index.
func (f *Fetcher) Wheel(ctx context.Context, w lock.Wheel, im *recipes.Image, recipeDir string) (path string, err error) {
	size, ok, err := f.st.Stat(w.SHA256)
	if err != nil {
		return "", err
	}
	if ok {
		if size != w.Size {
			return "", &HashError{File: w.File, By: "lock", GotSize: size, WantSize: w.Size, Held: true}
		}
		f.event(Event{Name: w.File, Done: size, Total: size, State: "held"})
		return f.st.Path(w.SHA256), nil
	}
	want := want{name: w.File, sum: w.SHA256, size: w.Size, by: "lock"}
	if w.Path != "" {
		return f.local(want, recipeDir, w.Path)
	}
	if f.Offline {
		return "", &OfflineError{Missing: []string{missing(w.File, w.Size)}}
	}
	u, from, err := f.address(ctx, w, im)
	if err != nil {
		return "", err
	}
	if _, _, err := f.blob(ctx, u, from, want); err != nil {
		return "", gone(err, w.Name, w.Version, w.File)
	}
	return f.st.Path(w.SHA256), nil
}

// address finds where a locked wheel can be had.
func (f *Fetcher) address(ctx context.Context, w lock.Wheel, im *recipes.Image) (u, from *url.URL, err error) {
	if w.Index == "" { // the recipe names the wheel by its address, which no lock does
		if im != nil {
			for _, l := range im.Python.Wheels {
				if l.Remote() && l.File() == w.File {
					u, err := url.Parse(l.Source)
					return u, nil, err
				}
			}
		}
		return nil, nil, &GoneError{Package: w.Name, Version: w.Version, File: w.File}
	}
	root, err := f.IndexURL(ctx, w.Index, im)
	if err != nil {
		return nil, nil, err
	}
	page, err := f.Project(ctx, root, w.Name)
	if err != nil {
		return nil, nil, gone(err, w.Name, w.Version, w.File)
	}
	for _, file := range page.Files {
		if file.Name == w.File {
			u, err := url.Parse(file.URL)
			return u, file.page, err
		}
	}
	return nil, nil, &GoneError{Package: w.Name, Version: w.Version, File: w.File, Tried: []string{page.URL}}
}

// gone completes a GoneError with what was looked for.
func gone(err error, name, version, file string) error {
	var g *GoneError
	if errors.As(err, &g) {
		g.Package, g.Version, g.File = name, version, file
	}
	return err
}

// local brings a wheel of the recipe's own folder into the store.
func (f *Fetcher) local(w want, dir, name string) (string, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return "", fmt.Errorf("reading wheel %q: %w", name, err)
	}
	defer root.Close()
	file, err := root.Open(filepath.FromSlash(name))
	if err != nil {
		return "", fmt.Errorf("reading wheel %q: %w", name, err)
	}
	defer file.Close()
	if fi, err := file.Stat(); err != nil || !fi.Mode().IsRegular() {
		return "", errors.Join(fmt.Errorf("reading wheel %q: not a regular file", name), err)
	}
	p, err := f.st.Create()
	if err != nil {
		return "", err
	}
	defer func() { _ = p.Abort() }() // does nothing after Commit
	n, err := io.Copy(p, io.LimitReader(file, w.size+1))
	switch {
	case err != nil:
		return "", fmt.Errorf("reading wheel %q: %w", name, err)
	case n != w.size:
		return "", &HashError{File: name, By: w.by, GotSize: n, WantSize: w.size}
	}
	if _, err := p.Commit(w.sum); err != nil {
		return "", w.refused(err, "", "")
	}
	return f.st.Path(w.sum), nil
}

// Local brings a wheel of the recipe's own folder into the store, at lock time. sum is what
// the recipe's reader saw.
func (f *Fetcher) Local(dir, name, sum string) (Downloaded, error) {
	w := want{name: path.Base(name), sum: sum, size: maxWheel, by: "recipe"}
	if root, err := os.OpenRoot(dir); err == nil {
		if fi, err := root.Stat(filepath.FromSlash(name)); err == nil {
			w.size = fi.Size()
		}
		_ = root.Close() // only looked
	}
	file, err := f.local(w, dir, name)
	return Downloaded{SHA256: sum, Size: w.size, Path: file}, err
}

// Downloaded is a file whose sha256 this store has computed.
type Downloaded struct {
	SHA256 string
	Size   int64
	Path   string
	Notes  []string // for the lock: "index publishes no hash", "yanked: …", an accepted contradiction
}

// Download brings a file of a page into the store, at lock time: what it hashes to is the
// truth from then on. The index's own hash is a cross-check. When there is none the result
// says so; when it contradicts the bytes the error is a *HashError, unless one of accepts
// names the file and the sha256 that it really has.
func (f *Fetcher) Download(ctx context.Context, file PageFile, accepts []recipes.Accept) (Downloaded, error) {
	w := want{name: file.Name, sum: file.SHA256, size: file.Size, by: "index", limit: maxWheel}
	var notes []string
	if file.SHA256 == "" {
		notes = append(notes, "index publishes no hash")
	}
	if file.Yanked {
		notes = append(notes, strings.TrimSuffix("yanked: "+clean(file.YankedReason), ": "))
	}
	for _, a := range accepts {
		if a.File == file.Name && a.SHA256 != file.SHA256 {
			w.sum, w.by = a.SHA256, "recipe"
			if file.SHA256 != "" {
				notes = append(notes, fmt.Sprintf("index says sha256 %s; accepted: %s", file.SHA256, clean(a.Reason)))
				w.size = -1 // who is wrong about one is believed in nothing
			}
		}
	}
	d, err := f.take(ctx, file, w)
	d.Notes = notes
	var he *HashError
	if errors.As(err, &he) && he.By == "index" && he.Want != "" && he.Note == "" {
		he.Note = fmt.Sprintf(`if the file is right, say so in the recipe: accept %q { sha256 = %q, reason = "…" }`, file.Name, he.Got)
	}
	return d, err
}

func (f *Fetcher) take(ctx context.Context, file PageFile, w want) (Downloaded, error) {
	if w.sum != "" {
		size, ok, err := f.st.Stat(w.sum)
		if err != nil {
			return Downloaded{}, err
		}
		if ok && w.size >= 0 && size != w.size {
			return Downloaded{}, &HashError{File: w.name, By: w.by, GotSize: size, WantSize: w.size}
		}
		if ok {
			f.event(Event{Name: w.name, Done: size, Total: size, State: "held"})
			return Downloaded{SHA256: w.sum, Size: size, Path: f.st.Path(w.sum)}, nil
		}
	}
	if f.Offline {
		return Downloaded{}, &OfflineError{Missing: []string{missing(file.Name, file.Size)}}
	}
	u, err := url.Parse(file.URL)
	if err != nil {
		return Downloaded{}, refuse("IDX-02", file.Name, "", "its address cannot be parsed")
	}
	sum, size, err := f.blob(ctx, u, file.page, w)
	if err != nil {
		return Downloaded{}, gone(err, file.Name, "", file.Name)
	}
	return Downloaded{SHA256: sum, Size: size, Path: f.st.Path(sum)}, nil
}

// DownloadURL is Download for a wheel that the recipe names by its address. sum may be
// empty.
func (f *Fetcher) DownloadURL(ctx context.Context, address, sum string) (Downloaded, error) {
	u, err := url.Parse(address)
	if err != nil {
		return Downloaded{}, refuse("IDX-02", q(address), "", "cannot be parsed as an address")
	}
	if u.User != nil {
		return Downloaded{}, refuse("IDX-02", show(u), "", "the address holds a user name; write it into ~/.netrc instead")
	}
	file := PageFile{Name: path.Base(u.Path), URL: address, Shown: show(u), Size: -1}
	return f.take(ctx, file, want{name: file.Name, sum: sum, size: -1, by: "recipe", limit: maxWheel})
}

// Metadata fetches the METADATA that an index publishes beside a wheel (PEP 658). What it
// says is the index's word: the wheel's own METADATA decides. An index's hash that
// contradicts it is a *HashError.
func (f *Fetcher) Metadata(ctx context.Context, file PageFile) ([]byte, error) {
	name := file.Name + ".metadata"
	if !file.HasMetadata {
		return nil, &GoneError{Package: file.Name, File: name}
	}
	u, err := url.Parse(file.URL)
	if err != nil {
		return nil, refuse("IDX-02", file.Name, "", "its address cannot be parsed")
	}
	u.Path += ".metadata"
	if u.RawPath != "" {
		u.RawPath += ".metadata"
	}
	body, _, err := f.read(ctx, u, file.page, maxMetadata, "", false)
	if err != nil {
		return nil, gone(err, file.Name, "", name)
	}
	if got := sumOf(body); file.MetadataSHA256 != "" && got != file.MetadataSHA256 {
		return nil, &HashError{File: name, By: "index", Got: got, Want: file.MetadataSHA256}
	}
	return body, nil
}

// Held is nil when the store has every wheel and .deb of a lock, local wheels aside, and
// else an *OfflineError that names all the others. It makes no request.
func (f *Fetcher) Held(li *lock.Image) error {
	var all []string
	seen := map[string]bool{}
	look := func(sum, name string, size int64) error {
		if seen[sum] {
			return nil
		}
		seen[sum] = true
		_, ok, err := f.st.Stat(sum)
		if !ok {
			all = append(all, missing(name, size))
		}
		return err
	}
	if b := li.Base; b != nil {
		for _, digest := range []string{b.Index, b.Manifest, b.Config} {
			if digest == "" {
				continue
			}
			if err := look(strings.TrimPrefix(digest, "sha256:"), "manifest or config "+short(digest)+" of "+b.Reference, -1); err != nil {
				return err
			}
		}
		for _, l := range b.Layers {
			for _, blob := range l.Blobs {
				if err := look(strings.TrimPrefix(blob.Digest, "sha256:"), l.Name+" of "+b.Reference, blob.Size); err != nil {
					return err
				}
			}
		}
	}
	if li.Debian != nil {
		for _, d := range li.Debian.Packages {
			if err := look(d.SHA256, path.Base(d.Path), d.Size); err != nil {
				return err
			}
		}
	}
	for _, w := range li.Wheels {
		if w.Path != "" {
			continue
		}
		if err := look(w.SHA256, w.File, w.Size); err != nil {
			return err
		}
	}
	if len(all) > 0 {
		return &OfflineError{Missing: all}
	}
	return nil
}

func missing(name string, size int64) string {
	switch {
	case size >= 1e6:
		return fmt.Sprintf("%s (%.1f MB)", name, float64(size)/1e6)
	case size >= 0:
		return fmt.Sprintf("%s (%d bytes)", name, size)
	}
	return name
}

// clean makes text of an index fit for a line of the lock.
func clean(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	quoted := q(s)
	return strings.TrimSuffix(quoted[1:], `"`)
}
