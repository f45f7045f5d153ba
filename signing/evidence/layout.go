package evidence

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"regexp"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/forge-build/forge/signing/strictjson"
)

// sumTag is the form of a fallback tag.
var sumTag = regexp.MustCompile(`^sha256-[0-9a-f]{64}$`)

// refName is the annotation that names a manifest of a layout. Source: OCI image layout.
const refName = "org.opencontainers.image.ref.name"

// Layout is an OCI image layout on disk. It is read through one folder handle, which no
// link leads out of; links are not followed inside it either. hostile-input OCI-08.
type Layout struct {
	root  *os.Root
	name  string
	index *v1.IndexManifest
}

// LayoutError is a layout that is none, or leaves open what is meant.
type LayoutError struct{ Layout, Reason string }

func (e *LayoutError) Error() string { return fmt.Sprintf("layout %q: %s", e.Layout, e.Reason) }

// OpenLayout opens a layout and judges its index. Close it.
func OpenLayout(dir string) (*Layout, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("reading layout %q: %w", dir, err)
	}
	l := &Layout{root: root, name: dir}
	if err := l.open(); err != nil {
		root.Close()
		return nil, err
	}
	return l, nil
}

// Close gives the folder handle back.
func (l *Layout) Close() error { return l.root.Close() }

func (l *Layout) open() error {
	mark, err := l.file("oci-layout", 4<<10)
	if err != nil {
		return l.wrong(err)
	}
	if err := strictjson.Check(mark); err != nil {
		return l.wrong(junk("OCI-08: oci-layout: %v", err))
	}
	raw, err := l.file("index.json", maxDocument)
	if err != nil {
		return l.wrong(err)
	}
	d, err := ParseDocument(raw, "")
	if err != nil {
		return l.wrong(err)
	}
	if d.Index == nil {
		return l.wrong(junk("OCI-08: index.json is no index"))
	}
	if n := len(d.Index.Manifests); n > maxManifests {
		return l.wrong(junk("OCI-03: index.json names %d manifests; at most %d are read", n, maxManifests))
	}
	l.index = d.Index
	return nil
}

func (l *Layout) wrong(err error) error {
	if isJunk(err) {
		return &LayoutError{l.name, err.Error()}
	}
	return fmt.Errorf("reading layout %q: %w", l.name, err)
}

// Image is the layout's image: the one named by tag, or else the only one that is about no
// other. Several are an error that lists them.
func (l *Layout) Image(tag string) (*Document, error) {
	var fit []v1.Descriptor
	var names []string
	for _, d := range l.index.Manifests {
		ref := d.Annotations[refName]
		if tag == "" && l.beside(d) || tag != "" && ref != tag {
			continue
		}
		fit = append(fit, d)
		names = append(names, fmt.Sprintf("%+q (%s)", strictjson.Clip(ref), d.Digest))
	}
	switch {
	case len(fit) == 0 && tag != "":
		return nil, &LayoutError{l.name, fmt.Sprintf("nothing in it is named %q", tag)}
	case len(fit) == 0:
		return nil, &LayoutError{l.name, "it holds no image"}
	case len(fit) > 1:
		return nil, &LayoutError{l.name, fmt.Sprintf("OCI-08: it leaves open which is meant: %s", names)}
	}
	return l.Document(context.Background(), fit[0].Digest)
}

// beside says whether a manifest of the layout is about another one.
func (l *Layout) beside(d v1.Descriptor) bool {
	doc, err := l.document(context.Background(), d.Digest, maxDocument)
	return err == nil && (doc.Image != nil && (doc.Image.Subject != nil || l.candidateLayers(doc)) || doc.Index != nil && sumTag.MatchString(d.Annotations[refName]))
}

func (l *Layout) candidateLayers(doc *Document) bool {
	for _, layer := range doc.Image.Layers {
		if format, _ := (Limits{}).kind(layer.MediaType); format != "" {
			return true
		}
	}
	return false
}

// Document implements [Source].
func (l *Layout) Document(ctx context.Context, digest v1.Hash) (*Document, error) {
	d, err := l.document(ctx, digest, maxDocument)
	if isJunk(err) {
		return nil, &LayoutError{l.name, digest.String() + ": " + err.Error()}
	}
	return d, err
}

// Candidates implements [Source].
func (l *Layout) Candidates(ctx context.Context, digest v1.Hash, lim Limits, each func(Candidate) error) (*Found, error) {
	s := search{at: l, about: digest, lim: lim.filled(), each: each}
	return s.run(ctx)
}

