package recipes

import (
	"bytes"
	"unicode/utf8"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// Limits of a recipe's text.
const (
	maxBytes  = 1 << 20
	maxNest   = 200
	maxDigits = 30
	maxTokens = 200_000
)

// checkText refuses, before any parser runs, what could make one fail: its size, bytes that
// are no text, nesting, and numbers whose value takes longer to compute than to read.
func checkText(path string, src []byte) hcl.Diagnostics {
	at := func(offset int) hcl.Range {
		line := bytes.Count(src[:offset], []byte{'\n'})
		start := bytes.LastIndexByte(src[:offset], '\n') + 1
		pos := hcl.Pos{Line: line + 1, Column: offset - start + 1, Byte: offset}
		return hcl.Range{Filename: path, Start: pos, End: pos}
	}
	if len(src) > maxBytes {
		return hcl.Diagnostics{mistake(at(0), "Recipe too large", "HCL-05: the file has more than %d bytes.", maxBytes)}
	}
	if bytes.HasPrefix(src, []byte("\xef\xbb\xbf")) {
		return hcl.Diagnostics{mistake(at(0), "Byte order mark", "HCL-05: the file begins with a byte order mark; save it as plain UTF-8.")}
	}
	for i := 0; i < len(src); {
		r, n := utf8.DecodeRune(src[i:])
		switch {
		case r == utf8.RuneError && n == 1:
			return hcl.Diagnostics{mistake(at(i), "Invalid UTF-8", "HCL-05: byte %#02x at offset %d is not UTF-8.", src[i], i)}
		case r == 0:
			return hcl.Diagnostics{mistake(at(i), "NUL in the recipe", "HCL-05: a recipe is text.")}
		case r >= 0x202a && r <= 0x202e, r >= 0x2066 && r <= 0x2069:
			return hcl.Diagnostics{mistake(at(i), "Text that is turned around", "HCL-05: %U makes a line look different from what it says.", r)}
		}
		i += n
	}
	if first := bytes.TrimLeft(src, " \t\r\n"); len(first) > 0 && first[0] == '{' {
		return hcl.Diagnostics{mistake(at(0), "JSON recipe", "HCL-05: a recipe is HCL in its native syntax: image \"name\" { … }.")}
	}
	if d := checkNesting(src, at); d != nil {
		return d
	}
	return checkTokens(path, src)
}

// checkNesting counts brackets of any kind, and unary operators in a row, on raw bytes.
// Brackets in strings and comments count too, which no real recipe minds.
func checkNesting(src []byte, at func(int) hcl.Range) hcl.Diagnostics {
	depth, row := 0, 0
	for i, c := range src {
		switch c {
		case '(', '[', '{':
			depth++
		case ')', ']', '}':
			depth = max(0, depth-1)
		}
		switch c {
		case '!', '-', '?':
			row++
		case ' ', '\t', '\n', '\r':
		default:
			if c != ':' {
				row = 0
			}
		}
		if depth > maxNest || row > maxNest && c != '-' || row > 4*maxNest {
			return hcl.Diagnostics{mistake(at(i), "Nested too deep", "HCL-01: nested deeper than %d.", maxNest)}
		}
	}
	return nil
}

// checkTokens looks at the token stream, which hclsyntax makes without recursion.
func checkTokens(path string, src []byte) hcl.Diagnostics {
	tokens, _ := hclsyntax.LexConfig(src, path, hcl.InitialPos) // what is wrong the parser says too
	conditions, operators := 0, 0
	for _, t := range tokens {
		switch t.Type {
		case hclsyntax.TokenNumberLit:
			if d := checkNumber(t); d != nil {
				return hcl.Diagnostics{d}
			}
		case hclsyntax.TokenQuestion:
			conditions++
		case hclsyntax.TokenNewline:
			conditions, operators = 0, 0
		case hclsyntax.TokenPlus, hclsyntax.TokenMinus, hclsyntax.TokenBang, hclsyntax.TokenStar, hclsyntax.TokenSlash, hclsyntax.TokenDot, hclsyntax.TokenAnd, hclsyntax.TokenOr:
			operators++
		}
		if conditions > maxNest || operators > 20*maxNest {
			return hcl.Diagnostics{mistake(t.Range, "Nested too deep", "HCL-01: nested deeper than %d.", maxNest)}
		}
	}
	if len(tokens) > maxTokens {
		return hcl.Diagnostics{mistake(tokens[maxTokens].Range, "Recipe too large", "HCL-05: more than %d words and signs.", maxTokens)}
	}
	return nil
}

func checkNumber(t hclsyntax.Token) *hcl.Diagnostic {
	mantissa, exponent, _ := bytes.Cut(bytes.ToLower(t.Bytes), []byte{'e'})
	digits := bytes.TrimLeft(exponent, "+-0")
	if len(mantissa) > maxDigits || len(digits) > 2 || len(digits) == 2 && string(digits) > "30" {
		return mistake(t.Range, "Number out of range", "HCL-02: a number has at most %d digits and an exponent of at most 30.", maxDigits)
	}
	return nil
}
