package sbom

import (
	"io"
	"maps"
	"reflect"
	"strings"
	"sync"
	"testing"

	"github.com/anchore/syft/syft"
	"github.com/anchore/syft/syft/cataloging"
	"github.com/anchore/syft/syft/file"
	"github.com/anchore/syft/syft/pkg"
	"github.com/google/licensecheck"
)

// memory is facts that end with the test.
type memory struct {
	sync.Mutex
	facts map[string]string
}

func (m *memory) Fact(kind, key string) ([]byte, bool, error) {
	m.Lock()
	defer m.Unlock()
	v, ok := m.facts[kind+"/"+key]
	return []byte(v), ok, nil
}

func (m *memory) PutFact(kind, key string, v []byte) error {
	m.Lock()
	defer m.Unlock()
	if m.facts == nil {
		m.facts = map[string]string{}
	}
	m.facts[kind+"/"+key] = string(v)
	return nil
}

// What Syft finds in a text through forge's scanner is what it finds through its own, also
// when it was remembered.
func TestATextIsWhatSyftFinds(t *testing.T) {
	theirs, err := syft.SetContextLicenseScanner(t.Context(), cataloging.DefaultLicenseConfig())
	if err != nil {
		t.Fatal(err)
	}
	facts := &memory{}
	ours, err := (&texts{facts, licensecheck.Scan}).context(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	remembered, err := (&texts{facts, func(text []byte) licensecheck.Coverage {
		t.Errorf("the matcher is asked again for %q", text)
		return licensecheck.Coverage{}
	}}).context(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"a licence":   mit,
		"two":         mit + "\n\nLicensed under the Apache License, Version 2.0: https://www.apache.org/licenses/LICENSE-2.0\n",
		"too little":  mit[:80] + strings.Repeat(" entirely different words", 200),
		"no licence":  "You may look at it on Tuesdays.",
		"no text":     "",
		"not a text":  "\x00\xff\xfe\x80",
		"with a name": "Copyright (c) 2021 Somebody\n\n" + mit,
	} {
		want := pkg.NewLicensesFromReadCloserWithContext(theirs, reader(text))
		if got := pkg.NewLicensesFromReadCloserWithContext(ours, reader(text)); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, want %+v", name, got, want)
		}
		if got := pkg.NewLicensesFromReadCloserWithContext(remembered, reader(text)); !reflect.DeepEqual(got, want) {
			t.Errorf("%s, remembered: %+v, want %+v", name, got, want)
		}
	}
	if len(pkg.NewLicensesFromReadCloserWithContext(ours, reader(mit))) != 1 {
		t.Error("the licence is not found")
	}
}

func reader(text string) file.LocationReadCloser {
	return file.NewLocationReadCloser(file.Location{}, io.NopCloser(strings.NewReader(text)))
}

// An answer that cannot be read is found again, and then it can.
func TestADamagedAnswerIsFoundAgain(t *testing.T) {
	facts := &memory{}
	scans := 0
	x := &texts{facts, func(text []byte) licensecheck.Coverage { scans++; return licensecheck.Scan(text) }}
	want := x.find([]byte(mit))
	sound := maps.Clone(facts.facts)
	for key := range facts.facts {
		facts.facts[key] = `{"Percent":100,"Match":[{"ID":`
	}
	if got := x.find([]byte(mit)); !reflect.DeepEqual(got, want) || scans != 2 {
		t.Errorf("%+v after %d scans, want %+v after 2", got, scans, want)
	}
	if !maps.Equal(facts.facts, sound) {
		t.Errorf("%v is kept, want %v", facts.facts, sound)
	}
	if x.find([]byte(mit + " ")); scans != 3 {
		t.Errorf("another text is not looked at")
	}
}
