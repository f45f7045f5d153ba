package signing

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/sigstore/sigstore-go/pkg/bundle"
	"github.com/sigstore/sigstore-go/pkg/sign"
	"google.golang.org/protobuf/encoding/protojson"

	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/forge-build/forge/recipes/registry"
	"github.com/forge-build/forge/signing/evidence"
	"github.com/forge-build/forge/signing/strictjson"
)

// BundleType is the media type of a bundle, as a layer and as an artifact.
const BundleType = "application/vnd.dev.sigstore.bundle.v0.3+json"

// SignWith says how to sign: with a key, or with an identity token (keyless).
type SignWith struct {
	// Key is a file, or a reference to a key management service (see Schemes). Empty: an
	// identity token is used.
	Key        string
	Passphrase func() ([]byte, error)                // of an encrypted key file; asked for only then
	Token      func(context.Context) (string, error) // an identity token, each time one is needed
	Services   Services
	Root       *Root // what the services' answers are judged by; needed if there are any
	// Expect is who the certificate must be for. Zero: what the token says.
	Expect Identity
}

// Services are the addresses of what confirms a signature. For a key each is optional; an
// identity needs a certificate authority, a log, and a time-stamp authority if the log
// gives no time.
type Services struct {
	Fulcio    string // certificate authority
	Rekor     string // transparency log
	RekorV1   bool   // the log is of the first version; the second is the rule
	Timestamp string // time-stamp authority: the whole address, path included
	OpenID    string // issuer where a person signs in; nothing is asked of it here
}

// Signer signs statements.
type Signer struct {
	keypair  sign.Keypair // nil: that of a session
	key      Key          // of keypair
	token    func(context.Context) (string, error)
	services Services
	root     *Root
	expect   Identity

	mu      sync.Mutex
	session *session // of an identity; nil: none was made
}

// session is a key of this process with the certificate that was given for it. It is good for
// several signatures, so that a person signs in once for all statements about an image.
type session struct {
	pair  sign.Keypair
	cert  []byte // DER
	whom  []Identity
	until time.Time // by this machine's clock
}

// GetCertificate is for sign.Bundle.
func (s *session) GetCertificate(context.Context, sign.Keypair, *sign.CertificateProviderOptions) ([]byte, error) {
	return s.cert, nil
}

// NewSigner makes a signer. A key file is read and decrypted here; no service is asked yet
// but a key management service for the public key.
func NewSigner(ctx context.Context, with SignWith) (*Signer, error) {
	s := &Signer{token: with.Token, services: with.Services, root: with.Root, expect: with.Expect}
	switch {
	case with.Key != "" && with.Token != nil:
		return nil, &PolicyError{"both a key and an identity token are named; sign with one of them"}
	case with.Key == "" && with.Token == nil:
		return nil, &PolicyError{"neither a key nor an identity token is named to sign with"}
	case with.Services.any() && with.Root == nil:
		return nil, &PolicyError{"the answers of signing services can only be judged with a trust root"}
	case with.Token != nil && (with.Services.Fulcio == "" || with.Services.Rekor == ""):
		return nil, &PolicyError{"signing with an identity needs a certificate authority and a transparency log"}
	case with.Token != nil && with.Services.Timestamp == "" && !with.Services.RekorV1:
		return nil, &PolicyError{"signing with an identity needs a time-stamp authority: this log gives no time"}
	case with.Key != "" && with.Services.Fulcio != "":
		return nil, &PolicyError{"a certificate authority is for identities; this signs with a key"}
	}
	if err := with.Services.check(); err != nil {
		return nil, err
	}
	if with.Key == "" {
		return s, nil
	}
	var err error
	if s.keypair, s.key, err = openKey(ctx, with.Key, with.Passphrase, with.Services.Rekor != ""); err != nil {
		return nil, err
	}
	return s, nil
}

// any says whether a service confirms anything.
func (s Services) any() bool { return s.Fulcio+s.Rekor+s.Timestamp != "" }

