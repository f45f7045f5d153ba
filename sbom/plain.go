package sbom

import (
	"io"
	"strings"
	"unicode"
	"unicode/utf8"
)

// odd says whether a rune may change what a person sees of a text: control characters, and
// those that turn text around or have no width.
func odd(r rune) bool {
	switch {
	case unicode.IsControl(r), unicode.Is(unicode.Bidi_Control, r), r >= 0x200b && r <= 0x200d, r == 0x2028, r == 0x2029, r == 0xfeff:
		return true
	}
	return false
}

// plain shows odd runes as the replacement character, and cuts what is too long for a name.
func plain(s string) string {
	if len(s) > 4096 {
		s = s[:4096]
	}
	return strings.ToValidUTF8(strings.Map(func(r rune) rune {
		if odd(r) {
			return utf8.RuneError
		}
		return r
	}, s), "\ufffd")
}

// plainJSON passes a JSON document on with each odd rune of its strings replaced, but for
// line feeds and tabs. Every text in a document, whichever field it is in, comes from the
// image.
type plainJSON struct {
	w    io.Writer
	held []byte // the begin of an escape or a rune
	out  []byte
}

// Write implements io.Writer. A document ends with a line feed, so that nothing stays held.
func (p *plainJSON) Write(b []byte) (int, error) {
	in := append(p.held, b...)
	p.out = p.out[:0]
	for len(in) > 0 {
		n := p.step(in)
		if n == 0 {
			break
		}
		in = in[n:]
	}
	p.held = append([]byte(nil), in...)
	if _, err := p.w.Write(p.out); err != nil {
		return 0, err
	}
	return len(b), nil
}

// step takes one escape or rune; 0: it is not whole yet.
func (p *plainJSON) step(in []byte) int {
	if in[0] == '\\' {
		if len(in) < 2 {
			return 0
		}
		if in[1] == 'b' || in[1] == 'f' || in[1] == 'r' {
			p.out = append(p.out, `\ufffd`...)
			return 2
		}
		if in[1] != 'u' {
			p.out = append(p.out, in[:2]...)
			return 2
		}
		if len(in) < 6 {
			return 0
		}
		r := rune(0)
		for _, c := range in[2:6] {
			r = r<<4 | rune(hexDigit(c|0x20))
		}
		if odd(r) && r != '\n' && r != '\t' {
			p.out = append(p.out, `\ufffd`...)
		} else {
			p.out = append(p.out, in[:6]...)
		}
		return 6
	}
	if in[0] < utf8.RuneSelf {
		if in[0] == 0x7f {
			p.out = append(p.out, `\ufffd`...)
		} else {
			p.out = append(p.out, in[0]) // below 0x20 only between values
		}
		return 1
	}
	if !utf8.FullRune(in) {
		return 0
	}
	r, n := utf8.DecodeRune(in)
	if odd(r) {
		r = utf8.RuneError
	}
	p.out = utf8.AppendRune(p.out, r)
	return n
}
