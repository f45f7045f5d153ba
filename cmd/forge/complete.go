package main

import (
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// completeArguments teaches the shells what forge's arguments are: recipes, the images
// of the recipe that stands on the line, and the names that its lock knows.
func completeArguments(root *cobra.Command) {
	for _, c := range root.Commands() {
		c.ValidArgsFunction = arguments
		for flag, values := range flagValues {
			if c.Flags().Lookup(flag) == nil {
				continue
			}
			if err := c.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp)); err != nil {
				panic("internal error: " + err.Error())
			}
		}
		if c.Flags().Lookup("image") != nil {
			// An error means that a flag has its completion already, which is our own mistake.
			if err := c.RegisterFlagCompletionFunc("image", images); err != nil {
				panic("internal error: " + err.Error())
			}
		}
	}
}

// flagValues are what flags take of which there are a few values, or a few beginnings.
var flagValues = map[string][]string{
	"builder": {"auto", "embedded", "none", "unix://", "tcp://", "docker-container://", "podman-container://", "kube-pod://"},
	"load":    {"podman", "docker", "containerd"},
	"need":    {"sandbox", "driver", "disk", "index"},
}

// arguments completes a recipe, then for explain a name of its lock.
func arguments(c *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	switch {
	case c.Name() == "explain" && len(args) == 1:
		l, err := readLock(args[0], selection{})
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		var names []string
		for _, image := range imageNames(l) {
			names = append(names, knownNames(l.Images[image])...)
		}
		slices.Sort(names)
		return slices.Compact(names), cobra.ShellCompDirectiveNoFileComp
	case strings.Contains(c.Use, " RECIPE"):
		if len(args) == 0 || c.Name() == "fmt" {
			return []string{"hcl"}, cobra.ShellCompDirectiveFilterFileExt
		}
		return nil, cobra.ShellCompDirectiveNoFileComp
	case c.HasSubCommands() || c.Use == c.Name(): // a filter of files would hide the commands below
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return nil, cobra.ShellCompDirectiveDefault // images are layouts and archives, too
}

// images completes --image from the recipe on the line, else from its lock.
func images(c *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) == 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var names []string
	if file, err := loadRecipe(args[0], nil); err == nil {
		for _, im := range file.Images {
			names = append(names, im.Name)
		}
	} else if l, err := readLock(args[0], selection{}); err == nil {
		names = imageNames(l)
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}
