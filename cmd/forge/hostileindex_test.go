package main

import (
	"bytes"
	"compress/gzip"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/forge-build/forge/builder/layer"
	"github.com/forge-build/forge/recipes"
	"github.com/forge-build/forge/recipes/lock"
)

// endless sends x for as long as anybody listens.
func endless(x string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/vnd.pypi.simple.v1+json")
		for chunk := strings.Repeat(x, 64<<10); ; {
			if _, err := io.WriteString(w, chunk); err != nil {
				return
			}
		}
	}
}

func redirect(to string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Location", to)
		w.WriteHeader(http.StatusFound)
	}
}

func says(code int, text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { http.Error(w, text, code) }
}

// lockable is a recipe that wants alpha, and an index that has it.
func lockable(t *testing.T) (*internet, dist) {
	t.Helper()
	n := newInternet(t)
	alpha := distOf("alpha", "1.0")
	n.recipe(`  python { requirements = ["alpha"] }`)
	n.host("pypi.test", shelf(map[string]string{"alpha": page("alpha", alpha.row())}))
	n.host("files.test", files(alpha))
	return n, alpha
}

// nothingKept fails when a refused forge lock has left a lock, a wheel or a half file.
func (n *internet) nothingKept(ds ...dist) {
	n.t.Helper()
	if left, _ := filepath.Glob(n.path("*.lock.json*")); len(left) > 0 {
		n.t.Errorf("left: %v", left)
	}
	if left, _ := filepath.Glob(n.path("cache/partial/tmp-*")); len(left) > 0 {
		n.t.Errorf("left in the store: %v", left)
	}
	for _, d := range ds {
		if _, err := os.Stat(n.path("cache/blobs/sha256/" + d.sum())); err == nil {
			n.t.Errorf("%s is kept in the store", d.file())
		}
	}
}

func (n *internet) refused(s said, code int, words string) {
	n.t.Helper()
	if s.code != code || !strings.Contains(s.err, words) {
		n.t.Errorf("exit %d, want %d with %q:\n%s%s", s.code, code, words, s.out, s.err)
	}
	if s.out != "" {
		n.t.Errorf("a result is printed: %s", s.out)
	}
	if strings.Contains(s.err, "opensesame") || strings.ContainsRune(s.err, 0x1b) {
		n.t.Errorf("a password or a raw escape is printed: %q", s.err)
	}
}

