package push

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"sort"
	"strings"
	"sync"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// Sent says what a push had to do.
type Sent struct {
	Bytes int64 // of blobs, repetitions included
	Blobs int   // that were sent
	Held  int   // blobs that the repository had, or could take from another
}

// Push brings an image or index, and everything below it, into a repository, by digest, and
// reads it back. further are repositories of the same registry from which blobs may be
// mounted. No tag is made.
func (c *Client) Push(ctx context.Context, src Source, d v1.Descriptor, repo name.Repository, further []name.Repository) (Sent, error) {
	e := entry{repo, "push,pull", sameRegistry(repo, further)}
	docs, err := c.tree(ctx, src, d)
	if err != nil {
		return Sent{}, err
	}
	sent, err := c.blobs(ctx, e, src, docs)
	if err != nil {
		return sent, err
	}
	for _, doc := range docs { // children come before their index
		if err := c.put(ctx, e, doc, doc.Descriptor.Digest.String()); err != nil {
			return sent, err
		}
	}
	back, err := c.Manifest(ctx, repo.Digest(d.Digest.String()))
	if err != nil {
		return sent, fmt.Errorf("reading back: %w", err)
	}
	if back.Descriptor.MediaType != docs[len(docs)-1].Descriptor.MediaType {
		return sent, refuse("OCI-02", "%s came back as %s", d.Digest, back.Descriptor.MediaType)
	}
	return sent, nil
}

func sameRegistry(repo name.Repository, further []name.Repository) []name.Repository {
	var out []name.Repository
	for _, f := range further {
		if f.RegistryStr() == repo.RegistryStr() && f.RepositoryStr() != repo.RepositoryStr() && len(out) < 3 {
			out = append(out, f)
		}
	}
	return out
}

// tree reads a document and those below it, children first (OCI-03: one index may hold another).
func (c *Client) tree(ctx context.Context, src Source, d v1.Descriptor) ([]*Document, error) {
	var docs []*Document
	seen := map[v1.Hash]bool{}
	var walk func(d v1.Descriptor, depth int) error
	walk = func(d v1.Descriptor, depth int) error {
		if seen[d.Digest] {
			return nil
		}
		seen[d.Digest] = true
		if len(seen) > maxEntries {
			return refuse("OCI-03", "more than %d manifests", maxEntries)
		}
		doc, err := src.Document(ctx, d.Digest, d.MediaType)
		if err != nil {
			return err
		}
		if doc.IsIndex() && depth == 2 {
			return refuse("OCI-03", "%s is an index inside an index inside an index", d.Digest)
		}
		for _, child := range doc.Manifests {
			if err := walk(child, depth+1); err != nil {
				return err
			}
		}
		docs = append(docs, doc)
		return nil
	}
	return docs, walk(d, 0)
}

// blobs sends what documents name, the largest first.
func (c *Client) blobs(ctx context.Context, e entry, src Source, docs []*Document) (Sent, error) {
	var todo []v1.Descriptor
	seen := map[v1.Hash]bool{}
	for _, doc := range docs {
		all := doc.Layers
		if doc.Config != nil {
			all = append([]v1.Descriptor{*doc.Config}, all...)
		}
		for _, d := range all {
			if !seen[d.Digest] {
				seen[d.Digest] = true
				todo = append(todo, d)
			}
		}
	}
	sort.SliceStable(todo, func(i, j int) bool { return todo[i].Size > todo[j].Size })
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var (
		sent Sent
		mu   sync.Mutex
		wg   sync.WaitGroup
		next = make(chan v1.Descriptor)
	)
	for range c.jobs {
		wg.Go(func() {
			for d := range next {
				n, err := c.blob(ctx, e, src, d)
				if err != nil {
					stop(err)
				}
				mu.Lock()
				if sent.Bytes += n; n > 0 || d.Size == 0 {
					sent.Blobs++
				} else {
					sent.Held++
				}
				mu.Unlock()
			}
		})
	}
feed:
	for _, d := range todo {
		select {
		case next <- d:
		case <-ctx.Done():
			break feed
		}
	}
	close(next)
	wg.Wait()
	return sent, context.Cause(ctx)
}

// put writes a manifest under a tag or its digest.
func (c *Client) put(ctx context.Context, e entry, doc *Document, as string) error {
	_, err := c.putAnswer(ctx, e, doc, as)
	return err
}

