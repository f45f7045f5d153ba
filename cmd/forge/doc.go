// Command forge turns a declarative recipe into a slim, non-root, reproducible
// OCI image with PyTorch and CUDA.
//
// This package turns arguments into calls and results into text, JSON and an
// exit code; it is the only one that prints. Each command has one file, and the
// story of a command is its run function. Adding a command is a file with four
// pieces (constructor, options, flags, run) and a line in root.go.
package main
