package signing

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// Image is an image by digest.
type Image struct {
	Repository string // its full name; empty for a layout's image, which has none
	Digest     v1.Hash
}

// ImageOf is the image that a reference names.
func ImageOf(d name.Digest) (Image, error) {
	h, err := v1.NewHash(d.DigestStr())
	if err != nil {
		return Image{}, fmt.Errorf("reading reference %q: %w", d, err)
	}
	return Image{Repository: d.Context().Name(), Digest: h}, nil
}

func (i Image) String() string { return i.Repository + "@" + i.Digest.String() }

// Verified is an image that fulfils a policy. Only [Verify] makes one.
type Verified struct {
	image      Image
	statements []Statement
	checks     []Check
	rejected   []Rejected
	children   []Image
}

// Image is what was verified, by digest: what may be pulled.
func (v *Verified) Image() Image { return v.image }

// Children are the images of a verified index that were verified with it.
func (v *Verified) Children() []Image { return slices.Clone(v.children) }

// Statements are all verified statements about the image, those that the policy does not
// ask for included, by type and then by time, newest first.
func (v *Verified) Statements() []Statement { return slices.Clone(v.statements) }

// Checks is the table.
func (v *Verified) Checks() []Check { return slices.Clone(v.checks) }

// Rejected are the candidates that did not count.
func (v *Verified) Rejected() []Rejected { return slices.Clone(v.rejected) }

// MarshalJSON is the document of verify --json.
func (v *Verified) MarshalJSON() ([]byte, error) {
	children := []string{}
	for _, c := range v.children {
		children = append(children, c.String())
	}
	return json.Marshal(struct {
		Image      string      `json:"image"`
		Children   []string    `json:"children,omitempty"`
		Statements []Statement `json:"statements"`
		Checks     []Check     `json:"checks"`
		Rejected   []Rejected  `json:"rejected,omitempty"`
	}{v.image.String(), children, v.statements, v.checks, v.rejected})
}

// Statement is one verified statement.
type Statement struct {
	Type      string          `json:"type"`
	Subject   string          `json:"subject"`            // digest
	Name      string          `json:"name,omitempty"`     // repository that it names
	Signer    Signature       `json:"signer"`             //
	Time      time.Time       `json:"time,omitzero"`      // the earliest verified one
	Format    string          `json:"format"`             // bundle, legacy signature, legacy attestation
	Evidence  string          `json:"evidence"`           // digest of the bundle or signature
	Predicate json.RawMessage `json:"-"`                  // verified bytes; empty for most signatures, and of a document that lies elsewhere
	Payload   []byte          `json:"-"`                  // the whole document that was signed
	Elsewhere string          `json:"document,omitempty"` // digest of the document, where it lies beside the statement

	elsewhere *elsewhere
	document  *document
}

// Document is what is stated, wherever it lies: verified bytes, made anew at each call if they are
// many; empty for most signatures.
func (s *Statement) Document() []byte {
	if s.document != nil {
		return s.document.bytes()
	}
	return s.Predicate
}

// Open reads what [Statement.Document] gives, without holding all of a document that lies elsewhere.
func (s *Statement) Open() io.Reader {
	if s.document != nil {
		return s.document.open()
	}
	return bytes.NewReader(s.Predicate)
}

// Signature says who signed.
type Signature struct {
	Identity string            `json:"identity,omitempty"`
	Issuer   string            `json:"issuer,omitempty"`
	Claims   map[string]string `json:"claims,omitempty"` // other extensions of the certificate
	Key      string            `json:"key,omitempty"`    // sha256 of the public key
}

// String names a signer.
func (s Signature) String() string {
	if s.Key != "" {
		return "key " + short(s.Key)
	}
	return s.Identity + " by " + s.Issuer
}

// Credential is what makes two signers different.
func (s Signature) Credential() string { return s.Key + "\n" + s.Identity + "\n" + s.Issuer }

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

func isURI(s string) bool {
	scheme, rest, ok := strings.Cut(s, "://")
	return ok && rest != "" && (scheme == "https" || scheme == "http")
}

// short is a digest as people read it.
func short(digest string) string { return digest[:min(len(digest), 19)] }
