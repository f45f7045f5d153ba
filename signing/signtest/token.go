package signtest

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"math/big"
	"testing"
	"time"
)

// Token makes an identity token for an e-mail address.
func (s *Sigstore) Token(t testing.TB, email string) string {
	t.Helper()
	return s.token(t, map[string]any{"iss": s.Email, "sub": email, "email": email, "email_verified": true})
}

// WorkflowToken makes an identity token as a workflow of a software forge gets it, for
// workflow REPOSITORY/.github/workflows/FILE@REF.
func (s *Sigstore) WorkflowToken(t testing.TB, repository, file, ref, event string) string {
	t.Helper()
	workflow := repository + "/.github/workflows/" + file + "@" + ref
	const commit = "0123456789abcdef0123456789abcdef01234567"
	return s.token(t, map[string]any{
		"iss": s.Workflow, "sub": "repo:" + repository + ":ref:" + ref, "job_workflow_ref": workflow, "workflow_ref": workflow,
		"sha": commit, "workflow_sha": commit, "job_workflow_sha": commit, "event_name": event, "repository": repository,
		"workflow": file, "ref": ref, "runner_environment": "github-hosted", "repository_id": "1", "repository_owner": "team",
		"repository_owner_id": "2", "repository_visibility": "private", "run_id": "3", "run_attempt": "1",
	})
}

// token signs claims with the issuer's key (JWS compact, ES256). Source: RFC 7515, 7518 §3.4.
func (s *Sigstore) token(t testing.TB, claims map[string]any) string {
	t.Helper()
	now := time.Now()
	for k, v := range map[string]any{"aud": "sigstore", "iat": now.Unix(), "exp": now.Add(10 * time.Minute).Unix()} {
		if claims[k] == nil {
			claims[k] = v
		}
	}
	body, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	enc := base64.RawURLEncoding.EncodeToString
	head := enc([]byte(`{"alg":"ES256","typ":"JWT","kid":"1"}`)) + "." + enc(body)
	sum := sha256.Sum256([]byte(head))
	r, ss, err := ecdsa.Sign(rand.Reader, s.issuer, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	return head + "." + enc(append(fixed(r), fixed(ss)...))
}

func fixed(n *big.Int) []byte { return n.FillBytes(make([]byte, 32)) }

// coordinates are a public key's, as a JSON web key has them.
func coordinates(k *ecdsa.PrivateKey) (x, y string) {
	raw, err := k.PublicKey.Bytes() // 4 ‖ x ‖ y
	if err != nil {
		panic(err) // a key of this process
	}
	return base64.RawURLEncoding.EncodeToString(raw[1:33]), base64.RawURLEncoding.EncodeToString(raw[33:])
}
