package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/spf13/cobra"

	"github.com/forge-build/forge/signing"
)

// maxJudged bounds a file whose bytes a key may have signed: they are held in memory.
const maxJudged = 1 << 30

type bundleOptions struct {
	bundle, kind string
	expectation
}

func newVerifyBundle(t *terminal) *cobra.Command {
	var o bundleOptions
	c := &cobra.Command{
		Use:   "verify-bundle --bundle BUNDLE FILE|DIGEST",
		Short: "Verify a Sigstore bundle against a file or a digest",
		Long: `Verify-bundle judges a Sigstore bundle that lies in a file: a signature over a
file's bytes, or an in-toto statement about a digest. It opens no socket. It
prints the digest (sha256:…) when everything holds.`,
		Example: `  forge verify-bundle --bundle deny.hcl.sigstore.json --key security.pub deny.hcl
  forge verify-bundle --bundle sbom.sigstore.json --trusted-root root.json --type spdx \
    --identity release@example.org --issuer https://accounts.example sha256:…`,
		Args: exactly("FILE or DIGEST"),
		RunE: func(c *cobra.Command, args []string) error { return runVerifyBundle(c.Context(), t, o, args[0]) },
	}
	f := c.Flags()
	f.StringVar(&o.bundle, "bundle", "", "`FILE` of the bundle")
	f.StringVar(&o.kind, "type", "", "the `KIND` of statement that it must be; left out: any, or a signature over bytes")
	o.expectation.who(c)
	f.IntVar(&o.log, "logs", 0, "`N` transparency logs must hold the signature (1 for identities)")
	f.IntVar(&o.times, "times", 0, "`N` confirmed times must be in a signature (1 for identities)")
	f.BoolVar(&o.proof, "proof", false, "want a log's proof of inclusion, not its promise")
	o.format = "any"
	return c
}

func runVerifyBundle(ctx context.Context, t *terminal, o bundleOptions, what string) error {
	if o.bundle == "" {
		return usageError{errors.New("--bundle is missing")}
	}
	file := signing.File{Name: what}
	if o.kind != "" {
		types := signing.Types(o.kind)
		if len(types) != 1 {
			return usageError{fmt.Errorf("--type %q is not one kind of statement; known are %s, or a full predicate type", o.kind, strings.Join(signing.Kinds(), ", "))}
		}
		file.Type = types[0]
	}
	p, err := o.policy(ctx)
	if err != nil {
		return err
	}
	if err := judged(&file, what); err != nil {
		return err
	}
	raw, err := readUpTo(o.bundle, signing.MaxBundle)
	if err != nil {
		return usageError{fmt.Errorf("reading bundle %q: %w", o.bundle, err)}
	}
	s, checks, err := signing.VerifyFile(raw, file, p)
	if err != nil {
		return t.unverified(err)
	}
	if t.json {
		return t.document(struct {
			Digest    string             `json:"digest"`
			Statement *signing.Statement `json:"statement"`
			Checks    []signing.Check    `json:"checks"`
		}{file.Digest.String(), s, checks})
	}
	t.say("signed by %s", s.Signer)
	t.result("%s", file.Digest)
	return nil
}

// judged reads what a bundle is to be about: a file, or a digest by itself.
func judged(file *signing.File, what string) (err error) {
	if strings.HasPrefix(what, "sha256:") {
		if _, err := os.Lstat(what); errors.Is(err, fs.ErrNotExist) {
			file.Digest, err = v1.NewHash(what)
			if err != nil {
				return usageError{fmt.Errorf("digest %q: %w", what, err)}
			}
			return nil
		}
	}
	if file.Bytes, err = readUpTo(what, maxJudged); err != nil {
		return usageError{fmt.Errorf("reading %q: %w", what, err)}
	}
	file.Digest, _, err = v1.SHA256(bytes.NewReader(file.Bytes))
	return err
}
