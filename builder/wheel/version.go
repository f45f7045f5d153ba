package wheel

import (
	"regexp"
	"strings"
)

// The grammar of PEP 440, appendix B.
var pep440 = regexp.MustCompile(`^v?(?:([0-9]+)!)?([0-9]+(?:\.[0-9]+)*)` +
	`(?:[-_.]?(alpha|a|beta|b|preview|pre|c|rc)[-_.]?([0-9]*))?` +
	`(?:-([0-9]+)|[-_.]?(post|rev|r)[-_.]?([0-9]*))?` +
	`(?:[-_.]?(dev)[-_.]?([0-9]*))?` +
	`(?:\+([a-z0-9]+(?:[-_.][a-z0-9]+)*))?$`)

// NormalizeVersion returns the one spelling of a version (PEP 440), trailing zeros of the
// release left out: "1.0.0" and "v1" give "1".
func NormalizeVersion(v string) (string, error) {
	m := pep440.FindStringSubmatch(strings.ToLower(strings.TrimSpace(v)))
	if m == nil || len(v) > 200 {
		return "", refuse("WHL-08", "", -1, "version %s is not a version of PEP 440", q(v))
	}
	var out strings.Builder
	if epoch := number(m[1]); epoch != "0" {
		out.WriteString(epoch + "!")
	}
	release := strings.Split(m[2], ".")
	for i := range release {
		release[i] = number(release[i])
	}
	for len(release) > 1 && release[len(release)-1] == "0" {
		release = release[:len(release)-1]
	}
	out.WriteString(strings.Join(release, "."))
	if m[3] != "" {
		name := map[string]string{"alpha": "a", "beta": "b", "preview": "rc", "pre": "rc", "c": "rc"}[m[3]]
		if name == "" {
			name = m[3]
		}
		out.WriteString(name + number(m[4]))
	}
	if m[5] != "" {
		out.WriteString(".post" + number(m[5]))
	} else if m[6] != "" {
		out.WriteString(".post" + number(m[7]))
	}
	if m[8] != "" {
		out.WriteString(".dev" + number(m[9]))
	}
	if m[10] != "" {
		parts := runs.Split(m[10], -1)
		for i, p := range parts {
			if strings.Trim(p, "0123456789") == "" {
				parts[i] = number(p)
			}
		}
		out.WriteString("+" + strings.Join(parts, "."))
	}
	return out.String(), nil
}

// number strips leading zeros; nothing is zero.
func number(s string) string {
	s = strings.TrimLeft(s, "0")
	if s == "" {
		return "0"
	}
	return s
}

// SameVersion says whether two spellings mean one version of PEP 440.
func SameVersion(a, b string) bool {
	x, err := NormalizeVersion(a)
	if err != nil {
		return false
	}
	y, err := NormalizeVersion(b)
	return err == nil && x == y
}
