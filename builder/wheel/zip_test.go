package wheel

import (
	"archive/zip"
	"bytes"
	"fmt"
	"hash/crc32"
	"os"
	"strings"
	"testing"
)

func extraField(id uint16, data ...byte) []byte {
	return append(le.AppendUint16(le.AppendUint16(nil, id), uint16(len(data))), data...)
}

func zip64Field(values ...uint64) []byte {
	var b []byte
	for _, v := range values {
		b = le.AppendUint64(b, v)
	}
	return extraField(1, b...)
}

func TestOpen(t *testing.T) {
	w, err := parts{}.open()
	wantID(t, err, "")
	if w.Name != "demo" || w.Version != "1.0" || !w.PureLib || len(w.Files) != 4 || w.DistInfo != "demo-1.0.dist-info" {
		t.Fatalf("%+v", w)
	}
	got, err := w.ReadFile("demo/__init__.py", 100)
	wantID(t, err, "")
	if string(got) != "print('demo')\n" {
		t.Fatalf("%q", got)
	}
	if f := w.Files[0]; f.Target != PureLib || f.Path != "demo/__init__.py" || f.Executable || f.Size != 14 {
		t.Fatalf("%+v", f)
	}
}

// The builder's archives are archives: an independent reader opens them.
func TestBuilderIsSound(t *testing.T) {
	for _, zip64 := range []bool{false, true} {
		a := parts{}.archive()
		a.zip64 = zip64
		a.end.saturate = zip64
		b := a.bytes()
		z, err := zip.NewReader(bytes.NewReader(b), int64(len(b)))
		if err != nil || len(z.File) != 4 {
			t.Fatalf("zip64 %v: %v", zip64, err)
		}
	}
}

