package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/forge-build/forge/builder"
	"github.com/forge-build/forge/recipes/lock"
	"github.com/forge-build/forge/sbom"
	"github.com/forge-build/forge/sbom/report"
)

type diffOptions struct{ image string }

func newDiff(t *terminal) *cobra.Command {
	var o diffOptions
	c := &cobra.Command{
		Use:   "diff A B",
		Short: "Say what differs between two locks or two images",
		Long: `Diff compares two locks (recipes or lock files) or two images (OCI layout
folders): packages, sizes, CUDA, driver, and which layers are shared.

Of images it also compares what is in them: packages that are new, gone or of another
version, licences, and, where both were scanned (forge build, IMAGE.scan.json),
findings that are new, fixed, worse or better. A and B may also be two reports
(IMAGE.report.json) or two SBOMs (SPDX, CycloneDX or Syft's JSON).`,
		Example: `  forge diff old.lock.json recipe.hcl
  forge diff dist/train dist/train-old
  forge diff last-release.report.json dist/train.report.json
  forge diff last-release.spdx.json dist/train.spdx.json`,
		Args: exactly("A", "B"),
		RunE: func(c *cobra.Command, args []string) error { return runDiff(c.Context(), t, o, args[0], args[1]) },
	}
	c.Flags().StringVar(&o.image, "image", "", "the image to compare, when a lock has several")
	return c
}

// difference is the document of diff --json.
type difference struct {
	Changes  []lock.Change   `json:"changes"`
	Shared   shared          `json:"shared"`
	Contents *report.Changes `json:"contents,omitempty"` // of images, reports and SBOMs
	Note     string          `json:"note,omitempty"`     // why contents were not compared
}

// shared says which layers B has from A.
type shared struct {
	Layers int   `json:"layers"`
	Of     int   `json:"of"`
	Bytes  int64 `json:"bytes"` // compressed bytes of B that A has
	New    int64 `json:"new"`   // compressed bytes of B that A has not
}

func runDiff(ctx context.Context, t *terminal, o diffOptions, a, b string) error {
	d, err := compare(ctx, o, a, b)
	if err != nil {
		return err
	}
	if t.json {
		return t.document(d)
	}
	for _, c := range d.Changes {
		if !codecOf.MatchString(c.What) && (d.Contents == nil || !strings.HasPrefix(c.What, "wheel ")) {
			t.result("%s", lock.Change{What: c.What, Was: readable(c.What, c.Was), Is: readable(c.What, c.Is)})
		}
	}
	if d.Contents != nil {
		for _, line := range d.Contents.Lines() {
			t.result("%s", line)
		}
	}
	if d.Note != "" {
		t.say("note: %s", d.Note)
	}
	if isSBOM(a) {
		return nil
	}
	t.result("%d of %d layers are shared: %s of %s need not move", d.Shared.Layers, d.Shared.Of, megabytes(d.Shared.Bytes), megabytes(d.Shared.Bytes+d.Shared.New))
	return nil
}

var (
	codecOf = regexp.MustCompile(`^layer .* (gzip|zstd)$`) // the layer's own line says that it differs
	digest  = regexp.MustCompile(`(sha256:[0-9a-f]{12})[0-9a-f]{52}`)
	inBytes = regexp.MustCompile(`^([0-9]+)$|\b([0-9]+) bytes$`)
)

// readable shortens digests and writes sizes as people compare them; --json has both in full.
func readable(what, value string) string {
	value = digest.ReplaceAllString(value, "$1")
	if !strings.HasPrefix(what, "layer ") && what != "compressed" && what != "unpacked" && what != "removed" {
		return value
	}
	return inBytes.ReplaceAllStringFunc(value, func(s string) string {
		n, err := strconv.ParseInt(strings.TrimSuffix(s, " bytes"), 10, 64)
		if err != nil {
			return s
		}
		return megabytes(n)
	})
}

func compare(ctx context.Context, o diffOptions, a, b string) (*difference, error) {
	if isReport(a) != isReport(b) || isSBOM(a) != isSBOM(b) || isLayout(a) != isLayout(b) {
		return nil, usageError{fmt.Errorf("comparing %q and %q: both must be image folders, reports, SBOMs, or locks", a, b)}
	}
	switch {
	case isReport(a):
		return compareReports(a, b)
	case isSBOM(a):
		return compareSBOMs(a, b)
	}
	if isLayout(a) {
		x, err := builder.ReadLayout(a)
		if err != nil {
			return nil, err
		}
		y, err := builder.ReadLayout(b)
		if err != nil {
			return nil, err
		}
		d := &difference{Changes: lock.Compare(x.Facts(), y.Facts()), Shared: share(x.LayerSizes(), y.LayerSizes())}
		d.contents(ctx, a, x.Digest, b, y.Digest)
		return d, nil
	}
	x, err := oneLocked(a, o.image)
	if err != nil {
		return nil, err
	}
	y, err := oneLocked(b, o.image)
	if err != nil {
		return nil, err
	}
	return &difference{Changes: lock.Diff(x, y), Shared: share(blobSizes(x), blobSizes(y))}, nil
}

