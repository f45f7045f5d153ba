package base

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-containerregistry/pkg/registry"

	"github.com/forge-build/forge/builder/fetch"
	"github.com/forge-build/forge/builder/store"
	"github.com/forge-build/forge/recipes"
)

// world is a registry with TLS, and a store and a fetcher that trust it.
type world struct {
	*httptest.Server
	t     *testing.T
	store *store.Store
	fetch *fetch.Fetcher

	mu    sync.Mutex
	asked []string
	gate  func(w http.ResponseWriter, r *http.Request) bool // answers itself: true
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t}
	inner := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	w.Server = httptest.NewTLSServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w.mu.Lock()
		w.asked = append(w.asked, r.Method+" "+r.URL.Path)
		gate := w.gate
		w.mu.Unlock()
		if gate == nil || !gate(rw, r) {
			inner.ServeHTTP(rw, r)
		}
	}))
	t.Cleanup(w.Close)
	t.Setenv("DOCKER_CONFIG", t.TempDir())
	var err error
	if w.store, err = store.Open(filepath.Join(t.TempDir(), "store")); err != nil {
		t.Fatal(err)
	}
	w.fetch = w.fetcher(true)
	return w
}

// fetcher makes one that trusts the registry, or not.
func (w *world) fetcher(trust bool) *fetch.Fetcher {
	ca := filepath.Join(w.t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: w.Certificate().Raw}), 0o600); err != nil {
		w.t.Fatal(err)
	}
	set, err := fetch.Host(func(name string) string {
		if name == "FORGE_CA_FILE" && trust {
			return ca
		}
		return ""
	}, w.t.TempDir())
	if err != nil {
		w.t.Fatal(err)
	}
	return fetch.New(w.store, set, nil)
}

func (w *world) host() string { return strings.TrimPrefix(w.URL, "https://") }

// push puts bytes into the registry and returns their digest.
func (w *world) push(kind, mediaType string, b []byte) string {
	w.t.Helper()
	d := digestOf(b)
	method, url := http.MethodPut, w.URL+"/v2/base/py/manifests/"+d
	if kind == "blobs" {
		method, url = http.MethodPost, w.URL+"/v2/base/py/blobs/uploads/?digest="+d
	}
	req, err := http.NewRequest(method, url, bytes.NewReader(b))
	if err != nil {
		w.t.Fatal(err)
	}
	req.Header.Set("Content-Type", mediaType)
	resp, err := w.Client().Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != 201 {
		w.t.Fatalf("pushing: %s", resp.Status)
	}
	return d
}

func digestOf(b []byte) string { return fmt.Sprintf("sha256:%x", sha256.Sum256(b)) }

// file is an entry of a layer: a link when it has a target, a folder when its name ends in /.
type file struct{ name, content, link string }

func tarOf(files []file) []byte {
	var b bytes.Buffer
	t := tar.NewWriter(&b)
	for _, f := range files {
		h := &tar.Header{Name: f.name, Mode: 0o755, Size: int64(len(f.content)), Typeflag: tar.TypeReg, Format: tar.FormatUSTAR}
		switch {
		case f.link != "":
			h.Typeflag, h.Linkname = tar.TypeSymlink, f.link
		case strings.HasSuffix(f.name, "/"):
			h.Typeflag = tar.TypeDir
		}
		if err := t.WriteHeader(h); err != nil {
			panic(err)
		}
		_, _ = t.Write([]byte(f.content))
	}
	if err := t.Close(); err != nil {
		panic(err)
	}
	return b.Bytes()
}

func zip(b []byte) []byte {
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	_, _ = z.Write(b)
	if err := z.Close(); err != nil {
		panic(err)
	}
	return out.Bytes()
}

