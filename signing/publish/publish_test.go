package publish

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/forge-build/forge/recipes/registry"
	"github.com/forge-build/forge/signing"
	"github.com/forge-build/forge/signing/evidence"
	"github.com/forge-build/forge/signing/push"
	"github.com/forge-build/forge/signing/signtest"
	"github.com/forge-build/forge/signing/statement"
)

var background = context.Background()

// TestMain keeps the passwords of whoever runs the tests out of them.
func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "forge-test-*")
	if err != nil {
		panic(err)
	}
	os.Setenv("DOCKER_CONFIG", dir)
	code := m.Run()
	_ = os.RemoveAll(dir) // a folder of ours
	os.Exit(code)
}

// place is a registry that can be cut off, and that looks at what it is told to tag.
type place struct {
	t       *testing.T
	host    string
	repo    name.Repository
	mu      sync.Mutex
	left    int // requests until it is dead; -1: it lives
	asked   int
	uploads int             // requests that bring blobs
	watch   name.Repository // the same by another road, which is never cut
	policy  signing.Policy
	image   signing.Image
}

func newPlace(t *testing.T, k signtest.Kind) *place {
	p := &place{t: t, left: -1}
	inner := signtest.Handler(k)
	p.host = signtest.Serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.mu.Lock()
		if p.asked++; p.left >= 0 {
			p.left--
		}
		dead := p.left == 0
		if dead {
			p.left = 1 // it stays so
		}
		if strings.Contains(r.URL.Path, "/blobs/uploads") {
			p.uploads++
		}
		p.mu.Unlock()
		if dead {
			panic(http.ErrAbortHandler)
		}
		if r.Method == http.MethodPut && isTag(r.URL.Path) {
			p.mustBeSigned()
		}
		inner.ServeHTTP(w, r)
	}))
	repo, err := name.NewRepository(p.host + "/team/image")
	if err != nil {
		t.Fatal(err)
	}
	p.repo = repo
	if p.watch, err = name.NewRepository(signtest.Serve(t, inner) + "/team/image"); err != nil {
		t.Fatal(err)
	}
	return p
}

// isTag is so for the tags of the tests, not for digests and fallback tags.
func isTag(path string) bool {
	return strings.HasSuffix(path, "/manifests/1.0") || strings.HasSuffix(path, "/manifests/latest")
}

func (p *place) die(after int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.left, p.asked, p.uploads = after, 0, 0
}

// mustBeSigned verifies, at the moment in which a tag is written, what the tag will name.
func (p *place) mustBeSigned() {
	src, err := evidence.OpenRegistry(background, transport(p.t), p.watch)
	if err == nil {
		p.policy.Repositories = []string{p.repo.Name()}
		_, err = signing.Verify(background, src, signing.Image{Repository: p.watch.Name(), Digest: p.image.Digest}, p.policy)
	}
	if err != nil {
		p.t.Errorf("a tag was written for an image that is not verified: %v", err)
	}
}

func (p *place) tags() []string {
	all, err := remote.List(p.repo)
	if err != nil {
		return nil // no repository yet
	}
	return slices.DeleteFunc(all, func(s string) bool { return strings.HasPrefix(s, "sha256") })
}

func transport(t *testing.T) *http.Transport {
	rt, err := registry.Transport("")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(rt.CloseIdleConnections)
	return rt
}

func publisher(t *testing.T) *Publisher {
	rt := transport(t)
	c := push.New(rt)
	c.Pause = 4 * time.Millisecond
	return &Publisher{Push: c, Transport: rt}
}

