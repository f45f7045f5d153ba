package recipes

import (
	"io/fs"
	"net/url"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
)

// Sign says who signs an image, and so whom its users expect. It is never part of a lock.
type Sign struct {
	Identity string // of the certificate, exactly; empty: a key signs
	Issuer   string // who vouches for the identity: the https address of an OIDC issuer
	Key      string // slash path relative to the recipe, or a key management service's address

	PublicKey string // slash path: what the image's users have of the key; empty: asked of the key
	TrustRoot string // slash path of a trusted root; empty: the one that forge keeps
	Services  string // slash path of a signing config; empty: public Sigstore for an identity, none for a key
	Legacy    bool   // cosign's older tags are written too
}

// KeyServices are the schemes of the key management services that forge asks. Any other
// scheme would run a program of that name.
var KeyServices = []string{"awskms", "azurekms", "gcpkms", "hashivault"}

// KeyService is the scheme of a key's address, or "" for a file. ok is false for an address
// that is neither (signing A17).
func KeyService(key string) (scheme string, ok bool) {
	scheme, rest, has := strings.Cut(key, "://")
	if !has {
		return "", key != "" && !strings.ContainsAny(key, "\x00\n")
	}
	return scheme, slices.Contains(KeyServices, scheme) && rest != "" && !strings.ContainsAny(rest, "\x00\n ")
}

// sign reads who signs.
func (d *decoder) sign(w *words, im *Image) {
	b := w.one("sign", 0)
	if b == nil {
		return
	}
	p := d.words(b, "sign.")
	s := &Sign{}
	var at hcl.Range
	s.Identity, s.Issuer = d.identity(p)
	s.Key, at = p.text("key", "")
	switch scheme, ok := KeyService(s.Key); {
	case s.Key == "":
	case !ok && scheme != "":
		d.mistake(at, "Unknown key service", "%+q: %s", cut(scheme), nearest(scheme, KeyServices))
	case scheme == "":
		d.below(at, "key", s.Key)
	}
	for _, f := range []struct {
		name string
		to   *string
	}{{"public_key", &s.PublicKey}, {"trust_root", &s.TrustRoot}, {"services", &s.Services}} {
		if *f.to, at = p.text(f.name, ""); *f.to != "" {
			d.below(at, f.name, *f.to)
		}
	}
	s.Legacy, _ = p.flag("legacy_signature")
	p.done()
	switch {
	case s.Key != "" && s.Identity+s.Issuer != "":
		d.mistake(b.DefRange(), "Two signers", "Write identity and issuer, or key; an image has one signer.")
	case s.Key == "" && (s.Identity == "" || s.Issuer == ""):
		d.mistake(b.DefRange(), "Sign without a signer", `Write identity and issuer (keyless), or key = "cosign.key".`)
	}
	im.Sign = s
}

// identity reads whom a certificate is for, and who vouches for that.
func (d *decoder) identity(p *words) (name, issuer string) {
	name, at := p.text("identity", "")
	if strings.ContainsAny(name, "*\n\x00") || len(name) > 2048 {
		d.mistake(at, "Invalid identity", "%+q: the exact identity in the certificate is due, a workflow's address or an e-mail address; patterns belong into a trust policy.", cut(name))
	}
	issuer, at = p.text("issuer", "")
	if u, err := url.Parse(issuer); issuer != "" && (err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || (u.Scheme != "https" && !(u.Scheme == "http" && u.Hostname() == "127.0.0.1"))) {
		d.mistake(at, "Invalid issuer", "%+q: the issuer's https address is due, exactly as the certificate names it.", cut(issuer))
	}
	return name, issuer
}

// below judges the path of a file that need not be there: a key is not on every machine.
func (d *decoder) below(at hcl.Range, what, p string) {
	if !fs.ValidPath(p) || p == "." || strings.ContainsAny(p, "\\\n") {
		d.mistake(at, "File from outside", "%s %+q: a path below the recipe's folder is due; --key takes any.", what, cut(p))
	}
}
