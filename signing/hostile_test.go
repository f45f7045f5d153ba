package signing_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/forge-build/forge/signing"
	"github.com/forge-build/forge/signing/evidence"
	"github.com/forge-build/forge/signing/signtest"
	"github.com/forge-build/forge/signing/statement"
)

// attacker signs whatever it is given with a key that the policy trusts: what must be
// refused is then refused for what it says.
type attacker struct {
	key    *ecdsa.PrivateKey
	policy signing.Policy
}

func newAttacker(t testing.TB) *attacker {
	t.Helper()
	private, public := signtest.Key(t)
	raw, err := os.ReadFile(private)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(raw)
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	k, err := signing.LoadKey(public)
	if err != nil {
		t.Fatal(err)
	}
	return &attacker{key.(*ecdsa.PrivateKey), signing.Policy{Keys: []signing.Key{k}}}
}

func (a *attacker) sign(message string) []byte {
	sum := sha256.Sum256([]byte(message))
	sig, err := ecdsa.SignASN1(rand.Reader, a.key, sum[:])
	if err != nil {
		panic(err) // a good key
	}
	return sig
}

// bundle writes a bundle by hand. Source: DSSE protocol, "PAE".
func (a *attacker) bundle(kind, payload string) []byte {
	return a.bundleOf(kind, payload, "", a.sign(fmt.Sprintf("DSSEv1 %d %s %d %s", len(kind), kind, len(payload), payload)))
}

func (a *attacker) bundleOf(kind, payload, hint string, sigs ...[]byte) []byte {
	var list []map[string][]byte
	for _, s := range sigs {
		list = append(list, map[string][]byte{"sig": s})
	}
	raw, err := json.Marshal(map[string]any{
		"mediaType":            signing.BundleType,
		"verificationMaterial": map[string]any{"publicKey": map[string]string{"hint": hint}},
		"dsseEnvelope":         map[string]any{"payload": []byte(payload), "payloadType": kind, "signatures": list},
	})
	if err != nil {
		panic(err)
	}
	return raw
}

const intoto = "application/vnd.in-toto+json"

func (a *attacker) statement(payload string) []byte { return a.bundle(intoto, payload) }

// simple is an older signature over a payload.
func (a *attacker) simple(payload string) signtest.Layer {
	return signtest.Layer{Type: evidence.SimpleSigning, Raw: []byte(payload), Annotations: map[string]string{
		"dev.cosignproject.cosign/signature": base64.StdEncoding.EncodeToString(a.sign(payload)),
	}}
}

func (a *attacker) simpleFor(repo, digest string) signtest.Layer {
	return a.simple(fmt.Sprintf(`{"critical":{"identity":{"docker-reference":%q},"image":{"docker-manifest-digest":%q},"type":"cosign container image signature"},"optional":null}`, repo, digest))
}

func statementFor(image name.Digest) string {
	return fmt.Sprintf(`{"_type":"https://in-toto.io/Statement/v1","subject":[{"name":%q,"digest":{"sha256":%q}}],"predicateType":%q,"predicate":{}}`,
		image.Context().Name(), strings.TrimPrefix(image.DigestStr(), "sha256:"), statement.TypeSignature)
}

