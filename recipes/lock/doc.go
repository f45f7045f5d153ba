// Package lock names every byte of an image: each wheel and each .deb by the
// name of the index or archive that has it, its file name, size and sha256, and
// each layer by the digest of its bytes. It names no host, so a team that moves
// to a mirror changes a setting and no lock.
//
// The file lies beside the recipe (X.hcl, X.lock.json), is written whole by
// forge lock only, and has one normal form: a second run changes no byte, and a
// diff shows only real change.
//
// What a lock says of a layer is a claim by whoever wrote it. The store's own
// pass over the members confirms it; nothing here is believed for being locked.
package lock
