package main

import (
	"github.com/spf13/cobra"
)

// completeArguments teaches the shells what forge's arguments are: recipes, the images
// of the recipe that stands on the line, and the names that its lock knows.
func completeArguments(root *cobra.Command) {
	for _, c := range root.Commands() {
		c.ValidArgsFunction = arguments
		if c.Flags().Lookup("image") != nil {
			// An error means that a flag has its completion already, which is our own mistake.
			if err := c.RegisterFlagCompletionFunc("image", images); err != nil {
				panic("internal error: " + err.Error())
			}
		}
	}
}

// arguments completes a recipe, then for explain a name of its lock.
func arguments(c *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	switch {
	case c.Name() == "explain" && len(args) == 1:
		l, err := readLock(args[0])
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		var names []string
		for _, image := range imageNames(l) {
			names = append(names, knownNames(l.Images[image])...)
		}
		return names, cobra.ShellCompDirectiveNoFileComp
	case c.Name() == "diff" || c.Name() == "report":
		return nil, cobra.ShellCompDirectiveDefault
	case len(args) == 0 || c.Name() == "fmt":
		return []string{"hcl"}, cobra.ShellCompDirectiveFilterFileExt
	}
	return nil, cobra.ShellCompDirectiveNoFileComp
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
	} else if l, err := readLock(args[0]); err == nil {
		names = imageNames(l)
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}
