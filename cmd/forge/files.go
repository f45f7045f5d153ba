package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"

	"github.com/forge-build/forge/builder"
)

// hinted is an error with what to try.
type hinted struct {
	error
	hint string
}

func (h hinted) Unwrap() error { return h.error }
func (h hinted) Hint() string  { return h.hint }

// opener is os.OpenFile, or that of an os.Root.
type opener func(path string, flag int, mode fs.FileMode) (*os.File, error)

// absent makes a file that somebody named and that is not there a mistake of that person's.
func absent(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return usageError{err}
	}
	return err
}

// openRegular opens a file that is no pipe, device or folder.
func openRegular(path string) (*os.File, error) { return opener(os.OpenFile).regular(path) }

// regular is openRegular below a root.
func (open opener) regular(path string) (*os.File, error) {
	f, err := open(path, os.O_RDONLY|syscall.O_NONBLOCK, 0) // a pipe must not hold it up
	if err != nil {
		return nil, absent(err)
	}
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		_ = f.Close() // nothing of it was read
		return nil, errors.Join(fmt.Errorf("%q is not a regular file", path), err)
	}
	return f, nil
}

// readUpTo reads a regular file, or standard input for -, of at most limit bytes.
func readUpTo(path string, limit int64) ([]byte, error) {
	if path == "-" {
		return readAll(os.Stdin, limit)
	}
	return opener(os.OpenFile).read(path, limit)
}

// read reads a regular file of at most limit bytes.
func (open opener) read(path string, limit int64) ([]byte, error) {
	f, err := open.regular(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return readAll(f, limit)
}

func readAll(in io.Reader, limit int64) ([]byte, error) {
	raw, err := io.ReadAll(io.LimitReader(in, limit+1))
	if err == nil && int64(len(raw)) > limit {
		err = fmt.Errorf("it is larger than %d bytes", limit)
	}
	return raw, err
}

// readSmall reads a file of the size that keys, roots and policies have.
func readSmall(path string) ([]byte, error) { return readUpTo(path, 4<<20) }

// writeWhole writes a file whole or not at all.
func writeWhole(path string, data []byte) error {
	return builder.WriteFile(path, func(w io.Writer) error {
		_, err := w.Write(data)
		return err
	})
}
