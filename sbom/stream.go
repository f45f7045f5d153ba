package sbom

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"slices"

	"github.com/anchore/syft/syft/artifact"
	"github.com/anchore/syft/syft/file"
	"github.com/anchore/syft/syft/pkg"
	syftsbom "github.com/anchore/syft/syft/sbom"
)

// Documents are written without having all files in a document's form at a time: that takes two
// kilobytes for each, and an image may have hundreds of thousands. A document is made with one
// file as a mark in each place for files, and where the marks are, files are written in batches.

// batch is how many files are in Syft's form at a time.
const batch = 1024

// listedFile is a file as documents list it.
type listedFile struct {
	at   file.Coordinates
	node *node // nil: Syft mentions it, and it is no regular file
}

// listedFiles are an image's files in the order of layers and paths, Syft's own.
func (inv *Inventory) listedFiles() []listedFile {
	t := inv.tree
	out := make([]listedFile, 0, inv.Files)
	for _, p := range t.paths {
		if n := t.nodes[p]; n.regular() {
			out = append(out, listedFile{file.NewCoordinates(p, t.im.Layers[n.layer].DiffID), n})
		}
	}
	seen := map[file.Coordinates]bool{}
	mention := func(c file.Coordinates) {
		n := t.nodes[c.RealPath]
		if listed := n.regular() && t.im.Layers[n.layer].DiffID == c.FileSystemID; !listed && !seen[c] {
			seen[c] = true
			out = append(out, listedFile{at: c})
		}
	}
	for c := range inv.bom.Artifacts.Unknowns {
		mention(c)
	}
	for _, r := range inv.bom.Relationships {
		switch to := r.To.(type) {
		case file.Coordinates:
			mention(to)
		case file.Location:
			mention(to.Coordinates)
		}
	}
	layers := make([]string, len(t.im.Layers))
	for i, l := range t.im.Layers {
		layers[i] = l.DiffID
	}
	order := file.CoordinatesSorter(layers)
	slices.SortFunc(out, func(a, b listedFile) int { return order(a.at, b.at) })
	return out
}

// inBatches calls f with SBOMs of nothing but these files.
func (inv *Inventory) inBatches(files []listedFile, f func(syftsbom.SBOM) error) error {
	r := &resolver{t: inv.tree, time: inv.tree.im.Created}
	for part := range slices.Chunk(files, batch) {
		s := syftsbom.SBOM{Source: inv.bom.Source, Artifacts: syftsbom.Artifacts{Packages: pkg.NewCollection(),
			FileMetadata: map[file.Coordinates]file.Metadata{}, FileDigests: map[file.Coordinates][]file.Digest{}, Unknowns: map[file.Coordinates][]string{}}}
		for _, x := range part {
			s.Artifacts.FileDigests[x.at] = nil
			if why, ok := inv.bom.Artifacts.Unknowns[x.at]; ok {
				s.Artifacts.Unknowns[x.at] = why
			}
			if x.node == nil {
				continue
			}
			s.Artifacts.FileMetadata[x.at] = r.metadata(x.node)
			if sum := x.node.from.SHA256; sum != "" {
				s.Artifacts.FileDigests[x.at] = []file.Digest{{Algorithm: "sha256", Value: sum}}
			}
		}
		if err := f(s); err != nil {
			return err
		}
	}
	return nil
}

// betweenPackages is the SBOM without what concerns files.
func (inv *Inventory) betweenPackages() syftsbom.SBOM {
	s := *inv.bom
	s.Relationships = slices.DeleteFunc(slices.Clone(s.Relationships), func(r artifact.Relationship) bool {
		_, from := r.From.(pkg.Package)
		_, to := r.To.(pkg.Package)
		return !from || !to
	})
	return s
}

// hole is a place in a document: what stands for files there, and what writes these.
type hole struct {
	mark any
	fill func(*elements) error
}

// newMark is a name that nobody can have put into an image.
func newMark() string { return "mark-" + rand.Text() }

// splice writes a document, as one line, with its holes filled; they are in its order.
func splice(w io.Writer, document any, holes ...hole) error {
	rest, err := encoded(document)
	if err != nil {
		return err
	}
	for _, h := range holes {
		mark, err := encoded(h.mark)
		if err != nil {
			return err
		}
		before, after, found := bytes.Cut(rest, mark)
		if !found {
			return fmt.Errorf("internal error: the document has no place for files")
		}
		if _, err := w.Write(before); err != nil {
			return err
		}
		if err := h.fill(&elements{w: w}); err != nil {
			return err
		}
		rest = after
	}
	_, err = w.Write(append(rest, '\n'))
	return err
}

// elements writes elements of an array in JSON.
type elements struct {
	w    io.Writer
	some bool
}

func (e *elements) add(v any) error {
	b, err := encoded(v)
	if err != nil {
		return err
	}
	if e.some {
		if _, err := e.w.Write([]byte{','}); err != nil {
			return err
		}
	}
	e.some = true
	_, err = e.w.Write(b)
	return err
}

// encoded is a value as documents have it: on one line, and "<" as it is.
func encoded(v any) ([]byte, error) {
	if raw, ok := v.(json.RawMessage); ok {
		return raw, nil
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	err := enc.Encode(v)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}
