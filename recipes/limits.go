package recipes

import (
	"bytes"
	"unicode"
	"unicode/utf8"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// MaxBytes is the largest recipe, in bytes.
const MaxBytes = 1 << 20

// Further limits of a recipe's text.
const (
	maxNest   = 200
	maxDigits = 30
	maxTokens = 200_000
	maxPieces = 4_000 // of one text: the parser joins them in quadratic time
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
	if len(src) > MaxBytes {
		return hcl.Diagnostics{mistake(at(0), "Recipe too large", "HCL-05: the file has more than %d bytes.", MaxBytes)}
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
		case r < ' ' && r != '\n' && r != '\t' && r != '\r', r >= 0x7f && r < 0xa0:
			return hcl.Diagnostics{mistake(at(i), "Control character in the recipe", "HCL-05: %U does not belong into text; in a string it is written \\u%04x.", r, r)}
		case unicode.Is(unicode.Bidi_Control, r):
			return hcl.Diagnostics{mistake(at(i), "Text that is turned around", "HCL-05: %U makes a line look different from what it says.", r)}
		}
		i += n
	}
	if first := bytes.TrimLeft(src, " \t\r\n"); len(first) > 0 && first[0] == '{' {
		return hcl.Diagnostics{mistake(at(0), "JSON recipe", "HCL-05: a recipe is HCL in its native syntax: image \"name\" { … }.")}
	}
	end := wordsEnd(src)
	if diags := checkTokens(path, src[:end]); diags.HasErrors() {
		return diags
	}
	if end < len(src) {
		return hcl.Diagnostics{mistake(at(end), "Recipe too large", "HCL-05: the file has more than %d words and signs.", maxTokens)}
	}
	return nil
}

// wordsEnd is where a text has maxTokens words and signs, comments and strings included, or
// its length: no lexer makes many more tokens of that, and each takes a hundred bytes.
func wordsEnd(src []byte) int {
	n, inWord := 0, false
	for i, c := range src {
		word := c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_' || c >= 0x80
		if c != ' ' && c != '\t' && (!word || !inWord) {
			if n++; n > maxTokens {
				return i
			}
		}
		inWord = word
	}
	return len(src)
}

// level is an open bracket, and what was counted when it opened.
type level struct {
	open       hclsyntax.TokenType
	conditions int
	operators  int
}

// nesting counts how deep a parser must go: brackets, and what follows one another without
// a bracket and yet nests, as conditions and operators do. What stands inside a bracket is
// counted on top of what led to it.
type nesting struct {
	stack []level
	now   level
}

func (n *nesting) open(t hclsyntax.TokenType) {
	n.stack = append(n.stack, level{t, n.now.conditions, n.now.operators})
}

// shut closes a bracket; one that does not fit closes nothing, so that a wrong one cannot
// hide a level.
func (n *nesting) shut(open hclsyntax.TokenType) {
	last := len(n.stack) - 1
	if last < 0 || n.stack[last].open != open && !(open == hclsyntax.TokenTemplateInterp && n.stack[last].open == hclsyntax.TokenTemplateControl) {
		return
	}
	n.now = n.stack[last]
	n.stack = n.stack[:last]
}

// restart is where one expression ends and the next begins at the same level.
func (n *nesting) restart() {
	n.now = level{}
	if last := len(n.stack) - 1; last >= 0 {
		n.now = n.stack[last]
	}
}

// inBlock says whether a line feed ends an expression here.
func (n *nesting) inBlock() bool {
	last := len(n.stack) - 1
	return last < 0 || n.stack[last].open == hclsyntax.TokenOBrace
}

// token takes one token; next is the one after it.
func (n *nesting) token(t, next hclsyntax.Token) {
	switch t.Type {
	case hclsyntax.TokenOBrace, hclsyntax.TokenOParen, hclsyntax.TokenTemplateInterp:
		n.open(t.Type)
	case hclsyntax.TokenOBrack: // a[0][0][0] nests too
		n.now.operators++
		n.open(t.Type)
	case hclsyntax.TokenTemplateControl: // so does %{ if }%{ if }
		switch string(next.Bytes) {
		case "if", "for":
			n.now.conditions++
		case "endif", "endfor":
			n.now.conditions = max(0, n.now.conditions-1)
		}
		n.open(t.Type)
	case hclsyntax.TokenCBrace:
		n.shut(hclsyntax.TokenOBrace)
	case hclsyntax.TokenCBrack:
		n.shut(hclsyntax.TokenOBrack)
	case hclsyntax.TokenCParen:
		n.shut(hclsyntax.TokenOParen)
	case hclsyntax.TokenTemplateSeqEnd:
		n.shut(hclsyntax.TokenTemplateInterp)
	case hclsyntax.TokenComma:
		n.restart()
	case hclsyntax.TokenNewline, hclsyntax.TokenComment:
		if n.inBlock() && bytes.HasSuffix(t.Bytes, []byte("\n")) {
			n.restart()
		}
	case hclsyntax.TokenQuestion:
		n.now.conditions++
	case hclsyntax.TokenPlus, hclsyntax.TokenMinus, hclsyntax.TokenBang, hclsyntax.TokenStar, hclsyntax.TokenSlash, hclsyntax.TokenPercent, hclsyntax.TokenDot,
		hclsyntax.TokenAnd, hclsyntax.TokenOr, hclsyntax.TokenEqualOp, hclsyntax.TokenNotEqual,
		hclsyntax.TokenGreaterThan, hclsyntax.TokenGreaterThanEq, hclsyntax.TokenLessThan, hclsyntax.TokenLessThanEq:
		n.now.operators++
	}
}

func (n *nesting) tooDeep() bool {
	return len(n.stack) > maxNest || n.now.conditions > maxNest || n.now.operators > 5*maxNest
}

// checkTokens looks at the token stream, which hclsyntax makes without recursion.
func checkTokens(path string, src []byte) hcl.Diagnostics {
	tokens, _ := hclsyntax.LexConfig(src, path, hcl.InitialPos) // what is wrong the parser says too
	var n nesting
	pieces := 0
	for i, t := range tokens {
		if t.Type != hclsyntax.TokenQuotedLit && t.Type != hclsyntax.TokenStringLit {
			pieces = 0
		} else if pieces++; pieces > maxPieces {
			return hcl.Diagnostics{mistake(t.Range, "Text too long", "HCL-05: a text of more than %d lines or signs ($, %%) belongs into a file that file(\"…\") reads.", maxPieces)}
		}
		if t.Type == hclsyntax.TokenNumberLit {
			if d := checkNumber(t); d != nil {
				return hcl.Diagnostics{d}
			}
		}
		n.token(t, tokens[min(i+1, len(tokens)-1)])
		if n.tooDeep() {
			return hcl.Diagnostics{mistake(t.Range, "Nested too deep", "HCL-01: nested deeper than %d.", maxNest)}
		}
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
