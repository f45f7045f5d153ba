package signing

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"

	"github.com/google/go-containerregistry/pkg/name"
	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	"github.com/sigstore/sigstore-go/pkg/sign"

	"github.com/forge-build/forge/signing/evidence"
	"github.com/forge-build/forge/signing/statement"
)

// Older is a signature or an attestation in cosign's older format, for consumers that know
// no other: a layer of the manifest under the tag that Suffix ends.
type Older struct {
	MediaType   string
	Raw         []byte            // the layer
	Annotations map[string]string // of the layer
	Suffix      string            // ".sig" or ".att" after sha256-HEX
}

// SignOlder signs an image in cosign's older format. What signs with an identity then needs
// a log of the first version: entries of the second cannot be written into it.
func (s *Signer) SignOlder(ctx context.Context, image name.Digest) (*Older, error) {
	if err := s.MayBeOlder(); err != nil {
		return nil, err
	}
	payload, err := json.Marshal(map[string]any{
		"critical": map[string]any{
			"identity": map[string]string{"docker-reference": image.Context().Name()},
			"image":    map[string]string{"docker-manifest-digest": image.DigestStr()},
			"type":     simpleType,
		},
		"optional": nil,
	})
	if err != nil {
		return nil, fmt.Errorf("signing: %w", err)
	}
	pb, p, err := s.bundle(ctx, &sign.PlainData{Data: payload})
	if err != nil {
		return nil, err
	}
	notes, err := annotate(pb)
	if err != nil {
		return nil, err
	}
	notes[noteSignature] = base64.StdEncoding.EncodeToString(pb.GetMessageSignature().GetSignature())
	c := evidence.Candidate{Format: evidence.LegacySignature, Raw: payload, Annotations: notes}
	if _, err := accept(c, image.Context().Name(), image.DigestStr(), statement.TypeSignature, p); err != nil {
		return nil, err
	}
	return &Older{MediaType: evidence.SimpleSigning, Raw: payload, Annotations: notes, Suffix: ".sig"}, nil
}

// AttestOlder is a statement in cosign's older format.
func (s *Signer) AttestOlder(ctx context.Context, statement []byte) (*Older, error) {
	if err := s.MayBeOlder(); err != nil {
		return nil, err
	}
	h, err := readStatement(statement)
	if err != nil {
		return nil, fmt.Errorf("signing a statement: %w", err)
	}
	pb, p, err := s.bundle(ctx, &sign.DSSEData{Data: statement, PayloadType: payloadType})
	if err != nil {
		return nil, err
	}
	notes, err := annotate(pb)
	if err != nil {
		return nil, err
	}
	delete(notes, noteTime) // the older format wants it over other bytes
	notes[noteSignature] = ""
	notes["predicateType"] = h.Type
	type dsseSignature struct {
		KeyID string `json:"keyid"`
		Sig   []byte `json:"sig"`
	}
	raw, err := json.Marshal(struct {
		PayloadType string          `json:"payloadType"`
		Payload     []byte          `json:"payload"`
		Signatures  []dsseSignature `json:"signatures"`
	}{payloadType, statement, []dsseSignature{{Sig: pb.GetDsseEnvelope().GetSignatures()[0].GetSig()}}})
	if err != nil {
		return nil, fmt.Errorf("signing: %w", err)
	}
	if p.Times > 0 { // there is none in it, and a key needs none
		p.Times = 0
	}
	c := evidence.Candidate{Format: evidence.LegacyAttestation, Raw: raw, Annotations: notes}
	if _, err := accept(c, h.Name, h.Digest, h.Type, p); err != nil {
		return nil, err
	}
	return &Older{MediaType: evidence.DSSE, Raw: raw, Annotations: notes, Suffix: ".att"}, nil
}

// MayBeOlder says why what this signer signs cannot be in the older format; nil if it can.
func (s *Signer) MayBeOlder() error {
	if s.services.Rekor != "" && !s.services.RekorV1 {
		return &PolicyError{"the older format cannot carry entries of a log of the second version"}
	}
	return nil
}

// annotate writes what a bundle carries besides the signature as cosign's annotations.
func annotate(pb *protobundle.Bundle) (map[string]string, error) {
	notes := map[string]string{}
	m := pb.GetVerificationMaterial()
	if cert := m.GetCertificate(); cert != nil {
		notes[noteCert] = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.GetRawBytes()}))
		notes["dev.sigstore.cosign/chain"] = "" // the trust root has it
	}
	if t := m.GetTimestampVerificationData().GetRfc3161Timestamps(); len(t) > 0 {
		raw, err := json.Marshal(map[string][]byte{"SignedRFC3161Timestamp": t[0].GetSignedTimestamp()})
		if err != nil {
			return nil, fmt.Errorf("signing: %w", err)
		}
		notes[noteTime] = string(raw)
	}
	for _, e := range m.GetTlogEntries() {
		raw, err := json.Marshal(map[string]any{
			"SignedEntryTimestamp": e.GetInclusionPromise().GetSignedEntryTimestamp(),
			"Payload": map[string]any{
				"body": e.GetCanonicalizedBody(), "integratedTime": e.GetIntegratedTime(),
				"logIndex": e.GetLogIndex(), "logID": hex.EncodeToString(e.GetLogId().GetKeyId()),
			},
		})
		if err != nil {
			return nil, fmt.Errorf("signing: %w", err)
		}
		notes[noteLog] = string(raw)
	}
	return notes, nil
}
