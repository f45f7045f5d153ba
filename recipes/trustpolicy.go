package recipes

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/forge-build/forge/recipes/trust"
)

// Limits of the files that a trust policy names.
const (
	maxKey  = 64 << 10
	maxRoot = 4 << 20
	maxList = 4 << 20
)

// LoadTrust reads a trust policy: HCL like a recipe, bounded as one, with locals but without
// variables, since a policy means the same wherever it is read. Its mistakes are one
// *Diagnostics. The files that it names are read with it; what they are worth as signatures
// is for others to judge.
func LoadTrust(path string) (*trust.Policy, error) {
	src, err := read("Trust policy", path)
	if err != nil {
		return nil, err
	}
	return parseTrust(path, src)
}

// parseTrust is LoadTrust for bytes.
func parseTrust(path string, src []byte) (*trust.Policy, error) {
	sum := sha256.Sum256(src)
	p := &trust.Policy{Path: path, SHA256: hex.EncodeToString(sum[:])}
	parsed, diags := parseText(path, src)
	if !diags.HasErrors() {
		t := &policyDecoder{decoder: &decoder{eval: newEvaluator(filepath.Dir(path)), dir: filepath.Dir(path), places: map[string]hcl.Range{}}, policy: p, hashes: map[string]string{}}
		t.top(path, parsed.Body.(*hclsyntax.Body))
		diags = t.diags
	}
	if diags.HasErrors() {
		return nil, diagnose(diags, path, parsed)
	}
	return p, nil
}

// policyDecoder reads one trust policy.
type policyDecoder struct {
	*decoder
	policy *trust.Policy
	hashes map[string]string // of recipes and locks that were read
}

// top reads the top level of a trust policy.
func (d *policyDecoder) top(path string, body *hclsyntax.Body) {
	start := hcl.Range{Filename: path, Start: hcl.InitialPos, End: hcl.InitialPos}
	w := d.words(&hclsyntax.Block{Type: "a trust policy", Body: body, TypeRange: start, OpenBraceRange: start}, "")
	d.diags = append(d.diags, d.eval.locals(w.blocks("locals", 0))...)
	if value, at := w.text("trusted_root", ""); value != "" {
		d.policy.Root = d.fileOf(at, "trusted root", value, maxRoot)
		if f := d.policy.Root; f != nil && !json.Valid(f.Bytes) {
			d.mistake(at, "Trusted root is no JSON", "It is the file that forge trust init or cosign trusted-root create writes.")
		}
	}
	for _, b := range w.blocks("signer", 1) {
		d.signer(b)
	}
	d.denyList(w)
	for _, b := range w.blocks("images", 1) {
		d.rule(b)
	}
	w.done()
	if len(d.policy.Rules) == 0 && !d.diags.HasErrors() {
		d.mistake(start, "No rule", `A trust policy has at least one images "name" { … } block: which repositories, and on whose word.`)
	}
	d.scopesOnce(w)
	d.signersUsed(w)
}

// signer reads a signer block: an identity with its issuer, or a key.
func (d *policyDecoder) signer(b *hclsyntax.Block) {
	p := d.words(b, "signer.")
	s := trust.Signer{Name: d.ruleName(b)}
	if d.policy.Signer(s.Name) != nil {
		d.mistake(b.LabelRanges[0], "Duplicate signer", "Signer %q stands twice; two keys of one holder are two signers.", cut(s.Name))
	}
	s.Identity, _ = d.match(p, "identity")
	var at hcl.Range
	if s.Issuer, at = p.text("issuer", ""); s.Issuer != "" {
		if err := address(s.Issuer); err != nil {
			d.mistake(at, "Invalid issuer", "%+q: %v.", cut(s.Issuer), err)
		}
	}
	s.Certificate, at = p.texts("certificate")
	for _, k := range sortedKeys(s.Certificate) {
		if !slices.Contains(trust.Extensions, k) {
			d.mistake(at, "Unknown word of a certificate", "%+q: %s", cut(k), nearest(k, trust.Extensions))
		} else if s.Certificate[k] == "" {
			d.mistake(at, "Empty value", "certificate: %s is empty; leave it out where it does not matter.", k)
		}
	}
	if value, at := p.text("key", ""); value != "" {
		s.Key = d.fileOf(at, "public key", value, maxKey)
		d.publicKey(at, s.Key)
	}
	s.From, _ = d.moment(p, "from", false)
	s.Until, at = d.moment(p, "until", true)
	if !s.From.IsZero() && !s.Until.IsZero() && !s.From.Before(s.Until) {
		d.mistake(at, "Key is never valid", "It ends before it begins.")
	}
	d.oneKind(b, &s)
	p.done()
	d.policy.Signers = append(d.policy.Signers, s)
}

