//go:build linux

// Forge-init starts every container that forge makes: it is /usr/lib/forge/init and
// the image's ENTRYPOINT is exactly ["/usr/lib/forge/init","--"], with the recipe's
// entrypoint and command as CMD, so that another command keeps the check.
//
//	init -- COMMAND [ARGUMENT…]   check, then run the command as a child
//	init check [--json]           check, and say what was found; runs nothing
//
// An outcome that the image says must stop (builder/start) ends it with exit code 78
// and a line on stderr: what was found, what is needed, what to do. FORGE_INIT_ACCEPT
// waives outcomes by name, and each waiver that mattered is logged.
//
// While the command runs, forge-init passes on every signal that can be passed on,
// reaps orphans, as PID 1 or as a subreaper, and in the end exits with the
// command's code, or 128 + the signal that ended it; 127: no such command, 126: it
// cannot be run. The command is in a process group of its own, in the foreground of
// the terminal if there is one. Not passed on are SIGKILL and SIGSTOP, which cannot
// be caught; SIGCHLD, SIGPIPE, SIGTTIN and SIGTTOU, which are about forge-init
// itself; SIGURG and SIGPROF, which Go's runtime uses; and 32 to 34, which belong to
// C libraries.
//
// It is static, needs no shell and no file but start.json, and has no dependency
// outside the standard library: it is in every image, so its bytes must follow
// from the source alone. Build it with
//
//	CGO_ENABLED=0 go build -trimpath -buildvcs=false -ldflags='-s -w -buildid=' ./cmd/forge-init
package main
