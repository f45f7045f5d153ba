package signing_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/forge-build/forge/signing"
	"github.com/forge-build/forge/signing/evidence"
	"github.com/forge-build/forge/signing/signtest"
)

// world is a registry whose answers a test can change once an image lies in it.
type world struct {
	t      testing.TB
	a      *attacker
	image  name.Digest
	answer func(w http.ResponseWriter, r *http.Request) bool // true: it has answered
	asked  atomic.Int64
}

func newWorld(t testing.TB, k signtest.Kind) *world {
	t.Helper()
	w := &world{t: t, a: newAttacker(t)}
	h := signtest.Handler(k)
	host := signtest.Serve(t, http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w.asked.Add(1)
		if w.answer == nil || !w.answer(rw, r) {
			h.ServeHTTP(rw, r)
		}
	}))
	w.image = signtest.Push(t, signtest.Repository(t, host, "team/train"), "1", signtest.Image(t))
	return w
}

func (w *world) signed() name.Digest {
	w.t.Helper()
	return signtest.Attach(w.t, w.image, w.a.statement(statementFor(w.image)))
}

func (w *world) verifies(rejected int) {
	w.t.Helper()
	v, err := check(w.t, w.image, w.policy())
	if err != nil {
		w.t.Fatal(err)
	}
	if len(v.Rejected()) != rejected {
		w.t.Errorf("%d rejected, want %d: %v", len(v.Rejected()), rejected, v.Rejected())
	}
}

// policy has limits on time that a test can wait for.
func (w *world) policy() signing.Policy {
	p := w.a.policy
	p.Limits.One = time.Second
	return p
}

// list is a list of referrers.
func list(descs ...v1.Descriptor) []byte {
	raw, err := json.Marshal(v1.IndexManifest{SchemaVersion: 2, MediaType: types.OCIImageIndex, Manifests: descs})
	if err != nil {
		panic(err) // of the test's own making
	}
	return raw
}

func serve(w http.ResponseWriter, mt string, raw []byte) bool {
	w.Header().Set("Content-Type", mt)
	_, _ = w.Write(raw)
	return true
}

func atReferrers(r *http.Request) bool { return strings.Contains(r.URL.Path, "/referrers/") }

func hashOf(raw []byte) v1.Hash {
	h, _, err := v1.SHA256(bytes.NewReader(raw))
	if err != nil {
		panic(err) // reading memory
	}
	return h
}

// A8, A26, OCI-01, OCI-02: the image's own document is not what it must be. The registry is
// at fault, and nothing is verified.
func TestARegistryThatLiesAboutTheImage(t *testing.T) {
	for name, answer := range map[string]func(http.ResponseWriter, *http.Request, []byte) bool{
		"A8 another media type": func(w http.ResponseWriter, _ *http.Request, raw []byte) bool {
			return serve(w, string(types.DockerManifestSchema2), raw)
		},
		"A8 an index's media type": func(w http.ResponseWriter, _ *http.Request, raw []byte) bool {
			return serve(w, string(types.OCIImageIndex), raw)
		},
		"A26 a changed byte": func(w http.ResponseWriter, _ *http.Request, raw []byte) bool {
			return serve(w, string(types.OCIManifestSchema1), bytes.Replace(raw, []byte("linux"), []byte("linus"), -1)[1:])
		},
		"A26 a byte more": func(w http.ResponseWriter, _ *http.Request, raw []byte) bool {
			return serve(w, string(types.OCIManifestSchema1), append(raw, ' '))
		},
		"A26 a header that claims the digest": func(w http.ResponseWriter, r *http.Request, _ []byte) bool {
			w.Header().Set("Docker-Content-Digest", r.URL.Path[strings.LastIndex(r.URL.Path, "sha256:"):])
			return serve(w, string(types.OCIManifestSchema1), []byte(`{"schemaVersion":2}`))
		},
		"A28 100 MiB": func(w http.ResponseWriter, _ *http.Request, _ []byte) bool {
			w.Header().Set("Content-Type", string(types.OCIManifestSchema1))
			for range 100 {
				if _, err := w.Write(make([]byte, 1<<20)); err != nil {
					break
				}
			}
			return true
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, signtest.Conforming)
			w.signed()
			raw, err := mustImage(t, w.image).RawManifest()
			if err != nil {
				t.Fatal(err)
			}
			w.answer = func(rw http.ResponseWriter, r *http.Request) bool {
				return strings.HasSuffix(r.URL.Path, "/manifests/"+w.image.DigestStr()) && answer(rw, r, bytes.Clone(raw))
			}
			v, err := check(t, w.image, w.a.policy)
			var reg *evidence.RegistryError
			if v != nil || !errors.As(err, &reg) || reg.ID != evidence.Refused {
				t.Errorf("%v, %v", v, err)
			}
		})
	}
}

