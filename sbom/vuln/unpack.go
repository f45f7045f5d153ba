package vuln

import (
	"archive/tar"
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"

	v6 "github.com/anchore/grype/grype/db/v6"
)

// Bounds of an archive. Real ones inflate about tenfold and hold three files.
const (
	maxEntries  = 32
	maxDatabase = 16 << 30 // bytes
	maxRatio    = 60
	alwaysFine  = 64 << 20 // bytes that may come out of any archive
	maxWindow   = 256 << 20
)

// set is what forge wrote down when it unpacked a database.
type set struct {
	SHA256 string `json:"sha256"` // of vulnerability.db as it was left, lower-case hex
}

// dir is where the database of an archive lies. Grype's version is part of the name: it builds
// indexes, and another one builds others.
func (s *Source) dir(archive string) string {
	return filepath.Join(s.Cache, "sets", fmt.Sprintf("%s-%d.%d.%d", archive, v6.ModelVersion, v6.Revision, v6.Addition))
}

// held is the database of an archive that was unpacked before.
func (s *Source) held(archive, where string) (*file, error) {
	var have set
	if err := readJSON(filepath.Join(s.dir(archive), "forge.json"), &have); err != nil {
		return nil, err
	}
	_ = os.Chtimes(s.dir(archive), time.Time{}, time.Now()) // for sweep; a cache that cannot be written serves, too
	return &file{path: filepath.Join(s.dir(archive), v6.VulnerabilityDBFileName), where: where, from: "server", sha256: have.SHA256, digest: "sha256:" + archive}, nil
}

// unpacked is the database of an archive of this sha256, unpacked where it was not.
func (s *Source) unpacked(ctx context.Context, archive, sum, where, from string) (*file, error) {
	if f, err := s.held(sum, where); err == nil {
		f.from = from
		return f, nil
	}
	sets := filepath.Join(s.Cache, "sets")
	if err := os.MkdirAll(sets, 0o700); err != nil {
		return nil, fmt.Errorf("making the cache of vulnerability databases: %w", err)
	}
	s.sweep()
	tmp, err := os.MkdirTemp(sets, "unpacking-")
	if err != nil {
		return nil, fmt.Errorf("making the cache of vulnerability databases: %w", err)
	}
	defer os.RemoveAll(tmp)
	path := filepath.Join(tmp, v6.VulnerabilityDBFileName)
	if err := s.extract(ctx, archive, path, where); err != nil {
		return nil, err
	}
	if err := schemaOf(path, where); err != nil {
		return nil, err
	}
	if err := v6.Hydrater()(tmp); err != nil { // the indexes, which archives leave out
		return nil, refuse(Damaged, where, "building its indexes: %w", err)
	}
	done, err := s.hash(ctx, path, nil)
	if err != nil {
		return nil, err
	}
	if err := writeJSON(filepath.Join(tmp, "forge.json"), set{SHA256: done}); err != nil {
		return nil, err
	}
	if err := os.Rename(tmp, s.dir(sum)); err != nil {
		if _, held := s.held(sum, where); held != nil { // or another forge was faster
			return nil, fmt.Errorf("keeping a vulnerability database: %w", err)
		}
	}
	f, err := s.held(sum, where)
	if err != nil {
		return nil, err
	}
	f.from = from
	return f, nil
}

// sweep removes what was abandoned, and databases that nobody has opened for long.
func (s *Source) sweep() {
	for pattern, keep := range map[string]time.Duration{"download-*": 24 * time.Hour, "sets/unpacking-*": 24 * time.Hour, "sets/[0-9a-f]*": 14 * 24 * time.Hour} {
		found, _ := filepath.Glob(filepath.Join(s.Cache, pattern)) // the patterns are good
		for _, path := range found {
			if info, err := os.Lstat(path); err == nil && time.Since(info.ModTime()) > keep {
				_ = os.RemoveAll(path) // it is tried again next time
			}
		}
	}
}

// extract writes the archive's vulnerability.db to a file.
func (s *Source) extract(ctx context.Context, archive, to, where string) error {
	in, err := os.Open(archive)
	if err != nil {
		return refuse(Missing, where, "%w", err)
	}
	defer in.Close()
	info, err := in.Stat()
	if err != nil {
		return refuse(Damaged, where, "%w", err)
	}
	plain, done, err := inflate(s.watched("unpacking the vulnerability database", 0, &cancelable{ctx, in}, info.Size()))
	if err != nil {
		return refuse(Damaged, where, "%w", err)
	}
	defer done()
	bound := &io.LimitedReader{R: plain, N: min(max(alwaysFine, maxRatio*info.Size()), maxDatabase)}
	tr := tar.NewReader(bound)
	found := false
	for n := 0; ; n++ {
		h, err := tr.Next()
		switch {
		case err == io.EOF && found:
			return nil
		case err == io.EOF:
			return refuse(Missing, where, "the archive holds no %s", v6.VulnerabilityDBFileName)
		case err != nil:
			return broken(where, bound, err)
		case n >= maxEntries:
			return refuse(Refused, where, "the archive has more than %d entries", maxEntries)
		case !filepath.IsLocal(h.Name):
			return refuse(Refused, where, "the archive's entry %q leads outside", h.Name)
		case h.Typeflag == tar.TypeDir:
			continue
		case h.Typeflag != tar.TypeReg:
			return refuse(Refused, where, "the archive's entry %q is no regular file", h.Name)
		case path.Clean(h.Name) != v6.VulnerabilityDBFileName:
			continue
		case found:
			return refuse(Refused, where, "the archive holds %s twice", v6.VulnerabilityDBFileName)
		}
		found = true
		if err := write(to, tr); err != nil {
			return broken(where, bound, err)
		}
	}
}

// broken is an archive that ends before it should: cut off, or at the bound.
func broken(where string, bound *io.LimitedReader, err error) error {
	if bound.N <= 0 {
		return refuse(Refused, where, "the archive inflates to more than %d times its size", maxRatio)
	}
	return refuse(Damaged, where, "unpacking it: %w", err)
}

func write(to string, r io.Reader) error {
	out, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, r)
	return errors.Join(err, out.Close())
}

// inflate reads through zstd, gzip or xz, whichever it is.
func inflate(r io.Reader) (io.Reader, func(), error) {
	b := bufio.NewReaderSize(r, 1<<20)
	magic, _ := b.Peek(6) // a shorter file is none of them
	switch {
	case bytes.HasPrefix(magic, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		d, err := zstd.NewReader(b, zstd.WithDecoderMaxWindow(maxWindow), zstd.WithDecoderConcurrency(1))
		if err != nil {
			return nil, nil, err
		}
		return d, d.Close, nil
	case bytes.HasPrefix(magic, []byte{0x1f, 0x8b}):
		d, err := gzip.NewReader(b)
		return d, func() {}, err
	case bytes.HasPrefix(magic, []byte{0xfd, '7', 'z', 'X', 'Z', 0}):
		d, err := xz.ReaderConfig{DictCap: maxWindow}.NewReader(b)
		return d, func() {}, err
	}
	return nil, nil, errors.New("it is no tar archive compressed with zstd, gzip or xz")
}

// cancelable is a reader that ends with its context.
type cancelable struct {
	ctx context.Context
	r   io.Reader
}

func (c *cancelable) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(p)
}
