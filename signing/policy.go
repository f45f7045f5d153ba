package signing

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/sigstore/sigstore-go/pkg/fulcio/certificate"

	"github.com/forge-build/forge/signing/evidence"
	"github.com/forge-build/forge/signing/statement"
)

// Policy says what must hold for an image. Identities and Keys name who may sign: any one
// of them suffices for a statement, unless a Requirement names its own.
type Policy struct {
	Identities []Identity
	Keys       []Key
	Root       *Root // needed for identities, and for logs and times

	// Statements are the kinds of statements that must be there. None: the signature.
	Statements []Requirement

	// Repositories are names under which statements may have been made besides the
	// image's own: mirrors.
	Repositories []string
	// UnnamedUnsafe accepts statements that name no repository, as cosign's own bundles
	// do: such a signature counts wherever somebody copies it to.
	UnnamedUnsafe bool

	// Log and Times are how many transparency logs and how many independent times are
	// demanded. For certificates at least one of each is; for keys 0 demands none.
	Log, Times int
	// Proof demands that there is a log's entry, and that it comes with a proof of inclusion;
	// its promise, which is all that cosign's older format carries, does not suffice.
	Proof bool

	Formats Formats // which formats count
	// StatementV1 refuses statements of version 0.1, which differ in nothing that is
	// judged here; cosign's attestations are such.
	StatementV1 bool
	// Index says what must hold for the children of an index.
	Index IndexRule

	Limits evidence.Limits
	Now    time.Time // the clock; zero: time.Now
}

// Requirement is a kind of statement that must be there.
type Requirement struct {
	// Types are the exact predicate types, any of which satisfies it.
	Types []string
	// Identities and Keys replace the policy's for this kind, if one is given.
	Identities []Identity
	Keys       []Key
	// Signers is how many different signers must have made it; 0 means 1.
	Signers int
	// Optional says that it may be missing, and is named for its signers alone: else the
	// policy's would be the ones who may make it.
	Optional bool
}

// Identity is a signer known by a certificate. The name is exact, or a pattern that must
// match the whole name; the issuer is exact.
type Identity struct {
	Name    string // e-mail address or URI of the certificate's only alternative name
	Pattern string // regular expression, anchored by forge at both ends
	Issuer  string // of the identity token
	// Claims pins further extensions of the certificate by their names in Sigstore's
	// documents, for example sourceRepositoryRef or buildTrigger.
	Claims map[string]string
}

// Key is a signer known by a public key. Outside its window, if it has one, it counts for
// nothing; when no verified time is demanded, the window is compared with the present.
type Key struct {
	PEM         []byte
	From, Until time.Time
}

// Formats says which of the two formats count.
type Formats int

// A policy that names one format ignores the other, so that deleting the good candidates of
// one format cannot make forge fall back to the other.
const (
	AnyFormat Formats = iota
	BundlesOnly
	LegacyOnly
)

// IndexRule says what must hold for an image index.
type IndexRule int

const (
	// EveryChild wants each image of an index to fulfil the policy by itself, and the index to be
	// signed if they must be.
	EveryChild IndexRule = iota
	// IndexOnly is content with statements about the index, which names its children by
	// digest.
	IndexOnly
)

// PolicyError is an expectation that is empty or contradicts itself.
type PolicyError struct{ Reason string }

func (e *PolicyError) Error() string { return "the expectation is wrong: " + e.Reason }

// Check judges a policy without looking at any image. Verify calls it first.
func (p *Policy) Check() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, &PolicyError{fmt.Sprintf(format, args...)}) }
	everyone := len(p.Identities)+len(p.Keys) > 0
	reqs := p.requirements()
	for _, r := range reqs {
		if len(r.Types) == 0 {
			bad("a required statement has no type")
		}
		for _, t := range r.Types {
			if t == "" || strings.TrimSpace(t) != t {
				bad("%q is no predicate type", t)
			}
		}
		if !everyone && len(r.Identities)+len(r.Keys) == 0 {
			bad("nobody is named who may sign (an identity with its issuer, or a key)")
			break
		}
		if ids, keys := p.of(r); r.Signers < 0 || r.Signers > 1 && r.Signers > len(ids)+len(keys) {
			bad("%d signers are demanded of %d that are named", r.Signers, len(ids)+len(keys))
		}
	}
	if !slices.ContainsFunc(reqs, func(r Requirement) bool { return !r.Optional }) {
		bad("no statement is demanded")
	}
	ids, keys := p.everyone()
	for _, id := range ids {
		if err := id.check(); err != nil {
			errs = append(errs, err)
		}
	}
	for _, k := range keys {
		if err := k.check(); err != nil {
			errs = append(errs, err)
		}
	}
	switch {
	case len(ids) > 0 && p.Root == nil:
		bad("identities can only be judged with a trust root")
	case (p.Log > 0 || p.Times > 0 || p.Proof) && p.Root == nil:
		bad("logs and times can only be judged with a trust root")
	case p.Log < 0 || p.Times < 0:
		bad("a number of logs or times is negative")
	}
	for _, r := range p.Repositories {
		if _, err := name.NewRepository(r, name.WithDefaultRegistry("")); err != nil || !strings.Contains(r, "/") {
			bad("%q is no repository name with its registry", r)
		}
	}
	return errors.Join(errs...)
}

