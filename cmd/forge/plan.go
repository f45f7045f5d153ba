package main

import (
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/forge-build/forge/builder"
	"github.com/forge-build/forge/builder/store"
)

func newPlan(t *terminal) *cobra.Command {
	var o selection
	c := &cobra.Command{
		Use:   "plan RECIPE",
		Short: "Print what a build would make, without making it",
		Long: `Plan prints each image's layers, configuration and tests. It is a pure function of
recipe and lock: it reads no clock and no network. What the rules of slim leave out is
added where this machine has made the layers before. With --json it is a document for
programs, and the recipe's mistakes are one for editors.`,
		Example: `  forge plan recipe.hcl
  forge plan --json recipe.hcl`,
		Args: exactly("RECIPE"),
		RunE: func(_ *cobra.Command, args []string) error { return runPlan(t, o, args[0]) },
	}
	o.flags(c)
	return c
}

func runPlan(t *terminal, o selection, path string) error {
	file, images, err := o.load(path)
	if err != nil {
		return err
	}
	for _, im := range images {
		t.notes(im)
	}
	l, err := readLock(path, o)
	if err != nil {
		return err
	}
	var plans []*builder.Plan
	for _, im := range images {
		li, err := fitting(o, l, file, im)
		if err != nil {
			return err
		}
		p, err := builder.New(im, li)
		if err != nil {
			return err
		}
		plans = append(plans, p)
	}
	docs := make([]builder.Document, len(plans))
	for i, p := range plans {
		docs[i] = p.Document()
		if docs[i].Slim, err = knownSlim(p); err != nil {
			return err
		}
	}
	if t.json {
		return t.document(docs)
	}
	for i, p := range plans {
		t.result("%s", p.Text())
		for _, x := range docs[i].Slim {
			t.result("  slim leaves out %s in %s: %s", megabytes(x.Bytes), count(x.Files, "file"), x.Rule)
		}
		if len(p.Image.Slim.Drop) > 0 && docs[i].Slim == nil {
			t.result("  slim leaves out %s: %s", megabytes(p.Lock.Derived.Removed), strings.Join(p.Image.Slim.Drop, ", "))
		}
	}
	return nil
}

// knownSlim is what slim leaves out by rule, if this machine's store knows. Where there is
// no store that can be opened, nothing is known, and the plan is made all the same.
func knownSlim(p *builder.Plan) ([]builder.RemovedByRule, error) {
	dir, err := cacheDir()
	if err != nil || len(p.Image.Slim.Drop) == 0 {
		return nil, nil
	}
	if _, err := os.Stat(dir); err != nil {
		return nil, nil
	}
	s, err := store.Open(dir)
	if err != nil {
		return nil, nil
	}
	c, err := knownContents(s, "", p.Image, p.Lock)
	if err != nil {
		return nil, err
	}
	return c.slim(), nil
}
