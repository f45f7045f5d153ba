package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/forge-build/forge/recipes/lock"
	"github.com/forge-build/forge/sbom/report"
	"github.com/forge-build/forge/sbom/vuln"
)

type diffOptions struct {
	image    string
	platform string
	scan     bool
	database databaseOptions
}

func newDiff(t *terminal) *cobra.Command {
	var o diffOptions
	c := &cobra.Command{
		Use:   "diff A B",
		Short: "Compare two locks or two images",
		Long: `Diff compares two locks (recipes or lock files), or two images: packages, sizes,
CUDA, driver, and which layers are shared. An image is the folder of an OCI layout, an
oci-archive or docker-archive, a reference in a registry, a report (IMAGE.report.json) or
an SBOM (SPDX, CycloneDX or Syft's JSON).

Of images it also compares what is in them: packages that are new, gone or of another
version, licences, and findings that are new, fixed, worse or better. Findings are those
of the verdicts that lie beside (forge build, IMAGE.scan.json); --scan looks both up
now, in one database, by the strictest limits.`,
		Example: `  forge diff old.lock.json recipe.hcl
  forge diff dist/train dist/train-old
  forge diff registry.example/team/train:1 dist/train
  forge diff last-release.report.json dist/train.report.json
  forge diff --scan last-release.spdx.json dist/train.spdx.json`,
		Args: exactly("A", "B"),
		RunE: func(c *cobra.Command, args []string) error { return runDiff(c.Context(), t, o, args[0], args[1]) },
	}
	f := c.Flags()
	f.StringVar(&o.image, "image", "", "the image `NAME`, when a lock has several")
	addPlatform(c, &o.platform)
	f.BoolVar(&o.scan, "scan", false, "look both up in the vulnerability database now")
	o.database.flags(c)
	return c
}

// difference is the document of diff --json.
type difference struct {
	Changes  []lock.Change   `json:"changes"`
	Shared   *shared         `json:"shared,omitempty"`   // absent: one of them does not say which layers it has
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
	d, err := compare(ctx, t, o, a, b)
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
	if s := d.Shared; s != nil {
		t.result("%d of %d layers are shared: %s of %s need not move", s.Layers, s.Of, megabytes(s.Bytes), megabytes(s.Bytes+s.New))
	}
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

func compare(ctx context.Context, t *terminal, o diffOptions, a, b string) (*difference, error) {
	for _, name := range []string{a, b} { // what is wrong with a name is said before a database is fetched
		if isFile(name) {
			if err := there(name); err != nil {
				return nil, err
			}
		} else if _, err := imageAt(name); err != nil && !isLock(name) {
			return nil, err
		}
	}
	if isLock(a) != isLock(b) {
		return nil, usageError{fmt.Errorf("comparing %q and %q: both must be locks, or both images, reports or SBOMs", a, b)}
	}
	if isLock(a) {
		if o.scan {
			return nil, usageError{errors.New("--scan: a lock does not say what is in its files; name images or SBOMs")}
		}
		return compareLocks(o, a, b)
	}
	var look *vuln.Database
	if o.scan {
		db, err := openDatabase(ctx, t, o.database, false)
		if err != nil {
			return nil, err
		}
		defer db.Close() // only read
		look = db
	}
	old, err := readSide(ctx, t, o, a, look)
	if err != nil {
		return nil, err
	}
	now, err := readSide(ctx, t, o, b, look)
	if err != nil {
		return nil, err
	}
	return old.compare(now), nil
}

func compareLocks(o diffOptions, a, b string) (*difference, error) {
	x, err := oneLocked(a, o.image)
	if err != nil {
		return nil, err
	}
	y, err := oneLocked(b, o.image)
	if err != nil {
		return nil, err
	}
	s := share(blobSizes(x), blobSizes(y))
	return &difference{Changes: lock.Diff(x, y), Shared: &s}, nil
}

// locks is how a lock begins.
var locks = regexp.MustCompile(`^\{\s*"format":\s*[0-9]+,\s*"layers":`)

// isLock tells whether a name is a recipe's or a lock's; a lock may have been copied under
// another name.
func isLock(name string) bool {
	if strings.HasSuffix(name, ".hcl") || strings.HasSuffix(name, ".lock.json") {
		return true
	}
	if !isFile(name) {
		return false
	}
	f, err := openRegular(name)
	if err != nil {
		return false // whoever reads it says why
	}
	defer f.Close()
	head := make([]byte, 256)
	n, _ := io.ReadFull(f, head)
	return locks.Match(head[:n])
}

func isReport(path string) bool { return strings.HasSuffix(path, ".report.json") }

func isLayout(path string) bool {
	_, err := os.Stat(filepath.Join(strings.TrimPrefix(path, "oci:"), "oci-layout"))
	return err == nil
}

func oneLocked(path, image string) (*lock.Image, error) {
	l, err := readLock(path, selection{})
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

// blobSizes maps the layers' blobs, in the codec that the image has, to their size. A base's
// layer has one codec, its own.
func blobSizes(li *lock.Image) map[string]int64 {
	m := map[string]int64{}
	all := li.Layers
	if li.Base != nil {
		all = slices.Concat(li.Base.Layers, all)
	}
	for _, l := range all {
		for codec, b := range l.Blobs {
			if codec == li.Inputs["slim.codec"] || len(l.Blobs) == 1 {
				m[b.Digest] = b.Size
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
