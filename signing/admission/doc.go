// Package admission writes a trust policy as what Kubernetes admission controllers read:
// ClusterImagePolicy of Sigstore's policy-controller, ImageValidatingPolicy of Kyverno.
//
// Neither can say all that a trust policy says. What is left out is never left out silently:
// it is returned, and stands in the document as comments. Nothing is weakened to make it fit:
// a rule whose own scope another rule cuts is written so that both controllers apply the
// stricter reading, a predicate type is always compared, a pattern is always anchored.
//
// The documents are made from plain values, without a cluster, and each text from the policy
// is encoded for the language that it goes into: YAML, Rego, CEL.
package admission
