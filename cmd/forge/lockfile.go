package main

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/forge-build/forge/builder/layer"
	"github.com/forge-build/forge/recipes"
	"github.com/forge-build/forge/recipes/lock"
)

// readLock reads the lock of a recipe, or the lock itself when path is one.
func readLock(path string) (*lock.Lock, error) {
	if !strings.HasSuffix(path, ".json") {
		path = lock.PathOf(path)
	}
	l, err := lock.Read(path, layer.Format)
	var format *lock.FormatError
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, staleError{fmt.Errorf("there is no lock %q", path), "forge lock writes it; forge build --lock does both"}
	case errors.As(err, &format):
		return nil, staleError{err, "forge lock keeps every choice and makes only the layers anew"}
	}
	return l, err
}

func imageNames(l *lock.Lock) []string { return slices.Sorted(maps.Keys(l.Images)) }

// loadRecipe reads a recipe with the variables of the command line and of
// FORGE_VAR_name.
func loadRecipe(path string, vars []string) (*recipes.File, error) {
	values := map[string]string{}
	for _, v := range vars {
		name, value, ok := strings.Cut(v, "=")
		if !ok || name == "" {
			return nil, usageError{fmt.Errorf("--var %q: it must be name=value", v)}
		}
		values[name] = value
	}
	return recipes.Load(path, recipes.Options{Vars: values, Env: os.LookupEnv})
}

// chosen are the images that --image names, or all.
func chosen(file *recipes.File, name string) ([]*recipes.Image, error) {
	if name == "" {
		return file.Images, nil
	}
	var names []string
	for _, im := range file.Images {
		if im.Name == name {
			return []*recipes.Image{im}, nil
		}
		names = append(names, im.Name)
	}
	return nil, usageError{fmt.Errorf("--image %q: the recipe has %s%s", name, strings.Join(names, ", "), nearest(name, names))}
}

// fitting returns what is locked for an image, or a staleError that says which
// value of the recipe changed since.
func fitting(l *lock.Lock, file *recipes.File, im *recipes.Image) (*lock.Image, error) {
	li := l.Images[im.Name]
	if li == nil {
		return nil, staleError{fmt.Errorf("image %q is not in the lock of %s", im.Name, file.Path), "forge lock " + file.Path}
	}
	changes := li.Stale(im.Inputs())
	if len(changes) == 0 {
		return li, nil
	}
	lines := make([]string, len(changes))
	for i, c := range changes {
		lines[i] = "  " + c.String()
	}
	return nil, staleError{fmt.Errorf("the lock no longer fits image %q of %s:\n%s", im.Name, file.Path, strings.Join(lines, "\n")), "forge lock " + file.Path}
}
