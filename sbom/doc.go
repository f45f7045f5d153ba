// Package sbom says what is in a finished image: packages, files, who needs whom.
//
// [Catalog] runs Syft's catalogers over an [Image], which is a view of layers: a list of files
// for each, and a way to open one. Nothing is unpacked; layers are put on top of one another in
// memory, as a runtime does, and only the files that a cataloger asks for are read. What the
// catalogers cannot say is added: who owns which file, what a wheel bundles, what slim removed,
// and, where the lock is at hand, the sha256 and the origin of each artifact.
//
// An [Inventory] is written as SPDX 2.3, CycloneDX 1.6 or Syft's own JSON and read back by
// [Load]. The same image gives the same bytes: every id and time comes from the image.
//
// Everything in an image is a stranger's: sizes, counts and names are bounded, and what cannot
// be read is an error that names file and layer, never a package that is silently missing.
//
// This package owns Syft. It knows neither recipes nor stores nor registries; cmd/forge brings
// the layers.
package sbom
