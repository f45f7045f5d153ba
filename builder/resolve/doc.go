// Package resolve chooses the exact bytes for a recipe: which wheels, which Debian packages.
//
// Versions of Python distributions are chosen by uv, which sees exactly one index: a
// loopback server of forge's own that speaks the simple repository API (PEP 503, 691, 658),
// answers each name from the one index it is bound to, shows wheels only, and serves files
// and metadata itself, so that uv opens no other connection. uv runs without any
// configuration of the host. Of the wheels between which it chooses it sees METADATA alone:
// what an index publishes beside a wheel, or what forge reads out of the wheel's end where the
// server sends parts, which for a torch of 900 MB are some 100 KB. Only where a server sends
// none is a wheel downloaded to be looked at. uv never reads an archive, and a wheel that forge
// would refuse ends nothing unless it is chosen. Each chosen wheel is downloaded, hashed, judged
// whole, and compared with the METADATA it was chosen by (IDX-03); an index's hash is a
// cross-check, never the authority.
//
// Debian packages are chosen from suite, updates and security, each InRelease verified with
// the archive's keys, which ship with forge.
//
// What is locked stays while the recipe's words about it stay, unless an upgrade is asked for.
package resolve
