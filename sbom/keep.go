package sbom

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"

	syftsbom "github.com/anchore/syft/syft/sbom"
)

// Keep writes the inventory's plain list, from which Kept makes it again.
func (inv *Inventory) Keep(w io.Writer) error {
	if err := json.NewEncoder(w).Encode(inv); err != nil {
		return fmt.Errorf("keeping the inventory: %w", err)
	}
	return nil
}

// Kept makes an inventory of the list that Keep wrote. document brings what Write wrote of the
// same inventory in a format; it is asked only for what is asked of the inventory.
func Kept(list []byte, document func(Format) ([]byte, error)) (*Inventory, error) {
	inv := &Inventory{kept: document}
	d := json.NewDecoder(bytes.NewReader(list))
	d.DisallowUnknownFields()
	if err := d.Decode(inv); err != nil {
		return nil, fmt.Errorf("reading a kept inventory: %w", err)
	}
	return inv, nil
}

// SBOM is Syft's own form of the inventory, for who knows it.
func (inv *Inventory) SBOM() (*syftsbom.SBOM, error) {
	if inv.bom != nil || inv.kept == nil {
		return inv.bom, nil
	}
	raw, err := inv.kept(Syft)
	if err != nil {
		return nil, err
	}
	whole, err := Load(bytes.NewReader(raw))
	if err != nil {
		return nil, err
	}
	inv.bom = whole.bom
	return inv.bom, nil
}
