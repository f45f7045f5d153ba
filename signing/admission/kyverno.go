package admission

import (
	"fmt"
	"sort"
	"strings"

	"github.com/forge-build/forge/recipes/trust"
)

// ImageValidatingPolicies writes a policy for Kyverno, one for each rule. Source:
// github.com/kyverno/kyverno, config/crds/policies.kyverno.io.
func ImageValidatingPolicies(p *trust.Policy, o Options) (*Document, error) {
	w := &writer{policy: p, names: map[string]bool{}}
	if p.Root != nil {
		if _, err := readRoot(p.Root.Bytes); err != nil {
			return nil, fmt.Errorf("reading the trusted root %q: %w", p.Root.Path, err)
		}
	}
	for i := range p.Rules {
		r := &p.Rules[i]
		w.general(r)
		if r.Level != trust.LevelPlatform {
			w.cannot("images %s: the images that an index lists; the digest that a pod names is checked", text(r.Name))
		}
		w.kyvernoRule(r, o)
	}
	return w.document("Kyverno: kubectl apply -f"), nil
}

// kyvernoRule writes the policy of one rule.
func (w *writer) kyvernoRule(r *trust.Rule, o Options) {
	w.line("---\n# images %s", text(r.Name))
	w.line("apiVersion: policies.kyverno.io/v1beta1\nkind: ImageValidatingPolicy\nmetadata:\n  name: %s\nspec:", w.name(r.Name, ""))
	w.line("  failurePolicy: Fail\n  validationActions: [Deny]\n  webhookConfiguration:\n    timeoutSeconds: 30\n  evaluation:\n    background:\n      enabled: false")
	w.line("  matchConstraints:\n    resourceRules:\n      - apiGroups: [\"\"]\n        apiVersions: [v1]\n        operations: [CREATE, UPDATE]\n        resources: [pods, pods/ephemeralcontainers]")
	w.line("  matchImageReferences:\n    - expression: %s", text(w.selects(r)))
	w.line("  validationConfigurations:\n    mutateDigest: true\n    verifyDigest: true\n    required: true")
	signers := everySigner(r)
	w.line("  attestors:")
	for i, name := range signers {
		w.attestor(fmt.Sprintf("signer%d", i+1), w.policy.Signer(name), o)
	}
	list := func(names []string) string {
		var out []string
		for i, s := range signers {
			for _, n := range names {
				if n == s {
					out = append(out, fmt.Sprintf("attestors.signer%d", i+1))
				}
			}
		}
		return "[" + strings.Join(out, ", ") + "]"
	}
	switch {
	case !o.Legacy:
		w.line("  attestations:")
		w.line("    - name: signature\n      intoto:\n        type: %s", text(typeSignature))
	case len(wanted(r)) == 0:
		w.line("  attestations: []")
	default:
		w.line("  attestations:")
	}
	for _, want := range wanted(r) {
		for i, t := range want.types {
			w.line("    - name: %s\n      intoto:\n        type: %s", attestation(want, i), text(t))
		}
	}
	w.line("  validations:")
	check := fmt.Sprintf("verifyAttestationSignatures(image, attestations.signature, %s)", list(r.SignedBy))
	if o.Legacy {
		check = fmt.Sprintf("verifyImageSignatures(image, %s)", list(r.SignedBy))
	}
	w.validation(fmt.Sprintf("%s >= %d", check, max(1, r.Signatures)), fmt.Sprintf("images %s: not signed by %d of %s", r.Name, max(1, r.Signatures), strings.Join(r.SignedBy, ", ")))
	for _, want := range wanted(r) {
		var any []string
		for i := range want.types {
			any = append(any, fmt.Sprintf("verifyAttestationSignatures(image, attestations.%s, %s) > 0", attestation(want, i), list(want.signers)))
		}
		w.validation(strings.Join(any, " || "), fmt.Sprintf("images %s: no %s by %s", r.Name, want.kind, strings.Join(want.signers, ", ")))
		for _, c := range w.kyvernoContent(r, want.kind) {
			w.validation(c, fmt.Sprintf("images %s: its %s statement does not say what the trust policy asks for", r.Name, want.kind))
		}
	}
}

// attestation is the name of a statement's i-th type.
func attestation(want want, i int) string {
	if len(want.types) == 1 {
		return want.kind
	}
	return fmt.Sprintf("%s%d", want.kind, i+1)
}

// every are the lists of images that a pod has.
var every = []string{"containers", "initContainers", "ephemeralContainers"}

// validation writes a condition on each image of a pod.
func (w *writer) validation(condition, message string) {
	var all []string
	for _, list := range every {
		all = append(all, fmt.Sprintf("images.%s.all(image, %s)", list, condition))
	}
	w.line("    - expression: %s\n      message: %s", text(strings.Join(all, " && ")), text(message))
}

// selects is the condition that exactly this rule applies to an image.
func (w *writer) selects(r *trust.Rule) string {
	var is []string
	var own []trust.Scope
	own = append(own, r.Repositories...)
	for _, m := range r.Mirrors {
		own = append(own, m.At)
	}
	for _, s := range own {
		condition := inScope(s)
		var not []string
		for i := range w.policy.Rules {
			other := &w.policy.Rules[i]
			if other == r {
				continue
			}
			scopes := append([]trust.Scope{}, other.Repositories...)
			for _, m := range other.Mirrors {
				scopes = append(scopes, m.At)
			}
			for _, inner := range scopes {
				if below, ok := strings.CutSuffix(string(s), "*"); ok && strings.HasPrefix(string(inner), below) && inner != s {
					not = append(not, "!"+inScope(inner))
				}
			}
		}
		sort.Strings(not)
		is = append(is, "("+strings.Join(append([]string{condition}, not...), " && ")+")")
	}
	return strings.Join(is, " || ")
}

