package evidence

import "testing"

// FuzzParseDocument: what is taken is an index or an image, with digests that can be.
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
