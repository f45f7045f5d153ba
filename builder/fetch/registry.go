package fetch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"

	"github.com/forge-build/forge/recipes"
	"github.com/forge-build/forge/recipes/registry"
)

// maxManifest bounds an index or manifest. Source: distribution specification, "Pushing manifests".
const maxManifest = 4 << 20

// manifests are the media types of what a digest of a base may name.
const manifests = "application/vnd.oci.image.index.v1+json, application/vnd.docker.distribution.manifest.list.v2+json, " +
	"application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json"

// Manifest brings an index or a manifest of a base into the store, by its digest, and returns
// its bytes. When the store has it no request is made. What the registry says about it in
// headers is not believed. dir is the recipe's folder, for layouts.
func (f *Fetcher) Manifest(ctx context.Context, b *recipes.BaseImage, dir, digest string) ([]byte, error) {
	path, err := f.part(ctx, b, dir, "manifests", digest, want{name: "manifest " + short(digest), size: -1, limit: maxManifest})
	if err != nil {
		return nil, err
	}
	return os.ReadFile(path)
}

// Blob brings a layer or a config of a base into the store, by its digest and size, and says
// where it is. When the store has it no request is made; what has arrived of it before is
// not fetched again.
func (f *Fetcher) Blob(ctx context.Context, b *recipes.BaseImage, dir, digest string, size int64) (string, error) {
	return f.part(ctx, b, dir, "blobs", digest, want{name: "base " + short(digest), size: size, limit: size})
}

func short(digest string) string { return digest[:min(len(digest), 19)] }

func (f *Fetcher) part(ctx context.Context, b *recipes.BaseImage, dir, kind, digest string, w want) (string, error) {
	sum, ok := strings.CutPrefix(digest, "sha256:")
	if !ok || len(sum) != 64 {
		return "", refuse("OCI-01", b.From, "", "digest %s is no sha256", q(digest))
	}
	w.sum, w.by = sum, "its digest"
	size, ok, err := f.st.Stat(sum)
	if err != nil {
		return "", err
	}
	if ok && w.size >= 0 && size != w.size {
		return "", &HashError{File: w.name, By: "its manifest", GotSize: size, WantSize: w.size}
	}
	if ok {
		f.event(Event{Name: w.name, Done: size, Total: size, State: "held"})
		return f.st.Path(sum), nil
	}
	if layout, ok := b.Layout(); ok {
		return f.fromLayout(dir, layout, w)
	}
	if f.Offline {
		return "", &OfflineError{Missing: []string{missing(w.name+" of "+b.From, w.size)}}
	}
	if err := f.fromRegistry(ctx, b, kind, digest, w); err != nil {
		return "", fmt.Errorf("base %q: %w", b.From, err)
	}
	return f.st.Path(sum), nil
}

// fromLayout copies a blob of an OCI layout below the recipe's folder. OCI-08.
func (f *Fetcher) fromLayout(dir, layout string, w want) (string, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return "", fmt.Errorf("reading layout %q: %w", layout, err)
	}
	defer root.Close()
	file := filepath.Join(filepath.FromSlash(layout), "blobs", "sha256", w.sum)
	info, err := root.Lstat(file)
	if errors.Is(err, fs.ErrNotExist) {
		return "", &GoneError{Package: w.name, File: w.name, Tried: []string{"oci:" + layout}}
	}
	if err != nil || !info.Mode().IsRegular() {
		return "", errors.Join(refuse("OCI-08", layout, w.sum, "blob %s is not a regular file", w.sum), err)
	}
	in, err := root.Open(file)
	if err != nil {
		return "", fmt.Errorf("reading layout %q: %w", layout, err)
	}
	defer in.Close()
	p, err := f.st.Create()
	if err != nil {
		return "", err
	}
	defer func() { _ = p.Abort() }() // does nothing after Commit
	n, err := io.Copy(p, io.LimitReader(in, w.limit+1))
	switch {
	case err != nil:
		return "", fmt.Errorf("reading layout %q: %w", layout, err)
	case w.size >= 0 && n != w.size:
		return "", &HashError{File: w.name, By: "its manifest", GotSize: n, WantSize: w.size}
	case n > w.limit:
		return "", refuse("OCI-02", w.name, "", "is larger than %d bytes", w.limit)
	}
	if _, err := p.Commit(w.sum); err != nil {
		return "", w.refused(err, "", "")
	}
	return f.st.Path(w.sum), nil
}

