package base

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/forge-build/forge/builder/fetch"
	"github.com/forge-build/forge/recipes"
	"github.com/forge-build/forge/recipes/lock"
)

func TestAnIndexIsResolvedAndTheBaseIsFound(t *testing.T) {
	w := newWorld(t)
	manifest := w.image(made{layers: [][]file{system(), {{name: "etc/x"}}}, mediaType: "application/vnd.docker.image.rootfs.diff.tar.gzip",
		env: []string{"PATH=/usr/local/bin:/usr/bin", "LANG=C.UTF-8", "LD_LIBRARY_PATH=/x", "CUDA_VERSION=1", "PYTHON_VERSION=3.11.9", "NVIDIA_REQUIRE_CUDA=x"}})
	platform := func(arch string) map[string]any { return map[string]any{"os": "linux", "architecture": arch} }
	index, _ := json.Marshal(map[string]any{"schemaVersion": 2, "mediaType": indexTypes[0], "manifests": []any{
		map[string]any{"mediaType": manifestTypes[0], "digest": w.image(made{layers: [][]file{system()}, arch: "arm64"}), "size": 1, "platform": platform("arm64")},
		map[string]any{"mediaType": manifestTypes[0], "digest": manifest, "size": 1, "platform": platform("amd64")}}})
	digest := w.push("manifests", indexTypes[0], index)
	b, err := w.read(w.recipe(digest))
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(lock.Python{Version: "3.11", Full: "3.11.9", Interpreter: "/usr/local/bin/python3.11"}, b.Python); d != "" {
		t.Error(d)
	}
	got := b.Lock
	if got.Index != digest || got.Manifest != manifest || len(got.Layers) != 2 || got.Layers[0].MediaType != "application/vnd.docker.image.rootfs.diff.tar.gzip" {
		t.Errorf("%+v", got)
	}
	if got.Libc != "glibc 2.36" || got.Libstdcxx != "3.4.30" || got.Libz != "" || got.System != "Test 1" {
		t.Errorf("%+v", got)
	}
	if d := cmp.Diff([]string{"CUDA_VERSION", "LD_LIBRARY_PATH", "NVIDIA_REQUIRE_CUDA"}, got.Removed); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]string{"LANG=C.UTF-8", "PATH=/usr/local/bin:/usr/bin", "PYTHON_VERSION=3.11.9"}, got.Env); d != "" {
		t.Error(d)
	}
	// A second time nothing is asked, and the same is said.
	w.fetch.Offline = true
	again, err := w.read(w.recipe(digest))
	if err != nil || cmp.Diff(b.Lock, again.Lock) != "" {
		t.Errorf("%v", err)
	}
	if err := b.Fits(Needs{GLIBC: "2.36", Libraries: []string{"libstdc++.so.6"}}); err != nil {
		t.Error(err)
	}
	if err := b.Fits(Needs{GLIBCXX: "3.4.30"}); err != nil {
		t.Error(err)
	}
	for want, n := range map[string]Needs{"the wheels need GLIBCXX_3.4.32 of libstdc++.so.6, its highest is GLIBCXX_3.4.30": {GLIBCXX: "3.4.32"}, "the wheels need glibc 2.38, it has 2.36": {GLIBC: "2.38"}, "the wheels need libz.so.1": {Libraries: []string{"libz.so.1"}}} {
		if err := b.Fits(n); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

func without(files []file, name string) []file {
	var out []file
	for _, f := range files {
		if f.name != name {
			out = append(out, f)
		}
	}
	return out
}

func TestABaseThatCannotCarryTheImageIsAnErrorWithTheFact(t *testing.T) {
	musl := append(without(system(), "usr/local/bin/python3.11"), file{name: "usr/local/bin/python3.11", content: elf("/lib/ld-musl-x86_64.so.1", "")})
	for _, row := range []struct {
		name  string
		m     made
		spoil func(*recipes.Image)
		want  string
	}{
		{"no python", made{layers: [][]file{without(system(), "usr/local/bin/python3")}}, nil, "no python3 on its PATH"},
		{"python removed by a whiteout", made{layers: [][]file{system(), {{name: "usr/local/bin/.wh.python3"}}}}, nil, "no python3 on its PATH"},
		{"python hidden by an opaque folder", made{layers: [][]file{system(), {{name: "usr/local/bin/.wh..wh..opq"}, {name: "usr/local/bin/x"}}}}, nil, "no python3 on its PATH"},
		{"no standard library", made{layers: [][]file{without(system(), "usr/local/lib/python3.11/os.py")}}, nil, "no lib/python3.11/os.py beside it"},
		{"no CPython", made{layers: [][]file{without(system(), "usr/local/lib/libpython3.11.so.1.0")}}, nil, "no CPython"},
		{"musl", made{layers: [][]file{musl}}, nil, "made for musl"},
		{"no libc", made{layers: [][]file{without(system(), "usr/lib/x86_64-linux-gnu/libc.so.6")}}, nil, "no libc.so.6"},
		{"another Python", made{layers: [][]file{system()}}, func(im *recipes.Image) { im.Python.Version = "3.12" }, "it has Python 3.11.9"},
		{"another interpreter", made{layers: [][]file{system()}}, func(im *recipes.Image) { im.Base.Interpreter = "/usr/bin/python3" }, "no program that is there"},
		{"another platform", made{layers: [][]file{system()}, arch: "arm64"}, nil, "it is for linux/arm64"},
		{"made by forge", made{layers: [][]file{append(system(), file{name: "opt/venv/x"})}}, nil, "forge's own place"},
		{"a link in forge's way", made{layers: [][]file{append(system(), file{name: "opt", link: "/srv"})}}, nil, "/opt is a symlink"},
	} {
		t.Run(row.name, func(t *testing.T) {
			w := newWorld(t)
			im := w.recipe(w.image(row.m))
			if row.spoil != nil {
				row.spoil(im)
			}
			_, err := w.read(im)
			var unfit *UnfitError
			if !errors.As(err, &unfit) || !strings.Contains(err.Error(), row.want) {
				t.Errorf("%v, want %q", err, row.want)
			}
		})
	}
}

func swap(old, new string) func([]byte) []byte {
	return func(b []byte) []byte { return bytes.Replace(b, []byte(old), []byte(new), 1) }
}

func TestHostileBasesAreRefused(t *testing.T) {
	bomb := file{name: "zeros", content: strings.Repeat("\x00", bombSize+1)}
	many := make([][]file, MaxLayers-own+1)
	for i := range many {
		many[i] = []file{{name: fmt.Sprintf("f%d", i)}}
	}
	for _, row := range []struct {
		name string
		m    made
		want string
	}{
		{"OCI-01 other digest", made{manifest: swap(`"digest":"sha256:`, `"digest":"sha512:`)}, "OCI-01"},
		{"OCI-01 capital digest", made{manifest: swap(`"digest":"sha256:`, `"digest":"SHA256:`)}, "OCI-01"},
		{"OCI-02 size", made{manifest: swap(`"size":`, `"size":-`)}, "OCI-02"},
		{"OCI-01 size is one more", made{manifest: swap(`"size":`, `"size":1`)}, "size is"},
		{"OCI-02 key twice", made{manifest: swap(`"schemaVersion":2`, `"schemaVersion":2,"schemaVersion":2`)}, "OCI-02"},
		{"OCI-02 key in another case", made{manifest: swap(`"schemaVersion":2`, `"schemaVersion":2,"Layers":[]`)}, "OCI-02"},
		{"OCI-02 both kinds", made{manifest: swap(`"schemaVersion":2`, `"schemaVersion":2,"manifests":[]`)}, "OCI-02"},
		{"OCI-02 schema 1", made{manifest: swap(`"schemaVersion":2`, `"schemaVersion":1`)}, "OCI-02"},
		{"OCI-02 something after", made{manifest: func(b []byte) []byte { return append(b, "{}"...) }}, "OCI-02"},
		{"OCI-02 another media type", made{manifest: swap(manifestTypes[0], indexTypes[0])}, "OCI-02"},
		{"OCI-03 lies elsewhere", made{manifest: swap(`"digest"`, `"urls":["https://h.example/x"],"digest"`)}, "OCI-03"},
		{"OCI-03 foreign layer", made{mediaType: "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"}, "OCI-03"},
		{"OCI-04 malformed marker", made{layers: [][]file{system(), {{name: "etc/.wh."}}}}, "OCI-04"},
		{"OCI-04 below a link", made{layers: [][]file{system(), {{name: "lib/x"}}}}, "OCI-04"},
		{"OCI-05 variable twice", made{env: []string{"A=1", "A=2"}}, "OCI-05"},
		{"OCI-05 variable without value", made{env: []string{"A"}}, "OCI-05"},
		{"OCI-05 wrong diffID", made{config: swap(`"diff_ids":["sha256:`, `"diff_ids":["sha256:0`)}, "OCI-05"},
		{"OCI-06 not what it says", made{mediaType: "application/vnd.oci.image.layer.v1.tar+zstd"}, "OCI-06"},
		{"OCI-06 something after", made{blob: func(b []byte) []byte { return append(b, 'x') }}, "CMP-01"},
		{"a bomb", made{layers: [][]file{append(system(), bomb)}}, "CMP-01"},
		{"too many layers", made{layers: many}, "it has 101 layers"},
	} {
		t.Run(row.name, func(t *testing.T) {
			w := newWorld(t)
			if row.m.layers == nil {
				row.m.layers = [][]file{system()}
			}
			_, err := w.read(w.recipe(w.image(row.m)))
			if err == nil || !strings.Contains(err.Error(), row.want) {
				t.Errorf("%v, want %q", err, row.want)
			}
		})
	}
}

func TestARegistryThatServesOtherBytesIsRefused(t *testing.T) {
	w := newWorld(t)
	digest := w.image(made{layers: [][]file{system()}})
	w.gate = func(rw http.ResponseWriter, r *http.Request) bool {
		if !strings.Contains(r.URL.Path, "/manifests/") {
			return false
		}
		rw.Header().Set("Docker-Content-Digest", digest)
		fmt.Fprint(rw, `{"schemaVersion":2}`)
		return true
	}
	var wrong *fetch.HashError
	if _, err := w.read(w.recipe(digest)); !errors.As(err, &wrong) {
		t.Error(err)
	}
}

func TestTLSIsVerified(t *testing.T) {
	w := newWorld(t)
	digest := w.image(made{layers: [][]file{system()}})
	w.fetch = w.fetcher(false)
	if _, err := w.read(w.recipe(digest)); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Error(err)
	}
}

