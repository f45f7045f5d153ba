package report

import (
	"bytes"
	"fmt"
	"io"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode"

	"golang.org/x/net/html"

	"github.com/forge-build/forge/recipes/finding"
)

// attacks are names, versions and descriptions that strangers could write.
var attacks = []string{
	`<script>document.title='pwned'</script>`,
	`"><script src=https://hostile.invalid/x.js></script>`,
	`<img src=https://hostile.invalid/i.png onerror="document.title='pwned'">`,
	`' onmouseover='document.title="pwned"' x='`,
	`</title><script>document.title='pwned'</script>`,
	`</style><script>document.title='pwned'</script><style>@import url(https://hostile.invalid/c.css)`,
	`</svg><svg onload=document.title='pwned'>`,
	`javascript:document.title='pwned'`,
	"java\tscript:document.title='pwned'",
	`data:text/html,<script>document.title='pwned'</script>`,
	`<iframe src=https://hostile.invalid/f></iframe><base href=https://hostile.invalid/>`,
	`<meta http-equiv=refresh content="0;url=https://hostile.invalid/">`,
	`<link rel=stylesheet href=https://hostile.invalid/c.css><!--`,
	`{{.Policy}}{{template "map"}}`,
	"a\x00b\x1b[2Jc\rd\u0085e",
	"safe\u202egpj.exe\u2066\u200b\u200f\ufeff\U000e0041",
	"zalgo" + strings.Repeat("\u0301", 200),
	"\xff\xfe bad UTF-8",
	"\ufffd was bad UTF-8",
	"line\u2028sep\nline",
}

// poison puts an attack into each text of a report, whatever field is added to it.
func poison(v reflect.Value, attack string) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			poison(v.Elem(), attack)
		}
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			return
		}
		for i := range v.NumField() {
			poison(v.Field(i), attack)
		}
	case reflect.Slice:
		for i := range v.Len() {
			poison(v.Index(i), attack)
		}
	case reflect.String:
		switch v.String() {
		case Passed, Signed, "native", "ptx", "none", "wheels", "deb", "python", "image": // words that decide what is shown stay
		default:
			v.SetString(attack)
		}
	}
}

