package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/spf13/cobra"

	"github.com/forge-build/forge/signing"
	"github.com/forge-build/forge/signing/evidence"
)

// expectation is what the user expects of an image, as flags say it.
type expectation struct {
	identities, patterns []string
	issuer               string
	claims               map[string]string
	keys                 []string
	root                 string
	require              []string
	attestationsOnly     bool
	repositories         []string
	unnamed              bool
	format               string
	indexOnly            bool
	log, times           int
	proof                bool
}

type verifyOptions struct {
	expectation
	trust    string // a trust policy file
	by       recipeOptions
	all      string // a list of images
	parallel int
	database databaseOptions // for a scan that a trust policy wants anew
	only     string          // platform: of an index, this image
	offline  bool
	timeout  time.Duration
}

func newVerify(t *terminal) *cobra.Command {
	var o verifyOptions
	c := &cobra.Command{
		Use:   "verify IMAGE|--all LIST",
		Short: "Verify that an image was signed by whom you name",
		Long: `Verify asks a registry once what IMAGE is, judges everything that was signed
about it, and prints repository@digest, exactly what it verified, so that
  podman pull "$(forge verify …)"
pulls nothing else. If anything that you expect does not hold, it prints the
table of all checks to stderr and nothing to stdout. IMAGE may be oci:DIR,
an OCI layout; then nothing but files is read.

Who must have signed is always named: an identity with its issuer, or a key.
Sigstore bundles and cosign's older signatures count alike. A signature by
cosign in its newer format names no repository; --unsafe-unnamed accepts it.

--recipe judges by a recipe: signed by whom its sign block names, built from
this very recipe and its lock.

--policy judges by a trust policy instead, which says more: who, what must be
there, what it must say, how old it may be (docs/trust-policy.md). --all judges
each image of a list, one a line or Kubernetes manifests, - for standard input,
and prints those that hold.

The kinds that --require knows are ` + strings.Join(signing.Kinds(), ", ") + `,
or a full predicate type.`,
		Example: `  forge verify --key team.pub registry.example/team/train:1
  forge verify --trusted-root root.json --issuer https://accounts.example \
    --identity release@example.org --require sbom,provenance registry.example/team/train:1
  forge verify --offline --key team.pub oci:dist/train
  forge verify --policy trust.hcl registry.example/team/train:1
  forge verify --recipe recipe.hcl registry.example/team/train:1
  kubectl get pods -A -o yaml | forge verify --policy trust.hcl --all -`,
		Args: func(c *cobra.Command, args []string) error {
			if o.all != "" {
				return exactly()(c, args)
			}
			return exactly("IMAGE")(c, args)
		},
		RunE: func(c *cobra.Command, args []string) error {
			if err := o.either(c); err != nil {
				return err
			}
			if o.all != "" && o.only != "" {
				return usageError{errors.New("--platform chooses an image of one index; --all is about many")}
			}
			if o.all != "" {
				return runVerifyAll(c.Context(), t, o)
			}
			return runVerify(c.Context(), t, o, args[0])
		},
	}
	o.expectation.flags(c)
	o.reading(c)
	c.Flags().StringVar(&o.all, "all", "", "`FILE` with a list of images, or - for standard input")
	c.Flags().IntVar(&o.parallel, "parallel", 8, "with --all: how many images at once, `N`")
	o.platform(c)
	return c
}

// reading adds the flags that say by what, and how, an image is read.
func (o *verifyOptions) reading(c *cobra.Command) {
	c.Flags().StringVar(&o.trust, "policy", "", "`FILE` of a trust policy, instead of flags that say who")
	c.Flags().StringVar(&o.by.recipe, "recipe", "", "`FILE` of the recipe whose sign block says who, and from which and whose lock it must be built")
	for _, name := range []string{"image", "recipe-image"} {
		c.Flags().StringVar(&o.by.image, name, "", "the image `NAME` of the recipe, where it has several")
	}
	_ = c.Flags().MarkHidden("recipe-image") // there is such a flag
	c.Flags().StringArrayVar(&o.by.vars, "var", nil, "a variable of the recipe, `NAME=VALUE` (repeatable)")
	c.Flags().BoolVar(&o.offline, "offline", false, "refuse to open a connection: IMAGE must be a layout")
	o.database.flags(c)
	c.Flags().DurationVar(&o.timeout, "timeout", 2*time.Minute, "how long a registry may take for everything about one image")
}

