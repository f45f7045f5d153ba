package main

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/forge-build/forge/sbom/vuln/testdata/advisories"
	"github.com/forge-build/forge/signing/signtest"
	"github.com/forge-build/forge/signing/statement"
)

// vulnerabilityDB is a database of a few records, in a folder.
func vulnerabilityDB(t *testing.T) string {
	t.Helper()
	records, err := advisories.All()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "db")
	if err := advisories.Build(records, dir, time.Now().Add(-time.Hour).UTC()); err != nil {
		t.Fatal(err)
	}
	return dir
}

// withTorch is an image in which torch of a version is installed.
func withTorch(t *testing.T, version string) v1.Image {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for path, text := range map[string]string{
		"METADATA": "Metadata-Version: 2.1\nName: torch\nVersion: " + version + "\n", "RECORD": "", "WHEEL": "Wheel-Version: 1.0\n",
	} {
		h := &tar.Header{Name: "usr/lib/python3/site-packages/torch-" + version + ".dist-info/" + path, Mode: 0o644, Size: int64(len(text))}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, text); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b.Bytes())), nil }, tarball.WithMediaType(types.OCILayer))
	if err != nil {
		t.Fatal(err)
	}
	img, err := mutate.AppendLayers(mutate.MediaType(mutate.ConfigMediaType(empty.Image, types.OCIConfigJSON), types.OCIManifestSchema1), layer)
	if err != nil {
		t.Fatal(err)
	}
	config, err := img.ConfigFile()
	if err == nil {
		config.OS, config.Architecture = "linux", "amd64"
		img, err = mutate.ConfigFile(img, config)
	}
	if err != nil {
		t.Fatal(err)
	}
	return img
}

// openVEX says of each of torch's flaws in 2.9.1 that the product is not affected.
func openVEX(product, status string) statement.Statement {
	why := `"justification": "vulnerable_code_not_in_execute_path"`
	if status == "affected" {
		why = `"action_statement": "update"`
	}
	return statement.OpenVEX(fmt.Appendf(nil, `{"@context": "https://openvex.dev/ns/v0.2.0", "@id": "https://acme.example/1", "author": "Acme", "timestamp": "2026-01-01T00:00:00Z", "version": 1,
	"statements": [{"vulnerability": {"name": "CVE-2026-24747"}, "products": [{"@id": %q}], "status": %q, %s}]}`, product, status, why))
}

