package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/forge-build/forge/recipes/finding"
	"github.com/forge-build/forge/recipes/lock"
	"github.com/forge-build/forge/signing"
	"github.com/forge-build/forge/signing/signtest"
	"github.com/forge-build/forge/signing/statement"
)

// said is what a run of forge says, and its exit code.
type said struct {
	out, err string
	code     int
}

// runs runs forge in this process, as Main does.
func runs(t *testing.T, args ...string) said {
	t.Helper()
	var out, messages bytes.Buffer
	term := &terminal{out: &out, err: &messages, width: 200}
	root := newRoot(term)
	root.SetArgs(args)
	err := root.ExecuteContext(t.Context())
	code := exitOK
	if err != nil {
		term.failure(err)
		code = exitCode(err)
	}
	return said{out.String(), messages.String(), code}
}

// expects runs forge and compares the exit code and a part of what it says.
func expects(t *testing.T, code int, part string, args ...string) said {
	t.Helper()
	s := runs(t, args...)
	if s.code != code || !strings.Contains(s.out+s.err, part) {
		t.Errorf("forge %s: exit %d, want %d with %q:\n%s%s", strings.Join(args, " "), s.code, code, part, s.out, s.err)
	}
	if code != exitOK && s.out != "" && !strings.Contains(strings.Join(args, " "), "--all") {
		t.Errorf("forge %s failed and printed a result: %s", strings.Join(args, " "), s.out)
	}
	return s
}

// world is a registry, a folder for policies, and keys that sign.
type world struct {
	t    *testing.T
	host string
	dir  string
}

func newWorld(t *testing.T) *world {
	t.Setenv("XDG_CONFIG_HOME", t.TempDir())
	t.Setenv("DOCKER_CONFIG", t.TempDir())
	return &world{t, signtest.Registry(t, signtest.Kinds()[0]), t.TempDir()}
}

// key makes a key pair; the public half lies in the policies' folder under its name.
func (w *world) key(name string) *signing.Signer {
	w.t.Helper()
	private, public := signtest.Key(w.t)
	raw, err := os.ReadFile(public)
	if err != nil {
		w.t.Fatal(err)
	}
	w.write(name+".pub", string(raw))
	s, err := signing.NewSigner(w.t.Context(), signing.SignWith{Key: private})
	if err != nil {
		w.t.Fatal(err)
	}
	return s
}

func (w *world) write(name, text string) string {
	w.t.Helper()
	path := filepath.Join(w.dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		w.t.Fatal(err)
	}
	return path
}

// sign signs a statement about an image and lays it beside.
func (w *world) sign(s *signing.Signer, image name.Digest, st statement.Statement) {
	w.t.Helper()
	raw, err := st.Write(statement.Image{Repository: image.Context().Name(), Digest: image.DigestStr()})
	if err != nil {
		w.t.Fatal(err)
	}
	signed, err := s.Sign(w.t.Context(), raw)
	if err != nil {
		w.t.Fatal(err)
	}
	signtest.Attach(w.t, image, signed.Bundle)
}

func (w *world) push(path, tag string) name.Digest {
	w.t.Helper()
	return signtest.Push(w.t, signtest.Repository(w.t, w.host, path), tag, signtest.Image(w.t))
}

const (
	recipeSum = "1111111111111111111111111111111111111111111111111111111111111111"
	lockSum   = "2222222222222222222222222222222222222222222222222222222222222222"
)

// allOf are the statements that forge makes of an image, its scan being of an age.
func allOf(t *testing.T, image name.Digest, age time.Duration, findings ...finding.Judged) []statement.Statement {
	t.Helper()
	at := time.Now().Add(-age).UTC()
	d := &finding.Document{Version: finding.Format, Packages: 1, Judged: at, Database: &finding.Database{Built: at.Add(-time.Hour), Schema: "v6", Digest: lockSum}}
	d.Findings = findings
	scan, err := statement.Vulns(statement.Scanner{URI: "pkg:golang/github.com/anchore/grype@v0.121.0", Version: "v0.121.0"}, d)
	if err != nil {
		t.Fatal(err)
	}
	spdx := fmt.Sprintf(`{"spdxVersion":"SPDX-2.3","packages":[{"SPDXID":"SPDXRef-i","versionInfo":%q},{"SPDXID":"SPDXRef-t","name":"torch","externalRefs":[{"referenceType":"purl","referenceLocator":"pkg:pypi/torch@2.9.1"}]}],"documentDescribes":["SPDXRef-i"]}`, image.DigestStr())
	l := &lock.Image{Platform: "linux/amd64", Derived: lock.Derived{CUDA: "12.8", Driver: "525.60.13", SM: []string{"8.0"}}, Debian: &lock.Debian{Archives: []lock.Archive{{Name: "debian", Suite: "trixie", InRelease: recipeSum}}}}
	recipe := statement.File{Name: "recipe.hcl", SHA256: recipeSum}
	return []statement.Statement{statement.Signature(), statement.SPDX([]byte(spdx)), scan, statement.Tests(recipe, []string{"imports"}, nil), statement.Facts(l),
		statement.Provenance(statement.Build{Image: "train", Recipe: recipe, Lock: statement.File{Name: "recipe.lock.json", SHA256: lockSum}, Locked: l, Base: "debian trixie", Version: "v1.0.0"})}
}

// policy is a trust policy that asks for everything.
func (w *world) policy(name string, change func(string) string) string {
	text := fmt.Sprintf(`
signer "ci" { key = "ci.pub" }
signer "other" { key = "other.pub" }
images "all" {
  repositories = ["%[1]s/ml/*"]
  mirrors      = { "%[1]s/mirror/*" = "%[1]s/ml/*" }
  signed_by    = ["ci", "other"]
  bases        = ["debian trixie"]
  driver       = ">= 535.1"
  minimum_versions = { torch = "2.9" }
  sbom {}
  provenance {
    builders = ["https://github.com/forge-build/forge@v1.0.0/local"]
    recipes  = ["sha256:%[2]s"]
    locks    = ["sha256:%[3]s"]
  }
  scan {
    max_age = "7 days"
    limit   = "high"
  }
  tests {}
}
`, w.host, recipeSum, lockSum)
	return w.write(name+".hcl", change(text))
}

