package push

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"regexp"
	"sort"
	"strings"
)

// inArchive are the names of an OCI layout that are taken from an archive (OCI-08).
var inArchive = regexp.MustCompile(`^(?:oci-layout|index\.json|blobs/sha256/[0-9a-f]{64})$`)

// Unpack brings an OCI layout out of a tar into a folder, which must be empty. Links and
// devices are refused; other files, which some programs add, are left out.
func Unpack(r io.Reader, dir string) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return fmt.Errorf("unpacking archive: %w", err)
	}
	defer root.Close()
	if err := root.MkdirAll("blobs/sha256", 0o755); err != nil {
		return fmt.Errorf("unpacking archive: %w", err)
	}
	t := tar.NewReader(r)
	for {
		h, err := t.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("unpacking archive: %w", err)
		}
		name := path.Clean(h.Name)
		if h.Typeflag == tar.TypeDir || !inArchive.MatchString(name) {
			continue
		}
		if h.Typeflag != tar.TypeReg {
			return refuse("OCI-08", "archive: %s is not a regular file", name)
		}
		for k := range h.PAXRecords {
			if strings.HasPrefix(k, "GNU.sparse.") { // it would take more room than the archive has
				return refuse("OCI-08", "archive: %s is a file with holes", name)
			}
		}
		f, err := root.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
		if err != nil {
			return refuse("OCI-08", "archive: %s cannot be unpacked: %v", name, err)
		}
		_, err = io.Copy(f, t)
		if err = errors.Join(err, f.Close()); err != nil {
			return fmt.Errorf("unpacking archive: %w", err)
		}
	}
}

// Pack writes a layout as a tar, whose bytes depend on the layout alone.
func Pack(w io.Writer, dir string) error {
	l, err := OpenLayout(dir)
	if err != nil {
		return err
	}
	defer l.Close()
	list, err := l.root.Open("blobs/sha256")
	if err != nil {
		return fmt.Errorf("packing layout %q: %w", dir, err)
	}
	names, err := list.Readdirnames(-1)
	if err = errors.Join(err, list.Close()); err != nil {
		return fmt.Errorf("packing layout %q: %w", dir, err)
	}
	sort.Strings(names)
	t := tar.NewWriter(w)
	for _, folder := range []string{"blobs/", "blobs/sha256/"} { // without them skopeo makes them and gives them to root, which an ordinary user cannot
		if err := t.WriteHeader(&tar.Header{Name: folder, Mode: 0o755, Typeflag: tar.TypeDir, Format: tar.FormatPAX}); err != nil {
			return fmt.Errorf("packing layout %q: %w", dir, err)
		}
	}
	for _, name := range append([]string{"oci-layout", "index.json"}, names...) {
		if path.Ext(name) == "" && name != "oci-layout" {
			name = "blobs/sha256/" + name
		}
		if !inArchive.MatchString(name) {
			continue // a blob that never arrived whole
		}
		f, size, err := l.open(name)
		if err != nil {
			return err
		}
		err = t.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: size, Typeflag: tar.TypeReg, Format: tar.FormatPAX})
		if err == nil {
			_, err = io.Copy(t, f)
		}
		if err = errors.Join(err, f.Close()); err != nil {
			return fmt.Errorf("packing layout %q: %w", dir, err)
		}
	}
	return t.Close()
}
