package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/spf13/cobra"

	"github.com/forge-build/forge/builder"
	"github.com/forge-build/forge/recipes"
	"github.com/forge-build/forge/recipes/lock"
	"github.com/forge-build/forge/recipes/registry"
	"github.com/forge-build/forge/sbom/report"
	"github.com/forge-build/forge/signing/publish"
	"github.com/forge-build/forge/signing/push"
)

// publishOptions say where an image goes and who signs it.
type publishOptions struct {
	signOptions
	to    string
	tags  []string
	mount []string
}

func newPublish(t *terminal) *cobra.Command {
	var o publishOptions
	b := buildOptions{publish: &o}
	c := &cobra.Command{
		Use:   "publish RECIPE|oci:DIR",
		Short: "Build, push, sign and verify images, and then move their tags",
		Long: `Publish builds the images of a recipe from its lock, or takes an OCI layout, and
brings them to their repository: the blobs that it lacks, then the image by digest,
attestations (provenance, what is in it, what was found, which tests passed, what it
needs of a host), the signature. It reads all of that back and verifies it as a
consumer would. Only then the tags move, so that no tag names an unsigned image,
whatever happens in between; run it again, and it completes what is missing and
signs nothing twice. It prints repository@sha256:….

The recipe says where (repository, tags) and who signs (sign); flags go first.
Docker's configuration and credential helpers sign in (DOCKER_CONFIG).`,
		Example: `  forge publish recipe.hcl
  forge publish --key cosign.key recipe.hcl
  forge publish --to registry.example/team/train --tag 1.0 --key cosign.key oci:dist/train
  forge publish --no-sign --to registry.example/team/scratch recipe.hcl`,
		Args: exactly("RECIPE"),
		RunE: func(c *cobra.Command, args []string) error { return runPublish(c.Context(), t, b, args[0]) },
	}
	f := c.Flags()
	f.StringVar(&o.to, "to", "", "repository, instead of the recipe's")
	f.StringArrayVar(&o.tags, "tag", nil, "tag, instead of the recipe's (repeatable)")
	f.StringArrayVar(&o.mount, "mount", nil, "repository of the same registry from which layers may be taken (repeatable)")
	f.StringArrayVar(&b.vars, "var", nil, "a variable of the recipe, name=value")
	f.StringVar(&b.image, "image", "", "only this image of the recipe")
	f.StringVar(&b.output, "output", "dist", "folder for the OCI layouts, one below it for each image")
	f.StringVar(&b.builder, "builder", "auto", "who executes the recipe's steps, as for forge build")
	f.BoolVar(&b.noScan, "no-scan", false, "do not look for vulnerabilities, and state nothing about them")
	b.database.flags(c)
	o.signOptions.flags(c)
	return c
}

func runPublish(ctx context.Context, t *terminal, b buildOptions, arg string) error {
	dir, ok := strings.CutPrefix(arg, "oci:")
	if info, err := os.Stat(arg); !ok && err == nil && info.IsDir() {
		dir, ok = arg, true
	}
	if !ok {
		return runBuild(ctx, t, b, arg)
	}
	if len(b.vars) > 0 || b.image != "" {
		return usageError{errors.New("--var and --image are for recipes")}
	}
	return publishLayout(ctx, t, b, dir)
}

// destinationOf is where an image goes: what the flags say, else the recipe.
func (o publishOptions) destinationOf(im *recipes.Image) (name.Repository, []string, error) {
	to, tags := o.to, o.tags
	if to == "" && im != nil {
		to = im.Repository
	}
	if tags == nil && im != nil && o.to == "" && !o.noSign {
		tags = im.Tags
	}
	if to == "" {
		return name.Repository{}, nil, usageError{errors.New("there is no repository to publish to: the recipe's repository, or --to, names it")}
	}
	repo, err := name.NewRepository(to, name.StrictValidation)
	if err != nil {
		return repo, nil, usageError{fmt.Errorf("repository %q: registry and path are due, without tag or digest (registry.example/team/train)", to)}
	}
	if o.noSign && len(tags) > 0 {
		return repo, nil, usageError{errors.New("--no-sign with --tag: no tag names an unsigned image; without --tag it is pushed by digest")}
	}
	for _, tag := range tags {
		if _, err := name.NewTag(to+":"+tag, name.StrictValidation); err != nil || strings.HasPrefix(tag, "sha256-") {
			return repo, nil, usageError{fmt.Errorf("--tag %q: letters, digits, and . _ - after the first; sha256-… is for signatures", tag)}
		}
	}
	return repo, tags, nil
}

// shipment is one image on its way out.
type shipment struct {
	publishOptions
	publisher *publish.Publisher
	repo      name.Repository
	tags      []string
	order     publish.Order
}

