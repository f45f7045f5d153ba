// Package trust holds what a trust policy says: which images a place takes, and on whose word.
//
// It is a vocabulary: plain values, read from HCL by package recipes and judged by package
// signing and its rooms, which meet here. It knows neither HCL nor Sigstore, reads no file
// and no clock. What it decides itself is small: which rule applies to a repository (exactly
// one: the most specific), what a mirror is a mirror of, whether an identity fits, how many
// signers some credentials are, whether a key was valid at a time, and whether something is
// denied.
package trust