func TestZip(t *testing.T) {
	const name = "demo/__init__.py"
	content := []byte("print('demo')\n")
	tests := []struct {
		what, id string
		change   func(a *archive)
	}{
		{"unchanged", "", func(a *archive) {}},

		{"ZIP-02 symbolic link", "ZIP-02", func(a *archive) { a.central[0].attr = 0o120777 << 16 }},
		{"ZIP-02 symbolic link made on DOS", "ZIP-02", func(a *archive) { a.central[0].attr, a.central[0].madeBy = 0o120777<<16, 20 }},
		{"ZIP-02 FIFO", "ZIP-02", func(a *archive) { a.central[0].attr = 0o010644 << 16 }},
		{"ZIP-02 device", "ZIP-02", func(a *archive) { a.central[0].attr = 0o020644 << 16 }},
		{"ZIP-02 block device", "ZIP-02", func(a *archive) { a.central[0].attr = 0o060644 << 16 }},
		{"ZIP-02 socket", "ZIP-02", func(a *archive) { a.central[0].attr = 0o140644 << 16 }},
		{"ZIP-02 setuid", "ZIP-02", func(a *archive) { a.central[0].attr = 0o104755 << 16 }},
		{"ZIP-02 setgid", "ZIP-02", func(a *archive) { a.central[0].attr = 0o102755 << 16 }},
		{"ZIP-02 sticky", "ZIP-02", func(a *archive) { a.central[0].attr = 0o101755 << 16 }},
		{"ZIP-02 folder by mode only", "ZIP-02", func(a *archive) { a.central[0].attr = 0o040755 << 16 }},
		{"ZIP-02 folder by DOS bit only", "ZIP-02", func(a *archive) { a.central[0].attr = 0x10 }},
		{"mode 0 is a regular file", "", func(a *archive) { a.central[0].attr = 0 }},
		{"a folder", "", func(a *archive) {
			a.add("demo/", nil)
			a.both(len(a.local)-1, func(r *record) { stored(nil)(r); r.attr = 0o040755<<16 | 0x10 })
		}},
		{"ZIP-02 folder name with a file's mode", "ZIP-02", func(a *archive) { a.add("demo/sub/", nil) }},

		{"ZIP-03 twice in both lists", "ZIP-03", func(a *archive) { a.add(name, content) }},
		{"ZIP-03 twice in local headers only", "ZIP-04", func(a *archive) { a.local = append(a.local, a.local[0]) }},
		{"ZIP-03 other case", "ZIP-03", func(a *archive) { a.add("demo/__INIT__.py", content) }},
		{"ZIP-03 folder in other case", "ZIP-03", func(a *archive) { a.add("Demo/x.py", content) }},
		{"ZIP-03 NFC and NFD", "ZIP-03", func(a *archive) {
			a.add("demo/\u00e9.py", content)
			a.add("demo/e\u0301.py", content)
			for i := len(a.local) - 2; i < len(a.local); i++ {
				a.both(i, func(r *record) { r.flags = flagUTF8 })
			}
		}},
		{"ZIP-03 file and folder", "ZIP-03", func(a *archive) { a.add(name+"/x", content) }},
		{"ZIP-03 folder and file", "ZIP-03", func(a *archive) { a.add("demo", content) }},
		{"ZIP-03 folder listed twice", "ZIP-03", func(a *archive) {
			for range 2 {
				a.add("demo/", nil)
				a.both(len(a.local)-1, func(r *record) { stored(nil)(r); r.attr = 0o040755 << 16 })
			}
		}},

		{"ZIP-04 names disagree", "ZIP-04", func(a *archive) { a.local[0].name = "demo/__evil__.py" }},
		{"ZIP-04 local name longer", "ZIP-04", func(a *archive) { a.local[0].name += "x" }},
		{"ZIP-04 local record not in the directory", "ZIP-04", func(a *archive) { a.local = append(a.local, deflated("x", content)) }},
		{"ZIP-04 hidden local record in the middle", "ZIP-04", func(a *archive) {
			a.local = append([]record{a.local[0], deflated("x", content)}, a.local[1:]...)
			at := int64(0)
			for i, r := range a.local {
				if i != 1 {
					a.central[max(i-1, 0)].offset = at
				}
				at += int64(lenLocal + len(r.name) + len(r.data))
			}
		}},
		{"ZIP-04 directory entry without local record", "ZIP-04", func(a *archive) {
			r := deflated("x", content)
			r.offset = 0
			a.central = append(a.central, r)
		}},
		{"ZIP-04 other order", "ZIP-04", func(a *archive) {
			first := int64(lenLocal + len(a.local[0].name) + len(a.local[0].data))
			a.central[0].offset, a.central[1].offset = 0, first
			a.central[0], a.central[1] = a.central[1], a.central[0]
		}},
		{"ZIP-04 two archives", "ZIP-10", func(a *archive) { a.before = parts{}.archive().bytes() }},
		{"ZIP-04 two archives, offsets as in the second", "ZIP-04", func(a *archive) {
			a.before = parts{}.archive().bytes()
			at := int64(0)
			for i, r := range a.local {
				a.central[i].offset = at
				at += int64(lenLocal + len(r.name) + len(r.data))
			}
			a.end.offset = -int64(len(a.before))
		}},
		{"ZIP-04 end record inside a comment", "ZIP-04", func(a *archive) {
			a.end.comment = "PK\x05\x06" + strings.Repeat("\x00", 18)
		}},
		{"ZIP-04 comment", "ZIP-04", func(a *archive) { a.end.comment = "hello" }},
		{"ZIP-04 comment length one more", "ZIP-04", func(a *archive) { a.end.commentLength = 1 }},
		{"ZIP-04 comment length one less", "ZIP-10", func(a *archive) { a.end.comment, a.end.commentLength = "hello", -1 }},
		{"ZIP-04 zero entries", "ZIP-04", func(a *archive) { a.local, a.central = nil, nil }},
		{"ZIP-04 entry comment", "ZIP-04", func(a *archive) { a.central[0].comment = "hello" }},
		{"ZIP-04 size of the directory +1", "ZIP-04", func(a *archive) { a.end.size = 1 }},
		{"ZIP-04 size of the directory -1", "ZIP-04", func(a *archive) { a.end.size = -1 }},
		{"ZIP-04 offset of the directory +1", "ZIP-04", func(a *archive) { a.end.offset = 1 }},
		{"ZIP-04 offset and size moved together", "ZIP-04", func(a *archive) { a.end.offset, a.end.size = -1, 1 }},
		{"ZIP-04 count +1", "ZIP-04", func(a *archive) { a.end.here, a.end.total = 1, 1 }},
		{"ZIP-04 count -1", "ZIP-04", func(a *archive) { a.end.here, a.end.total = -1, -1 }},
		{"ZIP-04 count on this disk", "ZIP-04", func(a *archive) { a.end.here = -1 }},
		{"ZIP-04 disk of the end record", "ZIP-04", func(a *archive) { a.end.disk = 1 }},
		{"ZIP-04 disk of the directory", "ZIP-04", func(a *archive) { a.end.dirDisk = 1 }},
		{"ZIP-04 disk of an entry", "ZIP-04", func(a *archive) { a.central[0].disk = 1 }},
		{"ZIP-04 bytes between entries and directory", "ZIP-04", func(a *archive) { a.between = []byte("gap") }},
		{"ZIP-04 bytes between directory and end", "ZIP-04", func(a *archive) { a.after = []byte("gap") }},
		{"ZIP-04 bytes between directory and end, counted in", "ZIP-04", func(a *archive) { a.after, a.end.size = []byte("gap"), 3 }},
		{"ZIP-04 bytes between two entries", "ZIP-04", func(a *archive) { a.local[0].trailing = []byte("gap") }},
		{"ZIP-04 no central signature", "ZIP-04", func(a *archive) { a.central[1].sig = 1 }},
		{"ZIP-04 no local signature", "ZIP-04", func(a *archive) { a.local[1].sig = 1 }},
		{"ZIP-04 offset of an entry +1", "ZIP-04", func(a *archive) { a.central[1].offset = 1 }},
		{"ZIP-04 cut off in the middle", "ZIP-10", func(a *archive) { a.end.skip = true }},

		{"ZIP64 records that say the same", "", func(a *archive) { a.zip64 = true }},
		{"ZIP64 records that are needed", "", func(a *archive) { a.zip64, a.end.saturate = true, true }},
		{"ZIP-04 saturated without ZIP64", "ZIP-04", func(a *archive) { a.end.saturate = true }},
		{"ZIP-04 ZIP64 locator points elsewhere", "ZIP-04", func(a *archive) {
			a.zip64, a.locator = true, func(b []byte) { b[8]++ }
		}},
		{"ZIP-04 ZIP64 locator on disk 1", "ZIP-04", func(a *archive) { a.zip64, a.locator = true, func(b []byte) { b[4]++ } }},
		{"ZIP-04 two disks by the locator", "ZIP-04", func(a *archive) { a.zip64, a.locator = true, func(b []byte) { b[16]++ } }},
		{"ZIP-04 ZIP64 record without locator", "ZIP-04", func(a *archive) { a.zip64, a.locator = true, func(b []byte) { b[0] = 0 } }},
		{"ZIP-04 ZIP64 record without locator, saturated", "ZIP-04", func(a *archive) {
			a.zip64, a.end.saturate, a.locator = true, true, func(b []byte) { b[0] = 0 }
		}},
		{"ZIP-04 locator without ZIP64 record", "ZIP-04", func(a *archive) { a.zip64, a.end.omitBody = true, true }},
		{"ZIP-04 extensible data", "ZIP-04", func(a *archive) {
			a.zip64, a.end64 = true, func(e *endRecord64) { e.extensible = []byte("1234"); e.size += 4 }
		}},
		{"ZIP-04 extensible data, not counted", "ZIP-04", func(a *archive) {
			a.zip64, a.end64 = true, func(e *endRecord64) { e.extensible = []byte("1234") }
		}},
		{"ZIP-04 ZIP64 count differs", "ZIP-04", func(a *archive) { a.zip64, a.end64 = true, func(e *endRecord64) { e.here++; e.total++ } }},
		{"ZIP-04 ZIP64 counts differ", "ZIP-04", func(a *archive) { a.zip64, a.end64 = true, func(e *endRecord64) { e.here++ } }},
		{"ZIP-04 ZIP64 size differs", "ZIP-04", func(a *archive) { a.zip64, a.end64 = true, func(e *endRecord64) { e.dirSize++ } }},
		{"ZIP-04 ZIP64 offset differs", "ZIP-04", func(a *archive) { a.zip64, a.end64 = true, func(e *endRecord64) { e.dirFrom++ } }},
		{"ZIP-04 ZIP64 offset wraps", "ZIP-04", func(a *archive) {
			a.zip64, a.end.saturate, a.end64 = true, true, func(e *endRecord64) { e.dirFrom = ^uint64(0) }
		}},
		{"ZIP-04 ZIP64 size past the file", "ZIP-04", func(a *archive) {
			a.zip64, a.end.saturate, a.end64 = true, true, func(e *endRecord64) { e.dirSize = 1 << 62 }
		}},
		{"ZIP-04 no ZIP64 record where the locator points", "ZIP-04", func(a *archive) {
			a.zip64, a.end64 = true, func(e *endRecord64) { e.sig = 1 }
		}},
		{"ZIP-04 ZIP64 count is huge", "ZIP-07", func(a *archive) {
			a.zip64, a.end.saturate, a.end64 = true, true, func(e *endRecord64) { e.here, e.total = 1<<60, 1<<60 }
		}},
		{"ZIP-04 ZIP64 record of another length", "ZIP-04", func(a *archive) { a.zip64, a.end64 = true, func(e *endRecord64) { e.size++ } }},
		{"ZIP-04 ZIP64 disk", "ZIP-04", func(a *archive) { a.zip64, a.end64 = true, func(e *endRecord64) { e.disk = 1 } }},

		{"ZIP64 field in the directory", "", func(a *archive) {
			r := &a.central[0]
			r.extra = zip64Field(uint64(r.usize), uint64(r.csize))
			r.usize, r.csize = full32, full32
		}},
		{"ZIP64 field with the offset only", "", func(a *archive) {
			a.central[0].extra, a.central[0].offset = zip64Field(0), full32
		}},
		{"ZIP64 field in the local header", "", func(a *archive) {
			r := &a.local[0]
			r.extra = zip64Field(uint64(r.usize), uint64(r.csize))
			r.usize, r.csize = full32, full32
		}},
		{"ZIP64 field in the local header that says the same again", "", func(a *archive) {
			r := &a.local[0]
			r.extra = zip64Field(uint64(r.usize), uint64(r.csize))
		}},
		{"ZIP-04 ZIP64 field of the local header says something else", "ZIP-04", func(a *archive) {
			r := &a.local[0]
			r.extra = zip64Field(uint64(r.usize)+1, uint64(r.csize))
		}},
		{"ZIP-04 no ZIP64 field in the directory", "ZIP-04", func(a *archive) { a.central[0].usize = full32 }},
		{"ZIP-04 no ZIP64 field in the local header", "ZIP-04", func(a *archive) { a.local[0].usize = full32 }},
		{"ZIP-04 empty ZIP64 field", "ZIP-04", func(a *archive) { a.central[0].extra = zip64Field() }},
		{"ZIP-04 empty ZIP64 field in the local header", "ZIP-04", func(a *archive) { a.local[0].extra = zip64Field() }},
		{"ZIP-04 ZIP64 field of 8 bytes where 16 are due", "ZIP-04", func(a *archive) {
			r := &a.central[0]
			r.extra = zip64Field(uint64(r.usize))
			r.usize, r.csize = full32, full32
		}},
		{"ZIP-04 ZIP64 field too long", "ZIP-04", func(a *archive) {
			r := &a.central[0]
			r.extra = zip64Field(uint64(r.usize), 7)
			r.usize = full32
		}},
		{"ZIP-04 ZIP64 field twice", "ZIP-04", func(a *archive) {
			r := &a.central[0]
			r.extra = append(zip64Field(uint64(r.usize)), zip64Field(uint64(r.usize))...)
			r.usize = full32
		}},
		{"ZIP-04 impossible size", "ZIP-04", func(a *archive) {
			r := &a.central[0]
			r.extra = zip64Field(1 << 63)
			r.usize = full32
		}},
		{"ZIP-04 second name", "ZIP-04", func(a *archive) {
			a.central[0].extra = extraField(0x7075, append([]byte{1, 0, 0, 0, 0}, "demo/evil.py"...)...)
		}},
		{"ZIP-04 second name twice", "ZIP-04", func(a *archive) {
			f := extraField(0x7075, append([]byte{1, 0, 0, 0, 0}, name...)...)
			a.both(0, func(r *record) { r.extra = append(bytes.Clone(f), f...) })
		}},
		{"ZIP-04 ZIP64 field twice in the local header", "ZIP-04", func(a *archive) {
			r := &a.local[0]
			f := zip64Field(uint64(r.usize), uint64(r.csize))
			r.extra = append(bytes.Clone(f), f...)
		}},
		{"ZIP-04 offset of the first entry into the second", "ZIP-10", func(a *archive) {
			a.central[0].offset = int64(lenLocal + len(a.local[0].name) + len(a.local[0].data))
		}},
		{"ZIP-04 unknown extra field", "ZIP-04", func(a *archive) { a.central[0].extra = extraField(0x9999, 1) }},
		{"ZIP-04 extra field cut off", "ZIP-04", func(a *archive) { a.central[0].extra = []byte{0x55, 0x54, 9, 0, 1} }},
		{"ZIP-04 half an extra field", "ZIP-04", func(a *archive) { a.local[0].extra = []byte{0x55} }},
		{"times and owners in extra fields", "", func(a *archive) {
			a.both(0, func(r *record) {
				r.extra = append(extraField(0x5455, 1, 0, 0, 0, 0), extraField(0x7875, 1, 0, 0)...)
			})
		}},

		{"ZIP-05 descriptor with signature", "", describe(true, false, nil)},
		{"ZIP-05 descriptor without signature", "", describe(false, false, nil)},
		{"ZIP-05 ZIP64 descriptor", "", describe(true, true, nil)},
		{"ZIP-05 ZIP64 descriptor without signature", "", describe(false, true, nil)},
		{"ZIP-05 wrong CRC", "ZIP-05", describe(true, false, func(b []byte) { b[4]++ })},
		{"ZIP-05 wrong compressed size", "ZIP-05", describe(true, false, func(b []byte) { b[8]++ })},
		{"ZIP-05 wrong size", "ZIP-05", describe(true, false, func(b []byte) { b[12]++ })},
		{"ZIP-05 wrong signature", "ZIP-05", describe(true, false, func(b []byte) { b[0]++ })},
		{"ZIP-05 no descriptor", "ZIP-05", func(a *archive) {
			describe(true, false, nil)(a)
			a.local[0].trailing = nil
		}},
		{"ZIP-05 sizes in the local header too", "ZIP-05", func(a *archive) {
			describe(true, false, nil)(a)
			a.local[0].usize = a.central[0].usize
		}},
		{"ZIP-05 stored", "ZIP-05", func(a *archive) {
			a.both(0, stored(content))
			describe(true, false, nil)(a)
		}},

		{"ZIP-06 flag 0x1, encrypted", "ZIP-06", func(a *archive) { a.both(0, func(r *record) { r.flags = 1 }) }},
		{"ZIP-06 flag 0x20", "ZIP-06", func(a *archive) { a.both(0, func(r *record) { r.flags = 0x20 }) }},
		{"ZIP-06 flag 0x40", "ZIP-06", func(a *archive) { a.both(0, func(r *record) { r.flags = 0x40 }) }},
		{"ZIP-06 flag 0x2000, masked headers", "ZIP-06", func(a *archive) { a.both(0, func(r *record) { r.flags = 0x2000 }) }},
		{"ZIP-06 local flag 0x20 only", "ZIP-06", func(a *archive) { a.local[0].flags = 0x20 }},
		{"ZIP-06 local flag 0x40 only", "ZIP-06", func(a *archive) { a.local[0].flags = 0x40 }},
		{"ZIP-06 central flag 0x1 only", "ZIP-06", func(a *archive) { a.central[0].flags = 1 }},
		{"ZIP-06 flags differ", "ZIP-06", func(a *archive) { a.local[0].flags = flagUTF8 }},
		{"ZIP-06 local flag 0x1 only", "ZIP-06", func(a *archive) { a.local[0].flags = 1 }},
		{"ZIP-06 method differs", "ZIP-06", func(a *archive) { a.local[0].method = Stored }},
		{"ZIP-06 CRC differs", "ZIP-06", func(a *archive) { a.local[0].crc++ }},
		{"ZIP-06 compressed size differs", "ZIP-06", func(a *archive) { a.local[0].csize++ }},
		{"ZIP-06 size differs", "ZIP-06", func(a *archive) { a.local[0].usize++ }},
		{"ZIP-06 time differs", "ZIP-06", func(a *archive) { a.local[0].time++ }},
		{"ZIP-06 date differs", "ZIP-06", func(a *archive) { a.local[0].date++ }},

		{"ZIP-07 garbage after the final block", "ZIP-07", func(a *archive) {
			a.both(0, func(r *record) { r.data = append(bytes.Clone(r.data), "garbage"...); r.csize += 7 })
		}},
		{"ZIP-07 a second deflate stream", "ZIP-07", func(a *archive) {
			a.both(0, func(r *record) { r.data = append(bytes.Clone(r.data), r.data...); r.csize *= 2 })
		}},
		{"ZIP-07 distance before the start", "ZIP-07", func(a *archive) {
			a.both(0, func(r *record) { r.data = []byte{0x4b, 0x04, 0x12, 0x00}; r.csize = 4 })
		}},
		{"ZIP-07 stream cut off", "ZIP-07", func(a *archive) {
			a.both(0, func(r *record) { r.data = r.data[:len(r.data)-2]; r.csize -= 2 })
		}},
		{"ZIP-07 expands past its size", "ZIP-07", func(a *archive) { shrink(a, -1) }},
		{"ZIP-07 expands to less", "ZIP-07", func(a *archive) { shrink(a, 1) }},
		{"ZIP-07 stored sizes differ", "ZIP-07", func(a *archive) {
			a.both(0, stored(content))
			a.both(0, func(r *record) { r.usize++ })
		}},
		{"ZIP-07 compressed size past the file", "ZIP-07", func(a *archive) { a.both(0, func(r *record) { r.csize = 1 << 30 }) }},
		{"ZIP-07 compressed size past the directory", "ZIP-04", func(a *archive) {
			last := len(a.local) - 1
			a.both(last, func(r *record) { r.csize += 30 })
		}},
		{"ZIP-07 two entries on one stream", "ZIP-04", func(a *archive) {
			r := a.central[0]
			r.name, r.offset = "demo/again.py", 0
			a.central = append(a.central, r)
		}},

		{"ZIP-09 CRC 0", "ZIP-09", func(a *archive) { a.both(0, func(r *record) { r.crc = 0 }) }},
		{"ZIP-09 wrong CRC", "ZIP-09", func(a *archive) { a.both(0, func(r *record) { r.crc++ }) }},
		{"an empty file has CRC 0", "", func(a *archive) { *a = *parts{files: []text{{"demo.py", ""}}}.archive() }},

		{"ZIP-10 shell script in front", "ZIP-10", func(a *archive) { a.before = []byte("#!/bin/sh\nexit\n") }},
		{"ZIP-10 ELF in front", "ZIP-10", func(a *archive) { a.before = []byte("\x7fELF\x02\x01\x01") }},
		{"ZIP-10 PDF in front", "ZIP-10", func(a *archive) { a.before = []byte("%PDF-1.7\n") }},
		{"ZIP-10 tar in front", "ZIP-10", func(a *archive) { a.before = make([]byte, 1024) }},
		{"ZIP-10 bytes after the end", "ZIP-10", func(a *archive) { a.last = []byte("x") }},
		{"ZIP-10 no archive", "ZIP-10", func(a *archive) { *a = archive{before: []byte(strings.Repeat("x", 100)), end: endRecord{skip: true}} }},
		{"ZIP-10 nothing", "ZIP-10", func(a *archive) { *a = archive{end: endRecord{skip: true}} }},
	}
	for _, m := range []uint16{1, 6, 9, 12, 14, 93, 95, 98, 99} {
		tests = append(tests, struct {
			what, id string
			change   func(a *archive)
		}{fmt.Sprintf("ZIP-08 method %d", m), "ZIP-08", func(a *archive) { a.both(0, func(r *record) { r.method = m }) }})
	}
	said := sentences{}
	defer said.golden(t, "testdata/zip.txt")
	for _, tt := range tests {
		t.Run(tt.what, func(t *testing.T) {
			a := parts{}.archive()
			tt.change(a)
			w, err := openBytes(a.bytes(), demoFile)
			if err == nil {
				err = readAll(w)
			}
			said.note(tt.what, err)
			if tt.id == "" && err != nil && strings.Contains(err.Error(), "no row in RECORD") {
				t.Fatal("the test forgot RECORD")
			}
			wantID(t, err, tt.id)
		})
	}
}