// A1, A2, A36: what is about another image or repository.
func TestASignatureHoldsForOneImageAndOneRepository(t *testing.T) {
	a := newAttacker(t)
	host := signtest.Registry(t, signtest.Conforming)
	repo, mirror := signtest.Repository(t, host, "team/train"), signtest.Repository(t, host, "other/mirror")
	x := signtest.Push(t, repo, "x", signtest.Image(t))
	img := signtest.Image(t)
	y := signtest.Push(t, repo, "y", img)
	t.Run("A1 a bundle copied to another image", func(t *testing.T) {
		signtest.Attach(t, y, a.statement(statementFor(x)))
		refused(t, y, a.policy, signing.CheckSubject, "expected "+y.DigestStr()+", found "+x.DigestStr())
	})
	t.Run("A1 an older signature copied to another image", func(t *testing.T) {
		signtest.AttachTag(t, y, ".sig", a.simpleFor(repo.Name(), x.DigestStr()))
		p := a.policy
		p.Formats = signing.LegacyOnly
		refused(t, y, p, signing.CheckSubject, "found "+x.DigestStr())
	})
	z := signtest.Push(t, mirror, "y", img)
	for format, lay := range map[string]func(){
		"bundle":       func() { signtest.Attach(t, z, a.statement(statementFor(y))) },
		"older format": func() { signtest.AttachTag(t, z, ".sig", a.simpleFor(repo.Name()+":1", y.DigestStr())) },
	} {
		t.Run("A2 copied with the image to another repository, "+format, func(t *testing.T) {
			lay()
			p := a.policy
			p.Formats = map[string]signing.Formats{"bundle": signing.BundlesOnly, "older format": signing.LegacyOnly}[format]
			refused(t, z, p, signing.CheckRepository, repo.Name())
			p.Repositories = []string{repo.Name()}
			if _, err := check(t, z, p); err != nil {
				t.Errorf("a mirror that the policy names: %v", err)
			}
		})
	}
}

