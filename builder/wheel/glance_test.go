package wheel

import (
	"bytes"
	"io"
	"strings"
	"testing"
)

// seen notes how much of an archive was read.
type seen struct {
	io.ReaderAt
	n int64
}

func (s *seen) ReadAt(b []byte, off int64) (int, error) {
	n, err := s.ReaderAt.ReadAt(b, off)
	s.n += int64(n)
	return n, err
}

func TestReadMetadata(t *testing.T) {
	metadata := func(p parts, change func(a *archive)) ([]byte, int64, error) {
		a := p.archive()
		if change != nil {
			change(a)
		}
		b := a.bytes()
		file := demoFile
		if p.file != "" {
			file = p.file
		}
		r := &seen{ReaderAt: bytes.NewReader(b)}
		got, err := ReadMetadata(r, int64(len(b)), file)
		return got, r.n, err
	}
	info := func(a *archive) int { return a.index("demo-1.0.dist-info/METADATA") }
	for _, tt := range []struct {
		what, id string
		p        parts
		change   func(a *archive)
	}{
		{"as it should be", "", parts{}, nil},
		{"another spelling", "", parts{info: "Demo-1.0.0.dist-info"}, nil},
		{"ZIP64", "", parts{}, func(a *archive) { a.zip64 = true }},
		// What does not concern METADATA is judged when the wheel is taken.
		{"tags of another interpreter", "", parts{wheel: strings.Replace(demoWheel, "py3", "py2", 1)}, nil},
		{"no RECORD", "", parts{noRecord: true}, nil},
		{"a path that leaves", "", parts{files: []text{{"../x", "x"}}}, nil},
		{"a file in etc", "", parts{files: []text{{"demo-1.0.data/data/etc/ld.so.preload", "x"}}}, nil},
		{"a dist-info of others", "", parts{files: []text{{"other-1.0.dist-info/METADATA", "x"}}}, nil},

		{"no METADATA", "WHL-02", parts{info: "other-1.0.dist-info"}, nil},
		{"of another version", "WHL-02", parts{file: "demo-1.1-py3-none-any.whl"}, nil},
		{"two METADATA", "WHL-02", parts{files: []text{{"Demo-1.0.dist-info/METADATA", "x"}}}, nil},
		{"METADATA twice", "WHL-02", parts{}, func(a *archive) {
			a.local, a.central = append(a.local, a.local[info(a)]), append(a.central, a.central[info(a)])
		}},
		{"a link", "ZIP-02", parts{}, func(a *archive) { a.central[info(a)].attr = 0o120777 << 16 }},
		{"another method", "ZIP-08", parts{}, func(a *archive) { a.central[info(a)].method = 14 }},
		{"another name in the local header", "ZIP-04", parts{}, func(a *archive) { a.local[info(a)].name = "demo-1.0.dist-info/METADATB" }},
		{"another size in the local header", "ZIP-06", parts{}, func(a *archive) { a.local[info(a)].usize++ }},
		{"outside", "ZIP-04", parts{}, func(a *archive) { a.central[info(a)].offset = 1 << 30 }},
		{"another entry's place", "ZIP-04", parts{}, func(a *archive) { a.central[info(a)].offset = 1 }},
		{"a wrong checksum", "ZIP-09", parts{}, func(a *archive) { a.central[info(a)].crc++; a.local[info(a)].crc++ }},
		{"1 MiB and a byte", "WHL-05", parts{metadata: pad(demoMetadata, 1<<20+1)}, nil},
		{"bytes after the end", "ZIP-10", parts{}, func(a *archive) { a.last = []byte("0123456789") }},
		{"a directory of another size", "ZIP-04", parts{}, func(a *archive) { a.end.size = 1 }},
		{"one entry more", "ZIP-04", parts{}, func(a *archive) { a.end.here, a.end.total = 1, 1 }},
		{"no wheel", "WHL-08", parts{file: "demo.whl"}, nil},
	} {
		t.Run(tt.what, func(t *testing.T) {
			got, _, err := metadata(tt.p, tt.change)
			wantID(t, err, tt.id)
			if want := demoMetadata; err == nil && string(got) != want {
				t.Errorf("%q", got)
			}
		})
	}
	large := parts{files: []text{{"demo/large", strings.Repeat("0123456789", 1<<20)}}}
	if got, n, err := metadata(large, nil); string(got) != demoMetadata || n > 10_000 {
		t.Errorf("%d bytes were read: %q %v", n, got, err)
	}
}
