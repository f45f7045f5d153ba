package convert

import (
	"bytes"
	"context"
	"fmt"
	"hash"
	"hash/crc32"
	"io"
	"os"
	"slices"
	"sort"
	"strings"

	"github.com/forge-build/forge/builder/layer"
	"github.com/forge-build/forge/builder/store"
	"github.com/forge-build/forge/builder/wheel"
	"github.com/forge-build/forge/recipes/lock"
)

// wheels makes a layer of wheels: the one pass.
func (m *maker) wheels(ctx context.Context, j *job) (*Made, error) {
	v := newVenv(j.layer.Environment, m.li.Python.Version)
	members, closeAll, err := m.open(j)
	defer closeAll()
	if err != nil {
		return nil, err
	}
	made := &Made{Layer: j.layer}
	var items []item
	for _, mb := range members {
		its, removed, err := install(mb, v, m.slim)
		if err != nil {
			return nil, err
		}
		items = append(items, its...)
		made.Removed = append(made.Removed, removed...)
		for _, f := range mb.wheel.Findings {
			if strings.HasPrefix(f.Reason, "accepted: ") && !slices.Contains(made.Accepted, mb.lock.SHA256) {
				made.Accepted = append(made.Accepted, mb.lock.SHA256)
			}
			severity := "low"
			if f.ID == "WHL-06" {
				severity = "high"
			}
			made.Findings = append(made.Findings, Finding{ID: f.ID, Severity: severity, Owner: mb.wheel.Name, Path: f.Entry, Hash: f.Hash, Reason: f.Reason})
		}
		if err := made.readFacts(mb.wheel); err != nil {
			return nil, err
		}
	}
	if items, made.Shared, made.Namespaces, err = merge(items, v); err != nil {
		return nil, err
	}
	out, err := m.create()
	if err != nil {
		return nil, err
	}
	defer out.abort()
	if err := m.write(ctx, j, out.w, items); err != nil {
		return nil, err
	}
	index, err := out.close(made)
	if err != nil {
		return nil, err
	}
	if err := checkRecord(items, index); err != nil {
		return nil, err
	}
	if err := made.readIndex(index, v, m.li.Platform, members); err != nil {
		return nil, err
	}
	made.gpus(index, m.li.Platform, members)
	return made, out.commit(made, index)
}

// open opens a layer's wheels, sorted by name, and compares them with the lock. The store
// vouches for their sha256.
func (m *maker) open(j *job) ([]*member, func(), error) {
	var members []*member
	var files []*os.File
	closeAll := func() {
		for _, f := range files {
			_ = f.Close() // only read
		}
	}
	for _, p := range j.parts {
		f, size, err := m.o.Store.Open(p.sum())
		if err != nil {
			return nil, closeAll, fmt.Errorf("opening wheel %q: %w", p.wheel.File, err)
		}
		files = append(files, f)
		if size != p.wheel.Size {
			return nil, closeAll, fmt.Errorf("wheel %q has %d bytes, the lock states %d", p.wheel.File, size, p.wheel.Size)
		}
		read := wheel.Open
		if _, ok := m.im.Python.Accepted(p.wheel.File, p.wheel.SHA256); ok {
			read = wheel.OpenUnsafe
		}
		w, err := read(f, size, p.wheel.File)
		if err != nil {
			return nil, closeAll, err
		}
		if w.Name != p.wheel.Name || !wheel.SameVersion(w.Version, p.wheel.Version) {
			return nil, closeAll, fmt.Errorf("wheel %q is %s %s, the lock states %s %s", p.wheel.File, w.Name, w.Version, p.wheel.Name, p.wheel.Version)
		}
		if !wheel.Supported(w.Tags, m.li.Python.Version, m.li.Platform, "") {
			return nil, closeAll, fmt.Errorf("wheel %q does not run on Python %s for %s", p.wheel.File, m.li.Python.Version, m.li.Platform)
		}
		members = append(members, &member{lock: *p.wheel, wheel: w})
	}
	sort.Slice(members, func(a, b int) bool { return members[a].wheel.Name < members[b].wheel.Name })
	return members, closeAll, nil
}

func (p part) name() string {
	if p.wheel != nil {
		return p.wheel.File
	}
	return p.deb.Name + " " + p.deb.Version
}

func (p part) sum() string {
	if p.wheel != nil {
		return p.wheel.SHA256
	}
	return p.deb.SHA256
}

// reader ends with the context's error when that is cancelled.
type reader struct {
	ctx context.Context
	io.ReadSeeker
	told *progress // may be nil
}

func (r *reader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := r.ReadSeeker.Read(p)
	if r.told != nil {
		r.told.add(int64(n))
	}
	return n, err
}

