package trust

import (
	"testing"
	"time"
)

func TestExactlyOneRuleAppliesToARepository(t *testing.T) {
	hub, err := ParseScope("Docker.io/x/*")
	if err != nil {
		t.Fatal(err)
	}
	p := &Policy{Rules: []Rule{
		{Name: "rest", Repositories: []Scope{"*"}},
		{Name: "team", Repositories: []Scope{"r.example/ml/*"}, Mirrors: []Mirror{{At: "m.example/copy/*", Of: "r.example/ml/*"}, {At: "m.example/one", Of: "r.example/ml/train"}}},
		{Name: "train", Repositories: []Scope{"r.example/ml/train"}},
		{Name: "hub", Repositories: []Scope{hub}},
		{Name: "below", Repositories: []Scope{"r.example/ml/train/*"}},
	}}
	for _, row := range []struct{ repository, rule, original string }{
		{"r.example/ml/train", "train", "r.example/ml/train"},
		{"r.example/ml/train/x", "below", "r.example/ml/train/x"},
		{"r.example/ml/other", "team", "r.example/ml/other"},
		{"r.example/ml", "rest", "r.example/ml"},
		{"r.example/mlx/a", "rest", "r.example/mlx/a"},
		{"r.example.evil/ml/train", "rest", "r.example.evil/ml/train"},
		{"m.example/copy/a/b", "team", "r.example/ml/a/b"},
		{"m.example/one", "team", "r.example/ml/train"},
		{"m.example/one/two", "rest", "m.example/one/two"},
		{"R.Example/ml/train", "train", "r.example/ml/train"}, // another spelling is no way around a rule
		{"r.example:443/ml/train", "train", "r.example/ml/train"},
		{"r.example./ml/train", "train", "r.example/ml/train"},
		{"r.example.:443/ml/train", "train", "r.example/ml/train"},
		{"r.example:444/ml/train", "rest", "r.example:444/ml/train"},
		{"registry-1.docker.io/x/y", "hub", "index.docker.io/x/y"},
	} {
		r, original := p.For(row.repository)
		if r == nil || r.Name != row.rule || original != row.original {
			t.Errorf("%s: %+v %q, want %q %q", row.repository, r, original, row.rule, row.original)
		}
	}
	p.Rules = p.Rules[1:]
	if r, _ := p.For("other.example/a"); r != nil {
		t.Errorf("no rule is about it, and yet %q applies", r.Name)
	}
}

func TestPatternsFitFromEndToEnd(t *testing.T) {
	for _, row := range []struct {
		m    Match
		s    string
		fits bool
	}{
		{Match{Text: "a.b"}, "a.b", true}, {Match{Text: "a.b"}, "axb", false}, {Match{Text: "a"}, "a\n", false},
		{Match{}, "", false}, {Match{Pattern: true}, "", false},
		{Match{Text: "github.com/org/.+", Pattern: true}, "github.com/org/x", true},
		{Match{Text: "github.com/org/.+", Pattern: true}, "evil.com/github.com/org/x", false},
		{Match{Text: "a|b", Pattern: true}, "ax", false}, {Match{Text: "a|b", Pattern: true}, "xb", false}, {Match{Text: "a|b", Pattern: true}, "b", true},
		{Match{Text: "(?m)a$", Pattern: true}, "a\nevil", false}, {Match{Text: "(?m)^a", Pattern: true}, "evil\na", false},
		{Match{Text: "a)|(b", Pattern: true}, "b", false}, {Match{Text: "a.", Pattern: true}, "a\n", false},
	} {
		if got := row.m.Fits(row.s); got != row.fits {
			t.Errorf("%v fits %q: %v", row.m, row.s, got)
		}
	}
}

func TestKeysAndDenialsHaveTheirTimes(t *testing.T) {
	day := func(n int) time.Time { return time.Date(2026, 11, n, 0, 0, 0, 0, time.UTC) }
	s := Signer{From: day(2), Until: day(4)}
	for n, want := range map[int]bool{1: false, 2: true, 4: true, 5: false} {
		if s.ValidAt(day(n)) != want {
			t.Errorf("day %d: %v", n, !want)
		}
	}
	d := Denied{Issued: day(1), Until: day(9), Entries: []Denial{{Image: "sha256:a"}, {Key: "sha256:k", Since: day(3)}, {Identity: Match{Text: "x"}}}}
	for name, row := range map[string]struct{ got, want bool }{
		"denied image":            {d.Image("sha256:a") != nil, true},
		"another image":           {d.Image("sha256:b") != nil, false},
		"no digest":               {d.Image("") != nil, false},
		"key, before":             {d.Key("sha256:k", day(2)) != nil, false},
		"key, after":              {d.Key("sha256:k", day(3)) != nil, true},
		"key, nobody proved when": {d.Key("sha256:k", time.Time{}) != nil, true},
		"identity, always":        {d.Identity("x", day(1)) != nil, true},
		"another identity":        {d.Identity("y", day(1)) != nil, false},
		"no identity":             {d.Identity("", day(1)) != nil, false},
		"current":                 {d.Current(day(5)), true},
		"not issued yet":          {d.Current(day(1).Add(-time.Second)), false},
		"too old":                 {d.Current(day(10)), false},
	} {
		if row.got != row.want {
			t.Errorf("%s: %v", name, row.got)
		}
	}
}

func TestBasesFitByNameOrDigest(t *testing.T) {
	const sum = "sha256:00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
	for _, row := range []struct {
		want, base string
		fits       bool
	}{
		{"debian trixie", "debian trixie", true}, {"debian trixie", "debian bookworm", false},
		{"r.example/base/*", "r.example/base/python@" + sum, true}, {"r.example/base/*", "r.example/basex/python@" + sum, false},
		{"r.example/base", "r.example/base@" + sum, true}, {"r.example/base@" + sum, "r.example/base@" + sum, true},
		{"r.example/base@" + sum, "r.example/other@" + sum, false}, {sum, "anywhere.example/x@" + sum, true}, {"*", "debian trixie", false},
	} {
		if got := BaseFits(row.want, row.base); got != row.fits {
			t.Errorf("%q takes %q: %v", row.want, row.base, got)
		}
	}
	for s, want := range map[string]bool{"r.example/a": true, "r.example/a/*": true, sum: true, "r.example/a@" + sum: true, "r.example/*@" + sum: false, "*": false, "trixie": false} {
		if IsBase(s) != want {
			t.Errorf("IsBase(%q) is %v", s, !want)
		}
	}
}
