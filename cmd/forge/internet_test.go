package main

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/forge-build/forge/builder/resolve"
	"github.com/forge-build/forge/builder/store"
)

// internet is all that a forge of a test can reach: a proxy, and behind it hosts with names,
// and with certificates of an authority that the user trusts. It is also that user's machine:
// a folder with recipe and cache, and the environment.
type internet struct {
	t      *testing.T
	dir    string
	env    []string
	key    *ecdsa.PrivateKey
	ca     *x509.Certificate
	secure *httptest.Server

	mu    sync.Mutex
	hosts map[string]http.HandlerFunc
	rest  http.HandlerFunc             // of all other hosts; nil: they are not there
	certs map[string]*x509.Certificate // of hosts whose own is not a good one
	log   []string                     // "https pypi.test GET /simple/alpha/", and " with a password"
}

// newInternet needs uv, which forge lock runs: skipped without, unless FORGE_TEST_ALL is set.
func newInternet(t *testing.T) *internet {
	t.Helper()
	n := newNetwork(t)
	n.set("PATH=" + uvFolder(t) + ":" + os.Getenv("PATH"))
	return n
}

// newNetwork is an internet for commands that run no uv.
func newNetwork(t *testing.T) *internet {
	t.Helper()
	n := &internet{t: t, dir: t.TempDir(), hosts: map[string]http.HandlerFunc{}, certs: map[string]*x509.Certificate{}}
	var err error
	if n.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		t.Fatal(err)
	}
	n.ca = n.certify(&x509.Certificate{Subject: pkix.Name{CommonName: "test CA"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}, nil)
	n.write("ca.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: n.ca.Raw})))
	quiet := log.New(io.Discard, "", 0)
	n.secure = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { n.answer("https", w, r) }))
	n.secure.Config.ErrorLog = quiet
	n.secure.EnableHTTP2 = true // which gRPC needs; all others get HTTP/1.1
	n.secure.TLS = &tls.Config{GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		if strings.HasSuffix(hello.ServerName, ".googleapis.com") {
			return nil, nil
		}
		return &tls.Config{GetCertificate: n.certificate}, nil
	}, GetCertificate: n.certificate}
	n.secure.StartTLS()
	t.Cleanup(n.secure.Close)
	proxy := httptest.NewUnstartedServer(http.HandlerFunc(n.proxy))
	proxy.Config.ErrorLog = quiet
	proxy.Start()
	t.Cleanup(proxy.Close)
	for _, v := range os.Environ() {
		name, _, _ := strings.Cut(v, "=")
		if name = strings.ToUpper(name); !strings.HasSuffix(name, "_PROXY") && !strings.HasPrefix(name, "PIP_") && !strings.HasPrefix(name, "UV_") && !strings.HasPrefix(name, "FORGE_") {
			n.env = append(n.env, v)
		}
	}
	n.write("init/forge-init-linux-amd64", "nothing")
	n.write("home/.netrc", "machine pypi.test login me password opensesame\n")
	n.set("HTTPS_PROXY="+proxy.URL, "HTTP_PROXY="+proxy.URL, "NO_PROXY=", "HOME="+n.path("home"), "XDG_CONFIG_HOME=", "DOCKER_CONFIG="+n.path("home"), "FORGE_CACHE="+n.path("cache"),
		"FORGE_CA_FILE="+n.path("ca.pem"), "FORGE_INIT_DIR="+n.path("init"), "FORGE_INDEX_URL=https://pypi.test/simple")
	return n
}

func (n *internet) path(name string) string { return filepath.Join(n.dir, filepath.FromSlash(name)) }

func (n *internet) write(name, content string) {
	n.t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(n.path(name)), 0o755), os.WriteFile(n.path(name), []byte(content), 0o600)); err != nil {
		n.t.Fatal(err)
	}
}

func (n *internet) set(vars ...string) { n.env = append(n.env, vars...) } // the last one counts

