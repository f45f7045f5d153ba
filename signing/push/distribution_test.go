package push

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"golang.org/x/crypto/bcrypt"

	enter "github.com/forge-build/forge/recipes/registry"
)

// distribution starts the reference registry: TLS by an authority of the test's own, a
// password, and no referrers API. It returns the host and the authority's file.
func distribution(t *testing.T) (host, ca string) {
	program, err := filepath.Abs("../../bin/tools/registry")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(program); err != nil {
		if os.Getenv("FORGE_TEST_ALL") == "1" {
			t.Fatal(err)
		}
		t.Skip("no bin/tools/registry: .ci/tools signing/push/testdata/tools bin/tools builds it")
	}
	dir := t.TempDir()
	ca = certificates(t, dir)
	hash, err := bcrypt.GenerateFromPassword([]byte("opensesame"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	file(t, dir, "htpasswd", "alice:"+string(hash)+"\n")
	config := file(t, dir, "config.yml", fmt.Sprintf(`version: 0.1
log: {level: info}
storage: {filesystem: {rootdirectory: %[1]s/data}, delete: {enabled: true}}
http: {addr: "127.0.0.1:0", secret: x, tls: {certificate: %[1]s/server.crt, key: %[1]s/server.key}}
auth: {htpasswd: {realm: test, path: %[1]s/htpasswd}}
`, dir))
	cmd := exec.Command(program, "serve", config)
	cmd.Env = append(os.Environ(), "OTEL_TRACES_EXPORTER=none")
	out, err := cmd.StderrPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	lines, port := bufio.NewScanner(out), make(chan string, 1)
	go func() {
		for lines.Scan() {
			if m := regexp.MustCompile(`listening on 127\.0\.0\.1:([0-9]+)`).FindStringSubmatch(lines.Text()); m != nil {
				port <- m[1]
			}
		}
	}()
	select {
	case p := <-port:
		host = "127.0.0.1:" + p
	case <-time.After(20 * time.Second):
		t.Fatal("the registry does not listen")
	}
	login(t, host)
	return host, ca
}

func file(t *testing.T, dir, name, text string) string {
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// certificates writes an authority, and a server's certificate for 127.0.0.1 of it.
func certificates(t *testing.T, dir string) string {
	sign := func(cert, parent *x509.Certificate, key, by *ecdsa.PrivateKey) string {
		der := must(x509.CreateCertificate(rand.Reader, cert, parent, &key.PublicKey, by))
		return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	}
	root, key := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)), must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	ca := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"}, NotAfter: time.Now().Add(time.Hour), IsCA: true,
		BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	server := &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "server"}, NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, DNSNames: []string{"localhost"}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	file(t, dir, "server.crt", sign(server, ca, key, root))
	file(t, dir, "server.key", string(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: must(x509.MarshalECPrivateKey(key))})))
	return file(t, dir, "ca.crt", sign(ca, ca, root, root))
}

func clientWith(t *testing.T, ca string) *Client {
	rt, err := enter.Transport(ca)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(rt.CloseIdleConnections)
	c := New(rt)
	c.Pause = 100 * time.Millisecond
	return c
}

