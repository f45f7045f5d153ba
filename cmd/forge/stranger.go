package main

import (
	"bytes"
	"context"
	"fmt"
	"io"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/forge-build/forge/sbom"
	"github.com/forge-build/forge/sbom/vex"
	"github.com/forge-build/forge/sbom/vuln"
	"github.com/forge-build/forge/signing/push"
	"github.com/forge-build/forge/signing/statement"
)

// stranger judges images that no build of this host vouches for: each is listed and looked
// up anew, by the strictest limits there are.
type stranger struct {
	t    *terminal
	dir  string
	repo string
	db   *vuln.Database // nil: --no-scan
	said map[v1.Hash][]statement.Statement
}

func newStranger(ctx context.Context, t *terminal, b buildOptions, dir, repo string) (*stranger, error) {
	s := &stranger{t: t, dir: dir, repo: repo, said: map[v1.Hash][]statement.Statement{}}
	if b.noScan {
		t.say("WARNING: not scanned for vulnerabilities: --no-scan was given")
		return s, nil
	}
	var err error
	s.db, err = openDatabase(ctx, t, b.database, b.offline)
	return s, err
}

func (s *stranger) close() {
	if s.db != nil {
		_ = s.db.Close() // only read
	}
}

// all judges an image, or each image of an index.
func (s *stranger) all(ctx context.Context, from *push.Layout, image v1.Descriptor) error {
	doc, err := from.Document(ctx, image.Digest, image.MediaType)
	if err != nil {
		return err
	}
	for _, child := range doc.Manifests {
		if err := s.all(ctx, from, child); err != nil {
			return err
		}
	}
	if doc.IsIndex() {
		return nil // it has no content of its own
	}
	return s.one(ctx, image.Digest)
}

func (s *stranger) one(ctx context.Context, digest v1.Hash) error {
	inv, err := listHashed(ctx, "oci:"+s.dir+"@"+digest.String(), "", true) // CycloneDX is written
	if err != nil {
		return err
	}
	c := &disclosure{}
	if c.spdx, err = written(func(w io.Writer) error { return inv.Write(w, sbom.SPDX) }); err != nil {
		return err
	}
	if c.cyclonedx, err = written(func(w io.Writer) error { return inv.Write(w, sbom.CycloneDX) }); err != nil {
		return err
	}
	if s.db != nil {
		tol := &tolerance{subject: vex.Subject{Repository: s.repo, Digest: digest.String()}}
		packages, err := vuln.Of(inv)
		if err != nil {
			return err
		}
		if c.scan, err = lookUp(ctx, s.db, packages, s.dir, tol); err != nil {
			return fmt.Errorf("scanning %s: %w", digest, err)
		}
		s.t.judged(c.scan)
		if err := gate(c.scan); err != nil {
			return err
		}
	}
	s.said[digest], err = c.statements()
	return err
}

func (s *stranger) statements(d *push.Document) ([]statement.Statement, error) {
	return s.said[d.Descriptor.Digest], nil
}

func written(write func(io.Writer) error) ([]byte, error) {
	var b bytes.Buffer
	err := write(&b)
	return b.Bytes(), err
}
