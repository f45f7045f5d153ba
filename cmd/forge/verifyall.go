package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/forge-build/forge/recipes"
	"github.com/forge-build/forge/recipes/manifests"
	"github.com/forge-build/forge/recipes/trust"
	"github.com/forge-build/forge/signing"
	"github.com/forge-build/forge/signing/evidence"
)

// outcome is what became of one image of a list.
type outcome struct {
	Reference string    `json:"reference"`
	Place     string    `json:"place"`
	Image     string    `json:"image,omitempty"` // repository@digest, when it is verified
	Verified  bool      `json:"verified"`
	ExitCode  int       `json:"exitCode"`
	Error     string    `json:"error,omitempty"`
	Failure   any       `json:"failure,omitempty"` // the table of one that is not verified
	Accepted  *accepted `json:"accepted,omitempty"`
}

// runVerifyAll judges each image of a list, some at a time, and prints those that hold.
func runVerifyAll(ctx context.Context, t *terminal, o verifyOptions) error {
	if o.parallel < 1 || o.parallel > 64 {
		return usageError{fmt.Errorf("--parallel %d: from 1 to 64", o.parallel)}
	}
	list, err := readList(o.all)
	if err != nil {
		return usageError{fmt.Errorf("reading %q: %w", o.all, err)}
	}
	v, err := newVerifier(ctx, t, o)
	if err != nil {
		return t.unverified(err)
	}
	defer v.close()
	outcomes := make([]outcome, len(list))
	next, done := make(chan int), 0
	var wait sync.WaitGroup
	var mu sync.Mutex
	for range min(o.parallel, len(list)) {
		wait.Go(func() {
			for i := range next {
				outcomes[i] = v.outcome(ctx, o, list[i])
				mu.Lock()
				done++
				t.progress("judged %d of %d images", done, len(list))
				mu.Unlock()
			}
		})
	}
	for i := range list {
		if ctx.Err() != nil {
			break
		}
		next <- i
	}
	close(next)
	wait.Wait()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return printOutcomes(t, outcomes)
}

// readList reads a list from a file, or from standard input for -.
func readList(path string) ([]manifests.Image, error) {
	raw, err := readUpTo(path, manifests.MaxBytes)
	if err != nil {
		return nil, err
	}
	return manifests.Read(raw)
}

// verifier judges images in the way that the flags say.
type verifier struct {
	trust     *truster       // nil: by flags
	policy    signing.Policy // by flags
	transport http.RoundTripper
}

func newVerifier(ctx context.Context, t *terminal, o verifyOptions) (v *verifier, err error) {
	v = &verifier{}
	if o.trust != "" || o.by.recipe != "" {
		p, err := o.rules()
		if err != nil {
			return nil, err
		}
		if v.trust, err = newTruster(p, time.Now()); err != nil {
			return nil, err
		}
		v.trust.limits = evidence.Limits{Total: 64 << 20} // for each of those that run at once
		v.trust.rescan = &rescanner{t: t, options: o.database, offline: o.offline}
	} else if v.policy, err = o.policy(ctx); err != nil {
		return nil, err
	}
	v.transport, err = transportOf()
	return v, err
}

// rules are those of a trust policy, or a recipe's own.
func (o *verifyOptions) rules() (*trust.Policy, error) {
	if o.trust != "" {
		return recipes.LoadTrust(o.trust)
	}
	return o.by.policyOf()
}

func (v *verifier) close() {
	if v.trust != nil {
		_ = v.trust.rescan.close() // a database that was only read
	}
}