func (c *Client) putAnswer(ctx context.Context, e entry, doc *Document, as string) (http.Header, error) {
	var header http.Header
	err := c.retry(ctx, e, doc.Descriptor.Digest.String(), func() (int64, error) {
		a, err := c.do(ctx, e, http.MethodPut, manifestPath(e.repo, as), http.Header{"Content-Type": {string(doc.Descriptor.MediaType)}},
			&body{bytes.NewReader(doc.Raw), int64(len(doc.Raw))})
		if err != nil {
			return 0, err
		}
		defer a.Close()
		header = a.Header
		return 0, a.want(200, 201, 202)
	})
	if err != nil {
		return nil, fmt.Errorf("writing manifest %s: %w", as, err)
	}
	return header, nil
}

func manifestPath(repo name.Repository, as string) string {
	return "/v2/" + repo.RepositoryStr() + "/manifests/" + as
}

// Tag makes a tag name an image that the repository holds.
func (c *Client) Tag(ctx context.Context, image name.Digest, tag string) error {
	doc, err := c.Manifest(ctx, image)
	if err != nil {
		return err
	}
	return c.put(ctx, entry{image.Context(), "push,pull", nil}, doc, tag)
}

var accepted = http.Header{"Accept": {strings.Join([]string{string(types.OCIImageIndex), string(types.DockerManifestList), string(types.OCIManifestSchema1), string(types.DockerManifestSchema2)}, ", ")},
	"Accept-Encoding": {"identity"}}

// Manifest brings a manifest or index by its digest.
func (c *Client) Manifest(ctx context.Context, ref name.Digest) (*Document, error) {
	want, err := v1.NewHash(ref.DigestStr())
	if err != nil || want.Algorithm != "sha256" {
		return nil, refuse("OCI-01", "%s is no sha256", quoted(ref.DigestStr()))
	}
	raw, kind, err := c.manifest(ctx, entry{ref.Context(), "pull", nil}, ref.DigestStr())
	if err != nil {
		return nil, err
	}
	return judged(raw, want, kind)
}

// Resolve asks once which image a tag names (OCI-07). What the registry says about its digest
// is not believed: the bytes decide.
func (c *Client) Resolve(ctx context.Context, ref name.Reference) (*Document, error) {
	if d, ok := ref.(name.Digest); ok {
		return c.Manifest(ctx, d)
	}
	raw, kind, err := c.manifest(ctx, entry{ref.Context(), "pull", nil}, ref.Identifier())
	if err != nil {
		return nil, err
	}
	return ReadDocument(raw, kind)
}

func (c *Client) manifest(ctx context.Context, e entry, as string) ([]byte, types.MediaType, error) {
	return c.document(ctx, e, manifestPath(e.repo, as), maxManifest, accepted)
}

// document brings something small, whole and within the deadline.
func (c *Client) document(ctx context.Context, e entry, where string, limit int64, header http.Header) (raw []byte, kind types.MediaType, err error) {
	raw, h, err := c.page(ctx, e, where, limit, header)
	if err != nil {
		return nil, "", err
	}
	k, _, _ := strings.Cut(h.Get("Content-Type"), ";")
	if kind = types.MediaType(strings.TrimSpace(k)); !kind.IsIndex() && !kind.IsImage() {
		kind = "" // it says nothing
	}
	return raw, kind, nil
}

func (c *Client) page(ctx context.Context, e entry, where string, limit int64, header http.Header) (raw []byte, h http.Header, err error) {
	ctx, stop := context.WithTimeoutCause(ctx, c.deadline, fmt.Errorf("%s takes longer than %s", e.repo.RegistryStr(), c.deadline))
	defer stop()
	err = c.retry(ctx, e, where, func() (int64, error) {
		a, err := c.do(ctx, e, http.MethodGet, where, header, nil)
		if err != nil {
			return 0, err
		}
		defer a.Close()
		if err := a.want(200); err != nil {
			return 0, err
		}
		if raw, err = io.ReadAll(io.LimitReader(a, limit+1)); err != nil {
			return 0, fmt.Errorf("reading %s: %w", where, err)
		}
		if int64(len(raw)) > limit {
			return 0, refuse("OCI-02", "%s is larger than %d bytes", where, limit)
		}
		h = a.Header
		return 0, nil
	})
	return raw, h, err
}

// Content brings a small blob whole. limit is in bytes.
func (c *Client) Content(ctx context.Context, repo name.Repository, d v1.Descriptor, limit int64) ([]byte, error) {
	if d.Size > limit {
		return nil, refuse("OCI-02", "%s has %d bytes, the limit is %d", d.Digest, d.Size, limit)
	}
	raw, _, err := c.page(ctx, entry{repo, "pull", nil}, blobPath(repo, d.Digest), d.Size, http.Header{"Accept-Encoding": {"identity"}})
	if err != nil {
		return nil, err
	}
	if got := sum(raw); got != d.Digest || int64(len(raw)) != d.Size {
		return nil, &MismatchError{Want: d.Digest, Got: got}
	}
	return raw, nil
}
