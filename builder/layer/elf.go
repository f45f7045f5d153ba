package layer

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

// ELF is what an ELF file says about itself. Values are the file's own claims: whoever acts
// on them must not trust them more than the file. Source: gABI, "Object Files" and "Program
// Loading and Dynamic Linking"; as the dynamic loader, facts about loading are read through
// program headers, never through sections.
type ELF struct {
	Class     int      `json:"class,omitempty"` // 32 or 64
	BigEndian bool     `json:"bigEndian,omitempty"`
	Kind      int      `json:"kind,omitempty"`    // e_type: 1 relocatable, 2 executable, 3 shared object or PIE
	Machine   int      `json:"machine,omitempty"` // e_machine: 62 is x86-64, 183 is AArch64
	Interp    string   `json:"interp,omitempty"`
	Soname    string   `json:"soname,omitempty"`
	Needed    []string `json:"needed,omitempty"`
	RPath     []string `json:"rpath,omitempty"` // elements; an empty one is the working directory
	RunPath   []string `json:"runpath,omitempty"`
	GLIBC     string   `json:"glibc,omitempty"`     // "2.34": the highest GLIBC_x.y that a needed version names
	GLIBCXX   string   `json:"glibcxx,omitempty"`   // "3.4.30": the highest GLIBCXX_ that it needs of libstdc++.so.6
	ExecStack bool     `json:"execStack,omitempty"` // asked for, or not ruled out
	TextRel   bool     `json:"textRel,omitempty"`
	BuildID   string   `json:"buildID,omitempty"`   // hex, of the GNU note
	Notes     []string `json:"notes,omitempty"`     // "GNU/3": owner and type of each note that is loaded
	Sections  []string `json:"sections,omitempty"`  // names, each once, in the order of the file
	Go        string   `json:"go,omitempty"`        // the Go release that built it, "go1.26.1"
	GoModules string   `json:"goModules,omitempty"` // the build information that go version -m prints
	Rust      string   `json:"rust,omitempty"`      // cargo auditable's JSON
	Broken    string   `json:"broken,omitempty"`    // what could not be read; other facts may be missing
}

// What of a file is kept while its bytes pass, and what is read of each part at most.
const (
	keepHead = 4 << 20
	keepTail = 2 << 20
	keepMore = 4 << 20 // parts that were asked for
	rounds   = 8

	maxSegments = 1024
	maxSections = 1 << 14
	maxNames    = 1 << 20 // section names
	maxDynamic  = 64 << 10
	maxNotes    = 64 << 10
	maxNeeded   = 1024
	maxVersions = 1 << 14
	maxString   = 4096
	maxInfo     = 128 << 10 // build information
	maxText     = 512 << 10 // all text of one file's facts
)

// looker keeps the parts of an ELF file from which its facts are read.
type looker struct {
	size  int64
	at    int64
	first [4]byte
	other bool // not ELF
	asked bool
	held  []span
	head  []byte // memory of the first and last span, for the next file
	tail  []byte

	front, back int64 // keepHead and keepTail, or less in tests
}

// span is a part of a file, or what has come of it so far.
type span struct {
	off, end int64
	b        []byte
}

func (l *looker) reset(size int64) {
	l.size, l.at, l.other, l.asked = size, 0, size < 4, false
	for i := range l.held {
		l.held[i].b = nil
	}
	if l.front == 0 {
		l.front, l.back = keepHead, keepTail
	}
	l.held = append(l.held[:0], span{0, min(size, l.front), l.head[:0]})
	if size > l.front {
		l.held = append(l.held, span{max(l.front, size-l.back), size, l.tail[:0]})
	}
}

var elfMagic = [4]byte{0x7f, 'E', 'L', 'F'}

