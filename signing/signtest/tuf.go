package signtest

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sigstore/sigstore/pkg/signature"
	"github.com/theupdateframework/go-tuf/v2/metadata"
)

// TUF is a TUF repository that holds a trusted root.
type TUF struct {
	t       testing.TB
	key     ed25519.PrivateKey
	version int64
	Expires time.Time
	Mu      sync.Mutex // of Files
	Files   map[string][]byte
	URL     string
}

// NewTUF serves an empty repository on loopback until the test ends.
func NewTUF(t testing.TB) *TUF {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	r := &TUF{t: t, key: key, Expires: time.Now().Add(24 * time.Hour), Files: map[string][]byte{}}
	r.URL = "http://" + Serve(t, http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		r.Mu.Lock()
		defer r.Mu.Unlock()
		if data, ok := r.Files[strings.TrimPrefix(q.URL.Path, "/")]; ok {
			_, _ = w.Write(data)
			return
		}
		http.NotFound(w, q)
	}))
	return r
}

func bytesOf[T metadata.Roles](r *TUF, m *metadata.Metadata[T]) []byte {
	r.t.Helper()
	s, err := signature.LoadSigner(r.key, crypto.Hash(0))
	if err != nil {
		r.t.Fatal(err)
	}
	if _, err := m.Sign(s); err != nil {
		r.t.Fatal(err)
	}
	raw, err := m.ToBytes(false)
	if err != nil {
		r.t.Fatal(err)
	}
	return raw
}

// Put writes the repository anew, with a target, and returns its root.json.
func (r *TUF) Put(name string, target []byte) []byte {
	r.t.Helper()
	r.version++
	key, err := metadata.KeyFromPublicKey(r.key.Public())
	if err != nil {
		r.t.Fatal(err)
	}
	root, targets, snapshot, timestamp := metadata.Root(r.Expires), metadata.Targets(r.Expires), metadata.Snapshot(r.Expires), metadata.Timestamp(r.Expires)
	for _, role := range []string{"root", "targets", "snapshot", "timestamp"} {
		if err := root.Signed.AddKey(key, role); err != nil {
			r.t.Fatal(err)
		}
	}
	file, err := metadata.TargetFile().FromBytes(name, target, "sha256")
	if err != nil {
		r.t.Fatal(err)
	}
	targets.Signed.Targets[name] = file
	targets.Signed.Version, snapshot.Signed.Version, timestamp.Signed.Version = r.version, r.version, r.version
	snapshot.Signed.Meta["targets.json"] = metadata.MetaFile(r.version)
	timestamp.Signed.Meta["snapshot.json"] = metadata.MetaFile(r.version)
	anchor := bytesOf(r, root)
	r.Mu.Lock()
	defer r.Mu.Unlock()
	r.Files["1.root.json"] = anchor
	r.Files[fmt.Sprintf("%d.targets.json", r.version)] = bytesOf(r, targets)
	r.Files[fmt.Sprintf("%d.snapshot.json", r.version)] = bytesOf(r, snapshot)
	r.Files["timestamp.json"] = bytesOf(r, timestamp)
	r.Files[fmt.Sprintf("targets/%x.%s", sha256.Sum256(target), name)] = target
	return anchor
}
