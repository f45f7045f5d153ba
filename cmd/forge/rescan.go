package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"sync"

	"github.com/forge-build/forge/recipes/finding"
	"github.com/forge-build/forge/sbom/vex"
	"github.com/forge-build/forge/sbom/vuln"
	"github.com/forge-build/forge/signing"
)

// rescanner searches signed SBOMs for vulnerabilities, now. It opens the database when the
// first one needs it.
type rescanner struct {
	t       *terminal
	options databaseOptions
	offline bool

	mu sync.Mutex // one search at a time: a database is large
	db *vuln.Database
}

// Bounds of an SBOM that is searched anew: verifying takes less than 256 MiB. What decodes one takes six
// times its size (25 MB of 10,000 packages: 277 MiB in all; 124 MB: 763). The image with the most
// packages that was seen had 4,000.
const (
	maxSearched         = 16 << 20 // bytes
	maxSearchedPackages = 10_000
)

// search looks up what an SBOM about a digest lists, so many packages. Nothing is tolerated here: the
// rule says what is.
func (r *rescanner) search(ctx context.Context, digest string, document io.Reader, packages int) (*finding.Document, error) {
	refused := func(expected, found string) error {
		return &signing.NotVerifiedError{Image: digest, Checks: []signing.Check{{ID: "scan", Digest: digest, Status: signing.Failed, Expected: expected, Found: found}}}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	raw, err := io.ReadAll(io.LimitReader(document, maxSearched+1))
	if err != nil {
		return nil, fmt.Errorf("reading the SBOM of %s: %w", digest, err)
	}
	if packages > maxSearchedPackages || len(raw) > maxSearched {
		found := fmt.Sprintf("no such scan, and an SBOM of %d packages", packages)
		if len(raw) > maxSearched {
			found += fmt.Sprintf(" in more than %d MiB", maxSearched>>20)
		}
		return nil, refused(fmt.Sprintf("a signed scan that is fresh enough, or an SBOM to search anew of at most %d packages in %d MiB", maxSearchedPackages, maxSearched>>20), found)
	}
	if r.db == nil {
		db, err := openDatabase(ctx, r.t, r.options, r.offline)
		if err != nil {
			return nil, fmt.Errorf("searching the SBOM of %s anew: %w", digest, err)
		}
		r.db = db
	}
	list, err := vuln.Read(bytes.NewReader(raw))
	if err != nil {
		return nil, refused("an SBOM in which packages can be looked up", err.Error())
	}
	return lookUp(ctx, r.db, list, digest, &tolerance{subject: vex.Subject{Digest: digest}})
}

func (r *rescanner) close() error {
	if r == nil || r.db == nil {
		return nil
	}
	return r.db.Close()
}
