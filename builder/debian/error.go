package debian

import "fmt"

// Error is a refusal: a package or an index breaks a rule.
type Error struct {
	ID     string // the rule, "DEB-01"
	Path   string // the file as the user knows it
	Entry  string // the member concerned, or empty
	Offset int64  // in the file or, with TAR ids, in the tar; or -1
	Reason string // one sentence, made for a person; text of the input is quoted
}

func (e *Error) Error() string {
	if e.Path == "" {
		return e.ID + ": " + e.Reason
	}
	return e.Path + ": " + e.ID + ": " + e.Reason
}

// refuse makes an Error.
func refuse(id, path, entry string, offset int64, format string, args ...any) *Error {
	return &Error{ID: id, Path: path, Entry: entry, Offset: offset, Reason: fmt.Sprintf(format, args...)}
}

// q quotes text of the input: ASCII only, cut at 120 bytes, so that no control character
// or terminal escape reaches a screen.
func q(s string) string {
	if len(s) > 120 {
		return fmt.Sprintf("%+q…", s[:120])
	}
	return fmt.Sprintf("%+q", s)
}