// fromRegistry fetches by digest. Always https; the registry's host alone gets credentials.
func (f *Fetcher) fromRegistry(ctx context.Context, b *recipes.BaseImage, kind, digest string, w want) error {
	ref, err := name.NewDigest(b.From)
	if err != nil {
		return refuse("OCI-01", q(b.From), "", "is no repository with a digest")
	}
	repo := ref.Context()
	u := &url.URL{Scheme: "https", Host: repo.RegistryStr(), Path: "/v2/" + repo.RepositoryStr() + "/" + kind + "/" + digest}
	get := func() error {
		if err := f.enter(ctx, repo); err != nil {
			return err
		}
		if kind == "blobs" {
			_, _, err := f.blob(ctx, u, nil, w)
			return gone(err, repo.Name(), "", digest)
		}
		return f.document(ctx, u, w)
	}
	err = get()
	var denied *SettingsError
	if errors.As(err, &denied) { // a token lives for minutes, a layer may take longer
		f.leave(repo)
		err = get()
	}
	if errors.As(err, &denied) {
		return &SettingsError{Reason: fmt.Sprintf("%s; docker login %s or podman login %s, or a credential helper, lets forge in (DOCKER_CONFIG)", denied.Error(), repo.RegistryStr(), repo.RegistryStr())}
	}
	return err
}

// document fetches a small file whole.
func (f *Fetcher) document(ctx context.Context, u *url.URL, w want) error {
	body, _, err := f.read(ctx, u, nil, w.limit, manifests, false)
	if err != nil {
		return gone(err, w.name, "", w.sum)
	}
	p, err := f.st.Create()
	if err != nil {
		return err
	}
	defer func() { _ = p.Abort() }() // does nothing after Commit
	if _, err := p.Write(body); err != nil {
		return err
	}
	if _, err = p.Commit(w.sum); err != nil {
		return w.refused(err, show(u), "")
	}
	return nil
}

// pass is what lets forge read a repository.
type pass struct {
	registry.Pass
	prefix string // of the paths that it is for
}

// enter gets a pass for a repository, unless there is a fresh one.
func (f *Fetcher) enter(ctx context.Context, repo name.Repository) error {
	key := origin(&url.URL{Scheme: "https", Host: repo.RegistryStr()})
	prefix := "/v2/" + repo.RepositoryStr() + "/"
	f.mu.Lock()
	old, ok := f.passes[key+prefix]
	f.mu.Unlock()
	if ok && f.now().Before(old.Until) {
		return nil
	}
	t, err := f.http()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 2*f.stall)
	defer cancel()
	p := pass{prefix: prefix}
	err = f.retry(ctx, repo.RegistryStr(), func() (int64, error) {
		p.Pass, err = registry.Enter(ctx, t, repo, "pull", nil, false)
		return 0, err
	})
	var denied *registry.DeniedError
	if errors.As(err, &denied) {
		return &SettingsError{Reason: denied.Reason}
	}
	if err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.passes == nil {
		f.passes = map[string]pass{}
	}
	f.passes[key+prefix] = p
	return nil
}

// leave forgets a pass.
func (f *Fetcher) leave(repo name.Repository) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.passes, origin(&url.URL{Scheme: "https", Host: repo.RegistryStr()})+"/v2/"+repo.RepositoryStr()+"/")
}

// passFor is the pass for an address, the caller holds f.mu.
func (f *Fetcher) passFor(u *url.URL) string {
	for key, p := range f.passes {
		if origin(u)+p.prefix == key && strings.HasPrefix(u.Path, p.prefix) {
			return p.Header
		}
	}
	return ""
}
