package resolve

import (
	"bytes"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"

	"github.com/forge-build/forge/builder/debian"
)

// FuzzInRelease changes a signed Release file: no change makes other text of it that is
// taken for signed.
func FuzzInRelease(f *testing.F) {
	r := &repository{key: key(f), date: clock.Add(-time.Hour)}
	const text = "Origin: Debian\nSuite: stable\nCodename: trixie\n"
	whole := r.sign(text, r.key)
	f.Add(whole)
	f.Add(append([]byte("x\n"), whole...))
	f.Add(append(bytes.Clone(whole), whole...))
	f.Add(bytes.Replace(whole, []byte("trixie"), []byte("trixie\n- -----BEGIN"), 1))
	f.Add(bytes.Replace(whole, []byte("Hash:"), []byte("NotHash: x\nHash:"), 1))
	f.Add(bytes.Replace(whole, []byte("Codename: trixie\n"), []byte("Codename: trixie \t\r\n"), 1))
	want := signedLines(text)
	f.Fuzz(func(t *testing.T, raw []byte) {
		got, err := signedText(raw, openpgp.EntityList{r.key}, func(time.Time) time.Time { return clock })
		if err != nil {
			if got != nil {
				t.Fatal("an error and a text")
			}
			return
		}
		// RFC 9580, 7.2: blanks at the ends of lines and the kind of line end are not signed.
		if signedLines(string(got)) != want {
			t.Fatalf("taken for signed: %q", got)
		}
		_, _ = debian.ParseRelease(got) // must end
	})
}

// signedLines is a text without what a signature does not cover.
func signedLines(s string) string {
	var out []byte
	for line := range bytes.SplitSeq(bytes.TrimRight([]byte(s), "\r\n"), []byte("\n")) {
		out = append(append(out, bytes.TrimRight(line, " \t\r")...), '\n')
	}
	return string(out)
}