// A28, A30, A32: lists and blobs that want to exhaust, mislead or stall. The good signature
// beside them counts, and what is junk is listed.
func TestHostileListsAndBlobsBesideAGoodSignature(t *testing.T) {
	junkDesc := func(i int) v1.Descriptor {
		return v1.Descriptor{MediaType: types.OCIManifestSchema1, Size: 1 << 19, ArtifactType: signing.BundleType, Digest: v1.Hash{Algorithm: "sha256", Hex: fmt.Sprintf("%064x", i+1)}}
	}
	for name, c := range map[string]func(w *world, good name.Digest) int{
		"A28 10 000 referrers": func(w *world, good name.Digest) int {
			descs := make([]v1.Descriptor, 0, 10000)
			for i := range 9999 {
				descs = append(descs, junkDesc(i))
			}
			raw := list(append(descs, describe(w, good))...)
			w.answer = func(rw http.ResponseWriter, r *http.Request) bool {
				return atReferrers(r) && serve(rw, string(types.OCIImageIndex), raw)
			}
			return 4095 + 1 // those that were looked at, and that there are more
		},
		"A28 pages without end": func(w *world, good name.Digest) int {
			raw := list(describe(w, good))
			w.answer = func(rw http.ResponseWriter, r *http.Request) bool {
				if atReferrers(r) {
					rw.Header().Set("Link", "<"+r.URL.Path+fmt.Sprintf("?next=%d", time.Now().UnixNano())+`>; rel="next"`)
				}
				return atReferrers(r) && serve(rw, string(types.OCIImageIndex), raw)
			}
			return 1
		},
		"OCI-03 the next page on another host": func(w *world, good name.Digest) int {
			raw := list(describe(w, good))
			w.answer = func(rw http.ResponseWriter, r *http.Request) bool {
				if atReferrers(r) {
					rw.Header().Set("Link", `<http://127.0.0.1:1/v2/x/referrers/y>; rel="next"`)
				}
				return atReferrers(r) && serve(rw, string(types.OCIImageIndex), raw)
			}
			return 1
		},
		"A28 a manifest of 10 000 layers": func(w *world, good name.Digest) int {
			m := v1.Manifest{SchemaVersion: 2, MediaType: types.OCIManifestSchema1, Subject: &v1.Descriptor{Digest: mustHash(w.image)}, Config: junkDesc(0)}
			for i := range 10000 {
				d := junkDesc(i)
				d.MediaType = signing.BundleType
				m.Layers = append(m.Layers, d)
			}
			raw, _ := json.Marshal(m)
			pushRaw(w.t, w.image.Context(), raw, types.OCIManifestSchema1)
			return 1
		},
		"A28 a manifest of 500 layers": func(w *world, good name.Digest) int {
			m := v1.Manifest{SchemaVersion: 2, MediaType: types.OCIManifestSchema1, Subject: &v1.Descriptor{Digest: mustHash(w.image)}, Config: junkDesc(0)}
			for i := range 500 {
				d := junkDesc(i)
				d.MediaType = signing.BundleType
				m.Layers = append(m.Layers, d)
			}
			raw, _ := json.Marshal(m)
			pushRaw(w.t, w.image.Context(), raw, types.OCIManifestSchema1)
			return 1
		},
		"A28 a bundle that says it has 128 MB": func(w *world, good name.Digest) int {
			raw := layerManifest(w.image, v1.Descriptor{MediaType: signing.BundleType, Size: 128 << 20, Digest: hashOf([]byte("x"))})
			pushRaw(w.t, w.image.Context(), raw, types.OCIManifestSchema1)
			w.answer = func(rw http.ResponseWriter, r *http.Request) bool {
				if strings.HasSuffix(r.URL.Path, "/blobs/"+hashOf([]byte("x")).String()) {
					w.t.Error("it was fetched")
				}
				return false
			}
			return 1
		},
		"A28 a blob without end": func(w *world, good name.Digest) int {
			raw := layerManifest(w.image, v1.Descriptor{MediaType: signing.BundleType, Size: 100, Digest: hashOf([]byte("x"))})
			pushRaw(w.t, w.image.Context(), raw, types.OCIManifestSchema1)
			w.answer = func(rw http.ResponseWriter, r *http.Request) bool {
				if !strings.HasSuffix(r.URL.Path, "/blobs/"+hashOf([]byte("x")).String()) {
					return false
				}
				for {
					if _, err := rw.Write(make([]byte, 1<<16)); err != nil {
						return true
					}
				}
			}
			return 1
		},
		"A28 one byte after another": func(w *world, good name.Digest) int {
			raw := layerManifest(w.image, v1.Descriptor{MediaType: signing.BundleType, Size: 100, Digest: hashOf([]byte("x"))})
			pushRaw(w.t, w.image.Context(), raw, types.OCIManifestSchema1)
			w.answer = func(rw http.ResponseWriter, r *http.Request) bool {
				if !strings.HasSuffix(r.URL.Path, "/blobs/"+hashOf([]byte("x")).String()) {
					return false
				}
				for range 100 {
					_, _ = rw.Write([]byte("["))
					rw.(http.Flusher).Flush()
					select {
					case <-r.Context().Done():
						return true
					case <-time.After(200 * time.Millisecond):
					}
				}
				return true
			}
			return 1
		},
		"A28 a gzip bomb": func(w *world, good name.Digest) int {
			var b bytes.Buffer
			z := gzip.NewWriter(&b)
			_, _ = io.CopyN(z, zeros{}, 512<<20)
			_ = z.Close()
			signtest.AttachLayer(w.t, w.image, signtest.Layer{Type: signing.BundleType, Raw: b.Bytes()})
			return 1
		},
		"A26 a blob of other bytes": func(w *world, good name.Digest) int {
			signtest.AttachLayer(w.t, w.image, signtest.Layer{Type: signing.BundleType, Raw: []byte(`{"x":1}`)})
			w.answer = func(rw http.ResponseWriter, r *http.Request) bool {
				return strings.HasSuffix(r.URL.Path, "/blobs/"+hashOf([]byte(`{"x":1}`)).String()) && serve(rw, "x", []byte(`{"x":2}`))
			}
			return 1
		},
		"OCI-03 a layer with an address of its own": func(w *world, good name.Digest) int {
			raw := layerManifest(w.image, v1.Descriptor{MediaType: signing.BundleType, Size: 1, Digest: hashOf([]byte("x")), URLs: []string{"https://x.example"}})
			pushRaw(w.t, w.image.Context(), raw, types.OCIManifestSchema1)
			return 1
		},
		"A30 the API says that there are none": func(w *world, good name.Digest) int {
			putFallback(w, describe(w, good))
			w.answer = func(rw http.ResponseWriter, r *http.Request) bool {
				return atReferrers(r) && serve(rw, string(types.OCIImageIndex), list())
			}
			return 0
		},
		"A30 the API lies about type, size and media type": func(w *world, good name.Digest) int {
			d := describe(w, good)
			d.ArtifactType, d.Size, d.MediaType = "application/x-nothing", 1, types.OCIImageIndex
			w.answer = func(rw http.ResponseWriter, r *http.Request) bool {
				return atReferrers(r) && serve(rw, string(types.OCIImageIndex), list(d))
			}
			return 0
		},
		"A30 the API fails, the tag has it": func(w *world, good name.Digest) int {
			putFallback(w, describe(w, good))
			w.answer = func(rw http.ResponseWriter, r *http.Request) bool {
				if atReferrers(r) {
					http.Error(rw, "no", http.StatusInternalServerError)
				}
				return atReferrers(r)
			}
			return 1
		},
		"A30 the API has it, the tag is garbage": func(w *world, good name.Digest) int {
			w.answer = func(rw http.ResponseWriter, r *http.Request) bool {
				return strings.HasSuffix(r.URL.Path, "/manifests/"+strings.Replace(w.image.DigestStr(), ":", "-", 1)) && serve(rw, string(types.OCIImageIndex), []byte(`{"schemaVersion":2,"manifests":[{`))
			}
			return 1
		},
		"A32 a referrer of another image": func(w *world, good name.Digest) int {
			other := signtest.Push(w.t, w.image.Context(), "2", signtest.Image(w.t))
			stray := signtest.Attach(w.t, other, w.a.statement(statementFor(w.image)))
			w.answer = func(rw http.ResponseWriter, r *http.Request) bool {
				return atReferrers(r) && serve(rw, string(types.OCIImageIndex), list(describe(w, stray), describe(w, good)))
			}
			return 1
		},
		"a manifest in another spelling": func(w *world, good name.Digest) int {
			raw := []byte(strings.Replace(string(layerManifest(w.image)), `"layers"`, `"Layers"`, 1))
			pushRaw(w.t, w.image.Context(), raw, types.OCIManifestSchema1)
			return 1
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, signtest.Conforming)
			good := w.signed()
			rejected := c(w, good)
			before := w.asked.Load()
			start := time.Now()
			w.verifies(rejected)
			if n := w.asked.Load() - before; n > 4096+300 {
				t.Errorf("%d requests", n)
			}
			if d := time.Since(start); d > 20*time.Second {
				t.Errorf("it took %v", d)
			}
		})
	}
}

