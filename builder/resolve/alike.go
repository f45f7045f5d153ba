package resolve

import (
	"fmt"
	"strings"
)

// alike says which distributions that nobody asked for are called almost as one that the recipe
// asks for: a name that was misread may bring a stranger's code. WHL-08.
func alike(chosen []version) (notes []string) {
	for _, asked := range chosen {
		for _, v := range chosen {
			if asked.requested && !v.requested && mistakable(asked.name, v.name) {
				notes = append(notes, fmt.Sprintf("%s is not %s, which the recipe asks for, though it is called almost the same; it comes for %s", v.name, asked.name, strings.Join(v.by, ", ")))
			}
		}
	}
	return notes
}

// sameLook writes what people misread in one way.
var sameLook = strings.NewReplacer("-", "", "0", "o", "1", "l", "i", "l", "5", "s", "rn", "m", "vv", "w")

// mistakable says whether two different normalised names look the same, or are, from five letters
// on, one slip of a hand apart: a letter more, less, another, or two that changed places.
func mistakable(a, b string) bool {
	if a == b {
		return false
	}
	if sameLook.Replace(a) == sameLook.Replace(b) {
		return true
	}
	if len(a) > len(b) {
		a, b = b, a
	}
	if len(a) < 5 || len(b)-len(a) > 1 {
		return false
	}
	n := 0
	for n < len(a) && a[n] == b[n] {
		n++
	}
	x, y := a[n:], b[n:]
	switch {
	case digit(y[0]) || x != "" && digit(x[0]): // cu12 and cu13 are told apart on purpose
		return false
	case len(x) < len(y):
		return x == y[1:]
	case x[1:] == y[1:]:
		return true
	}
	return len(x) > 1 && x[0] == y[1] && x[1] == y[0] && x[2:] == y[2:]
}

func digit(c byte) bool { return '0' <= c && c <= '9' }
