// Package manifests finds the images that a list names: plain lines, or Kubernetes manifests
// in YAML or JSON.
//
// What runs is what a check must see, so nothing is skipped for being unreadable: a document
// that cannot be read is an error, and so is a list without an image. In manifests each key
// "image" counts wherever it stands, with a text or, as image volumes have it, with a
// reference; the same image is named once, in the order of the list. Lists are bounded in
// size, depth and number.
package manifests