func asItIs(s string) string { return s }

func instead(pairs ...string) func(string) string { return strings.NewReplacer(pairs...).Replace }

func TestATrustPolicyIsWhatAnImageMustFulfil(t *testing.T) {
	w := newWorld(t)
	ci, other := w.key("ci"), w.key("other")
	image := w.push("ml/train", "1")
	for _, s := range allOf(t, image, 24*time.Hour) {
		w.sign(ci, image, s)
	}
	tagged := w.host + "/ml/train:1"
	s := expects(t, 0, image.String(), "verify", "--policy", w.policy("good", asItIs), tagged)
	if s.out != image.String()+"\n" {
		t.Errorf("standard output is %q", s.out)
	}
	expects(t, 0, `"rule": "all"`, "verify", "--json", "--policy", w.policy("good", asItIs), tagged)

	high := finding.Judged{Finding: finding.Finding{ID: "CVE-2099-1", Severity: finding.High}}
	found := w.push("ml/found", "1")
	for _, s := range allOf(t, found, time.Hour, high) {
		w.sign(ci, found, s)
	}
	stale := w.push("ml/stale", "1")
	for _, s := range allOf(t, stale, 8*24*time.Hour) {
		w.sign(ci, stale, s)
	}
	bare := w.push("ml/bare", "1")
	w.sign(ci, bare, statement.Signature())
	unsigned := w.push("ml/unsigned", "1")
	onlySBOM := w.push("ml/sbom", "1")
	w.sign(ci, onlySBOM, allOf(t, onlySBOM, 0)[1])
	foreign := w.push("ml/foreign", "1")
	for _, s := range allOf(t, foreign, time.Hour) {
		w.sign(w.key("stranger"), foreign, s)
	}
	for name, row := range map[string]struct {
		ref, part string
		change    func(string) string
	}{
		"another recipe":           {tagged, "recipe     expected sha256:3333", instead(recipeSum, strings.Repeat("3", 64))},
		"another lock":             {tagged, "lock       expected", instead(lockSum, strings.Repeat("3", 64))},
		"another builder":          {tagged, "builder    expected", instead("forge@v1.0.0/local", "forge@v2.0.0/local")},
		"another base":             {tagged, "base       expected debian bookworm, found debian trixie", instead("debian trixie", "debian bookworm")},
		"an older driver":          {tagged, "needs driver 525.60.13 or newer", instead("535.1", "470.1")},
		"a newer torch":            {tagged, "expected torch 2.10 or newer, found torch 2.9.1", instead(`"2.9"`, `"2.10"`)},
		"two signers":              {tagged, "signatures by 2 of ci, other, found ci", instead(`sbom {}`, "signatures = 2\n  sbom {}")},
		"an age that nobody knows": {tagged, "trust root", instead(`sbom {}`, "max_age = \"1 days\"\n  sbom {}")},
		"no rule":                  {w.host + "/elsewhere/train:1", "", asItIs},
		"A27 a finding":            {found.String(), "CVE-2099-1", asItIs},
		"A27 a stale scan":         {stale.String(), "8 days ago", asItIs},
		"only a signature":         {bare.String(), "https://spdx.dev/Document", asItIs},
		"nothing":                  {unsigned.String(), "nothing", asItIs},
		"A3 only an SBOM":          {onlySBOM.String(), "https://sigstore.dev/cosign/sign/v1", asItIs},
		"another key":              {foreign.String(), "signature", asItIs},
	} {
		t.Run(name, func(t *testing.T) {
			code := exitUnverified
			switch name {
			case "no rule":
				code = exitFailure // the registry does not have it
			case "an age that nobody knows":
				code = exitRecipe // without a root no time can be judged
			}
			expects(t, code, row.part, "verify", "--policy", w.policy("changed", row.change), row.ref)
		})
	}
	w.sign(other, image, statement.Signature())
	expects(t, 0, image.String(), "verify", "--policy", w.policy("two", instead(`sbom {}`, "signatures = 2\n  sbom {}")), tagged)
	expects(t, 2, "--key would say it again", "verify", "--policy", w.policy("good", asItIs), "--key", filepath.Join(w.dir, "ci.pub"), tagged)
}

// stale signs all that is said of an image: that it has torch of a version, and a scan of last month.
func (w *world) stale(by *signing.Signer, image name.Digest, version string) {
	w.t.Helper()
	for _, s := range allOf(w.t, image, 30*24*time.Hour) {
		if s.Type == statement.TypeSPDX {
			raw, err := json.Marshal(map[string]any{"bomFormat": "CycloneDX", "specVersion": "1.6", "version": 1, "metadata": map[string]any{"component": map[string]any{"type": "container", "name": "x", "version": image.DigestStr()}},
				"components": []any{map[string]any{"type": "operating-system", "name": "debian", "version": "13"}, map[string]any{"type": "library", "name": "torch", "version": version, "purl": "pkg:pypi/torch@" + version}}})
			if err != nil {
				w.t.Fatal(err)
			}
			s = statement.CycloneDX(raw)
		}
		w.sign(by, image, s)
	}
}