// A28, A29: thousands of referrers that are small, well made and signed by a stranger are
// looked at to the end; a good one counts, wherever it stands. Beyond the bound it is said
// that there are more.
func TestAFloodOfSmallReferrersHidesNothing(t *testing.T) {
	w := newWorld(t, signtest.Conforming)
	good := describe(w, w.signed())
	stranger := newAttacker(t)
	bundle := string(stranger.statement(statementFor(w.image)))
	blobs, manifests := map[string][]byte{}, map[string][]byte{}
	descs := make([]v1.Descriptor, 0, 4200)
	for i := range cap(descs) {
		blob := []byte(strings.Replace(bundle, `"hint":""`, fmt.Sprintf(`"hint":"%d"`, i), 1))
		blobs[hashOf(blob).String()] = blob
		raw := layerManifest(w.image, v1.Descriptor{MediaType: signing.BundleType, Size: int64(len(blob)), Digest: hashOf(blob)})
		manifests[hashOf(raw).String()] = raw
		descs = append(descs, v1.Descriptor{MediaType: types.OCIManifestSchema1, ArtifactType: signing.BundleType, Size: 1, Digest: hashOf(raw)})
	}
	flood := func(n int) {
		raw := list(append(slices.Clone(descs[:n]), good)...)
		w.answer = func(rw http.ResponseWriter, r *http.Request) bool {
			at := r.URL.Path[strings.LastIndexByte(r.URL.Path, '/')+1:]
			switch {
			case atReferrers(r):
				return serve(rw, string(types.OCIImageIndex), raw)
			case manifests[at] != nil:
				return serve(rw, string(types.OCIManifestSchema1), manifests[at])
			}
			return blobs[at] != nil && serve(rw, "application/octet-stream", blobs[at])
		}
	}
	flood(4095)
	start := time.Now()
	w.verifies(4095)
	t.Logf("4,096 referrers: %v", time.Since(start))
	flood(4200) // the good one is larger than each, and so comes last
	refused(t, w.image, w.policy(), signing.CheckSignature, "does not hold")
	_, err := check(t, w.image, w.policy())
	var not *signing.NotVerifiedError
	if !errors.As(err, &not) || !slices.ContainsFunc(not.Checks, func(c signing.Check) bool {
		return c.ID == signing.CheckCandidates && c.Status == signing.Skipped && strings.Contains(c.Why, "105 more")
	}) {
		t.Errorf("nothing says that there are more: %v", err)
	}
}

