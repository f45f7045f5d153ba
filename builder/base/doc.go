// Package base reads an image that lies below: any OCI image, pinned by digest.
//
// Read follows the digest through an index to the platform's manifest and config, brings
// each layer into the store as it is, and makes one pass over each: its bytes are unpacked
// once to confirm its diffID and to see which files it holds. Nothing of it is executed. From
// the merged files it says which Python, which glibc, libstdc++ and libz the base has, and
// what forge cannot lie on is an UnfitError that states the fact.
//
// Documents are judged strictly before a library decodes them (OCI-01 to OCI-08). Where two
// runtimes would unpack layers differently, a file below a symbolic link of another layer
// above all, the base is refused; so is one whose layer carries a table of contents for lazy
// loading (eStargz) that says otherwise than its tar.
package base
