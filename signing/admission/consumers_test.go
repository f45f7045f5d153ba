//go:build consumers

package admission

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"go.yaml.in/yaml/v3"

	"github.com/forge-build/forge/recipes/finding"
	"github.com/forge-build/forge/recipes/lock"
	"github.com/forge-build/forge/signing"
	"github.com/forge-build/forge/signing/signtest"
	"github.com/forge-build/forge/signing/statement"
)

// program is one of the controllers' own, as make test-consumers built it.
func program(t *testing.T, name string) string {
	t.Helper()
	path := filepath.Join(os.Getenv("FORGE_CONSUMERS"), name)
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("%s is missing; make test-consumers builds it", path)
	}
	return path
}

// place is a registry and a folder for a policy and what it names.
type place struct {
	t    *testing.T
	host string
	dir  string
}

func newPlace(t *testing.T) *place {
	t.Setenv("DOCKER_CONFIG", t.TempDir())
	t.Setenv("HOME", t.TempDir())
	return &place{t, signtest.Registry(t, signtest.Kinds()[0]), t.TempDir()}
}

func (p *place) write(name string, data []byte) string {
	p.t.Helper()
	path := filepath.Join(p.dir, name)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		p.t.Fatal(err)
	}
	return path
}

// key makes a signer whose public half lies beside the policy.
func (p *place) key(name string) *signing.Signer {
	p.t.Helper()
	private, public := signtest.Key(p.t)
	raw, err := os.ReadFile(public)
	if err != nil {
		p.t.Fatal(err)
	}
	p.write(name+".pub", raw)
	s, err := signing.NewSigner(p.t.Context(), signing.SignWith{Key: private})
	if err != nil {
		p.t.Fatal(err)
	}
	return s
}

// statements are those that forge makes, with what the scan found.
func statements(t *testing.T, image name.Digest, age time.Duration, findings ...finding.Judged) []statement.Statement {
	t.Helper()
	at := time.Now().Add(-age).UTC()
	sum := strings.Repeat("2", 64)
	d := &finding.Document{Version: finding.Format, Packages: 1, Judged: at, Database: &finding.Database{Built: at.Add(-time.Hour), Schema: "v6", Digest: sum}}
	d.Findings = findings
	scan, err := statement.Vulns(statement.Scanner{URI: "pkg:golang/github.com/anchore/grype@v0.121.0", Version: "v0.121.0"}, d)
	if err != nil {
		t.Fatal(err)
	}
	recipe := statement.File{Name: "recipe.hcl", SHA256: strings.Repeat("1", 64)}
	spdx := fmt.Sprintf(`{"spdxVersion":"SPDX-2.3","SPDXID":"SPDXRef-DOCUMENT","dataLicense":"CC0-1.0","name":"x","documentNamespace":"https://x.example/x","creationInfo":{"created":"2026-01-01T00:00:00Z","creators":["Tool: forge"]},"packages":[{"SPDXID":"SPDXRef-i","name":"x","downloadLocation":"NOASSERTION","versionInfo":%q}]}`, image.DigestStr())
	l := &lock.Image{Platform: "linux/amd64", Derived: lock.Derived{CUDA: "12.8", Driver: "525.60.13"}}
	return []statement.Statement{statement.Signature(), statement.SPDX([]byte(spdx)), scan, statement.Tests(recipe, []string{"imports"}, nil),
		statement.Provenance(statement.Build{Image: "train", Recipe: recipe, Lock: statement.File{Name: "recipe.lock.json", SHA256: sum}, Locked: l, Base: "debian trixie", Version: "v1.0.0"})}
}

