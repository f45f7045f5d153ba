package push

import (
	"archive/tar"
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/v1/types"
)

// OCI-08: a small archive whose one file says that it has holes would fill the disk.
func TestAFileWithHolesIsNotUnpacked(t *testing.T) {
	blob := "blobs/sha256/" + strings.Repeat("a", 64)
	var records, b bytes.Buffer
	for _, kv := range []string{"GNU.sparse.major=1", "GNU.sparse.minor=0", "GNU.sparse.name=" + blob, "GNU.sparse.realsize=1099511627776"} {
		n := len(kv) + 3
		if len(fmt.Sprint(n))+len(kv)+2 != n {
			n++
		}
		fmt.Fprintf(&records, "%d %s\n", n, kv)
	}
	w := tar.NewWriter(&b)
	put := func(name string, raw []byte) {
		t.Helper()
		if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(raw)), Format: tar.FormatUSTAR}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(raw); err != nil {
			t.Fatal(err)
		}
	}
	put("PaxHeaders/x", records.Bytes())
	holes := make([]byte, 512) // one hole from 0, all of it
	copy(holes, "1\n1099511627776\n0\n")
	put("GNUSparseFile.0/"+strings.Repeat("a", 64), holes)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	raw := b.Bytes()
	raw[156] = tar.TypeXHeader
	sum := 0
	copy(raw[148:156], "        ")
	for _, c := range raw[:512] {
		sum += int(c)
	}
	copy(raw[148:156], fmt.Sprintf("%06o\x00 ", sum))
	h, err := tar.NewReader(bytes.NewReader(raw)).Next()
	if err != nil || h.Name != blob || h.Size != 1<<40 {
		t.Fatalf("the archive is not what the test needs: %+v, %v", h, err)
	}
	if err := Unpack(bytes.NewReader(raw), t.TempDir()); err == nil || !strings.Contains(err.Error(), "OCI-08") {
		t.Errorf("%v", err)
	}
}

// OCI-02: what encoding/json takes for one key is one key.
func TestAKeyTwiceIsTwiceInEverySpelling(t *testing.T) {
	const config = `"config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"sha256:` + "%[1]s" + `","size":1},"layers":[]`
	sum := strings.Repeat("a", 64)
	about := `{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"sha256:` + sum + `","size":1}`
	for _, key := range []string{"subject", "Subject", "SUBJECT", "\u017fubject", "\\u017fubject"} {
		raw := fmt.Sprintf(`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json",`+config+`,"subject":%[2]s,"%[3]s":%[2]s}`, sum, about, key)
		if _, err := ReadDocument([]byte(raw), ""); err == nil || !strings.Contains(err.Error(), "stands twice") {
			t.Errorf("%s: %v", key, err)
		}
	}
}

// podman save writes manifests without a media type, and a digest alone promises none: the content
// says which it is. What is neither, or both, stays refused (OCI-02).
func TestADocumentWithoutAMediaTypeIsWhatItsContentIs(t *testing.T) {
	config := `"config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"sha256:` + strings.Repeat("a", 64) + `","size":2}`
	for raw, want := range map[string]types.MediaType{
		`{"schemaVersion":2,` + config + `,"layers":[]}`:                 types.OCIManifestSchema1,
		`{"schemaVersion":2,"manifests":[]}`:                             types.OCIImageIndex,
		`{"schemaVersion":2}`:                                            "",
		`{"schemaVersion":2,"manifests":[],` + config + `}`:              "",
		`{"schemaVersion":2,"manifests":[],"layers":[]}`:                 "",
		`{"schemaVersion":2,"layers":[]}`:                                "",
		`{"schemaVersion":1,` + config + `,"layers":[]}`:                 "",
		`{"schemaVersion":2,"mediaType":"x",` + config + `,"layers":[]}`: "",
	} {
		d, err := ReadDocument([]byte(raw), "")
		if (err == nil) != (want != "") || err == nil && d.Descriptor.MediaType != want {
			t.Errorf("%s is %+v, %v; should be %q", raw, d, err, want)
		}
	}
}
