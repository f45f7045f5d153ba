package signing

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"

	protocommon "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	protorekor "github.com/sigstore/protobuf-specs/gen/pb-go/rekor/v1"
	"github.com/sigstore/sigstore-go/pkg/bundle"
	"github.com/sigstore/sigstore-go/pkg/tlog"

	"github.com/forge-build/forge/signing/strictjson"
)

// cosign's older formats keep what belongs to a signature in annotations of its layer.
// Source: cosign, specs/SIGNATURE_SPEC.md, pkg/oci/static.
const (
	noteSignature = "dev.cosignproject.cosign/signature"
	noteCert      = "dev.sigstore.cosign/certificate"
	noteLog       = "dev.sigstore.cosign/bundle"
	noteTime      = "dev.sigstore.cosign/rfc3161timestamp"

	simpleType = "cosign container image signature"
)

// simple is the payload of an older signature. Source: containers/image,
// docs/containers-signature.5.md.
type simple struct {
	Name   string // the repository, perhaps with a tag
	Digest string
}

// readSimple takes a payload apart. Optional text is the signer's own and not judged.
func readSimple(payload []byte) (*simple, error) {
	if err := strictjson.Check(payload); err != nil {
		return nil, err
	}
	top, err := strictjson.Object(payload, "critical", "optional")
	if err != nil {
		return nil, err
	}
	critical, err := strictjson.Object(top["critical"], "identity", "image", "type")
	if err != nil {
		return nil, fmt.Errorf("critical: %w", err)
	}
	var kind string
	if err := text(critical, "type", &kind); err != nil || kind != simpleType {
		return nil, fmt.Errorf("critical.type is %s, not %q", strictjson.Quote(kind), simpleType)
	}
	identity, err := strictjson.Object(critical["identity"], "docker-reference")
	if err != nil {
		return nil, fmt.Errorf("critical.identity: %w", err)
	}
	image, err := strictjson.Object(critical["image"], "docker-manifest-digest")
	if err != nil {
		return nil, fmt.Errorf("critical.image: %w", err)
	}
	s := &simple{}
	if err := errors.Join(text(identity, "docker-reference", &s.Name), text(image, "docker-manifest-digest", &s.Digest)); err != nil {
		return nil, err
	}
	if sum, ok := strings.CutPrefix(s.Digest, "sha256:"); !ok || !hex256.MatchString(sum) {
		return nil, fmt.Errorf("docker-manifest-digest is %s, no sha256 in lower-case hex", strictjson.Quote(s.Digest))
	}
	return s, nil
}

// openSimple makes an older signature an entity: a signature over the payload's bytes.
func openSimple(raw []byte, notes map[string]string) (*entity, error) {
	s, err := readSimple(raw)
	if err != nil {
		return nil, err
	}
	sig, err := base64.StdEncoding.DecodeString(notes[noteSignature])
	if err != nil || len(sig) == 0 {
		return nil, errors.New("its annotations hold no signature")
	}
	sum := sha256.Sum256(raw)
	e := &entity{simple: s, payload: raw, version: "v0.1", content: bundle.NewMessageSignature(sum[:], "sha256", sig)}
	return e, e.annotated(notes)
}

// openAttestation makes an older attestation an entity: a DSSE envelope. Its time stamp, if
// it has one, is over other bytes than a bundle's and is not used; its log entry gives the
// time.
func openAttestation(raw []byte, notes map[string]string) (*entity, error) {
	if err := strictjson.Check(raw); err != nil {
		return nil, err
	}
	if _, err := strictjson.Object(raw, "payloadType", "payload", "signatures"); err != nil {
		return nil, err
	}
	makeRoom(int64(len(raw))) // for what that was a copy of
	var d struct {
		PayloadType string `json:"payloadType"`
		Payload     []byte `json:"payload"`
		Signatures  []struct {
			Sig []byte `json:"sig"`
		} `json:"signatures"`
	}
	if err := json.Unmarshal(raw, &d); err != nil {
		return nil, errors.New("it is no DSSE envelope")
	}
	var sigs [][]byte
	for _, s := range d.Signatures {
		sigs = append(sigs, s.Sig)
	}
	env, err := newEnvelope(d.PayloadType, d.Payload, sigs)
	if err == nil {
		err = env.written(raw)
	}
	if err != nil {
		return nil, err
	}
	e := &entity{head: env.head, payload: d.Payload, version: "v0.1", content: env}
	err = e.annotated(notes)
	e.times = nil
	return e, err
}

// annotated reads certificate, log entry and time stamp.
func (e *entity) annotated(notes map[string]string) error {
	e.material = &bundle.PublicKey{}
	if raw := notes[noteCert]; raw != "" {
		block, rest := pem.Decode([]byte(raw))
		if block == nil || block.Type != "CERTIFICATE" || len(bytes.TrimSpace(rest)) > 0 {
			return errors.New("its certificate annotation is not one certificate in PEM form")
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return fmt.Errorf("its certificate: %w", err)
		}
		e.cert, e.material = cert, bundle.NewCertificate(cert)
	}
	if raw := notes[noteTime]; raw != "" {
		var t struct{ SignedRFC3161Timestamp []byte }
		if err := strictly(raw, &t, "SignedRFC3161Timestamp"); err != nil {
			return fmt.Errorf("its time stamp annotation: %w", err)
		}
		e.times = append(e.times, t.SignedRFC3161Timestamp)
	}
	if raw := notes[noteLog]; raw != "" {
		entry, err := logEntry(raw)
		if err != nil {
			return fmt.Errorf("its log annotation: %w", err)
		}
		e.entries = append(e.entries, entry)
	}
	return nil
}

// logEntry reads an entry of Rekor v1 with its promise.
func logEntry(raw string) (*tlog.Entry, error) {
	var b struct {
		SignedEntryTimestamp []byte
		Payload              struct {
			Body           []byte `json:"body"`
			IntegratedTime int64  `json:"integratedTime"`
			LogIndex       int64  `json:"logIndex"`
			LogID          string `json:"logID"`
		}
	}
	if err := strictly(raw, &b, "SignedEntryTimestamp", "Payload"); err != nil {
		return nil, err
	}
	var kind struct {
		Kind       string `json:"kind"`
		APIVersion string `json:"apiVersion"`
	}
	if err := strictjson.Check(b.Payload.Body); err != nil {
		return nil, err
	}
	if err := json.Unmarshal(b.Payload.Body, &kind); err != nil {
		return nil, errors.New("its body is no log entry")
	}
	id, err := hex.DecodeString(b.Payload.LogID)
	if err != nil {
		return nil, errors.New("logID is not hex")
	}
	return tlog.ParseTransparencyLogEntry(&protorekor.TransparencyLogEntry{
		LogIndex:          b.Payload.LogIndex,
		LogId:             &protocommon.LogId{KeyId: id},
		KindVersion:       &protorekor.KindVersion{Kind: kind.Kind, Version: kind.APIVersion},
		IntegratedTime:    b.Payload.IntegratedTime,
		InclusionPromise:  &protorekor.InclusionPromise{SignedEntryTimestamp: b.SignedEntryTimestamp},
		CanonicalizedBody: b.Payload.Body,
	})
}

// strictly decodes an annotation that must be an object of the given keys.
func strictly(raw string, to any, keys ...string) error {
	if err := strictjson.Check([]byte(raw)); err != nil {
		return err
	}
	if _, err := strictjson.Object([]byte(raw), keys...); err != nil {
		return err
	}
	if err := json.Unmarshal([]byte(raw), to); err != nil {
		return errors.New("it is not what it should be: " + strictjson.Clip(err.Error()))
	}
	return nil
}
