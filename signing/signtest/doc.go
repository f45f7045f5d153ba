// Package signtest gives tests something to publish to and to be verified by: registries of
// three kinds, images, statements, keys, ways to lay a signature beside an image, and a
// private Sigstore whose services are the real ones.
//
// Only tests import it.
package signtest
