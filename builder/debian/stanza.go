package debian

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"io/fs"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Limits of control data.
const (
	maxLine    = 1 << 20
	maxStanza  = 4 << 20
	maxIndex   = 1 << 30
	maxStanzas = 500_000
)

// stanzas reads paragraphs of fields, one at a time. Source: deb822(5).
type stanzas struct {
	in   *bufio.Reader
	file string
	line int
	size int64
	buf  []byte
	ends []field
}

// field is one field of a paragraph, as places in its text.
type field struct{ name, value []byte }

func newStanzas(r io.Reader, file string) *stanzas {
	return &stanzas{in: bufio.NewReaderSize(r, 64<<10), file: file}
}

func (s *stanzas) refuse(format string, args ...any) error {
	return refuse("DEB-04", s.file, "", int64(s.line), "line %d: "+format, append([]any{s.line}, args...)...)
}

// readLine appends the next line to buf, without its end, and says where it begins.
func (s *stanzas) readLine() (start int, err error) {
	start = len(s.buf)
	s.line++
	for {
		part, err := s.in.ReadSlice('\n')
		s.buf = append(s.buf, part...)
		s.size += int64(len(part))
		if s.size > maxIndex || len(s.buf) > maxStanza || len(s.buf)-start > maxLine {
			return start, s.refuse("longer than %d bytes, or its paragraph than %d, or the whole than %d", maxLine, maxStanza, maxIndex)
		}
		if errors.Is(err, bufio.ErrBufferFull) {
			continue
		}
		if errors.Is(err, io.EOF) && len(s.buf) == start {
			return start, io.EOF
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return start, refuse("CMP-01", s.file, "", s.size, "reading after %d bytes: %v", s.size, err)
		}
		s.buf = bytes.TrimSuffix(s.buf, []byte("\n"))
		return start, nil
	}
}

// next returns the fields of the next paragraph, valid until the next call, or io.EOF.
func (s *stanzas) next() ([]field, error) {
	s.buf, s.ends = s.buf[:0], s.ends[:0]
	type place struct{ name, colon, end int }
	var at []place
	for {
		start, err := s.readLine()
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, err
		}
		line := s.buf[start:]
		if errors.Is(err, io.EOF) || len(line) == 0 {
			if len(at) > 0 {
				break
			}
			if err != nil {
				return nil, err
			}
			s.buf = s.buf[:0]
			continue
		}
		if bytes.IndexByte(line, 0) >= 0 || bytes.IndexByte(line, '\r') >= 0 {
			return nil, s.refuse("has a control character")
		}
		if line[0] == ' ' || line[0] == '\t' {
			if len(at) == 0 {
				return nil, s.refuse("continues no field")
			}
			s.buf = append(s.buf, '\n')
			at[len(at)-1].end = len(s.buf)
			continue
		}
		colon := bytes.IndexByte(line, ':')
		if colon <= 0 || !fieldName(line[:colon]) {
			return nil, s.refuse("is no field: %s", q(string(line)))
		}
		s.buf = append(s.buf, '\n')
		at = append(at, place{start, start + colon, len(s.buf)})
	}
	for i, p := range at {
		f := field{s.buf[p.name:p.colon], bytes.TrimSpace(s.buf[p.colon+1 : p.end])}
		for _, o := range s.ends {
			if bytes.EqualFold(o.name, f.name) {
				return nil, s.refuse("paragraph has the field %s twice", q(string(f.name)))
			}
		}
		if i > 200 {
			return nil, s.refuse("paragraph has more than 200 fields")
		}
		s.ends = append(s.ends, f)
	}
	return s.ends, nil
}

// fieldName says whether b may be a field's name: printable ASCII without a colon, not
// beginning with # or -.
func fieldName(b []byte) bool {
	for _, c := range b {
		if c <= ' ' || c >= 0x7f {
			return false
		}
	}
	return b[0] != '#' && b[0] != '-'
}

// Package is one paragraph of a package index, or a package's own control file.
type Package struct {
	Name         string
	Version      string
	Architecture string
	Source       string // the source package, without its version; Name where that is left out
	Priority     string
	MultiArch    string
	Path         string // in the archive's pool; empty in a control file
	SHA256       string
	Size         int64 // of the .deb
	Installed    int64 // bytes, as the package claims
	PreDepends   string
	Depends      string
	Provides     string
	Conflicts    string
	Breaks       string
	Archive      string // set by the caller: the archive it is from
}

