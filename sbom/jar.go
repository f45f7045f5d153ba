package sbom

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"

	"github.com/klauspost/compress/zip"
)

// Bounds of a Java archive together with all archives in it. Its cataloger copies them to disk, and
// keeps the lists of their entries and their texts in memory. The sizes that an archive states hold:
// the cataloger reads it with this very library, which gives no more than is stated.
const (
	maxJar     = 1 << 29 // bytes of the archive, and of those in it; Ray's has 35 MB, H2O's 300 MB
	maxMembers = 200_000 // entries
	maxInside  = 8       // archives in one another
)

// isJar says whether Syft reads a file as a Java archive.
func isJar(p string) bool {
	switch path.Ext(p) {
	case ".jar", ".war", ".ear", ".par", ".sar", ".nar", ".jpi", ".hpi", ".kar", ".far", ".lpkg", ".rar", ".zap":
		return true
	}
	return false
}

// openJar opens a Java archive that keeps within the bounds. A file that is none is empty for the
// cataloger.
func (r *resolver) openJar(n *node, from func() (io.Reader, error)) (io.ReadCloser, error) {
	if n.from.Size > maxJar {
		return nil, r.wrong(n, "a Java archive of more than %d bytes", maxJar)
	}
	c, err := r.disk.open(n.from, from)
	if err != nil {
		return nil, fmt.Errorf("reading %+q of layer %s: %w", cut(n.path), r.t.im.Layers[n.layer].DiffID, err)
	}
	j := jarLook{r: r, n: n}
	switch err := j.look(c.(union), n.from.Size, 0); {
	case errors.Is(err, errNoJar):
		return union{bytes.NewReader(nil)}, nil
	case err != nil:
		return nil, err
	}
	return c, nil
}

var errNoJar = errors.New("not a Java archive")

// jarLook counts what an archive and those in it have.
type jarLook struct {
	r       *resolver
	n       *node
	entries int
	texts   uint64
	nested  uint64
}

func (j *jarLook) look(c union, size int64, depth int) error {
	if depth > maxInside {
		return j.r.wrong(j.n, "more than %d archives are in one another", maxInside)
	}
	marks := members{in: io.NewSectionReader(c, 0, size)}
	if _, err := io.Copy(io.Discard, &marks); err != nil {
		return err
	}
	if marks.count > maxMembers {
		return j.r.wrong(j.n, "it has more than %d entries", maxMembers)
	}
	z, err := zip.NewReader(c, size)
	if err != nil {
		return errNoJar
	}
	if j.entries += len(z.File); j.entries > maxMembers {
		return j.r.wrong(j.n, "the archives in it have more than %d entries", maxMembers)
	}
	for _, f := range z.File {
		switch name := path.Base(f.Name); {
		case f.UncompressedSize64 > maxJar && (isJar(name) || isJarText(name)):
			return j.r.wrong(j.n, "%+q in it has more than %d bytes", cut(f.Name), maxJar)
		case isJarText(name):
			if j.texts += f.UncompressedSize64; j.texts > maxText {
				return j.r.wrong(j.n, "texts in it have more than %d bytes", maxText)
			}
		case isJar(name):
			if j.nested += f.UncompressedSize64; j.nested > maxJar {
				return j.r.wrong(j.n, "the archives in it have more than %d bytes", maxJar)
			}
			if err := j.inside(f, depth); err != nil && !errors.Is(err, errNoJar) {
				return err
			}
		}
	}
	return nil
}

// inside looks into an archive in an archive.
func (j *jarLook) inside(f *zip.File, depth int) error {
	size := int64(f.UncompressedSize64)
	c, err := j.r.disk.open(&File{Size: size}, func() (io.Reader, error) { return f.Open() })
	if err != nil {
		return errNoJar // no cataloger gets it either
	}
	return j.look(c.(union), size, depth+1)
}

// isJarText says whether a cataloger reads a file in an archive as a text.
func isJarText(name string) bool {
	lower := strings.ToLower(name)
	return lower == "manifest.mf" || lower == "version.properties" || strings.HasSuffix(lower, "pom.properties") || strings.HasSuffix(lower, "pom.xml") ||
		strings.Contains(lower, "licen") || strings.Contains(lower, "copying") || strings.Contains(lower, "notice") || strings.Contains(lower, "copyright")
}

// members counts entries by the marks of a ZIP's central directory (APPNOTE.TXT 4.3.12), before
// anything makes a list of them.
type members struct {
	in    io.Reader
	last  [3]byte // what has passed before
	count int
}

func (m *members) Read(b []byte) (int, error) {
	n, err := m.in.Read(b)
	mark := []byte("PK\x01\x02")
	edge := append(m.last[:], b[:min(n, 3)]...) // a mark may lie over two pieces
	m.count += bytes.Count(edge, mark) + bytes.Count(b[:n], mark)
	tail := append(m.last[:], b[max(0, n-3):n]...)
	copy(m.last[:], tail[len(tail)-3:])
	return n, err
}
