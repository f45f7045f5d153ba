package layer

import "fmt"

// Error is a refusal: a layer, an index or a header breaks a rule.
type Error struct {
	ID     string // the rule, "TAR-01"
	Path   string // the layer's name, where known
	Entry  string // the file concerned, or empty
	Offset int64  // in the tar or in the blob, or -1
	Reason string // one sentence, made for a person; text of the input is quoted
}

func (e *Error) Error() string {
	if e.Path == "" {
		return e.ID + ": " + e.Reason
	}
	return e.Path + ": " + e.ID + ": " + e.Reason
}

// MismatchError says that a file's bytes are not those that its header promises. The layer
// in which it was written must be thrown away.
type MismatchError struct {
	ID        string // "ZIP-00" for a length, "CMP-01" for a broken stream, "LAY-02" for a sum
	Entry     string // the file's path in the layer
	What      string // "length", "CRC-32", "sha256", "stream"
	Want, Got string
}

func (e *MismatchError) Error() string {
	return fmt.Sprintf("%s: file %s: %s is %s, should be %s", e.ID, q(e.Entry), e.What, e.Got, e.Want)
}

// refuse makes an Error.
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
