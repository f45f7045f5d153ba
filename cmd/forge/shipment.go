package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/forge-build/forge/builder"
	"github.com/forge-build/forge/recipes"
	"github.com/forge-build/forge/recipes/lock"
	"github.com/forge-build/forge/sbom/report"
	"github.com/forge-build/forge/signing/publish"
	"github.com/forge-build/forge/signing/push"
	"github.com/forge-build/forge/signing/statement"
)

// shipment is what goes out as one: an image, or images for several platforms, which become
// one index.
type shipment struct {
	publishOptions
	publisher *publish.Publisher
	images    []*recipes.Image // sorted by platform; none of a layout
	order     publish.Order
}

// ship readies everything that can be wrong before anything is built: the destination and
// the signer. Without an image it is for a layout.
func (o publishOptions) ship(ctx context.Context, t *terminal, im *recipes.Image, dir string) (*shipment, error) {
	repo, tags, err := o.destinationOf(im)
	if err != nil {
		return nil, err
	}
	s := &shipment{publishOptions: o, order: publish.Order{To: repo, Tags: tags}}
	if im != nil {
		s.images = []*recipes.Image{im}
		if !o.noSign {
			s.signOptions = o.over(im.Sign, dir)
		}
	}
	s.order.Older = s.legacy
	if s.order.Signer, err = s.signer(ctx, t); err != nil {
		return nil, err
	}
	if s.legacy {
		if err := s.order.Signer.MayBeOlder(); err != nil {
			return nil, hinted{err, "leave --legacy-signature (legacy_signature) out, or name a log of the first version in the signing config"}
		}
	}
	for _, m := range o.mount {
		from, err := name.NewRepository(m, name.StrictValidation)
		if err != nil {
			return nil, usageError{fmt.Errorf("--mount %q: registry and path are due", m)}
		}
		s.order.Mount = append(s.order.Mount, from)
	}
	rt, err := transportOf()
	if err != nil {
		return nil, err
	}
	client, err := newPusher(t)
	if err != nil {
		return nil, err
	}
	s.publisher = &publish.Publisher{Push: client, Transport: rt, Step: func(what string) { t.progress("%s", what) }}
	return s, nil
}

// shipments readies all images that are to be published, before anything is built; none if
// o is nil. Images that share a repository and tags go out as one.
func shipments(ctx context.Context, t *terminal, o *publishOptions, file *recipes.File, images []*recipes.Image) ([]*shipment, error) {
	if o == nil {
		return nil, nil
	}
	var all []*shipment
	for _, im := range images {
		if err := o.whole(file, im, images); err != nil {
			return nil, err
		}
		joined := false
		for _, s := range all {
			var err error
			if joined, err = s.join(*o, file, im); err != nil {
				return nil, fmt.Errorf("image %q: %w", im.Name, err)
			}
			if joined {
				break
			}
		}
		if joined {
			continue
		}
		s, err := o.ship(ctx, t, im, file.Dir)
		if err != nil {
			return nil, fmt.Errorf("image %q: %w", im.Name, err)
		}
		all = append(all, s)
	}
	return all, nil
}

// whole refuses to publish one of several platforms under the recipe's tags: the others would be
// gone from there.
func (o publishOptions) whole(file *recipes.File, im *recipes.Image, images []*recipes.Image) error {
	if o.to != "" || o.tags != nil || o.noSign || len(im.Tags) == 0 {
		return nil
	}
	for _, other := range file.Together(im) {
		if !slices.Contains(images, other) {
			return usageError{fmt.Errorf("--image %s: it is one image with %q, which is for %s, and its tags name both; leave --image out, or give it a --tag of its own", im.Name, other.Name, other.Platform)}
		}
	}
	return nil
}

// join adds an image to what goes to the same place under the same tags.
func (s *shipment) join(o publishOptions, file *recipes.File, im *recipes.Image) (bool, error) {
	if o.to == "" && o.tags == nil { // the recipe says, and was judged when it was read
		if !slices.Contains(file.Together(im), s.images[0]) {
			return false, nil
		}
	} else if o.to == "" && im.Repository != s.images[0].Repository {
		return false, nil
	}
	if i := slices.IndexFunc(s.images, func(other *recipes.Image) bool { return other.Platform == im.Platform }); i >= 0 {
		return false, usageError{fmt.Errorf("it would go where image %q goes, and both are for %s; choose with --image", s.images[i].Name, im.Platform)}
	}
	own := o.signOptions
	if !o.noSign {
		own = o.over(im.Sign, file.Dir)
	}
	if own != s.signOptions {
		return false, usageError{fmt.Errorf("it would be one image with %q, and has another signer in its sign block", s.images[0].Name)}
	}
	s.images = append(s.images, im)
	slices.SortFunc(s.images, func(a, b *recipes.Image) int { return strings.Compare(a.Platform, b.Platform) })
	return true, nil
}

// published is a document of publish --json, and what build --publish adds.
type published struct {
	Image     string   `json:"image,omitempty"`  // of the recipe
	Reference string   `json:"reference"`        // repository@sha256:…
	Images    []member `json:"images,omitempty"` // of an index
	Tags      []string `json:"tags"`
	Signed    []string `json:"signed"` // predicate types, now
	Kept      []string `json:"kept"`   // predicate types, signed by an earlier run
	Sent      int64    `json:"bytesSent"`
	Blobs     int      `json:"blobsSent"`
	Held      int      `json:"blobsHeld"`
}

