package vuln

import (
	"errors"
	"fmt"
	"io"
	"runtime/debug"

	"github.com/anchore/grype/grype/pkg"

	"github.com/forge-build/forge/sbom"
)

// Packages are what is looked up: an image's packages and its distribution.
type Packages struct {
	list    []pkg.Package
	context pkg.Context
}

// Read reads an SBOM: Syft's JSON, SPDX or CycloneDX, as JSON. A document without a package is an error:
// nothing can be looked up in it.
func Read(r io.ReadSeeker) (*Packages, error) {
	p, _, err := read(r)
	return p, err
}

// ReadInventory is Read that also gives the list that the SBOM is.
func ReadInventory(r io.ReadSeeker) (*Packages, *sbom.Inventory, error) {
	p, list, err := read(r)
	if err != nil {
		return nil, nil, err
	}
	inv, err := list()
	if err != nil {
		return nil, nil, err
	}
	return p, inv, nil
}

// listing makes the list of what was decoded.
type listing func() (*sbom.Inventory, error)

func read(r io.ReadSeeker) (*Packages, listing, error) {
	size, err := r.Seek(0, io.SeekEnd)
	if err != nil {
		return nil, nil, fmt.Errorf("reading an SBOM: %w", err)
	}
	if size > sbom.MaxDocument {
		return nil, nil, fmt.Errorf("reading an SBOM: it has %d bytes; at most %d are read", size, sbom.MaxDocument)
	}
	if _, err := r.Seek(0, io.SeekStart); err != nil {
		return nil, nil, fmt.Errorf("reading an SBOM: %w", err)
	}
	if err := sbom.CheckDocument(r); err != nil {
		return nil, nil, fmt.Errorf("reading an SBOM: %w", err)
	}
	if _, err := r.Seek(0, io.SeekStart); err != nil {
		return nil, nil, fmt.Errorf("reading an SBOM: %w", err)
	}
	p, list, err := provided(r)
	if err != nil {
		return nil, nil, fmt.Errorf("reading an SBOM: %w", err)
	}
	if len(p.list) == 0 {
		return nil, nil, errors.New("reading an SBOM: it names no package")
	}
	return p, list, nil
}

// provided lets Grype read. The document is a stranger's: a panic of a decoder is an error.
func provided(r io.ReadSeeker) (p *Packages, list listing, err error) {
	defer func() {
		if x := recover(); x != nil {
			err = fmt.Errorf("the decoder stopped: %v\n%s", x, debug.Stack())
		}
	}()
	packages, context, s, err := pkg.ProvideFromReader(r, pkg.ProviderConfig{})
	if err != nil {
		return nil, nil, fmt.Errorf("it is no SBOM in Syft's JSON, SPDX or CycloneDX: %w", err)
	}
	return &Packages{list: packages, context: context}, func() (*sbom.Inventory, error) {
		if _, err := r.Seek(0, io.SeekStart); err != nil {
			return nil, fmt.Errorf("reading an SBOM: %w", err)
		}
		return sbom.Decoded(s, r)
	}, nil
}

// Digest is the digest of the image's manifest, where the document says it; else "".
func (p *Packages) Digest() string {
	if s := p.context.Source; s != nil && sha256Sum.MatchString(s.Version) {
		return s.Version
	}
	return ""
}