// platform adds the flag that chooses one image of an index.
func (o *verifyOptions) platform(c *cobra.Command) {
	c.Flags().StringVar(&o.only, "platform", "", "of an index, print the image for this `PLATFORM` (linux/arm64); the whole index is verified")
}

// either refuses flags beside a trust policy that would say something else.
func (o *verifyOptions) either(c *cobra.Command) error {
	if c.Flags().Changed("recipe-image") {
		c.PrintErrln("forge: --recipe-image is --image now, as in every other command") // cobra would say it on standard output
	}
	switch {
	case o.by.recipe == "" && (o.by.image != "" || len(o.by.vars) > 0):
		return usageError{errors.New("--image and --var are about a --recipe")}
	case o.trust != "" && o.by.recipe != "":
		return usageError{errors.New("--policy and --recipe both say what is expected")}
	case o.offline && slices.ContainsFunc(o.keys, func(k string) bool { return strings.Contains(k, "://") }):
		return usageError{errors.New("--offline opens no connection, and a --key of a key management service needs one; name a file with its public half")}
	case o.trust == "" && o.by.recipe == "":
		return nil
	}
	says := "--policy"
	if o.trust == "" {
		says = "--recipe"
	}
	if o.all != "" && len(o.repositories) > 0 {
		return usageError{errors.New("--repository is for one layout; the images of a list have their repositories in their names, and the policy's mirrors say what is a copy of what")}
	}
	for _, name := range []string{"identity", "identity-regexp", "issuer", "claim", "key", "trusted-root", "require", "attestations-only", "unsafe-unnamed", "format", "index-only", "logs", "times", "proof"} {
		if c.Flags().Changed(name) {
			return usageError{fmt.Errorf("%s says what is expected; --%s would say it again", says, name)}
		}
	}
	return nil
}

// flags adds the flags that say what is expected.
func (e *expectation) flags(c *cobra.Command) {
	f := c.Flags()
	e.who(c)
	f.StringSliceVar(&e.require, "require", nil, "`KINDS` of statements that must be there besides the signature, with commas between")
	f.BoolVar(&e.attestationsOnly, "attestations-only", false, "do not want a signature, only what --require says")
	f.StringArrayVar(&e.repositories, "repository", nil, "`REPOSITORY` under which it may have been signed besides its own: a mirror's origin, a layout's name; with --policy, the layout's name alone")
	f.BoolVar(&e.unnamed, "unsafe-unnamed", false, "accept statements that name no repository: such a signature counts wherever it is copied")
	f.StringVar(&e.format, "format", "any", "which `FORMAT` of signatures counts: any, bundle, legacy")
	f.BoolVar(&e.indexOnly, "index-only", false, "of an index, verify the index alone and not each of its images")
	f.IntVar(&e.log, "logs", 0, "`N` transparency logs must hold the signature (1 for identities)")
	f.IntVar(&e.times, "times", 0, "`N` confirmed times must be in a signature (1 for identities)")
	f.BoolVar(&e.proof, "proof", false, "want a log's proof of inclusion, not its promise")
}

