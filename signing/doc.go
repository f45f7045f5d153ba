// Package signing says who vouches for an image: it signs statements about one, and judges
// what others signed.
//
// A statement is an in-toto v1 document about exactly one image. [NewSigner] makes a
// [Signer] from a key file (cosign's encrypted ones too), a key management service or an
// identity token, and [Signer.Sign] returns a Sigstore bundle v0.3 that has passed the very
// verification a consumer makes: what a certificate authority, log or time-stamp authority
// answers is not believed.
//
// [Policy] says what is expected, and is judged itself before any network is used: an empty
// or contradictory expectation is a [*PolicyError], never "anything goes". [Verify] brings
// in every candidate that a registry or an OCI layout offers about one digest, bundles and
// cosign's older format alike, passes each through one verifier (sigstore-go's), and then
// judges. Only it can make a [Verified]. Otherwise it returns a [*NotVerifiedError]; both
// carry the table of checks: done, failed (expected, found), or skipped and why.
//
//   - A signature is not an attestation: the predicate type is compared exactly, always.
//   - Junk beside a good signature neither counts nor blocks; it is counted and listed.
//   - A statement holds for one subject, one sha256 and one repository name.
//   - Patterns are anchored here; exact values come first.
//   - A hint in a bundle chooses no key, an annotation or list in a registry no statement.
//   - With a trust root from a file nothing here opens a socket but the registry's reader.
//
// [VerifyFile] judges one bundle that lies in a file, about a file or a digest. [FetchRoot]
// brings in a trust root through TUF; it alone asks a network for trust, when somebody asks.
//
// sigstore-go is used for all cryptography. Its envelope type is replaced by one that hands
// out the statement's head alone, because the library unfolds a whole predicate in memory
// before it has compared the signer's identity.
//
// cosign's own packages are not imported: they would double the linked packages for what
// are a few lines here (its key file format and its older signature format).
package signing
