package wheel

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"io"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/forge-build/forge/builder/inflate"
)

// Target is the place a file is installed to, by the names of Python's sysconfig.
type Target string

// The schemes of PEP 427. Purelib and platlib are one folder in forge's environments.
const (
	PureLib Target = "purelib"
	PlatLib Target = "platlib"
	Scripts Target = "scripts"
	Headers Target = "headers"
	Data    Target = "data"
)

// Wheel is an archive whose structure, names and metadata have been checked.
type Wheel struct {
	File        string // as given to Open
	Name        string // normalised (PEP 503)
	Version     string // as METADATA writes it
	Build       string
	Tags        []Tag // of the file name
	Metadata    Metadata
	PureLib     bool   // Root-Is-Purelib
	DistInfo    string // "torch-2.9.1.dist-info"
	EntryPoints EntryPoints
	Files       []File // in the order of the archive; no folders
	Findings    []Finding

	r        io.ReaderAt
	byName   map[string]int
	accepted bool // contradictions are findings
}

// File is one regular file of a wheel.
type File struct {
	Name           string // in the archive
	Target         Target
	Path           string // below Target's folder
	Method         uint16 // Stored or Deflated
	CRC32          uint32
	CompressedSize int64
	Size           int64
	DataOffset     int64
	Executable     bool
	Hash           string // RECORD's, "sha256=…"; empty for RECORD itself and its signatures
	Shebang        string // of a script: "#!python" or "#!pythonw", the line to replace; else empty
}

// Open reads a wheel of size bytes. file is its file name, which must agree with the
// content. Any refusal is an *Error.
func Open(r io.ReaderAt, size int64, file string) (*Wheel, error) {
	return Default.Open(r, size, file)
}

// Open is the function Open with other limits.
func (lim Limits) Open(r io.ReaderAt, size int64, file string) (*Wheel, error) {
	w, err := lim.open(r, size, file, false)
	return w, named(err, file)
}

// OpenUnsafe is Open for a file that somebody has accepted, by its sha256, although the wheel
// contradicts itself: what WHEEL says of tags and build need not be the file name's, and what
// RECORD says of the files need not be true. Each [File.Hash] is then that of the content,
// which is read whole for it, and each contradiction a Finding. All else is refused as ever.
func OpenUnsafe(r io.ReaderAt, size int64, file string) (*Wheel, error) {
	w, err := Default.open(r, size, file, true)
	return w, named(err, file)
}

// named tells a refusal the file's name.
func named(err error, file string) error {
	var e *Error
	if errors.As(err, &e) && e.Path == "" {
		e.Path = file
	}
	return err
}

func (lim Limits) open(r io.ReaderAt, size int64, file string, accepted bool) (*Wheel, error) {
	fn, err := ParseFileName(file)
	if err != nil {
		return nil, err
	}
	entries, err := readZip(r, size, lim)
	if err != nil {
		return nil, err
	}
	if err := collisions(entries); err != nil {
		return nil, err
	}
	w := &Wheel{File: file, Name: NormalizeName(fn.Name), Build: fn.Build, Tags: fn.Tags, r: r, accepted: accepted, byName: make(map[string]int, len(entries))}
	if w.DistInfo, err = findDistInfo(entries, fn); err != nil {
		return nil, err
	}
	for _, e := range entries {
		if e.dir {
			continue
		}
		w.byName[e.name] = len(w.Files)
		w.Files = append(w.Files, File{Name: e.name, Method: e.method, CRC32: e.crc, CompressedSize: e.csize, Size: e.usize, DataOffset: e.data, Executable: e.exec})
	}
	if err := w.readMetadata(fn, lim); err != nil {
		return nil, err
	}
	if err := w.contradiction(w.readRecord(lim)); err != nil {
		return nil, err
	}
	if accepted {
		if err := w.hashContent(); err != nil {
			return nil, err
		}
	}
	if err := w.place(fn); err != nil {
		return nil, err
	}
	return w, w.inspect()
}

