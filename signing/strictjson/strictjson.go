package strictjson

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
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

// Check returns an error that gives the place for a syntax error, anything after the value,
// a key twice in one object, nesting deeper than [MaxDepth], more than [MaxKeys] open keys,
// or invalid UTF-8. It takes about as long as reading the document twice.
func Check(raw []byte) error {
	if !utf8.Valid(raw) {
		return errors.New("it is not valid UTF-8")
	}
	if err := nesting(raw); err != nil {
		return err
	}
	if !json.Valid(raw) { // which makes no copy, and gives no place
		var whole json.RawMessage
		return located(raw, json.Unmarshal(raw, &whole))
	}
	return keys(raw)
}

// nesting counts brackets, before any parser does.
func nesting(raw []byte) error {
	for i, depth := range marks(raw) {
		if depth > MaxDepth {
			return fmt.Errorf("byte %d: nested deeper than %d", i+1, MaxDepth)
		}
	}
	return nil
}

// marks are the places of commas and brackets outside of texts, and how deep it is behind each.
func marks(raw []byte) iter.Seq2[int, int] {
	return func(yield func(place, depth int) bool) {
		depth := 0
		for i := 0; i < len(raw); i++ {
			switch raw[i] {
			case '"':
				i = after(raw, i) - 1
				continue
			case '[', '{':
				depth++
			case ']', '}':
				depth--
			case ',':
			default:
				continue
			}
			if !yield(i, depth) {
				return
			}
		}
	}
}

// after is where the text that begins at i has ended.
func after(raw []byte, i int) int {
	for i++; i < len(raw); i++ {
		switch raw[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return len(raw)
}

// keys looks for keys that stand twice, in a document that is known to be JSON.
func keys(raw []byte) error {
	var open []names // one for each array and object around the place
	total, key := 0, false
	for i := 0; i < len(raw); i++ {
		switch raw[i] {
		case '{':
			open = append(open, names{})
			key = true
		case '[':
			open = append(open, names{array: true})
			key = false
		case '}', ']':
			total -= open[len(open)-1].count
			open = open[:len(open)-1]
			key = false
		case ',':
			key = len(open) > 0 && !open[len(open)-1].array
		case '"':
			end := after(raw, i)
			if key {
				name := raw[i:end]
				if !open[len(open)-1].add(name) {
					return fmt.Errorf("byte %d: key %s stands twice", i+1, Quote(plain(name)))
				}
				if total++; total > MaxKeys {
					return fmt.Errorf("byte %d: more than %d keys", i+1, MaxKeys)
				}
				key = false
			}
			i = end - 1
		}
	}
	return nil
}

// names are the keys of one object: a few side by side, many in a map.
type names struct {
	array bool
	count int
	few   []string
	many  map[string]bool
}

// add says whether a key is new.
func (n *names) add(quoted []byte) bool {
	name := plain(quoted)
	n.count++
	if n.many != nil {
		old := n.many[name]
		n.many[name] = true
		return !old
	}
	if slices.Contains(n.few, name) {
		return false
	}
	if n.few = append(n.few, name); len(n.few) > 16 {
		n.many = map[string]bool{}
		for _, f := range n.few {
			n.many[f] = true
		}
		n.few = nil
	}
	return true
}

// plain is a quoted text without its escapes.
func plain(quoted []byte) string {
	if bytes.IndexByte(quoted, '\\') < 0 && utf8.Valid(quoted) {
		return string(quoted[1 : len(quoted)-1])
	}
	var s string
	if json.Unmarshal(quoted, &s) != nil {
		return string(quoted)
	}
	return s
}

func located(raw []byte, err error) error {
	var syntax *json.SyntaxError
	switch {
	case !errors.As(err, &syntax):
		return err
	case syntax.Offset >= int64(len(raw)) && strings.Contains(syntax.Error(), "unexpected end"):
		return fmt.Errorf("byte %d: it ends too early", len(raw))
	case strings.Contains(syntax.Error(), "after top-level value"):
		return fmt.Errorf("byte %d: there is something after the document's end", syntax.Offset)
	}
	return fmt.Errorf("byte %d: %s", syntax.Offset, Clip(syntax.Error()))
}

// Object takes a checked object apart. Every key must be one of allowed, spelt exactly so.
func Object(raw []byte, allowed ...string) (map[string]json.RawMessage, error) {
	if !json.Valid(raw) {
		return nil, errors.New("it is no JSON object")
	}
	m, ok := parts(raw)
	if !ok {
		return nil, errors.New("it is no JSON object")
	}
	for k := range m {
		if !slices.Contains(allowed, k) {
			return nil, fmt.Errorf("unknown key %s; known are %s", Quote(k), strings.Join(allowed, ", "))
		}
	}
	return m, nil
}

// parts are the values of an object that is known to be JSON, by their keys; false: it is something
// else. They lie in raw: encoding/json would copy a predicate of many megabytes.
func parts(raw []byte) (map[string]json.RawMessage, bool) {
	const blank = " \t\r\n"
	rest := bytes.TrimLeft(raw, blank)
	if len(rest) == 0 || rest[0] != '{' {
		return nil, false
	}
	m := map[string]json.RawMessage{}
	for rest = bytes.TrimLeft(rest[1:], blank); rest[0] == '"'; rest = bytes.TrimLeft(rest[1:], blank) {
		end := after(rest, 0)
		key := plain(rest[:end])
		rest = bytes.TrimLeft(rest[end:], blank) // the colon
		rest = bytes.TrimLeft(rest[1:], blank)   // the value
		end = value(rest)
		m[key] = json.RawMessage(bytes.TrimRight(rest[:end:end], blank))
		if rest = rest[end:]; rest[0] == '}' {
			break
		}
	}
	return m, true
}

// value is where the value at the beginning of raw ends: at a comma or bracket that is not its own.
func value(raw []byte) int {
	for i, depth := range marks(raw) {
		if depth < 0 || depth == 0 && raw[i] == ',' {
			return i
		}
	}
	return len(raw)
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
