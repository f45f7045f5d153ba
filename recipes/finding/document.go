package finding

import (
	"encoding/json"
	"fmt"
	"io"
	"time"
)

// Format is the version of Document's JSON form. A field may be added within a version;
// one that changes its meaning or goes raises it.
const Format = 1

// Database is where vulnerabilities were looked up.
type Database struct {
	Built  time.Time `json:"built"`
	Schema string    `json:"schema"`         // v6.1.9
	Digest string    `json:"digest"`         // sha256 of the database file that was read
	From   string    `json:"from,omitempty"` // a file's base name, or "cache"; never an address with credentials
}

// Document is a verdict about one image as it lies beside the image, in NAME.scan.json.
type Document struct {
	Version    int       `json:"version"`
	Image      string    `json:"image,omitempty"`      // the recipe's name for it, or what the user asked for
	Digest     string    `json:"digest,omitempty"`     // of the image's manifest
	Distro     string    `json:"distro,omitempty"`     // debian:13; empty when the image has none
	Packages   int       `json:"packages"`             // how many were looked up
	Database   *Database `json:"database"`             // null: nothing was looked up
	NotScanned string    `json:"notScanned,omitempty"` // why nothing was looked up; then the findings mean nothing
	Judged     time.Time `json:"judged"`               // the time by which waivers and the database's age were judged
	Verdict
}

// MaxDocument is the largest document that Read takes, in bytes.
const MaxDocument = 64 << 20

// Write writes the document as indented JSON.
func (d *Document) Write(w io.Writer) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(d)
}

// Read reads a document that Write wrote.
func Read(r io.Reader) (*Document, error) {
	raw, err := io.ReadAll(io.LimitReader(r, MaxDocument+1))
	if err != nil {
		return nil, fmt.Errorf("reading a verdict: %w", err)
	}
	if len(raw) > MaxDocument {
		return nil, fmt.Errorf("reading a verdict: it is larger than %d bytes", MaxDocument)
	}
	var d Document
	if err := json.Unmarshal(raw, &d); err != nil {
		return nil, fmt.Errorf("reading a verdict: %w", err)
	}
	if d.Version != Format {
		return nil, fmt.Errorf("reading a verdict: it has version %d, this forge reads %d", d.Version, Format)
	}
	if d.Database == nil && d.NotScanned == "" {
		return nil, fmt.Errorf("reading a verdict: it names neither a database nor why there is none")
	}
	return &d, nil
}
