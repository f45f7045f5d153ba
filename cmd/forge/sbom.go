package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/spf13/cobra"

	"github.com/forge-build/forge/builder"
	"github.com/forge-build/forge/sbom"
	"github.com/forge-build/forge/sbom/saved"
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
		Short: "List what is in an image, as SPDX, CycloneDX or lines",
		Long: `Sbom lists what is in an image, whoever made it. IMAGE is the folder of an OCI layout,
oci:DIR[:TAG|@DIGEST], oci-archive:FILE, docker-archive:FILE[:NAME:TAG] as docker save and
podman save write it, or REGISTRY/REPOSITORY with :TAG or @sha256:…. Layers that this machine's store has made are
read through their indexes, without unpacking; others are read once.

It prints one line for each package; --format writes a document instead, SPDX 2.3,
CycloneDX 1.6 or Syft's own JSON. The same image gives the same bytes.`,
		Example: `  forge sbom dist/train
  forge sbom --format spdx-json dist/train > train.spdx.json
  forge sbom --format cyclonedx-json --output train.cdx.json dist/train
  forge sbom --platform linux/arm64 registry.example/team/train:v1
  forge sbom oci-archive:train.tar
  forge sbom docker-archive:saved.tar`,
		Args: exactly("IMAGE"),
		RunE: func(c *cobra.Command, args []string) error { return runSBOM(c.Context(), t, o, args[0]) },
	}
	f := c.Flags()
	f.StringVar(&o.format, "format", "", "`FORMAT` of a document: spdx-json, cyclonedx-json or syft-json")
	addPlatform(c, &o.platform)
	f.StringVar(&o.output, "output", "", "`FILE` for the document, instead of standard output")
	return c
}

func runSBOM(ctx context.Context, t *terminal, o sbomOptions, image string) error {
	switch known := slices.Contains(sbom.Formats, sbom.Format(o.format)); {
	case o.format != "" && !known:
		return usageError{fmt.Errorf("--format %q: it must be one of %q", o.format, sbom.Formats)}
	case o.output != "" && o.format == "":
		return usageError{fmt.Errorf("--output %q: --format is missing: one of %q", o.output, sbom.Formats)}
	}
	b, err := fetchImage(ctx, t, image, o.platform)
	if err != nil {
		return err
	}
	defer b.remove()
	inv, err := listHashed(ctx, b.layout, b.called, sbom.Format(o.format).FileSums())
	if err != nil {
		return err
	}
	switch {
	case o.output != "":
		return builder.WriteFile(o.output, func(w io.Writer) error { return inv.Write(w, sbom.Format(o.format)) })
	case o.format != "":
		return inv.Write(t.stdout(), sbom.Format(o.format))
	case t.json:
		return t.document(inv)
	}
	for _, p := range inv.Packages {
		t.result("%s", strings.TrimRight(fmt.Sprintf("%-12s %s %s", p.Type, p.Name, p.Version), " "))
	}
	for _, u := range inv.Unowned {
		if u.Unknown() != "" {
			t.result("%s", fmt.Sprintf("%-12s %s", "unknown", u.Path))
		}
	}
	return nil
}

// brought is one image that lies in a folder, wherever it was found.
type brought struct {
	layout string  // oci:DIR@sha256:…
	spot   spot    // where it was found
	named  v1.Hash // what its name leads to: the image, or the index that lists it
	image  v1.Hash
	called string // its name, where it does not lie in a folder of its own
	remove func() // what was brought
}

// imageAt is where an image is to be; a mistake in its name, and a file or folder that is not
// there, are usage errors. Nothing of it is read, and no registry asked.
func imageAt(image string) (spot, error) {
	if file, ok := strings.CutPrefix(image, "docker-archive:"); ok {
		file, _ = savedName(file)
		if file == "" {
			return spot{}, usageError{errors.New("\"docker-archive:\": a file is missing")}
		}
		return spot{archive: file}, there(file)
	}
	if isLayout(image) {
		return readSpot("oci:" + strings.TrimPrefix(image, "oci:"))
	}
	info, err := os.Stat(image)
	switch {
	case err == nil && info.IsDir():
		return spot{}, usageError{fmt.Errorf("the folder %q is no OCI layout: it has no file oci-layout", image)}
	case err == nil:
		return spot{}, usageError{fmt.Errorf("the file %q is no folder of an OCI layout; an archive is oci-archive:FILE or docker-archive:FILE", image)}
	case isFile(image):
		return spot{}, there(image)
	}
	s, err := readSpot(image)
	switch {
	case err != nil:
		return s, err
	case s.remote() && s.tag == "" && s.digest == "":
		return s, usageError{fmt.Errorf("%q names no image: there is no such folder, and in a registry a tag or a digest is missing", image)}
	}
	return s, s.there()
}

