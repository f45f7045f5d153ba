package evidence

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"
)

// place is how a source is read, by digest. Content that is wrong is a junkError, all
// other errors are the registry's or the disk's.
type place interface {
	document(ctx context.Context, digest v1.Hash, limit int64) (*Document, error)
	blob(ctx context.Context, digest v1.Hash, size int64) ([]byte, error)
	// roots are the manifests from which to search, with what could not be asked.
	roots(ctx context.Context, digest v1.Hash) ([]root, []Junk, []error)
}

// root is a manifest that may lead to candidates.
type root struct {
	desc   v1.Descriptor
	doc    *Document // if it has been read
	where  string
	old    bool // found under one of cosign's tags: it needs no subject
	bundle bool // a list says that it is one
}

// listed is a root that a list names, without the texts that the list has for it.
func listed(d v1.Descriptor, where string) root {
	return root{desc: v1.Descriptor{Digest: d.Digest, Size: d.Size}, where: where, bundle: strings.HasPrefix(d.ArtifactType, bundlePrefix)}
}

// A search reads several things at a time, but holds few bytes: weight is in bytes.
const (
	parallel = 8
	held     = 16 << 20
)

type search struct {
	at    place
	about v1.Hash
	lim   Limits
	each  func(Candidate) error

	mu      sync.Mutex
	found   Found
	layersN int   // of all manifests
	listed  int64 // bytes of the manifests that were read
	budget  int64 // bytes that may still be read
	pending []layer
}

// layer is a candidate that has not been read.
type layer struct {
	v1.Descriptor
	format, where string
	limit         int64
}

func (s *search) run(ctx context.Context) (*Found, error) {
	s.budget = s.lim.Total
	roots, bad, failures := s.at.roots(ctx, s.about)
	s.found.Junk, s.found.Failures = bad, failures
	if err := s.manifests(ctx, roots); err != nil {
		return &s.found, err
	}
	if err := s.layers(ctx); err != nil {
		return &s.found, err
	}
	slices.SortStableFunc(s.found.Junk, func(a, b Junk) int {
		return cmp.Or(cmp.Compare(a.Where, b.Where), cmp.Compare(a.Digest, b.Digest))
	})
	return &s.found, nil
}

// manifests reads the roots and collects their layers.
func (s *search) manifests(ctx context.Context, roots []root) error {
	seen := map[v1.Hash]bool{}
	roots = slices.DeleteFunc(roots, func(r root) bool { // listed by the API and by the tag
		old := seen[r.desc.Digest]
		seen[r.desc.Digest] = true
		return old
	})
	// What says that it is a bundle, and what says that it is small, comes first. Both
	// may be lies; they decide about the order alone.
	slices.SortStableFunc(roots, func(a, b root) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(a.desc.Size, b.desc.Size))
	})
	if n := len(roots) - s.lim.Candidates; n > 0 {
		s.unread("referrers", "", n, fmt.Sprintf("at most %d are", s.lim.Candidates))
		roots = roots[:s.lim.Candidates]
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(parallel)
	for _, r := range roots {
		g.Go(func() error {
			doc, err := r.doc, error(nil)
			if doc == nil {
				if s.full() {
					s.locked(func() { s.unread(r.where, r.desc.Digest.String(), 1, "manifests have more than 32 MiB together") })
					return nil
				}
				limit := int64(maxReferrer)
				if r.old {
					limit = maxOlder
				}
				one, stop := context.WithTimeout(ctx, s.lim.One)
				defer stop()
				doc, err = s.at.document(one, r.desc.Digest, limit)
			}
			return s.manifest(ctx, r, doc, err)
		})
	}
	return g.Wait()
}

func rank(r root) int {
	if r.old || r.bundle {
		return 0
	}
	return 1
}

