package evidence

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/forge-build/forge/recipes/registry"
)

// accept are the documents that are read.
var accept = strings.Join([]string{
	string(types.OCIImageIndex), string(types.OCIManifestSchema1),
	string(types.DockerManifestList), string(types.DockerManifestSchema2),
}, ", ")

// Registry is a repository of a registry.
type Registry struct {
	repo   name.Repository
	http   http.Client
	scheme string
}

// OpenRegistry signs in to a repository, to read from it. t is a bare transport such as
// registry.Transport makes, which many repositories may share.
func OpenRegistry(ctx context.Context, t http.RoundTripper, repo name.Repository) (*Registry, error) {
	enter, stop := context.WithTimeout(ctx, time.Minute)
	defer stop()
	pass, err := registry.Enter(enter, t, repo, "pull", nil, true)
	if err != nil {
		return nil, reason(err, repo.RegistryStr(), "signing in to "+repo.RepositoryStr())
	}
	own := &url.URL{Scheme: pass.Scheme, Host: repo.RegistryStr()}
	return &Registry{repo: repo, scheme: pass.Scheme, http: http.Client{
		Transport: guard{t, own, pass},
		CheckRedirect: func(_ *http.Request, via []*http.Request) error {
			if len(via) > 5 {
				return refuse(repo.RegistryStr(), "OCI-03: it redirects more than 5 times")
			}
			return nil
		},
	}}, nil
}

// Resolve asks once what a tag means. The digest is computed over the bytes; what the
// registry's headers say about it is not believed. signing A25, A26.
func (r *Registry) Resolve(ctx context.Context, tag string) (*Document, error) {
	raw, served, err := r.get(ctx, "manifests/"+tag, accept, maxDocument)
	if err != nil {
		return nil, err
	}
	d, err := ParseDocument(raw, served)
	if err != nil {
		return nil, refuse(r.repo.RegistryStr(), "%s:%s: %v", r.repo.RepositoryStr(), tag, err)
	}
	return d, nil
}

// Document implements [Source]. What is wrong with the bytes is the registry's fault.
func (r *Registry) Document(ctx context.Context, digest v1.Hash) (*Document, error) {
	d, err := r.document(ctx, digest, maxDocument)
	if isJunk(err) {
		return nil, refuse(r.repo.RegistryStr(), "%s@%s: %v", r.repo.RepositoryStr(), digest, err)
	}
	return d, err
}

// Candidates implements [Source].
func (r *Registry) Candidates(ctx context.Context, digest v1.Hash, lim Limits, each func(Candidate) error) (*Found, error) {
	s := search{at: r, about: digest, lim: lim.filled(), each: each}
	return s.run(ctx)
}

// Blob implements [Source]. Room for all of it is made at once.
func (r *Registry) Blob(ctx context.Context, digest v1.Hash, size int64) ([]byte, error) {
	resp, err := r.ask(ctx, "blobs/"+digest.String(), "*/*", size)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	raw := make([]byte, size+1)
	n, err := io.ReadFull(resp.Body, raw)
	if !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) && err != nil {
		return nil, reason(err, r.repo.RegistryStr(), r.reading("blobs/"+digest.String()))
	}
	return raw[:n], verifyBytes(raw[:n], digest, size)
}

// Contents implements [Source]: a runtime compares layers with the manifest as it pulls.
func (r *Registry) Contents(context.Context, *Document) (bool, error) { return false, nil }

func (r *Registry) document(ctx context.Context, digest v1.Hash, limit int64) (*Document, error) {
	if err := right(digest); err != nil {
		return nil, err
	}
	raw, served, err := r.get(ctx, "manifests/"+digest.String(), accept, limit)
	if err != nil {
		return nil, err
	}
	if err := verifyBytes(raw, digest, -1); err != nil {
		return nil, err
	}
	return ParseDocument(raw, served)
}

func (r *Registry) blob(ctx context.Context, digest v1.Hash, size int64) ([]byte, error) {
	if err := right(digest); err != nil {
		return nil, err
	}
	raw, _, err := r.get(ctx, "blobs/"+digest.String(), "*/*", size)
	if err != nil {
		return nil, err
	}
	return raw, verifyBytes(raw, digest, size)
}

// roots reads the referrers API and the fallback tag, and cosign's two tags. Either list
// may be empty, wrong or absent while the other is not. signing A30.
func (r *Registry) roots(ctx context.Context, digest v1.Hash) (found []root, bad []Junk, failures []error) {
	fail := func(where string, err error) {
		var e *RegistryError
		switch {
		case err == nil, errors.As(err, &e) && e.ID == NotFound:
		case isJunk(err):
			bad = append(bad, Junk{where, "", err.Error()})
		default:
			bad = append(bad, Junk{where, "", err.Error()})
			failures = append(failures, err)
		}
	}
	list, err := r.referrers(ctx, digest)
	found = append(found, list...)
	fail("referrers API", err)

	fallback := tagged(digest, "")
	if doc, err := r.tag(ctx, fallback); err != nil || doc.Index == nil {
		if err == nil {
			err = junk("it is no index")
		}
		fail("tag "+fallback[:19], err)
	} else {
		for _, d := range doc.Index.Manifests {
			found = append(found, listed(d, "fallback tag"))
		}
	}
	for _, suffix := range []string{".sig", ".att"} {
		where := "tag …" + suffix
		doc, err := r.tag(ctx, tagged(digest, suffix))
		if err != nil {
			fail(where, err)
			continue
		}
		found = append(found, root{desc: v1.Descriptor{Digest: doc.Digest, Size: int64(len(doc.Raw))}, doc: doc, where: where, old: true})
	}
	return found, bad, failures
}

