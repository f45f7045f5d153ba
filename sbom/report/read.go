package report

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
)

// maxDocument bounds a document that is read. That of a PyTorch image has 100 KB, one of
// 100,000 packages about 40 MB.
const maxDocument = 64 << 20

// ReadFile reads a document that Write wrote. It must be a regular file, of this format,
// without a field that this format does not have. A missing file is fs.ErrNotExist.
func ReadFile(path string) (*Report, error) {
	// Neither a link to elsewhere nor a pipe that never ends is a report.
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("reading report: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("reading report: %w", err)
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("reading report %q: it is no regular file", path)
	}
	r, err := Read(f)
	if err != nil {
		return nil, fmt.Errorf("reading report %q: %w", path, err)
	}
	return r, nil
}

// Read reads a document that Write wrote.
func Read(in io.Reader) (*Report, error) {
	raw, err := io.ReadAll(io.LimitReader(in, maxDocument+1))
	if err != nil {
		return nil, err
	}
	if len(raw) > maxDocument {
		return nil, fmt.Errorf("it is larger than %d bytes", maxDocument)
	}
	var head struct {
		Format int `json:"format"`
	}
	if err := json.Unmarshal(raw, &head); err != nil {
		return nil, err
	}
	if head.Format != Format {
		return nil, fmt.Errorf("its format is %d, this forge knows %d", head.Format, Format)
	}
	d := json.NewDecoder(bytes.NewReader(raw)) // one value and nothing behind it, as Unmarshal has seen
	d.DisallowUnknownFields()
	var r Report
	if err := d.Decode(&r); err != nil {
		return nil, err
	}
	return &r, r.check()
}

// check refuses a report that lacks what each has.
func (r *Report) check() error {
	if !isDigest(r.Image.Digest) {
		return fmt.Errorf("the image's digest %+.80q is no sha256", r.Image.Digest)
	}
	for i, l := range r.Layers {
		if !isDigest(l.Digest) || !isSize(l.Size) || !isSize(l.Unpacked) {
			return fmt.Errorf("layer %d has digest %+.80q, %d and %d bytes", i+1, l.Digest, l.Size, l.Unpacked)
		}
	}
	for _, p := range r.Packages {
		if !isSize(p.Size) || p.Files < 0 {
			return fmt.Errorf("package %+.80q has %d bytes in %d files", p.Name, p.Size, p.Files)
		}
	}
	return nil
}

// isSize bounds sizes to what sums of a document's worth of them can hold.
func isSize(n int64) bool { return n >= 0 && n < 1<<42 }

func isDigest(s string) bool {
	sum, ok := strings.CutPrefix(s, "sha256:")
	return ok && len(sum) == 64 && strings.Trim(sum, "0123456789abcdef") == ""
}

// Write writes the JSON document.
func (r *Report) Write(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", " ")
	return e.Encode(r)
}
