package licence

import (
	"slices"
	"strings"
)

// Metadata is what a Python distribution's METADATA says of its licence. Source: PEP 639, and
// core metadata before it.
type Metadata struct {
	Expression  string   // License-Expression
	Licence     string   // License
	Classifiers []string // "License :: …" alone
	Files       []string // License-File: below the folder dist-info, or its folder licenses
}

// Bounds of METADATA.
const (
	maxHead  = 1 << 20 // in bytes, of what is looked at
	maxLines = 1000    // of classifiers and files
)

// ReadMetadata reads the head of METADATA or PKG-INFO. Of a field that may be there once the
// first counts, as it does for pip.
func ReadMetadata(b []byte) Metadata {
	if len(b) > maxHead {
		b = b[:maxHead]
	}
	var m Metadata
	var key string
	fields := map[string][]string{}
	for line := range strings.Lines(string(b)) {
		line = strings.TrimRight(line, "\r\n")
		if line == "" {
			break
		}
		if line[0] == ' ' || line[0] == '\t' {
			if n := len(fields[key]); n > 0 {
				fields[key][n-1] += "\n" + strings.TrimLeft(line, " \t|")
			}
			continue
		}
		var value string
		key, value, _ = strings.Cut(line, ":")
		key = strings.ToLower(strings.TrimSpace(key))
		switch key {
		case "license-expression", "license", "classifier", "license-file":
			if len(fields[key]) < maxLines {
				fields[key] = append(fields[key], strings.TrimSpace(value))
			}
		}
	}
	first := func(key string) string {
		if len(fields[key]) == 0 || strings.EqualFold(fields[key][0], "unknown") {
			return ""
		}
		return strings.TrimSpace(fields[key][0])
	}
	m.Expression, m.Licence, m.Files = first("license-expression"), first("license"), fields["license-file"]
	for _, c := range fields["classifier"] {
		if strings.HasPrefix(c, "License ::") && c != "License :: OSI Approved" {
			m.Classifiers = append(m.Classifiers, c)
		}
	}
	return m
}

// Declared is what the words mean. text is that of the licence's files, which a reference
// keeps. The first that has one meaning counts: the expression, the line of text, a classifier
// that is the only one. Several classifiers do not say whether one may choose.
func (m Metadata) Declared(text string) Licence {
	if l, ok := Expression(m.Expression); ok {
		return l
	}
	if m.Expression != "" {
		return Unknown(m.Expression, text)
	}
	line, more, _ := strings.Cut(m.Licence, "\n")
	if more == "" {
		if l, ok := Words(line); ok {
			return l
		}
	}
	if c := unique(m.Classifiers); len(c) == 1 {
		if l, ok := Words(c[0][strings.LastIndex(c[0], "::")+2:]); ok {
			return l
		}
	}
	switch {
	case more != "": // the whole text of a licence
		return Unknown("", m.Licence)
	case line != "":
		return Unknown(line, text)
	case len(m.Classifiers) > 0:
		var short []string
		for _, c := range unique(m.Classifiers) {
			short = append(short, strings.TrimSpace(c[strings.LastIndex(c, "::")+2:]))
		}
		return Unknown(strings.Join(short, ", "), text)
	}
	return Licence{}
}

func unique(list []string) []string {
	out := slices.Clone(list)
	slices.Sort(out)
	return slices.Compact(out)
}

// Words reads free text: a name, or names that are joined as in an expression. It is taken only
// if each name has one meaning.
func Words(s string) (Licence, bool) {
	s = strings.Join(strings.Fields(s), " ")
	if s == "" || len(s) > maxWords {
		return Licence{}, false
	}
	if id := named(s); id != "" {
		return Licence{Expression: id}, true
	}
	n := parse(s, named)
	if n == nil || !n.known() {
		return Licence{}, false
	}
	e, ok := Valid(n.String())
	return Licence{Expression: e}, ok
}
