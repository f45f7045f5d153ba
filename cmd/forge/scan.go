package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/forge-build/forge/builder"
	"github.com/forge-build/forge/recipes/finding"
	"github.com/forge-build/forge/sbom/report"
	"github.com/forge-build/forge/sbom/vex"
	"github.com/forge-build/forge/sbom/vuln"
)

type scanOptions struct {
	recipe    string
	selection // of the recipe
	failOn    string
	onlyFixed bool
	vex       []string
	signed    vexOptions
	platform  string
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
		Short: "Scan an image or SBOM for known vulnerabilities, and apply the gate",
		Long: `Scan looks up what is in an image: the folder of an OCI layout, an oci-archive or
docker-archive, a reference in a registry, or an SBOM of it (Syft's JSON, SPDX or
CycloneDX). It prints a table; --json makes it one document. It exits 3 when a finding,
or a waiver that has expired, fails the gate.

What is tolerated is what --recipe says in its vulnerabilities block; flags come
before it. Without either, findings of severity high or worse fail, an unknown
severity counts as high, and nothing is waived.

OpenVEX counts from files (--vex, the recipe's), and with --vex-attestations from what is
attached to the image and signed by whom --key, --identity or --policy name. What nobody
of them has signed is said, and changes nothing.

The database is Grype's. It is fetched from where Grype itself fetches it, from a
mirror, or it is an archive or a folder: --db, else FORGE_VULNERABILITY_DB, else
vulnerability_database in forge.hcl. One that is missing, too old, damaged, or without
data for the image's distribution is an error; it is never "nothing found".`,
		Example: `  forge scan dist/train
  forge scan --recipe recipe.hcl --image train dist/train
  forge scan --fail-on critical --only-fixed train.spdx.json
  forge scan --db vulnerability-db.tar.zst --json dist/train > train.scan.json
  forge scan --vex-attestations --key vendor.pub registry.example/vendor/serve:2`,
		Args: exactly("IMAGE"),
		RunE: func(c *cobra.Command, args []string) error {
			return runScan(c.Context(), t, o, args[0], c.Flags().Changed("only-fixed"))
		},
	}
	f := c.Flags()
	f.StringVar(&o.recipe, "recipe", "", "`FILE` of the recipe whose limits, waivers and VEX count")
	o.selection.flags(c)
	f.StringVar(&o.failOn, "fail-on", "", "the `SEVERITY` from which findings fail: "+strings.Join(finding.Severities(), ", "))
	f.BoolVar(&o.onlyFixed, "only-fixed", false, "findings without a fix do not fail, unless they are known to be exploited")
	f.StringArrayVar(&o.vex, "vex", nil, "an OpenVEX `FILE` that counts besides the recipe's (repeatable)")
	o.signed.flags(c)
	addPlatform(c, &o.platform)
	f.StringVar(&o.output, "output", "", "`FILE` for the verdict as JSON, besides the report")
	addSummary(c, &o.summary)
	o.database.flags(c)
	return c
}

