package signing

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/big"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/digitorus/timestamp"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	rekor "github.com/sigstore/protobuf-specs/gen/pb-go/rekor/v1"
	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/testing/ca"
	"github.com/sigstore/sigstore-go/pkg/tlog"
	"google.golang.org/protobuf/proto"

	"github.com/forge-build/forge/signing/evidence"
	"github.com/forge-build/forge/signing/statement"
)

const (
	who    = "release@example.org"
	issuer = "https://accounts.example.org"
)

var about = Image{"registry.example/team/train", v1.Hash{Algorithm: "sha256", Hex: strings.Repeat("a", 64)}}

func payloadAbout() []byte {
	return []byte(fmt.Sprintf(`{"_type":%q,"subject":[{"name":%q,"digest":{"sha256":%q}}],"predicateType":%q,"predicate":{}}`, statementV1, about.Repository, about.Digest.Hex, statement.TypeSignature))
}

func virtual(t *testing.T) *ca.VirtualSigstore {
	t.Helper()
	vs, err := ca.NewVirtualSigstore()
	if err != nil {
		t.Fatal(err)
	}
	return vs
}

// signed is what a Sigstore in memory signs, whose log gives a time. Its certificates are in no
// certificate log.
func signed(t *testing.T, vs *ca.VirtualSigstore, logged time.Time, proof bool) *entity {
	t.Helper()
	te, err := vs.AttestAtTime(who, issuer, payloadAbout(), logged, proof)
	if err != nil {
		t.Fatal(err)
	}
	content, err := te.SignatureContent()
	if err != nil {
		t.Fatal(err)
	}
	d := content.EnvelopeContent().RawEnvelope()
	payload, err := base64.StdEncoding.DecodeString(d.Payload)
	if err != nil {
		t.Fatal(err)
	}
	env, err := newEnvelope(d.PayloadType, payload, [][]byte{content.Signature()})
	if err != nil {
		t.Fatal(err)
	}
	e := &entity{content: env, head: env.head, payload: payload, version: "v0.3"}
	if e.material, err = te.VerificationContent(); err != nil {
		t.Fatal(err)
	}
	e.cert = e.material.Certificate()
	if e.entries, err = te.TlogEntries(); err != nil {
		t.Fatal(err)
	}
	if e.times, err = te.Timestamps(); err != nil {
		t.Fatal(err)
	}
	return e
}

// trustedParts is trusted material of which some parts are others.
type trustedParts struct {
	root.TrustedMaterial
	cas  []root.CertificateAuthority
	tsas []root.TimestampingAuthority
	logs map[string]*root.TransparencyLog
}

func (p trustedParts) FulcioCertificateAuthorities() []root.CertificateAuthority {
	if p.cas != nil {
		return p.cas
	}
	return p.TrustedMaterial.FulcioCertificateAuthorities()
}

func (p trustedParts) TimestampingAuthorities() []root.TimestampingAuthority {
	if p.tsas != nil {
		return p.tsas
	}
	return p.TrustedMaterial.TimestampingAuthorities()
}

func (p trustedParts) RekorLogs() map[string]*root.TransparencyLog {
	if p.logs != nil {
		return p.logs
	}
	return p.TrustedMaterial.RekorLogs()
}

// failedAt judges an entity and says which check it fails. What is right in all else fails at
// the certificate log, which a Sigstore in memory has not: that is as far as one can come.
func failedAt(e *entity, tm root.TrustedMaterial, change func(*Policy)) string {
	p := &Policy{Root: &Root{material: tm}, Identities: []Identity{{Name: who, Issuer: issuer}}}
	if change != nil {
		change(p)
	}
	j, f := &judge{p, about}, &finding{}
	st := &Statement{Type: statement.TypeSignature}
	if j.about(f, e, st) {
		j.certificate(f, e, st, p.Identities, p.Keys)
	}
	if f.failed == nil {
		return ""
	}
	return f.failed.ID
}

