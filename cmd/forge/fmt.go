package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/forge-build/forge/recipes"
)

type fmtOptions struct{ check bool }

func newFmt(t *terminal) *cobra.Command {
	var o fmtOptions
	c := &cobra.Command{
		Use:   "fmt RECIPE…",
		Short: "Format recipes",
		Long:  "Fmt rewrites each recipe in place and prints the names of those it changed.\nWith - it reads standard input and writes standard output.",
		Example: `  forge fmt recipe.hcl
  forge fmt --check recipe.hcl     # exit 2 when it is not formatted`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usageError{errors.New("RECIPE is missing")}
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error { return runFmt(t, c.InOrStdin(), o, args) },
	}
	c.Flags().BoolVar(&o.check, "check", false, "write nothing; exit 2 when a recipe is not formatted")
	return c
}

func runFmt(t *terminal, in io.Reader, o fmtOptions, paths []string) error {
	unformatted := 0
	for _, path := range paths {
		src, out, err := formatted(path, in)
		if err != nil {
			return err
		}
		if path == "-" && !o.check {
			if _, err := t.out.Write(out); err != nil {
				return err
			}
			continue
		}
		if bytes.Equal(src, out) {
			continue
		}
		unformatted++
		t.result("%s", path)
		if o.check {
			continue
		}
		if err := replaceFile(path, out); err != nil {
			return fmt.Errorf("formatting %q: %w", path, err)
		}
	}
	if o.check && unformatted > 0 {
		return differenceError{fmt.Errorf("%d of %d recipes are not formatted; forge fmt does it", unformatted, len(paths))}
	}
	return nil
}

// formatted reads a recipe, or standard input for -, and gives it in HCL's form.
func formatted(path string, in io.Reader) (src, out []byte, err error) {
	name := path
	if path == "-" {
		name = "<stdin>"
		src, err = io.ReadAll(io.LimitReader(in, recipes.MaxBytes+1))
	} else {
		src, err = readUpTo(path, recipes.MaxBytes)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("formatting %q: %w", name, err)
	}
	out, err = recipes.Format(name, src)
	return src, out, err
}

// replaceFile writes data beside path and renames it over path, keeping its mode. Of a
// symbolic link the file is replaced that it leads to.
func replaceFile(path string, data []byte) error {
	path, err := filepath.EvalSymlinks(path)
	if err != nil {
		return err
	}
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // gone after the rename
	if _, err := f.Write(data); err != nil {
		return errors.Join(err, f.Close())
	}
	if err := errors.Join(f.Chmod(info.Mode().Perm()), f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
