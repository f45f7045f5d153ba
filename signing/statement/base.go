package statement

// Below is the verdict about the image that lies below another: whether somebody whom the recipe
// names has signed it.
type Below struct {
	Name     string // repository, or "oci:DIR" of a layout
	Digest   string // "sha256:…" that the recipe pins
	Manifest string // "sha256:…" of the image for the platform; the same as Digest if that is no index
	Why      string // it was not verified; empty: it was

	Verified   string // "sha256:…": Digest or Manifest, about which the signature is
	Identity   string // who signed: the name in a certificate, and who vouches for it
	Issuer     string
	Key        string // or the key: "sha256:…" of its DER form
	Repository string // that the signature names; empty: none
	Type       string // predicate type of what was signed
}

type signer struct {
	Identity string `json:"identity,omitempty"`
	Issuer   string `json:"issuer,omitempty"`
	Key      string `json:"key,omitempty"`
}

// Base tells the verdict about the image below.
func Base(b Below) Statement {
	type signature struct {
		Digest     map[string]string `json:"digest"`
		Type       string            `json:"predicateType"`
		Repository string            `json:"repository,omitempty"`
		Signer     signer            `json:"signer"`
	}
	p := struct {
		Base      resource          `json:"base"`
		Manifest  map[string]string `json:"manifest"`
		Verified  bool              `json:"verified"`
		Why       string            `json:"why,omitempty"`
		Signature *signature        `json:"signature,omitempty"`
	}{Base: resource{Name: b.Name, Digest: sha(b.Digest)}, Manifest: sha(b.Manifest), Verified: b.Why == "", Why: b.Why}
	if p.Verified {
		p.Signature = &signature{sha(b.Verified), b.Type, b.Repository, signer{b.Identity, b.Issuer, b.Key}}
	}
	return Statement{TypeBase, p}
}

// note is what a provenance says of it beside the material.
func (b *Below) note(notes map[string]string) {
	switch {
	case b == nil:
	case b.Why != "":
		notes["verified"] = "no: " + b.Why
	case b.Key != "":
		notes["verified"] = "signed by key " + b.Key
	default:
		notes["verified"] = "signed by " + b.Identity + ", issuer " + b.Issuer
	}
}
