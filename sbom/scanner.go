package sbom

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"sync"
	_ "unsafe" // for go:linkname

	"github.com/anchore/syft/syft/cataloging"
	"github.com/google/licensecheck"
)

// Facts remembers small values by kind and key, from one process to the next.
type Facts interface {
	Fact(kind, key string) (value []byte, ok bool, err error)
	PutFact(kind, key string, value []byte) error
}

// textKind is the kind of fact that says which licences a text holds; its key is the SHA-256
// of the licences that can be found and of the text.
const textKind = "licence-text"

// texts finds the licences in texts. Nearly every text has been seen before, in another image,
// and making the matcher takes most of a second: that waits for the first text of which
// nothing is remembered.
type texts struct {
	facts Facts                              // nil: nothing is remembered
	scan  func([]byte) licensecheck.Coverage // makes the matcher when it is first called
}

// known is the SHA-256 of all licences that the matcher finds.
var known = sync.OnceValue(func() []byte {
	h := sha256.New()
	for _, l := range licensecheck.BuiltinLicenses() {
		fmt.Fprintf(h, "%q %d %q %q\n", l.ID, l.Type, l.LRE, l.URL)
	}
	return h.Sum(nil)
})

// find says which licences a text holds, and where.
func (t *texts) find(text []byte) licensecheck.Coverage {
	if t.facts == nil {
		return t.scan(text)
	}
	h := sha256.New()
	h.Write(known())
	h.Write(text)
	key := hex.EncodeToString(h.Sum(nil))
	var c licensecheck.Coverage
	if raw, ok, err := t.facts.Fact(textKind, key); ok && err == nil && json.Unmarshal(raw, &c) == nil {
		return c
	}
	c = t.scan(text)
	if raw, err := json.Marshal(c); err == nil {
		_ = t.facts.PutFact(textKind, key, raw) // what is not remembered is found again
	}
	return c
}

// context is ctx in which Syft finds a scanner that asks t. Syft's public way to put one there
// makes the matcher first, and every listing would wait for it; these are the two functions
// below that way. Nothing here looks into what they exchange. A Syft without them does not
// link, and a test compares what comes out.
func (t *texts) context(ctx context.Context) (context.Context, error) {
	s, err := newScanner(&scannerConfig{cataloging.DefaultLicenseConfig().Coverage, t.find})
	if err != nil {
		return nil, fmt.Errorf("internal error: making Syft's scanner of licences: %w", err)
	}
	return setScanner(ctx, s), nil
}

// scannerConfig is Syft's licenses.ScannerConfig.
type scannerConfig struct {
	CoverageThreshold float64 // percent of a text's words that belong to licences
	Scanner           func([]byte) licensecheck.Coverage
}

// scanner stands for Syft's licenses.Scanner, whose method has types that no other module can name.
type scanner interface{ FindEvidence() }

//go:linkname newScanner github.com/anchore/syft/internal/licenses.NewScanner
func newScanner(*scannerConfig) (scanner, error)

//go:linkname setScanner github.com/anchore/syft/internal/licenses.SetContextLicenseScanner
func setScanner(context.Context, scanner) context.Context
