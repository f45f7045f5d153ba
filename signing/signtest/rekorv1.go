package signtest

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-openapi/runtime"
	"github.com/sigstore/rekor/pkg/generated/models"
	"github.com/sigstore/rekor/pkg/types"
	_ "github.com/sigstore/rekor/pkg/types/dsse/v0.0.1"         // kinds of entries
	_ "github.com/sigstore/rekor/pkg/types/hashedrekord/v0.0.1" //
)

// oldLog starts the part of a transparency log of the first version that takes entries: the
// real one needs three databases. Rekor's own code judges an entry and gives it its form;
// the log promises to keep it (SET). It keeps no tree: what proves inclusion is left out of
// the older format, which is what this log is for.
func oldLog(t testing.TB, key *ecdsa.PrivateKey) string {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	id := sha256.Sum256(der)
	var index atomic.Int64
	mux := http.NewServeMux()
	mux.HandleFunc("POST /api/v1/log/entries", func(w http.ResponseWriter, r *http.Request) {
		entry, err := logged(r, key, hex.EncodeToString(id[:]), index.Add(1))
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		uuid := hex.EncodeToString(id[:16])
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("ETag", uuid)
		w.Header().Set("Location", "/api/v1/log/entries/"+uuid)
		w.WriteHeader(http.StatusCreated)
		_ = json.NewEncoder(w).Encode(map[string]any{uuid: entry})
	})
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s.URL
}

func logged(r *http.Request, key *ecdsa.PrivateKey, id string, index int64) (map[string]any, error) {
	proposed, err := models.UnmarshalProposedEntry(r.Body, runtime.JSONConsumer())
	if err != nil {
		return nil, err
	}
	entry, err := types.UnmarshalEntry(proposed)
	if err != nil {
		return nil, err
	}
	body, err := types.CanonicalizeEntry(r.Context(), entry)
	if err != nil {
		return nil, err
	}
	payload := map[string]any{"body": base64.StdEncoding.EncodeToString(body), "integratedTime": time.Now().Unix(), "logID": id, "logIndex": index}
	signed, err := json.Marshal(payload) // sorted keys, no blanks: RFC 8785 for these values
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(signed)
	set, err := ecdsa.SignASN1(rand.Reader, key, sum[:])
	if err != nil {
		return nil, err
	}
	leaf := sha256.Sum256(append([]byte{0}, body...)) // RFC 6962, 2.1
	payload["verification"] = map[string]any{
		"signedEntryTimestamp": set,
		"inclusionProof": map[string]any{"logIndex": 0, "treeSize": 1, "rootHash": hex.EncodeToString(leaf[:]), "hashes": []string{},
			"checkpoint": "old.local - 1\n1\n" + base64.StdEncoding.EncodeToString(leaf[:]) + "\n\n"},
	}
	return payload, nil
}