func (l *looker) write(p []byte) {
	if l.other {
		return
	}
	if l.at < 4 {
		n := copy(l.first[l.at:], p)
		if l.first[l.at] != elfMagic[l.at] || (l.at+int64(n) >= 4 && l.first != elfMagic) {
			l.other = true
			return
		}
	}
	fill(l.held, l.at, p)
	l.at += int64(len(p))
	l.head = l.held[0].b
	if len(l.held) > 1 {
		l.tail = l.held[1].b
	}
	if !l.asked && l.at >= l.front {
		// The head says where more will be; what lies before here must be read again.
		l.asked = true
		_, need := parse(l.size, l.held)
		for _, s := range merge(need) {
			if s.off >= l.at {
				l.held = append(l.held, s)
			}
		}
	}
}

// fill copies what held wants of p, which is at off.
func fill(held []span, off int64, p []byte) {
	for i := range held {
		s := &held[i]
		next := s.off + int64(len(s.b))
		if end := off + int64(len(p)); next < s.end && next >= off && next < end {
			s.b = append(s.b, p[next-off:min(end, s.end)-off]...)
		}
	}
}

// merge sorts and joins what is needed. More than keepMore bytes are nothing.
func merge(need []span) []span {
	slices.SortFunc(need, func(a, b span) int {
		if a.off != b.off {
			return int(min(max(a.off-b.off, -1), 1))
		}
		return int(min(max(a.end-b.end, -1), 1))
	})
	var out []span
	var total int64
	for _, s := range need {
		if n := len(out); n > 0 && s.off <= out[n-1].end {
			if s.end > out[n-1].end {
				total += s.end - out[n-1].end
				out[n-1].end = s.end
			}
			continue
		}
		out = append(out, s)
		total += s.end - s.off
	}
	if total > keepMore {
		return nil
	}
	return out
}

// facts returns what was seen; nil for other files. again passes the first n bytes of the
// file once more, or says that it cannot.
func (l *looker) facts(again func(n int64, out sink) (bool, error)) (*ELF, error) {
	if l.other || l.first != elfMagic || l.at < 4 {
		return nil, nil
	}
	asked := int64(0)
	for range rounds {
		e, need := parse(l.size, l.held)
		if len(need) == 0 {
			return e, nil
		}
		more := merge(need)
		for _, s := range more {
			asked += s.end - s.off
		}
		if more == nil || asked > 2*keepMore {
			e.note("what it refers to is spread too widely")
			return e, nil
		}
		at := int64(0)
		ok, err := again(more[len(more)-1].end, func(p []byte) error {
			fill(more, at, p)
			at += int64(len(p))
			return nil
		})
		if err != nil {
			return nil, err
		}
		if !ok {
			e.note("some facts lie in parts that were not kept")
			return e, nil
		}
		l.held = append(l.held, more...)
	}
	e, _ := parse(l.size, l.held)
	e.note("refers on and on")
	return e, nil
}

// note keeps the first thing that is wrong.
func (e *ELF) note(format string, args ...any) {
	if e.Broken == "" {
		e.Broken = fmt.Sprintf(format, args...)
	}
}

// elfReader reads facts from the parts of a file that are held, and notes what it misses.
type elfReader struct {
	*ELF
	size   uint64
	held   []span
	need   []span
	order  binary.ByteOrder
	wide   bool // 64 bits
	text   int
	loads  []segment
	hidden map[string]bool // sections that are not in the file, as in separate debug files
}

type segment struct{ typ, flags, off, addr, size, align uint64 }

type section struct {
	name                        string
	nameAt, typ, off, size, lnk uint64
}

// parse reads what it can of a file.
func parse(size int64, held []span) (*ELF, []span) {
	r := &elfReader{ELF: &ELF{}, size: uint64(size), held: held}
	r.file()
	return r.ELF, r.need
}

// bytes returns n bytes at off, or false if they are outside or not held.
func (r *elfReader) bytes(what string, off, n uint64) ([]byte, bool) {
	if off > r.size || n > r.size-off {
		r.note("%s lies outside the file", what)
		return nil, false
	}
	var joined []byte
	for at := off; ; {
		i := slices.IndexFunc(r.held, func(s span) bool {
			return uint64(s.off) <= at && at < uint64(s.off)+uint64(len(s.b))
		})
		if n == 0 {
			return nil, true
		}
		if i < 0 {
			r.need = append(r.need, span{off: int64(off), end: int64(off + n)})
			return nil, false
		}
		p := r.held[i].b[at-uint64(r.held[i].off):]
		left := off + n - at
		if uint64(len(p)) >= left {
			if joined == nil {
				return p[:left], true
			}
			return append(joined, p[:left]...), true
		}
		joined = append(joined, p...)
		at += uint64(len(p))
	}
}

