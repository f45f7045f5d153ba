// Package fetch brings wheels, Debian packages and index pages to this machine. No other
// package opens a socket for them.
//
// A lock names no host. Where bytes come from is decided here, once: what the recipe says,
// then forge's own settings, then what pip, uv and apt are set to on this host, then the
// public default ([Host], [Settings], [Fetcher.IndexURL], [Fetcher.Archives]). Trust does
// not depend on it. When a sha256 is locked, only bytes with that sha256 and exactly that
// size enter the store, whoever sent them; a page gives an address and nothing else, and
// when the store has the bytes nobody is asked at all ([Fetcher.Wheel], [Fetcher.Deb]). At
// lock time forge hashes what it downloads ([Fetcher.Download]); an index's own hash is a
// cross-check whose absence is noted and whose contradiction is an error. Parts of a file can be
// looked at where it lies ([Fetcher.Peek]); no hash covers them, and they are not kept.
//
// Everything that a server says may be hostile (hostile-input, IDX). Pages are read
// strictly: the content type decides the parser, no key or file twice with two meanings,
// sizes bounded. Addresses are https, or http inside this machine; Debian's may be http,
// because the files are signed or hashed. At most five redirects are followed, none from
// https to http, into this machine from outside, or to a link-local address. A password
// goes to the scheme, host and port it is for, over TLS only; none is printed, nor is any
// query. TLS is always verified: there is no switch.
//
// An interrupted download goes on where it ended, if the server can show that the file is
// the same; pieces that do not add up to the hash are thrown away and the whole is fetched
// once more. What may be temporary (5xx, 429, a reset, a stall) is tried again with growing
// pauses. Several goroutines and processes may ask for one file: one of them fetches it.
//
// The package chooses no version and looks into no file.
package fetch
