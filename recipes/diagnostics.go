package recipes

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/hashicorp/hcl/v2"
)

// Diagnostics are the mistakes of a recipe, each with its place.
type Diagnostics struct {
	list  hcl.Diagnostics
	files map[string]*hcl.File
}

// diagnose are the mistakes of one file, in the order of their places.
func diagnose(list hcl.Diagnostics, path string, file *hcl.File) *Diagnostics {
	at := func(x *hcl.Diagnostic) int {
		if x.Subject == nil || x.Subject.Filename != path {
			return -1
		}
		return x.Subject.Start.Byte
	}
	slices.SortStableFunc(list, func(a, b *hcl.Diagnostic) int { return cmp.Compare(at(a), at(b)) })
	return &Diagnostics{list: list, files: map[string]*hcl.File{path: file}}
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
	if r == nil || *r == (hcl.Range{}) {
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
	for i, x := range d.list {
		if i == maxMistakes {
			break
		}
		j := Diagnostic{Summary: visible(x.Summary, maxLine), Detail: visible(x.Detail, maxDetail)}
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
	for i, x := range d.list {
		if i == maxMistakes {
			_, err := fmt.Fprintf(w, "%d more mistakes are not shown.\n", len(d.list)-i)
			return err
		}
		shown, files, caret := d.excerpt(x)
		var text bytes.Buffer
		if err := hcl.NewDiagnosticTextWriter(&text, files, uint(max(width, 20)), color).WriteDiagnostic(shown); err != nil {
			return err
		}
		if color { // the writer underlines the value
			caret = ""
		}
		if _, err := io.WriteString(w, pointed(text.String(), shown.Subject, caret)); err != nil {
			return err
		}
	}
	return nil
}

// What is shown of a recipe with many mistakes, or with long lines.
const (
	maxMistakes = 100
	maxLine     = 400
	maxContext  = 100
	maxDetail   = 2000
)

// pointed puts a caret line under the source line.
func pointed(text string, at *hcl.Range, caret string) string {
	if caret == "" {
		return text
	}
	number := fmt.Sprintf("%4d: ", at.Start.Line)
	before, line, ok := strings.Cut(text, "\n"+number)
	if !ok {
		return text
	}
	line, after, _ := strings.Cut(line, "\n")
	return before + "\n" + number + line + "\n" + strings.Repeat(" ", len(number)) + caret + "\n" + after
}

// excerpt is a mistake with the part of the source that it is about, both without control
// characters: the writer's own escapes are the only ones that reach a terminal. The last
// result is a line that points at the value.
func (d *Diagnostics) excerpt(x *hcl.Diagnostic) (*hcl.Diagnostic, map[string]*hcl.File, string) {
	shown := &hcl.Diagnostic{Severity: x.Severity, Summary: visible(x.Summary, maxLine), Detail: visible(x.Detail, maxDetail)}
	if x.Subject == nil || *x.Subject == (hcl.Range{}) { // of the command line
		return shown, nil, ""
	}
	r := *x.Subject
	file := d.files[r.Filename]
	r.Filename = visible(r.Filename, maxLine)
	shown.Subject = &r
	if file == nil || r.Start.Byte > len(file.Bytes) || r.Start.Line < 1 {
		return shown, nil, ""
	}
	src := file.Bytes
	from := bytes.LastIndexByte(src[:r.Start.Byte], '\n') + 1
	to := len(src)
	if i := bytes.IndexByte(src[r.Start.Byte:], '\n'); i >= 0 {
		to = r.Start.Byte + i
	}
	if to > r.Start.Byte && src[to-1] == '\r' { // of a Windows line end
		to--
	}
	end := min(max(r.End.Byte, r.Start.Byte), to)
	if to-from > maxLine {
		from = max(from, r.Start.Byte-maxLine/4)
		to = min(to, from+maxLine)
		end = min(end, to)
	}
	before, inside, after := hidden(src[from:r.Start.Byte]), hidden(src[r.Start.Byte:end]), hidden(src[end:to])
	text := bytes.Join([][]byte{bytes.Repeat([]byte{'\n'}, r.Start.Line-1), before, inside, after}, nil)
	r.Start.Byte = r.Start.Line - 1 + len(before)
	r.End = hcl.Pos{Line: r.Start.Line, Column: r.Start.Column + len(inside), Byte: r.Start.Byte + len(inside)}
	caret := strings.Map(func(c rune) rune {
		if c == '\t' {
			return c
		}
		return ' '
	}, string(before)) + strings.Repeat("^", max(1, utf8.RuneCount(inside)))
	return shown, map[string]*hcl.File{r.Filename: {Bytes: text, Nav: around(file, x.Subject.Start.Byte)}}, caret
}

// block is what the writer says of the blocks around a mistake: image "train".
type block string

func (b block) ContextString(int) string { return string(b) }

// around names the blocks around a byte of the whole file, of which the writer sees a part.
func around(file *hcl.File, at int) block {
	nav, ok := file.Nav.(interface{ ContextString(int) string })
	if !ok {
		return ""
	}
	return block(visible(nav.ContextString(at), maxContext))
}

// visible cuts text and hides control characters.
func visible(s string, limit int) string {
	if len(s) > limit {
		s = s[:limit] + "…"
	}
	return string(hidden([]byte(s)))
}

// hidden shows a text as [Shown] shows its characters.
func hidden(b []byte) []byte { return bytes.Map(Shown, b) }

// Shown is what a terminal gets for a character: U+FFFD for a control character other than line
// feed and tab, and for one that turns text around; else itself.
func Shown(r rune) rune {
	if r != '\n' && r != '\t' && (unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r)) {
		return unicode.ReplacementChar
	}
	return r
}

// mistake makes one diagnostic.
func mistake(at hcl.Range, summary, format string, args ...any) *hcl.Diagnostic {
	return &hcl.Diagnostic{Severity: hcl.DiagError, Summary: summary, Detail: fmt.Sprintf(format, args...), Subject: &at}
}

// Nearest is the known word that may have been meant by another; empty: none is like it.
func Nearest(word string, known []string) string {
	best, least := "", len(word)/3+2
	for _, k := range known {
		if d := distance(strings.ToLower(word), strings.ToLower(k)); d < least {
			best, least = k, d
		}
	}
	return best
}

// nearest ends a sentence with the known word that may have been meant.
func nearest(word string, known []string) string {
	best := Nearest(word, known)
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
