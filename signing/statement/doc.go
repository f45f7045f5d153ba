// Package statement writes down what is said of an image, as in-toto v1 statements: how it was
// built (SLSA provenance v1), what is in it (SPDX, CycloneDX), which vulnerabilities were found
// (vulns v0.2) and which do not matter (OpenVEX), which tests passed, and what it needs of a
// host (forge's facts).
//
// Each statement has exactly one subject: the image's repository and the sha256 of its
// manifest or index. Every statement has a predicate, as in-toto demands. The bytes are a
// function of the arguments alone, so that a second run finds what the first one signed.
//
// A provenance claims no SLSA level. Its materials are all that a build takes in, each with
// its sha256: the recipe, the lock, copied files, every wheel and Debian package, the base,
// forge-init. Its builder is forge's version and the identity that signed, where a certificate
// names one; else it is marked as local.
//
// The package signs nothing, reads nothing and knows no registry.
package statement
