package signing

import (
	"bytes"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strings"

	intoto "github.com/in-toto/attestation/go/v1"
	"github.com/secure-systems-lab/go-securesystemslib/dsse"
	protorekor "github.com/sigstore/protobuf-specs/gen/pb-go/rekor/v1"
	"github.com/sigstore/sigstore-go/pkg/bundle"
	"github.com/sigstore/sigstore-go/pkg/tlog"
	"github.com/sigstore/sigstore-go/pkg/verify"

	"github.com/forge-build/forge/signing/evidence"
	"github.com/forge-build/forge/signing/statement"
	"github.com/forge-build/forge/signing/strictjson"
)

// entity is a candidate in the form in which sigstore-go verifies it, whatever its format.
type entity struct {
	content  verify.SignatureContent
	material verify.VerificationContent
	entries  []*tlog.Entry
	times    [][]byte
	version  string

	cert    *x509.Certificate // nil: signed with a key
	payload []byte            // what the signature is over, less the envelope's frame
	sum     []byte            // sha256 of what it is over, where the bytes are not here
	head    *head             // of a statement
	simple  *simple           // of an older signature
}

var _ verify.SignedEntity = (*entity)(nil)

func (e *entity) SignatureContent() (verify.SignatureContent, error)       { return e.content, nil }
func (e *entity) VerificationContent() (verify.VerificationContent, error) { return e.material, nil }
func (e *entity) TlogEntries() ([]*tlog.Entry, error)                      { return e.entries, nil }
func (e *entity) Timestamps() ([][]byte, error)                            { return e.times, nil }
func (e *entity) Version() (string, error)                                 { return e.version, nil }

func (e *entity) HasInclusionPromise() bool {
	for _, t := range e.entries {
		if t.HasInclusionPromise() {
			return true
		}
	}
	return false
}

func (e *entity) HasInclusionProof() bool {
	for _, t := range e.entries {
		if !t.HasInclusionProof() {
			return false
		}
	}
	return len(e.entries) > 0
}

// artifact is what the signature must be about, in the library's terms.
func (e *entity) artifact() (verify.ArtifactPolicyOption, error) {
	if e.sum != nil {
		return verify.WithArtifactDigest("sha256", e.sum), nil
	}
	if e.head == nil { // the payload itself is what was signed
		return verify.WithArtifact(bytes.NewReader(e.payload)), nil
	}
	raw, err := hexBytes(e.head.Digest)
	if err != nil {
		return nil, err
	}
	return verify.WithArtifactDigest("sha256", raw), nil
}

// predicate is the type that a candidate claims.
func (e *entity) predicate() string {
	if e.head == nil {
		return statement.TypeSignature
	}
	return e.head.kind()
}

// envelope is a DSSE envelope that hands out its statement's head. The library's own would
// unfold the whole predicate before the signer is known, and keeps the payload in base64 too.
type envelope struct {
	kind      string
	payload   []byte
	signature []byte
	head      *head
}

func (e *envelope) Signature() []byte                                       { return e.signature }
func (e *envelope) EnvelopeContent() verify.EnvelopeContent                 { return e }
func (e *envelope) MessageSignatureContent() verify.MessageSignatureContent { return nil }

func (e *envelope) RawEnvelope() *dsse.Envelope {
	return &dsse.Envelope{
		PayloadType: e.kind,
		Payload:     base64.StdEncoding.EncodeToString(e.payload),
		Signatures:  []dsse.Signature{{Sig: base64.StdEncoding.EncodeToString(e.signature)}},
	}
}

// signed is what the signature is over, read piece by piece. Source: DSSE protocol, "PAE".
func (e *envelope) signed() io.Reader {
	return io.MultiReader(strings.NewReader(fmt.Sprintf("DSSEv1 %d %s %d ", len(e.kind), e.kind, len(e.payload))), bytes.NewReader(e.payload))
}

func (e *envelope) Statement() (*intoto.Statement, error) {
	return &intoto.Statement{
		Type:          e.head.Statement,
		PredicateType: e.head.Type,
		Subject:       []*intoto.ResourceDescriptor{{Name: e.head.Name, Digest: map[string]string{"sha256": e.head.Digest[len("sha256:"):]}}},
	}, nil
}

// newEnvelope judges an envelope: in-toto's payload type, exactly one signature, and a
// statement inside. signing A9.
func newEnvelope(kind string, payload []byte, signatures [][]byte) (*envelope, error) {
	if kind != payloadType {
		return nil, fmt.Errorf("payload type is %s, not %q", strictjson.Quote(kind), payloadType)
	}
	if len(signatures) != 1 {
		return nil, fmt.Errorf("the envelope has %d signatures, not exactly one", len(signatures))
	}
	h, err := readStatement(payload)
	if err != nil {
		return nil, fmt.Errorf("the statement: %w", err)
	}
	return &envelope{kind, payload, signatures[0], h}, nil
}