// A scan that is too old is made anew, from the signed SBOM, where the rule says so.
func TestAStaleScanIsMadeAnew(t *testing.T) {
	w := newWorld(t)
	ci := w.key("ci")
	w.key("other")
	t.Setenv("FORGE_CACHE", t.TempDir())
	db := vulnerabilityDB(t)
	stale := func(path string, version string) name.Digest {
		image := w.push(path, "1")
		w.stale(ci, image, version)
		return image
	}
	policy := w.policy("p", instead(`limit   = "high"`, "limit = \"high\"\n rescan = true", `"2.9"`, `"2.0"`))
	good, bad := stale("ml/good", "2.99.0"), stale("ml/bad", "2.5.1")
	expects(t, 0, good.String(), "verify", "--policy", policy, "--db", db, good.String())
	expects(t, 4, "GHSA-53q9-r3pm-6pq6", "verify", "--policy", policy, "--db", db, bad.String())
	s := expects(t, 4, "", "verify", "--policy", policy, "--db", db, "--all", w.write("l.txt", good.String()+"\n"+bad.String()+"\n"))
	if s.out != good.String()+"\n" {
		t.Errorf("printed %q", s.out)
	}
	expects(t, 1, "database", "verify", "--policy", policy, "--db", t.TempDir(), good.String()) // no database is no clean scan
	expects(t, 4, "30 days ago", "verify", "--policy", w.policy("q", instead(`"2.9"`, `"2.0"`)), "--db", db, good.String())
}

// A52: what those whom the rule names have signed about a finding counts, in a scan that is made
// anew and in one that was signed; nobody else's word does. VDB-02
func TestVEXOfThoseWhomTheRuleNamesCounts(t *testing.T) {
	w := newWorld(t)
	ci, security := w.key("ci"), w.key("security")
	w.key("other")
	t.Setenv("FORGE_CACHE", t.TempDir())
	db := vulnerabilityDB(t)
	torch := openVEX("pkg:pypi/torch@2.9.1", "not_affected")
	image := func(path string, say func(name.Digest)) name.Digest {
		d := w.push(path, "1")
		w.stale(ci, d, "2.9.1")
		say(d)
		return d
	}
	named := strings.NewReplacer(`"2.9"`, `"2.0"`, `limit   = "high"`, "limit = \"high\"\n rescan = true\n vex_signed_by = [\"security\"]", `signer "other"`, "signer \"security\" { key = \"security.pub\" }\nsigner \"other\"")
	policy := w.policy("named", named.Replace)
	unnamed := w.policy("unnamed", instead(`limit   = "high"`, "limit = \"high\"\n rescan = true", `"2.9"`, `"2.0"`))
	platform := w.policy("platform", func(s string) string {
		return strings.Replace(named.Replace(s), "tests {}", "tests {}\n level = \"platform\"", 1)
	})

	cleared := image("ml/cleared", func(d name.Digest) { w.sign(security, d, torch) })
	fresh := w.push("ml/fresh", "1")
	for _, s := range allOf(t, fresh, time.Hour, finding.Judged{Finding: finding.Finding{ID: "GHSA-63cw-57p8-fm3p", Aliases: []string{"CVE-2026-24747"}, Severity: finding.High, Package: "torch", PURL: "pkg:pypi/torch@2.9.1"}}) {
		w.sign(ci, fresh, s)
	}
	w.sign(security, fresh, torch)
	repo := signtest.Repository(t, w.host, "ml/two")
	a, b := signtest.Image(t), signtest.Image(t)
	index := indexOf(t, repo, "1", child{a, "amd64", nil}, child{b, "arm64", nil})
	w.sign(ci, index, statement.Signature())
	for _, at := range []name.Digest{digestIn(t, repo, a), digestIn(t, repo, b)} {
		w.stale(ci, at, "2.9.1")
	}
	w.sign(security, index, openVEX("pkg:oci/two@"+strings.Replace(index.DigestStr(), ":", "%3A", 1), "not_affected"))
	for what, row := range map[string]struct {
		policy string
		image  name.Digest
		code   int
		says   string
	}{
		"by whom the rule names":        {policy, cleared, 0, "1 cleared by VEX"},
		"about a finding of the signed": {policy, fresh, 0, "1 cleared by VEX"},
		"about the index":               {policy, index, 0, "1 cleared by VEX"},
		"about the index, unsigned":     {platform, index, 0, "1 cleared by VEX"},
		"about the index, of its image": {policy, digestIn(t, repo, a), 4, "1 high; GHSA-63cw"},
		"the rule names nobody":         {unnamed, cleared, 4, "1 high; GHSA-63cw"},
		"by the image's own signer":     {policy, image("ml/own", func(d name.Digest) { w.sign(ci, d, torch) }), 4, "1 high; GHSA-63cw"},
		"by a stranger":                 {policy, image("ml/stranger", func(d name.Digest) { w.sign(w.key("stranger"), d, torch) }), 4, "1 high; GHSA-63cw"},
		"about another package":         {policy, image("ml/numpy", func(d name.Digest) { w.sign(security, d, openVEX("pkg:pypi/numpy", "not_affected")) }), 4, "1 high; GHSA-63cw"},
		"who says that it is affected": {policy, image("ml/affected", func(d name.Digest) {
			w.sign(security, d, torch)
			w.sign(security, d, openVEX("pkg:pypi/torch", "affected"))
		}), 4, "1 high; GHSA-63cw"},
		"about another image": {policy, image("ml/another", func(d name.Digest) { w.sign(security, d, openVEX("pkg:oci/train@sha256%3A"+lockSum, "not_affected")) }), 4, "statement 1: it is about another image"},
		"that is none":        {policy, image("ml/none", func(d name.Digest) { w.sign(security, d, statement.OpenVEX([]byte(`{"author": "x"}`))) }), 4, "expected OpenVEX that can be relied on"},
	} {
		t.Run(what, func(t *testing.T) {
			args := []string{"verify", "--policy", row.policy, "--db", db, row.image.String()}
			if row.code == 0 {
				args = append(args, "--json")
			}
			expects(t, row.code, row.says, args...)
		})
	}
	// One who may say so no longer does not.
	key, err := os.ReadFile(filepath.Join(w.dir, "security.pub"))
	if err != nil {
		t.Fatal(err)
	}
	w.denies(ci, "key", strings.TrimPrefix(fingerprint(key), "sha256:"))
	denied := w.policy("denied", func(s string) string { return named.Replace(s) + "deny_list \"deny.hcl\" { signed_by = [\"ci\"] }\n" })
	expects(t, 4, "1 high; GHSA-63cw", "verify", "--policy", denied, "--db", db, cleared.String())
}

