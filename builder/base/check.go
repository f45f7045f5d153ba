package base

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/forge-build/forge/builder/layer"
)

// format is raised when a record says other things about the same layer, or is made by a
// stricter pass.
const format = 2

// record is what one pass over a layer has found.
type record struct {
	DiffID   string  `json:"diffID"`
	Unpacked int64   `json:"unpacked"`
	Entries  []entry `json:"entries"`
}

type entry struct {
	Path  string            `json:"p"`
	Type  layer.Type        `json:"t"`
	Mode  int64             `json:"m,omitempty"`
	UID   int               `json:"u,omitempty"`
	GID   int               `json:"g,omitempty"`
	Size  int64             `json:"s,omitempty"`
	Link  string            `json:"l,omitempty"`
	Facts map[string]string `json:"f,omitempty"` // what its content says: "python", "glibc", "glibcxx", "interp"
	Text  []byte            `json:"x,omitempty"` // content of accounts and os-release
}

// maxText bounds the content of an account file.
const maxText = 1 << 20

// A layer of more than bombSize is refused when it unpacks to more than bombRatio times its size.
const (
	bombSize  = 256 << 20
	bombRatio = 100
)

// check makes the pass over a layer, unless this store has made it before.
func (r *reader) check(ctx context.Context, d descriptor, codec layer.Codec) (*record, error) {
	sum := strings.TrimPrefix(d.Digest, "sha256:")
	unlock, err := r.o.Store.Lock(ctx, "base "+sum)
	if err != nil {
		return nil, err
	}
	defer unlock()
	key := fmt.Sprintf("%d-%s-%s", format, codec, sum)
	if rec := r.recall(key); rec != nil {
		return rec, nil
	}
	rec, err := r.pass(ctx, d, codec)
	if err != nil {
		return nil, err
	}
	p, err := r.o.Store.Create()
	if err != nil {
		return nil, err
	}
	defer func() { _ = p.Abort() }() // does nothing after Commit
	if err := json.NewEncoder(p).Encode(rec); err != nil {
		return nil, err
	}
	name, err := p.Commit("")
	if err != nil {
		return nil, err
	}
	return rec, r.o.Store.PutFact("base", key, []byte(name))
}

// recall is what an earlier pass has found; nil when there was none.
func (r *reader) recall(key string) *record {
	name, ok, err := r.o.Store.Fact("base", key)
	if err != nil || !ok {
		return nil
	}
	f, _, err := r.o.Store.Open(string(name))
	if err != nil {
		return nil // pruned: the pass is made again
	}
	defer f.Close()
	rec := new(record)
	if json.NewDecoder(f).Decode(rec) != nil {
		return nil
	}
	return rec
}

func (r *reader) pass(ctx context.Context, d descriptor, codec layer.Codec) (*record, error) {
	f, _, err := r.o.Store.Open(strings.TrimPrefix(d.Digest, "sha256:"))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	rec := new(record)
	var total int64
	rec.DiffID, rec.Unpacked, err = layer.Measure(codec, f, func(h layer.Header, content io.Reader) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		if total += h.Size; total > bombSize && total/bombRatio > d.Size {
			return r.refuse("CMP-01", h.Path, "layer of %d bytes unpacks to more than %d times that", d.Size, bombRatio)
		}
		e := entry{Path: h.Path, Type: h.Type, Mode: h.Mode, UID: h.UID, GID: h.GID, Size: h.Size, Link: h.Link}
		if h.Type == layer.Regular {
			if err := look(&e, content); err != nil {
				return err
			}
		}
		rec.Entries = append(rec.Entries, e)
		return nil
	})
	if err == nil && codec == layer.Gzip {
		err = r.table(ctx, f, d)
	}
	return rec, err
}

var (
	texts   = []string{"etc/passwd", "etc/group", "etc/shadow", "etc/os-release", "usr/lib/os-release"}
	pythons = regexp.MustCompile(`^(python3(\.[0-9]+)?|libpython3\.[0-9]+\.so[0-9.]*)$`)
	libcs   = regexp.MustCompile(`^libc(-2\.[0-9]+)?\.so(\.6)?$`)
	cxxs    = regexp.MustCompile(`^libstdc\+\+\.so\.6[0-9.]*$`)

	pythonVersion = regexp.MustCompile(`\x00(3\.[0-9]{1,2}\.[0-9]{1,2})\+?\x00`)
	glibcVersion  = regexp.MustCompile(`GNU C Library [^\n\x00]{0,100}release version ([0-9]+\.[0-9]+)`)
	cxxVersion    = regexp.MustCompile(`GLIBCXX_(3\.4(?:\.[0-9]{1,3})?)\x00`)
)

// look keeps what the content of a few files says.
func look(e *entry, content io.Reader) error {
	name := path.Base(e.Path)
	switch {
	case slices.Contains(texts, e.Path):
		b, err := io.ReadAll(io.LimitReader(content, maxText+1))
		if len(b) > maxText {
			return &Error{ID: "OCI-05", Path: "/" + e.Path, Reason: fmt.Sprintf("is larger than %d bytes", maxText)}
		}
		e.Text = b
		return err
	case pythons.MatchString(name):
		return scan(e, content, "python", pythonVersion)
	case libcs.MatchString(name):
		return scan(e, content, "glibc", glibcVersion)
	case cxxs.MatchString(name):
		return scan(e, content, "glibcxx", cxxVersion)
	}
	return nil
}

const overlap = 512

// scan looks for the highest version that re finds in an ELF file, in pieces, and notes which
// loader the file asks for.
func scan(e *entry, content io.Reader, fact string, re *regexp.Regexp) error {
	buf := make([]byte, 0, 1<<20)
	first := true
	e.Facts = map[string]string{}
	for {
		n, err := io.ReadFull(content, buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		if first {
			if len(buf) < 64 || string(buf[:4]) != "\x7fELF" {
				e.Facts = nil
				return nil // a script, or a linker's text
			}
			e.Facts["interp"] = interp(buf)
			first = false
		}
		for _, m := range re.FindAllSubmatch(buf, -1) {
			if v := string(m[1]); less(e.Facts[fact], v) {
				e.Facts[fact] = v
			}
		}
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			return nil
		}
		if err != nil {
			return err
		}
		keep := min(len(buf), overlap)
		copy(buf, buf[len(buf)-keep:])
		buf = buf[:keep]
	}
}