// inScope is a scope's condition on a reference.
func inScope(s trust.Scope) string {
	if s == "*" {
		return "true"
	}
	host, path, _ := strings.Cut(string(s), "/")
	registry := fmt.Sprintf("image(ref).registry() == %s", cel(host))
	if below, ok := strings.CutSuffix(path, "*"); ok {
		return fmt.Sprintf("(%s && image(ref).repository().startsWith(%s))", registry, cel(below))
	}
	return fmt.Sprintf("(%s && image(ref).repository() == %s)", registry, cel(path))
}

// attestor writes a signer.
func (w *writer) attestor(name string, s *trust.Signer, o Options) {
	w.line("    - name: %s # signer %s\n      cosign:", name, text(s.Name))
	if s.Key != nil {
		w.line("        key:")
		w.block(10, "data", string(s.Key.Bytes))
		w.line("        ctlog:\n          insecureIgnoreTlog: true\n          insecureIgnoreSCT: true")
		if o.Legacy {
			w.cannot("signer %s: statements in cosign's older format that no log holds; Kyverno 1.19 refuses these, and takes them as bundles", text(s.Name))
		}
		return
	}
	w.line("        keyless:\n          identities:\n            - issuer: %s", text(s.Issuer))
	if s.Identity.Pattern {
		w.line("              subjectRegExp: %s", text(anchored(s.Identity)))
	} else {
		w.line("              subject: %s", text(s.Identity.Text))
	}
	if w.policy.Root == nil {
		return
	}
	w.line("        trustedRoot:\n          value: %s", text(string(w.policy.Root.Bytes)))
	w.cannot("signer %s: anything without a TUF repository; Kyverno 1.19 asks the public Sigstore's although the trust root stands here, and a cluster that cannot reach it needs cosign.tuf.mirror", text(s.Name))
	r, err := readRoot(w.policy.Root.Bytes)
	if err != nil || len(r.TimestampAuthorities) == 0 {
		return
	}
	// Only with an authority's certificates does it take times from time stamps, which entries of
	// a Rekor v2 log need; the address is not asked.
	url := "https://rekor.sigstore.dev"
	if n := len(r.Tlogs); n > 0 {
		url = r.Tlogs[n-1].BaseURL
	}
	w.line("        ctlog:\n          url: %s", text(url))
	w.block(10, "tsaCertChain", string(chainOf(r.TimestampAuthorities[len(r.TimestampAuthorities)-1])))
}

// kyvernoContent are conditions on what a statement says.
func (w *writer) kyvernoContent(r *trust.Rule, kind string) []string {
	predicate := fmt.Sprintf("extractPayload(image, attestations.%s).predicate", kind)
	switch kind {
	case "provenance":
		return kyvernoProvenance(r.Provenance, predicate)
	case "scan":
		return w.kyvernoScan(r, predicate)
	case "tests":
		return []string{predicate + `.result == "PASSED" && (!has(` + predicate + `.failedTests) || size(` + predicate + `.failedTests) == 0) && size(` + predicate + `.passedTests) > 0`}
	}
	return nil
}

func kyvernoProvenance(p *trust.Provenance, predicate string) []string {
	var out []string
	if len(p.Builders) > 0 {
		var any []string
		for _, m := range p.Builders {
			any = append(any, fmt.Sprintf("string(%s.runDetails.builder.id).matches(%s)", predicate, cel(builtBy(m))))
		}
		out = append(out, strings.Join(any, " || "))
	}
	for _, m := range materials(p) {
		var set []string
		for _, d := range m.digests {
			set = append(set, cel(strings.TrimPrefix(d, "sha256:")))
		}
		named := fmt.Sprintf("%s.buildDefinition.resolvedDependencies.filter(d, has(d.name) && d.name == %s)", predicate, cel(m.name))
		out = append(out, fmt.Sprintf("size(%s) == 1 && %s.all(d, d.digest.sha256 in [%s])", named, named, strings.Join(set, ", ")))
	}
	return out
}

func (w *writer) kyvernoScan(r *trust.Rule, predicate string) []string {
	s := r.Scan
	if len(s.AtMost) > 0 {
		w.cannot("images %s: scan at_most", text(r.Name))
	}
	finished := fmt.Sprintf("timestamp(string(%s.metadata.scanFinishedOn))", predicate)
	out := []string{fmt.Sprintf("time.now() - %s <= duration(\"%ds\") && %s <= time.now() + duration(\"300s\")", finished, seconds(s.MaxAge), finished)}
	if s.DatabaseMaxAge > 0 {
		out = append(out, fmt.Sprintf("%s - timestamp(string(%s.scanner.db.lastUpdate)) <= duration(\"%ds\")", finished, predicate, seconds(s.DatabaseMaxAge)))
	}
	excused := `has(a.suppressed) && a.suppressed != ""`
	if s.Waivers {
		excused += ` || has(a.waived) && a.waived == true`
	}
	unless := "has(f.annotations) && f.annotations.exists(a, " + excused + ") || "
	if words := refused(s); len(words) > 0 {
		var quoted []string
		for _, v := range words {
			quoted = append(quoted, cel(v), cel(strings.ToUpper(v)), cel(strings.ToUpper(v[:1])+v[1:]))
		}
		out = append(out, fmt.Sprintf("%s.scanner.result.all(f, %shas(f.severity) && size(f.severity) > 0 && !f.severity.exists(v, v.score in [%s]))", predicate, unless, strings.Join(quoted, ", ")))
	}
	if !s.Exploited {
		out = append(out, fmt.Sprintf("%s.scanner.result.all(f, %s!(has(f.annotations) && f.annotations.exists(a, has(a.exploited) && a.exploited == true)))", predicate, unless))
	}
	return out
}