// VEX that lies beside an image counts when somebody whom the user names has signed it about
// this very image, and whatever else lies there is told and changes nothing. VDB-02
func TestAttachedVEXCountsOnlyFromThoseWhoAreNamed(t *testing.T) {
	w := newWorld(t)
	t.Setenv("FORGE_CACHE", t.TempDir())
	db := vulnerabilityDB(t)
	vendor, mallory := w.key("vendor"), w.key("mallory")
	path := func(file string) string { return filepath.Join(w.dir, file) }
	image := func(where string, say func(name.Digest)) string {
		d := signtest.Push(t, signtest.Repository(t, w.host, where), "1", withTorch(t, "2.9.1"))
		if say != nil {
			say(d)
		}
		return w.host + "/" + where + ":1"
	}
	torch := openVEX("pkg:pypi/torch@2.9.1", "not_affected")
	good := image("ml/good", func(d name.Digest) { w.sign(vendor, d, torch) })
	whole := image("ml/whole", func(d name.Digest) {
		w.sign(vendor, d, openVEX("pkg:oci/whole@"+strings.Replace(d.DigestStr(), ":", "%3A", 1), "not_affected"))
	})
	forged := image("ml/forged", func(d name.Digest) { w.sign(mallory, d, torch) })
	both := image("ml/both", func(d name.Digest) {
		w.sign(mallory, d, openVEX("pkg:pypi/torch@2.9.1", "affected"))
		w.sign(vendor, d, torch)
	})
	moved := image("ml/moved", func(d name.Digest) { // the vendor's word about another image, laid beside this one
		other := signtest.Push(t, signtest.Repository(t, w.host, "ml/moved"), "2", signtest.Image(t))
		raw, err := torch.Write(statement.Image{Repository: other.Context().Name(), Digest: other.DigestStr()})
		if err != nil {
			t.Fatal(err)
		}
		signed, err := vendor.Sign(t.Context(), raw)
		if err != nil {
			t.Fatal(err)
		}
		signtest.Attach(t, d, signed.Bundle)
	})
	nonsense := image("ml/nonsense", func(d name.Digest) {
		w.sign(vendor, d, statement.OpenVEX([]byte(`{"@context": "https://openvex.dev/ns/v0.2.0"}`)))
	})
	other := image("ml/other", func(d name.Digest) { w.sign(vendor, d, openVEX("pkg:oci/other@sha256%3A"+lockSum, "not_affected")) })
	bare := image("ml/bare", nil)
	layout := filepath.Join(t.TempDir(), "layout")
	expects(t, 0, "", "copy", good, "oci:"+layout)
	sbom := filepath.Join(t.TempDir(), "x.cdx.json")
	expects(t, 0, "", "sbom", "--format", "cyclonedx-json", "--output", sbom, bare)
	trust := w.write("trust.hcl", fmt.Sprintf("signer \"vendor\" { key = \"vendor.pub\" }\nimages \"all\" {\n  repositories = [%q]\n  signed_by = [\"vendor\"]\n}\n", w.host+"/ml/*"))

	by := func(key string) []string { return []string{"--vex-attestations", "--key", path(key + ".pub")} }
	for _, row := range []struct {
		name, image string
		flags       []string
		code        int
		says        []string
	}{
		{"nobody asks for it", good, nil, 3, []string{"FAILS"}},
		{"signed by whom the user names", good, by("vendor"), 0, []string{"passes: VEX: not_affected", "counts: signed by key"}},
		{"about the image as a whole", whole, by("vendor"), 0, []string{"passes: VEX: not_affected"}},
		{"in a layout", layout, by("vendor"), 0, []string{"passes: VEX: not_affected"}},
		{"by a trust policy", good, []string{"--vex-attestations", "--policy", trust}, 0, []string{"passes: VEX: not_affected"}},
		{"of a layout, by a trust policy", "oci:" + layout, []string{"--vex-attestations", "--policy", trust, "--repository", w.host + "/ml/good"}, 0, []string{"passes: VEX: not_affected"}},
		{"signed by somebody else", good, by("mallory"), 3, []string{"FAILS", "warning: what is attached does not count: ", "warning: no OpenVEX that somebody whom you name has signed is attached"}},
		{"somebody else's, by a trust policy", forged, []string{"--vex-attestations", "--policy", trust}, 3, []string{"FAILS", "does not count"}},
		{"somebody else's beside it", both, by("vendor"), 0, []string{"passes: VEX: not_affected", "does not count"}},
		{"about another image", moved, by("vendor"), 3, []string{"FAILS", "does not count", "subject"}},
		{"nothing is attached", bare, by("vendor"), 3, []string{"FAILS", "warning: no OpenVEX"}},
		{"signed nonsense", nonsense, by("vendor"), 2, []string{"who its author is"}},
		{"whose words are about another image", other, by("vendor"), 2, []string{"statement 1: it is about another image", "this image is sha256:"}},
		{"nobody is named", good, []string{"--vex-attestations"}, 2, []string{"nobody is named"}},
		{"a name for nothing", good, []string{"--key", path("vendor.pub")}, 2, []string{"--vex-attestations is missing"}},
		{"a policy and a name", good, append(by("vendor"), "--policy", trust), 2, []string{"would say it again"}},
		{"a policy that knows no such image", strings.Replace(good, "/ml/", "/none/", 1), []string{"--vex-attestations", "--policy", trust}, 1, []string{"404"}},
		{"of a file", sbom, by("vendor"), 2, []string{"nothing is attached to the file"}},
		{"of a layout, by a trust policy, without its name", layout, []string{"--vex-attestations", "--policy", trust}, 2, []string{"--repository"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := runs(t, slices.Concat([]string{"scan", "--db", db, "--platform", "linux/amd64"}, row.flags, []string{row.image})...)
			if s.code != row.code {
				t.Errorf("exit %d, want %d", s.code, row.code)
			}
			for _, text := range row.says {
				if !strings.Contains(s.out+s.err, text) {
					t.Errorf("it does not say %q", text)
				}
			}
			if t.Failed() {
				t.Logf("%s%s", s.out, s.err)
			}
		})
	}
}
