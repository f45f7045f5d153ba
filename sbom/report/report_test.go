package report

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s is not what is written (-want +got; -update rewrites it):\n%s", path, diff)
	}
}

func TestGoldenPageAndDocument(t *testing.T) {
	var page, document bytes.Buffer
	if err := sample().WriteHTML(&page); err != nil {
		t.Fatal(err)
	}
	if err := sample().Write(&document); err != nil {
		t.Fatal(err)
	}
	golden(t, "sample.html", page.Bytes())
	golden(t, "sample.json", document.Bytes())
}

func TestADocumentComesBackAsItWasWritten(t *testing.T) {
	var b bytes.Buffer
	if err := sample().Write(&b); err != nil {
		t.Fatal(err)
	}
	back, err := Read(&b)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(sample(), back); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// Programs are written after docs/report.md.
func TestTheDocumentIsDescribed(t *testing.T) {
	text, err := os.ReadFile("../../docs/report.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range []any{Report{}, Image{}, Layer{}, Package{}, Inventory{}, GPU{}, Family{}, Tests{}, Removed{}, Origin{}, Signature{}, Previous{}, Changes{}, Shared{}, FindingChanges{}} {
		for i := range reflect.TypeOf(v).NumField() {
			f := reflect.TypeOf(v).Field(i)
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			if name != "" && !bytes.Contains(text, []byte("`"+name+"`")) {
				t.Errorf("docs/report.md does not describe `%s` of %T", name, v)
			}
		}
	}
	if want := fmt.Sprintf("`format` is %d.", Format); !bytes.Contains(text, []byte(want)) {
		t.Errorf("docs/report.md does not say that %s", want)
	}
}
