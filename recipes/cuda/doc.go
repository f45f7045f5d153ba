// Package cuda knows which driver each CUDA release needs, what each torch
// wheel carries, which compute capability a GPU has, and therefore which stacks
// are impossible, with the nearest one that is not.
//
// The facts are two tables about other people's products (data/, read by
// persons as well) and a list of GPUs in gpus.go; each row cites its source, and
// Checked is the day they were last compared with it. They age. What is not in
// a table is unknown, never impossible: Check lists it under Unknown and says
// so, and an empty cell is never filled from a neighbour.
//
// Two numbers belong to a CUDA release (docs.nvidia.com/deploy/cuda-compatibility).
// The minimum driver runs native code of every release of the same major version;
// the recommended one ships with the toolkit, and code that exists only as PTX
// needs it. Newer drivers always run older CUDA, except that old GPU
// generations lose their driver: LastDriver.
//
// Only the standard library is imported, since forge-init carries this package
// into every image. The tables are parsed on first use; a program that looks up
// only versions and GPU names does not carry them.
package cuda
