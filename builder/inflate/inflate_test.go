package inflate

import (
	"bytes"
	"compress/flate"
	"errors"
	"io"
	"math/rand"
	"os"
	"strings"
	"testing"
	"testing/iotest"
)

func squeeze(t testing.TB, content []byte, level int) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := flate.NewWriter(&b, level)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(content); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// samples are contents that reach every way of copying a match.
func samples() map[string][]byte {
	r := rand.New(rand.NewSource(1))
	random := make([]byte, 300_000)
	r.Read(random)
	skewed := make([]byte, 1_000_000)
	for i := range skewed {
		skewed[i] = byte(r.ExpFloat64() * 9)
	}
	var mixed []byte
	for len(mixed) < 2_000_000 {
		switch n := 1 + r.Intn(600); r.Intn(4) {
		case 0:
			mixed = append(mixed, random[:n]...)
		case 1: // short periods
			p := 1 + r.Intn(12)
			for i := range n {
				mixed = append(mixed, byte(i%p))
			}
		case 2:
			if from := len(mixed) - 1 - r.Intn(40_000); from >= 0 && len(mixed) > 0 {
				mixed = append(mixed, mixed[from:min(from+n, len(mixed))]...)
			}
		default:
			mixed = append(mixed, strings.Repeat("forge ", n/6)...)
		}
	}
	return map[string][]byte{
		"empty": {}, "one": {7}, "text": []byte("hello, hello, hello, world"), "zeros": make([]byte, 3_000_000),
		"random": random, "skewed": skewed, "mixed": mixed,
	}
}

func TestReader(t *testing.T) {
	for name, content := range samples() {
		for level := flate.HuffmanOnly; level <= flate.BestCompression; level++ {
			data := squeeze(t, content, level)
			for kind, src := range map[string]io.Reader{
				"whole": bytes.NewReader(data), "halves": iotest.HalfReader(bytes.NewReader(data)),
				"data with EOF": iotest.DataErrReader(bytes.NewReader(data)),
				"more follows":  io.MultiReader(bytes.NewReader(data), strings.NewReader("what follows is not the stream's")),
			} {
				z := New(src)
				got, err := io.ReadAll(z)
				if err != nil || !bytes.Equal(got, content) || z.Used() != int64(len(data)) {
					t.Fatalf("%s, level %d, %s: %v, %d bytes of %d, used %d of %d", name, level, kind, err, len(got), len(content), z.Used(), len(data))
				}
			}
		}
	}
	data := squeeze(t, samples()["text"], 9)
	got, err := io.ReadAll(New(iotest.OneByteReader(bytes.NewReader(data))))
	if err != nil || string(got) != "hello, hello, hello, world" {
		t.Fatal(string(got), err)
	}
}

// Literals with long codes in a row use up what is at hand; what follows them must be
// looked up anew. Bursts of rare bytes between common ones have such codes.
func TestLongCodes(t *testing.T) {
	z := New(nil)
	for seed := range int64(15) {
		r := rand.New(rand.NewSource(seed))
		rare := 16 << (seed % 5) // 16 to 256 rare bytes: codes of 8 to 15 bits
		content := make([]byte, 0, 300_000)
		for len(content) < 300_000 {
			for range 40 + r.Intn(400) {
				content = append(content, byte(r.ExpFloat64()*2))
			}
			for range r.Intn(16) {
				content = append(content, byte(r.Intn(rare)))
			}
			if from := len(content) - r.Intn(32_000); from >= 0 && r.Intn(3) == 0 {
				content = append(content, content[from:min(from+3+r.Intn(300), len(content))]...)
			}
		}
		for _, level := range []int{1, 6, 9, flate.HuffmanOnly} {
			data := squeeze(t, content, level)
			z.Reset(bytes.NewReader(data))
			got, err := io.ReadAll(z)
			if err != nil || !bytes.Equal(got, content) || z.Used() != int64(len(data)) {
				t.Fatalf("seed %d, level %d: %v", seed, level, err)
			}
		}
	}
}

func TestEveryCutIsSeen(t *testing.T) {
	content := samples()["mixed"][:3000]
	for _, level := range []int{0, 1, 9, flate.HuffmanOnly} {
		data := squeeze(t, content, level)
		for n := range data {
			if _, err := io.Copy(io.Discard, New(bytes.NewReader(data[:n]))); !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Fatalf("level %d, %d of %d bytes: %v", level, n, len(data), err)
			}
		}
	}
}