// A18, A19, A20, A21, A22, A24, SIG-02: times and logs of a log that gives times (the first version).
func TestTimesThatDoNotFit(t *testing.T) {
	vs, other := virtual(t), virtual(t)
	now := time.Now()
	good := signed(t, vs, now.Add(time.Minute), true)
	long := now.Add(-time.Hour)
	expired := func(f root.FulcioCertificateAuthority) *root.FulcioCertificateAuthority {
		f.ValidityPeriodEnd = long
		return &f
	}
	fulcio := *vs.FulcioCertificateAuthorities()[0].(*root.FulcioCertificateAuthority)
	tsa := *vs.TimestampingAuthorities()[0].(*root.SigstoreTimestampingAuthority)
	lateTSA, strangeTSA := tsa, tsa
	lateTSA.ValidityPeriodEnd = long
	strangeTSA.Leaf = other.TimestampingAuthorities()[0].(*root.SigstoreTimestampingAuthority).Leaf
	late := map[string]*root.TransparencyLog{}
	for id, l := range vs.RekorLogs() {
		ended := *l
		ended.ValidityPeriodEnd = long
		late[id] = &ended
	}
	with := func(change func(*entity)) *entity {
		e := *good
		change(&e)
		return &e
	}
	stamp, err := vs.TimestampResponse([]byte("another signature"))
	if err != nil {
		t.Fatal(err)
	}
	second := signed(t, vs, now.Add(time.Minute), true)
	// entered is the same with a log entry whose promise a log makes, after a part was changed.
	entered := func(by *ca.VirtualSigstore, proof bool, change func(*rekor.TransparencyLogEntry)) *entity {
		e := signed(t, vs, now.Add(time.Minute), proof)
		entry := proto.CloneOf(e.entries[0].TransparencyLogEntry())
		promise, err := by.RekorSignPayload(tlog.RekorPayload{Body: base64.StdEncoding.EncodeToString(entry.CanonicalizedBody), IntegratedTime: entry.IntegratedTime,
			LogIndex: entry.LogIndex, LogID: hex.EncodeToString(entry.LogId.KeyId)})
		if err != nil {
			t.Fatal(err)
		}
		entry.KindVersion = &rekor.KindVersion{Kind: "dsse", Version: "0.0.1"}
		entry.InclusionPromise = &rekor.InclusionPromise{SignedEntryTimestamp: promise}
		change(entry)
		parsed, err := tlog.ParseTransparencyLogEntry(entry)
		if err != nil {
			t.Fatal(err)
		}
		e.entries = []*tlog.Entry{parsed}
		return e
	}
	asItIs := func(*rekor.TransparencyLogEntry) {}
	noStamp := func(e *entity) { e.times = nil }
	for name, row := range map[string]struct {
		e     *entity
		tm    root.TrustedMaterial
		p     func(*Policy)
		check string
	}{
		"A22 all fits but the certificate log":    {good, vs, nil, CheckSCT},
		"the log's time alone":                    {with(noStamp), vs, nil, CheckSCT},
		"A19 logged before the certificate":       {signed(t, vs, now.Add(-time.Minute), true), vs, nil, CheckLog},
		"A19 logged after it":                     {signed(t, vs, now.Add(11*time.Minute), true), vs, nil, CheckLog},
		"A18 the certificate authority had ended": {good, trustedParts{TrustedMaterial: vs, cas: []root.CertificateAuthority{expired(fulcio)}}, nil, CheckCert},
		"A18 the time-stamp authority had ended":  {good, trustedParts{TrustedMaterial: vs, tsas: []root.TimestampingAuthority{&lateTSA}}, func(p *Policy) { p.Times = 2 }, CheckTime},
		"A18 a time stamp of another authority":   {good, trustedParts{TrustedMaterial: vs, tsas: []root.TimestampingAuthority{&strangeTSA}}, func(p *Policy) { p.Times = 2 }, CheckTime},
		"A18 a time stamp over another signature": {with(func(e *entity) { e.times = [][]byte{stamp} }), vs, func(p *Policy) { p.Times = 2 }, CheckTime},
		"A18 two times, one of which is there":    {with(noStamp), vs, func(p *Policy) { p.Times = 2 }, CheckTime},
		"A20 another signature's entry":           {with(func(e *entity) { e.entries = second.entries }), vs, nil, CheckLog},
		"A20 two logs, one entry":                 {good, vs, func(p *Policy) { p.Log = 2 }, CheckLog},
		"A20 two logs, one entry twice":           {with(func(e *entity) { e.entries = []*tlog.Entry{good.entries[0], good.entries[0]} }), vs, func(p *Policy) { p.Log = 2 }, CheckLog},
		"A21 a promise, where a proof is wanted":  {signed(t, vs, now.Add(time.Minute), false), vs, func(p *Policy) { p.Proof = true }, CheckLog},
		"A21 a promise, where none is wanted":     {signed(t, vs, now.Add(time.Minute), false), vs, nil, CheckSCT},
		"A21 a proof and a promise":               {entered(vs, true, asItIs), vs, nil, CheckSCT},
		"A21 a promise by another log":            {entered(other, false, asItIs), vs, nil, CheckLog},
		"A21 the same, beside a proof":            {entered(other, true, asItIs), vs, nil, CheckLog},
		"A21 a promise of another time":           {entered(vs, false, func(e *rekor.TransparencyLogEntry) { e.IntegratedTime++ }), vs, nil, CheckLog},
		"A21 a checkpoint that nobody signed": {entered(vs, true, func(e *rekor.TransparencyLogEntry) {
			c := e.InclusionProof.Checkpoint
			before := c.Envelope
			if c.Envelope = strings.Replace(before, " - 123\n", " - 124\n", 1); c.Envelope == before {
				t.Fatalf("the fixture changes nothing: %s", before)
			}
		}), vs, nil, CheckLog},
		"A21 a proof of another place": {entered(vs, true, func(e *rekor.TransparencyLogEntry) {
			e.InclusionProof.Hashes = append(e.InclusionProof.Hashes, make([]byte, 32))
		}), vs, nil, CheckLog},
		"A24 the log had ended":                     {good, trustedParts{TrustedMaterial: vs, logs: late}, nil, CheckLog},
		"A24 the root of another Sigstore":          {good, other, nil, CheckLog},
		"A24 another Sigstore's authority":          {good, trustedParts{TrustedMaterial: vs, cas: other.FulcioCertificateAuthorities()}, nil, CheckCert},
		"A13 another issuer":                        {good, vs, func(p *Policy) { p.Identities[0].Issuer = issuer + "/" }, CheckSigner},
		"A12 a look-alike":                          {good, vs, func(p *Policy) { p.Identities[0] = Identity{Pattern: `release@example`, Issuer: issuer} }, CheckSigner},
		"a certificate of another signature's time": {with(func(e *entity) { e.cert, e.material = second.cert, second.material }), vs, nil, CheckLog},
	} {
		t.Run(name, func(t *testing.T) {
			if got := failedAt(row.e, row.tm, row.p); got != row.check {
				t.Errorf("it fails at %q, want %q", got, row.check)
			}
		})
	}
}

