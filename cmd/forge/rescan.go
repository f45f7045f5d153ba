package main

import (
	"bytes"
	"context"
	"fmt"
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

// search looks up what an SBOM about a digest lists. Nothing is tolerated here: the rule says
// what is.
func (r *rescanner) search(ctx context.Context, digest string, document []byte) (*finding.Document, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.db == nil {
		db, err := openDatabase(ctx, r.t, r.options, r.offline)
		if err != nil {
			return nil, fmt.Errorf("searching the SBOM of %s anew: %w", digest, err)
		}
		r.db = db
	}
	packages, err := vuln.Read(bytes.NewReader(document))
	if err != nil {
		return nil, &signing.NotVerifiedError{Image: digest, Checks: []signing.Check{{ID: "scan", Digest: digest, Status: signing.Failed, Expected: "an SBOM in which packages can be looked up", Found: err.Error()}}}
	}
	return lookUp(ctx, r.db, packages, digest, &tolerance{subject: vex.Subject{Digest: digest}})
}

func (r *rescanner) close() error {
	if r == nil || r.db == nil {
		return nil
	}
	return r.db.Close()
}
