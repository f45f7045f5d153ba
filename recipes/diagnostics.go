package recipes

import (
	"fmt"
	"io"
	"strings"

	"github.com/hashicorp/hcl/v2"
)

// Diagnostics are the mistakes of a recipe, each with its place.
type Diagnostics struct {
	list  hcl.Diagnostics
	files map[string]*hcl.File
}

// Error says the first mistake and how many there are.
func (d *Diagnostics) Error() string {
	if len(d.list) == 0 {
		return "internal error: no diagnostics"
	}
	s := fmt.Sprintf("%s: %s", place(d.list[0].Subject), d.list[0].Summary)
	if n := len(d.list) - 1; n > 0 {
		s += fmt.Sprintf(" (and %d more)", n)
	}
	return s
}

func place(r *hcl.Range) string {
	if r == nil {
		return "recipe"
	}
	return fmt.Sprintf("%s:%d:%d", r.Filename, r.Start.Line, r.Start.Column)
}

// Diagnostic is one mistake for programs. Lines and columns begin with 1.
type Diagnostic struct {
	File      string `json:"file"`
	Line      int    `json:"line"`
	Column    int    `json:"column"`
	EndLine   int    `json:"endLine"`
	EndColumn int    `json:"endColumn"`
	Summary   string `json:"summary"`
	Detail    string `json:"detail"`
}

// JSON returns the mistakes for programs.
func (d *Diagnostics) JSON() []Diagnostic {
	out := make([]Diagnostic, 0, len(d.list))
	for _, x := range d.list {
		j := Diagnostic{Summary: x.Summary, Detail: x.Detail}
		if r := x.Subject; r != nil {
			j.File, j.Line, j.Column, j.EndLine, j.EndColumn = r.Filename, r.Start.Line, r.Start.Column, r.End.Line, r.End.Column
		}
		out = append(out, j)
	}
	return out
}

// Text writes the mistakes for people: the source line, a caret at the exact value, what is
// wrong and what would be right. width is the terminal's.
func (d *Diagnostics) Text(w io.Writer, width int, color bool) error {
	return hcl.NewDiagnosticTextWriter(printable{w, color}, d.files, uint(max(width, 20)), color).WriteDiagnostics(d.list)
}

// printable hides the control characters of a recipe from a terminal.
type printable struct {
	w     io.Writer
	color bool // then the writer's own escapes pass
}

func (p printable) Write(b []byte) (int, error) {
	s := strings.Map(func(r rune) rune {
		switch {
		case r == '\n', r == '\t', r == 0x1b && p.color:
			return r
		case r < 0x20, r == 0x7f, r >= 0x80 && r < 0xa0, r >= 0x202a && r <= 0x202e, r >= 0x2066 && r <= 0x2069:
			return '\ufffd'
		}
		return r
	}, string(b))
	if _, err := io.WriteString(p.w, s); err != nil {
		return 0, err
	}
	return len(b), nil
}

// mistake makes one diagnostic.
func mistake(at hcl.Range, summary, format string, args ...any) *hcl.Diagnostic {
	return &hcl.Diagnostic{Severity: hcl.DiagError, Summary: summary, Detail: fmt.Sprintf(format, args...), Subject: &at}
}

// nearest ends a sentence with the known word that may have been meant.
func nearest(word string, known []string) string {
	best, least := "", len(word)/3+2
	for _, k := range known {
		if d := distance(strings.ToLower(word), strings.ToLower(k)); d < least {
			best, least = k, d
		}
	}
	if best == "" {
		return "It must be one of " + strings.Join(known, ", ") + "."
	}
	return fmt.Sprintf("Did you mean %q? It must be one of %s.", best, strings.Join(known, ", "))
}

// distance is the number of letters to insert, delete or replace.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		last := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := last
			if a[i] != b[j] {
				cost = 1 + min(last, row[j], row[j+1])
			}
			last, row[j+1] = row[j+1], cost
		}
	}
	return row[len(b)]
}
