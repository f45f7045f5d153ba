// Package store keeps bytes under their sha256, and nothing that does not match.
//
// A blob is hashed while it is written, synced to the disk, made read-only and only then
// renamed to its name: a process killed at any moment leaves no wrong blob behind. Beside
// each blob lies a small record of its size, time of change and inode. A reader trusts a
// blob whose record agrees and hashes it again, once, when it does not; a blob whose bytes
// are wrong is removed, as if it had never been there. Hard links made elsewhere (into
// BuildKit's content store, into dist/) do not disturb the record: they share the inode,
// and neither the number of links nor the time of the inode's change is part of it.
//
// Several processes may use one store. What they do to one blob is serialised by file
// locks, which the kernel releases when a process dies. A store belongs to one user: a
// folder that is a link, belongs to someone else or can be written by others is refused.
// Somebody with the same user id can still replace a blob and forge its record; that is
// out of scope, and [Store.Verify] hashes everything for those who want to know.
//
// The layout, all of it private to this package:
//
//	blobs/sha256/<hex>   0444, the bytes
//	records/<hex>        size, time and inode of the blob; its own time says when it was last used
//	partial/             downloads that can be resumed, and files being written
//	facts/<kind>/<key>   small values that other packages remember
//	locks/               empty files to lock
//
// Folders are not synced: after a power cut a blob may be gone, but never wrong.
package store
