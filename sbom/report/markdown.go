package report

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"strings"

	"github.com/forge-build/forge/recipes/finding"
)

// Rows of a list in a summary: people read it in passing.
const summaryRows = 20

// WriteMarkdown writes a summary for a CI system's page, in GitHub's Markdown. Text of
// strangers stands in code spans, where nothing of it is markup, a link or a mention.
func (r *Report) WriteMarkdown(w io.Writer) error {
	b := bufio.NewWriter(w)
	p := func(format string, args ...any) { fmt.Fprintf(b, format, args...) }
	p("### Image %s\n\n", span(r.Image.Name))
	p("%s\n\n", span(r.Image.Digest))
	p("| | |\n|---|---|\n")
	p("| Platform | %s |\n", span(r.Image.Platform))
	p("| Size | %s to download, %s on disk, %s |\n", size(r.Image.Compressed), size(r.Image.Unpacked), count(len(r.Layers), "layer", "layers"))
	if prev := r.Previous; prev != nil && prev.Problem == "" {
		p("| Since the previous build | %s new, %d of %d layers are the same |\n", size(prev.Layers.New), prev.Layers.Same, prev.Layers.Of)
	}
	if g := r.GPU; g != nil {
		p("| GPU | CUDA %s, driver %s or newer (recommended: %s), SM %s |\n", span(g.CUDA), span(g.Driver), span(g.Recommended), span(strings.Join(g.SM, " ")))
	}
	p("| Packages | %s |\n", thousands(int64(len(r.Packages))))
	p("| Vulnerabilities | %s |\n", verdict(r.Scan))
	switch r.Tests.State {
	case Passed:
		p("| Tests | %d passed |\n", len(r.Tests.Results))
	case NotRun:
		p("| Tests | :warning: not run |\n")
	}
	if n := len(r.Slim); n > 0 {
		var bytes int64
		for _, x := range r.Slim {
			bytes += x.Bytes
		}
		p("| Left out by slim | %s by %s |\n", size(bytes), count(n, "rule", "rules"))
	}
	if r.Signature.State == Signed {
		p("| Signature | signed |\n")
	} else {
		p("| Signature | %s |\n", span(r.Signature.State))
	}
	if scanned(r.Scan) {
		writeReasons(p, r.Scan)
		writeFindings(p, r.Scan.Findings)
	}
	if prev := r.Previous; prev != nil {
		writeChanges(p, prev.Changes)
	}
	return b.Flush()
}

// WriteScanMarkdown writes a summary of a verdict alone.
func WriteScanMarkdown(w io.Writer, d *finding.Document) error {
	b := bufio.NewWriter(w)
	p := func(format string, args ...any) { fmt.Fprintf(b, format, args...) }
	p("### Vulnerabilities of %s\n\n%s\n", cmp.Or(span(d.Image), "an image"), verdict(d))
	if d.Digest != "" {
		p("\n%s\n", span(d.Digest))
	}
	if scanned(d) {
		p("\n%s looked up, data of %s\n", count(d.Packages, "package", "packages"), d.Database.Built.UTC().Format("2006-01-02"))
		writeReasons(p, d)
		writeFindings(p, d.Findings)
	}
	return b.Flush()
}

// writeReasons says why an image does not pass.
func writeReasons(p printer, d *finding.Document) {
	for i, reason := range d.Reasons {
		if i < summaryRows {
			p("\n- %s\n", span(reason))
		}
	}
}

func verdict(d *finding.Document) string {
	switch {
	case d != nil && d.NotScanned != "":
		return ":warning: not scanned: " + span(d.NotScanned)
	case !scanned(d):
		return ":warning: not scanned"
	case d.Failed:
		return ":x: does not pass: " + cmp.Or(tally(d.Findings), "see the report")
	case len(d.Findings) == 0:
		return ":white_check_mark: none found"
	}
	return ":white_check_mark: passes; " + tally(d.Findings)
}

type printer func(format string, args ...any)

func writeFindings(p printer, findings []finding.Judged) {
	if len(findings) == 0 {
		return
	}
	p("\n| Finding | Severity | Package | Update to | |\n|---|---|---|---|---|\n")
	for i, f := range urgent(findings) {
		if i == summaryRows {
			p("\n%s more findings stand in the report.\n", thousands(int64(len(findings)-i)))
			return
		}
		fate := ""
		switch {
		case f.Fails:
			fate = ":x:"
		case excuse(f) == "waived":
			fate = "waived until " + span(f.Waiver.Until)
		case excuse(f) != "":
			fate = excuse(f)
		}
		p("| %s | %s | %s | %s | %s |\n", span(f.ID), f.Severity, span(f.Package+" "+f.Version), span(cmp.Or(strings.Join(f.FixedIn, ", "), "no fix")), fate)
	}
}

func writeChanges(p printer, c Changes) {
	rows := changeRows(c)
	if len(rows) == 0 {
		return
	}
	p("\n| Since the previous build | | Before | Now |\n|---|---|---|---|\n")
	for i, x := range rows {
		if i == summaryRows {
			p("\n%s more changes stand in the report.\n", thousands(int64(len(rows)-i)))
			return
		}
		p("| %s | %s | %s | %s |\n", span(x.name), x.what, span(x.was), span(x.is))
	}
}

// span is text in a code span of a table's cell. Inside, only the back-tick and, because of
// the table, the bar have a meaning.
func span(s string) string {
	s = show(s)
	if strings.TrimSpace(s) == "" {
		return ""
	}
	return "`" + strings.NewReplacer("`", `\x60`, "|", `\x7c`).Replace(s) + "`"
}
