// Package finding is the vocabulary of every gate: what was found, how bad it is, what the
// recipe tolerates, who answers for an exception and until when, and the verdict.
//
// Vulnerabilities of packages are findings; so are hardening rules that an image breaks and
// models that would run code. They share severities, waivers and exit code 3, and therefore
// words. The package knows no scanner, database, image or file format but its own JSON, and
// imports the standard library alone.
//
// Judge promises: the same input gives the same verdict, byte for byte. A finding counts
// unless something named in the verdict says why it does not. An expired waiver fails by
// itself, an unused one is a warning. An unknown severity counts as high, unless the limits
// say otherwise. A finding that is known to be exploited counts although no fix exists.
// A waiver names one finding and, where findings are about packages, one package: Check
// refuses everything wider.
//
// It does not find anything, print, or choose an exit code.
package finding
