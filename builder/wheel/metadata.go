package wheel

import (
	"regexp"
	"strings"
	"unicode/utf8"
)

// Metadata is the head of a METADATA file. Source: the core metadata specifications,
// PEP 241 to PEP 794.
type Metadata struct {
	MetadataVersion   string
	Name              string
	Version           string
	Summary           string
	HomePage          string
	Author            string
	License           string
	LicenseExpression string
	LicenseFiles      []string
	Classifiers       []string
	RequiresDist      []string // as written
	RequiresPython    string
	Extras            []string // Provides-Extra
	Dynamic           []string
}

// Fields that may come more than once; of all others a second one is an error.
var manyFields = map[string]bool{
	"classifier": true, "dynamic": true, "import-name": true, "import-namespace": true, "license-file": true,
	"obsoletes": true, "obsoletes-dist": true, "platform": true, "project-url": true, "provides": true, "provides-dist": true,
	"provides-extra": true, "requires": true, "requires-dist": true, "requires-external": true, "supported-platform": true,
}

// Fields by which tools act: they stand on one line.
var lineFields = map[string]bool{
	"metadata-version": true, "name": true, "version": true, "requires-dist": true, "requires-python": true,
	"provides-extra": true, "dynamic": true,
}

type header struct{ key, value string }

// parseHeaders reads "Key: value" lines up to the first empty line. What follows is never
// looked at.
func parseHeaders(data []byte, file, id string) ([]header, error) {
	if !utf8.Valid(data) {
		return nil, refuse(id, file, -1, "%s is not UTF-8", file)
	}
	var hs []header
	var folded []string // further lines of the last field
	end := func() {
		if len(folded) > 0 {
			hs[len(hs)-1].value += "\n" + strings.Join(folded, "\n")
			folded = nil
		}
	}
	text := string(data)
	for n := 1; text != ""; n++ {
		var line string
		line, text, _ = strings.Cut(text, "\n")
		line = strings.TrimSuffix(line, "\r")
		if line == "" {
			break
		}
		if strings.ContainsAny(line, "\x00\r") {
			return nil, refuse(id, file, -1, "%s line %d has a control character", file, n)
		}
		if line[0] == ' ' || line[0] == '\t' {
			if len(hs) == 0 {
				return nil, refuse(id, file, -1, "%s starts with a continuation line", file)
			}
			if last := hs[len(hs)-1]; lineFields[last.key] && strings.TrimSpace(line) != "" {
				return nil, refuse(id, file, -1, "%s line %d continues %s, which must stand on one line", file, n, q(hs[len(hs)-1].key))
			}
			folded = append(folded, strings.TrimSpace(line))
			continue
		}
		key, value, ok := strings.Cut(line, ":")
		if !ok || key == "" || strings.ContainsAny(key, " \t") {
			return nil, refuse(id, file, -1, "%s line %d is no field: %s", file, n, q(line))
		}
		end()
		hs = append(hs, header{strings.ToLower(key), strings.TrimSpace(value)})
	}
	end()
	return hs, nil
}

var requirementName = regexp.MustCompile(`^([A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)[ \t]*(?:\[[A-Za-z0-9._, \t-]*\])?[ \t]*(.*)$`)

// ParseMetadata reads a METADATA file. Direct references ("name @ URL") are refused: what
// an image is made of is in its lock.
func ParseMetadata(data []byte) (Metadata, error) {
	var m Metadata
	hs, err := parseHeaders(data, "METADATA", "WHL-05")
	if err != nil {
		return m, err
	}
	seen := map[string]bool{}
	for _, h := range hs {
		if seen[h.key] && !manyFields[h.key] {
			return m, refuse("WHL-05", "METADATA", -1, "METADATA has field %s twice", q(h.key))
		}
		seen[h.key] = true
		if err := m.set(h); err != nil {
			return m, err
		}
	}
	switch {
	case m.MetadataVersion == "":
		return m, refuse("WHL-05", "METADATA", -1, "METADATA has no Metadata-Version")
	case !strings.HasPrefix(m.MetadataVersion, "1.") && !strings.HasPrefix(m.MetadataVersion, "2."):
		return m, refuse("WHL-05", "METADATA", -1, "Metadata-Version %s is not 1 or 2", q(m.MetadataVersion))
	case !distName.MatchString(m.Name):
		return m, refuse("WHL-05", "METADATA", -1, "Name %s is not a name of a distribution", q(m.Name))
	}
	if _, err := NormalizeVersion(m.Version); err != nil {
		return m, refuse("WHL-05", "METADATA", -1, "Version %s is not a version of PEP 440", q(m.Version))
	}
	return m, nil
}

