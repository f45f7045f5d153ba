package cuda

import "slices"

// search looks for the rows nearest to a stack.
type search struct {
	stack  Stack // Torch and CUDA as far as they are known
	gpus   []namedGPU
	driver Version
}

// nearest returns the row nearest to the stack that meets every other demand, or nil.
// Near means: few releases away, newer rather than older; then the same CUDA
// version, then PyPI's own, then stable.
func (s search) nearest() *Combination {
	return s.best(func(Row) bool { return true })
}

// sameCUDA returns the nearest torch that comes for the CUDA version asked for, or nil.
func (s search) sameCUDA() *Combination {
	return s.best(func(r Row) bool { return r.CUDA == s.stack.CUDA })
}

func (s search) best(want func(Row) bool) *Combination {
	releases := Releases()
	at := slices.Index(releases, s.stack.Torch)
	if at < 0 {
		at = 0 // not in the table: seen from the newest
	}
	// rank orders by distance first; each further number is smaller for what is preferred.
	rank := func(r Row) []int {
		i := slices.Index(releases, r.Torch)
		return []int{max(i-at, at-i), flag(i > at), flag(r.CUDA != s.stack.CUDA), flag(!r.Default), flag(r.Channel != Stable)}
	}
	var best *Row
	for _, r := range loadTorch() {
		if r.Arch != s.stack.Arch || !want(r) || !s.meets(r) {
			continue
		}
		if best == nil || slices.Compare(rank(r), rank(*best)) < 0 {
			best = &r
		}
	}
	if best == nil {
		return nil
	}
	return &Combination{best.Torch, best.CUDA}
}

// meets says whether a row satisfies GPUs, driver and Python, as far as they are given.
func (s search) meets(r Row) bool {
	if len(s.gpus) > 0 && (!r.Known() || len(without(r, s.gpus)) > 0) {
		return false
	}
	if !s.driver.IsZero() && s.driver.Less(r.Minimum) {
		return false
	}
	if s.stack.Python == "" {
		return true
	}
	ok, experimental := r.Supports(s.stack.Python)
	return ok && !experimental
}

func flag(b bool) int {
	if b {
		return 1
	}
	return 0
}