func TestALyingIndexEndsALock(t *testing.T) {
	evil := distOf("alpha", "6.6")
	lie := func(old, new string) func(*internet, dist) {
		return func(n *internet, alpha dist) {
			n.host("pypi.test", shelf(map[string]string{"alpha": strings.Replace(page("alpha", alpha.row()), old, new, 1)}))
		}
	}
	for _, row := range []struct {
		name  string
		spoil func(n *internet, alpha dist)
		code  int
		words string
	}{
		{"IDX-01 another file under the name", func(n *internet, alpha dist) {
			n.host("files.test", func(w http.ResponseWriter, _ *http.Request) {
				_, _ = w.Write(append(bytes.Clone(alpha.content), 0)[1:])
			})
		}, 1, "IDX-01: sha256 is"},
		{"IDX-01 more bytes than promised", func(n *internet, _ dist) { n.host("files.test", endless("x")) }, 1, "and the server sends more"},
		{"IDX-01 a hash of another algorithm", lie(`"sha256"`, `"md5"`), 1, `IDX-04: file "alpha-1.0-py3-none-any.whl": "hashes" holds no sha256`},
		{"IDX-01 bytes that were packed on the way", func(n *internet, alpha dist) {
			n.host("files.test", func(w http.ResponseWriter, _ *http.Request) {
				var b bytes.Buffer
				z := gzip.NewWriter(&b)
				_, _ = z.Write(alpha.content)
				_ = z.Close()
				w.Header().Set("Content-Encoding", "gzip")
				_, _ = w.Write(b.Bytes())
			})
		}, 1, "IDX-01"},
		{"IDX-02 from https to http", func(n *internet, _ dist) { n.host("pypi.test", redirect("http://pypi.test/simple/alpha/")) }, 1, "IDX-02: leads to http://pypi.test/simple/alpha/: from https to http"},
		{"IDX-02 a cloud's credentials", func(n *internet, _ dist) {
			n.host("files.test", redirect("https://169.254.169.254/latest/meta-data/"))
		}, 1, "IDX-02: leads to https://169.254.169.254/latest/meta-data/: a link-local address is never asked"},
		{"IDX-02 this machine itself", func(n *internet, _ dist) { n.host("files.test", redirect("https://localhost:8443/x")) }, 1, "from outside into this machine itself"},
		{"IDX-02 a file of this machine", func(n *internet, _ dist) { n.host("files.test", redirect("file:///etc/passwd")) }, 1, `scheme "file" is not used`},
		{"IDX-02 for ever", func(n *internet, _ dist) { n.host("files.test", redirect("https://files.test/again")) }, 1, "more than 5 redirects"},
		{"IDX-02 a password in an address", lie("https://files.test/", "https://u:opensesame@files.test/"), 1, "the address holds a user name or password"},
		{"IDX-03 a page of HTML that is sent as JSON", func(n *internet, _ dist) {
			n.host("pypi.test", shelf(map[string]string{"alpha": "<a href=x>alpha</a>"}))
		}, 1, "IDX-04: is not JSON"},
		{"IDX-03 the page of a portal", func(n *internet, _ dist) {
			n.host("pypi.test", func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "image/png")
				_, _ = io.WriteString(w, "PNG\x1b[2J")
			})
		}, 1, `content type "image/png" is no page of an index`},
		{"IDX-03 an endless page", func(n *internet, _ dist) { n.host("pypi.test", endless(" ")) }, 1, "IDX-03: is larger than 67108864 bytes"},
		{"IDX-03 metadata that is not the wheel's", func(n *internet, alpha dist) {
			n.host("pypi.test", shelf(map[string]string{"alpha": page("alpha", strings.Replace(alpha.row(), "{", `{"core-metadata": true, `, 1)), "beta": page("beta", distOf("beta", "1").row())}))
			n.host("files.test", func(w http.ResponseWriter, r *http.Request) {
				if strings.HasSuffix(r.URL.Path, ".metadata") {
					_, _ = io.WriteString(w, "Metadata-Version: 2.1\nName: alpha\nVersion: 1.0\nRequires-Dist: beta\n")
					return
				}
				files(alpha, distOf("beta", "1"))(w, r)
			})
		}, 1, `IDX-03: the index says Requires-Dist "beta", the wheel's own METADATA says ""`},
		{"IDX-04 a key twice", lie(`"size"`, `"size": 1, "size"`), 1, `key "size" is there twice`},
		{"IDX-04 a key in disguise", lie(`"url"`, `"Url": "x", "url"`), 1, `key "Url" is not the key "url"`},
		{"IDX-04 a file of another project", lie(`"filename": "alpha`, `"filename": "beta`), 1, "belongs to another project"},
		{"IDX-04 a negative size", lie(`"size": `, `"size": -`), 1, `"size" is "-`},
		{"IDX-04 nested without end", func(n *internet, _ dist) {
			n.host("pypi.test", shelf(map[string]string{"alpha": strings.Repeat("[", 1<<20)}))
		}, 1, "nests deeper than 100"},
		{"IDX-04 another version of the protocol", lie(`"1.1"`, `"2.0"`), 1, `is of version "2.0"`},
		{"IDX-05 a name of two indexes", func(n *internet, _ dist) {
			n.recipe("  python {\n requirements = [\"alpha\"]\n index \"x\" {\n url = \"https://x.test/simple\"\n packages = [\"al*\"]\n }\n index \"y\" {\n url = \"https://y.test/simple\"\n packages = [\"*pha\"]\n }\n }")
		}, 2, "alpha would come from the indexes x and y"},
		{"a host that does not exist", func(n *internet, _ dist) { n.set("FORGE_INDEX_URL=https://nowhere.test/simple") }, 1, "the server answers 502"},
		{"the index does not have it", func(n *internet, _ dist) { n.host("pypi.test", says(404, "\x1b[2J")) }, 2, "alpha was not found in the package registry"},
		{"the index has it no more", func(n *internet, _ dist) { n.host("pypi.test", says(410, "gone")) }, 2, "alpha was not found in the package registry"},
		{"the index wants a password", func(n *internet, _ dist) { n.host("pypi.test", says(401, "no")) }, 2, "~/.netrc"},
		{"the index is broken", func(n *internet, _ dist) { n.host("pypi.test", says(500, "no")) }, 1, "https://pypi.test/simple/alpha/: the server answers 500"},
		{"IDX-07 a certificate that has expired", func(n *internet, _ dist) {
			n.certs["pypi.test"] = n.certify(&x509.Certificate{DNSNames: []string{"pypi.test"}, NotAfter: time.Now().Add(-time.Minute)}, n.ca)
		}, 1, "certificate has expired"},
		{"IDX-07 a certificate that nobody signed", func(n *internet, _ dist) {
			n.certs["pypi.test"] = n.certify(&x509.Certificate{DNSNames: []string{"pypi.test"}}, nil)
		}, 1, "certificate signed by unknown authority"},
		{"IDX-07 the certificate of another host", func(n *internet, _ dist) {
			n.certs["pypi.test"] = n.certify(&x509.Certificate{DNSNames: []string{"other.test"}}, n.ca)
		}, 1, "certificate is valid for other.test, not pypi.test"},
		{"WHL-02 a wheel of another version", func(n *internet, _ dist) {
			n.host("pypi.test", shelf(map[string]string{"alpha": page("alpha", strings.ReplaceAll(evil.row(), "6.6", "1.0"))}))
			n.host("files.test", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(evil.content) })
		}, 1, "WHL-02"},
		{"ZIP-10 a wheel with something before it", func(n *internet, alpha dist) {
			d := dist{alpha.name, alpha.version, append([]byte("#!/bin/sh\n"), alpha.content...)}
			n.host("pypi.test", shelf(map[string]string{"alpha": page("alpha", d.row())}))
			n.host("files.test", files(d))
		}, 1, "ZIP-"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel() // much of it is waiting
			n, alpha := lockable(t)
			row.spoil(n, alpha)
			began := time.Now()
			n.refused(n.run("lock", "-q", "recipe.hcl"), row.code, row.words)
			if took := time.Since(began); took > 60*time.Second {
				t.Errorf("it took %v", took)
			}
			n.nothingKept()
			if strange := append(n.asked("169.254."), n.asked("localhost")...); len(strange) > 0 || len(n.asked("http ")) > 0 {
				t.Errorf("asked: %v %v", strange, n.asked("http "))
			}
			for _, l := range n.asked("with a password") {
				if !strings.HasPrefix(l, "https pypi.test ") {
					t.Errorf("the password of pypi.test is told elsewhere: %s", l)
				}
			}
		})
	}
}