// A4, A5, A9, ATT-02, and a bundle that is no statement.
func TestStatementsThatAreRefused(t *testing.T) {
	a := newAttacker(t)
	image := newImage(t, signtest.Conforming)
	hex := strings.TrimPrefix(image.DigestStr(), "sha256:")
	good := statementFor(image)
	change := func(old, new string) []byte {
		if !strings.Contains(good, old) {
			t.Fatalf("the fixture has no %s", old)
		}
		return a.statement(strings.Replace(good, old, new, 1))
	}
	subject := fmt.Sprintf(`{"name":%q,"digest":{"sha256":%q}}`, image.Context().Name(), hex)
	sig := a.sign(fmt.Sprintf("DSSEv1 %d %s %d %s", len(intoto), intoto, len(good), good))
	for _, c := range []struct {
		name   string
		bundle []byte
		check  string
		text   string
	}{
		{"A5 two subjects", change(subject, subject+","+strings.Replace(subject, hex, strings.Repeat("a", 64), 1)), signing.CheckPresent, "2 subjects"},
		{"A5 no subject", change(subject, ""), signing.CheckPresent, "0 subjects"},
		{"A5 sha512 only", change(`"sha256"`, `"sha512"`), signing.CheckPresent, "no sha256"},
		{"A5 upper-case hex", change(hex, strings.ToUpper(hex)), signing.CheckPresent, "lower-case hex"},
		{"A5 short hex", change(hex, hex[:62]), signing.CheckPresent, "lower-case hex"},
		{"A9 another payload type", a.bundle("application/json", good), signing.CheckPresent, "payload type"},
		{"A9 two signatures, one good", a.bundleOf(intoto, good, "", sig, []byte("junk")), signing.CheckPresent, "2 signatures"},
		{"A9 no signature", a.bundleOf(intoto, good, ""), signing.CheckPresent, "0 signatures"},
		{"A9 an unknown statement version", change("Statement/v1", "Statement/v2"), signing.CheckPresent, "Statement/v2"},
		{"A9 a key twice", change(`"predicate":{}`, `"predicate":{},"subject":[]`), signing.CheckPresent, "stands twice"},
		{"A9 another spelling of a key", change(`"predicateType"`, `"predicate_type"`), signing.CheckPresent, "unknown key"},
		{"A9 a key that Go takes for another", change(`"subject"`, `"ſubject"`), signing.CheckPresent, "unknown key"},
		{"A9 something after it", a.statement(good + " {}"), signing.CheckPresent, "after the document's end"},
		{"A9 no JSON", a.statement("hello"), signing.CheckPresent, "the statement"},
		{"A9 deep nesting", change(`"predicate":{}`, `"predicate":`+strings.Repeat("[", 5000)+strings.Repeat("]", 5000)), signing.CheckPresent, "nested deeper"},
		{"A9 a changed byte", bytes.Replace(a.statement(good), []byte(base64.StdEncoding.EncodeToString([]byte(good))[:40]), []byte(base64.StdEncoding.EncodeToString([]byte(strings.Replace(good, "_type", "_typx", 1)))[:40]), 1), signing.CheckPresent, "unknown key"},
		{"no predicate", a.statement(strings.Replace(strings.Replace(good, `,"predicate":{}`, "", 1), statement.TypeSignature, statement.TypeSPDX, 1)), signing.CheckPresent, "no predicate"},
		{"another type with a suffix", change(statement.TypeSignature, statement.TypeSignature+"/"), signing.CheckPresent, statement.TypeSignature + "/"},
		{"another type in upper case", change("sigstore.dev", "SIGSTORE.dev"), signing.CheckPresent, "SIGSTORE"},
		{"a bundle of another version", bytes.Replace(a.statement(good), []byte("v0.3+json"), []byte("v0.9+json"), 1), signing.CheckPresent, "cannot be read"},
		{"an unknown field in the bundle", bytes.Replace(a.statement(good), []byte(`{"dsse`), []byte(`{"x":1,"dsse`), 1), signing.CheckPresent, "unknown field"},
		{"a field twice in two spellings", bytes.Replace(a.statement(good), []byte(`"mediaType"`), []byte(`"media_type":"x","mediaType"`), 1), signing.CheckPresent, "cannot be read"},
		{"a signature over bytes", []byte(`{"mediaType":"` + signing.BundleType + `","verificationMaterial":{"publicKey":{"hint":""}},"messageSignature":{"messageDigest":{"algorithm":"SHA2_256","digest":"` + base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{1}, 32)) + `"},"signature":"AA=="}}`), signing.CheckPresent, "no statement"},
	} {
		t.Run(c.name, func(t *testing.T) {
			image := signtest.Push(t, image.Context(), "t", mustImage(t, image))
			ref := signtest.Attach(t, image, c.bundle)
			refused(t, image, a.policy, c.check, c.text)
			if err := remote.Delete(ref); err != nil {
				t.Fatal(err)
			}
		})
	}
	t.Run("A4 a signature offered as a scan", func(t *testing.T) {
		signtest.Attach(t, image, a.statement(good))
		for _, kind := range []string{"sbom", "scan", "provenance", "vex"} {
			p := a.policy
			p.Statements = []signing.Requirement{{Types: signing.Types(kind)}}
			refused(t, image, p, signing.CheckPresent, "found "+statement.TypeSignature)
		}
	})
	t.Run("A9 version 0.1, where the policy wants version 1", func(t *testing.T) {
		image := newImage(t, signtest.Conforming)
		signtest.Attach(t, image, a.statement(strings.Replace(statementFor(image), "Statement/v1", "Statement/v0.1", 1)))
		p := a.policy
		p.StatementV1 = true
		refused(t, image, p, signing.CheckStatement, "Statement/v0.1")
	})
}

func mustImage(t testing.TB, d name.Digest) v1.Image {
	t.Helper()
	img, err := remote.Image(d)
	if err != nil {
		t.Fatal(err)
	}
	return img
}

