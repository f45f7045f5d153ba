package evidence

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/forge-build/forge/recipes/registry"
)

// The formats of candidates.
const (
	Bundle            = "bundle"             // a Sigstore bundle
	LegacySignature   = "legacy signature"   // cosign's signed payload, the signature beside it
	LegacyAttestation = "legacy attestation" // a DSSE envelope
)

// Candidate is something that may be a signature or an attestation.
type Candidate struct {
	Format      string
	Where       string            // how it was found, for people
	Digest      v1.Hash           // of Raw
	Raw         []byte            // bundle, payload or envelope: exactly the bytes of the digest
	Annotations map[string]string // of the layer; cosign's older formats keep signature and certificate there
}

// Junk is something that was offered and is no candidate.
type Junk struct {
	Where  string
	Digest string // of what it is about; may be empty
	Reason string
}

// Found says what was looked at.
type Found struct {
	Candidates int
	Others     int     // referrers of other kinds
	Unread     int     // referrers and layers beyond the bounds, which were not looked at
	Junk       []Junk  //
	Failures   []error // of the registry: what could not be looked at
}

// Document is an index or a manifest, judged strictly.
type Document struct {
	Digest    v1.Hash
	MediaType types.MediaType
	Raw       []byte
	Index     *v1.IndexManifest // of an index
	Image     *v1.Manifest      // of an image
}

// Source is where an image lies: a registry or a layout.
type Source interface {
	// Document reads an index or a manifest by its digest.
	Document(ctx context.Context, digest v1.Hash) (*Document, error)
	// Candidates calls each for every candidate about the image with that digest, one
	// after another. An error of each ends the search and is returned.
	Candidates(ctx context.Context, digest v1.Hash, lim Limits, each func(Candidate) error) (*Found, error)
	// Blob reads a blob that a verified statement names: size bytes that have the digest.
	Blob(ctx context.Context, digest v1.Hash, size int64) ([]byte, error)
	// Contents checks the bytes below a manifest, where it is this side that must: true
	// says that all were there and right.
	Contents(ctx context.Context, d *Document) (bool, error)
}

// Limits bound what is read. The zero value of a field means the default.
type Limits struct {
	Candidates  int           // manifests looked at for one image, and as many layers; 4096
	Layers      int           // of one manifest; 1024
	Bundle      int64         // bytes of a bundle; 16 MiB
	Attestation int64         // bytes of an older attestation; 64 MiB
	Total       int64         // bytes of all; 512 MiB
	One         time.Duration // for one request; 20 s
}

func (l Limits) filled() Limits {
	set := func(v *int64, def int64) {
		if *v <= 0 {
			*v = def
		}
	}
	n, m := int64(l.Candidates), int64(l.Layers)
	set(&n, registry.MaxReferrers)
	set(&m, 1024)
	l.Candidates, l.Layers = int(n), int(m)
	set(&l.Bundle, 16<<20)
	set(&l.Attestation, 64<<20)
	set(&l.Total, 512<<20)
	if l.One <= 0 {
		l.One = 20 * time.Second
	}
	return l
}

// The sizes beyond which documents are not read. Source: hostile-input, Limits.
const (
	maxDocument  = 4 << 20
	maxReferrer  = 64 << 10 // of the manifest of a referrer, which names a layer or two
	maxOlder     = 1 << 20  // of a manifest under one of cosign's tags: each layer's annotations hold a certificate
	maxListed    = 32 << 20 // of all referrers' manifests together
	maxPayload   = 1 << 20  // of an older signature
	maxPages     = registry.MaxPages
	maxPageBytes = 64 << 20 // of all its pages
	maxManifests = 8192     // of a layout
)

// Media types of candidates; bundles come in several versions. Sources: Sigstore's bundle specification; cosign's
// specifications SIGNATURE_SPEC and ATTESTATION_SPEC.
const (
	bundlePrefix  = "application/vnd.dev.sigstore.bundle"
	SimpleSigning = "application/vnd.dev.cosign.simplesigning.v1+json"
	DSSE          = "application/vnd.dsse.envelope.v1+json"
)

// kind is the format of a layer's media type and how large it may be.
func (l Limits) kind(mt types.MediaType) (format string, limit int64) {
	switch {
	case strings.HasPrefix(string(mt), bundlePrefix):
		return Bundle, l.Bundle
	case mt == SimpleSigning:
		return LegacySignature, maxPayload
	case mt == DSSE:
		return LegacyAttestation, l.Attestation
	}
	return "", 0
}

// junkError is content that is not what it should be: it does not count, and does not end
// the search.
type junkError struct{ reason string }

func (e *junkError) Error() string { return e.reason }

func junk(format string, args ...any) error { return &junkError{fmt.Sprintf(format, args...)} }

func isJunk(err error) bool {
	var j *junkError
	return errors.As(err, &j)
}
