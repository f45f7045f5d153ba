package admission

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
)

// trustedRoot is Sigstore's trusted root, as far as a TrustRoot resource needs it. Source:
// github.com/sigstore/protobuf-specs, sigstore_trustroot.proto.
type trustedRoot struct {
	MediaType              string      `json:"mediaType"`
	Tlogs                  []logOf     `json:"tlogs"`
	CTLogs                 []logOf     `json:"ctlogs"`
	CertificateAuthorities []authority `json:"certificateAuthorities"`
	TimestampAuthorities   []authority `json:"timestampAuthorities"`
}

type logOf struct {
	BaseURL       string `json:"baseUrl"`
	HashAlgorithm string `json:"hashAlgorithm"`
	PublicKey     struct {
		RawBytes []byte `json:"rawBytes"`
	} `json:"publicKey"`
}

type authority struct {
	Subject struct {
		Organization string `json:"organization"`
		CommonName   string `json:"commonName"`
	} `json:"subject"`
	URI       string `json:"uri"`
	CertChain struct {
		Certificates []struct {
			RawBytes []byte `json:"rawBytes"`
		} `json:"certificates"`
	} `json:"certChain"`
}

func readRoot(raw []byte) (*trustedRoot, error) {
	var r trustedRoot
	if err := json.Unmarshal(raw, &r); err != nil {
		return nil, err
	}
	if len(r.CertificateAuthorities)+len(r.Tlogs)+len(r.TimestampAuthorities) == 0 {
		return nil, errors.New("it names no certificate authority, no log and no time-stamp authority")
	}
	return &r, nil
}

// timestamps says whether the policy's root has time-stamp authorities.
func (w *writer) timestamps() bool {
	if w.policy.Root == nil {
		return false
	}
	r, err := readRoot(w.policy.Root.Bytes)
	return err == nil && len(r.TimestampAuthorities) > 0
}

// trustRoot writes the root as the resource that policy-controller reads. Source:
// github.com/sigstore/policy-controller, config/300-trustroot.yaml.
func (w *writer) trustRoot(raw []byte) error {
	r, err := readRoot(raw)
	if err != nil {
		return err
	}
	w.line("---\napiVersion: policy.sigstore.dev/v1alpha1\nkind: TrustRoot\nmetadata:\n  name: %s\nspec:\n  sigstoreKeys:", rootName)
	w.authorities("certificateAuthorities", r.CertificateAuthorities)
	w.authorities("timestampAuthorities", r.TimestampAuthorities)
	w.logs("ctLogs", r.CTLogs)
	w.logs("tLogs", r.Tlogs)
	return nil
}

func (w *writer) authorities(key string, list []authority) {
	if len(list) == 0 {
		return
	}
	w.line("    %s:", key)
	for _, a := range list {
		w.line("      - subject:\n          organization: %s\n          commonName: %s", text(cmp.Or(a.Subject.Organization, "unknown")), text(cmp.Or(a.Subject.CommonName, "unknown")))
		w.line("        uri: %s", text(cmp.Or(a.URI, "https://unknown.invalid")))
		w.line("        certChain: %s", base64.StdEncoding.EncodeToString(chainOf(a)))
	}
}

// chainOf are an authority's certificates in PEM form, its own first.
func chainOf(a authority) (chain []byte) {
	for _, c := range a.CertChain.Certificates {
		chain = append(chain, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.RawBytes})...)
	}
	return chain
}

func (w *writer) logs(key string, list []logOf) {
	if len(list) == 0 {
		return
	}
	w.line("    %s:", key)
	for _, l := range list {
		hash := "sha-256"
		if l.HashAlgorithm != "" && l.HashAlgorithm != "SHA2_256" {
			w.cannot("%s", fmt.Sprintf("a log's hash %s; sha-256 is written", text(l.HashAlgorithm)))
		}
		w.line("      - baseURL: %s\n        hashAlgorithm: %s", text(l.BaseURL), hash)
		w.line("        publicKey: %s", base64.StdEncoding.EncodeToString(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: l.PublicKey.RawBytes})))
	}
}
