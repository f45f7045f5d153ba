package resolve

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"github.com/ProtonMail/go-crypto/openpgp/clearsign"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
	"github.com/google/go-cmp/cmp"
	"github.com/ulikunitz/xz"

	"github.com/forge-build/forge/builder/debian"
	"github.com/forge-build/forge/builder/fetch"
	"github.com/forge-build/forge/builder/store"
	"github.com/forge-build/forge/recipes"
	"github.com/forge-build/forge/recipes/lock"
)

// clock is when the tests' choices are made.
var clock = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

// key is a fresh key, made some days before the clock.
func key(t testing.TB) *openpgp.Entity {
	t.Helper()
	e, err := openpgp.NewEntity("test", "", "test@forge.test", &packet.Config{Algorithm: packet.PubKeyAlgoEdDSA, Time: func() time.Time { return clock.AddDate(0, -1, 0) }})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// repository is a fake archive of one or more suites, signed with the test's key.
type repository struct {
	*httptest.Server
	t        *testing.T
	key      *openpgp.Entity
	date     time.Time
	until    time.Time
	packages map[string]string // suite → Packages
	change   map[string]func([]byte) []byte
	gone     map[string]int // path → how often it is missing
	debs     map[string][]byte
	asked    []string
}

func newRepository(t *testing.T) *repository {
	r := &repository{t: t, key: key(t), date: clock.Add(-time.Hour), packages: map[string]string{}, change: map[string]func([]byte) []byte{}, gone: map[string]int{}, debs: map[string][]byte{}}
	base := ""
	for _, name := range []string{"base-files", "ca-certificates", "libc-bin", "libc6", "libgcc-s1", "libpython3.13-stdlib", "libstdc++6", "netbase", "python3.13", "zlib1g"} {
		base += r.entry(name, "1.0")
	}
	r.packages["trixie"] = base
	r.packages["trixie-updates"], r.packages["trixie-security"] = "", ""
	r.Server = httptest.NewServer(http.HandlerFunc(r.serve))
	t.Cleanup(r.Close)
	return r
}

// entry is a paragraph of Packages for a package that the archive has.
func (r *repository) entry(name, version string, fields ...string) string {
	control := fmt.Sprintf("Package: %s\nVersion: %s\nArchitecture: amd64\nMaintainer: A <a@forge.test>\n%sDescription: test\n", name, version, strings.Join(fields, ""))
	b := debOf(control)
	path := "pool/main/" + name + "_" + strings.ReplaceAll(version, ":", "%3a") + "_amd64.deb"
	path = strings.ReplaceAll(path, "%3a", "_")
	r.debs["/"+path] = b
	return fmt.Sprintf("Package: %s\nVersion: %s\nArchitecture: amd64\n%sFilename: %s\nSize: %d\nSHA256: %s\n\n", name, version, strings.Join(fields, ""), path, len(b), sum(b))
}

// debOf is a package that holds nothing but its control file.
func debOf(control string) []byte {
	tarOf := func(name, body string) []byte {
		h := make([]byte, 512)
		copy(h, name)
		copy(h[100:], "0000644\x000000000\x000000000\x00")
		copy(h[124:], fmt.Sprintf("%011o\x0000000000000\x00        0", len(body)))
		copy(h[257:], "ustar\x0000")
		n := 0
		for _, c := range h {
			n += int(c)
		}
		copy(h[148:], fmt.Sprintf("%06o\x00 ", n))
		return append(append(append(h, body...), make([]byte, -len(body)&511)...), make([]byte, 1024)...)
	}
	out := []byte("!<arch>\n")
	for _, m := range [][2]string{{"debian-binary", "2.0\n"}, {"control.tar", string(tarOf("./control", control))}, {"data.tar", string(make([]byte, 1024))}} {
		out = append(out, fmt.Sprintf("%-16s%-12d%-6d%-6d%-8s%-10d`\n", m[0], 0, 0, 0, "100644", len(m[1]))...)
		out = append(out, m[1]...)
	}
	return out
}

func compress(b string) []byte {
	var out bytes.Buffer
	w, err := xz.NewWriter(&out)
	if err != nil {
		panic(err)
	}
	_, _ = w.Write([]byte(b))
	_ = w.Close()
	return out.Bytes()
}

// release is the text of a suite's Release file.
func (r *repository) release(suite string) string {
	file := compress(r.packages[suite])
	codename := suite
	until := ""
	if !r.until.IsZero() {
		until = "Valid-Until: " + r.until.UTC().Format(time.RFC1123) + "\n"
	}
	return fmt.Sprintf("Origin: Debian\nSuite: %s\nCodename: %s\nDate: %s\n%sAcquire-By-Hash: yes\nArchitectures: all amd64\nComponents: main\nSHA256:\n %s %d main/binary-amd64/Packages.xz\n",
		strings.Replace(suite, "trixie", "stable", 1), codename, r.date.UTC().Format(time.RFC1123), until, sum(file), len(file))
}

// sign clear-signs a text.
func (r *repository) sign(text string, keys ...*openpgp.Entity) []byte {
	var out bytes.Buffer
	var private []*packet.PrivateKey
	for _, k := range keys {
		private = append(private, k.PrivateKey)
	}
	w, err := clearsign.EncodeMulti(&out, private, &packet.Config{Time: func() time.Time { return r.date }})
	if err != nil {
		r.t.Fatal(err)
	}
	_, _ = w.Write([]byte(text))
	if err := w.Close(); err != nil {
		r.t.Fatal(err)
	}
	return append(out.Bytes(), '\n')
}

func (r *repository) serve(w http.ResponseWriter, q *http.Request) {
	p := q.URL.Path
	r.asked = append(r.asked, p)
	if r.gone[p] > 0 {
		r.gone[p]--
		http.NotFound(w, q)
		return
	}
	if b, ok := r.debs[p]; ok {
		_, _ = w.Write(b)
		return
	}
	for suite := range r.packages {
		dir := "/dists/" + suite + "/"
		file := compress(r.packages[suite])
		var b []byte
		switch p {
		case dir + "InRelease":
			b = r.sign(r.release(suite), r.key)
		case dir + "main/binary-amd64/by-hash/SHA256/" + sum(file), dir + "main/binary-amd64/Packages.xz":
			b = file
		default:
			continue
		}
		for what, change := range r.change {
			if strings.Contains(p, what) {
				b = change(b)
			}
		}
		_, _ = w.Write(b)
		return
	}
	http.NotFound(w, q)
}

// bench is a choice that knows only the given places and the test's key.
type bench struct {
	t      *testing.T
	o      Options
	places []string
	keys   openpgp.EntityList
	now    time.Time
	said   []string
}

func newBench(t *testing.T, r *repository) *bench {
	t.Helper()
	st, err := store.Open(filepath.Join(t.TempDir(), "store"))
	if err != nil {
		t.Fatal(err)
	}
	env := func(name string) string {
		if name == "FORGE_DEBIAN_MIRROR" || name == "FORGE_DEBIAN_SECURITY_MIRROR" {
			return r.URL
		}
		return ""
	}
	set, err := fetch.Host(env, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{t: t, places: []string{r.URL}, keys: openpgp.EntityList{r.key}, now: clock}
	b.o = Options{Store: st, Fetch: fetch.New(st, set, nil), Progress: func(s string) { b.said = append(b.said, s) }}
	return b
}

func (b *bench) choose(im *recipes.Image, before *lock.Image) (*lock.Debian, error) {
	c, err := newChoice(im, before, b.o, b.now)
	if err != nil {
		return nil, err
	}
	c.places = func(string, string, *recipes.Image) []string { return b.places }
	for i := range c.sources {
		if strings.HasPrefix(c.sources[i].name, "debian") {
			c.sources[i].keys = b.keys
		}
	}
	return c.run(context.Background(), before)
}

func (b *bench) must(im *recipes.Image, before *lock.Image) *lock.Debian {
	b.t.Helper()
	d, err := b.choose(im, before)
	if err != nil {
		b.t.Fatal(err)
	}
	return d
}

func debianImage(packages ...string) *recipes.Image {
	return &recipes.Image{Name: "a", Platform: "linux/amd64", Debian: &recipes.Debian{Suite: "trixie", Packages: packages}}
}

// locked is an image that was locked with d for a recipe.
func locked(im *recipes.Image, d *lock.Debian) *lock.Image {
	return &lock.Image{Platform: im.Platform, Inputs: im.Inputs(), Debian: d}
}

func versions(d *lock.Debian) map[string]string {
	out := map[string]string{}
	for _, p := range d.Packages {
		out[p.Name] = p.Version
	}
	return out
}

func TestAnArchiveIsVerifiedAndClosed(t *testing.T) {
	r := newRepository(t)
	r.packages["trixie"] += r.entry("alpha", "1:2", "Depends: beta | gamma, debconf\n") + r.entry("beta", "1") + r.entry("gamma", "1")
	r.packages["trixie-updates"] = r.entry("beta", "2")
	r.packages["trixie-security"] = r.entry("libc6", "1.0+deb13u1")
	b := newBench(t, r)
	d := b.must(debianImage("alpha"), nil)
	v := versions(d)
	if v["alpha"] != "1:2" || v["beta"] != "2" || v["gamma"] != "" || v["libc6"] != "1.0+deb13u1" || v["python3.13"] != "1.0" || len(d.Packages) != 12 {
		t.Errorf("%v", v)
	}
	for _, p := range d.Packages {
		switch p.Name {
		case "alpha":
			want := lock.Deb{Name: "alpha", Version: "1:2", Architecture: "amd64", Source: "alpha", Archive: "debian", Path: "pool/main/alpha_1_2_amd64.deb",
				Size: int64(len(r.debs["/"+p.Path])), SHA256: sum(r.debs["/"+p.Path]), Requested: true, Dropped: []string{"debconf: debconf asks questions in maintainer scripts"}}
			if diff := cmp.Diff(want, p); diff != "" {
				t.Error(diff)
			}
		case "beta":
			if p.Choice != "beta for beta | gamma" || p.RequiredBy[0] != "alpha" {
				t.Errorf("%+v", p)
			}
		case "libc6":
			if p.Archive != "debian-security" {
				t.Errorf("%+v", p)
			}
		}
	}
	var names []string
	for _, a := range d.Archives {
		names = append(names, a.Name+" "+a.Suite+" "+a.Date)
		if len(a.InRelease) != 64 || len(a.Packages["main"]) != 64 {
			t.Errorf("%+v", a)
		}
	}
	if got := strings.Join(names, ", "); got != "debian trixie 2026-11-24T11:00:00Z, debian trixie-updates 2026-11-24T11:00:00Z, debian-security trixie-security 2026-11-24T11:00:00Z" {
		t.Error(got)
	}
	if !strings.Contains(strings.Join(r.asked, " "), "/by-hash/SHA256/") || strings.Contains(strings.Join(r.asked, " "), "Packages.xz") {
		t.Errorf("%v", r.asked)
	}
}

func TestABadArchiveIsRefused(t *testing.T) {
	for _, row := range []struct {
		name string
		bad  func(*repository, *bench)
		want string
	}{
		{"a tampered Packages", func(r *repository, _ *bench) {
			r.change["binary-amd64"] = func(b []byte) []byte { return compress(r.packages["trixie"] + r.entry("evil", "1")) }
		}, "Packages.xz"},
		{"a changed byte of Packages", func(r *repository, _ *bench) {
			r.change["binary-amd64"] = func(b []byte) []byte { b = bytes.Clone(b); b[len(b)/2] ^= 1; return b }
		}, "Packages.xz"},
		{"a tampered InRelease", func(r *repository, _ *bench) {
			r.change["InRelease"] = func(b []byte) []byte { return bytes.Replace(b, []byte("Origin: Debian"), []byte("Origin: debian"), 1) }
		}, "no signature is by a key of the archive"},
		{"another key", func(r *repository, _ *bench) {
			r.change["InRelease"] = func(b []byte) []byte { return r.sign(r.release("trixie"), key(r.t)) }
		}, "no signature is by a key of the archive"},
		{"no signature", func(r *repository, _ *bench) {
			r.change["InRelease"] = func(b []byte) []byte { return []byte(r.release("trixie")) }
		}, "does not begin with a signed text"},
		{"text before the block", func(r *repository, _ *bench) {
			r.change["InRelease"] = func(b []byte) []byte { return append([]byte("Suite: evil\n"), b...) }
		}, "does not begin with a signed text"},
		{"text after the block", func(r *repository, _ *bench) {
			r.change["InRelease"] = func(b []byte) []byte { return append(bytes.Clone(b), "Suite: evil\n"...) }
		}, "text outside the signed block"},
		{"a second block", func(r *repository, _ *bench) {
			r.change["InRelease"] = func(b []byte) []byte { return append(bytes.Clone(b), b...) }
		}, "text outside the signed block"},
		{"text among the signed headers", func(r *repository, _ *bench) {
			r.change["InRelease"] = func(b []byte) []byte {
				return bytes.Replace(b, []byte("Hash: "), []byte("Suite: evil\nHash: "), 1)
			}
		}, "no clear-signed text"},
		{"the page of a portal", func(r *repository, _ *bench) {
			r.change["InRelease"] = func([]byte) []byte { return []byte("<html>") }
		}, "does not begin with a signed text"},
		{"another suite", func(r *repository, _ *bench) {
			r.change["trixie-security/InRelease"] = func([]byte) []byte { return r.sign(r.release("trixie"), r.key) }
		}, `it is of suite "stable", codename "trixie", not of "trixie-security"`},
		{"an expired one", func(r *repository, _ *bench) { r.until = clock.Add(-time.Minute) }, "it was valid until 2026-11-24T11:59:00Z"},
		{"one of the future", func(r *repository, _ *bench) { r.date = clock.AddDate(0, 0, 2) }, ""},
		{"a key that is not valid yet", func(r *repository, b *bench) { b.now = clock.AddDate(0, -2, 0) }, "no signature is by a key of the archive"},
		{"no packages for the platform", func(r *repository, _ *bench) {
			r.change["InRelease"] = func([]byte) []byte {
				return r.sign(strings.Replace(r.release("trixie"), "all amd64", "all arm64", 1), r.key)
			}
		}, "no packages for amd64"},
		{"a Packages that cannot be parsed", func(r *repository, _ *bench) { r.packages["trixie"] += "Package aa\n" }, "DEB-04"},
		{"no archive at all", func(r *repository, b *bench) { b.places = nil }, "no address is known"},
		{"an archive that has no such suite", func(r *repository, _ *bench) { delete(r.packages, "trixie-updates") }, "trixie-updates"},
	} {
		t.Run(row.name, func(t *testing.T) {
			r := newRepository(t)
			b := newBench(t, r)
			b.must(debianImage(), nil)
			b = newBench(t, r)
			row.bad(r, b)
			_, err := b.choose(debianImage(), nil)
			if err == nil || !strings.Contains(err.Error(), row.want) {
				t.Fatalf("got %v, want %q", err, row.want)
			}
			var input *InputError
			if errors.As(err, &input) {
				t.Errorf("%v is called the recipe's mistake", err)
			}
		})
	}
}

func TestAnySignatureOfAKnownKeyWillDo(t *testing.T) {
	r := newRepository(t)
	other := key(t)
	r.change["trixie/InRelease"] = func([]byte) []byte { return r.sign(r.release("trixie"), other, r.key) }
	r.change["updates/InRelease"] = func([]byte) []byte { return r.sign(r.release("trixie-updates"), r.key, other) }
	newBench(t, r).must(debianImage(), nil)
}

func TestAnArchiveRenewedMeanwhileIsReadAgain(t *testing.T) {
	r := newRepository(t)
	old := compress(r.packages["trixie"])
	dir := "/dists/trixie/main/binary-amd64/"
	r.gone[dir+"by-hash/SHA256/"+sum(old)], r.gone[dir+"Packages.xz"] = 1, 1
	d := newBench(t, r).must(debianImage(), nil)
	if len(d.Archives) != 3 {
		t.Errorf("%+v", d.Archives)
	}
	again := 0
	for _, p := range r.asked {
		if p == "/dists/trixie/InRelease" {
			again++
		}
	}
	if again != 2 {
		t.Errorf("InRelease was read %d times", again)
	}
	r.gone[dir+"by-hash/SHA256/"+sum(old)], r.gone[dir+"Packages.xz"] = 9, 9
	if _, err := newBench(t, r).choose(debianImage(), nil); err == nil {
		t.Error("an archive without its Packages is taken")
	}
}

func TestAStaleMirrorGivesWayToAFreshOne(t *testing.T) {
	fresh := newRepository(t)
	before := locked(debianImage(), newBench(t, fresh).must(debianImage(), nil))
	stale := newRepository(t)
	stale.key, stale.date = fresh.key, fresh.date.Add(-time.Hour)
	b := newBench(t, fresh)
	b.places = []string{stale.URL}
	_, err := b.choose(debianImage("libc-bin"), before)
	if err == nil || !strings.Contains(err.Error(), "older than the locked state of 2026-11-24T11:00:00Z") {
		t.Fatalf("a mirror that went back is taken: %v", err)
	}
	b.places = []string{stale.URL, fresh.URL}
	if d := b.must(debianImage("libc-bin"), before); d.Archives[0].Date != "2026-11-24T11:00:00Z" {
		t.Errorf("%+v", d.Archives)
	}
	// A forged state is not passed over.
	stale.change["InRelease"] = func(b []byte) []byte { return bytes.Replace(b, []byte("Debian"), []byte("debian"), 1) }
	if _, err := b.choose(debianImage("libc-bin"), before); err == nil {
		t.Error("a forged InRelease was passed over")
	}
}

// At a clock that is wrong by decades nothing is taken, and the message names the time.
func TestAWrongClockIsNamed(t *testing.T) {
	for _, year := range []int{1970, 2099} {
		r := newRepository(t)
		r.until = clock.AddDate(0, 0, 7)
		b := newBench(t, r)
		b.now = time.Date(year, 1, 1, 0, 10, 0, 0, time.UTC)
		if _, err := b.choose(debianImage(), nil); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("%d-01-01T00:10:00Z", year)) {
			t.Errorf("%d: %v", year, err)
		}
	}
}

func TestASnapshotIsNeverExpired(t *testing.T) {
	r := newRepository(t)
	r.until = clock.Add(-time.Minute)
	im := debianImage()
	im.Debian.Snapshot = "2026-11-24T11:30:00Z"
	b := newBench(t, r)
	b.now = clock.AddDate(50, 0, 0)
	b.must(im, nil)
	im.Debian.Snapshot = "2026-11-24T10:30:00Z"
	if _, err := b.choose(im, nil); err == nil || !strings.Contains(err.Error(), "nothing after 2026-11-24T10:30:00Z") {
		t.Errorf("a state after the snapshot is taken: %v", err)
	}
	b.o.AsOf = clock.Add(-3 * time.Hour)
	im.Debian.Snapshot = ""
	if _, err := b.choose(im, nil); err == nil || !strings.Contains(err.Error(), "nothing after 2026-11-24T09:00:00Z") {
		t.Errorf("a state after --as-of is taken: %v", err)
	}
	im.Debian.Snapshot = "yesterday"
	var input *InputError
	if _, err := b.choose(im, nil); !errors.As(err, &input) {
		t.Errorf("%v", err)
	}
}

func TestAPinnedTimeAsksTheSnapshotAtThatTime(t *testing.T) {
	r := newRepository(t)
	b := newBench(t, r)
	b.o.AsOf = clock
	for snapshot, want := range map[string]string{"": "/20261124T120000Z", "2026-11-25T00:00:00Z": "/20261124T120000Z", "2026-11-23T00:00:00Z": "/20261123T000000Z"} {
		im := debianImage()
		im.Debian.Snapshot = snapshot
		c, err := newChoice(im, nil, b.o, b.now)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range c.places("debian", "trixie", c.im) {
			if !strings.Contains(p, want) {
				t.Errorf("--as-of with the snapshot %q asks %s", snapshot, p)
			}
		}
	}
}

func TestWishesThatCannotBeMet(t *testing.T) {
	r := newRepository(t)
	r.packages["trixie"] += r.entry("alpha", "1", "Depends: beta (>= 2)\n") + r.entry("beta", "1")
	b := newBench(t, r)
	denied := debianImage("alpha")
	denied.Debian.Deny = []string{"alpha"}
	deep := debianImage("beta")
	deep.Debian.Deny = []string{"libc6"}
	for _, row := range []struct {
		im   *recipes.Image
		want string
	}{
		{debianImage("nothing"), "the recipe asks for nothing: no archive has nothing for amd64"},
		{debianImage("alpha"), "alpha 1 depends on beta (>= 2): the archives have beta 1"},
		{denied, `package "alpha" is both asked for and denied`},
		{deep, "libc6 is denied"},
	} {
		_, err := b.choose(row.im, nil)
		var input *InputError
		if !errors.As(err, &input) || !strings.Contains(err.Error(), row.want) {
			t.Errorf("got %v, want %q", err, row.want)
		}
	}
	if d, err := Debian(context.Background(), &recipes.Image{Base: &recipes.BaseImage{}}, nil, b.o); d != nil || err != nil {
		t.Errorf("%v %v", d, err)
	}
}

func TestLockedPackagesStay(t *testing.T) {
	r := newRepository(t)
	r.packages["trixie"] += r.entry("alpha", "1", "Depends: beta\n") + r.entry("beta", "1")
	im := debianImage("alpha")
	first := newBench(t, r).must(im, nil)
	before := locked(im, first)
	// The archive replaces both.
	r.packages["trixie"] = strings.Split(r.packages["trixie"], "Package: alpha")[0] + r.entry("alpha", "2", "Depends: beta\n") + r.entry("beta", "2")
	r.date = r.date.Add(30 * time.Minute)
	more := debianImage("alpha", "libc-bin")
	for _, row := range []struct {
		name        string
		im          *recipes.Image
		o           func(*Options)
		alpha, beta string
		asks        bool
	}{
		{"the same recipe asks nobody", im, func(*Options) {}, "1", "1", false},
		{"another recipe", more, func(*Options) {}, "1", "1", true},
		{"an upgrade of one", im, func(o *Options) { o.Upgrade = []string{"beta"} }, "1", "2", true},
		{"an upgrade of the base", im, func(o *Options) { o.UpgradeBase = true }, "2", "2", true},
		{"an upgrade of all", im, func(o *Options) { o.UpgradeAll = true }, "2", "2", true},
	} {
		t.Run(row.name, func(t *testing.T) {
			r.asked = nil
			b := newBench(t, r)
			row.o(&b.o)
			d := b.must(row.im, before)
			if v := versions(d); v["alpha"] != row.alpha || v["beta"] != row.beta {
				t.Errorf("%v", v)
			}
			if (len(r.asked) > 0) != row.asks {
				t.Errorf("asked %v", r.asked)
			}
			// What the archive has replaced is found at the dates of the state that had it.
			wantOld := row.asks && row.alpha == "1"
			old := 0
			for _, a := range d.Archives {
				if a.Date == "2026-11-24T11:00:00Z" {
					old++
				}
			}
			if wantOld && (old != 2 || len(d.Archives) != 5) || row.alpha == "2" && old != 0 {
				t.Errorf("%+v", d.Archives)
			}
		})
	}
	t.Run("what nobody has any more gives way", func(t *testing.T) {
		delete(r.debs, "/pool/main/beta_1_amd64.deb")
		im := debianImage("alpha", "libc-bin")
		b := newBench(t, r)
		c, err := newChoice(im, before, b.o, b.now)
		if err != nil {
			t.Fatal(err)
		}
		c.locked = &lock.Debian{Suite: "trixie", Packages: first.Packages} // no dates: no snapshot is asked
		c.places = func(string, string, *recipes.Image) []string { return b.places }
		for i := range c.sources {
			c.sources[i].keys = b.keys
		}
		d, err := c.run(context.Background(), before)
		if err != nil {
			t.Fatal(err)
		}
		if v := versions(d); v["alpha"] != "1" || v["beta"] != "2" || !strings.Contains(strings.Join(b.said, "\n"), "beta 1 is in no archive any more") {
			t.Errorf("%v %v", v, b.said)
		}
	})
	t.Run("the same choice keeps the archives' dates", func(t *testing.T) {
		b := newBench(t, r)
		b.o.UpgradeAll = true
		d := b.must(im, nil)
		r.date = r.date.Add(10 * time.Minute)
		if again := b.must(im, locked(im, d)); again.Archives[0].Date != d.Archives[0].Date {
			t.Errorf("%+v", again.Archives)
		}
	})
}

func TestARecipesArchiveHasItsOwnKey(t *testing.T) {
	r, own := newRepository(t), newRepository(t)
	own.packages = map[string]string{"stable": own.entry("tool", "3")}
	dir := t.TempDir()
	write := func(name string, private bool) {
		var b bytes.Buffer
		w, err := armor.Encode(&b, openpgp.PublicKeyType, nil)
		if err != nil {
			t.Fatal(err)
		}
		if private {
			err = own.key.SerializePrivate(w, nil)
		} else {
			err = own.key.Serialize(w)
		}
		if err == nil {
			err = w.Close()
		}
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, name), b.Bytes(), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	write("own.asc", false)
	write("private.asc", true)
	b := newBench(t, r)
	b.o.Dir = dir
	choose := func(a recipes.Archive) (*lock.Debian, error) {
		im := debianImage("tool")
		im.Debian.Archives = []recipes.Archive{a}
		c, err := newChoice(im, nil, b.o, b.now)
		if err != nil {
			return nil, err
		}
		c.places = func(name, _ string, _ *recipes.Image) []string {
			if name == "own" {
				return []string{own.URL}
			}
			return b.places
		}
		for i := range 3 {
			c.sources[i].keys = b.keys
		}
		if n := len(c.sources[3].keys); n != 1 {
			t.Errorf("the archive has %d keys", n)
		}
		return c.run(context.Background(), nil)
	}
	d, err := choose(recipes.Archive{Name: "own", Suite: "stable", Key: "own.asc"})
	if err != nil {
		t.Fatal(err)
	}
	if v := versions(d); v["tool"] != "3" || d.Archives[3].Name != "own" {
		t.Errorf("%v %+v", v, d.Archives)
	}
	var input *InputError
	for want, a := range map[string]recipes.Archive{
		"reading key":     {Name: "own", Suite: "stable", Key: "../own.asc"},
		"no component":    {Name: "own", Suite: "stable", Key: "own.asc", Components: []string{"extra"}},
		"one of Debian's": {Name: "debian", Suite: "stable", Key: "own.asc"},
		"private key":     {Name: "own", Suite: "stable", Key: "private.asc"},
		"it is no file":   {Name: "own", Suite: "stable", Key: "."},
		"no such file":    {Name: "own", Suite: "stable", Key: "missing.asc"},
	} {
		if _, err := choose(a); !errors.As(err, &input) || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	// Debian's own key does not vouch for it, nor its key for Debian.
	own.key = r.key
	if _, err := choose(recipes.Archive{Name: "own", Suite: "stable", Key: "own.asc"}); err == nil {
		t.Error("an archive signed with another archive's key is taken")
	}
}

func TestDebiansKeysAreAllLoaded(t *testing.T) {
	keys, err := readKeys(keyring)
	if err != nil {
		t.Fatal(err)
	}
	// The nine of debian-archive-keyring 2025.1: automatic, security and stable keys of
	// bullseye, bookworm and trixie.
	var names []string
	for _, k := range keys {
		for name := range k.Identities {
			names = append(names, fmt.Sprintf("%X %s", k.PrimaryKey.Fingerprint, name))
		}
	}
	if n := countKeys(keyring); n != 9 || len(keys) != n {
		t.Errorf("%d of %d keys: %s", len(keys), n, strings.Join(names, "\n"))
	}
	if _, err := readKeys([]byte("no key")); err == nil {
		t.Error("text is taken for keys")
	}
	if _, err := readKeys(keyring[:len(keyring)/2]); err == nil {
		t.Error("half a key ring is taken")
	}
}

// realChoice is a choice from Debian's archive, as this host reaches it.
func realChoice(t *testing.T) func(suite, arch string, packages ...string) (*lock.Debian, Options) {
	t.Helper()
	if os.Getenv("FORGE_TEST_NETWORK") != "1" {
		t.Skip("FORGE_TEST_NETWORK=1 takes packages from Debian's archive")
	}
	home, err := os.UserHomeDir()
	if err != nil {
		t.Fatal(err)
	}
	set, err := fetch.Host(os.Getenv, home)
	if err != nil {
		t.Fatal(err)
	}
	st, err := store.Open(filepath.Join(t.TempDir(), "store"))
	if err != nil {
		t.Fatal(err)
	}
	o := Options{Store: st, Fetch: fetch.New(st, set, nil)}
	return func(suite, arch string, packages ...string) (*lock.Debian, Options) {
		im := debianImage(packages...)
		im.Platform, im.Debian.Suite = "linux/"+arch, suite
		d, err := Debian(context.Background(), im, nil, o)
		if err != nil {
			t.Fatalf("%s %s: %v", suite, arch, err)
		}
		return d, o
	}
}

func TestRealArchive(t *testing.T) {
	choose := realChoice(t)
	for _, suite := range []string{"trixie", "bookworm"} {
		for _, arch := range []string{"amd64", "arm64"} {
			start := time.Now()
			d, _ := choose(suite, arch, "libgomp1")
			v := versions(d)
			for _, unwanted := range []string{"dpkg", "perl-base", "debconf", "openssl", "tzdata", "adduser", "mawk"} {
				if v[unwanted] != "" {
					t.Errorf("%s %s: %s is chosen", suite, arch, unwanted)
				}
			}
			if v["libgomp1"] == "" || v["libc6"] == "" || len(d.Packages) > 40 {
				t.Errorf("%s %s: %v", suite, arch, v)
			}
			t.Logf("%s %s: %d packages in %v", suite, arch, len(d.Packages), time.Since(start))
		}
	}
}

// The packages that users add first unpack: each of their scripts has a rule.
func TestRealPackagesUnpack(t *testing.T) {
	choose := realChoice(t)
	first := []string{"libgomp1", "libgl1", "ffmpeg", "libopenblas0-pthread", "git", "curl", "openssh-client", "bash", "coreutils", "dash", "libsndfile1", "tini", "procps", "libnuma1", "gcc", "python3-dev", "tzdata", "less"}
	for _, row := range []struct {
		suite, arch string
		more        []string
	}{{"trixie", "amd64", []string{"libglib2.0-0t64", "libopenmpi40"}}, {"trixie", "arm64", []string{"libglib2.0-0t64", "libopenmpi40"}}, {"bookworm", "amd64", []string{"libglib2.0-0", "libopenmpi3"}}, {"trixie", "amd64", nil}} {
		packages := append([]string{}, row.more...)
		if row.more != nil {
			packages = append(packages, first...)
		}
		d, o := choose(row.suite, row.arch, packages...)
		var bytes int64
		u, err := debian.NewUnpacker(row.arch, func(e debian.Entry, r io.Reader) error {
			bytes += e.Size
			if r == nil {
				return nil
			}
			_, err := io.Copy(io.Discard, r)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		for _, p := range d.Packages {
			if err := unpackReal(u, p, d, o); err != nil {
				t.Errorf("%s %s: %v", row.suite, row.arch, err)
			}
		}
		if err := u.Finish(); err != nil {
			t.Error(err)
		}
		t.Logf("%s %s: %d packages, %d MB unpacked in %v", row.suite, row.arch, len(d.Packages), bytes/1e6, time.Since(start))
	}
}

func unpackReal(u *debian.Unpacker, p lock.Deb, in *lock.Debian, o Options) error {
	path, err := o.Fetch.Deb(context.Background(), p, nil, &lock.Image{Debian: in})
	if err != nil {
		return err
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	d, err := debian.OpenDeb(f, p.Size, p.Name)
	if err != nil {
		return err
	}
	return u.Add(d)
}