// describe gives the first entry a data descriptor.
func describe(sig, wide bool, spoil func([]byte)) func(*archive) {
	return func(a *archive) {
		c := &a.central[0]
		l := &a.local[0]
		l.crc, l.csize, l.usize = 0, 0, 0
		l.flags |= flagDescriptor
		c.flags |= flagDescriptor
		var d []byte
		if sig {
			d = le.AppendUint32(d, sigDescriptor)
		}
		d = le.AppendUint32(d, c.crc)
		if wide {
			d = le.AppendUint64(le.AppendUint64(d, uint64(c.csize)), uint64(c.usize))
		} else {
			d = le.AppendUint32(le.AppendUint32(d, c.csize), c.usize)
		}
		if spoil != nil {
			spoil(d)
		}
		l.trailing = d
	}
}

// shrink declares one byte more or less than the content, in RECORD too.
func shrink(a *archive, by int) {
	content := []byte("print('demo')\n")
	declared := fmt.Sprint(len(content) + by)
	*a = *parts{rows: func(rows string) string { return strings.Replace(rows, ",14\n", ","+declared+"\n", 1) }}.archive()
	a.both(0, func(r *record) { r.usize = uint32(len(content) + by) })
}

func TestUnsafePaths(t *testing.T) {
	flagged := map[string]bool{"demo/\u00e9.py": true}
	bad := []string{
		"../../etc/cron.d/x", "a/../../b", "/etc/passwd", `\\host\x`, `C:\x`, "C:x", "a/c:/x", `..\x`, `a\..\b`, "foo/..", ".", "..", "", "/",
		"a//b", "./a", "a/./b", "a/b\x00c", "\x1b[2J", "a\nb", "a\x7f", "a\u202eb", "a\u2028b", "a\u200bb", "\xc0\xae\xc0\xae/x", "\xff", "\u00e9.py",
		strings.Repeat("a", 1025), strings.Repeat("a/", 64) + "b", "../site-packages-evil/x",
	}
	for _, name := range bad {
		a := parts{}.archive()
		a.add(name, []byte("x"))
		_, err := openBytes(a.bytes(), demoFile)
		wantID(t, err, "ZIP-01")
	}
	a := parts{}.archive()
	a.add("demo/data/", []byte("x"))
	a.both(len(a.local)-1, func(r *record) { r.attr = 0o040755 << 16 })
	_, err := openBytes(a.bytes(), demoFile)
	wantID(t, err, "ZIP-01")
	good := []string{"a b", "demo/\u00e9.py", "..a", "a..", "...", "-", "ab:c", strings.Repeat("a", 1024), strings.Repeat("a/", 63) + "b"}
	for _, name := range good {
		a := parts{files: []text{{name, "x"}}}.archive()
		if flagged[name] {
			a.both(0, func(r *record) { r.flags = flagUTF8 })
		}
		_, err := openBytes(a.bytes(), demoFile)
		wantID(t, err, "")
	}
}