// elf is the least that says which loader it wants, and holds some text.
func elf(loader, text string) string {
	b := make([]byte, 120)
	copy(b, "\x7fELF\x02\x01\x01")
	le := binary.LittleEndian
	le.PutUint64(b[32:], 64)
	le.PutUint16(b[56:], 1)
	le.PutUint32(b[64:], 3)
	le.PutUint64(b[64+8:], 120)
	le.PutUint64(b[64+32:], uint64(len(loader)+1))
	return string(b) + loader + "\x00" + text + "\x00"
}

// system is a base as the images of python have it: interpreter and library below /usr/local.
func system() []file {
	return []file{
		{name: "etc/"}, {name: "etc/passwd", content: "root:x:0:0:root:/root:/bin/bash\n"}, {name: "etc/group", content: "root:x:0:\nvideo:x:44:\n"},
		{name: "etc/os-release", content: "PRETTY_NAME=\"Test 1\"\n"},
		{name: "usr/lib/x86_64-linux-gnu/libc.so.6", content: elf("/lib64/ld-linux-x86-64.so.2", "GNU C Library (Test 2.36-9) stable release version 2.36.")},
		{name: "usr/lib/x86_64-linux-gnu/libstdc++.so.6.0.30", content: elf("", "GLIBCXX_3.4.9\x00GLIBCXX_3.4.30\x00")},
		{name: "usr/lib/x86_64-linux-gnu/libstdc++.so.6", link: "libstdc++.so.6.0.30"},
		{name: "lib", link: "usr/lib"},
		{name: "usr/local/bin/python3.11", content: elf("/lib64/ld-linux-x86-64.so.2", "nothing")},
		{name: "usr/local/bin/python3", link: "python3.11"},
		{name: "usr/local/lib/libpython3.11.so.1.0", content: elf("", "\x003.11.9\x00")},
		{name: "usr/local/lib/python3.11/os.py", content: "#"},
	}
}

const gz = "application/vnd.oci.image.layer.v1.tar+gzip"

// made is an image on its way into a registry; tests spoil it.
type made struct {
	layers    [][]file
	env       []string
	arch      string
	mediaType string // of layers
	config    func([]byte) []byte
	manifest  func([]byte) []byte
	plain     []byte              // tar of the first layer, instead of its files
	blob      func([]byte) []byte // of the first layer, after it was hashed
}

func (w *world) image(m made) string {
	w.t.Helper()
	var ids []string
	var layers []map[string]any
	mt := m.mediaType
	if mt == "" {
		mt = gz
	}
	for i, files := range m.layers {
		plain := tarOf(files)
		if i == 0 && m.plain != nil {
			plain = m.plain
		}
		blob := zip(plain)
		if i == 0 && m.blob != nil {
			blob = m.blob(blob)
		}
		ids = append(ids, digestOf(plain))
		layers = append(layers, map[string]any{"mediaType": mt, "digest": w.push("blobs", mt, blob), "size": len(blob)})
	}
	arch := m.arch
	if arch == "" {
		arch = "amd64"
	}
	config, _ := json.Marshal(map[string]any{"os": "linux", "architecture": arch, "config": map[string]any{"Env": m.env, "Entrypoint": []string{"bash"}, "User": "0"},
		"rootfs": map[string]any{"type": "layers", "diff_ids": ids}})
	if m.config != nil {
		config = m.config(config)
	}
	ct := "application/vnd.oci.image.config.v1+json"
	doc, _ := json.Marshal(map[string]any{"schemaVersion": 2, "mediaType": manifestTypes[0],
		"config": map[string]any{"mediaType": ct, "digest": w.push("blobs", ct, config), "size": len(config)}, "layers": layers})
	if m.manifest != nil {
		doc = m.manifest(doc)
	}
	return w.push("manifests", manifestTypes[0], doc)
}

func (w *world) recipe(digest string) *recipes.Image {
	return &recipes.Image{Name: "a", Platform: "linux/amd64", Base: &recipes.BaseImage{From: w.host() + "/base/py@" + digest}}
}

func (w *world) read(im *recipes.Image) (*Image, error) {
	return Read(context.Background(), im, Options{Store: w.store, Fetch: w.fetch, Dir: w.t.TempDir()})
}