// number reads an unsigned number of 2, 4 or 8 bytes.
func (r *elfReader) number(p []byte, off, width int) uint64 {
	switch width {
	case 2:
		return uint64(r.order.Uint16(p[off:]))
	case 4:
		return uint64(r.order.Uint32(p[off:]))
	}
	return r.order.Uint64(p[off:])
}

// pick returns the fields of a structure: offset and width in 32-bit or in 64-bit files.
func (r *elfReader) pick(p []byte, narrow, wide [2]int) uint64 {
	if r.wide {
		return r.number(p, wide[0], wide[1])
	}
	return r.number(p, narrow[0], narrow[1])
}

func (r *elfReader) file() {
	id, ok := r.bytes("ELF header", 0, 16)
	if !ok {
		return
	}
	switch id[4] {
	case 1:
		r.Class = 32
	case 2:
		r.Class, r.wide = 64, true
	default:
		r.note("class %d", id[4])
		return
	}
	switch id[5] {
	case 1:
		r.order = binary.LittleEndian
	case 2:
		r.order, r.BigEndian = binary.BigEndian, true
	default:
		r.note("byte order %d", id[5])
		return
	}
	n := uint64(52)
	if r.wide {
		n = 64
	}
	h, ok := r.bytes("ELF header", 0, n)
	if !ok {
		return
	}
	r.Kind, r.Machine = int(r.number(h, 16, 2)), int(r.number(h, 18, 2))
	sections := r.sections(h)
	segments := r.segments(h)
	for _, s := range segments {
		if s.typ == 1 {
			r.loads = append(r.loads, s)
		}
	}
	r.ExecStack = r.Kind == 2 || r.Kind == 3
	for _, s := range segments {
		switch s.typ {
		case 2:
			if !r.hidden[".dynamic"] {
				r.dynamic(s)
			}
		case 3:
			if !r.hidden[".interp"] {
				r.interp(s)
			}
		case 4:
			r.notes(s)
		case 0x6474e551: // PT_GNU_STACK
			r.ExecStack = s.flags&1 != 0
		}
	}
	for _, s := range sections {
		switch s.name {
		case ".go.buildinfo":
			r.golang(s)
		case ".dep-v0":
			r.rust(s)
		case ".note.gnu.build-id": // the Go linker's is in no PT_NOTE
			if r.BuildID == "" && s.typ != noBits {
				r.notes(segment{off: s.off, size: s.size, align: 4})
			}
		}
	}
}

func (r *elfReader) segments(h []byte) []segment {
	off := r.pick(h, [2]int{28, 4}, [2]int{32, 8})
	each := r.pick(h, [2]int{42, 2}, [2]int{54, 2})
	n := r.pick(h, [2]int{44, 2}, [2]int{56, 2})
	if n == 0 {
		return nil
	}
	size := uint64(32)
	if r.wide {
		size = 56
	}
	if each != size || n > maxSegments {
		r.note("%d program headers of %d bytes", n, each)
		return nil
	}
	p, ok := r.bytes("program header table", off, n*size)
	if !ok {
		return nil
	}
	var out []segment
	for ; len(p) > 0; p = p[size:] {
		out = append(out, segment{
			typ:   r.number(p, 0, 4),
			flags: r.pick(p, [2]int{24, 4}, [2]int{4, 4}),
			off:   r.pick(p, [2]int{4, 4}, [2]int{8, 8}),
			addr:  r.pick(p, [2]int{8, 4}, [2]int{16, 8}),
			size:  r.pick(p, [2]int{16, 4}, [2]int{32, 8}),
			align: r.pick(p, [2]int{28, 4}, [2]int{48, 8}),
		})
	}
	return out
}

