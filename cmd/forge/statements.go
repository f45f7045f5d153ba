package main

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"

	"github.com/forge-build/forge/builder"
	"github.com/forge-build/forge/recipes"
	"github.com/forge-build/forge/recipes/finding"
	"github.com/forge-build/forge/recipes/lock"
	"github.com/forge-build/forge/sbom"
	"github.com/forge-build/forge/signing/statement"
)

// statementsOf says what is known about an image that was built from a recipe. Every one is
// about the digest that the build gave, and no other.
func statementsOf(file *recipes.File, im *recipes.Image, li *lock.Image, mode, identity string, m made) ([]statement.Statement, error) {
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
			Locked: li, Base: baseOf(im), Below: m.below, Copied: copiedOf(m.result), Version: v.Forge, Commit: v.Commit, Mode: modeOf(mode), Identity: identity,
		}),
		statement.Facts(li),
	}
	if m.below != nil {
		all = append(all, statement.Base(*m.below))
	}
	if len(m.result.Tests) > 0 {
		var passed []string
		for _, t := range m.result.Tests {
			passed = append(passed, t.Name)
		}
		all = append(all, statement.Tests(recipe, passed, nil))
	}
	beside, err := readBeside(m.at, m.result.Digest)
	if err != nil {
		return nil, err
	}
	more, err := beside.statements()
	if err != nil {
		return nil, err
	}
	return append(all, more...), nil
}

// baseOf names what lies below an image, the way that a trust policy does.
func baseOf(im *recipes.Image) string {
	if im.Base != nil {
		return im.Base.From
	}
	return "debian " + im.Debian.Suite
}

// copiedOf are the recipe's own files in an image.
func copiedOf(r *builder.Result) []statement.Copied {
	var all []statement.Copied
	for _, c := range r.Copied {
		all = append(all, statement.Copied{File: statement.File{Name: c.File, SHA256: c.SHA256}, To: c.To})
	}
	return all
}

// modeOf is who executes, without the address.
func modeOf(mode string) string {
	kind, _, _ := strings.Cut(mode, "://")
	return kind
}

// disclosure is what was found in an image: each part is about one digest.
type disclosure struct {
	spdx, cyclonedx []byte
	scan            *finding.Document
	vex             []byte // nil: nothing is accepted
}

// readBeside reads what the build wrote beside a layout a moment ago. What is about another
// digest is an error: it must be made again, and never signed.
func readBeside(at siblings, digest string) (*disclosure, error) {
	c := &disclosure{}
	for _, part := range []struct {
		file string
		to   *[]byte
		may  bool // be missing
	}{{at.sbom(sbom.SPDX), &c.spdx, false}, {at.sbom(sbom.CycloneDX), &c.cyclonedx, false}, {at.vex(), &c.vex, true}} {
		raw, err := os.ReadFile(part.file)
		if part.may && errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("reading what was found: %w", err)
		}
		if !bytes.Contains(raw, []byte(strings.TrimPrefix(digest, "sha256:"))) {
			return nil, fmt.Errorf("%q is not about %s; build the image again", part.file, digest)
		}
		*part.to = raw
	}
	f, err := os.Open(at.scan())
	if err != nil {
		return nil, fmt.Errorf("reading the verdict: %w", err)
	}
	defer f.Close()
	if c.scan, err = finding.Read(f); err != nil {
		return nil, err
	}
	if c.scan.Digest != digest {
		return nil, fmt.Errorf("%q is about %s, and not about %s; build the image again", at.scan(), c.scan.Digest, digest)
	}
	return c, gate(c.scan)
}

// statements are the attestations of what was found. What was not looked up is not stated.
func (c *disclosure) statements() ([]statement.Statement, error) {
	all := []statement.Statement{statement.SPDX(c.spdx), statement.CycloneDX(c.cyclonedx)}
	if c.scan != nil && c.scan.Database != nil {
		grype := moduleVersion("github.com/anchore/grype")
		s, err := statement.Vulns(statement.Scanner{URI: "pkg:golang/github.com/anchore/grype@" + grype, Version: grype}, c.scan)
		if err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	if c.vex != nil {
		all = append(all, statement.OpenVEX(c.vex))
	}
	return all, nil
}

// moduleVersion is the version of a library that forge was built with.
func moduleVersion(path string) string {
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, m := range info.Deps {
			if m.Path == path {
				return m.Version
			}
		}
	}
	return "unknown"
}
