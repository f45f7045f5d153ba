package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/spf13/cobra"

	"github.com/forge-build/forge/builder"
	"github.com/forge-build/forge/signing/push"
)

func newCopy(t *terminal) *cobra.Command {
	return &cobra.Command{
		Use:   "copy SOURCE DESTINATION",
		Short: "Copy an image with its signatures and attestations",
		Long: `Copy brings an image, or an index with its images, to another place, together with
what refers to it: signatures, attestations and SBOMs, found by the registry's
referrers API, by the fallback tag, or under cosign's older tags. SOURCE and
DESTINATION are a registry's REPOSITORY:TAG or REPOSITORY@sha256:…, oci:DIR or
oci-archive:FILE. It then reads the destination again: when anything was lost it
fails, and no tag moves. Nothing is verified: what is copied is what was there.`,
		Example: `  forge copy registry.example/team/train:1.0 mirror.example/team/train:1.0
  forge copy registry.example/team/train:1.0 oci-archive:train.tar
  forge copy oci-archive:train.tar airgap.example/team/train:1.0`,
		Args: exactly("SOURCE", "DESTINATION"),
		RunE: func(c *cobra.Command, args []string) error { return runCopy(c.Context(), t, args[0], args[1]) },
	}
}

// spot is a place that the command line names.
type spot struct {
	repo    name.Repository // of a registry
	tag     string          // of a registry or a layout; may be empty
	digest  string          // or empty
	dir     string          // of a layout
	archive string
}

// readSpot reads REPOSITORY[:TAG|@DIGEST], oci:DIR[:TAG|@DIGEST] or oci-archive:FILE.
func readSpot(s string) (spot, error) {
	if file, ok := strings.CutPrefix(s, "oci-archive:"); ok {
		if file == "" {
			return spot{}, usageError{fmt.Errorf("%q: a file is missing", s)}
		}
		return spot{archive: file}, nil
	}
	if dir, ok := strings.CutPrefix(s, "oci:"); ok {
		p := spot{dir: dir}
		if at := strings.LastIndex(dir, "@sha256:"); at > 0 {
			p.dir, p.digest = dir[:at], dir[at+1:]
		} else if i := strings.LastIndexByte(dir, ':'); i > 0 && !strings.ContainsAny(dir[i:], "/\\") {
			p.dir, p.tag = dir[:i], dir[i+1:]
		}
		if p.dir == "" {
			return spot{}, usageError{fmt.Errorf("%q: a folder is missing", s)}
		}
		return p, nil
	}
	if repo, err := name.NewRepository(s, name.StrictValidation); err == nil {
		return spot{repo: repo}, nil
	}
	ref, err := name.ParseReference(s, name.StrictValidation)
	if err != nil {
		return spot{}, usageError{fmt.Errorf("%q names neither an image nor a place for one: REGISTRY/REPOSITORY:TAG, REGISTRY/REPOSITORY@sha256:…, oci:DIR or oci-archive:FILE", s)}
	}
	if d, ok := ref.(name.Digest); ok {
		return spot{repo: ref.Context(), digest: d.DigestStr()}, nil
	}
	return spot{repo: ref.Context(), tag: ref.Identifier()}, nil
}

func (s spot) remote() bool { return s.dir == "" && s.archive == "" }

// at names an image in a place.
func (s spot) at(digest v1.Hash) string {
	switch {
	case s.archive != "":
		return "oci-archive:" + s.archive + "@" + digest.String()
	case s.dir != "":
		return "oci:" + s.dir + "@" + digest.String()
	}
	return s.repo.Name() + "@" + digest.String()
}

// copied is the document of copy --json.
type copied struct {
	Source      string   `json:"source"`
	Destination string   `json:"destination"`
	Images      int      `json:"images"`     // manifests and indexes
	Statements  int      `json:"statements"` // that refer to them
	Junk        []string `json:"junk"`       // what was listed and is not about them
	Sent        int64    `json:"bytesSent"`  // to a registry
}

