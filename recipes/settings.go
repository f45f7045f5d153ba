package recipes

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// Settings are what a user's own file says about this host: where bytes come from. What an
// image is, a recipe alone says.
type Settings struct {
	Indexes  map[string]string   // index name → URL; "pytorch" is the folder of all its variants
	Archives map[string][]string // archive name ("debian", "debian-security") → URLs of mirrors
	CAFile   string              // certificate authorities besides the system's

	VulnerabilityDB string // address of a mirror, or path of an archive or folder
}

// LoadSettings reads a user's settings, HCL like a recipe and bounded as one. A file that is
// not there says nothing. Mistakes are one *Diagnostics.
func LoadSettings(path string) (*Settings, error) {
	s := &Settings{Indexes: map[string]string{}, Archives: map[string][]string{}}
	if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	src, err := read("Settings", path)
	if err != nil {
		return nil, err
	}
	parsed, diags := parseText(path, src)
	if !diags.HasErrors() {
		diags = s.decode(path, parsed.Body.(*hclsyntax.Body))
	}
	if diags.HasErrors() {
		return nil, diagnose(diags, path, parsed)
	}
	return s, nil
}

func (s *Settings) decode(path string, body *hclsyntax.Body) hcl.Diagnostics {
	d := &decoder{eval: newEvaluator(filepath.Dir(path)), places: map[string]hcl.Range{}}
	start := hcl.Range{Filename: path, Start: hcl.InitialPos, End: hcl.InitialPos}
	w := d.words(&hclsyntax.Block{Type: "the settings", Body: body, TypeRange: start, OpenBraceRange: start}, "")
	s.CAFile, _ = w.text("ca_file", "")
	var at hcl.Range
	if s.VulnerabilityDB, at = w.text("vulnerability_database", ""); strings.Contains(s.VulnerabilityDB, "://") {
		if err := address(s.VulnerabilityDB); err != nil {
			d.mistake(at, "Invalid address", "%+q: %v.", cut(s.VulnerabilityDB), err)
		}
	}
	for _, b := range w.blocks("index", 1) {
		p := d.words(b, "index.")
		url, at := p.text("url", "")
		if err := address(url); err != nil {
			d.mistake(at, "Invalid address", "%+q: %v.", cut(url), err)
		}
		if s.Indexes[b.Labels[0]] != "" {
			d.mistake(b.LabelRanges[0], "Duplicate index", "%q stands twice.", cut(b.Labels[0]))
		}
		s.Indexes[b.Labels[0]] = url
		p.done()
	}
	for _, b := range w.blocks("archive", 1) {
		p := d.words(b, "archive.")
		urls, at := p.list("urls")
		for i, u := range urls {
			if !mirror.MatchString(u) { // packages are signed: http will do
				d.mistake(at[i], "Invalid address", "%+q: an http or https address without a password is due.", cut(u))
			}
		}
		if len(urls) == 0 {
			d.mistake(b.DefRange(), "Archive without addresses", `Write urls = ["https://mirror.example/debian"].`)
		}
		s.Archives[b.Labels[0]] = append(s.Archives[b.Labels[0]], urls...)
		p.done()
	}
	w.done()
	return d.diags
}
