package debian

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"strings"
)

// elf is what the loader's cache needs of a library.
type elf struct {
	machine uint16
	soname  string // empty: none
}

// ELF machines. Source: System V ABI, e_machine.
const (
	emX86    = 62
	emARM64  = 183
	maxHeld  = 32 << 20 // the names of a library's symbols lie within
	phdrSize = 56
)

// isLibrary says whether ldconfig looks at a file of this name.
// Source: glibc, elf/dl-is_dso.h.
func isLibrary(name string) bool {
	if strings.HasSuffix(name, "-gdb.py") || strings.Contains(name, ".#prelink#") || strings.HasSuffix(name, ".dpkg-new") || strings.HasSuffix(name, ".dpkg-tmp") {
		return false
	}
	return (strings.HasPrefix(name, "lib") || strings.HasPrefix(name, "ld-")) && strings.Contains(name, ".so") ||
		strings.HasPrefix(name, "ld.so.") || strings.HasPrefix(name, "ld64.so.")
}

// elfSniffer passes a file on and keeps what it needs to find its soname: the beginning,
// where the names are, and the dynamic section, which comes late.
type elfSniffer struct {
	r       io.Reader
	size    int64
	off     int64
	head    []byte
	dynamic []byte
	at, end int64 // of the dynamic section; -1: not known yet
	looked  bool
}

func (s *elfSniffer) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	s.take(p[:n])
	return n, err
}

func (s *elfSniffer) take(p []byte) {
	start := s.off
	s.off += int64(len(p))
	if len(s.head) < maxHeld && !s.skip() {
		if s.head == nil {
			s.head = make([]byte, 0, min(s.size, 64<<10))
		}
		s.head = append(s.head, p[:min(len(p), maxHeld-len(s.head))]...)
	}
	if !s.looked && len(s.head) >= 4096 {
		s.look()
	}
	from, to := max(start, s.at), min(s.off, s.end)
	if s.looked && from < to && from == s.at+int64(len(s.dynamic)) {
		s.dynamic = append(s.dynamic, p[from-start:to-start]...)
	}
}

// skip says whether the file is known not to be ELF.
func (s *elfSniffer) skip() bool {
	return len(s.head) >= 4 && string(s.head[:4]) != "\x7fELF"
}

// look finds the dynamic section in the program headers.
func (s *elfSniffer) look() {
	s.looked = true
	for _, ph := range programHeaders(s.head) {
		if ph.typ == 2 && ph.filesz <= 1<<20 {
			s.at, s.end = int64(ph.offset), int64(ph.offset+ph.filesz)
			if have := int64(len(s.head)); s.at < have {
				s.dynamic = append(s.dynamic, s.head[s.at:min(have, s.end)]...)
			}
		}
	}
}

type programHeader struct {
	typ                   uint32
	offset, vaddr, filesz uint64
}

// programHeaders reads those of a 64-bit little-endian file, as far as they are in b.
func programHeaders(b []byte) []programHeader {
	if len(b) < 64 || string(b[:4]) != "\x7fELF" || b[4] != 2 || b[5] != 1 {
		return nil
	}
	le := binary.LittleEndian
	off, size, n := le.Uint64(b[32:]), int(le.Uint16(b[54:])), int(le.Uint16(b[56:]))
	if size != phdrSize || n > 512 || off > uint64(len(b)) || uint64(n*phdrSize) > uint64(len(b))-off {
		return nil
	}
	var all []programHeader
	for i := range n {
		p := b[off+uint64(i*phdrSize):]
		h := programHeader{le.Uint32(p), le.Uint64(p[8:]), le.Uint64(p[16:]), le.Uint64(p[32:])}
		if h.offset > 1<<40 || h.filesz > 1<<40 {
			continue
		}
		all = append(all, h)
	}
	return all
}

// facts says what the file is, or false for one that the loader does not load.
func (s *elfSniffer) facts() (elf, bool) {
	if !s.looked {
		s.look()
	}
	b := s.head
	if len(b) < 64 || string(b[:4]) != "\x7fELF" || b[4] != 2 || b[5] != 1 {
		return elf{}, false
	}
	le := binary.LittleEndian
	f := elf{machine: le.Uint16(b[18:])}
	if le.Uint16(b[16:]) != 3 || len(s.dynamic) == 0 { // ET_DYN
		return f, false
	}
	var strtab, soname uint64
	named := false
	for d := s.dynamic; len(d) >= 16; d = d[16:] {
		tag, v := le.Uint64(d), le.Uint64(d[8:])
		if tag == 0 {
			break
		}
		switch tag {
		case 5:
			strtab = v
		case 14:
			soname, named = v, true
		}
	}
	if !named {
		return f, true
	}
	name, err := s.at64(strtab, soname)
	if err != nil {
		return f, false
	}
	f.soname = name
	return f, true
}

// at64 reads a name from the string table at an address.
func (s *elfSniffer) at64(strtab, off uint64) (string, error) {
	for _, ph := range programHeaders(s.head) {
		if ph.typ != 1 || strtab < ph.vaddr || strtab-ph.vaddr >= ph.filesz {
			continue
		}
		at := strtab - ph.vaddr + ph.offset + off
		if at < off || at >= uint64(len(s.head)) {
			break
		}
		name, _, ok := bytes.Cut(s.head[at:min(uint64(len(s.head)), at+512)], []byte{0})
		if ok && len(name) > 0 && checkPath(string(name)) == "" && bytes.IndexByte(name, '/') < 0 {
			return string(name), nil
		}
		break
	}
	return "", errors.New("no name")
}
