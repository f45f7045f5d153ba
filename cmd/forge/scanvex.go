package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/spf13/cobra"

	"github.com/forge-build/forge/recipes"
	"github.com/forge-build/forge/recipes/trust"
	"github.com/forge-build/forge/signing"
	"github.com/forge-build/forge/signing/evidence"
)

// vexOptions say whose OpenVEX counts when it is attached to an image.
type vexOptions struct {
	attestations bool
	trust        string // a trust policy file
	expectation
}

func (o *vexOptions) flags(c *cobra.Command) {
	f := c.Flags()
	f.BoolVar(&o.attestations, "vex-attestations", false, "OpenVEX that is attached to the image counts where somebody whom you name has signed it")
	f.StringVar(&o.trust, "policy", "", "`FILE` of a trust policy whose rule for the image says who may sign OpenVEX, instead of flags")
	f.StringArrayVar(&o.repositories, "repository", nil, "`REPOSITORY` by which VEX may mean the image besides its own: a mirror's origin, a layout's name")
	f.BoolVar(&o.unnamed, "unsafe-unnamed", false, "accept statements that name no repository")
	o.who(c)
	o.format, o.attestationsOnly, o.require = "any", true, []string{"vex"}
}

// signedVEX reads the OpenVEX that is attached to images, and takes what is signed by those
// who are named.
type signedVEX struct {
	t         *terminal
	policy    signing.Policy // by flags
	trust     *truster       // by a trust policy; nil: by flags
	transport http.RoundTripper
}

// attachment is a document that was signed.
type attachment struct {
	raw          []byte
	name, signer string
}

// reader says who is named, before anything is read; nil: nobody has asked for attestations.
func (o *vexOptions) reader(ctx context.Context, t *terminal) (r *signedVEX, err error) {
	named := len(o.identities)+len(o.patterns)+len(o.keys)+len(o.claims) > 0 || o.issuer+o.root != "" || o.unnamed
	switch {
	case !o.attestations && (named || o.trust != ""):
		return nil, usageError{errors.New("who may sign OpenVEX is said, and --vex-attestations is missing")}
	case !o.attestations:
		return nil, nil
	case o.trust != "" && named:
		return nil, usageError{errors.New("--policy says who may sign OpenVEX; a flag would say it again")}
	}
	r = &signedVEX{t: t}
	if o.trust == "" {
		r.policy, err = o.policy(ctx)
	} else {
		var p *trust.Policy
		if p, err = recipes.LoadTrust(o.trust); err == nil {
			r.trust, err = newTruster(p, time.Now())
		}
	}
	if err != nil {
		return nil, err
	}
	r.policy.Index, r.policy.Repositories = signing.IndexOnly, o.repositories
	r.transport, err = transportOf()
	return r, err
}

// read reads what is attached to an image, and to the index that its name leads to. What
// nobody who is named has signed does not count, and is told.
func (r *signedVEX) read(ctx context.Context, b *brought) ([]attachment, error) {
	src, repository, err := r.open(ctx, b.spot)
	if err != nil {
		return nil, err
	}
	if c, ok := src.(*evidence.Layout); ok {
		defer c.Close() // only read
	}
	p, err := r.expected(repository)
	if err != nil {
		return nil, err
	}
	digests := []v1.Hash{b.named, b.image}
	if b.named == b.image {
		digests = digests[:1]
	}
	var out []attachment
	for _, digest := range digests {
		some, err := r.about(ctx, src, signing.Image{Repository: repository, Digest: digest}, p)
		if err != nil {
			return nil, err
		}
		out = append(out, some...)
	}
	if len(out) == 0 {
		r.t.say("warning: no OpenVEX that somebody whom you name has signed is attached to %s", b.spot.at(b.named))
	}
	return out, nil
}

func (r *signedVEX) about(ctx context.Context, src evidence.Source, image signing.Image, p signing.Policy) (out []attachment, err error) {
	v, err := signing.Verify(ctx, src, image, p)
	var not *signing.NotVerifiedError
	var incomplete *signing.IncompleteError
	if errors.As(err, &incomplete) || err != nil && !errors.As(err, &not) {
		return nil, fmt.Errorf("reading the OpenVEX that is attached to %s: %w", image, err)
	}
	if not != nil {
		r.ignored(not.Rejected)
		return nil, nil
	}
	r.ignored(v.Rejected())
	for _, s := range v.Statements() {
		if !slices.Contains(signing.Types("vex"), s.Type) {
			continue
		}
		if r.trust != nil && r.trust.deniedSigner(s) != nil {
			r.t.say("warning: OpenVEX attached to %s does not count: %s, who has signed it, is denied", image, s.Signer)
			continue
		}
		r.t.say("OpenVEX attached to %s counts: signed by %s", image, s.Signer)
		out = append(out, attachment{s.Document(), fmt.Sprintf("attestation %s by %s", cutAt(s.Evidence, 19), s.Signer), s.Signer.Credential()})
	}
	return out, nil
}

// ignored tells what is attached and does not count: what claims to be OpenVEX, and what
// cannot be read.
func (r *signedVEX) ignored(rejected []signing.Rejected) {
	const most = 10
	n := 0
	for _, x := range rejected {
		if x.Type != "" && !slices.Contains(signing.Types("vex"), x.Type) {
			continue
		}
		if n++; n <= most {
			r.t.say("warning: what is attached does not count: %s", x)
		}
	}
	if n > most {
		r.t.say("warning: %d more do not count either", n-most)
	}
}

// open finds where statements about an image lie.
func (r *signedVEX) open(ctx context.Context, s spot) (evidence.Source, string, error) {
	switch {
	case s.archive != "":
		return nil, "", usageError{errors.New("--vex-attestations reads what is attached in a registry or a layout, not in an archive")}
	case s.dir == "":
		src, err := evidence.OpenRegistry(ctx, r.transport, s.repo)
		return src, s.repo.Name(), err
	}
	src, err := evidence.OpenLayout(s.dir)
	return src, "", err
}

// expected is who may sign OpenVEX about the images of a repository.
func (r *signedVEX) expected(repository string) (signing.Policy, error) {
	p := r.policy
	if r.trust == nil {
		return p, nil
	}
	if repository == "" {
		if len(p.Repositories) != 1 {
			return p, usageError{errors.New("a layout has no repository: name the one whose rule applies with --repository")}
		}
		repository = p.Repositories[0]
	}
	rule, original := r.trust.policy.For(repository)
	if rule == nil {
		return p, usageError{fmt.Errorf("the trust policy has no rule for %s, so nobody may sign OpenVEX about it", repository)}
	}
	p.Root, p.Repositories, p.Now = r.trust.root, append(slices.Clone(p.Repositories), original), r.trust.now
	signers := rule.VEX
	if len(signers) == 0 {
		signers = rule.SignedBy
	}
	p.Identities, p.Keys = r.trust.who(signers)
	p.Statements = []signing.Requirement{{Types: signing.Types("vex")}}
	return p, nil
}
