package fetch

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

const (
	typeJSON = "application/vnd.pypi.simple.v1+json"
	typeHTML = "text/html; charset=utf-8"
)

var (
	sumA = strings.Repeat("a", 64)
	sumB = strings.Repeat("b", 64)
)

func parse(t *testing.T, contentType, body string) (Page, error) {
	t.Helper()
	return parsePage([]byte(body), contentType, mustParse(t, "https://a.test/simple/torch/?secret"), "torch")
}

func TestHTMLPage(t *testing.T) {
	page, err := parse(t, typeHTML, `<!DOCTYPE html><html><head><meta name="pypi:repository-version" content="1.4"><title>Links</title></head><body>
		<!-- <a href="/x.whl">x.whl</a> -->
		<a href="../">Parent</a> <a>nothing</a> <a href="::">odd</a>
		<a href="/whl/torch-2.9.1%2Bcu128-py3-none-any.whl#sha256=`+sumA+`" data-requires-python="&gt;=3.10" data-core-metadata="sha256=`+sumB+`" data-dist-info-metadata="true">torch-2.9.1+cu128-py3-none-any.whl</a><br/>
		<a href="../../f/torch-2.8.0-py3-none-any.whl?x=1&amp;y=2" data-yanked="" data-requires-python=">=3.9">
			torch-2.8.0-py3-none-any.whl </a>
		<a href="https://b.test/torch-1.0.tar.gz#md5=00" data-yanked="old" data-dist-info-metadata="true">torch-1.0.tar.gz</a>
		<a href="/whl/torch-2.8.0-py3-none-any.whl">torch-2.8.0-py3-none-any.whl</a>
	</body></html>`)
	if err != nil {
		t.Fatal(err)
	}
	want := Page{URL: "https://a.test/simple/torch/", Project: "torch", Files: []PageFile{
		{Name: "torch-2.9.1+cu128-py3-none-any.whl", URL: "https://a.test/whl/torch-2.9.1%2Bcu128-py3-none-any.whl", Shown: "https://a.test/whl/torch-2.9.1%2Bcu128-py3-none-any.whl",
			SHA256: sumA, Size: -1, RequiresPython: ">=3.10", HasMetadata: true, MetadataSHA256: sumB},
		{Name: "torch-2.8.0-py3-none-any.whl", URL: "https://a.test/f/torch-2.8.0-py3-none-any.whl?x=1&y=2", Shown: "https://a.test/f/torch-2.8.0-py3-none-any.whl",
			Size: -1, RequiresPython: ">=3.9", Yanked: true},
		{Name: "torch-1.0.tar.gz", URL: "https://b.test/torch-1.0.tar.gz", Shown: "https://b.test/torch-1.0.tar.gz", Size: -1, Yanked: true, YankedReason: "old", HasMetadata: true},
	}}
	if diff := cmp.Diff(want, page, cmpopts.IgnoreUnexported(PageFile{})); diff != "" {
		t.Error(diff)
	}
}

func TestJSONPage(t *testing.T) {
	page, err := parse(t, typeJSON, `{"meta": {"api-version": "1.4", "_last-serial": 7, "tracks": ["https://b.test/simple/torch/"]}, "name": "Torch", "versions": ["1"], "files": [
		{"filename": "torch-2.9.1-py3-none-any.whl", "url": "../../get?id=7#x", "hashes": {"sha256": "`+sumA+`", "md5": "0"}, "requires-python": ">=3.10", "size": 0,
		 "upload-time": "2025-11-12T15:19:12.123456Z", "yanked": false, "core-metadata": {"sha256": "`+sumB+`"}, "dist-info-metadata": false, "gpg-sig": false, "provenance": "https://b.test/p"},
		{"filename": "torch-2.8.0-py3-none-any.whl", "url": "https://b.test/x", "hashes": {"sha512": "`+sumA+sumB+`"}, "requires-python": null, "yanked": "broken", "core-metadata": true},
		{"filename": "torch 1.0.win32.exe", "url": "https://b.test/x", "hashes": {"sha256": "`+sumA+`"}, "yanked": true}
	]}`)
	if err != nil {
		t.Fatal(err)
	}
	if len(page.Files) != 2 {
		t.Fatalf("got %+v", page.Files)
	}
	if u := page.Files[0].Uploaded.Format("2006-01-02 15:04:05"); u != "2025-11-12 15:19:12" {
		t.Errorf("uploaded %s", u)
	}
	want := []PageFile{
		{Name: "torch-2.9.1-py3-none-any.whl", URL: "https://a.test/get?id=7", Shown: "https://a.test/get", SHA256: sumA, RequiresPython: ">=3.10", HasMetadata: true, MetadataSHA256: sumB},
		{Name: "torch-2.8.0-py3-none-any.whl", URL: "https://b.test/x", Shown: "https://b.test/x", Size: -1, Yanked: true, YankedReason: "broken", HasMetadata: true},
	}
	if diff := cmp.Diff(want, page.Files, cmpopts.IgnoreUnexported(PageFile{}), cmpopts.IgnoreFields(PageFile{}, "Uploaded")); diff != "" {
		t.Error(diff)
	}
}

