package layer

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/klauspost/compress/zstd"
)

func encoded(t testing.TB, ix *Index) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := ix.Encode(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestIndexComesBack(t *testing.T) {
	m := write(t, sample)
	b := encoded(t, m.res.Index)
	if !bytes.Equal(b, encoded(t, m.res.Index)) {
		t.Error("encoded twice, it differs")
	}
	got, err := DecodeIndex(iotest.OneByteReader(bytes.NewReader(b)))
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, m.res.Index) {
		t.Errorf("got  %+v\nwant %+v", got, m.res.Index)
	}
}

func TestOpenGivesEachFile(t *testing.T) {
	m := write(t, sample)
	for c, b := range m.blob {
		files := 0
		for _, e := range m.res.Index.Entries {
			r, err := m.res.Index.Open(c, bytes.NewReader(b), e.Path)
			if e.Type == Dir || e.Type == Symlink {
				if idOf(err) != "LAY-02" {
					t.Errorf("%s: %s is a %s: %v", c, e.Path, e.Type, err)
				}
				continue
			}
			if err != nil {
				t.Fatal(err)
			}
			h := sha256.New()
			n, err := io.Copy(h, r)
			if err != nil {
				t.Errorf("%s: %s: %v", c, e.Path, err)
			}
			if e.Type == Hardlink {
				to, _ := m.res.Index.Entry(e.Link)
				e.Size, e.SHA256 = to.Size, to.SHA256
			}
			if n != e.Size || hex.EncodeToString(h.Sum(nil)) != e.SHA256 {
				t.Errorf("%s: %s has %d bytes", c, e.Path, n)
			}
			files++
		}
		if files != 11 {
			t.Errorf("%d files", files)
		}
		if _, err := m.res.Index.Open(c, bytes.NewReader(b), "missing"); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("missing: %v", err)
		}
	}
	if _, err := m.res.Index.Open(Tar, bytes.NewReader(nil), "opt/ids"); idOf(err) != "LAY-02" {
		t.Errorf("codec tar: %v", err)
	}
}

func TestOpenWithholdsTheEnd(t *testing.T) {
	m := write(t, sample)
	const name = "opt/venv/lib/big2"
	for c, b := range m.blob {
		try := func(what string, b []byte, change func(*Entry)) {
			ix := *m.res.Index
			ix.Entries = append([]Entry(nil), ix.Entries...)
			e, _ := ix.Entry(name)
			e.Blobs = map[Codec]Place{c: e.Blobs[c]}
			change(e)
			r, err := ix.Open(c, bytes.NewReader(b), name)
			if err == nil {
				_, err = io.Copy(io.Discard, r)
			}
			if err == nil {
				t.Errorf("%s: %s was not seen", c, what)
			}
		}
		move := func(f func(*Place)) func(*Entry) {
			return func(e *Entry) { p := e.Blobs[c]; f(&p); e.Blobs[c] = p }
		}
		e, _ := m.res.Index.Entry(name)
		p := e.Blobs[c]
		for _, at := range []int64{0, 5, p.Length / 2, p.Length - 5, p.Length - 1} {
			if c == Zstd && at == 5 {
				continue // the window's size: another one gives the same content
			}
			broken := bytes.Clone(b)
			broken[p.Offset+at] ^= 4
			try("a changed bit", broken, func(*Entry) {})
		}
		try("a cut blob", b[:p.Offset+p.Length-1], func(*Entry) {})
		try("another sha256", b, func(e *Entry) { e.SHA256 = strings.Repeat("0", 64) })
		try("one byte less", b, func(e *Entry) { e.Size-- })
		try("one byte more", b, func(e *Entry) { e.Size++ })
		try("a block more", b, func(e *Entry) { e.Size += block })
		try("a place one byte on", b, move(func(p *Place) { p.Offset++ }))
		try("a place one byte shorter", b, move(func(p *Place) { p.Length-- }))
		try("a place of the next member too", b, move(func(p *Place) { p.Length += 200 }))
		try("a place of nothing", b, move(func(p *Place) { p.Length = 3 }))
		if c == Zstd {
			try("less before the content", b, move(func(p *Place) { p.Skip -= block }))
		}
	}
}

