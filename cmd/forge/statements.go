package main

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/forge-build/forge/builder"
	"github.com/forge-build/forge/recipes"
	"github.com/forge-build/forge/recipes/lock"
	"github.com/forge-build/forge/signing/push"
	"github.com/forge-build/forge/signing/statement"
)

// statementsOf says what is known about an image that was built from a recipe. Every one is
// about the digest that the build gave, and no other.
func statementsOf(file *recipes.File, im *recipes.Image, li *lock.Image, mode, identity string, r *builder.Result) (func(*push.Document) ([]statement.Statement, error), error) {
	lockPath := lock.PathOf(file.Path)
	raw, err := os.ReadFile(lockPath)
	if err != nil {
		return nil, fmt.Errorf("reading lock: %w", err)
	}
	recipe := statement.File{Name: filepath.Base(file.Path), SHA256: file.SHA256}
	v := currentVersions()
	all := []statement.Statement{
		statement.Provenance(statement.Build{
			Image: im.Name, Recipe: recipe, Variables: file.Variables,
			Lock:   statement.File{Name: filepath.Base(lockPath), SHA256: fmt.Sprintf("%x", sha256.Sum256(raw))},
			Locked: li, Base: baseOf(im), Version: v.Forge, Commit: v.Commit, Mode: modeOf(mode), Identity: identity,
		}),
		statement.Facts(li),
	}
	if len(r.Tests) > 0 {
		var passed []string
		for _, t := range r.Tests {
			passed = append(passed, t.Name)
		}
		all = append(all, statement.Tests(recipe, passed, nil))
	}
	return func(d *push.Document) ([]statement.Statement, error) {
		if d.Descriptor.Digest.String() != r.Digest {
			return nil, fmt.Errorf("the layout %q holds %s, the build gave %s", r.Dir, d.Descriptor.Digest, r.Digest)
		}
		return all, nil
	}, nil
}

// baseOf names what lies below an image, the way that a trust policy does.
func baseOf(im *recipes.Image) string {
	if im.Base != nil {
		return im.Base.From
	}
	return "debian " + im.Debian.Suite
}

// modeOf is who executes, without the address.
func modeOf(mode string) string {
	kind, _, _ := strings.Cut(mode, "://")
	return kind
}
