// Package vex reads and writes OpenVEX: what somebody says about vulnerabilities in a product.
//
// It owns OpenVEX's own module and hands statements over in the words of recipes/finding, which
// decides what they change. A document is a stranger's: it is bounded before it is parsed, and
// one that nobody signs with a name, that gives no reason where one is due, or that speaks of
// no package is refused whole. A statement counts for the package that it names, and, inside an
// image, for that image alone; whatever fits nothing is reported as unused.
//
// Write says what a verdict accepts by waiver. A waiver is no claim that an image is not
// affected: it says affected, and what was decided, by whom, until when.
package vex
