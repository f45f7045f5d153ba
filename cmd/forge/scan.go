package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/forge-build/forge/builder"
	"github.com/forge-build/forge/recipes"
	"github.com/forge-build/forge/recipes/finding"
	"github.com/forge-build/forge/sbom/report"
	"github.com/forge-build/forge/sbom/vex"
	"github.com/forge-build/forge/sbom/vuln"
)

type scanOptions struct {
	recipe    string
	image     string
	vars      []string
	failOn    string
	onlyFixed bool
	vex       []string
	output    string
	summary   string
	database  databaseOptions
}

// databaseOptions say which database of vulnerabilities is used.
type databaseOptions struct {
	from   string
	maxAge time.Duration
}

func newScan(t *terminal) *cobra.Command {
	var o scanOptions
	c := &cobra.Command{
		Use:   "scan IMAGE|SBOM",
		Short: "Look an image up in a database of vulnerabilities, and judge what is found",
		Long: `Scan looks up what is in an image: the folder of an OCI layout, a reference in a
registry, or an SBOM of it (Syft's JSON, SPDX or CycloneDX). The report is the result;
--json makes it one document. It exits 3 when a finding, or an exception that has
ended, fails the gate.

What is tolerated is what --recipe says in its vulnerabilities block; flags come
before it. Without either, findings of severity high or worse fail, an unknown
severity counts as high, and nothing is waived.

The database is Grype's. It is fetched from where Grype itself fetches it, from a
mirror, or it is an archive or a folder: --db, else FORGE_VULNERABILITY_DB, else
vulnerability_database in forge.hcl. One that is missing, too old, damaged, or without
data for the image's distribution is an error; it is never "nothing found".`,
		Example: `  forge scan dist/train
  forge scan --recipe recipe.hcl --image train dist/train
  forge scan --fail-on critical --only-fixed train.spdx.json
  forge scan --db vulnerability-db.tar.zst --json dist/train > train.scan.json`,
		Args: exactly("IMAGE"),
		RunE: func(c *cobra.Command, args []string) error {
			return runScan(c.Context(), t, o, args[0], c.Flags().Changed("only-fixed"))
		},
	}
	f := c.Flags()
	f.StringVar(&o.recipe, "recipe", "", "the recipe whose limits, waivers and VEX count")
	f.StringVar(&o.image, "image", "", "which image of the recipe")
	f.StringArrayVar(&o.vars, "var", nil, "a variable of the recipe, name=value")
	f.StringVar(&o.failOn, "fail-on", "", "the severity from which findings fail: "+strings.Join(finding.Severities(), ", "))
	f.BoolVar(&o.onlyFixed, "only-fixed", false, "findings without a fix do not fail, unless they are known to be exploited")
	f.StringArrayVar(&o.vex, "vex", nil, "an OpenVEX document that counts besides the recipe's")
	f.StringVar(&o.output, "output", "", "file for the verdict as JSON, besides the report")
	addSummary(c, &o.summary)
	o.database.flags(c)
	return c
}

func (o *databaseOptions) flags(c *cobra.Command) {
	c.Flags().StringVar(&o.from, "db", "", "the vulnerability database: https address of a mirror, archive or folder")
	c.Flags().DurationVar(&o.maxAge, "max-db-age", 0, "how old the vulnerability database may be (default 120h)")
}

// gateError is a gate that is not passed.
type gateError struct {
	image   string
	reasons []string
	hint    string
	built   bool   // by a build
	kept    string // folder of the layout that the build leaves
}

func (e *gateError) Error() string {
	s := fmt.Sprintf("judging the vulnerabilities of %q: %s", e.image, strings.Join(e.reasons, "; "))
	if e.built {
		s += "; nothing was published or loaded"
	}
	if e.kept != "" {
		s += fmt.Sprintf("; the layout is in %q", e.kept)
	}
	return s
}

// Hint is what to try.
func (e *gateError) Hint() string { return e.hint }

// tolerance is what is tolerated, by a recipe or by flags.
type tolerance struct {
	recipes.Vulnerabilities
	dir     string   // of the recipe
	vex     []string // files besides the recipe's
	subject vex.Subject
}

func runScan(ctx context.Context, t *terminal, o scanOptions, image string, onlyFixedGiven bool) error {
	if err := checkSummary(o.summary); err != nil {
		return err
	}
	tol, err := o.tolerance(onlyFixedGiven)
	if err != nil {
		return err
	}
	if o.database.maxAge == 0 {
		o.database.maxAge = tol.MaxDBAge
	}
	db, err := openDatabase(ctx, t, o.database, false)
	if err != nil {
		return err
	}
	defer db.Close()
	packages, digest, err := packagesOf(ctx, image)
	if err != nil {
		return err
	}
	tol.subject.Digest = digest
	doc, err := lookUp(ctx, db, packages, image, tol)
	if err != nil {
		return err
	}
	if o.output != "" {
		if err := builder.WriteFile(o.output, doc.Write); err != nil {
			return err
		}
	}
	if t.json {
		err = t.document(doc)
	} else {
		t.verdict(doc)
	}
	err = errors.Join(err, summarize(t, o.summary, besideLayout(strings.TrimSuffix(image, ".json")), func(w io.Writer) error { return report.WriteScanMarkdown(w, doc) }))
	return errors.Join(err, gate(doc))
}

