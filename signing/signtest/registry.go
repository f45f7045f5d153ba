package signtest

import (
	"bytes"
	"encoding/json"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// Kind is how a registry answers to the referrers API.
type Kind int

// The kinds of registries.
const (
	Conforming   Kind = iota // as the OCI distribution specification 1.1 wants it
	Sloppy                   // go-containerregistry's own answer: every referrer has the type of its config
	NoReferrers              // 404; clients keep a fallback tag
	kindsOfRegis             // how many there are
)

func (k Kind) String() string { return [...]string{"conforming", "sloppy", "no-referrers"}[k] }

// Kinds are all kinds of registries.
func Kinds() []Kind {
	var all []Kind
	for k := range kindsOfRegis {
		all = append(all, k)
	}
	return all
}

// Registry starts a registry in memory on loopback and returns its host.
func Registry(t testing.TB, k Kind) string {
	t.Helper()
	return Serve(t, Handler(k))
}

// Serve serves a handler until the test ends and returns its host.
func Serve(t testing.TB, h http.Handler) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return strings.TrimPrefix(s.URL, "http://")
}

// Handler is a registry in memory.
func Handler(k Kind) http.Handler {
	quiet := registry.Logger(log.New(io.Discard, "", 0))
	h := registry.New(quiet, registry.WithReferrersSupport(k != NoReferrers))
	if k != Conforming {
		return h
	}
	return &conforming{next: h, subjects: map[string]map[string]v1.Descriptor{}}
}

// conforming answers the referrers API from the manifests that were pushed: the type of
// each as the specification defines it, a filter, and the OCI-Subject header.
type conforming struct {
	next     http.Handler
	mu       sync.Mutex
	subjects map[string]map[string]v1.Descriptor // repository@digest → digest → referrer
}

func (c *conforming) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	repo, rest, ok := cut(r.URL.Path)
	switch {
	case ok && r.Method == http.MethodPut && strings.HasPrefix(rest, "manifests/"):
		c.put(w, r, repo)
	case ok && r.Method == http.MethodGet && strings.HasPrefix(rest, "referrers/"):
		c.list(w, r, repo+"@"+strings.TrimPrefix(rest, "referrers/"))
	case ok && r.Method == http.MethodDelete && strings.HasPrefix(rest, "manifests/"):
		c.mu.Lock()
		for key, referrers := range c.subjects {
			if strings.HasPrefix(key, repo+"@") {
				delete(referrers, strings.TrimPrefix(rest, "manifests/"))
			}
		}
		c.mu.Unlock()
		c.next.ServeHTTP(w, r)
	default:
		c.next.ServeHTTP(w, r)
	}
}

// cut takes a path of the API apart: /v2/NAME/KIND/REFERENCE.
func cut(path string) (repo, rest string, ok bool) {
	path, ok = strings.CutPrefix(path, "/v2/")
	for _, kind := range []string{"/manifests/", "/referrers/"} {
		if i := strings.LastIndex(path, kind); ok && i >= 0 {
			return path[:i], path[i+1:], true
		}
	}
	return "", "", false
}

func (c *conforming) put(w http.ResponseWriter, r *http.Request, repo string) {
	raw, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	r.Body = io.NopCloser(bytes.NewReader(raw))
	var m struct {
		MediaType    types.MediaType   `json:"mediaType"`
		ArtifactType string            `json:"artifactType"`
		Config       v1.Descriptor     `json:"config"`
		Subject      *v1.Descriptor    `json:"subject"`
		Annotations  map[string]string `json:"annotations"`
	}
	if json.Unmarshal(raw, &m) == nil && m.Subject != nil {
		sum, size, _ := v1.SHA256(bytes.NewReader(raw))
		d := v1.Descriptor{MediaType: m.MediaType, Digest: sum, Size: size, ArtifactType: m.ArtifactType, Annotations: m.Annotations}
		if d.ArtifactType == "" {
			d.ArtifactType = string(m.Config.MediaType)
		}
		c.mu.Lock()
		key := repo + "@" + m.Subject.Digest.String()
		if c.subjects[key] == nil {
			c.subjects[key] = map[string]v1.Descriptor{}
		}
		c.subjects[key][sum.String()] = d
		c.mu.Unlock()
		w.Header().Set("OCI-Subject", m.Subject.Digest.String())
	}
	c.next.ServeHTTP(w, r)
}

func (c *conforming) list(w http.ResponseWriter, r *http.Request, key string) {
	index := v1.IndexManifest{SchemaVersion: 2, MediaType: types.OCIImageIndex, Manifests: []v1.Descriptor{}}
	filter := r.URL.Query().Get("artifactType")
	c.mu.Lock()
	for _, d := range c.subjects[key] {
		if filter == "" || d.ArtifactType == filter {
			index.Manifests = append(index.Manifests, d)
		}
	}
	c.mu.Unlock()
	raw, _ := json.Marshal(index)
	w.Header().Set("Content-Type", string(types.OCIImageIndex))
	w.Header().Set("Content-Length", strconv.Itoa(len(raw)))
	if filter != "" {
		w.Header().Set("OCI-Filters-Applied", "artifactType")
	}
	_, _ = w.Write(raw)
}

// Repository is a repository of a registry.
func Repository(t testing.TB, host, path string) name.Repository {
	t.Helper()
	r, err := name.NewRepository(host+"/"+path, name.StrictValidation)
	if err != nil {
		t.Fatal(err)
	}
	return r
}