func runCopy(ctx context.Context, t *terminal, source, destination string) error {
	from, err := readSpot(source)
	if err != nil {
		return err
	}
	to, err := readSpot(destination)
	if err != nil {
		return err
	}
	if from.remote() && from.tag == "" && from.digest == "" {
		return usageError{fmt.Errorf("%q names no image: a tag or a digest is missing", source)}
	}
	if err := from.there(); err != nil {
		return err
	}
	if to.digest != "" {
		return usageError{fmt.Errorf("%q: a digest cannot be chosen; the image keeps its own", destination)}
	}
	c, err := newPusher(t)
	if err != nil {
		return err
	}
	place, image, done, err := find(ctx, c, from)
	if err != nil {
		return err
	}
	defer done()
	all, err := c.Collect(ctx, place, image)
	if err != nil {
		return fmt.Errorf("reading %s: %w", source, err)
	}
	doc := copied{Source: from.at(all.Image.Digest), Destination: to.at(all.Image.Digest), Images: len(all.Docs), Statements: len(all.Said), Junk: []string{}}
	for _, j := range all.Junk {
		t.say("note: %s is listed and not copied: %s", j.What, j.Why)
		doc.Junk = append(doc.Junk, j.What+": "+j.Why)
	}
	if doc.Sent, err = bring(ctx, c, place, all, to); err != nil {
		return fmt.Errorf("copying %s: %w", doc.Source, err)
	}
	t.say("all has arrived: images and indexes: %d, statements about them: %d", doc.Images, doc.Statements)
	if t.json {
		return t.document(doc)
	}
	t.result("%s", doc.Destination)
	return nil
}

// newPusher makes the client that moves images, with progress.
func newPusher(t *terminal) (*push.Client, error) {
	rt, err := transportOf()
	if err != nil {
		return nil, err
	}
	c := push.New(rt)
	c.Progress = func(e push.Event) {
		if e.State == "sending" || e.State == "receiving" {
			t.amount(e.State+" "+e.Digest[:min(len(e.Digest), 19)], e.Done, e.Total)
		}
	}
	return c, nil
}

// find opens a place and finds the one image that is meant. done lets go of it.
func find(ctx context.Context, c *push.Client, s spot) (_ push.Place, _ v1.Descriptor, done func(), err error) {
	done = func() {}
	dir := s.dir
	if s.archive != "" {
		if dir, err = os.MkdirTemp("", "forge-copy-*"); err != nil {
			return nil, v1.Descriptor{}, nil, fmt.Errorf("unpacking archive: %w", err)
		}
		done = func() { _ = os.RemoveAll(dir) } // a folder of ours
		if err := unpack(s.archive, dir); err != nil {
			done()
			return nil, v1.Descriptor{}, nil, err
		}
	}
	if dir == "" {
		var ref name.Reference = s.repo.Tag(s.tag)
		if s.digest != "" {
			ref = s.repo.Digest(s.digest)
		}
		doc, err := c.Resolve(ctx, ref)
		if err != nil {
			return nil, v1.Descriptor{}, nil, fmt.Errorf("reading %s: %w", ref, err)
		}
		return c.At(s.repo), doc.Descriptor, done, nil
	}
	l, err := push.OpenLayout(dir)
	if err != nil {
		done()
		return nil, v1.Descriptor{}, nil, err
	}
	remove := done
	done = func() { _ = l.Close(); remove() } // it was only read
	image, err := pick(l, s)
	if err != nil {
		done()
		return nil, v1.Descriptor{}, nil, err
	}
	return l, image, done, nil
}

// pick is the image of a layout that a tag or digest names, or its only one.
func pick(l *push.Layout, s spot) (v1.Descriptor, error) {
	if s.digest != "" {
		h, err := v1.NewHash(s.digest)
		if err != nil {
			return v1.Descriptor{}, usageError{fmt.Errorf("digest %q: %w", s.digest, err)}
		}
		return v1.Descriptor{Digest: h}, nil
	}
	return l.Named(s.tag)
}

func unpack(file, dir string) error {
	f, err := os.Open(file)
	if err != nil {
		return fmt.Errorf("reading archive: %w", err)
	}
	return errors.Join(push.Unpack(f, dir), f.Close())
}

// bring writes a collection to a place, and says how many bytes a registry was sent.
func bring(ctx context.Context, c *push.Client, from push.Place, all *push.Collection, to spot) (int64, error) {
	if to.remote() {
		sent, err := c.Copy(ctx, from, all, to.repo, to.tag, nil)
		return sent.Bytes, err
	}
	dir := to.dir
	if to.archive != "" {
		var err error
		if dir, err = os.MkdirTemp(filepath.Dir(to.archive), ".forge-*"); err != nil {
			return 0, fmt.Errorf("writing archive: %w", err)
		}
		defer os.RemoveAll(dir) // a folder of ours
	}
	w, err := push.NewWriter(dir)
	if err != nil {
		return 0, err
	}
	if err := errors.Join(c.Save(ctx, from, all, w, to.tag), w.Close()); err != nil || to.archive == "" {
		return 0, err
	}
	return 0, builder.WriteFile(to.archive, func(w io.Writer) error { return push.Pack(w, dir) })
}
