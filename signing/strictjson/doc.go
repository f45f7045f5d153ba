// Package strictjson refuses documents that two JSON readers could understand differently.
//
// Go's encoding/json merges duplicate keys, compares names without regard to case and stops
// after the first document; protobuf's JSON takes two spellings of a name. What was signed
// is bytes, so a document is looked at byte by byte before any library decodes it: [Check]
// wants valid UTF-8, no key twice in one object, bounded nesting and nothing after the
// value. [Object] then takes an object apart by exactly spelt keys.
//
// It keeps no copy of the document's texts but the keys of the objects that are open, and
// does not look at what a document means.
package strictjson