func (s Services) check() error {
	for _, raw := range []string{s.Fulcio, s.Rekor, s.Timestamp, s.OpenID} {
		if raw == "" {
			continue
		}
		u, err := url.Parse(raw)
		if err != nil || u.Host == "" || u.User != nil || u.Scheme != "https" && (u.Scheme != "http" || !registry.Loopback(u.Hostname())) {
			return &PolicyError{fmt.Sprintf("signing service %s: it must be an https address without a password (http only on this machine itself)", address(raw))}
		}
	}
	return nil
}

// address shows an address, which may hold a password.
func address(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return "that cannot be read"
	}
	return strictjson.Quote((&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String())
}

// Policy is what a consumer must expect of what this signer signs: its key, or the identity
// that it was told to have.
func (s *Signer) Policy() Policy {
	p := Policy{Root: s.root}
	if s.keypair != nil {
		p.Keys = []Key{s.key}
		if s.services.Rekor != "" {
			p.Log = 1
		}
		if s.services.Timestamp != "" {
			p.Times = 1
		}
		return p
	}
	if s.expect.Issuer != "" {
		p.Identities = []Identity{s.expect}
	}
	return p
}

// PublicKey is the signer's key in PEM form; nil for an identity.
func (s *Signer) PublicKey() []byte { return s.key.PEM }

// MaxStatement is how many bytes a statement may have that this signer's services and a bundle's
// readers take whole. A log of the first version is sent all of it, though it keeps hashes alone, and
// takes no more than some 3 MB in base64. signing A45.
func (s *Signer) MaxStatement() int {
	if s.services.Rekor != "" && s.services.RekorV1 {
		return 2 << 20
	}
	return (MaxBundle - maxMaterial) / 4 * 3
}

// maxMaterial is more than a bundle holds beside a statement: certificate, log entry, times.
const maxMaterial = 256 << 10

// Signed is a statement with its signature.
type Signed struct {
	Bundle []byte    // JSON, of type BundleType
	Type   string    // predicate type
	Digest string    // of the image
	Signer Signature //
	Time   time.Time // the earliest that was confirmed; zero if none was
}

// Sign signs an in-toto v1 statement about one image and returns the bundle after forge's
// own verification of it: a service that lies is noticed before anything is uploaded.
// signing A44.
func (s *Signer) Sign(ctx context.Context, statement []byte) (*Signed, error) {
	h, err := readStatement(statement)
	switch {
	case err != nil:
		return nil, fmt.Errorf("signing a statement: %w", err)
	case h.Statement != statementV1:
		return nil, fmt.Errorf("signing a statement: _type is %q, not %q", h.Statement, statementV1)
	case h.Name == "":
		return nil, errors.New("signing a statement: its subject names no repository")
	case len(h.Predicate) == 0:
		return nil, errors.New("signing a statement: it has no predicate")
	}
	pb, p, err := s.bundle(ctx, &sign.DSSEData{Data: statement, PayloadType: bundle.IntotoMediaType})
	if err != nil {
		return nil, err
	}
	raw, err := protojson.Marshal(pb)
	if err != nil {
		return nil, fmt.Errorf("writing a bundle: %w", err)
	}
	st, err := accept(evidence.Candidate{Format: evidence.Bundle, Raw: raw}, h.Name, h.Digest, h.Type, p)
	if err != nil {
		return nil, err
	}
	return &Signed{Bundle: raw, Type: h.Type, Digest: h.Digest, Signer: st.Signer, Time: st.Time}, nil
}

