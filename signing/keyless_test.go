package signing_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"

	"github.com/forge-build/forge/signing"
	"github.com/forge-build/forge/signing/signtest"
	"github.com/forge-build/forge/signing/statement"
)

// token hands out one token.
func token(s string) func(context.Context) (string, error) {
	return func(context.Context) (string, error) { return s, nil }
}

func loadRoot(t testing.TB, path string) *signing.Root {
	t.Helper()
	r, err := signing.LoadRoot(path)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// identitySigner makes a signer with an identity token.
func identitySigner(t testing.TB, s *signtest.Sigstore, tok string) *signing.Signer {
	t.Helper()
	signer, err := signing.NewSigner(t.Context(), signing.SignWith{
		Token: token(tok), Root: loadRoot(t, s.Root),
		Services: signing.Services{Fulcio: s.Fulcio, Rekor: s.Rekor, Timestamp: s.Timestamp},
	})
	if err != nil {
		t.Fatal(err)
	}
	return signer
}

func TestAnIdentitySignsWithAPrivateSigstore(t *testing.T) {
	s := signtest.Start(t, signtest.Options{})
	host := signtest.Registry(t, signtest.Conforming)
	repo := signtest.Repository(t, host, "team/train")
	image := signtest.Push(t, repo, "1", signtest.Image(t))
	signer := identitySigner(t, s, s.Token(t, "release@example.org"))
	good := sign(t, signer, image, statement.TypeSignature, nil)
	other := sign(t, identitySigner(t, s, s.Token(t, "release@example.org")), image, statement.TypeSPDX, sbom) // with a key and certificate of its own
	p := signing.Policy{Root: loadRoot(t, s.Root), Identities: []signing.Identity{{Name: "release@example.org", Issuer: s.Email}}}
	// each lays one bundle beside the image, under a repository of its own name's mirror.
	n := 0
	lay := func(t *testing.T, bundle []byte) name.Digest {
		n++
		d := signtest.Push(t, signtest.Repository(t, host, fmt.Sprintf("mirror%d/train", n)), "1", mustImage(t, image))
		signtest.Attach(t, d, bundle)
		return d
	}
	p.Repositories = []string{repo.Name()}
	t.Run("it holds", func(t *testing.T) {
		v, err := check(t, lay(t, good), p)
		if err != nil {
			t.Fatal(err)
		}
		who := v.Statements()[0].Signer
		if who.Identity != "release@example.org" || who.Issuer != s.Email || v.Statements()[0].Time.IsZero() {
			t.Errorf("%+v", v.Statements()[0])
		}
	})
	t.Run("it holds two years later", func(t *testing.T) { // A39: verified times decide
		p := p
		p.Now = time.Now().AddDate(2, 0, 0)
		if _, err := check(t, lay(t, good), p); err != nil {
			t.Error(err)
		}
	})

	material := func(b map[string]any) map[string]any { return b["verificationMaterial"].(map[string]any) }
	entry := func(b map[string]any) map[string]any { return material(b)["tlogEntries"].([]any)[0].(map[string]any) }
	proof := func(b map[string]any) map[string]any { return entry(b)["inclusionProof"].(map[string]any) }
	from := decode(t, other)
	t.Run("one sign-in does for several statements", func(t *testing.T) {
		again := decode(t, sign(t, signer, image, statement.TypeSPDX, sbom))
		if d := cmp.Diff(material(decode(t, good))["certificate"], material(again)["certificate"]); d != "" {
			t.Error(d)
		}
	})
	for _, c := range []struct {
		name, check string
		change      func(b map[string]any)
	}{
		{"A18 no time", signing.CheckTime, func(b map[string]any) { delete(material(b), "timestampVerificationData") }},
		{"A18 a time over another signature", signing.CheckTime, func(b map[string]any) {
			material(b)["timestampVerificationData"] = material(from)["timestampVerificationData"]
		}},
		{"A20 no log entry", signing.CheckLog, func(b map[string]any) { delete(material(b), "tlogEntries") }},
		{"A20 another signature's log entry", signing.CheckLog, func(b map[string]any) { material(b)["tlogEntries"] = material(from)["tlogEntries"] }},
		{"A20 the log entry twice", signing.CheckLog, func(b map[string]any) {
			material(b)["tlogEntries"] = []any{entry(b), entry(b)}
		}},
		{"A20 another entry beside it", signing.CheckLog, func(b map[string]any) {
			material(b)["tlogEntries"] = []any{entry(b), entry(from)}
		}},
		{"A21 no proof", signing.CheckPresent, func(b map[string]any) { delete(entry(b), "inclusionProof") }},
		{"A21 a wrong root hash", signing.CheckPresent, func(b map[string]any) { proof(b)["rootHash"] = flipped(proof(b)["rootHash"]) }},
		{"A21 a wrong size", signing.CheckPresent, func(b map[string]any) { proof(b)["treeSize"] = "77" }},
		{"A21 a wrong index", signing.CheckLog, func(b map[string]any) { entry(b)["logIndex"] = "77" }},
		{"A21 a checkpoint of another log", signing.CheckLog, func(b map[string]any) {
			c := proof(b)["checkpoint"].(map[string]any)
			c["envelope"] = strings.Replace(c["envelope"].(string), "rekor.local", "rekor.example", 1)
		}},
		{"A21 an unknown log", signing.CheckLog, func(b map[string]any) {
			id := entry(b)["logId"].(map[string]any)
			id["keyId"] = flipped(id["keyId"])
		}},
		{"another statement in the envelope", signing.CheckLog, func(b map[string]any) {
			b["dsseEnvelope"].(map[string]any)["payload"] = base64.StdEncoding.EncodeToString(signtest.Statement(t, image, statement.TypeSignature, map[string]any{"x": 1}))
		}},
		{"another signature's certificate", signing.CheckLog, func(b map[string]any) { material(b)["certificate"] = material(from)["certificate"] }},
		{"a chain instead of a certificate", signing.CheckPresent, func(b map[string]any) {
			material(b)["x509CertificateChain"] = map[string]any{"certificates": []any{material(b)["certificate"]}}
			delete(material(b), "certificate")
		}},
		{"A14 a bare key instead of a certificate", signing.CheckSigner, func(b map[string]any) {
			material(b)["publicKey"] = map[string]any{"hint": "x"}
			delete(material(b), "certificate")
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := decode(t, good)
			c.change(b)
			raw, err := json.Marshal(b)
			if err != nil {
				t.Fatal(err)
			}
			refused(t, lay(t, raw), p, c.check, "")
		})
	}
	t.Run("A20 two logs are demanded", func(t *testing.T) {
		p := p
		p.Log = 2
		refused(t, lay(t, good), p, signing.CheckLog, "1 < 2")
	})
	t.Run("two times are demanded", func(t *testing.T) {
		p := p
		p.Times = 2
		refused(t, lay(t, good), p, signing.CheckTime, "1 < 2")
	})
	t.Run("A12, A13 other identities", func(t *testing.T) {
		d := lay(t, good)
		for _, id := range []signing.Identity{
			{Name: "Release@example.org", Issuer: s.Email},
			{Name: "release@example.or", Issuer: s.Email},
			{Name: "release@example.org", Issuer: s.Email + "/"},
			{Name: "release@example.org", Issuer: strings.ToUpper(s.Email)},
			{Name: "release@example.org", Issuer: s.Workflow},
			{Pattern: "release@example", Issuer: s.Email},
			{Pattern: "elease@example.org", Issuer: s.Email},
			{Pattern: "a|release@example.org|b$^", Issuer: s.Workflow},
			{Name: "release@example.org", Issuer: s.Email, Claims: map[string]string{"sourceRepositoryRef": "refs/heads/main"}},
		} {
			p := p
			p.Identities = []signing.Identity{id}
			refused(t, d, p, signing.CheckSigner, `"release@example.org"`)
		}
		p := p
		p.Identities = []signing.Identity{{Pattern: `[a-z]+@example\.org`, Issuer: s.Email}}
		if _, err := check(t, d, p); err != nil {
			t.Error(err)
		}
	})
	t.Run("A14 a key is wanted", func(t *testing.T) {
		p := newAttacker(t).policy
		p.Repositories = []string{repo.Name()}
		refused(t, lay(t, good), p, signing.CheckSigner, "a certificate")
	})
	t.Run("A18, A24 trust roots that have ended, or are not this one's", func(t *testing.T) {
		past := map[string]any{"start": "2020-01-01T00:00:00Z", "end": "2021-01-01T00:00:00Z"}
		for part, want := range map[string]string{
			"certificateAuthorities": signing.CheckCert, "timestampAuthorities": signing.CheckTime, "ctlogs": signing.CheckSCT,
		} {
			refused(t, lay(t, good), withRoot(p, editRoot(t, s.Root, func(r map[string]any) {
				one := r[part].([]any)[0].(map[string]any)
				if key, ok := one["publicKey"].(map[string]any); ok {
					one = key
				}
				one["validFor"] = past
			})), want, "")
		}
		for part, want := range map[string]string{
			"certificateAuthorities": signing.CheckCert, "timestampAuthorities": signing.CheckTime, "ctlogs": signing.CheckSCT, "tlogs": signing.CheckLog,
		} {
			refused(t, lay(t, good), withRoot(p, editRoot(t, s.Root, func(r map[string]any) { delete(r, part) })), want, "")
		}
		for name, change := range map[string]func(r map[string]any){
			"an unknown media type": func(r map[string]any) { r["mediaType"] = "application/vnd.dev.sigstore.trustedroot+json;version=9" },
			"a log without its name": func(r map[string]any) {
				delete(r["tlogs"].([]any)[0].(map[string]any), "baseUrl")
			},
			"nothing in it": func(r map[string]any) {
				for _, k := range []string{"tlogs", "certificateAuthorities", "timestampAuthorities", "ctlogs"} {
					delete(r, k)
				}
			},
		} {
			if r, err := signing.ParseRoot(editRoot(t, s.Root, change)); err == nil {
				t.Errorf("a root with %s: %v", name, r)
			}
		}
		raw, err := os.ReadFile(s.Root)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := signing.ParseRoot(bytes.Replace(raw, []byte("{"), []byte(`{"tlogs":[],`), 1)); err == nil {
			t.Error("a root with a key twice")
		}
		refused(t, lay(t, good), withRoot(p, readFile(t, signtest.Start(t, signtest.Options{}).Root)), signing.CheckLog, "")
	})
	t.Run("A15 workflows", func(t *testing.T) {
		token := s.WorkflowToken(t, "team/train", "release.yml", "refs/heads/main", "push")
		b := sign(t, identitySigner(t, s, token), image, statement.TypeSignature, nil)
		d := lay(t, b)
		id := signing.Identity{Name: "https://github.com/team/train/.github/workflows/release.yml@refs/heads/main", Issuer: s.Workflow,
			Claims: map[string]string{"sourceRepositoryRef": "refs/heads/main", "buildTrigger": "push", "sourceRepositoryURI": "https://github.com/team/train"}}
		expect := func(change func(*signing.Identity)) signing.Policy {
			id := id
			id.Claims = maps.Clone(id.Claims)
			change(&id)
			p := p
			p.Identities = []signing.Identity{id}
			return p
		}
		if _, err := check(t, d, expect(func(*signing.Identity) {})); err != nil {
			t.Fatal(err)
		}
		for name, change := range map[string]func(*signing.Identity){
			"another workflow": func(id *signing.Identity) { id.Name = strings.Replace(id.Name, "release.yml", "test.yml", 1) },
			"another ref":      func(id *signing.Identity) { id.Name = strings.Replace(id.Name, "heads/main", "tags/v1", 1) },
			"a claimed ref":    func(id *signing.Identity) { id.Claims["sourceRepositoryRef"] = "refs/tags/v1" },
			"a fork's request": func(id *signing.Identity) { id.Claims["buildTrigger"] = "pull_request" },
			"another source":   func(id *signing.Identity) { id.Claims["sourceRepositoryURI"] = "https://github.com/evil/train" },
			"a pattern without its end": func(id *signing.Identity) {
				id.Name, id.Pattern = "", "https://github\\.com/team/train/\\.github/workflows/release\\.yml@refs/heads"
			},
			"a look-alike host": func(id *signing.Identity) { id.Name, id.Pattern = "", "https://githubXcom/team/.*" },
		} {
			t.Run(name, func(t *testing.T) { refused(t, d, expect(change), signing.CheckSigner, "release.yml") })
		}
	})
}

func withRoot(p signing.Policy, raw []byte) signing.Policy {
	r, err := signing.ParseRoot(raw)
	if err != nil {
		panic(err) // a root of the test's own making
	}
	p.Root = r
	return p
}

func readFile(t testing.TB, path string) []byte {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func editRoot(t testing.TB, path string, change func(map[string]any)) []byte {
	t.Helper()
	r := decode(t, readFile(t, path))
	change(r)
	raw, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func decode(t testing.TB, raw []byte) map[string]any {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal(raw, &m); err != nil {
		t.Fatal(err)
	}
	return m
}

// flipped is base64 text with another first byte.
func flipped(v any) string {
	raw, err := base64.StdEncoding.DecodeString(v.(string))
	if err != nil {
		panic(err) // of a bundle
	}
	raw[0] ^= 1
	return base64.StdEncoding.EncodeToString(raw)
}

// What GitHub's attest-build-provenance writes: a bundle by the workflow's own identity around a
// provenance in GitHub's words, beside an image that nobody signed. Source: the build type's
// page, actions.github.io/buildtypes/workflow/v1.
func TestAnAttestationOfGitHubCounts(t *testing.T) {
	s := signtest.Start(t, signtest.Options{})
	image := newImage(t, signtest.Conforming)
	workflow := "https://github.com/team/train/.github/workflows/release.yml@refs/heads/main"
	signer := identitySigner(t, s, s.WorkflowToken(t, "team/train", "release.yml", "refs/heads/main", "push"))
	signtest.Attach(t, image, sign(t, signer, image, statement.TypeProvenance, map[string]any{
		"buildDefinition": map[string]any{
			"buildType":            "https://actions.github.io/buildtypes/workflow/v1",
			"externalParameters":   map[string]any{"workflow": map[string]any{"ref": "refs/heads/main", "repository": "https://github.com/team/train", "path": ".github/workflows/release.yml"}},
			"internalParameters":   map[string]any{"github": map[string]any{"event_name": "push", "repository_id": "1", "repository_owner_id": "2", "runner_environment": "github-hosted"}},
			"resolvedDependencies": []any{map[string]any{"uri": "git+https://github.com/team/train@refs/heads/main", "digest": map[string]any{"gitCommit": strings.Repeat("a", 40)}}},
		},
		"runDetails": map[string]any{"builder": map[string]any{"id": workflow}, "metadata": map[string]any{"invocationId": "https://github.com/team/train/actions/runs/1/attempts/1"}},
	}))
	p := signing.Policy{Root: loadRoot(t, s.Root), Statements: []signing.Requirement{{Types: signing.Types("provenance")}},
		Identities: []signing.Identity{{Name: workflow, Issuer: s.Workflow, Claims: map[string]string{"sourceRepositoryURI": "https://github.com/team/train", "buildTrigger": "push"}}}}
	v, err := check(t, image, p)
	if err != nil {
		t.Fatal(err)
	}
	if st := v.Statements(); len(st) != 1 || st[0].Signer.Identity != workflow || !bytes.Contains(st[0].Predicate, []byte("buildtypes/workflow/v1")) {
		t.Errorf("%+v", st)
	}
	p.Statements = nil // a signature
	refused(t, image, p, signing.CheckPresent, "found "+statement.TypeProvenance)
	p.Statements, p.Identities[0].Claims = []signing.Requirement{{Types: signing.Types("provenance")}}, map[string]string{"buildTrigger": "pull_request"}
	refused(t, image, p, signing.CheckSigner, "release.yml")
}

// A45, A46: a log that everybody may read learns hashes, and who signed; of what is said about
// an image it learns nothing, however much that is.
func TestALogLearnsHashesAlone(t *testing.T) {
	s := signtest.Start(t, signtest.Options{})
	image := newImage(t, signtest.Conforming)
	secret := "torch-of-the-secret-project"
	spdx := map[string]any{"spdxVersion": "SPDX-2.3", "packages": []any{map[string]any{"name": secret, "comment": strings.Repeat("x", 4<<20)}}}
	var sent []byte // what reaches the log and the time-stamp authority
	var mu sync.Mutex
	heard := func(to string) string {
		u, err := url.Parse(to)
		if err != nil {
			t.Fatal(err)
		}
		return "http://" + signtest.Serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			raw, _ := io.ReadAll(r.Body) // what is missing breaks the request
			mu.Lock()
			sent = append(sent, raw...)
			mu.Unlock()
			r.Body = io.NopCloser(bytes.NewReader(raw))
			httputil.NewSingleHostReverseProxy(&url.URL{Scheme: u.Scheme, Host: u.Host}).ServeHTTP(w, r)
		})) + u.Path
	}
	signer, err := signing.NewSigner(t.Context(), signing.SignWith{Token: token(s.Token(t, "release@example.org")), Root: loadRoot(t, s.Root),
		Services: signing.Services{Fulcio: s.Fulcio, Rekor: heard(s.Rekor), Timestamp: heard(s.Timestamp)}})
	if err != nil {
		t.Fatal(err)
	}
	words := []string{secret, image.Context().RepositoryStr(), strings.TrimPrefix(image.DigestStr(), "sha256:")}
	for _, word := range slices.Clone(words) {
		for i := range 3 { // base64 has three forms of it, by where it begins; the ends depend on what is beside it
			text := base64.StdEncoding.EncodeToString([]byte(strings.Repeat("x", i) + word))
			words = append(words, text[4:len(text)-4])
		}
	}
	b := decode(t, sign(t, signer, image, statement.TypeSPDX, spdx))
	if len(sent) == 0 || len(sent) > 16<<10 {
		t.Errorf("%d bytes were sent", len(sent))
	}
	entries := b["verificationMaterial"].(map[string]any)["tlogEntries"].([]any)
	for _, e := range entries {
		body, err := base64.StdEncoding.DecodeString(e.(map[string]any)["canonicalizedBody"].(string))
		if err != nil || len(body) == 0 || len(body) > 8<<10 {
			t.Fatalf("%v, %d bytes", err, len(body))
		}
		for _, word := range words {
			if bytes.Contains(body, []byte(word)) || bytes.Contains(sent, []byte(word)) {
				t.Errorf("the log was told %q: %s, of %s", word, body, sent)
			}
		}
		if !bytes.Contains(body, []byte("SHA2_256")) {
			t.Errorf("it holds no hash: nothing was tested: %s", body)
		}
	}
	if len(entries) != 1 {
		t.Errorf("%d entries", len(entries))
	}
}

