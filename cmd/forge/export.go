package main

import (
	"fmt"
	"io"
	"path/filepath"
	"regexp"
	"slices"

	"github.com/forge-build/forge/builder"
	"github.com/forge-build/forge/recipes"
	"github.com/forge-build/forge/recipes/lock"
	"github.com/forge-build/forge/recipes/requirements"
)

// pylockName are the names that a lock of PEP 751 may have; without a name between the dots
// other tools find it by themselves.
var pylockName = regexp.MustCompile(`^pylock\.([^.]+\.)?toml$`)

// checkExport says whether the wheels of these images can be written to file.
func checkExport(file string, images []*recipes.Image) error {
	if !pylockName.MatchString(filepath.Base(file)) {
		return usageError{fmt.Errorf("--export %q: other tools know such a lock by its name, pylock.toml or pylock.NAME.toml", file)}
	}
	if len(images) != 1 {
		return usageError{fmt.Errorf("--export %q: it holds the wheels of one image, the recipe has %d; choose with --image", file, len(images))}
	}
	return nil
}

// export writes the wheels of an image as locks of PEP 751: the image's own to file, those of
// each further environment NAME to pylock.NAME.toml beside it. served says where they are had.
func export(t *terminal, file, recipeDir string, im *recipes.Image, li *lock.Image, served map[string]string) error {
	names := []string{""}
	for _, e := range im.Environments {
		names = append(names, e.Name)
	}
	machine := map[string]string{"linux/amd64": "x86_64", "linux/arm64": "aarch64"}[li.Platform]
	for _, name := range names {
		path := file
		if name != "" {
			path = filepath.Join(filepath.Dir(file), "pylock."+name+".toml")
		}
		pins, err := pinsOf(filepath.Dir(path), recipeDir, name, li, served)
		if err != nil {
			return err
		}
		text, err := requirements.WritePylock(requirements.Target{Python: li.Python.Version, Machine: machine}, pins)
		if err != nil {
			return fmt.Errorf("writing %q: %w", path, err)
		}
		if err := builder.WriteFile(path, func(w io.Writer) error {
			_, err := w.Write(text)
			return err
		}); err != nil {
			return err
		}
		t.say("%s: wrote %s to %s", im.Name, count(len(pins), "wheel"), path)
	}
	return nil
}

// pinsOf are the wheels of one environment; a team's own are named relative to dir.
func pinsOf(dir, recipeDir, environment string, li *lock.Image, served map[string]string) ([]requirements.Pin, error) {
	var pins []requirements.Pin
	for _, w := range li.Wheels {
		if w.Environment != environment {
			continue
		}
		p := requirements.Pin{Name: w.Name, Version: w.Version, File: w.File, URL: served[w.SHA256], SHA256: w.SHA256, Size: w.Size}
		if w.Path != "" {
			from, err := filepath.Abs(dir)
			if err != nil {
				return nil, fmt.Errorf("pinning %s: %w", w.File, err)
			}
			to, err := filepath.Abs(filepath.Join(recipeDir, filepath.FromSlash(w.Path)))
			if err != nil {
				return nil, fmt.Errorf("pinning %s: %w", w.File, err)
			}
			rel, err := filepath.Rel(from, to)
			if err != nil {
				return nil, fmt.Errorf("pinning %s: %w", w.File, err)
			}
			p.Path = filepath.ToSlash(rel)
		}
		pins = append(pins, p)
	}
	return slices.Clip(pins), nil
}