func TestCorrupt(t *testing.T) {
	for what, data := range map[string][]byte{
		"block type 3":               {0x07},
		"stored length":              {0x01, 1, 0, 0xFF, 0xFF, 0},
		"distance before the start":  {0x4b, 0x04, 0x12, 0x00},
		"286 and 30 symbols at most": {0x05, 0xFF, 0xFF},
		"repeat without a first":     {0x04, 0x80, 0x49, 0x92, 0x24, 0x49, 0x92, 0x24, 0x49, 0x92, 0x24, 0xff, 0xff},
		"fixed length code 286":      {0x1b, 0x03, 0, 0},
		"no codes for code lengths":  {0x05, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00},
		"three codes of length one":  {0x05, 0x00, 0x24, 0x01, 0x00, 0x00, 0x00, 0x00, 0x00},
	} {
		_, err := io.Copy(io.Discard, New(bytes.NewReader(append(data, make([]byte, 64)...))))
		_, std := io.Copy(io.Discard, flate.NewReader(bytes.NewReader(append(data, make([]byte, 64)...))))
		if !errors.Is(err, ErrCorrupt) || std == nil {
			t.Errorf("%s: %v (standard library: %v)", what, err, std)
		}
	}
}

// fixedBlock writes codes, given as strings of bits, most significant first, into one block.
func fixedBlock(codes ...string) []byte {
	var out []byte
	n := 0
	for _, b := range "110" + strings.Join(codes, "") { // final; type 1, least significant bit first
		if n%8 == 0 {
			out = append(out, 0)
		}
		out[n/8] |= byte(b-'0') << (n % 8)
		n++
	}
	return out
}

func TestDistanceBeforeTheStart(t *testing.T) {
	const a, three, end = "10010001", "0000001", "0000000"
	for distance, code := range map[int]string{1: "00000", 2: "00001", 3: "00010"} {
		got, err := io.ReadAll(New(bytes.NewReader(fixedBlock(a, a, three, code, end))))
		if distance <= 2 && (err != nil || string(got) != "aaaaa") || distance > 2 && !errors.Is(err, ErrCorrupt) {
			t.Errorf("distance %d: %q %v", distance, got, err)
		}
	}
}

func TestReadErrorsPass(t *testing.T) {
	want := errors.New("disk on fire")
	_, err := io.Copy(io.Discard, New(io.MultiReader(bytes.NewReader([]byte{4}), iotest.ErrReader(want))))
	if !errors.Is(err, want) {
		t.Fatal(err)
	}
}

// Fuzz compares with the standard library: what either reads, the other reads, except
// for codes that zlib refuses and the standard library takes.
func Fuzz(f *testing.F) {
	for _, content := range [][]byte{{}, []byte("hello, hello, hello, world"), samples()["mixed"][:2000]} {
		for _, level := range []int{0, 1, 9, flate.HuffmanOnly} {
			f.Add(squeeze(f, content, level))
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		const most = 4 << 20
		src := bytes.NewReader(data)
		std := flate.NewReader(src)
		want, stdErr := io.ReadAll(io.LimitReader(std, most))
		if len(want) == most {
			return
		}
		z := New(bytes.NewReader(data))
		got, err := io.ReadAll(io.LimitReader(z, most))
		if err == nil {
			if stdErr != nil {
				t.Fatalf("read what the standard library refuses: %v", stdErr)
			}
			if !bytes.Equal(got, want) {
				t.Fatal("read something else")
			}
			if used := int64(len(data) - src.Len()); z.Used() != used {
				t.Fatalf("used %d, the standard library %d", z.Used(), used)
			}
			return
		}
		if stdErr == nil && !errors.Is(err, ErrCorrupt) {
			t.Fatalf("%v, the standard library reads it", err)
		}
		if stdErr == nil {
			t.Logf("stricter: % x", data)
		}
	})
}

// Benchmark inflates the stream in FORGE_BENCH_DEFLATE.
func Benchmark(b *testing.B) {
	data := squeeze(b, samples()["mixed"], 6)
	if file := os.Getenv("FORGE_BENCH_DEFLATE"); file != "" {
		var err error
		if data, err = os.ReadFile(file); err != nil {
			b.Fatal(err)
		}
	}
	z := New(nil)
	var n int64
	for b.Loop() {
		z.Reset(bytes.NewReader(data))
		var err error
		if n, err = io.Copy(io.Discard, struct {
			io.WriterTo
			io.Reader
		}{z, z}); err != nil {
			b.Fatal(err)
		}
	}
	b.SetBytes(n)
}
