package evidence

import (
	"strings"
	"testing"
)

// OCI-02: a document says the same to every reader.
func TestADocumentIsSpeltExactly(t *testing.T) {
	good, evil := strings.Repeat("a", 64), strings.Repeat("b", 64)
	index := func(child string) string {
		return `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[{` + child + `}]}`
	}
	child := `"mediaType":"application/vnd.oci.image.manifest.v1+json","size":1,"digest":"sha256:` + good + `"`
	for name, row := range map[string]struct{ raw, want string }{
		"as it is":                      {index(child + `,"platform":{"os":"linux","architecture":"amd64","os.version":"1"},"annotations":{"Digest":"x","OS":"y"}`), ""},
		"two digests, two readers":      {index(child + `,"Digest":"sha256:` + evil + `"`), `key "Digest" is not spelt "digest"`},
		"in the other order":            {index(`"DIGEST":"sha256:` + evil + `",` + child), `key "DIGEST"`},
		"two sizes":                     {index(child + `,"\u017fize":2`), `is not spelt "size"`},
		"two platforms":                 {index(child + `,"platform":{"os":"linux","Os":"unknown","architecture":"amd64"}`), `key "Os"`},
		"another word for the list":     {strings.Replace(index(child), `"manifests"`, `"Manifests"`, 1), `key "Manifests"`},
		"a digest twice":                {index(child + `,"digest":"sha256:` + evil + `"`), "stands twice"},
		"an unknown word is left alone": {index(child + `,"comment":1`), ""},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := ParseDocument([]byte(row.raw), "")
			if row.want == "" && err != nil || row.want != "" && (err == nil || !strings.Contains(err.Error(), row.want)) {
				t.Errorf("%v, want %q", err, row.want)
			}
		})
	}
}

// What is taken is an index or an image, with digests and sizes that can be.
func FuzzParseDocument(f *testing.F) {
	f.Add([]byte(`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}`), "")
	f.Add([]byte(`{"schemaVersion":2,"config":{"mediaType":"x","size":2,"digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"},"layers":[]}`), "application/vnd.oci.image.manifest.v1+json")
	f.Fuzz(func(t *testing.T, raw []byte, served string) {
		d, err := ParseDocument(raw, served)
		if err != nil {
			return
		}
		if (d.Index == nil) == (d.Image == nil) || d.Digest != sum(raw) {
			t.Errorf("%q: %+v", raw, d)
		}
		if d.Image != nil {
			for _, l := range d.Image.Layers {
				if right(l.Digest) != nil || l.Size < 0 {
					t.Errorf("%q: layer %+v", raw, l)
				}
			}
		}
	})
}