// ATT-03: the envelope around a statement. What is signed is its pre-authentication encoding,
// and what is written is what every reader reads.
func TestEnvelopesThatAreRefused(t *testing.T) {
	a, other := newAttacker(t), newAttacker(t)
	image := newImage(t, signtest.Conforming)
	// "~~~~" has a "/" or "+" in any place; the length leaves two bits unused at the end.
	good := strings.Replace(statementFor(image), `"predicate":{}`, `"predicate":{"x":"~~~~~~~~"}`, 1)
	for len(good)%3 != 1 {
		good += " "
	}
	plain := base64.StdEncoding.EncodeToString([]byte(good))
	sig := a.sign(fmt.Sprintf("DSSEv1 %d %s %d %s", len(intoto), intoto, len(good), good))
	bundle, envelope := string(a.bundleOf(intoto, good, "", sig)), fmt.Sprintf(`{"payloadType":%q,"payload":%q,"signatures":[{"keyid":"","sig":%q}]}`, intoto, plain, base64.StdEncoding.EncodeToString(sig))
	change := func(from, to string) func(string) string {
		return func(s string) string { return strings.Replace(s, from, to, 1) }
	}
	loose := plain[:len(plain)-3] + string(rune(plain[len(plain)-3]+1)) + "==" // "A==" and "B==" are one byte each
	for _, c := range []struct {
		name   string
		change func(string) string
		check  string
		text   string
	}{
		{"the payload in the other alphabet", change(plain, base64.URLEncoding.EncodeToString([]byte(good))), signing.CheckPresent, ""},
		{"the payload without padding", change(plain, strings.TrimRight(plain, "=")), signing.CheckPresent, ""},
		{"the payload with a line break", change(plain, plain[:76]+`\n`+plain[76:]), signing.CheckPresent, ""},
		{"the payload with bits that nobody reads", change(plain, loose), signing.CheckPresent, ""},
		{"the payload cut off", change(plain, plain[:len(plain)-1]), signing.CheckPresent, ""},
		{"no payload", change(plain, ""), signing.CheckPresent, ""},
		{"the payload twice", change(`"payload":`, `"payload":"","payload":`), signing.CheckPresent, "stands twice"},
		{"the type of another payload", change(intoto, "application/vnd.in-toto+json2"), signing.CheckPresent, "payload type"},
		{"the type in another case", change(intoto, "application/vnd.in-toto+JSON"), signing.CheckPresent, "payload type"},
		{"an unknown field", change(`"payloadType"`, `"payloadTypes":"x","payloadType"`), signing.CheckPresent, ""},
		{"two signatures, one bad", change(`"signatures":[`, `"signatures":[{"sig":"AAAA"},`), signing.CheckPresent, "2 signatures"},
		{"the signature twice", func(s string) string {
			_, list, _ := strings.Cut(s, `"signatures":[`)
			one, _, _ := strings.Cut(list, "]")
			return strings.Replace(s, one+"]", one+","+one+"]", 1)
		}, signing.CheckPresent, "2 signatures"},
		{"a signature over the payload alone", change(base64.StdEncoding.EncodeToString(sig), base64.StdEncoding.EncodeToString(a.sign(good))), signing.CheckSignature, "does not hold"},
		{"a signature over another type", change(base64.StdEncoding.EncodeToString(sig), base64.StdEncoding.EncodeToString(a.sign(fmt.Sprintf("DSSEv1 %d %s %d %s", 4, "text", len(good), good)))), signing.CheckSignature, "does not hold"},
		{"somebody else's signature", change(base64.StdEncoding.EncodeToString(sig), base64.StdEncoding.EncodeToString(other.sign(fmt.Sprintf("DSSEv1 %d %s %d %s", len(intoto), intoto, len(good), good)))), signing.CheckSignature, "does not hold"},
		{"no signature", change(base64.StdEncoding.EncodeToString(sig), ""), signing.CheckPresent, ""},
	} {
		for format, whole := range map[string]string{"bundle": bundle, "older attestation": envelope} {
			t.Run(c.name+", "+format, func(t *testing.T) {
				bad := c.change(whole)
				if bad == whole {
					t.Fatal("the fixture changes nothing")
				}
				image := signtest.Push(t, image.Context(), "t", mustImage(t, image))
				if format == "bundle" {
					ref := signtest.Attach(t, image, []byte(bad))
					defer func() { _ = remote.Delete(ref) }() // of a registry that ends with the test
				} else {
					signtest.AttachTag(t, image, ".att", signtest.Layer{Type: evidence.DSSE, Raw: []byte(bad)})
					defer func() {
						if err := remote.Delete(image.Context().Tag(strings.Replace(image.DigestStr(), ":", "-", 1) + ".att")); err != nil {
							t.Error(err)
						}
					}()
				}
				refused(t, image, a.policy, c.check, c.text)
			})
		}
	}
	signtest.AttachTag(t, image, ".att", signtest.Layer{Type: evidence.DSSE, Raw: []byte(envelope)}) // an empty key id says nothing
	for _, format := range []signing.Formats{signing.LegacyOnly, signing.BundlesOnly} {
		p := a.policy
		if p.Formats = format; format == signing.BundlesOnly {
			signtest.Attach(t, image, []byte(bundle))
		}
		if _, err := check(t, image, p); err != nil {
			t.Errorf("as it was made: %v", err)
		}
	}
}

