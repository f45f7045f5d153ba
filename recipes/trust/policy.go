package trust

import (
	"bytes"
	"regexp"
	"slices"
	"time"
)

// Policy is what a trust policy file says, checked and with every default filled in.
type Policy struct {
	Path    string   // of the file, as the caller named it
	SHA256  string   // of its bytes, lower-case hex
	Root    *File    // whom to trust for certificates, logs and times; nil: the root that forge keeps
	Signers []Signer // in the order of the file
	Denied  *DenyList
	Rules   []Rule // in the order of the file
}

// File is a file that the policy names, read together with it.
type File struct {
	Path  string // slash path relative to the policy; empty when the policy holds the text itself
	Bytes []byte
}

// Signer is somebody whose word may count: the holder of an identity, or of a key.
type Signer struct {
	Name string

	Identity    Match             // of a certificate; empty for a key
	Issuer      string            // who vouched for the identity, exactly
	Certificate map[string]string // further words of the certificate (Extensions), exactly

	Key         *File     // public key, PEM; nil for an identity
	From, Until time.Time // when the key is valid, both inclusive; zero: without a bound
}

// ValidAt says whether the signer's key was valid at a time. An identity has no window of its
// own: its certificate has.
func (s *Signer) ValidAt(t time.Time) bool {
	return (s.From.IsZero() || !t.Before(s.From)) && (s.Until.IsZero() || !t.After(s.Until))
}

// Match is a text that must be equal, or a pattern (RE2) that must fit from end to end.
type Match struct {
	Text    string
	Pattern bool
}

// Fits says whether s is what was meant. The empty Match fits nothing.
func (m Match) Fits(s string) bool {
	if m.Text == "" {
		return false
	}
	if !m.Pattern {
		return s == m.Text
	}
	re, err := m.Regexp()
	return err == nil && re.MatchString(s)
}

// Regexp is the pattern, anchored at both ends. The text alone must be a pattern too, so that
// no parenthesis of it closes the anchor's.
func (m Match) Regexp() (*regexp.Regexp, error) {
	if !m.Pattern {
		return regexp.Compile(`\A` + regexp.QuoteMeta(m.Text) + `\z`)
	}
	if _, err := regexp.Compile(m.Text); err != nil {
		return nil, err
	}
	return regexp.Compile(`\A(?:` + m.Text + `)\z`)
}

// String is the text as a policy writes it.
func (m Match) String() string {
	if m.Pattern {
		return "pattern " + m.Text
	}
	return m.Text
}

// Extensions are the words of a Fulcio certificate that a signer may pin, as a policy names
// them. Source: https://github.com/sigstore/fulcio/blob/main/docs/oid-info.md, 1.3.6.1.4.1.57264.1.9
// to .22.
var Extensions = []string{
	"build_config_digest", "build_config_uri", "build_signer_digest", "build_signer_uri", "build_trigger", "run_invocation_uri",
	"runner_environment", "source_repository_digest", "source_repository_identifier", "source_repository_owner_identifier",
	"source_repository_owner_uri", "source_repository_ref", "source_repository_uri", "source_repository_visibility_at_signing",
}

// Level says what statements must be about.
type Level string

// The levels. An image without an index has one manifest, and all mean that.
const (
	LevelEach     Level = "each"     // the index, and each image that it lists
	LevelIndex    Level = "index"    // the index, which names its images by digest
	LevelPlatform Level = "platform" // each image that the index lists; the index itself need not be signed
)

// Levels are the words of a policy.
var Levels = []string{string(LevelEach), string(LevelIndex), string(LevelPlatform)}

// Rule says what an image of its repositories must have. Exactly one rule applies to a
// repository.
type Rule struct {
	Name         string
	Repositories []Scope
	Mirrors      []Mirror

	SignedBy   []string // names of signers; any of them will do
	Signatures int      // by how many of them, distinct; 1 or more
	Level      Level

	MaxAge  time.Duration     // of the signature; 0: any
	Since   time.Time         // nothing signed earlier; zero: any
	Minimum map[string]string // Python distribution → oldest version that may be in the image
	Driver  string            // oldest driver of the fleet: an image that needs a newer one is refused
	Bases   []string          // what may lie below (BaseFits); empty: anything

	SBOM       *SBOM // nil: need not be there
	Provenance *Provenance
	Scan       *Scan
	VEX        []string // names of signers whose OpenVEX about findings of a scan counts; empty: nobody's
	Tests      *Tests
}

