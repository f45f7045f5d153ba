package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/spf13/cobra"

	"github.com/forge-build/forge/recipes"
	"github.com/forge-build/forge/recipes/registry"
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
		Short: "Build, push, sign and verify images, then move their tags",
		Long: `Publish builds the images of a recipe from its lock, or takes an OCI layout, and
brings them to their repository: the blobs that it lacks, then the image by digest,
attestations (provenance, what is in it, what was found, which tests passed, what it
needs of a host), the signature. It reads all of that back and verifies it as a
consumer would. Only then the tags move, so that no tag names an unsigned image,
whatever happens in between; run it again, and it completes what is missing and
signs nothing twice. It prints repository@sha256:….

Images of a recipe that name the same repository and tags, each for another platform,
are one image: an index, which is signed as each of them is.

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
	f.StringVar(&o.to, "to", "", "`REPOSITORY`, instead of the recipe's")
	f.StringArrayVar(&o.tags, "tag", nil, "`TAG`, instead of the recipe's (repeatable)")
	f.StringArrayVar(&o.mount, "mount", nil, "`REPOSITORY` of the same registry from which layers may be mounted (repeatable)")
	b.selection.flags(c)
	f.StringVar(&b.output, "output", "dist", "folder `DIR` for the OCI layouts, one below it for each image")
	f.StringVar(&b.builder, "builder", "auto", "the `BUILDER` that executes the recipe's steps; see forge build")
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

// transportOf is the way to registries, with the certificate authorities that are set.
func transportOf() (*http.Transport, error) {
	return registry.Transport(os.Getenv("FORGE_CA_FILE"))
}

// publishLayout publishes an image that forge may not have built: nothing that lies beside
// it is believed. What is in it is listed here, and the gate judges it.
func publishLayout(ctx context.Context, t *terminal, b buildOptions, dir string) error {
	dir, digest, _ := strings.Cut(dir, "@")
	if err := there(dir); err != nil {
		return err
	}
	s, err := b.publish.ship(ctx, t, nil, filepath.Dir(dir))
	if err != nil {
		return err
	}
	from, err := push.OpenLayout(dir)
	if err != nil {
		return err
	}
	defer from.Close()
	image, err := pick(from, spot{digest: digest})
	if err != nil {
		return err
	}
	judge, err := newStranger(ctx, t, b, dir, s.order.To.Name())
	if err != nil {
		return err
	}
	defer judge.close()
	if judge.db != nil || s.order.Signer != nil { // else nobody would read what is in it
		if err := judge.all(ctx, from, image); err != nil {
			return err
		}
	}
	s.order.Statements = judge.statements
	p, err := s.run(ctx, t, from, image)
	if err != nil {
		return err
	}
	if err := noteSignature(dir, image.Digest.String(), s.signature(p)); err != nil {
		return err
	}
	if t.json {
		return t.document([]*published{p})
	}
	return nil
}
