package signing

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/sigstore/sigstore-go/pkg/fulcio/certificate"
	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/verify"

	"github.com/forge-build/forge/signing/evidence"
	"github.com/forge-build/forge/signing/strictjson"
)

// judge judges candidates about one image.
type judge struct {
	policy *Policy
	image  Image
}

// finding is what became of one candidate: a statement and its rows, or the row it failed.
type finding struct {
	statement *Statement
	summary   *certificate.Summary // of the certificate, if there is one
	rows      []Check
	failed    *Check
	claims    string // the predicate type that it claims; unproved if failed
}

// row adds a check that was made.
func (f *finding) row(id, found string) {
	f.rows = append(f.rows, Check{ID: id, Status: Done, Found: found})
}

func (f *finding) skip(id, why string) {
	f.rows = append(f.rows, Check{ID: id, Status: Skipped, Why: why})
}

func (f *finding) fail(id, expected, found string) *finding {
	f.failed = &Check{ID: id, Status: Failed, Expected: expected, Found: found}
	return f
}

// candidate makes all checks on one candidate, those that tell people most first. A library
// that panics over hostile bytes has rejected them.
func (j *judge) candidate(c evidence.Candidate) (f *finding) {
	f = &finding{}
	makeRoom(int64(len(c.Raw)))
	defer makeRoom(int64(len(c.Raw)))
	defer func() {
		if p := recover(); p != nil {
			f.statement = nil
			f.fail(CheckFormat, "a readable "+c.Format, "one over which the reader stumbled: "+strictjson.Quote(fmt.Sprint(p)))
		}
	}()
	bundled := c.Format == evidence.Bundle
	if j.policy.Formats == BundlesOnly && !bundled || j.policy.Formats == LegacyOnly && bundled {
		return f.fail(CheckFormat, "the format that the policy names", "a "+c.Format)
	}
	e, err := open(c)
	if err != nil {
		return f.fail(CheckFormat, "a "+c.Format, strictjson.Clip(err.Error()))
	}
	f.row(CheckFormat, c.Format)
	f.claims = e.predicate()
	st := &Statement{Type: f.claims, Format: c.Format, Evidence: c.Digest.String(), Payload: e.payload}
	if !j.about(f, e, st) {
		return f
	}
	ids, keys := j.may(st.Type)
	if e.cert != nil {
		j.certificate(f, e, st, ids, keys)
	} else {
		j.key(f, e, st, ids, keys)
	}
	if f.failed == nil {
		f.row(CheckSignature, "holds for the bytes")
		f.row(CheckStatement, st.Type)
		f.statement = st
	}
	return f
}

// about compares what a candidate says it is about with the image.
func (j *judge) about(f *finding, e *entity, st *Statement) bool {
	if e.head != nil {
		st.Subject, st.Name, st.Predicate = e.head.Digest, e.head.Name, e.head.Predicate
		if st.elsewhere = e.head.Elsewhere; st.elsewhere != nil {
			st.Predicate, st.Elsewhere = nil, st.elsewhere.Digest.String()
		}
		if e.head.Statement != statementV1 && j.policy.StatementV1 {
			f.fail(CheckStatement, statementV1, e.head.Statement)
			return false
		}
	} else {
		st.Subject, st.Name = e.simple.Digest, e.simple.Name
	}
	if st.Subject != j.image.Digest.String() {
		f.fail(CheckSubject, j.image.Digest.String(), st.Subject) // A1, A5, A6
		return false
	}
	f.row(CheckSubject, st.Subject)
	switch want := j.repositories(); {
	case len(want) == 0:
		f.skip(CheckRepository, "a layout has no repository, and none was named")
	case st.Name == "" && j.policy.UnnamedUnsafe:
		f.skip(CheckRepository, "the statement names none, which was allowed")
	case st.Name == "":
		f.fail(CheckRepository, strings.Join(want, " or "), "none named")
		return false
	case !slices.Contains(want, repository(st.Name)): // A2
		f.fail(CheckRepository, strings.Join(want, " or "), strictjson.Quote(st.Name))
		return false
	default:
		f.row(CheckRepository, st.Name)
	}
	return true
}

// repositories are the names under which the image may have been signed.
func (j *judge) repositories() []string {
	var all []string
	for _, r := range append([]string{j.image.Repository}, j.policy.Repositories...) {
		if r != "" {
			all = append(all, repository(r))
		}
	}
	return all
}

// repository is a name in its one full form; older signatures may carry a tag.
func repository(s string) string {
	ref, err := name.ParseReference(s)
	if err != nil {
		return s
	}
	return ref.Context().Name()
}