// who adds the flags that say who must have signed.
func (e *expectation) who(c *cobra.Command) {
	f := c.Flags()
	f.StringArrayVar(&e.identities, "identity", nil, "exact `NAME` in the signer's certificate: e-mail address or URI; with --issuer (repeatable)")
	f.StringArrayVar(&e.patterns, "identity-regexp", nil, "`PATTERN` that must match the whole name; with --issuer (repeatable)")
	f.StringVar(&e.issuer, "issuer", "", "exact `URL` of the issuer of the signer's identity token")
	f.StringToStringVar(&e.claims, "claim", nil, "`NAME=VALUE` that the certificate must hold, such as sourceRepositoryRef=refs/heads/main (repeatable)")
	f.StringArrayVar(&e.keys, "key", nil, "public `KEY` that may have signed: a file, or awskms://, azurekms://, gcpkms://, hashivault:// (repeatable)")
	f.StringVar(&e.root, "trusted-root", "", "`FILE` of the trust root: certificate authorities, logs, time-stamp authorities")
	f.Lookup("claim").DefValue = "" // else the help shows "[]"
}

// policy turns flags into a policy, which is judged here: before any connection.
func (e *expectation) policy(ctx context.Context) (signing.Policy, error) {
	p := signing.Policy{Repositories: e.repositories, UnnamedUnsafe: e.unnamed, Log: e.log, Times: e.times, Proof: e.proof}
	formats := map[string]signing.Formats{"any": signing.AnyFormat, "bundle": signing.BundlesOnly, "legacy": signing.LegacyOnly}
	var ok bool
	if p.Formats, ok = formats[e.format]; !ok {
		return p, usageError{fmt.Errorf("--format is any, bundle or legacy, not %q", e.format)}
	}
	if e.indexOnly {
		p.Index = signing.IndexOnly
	}
	if len(e.identities)+len(e.patterns) == 0 && (e.issuer != "" || len(e.claims) > 0) {
		return p, usageError{errors.New("--issuer and --claim belong to an --identity")}
	}
	for _, name := range e.identities {
		p.Identities = append(p.Identities, signing.Identity{Name: name, Issuer: e.issuer, Claims: e.claims})
	}
	for _, pattern := range e.patterns {
		p.Identities = append(p.Identities, signing.Identity{Pattern: pattern, Issuer: e.issuer, Claims: e.claims})
	}
	for _, path := range e.keys {
		k, err := signing.FindKey(ctx, path)
		if err != nil {
			return p, err
		}
		p.Keys = append(p.Keys, k)
	}
	if e.root == "" && len(p.Identities) > 0 { // the root that forge keeps, if it keeps one
		path, err := keptRoot()
		if err != nil {
			return p, err
		}
		if _, err := os.Lstat(path); err != nil {
			return p, hinted{usageError{errors.New("identities can only be judged with a trust root, and none is kept")}, "--trusted-root names one, forge trust init keeps one"}
		}
		e.root = path
	}
	if e.root != "" {
		var err error
		if p.Root, err = signing.LoadRoot(e.root); err != nil {
			return p, err
		}
	}
	if err := e.statements(&p); err != nil {
		return p, err
	}
	err := p.Check()
	if err != nil && len(p.Identities)+len(p.Keys) == 0 {
		err = hinted{err, "--key FILE, or --identity NAME with --issuer URL, names who must have signed; a trust policy or a recipe does, too"}
	}
	return p, err
}

func (e *expectation) statements(p *signing.Policy) error {
	if !e.attestationsOnly {
		p.Statements = append(p.Statements, signing.Requirement{Types: signing.Types("signature")})
	}
	for _, kind := range e.require {
		types := signing.Types(kind)
		if types == nil {
			return usageError{fmt.Errorf("--require %q is no kind of statement; known are %s, or a full predicate type", kind, strings.Join(signing.Kinds(), ", "))}
		}
		p.Statements = append(p.Statements, signing.Requirement{Types: types})
	}
	if len(p.Statements) == 0 {
		return usageError{errors.New("--attestations-only needs a --require: else nothing would be expected")}
	}
	return nil
}