// publish pushes an image and signs statements about it: as bundles, or in the older format.
func (p *place) publish(path string, s *signing.Signer, older bool, what func(name.Digest) []statement.Statement) name.Digest {
	p.t.Helper()
	image := signtest.Push(p.t, signtest.Repository(p.t, p.host, path), "1", signtest.Image(p.t))
	if s == nil {
		return image
	}
	var attestations []signtest.Layer
	for _, st := range what(image) {
		raw, err := st.Write(statement.Image{Repository: image.Context().Name(), Digest: image.DigestStr()})
		if err != nil {
			p.t.Fatal(err)
		}
		if !older {
			signed, err := s.Sign(p.t.Context(), raw)
			if err != nil {
				p.t.Fatal(err)
			}
			signtest.Attach(p.t, image, signed.Bundle)
			continue
		}
		if st.Type == statement.TypeSignature {
			o, err := s.SignOlder(p.t.Context(), image)
			if err != nil {
				p.t.Fatal(err)
			}
			signtest.AttachTag(p.t, image, ".sig", olderLayer(o))
			continue
		}
		o, err := s.AttestOlder(p.t.Context(), raw)
		if err != nil {
			p.t.Fatal(err)
		}
		attestations = append(attestations, olderLayer(o))
	}
	if len(attestations) > 0 {
		signtest.AttachTag(p.t, image, ".att", attestations...)
	}
	return image
}

// everyStatement and onlySignature say what is signed of an image.
func (p *place) everyStatement(age time.Duration, findings ...finding.Judged) func(name.Digest) []statement.Statement {
	return func(image name.Digest) []statement.Statement { return statements(p.t, image, age, findings...) }
}

func (p *place) onlySignature(name.Digest) []statement.Statement {
	return []statement.Statement{statement.Signature()}
}

func (p *place) onlySBOM(image name.Digest) []statement.Statement {
	return statements(p.t, image, time.Hour)[1:2]
}

// policies writes a trust policy and exports it: the documents, by kind.
func (p *place) policies(write func(string) string, export string, o Options) map[string]string {
	p.t.Helper()
	policy := load(p.t, p.write("trust.hcl", []byte(write(p.host))))
	d, err := writers[export](policy, o)
	if err != nil {
		p.t.Fatal(err)
	}
	valid(p.t, d.YAML)
	parts := map[string][][]byte{}
	for _, doc := range documents(p.t, d.YAML) {
		raw, err := yaml.Marshal(doc)
		if err != nil {
			p.t.Fatal(err)
		}
		kind := fmt.Sprint(doc["kind"])
		parts[kind] = append(parts[kind], raw)
	}
	out := map[string]string{}
	for kind, raws := range parts {
		out[kind] = p.write(kind+".yaml", bytes.Join(raws, []byte("---\n")))
	}
	return out
}

const rest = `
  sbom { formats = ["spdx"] }
  provenance {
    builders = ["https://github.com/forge-build/forge@v1.0.0/local"]
    recipes  = ["sha256:1111111111111111111111111111111111111111111111111111111111111111"]
    locks    = ["sha256:2222222222222222222222222222222222222222222222222222222222222222"]
  }
  scan {
    max_age          = "7 days"
    database_max_age = "2 days"
    limit            = "high"
  }
  tests {}
`

func byKey(host string) string {
	return fmt.Sprintf("signer \"ci\" { key = \"ci.pub\" }\nimages \"ml\" {\n  repositories = [\"%s/ml/*\"]\n  signed_by = [\"ci\"]\n%s}\n", host, rest)
}

// judged runs a controller's program on an image and says whether it takes it.
type judged func(image name.Digest) (taken bool, said string)

// trial is an image, and whether it must be taken.
type trial struct {
	image name.Digest
	taken bool
}

// trials are images of all kinds, signed by s.
func (p *place) trials(s, other *signing.Signer, older bool) map[string]trial {
	high := finding.Judged{Finding: finding.Finding{ID: "CVE-2099-1", Severity: finding.High}}
	low := finding.Judged{Finding: finding.Finding{ID: "CVE-2099-2", Severity: finding.Low}}
	return map[string]trial{
		"signed, with everything":     {p.publish("ml/good", s, older, p.everyStatement(time.Hour)), true},
		"signed, with a low finding":  {p.publish("ml/low", s, older, p.everyStatement(time.Hour, low)), true},
		"unsigned":                    {p.publish("ml/unsigned", nil, older, nil), false},
		"wrongly signed":              {p.publish("ml/wrong", other, older, p.everyStatement(time.Hour)), false},
		"signed, nothing else":        {p.publish("ml/bare", s, older, p.onlySignature), false},
		"an SBOM alone":               {p.publish("ml/sbom", s, older, p.onlySBOM), false},
		"signed, with a high finding": {p.publish("ml/high", s, older, p.everyStatement(time.Hour, high)), false},
		"signed, with a stale scan":   {p.publish("ml/stale", s, older, p.everyStatement(8*24*time.Hour)), false},
	}
}

