package recipes

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/hashicorp/hcl/v2/hclwrite"
)

// File is a recipe file that has no mistakes.
type File struct {
	Path   string // as the caller named it
	Dir    string // its folder; every path of a recipe is relative to it
	Images []*Image
	SHA256 string // of the file's bytes, lower-case hex
	// Variables are the values that the recipe was read with, as text or JSON. One that looks
	// like a secret, or has a secret's name, is there as Hidden.
	Variables map[string]string

	source *hcl.File
	places map[string]map[string]hcl.Range // image → "pytorch.driver" → where the value stands
}

// Load reads the recipe at path. Its mistakes are one *Diagnostics.
func Load(path string, o Options) (*File, error) {
	src, err := read("Recipe", path)
	if err != nil {
		return nil, err
	}
	return parse(path, src, o)
}

// read reads a file of text, a byte more than a recipe may have at most. what begins the
// sentence that it cannot be read.
func read(what, path string) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0) // a pipe must not hold it up
	if err != nil {
		return nil, missing(what, path, err)
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil, missing(what, path, errors.New("it is not a regular file"))
	}
	src, err := io.ReadAll(io.LimitReader(f, MaxBytes+1))
	if err != nil {
		return nil, missing(what, path, err)
	}
	return src, nil
}

// parseText parses a text that is within the bounds.
func parseText(path string, src []byte) (*hcl.File, hcl.Diagnostics) {
	if diags := checkText(path, src); diags.HasErrors() {
		return &hcl.File{Bytes: src}, diags
	}
	return hclsyntax.ParseConfig(src, path, hcl.InitialPos)
}

// missing is a file that cannot be read: a mistake like any other.
func missing(what, path string, err error) error {
	var pe *os.PathError
	if errors.As(err, &pe) {
		err = pe.Err
	}
	return &Diagnostics{list: hcl.Diagnostics{{Severity: hcl.DiagError, Summary: what + " cannot be read", Detail: fmt.Sprintf("%q: %v.", path, err)}}}
}

// parse is Load for bytes.
func parse(path string, src []byte, o Options) (*File, error) {
	parsed, diags := parseText(path, src)
	file := &File{Path: path, Dir: filepath.Dir(path), source: parsed, places: map[string]map[string]hcl.Range{}}
	if !diags.HasErrors() {
		file.SHA256 = fmt.Sprintf("%x", sha256.Sum256(src))
		diags = file.decode(parsed.Body.(*hclsyntax.Body), o)
	}
	if diags.HasErrors() {
		return nil, diagnose(diags, path, parsed)
	}
	return file, nil
}

// decode reads the top level: variables and locals, then the images.
func (f *File) decode(body *hclsyntax.Body, o Options) hcl.Diagnostics {
	var diags hcl.Diagnostics
	blocks := map[string][]*hclsyntax.Block{}
	for _, b := range body.Blocks {
		switch b.Type {
		case "variable", "locals", "image":
			blocks[b.Type] = append(blocks[b.Type], b)
		default:
			diags = append(diags, mistake(b.TypeRange, "Unknown block", "A recipe has variable, locals and image blocks. %s", nearest(b.Type, []string{"variable", "locals", "image"})))
		}
	}
	for _, a := range sortedAttributes(body) {
		diags = append(diags, mistake(a.NameRange, "Unknown word", "At the top level a recipe has blocks only; values go into locals { … }."))
	}
	e := newEvaluator(f.Dir)
	diags = append(diags, e.variables(blocks["variable"], o)...)
	f.Variables = e.values()
	diags = append(diags, e.locals(blocks["locals"])...)
	if len(blocks["image"]) == 0 {
		diags = append(diags, mistake(hcl.Range{Filename: f.Path, Start: hcl.InitialPos, End: hcl.InitialPos}, "No image", `A recipe has at least one image "name" { … } block.`))
	}
	names := map[string]bool{}
	for _, b := range blocks["image"] {
		d := &decoder{eval: e, dir: f.Dir, places: map[string]hcl.Range{}}
		im := d.image(b)
		diags = append(diags, d.diags...)
		if names[im.Name] {
			diags = append(diags, mistake(b.DefRange(), "Duplicate image", "Image %q stands twice.", im.Name))
		}
		names[im.Name] = true
		f.Images = append(f.Images, im)
		f.places[im.Name] = d.places
	}
	return append(diags, f.together()...)
}

// Problem is a mistake that was found after loading, by a part of forge that knows more. at
// names the value: "pytorch.driver".
func (f *File) Problem(im *Image, at, summary, detail string) error {
	r, ok := f.places[im.Name][at]
	if !ok {
		r = f.places[im.Name][""]
	}
	return diagnose(hcl.Diagnostics{mistake(r, summary, "%s", detail)}, f.Path, f.source)
}

// Format returns the recipe in the one form that HCL has; name is for messages.
func Format(name string, src []byte) ([]byte, error) {
	parsed, diags := parseText(name, src)
	if diags.HasErrors() {
		return nil, diagnose(diags, name, parsed)
	}
	return hclwrite.Format(src), nil
}