// A2: the same image and statements elsewhere count only where the policy says that it is a mirror.
func TestAMirrorIsOneOnlyIfThePolicySaysSo(t *testing.T) {
	w := newWorld(t)
	ci := w.key("ci")
	w.key("other")
	img := signtest.Image(t)
	image := signtest.Push(t, signtest.Repository(t, w.host, "ml/train"), "1", img)
	mirror := signtest.Push(t, signtest.Repository(t, w.host, "mirror/train"), "1", img)
	copied := signtest.Push(t, signtest.Repository(t, w.host, "ml/copied"), "1", img)
	for _, st := range allOf(t, image, time.Hour) {
		raw, err := st.Write(statement.Image{Repository: image.Context().Name(), Digest: image.DigestStr()})
		if err != nil {
			t.Fatal(err)
		}
		signed, err := ci.Sign(t.Context(), raw)
		if err != nil {
			t.Fatal(err)
		}
		for _, place := range []name.Digest{image, mirror, copied} {
			signtest.Attach(t, place, signed.Bundle)
		}
	}
	policy := w.policy("p", asItIs)
	expects(t, 0, image.String(), "verify", "--policy", policy, image.String())
	expects(t, 0, mirror.String(), "verify", "--policy", policy, mirror.String())
	expects(t, 4, "repository", "verify", "--policy", policy, copied.String())
	// A flag cannot make a copy of it.
	expects(t, 2, "the policy's mirrors say", "verify", "--policy", policy, "--repository", image.Context().Name(), copied.String())
	expects(t, 2, "the policy's mirrors say", "verify", "--policy", policy, "--repository", image.Context().Name(), "--all", w.write("list.txt", copied.String()))
	expects(t, 0, copied.String(), "verify", "--key", filepath.Join(w.dir, "ci.pub"), "--repository", image.Context().Name(), copied.String())
}

func TestTheDenyListIsSignedDatedAndHeard(t *testing.T) {
	w := newWorld(t)
	ci, security := w.key("ci"), w.key("security")
	w.key("other")
	image := w.push("ml/train", "1")
	for _, s := range allOf(t, image, time.Hour) {
		w.sign(ci, image, s)
	}
	policy := w.policy("p", func(s string) string {
		return s + "\nsigner \"security\" { key = \"security.pub\" }\ndeny_list \"deny.hcl\" { signed_by = [\"security\"] }\n"
	})
	key, err := os.ReadFile(filepath.Join(w.dir, "ci.pub"))
	if err != nil {
		t.Fatal(err)
	}
	day := func(n int) string { return time.Now().AddDate(0, 0, n).UTC().Format(time.DateOnly) }
	list := func(from, until int, entries string) string {
		return fmt.Sprintf("issued = %q\nuntil = %q\n%s\n", day(from), day(until), entries)
	}
	signed := func(by *signing.Signer, text string) {
		t.Helper()
		sum := sha256.Sum256([]byte(text))
		raw, err := statement.Statement{Type: "https://forge.example/deny-list", Predicate: struct{}{}}.Write(statement.Image{Repository: "deny.hcl", Digest: fmt.Sprintf("sha256:%x", sum)})
		if err != nil {
			t.Fatal(err)
		}
		s, err := by.Sign(t.Context(), raw)
		if err != nil {
			t.Fatal(err)
		}
		w.write("deny.hcl", text)
		w.write("deny.hcl.sigstore.json", string(s.Bundle))
	}
	for name, row := range map[string]struct {
		by   *signing.Signer
		text string
		code int
		part string
	}{
		"nothing denied":     {security, list(-1, 7, ""), 0, image.String()},
		"the image":          {security, list(-1, 7, fmt.Sprintf("image %q { reason = \"it held a password\" }", image.DigestStr())), 4, "denied: it held a password"},
		"another image":      {security, list(-1, 7, fmt.Sprintf("image \"sha256:%s\" { reason = \"x\" }", lockSum)), 0, ""},
		"the key":            {security, list(-1, 7, fmt.Sprintf("key %q { reason = \"stolen\" }", fingerprint(key))), 4, "is denied: stolen"},
		"the key, later on":  {security, list(-1, 7, fmt.Sprintf("key %q {\n reason = \"stolen\"\n since = %q\n}", fingerprint(key), day(1))), 4, "is denied: stolen"}, // no time is proved
		"A23 an old list":    {security, list(-9, -2, ""), 4, "a list that holds now"},
		"a list of tomorrow": {security, list(2, 7, ""), 4, "a list that holds now"},
		"by somebody else":   {ci, list(-1, 7, ""), 4, "signature"},
	} {
		t.Run(name, func(t *testing.T) {
			signed(row.by, row.text)
			expects(t, row.code, row.part, "verify", "--policy", policy, image.String())
		})
	}
	signed(security, list(-1, 7, ""))
	w.write("deny.hcl", list(-1, 8, ""))
	expects(t, 4, "subject", "verify", "--policy", policy, image.String())
}