// certify signs a certificate with the authority, or with itself when there is none yet.
func (n *internet) certify(c, parent *x509.Certificate) *x509.Certificate {
	c.SerialNumber = big.NewInt(time.Now().UnixNano())
	if c.NotAfter.IsZero() {
		c.NotAfter = time.Now().Add(time.Hour)
	}
	c.NotBefore = c.NotAfter.Add(-2 * time.Hour)
	if parent == nil {
		parent = c
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, &n.key.PublicKey, n.key)
	if err == nil {
		c, err = x509.ParseCertificate(der)
	}
	if err != nil {
		panic(err)
	}
	return c
}

func (n *internet) certificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	n.mu.Lock()
	c := n.certs[hello.ServerName]
	n.mu.Unlock()
	if c == nil {
		c = n.certify(&x509.Certificate{DNSNames: []string{hello.ServerName}}, n.ca)
	}
	return &tls.Certificate{Certificate: [][]byte{c.Raw}, PrivateKey: n.key}, nil
}

// proxy connects to the hosts that there are.
func (n *internet) proxy(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodConnect {
		n.answer("http", w, r)
		return
	}
	up, err := net.Dial("tcp", n.secure.Listener.Addr().String())
	if err != nil {
		http.Error(w, "gone", http.StatusBadGateway)
		return
	}
	defer up.Close()
	down, _, err := w.(http.Hijacker).Hijack()
	if err != nil {
		return
	}
	defer down.Close()
	_, _ = io.WriteString(down, "HTTP/1.1 200 OK\r\n\r\n") // whoever asked may have gone
	go func() {
		_, _ = io.Copy(up, down)
		_ = up.Close() // whoever asked has gone: the host may know
	}()
	_, _ = io.Copy(down, up)
}

func (n *internet) answer(scheme string, w http.ResponseWriter, r *http.Request) {
	host := strings.TrimSuffix(r.Host, ":443")
	line := scheme + " " + host + " " + r.Method + " " + r.URL.RequestURI()
	if r.Header.Get("Authorization") != "" {
		line += " with a password"
	}
	n.mu.Lock()
	n.log = append(n.log, line)
	h := n.hosts[host]
	if h == nil {
		h = n.rest
	}
	n.mu.Unlock()
	if h == nil {
		http.Error(w, "no such host", http.StatusBadGateway)
		return
	}
	h(w, r)
}

// asked are the requests so far that hold a text.
func (n *internet) asked(text string) (list []string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, l := range n.log {
		if strings.Contains(l, text) {
			list = append(list, l)
		}
	}
	return list
}

func (n *internet) host(name string, h http.HandlerFunc) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.hosts[name] = h
}

// run runs forge as the user, in its folder.
func (n *internet) run(args ...string) said {
	n.t.Helper()
	var out, messages bytes.Buffer
	c := exec.CommandContext(n.t.Context(), forge(n.t), args...)
	c.Dir, c.Env, c.Stdout, c.Stderr = n.dir, n.env, &out, &messages
	err := c.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		n.t.Fatal(err)
	}
	return said{out.String(), messages.String(), c.ProcessState.ExitCode()}
}

// must is run that has to succeed.
func (n *internet) must(args ...string) said {
	n.t.Helper()
	s := n.run(args...)
	if s.code != exitOK {
		n.t.Fatalf("forge %s: exit %d:\n%s%s", strings.Join(args, " "), s.code, s.out, s.err)
	}
	return s
}

var uvOnce struct {
	sync.Once
	dir string
	err error
}

// uvFolder holds uv, which is brought once for all tests of a run.
func uvFolder(t *testing.T) string {
	t.Helper()
	uvOnce.Do(func() {
		uvOnce.dir, uvOnce.err = os.MkdirTemp("", "forge-uv-test-")
		if uvOnce.err != nil {
			return
		}
		s, err := store.Open(filepath.Join(uvOnce.dir, "store"))
		if err == nil {
			_, err = resolve.DefaultIndex(s)(t.Context())
		}
		if found, _ := filepath.Glob(filepath.Join(uvOnce.dir, "store", "tools", "uv-*")); err == nil && len(found) == 1 {
			err = os.Rename(found[0], filepath.Join(uvOnce.dir, "uv"))
		} // else it is on PATH already
		uvOnce.err = errors.Join(err, os.RemoveAll(filepath.Join(uvOnce.dir, "store")))
	})
	if uvOnce.err != nil {
		if os.Getenv("FORGE_TEST_ALL") != "" {
			t.Fatal(uvOnce.err)
		}
		t.Skipf("SKIPPED: forge lock needs uv: %v", uvOnce.err)
	}
	return uvOnce.dir
}

