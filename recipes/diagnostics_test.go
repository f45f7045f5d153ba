package recipes

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// told is what a person reads of a recipe's mistakes.
func told(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "recipe.hcl")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := Load(path, Options{})
	var d *Diagnostics
	if !errors.As(err, &d) {
		t.Fatalf("%v", err)
	}
	var b bytes.Buffer
	if err := d.Text(&b, 80, false); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// A label is a stranger's text: it is cut, and its escapes do not reach a terminal.
func TestTheBlockAroundAMistakeIsCut(t *testing.T) {
	got := told(t, "image \""+strings.Repeat("a", 50_000)+"\\u001b[31m\" {\n  user { uid = 0 }\n  nonsense = 1\n}\n")
	if len(got) > 6_000 || strings.ContainsRune(got, '\x1b') {
		t.Errorf("%d bytes: %.600q", len(got), got)
	}
	if !strings.Contains(got, `, in image "aaaa`) {
		t.Errorf("the block is not named: %.600q", got)
	}
}

// The block is the one that holds the mistake, also far into a file.
func TestTheBlockAroundAMistakeIsItsOwn(t *testing.T) {
	got := told(t, "image \"first\" {\n}\n"+strings.Repeat("# "+strings.Repeat("x", 100)+"\n", 20)+"image \"second\" {\n  nonsense = 1\n}\n")
	if !strings.Contains(got, `line 24, in image "second":`) {
		t.Error(got)
	}
}

func TestLinesOfWindowsAreShownWithoutTheirReturn(t *testing.T) {
	_, err := parse("x.hcl", []byte("image \"a\" {\r\n  env = {\r\n    A = \"x\\n\"\r\n  }\r\n  ports = [0]\r\n}\r\n"), Options{})
	var d *Diagnostics
	if !errors.As(err, &d) {
		t.Fatal(err)
	}
	var b strings.Builder
	if err := d.Text(&b, 80, false); err != nil || strings.ContainsAny(b.String(), "\r\ufffd") || !strings.Contains(b.String(), "env = {\n") {
		t.Errorf("%v %q", err, b.String())
	}
}