// requirements are the policy's, with its default.
func (p *Policy) requirements() []Requirement {
	if len(p.Statements) == 0 {
		return []Requirement{{Types: []string{statement.TypeSignature}}}
	}
	return p.Statements
}

// ofIndex are the requirements for an index whose images must fulfil the policy: it is signed as
// they are, and has no content of its own that a statement could be about.
func (p *Policy) ofIndex() []Requirement {
	all := slices.Clone(p.requirements())
	for i, r := range all {
		all[i].Optional = r.Optional || !slices.Contains(r.Types, statement.TypeSignature)
	}
	return all
}

// everyone is who is named anywhere in the policy.
func (p *Policy) everyone() ([]Identity, []Key) {
	ids, keys := append([]Identity(nil), p.Identities...), append([]Key(nil), p.Keys...)
	for _, r := range p.Statements {
		ids, keys = append(ids, r.Identities...), append(keys, r.Keys...)
	}
	return ids, keys
}

// of is who may make a required statement.
func (p *Policy) of(r Requirement) ([]Identity, []Key) {
	if len(r.Identities)+len(r.Keys) > 0 {
		return r.Identities, r.Keys
	}
	return p.Identities, p.Keys
}

// logs is how many transparency logs a key's signature must be in.
func (p *Policy) logs() int {
	if p.Proof {
		return max(1, p.Log)
	}
	return p.Log
}

func (p *Policy) now() time.Time {
	if p.Now.IsZero() {
		return time.Now()
	}
	return p.Now
}

func (id Identity) check() error {
	switch {
	case id.Name == "" && id.Pattern == "":
		return &PolicyError{"an identity has neither a name nor a pattern"}
	case id.Name != "" && id.Pattern != "":
		return &PolicyError{fmt.Sprintf("identity %q has a pattern too; give one of both", id.Name)}
	case id.Issuer == "":
		return &PolicyError{fmt.Sprintf("identity %q has no issuer: the same name can be had from another", id.Name+id.Pattern)}
	}
	if id.Pattern != "" {
		re, err := id.pattern()
		if err != nil {
			return &PolicyError{fmt.Sprintf("pattern %q: %v", id.Pattern, err)}
		}
		if re.MatchString("") || re.MatchString("nobody.in-particular@example.invalid") || re.MatchString("https://example.invalid/nobody/in.yml@particular") {
			return &PolicyError{fmt.Sprintf("pattern %q fits everybody", id.Pattern)}
		}
	}
	if _, err := id.extensions(); err != nil {
		return &PolicyError{fmt.Sprintf("identity %q: %v", id.Name+id.Pattern, err)}
	}
	return nil
}

// pattern is the expression that must match a whole name. Line breaks match no dot.
func (id Identity) pattern() (*regexp.Regexp, error) {
	if _, err := regexp.Compile(id.Pattern); err != nil { // by itself: "a)(b" must not close the group
		return nil, err
	}
	return regexp.Compile(`\A(?:` + id.Pattern + `)\z`)
}

func (id Identity) extensions() (certificate.Extensions, error) {
	var e certificate.Extensions
	raw, err := json.Marshal(id.Claims)
	if err != nil {
		return e, err
	}
	dec := json.NewDecoder(strings.NewReader(string(raw)))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&e); err != nil {
		return e, fmt.Errorf("the claims hold one that certificates do not have: %w", err)
	}
	for k, v := range id.Claims {
		if k == "issuer" || v == "" {
			return e, fmt.Errorf("claim %q is empty, or is the issuer, which has its own place", k)
		}
	}
	return e, nil
}

// String shows an identity as people name it.
func (id Identity) String() string {
	who := id.Name
	if id.Pattern != "" {
		who = "/" + id.Pattern + "/"
	}
	s := who + " by " + id.Issuer
	for _, k := range sortedKeys(id.Claims) {
		s += fmt.Sprintf(", %s=%s", k, id.Claims[k])
	}
	return s
}

func (k Key) check() error {
	if _, err := k.public(); err != nil {
		return &PolicyError{err.Error()}
	}
	if !k.From.IsZero() && !k.Until.IsZero() && !k.From.Before(k.Until) {
		return &PolicyError{fmt.Sprintf("key %s ends (%s) before it begins (%s)", k.fingerprint(), k.Until.Format(time.RFC3339), k.From.Format(time.RFC3339))}
	}
	return nil
}
