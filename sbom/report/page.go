package report

import (
	"cmp"
	"crypto/sha256"
	_ "embed" // the page's parts
	"encoding/base64"
	"fmt"
	"html/template"
	"io"
	"slices"
	"strconv"
	"strings"
)

//go:embed page.html
var pageHTML string

//go:embed page.css
var pageCSS string

// page is what the template shows: text that has passed show, in its order.
type page struct {
	Policy    string
	Style     template.CSS
	Name      string
	Forge     string
	Lead      []string
	Digest    string
	Cards     []card
	Contents  []anchor
	Size      sizes
	Previous  []part
	GPU       []part
	Findings  []part
	Packages  []part
	Licences  []part
	Removed   []part
	Tests     []part
	Running   []part
	Origin    []part
	Signature []part
}

type card struct{ What, Value, More, Tone string }

type anchor struct{ ID, Title string }

// part is a piece of a section; it shows what it has.
type part struct {
	Heading  string
	Text     string
	Tone     string // "good", "warn", "bad", "info": the text is a note
	Items    []string
	Facts    []fact
	Commands []string
	Table    *table
	Folded   string // the table is behind these words
}

type fact struct {
	Name, Value string
	Code        bool
}

type table struct {
	Caption string
	Head    []column
	Rows    [][]cell
}

type column struct{ Title, Class string }

type cell struct {
	Text  string
	More  string
	Then  []string // further lines
	Class string
	Tag   string // its tone
	Link  string
	Bar   bool
	Share float64 // of a bar, in percent
}

// WriteHTML writes the page.
func (r *Report) WriteHTML(w io.Writer) error {
	t, err := template.New("page").Funcs(template.FuncMap{
		"n":   func(f float64) string { return strconv.FormatFloat(f, 'f', -1, 32) },
		"add": func(a, b float64) float64 { return a + b },
	}).Parse(pageHTML)
	if err != nil {
		return fmt.Errorf("internal error: %w", err)
	}
	return t.Execute(w, r.page())
}

func (r *Report) page() page {
	css := strings.TrimSpace(pageCSS)
	sum := sha256.Sum256([]byte(css))
	p := page{
		// No script, no request, no frame, no form: a page of facts needs none.
		Policy: "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'; base-uri 'none'; form-action 'none'",
		Style:  template.CSS(css), // our own file
		Name:   show(r.Image.Name),
		Forge:  show(r.Forge),
		Lead:   r.lead(),
		Digest: show(r.Image.Digest),
		Cards:  r.cards(),
		Size:   r.sizes(),
		Contents: []anchor{{"size", "Size"}, {"previous", "Since the previous build"}, {"gpu", "GPUs and driver"}, {"findings", "Known vulnerabilities"},
			{"packages", "Packages"}, {"licences", "Licences"}, {"removed", "Left out"}, {"tests", "Tests"}, {"running", "How it runs"}, {"origin", "How to make it again"}, {"signature", "Signature"}},
		Previous:  r.previousParts(),
		GPU:       r.gpuParts(),
		Findings:  r.findingParts(),
		Packages:  r.packageParts(),
		Licences:  r.licenceParts(),
		Removed:   r.removedParts(),
		Tests:     r.testParts(),
		Running:   r.runningParts(),
		Origin:    r.originParts(),
		Signature: r.signatureParts(),
	}
	return p
}

// lead says in a sentence or two what the image is.
func (r *Report) lead() []string {
	what := "A container image"
	if g := r.GPU; g != nil {
		what = "CUDA " + show(g.CUDA)
		if g.Torch != "" {
			what = "PyTorch " + show(g.Torch) + " with CUDA " + show(g.CUDA)
		}
	} else if i := slices.IndexFunc(r.Packages, func(p Package) bool { return p.Kind == "python" && p.Requested }); i >= 0 {
		var names []string
		for _, p := range r.Packages {
			if p.Kind == "python" && p.Requested {
				names = append(names, strings.TrimSpace(p.Name+" "+p.Version))
			}
		}
		what = several(names, 4)
	}
	on := ""
	if r.Image.Base != "" {
		on = " on " + show(r.Image.Base)
	}
	if r.Image.Python != "" {
		on += " with Python " + show(r.Image.Python)
	}
	out := []string{what + on + ", for " + show(r.Image.Platform) + "."}
	if r.root() {
		out = append(out, "It runs as root.")
	} else if r.finished() {
		out = append(out, "It runs as user "+show(r.Image.User)+".")
	} else {
		out = append(out, "It runs as user "+show(r.Image.User)+", never as root.")
	}
	return out
}