func TestHostileHTML(t *testing.T) { // IDX-03
	whl := "torch-1-py3-none-any.whl"
	link := func(attrs string) string { return `<a href="/` + whl + `"` + attrs + `>` + whl + `</a>` }
	for name, c := range map[string]struct{ id, body, want string }{
		"a file twice with different hashes": {"IDX-03", `<a href="/` + whl + `#sha256=` + sumA + `">` + whl + `</a><a href="/` + whl + `#sha256=` + sumB + `">` + whl + `</a>`, "listed twice"},
		"a file twice, once without":         {"IDX-03", `<a href="/` + whl + `#sha256=` + sumA + `">` + whl + `</a>` + link(""), "listed twice"},
		"a hash in capitals":                 {"IDX-03", `<a href="/` + whl + `#sha256=` + strings.ToUpper(sumA) + `">` + whl + `</a>`, "not a lower-case sha256"},
		"a short hash":                       {"IDX-03", `<a href="/` + whl + `#sha256=aa">` + whl + `</a>`, "not a lower-case sha256"},
		"two hashes":                         {"IDX-03", `<a href="/` + whl + `#sha256=` + sumA + `&amp;sha256=` + sumB + `">` + whl + `</a>`, "two sha256"},
		"a bad hash of the metadata":         {"IDX-03", link(` data-core-metadata="sha256=A"`), "data-core-metadata"},
		"an unescaped quote":                 {"IDX-03", link(` data-requires-python=">=3" evil="" onclick="x"y"`), "stray quote"},
		"href twice":                         {"IDX-03", link(` href="/other.whl"`), `"href" of <a> is there twice`},
		"text and address disagree":          {"IDX-03", `<a href="/torch-1-py3-none-any.whl">torch-2-py3-none-any.whl</a>`, "leads to"},
		"another project":                    {"IDX-03", `<a href="/t0rch-1-py3-none-any.whl">t0rch-1-py3-none-any.whl</a>`, "belongs to another project"},
		"a longer name":                      {"IDX-03", `<a href="/torchvision-1-py3-none-any.whl">torchvision-1-py3-none-any.whl</a>`, "belongs to another project"},
		"control characters in a name":       {"IDX-03", `<a href="/torch-1-%1b[2J-any.whl">x</a>`, `\x1b[2J`},
		"Cyrillic letters in a name":         {"IDX-03", `<a href="/tоrch-1-py3-none-any.whl">x</a>`, `t\u043erch`},
		"repository version 2":               {"IDX-03", `<meta name="pypi:repository-version" content="2.0">` + link(""), `version "2.0"`},
		"JSON":                               {"IDX-03", jsonPage(), "looks like JSON"},
		"nothing":                            {"IDX-03", " \n", "is empty"},
		"a tag without end":                  {"IDX-03", `<a href="` + strings.Repeat("x", 200_000), "is not HTML"},
		"not UTF-8":                          {"IDX-03", link("") + "\xff", "not UTF-8"},
		"base href":                          {"IDX-02", `<base href="https://evil.test/">` + link(""), "<base href="},
		"http":                               {"IDX-02", `<a href="http://a.test/` + whl + `">` + whl + `</a>`, "from https to http"},
		"file:":                              {"IDX-02", `<a href="file:///etc/` + whl + `">` + whl + `</a>`, `scheme "file"`},
		"ftp:":                               {"IDX-02", `<a href="ftp://a.test/` + whl + `">` + whl + `</a>`, `scheme "ftp"`},
		"javascript:":                        {"IDX-02", `<a href="javascript:alert(1)">` + whl + `</a>`, `scheme "javascript"`},
		"a password":                         {"IDX-02", `<a href="https://me:secret@a.test/` + whl + `">` + whl + `</a>`, "user name or password"},
		"this machine":                       {"IDX-02", `<a href="https://127.0.0.1/` + whl + `">` + whl + `</a>`, "into this machine"},
		"this machine, otherwise":            {"IDX-02", `<a href="https://[::ffff:127.0.0.1]/` + whl + `">` + whl + `</a>`, "into this machine"},
		"the cloud's secrets":                {"IDX-02", `<a href="https://169.254.169.254/` + whl + `">` + whl + `</a>`, "link-local"},
	} {
		t.Run(name, func(t *testing.T) {
			page, err := parse(t, typeHTML, c.body)
			wantID(t, err, c.id, "https://a.test/", c.want)
			if err != nil && strings.Contains(err.Error(), "secret") {
				t.Errorf("a secret is in %q", err)
			}
			if len(page.Files) != 0 {
				t.Error("files were given all the same")
			}
		})
	}
	if _, err := parse(t, typeHTML, link("")); err != nil {
		t.Errorf("the harmless page: %v", err)
	}
}

