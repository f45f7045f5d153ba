package main

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"go/ast"
)

// row is a line of docs/attacks.md.
var attackRow = regexp.MustCompile(`(?m)^\| ([A-Z]+-?[0-9]+) \| [^|]+ \| ([^|]+) \|$`)

// A table of tests is worth what its rows are: each test exists, and speaks of the attack.
func TestEachAttackHasItsTests(t *testing.T) {
	text, err := os.ReadFile("../../docs/attacks.md")
	if err != nil {
		t.Fatal(err)
	}
	tests := testTexts(t)
	seen := map[string]bool{}
	for _, row := range attackRow.FindAllStringSubmatch(string(text), -1) {
		id := row[1]
		seen[id] = true
		says := regexp.MustCompile(`\b` + id + `\b`)
		for _, name := range strings.Split(row[2], ", ") {
			switch body, ok := tests[name]; {
			case !ok:
				t.Errorf("%s: there is no test %s", id, name)
			case !says.MatchString(body):
				t.Errorf("%s: %s does not speak of it", id, name)
			}
		}
	}
	if len(seen) < 70 {
		t.Errorf("the table has %d rows: it is not read", len(seen))
	}
}

// testTexts are the texts of all tests, comment included, by their names, and scripts by theirs.
func testTexts(t *testing.T) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, top := range []string{"builder", "cmd", "recipes", "sbom", "signing"} {
		err := filepath.WalkDir(filepath.Join("../..", top), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			script, test := strings.HasSuffix(path, ".txtar"), strings.HasSuffix(path, "_test.go")
			if !script && !test {
				return nil
			}
			raw, err := os.ReadFile(path)
			if err != nil || script {
				out[d.Name()] += string(raw)
				return err
			}
			files := token.NewFileSet()
			f, err := parser.ParseFile(files, path, raw, parser.ParseComments)
			if err != nil {
				return err
			}
			for _, decl := range f.Decls {
				if fn, ok := decl.(*ast.FuncDecl); ok && fn.Recv == nil && strings.HasPrefix(fn.Name.Name, "Test") {
					from, line := fn.Pos(), fn.End()
					if fn.Doc != nil {
						from = fn.Doc.Pos()
					}
					end := int(files.Position(line).Offset)
					if rest := strings.IndexByte(string(raw[end:]), '\n'); rest > 0 {
						end += rest // a comment behind it
					}
					out[fn.Name.Name] += string(raw[files.Position(from).Offset:end])
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return out
}