// dist is a wheel of the tests' own.
type dist struct {
	name, version string
	content       []byte
}

func (d dist) file() string { return d.name + "-" + d.version + "-py3-none-any.whl" }

func (d dist) sum() string { return hexOf(string(d.content)) }

// row is the wheel on a page of an index (PEP 691).
func (d dist) row() string {
	return fmt.Sprintf(`{"filename": %q, "url": "https://files.test/%s", "hashes": {"sha256": %q}, "size": %d}`, d.file(), d.file(), d.sum(), len(d.content))
}

// distOf makes a small wheel.
func distOf(name, version string, requires ...string) dist {
	return distWith(name, version, "x = 1\n", requires...)
}

// distWith makes a wheel of one module.
func distWith(name, version, module string, requires ...string) dist {
	return distOfFiles(name, version, [][2]string{{name + ".py", module}}, requires...)
}

// distOfFiles makes a wheel of files, each a path and its content.
func distOfFiles(name, version string, files [][2]string, requires ...string) dist {
	info := name + "-" + version + ".dist-info"
	meta := fmt.Sprintf("Metadata-Version: 2.1\nName: %s\nVersion: %s\n", name, version)
	for _, r := range requires {
		meta += "Requires-Dist: " + r + "\n"
	}
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	record := ""
	for _, f := range append(files, [][2]string{{info + "/METADATA", meta}, {info + "/WHEEL", "Wheel-Version: 1.0\nGenerator: t\nRoot-Is-Purelib: true\nTag: py3-none-any\n"}, {info + "/RECORD", ""}}...) {
		if f[1] == "" {
			f[1] = record + f[0] + ",,\n"
		}
		h := &zip.FileHeader{Name: f[0], Method: zip.Store, CRC32: crc32.ChecksumIEEE([]byte(f[1])), CompressedSize64: uint64(len(f[1])), UncompressedSize64: uint64(len(f[1]))}
		h.SetMode(0o644)
		w, err := z.CreateRaw(h)
		if err != nil {
			panic(err)
		}
		_, _ = io.WriteString(w, f[1]) // a buffer
		s := sha256.Sum256([]byte(f[1]))
		record += fmt.Sprintf("%s,sha256=%s,%d\n", f[0], base64.RawURLEncoding.EncodeToString(s[:]), len(f[1]))
	}
	if err := z.Close(); err != nil {
		panic(err)
	}
	return dist{name, version, b.Bytes()}
}

func hexOf(s string) string { return strings.TrimPrefix(sha256Of(s), "sha256:") }

// page is an index's page of a project.
func page(project string, rows ...string) string {
	return fmt.Sprintf(`{"meta": {"api-version": "1.1"}, "name": %q, "files": [%s]}`, project, strings.Join(rows, ","))
}

// shelf serves pages by project.
func shelf(pages map[string]string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		p, ok := pages[strings.Trim(strings.TrimPrefix(r.URL.Path, "/simple/"), "/")]
		if !ok {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", "application/vnd.pypi.simple.v1+json")
		_, _ = io.WriteString(w, p) // the client may have had enough
	}
}

// files serves wheels by their file names.
func files(ds ...dist) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		for _, d := range ds {
			if r.URL.Path == "/"+d.file() {
				_, _ = w.Write(d.content) // the client may have had enough
				return
			}
		}
		http.NotFound(w, r)
	}
}

// baseFile is an entry of a base's layer; with a link it is a symbolic one.
type baseFile struct{ name, content, link string }

