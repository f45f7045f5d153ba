// Package push moves images, and what is attached to them, between registries and layouts,
// so that what arrives is exactly what was meant.
//
// Everything is named by digest. [Client.Push] sends the blobs that a repository lacks, several
// at a time, mounted from another repository where that has them; bytes are hashed while they
// are sent, and a blob whose bytes are not its digest's is never completed, so that no
// manifest above it can be. An interrupted upload goes on where the registry's own count
// ended. Manifests follow, children before their index. A tag is a step of its own,
// [Client.Tag], for the one who knows that everything else is in place.
//
// [Client.Attach] writes an artifact that refers to an image (OCI 1.1, subject). Where a registry
// has no referrers API the fallback tag sha256-<hex> lists it: a tag is read, merged, written and
// read again until nothing of two writers is lost. [Client.Referrers] reads both places and
// believes neither: each manifest is fetched by digest and judged itself, and what is junk is
// counted beside what is good and changes nothing. Counts, pages and sizes are bounded before
// anything is parsed.
//
// Registries are entered by package registry: https, http only inside this machine, Docker's
// credentials, and none of them for any other host. The package knows no signature.
package push