// SIG-01: text beside what a signature covers is the signer's, or it is nobody's.
func TestOlderSignaturesThatSomebodyHasChanged(t *testing.T) {
	a := newAttacker(t)
	for name, change := range map[string]func(*signtest.Layer, string){
		"an annotation in the payload": func(l *signtest.Layer, _ string) {
			l.Raw = bytes.Replace(l.Raw, []byte(`"optional":null`), []byte(`"optional":{"approved":"yes"}`), 1)
		},
		"another digest": func(l *signtest.Layer, digest string) {
			l.Raw = bytes.Replace(l.Raw, []byte(strings.Repeat("a", 64)), []byte(strings.TrimPrefix(digest, "sha256:")), 1)
		},
		"a second digest": func(l *signtest.Layer, digest string) {
			l.Raw = bytes.Replace(l.Raw, []byte(`{"docker-manifest-digest"`), []byte(fmt.Sprintf(`{"docker-manifest-digest":%q,"docker-manifest-digest"`, digest)), 1)
		},
		"another repository": func(l *signtest.Layer, _ string) {
			l.Raw = bytes.Replace(l.Raw, []byte("/team/other"), []byte("/team/train"), 1)
		},
		"an annotation that names the digest": func(l *signtest.Layer, digest string) { l.Annotations["docker-manifest-digest"] = digest },
	} {
		t.Run(name, func(t *testing.T) {
			image := newImage(t, signtest.Conforming)
			of, repo := image.DigestStr(), image.Context().Name()
			switch name {
			case "another digest", "a second digest", "an annotation that names the digest":
				of = "sha256:" + strings.Repeat("a", 64)
			case "another repository":
				repo = strings.Replace(repo, "/team/train", "/team/other", 1)
			}
			l := a.simpleFor(repo, of)
			before := string(l.Raw)
			change(&l, image.DigestStr())
			if string(l.Raw) == before && len(l.Annotations) == 1 {
				t.Fatal("the fixture changes nothing")
			}
			signtest.AttachTag(t, image, ".sig", l)
			check := signing.CheckSignature
			switch name {
			case "a second digest":
				check = signing.CheckPresent
			case "an annotation that names the digest":
				check = signing.CheckSubject
			}
			refused(t, image, a.policy, check, "")
		})
	}
}