// What is only trouble is tried again, and then locked.
func TestALockOutlastsTrouble(t *testing.T) {
	n, alpha := lockable(t)
	var page, file atomic.Int64
	pages, bytes := n.hosts["pypi.test"], n.hosts["files.test"]
	n.host("pypi.test", func(w http.ResponseWriter, r *http.Request) {
		if page.Add(1) < 3 {
			says(500, "not now")(w, r)
			return
		}
		pages(w, r)
	})
	n.host("files.test", func(w http.ResponseWriter, r *http.Request) {
		if file.Add(1) == 1 { // dies half way
			w.Header().Set("Content-Length", fmt.Sprint(len(alpha.content)))
			_, _ = w.Write(alpha.content[:100])
			return
		}
		bytes(w, r)
	})
	n.must("lock", "-q", "recipe.hcl")
	if page.Load() != 3 {
		t.Errorf("the page was asked for %d times", page.Load())
	}
	if !strings.Contains(n.lock(), alpha.sum()) {
		t.Errorf("the lock is\n%s", n.lock())
	}
}

func (n *internet) lock() string {
	n.t.Helper()
	raw, err := os.ReadFile(n.path("recipe.lock.json"))
	if err != nil {
		n.t.Fatal(err)
	}
	return string(raw)
}

// IDX-05, as torchtriton was replaced: only a private distribution asks for acme-core, of
// which the public index has a higher version.
func TestAPrivateNameIsLockedFromItsOwnIndex(t *testing.T) {
	n, _ := lockable(t)
	app, core, evil := distOf("acme_app", "1.0", "acme-core>=1", "alpha"), distOf("acme_core", "1.5"), distOf("acme_core", "99.0")
	alpha := distOf("alpha", "1.0")
	n.host("pypi.test", shelf(map[string]string{"alpha": page("alpha", alpha.row()), "acme-core": page("acme-core", evil.row()), "acme-app": page("acme-app", distOf("acme_app", "99.0").row())}))
	n.host("private.test", shelf(map[string]string{"acme-app": page("acme-app", app.row()), "acme-core": page("acme-core", core.row())}))
	n.host("files.test", files(app, core, evil, alpha))
	n.recipe("  python {\n requirements = [\"acme-app\"]\n index \"internal\" {\n url = \"https://private.test/simple\"\n packages = [\"acme-*\"]\n }\n }")
	n.must("lock", "-q", "recipe.hcl")
	var l struct {
		Images map[string]struct {
			Wheels []struct{ Name, Version, Index string }
		}
	}
	if err := json.Unmarshal([]byte(n.lock()), &l); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, w := range l.Images["a"].Wheels {
		got = append(got, w.Name+" "+w.Version+" "+w.Index)
	}
	if want := []string{"acme-app 1.0 internal", "acme-core 1.5 internal", "alpha 1.0 default"}; !slices.Equal(got, want) {
		t.Errorf("locked %v, want %v", got, want)
	}
	if asked := n.asked("pypi.test GET /simple/acme"); len(asked) > 0 {
		t.Errorf("the public index was asked: %v", asked)
	}
}

