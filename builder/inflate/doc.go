// Package inflate decompresses raw DEFLATE streams (RFC 1951) exactly and fast.
//
// Converting a wheel means inflating it, and most of the time of a build is spent there.
// The decoders of the standard library and of klauspost/compress read 130 and 173 MB/s on
// the machine where this one reads 325 (libtorch_cuda.so, 1 GB, one core): it keeps 64
// bits of input at hand, looks up eleven at a time, and writes into one window that it
// hands on in large pieces. Two literals for one lookup were tried and gave nothing:
// mispredicted branches between literals and matches are what is left.
//
// Exactly means: [Reader.Used] says how many bytes of input the stream took, to the byte,
// so that a caller can refuse a stream that ends early or goes on. What RFC 1951 calls
// invalid is refused where zlib refuses it: over- and under-subscribed codes, a missing
// end-of-block code, distances before the start, unused symbols.
//
// The package uses no unsafe code; every index is checked. It is compared with the standard
// library by a fuzz target.
package inflate
