package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/forge-build/forge/builder"
	"github.com/forge-build/forge/builder/store"
	"github.com/forge-build/forge/sbom"
)

// An inventory depends on the image, on what was planned and on this forge, and on nothing
// else. A build that changes nothing therefore takes the one before instead of looking into
// every file again. It is kept as its plain list and as the documents that were written of it.
const keptList = "inventory-list"

// documents are an inventory as each format writes it.
type documents map[sbom.Format][]byte

func keptDocument(f sbom.Format) string { return "inventory-" + string(f) }

// inventoryKey names all that an inventory depends on. Forge itself is known by its version
// and by its program file, since a program that somebody has just compiled has no other.
func inventoryKey(r *builder.Result, plan *sbom.Plan) (string, error) {
	self, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("finding forge's own program: %w", err)
	}
	info, err := os.Stat(self)
	if err != nil {
		return "", fmt.Errorf("finding forge's own program: %w", err)
	}
	raw, err := json.Marshal([]any{r.Digest, filepath.Base(r.Dir), version, info.Size(), info.ModTime().UnixNano(), plan})
	if err != nil {
		return "", fmt.Errorf("internal error: %w", err)
	}
	sum := sha256.Sum256(raw)
	return hex.EncodeToString(sum[:]), nil
}

// keepInventory writes an inventory as each document, one after another, since each takes tens
// of megabytes while it is written, and remembers them. The list comes last: without it there is none.
func keepInventory(s *store.Store, key string, inv *sbom.Inventory) (documents, error) {
	d := documents{}
	for _, f := range sbom.Formats {
		var b bytes.Buffer
		if err := errors.Join(inv.Write(&b, f), s.PutFact(keptDocument(f), key, b.Bytes())); err != nil {
			return nil, err
		}
		d[f] = b.Bytes()
	}
	var list bytes.Buffer
	return d, errors.Join(inv.Keep(&list), s.PutFact(keptList, key, list.Bytes()))
}

// keptInventory is the inventory that was remembered, or nil when it cannot be had whole.
func keptInventory(s *store.Store, key string) (*sbom.Inventory, documents) {
	list, ok, err := s.Fact(keptList, key)
	if !ok || err != nil {
		return nil, nil
	}
	d := documents{}
	for _, f := range sbom.Formats {
		raw, ok, err := s.Fact(keptDocument(f), key)
		if !ok || err != nil {
			return nil, nil
		}
		d[f] = raw
	}
	inv, err := sbom.Kept(list, func(f sbom.Format) ([]byte, error) { return d[f], nil })
	if err != nil {
		return nil, nil // another form: it is made again, and written over
	}
	return inv, d
}
