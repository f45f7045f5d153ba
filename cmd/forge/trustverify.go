package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/forge-build/forge/recipes/finding"
	"github.com/forge-build/forge/recipes/trust"
	"github.com/forge-build/forge/sbom/vex"
	"github.com/forge-build/forge/signing"
	"github.com/forge-build/forge/signing/evidence"
	"github.com/forge-build/forge/signing/judge"
)

// truster judges images by a trust policy.
type truster struct {
	policy *trust.Policy
	root   *signing.Root // nil: no signer and no rule needs one
	rescan *rescanner    // nil: nothing is scanned anew
	now    time.Time
	limits evidence.Limits
}

// accepted is an image that fulfils a trust policy, or what is known of one that does not.
type accepted struct {
	Image      string              `json:"image"`
	Rule       string              `json:"rule"`
	MirrorOf   string              `json:"mirrorOf,omitempty"`
	Children   []string            `json:"children,omitempty"` // of an index, those that were judged with it
	Statements []signing.Statement `json:"statements"`
	Checks     []signing.Check     `json:"checks"`
	Rejected   []signing.Rejected  `json:"rejected,omitempty"`
}

// newTruster proves what a trust policy stands on: the root, and who signed its deny list.
func newTruster(p *trust.Policy, now time.Time) (*truster, error) {
	w := &truster{policy: p, now: now}
	if err := w.loadRoot(); err != nil {
		return nil, err
	}
	return w, w.denyList()
}

// loadRoot takes the policy's own root, else the one that forge keeps, if anything needs it.
func (w *truster) loadRoot() (err error) {
	if w.policy.Root != nil {
		if w.root, err = signing.ParseRoot(w.policy.Root.Bytes); err != nil {
			return usageError{fmt.Errorf("reading the trusted root of %q: %w", w.policy.Path, err)}
		}
		return nil
	}
	needs := slices.ContainsFunc(w.policy.Signers, func(s trust.Signer) bool { return s.Key == nil }) ||
		slices.ContainsFunc(w.policy.Rules, func(r trust.Rule) bool { return r.MaxAge > 0 || !r.Since.IsZero() })
	if !needs {
		return nil
	}
	path, err := keptRoot()
	if err != nil {
		return err
	}
	if _, err := os.Lstat(path); err != nil {
		return hinted{usageError{fmt.Errorf("%q needs a trust root for identities and times, and none is kept", w.policy.Path)}, "forge trust init fetches the public root or keeps a file; a policy may name its own with trusted_root"}
	}
	w.root, err = signing.LoadRoot(path)
	return err
}

// denyList proves who signed the deny list, and that it is a present one.
func (w *truster) denyList() error {
	l := w.policy.Denied
	if l == nil {
		return nil
	}
	name := "deny list " + l.File.Path
	digest, _, err := v1.SHA256(strings.NewReader(string(l.File.Bytes)))
	if err != nil {
		return err
	}
	ids, keys := w.who(l.SignedBy)
	_, _, err = signing.VerifyFile(l.Bundle.Bytes, signing.File{Name: name, Digest: digest, Bytes: l.File.Bytes}, signing.Policy{Identities: ids, Keys: keys, Root: w.root, Now: w.now})
	if err != nil {
		return err
	}
	if !l.List.Current(w.now) {
		return &signing.NotVerifiedError{Image: name, Checks: []signing.Check{{ID: "denied", Digest: digest.String(), Status: signing.Failed,
			Expected: "a list that holds now", Found: fmt.Sprintf("one from %s until %s", l.List.Issued.Format(time.RFC3339), l.List.Until.Format(time.RFC3339))}}}
	}
	return nil
}

// who are signers of the policy, as package signing takes them.
func (w *truster) who(names []string) (ids []signing.Identity, keys []signing.Key) {
	for _, n := range names {
		s := w.policy.Signer(n)
		if s.Key != nil {
			keys = append(keys, signing.Key{PEM: s.Key.Bytes, From: s.From, Until: s.Until})
			continue
		}
		id := signing.Identity{Issuer: s.Issuer, Name: s.Identity.Text}
		if s.Identity.Pattern {
			id.Name, id.Pattern = "", s.Identity.Text
		}
		for k, v := range s.Certificate {
			if id.Claims == nil {
				id.Claims = map[string]string{}
			}
			id.Claims[claimOf(k)] = v
		}
		ids = append(ids, id)
	}
	return ids, keys
}