func TestHostileJSON(t *testing.T) { // IDX-04
	row := func(replace ...string) string {
		return strings.NewReplacer(replace...).Replace(`{"filename": "torch-1-py3-none-any.whl", "url": "/x", "hashes": {"sha256": "` + sumA + `"}, "size": 5, "yanked": false, "core-metadata": false}`)
	}
	if _, err := parse(t, typeJSON, jsonPage(row())); err != nil {
		t.Fatalf("the harmless page: %v", err)
	}
	hash := `"sha256": "` + sumA + `"`
	for name, c := range map[string]struct{ id, body, want string }{
		"no hashes":                 {"IDX-04", jsonPage(row(hash, "")), `"hashes" holds no`},
		"md5 only":                  {"IDX-04", jsonPage(row("sha256", "md5")), `"hashes" holds no`},
		"a hash in capitals":        {"IDX-04", jsonPage(row(sumA, strings.ToUpper(sumA))), `"hashes": "AA`},
		"a short hash":              {"IDX-04", jsonPage(row(sumA, sumA[:63])), `"hashes": "aa`},
		"a hash twice":              {"IDX-04", jsonPage(row(hash, hash+", "+hash)), `key "sha256" is there twice`},
		"files twice":               {"IDX-04", strings.Replace(jsonPage(), `"files"`, `"files": [], "files"`, 1), `key "files" is there twice`},
		"an escaped key twice":      {"IDX-04", strings.Replace(jsonPage(), `"files"`, `"f\u0069les": [], "files"`, 1), `key "files" is there twice`},
		"another spelling":          {"IDX-04", jsonPage(row(`"url"`, `"url": "/y", "URL"`)), `key "URL" is not the key "url"`},
		"a letter that folds":       {"IDX-04", strings.Replace(jsonPage(), `"files"`, `"fileſ"`, 1), `key "file\u017f" is not the key "files"`},
		"size -1":                   {"IDX-04", jsonPage(row(`"size": 5`, `"size": -1`)), `"size" is "-1"`},
		"size 1e999":                {"IDX-04", jsonPage(row(`"size": 5`, `"size": 1e999`)), `"size" is "1e999"`},
		"size 5.0":                  {"IDX-04", jsonPage(row(`"size": 5`, `"size": 5.0`)), `"size" is "5.0"`},
		"size as text":              {"IDX-04", jsonPage(row(`"size": 5`, `"size": "5"`)), `"size" is `},
		"yanked without a reason":   {"IDX-04", jsonPage(row(`"yanked": false`, `"yanked": ""`)), `"yanked" is`},
		"yanked as number":          {"IDX-04", jsonPage(row(`"yanked": false`, `"yanked": 1`)), `"yanked" is`},
		"core-metadata as text":     {"IDX-04", jsonPage(row(`"core-metadata": false`, `"core-metadata": "x"`)), `"core-metadata" is neither`},
		"core-metadata, short hash": {"IDX-04", jsonPage(row(`"core-metadata": false`, `"core-metadata": {"sha256": "a"}`)), `"core-metadata": "a"`},
		"upload-time":               {"IDX-04", jsonPage(row(`"size"`, `"upload-time": "yesterday", "size"`)), `"upload-time" is "yesterday"`},
		"no url":                    {"IDX-04", jsonPage(row(`"url": "/x",`, "")), `"url" is missing`},
		"api-version 2.0":           {"IDX-04", strings.Replace(jsonPage(), `"1.1"`, `"2.0"`, 1), `version "2.0"`},
		"no api-version":            {"IDX-04", strings.Replace(jsonPage(), `"api-version": "1.1"`, ``, 1), `version ""`},
		"another project":           {"IDX-04", strings.Replace(jsonPage(), `"name": "torch"`, `"name": "t0rch"`, 1), `"name" is "t0rch"`},
		"a file of another project": {"IDX-04", jsonPage(row("torch-1", "t0rch-1")), "belongs to another project"},
		"a path as file name":       {"IDX-04", jsonPage(row(`torch-1-`, `../torch-1-`)), "not allowed"},
		"a file twice":              {"IDX-04", jsonPage(row(), row(sumA, sumB)), "listed twice"},
		"a second document":         {"IDX-04", jsonPage() + `{"x":1}`, "goes on after its end"},
		"deep nesting":              {"IDX-04", strings.Replace(jsonPage(), `"files"`, `"x": `+strings.Repeat("[", 101)+strings.Repeat("]", 101)+`, "files"`, 1), "nests deeper than 100"},
		"very deep nesting":         {"IDX-04", strings.Repeat("[", 1_000_000), "nests deeper than 100"},
		"HTML":                      {"IDX-04", `<a href="/torch-1-py3-none-any.whl">torch-1-py3-none-any.whl</a>`, "is not JSON"},
		"a list":                    {"IDX-04", `[]`, "is no page"},
		"null":                      {"IDX-04", `null`, `version ""`},
		"nothing":                   {"IDX-04", ``, "is empty"},
		"a letter between values":   {"IDX-04", `{"meta": é}`, `invalid character '\xc3'`},
		"half":                      {"IDX-04", jsonPage(row())[:100], "is not JSON"},
		"no files":                  {"IDX-04", `{"meta": {"api-version": "1.0"}, "name": "torch"}`, `lacks "name" or "files"`},
		"not UTF-8":                 {"IDX-03", jsonPage(row("/x", "/\xff")), "not UTF-8"},
		"http":                      {"IDX-02", jsonPage(row("/x", "http://a.test/x")), "from https to http"},
		"file:":                     {"IDX-02", jsonPage(row("/x", "file:///etc/passwd")), `scheme "file"`},
		"no address":                {"IDX-04", jsonPage(row("/x", "https://[::1/x")), "cannot be parsed"},
		"a password":                {"IDX-02", jsonPage(row("/x", "https://me:secret@b.test/x")), "user name or password"},
	} {
		t.Run(name, func(t *testing.T) {
			page, err := parse(t, typeJSON, c.body)
			wantID(t, err, c.id, "https://a.test/simple/torch/: ", c.want)
			if err != nil && strings.Contains(err.Error(), "secret") {
				t.Errorf("a secret is in %q", err)
			}
			if len(page.Files) != 0 {
				t.Error("files were given all the same")
			}
		})
	}
	at := strings.Replace(jsonPage(), `"files"`, `"x": `+strings.Repeat("[", 99)+strings.Repeat("]", 99)+`, "files"`, 1)
	if _, err := parse(t, typeJSON, at); err != nil {
		t.Errorf("nesting at the limit: %v", err)
	}
}

