package vuln

import (
	"io"
	"strings"
	"testing"

	"github.com/forge-build/forge/sbom"
)

// SBM-01: an os-release that names another distribution hides nothing.
func TestPackagesUnderAnotherDistributionsNameAreNotJudged(t *testing.T) {
	for release, known := range map[string]bool{
		"ID=debian\nVERSION_ID=13\n":                        true,
		"ID=linuxmint\nID_LIKE=debian\nVERSION_ID=22\n":     true,
		"ID=ubuntu\nID_LIKE=debian\nVERSION_ID=\"24.04\"\n": true,
		"ID=alpine\nVERSION_ID=3.22\n":                      false,
		"ID=fedora\nVERSION_ID=42\n":                        false,
	} {
		contents := []string{release, "Package: openssl\nStatus: install ok installed\nVersion: 3.0.1-1\nArchitecture: amd64\n"}
		im := &sbom.Image{Name: "x", Digest: "sha256:" + strings.Repeat("a", 64), OS: "linux", Arch: "amd64", Layers: []sbom.Layer{{DiffID: "sha256:" + strings.Repeat("b", 64),
			Files: []sbom.File{{Path: "etc/os-release", Kind: sbom.Regular, Size: int64(len(contents[0])), Looked: true}, {Path: "var/lib/dpkg/status.d/openssl", Kind: sbom.Regular, Size: int64(len(contents[1])), Looked: true}},
			Open:  func(n int) (io.Reader, error) { return strings.NewReader(contents[n]), nil }}}}
		inv, err := sbom.Catalog(t.Context(), im, sbom.Options{Tool: sbom.Tool{Name: "forge", Version: "test"}, Temp: t.TempDir()})
		if err != nil {
			t.Fatal(err)
		}
		p, err := Of(inv)
		if err != nil {
			t.Fatal(err)
		}
		if len(p.list) != 1 || (p.list[0].Distro != nil) != known {
			t.Errorf("%q: %+v", release, p.list)
		}
	}
}
