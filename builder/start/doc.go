// Package start checks a container at its start, from inside: is there a GPU,
// is the host's driver there and new enough, has the image code for the GPU, and
// is the user not root. It is the check that always runs: NVIDIA's own
// (NVIDIA_REQUIRE_*) is not evaluated in CDI modes.
//
// Three steps that do not know each other: Decode reads what the image needs
// (Config, written by builder at ConfigPath); Look reads what the container has
// (Facts); Judge compares them and does nothing else. Printing, exiting and
// running the command are cmd/forge-init's.
//
// Look only reads: small files of proc and sys, at most 4 KiB of each, and names in
// dev and in library folders, within five seconds in all. It runs nothing, above
// all not nvidia-smi, which is whatever PATH says, and loads no library.
// What cannot be read or is in no table is said as unknown: a warning, never a
// reason to stop, and never a reason to believe that all is well.
//
// The standard library and recipes/cuda are all that is imported, since this
// package is in every image.
package start