func TestContentTypeDecides(t *testing.T) { // IDX-03
	link := `<a href="/torch-1-py3-none-any.whl">torch-1-py3-none-any.whl</a>`
	for contentType, body := range map[string]string{
		"": jsonPage(), "application/json": jsonPage(), "text/plain": link, "application/vnd.pypi.simple.v2+json": jsonPage(),
		"application/octet-stream": link, "text/html; charset=utf-16": link, "text/html; charset=iso-8859-1": link,
		"text/html; charset=\"": link, typeJSON + "; charset=utf-16": jsonPage(),
	} {
		_, err := parse(t, contentType, body)
		wantID(t, err, "IDX-03", "https://a.test/simple/torch/: IDX-03: c") // content type, or charset
	}
	for _, contentType := range []string{"text/html", "TEXT/HTML; charset=UTF-8", "application/vnd.pypi.simple.v1+html", "text/html; charset=us-ascii"} {
		if _, err := parse(t, contentType, link); err != nil {
			t.Errorf("%s: %v", contentType, err)
		}
	}
}

func TestAPageComesWholeAndAsItIs(t *testing.T) { // IDX-01
	for want, answer := range map[string]func(http.ResponseWriter){
		"a part that nobody asked for": func(rw http.ResponseWriter) {
			rw.Header().Set("Content-Range", "bytes 0-9/10")
			rw.WriteHeader(http.StatusPartialContent)
		},
		`in the encoding "gzip"`: func(rw http.ResponseWriter) { rw.Header().Set("Content-Encoding", "gzip") },
	} {
		w := newWorld(t)
		root := w.host("a.test", func(rw http.ResponseWriter, r *http.Request) {
			rw.Header().Set("Content-Type", typeJSON)
			answer(rw)
			serve(jsonPage(torch.row()))(rw, r)
		})
		_, err := w.f.Project(context.Background(), root+"/simple", "torch")
		wantID(t, err, "IDX-01", "https://a.test/simple/torch/", want)
	}
}

