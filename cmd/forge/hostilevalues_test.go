package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/forge-build/forge/builder"
)

// hcl writes a text as a literal of a recipe.
func hcl(s string) string {
	raw, err := json.Marshal(s)
	if err != nil {
		panic(err)
	}
	return strings.NewReplacer("${", "$${", "%{", "%%{", `\u003c`, "<", `\u003e`, ">", `\u0026`, "&", "\x7f", `\u007f`).Replace(string(raw))
}

// HCL-06: no shell, no template and no file format reads a value again on its way into the
// image: it arrives as it was written.
func TestValuesArriveAsTheyWereWritten(t *testing.T) {
	n := newInternet(t)
	values := []string{"two\nlines", "a=b=c", "$HOME", "${x}", "$(touch " + n.path("was-run") + ")", "`touch " + n.path("was-run") + "`", "'", `"`, `\`, "; touch " + n.path("was-run"), "%s%n", "--help", "-c", " ", "é\t\u2028", "<script>", "*", "\x7f"}
	var argv, labels, env []string
	for i, v := range values {
		argv = append(argv, hcl(v))
		labels = append(labels, fmt.Sprintf("%s = %s", hcl(fmt.Sprintf("l%d=%s", i, v)), hcl(v)))
		if !strings.Contains(v, "\n") {
			env = append(env, fmt.Sprintf("V%d = %s", i, hcl(v)))
		}
	}
	n.recipe(fmt.Sprintf("entrypoint = [\"python\", %s]\ncommand = [%s]\nlabels = {\n%s\n}\nenv = {\n%s\n}", strings.Join(argv, ", "), strings.Join(argv, ", "), strings.Join(labels, "\n"), strings.Join(env, "\n")))
	n.must("lock", "-q", "recipe.hcl")
	n.must("build", "-q", "--builder", "none", "recipe.hcl")
	l, err := builder.ReadLayout(n.path("dist/a"))
	if err != nil {
		t.Fatal(err)
	}
	c := l.Config.Config
	if want := append(append([]string{"python"}, values...), values...); !slices.Equal(c.Cmd, want) {
		t.Errorf("CMD is %q, want %q", c.Cmd, want)
	}
	for i, v := range values {
		key := fmt.Sprintf("l%d=%s", i, v)
		if c.Labels[key] != v || l.Manifest.Annotations[key] != v {
			t.Errorf("label %q is %q, annotation %q", key, c.Labels[key], l.Manifest.Annotations[key])
		}
		if e := fmt.Sprintf("V%d=%s", i, v); !strings.Contains(v, "\n") && !slices.Contains(c.Env, e) {
			t.Errorf("no variable %q in %q", e, c.Env)
		}
	}
	if _, err := os.Stat(n.path("was-run")); err == nil {
		t.Error("a value was run")
	}
}

// HCL-06: what a place cannot hold is a mistake at the value, not something else.
func TestValuesThatAPlaceCannotHoldAreRefused(t *testing.T) {
	n := newInternet(t)
	for words, summary := range map[string]string{
		`entrypoint = ["a\u0000b"]`:                              "NUL in a value",
		`labels = { "a\u0000" = "b" }`:                           "NUL in a value",
		`env = { A = "one\ntwo" }`:                               "Line feed in a value",
		`env = { A = "one\rtwo" }`:                               "Line feed in a value",
		`env = { "A=B" = "c" }`:                                  "Invalid variable name",
		`env = { "A\nB" = "c" }`:                                 "Invalid variable name",
		`env = { LD_PRELOAD = "/x.so" }`:                         "Variable is not the recipe's",
		`user { name = "a:0:0" }`:                                "Invalid user name",
		`user { name = "a\nroot" }`:                              "Invalid user name",
		`user { uid = 0 }`:                                       "Invalid uid",
		`workdir = "/a\nb"`:                                      "Invalid path",
		`workdir = "/a/../b"`:                                    "Invalid path",
		`writable = ["/proc/self"]`:                              "Path is taken",
		`ports = [65536]`:                                        "Wrong kind of value",
		`repository = "x:../y"`:                                  "Invalid repository",
		`repository = "good.example:443@evil.example/x"`:         "Invalid repository",
		`repository = "r.example/X"`:                             "Invalid repository",
		`repository = "-o/x"`:                                    "Invalid repository",
		`repository = "r..example/x"`:                            "Invalid repository",
		`repository = "r.example/x\n"`:                           "Invalid repository",
		`repository = "r.example/x@sha256:00"`:                   "Invalid repository",
		`tags = ["../y"]`:                                        "Invalid tag",
		`tags = ["-x"]`:                                          "Invalid tag",
		"test \"a\\nb\" { command = [\"true\"] }":                "Invalid test name",
		"test \"a\\u001b[2J\" { command = [\"true\"] }":          "Invalid test name",
		"python { requirements = [\"a --index-url http://x\"] }": "Invalid requirement",
		"python { requirements = [\"a @ file:///etc/passwd\"] }": "Invalid requirement",
		"python { requirements = [\"a\\nb\"] }":                  "Invalid requirement",
	} {
		n.recipe(words)
		if s := n.run("plan", "recipe.hcl"); s.code != exitRecipe || !strings.Contains(s.err, summary) || s.out != "" {
			t.Errorf("%s: exit %d, want %q:\n%s%s", words, s.code, summary, s.out, s.err)
		}
	}
}

// registry serves a base's blobs and manifests by digest.
func registryOf(im baseImage) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		_, digest, _ := strings.Cut(strings.Replace(r.URL.Path, "/blobs/", "/manifests/", 1), "/manifests/")
		b, ok := im.blobs[digest]
		switch {
		case r.URL.Path == "/v2/":
		case !ok:
			http.NotFound(w, r)
		default:
			w.Header().Set("Content-Length", strconv.Itoa(len(b)))
			_, _ = w.Write(b) // the client may have had enough
		}
	}
}

// OCI-07: a registry that answers with one image and later with another, with its own word on
// the digest, does not change what is locked, fetched or built; and forge asks by digest alone.
func TestARegistryThatChangesItsMind(t *testing.T) {
	n := newInternet(t)
	plain := tarOf(python())
	other := tarOf(append(python(), baseFile{name: "etc/evil", content: "x"}))
	good, bad := baseWith(plain, gzipOf(plain, nil)), baseWith(other, gzipOf(other, nil))
	for d := range good.blobs { // the other image under the first one's digests
		if _, ok := bad.blobs[d]; !ok {
			bad.blobs[d] = bad.blobs[bad.digest]
		}
	}
	var later atomic.Bool
	n.host("registry.test", func(w http.ResponseWriter, r *http.Request) {
		_, digest, _ := strings.Cut(r.URL.Path, "/manifests/")
		w.Header().Set("Docker-Content-Digest", digest)
		if later.Load() || r.Method != http.MethodGet || r.Header.Get("User-Agent") == "" {
			registryOf(bad)(w, r)
			return
		}
		registryOf(good)(w, r)
	})
	n.write("recipe.hcl", fmt.Sprintf("image \"a\" {\n  base \"image\" { from = \"registry.test/base/py@%s\" }\n}\n", good.digest))
	if s := n.must("lock", "recipe.hcl"); !strings.Contains(s.err, good.digest) {
		t.Errorf("the manifest's digest is not said:\n%s", s.err)
	}
	first := n.must("build", "-q", "--builder", "none", "recipe.hcl")
	later.Store(true)
	if again := n.must("build", "-q", "--builder", "none", "recipe.hcl"); again.out != first.out {
		t.Errorf("%s, then %s", first.out, again.out)
	}
	n.set("FORGE_CACHE=" + n.path("fresh"))
	for _, args := range [][]string{{"fetch", "-q", "recipe.hcl"}, {"build", "-q", "--builder", "none", "recipe.hcl"}, {"lock", "-q", "--upgrade", "recipe.hcl"}} {
		n.refused(n.run(args...), exitFailure, "IDX-01: s")
	}
	// Each part alone, as other bytes of the same length.
	later.Store(false)
	for digest, b := range good.blobs {
		good.blobs[digest] = append(bytes.Clone(b[:len(b)-1]), b[len(b)-1]^1)
		n.set("FORGE_CACHE=" + n.path("fresh-"+digest[7:]))
		for _, args := range [][]string{{"fetch", "-q", "recipe.hcl"}, {"lock", "-q", "--upgrade", "recipe.hcl"}} {
			n.refused(n.run(args...), exitFailure, "IDX-01: sha256 is "+hexOf(string(good.blobs[digest]))+", its digest says "+digest[7:])
		}
		good.blobs[digest] = b
	}
	for _, l := range n.asked("/manifests/") {
		if !strings.Contains(l, "/manifests/sha256:") {
			t.Errorf("asked by tag: %s", l)
		}
	}
}

// OCI-06 as a user meets it: a base whose table of contents shows a file that no tar holds.
func TestABaseWithATableOfContentsThatLies(t *testing.T) {
	n := newInternet(t)
	body := tarOf(python())
	body = body[:len(body)-1024]
	table := tarOf([]baseFile{{name: "stargz.index.json", content: `{"version":1,"entries":[{"name":"etc/evil","type":"reg"}]}`}})
	first := gzipOf(body, nil)
	footer := gzipOf(nil, []byte("SG\x16\x00"+fmt.Sprintf("%016x", len(first))+"STARGZ"))
	n.write("recipe.hcl", fmt.Sprintf("image \"a\" {\n  base \"image\" { from = %q }\n}\n", n.layout(baseWith(append(body, table...), slices.Concat(first, gzipOf(table, nil), footer)))))
	n.refused(n.run("lock", "-q", "recipe.hcl"), exitFailure, "OCI-06: the tar holds \"etc/passwd\", which its table of contents does not list")
	n.nothingKept()
}
