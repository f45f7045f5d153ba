package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/forge-build/forge/recipes"
)

// selection says with which variables a recipe is read, and which of its images are meant.
type selection struct {
	vars  []string // NAME=VALUE
	image string   // empty: all
}

func (s *selection) flags(c *cobra.Command) {
	c.Flags().StringArrayVar(&s.vars, "var", nil, "a variable of the recipe, `NAME=VALUE` (repeatable)")
	c.Flags().StringVar(&s.image, "image", "", "only the image `NAME` of the recipe")
}

// load reads a recipe and picks the images that are meant, at least one.
func (s selection) load(path string) (*recipes.File, []*recipes.Image, error) {
	file, err := loadRecipe(path, s.vars)
	if err != nil {
		return nil, nil, err
	}
	images, err := chosen(file, s.image)
	return file, images, err
}

// relock is the command that locks what is meant, as a shell reads it. A secret is not repeated.
func (s selection) relock(path string) string {
	words := []string{"forge", "lock"}
	if file, err := loadRecipe(path, s.vars); err == nil {
		for _, v := range s.vars {
			if name, _, _ := strings.Cut(v, "="); file.Variables[name] == recipes.Hidden {
				v = name + "=" + recipes.Hidden
			}
			words = append(words, "--var", v)
		}
	}
	if s.image != "" {
		words = append(words, "--image", s.image)
	}
	return typed(append(words, path)...)
}

// loadRecipe reads a recipe with the variables of the command line and of
// FORGE_VAR_name.
func loadRecipe(path string, vars []string) (*recipes.File, error) {
	values := map[string]string{}
	for _, v := range vars {
		name, value, ok := strings.Cut(v, "=")
		if !ok || name == "" {
			return nil, usageError{fmt.Errorf("--var %q: it must be NAME=VALUE", v)}
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
