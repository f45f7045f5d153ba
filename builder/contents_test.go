package builder

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/forge-build/forge/builder/layer"
)

// A layer without an index is listed as its index lists it, and only under its own digests.
func TestContentsAreWhatAnIndexSays(t *testing.T) {
	var blob bytes.Buffer
	w, err := layer.NewWriter(map[layer.Codec]io.Writer{layer.Zstd: &blob})
	if err != nil {
		t.Fatal(err)
	}
	for path, content := range map[string]string{"a": "first"} {
		if err := w.Add(layer.Header{Path: path, Type: layer.Regular, Mode: 0o644, Size: int64(len(content))}, strings.NewReader(content), nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Add(layer.Header{Path: "b/c", Type: layer.Regular, Mode: 0o755, Size: 6}, strings.NewReader("second"), nil); err != nil {
		t.Fatal(err)
	}
	res, err := w.Close()
	if err != nil {
		t.Fatal(err)
	}
	digest, media := res.Blobs[layer.Zstd].Digest, layer.MediaType(layer.Zstd)
	read := func(digest, diffID string) (*Contents, error) {
		return ReadContents(t.Context(), media, bytes.NewReader(blob.Bytes()), digest, diffID, true, t.TempDir())
	}
	c, err := read(digest, res.DiffID)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	want := res.Index.Entries
	for i := range want {
		want[i].Blobs = nil
	}
	if d := cmp.Diff(want, c.Entries); d != "" {
		t.Error(d)
	}
	for i, e := range c.Entries {
		if e.Type != layer.Regular {
			continue
		}
		if raw, err := io.ReadAll(c.Section(i, c.Entries[i].Size)); err != nil || sumOf(raw) != e.SHA256 {
			t.Errorf("%s: %q, %v", e.Path, raw, err)
		}
	}
	other := "sha256:" + sumOf([]byte("other"))
	if _, err := read(other, res.DiffID); err == nil {
		t.Error("another digest is taken")
	}
	if _, err := read(digest, other); err == nil {
		t.Error("another diffID is taken")
	}
}

// endless is a layer's tar with one file that does not end; stop is called after some of it.
type endless struct {
	head io.Reader
	left int
	stop func()
}

func (e *endless) Read(p []byte) (int, error) {
	if n, err := e.head.Read(p); err == nil {
		return n, nil
	}
	if e.left -= len(p); e.left < 0 {
		e.stop()
	}
	clear(p)
	return len(p), nil
}

// Ctrl-C ends the reading of a layer in the middle of a file, and nothing is left behind.
func TestReadingALayerEndsWithItsContext(t *testing.T) {
	var head bytes.Buffer
	if err := tar.NewWriter(&head).WriteHeader(&tar.Header{Name: "large", Mode: 0o644, Size: 8 << 30, Format: tar.FormatGNU}); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	dir := t.TempDir()
	_, err := ReadContents(ctx, layer.MediaType(layer.Tar), &endless{&head, 4 << 20, stop}, "", "", true, dir)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("it ended with %v", err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}