// order is for a small image, or an index, with three statements.
func order(t *testing.T, p *place, index bool) Order {
	dir := t.TempDir()
	l, err := layout.Write(dir, empty.Index)
	if err == nil && index {
		err = l.AppendIndex(signtest.Index(t, 2))
	} else if err == nil {
		err = l.AppendImage(signtest.Image(t))
	}
	if err != nil {
		t.Fatal(err)
	}
	from, d := laid(t, dir)
	private, _ := signtest.Key(t)
	s, err := signing.NewSigner(background, signing.SignWith{Key: private})
	if err != nil {
		t.Fatal(err)
	}
	p.policy, p.image = s.Policy(), signing.Image{Repository: p.repo.Name(), Digest: d.Digest}
	p.policy.Statements = []signing.Requirement{{Types: []string{statement.TypeSignature}}, {Types: []string{statement.TypeSPDX}}, {Types: []string{statement.TypeTests}}}
	return Order{From: from, Image: d, To: p.repo, Tags: []string{"1.0", "latest"}, Signer: s,
		Statements: func(d *push.Document) ([]statement.Statement, error) {
			return []statement.Statement{
				statement.SPDX([]byte(`{"spdxVersion":"SPDX-2.3","name":"` + d.Descriptor.Digest.String() + `"}`)),
				statement.Tests(statement.File{Name: "recipe.hcl", SHA256: strings.Repeat("11", 32)}, []string{"imports"}, nil),
			}, nil
		}}
}

// laid opens a layout.
func laid(t *testing.T, dir string) (*push.Layout, v1.Descriptor) {
	t.Helper()
	from, err := push.OpenLayout(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = from.Close() })
	d, err := from.Image()
	if err != nil {
		t.Fatal(err)
	}
	return from, d
}

// joined is an order for the images of two layouts, as an index.
func joined(t *testing.T, p *place) Order {
	o := order(t, p, false)
	var layouts []*push.Layout
	for _, arch := range []string{"amd64", "arm64"} {
		dir := t.TempDir()
		l, err := layout.Write(dir, empty.Index)
		if err == nil {
			err = l.AppendImage(signtest.Image(t), layout.WithPlatform(v1.Platform{OS: "linux", Architecture: arch}))
		}
		if err != nil {
			t.Fatal(err)
		}
		from, _ := laid(t, dir)
		layouts = append(layouts, from)
	}
	j, err := push.Join(layouts...)
	if err != nil {
		t.Fatal(err)
	}
	o.From, o.Image = j, j.Index.Descriptor
	p.image.Digest = j.Index.Descriptor.Digest
	return o
}

var kinds = []string{statement.TypeSPDX, statement.TypeTests, statement.TypeSignature}

func TestPublishSignsVerifiesAndThenTags(t *testing.T) {
	for _, k := range signtest.Kinds() {
		t.Run(k.String(), func(t *testing.T) {
			p := newPlace(t, k)
			o := order(t, p, false)
			out, err := publisher(t).Publish(background, o)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(kinds, out.Signed); d != "" || len(out.Kept) != 0 || out.Image.DigestStr() != o.Image.Digest.String() {
				t.Errorf("%+v %s", out, d)
			}
			for _, tag := range o.Tags {
				got, err := remote.Head(p.repo.Tag(tag))
				if err != nil || got.Digest != o.Image.Digest {
					t.Errorf("%s names %v, %v", tag, got, err)
				}
			}
			// A second run finds everything.
			p.die(-1)
			again, err := publisher(t).Publish(background, o)
			if err != nil || len(again.Signed) != 0 || len(again.Kept) != 3 || again.Sent.Bytes != 0 || p.uploads != 0 {
				t.Errorf("%+v, %v, %d uploads", again, err, p.uploads)
			}
		})
	}
}

// Consumers that know no bundle find cosign's older tags; a second run adds nothing.
func TestPublishWritesTheOlderTagsToo(t *testing.T) {
	p := newPlace(t, signtest.Sloppy)
	o := order(t, p, false)
	o.Older = true
	if _, err := publisher(t).Publish(background, o); err != nil {
		t.Fatal(err)
	}
	p.policy.Formats = signing.LegacyOnly
	p.mustBeSigned()
	again, err := publisher(t).Publish(background, o)
	if err != nil || len(again.Signed) != 0 {
		t.Errorf("%+v, %v", again, err)
	}
	sig, err := push.New(transport(t)).Older(background, o.To.Digest(o.Image.Digest.String()), "sig")
	if err != nil || len(sig.Layers) != 1 {
		t.Errorf("%v, %v", sig, err)
	}
}

