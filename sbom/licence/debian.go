package licence

import (
	"regexp"
	"slices"
	"strings"
)

// debian are short names of Debian's that SPDX's list has under others. GPL-2+ and its like
// are read by their form. Source: DEP-5 (copyright-format 1.0), "Short license names".
var debian = map[string]string{
	"expat": "MIT", "x11": "X11", "cc0": "CC0-1.0", "boost-1.0": "BSL-1.0", "zlib/libpng": "Zlib", "python-2": "Python-2.0", "psf-2": "PSF-2.0",
	"perl": "(GPL-1.0-or-later OR Artistic-1.0-Perl)", "w3c": "W3C", "eclipse-1.0": "EPL-1.0", "mpl-2": "MPL-2.0", "apache-2": "Apache-2.0",
	"gfdl-niv-1.2+": "GFDL-1.2-no-invariants-or-later", "gfdl-niv-1.3+": "GFDL-1.3-no-invariants-or-later", "gfdl-niv-1.2": "GFDL-1.2-no-invariants-only",
	"gfdl-niv-1.3": "GFDL-1.3-no-invariants-only",
}

var (
	gnu       = regexp.MustCompile(`(?i)^(A?GPL|LGPL|GFDL)-?v?(\d)(?:\.(\d))?(?:\.0)?(\+|-or-later|-only)?$`)
	exception = regexp.MustCompile(`(?i)^(\S+) with (.+?)[ -]exception(?:-([\d.]+))?$`)
)

// exceptions are those that Debian's files name, for the licence they go with.
var exceptions = map[string]map[string]string{
	"gcc":              {"3.1": "GCC-exception-3.1", "2.0": "GCC-exception-2.0", "GPL-3.0-or-later": "GCC-exception-3.1"},
	"gcc runtime":      {"3.1": "GCC-exception-3.1", "GPL-3.0-or-later": "GCC-exception-3.1"},
	"autoconf":         {"2.0": "Autoconf-exception-2.0", "3.0": "Autoconf-exception-3.0", "GPL-2.0-or-later": "Autoconf-exception-2.0", "GPL-3.0-or-later": "Autoconf-exception-3.0"},
	"libtool":          {"": "Libtool-exception"},
	"bison":            {"2.2": "Bison-exception-2.2", "": "Bison-exception-2.2"},
	"font":             {"2.0": "Font-exception-2.0", "": "Font-exception-2.0"},
	"classpath":        {"2.0": "Classpath-exception-2.0", "": "Classpath-exception-2.0"},
	"llvm":             {"": "LLVM-exception"},
	"linux-syscall":    {"": "Linux-syscall-note"},
	"texinfo":          {"": "Texinfo-exception"},
	"universal-foss":   {"1.0": "Universal-FOSS-exception-1.0"},
	"openjdk assembly": {"": "OpenJDK-assembly-exception-1.0"},
	"ecos":             {"": "eCos-exception-2.0", "2.0": "eCos-exception-2.0"},
}

// debianID is what one of Debian's short names means.
func debianID(name string) string {
	if m := exception.FindStringSubmatch(name); m != nil {
		base, list := debianID(m[1]), exceptions[strings.ToLower(m[2])]
		e := list[m[3]]
		if e == "" && m[3] == "" {
			e = list[base]
		}
		if base == "" || e == "" {
			return spdxID(name)
		}
		s, ok := Valid(base + " WITH " + e)
		if !ok {
			return ""
		}
		return s
	}
	if m := gnu.FindStringSubmatch(name); m != nil {
		minor := m[3]
		if minor == "" {
			minor = "0"
		}
		suffix := "-only"
		if m[4] == "+" || strings.EqualFold(m[4], "-or-later") {
			suffix = "-or-later"
		}
		return spdxID(strings.ToUpper(m[1]) + "-" + m[2] + "." + minor + suffix)
	}
	if id, ok := debian[strings.ToLower(name)]; ok {
		return id
	}
	return spdxID(name)
}

// Bounds of a copyright file.
const (
	maxCopyright = 4 << 20 // in bytes, of what is looked at
	maxLicences  = 500     // that differ
)

// Debian reads a copyright file that machines can read (DEP-5): the licences of its files,
// sorted, each once. ok is false for a file of another form, or of one with too many.
func Debian(file []byte) (list []Licence, ok bool) {
	if len(file) > maxCopyright {
		return nil, false
	}
	stanzas := stanzasOf(string(file))
	if len(stanzas) == 0 || !strings.Contains(stanzas[0]["format"], "copyright-format") {
		return nil, false
	}
	texts := map[string]string{}
	var said []string
	for i, s := range stanzas {
		words, text, _ := strings.Cut(s["license"], "\n")
		if words = strings.Join(strings.Fields(words), " "); words == "" && strings.TrimSpace(text) == "" {
			continue
		}
		if text = undot(text); text != "" && texts[words] == "" {
			texts[words] = text
		}
		if _, files := s["files"]; (files || i == 0) && !slices.Contains(said, words) {
			if said = append(said, words); len(said) > maxLicences {
				return nil, false
			}
		}
	}
	if len(said) == 0 { // licences alone
		for words := range texts {
			said = append(said, words)
		}
	}
	for _, words := range said {
		list = append(list, short(words, texts))
	}
	slices.SortFunc(list, func(a, b Licence) int { return strings.Compare(a.Expression, b.Expression) })
	list = slices.CompactFunc(list, func(a, b Licence) bool { return a.Expression == b.Expression })
	return list, len(list) > 0
}

// short reads what a file says in one line.
func short(words string, texts map[string]string) Licence {
	n := parse(words, debianID)
	if n == nil {
		return Unknown(words, texts[words])
	}
	var out Licence
	n.each(func(leaf *node) {
		if leaf.id == "" {
			r := reference(leaf.name, texts[leaf.name])
			leaf.id, out.Refs = r.ID, append(out.Refs, r)
		}
	})
	e, ok := Valid(n.String())
	if !ok {
		return Unknown(words, texts[words])
	}
	out.Expression = e
	return out
}

// undot gives a text its blank lines back.
func undot(text string) string {
	lines := strings.Split(text, "\n")
	for i, l := range lines {
		if l = strings.TrimRight(strings.TrimPrefix(l, " "), " \t\r"); l == "." {
			l = ""
		}
		lines[i] = l
	}
	return strings.TrimSpace(strings.Join(lines, "\n"))
}

// stanzasOf reads paragraphs of fields; names in small letters, the first of each counts.
// Source: Debian Policy, 5.1.
func stanzasOf(text string) []map[string]string {
	var out []map[string]string
	var at map[string]string
	key := ""
	var value strings.Builder
	flush := func() {
		if _, twice := at[key]; key != "" && !twice {
			at[key] = value.String()
		}
		key = ""
		value.Reset()
	}
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\r\n")
		switch {
		case strings.TrimSpace(line) == "":
			flush()
			at = nil
		case line[0] == '#':
		case line[0] == ' ' || line[0] == '\t':
			value.WriteByte('\n')
			value.WriteString(line)
		default:
			flush()
			k, v, found := strings.Cut(line, ":")
			if !found {
				continue
			}
			if at == nil {
				at = map[string]string{}
				out = append(out, at)
			}
			key = strings.ToLower(strings.TrimSpace(k))
			value.WriteString(strings.TrimSpace(v))
		}
	}
	flush()
	return out
}
