package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/spf13/cobra"

	"github.com/forge-build/forge/recipes"
	"github.com/forge-build/forge/recipes/trust"
	"github.com/forge-build/forge/signing/admission"
)

func newPolicy(t *terminal) *cobra.Command {
	c := &cobra.Command{
		Use:   "policy",
		Short: "Check or export a trust policy",
		Long: `A trust policy says which images a place takes, and on whose word;
docs/trust-policy.md describes it. Verify judges images by it.`,
		Example: `  forge policy check trust.hcl
  forge verify --policy trust.hcl registry.example/ml/train:2.9.1`,
		Args: exactly(),
		RunE: func(*cobra.Command, []string) error {
			return usageError{errors.New("check or export is missing")}
		},
	}
	check := &cobra.Command{
		Use:   "check FILE [REF…]",
		Short: "Check a trust policy, and show what it says",
		Long: `Check reads a trust policy and the files that it names, and says every mistake
with its place. Without one it lists signers and rules; with references it says
which rule applies to each. It opens no socket and verifies no image.`,
		Example: `  forge policy check trust.hcl
  forge policy check trust.hcl registry.example/ml/train:2.9.1`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usageError{errors.New("FILE is missing")}
			}
			return nil
		},
		RunE: func(_ *cobra.Command, args []string) error { return runPolicyCheck(t, args[0], args[1:]) },
	}
	c.AddCommand(check, newPolicyExport(t))
	return c
}

type exportOptions struct {
	to     string
	legacy bool
}

// policyReaders are whom a policy is exported for.
const policyReaders = "policy-controller, kyverno, policy.json or registries.d"

func newPolicyExport(t *terminal) *cobra.Command {
	var o exportOptions
	c := &cobra.Command{
		Use:   "export --to READER FILE",
		Short: "Export a trust policy for a cluster, or for podman",
		Long: `Export writes a trust policy as ClusterImagePolicy of Sigstore's policy-controller,
as ImageValidatingPolicy of Kyverno, or as the policy.json of podman, skopeo and
CRI-O with its registries.d. What the reader cannot check is said on stderr and,
where comments can be, in the document; forge verify checks all of it.`,
		Example: `  forge policy export --to policy-controller trust.hcl > policies.yaml
  forge policy export --to kyverno trust.hcl | kubectl apply -f -
  forge policy export --to policy.json trust.hcl > /etc/containers/policy.json
  forge policy export --to registries.d trust.hcl > /etc/containers/registries.d/forge.yaml`,
		Args: exactly("FILE"),
		RunE: func(_ *cobra.Command, args []string) error { return runPolicyExport(t, o, args[0]) },
	}
	c.Flags().StringVar(&o.to, "to", "", "the `READER`: "+policyReaders)
	c.Flags().BoolVar(&o.legacy, "legacy", false, "the images carry cosign's older signatures, and no bundle")
	return c
}

func runPolicyExport(t *terminal, o exportOptions, path string) error {
	write := map[string]func(*trust.Policy, admission.Options) (*admission.Document, error){
		"policy-controller": admission.ClusterImagePolicies, "kyverno": admission.ImageValidatingPolicies,
		"policy.json": admission.ContainersPolicy, "registries.d": admission.ContainersRegistries,
	}[o.to]
	if o.to == "" {
		return usageError{errors.New("--to is missing: " + policyReaders)}
	}
	if write == nil {
		return usageError{fmt.Errorf("--to %q: it must be %s", o.to, policyReaders)}
	}
	p, err := recipes.LoadTrust(path)
	if err != nil {
		return err
	}
	d, err := write(p, admission.Options{Legacy: o.legacy})
	if err != nil {
		return usageError{err} // what the policy names is wrong
	}
	for _, u := range d.Unsaid {
		t.say("%s does not check: %s", o.to, u)
	}
	if t.json {
		return t.document(struct {
			To     string   `json:"to"`
			YAML   string   `json:"yaml"`
			Unsaid []string `json:"unsaid"`
		}{o.to, string(d.YAML), d.Unsaid})
	}
	_, err = t.out.Write(d.YAML)
	return err
}

// policyReport is the document of policy check --json.
type policyReport struct {
	Policy  string         `json:"policy"`
	SHA256  string         `json:"sha256"`
	Signers []signerReport `json:"signers"`
	Rules   []ruleReport   `json:"rules"`
	Applies []applyReport  `json:"applies,omitempty"`
}

type signerReport struct {
	Name        string     `json:"name"`
	Identity    string     `json:"identity,omitempty"`
	Issuer      string     `json:"issuer,omitempty"`
	Fingerprint string     `json:"fingerprint,omitempty"` // of a key: sha256 of its DER
	From        *time.Time `json:"from,omitempty"`
	Until       *time.Time `json:"until,omitempty"`
	ValidNow    bool       `json:"validNow"`
}

