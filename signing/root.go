package signing

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/sigstore/sigstore-go/pkg/root"

	"github.com/forge-build/forge/signing/strictjson"
)

// maxRoot bounds a trust root's file; the public one has 7 KB.
const maxRoot = 4 << 20

// Root names the certificate authorities, logs and time-stamp authorities that are trusted.
type Root struct {
	material root.TrustedMaterial
	sum      string
}

// LoadRoot reads a trusted root from a file in Sigstore's format.
func LoadRoot(path string) (*Root, error) {
	raw, err := readNamed("trust root", path, maxRoot)
	if err != nil {
		return nil, err
	}
	r, err := ParseRoot(raw)
	if err != nil {
		return nil, &PolicyError{fmt.Sprintf("trust root %q: %v", path, err)}
	}
	return r, nil
}

// ParseRoot reads a trusted root: strict JSON, a media type that forge knows, and something
// in it.
func ParseRoot(raw []byte) (*Root, error) {
	if err := strictjson.Check(raw); err != nil {
		return nil, err
	}
	tr, err := root.NewTrustedRootFromJSON(raw)
	if err != nil {
		return nil, err
	}
	if len(tr.FulcioCertificateAuthorities())+len(tr.RekorLogs())+len(tr.TimestampingAuthorities()) == 0 {
		return nil, errors.New("it names no certificate authority, no log and no time-stamp authority")
	}
	for id, l := range tr.RekorLogs() {
		if l.BaseURL == "" {
			return nil, fmt.Errorf("log %.16s has no baseUrl, which names the log in its checkpoints", id)
		}
	}
	return &Root{material: tr, sum: fmt.Sprintf("sha256:%x", sha256.Sum256(raw))}, nil
}

// String names a root by its file's digest.
func (r *Root) String() string {
	if r == nil {
		return "none"
	}
	return r.sum
}

// readNamed is readFile, and its error says what the file was to be; one that is not there is the
// mistake of whoever named it.
func readNamed(what, path string, limit int64) ([]byte, error) {
	raw, err := readFile(path, limit)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, &PolicyError{fmt.Sprintf("%s %q: there is no such file", what, path)}
	case err != nil:
		return nil, fmt.Errorf("reading %s %q: %w", what, path, err)
	}
	return raw, nil
}

// readFile reads a regular file of at most limit bytes.
func readFile(path string, limit int64) ([]byte, error) {
	info, err := os.Stat(path) // before it is opened: a pipe would wait for its writer
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("it is not a regular file")
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	raw, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(raw)) > limit {
		err = fmt.Errorf("it is larger than %d bytes", limit)
	}
	return raw, err
}
