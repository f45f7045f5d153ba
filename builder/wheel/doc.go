// Package wheel reads wheels: ZIP archives that Python packages come in (PEP 427).
//
// A wheel is made by a stranger, and two ZIP readers can see two different archives in
// the same bytes. So [Open] reads twice: the central directory, and then every byte from
// the start of the file, local header by local header; both lists must agree in order,
// names, flags, methods, times, checksums and sizes, with nothing before, between or
// after. What it then promises of a [Wheel]: paths stay inside, only regular files, no
// two names that one file system could take for one, a RECORD that lists every file with
// its size and a strong hash, and one identity in file name, dist-info, METADATA and WHEEL.
//
// Open reads the structure and the metadata, not the content. Whoever reads the content
// compares it while it passes: inflated length and CRC-32 as the archive states them, and
// [File.Check] for RECORD's hash. [Wheel.ReadFile] does all of that for small files.
//
// What is unusual but not malformed (a start-up hook, a foreign interpreter line) is a
// [Finding], a value for a policy to judge. A refusal is an [*Error] with the id of the
// rule that was broken.
//
// Data descriptors (ZIP-05) are accepted for deflate when directory and descriptor agree
// and the local fields are 0, and refused with stored entries. None of 58 real wheels that
// were measured has one (the 25 of torch 2.9.1 with CUDA 12.8; others from 2014 to 2026, of
// setuptools, maturin, Bazel, scikit-build, hatch), and the public index takes none any
// more; an old or private wheel may. It adds no second reading: conversion proves that each
// deflate stream ends exactly where the directory says. Bazel's wheels repeat their sizes
// in a ZIP64 field of the local header, which is accepted when both are the same.
//
// The package runs nothing and writes nothing. It knows no network, clock or path.
package wheel