// oneKind: a signer is an identity or a key, whole.
func (d *policyDecoder) oneKind(b *hclsyntax.Block, s *trust.Signer) {
	written := func(names ...string) bool {
		return slices.ContainsFunc(names, func(n string) bool { return b.Body.Attributes[n] != nil })
	}
	identity, key := written("identity", "identity_pattern"), written("key")
	switch {
	case identity && key:
		d.mistake(b.DefRange(), "Signer is two things", "An identity and a key are two signers; signed_by may name both.")
	case !identity && !key:
		d.mistake(b.DefRange(), "Signer without an identity", `Write identity = "…" and issuer = "https://…", or key = "FILE".`)
	case identity && !written("issuer"):
		d.mistake(b.DefRange(), "Identity without an issuer", `Anybody can be issued any name somewhere: write who vouches for it, as issuer = "https://token.actions.githubusercontent.com".`)
	case key && written("issuer", "certificate"):
		d.mistake(b.DefRange(), "Key with a certificate's words", "issuer and certificate are about an identity; a key has neither.")
	case identity && written("from", "until"):
		d.mistake(b.DefRange(), "Identity with a window", "from and until are about a key; an identity's certificate has its own times.")
	}
}

// publicKey judges a PEM public key, by what it is and by its strength.
func (d *policyDecoder) publicKey(at hcl.Range, f *trust.File) {
	if f == nil {
		return
	}
	if secret.Match(f.Bytes) || strings.Contains(string(f.Bytes), "PRIVATE KEY") {
		d.mistake(at, "Private key in a trust policy", "Whoever verifies needs the public half alone; take the private one away from here.")
		return
	}
	block, rest := pem.Decode(f.Bytes)
	if block == nil || block.Type != "PUBLIC KEY" || len(strings.TrimSpace(string(rest))) > 0 {
		d.mistake(at, "No public key", "One PEM block PUBLIC KEY is due, as forge and cosign write it.")
		return
	}
	key, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		d.mistake(at, "No public key", "%s.", cut(err.Error()))
		return
	}
	switch k := key.(type) {
	case *ecdsa.PublicKey:
		if n := k.Curve.Params().BitSize; n < 256 {
			d.mistake(at, "Weak key", "An elliptic curve of %d bits; P-256 or more is due.", n)
		}
	case *rsa.PublicKey:
		if n := k.N.BitLen(); n < 2048 || n > 8192 {
			d.mistake(at, "Weak key", "RSA of %d bits; from 2048 to 8192 is due.", n)
		}
	case ed25519.PublicKey:
	default:
		d.mistake(at, "Unknown kind of key", "%T: ECDSA, Ed25519 or RSA is due.", key)
	}
}