// written wants payload and signature in a document as this package would write them: readers
// differ about line breaks, missing padding and the other alphabet. hostile-input ATT-03.
func (e *envelope) written(raw []byte) error {
	for name, part := range map[string][]byte{"payload": e.payload, "signature": e.signature} {
		if len(part) == 0 || !holds(raw, part) {
			return fmt.Errorf("its %s is not written in plain base64", name)
		}
	}
	return nil
}

// holds says whether a document has a text that is these bytes in base64. It makes no copy of them.
func holds(raw, part []byte) bool {
	const step = 3 << 10 // whole groups of base64
	enc := base64.StdEncoding
	var buf [4 << 10]byte
	fits := func(text, rest []byte) bool { // text begins with rest in base64, and a quote
		for len(rest) > 0 {
			piece := rest[:min(step, len(rest))]
			n := enc.EncodedLen(len(piece))
			enc.Encode(buf[:n], piece)
			if !bytes.HasPrefix(text, buf[:n]) {
				return false
			}
			text, rest = text[n:], rest[len(piece):]
		}
		return bytes.HasPrefix(text, []byte(`"`))
	}
	begin := append([]byte(`"`), enc.EncodeToString(part[:min(step, len(part))])...)
	for {
		at := bytes.Index(raw, begin)
		if at < 0 {
			return false
		}
		if raw = raw[at+1:]; fits(raw, part) {
			return true
		}
	}
}

// open reads a candidate of any format.
func open(c evidence.Candidate) (*entity, error) {
	switch c.Format {
	case evidence.Bundle:
		return openBundle(c.Raw)
	case evidence.LegacySignature:
		return openSimple(c.Raw, c.Annotations)
	case evidence.LegacyAttestation:
		return openAttestation(c.Raw, c.Annotations)
	}
	return nil, fmt.Errorf("format %q is not known", c.Format)
}

// openBundle reads a Sigstore bundle around an in-toto statement.
func openBundle(raw []byte) (*entity, error) {
	if err := strictjson.Check(raw); err != nil {
		return nil, err
	}
	var b bundle.Bundle
	if err := b.UnmarshalJSON(raw); err != nil {
		return nil, err
	}
	dsseProto := b.GetDsseEnvelope()
	if dsseProto == nil {
		return nil, errors.New("the bundle holds no statement, but a signature over bytes")
	}
	var sigs [][]byte
	for _, s := range dsseProto.GetSignatures() {
		sigs = append(sigs, s.GetSig())
	}
	env, err := newEnvelope(dsseProto.GetPayloadType(), dsseProto.GetPayload(), sigs)
	if err == nil {
		err = env.written(raw)
	}
	if err != nil {
		return nil, err
	}
	e := &entity{content: env, head: env.head, payload: dsseProto.GetPayload()}
	return e, e.bundled(&b)
}

// bundled takes over what a bundle holds beside the signature.
func (e *entity) bundled(b *bundle.Bundle) (err error) {
	if e.material, err = b.VerificationContent(); err != nil {
		return err
	}
	e.cert = e.material.Certificate()
	if e.entries, err = b.TlogEntries(); err != nil {
		return err
	}
	for _, entry := range b.GetVerificationMaterial().GetTlogEntries() {
		if err := consistent(entry.GetInclusionProof()); err != nil {
			return err
		}
	}
	if e.times, err = b.Timestamps(); err != nil {
		return err
	}
	e.version, err = b.Version()
	return err
}

// consistent compares what a proof states twice: the size and the root of the log's tree, in
// the proof and in the checkpoint that the log signed. The library uses the checkpoint's.
func consistent(p *protorekor.InclusionProof) error {
	if p == nil {
		return nil
	}
	lines := strings.SplitN(p.GetCheckpoint().GetEnvelope(), "\n", 4)
	if len(lines) < 4 {
		return errors.New("the log's checkpoint has no three lines")
	}
	if want := fmt.Sprint(p.GetTreeSize()); lines[1] != want {
		return fmt.Errorf("the proof is for a tree of size %s, the checkpoint for %s", want, strictjson.Quote(lines[1]))
	}
	if want := base64.StdEncoding.EncodeToString(p.GetRootHash()); lines[2] != want {
		return fmt.Errorf("the proof is for root %s, the checkpoint for %s", want, strictjson.Quote(lines[2]))
	}
	return nil
}