const noBits = 8

func (r *elfReader) sections(h []byte) []section {
	off := r.pick(h, [2]int{32, 4}, [2]int{40, 8})
	each := r.pick(h, [2]int{46, 2}, [2]int{58, 2})
	n := r.pick(h, [2]int{48, 2}, [2]int{60, 2})
	names := r.pick(h, [2]int{50, 2}, [2]int{62, 2})
	if off == 0 {
		return nil
	}
	size := uint64(40)
	if r.wide {
		size = 64
	}
	if each != size {
		r.note("section headers of %d bytes", each)
		return nil
	}
	if n == 0 || names == 0xffff { // numbers that need more than 16 bits are in the first section
		p, ok := r.bytes("section header table", off, size)
		if !ok {
			return nil
		}
		first := r.section(p)
		if n == 0 {
			n = first.size
		}
		if names == 0xffff {
			names = first.lnk
		}
	}
	if n > maxSections {
		r.note("%d sections", n)
		return nil
	}
	if n == 0 {
		return nil
	}
	p, ok := r.bytes("section header table", off, n*size)
	if !ok {
		return nil
	}
	var out []section
	for ; len(p) > 0; p = p[size:] {
		out = append(out, r.section(p))
	}
	if names == 0 {
		return nil
	}
	if names >= n || out[names].size > maxNames || out[names].typ == noBits {
		r.note("section names are not to be found")
		return nil
	}
	table, ok := r.bytes("section name table", out[names].off, out[names].size)
	if !ok {
		return nil
	}
	r.hidden = map[string]bool{}
	seen := map[string]bool{}
	for i := range out[1:] {
		s := &out[i+1]
		if s.nameAt >= uint64(len(table)) {
			r.note("the name of section %d lies outside its table", i+1)
			continue
		}
		name, _, ok := bytes.Cut(table[s.nameAt:min(s.nameAt+maxString, uint64(len(table)))], []byte{0})
		if !ok {
			r.note("the name of section %d does not end", i+1)
			continue
		}
		s.name = string(name)
		if s.typ == noBits {
			r.hidden[s.name] = true
		}
		if !seen[s.name] {
			seen[s.name] = true
			r.Sections = r.add(r.Sections, s.name)
		}
	}
	return out
}

func (r *elfReader) section(p []byte) section {
	return section{
		nameAt: r.number(p, 0, 4),
		typ:    r.number(p, 4, 4),
		off:    r.pick(p, [2]int{16, 4}, [2]int{24, 8}),
		size:   r.pick(p, [2]int{20, 4}, [2]int{32, 8}),
		lnk:    r.pick(p, [2]int{24, 4}, [2]int{40, 4}),
	}
}

