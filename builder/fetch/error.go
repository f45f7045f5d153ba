package fetch

import (
	"fmt"
	"io/fs"
	"net/url"
	"strconv"
	"strings"
)

// Error is a refusal: an index, a page or an address breaks a rule, and nothing of it is used.
type Error struct {
	ID     string // the rule, "IDX-04"
	Path   string // the address or the file's name, as the user knows it; no userinfo, no query
	Entry  string // the file or key concerned, or empty
	Offset int64  // byte of the page, or -1
	Reason string // made for a person; text of the input is quoted
}

func (e *Error) Error() string {
	if e.Path == "" {
		return e.ID + ": " + e.Reason
	}
	return e.Path + ": " + e.ID + ": " + e.Reason
}

// refuse makes an Error about a place.
func refuse(id, path, entry, format string, args ...any) *Error {
	return &Error{ID: id, Path: path, Entry: entry, Offset: -1, Reason: fmt.Sprintf(format, args...)}
}

// HashError says that bytes are not the ones that were promised. They are not kept.
type HashError struct {
	File              string
	From              string // address that served them, without userinfo and query; or empty
	By                string // who promised: "lock", "index", "recipe"
	Got, Want         string // sha256, hex; both empty when the sizes differ
	GotSize, WantSize int64
	Note              string // what may explain it, or empty
	Held              bool   // the store has the bytes of the sha256: a lock that states another size contradicts itself
}

func (e *HashError) Error() string {
	file := e.File
	if e.From != "" {
		file += " from " + e.From
	}
	s := fmt.Sprintf("%s: IDX-01: sha256 is %s, %s says %s", file, e.Got, e.By, e.Want)
	if e.Want == "" {
		s = fmt.Sprintf("%s: IDX-01: size is %d bytes, %s says %d", file, e.GotSize, e.By, e.WantSize)
	}
	if e.Held {
		s += " for the same sha256"
	}
	if e.Note != "" {
		s += " (" + e.Note + ")"
	}
	return s
}

// Hint says what to do about a lock that somebody edited, of which what it says of packages
// that are not chosen anew is kept; and about a source that serves other bytes than were locked.
func (e *HashError) Hint() string {
	switch {
	case e.Held && strings.HasSuffix(e.File, ".deb"):
		return "forge lock --upgrade-base chooses the Debian packages anew"
	case e.Held:
		return "forge lock writes it anew"
	case e.By != "lock" || e.From == "":
		return ""
	case strings.HasSuffix(e.File, ".deb"):
		return "this mirror serves another file than was locked; FORGE_DEBIAN_MIRROR names another mirror"
	}
	return "this index serves another file than was locked; ask who runs it, or let FORGE_INDEX_URL name another one"
}

// GoneError says that no source has a file any more. errors.Is(err, fs.ErrNotExist) holds.
type GoneError struct {
	Package, Version string   // Version is empty when a whole project is unknown
	File             string   // or empty
	Tried            []string // addresses, without userinfo and query
}

func (e *GoneError) Error() string {
	what := e.Package
	if e.Version != "" {
		what += " " + e.Version
	}
	if e.File != "" && e.File != what {
		what = strings.TrimPrefix(what+" ("+e.File+")", " ")
	}
	if len(e.Tried) == 0 {
		return what + ": no source is known"
	}
	return what + ": no source serves it: tried " + strings.Join(e.Tried, ", ")
}

// Unwrap makes a GoneError a case of fs.ErrNotExist.
func (e *GoneError) Unwrap() error { return fs.ErrNotExist }

// OfflineError says what would have to be fetched. No socket was opened.
type OfflineError struct {
	Missing []string // file names with sizes, or addresses
}

func (e *OfflineError) Error() string {
	if len(e.Missing) == 1 {
		return "offline, and missing: " + e.Missing[0]
	}
	return fmt.Sprintf("offline, and missing %d files: %s", len(e.Missing), strings.Join(e.Missing, ", "))
}

// SettingsError is a setting of this host that forge cannot work with.
type SettingsError struct {
	Where  string // a variable, or file:line
	Reason string // what is wrong, and what to do
}

func (e *SettingsError) Error() string {
	if e.Where == "" {
		return e.Reason
	}
	return e.Where + ": " + e.Reason
}

// statusError is an HTTP answer that is neither success nor absence.
type statusError struct {
	url  string
	code int
	wait int // seconds that the server asks for, or 0
}

func (e *statusError) Error() string { return fmt.Sprintf("%s: the server answers %d", e.url, e.code) }

// q quotes text of the input: ASCII only, cut at 120 bytes, so that no control character
// or terminal escape reaches a screen.
func q(s string) string {
	if len(s) > 120 {
		return fmt.Sprintf("%+q…", s[:120])
	}
	return fmt.Sprintf("%+q", s)
}

// show prints an address without what is secret in it: userinfo, query, fragment.
func show(u *url.URL) string {
	c := url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path, RawPath: u.RawPath}
	s := c.String()
	if u.Opaque != "" {
		s = u.Scheme + ":"
	}
	if len(s) > 300 {
		s = s[:300] + "..."
	}
	quoted := strconv.QuoteToASCII(s)
	return quoted[1 : len(quoted)-1]
}

// showText is show for an address that may not even parse.
func showText(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return "an address that cannot be parsed"
	}
	return show(u)
}
