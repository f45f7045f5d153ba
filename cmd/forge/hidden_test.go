package main

import (
	"archive/tar"
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/forge-build/forge/sbom/vuln/testdata/advisories"
	"github.com/forge-build/forge/signing/signtest"
)

// tarFiles are the files of a layer, by path.
type tarFiles map[string]string

// layoutOf writes an image of layers as a layout, and says its digest.
func layoutOf(t *testing.T, env []string, layers ...tarFiles) (dir, digest string) {
	t.Helper()
	im := mutate.MediaType(mutate.ConfigMediaType(empty.Image, types.OCIConfigJSON), types.OCIManifestSchema1)
	for _, l := range layers {
		var raw bytes.Buffer
		w := tar.NewWriter(&raw)
		for _, name := range slices.Sorted(maps.Keys(l)) {
			if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(l[name])), Typeflag: tar.TypeReg, Format: tar.FormatPAX}); err != nil {
				t.Fatal(err)
			}
			if _, err := w.Write([]byte(l[name])); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(raw.Bytes())), nil })
		if err == nil {
			im, err = mutate.Append(im, mutate.Addendum{Layer: layer, MediaType: types.OCILayer})
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	im, err := mutate.Config(im, v1.Config{Env: env})
	if err != nil {
		t.Fatal(err)
	}
	config, err := im.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	config = config.DeepCopy()
	config.OS, config.Architecture = "linux", "amd64"
	if im, err = mutate.ConfigFile(im, config); err != nil {
		t.Fatal(err)
	}
	return writeLayout(t, im)
}

const installed = "opt/venv/lib/python3.13/site-packages/"

// distribution is what an installed wheel leaves.
func distribution(name, version string) tarFiles {
	dir, module := installed+name+"-"+version+".dist-info/", installed+strings.ToLower(name)+"/__init__.py"
	return tarFiles{dir + "METADATA": "Metadata-Version: 2.4\nName: " + name + "\nVersion: " + version + "\n", module: "",
		dir + "RECORD": strings.TrimPrefix(module, installed) + ",,\n" + strings.TrimPrefix(dir, installed) + "METADATA,,\n" + strings.TrimPrefix(dir, installed) + "RECORD,,\n"}
}

// system is a distribution with one package, which has no flaw.
func system(id, release string) tarFiles {
	return tarFiles{"etc/os-release": fmt.Sprintf("ID=%s\nVERSION_ID=%q\nPRETTY_NAME=%q\n", id, release, id+" "+release), "usr/share/doc/libssl3t64/copyright": "",
		"var/lib/dpkg/status.d/libssl3t64": "Package: libssl3t64\nStatus: install ok installed\nSource: openssl\nVersion: 3.5.4-1\nArchitecture: amd64\nDescription: x\n"}
}

func both(all ...tarFiles) tarFiles {
	out := tarFiles{}
	for _, c := range all {
		maps.Copy(out, c)
	}
	return out
}

func without(c tarFiles, name string) tarFiles {
	delete(c, name)
	return c
}

// testDatabase is the tests' own database of vulnerabilities.
func testDatabase(t *testing.T) string {
	t.Helper()
	db := t.TempDir()
	records, err := advisories.All()
	if err == nil {
		err = advisories.Build(records, db, time.Now().Add(-time.Hour).UTC())
	}
	if err != nil {
		t.Fatal(err)
	}
	return db
}

