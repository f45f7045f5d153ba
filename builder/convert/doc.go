// Package convert turns locked wheels and Debian packages into layers in the store, without
// running any of them.
//
// [Group] says which member goes into which layer; it looks at the lock only, so that one
// changed requirement changes one layer. [Make] brings the members into the store and makes
// the layers. The store has hashed the members on their way in and vouches for them. One pass
// over a wheel does everything else: the strict archive, the exact inflated length and CRC of
// every file, RECORD's hashes, the layer in the wanted codecs, its diffID, and an index with
// what its ELF files need.
//
// A layer is a pure function of its members' bytes in their order, the folder they go to,
// the slim rules, the Python version and layer.Format. What this store has made by that
// function it remembers (the fact "checked") and does not make again. Digests in a lock are
// claims of a stranger: they are compared with what the pass has found, and never used
// instead of it.
//
// Paths belong to one wheel. The same path with the same bytes and the same execute bit may
// come from several (nvidia's namespace packages do that); all owners are recorded. Anything
// else is an error that names both, on a file system that folds case too.
//
// Fetching and converting overlap: whatever has arrived is converted, the largest first.
package convert
