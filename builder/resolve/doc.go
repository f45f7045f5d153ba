// Package resolve chooses the exact bytes for a recipe: which wheels, which Debian packages.
//
// Versions of Python distributions are chosen by uv, which sees exactly one index: a
// loopback server of forge's own that speaks the simple repository API (PEP 503, 691, 658),
// answers each name from the one index it is bound to, shows wheels only, and serves files
// and metadata itself, so that uv opens no other connection. uv runs without any
// configuration of the host. Each chosen wheel is downloaded and hashed; an index's hash is
// a cross-check, never the authority.
//
// Debian packages are chosen from suite, updates and security, each InRelease verified with
// the archive's keys, which ship with forge.
//
// What is locked stays while the recipe's words about it stay, unless an upgrade is asked for.
package resolve