// A18, SIG-02: a time is the word of the one certificate that the trust root names for it, within its
// window; no other certificate of the same authority says a time, its issuer's neither.
func TestATimeIsTheNamedCertificatesWord(t *testing.T) {
	vs, now := virtual(t), time.Now()
	good := signed(t, vs, now.Add(time.Minute), true)
	top, topKey, err := ca.GenerateRootCa()
	if err != nil {
		t.Fatal(err)
	}
	middle, middleKey, err := ca.GenerateTSAIntermediate(top, topKey)
	if err != nil {
		t.Fatal(err)
	}
	leaf := func(from time.Time) (*x509.Certificate, *ecdsa.PrivateKey) {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		cert, err := ca.GenerateTSALeafCert(from, key, middle, middleKey)
		if err != nil {
			t.Fatal(err)
		}
		return cert, key
	}
	named, namedKey := leaf(now.Add(-time.Minute))
	other, otherKey := leaf(now.Add(-time.Minute))
	late, lateKey := leaf(now.Add(-time.Hour)) // for ten minutes
	signature, err := base64.StdEncoding.DecodeString(good.content.EnvelopeContent().RawEnvelope().Signatures[0].Sig)
	if err != nil {
		t.Fatal(err)
	}
	stamp := func(cert *x509.Certificate, key *ecdsa.PrivateKey) *entity {
		sum := sha256.Sum256(signature)
		raw, err := (&timestamp.Timestamp{HashAlgorithm: crypto.SHA256, HashedMessage: sum[:], Time: now, Policy: asn1.ObjectIdentifier{1, 2, 3}, AddTSACertificate: true}).CreateResponseWithOpts(cert, key, crypto.SHA256)
		if err != nil {
			t.Fatal(err)
		}
		e := *good
		e.times = [][]byte{raw}
		return &e
	}
	authority := func(leaf *x509.Certificate) root.TrustedMaterial {
		return trustedParts{TrustedMaterial: vs, tsas: []root.TimestampingAuthority{&root.SigstoreTimestampingAuthority{Root: top, Intermediates: []*x509.Certificate{middle}, Leaf: leaf, ValidityPeriodStart: now.Add(-24 * time.Hour)}}}
	}
	for name, row := range map[string]struct {
		e     *entity
		leaf  *x509.Certificate // that the trust root names
		check string
	}{
		"the named one":                       {stamp(named, namedKey), named, CheckSCT}, // all but the certificate log
		"another one of the same authority":   {stamp(other, otherKey), named, CheckTime},
		"the authority's own certificate":     {stamp(middle, middleKey), named, CheckTime},
		"the authority's own, none is named":  {stamp(middle, middleKey), nil, CheckTime},
		"the root's own, none is named":       {stamp(top, topKey), nil, CheckTime},
		"one that had ended":                  {stamp(late, lateKey), late, CheckTime},
		"one that had ended, none is named":   {stamp(late, lateKey), nil, CheckTime},
		"the named one's text, another's key": {stamp(named, otherKey), named, CheckTime},
	} {
		t.Run(name, func(t *testing.T) {
			if got := failedAt(row.e, authority(row.leaf), func(p *Policy) { p.Times = 2 }); got != row.check {
				t.Errorf("it fails at %q, want %q", got, row.check)
			}
		})
	}
}