// findDistInfo returns the one top-level dist-info folder, which must be the wheel's own.
func findDistInfo(entries []entry, fn FileName) (string, error) {
	found := ""
	for _, e := range entries {
		top, _, deep := strings.Cut(e.name, "/")
		if !deep || !strings.HasSuffix(strings.ToLower(top), ".dist-info") || top == found {
			continue
		}
		if found != "" {
			return "", refuse("WHL-02", e.name, e.offset, "two dist-info folders: %s and %s", q(found), q(top))
		}
		found = top
		if !ownFolder(top, ".dist-info", fn) {
			return "", refuse("WHL-02", e.name, e.offset, "dist-info folder %s is not of %s %s", q(top), q(fn.Name), q(fn.Version))
		}
	}
	if found == "" {
		return "", refuse("WHL-02", "", -1, "the wheel has no dist-info folder")
	}
	return found, nil
}

// ownFolder says whether dir is "<name>-<version><suffix>" for the wheel's own name and version.
func ownFolder(dir, suffix string, fn FileName) bool {
	stem, ok := strings.CutSuffix(dir, suffix)
	i := strings.IndexByte(stem, '-')
	if !ok || i < 0 {
		return false
	}
	return NormalizeName(stem[:i]) == NormalizeName(fn.Name) && SameVersion(strings.ReplaceAll(stem[i+1:], "_", "-"), strings.ReplaceAll(fn.Version, "_", "-"))
}

// readMetadata reads METADATA, WHEEL and entry_points.txt and compares identities.
func (w *Wheel) readMetadata(fn FileName, lim Limits) error {
	data, err := w.ReadFile(w.DistInfo+"/METADATA", lim.Metadata)
	if err != nil {
		return inPart(err, "WHL-05")
	}
	if w.Metadata, err = ParseMetadata(data); err != nil {
		return err
	}
	w.Version = w.Metadata.Version
	if NormalizeName(w.Metadata.Name) != w.Name {
		return refuse("WHL-02", "METADATA", -1, "METADATA names %s, the file name %s", q(w.Metadata.Name), q(fn.Name))
	}
	if !SameVersion(w.Metadata.Version, strings.ReplaceAll(fn.Version, "_", "-")) {
		return refuse("WHL-02", "METADATA", -1, "METADATA has version %s, the file name %s", q(w.Metadata.Version), q(fn.Version))
	}
	if data, err = w.ReadFile(w.DistInfo+"/WHEEL", lim.SmallFiles); err != nil {
		return inPart(err, "WHL-02")
	}
	wf, err := parseWheelFile(data)
	if err != nil {
		return err
	}
	w.PureLib = wf.pureLib
	if err := w.contradiction(w.compareTags(wf)); err != nil {
		return err
	}
	if _, ok := w.byName[w.DistInfo+"/entry_points.txt"]; !ok {
		return nil
	}
	if data, err = w.ReadFile(w.DistInfo+"/entry_points.txt", lim.SmallFiles); err != nil {
		return inPart(err, "WHL-04")
	}
	w.EntryPoints, err = ParseEntryPoints(data)
	return err
}

// inPart gives a missing or too large file the id of the rule that asks for it.
func inPart(err error, id string) error {
	var e *Error
	if errors.As(err, &e) && e.ID == "WHL-00" {
		e.ID = id
	}
	return err
}

// compareTags compares the WHEEL file with the file name. Every tag of WHEEL must be in
// the name and the reverse, but for what renaming leaves; see unnamed.
func (w *Wheel) compareTags(wf wheelFile) error {
	if wf.build != w.Build {
		return refuse("WHL-02", "WHEEL", -1, "WHEEL has build %s, the file name %s", q(wf.build), q(w.Build))
	}
	inside := map[Tag]bool{}
	for _, t := range wf.tags {
		inside[t] = true
	}
	named := map[Tag]bool{}
	for _, t := range w.Tags {
		before := unnamed(t)
		named[t], named[before] = true, true
		if !inside[t] && !inside[before] {
			return refuse("WHL-02", "WHEEL", -1, "tag %s of the file name is not in WHEEL", q(t.String()))
		}
	}
	for _, t := range wf.tags {
		if !named[t] {
			return refuse("WHL-02", "WHEEL", -1, "tag %s of WHEEL is not in the file name", q(t.String()))
		}
	}
	return nil
}

