package main

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/forge-build/forge/signing"
	"github.com/forge-build/forge/signing/evidence"
	"github.com/forge-build/forge/signing/signtest"
	"github.com/forge-build/forge/signing/statement"
)

// A28: whoever verifies an image beside which a stranger has laid the largest that is read, made of as
// many values as fit, needs less than 256 MiB, and the good signature counts.
func TestJunkTakesLittleMemory(t *testing.T) {
	nobodysHome(t)
	repo := signtest.Repository(t, signtest.Registry(t, signtest.Conforming), "team/train")
	image, public := signedImage(t, repo)
	private, _ := signtest.Key(t)
	_, other := signtest.Key(t) // of somebody who has signed nothing
	stranger, err := signing.NewSigner(t.Context(), signing.SignWith{Key: private})
	if err != nil {
		t.Fatal(err)
	}
	values := func(n int) json.RawMessage { return json.RawMessage(`{"x":[` + strings.Repeat("0,", n) + `0]}`) }
	for i := range 3 {
		out, err := stranger.Sign(t.Context(), signtest.Statement(t, image, statement.TypeSPDX, values(5_500_000+i)))
		if err != nil {
			t.Fatal(err)
		}
		signtest.Attach(t, image, out.Bundle)
	}
	var older []signtest.Layer
	for i := range 2 {
		payload := base64.StdEncoding.EncodeToString(signtest.Statement(t, image, statement.TypeSPDX, values(22_000_000+i)))
		older = append(older, signtest.Layer{Type: evidence.DSSE, Raw: fmt.Appendf(nil, `{"payloadType":"application/vnd.in-toto+json","payload":%q,"signatures":[{"sig":"AAAA"}]}`, payload)})
	}
	signtest.AttachTag(t, image, ".att", older...)
	var bomb bytes.Buffer
	z := gzip.NewWriter(&bomb)
	for range 512 {
		if _, err := z.Write(make([]byte, 1<<20)); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	signtest.Attach(t, image, bomb.Bytes())
	signtest.Attach(t, image, []byte("{\"a\":"+strings.Repeat("[", 90)+strings.Repeat("{},", 4_000_000)+"0"+strings.Repeat("]", 90)+"}"))
	older = nil

	policy := filepath.Join(filepath.Dir(public), "trust.hcl")
	if err := os.WriteFile(policy, fmt.Appendf(nil, "signer \"ci\" { key = %q }\nimages \"all\" {\n  repositories = [\"*\"]\n  signed_by = [\"ci\"]\n}\n", filepath.Base(public)), 0o600); err != nil {
		t.Fatal(err)
	}
	for what, row := range map[string]struct {
		args []string
		code int
	}{
		"by flags":       {[]string{"verify", "--key", public, "--require", "spdx", image.String()}, 0},
		"by a policy":    {[]string{"verify", "--policy", policy, image.String()}, 0},
		"by another key": {[]string{"verify", "--key", other, image.String()}, 4},
	} {
		var out bytes.Buffer
		errs, code, most := peak(t, &out, row.args...)
		if code != row.code || (code == 0) != (out.String() == image.String()+"\n") {
			t.Errorf("%s: exit %d, want %d: %s%.2000s", what, code, row.code, out.String(), errs)
		}
		if most == 0 || most >= 256<<20 {
			t.Errorf("%s: %d MiB", what, most>>20)
		}
		t.Logf("%s: %d MiB", what, most>>20)
	}
}