// The whole road with the reference registry: password, TLS, mount, tag, fallback list, and
// several writers at once.
func TestTheReferenceRegistry(t *testing.T) {
	host, ca := distribution(t)
	repo := must(name.NewRepository(host + "/team/image"))
	dir, im := image(t, 1<<20, 3)
	src, d := open(t, dir)
	c := clientWith(t, ca)
	sent, err := c.Push(background, src, d, repo, nil)
	if err != nil || sent.Blobs != 4 {
		t.Fatalf("%+v, %v", sent, err)
	}
	if sent, err = c.Push(background, src, d, repo, nil); err != nil || sent.Bytes != 0 {
		t.Errorf("again: %+v, %v", sent, err)
	}
	other := must(name.NewRepository(host + "/team/other"))
	if sent, err = c.Push(background, src, d, other, []name.Repository{repo}); err != nil || sent.Bytes != 0 {
		t.Errorf("mounted: %+v, %v", sent, err)
	}
	ref := repo.Digest(d.Digest.String())
	if err := c.Tag(background, ref, "1.0"); err != nil {
		t.Fatal(err)
	}
	if got, err := c.Resolve(background, repo.Tag("1.0")); err != nil || got.Descriptor.Digest != must(im.Digest()) {
		t.Errorf("%v, %v", got, err)
	}
	var wg sync.WaitGroup
	for i := range 6 {
		one := clientWith(t, ca)
		wg.Go(func() {
			if _, err := one.Attach(background, ref, d, note(i)); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	docs, junk, err := c.Referrers(background, ref)
	if err != nil || len(docs) != 6 || len(junk) != 0 {
		t.Errorf("%d of 6, junk %v, %v", len(docs), junk, err)
	}
}

// Changed bytes are refused before the reference registry could complete them, and what is
// left of an upload is not an image.
func TestTheReferenceRegistryGetsNoChangedBytes(t *testing.T) {
	host, ca := distribution(t)
	repo := must(name.NewRepository(host + "/team/image"))
	dir, im := image(t, 100_000, 2)
	src, d := open(t, dir)
	damage(t, dir, must(must(im.Layers())[0].Digest()))
	c := clientWith(t, ca)
	if _, err := c.Push(background, src, d, repo, nil); err == nil || !strings.Contains(err.Error(), "OCI-01") {
		t.Errorf("%v", err)
	}
	if _, err := c.Manifest(background, repo.Digest(d.Digest.String())); !IsMissing(err) {
		t.Errorf("%v", err)
	}
}

// A33: an unknown authority and a wrong password are errors of their own, and nothing is
// sent in clear.
func TestTheReferenceRegistryRefusesStrangers(t *testing.T) {
	host, ca := distribution(t)
	repo := must(name.NewRepository(host + "/team/image"))
	dir, _ := image(t, 1000, 1)
	src, d := open(t, dir)
	if _, err := clientWith(t, "").Push(background, src, d, repo, nil); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("unknown authority: %v", err)
	}
	t.Setenv("DOCKER_CONFIG", t.TempDir())
	if _, err := clientWith(t, ca).Push(background, src, d, repo, nil); err == nil || !strings.Contains(err.Error(), "docker login") {
		t.Errorf("no password: %v", err)
	}
}

// The connection dies in the middle of a layer, and the upload goes on.
func TestTheReferenceRegistryGoesOnWithAnUpload(t *testing.T) {
	host, ca := distribution(t)
	dir, im := image(t, 8<<20, 1)
	src, d := open(t, dir)
	size := must(must(im.Layers())[0].Size())
	front := cutter(t, host, 3<<20)
	login(t, front)
	c := clientWith(t, ca)
	sent, err := c.Push(background, src, d, must(name.NewRepository(front+"/team/image")), nil)
	if err != nil {
		t.Fatal(err)
	}
	if sent.Bytes < size || sent.Bytes > size+(2<<20) {
		t.Errorf("%d bytes were sent of a layer of %d", sent.Bytes, size)
	}
}

// cutter passes connections on to host, and cuts the first one that has carried limit bytes.
func cutter(t *testing.T, host string, limit int64) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	var once sync.Once
	go func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", host)
			if err != nil {
				_ = in.Close()
				continue
			}
			go func() { _, _ = io.Copy(in, out); _ = in.Close() }()
			go func() {
				buf, sum := make([]byte, 32<<10), int64(0)
				for {
					n, err := in.Read(buf)
					if sum += int64(n); sum > limit {
						cut := false
						once.Do(func() { cut = true })
						if cut {
							_ = in.Close()
							_ = out.Close()
							return
						}
					}
					if _, werr := out.Write(buf[:n]); err != nil || werr != nil {
						_ = out.Close()
						return
					}
				}
			}()
		}
	}()
	return l.Addr().String()
}