func TestWhatIsLockedIsFetchedOrNothingIs(t *testing.T) {
	for _, row := range []struct {
		name  string
		spoil func(n *internet, alpha dist)
		words string
	}{
		{"IDX-01 the file has changed", func(n *internet, alpha dist) {
			other := bytes.Clone(alpha.content)
			other[len(other)/2] ^= 1
			n.host("files.test", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(other) })
		}, "lock says"},
		{"IDX-01 the file is an endless one", func(n *internet, _ dist) { n.host("files.test", endless("x")) }, "and the server sends more"},
		{"IDX-01 the page and the file have changed", func(n *internet, _ dist) {
			other := distOf("alpha", "1.0", "beta")
			n.host("pypi.test", shelf(map[string]string{"alpha": page("alpha", other.row())}))
			n.host("files.test", files(other))
		}, "lock says"},
		{"IDX-06 the mirror's page is older", func(n *internet, _ dist) {
			n.host("pypi.test", shelf(map[string]string{"alpha": page("alpha", distOf("alpha", "0.9").row())}))
		}, "alpha 1.0 (alpha-1.0-py3-none-any.whl): no source serves it: tried https://pypi.test/simple/alpha/\nhint: forge lock"},
		{"the project is gone", func(n *internet, _ dist) { n.host("pypi.test", says(404, "no")) }, "no source serves it"},
		{"the file is gone", func(n *internet, _ dist) { n.host("files.test", says(410, "no")) }, "no source serves it: tried https://files.test/alpha-1.0-py3-none-any.whl"},
		{"the file leads to this machine", func(n *internet, _ dist) { n.host("files.test", redirect("https://127.0.0.1/x")) }, "IDX-02"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel() // much of it is waiting
			n, alpha := lockable(t)
			n.must("lock", "-q", "recipe.hcl")
			before := n.lock()
			n.set("FORGE_CACHE=" + n.path("fresh"))
			row.spoil(n, alpha)
			n.refused(n.run("fetch", "-q", "recipe.hcl"), 1, row.words)
			n.refused(n.run("build", "-q", "--builder", "none", "recipe.hcl"), 1, row.words)
			if n.lock() != before {
				t.Error("the lock has changed")
			}
			if _, err := os.Stat(n.path("dist/a")); err == nil {
				t.Error("an image is there")
			}
			if held, err := os.ReadDir(n.path("fresh/blobs/sha256")); err == nil {
				for _, e := range held {
					if b, err := os.ReadFile(n.path("fresh/blobs/sha256/" + e.Name())); err == nil && hexOf(string(b)) != e.Name() {
						t.Errorf("blob %s is another", e.Name())
					}
				}
			}
		})
	}
}