// may is who may make statements of a type: those whom the requirements for it name, else
// the policy's.
func (j *judge) may(kind string) (ids []Identity, keys []Key) {
	wanted := false
	for _, r := range j.policy.requirements() {
		if slices.Contains(r.Types, kind) {
			wanted = true
			i, k := j.policy.of(r)
			ids, keys = append(ids, i...), append(keys, k...)
		}
	}
	if !wanted {
		return j.policy.Identities, j.policy.Keys
	}
	return ids, keys
}

// certificate judges a candidate that was signed with a certificate's key.
func (j *judge) certificate(f *finding, e *entity, st *Statement, ids []Identity, keys []Key) {
	if len(ids) == 0 {
		f.fail(CheckSigner, list(ids, keys), "a certificate") // A14
		return
	}
	s, err := whom(e.cert)
	if err != nil {
		f.fail(CheckSigner, list(ids, keys), err.Error())
		return
	}
	at := slices.IndexFunc(ids, func(id Identity) bool { return id.fits(s) })
	if at < 0 {
		f.fail(CheckSigner, list(ids, keys), named(s, ids))
		return
	}
	if err := strong(e.cert.PublicKey); err != nil {
		f.fail(CheckCert, "a certificate of a strong key", err.Error())
		return
	}
	f.row(CheckSigner, named(s, ids[at:at+1]))
	f.summary = &s
	st.Signer = Signature{Identity: s.SubjectAlternativeName, Issuer: s.Issuer, Claims: claims(s)}
	ext, err := ids[at].extensions()
	if err != nil {
		f.fail(CheckSigner, list(ids, keys), err.Error())
		return
	}
	want, err := exactly(s, ext)
	if err != nil {
		f.fail(CheckSigner, list(ids, keys), err.Error())
		return
	}
	log, times := max(1, j.policy.Log), max(1, j.policy.Times)
	res, check, err := j.library(e, j.policy.Root.material, verify.WithCertificateIdentity(want),
		verify.WithTransparencyLog(log), verify.WithObserverTimestamps(times), verify.WithSignedCertificateTimestamps(1))
	if err != nil {
		f.fail(check, expectation(check, log, times), strictjson.Clip(err.Error()))
		return
	}
	f.row(CheckCert, "leads to the trust root at all verified times")
	f.row(CheckSCT, "the certificate is in a trusted certificate log")
	f.row(CheckLog, fmt.Sprintf("entry in %d trusted log(s)", log))
	j.times(f, st, res)
	f.skip(CheckKey, "signed with a certificate")
}

// exactly is the identity that the library compares once more.
func exactly(s certificate.Summary, ext certificate.Extensions) (verify.CertificateIdentity, error) {
	san, err := verify.NewSANMatcher(s.SubjectAlternativeName, "")
	if err != nil {
		return verify.CertificateIdentity{}, err
	}
	issuer, err := verify.NewIssuerMatcher(s.Issuer, "")
	if err != nil {
		return verify.CertificateIdentity{}, err
	}
	return verify.NewCertificateIdentity(san, issuer, ext)
}

// key judges a candidate that was signed with a bare key. The policy's keys are tried, not
// the one that a hint names.
func (j *judge) key(f *finding, e *entity, st *Statement, ids []Identity, keys []Key) {
	if len(keys) == 0 {
		f.fail(CheckSigner, list(ids, keys), "a bare key") // A14
		return
	}
	check, last := CheckSignature, errors.New("no key")
	for _, k := range keys {
		res, at, err := j.tryKey(e, k)
		if err != nil {
			if rank(at) > rank(check) || check == CheckSignature {
				check, last = at, err
			}
			continue
		}
		st.Signer = Signature{Key: k.fingerprint()}
		f.row(CheckSigner, st.Signer.String())
		f.skip(CheckCert, "signed with a bare key")
		f.skip(CheckSCT, "signed with a bare key")
		if n := j.policy.logs(); n > 0 {
			f.row(CheckLog, fmt.Sprintf("entry in %d trusted log(s)", n))
		} else {
			f.skip(CheckLog, "not asked for")
		}
		if j.policy.Times > 0 {
			j.times(f, st, res)
		} else {
			f.skip(CheckTime, "not asked for")
		}
		if k.From.IsZero() && k.Until.IsZero() {
			f.skip(CheckKey, "the policy sets no window")
		} else {
			f.row(CheckKey, "within its window")
		}
		return
	}
	if check == CheckSignature { // another key, or other bytes: one cannot tell them apart
		f.fail(CheckSignature, "a signature by "+list(nil, keys), "one that does not hold ("+strictjson.Clip(last.Error())+")")
		return
	}
	f.fail(check, expectation(check, j.policy.logs(), j.policy.Times), strictjson.Clip(last.Error()))
}