// Older signatures that say something else than they must.
func TestOlderSignaturesThatAreRefused(t *testing.T) {
	a := newAttacker(t)
	for name, c := range map[string]struct {
		change func(string) string
		text   string
	}{
		"another type":          {func(s string) string { return strings.Replace(s, "cosign container", "atomic container", 1) }, "critical.type"},
		"upper-case hex":        {func(s string) string { return strings.Replace(s, "sha256:", "SHA256:", 1) }, "no sha256"},
		"a key twice":           {func(s string) string { return strings.Replace(s, `{"critical"`, `{"critical":{},"critical"`, 1) }, "stands twice"},
		"critical in two cases": {func(s string) string { return strings.Replace(s, `{"critical"`, `{"Critical":{},"critical"`, 1) }, "unknown key"},
		"something after it":    {func(s string) string { return s + "x" }, "after the document's end"},
	} {
		t.Run(name, func(t *testing.T) {
			image := newImage(t, signtest.Conforming)
			good := string(a.simpleFor(image.Context().Name(), image.DigestStr()).Raw)
			bad := c.change(good)
			if bad == good {
				t.Fatal("the fixture changes nothing")
			}
			signtest.AttachTag(t, image, ".sig", a.simple(bad))
			refused(t, image, a.policy, signing.CheckPresent, c.text)
		})
	}
	t.Run("over other bytes", func(t *testing.T) {
		image := newImage(t, signtest.Conforming)
		l := a.simpleFor(image.Context().Name(), image.DigestStr())
		l.Annotations["dev.cosignproject.cosign/signature"] = base64.StdEncoding.EncodeToString(a.sign("something else"))
		signtest.AttachTag(t, image, ".sig", l)
		refused(t, image, a.policy, signing.CheckSignature, "does not hold")
	})
}

// A14: a hint chooses no key.
func TestAHintChoosesNoKey(t *testing.T) {
	a, other := newAttacker(t), newAttacker(t)
	image := newImage(t, signtest.Conforming)
	good := statementFor(image)
	pae := fmt.Sprintf("DSSEv1 %d %s %d %s", len(intoto), intoto, len(good), good)
	signtest.Attach(t, image, other.bundleOf(intoto, good, "the trusted key's hint", other.sign(pae)))
	refused(t, image, a.policy, signing.CheckSignature, "does not hold")
	signtest.Attach(t, image, a.bundleOf(intoto, good, "../../\x1b[2J another hint", a.sign(pae)))
	if _, err := check(t, image, a.policy); err != nil {
		t.Error(err)
	}
	p := signing.Policy{Root: &signing.Root{}, Identities: []signing.Identity{{Name: "a@example.org", Issuer: "https://x.example"}}}
	refused(t, image, p, signing.CheckSigner, "found a bare key")
}

// A23: a key outside its window counts for nothing.
func TestAKeysWindow(t *testing.T) {
	a := newAttacker(t)
	image := newImage(t, signtest.Conforming)
	signtest.Attach(t, image, a.statement(statementFor(image)))
	window := func(from, until int) signing.Policy {
		p := a.policy
		p.Keys = []signing.Key{p.Keys[0]}
		if from != 0 {
			p.Keys[0].From = now.AddDate(0, 0, from)
		}
		if until != 0 {
			p.Keys[0].Until = now.AddDate(0, 0, until)
		}
		return p
	}
	refused(t, image, window(0, -1), signing.CheckKey, "it ended at")
	refused(t, image, window(1, 0), signing.CheckKey, "it holds only from")
	if _, err := check(t, image, window(-1, 1)); err != nil {
		t.Error(err)
	}
	later := window(-1, 1)
	later.Now = now.AddDate(2, 0, 0) // A39
	refused(t, image, later, signing.CheckKey, "it ended at")
	both := window(0, -1) // two keys, one of which holds
	both.Keys = append(both.Keys, a.policy.Keys[0])
	if _, err := check(t, image, both); err != nil {
		t.Error("the second key holds:", err)
	}
}

// ATT-03, thresholds: different signers are counted, not signatures.
func TestSignersAreCountedOnce(t *testing.T) {
	a, b := newAttacker(t), newAttacker(t)
	image := newImage(t, signtest.Conforming)
	p := signing.Policy{Keys: append(append([]signing.Key{}, a.policy.Keys...), b.policy.Keys...)}
	p.Statements = []signing.Requirement{{Types: signing.Types("signature"), Signers: 2}}
	signtest.Attach(t, image, a.statement(statementFor(image)))
	signtest.Attach(t, image, a.statement(statementFor(image))) // ECDSA: other bytes
	refused(t, image, p, signing.CheckPresent, "by 2 signers, found 1")
	signtest.AttachTag(t, image, ".sig", b.simpleFor(image.Context().Name(), image.DigestStr()))
	if _, err := check(t, image, p); err != nil {
		t.Error(err)
	}
	// A requirement's own signers are the only ones for it.
	p.Statements = []signing.Requirement{{Types: signing.Types("signature"), Keys: newAttacker(t).policy.Keys}}
	refused(t, image, p, signing.CheckSignature, "does not hold")
}

