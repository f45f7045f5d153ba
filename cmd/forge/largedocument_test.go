package main

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"

	"github.com/forge-build/forge/signing"
	"github.com/forge-build/forge/signing/publish"
	"github.com/forge-build/forge/signing/push"
	"github.com/forge-build/forge/signing/signtest"
	"github.com/forge-build/forge/signing/statement"
)

// listing is an SPDX or CycloneDX document of a digest that is nearly as large as one may be.
func listing(kind, digest string) []byte {
	var b bytes.Buffer
	b.Grow(signing.MaxDocument)
	entry := `{"SPDXID":"SPDXRef-%d","name":"package-%d","versionInfo":"1.%d","externalRefs":[{"referenceCategory":"PACKAGE-MANAGER","referenceType":"purl","referenceLocator":"pkg:pypi/package-%d@1.%d"}],"comment":"%x"}`
	fmt.Fprintf(&b, `{"spdxVersion":"SPDX-2.3","SPDXID":"SPDXRef-DOCUMENT","documentDescribes":["SPDXRef-image"],"packages":[{"SPDXID":"SPDXRef-image","versionInfo":%q}`, digest)
	if kind == statement.TypeCycloneDX {
		entry = `{"bom-ref":"%d","type":"library","name":"package-%d","version":"1.%d","purl":"pkg:pypi/package-%d@1.%d","description":"%x"}`
		b.Reset()
		fmt.Fprintf(&b, `{"bomFormat":"CycloneDX","specVersion":"1.6","metadata":{"component":{"type":"container","name":"image","version":%q}},"components":[{"type":"library","name":"a"}`, digest)
	}
	for i := 0; i < 100_000; i++ {
		sum := sha256.Sum256(fmt.Append(nil, i))
		fmt.Fprintf(&b, ","+entry, i, i, i, i, i, bytes.Repeat(sum[:], 16))
	}
	b.WriteString("]}")
	return b.Bytes()
}

// peak runs forge as a user does, and also says how much memory it took at most, in bytes. What it
// prints goes to out. What the kernel says of an ended process counts its parent's memory, too.
func peak(t *testing.T, out io.Writer, args ...string) (errs string, code int, most int64) {
	t.Helper()
	var text strings.Builder
	c := exec.CommandContext(t.Context(), forge(t), args...)
	c.Stdout, c.Stderr = out, &text
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		_ = c.Wait() // the exit code is looked at
		close(done)
	}()
	for {
		if raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", c.Process.Pid)); err == nil {
			if _, after, ok := strings.Cut(string(raw), "VmHWM:"); ok {
				var kib int64
				_, _ = fmt.Sscan(after, &kib)
				most = max(most, kib<<10)
			}
		}
		select {
		case <-done:
			return text.String(), c.ProcessState.ExitCode(), most
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// A45: whoever verifies an image with two lists of 100,000 packages, nearly as large as they may be,
// or prints one, needs less than 256 MiB, by flags and by a policy that reads what is in them. One that
// would search them anew says that they are too large for it.
func TestLargeDocumentsTakeLittleMemory(t *testing.T) {
	host, _ := hosts(t, signtest.NoReferrers)
	dir, digest := randomLayout(t)
	private, public := signtest.Key(t)
	signer, err := signing.NewSigner(t.Context(), signing.SignWith{Key: private})
	if err != nil {
		t.Fatal(err)
	}
	rt, err := transportOf()
	if err != nil {
		t.Fatal(err)
	}
	from, err := push.OpenLayout(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer from.Close()
	image, err := pick(from, spot{})
	if err != nil {
		t.Fatal(err)
	}
	to, err := name.NewRepository(host + "/team/image")
	if err != nil {
		t.Fatal(err)
	}
	spdx, cyclonedx := listing(statement.TypeSPDX, digest), listing(statement.TypeCycloneDX, digest)
	if len(spdx) < 115<<20 || len(cyclonedx) < 110<<20 {
		t.Fatalf("%d, %d bytes", len(spdx), len(cyclonedx))
	}
	p := publish.Publisher{Push: push.New(rt), Transport: rt}
	if _, err := p.Publish(t.Context(), publish.Order{From: from, Image: image, To: to, Tags: []string{"1"}, Signer: signer, Statements: func(*push.Document) ([]statement.Statement, error) {
		return []statement.Statement{statement.SPDX(spdx), statement.CycloneDX(cyclonedx)}, nil
	}}); err != nil {
		t.Fatal(err)
	}
	policy := filepath.Join(filepath.Dir(public), "trust.hcl")
	if err := os.WriteFile(policy, fmt.Appendf(nil, "signer \"ci\" { key = %q }\nimages \"all\" {\n  repositories = [\"*\"]\n  signed_by = [\"ci\"]\n  minimum_versions = { package-7 = \"1.7\" }\n  sbom {}\n}\n", filepath.Base(public)), 0o600); err != nil {
		t.Fatal(err)
	}
	searched := filepath.Join(filepath.Dir(public), "searched.hcl")
	if err := os.WriteFile(searched, fmt.Appendf(nil, "signer \"ci\" { key = %q }\nimages \"all\" {\n  repositories = [\"*\"]\n  signed_by = [\"ci\"]\n  sbom {}\n  scan {\n    max_age = \"7 days\"\n    limit = \"high\"\n    rescan = true\n  }\n}\n", filepath.Base(public)), 0o600); err != nil {
		t.Fatal(err)
	}
	ref := to.Name() + ":1"
	if errs, code, most := peak(t, io.Discard, "verify", "--policy", searched, "--db", testDatabase(t), ref); code != 4 || most >= 256<<20 || !strings.Contains(errs, "packages in more than 16 MiB") {
		t.Errorf("searched anew: exit %d, %d MiB: %s", code, most>>20, errs)
	}
	for what, row := range map[string]struct {
		args []string
		want []byte
	}{
		"verify":                   {[]string{"verify", "--key", public, "--require", "spdx,cyclonedx", ref}, []byte(to.Name() + "@" + digest + "\n")},
		"verify by a policy":       {[]string{"verify", "--policy", policy, ref}, []byte(to.Name() + "@" + digest + "\n")},
		"one document":             {[]string{"attestation", "--key", public, "--type", "spdx", ref}, append(spdx, '\n')},
		"one document by a policy": {[]string{"attestation", "--policy", policy, "--type", "cyclonedx", ref}, append(cyclonedx, '\n')},
	} {
		sum := sha256.New()
		errs, code, most := peak(t, sum, row.args...)
		if code != 0 || [32]byte(sum.Sum(nil)) != sha256.Sum256(row.want) {
			t.Errorf("%s: exit %d, other bytes: %s", what, code, errs)
		}
		if most == 0 || most >= 256<<20 {
			t.Errorf("%s: %d MiB", what, most>>20)
		}
		t.Logf("%s: %d MiB", what, most>>20)
	}
}

// Either bound is one of its own, and no database is opened for what is not searched.
func TestALargeListIsNotSearchedAnew(t *testing.T) {
	for _, row := range []struct {
		document string
		packages int
		want     string
	}{
		{strings.Repeat(" ", maxSearched+1), 1, "an SBOM of 1 packages in more than 16 MiB"},
		{"{}", maxSearchedPackages + 1, "an SBOM of 10001 packages"},
	} {
		var r rescanner
		_, err := r.search(t.Context(), "sha256:ab", strings.NewReader(row.document), row.packages)
		if err == nil || !strings.HasSuffix(err.Error(), row.want) || exitCode(err) != exitUnverified || r.db != nil {
			t.Errorf("%v, want %q", err, row.want)
		}
	}
}