// ATT-04: unsigned attestations under the older tag, before and behind a signed one or without end,
// are counted, and the signed one counts.
func TestUnsignedAttestationsAmongSignedOnes(t *testing.T) {
	for _, first := range []bool{true, false} {
		w := newWorld(t, signtest.Conforming)
		stranger := newAttacker(t)
		envelope := func(by *attacker, statement string) signtest.Layer {
			sig := base64.StdEncoding.EncodeToString(by.sign(fmt.Sprintf("DSSEv1 %d %s %d %s", len(intoto), intoto, len(statement), statement)))
			return signtest.Layer{Type: evidence.DSSE, Raw: []byte(fmt.Sprintf(`{"payloadType":%q,"payload":%q,"signatures":[{"sig":%q}]}`, intoto, base64.StdEncoding.EncodeToString([]byte(statement)), sig))}
		}
		statement := statementFor(w.image)
		var layers []signtest.Layer
		for i := range 40 {
			layers = append(layers, envelope(stranger, statement+strings.Repeat(" ", i)))
		}
		if first {
			layers = append(layers, envelope(w.a, statement))
		} else {
			layers = append([]signtest.Layer{envelope(w.a, statement)}, layers...)
		}
		signtest.AttachTag(t, w.image, ".att", layers...)
		w.verifies(40)
	}
	w := newWorld(t, signtest.Conforming)
	w.signed()
	layers := make([]v1.Descriptor, 10_000)
	for i := range layers {
		layers[i] = v1.Descriptor{MediaType: evidence.DSSE, Size: 100, Digest: hashOf(fmt.Appendf(nil, "%d", i))}
	}
	tag := w.image.Context().Tag(strings.Replace(w.image.DigestStr(), ":", "-", 1) + ".att")
	if err := remote.Put(tag, rawManifest{layerManifest(w.image, layers...), types.OCIManifestSchema1}); err != nil {
		t.Fatal(err)
	}
	before := w.asked.Load()
	w.verifies(1)
	if n := w.asked.Load() - before; n > 50 {
		t.Errorf("%d requests", n)
	}
}