// cards are what a person wants to know first.
func (r *Report) cards() []card {
	out := []card{
		{What: "To download", Value: size(r.Image.Compressed), More: size(r.Image.Unpacked) + " on disk, " + count(len(r.Layers), "layer", "layers")},
		r.scanCard(),
	}
	if g := r.GPU; g != nil {
		out = append(out, card{What: "NVIDIA driver", Value: show(g.Driver) + " or newer", More: "recommended: " + show(g.Recommended)})
	} else if r.finished() {
		out = append(out, card{What: "NVIDIA driver", Value: "not known", More: "the image does not state it"})
	} else {
		out = append(out, card{What: "NVIDIA driver", Value: "not needed", More: "nothing states a CUDA release"})
	}
	named := 0
	for _, p := range r.Packages {
		if p.Parent == "" {
			named++
		}
	}
	packages := card{What: "Packages", Value: thousands(int64(named))}
	if n := len(r.Packages) - named; n > 0 {
		packages.More = "and " + thousands(int64(n)) + " bundled in them"
	}
	out = append(out, packages)
	switch r.Tests.State {
	case Passed:
		out = append(out, card{What: "Tests", Value: thousands(int64(len(r.Tests.Results))) + " passed", Tone: "good", More: "in this very image"})
	case NotRun:
		out = append(out, card{What: "Tests", Value: "not run", Tone: "warn", More: "the recipe has some"})
	case NotKnown:
		out = append(out, card{What: "Tests", Value: "not known", More: "whoever built it knows"})
	default:
		out = append(out, card{What: "Tests", Value: "none", More: "the recipe has none"})
	}
	if r.Signature.State == Signed {
		out = append(out, card{What: "Signature", Value: "signed", Tone: "good"})
	} else {
		out = append(out, card{What: "Signature", Value: show(r.Signature.State), Tone: "warn"})
	}
	if p := r.Previous; p != nil && p.Problem == "" {
		out = append(out, card{What: "New since the previous build", Value: size(p.Layers.New), More: fmt.Sprintf("%d of %d layers are the same", p.Layers.Same, p.Layers.Of)})
	} else {
		out = append(out, r.userCard())
	}
	made := card{What: "Made reproducibly", Value: date(r.Image.Created), More: "same recipe and lock, same digest"}
	if r.finished() {
		made.What, made.More = "Made", "as the image states"
	}
	return append(out, made)
}

func (r *Report) userCard() card {
	if r.root() {
		return card{What: "Runs as", Value: "root", Tone: "bad", More: "the image names no other user"}
	}
	c := card{What: "Runs as", Value: show(r.Image.User)}
	if !r.finished() {
		c.More = "the root file system may be read-only"
	}
	return c
}

// root says that the container runs as root unless told otherwise.
func (r *Report) root() bool {
	user, _, _ := strings.Cut(r.Image.User, " ")
	user, _, _ = strings.Cut(user, ":")
	return user == "" || user == "0" || user == "root"
}

func (r *Report) scanCard() card {
	c := card{What: "Known vulnerabilities"}
	if !scanned(r.Scan) {
		c.Value, c.Tone, c.More = "not scanned", "warn", "nobody has looked"
		return c
	}
	bad := tally(r.Scan.Findings)
	c.Value = "none found"
	c.Tone = "good"
	if n := len(r.Scan.Findings); n > 0 {
		c.Value, c.Tone = thousands(int64(n))+" found", ""
		c.More = bad
	}
	if r.Scan.Failed {
		c.Tone, c.More = "bad", "does not pass: "+cmp.Or(bad, "see the reasons")
	}
	return c
}