// IDX-06: who has all bytes asks nobody.
func TestABuildWithAllBytesAsksNobody(t *testing.T) {
	n, _ := lockable(t)
	n.must("lock", "-q", "recipe.hcl")
	asked := len(n.asked(""))
	n.must("build", "-q", "--builder", "none", "recipe.hcl")
	n.must("fetch", "-q", "recipe.hcl")
	n.must("lock", "-q", "recipe.hcl")
	if more := n.asked("")[asked:]; slices.ContainsFunc(more, func(l string) bool { return !strings.Contains(l, "/simple/alpha/") }) || len(more) > 1 {
		t.Errorf("asked: %v", more)
	}
}

// A file of a bundle that is another, if of the same size, is put there again.
func TestABundleIsMended(t *testing.T) {
	n, _ := lockable(t)
	n.must("lock", "-q", "recipe.hcl")
	n.must("fetch", "-q", "--to", "bundle", "recipe.hcl")
	files, err := filepath.Glob(n.path("bundle/*.whl"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%v %v", files, err)
	}
	whole, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.Remove(files[0]), os.WriteFile(files[0], bytes.Repeat([]byte{'x'}, len(whole)), 0o600)); err != nil {
		t.Fatal(err)
	}
	n.must("fetch", "-q", "--to", "bundle", "recipe.hcl")
	if now, err := os.ReadFile(files[0]); err != nil || !bytes.Equal(now, whole) {
		t.Errorf("the bundle has another file (%v)", err)
	}
}

// A locked package that neither a mirror nor a snapshot has any more is said with its version,
// where it was looked for, and what chooses another.
func TestAPackageThatIsGoneEverywhere(t *testing.T) {
	n := newInternet(t)
	n.rest = http.NotFound
	n.set("FORGE_DEBIAN_MIRROR=http://mirror.test/debian")
	n.write("recipe.hcl", "image \"a\" {}\n")
	f, err := recipes.Load(n.path("recipe.hcl"), recipes.Options{})
	if err != nil {
		t.Fatal(err)
	}
	zeros := strings.Repeat("0", 64)
	deb := lock.Deb{Name: "libc6", Version: "2.41-12", Architecture: "amd64", Archive: "debian", Path: "pool/main/g/glibc/libc6_2.41-12_amd64.deb", Size: 1, SHA256: zeros}
	err = lock.Write(n.path("recipe.lock.json"), &lock.Lock{Format: lock.Format, Layers: layer.Format, Images: map[string]*lock.Image{"a": {Inputs: f.Images[0].Inputs(), Platform: "linux/amd64",
		Created: "2026-11-01T00:00:00Z", Init: lock.Init{SHA256: zeros}, Layers: []lock.Layer{}, Debian: &lock.Debian{Suite: "trixie", Packages: []lock.Deb{deb},
			Archives: []lock.Archive{{Name: "debian", Suite: "trixie", Date: "2026-11-01T00:00:00Z", InRelease: zeros, Packages: map[string]string{"main": zeros}}}}}}})
	if err != nil {
		t.Fatal(err)
	}
	s := n.run("fetch", "-q", "recipe.hcl")
	n.refused(s, exitFailure, "libc6 2.41-12 (libc6_2.41-12_amd64.deb): no source serves it: tried http://mirror.test/debian/pool/main/g/glibc/libc6_2.41-12_amd64.deb, ")
	for _, words := range []string{"https://snapshot.debian.org/archive/debian/20261101T000000Z/pool/", "hint: forge lock --upgrade=libc6 "} {
		if !strings.Contains(s.err, words) {
			t.Errorf("no %q in:\n%s", words, s.err)
		}
	}
}

