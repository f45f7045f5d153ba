package main

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/forge-build/forge/signing"
	"github.com/forge-build/forge/signing/signtest"
	"github.com/forge-build/forge/signing/statement"
)

// child is an image of an index.
type child struct {
	image        v1.Image
	architecture string
	about        v1.Image // whose attestation manifest it says it is; nil: it does not
}

func indexOf(t *testing.T, repo name.Repository, tag string, children ...child) name.Digest {
	t.Helper()
	index := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	for _, c := range children {
		d := v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: c.architecture}}
		if c.architecture == "unknown" {
			d.Platform.OS = "unknown"
		}
		if c.about != nil {
			d.Annotations = map[string]string{"vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": digestIn(t, repo, c.about).DigestStr()}
		}
		index = mutate.AppendManifests(index, mutate.IndexAddendum{Add: c.image, Descriptor: d})
	}
	return signtest.Push(t, repo, tag, index)
}

func digestIn(t *testing.T, repo name.Repository, im v1.Image) name.Digest {
	t.Helper()
	d, err := im.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return repo.Digest(d.String())
}

// A7: whoever writes an index cannot hide an image among BuildKit's attestations: what a
// runtime would choose for a platform is judged, whatever is noted beside it.
func TestAnImageCalledAnAttestationIsJudged(t *testing.T) {
	w := newWorld(t)
	ci := w.key("ci")
	w.key("other")
	repo := signtest.Repository(t, w.host, "ml/train")
	good, evil := signtest.Image(t), signtest.Image(t)
	hidden := indexOf(t, repo, "1", child{evil, "amd64", good}, child{good, "arm64", nil})
	honest := indexOf(t, repo, "2", child{good, "amd64", nil}, child{evil, "unknown", good})
	for _, s := range allOf(t, digestIn(t, repo, good), time.Hour) {
		w.sign(ci, digestIn(t, repo, good), s)
	}
	policy := w.policy("p", instead("sbom {}", "level = \"platform\"\n  sbom {}"))
	expects(t, 0, honest.String(), "verify", "--policy", policy, honest.String())
	expects(t, 4, "cosign/sign/v1", "verify", "--policy", policy, hidden.String())

	each := w.policy("each", asItIs)
	key := w.dir + "/ci.pub"
	for _, index := range []name.Digest{hidden, honest} {
		w.sign(ci, index, statement.Signature())
	}
	expects(t, 4, "cosign/sign/v1", "verify", "--policy", each, hidden.String())
	expects(t, 4, "cosign/sign/v1", "verify", "--key", key, hidden.String())
	expects(t, 0, honest.String(), "verify", "--key", key, honest.String())
}

// A23: a denied image stays denied when it comes inside an index, and a denied index when only
// its images are signed.
func TestADeniedImageIsDeniedAtEveryLevel(t *testing.T) {
	w := newWorld(t)
	ci, security := w.key("ci"), w.key("security")
	w.key("other")
	repo := signtest.Repository(t, w.host, "ml/train")
	im := signtest.Image(t)
	index := indexOf(t, repo, "1", child{im, "amd64", nil})
	for _, at := range []name.Digest{index, digestIn(t, repo, im)} {
		for _, s := range allOf(t, at, time.Hour) {
			w.sign(ci, at, s)
		}
	}
	for _, level := range []string{"each", "index", "platform"} {
		policy := w.policy(level, func(s string) string {
			return strings.Replace(s, "sbom {}", fmt.Sprintf("level = %q\n  sbom {}", level), 1) + "\nsigner \"security\" { key = \"security.pub\" }\ndeny_list \"deny.hcl\" { signed_by = [\"security\"] }\n"
		})
		w.denies(security, "image", lockSum)
		expects(t, 0, index.String(), "verify", "--policy", policy, index.String())
		for _, d := range []name.Digest{index, digestIn(t, repo, im)} {
			w.denies(security, "image", strings.TrimPrefix(d.DigestStr(), "sha256:"))
			expects(t, 4, "denied: stolen", "verify", "--policy", policy, index.String())
		}
	}
}

