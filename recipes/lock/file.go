package lock

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// maxSize bounds a lock file. The largest real one, a full PyTorch stack on
// Debian, is under 200 KB.
const maxSize = 16 << 20

// FormatError is a lock that another version of forge wrote.
type FormatError struct {
	Path string
	What string // "format" or "layers"
	Got  int
	Want int
}

func (e *FormatError) Error() string {
	return fmt.Sprintf("reading lock %q: its %q is %d, this forge writes %d", e.Path, e.What, e.Got, e.Want)
}

// InvalidError is a lock that no forge wrote, or that somebody edited by hand.
type InvalidError struct {
	Path   string
	Reason string
}

func (e *InvalidError) Error() string { return fmt.Sprintf("reading lock %q: %s", e.Path, e.Reason) }

// PathOf returns where the lock of a recipe lies: beside it, X.hcl → X.lock.json.
func PathOf(recipe string) string {
	return strings.TrimSuffix(recipe, filepath.Ext(recipe)) + ".lock.json"
}

// Read reads and checks the lock at path. layers is the version of the layers'
// bytes that the caller writes (layer.Format). A missing file is fs.ErrNotExist,
// a lock of another format a *FormatError, anything else wrong an *InvalidError.
func Read(path string, layers int) (*Lock, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0) // a pipe must not hold it up
	if err != nil {
		return nil, fmt.Errorf("reading lock %q: %w", path, errors.Unwrap(err))
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil, &InvalidError{path, "it is not a regular file"}
	}
	raw, err := io.ReadAll(io.LimitReader(f, maxSize+1))
	if err != nil {
		return nil, fmt.Errorf("reading lock %q: %w", path, err)
	}
	return Decode(path, raw, layers)
}

// Decode is Read for bytes; path only names them in errors.
func Decode(path string, raw []byte, layers int) (*Lock, error) {
	if len(raw) > maxSize {
		return nil, &InvalidError{path, fmt.Sprintf("it is larger than %d bytes", maxSize)}
	}
	if i := conflict(raw); i >= 0 {
		return nil, &InvalidError{path, fmt.Sprintf("line %d: a merge conflict stands in it; take one side and run forge lock", line(raw, int64(i)))}
	}
	if err := strict(raw); err != nil {
		return nil, &InvalidError{path, err.Error()}
	}
	var head struct {
		Format int `json:"format"`
		Layers int `json:"layers"`
	}
	if err := json.Unmarshal(raw, &head); err != nil {
		return nil, &InvalidError{path, err.Error()}
	}
	if head.Format != Format {
		return nil, &FormatError{path, "format", head.Format, Format}
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	l := new(Lock)
	if err := dec.Decode(l); err != nil {
		return nil, &InvalidError{path, err.Error()}
	}
	if err := l.check(); err != nil {
		return nil, &InvalidError{path, err.Error()}
	}
	if err := normal(raw, l); err != nil {
		return nil, &InvalidError{path, err.Error()}
	}
	if head.Layers != layers {
		return l, &FormatError{path, "layers", head.Layers, layers}
	}
	return l, nil
}

// normal refuses a document that differs from what forge writes by more than
// blanks: encoding/json takes keys in any case, and two spellings of one value
// would be two locks that mean the same.
func normal(raw []byte, l *Lock) error {
	want, err := Encode(l)
	if err != nil {
		return err
	}
	var a, b bytes.Buffer
	if err := errors.Join(json.Compact(&a, raw), json.Compact(&b, want)); err != nil {
		return err
	}
	if bytes.Equal(a.Bytes(), b.Bytes()) {
		return nil
	}
	i := 0
	for i < min(a.Len(), b.Len()) && a.Bytes()[i] == b.Bytes()[i] {
		i++
	}
	at := func(b []byte) string { return clip(string(b[max(0, i-20):min(len(b), i+40)])) }
	return fmt.Errorf("it is not in the form that forge lock writes: %+q where %+q is due", at(a.Bytes()), at(b.Bytes()))
}

// conflict finds the marker that git leaves at the start of a line.
func conflict(raw []byte) int {
	for _, mark := range []string{"<<<<<<< ", "=======\n", ">>>>>>> "} {
		if bytes.HasPrefix(raw, []byte(mark)) {
			return 0
		}
		if i := bytes.Index(raw, []byte("\n"+mark)); i >= 0 {
			return i + 1
		}
	}
	return -1
}

// Encode gives the lock's one normal form: two blanks of indentation, keys in
// the order of the types, maps sorted, one line feed at the end.
func Encode(l *Lock) ([]byte, error) {
	if err := l.check(); err != nil {
		return nil, fmt.Errorf("internal error: writing a lock: %w", err)
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(l); err != nil {
		return nil, fmt.Errorf("writing a lock: %w", err)
	}
	return b.Bytes(), nil
}

// Write writes the lock to path in one step. Nothing half-written stays, and a
// file that already holds these bytes is left as it is.
func Write(path string, l *Lock) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("writing lock %q: %w", path, err)
		}
	}()
	raw, err := Encode(l)
	if err != nil {
		return err
	}
	if old, err := os.ReadFile(path); err == nil && bytes.Equal(old, raw) {
		return nil
	}
	if info, err := os.Lstat(path); err == nil && !info.Mode().IsRegular() {
		return errors.New("something that is not a regular file is in its place")
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // gone after the rename
	if _, err := f.Write(raw); err != nil {
		return errors.Join(err, f.Close())
	}
	if err := errors.Join(f.Chmod(0o644), f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