// zipped compresses what could be an index.
func zipped(t testing.TB, s string) []byte {
	t.Helper()
	var b bytes.Buffer
	z, err := zstd.NewWriter(&b, zstdOptions...)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(z, s); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

const (
	indexSum  = "0000000000000000000000000000000000000000000000000000000000000000"
	indexHead = `{"format":1,"diffID":"sha256:` + indexSum + `","unpacked":4096,"blobs":{"gzip":{"digest":"sha256:` + indexSum + `","size":1000}},"entries":2}` + "\n"
	indexDir  = `{"path":"a","type":"dir","mode":493,"uid":0,"gid":0,"size":0}` + "\n"
	indexFile = `{"path":"a/b","type":"file","mode":420,"uid":0,"gid":0,"size":5,"sha256":"` + indexSum + `","owner":"x","blobs":{"gzip":{"offset":100,"length":50}}}` + "\n"
)

func TestDecodeIndexRefuses(t *testing.T) {
	good := indexHead + indexDir + indexFile
	with := func(pairs ...string) string { return strings.NewReplacer(pairs...).Replace(good) }
	rows := []struct{ id, name, text string }{
		{"accepted", "as it should be", good},
		{"LAY-01", "nothing", ""},
		{"LAY-01", "no entries", indexHead},
		{"LAY-01", "another format", with(`"format":1`, `"format":2`)},
		{"LAY-01", "an unknown field", with(`"size":5`, `"size":5,"more":1`)},
		{"LAY-01", "a key twice", with(`"size":5`, `"size":5,"size":5`)},
		{"LAY-01", "a key in capitals", with(`"size":5`, `"Size":5`)},
		{"LAY-01", "a blank", with(`"size":5`, `"size": 5`)},
		{"LAY-01", "another order", with(`"uid":0,"gid":0`, `"gid":0,"uid":0`)},
		{"LAY-01", "an empty field", with(`"owner":"x"`, `"owner":""`)},
		{"LAY-01", "two values in a line", with(indexDir, strings.TrimSpace(indexDir)+"{}\n")},
		{"LAY-01", "a third entry", good + strings.Replace(indexFile, "a/b", "a/c", 1)},
		{"LAY-01", "a line that does not end", strings.TrimSpace(good)},
		{"LAY-01", "too few entries", indexHead + indexDir},
		{"LAY-01", "negative entries", with(`"entries":2`, `"entries":-1`)},
		{"LAY-01", "2⁴⁰ entries", with(`"entries":2`, `"entries":1099511627776`)},
		{"LAY-01", "a path twice", indexHead + indexDir + indexDir},
		{"LAY-01", "no folder before", strings.Replace(indexHead, `"entries":2`, `"entries":1`, 1) + indexFile},
		{"LAY-01", "a path that leaves", with(`"a/b"`, `"../b"`)},
		{"LAY-01", "an absolute path", with(`"a/b"`, `"/b"`)},
		{"LAY-01", "a whiteout", with(`"a/b"`, `"a/.wh.b"`)},
		{"LAY-01", "a device", with(`"type":"file"`, `"type":"char"`)},
		{"LAY-01", "a folder with a size", with(`"mode":493,"uid":0,"gid":0,"size":0`, `"mode":493,"uid":0,"gid":0,"size":1`)},
		{"LAY-01", "a negative size", with(`"size":5`, `"size":-5`)},
		{"LAY-01", "more than the layer has", with(`"size":5`, `"size":5000`)},
		{"LAY-01", "no sha256", with(`"sha256":"`+indexSum+`","owner"`, `"owner"`)},
		{"LAY-01", "a sha256 in capitals", with(`"sha256":"0`, `"sha256":"A`)},
		{"LAY-01", "a diffID without algorithm", with(`"diffID":"sha256:`, `"diffID":"`)},
		{"LAY-01", "no blobs", with(`"blobs":{"gzip":{"digest":"sha256:`+indexSum+`","size":1000}}`, `"blobs":{}`)},
		{"LAY-01", "an unknown codec", with(`"gzip"`, `"bzip2"`)},
		{"LAY-01", "a place in another codec", with(`"blobs":{"gzip":{"offset"`, `"blobs":{"zstd":{"offset"`)},
		{"LAY-01", "a place beyond the blob", with(`"offset":100`, `"offset":951`)},
		{"LAY-01", "a place that overflows", with(`"offset":100,"length":50`, `"offset":100,"length":9223372036854775807`)},
		{"LAY-01", "an offset that overflows", with(`"offset":100`, `"offset":9223372036854775807`)},
		{"LAY-01", "a number beyond 64 bits", with(`"offset":100`, `"offset":18446744073709551617`)},
		{"LAY-01", "a negative offset", with(`"offset":100`, `"offset":-100`)},
		{"LAY-01", "no length", with(`"length":50`, `"length":0`)},
		{"LAY-01", "bytes before gzip content", with(`"length":50`, `"length":50,"skip":512`)},
		{"LAY-01", "no place", with(`,"blobs":{"gzip":{"offset":100,"length":50}}}`, `}`)},
		{"LAY-01", "control characters in the owner", with(`"owner":"x"`, `"owner":"\u001b"`)},
		{"LAY-01", "a link of a file", with(`"size":5`, `"size":5,"link":"a"`)},
		{"LAY-01", "ELF facts of a folder", with(indexDir, strings.Replace(indexDir, `}`, `,"elf":{}}`, 1))},
		{"LAY-01", "a deep value", with(`"owner":"x"`, `"owner":`+strings.Repeat("[", 100_000))},
		{"LAY-01", "a line of 5 MB", with(`"owner":"x"`, `"owner":"`+strings.Repeat("x", 5<<20)+`"`)},
	}
	for _, row := range rows {
		_, err := DecodeIndex(bytes.NewReader(zipped(t, row.text)))
		if idOf(err) != row.id {
			t.Errorf("%s: %s is %v", row.id, row.name, err)
		}
	}
	overlap := strings.Replace(indexHead, `"entries":2`, `"entries":3`, 1) + indexDir + indexFile +
		strings.Replace(strings.Replace(indexFile, "a/b", "a/c", 1), `"offset":100`, `"offset":149`, 1)
	if _, err := DecodeIndex(bytes.NewReader(zipped(t, overlap))); idOf(err) != "LAY-01" {
		t.Errorf("places that overlap: %v", err)
	}
	for name, b := range map[string][]byte{"not zstd": []byte("{}"), "cut off": zipped(t, good)[:40],
		"two frames, the second with more": append(zipped(t, good), zipped(t, "x")...)} {
		if _, err := DecodeIndex(bytes.NewReader(b)); idOf(err) != "LAY-01" {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A small index must not become a large one in memory.
func TestIndexBomb(t *testing.T) {
	var b bytes.Buffer
	z, err := zstd.NewWriter(&b, zstdOptions...)
	if err != nil {
		t.Fatal(err)
	}
	line := []byte(strings.Repeat("x", 1<<20))
	for range 64 {
		if _, err := z.Write(line); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	for _, limit := range []int{1, 20} {
		m := &meter{in: &counter{}, r: bytes.NewReader(bytes.Repeat([]byte{0}, limit<<20))}
		_, err := io.Copy(io.Discard, m)
		if want := map[int]string{1: "accepted", 20: "LAY-01"}[limit]; idOf(err) != want {
			t.Errorf("%d MiB from nothing: %v", limit, err)
		}
	}
	if _, err := DecodeIndex(&b); idOf(err) != "LAY-01" {
		t.Errorf("got %v", err)
	}
}

func FuzzDecodeIndex(f *testing.F) {
	f.Add([]byte(indexHead + indexDir + indexFile))
	f.Add([]byte(strings.Replace(indexHead, `"entries":2`, `"entries":1`, 1) + indexDir))
	f.Add(zipped(f, indexHead+indexDir+indexFile))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, p := range [][]byte{b, zipped(t, string(b))} {
			ix, err := DecodeIndex(bytes.NewReader(p))
			if err != nil {
				continue
			}
			again, err := DecodeIndex(bytes.NewReader(encoded(t, ix)))
			if err != nil || !reflect.DeepEqual(ix, again) {
				t.Fatalf("%v: %+v is %+v", err, ix, again)
			}
			for _, e := range ix.Entries {
				for c, p := range e.Blobs {
					if p.Offset < 0 || p.Length <= 0 || p.Offset+p.Length > ix.Blobs[c].Size {
						t.Fatalf("place %+v", p)
					}
				}
			}
		}
	})
}
