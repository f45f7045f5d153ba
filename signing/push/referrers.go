package push

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/forge-build/forge/recipes/registry"
)

// Junk is something that is attached to an image, or claims to be, and does not count.
type Junk struct {
	What string // its digest, or where it was listed
	Why  string
	Err  error // when it could not be read
}

// errMore is why something may exist that was not looked at.
var errMore = errors.New("there is more than is looked at")

// Referrers are the manifests that refer to an image: those of the registry's referrers API
// and those of the fallback tag, each once. What either list says of them is not believed:
// each is fetched by digest, and its own subject must be the image.
func (c *Client) Referrers(ctx context.Context, image name.Digest) ([]*Document, []Junk, error) {
	e := entry{image.Context(), "pull", nil}
	listed, junk, err := c.listed(ctx, e, image)
	if err != nil {
		return nil, nil, fmt.Errorf("listing what refers to %s: %w", image, err)
	}
	seen := map[v1.Hash]bool{}
	var todo []v1.Descriptor
	for _, d := range listed {
		if seen[d.Digest] {
			continue
		}
		if seen[d.Digest] = true; len(todo) < maxReferrers {
			todo = append(todo, d)
		}
	}
	if n := len(seen); n > maxReferrers {
		junk = append(junk, Junk{image.DigestStr(), fmt.Sprintf("%d referrers are listed, only the first %d were looked at", n, maxReferrers), errMore})
	}
	docs, more, err := c.each(ctx, image, todo)
	return docs, append(junk, more...), err
}

// each fetches and judges what was listed, eight at a time; the order is that of the list.
func (c *Client) each(ctx context.Context, image name.Digest, todo []v1.Descriptor) ([]*Document, []Junk, error) {
	docs, errs := make([]*Document, len(todo)), make([]error, len(todo))
	var wg sync.WaitGroup
	slots := make(chan struct{}, 8)
	for i, d := range todo {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			docs[i], errs[i] = c.Manifest(ctx, image.Context().Digest(d.Digest.String()))
		})
	}
	wg.Wait()
	var good []*Document
	var junk []Junk
	for i, doc := range docs {
		switch {
		case ctx.Err() != nil:
			return nil, nil, context.Cause(ctx)
		case errs[i] != nil:
			junk = append(junk, Junk{todo[i].Digest.String(), errs[i].Error(), errs[i]})
		case doc.Subject == nil || doc.Subject.Digest.String() != image.DigestStr():
			junk = append(junk, Junk{todo[i].Digest.String(), "it does not refer to this image", nil}) // A32
		default:
			good = append(good, doc)
		}
	}
	return good, junk, nil
}

// listed reads the referrers API and the fallback tag (A30).
func (c *Client) listed(ctx context.Context, e entry, image name.Digest) ([]v1.Descriptor, []Junk, error) {
	var all []v1.Descriptor
	var junk []Junk
	where := "/v2/" + e.repo.RepositoryStr() + "/referrers/" + image.DigestStr()
	for n := 0; where != ""; n++ {
		if n == maxPages || len(all) > registry.MaxListed {
			junk = append(junk, Junk{"the list of referrers", fmt.Sprintf("it has more than %d pages, or %d entries", maxPages, registry.MaxListed), errMore})
			break
		}
		index, next, err := c.listPage(ctx, e, where)
		var refused *Error
		if errors.As(err, &refused) {
			junk = append(junk, Junk{"the list of referrers", refused.Error(), nil})
			break
		}
		if err != nil {
			return nil, nil, err
		}
		if index == nil {
			break
		}
		all = append(all, index.Manifests...)
		where = next
	}
	raw, kind, err := c.manifest(ctx, e, fallbackTag(image))
	if IsMissing(err) {
		return all, junk, nil
	}
	var index *Document
	if err == nil {
		index, err = ReadDocument(raw, kind)
	}
	var refused *Error
	switch {
	case errors.As(err, &refused):
		junk = append(junk, Junk{fallbackTag(image), refused.Error(), nil})
	case err != nil:
		return nil, nil, err
	case !index.IsIndex():
		junk = append(junk, Junk{fallbackTag(image), "it is no index", nil})
	default:
		all = append(all, index.Manifests...)
	}
	return all, junk, nil
}

// fallbackTag is the tag of what refers to an image where a registry has no referrers API.
// Source: distribution specification, "Referrers Tag Schema".
func fallbackTag(image name.Digest) string { return strings.Replace(image.DigestStr(), ":", "-", 1) }

// listPage asks for one page; nil: the registry has no such API, or nothing to list.
func (c *Client) listPage(ctx context.Context, e entry, where string) (*Document, string, error) {
	raw, header, err := c.page(ctx, e, where, maxManifest, http.Header{"Accept": {"application/vnd.oci.image.index.v1+json"}, "Accept-Encoding": {"identity"}})
	var st *StatusError
	if errors.As(err, &st) {
		switch st.Code {
		case 400, 404, 405, 406, 501:
			return nil, "", nil
		}
	}
	if err != nil {
		return nil, "", err
	}
	index, err := ReadDocument(raw, "application/vnd.oci.image.index.v1+json")
	if err != nil {
		return nil, "", err
	}
	next, err := nextPage(where, header.Get("Link"))
	return index, next, err
}

var linkForm = regexp.MustCompile(`^<([^<>]+)>;\s*rel="?next"?$`)

// nextPage reads a Link header (RFC 8288). It must stay with the same list.
func nextPage(where, link string) (string, error) {
	if link == "" {
		return "", nil
	}
	m := linkForm.FindStringSubmatch(strings.TrimSpace(link))
	if m == nil {
		return "", refuse("OCI-03", "the list of referrers goes on at something that is no address")
	}
	base, err := url.Parse(where)
	if err != nil {
		return "", refuse("OCI-03", "the list of referrers goes on at something that is no address")
	}
	next, err := base.Parse(m[1])
	if err != nil || next.Path != base.Path {
		return "", refuse("OCI-03", "the list of referrers goes on elsewhere")
	}
	return next.Path + "?" + next.RawQuery, nil // the same registry, whatever it says
}

// The older way to say something about an image: a tag beside it. Source: cosign, SIGNATURE_SPEC.
var olderSuffixes = []string{"sig", "att", "sbom"}

var olderForm = regexp.MustCompile(`^sha256-([0-9a-f]{64})\.(sig|att|sbom)$`)

// olderName takes the tag of an older signature apart.
func olderName(tag string) (digest, suffix string, ok bool) {
	m := olderForm.FindStringSubmatch(tag)
	if m == nil {
		return "", "", false
	}
	return "sha256:" + m[1], m[2], true
}

// Older brings the manifest of an older tag about an image, "sig", "att" or "sbom"; nil: there
// is none.
func (c *Client) Older(ctx context.Context, image name.Digest, suffix string) (*Document, error) {
	raw, kind, err := c.manifest(ctx, entry{image.Context(), "pull", nil}, fallbackTag(image)+"."+suffix)
	if IsMissing(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return ReadDocument(raw, kind)
}
