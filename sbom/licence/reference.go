package licence

import (
	"crypto/sha256"
	"encoding/hex"
	"regexp"
	"strings"
)

// Ref is a licence that SPDX's list does not have, or that its name does not tell.
type Ref struct {
	ID    string // "LicenseRef-BSD"
	Words string // the package's own
	Text  string // of the licence; empty: none is at hand
}

// Bounds of a reference, in bytes.
const (
	maxText = 64 << 10
	maxName = 40
)

// reference makes one. Other words or another text are another reference: its name ends with
// a sum where it does not say all.
func reference(words, text string) Ref {
	words = strings.Join(strings.Fields(words), " ")
	text = strings.TrimSpace(text)
	var b strings.Builder
	for _, r := range words {
		switch {
		case r >= '0' && r <= '9', r >= 'A' && r <= 'Z', r >= 'a' && r <= 'z', r == '.':
			b.WriteRune(r)
		case b.Len() > 0 && !strings.HasSuffix(b.String(), "-"):
			b.WriteByte('-')
		}
		if b.Len() >= maxName {
			break
		}
	}
	name := strings.Trim(b.String(), "-.")
	if name != words || text != "" {
		sum := sha256.Sum256([]byte(words + "\x00" + text))
		if name != "" {
			name += "-"
		}
		name += hex.EncodeToString(sum[:4])
	}
	if len(words) > 1024 {
		words = strings.ToValidUTF8(words[:1024], "") + " …"
	}
	if len(text) > maxText {
		text = strings.ToValidUTF8(text[:maxText], "") + "\n…"
	}
	return Ref{"LicenseRef-" + name, words, text}
}

var nameless = regexp.MustCompile(`^LicenseRef-[0-9a-f]{8}$`)

// Nameless tells whether a reference stands for a text alone, for which there are no words.
func Nameless(id string) bool { return nameless.MatchString(id) }

var summed = regexp.MustCompile(`^LicenseRef-(.+)-[0-9a-f]{8}$`)

// Called are the words that one of forge's references has in its own name, as far as a name can
// hold them; "": it is none of these.
func Called(id string) string {
	if m := summed.FindStringSubmatch(id); m != nil {
		return m[1]
	}
	return ""
}

// Unknown is a licence of which there are words and perhaps a text, and no meaning.
func Unknown(words, text string) Licence {
	if strings.TrimSpace(words) == "" && strings.TrimSpace(text) == "" {
		return Licence{}
	}
	r := reference(words, text)
	return Licence{r.ID, []Ref{r}}
}
