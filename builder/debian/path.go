package debian

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Limits of names, as for wheels.
const (
	maxPath  = 1024
	maxDepth = 64
	maxLink  = 4095
)

// checkPath says what is wrong with a path inside a package.
func checkPath(p string) string {
	switch {
	case p == "":
		return "is empty"
	case len(p) > maxPath:
		return "is longer than 1024 bytes"
	case p[0] == '/':
		return "is absolute"
	case strings.Count(p, "/") >= maxDepth:
		return "is deeper than 64"
	}
	if why := checkText(p); why != "" {
		return why
	}
	for part := range strings.SplitSeq(p, "/") {
		switch {
		case part == "":
			return "has an empty part"
		case part == ".", part == "..":
			return "has the part " + part
		case strings.HasPrefix(part, ".wh."):
			return "would remove files of other layers"
		}
	}
	return ""
}

// checkText says what is wrong with text that will be in a layer and on a screen.
func checkText(s string) string {
	if !utf8.ValidString(s) {
		return "is not UTF-8"
	}
	for _, r := range s {
		if unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) {
			return "has a control character"
		}
	}
	return ""
}

// parent is the folder of a path, "" for the root.
func parent(p string) string {
	if i := strings.LastIndexByte(p, '/'); i >= 0 {
		return p[:i]
	}
	return ""
}