// judge judges the image that a reference names, and says how it is printed.
func (v *verifier) judge(ctx context.Context, o verifyOptions, ref string) (shown string, a *accepted, w *signing.Verified, err error) {
	if v.trust != nil && len(o.repositories) > 0 && !strings.HasPrefix(ref, "oci:") {
		return "", nil, nil, usageError{fmt.Errorf("image %q: its repository is in its name; --repository is for layouts, and the policy's mirrors say what is a copy of what", ref)}
	}
	ctx, stop := context.WithTimeout(ctx, o.timeout)
	defer stop()
	src, image, shown, err := locate(ctx, v.transport, ref, o.offline)
	if err != nil {
		return "", nil, nil, err
	}
	if c, ok := src.(interface{ Close() error }); ok {
		defer c.Close() // of a folder that was only read
	}
	if v.trust == nil {
		if w, err = signing.Verify(ctx, src, image, v.policy); err == nil {
			shown, err = o.chosen(ctx, src, image, shown)
		}
		return shown, nil, w, err
	}
	repository := image.Repository
	if repository == "" {
		if len(o.repositories) != 1 {
			return "", nil, nil, usageError{errors.New("a layout has no repository: name the one whose rule applies with --repository")}
		}
		repository = o.repositories[0]
	}
	if a, err = v.trust.verify(ctx, src, image, repository); err == nil {
		shown, err = o.chosen(ctx, src, image, shown)
	}
	return shown, a, nil, err
}

// chosen is what is shown of a verified image: itself, or with --platform the image of an index
// for that platform, which was verified with it.
func (o verifyOptions) chosen(ctx context.Context, src evidence.Source, image signing.Image, shown string) (string, error) {
	if o.only == "" {
		return shown, nil
	}
	doc, err := src.Document(ctx, image.Digest)
	if err != nil {
		return "", err
	}
	if doc.Index == nil {
		return "", usageError{fmt.Errorf("--platform %s: %s is one image, and no index of several", o.only, shown)}
	}
	one, err := forPlatform(doc.Index.Manifests, o.only)
	if err != nil {
		return "", usageError{fmt.Errorf("--platform %s: %w", o.only, err)}
	}
	return strings.Replace(shown, image.Digest.String(), one.Digest.String(), 1), nil
}

func (v *verifier) outcome(ctx context.Context, o verifyOptions, im manifests.Image) outcome {
	out := outcome{Reference: im.Name, Place: im.Place}
	shown, a, _, err := v.judge(ctx, o, im.Name)
	if err != nil {
		out.Error, out.ExitCode = err.Error(), exitCode(err)
		var not *signing.NotVerifiedError
		if errors.As(err, &not) {
			out.Failure = not
		}
		return out
	}
	out.Image, out.Verified = shown, true
	if a != nil { // the statements' bytes are not kept for a thousand images
		a.Statements = nil
		out.Accepted = a
	}
	return out
}

// listError says how many of a list are not verified.
type listError struct {
	text string
	not  *signing.NotVerifiedError
}

func (e listError) Error() string { return e.text }
func (e listError) Unwrap() error { return e.not }

// printOutcomes prints the images that hold, and says of each other what it lacks.
func printOutcomes(t *terminal, outcomes []outcome) error {
	failed, unread := 0, 0
	for _, o := range outcomes {
		switch {
		case o.Verified:
		case o.ExitCode == exitUnverified:
			failed++
		default:
			unread++
		}
	}
	if t.json {
		if err := t.document(struct {
			Images   []outcome `json:"images"`
			Verified int       `json:"verified"`
			Failed   int       `json:"notVerified"`
			Unread   int       `json:"notRead"`
		}{outcomes, len(outcomes) - failed - unread, failed, unread}); err != nil {
			return err
		}
	} else {
		for _, o := range outcomes {
			if o.Verified {
				t.result("%s", o.Image)
			} else {
				t.say("%s (%s): %s", o.Reference, o.Place, o.Error)
			}
		}
	}
	switch {
	case failed > 0:
		text := fmt.Sprintf("%d of %d images are not verified", failed, len(outcomes))
		if unread > 0 {
			text += fmt.Sprintf(", %d could not be read", unread)
		}
		return listError{text, &signing.NotVerifiedError{Image: fmt.Sprintf("%d of %d images", failed, len(outcomes))}}
	case unread > 0:
		return fmt.Errorf("%d of %d images could not be read", unread, len(outcomes))
	}
	return nil
}
