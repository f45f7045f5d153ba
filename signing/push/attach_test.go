package push

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// pushed brings a small image into a repository.
func pushed(t *testing.T, w *world) (name.Digest, v1.Descriptor) {
	dir, _ := image(t, 1000, 1)
	src, d := open(t, dir)
	repo := w.repo(t, "team/image")
	if _, err := client(t).Push(background, src, d, repo, nil); err != nil {
		t.Fatal(err)
	}
	return repo.Digest(d.Digest.String()), d
}

func note(i int) Artifact {
	return Artifact{Type: "application/vnd.example.note", Content: fmt.Appendf(nil, "note %d", i), Annotations: map[string]string{"n": fmt.Sprint(i)}}
}

// With the referrers API and without; the library's client finds them too.
func TestAttachedThingsAreFound(t *testing.T) {
	for _, api := range []bool{true, false} {
		w := newWorld(t, registry.WithReferrersSupport(api))
		image, d := pushed(t, w)
		c := client(t)
		for i := range 3 {
			for range 2 { // a second time changes nothing
				if _, err := c.Attach(background, image, d, note(i)); err != nil {
					t.Fatal(err)
				}
			}
		}
		docs, junk, err := c.Referrers(background, image)
		if err != nil || len(docs) != 3 || len(junk) != 0 {
			t.Fatalf("api %v: %d found, junk %v, %v", api, len(docs), junk, err)
		}
		raw, err := c.Content(background, image.Context(), docs[1].Layers[0], 1<<20)
		if err != nil || !strings.HasPrefix(string(raw), "note ") || docs[1].Type() != "application/vnd.example.note" {
			t.Errorf("api %v: %q, %v", api, raw, err)
		}
		index, err := remote.Referrers(image)
		if err != nil || len(must(index.IndexManifest()).Manifests) != 3 {
			t.Errorf("api %v: another client: %v", api, err)
		}
		tag, err := remote.Head(image.Context().Tag(fallbackTag(image)))
		if has := err == nil; has == api {
			t.Errorf("api %v: the fallback tag is %v, %v", api, tag, err)
		}
	}
}

