package signing

import (
	"fmt"
	"time"

	"github.com/sigstore/sigstore-go/pkg/root"
)

// Public are the services of the public Sigstore. What is signed with them is written into a
// log that everybody reads. Source: sigstore/root-signing, signing_config.v0.2.json.
var Public = Services{
	Fulcio: "https://fulcio.sigstore.dev", Rekor: "https://rekor.sigstore.dev", RekorV1: true,
	Timestamp: "https://timestamp.sigstore.dev/api/v1/timestamp", OpenID: "https://oauth2.sigstore.dev/auth",
}

// LoadServices reads a Sigstore signing config, version 0.2, and picks of each kind the
// newest service that forge knows how to ask.
func LoadServices(path string, now time.Time) (Services, error) {
	raw, err := readNamed("signing config", path, maxKey)
	if err != nil {
		return Services{}, err
	}
	c, err := root.NewSigningConfigFromJSON(raw)
	if err != nil {
		return Services{}, &PolicyError{fmt.Sprintf("signing config %q: %v", path, err)}
	}
	var s Services
	for _, kind := range []struct {
		all      []root.Service
		versions []uint32
		to       *string
	}{{c.FulcioCertificateAuthorityURLs(), []uint32{1}, &s.Fulcio}, {c.RekorLogURLs(), []uint32{2, 1}, &s.Rekor}, {c.TimestampAuthorityURLs(), []uint32{1}, &s.Timestamp}, {c.OIDCProviderURLs(), []uint32{1}, &s.OpenID}} {
		if len(kind.all) == 0 {
			continue
		}
		one, err := root.SelectService(kind.all, kind.versions, now)
		if err != nil {
			return Services{}, &PolicyError{fmt.Sprintf("signing config %q: %v", path, err)}
		}
		if *kind.to = one.URL; kind.to == &s.Rekor {
			s.RekorV1 = one.MajorAPIVersion == 1
		}
	}
	if !s.any() {
		return s, &PolicyError{fmt.Sprintf("signing config %q names no service", path)}
	}
	return s, s.check()
}
