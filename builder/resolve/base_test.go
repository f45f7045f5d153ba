package resolve

import (
	"errors"
	"strings"
	"testing"

	"github.com/forge-build/forge/builder/base"
	"github.com/forge-build/forge/builder/convert"
	"github.com/forge-build/forge/builder/layer"
	"github.com/forge-build/forge/builder/store"
	"github.com/forge-build/forge/recipes/lock"
)

// A wheel that was built with a newer GCC than the base has would fail at import.
func TestWhatWheelsNeedOfLibstdcxxIsCompared(t *testing.T) {
	st, err := store.Open(t.TempDir() + "/store")
	if err != nil {
		t.Fatal(err)
	}
	fits := func(entries ...layer.Entry) error {
		t.Helper()
		p, err := st.Create()
		if err != nil {
			t.Fatal(err)
		}
		zero := "sha256:" + strings.Repeat("0", 64)
		ix := layer.Index{DiffID: zero, Unpacked: 1 << 20, Blobs: map[layer.Codec]layer.Blob{layer.Gzip: {Digest: zero, Size: 1}}, Entries: entries}
		if err := ix.Encode(p); err != nil {
			t.Fatal(err)
		}
		sum, err := p.Commit("")
		if err != nil {
			t.Fatal(err)
		}
		b := &base.Image{Lock: lock.Base{Reference: "registry.test/py", Libc: "glibc 2.36", Libstdcxx: "3.4.30"}}
		return Fits(b, nil, []convert.Made{{Layer: lock.Layer{Kind: "wheels"}, Index: sum}}, st)
	}
	file := func(path, glibcxx string) layer.Entry {
		return layer.Entry{Path: path, Type: layer.Regular, SHA256: strings.Repeat("0", 64), ELF: &layer.ELF{GLIBCXX: glibcxx}}
	}
	if err := fits(file("a.so", "3.4.9"), file("b.so", "3.4.30"), file("c.so", "")); err != nil {
		t.Error(err)
	}
	var unfit *base.UnfitError
	if err := fits(file("a.so", "3.4.9"), file("b.so", "3.4.32")); !errors.As(err, &unfit) || !strings.Contains(err.Error(), "GLIBCXX_3.4.32") {
		t.Errorf("a newer libstdc++ is needed: %v", err)
	}
	if err := fits(file("b.so", "3.4.32"), file("libstdc++.so.6", "")); err != nil {
		t.Errorf("a wheel brings its own: %v", err)
	}
}
