package signing

import (
	"crypto/x509"
	"encoding/asn1"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/sigstore/sigstore-go/pkg/fulcio/certificate"

	"github.com/forge-build/forge/signing/strictjson"
)

var oidAlternativeName = asn1.ObjectIdentifier{2, 5, 29, 17}

// whom reads who a certificate is for: exactly one alternative name. signing A16.
func whom(cert *x509.Certificate) (certificate.Summary, error) {
	names := 0
	for _, ext := range cert.Extensions {
		if !ext.Id.Equal(oidAlternativeName) {
			continue
		}
		var seq asn1.RawValue
		rest, err := asn1.Unmarshal(ext.Value, &seq)
		if err != nil || len(rest) > 0 || seq.Tag != asn1.TagSequence {
			return certificate.Summary{}, errors.New("its alternative names cannot be read")
		}
		for in := seq.Bytes; len(in) > 0; names++ {
			var one asn1.RawValue
			if in, err = asn1.Unmarshal(in, &one); err != nil {
				return certificate.Summary{}, errors.New("its alternative names cannot be read")
			}
		}
	}
	if names != 1 {
		return certificate.Summary{}, fmt.Errorf("a certificate with %d alternative names, not exactly one", names)
	}
	s, err := certificate.SummarizeCertificate(cert)
	if err != nil {
		return s, fmt.Errorf("a certificate that cannot be read: %w", err)
	}
	return s, nil
}

// fits says whether a certificate is an identity's, by exact comparison.
func (id Identity) fits(s certificate.Summary) bool {
	if s.Issuer != id.Issuer {
		return false
	}
	if id.Name != "" && s.SubjectAlternativeName != id.Name {
		return false
	}
	if id.Pattern != "" {
		re, err := id.pattern()
		if err != nil || !re.MatchString(s.SubjectAlternativeName) {
			return false
		}
	}
	ext, err := id.extensions()
	return err == nil && certificate.CompareExtensions(ext, s.Extensions) == nil && (id.Name != "" || id.Pattern != "")
}

// claims are a certificate's other extensions.
func claims(s certificate.Summary) map[string]string {
	raw, err := json.Marshal(s.Extensions)
	if err != nil {
		return nil
	}
	var m map[string]string
	if json.Unmarshal(raw, &m) != nil {
		return nil
	}
	delete(m, "issuer")
	return m
}

// named shows who a certificate is for; what identities ask of its claims is shown too.
func named(s certificate.Summary, ids []Identity) string {
	text := fmt.Sprintf("%s by %s", strictjson.Quote(s.SubjectAlternativeName), strictjson.Quote(s.Issuer))
	have, asked := claims(s), map[string]bool{}
	for _, id := range ids {
		for k := range id.Claims {
			asked[k] = true
		}
	}
	for _, k := range sortedKeys(asked) {
		text += fmt.Sprintf(", %s=%s", k, strictjson.Quote(have[k]))
	}
	return text
}

func list(ids []Identity, keys []Key) string {
	var all []string
	for _, id := range ids {
		all = append(all, id.String())
	}
	for _, k := range keys {
		all = append(all, "key "+short(k.fingerprint()))
	}
	if len(all) == 0 {
		return "nobody"
	}
	return strings.Join(all, " or ")
}

func hexBytes(digest string) ([]byte, error) { return hex.DecodeString(digest[len("sha256:"):]) }
