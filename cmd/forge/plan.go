package main

import (
	"github.com/spf13/cobra"

	"github.com/forge-build/forge/builder"
)

type planOptions struct {
	vars  []string
	image string
}

func newPlan(t *terminal) *cobra.Command {
	var o planOptions
	c := &cobra.Command{
		Use:   "plan RECIPE",
		Short: "Print what a build would make, without making it",
		Long: `Plan prints each image's layers, configuration and tests. It is a pure function of
recipe and lock: it reads no clock and no network. With --json it is a document for
programs, and the recipe's mistakes are one for editors.`,
		Example: `  forge plan recipe.hcl
  forge plan --json recipe.hcl`,
		Args: exactly("RECIPE"),
		RunE: func(_ *cobra.Command, args []string) error { return runPlan(t, o, args[0]) },
	}
	c.Flags().StringArrayVar(&o.vars, "var", nil, "a variable of the recipe, name=value")
	c.Flags().StringVar(&o.image, "image", "", "only this image of the recipe")
	return c
}

func runPlan(t *terminal, o planOptions, path string) error {
	file, err := loadRecipe(path, o.vars)
	if err != nil {
		return err
	}
	images, err := chosen(file, o.image)
	if err != nil {
		return err
	}
	l, err := readLock(path)
	if err != nil {
		return err
	}
	var plans []*builder.Plan
	for _, im := range images {
		li, err := fitting(l, file, im)
		if err != nil {
			return err
		}
		p, err := builder.New(im, li)
		if err != nil {
			return err
		}
		plans = append(plans, p)
	}
	if t.json {
		docs := make([]builder.Document, len(plans))
		for i, p := range plans {
			docs[i] = p.Document()
		}
		return t.document(docs)
	}
	for _, p := range plans {
		t.result("%s", p.Text())
	}
	return nil
}