func (r *Registry) tag(ctx context.Context, tag string) (*Document, error) {
	raw, served, err := r.get(ctx, "manifests/"+tag, accept, maxDocument)
	if err != nil {
		return nil, err
	}
	return ParseDocument(raw, served)
}

// referrers reads the pages of the referrers API. Source: distribution specification,
// "Listing Referrers".
func (r *Registry) referrers(ctx context.Context, digest v1.Hash) ([]root, error) {
	var found []root
	var size int64
	next := "referrers/" + digest.String()
	for page := 0; next != ""; page++ {
		if page == maxPages || size > maxPageBytes {
			return found, junk("OCI-03: it has more than %d pages, or %d bytes", maxPages, maxPageBytes)
		}
		raw, served, link, err := r.page(ctx, next)
		if err != nil {
			return found, err
		}
		if served != string(types.OCIImageIndex) {
			return found, nil // an answer of a registry without the API; the tag is read too
		}
		doc, err := ParseDocument(raw, served)
		if err != nil {
			return found, err
		}
		size += int64(len(raw))
		for _, d := range doc.Index.Manifests {
			found = append(found, listed(d, "referrers API"))
		}
		if len(found) > registry.MaxListed {
			return found, junk("OCI-03: it lists more than %d referrers", registry.MaxListed)
		}
		if next, err = r.follow(next, link); err != nil {
			return found, err
		}
	}
	return found, nil
}

// follow is the next page, which must be of the same list at the same registry.
func (r *Registry) follow(from, link string) (string, error) {
	if link == "" {
		return "", nil
	}
	target, params, _ := strings.Cut(strings.TrimPrefix(link, "<"), ">")
	if !strings.Contains(params, `rel="next"`) && !strings.Contains(params, "rel=next") {
		return "", nil
	}
	base := r.url(from)
	u, err := base.Parse(target)
	if err != nil || u.Scheme != base.Scheme || u.Host != base.Host || u.Path != base.Path {
		return "", junk("OCI-03: the next page of referrers is elsewhere")
	}
	path, _, _ := strings.Cut(from, "?")
	return path + "?" + u.RawQuery, nil
}

func (r *Registry) url(path string) *url.URL {
	path, query, _ := strings.Cut(path, "?")
	return &url.URL{Scheme: r.scheme, Host: r.repo.RegistryStr(), Path: "/v2/" + r.repo.RepositoryStr() + "/" + path, RawQuery: query}
}

func (r *Registry) get(ctx context.Context, path, accept string, limit int64) ([]byte, string, error) {
	raw, served, _, err := r.read(ctx, path, accept, limit)
	return raw, served, err
}

func (r *Registry) page(ctx context.Context, path string) ([]byte, string, string, error) {
	ctx, stop := context.WithTimeout(ctx, 30*time.Second)
	defer stop()
	return r.read(ctx, path, string(types.OCIImageIndex), maxDocument)
}

// read is one request. More than limit bytes is junk, never a shorter answer.
func (r *Registry) read(ctx context.Context, path, accept string, limit int64) (raw []byte, served, link string, err error) {
	resp, err := r.ask(ctx, path, accept, limit)
	if err != nil {
		return nil, "", "", err
	}
	defer resp.Body.Close()
	raw, err = readAll(resp.Body, limit, resp.ContentLength)
	if err != nil {
		return nil, "", "", cmpJunk(err, reason(err, r.repo.RegistryStr(), r.reading(path)))
	}
	served, _, _ = strings.Cut(resp.Header.Get("Content-Type"), ";")
	return raw, strings.TrimSpace(served), resp.Header.Get("Link"), nil
}

// ask makes one request. Whose answer is not a success, or promises more than limit bytes, is an
// error; else the caller closes it.
func (r *Registry) ask(ctx context.Context, path, accept string, limit int64) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.url(path).String(), nil)
	if err != nil {
		return nil, fmt.Errorf("asking a registry: %w", err)
	}
	req.Header.Set("Accept", accept)
	resp, err := r.http.Do(req)
	if err != nil {
		return nil, reason(err, r.repo.RegistryStr(), r.reading(path))
	}
	if resp.StatusCode != http.StatusOK {
		err = failed(resp.StatusCode, r.repo.RegistryStr(), r.reading(path))
	} else if resp.ContentLength > limit {
		err = junk("OCI-02: %s has %d bytes; at most %d are read", path[:min(len(path), 30)], resp.ContentLength, limit)
	}
	if err != nil {
		_ = resp.Body.Close() // nothing of it is used
		return nil, err
	}
	return resp, nil
}

// reading is what a request does, in words.
func (r *Registry) reading(path string) string {
	return "reading " + path[:min(len(path), 40)] + " of " + r.repo.RepositoryStr()
}

func cmpJunk(err, other error) error {
	if isJunk(err) {
		return err
	}
	return other
}

// readAll reads at most limit bytes. Room for all that was promised is made once 1 MiB of it has come.
func readAll(in io.Reader, limit, promised int64) ([]byte, error) {
	raw := make([]byte, 0, min(max(promised, 512), 1<<20)+1)
	for {
		if int64(len(raw)) > limit {
			return nil, junk("OCI-02: more than %d bytes came", limit)
		}
		if len(raw) == cap(raw) {
			if all := min(promised, limit) + 1; all > int64(cap(raw)) {
				raw = append(make([]byte, 0, all), raw...)
			} else {
				raw = append(raw, 0)[:len(raw)]
			}
		}
		n, err := in.Read(raw[len(raw):min(int64(cap(raw)), limit+1)])
		raw = raw[:len(raw)+n]
		if errors.Is(err, io.EOF) {
			if int64(len(raw)) > limit {
				return nil, junk("OCI-02: more than %d bytes came", limit)
			}
			return raw, nil
		}
		if err != nil {
			return nil, err
		}
	}
}