// A22, A44: certificates that no log has promised to keep are noticed by the signer itself,
// before anything could be uploaded.
func TestASignerNoticesServicesThatLie(t *testing.T) {
	for name, o := range map[string]signtest.Options{"no promise of a certificate log": {NoCertificateLog: true}, "a forged promise": {ForgedSCT: true}} {
		t.Run(name, func(t *testing.T) {
			s := signtest.Start(t, o)
			_, err := identitySigner(t, s, s.Token(t, "a@example.org")).Sign(t.Context(), signtest.Statement(t, newImage(t, signtest.Conforming), statement.TypeSignature, nil))
			var not *signing.NotVerifiedError
			if !errors.As(err, &not) || not.ID() != signing.CheckSCT {
				t.Errorf("%v", err)
			}
		})
	}
	s := signtest.Start(t, signtest.Options{})
	image := newImage(t, signtest.Conforming)
	statement := signtest.Statement(t, image, statement.TypeSignature, nil)
	services := signing.Services{Fulcio: s.Fulcio, Rekor: s.Rekor, Timestamp: s.Timestamp}
	signer := func(change func(*signing.SignWith)) *signing.Signer {
		with := signing.SignWith{Token: token(s.Token(t, "a@example.org")), Root: loadRoot(t, s.Root), Services: services}
		change(&with)
		out, err := signing.NewSigner(t.Context(), with)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	var certificate atomic.Value // an answer of Fulcio that somebody kept
	between := func(to string, change func([]byte) []byte) string {
		return "http://" + signtest.Serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			req, _ := http.NewRequestWithContext(r.Context(), r.Method, to+r.URL.Path, r.Body)
			req.Header = r.Header
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				http.Error(w, err.Error(), http.StatusBadGateway)
				return
			}
			defer resp.Body.Close()
			raw, _ := io.ReadAll(resp.Body)
			maps.Copy(w.Header(), resp.Header)
			raw = change(raw)
			w.Header().Set("Content-Length", strconv.Itoa(len(raw)))
			w.WriteHeader(resp.StatusCode)
			_, _ = w.Write(raw)
		}))
	}
	keep := between(s.Fulcio, func(raw []byte) []byte { certificate.Store(raw); return raw })
	if _, err := signer(func(w *signing.SignWith) { w.Services.Fulcio = keep }).Sign(t.Context(), statement); err != nil {
		t.Fatal(err)
	}
	var entry atomic.Value
	keep = between(s.Rekor, func(raw []byte) []byte { entry.Store(raw); return raw })
	if _, err := signer(func(w *signing.SignWith) { w.Services.Rekor = keep }).Sign(t.Context(), statement); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name   string
		change func(*signing.SignWith)
	}{
		{"Fulcio: a certificate for another key", func(w *signing.SignWith) {
			w.Services.Fulcio = between(s.Fulcio, func([]byte) []byte { return certificate.Load().([]byte) })
		}},
		{"Fulcio: a certificate for somebody else", func(w *signing.SignWith) {
			w.Expect = signing.Identity{Name: "b@example.org", Issuer: s.Email}
		}},
		{"Rekor: an entry of something else", func(w *signing.SignWith) {
			w.Services.Rekor = between(s.Rekor, func([]byte) []byte { return entry.Load().([]byte) })
		}},
		{"a trust root of another Sigstore", func(w *signing.SignWith) {
			w.Root = loadRoot(t, signtest.Start(t, signtest.Options{}).Root)
		}},
		{"a token that is none", func(w *signing.SignWith) { w.Token = token("secret.secret.secret") }},
		{"a token that has ended", func(w *signing.SignWith) {
			w.Token = token(strings.TrimSuffix(s.Token(t, "a@example.org"), "A") + "AAAA")
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			out, err := signer(c.change).Sign(t.Context(), statement)
			if err == nil || out != nil {
				t.Fatalf("it signed: %v", out)
			}
			if strings.Contains(err.Error(), "secret.secret") {
				t.Errorf("the error tells the token: %v", err)
			}
		})
	}
	var told atomic.Int64 // what a log knows stays there for ever
	log := between(s.Rekor, func(raw []byte) []byte { told.Add(1); return raw })
	_, err := signer(func(w *signing.SignWith) {
		w.Services.Rekor, w.Expect = log, signing.Identity{Name: "b@example.org", Issuer: s.Email}
	}).Sign(t.Context(), statement)
	var not *signing.NotVerifiedError
	if !errors.As(err, &not) || not.ID() != signing.CheckSigner || told.Load() != 0 {
		t.Errorf("for somebody else, the log was told %d times: %v", told.Load(), err)
	}
	for _, part := range []string{signtest.Timestamp, signtest.Rekor, signtest.Fulcio} { // A43
		s.Stop(t, part)
		if out, err := signer(func(*signing.SignWith) {}).Sign(t.Context(), statement); err == nil {
			t.Errorf("without %s it signed: %v", part, out)
		}
	}
}
