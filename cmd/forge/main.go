package main

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"runtime/debug"
	"runtime/metrics"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/forge-build/forge/builder"
	"github.com/forge-build/forge/builder/base"
	"github.com/forge-build/forge/builder/fetch"
	"github.com/forge-build/forge/builder/resolve"
	"github.com/forge-build/forge/recipes"
	"github.com/forge-build/forge/recipes/lock"
	"github.com/forge-build/forge/sbom"
	"github.com/forge-build/forge/sbom/vex"
	"github.com/forge-build/forge/signing"
)

func main() { os.Exit(Main()) }

// memory is the size at which the garbage collector works harder rather than let the heap
// grow: package lists are large for a moment, and a build runs beside others.
const memory = 152 << 20

// Main runs forge with the process's arguments and returns its exit code.
func Main() int { return run(newRoot) }

func run(root func(*terminal) *cobra.Command) int {
	debug.SetMemoryLimit(memory)
	ended := make(chan struct{})
	defer close(ended)
	go ease(ended)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	term := newTerminal(os.Stdout, os.Stderr)
	context.AfterFunc(ctx, func() { // a second Ctrl-C does not wait
		time.Sleep(time.Second) // but one signal may come twice: from the terminal, and from a parent
		stop()
	})
	err := root(term).ExecuteContext(ctx)
	if out, ok := term.out.(*output); ok && err == nil {
		err = out.err
	}
	term.stdout() // what was drawn over is gone
	if err == nil {
		return exitOK
	}
	if ctx.Err() != nil {
		err = interruptedError{err}
	}
	term.failure(err)
	return exitCode(err)
}

// ease raises the limit for the few that need more than it: below what is live it would make the
// collector run without end: a list of 20,000 packages took 83 s of CPU instead of 52 s.
func ease(ended <-chan struct{}) {
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	for tick := time.NewTicker(250 * time.Millisecond); ; {
		select {
		case <-ended:
			tick.Stop()
			return
		case <-tick.C:
		}
		metrics.Read(live)
		if n := int64(live[0].Value.Uint64()); n > memory*4/3 {
			debug.SetMemoryLimit(max(min(n*3/2, 400<<20), n*9/8)) // an image as large as is listed stays below 512 MB
		}
	}
}

// The exit codes, which every help text lists.
const (
	exitOK          = 0
	exitFailure     = 1   // network, disk, daemon, registry, malformed downloaded input
	exitRecipe      = 2   // recipe, lock or usage; stale lock; a --check difference
	exitGate        = 3   // policy or vulnerability gate
	exitUnverified  = 4   // not verified, absence included
	exitInterrupted = 130 // Ctrl-C, or SIGTERM
)

// interruptedError is what a command was at when a signal ended it.
type interruptedError struct{ error }

func (e interruptedError) Error() string {
	return strings.TrimSuffix("interrupted: "+e.error.Error(), ": "+context.Canceled.Error())
}

func (e interruptedError) Unwrap() error { return e.error }

// usageError is a mistake in the command line.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

// staleError is a lock that no longer fits its recipe, or is not there.
type staleError struct {
	error
	hint string
}

// differenceError is what --check found.
type differenceError struct{ error }

// exitCode is the one place that turns errors into exit codes.
func exitCode(err error) int {
	var (
		stopped     interruptedError
		diagnostics *recipes.Diagnostics
		invalid     *lock.InvalidError
		format      *lock.FormatError
		settings    *fetch.SettingsError
		hash        *fetch.HashError
		uv          *resolve.UVError
		input       *resolve.InputError
		edited      *builder.LockError
		unfit       *base.UnfitError
		usage       usageError
		stale       staleError
		difference  differenceError
		gate        *gateError
		unexplained *sbom.DifferenceError
		claims      *vex.Error
		expected    *signing.PolicyError
		key         *signing.KeyError
		incomplete  *signing.IncompleteError
		unverified  *signing.NotVerifiedError
	)
	switch {
	case errors.As(err, &stopped), errors.Is(err, context.Canceled):
		return exitInterrupted
	case errors.As(err, &diagnostics), errors.As(err, &invalid), errors.As(err, &format), errors.As(err, &settings),
		errors.As(err, &hash) && hash.Held, errors.As(err, &uv), errors.As(err, &input), errors.As(err, &edited), errors.As(err, &unfit), errors.As(err, &usage), errors.As(err, &stale), errors.As(err, &difference),
		errors.As(err, &expected), errors.As(err, &key), errors.As(err, &claims):
		return exitRecipe
	case errors.As(err, &gate), errors.As(err, &unexplained):
		return exitGate
	case errors.As(err, &incomplete):
		return exitFailure // what is missing may exist
	case errors.As(err, &unverified):
		return exitUnverified
	}
	return exitFailure
}