func (m *Metadata) set(h header) error {
	switch h.key {
	case "metadata-version":
		m.MetadataVersion = h.value
	case "name":
		m.Name = h.value
	case "version":
		m.Version = h.value
	case "summary":
		m.Summary = h.value
	case "home-page":
		m.HomePage = h.value
	case "author":
		m.Author = h.value
	case "license":
		m.License = h.value
	case "license-expression":
		m.LicenseExpression = h.value
	case "license-file":
		m.LicenseFiles = append(m.LicenseFiles, h.value)
	case "classifier":
		m.Classifiers = append(m.Classifiers, h.value)
	case "requires-python":
		m.RequiresPython = h.value
	case "provides-extra":
		m.Extras = append(m.Extras, h.value)
	case "requires-dist":
		r := requirementName.FindStringSubmatch(h.value)
		if r == nil {
			return refuse("WHL-05", "METADATA", -1, "Requires-Dist %s does not start with a name", q(h.value))
		}
		if strings.HasPrefix(r[2], "@") {
			return refuse("WHL-05", "METADATA", -1, "Requires-Dist %s is a direct reference", q(h.value))
		}
		m.RequiresDist = append(m.RequiresDist, h.value)
	case "dynamic":
		if v := strings.ToLower(h.value); v == "name" || v == "version" || v == "metadata-version" {
			return refuse("WHL-05", "METADATA", -1, "Dynamic: %s is not possible in a wheel", q(h.value))
		}
		m.Dynamic = append(m.Dynamic, h.value)
	}
	return nil
}

// wheelFile is the WHEEL file.
type wheelFile struct {
	pureLib bool
	build   string
	tags    []Tag
}

func parseWheelFile(data []byte) (wheelFile, error) {
	var w wheelFile
	hs, err := parseHeaders(data, "WHEEL", "WHL-02")
	if err != nil {
		return w, err
	}
	seen := map[string]bool{}
	for _, h := range hs {
		// auditwheel adds a second Root-Is-Purelib to what torch-c-dlpack-ext (below xgrammar
		// and vLLM) is built as. Both roots are one folder in forge's environments, so nothing
		// hangs on which of them a reader believes; the first is taken, as pip does.
		if seen[h.key] && h.key != "tag" && h.key != "root-is-purelib" {
			return w, refuse("WHL-02", "WHEEL", -1, "WHEEL has field %s twice", q(h.key))
		}
		first := !seen[h.key]
		seen[h.key] = true
		switch h.key {
		case "wheel-version":
			if !wheelVersion.MatchString(h.value) {
				return w, refuse("WHL-02", "WHEEL", -1, "Wheel-Version %s is not 1", q(h.value))
			}
		case "root-is-purelib":
			switch strings.ToLower(h.value) {
			case "true":
				w.pureLib = w.pureLib || first
			case "false":
			default:
				return w, refuse("WHL-02", "WHEEL", -1, "Root-Is-Purelib is %s, not true or false", q(h.value))
			}
		case "build":
			w.build = h.value
		case "tag":
			parts := strings.Split(h.value, "-")
			if len(parts) != 3 {
				return w, refuse("WHL-02", "WHEEL", -1, "Tag %s is not python-abi-platform", q(h.value))
			}
			tags, ok := expandTags(parts)
			if !ok || len(w.tags) > 1000 {
				return w, refuse("WHL-02", "WHEEL", -1, "Tag %s is not python-abi-platform", q(h.value))
			}
			w.tags = append(w.tags, tags...)
		}
	}
	if !seen["wheel-version"] || !seen["root-is-purelib"] || len(w.tags) == 0 {
		return w, refuse("WHL-02", "WHEEL", -1, "WHEEL lacks Wheel-Version, Root-Is-Purelib or Tag")
	}
	return w, nil
}

var wheelVersion = regexp.MustCompile(`^1\.[0-9]+$`)