// rank orders failures of keys by how far they came.
func rank(check string) int {
	return slices.Index([]string{CheckSignature, CheckLog, CheckTime, CheckKey}, check)
}

// tryKey verifies with one of the policy's keys, in each way in which signers use it.
func (j *judge) tryKey(e *entity, k Key) (*verify.VerificationResult, string, error) {
	ways, err := k.verifiers()
	if err != nil {
		return nil, CheckKey, err
	}
	var opts []verify.VerifierOption
	if n := j.policy.logs(); n > 0 {
		opts = append(opts, verify.WithTransparencyLog(n))
	}
	if j.policy.Times > 0 {
		opts = append(opts, verify.WithObserverTimestamps(j.policy.Times))
	} else {
		opts = append(opts, verify.WithNoObserverTimestamps())
	}
	var base root.TrustedMaterial = &root.BaseTrustedMaterial{}
	if j.policy.Root != nil {
		base = j.policy.Root.material
	}
	check := CheckSignature
	for _, way := range ways {
		// Whoever holds none of the keys is refused here: the library makes six copies of a payload first.
		if env, ok := e.content.(*envelope); ok {
			if no := way.VerifySignature(bytes.NewReader(env.signature), env.signed()); no != nil {
				err = cmp.Or(err, no)
				continue
			}
		}
		res, at, no := j.library(e, &keyed{base, way}, verify.WithKey(), opts...)
		if no != nil {
			check, err = at, no
			continue
		}
		if j.policy.Times == 0 { // A23: there may be no verified time
			if why := k.window(j.policy.now()); why != "" {
				return nil, CheckKey, errors.New(why + ", and no verified time was demanded")
			}
		}
		return res, "", nil
	}
	return nil, check, err
}

// keyed is trusted material whose key was chosen by the policy, whatever a hint says.
type keyed struct {
	root.TrustedMaterial
	key root.TimeConstrainedVerifier
}

func (k *keyed) PublicKeyVerifier(string) (root.TimeConstrainedVerifier, error) { return k.key, nil }

// library is the one call of sigstore-go's verifier, and which check an error is about.
func (j *judge) library(e *entity, tm root.TrustedMaterial, who verify.PolicyOption, opts ...verify.VerifierOption) (*verify.VerificationResult, string, error) {
	if j.policy.Proof {
		for _, entry := range e.entries {
			if !entry.HasInclusionProof() { // A21
				return nil, CheckLog, errors.New("an entry with a promise, not with a proof of inclusion")
			}
		}
	}
	v, err := verify.NewVerifier(tm, opts...)
	if err != nil {
		return nil, CheckFormat, err
	}
	what, err := e.artifact()
	if err != nil {
		return nil, CheckFormat, err
	}
	res, err := v.Verify(e, verify.NewPolicy(what, who))
	if err == nil {
		return res, "", nil
	}
	text := strings.ReplaceAll(err.Error(), "; error: %!w(<nil>)", "") // the library wraps an error that is none
	for _, m := range []struct{ prefix, check string }{
		{"failed to verify log inclusion", CheckLog},
		{"failed to verify timestamps", CheckTime},
		{"must provide timestamp", CheckTime},
		{"failed to verify leaf certificate", CheckCert},
		{"failed to verify signed certificate timestamp", CheckSCT},
		{"signature time outside of public key validity window", CheckKey},
		{"failed to verify certificate identity", CheckSigner},
	} {
		if rest, ok := strings.CutPrefix(text, m.prefix); ok {
			if rest = strings.TrimPrefix(rest, ": "); rest == "" {
				rest = text
			}
			return nil, m.check, errors.New(rest)
		}
	}
	return nil, CheckSignature, err
}

// expectation says in words what a failed check wanted.
func expectation(check string, log, times int) string {
	switch check {
	case CheckLog:
		return fmt.Sprintf("an entry of this signature in %d trusted log(s)", log)
	case CheckTime:
		return fmt.Sprintf("%d time(s) confirmed by a trusted authority or log", times)
	case CheckCert:
		return "a certificate of the trust root, valid when it was used"
	case CheckSCT:
		return "a certificate that a trusted certificate log holds"
	case CheckKey:
		return "a key within its window"
	case CheckSignature:
		return "a signature over these bytes"
	}
	return "what the policy says"
}

// times adds the verified times.
func (j *judge) times(f *finding, st *Statement, res *verify.VerificationResult) {
	var all []string
	for _, t := range res.VerifiedTimestamps {
		if st.Time.IsZero() || t.Timestamp.Before(st.Time) {
			st.Time = t.Timestamp.UTC()
		}
		all = append(all, t.Timestamp.UTC().Format(time.RFC3339)+" ("+t.Type+")")
	}
	f.row(CheckTime, strings.Join(all, ", "))
}
