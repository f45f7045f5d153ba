package sbom

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"strings"
	"testing"
)

func TestADocumentThatWouldTakeAllMemoryIsRefused(t *testing.T) { // SBM-01
	rep := strings.Repeat
	for name, row := range map[string]struct{ text, says string }{
		"ten million empty components":     {`{"bomFormat":"CycloneDX","components":[` + rep(`{},`, 10_000_000) + `{}]}`, "more than 120000 packages"},
		"in other letters":                 {`{"Components": [` + rep(`{},`, 200_000) + `{}]}`, "more than 120000 packages"},
		"in escapes":                       {`{"\u0063omponents":[` + rep(`{},`, 200_000) + `{}]}`, "more than 120000 packages"},
		"inside one another":               {`{"components":[{"components":[` + rep(`{},`, 200_000) + `{}]}]}`, "more than 120000 packages"},
		"SPDX":                             {`{"spdxVersion":"SPDX-2.3","packages":[` + rep(`{},`, 200_000) + `{}]}`, "more than 120000 packages"},
		"Syft's":                           {`{"artifacts":[` + rep(`{},`, 200_000) + `{}]}`, "more than 120000 packages"},
		"two million relationships":        {`{"relationships":[` + rep(`{},`, 2_000_000) + `{}]}`, "more than 370000 objects"},
		"packages of SPDX count for more":  {`{"packages":[` + rep(`{"externalRefs":[{}]},`, 92_501) + `{}]}`, "more than 370000 objects"},
		"packages of SPDX that may be":     {`{"packages":[` + rep(`{"externalRefs":[{}]},`, 92_498) + `{}]}`, ""},
		"components that may be":           {`{"components":[` + rep(`{"hashes":[{}]},`, 119_998) + `{}]}`, ""},
		"a deep one":                       {rep(`{"components":[`, 100_000), "nested deeper"},
		"deep arrays":                      {`{"a":` + rep(`[`, 100_000), "nested deeper"},
		"a list":                           {`[]`, "no JSON object"},
		"XML":                              {`<bom/>`, "no JSON object"},
		"nothing":                          {``, "unexpected EOF"},
		"cut off":                          {`{"components":[{"name":"x`, "unexpected EOF"},
		"closed twice":                     {`{}}`, "nothing is open"},
		"a name with brackets is no array": {`{"components":"[{[{", "x":[{"components":{}}]}`, ""},
		"escapes":                          {`{"a\\":"\"[","b":"\\"}`, ""},
	} {
		err := CheckDocument(strings.NewReader(row.text))
		if row.says == "" && err != nil || row.says != "" && (err == nil || !strings.Contains(err.Error(), row.says)) {
			t.Errorf("%s: %v, want %q", name, err, row.says)
		}
		if _, err := Load(strings.NewReader(row.text)); err == nil {
			t.Errorf("%s: it is loaded", name)
		}
	}
}

// What is JSON passes where it is small, whatever it holds. Seeded, and no fuzz target: one in
// this package would instrument all of Syft.
func TestJSONPassesWhateverItHolds(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	var value func(depth int) any
	text := func() string {
		signs := []rune("{}[]\":,\\\u0000\u202eé components")
		var b strings.Builder
		for range r.IntN(12) {
			b.WriteRune(signs[r.IntN(len(signs))])
		}
		return b.String()
	}
	value = func(depth int) any {
		switch n := r.IntN(6); {
		case n == 0 && depth < 8:
			out := map[string]any{}
			for range r.IntN(5) {
				out[text()] = value(depth + 1)
			}
			return out
		case n == 1 && depth < 8:
			out := []any{}
			for range r.IntN(5) {
				out = append(out, value(depth+1))
			}
			return out
		case n == 2:
			return r.Float64()
		case n == 3:
			return nil
		}
		return text()
	}
	for range 3000 {
		raw, err := json.Marshal(map[string]any{text(): value(0), "components": value(0), "x": []any{value(1)}})
		if err != nil {
			t.Fatal(err)
		}
		if err := CheckDocument(bytes.NewReader(raw)); err != nil {
			t.Fatalf("%s: %v", raw, err)
		}
		cut := raw[:r.IntN(len(raw))]
		if err := CheckDocument(bytes.NewReader(cut)); err == nil {
			t.Fatalf("%s passes, cut off", cut)
		}
	}
}