// claimOf is the name that Sigstore's documents have for a word of a certificate:
// source_repository_uri is sourceRepositoryURI.
func claimOf(word string) string {
	parts := strings.Split(word, "_")
	for i := range parts[1:] {
		p := parts[i+1]
		if p == "uri" {
			p = "URI"
		}
		parts[i+1] = strings.ToUpper(p[:1]) + p[1:]
	}
	return strings.Join(parts, "")
}

// expected is a rule as package signing takes it. With only the signature it is what an index
// must have whose images have the rest.
func (w *truster) expected(r *trust.Rule, original string) signing.Policy {
	p := signing.Policy{Root: w.root, Repositories: []string{original}, Index: signing.IndexOnly, Now: w.now, Limits: w.limits}
	p.Identities, p.Keys = w.who(r.SignedBy)
	if r.MaxAge > 0 || !r.Since.IsZero() {
		p.Times = 1
	}
	want := func(kind string, signers []string, optional bool) {
		q := signing.Requirement{Types: signing.Types(kind), Optional: optional}
		q.Identities, q.Keys = w.who(signers)
		p.Statements = append(p.Statements, q)
	}
	want("signature", r.SignedBy, false)
	if r.SBOM != nil {
		kind := "sbom"
		if len(r.SBOM.Formats) == 1 {
			kind = r.SBOM.Formats[0]
		}
		want(kind, r.SBOM.SignedBy, false)
	}
	if r.Provenance != nil {
		want("provenance", r.Provenance.SignedBy, false)
	}
	if r.Scan != nil {
		want("scan", r.Scan.SignedBy, r.Scan.Rescan && w.rescan != nil) // one that is missing is made anew
	}
	if r.Tests != nil {
		want("tests", r.Tests.SignedBy, false)
	}
	if len(r.VEX) > 0 {
		want("vex", r.VEX, true)
	}
	return p
}

// spokenOf are the repositories that the policy, or the recipe in its place, has rules for.
func (w *truster) spokenOf() string {
	const most = 5
	var all []string
	for _, r := range w.policy.Rules {
		for _, s := range r.Repositories {
			all = append(all, string(s))
		}
	}
	if len(all) > most {
		all = append(all[:most], fmt.Sprintf("%d more", len(all)-most))
	}
	return strings.Join(all, ", ")
}

// verify judges one image; repository is the name by which its rule is found.
func (w *truster) verify(ctx context.Context, src evidence.Source, image signing.Image, repository string) (*accepted, error) {
	rule, original := w.policy.For(repository)
	if rule == nil {
		return nil, &signing.NotVerifiedError{Image: image.String(), Checks: []signing.Check{{ID: "rule", Digest: image.Digest.String(), Status: signing.Failed,
			Expected: "a rule for " + repository, Found: fmt.Sprintf("%q speaks of %s alone", w.policy.Path, w.spokenOf())}}}
	}
	out := &accepted{Image: image.String(), Rule: rule.Name}
	if original != repository {
		out.MirrorOf = original
	}
	doc, err := src.Document(ctx, image.Digest)
	if err != nil {
		return nil, err
	}
	if err := w.deniedImage(image, doc, out); err != nil {
		return nil, err
	}
	switch {
	case doc.Index == nil || rule.Level == trust.LevelIndex:
		err = w.one(ctx, src, image, rule, vex.Subject{Repository: original, Digest: image.Digest.String()}, nil, out)
	case rule.Level == trust.LevelEach:
		if err = w.one(ctx, src, image, judge.SignatureOnly(rule), vex.Subject{Repository: original}, nil, out); err == nil {
			err = w.each(ctx, src, image, doc, rule, original, out)
		}
	default:
		err = w.each(ctx, src, image, doc, rule, original, out)
	}
	return out, err
}

