// Package judge compares what verified statements say with what a trust policy asks for.
//
// Package signing has proved who signed which bytes about which digest; that a statement is
// there and authentic says nothing yet. Judge reads the predicates: who built the image, from
// which recipe and lock, on which base, for which driver; whether the SBOM is one and is
// about this digest; how old the scan and its database are and what it found; whether the
// tests passed; how old the signature is. It gives a table of checks: done, skipped (why) or
// failed (expected, found).
//
// A predicate is hostile until its signer is known, and careless after: it is read with
// bounds and exactly spelt keys, keys that stand twice are refused (strictjson), times in the
// future are refused, and what is missing fails. Of several scans the newest counts.
//
// Everything here is a pure function: no clock, network, disk or Sigstore.
package judge
