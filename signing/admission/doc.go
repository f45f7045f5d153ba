// Package admission writes a trust policy as what others read who let images in: ClusterImagePolicy
// of Sigstore's policy-controller, ImageValidatingPolicy of Kyverno, policy.json and registries.d
// of podman, skopeo and CRI-O.
//
// None can say all that a trust policy says. What is left out is never left out silently:
// it is returned, and stands in the document as comments where there can be any. Nothing is weakened to make it fit:
// a rule whose own scope another rule cuts is written so that the controllers apply the
// stricter reading, a predicate type is always compared, a pattern is always anchored.
//
// The documents are made from plain values, without a cluster, and each text from the policy
// is encoded for the language that it goes into: YAML, Rego, CEL.
package admission