func try(t *testing.T, trials map[string]trial, judge judged) {
	for name, row := range trials {
		taken, said := judge(row.image)
		verdict := "as it must be"
		if taken != row.taken {
			verdict = "WRONG"
			t.Errorf("%s: taken is %v\n%s", name, taken, said)
		}
		t.Logf("%-28s taken: %-5v %s", name, taken, verdict)
	}
}

// tester is policy-controller's own program.
func (p *place) tester(files map[string]string) judged {
	bin := program(p.t, "tester")
	return func(image name.Digest) (bool, string) {
		args := []string{"--policy", files["ClusterImagePolicy"], "--image", image.String(), "--log-level", "error"}
		if root := files["TrustRoot"]; root != "" {
			args = append(args, "--trustroot", root)
		}
		out, err := exec.Command(bin, args...).CombinedOutput()
		var result struct{ Errors []string }
		for _, line := range bytes.Split(out, []byte("\n")) { // the verdict is a JSON document among messages
			if bytes.HasPrefix(bytes.TrimSpace(line), []byte("{")) {
				_ = json.Unmarshal(line, &result)
			}
		}
		return err == nil && len(result.Errors) == 0 && !bytes.Contains(out, []byte(`"errors"`)), string(out)
	}
}

// kyverno is Kyverno's own program, on a pod with the image.
func (p *place) kyverno(files map[string]string) judged {
	bin := program(p.t, "kubectl-kyverno")
	return func(image name.Digest) (bool, string) {
		pod := p.write("pod.yaml", []byte("apiVersion: v1\nkind: Pod\nmetadata:\n  name: train\n  namespace: default\nspec:\n  containers:\n    - name: train\n      image: "+image.String()+"\n"))
		out, err := exec.Command(bin, "apply", files["ImageValidatingPolicy"], "-r", pod, "--registry").CombinedOutput()
		return err == nil && bytes.Contains(out, []byte("pass: 1")) && bytes.Contains(out, []byte("fail: 0")) && bytes.Contains(out, []byte("error: 0")), string(out)
	}
}

// policy-controller judges keys by cosign's older format alone.
func TestConsumersPolicyControllerWithAKey(t *testing.T) {
	p := newPlace(t)
	ci, other := p.key("ci"), p.key("other")
	try(t, p.trials(ci, other, true), p.tester(p.policies(byKey, "policy-controller", Options{})))
}

func TestConsumersKyvernoWithAKey(t *testing.T) {
	p := newPlace(t)
	ci, other := p.key("ci"), p.key("other")
	try(t, p.trials(ci, other, false), p.kyverno(p.policies(byKey, "kyverno", Options{})))
}

// Of the older format Kyverno takes signatures, and statements only with a log's entry, which a
// key's have not; the export says so.
func TestConsumersKyvernoWithAKeyAndOlderSignatures(t *testing.T) {
	p := newPlace(t)
	ci, other := p.key("ci"), p.key("other")
	trials := p.trials(ci, other, true)
	for name, row := range trials {
		row.taken = false
		trials[name] = row
	}
	try(t, trials, p.kyverno(p.policies(byKey, "kyverno", Options{Legacy: true})))
	for name, row := range trials { // without statements
		row.taken = strings.HasPrefix(name, "signed, ")
		trials[name] = row
	}
	bySignature := func(host string) string { return strings.Replace(byKey(host), rest, "", 1) }
	try(t, trials, p.kyverno(p.policies(bySignature, "kyverno", Options{Legacy: true})))
}

// keyless signs as an e-mail address, with a private Sigstore.
func (p *place) keyless(sigstore *signtest.Sigstore, email string) *signing.Signer {
	return p.with(sigstore, email, signing.Services{Fulcio: sigstore.Fulcio, Rekor: sigstore.Rekor, Timestamp: sigstore.Timestamp})
}

// older does so with a log whose entries fit into cosign's older format.
func (p *place) older(sigstore *signtest.Sigstore, email string) *signing.Signer {
	return p.with(sigstore, email, signing.Services{Fulcio: sigstore.Fulcio, Rekor: sigstore.RekorV1, RekorV1: true})
}