func TestPublishOfAnIndexSignsEachImage(t *testing.T) {
	p := newPlace(t, signtest.NoReferrers)
	o := order(t, p, true)
	out, err := publisher(t).Publish(background, o)
	if err != nil {
		t.Fatal(err)
	}
	if len(out.Signed) != 9 {
		t.Errorf("signed %v", out.Signed)
	}
	p.mustBeSigned() // each child is wanted by the policy
}

func TestPublishOfSeveralPlatformsSignsTheIndexAndEachImage(t *testing.T) {
	for _, k := range signtest.Kinds() {
		p := newPlace(t, k)
		o := joined(t, p)
		out, err := publisher(t).Publish(background, o)
		if err != nil || len(out.Signed) != 9 || out.Image.DigestStr() != o.Image.Digest.String() {
			t.Fatalf("%v: %+v, %v", k, out, err)
		}
		index, err := remote.Index(p.repo.Tag("1.0"))
		if err != nil {
			t.Fatal(err)
		}
		m, err := index.IndexManifest()
		if err != nil || len(m.Manifests) != 2 || m.Manifests[0].Platform.String() != "linux/amd64" || m.Manifests[1].Platform.String() != "linux/arm64" {
			t.Errorf("%v: %+v, %v", k, m, err)
		}
		p.mustBeSigned()
		again, err := publisher(t).Publish(background, o)
		if err != nil || len(again.Signed) != 0 || again.Sent.Bytes != 0 {
			t.Errorf("%v: %+v, %v", k, again, err)
		}
	}
}

// A43: killed at every request there is, of several platforms at many: no tag names what is not signed, and the next run
// completes it, signing nothing that is there.
func TestPublishCanBeInterruptedAnywhere(t *testing.T) {
	for name, row := range map[string]struct {
		kind signtest.Kind
		of   func(*testing.T, *place) Order
		due  int // statements
		step int // which requests: each, or one of several, and each of the last
	}{
		"an image":                                 {signtest.Conforming, single, 3, 1},
		"an image, without the referrers API":      {signtest.NoReferrers, single, 3, 1},
		"several platforms":                        {signtest.Conforming, joined, 9, 7},
		"several platforms, without referrers API": {signtest.NoReferrers, joined, 9, 7},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPlace(t, row.kind)
			if _, err := publisher(t).Publish(background, row.of(t, p)); err != nil {
				t.Fatal(err)
			}
			between := 0
			for n := 1; n < p.asked; n++ {
				if n%row.step == 0 || n > p.asked-12 {
					interrupted(t, row.kind, row.of, row.due, n, &between)
				}
			}
			if between == 0 {
				t.Error("no kill between the two tags was tried")
			}
		})
	}
}

func single(t *testing.T, p *place) Order { return order(t, p, false) }

// interrupted publishes to a registry that dies at the n-th request, and then again.
func interrupted(t *testing.T, kind signtest.Kind, of func(*testing.T, *place) Order, due, n int, between *int) {
	p := newPlace(t, kind)
	o := of(t, p)
	p.die(n)
	if _, err := publisher(t).Publish(background, o); err == nil {
		return // it was through before
	}
	if tags := p.tagsAlive(); len(tags) > 0 { // mustBeSigned has looked when they were written
		*between++
		if _, err := publisher(t).Publish(background, o); err != nil {
			t.Errorf("dead after %d requests; then %v", n, err)
		}
	} else {
		listed := p.listed(o)
		out, err := publisher(t).Publish(background, o)
		if err != nil || len(out.Signed)+listed != due || len(out.Kept) != listed {
			t.Errorf("dead after %d requests, with %d statements listed; then %+v, %v", n, listed, out, err)
		}
	}
	if d := cmp.Diff([]string{"1.0", "latest"}, p.tagsAlive()); d != "" {
		t.Errorf("dead after %d requests; then %s", n, d)
	}
	if listed := p.listed(o); listed != due {
		t.Errorf("dead after %d requests; then %d statements", n, listed)
	}
}

// tagsAlive brings the registry back to life and lists its tags.
func (p *place) tagsAlive() []string {
	p.die(-1)
	return p.tags()
}

