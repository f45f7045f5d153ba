// Many publishes one small image again and again, each time with another label and so with
// another digest: signed with a key, with an SBOM, and with a tag of its own. It prints the
// references. make bench-trust verifies them.
// usage: many REPOSITORY KEY COUNT
package main

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"golang.org/x/sync/errgroup"

	"github.com/forge-build/forge/recipes/registry"
	"github.com/forge-build/forge/signing"
	"github.com/forge-build/forge/signing/publish"
	"github.com/forge-build/forge/signing/push"
	"github.com/forge-build/forge/signing/statement"
)

func main() {
	if err := run(context.Background(), os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "many:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) != 3 {
		return fmt.Errorf("%d arguments, three are due: REPOSITORY KEY COUNT", len(args))
	}
	repo, err := name.NewRepository(args[0], name.StrictValidation)
	if err != nil {
		return err
	}
	count, err := strconv.Atoi(args[2])
	if err != nil {
		return err
	}
	signer, err := signing.NewSigner(ctx, signing.SignWith{Key: args[1]})
	if err != nil {
		return err
	}
	transport, err := registry.Transport(os.Getenv("FORGE_CA_FILE"))
	if err != nil {
		return err
	}
	image, err := random.Image(10_000, 2)
	if err != nil {
		return err
	}
	client := push.New(transport)
	client.Pause = 4 * time.Millisecond // each has a list of its own, which nobody else writes
	publisher := &publish.Publisher{Push: client, Transport: transport}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(32)
	for i := range count {
		g.Go(func() error { return one(ctx, publisher, signer, image, repo, i) })
	}
	if err := g.Wait(); err != nil {
		return err
	}
	for i := range count {
		fmt.Fprintln(os.Stdout, repo.Tag(tag(i)))
	}
	return nil
}

func tag(i int) string { return fmt.Sprintf("t%04d", i) }

// one publishes the image with the label i.
func one(ctx context.Context, p *publish.Publisher, signer *signing.Signer, image v1.Image, repo name.Repository, i int) error {
	dir, err := os.MkdirTemp("", "many-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir) // a folder of ours
	config, err := image.ConfigFile()
	if err != nil {
		return err
	}
	config = config.DeepCopy()
	config.Config.Labels = map[string]string{"number": strconv.Itoa(i)}
	if image, err = mutate.ConfigFile(image, config); err != nil {
		return err
	}
	l, err := layout.Write(dir, empty.Index)
	if err != nil {
		return err
	}
	if err := l.AppendImage(image); err != nil {
		return err
	}
	from, err := push.OpenLayout(dir)
	if err != nil {
		return err
	}
	defer from.Close() // which was only read
	d, err := from.Image()
	if err != nil {
		return err
	}
	_, err = p.Publish(ctx, publish.Order{From: from, Image: d, To: repo, Tags: []string{tag(i)}, Signer: signer,
		Statements: func(d *push.Document) ([]statement.Statement, error) {
			return []statement.Statement{statement.SPDX([]byte(`{"spdxVersion":"SPDX-2.3","comment":"` + d.Descriptor.Digest.String() + `"}`))}, nil
		}})
	return err
}