// tolerance reads the recipe, if there is one, and the flags, which come before it.
func (o *scanOptions) tolerance(onlyFixedGiven bool) (*tolerance, error) {
	tol := &tolerance{vex: o.vex}
	if o.recipe != "" {
		file, err := loadRecipe(o.recipe, o.vars)
		if err != nil {
			return nil, err
		}
		images, err := chosen(file, o.image)
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

// openDatabase opens the database that the flags, the environment or the settings name.
func openDatabase(ctx context.Context, t *terminal, o databaseOptions, offline bool) (*vuln.Database, error) {
	if o.maxAge < 0 {
		return nil, usageError{fmt.Errorf("--max-db-age %s: it must be a time that has passed", o.maxAge)}
	}
	s, err := databaseSource(o)
	if err != nil {
		return nil, err
	}
	s.Offline = offline
	s.Progress = t.amount
	return vuln.Open(ctx, s)
}

func databaseSource(o databaseOptions) (vuln.Source, error) {
	cache, err := cacheDir()
	if err != nil {
		return vuln.Source{}, err
	}
	home, err := os.UserHomeDir()
	if err != nil {
		home = "/nonexistent" // then no file of a user's can be read, which is what there is
	}
	own, err := recipes.LoadSettings(settingsFile(home))
	if err != nil {
		return vuln.Source{}, err
	}
	return vuln.Source{From: or(o.from, or(os.Getenv("FORGE_VULNERABILITY_DB"), own.VulnerabilityDB)), Cache: filepath.Join(cache, "vulnerabilities"),
		CAFile: own.CAFile, MaxAge: o.maxAge, Now: time.Now()}, nil
}

// packagesOf is what is in an image, or what an SBOM says of one; digest is the image's.
func packagesOf(ctx context.Context, image string) (p *vuln.Packages, digest string, err error) {
	if info, err := os.Stat(image); err != nil || info.IsDir() {
		inv, err := listImage(ctx, image, "")
		if err != nil {
			return nil, "", err
		}
		p, err = vuln.Of(inv)
		return p, inv.Subject.Digest, err
	}
	f, err := os.Open(image)
	if err != nil {
		return nil, "", fmt.Errorf("reading an SBOM: %w", err)
	}
	defer f.Close()
	p, err = vuln.Read(f)
	if err != nil {
		return nil, "", fmt.Errorf("%q: %w", image, err)
	}
	return p, p.Digest(), nil
}

// lookUp looks packages up, and says what is to be made of it.
func lookUp(ctx context.Context, db *vuln.Database, p *vuln.Packages, image string, tol *tolerance) (*finding.Document, error) {
	statements, err := tol.statements()
	if err != nil {
		return nil, err
	}
	r, err := db.Scan(ctx, p)
	if err != nil {
		return nil, err
	}
	now, facts := time.Now().UTC().Truncate(time.Second), db.Facts()
	return &finding.Document{Version: finding.Format, Image: image, Digest: tol.subject.Digest, Distro: r.Distro, Packages: r.Packages, Database: &facts, Judged: now,
		Verdict: finding.Judge(finding.Case{Findings: r.Findings, Limits: tol.Limits, Waivers: tol.Waivers, Statements: statements, Unjudged: r.Unjudged, Now: now})}, nil
}

// statements reads the VEX documents that count. The recipe's lie in its folder.
func (tol *tolerance) statements() ([]finding.Statement, error) {
	var out []finding.Statement
	read := func(f *os.File, err error, name string) error {
		if err != nil {
			return &vex.Error{Name: name, Reason: err.Error()}
		}
		defer f.Close()
		if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
			return &vex.Error{Name: name, Reason: "it is no regular file"}
		}
		some, err := vex.Read(f, name, tol.VEXAuthors, tol.subject)
		out = append(out, some...)
		return err
	}
	if len(tol.VEX) > 0 {
		root, err := os.OpenRoot(tol.dir)
		if err != nil {
			return nil, fmt.Errorf("reading VEX: %w", err)
		}
		defer root.Close()
		for _, name := range tol.VEX {
			f, err := root.Open(name)
			if err := read(f, err, name); err != nil {
				return nil, err
			}
		}
	}
	for _, name := range tol.vex {
		f, err := os.Open(name)
		if err := read(f, err, filepath.Base(name)); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// gate is an error when the verdict is that the gate is not passed.
func gate(doc *finding.Document) error {
	if !doc.Failed {
		return nil
	}
	e := &gateError{image: doc.Image, reasons: doc.Reasons}
	unfixed := 0
	for _, j := range doc.Findings {
		if j.Fails && j.Kind == finding.Vulnerability && !j.Fixed() {
			unfixed++
		}
	}
	e.hint = "update what has a fix; a waiver in the recipe's vulnerabilities block accepts one finding, with a reason, an owner and an end"
	if unfixed > 0 && !doc.Limits.OnlyFixed {
		e.hint += fmt.Sprintf("; only_fixed = true lets those pass that have no fix (%d)", unfixed)
	}
	return e
}

// writeVEX writes what a verdict accepts by waiver, or removes what is no longer true.
func writeVEX(path string, doc *finding.Document, s vex.Subject, created time.Time) error {
	raw, err := vex.Write(&doc.Verdict, doc.Image, s, created)
	if err != nil {
		return err
	}
	if raw == nil {
		if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("removing %q: %w", path, err)
		}
		return nil
	}
	return builder.WriteFile(path, func(w io.Writer) error { _, err := w.Write(raw); return err })
}
