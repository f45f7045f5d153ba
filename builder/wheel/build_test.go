package wheel

import (
	"bytes"
	"compress/flate"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"strconv"
	"testing"
)

// record is one local header or one central directory record; every field is written as
// it stands, so that two records can disagree.
type record struct {
	sig            uint32
	name           string
	madeBy, need   uint16
	flags, method  uint16
	time, date     uint16
	crc            uint32
	csize, usize   uint32
	extra          []byte
	comment        string
	disk           uint16
	attr           uint32
	offset         int64 // central only; -1: where the local record of the same index lies
	data, trailing []byte
	size           uint32 // real length of the content
}

// archive holds the two lists and what may lie around them.
type archive struct {
	before         []byte
	local, central []record
	between        []byte // local records and directory
	after          []byte // directory and end record
	end            endRecord
	last           []byte // after the end record
	zip64          bool
	end64          func(*endRecord64)
	locator        func(b []byte)
}

type endRecord struct {
	skip               bool
	disk, dirDisk      uint16
	here, total        int // added to the true count
	size, offset       int64
	comment            string
	commentLength      int // added to the true length
	saturate, omitBody bool
}

type endRecord64 struct {
	sig              uint32 // 0: as it must be
	size             uint64
	disk, dirDisk    uint32
	here, total      uint64
	dirSize, dirFrom uint64
	extensible       []byte
}

var le = binary.LittleEndian

func (a *archive) bytes() []byte {
	b := append([]byte(nil), a.before...)
	var offsets []int64
	for _, r := range a.local {
		offsets = append(offsets, int64(len(b)))
		b = le.AppendUint32(b, or(r.sig, sigLocal))
		b = le.AppendUint16(b, r.need)
		for _, v := range []uint16{r.flags, r.method, r.time, r.date} {
			b = le.AppendUint16(b, v)
		}
		for _, v := range []uint32{r.crc, r.csize, r.usize} {
			b = le.AppendUint32(b, v)
		}
		b = le.AppendUint16(b, uint16(len(r.name)))
		b = le.AppendUint16(b, uint16(len(r.extra)))
		b = append(append(append(append(b, r.name...), r.extra...), r.data...), r.trailing...)
	}
	b = append(b, a.between...)
	start := len(b)
	for i, r := range a.central {
		if r.offset < 0 {
			r.offset = offsets[i]
		}
		b = le.AppendUint32(b, or(r.sig, sigCentral))
		for _, v := range []uint16{r.madeBy, r.need, r.flags, r.method, r.time, r.date} {
			b = le.AppendUint16(b, v)
		}
		for _, v := range []uint32{r.crc, r.csize, r.usize} {
			b = le.AppendUint32(b, v)
		}
		for _, v := range []uint16{uint16(len(r.name)), uint16(len(r.extra)), uint16(len(r.comment)), r.disk, 0} {
			b = le.AppendUint16(b, v)
		}
		b = le.AppendUint32(b, r.attr)
		b = le.AppendUint32(b, uint32(r.offset))
		b = append(append(append(b, r.name...), r.extra...), r.comment...)
	}
	size := len(b) - start
	b = append(b, a.after...)
	if a.zip64 {
		e := endRecord64{size: 44, here: uint64(len(a.central)), total: uint64(len(a.central)), dirSize: uint64(size), dirFrom: uint64(start)}
		if a.end64 != nil {
			a.end64(&e)
		}
		at := len(b)
		if !a.end.omitBody {
			b = le.AppendUint32(b, or(e.sig, sigEnd64))
			b = le.AppendUint64(b, e.size)
			b = le.AppendUint16(b, 45)
			b = le.AppendUint16(b, 45)
			b = le.AppendUint32(le.AppendUint32(b, e.disk), e.dirDisk)
			for _, v := range []uint64{e.here, e.total, e.dirSize, e.dirFrom} {
				b = le.AppendUint64(b, v)
			}
			b = append(b, e.extensible...)
		}
		loc := le.AppendUint32(nil, sigLocator)
		loc = le.AppendUint32(loc, 0)
		loc = le.AppendUint64(loc, uint64(at))
		loc = le.AppendUint32(loc, 1)
		if a.locator != nil {
			a.locator(loc)
		}
		if loc[0] != 0 {
			b = append(b, loc...)
		}
	}
	if a.end.skip {
		return append(b, a.last...)
	}
	b = le.AppendUint32(b, sigEnd)
	b = le.AppendUint16(b, a.end.disk)
	b = le.AppendUint16(b, a.end.dirDisk)
	if a.end.saturate {
		b = le.AppendUint16(b, full16)
		b = le.AppendUint16(b, full16)
		b = le.AppendUint32(b, full32)
		b = le.AppendUint32(b, full32)
	} else {
		b = le.AppendUint16(b, uint16(len(a.central)+a.end.here))
		b = le.AppendUint16(b, uint16(len(a.central)+a.end.total))
		b = le.AppendUint32(b, uint32(int64(size)+a.end.size))
		b = le.AppendUint32(b, uint32(int64(start)+a.end.offset))
	}
	b = le.AppendUint16(b, uint16(len(a.end.comment)+a.end.commentLength))
	return append(append(b, a.end.comment...), a.last...)
}

