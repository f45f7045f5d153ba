package report

import (
	"math"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// colorsOf are the values of a style's variables in one of its blocks, the last of a name.
func colorsOf(css string) map[string]float64 {
	m := map[string]float64{}
	for _, v := range regexp.MustCompile(`--([a-z]+):#([0-9a-f]+)`).FindAllStringSubmatch(css, -1) {
		hex := v[2]
		if len(hex) == 3 {
			hex = string([]byte{hex[0], hex[0], hex[1], hex[1], hex[2], hex[2]})
		}
		m[v[1]] = luminance(hex)
	}
	return m
}

// luminance is WCAG 2's relative luminance of rrggbb.
func luminance(hex string) float64 {
	var l float64
	for i, weight := range []float64{0.2126, 0.7152, 0.0722} {
		n, err := strconv.ParseUint(hex[2*i:2*i+2], 16, 8)
		if err != nil {
			return math.NaN()
		}
		c := float64(n) / 255
		if c <= 0.04045 {
			c /= 12.92
		} else {
			c = math.Pow((c+0.055)/1.055, 2.4)
		}
		l += weight * c
	}
	return l
}

// WCAG 2.2, 1.4.3: text has a contrast of 4.5 to what lies behind it.
func TestTextCanBeReadInLightInDarkAndOnPaper(t *testing.T) {
	light, rest, _ := strings.Cut(pageCSS, "@media (prefers-color-scheme:dark)")
	dark, _, _ := strings.Cut(rest, "}}")
	_, paper, _ := strings.Cut(rest, "@media print")
	for scheme, css := range map[string]string{"light": light, "dark": dark, "paper": paper} {
		c := colorsOf(css)
		if len(c) < 20 {
			t.Fatalf("%s: %d colours", scheme, len(c))
		}
		for text, behind := range map[string]string{"ink": "bg card faint", "soft": "bg card faint", "link": "bg card", "good": "goodbg card", "warn": "warnbg card", "bad": "badbg card", "info": "infobg",
			"tile": "gpu torch python os app forge base"} {
			for _, b := range strings.Fields(behind) {
				l, d := max(c[text], c[b]), min(c[text], c[b])
				if ratio := (l + 0.05) / (d + 0.05); !(ratio >= 4.5) {
					t.Errorf("%s: %s on %s has a contrast of %.2f", scheme, text, b, ratio)
				}
			}
		}
	}
}