// contents compares what is in two images.
func (d *difference) contents(ctx context.Context, a, digestA, b, digestB string) {
	old, err := contentsOf(ctx, a, digestA)
	if err == nil {
		var now *report.Report
		if now, err = contentsOf(ctx, b, digestB); err == nil {
			c := report.Compare(old, now)
			d.Contents = &c
			return
		}
	}
	d.Note = "packages, licences and findings are not compared: " + err.Error()
}

// contentsOf is what the report beside an image says is in it; without one, what is found.
func contentsOf(ctx context.Context, dir, digest string) (*report.Report, error) {
	at := besideLayout(dir)
	if rep, err := reportOf(at, digest); err == nil && rep.Inventory.Source == "image" {
		return rep, nil
	}
	inv, err := listImage(ctx, dir, "")
	if err != nil {
		return nil, err
	}
	rep := &report.Report{Packages: foundPackages(inv, nil, nil)}
	rep.Scan, err = scanOf(at, digest)
	return rep, err
}

// compareSBOMs compares two documents of whatever form, by their packages.
func compareSBOMs(a, b string) (*difference, error) {
	var both [2]*report.Report
	d := &difference{}
	facts := [2]map[string]string{}
	for i, path := range []string{a, b} {
		f, err := os.Open(path)
		if err != nil {
			return nil, fmt.Errorf("reading an SBOM: %w", err)
		}
		inv, err := sbom.Load(f)
		_ = f.Close() // only read
		if err != nil {
			return nil, fmt.Errorf("reading %q: %w", path, err)
		}
		both[i] = &report.Report{Packages: foundPackages(inv, nil, nil)}
		facts[i] = map[string]string{"digest": inv.Subject.Digest, "platform": inv.Subject.Platform}
	}
	d.Changes = lock.Compare(facts[0], facts[1])
	c := report.Compare(both[0], both[1])
	d.Contents = &c
	return d, nil
}

func compareReports(a, b string) (*difference, error) {
	old, err := report.ReadFile(a)
	if err != nil {
		return nil, err
	}
	now, err := report.ReadFile(b)
	if err != nil {
		return nil, err
	}
	c := report.Compare(old, now)
	d := &difference{Changes: lock.Compare(reportFacts(old), reportFacts(now)), Contents: &c}
	d.Shared = shared{c.Layers.Same, c.Layers.Of, c.Layers.Bytes, c.Layers.New}
	return d, nil
}

// reportFacts are a report's values by name that Compare does not look at.
func reportFacts(r *report.Report) map[string]string {
	m := map[string]string{"digest": r.Image.Digest, "platform": r.Image.Platform, "base": r.Image.Base, "python": r.Image.Python, "user": r.Image.User,
		"command": strings.Join(r.Image.Command, " "), "compressed": strconv.FormatInt(r.Image.Compressed, 10), "unpacked": strconv.FormatInt(r.Image.Unpacked, 10)}
	if g := r.GPU; g != nil {
		m["CUDA"], m["minimum driver"], m["recommended driver"], m["SM"] = g.CUDA, g.Driver, g.Recommended, strings.Join(g.SM, " ")
	}
	return m
}

func isSBOM(path string) bool {
	for _, end := range []string{".spdx.json", ".cdx.json", ".syft.json"} {
		if strings.HasSuffix(path, end) {
			return true
		}
	}
	return false
}

func isReport(path string) bool { return strings.HasSuffix(path, ".report.json") }

func isLayout(path string) bool {
	_, err := os.Stat(filepath.Join(strings.TrimPrefix(path, "oci:"), "oci-layout"))
	return err == nil
}

func oneLocked(path, image string) (*lock.Image, error) {
	l, err := readLock(path)
	if err != nil {
		return nil, err
	}
	names := imageNames(l)
	if image == "" && len(names) == 1 {
		return l.Images[names[0]], nil
	}
	if li := l.Images[image]; li != nil {
		return li, nil
	}
	if image == "" {
		return nil, usageError{errors.New(path + " locks several images; --image picks one of " + strings.Join(names, ", "))}
	}
	return nil, usageError{fmt.Errorf("%s does not lock an image %q%s", path, image, nearest(image, names))}
}

// blobSizes maps the layers' diffIDs to their size in the smallest codec.
func blobSizes(li *lock.Image) map[string]int64 {
	m := map[string]int64{}
	for _, l := range li.Layers {
		for _, b := range l.Blobs {
			if old, ok := m[l.DiffID]; !ok || b.Size < old {
				m[l.DiffID] = b.Size
			}
		}
	}
	return m
}

func share(a, b map[string]int64) shared {
	s := shared{Of: len(b)}
	for id, size := range b {
		if _, ok := a[id]; ok {
			s.Layers++
			s.Bytes += size
		} else {
			s.New += size
		}
	}
	return s
}