// each judges the images that an index lists.
func (w *truster) each(ctx context.Context, src evidence.Source, index signing.Image, doc *evidence.Document, rule *trust.Rule, original string, out *accepted) error {
	children, err := signing.Images(doc.Index)
	if err != nil {
		return w.refuse(index, out, signing.Check{ID: signing.CheckIndex, Status: signing.Failed, Expected: "an index of images", Found: err.Error()})
	}
	above, err := w.aboutIndex(ctx, src, index, rule, original, out)
	if err != nil {
		return err
	}
	for _, d := range children {
		child, err := src.Document(ctx, d.Digest)
		if err != nil {
			return fmt.Errorf("reading %s of index %s: %w", d.Digest, index.Digest, err)
		}
		if child.Image == nil || child.MediaType != d.MediaType || int64(len(child.Raw)) != d.Size {
			return w.refuse(index, out, signing.Check{ID: signing.CheckIndex, Status: signing.Failed, Expected: fmt.Sprintf("an image, %d bytes of %s", d.Size, d.MediaType),
				Found: fmt.Sprintf("%s: %d bytes of %s", d.Digest, len(child.Raw), child.MediaType)})
		}
		one := signing.Image{Repository: index.Repository, Digest: d.Digest}
		if err := w.one(ctx, src, one, rule, vex.Subject{Repository: original, Digest: d.Digest.String(), Index: index.Digest.String()}, above, out); err != nil {
			return err
		}
		out.Children = append(out.Children, one.String())
	}
	return nil
}

func (w *truster) refuse(image signing.Image, out *accepted, c signing.Check) error {
	c.Digest = image.Digest.String()
	out.Checks = append(out.Checks, c)
	return &signing.NotVerifiedError{Image: out.Image, Checks: out.Checks, Rejected: out.Rejected}
}

// one judges one manifest or index: who signed what, then what that says. As subject it is
// what VEX may speak of; above is what was said about the index that lists it.
func (w *truster) one(ctx context.Context, src evidence.Source, image signing.Image, rule *trust.Rule, subject vex.Subject, above []judge.Statement, out *accepted) error {
	v, err := signing.Verify(ctx, src, image, w.expected(rule, subject.Repository))
	if err != nil {
		return w.unfulfilled(err, out)
	}
	out.Checks, out.Rejected = append(out.Checks, v.Checks()...), append(out.Rejected, v.Rejected()...)
	c := judge.Case{Rule: rule, Digest: image.Digest.String(), Now: w.now, Statements: w.counting(image, v, out)}
	if c.VEX, err = saidOf(subject, rule, slices.Concat(above, c.Statements)); err != nil {
		return w.refuse(image, out, signing.Check{ID: "vex", Status: signing.Failed, Expected: "OpenVEX that can be relied on", Found: err.Error()})
	}
	if err := w.search(ctx, &c); err != nil {
		return w.unfulfilled(err, out)
	}
	rows := judge.Judge(c)
	for _, r := range rows {
		out.Checks = append(out.Checks, signing.Check{ID: r.ID, Digest: c.Digest, Type: r.Type, Status: signing.Status(r.Status), Expected: r.Expected, Found: r.Found, Why: r.Why, Evidence: r.Evidence})
	}
	if judge.Fails(rows) {
		return &signing.NotVerifiedError{Image: out.Image, Checks: out.Checks, Rejected: out.Rejected}
	}
	return nil
}

// counting are the statements that hold, without those of signers who are denied.
func (w *truster) counting(image signing.Image, v *signing.Verified, out *accepted) (all []judge.Statement) {
	for _, s := range v.Statements() {
		if d := w.deniedSigner(s); d != nil {
			out.Checks = append(out.Checks, signing.Check{ID: "denied", Digest: image.Digest.String(), Type: s.Type, Status: signing.Skipped, Evidence: s.Evidence,
				Why: fmt.Sprintf("%s does not count: %s is denied: %s", s.Type, s.Signer, d.Reason)})
			continue
		}
		out.Statements = append(out.Statements, s)
		one := judge.Statement{Type: s.Type, Document: s.Document, Signers: w.names(s), By: s.Signer.Credential(), Identity: s.Signer.Identity, Time: s.Time, Evidence: s.Evidence}
		if s.Elsewhere != "" {
			one.Large = s.Open
		}
		all = append(all, one)
	}
	return all
}

