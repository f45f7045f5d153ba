package wheel

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestRealWheels reads every wheel of the folders in FORGE_TEST_WHEELS (separated by the
// system's list separator) whole: structure, metadata, and each file's length, CRC and hash.
func TestRealWheels(t *testing.T) {
	dirs := os.Getenv("FORGE_TEST_WHEELS")
	if dirs == "" {
		t.Skip("FORGE_TEST_WHEELS is not set: no real wheels to read")
	}
	var files []string
	for _, dir := range filepath.SplitList(dirs) {
		found, err := filepath.Glob(filepath.Join(dir, "*.whl"))
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, found...)
	}
	if len(files) == 0 {
		t.Fatal("no wheels in FORGE_TEST_WHEELS")
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			f, err := os.Open(file)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			info, err := f.Stat()
			if err != nil {
				t.Fatal(err)
			}
			w, err := Open(f, info.Size(), filepath.Base(file))
			if err != nil {
				var e *Error
				if !errors.As(err, &e) {
					t.Errorf("not an *Error")
				}
				t.Fatal(err)
			}
			for _, x := range w.Findings {
				t.Logf("finding %s %s: %s", x.ID, x.Entry, x.Reason)
			}
			if info.Size() > 100<<20 && os.Getenv("FORGE_TEST_WHEELS_ALL") == "" || strings.HasPrefix(os.Getenv("FORGE_TEST_WHEELS_ALL"), "0") {
				return
			}
			for _, x := range w.Files {
				if err := w.Copy(io.Discard, x); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}
