package report

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxText is how many characters of a name or a sentence are shown.
const maxText = 160

// show makes text of strangers fit to be shown: what cannot be seen, moves the cursor or
// turns text around is written as an escape, and long text is cut and says how long it was.
func show(s string) string { return shown(s, maxText) }

// sentence is show for text that is read, not compared.
func sentence(s string) string { return shown(s, 3*maxText) }

// shown is s in at most so many characters, escapes included.
func shown(s string, most int) string {
	var b strings.Builder
	n, marks := 0, 0
	for i, r := range s {
		if unicode.In(r, unicode.Mn, unicode.Me) {
			marks++
		} else {
			marks = 0
		}
		_, size := utf8.DecodeRuneInString(s[i:])
		text := string(r)
		switch {
		case r == utf8.RuneError && size == 1:
			text = fmt.Sprintf(`\x%02x`, s[i])
		case r == '\n' || r == '\t':
			text = " "
		case r == utf8.RuneError: // what a JSON reader makes of bytes that are no UTF-8
			text = escaped(r)
		case marks > 2 || r != ' ' && !unicode.IsGraphic(r) || unicode.Is(unicode.Zs, r) && r != ' ':
			text = escaped(r)
		}
		if n += utf8.RuneCountInString(text); n > most {
			fmt.Fprintf(&b, "… (%s bytes in all)", thousands(int64(len(s))))
			break
		}
		b.WriteString(text)
	}
	return b.String()
}

func escaped(r rune) string {
	q := strconv.QuoteRuneToASCII(r)
	return q[1 : len(q)-1]
}

// link returns an address that a person may follow, or nothing: https, a host, no user.
func link(s string) string {
	if len(s) > 500 {
		return ""
	}
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil || show(s) != s && len(s) <= maxText {
		return ""
	}
	for _, r := range u.Hostname() {
		if !(r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '.' || r == '-') {
			return ""
		}
	}
	return u.String()
}

// size writes a number of bytes the way people compare images: MB = 10⁶ bytes.
func size(n int64) string {
	switch {
	case n >= 1e9:
		return fmt.Sprintf("%.2f GB", float64(n)/1e9)
	case n >= 1e8:
		return fmt.Sprintf("%.0f MB", float64(n)/1e6)
	case n >= 1e5:
		return fmt.Sprintf("%.1f MB", float64(n)/1e6)
	case n >= 1e3:
		return fmt.Sprintf("%.1f kB", float64(n)/1e3)
	}
	return fmt.Sprintf("%d B", n)
}

// thousands writes 12345 as 12,345.
func thousands(n int64) string {
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// count writes "1 package", "2 packages".
func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return thousands(int64(n)) + " " + many
}

// short is a digest as people compare it.
func short(digest string) string {
	if isDigest(digest) {
		return digest[7:19]
	}
	return show(digest)
}

// several joins names, shown, as a sentence does; past most it says how many more there are.
func several(names []string, most int) string {
	var out []string
	for i, n := range names {
		if i == most {
			return strings.Join(out, ", ") + " and " + thousands(int64(len(names)-most)) + " more"
		}
		out = append(out, show(n))
	}
	if n := len(out); n > 1 {
		return strings.Join(out[:n-1], ", ") + " and " + out[n-1]
	}
	return strings.Join(out, "")
}

// date is the day of an RFC 3339 time.
func date(s string) string {
	if len(s) >= 10 && len(s) <= 40 {
		return show(s[:10])
	}
	return show(s)
}