// contradiction makes a finding of a refusal in an accepted wheel.
func (w *Wheel) contradiction(err error) error {
	var e *Error
	if !w.accepted || !errors.As(err, &e) || e.ID != "WHL-01" && e.ID != "WHL-02" {
		return err
	}
	f := Finding{ID: e.ID, Entry: e.Entry, Reason: "accepted: " + e.Reason}
	if !slices.Contains(w.Findings, f) {
		w.Findings = append(w.Findings, f)
	}
	return nil
}

// hashContent gives every file the hash of its content, whatever RECORD says.
func (w *Wheel) hashContent() error {
	for i := range w.Files {
		f := &w.Files[i]
		said := *f
		f.Hash = ""
		if f.Name == w.DistInfo+"/RECORD" || w.signature(f.Name) {
			continue
		}
		own := sha256.New()
		h, check := said.Check()
		if err := w.inflate(*f, io.MultiWriter(own, h)); err != nil {
			return err
		}
		f.Hash = RecordHash(own.Sum(nil))
		if err := w.contradiction(check()); err != nil {
			return err
		}
	}
	return nil
}

// portable is a platform tag that an index takes. Source: PEP 600, PEP 656.
var portable = regexp.MustCompile(`^(?:manylinux(?:1|2010|2014|_[0-9]+_[0-9]+)|musllinux_[0-9]+_[0-9]+)_([a-z0-9_]+)$`)

// unnamed is the tag with which a wheel was built that has been renamed for an index: build
// backends write linux_x86_64, which none takes. auditwheel then writes WHEEL anew;
// torchvision, torchaudio, vLLM, Ray and CuPy only rename the file. What the code needs is read
// from the code in any case.
func unnamed(t Tag) Tag {
	if m := portable.FindStringSubmatch(t.Platform); m != nil {
		t.Platform = "linux_" + m[1]
	}
	return t
}

// readRecord reads RECORD and pairs its rows with the files.
func (w *Wheel) readRecord(lim Limits) error {
	name := w.DistInfo + "/RECORD"
	// One row for each file, of its name, a hash and a size: more is not even inflated.
	longest := int64(2*lim.PathBytes + 200)
	data, err := w.ReadFile(name, min(lim.Record, longest*int64(len(w.Files))))
	if err != nil {
		return inPart(err, "WHL-01")
	}
	if n := bytes.Count(data, []byte("\n")); n > len(w.Files) {
		return refuse("WHL-01", name, -1, "RECORD has %d rows for %d files", n, len(w.Files))
	}
	rows, err := ParseRecord(data)
	if err != nil {
		return err
	}
	listed := make(map[string]bool, len(rows))
	for n, row := range rows {
		i, ok := w.byName[row.Path]
		if !ok {
			return badRow(n+1, "%s is not in the archive", q(row.Path))
		}
		f := &w.Files[i]
		if row.Size >= 0 && row.Size != f.Size {
			return badRow(n+1, "%s has %d bytes, the archive has %d", q(row.Path), row.Size, f.Size)
		}
		if row.Size < 0 && row.Path != name {
			return badRow(n+1, "%s has no hash or no size", q(row.Path))
		}
		f.Hash = row.Hash
		listed[row.Path] = true
	}
	for _, f := range w.Files {
		if !listed[f.Name] && !w.signature(f.Name) {
			return refuse("WHL-01", f.Name, -1, "%s has no row in RECORD", q(f.Name))
		}
	}
	return w.checkRead()
}

// signature says whether name is a signature of RECORD, which RECORD cannot list.
func (w *Wheel) signature(name string) bool {
	return name == w.DistInfo+"/RECORD.jws" || name == w.DistInfo+"/RECORD.p7s"
}

// checkRead compares the files that were read before RECORD was known.
func (w *Wheel) checkRead() error {
	for _, base := range []string{"METADATA", "WHEEL", "entry_points.txt"} {
		name := w.DistInfo + "/" + base
		if _, ok := w.byName[name]; !ok {
			continue
		}
		if _, err := w.ReadFile(name, 1<<62); err != nil {
			return err
		}
	}
	return nil
}