// aboutIndex is the OpenVEX about an index that counts for each image which it lists.
func (w *truster) aboutIndex(ctx context.Context, src evidence.Source, index signing.Image, rule *trust.Rule, original string, out *accepted) ([]judge.Statement, error) {
	if len(rule.VEX) == 0 {
		return nil, nil
	}
	p := signing.Policy{Root: w.root, Repositories: []string{original}, Index: signing.IndexOnly, Now: w.now, Limits: w.limits, Statements: []signing.Requirement{{Types: signing.Types("vex")}}}
	p.Identities, p.Keys = w.who(rule.VEX)
	v, err := signing.Verify(ctx, src, index, p)
	var not *signing.NotVerifiedError
	var incomplete *signing.IncompleteError
	switch {
	case err == nil:
		return w.counting(index, v, out), nil
	case errors.As(err, &incomplete), !errors.As(err, &not):
		return nil, fmt.Errorf("reading the OpenVEX about %s: %w", index, err)
	}
	return nil, nil // there is none
}

// saidOf reads what OpenVEX by those whom a rule names says of findings in an image.
func saidOf(image vex.Subject, rule *trust.Rule, statements []judge.Statement) ([]finding.Statement, error) {
	d := vex.Documents{Subject: image}
	for _, s := range statements {
		if !slices.Contains(signing.Types("vex"), s.Type) || !slices.ContainsFunc(s.Signers, func(n string) bool { return slices.Contains(rule.VEX, n) }) {
			continue
		}
		if err := d.Add(s.Document(), fmt.Sprintf("attestation %s by %s", cutAt(s.Evidence, 19), strings.Join(s.Signers, ", ")), s.By); err != nil {
			return nil, err
		}
	}
	return d.Statements(), nil
}

// unfulfilled puts what was checked before into an error of package signing.
func (w *truster) unfulfilled(err error, out *accepted) error {
	var not *signing.NotVerifiedError
	if errors.As(err, &not) {
		not.Image = out.Image
		not.Checks, not.Rejected = append(slices.Clone(out.Checks), not.Checks...), append(slices.Clone(out.Rejected), not.Rejected...)
	}
	return err
}

// search makes a scan now where the rule says so and the signed one does not do.
func (w *truster) search(ctx context.Context, c *judge.Case) error {
	if w.rescan == nil || c.Rule.Scan == nil || !c.Rule.Scan.Rescan || judge.ScanIsFresh(*c) {
		return nil
	}
	s, packages := judge.SBOMOf(*c)
	if s == nil {
		return nil // that it is missing is said anyway
	}
	var err error
	c.Rescan, err = w.rescan.search(ctx, c.Digest, s.Open(), packages)
	return err
}

// names are the policy's signers that made a statement.
func (w *truster) names(s signing.Statement) []string {
	var out []string
	for _, signer := range w.policy.Signers {
		if signer.Key != nil {
			if s.Signer.Key != "" && s.Signer.Key == fingerprint(signer.Key.Bytes) {
				out = append(out, signer.Name)
			}
			continue
		}
		fits := s.Signer.Identity != "" && signer.Identity.Fits(s.Signer.Identity) && s.Signer.Issuer == signer.Issuer
		for k, v := range signer.Certificate {
			fits = fits && s.Signer.Claims[claimOf(k)] == v
		}
		if fits {
			out = append(out, signer.Name)
		}
	}
	return out
}

func (w *truster) denied(find func(*trust.Denied) *trust.Denial) *trust.Denial {
	if w.policy.Denied == nil {
		return nil
	}
	return find(&w.policy.Denied.List)
}

// deniedImage looks for an image on the deny list, and for all that an index lists: whatever a
// rule wants of them, a runtime may choose each.
func (w *truster) deniedImage(image signing.Image, doc *evidence.Document, out *accepted) error {
	digests := []v1.Hash{image.Digest}
	if doc.Index != nil {
		for _, d := range doc.Index.Manifests {
			digests = append(digests, d.Digest)
		}
	}
	for _, digest := range digests {
		if d := w.denied(func(l *trust.Denied) *trust.Denial { return l.Image(digest.String()) }); d != nil {
			return w.refuse(signing.Image{Repository: image.Repository, Digest: digest}, out, signing.Check{ID: "denied", Status: signing.Failed, Expected: "an image that is not denied", Found: "denied: " + d.Reason})
		}
	}
	return nil
}

func (w *truster) deniedSigner(s signing.Statement) *trust.Denial {
	return w.denied(func(l *trust.Denied) *trust.Denial {
		if s.Signer.Key != "" {
			return l.Key(s.Signer.Key, s.Time)
		}
		return l.Identity(s.Signer.Identity, s.Time)
	})
}