func describe(w *world, ref name.Digest) v1.Descriptor {
	d := signtest.Descriptor(w.t, ref)
	d.ArtifactType = signing.BundleType
	return d
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func mustHash(d name.Digest) v1.Hash {
	h, err := v1.NewHash(d.DigestStr())
	if err != nil {
		panic(err) // a digest already
	}
	return h
}

// layerManifest is a referrer's manifest with layers that need not exist.
func layerManifest(image name.Digest, layers ...v1.Descriptor) []byte {
	if layers == nil {
		layers = []v1.Descriptor{}
	}
	raw, err := json.Marshal(v1.Manifest{SchemaVersion: 2, MediaType: types.OCIManifestSchema1, Config: v1.Descriptor{MediaType: signing.BundleType, Size: 2, Digest: hashOf([]byte("{}"))},
		Subject: &v1.Descriptor{MediaType: types.OCIManifestSchema1, Digest: mustHash(image)}, Layers: layers})
	if err != nil {
		panic(err) // of the test's own making
	}
	return raw
}

func putFallback(w *world, descs ...v1.Descriptor) {
	w.t.Helper()
	tag := w.image.Context().Tag(strings.Replace(w.image.DigestStr(), ":", "-", 1))
	if err := remote.Put(tag, rawManifest{list(descs...), types.OCIImageIndex}); err != nil {
		w.t.Fatal(err)
	}
}

// A33: what is wrong with a registry has an id of its own each, and is never "not signed".
func TestWhatIsWrongWithARegistryHasAName(t *testing.T) {
	status := func(code int) func(*world) {
		return func(w *world) {
			w.answer = func(rw http.ResponseWriter, r *http.Request) bool {
				if r.URL.Path != "/v2/" {
					http.Error(rw, `{"errors":[{"code":"X","message":"\u001b[2J"}]}`, code)
				}
				return r.URL.Path != "/v2/"
			}
		}
	}
	for _, c := range []struct {
		name   string
		change func(*world)
		id     string
	}{
		{"404", status(404), evidence.NotFound},
		{"401", status(401), evidence.Denied},
		{"403", status(403), evidence.Denied},
		{"500", status(500), evidence.Broken},
		{"429", status(429), evidence.Broken},
		{"a connection that breaks", func(w *world) {
			w.answer = func(rw http.ResponseWriter, r *http.Request) bool {
				if r.URL.Path == "/v2/" {
					return false
				}
				panic(http.ErrAbortHandler)
			}
		}, evidence.Unreachable},
		{"a login that the registry refuses", func(w *world) {
			w.answer = func(rw http.ResponseWriter, _ *http.Request) bool {
				rw.Header().Set("WWW-Authenticate", `Bearer realm="https://login.example/token"`)
				rw.WriteHeader(401)
				return true
			}
		}, evidence.Denied},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, signtest.Conforming)
			w.signed()
			c.change(w)
			v, err := check(t, w.image, w.policy())
			var reg *evidence.RegistryError
			if v != nil || !errors.As(err, &reg) || reg.ID != c.id {
				t.Fatalf("%v, %v; want %s", v, err, c.id)
			}
			if strings.ContainsRune(err.Error(), 0x1b) {
				t.Errorf("the error has a control character: %q", err)
			}
		})
	}
	t.Run("a certificate that nobody vouches for", func(t *testing.T) {
		s := httptest.NewTLSServer(signtest.Handler(signtest.Conforming))
		t.Cleanup(s.Close)
		image, err := name.NewDigest(strings.TrimPrefix(s.URL, "https://") + "/team/train@sha256:" + strings.Repeat("a", 64))
		if err != nil {
			t.Fatal(err)
		}
		_, err = check(t, image, newAttacker(t).policy)
		var reg *evidence.RegistryError
		if !errors.As(err, &reg) || reg.ID != evidence.TLS {
			t.Errorf("%v", err)
		}
	})
	t.Run("slower than the deadline", func(t *testing.T) {
		w := newWorld(t, signtest.Conforming)
		w.signed()
		w.answer = func(_ http.ResponseWriter, r *http.Request) bool {
			if atReferrers(r) {
				<-r.Context().Done()
			}
			return atReferrers(r)
		}
		ctx, stop := context.WithTimeout(t.Context(), time.Second)
		defer stop()
		v, err := verifyIn(ctx, t, w.image, w.policy())
		var part *signing.IncompleteError
		if v != nil || !errors.As(err, &part) {
			t.Errorf("%v, %v", v, err)
		}
	})
	t.Run("slower than the deadline, beside a good signature", func(t *testing.T) {
		w := newWorld(t, signtest.Conforming)
		w.signed()
		slow := hashOf([]byte("x"))
		pushRaw(t, w.image.Context(), layerManifest(w.image, v1.Descriptor{MediaType: signing.BundleType, Size: 1 << 20, Digest: slow}), types.OCIManifestSchema1)
		w.answer = func(_ http.ResponseWriter, r *http.Request) bool {
			if strings.HasSuffix(r.URL.Path, "/blobs/"+slow.String()) {
				<-r.Context().Done()
				return true
			}
			return false
		}
		ctx, stop := context.WithTimeout(t.Context(), 2*time.Second)
		defer stop()
		v, err := verifyIn(ctx, t, w.image, w.a.policy)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.ContainsFunc(v.Checks(), func(c signing.Check) bool { return c.ID == signing.CheckCandidates && c.Status == signing.Skipped }) {
			t.Errorf("nothing says that the search ended early: %v", v.Checks())
		}
	})
	t.Run("referrers that cannot be read are not none", func(t *testing.T) {
		w := newWorld(t, signtest.Conforming)
		w.answer = func(rw http.ResponseWriter, r *http.Request) bool {
			if atReferrers(r) {
				rw.WriteHeader(503)
			}
			return atReferrers(r)
		}
		v, err := check(t, w.image, w.policy())
		var part *signing.IncompleteError
		if v != nil || !errors.As(err, &part) {
			t.Errorf("%v, %v", v, err)
		}
	})
}

