package publish

import (
	"net/http"
	"sync"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/forge-build/forge/signing/push"
	"github.com/forge-build/forge/signing/signtest"
)

// A41: what is signed is the digest that was fixed first. What a tag means at any time, before
// or meanwhile, is not asked.
func TestATagThatMovesMeanwhileChangesNothing(t *testing.T) {
	t.Setenv("DOCKER_CONFIG", t.TempDir())
	inner := signtest.Handler(signtest.Conforming)
	behind, err := name.NewRepository(signtest.Serve(t, inner) + "/team/image")
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var others []name.Digest
	tagged := false
	move := func() { // somebody lets the tag name another image, at every request
		if mu.Lock(); !tagged && len(others) < 40 {
			others = append(others, signtest.Push(t, behind, "1.0", signtest.Image(t)))
		}
		mu.Unlock()
	}
	host := signtest.Serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		move()
		if isTag(r.URL.Path) {
			mu.Lock()
			if !tagged && r.Method != http.MethodPut {
				t.Errorf("%s %s: a tag was asked for before it was written", r.Method, r.URL.Path)
			}
			tagged = tagged || r.Method == http.MethodPut
			mu.Unlock()
		}
		inner.ServeHTTP(w, r)
	}))
	p := &place{t: t, host: host}
	if p.repo, err = name.NewRepository(host + "/team/image"); err != nil {
		t.Fatal(err)
	}
	o := order(t, p, false)
	out, err := publisher(t).Publish(background, o)
	if err != nil || out.Image.DigestStr() != o.Image.Digest.String() {
		t.Fatalf("%+v, %v", out, err)
	}
	for _, tag := range o.Tags {
		if d, err := remote.Head(p.repo.Tag(tag)); err != nil || d.Digest != o.Image.Digest {
			t.Errorf("%s names %v, %v", tag, d, err)
		}
	}
	if len(others) == 0 {
		t.Fatal("the tag never moved")
	}
	for _, other := range others {
		if docs, junk, err := push.New(transport(t)).Referrers(background, p.repo.Digest(other.DigestStr())); err != nil || len(docs)+len(junk) > 0 {
			t.Errorf("%s, which nobody published, is spoken of: %v, %v, %v", other, docs, junk, err)
		}
	}
}