// A42: several writers at once, each a process of its own; all stay.
func TestConcurrentWritersLoseNothing(t *testing.T) {
	w := newWorld(t)
	image, d := pushed(t, w)
	var wg sync.WaitGroup
	for i := range 6 {
		c := client(t)
		wg.Go(func() {
			if _, err := c.Attach(background, image, d, note(i)); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	docs, junk, err := client(t).Referrers(background, image)
	if err != nil || len(docs) != 6 || len(junk) != 0 {
		t.Errorf("%d of 6 are left, junk %v, %v", len(docs), junk, err)
	}
}

// A writer whose entry another one overwrote puts both back.
func TestAnOverwrittenListIsMerged(t *testing.T) {
	w := newWorld(t)
	image, d := pushed(t, w)
	c := client(t)
	first := must(c.Attach(background, image, d, note(0)))[0]
	lost := 0
	w.before = func(rw http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodPut && strings.HasSuffix(r.URL.Path, fallbackTag(image)) && lost < 3 {
			lost++ // as if another writer had come after
			rw.WriteHeader(201)
			return true
		}
		return false
	}
	second, err := c.Attach(background, image, d, note(1))
	if err != nil || lost != 3 {
		t.Fatalf("lost %d times, %v", lost, err)
	}
	docs, _, err := c.Referrers(background, image)
	if err != nil || len(docs) != 2 || docs[0].Descriptor.Digest != first.Digest || docs[1].Descriptor.Digest != second[0].Digest {
		t.Errorf("%v, %v", docs, err)
	}
}

// A registry takes no list that names what is gone: the rest stays.
func TestAListedThingThatIsGoneIsLeftOut(t *testing.T) {
	w := newWorld(t)
	image, d := pushed(t, w)
	c := client(t)
	gone := must(c.Attach(background, image, d, note(0)))[0]
	if err := remote.Delete(image.Context().Digest(gone.Digest.String())); err != nil {
		t.Fatal(err)
	}
	kept := must(c.Attach(background, image, d, note(1)))[0]
	docs, junk, err := c.Referrers(background, image)
	if err != nil || len(docs) != 1 || docs[0].Descriptor.Digest != kept.Digest || len(junk) != 0 {
		t.Errorf("%v, junk %v, %v", docs, junk, err)
	}
}

// What is no list of referrers is not overwritten.
func TestAForeignFallbackTagIsKept(t *testing.T) {
	w := newWorld(t)
	image, d := pushed(t, w)
	c := client(t)
	if err := c.Tag(background, image, fallbackTag(image)); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Attach(background, image, d, note(0)); err == nil || !strings.Contains(err.Error(), "not overwritten") {
		t.Error(err)
	}
}

// A29, A30, A32: junk in either list changes nothing for the good.
func TestJunkIsCountedAndChangesNothing(t *testing.T) {
	w := newWorld(t)
	image, d := pushed(t, w)
	c := client(t)
	good := must(c.Attach(background, image, d, note(0)))[0]
	stranger, _ := pushedAs(t, w, "team/image")
	alien, err := note(7).Document(stranger)
	if err != nil {
		t.Fatal(err)
	}
	e := entry{image.Context(), "push,pull", nil}
	if err := c.put(background, e, alien, alien.Descriptor.Digest.String()); err != nil {
		t.Fatal(err)
	}
	lie := good
	lie.ArtifactType, lie.Size = "application/vnd.other", 7
	junk := []v1.Descriptor{
		alien.Descriptor, // about another image
		{MediaType: types.OCIManifestSchema1, Digest: sum([]byte("nowhere")), Size: 3}, // nowhere
		d, // the image itself
		lie,
	}
	for _, order := range [][]v1.Descriptor{junk, {junk[2], junk[1], junk[0], lie}} {
		index := must(indexOf(order))
		w.before = func(rw http.ResponseWriter, r *http.Request) bool {
			if r.Method != http.MethodGet || !strings.HasSuffix(r.URL.Path, fallbackTag(image)) {
				return false
			}
			rw.Header().Set("Content-Type", string(types.OCIImageIndex))
			_, _ = rw.Write(index.Raw)
			return true
		}
		docs, dropped, err := c.Referrers(background, image)
		if err != nil || len(docs) != 1 || docs[0].Descriptor.Digest != good.Digest || docs[0].Type() != "application/vnd.example.note" || len(dropped) != 3 {
			t.Errorf("%d found, junk %v, %v", len(docs), dropped, err)
		}
	}
}

func pushedAs(t *testing.T, w *world, path string) (v1.Descriptor, name.Repository) {
	dir, _ := image(t, 900, 1)
	src, d := open(t, dir)
	repo := w.repo(t, path)
	if _, err := client(t).Push(background, src, d, repo, nil); err != nil {
		t.Fatal(err)
	}
	return d, repo
}

// A28: endless pages, 10 000 entries, huge and deep documents end at a bound.
func TestAHostileListEnds(t *testing.T) {
	huge := strings.Repeat(" ", maxManifest+1)
	var many []v1.Descriptor
	for i := range 10_000 {
		many = append(many, v1.Descriptor{MediaType: types.OCIManifestSchema1, Digest: sum(fmt.Appendf(nil, "%d", i)), Size: 1})
	}
	page := func(ds []v1.Descriptor) string {
		return string(must(json.Marshal(v1.IndexManifest{SchemaVersion: 2, MediaType: types.OCIImageIndex, Manifests: ds})))
	}
	for what, answer := range map[string]string{
		"endless pages":     page(nil),
		"a full page, ever": page(many[:900]),
		"10 000 entries":    page(many),
		"huge":              huge,
		"deep":              strings.Repeat(`{"manifests":[`, 100_000),
		"twice":             `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[],"Manifests":[]}`,
		"no JSON":           "\x1b[2Jhello",
	} {
		t.Run(what, func(t *testing.T) {
			w := newWorld(t)
			image, _ := pushed(t, w)
			pages := 0
			w.before = func(rw http.ResponseWriter, r *http.Request) bool {
				if !strings.Contains(r.URL.Path, "/referrers/") {
					return false
				}
				pages++
				rw.Header().Set("Link", fmt.Sprintf("<%s?n=%d>; rel=\"next\"", r.URL.Path, pages))
				_, _ = rw.Write([]byte(answer))
				return true
			}
			w.reset()
			docs, junk, err := client(t).Referrers(background, image)
			if err != nil || len(docs) != 0 || len(junk) == 0 {
				t.Errorf("%d found, junk %d, %v", len(docs), len(junk), err)
			}
			if pages > maxPages || w.count("GET") > maxPages+maxReferrers+10 {
				t.Errorf("%d pages, %d requests", pages, w.count("GET"))
			}
		})
	}
}

// The list goes on at another host, or at another list: it ends.
func TestAListThatLeadsElsewhereEnds(t *testing.T) {
	other := newWorld(t)
	for _, link := range []string{other.URL + "/v2/x/referrers/y", "//evil.example/x", "/v2/other/referrers/sha256:0", "<>", "<a>; rel=\"next\", <b>"} {
		w := newWorld(t, registry.WithReferrersSupport(true))
		image, _ := pushed(t, w)
		w.before = func(rw http.ResponseWriter, r *http.Request) bool {
			if strings.Contains(r.URL.Path, "/referrers/") {
				rw.Header().Set("Link", "<"+link+`>; rel="next"`)
			}
			return false
		}
		if _, junk, err := client(t).Referrers(background, image); err != nil || len(junk) != 1 {
			t.Errorf("%s: junk %v, %v", link, junk, err)
		}
	}
	if n := other.count(""); n != 0 {
		t.Errorf("the other host was asked %d times", n)
	}
}

// A33: a registry at fault is an error, never "nothing refers to it".
func TestARegistryAtFaultIsNotAnEmptyList(t *testing.T) {
	for _, code := range []int{401, 403, 500, 503} {
		for _, where := range []string{"/referrers/", "/manifests/sha256-"} {
			w := newWorld(t)
			image, _ := pushed(t, w)
			w.before = func(rw http.ResponseWriter, r *http.Request) bool {
				if strings.Contains(r.URL.Path, where) {
					rw.WriteHeader(code)
					return true
				}
				return false
			}
			if docs, _, err := client(t).Referrers(background, image); err == nil {
				t.Errorf("%d at %s: %d found and no error", code, where, len(docs))
			}
		}
	}
}
