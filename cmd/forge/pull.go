package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/spf13/cobra"

	"github.com/forge-build/forge/signing/push"
)

type pullOptions struct {
	verifyOptions
	to       string
	platform string
}

func newPull(t *terminal) *cobra.Command {
	var o pullOptions
	c := &cobra.Command{
		Use:   "pull IMAGE --to ENGINE|oci:DIR",
		Short: "Verify an image and pull exactly what was verified",
		Long: `Pull verifies IMAGE as forge verify does, with the same flags, and brings exactly
the digest that was verified into an engine of this host, or, with everything that is
said about it, into an OCI layout. The tag is resolved once: one that moves meanwhile
changes nothing. What is not verified is not fetched. It prints repository@sha256:….`,
		Example: `  forge pull --key team.pub --to podman registry.example/team/train:1.0
  forge pull --policy trust.hcl --to containerd:k8s.io registry.example/team/train:1.0
  forge pull --key team.pub --to oci:train registry.example/team/train:1.0`,
		Args: exactly("IMAGE"),
		RunE: func(c *cobra.Command, args []string) error {
			if err := o.either(c); err != nil {
				return err
			}
			return runPull(c.Context(), t, o, args[0])
		},
	}
	o.expectation.flags(c)
	o.reading(c)
	c.Flags().StringVar(&o.to, "to", "", "bring it into this `ENGINE`: "+engines+", or oci:DIR")
	addPlatform(c, &o.platform)
	return c
}

func runPull(ctx context.Context, t *terminal, o pullOptions, image string) error {
	dir, layout := strings.CutPrefix(o.to, "oci:")
	switch {
	case o.to == "":
		return usageError{errors.New("--to is missing: " + engines + ", or oci:DIR")}
	case strings.HasPrefix(image, "oci:"):
		return usageError{fmt.Errorf("image %q: it is here already; forge verify judges it", image)}
	case !layout:
		if err := checkLoad(o.to); err != nil {
			return usageError{fmt.Errorf("--to %q: it must be %s, or oci:DIR", o.to, engines)}
		}
	}
	v, err := newVerifier(ctx, t, o.verifyOptions)
	if err != nil {
		return t.unverified(err)
	}
	defer v.close()
	shown, _, _, err := v.judge(ctx, o.verifyOptions, image)
	if err != nil {
		return t.unverified(err)
	}
	verified, err := name.NewDigest(shown, name.StrictValidation)
	if err != nil {
		return fmt.Errorf("internal error: %q was verified", shown)
	}
	c, err := newPusher(t)
	if err != nil {
		return err
	}
	if layout {
		err = pullLayout(ctx, c, verified, image, dir)
	} else {
		err = pullInto(ctx, t, c, verified, image, o)
	}
	if err != nil {
		return fmt.Errorf("pulling %s: %w", verified, err)
	}
	if t.json {
		return t.document(map[string]string{"reference": shown, "to": o.to})
	}
	t.result("%s", shown)
	return nil
}

// descriptorOf is the digest that was verified; nothing else of it is taken from anybody.
func descriptorOf(d name.Digest) (v1.Descriptor, error) {
	h, err := v1.NewHash(d.DigestStr())
	return v1.Descriptor{Digest: h}, err
}

// pullLayout takes the image with all that is said about it.
func pullLayout(ctx context.Context, c *push.Client, verified name.Digest, asked, dir string) error {
	d, err := descriptorOf(verified)
	if err != nil {
		return err
	}
	from := c.At(verified.Context())
	all, err := c.Collect(ctx, from, d)
	if err != nil {
		return err
	}
	tag := ""
	if ref, err := name.NewTag(asked, name.StrictValidation); err == nil {
		tag = ref.TagStr()
	}
	w, err := push.NewWriter(dir)
	if err != nil {
		return err
	}
	return errors.Join(c.Save(ctx, from, all, w, tag), w.Close())
}

// pullInto brings one image into an engine.
func pullInto(ctx context.Context, t *terminal, c *push.Client, verified name.Digest, asked string, o pullOptions) error {
	d, err := descriptorOf(verified)
	if err != nil {
		return err
	}
	from := c.At(verified.Context())
	one, err := onePlatform(ctx, from, d, o.platform)
	if err != nil {
		return err
	}
	all, err := c.Bare(ctx, from, one)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "forge-pull-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir) // a folder of ours
	w, err := push.NewWriter(dir)
	if err != nil {
		return err
	}
	if err := errors.Join(c.Save(ctx, from, all, w, ""), w.Close()); err != nil {
		return err
	}
	reference := nameInEngine(verified, asked)
	if err := loadLayout(ctx, t, o.to, dir, reference); err != nil {
		return err
	}
	return arrived(ctx, o.to, reference, all.Docs[0])
}

// addPlatform adds the flag that chooses one image of an index.
func addPlatform(c *cobra.Command, value *string) {
	c.Flags().StringVar(value, "platform", "linux/"+runtime.GOARCH, "of an index, the image for this `PLATFORM` (default: this machine's, such as linux/amd64)")
	c.Flags().Lookup("platform").DefValue = "" // the same text on every machine
}

// onePlatform is the verified image itself, or the image of an index for a platform. Each
// image of an index is verified with it.
func onePlatform(ctx context.Context, from push.Source, d v1.Descriptor, platform string) (v1.Descriptor, error) {
	doc, err := from.Document(ctx, d.Digest, d.MediaType)
	if err != nil || !doc.IsIndex() {
		return d, err
	}
	return forPlatform(doc.Manifests, platform)
}

// forPlatform is the one image of an index for a platform.
func forPlatform(all []v1.Descriptor, platform string) (v1.Descriptor, error) {
	var found []v1.Descriptor
	var has []string
	for _, m := range all {
		if m.Platform == nil {
			continue
		}
		p := m.Platform.OS + "/" + m.Platform.Architecture
		if has = append(has, p); p == platform {
			found = append(found, m)
		}
	}
	if len(found) != 1 {
		return v1.Descriptor{}, fmt.Errorf("the index has %d images for %s, one is due; it has %s", len(found), platform, strings.Join(has, ", "))
	}
	return found[0], nil
}

// nameInEngine is what an engine calls the image: the tag that was asked for, or one that is
// made of the digest.
func nameInEngine(verified name.Digest, asked string) string {
	if ref, err := name.NewTag(asked, name.StrictValidation); err == nil {
		return ref.Name()
	}
	return verified.Context().Name() + ":" + strings.Replace(verified.DigestStr(), ":", "-", 1)
}

// arrived asks the engine what it holds now: its id of the image is the digest of the config,
// which names every layer, or of the manifest.
func arrived(ctx context.Context, engine, reference string, doc *push.Document) error {
	engine, namespace, _ := strings.Cut(engine, ":")
	args := []string{"image", "inspect", "--format", "{{.Id}}", reference}
	if engine == "containerd" {
		if namespace == "" {
			namespace = "default"
		}
		engine, args = "ctr", []string{"--namespace", namespace, "images", "list", "name==" + reference}
	}
	var out, messages bytes.Buffer
	cmd := exec.CommandContext(ctx, engine, args...)
	cmd.Stdout, cmd.Stderr = &out, &messages
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("asking %s what it holds: %w: %s", engine, err, strings.TrimSpace(messages.String()))
	}
	if !strings.Contains(out.String(), doc.Config.Digest.Hex) && !strings.Contains(out.String(), doc.Descriptor.Digest.Hex) {
		return fmt.Errorf("%s holds another image under %s: %s", engine, reference, strings.TrimSpace(out.String()))
	}
	return nil
}