func TestOfflineNamesWhatIsMissing(t *testing.T) {
	w := newWorld(t)
	digest := w.image(made{layers: [][]file{system()}})
	w.fetch.Offline = true
	n := len(w.asked)
	var offline *fetch.OfflineError
	if _, err := w.read(w.recipe(digest)); !errors.As(err, &offline) || len(w.asked) != n {
		t.Errorf("%v, %v", err, w.asked[n:])
	}
}

func TestDockersCredentialsGoToTheRegistryAlone(t *testing.T) {
	w := newWorld(t)
	digest := w.image(made{layers: [][]file{system()}})
	w.gate = func(rw http.ResponseWriter, r *http.Request) bool {
		if u, p, _ := r.BasicAuth(); u == "me" && p == "pass" {
			return false
		}
		rw.Header().Set("WWW-Authenticate", `Basic realm="x"`)
		rw.WriteHeader(401)
		return true
	}
	var denied *fetch.SettingsError
	if _, err := w.read(w.recipe(digest)); !errors.As(err, &denied) || !strings.Contains(err.Error(), "docker login") {
		t.Error(err)
	}
	config := fmt.Sprintf(`{"auths":{%q:{"auth":"bWU6cGFzcw=="}}}`, w.host())
	if err := os.WriteFile(filepath.Join(os.Getenv("DOCKER_CONFIG"), "config.json"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	w.fetch = w.fetcher(true)
	if _, err := w.read(w.recipe(digest)); err != nil {
		t.Error(err)
	}
	// OCI-03: a realm elsewhere is not asked.
	other := newWorld(t)
	digest = other.image(made{layers: [][]file{system()}})
	other.gate = func(rw http.ResponseWriter, r *http.Request) bool {
		rw.Header().Set("WWW-Authenticate", `Bearer realm="https://evil.example/token",service="x"`)
		rw.WriteHeader(401)
		return true
	}
	if _, err := other.read(other.recipe(digest)); err == nil || !strings.Contains(err.Error(), "OCI-03") {
		t.Error(err)
	}
}

func TestALayoutBelowTheRecipe(t *testing.T) {
	w := newWorld(t)
	digest := w.image(made{layers: [][]file{system()}})
	b, err := w.read(w.recipe(digest))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	blobs := filepath.Join(dir, "bases", "py", "blobs", "sha256")
	if err := os.MkdirAll(blobs, 0o755); err != nil {
		t.Fatal(err)
	}
	sums := []string{digest[7:], b.Lock.Config[7:], b.Lock.Layers[0].Blobs["gzip"].Digest[7:]}
	for _, sum := range sums {
		raw, err := os.ReadFile(w.store.Path(sum))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(blobs, sum), raw, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	read := func() error {
		fresh := newWorld(t)
		im := fresh.recipe(digest)
		im.Base.From = "oci:bases/py@" + digest
		fresh.fetch.Offline = true
		_, err := Read(t.Context(), im, Options{Store: fresh.store, Fetch: fresh.fetch, Dir: dir})
		return err
	}
	if err := read(); err != nil {
		t.Fatal(err)
	}
	// OCI-08: a blob that is a link.
	if err := os.Rename(filepath.Join(blobs, sums[2]), filepath.Join(dir, "x")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("../../../../x", filepath.Join(blobs, sums[2])); err != nil {
		t.Fatal(err)
	}
	if err := read(); err == nil || !strings.Contains(err.Error(), "OCI-08") {
		t.Error(err)
	}
}

func TestAccountsAreTheBasesAndTheUser(t *testing.T) {
	w := newWorld(t)
	b, err := w.read(w.recipe(w.image(made{layers: [][]file{append(system(), file{name: "etc/shadow", content: "root:*:1::::::\n"})}})))
	if err != nil {
		t.Fatal(err)
	}
	got, err := b.Accounts("ml", 1001, []string{"render", "video"}, "/cache/home")
	if err != nil {
		t.Fatal(err)
	}
	var text []string
	for _, a := range got {
		text = append(text, a.Path+"\n"+string(a.Content))
	}
	want := []string{"etc/passwd\nroot:x:0:0:root:/root:/bin/bash\nml:x:1001:1001:ml:/cache/home:/usr/sbin/nologin\n",
		"etc/group\nroot:x:0:\nvideo:x:44:ml\nml:x:1001:\nrender:x:104:ml\n", "etc/shadow\nroot:*:1::::::\nml:*:::::::\n"}
	if d := cmp.Diff(want, text); d != "" {
		t.Error(d)
	}
	for _, row := range []struct {
		name string
		uid  int
		want string
	}{{"root", 1001, "give the recipe's user another name"}, {"ml", 44, "another uid"}} {
		if _, err := b.Accounts(row.name, row.uid, nil, "/"); err == nil || !strings.Contains(err.Error(), row.want) {
			t.Errorf("%v, want %q", err, row.want)
		}
	}
}