// A6, A7: what an index and its images must have follows the rule's level.
func TestLevelsSayWhatStatementsAreAbout(t *testing.T) {
	w := newWorld(t)
	ci := w.key("ci")
	w.key("other")
	repo := signtest.Repository(t, w.host, "ml/train")
	a, b := signtest.Image(t), signtest.Image(t)
	list := func(images ...v1.Image) v1.ImageIndex {
		index := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
		for i, im := range images {
			index = mutate.AppendManifests(index, mutate.IndexAddendum{Add: im, Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: []string{"amd64", "arm64"}[i%2]}}})
		}
		return index
	}
	index := signtest.Push(t, repo, "1", list(a, b))
	digest := func(im v1.Image) name.Digest {
		d, err := im.Digest()
		if err != nil {
			t.Fatal(err)
		}
		return repo.Digest(d.String())
	}
	level := func(l string) string { return w.policy(l, instead("sbom {}", "level = \""+l+"\"\n  sbom {}")) }
	for _, s := range allOf(t, digest(a), time.Hour) {
		w.sign(ci, digest(a), s)
	}
	expects(t, 4, "cosign/sign/v1", "verify", "--policy", level("each"), index.String())
	expects(t, 4, "cosign/sign/v1", "verify", "--policy", level("index"), index.String())
	expects(t, 4, "cosign/sign/v1", "verify", "--policy", level("platform"), index.String()) // b has nothing
	expects(t, 0, digest(a).String(), "verify", "--policy", level("platform"), digest(a).String())
	for _, s := range allOf(t, digest(b), time.Hour) {
		w.sign(ci, digest(b), s)
	}
	expects(t, 0, index.String(), "verify", "--policy", level("platform"), index.String())
	expects(t, 4, "cosign/sign/v1", "verify", "--policy", level("each"), index.String()) // the index itself
	w.sign(ci, index, statement.Signature())
	expects(t, 0, index.String(), "verify", "--policy", level("each"), index.String())
	expects(t, 4, "spdx.dev", "verify", "--policy", level("index"), index.String())
	swapped := signtest.Push(t, repo, "2", list(a, signtest.Image(t)))
	w.sign(ci, swapped, statement.Signature())
	expects(t, 4, "cosign/sign/v1", "verify", "--policy", level("each"), swapped.String())
}

func TestAListIsVerifiedAtOnce(t *testing.T) {
	w := newWorld(t)
	inner := signtest.Handler(signtest.Kinds()[0])
	var mu sync.Mutex
	now, most := 0, 0
	var second chan struct{} // where one is made, requests wait until two are there
	w.host = signtest.Serve(t, http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		mu.Lock()
		now++
		if most = max(most, now); second != nil && now == 2 {
			close(second)
			second = nil
		}
		wait := second
		mu.Unlock()
		if wait != nil {
			select {
			case <-wait:
			case <-time.After(10 * time.Second):
			}
		}
		inner.ServeHTTP(rw, r)
		mu.Lock()
		now--
		mu.Unlock()
	}))
	ci := w.key("ci")
	w.key("other")
	var good []string
	list := "# what runs\n"
	for i := range 12 {
		image := w.push(fmt.Sprintf("ml/i%02d", i), "1")
		for _, s := range allOf(t, image, time.Hour) {
			w.sign(ci, image, s)
		}
		good = append(good, image.String())
		list += fmt.Sprintf("%s/ml/i%02d:1\n", w.host, i)
	}
	policy := w.policy("p", asItIs)
	s := expects(t, 0, "", "verify", "--policy", policy, "--all", w.write("good.txt", list), "--parallel", "4")
	if s.out != strings.Join(good, "\n")+"\n" {
		t.Errorf("printed %q", s.out)
	}
	mu.Lock()
	most, second = 0, make(chan struct{})
	mu.Unlock()
	expects(t, 0, "", "verify", "--policy", policy, "--all", w.write("good.txt", list), "--parallel", "12")
	if most > 8 || most < 2 { // one transport for all: the registry sees no more sockets
		t.Errorf("%d requests at once", most)
	}
	bad := w.push("ml/bad", "1")
	s = expects(t, 4, "ml/bad:1 (line 14)", "verify", "--policy", policy, "--all", w.write("bad.txt", list+w.host+"/ml/bad:1\n"))
	if strings.Count(s.out, "\n") != 12 || strings.Contains(s.out, bad.String()) {
		t.Errorf("printed %q", s.out)
	}
	if want := "\nforge: 1 of 13 images are not verified\n"; !strings.HasSuffix(s.err, want) {
		t.Errorf("it ends with %q, want %q", s.err, want)
	}
	s = expects(t, 4, "", "verify", "--policy", policy, "--all", w.write("mixed.txt", w.host+"/ml/gone:1\n"+w.host+"/ml/bad:1\n"+w.host+"/ml/i00:1\n"))
	if want := "\nforge: 1 of 3 images are not verified, 1 could not be read\n"; !strings.HasSuffix(s.err, want) || s.out != good[0]+"\n" {
		t.Errorf("it ends with %q, want %q; printed %q", s.err, want, s.out)
	}
	expects(t, 1, "1 of 1 images could not be read", "verify", "--policy", policy, "--all", w.write("gone.txt", w.host+"/ml/gone:1\n"))
	manifest := fmt.Sprintf("apiVersion: v1\nkind: Pod\nmetadata: {name: train}\nspec:\n  containers:\n    - name: a\n      image: %s/ml/i00:1\n    - name: b\n      image: %s/ml/bad:1\n", w.host, w.host)
	s = expects(t, 4, "Pod train, line 9", "verify", "--json", "--policy", policy, "--all", w.write("pod.yaml", manifest))
	var doc struct {
		Verified, NotVerified int
		Images                []struct{ ExitCode int }
	}
	if err := json.Unmarshal([]byte(s.out), &doc); err != nil || doc.Verified != 1 || doc.NotVerified != 1 || doc.Images[1].ExitCode != 4 {
		t.Errorf("%v in %s", err, s.out)
	}
	expects(t, 2, "names no image", "verify", "--policy", policy, "--all", w.write("none.txt", "# nothing\n"))
	expects(t, 2, "unexpected argument", "verify", "--policy", policy, "--all", w.write("good.txt", list), good[0])
	expects(t, 0, good[0], "verify", "--key", filepath.Join(w.dir, "ci.pub"), "--all", w.write("good.txt", list))
}

