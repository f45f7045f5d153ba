package vuln

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/cespare/xxhash/v2"

	v6 "github.com/anchore/grype/grype/db/v6"
)

// known is a file that was hashed, and by what it is recognised.
type known struct {
	Path   string `json:"path"`
	Size   int64  `json:"size"`
	Time   int64  `json:"time"` // of its last change, nanoseconds
	Inode  uint64 `json:"inode"`
	Device uint64 `json:"device"`
	SHA256 string `json:"sha256"`
	XXH64  string `json:"xxh64"` // "xxh64:…", which is what Grype writes down
}

// check compares a database with its checksum, which is read only when the file is not the one
// that was read before.
func (s *Source) check(ctx context.Context, f *file) (sum string, err error) {
	k, err := s.sums(ctx, f.path)
	if err != nil {
		return "", refuse(Damaged, f.where, "%w", err)
	}
	switch {
	case f.sha256 != "" && k.SHA256 != f.sha256:
		return "", refuse(Damaged, f.where, "its sha256 is %s, and %s was written down when it was unpacked", k.SHA256, f.sha256)
	case f.xxh64 != "" && k.XXH64 != f.xxh64:
		return "", refuse(Damaged, f.where, "its checksum is %s, and %s states %s", k.XXH64, v6.ImportMetadataFileName, f.xxh64)
	}
	return k.SHA256, nil
}

// sha256Of is a file's sha256, remembered.
func (s *Source) sha256Of(ctx context.Context, path string) (string, error) {
	k, err := s.sums(ctx, path)
	return k.SHA256, err
}

// sums are a file's checksums, remembered in the cache.
func (s *Source) sums(ctx context.Context, path string) (known, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return known{}, err
	}
	now, err := identity(path)
	if err != nil {
		return known{}, err
	}
	record := filepath.Join(s.Cache, "checked", name(path)+".json")
	var before known
	if readJSON(record, &before) == nil {
		now.SHA256, now.XXH64 = before.SHA256, before.XXH64
		if now == before {
			return now, nil
		}
	}
	xx := xxhash.New()
	if now.SHA256, err = s.hash(ctx, path, xx); err != nil {
		return known{}, err
	}
	now.XXH64 = fmt.Sprintf("xxh64:%016x", xx.Sum64())
	if after, err := identity(path); err != nil || after.Time != now.Time || after.Size != now.Size || after.Inode != now.Inode {
		return known{}, fmt.Errorf("it changes while it is read (%v)", err)
	}
	return now, writeJSON(record, now)
}

// identity is by what a file is recognised.
func identity(path string) (known, error) {
	info, err := os.Stat(path)
	if err != nil {
		return known{}, err
	}
	k := known{Path: path, Size: info.Size(), Time: info.ModTime().UnixNano()}
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		k.Inode, k.Device = st.Ino, uint64(st.Dev)
	}
	return k, nil
}

// hash reads a file once; also gets its bytes too.
func (s *Source) hash(ctx context.Context, path string, also hash.Hash) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return "", err
	}
	h := sha256.New()
	var w io.Writer = h
	if also != nil {
		w = io.MultiWriter(h, also)
	}
	if _, err := io.CopyBuffer(w, s.watched("checking the vulnerability database", 0, &cancelable{ctx, f}, info.Size()), make([]byte, 1<<20)); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// importDigest is the checksum that Grype wrote down when it imported a database.
func importDigest(dir string) (string, error) {
	var doc v6.ImportMetadata
	if err := readJSON(filepath.Join(dir, v6.ImportMetadataFileName), &doc); err != nil {
		return "", err
	}
	sum, ok := strings.CutPrefix(doc.Digest, "xxh64:")
	if !ok || len(sum) == 0 || len(sum) > 16 {
		return "", fmt.Errorf("%s holds the checksum %q, and an xxh64 is due", v6.ImportMetadataFileName, doc.Digest)
	}
	return "xxh64:" + strings.Repeat("0", 16-len(sum)) + sum, nil
}

// name is a file name for anything.
func name(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:16])
}

func readJSON(path string, to any) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	raw, err := io.ReadAll(io.LimitReader(f, 1<<20))
	if err != nil {
		return err
	}
	if err := json.Unmarshal(raw, to); err != nil {
		return fmt.Errorf("reading %q: %w", path, err)
	}
	return nil
}

// writeJSON replaces a file of the cache.
func writeJSON(path string, v any) error {
	raw, err := json.Marshal(v)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("making the cache of vulnerability databases: %w", err)
	}
	tmp, err := os.CreateTemp(filepath.Dir(path), ".writing-")
	if err != nil {
		return fmt.Errorf("writing the cache of vulnerability databases: %w", err)
	}
	_, err = tmp.Write(raw)
	if err = errors.Join(err, tmp.Close()); err == nil {
		err = os.Rename(tmp.Name(), path)
	}
	if err != nil {
		_ = os.Remove(tmp.Name()) // the error that counts is known
		return fmt.Errorf("writing the cache of vulnerability databases: %w", err)
	}
	return nil
}