func or(a, b uint32) uint32 {
	if a != 0 {
		return a
	}
	return b
}

// add appends a file to both lists.
func (a *archive) add(name string, content []byte) {
	r := deflated(name, content)
	a.local = append(a.local, r)
	a.central = append(a.central, r)
}

// both changes entry i in both lists.
func (a *archive) both(i int, change func(*record)) {
	change(&a.local[i])
	change(&a.central[i])
}

// index returns the place of a name.
func (a *archive) index(name string) int {
	for i, r := range a.central {
		if r.name == name {
			return i
		}
	}
	panic("no " + name)
}

func deflated(name string, content []byte) record {
	data := squeeze(content)
	return record{
		name: name, madeBy: 3<<8 | 20, need: 20, method: Deflated, date: 0x21, crc: crc32.ChecksumIEEE(content),
		csize: uint32(len(data)), usize: uint32(len(content)), attr: 0o100644 << 16, offset: -1, data: data, size: uint32(len(content)),
	}
}

func squeeze(content []byte) []byte {
	var b bytes.Buffer
	w, _ := flate.NewWriter(&b, 9)
	if _, err := w.Write(content); err != nil {
		panic(err)
	}
	if err := w.Close(); err != nil {
		panic(err)
	}
	return b.Bytes()
}

// stored makes an entry's content stored.
func stored(content []byte) func(*record) {
	return func(r *record) {
		r.method, r.data, r.csize, r.usize, r.crc = Stored, content, uint32(len(content)), uint32(len(content)), crc32.ChecksumIEEE(content)
	}
}

// text is one file of a wheel.
type text struct{ name, content string }

// parts says what a wheel is made of; zero fields are filled in with what fits.
type parts struct {
	file     string // demo-1.0-py3-none-any.whl
	info     string // demo-1.0.dist-info
	metadata string
	wheel    string
	record   *string // written as it stands
	rows     func(rows string) string
	files    []text
	noRecord bool
}

const (
	demoFile     = "demo-1.0-py3-none-any.whl"
	demoMetadata = "Metadata-Version: 2.1\nName: demo\nVersion: 1.0\n\nA demo.\n"
	demoWheel    = "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n\n"
)

func (p parts) archive() *archive {
	if p.info == "" {
		p.info = "demo-1.0.dist-info"
	}
	if p.metadata == "" {
		p.metadata = demoMetadata
	}
	if p.wheel == "" {
		p.wheel = demoWheel
	}
	files := p.files
	if files == nil {
		files = []text{{"demo/__init__.py", "print('demo')\n"}}
	}
	files = append(append([]text(nil), files...), text{p.info + "/METADATA", p.metadata}, text{p.info + "/WHEEL", p.wheel})
	var a archive
	rows := ""
	for _, f := range files {
		a.add(f.name, []byte(f.content))
		rows += row(f.name, f.content)
	}
	rows += p.info + "/RECORD,,\n"
	if p.rows != nil {
		rows = p.rows(rows)
	}
	if p.record != nil {
		rows = *p.record
	}
	if !p.noRecord {
		a.add(p.info+"/RECORD", []byte(rows))
	}
	return &a
}

func row(name, content string) string {
	sum := sha256.Sum256([]byte(content))
	return name + "," + RecordHash(sum[:]) + "," + strconv.Itoa(len(content)) + "\n"
}

func (p parts) open() (*Wheel, error) {
	file := p.file
	if file == "" {
		file = demoFile
	}
	return openBytes(p.archive().bytes(), file)
}

func openBytes(b []byte, file string) (*Wheel, error) {
	return Open(bytes.NewReader(b), int64(len(b)), file)
}

// readAll reads every file of the wheel, as conversion does.
func readAll(w *Wheel) error {
	for _, f := range w.Files {
		if _, err := w.ReadFile(f.Name, 1<<40); err != nil {
			return err
		}
	}
	return nil
}

// wantID fails unless err is an *Error with this id; "" means no error.
func wantID(t *testing.T, err error, id string) {
	t.Helper()
	var e *Error
	switch {
	case id == "" && err != nil:
		t.Errorf("refused: %v", err)
	case id != "" && !errors.As(err, &e):
		t.Errorf("got %v, want a refusal %s", err, id)
	case id != "" && e.ID != id:
		t.Errorf("got %s (%v), want %s", e.ID, err, id)
	case id != "":
		t.Log(err)
	}
}

// squeezeOpen compresses content into blocks after which a stream can go on.
func squeezeOpen(content []byte) []byte {
	var b bytes.Buffer
	w, _ := flate.NewWriter(&b, 9)
	if _, err := w.Write(content); err != nil {
		panic(err)
	}
	if err := w.Flush(); err != nil {
		panic(err)
	}
	return b.Bytes()
}
