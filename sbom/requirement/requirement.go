package requirement

import (
	"errors"
	"fmt"
	"strings"
)

// Requirement is what a Python distribution needs. Source: PEP 508.
type Requirement struct {
	Name   string   // normalised
	Extras []string // normalised
	Marker string
}

// Max bounds one, in bytes.
const Max = 16 << 10

// Parse reads one. Versions and addresses are passed over.
func Parse(s string) (Requirement, error) {
	var r Requirement
	if len(s) > Max {
		return r, fmt.Errorf("a requirement of %d bytes", len(s))
	}
	s, r.Marker, _ = cutMarker(s)
	name := strings.TrimLeft(s, " \t")
	end := strings.IndexFunc(name, func(c rune) bool {
		return (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') && c != '.' && c != '-' && c != '_'
	})
	rest := ""
	if end >= 0 {
		name, rest = name[:end], strings.TrimSpace(name[end:])
	}
	if r.Name = Normal(name); r.Name == "" {
		return r, errors.New("no name")
	}
	if strings.HasPrefix(rest, "[") {
		list, _, ok := strings.Cut(rest[1:], "]")
		if !ok {
			return r, errors.New("extras do not end")
		}
		for _, e := range strings.Split(list, ",") {
			if e = Normal(strings.TrimSpace(e)); e != "" {
				r.Extras = append(r.Extras, e)
			}
		}
	}
	return r, nil
}

// cutMarker splits at the semicolon; behind a URL it must follow a blank.
func cutMarker(s string) (before, marker string, found bool) {
	if at := strings.Index(s, "@"); at >= 0 && !strings.Contains(s[:at], ";") {
		i := strings.Index(s[at:], " ;")
		if i < 0 {
			return s, "", false
		}
		return s[:at+i], s[at+i+2:], true
	}
	return strings.Cut(s, ";")
}

// Normal is a Python project's normal name. Source: PEP 503.
func Normal(name string) string {
	var b strings.Builder
	dash := false
	for _, r := range strings.ToLower(name) {
		if r == '-' || r == '_' || r == '.' {
			dash = true
			continue
		}
		if dash && b.Len() > 0 {
			b.WriteByte('-')
		}
		dash = false
		b.WriteRune(r)
	}
	return b.String()
}

// cut bounds text of the image in a message.
func cut(s string) string {
	if len(s) > 200 {
		return s[:200] + "…"
	}
	return s
}
