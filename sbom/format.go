package sbom

import (
	"bytes"
	"fmt"
	"io"

	"github.com/anchore/syft/syft/format"
	syftsbom "github.com/anchore/syft/syft/sbom"
	"github.com/anchore/syft/syft/source"
)

// Format is how an inventory is written.
type Format string

// The formats: SPDX 2.3 and CycloneDX 1.6, both in JSON, and Syft's own.
const (
	SPDX      Format = "spdx-json"
	CycloneDX Format = "cyclonedx-json"
	Syft      Format = "syft-json"
)

// Formats are all of them.
var Formats = []Format{SPDX, CycloneDX, Syft}

// FileSums says whether a document states the sum of each file of the image. SPDX states only
// those of files that no package owns, and of models.
func (f Format) FileSums() bool { return f == Syft || f == CycloneDX }

// Load reads what Write wrote, or another tool's SPDX, CycloneDX or Syft document.
func Load(r io.Reader) (*Inventory, error) {
	raw, err := io.ReadAll(io.LimitReader(r, MaxDocument+1))
	if err != nil {
		return nil, fmt.Errorf("reading the inventory: %w", err)
	}
	if len(raw) > MaxDocument {
		return nil, fmt.Errorf("reading the inventory: more than %d bytes", MaxDocument)
	}
	if err := CheckDocument(bytes.NewReader(raw)); err != nil {
		return nil, fmt.Errorf("reading the inventory: %w", err)
	}
	s, id, _, err := format.Decode(bytes.NewReader(raw))
	if err != nil {
		return nil, fmt.Errorf("reading the inventory: %w", err)
	}
	if s == nil || id == "" {
		return nil, fmt.Errorf("reading the inventory: it is neither SPDX nor CycloneDX nor Syft's JSON")
	}
	return Decoded(s, bytes.NewReader(raw))
}

// Decoded is the inventory in a document that somebody has checked and decoded; what Syft does
// not decode is read again.
func Decoded(s *syftsbom.SBOM, again io.Reader) (*Inventory, error) {
	inv := &Inventory{bom: s, Subject: Subject{Name: plain(s.Source.Name), Digest: s.Source.Version}}
	if m, ok := s.Source.Metadata.(source.ImageMetadata); ok {
		inv.Subject.Digest = m.ManifestDigest
		if m.OS != "" && m.Architecture != "" { // SPDX and CycloneDX do not say
			inv.Subject.Platform = m.OS + "/" + m.Architecture
		}
		for _, l := range m.Layers {
			inv.Subject.Layers = append(inv.Subject.Layers, Place{DiffID: l.Digest, Size: l.Size})
		}
	}
	inv.owners = ownersOf(s)
	inv.fill(func(string) int64 { return 0 })
	inv.bundle()
	return inv, inv.readBack(again)
}