// WHL-08: a distribution that only looks like the one that the recipe asks for is named.
func TestALookAlikeIsNamed(t *testing.T) {
	n := newInternet(t)
	alpha, other := distOf("alpha", "1.0", "a1pha"), distOf("a1pha", "1.0")
	n.recipe(`  python { requirements = ["alpha"] }`)
	n.host("pypi.test", shelf(map[string]string{"alpha": page("alpha", alpha.row()), "a1pha": page("a1pha", other.row())}))
	n.host("files.test", files(alpha, other))
	if s := n.must("lock", "-q", "recipe.hcl"); !strings.Contains(s.err, "note: a1pha is not alpha, which the recipe asks for, though it is called almost the same; it comes for alpha\n") {
		t.Error(s.err)
	}
	n.recipe(`  python { requirements = ["alpha", "a1pha"] }`) // it is meant
	if s := n.must("lock", "-q", "recipe.hcl"); strings.Contains(s.err, "almost the same") {
		t.Error(s.err)
	}
}

// What a lock was made as of is part of it: --check derives it as of the same time.
func TestALockAsOfATime(t *testing.T) {
	n, alpha := lockable(t)
	newer := distOf("alpha", "2.0")
	at := func(d dist, time string) string {
		return strings.TrimSuffix(d.row(), "}") + fmt.Sprintf(`, "upload-time": %q}`, time)
	}
	n.host("pypi.test", shelf(map[string]string{"alpha": page("alpha", at(alpha, "2026-01-02T03:04:05Z"), at(newer, "2026-03-02T03:04:05Z"))}))
	n.host("files.test", files(alpha, newer))
	n.must("lock", "-q", "--as-of", "2026-02-01", "recipe.hcl")
	before := n.lock()
	if !strings.Contains(before, `"version": "1.0"`) || !strings.Contains(before, `"asOf": "2026-02-01T23:59:59Z"`) {
		t.Fatal(before)
	}
	n.must("lock", "-q", "--check", "recipe.hcl")
	n.must("lock", "-q", "--as-of", "2026-02-01", "--check", "recipe.hcl")
	n.refused(n.run("lock", "-q", "--upgrade", "--check", "--as-of", "2026-04-01", "recipe.hcl"), exitRecipe, "wheel alpha: 1.0 ")
	n.refused(n.run("lock", "-q", "--as-of", "2026-01-01", "--upgrade", "recipe.hcl"), exitRecipe, "alpha")
	if n.lock() != before {
		t.Error("the lock has changed")
	}
	n.must("lock", "-q", "--upgrade", "recipe.hcl")
	if now := n.lock(); !strings.Contains(now, `"version": "2.0"`) || strings.Contains(now, "asOf") {
		t.Error(now)
	}
}

// What is not locked cannot be chosen anew, and a lock under another name is a lock.
func TestUpgradeAndDiffKnowWhatIsMeant(t *testing.T) {
	n, _ := lockable(t)
	n.must("lock", "-q", "--upgrade=whatever", "recipe.hcl") // nothing is locked yet: all is chosen
	before := n.lock()
	for name, words := range map[string]string{"alhpa": `called that; did you mean "alpha"?`, "": "called that"} {
		n.refused(n.run("lock", "-q", "--upgrade="+name, "recipe.hcl"), exitRecipe, words)
	}
	newer := distOf("alpha", "2.0")
	n.host("pypi.test", shelf(map[string]string{"alpha": page("alpha", newer.row())}))
	n.host("files.test", files(newer))
	n.must("lock", "-q", "--upgrade=Alpha", "recipe.hcl")
	n.write("before.json", before)
	if s := n.must("diff", "before.json", "recipe.hcl"); !strings.Contains(s.out, "wheel alpha: 1.0 ") {
		t.Error(s.out)
	}
}
