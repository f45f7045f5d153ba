package main

import (
	"debug/buildinfo"
	"os/exec"
	"testing"

	"golang.org/x/mod/semver"
)

// floors are the oldest releases in which published vulnerabilities of what verifies are
// fixed. Sources: the advisories named, on github.com/<owner>/<repo>/security.
var floors = map[string]string{
	"github.com/sigstore/sigstore-go":            "v1.2.1",  // GHSA-wqqc-jjcq-vfxm; 1.2.0: GHSA-9vcr-p3rj-q5q6
	"github.com/sigstore/timestamp-authority/v2": "v2.0.6",  // GHSA-xm5m-wgh2-rrg3
	"github.com/sigstore/sigstore":               "v1.10.4", // GHSA-fcv2-xgw5-pqxf
	"github.com/sigstore/rekor":                  "v1.4.4",  // GHSA-273p-m2cw-6833
	"github.com/theupdateframework/go-tuf/v2":    "v2.3.1",  // GHSA-846p-jg2w-w324
}

// The module list of the program that was built is what counts, not go.mod's.
func TestModulesAreNoOlderThanTheirLastVulnerability(t *testing.T) {
	path, err := exec.LookPath("forge")
	if err != nil {
		t.Fatal(err)
	}
	info, err := buildinfo.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	linked := map[string]string{}
	for _, m := range info.Deps {
		for m.Replace != nil {
			m = m.Replace
		}
		linked[m.Path] = m.Version
	}
	if len(linked) < 100 {
		t.Fatalf("the program names %d modules: nothing was tested", len(linked))
	}
	for module, floor := range floors {
		switch is, ok := linked[module]; {
		case !ok:
			t.Errorf("%s is not linked: the table is out of date", module)
		case semver.Compare(is, floor) < 0:
			t.Errorf("%s is %s; vulnerabilities are fixed from %s on", module, is, floor)
		}
	}
}
