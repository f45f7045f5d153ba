package sbom

import (
	"fmt"
	"io"
	"os"
	"sync"
)

// spool keeps programs on disk, so that each is read from its layer once and can be read
// anywhere. Its one file has no name and vanishes with the process.
type spool struct {
	dir string

	mu    sync.Mutex
	f     *os.File
	end   int64
	slots map[*File]*slot
}

type slot struct {
	once sync.Once
	at   int64
	err  error
}

// maxSpool bounds the programs of an image that are looked into, in bytes.
const maxSpool = 32 << 30

// open returns a program's content; in is asked for it the first time.
func (s *spool) open(f *File, in func() (io.Reader, error)) (io.ReadCloser, error) {
	x, err := s.slot(f)
	if err != nil {
		return nil, err
	}
	x.once.Do(func() {
		var r io.Reader
		if r, x.err = in(); x.err == nil {
			var n int64
			n, x.err = io.Copy(io.NewOffsetWriter(s.f, x.at), io.LimitReader(r, f.Size+1))
			if x.err == nil && n != f.Size {
				x.err = fmt.Errorf("%d bytes, %d are due", n, f.Size)
			}
		}
	})
	if x.err != nil {
		return nil, x.err
	}
	return union{io.NewSectionReader(s.f, x.at, f.Size)}, nil
}

// slot finds a place for a program.
func (s *spool) slot(f *File) (*slot, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if x := s.slots[f]; x != nil {
		return x, nil
	}
	if s.f == nil {
		t, err := os.CreateTemp(s.dir, "forge-sbom-*")
		if err != nil {
			return nil, err
		}
		if err := os.Remove(t.Name()); err != nil {
			_ = t.Close() // the first error says more
			return nil, err
		}
		s.f, s.slots = t, map[*File]*slot{}
	}
	if f.Size > maxSpool-s.end {
		return nil, fmt.Errorf("programs have more than %d bytes", int64(maxSpool))
	}
	x := &slot{at: s.end}
	s.end += f.Size
	s.slots[f] = x
	return x, nil
}

func (s *spool) close() {
	if s.f != nil {
		_ = s.f.Close() // it has no name
	}
}
