// Package debian reads what a Debian archive publishes: Release files, package indexes,
// versions, relations between packages, and .deb files; and it unpacks packages into one
// file system without running anything that they bring.
//
// [ParseRelease] and [ParsePackages] read indexes whose bytes the caller has verified;
// [Closure] chooses packages; [OpenDeb] reads a package strictly; an [Unpacker] turns many
// into the entries of one layer, and adds what their maintainer scripts would have made:
// the links of the merged /usr, the loader's cache, the bundle of certificate authorities,
// alternatives, the package database that scanners read.
//
// A maintainer script is read and hashed, never run. What each known package's script
// would do, and what forge does instead, is a row of the tables in rules.go; a package
// whose script does something that no row covers is refused by name. The same file lists
// the dependencies that only scripts need, which are left out and recorded: with them,
// Python's closure on trixie would hold dpkg, perl and debconf.
//
// Own readers of ar and tar replace the standard library's, which by design accept what
// other tools read differently. Versions are compared by the algorithm of Debian policy,
// section 5.6.12. No network, clock or path of the host is seen here.
package debian
