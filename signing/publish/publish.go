package publish

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/forge-build/forge/signing"
	"github.com/forge-build/forge/signing/evidence"
	"github.com/forge-build/forge/signing/push"
	"github.com/forge-build/forge/signing/statement"
)

// Order says what is to be published, and where.
type Order struct {
	From  push.Source
	Image v1.Descriptor // of From: an image or an index
	To    name.Repository
	Tags  []string          // they move last; none without a Signer
	Mount []name.Repository // whose blobs may be mounted
	// Statements are what is said of an image, beside its signature. It is called for the image,
	// and for each one of an index. It may be nil.
	Statements func(*push.Document) ([]statement.Statement, error)
	Signer     *signing.Signer // nil: nothing is signed
	Older      bool            // cosign's older tags are written too
}

// Published says what was done.
type Published struct {
	Image  name.Digest
	Sent   push.Sent
	Signed []string // predicate types of what was signed now
	Kept   []string // predicate types of what an earlier run had signed
	Tags   []string
}

// Publisher brings images to registries.
type Publisher struct {
	Push      *push.Client
	Transport http.RoundTripper // of registry.Transport, to read back with
	Step      func(string)      // told what begins; may be nil
}

func (p *Publisher) step(format string, args ...any) {
	if p.Step != nil {
		p.Step(fmt.Sprintf(format, args...))
	}
}

// target is one image or index with what is to be said of it.
type target struct {
	image      name.Digest
	descriptor v1.Descriptor
	statements []written       // the signature last
	documents  []push.Artifact // which statements name that are too small to hold them
}

type written struct {
	kind string // predicate type of what is stated, wherever it lies
	raw  []byte
}

// Publish carries an order out.
func (p *Publisher) Publish(ctx context.Context, o Order) (*Published, error) {
	if o.Signer == nil && len(o.Tags) > 0 {
		return nil, errors.New("internal error: a tag for an image that nobody signs")
	}
	out := &Published{Image: o.To.Digest(o.Image.Digest.String())}
	targets, err := p.targets(ctx, o)
	if err != nil {
		return nil, err
	}
	p.step("sending %s", out.Image)
	if out.Sent, err = p.Push.Push(ctx, o.From, o.Image, o.To, o.Mount); err != nil {
		return nil, fmt.Errorf("sending %s: %w", out.Image, err)
	}
	if o.Signer == nil {
		return out, nil
	}
	for _, t := range targets {
		if err := p.sign(ctx, o.Signer, t, out); err != nil {
			return nil, err
		}
		if o.Older {
			if err := p.signOlder(ctx, o.Signer, t, out); err != nil {
				return nil, err
			}
		}
	}
	for _, t := range targets {
		p.step("verifying %s", t.image)
		formats := []signing.Formats{signing.BundlesOnly}
		if o.Older {
			formats = append(formats, signing.LegacyOnly)
		}
		for _, f := range formats {
			if err := p.verify(ctx, o.Signer, t, f); err != nil {
				return nil, fmt.Errorf("reading back %s: %w", t.image, err)
			}
		}
	}
	for _, tag := range o.Tags {
		p.step("tagging %s:%s", o.To, tag)
		if err := p.tag(ctx, out.Image, tag); err != nil {
			return nil, err
		}
		out.Tags = append(out.Tags, tag)
	}
	return out, nil
}

