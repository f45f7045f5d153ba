// Package licence says in SPDX's words what a package says of its licence.
//
// Packages speak in many ways: an expression of SPDX (PEP 639), a line of free text, a trove
// classifier, Debian's copyright file (DEP-5). What has one meaning becomes an expression that
// go-spdx takes; what could mean several licences, "BSD" or "Apache Software License", is never
// guessed at and becomes a LicenseRef that keeps the words, and the text where there is one.
//
// All words are a stranger's: they are bounded, and what is nested too deep or cannot be
// understood is a reference, not an error. The package reads no file and knows no image.
//
// This package owns go-spdx.
package licence
