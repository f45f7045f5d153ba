package signing

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"fmt"
	"math/big"
	mathrand "math/rand/v2"
	"net"
	"net/url"
	"strings"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/sigstore/sigstore-go/pkg/fulcio/certificate"
	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/testing/ca"

	"github.com/forge-build/forge/signing/evidence"
	"github.com/forge-build/forge/signing/statement"
)

// A12: names are compared whole.
func TestIdentitiesFitWholeNames(t *testing.T) {
	const issuer = "https://token.actions.githubusercontent.com"
	summary := func(name string) certificate.Summary {
		return certificate.Summary{SubjectAlternativeName: name, Extensions: certificate.Extensions{Issuer: issuer}}
	}
	exact := Identity{Name: "https://github.com/org/repo/.github/workflows/x.yml@refs/heads/main", Issuer: issuer}
	pattern := Identity{Pattern: `https://github\.com/org/[a-z]+`, Issuer: issuer}
	either := Identity{Pattern: `a@example\.org|b@example\.org`, Issuer: issuer}
	for _, c := range []struct {
		id   Identity
		name string
		fits bool
	}{
		{exact, exact.Name, true},
		{exact, exact.Name + "\n", false},
		{exact, "https://github.com/org/repo/.github/workflows/xXyml@refs/heads/main", false},
		{pattern, "https://github.com/org/repo", true},
		{pattern, "https://evil.com/https://github.com/org/repo", false},
		{pattern, "https://github.com/org/repo.evil.com", false},
		{pattern, "https://github.com/org/repo\n", false},
		{pattern, "https://github.com/org/repo\nx", false},
		{pattern, "https://githubXcom/org/repo", false},
		{pattern, "HTTPS://github.com/org/repo", false},
		{either, "a@example.org", true},
		{either, "b@example.org", true},
		{either, "a@example.org.evil.com", false},
		{either, "evil-b@example.org", false},
		{Identity{Issuer: issuer}, "a@example.org", false},
		{Identity{Name: "a@example.org"}, "a@example.org", false},
	} {
		if got := c.id.fits(summary(c.name)); got != c.fits {
			t.Errorf("%s fits %q: %v", c.id, c.name, got)
		}
	}
}

// A16: a certificate for exactly one name.
func TestACertificateIsForOneName(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	uri, _ := url.Parse("https://github.com/org/repo")
	other, err := asn1.Marshal([]asn1.RawValue{
		{Class: asn1.ClassContextSpecific, Tag: 1, Bytes: []byte("a@example.org")},
		{Class: asn1.ClassContextSpecific, Tag: 0, IsCompound: true, Bytes: []byte{0x06, 0x01, 0x2a}},
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		template x509.Certificate
		good     bool
	}{
		"an e-mail address":     {x509.Certificate{EmailAddresses: []string{"a@example.org"}}, true},
		"a URI":                 {x509.Certificate{URIs: []*url.URL{uri}}, true},
		"two e-mail addresses":  {x509.Certificate{EmailAddresses: []string{"a@example.org", "b@example.org"}}, false},
		"an address and a URI":  {x509.Certificate{EmailAddresses: []string{"a@example.org"}, URIs: []*url.URL{uri}}, false},
		"an address and a host": {x509.Certificate{EmailAddresses: []string{"a@example.org"}, DNSNames: []string{"x.example"}}, false},
		"a host":                {x509.Certificate{DNSNames: []string{"x.example"}}, false},
		"an IP address":         {x509.Certificate{IPAddresses: []net.IP{{127, 0, 0, 1}}}, false},
		"none":                  {x509.Certificate{Subject: pkix.Name{CommonName: "a@example.org"}}, false},
		"an address and an otherName": {x509.Certificate{ExtraExtensions: []pkix.Extension{
			{Id: oidAlternativeName, Value: other}}}, false},
	} {
		c.template.SerialNumber, c.template.NotAfter = big.NewInt(1), time.Now().Add(time.Hour)
		der, err := x509.CreateCertificate(rand.Reader, &c.template, &c.template, key.Public(), key)
		if err != nil {
			t.Fatal(name, err)
		}
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(name, err)
		}
		if s, err := whom(cert); (err == nil) != c.good {
			t.Errorf("%s: %v, %v", name, s, err)
		}
	}
}

// mixed takes each part of a trust root from another Sigstore.
type mixed struct {
	*root.BaseTrustedMaterial
	fulcio, rekor, tsa *ca.VirtualSigstore
}

