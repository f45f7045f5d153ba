package strictjson

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"
)

// The bounds: real statements and manifests are a dozen levels deep, and even a large SBOM
// keeps its packages in arrays.
const (
	MaxDepth = 100
	MaxKeys  = 100_000 // in all objects that are open at one place
)

// Check reads raw token by token. It returns an error that gives the place for a key twice
// in one object, nesting deeper than [MaxDepth], more than [MaxKeys] open keys, invalid
// UTF-8, a syntax error, or anything after the value.
func Check(raw []byte) error {
	if !utf8.Valid(raw) {
		return errors.New("it is not valid UTF-8")
	}
	c := checker{dec: json.NewDecoder(bytes.NewReader(raw)), raw: raw}
	c.dec.UseNumber()
	if err := c.value(0); err != nil {
		return err
	}
	if _, err := c.dec.Token(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("byte %d: there is something after the document's end", c.dec.InputOffset())
	}
	return nil
}

type checker struct {
	dec  *json.Decoder
	raw  []byte
	keys int // of the objects that are open
}

func (c *checker) value(depth int) error {
	if depth > MaxDepth {
		return fmt.Errorf("byte %d: nested deeper than %d", c.dec.InputOffset(), MaxDepth)
	}
	tok, err := c.dec.Token()
	if err != nil {
		return c.located(err)
	}
	switch tok {
	case json.Delim('{'):
		return c.object(depth)
	case json.Delim('['):
		for c.dec.More() {
			if err := c.value(depth + 1); err != nil {
				return err
			}
		}
		return c.end()
	}
	return nil
}

func (c *checker) object(depth int) error {
	var seen map[string]bool
	for c.dec.More() {
		tok, err := c.dec.Token()
		if err != nil {
			return c.located(err)
		}
		name, ok := tok.(string)
		if !ok {
			return fmt.Errorf("byte %d: a key is no text", c.dec.InputOffset())
		}
		if seen[name] {
			return fmt.Errorf("byte %d: key %s stands twice", c.dec.InputOffset(), Quote(name))
		}
		if seen == nil {
			seen = map[string]bool{}
		}
		seen[name] = true
		if c.keys++; c.keys > MaxKeys {
			return fmt.Errorf("byte %d: more than %d keys", c.dec.InputOffset(), MaxKeys)
		}
		if err := c.value(depth + 1); err != nil {
			return err
		}
	}
	c.keys -= len(seen)
	return c.end()
}

func (c *checker) end() error {
	if _, err := c.dec.Token(); err != nil {
		return c.located(err)
	}
	return nil
}

func (c *checker) located(err error) error {
	var syntax *json.SyntaxError
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("byte %d: it ends too early", len(c.raw))
	case errors.As(err, &syntax):
		return fmt.Errorf("byte %d: %s", syntax.Offset, Clip(syntax.Error()))
	}
	return fmt.Errorf("byte %d: %w", c.dec.InputOffset(), err)
}

// Object takes a checked object apart. Every key must be one of allowed, spelt exactly so.
func Object(raw []byte, allowed ...string) (map[string]json.RawMessage, error) {
	var m map[string]json.RawMessage
	if err := json.Unmarshal(raw, &m); err != nil || m == nil {
		return nil, errors.New("it is no JSON object")
	}
	for k := range m {
		if !slices.Contains(allowed, k) {
			return nil, fmt.Errorf("unknown key %s; known are %s", Quote(k), strings.Join(allowed, ", "))
		}
	}
	return m, nil
}

// Quote shows text from outside: escaped, at most 120 bytes of it.
func Quote(s string) string { return fmt.Sprintf("%+q", Clip(s)) }

// Clip cuts text at 120 bytes, between characters.
func Clip(s string) string {
	if len(s) <= 120 {
		return s
	}
	n := 120
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + "…"
}
