package sbom

import (
	"bufio"
	"fmt"
	"io"
	"time"

	"github.com/anchore/syft/syft/format/syftjson"
	"github.com/anchore/syft/syft/format/syftjson/model"
	syftsbom "github.com/anchore/syft/syft/sbom"
)

// Write writes the inventory. The same inventory gives the same bytes.
func (inv *Inventory) Write(w io.Writer, f Format) error {
	if inv.kept != nil {
		raw, err := inv.kept(f)
		if err == nil {
			_, err = w.Write(raw)
		}
		return err
	}
	if inv.tree == nil {
		return fmt.Errorf("internal error: an inventory that was read cannot be written")
	}
	out := bufio.NewWriterSize(&plainJSON{w: w}, 256<<10)
	var err error
	switch f {
	case SPDX:
		err = inv.writeSPDX(out)
	case CycloneDX:
		err = inv.writeCycloneDX(out)
	case Syft:
		err = inv.writeSyft(out)
	default:
		return fmt.Errorf("writing the inventory: format %q is none of %q", f, Formats)
	}
	if err == nil {
		err = out.Flush()
	}
	if err != nil {
		return fmt.Errorf("writing the inventory as %s: %w", f, err)
	}
	return nil
}

// writeSyft writes Syft's own form.
func (inv *Inventory) writeSyft(w io.Writer) error {
	d := syftjson.ToFormatModel(*inv.bom, syftjson.DefaultEncoderConfig())
	files := inv.listedFiles()
	if d.Files = nil; len(files) == 0 {
		return splice(w, d)
	}
	mark := model.File{ID: newMark()}
	d.Files = []model.File{mark}
	return splice(w, d, hole{mark, func(e *elements) error {
		return inv.inBatches(files, func(s syftsbom.SBOM) error {
			for _, f := range syftjson.ToFormatModel(s, syftjson.DefaultEncoderConfig()).Files {
				if err := e.add(f); err != nil {
					return err
				}
			}
			return nil
		})
	}})
}

// made is the time that a document states: the image's own.
func (inv *Inventory) made() string { return inv.Subject.Created.UTC().Format(time.RFC3339) }

// uuidOf makes a version 8 UUID of a digest. Source: RFC 9562, 5.8.
func uuidOf(digest string) string {
	h := hexOf(digest)
	if len(h) < 32 {
		h = fmt.Sprintf("%032s", h)
	}
	b := []byte(h[:32])
	b[12], b[16] = '8', "89ab"[hexDigit(b[16])&3]
	return fmt.Sprintf("%s-%s-%s-%s-%s", b[:8], b[8:12], b[12:16], b[16:20], b[20:32])
}

func hexDigit(c byte) int {
	if c >= 'a' {
		return int(c-'a') + 10
	}
	return int(c - '0')
}