func (m mixed) FulcioCertificateAuthorities() []root.CertificateAuthority {
	return m.fulcio.FulcioCertificateAuthorities()
}
func (m mixed) RekorLogs() map[string]*root.TransparencyLog { return m.rekor.RekorLogs() }
func (m mixed) TimestampingAuthorities() []root.TimestampingAuthority {
	return m.tsa.TimestampingAuthorities()
}
func (m mixed) CTLogs() map[string]*root.TransparencyLog { return m.fulcio.CTLogs() }

// A18, A19, A20: certificates and times that do not fit. The virtual Sigstore's certificates
// carry no promise of a certificate log, so what is good in all else fails there.
func TestTimesAndCertificatesThatDoNotFit(t *testing.T) {
	a, err := ca.NewVirtualSigstore()
	if err != nil {
		t.Fatal(err)
	}
	b, err := ca.NewVirtualSigstore()
	if err != nil {
		t.Fatal(err)
	}
	image := Image{"registry.example/team/train", v1.Hash{Algorithm: "sha256", Hex: strings.Repeat("ab", 32)}}
	payload := []byte(fmt.Sprintf(`{"_type":%q,"subject":[{"name":%q,"digest":{"sha256":%q}}],"predicateType":%q,"predicate":{}}`, statementV1, image.Repository, image.Digest.Hex, statement.TypeSignature))
	for _, c := range []struct {
		name  string
		at    time.Time // of the log
		trust mixed
		want  string
	}{
		{"all but the certificate log", time.Now().Add(5 * time.Minute), mixed{nil, a, a, a}, CheckSCT},
		{"A19 logged before the certificate began", time.Now().Add(-24 * time.Hour), mixed{nil, a, a, a}, CheckLog},
		{"A18 logged after the certificate ended", time.Now().Add(24 * time.Hour), mixed{nil, a, a, a}, CheckLog},
		{"A20 a log that is not trusted", time.Now().Add(5 * time.Minute), mixed{nil, a, b, a}, CheckLog},
		{"A24 a certificate authority that is not trusted", time.Now().Add(5 * time.Minute), mixed{nil, b, a, a}, CheckCert},
	} {
		t.Run(c.name, func(t *testing.T) {
			signed, err := a.AttestAtTime("a@example.org", "https://issuer.example", payload, c.at, false)
			if err != nil {
				t.Fatal(err)
			}
			e := &entity{payload: payload, version: "v0.1"}
			content, err := signed.SignatureContent()
			if err != nil {
				t.Fatal(err)
			}
			raw := content.EnvelopeContent().RawEnvelope()
			env, err := newEnvelope(raw.PayloadType, payload, [][]byte{content.Signature()})
			if err != nil {
				t.Fatal(err)
			}
			e.content, e.head = env, env.head
			if e.material, err = signed.VerificationContent(); err != nil {
				t.Fatal(err)
			}
			e.cert = e.material.Certificate()
			if e.entries, err = signed.TlogEntries(); err != nil {
				t.Fatal(err)
			}
			id := Identity{Name: "a@example.org", Issuer: "https://issuer.example"}
			j := judge{&Policy{Root: &Root{material: c.trust}, Identities: []Identity{id}}, image}
			f, st := &finding{}, &Statement{Type: statement.TypeSignature}
			j.certificate(f, e, st, []Identity{id}, nil)
			if f.failed == nil || f.failed.ID != c.want {
				t.Errorf("%+v, want %s", f.failed, c.want)
			}
		})
	}
}

// A34: a reader that panics has rejected what it read.
func TestAPanicRejects(t *testing.T) {
	private := Identity{Name: "a@example.org", Issuer: "https://issuer.example"}
	j := judge{&Policy{Identities: []Identity{private}}, Image{}} // no root, which Check refuses
	signed, err := ca.NewVirtualSigstore()
	if err != nil {
		t.Fatal(err)
	}
	cert, _, err := signed.GenerateLeafCert("a@example.org", "https://issuer.example")
	if err != nil {
		t.Fatal(err)
	}
	digest := strings.Repeat("ab", 32)
	j.image.Digest = v1.Hash{Algorithm: "sha256", Hex: digest}
	payload := fmt.Sprintf(`{"_type":%q,"subject":[{"name":"x","digest":{"sha256":%q}}],"predicateType":%q,"predicate":{}}`, statementV1, digest, statement.TypeSignature)
	enc := base64.StdEncoding.EncodeToString
	raw := fmt.Sprintf(`{"mediaType":%q,"verificationMaterial":{"certificate":{"rawBytes":%q}},"dsseEnvelope":{"payload":%q,"payloadType":%q,"signatures":[{"sig":"AAAA"}]}}`,
		BundleType, enc(cert.Raw), enc([]byte(payload)), payloadType)
	f := j.candidate(evidence.Candidate{Format: evidence.Bundle, Raw: []byte(raw)})
	if f.failed == nil || f.statement != nil || f.failed.ID != CheckFormat || !strings.Contains(f.failed.Found, "stumbled") {
		t.Errorf("%+v", f.failed)
	}
}

