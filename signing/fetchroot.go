package signing

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/tuf"
	"github.com/theupdateframework/go-tuf/v2/metadata/fetcher"

	"github.com/forge-build/forge/recipes/registry"
)

// rootTarget is the trusted root's name in a TUF repository. It is the only one that is asked
// for: no name from outside becomes a path (SIG-04).
const rootTarget = "trusted_root.json"

// RootSource is a TUF repository that holds a trusted root.
type RootSource struct {
	Mirror string // its address; empty: public Sigstore's
	Anchor []byte // its root.json, from which trust starts; nil: public Sigstore's, which forge carries
	Cache  string // folder in which what was seen is kept, so that nothing older is taken later
}

// FetchRoot brings in the trusted root of a TUF repository and judges it. It is the only
// function here that opens a socket for trust, and runs only when somebody asks for it.
func FetchRoot(ctx context.Context, from RootSource) ([]byte, error) {
	if (from.Mirror == "") != (from.Anchor == nil) {
		return nil, errors.New("fetching a trusted root: a repository of one's own needs its root.json, and the public one has its own")
	}
	o := tuf.DefaultOptions().WithContext(ctx).WithCachePath(from.Cache)
	if from.Mirror != "" {
		u, err := url.Parse(from.Mirror)
		if err != nil || u.Host == "" || u.User != nil || u.Scheme != "https" && (u.Scheme != "http" || !registry.Loopback(u.Hostname())) {
			return nil, &PolicyError{fmt.Sprintf("%s: the https address of a TUF repository is due, without a password", address(from.Mirror))}
		}
		o = o.WithRepositoryBaseURL(strings.TrimSuffix(from.Mirror, "/")).WithRoot(from.Anchor)
	}
	o.Fetcher = bounded{ctx, o.Fetcher}
	c, err := tuf.New(o)
	if err != nil {
		return nil, fmt.Errorf("fetching a trusted root from %s: %w", o.RepositoryBaseURL, err)
	}
	raw, err := c.GetTarget(rootTarget)
	if err != nil {
		return nil, fmt.Errorf("fetching %s from %s: %w", rootTarget, o.RepositoryBaseURL, err)
	}
	if _, err := ParseRoot(raw); err != nil {
		return nil, fmt.Errorf("reading %s of %s: %w", rootTarget, o.RepositoryBaseURL, err)
	}
	return raw, nil
}

// bounded is a fetcher that ends with its context and takes no more than a trusted root may
// have.
type bounded struct {
	ctx  context.Context
	next fetcher.Fetcher
}

func (b bounded) DownloadFile(path string, most int64, timeout time.Duration) ([]byte, error) {
	if err := b.ctx.Err(); err != nil {
		return nil, err
	}
	return b.next.DownloadFile(path, min(most, maxRoot), 20*time.Second)
}

// Party is somebody in a trusted root: an authority or a log.
type Party struct {
	Kind    string    `json:"kind"` // certificate authority, time-stamp authority, transparency log, certificate log
	Name    string    `json:"name,omitempty"`
	URL     string    `json:"url,omitempty"`
	ID      string    `json:"id,omitempty"`          // of a log
	From    time.Time `json:"from,omitzero"`         // when its word counts
	Until   time.Time `json:"until,omitzero"`        //
	Expires time.Time `json:"certificate,omitzero"`  // when its certificate ends, whatever the window
	Closed  bool      `json:"closed"`                // its word counts for the past alone
	Kept    string    `json:"fingerprint,omitempty"` // sha256 of an authority's root certificate
}

// Parties are all whom a root names, by kind and then by window.
func (r *Root) Parties(now time.Time) []Party {
	var out []Party
	add := func(p Party) {
		p.Closed = !p.Until.IsZero() && now.After(p.Until) || !p.Expires.IsZero() && now.After(p.Expires)
		out = append(out, p)
	}
	for _, a := range r.material.FulcioCertificateAuthorities() {
		if ca, ok := a.(*root.FulcioCertificateAuthority); ok && ca.Root != nil {
			add(Party{Kind: "certificate authority", Name: ca.Root.Subject.String(), URL: ca.URI, From: ca.ValidityPeriodStart, Until: ca.ValidityPeriodEnd, Expires: ca.Root.NotAfter, Kept: sum(ca.Root.Raw)})
		}
	}
	for _, a := range r.material.TimestampingAuthorities() {
		if ta, ok := a.(*root.SigstoreTimestampingAuthority); ok && ta.Root != nil {
			add(Party{Kind: "time-stamp authority", Name: ta.Root.Subject.String(), URL: ta.URI, From: ta.ValidityPeriodStart, Until: ta.ValidityPeriodEnd, Expires: ta.Root.NotAfter, Kept: sum(ta.Root.Raw)})
		}
	}
	for kind, logs := range map[string]map[string]*root.TransparencyLog{"transparency log": r.material.RekorLogs(), "certificate log": r.material.CTLogs()} {
		for id, l := range logs {
			add(Party{Kind: kind, URL: l.BaseURL, ID: id, From: l.ValidityPeriodStart, Until: l.ValidityPeriodEnd})
		}
	}
	slices.SortFunc(out, func(a, b Party) int {
		if c := strings.Compare(a.Kind, b.Kind); c != 0 {
			return c
		}
		if c := a.From.Compare(b.From); c != 0 {
			return c
		}
		return strings.Compare(a.ID+a.Kept, b.ID+b.Kept)
	})
	return out
}

func sum(raw []byte) string { return fmt.Sprintf("sha256:%x", sha256.Sum256(raw)) }