func (o *databaseOptions) flags(c *cobra.Command) {
	c.Flags().StringVar(&o.from, "db", "", "the vulnerability `DATABASE`: https address of a mirror, archive or folder")
	c.Flags().Var(age{&o.maxAge}, "max-db-age", "the `AGE` that the vulnerability database may have (default 5d)")
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

func runScan(ctx context.Context, t *terminal, o scanOptions, image string, onlyFixedGiven bool) error {
	if err := checkSummary(o.summary); err != nil {
		return err
	}
	tol, err := o.tolerance(onlyFixedGiven)
	if err != nil {
		return err
	}
	signed, err := o.signed.reader(ctx, t)
	if err != nil {
		return err
	}
	if o.database.maxAge == 0 {
		o.database.maxAge = tol.MaxDBAge
	}
	if len(o.signed.repositories) > 0 {
		tol.subject.Repository = o.signed.repositories[0]
	}
	var packages *vuln.Packages
	if isFile(image) { // what is wrong with it is said before a database is fetched
		packages, err = o.listed(image, signed, tol)
	} else {
		_, err = imageAt(image)
	}
	if err != nil {
		return err
	}
	db, err := openDatabase(ctx, t, o.database, false)
	if err != nil {
		return err
	}
	defer db.Close()
	if packages == nil {
		if packages, err = o.found(ctx, t, image, signed, tol); err != nil {
			return err
		}
	}
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
	err = errors.Join(err, summarize(t, o.summary, besideImage(image), func(w io.Writer) error { return report.WriteScanMarkdown(w, doc) }))
	return errors.Join(err, gate(doc))
}

// openDatabase opens the database that the flags, the environment or the settings name.
func openDatabase(ctx context.Context, t *terminal, o databaseOptions, offline bool) (*vuln.Database, error) {
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
	_, own, err := userSettings()
	if err != nil {
		return vuln.Source{}, err
	}
	return vuln.Source{From: cmp.Or(o.from, cmp.Or(os.Getenv("FORGE_VULNERABILITY_DB"), own.VulnerabilityDB)), Cache: filepath.Join(cache, "vulnerabilities"),
		CAFile: cmp.Or(os.Getenv("FORGE_CA_FILE"), own.CAFile), MaxAge: o.maxAge, Now: time.Now()}, nil
}

// listed are the packages that an SBOM lists, and tol learns which image it is of.
func (o *scanOptions) listed(file string, signed *signedVEX, tol *tolerance) (*vuln.Packages, error) {
	if signed != nil {
		return nil, usageError{fmt.Errorf("--vex-attestations: nothing is attached to the file %q; name the image", file)}
	}
	p, err := readPackages(file)
	if err == nil {
		tol.subject.Digest = p.Digest()
	}
	return p, err
}

// found are the packages in an image, and tol learns which image that is and what is said
// about it.
func (o *scanOptions) found(ctx context.Context, t *terminal, image string, signed *signedVEX, tol *tolerance) (*vuln.Packages, error) {
	b, err := fetchImage(ctx, t, image, o.platform)
	if err != nil {
		return nil, err
	}
	defer b.remove()
	tol.subject.Digest, tol.subject.Index = b.image.String(), b.named.String()
	if tol.subject.Repository == "" && b.spot.remote() {
		tol.subject.Repository = b.spot.repo.Name()
	}
	if signed != nil {
		if tol.signed, err = signed.read(ctx, b); err != nil {
			return nil, err
		}
	}
	inv, err := listImage(ctx, b.layout, b.called)
	if err != nil {
		return nil, err
	}
	return vuln.Of(inv)
}

// isFile tells whether a name is a file's, there or not, and no image's.
func isFile(name string) bool {
	info, err := os.Stat(name)
	return err == nil && !info.IsDir() || err != nil && (strings.HasPrefix(name, ".") || strings.HasPrefix(name, "/") || strings.HasSuffix(name, ".json"))
}

// readPackages reads an SBOM.
func readPackages(path string) (*vuln.Packages, error) {
	f, err := openRegular(path)
	if err != nil {
		return nil, fmt.Errorf("reading an SBOM: %w", err)
	}
	defer f.Close()
	p, err := vuln.Read(f)
	if err != nil {
		return nil, fmt.Errorf("%q: %w", path, err)
	}
	return p, nil
}

// besideImage is where files about an image or SBOM are: beside the file or folder, else here.
func besideImage(image string) siblings {
	if s, err := readSpot(image); err == nil && s.remote() && !isLayout(image) {
		return siblings(path.Base(s.repo.RepositoryStr()))
	}
	if file, ok := strings.CutPrefix(image, "docker-archive:"); ok {
		file, _ = savedName(file)
		return siblings(strings.TrimSuffix(file, ".tar"))
	}
	if file, ok := strings.CutPrefix(image, "oci-archive:"); ok {
		return siblings(strings.TrimSuffix(file, ".tar"))
	}
	return besideLayout(strings.TrimSuffix(image, ".json"))
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

// gate is an error when the verdict is that the gate is not passed.
func gate(doc *finding.Document) error {
	if !doc.Failed {
		return nil
	}
	e := &gateError{image: doc.Image, reasons: doc.Reasons}
	failing, unfixed := 0, 0
	for _, j := range doc.Findings {
		if j.Fails {
			failing++
		}
		if j.Fails && j.Kind == finding.Vulnerability && !j.Fixed() && !j.Exploited {
			unfixed++
		}
	}
	var hints []string
	if failing > 0 {
		hints = append(hints, "update what has a fix; a waiver in the recipe's vulnerabilities block accepts one finding, with a reason, an owner and an end")
	}
	if unfixed > 0 && !doc.Limits.OnlyFixed {
		hints = append(hints, fmt.Sprintf("only_fixed = true lets those pass that have no fix (%d)", unfixed))
	}
	if len(doc.ExpiredWaivers) > 0 {
		hints = append(hints, "a waiver that has ended is looked at again: give it a later day, or take it out")
	}
	e.hint = strings.Join(hints, "; ")
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
