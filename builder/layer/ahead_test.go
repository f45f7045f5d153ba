package layer

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
)

// told is what a reader of a layer tells: each entry with its content's sum, then how it ended.
func told(read func(Codec, io.Reader, func(Header, io.Reader) error) (string, int64, error), codec Codec, r io.Reader, fail string) []string {
	var out []string
	diffID, n, err := read(codec, r, func(h Header, content io.Reader) error {
		if h.Path == fail {
			return errors.New("no more")
		}
		sum := sha256.New()
		if h.Size%2 == 0 { // some are left to the reader
			if _, err := io.Copy(sum, content); err != nil {
				return err
			}
		}
		out = append(out, fmt.Sprintf("%s %d %x", h.Path, h.Size, sum.Sum(nil)))
		return nil
	})
	return append(out, fmt.Sprint(diffID, " ", n, " ", err))
}

// Reading ahead changes neither what is read nor how it ends, wherever that is.
func TestSurveyTellsWhatMeasureTells(t *testing.T) {
	noise := rand.New(rand.NewPCG(1, 2))
	contents := []string{"", "short", strings.Repeat("y", chunkSize), strings.Repeat("z", chunkSize+1)}
	large := make([]byte, 7*chunkSize+13)
	for i := range large {
		large[i] = byte(noise.Uint32())
	}
	contents = append(contents, string(large), "after it")
	var gz, zst bytes.Buffer
	w, err := NewWriter(map[Codec]io.Writer{Gzip: &gz, Zstd: &zst})
	if err != nil {
		t.Fatal(err)
	}
	for i, c := range contents {
		if err := w.Add(Header{Path: fmt.Sprint("f", i), Type: Regular, Mode: 0o644, Size: int64(len(c))}, strings.NewReader(c), nil); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := w.Close(); err != nil {
		t.Fatal(err)
	}
	for codec, blob := range map[Codec][]byte{Gzip: gz.Bytes(), Zstd: zst.Bytes()} {
		same := func(name string, fail string, open func() io.Reader) {
			t.Helper()
			want, got := told(Measure, codec, open(), fail), told(Survey, codec, open(), fail)
			if d := cmp.Diff(want, got); d != "" {
				t.Errorf("%s, %s: %s", codec, name, d)
			}
		}
		if all := told(Survey, codec, bytes.NewReader(blob), ""); len(all) != len(contents)+1 || !strings.HasSuffix(all[len(contents)], "<nil>") {
			t.Fatalf("%s: %q", codec, all)
		}
		same("whole", "", func() io.Reader { return bytes.NewReader(blob) })
		same("byte by byte", "", func() io.Reader { return iotest.OneByteReader(bytes.NewReader(blob)) })
		same("data with the end", "", func() io.Reader { return iotest.DataErrReader(bytes.NewReader(blob)) })
		for i := range contents {
			same("ended by its user", fmt.Sprint("f", i), func() io.Reader { return bytes.NewReader(blob) })
		}
		for cut := 0; cut < len(blob); cut += 1 + len(blob)/199 {
			same(fmt.Sprint("cut off after ", cut), "", func() io.Reader { return bytes.NewReader(blob[:cut]) })
			same(fmt.Sprint("broken after ", cut), "", func() io.Reader {
				return io.MultiReader(bytes.NewReader(blob[:cut]), iotest.ErrReader(errors.New("the disk is gone")))
			})
			same(fmt.Sprint("changed at ", cut), "", func() io.Reader {
				other := bytes.Clone(blob)
				other[cut] ^= 0x55
				return bytes.NewReader(other)
			})
		}
	}
}

// Once Survey has returned nobody reads any more, however it ended: the file may be closed.
func TestSurveyLeavesItsReaderAlone(t *testing.T) {
	var blob bytes.Buffer
	w, err := NewWriter(map[Codec]io.Writer{Zstd: &blob})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 40 {
		c := strings.Repeat(fmt.Sprint(i), chunkSize)
		if err := w.Add(Header{Path: fmt.Sprint("f", i), Type: Regular, Mode: 0o644, Size: int64(len(c))}, strings.NewReader(c), nil); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := w.Close(); err != nil {
		t.Fatal(err)
	}
	for i := range 40 {
		r := &closable{r: bytes.NewReader(blob.Bytes())}
		_, _, err := Survey(Zstd, r, func(h Header, _ io.Reader) error {
			if h.Path == fmt.Sprint("f", i) {
				return errors.New("no more")
			}
			return nil
		})
		r.closed = true // the race detector sees it, too
		if err == nil || err.Error() != "no more" {
			t.Errorf("it ended with %v", err)
		}
	}
}

type closable struct {
	r      io.Reader
	closed bool
}

func (c *closable) Read(p []byte) (int, error) {
	if c.closed {
		panic("read after the end")
	}
	return c.r.Read(p)
}
