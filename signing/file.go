package signing

import (
	"bytes"
	"cmp"
	"encoding/hex"
	"errors"
	"fmt"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/sigstore/sigstore-go/pkg/bundle"

	"github.com/forge-build/forge/signing/evidence"
	"github.com/forge-build/forge/signing/strictjson"
)

// MaxBundle bounds a bundle on its own, in bytes.
const MaxBundle = 16 << 20

// File is what a bundle on its own is about.
type File struct {
	Name   string // for messages
	Digest v1.Hash
	Bytes  []byte // nil: only the digest is known; some keys sign bytes, which must then be here
	Type   string // the predicate type that a statement must have; empty: any, or none
}

// VerifyFile judges one bundle that lies in a file: a signature over the file's bytes, or a
// statement about its digest. It gives the statement and the table of checks, or a
// [*NotVerifiedError]. The policy's Statements do not count: File.Type does.
func VerifyFile(raw []byte, file File, p Policy) (*Statement, []Check, error) {
	p.Statements = nil
	if err := p.Check(); err != nil {
		return nil, nil, err
	}
	f := &finding{}
	j := &judge{&p, Image{Digest: file.Digest}}
	st := j.file(f, raw, file)
	checks := f.rows
	if f.failed != nil {
		checks = append(checks, *f.failed)
	}
	for i := range checks {
		checks[i].Digest = file.Digest.String()
	}
	if f.failed != nil {
		return nil, nil, &NotVerifiedError{Image: file.Name, Checks: checks}
	}
	return st, checks, nil
}

// file makes all checks on a bundle. A library that panics over hostile bytes has refused.
func (j *judge) file(f *finding, raw []byte, file File) (st *Statement) {
	defer func() {
		if p := recover(); p != nil {
			st = nil
			f.fail(CheckFormat, "a readable bundle", "one over which the reader stumbled: "+strictjson.Quote(fmt.Sprint(p)))
		}
	}()
	e, err := openFile(raw, file)
	if err != nil {
		f.fail(CheckFormat, "a bundle", strictjson.Clip(err.Error()))
		return nil
	}
	f.row(CheckFormat, evidence.Bundle)
	st = &Statement{Format: evidence.Bundle, Payload: e.payload, Subject: file.Digest.String()}
	if e.head != nil {
		st.Type = e.head.Type
		if !j.about(f, e, st) {
			return nil
		}
	} else if !j.over(f, e, file) {
		return nil
	}
	if file.Type != "" && st.Type != file.Type {
		f.fail(CheckStatement, file.Type, cmp.Or(st.Type, "a signature over bytes"))
		return nil
	}
	if e.cert != nil {
		j.certificate(f, e, st, j.policy.Identities, j.policy.Keys)
	} else {
		j.key(f, e, st, j.policy.Identities, j.policy.Keys)
	}
	if f.failed != nil {
		return nil
	}
	f.row(CheckSignature, "holds for the bytes")
	f.row(CheckStatement, cmp.Or(st.Type, "a signature over the file's bytes"))
	return st
}

// over compares the digest that a signature over bytes states with the file's. signing A24.
func (j *judge) over(f *finding, e *entity, file File) bool {
	if m := e.content.MessageSignatureContent(); m != nil && len(m.Digest()) > 0 {
		if m.DigestAlgorithm() != "SHA2_256" || hex.EncodeToString(m.Digest()) != file.Digest.Hex {
			f.fail(CheckSubject, file.Digest.String(), fmt.Sprintf("%s %x", m.DigestAlgorithm(), m.Digest()))
			return false
		}
	}
	f.row(CheckSubject, file.Digest.String())
	f.skip(CheckRepository, "a signature over bytes names none")
	return true
}

// openFile reads a bundle: around a statement, or around a signature over bytes.
func openFile(raw []byte, file File) (*entity, error) {
	if len(raw) > MaxBundle {
		return nil, fmt.Errorf("it is larger than %d bytes", MaxBundle)
	}
	if err := strictjson.Check(raw); err != nil {
		return nil, err
	}
	var b bundle.Bundle
	if err := b.UnmarshalJSON(raw); err != nil {
		return nil, err
	}
	if b.GetMessageSignature() == nil {
		return openBundle(raw)
	}
	content, err := b.SignatureContent()
	if err != nil {
		return nil, err
	}
	e := &entity{content: content, payload: file.Bytes}
	if e.payload == nil {
		if e.sum, err = hex.DecodeString(file.Digest.Hex); err != nil {
			return nil, err
		}
	} else if d, _, err := v1.SHA256(bytes.NewReader(file.Bytes)); err != nil || d != file.Digest {
		return nil, errors.New("internal error: the file's bytes are not the digest's")
	}
	return e, e.bundled(&b)
}