func runVerify(ctx context.Context, t *terminal, o verifyOptions, ref string) error {
	v, err := newVerifier(ctx, t, o)
	if err != nil {
		return t.unverified(err)
	}
	defer v.close()
	shown, accepted, verified, err := v.judge(ctx, o, ref)
	if err != nil {
		return t.unverified(err)
	}
	if t.json && accepted != nil {
		return t.document(accepted)
	}
	if t.json {
		return t.document(verified)
	}
	rejected, children := 0, []string(nil)
	if accepted != nil {
		rejected, children = len(accepted.Rejected), accepted.Children
	} else {
		rejected = len(verified.Rejected())
		for _, c := range verified.Children() {
			children = append(children, c.String())
		}
	}
	if len(children) > 0 { // hostile-input OCI-07: a runtime takes one of these
		t.say("an index, verified with its images %s", strings.Join(children, ", "))
	}
	if rejected > 0 {
		t.say("%d candidate(s) beside %s do not count; --json lists them", rejected, shown)
	}
	t.result("%s", shown)
	return nil
}

// locate finds where an image is and asks once what it is. shown is how it is printed.
func locate(ctx context.Context, client http.RoundTripper, ref string, offline bool) (src evidence.Source, image signing.Image, shown string, err error) {
	if dir, ok := strings.CutPrefix(ref, "oci:"); ok {
		return locateLayout(dir)
	}
	parsed, err := name.ParseReference(ref, name.StrictValidation)
	if err != nil {
		return nil, image, "", usageError{fmt.Errorf("image %q: it needs a registry, a repository and a tag or digest (REGISTRY/REPOSITORY:TAG), or is oci:DIR", ref)}
	}
	if offline {
		return nil, image, "", usageError{fmt.Errorf("image %q: --offline opens no connection; an OCI layout (oci:DIR) can be verified", ref)}
	}
	repo := parsed.Context()
	reg, err := evidence.OpenRegistry(ctx, client, repo)
	if err != nil {
		return nil, image, "", err
	}
	image.Repository = repo.Name()
	if d, ok := parsed.(name.Digest); ok {
		if image.Digest, err = v1.NewHash(d.DigestStr()); err != nil {
			return nil, image, "", usageError{fmt.Errorf("image %q: %w", ref, err)}
		}
	} else {
		doc, err := reg.Resolve(ctx, parsed.Identifier())
		if err != nil {
			return nil, image, "", err
		}
		image.Digest = doc.Digest
	}
	return reg, image, image.String(), nil
}

// locateLayout opens DIR, DIR:TAG, or DIR@sha256:…, as forge prints it.
func locateLayout(dir string) (src evidence.Source, image signing.Image, shown string, err error) {
	tag, digest := "", ""
	if _, err := os.Stat(filepath.Join(dir, "oci-layout")); err != nil {
		if i := strings.LastIndex(dir, "@sha256:"); i > 0 {
			dir, digest = dir[:i], dir[i+1:]
		} else if i := strings.LastIndexByte(dir, ':'); i > 0 {
			dir, tag = dir[:i], dir[i+1:]
		}
	}
	l, err := evidence.OpenLayout(dir)
	if err != nil {
		return nil, image, "", err
	}
	if digest != "" {
		if image.Digest, err = v1.NewHash(digest); err != nil {
			l.Close()
			return nil, image, "", usageError{fmt.Errorf("layout %q: %w", dir, err)}
		}
		return l, image, "oci:" + dir + image.String(), nil
	}
	doc, err := l.Image(tag)
	if err != nil {
		l.Close()
		return nil, image, "", err
	}
	image.Digest = doc.Digest
	return l, image, "oci:" + dir + image.String(), nil
}

// unverified shows the table of an image that is not verified.
func (t *terminal) unverified(err error) error {
	var not *signing.NotVerifiedError
	var part *signing.IncompleteError
	if errors.As(err, &part) {
		not = part.NotVerified
	} else if !errors.As(err, &not) {
		return err
	}
	if t.json {
		return err // failure has it whole
	}
	for _, c := range not.Checks {
		t.say("%s", c)
	}
	for i, r := range not.Rejected {
		if i == 20 {
			t.say("rejected   %d more; --json lists them", len(not.Rejected)-i)
			break
		}
		t.say("rejected   %s", r)
	}
	return err
}
