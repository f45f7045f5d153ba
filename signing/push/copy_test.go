package push

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/google/go-containerregistry/pkg/v1/validate"
)

// decorated is an index in a repository: two notes about it, one about an image of it, a note
// about a note, and older tags.
func decorated(t *testing.T, w *world) (name.Repository, v1.Descriptor) {
	src, d := open(t, index(t))
	repo := w.repo(t, "team/image")
	c := client(t)
	if _, err := c.Push(background, src, d, repo, nil); err != nil {
		t.Fatal(err)
	}
	image := repo.Digest(d.Digest.String())
	notes := must(c.Attach(background, image, d, note(1), note(2)))
	must(c.Attach(background, repo.Digest(notes[0].Digest.String()), notes[0], note(3)))
	child := must(src.Document(background, d.Digest, "")).Manifests[1]
	must(c.Attach(background, repo.Digest(child.Digest.String()), child, note(4)))
	for suffix, text := range map[string]string{"sig": "a signature", "att": "an attestation"} {
		if err := c.AddOlder(background, image, suffix, Layer{"application/vnd.example", []byte(text), map[string]string{"sig": suffix}}); err != nil {
			t.Fatal(err)
		}
	}
	return repo, d
}

// all lists what is said, without the order.
func all(c *Collection) map[string]int {
	out := map[string]int{}
	for _, s := range c.Said {
		out[s.About.String()+" "+s.Suffix+" "+s.Doc.Descriptor.Digest.String()]++
	}
	return out
}

func TestCopyBringsEverythingThatIsSaid(t *testing.T) {
	for _, api := range []bool{true, false} {
		from, to := newWorld(t, registry.WithReferrersSupport(api)), newWorld(t, registry.WithReferrersSupport(!api))
		repo, d := decorated(t, from)
		c := client(t)
		have, err := c.Collect(background, c.At(repo), d)
		if err != nil || len(have.Said) != 6 || len(have.Docs) != 3 || len(have.Junk) != 0 {
			t.Fatalf("api %v: %d said of %d, junk %v, %v", api, len(have.Said), len(have.Docs), have.Junk, err)
		}
		// Registry to layout, layout to registry.
		dir := filepath.Join(t.TempDir(), "out")
		w, err := NewWriter(dir)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Save(background, c.At(repo), have, w, "1.0"); err != nil {
			t.Fatal(err)
		}
		if err := c.Save(background, c.At(repo), have, w, "1.0"); err != nil { // a second time changes nothing
			t.Fatal(err)
		}
		l, inside := open(t, dir)
		if inside.Digest != d.Digest {
			t.Errorf("the layout's image is %s", inside.Digest)
		}
		again, err := c.Collect(background, l, inside)
		if err != nil || cmp.Diff(all(have), all(again)) != "" {
			t.Fatalf("%v %s", err, cmp.Diff(all(have), all(again)))
		}
		mirror := to.repo(t, "mirror/image")
		if _, err := c.Copy(background, l, again, mirror, "1.0", nil); err != nil {
			t.Fatal(err)
		}
		there, err := c.Collect(background, c.At(mirror), d)
		if err != nil || cmp.Diff(all(have), all(there)) != "" {
			t.Errorf("%v %s", err, cmp.Diff(all(have), all(there)))
		}
		back, err := remote.Index(mirror.Tag("1.0"))
		if err == nil {
			err = validate.Index(back)
		}
		if err != nil {
			t.Error(err)
		}
		to.reset()
		if sent, err := c.Copy(background, c.At(repo), have, mirror, "1.0", nil); err != nil || sent.Bytes != 0 || to.count("PATCH") != 0 {
			t.Errorf("a second time: %+v, %v", sent, err)
		}
	}
}