// A47, A48, A49, A50, A51, A52, A55: a stranger's image that hides what is in it, or speaks for
// itself. It is listed and judged here; what fails is not sent, whoever would sign it.
func TestAnImageThatHidesWhatIsInItIsNotPublished(t *testing.T) {
	host, asked := hosts(t, signtest.Conforming)
	db := testDatabase(t)
	private, public := signtest.Key(t)
	bad := distribution("torch", "2.5.1")
	bom := `{"bomFormat":"CycloneDX","specVersion":"1.6","components":[{"type":"library","name":"torch","version":"2.15.0","purl":"pkg:pypi/torch@2.15.0"}]}`
	vex := `{"@context":"https://openvex.dev/ns/v0.2.0","@id":"x","author":"Us","timestamp":"2026-01-01T00:00:00Z","version":1,"statements":[{"vulnerability":{"name":"CVE-2025-32434"},"products":[{"@id":"pkg:pypi/torch"}],"status":"not_affected","justification":"component_not_present"}]}`
	for name, row := range map[string]struct {
		layers []tarFiles
		db     string
		code   int
		part   string
	}{
		"as it is":                          {[]tarFiles{system("debian", "13"), distribution("torch", "2.15.0")}, db, 0, ""},
		"A47 no os-release":                 {[]tarFiles{without(system("debian", "13"), "etc/os-release"), distribution("torch", "2.15.0")}, db, 3, "does not say which it is"},
		"A47 an os-release of another kind": {[]tarFiles{system("alpine", "3.20"), distribution("torch", "2.15.0")}, db, 3, "names one that is not theirs"},
		"A47 a release that is over":        {[]tarFiles{system("debian", "12"), distribution("torch", "2.15.0")}, db, 3, "EOL-debian-12"},
		"A47 a release that is to come":     {[]tarFiles{system("debian", "99"), distribution("torch", "2.15.0")}, db, 1, "no data about debian 99"},
		"A48 another case, a local version": {[]tarFiles{system("debian", "13"), distribution("Torch", "2.5.0+cu124")}, db, 3, "GHSA-53q9-r3pm-6pq6"},
		"A48 a candidate of the mended one": {[]tarFiles{system("debian", "13"), distribution("torch", "2.6.0.dev20250101")}, db, 3, "GHSA-53q9-r3pm-6pq6"},
		"A49 a list that says otherwise":    {[]tarFiles{system("debian", "13"), both(bad, tarFiles{"bom.cdx.json": bom, "usr/share/sbom/torch.spdx.json": bom})}, db, 3, "GHSA-53q9-r3pm-6pq6"},
		"A50 an older one in a lower layer": {[]tarFiles{system("debian", "13"), distribution("torch", "2.15.0"), both(distribution("torch", "2.5.1"), tarFiles{installed + ".wh.torch-2.15.0.dist-info": ""})}, db, 3, "GHSA-53q9-r3pm-6pq6"},
		"A51 no database":                   {[]tarFiles{system("debian", "13"), distribution("torch", "2.15.0")}, filepath.Join(db, "none"), 1, "database"},
		"A52 an image that excuses itself":  {[]tarFiles{system("debian", "13"), both(bad, tarFiles{"vex/torch.openvex.json": vex, ".vex/torch.json": vex})}, db, 3, "GHSA-53q9-r3pm-6pq6"},
	} {
		t.Run(name, func(t *testing.T) {
			dir, digest := layoutOf(t, nil, row.layers...)
			repo, before := host+"/team/image", asked.Load()
			out, errs, code := forgeRun(t, "publish", "--db", row.db, "--to", repo, "--tag", "1.0", "--key", private, "oci:"+dir)
			if code != row.code || !strings.Contains(errs, row.part) || (code == 0) != (out == repo+"@"+digest+"\n") {
				t.Errorf("exit %d, %q, want %d with %q:\n%s", code, out, row.code, row.part, errs)
			}
			if n := asked.Load() - before; code != 0 && n > 0 {
				t.Errorf("the registry was asked %d times", n)
			}
		})
	}
	// A55: what a wheel bundles is in the signed list.
	bundled := distribution("pillow", "13.0.0")
	bundled[installed+"pillow.libs/libcrypto-0123abcd.so.3"] = "\x7fELFOpenSSL 3.5.4 30 Sep 2025\x00"
	for name := range bundled {
		if strings.HasSuffix(name, "RECORD") {
			bundled[name] += "pillow.libs/libcrypto-0123abcd.so.3,,\n"
		}
	}
	dir, _ := layoutOf(t, nil, system("debian", "13"), bundled)
	repo := host + "/team/bundled"
	if out, errs, code := forgeRun(t, "publish", "--db", db, "--to", repo, "--tag", "1.0", "--key", private, "oci:"+dir); code != 0 {
		t.Fatalf("exit %d, %q: %s", code, out, errs)
	}
	if out, errs, code := forgeRun(t, "attestation", "--key", public, "--type", "cyclonedx", repo+":1.0"); code != 0 || !strings.Contains(out, `"openssl"`) || !strings.Contains(out, `"3.5.4"`) {
		t.Errorf("exit %d: %s%s", code, out, errs)
	}
}

// A59: what lets forge in, in the environment, in Docker's settings or in an image's own
// environment, is in no list, statement, message or error. hostile-input SBM-02.
func TestNoSecretIsTold(t *testing.T) {
	secrets := []string{"opensesame-docker", "opensesame-syft", "opensesame-key"}
	t.Setenv("FORGE_CACHE", t.TempDir())
	for name, value := range map[string]string{"SYFT_REGISTRY_AUTH_PASSWORD": secrets[1], "GRYPE_REGISTRY_AUTH_PASSWORD": secrets[1], "FORGE_KEY_PASSPHRASE": secrets[2], "COSIGN_PASSWORD": secrets[2]} {
		t.Setenv(name, value)
	}
	login := base64.StdEncoding.EncodeToString([]byte("alice:" + secrets[0]))
	secrets = append(secrets, login)
	inner, let := signtest.Handler(signtest.Conforming), true
	host := signtest.Serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !let || r.Header.Get("Authorization") != "Basic "+login {
			w.Header().Set("WWW-Authenticate", `Basic realm="x"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		inner.ServeHTTP(w, r)
	}))
	docker := t.TempDir()
	t.Setenv("DOCKER_CONFIG", docker)
	if err := os.WriteFile(filepath.Join(docker, "config.json"), []byte(`{"auths":{"`+host+`":{"auth":"`+login+`"}}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	dir, digest := layoutOf(t, nil, system("debian", "13"), distribution("torch", "2.15.0"))
	private, public := signtest.Key(t)
	repo := host + "/team/image"
	ref := repo + "@" + digest
	quiet := func(code int, args ...string) {
		t.Helper()
		out, errs, got := forgeRun(t, args...)
		if got != code {
			t.Errorf("%v: exit %d: %s%s", args, got, out, errs)
		}
		for _, s := range secrets {
			if strings.Contains(out+errs, s) {
				t.Errorf("%v tells %q: %s%s", args, s, out, errs)
			}
		}
	}
	quiet(0, "publish", "--no-scan", "--to", repo, "--tag", "1.0", "--key", private, "oci:"+dir)
	for _, kind := range []string{"spdx", "cyclonedx"} {
		quiet(0, "attestation", "--key", public, "--type", kind, "--statement", ref)
	}
	for _, format := range []string{"spdx-json", "cyclonedx-json", "syft-json"} {
		quiet(0, "sbom", "--format", format, ref)
	}
	quiet(0, "verify", "--json", "--key", public, ref)
	let = false
	for _, args := range [][]string{{"verify", "--key", public, ref}, {"verify", "--json", "--key", public, ref}, {"sbom", ref}, {"copy", ref, host + "/mirror/image:1"},
		{"publish", "--no-scan", "--to", repo, "--tag", "2.0", "--key", private, "oci:" + dir}} {
		quiet(1, args...)
	}
}
