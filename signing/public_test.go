package signing

import (
	"os"
	"strings"
	"testing"

	"github.com/sigstore/sigstore-go/pkg/bundle"

	"github.com/forge-build/forge/signing/statement"
)

// A bundle that a GitHub workflow has signed with the public Sigstore, and that root: what the
// real services write is judged by the same code, at times that have passed. Its statement is
// about a file of npm, by sha512, so its subject is set aside here: images have sha256. Both files
// are of sigstore-go's pkg/testing/data (Apache-2.0).
func TestABundleOfThePublicSigstoreIsJudged(t *testing.T) {
	const (
		workflow = "https://github.com/sigstore/sigstore-js/.github/workflows/release.yml@refs/heads/main"
		issuer   = "https://token.actions.githubusercontent.com"
	)
	raw, err := os.ReadFile("testdata/public/bundle.json")
	if err != nil {
		t.Fatal(err)
	}
	root, err := LoadRoot("testdata/public/root.json")
	if err != nil {
		t.Fatal(err)
	}
	read := func(more string) *entity {
		var b bundle.Bundle
		if err := b.UnmarshalJSON(raw); err != nil {
			t.Fatal(err)
		}
		d := b.GetDsseEnvelope()
		if _, err := readStatement(d.GetPayload()); err == nil || !strings.Contains(err.Error(), "no sha256") {
			t.Fatalf("its statement: %v", err)
		}
		e := &entity{payload: append(d.GetPayload(), more...), head: &head{Statement: statementV1, Type: statement.TypeProvenance, Digest: about.Digest.String()}}
		sig := d.GetSignatures()[0].GetSig()
		e.content = &envelope{d.GetPayloadType(), e.payload, sig, e.head}
		if err := e.bundled(&b); err != nil {
			t.Fatal(err)
		}
		return e
	}
	for name, row := range map[string]struct {
		id     Identity
		more   string // behind the payload
		change func(*entity)
		check  string
	}{
		"as it is":          {Identity{Name: workflow, Issuer: issuer, Claims: map[string]string{"sourceRepositoryURI": "https://github.com/sigstore/sigstore-js", "buildTrigger": "push"}}, "", nil, ""},
		"by a pattern":      {Identity{Pattern: `https://github\.com/sigstore/sigstore-js/\.github/workflows/[a-z]+\.yml@refs/heads/main`, Issuer: issuer}, "", nil, ""},
		"another workflow":  {Identity{Name: strings.Replace(workflow, "release", "test", 1), Issuer: issuer}, "", nil, CheckSigner},
		"another issuer":    {Identity{Name: workflow, Issuer: issuer + "/"}, "", nil, CheckSigner},
		"a fork's run":      {Identity{Name: workflow, Issuer: issuer, Claims: map[string]string{"buildTrigger": "pull_request"}}, "", nil, CheckSigner},
		"a changed payload": {Identity{Name: workflow, Issuer: issuer}, " ", nil, CheckLog},
		"no log entry":      {Identity{Name: workflow, Issuer: issuer}, "", func(e *entity) { e.entries = nil }, CheckLog},
	} {
		t.Run(name, func(t *testing.T) {
			e := read(row.more)
			if row.change != nil {
				row.change(e)
			}
			p := &Policy{Root: root, Identities: []Identity{row.id}}
			f, st := &finding{}, &Statement{Type: statement.TypeProvenance}
			(&judge{p, about}).certificate(f, e, st, p.Identities, nil)
			switch {
			case row.check == "" && f.failed != nil:
				t.Errorf("refused: %+v", f.failed)
			case row.check != "" && (f.failed == nil || f.failed.ID != row.check):
				t.Errorf("%+v, want %s", f.failed, row.check)
			}
		})
	}
}
