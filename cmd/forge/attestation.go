package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/forge-build/forge/signing"
)

type attestationOptions struct {
	verifyOptions
	kind      string
	statement bool
}

func newAttestation(t *terminal) *cobra.Command {
	var o attestationOptions
	c := &cobra.Command{
		Use:   "attestation IMAGE --type KIND",
		Short: "Print a verified attestation of an image: SBOM, provenance, scan, …",
		Long: `Attestation verifies an image as verify does, and prints the newest statement
of a kind that holds: the document alone, an SBOM for example, or with --statement
the whole in-toto statement that was signed. What nobody you name has signed is
not printed.

The kinds are ` + strings.Join(signing.Kinds(), ", ") + `,
or a full predicate type.`,
		Example: `  forge attestation --key team.pub --type spdx registry.example/team/train:1 > train.spdx.json
  forge attestation --policy trust.hcl --type provenance registry.example/team/train:1`,
		Args: exactly("IMAGE"),
		RunE: func(c *cobra.Command, args []string) error {
			if err := o.either(c); err != nil {
				return err
			}
			return runAttestation(c.Context(), t, o, args[0])
		},
	}
	o.expectation.flags(c)
	o.reading(c)
	o.platform(c)
	c.Flags().StringVar(&o.kind, "type", "", "the `KIND` of statement")
	c.Flags().BoolVar(&o.statement, "statement", false, "print the whole statement: subject, type and document")
	return c
}

func runAttestation(ctx context.Context, t *terminal, o attestationOptions, ref string) error {
	types := signing.Types(o.kind)
	if o.kind == "" {
		return usageError{errors.New("--type is missing; known are " + strings.Join(signing.Kinds(), ", ") + ", or a full predicate type")}
	}
	if types == nil {
		return usageError{fmt.Errorf("--type %q is no kind of statement; known are %s, or a full predicate type", o.kind, strings.Join(signing.Kinds(), ", "))}
	}
	if o.trust == "" && o.by.recipe == "" { // else the policy's rule says what must be there
		o.require = append(o.require, o.kind)
		o.attestationsOnly = true
	}
	v, err := newVerifier(ctx, t, o.verifyOptions)
	if err != nil {
		return t.unverified(err)
	}
	defer v.close()
	image, accepted, verified, err := v.judge(ctx, o.verifyOptions, ref)
	if err != nil {
		return t.unverified(err)
	}
	statements := []signing.Statement{}
	if accepted != nil {
		statements = accepted.Statements
	} else {
		statements = verified.Statements()
	}
	if o.only != "" {
		statements = slices.DeleteFunc(statements, func(s signing.Statement) bool { return !strings.HasSuffix(image, "@"+s.Subject) })
	}
	statements, err = ofOne(statements, types, image)
	if err != nil {
		return err
	}
	s := newest(statements, types)
	if s == nil {
		return &signing.NotVerifiedError{Image: image, Checks: []signing.Check{{ID: signing.CheckPresent, Status: signing.Failed, Expected: strings.Join(types, " or "), Found: "none by whom the policy names for it"}}}
	}
	t.say("%s of %s by %s", s.Type, s.Subject, s.Signer)
	document := io.Reader(bytes.NewReader(s.Payload))
	if !o.statement && (s.Elsewhere != "" || len(s.Predicate) > 0) {
		document = s.Open() // which may be large
	}
	out := t.stdout()
	if _, err = io.Copy(out, document); err == nil {
		_, err = out.Write([]byte{'\n'})
	}
	return err
}

// ofOne are the statements about the image itself; of an index that has none of the kind, those
// about its only image that has. Several leave open which is meant.
func ofOne(statements []signing.Statement, types []string, image string) ([]signing.Statement, error) {
	i := strings.LastIndexByte(image, '@')
	repository, digest := image[:i], image[i+1:]
	about := map[string][]signing.Statement{}
	for _, s := range statements {
		if slices.Contains(types, s.Type) {
			about[s.Subject] = append(about[s.Subject], s)
		}
	}
	if own, ok := about[digest]; ok || len(about) == 0 {
		return own, nil
	}
	var names []string
	for subject, own := range about {
		if len(about) == 1 {
			return own, nil
		}
		names = append(names, repository+"@"+subject)
	}
	slices.Sort(names)
	return nil, usageError{fmt.Errorf("%s is an index, and each of its images has such a statement; name one, or its --platform: %s", image, strings.Join(names, ", "))}
}

// newest is the newest statement of some types, or nil.
func newest(statements []signing.Statement, types []string) *signing.Statement {
	var out *signing.Statement
	for _, want := range types {
		for i := range statements {
			if s := &statements[i]; s.Type == want && (out == nil || s.Time.After(out.Time)) {
				out = s
			}
		}
	}
	return out
}
