package strictjson

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
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
		{"a key twice", `{"a":1,"b":2,"a":3}`, `byte 16: key "a" stands twice`},
		{"a key twice, once escaped", `{"a":1,"\u0061":3}`, `stands twice`},
		{"a second document", `{} {"x":1}`, "after the document's end"},
		{"garbage after it", `{}x`, "after the document's end"},
		{"at the depth", strings.Repeat("[", MaxDepth) + strings.Repeat("]", MaxDepth), ""},
		{"one deeper", strings.Repeat("[", MaxDepth+2) + strings.Repeat("]", MaxDepth+2), "nested deeper than 100"},
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

func FuzzCheck(f *testing.F) {
	f.Add([]byte(`{"a":[1,{"b":null}]}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		if Check(raw) == nil && !json.Valid(raw) {
			t.Errorf("%q is no JSON", raw)
		}
	})
}
