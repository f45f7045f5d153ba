// Package evidence brings in what a registry or an OCI layout offers about one image: its
// own documents, and every candidate for a signature or an attestation.
//
// Both formats are looked for in every place: Sigstore bundles as OCI 1.1 referrers, by the
// referrers API and by the fallback tag, and cosign's older signatures and attestations
// under its ".sig" and ".att" tags or as referrers. None of the lists is believed, only
// what they lead to: a manifest must have the digest asked for and name the image as its
// subject; a blob must have the digest and size that its manifest states. What does not is
// junk, which is listed and goes no further.
//
// All is bounded before it is read ([Limits]): how many candidates, how many layers, how
// many bytes each and together, how long. Nothing is decompressed: statements are stored as
// they are. Candidates that say of themselves that they are small are read first, so large
// junk cannot use up what the good ones need; and a flood of small ones is looked at to the
// end, up to thousands, because each costs little. What lies beyond a bound is counted. A registry that fails in one place does not
// hide what it offers in another; the failure is reported beside it.
//
// The package verifies no signature, and says nothing about whether a candidate counts.
package evidence