// ParsePackages reads a package index whose bytes the caller has verified: at most 1 GiB
// and 500,000 paragraphs, each with a name, a version, an architecture, a path inside the
// archive, a size and a sha256. Errors are of type *Error, with the line. 65,000 packages
// take about half a second.
func ParsePackages(r io.Reader) ([]Package, error) {
	var all []Package
	s := newStanzas(r, "")
	same := map[string]string{} // strings that thousands of packages share
	for {
		fields, err := s.next()
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return nil, err
		}
		if len(all) >= maxStanzas {
			return nil, s.refuse("more than %d packages", maxStanzas)
		}
		p, err := s.parsePackage(fields, same)
		if err != nil {
			return nil, err
		}
		if why := p.checkFile(); why != "" {
			return nil, s.refuse("package %s %s", q(p.Name), why)
		}
		all = append(all, p)
	}
}

// parsePackage takes what forge needs from a paragraph.
func (s *stanzas) parsePackage(fields []field, same map[string]string) (Package, error) {
	var p Package
	share := func(b []byte) string {
		if v, ok := same[string(b)]; ok {
			return v
		}
		v := string(b)
		same[v] = v
		return v
	}
	for _, f := range fields {
		v := f.value
		var err error
		switch string(f.name) {
		case "Package":
			p.Name = string(v)
		case "Version":
			p.Version = string(v)
		case "Architecture":
			p.Architecture = share(v)
		case "Source":
			name, _, _ := strings.Cut(string(v), " ")
			p.Source = name
		case "Priority":
			p.Priority = share(v)
		case "Multi-Arch":
			p.MultiArch = share(v)
		case "Filename":
			p.Path = strings.TrimPrefix(string(v), "./")
		case "SHA256":
			p.SHA256 = string(v)
		case "Size":
			p.Size, err = parseSize(v)
		case "Installed-Size":
			p.Installed, err = parseSize(v)
			p.Installed *= 1024
		case "Pre-Depends":
			p.PreDepends = string(v)
		case "Depends":
			p.Depends = string(v)
		case "Provides":
			p.Provides = string(v)
		case "Conflicts":
			p.Conflicts = string(v)
		case "Breaks":
			p.Breaks = string(v)
		}
		if err != nil {
			return p, s.refuse("field %s is %s, which is no size", f.name, q(string(v)))
		}
	}
	if p.Source == "" {
		p.Source = p.Name
	}
	if why := p.check(); why != "" {
		return p, s.refuse("package %s %s", q(p.Name), why)
	}
	return p, nil
}

func parseSize(b []byte) (int64, error) {
	n, err := strconv.ParseUint(string(b), 10, 50)
	return int64(n), err
}

// check judges what an index and a control file have in common.
func (p *Package) check() string {
	if !packageName(p.Name) {
		return "has a name that is not allowed"
	}
	if !packageName(p.Source) {
		return "names the source " + q(p.Source) + ", which is no package's name"
	}
	if why := checkVersion(p.Version); why != "" {
		return "has the version " + q(p.Version) + ", which " + why
	}
	if p.Architecture == "" || strings.ContainsFunc(p.Architecture, func(r rune) bool { return r != '-' && !digit(byte(r)) && (r < 'a' || r > 'z') }) {
		return "has the architecture " + q(p.Architecture)
	}
	for _, rel := range []string{p.PreDepends, p.Depends, p.Provides, p.Conflicts, p.Breaks} {
		if !utf8.ValidString(rel) {
			return "has relations that are not UTF-8"
		}
	}
	return ""
}

// checkFile judges what only an index has.
func (p *Package) checkFile() string {
	switch {
	case p.Size <= 0:
		return "has no size"
	case !isSHA256(p.SHA256):
		return "has the sha256 " + q(p.SHA256)
	case !fs.ValidPath(p.Path) || checkPath(p.Path) != "" || strings.ContainsAny(p.Path, "\\?#%"):
		return "has the path " + q(p.Path)
	}
	return ""
}

// packageName says whether s may name a package. Source: Debian policy 5.6.1; capital
// letters and underscores occur in archives of others.
func packageName(s string) bool {
	if len(s) < 2 || len(s) > 128 || !digit(s[0]) && !letter(s[0]) {
		return false
	}
	for i := range len(s) {
		if c := s[i]; !digit(c) && !letter(c) && !strings.ContainsRune("+.-_", rune(c)) {
			return false
		}
	}
	return true
}

func isSHA256(s string) bool {
	if len(s) != 64 {
		return false
	}
	for _, c := range []byte(s) {
		if !digit(c) && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}
