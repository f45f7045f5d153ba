// Package publish brings an image to its users so that no tag ever names one that is not
// signed.
//
// [Publish] takes the steps in the one order that allows it: all statements are written down
// before anything is sent; the image goes to its repository by digest; the attestations are
// signed and attached, then the signature; all of it is read back and verified the way a
// consumer does; and only then the tags move. Whatever ends it in between leaves a digest
// that nobody knows and no tag. A second run sends only what is missing and signs only
// statements that are not there, verified and with the very same bytes.
//
// Of an index, each image in it gets its own statements and signature, and then the index.
// Without a signer an image is pushed by digest, and can have no tag.
//
// The package decides no content: what is said of an image it is told.
package publish