// An older tag of the mirror's own is not overwritten.
func TestCopyMergesOlderTags(t *testing.T) {
	from, to := newWorld(t), newWorld(t)
	repo, d := decorated(t, from)
	mirror := to.repo(t, "mirror/image")
	c := client(t)
	have := must(c.Collect(background, c.At(repo), d))
	if err := c.AddOlder(background, mirror.Digest(d.Digest.String()), "sig", Layer{"application/vnd.example", []byte("the mirror's own"), nil}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Copy(background, c.At(repo), have, mirror, "", nil); err != nil {
		t.Fatal(err)
	}
	if doc, err := c.Older(background, mirror.Digest(d.Digest.String()), "sig"); err != nil || len(doc.Layers) != 2 {
		t.Errorf("%v, %v", doc, err)
	}
}

// A mirror that loses something gets no tag.
// What is beyond a bound is not lost silently: a list that is longer than is read is no copy.
func TestCopyOfMoreThanIsReadFails(t *testing.T) {
	from := newWorld(t)
	image, _ := pushed(t, from)
	d := v1.Descriptor{Digest: must(v1.NewHash(image.DigestStr()))}
	for name, row := range map[string]struct {
		entries int
		next    bool
	}{"a long list": {maxReferrers + 1, false}, "more pages than are read": {1, true}} {
		t.Run(name, func(t *testing.T) {
			pages := 0
			from.before = func(rw http.ResponseWriter, r *http.Request) bool {
				if !strings.Contains(r.URL.Path, "/referrers/") {
					return false
				}
				var list []v1.Descriptor // two pages, each of which may be read
				for i := range row.entries {
					if row.next || i%2 == pages%2 {
						list = append(list, v1.Descriptor{MediaType: types.OCIManifestSchema1, Digest: sum(fmt.Appendf(nil, "%d", i)), Size: 1})
					}
				}
				if pages++; row.next || pages == 1 {
					rw.Header().Set("Link", fmt.Sprintf("<%s?n=%d>; rel=\"next\"", r.URL.Path, pages))
				}
				rw.Header().Set("Content-Type", string(types.OCIImageIndex))
				_, _ = rw.Write(must(json.Marshal(v1.IndexManifest{SchemaVersion: 2, MediaType: types.OCIImageIndex, Manifests: list})))
				return true
			}
			c := client(t)
			if _, err := c.Collect(background, c.At(image.Context()), d); err == nil || !strings.Contains(err.Error(), "a copy would lose the others") {
				t.Errorf("%v", err)
			}
		})
	}
}

func TestCopyNoticesWhatIsLost(t *testing.T) {
	for what, lose := range map[string]func(r *http.Request) bool{
		"referrers": func(r *http.Request) bool {
			return strings.Contains(r.URL.Path, "/manifests/sha256-") && !strings.Contains(r.URL.Path, ".")
		},
		"older tags": func(r *http.Request) bool { return strings.HasSuffix(r.URL.Path, ".att") },
	} {
		from, to := newWorld(t), newWorld(t)
		repo, d := decorated(t, from)
		to.before = func(rw http.ResponseWriter, r *http.Request) bool {
			if !lose(r) {
				return false
			}
			rw.WriteHeader(map[string]int{http.MethodPut: 201}[r.Method] + map[string]int{http.MethodGet: 404}[r.Method])
			return true
		}
		c := client(t)
		c.Pause = 1
		have := must(c.Collect(background, c.At(repo), d))
		_, err := c.Copy(background, c.At(repo), have, to.repo(t, "mirror/image"), "1.0", nil)
		var lost *LostError
		if !errors.As(err, &lost) && (err == nil || !strings.Contains(err.Error(), "faster than forge")) {
			t.Errorf("%s: %v", what, err)
		}
		if to.count("PUT /v2/mirror/image/manifests/1.0") != 0 {
			t.Errorf("%s: a tag was written", what)
		}
	}
}

func TestSaveRefusesOtherBytes(t *testing.T) {
	w := newWorld(t)
	image, d := pushed(t, w)
	c := client(t)
	have := must(c.Collect(background, c.At(image.Context()), d))
	w.before = func(rw http.ResponseWriter, r *http.Request) bool {
		if strings.Contains(r.URL.Path, "/blobs/") {
			_, _ = rw.Write(make([]byte, have.Docs[0].Layers[0].Size))
			return true
		}
		return false
	}
	dir := t.TempDir()
	out, err := NewWriter(dir)
	if err != nil {
		t.Fatal(err)
	}
	var mismatch *MismatchError
	if err := c.Save(background, c.At(image.Context()), have, out, ""); !errors.As(err, &mismatch) {
		t.Error(err)
	}
	list, err := os.ReadDir(filepath.Join(dir, "blobs", "sha256"))
	if err != nil || len(list) != 0 {
		t.Errorf("%v are left, %v", list, err)
	}
}

func TestALayoutIsNotWrittenOverOtherFiles(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "thesis.tex"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := NewWriter(dir); err == nil {
		t.Error("written")
	}
}

func TestAnArchiveIsALayout(t *testing.T) {
	w := newWorld(t)
	repo, d := decorated(t, w)
	c := client(t)
	have := must(c.Collect(background, c.At(repo), d))
	dir := t.TempDir()
	out := must(NewWriter(dir))
	if err := c.Save(background, c.At(repo), have, out, ""); err != nil {
		t.Fatal(err)
	}
	var first, second bytes.Buffer
	for _, b := range []*bytes.Buffer{&first, &second} {
		if err := Pack(b, dir); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(first.Bytes(), second.Bytes()) {
		t.Error("the second archive has other bytes")
	}
	// Each folder stands before what is in it: skopeo would make it and give it to root, which an ordinary user cannot.
	made := map[string]bool{"": true}
	for r := tar.NewReader(&second); ; {
		h, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if folder, _ := path.Split(strings.TrimSuffix(h.Name, "/")); !made[folder] {
			t.Errorf("%s comes before its folder", h.Name)
		}
		made[h.Name] = true
	}
	to := t.TempDir()
	if err := Unpack(&first, to); err != nil {
		t.Fatal(err)
	}
	l, inside := open(t, to)
	again, err := c.Collect(background, l, inside)
	if err != nil || cmp.Diff(all(have), all(again)) != "" {
		t.Errorf("%v %s", err, cmp.Diff(all(have), all(again)))
	}
}

// OCI-08: what an archive may hold.
func TestAHostileArchiveStaysInItsFolder(t *testing.T) {
	blob := "blobs/sha256/" + strings.Repeat("a", 64)
	for what, headers := range map[string][]tar.Header{
		"a link":     {{Name: blob, Typeflag: tar.TypeSymlink, Linkname: "/etc/passwd"}},
		"a hardlink": {{Name: blob, Typeflag: tar.TypeLink, Linkname: "/etc/passwd"}},
		"a device":   {{Name: "index.json", Typeflag: tar.TypeChar}},
		"twice":      {{Name: "index.json", Typeflag: tar.TypeReg}, {Name: "./index.json", Typeflag: tar.TypeReg}},
	} {
		var b bytes.Buffer
		w := tar.NewWriter(&b)
		for _, h := range headers {
			if err := w.WriteHeader(&h); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if err := Unpack(&b, t.TempDir()); err == nil {
			t.Errorf("%s was taken", what)
		}
	}
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, name := range []string{"../evil", "/tmp/evil", "blobs/sha256/../../../evil", "blobs/sha512/x", "manifest.json"} {
		if err := w.WriteHeader(&tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o644}); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "a", "b")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := Unpack(&b, dir); err != nil {
		t.Fatal(err)
	}
	var found []string
	_ = filepath.WalkDir(filepath.Dir(filepath.Dir(dir)), func(p string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			found = append(found, p)
		}
		return err
	})
	if len(found) != 0 {
		t.Errorf("%v was written", found)
	}
}