type ruleReport struct {
	Name         string   `json:"name"`
	Repositories []string `json:"repositories"`
	SignedBy     []string `json:"signedBy"`
	Signatures   int      `json:"signatures"`
	Level        string   `json:"level"`
	Needs        []string `json:"needs"`
}

type applyReport struct {
	Reference string `json:"reference"`
	Rule      string `json:"rule,omitempty"`
	MirrorOf  string `json:"mirrorOf,omitempty"`
}

func runPolicyCheck(t *terminal, path string, references []string) error {
	p, err := recipes.LoadTrust(path)
	if err != nil {
		return err
	}
	r := reportPolicy(p, time.Now())
	for _, ref := range references {
		repo, err := name.NewRepository(ref, name.StrictValidation)
		if parsed, other := name.ParseReference(ref, name.StrictValidation); other == nil {
			repo, err = parsed.Context(), nil
		}
		if err != nil {
			return usageError{fmt.Errorf("reference %q: it needs a registry and a repository (REGISTRY/REPOSITORY), and may have a tag or digest", ref)}
		}
		a := applyReport{Reference: ref}
		if rule, original := p.For(repo.Name()); rule != nil {
			a.Rule = rule.Name
			if original != repo.Name() {
				a.MirrorOf = original
			}
		}
		r.Applies = append(r.Applies, a)
	}
	if t.json {
		return t.document(r)
	}
	printPolicy(t, r)
	return nil
}

func reportPolicy(p *trust.Policy, now time.Time) policyReport {
	r := policyReport{Policy: p.Path, SHA256: p.SHA256}
	for _, s := range p.Signers {
		v := signerReport{Name: s.Name, Identity: s.Identity.String(), Issuer: s.Issuer, ValidNow: s.ValidAt(now)}
		if s.Key != nil {
			v.Fingerprint = fingerprint(s.Key.Bytes)
		}
		if !s.From.IsZero() {
			v.From = &s.From
		}
		if !s.Until.IsZero() {
			v.Until = &s.Until
		}
		r.Signers = append(r.Signers, v)
	}
	for _, rule := range p.Rules {
		v := ruleReport{Name: rule.Name, SignedBy: rule.SignedBy, Signatures: rule.Signatures, Level: string(rule.Level), Needs: needs(&rule)}
		for _, s := range rule.Repositories {
			v.Repositories = append(v.Repositories, string(s))
		}
		for _, m := range rule.Mirrors {
			v.Repositories = append(v.Repositories, fmt.Sprintf("%s, a mirror of %s", m.At, m.Of))
		}
		r.Rules = append(r.Rules, v)
	}
	return r
}

// needs are what a rule asks for besides the signature.
func needs(r *trust.Rule) []string {
	out := []string{"signature"}
	for _, n := range []struct {
		name string
		is   bool
	}{{"sbom", r.SBOM != nil}, {"provenance", r.Provenance != nil}, {"scan", r.Scan != nil}, {"tests", r.Tests != nil}} {
		if n.is {
			out = append(out, n.name)
		}
	}
	return out
}

// fingerprint names a public key in a deny list: the sha256 of its DER form.
func fingerprint(pemKey []byte) string {
	block, _ := pem.Decode(pemKey)
	if block == nil {
		return "" // a policy with such a key does not load
	}
	sum := sha256.Sum256(block.Bytes)
	return "sha256:" + hex.EncodeToString(sum[:])
}

func printPolicy(t *terminal, r policyReport) {
	for _, s := range r.Signers {
		what := s.Identity + ", vouched for by " + s.Issuer
		if s.Fingerprint != "" {
			what = "key " + s.Fingerprint
		}
		if s.From != nil {
			what += ", from " + s.From.Format(time.RFC3339)
		}
		if s.Until != nil {
			what += ", until " + s.Until.Format(time.RFC3339)
		}
		if !s.ValidNow {
			what += " (not valid now)"
		}
		t.result("signer %q: %s", s.Name, what)
	}
	for _, rule := range r.Rules {
		t.result("images %q: %s", rule.Name, strings.Join(rule.Repositories, "; "))
		t.result("  signed by %d of %q, level %s; must have %s", rule.Signatures, rule.SignedBy, rule.Level, strings.Join(rule.Needs, ", "))
	}
	for _, a := range r.Applies {
		switch {
		case a.Rule == "":
			t.result("%s: no rule applies, so it is refused", a.Reference)
		case a.MirrorOf != "":
			t.result("%s: images %q, as a mirror of %s", a.Reference, a.Rule, a.MirrorOf)
		default:
			t.result("%s: images %q", a.Reference, a.Rule)
		}
	}
}