// SBOM asks for a list of what is in the image.
type SBOM struct {
	SignedBy []string
	Formats  []string // "spdx", "cyclonedx"; empty: either
}

// Provenance asks how the image came to be.
type Provenance struct {
	SignedBy []string
	Builders []Match  // who built it; empty: whoever signed
	Recipes  []string // sha256:… of the recipe's bytes; empty: any
	Locks    []string // sha256:… of the lock's bytes; empty: any
}

// Scan asks for a search for known vulnerabilities, and limits what it may have found.
type Scan struct {
	SignedBy       []string
	MaxAge         time.Duration  // of the scan; 0: any
	DatabaseMaxAge time.Duration  // of the database when it was used; 0: any
	Limit          string         // no finding of this severity or above; empty: no such limit
	AtMost         map[string]int // severity → findings that are still taken
	Exploited      bool           // findings that are known to be exploited are taken too
	Waivers        bool           // the publisher's waivers count
	Rescan         bool           // a scan that is missing or too old is made anew, from the SBOM
}

// Tests asks for the recipe's tests to have passed.
type Tests struct{ SignedBy []string }

// Signer is the signer of a name, or nil.
func (p *Policy) Signer(name string) *Signer {
	for i := range p.Signers {
		if p.Signers[i].Name == name {
			return &p.Signers[i]
		}
	}
	return nil
}

// Severities are the names of severities, least first.
var Severities = []string{"negligible", "low", "medium", "high", "critical"}

// DenyList is a signed, dated list of what is not trusted any more, whoever vouches for it.
type DenyList struct {
	File     File
	Bundle   File     // the signature over the list
	SignedBy []string // whose word it must be
	List     Denied   // what it says; believe it only when the bundle is verified
}

// Denied is what a deny list says.
type Denied struct {
	Issued, Until time.Time // a list out of this window denies everything
	Entries       []Denial
}

// Denial is one entry: exactly one of Image, Key and Identity is set.
type Denial struct {
	Image    string // sha256:… of a manifest or index
	Key      string // sha256:… of a public key's DER (PKIX)
	Identity Match
	Reason   string
	Since    time.Time // of keys and identities: what they signed before still counts; zero: nothing does
}

// Image is the denial of a digest, or nil.
func (d *Denied) Image(digest string) *Denial {
	return d.find(func(e *Denial) bool { return e.Image != "" && e.Image == digest })
}

// Key is the denial of a key for what it signed at a time, or nil. A zero time is one that
// nobody proved: no signature is old enough then.
func (d *Denied) Key(fingerprint string, at time.Time) *Denial {
	return d.find(func(e *Denial) bool { return e.Key != "" && e.Key == fingerprint && e.covers(at) })
}

// Identity is the denial of an identity for what it signed at a time, or nil.
func (d *Denied) Identity(san string, at time.Time) *Denial {
	return d.find(func(e *Denial) bool { return e.Identity.Fits(san) && e.covers(at) })
}

func (d *Denied) find(is func(*Denial) bool) *Denial {
	i := slices.IndexFunc(d.Entries, func(e Denial) bool { return is(&e) })
	if i < 0 {
		return nil
	}
	return &d.Entries[i]
}

func (e *Denial) covers(at time.Time) bool {
	return at.IsZero() || e.Since.IsZero() || !at.Before(e.Since)
}

// Current says whether the list may be used at a time.
func (d *Denied) Current(t time.Time) bool { return !t.Before(d.Issued) && !t.After(d.Until) }

// IsText says whether a value of the policy is the content itself and not a file's name.
func IsText(value string) bool {
	v := bytes.TrimSpace([]byte(value))
	return bytes.HasPrefix(v, []byte("-----BEGIN ")) || bytes.HasPrefix(v, []byte("{"))
}
