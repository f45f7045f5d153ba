package strictjson

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestCheckRefusesWhatTwoReadersReadDifferently(t *testing.T) {
	many := func(n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, `"k%d":0,`, i)
		}
		return "{" + strings.TrimSuffix(b.String(), ",") + "}"
	}
	for _, c := range []struct{ name, in, want string }{
		{"a plain document", `{"a":[1,{"b":null}],"c":"ſ"}`, ""},
		{"one key in two objects", `[{"a":1},{"a":1}]`, ""},
		{"a key twice", `{"a":1,"b":2,"a":3}`, `byte 14: key "a" stands twice`},
		{"a key twice, once escaped", `{"a":1,"\u0061":3}`, `stands twice`},
		{"a key twice among many", `{"0":{"a":1,"b":2},` + many(40)[1:len(many(40))-1] + `,"k3":1}`, `key "k3" stands twice`},
		{"a key twice after an array of objects", `{"a":[{"b":1},{"b":"}"}],"c":",","a":"{"}`, `key "a" stands twice`},
		{"a quote in a key", `{"a\"":1,"a\"":2}`, `stands twice`},
		{"a backslash at a key's end", `{"a\\":1,"b":{"a\\":2}}`, ``},
		{"a second document", `{} {"x":1}`, "after the document's end"},
		{"garbage after it", `{}x`, "after the document's end"},
		{"at the depth", strings.Repeat("[", MaxDepth) + strings.Repeat("]", MaxDepth), ""},
		{"one deeper", strings.Repeat("[", MaxDepth+1) + strings.Repeat("]", MaxDepth+1), "nested deeper than 100"},
		{"very deep, never closed", strings.Repeat("[", 1<<20), "nested deeper than 100"},
		{"at the number of keys", many(MaxKeys), ""},
		{"one key more", many(MaxKeys + 1), "more than 100000 keys"},
		{"not UTF-8", "{\"a\xff\":1}", "not valid UTF-8"},
		{"cut off", `{"a":`, "ends too early"},
		{"empty", "", "ends too early"},
	} {
		err := Check([]byte(c.in))
		if (c.want == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
}

func TestObjectKnowsExactKeysOnly(t *testing.T) {
	if _, err := Object([]byte(`{"subject":1,"ſubject":2}`), "subject"); err == nil || !strings.Contains(err.Error(), `"\u017fubject"`) {
		t.Errorf("a key that encoding/json takes for another: %v", err)
	}
	m, err := Object([]byte(`{"subject":1}`), "subject")
	if err != nil || string(m["subject"]) != "1" {
		t.Errorf("%v, %v", m, err)
	}
	for _, bad := range []string{`null`, `[]`, `1`} {
		if _, err := Object([]byte(bad)); err == nil {
			t.Errorf("%s was taken for an object", bad)
		}
	}
}

// What an object holds is what encoding/json finds in it.
func FuzzObject(f *testing.F) {
	for _, s := range []string{`{}`, ` { "a" : 1 , "b":[1,{"c":"}\\""}],"a":{} } `, `{"\u0061":"x","a\\":null}`, `[1]`, `null`, `"{"`, ` `, `{"a":1}x`, "{\"\xff\":\t-1e5}", `{"":""}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		var want map[string]json.RawMessage
		err := json.Unmarshal(raw, &want)
		got, ok := map[string]json.RawMessage(nil), false
		if json.Valid(raw) {
			got, ok = parts(raw)
		}
		if ok != (err == nil && want != nil) || ok && !maps.EqualFunc(got, want, func(a, b json.RawMessage) bool { return bytes.Equal(a, b) }) {
			t.Errorf("%q: %q, %v; encoding/json finds %q, %v", raw, got, ok, want, err)
		}
	})
}

func FuzzCheck(f *testing.F) {
	f.Add([]byte(`{"a":[1,{"b":null}]}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		err := Check(raw)
		if err == nil && !json.Valid(raw) {
			t.Errorf("%q is no JSON", raw)
		}
		if !json.Valid(raw) || !utf8.Valid(raw) || err != nil && strings.Contains(err.Error(), "deeper") {
			return
		}
		if twice := duplicate(raw); (err != nil) != twice {
			t.Errorf("%q: %v, a reader token by token says %v", raw, err, twice)
		}
	})
}

// duplicate is a slow reader of another make: it says whether a key stands twice.
func duplicate(raw []byte) bool {
	dec := json.NewDecoder(bytes.NewReader(raw))
	var value func(int) bool
	value = func(depth int) bool {
		tok, err := dec.Token()
		if err != nil || depth > MaxDepth {
			return false
		}
		seen := map[string]bool{}
		switch tok {
		case json.Delim('{'):
			for dec.More() {
				k, err := dec.Token()
				name, ok := k.(string)
				if err != nil || !ok || seen[name] {
					return ok && seen[name]
				}
				seen[name] = true
				if value(depth + 1) {
					return true
				}
			}
			_, _ = dec.Token()
		case json.Delim('['):
			for dec.More() {
				if value(depth + 1) {
					return true
				}
			}
			_, _ = dec.Token()
		}
		return false
	}
	return value(0)
}

func BenchmarkCheck(b *testing.B) {
	raw := []byte(`{"a":[` + strings.Repeat(`{"name":"x","version":"1"},`, 1<<15) + `0,` + strings.Repeat("0,", 1<<18) + `0]}`)
	b.SetBytes(int64(len(raw)))
	for b.Loop() {
		if err := Check(raw); err != nil {
			b.Fatal(err)
		}
	}
}