// A16: a certificate is for exactly one name, of the kind and spelling that is expected.
func TestACertificateHasOneName(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	other, err := asn1.Marshal([]asn1.RawValue{{Class: 2, Tag: 0, IsCompound: true, Bytes: []byte{6, 3, 42, 3, 4, 160, 4, 12, 2, 'h', 'i'}}})
	if err != nil {
		t.Fatal(err)
	}
	uri := func(s string) []*url.URL {
		u, err := url.Parse(s)
		if err != nil {
			t.Fatal(err)
		}
		return []*url.URL{u}
	}
	for name, row := range map[string]struct {
		cert x509.Certificate
		text string
	}{
		"two addresses":               {x509.Certificate{EmailAddresses: []string{who, "evil@example.org"}}, "2 alternative names"},
		"an address and a URI":        {x509.Certificate{EmailAddresses: []string{who}, URIs: uri("https://example.org/x")}, "2 alternative names"},
		"an address and a host":       {x509.Certificate{EmailAddresses: []string{who}, DNSNames: []string{"example.org"}}, "2 alternative names"},
		"none":                        {x509.Certificate{Subject: pkix.Name{CommonName: who}}, "0 alternative names"},
		"a host":                      {x509.Certificate{DNSNames: []string{"example.org"}}, ""},
		"another name's form":         {x509.Certificate{ExtraExtensions: []pkix.Extension{{Id: oidAlternativeName, Value: other}}}, ""},
		"an address of another case":  {x509.Certificate{EmailAddresses: []string{"Release@example.org"}}, ""},
		"an address that is a URI":    {x509.Certificate{URIs: uri("mailto:" + who)}, ""},
		"a weak key":                  {x509.Certificate{EmailAddresses: []string{who}}, "P-224 is too weak"},
		"a short RSA key":             {x509.Certificate{EmailAddresses: []string{who}}, "1024 bits is too weak"},
		"an address with a zero byte": {x509.Certificate{EmailAddresses: []string{who + "\x00.evil.example"}}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			row.cert.SerialNumber, row.cert.NotAfter = big.NewInt(1), time.Now().Add(time.Hour)
			row.cert.ExtraExtensions = append(row.cert.ExtraExtensions, pkix.Extension{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 57264, 1, 1}, Value: []byte(issuer)})
			public := crypto.PublicKey(&key.PublicKey)
			switch name { // SIG-02
			case "a weak key":
				weak, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
				if err != nil {
					t.Fatal(err)
				}
				public = &weak.PublicKey
			case "a short RSA key":
				public = &rsa.PublicKey{N: new(big.Int).SetBit(big.NewInt(1), 1023, 1), E: 65537}
			}
			der, err := x509.CreateCertificate(rand.Reader, &row.cert, &row.cert, public, key)
			if err != nil {
				t.Fatal(err)
			}
			raw, err := json.Marshal(map[string]any{
				"mediaType":            BundleType,
				"verificationMaterial": map[string]any{"certificate": map[string]any{"rawBytes": der}, "tlogEntries": []any{}},
				"dsseEnvelope":         map[string]any{"payload": payloadAbout(), "payloadType": payloadType, "signatures": []any{map[string]any{"sig": []byte("x")}}},
			})
			if err != nil {
				t.Fatal(err)
			}
			p := &Policy{Root: &Root{material: &root.BaseTrustedMaterial{}}, Identities: []Identity{{Name: who, Issuer: issuer}}}
			f := (&judge{p, about}).candidate(evidence.Candidate{Format: evidence.Bundle, Raw: raw})
			if f.failed == nil || f.failed.ID != CheckSigner && f.failed.ID != CheckFormat && f.failed.ID != CheckCert || !strings.Contains(f.failed.Found, row.text) {
				t.Errorf("%+v, want %s with %q", f.failed, CheckSigner, row.text)
			}
		})
	}
}
