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
// and the local fields are 0: Bazel, Go and early Rust builders wrote such wheels. What a
// streaming reader would see is the same, because conversion proves that the deflate
// stream ends exactly where the directory says.
//
// The package runs nothing and writes nothing. It knows no network, clock or path.
package wheel
