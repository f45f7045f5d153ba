package wheel

import (
	"fmt"
)

// Error is a refusal: the archive breaks a rule, and nothing of it may be used.
type Error struct {
	ID     string // the rule, "ZIP-04"
	Path   string // the wheel's file name, as the caller gave it
	Entry  string // the entry concerned, or empty
	Offset int64  // where in the file, or -1
	Reason string // one sentence, made for a person; text of the input is quoted
}

func (e *Error) Error() string {
	if e.Path == "" {
		return e.ID + ": " + e.Reason
	}
	return e.Path + ": " + e.ID + ": " + e.Reason
}

// refuse makes an Error without the file's name, which Open fills in.
func refuse(id, entry string, offset int64, format string, args ...any) *Error {
	return &Error{ID: id, Entry: entry, Offset: offset, Reason: fmt.Sprintf(format, args...)}
}

// q quotes text of the input: ASCII only, cut at 120 bytes, so that no control character
// or terminal escape reaches a screen.
func q(s string) string {
	if len(s) > 120 {
		return fmt.Sprintf("%+q…", s[:120])
	}
	return fmt.Sprintf("%+q", s)
}

// Finding is something that is allowed by the format and that a policy should know.
type Finding struct {
	ID     string // "WHL-06"
	Entry  string // name in the archive
	Hash   string // RECORD's hash of the entry, "sha256=…", so that a policy can accept exactly this file
	Reason string
}

// Limits bounds what an archive may ask for. Every number is inclusive.
type Limits struct {
	Size       int64 // bytes of the file
	Expanded   int64 // bytes of all files, inflated
	Ratio      int64 // Expanded to Size, once Expanded is over RatioFrom
	RatioFrom  int64
	Entries    int
	PathBytes  int
	PathDepth  int
	Metadata   int64 // bytes of METADATA
	Record     int64 // bytes of RECORD
	SmallFiles int64 // bytes of WHEEL and entry_points.txt
}

// Default is what Open uses. The largest wheels of 2026 are near 1 GB, and their greatest
// member inflates to 1 GB.
var Default = Limits{
	Size:       8 << 30,
	Expanded:   24 << 30,
	Ratio:      50,
	RatioFrom:  64 << 20,
	Entries:    200_000,
	PathBytes:  1024,
	PathDepth:  64,
	Metadata:   1 << 20,
	Record:     64 << 20,
	SmallFiles: 64 << 10,
}
