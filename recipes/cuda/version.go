package cuda

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
)

// Version is a driver or toolkit version: two to four dotted integers,
// "570.124.06". It keeps the text as printed and compares as numbers, since
// 525.105 is newer than 525.60. The zero Version means "not known".
type Version struct {
	text  string
	parts [4]uint64
}

// ParseVersion reads a version. Signs, blanks, suffixes, empty parts and parts of
// more than 18 digits are errors.
func ParseVersion(text string) (Version, error) {
	v := Version{text: text}
	fields := strings.Split(text, ".")
	if len(fields) < 2 || len(fields) > 4 {
		return Version{}, fmt.Errorf("parsing version %.60q: not two to four numbers with dots between", text)
	}
	for i, f := range fields {
		if f == "" || len(f) > 18 || strings.Trim(f, "0123456789") != "" {
			return Version{}, fmt.Errorf("parsing version %.60q: part %.30q is not a number", text, f)
		}
		n, err := strconv.ParseUint(f, 10, 64)
		if err != nil {
			return Version{}, fmt.Errorf("parsing version %.60q: %w", text, err)
		}
		v.parts[i] = n
	}
	return v, nil
}

// Compare returns -1, 0 or +1. A missing part counts as 0; leading zeros carry no meaning.
func (v Version) Compare(w Version) int {
	for i := range v.parts {
		if c := cmp.Compare(v.parts[i], w.parts[i]); c != 0 {
			return c
		}
	}
	return 0
}

// Less says whether v is older than w.
func (v Version) Less(w Version) bool { return v.Compare(w) < 0 }

// IsZero says whether the version is not known.
func (v Version) IsZero() bool { return v.text == "" }

// Major returns the first part; for a driver, its branch: 570 of "570.124.06".
func (v Version) Major() int { return int(v.parts[0]) }

// String returns the text as NVIDIA prints it, "unknown" for the zero Version.
func (v Version) String() string {
	if v.IsZero() {
		return "unknown"
	}
	return v.text
}

// minor returns "12.8" of "12.8.1".
func (v Version) minor() string {
	return strconv.FormatUint(v.parts[0], 10) + "." + strconv.FormatUint(v.parts[1], 10)
}

func mustVersion(text string) Version {
	v, err := ParseVersion(text)
	if err != nil {
		panic("internal error: " + err.Error())
	}
	return v
}