// there is a usage error when nothing lies in a place of this machine.
func (s spot) there() error {
	if s.remote() {
		return nil
	}
	return there(cmp.Or(s.archive, s.dir))
}

// there is a usage error when nothing lies under a name.
func there(path string) error {
	_, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return usageError{fmt.Errorf("%q: there is no such file or folder", path)}
	}
	return err
}

// fetchImage finds an image. One of a registry or an archive is brought into a folder of its own.
func fetchImage(ctx context.Context, t *terminal, image, platform string) (*brought, error) {
	s, err := imageAt(image)
	if err != nil {
		return nil, err
	}
	if file, ok := strings.CutPrefix(image, "docker-archive:"); ok {
		return fetchSaved(file)
	}
	c, err := newPusher(t)
	if err != nil {
		return nil, err
	}
	from, named, done, err := find(ctx, c, s)
	if err != nil {
		return nil, err
	}
	defer done()
	d, err := onePlatform(ctx, from, named, platform)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", image, err)
	}
	b := &brought{spot: s, named: named.Digest, image: d.Digest, remove: func() {}}
	if s.dir != "" {
		b.layout = "oci:" + s.dir + "@" + d.Digest.String()
		return b, nil
	}
	dir, err := os.MkdirTemp("", "forge-image-*")
	if err != nil {
		return nil, err
	}
	b.layout, b.remove = "oci:"+dir+"@"+d.Digest.String(), func() { _ = os.RemoveAll(dir) } // a folder of ours
	if b.called = "image"; s.archive == "" {
		b.called = s.repo.Name()
	}
	if err := save(ctx, c, from, d, dir); err != nil {
		b.remove()
		return nil, err
	}
	return b, nil
}

// save writes an image, without what is said about it, to a folder.
func save(ctx context.Context, c *push.Client, from push.Place, d v1.Descriptor, dir string) error {
	all, err := c.Bare(ctx, from, d)
	if err != nil {
		return err
	}
	w, err := push.NewWriter(dir)
	if err != nil {
		return err
	}
	return errors.Join(c.Save(ctx, from, all, w, ""), w.Close())
}

// savedName cuts FILE:NAME:TAG; a file of that whole name, if there is one, comes first.
func savedName(s string) (file, name string) {
	if _, err := os.Stat(s); err == nil {
		return s, ""
	}
	file, name, _ = strings.Cut(s, ":")
	return file, name
}

// fetchSaved finds an image in what docker save wrote: FILE, or FILE:NAME:TAG where it has several.
func fetchSaved(file string) (*brought, error) {
	file, name := savedName(file)
	f, err := openRegular(file)
	if err != nil {
		return nil, fmt.Errorf("reading an archive: %w", err)
	}
	defer f.Close() // only read
	dir, err := os.MkdirTemp("", "forge-image-*")
	if err != nil {
		return nil, err
	}
	b := &brought{spot: spot{archive: file}, remove: func() { _ = os.RemoveAll(dir) }} // a folder of ours
	im, err := saved.Unpack(f, name, dir)
	if err == nil {
		b.image, err = v1.NewHash(im.Digest)
	}
	if err != nil {
		b.remove()
		return nil, fmt.Errorf("reading archive %q: %w", file, err)
	}
	b.named, b.layout = b.image, "oci:"+dir+"@"+im.Digest
	b.called = strings.TrimSuffix(filepath.Base(file), filepath.Ext(file))
	if im.Name != "" {
		b.called = im.Name
		if at := strings.LastIndexByte(im.Name, ':'); at > strings.LastIndexByte(im.Name, '/') {
			b.called = im.Name[:at]
		}
	}
	return b, nil
}

// listImage lists an image of a layout. Without a name it has that of its folder.
func listImage(ctx context.Context, image, called string) (*sbom.Inventory, error) {
	return listHashed(ctx, image, called, false)
}

// listHashed is listImage, with the sum of each file for a format that states them, if they
// are wanted.
func listHashed(ctx context.Context, image, called string, sums bool) (*sbom.Inventory, error) {
	s, err := openStore()
	if err != nil {
		return nil, err
	}
	v, err := viewLayout(ctx, s, image, called, sums)
	if err != nil {
		return nil, err
	}
	defer v.Close()
	return v.list(ctx, s, nil)
}
