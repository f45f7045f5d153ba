package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/forge-build/forge/recipes"
	"github.com/forge-build/forge/recipes/finding"
	"github.com/forge-build/forge/sbom/vex"
	"github.com/forge-build/forge/signing/strictjson"
)

// tolerance is what is tolerated, by a recipe or by flags.
type tolerance struct {
	recipes.Vulnerabilities
	dir     string   // of the recipe
	vex     []string // files besides the recipe's
	signed  []attachment
	subject vex.Subject
}

// tolerance reads the recipe, if there is one, and the flags, which come before it.
func (o *scanOptions) tolerance(onlyFixedGiven bool) (*tolerance, error) {
	tol := &tolerance{vex: o.vex}
	if o.recipe != "" {
		file, images, err := o.load(o.recipe)
		if err != nil {
			return nil, err
		}
		if len(images) != 1 {
			return nil, usageError{fmt.Errorf("%q has %d images; choose one with --image", o.recipe, len(images))}
		}
		tol = toleranceOf(file, images[0])
		tol.vex = o.vex
	} else if o.image != "" || len(o.vars) > 0 {
		return nil, usageError{errors.New("--image and --var say which part of a recipe counts; --recipe is missing")}
	}
	if o.failOn != "" {
		var err error
		if tol.Limits.FailOn, err = finding.ParseLimit(o.failOn); err != nil {
			return nil, usageError{fmt.Errorf("--fail-on: %w", err)}
		}
	}
	if onlyFixedGiven {
		tol.Limits.OnlyFixed = o.onlyFixed
	}
	return tol, nil
}

// toleranceOf is what a recipe tolerates in an image.
func toleranceOf(file *recipes.File, im *recipes.Image) *tolerance {
	tol := &tolerance{dir: file.Dir, subject: vex.Subject{Repository: im.Repository}}
	if im.Vulnerabilities != nil {
		tol.Vulnerabilities = *im.Vulnerabilities
	}
	return tol
}

// statements reads the VEX documents that count. The recipe's lie in its folder.
func (tol *tolerance) statements() ([]finding.Statement, error) {
	d := vex.Documents{Subject: tol.subject, Authors: tol.VEXAuthors}
	if len(tol.VEX) > 0 {
		root, err := os.OpenRoot(tol.dir)
		if err != nil {
			return nil, fmt.Errorf("reading VEX: %w", err)
		}
		defer root.Close()
		for _, name := range tol.VEX {
			if err := addVEX(&d, name, root.OpenFile, name); err != nil {
				return nil, err
			}
		}
	}
	for _, path := range tol.vex {
		if err := addVEX(&d, filepath.Base(path), os.OpenFile, path); err != nil {
			return nil, err
		}
	}
	for _, a := range tol.signed { // their JSON was judged before the signature
		if err := d.Add(a.raw, a.name, a.signer); err != nil {
			return nil, err
		}
	}
	return d.Statements(), nil
}

// addVEX reads one file. Two readers of JSON must not understand it differently.
func addVEX(d *vex.Documents, name string, open opener, path string) error {
	raw, err := open.read(path, vex.MaxBytes)
	if err == nil {
		err = strictjson.Check(raw)
	}
	if err != nil {
		return &vex.Error{Name: name, Reason: err.Error()}
	}
	return d.Add(raw, name, "")
}
