package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/forge-build/forge/builder"
	"github.com/forge-build/forge/recipes"
	"github.com/forge-build/forge/recipes/finding"
	"github.com/forge-build/forge/sbom/vuln"
)

// gatekeeper judges the images that a build makes, all with one database.
type gatekeeper struct {
	t    *terminal
	file *recipes.File
	skip string // why nothing is looked up; empty: it is
	db   *vuln.Database
}

// newGatekeeper opens the database. A recipe with a vulnerabilities block relies on the gate,
// and so does who names a database: then one that cannot be used is an error. Others build
// without one, and are told; nothing is fetched for them.
func newGatekeeper(ctx context.Context, t *terminal, o buildOptions, file *recipes.File, images []*recipes.Image) (*gatekeeper, error) {
	g := &gatekeeper{t: t, file: file}
	if o.noScan {
		g.skip = "--no-scan was given"
		return g, nil
	}
	relied, strictest := false, time.Duration(0)
	for _, im := range images {
		if v := im.Vulnerabilities; v != nil {
			age := cmp.Or(v.MaxDBAge, vuln.DefaultMaxAge)
			if !relied || age < strictest {
				strictest = age
			}
			relied = true
		}
	}
	o.database.maxAge = cmp.Or(o.database.maxAge, strictest) // the flag comes first
	source, err := databaseSource(o.database)
	if err != nil {
		return nil, err
	}
	relied = relied || source.From != ""
	g.db, err = openDatabase(ctx, t, o.database, o.offline || !relied)
	var unusable *vuln.DatabaseError
	if errors.As(err, &unusable) && !relied {
		if g.skip = unusable.Reason; unusable.ID == vuln.Missing {
			g.skip = "there is no vulnerability database on this host; forge scan fetches one, and so does a build whose recipe has a vulnerabilities block"
		}
		return g, nil
	}
	return g, err
}

func (g *gatekeeper) close() {
	if g.db != nil {
		_ = g.db.Close() // only read
	}
}

// judge writes the verdict about an image and its VEX beside it. The error is the gate's when
// the image does not pass: then the layout stays for those who want to look, and nothing else
// is done with it.
func (g *gatekeeper) judge(ctx context.Context, b built, at siblings) (*finding.Document, error) {
	im := b.plan.Image
	tol := toleranceOf(g.file, im)
	tol.subject.Digest = b.result.Digest
	doc := &finding.Document{Version: finding.Format, NotScanned: g.skip, Judged: time.Now().UTC().Truncate(time.Second), Verdict: finding.Judge(finding.Case{Limits: tol.Limits})}
	if g.skip == "" {
		packages, err := vuln.Of(b.inventory)
		if err != nil {
			return nil, err
		}
		if doc, err = lookUp(ctx, g.db, packages, im.Name, tol); err != nil {
			return nil, fmt.Errorf("scanning image %q: %w", im.Name, err)
		}
	}
	doc.Image, doc.Digest = im.Name, b.result.Digest
	if err := writeVEX(at.vex(), doc, tol.subject, b.plan.Config.Created.Time); err != nil {
		return nil, err
	}
	if err := builder.WriteFile(at.scan(), doc.Write); err != nil {
		return nil, err
	}
	g.t.judged(doc)
	err := gate(doc)
	if failed := (*gateError)(nil); errors.As(err, &failed) {
		if failed.built = true; string(at) == b.result.Dir {
			failed.kept = b.result.Dir
		}
	}
	return doc, err
}

// judged says what a build's gate made of an image: a line, and the findings that fail it.
func (t *terminal) judged(d *finding.Document) {
	if d.Database == nil {
		t.say("%s: WARNING: not scanned for vulnerabilities: %s", d.Image, d.NotScanned)
		return
	}
	rows := [][]string{}
	for _, j := range d.Findings {
		if j.Fails {
			rows = append(rows, []string{j.Severity.String(), nameOf(j), j.Package, j.Version, fixOf(j), j.Why})
		}
	}
	if len(rows) > 0 {
		for _, line := range columns(rows) {
			t.say("%s: %s", d.Image, line)
		}
	}
	for _, w := range d.UnusedWaivers {
		t.say("%s: warning: the waiver of %s in %s at %s is used by no finding", d.Image, w.ID, w.Package, cmp.Or(w.Place, "the recipe"))
	}
	for _, s := range d.UnusedStatements {
		t.say("%s: warning: what %s says of %s in %s fits no finding", d.Image, cmp.Or(s.Document, s.Author), s.ID, s.Product)
	}
	t.say("%s", summaryOf(d))
}
