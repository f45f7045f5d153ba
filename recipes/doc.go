// Package recipes reads a recipe and says what it means, or every mistake with its place.
//
// A recipe is HCL, native syntax. Load reads it once into memory, bounds its size, nesting
// and numbers before HCL's parser sees the text (which recurses, and a Go stack overflow
// cannot be recovered from), evaluates variables and locals with a short list of pure
// functions, decodes it, fills in defaults that are safe, and checks the stack against the
// tables of recipes/cuda. Mistakes are collected, not reported one by one.
//
// A recipe from a stranger cannot read the clock, the environment, the network, or a file
// outside its own folder.
//
// LoadTrust reads a trust policy the same way, into the plain values of recipes/trust:
// bounded, with every mistake at once, and without variables.
package recipes