// TestReadersOfMutatedCandidates bends good candidates at random, the same way each time.
// Nothing panics, and what is taken is about one digest. (A fuzz target here would have the
// fuzzer instrument all of sigstore's libraries, ten minutes of compiling; strictjson and
// evidence, which see the bytes first, have theirs.)
func TestReadersOfMutatedCandidates(t *testing.T) {
	sum := strings.Repeat("ab", 32)
	st := `{"_type":"https://in-toto.io/Statement/v1","subject":[{"name":"x","digest":{"sha256":"` + sum + `"}}],"predicateType":"x","predicate":{}}`
	body := base64.StdEncoding.EncodeToString([]byte(st))
	log := `{"SignedEntryTimestamp":"AAAA","Payload":{"body":"` + base64.StdEncoding.EncodeToString([]byte(`{"apiVersion":"0.0.1","kind":"hashedrekord","spec":{"data":{"hash":{"algorithm":"sha256","value":"`+sum+`"}},"signature":{"content":"AAAA","publicKey":{"content":"AAAA"}}}}`)) + `","integratedTime":1,"logIndex":1,"logID":"ab"}}`
	seeds := []evidence.Candidate{
		{Format: evidence.Bundle, Raw: []byte(`{"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json","verificationMaterial":{"publicKey":{"hint":"x"}},"dsseEnvelope":{"payload":"` + body + `","payloadType":"application/vnd.in-toto+json","signatures":[{"sig":"AAAA"}]}}`)},
		{Format: evidence.LegacySignature, Raw: []byte(`{"critical":{"identity":{"docker-reference":"x"},"image":{"docker-manifest-digest":"sha256:` + sum + `"},"type":"cosign container image signature"},"optional":null}`)},
		{Format: evidence.LegacyAttestation, Raw: []byte(`{"payloadType":"application/vnd.in-toto+json","payload":"` + body + `","signatures":[{"sig":"AAAA"}]}`)},
	}
	random := mathrand.New(mathrand.NewPCG(1, 2))
	bend := func(s string) string {
		raw := []byte(s)
		for range 1 + random.IntN(3) {
			if len(raw) == 0 {
				break
			}
			i, j := random.IntN(len(raw)), random.IntN(len(raw))
			switch random.IntN(4) {
			case 0:
				raw[i] = byte(random.IntN(256))
			case 1:
				raw = append(raw[:i:i], raw[i+1:]...)
			case 2:
				raw = append(raw[:i:i], append([]byte(`{}[]",:0nul-\\`)[random.IntN(14):][:1], raw[i:]...)...)
			case 3:
				raw = append(raw[:i:i], raw[min(i, j):]...)
			}
		}
		return string(raw)
	}
	taken := 0
	for n := range 30000 {
		c := seeds[n%len(seeds)]
		raw, note, statement := string(c.Raw), log, st
		switch random.IntN(3) {
		case 0:
			raw = bend(raw)
		case 1:
			note = bend(log)
		case 2:
			statement = bend(st)
		}
		c.Raw = []byte(strings.Replace(raw, body, base64.StdEncoding.EncodeToString([]byte(statement)), 1))
		c.Annotations = map[string]string{noteSignature: "AAAA", noteLog: note}
		e, err := open(c)
		if err != nil {
			continue
		}
		taken++
		digest := ""
		if e.head != nil {
			digest = e.head.Digest
		} else {
			digest = e.simple.Digest
		}
		if hex, ok := strings.CutPrefix(digest, "sha256:"); !ok || !hex256.MatchString(hex) {
			t.Errorf("%q is about %q", c.Raw, digest)
		}
	}
	if taken == 0 || taken == 30000 {
		t.Errorf("%d of 30000 were taken: the bending does nothing, or too much", taken)
	}
}