// A31: a redirect takes no credentials along.
func TestARedirectTakesNoCredentialsAlong(t *testing.T) {
	var seen []http.Header
	blobs := map[string][]byte{}
	elsewhere := signtest.Serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen = append(seen, r.Header.Clone())
		_, _ = w.Write(blobs[r.URL.Path])
	}))
	w := newWorld(t, signtest.Conforming)
	w.signed()
	raw := w.a.statement(statementFor(w.image))
	signtest.Attach(t, w.image, raw)
	host := w.image.Context().RegistryStr()
	dir := t.TempDir()
	t.Setenv("DOCKER_CONFIG", dir)
	secret := base64.StdEncoding.EncodeToString([]byte("alice:opensesame"))
	if err := os.WriteFile(filepath.Join(dir, "config.json"), []byte(`{"auths":{"`+host+`":{"auth":"`+secret+`"}}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	logins := 0
	w.answer = func(rw http.ResponseWriter, r *http.Request) bool {
		if r.Header.Get("Authorization") != "Basic "+secret {
			rw.Header().Set("WWW-Authenticate", `Basic realm="x"`)
			rw.WriteHeader(401)
			return true
		}
		logins++
		if strings.HasSuffix(r.URL.Path, "/blobs/"+hashOf(raw).String()) {
			blobs["/b"] = raw
			http.Redirect(rw, r, "http://"+elsewhere+"/b?signature=secret", http.StatusTemporaryRedirect)
			return true
		}
		return false
	}
	w.verifies(0)
	if len(seen) != 1 || logins < 3 {
		t.Fatalf("%d requests came elsewhere, %d with a login to the registry", len(seen), logins)
	}
	for _, h := range seen {
		if h.Get("Authorization") != "" || h.Get("Cookie") != "" {
			t.Errorf("another host was told %v", h)
		}
	}
	for _, to := range []string{"http://169.254.169.254/latest", "http://registry.example/x", "ftp://x/y", "http://u:p@" + elsewhere + "/b"} {
		w.answer = func(rw http.ResponseWriter, r *http.Request) bool {
			if r.Header.Get("Authorization") == "" {
				rw.Header().Set("WWW-Authenticate", `Basic realm="x"`)
				rw.WriteHeader(401)
				return true
			}
			if strings.Contains(r.URL.Path, "/manifests/"+w.image.DigestStr()) {
				http.Redirect(rw, r, to, http.StatusTemporaryRedirect)
				return true
			}
			return false
		}
		if v, err := check(t, w.image, w.policy()); err == nil || v != nil {
			t.Errorf("it went to %s", to)
		} else if strings.Contains(err.Error(), "u:p@") {
			t.Errorf("a password in %v", err)
		}
	}
}

// A28: however large and well made the junk is, memory stays below 256 MiB.
func TestJunkDoesNotEatMemory(t *testing.T) {
	w := newWorld(t, signtest.Conforming)
	w.signed()
	other := newAttacker(t)
	// The largest that is read, made of as many values as fit, signed by somebody else.
	statement := statementFor(w.image)
	for i := range 6 {
		body := strings.Replace(statement, `"predicate":{}`, `"predicate":{"x":[`+strings.Repeat("0,", 5_500_000+i)+`0]}`, 1)
		signtest.Attach(t, w.image, other.statement(body))
		signtest.AttachTag(t, w.image, ".att", signtest.Layer{Type: evidence.DSSE, Raw: []byte(`{"payloadType":"` + intoto + `","payload":"` + base64.StdEncoding.EncodeToString([]byte(body)) + `","signatures":[{"sig":"AAAA"}]}`)})
	}
	body := `{` + strings.Repeat(`"a":`, 1)
	body += strings.Repeat("[", 90) + strings.Repeat("{},", 4_000_000) + "0" + strings.Repeat("]", 90) + "}"
	signtest.Attach(t, w.image, []byte(body))
	body, statement = "", ""
	runtime.GC()
	debug.FreeOSMemory()
	var before runtime.MemStats
	runtime.ReadMemStats(&before)
	// As cmd/forge sets it, beside what the registry holds in this process.
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(192<<20 + int64(before.HeapInuse)))
	var peak atomic.Uint64
	done := make(chan struct{})
	go func() {
		var m runtime.MemStats
		for {
			select {
			case <-done:
				return
			case <-time.After(5 * time.Millisecond):
			}
			runtime.ReadMemStats(&m)
			peak.Store(max(peak.Load(), m.HeapInuse))
		}
	}()
	w.verifies(8)
	close(done)
	used := int64(peak.Load()) - int64(before.HeapInuse) // the registry's own memory aside
	t.Logf("peak %d MiB above the %d MiB that the test holds", used>>20, before.HeapInuse>>20)
	if used > 256<<20 {
		t.Errorf("%d MiB", used>>20)
	}
}

// A35: what a statement says is shown without control characters.
func TestTextFromOutsideIsEscaped(t *testing.T) {
	w := newWorld(t, signtest.Conforming)
	evil := strings.Replace(statementFor(w.image), w.image.Context().Name(), `evil\u001b[2J\u202e`+strings.Repeat("x", 5000), 1)
	signtest.Attach(t, w.image, w.a.statement(evil))
	_, err := check(t, w.image, w.a.policy)
	var not *signing.NotVerifiedError
	if !errors.As(err, &not) {
		t.Fatal(err)
	}
	raw, _ := json.Marshal(not)
	for _, text := range []string{err.Error(), string(raw)} {
		if strings.ContainsAny(text, "\x1b\u202e") || len(text) > 20000 {
			t.Errorf("%d bytes: %q", len(text), text[:200])
		}
	}
}
