package wheel

import (
	"io"
	"strings"
)

// ReadMetadata returns the METADATA of a wheel of size bytes without judging the wheel: for
// whoever chooses between wheels before any of them is there. Of the archive it reads the end
// records, the directory and this one entry, so that r may be a server that sends parts; where
// they lie is not trusted, and what else the wheel holds is not looked at. The bytes are what
// the archive has, inflated length and CRC-32 compared, at most Limits.Metadata of them, and
// not parsed. Whoever takes the wheel opens it ([Open]) and compares. A refusal is an *Error.
func ReadMetadata(r io.ReaderAt, size int64, file string) ([]byte, error) {
	data, err := Default.readMetadata(r, size, file)
	return data, named(err, file)
}

func (lim Limits) readMetadata(r io.ReaderAt, size int64, file string) ([]byte, error) {
	fn, err := ParseFileName(file)
	if err != nil {
		return nil, err
	}
	d, err := findDirectory(r, size, lim)
	if err != nil {
		return nil, err
	}
	var found *entry
	err = scanDirectory(r, d, lim, func(head, rest []byte, at int64) error {
		dir, ok := strings.CutSuffix(string(rest[:u16(head[28:])]), "/METADATA")
		if !ok || !ownFolder(dir, ".dist-info", fn) {
			return nil
		}
		e, err := parseCentral(head, rest, at, lim)
		if err == nil && found != nil {
			err = refuse("WHL-02", e.name, at, "two METADATA: %s and %s", q(found.name), q(e.name))
		}
		found = &e
		return err
	})
	if err != nil {
		return nil, err
	}
	if found == nil {
		return nil, refuse("WHL-02", "", -1, "the wheel has no METADATA of %s %s", q(fn.Name), q(fn.Version))
	}
	if err := readLocal(r, d, found, make([]byte, lenLocal+len(found.name))); err != nil {
		return nil, err
	}
	w := &Wheel{File: file, r: r, byName: map[string]int{found.name: 0}, Files: []File{{Name: found.name, Method: found.method,
		CRC32: found.crc, CompressedSize: found.csize, Size: found.usize, DataOffset: found.data}}}
	data, err := w.ReadFile(found.name, lim.Metadata)
	return data, inPart(err, "WHL-05")
}
