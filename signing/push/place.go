package push

import (
	"context"
	"io"
	"net/http"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// Place is a Source that also knows what is said about its images.
type Place interface {
	Source
	// Said brings the manifests that refer to a digest, and those of older tags about it.
	Said(ctx context.Context, digest v1.Hash) ([]Said, []Junk, error)
}

// Said is one thing that is said about an image.
type Said struct {
	About  v1.Hash
	Suffix string // of an older tag ("sig", "att", "sbom"); empty: it refers to the image
	Doc    *Document
}

// Repository is a repository as a Place.
type Repository struct {
	c    *Client
	repo name.Repository
}

// At is a repository as a Place.
func (c *Client) At(repo name.Repository) *Repository { return &Repository{c, repo} }

// Document is Source's.
func (r *Repository) Document(ctx context.Context, digest v1.Hash, promised types.MediaType) (*Document, error) {
	raw, kind, err := r.c.manifest(ctx, entry{r.repo, "pull", nil}, digest.String())
	if err != nil {
		return nil, err
	}
	if promised == "" {
		promised = kind
	}
	return judged(raw, digest, promised)
}

// Blob is Source's. The stream cannot stall for ever.
func (r *Repository) Blob(ctx context.Context, d v1.Descriptor) (io.ReadCloser, error) {
	e := entry{r.repo, "pull", nil}
	var a *answer
	err := r.c.retry(ctx, e, d.Digest.String(), func() (n int64, err error) {
		if a, err = r.c.do(ctx, e, http.MethodGet, blobPath(r.repo, d.Digest), http.Header{"Accept-Encoding": {"identity"}}, nil); err != nil {
			return 0, err
		}
		if err := a.want(200); err != nil {
			_ = a.Close() // the answer is no blob
			return 0, err
		}
		return 0, nil
	})
	if err != nil {
		return nil, err
	}
	return a, nil
}

// Said is Place's.
func (r *Repository) Said(ctx context.Context, digest v1.Hash) ([]Said, []Junk, error) {
	image := r.repo.Digest(digest.String())
	docs, junk, err := r.c.Referrers(ctx, image)
	if err != nil {
		return nil, nil, err
	}
	var out []Said
	for _, d := range docs {
		out = append(out, Said{About: digest, Doc: d})
	}
	for _, suffix := range olderSuffixes {
		doc, err := r.c.Older(ctx, image, suffix)
		if err != nil {
			return nil, nil, err
		}
		if doc != nil {
			out = append(out, Said{digest, suffix, doc})
		}
	}
	return out, junk, nil
}

// Said is Place's.
func (l *Layout) Said(ctx context.Context, digest v1.Hash) ([]Said, []Junk, error) {
	index, err := l.Index()
	if err != nil {
		return nil, nil, err
	}
	var out []Said
	var junk []Junk
	seen := map[v1.Hash]bool{}
	for _, d := range index.Manifests {
		about, suffix, old := olderName(d.Annotations[refName])
		if old && about != digest.String() || seen[d.Digest] {
			continue
		}
		doc, err := l.Document(ctx, d.Digest, d.MediaType)
		if err != nil {
			junk = append(junk, Junk{What: d.Digest.String(), Why: err.Error(), Err: err})
			continue
		}
		if old || doc.Subject != nil && doc.Subject.Digest == digest {
			seen[d.Digest] = true
			out = append(out, Said{digest, suffix, doc})
		}
	}
	return out, junk, nil
}
