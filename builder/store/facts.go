package store

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
)

var (
	kindName = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,63}$`)
	keyName  = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._-]{0,199}$`)
)

// PutFact remembers a small value. Whoever reads it sees the old value or the new one,
// whole, also after a crash.
func (s *Store) PutFact(kind, key string, v []byte) error {
	path, err := s.factPath(kind, key)
	if err != nil {
		return err
	}
	if err := own(filepath.Dir(path)); err != nil {
		return fmt.Errorf("remembering %s %q: %w", kind, cut(key), explain(s, err, 1))
	}
	if err := s.replace(path, v, true); err != nil {
		return fmt.Errorf("remembering %s %q: %w", kind, cut(key), err)
	}
	return nil
}

// Fact is what PutFact remembered; ok is false when there is nothing.
func (s *Store) Fact(kind, key string) (v []byte, ok bool, err error) {
	path, err := s.factPath(kind, key)
	if err != nil {
		return nil, false, err
	}
	v, err = os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, fmt.Errorf("recalling %s %q: %w", kind, cut(key), err)
	}
	return v, true, nil
}

// factPath keeps keys that are safe as file names, and hashes all others.
func (s *Store) factPath(kind, key string) (string, error) {
	if !kindName.MatchString(kind) {
		return "", fmt.Errorf("remembering %s %q: a kind is lower-case letters, digits and dashes", cut(kind), cut(key))
	}
	if !keyName.MatchString(key) {
		h := sha256.Sum256([]byte(key))
		key = "~" + hex.EncodeToString(h[:])
	}
	return filepath.Join(s.dir, "facts", kind, key), nil
}