// Raw returns a file's bytes as they lie in the archive: for Deflated a raw DEFLATE stream.
func (w *Wheel) Raw(f File) *io.SectionReader {
	return io.NewSectionReader(w.r, f.DataOffset, f.CompressedSize)
}

// ReadFile returns the content of a file of at most max bytes, with length, CRC-32 and
// RECORD's hash compared.
func (w *Wheel) ReadFile(name string, max int64) ([]byte, error) {
	i, ok := w.byName[name]
	if !ok {
		return nil, refuse("WHL-00", name, -1, "the wheel has no %s", q(name))
	}
	f := w.Files[i]
	if f.Size > max {
		return nil, refuse("WHL-00", name, -1, "%s has %d bytes, more than the limit of %d", q(name), f.Size, max)
	}
	var out bytes.Buffer
	out.Grow(int(min(f.Size, 1<<20))) // what is stated is not yet true
	err := w.Copy(&out, f)
	return out.Bytes(), err
}

// Copy writes a file's content to out, with length, CRC-32 and RECORD's hash compared. On
// an error what was written must be thrown away.
func (w *Wheel) Copy(out io.Writer, f File) error {
	h, check := f.Check()
	if err := w.inflate(f, io.MultiWriter(out, h)); err != nil {
		return w.inFile(err)
	}
	return w.inFile(check())
}

func (w *Wheel) inFile(err error) error {
	var e *Error
	if errors.As(err, &e) && e.Path == "" {
		e.Path = w.File
	}
	return err
}

// inflate writes a file's content to out: exactly Size bytes from exactly CompressedSize,
// with the right CRC-32.
func (w *Wheel) inflate(f File, out io.Writer) error {
	crc := crc32.NewIEEE()
	var content io.Reader = w.Raw(f)
	used := func() int64 { return f.Size }
	if f.Method == Deflated {
		z := inflaters.Get().(*inflate.Reader)
		defer inflaters.Put(z)
		z.Reset(w.Raw(f))
		content, used = z, z.Used
	}
	n, err := io.Copy(io.MultiWriter(out, crc), io.LimitReader(content, f.Size+1))
	switch {
	case errors.Is(err, inflate.ErrCorrupt), errors.Is(err, io.ErrUnexpectedEOF):
		return refuse("ZIP-07", f.Name, f.DataOffset, "%s is not a whole deflate stream", q(f.Name))
	case err != nil:
		return fmt.Errorf("reading %s: %w", q(f.Name), err)
	case n > f.Size:
		return refuse("ZIP-07", f.Name, f.DataOffset, "%s expands past its %d bytes", q(f.Name), f.Size)
	case n < f.Size:
		return refuse("ZIP-07", f.Name, f.DataOffset, "%s expands to %d bytes, expected %d", q(f.Name), n, f.Size)
	case used() != f.CompressedSize:
		return refuse("ZIP-07", f.Name, f.DataOffset, "%s uses %d of its %d compressed bytes", q(f.Name), used(), f.CompressedSize)
	case crc.Sum32() != f.CRC32:
		return refuse("ZIP-09", f.Name, f.DataOffset, "%s has CRC %08x, expected %08x", q(f.Name), crc.Sum32(), f.CRC32)
	}
	return nil
}

// Check returns a hash to feed with the file's content, and a function that compares the
// sum with RECORD. For a file that RECORD cannot list both do nothing.
func (f File) Check() (hash.Hash, func() error) {
	if f.Hash == "" {
		return crc32.NewIEEE(), func() error { return nil }
	}
	h, want, bad := parseHash(f.Hash)
	if bad != nil {
		return crc32.NewIEEE(), func() error { return bad }
	}
	return h, func() error {
		if !bytes.Equal(h.Sum(nil), want) {
			return refuse("WHL-01", f.Name, -1, "%s does not have RECORD's hash %s", q(f.Name), q(f.Hash))
		}
		return nil
	}
}

// inflaters are used again: each holds a window of its own.
var inflaters = sync.Pool{New: func() any { return inflate.New(nil) }}