// denyList reads the one deny_list block and the list that it names.
func (d *policyDecoder) denyList(w *words) {
	b := w.one("deny_list", 1)
	if b == nil {
		return
	}
	p := d.words(b, "deny_list.")
	l := &trust.DenyList{}
	list := d.fileOf(b.LabelRanges[0], "deny list", b.Labels[0], maxList)
	bundle, at := p.text("bundle", b.Labels[0]+".sigstore.json")
	signature := d.fileOf(at, "signature of the deny list", bundle, maxList)
	l.SignedBy = d.signers(p, "signed_by", nil)
	if len(l.SignedBy) == 0 {
		d.mistake(b.DefRange(), "Deny list without a signer", `Whoever can write the file could empty it: write signed_by = ["…"].`)
	}
	p.done()
	if list == nil || signature == nil {
		return
	}
	l.File, l.Bundle = *list, *signature
	denied, err := ParseDenied(filepath.Join(d.dir, b.Labels[0]), list.Bytes)
	var said *Diagnostics
	switch {
	case errors.As(err, &said):
		for _, m := range said.JSON() {
			d.mistake(b.LabelRanges[0], "Deny list is wrong", "%s:%d:%d: %s: %s", m.File, m.Line, m.Column, m.Summary, m.Detail)
		}
	case err != nil:
		d.mistake(b.LabelRanges[0], "Deny list is wrong", "%v.", err)
	default:
		l.List = *denied
		d.policy.Denied = l
	}
}

// ruleName is the label of a signer or of a rule.
func (d *policyDecoder) ruleName(b *hclsyntax.Block) string {
	name := b.Labels[0]
	if strings.TrimSpace(name) != name || name == "" || len(name) > 120 || strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		d.mistake(b.LabelRanges[0], "Invalid name", "%+q: one line of text is due.", cut(name))
	}
	return name
}

// match reads NAME or NAME_pattern, one of them.
func (d *policyDecoder) match(p *words, name string) (trust.Match, hcl.Range) {
	exact, at := p.text(name, "")
	pattern, there := p.text(name+"_pattern", "")
	switch {
	case exact != "" && pattern != "":
		d.mistake(there, "Said twice", "%s and %s_pattern say the same; one of them is due.", name, name)
	case pattern != "":
		d.pattern(there, pattern)
		return trust.Match{Text: pattern, Pattern: true}, there
	case exact == "" && p.block.Body.Attributes[name] != nil:
		d.mistake(at, "Empty value", "%s is empty; it would fit nobody.", name)
	}
	if strings.ContainsFunc(exact, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		d.mistake(at, "Control character", "%s holds a control character.", name)
	}
	return trust.Match{Text: exact}, at
}

// strangers are identities that no sensible pattern fits.
var strangers = []string{"", "x", "stranger@forge-canary.example", "https://github.com/forge-canary/x/.github/workflows/y.yml@refs/heads/z", "https://forge-canary.example/"}

// pattern judges a pattern: it must be one, and not fit just anybody.
func (d *policyDecoder) pattern(at hcl.Range, pattern string) {
	m := trust.Match{Text: pattern, Pattern: true}
	if len(pattern) > 1000 {
		d.mistake(at, "Pattern too long", "A pattern has at most 1000 bytes.")
		return
	}
	if _, err := m.Regexp(); err != nil {
		d.mistake(at, "Invalid pattern", "%+q: %s; a regular expression (RE2) is due, which fits from end to end without ^ and $.", cut(pattern), cut(err.Error()))
		return
	}
	for _, s := range strangers {
		if m.Fits(s) {
			d.mistake(at, "Pattern fits anybody", "%+q fits %q too; write who is meant.", cut(pattern), s)
			return
		}
	}
}

// moment reads a date or a time of RFC 3339. The last day of a window counts to its end.
func (d *policyDecoder) moment(p *words, name string, end bool) (time.Time, hcl.Range) {
	value, at := p.text(name, "")
	if value == "" {
		return time.Time{}, at
	}
	t, err := moment(value, end)
	if err != nil {
		d.mistake(at, "Invalid date", "%s = %+q: a day as 2027-01-31, or a time as 2027-01-31T12:00:00Z, is due.", name, cut(value))
	}
	return t, at
}

