// Package registry knows how to enter a registry of the distribution specification: with
// which credentials, over what, and who must not be told them.
//
// [Enter] asks the registry what it wants to know of who comes, and answers with Docker's
// configuration and credential helpers. It speaks https, and http only with this machine
// itself, and even there only when the port demonstrably speaks no TLS: a certificate that
// is not trusted is an error, never a reason to go on without one. A sign-in that leads to
// another domain than the registry's gets nothing, because what it gets is a password. Docker
// and containerd follow it to any host over https; forge takes hosts of the registry's own
// registrable domain (auth.docker.io for registry-1.docker.io, gitlab.com for
// registry.gitlab.com), which one owner has, by the public suffix list: where many share a
// domain, such as github.io, each name below it is one owner's.
// A [Pass] is for the registry's own origin; a redirect or an upload's location elsewhere is
// followed without it.
//
// It is a room of its own, below builder and signing, because both need it and neither may
// know the other. It moves no content.
package registry
