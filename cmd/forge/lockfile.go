package main

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"

	"github.com/forge-build/forge/builder/layer"
	"github.com/forge-build/forge/recipes"
	"github.com/forge-build/forge/recipes/lock"
)

// readLock reads the lock of a recipe, or the lock itself when path is one. What is selected is
// what a hint locks.
func readLock(path string, s selection) (*lock.Lock, error) {
	at := path
	if !strings.HasSuffix(at, ".json") {
		at = lock.PathOf(path)
	}
	l, err := lock.Read(at, layer.Format)
	var format *lock.FormatError
	switch {
	case errors.Is(err, fs.ErrNotExist):
		err := staleError{fmt.Errorf("there is no lock %q", at), "forge lock RECIPE writes the lock of a recipe"}
		if at != path {
			err.hint = s.relock(path) + " writes it; forge build --lock does both"
		}
		return nil, err
	case errors.As(err, &format) && format.What == "format":
		return nil, unreadable(err, at)
	case errors.As(err, &format):
		command := "forge lock RECIPE"
		if at != path {
			command = s.relock(path)
		}
		return nil, staleError{err, command + " keeps every choice and makes only the layers anew"}
	}
	return l, err
}

// unreadable is a lock of another format, of which no choice can be kept.
func unreadable(err error, at string) error {
	return staleError{err, "the forge that wrote it reads it; without it (" + typed("rm", at) + ") forge lock chooses everything anew"}
}

func imageNames(l *lock.Lock) []string { return slices.Sorted(maps.Keys(l.Images)) }

// fitting returns what is locked for an image, or a staleError that says which
// value of the recipe changed since.
func fitting(s selection, l *lock.Lock, file *recipes.File, im *recipes.Image) (*lock.Image, error) {
	li := l.Images[im.Name]
	if li == nil {
		return nil, staleError{fmt.Errorf("image %q is not in the lock of %s", im.Name, file.Path), s.relock(file.Path)}
	}
	changes := li.Stale(im.Inputs())
	if len(changes) == 0 {
		return li, nil
	}
	lines := make([]string, len(changes))
	for i, c := range changes {
		lines[i] = "  " + c.String()
	}
	return nil, staleError{fmt.Errorf("the lock no longer fits image %q of %s:\n%s", im.Name, file.Path, strings.Join(lines, "\n")), s.relock(file.Path)}
}