// python is the least that forge takes for a base with glibc and CPython.
func python() []baseFile {
	elf := func(loader, text string) string {
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
	return []baseFile{
		{name: "etc/passwd", content: "root:x:0:0:root:/root:/bin/bash\n"}, {name: "etc/group", content: "root:x:0:\nvideo:x:44:\nrender:x:992:\n"},
		{name: "usr/lib/x86_64-linux-gnu/libc.so.6", content: elf("/lib64/ld-linux-x86-64.so.2", "GNU C Library (Test 2.41-1) stable release version 2.41.")},
		{name: "usr/bin/python3.13", content: elf("/lib64/ld-linux-x86-64.so.2", "\x003.13.5\x00")},
		{name: "usr/bin/python3", link: "python3.13"},
		{name: "usr/lib/python3.13/os.py", content: "#"},
	}
}

func tarOf(fs []baseFile) []byte {
	var b bytes.Buffer
	t := tar.NewWriter(&b)
	for _, f := range fs {
		h := &tar.Header{Name: f.name, Mode: 0o755, Size: int64(len(f.content)), Typeflag: tar.TypeReg, Format: tar.FormatUSTAR}
		if f.link != "" {
			h.Typeflag, h.Linkname = tar.TypeSymlink, f.link
		}
		if err := t.WriteHeader(h); err != nil {
			panic(err)
		}
		_, _ = io.WriteString(t, f.content) // a buffer
	}
	if err := t.Close(); err != nil {
		panic(err)
	}
	return b.Bytes()
}

// gzipOf compresses p as one member; extra goes into its header.
func gzipOf(p, extra []byte) []byte {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	z.Extra = extra
	_, _ = z.Write(p) // a buffer
	if err := z.Close(); err != nil {
		panic(err)
	}
	return b.Bytes()
}

// baseImage is an image for a base: its documents and its one layer, by digest.
type baseImage struct {
	digest string
	blobs  map[string][]byte
}

// baseWith makes an image of one layer. plain is the layer's tar, blob what it is compressed to.
func baseWith(plain, blob []byte) baseImage {
	im := baseImage{blobs: map[string][]byte{}}
	put := func(b []byte) string {
		d := "sha256:" + hexOf(string(b))
		im.blobs[d] = b
		return d
	}
	document := func(v any) []byte {
		b, err := json.Marshal(v)
		if err != nil {
			panic(err)
		}
		return b
	}
	config := document(map[string]any{"os": "linux", "architecture": "amd64", "config": map[string]any{"Env": []string{"PATH=/usr/bin"}},
		"rootfs": map[string]any{"type": "layers", "diff_ids": []string{"sha256:" + hexOf(string(plain))}}})
	im.digest = put(document(map[string]any{"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
		"config": map[string]any{"mediaType": "application/vnd.oci.image.config.v1+json", "digest": put(config), "size": len(config)},
		"layers": []any{map[string]any{"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "digest": put(blob), "size": len(blob)}}}))
	return im
}

// layout puts a base below the recipe's folder, and says how a recipe names it.
func (n *internet) layout(im baseImage) string {
	n.t.Helper()
	n.write("bases/oci-layout", `{"imageLayoutVersion":"1.0.0"}`)
	n.write("bases/index.json", fmt.Sprintf(`{"schemaVersion":2,"manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":%q,"size":%d}]}`, im.digest, len(im.blobs[im.digest])))
	for d, b := range im.blobs {
		n.write("bases/blobs/sha256/"+strings.TrimPrefix(d, "sha256:"), string(b))
	}
	return "oci:bases@" + im.digest
}

// recipe writes recipe.hcl: an image on the little base, with more words of its own.
func (n *internet) recipe(words string) {
	n.t.Helper()
	n.recipeOn(python(), words)
}

// recipeOn is recipe, on a base of these files.
func (n *internet) recipeOn(files []baseFile, words string) {
	n.t.Helper()
	plain := tarOf(files)
	n.write("recipe.hcl", fmt.Sprintf("image \"a\" {\n  base \"image\" { from = %q }\n%s\n}\n", n.layout(baseWith(plain, gzipOf(plain, nil))), words))
}