// A29, A30, A36: junk beside a good signature changes nothing, and deleting the good one of a
// format that the policy names does not fall back to the other.
func TestJunkBesideAGoodSignature(t *testing.T) {
	a, other := newAttacker(t), newAttacker(t)
	for _, k := range signtest.Kinds() {
		for _, first := range []bool{true, false} {
			t.Run(fmt.Sprintf("%v, junk first: %v", k, first), func(t *testing.T) {
				image := newImage(t, k)
				junk := func() {
					signtest.Attach(t, image, other.statement(statementFor(image)))
					signtest.Attach(t, image, []byte("{"))
					signtest.Attach(t, image, bytes.Repeat([]byte("["), 300000))
					signtest.Attach(t, image, []byte{0x1f, 0x8b, 8, 0})
					signtest.AttachTag(t, image, ".sig", other.simpleFor(image.Context().Name(), image.DigestStr()), signtest.Layer{Type: evidence.SimpleSigning, Raw: []byte("x")})
					signtest.AttachTag(t, image, ".att", signtest.Layer{Type: evidence.DSSE, Raw: []byte(`{"payloadType":"` + intoto + `","payload":"","signatures":[]}`)})
				}
				if first {
					junk()
				}
				good := signtest.Attach(t, image, a.statement(statementFor(image)))
				if !first {
					junk()
				}
				v, err := check(t, image, a.policy)
				if err != nil {
					t.Fatal(err)
				}
				if len(v.Statements()) != 1 || len(v.Rejected()) != 7 {
					t.Errorf("%d statements, %d rejected: %v", len(v.Statements()), len(v.Rejected()), v.Rejected())
				}
				p := a.policy
				p.Formats = signing.LegacyOnly
				refused(t, image, p, signing.CheckSignature, "does not hold")
				if k == signtest.Conforming { // the good one is deleted, an older one of the same key remains
					signtest.AttachTag(t, image, ".sig", a.simpleFor(image.Context().Name(), image.DigestStr()))
					if err := remote.Delete(good); err != nil {
						t.Fatal(err)
					}
					p.Formats = signing.BundlesOnly
					refused(t, image, p, signing.CheckSignature, "does not hold")
				}
			})
		}
	}
}