func (p *place) with(sigstore *signtest.Sigstore, email string, services signing.Services) *signing.Signer {
	p.t.Helper()
	root, err := signing.LoadRoot(sigstore.Root)
	if err != nil {
		p.t.Fatal(err)
	}
	s, err := signing.NewSigner(p.t.Context(), signing.SignWith{Root: root,
		Token:    func(ctx context.Context) (string, error) { return sigstore.Token(p.t, email), nil },
		Services: services})
	if err != nil {
		p.t.Fatal(err)
	}
	return s
}

func (p *place) byIdentity(sigstore *signtest.Sigstore) func(string) string {
	raw, err := os.ReadFile(sigstore.Root)
	if err != nil {
		p.t.Fatal(err)
	}
	p.write("root.json", raw)
	return func(host string) string {
		return fmt.Sprintf("trusted_root = \"root.json\"\nsigner \"ci\" {\n  identity = \"release@acme.example\"\n  issuer = %q\n}\nimages \"ml\" {\n  repositories = [\"%s/ml/*\"]\n  signed_by = [\"ci\"]\n%s}\n", sigstore.Email, host, rest)
	}
}

// policy-controller 0.13.1 reads bundles with sigstore-go 0.7, which knows no entries of Rekor
// v2: it takes nothing that such a log confirms. The export says so. When this turns red, it
// has learnt them, and the good images are to be taken.
func TestConsumersPolicyControllerWithAnIdentity(t *testing.T) {
	sigstore := signtest.Start(t, signtest.Options{})
	p := newPlace(t)
	ci, other := p.keyless(sigstore, "release@acme.example"), p.keyless(sigstore, "release@acme.example.evil")
	trials := p.trials(ci, other, false)
	for name, row := range trials {
		row.taken = false
		trials[name] = row
	}
	try(t, trials, p.tester(p.policies(p.byIdentity(sigstore), "policy-controller", Options{})))
}

// What policy-controller does take of identities: cosign's older format, with a log of the first
// version.
func TestConsumersPolicyControllerWithAnIdentityAndOlderSignatures(t *testing.T) {
	sigstore := signtest.Start(t, signtest.Options{})
	p := newPlace(t)
	ci, other := p.older(sigstore, "release@acme.example"), p.older(sigstore, "release@acme.example.evil")
	try(t, p.trials(ci, other, true), p.tester(p.policies(p.byIdentity(sigstore), "policy-controller", Options{Legacy: true})))
}

func TestConsumersKyvernoWithAnIdentity(t *testing.T) {
	sigstore := signtest.Start(t, signtest.Options{})
	p := newPlace(t)
	ci, other := p.keyless(sigstore, "release@acme.example"), p.keyless(sigstore, "release@acme.example.evil")
	files := p.policies(p.byIdentity(sigstore), "kyverno", Options{})
	p.mirrored(files["ImageValidatingPolicy"], sigstore)
	try(t, p.trials(ci, other, false), p.kyverno(files))
}

// olderLayer is a layer below one of cosign's tags.
func olderLayer(o *signing.Older) signtest.Layer {
	return signtest.Layer{Type: types.MediaType(o.MediaType), Raw: o.Raw, Annotations: o.Annotations}
}

// mirrored names a TUF repository in a policy, as a cluster does that cannot reach the public one.
func (p *place) mirrored(path string, sigstore *signtest.Sigstore) {
	p.t.Helper()
	root, err := os.ReadFile(sigstore.Root)
	if err != nil {
		p.t.Fatal(err)
	}
	mirror := signtest.NewTUF(p.t)
	anchor := mirror.Put("trusted_root.json", root)
	raw, err := os.ReadFile(path)
	if err != nil {
		p.t.Fatal(err)
	}
	var doc map[string]any
	if err := yaml.Unmarshal(raw, &doc); err != nil {
		p.t.Fatal(err)
	}
	for _, a := range doc["spec"].(map[string]any)["attestors"].([]any) {
		a.(map[string]any)["cosign"].(map[string]any)["tuf"] = map[string]any{"mirror": mirror.URL, "root": map[string]any{"data": base64.StdEncoding.EncodeToString(anchor)}}
	}
	if raw, err = yaml.Marshal(doc); err != nil {
		p.t.Fatal(err)
	}
	p.write(filepath.Base(path), raw)
	valid(p.t, raw)
}
