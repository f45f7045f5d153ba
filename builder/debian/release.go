package debian

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"strings"
	"time"
)

// Release says what one suite of an archive holds.
type Release struct {
	Origin        string
	Suite         string // "stable"
	Codename      string // "trixie"
	Date          time.Time
	ValidUntil    time.Time // zero: for ever
	ByHash        bool      // files can be had by their sha256
	Architectures []string
	Components    []string
	Files         map[string]ReleaseFile // "main/binary-amd64/Packages.xz"
}

// ReleaseFile is a file that a Release vouches for.
type ReleaseFile struct {
	SHA256 string
	Size   int64
}

const maxReleaseFiles = 200_000

// ParseRelease reads the text of a Release file, whose signature the caller has checked:
// the signed text alone, never what stands around it. Only sha256 sums are read. Errors
// are of type *Error, with the line.
func ParseRelease(text []byte) (Release, error) {
	r := Release{Files: map[string]ReleaseFile{}}
	s := newStanzas(bytes.NewReader(text), "")
	fields, err := s.next()
	if errors.Is(err, io.EOF) {
		return r, s.refuse("the Release file is empty")
	}
	if err != nil {
		return r, err
	}
	var date bool
	for _, f := range fields {
		v := string(f.value)
		var err error
		switch string(f.name) {
		case "Origin":
			r.Origin = v
		case "Suite":
			r.Suite = v
		case "Codename":
			r.Codename = v
		case "Date":
			date = true
			r.Date, err = parseDate(v)
		case "Valid-Until":
			r.ValidUntil, err = parseDate(v)
		case "Acquire-By-Hash":
			r.ByHash = v == "yes"
		case "Architectures":
			r.Architectures = strings.Fields(v)
		case "Components":
			r.Components = strings.Fields(v)
		case "SHA256":
			err = r.files(v)
		}
		if err != nil {
			return r, s.refuse("field %s: %v", f.name, err)
		}
	}
	if !date {
		return r, s.refuse("the Release file has no Date")
	}
	if len(r.Files) == 0 {
		return r, s.refuse("the Release file has no SHA256 sums")
	}
	if _, err := s.next(); !errors.Is(err, io.EOF) {
		return r, s.refuse("the Release file has a second paragraph")
	}
	return r, nil
}

// parseDate reads a date of RFC 2822, whose day may have one digit. It is always UTC.
func parseDate(s string) (time.Time, error) {
	for _, layout := range []string{"Mon, _2 Jan 2006 15:04:05 MST", "Mon, _2 Jan 2006 15:04:05 -0700"} {
		t, err := time.Parse(layout, s)
		if err == nil {
			if _, offset := t.Zone(); offset != 0 {
				return t, errors.New("date " + q(s) + " is not UTC")
			}
			if zone, _ := t.Zone(); zone != "UTC" && zone != "GMT" && zone != "" && zone != "Z" {
				return t, errors.New("date " + q(s) + " is not UTC")
			}
			return t.UTC(), nil
		}
	}
	return time.Time{}, errors.New("date " + q(s) + " cannot be read")
}

// files reads lines of sum, size and name.
func (r *Release) files(v string) error {
	for line := range strings.SplitSeq(v, "\n") {
		f := strings.Fields(line)
		if len(f) == 0 {
			continue
		}
		if len(f) != 3 || !isSHA256(f[0]) {
			return errors.New("line " + q(line) + " is no sum of a file")
		}
		n, err := parseSize([]byte(f[1]))
		if err != nil {
			return errors.New("line " + q(line) + " has no size")
		}
		if !fs.ValidPath(f[2]) || checkPath(f[2]) != "" {
			return errors.New("path " + q(f[2]) + " is not allowed")
		}
		if _, twice := r.Files[f[2]]; twice {
			return errors.New("file " + q(f[2]) + " is there twice")
		}
		if len(r.Files) >= maxReleaseFiles {
			return errors.New("more than 200000 files")
		}
		r.Files[f[2]] = ReleaseFile{SHA256: f[0], Size: n}
	}
	return nil
}
