package main

import (
	"cmp"
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/forge-build/forge/builder"
	"github.com/forge-build/forge/recipes/lock"
	"github.com/forge-build/forge/sbom"
	"github.com/forge-build/forge/sbom/report"
	"github.com/forge-build/forge/sbom/vuln"
)

// side is one of two images that are compared, as far as its source tells.
type side struct {
	kind     string            // of the source: only sources of one kind have the same facts
	facts    map[string]string // values by name
	layers   []report.Layer    // nil: not known
	contents *report.Report    // nil: not known
	note     string            // why not
}

// readSide reads a report, an SBOM or an image. With a database its findings are looked up now.
func readSide(ctx context.Context, t *terminal, o diffOptions, name string, look *vuln.Database) (*side, error) {
	switch {
	case isReport(name):
		if look != nil {
			return nil, usageError{fmt.Errorf("--scan: the report %q has findings of its own; name the image or its SBOM", name)}
		}
		return reportSide(name)
	case isFile(name):
		return sbomSide(ctx, name, look)
	}
	return imageSide(ctx, t, o, name, look)
}

func reportSide(path string) (*side, error) {
	rep, err := report.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return &side{kind: "report", facts: reportFacts(rep), layers: rep.Layers, contents: rep}, nil
}

func sbomSide(ctx context.Context, path string, look *vuln.Database) (*side, error) {
	inv, packages, err := readSBOM(path, look != nil)
	if err != nil {
		return nil, err
	}
	s := &side{kind: "sbom", contents: &report.Report{Packages: foundPackages(inv, nil, nil)}, facts: map[string]string{"digest": inv.Subject.Digest}}
	if inv.Subject.Platform != "" {
		s.facts["platform"] = inv.Subject.Platform
	}
	if look != nil {
		s.contents.Scan, err = lookUp(ctx, look, packages, path, &tolerance{})
	}
	return s, err
}

// readSBOM reads what an SBOM lists, and, for a scan, what of it is looked up.
func readSBOM(path string, scan bool) (*sbom.Inventory, *vuln.Packages, error) {
	f, err := openRegular(path)
	if err != nil {
		return nil, nil, fmt.Errorf("reading an SBOM: %w", err)
	}
	defer f.Close()
	var inv *sbom.Inventory
	var packages *vuln.Packages
	if scan {
		packages, inv, err = vuln.ReadInventory(f)
	} else {
		inv, err = sbom.Load(f)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("reading %q: %w", path, err)
	}
	return inv, packages, nil
}

// imageSide reads an image and what the report beside it says is in it; without one, what is
// found.
func imageSide(ctx context.Context, t *terminal, o diffOptions, name string, look *vuln.Database) (*side, error) {
	b, err := fetchImage(ctx, t, name, o.platform)
	if err != nil {
		return nil, err
	}
	defer b.remove()
	l, err := builder.ReadLayout(b.layout)
	if err != nil {
		return nil, err
	}
	s := &side{kind: "image", facts: l.Facts()}
	for _, d := range l.Manifest.Layers {
		s.layers = append(s.layers, report.Layer{Digest: d.Digest.String(), Size: d.Size})
	}
	if b.spot.dir != "" && look == nil {
		if rep, err := reportOf(besideLayout(b.layout), l.Digest); err == nil && rep.Inventory.Source == "image" {
			s.contents = rep
			return s, nil
		}
	}
	inv, err := listImage(ctx, b.layout, b.called)
	if err != nil {
		if ctx.Err() != nil || look != nil {
			return nil, err
		}
		s.note = "packages, licences and findings are not compared: " + err.Error()
		return s, nil
	}
	s.contents = &report.Report{Packages: foundPackages(inv, nil, nil), Layers: s.layers}
	switch {
	case look != nil:
		var p *vuln.Packages
		if p, err = vuln.Of(inv); err == nil {
			s.contents.Scan, err = lookUp(ctx, look, p, name, &tolerance{})
		}
	case b.spot.dir != "":
		s.contents.Scan, err = scanOf(besideLayout(b.layout), l.Digest)
	}
	return s, err
}

// compare says how the second differs from the first.
func (s *side) compare(now *side) *difference {
	was, is := s.facts, now.facts
	if s.kind != now.kind {
		was, is = common(was, is), common(is, was)
	}
	d := &difference{Changes: lock.Compare(was, is), Note: cmp.Or(s.note, now.note)}
	if s.layers != nil && now.layers != nil {
		x := report.SharedLayers(s.layers, now.layers)
		d.Shared = &shared{x.Same, x.Of, x.Bytes, x.New}
	}
	if s.contents != nil && now.contents != nil {
		c := report.Compare(s.contents, now.contents)
		d.Contents = &c
	}
	return d
}

// common is what of a has a name that b has, too.
func common(a, b map[string]string) map[string]string {
	out := map[string]string{}
	for k, v := range a {
		if _, ok := b[k]; ok {
			out[k] = v
		}
	}
	return out
}

// reportFacts are a report's values by name that report.Compare does not look at.
func reportFacts(r *report.Report) map[string]string {
	m := map[string]string{"digest": r.Image.Digest, "platform": r.Image.Platform, "base": r.Image.Base, "python": r.Image.Python, "user": r.Image.User,
		"command": strings.Join(r.Image.Command, " "), "compressed": strconv.FormatInt(r.Image.Compressed, 10), "unpacked": strconv.FormatInt(r.Image.Unpacked, 10)}
	if g := r.GPU; g != nil {
		m["CUDA"], m["minimum driver"], m["recommended driver"], m["SM"] = g.CUDA, g.Driver, g.Recommended, strings.Join(g.SM, " ")
	}
	return m
}