// targets are the images of an index, then the index; or the one image.
func (p *Publisher) targets(ctx context.Context, o Order) ([]target, error) {
	doc, err := o.From.Document(ctx, o.Image.Digest, o.Image.MediaType)
	if err != nil {
		return nil, err
	}
	var out []target
	for _, child := range doc.Manifests {
		if child.MediaType.IsIndex() {
			return nil, fmt.Errorf("%s holds the index %s: nobody verifies an index inside an index, so it is not published", o.Image.Digest, child.Digest)
		}
		below := o
		below.Image = child
		more, err := p.targets(ctx, below)
		if err != nil {
			return nil, err
		}
		out = append(out, more...)
		if len(out) > 64 {
			return nil, fmt.Errorf("%s: an index of more than 64 images is not published", o.Image.Digest)
		}
	}
	t := target{image: o.To.Digest(doc.Descriptor.Digest.String()), descriptor: doc.Descriptor}
	if o.Signer == nil {
		return append(out, t), nil
	}
	var all []statement.Statement
	if o.Statements != nil {
		if all, err = o.Statements(doc); err != nil {
			return nil, err
		}
	}
	for _, s := range append(slices.Clone(all), statement.Signature()) {
		if err := t.state(s, o.To.Name(), o.Signer.MaxStatement()); err != nil {
			return nil, err
		}
	}
	return append(out, t), nil
}

// maxHead is more than a statement holds beside its document.
const maxHead = 4 << 10

// state writes a statement. One of more than most bytes, which nobody would read whole, names its
// document, which lies beside it. signing A45.
func (t *target) state(s statement.Statement, repository string, most int) error {
	about := statement.Image{Repository: repository, Digest: t.image.DigestStr()}
	document, err := s.Document()
	if err != nil {
		return err
	}
	kind := s.Type
	switch {
	case len(document) > signing.MaxDocument:
		return &SizeError{kind, t.image.String(), int64(len(document))}
	case len(document)+maxHead > most:
		s = statement.Elsewhere(kind, document, about)
		t.documents = append(t.documents, push.Artifact{Type: statement.MediaType(kind), Content: document})
	}
	raw, err := s.Write(about)
	if err != nil {
		return err
	}
	t.statements = append(t.statements, written{kind, raw})
	return nil
}

// SizeError is a document that is too large to be read when it is verified. signing A45.
type SizeError struct {
	Type  string
	Image string
	Size  int64
}

func (e *SizeError) Error() string {
	return fmt.Sprintf("the statement %s about %s has %.1f MB, more than the %d MiB that are read when it is verified", e.Type, e.Image, float64(e.Size)/1e6, signing.MaxDocument>>20)
}

// Hint says what to do.
func (e *SizeError) Hint() string {
	return "nothing was sent; fewer packages make it smaller: divide the image, or let slim drop what nobody needs"
}

// sign signs and attaches what is not there yet, the signature after the attestations.
func (p *Publisher) sign(ctx context.Context, signer *signing.Signer, t target, out *Published) error {
	if len(t.documents) > 0 { // before what names them
		if _, err := p.Push.Attach(ctx, t.image, t.descriptor, t.documents...); err != nil {
			return err
		}
	}
	there, err := p.signed(ctx, signer, t, signing.BundlesOnly)
	if err != nil {
		return fmt.Errorf("looking for what is signed of %s: %w", t.image, err)
	}
	var missing []written
	for _, w := range t.statements {
		if there.has(w, signing.BundlesOnly) {
			out.Kept = append(out.Kept, w.kind)
			continue
		}
		missing = append(missing, w)
	}
	last := slices.IndexFunc(missing, func(w written) bool { return w.kind == statement.TypeSignature })
	if last < 0 {
		last = len(missing)
	}
	for _, batch := range [][]written{missing[:last], missing[last:]} {
		if len(batch) == 0 {
			continue
		}
		var bundles []push.Artifact
		for _, w := range batch {
			p.step("signing %s of %s", w.kind, t.image)
			s, err := signer.Sign(ctx, w.raw)
			if err != nil {
				return err
			}
			bundles = append(bundles, push.Artifact{Type: signing.BundleType, Content: s.Bundle, Annotations: map[string]string{
				"dev.sigstore.bundle.content": "dsse-envelope", "dev.sigstore.bundle.predicateType": s.Type}})
			out.Signed = append(out.Signed, w.kind)
		}
		if _, err := p.Push.Attach(ctx, t.image, t.descriptor, bundles...); err != nil {
			return err
		}
	}
	return nil
}

