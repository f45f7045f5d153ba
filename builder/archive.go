package builder

import (
	"archive/tar"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/klauspost/compress/zstd"
)

// WriteFile writes through a temporary file beside path and renames it, so that path holds
// the old bytes or all the new ones. A folder, device or symbolic link there is an error.
func WriteFile(path string, write func(w io.Writer) error) (err error) {
	info, err := os.Lstat(path)
	if err == nil && !info.Mode().IsRegular() {
		return fmt.Errorf("writing %q: it is there and no regular file (%s)", path, info.Mode().Type())
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("writing %q: %w", path, err)
	}
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return fmt.Errorf("writing %q: %w", path, err)
	}
	defer os.Remove(f.Name()) // nothing after the rename
	err = write(f)
	if err == nil {
		err = errors.Join(f.Chmod(0o644), f.Sync())
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("writing %q: %w", path, err)
	}
	return nil
}

// DockerArchive writes an image as docker load reads it, under a reference. gzip layers stay
// as they are; zstd, which old engines cannot read, is unpacked to tar. The config is the
// image's own, so the image ID is the same everywhere.
func DockerArchive(w io.Writer, dir, reference string) error {
	l, err := ReadLayout(dir)
	if err != nil {
		return err
	}
	t := tar.NewWriter(w)
	entry := map[string]any{"Config": l.Manifest.Config.Digest.Hex + ".json", "RepoTags": []string{reference}}
	if err := addBlob(t, dir, l.Manifest.Config, l.Manifest.Config.Digest.Hex+".json"); err != nil {
		return err
	}
	var names []string
	written := map[string]bool{}
	for i, d := range l.Manifest.Layers {
		name := l.Config.RootFS.DiffIDs[i].Hex + ".tar"
		names = append(names, name)
		if written[name] {
			continue
		}
		written[name] = true
		if err := addUnpacked(t, dir, d, l.Config.RootFS.DiffIDs[i], name); err != nil {
			return err
		}
	}
	entry["Layers"] = names
	raw, err := json.Marshal([]any{entry})
	if err != nil {
		return fmt.Errorf("internal error: %w", err)
	}
	return errors.Join(addBytes(t, "manifest.json", raw), t.Close())
}

// OCIArchive writes an image as an OCI layout in a tar, under the name that containerd's
// import looks for.
func OCIArchive(w io.Writer, dir, reference string) error {
	l, err := ReadLayout(dir)
	if err != nil {
		return err
	}
	digest, err := v1.NewHash(l.Digest)
	if err != nil {
		return fmt.Errorf("internal error: %w", err)
	}
	info, err := os.Stat(filepath.Join(dir, "blobs", "sha256", digest.Hex))
	if err != nil {
		return fmt.Errorf("reading image: %w", err)
	}
	m := v1.Descriptor{MediaType: types.OCIManifestSchema1, Size: info.Size(), Digest: digest,
		Annotations: map[string]string{"io.containerd.image.name": reference, "org.opencontainers.image.ref.name": reference}}
	index, err := json.Marshal(v1.IndexManifest{SchemaVersion: 2, MediaType: types.OCIImageIndex, Manifests: []v1.Descriptor{m}})
	if err != nil {
		return fmt.Errorf("internal error: %w", err)
	}
	t := tar.NewWriter(w)
	if err := errors.Join(addBytes(t, "oci-layout", []byte(`{"imageLayoutVersion":"1.0.0"}`)), addBytes(t, "index.json", index)); err != nil {
		return err
	}
	for _, folder := range []string{"blobs/", "blobs/sha256/"} { // without them skopeo makes them and gives them to root, which an ordinary user cannot
		if err := t.WriteHeader(&tar.Header{Name: folder, Mode: 0o755, Typeflag: tar.TypeDir, Format: tar.FormatPAX}); err != nil {
			return err
		}
	}
	written := map[string]bool{}
	for _, d := range append([]v1.Descriptor{m, l.Manifest.Config}, l.Manifest.Layers...) {
		if written[d.Digest.Hex] {
			continue
		}
		written[d.Digest.Hex] = true
		if err := addBlob(t, dir, d, "blobs/sha256/"+d.Digest.Hex); err != nil {
			return err
		}
	}
	return t.Close()
}

func addBytes(t *tar.Writer, name string, raw []byte) error {
	return add(t, name, int64(len(raw)), strings.NewReader(string(raw)))
}

func add(t *tar.Writer, name string, size int64, r io.Reader) error {
	if err := t.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: size, Typeflag: tar.TypeReg, Format: tar.FormatPAX}); err != nil {
		return err
	}
	n, err := io.Copy(t, r)
	if err == nil && n != size {
		err = fmt.Errorf("%s has %d bytes, expected %d", name, n, size)
	}
	return err
}

// addBlob adds a blob of a layout as it is, hashed while it is read.
func addBlob(t *tar.Writer, dir string, d v1.Descriptor, name string) error {
	f, err := os.Open(filepath.Join(dir, "blobs", "sha256", d.Digest.Hex))
	if err != nil {
		return fmt.Errorf("reading image: %w", err)
	}
	defer f.Close()
	return add(t, name, d.Size, newHashed(f, d.Digest))
}

// addUnpacked adds a layer in a form that every engine reads.
func addUnpacked(t *tar.Writer, dir string, d v1.Descriptor, diffID v1.Hash, name string) error {
	if !strings.HasSuffix(string(d.MediaType), "+zstd") {
		return addBlob(t, dir, d, name)
	}
	open := func() (io.ReadCloser, func() error, error) {
		f, err := os.Open(filepath.Join(dir, "blobs", "sha256", d.Digest.Hex))
		if err != nil {
			return nil, nil, fmt.Errorf("reading image: %w", err)
		}
		z, err := zstd.NewReader(f, zstd.WithDecoderConcurrency(1))
		if err != nil {
			return nil, f.Close, err
		}
		return z.IOReadCloser(), f.Close, nil
	}
	// A tar header states the size before the bytes, and nobody has written it down.
	r, done, err := open()
	if err != nil {
		return err
	}
	size, err := io.Copy(io.Discard, r)
	if err = errors.Join(err, r.Close(), done()); err != nil {
		return fmt.Errorf("unpacking layer %s: %w", d.Digest, err)
	}
	if r, done, err = open(); err != nil {
		return err
	}
	return errors.Join(add(t, name, size, newHashed(r, diffID)), r.Close(), done())
}

// hashed withholds the end of its bytes when they are not the ones that were due.
type hashed struct {
	r    io.Reader
	want v1.Hash
	h    interface {
		io.Writer
		Sum([]byte) []byte
	}
}

func newHashed(r io.Reader, want v1.Hash) *hashed {
	h, _ := v1.Hasher("sha256") // known to the library
	return &hashed{r, want, h}
}

func (h *hashed) Read(p []byte) (int, error) {
	n, err := h.r.Read(p)
	_, _ = h.h.Write(p[:n]) // never fails
	if err == io.EOF {
		if got := fmt.Sprintf("%x", h.h.Sum(nil)); got != h.want.Hex {
			return n, fmt.Errorf("the bytes have sha256 %s, expected %s", got, h.want.Hex)
		}
	}
	return n, err
}
