package saved

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// entries of an archive, in their order.
type item struct {
	name, content string
	kind          byte // 0: a file
}

func archiveOf(t testing.TB, items []item) *bytes.Reader {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, x := range items {
		h := &tar.Header{Name: x.name, Mode: 0o644, Size: int64(len(x.content)), Typeflag: tar.TypeReg}
		if x.kind != 0 {
			h.Typeflag, h.Linkname, h.Size, x.content = x.kind, x.content, 0, ""
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(x.content)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return bytes.NewReader(b.Bytes())
}

func sum(s string) string {
	h := sha256.Sum256([]byte(s))
	return hex.EncodeToString(h[:])
}

const (
	oneLayer  = `{"rootfs":{"type":"layers","diff_ids":["sha256:a"]}}`
	twoLayers = `{"rootfs":{"type":"layers","diff_ids":["sha256:a","sha256:b"]}}`
)

func manifest(config, layers string, tags ...string) item {
	return item{"manifest.json", fmt.Sprintf(`[{"Config":%q,"RepoTags":["%s"],"Layers":[%s]}]`, config, strings.Join(tags, `","`), layers), 0}
}

func TestDockersAndPodmansArchivesAreRead(t *testing.T) {
	for what, items := range map[string][]item{
		"docker, layers in folders, one a link": {{"x/layer.tar", "first", 0}, {"y/layer.tar", "../x/layer.tar", tar.TypeSymlink}, {"c.json", twoLayers, 0}, manifest("c.json", `"x/layer.tar","y/layer.tar"`, "team/train:1")},
		"podman, names are sums":                {manifest("c.json", `"l1.tar","l2.tar"`, "team/train:1"), {"l1.tar", "first", 0}, {"l2.tar", "l1.tar", tar.TypeLink}, {"c.json", twoLayers, 0}, {"repositories", "{}", 0}},
		"docker 25, a layout besides":           {{"blobs/", "", tar.TypeDir}, {"blobs/sha256/l", "first", 0}, {"blobs/sha256/c", twoLayers, 0}, {"index.json", "{}", 0}, {"./manifest.json", manifest("blobs/sha256/c", `"blobs/sha256/l","blobs/sha256/l"`, "team/train:1").content, 0}},
	} {
		dir := t.TempDir()
		im, err := Unpack(archiveOf(t, items), "", dir)
		if err != nil {
			t.Errorf("%s: %v", what, err)
			continue
		}
		raw, err := os.ReadFile(filepath.Join(dir, "blobs", "sha256", strings.TrimPrefix(im.Digest, "sha256:")))
		if err != nil {
			t.Fatal(err)
		}
		var m struct {
			Config descriptor
			Layers []descriptor
		}
		if err := json.Unmarshal(raw, &m); err != nil {
			t.Fatal(err)
		}
		want := descriptor{"application/vnd.oci.image.layer.v1.tar", "sha256:" + sum("first"), 5}
		if im.Name != "team/train:1" || sum(string(raw)) != strings.TrimPrefix(im.Digest, "sha256:") || len(m.Layers) != 2 || m.Layers[0] != want || m.Layers[1] != want || m.Config.Digest != "sha256:"+sum(twoLayers) {
			t.Errorf("%s: %+v, %s", what, im, raw)
		}
		if layer, err := os.ReadFile(filepath.Join(dir, "blobs", "sha256", sum("first"))); err != nil || string(layer) != "first" {
			t.Errorf("%s: the layer holds %q, %v", what, layer, err)
		}
		for _, name := range []string{"index.json", "oci-layout"} {
			if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
				t.Error(err)
			}
		}
	}
}

func TestLayersAreWhatTheirBytesSay(t *testing.T) {
	dir := t.TempDir()
	items := []item{{"a", "\x1f\x8bgzip", 0}, {"b", "\x28\xb5\x2f\xfdzstd", 0}, {"c.json", twoLayers, 0}, manifest("c.json", `"a","b"`)}
	im, err := Unpack(archiveOf(t, items), "", dir)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(filepath.Join(dir, "blobs", "sha256", strings.TrimPrefix(im.Digest, "sha256:")))
	if err != nil || !strings.Contains(string(raw), `layer.v1.tar+gzip`) || !strings.Contains(string(raw), `layer.v1.tar+zstd`) {
		t.Errorf("%s %v", raw, err)
	}
}

func TestOneOfSeveralImagesIsNamed(t *testing.T) {
	list := `[{"Config":"c.json","RepoTags":["a:1","a:2"],"Layers":["l"]},{"Config":"d.json","RepoTags":["b:1"],"Layers":["l"]}]`
	items := []item{{"l", "x", 0}, {"c.json", oneLayer, 0}, {"d.json", oneLayer + " ", 0}, {"manifest.json", list, 0}}
	digests := map[string]bool{}
	for _, name := range []string{"a:1", "a:2", "b:1"} {
		im, err := Unpack(archiveOf(t, items), name, t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		digests[im.Digest] = true
	}
	if len(digests) != 2 {
		t.Errorf("%d images, two are due", len(digests))
	}
	for _, name := range []string{"", "c:1"} {
		_, err := Unpack(archiveOf(t, items), name, t.TempDir())
		if err == nil || !strings.Contains(err.Error(), "a:1 or a:2, b:1") {
			t.Errorf("%q: %v; the candidates should be listed", name, err)
		}
	}
}

func TestOCI08HostileArchives(t *testing.T) { // OCI-08
	outside := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(outside, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	for what, items := range map[string][]item{
		"a layer outside":         {{"c.json", oneLayer, 0}, manifest("c.json", `"../x"`)},
		"an absolute layer":       {{"c.json", oneLayer, 0}, manifest("c.json", `"`+outside+`"`)},
		"a config outside":        {manifest("../c.json", `"l"`)},
		"a layer that links out":  {{"c.json", oneLayer, 0}, {"l", outside, tar.TypeSymlink}, manifest("c.json", `"l"`)},
		"a layer that links up":   {{"c.json", oneLayer, 0}, {"l", "../../../../etc/passwd", tar.TypeSymlink}, manifest("c.json", `"l"`)},
		"links in a circle":       {{"c.json", oneLayer, 0}, {"l", "m", tar.TypeSymlink}, {"m", "l", tar.TypeSymlink}, manifest("c.json", `"l"`)},
		"a layer twice":           {{"c.json", oneLayer, 0}, {"l", "a", 0}, {"l", "b", 0}, manifest("c.json", `"l"`)},
		"manifest.json twice":     {{"c.json", oneLayer, 0}, {"l", "a", 0}, manifest("c.json", `"l"`), manifest("c.json", `"l"`)},
		"the same under ./":       {{"c.json", oneLayer, 0}, {"l", "a", 0}, {"./l", "b", 0}, manifest("c.json", `"l"`)},
		"no manifest.json":        {{"c.json", oneLayer, 0}},
		"no image":                {{"manifest.json", "[]", 0}},
		"no list":                 {{"manifest.json", "{", 0}},
		"a layer that is missing": {{"c.json", oneLayer, 0}, manifest("c.json", `"l"`)},
		"fewer layers":            {{"c.json", twoLayers, 0}, {"l", "a", 0}, manifest("c.json", `"l"`)},
		"a config of 9 MB":        {{"c.json", strings.Repeat(" ", 9<<20), 0}, {"l", "a", 0}, manifest("c.json", `"l"`)},
		"a layer that is a FIFO":  {{"c.json", oneLayer, 0}, {"l", "", tar.TypeFifo}, manifest("c.json", `"l"`)},
	} {
		dir := t.TempDir()
		_, err := Unpack(archiveOf(t, items), "", dir)
		var own *Error
		if !errors.As(err, &own) || own.ID != "OCI-08" {
			t.Errorf("%s: %v", what, err)
		}
		if _, err := os.Stat(filepath.Join(dir, "index.json")); err == nil {
			t.Errorf("%s: a layout is left", what)
		}
	}
	for what, raw := range map[string]string{"compressed": "\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03", "cut off": "x"} {
		if _, err := Unpack(strings.NewReader(raw), "", t.TempDir()); err == nil {
			t.Errorf("%s: it is taken", what)
		}
	}
}

func FuzzArchive(f *testing.F) {
	for _, items := range [][]item{
		{{"x/layer.tar", "first", 0}, {"y/layer.tar", "../x/layer.tar", tar.TypeSymlink}, {"c.json", twoLayers, 0}, manifest("c.json", `"x/layer.tar","y/layer.tar"`, "a:1")},
		{{"c.json", oneLayer, 0}, {"l", "a", tar.TypeLink}, manifest("c.json", `"l"`)},
	} {
		var b bytes.Buffer
		if _, err := archiveOf(f, items).WriteTo(&b); err != nil {
			f.Fatal(err)
		}
		f.Add(b.Bytes())
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		a, err := open(bytes.NewReader(raw))
		if err != nil {
			return
		}
		im, err := a.choose("")
		if err != nil {
			return
		}
		if _, err := a.config(im); err != nil {
			return
		}
		for _, name := range im.Layers {
			e, err := a.find(name)
			if err != nil {
				continue
			}
			if e.at < 0 || e.size < 0 || e.link != "" {
				t.Fatalf("%q is %+v", name, e)
			}
			// A file that the archive's end cuts off reads as shorter, which Unpack refuses.
			if n, err := io.Copy(io.Discard, a.read(e)); err != nil || n > e.size || n < e.size && e.at+e.size <= int64(len(raw)) {
				t.Fatalf("%q of %d bytes has %d: %v", name, e.size, n, err)
			}
		}
	})
}
