package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/forge-build/forge/builder"
	"github.com/forge-build/forge/sbom"
	"github.com/forge-build/forge/signing/push"
)

type sbomOptions struct {
	format   string
	output   string
	platform string
}

func newSBOM(t *terminal) *cobra.Command {
	var o sbomOptions
	c := &cobra.Command{
		Use:   "sbom IMAGE",
		Short: "Say what is in an image: SPDX, CycloneDX or a list",
		Long: `Sbom lists what is in an image, whoever made it: the folder of an OCI layout, an
oci-archive, or an image of a registry. Layers that this machine's store has made are
read through their indexes, without unpacking; others are read once.

It prints one line for each package; --format writes a document instead, SPDX 2.3,
CycloneDX 1.6 or Syft's own JSON. The same image gives the same bytes.`,
		Example: `  forge sbom dist/train
  forge sbom --format spdx-json dist/train > train.spdx.json
  forge sbom --format cyclonedx-json --output train.cdx.json dist/train
  forge sbom --platform linux/arm64 registry.example/team/train:v1
  forge sbom oci-archive:train.tar`,
		Args: exactly("IMAGE"),
		RunE: func(c *cobra.Command, args []string) error { return runSBOM(c.Context(), t, o, args[0]) },
	}
	f := c.Flags()
	f.StringVar(&o.format, "format", "", "spdx-json, cyclonedx-json or syft-json")
	f.StringVar(&o.platform, "platform", "linux/"+runtime.GOARCH, "which image of an index")
	f.StringVar(&o.output, "output", "", "file for the document, instead of standard output")
	return c
}

func runSBOM(ctx context.Context, t *terminal, o sbomOptions, image string) error {
	switch known := slices.Contains(sbom.Formats, sbom.Format(o.format)); {
	case o.format != "" && !known:
		return usageError{fmt.Errorf("--format %q: it must be one of %q", o.format, sbom.Formats)}
	case o.output != "" && o.format == "":
		return usageError{fmt.Errorf("--output %q: --format is missing: one of %q", o.output, sbom.Formats)}
	}
	inv, err := listAny(ctx, t, image, o.platform)
	if err != nil {
		return err
	}
	switch {
	case o.output != "":
		return builder.WriteFile(o.output, func(w io.Writer) error { return inv.Write(w, sbom.Format(o.format)) })
	case o.format != "":
		return inv.Write(t.out, sbom.Format(o.format))
	case t.json:
		return t.document(inv)
	}
	for _, p := range inv.Packages {
		t.result("%s", fmt.Sprintf("%-12s %s %s", p.Type, p.Name, p.Version))
	}
	return nil
}

// listAny lists an image that lies anywhere. One of a registry or an archive is brought into
// a folder that is removed again.
func listAny(ctx context.Context, t *terminal, image, platform string) (*sbom.Inventory, error) {
	if isLayout(image) {
		image = "oci:" + strings.TrimPrefix(image, "oci:")
	}
	s, err := readSpot(image)
	if err != nil {
		return nil, err
	}
	c, err := newPusher(t)
	if err != nil {
		return nil, err
	}
	from, d, done, err := find(ctx, c, s)
	if err != nil {
		return nil, err
	}
	defer done()
	if d, err = onePlatform(ctx, from, d, platform); err != nil {
		return nil, fmt.Errorf("reading %s: %w", image, err)
	}
	if s.dir != "" {
		return listImage(ctx, "oci:"+s.dir+"@"+d.Digest.String(), "")
	}
	dir, err := os.MkdirTemp("", "forge-sbom-*")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir) // a folder of ours
	all, err := c.Bare(ctx, from, d)
	if err != nil {
		return nil, err
	}
	w, err := push.NewWriter(dir)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(c.Save(ctx, from, all, w, ""), w.Close()); err != nil {
		return nil, err
	}
	where := "image"
	if s.archive == "" {
		where = s.repo.Name()
	}
	return listImage(ctx, "oci:"+dir+"@"+d.Digest.String(), where)
}

// listImage lists an image of a layout. Without a name it has that of its folder.
func listImage(ctx context.Context, image, called string) (*sbom.Inventory, error) {
	s, err := openStore()
	if err != nil {
		return nil, err
	}
	v, err := viewLayout(ctx, s, image)
	if err != nil {
		return nil, err
	}
	defer v.Close()
	if called != "" && v.Labels["org.opencontainers.image.title"] == "" {
		v.Name = called
	}
	return sbom.Catalog(ctx, &v.Image, sbom.Options{Tool: sbom.Tool{Name: "forge", Version: version}})
}