// listed counts the statements about an image, or about an index and its images.
func (p *place) listed(o Order) int {
	p.die(-1)
	doc, err := o.From.Document(background, o.Image.Digest, o.Image.MediaType)
	if err != nil {
		p.t.Fatal(err)
	}
	n := 0
	for _, d := range append(doc.Manifests, doc.Descriptor) {
		docs, junk, err := push.New(transport(p.t)).Referrers(background, o.To.Digest(d.Digest.String()))
		if err != nil || len(junk) > 0 {
			p.t.Errorf("junk %v, %v", junk, err)
		}
		n += len(docs)
	}
	return n
}

func TestConcurrentPublishersLoseNothing(t *testing.T) {
	p := newPlace(t, signtest.NoReferrers)
	o := order(t, p, false)
	var wg sync.WaitGroup
	for range 3 {
		pub := publisher(t)
		pub.Push.Pause = 100 * time.Millisecond
		wg.Go(func() {
			if _, err := pub.Publish(background, o); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	p.mustBeSigned()
}

// What ends it before anything is sent.
func TestPublishSendsNothingWhenAStatementCannotBeMade(t *testing.T) {
	p := newPlace(t, signtest.Conforming)
	o := order(t, p, false)
	o.Statements = func(*push.Document) ([]statement.Statement, error) { return nil, errors.New("the gate says no") }
	if _, err := publisher(t).Publish(background, o); err == nil || p.asked != 0 {
		t.Errorf("%v after %d requests", err, p.asked)
	}
	o.Statements = func(*push.Document) ([]statement.Statement, error) {
		return []statement.Statement{statement.SPDX([]byte("not JSON"))}, nil
	}
	if _, err := publisher(t).Publish(background, o); err == nil || p.asked != 0 {
		t.Errorf("%v after %d requests", err, p.asked)
	}
	o.Statements = func(*push.Document) ([]statement.Statement, error) { // A45: what nobody would read
		return []statement.Statement{statement.SPDX([]byte(`{"spdxVersion":"` + strings.Repeat("x", signing.MaxDocument) + `"}`))}, nil
	}
	if _, err := publisher(t).Publish(background, o); err == nil || !strings.Contains(err.Error(), "134.2 MB, more than the 128 MiB") || p.asked != 0 {
		t.Errorf("%v after %d requests", err, p.asked)
	}
	o.Signer = nil
	if _, err := publisher(t).Publish(background, o); err == nil || p.asked != 0 {
		t.Errorf("a tag without a signer: %v after %d requests", err, p.asked)
	}
	o.Tags = nil
	out, err := publisher(t).Publish(background, o)
	if err != nil || len(out.Signed) != 0 || len(p.tags()) != 0 {
		t.Errorf("%+v, %v, %v", out, err, p.tags())
	}
}

// A45: what is larger than the logs of other tools take is signed, sent, read back and counts.
func TestALargeStatementIsPublished(t *testing.T) {
	p := newPlace(t, signtest.Conforming)
	o := order(t, p, false)
	o.Statements = func(*push.Document) ([]statement.Statement, error) {
		return []statement.Statement{statement.Tests(statement.File{Name: "recipe.hcl", SHA256: strings.Repeat("11", 32)}, []string{"imports"}, nil),
			statement.SPDX([]byte(`{"spdxVersion":"SPDX-2.3","packages":[{"name":"` + strings.Repeat("x", 11<<20) + `"}]}`))}, nil
	}
	if out, err := publisher(t).Publish(background, o); err != nil || len(out.Tags) != 2 {
		t.Errorf("%+v, %v", out, err)
	}
}

// many is an SBOM of as many packages as a large image never has: 44 MB.
func many(name string) []byte {
	var b strings.Builder
	b.WriteString(`{"spdxVersion":"SPDX-2.3","SPDXID":"SPDXRef-DOCUMENT","name":"` + name + `","packages":[`)
	for i := range 100_000 {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"SPDXID":"SPDXRef-Package-%d","name":"package-%d","versionInfo":"1.%d","supplier":"Organization: Acme","downloadLocation":"NOASSERTION","filesAnalyzed":false,"licenseConcluded":"NOASSERTION","licenseDeclared":"Apache-2.0","copyrightText":"NOASSERTION",`+
			`"externalRefs":[{"referenceCategory":"PACKAGE-MANAGER","referenceType":"purl","referenceLocator":"pkg:pypi/package-%d@1.%d"}],"comment":"%032x%032x"}`, i, i, i, i, i, i, i)
	}
	b.WriteString("]}")
	return []byte(b.String())
}

// A45: an SBOM of 100,000 packages lies beside the statement that names it by its digest. What was
// signed is small, and cosign verifies it; whoever asks for the SBOM gets the document, in the
// registry and in every copy, and no other one.
func TestADocumentThatLiesBesideItsStatement(t *testing.T) {
	for _, k := range signtest.Kinds() {
		t.Run(k.String(), func(t *testing.T) {
			p := newPlace(t, k)
			var mu sync.Mutex
			var instead func(w http.ResponseWriter, r *http.Request) bool
			o := order(t, p, false)
			text := many(o.Image.Digest.Hex)
			if len(text) < 40_000_000 {
				t.Fatalf("%d bytes", len(text))
			}
			document := "sha256:" + fmt.Sprintf("%x", sha256.Sum256(text))
			o.Statements = func(*push.Document) ([]statement.Statement, error) {
				return []statement.Statement{statement.SPDX(text), statement.Tests(statement.File{Name: "recipe.hcl", SHA256: strings.Repeat("11", 32)}, []string{"imports"}, nil)}, nil
			}
			out, err := publisher(t).Publish(background, o)
			if err != nil || len(out.Tags) != 2 || !slices.Contains(out.Signed, statement.TypeSPDX) {
				t.Fatalf("%+v, %v", out, err)
			}
			if out, err = publisher(t).Publish(background, o); err != nil || len(out.Signed) != 0 {
				t.Errorf("again: %+v, %v", out, err)
			}
			client := push.New(transport(t))
			copied, err := name.NewRepository(p.host + "/mirror/image")
			if err != nil {
				t.Fatal(err)
			}
			all, err := client.Collect(background, client.At(p.repo), o.Image)
			if err == nil {
				_, err = client.Copy(background, client.At(p.repo), all, copied, "", nil)
			}
			if err != nil {
				t.Fatal(err)
			}
			host := signtest.Serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { // the copy, by a road that may lie
				mu.Lock()
				f := instead
				mu.Unlock()
				if f == nil || !strings.HasSuffix(r.URL.Path, "/blobs/"+document) || !f(w, r) {
					httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: p.host}).ServeHTTP(w, r)
				}
			}))
			repo, err := name.NewRepository(host + "/mirror/image")
			if err != nil {
				t.Fatal(err)
			}
			policy := p.policy
			policy.Repositories = []string{p.repo.Name()}
			read := func() (*signing.Verified, error) {
				src, err := evidence.OpenRegistry(background, transport(t), repo)
				if err != nil {
					t.Fatal(err)
				}
				return signing.Verify(background, src, signing.Image{Repository: repo.Name(), Digest: o.Image.Digest}, policy)
			}
			v, err := read()
			if err != nil {
				t.Fatal(err)
			}
			i := slices.IndexFunc(v.Statements(), func(s signing.Statement) bool { return s.Type == statement.TypeSPDX })
			if s := v.Statements()[i]; !bytes.Equal(s.Document(), text) || len(s.Payload) > 2000 || s.Elsewhere != document || !bytes.Contains(s.Payload, []byte(`"predicateType":"`+statement.TypeReference)) {
				t.Errorf("%d bytes, payload %s", len(s.Document()), s.Payload)
			}
			other := bytes.Replace(text, []byte(`"package-7"`), []byte(`"package-8"`), 1)
			for what, row := range map[string]struct {
				answer func(w http.ResponseWriter, r *http.Request) bool
				check  string // "": the registry is at fault
			}{
				"it is gone":    {func(w http.ResponseWriter, r *http.Request) bool { http.NotFound(w, r); return true }, signing.CheckDocument},
				"another one":   {func(w http.ResponseWriter, _ *http.Request) bool { _, _ = w.Write(other); return true }, signing.CheckDocument},
				"a longer one":  {func(w http.ResponseWriter, _ *http.Request) bool { _, _ = w.Write(append(text, ' ')); return true }, signing.CheckDocument},
				"a shorter one": {func(w http.ResponseWriter, _ *http.Request) bool { _, _ = w.Write(text[:1000]); return true }, signing.CheckDocument},
				"an error": {func(w http.ResponseWriter, _ *http.Request) bool {
					w.WriteHeader(http.StatusInternalServerError)
					return true
				}, ""},
			} {
				mu.Lock()
				instead = row.answer
				mu.Unlock()
				_, err := read()
				var not *signing.NotVerifiedError
				var part *signing.IncompleteError
				if row.check == "" && !errors.As(err, &part) || row.check != "" && (!errors.As(err, &not) || not.ID() != row.check) {
					t.Errorf("%s: %v", what, err)
				}
			}
		})
	}
}

