package recipes

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"

	"github.com/forge-build/forge/recipes/finding"
)

// maxVEX is how many VEX documents a recipe may name.
const maxVEX = 256

// vulnerabilities reads what a recipe tolerates. None of it is ever part of a lock.
func (d *decoder) vulnerabilities(w *words, im *Image) {
	b := w.one("vulnerabilities", 0)
	if b == nil {
		return
	}
	p := d.words(b, "vulnerabilities.")
	v := &Vulnerabilities{}
	v.Limits.FailOn = d.limit(p, "fail_on")
	v.Limits.OnlyFixed, _ = p.flag("only_fixed")
	v.Limits.Unknown = d.limit(p, "unknown")
	v.Limits = v.Limits.WithDefaults()
	if age, at := p.text("max_db_age", ""); age != "" {
		var err error
		if v.MaxDBAge, err = time.ParseDuration(age); err != nil || v.MaxDBAge <= 0 {
			d.mistake(at, "Invalid age", `%+q: write hours, as "120h".`, cut(age))
		}
	}
	v.VEX = d.vex(p)
	v.VEXAuthors, _ = p.list("vex_authors")
	v.Waivers = d.waivers(p, "vulnerabilities.waive.", true)
	p.done()
	im.Vulnerabilities = v
}

// limit reads a severity from which something counts.
func (d *decoder) limit(w *words, name string) finding.Severity {
	text, at := w.text(name, "")
	if text == "" {
		return finding.Unknown // the default
	}
	s, err := finding.ParseLimit(text)
	if err != nil {
		d.mistake(at, "Unknown severity", "%s = %+q: %s", name, cut(text), nearest(text, finding.Severities()))
	}
	return s
}

// vex finds the documents that the patterns name, in the recipe's folder. A pattern that names
// none is a mistake: the statements that somebody relies on would be missing in silence.
func (d *decoder) vex(w *words) []string {
	patterns, at := w.list("vex")
	if len(patterns) == 0 {
		return nil
	}
	root, err := os.OpenRoot(d.dir)
	if err != nil {
		d.mistake(at[0], "Folder cannot be read", "%v.", err)
		return nil
	}
	defer root.Close()
	var out []string
	for i, pattern := range patterns {
		if !fs.ValidPath(pattern) || strings.Contains(pattern, `\`) {
			d.mistake(at[i], "Invalid pattern", "%+q: files below the recipe's folder are due, as vex/*.openvex.json.", cut(pattern))
			continue
		}
		names, err := fs.Glob(root.FS(), pattern)
		if err != nil || len(names) == 0 {
			d.mistake(at[i], "VEX is missing", "%+q names no file in the recipe's folder.", cut(pattern))
			continue
		}
		out = append(out, names...)
	}
	sort.Strings(out)
	out = slices.Compact(out)
	if len(out) > maxVEX {
		d.mistake(at[0], "Too many VEX documents", "%d files; at most %d are read.", len(out), maxVEX)
		return nil
	}
	return out
}

// waivers reads exceptions; packages says whether each names a package.
func (d *decoder) waivers(w *words, prefix string, packages bool) []finding.Waiver {
	var out []finding.Waiver
	for _, b := range w.blocks("waive", 1) {
		p := d.words(b, prefix)
		places := map[string]hcl.Range{"id": b.LabelRanges[0]}
		x := finding.Waiver{ID: b.Labels[0], Place: fmt.Sprintf("%s:%d", filepath.Base(b.TypeRange.Filename), b.TypeRange.Start.Line)}
		if packages {
			x.Package, places["package"] = p.text("package", "")
		}
		x.Reason, places["reason"] = p.text("reason", "")
		x.Owner, places["owner"] = p.text("owner", "")
		x.Until, places["until"] = p.text("until", "")
		for _, problem := range x.Check(packages) {
			d.mistake(places[problem.Part], "Invalid waiver", "%s", problem.Text)
		}
		if slices.ContainsFunc(out, x.Same) {
			d.mistake(b.LabelRanges[0], "Waiver twice", "%+q is waived for %+q already.", cut(x.ID), cut(x.Package))
		}
		p.done()
		out = append(out, x)
	}
	return out
}