// Contents implements [Source]. Nobody else compares a layout's files with the manifest, so
// all bytes are hashed here.
func (l *Layout) Contents(ctx context.Context, d *Document) (bool, error) {
	if d.Image == nil {
		return false, nil
	}
	for _, desc := range append([]v1.Descriptor{d.Image.Config}, d.Image.Layers...) {
		if err := l.hash(ctx, desc); err != nil {
			return false, l.wrong(err)
		}
	}
	return true, nil
}

func (l *Layout) hash(ctx context.Context, desc v1.Descriptor) error {
	f, info, err := l.regular(blobPath(desc.Digest))
	if err != nil {
		return err
	}
	defer f.Close()
	if info.Size() != desc.Size {
		return junk("OCI-01: %s has %d bytes, its manifest says %d", desc.Digest, info.Size(), desc.Size)
	}
	h := sha256.New()
	if _, err := io.Copy(h, &interruptible{ctx, f}); err != nil {
		return err
	}
	if got := hex.EncodeToString(h.Sum(nil)); got != desc.Digest.Hex {
		return junk("OCI-01: the bytes of %s have the digest sha256:%s", desc.Digest, got)
	}
	return nil
}

// interruptible ends a long read when its context does.
type interruptible struct {
	ctx context.Context
	in  io.Reader
}

func (r *interruptible) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.in.Read(p)
}

func (l *Layout) document(_ context.Context, digest v1.Hash, limit int64) (*Document, error) {
	if err := right(digest); err != nil {
		return nil, err
	}
	raw, err := l.file(blobPath(digest), limit)
	if err != nil {
		return nil, err
	}
	if err := verifyBytes(raw, digest, -1); err != nil {
		return nil, err
	}
	return ParseDocument(raw, "")
}

func (l *Layout) blob(_ context.Context, digest v1.Hash, size int64) ([]byte, error) {
	if err := right(digest); err != nil {
		return nil, err
	}
	raw, err := l.file(blobPath(digest), size)
	if err != nil {
		return nil, err
	}
	return raw, verifyBytes(raw, digest, size)
}

// Blob implements [Source].
func (l *Layout) Blob(ctx context.Context, digest v1.Hash, size int64) ([]byte, error) {
	return l.blob(ctx, digest, size)
}

// roots are all manifests of the index: a layout has no other list of referrers. Indexes
// under a fallback tag lead to more.
func (l *Layout) roots(ctx context.Context, digest v1.Hash) (found []root, bad []Junk, _ []error) {
	fallback, sig, att := tagged(digest, ""), tagged(digest, ".sig"), tagged(digest, ".att")
	for _, d := range l.index.Manifests {
		ref := d.Annotations[refName]
		if d.Digest == digest {
			continue
		}
		doc, err := l.document(ctx, d.Digest, maxDocument)
		switch {
		case err != nil:
			bad = append(bad, Junk{"layout", d.Digest.String(), err.Error()})
		case doc.Index != nil && ref == fallback:
			for _, r := range doc.Index.Manifests {
				found = append(found, listed(r, "fallback tag in the layout"))
			}
		case doc.Image == nil:
		case ref == sig || ref == att || cosigned[d.Annotations["kind"]] && l.only(digest):
			found = append(found, root{desc: d, where: "layout", old: true})
		case doc.Image.Subject != nil && doc.Image.Subject.Digest == digest:
			found = append(found, listed(d, "layout"))
		}
	}
	return found, bad, nil
}

// cosigned are the marks with which `cosign save` tells a layout's manifests apart.
var cosigned = map[string]bool{"dev.cosignproject.cosign/sigs": true, "dev.cosignproject.cosign/atts": true}

// only says whether a digest is the layout's only image, which cosign's marks are about.
func (l *Layout) only(digest v1.Hash) bool {
	d, err := l.Image("")
	return err == nil && d.Digest == digest
}

func blobPath(h v1.Hash) string { return path.Join("blobs", h.Algorithm, h.Hex) }

func (l *Layout) file(name string, limit int64) ([]byte, error) {
	f, info, err := l.regular(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if info.Size() > limit {
		return nil, junk("OCI-02: %s has %d bytes; at most %d are read", name, info.Size(), limit)
	}
	return readAll(f, limit, info.Size())
}

// regular opens a file of the layout that is no link and no device.
func (l *Layout) regular(name string) (*os.File, fs.FileInfo, error) {
	for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
		if info, err := l.root.Lstat(dir); err == nil && !info.IsDir() {
			return nil, nil, junk("OCI-08: %s is no folder", dir)
		}
	}
	info, err := l.root.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, junk("OCI-08: %s is missing", name)
	}
	if err != nil {
		return nil, nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, nil, junk("OCI-08: %s is not a regular file", name)
	}
	f, err := l.root.Open(name)
	return f, info, err
}