// A6, A7: an index and what is in it.
func TestAnIndexAndItsChildren(t *testing.T) {
	a := newAttacker(t)
	host := signtest.Registry(t, signtest.Conforming)
	repo := signtest.Repository(t, host, "team/train")
	index := signtest.Index(t, 2)
	d := signtest.Push(t, repo, "1", index)
	m, err := index.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	children := []name.Digest{repo.Digest(m.Manifests[0].Digest.String()), repo.Digest(m.Manifests[1].Digest.String())}
	signtest.Attach(t, d, a.statement(statementFor(children[0])))
	refused(t, d, a.policy, signing.CheckSubject, "found "+children[0].DigestStr()) // A6
	signtest.Attach(t, d, a.statement(statementFor(d)))
	refused(t, d, a.policy, signing.CheckPresent, "found nothing") // A7: the children are not signed
	only := a.policy
	only.Index = signing.IndexOnly
	if _, err := check(t, d, only); err != nil {
		t.Error(err)
	}
	signtest.Attach(t, children[0], a.statement(statementFor(children[0])))
	refused(t, d, a.policy, signing.CheckPresent, "found nothing")
	signtest.Attach(t, children[1], newAttacker(t).statement(statementFor(children[1])))
	refused(t, d, a.policy, signing.CheckSignature, "does not hold")
	signtest.Attach(t, children[1], a.statement(statementFor(children[1])))
	v, err := check(t, d, a.policy)
	if err != nil {
		t.Fatal(err)
	}
	if len(v.Children()) != 2 {
		t.Errorf("%d children", len(v.Children()))
	}
	sign := func(t *testing.T, what v1.ImageIndex) name.Digest {
		d := signtest.Push(t, repo, "2", what)
		signtest.Attach(t, d, a.statement(statementFor(d)))
		return d
	}
	t.Run("an index in an index", func(t *testing.T) {
		outer := mutate.AppendManifests(signtest.Index(t, 0), mutate.IndexAddendum{Add: index})
		refused(t, sign(t, outer), a.policy, signing.CheckIndex, "an index in the index")
	})
	t.Run("an empty index", func(t *testing.T) {
		refused(t, sign(t, signtest.Index(t, 0)), a.policy, signing.CheckIndex, "no image")
	})
	t.Run("BuildKit's attestation of an image that is not there", func(t *testing.T) {
		bad := mutate.AppendManifests(index, mutate.IndexAddendum{Add: signtest.Image(t), Descriptor: v1.Descriptor{Annotations: map[string]string{
			"vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": "sha256:" + strings.Repeat("a", 64)}}})
		refused(t, sign(t, bad), a.policy, signing.CheckIndex, "not in the index")
		good := mutate.AppendManifests(index, mutate.IndexAddendum{Add: signtest.Image(t), Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "unknown", Architecture: "unknown"}, Annotations: map[string]string{
			"vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": children[0].DigestStr()}}})
		signed := sign(t, good)
		v, err := check(t, signed, a.policy)
		if err != nil {
			t.Fatal(err)
		}
		says := func(checks []signing.Check) bool { // present but unsigned is told from absent
			return slices.ContainsFunc(checks, func(c signing.Check) bool {
				return c.ID == signing.CheckCandidates && c.Status == signing.Skipped && c.Digest == children[0].DigestStr() && strings.Contains(c.Why, "BuildKit's attestation sha256:") && strings.Contains(c.Why, "not signed")
			})
		}
		if !says(v.Checks()) {
			t.Errorf("nothing says that there is an unsigned attestation: %v", v.Checks())
		}
		p := a.policy
		p.Statements = []signing.Requirement{{Types: signing.Types("signature")}, {Types: signing.Types("provenance")}}
		refused(t, signed, p, signing.CheckPresent, "expected https://slsa.dev/provenance/v1")
	})
	t.Run("a child of another size or type", func(t *testing.T) {
		for _, change := range []func(*v1.Descriptor){
			func(d *v1.Descriptor) { d.Size++ },
			func(d *v1.Descriptor) { d.MediaType = types.DockerManifestSchema2 },
		} {
			m := m.DeepCopy()
			change(&m.Manifests[0])
			raw, _ := json.Marshal(m)
			d := pushRaw(t, repo, raw, types.OCIImageIndex)
			signtest.Attach(t, d, a.statement(statementFor(d)))
			refused(t, d, a.policy, signing.CheckIndex, children[0].DigestStr())
		}
	})
}

// rawManifest pushes bytes as they are.
type rawManifest struct {
	raw []byte
	mt  types.MediaType
}

func (r rawManifest) RawManifest() ([]byte, error)        { return r.raw, nil }
func (r rawManifest) MediaType() (types.MediaType, error) { return r.mt, nil }

func pushRaw(t testing.TB, repo name.Repository, raw []byte, mt types.MediaType) name.Digest {
	t.Helper()
	d := repo.Digest(fmt.Sprintf("sha256:%x", sha256.Sum256(raw)))
	if err := remote.Put(d, rawManifest{raw, mt}); err != nil {
		t.Fatal(err)
	}
	return d
}