// manifest takes a root apart.
func (s *search) manifest(ctx context.Context, r root, doc *Document, err error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case err != nil:
		return s.failed(ctx, r.where, r.desc.Digest, err)
	case doc.Image == nil:
		s.junk(r.where, doc.Digest.String(), "it is no manifest")
		return nil
	}
	s.listed += int64(len(doc.Raw))
	m := doc.Image
	if !r.old && (m.Subject == nil || m.Subject.Digest != s.about) {
		is := "nothing"
		if m.Subject != nil {
			is = m.Subject.Digest.String()
		}
		s.junk(r.where, doc.Digest.String(), "its subject is "+is+", not this image") // A32
		return nil
	}
	known := 0
	for i, l := range m.Layers {
		format, limit := s.lim.kind(l.MediaType)
		if format == "" {
			continue
		}
		if known++; known > s.lim.Layers || s.layersN >= s.lim.Candidates {
			s.unread(r.where, doc.Digest.String(), len(m.Layers)-i, fmt.Sprintf("at most %d layers of a manifest are, and %d of all", s.lim.Layers, s.lim.Candidates))
			break
		}
		s.layersN++
		if len(l.URLs) > 0 { // OCI-03
			s.junk(r.where, l.Digest.String(), "OCI-03: it lies at an address of its own, which is not followed")
			continue
		}
		if format == Bundle {
			l.Annotations = nil // which say nothing that counts
		}
		s.pending = append(s.pending, layer{l, format, r.where, limit})
	}
	if known == 0 {
		s.found.Others++
	}
	return nil
}

// layers reads the candidates, the small ones first, and hands them on one by one.
func (s *search) layers(ctx context.Context) error {
	slices.SortStableFunc(s.pending, func(a, b layer) int {
		return cmp.Or(cmp.Compare(a.Size, b.Size), cmp.Compare(a.Digest.Hex, b.Digest.Hex))
	})
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(parallel)
	room := semaphore.NewWeighted(held)
	for _, l := range s.pending {
		switch {
		case l.Size > l.limit:
			s.locked(func() {
				s.junk(l.where, l.Digest.String(), fmt.Sprintf("it has %d bytes; at most %d are read", l.Size, l.limit))
			})
			continue
		case l.Size > s.budget:
			s.locked(func() {
				s.unread(l.where, l.Digest.String(), 1, fmt.Sprintf("candidates have more than %d bytes together", s.lim.Total))
			})
			continue
		}
		s.budget -= l.Size
		weight := min(l.Size+1, held)
		if err := room.Acquire(ctx, weight); err != nil {
			break // g.Wait says why
		}
		g.Go(func() error {
			defer room.Release(weight)
			return s.layer(ctx, l)
		})
	}
	return cmp.Or(g.Wait(), ctxErr(ctx))
}

// ctxErr is why a search ended early, if it was not one of its own steps.
func ctxErr(ctx context.Context) error {
	if err := context.Cause(ctx); err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

func (s *search) layer(ctx context.Context, l layer) error {
	one, stop := context.WithTimeout(ctx, s.lim.One)
	defer stop()
	raw, err := s.at.blob(one, l.Digest, l.Size)
	if err == nil && compressed(raw) {
		err = junk("it is compressed; statements are stored as they are")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		return s.failed(ctx, l.where, l.Digest, err)
	}
	s.found.Candidates++
	return s.each(Candidate{Format: l.format, Where: l.where, Digest: l.Digest, Raw: raw, Annotations: l.Annotations})
}

// failed sorts an error: the caller's end, junk, or the registry's fault.
func (s *search) failed(ctx context.Context, where string, digest v1.Hash, err error) error {
	if ctx.Err() != nil {
		return cmp.Or(context.Cause(ctx), err)
	}
	s.junk(where, digest.String(), err.Error())
	var gone *RegistryError
	if !isJunk(err) && (!errors.As(err, &gone) || gone.ID != NotFound) { // what is listed and not there is junk
		s.found.Failures = append(s.found.Failures, err)
	}
	return nil
}

func (s *search) junk(where, digest, reason string) {
	s.found.Junk = append(s.found.Junk, Junk{where, digest, reason})
}

// unread notes what lies beyond a bound.
func (s *search) unread(where, digest string, n int, bound string) {
	s.found.Unread += n
	s.junk(where, digest, fmt.Sprintf("%d more not looked at: %s", n, bound))
}

// full says whether the referrers' manifests have used up what is read of them.
func (s *search) full() (full bool) {
	s.locked(func() { full = s.listed > maxListed })
	return full
}

func (s *search) locked(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
}