// ship readies everything that can be wrong before anything is built: the destination and
// the signer.
func (o publishOptions) ship(ctx context.Context, t *terminal, im *recipes.Image, dir string) (*shipment, error) {
	repo, tags, err := o.destinationOf(im)
	if err != nil {
		return nil, err
	}
	if im != nil && !o.noSign {
		o.signOptions = o.over(im.Sign, dir)
	}
	s := &shipment{publishOptions: o, repo: repo, tags: tags}
	s.order = publish.Order{To: repo, Tags: tags, Older: o.legacy}
	if s.order.Signer, err = o.signer(ctx, t); err != nil {
		return nil, err
	}
	for _, m := range o.mount {
		from, err := name.NewRepository(m, name.StrictValidation)
		if err != nil {
			return nil, usageError{fmt.Errorf("--mount %q: registry and path are due", m)}
		}
		s.order.Mount = append(s.order.Mount, from)
	}
	rt, err := transportOf(t)
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

// transportOf is the way to registries, with the certificate authorities that are set.
func transportOf(_ *terminal) (*http.Transport, error) {
	return registry.Transport(os.Getenv("FORGE_CA_FILE"))
}

// shipments readies all images that are to be published, before anything is built; none if
// o is nil.
func shipments(ctx context.Context, t *terminal, o *publishOptions, file *recipes.File, images []*recipes.Image) (map[string]*shipment, error) {
	if o == nil {
		return nil, nil
	}
	if o.to != "" && len(images) > 1 {
		return nil, usageError{fmt.Errorf("--to names one repository, the recipe has %d images; choose with --image", len(images))}
	}
	out := map[string]*shipment{}
	for _, im := range images {
		s, err := o.ship(ctx, t, im, file.Dir)
		if err != nil {
			return nil, fmt.Errorf("image %q: %w", im.Name, err)
		}
		out[im.Name] = s
	}
	return out, nil
}

// published is a document of publish --json, and what build --publish adds.
type published struct {
	Image     string   `json:"image,omitempty"`
	Reference string   `json:"reference"` // repository@sha256:…
	Tags      []string `json:"tags"`
	Signed    []string `json:"signed"` // predicate types, now
	Kept      []string `json:"kept"`   // predicate types, signed by an earlier run
	Sent      int64    `json:"bytesSent"`
	Blobs     int      `json:"blobsSent"`
	Held      int      `json:"blobsHeld"`
}

// run publishes the image of a layout and prints its reference.
func (s *shipment) run(ctx context.Context, t *terminal, image, dir string) (*published, error) {
	from, err := push.OpenLayout(dir)
	if err != nil {
		return nil, err
	}
	defer from.Close()
	if s.order.From = from; s.order.Image.Digest == (v1.Hash{}) {
		if s.order.Image, err = from.Image(); err != nil {
			return nil, err
		}
	}
	done, err := s.publisher.Publish(ctx, s.order)
	if err != nil {
		return nil, fmt.Errorf("publishing %s: %w", s.repo, err)
	}
	p := &published{Image: image, Reference: done.Image.Name(), Tags: orNone(done.Tags), Signed: orNone(done.Signed), Kept: orNone(done.Kept), Sent: done.Sent.Bytes, Blobs: done.Sent.Blobs, Held: done.Sent.Held}
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
	if err := noteSignature(dir, done.Image.DigestStr(), s.signature(p)); err != nil {
		return nil, err
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

// built publishes what was just built from a recipe.
func (s *shipment) built(ctx context.Context, t *terminal, file *recipes.File, im *recipes.Image, li *lock.Image, mode string, r *builder.Result, at siblings) (*published, error) {
	s.order.Mount = mountable(file, im, s.order.Mount)
	if s.order.Signer != nil {
		all, err := statementsOf(file, im, li, mode, s.identity, r, at)
		if err != nil {
			return nil, err
		}
		s.order.Statements = all
	}
	return s.run(ctx, t, im.Name, r.Dir)
}

// publishLayout publishes an image that forge may not have built: nothing that lies beside
// it is believed. What is in it is listed here, and the gate judges it.
func publishLayout(ctx context.Context, t *terminal, b buildOptions, dir string) error {
	dir, digest, _ := strings.Cut(dir, "@")
	s, err := b.publish.ship(ctx, t, nil, filepath.Dir(dir))
	if err != nil {
		return err
	}
	from, err := push.OpenLayout(dir)
	if err != nil {
		return err
	}
	defer from.Close()
	if s.order.Image, err = pick(from, spot{digest: digest}); err != nil {
		return err
	}
	judge, err := newStranger(ctx, t, b, dir, s.repo.Name())
	if err != nil {
		return err
	}
	defer judge.close()
	if judge.db != nil || s.order.Signer != nil { // else nobody would read what is in it
		if err := judge.all(ctx, from, s.order.Image); err != nil {
			return err
		}
	}
	s.order.Statements = judge.statements
	p, err := s.run(ctx, t, "", dir)
	if err == nil && t.json {
		return t.document([]*published{p})
	}
	return err
}