// A7: an index inside an index is not published, since it would not be verified.
func TestAnIndexInsideAnIndexIsNotPublished(t *testing.T) {
	p := newPlace(t, signtest.Conforming)
	o := order(t, p, true)
	dir := t.TempDir()
	l, err := layout.Write(dir, empty.Index)
	if err == nil {
		err = l.AppendIndex(mutate.AppendManifests(mutate.IndexMediaType(empty.Index, types.OCIImageIndex), mutate.IndexAddendum{Add: signtest.Index(t, 1)}))
	}
	if err != nil {
		t.Fatal(err)
	}
	o.From, o.Image = laid(t, dir)
	if _, err := publisher(t).Publish(background, o); err == nil || !strings.Contains(err.Error(), "inside an index") || p.asked != 0 {
		t.Errorf("%v after %d requests", err, p.asked)
	}
}

// A registry that forgets or changes what it was given is noticed before the tag.
func TestPublishDoesNotTagWhatDoesNotComeBack(t *testing.T) {
	for what, hide := range map[string]func(path string) bool{
		"a registry that lists no referrer": func(path string) bool { return strings.Contains(path, "/referrers/") },
		"a registry that loses the image":   func(path string) bool { return strings.Contains(path, "/manifests/sha256:") },
	} {
		t.Run(what, func(t *testing.T) {
			inner := signtest.Handler(signtest.Conforming)
			host := signtest.Serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Method == http.MethodGet && hide(r.URL.Path) {
					http.NotFound(w, r)
					return
				}
				if r.Method == http.MethodPut && isTag(r.URL.Path) {
					t.Error("a tag was written")
				}
				inner.ServeHTTP(w, r)
			}))
			p := &place{t: t, host: host}
			var err error
			if p.repo, err = name.NewRepository(host + "/team/image"); err != nil {
				t.Fatal(err)
			}
			if _, err := publisher(t).Publish(background, order(t, p, false)); err == nil {
				t.Error("published")
			}
		})
	}
}

// Bytes that change between two reads of the layout never get a tag.
func TestPublishOfADamagedLayout(t *testing.T) {
	p := newPlace(t, signtest.Conforming)
	o := order(t, p, false)
	dir := t.TempDir()
	im := signtest.Image(t)
	l, err := layout.Write(dir, empty.Index)
	if err == nil {
		err = l.AppendImage(im)
	}
	if err != nil {
		t.Fatal(err)
	}
	layers, err := im.Layers()
	if err != nil {
		t.Fatal(err)
	}
	h, err := layers[0].Digest()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "blobs", "sha256", h.Hex)
	raw, err := os.ReadFile(path)
	if err == nil {
		raw[0] ^= 1
		err = os.WriteFile(path, raw, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
	o.From, o.Image = laid(t, dir)
	var mismatch *push.MismatchError
	if _, err := publisher(t).Publish(background, o); !errors.As(err, &mismatch) || len(p.tags()) != 0 {
		t.Errorf("%v, tags %v", err, p.tags())
	}
}