// denies writes a deny list that holds one entry, an image or a key.
func (w *world) denies(by *signing.Signer, what, sum string) {
	w.t.Helper()
	day := func(n int) string { return time.Now().AddDate(0, 0, n).UTC().Format(time.DateOnly) }
	text := fmt.Sprintf("issued = %q\nuntil = %q\n%s \"sha256:%s\" { reason = \"stolen\" }\n", day(-1), day(7), what, sum)
	w.write("deny.hcl", text)
	raw, err := statement.Statement{Type: "https://forge.example/deny-list", Predicate: struct{}{}}.Write(statement.Image{Repository: "deny.hcl", Digest: sha256Of(text)})
	if err != nil {
		w.t.Fatal(err)
	}
	s, err := by.Sign(w.t.Context(), raw)
	if err != nil {
		w.t.Fatal(err)
	}
	w.write("deny.hcl.sigstore.json", string(s.Bundle))
}

func sha256Of(text string) string {
	h, _, _ := v1.SHA256(strings.NewReader(text)) // a text can be read
	return h.String()
}

// Thresholds: one key under two names is one signer.
func TestOneKeyUnderTwoNamesIsOneSigner(t *testing.T) {
	w := newWorld(t)
	ci, other := w.key("ci"), w.key("other")
	image := w.push("ml/train", "1")
	policy := w.write("p.hcl", fmt.Sprintf(`
signer "ci" { key = "ci.pub" }
signer "again" { key = "ci.pub" }
signer "other" { key = "other.pub" }
images "all" {
  repositories = ["%s/ml/*"]
  signed_by    = ["ci", "again", "other"]
  signatures   = 2
}
`, w.host))
	w.sign(ci, image, statement.Signature())
	w.sign(ci, image, statement.Signature())
	expects(t, 4, "1 signer(s), who may be again, ci", "verify", "--policy", policy, image.String())
	w.sign(other, image, statement.Signature())
	expects(t, 0, image.String(), "verify", "--policy", policy, image.String())
}

// Where a scan may be made anew, a fresh one by the scanner's own signer counts, and nobody
// else's does.
func TestAFreshScanByItsOwnSignerIsNotMadeAnew(t *testing.T) {
	w := newWorld(t)
	t.Setenv("FORGE_CACHE", t.TempDir())
	ci, scanner := w.key("ci"), w.key("other")
	image, elsewhere := w.push("ml/train", "1"), w.push("ml/elsewhere", "1")
	for _, at := range []name.Digest{image, elsewhere} {
		for _, s := range allOf(t, at, time.Hour) {
			by := ci
			if s.Type == statement.TypeVulns && at == image {
				by = scanner
			}
			w.sign(by, at, s)
		}
	}
	policy := w.policy("p", instead(`["ci", "other"]`, `["ci"]`, `limit   = "high"`, "limit = \"high\"\n rescan = true\n signed_by = [\"other\"]"))
	nothing := t.TempDir() // no database
	expects(t, 0, image.String(), "verify", "--policy", policy, "--db", nothing, image.String())
	expects(t, 1, "database", "verify", "--policy", policy, "--db", nothing, elsewhere.String())
}

// A6: of an index's images, each has its own SBOM; none is printed for another.
func TestAnAttestationIsOfTheImageThatIsNamed(t *testing.T) {
	w := newWorld(t)
	ci := w.key("ci")
	repo := signtest.Repository(t, w.host, "ml/train")
	a, b := signtest.Image(t), signtest.Image(t)
	index := indexOf(t, repo, "1", child{a, "amd64", nil}, child{b, "arm64", nil})
	for _, at := range []name.Digest{digestIn(t, repo, a), digestIn(t, repo, b)} {
		for _, s := range allOf(t, at, time.Hour) {
			w.sign(ci, at, s)
		}
	}
	policy := w.write("p.hcl", fmt.Sprintf("signer \"ci\" { key = \"ci.pub\" }\nimages \"all\" {\n repositories = [\"%s/ml/*\"]\n signed_by = [\"ci\"]\n level = \"platform\"\n sbom {}\n}\n", w.host))
	expects(t, 2, digestIn(t, repo, a).String(), "attestation", "--policy", policy, "--type", "spdx", index.String())
	one := expects(t, 0, "SPDX-2.3", "attestation", "--policy", policy, "--type", "spdx", digestIn(t, repo, b).String())
	if !strings.Contains(one.out, digestIn(t, repo, b).DigestStr()) {
		t.Errorf("another's SBOM: %s", one.out)
	}
	only := indexOf(t, repo, "2", child{a, "amd64", nil})
	if one := expects(t, 0, "SPDX-2.3", "attestation", "--policy", policy, "--type", "spdx", only.String()); !strings.Contains(one.out, digestIn(t, repo, a).DigestStr()) {
		t.Errorf("another's SBOM: %s", one.out)
	}
}