func render(t *testing.T, r *Report) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := r.WriteHTML(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func poisoned(attack string) *Report {
	r := sample()
	poison(reflect.ValueOf(r), attack)
	return r
}

func TestTextOfStrangersStaysText(t *testing.T) { // SBM-01
	for _, attack := range attacks {
		checkPage(t, fmt.Sprintf("%.40q", attack), render(t, poisoned(attack)))
		checkPage(t, fmt.Sprintf("not scanned, %.40q", attack), render(t, func() *Report {
			r := poisoned(attack)
			r.Scan, r.Previous, r.GPU, r.Tests.State = &finding.Document{NotScanned: attack}, &Previous{Problem: attack}, nil, attack
			return r
		}()))
		finished := poisoned(attack)
		finished.Origin, finished.Previous = Origin{}, nil
		for i := range finished.Layers {
			finished.Layers[i].Kind = "other"
		}
		checkPage(t, fmt.Sprintf("finished, %.40q", attack), render(t, finished))
	}
}

// elements and attributes that the page has; nothing in it can be another.
var (
	elements   = regexp.MustCompile(`^(html|head|meta|title|style|body|a|header|p|h[123]|code|ul|li|span|b|nav|main|section|figure|figcaption|svg|g|rect|text|div|table|caption|thead|tbody|tr|th|td|bdi|dl|dt|dd|pre|details|summary|footer)$`)
	attributes = regexp.MustCompile(`^(lang|charset|http-equiv|content|name|class|href|rel|id|aria-[a-z]+|role|viewBox|viewbox|preserveAspectRatio|preserveaspectratio|x|y|width|height|rx|scope|tabindex)$`)
)

func checkPage(t *testing.T, what string, page []byte) {
	t.Helper()
	z := html.NewTokenizer(bytes.NewReader(page))
	for {
		switch z.Next() {
		case html.ErrorToken:
			if z.Err() != io.EOF {
				t.Fatal(z.Err())
			}
			return
		case html.CommentToken:
			t.Fatalf("%s: comment %.80q", what, z.Raw())
		case html.StartTagToken, html.SelfClosingTagToken:
			tok := z.Token()
			if !elements.MatchString(tok.Data) {
				t.Fatalf("%s: element %q", what, tok.Data)
			}
			for _, a := range tok.Attr {
				if !attributes.MatchString(a.Key) {
					t.Fatalf("%s: <%s> has attribute %q", what, tok.Data, a.Key)
				}
				if a.Key == "href" && !strings.HasPrefix(a.Val, "#") && !strings.HasPrefix(a.Val, "https://") {
					t.Fatalf("%s: link to %q", what, a.Val)
				}
				visible(t, what, a.Val)
			}
		case html.TextToken:
			visible(t, what, string(z.Text()))
		}
	}
}

// visible fails for text that holds what a person cannot see.
func visible(t *testing.T, what, s string) {
	t.Helper()
	marks := 0
	for _, r := range s {
		if !unicode.In(r, unicode.Mn, unicode.Me) {
			marks = 0
		} else if marks++; marks > 2 {
			t.Fatalf("%s: a pile of marks, which covers other text, in %.60q", what, s)
		}
		if r != '\n' && r != ' ' && (!unicode.IsGraphic(r) || r == unicode.ReplacementChar) {
			t.Fatalf("%s: the page holds %q in %.60q", what, r, s)
		}
	}
}

func TestOnlyPlainAddressesBecomeLinks(t *testing.T) {
	for address, want := range map[string]string{
		"https://security-tracker.debian.org/tracker/CVE-2026-1": "https://security-tracker.debian.org/tracker/CVE-2026-1",
		"https://nvd.nist.gov/vuln/detail/CVE-2026-1?a=b#c":      "https://nvd.nist.gov/vuln/detail/CVE-2026-1?a=b#c",
		"http://plain.example/":                                  "",
		"javascript:alert(1)":                                    "",
		"JaVaScRiPt:alert(1)//https://":                          "",
		"\x01javascript:alert(1)":                                "",
		"data:text/html,x":                                       "",
		"//host/path":                                            "",
		"https://user:word@host/":                                "",
		"https://bücher.example/":                                "",
		"https://раураl.example/":                                "",
		"https://host/\u202egpj":                                 "",
		"https://host/" + strings.Repeat("a", 600):               "",
		"https:///x":                                             "",
		"":                                                       "",
	} {
		if got := link(address); got != want {
			t.Errorf("link(%.60q) = %q, want %q", address, got, want)
		}
	}
}

func TestShow(t *testing.T) {
	for text, want := range map[string]string{
		"numpy":                        "numpy",
		"حزمة 包 é":                     "حزمة 包 é",
		"a\nb\tc":                      "a b c",
		"a\x1b[2Jb\u202ec\u00a0d":      `a\x1b[2Jb\u202ec\u00a0d`,
		"\xff":                         `\xff`,
		"\ufffd":                       `\ufffd`, // no page of ours holds the sign itself
		strings.Repeat("W", 160):       strings.Repeat("W", 160),
		strings.Repeat("W", 161):       strings.Repeat("W", 160) + "… (161 bytes in all)",
		strings.Repeat("\u200b", 1000): strings.Repeat(`\u200b`, 26) + "… (3,000 bytes in all)",
	} {
		if got := show(text); got != want {
			t.Errorf("show(%.40q) = %.80q, want %.80q", text, got, want)
		}
	}
}

// crowd is an image with very many packages, some with very long names.
func crowd(packages int) *Report {
	r := sample()
	long := strings.Repeat("n", 1<<20)
	for i := range packages {
		p := Package{Name: fmt.Sprintf("package-%06d", i), Version: "1.0", Kind: "python", Layer: "small-3", Size: int64(i), Licences: []string{fmt.Sprintf("LicenseRef-%d", i%5000)}, RequiredBy: []string{"a", "b", "c", "d"}}
		if i%20_000 == 0 {
			p.Name, p.Version, p.Licences, p.RequiredBy = long, long, []string{long}, []string{long}
		}
		r.Packages = append(r.Packages, p)
		f := r.Scan.Findings[0]
		f.Package = p.Name
		r.Scan.Findings = append(r.Scan.Findings, f)
	}
	for i := range 500 {
		l := r.Layers[3]
		l.Name = fmt.Sprint("layer ", i)
		r.Layers = append(r.Layers, l)
	}
	return r
}

func TestAPageOfVeryManyPackagesStaysSmallAndSaysWhatIsLeftOut(t *testing.T) {
	r := crowd(100_000)
	start := time.Now()
	page := render(t, r)
	if took := time.Since(start); took > 10*time.Second {
		t.Errorf("the page took %s", took)
	}
	if len(page) > 2<<20 {
		t.Errorf("the page has %d bytes", len(page))
	}
	checkPage(t, "crowd", page)
	for _, said := range []string{"This page shows 1,000 of 100,006 packages; the JSON document beside it has the other 99,006.",
		"This page shows 1,000 of 100,003 findings; the JSON document beside it has the other 99,003.", "1,048,576 bytes in all", "354 more stand in the JSON document", "This page shows 200 of 5,005 licences; the JSON document beside it has the other 4,805."} {
		if !bytes.Contains(page, []byte(said)) {
			t.Errorf("the page does not say %q", said)
		}
	}
	var md bytes.Buffer
	if err := r.WriteMarkdown(&md); err != nil {
		t.Fatal(err)
	}
	if md.Len() > 200<<10 {
		t.Errorf("the summary has %d bytes; GitHub takes 1 MiB of all steps together", md.Len())
	}
}

func TestMarkdownOfStrangersStaysText(t *testing.T) {
	for _, attack := range append(attacks, "a`b|c", "[x](https://hostile.invalid)", "![x](https://hostile.invalid/i.png)", "@everyone", "| a | b |\n|---|", "**bold** _it_ # head", "https://hostile.invalid", "www.hostile.invalid") {
		r := poisoned(attack)
		var b bytes.Buffer
		if err := r.WriteMarkdown(&b); err != nil {
			t.Fatal(err)
		}
		if err := WriteScanMarkdown(&b, r.Scan); err != nil {
			t.Fatal(err)
		}
		for _, line := range strings.Split(b.String(), "\n") {
			visible(t, attack, line)
			// What is left outside of code spans is forge's own.
			outside := regexp.MustCompile("`[^`]*`").ReplaceAllString(line, "")
			for _, bad := range []string{"`", "<script", "<img", "hostile", "@everyone", "bold", "javascript", "pwned"} {
				if strings.Contains(outside, bad) {
					t.Errorf("%q: %q is outside of code in %q", attack, bad, line)
				}
			}
		}
	}
}

func TestADocumentThatIsNotOursIsRefused(t *testing.T) {
	var b bytes.Buffer
	if err := sample().Write(&b); err != nil {
		t.Fatal(err)
	}
	good := b.String()
	for name, test := range map[string]struct{ text, want string }{
		"empty":                 {"", "unexpected end"},
		"no JSON":               {"<html>", "invalid character"},
		"another format":        {strings.Replace(good, `"format": 1`, `"format": 99`, 1), "its format is 99"},
		"no format":             {`{}`, "its format is 0"},
		"an unknown field":      {strings.Replace(good, `"forge":`, `"surprise": 1, "forge":`, 1), `unknown field "surprise"`},
		"something behind it":   {good + `{}`, "invalid character"},
		"cut":                   {good[:len(good)/2], "unexpected end"},
		"a digest that is none": {strings.Replace(good, digestA, "sha256:../../etc/passwd", 1), "is no sha256"},
		"a negative size":       {strings.Replace(good, `"size": 21000000`, `"size": -1`, 1), "-1"},
		"a size beyond sums":    {strings.Replace(good, `"size": 21000000`, `"size": 9223372036854775807`, 1), "9223372036854775807"},
		"deep nesting":          {strings.Repeat("[", 1<<20), "exceeded max depth"},
		"too large":             {strings.Repeat(" ", maxDocument+1), "larger than"},
	} {
		if _, err := Read(strings.NewReader(test.text)); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %q", name, err, test.want)
		}
	}
}

func FuzzRead(f *testing.F) {
	var b bytes.Buffer
	if err := sample().Write(&b); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes())
	f.Add([]byte(`{"format":1,"image":{"digest":"` + digestA + `"}}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		r, err := Read(bytes.NewReader(raw))
		if err != nil {
			return
		}
		s := sample()
		s.Image.Digest = digestC
		s.Succeed(r)
		checkPage(t, "fuzz", render(t, r))
		checkPage(t, "fuzz, previous", render(t, s))
		if err := r.WriteMarkdown(io.Discard); err != nil {
			t.Fatal(err)
		}
	})
}
