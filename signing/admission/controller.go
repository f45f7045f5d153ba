package admission

import (
	"fmt"
	"strings"

	"github.com/forge-build/forge/recipes/trust"
)

// rootName is the TrustRoot resource that policies refer to.
const rootName = "forge"

// ClusterImagePolicies writes a policy for Sigstore's policy-controller. All policies that
// match an image must be fulfilled, and of the authorities of one policy any: so each kind of
// statement is a policy of its own, with its signers as authorities. Source:
// github.com/sigstore/policy-controller, config/300-clusterimagepolicy.yaml.
func ClusterImagePolicies(p *trust.Policy, o Options) (*Document, error) {
	w := &writer{policy: p, names: map[string]bool{}}
	if p.Root != nil {
		if err := w.trustRoot(p.Root.Bytes); err != nil {
			return nil, fmt.Errorf("reading the trusted root %q: %w", p.Root.Path, err)
		}
	}
	for i := range p.Rules {
		r := &p.Rules[i]
		w.general(r)
		w.overlaps(r)
		if r.Level != trust.LevelPlatform {
			w.cannot("images %s: the images that an index lists; the digest that a pod names is checked", text(r.Name))
		}
		w.controllerRule(r, o)
	}
	return w.document("policy-controller: kubectl apply -f, in a cluster whose namespaces are labelled policy.sigstore.dev/include=true"), nil
}

// overlaps notes that a repository of two rules must fulfil both.
func (w *writer) overlaps(r *trust.Rule) {
	for i := range w.policy.Rules {
		other := &w.policy.Rules[i]
		if other == r {
			continue
		}
		for _, inner := range other.Repositories {
			for _, outer := range r.Repositories {
				if below, ok := strings.CutSuffix(string(outer), "*"); ok && inner != outer && strings.HasPrefix(string(inner), below) {
					w.cannot("%s is of images %s alone; here it must fulfil images %s too", text(string(inner)), text(other.Name), text(r.Name))
				}
			}
		}
	}
}

// controllerRule writes the policies of one rule.
func (w *writer) controllerRule(r *trust.Rule, o Options) {
	switch {
	case r.Signatures <= 1:
		w.controllerPolicy(r, "", r.SignedBy, nil, o)
	case r.Signatures == len(r.SignedBy): // each of them
		for _, s := range r.SignedBy {
			w.controllerPolicy(r, "", []string{s}, nil, o)
		}
	default:
		w.cannot("images %s: %d of %d signers; one is asked for", text(r.Name), r.Signatures, len(r.SignedBy))
		w.controllerPolicy(r, "", r.SignedBy, nil, o)
	}
	for _, want := range wanted(r) {
		w.controllerPolicy(r, "-"+want.kind, want.signers, want.types, o)
	}
}

// controllerPolicy writes one policy: of some signers, any, with a statement of any of the
// types; no type: the signature.
func (w *writer) controllerPolicy(r *trust.Rule, suffix string, signers, types []string, o Options) {
	w.line("---")
	w.line("# images %s", text(r.Name))
	w.line("apiVersion: policy.sigstore.dev/v1beta1\nkind: ClusterImagePolicy\nmetadata:\n  name: %s\nspec:\n  mode: enforce\n  images:", w.name(r.Name, suffix))
	for _, g := range globs(r) {
		w.line("    - glob: %s", text(g))
	}
	w.line("  authorities:")
	for _, name := range signers {
		s := w.policy.Signer(name)
		if len(types) == 0 {
			w.authority(r, s, "", o)
		}
		for _, t := range types {
			w.authority(r, s, t, o)
		}
	}
}

// globs are a rule's repositories: by tag, and by digest.
func globs(r *trust.Rule) []string {
	var out []string
	add := func(s trust.Scope) {
		if s == "*" {
			out = append(out, "**")
		} else if below, ok := strings.CutSuffix(string(s), "*"); ok {
			out = append(out, below+"**")
		} else {
			out = append(out, string(s)+":**", string(s)+"@**")
		}
	}
	for _, s := range r.Repositories {
		add(s)
	}
	for _, m := range r.Mirrors {
		add(m.At)
	}
	return out
}

// authority writes a signer, with the statement that must be its.
func (w *writer) authority(r *trust.Rule, s *trust.Signer, kind string, o Options) {
	name := strings.Trim(notLabel.ReplaceAllString(strings.ToLower(s.Name), "-"), "-")
	if kind == typeSPDX || kind == typeCycloneDX {
		name += map[string]string{typeSPDX: "-spdx", typeCycloneDX: "-cyclonedx"}[kind]
	}
	w.line("    - name: %s # signer %s", text(name), text(s.Name))
	if s.Key != nil {
		w.line("      key:\n        hashAlgorithm: sha256")
		w.block(8, "data", string(s.Key.Bytes))
		if !o.Legacy {
			w.cannot("signer %s: policy-controller judges keys by cosign's older format alone; publish with it beside the bundles", text(s.Name))
		}
	} else {
		w.keyless(s, o)
	}
	bundles := s.Key == nil && !o.Legacy
	switch {
	case kind == "" && bundles: // a bundle of any type would do otherwise
		w.line("      attestations:\n        - name: signature\n          predicateType: %s", text(typeSignature))
	case kind != "":
		w.line("      attestations:\n        - name: statement\n          predicateType: %s", text(kind))
		if rego := w.rego(r, kind); rego != "" {
			w.line("          policy:\n            type: rego")
			w.block(12, "data", rego)
		}
	}
}

