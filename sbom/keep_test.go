package sbom

import (
	"bytes"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func TestAKeptInventoryIsTheSame(t *testing.T) {
	inv := listed(t, debian(), join(wheel("torch", "2.9.1", "Requires-Dist: jinja2"), wheel("jinja2", "3.1.6"), files{"opt/app/a.py": "a"}))
	documents := map[Format][]byte{}
	for _, f := range Formats {
		var b bytes.Buffer
		if err := inv.Write(&b, f); err != nil {
			t.Fatal(err)
		}
		documents[f] = b.Bytes()
	}
	var list bytes.Buffer
	if err := inv.Keep(&list); err != nil {
		t.Fatal(err)
	}
	asked := 0
	again, err := Kept(list.Bytes(), func(f Format) ([]byte, error) { asked++; return documents[f], nil })
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(inv, again, cmpopts.IgnoreUnexported(Inventory{}, Unowned{})); d != "" {
		t.Error(d)
	}
	if asked != 0 {
		t.Errorf("%d documents were read for the list alone", asked)
	}
	for _, f := range Formats {
		var b bytes.Buffer
		if err := again.Write(&b, f); err != nil || !bytes.Equal(b.Bytes(), documents[f]) {
			t.Errorf("%s is not what was kept (%v)", f, err)
		}
	}
	bom, err := again.SBOM()
	if err != nil {
		t.Fatal(err)
	}
	if want := inv.bom.Artifacts.Packages.PackageCount(); want == 0 || bom.Artifacts.Packages.PackageCount() != want || bom.Artifacts.LinuxDistribution == nil {
		t.Errorf("%d packages, %d are due; distribution %v", bom.Artifacts.Packages.PackageCount(), want, bom.Artifacts.LinuxDistribution)
	}
}

func TestWhatIsNoKeptInventoryIsRefused(t *testing.T) {
	for _, list := range []string{"", "{", `{"later":1}`} {
		if _, err := Kept([]byte(list), nil); err == nil {
			t.Errorf("%q is taken", list)
		}
	}
	inv, err := Kept([]byte(`{}`), func(Format) ([]byte, error) { return nil, errors.New("gone") })
	if err != nil {
		t.Fatal(err)
	}
	if _, err := inv.SBOM(); err == nil {
		t.Error("a document that is gone is no error")
	}
}