func TestAnAttestationIsPrintedWhenItIsVerified(t *testing.T) {
	w := newWorld(t)
	ci := w.key("ci")
	w.key("other")
	image := w.push("ml/train", "1")
	statements := allOf(t, image, time.Hour)
	for _, s := range statements {
		w.sign(ci, image, s)
	}
	key := filepath.Join(w.dir, "ci.pub")
	s := expects(t, 0, "SPDX-2.3", "attestation", "--key", key, "--type", "spdx", image.String())
	var doc map[string]any
	if err := json.Unmarshal([]byte(s.out), &doc); err != nil || doc["spdxVersion"] != "SPDX-2.3" {
		t.Errorf("%v: %s", err, s.out)
	}
	s = expects(t, 0, "", "attestation", "--policy", w.policy("p", asItIs), "--type", "provenance", "--statement", image.String())
	if err := json.Unmarshal([]byte(s.out), &doc); err != nil || doc["predicateType"] != statement.TypeProvenance {
		t.Errorf("%v: %s", err, s.out)
	}
	expects(t, 4, "openvex", "attestation", "--key", key, "--type", "vex", image.String())
	expects(t, 4, "", "attestation", "--key", filepath.Join(w.dir, "other.pub"), "--type", "spdx", image.String())
	expects(t, 2, "is no kind of statement", "attestation", "--key", key, "--type", "spdxx", image.String())
}

func TestABundleIsJudgedByItself(t *testing.T) {
	w := newWorld(t)
	ci := w.key("ci")
	w.key("other")
	file := w.write("file.txt", "hello\n")
	sum := fmt.Sprintf("sha256:%x", sha256.Sum256([]byte("hello\n")))
	st := statement.SPDX([]byte(`{"spdxVersion":"SPDX-2.3"}`))
	raw, err := st.Write(statement.Image{Repository: "file.txt", Digest: sum})
	if err != nil {
		t.Fatal(err)
	}
	signed, err := ci.Sign(t.Context(), raw)
	if err != nil {
		t.Fatal(err)
	}
	bundle, key := w.write("b.json", string(signed.Bundle)), filepath.Join(w.dir, "ci.pub")
	s := expects(t, 0, sum, "verify-bundle", "--bundle", bundle, "--key", key, file)
	if s.out != sum+"\n" {
		t.Errorf("printed %q", s.out)
	}
	expects(t, 0, sum, "verify-bundle", "--bundle", bundle, "--key", key, "--type", "spdx", sum)
	other := w.write("other.txt", "hello")
	for name, row := range map[string]struct {
		code int
		part string
		args []string
	}{
		"another file":       {4, "subject", []string{"--bundle", bundle, "--key", key, other}},
		"another digest":     {4, "subject", []string{"--bundle", bundle, "--key", key, "sha256:" + lockSum}},
		"another key":        {4, "signature", []string{"--bundle", bundle, "--key", filepath.Join(w.dir, "other.pub"), file}},
		"another type":       {4, "expected https://cyclonedx.org/bom", []string{"--bundle", bundle, "--key", key, "--type", "cyclonedx", file}},
		"nobody named":       {2, "nobody is named", []string{"--bundle", bundle, file}},
		"an identity":        {2, "trust root", []string{"--bundle", bundle, "--identity", "a@b.example", "--issuer", "https://i.example", file}},
		"no bundle":          {2, "--bundle is missing", []string{"--key", key, file}},
		"no file":            {2, "reading", []string{"--bundle", bundle, "--key", key, filepath.Join(w.dir, "absent")}},
		"no bundle there":    {2, "reading bundle", []string{"--bundle", filepath.Join(w.dir, "absent"), "--key", key, file}},
		"a digest in sha512": {2, "digest", []string{"--bundle", bundle, "--key", key, "sha256:AB"}},
		"junk":               {4, "format", []string{"--bundle", w.write("junk.json", "{}"), "--key", key, file}},
		"no JSON":            {4, "format", []string{"--bundle", w.write("text.json", "hello"), "--key", key, file}},
		"a bundle twice":     {4, "after the document's end", []string{"--bundle", w.write("twice.json", string(signed.Bundle)+string(signed.Bundle)), "--key", key, file}},
		"a changed payload":  {4, "", []string{"--bundle", w.write("changed.json", strings.Replace(string(signed.Bundle), `"sig":"`, `"sig":"A`, 1)), "--key", key, file}},
	} {
		t.Run(name, func(t *testing.T) { expects(t, row.code, row.part, append([]string{"verify-bundle"}, row.args...)...) })
	}
}

func TestTheKeptRootIsAFilesOrNobodys(t *testing.T) {
	w := newWorld(t)
	kept := filepath.Join(os.Getenv("XDG_CONFIG_HOME"), "forge", "trust")
	expects(t, 2, "no trust root is kept yet", "trust", "show")
	expects(t, 2, "no trust root is kept yet", "trust", "update")
	root, err := os.ReadFile("../../signing/admission/testdata/root.json")
	if err != nil {
		t.Fatal(err)
	}
	file := w.write("root.json", string(root))
	expects(t, 0, "certificate authority CN=private root,O=acme.example https://fulcio.acme.example, from 2026-01-01", "trust", "init", "--file", file)
	expects(t, 0, "from file "+file, "trust", "show")
	expects(t, 0, `"kind": "transparency log"`, "trust", "show", "--json")
	expects(t, 2, "is kept in", "trust", "init", "--file", file)
	expects(t, 0, "as it was", "trust", "update")
	w.write("root.json", strings.Replace(string(root), "https://rekor.acme.example", "https://rekor2.acme.example", 1))
	expects(t, 0, "the trust root changed", "trust", "update")
	expects(t, 0, "rekor2.acme.example", "trust", "show")
	w.write("root.json", "{}")
	expects(t, 2, "trust root", "trust", "update")
	expects(t, 0, "rekor2.acme.example", "trust", "show") // what was kept stays
	expects(t, 2, "trust root", "trust", "init", "--replace", "--file", file)
	expects(t, 0, "rekor.acme.example", "trust", "show", "../../signing/admission/testdata/root.json")
	expects(t, 2, "give --file, or --mirror with --root", "trust", "init", "--replace", "--mirror", "https://tuf.example")
	if err := errors.Join(os.Chmod(kept, 0o777), os.WriteFile(file, root, 0o600)); err != nil {
		t.Fatal(err)
	}
	expects(t, 1, "can be written by others", "trust", "update")
	if err := os.WriteFile(filepath.Join(kept, rootFile), []byte("{\"mediaType\":"), 0o600); err != nil { // A38
		t.Fatal(err)
	}
	expects(t, 2, "trust root", "trust", "show")
	// A root that is well formed and not what was kept.
	if err := errors.Join(os.Chmod(kept, 0o700), os.WriteFile(filepath.Join(kept, rootFile), bytes.Replace(root, []byte("https://rekor.acme.example"), []byte("https://rekor9.acme.example"), 1), 0o600)); err != nil {
		t.Fatal(err)
	}
	expects(t, 0, "NOT AS IT WAS KEPT: forge kept sha256:", "trust", "show")
	expects(t, 0, `"edited": true`, "trust", "show", "--json")
	expects(t, 0, "rekor.acme.example", "trust", "update")
	if s := runs(t, "trust", "show"); s.code != 0 || strings.Contains(s.out, "NOT AS") {
		t.Errorf("after an update: %+v", s)
	}
}

