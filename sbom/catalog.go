package sbom

import (
	"context"
	"fmt"
	"strings"

	"github.com/anchore/syft/syft"
	"github.com/anchore/syft/syft/cataloging"
	"github.com/google/licensecheck"
)

// Tool says who lists.
type Tool struct{ Name, Version string }

// parallel is how many files are looked at at a time. Each may be as large as inMemory.
const parallel = 4

// Options say how an image is listed.
type Options struct {
	Tool Tool
	Temp string // folder for a file without a name, through which large contents pass; "" is the system's
	Plan *Plan  // what the image's maker meant, where that is known
	// Facts remembers which licences a text holds; nil: nothing is remembered.
	Facts Facts
}

// Catalog lists what is in an image.
func Catalog(ctx context.Context, im *Image, o Options) (*Inventory, error) {
	t, err := newTree(im)
	if err != nil {
		return nil, err
	}
	programs, err := t.programs()
	if err != nil {
		return nil, err
	}
	r := &resolver{t: t, disk: spool{dir: o.Temp}, time: im.Created, mime: programs, kind: map[string]bool{}}
	defer r.disk.close()
	for _, paths := range programs {
		for _, p := range paths {
			r.kind[p] = true
		}
	}
	ctx, err = (&texts{o.Facts, licensecheck.Scan}).context(ctx)
	if err != nil {
		return nil, err
	}
	s, err := syft.CreateSBOM(ctx, imageSource{im, r}, config(o.Tool))
	if r.failed != nil {
		return nil, r.failed // what Syft makes of it may be less
	}
	if err != nil {
		return nil, fmt.Errorf("listing the image: %w", err)
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return newInventory(ctx, im, t, s, o.Plan)
}

// config chooses catalogers: those for images, without the two that believe a bill of
// materials which somebody has put into the image (A49): one that is planted would add
// packages that are not there, and hide others that "belong" to them. Conda's, which Syft runs on
// folders alone, is one more: it reads the records of what is installed.
func config(tool Tool) *syft.CreateSBOMConfig {
	return syft.DefaultCreateSBOMConfig().
		WithTool(tool.Name, tool.Version).
		WithParallelism(parallel).
		WithoutFiles(). // sizes and sums come from the layers
		// Syft drops what has no name, and writes UNKNOWN where there is no version.
		WithComplianceConfig(cataloging.ComplianceConfig{MissingName: cataloging.ComplianceActionStub, MissingVersion: cataloging.ComplianceActionKeep}).
		WithCatalogerSelection(cataloging.NewSelectionRequest().WithRemovals("sbom", "bitnami").WithAdditions("conda-meta-cataloger"))
}

func hexOf(digest string) string { return strings.TrimPrefix(digest, "sha256:") }
