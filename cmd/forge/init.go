package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/forge-build/forge/recipes"
	"github.com/forge-build/forge/recipes/draft"
)

type initOptions struct {
	name, torch, cuda, driver, python string
	gpus, require, packages           []string
	from                              string
	output                            string
}

func newInit(t *terminal) *cobra.Command {
	var o initOptions
	c := &cobra.Command{
		Use:   "init",
		Short: "Write a first recipe from flags or from what you have",
		Long: `Init writes a recipe from flags, a requirements.txt, the pip part of an
environment.yml, or a Dockerfile. What it cannot carry over becomes a comment.
A file that pins by hash, a uv.lock, pylock.toml or pyproject.toml is named by the
recipe and stays what decides. Files that the recipe copies or names are looked for
below its own folder: write it beside them.`,
		Example: `  forge init --pytorch 2.9.1 --cuda 12.8 --gpu A100,H100 --output recipe.hcl
  forge init --from requirements.txt
  forge init --from Dockerfile --output recipe.hcl`,
		Args: exactly(),
		RunE: func(*cobra.Command, []string) error { return runInit(t, o) },
	}
	f := c.Flags()
	f.StringVar(&o.name, "name", "", "`NAME` of the image")
	f.StringVar(&o.torch, "pytorch", "", "torch `VERSION`; \"newest\" leaves it to forge lock")
	f.StringVar(&o.cuda, "cuda", "", "CUDA `VERSION` (12.8), or cpu")
	f.StringSliceVar(&o.gpus, "gpu", nil, "`GPUS` that it must run on, with commas between (A100,H100)")
	f.StringVar(&o.driver, "driver", "", "`VERSION` of the fleet's oldest driver (525.60.13)")
	f.StringVar(&o.python, "python", "", "Python `VERSION`")
	f.StringSliceVar(&o.require, "require", nil, "a `REQUIREMENT` (numpy>=2; repeatable)")
	f.StringSliceVar(&o.packages, "package", nil, "a Debian `PACKAGE` (libgomp1; repeatable)")
	f.StringVar(&o.from, "from", "", "`FILE` to start from: requirements.txt, environment.yml, pyproject.toml, uv.lock, pylock.toml or Dockerfile")
	f.StringVarP(&o.output, "output", "o", "", "`FILE` to write; it must not exist (default: standard output)")
	return c
}

func runInit(t *terminal, o initOptions) error {
	d, err := startDraft(o)
	if err != nil {
		return err
	}
	text, err := recipes.Format("recipe.hcl", []byte(d.HCL()))
	if err != nil {
		return fmt.Errorf("internal error: writing a recipe: %w", err)
	}
	for _, n := range d.Notes {
		t.say("note: %s", n)
	}
	if o.output == "" {
		_, err := t.out.Write(text)
		return err
	}
	f, err := os.OpenFile(o.output, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if errors.Is(err, fs.ErrExist) {
		return usageError{fmt.Errorf("writing %q: it exists already", o.output)}
	}
	if err != nil {
		return fmt.Errorf("writing the recipe: %w", err)
	}
	_, err = f.Write(text)
	if err := errors.Join(err, f.Close()); err != nil {
		_ = os.Remove(o.output) // half a recipe would be in the way of the next try
		return fmt.Errorf("writing the recipe: %w", err)
	}
	review(t, o.output)
	t.say("wrote %s; next: %s", o.output, typed("forge", "lock", o.output))
	return nil
}

func startDraft(o initOptions) (*draft.Draft, error) {
	d := &draft.Draft{Pythons: recipes.Suites}
	if o.from != "" {
		if err := readDraft(d, o.from); err != nil {
			return nil, err
		}
	}
	for _, r := range o.require {
		d.AddRequirement(r)
	}
	if o.torch != "" {
		d.WantsTorch = true
		d.Torch = strings.TrimPrefix(o.torch, "newest")
	}
	if o.cuda != "" {
		d.WantsTorch, d.CUDA = true, o.cuda
	}
	if o.driver != "" {
		d.WantsTorch, d.Driver = true, o.driver
	}
	if len(o.gpus) > 0 {
		d.WantsTorch, d.GPUs = true, o.gpus
	}
	if o.name != "" {
		d.Name = o.name
	}
	if o.python != "" {
		d.Python = o.python
	}
	d.Packages = append(d.Packages, o.packages...)
	if o.from == "" && !d.WantsTorch && len(d.Requirements) == 0 {
		return nil, usageError{errors.New("nothing to write: give --pytorch, --require or --from")}
	}
	return d, nil
}

// readDraft starts from a file; what that file names is looked up in its folder, and
// nowhere else.
func readDraft(d *draft.Draft, path string) error {
	root, err := os.OpenRoot(filepath.Dir(path))
	if err != nil {
		return absent(fmt.Errorf("starting from %q: %w", path, err))
	}
	defer root.Close()
	name := filepath.Base(path)
	read := d.RequirementsFile
	switch lower := strings.ToLower(name); {
	case strings.HasSuffix(lower, ".yml"), strings.HasSuffix(lower, ".yaml"):
		read = d.EnvironmentFile
	case strings.Contains(lower, "dockerfile"), strings.Contains(lower, "containerfile"):
		read = d.Dockerfile
	case lower == "uv.lock", lower == "pyproject.toml", pylockName.MatchString(name):
		read = d.LockFile
	case !strings.HasSuffix(lower, ".txt") && !strings.HasSuffix(lower, ".in"):
		return usageError{fmt.Errorf("starting from %q: its name is neither *.txt, *.in, *.yml, pyproject.toml, uv.lock, pylock.toml nor Dockerfile", path)}
	}
	err = read(root.FS(), name)
	if err != nil {
		return usageError{fmt.Errorf("starting from %q: %w", path, err)}
	}
	return nil
}

// review says at once what is wrong with a recipe that was just written: what it came
// from may ask for a stack that cannot exist, or its files may lie elsewhere.
func review(t *terminal, path string) {
	var d *recipes.Diagnostics
	if _, err := loadRecipe(path, nil); errors.As(err, &d) {
		t.say("the recipe says what was asked for, which needs a change:")
		d.Text(t, t.width, t.color)
	}
}
