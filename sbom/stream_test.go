package sbom

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/CycloneDX/cyclonedx-go"
	"github.com/anchore/syft/syft/file"
	"github.com/anchore/syft/syft/format/syftjson"
	syftsbom "github.com/anchore/syft/syft/sbom"
)

// Files are written in batches; the document is the one that Syft makes of all at once.
func TestFilesInBatchesAreTheSameDocument(t *testing.T) {
	many, rows := files{}, ""
	for i := range 2*batch + 100 {
		many[fmt.Sprintf("srv/<%d>.txt", i)] = "a"
		many[fmt.Sprintf(site+"torch/m%d.py", i)] = "b"
		rows += fmt.Sprintf("torch/m%d.py,,\n", i)
	}
	w := wheel("torch", "2.9.1")
	w[site+"torch-2.9.1.dist-info/RECORD"] += rows + "torch/link.so,,\ntorch/gone.py,,\n"
	inv := listed(t, debian(), join(many, w, files{site + "torch/link.so -> m1.py": ""}), files{"srv/.wh.<7>.txt": "", "a.tar": "x"})

	whole := *inv.bom
	whole.Artifacts.FileMetadata, whole.Artifacts.FileDigests = map[file.Coordinates]file.Metadata{}, map[file.Coordinates][]file.Digest{}
	if err := inv.inBatches(inv.listedFiles(), func(s syftsbom.SBOM) error {
		for c, m := range s.Artifacts.FileMetadata {
			whole.Artifacts.FileMetadata[c], whole.Artifacts.FileDigests[c] = m, s.Artifacts.FileDigests[c]
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	var want, got bytes.Buffer
	if err := syftjson.NewFormatEncoder().Encode(&want, whole); err != nil {
		t.Fatal(err)
	}
	if err := inv.Write(&got, Syft); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(want.Bytes(), got.Bytes()) {
		t.Errorf("%d bytes, Syft writes %d", got.Len(), want.Len())
	}

	got.Reset()
	if err := inv.Write(&got, CycloneDX); err != nil {
		t.Fatal(err)
	}
	var b cyclonedx.BOM
	if err := json.Unmarshal(got.Bytes(), &b); err != nil {
		t.Fatal(err)
	}
	count := map[string]int{}
	last := ""
	for _, c := range *b.Components {
		in := "srv"
		list := []cyclonedx.Component{c}
		if c.Components != nil {
			in, list = c.Name, *c.Components
		}
		for _, f := range list {
			if f.Type == cyclonedx.ComponentTypeFile {
				count[in]++
				if in == "torch" && f.Name < last {
					t.Errorf("%s after %s", f.Name, last)
				}
				last = f.Name
			}
		}
	}
	if count["torch"] != 2*batch+100+3 || count["srv"]+count["torch"] != inv.Files {
		t.Errorf("%v; the image has %d files", count, inv.Files)
	}

	got.Reset()
	if err := inv.Write(&got, SPDX); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(got.String(), `"relationshipType":"DESCRIBES"`); n != len(inv.Unowned)+1 || strings.Contains(got.String(), "mark-") {
		t.Errorf("%d are described; %d files have no owner", n, len(inv.Unowned))
	}
}

func TestTooManyFilesAreRefused(t *testing.T) { // SBM-01
	im := imageOf(debian(), files{})
	im.Layers[1].Files = make([]File, maxFiles)
	for i := range im.Layers[1].Files {
		im.Layers[1].Files[i] = File{Path: fmt.Sprint("d", i), Kind: Dir}
	}
	if _, err := newTree(im); err == nil || !strings.Contains(err.Error(), "at most") {
		t.Errorf("%d entries: %v", maxFiles, err)
	}
	im.Layers[1].Files = im.Layers[1].Files[:maxNames/4000+1]
	for i := range im.Layers[1].Files {
		im.Layers[1].Files[i] = File{Path: fmt.Sprint("l", i), Kind: Symlink, Link: strings.Repeat("x", 4000)}
	}
	if _, err := newTree(im); err == nil || !strings.Contains(err.Error(), "paths and links") {
		t.Errorf("long links: %v", err)
	}
}
