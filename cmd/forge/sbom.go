package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/forge-build/forge/builder"
	"github.com/forge-build/forge/sbom"
)

type sbomOptions struct {
	format string
	output string
}

func newSBOM(t *terminal) *cobra.Command {
	var o sbomOptions
	c := &cobra.Command{
		Use:   "sbom IMAGE",
		Short: "Say what is in an image: SPDX, CycloneDX or a list",
		Long: `Sbom lists what is in an image, which is the folder of an OCI layout. Layers that
this machine's store has made are read through their indexes, without unpacking.

It prints one line for each package; --format writes a document instead, SPDX 2.3,
CycloneDX 1.6 or Syft's own JSON. The same image gives the same bytes.`,
		Example: `  forge sbom dist/train
  forge sbom --format spdx-json dist/train > train.spdx.json
  forge sbom --format cyclonedx-json --output train.cdx.json dist/train`,
		Args: exactly("IMAGE"),
		RunE: func(c *cobra.Command, args []string) error { return runSBOM(c.Context(), t, o, args[0]) },
	}
	f := c.Flags()
	f.StringVar(&o.format, "format", "", "spdx-json, cyclonedx-json or syft-json")
	f.StringVar(&o.output, "output", "", "file for the document, instead of standard output")
	return c
}

func runSBOM(ctx context.Context, t *terminal, o sbomOptions, image string) error {
	inv, err := listImage(ctx, image)
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

// listImage lists what is in an image.
func listImage(ctx context.Context, image string) (*sbom.Inventory, error) {
	s, err := openStore()
	if err != nil {
		return nil, err
	}
	v, err := viewLayout(ctx, s, image)
	if err != nil {
		return nil, err
	}
	defer v.Close()
	return sbom.Catalog(ctx, &v.Image, sbom.Options{Tool: sbom.Tool{Name: "forge", Version: version}})
}