// signOlder does the same with cosign's older tags.
func (p *Publisher) signOlder(ctx context.Context, signer *signing.Signer, t target, out *Published) error {
	there, err := p.signed(ctx, signer, t, signing.LegacyOnly)
	if err != nil {
		return fmt.Errorf("looking for what is signed of %s: %w", t.image, err)
	}
	for _, w := range t.statements {
		if there.has(w, signing.LegacyOnly) {
			continue
		}
		p.step("signing %s of %s in the older format", w.kind, t.image)
		var s *signing.Older
		if w.kind == statement.TypeSignature {
			s, err = signer.SignOlder(ctx, t.image)
		} else {
			s, err = signer.AttestOlder(ctx, w.raw)
		}
		if err != nil {
			return err
		}
		layer := push.Layer{MediaType: s.MediaType, Content: s.Raw, Annotations: s.Annotations}
		if err := p.Push.AddOlder(ctx, t.image, s.Suffix[1:], layer); err != nil {
			return err
		}
		out.Signed = append(out.Signed, w.kind)
	}
	return nil
}

// present are verified statements.
type present []signing.Statement

// has looks for what says the same. An older signature has a form of its own, which says no more
// than which image it is about.
func (there present) has(w written, f signing.Formats) bool {
	return slices.ContainsFunc(there, func(s signing.Statement) bool {
		return statement.Same(s.Payload, w.raw) || f == signing.LegacyOnly && s.Type == w.kind && w.kind == statement.TypeSignature
	})
}

// signed are the statements that this signer has signed already.
func (p *Publisher) signed(ctx context.Context, signer *signing.Signer, t target, f signing.Formats) (present, error) {
	policy := signer.Policy()
	policy.Index, policy.Formats = signing.IndexOnly, f
	one := signing.Requirement{}
	for _, w := range t.statements {
		one.Types = append(one.Types, w.kind)
	}
	policy.Statements = []signing.Requirement{one}
	v, err := p.read(ctx, t, policy)
	var none *signing.NotVerifiedError
	if errors.As(err, &none) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return v.Statements(), nil
}

// verify wants of each statement what a consumer would, and that it is the one that was meant.
func (p *Publisher) verify(ctx context.Context, signer *signing.Signer, t target, f signing.Formats) error {
	policy := signer.Policy()
	policy.Index, policy.Formats = signing.IndexOnly, f // each image of an index is a target of its own
	for _, w := range t.statements {
		policy.Statements = append(policy.Statements, signing.Requirement{Types: []string{w.kind}})
	}
	v, err := p.read(ctx, t, policy)
	if err != nil {
		return err
	}
	for _, w := range t.statements {
		if !present(v.Statements()).has(w, f) {
			return fmt.Errorf("the statement %s that is meant is not there", w.kind)
		}
	}
	return nil
}

func (p *Publisher) read(ctx context.Context, t target, policy signing.Policy) (*signing.Verified, error) {
	src, err := evidence.OpenRegistry(ctx, p.Transport, t.image.Context())
	if err != nil {
		return nil, err
	}
	image, err := signing.ImageOf(t.image)
	if err != nil {
		return nil, err
	}
	return signing.Verify(ctx, src, image, policy)
}

// tag moves a tag and looks that it has moved.
func (p *Publisher) tag(ctx context.Context, image name.Digest, tag string) error {
	if err := p.Push.Tag(ctx, image, tag); err != nil {
		return fmt.Errorf("tagging %s:%s: %w", image.Context(), tag, err)
	}
	got, err := p.Push.Resolve(ctx, image.Context().Tag(tag))
	if err != nil {
		return fmt.Errorf("reading back %s:%s: %w", image.Context(), tag, err)
	}
	if got.Descriptor.Digest.String() != image.DigestStr() {
		return fmt.Errorf("reading back %s:%s: it names %s; somebody else has moved it", image.Context(), tag, got.Descriptor.Digest)
	}
	return nil
}
