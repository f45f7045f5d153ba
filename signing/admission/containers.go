package admission

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/forge-build/forge/recipes/trust"
)

// requirement is one condition of a policy.json; all that stand in a list must hold. Source:
// github.com/containers/image, docs/containers-policy.json.5.md.
type requirement struct {
	Type     string   `json:"type"`
	Key      string   `json:"keyData,omitempty"`  // base64 of the file
	Keys     []string `json:"keyDatas,omitempty"` // any of them
	Identity *named   `json:"signedIdentity,omitempty"`
}

// named is what the signature must call the image. Sigstore's name a repository and no tag.
type named struct {
	Type       string `json:"type"`
	Repository string `json:"dockerRepository,omitempty"`
}

var reject = []requirement{{Type: "reject"}}

// ContainersPolicy writes a policy as the policy.json of podman, skopeo, Buildah and CRI-O. They
// read cosign's older signatures alone, and verify them with keys.
func ContainersPolicy(p *trust.Policy, _ Options) (*Document, error) {
	w := &writer{policy: p}
	scopes := map[string][]requirement{}
	for i := range p.Rules {
		r := &p.Rules[i]
		w.general(r)
		for _, want := range wanted(r) {
			w.cannot("images %s: the statement %s", text(r.Name), want.kind)
		}
		for _, s := range r.Repositories {
			if s != "*" && !strings.HasSuffix(string(s), "/*") {
				w.cannot("images %s: that %s/… is another repository", text(r.Name), string(s))
			}
			scopes[scope(s)] = w.signedBy(r, named{Type: "matchRepository"})
		}
		for _, m := range r.Mirrors {
			if m.Of == "*" || strings.HasSuffix(string(m.Of), "/*") {
				w.cannot("images %s: mirrors of more than one repository; %s is refused", text(r.Name), string(m.At))
				scopes[scope(m.At)] = reject
				continue
			}
			scopes[scope(m.At)] = w.signedBy(r, named{"exactRepository", scope(m.Of)})
		}
	}
	raw, err := json.MarshalIndent(struct {
		Default    []requirement                       `json:"default"`
		Transports map[string]map[string][]requirement `json:"transports"`
	}{reject, map[string]map[string][]requirement{"docker": scopes}}, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("internal error: %w", err)
	}
	return &Document{YAML: append(raw, '\n'), Unsaid: w.unsaid}, nil
}

// signedBy are the requirements for a rule's signers: one that any of them fulfils, or as many as
// there are signers when each must have signed.
func (w *writer) signedBy(r *trust.Rule, name named) []requirement {
	var keys []string
	for _, s := range r.SignedBy {
		signer := w.policy.Signer(s)
		if signer.Key == nil {
			w.cannot("signer %s: an identity; what it alone has signed is refused", text(s))
			continue
		}
		keys = append(keys, base64.StdEncoding.EncodeToString(signer.Key.Bytes))
	}
	n := max(1, r.Signatures)
	switch {
	case len(keys) < n:
		return reject
	case n == 1 && len(keys) == 1:
		return []requirement{{Type: "sigstoreSigned", Key: keys[0], Identity: &name}}
	case n == 1:
		w.cannot("images %s: several keys (keyDatas) before podman 5; export a policy of one key for older ones", text(r.Name))
		return []requirement{{Type: "sigstoreSigned", Keys: keys, Identity: &name}}
	case n < len(r.SignedBy):
		w.cannot("images %s: %d of %d signers; all are asked for", text(r.Name), n, len(r.SignedBy))
	}
	if len(keys) < len(r.SignedBy) {
		return reject
	}
	var all []requirement
	for _, k := range keys {
		all = append(all, requirement{Type: "sigstoreSigned", Key: k, Identity: &name})
	}
	return all
}

// scope is a policy's repository or pattern as containers/image names it: a prefix of whole parts.
func scope(s trust.Scope) string {
	if s == "*" {
		return ""
	}
	out := strings.TrimSuffix(string(s), "/*")
	if rest, ok := strings.CutPrefix(out, "index.docker.io"); ok {
		out = "docker.io" + rest
	}
	return out
}

// ContainersRegistries writes a file for registries.d: where the signatures lie that a policy.json
// asks for.
func ContainersRegistries(p *trust.Policy, _ Options) (*Document, error) {
	w := &writer{policy: p}
	var all []string
	for _, r := range p.Rules {
		for _, s := range r.Repositories {
			all = append(all, scope(s))
		}
		for _, m := range r.Mirrors {
			all = append(all, scope(m.At))
		}
	}
	slices.Sort(all)
	all = slices.Compact(all)
	if len(all) > 0 && all[0] == "" {
		w.line("default-docker:\n  use-sigstore-attachments: true")
		all = all[1:]
	}
	if len(all) > 0 {
		w.line("docker:")
	}
	for _, s := range all {
		w.line("  %s:\n    use-sigstore-attachments: true", text(s))
	}
	return w.document("podman, skopeo, Buildah and CRI-O: a file in /etc/containers/registries.d"), nil
}