// bundle signs and asks the services. The policy is what the result must fulfil.
func (s *Signer) bundle(ctx context.Context, content sign.Content) (*protobundle.Bundle, Policy, error) {
	p := s.Policy()
	pair, opts := s.keypair, sign.BundleOptions{Context: ctx}
	if pair == nil {
		certified, err := s.certified(ctx)
		if err != nil {
			return nil, p, err
		}
		pair, opts.CertificateProvider, p.Identities = certified.pair, certified, certified.whom
	}
	if u := s.services.Timestamp; u != "" {
		opts.TimestampAuthorities = []*sign.TimestampAuthority{sign.NewTimestampAuthority(&sign.TimestampAuthorityOptions{URL: u, Retries: 2, Transport: plainTransport()})}
	}
	if u := s.services.Rekor; u != "" {
		version := uint32(2)
		if s.services.RekorV1 {
			version = 1
		}
		opts.TransparencyLogs = []sign.Transparency{sign.NewRekor(&sign.RekorOptions{BaseURL: u, Retries: 2, Version: version})}
	}
	pb, err := sign.Bundle(content, pair, opts)
	if err != nil {
		return nil, p, fmt.Errorf("signing: %w", err)
	}
	return pb, p, nil
}

// certified is a session that still holds, or a new one.
func (s *Signer) certified(ctx context.Context) (*session, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.session != nil && time.Now().Before(s.session.until) {
		return s.session, nil
	}
	token, err := s.token(ctx)
	if err != nil {
		return nil, fmt.Errorf("getting an identity token: %w", err)
	}
	n := &session{whom: s.Policy().Identities}
	if len(n.whom) == 0 {
		id, err := promised(token)
		if err != nil {
			return nil, fmt.Errorf("reading the identity token: %w", err)
		}
		n.whom = []Identity{id}
	}
	if n.pair, err = sign.NewEphemeralKeypair(nil); err != nil {
		return nil, fmt.Errorf("making a key for signatures: %w", err)
	}
	asked := time.Now()
	fulcio := sign.NewFulcio(&sign.FulcioOptions{BaseURL: s.services.Fulcio, Retries: 2, Transport: plainTransport()})
	if n.cert, err = fulcio.GetCertificate(ctx, n.pair, &sign.CertificateProviderOptions{IDToken: token}); err != nil {
		return nil, fmt.Errorf("asking for a certificate: %w", err)
	}
	cert, err := x509.ParseCertificate(n.cert)
	if err != nil {
		return nil, fmt.Errorf("asking for a certificate: %w", err)
	}
	if err := isFor(cert, n.whom); err != nil {
		return nil, err
	}
	n.until = asked.Add(cert.NotAfter.Sub(cert.NotBefore) / 2) // what confirms the time must see it valid
	s.session = n
	return n, nil
}

// isFor refuses a certificate for somebody else before anything is signed with it, so that no log
// is told; whether it holds is judged with what it signs.
func isFor(cert *x509.Certificate, ids []Identity) error {
	summary, err := whom(cert)
	if err != nil {
		return fmt.Errorf("asking for a certificate: %w", err)
	}
	if slices.ContainsFunc(ids, func(id Identity) bool { return id.fits(summary) }) {
		return nil
	}
	return &NotVerifiedError{Image: "the certificate to sign with", Checks: []Check{{ID: CheckSigner, Status: Failed, Expected: list(ids, nil), Found: named(summary, ids)}}}
}

// accept verifies what was just made as a consumer would.
func accept(c evidence.Candidate, repository, digest, kind string, p Policy) (*Statement, error) {
	p.Statements = []Requirement{{Types: []string{kind}}}
	if err := p.Check(); err != nil {
		return nil, fmt.Errorf("signing: %w", err)
	}
	h, err := v1.NewHash(digest)
	if err != nil {
		return nil, fmt.Errorf("signing: %w", err)
	}
	c.Where = "what was just signed"
	j := judge{&p, Image{repository, h}}
	f := j.candidate(c)
	if f.failed != nil {
		return nil, &NotVerifiedError{Image: j.image.String(), Checks: append(f.rows, *f.failed)}
	}
	return f.statement, nil
}

// plainTransport follows the proxies of the environment and verifies TLS, as the default
// one does, and shares no state with it.
func plainTransport() http.RoundTripper {
	return &http.Transport{Proxy: http.ProxyFromEnvironment, TLSHandshakeTimeout: 30 * time.Second, DisableKeepAlives: true}
}
