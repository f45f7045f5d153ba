package recipes

import (
	"path/filepath"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/forge-build/forge/recipes/trust"
)

// ParseDenied reads a deny list: HCL like a recipe, and bounded as one. name is for messages.
// Its mistakes are one *Diagnostics.
func ParseDenied(name string, src []byte) (*trust.Denied, error) {
	parsed, diags := parseText(name, src)
	l := &trust.Denied{}
	if !diags.HasErrors() {
		d := &policyDecoder{decoder: &decoder{eval: newEvaluator(filepath.Dir(name)), dir: filepath.Dir(name), places: map[string]hcl.Range{}}}
		d.denials(name, parsed.Body.(*hclsyntax.Body), l)
		diags = d.diags
	}
	if diags.HasErrors() {
		return nil, diagnose(diags, name, parsed)
	}
	return l, nil
}

// denials reads the whole of a deny list.
func (d *policyDecoder) denials(name string, body *hclsyntax.Body, l *trust.Denied) {
	start := hcl.Range{Filename: name, Start: hcl.InitialPos, End: hcl.InitialPos}
	w := d.words(&hclsyntax.Block{Type: "a deny list", Body: body, TypeRange: start, OpenBraceRange: start}, "")
	var at hcl.Range
	l.Issued, _ = d.moment(w, "issued", false)
	l.Until, at = d.moment(w, "until", true)
	switch {
	case l.Issued.IsZero() || l.Until.IsZero():
		d.mistake(at, "Deny list without a date", `Write issued = "2026-11-20" and until = "2026-12-20": an old list must not pass for the present one.`)
	case !l.Issued.Before(l.Until):
		d.mistake(at, "Deny list is never valid", "It ends before it begins.")
	}
	for _, kind := range []string{"image", "key", "identity"} {
		for _, b := range w.blocks(kind, 1) {
			l.Entries = append(l.Entries, d.denial(kind, b))
		}
	}
	w.done()
}

func (d *policyDecoder) denial(kind string, b *hclsyntax.Block) trust.Denial {
	p := d.words(b, kind+".")
	var e trust.Denial
	label := b.Labels[0]
	var at hcl.Range
	if e.Reason, at = p.text("reason", ""); strings.TrimSpace(e.Reason) == "" {
		d.mistake(at, "Denial without a reason", `Whoever is refused will ask: write reason = "…".`)
	}
	if kind != "image" {
		e.Since, _ = d.moment(p, "since", false)
	}
	if kind == "identity" {
		if pattern, _ := p.flag("pattern"); pattern {
			e.Identity = trust.Match{Text: label, Pattern: true}
			if _, err := e.Identity.Regexp(); err != nil {
				d.mistake(b.LabelRanges[0], "Invalid pattern", "%+q: %s.", cut(label), cut(err.Error()))
			}
		} else {
			e.Identity = trust.Match{Text: label}
		}
		if label == "" {
			d.mistake(b.LabelRanges[0], "Empty value", "An identity is due.")
		}
	} else if !fullDigest.MatchString(label) {
		d.mistake(b.LabelRanges[0], "Invalid digest", "%+q: sha256: and 64 small hexadecimal digits.", cut(label))
	}
	switch kind {
	case "image":
		e.Image = label
	case "key":
		e.Key = label
	}
	p.done()
	return e
}
