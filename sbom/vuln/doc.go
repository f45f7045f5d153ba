// Package vuln matches what is in an image with known vulnerabilities.
//
// It owns Grype, whose database, version rules and matchers it uses, and hands its results over
// in the words of recipes/finding, which judges them. Open finds a database: Grype's own
// (the address is Grype's setting, none is written here), a mirror of it, an archive, or a
// folder; Packages come from an SBOM document; Scan matches.
//
// What it promises: "nothing found" is said only after a real search. A database that is
// missing, too old, damaged, of another schema, empty, or without data for the image's
// distribution is an error. A package that cannot be looked up, because its version cannot be
// compared or its distribution is unknown or no longer maintained, is listed. What Grype leaves
// out by rules of its own is kept as a finding with a statement that says so.
//
// A database file is hashed once; its size, time and inode are remembered, and a difference
// means hashing again. Whoever can write the cache with the same uid is out of scope.
//
// It reads no recipe, prints nothing, and writes nothing but its cache.
package vuln