func TestTooManyFiles(t *testing.T) { // IDX-03
	var b strings.Builder
	for i := range maxFiles + 1 {
		fmt.Fprintf(&b, "<a href=torch-%d-py3-none-any.whl></a>", i)
	}
	_, err := parse(t, typeHTML, b.String())
	wantID(t, err, "IDX-03", "more than 200000 files")
	at := strings.TrimSuffix(b.String(), fmt.Sprintf("<a href=torch-%d-py3-none-any.whl></a>", maxFiles))
	if page, err := parse(t, typeHTML, at); err != nil || len(page.Files) != maxFiles {
		t.Errorf("at the limit: %d files, %v", len(page.Files), err)
	}
}

func TestGiantPage(t *testing.T) { // IDX-03
	w := newWorld(t)
	root := w.host("a.test", func(rw http.ResponseWriter, r *http.Request) {
		rw.Header().Set("Content-Type", "text/html")
		block := strings.Repeat(" ", 1<<20)
		for range 65 {
			serve(block)(rw, r)
		}
	})
	_, err := w.f.Project(context.Background(), root+"/simple", "torch")
	wantID(t, err, "IDX-03", "larger than 67108864 bytes")
	for limit, ok := range map[int64]bool{65 << 20: true, 65<<20 - 1: false} {
		body, err := w.f.Get(context.Background(), root+"/x", limit)
		if (err == nil) != ok || (ok && len(body) != 65<<20) {
			t.Errorf("limit %d: %d bytes, %v", limit, len(body), err)
		}
	}
}

func TestProject(t *testing.T) {
	w := newWorld(t)
	root := w.host("a.test", func(rw http.ResponseWriter, r *http.Request) {
		if !strings.Contains(r.Header.Get("Accept"), typeJSON) {
			t.Errorf("Accept is %q", r.Header.Get("Accept"))
		}
		index(jsonPage(torch.row()), http.NotFound)(rw, r)
	})
	page, err := w.f.Project(context.Background(), root+"/simple/", "Torch")
	if err != nil || len(page.Files) != 1 || page.URL != "https://a.test/simple/torch/" {
		t.Errorf("got %+v, %v", page, err)
	}
	_, err = w.f.Project(context.Background(), root+"/simple", "no_such.Thing")
	var g *GoneError
	if !errors.As(err, &g) || !errors.Is(err, fs.ErrNotExist) || g.Package != "no-such-thing" {
		t.Errorf("an unknown project: %v", err)
	}
	for _, name := range []string{"", "../x", "a/b", "tоrch", "x?y"} {
		_, err := w.f.Project(context.Background(), root+"/simple", name)
		wantID(t, err, "IDX-03")
	}
	w.wantRequests("a.test GET /simple/torch/", "a.test GET /simple/no-such-thing/")
}

func FuzzPage(f *testing.F) {
	f.Add(typeJSON, jsonPage(torch.row()))
	f.Add(typeHTML, `<a href="/torch-1-py3-none-any.whl#sha256=`+sumA+`" data-yanked>torch-1-py3-none-any.whl</a>`)
	f.Add(typeJSON, "\xcf")
	f.Add(typeHTML, `<base href=x><a href="::"`)
	at := &url.URL{Scheme: "https", Host: "a.test", Path: "/simple/torch/"}
	f.Fuzz(func(t *testing.T, contentType, body string) {
		page, err := parsePage([]byte(body), contentType, at, "torch")
		if err != nil {
			if len(page.Files) > 0 {
				t.Error("an error and files")
			}
			for _, r := range err.Error() {
				if r < ' ' || r > '~' && r != '…' {
					t.Errorf("raw %q in the error %q", r, err)
				}
			}
			return
		}
		for _, file := range page.Files {
			if u, err := url.Parse(file.URL); err != nil || u.Scheme != "https" || u.User != nil || strings.ContainsAny(file.Name, "/\\\x00") {
				t.Errorf("taken: %+v", file)
			}
		}
	})
}
