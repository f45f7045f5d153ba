package lock

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"unicode"
	"unicode/utf8"
)

// maxDepth bounds the nesting of a lock; a real one is six deep.
const maxDepth = 100

// StrictJSON refuses a document that two JSON readers could understand differently: a key
// twice in one object, nesting deeper than 100, invalid UTF-8, anything after the value.
func StrictJSON(raw []byte) error { return strict(raw) }

// strict reads raw token by token before encoding/json sees it, because that
// package merges duplicate keys, matches names in any case and stops after the
// first document. It returns an error for a duplicate key, nesting deeper than
// maxDepth, invalid UTF-8, control characters in text, or anything after the value.
func strict(raw []byte) error {
	if !utf8.Valid(raw) {
		return errors.New("it is not valid UTF-8")
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	if err := value(dec, raw, 0); err != nil {
		return err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("line %d: there is something after the document's end", line(raw, dec.InputOffset()))
	}
	return nil
}

func value(dec *json.Decoder, raw []byte, depth int) error {
	if depth > maxDepth {
		return fmt.Errorf("line %d: nested deeper than %d", line(raw, dec.InputOffset()), maxDepth)
	}
	tok, err := dec.Token()
	if err != nil {
		return located(raw, dec, err)
	}
	delim, ok := tok.(json.Delim)
	if s, isText := tok.(string); isText {
		return plain(raw, dec, s)
	}
	if !ok {
		return nil
	}
	seen := map[string]bool{}
	for dec.More() {
		if delim == '{' {
			key, err := dec.Token()
			if err != nil {
				return located(raw, dec, err)
			}
			name := key.(string) // the decoder only ever gives strings here
			if seen[name] {
				return fmt.Errorf("line %d: key %+q stands twice", line(raw, dec.InputOffset()), clip(name))
			}
			seen[name] = true
			if err := plain(raw, dec, name); err != nil {
				return err
			}
		}
		if err := value(dec, raw, depth+1); err != nil {
			return err
		}
	}
	if _, err := dec.Token(); err != nil { // the closing delimiter
		return located(raw, dec, err)
	}
	return nil
}

// plain refuses text that would do something to a terminal: what a lock says is shown.
func plain(raw []byte, dec *json.Decoder, s string) error {
	for _, r := range s {
		if unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) {
			return fmt.Errorf("line %d: %+q holds the control character %U", line(raw, dec.InputOffset()), clip(s), r)
		}
	}
	return nil
}

func located(raw []byte, dec *json.Decoder, err error) error {
	at := dec.InputOffset()
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) {
		at = syntax.Offset
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("line %d: it ends too early", line(raw, at))
	}
	return fmt.Errorf("line %d: %w", line(raw, at), err)
}

func line(raw []byte, offset int64) int {
	return 1 + bytes.Count(raw[:min(int64(len(raw)), max(0, offset))], []byte{'\n'})
}

// clip keeps messages short: text from the input is cut at 120 bytes.
func clip(s string) string {
	if len(s) > 120 {
		return s[:120] + "…"
	}
	return s
}