// output is a layer on its way into the store, in each wanted codec.
type output struct {
	m       *maker
	w       *layer.Writer
	pending map[layer.Codec]*store.Pending
}

// A store hashes a layer on its way in, so that its Writer need not.
var _ layer.Summed = (*store.Pending)(nil)

func (m *maker) create() (*output, error) {
	o := &output{m: m, pending: map[layer.Codec]*store.Pending{}}
	outs := map[layer.Codec]io.Writer{}
	for _, c := range m.wanted() {
		if !m.keeps(c) {
			outs[c] = io.Discard
			continue
		}
		p, err := m.o.Store.Create()
		if err != nil {
			o.abort()
			return nil, err
		}
		o.pending[c], outs[c] = p, p
	}
	var err error
	if o.w, err = layer.NewWriter(outs); err != nil {
		o.abort()
		return nil, err
	}
	return o, nil
}

// abort throws away what was not committed.
func (o *output) abort() {
	for _, p := range o.pending {
		_ = p.Abort() // a left-over file is removed when the store is next opened
	}
}

// close ends the layer and notes its digests.
func (o *output) close(made *Made) (*layer.Index, error) {
	res, err := o.w.Close()
	if err != nil {
		return nil, err
	}
	made.Layer.DiffID, made.Layer.Unpacked = res.DiffID, res.Unpacked
	made.Layer.Blobs = map[string]lock.Blob{}
	for c, b := range res.Blobs {
		made.Layer.Blobs[string(c)] = lock.Blob{Digest: b.Digest, Size: b.Size}
	}
	return res.Index, nil
}

// commit puts the blobs and the index into the store.
func (o *output) commit(made *Made, index *layer.Index) error {
	for c, p := range o.pending {
		if _, err := p.Commit(hexOf(made.Layer.Blobs[string(c)].Digest)); err != nil {
			return fmt.Errorf("keeping %s layer: %w", c, err)
		}
	}
	p, err := o.m.o.Store.Create()
	if err != nil {
		return err
	}
	defer p.Abort()
	if err := index.Encode(p); err != nil {
		return fmt.Errorf("keeping index: %w", err)
	}
	made.Index, err = p.Commit("")
	return err
}

// progress tells how much of a layer's members has been read.
type progress struct {
	m           *maker
	layer       string
	done, total int64
	told        int64
}

// add tells of n more bytes, a hundred times in all.
func (p *progress) add(n int64) {
	if p.done += n; p.done-p.told > p.total/100 {
		p.told = p.done
		p.m.report(Event{Layer: p.layer, Step: Converting, Bytes: min(p.done, p.total), Total: p.total})
	}
}

// write writes the items, which are sorted by path.
func (m *maker) write(ctx context.Context, j *job, w *layer.Writer, items []item) error {
	told := &progress{m: m, layer: j.layer.Name}
	for _, it := range items {
		told.total += it.file.CompressedSize
	}
	for _, it := range items {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := writeItem(ctx, w, it, told); err != nil {
			return err
		}
	}
	return nil
}

func writeItem(ctx context.Context, w *layer.Writer, it item, told *progress) error {
	h := layer.Header{Path: it.path, Type: layer.Regular, Mode: 0o644, Size: it.size(), Owner: "wheel:" + it.from.wheel.Name}
	if it.exec {
		h.Mode = 0o755
	}
	if it.content != nil {
		return w.Add(h, bytes.NewReader(it.content), nil)
	}
	f := it.file
	// The layer's index states the sha256 of what passed; another hash is computed here.
	var sum hash.Hash
	check := func() error { return nil }
	var tee io.Writer
	if !isSHA256(f.Hash) {
		sum, check = f.Check()
		tee = sum
	}
	raw := &reader{ctx: ctx, ReadSeeker: it.from.wheel.Raw(f), told: told}
	if f.Method == wheel.Deflated {
		if err := w.Append(h, raw, f.CRC32, tee); err != nil {
			return fmt.Errorf("wheel %q: %w", it.from.wheel.File, err)
		}
		return check()
	}
	crc := crc32.NewIEEE()
	both := io.Writer(crc)
	if tee != nil {
		both = io.MultiWriter(crc, tee)
	}
	if err := w.Add(h, raw, both); err != nil {
		return fmt.Errorf("wheel %q: %w", it.from.wheel.File, err)
	}
	if crc.Sum32() != f.CRC32 {
		return &wheel.Error{ID: "ZIP-09", Path: it.from.wheel.File, Entry: f.Name, Offset: f.DataOffset,
			Reason: fmt.Sprintf("%+q has CRC %08x, expected %08x", f.Name, crc.Sum32(), f.CRC32)}
	}
	return check()
}
