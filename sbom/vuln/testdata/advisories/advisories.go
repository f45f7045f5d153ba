// Package advisories builds a database of Grype's schema 6 from the records in records.json,
// for tests and CI: nothing of it is downloaded, and what must be found in it is known.
// It is no source of advice: it knows some thirty vulnerabilities, and several are invented.
package advisories

import (
	"archive/tar"
	"bytes"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/cespare/xxhash/v2"
	"github.com/klauspost/compress/zstd"

	"github.com/anchore/grype/grype/db"
	"github.com/anchore/grype/grype/db/provider"
	v6 "github.com/anchore/grype/grype/db/v6"
)

//go:embed records.json
var text []byte

// Records are vulnerabilities as records.json states them.
type Records struct {
	Python []struct {
		ID, CVE, Package, Severity, Range, Fixed, Summary string
	}
	Debian []struct {
		ID, Release, Package, Severity, Fixed string
		WontFix                               bool
	}
	NVD []struct {
		ID, Product, Before, Summary string
		Score                        float64
		Running                      []string // operating systems on which it counts, as NVD lists most of NVIDIA's
	}
	Exploited []string
	EPSS      map[string]float64
	EndOfLife map[string]string
}

// All are all records.
func All() (*Records, error) {
	var r Records
	if err := json.Unmarshal(text, &r); err != nil {
		return nil, fmt.Errorf("reading records.json: %w", err)
	}
	return &r, nil
}

// Build writes dir/6/vulnerability.db and dir/6/import.json, as Grype's own cache has them.
func Build(r *Records, dir string, built time.Time) error {
	work, err := os.MkdirTemp("", "advisories-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	var states provider.States
	for _, p := range r.providers(built) {
		state, err := p.write(filepath.Join(work, p.name), built)
		if err != nil {
			return err
		}
		if state != nil {
			states = append(states, *state)
		}
	}
	out := filepath.Join(dir, "6")
	if err := os.MkdirAll(out, 0o755); err != nil {
		return err
	}
	err = db.Build(db.BuildConfig{SchemaVersion: 6, Directory: out, States: states, Timestamp: built, IncludeCPEParts: []string{"a"},
		InferNVDFixVersions: true, Hydrate: true, BatchSize: 100, SQLiteCacheSizeKiB: 16 << 10})
	if err != nil {
		return fmt.Errorf("building a database: %w", err)
	}
	return Change(dir, "UPDATE db_metadata SET build_timestamp = ?", built)
}

// Change runs a statement on a database and writes its checksum anew.
func Change(dir, statement string, values ...any) error {
	path := filepath.Join(dir, "6", v6.VulnerabilityDBFileName)
	low, err := v6.NewLowLevelDB(path, false, true, false)
	if err != nil {
		return err
	}
	err = low.Exec(statement, values...).Error
	if conn, e := low.DB(); e == nil {
		err = errors.Join(err, conn.Close())
	}
	if err != nil {
		return err
	}
	return Seal(dir)
}

// Seal writes import.json for the database as it is.
func Seal(dir string) error {
	f, err := os.Open(filepath.Join(dir, "6", v6.VulnerabilityDBFileName))
	if err != nil {
		return err
	}
	defer f.Close()
	h := xxhash.New()
	if _, err := io.Copy(h, f); err != nil {
		return err
	}
	raw, err := json.Marshal(v6.ImportMetadata{Digest: fmt.Sprintf("xxh64:%x", h.Sum64()), Source: "records.json",
		ClientVersion: fmt.Sprintf("v%d.%d.%d", v6.ModelVersion, v6.Revision, v6.Addition)})
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "6", v6.ImportMetadataFileName), raw, 0o644)
}

// Pack makes an archive of a database, as Grype's servers have them.
func Pack(dir, archive string) error {
	raw, err := os.ReadFile(filepath.Join(dir, "6", v6.VulnerabilityDBFileName))
	if err != nil {
		return err
	}
	var b bytes.Buffer
	z, err := zstd.NewWriter(&b)
	if err != nil {
		return err
	}
	w := tar.NewWriter(z)
	if err := w.WriteHeader(&tar.Header{Name: v6.VulnerabilityDBFileName, Mode: 0o644, Size: int64(len(raw)), Format: tar.FormatPAX}); err != nil {
		return err
	}
	if _, err := w.Write(raw); err != nil {
		return err
	}
	if err := errors.Join(w.Close(), z.Close()); err != nil {
		return err
	}
	return os.WriteFile(archive, b.Bytes(), 0o644)
}
