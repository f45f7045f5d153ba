package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/forge-build/forge/builder"
	"github.com/forge-build/forge/recipes/finding"
	"github.com/forge-build/forge/sbom/report"
)

type reportOptions struct{ summary, platform string }

func newReport(t *terminal) *cobra.Command {
	var o reportOptions
	c := &cobra.Command{
		Use:   "report IMAGE",
		Short: "Write an image's report again, with what is known by now",
		Long: `Report writes DIR.report.html and DIR.report.json again, from the document that the
build wrote and the verdict in DIR.scan.json. It prints the page's path; with --json it
prints the document.

Of an image that no build of forge's has reported on, it tells what the finished image
shows: layers, packages, licences, user, and the verdict, if there is one. IMAGE is what
forge sbom takes: DIR, oci:DIR[:TAG|@DIGEST], oci-archive:FILE, docker-archive:FILE[:NAME:TAG],
or one in a registry, whose report is written here under the repository's last word.`,
		Example: `  forge report dist/train
  forge report --summary github dist/train
  forge report oci-archive:train.tar
  forge report registry.example/team/train:v1`,
		Args: exactly("IMAGE"),
		RunE: func(c *cobra.Command, args []string) error { return runReport(c.Context(), t, o, args[0]) },
	}
	addPlatform(c, &o.platform)
	addSummary(c, &o.summary)
	return c
}

func runReport(ctx context.Context, t *terminal, o reportOptions, image string) error {
	if err := checkSummary(o.summary); err != nil {
		return err
	}
	b, err := fetchImage(ctx, t, image, o.platform)
	if err != nil {
		return err
	}
	defer b.remove()
	layout, err := builder.ReadLayout(b.layout)
	if err != nil {
		return err
	}
	at := besideImage(image)
	digest := knownAs(at, layout, strings.HasPrefix(image, "docker-archive:"))
	rep, err := reportOf(at, digest)
	if errors.Is(err, fs.ErrNotExist) {
		rep, err = finishedReport(ctx, b, layout)
	}
	if err == nil && rep.Scan == nil {
		rep.Scan, err = scanOf(at, digest)
	}
	if err != nil {
		return err
	}
	if err := saveReport(rep, at); err != nil {
		return err
	}
	if err := summarize(t, o.summary, at, rep.WriteMarkdown); err != nil {
		return err
	}
	if t.json {
		return t.document(rep)
	}
	t.result("%s", at.html())
	return nil
}

// knownAs is the digest by which files beside an image know it: its own, or, of an archive
// without a manifest, that of the image from which the archive was made: one with these layers.
func knownAs(at siblings, layout *builder.Layout, bare bool) string {
	rep, err := report.ReadFile(at.json())
	if err != nil || !bare || len(rep.Layers) != len(layout.Config.RootFS.DiffIDs) {
		return layout.Digest
	}
	for i, d := range layout.Config.RootFS.DiffIDs {
		if rep.Layers[i].DiffID != d.String() {
			return layout.Digest
		}
	}
	return rep.Image.Digest
}

// reportOf reads the report of the image with a digest, and the verdict beside it.
func reportOf(at siblings, digest string) (*report.Report, error) {
	rep, err := report.ReadFile(at.json())
	if err != nil {
		return nil, err
	}
	if rep.Image.Digest != digest {
		return nil, fmt.Errorf("reading report %q: it is about %s, the image is %s", at.json(), rep.Image.Digest, digest)
	}
	scan, err := scanOf(at, digest)
	if err != nil {
		return nil, err
	}
	if scan != nil {
		rep.Scan = scan
	}
	return rep, nil
}

// scanOf reads the verdict on the image with a digest; nil: there is none, or it is about
// another image.
func scanOf(at siblings, digest string) (*finding.Document, error) {
	f, err := os.Open(at.scan())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading verdict: %w", err)
	}
	defer f.Close()
	d, err := finding.Read(f)
	if err != nil {
		return nil, fmt.Errorf("reading verdict %q: %w", at.scan(), err)
	}
	if d.Digest != digest {
		return nil, nil
	}
	return d, nil
}

// noteSignature writes into an image's report what became of its signature. Where there is no
// report, or one about another image, there is nothing to note it in.
func noteSignature(dir, digest string, signature report.Signature) error {
	at := besideLayout(dir)
	rep, err := report.ReadFile(at.json())
	if err != nil || rep.Image.Digest != digest {
		return nil
	}
	rep.Signature = signature
	return saveReport(rep, at)
}

func addSummary(c *cobra.Command, value *string) {
	c.Flags().StringVar(value, "summary", "", "`github`: append a summary in Markdown to the file that GITHUB_STEP_SUMMARY names, else write it beside the image")
}

func checkSummary(value string) error {
	if value == "" || value == "github" {
		return nil
	}
	return usageError{fmt.Errorf("--summary %q: it must be github", value)}
}

// summarize writes a summary where a CI system shows it.
func summarize(t *terminal, kind string, at siblings, write func(io.Writer) error) error {
	if kind == "" {
		return nil
	}
	path := os.Getenv("GITHUB_STEP_SUMMARY")
	if path == "" {
		t.say("GITHUB_STEP_SUMMARY is not set; the summary is in %s", at.summary())
		return builder.WriteFile(at.summary(), write)
	}
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("writing the summary: %w", err)
	}
	err = write(f)
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("writing the summary: %w", err)
	}
	return nil
}
