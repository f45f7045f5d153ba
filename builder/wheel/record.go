package wheel

import (
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"hash"
	"sort"
	"strconv"
	"strings"
)

// RecordRow is one row of RECORD. The row of RECORD itself has no Hash and Size -1.
type RecordRow struct {
	Path string
	Hash string // "sha256=<urlsafe base64 without padding>"
	Size int64
}

// ParseRecord reads a wheel's RECORD strictly: every row but RECORD's own has a strong
// hash and a size, no row comes twice, signature files have none. Source: PEP 376, PEP 427.
func ParseRecord(data []byte) ([]RecordRow, error) {
	text := string(data)
	if strings.HasPrefix(text, "\ufeff") {
		return nil, refuse("WHL-01", "", -1, "RECORD starts with a byte order mark")
	}
	var rows []RecordRow
	seen := make(map[string]bool)
	own := 0
	for n := 1; text != ""; n++ {
		var line string
		line, text, _ = strings.Cut(text, "\n")
		row, err := parseRow(strings.TrimSuffix(line, "\r"), n)
		if err != nil {
			return nil, err
		}
		if seen[row.Path] {
			return nil, badRow(n, "%s is there twice", q(row.Path))
		}
		seen[row.Path] = true
		if row.Size < 0 {
			own++
		}
		rows = append(rows, row)
	}
	if own != 1 {
		return nil, refuse("WHL-01", "", -1, "RECORD has %d rows for itself, expected 1", own)
	}
	return rows, nil
}

func badRow(n int, format string, args ...any) *Error {
	e := refuse("WHL-01", "", -1, format, args...)
	e.Reason = "RECORD row " + strconv.Itoa(n) + ": " + e.Reason
	return e
}

func parseRow(line string, n int) (RecordRow, error) {
	var row RecordRow
	f, ok := splitCSV(line)
	if !ok || len(f) != 3 {
		return row, badRow(n, "%s is not path, hash and size", q(line))
	}
	row.Path = f[0]
	if reason := unsafePath(row.Path, Default); reason != "" {
		return row, badRow(n, "unsafe path %s: %s", q(row.Path), reason)
	}
	dir, base, _ := cutLast(row.Path)
	meta := strings.HasSuffix(dir, ".dist-info") && !strings.Contains(dir, "/")
	if meta && base == "RECORD" {
		row.Size = -1
		if f[1] != "" || f[2] != "" {
			return row, badRow(n, "RECORD has a hash or a size of itself")
		}
		return row, nil
	}
	if meta && (base == "RECORD.jws" || base == "RECORD.p7s") {
		return row, badRow(n, "%s must not be listed", q(row.Path))
	}
	if f[1] == "" || f[2] == "" {
		return row, badRow(n, "%s has no hash or no size", q(row.Path))
	}
	if _, _, err := parseHash(f[1]); err != nil {
		return row, badRow(n, "%s: %s", q(row.Path), err.Reason)
	}
	row.Hash = f[1]
	size, err := strconv.ParseUint(f[2], 10, 62)
	if err != nil || f[2] != strconv.FormatUint(size, 10) {
		return row, badRow(n, "%s has size %s", q(row.Path), q(f[2]))
	}
	row.Size = int64(size)
	return row, nil
}

// splitCSV splits one line. A field may be quoted, as csv.writer does it.
func splitCSV(line string) ([]string, bool) {
	var fields []string
	for {
		if !strings.HasPrefix(line, `"`) {
			f, rest, more := strings.Cut(line, ",")
			if strings.ContainsAny(f, "\"\r") {
				return nil, false
			}
			fields = append(fields, f)
			if !more {
				return fields, true
			}
			line = rest
			continue
		}
		var f strings.Builder
		line = line[1:]
		for {
			i := strings.IndexByte(line, '"')
			if i < 0 {
				return nil, false // a quoted field does not end on its line
			}
			f.WriteString(line[:i])
			line = line[i+1:]
			if !strings.HasPrefix(line, `"`) {
				break
			}
			f.WriteByte('"')
			line = line[1:]
		}
		fields = append(fields, f.String())
		if line == "" {
			return fields, true
		}
		if line[0] != ',' {
			return nil, false
		}
		line = line[1:]
	}
}

// parseHash reads "sha256=…". Only hashes that nobody can collide are taken.
func parseHash(s string) (hash.Hash, []byte, *Error) {
	name, value, _ := strings.Cut(s, "=")
	var h hash.Hash
	switch name {
	case "sha256":
		h = sha256.New()
	case "sha384":
		h = sha512.New384()
	case "sha512":
		h = sha512.New()
	default:
		return nil, nil, refuse("WHL-01", "", -1, "hash %s is not sha256, sha384 or sha512", q(s))
	}
	sum, err := base64.RawURLEncoding.Strict().DecodeString(value)
	if err != nil || len(sum) != h.Size() || strings.ContainsAny(value, "\r\n") {
		return nil, nil, refuse("WHL-01", "", -1, "hash %s is not urlsafe base64 without padding", q(s))
	}
	return h, sum, nil
}

// RecordHash returns RECORD's form of a sha256 sum.
func RecordHash(sum []byte) string {
	return "sha256=" + base64.RawURLEncoding.EncodeToString(sum)
}

// NewRecord writes a RECORD: rows sorted by path, one line feed after each.
func NewRecord(rows []RecordRow) []byte {
	rows = append([]RecordRow(nil), rows...)
	sort.Slice(rows, func(i, j int) bool { return rows[i].Path < rows[j].Path })
	var out []byte
	for _, r := range rows {
		if strings.ContainsAny(r.Path, ",\"") {
			out = append(out, `"`+strings.ReplaceAll(r.Path, `"`, `""`)+`"`...)
		} else {
			out = append(out, r.Path...)
		}
		out = append(out, ',')
		out = append(out, r.Hash...)
		out = append(out, ',')
		if r.Size >= 0 {
			out = strconv.AppendInt(out, r.Size, 10)
		}
		out = append(out, '\n')
	}
	return out
}

// cutLast splits a path at its last slash.
func cutLast(p string) (dir, base string, ok bool) {
	i := strings.LastIndexByte(p, '/')
	if i < 0 {
		return "", p, false
	}
	return p[:i], p[i+1:], true
}