// keyless writes an identity.
func (w *writer) keyless(s *trust.Signer, o Options) {
	if !o.Legacy {
		w.cannot("signer %s: signatures in a Rekor v2 log; policy-controller 0.13 reads entries of the first version alone, and refuses these", text(s.Name))
		w.line("      signatureFormat: bundle")
	}
	w.line("      keyless:\n        url: https://fulcio.sigstore.dev")
	if w.policy.Root != nil {
		w.line("        trustRootRef: %s", rootName)
	}
	w.line("        identities:\n          - issuer: %s", text(s.Issuer))
	if s.Identity.Pattern {
		w.line("            subjectRegExp: %s", text(anchored(s.Identity)))
	} else {
		w.line("            subject: %s", text(s.Identity.Text))
	}
	if w.policy.Root == nil {
		w.line("      ctlog:\n        url: https://rekor.sigstore.dev")
		return
	}
	w.line("      ctlog:\n        url: https://rekor.sigstore.dev\n        trustRootRef: %s", rootName)
	if w.timestamps() {
		w.line("      rfc3161timestamp:\n        trustRootRef: %s", rootName)
		w.cannot("signer %s: that the signature is in a log; policy-controller asks for a time stamp or for the log", text(s.Name))
	}
}

// rego judges what a statement says; "" where being there is all that is asked for.
func (w *writer) rego(r *trust.Rule, kind string) string {
	var rules []string
	helpers := ""
	switch kind {
	case typeProvenance:
		rules, helpers = regoProvenance(r.Provenance)
	case typeVulns:
		rules, helpers = w.regoScan(r)
	case typeTests:
		rules = []string{`input.predicate.result == "PASSED"`, `count(object.get(input.predicate, "failedTests", [])) == 0`, `count(input.predicate.passedTests) > 0`}
	default:
		return ""
	}
	if len(rules) == 0 {
		return ""
	}
	return "package sigstore\n\nimport rego.v1\n\ndefault isCompliant := false\n\nisCompliant if {\n  input.predicateType == " + text(kind) + "\n  " + strings.Join(rules, "\n  ") + "\n}\n" + helpers
}

func regoProvenance(p *trust.Provenance) (rules []string, helpers string) {
	if len(p.Builders) > 0 {
		rules = append(rules, "builder")
		for _, m := range p.Builders {
			helpers += "\nbuilder if regex.match(" + text(builtBy(m)) + ", input.predicate.runDetails.builder.id)\n"
		}
	}
	for _, m := range materials(p) {
		rules = append(rules, fmt.Sprintf(`%ss := [d.digest.sha256 | some d in input.predicate.buildDefinition.resolvedDependencies; d.name == %s]`, m.name, text(m.name)),
			fmt.Sprintf("count(%ss) == 1", m.name), fmt.Sprintf("%ss[0] in %s", m.name, regoSet(m.digests)))
	}
	return rules, helpers
}

func regoSet(digests []string) string {
	var out []string
	for _, d := range digests {
		out = append(out, text(strings.TrimPrefix(d, "sha256:")))
	}
	return "{" + strings.Join(out, ", ") + "}"
}

func (w *writer) regoScan(r *trust.Rule) (rules []string, helpers string) {
	s := r.Scan
	if len(s.AtMost) > 0 {
		w.cannot("images %s: scan at_most", text(r.Name))
	}
	rules = append(rules, `finished := time.parse_rfc3339_ns(input.predicate.metadata.scanFinishedOn)`, `finished <= time.now_ns() + 300000000000`,
		fmt.Sprintf("time.now_ns() - finished <= %d000000000", seconds(s.MaxAge)))
	if s.DatabaseMaxAge > 0 {
		rules = append(rules, fmt.Sprintf("finished - time.parse_rfc3339_ns(input.predicate.scanner.db.lastUpdate) <= %d000000000", seconds(s.DatabaseMaxAge)))
	}
	rules = append(rules, "is_array(input.predicate.scanner.result)", "count(refused) == 0")
	helpers = "\nexcused(finding) if finding.annotations[_].suppressed != \"\"\n"
	if s.Waivers {
		helpers += "\nexcused(finding) if finding.annotations[_].waived == true\n"
	}
	unless := "  not excused(finding)\n"
	if words := refused(s); len(words) > 0 {
		var quoted []string
		for _, v := range words {
			quoted = append(quoted, text(v))
		}
		helpers += "\nrefused contains finding.id if {\n  some finding in input.predicate.scanner.result\n" + unless + "  lower(finding.severity[_].score) in {" + strings.Join(quoted, ", ") + "}\n}\n" +
			"\nrefused contains finding.id if {\n  some finding in input.predicate.scanner.result\n" + unless + "  count(object.get(finding, \"severity\", [])) == 0\n}\n"
	}
	if !s.Exploited {
		helpers += "\nrefused contains finding.id if {\n  some finding in input.predicate.scanner.result\n" + unless + "  finding.annotations[_].exploited == true\n}\n"
	}
	return rules, helpers
}