// A38: a root that comes from a TUF repository is renewed from there, and never by an older one.
func TestTheKeptRootIsRenewedFromItsRepository(t *testing.T) {
	w := newWorld(t)
	root, err := os.ReadFile("../../signing/admission/testdata/root.json")
	if err != nil {
		t.Fatal(err)
	}
	r := signtest.NewTUF(t)
	put := func(log string) []byte {
		return r.Put("trusted_root.json", bytes.ReplaceAll(root, []byte("https://rekor.acme.example"), []byte("https://"+log+".acme.example")))
	}
	anchor := w.write("tuf-root.json", string(put("first")))
	expects(t, 0, "first.acme.example", "trust", "init", "--mirror", r.URL, "--root", anchor)
	expects(t, 0, r.URL, "trust", "show")
	expects(t, 0, "as it was", "trust", "update")
	old := maps.Clone(r.Files)
	put("second")
	expects(t, 0, "the trust root changed", "trust", "update")
	r.Mu.Lock()
	r.Files = old
	r.Mu.Unlock()
	expects(t, 1, "trusted root", "trust", "update")
	expects(t, 0, "second.acme.example", "trust", "show")
}

// An image is from this recipe and lock, or it is not.
func TestARecipeSaysWhatItsImageMustBe(t *testing.T) {
	w := newWorld(t)
	ci := w.key("ci")
	w.key("other")
	image := w.push("ml/train", "1")
	text := fmt.Sprintf("image \"train\" {\n  repository = \"%s/ml/train\"\n  sign {\n    key = \"ci.key\"\n    public_key = \"ci.pub\"\n  }\n  test \"imports\" { command = [\"python\"] }\n}\n", w.host)
	recipe := w.write("recipe.hcl", text)
	w.write("recipe.lock.json", "{}")
	sum := func(s string) string { return fmt.Sprintf("%x", sha256.Sum256([]byte(s))) }
	for _, s := range allOf(t, image, time.Hour) {
		if s.Type == statement.TypeProvenance {
			s = statement.Provenance(statement.Build{Image: "train", Recipe: statement.File{Name: "recipe.hcl", SHA256: sum(text)}, Lock: statement.File{Name: "recipe.lock.json", SHA256: sum("{}")},
				Locked: &lock.Image{Platform: "linux/amd64"}, Base: "debian trixie", Version: "v1.0.0"})
		}
		w.sign(ci, image, s)
	}
	expects(t, 0, image.String(), "verify", "--recipe", recipe, image.String())
	expects(t, 0, image.String(), "verify", "--recipe", recipe, "--image", "train", image.String())
	expects(t, 2, "train", "verify", "--recipe", recipe, "--image", "other", image.String())
	if s := expects(t, 0, "--recipe-image is --image now", "verify", "--recipe", recipe, "--recipe-image", "train", image.String()); s.out != image.String()+"\n" {
		t.Errorf("printed %q", s.out)
	}
	expects(t, 0, "SPDX-2.3", "attestation", "--recipe", recipe, "--type", "spdx", image.String())
	w.write("recipe.lock.json", "{ }")
	expects(t, 4, "lock       expected sha256:"+sum("{ }"), "verify", "--recipe", recipe, image.String())
	w.write("recipe.lock.json", "{}")
	expects(t, 4, "recipe     expected", "verify", "--recipe", w.write("recipe.hcl", text+"\n"), image.String())
	expects(t, 4, "signature", "verify", "--recipe", w.write("recipe.hcl", strings.Replace(text, "ci.pub", "other.pub", 1)), image.String())
	other := w.push("ml/other", "1")
	expects(t, 4, fmt.Sprintf("rule: expected a rule for %[1]s/ml/other, found %[2]q speaks of %[1]s/ml/train alone", w.host, recipe), "verify", "--recipe", recipe, other.String())
	expects(t, 2, "no public_key", "verify", "--recipe", w.write("recipe.hcl", strings.Replace(text, "public_key", "# ", 1)), image.String())
	expects(t, 2, "has no sign block", "verify", "--recipe", w.write("recipe.hcl", "image \"a\" {}"), image.String())
	expects(t, 2, "both say", "verify", "--recipe", recipe, "--policy", w.policy("p", asItIs), image.String())
	expects(t, 2, "--recipe says what is expected", "verify", "--recipe", recipe, "--key", filepath.Join(w.dir, "ci.pub"), image.String())
	if err := os.Remove(filepath.Join(w.dir, "recipe.lock.json")); err != nil {
		t.Fatal(err)
	}
	expects(t, 2, "reading lock", "verify", "--recipe", w.write("recipe.hcl", text), image.String())
}

