package builder

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/validate"
)

func TestArchivesHoldTheSameImage(t *testing.T) {
	const reference = "localhost/scratch:latest"
	var ids []string
	for _, codec := range []string{"zstd", "gzip"} {
		b, im, li := scratch(t)
		im.Slim.Codec = codec
		r := build(t, b, im, li)
		file := filepath.Join(t.TempDir(), "image.tar")
		if err := WriteFile(file, func(w io.Writer) error { return DockerArchive(w, r.Dir, reference) }); err != nil {
			t.Fatal(err)
		}
		tag, err := name.NewTag(reference)
		if err != nil {
			t.Fatal(err)
		}
		img, err := tarball.ImageFromPath(file, &tag)
		if err != nil {
			t.Fatal(err)
		}
		if err := validate.Image(img); err != nil {
			t.Errorf("%s: %v", codec, err)
		}
		id, err := img.ConfigName()
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, id.String())
		layer := filepath.Join(r.Dir, "blobs", "sha256", r.Layers[2].Digest.Hex)
		if err := errors.Join(os.Remove(layer), os.WriteFile(layer, []byte("broken"), 0o600)); err != nil {
			t.Fatal(err)
		}
		if err := DockerArchive(io.Discard, r.Dir, reference); err == nil {
			t.Errorf("%s: a broken layer was written", codec)
		}
		if err := OCIArchive(io.Discard, r.Dir, reference); err == nil {
			t.Errorf("%s: a broken layer was written into an OCI archive", codec)
		}
	}
	if ids[0] != ids[1] {
		t.Errorf("image IDs %v", ids)
	}
}

func TestSkopeoReadsTheArchives(t *testing.T) {
	if _, err := exec.LookPath("skopeo"); err != nil {
		t.Skip("skopeo is not installed")
	}
	b, im, li := scratch(t)
	r := build(t, b, im, li)
	dir := t.TempDir()
	for kind, write := range map[string]func(io.Writer) error{
		"docker-archive": func(w io.Writer) error { return DockerArchive(w, r.Dir, "localhost/scratch:latest") },
		"oci-archive":    func(w io.Writer) error { return OCIArchive(w, r.Dir, "localhost/scratch:latest") },
	} {
		file := filepath.Join(dir, kind)
		if err := WriteFile(file, write); err != nil {
			t.Fatal(err)
		}
		out, err := exec.Command("skopeo", "inspect", kind+":"+file).CombinedOutput()
		if err != nil || !strings.Contains(string(out), `"Layers"`) {
			t.Errorf("%s: %v: %s", kind, err, out)
		}
	}
}

func TestFilesAreWrittenWholeAndOnlyOverFiles(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "f")
	write(t, file, "old", 0o644)
	if err := os.Symlink(file, filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	ok := func(w io.Writer) error { _, err := w.Write([]byte("new")); return err }
	for _, path := range []string{dir, filepath.Join(dir, "link"), "/dev/null"} {
		if err := WriteFile(path, ok); err == nil || !strings.Contains(err.Error(), "no regular file") {
			t.Errorf("%s: %v", path, err)
		}
	}
	broken := errors.New("broken")
	if err := WriteFile(file, func(w io.Writer) error { _, _ = w.Write([]byte("half")); return broken }); !errors.Is(err, broken) {
		t.Error(err)
	}
	if raw, _ := os.ReadFile(file); !bytes.Equal(raw, []byte("old")) {
		t.Errorf("the file holds %q", raw)
	}
	if err := WriteFile(file, ok); err != nil {
		t.Error(err)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, ".*")); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}
