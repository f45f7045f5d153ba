package signtest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	ct "github.com/google/certificate-transparency-go"
	"github.com/google/certificate-transparency-go/tls"
	ctx509 "github.com/google/certificate-transparency-go/x509"
)

// certificateLog starts a certificate transparency log that promises to take every chain.
// It keeps no tree: a promise (SCT) is all that a certificate carries. Its name is public's;
// key signs.
func certificateLog(t testing.TB, key *ecdsa.PrivateKey, public crypto.PublicKey) string {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	id := sha256.Sum256(der)
	mux := http.NewServeMux()
	for path, kind := range map[string]ct.LogEntryType{"/ct/v1/add-chain": ct.X509LogEntryType, "/ct/v1/add-pre-chain": ct.PrecertLogEntryType} {
		mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
			resp, err := promise(r, kind, key, id)
			if err != nil {
				http.Error(w, err.Error(), http.StatusBadRequest)
				return
			}
			_ = json.NewEncoder(w).Encode(resp)
		})
	}
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s.URL
}

func promise(r *http.Request, kind ct.LogEntryType, key *ecdsa.PrivateKey, id [32]byte) (*ct.AddChainResponse, error) {
	var req ct.AddChainRequest
	if err := json.NewDecoder(r.Body).Decode(&req); err != nil {
		return nil, err
	}
	var chain []*ctx509.Certificate
	for _, raw := range req.Chain {
		c, err := ctx509.ParseCertificate(raw)
		if ctx509.IsFatal(err) {
			return nil, err
		}
		chain = append(chain, c)
	}
	now := uint64(time.Now().UnixMilli())
	leaf, err := ct.MerkleTreeLeafFromChain(chain, kind, now)
	if err != nil {
		return nil, err
	}
	sct := ct.SignedCertificateTimestamp{SCTVersion: ct.V1, LogID: ct.LogID{KeyID: id}, Timestamp: now}
	input, err := ct.SerializeSCTSignatureInput(sct, ct.LogEntry{Leaf: *leaf})
	if err != nil {
		return nil, err
	}
	sig, err := tls.CreateSignature(*key, tls.SHA256, input)
	if err != nil {
		return nil, err
	}
	raw, err := tls.Marshal(sig)
	if err != nil {
		return nil, err
	}
	return &ct.AddChainResponse{SCTVersion: ct.V1, ID: id[:], Timestamp: now, Signature: raw}, nil
}