// member is one image of an index.
type member struct {
	Image     string `json:"image"` // of the recipe
	Platform  string `json:"platform"`
	Reference string `json:"reference"`
}

// run publishes an image or index and prints its reference.
func (s *shipment) run(ctx context.Context, t *terminal, from push.Source, image v1.Descriptor) (*published, error) {
	s.order.From, s.order.Image = from, image
	done, err := s.publisher.Publish(ctx, s.order)
	if err != nil {
		return nil, fmt.Errorf("publishing %s: %w", s.order.To, err)
	}
	p := &published{Reference: done.Image.Name(), Tags: orNone(done.Tags), Signed: orNone(done.Signed), Kept: orNone(done.Kept), Sent: done.Sent.Bytes, Blobs: done.Sent.Blobs, Held: done.Sent.Held}
	t.say("published %s: %s in %d blobs sent, %d were there", done.Image, megabytes(p.Sent), p.Blobs, p.Held)
	switch {
	case s.order.Signer == nil:
		t.say("nothing was signed, and no tag was moved")
	case len(p.Signed) == 0:
		t.say("every statement about it was signed before")
	}
	if len(p.Tags) > 0 {
		t.say("verified as a consumer would; then tagged %s", strings.Join(p.Tags, ", "))
	}
	if !t.json {
		t.result("%s", p.Reference)
	}
	return p, nil
}

// signature is what the image's report says of its signature from now on.
func (s *shipment) signature(p *published) report.Signature {
	x := report.Signature{State: report.Signed, Facts: []report.Fact{{Name: "Published as", Value: p.Reference}}}
	if len(p.Tags) > 0 {
		x.Facts = append(x.Facts, report.Fact{Name: "Tags", Value: strings.Join(p.Tags, ", ")})
	}
	switch {
	case s.order.Signer == nil:
		x.State = report.Unsigned
		return x
	case s.identity != "":
		x.Facts = append(x.Facts, report.Fact{Name: "Signed by", Value: s.identity + ", vouched for by " + s.issuer})
	default:
		x.Facts = append(x.Facts, report.Fact{Name: "Signed with", Value: "a key"})
	}
	statements := slices.Concat(p.Signed, p.Kept)
	slices.Sort(statements)
	x.Facts = append(x.Facts, report.Fact{Name: "Signed statements", Value: strings.Join(slices.Compact(statements), ", ")},
		report.Fact{Name: "Verified", Value: "read back from the registry and verified as a consumer would, before any tag moved"})
	return x
}

// orNone is a list that a document shows as one even when it is empty.
func orNone(s []string) []string {
	if s == nil {
		return []string{}
	}
	return s
}

// mountable are repositories that may share layers with an image: those of the recipe's
// other images, and the base's.
func mountable(file *recipes.File, im *recipes.Image, given []name.Repository) []name.Repository {
	out := slices.Clone(given)
	add := func(s string) {
		if r, err := name.NewRepository(s, name.StrictValidation); s != "" && err == nil {
			out = append(out, r)
		}
	}
	for _, other := range file.Images {
		if other != im {
			add(other.Repository)
		}
	}
	if im.Base != nil {
		from, _, _ := strings.Cut(im.Base.From, "@")
		add(from)
	}
	return out
}

// made is an image that a build gave, and where what was found in it lies.
type made struct {
	result *builder.Result
	at     siblings
	below  *statement.Below // nil: no image lies below
}

// built publishes what was just built from a recipe.
func (s *shipment) built(ctx context.Context, t *terminal, file *recipes.File, l *lock.Lock, mode string, of func(*recipes.Image) made) (*published, error) {
	said := map[string][]statement.Statement{}
	var layouts []*push.Layout
	for _, im := range s.images {
		s.order.Mount = mountable(file, im, s.order.Mount)
		m := of(im)
		if s.order.Signer != nil {
			var err error
			if m.below, err = verifyBase(ctx, t, file.Dir, im, l.Images[im.Name]); err != nil {
				return nil, err
			}
			all, err := statementsOf(file, im, l.Images[im.Name], mode, s.identity, m)
			if err != nil {
				return nil, err
			}
			said[m.result.Digest] = all
		}
		from, err := push.OpenLayout(m.result.Dir)
		if err != nil {
			return nil, err
		}
		defer from.Close()
		layouts = append(layouts, from)
	}
	s.order.Statements = func(d *push.Document) ([]statement.Statement, error) {
		all, ok := said[d.Descriptor.Digest.String()]
		if !ok && !d.IsIndex() { // an index has no content of its own
			return nil, fmt.Errorf("the layout holds %s, which the build did not give", d.Descriptor.Digest)
		}
		return all, nil
	}
	p, err := s.bring(ctx, t, layouts)
	if err != nil {
		return nil, err
	}
	for _, im := range s.images {
		m := of(im)
		if len(s.images) > 1 {
			p.Images = append(p.Images, member{im.Name, im.Platform, s.order.To.Digest(m.result.Digest).Name()})
		} else {
			p.Image = im.Name
		}
		if err := noteSignature(m.result.Dir, m.result.Digest, s.signature(p)); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// bring publishes the image of a layout, or those of several as an index.
func (s *shipment) bring(ctx context.Context, t *terminal, layouts []*push.Layout) (*published, error) {
	if len(layouts) > 1 {
		joined, err := push.Join(layouts...)
		if err != nil {
			return nil, err
		}
		return s.run(ctx, t, joined, joined.Index.Descriptor)
	}
	image, err := layouts[0].Image()
	if err != nil {
		return nil, err
	}
	return s.run(ctx, t, layouts[0], image)
}