func moment(value string, end bool) (time.Time, error) {
	if t, err := time.Parse(time.DateOnly, value); err == nil {
		if end {
			t = t.Add(24*time.Hour - time.Second)
		}
		return t, nil
	}
	t, err := time.Parse(time.RFC3339, value)
	return t.UTC(), err
}

// age reads a length of time as people say it: "7 days".
func (d *policyDecoder) age(p *words, name string) time.Duration {
	value, at := p.text(name, "")
	if value == "" {
		return 0
	}
	t, err := age(value)
	if err != nil {
		d.mistake(at, "Invalid age", "%s = %+q: a number and a unit are due, as 7 days; units are minutes, hours, days, weeks.", name, cut(value))
	}
	return t
}

func age(value string) (time.Duration, error) {
	var n int
	var unit, rest string
	if k, _ := fmt.Sscanf(value, "%d %s %s", &n, &unit, &rest); k != 2 || n < 1 || n > 100_000 || value != fmt.Sprintf("%d %s", n, unit) {
		return 0, errors.New("no age")
	}
	units := map[string]time.Duration{"minute": time.Minute, "hour": time.Hour, "day": 24 * time.Hour, "week": 7 * 24 * time.Hour}
	u, ok := units[strings.TrimSuffix(unit, "s")]
	if !ok {
		return 0, errors.New("no unit")
	}
	if n > int(math.MaxInt64/u) {
		return 0, errors.New("longer than can be counted")
	}
	return time.Duration(n) * u, nil
}

// fileOf is a file below the policy's folder, or the text that stands in its place.
func (d *policyDecoder) fileOf(at hcl.Range, what, value string, limit int64) *trust.File {
	if trust.IsText(value) {
		return &trust.File{Bytes: []byte(value)}
	}
	b, err := readBelow(d.dir, value, limit)
	if err != nil {
		d.mistake(at, "File cannot be read", "The %s: %v.", what, err)
		return nil
	}
	return &trust.File{Path: value, Bytes: b}
}

// signers reads a list of signers' names; absent, it is def.
func (d *policyDecoder) signers(p *words, name string, def []string) []string {
	names, at := p.list(name)
	if names == nil {
		return def
	}
	var known []string
	for _, s := range d.policy.Signers {
		known = append(known, s.Name)
	}
	for i, n := range names {
		if !slices.Contains(known, n) {
			d.mistake(at[i], "Unknown signer", "%+q: %s", cut(n), nearest(n, known))
		}
		if slices.Contains(names[:i], n) {
			d.mistake(at[i], "Signer twice", "%+q stands twice.", cut(n))
		}
	}
	if len(names) == 0 {
		d.mistake(p.block.Body.Attributes[name].Expr.Range(), "Nobody to trust", "%s is empty; leave it out, or name a signer.", name)
	}
	return names
}

// signersUsed: a signer that no rule names is a misspelt one, or a left-over.
func (d *policyDecoder) signersUsed(w *words) {
	if d.diags.HasErrors() {
		return
	}
	used := map[string]bool{}
	use := func(names []string) {
		for _, n := range names {
			used[n] = true
		}
	}
	for _, r := range d.policy.Rules {
		use(r.SignedBy)
		use(r.VEX)
		if r.SBOM != nil {
			use(r.SBOM.SignedBy)
		}
		if r.Provenance != nil {
			use(r.Provenance.SignedBy)
		}
		if r.Scan != nil {
			use(r.Scan.SignedBy)
		}
		if r.Tests != nil {
			use(r.Tests.SignedBy)
		}
	}
	if d.policy.Denied != nil {
		use(d.policy.Denied.SignedBy)
	}
	for _, b := range w.blocks("signer", 1) {
		if !used[b.Labels[0]] {
			d.mistake(b.LabelRanges[0], "Signer that nobody names", "%q is in no signed_by; take it out, or name it where its word counts.", cut(b.Labels[0]))
		}
	}
}
