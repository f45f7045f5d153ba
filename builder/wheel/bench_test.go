package wheel

import (
	"io"
	"os"
	"path/filepath"
	"testing"
)

// BenchmarkInflate reads the largest file of the wheel in FORGE_BENCH_WHEEL.
func BenchmarkInflate(b *testing.B) {
	file := os.Getenv("FORGE_BENCH_WHEEL")
	if file == "" {
		b.Skip("FORGE_BENCH_WHEEL is not set")
	}
	f, err := os.Open(file)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		b.Fatal(err)
	}
	w, err := Open(f, info.Size(), filepath.Base(file))
	if err != nil {
		b.Fatal(err)
	}
	big := w.Files[0]
	for _, x := range w.Files {
		if x.Size > big.Size {
			big = x
		}
	}
	b.SetBytes(big.Size)
	for b.Loop() {
		if err := w.inflate(big, io.Discard); err != nil {
			b.Fatal(err)
		}
	}
}
