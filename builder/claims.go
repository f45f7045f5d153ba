package builder

import (
	"fmt"
	"slices"
	"strings"

	"github.com/forge-build/forge/builder/convert"
	"github.com/forge-build/forge/recipes/cuda"
	"github.com/forge-build/forge/recipes/lock"
)

// sums are the totals that people are shown.
func sums(d lock.Derived) string {
	return fmt.Sprintf("%d compressed, %d unpacked, %d removed", d.Compressed, d.Unpacked, d.Removed)
}

// confirm compares what the lock says of CUDA with what follows from the layers: a lock is input
// from a stranger, and the check at a container's start relies on it. The tables of drivers and
// GPUs grow, so the lock may ask for more than this forge knows of, and never for less.
func confirm(p *Plan, made []convert.Made) error {
	is, err := convert.Derive(p.Image, p.Lock, made)
	if err != nil {
		return err
	}
	says := p.Lock.Derived
	wrong := func(what, says, is string) error {
		return &LockError{fmt.Sprintf("the lock states %s %q, and what it locks makes it %q", what, says, is)}
	}
	for _, fact := range []struct{ what, says, is string }{{"CUDA", says.CUDA, is.CUDA}, {"torch", says.Torch, is.Torch}, {"glibc", says.GLIBC, is.GLIBC},
		{"wheels for GPUs", strings.Join(says.GPUWheels, ", "), strings.Join(is.GPUWheels, ", ")},
		{"bytes in all", sums(says), sums(is)}} {
		if fact.says != fact.is {
			return wrong(fact.what, fact.says, fact.is)
		}
	}
	if need, err := cuda.ParseVersion(is.Driver); err == nil {
		if has, err := cuda.ParseVersion(says.Driver); err != nil || has.Less(need) {
			return wrong("driver", says.Driver, is.Driver)
		}
	}
	if len(is.SM)+len(is.PTX) == 0 {
		return nil // not in the table
	}
	for _, code := range [][2][]string{{says.SM, is.SM}, {says.PTX, is.PTX}} {
		if more := slices.DeleteFunc(slices.Clone(code[0]), func(c string) bool { return slices.Contains(code[1], c) }); len(more) > 0 {
			return wrong("code for GPUs of capability", fmt.Sprint(code[0]), fmt.Sprint(code[1]))
		}
	}
	return nil
}