// keyless signs as whom a token names, with a private Sigstore.
func (w *world) keyless(s *signtest.Sigstore, token string) *signing.Signer {
	w.t.Helper()
	root, err := signing.LoadRoot(s.Root)
	if err != nil {
		w.t.Fatal(err)
	}
	signer, err := signing.NewSigner(w.t.Context(), signing.SignWith{Root: root,
		Token:    func(context.Context) (string, error) { return token, nil },
		Services: signing.Services{Fulcio: s.Fulcio, Rekor: s.Rekor, Timestamp: s.Timestamp}})
	if err != nil {
		w.t.Fatal(err)
	}
	return signer
}

// A15: an identity is a workflow, of a branch, that ran for a reason; its signatures have ages.
func TestATrustPolicyJudgesIdentitiesAndTimes(t *testing.T) {
	sigstore := signtest.Start(t, signtest.Options{})
	w := newWorld(t)
	w.key("ci")
	w.key("other")
	root, err := os.ReadFile(sigstore.Root)
	if err != nil {
		t.Fatal(err)
	}
	w.write("root.json", string(root))
	sign := func(path, ref, event string) name.Digest {
		image := w.push(path, "1")
		w.sign(w.keyless(sigstore, sigstore.WorkflowToken(t, "acme/ml", "image.yml", ref, event)), image, statement.Signature())
		return image
	}
	pushed, asked, branch := sign("ml/pushed", "refs/heads/main", "push"), sign("ml/asked", "refs/heads/main", "pull_request"), sign("ml/branch", "refs/heads/evil", "push")
	policy := func(change func(string) string) string {
		return w.write("p.hcl", change(fmt.Sprintf(`trusted_root = "root.json"
signer "workflow" {
  identity    = "https://github.com/acme/ml/.github/workflows/image.yml@refs/heads/main"
  issuer      = %q
  certificate = { build_trigger = "push", source_repository_uri = "https://github.com/acme/ml" }
}
images "all" {
  repositories = ["%s/ml/*"]
  signed_by    = ["workflow"]
  max_age      = "1 days"
  since        = %q
}
`, sigstore.Workflow, w.host, time.Now().AddDate(0, 0, -1).UTC().Format(time.DateOnly))))
	}
	expects(t, 0, pushed.String(), "verify", "--policy", policy(asItIs), pushed.String())
	expects(t, 4, "buildTrigger", "verify", "--policy", policy(asItIs), asked.String())
	expects(t, 4, "refs/heads/evil", "verify", "--policy", policy(asItIs), branch.String())
	expects(t, 4, "signer", "verify", "--policy", policy(instead("acme/ml/.github", "acme/m./.github")), pushed.String()) // a dot is a dot
	expects(t, 0, pushed.String(), "verify", "--policy", policy(instead(`identity    = "https://github.com/acme/ml/`, `identity_pattern = "https://github\\.com/acme/[a-z]+/`)), pushed.String())
	expects(t, 4, "signed since", "verify", "--policy", policy(instead(time.Now().AddDate(0, 0, -1).UTC().Format(time.DateOnly), "2099-01-01")), pushed.String())
	expects(t, 4, "signer", "verify", "--policy", policy(instead(sigstore.Workflow, sigstore.Workflow+"/")), pushed.String()) // A13
}

// What cosign signs of a file, forge judges: the real command, and a key.
func TestABundleOfCosignIsJudged(t *testing.T) {
	cosign := signtest.Tool(t, "cosign")
	dir := t.TempDir()
	run := func(args ...string) {
		t.Helper()
		cmd := exec.Command(cosign, args...)
		cmd.Dir, cmd.Env = dir, append(os.Environ(), "COSIGN_PASSWORD=", "HOME="+dir)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("cosign %v: %v\n%s", args, err, out)
		}
	}
	file := filepath.Join(dir, "deny.hcl")
	if err := os.WriteFile(file, []byte("issued = \"2026-11-20\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	sum := fmt.Sprintf("sha256:%x", sha256.Sum256([]byte("issued = \"2026-11-20\"\n")))
	run("generate-key-pair")
	run("sign-blob", "--yes", "--key", "cosign.key", "--tlog-upload=false", "--new-bundle-format", "--bundle", "b.json", "deny.hcl")
	key, bundle := filepath.Join(dir, "cosign.pub"), filepath.Join(dir, "b.json")
	expects(t, 0, sum, "verify-bundle", "--bundle", bundle, "--key", key, file)
	expects(t, 0, sum, "verify-bundle", "--bundle", bundle, "--key", key, sum)
	expects(t, 4, "a signature over bytes", "verify-bundle", "--bundle", bundle, "--key", key, "--type", "spdx", file)
	expects(t, 4, "subject", "verify-bundle", "--bundle", bundle, "--key", key, "sha256:"+lockSum)
	_, other := signtest.Key(t)
	expects(t, 4, "signature", "verify-bundle", "--bundle", bundle, "--key", other, file)
	// SIG-02: the digest that stands in the bundle is nobody's word.
	raw, err := os.ReadFile(bundle)
	if err != nil {
		t.Fatal(err)
	}
	evil := []byte("issued = \"2026-11-21\"\n")
	was, is := sha256.Sum256([]byte("issued = \"2026-11-20\"\n")), sha256.Sum256(evil)
	changed := bytes.Replace(raw, []byte(base64.StdEncoding.EncodeToString(was[:])), []byte(base64.StdEncoding.EncodeToString(is[:])), 1)
	if bytes.Equal(changed, raw) {
		t.Fatalf("the bundle has no digest: %s", raw)
	}
	for path, text := range map[string][]byte{filepath.Join(dir, "changed.json"): changed, filepath.Join(dir, "evil.hcl"): evil} {
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	bundle = filepath.Join(dir, "changed.json")
	expects(t, 4, "signature", "verify-bundle", "--bundle", bundle, "--key", key, filepath.Join(dir, "evil.hcl"))
	expects(t, 4, "signature", "verify-bundle", "--bundle", bundle, "--key", key, fmt.Sprintf("sha256:%x", is))
	expects(t, 4, "subject", "verify-bundle", "--bundle", bundle, "--key", key, file)
}
