// Package layer writes, indexes and reads OCI layers: tar streams, compressed.
//
// A layer that [Writer] makes is a pure function of what it is given: one time, no names of
// users, no byte that depends on the Go release, the machine, the number of CPUs or the sizes
// of writes. Golden tests pin its bytes; whoever changes them raises [Format].
//
// gzip is spliced: a layer may be many gzip members in a row (RFC 1952, 2.2), so a file that
// already is a raw DEFLATE stream, as in a wheel, is copied as it is between a gzip header and
// its CRC-32. The small members between, tar headers and padding, come from an encoder of this
// package. zstd is encoded anew, one frame for each file. Both hold the same tar and can be
// made in one pass, while the inflated bytes are counted, summed, hashed and looked at.
//
// [Writer.Append] proves that a stream inflates to exactly the stated length, counted beyond
// 2³², with the stated CRC-32, and ends where its reader ends. Without that, a member that
// inflates to S + 2³² bytes hides files that no index shows (ZIP-00). A [MismatchError] means
// that the layer must be thrown away.
//
// [Index] says where each file lies in each codec, so that [Index.Open] reads one file of a
// blob, and keeps facts about ELF files ([ELF]), which later readers need not scan for.
//
// [Read] reads any layer, strictly: what two tar readers could understand differently is an
// [Error] with the id of the rule. It runs nothing and writes nothing.
package layer
