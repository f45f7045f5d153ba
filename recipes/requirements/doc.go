// Package requirements reads what other tools write down about a project's
// needs: requirements.txt (with --hash, as pip freezes it), pylock.toml (PEP
// 751), uv.lock and pyproject.toml (PEP 621).
//
// A Set is what such a file asks for: lines for the resolver, constraints that
// pin what they lead to, and the sha256 that the file allows for each name. A
// file that pins chooses by itself: forge lock then finds the same versions and
// compares every hash. What could bring bytes from elsewhere or run code, an
// option, an address, a path, an editable project, is an *Error with its line:
// indexes and wheels are said in the recipe, where one name has one origin.
//
// [WritePylock] is the way back: the wheels of a lock, for tools that read PEP 751.
//
// Files are input from strangers: they are bounded, and nothing is opened but
// the bytes that are handed in.
package requirements