// clean makes text of a file fit for an index.
func (r *elfReader) clean(s string) string {
	if r.text += len(s); r.text > maxText {
		r.note("more text than %d bytes", maxText)
		return ""
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}

func (r *elfReader) add(list []string, s string) []string {
	if s = r.clean(s); r.text > maxText {
		return list
	}
	return append(list, s)
}

func (r *elfReader) interp(s segment) {
	if s.size > maxString {
		r.note("interpreter's name has %d bytes", s.size)
		return
	}
	if p, ok := r.bytes("interpreter's name", s.off, s.size); ok {
		name, _, _ := bytes.Cut(p, []byte{0})
		r.Interp = r.clean(string(name))
	}
}

// offset turns an address into a place in the file.
func (r *elfReader) offset(what string, addr uint64) (uint64, bool) {
	for _, s := range r.loads {
		if addr >= s.addr && addr-s.addr < s.size {
			if off := s.off + (addr - s.addr); off >= s.off {
				return off, true
			}
		}
	}
	r.note("%s is at no loaded address", what)
	return 0, false
}

// dynamic reads the dynamic section.
func (r *elfReader) dynamic(s segment) {
	if s.size > maxDynamic {
		r.note("dynamic section of %d bytes", s.size)
		return
	}
	p, ok := r.bytes("dynamic section", s.off, s.size)
	if !ok {
		return
	}
	width := 4
	if r.wide {
		width = 8
	}
	tags := map[uint64]uint64{}
	var needed []uint64
	for ; len(p) >= 2*width; p = p[2*width:] {
		tag, v := r.number(p, 0, width), r.number(p, width, width)
		if tag == 0 {
			break
		}
		if tag == 1 {
			needed = append(needed, v)
			continue
		}
		tags[tag] = v
	}
	_, textRel := tags[22]
	r.TextRel = textRel || tags[30]&4 != 0
	if len(needed) > maxNeeded {
		r.note("%d needed libraries", len(needed))
		needed = needed[:maxNeeded]
	}
	addr, ok := tags[5]
	if !ok {
		if len(needed) > 0 {
			r.note("no dynamic strings")
		}
		return
	}
	base, ok := r.offset("dynamic string table", addr)
	if !ok {
		return
	}
	str := func(at uint64) (string, bool) { return r.str(base, tags[10], at) }
	for _, at := range needed {
		if name, ok := str(at); ok {
			r.Needed = r.add(r.Needed, name)
		}
	}
	if at, ok := tags[14]; ok {
		name, _ := str(at)
		r.Soname = r.clean(name)
	}
	if at, ok := tags[15]; ok {
		r.RPath = r.list(str(at))
	}
	if at, ok := tags[29]; ok {
		r.RunPath = r.list(str(at))
	}
	if at, ok := tags[0x6ffffffe]; ok {
		r.versions(at, tags[0x6fffffff], str)
	}
}

func (r *elfReader) list(s string, ok bool) []string {
	if !ok {
		return nil
	}
	return strings.Split(r.clean(s), ":")
}

// str returns the string at a place in the dynamic string table.
func (r *elfReader) str(base, size, at uint64) (string, bool) {
	if at >= size || base+at < base {
		r.note("a dynamic string lies outside its table")
		return "", false
	}
	n := min(size-at, maxString)
	if off := base + at; off < r.size {
		n = min(n, r.size-off)
	}
	p, ok := r.bytes("dynamic string", base+at, n)
	if !ok {
		return "", false
	}
	name, _, ok := bytes.Cut(p, []byte{0})
	if !ok {
		r.note("a dynamic string does not end")
		return "", false
	}
	return string(name), true
}

// versions finds the highest GLIBC version that the file needs, and the highest GLIBCXX of
// the system's libstdc++; a copy that a wheel brings has a name of its own. Source: LSB,
// "Symbol Versioning".
func (r *elfReader) versions(addr, n uint64, str func(uint64) (string, bool)) {
	off, ok := r.offset("version needs", addr)
	if !ok || off > r.size {
		return
	}
	if _, ok := r.bytes("version needs", off, min(16<<10, r.size-off)); !ok { // asked for at once
		return
	}
	left := maxVersions
	for range n {
		if left--; left < 0 {
			r.note("more than %d version needs", maxVersions)
			return
		}
		p, ok := r.bytes("version needs", off, 16)
		if !ok {
			return
		}
		count, aux, next := r.number(p, 2, 2), off+r.number(p, 8, 4), r.number(p, 12, 4)
		file, _ := str(r.number(p, 4, 4))
		for range count {
			if left--; left < 0 {
				r.note("more than %d version needs", maxVersions)
				return
			}
			p, ok := r.bytes("version needs", aux, 16)
			if !ok {
				return
			}
			if name, ok := str(r.number(p, 8, 4)); ok {
				r.GLIBC = higher(r.GLIBC, "GLIBC_", name)
				if file == libstdcxx {
					r.GLIBCXX = higher(r.GLIBCXX, "GLIBCXX_", name)
				}
			}
			step := r.number(p, 12, 4)
			if step == 0 {
				break
			}
			aux += step
		}
		if next == 0 {
			break
		}
		off += next
	}
}

const libstdcxx = "libstdc++.so.6"

// higher returns the higher of a version and the one that a name like GLIBC_2.34 states.
func higher(old, prefix, name string) string {
	v, ok := strings.CutPrefix(name, prefix)
	if !ok {
		return old
	}
	if v == "ABI_DT_RELR" { // packed relocations, glibc 2.36
		v = "2.36"
	}
	a, b := numbers(old), numbers(v)
	if b == nil || slices.Compare(a, b) >= 0 {
		return old
	}
	return v
}

// numbers parses up to four dotted numbers; nil is anything else, as in GLIBC_PRIVATE.
func numbers(s string) []int {
	parts := strings.Split(s, ".")
	if len(parts) > 4 {
		return nil
	}
	var out []int
	for _, p := range parts {
		n, err := strconv.ParseUint(p, 10, 16)
		if err != nil {
			return nil
		}
		out = append(out, int(n))
	}
	return out
}

// notes reads the notes of a segment.
func (r *elfReader) notes(s segment) {
	if s.size > maxNotes {
		r.note("notes of %d bytes", s.size)
		return
	}
	p, ok := r.bytes("notes", s.off, s.size)
	if !ok {
		return
	}
	align := uint64(4)
	if s.align == 8 {
		align = 8
	}
	up := func(n uint64) uint64 { return (n + align - 1) &^ (align - 1) }
	for len(p) >= 12 {
		n, d, typ := r.number(p, 0, 4), r.number(p, 4, 4), r.number(p, 8, 4)
		desc := up(12 + n)
		if end := desc + d; end > uint64(len(p)) {
			r.note("a note of %d bytes in %d", end, len(p))
			return
		}
		name := strings.TrimRight(string(p[12:12+n]), "\x00")
		if name == "GNU" && typ == 3 && r.BuildID == "" && d <= 64 {
			r.BuildID = hex.EncodeToString(p[desc : desc+d])
		}
		if label := name + "/" + strconv.FormatUint(typ, 10); len(label) <= 64 && !slices.Contains(r.Notes, label) && len(r.Notes) < 64 {
			r.Notes = r.add(r.Notes, label)
		}
		p = p[min(up(desc+d), uint64(len(p))):]
	}
}

// golang reads what the Go linker notes. Source: debug/buildinfo.
func (r *elfReader) golang(s section) {
	p, ok := r.bytes("Go build information", s.off, min(s.size, maxInfo))
	if !ok || s.typ == noBits {
		return
	}
	if len(p) < 32 || string(p[:14]) != "\xff Go buildinf:" {
		r.note("Go build information is not to be understood")
		return
	}
	if p[15]&2 == 0 {
		r.Go = "before go1.18"
		return
	}
	version, p, ok1 := varString(p[32:])
	info, _, ok2 := varString(p)
	if !ok1 || !ok2 {
		r.note("Go build information is cut off")
		return
	}
	if len(info) >= 33 && info[len(info)-17] == '\n' { // between two sentinels of 16 bytes
		info = info[16 : len(info)-16]
	} else {
		info = ""
	}
	r.Go, r.GoModules = r.clean(version), r.clean(info)
}

func varString(p []byte) (string, []byte, bool) {
	n, w := binary.Uvarint(p)
	if w <= 0 || n > uint64(len(p)-w) {
		return "", nil, false
	}
	p = p[w:]
	return string(p[:n]), p[n:], true
}

// rust reads what cargo auditable notes: JSON, compressed by zlib.
func (r *elfReader) rust(s section) {
	p, ok := r.bytes("Rust audit data", s.off, min(s.size, maxInfo))
	if !ok || s.typ == noBits {
		return
	}
	z, err := zlib.NewReader(bytes.NewReader(p))
	if err != nil {
		r.note("Rust audit data is not zlib")
		return
	}
	text, err := io.ReadAll(io.LimitReader(z, maxInfo+1))
	if err != nil || len(text) > maxInfo {
		r.note("Rust audit data is not to be read")
		return
	}
	r.Rust = r.clean(string(text))
}