// A writer that streams (Go's own) sets bit 3 everywhere.
func TestDescriptorsOfGo(t *testing.T) {
	a := parts{}.archive()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for _, r := range a.central {
		f, err := z.Create(r.name)
		if err != nil {
			t.Fatal(err)
		}
		content := map[string]string{"demo/__init__.py": "print('demo')\n", "demo-1.0.dist-info/METADATA": demoMetadata, "demo-1.0.dist-info/WHEEL": demoWheel}[r.name]
		if strings.HasSuffix(r.name, "RECORD") {
			content = row("demo/__init__.py", "print('demo')\n") + row("demo-1.0.dist-info/METADATA", demoMetadata) + row("demo-1.0.dist-info/WHEEL", demoWheel) + "demo-1.0.dist-info/RECORD,,\n"
		}
		if _, err := f.Write([]byte(content)); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	w, err := openBytes(b.Bytes(), demoFile)
	wantID(t, err, "")
	wantID(t, readAll(w), "")
}

// ZIP-00: a member that inflates to its size + 2^32 has the right CRC-32 and ISIZE for a
// reader that counts modulo 2^32. The bytes are made as they are read.
func TestSizeModulo(t *testing.T) {
	if testing.Short() {
		t.Skip("inflates until the declared size only, but builds 4 MiB of deflate")
	}
	content := make([]byte, 1<<20)
	data := zeros(1<<20 + 1<<32)
	a := parts{files: []text{{"demo/zero.bin", string(content)}}}.archive()
	crc := zerosCRC(1<<20 + 1<<32)
	a.both(0, func(r *record) { r.data, r.csize, r.crc = data, uint32(len(data)), crc })
	w, err := openBytes(a.bytes(), demoFile)
	wantID(t, err, "")
	_, err = w.ReadFile("demo/zero.bin", 1<<30)
	wantID(t, err, "ZIP-07")
}

// zeros returns a deflate stream of n zero bytes, made from one block that is repeated.
func zeros(n int64) []byte {
	const unit = 1 << 24
	var b bytes.Buffer
	full := squeezeOpen(make([]byte, unit))
	for ; n >= unit; n -= unit {
		b.Write(full)
	}
	b.Write(squeeze(make([]byte, n)))
	return b.Bytes()
}

func zerosCRC(n int64) uint32 {
	buf := make([]byte, 1<<20)
	crc := uint32(0)
	for ; n > 0; n -= int64(len(buf)) {
		crc = crc32.Update(crc, crc32.IEEETable, buf[:min(n, int64(len(buf)))])
	}
	return crc
}

func TestLimits(t *testing.T) {
	big := text{"demo/big.bin", strings.Repeat("\x00", 100_000)}
	b := parts{files: []text{{"demo/a", "a"}, big}}.archive().bytes()
	w, err := openBytes(b, demoFile)
	wantID(t, err, "")
	var expanded int64
	for _, f := range w.Files {
		expanded += f.Size
	}
	size := int64(len(b))
	sizeOf := func(name string) int64 { return w.Files[w.byName["demo-1.0.dist-info/"+name]].Size }
	tests := []struct {
		what, id string
		lower    func(l *Limits, by int64)
	}{
		{"size", "ZIP-07", func(l *Limits, by int64) { l.Size = size - by }},
		{"expanded", "ZIP-07", func(l *Limits, by int64) { l.Expanded = expanded - by }},
		{"ratio", "ZIP-07", func(l *Limits, by int64) { l.RatioFrom, l.Ratio = expanded-1, (expanded+size-1)/size-by }},
		{"ratio threshold", "ZIP-07", func(l *Limits, by int64) { l.RatioFrom, l.Ratio = expanded-by, 1 }},
		{"entries", "ZIP-07", func(l *Limits, by int64) { l.Entries = 5 - int(by) }},
		{"path", "ZIP-01", func(l *Limits, by int64) { l.PathBytes = len("demo-1.0.dist-info/METADATA") - int(by) }},
		{"depth", "ZIP-01", func(l *Limits, by int64) { l.PathDepth = 2 - int(by) }},
		{"METADATA", "WHL-05", func(l *Limits, by int64) { l.Metadata = sizeOf("METADATA") - by }},
		{"RECORD", "WHL-01", func(l *Limits, by int64) { l.Record = sizeOf("RECORD") - by }},
		{"WHEEL", "WHL-02", func(l *Limits, by int64) { l.SmallFiles = sizeOf("WHEEL") - by }},
	}
	for _, tt := range tests {
		for by, id := range []string{"", tt.id} {
			l := Default
			tt.lower(&l, int64(by))
			_, err := l.Open(bytes.NewReader(b), size, demoFile)
			t.Run(fmt.Sprintf("%s %d past", tt.what, by), func(t *testing.T) { wantID(t, err, id) })
		}
	}
}

// Bombs: what is refused before a byte is inflated.
func TestBombs(t *testing.T) {
	t.Run("1000 entries on one stream", func(t *testing.T) {
		a := parts{files: []text{{"demo/zero", strings.Repeat("\x00", 10<<20)}}}.archive()
		for i := range 1000 {
			r := a.central[0]
			r.name, r.offset = fmt.Sprintf("demo/zero%d", i), 0
			a.central = append(a.central, r)
		}
		_, err := openBytes(a.bytes(), demoFile)
		wantID(t, err, "ZIP-07")
	})
	many := func(n int) *archive {
		a := &archive{}
		r := deflated("", nil)
		for i := range n {
			r.name = fmt.Sprintf("demo/%06x", i)
			a.local = append(a.local, r)
			a.central = append(a.central, r)
		}
		return a
	}
	t.Run("more than 65535 entries without ZIP64", func(t *testing.T) {
		_, err := openBytes(many(65536+10).bytes(), demoFile)
		wantID(t, err, "ZIP-04")
	})
	t.Run("200000 entries", func(t *testing.T) {
		a := many(200_000)
		a.zip64, a.end.saturate = true, true
		_, err := openBytes(a.bytes(), demoFile)
		wantID(t, err, "WHL-02")
	})
	t.Run("200001 entries", func(t *testing.T) {
		a := many(200_001)
		a.zip64, a.end.saturate = true, true
		_, err := openBytes(a.bytes(), demoFile)
		wantID(t, err, "ZIP-07")
	})
	t.Run("names of 64 KiB", func(t *testing.T) {
		a := parts{}.archive()
		for i := range 20 {
			a.add(fmt.Sprint(i)+strings.Repeat("a/", 32_000), nil)
		}
		_, err := openBytes(a.bytes(), demoFile)
		wantID(t, err, "ZIP-01")
	})
	t.Run("a gigabyte of zeros", func(t *testing.T) {
		a := parts{}.archive()
		r := deflated("demo/zero", nil)
		r.data = zeros(1 << 30)
		r.csize, r.usize, r.crc = uint32(len(r.data)), 1<<30, 1
		a.local, a.central = append(a.local, r), append(a.central, r)
		_, err := openBytes(a.bytes(), demoFile)
		wantID(t, err, "ZIP-07")
	})
}

// The sentence of each refusal is kept, so that a change is seen.
func TestSentences(t *testing.T) {
	cases := []struct {
		change func(a *archive)
	}{
		{func(a *archive) { a.add("../../etc/cron.d/x", []byte("x")) }},
		{func(a *archive) { a.central[0].attr = 0o120777 << 16 }},
		{func(a *archive) { a.add("demo/__INIT__.py", []byte("x")) }},
		{func(a *archive) { a.local[0].name = "demo/__evil__.py" }},
		{describe(true, false, func(b []byte) { b[4]++ })},
		{func(a *archive) { a.local[0].crc = 1 }},
		{func(a *archive) { shrink(a, -1) }},
		{func(a *archive) { a.both(0, func(r *record) { r.method = 14 }) }},
		{func(a *archive) { a.both(0, func(r *record) { r.crc = 0 }) }},
		{func(a *archive) { a.before = []byte("#!/bin/sh\n") }},
	}
	var out strings.Builder
	for _, c := range cases {
		a := parts{}.archive()
		c.change(a)
		w, err := openBytes(a.bytes(), demoFile)
		if err == nil {
			err = readAll(w)
		}
		fmt.Fprintln(&out, err)
	}
	out.WriteString(whlSentences())
	golden(t, "testdata/sentences.txt", out.String())
}

// sentences are what a table's cases are refused with. Several checks share an id, and the next one
// often refuses what the first has let pass: the sentence says which one it was.
type sentences struct{ strings.Builder }

func (s *sentences) note(what string, err error) {
	if err != nil {
		fmt.Fprintf(s, "%s\n\t%v\n", what, err)
	}
}

func (s *sentences) golden(t *testing.T, file string) { golden(t, file, s.String()) }

func golden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if string(want) != got {
		t.Errorf("%s differs (-update rewrites it); got\n%s", file, got)
	}
}
