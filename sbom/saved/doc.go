// Package saved reads an image as "docker save" and "podman save" write it, a tar with a
// manifest.json, and makes an OCI layout of it.
//
// Such an archive has no manifest with a digest. The one that [Unpack] writes states the config
// and the layers as they lie in the archive, and nothing else, so the same archive gives the
// same digest; the layers' own sums stand in the config, and whoever reads the layout compares.
//
// An archive is a stranger's: names in it are looked up in it and nowhere else, a link leads to
// a file of the archive or is refused, and a name that is there twice, or a choice of several
// images, is an error (OCI-08). Standard library only.
package saved
